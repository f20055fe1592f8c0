/* SPDX-License-Identifier: BSD-3-Clause
 *
 * held.c - Calls that go on after their number was closed
 *
 * Theory of operation.  In the kernel a call holds its file: close(), by another thread, takes
 * only the number away.  Here a thread that looks or dozes holds none, and one that sleeps in
 * the kernel does until it wakes.  So calls that wait are counted (struct gz_waits), and who is
 * about to close a number says so, wakes those who are counted, and waits until nobody is.
 * Each of them has made a duplicate by then, with which its call goes on, and which it closes
 * at its end.  Both words are set before one looks at the other's.  Who has waited once is
 * counted until its call ends, or sleeps where nobody wakes it, and looks each time it goes on.
 *
 * Who has left a call by longjmp() stays counted, until the slot is another socket's.  If that
 * was this very thread it is not waited for, as in a signal's handler; else it takes HAND_OVER_NS,
 * once.
 *
 * An epoll's memory is freed only when nobody uses it any more.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>

#include "launcher/agent/epoll_inner.h"

#define HAND_OVER_NS 500000000LL
#define AGAIN_NS 1000000LL /* so often they are woken: another thread may have taken the token */
#define HIGH_NUMBER 1000   /* below RLIMIT_NOFILE, mostly */

int duplicate(int fd)
{
	int64_t r = call(SYS_fcntl, (uint64_t)fd, F_DUPFD_CLOEXEC, HIGH_NUMBER, 0);

	if (r < 0)
		r = call(SYS_fcntl, (uint64_t)fd, F_DUPFD_CLOEXEC, 0, 0);
	return r < 0 ? -1 : (int)r;
}

/* But those that a fault of the thread's own raises */
void hold_signals(uint64_t *mask)
{
	const uint64_t all = ~(1ULL << (SIGSEGV - 1) | 1ULL << (SIGBUS - 1) | 1ULL << (SIGILL - 1) |
			       1ULL << (SIGFPE - 1) | 1ULL << (SIGTRAP - 1));

	call(SYS_rt_sigprocmask, SIG_BLOCK, (uint64_t)&all, (uint64_t)mask, sizeof(all));
}

void release_signals(const uint64_t *mask)
{
	call(SYS_rt_sigprocmask, SIG_SETMASK, (uint64_t)mask, 0, sizeof(*mask));
}

bool let_signals(struct io *io)
{
	uint64_t pending = 0;

	if (!io->held)
		return true;
	call(SYS_rt_sigpending, (uint64_t)&pending, sizeof(pending), 0, 0);
	release_signals(&io->mask);
	return !(pending & ~io->mask);
}

int64_t sleep_held(const struct io *io, int64_t us)
{
	struct pollfd p = {.fd = io->fd, .events = POLLIN};
	struct timespec ts = {us / 1000000, us % 1000000 * 1000};

	return gz_sleep(SYS_ppoll, (uint64_t)&p, us < 0, us < 0 ? 0 : (uint64_t)&ts,
			(uint64_t)&io->mask, sizeof(io->mask), 0);
}

void close_duplicate(int fd)
{
	forget_number((uint32_t)fd);
	call(SYS_close, (uint64_t)fd, 0, 0, 0);
	forget_number((uint32_t)fd);
}

/* Count in, of what has number @gen, as *@now may be no more. */
static void enter(uint64_t *word, uint32_t gen, const uint32_t *now)
{
	uint64_t was = __atomic_load_n(word, __ATOMIC_SEQ_CST), is;

	do {
		/* Not one that is newer; should it become so the word is another one. */
		if (was >> 32 != gen && __atomic_load_n(now, __ATOMIC_SEQ_CST) != gen)
			return;
		is = was >> 32 == gen ? was + 1 : (uint64_t)gen << 32 | 1;
	} while (!__atomic_compare_exchange_n(word, &was, is, false, __ATOMIC_SEQ_CST,
					      __ATOMIC_SEQ_CST));
}

static uint32_t count(const uint64_t *word, const uint32_t *gen)
{
	uint64_t w = __atomic_load_n(word, __ATOMIC_SEQ_CST);

	return w >> 32 == __atomic_load_n(gen, __ATOMIC_SEQ_CST) ? GZ_COUNT(w) : 0;
}

static bool is_closing(const struct gz_waits *w)
{
	return __atomic_load_n(&w->closing, __ATOMIC_SEQ_CST);
}

/* Count this thread in, of what has number @gen, as *@now may be no more. */
static struct waiting begin(struct gz_waits *w, uint32_t gen, const uint32_t *now)
{
	struct waiting me = {.gen = gen};
	uint32_t self = (uint32_t)call(SYS_gettid, 0, 0, 0, 0), none;

	if (__atomic_load_n(&w->waiters, __ATOMIC_SEQ_CST) >> 32 != gen)
		for (uint32_t k = 0; k < GZ_WAITERS; k++)
			__atomic_store_n(&w->thread[k], 0, __ATOMIC_SEQ_CST);
	enter(&w->waiters, gen, now);
	for (; me.place < GZ_WAITERS; me.place++) {
		none = 0;
		if (__atomic_compare_exchange_n(&w->thread[me.place], &none, self, false,
						__ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			break;
	}
	return me;
}

static void end(struct gz_waits *w, const struct waiting *me)
{
	if (me->place < GZ_WAITERS &&
	    __atomic_load_n(&w->waiters, __ATOMIC_SEQ_CST) >> 32 == me->gen)
		__atomic_store_n(&w->thread[me->place], 0, __ATOMIC_SEQ_CST);
	count_out(&w->waiters, me->gen);
}

/* How many of those who are counted are this thread, in calls that a handler of its interrupted? */
static uint32_t count_own(const struct gz_waits *w)
{
	uint32_t self = (uint32_t)call(SYS_gettid, 0, 0, 0, 0), n = 0;

	for (uint32_t k = 0; k < GZ_WAITERS; k++)
		n += __atomic_load_n(&w->thread[k], __ATOMIC_SEQ_CST) == self;
	return n;
}

/* --- sockets ----------------------------------------------------------------------- */

struct waiting set_wait_begin(uint32_t i)
{
	const uint32_t *now = &SH->slot[i].gen;

	return begin(&PRIV->waits[i], __atomic_load_n(now, __ATOMIC_SEQ_CST), now);
}

void set_wait_end(uint32_t i, const struct waiting *me)
{
	end(&PRIV->waits[i], me);
}

bool is_set_held_up(uint32_t i)
{
	return is_closing(&PRIV->waits[i]);
}

void wait_begin(struct io *io)
{
	if (io->held || io->waits || io->flags & MSG_DONTWAIT || has_datagrams(io->s))
		return;
	io->waits = true;
	io->waiting = set_wait_begin(io->i);
}

bool is_held_up(const struct io *io)
{
	return io->waits && is_set_held_up(io->i);
}

/* @keep: its call goes on with a duplicate, whether or not somebody closes the number just now */
static void count_call_out(struct io *io, bool keep)
{
	bool closing = is_held_up(io);
	int fd = -1;

	if (closing)
		hold_signals(&io->mask);
	else if (keep)
		call(SYS_rt_sigprocmask, SIG_BLOCK, 0, (uint64_t)&io->mask, sizeof(io->mask));
	if (closing || keep)
		fd = duplicate(io->fd);
	if (fd >= 0) {
		io->fd = fd;
		io->held = true;
	} else if (closing) {
		release_signals(&io->mask);
	}
	if (io->waits)
		set_wait_end(io->i, &io->waiting);
	io->waits = false;
}

void wait_end(struct io *io)
{
	count_call_out(io, false);
}

void wait_goes_on(struct io *io)
{
	count_call_out(io, io->waits);
}

void wait_pause(struct io *io)
{
	if (is_held_up(io))
		wait_end(io);
}

int let_go(struct io *io, int rc)
{
	struct regs *r = io->r;
	bool goes_on = let_signals(io);

	if (rc != DONE && !goes_on)
		r->rax = -EINTR;
	else if (rc == TRAP)
		r->rax = gz_trap(r->rax, (uint64_t)io->fd, r->rsi, r->rdx, r->r10, r->r8, r->r9);
	else if (rc == NATIVE)
		r->rax = gz_sleep(r->rax, (uint64_t)io->fd, r->rsi, r->rdx, r->r10, r->r8, r->r9);
	close_duplicate(io->fd);
	io->held = false;
	return DONE;
}

/* Whoever waits looks, wherever it does. */
static void wake(int fd, uint32_t i)
{
	struct gz_slot *s = &SH->slot[i];
	struct lane l;

	ring_bell(&s->bell);
	if (lane_of(s, &l))
		ring_bell(&l.mine->bell);
	__atomic_fetch_add(&s->room, 1, __ATOMIC_SEQ_CST);
	call(SYS_futex, (uint64_t)&s->room, FUTEX_WAKE, INT32_MAX, 0);
	if (__atomic_load_n(&s->want, __ATOMIC_SEQ_CST))
		ask_for_token(fd, i, GZ_POKE_ANY);
}

void hand_over(int fd, uint32_t i)
{
	struct gz_waits *w = &PRIV->waits[i];
	const uint32_t *gen = &SH->slot[i].gen;
	uint32_t own;
	int64_t now, until, again = 0;

	if (!count(&w->waiters, gen))
		return;
	own = count_own(w);
	if (count(&w->waiters, gen) <= own)
		return;
	__atomic_fetch_add(&w->closing, 1, __ATOMIC_SEQ_CST);
	until = now_ns() + HAND_OVER_NS;
	while (count(&w->waiters, gen) > own && (now = now_ns()) < until) {
		if (now >= again) {
			wake(fd, i);
			again = now + AGAIN_NS;
		}
		call(SYS_sched_yield, 0, 0, 0, 0);
	}
	__atomic_fetch_sub(&w->closing, 1, __ATOMIC_SEQ_CST);
}

/* --- epolls ------------------------------------------------------------------------ */

static struct gz_waits *waits_of(const struct gz_epoll *ep)
{
	return &PRIV->epoll_waits[index_of(ep) - 1];
}

struct gz_epoll *epoll_enter(uint32_t epfd, uint32_t *gen)
{
	struct gz_epoll *ep;

	while ((ep = managed(epfd))) {
		*gen = __atomic_load_n(&ep->gen, __ATOMIC_SEQ_CST);
		enter(&waits_of(ep)->users, *gen, &ep->gen);
		/* Who closes it takes the number away first. */
		if (managed(epfd) == ep && __atomic_load_n(&ep->gen, __ATOMIC_SEQ_CST) == *gen)
			return ep;
		if (epoll_exit(ep, *gen))
			give_free(ep, -1);
	}
	return NULL;
}

bool epoll_exit(struct gz_epoll *ep, uint32_t gen)
{
	uint64_t *word = &waits_of(ep)->users, was = __atomic_load_n(word, __ATOMIC_SEQ_CST), is;
	bool last = false;

	while (was >> 32 == gen && GZ_COUNT(was) & ~GZ_GIVEN_UP) {
		last = GZ_COUNT(was) == (GZ_GIVEN_UP | 1);
		is = last ? was >> 32 << 32 : was - 1;
		if (__atomic_compare_exchange_n(word, &was, is, false, __ATOMIC_SEQ_CST,
						__ATOMIC_SEQ_CST))
			return last;
	}
	return false;
}

bool epoll_is_unused(struct gz_epoll *ep)
{
	uint64_t *word = &waits_of(ep)->users, was = __atomic_load_n(word, __ATOMIC_SEQ_CST);

	do {
		if (was >> 32 != ep->gen || !GZ_COUNT(was))
			return true;
	} while (!__atomic_compare_exchange_n(word, &was, was | GZ_GIVEN_UP, false,
					      __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	return false;
}

struct waiting epoll_wait_begin(const struct gz_epoll *ep, uint32_t gen)
{
	return begin(waits_of(ep), gen, &ep->gen);
}

void epoll_wait_end(const struct gz_epoll *ep, const struct waiting *me)
{
	end(waits_of(ep), me);
}

bool is_epoll_held_up(const struct gz_epoll *ep)
{
	return is_closing(waits_of(ep));
}

bool is_hand_over(const struct gz_epoll *ep, uint64_t data)
{
	return data == (uint64_t)waits_of(ep);
}

/* Those who sleep in the kernel see a descriptor that is readable, for as long. */
void epoll_hand_over(struct gz_epoll *ep, int epfd)
{
	struct gz_waits *w = waits_of(ep);
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = (uint64_t)w};
	int64_t until, efd;
	uint32_t own;

	if (!count(&w->waiters, &ep->gen))
		return;
	own = count_own(w);
	if (count(&w->waiters, &ep->gen) <= own)
		return;
	__atomic_fetch_add(&w->closing, 1, __ATOMIC_SEQ_CST);
	efd = call(SYS_eventfd2, 1, EFD_CLOEXEC, 0, 0);
	if (efd >= 0)
		call(SYS_epoll_ctl, (uint64_t)epfd, EPOLL_CTL_ADD, (uint64_t)efd, (uint64_t)&ev);
	until = now_ns() + HAND_OVER_NS;
	while (count(&w->waiters, &ep->gen) > own && now_ns() < until) {
		ring_epoll(ep);
		call(SYS_sched_yield, 0, 0, 0, 0);
	}
	if (efd >= 0) {
		call(SYS_epoll_ctl, (uint64_t)epfd, EPOLL_CTL_DEL, (uint64_t)efd, (uint64_t)&ev);
		call(SYS_close, (uint64_t)efd, 0, 0, 0);
	}
	__atomic_fetch_sub(&w->closing, 1, __ATOMIC_SEQ_CST);
}

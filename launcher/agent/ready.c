/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ready.c - poll() and select() of sockets that are in the rings
 *
 * Theory of operation.  Of a socket in the rings memory knows whether it can be read
 * and written; of its end, of errors and of an open connect() the shadow does, which is
 * asked when the engine says that there is such news.  All other descriptors are the
 * kernel's to look at.  Who is about to sleep says so in each slot (want), and sleeps
 * in the kernel's poll(): bytes that come then bring a token.
 *
 * Signals that come while one looks here end nothing, as those just before a call; the
 * sleep has the caller's mask.
 */
#include <errno.h>
#include <poll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>

#include "launcher/agent/agent.h"

#define POLLS 256 /* descriptors; more are the engine's and the kernel's business */
#define DOZE_US 20000
#define DOZE_MIXED_US 200 /* where the kernel's descriptors are not looked at meanwhile */
#define READABLE (POLLIN | POLLRDNORM)
#define WRITABLE (POLLOUT | POLLWRNORM)
/* As select() has it: a number that is closed while it waits is ready. */
#define SET_IN (POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR | POLLNVAL)
#define SET_OUT (POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR | POLLNVAL)
#define SET_EX (POLLPRI | POLLNVAL)
#define BEGIN_AGAIN INT64_MIN
#define LEAVING_NS 20000000LL

bool in_rings(const struct gz_slot *s)
{
	return __atomic_load_n(&s->rx_plane, __ATOMIC_ACQUIRE) == GZ_PLANE_RING;
}

static uint32_t ask_kernel(int fd, uint32_t mask)
{
	struct pollfd p = {.fd = fd, .events = (short)mask};

	if (call(SYS_poll, (uint64_t)&p, 1, 0, 0) <= 0)
		return 0;
	return (uint16_t)p.revents;
}

static bool is_writable(struct gz_slot *s)
{
	if (tx_room(s) >= GZ_SLOT_WRITABLE)
		return true;
	/* Who makes room from here on tells. */
	want_room(s);
	return tx_room(s) >= GZ_SLOT_WRITABLE;
}

bool news_of(uint32_t i, uint32_t events)
{
	uint32_t news = 0;

	if (has_datagrams(&SH->slot[i])) {
		news = events & POLLERR ? GZ_NEWS_ERROR : 0;
		return news & ~__atomic_fetch_or(&SH->slot[i].news, news, __ATOMIC_SEQ_CST);
	}
	if (events & (POLLRDHUP | POLLHUP | POLLERR))
		news |= GZ_NEWS_END;
	if (events & (POLLHUP | POLLERR))
		news |= GZ_NEWS_OVER;
	return news & ~__atomic_fetch_or(&SH->slot[i].news, news, __ATOMIC_SEQ_CST);
}

uint32_t events_of(int fd, uint32_t i, uint32_t mask)
{
	struct gz_slot *s = &SH->slot[i];
	bool sends = __atomic_load_n(&s->tx_plane, __ATOMIC_ACQUIRE) == GZ_PLANE_RING;
	uint32_t ev = 0, native;

	if (!in_rings(s))
		return ask_kernel(fd, mask);
	if (has_datagrams(s)) {
		/* A full ring is emptied by who finds it so.  datagram_poll(): of all bands */
		ev = WRITABLE | POLLWRBAND;
		if (__atomic_load_n(&s->rx_full, __ATOMIC_ACQUIRE))
			ev |= READABLE; /* there are more, which recv() waits for */
		if (__atomic_load_n(&s->news, __ATOMIC_ACQUIRE) || s->error)
			ev |= s->error ? POLLERR : ask_kernel(fd, 0);
		sends = false;
	} else if (!sends || __atomic_load_n(&s->news, __ATOMIC_ACQUIRE)) {
		native = ask_kernel(fd, (mask & ~(uint32_t)POLLWRBAND) | POLLRDHUP);
		ev = native & ~(uint32_t)(READABLE | WRITABLE);
		/* Its end can be read; a token alone is nothing. */
		if (native & (POLLRDHUP | POLLHUP | POLLERR))
			ev |= native & READABLE;
		if (!sends)
			ev |= native & WRITABLE;
	}
	/* Not before the shadow shows the rest of it: it is one event. */
	if (__atomic_load_n(&s->news, __ATOMIC_ACQUIRE) & GZ_NEWS_OVER) {
		if (__atomic_load_n(&s->so_error, __ATOMIC_ACQUIRE))
			ev |= POLLERR;
		if (__atomic_load_n(&s->tx_plane, __ATOMIC_ACQUIRE) == GZ_PLANE_OVER)
			ev |= WRITABLE;
	}
	if (!has_datagrams(s) && __atomic_load_n(&s->error, __ATOMIC_RELAXED))
		ev |= POLLERR;
	if (sends && mask & WRITABLE && is_writable(s))
		ev |= WRITABLE;
	/* Where the kernel's epoll looks too, a token must be there as well. */
	if (!is_short(s) && (__atomic_load_n(&s->watch, __ATOMIC_RELAXED) != GZ_WATCH_LOUD ||
			     ask_kernel(fd, READABLE)))
		ev |= READABLE;
	return ev & (mask | POLLHUP | POLLERR | POLLNVAL);
}

/* --- waiting --------------------------------------------------------------------- */

/* A set of descriptors that is waited for.  The kernel sees only @asked. */
struct wait {
	struct pollfd *fds; /* with the results */
	uint32_t n;
	uint32_t natives; /* how many are not in the rings */
	struct pollfd asked[POLLS];
	int number[POLLS];	/* by which each is asked of: the program's, or a duplicate */
	uint32_t nheld;		/* so many have one */
	uint64_t held_mask;	/* the program's, while some have: hold_signals() */
	int16_t slot[POLLS];	/* -1: none */
	int16_t counted[POLLS]; /* the slot where this thread is, as waiting[]; -1: none */
	struct waiting waiting[POLLS];
	int16_t left[POLLS];	  /* slots that left the rings, where this thread is counted, */
	uint32_t left_gen[POLLS]; /* as left_begin() has it */
	uint32_t nleft;
	uint8_t seen[POLLS]; /* state_of() it, when it was looked at */
	uint64_t mask, mask_size;
	bool waited; /* nothing was there at first */
	bool forever;
	int64_t until; /* ns, CLOCK_MONOTONIC */
};

/* What only the shadow can say more of, when it changes */
static uint8_t state_of(const struct gz_slot *s)
{
	return (uint8_t)(__atomic_load_n(&s->news, __ATOMIC_SEQ_CST) << 4 |
			 __atomic_load_n(&s->rx_plane, __ATOMIC_SEQ_CST) << 2 |
			 __atomic_load_n(&s->tx_plane, __ATOMIC_SEQ_CST));
}

/* After the peer's end no token tells of room any more. */
static bool only_shadow_tells(const struct gz_slot *s, uint32_t events)
{
	return in_rings(s) && events & WRITABLE && tx_room(s) < GZ_SLOT_WRITABLE &&
	       !has_datagrams(s) && __atomic_load_n(&s->news, __ATOMIC_SEQ_CST) & GZ_NEWS_END;
}

/*
 * It is about to leave, and a token that can be read may be on its way out: a moment.
 * Return: false, it has not left by then, and does when a call traps
 */
static bool await_leave(const struct gz_slot *s)
{
	int64_t until = 0;

	while (__atomic_load_n(&s->rx_plane, __ATOMIC_SEQ_CST) == GZ_PLANE_TRAP &&
	       __atomic_load_n(&s->tx_plane, __ATOMIC_SEQ_CST) == GZ_PLANE_TRAP) {
		if (!until)
			until = now_ns() + LEAVING_NS;
		else if (now_ns() > until)
			return false;
		call(SYS_sched_yield, 0, 0, 0, 0);
	}
	return true;
}

static void forget_left(struct wait *w)
{
	while (w->nleft) {
		w->nleft--;
		left_end(&SH->slot[w->left[w->nleft]], w->left_gen[w->nleft]);
	}
}

/*
 * One of @w's has left: it does not come back while this thread may wait for it in the kernel.
 * Return: false, it has come back
 */
static bool note_left(struct wait *w, uint32_t slot)
{
	if (!left_begin(&SH->slot[slot], &SH->slot[slot].rx_plane, &w->left_gen[w->nleft]))
		return false;
	w->left[w->nleft++] = (int16_t)slot;
	return true;
}

/* Whose is number @k?  Return: 1, in the rings; 0, the kernel's; ASK; AGAIN */
static int sort_one(struct wait *w, uint32_t k)
{
	const int fd = w->number[k];
	int slot = fd < 0 ? NOT_OURS : lookup((uint32_t)fd);
	struct gz_epoll *ep;

	w->slot[k] = -1;
	if (slot == ASK ||
	    (slot >= 0 && only_shadow_tells(&SH->slot[slot], (uint16_t)w->fds[k].events)))
		return ASK;
	if (slot >= 0 && !await_back(&SH->slot[slot]))
		return ASK;
	if (slot >= 0 && in_rings(&SH->slot[slot])) {
		w->slot[k] = (int16_t)slot;
		return 1;
	}
	if (fd < 0)
		return 0;
	if (slot >= 0 && !await_leave(&SH->slot[slot]))
		return ASK;
	if (slot >= 0 && has_datagrams(&SH->slot[slot]))
		await_sending();
	else if (slot >= 0 && !note_left(w, (uint32_t)slot))
		return AGAIN;
	w->natives++;
	ep = managed((uint32_t)fd);
	if (ep)
		epoll_loud(ep, fd);
	else if (slot == NOT_OURS)
		note_inner((uint32_t)fd);
	return 0;
}

/* Find out whose each is.  Return: whether one is in the rings; ASK: that is not known */
static int sort(struct wait *w)
{
	int any = 0, rc;

	forget_left(w);
	w->natives = 0;
	for (uint32_t k = 0; k < w->n; k++) {
		if (!w->nheld)
			w->number[k] = w->fds[k].fd;
		while ((rc = sort_one(w, k)) == AGAIN)
			;
		if (rc == ASK) {
			forget_left(w);
			return ASK;
		}
		any |= rc;
	}
	return any;
}

/* Fill in the results.  Return: how many have one; below 0: an error */
static int64_t look(struct wait *w)
{
	int64_t found = 0, r;

	for (uint32_t k = 0; k < w->n; k++) {
		w->fds[k].revents = 0;
		if (w->slot[k] < 0)
			continue;
		w->seen[k] = state_of(&SH->slot[w->slot[k]]);
		w->fds[k].revents = (short)events_of(w->number[k], (uint32_t)w->slot[k],
						     (uint16_t)w->fds[k].events);
		found += w->fds[k].revents != 0;
	}
	if (!w->natives)
		return found;
	for (uint32_t k = 0; k < w->n; k++) {
		w->asked[k] = w->fds[k];
		w->asked[k].fd = w->slot[k] >= 0 ? -1 : w->number[k];
	}
	r = call(SYS_poll, (uint64_t)w->asked, w->n, 0, 0);
	if (r < 0)
		return r;
	for (uint32_t k = 0; r && k < w->n; k++)
		if (w->slot[k] < 0)
			w->fds[k].revents = w->asked[k].revents;
	return found + r;
}

static bool is_held(const struct wait *w, uint32_t k)
{
	return w->number[k] != w->fds[k].fd;
}

/* Its number is being closed, and this thread is waited for. */
static bool is_to_hold(const struct wait *w, uint32_t k)
{
	return !is_held(w, k) && is_set_held_up((uint32_t)w->slot[k]);
}

static void count_out_of(struct wait *w, uint32_t k)
{
	if (w->counted[k] >= 0)
		set_wait_end((uint32_t)w->counted[k], &w->waiting[k]);
	w->counted[k] = -1;
}

/* Whoever closes a number of those in the rings waits from here on. */
static void begin_wait(struct wait *w)
{
	for (uint32_t k = 0; k < w->n; k++) {
		if (w->counted[k] != w->slot[k])
			count_out_of(w, k);
		if (w->slot[k] < 0 || w->counted[k] >= 0 || is_held(w, k))
			continue;
		w->waiting[k] = set_wait_begin((uint32_t)w->slot[k]);
		w->counted[k] = w->slot[k];
	}
}

/* The file of one that is being closed is this call's from here on. */
static void pause_wait(struct wait *w)
{
	int fd;

	for (uint32_t k = 0; k < w->n; k++) {
		if (w->slot[k] < 0 || !is_to_hold(w, k))
			continue;
		if (!w->nheld)
			hold_signals(&w->held_mask);
		fd = duplicate(w->fds[k].fd);
		if (fd >= 0) {
			w->number[k] = fd;
			w->nheld++;
		} else if (!w->nheld) {
			release_signals(&w->held_mask);
		}
		count_out_of(w, k);
	}
}

static void drop_held(struct wait *w)
{
	if (w->nheld)
		release_signals(&w->held_mask);
	for (uint32_t k = 0; w->nheld && k < w->n; k++) {
		if (!is_held(w, k))
			continue;
		close_duplicate(w->number[k]);
		w->number[k] = w->fds[k].fd;
		w->nheld--;
	}
}

/* Without asking the kernel */
static bool is_something(const struct wait *w)
{
	for (uint32_t k = 0; k < w->n; k++) {
		const struct gz_slot *s = &SH->slot[w->slot[k] < 0 ? 0 : w->slot[k]];

		if (w->slot[k] < 0)
			continue;
		if (is_to_hold(w, k) || state_of(s) != w->seen[k] ||
		    (w->fds[k].events & READABLE && !is_short(s)) ||
		    (w->fds[k].events & WRITABLE && tx_room(s) >= GZ_SLOT_WRITABLE &&
		     __atomic_load_n(&s->tx_plane, __ATOMIC_RELAXED) == GZ_PLANE_RING))
			return true;
	}
	return false;
}

static bool spin_for(const struct wait *w)
{
	struct spin sp;
	bool found;

	spin_begin(&sp);
	do {
		found = is_something(w);
	} while (!found && spin_more(&sp));
	spin_end(&sp, found);
	return found;
}

/* The one that is in the rings, or -1: there are several, or one waits for room */
static int only_one(const struct wait *w)
{
	int one = -1;

	for (uint32_t k = 0; k < w->n; k++) {
		if (w->slot[k] < 0)
			continue;
		if (one >= 0 || !(w->fds[k].events & READABLE) || w->fds[k].events & WRITABLE ||
		    __atomic_load_n(&SH->slot[w->slot[k]].news, __ATOMIC_RELAXED))
			return -1;
		one = (int)k;
	}
	return one;
}

/* Until the other end sends.  Return: as doze() */
static int64_t doze_for(const struct wait *w)
{
	uint32_t us = w->natives ? DOZE_MIXED_US : DOZE_US;
	int one = w->mask || w->nheld ? -1 : only_one(w);
	struct doze d;

	if (one < 0)
		return 0;
	if (!w->forever) {
		int64_t left = (w->until - now_ns()) / 1000;

		if (left <= 0)
			return 0;
		us = left < us ? (uint32_t)left : us;
	}
	doze_on_slot(&d, &SH->slot[w->slot[one]]);
	return is_something(w) ? 1 : doze(&d, us, false);
}

/* What happens from here on brings tokens. */
static void expect_all(const struct wait *w)
{
	for (uint32_t k = 0; k < w->n; k++)
		if (w->slot[k] >= 0)
			expect_tokens(&SH->slot[w->slot[k]]);
}

static void expect_no_more(const struct wait *w)
{
	for (uint32_t k = 0; k < w->n; k++)
		if (w->slot[k] >= 0)
			expect_none(&SH->slot[w->slot[k]], w->number[k]);
}

/* Sleep until something may be there.  Return: 0, it is the time; -errno */
static int64_t sleep_natively(struct wait *w)
{
	bool masked = w->nheld && !w->mask;
	struct timespec ts, *timeout = NULL;
	int64_t left, r;

	for (uint32_t k = 0; k < w->n; k++) {
		w->asked[k] = w->fds[k];
		w->asked[k].fd = w->number[k];
		w->asked[k].revents = 0;
		if (w->slot[k] < 0)
			continue;
		w->asked[k].events = (short)(READABLE | POLLRDHUP | (w->fds[k].events & ~WRITABLE));
		if (__atomic_load_n(&SH->slot[w->slot[k]].news, __ATOMIC_RELAXED))
			w->asked[k].events = w->fds[k].events; /* the shadow knows more */
	}
	expect_all(w);
	for (uint32_t k = 0; k < w->n; k++)
		if (w->slot[k] >= 0 &&
		    (is_to_hold(w, k) ||
		     events_of(w->number[k], (uint32_t)w->slot[k], (uint16_t)w->fds[k].events))) {
			expect_no_more(w);
			return 1;
		}
	if (!w->forever) {
		left = w->until - now_ns();
		if (left < 0)
			left = 0;
		ts = (struct timespec){left / 1000000000, left % 1000000000};
		timeout = &ts;
	}
	r = gz_sleep(SYS_ppoll, (uint64_t)w->asked, w->n, (uint64_t)timeout,
		     masked ? (uint64_t)&w->held_mask : w->mask,
		     masked ? sizeof(w->held_mask) : w->mask_size, 0);
	expect_no_more(w);
	if (r <= 0)
		return r;
	for (uint32_t k = 0; k < w->n; k++) {
		if (w->slot[k] < 0)
			continue;
		news_of((uint32_t)w->slot[k], (uint16_t)w->asked[k].revents);
		/* Tokens without bytes would end each sleep at once. */
		if (w->asked[k].revents & READABLE && is_short(&SH->slot[w->slot[k]]))
			take_stale_token(w->number[k], (uint32_t)w->slot[k]);
	}
	return r;
}

/* Until there may be something.  Return: below 0, an error; 0, it is the time; *@slept: see sort()
 */
static int64_t wait_once(struct wait *w, bool *slept)
{
	int64_t r = 1;

	*slept = false;
	w->waited = true;
	begin_wait(w);
	if (!spin_for(w)) {
		r = doze_for(w);
		*slept = !r;
		if (!r)
			r = sleep_natively(w);
	}
	pause_wait(w);
	return r;
}

/* Return: as poll(), or BEGIN_AGAIN: the engine is to be asked */
static int64_t wait_counted(struct wait *w)
{
	bool now = !w->forever && w->until <= 0, slept;
	int64_t r;

	for (;;) {
		/* There is no other look after it. */
		if (now)
			await_sending();
		r = look(w);
		if (r > 0 || now) {
			if (!w->nheld)
				return r;
			/* As the kernel: the numbers tell, whatever they are by now. */
			drop_held(w);
			if (sort(w) == ASK)
				return BEGIN_AGAIN;
			r = look(w);
			if (r || now)
				return r;
		}
		if (r >= 0)
			r = wait_once(w, &slept);
		if (r < 0)
			break;
		/* Once more, when its time is over */
		if (!r || (slept && !w->forever && now_ns() >= w->until))
			now = true;
		else if (slept && sort(w) == ASK) {
			r = BEGIN_AGAIN;
			break;
		}
	}
	drop_held(w);
	return r;
}

/* The same; none is counted any more when it returns. */
static int64_t wait_for(struct wait *w)
{
	int64_t r;

	for (uint32_t k = 0; k < w->n; k++)
		w->counted[k] = -1;
	r = wait_counted(w);
	for (uint32_t k = 0; k < w->n; k++)
		count_out_of(w, k);
	return r;
}

/* The kernel's call, where none is in the rings.  Return: as gz_agent() */
static int wait_for_left(struct regs *r, struct wait *w)
{
	if (!w->nleft)
		return NATIVE;
	r->rax = gz_sleep(r->rax, r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9);
	forget_left(w);
	return DONE;
}

/* @ns: how long; below 0: for ever */
static void set_time(struct wait *w, int64_t ns)
{
	w->forever = ns < 0;
	w->until = ns > 0 ? now_ns() + ns : 0;
}

/* Return: false, the time is not one; ns, -1 without one */
static bool read_time(uint64_t addr, int64_t unit, int64_t *ns)
{
	const struct timespec *ts = (const struct timespec *)addr;

	*ns = -1;
	if (!addr)
		return true;
	if (!is_memory(addr, sizeof(*ts), MAY_READ) || ts->tv_sec < 0 || ts->tv_nsec < 0 ||
	    ts->tv_nsec * unit >= 1000000000)
		return false;
	*ns = ts->tv_sec > 1000000000 ? -1 : ts->tv_sec * 1000000000LL + ts->tv_nsec * unit;
	return true;
}

static void write_left(const struct wait *w, uint64_t addr, int64_t unit)
{
	struct timespec *ts = (struct timespec *)addr;
	int64_t left = 0;

	/* Nobody is told if it cannot be written. */
	if (!addr || w->forever || !is_memory(addr, sizeof(*ts), MAY_WRITE))
		return;
	if (w->until > 0)
		left = w->until - now_ns();
	if (left < 0)
		left = 0;
	ts->tv_sec = left / 1000000000;
	ts->tv_nsec = left % 1000000000 / unit;
}

/* --- calls -------------------------------------------------------------------------- */

static int do_poll(struct regs *r)
{
	struct wait w;
	int64_t ns;
	int any;

	w.fds = (struct pollfd *)r->rdi;
	w.n = (uint32_t)r->rsi;
	w.mask = w.mask_size = w.nleft = w.nheld = w.waited = 0;
	if (!w.n)
		return NATIVE;
	if (w.n > POLLS)
		return TRAP;
	if (!is_memory(r->rdi, w.n * sizeof(struct pollfd), MAY_WRITE))
		return NATIVE;
	any = sort(&w);
	if (any <= 0)
		return any == ASK ? TRAP : wait_for_left(r, &w);
	if (r->rax == SYS_poll) {
		ns = (int)r->rdx < 0 ? -1 : (int)r->rdx * 1000000LL;
	} else {
		if (!read_time(r->rdx, 1, &ns) || !is_mask(r->r10, r->r8))
			return wait_for_left(r, &w);
		w.mask = r->r10;
		w.mask_size = r->r8;
	}
	set_time(&w, ns);
	ns = wait_for(&w);
	forget_left(&w);
	if (ns == BEGIN_AGAIN)
		return TRAP;
	if (r->rax == SYS_ppoll)
		write_left(&w, r->rdx, 1);
	r->rax = ns;
	return DONE;
}

static bool is_set(uint64_t set, uint32_t fd)
{
	return set && ((const uint64_t *)set)[fd / 64] & 1ULL << fd % 64;
}

/* Set or clear @fd of a program's set.  Return: 1, it was set */
static int keep(uint64_t set, uint32_t fd, bool on)
{
	uint64_t *word = (uint64_t *)set + fd / 64, bit = 1ULL << fd % 64;

	if (!set || !(*word & bit))
		return 0;
	if (!on)
		*word &= ~bit;
	return on;
}

static int do_select(struct regs *r)
{
	/* select() has a timeval, pselect6() a timespec, and the mask in memory. */
	const int64_t unit = r->rax == SYS_select ? 1000 : 1;
	struct pollfd fds[POLLS];
	struct wait w;
	uint32_t nfds = (uint32_t)r->rdi;
	int64_t ns, rc;
	int any;

	w.fds = fds;
	w.n = 0;
	w.mask = w.mask_size = w.nleft = w.nheld = w.waited = 0;
	if (nfds > GZ_FD_MAX || !nfds)
		return NATIVE;
	for (int k = 0; k < 3; k++) {
		uint64_t set = k == 0 ? r->rsi : k == 1 ? r->rdx : r->r10;

		if (set && !is_memory(set, (nfds + 63) / 64 * 8, MAY_WRITE))
			return NATIVE;
	}
	for (uint32_t fd = 0; fd < nfds; fd++) {
		short ev = 0;

		if (is_set(r->rsi, fd))
			ev |= SET_IN;
		if (is_set(r->rdx, fd))
			ev |= SET_OUT;
		if (is_set(r->r10, fd))
			ev |= SET_EX;
		if (!ev)
			continue;
		if (w.n == POLLS)
			return TRAP;
		fds[w.n++] = (struct pollfd){.fd = (int)fd, .events = ev};
	}
	any = w.n ? sort(&w) : 0;
	if (any <= 0 || !read_time(r->r8, unit, &ns))
		return any == ASK ? TRAP : wait_for_left(r, &w);
	if (r->rax == SYS_pselect6 && r->r9) {
		const uint64_t *arg = (const uint64_t *)r->r9;

		if (!is_memory(r->r9, 16, MAY_READ) || !is_mask(arg[0], arg[1]))
			return wait_for_left(r, &w);
		w.mask = arg[0];
		w.mask_size = arg[1];
	}
	set_time(&w, ns);
	rc = wait_for(&w);
	forget_left(&w);
	if (rc == BEGIN_AGAIN)
		return TRAP;
	write_left(&w, r->r8, unit);
	for (uint32_t k = 0; rc > 0 && !w.waited && k < w.n; k++)
		if (fds[k].revents & POLLNVAL)
			rc = -EBADF;
	if (rc >= 0) {
		rc = 0;
		for (uint32_t k = 0; k < w.n; k++) {
			uint32_t fd = (uint32_t)fds[k].fd;
			short ev = fds[k].revents;

			rc += keep(r->rsi, fd, ev & SET_IN);
			rc += keep(r->rdx, fd, ev & SET_OUT);
			rc += keep(r->r10, fd, ev & SET_EX);
		}
	}
	r->rax = rc;
	return DONE;
}

int ready_call(struct regs *r)
{
	switch (r->rax) {
	case SYS_poll:
	case SYS_ppoll:
		return do_poll(r);
	case SYS_select:
	case SYS_pselect6:
		return do_select(r);
	default:
		return epoll_call(r);
	}
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * epoll.c - epoll_wait() of sockets that are in the rings
 *
 * Theory of operation.  The engine sets a bit of ready[] when something happens to a socket
 * that the epoll has (epoll_ctl.c); epoll_wait() takes the bits, and looks at what they are
 * about.  A level-triggered one that is ready keeps its bit.
 *
 * The kernel is asked now and then, for what is its own, and to sleep.  Who is about to
 * sleep counts itself (sleepers), and then what happens brings a token as well, which
 * the kernel's registration sees.  An event of the kernel's that is about a socket in the
 * rings only says: look.  It is told by the registration's data.
 */
#include <errno.h>
#include <poll.h>
#include <time.h>

#include "launcher/agent/epoll_inner.h"

#define BATCH 64
#define LOOK_US 20  /* the kernel's descriptors are looked at so often while there is work */
#define FUTILE 1000 /* times that there was nothing where something was marked */
#define NAP_NS 1000000
#define DOZE_US 200 /* they are not looked at meanwhile */
#define VAIN_MAX 4  /* dozes in vain, each of which doubles how often one does not doze */
#define NEWS (EPOLLHUP | EPOLLERR | EPOLLRDHUP | EPOLLPRI)

/* Look at one whose bit was set.  Return: whether @out was filled */
static bool look_at(struct gz_epoll *ep, int epfd, uint32_t i, struct epoll_event *out)
{
	struct gz_reg *reg = &ep->reg[i];
	uint32_t ev;

	if (!is_registered(ep, i))
		return false;
	if (!in_rings(&SH->slot[i])) {
		/* From here on the kernel's registration is all there is: let it look, too. */
		if (reg->native == GZ_REG_SAME && reg->events & EPOLLET)
			reg->native = GZ_REG_OTHER;
		if (leave_counted(ep, epfd, i))
			ep->looked = 0;
		else
			mark_ready(ep, i);
		return false;
	}
	if (!is_armed(reg))
		return false;
	ev = events_of(reg->fd, i, reg->events & ~PRIVATE_BITS & 0xffff);
	ev &= reg->events;
	/* No token tells of room any more: the shadow can. */
	if (!ev && reg->events & EPOLLOUT &&
	    __atomic_load_n(&SH->slot[i].news, __ATOMIC_SEQ_CST) & GZ_NEWS_END) {
		__atomic_store_n(&SH->slot[i].leave, 1, __ATOMIC_SEQ_CST);
		ask_for_token(reg->fd, i, GZ_POKE_BYTES);
	}
	if (!ev)
		return false;
	out->events = ev;
	out->data.u64 = reg->data;
	if (reg->events & EPOLLONESHOT) {
		reg->events &= PRIVATE_BITS;
		if (ep->eager) {
			reg_changed(ep, i);
			tell_kernel(ep, epfd, reg);
		}
	} else if (reg->events & EPOLLET) {
		reg->told |= ev & (EPOLLHUP | EPOLLERR | EPOLLRDHUP);
	} else {
		mark_ready(ep, i);
	}
	return true;
}

static bool is_any(const struct gz_epoll *ep)
{
	uint64_t any = 0;

	for (uint32_t k = 0; k < GZ_SLOTS / 64; k++)
		any |= __atomic_load_n(&ep->ready[k], __ATOMIC_RELAXED);
	return any || is_any_in_lanes(ep);
}

static uint32_t count_ready(const struct gz_epoll *ep, uint32_t max)
{
	uint32_t n = 0;

	for (uint32_t k = 0; k < GZ_SLOTS / 64; k++)
		for (uint64_t bits = __atomic_load_n(&ep->ready[k], __ATOMIC_RELAXED);
		     bits && n < max; bits &= bits - 1)
			n++;
	return n;
}

/* The slots of which the kernel told in this call */
struct told {
	uint32_t n;
	uint16_t slot[BATCH];
};

static bool is_among(const struct told *t, uint32_t i)
{
	for (uint32_t k = 0; k < t->n; k++)
		if (t->slot[k] == i)
			return true;
	return false;
}

/*
 * One that @told has may have come to the rings since: it is not told twice in one call.
 * Return: events, -EFAULT, or -EINTR when another one is in here for too long
 */
static int64_t collect(struct gz_epoll *ep, int epfd, struct epoll_event *out, uint32_t max,
		       const struct told *told)
{
	const uint32_t words = GZ_SLOTS / 64, first = ep->next % GZ_SLOTS;
	uint32_t n = 0;

	gather(ep);
	max = count_ready(ep, max);
	if (!max)
		return 0;
	max = (uint32_t)(memory((uint64_t)out, max * sizeof(*out), MAY_WRITE) / sizeof(*out));
	if (!max)
		return -EFAULT;
	if (!epoll_hold(ep))
		return -EINTR;
	/* From the one whose turn it is, and around to it. */
	for (uint32_t k = 0; k <= words && n < max; k++) {
		uint32_t w = (first / 64 + k) % words;
		uint64_t bits = __atomic_load_n(&ep->ready[w], __ATOMIC_SEQ_CST);

		if (k == 0)
			bits &= UINT64_MAX << first % 64;
		else if (k == words)
			bits &= ~(UINT64_MAX << first % 64);
		for (; bits && n < max; bits &= bits - 1) {
			uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(bits);

			if (is_among(told, i))
				continue;
			__atomic_fetch_and(&ep->ready[w], ~(1ULL << i % 64), __ATOMIC_SEQ_CST);
			n += look_at(ep, epfd, i, &out[n]);
			if (n == max)
				ep->next = i + 1;
		}
	}
	unlock(&ep->lock);
	return n;
}

/* Whose may an event of the kernel's be?  Return: the slot's number, or NOT_OURS */
static int owner_of(const struct gz_epoll *ep, const struct epoll_event *ev)
{
	uint32_t used = __atomic_load_n(&SH->used, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < used && i < GZ_SLOTS; i++) {
		const struct gz_reg *reg = &ep->reg[i];

		/* One that was disarmed by then may have been taken from the kernel's, and one is
		 * changed there before that is written down. */
		if (is_registered(ep, i) &&
		    (reg->native_data == ev->data.u64 || reg->data == ev->data.u64) &&
		    (reg->native != GZ_REG_ABSENT || reg->events & EPOLLONESHOT) &&
		    (ev->events & (MARKS | NEWS) ||
		     !__atomic_load_n(&reg->marked, __ATOMIC_SEQ_CST)))
			return (int)i;
	}
	return NOT_OURS;
}

/* The mark is no event of the program's.  @ev is of a socket that another epoll has as well. */
static void unmark(const struct gz_epoll *ep, struct epoll_event *ev)
{
	uint32_t used = __atomic_load_n(&SH->used, __ATOMIC_ACQUIRE);

	if (!(ev->events & MARKS))
		return;
	for (uint32_t i = 0; i < used && i < GZ_SLOTS; i++)
		if (ep->reg[i].gen == __atomic_load_n(&SH->slot[i].gen, __ATOMIC_ACQUIRE) &&
		    ep->reg[i].marked && ep->reg[i].native_data == ev->data.u64)
			ev->events &= ep->reg[i].events | ~MARKS;
}

/*
 * The kernel told of slot @i, which left the rings.  Return: false, that is not to be told: the
 * kernel did not know yet what the program wants of it, or with EPOLLONESHOT it was told already
 */
static bool tell_left(struct gz_epoll *ep, int epfd, uint32_t i, struct epoll_event *ev)
{
	struct gz_reg *reg = &ep->reg[i];

	/* As the kernel's is, with the lock alone: who changes it does both in one. */
	if (!epoll_hold(ep))
		return true;
	if (is_registered(ep, i) && reg->native == GZ_REG_OTHER) {
		/* One that is coming back is looked at again. */
		if (!leave_counted(ep, epfd, i))
			mark_ready(ep, i);
		ev->events = 0;
	} else if (is_registered(ep, i) && reg->events & EPOLLONESHOT) {
		ev->events &= reg->events;
		if (ev->events)
			reg->events &= PRIVATE_BITS; /* the kernel did so itself */
	} else if (is_registered(ep, i) && ev->events & MARKS & ~reg->events) {
		/* From before it left; the kernel looked anew when it was told of that. */
		ev->events = 0;
	}
	unlock(&ep->lock);
	return ev->events;
}

/*
 * Its end, or an error: the edge is over, and the engine may be about to say so.  Whoever
 * drops the event has a look.
 */
static bool is_news(struct gz_epoll *ep, uint32_t i, uint32_t events)
{
	if (!(events & NEWS))
		return false;
	news_of(i, events);
	/* The ring said it first. */
	if (events & NEWS & ~(uint32_t)ep->reg[i].told)
		mark_ready(ep, i);
	return true;
}

/*
 * A socket that came back has no mark until the kernel is told of it, and an event that may be of
 * another descriptor has come.  With EPOLLONESHOT there is none, but no two events either.
 */
static void mark(struct gz_epoll *ep, int epfd, uint32_t i)
{
	if (ep->reg[i].events & EPOLLONESHOT || !epoll_hold(ep))
		return;
	if (is_registered(ep, i) && ep->reg[i].native == GZ_REG_SAME)
		tell_kernel(ep, epfd, &ep->reg[i]);
	unlock(&ep->lock);
}

/* Does the shadow itself explain the event?  Else another descriptor has the same data. */
static bool explains(struct gz_epoll *ep, int epfd, uint32_t i, const struct epoll_event *ev)
{
	const struct gz_reg *reg = &ep->reg[i];
	struct gz_slot *s = &SH->slot[i];
	struct pollfd p = {.fd = reg->fd, .events = (short)ev->events | EPOLLRDHUP};
	bool marked = ev->events & MARKS, sure = marked || reg->events & EPOLLONESHOT;

	/* It was taken out, which the kernel does not know: who has it now may read its token. */
	if (!reg->events && (marked || !reg->marked))
		return true;
	if (sure && is_news(ep, i, ev->events))
		return true;
	if (sure && !(ev->events & ~events_of(reg->fd, i, ev->events & 0xffff))) {
		if (__atomic_load_n(&s->news, __ATOMIC_SEQ_CST))
			mark_ready(ep, i);
		return true;
	}
	call(SYS_poll, (uint64_t)&p, 1, 0, 0);
	if (!sure && !reg->marked)
		mark(ep, epfd, i);
	/* An edge is over soon, and another thread may have been told. */
	if (ev->events & ~(uint32_t)(uint16_t)p.revents)
		return sure;
	if (is_news(ep, i, (uint32_t)(uint16_t)p.revents & NEWS))
		return true;
	if (ev->events & EPOLLIN && is_short(s))
		take_stale_token(reg->fd, i);
	/* The shadow would be writable for ever, and the ring is not. */
	if (ev->events & EPOLLOUT && !(reg->events & (EPOLLET | (uint32_t)EPOLLONESHOT)) &&
	    !has_datagrams(s) && tx_room(s) < GZ_SLOT_WRITABLE) {
		__atomic_store_n(&s->leave, 1, __ATOMIC_SEQ_CST);
		ask_for_token(reg->fd, i, GZ_POKE_BYTES);
	}
	return true;
}

/*
 * The kernel's event is of no registration.  Was it of one that the program has taken out since
 * ep->gone was @gone, by another thread?
 */
static bool was_taken_out(const struct gz_epoll *ep, uint32_t gone, const struct epoll_event *ev)
{
	uint32_t n = __atomic_load_n(&ep->gone, __ATOMIC_SEQ_CST) - gone;

	for (n = n < GZ_GONE ? n : GZ_GONE; n; n--, gone++)
		if (__atomic_load_n(&ep->gone_data[gone % GZ_GONE], __ATOMIC_SEQ_CST) ==
		    ev->data.u64)
			return true;
	return false;
}

/*
 * Take out what is about sockets in the rings, of @n events that the kernel told after ep->gone was
 * @gone.  Return: how many are left; @told: of which slots they are
 */
static int64_t filter(struct gz_epoll *ep, int epfd, uint32_t gone, struct epoll_event *ev,
		      int64_t n, struct told *told)
{
	int64_t left = 0;

	told->n = 0;
	for (int64_t k = 0; k < n; k++) {
		int i = owner_of(ep, &ev[k]);

		if (is_hand_over(ep, ev[k].data.u64))
			continue;
		if (i >= 0 && !in_rings(&SH->slot[i])) {
			if (tell_left(ep, epfd, (uint32_t)i, &ev[k])) {
				told->slot[told->n++] = (uint16_t)i;
				ev[left++] = ev[k];
			}
			continue;
		}
		if (i < 0 && was_taken_out(ep, gone, &ev[k]))
			continue;
		if (i < 0 || !explains(ep, epfd, (uint32_t)i, &ev[k])) {
			unmark(ep, &ev[k]);
			ev[left++] = ev[k];
			continue;
		}
		/* One that came back: the kernel has disarmed it, and the program was told
		 * nothing. */
		if (ep->reg[i].events & EPOLLONESHOT && ep->reg[i].native == GZ_REG_SAME &&
		    epoll_hold(ep)) {
			reg_changed(ep, (uint32_t)i);
			if (__atomic_load_n(&ep->sleepers, __ATOMIC_SEQ_CST))
				tell_kernel(ep, epfd, &ep->reg[i]);
			unlock(&ep->lock);
		}
	}
	return left;
}

struct ask {
	struct gz_epoll *ep;
	int epfd;
	bool held;	    /* @epfd is a duplicate of its own (held.c) */
	uint64_t held_mask; /* the program's, then: hold_signals() */
	bool waits;	    /* it is counted there, as @waiting */
	struct waiting waiting;
	uint32_t gen;
	struct epoll_event *out;
	uint32_t max;
	uint64_t mask, mask_size;
	bool forever;
	int64_t timeout; /* ns; it begins when one sleeps for the first time: the clock is a call */
	int64_t until;	 /* ns; 0: it has not begun */
	struct told told;
};

/* What the kernel has, without waiting */
static int64_t look(struct ask *a, int64_t n)
{
	uint32_t gone = __atomic_load_n(&a->ep->gone, __ATOMIC_SEQ_CST);
	int64_t r, room = a->max - n;

	if (!room)
		return n;
	a->ep->looked = tsc();
	r = call6(SYS_epoll_pwait, (uint64_t)a->epfd, (uint64_t)(a->out + n),
		  (uint64_t)(room < BATCH ? room : BATCH), 0, 0, 8);
	if (r < 0)
		return n ? n : r;
	return n + filter(a->ep, a->epfd, gone, a->out + n, r, &a->told);
}

/* Its number is being closed, and this thread is waited for. */
static bool is_to_hold(const struct ask *a)
{
	return !a->held && is_epoll_held_up(a->ep);
}

static bool spin_for(const struct ask *a)
{
	struct spin sp;
	bool found;

	spin_begin(&sp);
	do {
		found = is_any(a->ep) || is_to_hold(a);
	} while (!found && spin_more(&sp));
	spin_end(&sp, found);
	return found;
}

/* Until somebody sends, or not for long: the kernel's descriptors wait.  Return: as doze() */
static int64_t doze_for(struct ask *a)
{
	uint32_t us = DOZE_US;
	struct doze d;
	int64_t r;

	if (a->mask || a->held || __atomic_load_n(&a->ep->eager, __ATOMIC_RELAXED))
		return 0;
	if (a->ep->no_doze) {
		a->ep->no_doze--;
		return 0;
	}
	if (!a->forever) {
		if (!a->until)
			a->until = now_ns() + a->timeout;
		r = (a->until - now_ns()) / 1000;
		if (r <= 0)
			return 0;
		us = r < us ? (uint32_t)r : us;
	}
	if (!doze_on_epoll(&d, a->ep))
		return 0;
	if (is_any(a->ep) || is_to_hold(a))
		return 1;
	r = doze(&d, us, false);
	a->ep->no_doze = r ? 0 : 1U << a->ep->vain;
	a->ep->vain = r ? 0 : a->ep->vain < VAIN_MAX ? a->ep->vain + 1 : VAIN_MAX;
	return r;
}

/*
 * @nap: not for long, whatever is marked
 * Return: events of the kernel's; 0: time is over, if @over, or look again
 */
static int64_t sleep_natively(struct ask *a, bool nap, bool *over)
{
	bool masked = a->held && !a->mask;
	struct timespec ts, *timeout = NULL;
	int64_t r = 1, left = INT64_MAX;
	uint32_t gone;

	*over = false;
	/* Who changes it from here on tells the kernel at once. */
	epoll_sleeps(a->ep);
	if (!epoll_hold(a->ep)) {
		epoll_wakes(a->ep);
		return 0;
	}
	tell_kernel_all(a->ep, a->epfd);
	unlock(&a->ep->lock);
	__atomic_store_n(&a->ep->woken, 0, __ATOMIC_SEQ_CST);
	if (!is_to_hold(a) && (nap || !is_any(a->ep))) {
		if (!a->forever) {
			left = a->timeout;
			if (!a->until)
				a->until = now_ns() + left;
			else
				left = a->until - now_ns();
			if (left < 0)
				left = 0;
		}
		nap = nap && left > NAP_NS;
		if (nap)
			left = NAP_NS;
		if (left != INT64_MAX) {
			ts = (struct timespec){left / 1000000000, left % 1000000000};
			timeout = &ts;
		}
		gone = __atomic_load_n(&a->ep->gone, __ATOMIC_SEQ_CST);
		r = gz_sleep(SYS_epoll_pwait2, (uint64_t)a->epfd, (uint64_t)a->out,
			     a->max < BATCH ? a->max : BATCH, (uint64_t)timeout,
			     masked ? (uint64_t)&a->held_mask : a->mask,
			     masked ? sizeof(a->held_mask) : a->mask_size);
		*over = r == 0 && !nap;
		if (r > 0)
			r = filter(a->ep, a->epfd, gone, a->out, r, &a->told);
	} else {
		r = 0;
	}
	/* What comes from here on is for those who sleep still. */
	__atomic_store_n(&a->ep->woken, 0, __ATOMIC_SEQ_CST);
	epoll_wakes(a->ep);
	return r;
}

/*
 * Until there may be something.  *@futile: times that there was nothing
 * Return: events of the kernel's; -errno; 0: look again, or *@over
 */
static int64_t wait_once(struct ask *a, uint32_t *futile, bool *over)
{
	int64_t n;

	/* The other program of a pair may mark what is not so: time and signals go on. */
	if (spin_for(a) && ++*futile < FUTILE)
		return 0;
	n = *futile == FUTILE ? 0 : doze_for(a);
	if (n < 0 || (n && ++*futile < FUTILE))
		return n < 0 ? n : 0;
	n = sleep_natively(a, *futile == FUTILE, over);
	*futile = 0;
	return n;
}

static void wait_over(struct ask *a)
{
	if (a->waits)
		epoll_wait_end(a->ep, &a->waiting);
	a->waits = false;
}

/* The same; whoever closes the number meanwhile waits until this thread has a duplicate. */
static int64_t wait_held(struct ask *a, uint32_t *futile, bool *over)
{
	int64_t n;
	int fd;

	if (!a->held && !a->waits) {
		a->waits = true;
		a->waiting = epoll_wait_begin(a->ep, a->gen);
	}
	n = wait_once(a, futile, over);
	if (!is_to_hold(a))
		return n;
	hold_signals(&a->held_mask);
	fd = duplicate(a->epfd);
	if (fd >= 0) {
		a->epfd = fd;
		a->held = true;
	} else {
		release_signals(&a->held_mask);
	}
	wait_over(a);
	return n;
}

static int64_t wait(struct ask *a)
{
	bool over = !a->forever && a->timeout <= 0;
	uint32_t futile = 0;
	int64_t n;

	for (;;) {
		if (over)
			await_sending();
		/* Its turn comes first when it is due, or much to report would hide it. */
		bool due = tsc() - a->ep->looked > (uint64_t)LOOK_US * SH->mhz;
		int64_t first;

		a->told.n = 0;
		first = due ? look(a, 0) : 0;

		if (first < 0 || first == a->max)
			return first;
		n = collect(a->ep, a->epfd, a->out + first, a->max - (uint32_t)first, &a->told);
		if (n < 0)
			return first ? first : n;
		n += first;
		if (n == a->max)
			pass_on(a->ep);
		/* Of what left just now (look_at()) the kernel tells. */
		if (!n && (!due || !a->ep->looked))
			n = look(a, 0);
		if (n)
			return n;
		/* An event of the kernel's may have been about the rings. */
		if (is_any(a->ep)) {
			n = collect(a->ep, a->epfd, a->out, a->max, &a->told);
			if (n)
				return n;
		}
		if (over)
			return 0;
		n = wait_held(a, &futile, &over);
		if (n)
			return n;
	}
}

/* epoll_wait() and its kin, of an epoll that has memory.  Return: as gz_agent() */
static int wait_call(struct regs *r, struct ask *a)
{
	if ((int)r->rdx <= 0 || (uint32_t)r->rdx > 1u << 20 ||
	    !in_space(r->rsi, r->rdx * sizeof(struct epoll_event)))
		return NATIVE;
	a->out = (struct epoll_event *)r->rsi;
	a->max = (uint32_t)r->rdx;
	if (r->rax == SYS_epoll_pwait2) {
		const struct timespec *ts = (const struct timespec *)r->r10;

		if (r->r10 && (!is_memory(r->r10, sizeof(*ts), MAY_READ) || ts->tv_sec < 0 ||
			       ts->tv_nsec < 0 || ts->tv_nsec >= 1000000000))
			return NATIVE;
		a->forever = !r->r10 || ts->tv_sec > 1000000000;
		if (!a->forever && (ts->tv_sec || ts->tv_nsec))
			a->timeout = ts->tv_sec * 1000000000LL + ts->tv_nsec;
	} else {
		a->forever = (int)r->r10 < 0;
		if ((int)r->r10 > 0)
			a->timeout = (int)r->r10 * 1000000LL;
	}
	if (r->rax != SYS_epoll_wait) {
		if (!is_mask(r->r8, r->r9))
			return NATIVE;
		a->mask = r->r8;
		a->mask_size = r->r9;
	}
	r->rax = wait(a);
	return DONE;
}

int epoll_call(struct regs *r)
{
	struct ask a = {.epfd = (int)r->rdi};
	int rc;

	if (r->rax == SYS_epoll_ctl)
		return epoll_ctl_call(r);
	a.ep = epoll_enter((uint32_t)r->rdi, &a.gen);
	if (!a.ep) {
		uint64_t *note = note_waiting((uint32_t)r->rdi);

		/* Who puts a socket in from here on sees the note. */
		a.ep = epoll_enter((uint32_t)r->rdi, &a.gen);
		if (!a.ep)
			r->rax = gz_sleep(r->rax, r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9);
		unnote_waiting(note);
		if (!a.ep)
			return DONE;
	}
	rc = wait_call(r, &a);
	wait_over(&a);
	if (epoll_exit(a.ep, a.gen))
		give_free(a.ep, a.held ? a.epfd : -1);
	if (a.held) {
		close_duplicate(a.epfd);
		release_signals(&a.held_mask);
	}
	return rc;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * epoll.c - epoll of sockets that are in the rings
 *
 * Theory of operation.  Registrations of sockets in the rings are kept in shared memory.
 * The engine sets a bit of ready[] when something happens to such a socket; epoll_wait()
 * takes the bits, and looks at what they are about.  A level-triggered one that is ready
 * keeps its bit.  The kernel's epoll is told of what changed (changed[]) before somebody
 * sleeps on it, and when a socket leaves the rings: programs that put a socket in and
 * take it out for each request do so without a call.
 *
 * What is known of one that left stays there, as long as it is what the kernel's epoll has
 * (gz_slot.watched): it may come back (left.c).
 *
 * The kernel is asked now and then, for what is its own, and to sleep.  Who is about to
 * sleep counts itself (sleepers), and then what happens brings a token as well, which
 * the kernel's registration sees.  An event of the kernel's that is about a socket in the
 * rings only says: look.  It is told by the registration's data.
 */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>

#include "launcher/agent/agent.h"

#define BATCH 64
#define HOLD_NS 50000000LL /* so long one tries to have the lock */
#define LOOK_US 20	   /* the kernel's descriptors are looked at so often while there is work */
#define FUTILE 1000	   /* times that there was nothing where something was marked */
#define NAP_NS 1000000
#define DOZE_US 200 /* they are not looked at meanwhile */
#define VAIN_MAX 4  /* dozes in vain, each of which doubles how often one does not doze */
#define NEWS (EPOLLHUP | EPOLLERR | EPOLLRDHUP | EPOLLPRI)
#define PRIVATE_BITS ((uint32_t)EPOLLONESHOT | EPOLLET | EPOLLWAKEUP | EPOLLEXCLUSIVE)

/*
 * Is what the epoll's memory has of slot @i what the program wants?  Not of one that is told of
 * by the kernel's epoll alone, whatever stands there
 */
static bool is_valid(const struct gz_epoll *ep, uint32_t i)
{
	const struct gz_reg *reg = &ep->reg[i];
	const struct gz_slot *s = &SH->slot[i];

	return reg->gen && reg->gen == __atomic_load_n(&s->gen, __ATOMIC_ACQUIRE) &&
	       (__atomic_load_n(&s->watch, __ATOMIC_SEQ_CST) == index_of(ep) ||
		__atomic_load_n(&s->watched, __ATOMIC_SEQ_CST) == index_of(ep));
}

/*
 * Others tell the kernel of changes meanwhile, and may have lost their core to who computes.
 * Return: false, it may be this very thread
 */
static bool hold(struct gz_epoll *ep)
{
	int64_t until = 0;

	while (!lock(&ep->lock)) {
		if (!until)
			until = now_ns() + HOLD_NS;
		else if (now_ns() > until)
			return false;
	}
	return true;
}

/* --- epoll_ctl() -------------------------------------------------------------------- */

/* It is looked at anew; whoever sleeps is to know. */
static void look_anew(struct gz_epoll *ep, int fd, uint32_t i)
{
	mark_ready(ep, i);
	ring_epoll(ep);
	if (__atomic_load_n(&ep->sleepers, __ATOMIC_SEQ_CST))
		ask_for_token(fd, i, GZ_POKE_BYTES);
}

static void remove_reg(struct gz_epoll *ep, uint32_t i)
{
	uint32_t mine = index_of(ep), left = mine;

	ep->reg[i].gen = 0;
	__atomic_compare_exchange_n(&SH->slot[i].watched, &left, 0, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_RELAXED);
	if (__atomic_compare_exchange_n(&SH->slot[i].watch, &mine, 0, false, __ATOMIC_SEQ_CST,
					__ATOMIC_RELAXED))
		watch_changed(&SH->slot[i]);
}

/* Tell the kernel of one.  Return: as epoll_ctl() */
static int64_t tell_kernel(const struct gz_epoll *ep, int epfd, struct gz_reg *reg)
{
	struct epoll_event ev = {.events = reg->events, .data.u64 = reg->data};
	int op = reg->events ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;
	int64_t rc = 0;

	/* A token can be read, whatever it tells of. */
	if (ev.events & EPOLLOUT && in_rings(&SH->slot[reg - ep->reg]))
		ev.events |= EPOLLIN;
	if (reg->native == GZ_REG_ABSENT)
		op = EPOLL_CTL_ADD;
	if (reg->native == GZ_REG_OTHER || (reg->native == GZ_REG_ABSENT && reg->events))
		rc = call(SYS_epoll_ctl, (uint64_t)epfd, (uint64_t)op, (uint64_t)reg->fd,
			  (uint64_t)&ev);
	reg->native = reg->events && !rc ? GZ_REG_SAME : GZ_REG_ABSENT;
	reg->native_data = reg->data;
	return rc;
}

/* The epoll's lock is held. */
static void tell_kernel_all(struct gz_epoll *ep, int epfd)
{
	for (uint32_t w = 0; w < GZ_SLOTS / 64; w++) {
		uint64_t bits = __atomic_load_n(&ep->changed[w], __ATOMIC_RELAXED);

		if (bits)
			ep->changed[w] = 0;
		for (; bits; bits &= bits - 1) {
			uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(bits);

			if (!is_valid(ep, i))
				continue;
			tell_kernel(ep, epfd, &ep->reg[i]);
			if (!ep->reg[i].events)
				remove_reg(ep, i);
		}
	}
}

static void change(struct gz_epoll *ep, uint32_t i)
{
	if (ep->reg[i].native == GZ_REG_SAME)
		ep->reg[i].native = GZ_REG_OTHER;
	ep->changed[i / 64] |= 1ULL << i % 64;
}

/* @reg is of another file, or of none */
static int64_t ctl_locked(struct gz_epoll *ep, const struct regs *r, uint32_t i, bool fresh)
{
	const struct epoll_event *ev = (const struct epoll_event *)r->r10;
	struct gz_slot *s = &SH->slot[i];
	struct gz_reg *reg = &ep->reg[i];
	int op = (int)r->rsi, fd = (int)r->rdx;
	bool known = is_valid(ep, i), live = known && reg->events;
	struct gz_reg old = *reg;
	int64_t rc;

	if (op == EPOLL_CTL_ADD ? live : !live)
		return op == EPOLL_CTL_ADD ? -EEXIST : -ENOENT;
	if (op == EPOLL_CTL_DEL) {
		reg->events = 0;
		if (reg->native == GZ_REG_ABSENT)
			remove_reg(ep, i);
		else
			change(ep, i);
	} else {
		reg->events = ev->events | EPOLLHUP | EPOLLERR;
		reg->data = ev->data.u64;
		reg->fd = fd;
		reg->told = 0;
		if (!known)
			reg->native = GZ_REG_ABSENT;
		reg->gen = __atomic_load_n(&s->gen, __ATOMIC_ACQUIRE);
		change(ep, i);
		__atomic_fetch_or(&PRIV->watched[(uint32_t)fd / 64], 1ULL << fd % 64,
				  __ATOMIC_SEQ_CST);
	}
	/* The kernel knows what is no epoll at all, and what others wait for. */
	if (fresh || ep->eager || __atomic_load_n(&ep->sleepers, __ATOMIC_SEQ_CST)) {
		rc = is_valid(ep, i) ? tell_kernel(ep, (int)r->rdi, reg) : 0;
		if (rc && op != EPOLL_CTL_DEL) {
			*reg = old;
			if (!known)
				remove_reg(ep, i);
			return rc;
		}
		if (!reg->events && is_valid(ep, i))
			remove_reg(ep, i);
	}
	if (op != EPOLL_CTL_DEL)
		look_anew(ep, fd, i);
	return 0;
}

/* --- those who wait natively -------------------------------------------------------- */

/* This thread is about to wait on @fd, which has no sockets in the rings.  Return: for unnote() */
static uint64_t *note_waiting(uint32_t fd)
{
	for (uint32_t k = 0; k < GZ_WAITING; k++) {
		uint64_t *word = &PRIV->waiting[k], was = __atomic_load_n(word, __ATOMIC_SEQ_CST);

		while ((!was || was >> 32 == fd) && (uint32_t)was < UINT32_MAX)
			if (__atomic_compare_exchange_n(word, &was,
							(uint64_t)fd << 32 | ((uint32_t)was + 1),
							false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
				return word;
	}
	__atomic_fetch_add(&PRIV->natives, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void unnote_waiting(uint64_t *word)
{
	uint64_t was;

	if (!word) {
		__atomic_fetch_sub(&PRIV->natives, 1, __ATOMIC_SEQ_CST);
		return;
	}
	was = __atomic_load_n(word, __ATOMIC_SEQ_CST);
	while ((uint32_t)was &&
	       !__atomic_compare_exchange_n(word, &was, (uint32_t)was > 1 ? was - 1 : 0, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
}

/* Does a thread, or may one, wait natively on the epoll @epfd? */
static bool is_waited_for(uint32_t epfd)
{
	if (__atomic_load_n(&PRIV->natives, __ATOMIC_SEQ_CST))
		return true;
	for (uint32_t k = 0; k < GZ_WAITING; k++) {
		uint64_t e = __atomic_load_n(&PRIV->waiting[k], __ATOMIC_SEQ_CST);

		int64_t r = (uint32_t)e ? compare_files((uint32_t)(e >> 32), epfd) : -EBADF;

		if (r <= 0 && r != -EBADF)
			return true;
	}
	return false;
}

/* It left the rings: the kernel's registration is all there is.  The epoll's lock is held. */
static void leave_to_kernel(struct gz_epoll *ep, int epfd, uint32_t i)
{
	struct gz_slot *s = &SH->slot[i];
	struct gz_reg *reg = &ep->reg[i];
	uint32_t mine = index_of(ep), watch = __atomic_load_n(&s->watch, __ATOMIC_SEQ_CST);

	if (reg->native != GZ_REG_SAME)
		tell_kernel(ep, epfd, reg);
	if (reg->native == GZ_REG_SAME && !watch &&
	    __atomic_load_n(&s->watched, __ATOMIC_SEQ_CST) == mine)
		return;
	if (reg->native != GZ_REG_SAME || watch != mine) {
		remove_reg(ep, i);
		return;
	}
	/* In this order: it comes back only once nobody watches it. */
	__atomic_store_n(&s->watched, mine, __ATOMIC_SEQ_CST);
	if (__atomic_compare_exchange_n(&s->watch, &watch, 0, false, __ATOMIC_SEQ_CST,
					__ATOMIC_RELAXED))
		watch_changed(s);
}

/* The same, of one that was seen to have left.  Return: false, it came back, or is about to */
static bool leave_counted(struct gz_epoll *ep, int epfd, uint32_t i)
{
	struct gz_slot *s = &SH->slot[i];

	if (!left_begin(s, &s->rx_plane))
		return false;
	leave_to_kernel(ep, epfd, i);
	left_end(s);
	return true;
}

/* The kernel is to have slot @i as it was, before it hears more of it. */
static void give_to_kernel(struct gz_epoll *ep, int epfd, uint32_t i)
{
	if (!is_valid(ep, i) || !hold(ep))
		return;
	if (ep->reg[i].native != GZ_REG_SAME)
		tell_kernel(ep, epfd, &ep->reg[i]);
	remove_reg(ep, i);
	unlock(&ep->lock);
}

/*
 * May the epoll's memory have what the call is about, of slot @i that left?  Then it is this
 * epoll's from here on.
 */
static bool may_note_left(const struct gz_epoll *ep, const struct regs *r, uint32_t i)
{
	const struct epoll_event *ev = (const struct epoll_event *)r->r10;
	struct gz_slot *s = &SH->slot[i];
	int op = (int)r->rsi;
	uint32_t none = 0;

	if (op != EPOLL_CTL_DEL && (!is_memory(r->r10, sizeof(*ev), MAY_READ) ||
				    ev->events & ((uint32_t)EPOLLONESHOT | EPOLLEXCLUSIVE)))
		return false;
	if (op != EPOLL_CTL_ADD)
		return __atomic_load_n(&s->watched, __ATOMIC_SEQ_CST) == index_of(ep) &&
		       is_valid(ep, i) && ep->reg[i].fd == (int)r->rdx;
	/*
	 * One at a time.  With watch another epoll has it, and has not given it to the kernel
	 * yet; it sets watched first.
	 */
	return !__atomic_load_n(&s->watch, __ATOMIC_SEQ_CST) &&
	       __atomic_compare_exchange_n(&s->watched, &none, index_of(ep), false,
					   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/* The kernel has done so: the same in the epoll's memory.  Its lock is held. */
static void note_left(struct gz_epoll *ep, const struct regs *r, uint32_t i)
{
	const struct epoll_event *ev = (const struct epoll_event *)r->r10;
	uint32_t fd = (uint32_t)r->rdx;

	if ((int)r->rsi == EPOLL_CTL_DEL) {
		remove_reg(ep, i);
		return;
	}
	ep->reg[i] = (struct gz_reg){.data = ev->data.u64,
				     .native_data = ev->data.u64,
				     .events = ev->events | EPOLLHUP | EPOLLERR,
				     .gen = __atomic_load_n(&SH->slot[i].gen, __ATOMIC_ACQUIRE),
				     .fd = (int)fd,
				     .native = GZ_REG_SAME};
	__atomic_fetch_or(&PRIV->watched[fd / 64], 1ULL << fd % 64, __ATOMIC_SEQ_CST);
}

/* The call on a socket that left, if the epoll's memory may have it.  Its lock is held. */
static bool ctl_noted(struct gz_epoll *ep, struct regs *r, uint32_t i)
{
	int64_t rc;

	if (is_valid(ep, i))
		leave_to_kernel(ep, (int)r->rdi, i);
	if (!may_note_left(ep, r, i))
		return false;
	rc = call(SYS_epoll_ctl, r->rdi, r->rsi, r->rdx, r->r10);
	if (!rc)
		note_left(ep, r, i);
	else if ((int)r->rsi == EPOLL_CTL_ADD)
		remove_reg(ep, i);
	r->rax = rc;
	return true;
}

/* The memory of an epoll that has none yet, whoever waits on it already.  NULL: there is no room */
static struct gz_epoll *manage_fresh(uint32_t epfd)
{
	bool inner = is_inner(epfd);
	struct gz_epoll *ep = manage(epfd);

	if (ep && (inner || is_waited_for(epfd) || __atomic_load_n(&SH->loud, __ATOMIC_SEQ_CST)))
		epoll_loud(ep, (int)epfd);
	return ep;
}

/* epoll_ctl() of slot @i, which left the rings.  Return: DONE, NATIVE, or AGAIN: it came back */
static int ctl_left(struct regs *r, uint32_t i)
{
	struct gz_epoll *ep = managed((uint32_t)r->rdi);
	struct gz_slot *s = &SH->slot[i];
	bool done = false;

	if (!left_begin(s, &s->rx_plane))
		return AGAIN;
	if (!ep && (int)r->rsi == EPOLL_CTL_ADD)
		ep = manage_fresh((uint32_t)r->rdi);
	if (ep && hold(ep)) {
		done = ctl_noted(ep, r, i);
		if (!done)
			remove_reg(ep, i);
		unlock(&ep->lock);
	}
	if (!done && (int)r->rsi != EPOLL_CTL_DEL)
		__atomic_store_n(&s->polled, 1, __ATOMIC_SEQ_CST);
	left_end(s);
	return done ? DONE : NATIVE;
}

/* Or it is just about to leave */
static bool may_have_left(const struct gz_slot *s)
{
	uint32_t plane = __atomic_load_n(&s->rx_plane, __ATOMIC_SEQ_CST);

	return plane == GZ_PLANE_NATIVE || plane == GZ_PLANE_TRAP;
}

static int ctl(struct regs *r)
{
	int op = (int)r->rsi, fd = (int)r->rdx;
	const struct epoll_event *ev = (const struct epoll_event *)r->r10;
	int slot = fd < 0 ? NOT_OURS : lookup((uint32_t)fd);
	struct gz_epoll *ep, *inner;
	struct gz_slot *s;
	struct gz_reg *reg;
	uint32_t none = 0;
	bool fresh;
	int rc;

	if (fd >= GZ_FD_MAX)
		return TRAP;
	while (slot >= 0 && !has_datagrams(&SH->slot[slot])) {
		if (!await_back(&SH->slot[slot]))
			return TRAP;
		if (!may_have_left(&SH->slot[slot]))
			break;
		rc = ctl_left(r, (uint32_t)slot);
		if (rc != AGAIN)
			return rc;
	}
	if (slot < 0 || !in_rings(&SH->slot[slot])) {
		inner = fd >= 0 && op == EPOLL_CTL_ADD ? managed((uint32_t)fd) : NULL;
		if (inner)
			epoll_loud(inner, fd);
		else if (slot == NOT_OURS && op == EPOLL_CTL_ADD && may_keep())
			note_inner((uint32_t)fd);
		ep = slot >= 0 ? managed((uint32_t)r->rdi) : NULL;
		if (ep)
			give_to_kernel(ep, (int)r->rdi, (uint32_t)slot); /* it left */
		/* One that is not connected yet may come to the rings: the engine notes it. */
		return slot == ASK || (slot == NOT_OURS && op == EPOLL_CTL_ADD) ? TRAP : NATIVE;
	}
	s = &SH->slot[slot];
	if (__atomic_load_n(&s->watch, __ATOMIC_RELAXED) == GZ_WATCH_LOUD)
		return NATIVE;
	if (op < EPOLL_CTL_ADD || op > EPOLL_CTL_MOD ||
	    (op != EPOLL_CTL_DEL && !is_memory(r->r10, sizeof(*ev), MAY_READ)))
		return NATIVE;
	ep = managed((uint32_t)r->rdi);
	fresh = !ep;
	if (fresh && op != EPOLL_CTL_ADD)
		return NATIVE;
	if (fresh)
		ep = manage_fresh((uint32_t)r->rdi);
	if (!ep)
		return TRAP;
	reg = &ep->reg[slot];
	/*
	 * Among threads that take turns at EPOLLONESHOT nothing may be told twice, nor after a
	 * close: what is ready here and what a token made the kernel tell are two tellers.
	 */
	if (op != EPOLL_CTL_DEL && ev->events & EPOLLONESHOT) {
		give_to_kernel(ep, (int)r->rdi, (uint32_t)slot);
		return TRAP;
	}
	/* In two epolls, or by two numbers, or for one of several: the shadow can do that. */
	if (op != EPOLL_CTL_DEL &&
	    ((is_valid(ep, (uint32_t)slot) && reg->fd != fd) || ev->events & EPOLLEXCLUSIVE ||
	     (!__atomic_compare_exchange_n(&s->watch, &none, index_of(ep), false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED) &&
	      none != index_of(ep))))
		return TRAP;
	if (!hold(ep))
		return TRAP;
	if (!none && op != EPOLL_CTL_DEL)
		watch_changed(s);
	r->rax = ctl_locked(ep, r, (uint32_t)slot, fresh);
	if (r->rax && !none && op != EPOLL_CTL_DEL && !is_valid(ep, (uint32_t)slot))
		remove_reg(ep, (uint32_t)slot);
	unlock(&ep->lock);
	return DONE;
}

/* The number in this process by which an epoll is known, or -1 */
static int number_of(const struct gz_epoll *ep)
{
	for (uint32_t n = 0; n <= KEPT->managed && n < GZ_FD_MAX; n++)
		if (managed(n) == ep)
			return (int)n;
	return -1;
}

void unwatch(uint32_t fd)
{
	int slot = lookup(fd), epfd;
	struct gz_epoll *ep;
	uint32_t watch;

	PRIV->watched[fd / 64] &= ~(1ULL << fd % 64);
	if (slot < 0)
		return;
	watch = __atomic_load_n(&SH->slot[slot].watch, __ATOMIC_ACQUIRE);
	if (!watch) /* it left */
		watch = __atomic_load_n(&SH->slot[slot].watched, __ATOMIC_ACQUIRE);
	if (!watch || watch > GZ_EPOLLS)
		return;
	ep = &SH->epoll[watch - 1];
	if (!is_valid(ep, (uint32_t)slot) || ep->reg[slot].fd != (int)fd)
		return;
	/* Should another process have it open, what was taken out must not live on. */
	epfd = number_of(ep);
	if (ep->reg[slot].native == GZ_REG_OTHER && epfd >= 0)
		tell_kernel(ep, epfd, &ep->reg[slot]);
	remove_reg(ep, (uint32_t)slot);
}

void epoll_loud(struct gz_epoll *ep, int epfd)
{
	/* One that never goes away. */
	if (!__atomic_exchange_n(&ep->eager, 1, __ATOMIC_SEQ_CST))
		epoll_sleeps(ep);
	if (!hold(ep))
		return;
	tell_kernel_all(ep, epfd);
	unlock(&ep->lock);
	for (uint32_t i = 0; i < GZ_SLOTS; i++)
		if (is_valid(ep, i) && in_rings(&SH->slot[i]) &&
		    !__atomic_load_n(&SH->slot[i].token, __ATOMIC_RELAXED) &&
		    !is_empty(&SH->slot[i]))
			ask_for_token(ep->reg[i].fd, i, GZ_POKE_BYTES);
}

void epoll_given_up(struct gz_epoll *ep, int epfd)
{
	uint32_t mine = index_of(ep);

	if (!hold(ep))
		return;
	tell_kernel_all(ep, epfd);
	for (uint32_t i = 0; i < GZ_SLOTS; i++) {
		uint32_t watch = mine;
		bool valid = is_valid(ep, i);

		/* One that left may come back at this very moment: the engine looks once more. */
		if (valid)
			__atomic_store_n(&SH->slot[i].polled, 1, __ATOMIC_SEQ_CST);
		if (valid &&
		    __atomic_compare_exchange_n(&SH->slot[i].watch, &watch, GZ_WATCH_LOUD, false,
						__ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
			watch_changed(&SH->slot[i]);
			/* What came while it was this one's brought no token. */
			if (in_rings(&SH->slot[i]) && !is_empty(&SH->slot[i]))
				ask_for_token(ep->reg[i].fd, i, GZ_POKE_BYTES);
		}
		ep->reg[i].gen = 0;
	}
	unlock(&ep->lock);
}

void epolls_native(void)
{
	for (uint32_t n = 0; KEPT->managed && n <= KEPT->managed && n < GZ_FD_MAX; n++) {
		struct gz_epoll *ep = managed(n);

		if (ep)
			epoll_loud(ep, (int)n);
	}
}

/* --- epoll_wait() --------------------------------------------------------------------- */

/* Look at one whose bit was set.  Return: whether @out was filled */
static bool look_at(struct gz_epoll *ep, int epfd, uint32_t i, struct epoll_event *out)
{
	struct gz_reg *reg = &ep->reg[i];
	uint32_t ev;

	if (!is_valid(ep, i))
		return false;
	if (!in_rings(&SH->slot[i])) {
		/* From here on the kernel's registration is all there is: let it look, too. */
		if (reg->native == GZ_REG_SAME &&
		    ((reg->events & (EPOLLIN | EPOLLOUT)) == EPOLLOUT || reg->events & EPOLLET))
			reg->native = GZ_REG_OTHER;
		if (leave_counted(ep, epfd, i))
			ep->looked = 0;
		else
			mark_ready(ep, i);
		return false;
	}
	if (!(reg->events & ~PRIVATE_BITS))
		return false; /* EPOLLONESHOT, and it was told */
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
		change(ep, i);
		if (ep->eager || __atomic_load_n(&ep->sleepers, __ATOMIC_SEQ_CST))
			tell_kernel(ep, epfd, reg);
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

/* Return: events, -EFAULT, or -EINTR when another one is in here for too long */
static int64_t collect(struct gz_epoll *ep, int epfd, struct epoll_event *out, uint32_t max)
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
	if (!hold(ep))
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

			__atomic_fetch_and(&ep->ready[w], ~(1ULL << i % 64), __ATOMIC_SEQ_CST);
			n += look_at(ep, epfd, i, &out[n]);
			if (n == max)
				ep->next = i + 1;
		}
	}
	unlock(&ep->lock);
	return n;
}

/* Whose is an event of the kernel's?  Return: the slot's number, or NOT_OURS */
static int owner_of(const struct gz_epoll *ep, const struct epoll_event *ev)
{
	uint32_t used = __atomic_load_n(&SH->used, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < used && i < GZ_SLOTS; i++)
		if (is_valid(ep, i) && ep->reg[i].native != GZ_REG_ABSENT &&
		    ep->reg[i].native_data == ev->data.u64)
			return (int)i;
	return NOT_OURS;
}

/* It left the rings, and the kernel did not know yet what the program wants of it. */
static bool was_changed(struct gz_epoll *ep, int epfd, uint32_t i)
{
	if (ep->reg[i].native != GZ_REG_OTHER || !hold(ep))
		return false;
	/* One that is coming back is looked at again. */
	if (!leave_counted(ep, epfd, i))
		mark_ready(ep, i);
	unlock(&ep->lock);
	return true;
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

/* Does the shadow itself explain the event?  Else another descriptor has the same data. */
static bool explains(struct gz_epoll *ep, uint32_t i, const struct epoll_event *ev)
{
	const struct gz_reg *reg = &ep->reg[i];
	struct gz_slot *s = &SH->slot[i];
	struct pollfd p = {.fd = reg->fd, .events = (short)ev->events | EPOLLRDHUP};

	if (is_news(ep, i, ev->events))
		return true;
	if (!(ev->events & ~events_of(reg->fd, i, ev->events & 0xffff))) {
		if (__atomic_load_n(&s->news, __ATOMIC_SEQ_CST))
			mark_ready(ep, i);
		return true;
	}
	call(SYS_poll, (uint64_t)&p, 1, 0, 0);
	if (is_news(ep, i, (uint32_t)(uint16_t)p.revents & NEWS))
		return true;
	if (ev->events & ~(uint32_t)(uint16_t)p.revents)
		return reg->events & EPOLLET; /* an edge is over soon */
	if (ev->events & EPOLLIN && is_empty(s))
		take_stale_token(reg->fd, i);
	/* The shadow would be writable for ever, and the ring is not. */
	if (ev->events & EPOLLOUT && !(reg->events & EPOLLET) && !has_datagrams(s) &&
	    tx_room(s) < GZ_SLOT_WRITABLE) {
		__atomic_store_n(&s->leave, 1, __ATOMIC_SEQ_CST);
		ask_for_token(reg->fd, i, GZ_POKE_BYTES);
	}
	return true;
}

/* Take out what is about sockets in the rings.  Return: how many are left */
static int64_t filter(struct gz_epoll *ep, int epfd, struct epoll_event *ev, int64_t n)
{
	int64_t left = 0;

	for (int64_t k = 0; k < n; k++) {
		int i = owner_of(ep, &ev[k]);

		if (i >= 0 && !in_rings(&SH->slot[i])) {
			/* A token can be read, and may not have been asked for. */
			ev[k].events &= ep->reg[i].events;
			if (!was_changed(ep, epfd, (uint32_t)i) && ev[k].events)
				ev[left++] = ev[k];
			continue;
		}
		if (i < 0 || !explains(ep, (uint32_t)i, &ev[k])) {
			ev[left++] = ev[k];
			continue;
		}
		/* The kernel's is disarmed now, and the program was told nothing. */
		if (ep->reg[i].events & EPOLLONESHOT && hold(ep)) {
			change(ep, (uint32_t)i);
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
	struct epoll_event *out;
	uint32_t max;
	uint64_t mask, mask_size;
	bool forever;
	int64_t timeout; /* ns; it begins when one sleeps for the first time: the clock is a call */
	int64_t until;	 /* ns; 0: it has not begun */
};

/* What the kernel has, without waiting */
static int64_t look(struct ask *a, int64_t n)
{
	int64_t r, room = a->max - n;

	if (!room)
		return n;
	a->ep->looked = tsc();
	r = call6(SYS_epoll_pwait, (uint64_t)a->epfd, (uint64_t)(a->out + n),
		  (uint64_t)(room < BATCH ? room : BATCH), 0, 0, 8);
	if (r < 0)
		return n ? n : r;
	return n + filter(a->ep, a->epfd, a->out + n, r);
}

static bool spin_for(const struct gz_epoll *ep)
{
	struct spin sp;
	bool found;

	spin_begin(&sp);
	do {
		found = is_any(ep);
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

	if (a->mask || __atomic_load_n(&a->ep->eager, __ATOMIC_RELAXED))
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
	if (is_any(a->ep))
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
	struct timespec ts, *timeout = NULL;
	int64_t r = 1, left = INT64_MAX;

	*over = false;
	/* Who changes it from here on tells the kernel at once. */
	epoll_sleeps(a->ep);
	if (!hold(a->ep)) {
		epoll_wakes(a->ep);
		return 0;
	}
	tell_kernel_all(a->ep, a->epfd);
	unlock(&a->ep->lock);
	__atomic_store_n(&a->ep->woken, 0, __ATOMIC_SEQ_CST);
	if (nap || !is_any(a->ep)) {
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
		r = gz_sleep(SYS_epoll_pwait2, (uint64_t)a->epfd, (uint64_t)a->out,
			     a->max < BATCH ? a->max : BATCH, (uint64_t)timeout, a->mask,
			     a->mask_size);
		*over = r == 0 && !nap;
		if (r > 0)
			r = filter(a->ep, a->epfd, a->out, r);
	} else {
		r = 0;
	}
	/* What comes from here on is for those who sleep still. */
	__atomic_store_n(&a->ep->woken, 0, __ATOMIC_SEQ_CST);
	epoll_wakes(a->ep);
	return r;
}

void pass_on(struct gz_epoll *ep)
{
	int other;

	ring_epoll(ep);
	if (!__atomic_load_n(&ep->sleepers, __ATOMIC_SEQ_CST))
		return;
	gather(ep);
	other = ready_one(ep);
	if (other >= 0 && is_valid(ep, (uint32_t)other))
		ask_for_token(ep->reg[other].fd, (uint32_t)other, GZ_POKE_ANY);
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
		int64_t first = due ? look(a, 0) : 0;

		if (first < 0 || first == a->max)
			return first;
		n = collect(a->ep, a->epfd, a->out + first, a->max - (uint32_t)first);
		if (n < 0)
			return first ? first : n;
		n += first;
		if (n == a->max)
			pass_on(a->ep);
		if (!n && !due)
			n = look(a, 0);
		if (n)
			return n;
		/* An event of the kernel's may have been about the rings. */
		if (is_any(a->ep)) {
			n = collect(a->ep, a->epfd, a->out, a->max);
			if (n)
				return n;
		}
		if (over)
			return 0;
		/* The other program of a pair may mark what is not so: time and signals go on. */
		if (spin_for(a->ep) && ++futile < FUTILE)
			continue;
		n = futile == FUTILE ? 0 : doze_for(a);
		if (n < 0)
			return n;
		if (n && ++futile < FUTILE)
			continue;
		n = sleep_natively(a, futile == FUTILE, &over);
		futile = 0;
		if (n)
			return n;
	}
}

int epoll_call(struct regs *r)
{
	struct ask a = {.epfd = (int)r->rdi};

	if (r->rax == SYS_epoll_ctl)
		return ctl(r);
	a.ep = managed((uint32_t)r->rdi);
	if (!a.ep) {
		uint64_t *note = note_waiting((uint32_t)r->rdi);

		/* Who puts a socket in from here on sees the note. */
		a.ep = managed((uint32_t)r->rdi);
		if (!a.ep)
			r->rax = gz_sleep(r->rax, r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9);
		unnote_waiting(note);
		if (!a.ep)
			return DONE;
	}
	if ((int)r->rdx <= 0 || (uint32_t)r->rdx > 1u << 20 ||
	    !in_space(r->rsi, r->rdx * sizeof(struct epoll_event)))
		return NATIVE;
	a.out = (struct epoll_event *)r->rsi;
	a.max = (uint32_t)r->rdx;
	if (r->rax == SYS_epoll_pwait2) {
		const struct timespec *ts = (const struct timespec *)r->r10;

		if (r->r10 && (!is_memory(r->r10, sizeof(*ts), MAY_READ) || ts->tv_sec < 0 ||
			       ts->tv_nsec < 0 || ts->tv_nsec >= 1000000000))
			return NATIVE;
		a.forever = !r->r10 || ts->tv_sec > 1000000000;
		if (!a.forever && (ts->tv_sec || ts->tv_nsec))
			a.timeout = ts->tv_sec * 1000000000LL + ts->tv_nsec;
	} else {
		a.forever = (int)r->r10 < 0;
		if ((int)r->r10 > 0)
			a.timeout = (int)r->r10 * 1000000LL;
	}
	if (r->rax != SYS_epoll_wait) {
		a.mask = r->r8;
		a.mask_size = r->r9;
	}
	r->rax = wait(&a);
	return DONE;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * epoll_ctl.c - What an epoll has of sockets that are in the rings
 *
 * Theory of operation.  Registrations are kept in shared memory.  The kernel's epoll is told
 * of what changed (changed[]) before somebody sleeps on it, and when a socket leaves the
 * rings: programs that put a socket in and take it out for each request do so without a call.
 *
 * What is known of one that left stays there, as long as it is what the kernel's epoll has
 * (gz_slot.watched): it may come back (left.c).
 */
#include <errno.h>

#include "launcher/agent/epoll_inner.h"

#define HOLD_NS 50000000LL /* so long one tries to have the lock */

bool epoll_hold(struct gz_epoll *ep)
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

int ready_one(const struct gz_epoll *ep)
{
	for (uint32_t w = 0; w < GZ_SLOTS / 64; w++) {
		uint64_t bits = __atomic_load_n(&ep->ready[w], __ATOMIC_SEQ_CST);

		for (; bits; bits &= bits - 1) {
			uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(bits);

			if (is_registered(ep, i) && is_armed(&ep->reg[i]))
				return (int)i;
		}
	}
	return -1;
}

void pass_on(struct gz_epoll *ep)
{
	int other;

	ring_epoll(ep);
	if (!__atomic_load_n(&ep->sleepers, __ATOMIC_SEQ_CST))
		return;
	gather(ep);
	other = ready_one(ep);
	if (other >= 0)
		ask_for_token(ep->reg[other].fd, (uint32_t)other, GZ_POKE_ANY);
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
	if (!__atomic_compare_exchange_n(&SH->slot[i].watch, &mine, 0, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_RELAXED))
		return;
	watch_changed(&SH->slot[i]);
	/* A token of this one may have been to wake somebody, who will not see it any more. */
	if (__atomic_load_n(&ep->sleepers, __ATOMIC_SEQ_CST)) {
		__atomic_store_n(&ep->woken, 0, __ATOMIC_SEQ_CST);
		pass_on(ep);
	}
}

/* What the kernel's epoll is to have of a registration, which stays @ours */
static uint32_t native_events(const struct gz_epoll *ep, const struct gz_reg *reg, bool ours)
{
	uint32_t events = reg->events;

	if (!in_rings(&SH->slot[reg - ep->reg]))
		return events;
	/* A token can be read, whatever it tells of. */
	if (events & EPOLLOUT)
		events |= EPOLLIN;
	if (ep->eager)
		return events;
	/* Nor is it the event: that is told here, where it is disarmed then. */
	if (events & EPOLLONESHOT)
		return (events & ~(uint32_t)EPOLLONESHOT) | EPOLLET;
	if (ours && events & EPOLLIN)
		events |= EPOLLRDNORM;
	if (ours && events & EPOLLOUT)
		events |= EPOLLWRNORM;
	return events;
}

/*
 * The same, for the program has taken it out: what the kernel told of it by then is nobody's.
 * The epoll's lock is held.
 */
static void take_out(struct gz_epoll *ep, uint32_t i)
{
	/* In this order: see was_taken_out(). */
	__atomic_store_n(&ep->gone_data[ep->gone % GZ_GONE], ep->reg[i].native_data,
			 __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&ep->gone, 1, __ATOMIC_SEQ_CST);
	remove_reg(ep, i);
}

static int64_t tell(const struct gz_epoll *ep, int epfd, struct gz_reg *reg, bool ours)
{
	struct epoll_event ev = {.events = native_events(ep, reg, ours), .data.u64 = reg->data};
	/* epoll_ctl() cannot disarm one, which goes on telling of its end.  To be told so natively
	 * is better than not to be there. */
	bool there = ep->eager ? reg->events : is_armed(reg), marked = ev.events & MARKS;
	int op = there ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;
	int64_t rc = 0;

	/* A token of one that is disarmed is an edge, and there will be none. */
	if (!there && reg->events && in_rings(&SH->slot[reg - ep->reg]))
		return 0;
	if (reg->native == GZ_REG_ABSENT) {
		op = EPOLL_CTL_ADD;
		/* Before it is there: another thread may be told of it at once, see owner_of(). */
		reg->native_data = reg->data;
		reg->marked = marked;
		if (there)
			__atomic_store_n(&reg->native, GZ_REG_OTHER, __ATOMIC_SEQ_CST);
	}
	/* An event without a mark is not taken for another descriptor's before and after. */
	if (!marked)
		__atomic_store_n(&reg->marked, 0, __ATOMIC_SEQ_CST);
	if (reg->native != GZ_REG_ABSENT || there)
		rc = call(SYS_epoll_ctl, (uint64_t)epfd, (uint64_t)op, (uint64_t)reg->fd,
			  (uint64_t)&ev);
	reg->native = !there || rc		 ? GZ_REG_ABSENT
		      : ev.events == reg->events ? GZ_REG_SAME
						 : GZ_REG_OTHER;
	reg->native_data = reg->data;
	__atomic_store_n(&reg->marked, marked, __ATOMIC_SEQ_CST);
	return rc;
}

int64_t tell_kernel(const struct gz_epoll *ep, int epfd, struct gz_reg *reg)
{
	return tell(ep, epfd, reg, true);
}

void tell_kernel_all(struct gz_epoll *ep, int epfd)
{
	for (uint32_t w = 0; w < GZ_SLOTS / 64; w++) {
		uint64_t bits = __atomic_load_n(&ep->changed[w], __ATOMIC_RELAXED);

		if (bits)
			ep->changed[w] = 0;
		for (; bits; bits &= bits - 1) {
			uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(bits);

			if (!is_registered(ep, i))
				continue;
			tell_kernel(ep, epfd, &ep->reg[i]);
			if (!ep->reg[i].events)
				take_out(ep, i);
		}
	}
}

void reg_changed(struct gz_epoll *ep, uint32_t i)
{
	if (ep->reg[i].native == GZ_REG_SAME)
		ep->reg[i].native = GZ_REG_OTHER;
	ep->changed[i / 64] |= 1ULL << i % 64;
}

/*
 * Lock the epoll that @epfd is.  Return: false, that cannot be had, or it was closed meanwhile:
 * then it may be others' as soon as the lock is free
 */
static bool hold_number(struct gz_epoll *ep, uint32_t epfd)
{
	if (!epoll_hold(ep))
		return false;
	if (managed(epfd) == ep)
		return true;
	unlock(&ep->lock);
	return false;
}

/* @reg is of another file, or of none */
static int64_t ctl_locked(struct gz_epoll *ep, const struct regs *r, uint32_t i, bool fresh)
{
	const struct epoll_event *ev = (const struct epoll_event *)r->r10;
	struct gz_slot *s = &SH->slot[i];
	struct gz_reg *reg = &ep->reg[i];
	int op = (int)r->rsi, fd = (int)r->rdx;
	bool known = is_registered(ep, i), live = known && reg->events;
	struct gz_reg old = *reg;
	int64_t rc;

	if (op == EPOLL_CTL_ADD ? live : !live)
		return op == EPOLL_CTL_ADD ? -EEXIST : -ENOENT;
	if (op == EPOLL_CTL_DEL) {
		reg->events = 0;
		if (reg->native == GZ_REG_ABSENT)
			remove_reg(ep, i);
		else
			reg_changed(ep, i);
	} else {
		reg->events = ev->events | EPOLLHUP | EPOLLERR;
		reg->data = ev->data.u64;
		reg->fd = fd;
		reg->told = 0;
		if (!known) {
			reg->native = GZ_REG_ABSENT;
			reg->native_data = reg->data;
		}
		reg->gen = __atomic_load_n(&s->gen, __ATOMIC_ACQUIRE);
		reg_changed(ep, i);
		__atomic_fetch_or(&PRIV->watched[(uint32_t)fd / 64], 1ULL << fd % 64,
				  __ATOMIC_SEQ_CST);
	}
	/* The kernel knows what is no epoll at all, and what others wait for. */
	if (fresh || ep->eager || __atomic_load_n(&ep->sleepers, __ATOMIC_SEQ_CST)) {
		rc = is_registered(ep, i) ? tell_kernel(ep, (int)r->rdi, reg) : 0;
		if (rc && op != EPOLL_CTL_DEL) {
			*reg = old;
			if (!known)
				remove_reg(ep, i);
			return rc;
		}
		if (!reg->events && is_registered(ep, i))
			take_out(ep, i);
	}
	if (op != EPOLL_CTL_DEL)
		look_anew(ep, fd, i);
	return 0;
}

/* --- those who wait natively -------------------------------------------------------- */

uint64_t *note_waiting(uint32_t fd)
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

void unnote_waiting(uint64_t *word)
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
	bool same;

	if (reg->native != GZ_REG_SAME)
		tell_kernel(ep, epfd, reg);
	if (ep->eager && reg->events & EPOLLONESHOT) {
		/* Who waits past the agent does not disarm it here. */
		__atomic_store_n(&s->polled, 1, __ATOMIC_SEQ_CST);
		remove_reg(ep, i);
		return;
	}
	same = reg->native == GZ_REG_SAME || (reg->events && !is_armed(reg));
	if (same && !watch && __atomic_load_n(&s->watched, __ATOMIC_SEQ_CST) == mine)
		return;
	if (!same || watch != mine) {
		remove_reg(ep, i);
		return;
	}
	/* In this order: it comes back only once nobody watches it. */
	__atomic_store_n(&s->watched, mine, __ATOMIC_SEQ_CST);
	if (__atomic_compare_exchange_n(&s->watch, &watch, 0, false, __ATOMIC_SEQ_CST,
					__ATOMIC_RELAXED))
		watch_changed(s);
}

bool leave_counted(struct gz_epoll *ep, int epfd, uint32_t i)
{
	struct gz_slot *s = &SH->slot[i];
	uint32_t gen;

	if (!left_begin(s, &s->rx_plane, &gen))
		return false;
	leave_to_kernel(ep, epfd, i);
	left_end(s, gen);
	return true;
}

/* The kernel is to have slot @i as it was, before it hears more of it. */
static void give_to_kernel(struct gz_epoll *ep, int epfd, uint32_t i)
{
	if (!is_registered(ep, i) || !epoll_hold(ep))
		return;
	if (ep->reg[i].native != GZ_REG_SAME)
		tell(ep, epfd, &ep->reg[i], false);
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

	if (op != EPOLL_CTL_DEL &&
	    (ev->events & EPOLLEXCLUSIVE || (ep->eager && ev->events & EPOLLONESHOT)))
		return false;
	if (op != EPOLL_CTL_ADD)
		return __atomic_load_n(&s->watched, __ATOMIC_SEQ_CST) == index_of(ep) &&
		       is_registered(ep, i) && ep->reg[i].fd == (int)r->rdx;
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
		take_out(ep, i);
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

/* The kernel's call for slot @i that left; it has not what is disarmed.  Return: as epoll_ctl() */
static int64_t ctl_native(const struct gz_epoll *ep, const struct regs *r, uint32_t i)
{
	uint64_t op = r->rsi;

	if (is_registered(ep, i) && ep->reg[i].native == GZ_REG_ABSENT) {
		if (op == EPOLL_CTL_DEL)
			return 0;
		op = EPOLL_CTL_ADD;
	}
	return call(SYS_epoll_ctl, r->rdi, op, r->rdx, r->r10);
}

/* The call on a socket that left, if the epoll's memory may have it.  Its lock is held. */
static bool ctl_noted(struct gz_epoll *ep, struct regs *r, uint32_t i)
{
	int64_t rc;

	if (is_registered(ep, i))
		leave_to_kernel(ep, (int)r->rdi, i);
	if ((int)r->rsi == EPOLL_CTL_ADD && is_registered(ep, i) && ep->reg[i].fd == (int)r->rdx) {
		r->rax = -EEXIST;
		return true;
	}
	if (!may_note_left(ep, r, i))
		return false;
	rc = ctl_native(ep, r, i);
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
	bool done = false, alone = (int)r->rsi != EPOLL_CTL_DEL;
	uint32_t gen;

	if (!left_begin(s, &s->rx_plane, &gen))
		return AGAIN;
	if (!ep && (int)r->rsi == EPOLL_CTL_ADD)
		ep = manage_fresh((uint32_t)r->rdi);
	if (ep && hold_number(ep, (uint32_t)r->rdi)) {
		done = ctl_noted(ep, r, i);
		alone |= !done && is_registered(ep, i);
		if (!done)
			remove_reg(ep, i);
		unlock(&ep->lock);
	}
	/* It may come back, and what the kernel's epoll has of it is noted nowhere. */
	if (!done && alone)
		__atomic_store_n(&s->polled, 1, __ATOMIC_SEQ_CST);
	left_end(s, gen);
	return done ? DONE : NATIVE;
}

/* Or it is just about to leave */
static bool may_have_left(const struct gz_slot *s)
{
	uint32_t plane = __atomic_load_n(&s->rx_plane, __ATOMIC_SEQ_CST);

	return plane == GZ_PLANE_NATIVE || plane == GZ_PLANE_TRAP || plane == GZ_PLANE_OVER;
}

/* One that is not connected yet may come to the rings: the engine notes it, once. */
static int add_native(struct regs *r, uint32_t fd)
{
	uint64_t seen;

	if (is_told(fd, &seen))
		return NATIVE;
	if (!may_keep())
		return TRAP;
	short_call(r);
	if (!r->rax)
		set_told(fd, seen);
	return DONE;
}

int epoll_ctl_call(struct regs *r)
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
	/* The kernel knows what is wrong with it. */
	if (slot >= 0 && (op < EPOLL_CTL_ADD || op > EPOLL_CTL_MOD ||
			  (op != EPOLL_CTL_DEL && !is_memory(r->r10, sizeof(*ev), MAY_READ)) ||
			  (op == EPOLL_CTL_MOD && ev->events & EPOLLEXCLUSIVE)))
		return NATIVE;
	while (slot >= 0) {
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
		if (slot == NOT_OURS && op == EPOLL_CTL_ADD && fd >= 0)
			return add_native(r, (uint32_t)fd);
		return slot == ASK ? TRAP : NATIVE;
	}
	s = &SH->slot[slot];
	if (__atomic_load_n(&s->watch, __ATOMIC_RELAXED) == GZ_WATCH_LOUD)
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
	/* Of EPOLLONESHOT nothing may be told twice: by the kernel, to who waits past the agent. */
	if (op != EPOLL_CTL_DEL && ev->events & EPOLLONESHOT && ep->eager) {
		give_to_kernel(ep, (int)r->rdi, (uint32_t)slot);
		return TRAP;
	}
	if (!hold_number(ep, (uint32_t)r->rdi))
		return TRAP;
	/* In two epolls, or by two numbers, or for one of several: the shadow can do that.  Locked,
	 * or who takes out what was removed before may take back that it is watched. */
	if (op != EPOLL_CTL_DEL &&
	    ((is_registered(ep, (uint32_t)slot) && reg->fd != fd) || ev->events & EPOLLEXCLUSIVE ||
	     (!__atomic_compare_exchange_n(&s->watch, &none, index_of(ep), false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED) &&
	      none != index_of(ep)))) {
		unlock(&ep->lock);
		return TRAP;
	}
	if (!none && op != EPOLL_CTL_DEL)
		watch_changed(s);
	r->rax = ctl_locked(ep, r, (uint32_t)slot, fresh);
	if (r->rax && !none && op != EPOLL_CTL_DEL && !is_registered(ep, (uint32_t)slot))
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
	struct gz_reg *reg;
	uint32_t watch;
	bool held;

	PRIV->watched[fd / 64] &= ~(1ULL << fd % 64);
	if (slot < 0)
		return;
	watch = __atomic_load_n(&SH->slot[slot].watch, __ATOMIC_ACQUIRE);
	if (!watch) /* it left */
		watch = __atomic_load_n(&SH->slot[slot].watched, __ATOMIC_ACQUIRE);
	if (!watch || watch > GZ_EPOLLS)
		return;
	ep = &SH->epoll[watch - 1];
	reg = &ep->reg[slot];
	if (!is_registered(ep, (uint32_t)slot) || reg->fd != (int)fd)
		return;
	held = epoll_hold(ep);
	/* Who closes what has EPOLLONESHOT hears no more of it, from whichever thread. */
	if (reg->events & EPOLLONESHOT)
		reg->events = 0;
	/* Should somebody have it open still, what was taken out must not live on, and what is
	 * there is the kernel's alone from here on. */
	if ((!reg->events || reg->marked || ep->changed[slot / 64] & 1ULL << slot % 64) &&
	    reg->native != GZ_REG_ABSENT && (epfd = number_of(ep)) >= 0)
		tell(ep, epfd, reg, false);
	take_out(ep, (uint32_t)slot);
	if (held)
		unlock(&ep->lock);
}

/*
 * Who waits past the agent is to see what the program has asked for, with no marks; and of those
 * with EPOLLONESHOT the kernel tells.  The epoll is eager, and locked.
 */
static void unmark_all(struct gz_epoll *ep, int epfd)
{
	for (uint32_t i = 0; i < GZ_SLOTS; i++) {
		if (!is_registered(ep, i))
			continue;
		if (ep->reg[i].marked || ep->reg[i].events & EPOLLONESHOT)
			reg_changed(ep, i);
		if (!(ep->reg[i].events & EPOLLONESHOT))
			continue;
		if (in_rings(&SH->slot[i]))
			__atomic_store_n(&SH->slot[i].leave, 1, __ATOMIC_SEQ_CST);
		else if (!leave_counted(ep, epfd, i))
			mark_ready(ep, i);
	}
}

void epoll_loud(struct gz_epoll *ep, int epfd)
{
	/* One that never goes away. */
	if (!__atomic_exchange_n(&ep->eager, 1, __ATOMIC_SEQ_CST))
		epoll_sleeps(ep);
	if (!epoll_hold(ep))
		return;
	unmark_all(ep, epfd);
	tell_kernel_all(ep, epfd);
	unlock(&ep->lock);
	for (uint32_t i = 0; i < GZ_SLOTS; i++)
		if (is_registered(ep, i) && in_rings(&SH->slot[i]) &&
		    (__atomic_load_n(&SH->slot[i].leave, __ATOMIC_RELAXED) ||
		     (!__atomic_load_n(&SH->slot[i].token, __ATOMIC_RELAXED) &&
		      !is_empty(&SH->slot[i]))))
			ask_for_token(ep->reg[i].fd, i, GZ_POKE_BYTES);
}

void epoll_given_up(struct gz_epoll *ep, int epfd)
{
	uint32_t mine = index_of(ep);

	ep->eager = 1;
	unmark_all(ep, epfd);
	tell_kernel_all(ep, epfd);
	for (uint32_t i = 0; i < GZ_SLOTS; i++) {
		uint32_t watch = mine;
		bool valid = is_registered(ep, i);

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
}

void epolls_native(void)
{
	for (uint32_t n = 0; KEPT->managed && n <= KEPT->managed && n < GZ_FD_MAX; n++) {
		struct gz_epoll *ep = managed(n);

		if (ep)
			epoll_loud(ep, (int)n);
	}
}

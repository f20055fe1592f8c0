/* SPDX-License-Identifier: BSD-3-Clause
 *
 * left.c - Calls for a socket that left the rings
 *
 * Theory of operation.  The shadow has its bytes, and the kernel's calls on it are right.  But
 * it may come back (engine/back.c), which must not be while somebody is in such a call.  So
 * who makes one counts itself (gz_slot.natives), and looks at the planes once more; the
 * engine sets them, and looks at the count.  A counted thread may hold no file meanwhile (poll()
 * that looks), so the socket may go, and its slot be another's, which is counted anew.  Who leaves
 * a call by longjmp() stays counted, and the socket stays.
 */
#include <errno.h>
#include <sys/syscall.h>

#include "launcher/agent/agent.h"

#define ASK_US 1000000
#define BACK_NS 200000000LL /* others may have the worker's core */

bool await_back(const struct gz_slot *s)
{
	int64_t until = 0;

	while (__atomic_load_n(&s->rx_plane, __ATOMIC_SEQ_CST) == GZ_PLANE_BACK ||
	       __atomic_load_n(&s->tx_plane, __ATOMIC_SEQ_CST) == GZ_PLANE_BACK) {
		if (!until)
			until = now_ns() + BACK_NS;
		else if (now_ns() > until)
			return false;
		call(SYS_sched_yield, 0, 0, 0, 0);
	}
	return true;
}

uint32_t count_in(uint64_t *word)
{
	return (uint32_t)(__atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST) >> 32);
}

void count_out(uint64_t *word, uint32_t gen)
{
	uint64_t now = __atomic_load_n(word, __ATOMIC_SEQ_CST);

	while (now >> 32 == gen && GZ_COUNT(now) &&
	       !__atomic_compare_exchange_n(word, &now, now - 1, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST))
		;
}

bool left_begin(struct gz_slot *s, const uint32_t *plane, uint32_t *gen)
{
	uint32_t now;

	*gen = count_in(&s->natives);
	now = __atomic_load_n(plane, __ATOMIC_SEQ_CST);
	if (now != GZ_PLANE_RING && now != GZ_PLANE_BACK)
		return true;
	left_end(s, *gen);
	return false;
}

void left_end(struct gz_slot *s, uint32_t gen)
{
	count_out(&s->natives, gen);
}

void ask_back(int fd, struct gz_slot *s)
{
	uint64_t back = __atomic_load_n(&s->back, __ATOMIC_RELAXED);

	/* One of those who see it, and another one if the engine says nothing */
	if (back && (int64_t)(tsc() - back) > 0 &&
	    __atomic_compare_exchange_n(&s->back, &back, tsc() + (uint64_t)ASK_US * SH->mhz, false,
					__ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		gz_ask_about(GZ_ASK_BACK, (uint64_t)(uint32_t)fd, 0, 0, 0);
}

/*
 * The error of a connection that is over: the shadow says when it is its turn to be told.  Which
 * one it is, and whether it was told, stands in the slot.
 */
static int64_t right_error(struct gz_slot *s, int64_t r)
{
	uint32_t e = 0;

	if (r == -ECONNRESET)
		e = __atomic_exchange_n(&s->so_error, 0, __ATOMIC_SEQ_CST);
	return e ? -(int64_t)e : r;
}

int left_call(struct io *io, bool receives)
{
	const uint32_t *plane = receives ? &io->s->rx_plane : &io->s->tx_plane;
	struct regs *r = io->r;
	uint32_t gen;

	if (!left_begin(io->s, plane, &gen))
		return AGAIN;
	r->rax = let_signals(io)
		     ? gz_sleep(r->rax, (uint64_t)io->fd, r->rsi, r->rdx, r->r10, r->r8, r->r9)
		     : -EINTR;
	left_end(io->s, gen);
	if (receives)
		r->rax = right_error(io->s, r->rax);
	return DONE;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * doze.c - A sleep that the other end ends
 *
 * Theory of operation.  Who sleeps in the kernel's poll() is woken by a token, which only
 * the engine can send: for a lane that is two wake-ups, the worker's and then the
 * program's.  So one dozes first, in futex(2) on a word that the other program and the
 * engine reach, and whoever of them has news rings (struct gz_bell).
 *
 * The word says nothing of the kernel's descriptors, of an engine that is gone, or of
 * time; so a doze is short, and who was not woken sleeps natively then.  An end that never
 * rings delays by no more than that.
 */
#include <errno.h>
#include <time.h>

#include "launcher/agent/agent.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449 /* Linux 5.16 */
#endif

static void set_bell(struct doze *d, struct gz_bell *b)
{
	d->bell = b;
	d->count = __atomic_load_n(&b->count, __ATOMIC_SEQ_CST);
	__atomic_store_n(&b->wanted, 1, __ATOMIC_SEQ_CST);
}

void doze_on_slot(struct doze *d, struct gz_slot *s)
{
	struct lane l;

	set_bell(d, &s->bell);
	/* The engine rings both. */
	if (lane_of(s, &l))
		set_bell(d, &l.mine->bell);
}

bool doze_on_epoll(struct doze *d, struct gz_epoll *ep)
{
	struct gz_lane_watch *w;
	uint32_t first = GZ_WINDOWS;

	set_bell(d, &ep->bell);
	for (uint32_t k = 0; (w = next_watch(ep, &k)); k++) {
		/* Both ends of a pair may be this client's: whoever rings the one rings the other.
		 */
		if (first != GZ_WINDOWS && k / 2 != first)
			return false;
		first = k / 2;
		set_bell(d, &w->bell);
	}
	return true;
}

/* futex_waitv(2) restarts as recv(), where FUTEX_WAIT with a time does not. */
static int64_t wait_restarting(const struct doze *d, uint32_t us)
{
	struct futex_waitv w = {
	    .val = d->count, .uaddr = (uint64_t)&d->bell->count, .flags = FUTEX_32};
	int64_t until = now_ns() + us * 1000LL;
	struct timespec ts = {until / 1000000000, until % 1000000000};

	return gz_sleep(SYS_futex_waitv, (uint64_t)&w, 1, 0, (uint64_t)&ts, CLOCK_MONOTONIC, 0);
}

int64_t doze(const struct doze *d, uint32_t us, bool restarts)
{
	struct timespec ts = {0, us * 1000LL};
	int64_t r;

	if (restarts)
		r = wait_restarting(d, us);
	else
		r = gz_sleep(SYS_futex, (uint64_t)&d->bell->count, FUTEX_WAIT, d->count,
			     (uint64_t)&ts, 0, 0);
	if (r >= 0 || r == -EAGAIN)
		return 1;
	return r == -EINTR || r == -GZ_KICKED ? r : 0;
}

void ring_epoll(struct gz_epoll *ep)
{
	struct gz_lane_watch *w;

	if (!__atomic_load_n(&ep->bell.wanted, __ATOMIC_SEQ_CST))
		return;
	ring_bell(&ep->bell);
	for (uint32_t k = 0; (w = next_watch(ep, &k)); k++)
		ring_bell(&w->bell);
}

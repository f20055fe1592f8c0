/* SPDX-License-Identifier: BSD-3-Clause
 *
 * wake.c - Who waits for a socket in the rings is woken
 *
 * Theory of operation.  Who sleeps in the kernel's poll() sees a token, a byte in the shadow.
 * Who dozes (launcher/agent/doze.c) is rung, without one.  An epoll's bit says which socket
 * it is to look at; it is set first.  All of it is the worker's; plane.c says when.
 */
#include <limits.h>
#include <linux/futex.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/client.h"
#include "engine/counters.h"
#include "engine/lane.h"
#include "engine/plane_inner.h"
#include "engine/udp.h"

/* One for each arrival, read or not: who waits for edges (EPOLLET) must get one. */
void gz_plane_token(struct gz_sock *s)
{
	uint32_t *token = &slot_of(s)->token;

	if (s->end_fd < 0 && s->type == SOCK_STREAM)
		return;
	__atomic_fetch_add(token, 1, __ATOMIC_SEQ_CST);
	if (s->type == SOCK_STREAM ? send(s->end_fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0
				   : !gz_udp_token(s))
		__atomic_fetch_sub(token, 1, __ATOMIC_SEQ_CST); /* there are many, or nobody */
	else
		gz_count(GZ_C_RING_TOKENS);
}

/*
 * The epoll that is told of what happens to the socket, or NULL.  One whose process was killed may
 * be another's by now, which knows nothing of that one's sockets.
 */
static struct gz_epoll *watched_by(struct gz_sock *s)
{
	const struct gz_slot *slot = slot_of(s);
	uint32_t watch = __atomic_load_n(&slot->watch, __ATOMIC_SEQ_CST);
	struct gz_epoll *ep;

	if (!watch || watch > GZ_EPOLLS)
		return NULL;
	ep = &s->client->plane->sh->epoll[watch - 1];
	return __atomic_load_n(&ep->reg[s->ring.i].gen, __ATOMIC_SEQ_CST) == slot->gen ? ep : NULL;
}

void gz_plane_ring_bell(struct gz_bell *b)
{
	if (gz_bell_wants(b))
		syscall(SYS_futex, &b->count, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Who dozes on the socket, or in its epoll, is to look. */
static void ring_bells(struct gz_sock *s)
{
	struct gz_epoll *ep = watched_by(s);

	gz_plane_ring_bell(&slot_of(s)->bell);
	gz_lane_ring_bell(s);
	if (!ep || !__atomic_load_n(&ep->bell.wanted, __ATOMIC_SEQ_CST))
		return;
	gz_plane_ring_bell(&ep->bell);
	gz_lane_ring_epoll(s->client->plane, (uint32_t)(ep - s->client->plane->sh->epoll));
}

void gz_plane_mark_ready(struct gz_sock *s)
{
	struct gz_epoll *ep = watched_by(s);
	uint32_t i = (uint32_t)s->ring.i;

	if (ep)
		__atomic_fetch_or(&ep->ready[i / 64], 1ULL << i % 64, __ATOMIC_SEQ_CST);
	ring_bells(s);
}

bool gz_plane_is_eager(struct gz_sock *s)
{
	const struct gz_epoll *ep = watched_by(s);

	return ep && __atomic_load_n(&ep->eager, __ATOMIC_SEQ_CST);
}

/* Is a token wanted?  One for each sleep, unless somebody reads them who is no agent. */
static bool is_slept_on(struct gz_sock *s)
{
	struct gz_epoll *ep = watched_by(s);

	if (!ep)
		return slot_of(s)->watch == GZ_WATCH_LOUD;
	/* The kernel's registration would not see it, and the token would be the only one. */
	if (!(__atomic_load_n(&ep->reg[s->ring.i].events, __ATOMIC_SEQ_CST) &
	      (EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM)))
		return false;
	if (!__atomic_load_n(&ep->sleepers, __ATOMIC_SEQ_CST))
		return false;
	if (__atomic_load_n(&ep->eager, __ATOMIC_RELAXED))
		return true;
	if (__atomic_exchange_n(&ep->woken, 1, __ATOMIC_SEQ_CST))
		return false;
	/* It may have been taken out just now: its token would wake nobody. */
	if (watched_by(s) != ep)
		__atomic_store_n(&ep->woken, 0, __ATOMIC_SEQ_CST);
	return true;
}

void gz_plane_wake(struct gz_sock *s)
{
	ring_bells(s);
	if (is_slept_on(s) || __atomic_load_n(&slot_of(s)->want, __ATOMIC_SEQ_CST))
		gz_plane_token(s);
}

void gz_plane_wake_others(struct gz_sock *s)
{
	struct gz_plane *p = s->client->plane;
	struct gz_epoll *ep = watched_by(s);

	if (!ep || !__atomic_load_n(&ep->sleepers, __ATOMIC_SEQ_CST))
		return;
	__atomic_store_n(&ep->woken, 0, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < GZ_SLOTS; i++) {
		struct gz_sock *o = gz_plane_owner(p, i);

		if (!o || o == s || !gz_plane_is_ring(o) || watched_by(o) != ep ||
		    !gz_plane_unread(o))
			continue;
		gz_plane_wake(o);
		return;
	}
}

void gz_plane_tell(struct gz_sock *s)
{
	gz_plane_mark_ready(s);
	gz_plane_wake(s);
}

void gz_plane_poked(struct gz_sock *s)
{
	struct gz_slot *slot = slot_of(s);

	uint32_t poke = __atomic_load_n(&slot->poke, __ATOMIC_SEQ_CST);

	if (!poke)
		return;
	poke = __atomic_exchange_n(&slot->poke, 0, __ATOMIC_SEQ_CST);
	if (poke & GZ_POKE_ANY || (poke & GZ_POKE_BYTES && gz_plane_unread(s)))
		gz_plane_token(s);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * plane_error.c - SO_ERROR of sockets in the rings, and TCP sockets that have none
 *
 * From gz_plane_set_over() on the error is a word of the slot, which the agent takes too.
 */
#include "engine/plane.h"
#include "engine/plane_inner.h"

void gz_plane_set_over(struct gz_sock *s, int error)
{
	struct gz_slot *slot = slot_of(s);

	__atomic_store_n(&slot->so_error, (uint32_t)error, __ATOMIC_SEQ_CST);
	atomic_store(&s->ring.over, true);
	__atomic_fetch_or(&slot->tx_tail, GZ_RING_CLOSED, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->tx_plane, GZ_PLANE_OVER, __ATOMIC_SEQ_CST);
	gz_slot_wake_senders(slot);
}

/* One that has left, too: send() of its shadow would not have the error, but EPIPE alone. */
void gz_plane_over(struct gz_sock *s, int error)
{
	uint32_t plane = atomic_load(&s->ring.plane);

	if (s->ring.i < 0 || (plane != GZ_PLANE_RING && plane != GZ_PLANE_NATIVE) ||
	    atomic_load(&s->ring.over))
		return;
	gz_plane_set_over(s, error);
}

/* The program may have written anything there. */
static int error_number(uint32_t e)
{
	return e < 4096 ? (int)e : 0;
}

int gz_plane_take_error(struct gz_sock *s)
{
	int e = atomic_exchange(&s->error, 0);

	if (!atomic_load(&s->ring.over))
		return e;
	return error_number(__atomic_exchange_n(&slot_of(s)->so_error, 0, __ATOMIC_SEQ_CST));
}

int gz_plane_take_kept(struct gz_sock *s)
{
	if (s->ring.i < 0 || !gz_plane_is_ring(s))
		return 0;
	return error_number(
	    -(uint32_t)__atomic_exchange_n(&slot_of(s)->error, 0, __ATOMIC_SEQ_CST));
}

int gz_plane_error(const struct gz_sock *s)
{
	if (!atomic_load(&s->ring.over))
		return atomic_load(&s->error);
	return error_number(__atomic_load_n(&slot_of(s)->so_error, __ATOMIC_SEQ_CST));
}

/* Where @ino is among those of a set, or else the first that is @other; -1: neither is there */
static int place_of(const uint64_t *set, uint64_t ino, uint64_t other)
{
	int found = -1;

	for (int i = 0; i < GZ_FRESH_PLACES; i++) {
		uint64_t is = __atomic_load_n(&set[i], __ATOMIC_RELAXED);

		if (is == ino)
			return i;
		if (is == other && found < 0)
			found = i;
	}
	return found;
}

bool gz_plane_fresh(struct gz_sock *s, bool is)
{
	struct gz_plane *p = s->client->plane;
	uint64_t ino = s->ino, *set;
	int i;

	if (!p || !ino)
		return false;
	set = p->sh->fresh[ino % GZ_FRESH_SETS];
	pthread_mutex_lock(&p->lock);
	i = place_of(set, ino, is ? 0 : ino);
	if (i < 0 && is)
		i = (int)(p->next_fresh++ % GZ_FRESH_PLACES);
	if (i >= 0)
		__atomic_store_n(&set[i], is ? ino : 0, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&p->lock);
	return i >= 0;
}

void gz_plane_ask_anew(struct gz_client *c)
{
	if (c->plane)
		__atomic_fetch_add(&c->plane->sh->epoch, 1, __ATOMIC_SEQ_CST);
}

void gz_plane_stale(struct gz_sock *s)
{
	struct gz_plane *p = s->client->plane;
	uint32_t i = (uint32_t)s->ring.i;

	if (!p)
		return;
	if (s->ring.i >= 0) {
		pthread_mutex_lock(&p->lock);
		__atomic_store_n(&p->sh->ino[i], 0, __ATOMIC_SEQ_CST);
		p->gen[i] += 2;
		__atomic_store_n(&p->sh->slot[i].gen, p->gen[i], __ATOMIC_SEQ_CST);
		pthread_mutex_unlock(&p->lock);
	}
	gz_plane_fresh(s, true);
	gz_plane_ask_anew(s->client);
}

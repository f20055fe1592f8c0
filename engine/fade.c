/* SPDX-License-Identifier: BSD-3-Clause
 *
 * fade.c - The last close was seen, and bytes are in the ring
 *
 * Theory of operation.  Bytes that are unread at the last close reset the connection.  But a
 * thread that is in recv() holds the file until the token wakes it, and takes the bytes only
 * then: the hang-up is seen before that.  Such a thread is counted (gz_slot.takers) and given
 * time, for it may wait for a processor; not for ever, for it may have been killed, or have
 * left by longjmp().  One that is counted no more, or not yet, gets a moment.
 */
#include "engine/plane_inner.h"
#include "engine/worker.h"

#define FADE_NS 20000000ull
#define TAKE_NS 2000000000ull /* a thread is known to be about to take them */

void gz_plane_stop_fading(struct gz_sock *s)
{
	if (!s->ring.fades || s->ring.fades == UINT64_MAX)
		return;
	LIST_REMOVE(s, ring.fading);
	s->ring.fades = UINT64_MAX; /* it was given its time */
}

static uint64_t fade_time(const struct gz_sock *s)
{
	const uint64_t takers = __atomic_load_n(&slot_of(s)->takers, __ATOMIC_SEQ_CST);

	return GZ_COUNT(takers) ? TAKE_NS : FADE_NS;
}

bool gz_plane_is_fading(struct gz_worker *w, struct gz_sock *s)
{
	if (s->ring.i < 0 || s->ring.fades == UINT64_MAX || !s->on_worker)
		return false;
	if (!gz_plane_is_ring(s) || !gz_plane_unread(s) ||
	    (s->ring.fades && w->now - s->ring.fades >= fade_time(s))) {
		gz_plane_stop_fading(s);
		return false;
	}
	if (!s->ring.fades) {
		s->ring.fades = w->now;
		LIST_INSERT_HEAD(&w->fading, s, ring.fading);
	}
	return true;
}

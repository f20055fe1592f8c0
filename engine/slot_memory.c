/* SPDX-License-Identifier: BSD-3-Clause
 *
 * slot_memory.c - Pages of a slot's rings go back to the kernel when they are not used
 *
 * Theory of operation.  A slot's two rings begin without a page and get one where bytes pass;
 * positions go on for ever, so that a connection with small messages touches all of them in
 * the end.  Once a second the worker looks at its slots: where nothing has passed since the
 * last time, and nothing is there, it takes the pages out of the memfd (MADV_REMOVE), for the
 * program as well.  So with slots that nobody has any more.
 *
 * An agent may be copying into the tx ring meanwhile, and commit after that.  So the ring is
 * closed first, and is opened again at other positions, which mean the same places: what was
 * begun before does not commit, and is done again.
 */
#include <errno.h>
#include <sys/mman.h>

#include "engine/counters.h"
#include "engine/plane_inner.h"
#include "engine/worker.h"

/* Close the tx ring, if there is nothing in it.  Return: false, there is */
static bool shut(struct gz_slot *slot, uint64_t head)
{
	uint64_t tail = head;

	return __atomic_compare_exchange_n(&slot->tx_tail, &tail, head | GZ_RING_CLOSED, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) ||
	       tail == (head | GZ_RING_CLOSED);
}

static void forget(struct gz_plane *p, uint32_t i)
{
	if (madvise(gz_slot_rx(p->sh, i), 2 * GZ_SLOT_RING, MADV_REMOVE) < 0)
		return;
	p->touched[i] = false;
	gz_count(GZ_C_RING_TRIMMED);
}

/* Its owner's; in a lane, or after it has left, its rings are closed already. */
static void trim_used(struct gz_sock *s)
{
	struct gz_plane *p = s->client->plane;
	const uint32_t i = (uint32_t)s->ring.i;
	struct gz_slot *slot = slot_of(s);
	const uint64_t mark = s->ring.rx_tail + s->ring.tx_head;
	uint32_t used;
	bool opens;

	if (s->ring.trim_mark != mark) {
		s->ring.trim_mark = mark;
		p->touched[i] = true;
		return;
	}
	if (!p->touched[i] || !gz_plane_rx_used(s, &used) || used)
		return;
	opens = gz_plane_is_ring(s) && !s->ring.pair;
	if (!shut(slot, s->ring.tx_head))
		return;
	forget(p, i);
	s->ring.tx_head += GZ_SLOT_RING;
	s->ring.trim_mark += GZ_SLOT_RING;
	/* In this order: in between there seems to be no room. */
	__atomic_store_n(&slot->tx_tail, s->ring.tx_head | GZ_RING_CLOSED, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->tx_head, s->ring.tx_head, __ATOMIC_SEQ_CST);
	if (opens)
		gz_plane_open_tx(s);
}

static void trim_free(struct gz_plane *p, uint32_t i)
{
	pthread_mutex_lock(&p->lock);
	if (p->touched[i] && !(p->gen[i] & 1))
		forget(p, i);
	pthread_mutex_unlock(&p->lock);
}

void gz_plane_trim(struct gz_worker *w, struct gz_plane *p)
{
	const uint32_t used = __atomic_load_n(&p->sh->used, __ATOMIC_RELAXED);

	for (uint32_t i = 0; i < GZ_SLOTS && i < used; i++) {
		if (i / 64 % gz_nworkers != w->index)
			continue;
		if (p->owner[i])
			trim_used(p->owner[i]);
		else if (p->touched[i])
			trim_free(p, i);
	}
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * pace.c - Bytes leave at a rate, not a window at once
 *
 * Theory of operation.  Each byte that is sent moves a flow's clock on by what it takes at the
 * flow's rate; while that clock is behind the real one it may send, a millisecond's bytes at a
 * time.  A flow that has to wait, for that or to see whether something is lost (rack.c), is on a
 * wheel of 64 slots of 256 us, whose used ones are the bits of a word: with nobody there the worker
 * sleeps as long as it would, and else until the first of them.
 */
#include <stddef.h>

#include "engine/pace.h"
#include "engine/ports.h"
#include "engine/sack.h"
#include "engine/worker.h"

#define SEC 1000000000ull
#define US 1000ull
#define PIECE (1000 * US)
#define PIECE_MOST (64u << 10)
#define SLOT (256 * US)
#define SLOTS 64u

LIST_HEAD(gz_pace_slot, gz_flow);

static struct {
	struct gz_pace_slot slot[SLOTS];
	uint64_t used; /* a bit a slot: it may have some */
	uint64_t now;  /* the last slot that was looked at */
} wheel;

uint32_t gz_pace_budget(struct gz_measure *m, uint64_t rate, uint32_t mss)
{
	uint64_t now = gz_worker.now, late = US * (m->srtt8 >> 5), piece = rate * PIECE / SEC;
	struct gz_pace *c = &m->pace;

	piece = piece > PIECE_MOST ? PIECE_MOST : piece < 2 * mss ? 2 * mss : piece;
	if (c->at < now - late)
		c->at = now - late;
	c->at += (m->bytes_sent - c->paid) * SEC / rate;
	c->paid = m->bytes_sent;
	return c->at > now ? 0 : (uint32_t)((now - c->at) * rate / SEC + piece);
}

void gz_pace_wait(struct gz_flow *f, uint64_t at)
{
	uint64_t slot = at / SLOT + 1, now = gz_worker.now / SLOT;

	/* Who has to wait longer is looked at for nothing. */
	slot = slot <= now ? now + 1 : slot >= now + SLOTS ? now + SLOTS - 1 : slot;
	if (f->measure.pace.waits && f->measure.pace.slot <= slot)
		return;
	gz_pace_cancel(f);
	if (!wheel.used)
		wheel.now = now;
	f->measure.pace.waits = true;
	f->measure.pace.slot = slot;
	LIST_INSERT_HEAD(&wheel.slot[slot % SLOTS], f, paced);
	wheel.used |= 1ull << slot % SLOTS;
}

void gz_pace_cancel(struct gz_flow *f)
{
	if (f->measure.pace.waits)
		LIST_REMOVE(f, paced);
	f->measure.pace.waits = false;
}

uint64_t gz_pace_run(void)
{
	uint64_t now = gz_worker.now / SLOT;
	struct gz_flow *f;

	if (!wheel.used)
		return UINT64_MAX;
	for (unsigned n = 0; wheel.now < now && n < SLOTS; n++) {
		struct gz_pace_slot *s = &wheel.slot[++wheel.now % SLOTS], due;

		if (!(wheel.used >> wheel.now % SLOTS & 1))
			continue;
		wheel.used &= ~(1ull << wheel.now % SLOTS);
		/* Who has to wait again may have this slot's next turn. */
		due.lh_first = s->lh_first;
		if (due.lh_first)
			due.lh_first->paced.le_prev = &due.lh_first;
		LIST_INIT(s);
		while ((f = LIST_FIRST(&due))) {
			gz_pace_cancel(f);
			gz_sack_go_on(f);
		}
	}
	wheel.now = now;
	for (uint64_t i = 1; i <= SLOTS; i++)
		if (wheel.used >> (now + i) % SLOTS & 1)
			return (now + i) * SLOT - gz_worker.now;
	return UINT64_MAX;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * lane.c - Bytes that go from one program to another without the engine
 *
 * Theory of operation.  A connection between two programs of one engine has a *lane*: two
 * rings in memory that the two clients share and nobody else (struct gz_pair_memory), while
 * nothing but bytes happens to it.  Who sends writes there, sets the bit of the epoll that
 * the other end is in, and that is all, if nobody sleeps.  Where somebody may
 * (gz_lane_end.call, gz_lane_watch.asleep) it tells the worker, which has the tokens.
 *
 * Both words are set before one looks for the last time and sleeps.  Whoever clears them
 * because nobody sleeps looks once more after that; if somebody does by then, it sets them
 * again, and looks for what was sent in between.
 *
 * The memory is mapped when it is needed for the first time.  Its descriptor is asked of the
 * engine, by a call that traps.  A process that cannot map it says so: its client then has
 * no lanes any more.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "launcher/agent/agent.h"

#define MAP_NS 1000000000LL
#define MAP_TRIES 100

/* --- mapping ------------------------------------------------------------------------ */

/* Return: false, it is this very thread's, in a frame below, or somebody's for too long */
static bool lock_map(uint32_t *l)
{
	uint32_t self = (uint32_t)call(SYS_gettid, 0, 0, 0, 0), holder = 0;
	int64_t until = now_ns() + MAP_NS;

	while (!__atomic_compare_exchange_n(l, &holder, self, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_RELAXED)) {
		if (holder == self || now_ns() > until)
			return false;
		holder = 0;
		call(SYS_sched_yield, 0, 0, 0, 0);
	}
	return true;
}

/* Return: false, it cannot be had */
static bool map_pair(uint32_t w, uint32_t pair)
{
	uint64_t at = (uint64_t)window(w);
	int64_t fd = gz_ask(w), r;

	if (fd < 0)
		return false;
	r = call6(SYS_mmap, at, GZ_PAIR_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		  (uint64_t)fd, 0);
	call(SYS_close, (uint64_t)fd, 0, 0, 0);
	if (r != (int64_t)at)
		return false;
	call(SYS_madvise, at, GZ_PAIR_SIZE, MADV_DONTDUMP, 0);
	/* It may have been another one's by then. */
	if (__atomic_load_n(&SH->window[w], __ATOMIC_SEQ_CST) == pair)
		__atomic_store_n(&KEPT->window[w], pair, __ATOMIC_SEQ_CST);
	return true;
}

bool map_window(uint32_t w)
{
	bool known = false, refused = !lock_map(&PRIV->map_lock);

	for (int i = 0; i < MAP_TRIES && !known && !refused; i++) {
		uint32_t pair = __atomic_load_n(&SH->window[w], __ATOMIC_SEQ_CST);

		if (!pair)
			break;
		known = __atomic_load_n(&KEPT->window[w], __ATOMIC_SEQ_CST) == pair;
		refused = !known && !map_pair(w, pair) &&
			  __atomic_load_n(&SH->window[w], __ATOMIC_SEQ_CST) == pair;
	}
	__atomic_compare_exchange_n(&PRIV->map_lock,
				    &(uint32_t){(uint32_t)call(SYS_gettid, 0, 0, 0, 0)}, 0, false,
				    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	if (refused)
		gz_ask(GZ_ASK_REFUSE);
	return known;
}

/* --- a slot's rings ------------------------------------------------------------------- */

struct ring rx_ring(struct gz_slot *s)
{
	struct ring r = {.is_lane = lane_of(s, &r.lane)};

	if (r.is_lane) {
		r.head = &r.lane.mine->head;
		r.tail = &r.lane.other->tail;
		r.data = gz_lane_data(r.lane.pair, r.lane.number, !r.lane.end);
		r.size = GZ_LANE_RING;
	} else {
		r.head = &s->rx_head;
		r.tail = &s->rx_tail;
		r.data = gz_slot_rx(SH, (uint32_t)(s - SH->slot));
		r.size = GZ_SLOT_RING;
	}
	return r;
}

struct ring tx_ring(struct gz_slot *s)
{
	struct ring r = {.is_lane = lane_of(s, &r.lane)};

	if (r.is_lane) {
		r.head = &r.lane.other->head;
		r.tail = &r.lane.mine->tail;
		r.data = gz_lane_data(r.lane.pair, r.lane.number, r.lane.end);
		r.size = GZ_LANE_RING;
	} else {
		r.head = &s->tx_head;
		r.tail = &s->tx_tail;
		r.data = gz_slot_tx(SH, (uint32_t)(s - SH->slot));
		r.size = GZ_SLOT_RING;
	}
	return r;
}

uint64_t lane_base(const struct lane *l, uint64_t tail)
{
	uint64_t head = __atomic_load_n(&l->other->head, __ATOMIC_SEQ_CST) & ~GZ_RING_CLOSED;

	if (head == tail)
		__atomic_store_n(&l->mine->base, tail, __ATOMIC_RELAXED);
	return __atomic_load_n(&l->mine->base, __ATOMIC_RELAXED);
}

/* --- telling the other end ------------------------------------------------------------ */

/* Its epoll is to look.  Return: somebody may sleep in it */
static bool mark_other(const struct lane *l)
{
	uint32_t watch = __atomic_load_n(&l->other->watch, __ATOMIC_SEQ_CST) - 1;
	uint64_t *word, bit = 1ULL << l->number % 64;
	struct gz_lane_watch *w;

	if (watch >= GZ_EPOLLS)
		return false;
	w = &l->pair->watch[!l->end][watch];
	word = &w->ready[l->number / 64];
	if (!(__atomic_load_n(word, __ATOMIC_SEQ_CST) & bit))
		__atomic_fetch_or(word, bit, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&w->bell.wanted, __ATOMIC_SEQ_CST)) {
		ring_bell(&w->bell);
		ring_bell(&l->pair->watch[l->end][watch].bell);
	}
	return __atomic_load_n(&w->asleep, __ATOMIC_SEQ_CST);
}

void lane_sent(const struct io *io, const struct lane *l)
{
	l->mine->at = tsc();
	ring_bell(&l->other->bell);
	if (mark_other(l) | __atomic_load_n(&l->other->call, __ATOMIC_SEQ_CST))
		tell_worker(io);
}

void lane_taken(const struct io *io, const struct lane *l, uint64_t room)
{
	uint32_t full = __atomic_load_n(&l->other->full, __ATOMIC_SEQ_CST);

	if (!full || room < GZ_SLOT_WRITABLE)
		return;
	full = __atomic_exchange_n(&l->other->full, 0, __ATOMIC_SEQ_CST);
	if (full & GZ_FULL_RING)
		ring_bell(&l->other->bell);
	if (!(full & GZ_FULL_TELL))
		return;
	mark_other(l);
	tell_worker(io);
}

void want_room(struct gz_slot *s)
{
	struct lane l;

	__atomic_store_n(&s->tx_want, 1, __ATOMIC_SEQ_CST);
	if (lane_of(s, &l))
		__atomic_fetch_or(&l.mine->full, GZ_FULL_TELL, __ATOMIC_SEQ_CST);
}

/* --- sleeping ------------------------------------------------------------------------- */

void expect_tokens(struct gz_slot *s)
{
	struct lane l;

	__atomic_fetch_add(&s->want, 1, __ATOMIC_SEQ_CST);
	if (lane_of(s, &l))
		__atomic_store_n(&l.mine->call, 1, __ATOMIC_SEQ_CST);
}

void expect_none(struct gz_slot *s, int fd)
{
	bool look = false;
	struct lane l;

	/* Without the lock it may be another socket's lane by now, that somebody sleeps on. */
	if (__atomic_fetch_sub(&s->want, 1, __ATOMIC_SEQ_CST) != 1 || !lock(&s->rx_lock))
		return;
	if (lane_of(s, &l))
		look = gz_lane_settle(s, l.mine);
	unlock(&s->rx_lock);
	if (look && !is_short(s))
		ask_for_token(fd, (uint32_t)(s - SH->slot), GZ_POKE_ANY);
}

void watch_changed(struct gz_slot *s)
{
	bool locked = lock(&s->rx_lock); /* the same */
	uint32_t watch = __atomic_load_n(&s->watch, __ATOMIC_SEQ_CST);
	struct lane l;

	if (lane_of(s, &l)) {
		__atomic_store_n(&l.mine->watch, watch, __ATOMIC_SEQ_CST);
		if (watch == GZ_WATCH_LOUD)
			__atomic_store_n(&l.mine->call, 1, __ATOMIC_SEQ_CST);
	}
	if (locked)
		unlock(&s->rx_lock);
}

struct gz_lane_watch *next_watch(const struct gz_epoll *ep, uint32_t *k)
{
	uint32_t n = __atomic_load_n(&SH->windows, __ATOMIC_SEQ_CST);

	for (n = n < GZ_WINDOWS ? n : GZ_WINDOWS; *k < 2 * n; ++*k) {
		uint32_t w = *k / 2, end = *k % 2;

		if (__atomic_load_n(&SH->ends[w], __ATOMIC_ACQUIRE) & 1U << end && know_window(w))
			return &window(w)->watch[end][index_of(ep) - 1];
	}
	return NULL;
}

void epoll_sleeps(struct gz_epoll *ep)
{
	struct gz_lane_watch *w;

	__atomic_fetch_add(&ep->sleepers, 1, __ATOMIC_SEQ_CST);
	for (uint32_t k = 0; (w = next_watch(ep, &k)); k++)
		__atomic_store_n(&w->asleep, 1, __ATOMIC_SEQ_CST);
}

void epoll_wakes(struct gz_epoll *ep)
{
	struct gz_lane_watch *w;
	bool look = false;

	if (__atomic_fetch_sub(&ep->sleepers, 1, __ATOMIC_SEQ_CST) != 1)
		return;
	for (uint32_t k = 0; (w = next_watch(ep, &k)); k++)
		look |= gz_lane_settle_watch(ep, w);
	if (look)
		pass_on(ep);
}

bool is_any_in_lanes(const struct gz_epoll *ep)
{
	struct gz_lane_watch *w;
	uint64_t any = 0;

	for (uint32_t k = 0; (w = next_watch(ep, &k)); k++)
		for (uint32_t i = 0; i < GZ_LANES / 64; i++)
			any |= __atomic_load_n(&w->ready[i], __ATOMIC_RELAXED);
	return any != 0;
}

/* The slot that has the lane in window @k / 2 by its end @k % 2 */
static uint32_t slot_in(uint32_t k, uint32_t lane)
{
	return __atomic_load_n(&SH->lane_slot[k / 2][k % 2][lane], __ATOMIC_SEQ_CST) % GZ_SLOTS;
}

void gather(struct gz_epoll *ep)
{
	struct gz_lane_watch *w;

	for (uint32_t k = 0; (w = next_watch(ep, &k)); k++)
		for (uint32_t i = 0; i < GZ_LANES / 64; i++) {
			uint64_t bits = __atomic_load_n(&w->ready[i], __ATOMIC_SEQ_CST);

			for (; bits; bits &= bits - 1) {
				uint32_t lane = i * 64 + (uint32_t)__builtin_ctzll(bits);
				uint32_t slot = slot_in(k, lane);

				__atomic_fetch_and(&w->ready[i], ~(bits & -bits), __ATOMIC_SEQ_CST);
				mark_ready(ep, slot);
				/* It may have been another one's bit by then. */
				if (slot_in(k, lane) != slot)
					mark_ready(ep, slot_in(k, lane));
			}
		}
}

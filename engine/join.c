/* SPDX-License-Identifier: BSD-3-Clause
 *
 * join.c - Connections between two programs of one engine: from ring to ring
 *
 * Theory of operation.  Such a connection is made by TCP, as any other, and ends as any
 * other.  While both its ends are in the rings their bytes need not go through lwIP:
 * the worker copies them from the one's tx ring to the other's rx ring.  Order holds
 * because that is done only while nothing of that direction is on its way through
 * lwIP, and what cannot be copied for want of room stays where it is.  A FIN and a RST
 * go through lwIP, after the bytes.  As soon as nothing is on its way the programs move
 * the bytes themselves (lane.c), until something else than bytes happens.
 *
 * Neither program sees the other's memory, but for the lanes between the two.
 */
#include <linux/tcp.h>
#include <sched.h>
#include <string.h>

#include "engine/ack.h"
#include "engine/counters.h"
#include "engine/lane.h"
#include "engine/pcb.h"
#include "engine/plane_inner.h"
#include "engine/ports.h"
#include "engine/worker.h"

void gz_join_end(struct gz_sock *s)
{
	struct gz_sock *o = s->ring.joined;

	if (!o)
		return;
	gz_lane_end(s);
	s->ring.joined = o->ring.joined = NULL;
	/* What waits for room goes through lwIP now. */
	gz_worker_dirty(&gz_worker, o);
	gz_worker_dirty(&gz_worker, s);
}

bool gz_join_heeds(const struct gz_sock *s)
{
	return s->opt.cork || s->opt.minttl || s->opt.minhops || atomic_load(&s->info.cpu_set);
}

/* May bytes go from the one's ring to the other's now? */
static bool is_direct(const struct gz_sock *from, const struct gz_sock *to)
{
	return from->flow && to->flow && gz_sock_state(from) == GZ_ESTABLISHED &&
	       gz_sock_state(to) == GZ_ESTABLISHED && !gz_ring_used(&from->tx) &&
	       !gz_ring_used(&to->rx) && !from->fin_sent && !to->fin_received && !to->app_gone &&
	       !from->opt.cork && !to->opt.minttl && !to->opt.minhops && to->end_fd >= 0 &&
	       !atomic_load(&to->hold) && !atomic_load(&to->app_shut_rd) && !to->ring.evicted &&
	       !from->ring.evicted && !from->urgent.call && !to->reset && gz_plane_is_ring(from) &&
	       gz_plane_is_ring(to);
}

/* May the programs move the bytes of @s themselves? */
static bool is_calm(struct gz_sock *s)
{
	const struct gz_slot *slot = slot_of(s);

	return !s->hup && !s->rdhup && !s->end_eof && !s->app_eof && !s->fin_passed &&
	       !atomic_load(&s->app_shut_wr) && !atomic_load(&s->closed) &&
	       !__atomic_load_n(&slot->leave, __ATOMIC_RELAXED) && !atomic_load(&s->info.cpu_set) &&
	       !__atomic_load_n(&slot->no_lane, __ATOMIC_RELAXED) && is_direct(s, s->ring.joined);
}

void gz_join_calm(struct gz_sock *s)
{
	if (s->ring.pair && !(s->ring.joined && is_calm(s) && is_calm(s->ring.joined)))
		gz_lane_end(s);
}

/* Nothing is on its way: the programs need the worker no more.  Return: false, they do */
static bool begin(struct gz_sock *s)
{
	struct gz_sock *o = s->ring.joined;

	return o && is_calm(s) && is_calm(o) && gz_lane_begin(s, o);
}

void gz_join(struct gz_sock *s)
{
	struct gz_flow *f;
	struct gz_sock *o;

	if (s->ring.joined || !s->flow || !gz_plane_is_ring(s))
		return;
	f = gz_pcb_find(s->flow->peer, s->flow->local);
	o = f ? f->sock : NULL;
	if (!o)
		__atomic_store_n(&slot_of(s)->far, 1, __ATOMIC_SEQ_CST);
	if (!o || o == s || o->ring.joined || !gz_plane_is_ring(o))
		return;
	s->ring.joined = o;
	o->ring.joined = s;
	gz_count(GZ_C_RING_JOINED);
	gz_ack_joined(s);
	gz_ack_joined(o);
	begin(s);
}

void gz_bytes_copy(uint8_t *dst, uint32_t dst_size, uint64_t to, const uint8_t *src,
		   uint32_t src_size, uint64_t from, uint64_t n)
{
	while (n) {
		uint64_t i = from & (src_size - 1), k = to & (dst_size - 1), part = n;

		if (part > src_size - i)
			part = src_size - i;
		if (part > dst_size - k)
			part = dst_size - k;
		memcpy(dst + k, src + i, part);
		from += part;
		to += part;
		n -= part;
	}
}

/* Return: bytes that were moved; -1: a ring is broken; *@left: some had no room */
static int64_t move_once(struct gz_sock *from, struct gz_sock *to, bool *left)
{
	struct gz_slot *a = slot_of(from), *b = slot_of(to);
	uint64_t tail = __atomic_load_n(&a->tx_tail, __ATOMIC_SEQ_CST) & ~GZ_RING_CLOSED;
	uint64_t n = tail - from->ring.tx_head;
	uint32_t used;

	*left = false;
	if (!n)
		return 0;
	if (n > GZ_SLOT_RING) {
		gz_plane_broken(from);
		return -1;
	}
	if (!gz_plane_rx_used(to, &used))
		return -1;
	*left = n > GZ_SLOT_RING - used;
	if (*left)
		n = GZ_SLOT_RING - used;
	gz_bytes_copy(gz_slot_rx(to->client->plane->sh, (uint32_t)to->ring.i), GZ_SLOT_RING,
		      to->ring.rx_tail, gz_slot_tx(from->client->plane->sh, (uint32_t)from->ring.i),
		      GZ_SLOT_RING, from->ring.tx_head, (uint64_t)n);
	to->ring.rx_tail += n;
	__atomic_store_n(&b->rx_tail, to->ring.rx_tail, __ATOMIC_SEQ_CST);
	from->ring.tx_head += n;
	__atomic_store_n(&a->tx_head, from->ring.tx_head, __ATOMIC_SEQ_CST);
	return (int64_t)n;
}

/* The worker alone writes it. */
static void add(_Atomic uint64_t *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

/* Segments that TCP would have sent, at least */
static uint64_t segments(uint64_t bytes)
{
	return bytes ? 1 + bytes / UINT16_MAX : 0;
}

void gz_join_count(struct gz_sock *from, struct gz_sock *to, uint64_t n, uint64_t at)
{
	if (!n)
		return;
	gz_add(GZ_C_RING_DIRECT, n);
	atomic_fetch_add_explicit(&from->client->tx_bytes, n, memory_order_relaxed);
	atomic_fetch_add_explicit(&to->client->rx_bytes, n, memory_order_relaxed);
	add(&from->ring.direct.tx, n);
	add(&from->ring.direct.moves_tx, segments(n));
	add(&to->ring.direct.rx, n);
	add(&to->ring.direct.moves_rx, segments(n));
	atomic_store_explicit(&from->ring.direct.tx_at, at, memory_order_relaxed);
	atomic_store_explicit(&to->ring.direct.rx_at, at, memory_order_relaxed);
}

bool gz_join_move(struct gz_sock *s)
{
	struct gz_sock *to = s->ring.joined;
	struct gz_slot *b;
	uint64_t sum = 0;
	bool left;

	if (!gz_plane_untaken(s))
		return true;
	if (!to || !is_direct(s, to))
		return false;
	if (begin(s))
		return true;
	b = slot_of(to);
	atomic_store_explicit(&to->info.cpu, sched_getcpu() + 1, memory_order_relaxed);
	for (;;) {
		int64_t n = move_once(s, to, &left);

		if (n < 0)
			return true; /* that is over */
		sum += (uint64_t)n;
		if (!left || to->ring.rx_full)
			break;
		/* Whoever makes room from here on tells; once more for who did just before. */
		to->ring.rx_full = true;
		__atomic_store_n(&b->rx_full, 1, __ATOMIC_SEQ_CST);
	}
	if (!left && to->ring.rx_full) {
		to->ring.rx_full = false;
		__atomic_store_n(&b->rx_full, 0, __ATOMIC_SEQ_CST);
	}
	if (!sum)
		return true;
	gz_plane_tell(to);
	/* Its end may have waited for its last bytes. */
	if (s->hup || s->rdhup || s->app_gone || atomic_load(&s->app_shut_wr))
		gz_worker_dirty(&gz_worker, s);
	gz_plane_room_made(s);
	gz_join_count(s, to, sum, gz_worker.now);
	return true;
}

/* The later of three times.  @ms: as TCP has it; ns: as the worker, and a lane */
static uint32_t latest(uint32_t ms, const _Atomic uint64_t *ns, uint64_t lane)
{
	uint64_t t = atomic_load_explicit(ns, memory_order_relaxed);

	t = (t > lane ? t : lane) / 1000000;
	return t > ms ? (uint32_t)t : ms;
}

void gz_join_info(struct gz_sock *s, struct tcp_info *t)
{
	const struct gz_direct *d = &s->ring.direct;
	struct gz_lane_news n = {0};
	uint64_t sent, received;

	if (s->ring.i >= 0)
		n = gz_lane_news(s);
	sent = d->moves_tx + segments(n.tx);
	received = d->moves_rx + segments(n.rx);
	if (!sent && !received)
		return;
	t->tcpi_bytes_acked += d->tx + n.tx;
	t->tcpi_bytes_sent += d->tx + n.tx;
	t->tcpi_bytes_received += d->rx + n.rx;
	/* As many segments as TCP would have sent, an ACK for each move among them */
	t->tcpi_data_segs_out += (uint32_t)sent;
	t->tcpi_delivered += (uint32_t)sent;
	t->tcpi_segs_out += (uint32_t)(sent + received);
	t->tcpi_data_segs_in += (uint32_t)received;
	t->tcpi_segs_in += (uint32_t)(sent + received);
	t->tcpi_last_data_sent = latest(t->tcpi_last_data_sent, &d->tx_at, n.tx_at);
	t->tcpi_last_data_recv = latest(t->tcpi_last_data_recv, &d->rx_at, n.rx_at);
	t->tcpi_last_ack_recv = latest(t->tcpi_last_ack_recv, &d->tx_at, n.tx_at);
}

bool gz_join_poll(struct gz_sock *s)
{
	struct gz_slot *slot = slot_of(s);

	if (s->ring.pair) {
		gz_join_calm(s);
		if (!s->ring.pair)
			return false;
		gz_lane_poll(s);
		gz_plane_poked(s);
		return true;
	}
	if (s->dirty || gz_ring_used(&s->rx) || s->hup || s->rdhup || s->app_eof || s->fin_passed ||
	    __atomic_load_n(&slot->leave, __ATOMIC_RELAXED) || !gz_join_move(s) ||
	    !s->ring.joined || !gz_join_move(s->ring.joined))
		return false;
	gz_plane_poked(s);
	return true;
}

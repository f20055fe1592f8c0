/* SPDX-License-Identifier: BSD-3-Clause
 *
 * window.c - How much a peer may send before the program has read it
 *
 * Theory of operation.  lwIP's window is GZ_RX_MOST for all.  What a peer is not to have
 * of it is withheld: taken off before the handshake is over, and later kept back of what
 * the program reads, for a window that was given cannot be taken away (RFC 9293 3.8.6).
 *
 * Without SO_RCVBUF the window is to be twice what the program takes in a round trip, as
 * tcp_rcv_space_adjust() of net/ipv4/tcp_input.c has it, and it is doubled beyond that: the
 * sender may be in slow start.  A round trip is the shortest that was seen, so that a queue on
 * the way does not make the window grow.  It begins with GZ_RX_RING, which fills 10 Gbit/s
 * where round trips take 200 us, and is that again after a second of silence.
 */
#include <linux/tcp.h>

#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#include "engine/client.h"
#include "engine/counters.h"
#include "engine/sock.h"
#include "engine/window.h"
#include "engine/worker.h"

#define SHORT_TRIP 200	   /* us; GZ_RX_RING fills 10 Gbit/s up to here */
#define SEGMENT 1460	   /* of Ethernet */
#define UNKNOWN_TRIP 10000 /* us; the handshake was a cookie's, and nothing was sent since */

void gz_buffers_return(struct gz_sock *s)
{
	if (s->tx.size > GZ_TX_RING)
		gz_buffers_give(s, s->tx.size - GZ_TX_RING);
	gz_buffers_give(s, gz_window_ring(s) - GZ_RX_RING);
	s->window.size = s->window.aim = 0;
}

uint32_t gz_window_ring(const struct gz_sock *s)
{
	return s->window.size ? s->window.size : GZ_RX_RING;
}

static uint32_t aim(const struct gz_sock *s)
{
	return s->window.aim ? s->window.aim : GZ_RX_RING;
}

static uint32_t power_of_two(uint32_t n)
{
	uint32_t p = GZ_RX_RING;

	while (p < n && p < GZ_RX_MOST)
		p *= 2;
	return p;
}

uint32_t gz_window_bound(const struct gz_options *o)
{
	uint32_t limit = (uint32_t)o->rcvbuf / 2;

	if (!o->rcvbuf_set)
		limit = UINT32_MAX;
	/* TCP_WINDOW_CLAMP, tcp(7) */
	if (o->window_clamp && (uint32_t)o->window_clamp < limit)
		limit = (uint32_t)o->window_clamp;
	if (limit < 2 * SEGMENT)
		limit = 2 * SEGMENT;
	return limit;
}

/* How much of lwIP's window is not for the peer, if it is to be @size at most */
static uint32_t withhold(const struct gz_options *o, uint32_t size, const struct tcp_pcb *p)
{
	uint32_t limit = LWIP_MIN(gz_window_bound(o), size);

	limit = LWIP_MAX(limit, 2u * p->mss);

	return limit < TCP_WND_MAX(p) ? TCP_WND_MAX(p) - limit : 0;
}

void gz_window_first(const struct gz_options *o, struct tcp_pcb *p)
{
	p->rcv_wnd -= withhold(o, GZ_RX_RING, p);
	p->rcv_ann_wnd = p->rcv_wnd;
}

void gz_window_take_over(struct gz_sock *s, struct tcp_pcb *p)
{
	s->window.held = TCP_WND_MAX(p) - p->rcv_wnd;
}

/* @n bytes of the window are free. */
static void open_window(struct tcp_pcb *p, uint32_t n)
{
	/* tcp_recved() takes 16 bits, and tells the peer each time. */
	if (n > 0xffff) {
		p->rcv_wnd += n - 0xffff;
		n = 0xffff;
	}
	if (n)
		tcp_recved(p, (u16_t)n);
	/* lwIP tells of 4 segments or more: never, with a small window.  The peer
	 * may wait for as much as there is (RFC 9293 3.8.6.2.2). */
	if (TCP_SEQ_GEQ(p->rcv_nxt + p->rcv_ann_wnd, p->rcv_ann_right_edge + p->mss) &&
	    p->rcv_wnd <= 2 * TCP_WND_UPDATE_THRESHOLD) {
		tcp_ack_now(p);
		tcp_output(p);
	}
}

/* What is withheld beyond what is to be is the peer's. */
static void release(struct gz_sock *s, struct tcp_pcb *p)
{
	uint32_t keep = withhold(&s->opt, aim(s), p), n = s->window.held;

	if (n <= keep)
		return;
	s->window.held = keep;
	open_window(p, n - keep);
}

/* Return: false: no memory, or limits.buffers is reached; the rx ring is as it was */
static bool make_room(struct gz_sock *s, uint32_t size)
{
	uint32_t was = gz_window_ring(s);

	if (size <= was)
		return true;
	if (!gz_buffers_take(s, size - was))
		return false;
	if (s->rx.data && s->rx.size < size && !gz_ring_grow(&s->rx, size)) {
		gz_buffers_give(s, size - was);
		return false;
	}
	s->window.size = size;
	return true;
}

bool gz_window_beside(struct gz_sock *s, uint32_t n)
{
	uint64_t size = (uint64_t)aim(s) + n;

	return size <= GZ_RX_MOST && make_room(s, power_of_two((uint32_t)size)) &&
	       gz_ring_ready(&s->rx, gz_window_ring(s));
}

/* Return: false: as make_room(); the window is as it was, and asked for again a round trip later */
static bool grow(struct gz_sock *s, uint32_t size)
{
	if (!make_room(s, size))
		return false;
	s->window.aim = size;
	gz_count(GZ_C_WINDOWS_GROWN);
	return true;
}

void gz_window_options(struct gz_sock *s, struct tcp_pcb *p)
{
	uint32_t bound = gz_window_bound(&s->opt);

	if (s->opt.rcvbuf_set && bound > aim(s) && TCP_WND_MAX(p) > aim(s) && aim(s) < GZ_RX_MOST)
		grow(s, power_of_two(LWIP_MIN(bound, TCP_WND_MAX(p))));
	release(s, p);
}

/* A round trip is over in which the program took so much. */
static void adjust(struct gz_sock *s, struct tcp_pcb *p)
{
	uint32_t now = aim(s), taken = s->window.taken;

	if (2ull * taken <= now || s->opt.rcvbuf_set || now >= GZ_RX_MOST ||
	    gz_window_bound(&s->opt) <= now || TCP_WND_MAX(p) <= now ||
	    s->flow->measure.min_rtt < SHORT_TRIP)
		return;
	if (grow(s, power_of_two((uint32_t)LWIP_MIN(4ull * taken, GZ_RX_MOST))) || grow(s, 2 * now))
		release(s, p);
}

void gz_window_read(struct gz_sock *s, struct tcp_pcb *p, uint32_t n)
{
	uint32_t want = withhold(&s->opt, aim(s), p), keep = 0;
	uint64_t trip = s->flow->measure.min_rtt;

	/* A smaller window comes by keeping back what is read, RFC 9293 3.8.6. */
	if (want > s->window.held)
		keep = LWIP_MIN(want - s->window.held, n);
	s->window.held += keep;
	open_window(p, n - keep);

	s->window.taken += n;
	trip = trip ? trip : UNKNOWN_TRIP;
	if (gz_worker.now - s->window.since < trip * 1000)
		return;
	if (s->window.since)
		adjust(s, p);
	s->window.since = gz_worker.now;
	s->window.taken = 0;
}

void gz_window_whole(struct gz_sock *s, struct tcp_pcb *p)
{
	p->rcv_wnd += s->window.held;
	s->window.held = 0;
	/* Nobody reads any more, or keeps back. */
	s->window.aim = gz_window_ring(s);
}

void gz_window_idle(struct gz_sock *s, const struct tcp_pcb *p)
{
	uint32_t size = gz_window_ring(s), need;

	if (!s->opt.rcvbuf_set)
		s->window.aim = 0;
	s->window.since = 0;
	s->window.taken = 0;
	if (s->rx.data)
		return;
	need = power_of_two(LWIP_MAX(TCP_WND_MAX(p) - s->window.held, aim(s)));
	if (need < size) {
		gz_buffers_give(s, size - need);
		s->window.size = need;
	}
}

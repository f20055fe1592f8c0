/* SPDX-License-Identifier: BSD-3-Clause
 *
 * rate.c - How fast a connection's bytes arrive at the peer
 *
 * Theory of operation.  What ACKs and SACK blocks say has arrived, divided by the time
 * that it took, once a round trip; the path's rate is the most of the last 8 to 16 round trips.
 * Times the shortest round trip it is what the path holds without a queue, which tells
 * a loss by congestion from one by chance: TCP Westwood's window after a loss
 * (net/ipv4/tcp_westwood.c) is that product.
 */
#include "lwip/tcp.h"

#include "engine/rate.h"
#include "engine/segment.h"

#define SEC 1000000000ull
#define US 1000ull
#define LEAST (1000 * US) /* so that one segment more or less does not matter */
#define ROUNDS 8

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/*
 * Slow start ends when two round trips in sequence were twice as long as the shortest: what
 * is sent beyond the path's rate lies in a queue.  Anything finer would be taken in by a busy
 * machine.
 */
static void end_slow_start(struct tcp_pcb *p, const struct gz_measure *m)
{
	if (p->cwnd < p->ssthresh && m->late >= 2)
		p->ssthresh = p->cwnd;
}

uint32_t gz_rate_delivered(struct tcp_pcb *p, struct gz_measure *m, uint32_t sacked, uint64_t now)
{
	uint64_t round = most(US * (m->srtt8 >> 3), LEAST);
	uint32_t at = p->lastack + sacked;
	struct gz_rate *r = &m->rate;
	/* A peer may take back what it said of SACK (RFC 2018 section 8). */
	uint32_t news = r->since && (int32_t)(at - r->heard) > 0 ? at - r->heard : 0;

	r->heard = at;
	if (!r->since || now < r->since) {
		r->since = now;
		r->at = at;
		return 0;
	}
	end_slow_start(p, m);
	if (now - r->since < round)
		return news;
	r->last = (int32_t)(at - r->at) > 0 ? (uint64_t)(at - r->at) * SEC / (now - r->since) : 0;
	r->since = now;
	r->at = at;
	if (++r->rounds >= ROUNDS) {
		r->before = r->recent;
		r->recent = 0;
		r->rounds = 0;
	}
	r->recent = most(r->recent, r->last);
	return news;
}

static uint32_t fill(uint64_t rate, const struct gz_measure *m)
{
	uint64_t bytes = rate * m->min_rtt / (SEC / US);

	return bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
}

uint32_t gz_rate_fill(const struct gz_measure *m)
{
	return fill(most(m->rate.recent, m->rate.before), m);
}

uint32_t gz_rate_now(const struct gz_measure *m)
{
	return fill(m->rate.last, m);
}

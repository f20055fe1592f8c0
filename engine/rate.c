/* SPDX-License-Identifier: BSD-3-Clause
 *
 * rate.c - How fast a connection's bytes arrive at the peer
 *
 * Theory of operation.  What ACKs and SACK blocks say has arrived, divided by the time
 * that it took, once a round trip; the path's rate is the most of the last 5 to 10 round trips.
 * What arrives in a round trip was sent in it and in the one before: ACKs that were held up and
 * come at once do not count for more than what was sent then.  A round trip in which the program
 * had nothing to send says only that the path is no slower.  The draft on delivery rates
 * (draft-cheng-iccrg-delivery-rate-estimation) does it by segment.
 */
#include "lwip/tcp.h"

#include "engine/rate.h"
#include "engine/segment.h"

#define SEC 1000000000ull
#define US 1000ull
#define LEAST (1000 * US) /* so that one segment more or less does not matter */
#define ROUNDS 5

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

enum gz_round gz_rate_delivered(const struct tcp_pcb *p, struct gz_measure *m, uint32_t sacked,
				uint64_t now, uint32_t *n)
{
	uint64_t round = most(US * (m->srtt8 >> 3), LEAST);
	uint32_t at = p->lastack + sacked;
	struct gz_rate *r = &m->rate;
	bool idle = r->idle, first;

	/* A peer may take back what it said of SACK (RFC 2018 section 8). */
	*n = r->since && (int32_t)(at - r->heard) > 0 ? at - r->heard : 0;
	r->heard = at;
	if (r->since && now - r->since < round)
		return GZ_ROUND_GOES_ON;
	first = !r->since;
	if (!first) {
		uint64_t time = now - r->since, sent = (m->bytes_sent - r->sent) * SEC / time;

		r->last = (int32_t)(at - r->at) > 0 ? (uint64_t)(at - r->at) * SEC / time : 0;
		if (r->sending && r->last > most(r->sending, sent))
			r->last = most(r->sending, sent);
		r->sending = sent;
	}
	r->since = now;
	r->sent = m->bytes_sent;
	r->at = at;
	r->idle = false;
	if (first || (idle && r->last < gz_rate_most(r)))
		return GZ_ROUND_IDLE;
	if (++r->rounds >= ROUNDS) {
		r->before = r->recent;
		r->recent = 0;
		r->rounds = 0;
	}
	r->recent = most(r->recent, r->last);
	return idle ? GZ_ROUND_IDLE : GZ_ROUND_OVER;
}

void gz_rate_forget(struct gz_rate *r, uint64_t least)
{
	r->recent = most(least, gz_rate_most(r) / 10 * 7);
	r->before = 0;
	r->rounds = 0;
}

uint32_t gz_rate_fill(const struct gz_measure *m)
{
	uint64_t bytes = gz_rate_most(&m->rate) * m->min_rtt / (SEC / US);

	return bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
}

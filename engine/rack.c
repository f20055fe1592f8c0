/* SPDX-License-Identifier: BSD-3-Clause
 *
 * rack.c - When a segment is lost, by the time that it was sent (RFC 8985)
 *
 * Theory of operation.  Of all that came the one that left last is known, and how long it took.
 * What left before it and did not come in that time, and a little longer, is lost; the little is
 * what paths that change the order of segments take for it.  It is nothing in a recovery and where
 * three segments came, as long as no change of order was seen; else a quarter of the shortest round
 * trip, and one more with each round trip in which the peer tells of something that came twice
 * (RFC 2883), for sixteen recoveries, up to a whole one (RFC 8985 section 6.2).
 *
 * Times.  What was sent once left in the order of its numbers, so a log of a few numbers with their
 * times has it for all segments, as exactly as a sixteenth of a round trip: all that follows an
 * entry counts as sent when it was made.  What was sent again has its own time in its header, where
 * it lies until lwIP sends it.  The two are compared so that the rounding makes nothing lost.
 */
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#include "engine/rack.h"
#include "engine/segment.h"
#include "engine/timestamp.h"
#include "engine/worker.h"

#define US 1000ull /* ns */
#define THRESH 3   /* segments; DupThresh */
#define PERSIST 16 /* recoveries */
#define QUARTERS 255

static uint32_t now_us(void)
{
	return (uint32_t)(gz_worker.now / US);
}

static uint32_t entries(const struct gz_rack *k)
{
	return LWIP_MIN(k->n, GZ_RACK_LOG);
}

/* The @i-th last one's place */
static uint32_t at(const struct gz_rack *k, uint32_t i)
{
	return (k->n - 1 - i) % GZ_RACK_LOG;
}

void gz_rack_sent(struct gz_measure *m, uint32_t seq, uint32_t end)
{
	struct gz_rack *k = &m->loss.rack;
	uint32_t us = (uint32_t)(m->sent_at / US);

	if (k->n && TCP_SEQ_LEQ(end, k->next))
		return;
	k->next = end;
	if (k->n && us - k->log[at(k, 0)].us < m->srtt8 >> 7)
		return;
	k->log[k->n % GZ_RACK_LOG].seq = seq;
	k->log[k->n % GZ_RACK_LOG].us = us;
	k->n++;
}

void gz_rack_again(const struct gz_measure *m, struct tcp_seg *s)
{
	s->tcphdr->ackno = (uint32_t)(m->sent_at / US);
}

/* When @s left, no later than it did.  The log is not empty. */
static uint32_t left_at(const struct gz_rack *k, const struct tcp_seg *s, bool again)
{
	uint32_t seq = lwip_ntohl(s->tcphdr->seqno), us = s->tcphdr->ackno, i = 0, n = entries(k);

	while (i + 1 < n && (again ? (int32_t)(k->log[at(k, i)].us - us) > 0
				   : TCP_SEQ_GT(k->log[at(k, i)].seq, seq)))
		i++;
	return k->log[at(k, i)].us;
}

void gz_rack_came(const struct tcp_pcb *p, struct gz_measure *m, const struct tcp_seg *s,
		  bool again)
{
	uint32_t first = lwip_ntohl(s->tcphdr->seqno), end = first + TCP_TCPLEN(s), us, rtt;
	struct gz_rack *k = &m->loss.rack;
	int32_t later;

	if (!k->n)
		return;
	us = left_at(k, s, again);
	rtt = (int32_t)(now_us() - us) > 0 ? now_us() - us : 0;
	if (again || (k->redone && TCP_SEQ_LT(first, k->doubt))) {
		/* It was the first of them that came. */
		if (rtt < m->min_rtt || gz_timestamp_is_older(p, m, rtt))
			return;
	} else if (k->on && TCP_SEQ_LT(end, k->fack)) {
		k->reordered = true;
	}
	if (!k->on || TCP_SEQ_GT(end, k->fack))
		k->fack = end;
	later = (int32_t)(us - k->us);
	if (!k->on || later > 0 || (!later && TCP_SEQ_GT(end, k->end))) {
		k->us = us;
		k->end = end;
		k->rtt = rtt;
	}
	k->on = true;
}

void gz_rack_acked(struct gz_rack *k, uint32_t ackno, bool all)
{
	if (all)
		k->on = false;
	if (all || TCP_SEQ_GEQ(ackno, k->doubt))
		k->redone = false;
}

void gz_rack_twice(const struct tcp_pcb *p, struct gz_rack *k)
{
	if (k->repeats && TCP_SEQ_LT(p->lastack, k->round))
		return;
	k->repeats = true;
	k->round = p->snd_nxt;
	k->mult = LWIP_MIN(k->mult + 1, QUARTERS);
	k->persist = PERSIST;
}

void gz_rack_recovered(struct gz_rack *k)
{
	if (k->persist && !--k->persist)
		k->mult = 0;
}

void gz_rack_timeout(struct gz_measure *m)
{
	struct gz_rack *k = &m->loss.rack;

	k->n = 0;
	k->on = false;
	k->redone = true;
	k->doubt = m->high;
}

/* RFC 8985 section 6.2, step 4; us */
static uint32_t patience(const struct gz_measure *m, unsigned segments)
{
	const struct gz_rack *k = &m->loss.rack;
	uint64_t us = (uint64_t)(k->mult + 1) * m->min_rtt / 4;

	if (!k->reordered && (m->loss.in || segments >= THRESH))
		return 0;
	return (uint32_t)LWIP_MIN(us, m->srtt8 >> 3);
}

void gz_rack_draw(const struct gz_measure *m, unsigned segments, struct gz_rack_line *line)
{
	const struct gz_rack *k = &m->loss.rack;
	uint32_t end = k->next;
	bool reached = false;

	line->us = now_us() - k->rtt - patience(m, segments);
	line->edge = line->reach = m->loss.last;
	line->due = line->wait = UINT32_MAX;
	for (uint32_t i = 0; k->on && i < entries(k); i++) {
		uint32_t us = k->log[at(k, i)].us, to = end;
		int32_t later = (int32_t)(us - k->us);

		end = k->log[at(k, i)].seq;
		if (later > 0)
			continue;
		if (!later && TCP_SEQ_LT(k->end, to))
			to = k->end;
		if (!reached)
			line->reach = to;
		reached = true;
		if ((int32_t)(us - line->us) <= 0) {
			line->edge = to;
			return;
		}
		line->due = us - line->us;
	}
}

bool gz_rack_is_lost(const struct gz_rack *k, struct gz_rack_line *line, const struct tcp_seg *s,
		     bool again)
{
	uint32_t first = lwip_ntohl(s->tcphdr->seqno), us = s->tcphdr->ackno, wait = line->due;

	if (!again) {
		if (TCP_SEQ_LT(first, line->edge))
			return true;
		if (!TCP_SEQ_LT(first, line->reach))
			return false;
	} else {
		int32_t later = (int32_t)(us - k->us);

		if (!k->on || later > 0 || (!later && TCP_SEQ_GEQ(first, k->end)))
			return false;
		if ((int32_t)(us - line->us) <= 0)
			return true;
		wait = us - line->us;
	}
	line->wait = LWIP_MIN(line->wait, wait);
	return false;
}

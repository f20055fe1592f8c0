/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sack.c - Which segments are lost, and sending them again
 *
 * Theory of operation.  lwIP knows duplicate ACKs only: it sends one segment again,
 * leaves the recovery at the first new ACK, and for the next loss waits for a
 * timeout.  Here is RFC 6675's recovery around it.  gz_sack_read() takes the blocks
 * out of a segment before lwIP looks at it, gz_sack_done() runs after lwIP: it marks
 * the segments of the queue "unacked" that the peer has, finds the lost ones, moves
 * these to "unsent", and lets lwIP send them.  What lwIP may send it learns by its
 * congestion window, which is what shall be under way, the pipe, and what is not
 * (any more): the segments that the peer has, and those that are lost.
 *
 * A segment is lost when three segments above it have come (DupThresh).  One that
 * was sent again is lost again when as much of what was sent after it has come; of
 * the rest a timeout takes care, as does lwIP itself of peers without SACK.  When the
 * last segments of a flight are lost nothing comes after them: the last one is sent
 * again after two round trips, to ask (RFC 8985 section 7), and what is missing below
 * it then is lost.
 *
 * The window after a loss is what the path holds without a queue (rate.c): where there is
 * no queue the loss came by chance, and the window stays.  Where there is one, or much is lost,
 * it is at least 7/10 of what was under way (RFC 9438 section 4.6), and with TCP_CONGESTION
 * "reno" always half of it.  The initial one is ten segments (RFC 6928).
 */
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#include "engine/counters.h"
#include "engine/sack.h"
#include "engine/segment.h"
#include "engine/tso.h"
#include "engine/worker.h"

#define THRESH 3
#define MS 1000000ull
#define US 1000ull
#define TAIL_LEAST (10 * MS)
#define TAIL_DELAYED (50 * MS) /* one segment alone may have its ACK delayed */
#define OPT_SACK 5
#define MEMORY (512u << 10)

/* In tcp_seg.flags, of which lwIP uses the lower five bits */
enum { CAME = 0x80, AGAIN = 0x40 };

/* The pcb whose segment lwIP looks at, until gz_sack_done() */
static struct tcp_pcb *current;

struct tally {
	uint32_t came, lost, pipe; /* bytes */
};

static uint32_t first_of(const struct tcp_seg *s)
{
	return lwip_ntohl(s->tcphdr->seqno);
}

static uint32_t end_of(const struct tcp_seg *s)
{
	return first_of(s) + TCP_TCPLEN(s);
}

static uint32_t get32(const uint8_t *b)
{
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

void gz_sack_read(struct tcp_pcb *p, struct gz_loss *l, const struct tcp_hdr *h)
{
	const uint8_t *o = gz_segment_option(h, OPT_SACK);
	uint32_t came = 0;

	current = p;
	l->blocks = 0;
	for (unsigned i = 2; o && i + 8 <= o[1] && l->blocks < 4; i += 8) {
		l->block[l->blocks][0] = get32(o + i);
		l->block[l->blocks][1] = get32(o + i + 4);
		came += l->block[l->blocks][1] - l->block[l->blocks][0];
		l->blocks++;
	}
	/* lwIP would halve its window first, and send a segment that we send as well. */
	if (p->flags & TF_SACK && came >= THRESH * (uint32_t)tcp_mss(p))
		p->dupacks = 0;
}

static bool in_block(const struct gz_loss *l, const struct tcp_seg *s)
{
	for (unsigned i = 0; i < l->blocks; i++)
		if (TCP_SEQ_GEQ(first_of(s), l->block[i][0]) &&
		    TCP_SEQ_LEQ(end_of(s), l->block[i][1]))
			return true;
	return false;
}

static void forget(struct tcp_seg *s)
{
	for (; s; s = s->next)
		s->flags &= (u8_t) ~(CAME | AGAIN);
}

/* Mark what came.  Return: bytes of it that were sent after the last repetition */
static uint32_t mark(struct tcp_pcb *p, struct gz_loss *l, bool *news)
{
	uint32_t later = 0;

	for (struct tcp_seg *s = p->unacked; s; s = s->next) {
		if (!(s->flags & CAME) && in_block(l, s)) {
			s->flags |= CAME;
			*news = true;
			/* The last one, that was sent again to ask */
			if (l->asked && !s->next)
				l->answered = true;
		}
		if (s->flags & CAME && l->repeated && TCP_SEQ_GEQ(first_of(s), l->again))
			later += s->len;
	}
	return later;
}

/* How much has to have come above a segment that is lost */
static uint32_t enough(const struct tcp_pcb *p, const struct gz_loss *l)
{
	return l->answered ? 1 : THRESH * (uint32_t)tcp_mss(p);
}

static bool is_lost(const struct tcp_seg *s, uint32_t above, uint32_t least)
{
	return !(s->flags & (CAME | AGAIN)) && above >= least;
}

static struct tally count(struct tcp_pcb *p, const struct gz_loss *l)
{
	uint32_t least = enough(p, l), above;
	struct tally t = {0};

	for (struct tcp_seg *s = p->unacked; s; s = s->next)
		if (s->flags & CAME)
			t.came += TCP_TCPLEN(s);
	above = t.came;
	for (struct tcp_seg *s = p->unacked; s; s = s->next) {
		if (s->flags & CAME)
			above -= TCP_TCPLEN(s);
		else if (is_lost(s, above, least))
			t.lost += TCP_TCPLEN(s);
		else
			t.pipe += TCP_TCPLEN(s);
	}
	return t;
}

/* Take *@at out of "unacked", to its place in "unsent".  false: its pbuf is in use */
static bool send_again(struct tcp_pcb *p, struct tcp_seg **at)
{
	struct tcp_seg *s = *at, **to = &p->unsent;

	if (s->p->ref != 1)
		return false;
	*at = s->next;
	while (*to && TCP_SEQ_LT(first_of(*to), first_of(s)))
		to = &(*to)->next;
	s->next = *to;
	*to = s;
	s->flags |= AGAIN;
	return true;
}

/*
 * Let lwIP send.  What it did not send (the window closed, no buffer) goes back: a
 * timeout puts all of "unacked" before "unsent", and with a lower number behind a
 * higher one nothing would fit into a window of one segment any more.
 */
static void output(struct tcp_pcb *p)
{
	struct tcp_seg *s, **to;

	tcp_output(p);
	while ((s = p->unsent) && s->flags & AGAIN) {
		p->unsent = s->next;
		s->flags &= (u8_t)~AGAIN;
		for (to = &p->unacked; *to && TCP_SEQ_LT(first_of(*to), first_of(s));)
			to = &(*to)->next;
		s->next = *to;
		*to = s;
		p->persist_backoff = 0; /* lwIP begins to probe when "unacked" is empty */
	}
}

/* Lost segments to "unsent", as many as the window takes, and at least @must */
static bool repeat(struct tcp_pcb *p, struct gz_loss *l, struct tally *t, unsigned must)
{
	struct tcp_seg **at = &p->unacked;
	uint32_t least = enough(p, l), above = t->came;
	unsigned n = 0;

	while (*at && (t->pipe < l->target || n < must)) {
		struct tcp_seg *s = *at;

		if (s->flags & CAME)
			above -= TCP_TCPLEN(s);
		if (!is_lost(s, above, least) || !send_again(p, at)) {
			at = &s->next;
			continue;
		}
		t->pipe += TCP_TCPLEN(s);
		t->lost -= TCP_TCPLEN(s);
		n++;
	}
	if (n && !l->repeated) {
		l->repeated = true;
		l->again = p->snd_nxt;
	}
	return n > 0;
}

/* Is so much lost that it is no chance, whatever the round trips say?  One in 32, of the last
 * MEMORY bytes */
static bool is_heavy(struct gz_loss *l, const struct gz_measure *m)
{
	uint64_t sent = m->bytes_sent - l->sent_then, again = m->bytes_retrans - l->again_then;
	bool heavy = again * 32 > sent + MEMORY / 8;

	if (sent >= MEMORY) {
		l->sent_then = m->bytes_sent;
		l->again_then = m->bytes_retrans;
	}
	return heavy;
}

static void enter(struct tcp_pcb *p, struct gz_loss *l, const struct gz_measure *m)
{
	uint32_t window = LWIP_MIN(p->cwnd, p->snd_wnd), fill = gz_rate_fill(m);
	uint32_t flight = LWIP_MIN(window, p->snd_nxt - p->lastack);
	/* Slow start may have passed by twice what there is. */
	uint32_t least = p->cwnd < p->ssthresh ? flight / 2 : flight / 10 * 7;
	bool heavy = is_heavy(l, m);

	gz_count(GZ_C_RECOVERIES);
	l->in = true;
	l->point = p->snd_nxt;
	fill += fill / 4; /* round trips differ by as much */
	if (l->reno)
		l->target = flight / 2; /* RFC 5681 section 3.1 */
	else if (heavy)
		l->target = least;
	else if (fill < flight)
		l->target = LWIP_MAX(least, fill);
	else /* it grows as if nothing had been lost (RFC 5681 section 3.1) */
		l->target = LWIP_MAX(flight, LWIP_MIN(window, fill)) + tcp_mss(p);
	l->target = LWIP_MAX(l->target, 2u * tcp_mss(p));
}

static void leave(struct tcp_pcb *p, struct gz_loss *l)
{
	p->cwnd = p->ssthresh = l->target;
	tcp_clear_flags(p, TF_INFR);
	l->in = l->repeated = l->answered = false;
}

static void recover(struct tcp_pcb *p, struct gz_loss *l, struct gz_measure *m)
{
	bool news = false, moved, first;
	struct tally t;

	/* What was sent again is lost again, or the peer forgot it. */
	if (mark(p, l, &news) >= THRESH * (uint32_t)tcp_mss(p)) {
		l->repeated = false;
		for (struct tcp_seg *s = p->unacked; s; s = s->next)
			s->flags &= (u8_t)~AGAIN;
	}
	if (l->in && TCP_SEQ_GEQ(p->lastack, l->point))
		leave(p, l);
	if (!l->in && !l->blocks) {
		gz_rate_delivered(p, m, 0, gz_worker.now);
		return;
	}
	t = count(p, l);
	gz_rate_delivered(p, m, t.came, gz_worker.now);
	if (!l->in && !t.lost)
		return;
	first = !l->in;
	if (first)
		enter(p, l, m);
	moved = repeat(p, l, &t, first); /* RFC 6675 section 5, (4.3) */
	if (moved || news)
		p->rtime = 0;
	p->dupacks = 0;
	tcp_set_flags(p, TF_INFR); /* lwIP does not send the first one again */
	p->ssthresh = l->target;
	/* tcp_output() sends what begins and ends within it. */
	p->cwnd = LWIP_MAX(l->target, t.pipe) + t.came + t.lost;
	if (p->unsent)
		output(p);
}

void gz_sack_done(void)
{
	struct tcp_pcb *p = current;
	struct gz_measure *m;
	struct gz_flow *f;
	struct gz_loss *l;

	current = NULL;
	/* lwIP puts it first; it may have freed it as well. */
	if (!p || p != tcp_active_pcbs || p->state < ESTABLISHED)
		return;
	f = gz_stack_flow(p);
	m = &f->measure;
	l = &m->loss;
	/* What the window did not take may go now; lwIP does not have it yet (tso.c). */
	if (f->sock && f->sock->tx.mid < f->sock->tx.tail)
		gz_worker_dirty(f->sock->worker, f->sock);
	if (!l->begun) {
		l->begun = true;
		p->cwnd = LWIP_MAX(p->cwnd, 10u * tcp_mss(p));
		p->ssthresh = GZ_NO_SSTHRESH;
	}
	if (l->last != p->lastack) {
		l->last = p->lastack;
		l->asked = false;
	}
	if (p->flags & TF_RTO) {
		/* All of it is sent again (RFC 2018 section 8). */
		forget(p->unsent);
		forget(p->unacked);
		l->in = l->repeated = l->asked = l->answered = false;
	} else if (p->flags & TF_SACK) {
		recover(p, l, m);
	}
}

uint64_t gz_sack_tail_at(const struct tcp_pcb *p, const struct gz_measure *m)
{
	const struct gz_loss *l = &m->loss;
	uint64_t wait = 2 * US * (m->srtt8 >> 3);

	if (!(p->flags & TF_SACK) || p->flags & TF_RTO || l->in || l->asked || !p->unacked ||
	    p->nrtx || !m->srtt8 || p->state < ESTABLISHED)
		return 0;
	return m->sent_at + LWIP_MAX(wait, TAIL_LEAST) + (p->unacked->next ? 0 : TAIL_DELAYED);
}

void gz_sack_tick(struct tcp_pcb *p, struct gz_measure *m, uint64_t now)
{
	struct tcp_seg **at = &p->unacked;
	uint64_t due = gz_sack_tail_at(p, m);

	if (!due || now < due)
		return;
	/* New data asks as well. */
	if (p->unsent && end_of(p->unsent) - p->lastack <= LWIP_MIN(p->snd_wnd, p->cwnd))
		return;
	gz_tso_cut(p);
	while (*at && (*at)->next)
		at = &(*at)->next;
	if (!*at || end_of(*at) - p->lastack > p->snd_wnd || !send_again(p, at))
		return;
	gz_count(GZ_C_TAIL_PROBES);
	m->loss.asked = true;
	m->sent_at = now;
	output(p);
}

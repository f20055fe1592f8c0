/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sack.c - Which segments are lost, and sending them again
 *
 * Theory of operation.  lwIP knows duplicate ACKs only: it sends one segment again,
 * leaves the recovery at the first new ACK, and for the next loss waits for a
 * timeout.  Here is RFC 6675's recovery around it.  gz_sack_read() takes the blocks
 * out of a segment before lwIP looks at it, gz_sack_done() runs after lwIP and keeps
 * them, and gz_sack_flush() runs after a burst of segments, for the lists are long: it marks
 * the segments of the queue "unacked" that the peer has, finds the lost ones, moves
 * these to "unsent", and lets lwIP send them.  What lwIP may send it learns by its
 * congestion window, which is what shall be under way, the pipe, and what is not
 * (any more): the segments that the peer has, and those that are lost.
 *
 * Which are lost rack.c says, by the times of what came; gz_sack_read() tells it what came twice,
 * gz_sack_acked() and mark() what came.  What will be lost soon, should it not come, is looked at
 * again when its time has passed (pace.c's wheel).  Of the rest a timeout takes care, as does lwIP
 * itself of peers without SACK.  When the last segments of a flight are lost nothing comes after
 * them: the last one is sent again after two round trips, to ask (RFC 8985 section 7), and what is
 * missing below it then is lost.
 *
 * How much may be under way bbr.c says, and with TCP_CONGESTION "reno" each loss halves it. The
 * initial window is ten segments (RFC 6928). Of a connection that is gated lwIP sends nothing when
 * an ACK comes, but at gz_sack_flush(), and as much as its pace allows (pace.c).
 */
#include <string.h>

#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#include "engine/counters.h"
#include "engine/pcb.h"
#include "engine/sack.h"
#include "engine/segment.h"
#include "engine/tso.h"
#include "engine/worker.h"

#define MS 1000000ull
#define US 1000ull
#define TAIL_LEAST (10 * MS)
#define TAIL_DELAYED (50 * MS) /* one segment alone may have its ACK delayed */
#define OPT_SACK 5
#define BLOCKS 32

/* In tcp_seg.flags, of which lwIP uses the lower five bits; UNNOTED: note_sent() is due */
enum { CAME = 0x80, AGAIN = 0x40, UNNOTED = 0x20 };

/* The pcb whose segment lwIP looks at, until gz_sack_done() */
static struct tcp_pcb *current;

/* What the ACKs of a burst said, of one flow, until gz_sack_flush(); numbers in host order */
static struct {
	struct gz_flow *flow; /* NULL: none */
	uint32_t block[BLOCKS][2];
	unsigned n;
} heard;

struct tally {
	uint32_t came, lost, pipe; /* bytes */
	unsigned segments;	   /* that came */
	struct gz_rack_line line;
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

/* Is the first block one that the peer had already (RFC 2883 section 4)? */
static bool came_twice(const struct gz_loss *l, uint32_t ackno)
{
	return l->blocks && (TCP_SEQ_LEQ(l->block[0][1], ackno) ||
			     (l->blocks > 1 && TCP_SEQ_GEQ(l->block[0][0], l->block[1][0]) &&
			      TCP_SEQ_LEQ(l->block[0][1], l->block[1][1])));
}

void gz_sack_read(struct tcp_pcb *p, struct gz_loss *l, const struct tcp_hdr *h, bool gated)
{
	const uint8_t *o = gz_segment_option(h, OPT_SACK);

	current = p;
	l->blocks = 0;
	/* Not by the way: gz_sack_flush() says how much may leave. */
	if (gated && !(p->flags & TF_RTO)) {
		p->cwnd = 0;
		p->ssthresh = 0;
	}
	for (unsigned i = 2; o && i + 8 <= o[1] && l->blocks < 4; i += 8) {
		l->block[l->blocks][0] = get32(o + i);
		l->block[l->blocks][1] = get32(o + i + 4);
		l->blocks++;
	}
	if (came_twice(l, h->ackno)) {
		if (l->block[0][1] == l->probe)
			l->probing = false;
		else
			gz_rack_twice(p, &l->rack);
		l->blocks--;
		memmove(l->block[0], l->block[1], l->blocks * sizeof(l->block[0]));
	}
	/* lwIP would halve its window, and send a segment that we send as well. */
	if (p->flags & TF_SACK)
		p->dupacks = 0;
}

/* Blocks of an ACK, to those of the burst: most of them are there, a segment shorter */
static void keep(const struct gz_loss *l)
{
	for (unsigned i = 0; i < l->blocks; i++) {
		uint32_t from = l->block[i][0], to = l->block[i][1];
		unsigned k = 0;

		while (k < heard.n &&
		       (TCP_SEQ_GT(from, heard.block[k][1]) || TCP_SEQ_LT(to, heard.block[k][0])))
			k++;
		if (k == heard.n) {
			heard.block[k][0] = from;
			heard.block[heard.n++][1] = to;
			continue;
		}
		if (TCP_SEQ_LT(from, heard.block[k][0]))
			heard.block[k][0] = from;
		if (TCP_SEQ_GT(to, heard.block[k][1]))
			heard.block[k][1] = to;
	}
}

static uint32_t later_of(uint32_t a, uint32_t b)
{
	return TCP_SEQ_GT(a, b) ? a : b;
}

static bool was_heard(const struct tcp_seg *s)
{
	uint32_t from = first_of(s), to = end_of(s);

	for (unsigned i = 0; i < heard.n; i++)
		if (TCP_SEQ_GEQ(from, heard.block[i][0]) && TCP_SEQ_LEQ(to, heard.block[i][1]))
			return true;
	return false;
}

static void forget(struct tcp_seg *s)
{
	for (; s; s = s->next)
		s->flags &= (u8_t) ~(CAME | AGAIN | UNNOTED);
}

static void mark_one(const struct tcp_pcb *p, struct gz_measure *m, struct tcp_seg *s)
{
	s->flags |= CAME;
	m->loss.top = later_of(m->loss.top, end_of(s));
	gz_rack_came(p, m, s, s->flags & AGAIN);
}

/*
 * Did what was sent again to ask repair a loss?  It did when more is acknowledged and the peer has
 * not said, by SACK or a duplicate ACK, that it had it already (RFC 8985 section 7.4.2).
 */
void gz_sack_answered(struct tcp_pcb *p, struct gz_loss *l, const struct tcp_hdr *h, bool data)
{
	if (!l->probing || TCP_SEQ_LT(h->ackno, l->probe))
		return;
	if (TCP_SEQ_GT(h->ackno, l->probe)) {
		l->probing = false;
		if (l->reno)
			p->cwnd = p->ssthresh = l->target;
	} else if (h->ackno == p->lastack && !data && !l->blocks &&
		   (uint32_t)h->wnd << p->snd_scale == p->snd_wnd) {
		l->probing = false;
	}
}

void gz_sack_acked(const struct tcp_pcb *p, struct gz_flow *f, uint32_t ackno)
{
	const struct gz_loss *l = &f->measure.loss;
	bool told = heard.flow == f && heard.n;

	if (!(p->flags & TF_SACK) || p->flags & TF_RTO ||
	    !(l->in || l->asked || l->rack.on || told))
		return;
	/* Some of it may have come before, and was only heard of. */
	for (struct tcp_seg *s = p->unacked; s && TCP_SEQ_LEQ(end_of(s), ackno); s = s->next)
		if (told && !(s->flags & CAME) && was_heard(s))
			mark_one(p, &f->measure, s);
	for (struct tcp_seg *s = p->unacked; s && TCP_SEQ_LEQ(end_of(s), ackno); s = s->next)
		if (!(s->flags & CAME))
			mark_one(p, &f->measure, s);
}

/* Mark what came.  Return: is there something new? */
static bool mark(struct tcp_pcb *p, struct gz_flow *f, struct tally *t)
{
	struct gz_measure *m = &f->measure;
	bool told = heard.flow == f && heard.n, news = false;
	uint32_t end = m->loss.top;

	for (unsigned i = 0; told && i < heard.n; i++)
		end = later_of(end, heard.block[i][1]);
	for (struct tcp_seg *s = p->unacked; s; s = s->next) {
		if (!(s->flags & CAME)) {
			if (!TCP_SEQ_LT(first_of(s), end))
				break;
			if (told && was_heard(s)) {
				mark_one(p, m, s);
				news = true;
			}
		}
		if (s->flags & CAME) {
			t->came += TCP_TCPLEN(s);
			t->segments++;
		}
	}
	gz_rack_draw(m, t->segments, &t->line);
	return news;
}

static bool is_lost(const struct gz_loss *l, const struct tcp_seg *s, struct tally *t)
{
	return !(s->flags & CAME) && gz_rack_is_lost(&l->rack, &t->line, s, s->flags & AGAIN);
}

static void count(const struct tcp_pcb *p, const struct gz_loss *l, struct tally *t)
{
	uint32_t end = later_of(l->top, later_of(t->line.edge, t->line.reach));

	for (struct tcp_seg *s = p->unacked; s; s = s->next) {
		if (s->flags & CAME)
			continue;
		if (!TCP_SEQ_LT(first_of(s), end))
			break;
		if (is_lost(l, s, t))
			t->lost += TCP_TCPLEN(s);
	}
	t->pipe = p->snd_nxt - p->lastack;
	t->pipe -= LWIP_MIN(t->pipe, t->came + t->lost);
}

/* Take *@at out of "unacked", to its place in "unsent".  false: its pbuf is in use */
static bool send_again(struct tcp_pcb *p, struct gz_loss *l, struct tcp_seg **at)
{
	struct tcp_seg *s = *at, **to = &p->unsent;

	if (s->p->ref != 1)
		return false;
	*at = s->next;
	while (*to && TCP_SEQ_LT(first_of(*to), first_of(s)))
		to = &(*to)->next;
	s->next = *to;
	*to = s;
	s->flags |= AGAIN | UNNOTED;
	l->top = later_of(l->top, end_of(s));
	if (s == l->late)
		l->late = NULL;
	return true;
}

static void note_sent(struct tcp_pcb *p, const struct gz_measure *m)
{
	for (struct tcp_seg *s = p->unacked; s && TCP_SEQ_LT(first_of(s), m->loss.top);
	     s = s->next) {
		if (!(s->flags & UNNOTED))
			continue;
		s->flags &= (u8_t)~UNNOTED;
		gz_rack_again(m, s);
	}
}

/*
 * What was sent and is to be sent again, but was not: to "unacked".  A timeout puts all of that
 * before "unsent": with a lower number behind a higher one nothing would fit into a window of one
 * segment any more.
 */
static void put_back(struct tcp_pcb *p)
{
	struct tcp_seg *s, **to = &p->unacked;

	while ((s = p->unsent) &&
	       (s->flags & AGAIN || (p->unacked && !TCP_SEQ_GT(end_of(s), p->snd_nxt)))) {
		p->unsent = s->next;
		s->flags &= (u8_t) ~(AGAIN | UNNOTED);
		while (*to && TCP_SEQ_LT(first_of(*to), first_of(s)))
			to = &(*to)->next;
		s->next = *to;
		*to = s;
		p->persist_backoff = 0; /* lwIP begins to probe when "unacked" is empty */
	}
}

/*
 * lwIP looks for the last one of "unacked" from the first on, each time that it sends something: it
 * is shown the end of the list where what it sends was never sent before and goes behind that.
 */
void gz_sack_send(struct tcp_pcb *p, struct gz_loss *l)
{
	struct tcp_seg *first = p->unacked, *s;
	bool known = first && p->flags & TF_SACK && l->late &&
		     TCP_SEQ_GT(l->late_end, p->lastack) && p->unsent &&
		     TCP_SEQ_GEQ(first_of(p->unsent), p->snd_nxt);

	if (known)
		p->unacked = l->late;
	tcp_output(p);
	s = p->unacked;
	if (known)
		p->unacked = first;
	while (s && s->next)
		s = s->next;
	l->late = s;
	l->late_end = s ? end_of(s) : 0;
}

/* Let lwIP send, and take back what it did not (the window closed, no buffer). */
static void output(struct tcp_pcb *p, struct gz_measure *m)
{
	gz_sack_send(p, &m->loss);
	put_back(p);
	note_sent(p, m);
}

/* Lost segments to "unsent", as many as @may bytes have begun, and at least @must */
static bool repeat(struct tcp_pcb *p, struct gz_loss *l, struct tally *t, uint32_t *may,
		   unsigned must)
{
	struct tcp_seg **at = &p->unacked;
	unsigned n = 0;

	while (*at && t->lost && (*may || n < must)) {
		struct tcp_seg *s = *at;

		if (!is_lost(l, s, t) || !send_again(p, l, at)) {
			at = &s->next;
			continue;
		}
		t->lost -= TCP_TCPLEN(s);
		*may -= LWIP_MIN(*may, TCP_TCPLEN(s));
		n++;
	}
	return n > 0;
}

/* What Reno lets be under way once something of it is lost (RFC 5681 section 3.1) */
static uint32_t half(const struct tcp_pcb *p)
{
	uint32_t flight = LWIP_MIN(LWIP_MIN(p->cwnd, p->snd_wnd), p->snd_nxt - p->lastack);

	return LWIP_MAX(flight / 2, 2u * tcp_mss(p));
}

static void enter(struct tcp_pcb *p, struct gz_loss *l, struct gz_measure *m)
{
	gz_count(GZ_C_RECOVERIES);
	l->in = true;
	l->probing = false;
	l->point = p->snd_nxt;
	if (l->reno)
		l->target = half(p);
	else
		gz_bbr_gate(p, m);
}

static void leave(struct tcp_pcb *p, struct gz_loss *l, struct gz_measure *m)
{
	if (l->reno)
		p->cwnd = p->ssthresh = l->target;
	else if (!gz_bbr_is_paced(m))
		gz_bbr_open(p, m);
	tcp_clear_flags(p, TF_INFR);
	l->in = false;
	l->absent = l->left = 0;
	gz_rack_recovered(&l->rack);
}

/* Has the program, or lwIP, something that was never sent? */
static bool has_more(const struct gz_flow *f, const struct tcp_pcb *p)
{
	return p->unsent || (f->sock && f->sock->tx.mid < f->sock->tx.tail);
}

/* How much may leave now, with @pipe bytes under way */
static uint32_t room(const struct tcp_pcb *p, struct gz_measure *m, uint32_t pipe)
{
	uint32_t window = m->loss.reno ? m->loss.target : gz_bbr_window(p, m);
	uint32_t n = window > pipe ? window - pipe : 0, budget;

	if (!n || !gz_bbr_is_paced(m))
		return n;
	budget = gz_pace_budget(m, gz_bbr_rate(p, m), tcp_mss(p));
	/* One that was made when there was room for it (tso.c) */
	if (budget && p->unsent)
		budget = LWIP_MAX(budget, p->unsent->len);
	return LWIP_MIN(n, budget);
}

/* Did the pace keep something back?  It leaves later. */
void gz_sack_wait(struct gz_flow *f, const struct tcp_pcb *p)
{
	struct gz_measure *m = &f->measure;
	uint32_t flight = p->snd_nxt - p->lastack, mss = tcp_mss(p);
	bool more =
	    has_more(f, p) && !p->persist_backoff && (!flight || flight + mss <= p->snd_wnd);

	if (gz_bbr_is_paced(m) && (m->loss.left || more) &&
	    flight - m->loss.absent + mss <= m->bbr.window &&
	    !gz_pace_budget(m, gz_bbr_rate(p, m), mss))
		gz_pace_wait(f, m->pace.at);
}

void gz_sack_open(struct gz_flow *f, struct tcp_pcb *p)
{
	uint32_t flight = p->snd_nxt - p->lastack;

	if (gz_bbr_is_paced(&f->measure))
		p->cwnd = flight + room(p, &f->measure, flight - f->measure.loss.absent);
}

/* Did the program bound what is under way? */
static void look_at_idle(const struct gz_flow *f, const struct tcp_pcb *p, struct gz_measure *m)
{
	if (!has_more(f, p) && !m->loss.left &&
	    p->snd_nxt - p->lastack - m->loss.absent + tcp_mss(p) <= gz_bbr_window(p, m))
		m->rate.idle = true;
}

static void recover(struct gz_flow *f, struct tcp_pcb *p)
{
	struct gz_measure *m = &f->measure;
	struct gz_loss *l = &m->loss;
	bool news, moved, first;
	struct tally t = {0};
	uint32_t may;

	if (l->in && TCP_SEQ_GEQ(p->lastack, l->point))
		leave(p, l, m);
	news = mark(p, f, &t);
	count(p, l, &t);
	l->pending = t.line.wait != UINT32_MAX;
	if (l->pending)
		gz_pace_wait(f, gz_worker.now + US * t.line.wait);
	first = !l->in && t.lost;
	if (first)
		enter(p, l, m);
	if (!l->reno)
		gz_bbr_acked(p, m, t.came, t.pipe);
	if (!l->in && !m->bbr.gated)
		return;
	may = room(p, m, t.pipe);
	moved = repeat(p, l, &t, &may, first); /* RFC 6675 section 5, (4.3) */
	if (l->in) {
		if (moved || news)
			p->rtime = 0;
		p->dupacks = 0;
		tcp_set_flags(p, TF_INFR); /* lwIP does not send the first one again */
	}
	l->absent = t.came + t.lost;
	l->left = t.lost;
	/* tcp_output() sends what begins and ends within it. */
	p->cwnd = p->snd_nxt - p->lastack + may;
	if (l->reno)
		p->ssthresh = l->target;
	if (p->unsent)
		output(p, m);
	look_at_idle(f, p, m);
	gz_sack_wait(f, p);
}

void gz_sack_go_on(struct gz_flow *f)
{
	GZ_PCB_SCOPE(p, f);
	if (p != tcp_active_pcbs || p->state < ESTABLISHED || p->flags & TF_RTO ||
	    !(f->measure.bbr.gated || f->measure.loss.pending))
		return;
	recover(f, p);
	if (f->sock && f->sock->tx.mid < f->sock->tx.tail)
		gz_worker_dirty(f->sock->worker, f->sock);
}

void gz_sack_flush(void)
{
	struct gz_flow *f = heard.flow;

	if (!f)
		return;
	GZ_PCB_SCOPE(p, f);
	if (p == tcp_active_pcbs && p->state >= ESTABLISHED && !(p->flags & TF_RTO))
		recover(f, p);
	heard.flow = NULL;
	heard.n = 0;
}

void gz_sack_forget(const struct gz_flow *f)
{
	if (heard.flow != f)
		return;
	heard.flow = NULL;
	heard.n = 0;
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
		l->top = p->lastack;
		p->cwnd = LWIP_MAX(p->cwnd, 10u * tcp_mss(p));
		p->ssthresh = GZ_NO_SSTHRESH;
		m->least_rtt = UINT32_MAX;
	}
	if (l->last != p->lastack) {
		l->last = p->lastack;
		l->asked = false;
		l->top = later_of(l->top, p->lastack);
		gz_rack_acked(&l->rack, p->lastack, !p->unacked);
	}
	if (p->flags & TF_RTO)
		return; /* gz_sack_timeout() */
	if (p->flags & TF_SACK && (l->in || l->blocks || m->bbr.gated)) {
		if (heard.flow != f || heard.n + l->blocks > BLOCKS)
			gz_sack_flush();
		heard.flow = f;
		keep(l);
	} else if (p->flags & TF_SACK && !l->reno) {
		gz_bbr_acked(p, m, 0, p->snd_nxt - p->lastack);
		if (!m->rate.idle)
			look_at_idle(f, p, m);
	}
}

void gz_sack_timeout(struct tcp_pcb *p, struct gz_measure *m)
{
	struct gz_loss *l = &m->loss;

	put_back(p);
	forget(p->unsent);
	forget(p->unacked);
	l->in = l->probing = false;
	l->absent = l->left = 0;
	l->late = NULL;
	gz_rack_timeout(m);
	m->bbr.gated = false;
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
	if (p->unsent &&
	    end_of(p->unsent) - p->lastack <= LWIP_MIN(p->snd_wnd, gz_bbr_window(p, m)))
		return;
	gz_tso_cut(p);
	while (*at && (*at)->next)
		at = &(*at)->next;
	if (!*at || end_of(*at) - p->lastack > p->snd_wnd || !send_again(p, &m->loss, at))
		return;
	gz_count(GZ_C_TAIL_PROBES);
	m->loss.asked = m->loss.probing = true;
	m->loss.probe = m->high;
	m->loss.target = half(p);
	output(p, m);
	p->rtime = 0; /* the timeout is from here on (RFC 8985 section 7.3) */
}

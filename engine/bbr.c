/* SPDX-License-Identifier: BSD-3-Clause
 *
 * bbr.c - How much of a connection may be under way, and how fast it leaves
 *
 * Theory of operation.  The path is known by two numbers, its rate (rate.c) and its shortest round
 * trip; their product is what it holds without a queue.  A loss by itself says nothing.  This is
 * BBR (draft-cardwell-iccrg-bbr-congestion-control), its first version with the second one's regard
 * for losses:
 *
 *   START	the window is what was acknowledged more, until three round trips brought no
 *		quarter more, or there is a queue, or much is lost
 *   DRAIN	slowly, until the queue of START is gone
 *   UP		a quarter faster than the path was, to see whether it has become faster
 *   DOWN	a quarter slower: what UP put into a queue is gone
 *   CRUISE	as fast as the path is, for four to seven round trips; then UP again
 *   TRIP	half of what the path holds, for a round trip, when none as short as the shortest
 *		was seen for ten seconds: others see an empty queue then as well
 *
 * The window is what the path holds twice over, and what arrives in SLACK, because a busy machine
 * is late; but what bounds a long way is its pace (pace.c).  Where round trips are shorter than
 * PACED the window alone does: the worker's timers are too coarse.
 *
 * Losses are counted over a round trip and EPOCH segments at least.  What is lost by chance is
 * what was lost while there was no queue.  A thirty-second more than that is congestion: the most
 * that the path has brought is forgotten for what it brings now (gz_rate_forget()).  With no queue
 * it has to be more than so few segments lose now and then.  A first loss after CLEAN epochs with
 * none, while a queue stands that no round trip found short, is congestion, too: somebody fills
 * it who gives way to losses, as CUBIC does, and is given way to.
 */
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#include "engine/bbr.h"
#include "engine/segment.h"
#include "engine/worker.h"

#define SEC 1000000000ull
#define US 1000ull
#define SLACK 4000 /* us */
#define PACED 1000 /* us */
#define EPOCH 64
#define MUCH 32	       /* of 1024 */
#define CHANCE_MOST 64 /* of 1024: more is congestion in any case */
#define CLEAN 4	       /* epochs without a loss: what is lost then is none by chance */
#define LEAST 4	       /* segments */
#define TRIP_NS (10 * SEC)

enum gz_bbr_losses { FEW, QUEUED, MANY };

static const struct {
	unsigned rate; /* percent */
	unsigned fill; /* percent: of what the path holds, in the window */
} gains[] = {
    [GZ_BBR_START] = {277, 277}, [GZ_BBR_DRAIN] = {50, 200},   [GZ_BBR_UP] = {125, 200},
    [GZ_BBR_DOWN] = {75, 200},	 [GZ_BBR_CRUISE] = {100, 200}, [GZ_BBR_TRIP] = {100, 50},
};

uint32_t gz_bbr_window(const struct tcp_pcb *p, const struct gz_measure *m)
{
	return m->bbr.gated ? m->bbr.window : p->cwnd;
}

uint64_t gz_bbr_rate(const struct tcp_pcb *p, const struct gz_measure *m)
{
	const struct gz_bbr *b = &m->bbr;
	uint64_t rate = gz_rate_most(&m->rate), trip = LWIP_MAX(m->srtt8 >> 3, 1u);

	/* The first of it says little of the path. */
	if (b->mode == GZ_BBR_START)
		rate = LWIP_MAX(rate, (uint64_t)b->window * (SEC / US) / trip);
	rate = LWIP_MAX(rate * gains[b->mode].rate / 100,
			(uint64_t)LEAST * tcp_mss(p) * (SEC / US) / trip);
	return LWIP_MAX(rate, 1u);
}

/* What the window is to be at most */
static uint32_t most(const struct tcp_pcb *p, const struct gz_measure *m)
{
	const struct gz_bbr *b = &m->bbr;
	uint64_t us = (uint64_t)m->min_rtt * gains[b->mode].fill / 100, n;
	uint64_t rate = gz_rate_most(&m->rate);

	if (!rate)
		return UINT32_MAX / 2;
	if (b->mode != GZ_BBR_TRIP)
		us += SLACK;
	n = rate * us / (SEC / US);
	return (uint32_t)LWIP_MAX(LWIP_MIN(n, UINT32_MAX / 2), (uint64_t)LEAST * tcp_mss(p));
}

static void go(struct gz_bbr *b, enum gz_bbr_mode mode)
{
	b->mode = mode;
	b->rounds = 0;
}

/*
 * Are @n of @of more than @share of 1024?  By chance: by more than three times the deviation of
 * such a number, which in a short epoch is as much again
 */
static bool is_much(uint64_t n, uint64_t of, uint32_t share, bool chance)
{
	uint64_t due = of * share, over = n * 1024 - due;

	return n * 1024 > due && (!chance || over * over > 9 * 1024 * due);
}

/* What the losses say: is it less than it was? */
static enum gz_bbr_losses look_at_losses(const struct tcp_pcb *p, struct gz_measure *m)
{
	struct gz_bbr *b = &m->bbr;
	uint64_t sent = m->bytes_sent - b->loss.sent, again = m->bytes_retrans - b->loss.again;
	uint32_t mss = tcp_mss(p), share;
	bool empty = m->least_rtt <= m->min_rtt / 4 * 5 + US; /* the queue, once */
	enum gz_bbr_losses found = FEW;

	if (sent < EPOCH * mss)
		return FEW;
	share = (uint32_t)(again * 1024 / sent);
	if (is_much(again / mss, sent / mss, b->loss.chance + MUCH, empty))
		found = MANY;
	else if (again && b->loss.clean >= CLEAN && m->least_rtt != UINT32_MAX &&
		 m->least_rtt > m->min_rtt / 2 * 3 + US)
		found = QUEUED;
	if (empty)
		b->loss.chance = LWIP_MIN((3 * b->loss.chance + share + 2) / 4, CHANCE_MOST);
	b->loss.clean = again ? 0 : b->loss.clean + 1;
	b->loss.sent = m->bytes_sent;
	b->loss.again = m->bytes_retrans;
	m->least_rtt = UINT32_MAX;
	return found;
}

static void take_trip(struct gz_measure *m)
{
	struct gz_bbr *b = &m->bbr;

	if (b->trip_from && b->trip)
		m->min_rtt = b->trip;
	b->trip_from = gz_worker.now;
	b->trip = 0;
}

/* The shortest round trip of the last ten seconds */
static void look_at_trip(struct gz_measure *m, bool idle)
{
	struct gz_bbr *b = &m->bbr;

	if (m->least_rtt != UINT32_MAX && (!b->trip || m->least_rtt < b->trip))
		b->trip = m->least_rtt;
	if (b->mode == GZ_BBR_TRIP || gz_worker.now - b->trip_from < TRIP_NS)
		return;
	if (b->trip_from && b->mode != GZ_BBR_START && !idle && b->trip > m->min_rtt / 8 * 9)
		go(b, GZ_BBR_TRIP);
	else
		take_trip(m);
}

static void start(struct gz_measure *m, bool idle, bool congested)
{
	uint64_t rate = gz_rate_most(&m->rate);
	struct gz_bbr *b = &m->bbr;

	if (rate >= b->full / 4 * 5) {
		b->full = rate;
		b->flat = 0;
	} else if (!idle) {
		b->flat++;
	}
	if (b->flat >= 3 || (m->late >= 2 && !idle) || congested)
		go(b, GZ_BBR_DRAIN);
}

/* A round trip is over. */
static void turn(struct tcp_pcb *p, struct gz_measure *m, uint32_t pipe, bool idle)
{
	uint32_t fill = gz_rate_fill(m);
	struct gz_bbr *b = &m->bbr;
	enum gz_bbr_losses losses;
	bool congested;

	b->rounds++;
	look_at_trip(m, idle);
	losses = look_at_losses(p, m);
	congested = losses != FEW;
	if (congested && b->mode != GZ_BBR_START)
		gz_rate_forget(&m->rate, losses == MANY ? m->rate.last : 0);
	switch (b->mode) {
	case GZ_BBR_START:
		start(m, idle, congested);
		break;
	case GZ_BBR_DRAIN:
		if (pipe <= fill || b->rounds >= LEAST)
			go(b, GZ_BBR_CRUISE);
		break;
	case GZ_BBR_UP:
		if (congested || b->rounds >= 2 || pipe >= fill / 4 * 5)
			go(b, GZ_BBR_DOWN);
		break;
	case GZ_BBR_DOWN:
		if (pipe <= fill / 8 * 9 || b->rounds >= LEAST)
			go(b, GZ_BBR_CRUISE);
		break;
	case GZ_BBR_CRUISE:
		/* Flows that share a path are not to do it at once. */
		if (b->rounds >= 4 + (gz_worker.now >> 12) % 4)
			go(b, GZ_BBR_UP);
		break;
	case GZ_BBR_TRIP:
		if (b->rounds < 3)
			break;
		take_trip(m);
		go(b, GZ_BBR_CRUISE);
		break;
	}
}

void gz_bbr_acked(struct tcp_pcb *p, struct gz_measure *m, uint32_t sacked, uint32_t pipe)
{
	struct gz_bbr *b = &m->bbr;
	enum gz_round round;
	uint32_t n;

	round = gz_rate_delivered(p, m, sacked, gz_worker.now, &n);
	if (!b->gated && b->mode == GZ_BBR_START && round != GZ_ROUND_OVER)
		return; /* lwIP's slow start */
	if (round != GZ_ROUND_GOES_ON)
		turn(p, m, pipe, round == GZ_ROUND_IDLE);
	if (!b->gated) {
		if (round == GZ_ROUND_OVER && m->min_rtt >= PACED)
			gz_bbr_gate(p, m);
		else if (b->mode == GZ_BBR_START)
			return;
		else
			b->window = p->cwnd;
	}
	/* What is not used does not grow. */
	if (b->mode != GZ_BBR_START || pipe + n >= b->window / 2)
		b->window += n;
	b->window = LWIP_MIN(b->window, most(p, m));
	p->ssthresh = b->mode == GZ_BBR_START ? GZ_NO_SSTHRESH : b->window;
	if (!b->gated)
		p->cwnd = b->window;
}

bool gz_bbr_is_paced(const struct gz_measure *m)
{
	return m->bbr.gated && m->min_rtt >= PACED && gz_rate_most(&m->rate);
}

void gz_bbr_gate(const struct tcp_pcb *p, struct gz_measure *m)
{
	if (m->bbr.gated)
		return;
	m->bbr.gated = true;
	m->bbr.window = p->cwnd;
	m->pace.paid = m->bytes_sent;
}

void gz_bbr_open(struct tcp_pcb *p, struct gz_measure *m)
{
	if (!m->bbr.gated)
		return;
	m->bbr.gated = false;
	p->cwnd = m->bbr.window;
	p->ssthresh = m->bbr.mode == GZ_BBR_START ? GZ_NO_SSTHRESH : m->bbr.window;
}

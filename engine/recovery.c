/* SPDX-License-Identifier: BSD-3-Clause
 *
 * recovery.c - When a segment is sent again, and a closed window is probed
 *
 * Theory of operation.  lwIP keeps the timers; what they run up to are public
 * fields of the pcb, set here before each of its ticks.  So are the sums from which
 * it makes its timeout, sa and sv: its own clock has steps of 20 ms, and begins with
 * RFC 6298's first second as if that had been measured.
 */
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#include "engine/black_hole.h"
#include "engine/recovery.h"
#include "engine/segment.h"
#include "engine/tso.h"
#include "engine/worker.h"

#define MS 1000000ull
#define RTO_MIN 200    /* ms; Linux's TCP_RTO_MIN */
#define RTO_MAX 120000 /* ms; Linux's TCP_RTO_MAX */

void gz_recovery_rtt(struct tcp_pcb *p, const struct gz_measure *m)
{
	uint32_t tick = TCP_SLOW_INTERVAL * 1000;
	uint32_t var = LWIP_MAX(m->mdev4 / tick, RTO_MIN / TCP_SLOW_INTERVAL);

	p->sa = (s16_t)LWIP_MIN((m->srtt8 + 4 * tick) / tick, INT16_MAX / 2);
	p->sv = (s16_t)LWIP_MIN(var, RTO_MAX / TCP_SLOW_INTERVAL);
}

/*
 * Cut the first unsent segment after @len bytes.  lwIP adds the flags of the first
 * part to those that it had, so that a FIN would be in both.
 */
static bool cut(struct tcp_pcb *p, u16_t len)
{
	struct tcp_seg *s = p->unsent;

	if (!s || s->len <= len)
		return true;
	if (tcp_split_unsent_seg(p, len) != ERR_OK)
		return false;
	TCPH_UNSET_FLAG(s->tcphdr, TCP_FIN | TCP_PSH);
	return true;
}

void gz_recovery_resize(struct tcp_pcb *p)
{
	gz_sack_timeout(p, &gz_stack_flow(p)->measure);
	if (p->unacked && tcp_rexmit_rto_prepare(p) != ERR_OK)
		return; /* the timeout will try again */
	gz_tso_cut(p);
	tcp_output(p);
}

/*
 * A closed window is probed after a retransmission timeout, then at doubled
 * intervals (RFC 9293 3.8.6.1); lwIP's own are a table of ticks, from 60 ms.
 */
static void time_probe(struct tcp_pcb *p, struct gz_measure *m, uint64_t now)
{
	uint64_t wait;

	/* The probe's byte was the last one, and was taken: lwIP would go on, and abort. */
	if (!p->unsent || p->unacked)
		p->persist_backoff = 0;
	if (!p->persist_backoff) {
		m->probe_at = 0;
		m->probes = 0;
		return;
	}
	if (m->probe_at && now < m->probe_at) {
		if (p->persist_cnt != UINT8_MAX)
			p->persist_cnt = 0;
		return;
	}
	/* What is open, but less than a segment, is filled then (RFC 9293 3.8.6.2.1). */
	if (m->probe_at && p->snd_wnd)
		cut(p, (u16_t)LWIP_MIN(p->snd_wnd, tcp_mss(p)));
	p->persist_cnt = m->probe_at ? UINT8_MAX : 0; /* lwIP sends, and then sets it to 0 */
	wait = (uint64_t)p->rto * TCP_SLOW_INTERVAL << LWIP_MIN(m->probes, 10);
	m->probe_at = now + LWIP_MIN(wait, (uint64_t)RTO_MAX) * MS;
	m->probes++;
}

void gz_recovery_tick(struct tcp_pcb *p, struct gz_measure *m, uint64_t now, bool slow)
{
	bool late;

	p->rto = LWIP_MIN(p->rto, RTO_MAX / TCP_SLOW_INTERVAL);
	late = slow && p->unacked && p->rtime >= p->rto;
	if (late) { /* lwIP is about to send it again */
		gz_sack_timeout(p, m);
		tcp_clear_flags(p, TF_INFR); /* it would leave slow start at the first ACK */
		gz_black_hole_timeout(p, m, now);
		gz_tso_cut(p);
	}
	time_probe(p, m, now);
	if (!late)
		gz_sack_tick(p, m, now);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * timers.c - What the stack does by the clock: lwIP's ticks, and deadlines of our own
 *
 * Theory of operation.  lwIP's slow tick is 20 ms; while no pcb needs it the clock
 * runs on and the worker sleeps.  deadlines() comes before each tick.
 *
 * lwIP gives up after 12 retransmissions whatever the time; the counters are
 * public and are held below that until the deadline that Linux would use.
 */
#include <errno.h>

#include "lwip/etharp.h"
#include "lwip/igmp.h"
#include "lwip/ip4_frag.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#include "engine/ack.h"
#include "engine/ipv6.h"
#include "engine/pcb.h"
#include "engine/recovery.h"
#include "engine/worker.h"

#define TICK ((uint64_t)TCP_TMR_INTERVAL * GZ_MS)

static uint64_t ticked; /* ns; when tcp_ticks was as it is */

static bool needs_tick(const struct tcp_pcb *p)
{
	return p->unacked || p->unsent || p->ooseq || p->refused_data || p->persist_backoff ||
	       (p->flags & (TF_ACK_DELAY | TF_CLOSEPEND | TF_NAGLEMEMERR)) ||
	       p->state == SYN_SENT || p->state == SYN_RCVD;
}

/*
 * How long a connection that nobody has any more waits for the peer's FIN: lwIP has
 * 20 s for all.  @p may be gone after it.
 */
static void fin_wait(struct tcp_pcb *p, struct gz_measure *m, uint64_t now)
{
	if (p->state != FIN_WAIT_2 || !(p->flags & TF_RXCLOSED))
		return;
	if (m->linger2 < 0) { /* not at all: a RST, as __tcp_close() */
		tcp_abort(p);
		return;
	}
	if (!m->fin_wait)
		m->fin_wait = now;
	p->tmr = tcp_ticks;
	if (now - m->fin_wait >= GZ_SEC * (unsigned)m->linger2)
		p->tmr -= TCP_FIN_WAIT_TIMEOUT / TCP_SLOW_INTERVAL + 1;
}

/* Own deadlines, before lwIP's tick.  Return: a pcb needs the fast tick */
static bool deadlines(struct gz_worker *w)
{
	struct tcp_pcb *p, *next;
	bool busy = false;

	for (p = tcp_active_pcbs; p; p = next) {
		struct gz_flow *f = gz_stack_flow(p);
		struct gz_sock *s = f ? f->sock : NULL;

		next = p->next;
		gz_ack_late(p);
		busy = busy || needs_tick(p);
		/* Also when the application is gone and only a FIN is under way. */
		if (f && p->state != SYN_SENT)
			gz_recovery_tick(p, &f->measure, w->now);
		if (!s) {
			if (f && !f->listener)
				fin_wait(p, &f->measure, w->now);
			continue;
		}
		if (p->state != ESTABLISHED || p->unacked || p->unsent || p->persist_backoff)
			gz_stack_info(s); /* no callback tells of these steps */
		if (s->cork_since && w->now - s->cork_since >= GZ_CORK_MAX)
			gz_worker_dirty(w, s);
		if (s->deferred) {
			busy = true;
			if (w->now >= s->defer_until)
				gz_worker_dirty(w, s);
		}
		if (s->opt.cork && s->cork_since)
			busy = true;
		if (p->state == SYN_SENT) {
			/* Linux doubles from one second; lwIP does not. */
			u32_t rto = (u32_t)(LWIP_TCP_RTO_TIME / TCP_SLOW_INTERVAL)
				    << LWIP_MIN(p->nrtx, 7);

			rto = LWIP_MIN(rto, 120000u / TCP_SLOW_INTERVAL);
			/* Apart by up to 160 ms: many that met a full backlog at once
			 * would meet it again and again. */
			rto += p->local_port % 8;

			p->rto = (s16_t)LWIP_MIN(rto, 0x7fff);
			if (p->nrtx >= TCP_SYNMAXRTX - 1)
				p->nrtx = TCP_SYNMAXRTX - 2;
			if (s->deadline && w->now >= s->deadline) {
				gz_relay_failed(w, s, ETIMEDOUT);
				gz_stack_abort(s);
			}
			continue;
		}
		if (p->nrtx || p->persist_probe) {
			uint64_t limit = s->opt.user_timeout
					     ? (uint64_t)s->opt.user_timeout * GZ_MS
					     : (uint64_t)w->cfg->rto_give_up_s * GZ_SEC;

			if (!s->deadline)
				s->deadline = w->now + limit;
			if (w->now >= s->deadline) {
				atomic_store(&s->error, ETIMEDOUT);
				s->reset = true;
				gz_stack_abort(s);
				continue;
			}
			if (p->nrtx >= TCP_MAXRTX - 1)
				p->nrtx = TCP_MAXRTX - 2;
			if (p->persist_probe >= TCP_MAXRTX - 1)
				p->persist_probe = TCP_MAXRTX - 2;
		} else {
			s->deadline = 0;
		}
	}
	return busy;
}

void gz_stack_clock(uint64_t now)
{
	uint64_t n;

	if (!ticked || now < ticked)
		ticked = now;
	n = (now - ticked) / (2 * TICK);
	if (n > 1) {
		tcp_ticks += (u32_t)n - 1;
		ticked += (n - 1) * 2 * TICK;
	}
}

uint64_t gz_stack_timers(struct gz_worker *w)
{
	static uint64_t next_tick, next_second, next_igmp;
	static bool busy;
	uint64_t now = w->now, wait;

	if (!next_second)
		next_tick = next_second = now;
	/* New work may have come since the last slow tick was set. */
	if (!busy && next_tick > now + TICK) {
		for (struct tcp_pcb *p = tcp_active_pcbs; p && !busy; p = p->next)
			busy = needs_tick(p);
		if (busy)
			next_tick = now + TICK;
	}
	if (now >= next_tick) {
		u32_t before = tcp_ticks;

		busy = deadlines(w);
		tcp_tmr();
		if (tcp_ticks != before)
			ticked += 2 * TICK;
		next_tick = now + (busy ? TICK : 50 * TICK);
	}
	if (now >= next_second) {
		etharp_tmr();
		ip_reass_tmr();
		gz_ipv6_second();
		next_second = now + GZ_SEC;
	}
	wait = next_second - now;
	if (gz_netif_in_groups()) {
		if (now >= next_igmp) {
			igmp_tmr();
			next_igmp = now + IGMP_TMR_INTERVAL * GZ_MS;
		}
		if (next_igmp - now < wait)
			wait = next_igmp - now;
	}
	if ((tcp_active_pcbs || tcp_tw_pcbs) && next_tick - now < wait)
		wait = next_tick - now;
	return wait;
}

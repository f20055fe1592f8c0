/* SPDX-License-Identifier: BSD-3-Clause
 *
 * timers.c - What the stack does by the clock: lwIP's ticks, and deadlines of our own
 *
 * Theory of operation.  lwIP's timers are made for a walk over all pcbs every 10 ms.
 * Here a flow has its turn only when something of it is due: after each work on it
 * gz_timer_arm() says when that will be, and puts it on a wheel.  Most are not due when
 * their turn comes, because an ACK came; they are put where they are due then.  An idle
 * connection is on no wheel.  A turn (turn()) is what the walk did for a pcb: our
 * deadlines, then lwIP's fast tick, and its slow one of 20 ms if that has passed.
 *
 * What is due is done in slices, so that a packet that arrives meanwhile waits for
 * SLICE and one turn.  The clock is the real one (gz_stack_clock()), a flow that is
 * late is told how late (pcbs.c).
 *
 * lwIP gives up after 12 retransmissions whatever the time; the counters are
 * public and are held below that until the deadline that Linux would use.
 */
#include <errno.h>
#include <time.h>

#include "lwip/etharp.h"
#include "lwip/igmp.h"
#include "lwip/ip4_frag.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#include "engine/ack.h"
#include "engine/counters.h"
#include "engine/dhcp.h"
#include "engine/ipv6.h"
#include "engine/neigh.h"
#include "engine/pcb.h"
#include "engine/recovery.h"
#include "engine/service.h"
#include "engine/worker.h"

#define TICK ((uint64_t)TCP_TMR_INTERVAL * GZ_MS)
#define SLOTS 1024	     /* a power of two; what is due later has a turn for nothing */
#define SLICE (25 * 1000ull) /* ns */
#define TRIM GZ_SEC
#define NEVER UINT32_MAX

LIST_HEAD(slot, gz_flow);

static struct {
	struct slot slot[SLOTS];
	uint64_t used[SLOTS / 64]; /* slots that may have some */
	struct slot ready;	   /* those of the last slot that has passed */
	uint32_t now;		   /* the last slot that has passed, ticks */
	u8_t lwip_ctr;		   /* lwIP's tcp_timer_ctr */
} wheel;

static uint32_t ticks_of(uint64_t ns)
{
	return (uint32_t)(ns / TICK);
}

/* In ticks of TICK, of what is due at @at ns: not before it. */
static uint32_t until(uint64_t at)
{
	return at > gz_worker.now ? ticks_of(at - gz_worker.now) + 1 : 1;
}

/* The same of lwIP's slow ticks, @n from now */
static uint32_t slow(int64_t n)
{
	return n > 0 ? (uint32_t)n * 2 : 1;
}

/* When is what lies in "unacked" sent again, or asked after? */
static uint32_t retransmission(const struct tcp_pcb *p, const struct gz_measure *m)
{
	uint32_t rto = slow(p->rto - p->rtime), tail;
	uint64_t at = gz_sack_tail_at(p, m);

	if (p->rtime < 0 || !at)
		return rto;
	tail = until(at);
	return LWIP_MIN(rto, tail);
}

static uint32_t keepalive(const struct tcp_pcb *p)
{
	uint32_t at = (p->keep_idle + p->keep_cnt_sent * p->keep_intvl) / TCP_SLOW_INTERVAL + 1;

	return slow((int64_t)at - (tcp_ticks - p->tmr));
}

/* How long may @f be left alone, in ticks? */
static uint32_t patience(const struct gz_flow *f, const struct tcp_pcb *p)
{
	const struct gz_sock *s = f->sock;
	uint32_t t = NEVER;

	if (p->state == TIME_WAIT)
		return slow(2 * TCP_MSL / TCP_SLOW_INTERVAL + 1 - (int64_t)(tcp_ticks - p->tmr));
	if (p->flags & (TF_ACK_DELAY | TF_ACK_NOW | TF_CLOSEPEND | TF_NAGLEMEMERR) ||
	    p->refused_data)
		return 1;
	if (p->state == SYN_SENT || p->persist_backoff || f->measure.probe_at || p->ooseq ||
	    (p->unsent && !p->unacked))
		return 2;
	/* give_up() has to see that it begins, and that it ended. */
	if (s && !s->deadline != !(p->nrtx || p->persist_probe))
		return 1;
	if (p->unacked)
		t = retransmission(p, &f->measure);
	if (p->state == SYN_RCVD)
		t = LWIP_MIN(t, slow(TCP_SYN_RCVD_TIMEOUT / TCP_SLOW_INTERVAL + 1 -
				     (int64_t)(tcp_ticks - p->tmr)));
	if (p->state == FIN_WAIT_2 && p->flags & TF_RXCLOSED)
		t = LWIP_MIN(t, f->measure.fin_wait
				    ? until(f->measure.fin_wait +
					    GZ_SEC * (unsigned)LWIP_MAX(f->measure.linger2, 0))
				    : 1);
	if (ip_get_option(p, SOF_KEEPALIVE) && (p->state == ESTABLISHED || p->state == CLOSE_WAIT))
		t = LWIP_MIN(t, keepalive(p));
	if (s && s->cork_since)
		t = LWIP_MIN(t, until(s->cork_since + GZ_CORK_MAX));
	if (s && s->deferred)
		t = LWIP_MIN(t, until(s->defer_until));
	if (s && s->deadline)
		t = LWIP_MIN(t, until(s->deadline));
	if (s && (s->rx.data || s->tx.data))
		t = LWIP_MIN(t, until(s->trim_at));
	return t;
}

void gz_timer_cancel(struct gz_flow *f)
{
	if (f->armed)
		LIST_REMOVE(f, timer);
	f->armed = false;
}

void gz_timer_arm(struct gz_flow *f)
{
	uint32_t t, due;

	/* It has its turn soon in any case, and is looked at then. */
	if (f->armed && (int32_t)(f->due - wheel.now) <= 1)
		return;
	t = patience(f, gz_pcb_look(f));
	if (t == NEVER)
		return;
	due = ticks_of(gz_worker.now) + t;
	if (f->armed && (int32_t)(f->due - due) <= 0)
		return;
	gz_timer_cancel(f);
	f->armed = true;
	f->due = due;
	LIST_INSERT_HEAD(&wheel.slot[due % SLOTS], f, timer);
	wheel.used[due % SLOTS / 64] |= 1ull << due % 64;
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
		p->tmr -= TCP_FIN_WAIT_TIMEOUT / TCP_SLOW_INTERVAL + 2;
}

/* A SYN is sent again after 1 s, doubled each time, as Linux does; lwIP does not. */
static void syn_sent(struct gz_worker *w, struct tcp_pcb *p, struct gz_sock *s)
{
	u32_t rto = (u32_t)(LWIP_TCP_RTO_TIME / TCP_SLOW_INTERVAL) << LWIP_MIN(p->nrtx, 7);

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
}

/* Is the peer silent for too long? */
static void give_up(struct gz_worker *w, struct tcp_pcb *p, struct gz_sock *s)
{
	uint64_t limit = s->opt.user_timeout ? (uint64_t)s->opt.user_timeout * GZ_MS
					     : (uint64_t)gz_cfg->rto_give_up_s * GZ_SEC;

	if (!p->nrtx && !p->persist_probe) {
		s->deadline = 0;
		return;
	}
	if (!s->deadline)
		s->deadline = w->now + limit;
	if (w->now >= s->deadline) {
		atomic_store(&s->error, ETIMEDOUT);
		s->reset = true;
		gz_stack_abort(s);
		return;
	}
	if (p->nrtx >= TCP_MAXRTX - 1)
		p->nrtx = TCP_MAXRTX - 2;
	if (p->persist_probe >= TCP_MAXRTX - 1)
		p->persist_probe = TCP_MAXRTX - 2;
}

/* Own deadlines, before lwIP's ticks; @passed: the slow one as well.  @p may be gone after it. */
static void deadlines(struct gz_worker *w, struct gz_flow *f, struct tcp_pcb *p, bool passed)
{
	struct gz_sock *s = f->sock;

	gz_ack_late(f, p);
	/* Also when the application is gone and only a FIN is under way. */
	if (p->state != SYN_SENT)
		gz_recovery_tick(p, &f->measure, w->now, passed);
	if (!s) {
		if (!f->listener)
			fin_wait(p, &f->measure, w->now);
		return;
	}
	if (s->cork_since && w->now - s->cork_since >= GZ_CORK_MAX)
		gz_worker_dirty(w, s);
	if (s->deferred && w->now >= s->defer_until)
		gz_worker_dirty(w, s);
	if (p->state == SYN_SENT)
		syn_sent(w, p, s);
	else
		give_up(w, p, s);
}

/* Memory of rings that are not used as much any more */
static void trim(struct gz_worker *w, struct gz_flow *f)
{
	uint64_t used = LWIP_MAX(f->measure.received_at, f->measure.sent_at);
	bool idle = w->now >= used + TRIM;
	struct gz_sock *s = f->sock;

	if (!s || w->now < s->trim_at || !(s->rx.data || s->tx.data))
		return;
	s->trim_at = w->now + TRIM;
	gz_ring_trim(&s->rx, idle);
	gz_ring_trim(&s->tx, idle);
	if (idle)
		gz_window_idle(s, gz_pcb_look(f));
}

/* lwIP passes a pcb over whose last_timer is the counter's: it is never that here. */
static void lwip_tick(struct tcp_pcb *p, void (*tick)(void))
{
	p->last_timer = wheel.lwip_ctr++;
	tick();
}

static void turn(struct gz_worker *w, struct gz_flow *f)
{
	bool passed = f->ticks != tcp_ticks;
	GZ_PCB_SCOPE(p, f);

	gz_count(GZ_C_TICKS);
	if (p->state != TIME_WAIT) {
		deadlines(w, f, p, passed);
		if (gz_pcb_is_entered(f))
			lwip_tick(p, tcp_fasttmr);
	}
	if (passed && gz_pcb_is_entered(f)) {
		/* What it counts was counted when the flow was entered. */
		if (p->state != TIME_WAIT && p->rtime > 0)
			p->rtime--;
		tcp_ticks--;
		lwip_tick(p, tcp_slowtmr);
	}
	if (gz_pcb_is_entered(f))
		trim(w, f);
}

/* The next slot that has passed, in one step however many are in it.  False: none */
static bool next_slot(uint32_t now)
{
	struct slot *s;

	if (wheel.now == now)
		return false;
	if (!wheel.now || now - wheel.now > SLOTS)
		wheel.now = now - SLOTS;
	s = &wheel.slot[++wheel.now % SLOTS];
	wheel.used[wheel.now % SLOTS / 64] &= ~(1ull << wheel.now % 64);
	wheel.ready.lh_first = s->lh_first;
	if (s->lh_first)
		s->lh_first->timer.le_prev = &wheel.ready.lh_first;
	LIST_INIT(s);
	return true;
}

/* Processor time of this thread: whatever else ran in between does not count. */
static uint64_t cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Return: ns until there is more to do */
static uint64_t run_wheel(struct gz_worker *w)
{
	uint32_t now = ticks_of(w->now), i;
	uint64_t start = 0, cpu = 0;
	struct gz_flow *f;

	do {
		while ((f = LIST_FIRST(&wheel.ready))) {
			if (!start) {
				start = gz_now_ns();
				cpu = cpu_us();
			} else if (gz_now_ns() - start >= SLICE) {
				goto enough;
			}
			/* It may be due in a later round: a turn for nothing. */
			gz_timer_cancel(f);
			turn(w, f);
		}
	} while (next_slot(now));
enough:
	if (start) {
		gz_count(GZ_C_TICK_SLICES);
		cpu = cpu_us() - cpu;
		if (cpu > gz_counter(GZ_C_TICK_LONGEST))
			gz_add(GZ_C_TICK_LONGEST, cpu - gz_counter(GZ_C_TICK_LONGEST));
	}
	if (!LIST_EMPTY(&wheel.ready))
		return 0;
	for (i = 1; i <= SLOTS; i++) {
		uint32_t at = (now + i) % SLOTS;

		if (!wheel.used[at / 64] && at % 64 == 0)
			i += 63;
		else if (wheel.used[at / 64] >> at % 64 & 1)
			return (now + i) * TICK - w->now;
	}
	return UINT64_MAX;
}

void gz_stack_clock(uint64_t now)
{
	tcp_ticks = (u32_t)(now / (2 * TICK));
}

uint64_t gz_stack_timers(struct gz_worker *w)
{
	static uint64_t next_second, next_igmp;
	uint64_t now = w->now, wait, wheels = run_wheel(w);

	if (!next_second)
		next_second = now;
	if (now >= next_second) {
		etharp_tmr();
		ip_reass_tmr();
		gz_ipv6_second();
		gz_neigh_second();
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
	wait = LWIP_MIN(wait, gz_dhcp_timers(now));
	return LWIP_MIN(wait, wheels);
}

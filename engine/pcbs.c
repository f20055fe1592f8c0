/* SPDX-License-Identifier: BSD-3-Clause
 *
 * pcbs.c - Which pcb lwIP has on its lists
 *
 * Theory of operation.  lwIP keeps all pcbs on two lists, and walks them for each
 * segment, each tick and each connect(): 400,000 cycles a segment with 100,000
 * connections.  The lists' heads are global variables.  Here each flow has lists of its
 * own, which hold its pcb and no other, and they are lwIP's while it works on that
 * flow: between gz_pcb_enter() and gz_pcb_leave().  A table finds the flow of a segment,
 * by a keyed hash, so that nobody can choose connections that share a bucket.  What does
 * not belong to a flow sees empty lists.
 *
 * Whoever wants a pcb has to enter its flow, for the pointer is to be had nowhere else;
 * gz_pcb_look() gives one to read only.  Flows nest: what was entered before is put back.
 * A pcb's timers are those of its flow, see timers.c; what lwIP would have counted in the
 * meantime is added when the flow is entered.
 */
#include <assert.h>
#include <stdlib.h>

#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#include "engine/counters.h"
#include "engine/keyed.h"
#include "engine/pcb.h"
#include "engine/ports.h"
#include "engine/pace.h"
#include "engine/sack.h"
#include "engine/worker.h"

#define DEPTH 16
#define BUCKETS_MIN 4096

LIST_HEAD(flows, gz_flow);

/* What is entered, the innermost last.  Without a flow it keeps lists itself. */
struct frame {
	struct gz_flow *flow;
	struct gz_lists lists;
};

static struct {
	struct flows *bucket;
	uint64_t mask;
	struct gz_key key;
	struct frame frame[DEPTH];
	unsigned depth;
	TAILQ_HEAD(, gz_flow) waits; /* in TIME_WAIT, the oldest first */
	unsigned nwaits, max_waits;
} table;

int gz_pcb_init(unsigned connections, unsigned time_waits)
{
	uint64_t n = BUCKETS_MIN;

	while (n < connections)
		n *= 2;
	/* Pages that no flow hashes to are never touched. */
	table.bucket = calloc(n, sizeof(*table.bucket));
	if (!table.bucket)
		return -ENOMEM;
	table.mask = n - 1;
	table.key = gz_key_new();
	table.max_waits = time_waits;
	TAILQ_INIT(&table.waits);
	return 0;
}

static uint64_t hash(struct gz_end local, struct gz_end peer)
{
	uint64_t w[5];
	unsigned n;

	if (gz_end_is_v4(peer)) {
		w[0] = (uint64_t)gz_end_v4_addr(local) << 32 | gz_end_v4_addr(peer);
		n = 1;
	} else {
		memcpy(w, &local.addr, 16);
		memcpy(w + 2, &peer.addr, 16);
		n = 4;
	}
	w[n++] = (uint64_t)local.port << 16 | peer.port;
	return gz_keyed(&table.key, w, n);
}

struct gz_flow *gz_pcb_find(struct gz_end local, struct gz_end peer)
{
	uint64_t h = hash(local, peer);
	struct gz_flow *f;

	LIST_FOREACH(f, &table.bucket[h & table.mask], in_table)
	if (f->hash == h && gz_end_equal(f->peer, peer) && gz_end_equal(f->local, local))
		return f;
	return NULL;
}

static struct frame *top(void)
{
	return table.depth ? &table.frame[table.depth - 1] : NULL;
}

static struct gz_lists *lists_of(struct frame *fr)
{
	return fr->flow ? &fr->flow->lists : &fr->lists;
}

static void from_lwip(struct frame *fr)
{
	if (fr)
		*lists_of(fr) = (struct gz_lists){tcp_active_pcbs, tcp_tw_pcbs};
}

static void to_lwip(struct frame *fr)
{
	struct gz_lists l = fr ? *lists_of(fr) : (struct gz_lists){NULL, NULL};

	tcp_active_pcbs = l.active;
	tcp_tw_pcbs = l.time_wait;
}

/* lwIP's retransmission timer counts slow ticks: those since the last time. */
static void catch_up(struct gz_flow *f)
{
	struct tcp_pcb *p = f->lists.active;
	u32_t n = tcp_ticks - f->ticks;

	f->ticks = tcp_ticks;
	if (n && p && p->rtime >= 0)
		p->rtime = (s16_t)LWIP_MIN(p->rtime + n, 0x7ffeu);
}

struct tcp_pcb *gz_pcb_enter(struct gz_flow *f)
{
	struct frame *fr = &table.frame[table.depth];

	assert(table.depth < DEPTH);
	from_lwip(top());
	*fr = (struct frame){.flow = f};
	table.depth++;
	to_lwip(fr);
	if (!f)
		return NULL;
	catch_up(f);
	return f->kept.pcb;
}

/* At most so many wait for the end of TIME_WAIT; the oldest have waited the longest. */
static void bound_waits(struct gz_flow *f)
{
	if (!f->lists.time_wait || f->waits)
		return;
	f->waits = true;
	TAILQ_INSERT_TAIL(&table.waits, f, wait_entry);
	if (++table.nwaits <= table.max_waits)
		return;
	gz_count(GZ_C_TIME_WAIT_CUT);
	GZ_PCB_SCOPE(p, TAILQ_FIRST(&table.waits));
	tcp_abort(p); /* silent in TIME_WAIT */
}

void gz_pcb_leave(void)
{
	struct frame *fr = top();
	struct gz_flow *f = fr->flow;

	from_lwip(fr);
	assert(f || (!fr->lists.active && !fr->lists.time_wait));
	table.depth--;
	to_lwip(top());
	if (!f)
		return;
	f->state = (uint8_t)f->kept.pcb->state;
	if (f->sock)
		atomic_store_explicit(&f->sock->info.tcp_state, f->state, memory_order_relaxed);
	gz_timer_arm(f);
	bound_waits(f);
}

struct netif *gz_pcb_netif(void)
{
	const struct frame *fr = top();
	const struct tcp_pcb *p = fr && fr->flow ? fr->flow->kept.pcb : NULL;

	return p ? netif_get_by_index(p->netif_idx) : NULL;
}

const struct tcp_pcb *gz_pcb_look(const struct gz_flow *f)
{
	return f->kept.pcb;
}

bool gz_pcb_is_entered(const struct gz_flow *f)
{
	return table.depth && top()->flow == f;
}

void gz_pcb_register(struct gz_flow *f, struct tcp_pcb *pcb)
{
	struct frame *fr = top();

	assert(fr && (!fr->flow || fr->flow == f));
	fr->flow = f; /* the lists that are lwIP's now are its own */
	f->kept.pcb = pcb;
	f->ticks = tcp_ticks;
	f->hash = hash(f->local, f->peer);
	LIST_INSERT_HEAD(&table.bucket[f->hash & table.mask], f, in_table);
}

void gz_pcb_forget(struct gz_flow *f)
{
	assert(gz_pcb_is_entered(f));
	LIST_REMOVE(f, in_table);
	gz_sack_forget(f);
	gz_timer_cancel(f);
	gz_pace_cancel(f);
	if (f->waits) {
		TAILQ_REMOVE(&table.waits, f, wait_entry);
		table.nwaits--;
	}
	for (unsigned i = 0; i < table.depth; i++)
		if (table.frame[i].flow == f)
			table.frame[i] = (struct frame){.flow = NULL};
}

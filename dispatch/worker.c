/* SPDX-License-Identifier: BSD-3-Clause
 *
 * worker.c - The threads through which every packet goes: see worker.h
 *
 * Theory of operation: one pass takes a burst from the port and from each link,
 * asks sw_decide() about every frame, stages it for where it goes, and hands the
 * stages over before the next source's turn: what came together leaves together.
 * A destination that does not take all of its stage loses the rest, and nobody
 * else waits for it.
 *
 * All mbufs are of one pool.  A link copies, so what went to a client is freed
 * here; the port keeps what it took.
 *
 * Threads and their sleep are workers.c's.
 */
#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>

#include <rte_arp.h>
#include <rte_cycles.h>
#include <rte_mbuf.h>

#include "dispatch/connections.h"
#include "dispatch/dispatch.h"
#include "dispatch/frames.h"
#include "dispatch/offload.h"

/* --- sending -------------------------------------------------------------- */

static unsigned send_wire(void *arg, struct rte_mbuf **m, unsigned n)
{
	struct worker *w = arg;
	unsigned sent = wire_tx(w, m, n);

	w->counters[SW_PORT].tx += sent;
	return sent;
}

static unsigned drop_wire(void *arg, struct rte_mbuf **m, unsigned n)
{
	struct worker *w = arg;

	w->counters[SW_PORT].dropped += n;
	return wire_drop(w->d, m, n);
}

/** others_wait() - The highest priority that waits with other workers; 0: none, or none higher */
static unsigned others_wait(const struct worker *w)
{
	unsigned highest = 0;

	for (unsigned i = 0; w->d->nworkers > 1 && i < w->d->nworkers; i++) {
		if (i != w->number)
			highest = RTE_MAX(highest, backlog_highest(&w->d->worker[i].backlog));
	}
	return highest;
}

/** send_backlog() - As much as the port takes; what there is no port for is dropped */
static unsigned send_backlog(struct worker *w)
{
	if (!w->backlog.n)
		return 0;
	return backlog_send(&w->backlog, others_wait(w), wire_is_open(w->d) ? send_wire : drop_wire,
			    w);
}

/** flush_wire() - The port takes it, or it waits.  Return: how many are dropped */
static unsigned flush_wire(struct worker *w, struct rte_mbuf **m, unsigned n)
{
	unsigned done = 0;

	n = wire_tag(m, n);
	if (!w->backlog.n && w->priority >= others_wait(w))
		done = send_wire(w, m, n);
	if (done < n && wire_is_open(w->d))
		done += backlog_put(&w->backlog, w->priority, m + done, n - done);
	wire_drop(w->d, m + done, n - done);
	send_backlog(w);
	return n - done;
}

/** hand_over() - Frames that are as who gets them takes them */
static void hand_over(struct worker *w, unsigned to, struct rte_mbuf **m, unsigned n)
{
	struct counters *c = &w->counters[to];
	unsigned sent;

	if (to == SW_PORT) {
		c->dropped += flush_wire(w, m, n);
		return;
	} else if (to == SW_KERNEL) {
		sent = kernel_tx(w->d, m, n);
	} else {
		unsigned may = limit_burst(&w->sw.table->limits[to]->receive, m, n);

		c->limited += n - may;
		n = may;
		sent = link_tx(&w->d->link[to], w->number, m, n);
	}
	rte_pktmbuf_free_bulk(m, n);
	c->tx += sent;
	c->dropped += n - sent;
}

/** taken_by() - What it takes unfinished.  Limits count what is on the wire */
static struct offload taken_by(const struct worker *w, unsigned to)
{
	struct offload o = {0};

	if (to == SW_PORT)
		return wire_takes(w->d);
	if (to == SW_KERNEL)
		return o;
	o = link_takes(&w->d->link[to]);
	o.tso &= !limit_is_set(&w->sw.table->limits[to]->receive);
	return o;
}

/** finish() - Do what is left with each of @m, but for what is taken; as many as fit into @out
 *
 * Return: how many of @m; *made: of @out
 */
static unsigned finish(struct worker *w, const struct offload *taken, struct rte_mbuf **m,
		       unsigned n, struct rte_mbuf **out, unsigned *made)
{
	unsigned i = 0;

	for (*made = 0; i < n; i++) {
		bool large = offload_is_large(m[i]) && !taken->tso;
		unsigned k = large ? offload_frames(m[i]) : 1;

		if (*made + k > BURST_MAX)
			break;
		if (!offload_is_left(m[i])) {
			out[(*made)++] = m[i];
			continue;
		}
		w->finished.cut += large;
		w->finished.summed += !taken->checksum;
		*made += offload_finish(m[i], taken, w->d->pool, out + *made);
	}
	return i;
}

static void flush(struct worker *w, unsigned to)
{
	struct rte_mbuf *out[BURST_MAX];
	struct stage *s = &w->stage[to];
	struct offload taken;
	unsigned n = s->n, made;

	s->n = 0;
	if (!s->left) {
		hand_over(w, to, s->m, n);
		return;
	}
	s->left = false;
	taken = taken_by(w, to);
	for (unsigned i = 0; i < n;) {
		i += finish(w, &taken, s->m + i, n - i, out, &made);
		hand_over(w, to, out, made);
	}
}

static void flush_all(struct worker *w)
{
	for (unsigned i = 0; i < w->ndirty; i++) {
		if (w->stage[w->dirty[i]].n)
			flush(w, w->dirty[i]);
	}
	w->ndirty = 0;
}

static void put(struct worker *w, unsigned to, struct rte_mbuf *m)
{
	struct stage *s = &w->stage[to];

	if (s->n == BURST_MAX)
		flush(w, to);
	else if (!s->n)
		w->dirty[w->ndirty++] = to;
	s->left |= offload_is_left(m);
	s->m[s->n++] = m;
}

/**
 * put_copy() - @m stays the caller's
 *
 * A copy, not a clone: the AF_XDP driver sends an mbuf's own buffer, whichever it
 * refers to.
 */
static void put_copy(struct worker *w, unsigned to, const struct rte_mbuf *m)
{
	struct rte_mbuf *copy = rte_pktmbuf_copy(m, w->d->pool, 0, UINT32_MAX);

	if (copy)
		put(w, to, copy);
	else
		w->counters[to].dropped++;
}

/** put_copies() - Flood */
static void put_copies(struct worker *w, unsigned from, const struct sw_verdict *v,
		       struct rte_mbuf *m)
{
	for (uint64_t left = w->sw.table->clients & v->only; left;) {
		unsigned to = sw_take(&left);

		if (to != from)
			put_copy(w, to, m);
	}
	if (from != SW_PORT && !v->inside)
		put_copy(w, SW_PORT, m);
	if (from != SW_KERNEL && !v->inside && m->vlan_tci == w->d->config.port.vlan &&
	    w->d->kernel.fd >= 0)
		put_copy(w, SW_KERNEL, m);
	rte_pktmbuf_free(m);
}

/* --- one source ----------------------------------------------------------- */

static void count_drop(struct counters *c, enum sw_reason why)
{
	switch (why) {
	case SW_FINE:
		break;
	case SW_MALFORMED:
		c->malformed++;
		break;
	case SW_SPOOFED:
		c->spoofed++;
		break;
	case SW_VLAN:
		c->vlan++;
		break;
	case SW_UNCLAIMED:
		c->unclaimed++;
		break;
	}
}

/** stand_for() - The port's MAC address in place of the sender's, in ARP or a solicitation */
static void stand_for(const struct worker *w, struct rte_mbuf *m)
{
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);

	if (eth->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV6)) {
		frame_solicit_for((uint8_t *)eth, w->sw.discovery, &w->sw.mac);
		return;
	}
	rte_ether_addr_copy(&w->sw.mac, &eth->src_addr);
	memcpy((char *)(eth + 1) + offsetof(struct rte_arp_hdr, arp_data.arp_sha), &w->sw.mac,
	       sizeof(w->sw.mac));
}

/** answer_arp() - Make a request the answer to it: it is at the port's MAC address */
static void answer_arp(const struct worker *w, struct rte_mbuf *m)
{
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	struct rte_arp_hdr arp;
	uint32_t asked;

	memcpy(&arp, eth + 1, sizeof(arp)); /* at any address */
	asked = arp.arp_data.arp_tip;
	arp.arp_opcode = htons(RTE_ARP_OP_REPLY);
	arp.arp_data.arp_tha = arp.arp_data.arp_sha;
	arp.arp_data.arp_tip = arp.arp_data.arp_sip;
	arp.arp_data.arp_sha = w->sw.mac;
	arp.arp_data.arp_sip = asked;
	rte_ether_addr_copy(&eth->src_addr, &eth->dst_addr);
	rte_ether_addr_copy(&w->sw.mac, &eth->src_addr);
	memcpy(eth + 1, &arp, sizeof(arp));
}

/** answer_solicitation() - The same of IPv6; who has no address asks for all (RFC 4861 7.2.4) */
static void answer_solicitation(const struct worker *w, struct rte_mbuf *m)
{
	uint8_t f[FRAME_ROOM];
	unsigned len = frame_answer(f, &w->sw.mac, rte_pktmbuf_mtod(m, const uint8_t *));

	rte_pktmbuf_reset_headroom(m);
	m->data_len = (uint16_t)len;
	m->pkt_len = len;
	memcpy(rte_pktmbuf_mtod(m, void *), f, len);
}

/** answer() - A question about an address of several clients */
static void answer(const struct worker *w, struct rte_mbuf *m)
{
	if (rte_pktmbuf_mtod(m, const struct rte_ether_hdr *)->ether_type ==
	    RTE_BE16(RTE_ETHER_TYPE_ARP))
		answer_arp(w, m);
	else
		answer_solicitation(w, m);
}

#define VLAN_LEN (sizeof(struct rte_ether_hdr) + sizeof(struct rte_vlan_hdr))

static bool has_tag(const struct rte_mbuf *m)
{
	return m->data_len >= VLAN_LEN &&
	       rte_pktmbuf_mtod(m, const struct rte_ether_hdr *)->ether_type ==
		   RTE_BE16(RTE_ETHER_TYPE_VLAN);
}

/* Of a frame that has a tag */
static uint16_t tag_of(const struct rte_mbuf *m)
{
	const uint8_t *tci =
	    rte_pktmbuf_mtod_offset(m, const uint8_t *, sizeof(struct rte_ether_hdr));

	return (uint16_t)((tci[0] << 8 | tci[1]) & RTE_VLAN_ID_MASK);
}

/**
 * take_tag() - The frame's VLAN to mbuf.vlan_tci, its tag off
 *
 * Of the wire any that somebody has; others keep their tag, with which only the kernel
 * takes them.  Of a client its own, with a tag or without.
 *
 * Return: false if it is none that may come from there
 */
static bool take_tag(const struct worker *w, unsigned from, struct rte_mbuf *m)
{
	const struct sw_table *t = w->sw.table;
	uint16_t vlan = 0;

	if (from == SW_PORT && m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED)
		vlan = m->vlan_tci & RTE_VLAN_ID_MASK; /* the device did, or wire.c */
	else if (from != SW_KERNEL && has_tag(m) && (from != SW_PORT || sw_is_vlan(t, tag_of(m))) &&
		 !rte_vlan_strip(m))
		vlan = m->vlan_tci & RTE_VLAN_ID_MASK;
	m->ol_flags &= ~(RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED);
	m->vlan_tci = from < SW_PORT		       ? t->vlan[from]
		      : from == SW_PORT && !has_tag(m) ? vlan
						       : t->native;
	return from == SW_PORT ? sw_is_vlan(t, m->vlan_tci) : !vlan || vlan == m->vlan_tci;
}

static struct sw_verdict decide(struct worker *w, unsigned from, struct rte_mbuf *m)
{
	struct sw_verdict v;

	if (!take_tag(w, from, m))
		return sw_drop(SW_VLAN);
	if (offload_is_asked(m) && !offload_take(m, w->d->config.port.mtu))
		return sw_drop(SW_MALFORMED);
	w->sw.large = offload_is_large(m);
	/* An mbuf holds a frame of our MTU, so more than one is too long */
	if (m->nb_segs > 1 && !w->sw.large)
		return sw_drop(SW_MALFORMED);
	w->finished.large += w->sw.large;
	v = sw_decide_in(&w->sw, from, m->vlan_tci, rte_pktmbuf_mtod(m, void *), m->pkt_len);
	/* With a tag that nobody has it is nothing that we know */
	if (v.reason == SW_UNCLAIMED && has_tag(m))
		v.reason = SW_VLAN;
	return v;
}

/** has_room() - At one end of it, for a segment.  Else it is counted there */
static bool has_room(struct worker *w, unsigned client, const struct rte_mbuf *m, bool sent)
{
	struct limits *l = client < SW_PORT ? w->sw.table->limits[client] : NULL;
	bool passes;

	if (!l || !l->connections)
		return true;
	rte_spinlock_lock(&l->lock);
	passes = connection_passes(l->connections, rte_pktmbuf_mtod(m, const uint8_t *), w->sw.tcp,
				   sent, (uint32_t)(rte_rdtsc() / rte_get_tsc_hz()));
	rte_spinlock_unlock(&l->lock);
	w->counters[client].limited += !passes;
	return passes;
}

/** may_connect() - Else it is freed: beyond the connections of a client */
static bool may_connect(struct worker *w, unsigned from, unsigned to, struct rte_mbuf *m)
{
	if (has_room(w, from, m, true) && has_room(w, to, m, false))
		return true;
	rte_pktmbuf_free(m);
	return false;
}

static void dispatch_burst(struct worker *w, unsigned from, struct rte_mbuf **m, unsigned n)
{
	struct counters *c = &w->counters[from];

	c->rx += n;
	w->priority = from < SW_PORT ? w->sw.table->limits[from]->priority : 0;
	for (unsigned i = 0; i < n; i++) {
		struct sw_verdict v;

		if (i + 1 < n)
			rte_prefetch0(rte_pktmbuf_mtod(m[i + 1], void *));
		v = decide(w, from, m[i]);
		if (v.action == SW_SEND && w->sw.tcp && !may_connect(w, from, v.to, m[i]))
			continue;
		if (v.proxy)
			stand_for(w, m[i]);
		switch (v.action) {
		case SW_SEND:
			if (v.both)
				put_copy(w, SW_KERNEL, m[i]);
			if (v.readdress)
				rte_pktmbuf_mtod(m[i], struct rte_ether_hdr *)->dst_addr =
				    sw_mac_of(&w->sw, v.to);
			put(w, v.to, m[i]);
			break;
		case SW_FLOOD:
			put_copies(w, from, &v, m[i]);
			break;
		case SW_ANSWER:
			answer(w, m[i]);
			put(w, from, m[i]);
			break;
		case SW_DROP:
			count_drop(c, v.reason);
			rte_pktmbuf_free(m[i]);
			break;
		}
	}
	flush_all(w);
}

/** dispatch_limited() - Of client @i, whose limits count what is on the wire */
static void dispatch_limited(struct worker *w, unsigned i, struct rte_mbuf **m, unsigned n)
{
	static const struct offload sums = {.checksum = true}; /* are who gets them's */
	struct limit *l = &w->sw.table->limits[i]->send;
	struct rte_mbuf *out[BURST_MAX];
	unsigned made, may;

	if (!limit_is_set(l)) {
		dispatch_burst(w, i, m, n);
		return;
	}
	for (unsigned k = 0; k < n; k++) {
		if (offload_is_asked(m[k]))
			offload_take(m[k],
				     w->d->config.port.mtu); /* if it cannot be: see decide() */
	}
	for (unsigned k = 0; k < n;) {
		k += finish(w, &sums, m + k, n - k, out, &made);
		may = limit_burst(l, out, made);
		w->counters[i].limited += made - may;
		dispatch_burst(w, i, out, may);
	}
}

/** note() - A burst has left.  @since: a look before the one that found it; now from here */
static void note(struct worker *w, uint64_t *since, unsigned n)
{
	uint64_t now = rte_rdtsc();

	latency_note(&w->latency, now - *since, n);
	*since = now;
}

/** take_wire() - From its queue of each port.  Return: frames that came */
static unsigned take_wire(struct worker *w, struct rte_mbuf **m, unsigned burst, uint64_t *since)
{
	unsigned total = 0, n, came;

	for (unsigned i = 0; i < w->d->wire.n; i++) {
		n = wire_rx(w, i, m, burst, &came);
		if (n) {
			dispatch_burst(w, SW_PORT, m, n);
			note(w, since, n);
		}
		total += came;
	}
	return total;
}

/** tell_of_macs() - The monitor makes rules of them */
static void tell_of_macs(struct worker *w)
{
	unsigned now = atomic_load_explicit(&w->d->seen.changes, memory_order_acquire);

	if (now == w->changes)
		return;
	w->changes = now;
	monitor_wake();
}

/** take_links() - From its clients.  Return: frames */
static unsigned take_links(struct worker *w, struct rte_mbuf **m, unsigned burst, uint64_t *since)
{
	unsigned total = 0, n;

	for (uint64_t left = w->sw.table->clients & w->clients; left;) {
		unsigned i = sw_take(&left);
		struct link *l = &w->d->link[i];
		unsigned session = atomic_load_explicit(&l->sessions, memory_order_relaxed);

		if (session != w->sessions[i]) {
			sw_forget(&w->sw, i);
			querier_ask(&w->d->querier, i);
			w->sessions[i] = session;
		}
		n = link_rx(l, w->number, w->d->pool, m, burst);
		if (!n)
			continue;
		total += n;
		dispatch_limited(w, i, m, n);
		note(w, since, n);
	}
	if (atomic_load_explicit(&w->d->bifurcation.on, memory_order_relaxed))
		tell_of_macs(w);
	return total;
}

/** first_ones() - What only the first worker does.  Return: frames */
static unsigned first_ones(struct worker *w, struct rte_mbuf **m, unsigned burst, uint64_t *since)
{
	unsigned n;

	wire_tick(w);
	querier_tick(w);
	n = kernel_rx(w->d, m, burst);
	if (n) {
		dispatch_burst(w, SW_KERNEL, m, n);
		note(w, since, n);
	}
	return n;
}

/**
 * take_table() - What main has made of clients and addresses since the last pass
 *
 * It is another one whenever a client has come or gone.  Whoever has gone leaves its MAC
 * address, which may come again with another, and so does who has one that was given to
 * another client since.
 */
static void take_table(struct worker *w)
{
	const struct sw_table *t = atomic_load_explicit(&w->d->clients.table, memory_order_acquire);

	w->sw.table = t;
	for (uint64_t left = t->number == w->table ? 0 : w->clients; left;) {
		unsigned i = sw_take(&left);
		bool there = t->clients >> i & 1 && atomic_load(&w->d->link[i].vid) >= 0;

		if (sw_is_known(&w->sw, i) && (!there || sw_is_taken_back(&w->sw, i)))
			sw_forget(&w->sw, i);
	}
	w->table = t->number;
}

unsigned worker_pass(struct worker *w)
{
	unsigned burst = RTE_MIN(w->d->config.burst, (unsigned)BURST_MAX), total = 0;
	struct rte_mbuf *m[BURST_MAX];
	uint64_t since = rte_rdtsc();

	/* the only writer: no need for a locked instruction */
	atomic_store_explicit(&w->passes,
			      atomic_load_explicit(&w->passes, memory_order_relaxed) + 1,
			      memory_order_relaxed);
	/* What was found before is not to be used after a sleep: it may be freed */
	take_table(w);
	w->sw.kernel = atomic_load_explicit(&w->d->kernel.addrs, memory_order_acquire);
	if (!w->number)
		total += first_ones(w, m, burst, &since);
	total += send_backlog(w);
	total += take_wire(w, m, burst, &since);
	return total + take_links(w, m, burst, &since);
}

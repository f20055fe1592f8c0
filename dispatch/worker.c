/* SPDX-License-Identifier: BSD-3-Clause
 *
 * worker.c - The thread through which every packet goes
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
 * When a pass has brought nothing for spin_us the worker sleeps (power:
 * adaptive): it asks port and links to tell of packets, makes one more pass for
 * what came in between, and waits for one of their descriptors.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <rte_arp.h>
#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_pause.h>
#include <rte_rcu_qsbr.h>

#include "dispatch/connections.h"
#include "dispatch/dispatch.h"
#include "dispatch/frames.h"

#define BURST_MAX 512 /* worker.burst's limit */
/* Without a descriptor to wait for: short enough for TCP not to notice much */
#define NAP_MS 1
#define SLEEP_MS 1000

/* Frames on their way to one port of the switch */
struct stage {
	unsigned n;
	struct rte_mbuf *m[BURST_MAX];
};

/* The worker's own; too large for a stack */
static struct stage stage[SW_PORTS];
static unsigned dirty[SW_PORTS], ndirty;  /* stages with something in them */
static unsigned sessions[GZ_CLIENTS_MAX]; /* as last seen */
static unsigned priority;		  /* of whose burst is being dispatched */

/* --- sending -------------------------------------------------------------- */

static unsigned send_wire(void *d, struct rte_mbuf **m, unsigned n)
{
	unsigned sent = wire_tx(d, m, n);

	((struct dispatch *)d)->counters[SW_PORT].tx += sent;
	return sent;
}

static unsigned drop_wire(void *d, struct rte_mbuf **m, unsigned n)
{
	((struct dispatch *)d)->counters[SW_PORT].dropped += n;
	return wire_drop(d, m, n);
}

/** send_backlog() - As much as the port takes; what there is no port for is dropped */
static unsigned send_backlog(struct dispatch *d)
{
	if (!d->backlog.n)
		return 0;
	return backlog_send(&d->backlog, wire_is_open(d) ? send_wire : drop_wire, d);
}

/** flush_wire() - The port takes it, or it waits.  Return: how many are dropped */
static unsigned flush_wire(struct dispatch *d, struct rte_mbuf **m, unsigned n)
{
	unsigned done = 0;

	n = wire_tag(m, n);
	if (!d->backlog.n)
		done = send_wire(d, m, n);
	if (done < n && wire_is_open(d))
		done += backlog_put(&d->backlog, priority, m + done, n - done);
	wire_drop(d, m + done, n - done);
	send_backlog(d);
	return n - done;
}

static void flush(struct dispatch *d, unsigned to)
{
	struct stage *s = &stage[to];
	struct counters *c = &d->counters[to];
	unsigned sent;

	if (to == SW_PORT) {
		c->dropped += flush_wire(d, s->m, s->n);
		s->n = 0;
		return;
	} else if (to == SW_KERNEL) {
		sent = kernel_tx(d, s->m, s->n);
		rte_pktmbuf_free_bulk(s->m, s->n);
	} else {
		unsigned may = limit_burst(&d->sw.table->limits[to]->receive, s->m, s->n);

		c->limited += s->n - may;
		s->n = may;
		sent = link_tx(&d->link[to], s->m, s->n);
		rte_pktmbuf_free_bulk(s->m, s->n);
	}
	c->tx += sent;
	c->dropped += s->n - sent;
	s->n = 0;
}

static void flush_all(struct dispatch *d)
{
	for (unsigned i = 0; i < ndirty; i++) {
		if (stage[dirty[i]].n)
			flush(d, dirty[i]);
	}
	ndirty = 0;
}

static void put(struct dispatch *d, unsigned to, struct rte_mbuf *m)
{
	struct stage *s = &stage[to];

	if (s->n == BURST_MAX)
		flush(d, to);
	else if (!s->n)
		dirty[ndirty++] = to;
	s->m[s->n++] = m;
}

/**
 * put_copy() - @m stays the caller's
 *
 * A copy, not a clone: the AF_XDP driver sends an mbuf's own buffer, whichever it
 * refers to.
 */
static void put_copy(struct dispatch *d, unsigned to, const struct rte_mbuf *m)
{
	struct rte_mbuf *copy = rte_pktmbuf_copy(m, d->pool, 0, UINT32_MAX);

	if (copy)
		put(d, to, copy);
	else
		d->counters[to].dropped++;
}

/** put_copies() - Flood */
static void put_copies(struct dispatch *d, unsigned from, const struct sw_verdict *v,
		       struct rte_mbuf *m)
{
	for (uint64_t left = d->sw.table->clients & v->only; left;) {
		unsigned to = sw_take(&left);

		if (to != from)
			put_copy(d, to, m);
	}
	if (from != SW_PORT && !v->inside)
		put_copy(d, SW_PORT, m);
	if (from != SW_KERNEL && !v->inside && m->vlan_tci == d->config.port.vlan &&
	    d->kernel.fd >= 0)
		put_copy(d, SW_KERNEL, m);
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
static void stand_for(const struct dispatch *d, struct rte_mbuf *m)
{
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);

	if (eth->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV6)) {
		frame_solicit_for((uint8_t *)eth, d->sw.discovery, &d->sw.mac);
		return;
	}
	rte_ether_addr_copy(&d->sw.mac, &eth->src_addr);
	memcpy((char *)(eth + 1) + offsetof(struct rte_arp_hdr, arp_data.arp_sha), &d->sw.mac,
	       sizeof(d->sw.mac));
}

/** answer_arp() - Make a request the answer to it: it is at the port's MAC address */
static void answer_arp(const struct dispatch *d, struct rte_mbuf *m)
{
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	struct rte_arp_hdr arp;
	uint32_t asked;

	memcpy(&arp, eth + 1, sizeof(arp)); /* at any address */
	asked = arp.arp_data.arp_tip;
	arp.arp_opcode = htons(RTE_ARP_OP_REPLY);
	arp.arp_data.arp_tha = arp.arp_data.arp_sha;
	arp.arp_data.arp_tip = arp.arp_data.arp_sip;
	arp.arp_data.arp_sha = d->sw.mac;
	arp.arp_data.arp_sip = asked;
	rte_ether_addr_copy(&eth->src_addr, &eth->dst_addr);
	rte_ether_addr_copy(&d->sw.mac, &eth->src_addr);
	memcpy(eth + 1, &arp, sizeof(arp));
}

/** answer_solicitation() - The same of IPv6; who has no address asks for all (RFC 4861 7.2.4) */
static void answer_solicitation(const struct dispatch *d, struct rte_mbuf *m)
{
	uint8_t f[FRAME_ROOM];
	unsigned len = frame_answer(f, &d->sw.mac, rte_pktmbuf_mtod(m, const uint8_t *));

	rte_pktmbuf_reset_headroom(m);
	m->data_len = (uint16_t)len;
	m->pkt_len = len;
	memcpy(rte_pktmbuf_mtod(m, void *), f, len);
}

/** answer() - A question about an address of several clients */
static void answer(const struct dispatch *d, struct rte_mbuf *m)
{
	if (rte_pktmbuf_mtod(m, const struct rte_ether_hdr *)->ether_type ==
	    RTE_BE16(RTE_ETHER_TYPE_ARP))
		answer_arp(d, m);
	else
		answer_solicitation(d, m);
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
static bool take_tag(const struct dispatch *d, unsigned from, struct rte_mbuf *m)
{
	const struct sw_table *t = d->sw.table;
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

static struct sw_verdict decide(struct dispatch *d, unsigned from, struct rte_mbuf *m)
{
	struct sw_verdict v;

	if (!take_tag(d, from, m))
		return sw_drop(SW_VLAN);
	v = sw_decide_in(&d->sw, from, m->vlan_tci, rte_pktmbuf_mtod(m, void *), m->pkt_len);
	/* With a tag that nobody has it is nothing that we know */
	if (v.reason == SW_UNCLAIMED && has_tag(m))
		v.reason = SW_VLAN;
	return v;
}

/** has_room() - At one end of it, for a segment.  Else it is counted there */
static bool has_room(struct dispatch *d, unsigned client, const struct rte_mbuf *m, bool sent)
{
	struct connections *c = client < SW_PORT ? d->sw.table->limits[client]->connections : NULL;

	if (!c || connection_passes(c, rte_pktmbuf_mtod(m, const uint8_t *), d->sw.tcp, sent,
				    (uint32_t)(rte_rdtsc() / rte_get_tsc_hz())))
		return true;
	d->counters[client].limited++;
	return false;
}

/** may_connect() - Else it is freed: beyond the connections of a client */
static bool may_connect(struct dispatch *d, unsigned from, unsigned to, struct rte_mbuf *m)
{
	if (has_room(d, from, m, true) && has_room(d, to, m, false))
		return true;
	rte_pktmbuf_free(m);
	return false;
}

static void dispatch_burst(struct dispatch *d, unsigned from, struct rte_mbuf **m, unsigned n)
{
	struct counters *c = &d->counters[from];

	c->rx += n;
	priority = from < SW_PORT ? d->sw.table->limits[from]->priority : 0;
	for (unsigned i = 0; i < n; i++) {
		struct sw_verdict v = {.action = SW_DROP, .reason = SW_MALFORMED};

		if (i + 1 < n)
			rte_prefetch0(rte_pktmbuf_mtod(m[i + 1], void *));
		/* An mbuf holds a frame of our MTU, so more than one is too long */
		if (m[i]->nb_segs == 1)
			v = decide(d, from, m[i]);
		if (v.action == SW_SEND && d->sw.tcp && !may_connect(d, from, v.to, m[i]))
			continue;
		if (v.proxy)
			stand_for(d, m[i]);
		switch (v.action) {
		case SW_SEND:
			if (v.both)
				put_copy(d, SW_KERNEL, m[i]);
			if (v.readdress)
				rte_ether_addr_copy(
				    sw_mac_of(&d->sw, v.to),
				    &rte_pktmbuf_mtod(m[i], struct rte_ether_hdr *)->dst_addr);
			put(d, v.to, m[i]);
			break;
		case SW_FLOOD:
			put_copies(d, from, &v, m[i]);
			break;
		case SW_ANSWER:
			answer(d, m[i]);
			put(d, from, m[i]);
			break;
		case SW_DROP:
			count_drop(c, v.reason);
			rte_pktmbuf_free(m[i]);
			break;
		}
	}
	flush_all(d);
}

/** note() - A burst has left.  @since: a look before the one that found it; now from here */
static void note(struct dispatch *d, uint64_t *since, unsigned n)
{
	uint64_t now = rte_rdtsc();

	latency_note(&d->latency, now - *since, n);
	*since = now;
}

/** pass() - A burst from everywhere.  Return: frames */
static unsigned pass(struct dispatch *d)
{
	unsigned burst = RTE_MIN(d->config.burst, (unsigned)BURST_MAX), total = 0, n, came, may;
	struct rte_mbuf *m[BURST_MAX];
	uint64_t since = rte_rdtsc();

	/* the only writer: no need for a locked instruction */
	atomic_store_explicit(&d->passes,
			      atomic_load_explicit(&d->passes, memory_order_relaxed) + 1,
			      memory_order_relaxed);
	/* What was found before is not to be used after a sleep: it may be freed */
	d->sw.table = atomic_load_explicit(&d->clients.table, memory_order_acquire);
	d->sw.kernel = atomic_load_explicit(&d->kernel.addrs, memory_order_acquire);
	wire_tick(d);
	total += send_backlog(d);
	querier_tick(d);
	n = kernel_rx(d, m, burst);
	if (n) {
		dispatch_burst(d, SW_KERNEL, m, n);
		note(d, &since, n);
	}
	total += n;
	for (unsigned i = 0; i < d->wire.n; i++) {
		n = wire_rx(d, i, m, burst, &came);
		if (n) {
			dispatch_burst(d, SW_PORT, m, n);
			note(d, &since, n);
		}
		total += came;
	}
	for (uint64_t left = d->sw.table->clients; left;) {
		unsigned i = sw_take(&left);
		unsigned session = atomic_load_explicit(&d->link[i].sessions, memory_order_relaxed);

		if (session != sessions[i]) {
			sw_forget(&d->sw, i);
			querier_ask(d, i);
			sessions[i] = session;
		}
		n = link_rx(&d->link[i], d->pool, m, burst);
		if (!n)
			continue;
		total += n;
		may = limit_burst(&d->sw.table->limits[i]->send, m, n);
		d->counters[i].limited += n - may;
		dispatch_burst(d, i, m, may);
		note(d, &since, n);
	}
	return total;
}

/* --- sleeping ------------------------------------------------------------- */

void worker_wake(const struct dispatch *d)
{
	const uint64_t one = 1;

	if (write(d->wake, &one, sizeof(one)) < 0) {
		/* full: it will wake */
	}
}

static void wait_for_events(struct dispatch *d, int timeout)
{
	struct epoll_event e[8];
	bool error = false;
	uint64_t count;
	int n;

	rte_rcu_qsbr_thread_offline(d->rcu, 0);
	n = epoll_wait(d->epoll, e, 8, timeout);
	rte_rcu_qsbr_thread_online(d->rcu, 0);
	for (int i = 0; i < n; i++) {
		if (e[i].data.u32 >= WAIT_WIRE && e[i].events & EPOLLERR) {
			/* an interface that went down stays readable until asked why */
			wire_clear_error(d, e[i].data.u32 - WAIT_WIRE);
			error = true;
		}
	}
	if (error)
		usleep(NAP_MS * 1000); /* should it be there again at once */
	if (n && read(d->wake, &count, sizeof(count)) < 0) {
		/* non-blocking: it was another */
	}
}

static void sleep_until_packets(struct dispatch *d)
{
	int timeout = wire_arm(d) ? SLEEP_MS : NAP_MS;
	uint64_t armed = d->sw.table->clients;

	d->kernel.next_tsc = 0; /* look, before the sleep and after it */

	for (uint64_t left = armed; left;) {
		if (!link_arm(&d->link[sw_take(&left)]))
			timeout = NAP_MS;
	}
	if (!pass(d) && !atomic_load(&d->stop)) {
		d->sleeps++;
		wait_for_events(d, wire_sleep_ms(d, d->backlog.n ? NAP_MS : timeout));
	}
	d->kernel.next_tsc = 0;
	wire_disarm(d);
	for (uint64_t left = armed; left;)
		link_disarm(&d->link[sw_take(&left)]);
}

/* --- being watched -------------------------------------------------------- */

#define STUCK_TICKS 6 /* of main's */

/** is_asleep() - Does a thread of ours sleep?  One that only lost its CPU does not */
static bool is_asleep(int tid)
{
	char path[64], line[128], state = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	f = fopen(path, "re");
	if (!f)
		return false;
	/* "tid (name) S ...": the name is ours and has no ')' */
	if (fgets(line, sizeof(line), f) && strrchr(line, ')'))
		state = strrchr(line, ')')[2];
	fclose(f);
	return state == 'S';
}

void worker_watch(struct dispatch *d)
{
	static unsigned long seen;
	static unsigned ticks;
	unsigned long passes = atomic_load(&d->passes);

	if (passes != seen || !links_inside()) {
		seen = passes;
		ticks = 0;
		return;
	}
	if (++ticks < STUCK_TICKS || !is_asleep(atomic_load(&d->tid)))
		return;
	if (links_cut())
		tgkill(getpid(), atomic_load(&d->tid), SIGUSR1);
}

/* Its coming is all: a blocking write returns EINTR */
static void on_sigusr1(int sig)
{
	(void)sig;
}

int worker_run(void *arg)
{
	const struct sigaction sa = {.sa_handler = on_sigusr1};
	struct dispatch *d = arg;
	bool sleepy = d->config.power == GZ_POWER_INTERRUPT;
	uint64_t spin = sleepy ? 0 : rte_get_tsc_hz() / 1000000 * d->config.spin_us;
	uint64_t last = rte_rdtsc();

	sigaction(SIGUSR1, &sa, NULL);
	atomic_store(&d->tid, gettid());
	rte_rcu_qsbr_thread_register(d->rcu, 0);
	rte_rcu_qsbr_thread_online(d->rcu, 0);
	wire_start(d);
	while (!atomic_load_explicit(&d->stop, memory_order_relaxed)) {
		rte_rcu_qsbr_quiescent(d->rcu, 0);
		if (pass(d)) {
			last = rte_rdtsc();
			continue;
		}
		if (d->config.power == GZ_POWER_POLL || rte_rdtsc() - last < spin) {
			rte_pause();
			continue;
		}
		sleep_until_packets(d);
		last = rte_rdtsc();
	}
	rte_rcu_qsbr_thread_offline(d->rcu, 0);
	rte_rcu_qsbr_thread_unregister(d->rcu, 0);
	return 0;
}

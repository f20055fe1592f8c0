/* SPDX-License-Identifier: BSD-3-Clause
 *
 * wire.c - The worker's side of the Ethernet ports
 *
 * Theory of operation: wire_tick() is a look at a flag and at the clock unless one
 * of them says that there is something to do.  Then bond.c draws the conclusions,
 * and what it asks for is done: probes over each port, and after a change of the
 * active one ANNOUNCEMENTS rounds of announcements for every client, by which the
 * switches of the network learn where their MAC addresses are now.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "dispatch/dispatch.h"
#include "dispatch/frames.h"

#define ANNOUNCEMENTS 3
#define ANNOUNCE_GAP_MS 100
#define LACP_MS 50 /* DPDK's link bonding guide: less than 100 */

static uint64_t tsc_per_ms;

static uint64_t now_ms(void)
{
	return rte_rdtsc() / tsc_per_ms;
}

static void count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

void wire_start(struct dispatch *d)
{
	tsc_per_ms = rte_get_tsc_hz() / 1000;
	bond_init(&d->wire.bond, &d->config.bond, d->wire.n, now_ms());
	atomic_store(&d->wire.changed, true);
}

unsigned wire_tag(struct rte_mbuf **m, unsigned n)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *one = m[i];

		if (one->vlan_tci && rte_vlan_insert(&one))
			rte_pktmbuf_free(one);
		else
			m[kept++] = one;
	}
	return kept;
}

/** send_on() - A worker's queue, or one of those that there are.  Return: how many */
static unsigned send_on(const struct dispatch *d, struct wire_port *p, unsigned worker,
			struct rte_mbuf **m, unsigned n)
{
	uint16_t queue = (uint16_t)(worker % p->port.tx_queues);
	bool shared = gz_port_is_shared(&p->port, d->nworkers);

	if (shared)
		rte_spinlock_lock(&p->lock);
	n = rte_eth_tx_burst(p->port.id, queue, m, (uint16_t)n);
	if (shared)
		rte_spinlock_unlock(&p->lock);
	return n;
}

/** send_in() - Send a frame of dispatch's own over port @i, in a VLAN; 0: none */
static void send_in(struct dispatch *d, unsigned i, uint16_t vlan, const uint8_t *f, unsigned len)
{
	struct wire_port *p = &d->wire.port[i];
	struct rte_mbuf *m = rte_pktmbuf_alloc(d->pool);
	char *to = m ? rte_pktmbuf_append(m, (uint16_t)len) : NULL;

	if (!to) {
		rte_pktmbuf_free(m);
		return;
	}
	memcpy(to, f, len);
	m->vlan_tci = vlan;
	if (!wire_tag(&m, 1))
		return;
	if (send_on(d, p, 0, &m, 1) != 1)
		rte_pktmbuf_free(m);
}

/** send_own() - In the port's VLAN */
static void send_own(struct dispatch *d, unsigned i, const uint8_t *f, unsigned len)
{
	send_in(d, i, d->config.port.vlan, f, len);
}

/* --- probes --------------------------------------------------------------- */

static void probe(struct dispatch *d, unsigned i)
{
	const struct gz_bond_config *c = &d->config.bond;
	const struct rte_ether_addr *mac = &d->wire.port[i].port.mac;
	uint8_t f[FRAME_ROOM];

	if (!atomic_load_explicit(&d->wire.port[i].open, memory_order_acquire))
		return;
	for (unsigned t = 0; t < c->ntargets; t++) {
		const struct in6_addr *a = &c->targets[t].addr;
		unsigned len;

		if (IN6_IS_ADDR_V4MAPPED(a))
			len = frame_arp_probe(f, mac, a->s6_addr32[3]);
		else
			len = frame_solicitation(f, mac, a);
		send_own(d, i, f, len);
	}
}

/** is_answer() - Did a neighbour that we probed answer over port @i? */
static bool is_answer(const struct dispatch *d, unsigned i, const struct rte_mbuf *m)
{
	const struct gz_bond_config *c = &d->config.bond;
	struct in6_addr a;

	if (m->nb_segs != 1 ||
	    (d->config.port.vlan && (m->vlan_tci & RTE_VLAN_ID_MASK) != d->config.port.vlan) ||
	    !frame_answers(rte_pktmbuf_mtod(m, const uint8_t *), m->pkt_len,
			   &d->wire.port[i].port.mac, &a))
		return false;
	for (unsigned t = 0; t < c->ntargets; t++) {
		if (IN6_ARE_ADDR_EQUAL(&c->targets[t].addr, &a))
			return true;
	}
	return false;
}

/* --- announcements -------------------------------------------------------- */

/** announce_kernel() - The host's own addresses, which are behind the first port's MAC */
static void announce_kernel(struct worker *w, unsigned i)
{
	const struct sw_kernel *k = w->sw.kernel;
	struct dispatch *d = w->d;
	uint8_t f[FRAME_ROOM];

	for (unsigned n = 0; k && n < k->n4; n++)
		send_own(d, i, f, frame_arp_announcement(f, &w->sw.mac, k->a4[n]));
	for (unsigned n = 0; k && n < k->n6; n++)
		send_own(d, i, f, frame_advertisement(f, &w->sw.mac, &k->a6[n]));
}

/** announce_client() - Where it is now, over port @i */
static void announce_client(struct worker *w, unsigned i, unsigned client)
{
	const struct rte_ether_addr mac = sw_mac_of(&w->sw, client);
	const struct in6_addr own = link_local_of(&mac), last6 = sw_last6(&w->sw, client);
	uint32_t last4 = atomic_load(&w->d->seen.client[client].last4);
	uint16_t vlan = w->sw.table->vlan[client];
	uint8_t f[FRAME_ROOM];

	if (last4)
		send_in(w->d, i, vlan, f,
			frame_arp_announcement(f, sw_is_shared(&w->sw, last4) ? &w->sw.mac : &mac,
					       last4));
	if (IN6_IS_ADDR_UNSPECIFIED(&last6))
		return;
	send_in(w->d, i, vlan, f,
		frame_advertisement(f, sw_is_shared6(&w->sw, &last6) ? &w->sw.mac : &mac, &last6));
	send_in(w->d, i, vlan, f, frame_advertisement(f, &mac, &own));
}

static void announce(struct worker *w)
{
	unsigned i = (unsigned)w->d->wire.bond.active;

	announce_kernel(w, i);
	for (uint64_t left = w->sw.table->clients; left;) {
		unsigned client = sw_take(&left);

		if (sw_is_known(&w->sw, client))
			announce_client(w, i, client);
	}
}

/* --- the tick ------------------------------------------------------------- */

static void look_at_ports(struct dispatch *d, uint64_t now)
{
	struct wire *w = &d->wire;

	for (unsigned i = 0; i < w->n; i++) {
		bool open = atomic_load(&w->port[i].open);

		if (open)
			gz_port_look(&w->port[i].port);
		bond_link(&w->bond, i, open, atomic_load(&w->port[i].link), now);
	}
}

static void tell_of_switch(const struct dispatch *d)
{
	const struct wire *w = &d->wire;
	const struct bond *b = &w->bond;

	if (b->active < 0)
		say(GZ_LOG_ERROR, "no port is left");
	else if (b->before >= 0)
		say(GZ_LOG_WARN, "port %s takes over, %s is %s", w->port[b->active].name,
		    w->port[b->before].name, bond_state_name(b->port[b->before].state));
	else if (w->n > 1)
		say(GZ_LOG_INFO, "port %s is active", w->port[b->active].name);
}

/** lacp_tick() - Let bonding devices say what they have to.  Return: ms, of the next time */
static uint64_t lacp_tick(struct dispatch *d, uint64_t now)
{
	struct wire *w = &d->wire;
	bool any = false;

	for (unsigned i = 0; i < w->n; i++) {
		struct wire_port *p = &w->port[i];

		if (!atomic_load_explicit(&p->open, memory_order_acquire) || !p->lacp)
			continue;
		any = true;
		if (now >= w->lacp_ms)
			send_on(d, p, 0, NULL, 0);
	}
	if (any && now >= w->lacp_ms)
		w->lacp_ms = now + LACP_MS;
	return any ? w->lacp_ms : UINT64_MAX;
}

void wire_tick(struct worker *me)
{
	struct dispatch *d = me->d;
	struct wire *w = &d->wire;
	uint64_t now, next;
	uint32_t bits;

	if (rte_rdtsc() < w->next_tsc && !atomic_load_explicit(&w->changed, memory_order_acquire))
		return;
	now = now_ms();
	if (atomic_exchange(&w->changed, false))
		look_at_ports(d, now);
	if (bond_tick(&w->bond, now, &bits)) {
		tell_of_switch(d);
		querier_ask_all(&d->querier);
		w->announcements = w->bond.active >= 0 && w->n > 1 ? ANNOUNCEMENTS : 0;
		w->announce_ms = now;
	}
	for (unsigned i = 0; bits; i++, bits >>= 1) {
		if (bits & 1)
			probe(d, i);
	}
	if (w->announcements && now >= w->announce_ms) {
		announce(me);
		w->announcements--;
		w->announce_ms = now + ANNOUNCE_GAP_MS;
	}
	next = RTE_MIN(bond_next_ms(&w->bond), lacp_tick(d, now));
	if (w->announcements)
		next = RTE_MIN(next, w->announce_ms);
	w->next_tsc = next >= UINT64_MAX / tsc_per_ms ? UINT64_MAX : next * tsc_per_ms;
}

int wire_sleep_ms(const struct dispatch *d, int ms)
{
	uint64_t now = rte_rdtsc(), next = d->wire.next_tsc;

	if (next <= now)
		return 0;
	return (int)RTE_MIN((uint64_t)ms, (next - now) / tsc_per_ms + 1);
}

/* --- packets -------------------------------------------------------------- */

/**
 * sift() - Take out answers to probes, and what another port is active for
 *
 * Return: how many of @m remain
 */
static unsigned sift(struct dispatch *d, unsigned i, struct rte_mbuf **m, unsigned n)
{
	struct wire_port *p = &d->wire.port[i];
	bool welcome = (int)i == d->wire.bond.active || bond_accepts(&d->wire.bond, i, now_ms());
	unsigned kept = 0;

	for (unsigned k = 0; k < n; k++) {
		const struct rte_ether_hdr *eth =
		    rte_pktmbuf_mtod(m[k], const struct rte_ether_hdr *);
		bool answer = d->config.bond.ntargets && is_answer(d, i, m[k]);

		if (answer)
			bond_answer(&d->wire.bond, i);
		/* To one host it comes by one port; to all, by all */
		if (!answer && welcome &&
		    ((int)i == d->wire.bond.active || rte_is_unicast_ether_addr(&eth->dst_addr))) {
			m[kept++] = m[k];
			continue;
		}
		count(&p->ignored, !answer);
		rte_pktmbuf_free(m[k]);
	}
	return kept;
}

unsigned wire_rx(struct worker *w, unsigned i, struct rte_mbuf **m, unsigned n, unsigned *total)
{
	struct dispatch *d = w->d;
	struct wire_port *p = &d->wire.port[i];

	*total = 0;
	if (!atomic_load_explicit(&p->open, memory_order_acquire) || w->number >= p->port.queues)
		return 0;
	n = rte_eth_rx_burst(p->port.id, (uint16_t)w->number, m, (uint16_t)n);
	if (!n)
		return 0;
	*total = n;
	count(&p->rx, n);
	/* The probes' answers have the port's tag */
	for (unsigned k = 0; d->config.port.vlan && k < n; k++)
		rte_vlan_strip(m[k]);
	if ((int)i == d->wire.bond.active && !d->config.bond.ntargets)
		return n;
	return sift(d, i, m, n);
}

/** active_port() - By its number; the first worker may change it at any time.  -1: none is open */
static int active_port(const struct dispatch *d)
{
	int i = d->wire.bond.active;

	if (i >= 0 && !atomic_load_explicit(&d->wire.port[i].open, memory_order_acquire))
		i = -1;
	return i;
}

bool wire_is_open(const struct dispatch *d)
{
	return active_port(d) >= 0;
}

struct offload wire_takes(const struct dispatch *d)
{
	const struct gz_offloads *o = &d->wire.port[0].port.offloads;

	if (d->wire.n > 1 || !wire_is_open(d))
		return (struct offload){0};
	return (struct offload){.checksum = o->checksum,
				.tso = o->tso && !limit_is_set(&d->wire.rate)};
}

unsigned wire_drop(struct dispatch *d, struct rte_mbuf **m, unsigned n)
{
	int i = active_port(d);

	if (i >= 0)
		count(&d->wire.port[i].dropped, n);
	rte_pktmbuf_free_bulk(m, n);
	return n;
}

unsigned wire_tx(struct worker *w, struct rte_mbuf **m, unsigned n)
{
	struct dispatch *d = w->d;
	int i = active_port(d);
	struct wire_port *p = &d->wire.port[RTE_MAX(i, 0)];
	unsigned sent;

	if (i < 0)
		return 0;
	n = limit_fit(&d->wire.rate, m, n);
	/* What the driver does not take is nothing to wait with */
	if (n && wire_takes(d).checksum) {
		n = rte_eth_tx_prepare(p->port.id, (uint16_t)(w->number % p->port.queues), m,
				       (uint16_t)n);
		if (!n)
			return wire_drop(d, m, 1);
	}
	sent = send_on(d, p, w->number, m, n);
	count(&p->tx, sent);
	return sent;
}

/* --- sleeping ------------------------------------------------------------- */

bool wire_arm(struct worker *w)
{
	struct dispatch *d = w->d;
	bool all = true;

	for (unsigned i = 0; i < d->wire.n; i++) {
		struct wire_port *p = &d->wire.port[i];

		if (!atomic_load_explicit(&p->open, memory_order_acquire))
			continue;
		/* a queue of another's tells that one */
		if (w->number >= p->port.queues)
			continue;
		gz_port_arm(&p->port, (uint16_t)w->number);
		all &= p->port.nwait > 0;
	}
	return all;
}

void wire_disarm(struct worker *w)
{
	struct dispatch *d = w->d;

	for (unsigned i = 0; i < d->wire.n; i++) {
		struct wire_port *p = &d->wire.port[i];

		if (atomic_load_explicit(&p->open, memory_order_acquire) &&
		    w->number < p->port.queues)
			gz_port_disarm(&p->port, (uint16_t)w->number);
	}
}

void wire_clear_error(struct dispatch *first, unsigned number)
{
	struct dispatch *d = port_by_number(first, number / GZ_BOND_PORTS_MAX);
	struct wire_port *p = d ? &d->wire.port[number % GZ_BOND_PORTS_MAX] : NULL;

	if (!p || !atomic_load_explicit(&p->open, memory_order_acquire))
		return;
	for (unsigned k = 0; k < p->port.nwait; k++) {
		int error = 0;
		socklen_t len = sizeof(error);

		if (!getsockopt(p->port.wait_fd[k], SOL_SOCKET, SO_ERROR, &error, &len) && error)
			say(GZ_LOG_WARN, "port %s: %s", p->name, strerror(error));
	}
}

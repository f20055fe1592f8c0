/* SPDX-License-Identifier: BSD-3-Clause
 *
 * netif.c - From lwIP to the ports, and packets to ourselves
 *
 * Sent pbufs are copied once into an mbuf (measured cheaper than attaching external
 * buffers).  Packets for an address of our own never reach a port: they are cloned onto a
 * queue that the worker feeds back in the same round.  What comes from the ports is rx.c's.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_mbuf.h>

/* rte_ip.h has a struct of this name as well. */
#define ip6_hdr lwip_ip6_hdr
#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/icmp.h"
#include "lwip/igmp.h"
#include "lwip/ip.h"
#include "lwip/ip4.h"
#include "lwip/mld6.h"
#include "lwip/netif.h"
#include "lwip/prot/tcp.h"
#include "netif/ethernet.h"

#include "engine/address.h"
#include "engine/attach.h"
#include "engine/counters.h"
#include "engine/gso.h"
#include "engine/iface.h"
#include "engine/ipv6.h"
#include "engine/link.h"
#include "engine/log.h"
#include "engine/next_hop.h"
#include "engine/own4.h"
#include "engine/pcb.h"
#include "engine/spread.h"
#include "engine/vlan.h"
#include "engine/worker.h"

#define LO_NUMBER 0xff /* gz_netif_number() of loopback */
#define LOOP_MAX 4096
#define LOOK_NS 100000000 /* at what the other end of a link takes */

struct looped {
	struct pbuf *p;
	struct netif *nif;
};

static struct {
	struct netif nif[GZ_OWN4_MAX];
	unsigned n;
	struct netif lo;
	struct looped loop[LOOP_MAX];
	unsigned loop_head, loop_tail;
	bool fragments;		 /* may be made of the segment that is being sent */
	uint16_t segment;	 /* it is to be cut into such of so many bytes; 0: it is not */
	u16_t mtu6[GZ_OWN4_MAX]; /* what lwIP takes meanwhile for having no limit */
	uint64_t looked;
	bool mute;   /* what lwIP sends is not for the wire */
	bool leased; /* addresses may go */
} net;

/* The port's that @nif is an address of; NULL: loopback */
static struct gz_wire *wire_of(const struct netif *nif)
{
	return nif->state;
}

struct netif *gz_netif_of(uint32_t addr)
{
	for (unsigned i = 0; i < net.n; i++)
		if (netif_ip4_addr(&net.nif[i])->addr == addr)
			return &net.nif[i];
	return NULL;
}

void gz_ip_of_end(ip_addr_t *a, struct gz_end e, const struct netif *nif)
{
	memset(a, 0, sizeof(*a));
	if (gz_end_is_v4(e)) {
		ip_addr_set_ip4_u32_val(*a, gz_end_v4_addr(e));
		return;
	}
	memcpy(ip_2_ip6(a)->addr, &e.addr, sizeof(e.addr));
	IP_SET_TYPE(a, IPADDR_TYPE_V6);
	if (nif)
		ip6_addr_assign_zone(ip_2_ip6(a), IP6_UNKNOWN, nif);
}

static err_t join_or_leave(struct netif *nif, struct gz_end group, bool join)
{
	ip_addr_t a;

	gz_ip_of_end(&a, group, nif);
	if (gz_end_is_v4(group))
		return join ? igmp_joingroup_netif(nif, ip_2_ip4(&a))
			    : igmp_leavegroup_netif(nif, ip_2_ip4(&a));
	/* All hosts are members of ff02::1, and nobody asks (RFC 2710 section 5). */
	if (ip6_addr_isallnodes_linklocal(ip_2_ip6(&a)) || !(nif->flags & NETIF_FLAG_MLD6))
		return ERR_VAL;
	return join ? mld6_joingroup_netif(nif, ip_2_ip6(&a))
		    : mld6_leavegroup_netif(nif, ip_2_ip6(&a));
}

void gz_netif_group(unsigned port, struct gz_end group, bool join)
{
	struct gz_wire *w = &gz_worker.wire[port];

	if (!w->nif)
		return;
	if (join && !w->groups && rte_eth_allmulticast_enable(w->port->id) < 0)
		gz_debug("port %s takes all frames of groups, or none", w->port->device);
	if (join_or_leave(w->nif, group, join) == ERR_OK)
		w->groups += join ? 1u : -1u;
}

bool gz_netif_in_groups(void)
{
	bool in = false;

	for (unsigned i = 0; i < gz_nports; i++)
		in |= gz_worker.wire[i].groups != 0;
	return in;
}

/* The port that @pcb is bound to; NULL: it is bound to none */
static struct gz_port *bound_to(const struct tcp_pcb *pcb)
{
	const struct netif *nif = netif_get_by_index(pcb->netif_idx);

	return nif && wire_of(nif) ? wire_of(nif)->port : NULL;
}

struct gz_port *gz_netif_port_of(const struct tcp_pcb *pcb)
{
	struct gz_port *p = bound_to(pcb);

	return p ? p : gz_addr_port(gz_pcb_end(&pcb->remote_ip, 0));
}

uint32_t gz_netif_mss(const struct tcp_pcb *pcb)
{
	const ip_addr_t *peer = &pcb->remote_ip;
	uint32_t mtu = ip_addr_isloopback(peer) ? net.lo.mtu : gz_netif_port(pcb)->mtu;
	uint32_t mss = mtu - (IP_IS_V6(peer) ? IP6_HLEN : IP_HLEN) - TCP_HLEN;

	return LWIP_MIN(mss, (uint32_t)TCP_MSS);
}

static void drop_from(struct gz_wire *w, unsigned i)
{
	gz_wire_add(w, GZ_C_PORT_TX_DROPPED, w->ntx - i);
	rte_pktmbuf_free_bulk(w->tx + i, w->ntx - i);
	w->ntx = i;
}

static void flush(struct gz_wire *w)
{
	unsigned sent = 0, tries = 0;
	uint64_t bytes = 0;

	if (w->offloads.checksum || w->port->vlan_insert) {
		sent = rte_eth_tx_prepare(w->port->id, w->tx_queue, w->tx, (uint16_t)w->ntx);
		/* Frames of our own making that the driver does not take */
		if (sent < w->ntx)
			drop_from(w, sent);
		sent = 0;
	}
	for (unsigned i = 0; i < w->ntx; i++)
		bytes += w->tx[i]->pkt_len;
	gz_tx_lock(w);
	while (sent < w->ntx && tries++ < 64)
		sent += rte_eth_tx_burst(w->port->id, w->tx_queue, w->tx + sent,
					 (uint16_t)(w->ntx - sent));
	gz_tx_unlock(w);
	gz_wire_add(w, GZ_C_PORT_TX, sent);
	gz_wire_add(w, GZ_C_PORT_TX_BYTES, bytes);
	if (sent < w->ntx)
		drop_from(w, sent);
	w->ntx = 0;
}

void gz_netif_flush(void)
{
	for (unsigned i = 0; i < gz_nports; i++)
		if (gz_worker.wire[i].ntx)
			flush(&gz_worker.wire[i]);
}

/* Copy @p into an mbuf, and more behind it as needed, the headers into the first one */
static struct rte_mbuf *mbuf_of(const struct gz_wire *w, const struct pbuf *p)
{
	struct rte_mbuf *head = rte_pktmbuf_alloc(w->port->pool), *m = head;

	for (; m && p; p = p->next) {
		const char *from = p->payload;
		uint16_t left = p->len, n;

		while (left) {
			if (!rte_pktmbuf_tailroom(m)) {
				m->next = rte_pktmbuf_alloc(w->port->pool);
				m = m->next;
				if (!m) {
					rte_pktmbuf_free(head);
					return NULL;
				}
				head->nb_segs++;
			}
			n = (uint16_t)RTE_MIN(left, rte_pktmbuf_tailroom(m));
			memcpy(rte_pktmbuf_mtod_offset(m, char *, m->data_len), from, n);
			m->data_len += n;
			head->pkt_len += n;
			from += n;
			left -= n;
		}
	}
	return head;
}

/* What of a frame of TCP is left to the port.  Return: false, it cannot be sent */
static bool leave_to_port(const struct gz_wire *w, struct rte_mbuf *m)
{
	const struct gz_port *port = w->port;
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const uint8_t *l3 = (const uint8_t *)(eth + 1), *l4;
	bool v6 = eth->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV6);
	bool large = m->pkt_len > sizeof(*eth) + port->mtu;

	if (eth->ether_type != RTE_BE16(RTE_ETHER_TYPE_IPV4) && !v6)
		return !large;
	/* lwIP makes no extension headers before TCP's, and no fragments of it */
	if (l3[v6 ? 6 : 9] != IP_PROTO_TCP)
		return !large;
	l4 = l3 + (v6 ? IP6_HLEN : (l3[0] & 15) * 4);
	m->l2_len = sizeof(*eth);
	m->l3_len = (uint64_t)(l4 - l3);
	m->l4_len = (l4[12] >> 4) * 4u;
	m->ol_flags |= v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4;
	if (w->offloads.checksum)
		m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
	/* Where the path is narrower than the port, less than the MTU is too large as well */
	if (net.segment)
		large = m->pkt_len - m->l2_len - m->l3_len - m->l4_len > net.segment;
	if (!large)
		return true;
	/* It waited for an address, and who knows how large its parts may be */
	if (!net.segment)
		return false;
	m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
	if (port->csum_ipv4 && !v6)
		m->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
	m->tso_segsz = net.segment;
	gz_count(w->offloads.tso ? GZ_C_TSO : GZ_C_GSO);
	return true;
}

static bool queue(struct gz_wire *w, struct rte_mbuf *m)
{
	if (!gz_vlan_put(&m, w->port)) {
		rte_pktmbuf_free(m);
		gz_wire_add(w, GZ_C_PORT_TX_DROPPED, 1);
		return false;
	}
	w->tx[w->ntx++] = m;
	if (w->ntx == GZ_TX_BATCH)
		flush(w);
	return true;
}

/* netif->linkoutput: an Ethernet frame for the wire. */
static err_t link_output(struct netif *nif, struct pbuf *p)
{
	struct rte_mbuf *m, *cut[GZ_GSO_MOST];
	struct gz_wire *w = wire_of(nif);
	unsigned n;

	if (w->no_link) { /* as noop_enqueue() */
		gz_wire_add(w, GZ_C_PORT_TX_DROPPED, 1);
		return ERR_OK;
	}
	m = mbuf_of(w, p);
	if (!m) {
		gz_wire_add(w, GZ_C_PORT_NO_MBUF, 1);
		return ERR_MEM;
	}
	if ((w->offloads.checksum || net.segment) && !leave_to_port(w, m)) {
		rte_pktmbuf_free(m);
		gz_wire_add(w, GZ_C_PORT_TX_DROPPED, 1);
		return ERR_OK; /* as if it had been lost */
	}
	if (!(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) || w->offloads.tso)
		return queue(w, m) ? ERR_OK : ERR_BUF;
	n = gz_gso_cut(w->port, m, cut);
	for (unsigned i = 0; i < n; i++)
		queue(w, cut[i]);
	return n ? ERR_OK : ERR_MEM;
}

static err_t loop_put(struct netif *nif, struct pbuf *p)
{
	struct pbuf *q;

	if (p->len < 20)
		return ERR_VAL;
	if (net.loop_tail - net.loop_head == LOOP_MAX)
		return ERR_MEM;
	q = pbuf_clone(PBUF_LINK, PBUF_RAM, p);
	if (!q)
		return ERR_MEM;
	net.loop[net.loop_tail++ % LOOP_MAX] = (struct looped){q, nif};
	gz_count(GZ_C_LOOPED);
	return ERR_OK;
}

err_t gz_netif_give_unchecked(struct pbuf *p, struct netif *nif, netif_input_fn input)
{
	u16_t flags = nif->chksum_flags;
	err_t err;

	NETIF_SET_CHECKSUM_CTRL(nif,
				flags & ~(NETIF_CHECKSUM_CHECK_TCP | NETIF_CHECKSUM_CHECK_UDP));
	err = input(p, nif);
	NETIF_SET_CHECKSUM_CTRL(nif, flags);
	return err;
}

err_t gz_netif_from_loop(struct pbuf *p, struct netif *nif)
{
	const uint8_t *dst = (const uint8_t *)p->payload + 16;

	/*
	 * All of 127/8 is this host; lwIP knows one address a netif.  Others,
	 * where a reset goes back the way that its cause came, are the port's:
	 * the loopback netif must not seem to lead to their network.
	 */
	if (nif == &net.lo && *(const uint8_t *)p->payload >> 4 == 4 && dst[0] == 127)
		memcpy(&ip_2_ip4(&net.lo.ip_addr)->addr, dst, 4);
	return gz_netif_give_unchecked(p, nif, ip_input);
}

bool gz_netif_loop(void)
{
	unsigned end = net.loop_tail;

	if (net.loop_head == end)
		return false;
	while (net.loop_head != end) {
		struct looped l = net.loop[net.loop_head++ % LOOP_MAX];

		if (gz_netif_from_loop(l.p, l.nif) != ERR_OK)
			pbuf_free(l.p);
	}
	return true;
}

/* RFC 1191: segments are not to be fragmented, so that ICMP tells how large they may be. */
static void forbid_fragments(struct ip_hdr *h)
{
	uint32_t sum = lwip_ntohs(IPH_CHKSUM(h));

	if (IPH_PROTO(h) != IP_PROTO_TCP || IPH_OFFSET(h) || net.fragments)
		return;
	IPH_OFFSET_SET(h, PP_HTONS(IP_DF));
	/* RFC 1624: the field that was 0 is subtracted from the sum. */
	sum = sum >= IP_DF ? sum - IP_DF : sum + 0xffff - IP_DF;
	IPH_CHKSUM_SET(h, lwip_htons((uint16_t)sum));
}

/* Does lwIP make the sums of TCP? */
static void generate(struct netif *nif, bool sums)
{
	u16_t flags = NETIF_CHECKSUM_ENABLE_ALL;

	if (!sums)
		flags &= (u16_t)~NETIF_CHECKSUM_GEN_TCP;
	NETIF_SET_CHECKSUM_CTRL(nif, flags);
}

void gz_netif_segment(uint16_t mss)
{
	bool large = mss, was = net.segment;

	net.segment = mss;
	if (large == was)
		return;
	/* lwIP makes fragments of what is larger than the MTU; 0 is none */
	for (unsigned i = 0; i < net.n; i++) {
		struct netif *nif = &net.nif[i];

		if (large)
			net.mtu6[i] = nif->mtu6;
		nif->mtu = large ? 0 : wire_of(nif)->port->mtu;
		nif->mtu6 = large ? 0 : net.mtu6[i];
		generate(nif, !large && !wire_of(nif)->offloads.checksum);
	}
}

void gz_netif_look(struct gz_worker *w)
{
	if (w->now - net.looked < LOOK_NS)
		return;
	net.looked = w->now;
	for (unsigned i = 0; i < gz_nports; i++) {
		gz_port_look(&gz_ports[i]);
		w->wire[i].offloads = gz_ports[i].offloads;
		w->wire[i].tx_queue = w->wire[i].tx_own % gz_ports[i].tx_queues;
	}
	for (unsigned i = 0; i < net.n; i++)
		generate(&net.nif[i], !wire_of(&net.nif[i])->offloads.checksum);
}

void gz_netif_fragments(bool may)
{
	net.fragments = may;
}

void gz_netif_mute(bool mute)
{
	net.mute = mute;
}

bool gz_netif_is_mute(void)
{
	return net.mute;
}

/*
 * Of a packet to an address of ours that other engines have too: is it one of theirs?
 * An error is whose the port is that it is about, a later fragment goes the way of the
 * first: lwIP sends them in a row.
 */
static bool is_elsewhere(struct pbuf *p)
{
	static bool last;
	uint8_t b[60 + 8 + 60 + 4];
	unsigned len = pbuf_copy_partial(p, b, sizeof(b), 0), at = (b[0] & 15) * 4u;
	unsigned fragment = (b[6] & 31u) << 8 | b[7], proto = b[9];

	if (fragment)
		return last;
	last = false;
	if (proto == IP_PROTO_ICMP) {
		unsigned about = at + 8;

		/* 3: unreachable, 11: time exceeded; we send no other */
		if (len < about + 24 || (b[at] != ICMP_DUR && b[at] != ICMP_TE))
			return false;
		proto = b[about + 9];
		at = about + (b[about] & 15) * 4u - 2; /* its source port */
	}
	if ((proto != IP_PROTO_TCP && proto != IP_PROTO_UDP) || len < at + 4)
		return false;
	last = !gz_attach_is_mine(proto == IP_PROTO_UDP, (uint16_t)(b[at + 2] << 8 | b[at + 3]));
	return last;
}

/* The same of IPv6: lwIP sends no other extension header than a fragment's */
static bool is_elsewhere6(struct pbuf *p)
{
	static bool last;
	uint8_t b[IP6_HLEN + IP6_FRAG_HLEN + 8 + IP6_HLEN + 4];
	unsigned len = pbuf_copy_partial(p, b, sizeof(b), 0), at = IP6_HLEN, proto = b[6];

	if (proto == IP6_NEXTH_FRAGMENT) {
		if (b[at + 2] || b[at + 3] & 0xf8)
			return last;
		proto = b[at];
		at += IP6_FRAG_HLEN;
	}
	last = false;
	if (proto == IP6_NEXTH_ICMP6) {
		/* errors only */
		if (len < at + 8 + IP6_HLEN + 4 || b[at] & 0x80)
			return false;
		proto = b[at + 8 + 6];
		at += 8 + IP6_HLEN - 2; /* its source port */
	}
	if ((proto != IP6_NEXTH_TCP && proto != IP6_NEXTH_UDP) || len < at + 4)
		return false;
	last = !gz_attach_is_mine(proto == IP6_NEXTH_UDP, (uint16_t)(b[at + 2] << 8 | b[at + 3]));
	return last;
}

/* To dispatch, which finds out whose it is; the MAC address does not matter to it. */
static err_t to_other_engine(struct netif *nif, struct pbuf *p, u16_t type)
{
	const struct eth_addr *mac = (const struct eth_addr *)nif->hwaddr;

	return ethernet_output(nif, p, mac, mac, type);
}

/* Is the source an address that the stack has no more (stack.dhcp)?  0.0.0.0: it has none yet */
static bool from_nobody(const struct ip_hdr *h)
{
	return net.leased && h->src.addr && !gz_addr_is_local(gz_end_v4(h->src.addr, 0));
}

static err_t port_output(struct netif *nif, struct pbuf *p, const ip4_addr_t *dst)
{
	ip4_addr_t hop = *dst;
	err_t err;

	if (net.mute)
		return ERR_OK;
	if (from_nobody(p->payload)) {
		gz_wire_add(wire_of(nif), GZ_C_SOURCE_GONE, 1);
		return ERR_OK; /* as if it had been lost: the address may come back */
	}
	forbid_fragments(p->payload);
	for (unsigned i = 0; i < net.n; i++)
		if (ip4_addr_eq(dst, netif_ip4_addr(&net.nif[i])))
			return gz_attach_shares() && is_elsewhere(p)
				   ? to_other_engine(nif, p, ETHTYPE_IP)
				   : loop_put(&net.nif[i], p);
	gz_next_hop(nif, &hop);
	err = etharp_output(nif, p, &hop);
	gz_netif_segment(0);
	return err;
}

static err_t lo_output(struct netif *nif, struct pbuf *p, const ip4_addr_t *dst)
{
	LWIP_UNUSED_ARG(dst);
	return net.mute ? ERR_OK : loop_put(nif, p);
}

static err_t port_output6(struct netif *nif, struct pbuf *p, const ip6_addr_t *dst)
{
	struct netif *own = gz_ipv6_having(dst);
	err_t err;

	if (net.mute)
		return ERR_OK;
	if (own)
		return gz_attach_shares() && !ip6_addr_islinklocal(dst) && is_elsewhere6(p)
			   ? to_other_engine(nif, p, ETHTYPE_IPV6)
			   : loop_put(own, p);
	err = ethip6_output(nif, p, gz_ipv6_next_hop(nif, dst));
	gz_netif_segment(0);
	gz_ipv6_sent();
	return err;
}

static err_t lo_output6(struct netif *nif, struct pbuf *p, const ip6_addr_t *dst)
{
	LWIP_UNUSED_ARG(dst);
	return net.mute ? ERR_OK : loop_put(nif, p);
}

static err_t nif_init(struct netif *nif)
{
	const struct gz_wire *w = wire_of(nif);

	nif->name[0] = 'd';
	nif->name[1] = 'p';
	nif->output = port_output;
	nif->output_ip6 = port_output6;
	nif->linkoutput = link_output;
	nif->mtu = w->port->mtu;
	nif->hwaddr_len = 6;
	memcpy(nif->hwaddr, w->port->mac.addr_bytes, 6);
	nif->flags =
	    NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP;
	/* Several addresses are on one wire: the first speaks IGMP for it. */
	if (nif == w->nif)
		nif->flags |= NETIF_FLAG_IGMP;
	return ERR_OK;
}

static err_t lo_init(struct netif *nif)
{
	nif->name[0] = 'l';
	nif->name[1] = 'o';
	nif->output = lo_output;
	nif->output_ip6 = lo_output6;
	nif->mtu = 1500;
	nif->flags = NETIF_FLAG_LINK_UP;
	/* Memory does not flip bits on the way. */
	NETIF_SET_CHECKSUM_CTRL(nif, NETIF_CHECKSUM_DISABLE_ALL);
	return ERR_OK;
}

/*
 * lwIP takes no route by a netif without a link, Linux does: so lwIP does not hear of it
 * before the link is there again, and does then what is to be done (gratuitous ARP, reports
 * of groups, solicitations of routers).
 */
static void link_changed(const struct gz_wire *w)
{
	for (unsigned i = 0; i < net.n; i++) {
		struct netif *nif = &net.nif[i];

		if (wire_of(nif) != w)
			continue;
		if (w->no_link) {
			etharp_cleanup_netif(nif);
			continue;
		}
		netif_set_link_down(nif);
		netif_set_link_up(nif);
	}
	if (!w->no_link)
		gz_ipv6_link_up(w);
}

void gz_netif_link(void)
{
	for (unsigned i = 0; i < gz_nports; i++) {
		struct gz_wire *w = &gz_worker.wire[i];
		bool up = gz_link_is_up(w->port);

		if (up != w->no_link)
			continue;
		w->no_link = !up;
		link_changed(w);
	}
}

/* Of the netif's MTU IPv6 has less, if a router says so */
static void set_mtu(struct netif *nif, uint16_t mtu)
{
	nif->mtu6 = nif->mtu6 == nif->mtu || nif->mtu6 > mtu ? mtu : nif->mtu6;
	nif->mtu = mtu;
}

void gz_netif_address(unsigned port)
{
	const struct gz_own4 *own = gz_own4();
	struct netif *nif = gz_worker.wire[port].nif;
	int i = gz_own4_of(own, port);
	ip4_addr_t a = {i < 0 ? 0 : own->addr[i].addr},
		   m = {i < 0 ? 0 : gz_own4_mask(own->addr[i].len)};

	set_mtu(nif, gz_ports[port].mtu);
	/* lwIP tells the link of another one, by gratuitous ARP */
	netif_set_addr(nif, &a, &m, netif_ip4_gw(nif));
}

/* An address of @w's */
static int add(struct gz_wire *w, uint32_t addr, unsigned len)
{
	const ip4_addr_t a = {addr}, m = {gz_own4_mask(len)};
	struct netif *nif = &net.nif[net.n];

	if (!w->nif)
		w->nif = nif;
	if (!netif_add(nif, &a, &m, IP4_ADDR_ANY4, w, nif_init, ethernet_input))
		return -ENOMEM;
	net.n++;
	netif_set_up(nif);
	return 0;
}

static int add_loopback(void)
{
	ip4_addr_t a, m;

	IP4_ADDR(&a, 127, 0, 0, 1);
	IP4_ADDR(&m, 255, 0, 0, 0);
	if (!netif_add(&net.lo, &a, &m, IP4_ADDR_ANY4, NULL, lo_init, ip_input))
		return -ENOMEM;
	netif_set_up(&net.lo);
	ip6_addr_set_loopback(ip_2_ip6(&net.lo.ip6_addr[0]));
	IP_SET_TYPE_VAL(net.lo.ip6_addr[0], IPADDR_TYPE_V6);
	netif_ip6_addr_set_state(&net.lo, 0, IP6_ADDR_PREFERRED);
	return 0;
}

int gz_netif_init(void)
{
	const struct gz_own4 *own = gz_own4();
	int err = 0;
	unsigned k = 0;

	if (!gz_gro_init())
		return -ENOMEM;
	for (unsigned i = 0; i < gz_nports && !err; i++) {
		gz_worker.wire[i].no_link = !gz_link_is_up(&gz_ports[i]);
		if (gz_engine_asks(gz_cfg, i)) /* it has 0.0.0.0 until then */
			err = add(&gz_worker.wire[i], 0, 0);
		for (; !err && k < own->n && own->port[k] == i; k++)
			err = add(&gz_worker.wire[i], own->addr[k].addr, own->addr[k].len);
		/* IPv6 needs a netif of the port's, with or without an IPv4 address. */
		if (!err && !gz_worker.wire[i].nif)
			err = add(&gz_worker.wire[i], 0, 0);
	}
	net.leased = gz_engine_asks_any(gz_cfg);
	if (!err)
		netif_set_default(&net.nif[0]);
	if (!err && net.n == 1 && !net.leased && !gz_cfg->nroutes)
		gz_next_hop_only(&net.nif[0]);
	if (!err)
		err = add_loopback();
	return err ? err : gz_ipv6_init(gz_cfg);
}

struct netif *gz_netif_to(const struct gz_wire *w, uint32_t addr)
{
	for (unsigned i = 0; i < net.n; i++)
		if (wire_of(&net.nif[i]) == w && netif_ip4_addr(&net.nif[i])->addr == addr)
			return &net.nif[i];
	return w->nif;
}

struct netif *gz_netif_at(uint8_t at, struct gz_end local)
{
	const struct gz_wire *w = &gz_worker.wire[at - GZ_AT_PORT];

	return gz_end_is_v4(local) ? gz_netif_to(w, gz_end_v4_addr(local)) : w->nif;
}

void gz_netif_count(struct netif *nif, enum gz_counter c)
{
	if (wire_of(nif))
		gz_wire_add(wire_of(nif), c, 1);
	else
		gz_count(c);
}

unsigned gz_netif_number(const struct netif *nif)
{
	return nif == &net.lo ? LO_NUMBER : (unsigned)(nif - net.nif);
}

struct netif *gz_netif_numbered(unsigned number)
{
	return number == LO_NUMBER ? &net.lo : &net.nif[number];
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * netif.c - Frames between the port and lwIP, and packets to ourselves
 *
 * Received mbufs become pbufs without a copy: the pbuf lies in the mbuf's
 * private area.  Sent pbufs are copied once into an mbuf (measured cheaper than
 * attaching external buffers).  Packets for an address of our own never reach
 * the port: they are cloned onto a queue that the worker feeds back in the same
 * round.
 *
 * What is checked before lwIP sees a frame: lengths of Ethernet and IP headers
 * against what arrived.
 *
 * With several workers a frame that is another one's (spread.c) is put on that one's ring,
 * `handed`.  A segment that came to the wrong one, because it was in fragments or is of a
 * connection whose port did not leave the choice, is found to be when its connection is looked
 * for (demux.c).  It goes the same way, from its IP header on; m->port says which netif it
 * came to.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

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
#include "engine/ipv6.h"
#include "engine/link.h"
#include "engine/log.h"
#include "engine/next_hop.h"
#include "engine/own4.h"
#include "engine/spread.h"
#include "engine/vlan.h"
#include "engine/worker.h"

#define TX_BATCH 32
#define PACKET 0xfe00	 /* m->port of what has no Ethernet header: with the netif's number ... */
#define PACKET_LO 0xff	 /* ... of loopback this ... */
#define UNCHECKED 0x0100 /* ... and it has no checksum, or one that was checked */
#define LOOP_MAX 4096
#define LOOK_NS 100000000 /* at what the other end of a link takes */

/* Lives in rte_mbuf_to_priv(). */
struct rx_pbuf {
	struct pbuf_custom pc;
	struct rte_mbuf *mbuf;
};

struct looped {
	struct pbuf *p;
	struct netif *nif;
};

static struct {
	struct netif nif[GZ_ADDRS_MAX];
	unsigned n;
	struct netif lo;
	struct rte_mbuf *tx[TX_BATCH];
	unsigned ntx;
	struct looped loop[LOOP_MAX];
	unsigned loop_head, loop_tail;
	bool fragments;		     /* may be made of the segment that is being sent */
	uint16_t segment;	     /* it is to be cut into such of so many bytes; 0: it is not */
	u16_t mtu6[GZ_ADDRS_MAX];    /* what lwIP takes meanwhile for having no limit */
	struct gz_offloads offloads; /* of the port, as lwIP was told */
	uint64_t looked;
	bool mute; /* what lwIP sends is not for the wire */
	bool no_link;
	unsigned groups;  /* joined, by lwIP's count of users */
	uint32_t to_wake; /* workers whose rings got something in this burst */
} net;

static_assert(sizeof(struct rx_pbuf) <= 128, "fits the mbuf's private area");

static void rx_pbuf_free(struct pbuf *p)
{
	struct rx_pbuf *r = (struct rx_pbuf *)p;

	rte_pktmbuf_free_seg(r->mbuf);
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

void gz_netif_group(struct gz_end group, bool join)
{
	if (!net.n)
		return;
	if (join && !net.groups && rte_eth_allmulticast_enable(gz_port.id) < 0)
		gz_debug("port %s takes all frames of groups, or none", gz_port.device);
	if (join_or_leave(&net.nif[0], group, join) == ERR_OK)
		net.groups += join ? 1u : -1u;
}

bool gz_netif_in_groups(void)
{
	return net.groups;
}

uint32_t gz_netif_mss(const ip_addr_t *peer)
{
	uint32_t mtu = ip_addr_isloopback(peer) ? net.lo.mtu : gz_port.mtu;
	uint32_t mss = mtu - (IP_IS_V6(peer) ? IP6_HLEN : IP_HLEN) - TCP_HLEN;

	return LWIP_MIN(mss, (uint32_t)TCP_MSS);
}

static void drop_from(unsigned i)
{
	gz_add(GZ_C_PORT_TX_DROPPED, net.ntx - i);
	rte_pktmbuf_free_bulk(net.tx + i, net.ntx - i);
	net.ntx = i;
}

void gz_netif_flush(void)
{
	unsigned sent = 0, tries = 0;
	uint64_t bytes = 0;

	if (!net.ntx)
		return;
	if (net.offloads.checksum || gz_port.vlan_insert) {
		sent =
		    rte_eth_tx_prepare(gz_port.id, gz_worker.tx_queue, net.tx, (uint16_t)net.ntx);
		/* Frames of our own making that the driver does not take */
		if (sent < net.ntx)
			drop_from(sent);
		sent = 0;
	}
	for (unsigned i = 0; i < net.ntx; i++)
		bytes += net.tx[i]->pkt_len;
	gz_tx_lock(gz_worker.tx_queue);
	while (sent < net.ntx && tries++ < 64)
		sent += rte_eth_tx_burst(gz_port.id, gz_worker.tx_queue, net.tx + sent,
					 (uint16_t)(net.ntx - sent));
	gz_tx_unlock(gz_worker.tx_queue);
	gz_add(GZ_C_PORT_TX, sent);
	gz_add(GZ_C_PORT_TX_BYTES, bytes);
	if (sent < net.ntx)
		drop_from(sent);
	net.ntx = 0;
}

/* Copy @p into an mbuf, and more behind it as needed, the headers into the first one */
static struct rte_mbuf *mbuf_of(const struct pbuf *p)
{
	struct rte_mbuf *head = rte_pktmbuf_alloc(gz_port.pool), *m = head;

	for (; m && p; p = p->next) {
		const char *from = p->payload;
		uint16_t left = p->len, n;

		while (left) {
			if (!rte_pktmbuf_tailroom(m)) {
				m->next = rte_pktmbuf_alloc(gz_port.pool);
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
static bool leave_to_port(struct rte_mbuf *m)
{
	const struct gz_port *port = &gz_port;
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
	if (net.offloads.checksum)
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
	gz_count(net.offloads.tso ? GZ_C_TSO : GZ_C_GSO);
	return true;
}

static bool queue(struct rte_mbuf *m)
{
	if (!gz_vlan_put(&m, &gz_port)) {
		rte_pktmbuf_free(m);
		gz_count(GZ_C_PORT_TX_DROPPED);
		return false;
	}
	net.tx[net.ntx++] = m;
	if (net.ntx == TX_BATCH)
		gz_netif_flush();
	return true;
}

/* netif->linkoutput: an Ethernet frame for the wire. */
static err_t link_output(struct netif *nif, struct pbuf *p)
{
	struct rte_mbuf *m, *cut[GZ_GSO_MOST];
	unsigned n;

	LWIP_UNUSED_ARG(nif);
	if (net.no_link) { /* as noop_enqueue() */
		gz_count(GZ_C_PORT_TX_DROPPED);
		return ERR_OK;
	}
	m = mbuf_of(p);
	if (!m) {
		gz_count(GZ_C_PORT_NO_MBUF);
		return ERR_MEM;
	}
	if ((net.offloads.checksum || net.segment) && !leave_to_port(m)) {
		rte_pktmbuf_free(m);
		gz_count(GZ_C_PORT_TX_DROPPED);
		return ERR_OK; /* as if it had been lost */
	}
	if (!(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) || net.offloads.tso)
		return queue(m) ? ERR_OK : ERR_BUF;
	n = gz_gso_cut(&gz_port, m, cut);
	for (unsigned i = 0; i < n; i++)
		queue(cut[i]);
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

/* To lwIP, without a look at the checksums: it was on no wire, or the port has looked. */
static err_t give_unchecked(struct pbuf *p, struct netif *nif, netif_input_fn input)
{
	u16_t flags = nif->chksum_flags;
	err_t err;

	NETIF_SET_CHECKSUM_CTRL(nif,
				flags & ~(NETIF_CHECKSUM_CHECK_TCP | NETIF_CHECKSUM_CHECK_UDP));
	err = input(p, nif);
	NETIF_SET_CHECKSUM_CTRL(nif, flags);
	return err;
}

static err_t from_loop(struct pbuf *p, struct netif *nif)
{
	const uint8_t *dst = (const uint8_t *)p->payload + 16;

	/*
	 * All of 127/8 is this host; lwIP knows one address a netif.  Others,
	 * where a reset goes back the way that its cause came, are the port's:
	 * the loopback netif must not seem to lead to their network.
	 */
	if (nif == &net.lo && *(const uint8_t *)p->payload >> 4 == 4 && dst[0] == 127)
		memcpy(&ip_2_ip4(&net.lo.ip_addr)->addr, dst, 4);
	return give_unchecked(p, nif, ip_input);
}

bool gz_netif_loop(void)
{
	unsigned end = net.loop_tail;

	if (net.loop_head == end)
		return false;
	while (net.loop_head != end) {
		struct looped l = net.loop[net.loop_head++ % LOOP_MAX];

		if (from_loop(l.p, l.nif) != ERR_OK)
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
		nif->mtu = large ? 0 : gz_port.mtu;
		nif->mtu6 = large ? 0 : net.mtu6[i];
		generate(nif, !large && !net.offloads.checksum);
	}
}

void gz_netif_look(struct gz_worker *w)
{
	if (w->now - net.looked < LOOK_NS)
		return;
	net.looked = w->now;
	gz_port_look(&gz_port);
	net.offloads = gz_port.offloads;
	for (unsigned i = 0; i < net.n; i++)
		generate(&net.nif[i], !net.offloads.checksum);
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
	return h->src.addr && !gz_addr_is_local(gz_end_v4(h->src.addr, 0));
}

static err_t port_output(struct netif *nif, struct pbuf *p, const ip4_addr_t *dst)
{
	ip4_addr_t hop = *dst;
	err_t err;

	if (net.mute)
		return ERR_OK;
	if (from_nobody(p->payload)) {
		gz_count(GZ_C_SOURCE_GONE);
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
	int i = netif_get_ip6_addr_match(nif, dst);
	err_t err;

	if (net.mute)
		return ERR_OK;
	/* What was found to be a duplicate is another host's. */
	if (i >= 0 && !ip6_addr_isduplicated(netif_ip6_addr_state(nif, i)))
		return gz_attach_shares() && !ip6_addr_islinklocal(dst) && is_elsewhere6(p)
			   ? to_other_engine(nif, p, ETHTYPE_IPV6)
			   : loop_put(nif, p);
	err = ethip6_output(nif, p, gz_ipv6_next_hop(dst));
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
	nif->name[0] = 'd';
	nif->name[1] = 'p';
	nif->output = port_output;
	nif->output_ip6 = port_output6;
	nif->linkoutput = link_output;
	nif->mtu = gz_port.mtu;
	nif->hwaddr_len = 6;
	memcpy(nif->hwaddr, gz_port.mac.addr_bytes, 6);
	nif->flags =
	    NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP;
	/* All of our addresses are on one wire: the first speaks IGMP for it. */
	if (nif == &net.nif[0])
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
void gz_netif_link(void)
{
	bool up = gz_link_is_up();

	if (up == !net.no_link)
		return;
	net.no_link = !up;
	for (unsigned i = 0; i < net.n; i++) {
		if (!up) {
			etharp_cleanup_netif(&net.nif[i]);
			continue;
		}
		netif_set_link_down(&net.nif[i]);
		netif_set_link_up(&net.nif[i]);
	}
	if (up)
		gz_ipv6_link_up();
}

/* Of the netif's MTU IPv6 has less, if a router says so */
static void set_mtu(struct netif *nif, uint16_t mtu)
{
	nif->mtu6 = nif->mtu6 == nif->mtu || nif->mtu6 > mtu ? mtu : nif->mtu6;
	nif->mtu = mtu;
}

void gz_netif_address(void)
{
	const struct gz_own4 *own = gz_own4();
	ip4_addr_t a = {own->addr[0].addr}, m = {gz_own4_mask(own->addr[0].len)},
		   g = {own->gateway};

	set_mtu(&net.nif[0], gz_port.mtu);
	/* lwIP tells the link of another one, by gratuitous ARP */
	netif_set_addr(&net.nif[0], &a, &m, &g);
}

int gz_netif_init(void)
{
	const struct gz_own4 *own = gz_own4();
	ip4_addr_t a, m, g;

	if (!gz_gro_init())
		return -ENOMEM;
	net.no_link = !gz_link_is_up();
	/* What DHCP finds is the only one's, which has 0.0.0.0 until then. */
	for (unsigned i = 0; i < (gz_cfg->dhcp ? 1 : own->n); i++) {
		const struct gz_prefix4 *p = &own->addr[i];
		struct netif *nif = &net.nif[net.n];

		a.addr = p->addr;
		m.addr = gz_own4_mask(p->len);
		g.addr = i ? 0 : own->gateway;
		if (!netif_add(nif, &a, &m, &g, NULL, nif_init, ethernet_input))
			return -ENOMEM;
		net.n++;
		netif_set_up(nif);
		if (!i)
			netif_set_default(nif);
	}
	IP4_ADDR(&a, 127, 0, 0, 1);
	IP4_ADDR(&m, 255, 0, 0, 0);
	g.addr = 0;
	if (!netif_add(&net.lo, &a, &m, &g, NULL, lo_init, ip_input))
		return -ENOMEM;
	netif_set_up(&net.lo);
	ip6_addr_set_loopback(ip_2_ip6(&net.lo.ip6_addr[0]));
	IP_SET_TYPE_VAL(net.lo.ip6_addr[0], IPADDR_TYPE_V6);
	netif_ip6_addr_set_state(&net.lo, 0, IP6_ADDR_PREFERRED);
	/* IPv6 needs a netif of the port's, with or without an IPv4 address. */
	return net.n ? gz_ipv6_init(gz_cfg, &net.nif[0]) : 0;
}

/*
 * Addresses that cannot be on a wire: this host's own, as a source, loopback's,
 * and a group as a source (RFC 1122 3.2.1.3, RFC 1812 5.3.7; Linux's martians).
 */
static bool martian(const uint8_t *src, const uint8_t *dst)
{
	struct gz_end from;
	uint32_t a;

	memcpy(&a, src, 4);
	from = gz_end_v4(a, 0);
	/* 0.0.0.0 asks for groups (IGMP) and addresses (DHCP), of many only. */
	return src[0] == 127 || dst[0] == 127 || src[0] >= 224 || (!src[0] && dst[0] < 224) ||
	       (gz_addr_is_local(from) && !gz_attach_shares());
}

/*
 * The same of IPv6 (RFC 4291 2.5.3, 2.7); an own address as a source may tell of
 * a duplicate, and is neighbour discovery's business.
 */
static bool martian6(const uint8_t *src, const uint8_t *dst)
{
	return src[0] == 0xff || !memcmp(src, &in6addr_loopback, 16) ||
	       !memcmp(dst, &in6addr_loopback, 16);
}

/*
 * Which interface a frame is for; NULL: not worth lwIP's time, *malformed says
 * whether because it is broken.
 */
static struct netif *classify(struct rte_mbuf *m, bool *malformed)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const uint8_t *l3 = (const uint8_t *)(eth + 1);
	unsigned len = m->data_len;
	uint32_t dst;

	*malformed = true;
	if (len < sizeof(*eth))
		return NULL;
	len -= (unsigned)sizeof(*eth);
	switch (ntohs(eth->ether_type)) {
	case RTE_ETHER_TYPE_ARP:
		if (len < 28)
			return NULL;
		memcpy(&dst, l3 + 24, 4);
		break;
	case RTE_ETHER_TYPE_IPV4: {
		unsigned ihl, tot;

		if (len < 20 || l3[0] >> 4 != 4)
			return NULL;
		ihl = (l3[0] & 15) * 4u;
		tot = (unsigned)l3[2] << 8 | l3[3];
		if (ihl < 20 || tot < ihl || tot > m->pkt_len - sizeof(*eth) || ihl > len)
			return NULL;
		memcpy(&dst, l3 + 16, 4);
		if (martian(l3 + 12, l3 + 16))
			return NULL;
		break;
	}
	case RTE_ETHER_TYPE_IPV6:
		if (len < 40 || l3[0] >> 4 != 6 ||
		    ((unsigned)l3[4] << 8 | l3[5]) + 40 > m->pkt_len - sizeof(*eth) ||
		    martian6(l3 + 8, l3 + 24))
			return NULL;
		*malformed = false;
		return net.n ? &net.nif[0] : NULL;
	default:
		*malformed = false;
		return NULL;
	}
	*malformed = false;
	for (unsigned i = 0; i < net.n; i++)
		if (netif_ip4_addr(&net.nif[i])->addr == dst)
			return &net.nif[i];
	return net.n ? &net.nif[0] : NULL;
}

/*
 * Did the port check the sums of TCP and UDP, or are they none, because the frame came
 * through memory?  vhost's driver offers the latter to its peer whatever we say.
 */
static bool is_checked(const struct rte_mbuf *m)
{
	uint64_t sum = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;

	return (gz_port.asked.checksum || gz_port.kind == GZ_DRV_VHOST || net.offloads.gro) &&
	       (sum == RTE_MBUF_F_RX_L4_CKSUM_GOOD || sum == RTE_MBUF_F_RX_L4_CKSUM_NONE);
}

/* @m with all its pieces, as it is */
static struct pbuf *pbuf_of(struct rte_mbuf *m)
{
	struct pbuf *head = NULL;

	while (m) {
		struct rte_mbuf *next = m->next;
		struct rx_pbuf *r = rte_mbuf_to_priv(m);
		struct pbuf *p;

		r->mbuf = m;
		r->pc.custom_free_function = rx_pbuf_free;
		p = pbuf_alloced_custom(PBUF_RAW, m->data_len, PBUF_REF, &r->pc,
					rte_pktmbuf_mtod(m, void *), m->data_len);
		m->next = NULL;
		m->nb_segs = 1;
		if (!head)
			head = p;
		else
			pbuf_cat(head, p);
		m = next;
	}
	return head;
}

static void input(struct rte_mbuf *m)
{
	struct pbuf *head;
	struct netif *nif;
	bool malformed, unchecked = is_checked(m);
	err_t err;

	gz_add(GZ_C_PORT_RX_BYTES, m->pkt_len);
	nif = classify(m, &malformed);
	if (!nif || m->pkt_len > UINT16_MAX) {
		gz_count(malformed || nif ? GZ_C_PORT_MALFORMED : GZ_C_PORT_OTHER);
		rte_pktmbuf_free(m);
		return;
	}
	head = pbuf_of(m);
	err = unchecked ? give_unchecked(head, nif, nif->input) : nif->input(head, nif);
	if (err != ERR_OK)
		pbuf_free(head);
}

/* --- between workers ------------------------------------------------------ */

static void give(unsigned to, struct rte_mbuf *m)
{
	if (rte_ring_mp_enqueue(gz_workers[to]->handed, m) != 0) {
		gz_count(GZ_C_HANDED_DROPPED); /* it has too much to do */
		rte_pktmbuf_free(m);
		return;
	}
	gz_count(GZ_C_HANDED);
	net.to_wake |= 1u << to;
}

static void wake_others(void)
{
	for (unsigned i = 0; net.to_wake; i++, net.to_wake >>= 1)
		if (net.to_wake & 1)
			gz_worker_wake(gz_workers[i]);
}

/* A frame that came to this worker's queue */
static void take(struct rte_mbuf *m)
{
	unsigned to = gz_worker.index;
	struct rte_mbuf *copy;

	if (gz_nworkers > 1)
		to = gz_spread_frame(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len);
	if (to == GZ_SPREAD_ALL) {
		for (unsigned i = 0; i < gz_nworkers; i++) {
			copy = i != gz_worker.index
				   ? rte_pktmbuf_copy(m, gz_port.pool, 0, UINT32_MAX)
				   : NULL;
			if (copy)
				give(i, copy);
		}
	} else if (to != gz_worker.index) {
		give(to, m);
		return;
	}
	input(m);
}

/* The packet at @p, for worker @to's ring.  NULL: no mbufs */
static struct rte_mbuf *copy_of(struct pbuf *p, struct netif *inp)
{
	struct rte_mbuf *head = NULL, *m;
	uint16_t at = 0, n;

	do {
		m = rte_pktmbuf_alloc(gz_port.pool);
		if (!m || (head && rte_pktmbuf_chain(head, m))) {
			rte_pktmbuf_free(m);
			rte_pktmbuf_free(head);
			return NULL;
		}
		head = head ? head : m;
		n = RTE_MIN(rte_pktmbuf_tailroom(m), (uint16_t)(p->tot_len - at));
		pbuf_copy_partial(p, rte_pktmbuf_mtod(m, void *), n, at);
		m->data_len = n;
		head->pkt_len += head == m ? n : 0;
		at = (uint16_t)(at + n);
	} while (at < p->tot_len);
	head->pkt_len = p->tot_len;
	head->port = (uint16_t)(PACKET | (inp == &net.lo ? PACKET_LO : inp - net.nif));
	if (!(inp->chksum_flags & NETIF_CHECKSUM_CHECK_TCP))
		head->port |= UNCHECKED;
	return head;
}

void gz_netif_hand_over(struct gz_worker *to, struct pbuf *p, struct netif *inp)
{
	struct rte_mbuf *m;

	pbuf_header_force(p, (s16_t)ip_current_header_tot_len());
	m = copy_of(p, inp);
	pbuf_free(p);
	if (!m) {
		gz_count(GZ_C_PORT_NO_MBUF);
		return;
	}
	give(to->index, m);
	wake_others();
}

static void take_handed(struct rte_mbuf *m)
{
	unsigned number = m->port & 0xff;
	struct netif *nif = number == PACKET_LO ? &net.lo : &net.nif[number];
	struct pbuf *p;
	err_t err;

	if ((m->port & PACKET) != PACKET) {
		input(m);
		return;
	}
	p = pbuf_of(m);
	err = m->port & UNCHECKED ? from_loop(p, nif) : ip_input(p, nif);
	if (err != ERR_OK)
		pbuf_free(p);
}

unsigned gz_netif_rx(struct gz_worker *w, void (*before)(struct gz_worker *))
{
	static struct rte_mbuf *b[512]; /* worker.burst at most */
	static uint16_t held;		/* of them, not looked at yet */
	struct rte_mbuf *h[64];
	uint16_t want = (uint16_t)RTE_MIN(gz_cfg->burst, RTE_DIM(b)), n;
	unsigned nh = 0, ours = 0;

	if (gz_nworkers > 1 && !held)
		nh = rte_ring_sc_dequeue_burst(w->handed, (void **)h, RTE_DIM(h), NULL);
	/*
	 * Messages after the burst was taken and before it is looked at: a
	 * listen() that returned before these packets were sent is in effect.
	 * More than worker.messages: it is held until a later round.
	 */
	if (!held) {
		if (w->rx_queue >= 0)
			held = rte_eth_rx_burst(gz_port.id, (uint16_t)w->rx_queue, b, want);
		w->owed = rte_ring_count(w->inbox);
	}
	before(w);
	for (unsigned i = 0; i < nh; i++)
		take_handed(h[i]);
	n = held;
	if (!n || w->owed)
		return n + nh;
	held = 0;
	gz_add(GZ_C_PORT_RX, n);
	for (uint16_t i = 0; i < n; i++) {
		if (i + 1 < n)
			rte_prefetch0(rte_pktmbuf_mtod(b[i + 1], void *));
		if (gz_vlan_take(b[i], gz_port.vlan)) {
			b[ours++] = b[i];
			continue;
		}
		gz_count(GZ_C_PORT_VLAN);
		rte_pktmbuf_free(b[i]);
	}
	if (net.offloads.gro && ours > 1)
		ours = gz_gro_merge(b, ours);
	for (unsigned i = 0; i < ours; i++)
		take(b[i]);
	if (net.to_wake)
		wake_others();
	return n + nh;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * switch.c - Tables and the decision for one frame
 *
 * Theory of operation: clients are told apart by their IPv4 addresses, not by
 * MAC: an address is configured, a MAC is claimed.  IPv4 goes to the client
 * whose prefix holds the destination (the longest, if several do), else out of
 * the port; ARP likewise, by the address that is asked for or answered.  So an
 * outside host finds an engine's own MAC by ARP and nothing has to be rewritten.
 *
 * Nothing that a client sends is believed.  Every length is checked against the
 * frame before the byte behind it is read, because neighbours' and our own
 * parsers come next.  The source must be the client's: IPv4 source and ARP
 * sender inside its prefix, and one MAC address as long as the link is up, so
 * that it can neither draw a neighbour's traffic nor answer for it.  From the
 * port nobody may claim a client's address either.
 *
 * What is flooded is copied to every client.  Only that which must be is:
 * limited and directed broadcast, multicast, and ARP that announces the sender's
 * own address.  Of IPv6 see switch6.c.
 */
#include <arpa/inet.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <rte_arp.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "dispatch/switch.h"

#define ETH_LEN sizeof(struct rte_ether_hdr)
#define ARP_LEN sizeof(struct rte_arp_hdr)

/* --- tables --------------------------------------------------------------- */

static uint32_t mask4(unsigned len)
{
	return len ? htonl(~0u << (32 - len)) : 0;
}

/* Longest prefix first: in host order a longer mask is the larger number */
static int by_length(const void *a, const void *b)
{
	uint32_t x = ntohl(((const struct sw_route *)a)->mask);
	uint32_t y = ntohl(((const struct sw_route *)b)->mask);

	return x < y ? 1 : x > y ? -1 : 0;
}

void sw_init(struct sw *s, const struct gz_dispatch_config *c)
{
	unsigned mtu = c->port.mtu ? c->port.mtu : RTE_ETHER_MTU;

	memset(s, 0, sizeof(*s));
	s->n = c->nclients;
	s->max_frame = (uint16_t)(ETH_LEN + sizeof(struct rte_vlan_hdr) + mtu);
	for (unsigned i = 0; i < s->n; i++) {
		uint32_t mask = mask4(c->clients[i].address.len);

		s->route[i] = (struct sw_route){
		    .addr = c->clients[i].address.addr & mask,
		    .mask = mask,
		    .client = i,
		};
		s->route6[i] = c->clients[i].address6;
	}
	qsort(s->route, s->n, sizeof(s->route[0]), by_length);
}

unsigned sw_lookup(const struct sw *s, uint32_t addr)
{
	for (unsigned i = 0; i < s->n; i++) {
		if ((addr & s->route[i].mask) == s->route[i].addr)
			return s->route[i].client;
	}
	return SW_PORT;
}

void sw_forget(struct sw *s, unsigned client)
{
	memset(&s->client[client], 0, sizeof(s->client[client]));
}

/* --- who sends ------------------------------------------------------------ */

bool sw_learn(struct sw *s, unsigned client, const struct rte_ether_addr *mac)
{
	if (s->client[client].known)
		return rte_is_same_ether_addr(&s->client[client].mac, mac);
	for (unsigned i = 0; i < s->n; i++) {
		if (s->client[i].known && rte_is_same_ether_addr(&s->client[i].mac, mac))
			return false;
	}
	rte_ether_addr_copy(mac, &s->client[client].mac);
	s->client[client].known = true;
	return true;
}

/**
 * sender_allowed() - May this frame come from there?
 * @addr:	The IPv4 address that it claims to come from
 *
 * A client is bound to its prefix and to the MAC address of its first good
 * frame, which must not be another client's.
 */
static bool sender_allowed(struct sw *s, unsigned from, const struct rte_ether_addr *mac,
			   uint32_t addr)
{
	unsigned owner = sw_lookup(s, addr);

	if (owner != from || from == SW_PORT)
		return owner == from;
	if (!sw_learn(s, from, mac))
		return false;
	s->client[from].last4 = addr;
	return true;
}

/* --- IPv4 ----------------------------------------------------------------- */

static bool is_multicast(uint32_t addr)
{
	return (ntohl(addr) >> 28) == 0xe;
}

/* 0.0.0.0/8 and 127.0.0.0/8 are never on a wire (RFC 1122, 3.2.1.3) */
static bool is_martian(uint32_t addr)
{
	uint32_t net = ntohl(addr) >> 24;

	return net == 0 || net == 127;
}

/**
 * l4_fits() - Do the transport header's lengths fit?
 * @ip:		Checked header
 * @l4:		What follows it
 * @len:	Bytes of it, by the IP header
 *
 * The first fragment must hold the whole header (RFC 1858): what looks into
 * ports or flags must not be fooled by a second fragment that completes them.
 */
static bool l4_fits(const struct rte_ipv4_hdr *ip, const uint8_t *l4, unsigned len)
{
	uint16_t fragment = ntohs(ip->fragment_offset);
	unsigned offset = fragment & RTE_IPV4_HDR_OFFSET_MASK;
	bool more = fragment & RTE_IPV4_HDR_MF_FLAG;
	unsigned n;

	/* A fragment that would end behind the largest packet */
	if (offset * RTE_IPV4_HDR_OFFSET_UNITS + len > UINT16_MAX)
		return false;
	/* 1: the rest of a TCP header that was cut in two */
	if (offset)
		return !(ip->next_proto_id == IPPROTO_TCP && offset == 1);
	switch (ip->next_proto_id) {
	case IPPROTO_TCP:
		if (len < sizeof(struct rte_tcp_hdr))
			return false;
		n = (l4[offsetof(struct rte_tcp_hdr, data_off)] >> 4) * 4;
		return n >= sizeof(struct rte_tcp_hdr) && n <= len;
	case IPPROTO_UDP:
		if (len < sizeof(struct rte_udp_hdr))
			return false;
		n = (unsigned)l4[4] << 8 | l4[5];
		return n >= sizeof(struct rte_udp_hdr) && (more || n <= len);
	case IPPROTO_ICMP:
		return len >= 8;
	default:
		return true;
	}
}

static struct sw_verdict decide_ipv4(struct sw *s, unsigned from, const struct rte_ether_hdr *eth,
				     unsigned len)
{
	const uint8_t *bytes = (const uint8_t *)(eth + 1);
	struct rte_ipv4_hdr ip;
	unsigned header, total, to;

	if (len < sizeof(ip))
		return sw_drop(SW_MALFORMED);
	memcpy(&ip, bytes, sizeof(ip)); /* the frame may lie at any address */
	header = (ip.version_ihl & RTE_IPV4_HDR_IHL_MASK) * RTE_IPV4_IHL_MULTIPLIER;
	total = ntohs(ip.total_length);
	if (ip.version_ihl >> 4 != 4 || header < sizeof(ip) || total < header || total > len)
		return sw_drop(SW_MALFORMED);
	if (is_martian(ip.src_addr) || is_martian(ip.dst_addr) || is_multicast(ip.src_addr) ||
	    ip.src_addr == htonl(INADDR_BROADCAST))
		return sw_drop(SW_MALFORMED);
	if (!l4_fits(&ip, bytes + header, total - header))
		return sw_drop(SW_MALFORMED);
	if (!sender_allowed(s, from, &eth->src_addr, ip.src_addr))
		return sw_drop(SW_SPOOFED);

	if (is_multicast(ip.dst_addr) || ip.dst_addr == htonl(INADDR_BROADCAST))
		return sw_flood();
	to = sw_lookup(s, ip.dst_addr);
	if (to != SW_PORT)
		return to == from ? sw_drop(SW_UNCLAIMED) : sw_send(to);
	/* Nobody's: to all if it says so (192.0.2.255), else outside */
	if (rte_is_broadcast_ether_addr(&eth->dst_addr))
		return sw_flood();
	return from == SW_PORT ? sw_drop(SW_UNCLAIMED) : sw_send(SW_PORT);
}

/* --- ARP ------------------------------------------------------------------ */

static struct sw_verdict decide_arp(struct sw *s, unsigned from, const struct rte_ether_hdr *eth,
				    unsigned len)
{
	struct rte_arp_hdr arp;
	uint32_t sender, target;
	uint16_t op;
	unsigned to;

	if (len < ARP_LEN)
		return sw_drop(SW_MALFORMED);
	memcpy(&arp, eth + 1, sizeof(arp));
	op = ntohs(arp.arp_opcode);
	if (ntohs(arp.arp_hardware) != RTE_ARP_HRD_ETHER ||
	    ntohs(arp.arp_protocol) != RTE_ETHER_TYPE_IPV4 || arp.arp_hlen != RTE_ETHER_ADDR_LEN ||
	    arp.arp_plen != sizeof(uint32_t) ||
	    (op != RTE_ARP_OP_REQUEST && op != RTE_ARP_OP_REPLY))
		return sw_drop(SW_MALFORMED);

	sender = arp.arp_data.arp_sip;
	target = arp.arp_data.arp_tip;
	/* The MAC that is announced must be the one that sends: else a client
	 * could have its own traffic, and ours, sent to somebody else. */
	if (!rte_is_same_ether_addr(&arp.arp_data.arp_sha, &eth->src_addr))
		return sw_drop(SW_SPOOFED);
	/* A probe (RFC 5227): asks for an address before using it */
	if (!sender && op == RTE_ARP_OP_REQUEST) {
		if (from != SW_PORT && !sender_allowed(s, from, &eth->src_addr, target))
			return sw_drop(SW_SPOOFED);
		if (from != SW_PORT)
			return sw_flood();
		to = sw_lookup(s, target);
		return to == SW_PORT ? sw_drop(SW_UNCLAIMED) : sw_send(to);
	}
	if (!sender_allowed(s, from, &eth->src_addr, sender))
		return sw_drop(SW_SPOOFED);
	if (sender == target) /* an announcement, to all who may have it cached */
		return sw_flood();
	to = sw_lookup(s, target);
	return to == from ? sw_drop(SW_UNCLAIMED) : sw_send(to);
}

/* --- the decision --------------------------------------------------------- */

struct sw_verdict sw_decide(struct sw *s, unsigned from, const void *frame, unsigned len)
{
	const struct rte_ether_hdr *eth = frame;

	if (len < ETH_LEN || len > s->max_frame || rte_is_multicast_ether_addr(&eth->src_addr) ||
	    rte_is_zero_ether_addr(&eth->src_addr))
		return sw_drop(SW_MALFORMED);
	switch (ntohs(eth->ether_type)) {
	case RTE_ETHER_TYPE_IPV4:
		return decide_ipv4(s, from, eth, len - (unsigned)ETH_LEN);
	case RTE_ETHER_TYPE_IPV6:
		return sw_decide6(s, from, eth, len - (unsigned)ETH_LEN);
	case RTE_ETHER_TYPE_ARP:
		return decide_arp(s, from, eth, len - (unsigned)ETH_LEN);
	default:
		return sw_drop(SW_UNCLAIMED);
	}
}

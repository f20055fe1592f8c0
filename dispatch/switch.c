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
 * limited and directed broadcast, and ARP that announces the sender's own
 * address.  Multicast goes to whom snoop.c says.  Of IPv6 see switch6.c.
 *
 * With a way to the kernel, that is one more port of the switch, to which goes what
 * is for its addresses, for the port's MAC address without being a client's, or of no
 * protocol that clients have.  It is trusted as far as the outside is.  An address
 * can be a client's and the kernel's: rules by port say what the kernel gets, the
 * rest is the client's, and the kernel answers ARP, so that the network finds the
 * same MAC address with and without us.
 *
 * An address can be several clients' (struct sw_ports).  The network knows it by the
 * port's MAC address, and we answer ARP for it.  What comes for it goes by destination
 * port; an ICMP error by the port of the packet that it is about; answers of ARP and of
 * echo, which have none, to all of them; and what is nobody's to the first, that it be
 * refused.  A later fragment goes where the first one went, if that came before it.
 */
#include <arpa/inet.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <rte_arp.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "dispatch/switch.h"

#define ETH_LEN sizeof(struct rte_ether_hdr)
#define ARP_LEN sizeof(struct rte_arp_hdr)

/* --- lookups -------------------------------------------------------------- */

void sw_init(struct sw *s, const struct sw_table *table, struct sw_seen *seen, uint16_t mtu)
{
	memset(s, 0, sizeof(*s));
	s->table = table;
	s->seen = seen;
	s->max_frame =
	    (uint16_t)(ETH_LEN + sizeof(struct rte_vlan_hdr) + (mtu ? mtu : RTE_ETHER_MTU));
}

/* Is it among the kernel's? */
static bool is_host(const struct sw *s, uint32_t addr)
{
	for (unsigned i = 0; s->kernel && i < s->kernel->n4; i++) {
		if (s->kernel->a4[i] == addr)
			return true;
	}
	return false;
}

unsigned sw_lookup(const struct sw *s, uint32_t addr)
{
	for (unsigned i = 0; i < s->table->n4; i++) {
		const struct sw_route *r = &s->table->r4[i];

		if ((addr & r->mask) != r->addr)
			continue;
		if (r->mask == UINT32_MAX || !is_host(s, addr))
			return r->client;
		break;
	}
	return is_host(s, addr) ? SW_KERNEL : SW_PORT;
}

/* NULL: it is not shared by clients */
static const struct sw_route *shared_route(const struct sw *s, uint32_t addr)
{
	for (unsigned i = 0; s->table->nshared && i < s->table->n4; i++) {
		const struct sw_route *r = &s->table->r4[i];

		if (r->ports && r->addr == addr)
			return r;
	}
	return NULL;
}

bool sw_is_shared(const struct sw *s, uint32_t addr)
{
	return shared_route(s, addr);
}

/* Has a client this address, and the kernel as well? */
static bool is_shared(const struct sw *s, uint32_t addr)
{
	return s->kernel && sw_lookup(s, addr) < SW_PORT && is_host(s, addr);
}

/* --- the kernel's share --------------------------------------------------- */

static struct in6_addr mapped(uint32_t addr)
{
	struct in6_addr a = {.s6_addr = {[10] = 0xff, [11] = 0xff}};

	memcpy(a.s6_addr + 12, &addr, sizeof(addr));
	return a;
}

bool sw_is_kernels(const struct sw *s, uint8_t proto, const struct in6_addr *a, uint16_t port)
{
	static const uint8_t protos[] = {
	    [GZ_PROTO_TCP] = IPPROTO_TCP, [GZ_PROTO_UDP] = IPPROTO_UDP};

	for (unsigned i = 0; s->kernel && i < s->table->nrules; i++) {
		const struct gz_kernel_rule *r = &s->table->rules[i];

		if ((r->protocol == GZ_PROTO_ANY || protos[r->protocol] == proto) &&
		    (!r->net.set || sw_in_prefix(&r->net, a)) &&
		    (!r->port_hi || (port >= r->port_lo && port <= r->port_hi)))
			return true;
	}
	return false;
}

bool sw_is_ours(const struct sw *s, const struct rte_ether_hdr *eth)
{
	return s->kernel && rte_is_same_ether_addr(&eth->dst_addr, &s->mac);
}

struct sw_verdict sw_deliver(const struct sw *s, unsigned to, const struct rte_ether_hdr *eth)
{
	struct sw_verdict v = sw_send(to);

	if (to == SW_KERNEL)
		v.readdress = rte_is_unicast_ether_addr(&eth->dst_addr);
	else
		v.readdress = to < SW_PORT && sw_is_known(s, to) && sw_is_ours(s, eth);
	return v;
}

/* Ports behind a checked IPv4 header; 0 where there are none */
static uint16_t port_at(const struct rte_ipv4_hdr *ip, const uint8_t *l4, unsigned at)
{
	if (ip->fragment_offset & htons(RTE_IPV4_HDR_OFFSET_MASK) ||
	    (ip->next_proto_id != IPPROTO_TCP && ip->next_proto_id != IPPROTO_UDP))
		return 0;
	return (uint16_t)(l4[at] << 8 | l4[at + 1]);
}

/* --- who sends ------------------------------------------------------------ */

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
	const struct sw_route *shared = from < SW_PORT ? shared_route(s, addr) : NULL;
	unsigned owner = shared && shared->members >> from & 1 ? from : sw_lookup(s, addr);

	/* the kernel is a host, and may be others' router */
	if (from == SW_KERNEL)
		return owner == SW_KERNEL || owner == SW_PORT;
	/* By way of a router between VLANs */
	if (from == SW_PORT && owner < SW_PORT && s->table->vlan[owner] != s->vlan)
		return true;
	if (owner != from || from == SW_PORT)
		return owner == from;
	if (!sw_learn(s, from, mac))
		return false;
	sw_note4(s, from, addr);
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

/* --- addresses of several clients ------------------------------------------ */

unsigned sw_port_owner(const struct sw_ports *ports, uint8_t proto, uint16_t port)
{
	if (!port || (proto != IPPROTO_TCP && proto != IPPROTO_UDP))
		return 0;
	return atomic_load_explicit(&ports->owner[proto == IPPROTO_UDP][port],
				    memory_order_relaxed);
}

/* May @from, which has the address too, send this?  A later fragment has no port. */
static bool port_allowed(const struct sw *s, unsigned from, const struct rte_ipv4_hdr *ip,
			 const uint8_t *l4)
{
	const struct sw_route *r = from < SW_PORT ? shared_route(s, ip->src_addr) : NULL;
	unsigned owner = r ? sw_port_owner(r->ports, ip->next_proto_id, port_at(ip, l4, 0)) : 0;

	return !owner || owner == from + 1;
}

static struct sw_fragment *fragment_of(struct sw *s, const struct rte_ipv4_hdr *ip)
{
	return &s->fragment[ntohs(ip->packet_id) % SW_FRAGMENTS];
}

static bool is_of_packet(const struct sw_fragment *f, const struct rte_ipv4_hdr *ip)
{
	return f->src == ip->src_addr && f->dst == ip->dst_addr && f->id == ip->packet_id &&
	       f->proto == ip->next_proto_id;
}

/* Whom an ICMP message is about: client + 1, 0: the first; *all: whoever asked */
static unsigned icmp_member(const struct sw_route *r, const uint8_t *l4, unsigned len, bool *all)
{
	struct rte_ipv4_hdr about;
	unsigned header;

	*all = false;
	switch (l4[0]) {
	case RTE_IP_ICMP_ECHO_REQUEST:
		return 0;
	case 3: /* unreachable, redirect, time exceeded, parameter: RFC 792 */
	case 5:
	case 11:
	case 12:
		break;
	default:
		*all = true;
		return 0;
	}
	if (len < 8 + sizeof(about))
		return 0;
	memcpy(&about, l4 + 8, sizeof(about));
	header = (about.version_ihl & RTE_IPV4_HDR_IHL_MASK) * RTE_IPV4_IHL_MULTIPLIER;
	*all = about.next_proto_id == IPPROTO_ICMP;
	if (header < sizeof(about) || len < 8 + header + 4)
		return 0;
	return sw_port_owner(r->ports, about.next_proto_id, port_at(&about, l4 + 8 + header, 0));
}

/* To which of those that have the address?  Perhaps to the one that sent it */
static struct sw_verdict to_member(struct sw *s, unsigned from, const struct sw_route *r,
				   const struct rte_ipv4_hdr *ip, const uint8_t *l4, unsigned len)
{
	uint16_t fragment = ntohs(ip->fragment_offset);
	struct sw_fragment *f = fragment_of(s, ip);
	unsigned owner = 0, to = r->client;
	struct sw_verdict v;
	bool all;

	if (fragment & RTE_IPV4_HDR_OFFSET_MASK) {
		/* who got the first may be no client any more */
		if (is_of_packet(f, ip) && r->members >> f->client & 1)
			to = f->client;
	} else {
		if (ip->next_proto_id == IPPROTO_ICMP) {
			owner = icmp_member(r, l4, len, &all);
			if (all)
				return sw_flood_members(r->members &
							~(from < SW_PORT ? 1ull << from : 0));
		} else {
			owner = sw_port_owner(r->ports, ip->next_proto_id, port_at(ip, l4, 2));
			/* Else it would be refused in the name of one that is still to come */
			if (!owner &&
			    !atomic_load_explicit(&r->ports->settled, memory_order_relaxed))
				return sw_drop(SW_UNCLAIMED);
		}
		to = owner && r->members >> (owner - 1) & 1 ? owner - 1 : r->client;
		if (fragment & RTE_IPV4_HDR_MF_FLAG)
			*f = (struct sw_fragment){.src = ip->src_addr,
						  .dst = ip->dst_addr,
						  .id = ip->packet_id,
						  .proto = ip->next_proto_id,
						  .client = (uint8_t)to};
	}
	v = sw_send(to);
	v.readdress = sw_is_known(s, to);
	return v;
}

/* sw_is_kernels() of an IPv4 address */
static bool is_kernels(const struct sw *s, const struct rte_ipv4_hdr *ip, uint32_t addr,
		       uint16_t port)
{
	const struct in6_addr a = mapped(addr);

	return sw_is_kernels(s, ip->next_proto_id, &a, port);
}

static struct sw_verdict to_group(struct sw *s, unsigned from, const struct rte_ipv4_hdr *ip,
				  const uint8_t *l4, unsigned len)
{
	const struct in6_addr group = mapped(ip->dst_addr);

	if (ip->next_proto_id != IPPROTO_IGMP)
		return sw_flood_group(s, &group);
	if (ip->fragment_offset & htons(RTE_IPV4_HDR_OFFSET_MASK | RTE_IPV4_HDR_MF_FLAG))
		return sw_drop(SW_MALFORMED);
	return sw_snoop4(s, from, ip->dst_addr, l4, len);
}

static struct sw_verdict decide_ipv4(struct sw *s, unsigned from, const struct rte_ether_hdr *eth,
				     unsigned len)
{
	const uint8_t *bytes = (const uint8_t *)(eth + 1);
	const struct sw_route *shared;
	struct rte_ipv4_hdr ip;
	struct sw_verdict v;
	unsigned header, total, to;

	if (len < sizeof(ip))
		return sw_drop(SW_MALFORMED);
	memcpy(&ip, bytes, sizeof(ip)); /* the frame may lie at any address */
	header = (ip.version_ihl & RTE_IPV4_HDR_IHL_MASK) * RTE_IPV4_IHL_MULTIPLIER;
	total = ntohs(ip.total_length);
	if (ip.version_ihl >> 4 != 4 || header < sizeof(ip) || total < header || total > len)
		return sw_drop(SW_MALFORMED);
	/* DHCP, RFC 2131 section 4.1: the kernel's, either way */
	if (s->kernel && !ip.src_addr && ip.dst_addr == htonl(INADDR_BROADCAST) && from >= SW_PORT)
		return sw_send(from == SW_KERNEL ? SW_PORT : SW_KERNEL);
	/* Who has no address yet, or is only a switch, speaks IGMP all the same (RFC 3376 4.2.13,
	 * RFC 4541 2.1.1) */
	if (!ip.src_addr && ip.next_proto_id == IPPROTO_IGMP && is_multicast(ip.dst_addr))
		return sw_is_own(s, from, &eth->src_addr)
			   ? to_group(s, from, &ip, bytes + header, total - header)
			   : sw_drop(SW_SPOOFED);
	if (is_martian(ip.src_addr) || is_martian(ip.dst_addr) || is_multicast(ip.src_addr) ||
	    ip.src_addr == htonl(INADDR_BROADCAST))
		return sw_drop(SW_MALFORMED);
	if (!l4_fits(&ip, bytes + header, total - header))
		return sw_drop(SW_MALFORMED);
	if (ip.next_proto_id == IPPROTO_TCP &&
	    !(ip.fragment_offset & htons(RTE_IPV4_HDR_OFFSET_MASK)))
		s->tcp = (uint16_t)(ETH_LEN + header);
	if (!sender_allowed(s, from, &eth->src_addr, ip.src_addr) &&
	    !(from == SW_KERNEL &&
	      (is_kernels(s, &ip, ip.src_addr, port_at(&ip, bytes + header, 0)) ||
	       (ip.next_proto_id == IPPROTO_ICMP && is_shared(s, ip.src_addr)))))
		return sw_drop(SW_SPOOFED);
	if (!port_allowed(s, from, &ip, bytes + header))
		return sw_drop(SW_SPOOFED);

	if (is_multicast(ip.dst_addr))
		return to_group(s, from, &ip, bytes + header, total - header);
	if (ip.dst_addr == htonl(INADDR_BROADCAST))
		return sw_flood();
	to = sw_lookup(s, ip.dst_addr);
	if (to < SW_PORT && s->kernel &&
	    is_kernels(s, &ip, ip.dst_addr, port_at(&ip, bytes + header, 2)))
		to = SW_KERNEL;
	shared = to < SW_PORT ? shared_route(s, ip.dst_addr) : NULL;
	if (shared)
		return to_member(s, from, shared, &ip, bytes + header, total - header);
	if (to == from && to != SW_PORT)
		return sw_drop(SW_UNCLAIMED);
	if (to != SW_PORT) {
		v = sw_deliver(s, to, eth);
		/* Answers and errors are whose it was that asked; a question is the client's */
		v.both = ip.next_proto_id == IPPROTO_ICMP && from != SW_KERNEL &&
			 is_shared(s, ip.dst_addr) &&
			 (ip.fragment_offset & htons(RTE_IPV4_HDR_OFFSET_MASK) ||
			  bytes[header] != RTE_IP_ICMP_ECHO_REQUEST);
		return v;
	}
	/* Nobody's: to all if it says so (192.0.2.255), else outside */
	if (rte_is_broadcast_ether_addr(&eth->dst_addr))
		return sw_flood();
	if (sw_is_ours(s, eth) && from != SW_KERNEL)
		return sw_send(SW_KERNEL);
	return from == SW_PORT ? sw_drop(SW_UNCLAIMED) : sw_send(SW_PORT);
}

/* --- ARP ------------------------------------------------------------------ */

/* Who is to hear it, the sender being fine */
static struct sw_verdict arp_target(const struct sw *s, unsigned from,
				    const struct rte_ether_hdr *eth, uint16_t op, uint32_t sender,
				    uint32_t target)
{
	const struct sw_route *shared = shared_route(s, target);
	unsigned to = sw_lookup(s, target);
	struct sw_verdict v;

	if (shared) {
		uint64_t self = from < SW_PORT ? 1ull << from : 0;

		if (sender == target) { /* an announcement: the others that have it know */
			v = sw_flood();
			v.only = ~shared->members;
			return v;
		}
		if (op == RTE_ARP_OP_REPLY)
			return sw_flood_members(shared->members & ~self);
		return shared->members & self ? sw_drop(SW_UNCLAIMED)
					      : (struct sw_verdict){.action = SW_ANSWER};
	}
	if (sender == target) /* an announcement, to all who may have it cached */
		return sw_flood();
	if (from != SW_KERNEL && is_shared(s, target)) {
		if (op == RTE_ARP_OP_REQUEST)
			return sw_send(SW_KERNEL); /* which answers with the port's */
		v = sw_deliver(s, to, eth);
		v.both = true;
		return v;
	}
	if (to == SW_PORT && sw_is_ours(s, eth) && from != SW_KERNEL)
		to = SW_KERNEL; /* the answer to a probe of its own */
	return to == from ? sw_drop(SW_UNCLAIMED) : sw_deliver(s, to, eth);
}

static struct sw_verdict decide_arp(struct sw *s, unsigned from, const struct rte_ether_hdr *eth,
				    unsigned len)
{
	struct rte_arp_hdr arp;
	struct sw_verdict v;
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
		if (from < SW_PORT && !sender_allowed(s, from, &eth->src_addr, target))
			return sw_drop(SW_SPOOFED);
		if (sw_is_shared(s, target))
			return from < SW_PORT ? sw_send(SW_PORT)
					      : (struct sw_verdict){.action = SW_ANSWER};
		if (from < SW_PORT)
			return sw_flood();
		to = sw_lookup(s, target);
		return to == from ? sw_drop(SW_UNCLAIMED) : sw_send(to);
	}
	if (!sender_allowed(s, from, &eth->src_addr, sender) &&
	    !(from == SW_KERNEL && is_shared(s, sender)))
		return sw_drop(SW_SPOOFED);
	v = arp_target(s, from, eth, op, sender, target);
	/* Of an address that it shares with the kernel or others the network knows one
	 * MAC address, the port's */
	v.proxy = from < SW_PORT && (is_shared(s, sender) || sw_is_shared(s, sender));
	return v;
}

/* --- the decision --------------------------------------------------------- */

struct sw_verdict sw_decide(struct sw *s, unsigned from, const void *frame, unsigned len)
{
	const struct rte_ether_hdr *eth = frame;

	s->tcp = 0;
	if (len < ETH_LEN || (len > s->max_frame && !s->large) ||
	    rte_is_multicast_ether_addr(&eth->src_addr) || rte_is_zero_ether_addr(&eth->src_addr))
		return sw_drop(SW_MALFORMED);
	switch (ntohs(eth->ether_type)) {
	case RTE_ETHER_TYPE_IPV4:
		return decide_ipv4(s, from, eth, len - (unsigned)ETH_LEN);
	case RTE_ETHER_TYPE_IPV6:
		return sw_decide6(s, from, eth, len - (unsigned)ETH_LEN);
	case RTE_ETHER_TYPE_ARP:
		return decide_arp(s, from, eth, len - (unsigned)ETH_LEN);
	default:
		/* What only the kernel knows: LLDP, PPPoE and the like */
		if (s->kernel && from == SW_KERNEL)
			return sw_send(SW_PORT);
		if (from == SW_PORT && (sw_is_ours(s, eth) ||
					(s->kernel && rte_is_multicast_ether_addr(&eth->dst_addr))))
			return sw_send(SW_KERNEL);
		return sw_drop(SW_UNCLAIMED);
	}
}

/* --- VLANs ---------------------------------------------------------------- */

/* Clients of the frame's VLAN */
static uint64_t in_vlan(const struct sw *s)
{
	uint64_t set = 0;

	for (uint64_t left = s->table->clients; left;) {
		unsigned i = sw_take(&left);

		if (s->table->vlan[i] == s->vlan)
			set |= 1ull << i;
	}
	return set;
}

struct sw_verdict sw_decide_in(struct sw *s, unsigned from, uint16_t vlan, const void *frame,
			       unsigned len)
{
	struct sw_verdict v;
	uint16_t theirs = vlan;

	s->vlan = vlan;
	v = sw_decide(s, from, frame, len);
	if (v.action == SW_FLOOD)
		v.only &= in_vlan(s);
	if (vlan != s->table->native)
		v.both = false;
	if (v.action == SW_SEND && v.to < SW_PORT)
		theirs = s->table->vlan[v.to];
	else if (v.action == SW_SEND && v.to == SW_KERNEL)
		theirs = s->table->native;
	if (theirs == vlan)
		return v;
	/* A router may know a way there */
	return from == SW_PORT ? sw_drop(SW_VLAN) : sw_send(SW_PORT);
}

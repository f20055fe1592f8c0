/* SPDX-License-Identifier: BSD-3-Clause
 *
 * switch6.c - The decision for one IPv6 frame
 *
 * Theory of operation.  As with IPv4 a client is told by its configured addresses,
 * and by one more that follows from its MAC address: the link-local one of RFC 4291
 * appendix A, from which it asks for its neighbours.  A solicitation goes to whom it
 * asks for, like an ARP request; an advertisement is the owner's of the address that
 * it tells of.  Routers are outside: a client can neither advertise itself as one
 * nor redirect.  In a message of neighbour discovery the link-layer address must be
 * the frame's, all lengths must fit, and it must come in one piece (RFC 6980), as
 * must the headers of any first fragment (RFC 7112).
 *
 * An address of several clients is as one of IPv4 (switch.c): dispatch advertises it, asks
 * in its name with the port's MAC address, and what comes for it goes by port.
 */
#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <netinet/ip6.h>
#include <stdatomic.h>
#include <string.h>

#include "dispatch/switch.h"

#define ETH_LEN sizeof(struct rte_ether_hdr)
#define HEADERS_MAX 8 /* extension headers; more is nobody's but an attacker's */

/* A packet, after its lengths were looked at */
struct packet {
	const struct rte_ether_hdr *eth;
	struct in6_addr src, dst;
	uint8_t hops, proto; /* proto: of the transport, IPPROTO_NONE behind a first fragment */
	bool fragment, first, more; /* first: it begins here */
	uint32_t id;		    /* of the fragment's packet */
	const uint8_t *data;	    /* of the transport */
	unsigned len;
};

/* --- tables --------------------------------------------------------------- */

/* Is @a the link-local address that @mac makes? */
static bool is_of_mac(const struct in6_addr *a, const struct rte_ether_addr *mac)
{
	const uint8_t *m = mac->addr_bytes;
	const uint8_t made[16] = {0xfe,	    0x80, 0,	0,    0,    0,	  0,	0,
				  m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]};

	return !memcmp(a, made, sizeof(made));
}

static bool is_host(const struct sw *s, const struct in6_addr *a)
{
	for (unsigned i = 0; s->kernel && i < s->kernel->n6; i++)
		if (IN6_ARE_ADDR_EQUAL(&s->kernel->a6[i], a))
			return true;
	return false;
}

void sw_table_share6(struct sw_table *t, unsigned client, const struct sw_ports *ports)
{
	struct sw_route6 *r = t->r6, *end = t->r6 + t->n6;

	while (r < end && r->ports != ports)
		r++;
	if (r == end) {
		*r = (struct sw_route6){.net = {.addr = ports->addr6, .len = 128, .set = true},
					.client = client,
					.ports = ports};
		t->n6++;
		t->nshared6++;
	}
	r->members |= 1ull << client;
	t->clients |= 1ull << client;
}

/* NULL: it is not shared by clients */
static const struct sw_route6 *shared_route(const struct sw *s, const struct in6_addr *a)
{
	for (unsigned i = 0; s->table->nshared6 && i < s->table->n6; i++) {
		const struct sw_route6 *r = &s->table->r6[i];

		if (r->ports && IN6_ARE_ADDR_EQUAL(&r->net.addr, a))
			return r;
	}
	return NULL;
}

bool sw_is_shared6(const struct sw *s, const struct in6_addr *a)
{
	return shared_route(s, a);
}

unsigned sw_lookup6(const struct sw *s, const struct in6_addr *a)
{
	bool host = is_host(s, a);

	for (unsigned i = 0; i < s->table->n6; i++) {
		const struct sw_route6 *r = &s->table->r6[i];

		if (sw_in_prefix(&r->net, a) && (r->net.len == 128 || !host))
			return r->client;
	}
	for (uint64_t left = IN6_IS_ADDR_LINKLOCAL(a) ? s->table->clients : 0; left;) {
		unsigned i = sw_take(&left);
		const struct rte_ether_addr mac = sw_mac_of(s, i);

		if (sw_is_known(s, i) && is_of_mac(a, &mac))
			return i;
	}
	return host ? SW_KERNEL : SW_PORT;
}

/* May a frame with this MAC address come from there and be from @a? */
static bool owns(struct sw *s, unsigned from, const struct rte_ether_addr *mac,
		 const struct in6_addr *a)
{
	const struct sw_route6 *shared = from < SW_PORT ? shared_route(s, a) : NULL;
	unsigned owner = shared && shared->members >> from & 1 ? from : sw_lookup6(s, a);

	if (from == SW_KERNEL)
		return owner == SW_KERNEL || owner == SW_PORT;
	/* By way of a router between VLANs */
	if (from == SW_PORT && owner < SW_PORT && s->table->vlan[owner] != s->vlan)
		return true;
	/* Its first frame may be from the address that its MAC address makes. */
	if (from != SW_PORT && owner == SW_PORT && is_of_mac(a, mac))
		owner = from;
	if (owner != from || from == SW_PORT)
		return owner == from;
	if (!sw_learn(s, from, mac))
		return false;
	if (!IN6_IS_ADDR_LINKLOCAL(a))
		sw_note6(s, from, a);
	return true;
}

/* --- lengths -------------------------------------------------------------- */

static bool transport_fits(const struct packet *p)
{
	unsigned n;

	switch (p->proto) {
	case IPPROTO_TCP:
		n = p->len < 20 ? 0 : (p->data[12] >> 4) * 4u;
		return n >= 20 && n <= p->len;
	case IPPROTO_UDP:
		n = p->len < 8 ? 0 : (unsigned)p->data[4] << 8 | p->data[5];
		return n >= 8 && (p->fragment || n <= p->len);
	case IPPROTO_ICMPV6:
		return p->len >= 8;
	default:
		return true;
	}
}

/* Walk the headers from @next on to the transport's.  false: they do not fit */
static bool headers_fit(struct packet *p, uint8_t next)
{
	for (unsigned i = 0; i < HEADERS_MAX; i++) {
		unsigned n = 8;

		switch (next) {
		case IPPROTO_HOPOPTS:
			if (i) /* RFC 8200 section 4.1: the first or none */
				return false;
			break;
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
		case IPPROTO_FRAGMENT:
			break;
		default:
			p->proto = next;
			return transport_fits(p);
		}
		if (p->len < 8)
			return false;
		if (next == IPPROTO_FRAGMENT) {
			unsigned at = (unsigned)p->data[2] << 8 | p->data[3];

			p->fragment = true;
			p->first = !(at & ~7u);
			p->more = at & 1;
			memcpy(&p->id, p->data + 4, sizeof(p->id));
			if ((at & ~7u) + p->len - 8 > UINT16_MAX)
				return false;
			if (at & ~7u) {
				p->proto = IPPROTO_NONE;
				return true;
			}
		} else {
			n = (p->data[1] + 1u) * 8;
		}
		if (n > p->len)
			return false;
		next = p->data[0];
		p->data += n;
		p->len -= n;
	}
	return false;
}

static bool read_packet(const struct rte_ether_hdr *eth, unsigned len, struct packet *p)
{
	struct ip6_hdr h;

	if (len < sizeof(h))
		return false;
	memcpy(&h, eth + 1, sizeof(h)); /* the frame may lie at any address */
	*p = (struct packet){.eth = eth,
			     .src = h.ip6_src,
			     .dst = h.ip6_dst,
			     .hops = h.ip6_hlim,
			     .data = (const uint8_t *)(eth + 1) + sizeof(h),
			     .len = ntohs(h.ip6_plen)};
	if (h.ip6_vfc >> 4 != 6 || p->len > len - sizeof(h))
		return false;
	/* Never on a wire (RFC 4291 2.5.2, 2.5.3, 2.7) */
	if (IN6_IS_ADDR_MULTICAST(&p->src) || IN6_IS_ADDR_LOOPBACK(&p->src) ||
	    IN6_IS_ADDR_LOOPBACK(&p->dst) || IN6_IS_ADDR_UNSPECIFIED(&p->dst))
		return false;
	return headers_fit(p, h.ip6_nxt);
}

/* 0 where there is none */
static uint16_t port_at(const struct packet *p, unsigned at)
{
	if (p->proto != IPPROTO_TCP && p->proto != IPPROTO_UDP)
		return 0;
	return (uint16_t)(p->data[at] << 8 | p->data[at + 1]);
}

/* --- neighbour discovery, RFC 4861 ---------------------------------------- */

static bool is_discovery(const struct packet *p)
{
	return p->proto == IPPROTO_ICMPV6 && p->data[0] >= ND_ROUTER_SOLICIT &&
	       p->data[0] <= ND_REDIRECT;
}

/* Do header and options fit, and is each sender's link-layer address the frame's? */
static enum sw_reason look_at_options(const struct packet *p)
{
	/* Of RS, RA, NS, NA and redirect: where the options begin. */
	static const uint8_t begin[] = {8, 16, 24, 24, 40};
	unsigned at = begin[p->data[0] - ND_ROUTER_SOLICIT];
	/* In a redirect the target's is another host's. */
	uint8_t kind =
	    p->data[0] == ND_NEIGHBOR_ADVERT ? ND_OPT_TARGET_LINKADDR : ND_OPT_SOURCE_LINKADDR;

	if (p->fragment || p->hops != 255 || p->data[1] || p->len < at)
		return SW_MALFORMED;
	while (at < p->len) {
		const uint8_t *o = p->data + at;

		if (p->len - at < 8 || !o[1] || o[1] * 8u > p->len - at)
			return SW_MALFORMED;
		if (o[0] == kind && memcmp(o + 2, &p->eth->src_addr, RTE_ETHER_ADDR_LEN))
			return SW_SPOOFED;
		at += o[1] * 8u;
	}
	return SW_FINE;
}

static struct sw_verdict to_owner(const struct sw *s, unsigned from,
				  const struct rte_ether_hdr *eth, const struct in6_addr *a)
{
	unsigned to = sw_lookup6(s, a);

	return to == from ? sw_drop(SW_UNCLAIMED) : sw_deliver(s, to, eth);
}

/* The kernel's address, shared with a client: may it be used for this packet? */
static bool by_rule(const struct sw *s, unsigned from, const struct packet *p)
{
	return from == SW_KERNEL && (sw_is_kernels(s, p->proto, &p->src, port_at(p, 0)) ||
				     (p->proto == IPPROTO_ICMPV6 && is_host(s, &p->src)));
}

/* About an address of several clients: they look whether somebody else has it, and for
 * the rest we are the one who does */
static struct sw_verdict discover_shared(struct sw *s, unsigned from, const struct packet *p,
					 const struct in6_addr *target)
{
	bool member = from < SW_PORT && shared_route(s, target)->members >> from & 1;

	if (p->data[0] != ND_NEIGHBOR_SOLICIT)
		return sw_drop(member ? SW_UNCLAIMED : SW_SPOOFED);
	if (!member)
		return (struct sw_verdict){.action = SW_ANSWER};
	return IN6_IS_ADDR_UNSPECIFIED(&p->src) && owns(s, from, &p->eth->src_addr, target)
		   ? sw_send(SW_PORT)
		   : sw_drop(SW_UNCLAIMED);
}

static struct sw_verdict decide_discovery(struct sw *s, unsigned from, const struct packet *p)
{
	enum sw_reason why = look_at_options(p);
	bool nobody = IN6_IS_ADDR_UNSPECIFIED(&p->src);
	const struct sw_route6 *shared;
	struct in6_addr target;
	struct sw_verdict v;

	if (why != SW_FINE)
		return sw_drop(why);
	if (!nobody && !owns(s, from, &p->eth->src_addr, &p->src) &&
	    !(from == SW_KERNEL && is_host(s, &p->src)))
		return sw_drop(SW_SPOOFED);
	switch (p->data[0]) {
	case ND_ROUTER_SOLICIT:
		if (nobody && !sw_is_own(s, from, &p->eth->src_addr))
			return sw_drop(SW_SPOOFED);
		return from == SW_PORT ? sw_drop(SW_UNCLAIMED) : sw_send(SW_PORT);
	case ND_ROUTER_ADVERT:
	case ND_REDIRECT:
		if (from != SW_PORT)
			return sw_drop(SW_SPOOFED);
		return IN6_IS_ADDR_MULTICAST(&p->dst) ? sw_flood()
						      : to_owner(s, from, p->eth, &p->dst);
	default:
		break;
	}
	memcpy(&target, p->data + 8, sizeof(target));
	if (IN6_IS_ADDR_MULTICAST(&target))
		return sw_drop(SW_MALFORMED);
	if (sw_is_shared6(s, &target))
		return discover_shared(s, from, p, &target);
	if (p->data[0] == ND_NEIGHBOR_SOLICIT) {
		/* Without an address: it is about to take the target (RFC 4862 5.4.2). */
		if (nobody && from != SW_PORT)
			return owns(s, from, &p->eth->src_addr, &target) ? sw_flood()
									 : sw_drop(SW_SPOOFED);
		v = to_owner(s, from, p->eth, &target);
		v.proxy = from < SW_PORT && sw_is_shared6(s, &p->src);
		s->discovery = (uint16_t)(p->data - (const uint8_t *)p->eth);
		return v;
	}
	if (!owns(s, from, &p->eth->src_addr, &target))
		return sw_drop(SW_SPOOFED);
	shared = shared_route(s, &p->dst);
	if (shared) /* one of them asked */
		return sw_flood_members(shared->members & ~(from < SW_PORT ? 1ull << from : 0));
	if (sw_is_ours(s, p->eth) && from != SW_KERNEL)
		return sw_send(SW_KERNEL); /* who asked with that MAC address */
	return IN6_IS_ADDR_MULTICAST(&p->dst) ? sw_flood() : to_owner(s, from, p->eth, &p->dst);
}

/* --- addresses of several clients ------------------------------------------ */

/* Whom a message of ICMPv6 is about: client + 1, 0: the first; *all: whoever asked */
static unsigned icmp_member(const struct sw_route6 *r, const struct packet *p, bool *all)
{
	struct ip6_hdr about;

	*all = false;
	if (p->data[0] == ICMP6_ECHO_REQUEST)
		return 0;
	if (p->data[0] & ICMP6_INFOMSG_MASK) {
		*all = true;
		return 0;
	}
	if (p->len < 8 + sizeof(about) + 4)
		return 0;
	memcpy(&about, p->data + 8, sizeof(about));
	*all = about.ip6_nxt == IPPROTO_ICMPV6;
	return sw_port_owner(
	    r->ports, about.ip6_nxt,
	    (uint16_t)(p->data[8 + sizeof(about)] << 8 | p->data[8 + sizeof(about) + 1]));
}

/* May @from, which has the address too, send this?  A later fragment has no port. */
static bool port_allowed(const struct sw *s, unsigned from, const struct packet *p)
{
	const struct sw_route6 *r = from < SW_PORT ? shared_route(s, &p->src) : NULL;
	unsigned owner = r ? sw_port_owner(r->ports, p->proto, port_at(p, 0)) : 0;

	return !owner || owner == from + 1;
}

/* To which of those that have the address?  Perhaps to the one that sent it */
static struct sw_verdict to_member(struct sw *s, unsigned from, const struct sw_route6 *r,
				   const struct packet *p)
{
	struct sw_fragment6 *f = &s->fragment6[p->id % SW_FRAGMENTS];
	unsigned owner = 0, to = r->client;
	struct sw_verdict v;
	bool all = false;

	if (p->fragment && !p->first) {
		/* who got the first may be no client any more */
		if (f->id == p->id && IN6_ARE_ADDR_EQUAL(&f->src, &p->src) &&
		    IN6_ARE_ADDR_EQUAL(&f->dst, &p->dst) && r->members >> f->client & 1)
			to = f->client;
	} else {
		owner = p->proto == IPPROTO_ICMPV6
			    ? icmp_member(r, p, &all)
			    : sw_port_owner(r->ports, p->proto, port_at(p, 2));
		if (all)
			return sw_flood_members(r->members & ~(from < SW_PORT ? 1ull << from : 0));
		/* Else it would be refused in the name of one that is still to come */
		if (!owner && p->proto != IPPROTO_ICMPV6 &&
		    !atomic_load_explicit(&r->ports->settled, memory_order_relaxed))
			return sw_drop(SW_UNCLAIMED);
		if (owner && r->members >> (owner - 1) & 1)
			to = owner - 1;
		if (p->fragment && p->more)
			*f = (struct sw_fragment6){
			    .src = p->src, .dst = p->dst, .id = p->id, .client = (uint8_t)to};
	}
	v = sw_send(to);
	v.readdress = sw_is_known(s, to);
	return v;
}

/* --- the decision --------------------------------------------------------- */

static bool is_mld(const struct packet *p)
{
	return p->proto == IPPROTO_ICMPV6 && IN6_IS_ADDR_MULTICAST(&p->dst) && sw_is_mld(p->data);
}

/* RFC 3810 section 5: of one hop, from a link-local address; RFC 3590: who has none yet
 * reports its groups as :: */
static struct sw_verdict decide_mld(struct sw *s, unsigned from, const struct packet *p)
{
	bool nobody = IN6_IS_ADDR_UNSPECIFIED(&p->src) && p->data[0] != MLD_LISTENER_QUERY;

	if (p->fragment || p->hops != 1 || (!nobody && !IN6_IS_ADDR_LINKLOCAL(&p->src)))
		return sw_drop(SW_MALFORMED);
	if (nobody ? !sw_is_own(s, from, &p->eth->src_addr)
		   : !owns(s, from, &p->eth->src_addr, &p->src) &&
			 !(from == SW_KERNEL && is_host(s, &p->src)))
		return sw_drop(SW_SPOOFED);
	return sw_snoop6(s, from, &p->src, &p->dst, p->data, p->len);
}

struct sw_verdict sw_decide6(struct sw *s, unsigned from, const struct rte_ether_hdr *eth,
			     unsigned len)
{
	const struct sw_route6 *shared;
	struct sw_verdict v;
	struct packet p;
	unsigned to;

	if (!read_packet(eth, len, &p))
		return sw_drop(SW_MALFORMED);
	if (p.proto == IPPROTO_TCP)
		s->tcp = (uint16_t)(p.data - (const uint8_t *)eth);
	if (is_discovery(&p))
		return decide_discovery(s, from, &p);
	if (is_mld(&p))
		return decide_mld(s, from, &p);
	if (IN6_IS_ADDR_UNSPECIFIED(&p.src) ||
	    (!owns(s, from, &eth->src_addr, &p.src) && !by_rule(s, from, &p)))
		return sw_drop(SW_SPOOFED);
	if (!port_allowed(s, from, &p))
		return sw_drop(SW_SPOOFED);
	if (IN6_IS_ADDR_MULTICAST(&p.dst))
		return sw_flood_group(s, &p.dst);
	shared = shared_route(s, &p.dst);
	if (shared)
		return to_member(s, from, shared, &p);
	to = sw_lookup6(s, &p.dst);
	if (to < SW_PORT && sw_is_kernels(s, p.proto, &p.dst, port_at(&p, 2)))
		return from == SW_KERNEL ? sw_drop(SW_UNCLAIMED) : sw_deliver(s, SW_KERNEL, eth);
	if (to == SW_PORT && sw_is_ours(s, eth) && from != SW_KERNEL)
		return sw_send(SW_KERNEL);
	if (to == from)
		return sw_drop(SW_UNCLAIMED);
	v = sw_deliver(s, to, eth);
	/* see decide_ipv4() */
	v.both = p.proto == IPPROTO_ICMPV6 && to < SW_PORT && from != SW_KERNEL &&
		 is_host(s, &p.dst) && p.data[0] != ICMP6_ECHO_REQUEST;
	return v;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ipv6.c - The stack's IPv6 addresses, its router, and errors by ICMPv6
 *
 * Theory of operation.  All IPv6 addresses are on the port's first netif, where
 * lwIP does neighbour discovery, duplicate address detection (RFC 4862 section
 * 5.4) and, with stack.slaac, autoconfiguration.  Address 0 is the link-local one,
 * lwIP's source of solicitations.  Addresses come and go while the engine runs,
 * and lwIP's tables are the worker's: so once a second the worker publishes what
 * other threads may know (own6.c).
 *
 * lwIP takes a static address's network to be a /64.  One with another length is given to
 * it as an autoconfigured one that never ends, which is a host's alone; its network is
 * seen to by the hook for next hops.  The router is that of stack.gateway6 or an
 * advertised one.
 *
 * Nor does lwIP solicit a next hop that is in no /64 with an address of its own, for want of a
 * source (nd6_send_ns()).  Its neighbour entries count solicitations all the same, so that
 * they are made here when it would: with the first packet, and each second.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "lwip/ethip6.h"
#include "lwip/icmp6.h"
#include "lwip/inet_chksum.h"
#include "lwip/ip.h"
#include "lwip/ip6_frag.h"
#include "lwip/mld6.h"
#include "lwip/nd6.h"
#include "lwip/netif.h"
#include "lwip/priv/nd6_priv.h"
#include "lwip/prot/icmp6.h"
#include "lwip/prot/nd6.h"

#include "engine/address.h"
#include "engine/counters.h"
#include "engine/icmp.h"
#include "engine/ipv6.h"
#include "engine/log.h"
#include "engine/ping.h"
#include "engine/route.h"
#include "engine/worker.h"

static_assert(LWIP_IPV6_NUM_ADDRESSES <= GZ_OWN6_MAX && LWIP_ND6_NUM_PREFIXES <= GZ_OWN6_MAX &&
		  LWIP_ND6_NUM_ROUTERS <= GZ_OWN6_MAX,
	      "all are published");

static struct {
	struct netif *nif;
	const struct gz_engine_config *cfg;
	ip6_addr_t gateway;
	ip6_addr_t hop; /* the last one that gz_nd6_gateway() has said */
	bool hop_new;	/* since gz_ipv6_sent() */
	bool slaac;
} v6;

/* The network's length of a configured address; 0: it is none of these */
static unsigned length_of(const ip6_addr_t *a)
{
	for (unsigned i = 0; i < v6.cfg->naddrs6; i++)
		if (!memcmp(a->addr, &v6.cfg->addrs6[i].addr, sizeof(a->addr)))
			return v6.cfg->addrs6[i].len;
	return 0;
}

/* What lwIP has now, for everybody. */
static void publish(void)
{
	struct netif *nif = v6.nif;
	struct gz_own6 o = {.router = !ip6_addr_isany(&v6.gateway)};

	for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
		u8_t st = netif_ip6_addr_state(nif, i);
		struct gz_own6_addr *a = &o.own[o.n];

		if (ip6_addr_isinvalid(st))
			continue;
		memcpy(&a->addr, netif_ip6_addr(nif, i)->addr, sizeof(a->addr));
		a->network = (uint8_t)length_of(netif_ip6_addr(nif, i));
		a->preferred = ip6_addr_ispreferred(st);
		a->duplicate = ip6_addr_isduplicated(st);
		o.n++;
	}
	for (int i = 0; i < LWIP_ND6_NUM_PREFIXES; i++)
		if (prefix_list[i].netif)
			memcpy(&o.prefix[o.nprefix++], prefix_list[i].prefix.addr, 16);
	for (int i = 0; i < LWIP_ND6_NUM_ROUTERS; i++) {
		const struct nd6_neighbor_cache_entry *e = default_router_list[i].neighbor_entry;

		if (e)
			memcpy(&o.advertised[o.nadvertised++], e->next_hop_address.addr, 16);
	}
	o.router = o.router || o.nadvertised;
	gz_own6_publish(&o);
}

int gz_ipv6_init(const struct gz_engine_config *cfg, struct netif *nif)
{
	if (!cfg->naddrs6 && !cfg->slaac)
		return 0;
	v6.nif = nif;
	v6.cfg = cfg;
	v6.slaac = cfg->slaac;
	memcpy(v6.gateway.addr, &cfg->gateway6, sizeof(v6.gateway.addr));
	if (ip6_addr_islinklocal(&v6.gateway))
		ip6_addr_assign_zone(&v6.gateway, IP6_UNICAST, nif);
	nif->flags |= NETIF_FLAG_MLD6;
	netif_create_ip6_linklocal_address(nif, 1);
	netif_set_ip6_autoconfig_enabled(nif, cfg->slaac);
	if (!cfg->slaac)
		nif->rs_count = 0; /* nobody would listen to the answer */
	for (unsigned i = 0; i < cfg->naddrs6; i++) {
		ip6_addr_t a = {0};
		s8_t at;

		memcpy(a.addr, &cfg->addrs6[i].addr, sizeof(a.addr));
		if (netif_add_ip6_address(nif, &a, &at) != ERR_OK)
			return -ENOMEM;
		if (cfg->addrs6[i].len == 64)
			continue;
		netif_ip6_addr_set_valid_life(nif, at, IP6_ADDR_LIFE_INFINITE);
		netif_ip6_addr_set_pref_life(nif, at, IP6_ADDR_LIFE_INFINITE);
	}
	/* Nobody else is at the other end of a pair of our own making. */
	if (cfg->port.veth_host[0])
		for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++)
			if (!ip6_addr_isinvalid(netif_ip6_addr_state(nif, i)))
				netif_ip6_addr_set_state(nif, (s8_t)i, IP6_ADDR_PREFERRED);
	publish();
	return 0;
}

void gz_ipv6_link_up(void)
{
	if (v6.nif && !v6.slaac)
		v6.nif->rs_count = 0;
}

/* The source of a solicitation for @hop: the address whose network it is in, else any; NULL:
 * lwIP has one itself, or there is none */
static const ip6_addr_t *solicitor(const ip6_addr_t *hop)
{
	const ip6_addr_t *any = NULL, *own;
	bool in = false;

	for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
		if (!ip6_addr_isvalid(netif_ip6_addr_state(v6.nif, i)))
			continue;
		own = netif_ip6_addr(v6.nif, i);
		if (ip6_addr_net_eq(hop, own))
			return NULL;
		if (ip6_addr_islinklocal(own) || in)
			continue;
		in = gz_ipv6_same((const struct in6_addr *)own->addr,
				  (const struct in6_addr *)hop->addr, length_of(own));
		if (in || !any)
			any = own;
	}
	return any;
}

/* A neighbour solicitation (RFC 4861 section 4.3) for @hop, which everybody or it alone hears */
static void solicit(const ip6_addr_t *hop, bool everybody)
{
	const ip6_addr_t *source = solicitor(hop);
	struct {
		struct ns_header ns;
		struct lladdr_option from;
	} * m;
	ip6_addr_t to = *hop;
	struct pbuf *p;

	if (!source)
		return;
	p = pbuf_alloc(PBUF_IP, sizeof(*m), PBUF_RAM);
	if (!p)
		return;
	m = p->payload;
	memset(m, 0, sizeof(*m));
	m->ns.type = ICMP6_TYPE_NS;
	ip6_addr_copy_to_packed(m->ns.target_address, *hop);
	m->from.type = ND6_OPTION_TYPE_SOURCE_LLADDR;
	m->from.length = sizeof(m->from) / 8;
	memcpy(m->from.addr, v6.nif->hwaddr, v6.nif->hwaddr_len);
	if (everybody) {
		ip6_addr_set_solicitednode(&to, hop->addr[3]);
		ip6_addr_assign_zone(&to, IP6_MULTICAST, v6.nif);
	}
	m->ns.chksum = ip6_chksum_pseudo(p, IP6_NEXTH_ICMP6, p->tot_len, source, &to);
	ip6_output_if(p, source, &to, ND6_HOPLIM, 0, IP6_NEXTH_ICMP6, v6.nif);
	pbuf_free(p);
}

void gz_ipv6_sent(void)
{
	if (!v6.hop_new)
		return;
	v6.hop_new = false;
	for (int i = 0; i < LWIP_ND6_NUM_NEIGHBORS; i++)
		if (neighbor_cache[i].state == ND6_INCOMPLETE &&
		    neighbor_cache[i].counter.probes_sent == 1 &&
		    ip6_addr_eq(&neighbor_cache[i].next_hop_address, &v6.hop))
			solicit(&v6.hop, true);
}

/* After lwIP, which has counted it. */
static void solicit_all(void)
{
	for (int i = 0; i < LWIP_ND6_NUM_NEIGHBORS; i++) {
		const struct nd6_neighbor_cache_entry *e = &neighbor_cache[i];

		if (e->state == ND6_INCOMPLETE || (e->state == ND6_PROBE && e->counter.probes_sent))
			solicit(&e->next_hop_address, e->state == ND6_INCOMPLETE);
	}
}

void gz_ipv6_second(void)
{
	ip6_reass_tmr();
	if (!v6.nif)
		return;
	nd6_tmr();
	solicit_all();
	for (int i = 0; i < 1000 / MLD6_TMR_INTERVAL; i++)
		mld6_tmr();
	publish();
}

struct netif *gz_ipv6_netif(void)
{
	return v6.nif;
}

/* How many bits has the longest network on the link that @dest is in?  0: it is in none */
static unsigned on_link(const ip6_addr_t *dest)
{
	unsigned best = 0;

	for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
		const ip6_addr_t *own = netif_ip6_addr(v6.nif, i);
		unsigned bits = length_of(own);

		if (bits > best && ip6_addr_isvalid(netif_ip6_addr_state(v6.nif, i)) &&
		    gz_ipv6_same((const struct in6_addr *)own->addr,
				 (const struct in6_addr *)dest->addr, bits))
			best = bits;
	}
	for (int i = 0; i < LWIP_ND6_NUM_PREFIXES; i++)
		if (best < 64 && prefix_list[i].netif &&
		    ip6_addr_net_eq(dest, &prefix_list[i].prefix))
			best = 64;
	return best;
}

/* The next hop of the route to @dest; NULL: none, or a network on the link is longer */
static const ip6_addr_t *routed_by(const ip6_addr_t *dest)
{
	static ip6_addr_t via;
	const struct gz_route *r = gz_route_find((const struct in6_addr *)dest->addr);

	if (!r || on_link(dest) >= r->to.len)
		return NULL;
	memset(&via, 0, sizeof(via));
	memcpy(via.addr, &r->via.addr, sizeof(via.addr));
	if (ip6_addr_islinklocal(&via))
		ip6_addr_assign_zone(&via, IP6_UNICAST, v6.nif);
	return &via;
}

static const ip6_addr_t *next_hop(const ip6_addr_t *dest)
{
	const ip6_addr_t *via = routed_by(dest);

	if (via)
		return via;
	if (on_link(dest))
		return dest;
	return !ip6_addr_isany(&v6.gateway) ? &v6.gateway : NULL;
}

/** gz_nd6_gateway() - LWIP_HOOK_ND6_GET_GW: the next hop to what is on none of lwIP's /64 */
const ip6_addr_t *gz_nd6_gateway(struct netif *nif, const ip6_addr_t *dest)
{
	const ip6_addr_t *hop = nif == v6.nif ? next_hop(dest) : NULL;

	if (hop) {
		v6.hop = *hop;
		v6.hop_new = true;
	}
	return hop;
}

const ip6_addr_t *gz_ipv6_next_hop(const ip6_addr_t *dest)
{
	const ip6_addr_t *via = NULL;

	if (!ip6_addr_ismulticast(dest) && !ip6_addr_islinklocal(dest))
		via = routed_by(dest);
	return via && on_link(dest) ? via : dest;
}

/*
 * Is a message of neighbour discovery whole, with options that end where it does?
 * (RFC 4861 section 4.6, RFC 6980)  lwIP 2.2.1 trusts their lengths.
 */
static bool discovery_ok(const struct pbuf *p)
{
	/* Of RS, RA, NS, NA and redirect: where the options begin. */
	static const uint8_t begin[] = {8, 16, 24, 24, 40};
	const uint8_t *d = p->payload;
	unsigned at;

	if (d[0] < ICMP6_TYPE_RS || d[0] > ICMP6_TYPE_RD)
		return true;
	at = begin[d[0] - ICMP6_TYPE_RS];
	if (p->next || p->len < at)
		return false;
	while (at < p->len) {
		if (p->len - at < 8 || !d[at + 1] || d[at + 1] * 8u > p->len - at)
			return false;
		at += d[at + 1] * 8u;
	}
	return true;
}

void gz_icmp6_input(struct pbuf *p, struct netif *inp);

/*
 * gz_icmp6_input() - What ip6.c calls in place of icmp6_input()
 *
 * lwIP listens to router advertisements in any case, tells TCP of no error, and
 * believes all that make the MTU of a path smaller.
 */
void gz_icmp6_input(struct pbuf *p, struct netif *inp)
{
	const uint8_t *d = p->payload;

	if (p->len < 8 || !discovery_ok(p)) {
		gz_netif_count(inp, GZ_C_PORT_MALFORMED);
		pbuf_free(p);
		return;
	}
	if ((d[0] == ICMP6_TYPE_RA || d[0] == ICMP6_TYPE_RD) && !v6.slaac) {
		gz_netif_count(inp, GZ_C_PORT_OTHER);
		pbuf_free(p);
		return;
	}
	if (!gz_icmp_errors(p)) {
		pbuf_free(p);
		return;
	}
	gz_ping_input(p);
	icmp6_input(p, inp);
}

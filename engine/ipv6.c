/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ipv6.c - The stack's IPv6 addresses, its router, and errors by ICMPv6
 *
 * Theory of operation.  The IPv6 addresses of a port are on its first netif, where
 * lwIP does neighbour discovery, duplicate address detection (RFC 4862 section
 * 5.4) and, with slaac, autoconfiguration.  Address 0 is the link-local one,
 * lwIP's source of solicitations.  Addresses come and go while the engine runs,
 * and lwIP's tables are the worker's: so once a second the worker publishes what
 * other threads may know (own6.c).
 *
 * lwIP takes a static address's network to be a /64.  One with another length is given to
 * it as an autoconfigured one that never ends, which is a host's alone; its network is
 * seen to by the hook for next hops.  The router is that of stack.gateway6 or an
 * advertised one.
 *
 * Which port a packet leaves by lwIP asks by a hook, unless the zone of an address says it, which
 * is the number of a netif.  It remembers one next hop for a destination, of whatever netif, but
 * with SO_BINDTODEVICE the same one may be behind routers at several ports: so what it remembers
 * is seen to with each packet where several ports have IPv6.
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
#include "engine/pcb.h"
#include "engine/ping.h"
#include "engine/route.h"
#include "engine/worker.h"

static_assert(GZ_PORTS_MAX * LWIP_IPV6_NUM_ADDRESSES <= GZ_OWN6_MAX &&
		  LWIP_ND6_NUM_PREFIXES <= GZ_ROUTERS6_MAX &&
		  LWIP_ND6_NUM_ROUTERS <= GZ_ROUTERS6_MAX,
	      "all are published");

static struct {
	struct netif *nif[GZ_PORTS_MAX];	  /* NULL: the port has no IPv6 */
	unsigned ports;				  /* so many have */
	struct gz_prefix all[GZ_CONFIGURED6_MAX]; /* what the configuration says */
	uint8_t port[GZ_CONFIGURED6_MAX];
	unsigned n;
	ip6_addr_t gateway;
	ip6_addr_t hop; /* the last one that gz_nd6_gateway() has said */
	bool hop_new;	/* since gz_ipv6_sent() */
} v6;

/* That of its port; NULL: it is loopback's */
static struct netif *of_port(const struct netif *nif)
{
	const struct gz_wire *w = nif->state;

	return w ? v6.nif[w->port - gz_ports] : NULL;
}

static unsigned port_of(const struct netif *nif)
{
	const struct gz_wire *w = nif->state;

	return (unsigned)(w->port - gz_ports);
}

/* The network's length of a configured address; 0: it is none of these */
static unsigned length_of(const ip6_addr_t *a)
{
	for (unsigned i = 0; i < v6.n; i++)
		if (!memcmp(a->addr, &v6.all[i].addr, sizeof(a->addr)))
			return v6.all[i].len;
	return 0;
}

static void put_own(struct gz_own6 *o, unsigned port)
{
	struct netif *nif = v6.nif[port];

	for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
		u8_t st = netif_ip6_addr_state(nif, i);
		struct gz_own6_addr *a = &o->own[o->n];

		if (ip6_addr_isinvalid(st))
			continue;
		memcpy(&a->addr, netif_ip6_addr(nif, i)->addr, sizeof(a->addr));
		a->port = (uint8_t)port;
		a->network = (uint8_t)length_of(netif_ip6_addr(nif, i));
		a->preferred = ip6_addr_ispreferred(st);
		a->duplicate = ip6_addr_isduplicated(st);
		o->n++;
	}
}

static void put_at(struct gz_own6_at *to, const ip6_addr_t *a, const struct netif *nif)
{
	memcpy(&to->addr, a->addr, sizeof(to->addr));
	to->port = (uint8_t)port_of(nif);
}

/* What lwIP has now, for everybody. */
static void publish(void)
{
	struct gz_own6 o = {0};

	for (unsigned p = 0; p < gz_nports; p++)
		if (v6.nif[p])
			put_own(&o, p);
	for (int i = 0; i < LWIP_ND6_NUM_PREFIXES; i++)
		if (prefix_list[i].netif)
			put_at(&o.prefix[o.nprefix++], &prefix_list[i].prefix,
			       prefix_list[i].netif);
	for (int i = 0; i < LWIP_ND6_NUM_ROUTERS; i++) {
		const struct nd6_neighbor_cache_entry *e = default_router_list[i].neighbor_entry;

		if (e && e->netif)
			put_at(&o.advertised[o.nadvertised++], &e->next_hop_address, e->netif);
	}
	gz_own6_publish(&o);
}

static int add_addresses(struct netif *nif, unsigned port)
{
	for (unsigned i = 0; i < v6.n; i++) {
		ip6_addr_t a = {0};
		s8_t at;

		if (v6.port[i] != port)
			continue;
		memcpy(a.addr, &v6.all[i].addr, sizeof(a.addr));
		if (ip6_addr_islinklocal(&a))
			ip6_addr_assign_zone(&a, IP6_UNICAST, nif);
		if (netif_add_ip6_address(nif, &a, &at) != ERR_OK)
			return -ENOMEM;
		if (v6.all[i].len == 64)
			continue;
		netif_ip6_addr_set_valid_life(nif, at, IP6_ADDR_LIFE_INFINITE);
		netif_ip6_addr_set_pref_life(nif, at, IP6_ADDR_LIFE_INFINITE);
	}
	return 0;
}

static int begin_port(const struct gz_engine_config *cfg, unsigned port)
{
	struct netif *nif = gz_worker.wire[port].nif;
	bool slaac = gz_engine_slaac(cfg, port);
	int err;

	v6.nif[port] = nif;
	v6.ports++;
	gz_worker.wire[port].ipv6 = true;
	nif->flags |= NETIF_FLAG_MLD6;
	netif_create_ip6_linklocal_address(nif, 1);
	netif_set_ip6_autoconfig_enabled(nif, slaac);
	if (!slaac)
		nif->rs_count = 0; /* nobody would listen to the answer */
	err = add_addresses(nif, port);
	/* Nobody else is at the other end of a pair of our own making. */
	if (gz_engine_port(cfg, port)->veth_host[0])
		for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++)
			if (!ip6_addr_isinvalid(netif_ip6_addr_state(nif, i)))
				netif_ip6_addr_set_state(nif, (s8_t)i, IP6_ADDR_PREFERRED);
	return err;
}

int gz_ipv6_init(const struct gz_engine_config *cfg)
{
	int err = 0;

	v6.n = gz_engine_addresses6(cfg, v6.all, v6.port);
	for (unsigned i = 0; i < gz_nports && !err; i++)
		if (gz_engine_has6(cfg, i))
			err = begin_port(cfg, i);
	if (err || !v6.ports)
		return err;
	memcpy(v6.gateway.addr, &cfg->gateway6, sizeof(v6.gateway.addr));
	if (ip6_addr_islinklocal(&v6.gateway))
		ip6_addr_assign_zone(&v6.gateway, IP6_UNICAST, v6.nif[gz_engine_first6(cfg)]);
	publish();
	return 0;
}

void gz_ipv6_link_up(const struct gz_wire *w)
{
	if (v6.nif[w->port - gz_ports] && !w->nif->ip6_autoconfig_enabled)
		w->nif->rs_count = 0;
}

struct gz_end gz_ipv6_of(const ip6_addr_t *a, uint16_t port)
{
	struct gz_end e = gz_ipv6_end(a->addr, port);

	for (unsigned i = 0; ip6_addr_has_zone(a) && i < gz_nports; i++)
		if (v6.nif[i] && ip6_addr_zone(a) == netif_get_index(v6.nif[i]))
			e.scope = gz_ipv6_scope(i);
	return e;
}

struct netif *gz_ipv6_having(const ip6_addr_t *a)
{
	for (unsigned p = 0; p < gz_nports; p++) {
		int i = v6.nif[p] ? netif_get_ip6_addr_match(v6.nif[p], a) : -1;

		/* What was found to be a duplicate is another host's. */
		if (i >= 0 && !ip6_addr_isduplicated(netif_ip6_addr_state(v6.nif[p], i)))
			return v6.nif[p];
	}
	return NULL;
}

/* The source of a solicitation for @hop: the address whose network it is in, else any; NULL:
 * lwIP has one itself, or there is none */
static const ip6_addr_t *solicitor(const struct netif *nif, const ip6_addr_t *hop)
{
	const ip6_addr_t *any = NULL, *own;
	bool in = false;

	for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
		if (!ip6_addr_isvalid(netif_ip6_addr_state(nif, i)))
			continue;
		own = netif_ip6_addr(nif, i);
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
static void solicit(struct netif *nif, const ip6_addr_t *hop, bool everybody)
{
	const ip6_addr_t *source = solicitor(nif, hop);
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
	memcpy(m->from.addr, nif->hwaddr, nif->hwaddr_len);
	if (everybody) {
		ip6_addr_set_solicitednode(&to, hop->addr[3]);
		ip6_addr_assign_zone(&to, IP6_MULTICAST, nif);
	}
	m->ns.chksum = ip6_chksum_pseudo(p, IP6_NEXTH_ICMP6, p->tot_len, source, &to);
	ip6_output_if(p, source, &to, ND6_HOPLIM, 0, IP6_NEXTH_ICMP6, nif);
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
			solicit(neighbor_cache[i].netif, &v6.hop, true);
}

/* After lwIP, which has counted it. */
static void solicit_all(void)
{
	for (int i = 0; i < LWIP_ND6_NUM_NEIGHBORS; i++) {
		const struct nd6_neighbor_cache_entry *e = &neighbor_cache[i];

		if (e->state == ND6_INCOMPLETE || (e->state == ND6_PROBE && e->counter.probes_sent))
			solicit(e->netif, &e->next_hop_address, e->state == ND6_INCOMPLETE);
	}
}

void gz_ipv6_second(void)
{
	ip6_reass_tmr();
	if (!v6.ports)
		return;
	nd6_tmr();
	solicit_all();
	for (int i = 0; i < 1000 / MLD6_TMR_INTERVAL; i++)
		mld6_tmr();
	publish();
}

/* How many bits has the longest network on @nif's link that @dest is in?  0: it is in none */
static unsigned on_link(const struct netif *nif, const ip6_addr_t *dest)
{
	unsigned best = 0;

	for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
		const ip6_addr_t *own = netif_ip6_addr(nif, i);
		unsigned bits = ip6_addr_isvalid(netif_ip6_addr_state(nif, i)) ? length_of(own) : 0;

		if (bits > best && gz_ipv6_same((const struct in6_addr *)own->addr,
						(const struct in6_addr *)dest->addr, bits))
			best = bits;
	}
	for (int i = 0; i < LWIP_ND6_NUM_PREFIXES; i++)
		if (best < 64 && prefix_list[i].netif == nif &&
		    ip6_addr_net_eq(dest, &prefix_list[i].prefix))
			best = 64;
	return best;
}

/* The same of all ports; @nif: whose it is, which stays as it was where it is none's */
static unsigned on_links(const ip6_addr_t *dest, struct netif **nif)
{
	unsigned best = 0, bits;

	for (unsigned i = 0; i < gz_nports; i++) {
		bits = v6.nif[i] ? on_link(v6.nif[i], dest) : 0;
		if (bits <= best)
			continue;
		best = bits;
		*nif = v6.nif[i];
	}
	return best;
}

/* The netif that leads to a router of the configuration; NULL: none */
static struct netif *to_router(const ip6_addr_t *router, unsigned link_local)
{
	struct netif *nif = NULL;

	if (ip6_addr_islinklocal(router))
		return v6.nif[link_local];
	if (v6.ports == 1)
		return v6.nif[gz_engine_first6(gz_cfg)];
	on_links(router, &nif);
	return nif;
}

/* The next hop of the route to @dest, and the netif in @nif that leads there; NULL: none, or a
 * network on that link is longer */
static const ip6_addr_t *routed_by(const ip6_addr_t *dest, struct netif **nif)
{
	static ip6_addr_t via;
	const struct gz_route *r = gz_route_find((const struct in6_addr *)dest->addr);
	struct netif *to;

	if (!r)
		return NULL;
	memset(&via, 0, sizeof(via));
	memcpy(via.addr, &r->via.addr, sizeof(via.addr));
	to = to_router(&via, r->port);
	if (!to || (*nif && *nif != to) || on_link(to, dest) >= r->to.len)
		return NULL;
	if (ip6_addr_islinklocal(&via))
		ip6_addr_assign_zone(&via, IP6_UNICAST, to);
	*nif = to;
	return &via;
}

/* That of stack.gateway6, if it is at @nif; NULL: none */
static const ip6_addr_t *static_router(const struct netif *nif)
{
	return !ip6_addr_isany(&v6.gateway) &&
		       to_router(&v6.gateway, gz_engine_first6(gz_cfg)) == nif
		   ? &v6.gateway
		   : NULL;
}

static const ip6_addr_t *next_hop(struct netif *nif, const ip6_addr_t *dest)
{
	const ip6_addr_t *via = routed_by(dest, &nif);

	if (via)
		return via;
	return on_link(nif, dest) ? dest : static_router(nif);
}

/** gz_nd6_gateway() - LWIP_HOOK_ND6_GET_GW: the next hop to what is on none of lwIP's /64 */
const ip6_addr_t *gz_nd6_gateway(struct netif *nif, const ip6_addr_t *dest)
{
	const ip6_addr_t *hop = of_port(nif) == nif ? next_hop(nif, dest) : NULL;

	if (hop) {
		v6.hop = *hop;
		v6.hop_new = true;
	}
	return hop;
}

/* The netif that packets to @dest, which has no zone, leave by; NULL: as lwIP finds it, by the
 * routers that were advertised */
static struct netif *by_routes(const ip6_addr_t *dest)
{
	struct netif *nif = NULL, *link = NULL;
	unsigned bits = on_links(dest, &link);
	const struct gz_route *r = gz_route_find((const struct in6_addr *)dest->addr);

	if (r && r->to.len > bits && routed_by(dest, &nif))
		return nif;
	if (link || ip6_addr_isany(&v6.gateway))
		return link;
	return to_router(&v6.gateway, gz_engine_first6(gz_cfg));
}

/** gz_ip6_route() - LWIP_HOOK_IP6_ROUTE: the netif for what has no zone */
struct netif *gz_ip6_route(const ip6_addr_t *src, const ip6_addr_t *dest)
{
	struct netif *nif;

	LWIP_UNUSED_ARG(src);
	if (!v6.ports || ip6_addr_isloopback(dest))
		return NULL;
	if (v6.ports == 1)
		return v6.nif[gz_engine_first6(gz_cfg)];
	nif = gz_pcb_netif();
	nif = nif ? nif : gz_ipv6_having(dest);
	return nif ? nif : by_routes(dest);
}

/* A router that was advertised at @nif, one that answers if there is one; NULL: none */
static const ip6_addr_t *advertised(const struct netif *nif)
{
	const ip6_addr_t *any = NULL;

	for (int i = 0; i < LWIP_ND6_NUM_ROUTERS; i++) {
		const struct nd6_neighbor_cache_entry *e = default_router_list[i].neighbor_entry;

		if (!e || e->netif != nif)
			continue;
		if (e->state == ND6_REACHABLE)
			return &e->next_hop_address;
		any = any ? any : &e->next_hop_address;
	}
	return any;
}

/* What lwIP remembers of @dest, if it does, leads to @hop from now on. */
static void remember(const ip6_addr_t *dest, const ip6_addr_t *hop)
{
	static unsigned last;

	for (unsigned n = 0; n < LWIP_ND6_NUM_DESTINATIONS; n++) {
		if (ip6_addr_eq(&destination_cache[last].destination_addr, dest)) {
			ip6_addr_copy(destination_cache[last].next_hop_addr, *hop);
			return;
		}
		last = (last + 1) % LWIP_ND6_NUM_DESTINATIONS;
	}
}

const ip6_addr_t *gz_ipv6_next_hop(struct netif *nif, const ip6_addr_t *dest)
{
	const ip6_addr_t *hop;
	struct netif *at = nif;

	if (ip6_addr_ismulticast(dest) || ip6_addr_islinklocal(dest))
		return dest;
	hop = routed_by(dest, &at);
	if (hop && on_link(nif, dest))
		return hop;
	if (v6.ports > 1) {
		hop = next_hop(nif, dest);
		hop = hop ? hop : advertised(nif);
		if (hop)
			remember(dest, hop);
	}
	return dest;
}

struct netif *gz_ipv6_way_out(const struct gz_end *src, const struct gz_end *dst, int only)
{
	int port = dst->scope ? gz_ipv6_port_of(dst->scope) : only;
	bool group = IN6_IS_ADDR_MULTICAST(&dst->addr);
	ip6_addr_t a = {0};

	if (port < 0 && group)
		port = gz_ipv6_owner(src);
	if (port >= 0)
		return v6.nif[port];
	if (v6.ports <= 1 || group)
		return v6.nif[gz_engine_first6(gz_cfg)];
	memcpy(a.addr, &dst->addr, sizeof(a.addr));
	return ip6_route(IP6_ADDR_ANY6, &a);
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
	if ((d[0] == ICMP6_TYPE_RA || d[0] == ICMP6_TYPE_RD) && !inp->ip6_autoconfig_enabled) {
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

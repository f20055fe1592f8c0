/* SPDX-License-Identifier: BSD-3-Clause
 *
 * rtnl_route.c - rtnetlink: the stack's routes, in dumps and by destination
 *
 * As net/ipv4/fib_semantics.c, fib_dump_info(), and net/ipv6/route.c, rt6_fill_node(), have
 * them: the networks and addresses of the stack's interface, its routes and gateways.
 * What a route is asked for by destination is the stack's when gz_policy_ask() would say OWN or
 * ROUTED and no rule gives all that goes there to the kernel; loopback is the kernel's in this as
 * well.
 */
#include <arpa/inet.h>
#include <linux/in_route.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <string.h>

#include "engine/address.h"
#include "engine/iface.h"
#include "engine/ipv6.h"
#include "engine/own4.h"
#include "engine/route.h"
#include "engine/rtnl.h"
#include "engine/rtnl_put.h"
#include "engine/worker.h"

#define PREFIX_BITS 64	    /* of what lwIP keeps of an advertisement */
#define METRIC6_LINK 256    /* IP6_RT_PRIO_ADDRCONF */
#define METRIC6_ROUTER 1024 /* IP6_RT_PRIO_USER */

/** One route; @dst, @src and @via are NULL where it has none. */
struct route {
	uint8_t family, len, table, protocol, scope, type;
	int oif;
	uint32_t metric;
	unsigned flags;
	const void *dst, *src, *via;
};

/* The fixed part of a request, zeros if it has none */
static struct rtmsg header(const struct nlmsghdr *h)
{
	struct rtmsg m = {0};

	if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(m)))
		memcpy(&m, NLMSG_DATA(h), sizeof(m));
	return m;
}

static uint32_t attribute32(const struct nlmsghdr *h, unsigned type)
{
	const struct rtattr *a = gz_rtnl_attribute(h, sizeof(struct rtmsg), type);
	uint32_t v = 0;

	if (a && RTA_PAYLOAD(a) >= sizeof(v))
		memcpy(&v, RTA_DATA(a), sizeof(v));
	return v;
}

int gz_rtnl_route_index(const struct nlmsghdr *h)
{
	return (int)attribute32(h, RTA_OIF);
}

/* ip_valid_fib_dump_req(), fib_table_dump(): what a strict dump leaves out */
static bool wanted(const struct nlmsghdr *h, bool strict, const struct route *r)
{
	struct rtmsg m = header(h);
	uint32_t table = attribute32(h, RTA_TABLE);
	int index = gz_rtnl_route_index(h);

	if (!strict)
		return true;
	if (!table)
		table = m.rtm_table;
	return (!table || table == r->table) && (!index || index == r->oif) &&
	       (!m.rtm_protocol || m.rtm_protocol == r->protocol) &&
	       (!m.rtm_type || m.rtm_type == r->type);
}

static void record(struct gz_rtnl *b, const struct nlmsghdr *request, uint16_t flags, uint32_t pid,
		   const struct route *r)
{
	struct nlmsghdr *h = gz_rtnl_begin(b, request, RTM_NEWROUTE, flags, pid);
	size_t n = r->family == AF_INET ? 4 : 16;
	struct rtmsg *m = gz_rtnl_put(b, sizeof(*m));

	m->rtm_family = r->family;
	m->rtm_dst_len = r->len;
	m->rtm_table = r->table;
	m->rtm_protocol = r->protocol;
	m->rtm_scope = r->scope;
	m->rtm_type = r->type;
	m->rtm_flags = r->flags;
	gz_rtnl_attr32(b, RTA_TABLE, r->table);
	if (r->dst)
		gz_rtnl_attr(b, RTA_DST, r->dst, n);
	if (r->metric)
		gz_rtnl_attr32(b, RTA_PRIORITY, r->metric);
	if (r->src)
		gz_rtnl_attr(b, RTA_PREFSRC, r->src, n);
	if (r->via)
		gz_rtnl_attr(b, RTA_GATEWAY, r->via, n);
	gz_rtnl_attr32(b, RTA_OIF, (uint32_t)r->oif);
	gz_rtnl_finish(b, h);
}

static void dumped(struct gz_rtnl *b, const struct nlmsghdr *request, bool strict, uint32_t pid,
		   const struct route *r)
{
	if (wanted(request, strict, r))
		record(b, request, NLM_F_MULTI, pid, r);
}

/* The interface that leads to the neighbour @a */
static int index_to(struct gz_end a)
{
	return gz_iface_index(gz_addr_port(a));
}

/* stack.routes of one family, as an administrator would have added them */
static void configured(struct gz_rtnl *b, const struct nlmsghdr *h, bool strict, uint32_t pid,
		       uint8_t family)
{
	bool v4 = family == AF_INET;

	for (unsigned i = 0; i < gz_cfg->nroutes; i++) {
		const struct gz_route *e = &gz_cfg->routes[i];
		struct route r = {.family = family,
				  .len = (uint8_t)(e->to.len - (v4 ? 96 : 0)),
				  .table = RT_TABLE_MAIN,
				  .protocol = RTPROT_STATIC,
				  .scope = RT_SCOPE_UNIVERSE,
				  .type = RTN_UNICAST,
				  .oif = index_to(gz_route_hop(e)),
				  .metric = v4 ? 0 : METRIC6_ROUTER,
				  .via = &e->via.addr.s6_addr[v4 ? 12 : 0]};

		if (IN6_IS_ADDR_V4MAPPED(&e->to.addr) != v4)
			continue;
		if (r.len)
			r.dst = &e->to.addr.s6_addr[v4 ? 12 : 0];
		if (e->src.set)
			r.src = &e->src.addr.s6_addr[v4 ? 12 : 0];
		dumped(b, h, strict, pid, &r);
	}
}

static void routes_v4(struct gz_rtnl *b, const struct nlmsghdr *h, bool strict, uint32_t pid)
{
	const struct gz_own4 *own = gz_own4();
	struct route r = {.family = AF_INET,
			  .table = RT_TABLE_MAIN,
			  .protocol = RTPROT_STATIC,
			  .scope = RT_SCOPE_UNIVERSE,
			  .type = RTN_UNICAST,
			  .via = &own->gateway};
	struct gz_lease l;

	gz_own4_lease((unsigned)(gz_addr_port(gz_end_v4(own->gateway, 0)) - gz_ports), &l);
	if (l.state && !gz_cfg->gateway)
		r.protocol = RTPROT_DHCP;
	r.oif = index_to(gz_end_v4(own->gateway, 0));
	if (own->gateway)
		dumped(b, h, strict, pid, &r);
	configured(b, h, strict, pid, AF_INET);
	r.protocol = RTPROT_KERNEL;
	r.via = NULL;
	for (unsigned i = 0; i < own->n; i++) {
		const struct gz_prefix4 *p = &own->addr[i];
		uint32_t net = p->addr & gz_own4_mask(p->len);

		r.src = &p->addr;
		r.oif = gz_iface_index(&gz_ports[own->port[i]]);
		if (p->len < 32) {
			r.dst = &net;
			r.len = p->len;
			r.table = RT_TABLE_MAIN;
			r.scope = RT_SCOPE_LINK;
			r.type = RTN_UNICAST;
			dumped(b, h, strict, pid, &r);
		}
		r.dst = &p->addr;
		r.len = 32;
		r.table = RT_TABLE_LOCAL;
		r.scope = RT_SCOPE_HOST;
		r.type = RTN_LOCAL;
		dumped(b, h, strict, pid, &r);
	}
}

/* What routers have advertised: themselves, and networks without an address of ours */
static void routes_advertised(struct gz_rtnl *b, const struct nlmsghdr *h, bool strict,
			      uint32_t pid)
{
	struct route r = {.family = AF_INET6,
			  .table = RT_TABLE_MAIN,
			  .protocol = RTPROT_KERNEL,
			  .scope = RT_SCOPE_UNIVERSE,
			  .type = RTN_UNICAST,
			  .len = PREFIX_BITS,
			  .metric = METRIC6_LINK};
	struct gz_own6 now;

	gz_ipv6_now(&now);
	for (unsigned i = 0; i < now.nprefix; i++) {
		bool again = false;

		for (unsigned j = 0; j < now.n && !again; j++)
			again = !now.own[j].duplicate &&
				(!now.own[j].network || now.own[j].network == PREFIX_BITS) &&
				gz_ipv6_same(&now.own[j].addr, &now.prefix[i].addr, PREFIX_BITS);
		r.dst = &now.prefix[i].addr;
		r.oif = gz_iface_index(&gz_ports[now.prefix[i].port]);
		if (!again)
			dumped(b, h, strict, pid, &r);
	}
	r.dst = NULL;
	r.len = 0;
	r.protocol = RTPROT_RA;
	r.metric = METRIC6_ROUTER;
	for (unsigned i = 0; i < now.nadvertised; i++) {
		r.via = &now.advertised[i].addr;
		r.oif = gz_iface_index(&gz_ports[now.advertised[i].port]);
		dumped(b, h, strict, pid, &r);
	}
}

static void routes_v6(struct gz_rtnl *b, const struct nlmsghdr *h, bool strict, uint32_t pid)
{
	const struct gz_engine_config *cfg = gz_cfg;
	struct gz_own6_addr v6[GZ_OWN6_MAX];
	struct in6_addr net;
	unsigned n = gz_ipv6_list(v6);
	struct route r = {.family = AF_INET6,
			  .table = RT_TABLE_MAIN,
			  .protocol = RTPROT_KERNEL,
			  .scope = RT_SCOPE_UNIVERSE,
			  .type = RTN_UNICAST};

	for (unsigned i = 0; i < n; i++) {
		bool again = false;

		for (unsigned j = 0; j < i && !again; j++)
			again = v6[i].network == v6[j].network && v6[i].port == v6[j].port &&
				gz_ipv6_same(&v6[i].addr, &v6[j].addr, v6[i].network);
		net = v6[i].addr;
		r.oif = gz_iface_index(&gz_ports[v6[i].port]);
		for (unsigned bit = v6[i].network; bit < 128; bit++)
			net.s6_addr[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
		r.dst = &net;
		r.len = v6[i].network;
		r.metric = METRIC6_LINK;
		r.table = RT_TABLE_MAIN;
		r.type = RTN_UNICAST;
		if (!again)
			dumped(b, h, strict, pid, &r);
		r.dst = &v6[i].addr;
		r.len = 128;
		r.metric = 0;
		r.table = RT_TABLE_LOCAL;
		r.type = RTN_LOCAL;
		dumped(b, h, strict, pid, &r);
	}
	configured(b, h, strict, pid, AF_INET6);
	routes_advertised(b, h, strict, pid);
	if (IN6_IS_ADDR_UNSPECIFIED(&cfg->gateway6))
		return;
	r.dst = NULL;
	r.len = 0;
	r.oif = index_to(gz_route_gateway6());
	r.via = &cfg->gateway6;
	r.protocol = RTPROT_STATIC;
	r.metric = METRIC6_ROUTER;
	r.table = RT_TABLE_MAIN;
	r.type = RTN_UNICAST;
	dumped(b, h, strict, pid, &r);
}

void gz_rtnl_routes(struct gz_rtnl *b, const struct nlmsghdr *h, bool strict, uint32_t pid)
{
	uint8_t family = header(h).rtm_family;

	/* Those of the cache are another list. */
	if (header(h).rtm_flags & RTM_F_CLONED)
		return;
	if (family != AF_INET6)
		routes_v4(b, h, strict, pid);
	if (family != AF_INET)
		routes_v6(b, h, strict, pid);
}

/* The destination of a request for one route.  Return: false: it has none */
static bool destination(const struct nlmsghdr *h, struct gz_end *to)
{
	const struct rtattr *a = gz_rtnl_attribute(h, sizeof(struct rtmsg), RTA_DST);
	bool v4 = header(h).rtm_family == AF_INET;
	uint32_t addr;
	int port;

	if (!a || RTA_PAYLOAD(a) != (v4 ? 4 : 16))
		return false;
	memset(to, 0, sizeof(*to));
	if (v4) {
		memcpy(&addr, RTA_DATA(a), sizeof(addr));
		*to = gz_end_v4(addr, 0);
	} else {
		memcpy(&to->addr, RTA_DATA(a), 16);
		port = gz_ipv6_port_of((uint32_t)gz_rtnl_route_index(h));
		gz_addr_set_scope(to, port < 0 ? gz_engine_first6(gz_cfg) : (unsigned)port);
	}
	return v4 || !gz_end_is_v4(*to);
}

bool gz_rtnl_route_own(const struct nlmsghdr *h)
{
	int index = gz_rtnl_route_index(h);
	struct gz_end to;

	/* Whose source or input interface is named asks about forwarding. */
	if (!destination(h, &to) || (index && index != gz_iface_index(gz_addr_port(to))) ||
	    gz_rtnl_attribute(h, sizeof(struct rtmsg), RTA_IIF) ||
	    gz_rtnl_attribute(h, sizeof(struct rtmsg), RTA_SRC) ||
	    header(h).rtm_flags & RTM_F_FIB_MATCH)
		return false;
	return !gz_addr_is_loopback(to) && !gz_addr_to_many(to) &&
	       (gz_addr_is_local(to) || gz_addr_routed(to)) && !gz_policy_routes_to_kernel(to);
}

void gz_rtnl_route(struct gz_rtnl *b, const struct nlmsghdr *h, uint32_t pid)
{
	bool v4 = header(h).rtm_family == AF_INET, local;
	struct gz_end to, from, via;
	uint32_t dst4, src4;
	struct route r = {.family = header(h).rtm_family,
			  .len = v4 ? 32 : 128,
			  .scope = RT_SCOPE_UNIVERSE,
			  .flags = RTM_F_CLONED};

	if (!destination(h, &to))
		return;
	local = gz_addr_is_local(to);
	from = gz_addr_source(to);
	dst4 = v4 ? gz_end_v4_addr(to) : 0;
	src4 = v4 ? gz_end_v4_addr(from) : 0;
	r.dst = v4 ? (const void *)&dst4 : &to.addr;
	r.src = v4 ? (const void *)&src4 : &from.addr;
	/* Without rules of its own the kernel has both IPv4 tables in one, which is MAIN. */
	r.table = local && !v4 ? RT_TABLE_LOCAL : RT_TABLE_MAIN;
	r.type = local ? RTN_LOCAL : RTN_UNICAST;
	r.oif = local ? 1 : gz_iface_index(gz_addr_port(to));
	if (v4 && local)
		r.flags |= RTCF_LOCAL;
	if (!local && gz_addr_via(to, &via))
		r.via = v4 ? &via.addr.s6_addr[12] : via.addr.s6_addr;
	record(b, h, 0, pid, &r);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * routes.c - Addresses and routes of the port's interfaces, copied to the TAP
 *
 * Theory of operation: what the TAP is to have is what the interfaces have; what it
 * has is what the kernel lists, so nothing is remembered and every sync mends
 * whatever happened.  Addresses are copied without their network's route
 * (IFA_F_NOPREFIXROUTE) and without duplicate address detection: they are ours.
 *
 * A route over the TAP must be preferred to the same one over the interface, which
 * stays.  IPv4: of two equal ones the kernel uses the one that stands first
 * ("prepend" of ip-route(8)).  IPv6: it takes the lower metric.  Copies carry
 * RTPROT_DISPATCH.  Routes of the main table with one next hop are copied.
 *
 * Where the kernel goes on to use its interface itself (bifurcation.h) no route is copied:
 * the TAP has those to clients.
 */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/route.h>
#include <rte_rcu_qsbr.h>

#include "dispatch/dispatch.h"

#define RTPROT_DISPATCH 213 /* of nobody in iproute2's rt_protos */

/** is_source() - Is it an interface whose addresses and routes are copied? */
static bool is_source(const struct dispatch *d, int ifindex)
{
	for (unsigned i = 0; i < d->wire.n; i++) {
		const struct wire_port *p = &d->wire.port[i];

		if (p->ifindex && (int)p->ifindex == ifindex)
			return true;
	}
	return false;
}

/* --- addresses ------------------------------------------------------------ */

static bool same_address(struct rtnl_addr *a, struct rtnl_addr *b)
{
	return !nl_addr_cmp(rtnl_addr_get_local(a), rtnl_addr_get_local(b)) &&
	       rtnl_addr_get_prefixlen(a) == rtnl_addr_get_prefixlen(b);
}

/** find_address() - One like @a, on the TAP or on a source */
static bool find_address(const struct dispatch *d, struct nl_cache *all, struct rtnl_addr *a,
			 bool on_tap)
{
	struct nl_object *o;

	for (o = nl_cache_get_first(all); o; o = nl_cache_get_next(o)) {
		struct rtnl_addr *b = (struct rtnl_addr *)o;
		int index = rtnl_addr_get_ifindex(b);

		if ((on_tap ? index == (int)d->kernel.ifindex : is_source(d, index)) &&
		    same_address(a, b))
			return true;
	}
	return false;
}

static void copy_address(const struct dispatch *d, struct nl_sock *nl, struct rtnl_addr *a)
{
	struct rtnl_addr *copy = rtnl_addr_alloc();
	struct nl_addr *local = nl_addr_clone(rtnl_addr_get_local(a));

	if (copy && local) {
		nl_addr_set_prefixlen(local, rtnl_addr_get_prefixlen(a));
		rtnl_addr_set_ifindex(copy, (int)d->kernel.ifindex);
		rtnl_addr_set_local(copy, local);
		rtnl_addr_set_prefixlen(copy, rtnl_addr_get_prefixlen(a));
		if (rtnl_addr_get_broadcast(a))
			rtnl_addr_set_broadcast(copy, rtnl_addr_get_broadcast(a));
		rtnl_addr_set_scope(copy, rtnl_addr_get_scope(a));
		rtnl_addr_set_flags(copy, IFA_F_NOPREFIXROUTE | IFA_F_NODAD);
		rtnl_addr_add(nl, copy, 0);
	}
	nl_addr_put(local);
	rtnl_addr_put(copy);
}

static void sync_addresses(const struct dispatch *d, struct nl_sock *nl, struct nl_cache *all)
{
	struct nl_object *o;

	for (o = nl_cache_get_first(all); o; o = nl_cache_get_next(o)) {
		struct rtnl_addr *a = (struct rtnl_addr *)o;
		bool mine = rtnl_addr_get_ifindex(a) == (int)d->kernel.ifindex;

		if (is_source(d, rtnl_addr_get_ifindex(a)) && !find_address(d, all, a, true))
			copy_address(d, nl, a);
		else if (mine && wire_has_interface(d) &&
			 rtnl_addr_get_flags(a) & IFA_F_NOPREFIXROUTE &&
			 !find_address(d, all, a, false))
			rtnl_addr_delete(nl, a, 0);
	}
}

/** list_addresses() - All that the TAP has, for the switch.  Return: a new list or NULL */
static struct sw_kernel *list_addresses(const struct dispatch *d, struct nl_cache *all)
{
	struct sw_kernel *k = calloc(1, sizeof(*k));
	struct nl_object *o;

	for (o = nl_cache_get_first(all); k && o; o = nl_cache_get_next(o)) {
		struct rtnl_addr *a = (struct rtnl_addr *)o;
		struct nl_addr *local = rtnl_addr_get_local(a);

		if (rtnl_addr_get_ifindex(a) != (int)d->kernel.ifindex || !local)
			continue;
		if (nl_addr_get_family(local) == AF_INET && k->n4 < SW_KERNEL_ADDRS)
			memcpy(&k->a4[k->n4++], nl_addr_get_binary_addr(local), sizeof(k->a4[0]));
		else if (nl_addr_get_family(local) == AF_INET6 && k->n6 < SW_KERNEL_ADDRS)
			memcpy(&k->a6[k->n6++], nl_addr_get_binary_addr(local), sizeof(k->a6[0]));
	}
	return k;
}

/* --- routes --------------------------------------------------------------- */

static struct rtnl_nexthop *only_hop(struct rtnl_route *r)
{
	return rtnl_route_get_nnexthops(r) == 1 ? rtnl_route_nexthop_n(r, 0) : NULL;
}

/** is_from() - A route of the main table over a source, to be copied */
static bool is_from(const struct dispatch *d, struct rtnl_route *r)
{
	struct rtnl_nexthop *hop = only_hop(r);

	return hop && rtnl_route_get_table(r) == RT_TABLE_MAIN &&
	       rtnl_route_get_type(r) == RTN_UNICAST &&
	       rtnl_route_get_protocol(r) != RTPROT_DISPATCH &&
	       is_source(d, rtnl_route_nh_get_ifindex(hop));
}

static bool is_copy(const struct dispatch *d, struct rtnl_route *r)
{
	struct rtnl_nexthop *hop = only_hop(r);

	return hop && rtnl_route_get_protocol(r) == RTPROT_DISPATCH &&
	       rtnl_route_nh_get_ifindex(hop) == (int)d->kernel.ifindex;
}

static uint32_t metric_of_copy(struct rtnl_route *r)
{
	uint32_t metric = rtnl_route_get_priority(r);

	return rtnl_route_get_family(r) == AF_INET6 && metric > 1 ? metric - 1 : metric;
}

static bool same_addr(const struct nl_addr *a, const struct nl_addr *b)
{
	return a && b ? !nl_addr_cmp(a, b) : a == b;
}

/** is_copy_of() - Does @copy say the same as @r? */
static bool is_copy_of(struct rtnl_route *copy, struct rtnl_route *r)
{
	return rtnl_route_get_family(copy) == rtnl_route_get_family(r) &&
	       same_addr(rtnl_route_get_dst(copy), rtnl_route_get_dst(r)) &&
	       rtnl_route_get_priority(copy) == metric_of_copy(r) &&
	       same_addr(rtnl_route_nh_get_gateway(only_hop(copy)),
			 rtnl_route_nh_get_gateway(only_hop(r))) &&
	       same_addr(rtnl_route_get_pref_src(copy), rtnl_route_get_pref_src(r));
}

/** new_route() - Over the TAP, to @dst.  Return: it, with *hop, or NULL */
static struct rtnl_route *new_route(const struct dispatch *d, struct nl_addr *dst, uint8_t scope,
				    struct rtnl_nexthop **hop)
{
	struct rtnl_route *r = rtnl_route_alloc();

	*hop = rtnl_route_nh_alloc();
	if (!r || !*hop) {
		if (*hop)
			rtnl_route_nh_free(*hop);
		rtnl_route_put(r);
		return NULL;
	}
	rtnl_route_set_family(r, (uint8_t)nl_addr_get_family(dst));
	rtnl_route_set_table(r, RT_TABLE_MAIN);
	rtnl_route_set_protocol(r, RTPROT_DISPATCH);
	rtnl_route_set_scope(r, scope);
	rtnl_route_set_type(r, RTN_UNICAST);
	rtnl_route_set_dst(r, dst);
	rtnl_route_nh_set_ifindex(*hop, (int)d->kernel.ifindex);
	rtnl_route_add_nexthop(r, *hop);
	return r;
}

static void copy_route(const struct dispatch *d, struct nl_sock *nl, struct rtnl_route *r)
{
	struct rtnl_nexthop *hop, *from = only_hop(r);
	struct rtnl_route *copy =
	    new_route(d, rtnl_route_get_dst(r), rtnl_route_get_scope(r), &hop);

	if (!copy)
		return;
	rtnl_route_set_priority(copy, metric_of_copy(r));
	if (rtnl_route_get_pref_src(r))
		rtnl_route_set_pref_src(copy, rtnl_route_get_pref_src(r));
	if (rtnl_route_nh_get_gateway(from))
		rtnl_route_nh_set_gateway(hop, rtnl_route_nh_get_gateway(from));
	rtnl_route_nh_set_flags(hop, rtnl_route_nh_get_flags(from) & RTNH_F_ONLINK);
	rtnl_route_add(nl, copy, NLM_F_CREATE);
	rtnl_route_put(copy);
}

/* All routes of the kernel's.  Not a cache of libnl's: it holds one of two that differ
 * by their next hop only. */
struct routes {
	unsigned n, room;
	struct rtnl_route **r;
};

static int on_route(struct nl_msg *msg, void *arg)
{
	struct routes *all = arg;
	struct rtnl_route *r;

	if (rtnl_route_parse(nlmsg_hdr(msg), &r))
		return NL_OK;
	if (all->n == all->room) {
		unsigned room = all->room ? 2 * all->room : 64;
		struct rtnl_route **more = realloc(all->r, room * sizeof(struct rtnl_route *));

		if (!more) {
			rtnl_route_put(r);
			return NL_STOP;
		}
		all->r = more;
		all->room = room;
	}
	all->r[all->n++] = r;
	return NL_OK;
}

static void forget_routes(struct routes *all)
{
	while (all->n)
		rtnl_route_put(all->r[--all->n]);
	free(all->r);
}

/** list_routes() - Return: false if the list is not complete */
static bool list_routes(struct nl_sock *nl, struct routes *all)
{
	struct rtmsg m = {.rtm_family = AF_UNSPEC};
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int rc = -NLE_NOMEM;

	*all = (struct routes){0};
	if (!cb)
		return false;
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_route, all);
	rc = nl_send_simple(nl, RTM_GETROUTE, NLM_F_DUMP, &m, sizeof(m));
	if (rc >= 0)
		rc = nl_recvmsgs(nl, cb);
	nl_cb_put(cb);
	return rc >= 0;
}

/** sync_routes() - @links: networks on the link, else those behind gateways */
static void sync_routes(const struct dispatch *d, struct nl_sock *nl, const struct routes *all,
			bool links)
{
	for (unsigned i = 0; i < all->n; i++) {
		struct rtnl_route *r = all->r[i];
		bool copy = is_copy(d, r), found = false;

		if (!copy && !is_from(d, r))
			continue;
		for (unsigned k = 0; k < all->n && !found; k++) {
			struct rtnl_route *o = all->r[k];

			found = copy ? is_from(d, o) && is_copy_of(r, o)
				     : is_copy(d, o) && is_copy_of(o, r);
		}
		if (found || links == !!rtnl_route_nh_get_gateway(only_hop(r)))
			continue;
		if (copy)
			rtnl_route_delete(nl, r, 0);
		else
			copy_route(d, nl, r);
	}
}

/* --- routes to clients, beside the kernel's own interface ------------------- */

static struct nl_addr *address_of(const struct gz_prefix *p)
{
	bool four = IN6_IS_ADDR_V4MAPPED(&p->addr);
	struct nl_addr *a = nl_addr_build(four ? AF_INET : AF_INET6,
					  p->addr.s6_addr + (four ? 12 : 0), four ? 4 : 16);

	if (a)
		nl_addr_set_prefixlen(a, p->len - (four ? 96 : 0));
	return a;
}

/** nets_of_clients() - @nets: released by the caller.  Return: how many */
static unsigned nets_of_clients(struct dispatch *d, struct nl_addr *nets[SW_ROUTES_MAX])
{
	struct gz_prefix own[CLIENT_NETS_MAX];
	unsigned n = 0;

	pthread_mutex_lock(&d->clients.lock);
	for (unsigned i = 0; i < GZ_CLIENTS_MAX; i++) {
		for (unsigned k = client_nets(&d->clients.place[i], own); k && n < SW_ROUTES_MAX;) {
			nets[n] = address_of(&own[--k]);
			n += nets[n] != NULL;
		}
	}
	pthread_mutex_unlock(&d->clients.lock);
	return n;
}

/** has_net() - Take it out of @nets if it is there */
static bool has_net(struct nl_addr **nets, unsigned n, struct nl_addr *dst)
{
	for (unsigned i = 0; i < n; i++) {
		if (!nets[i] || nl_addr_cmp(nets[i], dst))
			continue;
		nl_addr_put(nets[i]);
		nets[i] = NULL;
		return true;
	}
	return false;
}

static void sync_clients(struct dispatch *d, struct nl_sock *nl, const struct routes *all)
{
	static struct nl_addr *nets[SW_ROUTES_MAX]; /* the monitor's */
	unsigned n = nets_of_clients(d, nets);

	for (unsigned i = 0; i < all->n; i++) {
		if (is_copy(d, all->r[i]) && !has_net(nets, n, rtnl_route_get_dst(all->r[i])))
			rtnl_route_delete(nl, all->r[i], 0);
	}
	for (unsigned i = 0; i < n; i++) {
		struct rtnl_nexthop *hop;
		struct rtnl_route *r = nets[i] ? new_route(d, nets[i], RT_SCOPE_LINK, &hop) : NULL;

		if (r)
			rtnl_route_add(nl, r, NLM_F_CREATE);
		rtnl_route_put(r);
		nl_addr_put(nets[i]);
	}
}

/* --- both ----------------------------------------------------------------- */

bool routes_sync(struct dispatch *d, struct nl_sock *nl)
{
	struct sw_kernel *now = NULL, *was = atomic_load(&d->kernel.addrs);
	struct nl_cache *c;
	struct routes all;

	for (unsigned again = 0; again < 2; again++) {
		if (rtnl_addr_alloc_cache(nl, &c) < 0)
			return false;
		if (!again)
			sync_addresses(d, nl, c);
		else
			now = list_addresses(d, c);
		nl_cache_free(c);
	}
	if (wire_has_interface(d)) {
		if (!list_routes(nl, &all)) {
			/* another time */
		} else if (atomic_load(&d->bifurcation.on)) {
			sync_clients(d, nl, &all);
		} else {
			/* a gateway must be reached when its route is added */
			sync_routes(d, nl, &all, true);
			sync_routes(d, nl, &all, false);
		}
		forget_routes(&all);
	}
	if (!now || (was && !memcmp(was, now, sizeof(*now)))) {
		free(now);
		return false;
	}
	atomic_store(&d->kernel.addrs, now);
	rte_rcu_qsbr_synchronize(d->rcu, RTE_QSBR_THRID_INVALID);
	free(was);
	return true;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * route.c - stack.routes: the table that their next hops are looked up in
 *
 * One RIB of DPDK's for both families, IPv4 by its v4-mapped form.  It is made once and
 * never changed, so that any thread may look without a lock.  rte_lpm would take 64 MB for
 * the first 24 bits of IPv4 alone.
 *
 * What is on the link is not in it, for addresses come and go: who looks compares the
 * route's length with that of the network (address.c, own6.c; of the worker's, next_hop.c
 * and ipv6.c).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include <rte_errno.h>
#include <rte_memory.h>
#include <rte_rib6.h>
#include <rte_telemetry.h>

#include "config/config.h"
#include "engine/address.h"
#include "engine/iface.h"
#include "engine/ipv6.h"
#include "engine/log.h"
#include "engine/own4.h"
#include "engine/route.h"
#include "engine/worker.h"

static struct {
	struct rte_rib6 *rib; /* NULL: no routes */
	const struct gz_route *all;
} table;

int gz_route_init(const struct gz_engine_config *cfg)
{
	/* Besides the routes there are nodes that join two */
	const struct rte_rib6_conf conf = {.max_nodes = 2 * GZ_ROUTES_MAX};

	if (!cfg->nroutes)
		return 0;
	table.all = cfg->routes;
	table.rib = rte_rib6_create("gazelle_routes", SOCKET_ID_ANY, &conf);
	if (!table.rib)
		return -rte_errno;
	for (unsigned i = 0; i < cfg->nroutes; i++) {
		const struct gz_prefix *to = &cfg->routes[i].to;
		struct rte_rib6_node *n = rte_rib6_insert(table.rib, to->addr.s6_addr, to->len);

		if (!n || rte_rib6_set_nh(n, i) < 0)
			return -rte_errno;
	}
	return 0;
}

const struct gz_route *gz_route_find(const struct in6_addr *to)
{
	const struct gz_route *r;
	struct rte_rib6_node *n;
	uint64_t i;

	if (!table.rib)
		return NULL;
	n = rte_rib6_lookup(table.rib, to->s6_addr);
	if (!n || rte_rib6_get_nh(n, &i) < 0)
		return NULL;
	r = &table.all[i];
	/* ::/0 is all of IPv6, not all of IPv4 as well. */
	return IN6_IS_ADDR_V4MAPPED(to) == IN6_IS_ADDR_V4MAPPED(&r->to.addr) ? r : NULL;
}

static struct gz_end hop(const struct in6_addr *via, unsigned port)
{
	struct gz_end e = {.addr = *via};

	gz_addr_set_scope(&e, port);
	return e;
}

struct gz_end gz_route_hop(const struct gz_route *r)
{
	return hop(&r->via.addr, r->port);
}

struct gz_end gz_route_gateway6(void)
{
	return hop(&gz_cfg->gateway6, gz_engine_first6(gz_cfg));
}

/* --- gazelle-ctl routes ---------------------------------------------------- */

/* "10.0.0.0/8", or the address alone if @len is of a host */
static const char *text(char *buf, size_t n, const struct in6_addr *a, unsigned len)
{
	char host[INET6_ADDRSTRLEN];
	bool v4 = IN6_IS_ADDR_V4MAPPED(a);

	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? &a->s6_addr[12] : a->s6_addr, host, sizeof(host));
	if (len == 128)
		snprintf(buf, n, "%s", host);
	else
		snprintf(buf, n, "%s/%u", host, v4 ? len - 96 : len);
	return buf;
}

/* Line @n; @via and @src are NULL where there is none, and not both */
static void add(struct rte_tel_data *d, unsigned n, const struct gz_prefix *to,
		const struct in6_addr *via, const struct in6_addr *src, const struct gz_port *port,
		const char *from)
{
	struct rte_tel_data *e = rte_tel_data_alloc();
	char buf[INET6_ADDRSTRLEN + 8], key[16], name[16];
	struct gz_prefix net = *to;

	if (!e)
		return;
	for (unsigned bit = net.len; bit < 128; bit++)
		net.addr.s6_addr[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	rte_tel_data_start_dict(e);
	rte_tel_data_add_dict_string(e, "to", text(buf, sizeof(buf), &net.addr, net.len));
	rte_tel_data_add_dict_string(e, "via", via ? text(buf, sizeof(buf), via, 128) : "");
	rte_tel_data_add_dict_string(e, "dev", gz_iface_name(port, name));
	rte_tel_data_add_dict_string(e, "src", src ? text(buf, sizeof(buf), src, 128) : "");
	rte_tel_data_add_dict_string(e, "from", from);
	snprintf(key, sizeof(key), "r%u", n);
	rte_tel_data_add_dict_container(d, key, e, 0);
}

int gz_telemetry_routes(const char *cmd, const char *params, struct rte_tel_data *d)
{
	const struct gz_engine_config *cfg = gz_cfg;
	const struct gz_own4 *own = gz_own4();
	struct gz_prefix to = {0};
	struct gz_own6_addr v6[GZ_OWN6_MAX];
	unsigned n6 = gz_ipv6_list(v6), n = 0;

	(void)cmd;
	(void)params;
	rte_tel_data_start_dict(d);
	for (unsigned i = 0; i < own->n; i++) {
		to.addr = gz_end_v4(own->addr[i].addr, 0).addr;
		to.len = (uint8_t)(96 + own->addr[i].len);
		add(d, n++, &to, NULL, &to.addr, &gz_ports[own->port[i]], "link");
	}
	for (unsigned i = 0; i < n6; i++) {
		to.addr = v6[i].addr;
		to.len = v6[i].network;
		add(d, n++, &to, NULL, &to.addr, &gz_ports[v6[i].port], "link");
	}
	for (unsigned i = 0; i < cfg->nroutes; i++) {
		const struct gz_route *r = &cfg->routes[i];

		add(d, n++, &r->to, &r->via.addr, r->src.set ? &r->src.addr : NULL,
		    gz_addr_port(gz_route_hop(r)), "routes");
	}
	to.addr = gz_end_v4(own->gateway, 0).addr;
	if (own->gateway)
		add(d, n++, &(struct gz_prefix){.addr = gz_end_v4(0, 0).addr, .len = 96}, &to.addr,
		    NULL, gz_addr_port(gz_end_v4(own->gateway, 0)), "gateway");
	if (!IN6_IS_ADDR_UNSPECIFIED(&cfg->gateway6))
		add(d, n++, &(struct gz_prefix){.len = 0}, &cfg->gateway6, NULL,
		    gz_addr_port(gz_route_gateway6()), "gateway6");
	rte_tel_data_add_dict_u64(d, "next", 0);
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * check_stack.c - What concerns several of an engine's addresses, gateways and routes
 */
#include "config/check.h"

#include <arpa/inet.h>
#include <string.h>

bool gz_check_overlap6(const struct gz_prefix *a, const struct gz_prefix *b)
{
	unsigned len = a->len < b->len ? a->len : b->len;

	for (unsigned i = 0; i < len; i++)
		if ((a->addr.s6_addr[i / 8] ^ b->addr.s6_addr[i / 8]) & (0x80 >> i % 8))
			return false;
	return a->set && b->set;
}

bool gz_check_same_prefix(const struct gz_prefix *a, const struct gz_prefix *b)
{
	return a->set == b->set && a->len == b->len && IN6_ARE_ADDR_EQUAL(&a->addr, &b->addr);
}

bool gz_check_same_net(const struct gz_prefix4 *host, uint32_t addr)
{
	return !((host->addr ^ addr) & gz_prefix4_mask(host->len));
}

void gz_check_mtu4(struct gz_load *ld, const struct gz_port_config *p, const char *key,
		   const char *because)
{
	if (p->mtu < 576)
		gz_load_error(ld, key, because, "too small for DHCP: expected at least 576");
}

/**
 * check_dhcp() - What a server is asked for is not said here
 * @ld:		Load
 * @c:		Configuration, which has no IPv4 address then
 */
static void check_dhcp(struct gz_load *ld, struct gz_engine_config *c)
{
	static const char *const instead[] = {"stack.addresses", "stack.gateway"};
	const bool has[] = {gz_load_has(ld, instead[0]) && c->naddrs, c->gateway};

	for (unsigned i = 0; i < sizeof(has); i++)
		if (has[i])
			gz_load_error(ld, "stack.dhcp", instead[i],
				      "not used beside %s: expected one of them", instead[i]);
	if (c->port.driver == GZ_DRV_DISPATCH)
		gz_load_error(ld, "stack.dhcp", "port.driver",
			      "not used by driver dispatch, which is told the addresses at the "
			      "start: expected stack.addresses");
	gz_check_mtu4(ld, &c->port, "port.mtu", "stack.dhcp");
	c->naddrs = 0;
	memset(c->addrs, 0, sizeof(c->addrs));
}

/** address_path() - Of the address number @i of a port; @family: "" of IPv4, "6" of IPv6 */
static void address_path(char *path, size_t n, unsigned port, unsigned i, const char *family)
{
	if (port)
		snprintf(path, n, "ports[%u].addresses%s[%u]", port - 1, family, i);
	else
		snprintf(path, n, "stack.addresses%s[%u]", family, i);
}

/** check_pair() - Is @a the kernel's end of a pair?  At @path, of IPv4 or IPv6 */
static void check_pair(struct gz_load *ld, const struct gz_engine_config *c, const char *path,
		       const struct gz_prefix4 *four, const struct in6_addr *six)
{
	char key[48], text[INET6_ADDRSTRLEN];

	for (unsigned i = 0; i <= c->nmore; i++) {
		const struct gz_port_config *p = gz_engine_port(c, i);
		bool is = four ? four->addr == p->veth_address.addr
			       : IN6_ARE_ADDR_EQUAL(&p->veth_address6.addr, six);

		if (!is)
			continue;
		if (i)
			snprintf(key, sizeof(key), "ports[%u].veth.address%s", i - 1,
				 four ? "" : "6");
		else
			snprintf(key, sizeof(key), "port.veth.address%s", four ? "" : "6");
		inet_ntop(four ? AF_INET : AF_INET6, four ? (const void *)&four->addr : six, text,
			  sizeof(text));
		gz_load_error(ld, path, key, "'%s' is %s: expected another one", text, key);
	}
}

/**
 * check_different() - No address twice, nor the pair's other end's, no network at two ports
 * @ld:		Load
 * @c:		Configuration
 */
static void check_different(struct gz_load *ld, const struct gz_engine_config *c)
{
	struct gz_prefix4 all[GZ_OWN4_MAX];
	char text[INET_ADDRSTRLEN], path[40];
	uint8_t port[GZ_OWN4_MAX];
	unsigned n = gz_engine_addresses(c, all, port), first = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct gz_prefix4 *a = &all[i];

		first = i && port[i] != port[i - 1] ? i : first;
		inet_ntop(AF_INET, &a->addr, text, sizeof(text));
		address_path(path, sizeof(path), port[i], i - first, "");
		check_pair(ld, c, path, a, NULL);
		for (unsigned j = 0; j < i; j++) {
			if (all[j].addr == a->addr)
				gz_load_error(ld, path, NULL,
					      "'%s' is there already: expected "
					      "different addresses",
					      text);
			else if (port[j] != port[i] && all[j].len == a->len &&
				 gz_check_same_net(a, all[j].addr))
				gz_load_error(ld, path, NULL,
					      "'%s' is in a network of another port: expected "
					      "each network at one port",
					      text);
		}
	}
}

/**
 * check_stack() - The engine's addresses, gateway and the pair's other end
 * @ld:		Load
 * @c:		Configuration
 */
static void check_stack(struct gz_load *ld, const struct gz_engine_config *c)
{
	const struct gz_prefix4 *veth = &c->port.veth_address;
	bool near_veth = !veth->addr, near_gw = !c->gateway || gz_engine_asks_any(c);
	struct gz_prefix4 all[GZ_OWN4_MAX];
	char text[INET_ADDRSTRLEN], path[40];
	uint8_t port[GZ_OWN4_MAX];
	unsigned n = gz_engine_addresses(c, all, port), first = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct gz_prefix4 *a = &all[i];

		first = i && port[i] != port[i - 1] ? i : first;
		inet_ntop(AF_INET, &a->addr, text, sizeof(text));
		address_path(path, sizeof(path), port[i], i - first, "");
		near_veth |= !port[i] && gz_check_same_net(a, veth->addr);
		/* A /32, as some clouds give, has its gateway outside. */
		near_gw |= gz_check_same_net(a, c->gateway) || (!port[i] && a->len == 32);
		if (c->gateway == a->addr)
			gz_load_error(ld, "stack.gateway", path,
				      "'%s' is the stack's own address: expected "
				      "another host",
				      text);
	}
	if (!c->naddrs && gz_load_has(ld, "port") && !gz_load_has(ld, "port.veth") &&
	    !gz_load_has(ld, "stack.addresses"))
		gz_load_error(ld, "port", "stack.addresses",
			      "without veth: the default address does not apply: "
			      "expected stack.addresses as well");
	else if (!c->naddrs)
		gz_load_error(ld, "stack.addresses", NULL, "empty: expected at least one address");
	else if (!near_veth && !gz_load_has(ld, "stack.addresses"))
		gz_load_error(ld, "port.veth.address", "stack.addresses",
			      "not in the stack's default network: expected "
			      "stack.addresses as well");
	if (!near_gw && c->naddrs)
		gz_load_error(ld, "stack.gateway", "stack.addresses",
			      "'%s' is in no network of stack.addresses%s: "
			      "expected a neighbour",
			      inet_ntop(AF_INET, &c->gateway, text, sizeof(text)),
			      c->nmore ? " or ports" : "");
}

void gz_check_mtu6(struct gz_load *ld, const struct gz_port_config *p, const char *key,
		   const char *because)
{
	if (p->mtu < 1280)
		gz_load_error(ld, key, because, "too small for IPv6: expected at least 1280");
}

/**
 * check_different6() - No IPv6 address twice, no network at two ports
 * @ld:		Load
 * @all:	Addresses of all ports
 * @port:	Where each is
 * @i:		Of those the one to compare with those before it
 * @path:	Its path
 */
static void check_different6(struct gz_load *ld, const struct gz_prefix *all, const uint8_t *port,
			     unsigned i, const char *path)
{
	char text[INET6_ADDRSTRLEN];

	inet_ntop(AF_INET6, &all[i].addr, text, sizeof(text));
	for (unsigned j = 0; j < i; j++) {
		if (IN6_ARE_ADDR_EQUAL(&all[j].addr, &all[i].addr))
			gz_load_error(ld, path, NULL,
				      "'%s' is there already: expected "
				      "different addresses",
				      text);
		else if (port[j] != port[i] && all[j].len == all[i].len &&
			 gz_check_overlap6(&all[j], &all[i]))
			gz_load_error(ld, path, NULL,
				      "'%s' is in a network of another port: expected "
				      "each network at one port",
				      text);
	}
}

/**
 * check_stack6() - The same as check_stack() for IPv6
 * @ld:		Load
 * @c:		Configuration
 */
static void check_stack6(struct gz_load *ld, const struct gz_engine_config *c)
{
	struct gz_prefix all[GZ_CONFIGURED6_MAX];
	char text[INET6_ADDRSTRLEN], path[40];
	uint8_t port[GZ_CONFIGURED6_MAX];
	unsigned n = gz_engine_addresses6(c, all, port), first = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct in6_addr *a = &all[i].addr;

		first = i && port[i] != port[i - 1] ? i : first;
		inet_ntop(AF_INET6, a, text, sizeof(text));
		address_path(path, sizeof(path), port[i], i - first, "6");
		check_different6(ld, all, port, i, path);
		check_pair(ld, c, path, NULL, a);
		if (IN6_ARE_ADDR_EQUAL(&c->gateway6, a))
			gz_load_error(ld, "stack.gateway6", path,
				      "'%s' is the stack's own address: expected "
				      "another host",
				      text);
	}
	if (gz_engine_has6(c, 0))
		gz_check_mtu6(ld, &c->port, "port.mtu", "stack.addresses6");
}

/**
 * near() - Is a route's gateway a neighbour, as far as the configuration says?
 * @c:		Configuration
 * @via:	The gateway
 *
 * Return: true if so
 */
static bool near(const struct gz_engine_config *c, const struct in6_addr *via)
{
	const struct gz_prefix host = {.addr = *via, .len = 128, .set = true};
	struct gz_prefix all6[GZ_CONFIGURED6_MAX];
	struct gz_prefix4 all[GZ_OWN4_MAX];
	uint8_t port[GZ_OWN4_MAX];
	unsigned n = gz_engine_addresses(c, all, port);
	bool is = false;
	uint32_t v4;

	memcpy(&v4, &via->s6_addr[12], sizeof(v4));
	if (IN6_IS_ADDR_V4MAPPED(via)) {
		for (unsigned i = 0; i < n; i++)
			is |= gz_check_same_net(&all[i], v4) || (!port[i] && all[i].len == 32);
		return is || gz_engine_asks_any(c);
	}
	n = gz_engine_addresses6(c, all6, port);
	for (unsigned i = 0; i < n; i++)
		is |= gz_check_overlap6(&all6[i], &host);
	for (unsigned i = 0; i <= c->nmore; i++)
		is |= gz_engine_slaac(c, i);
	return is || (n && IN6_IS_ADDR_LINKLOCAL(via));
}

/**
 * own() - Is it one of the stack's addresses?
 * @c:		Configuration
 * @a:		Of either family
 *
 * Return: true if so
 */
static bool own(const struct gz_engine_config *c, const struct in6_addr *a)
{
	struct gz_prefix all6[GZ_CONFIGURED6_MAX];
	struct gz_prefix4 all[GZ_OWN4_MAX];
	uint8_t port[GZ_OWN4_MAX];
	unsigned n = gz_engine_addresses(c, all, port);
	bool is = false;

	for (unsigned i = 0; i < n; i++)
		is |= IN6_IS_ADDR_V4MAPPED(a) &&
		      !memcmp(&a->s6_addr[12], &all[i].addr, sizeof(all[i].addr));
	n = gz_engine_addresses6(c, all6, port);
	for (unsigned i = 0; i < n; i++)
		is |= IN6_ARE_ADDR_EQUAL(a, &all6[i].addr);
	return is;
}

/**
 * on_link() - Is it exactly the network of an address?
 * @c:		Configuration
 * @net:	Of either family
 *
 * Return: true if so
 */
static bool on_link(const struct gz_engine_config *c, const struct gz_prefix *net)
{
	struct gz_prefix all6[GZ_CONFIGURED6_MAX];
	struct gz_prefix4 all[GZ_OWN4_MAX];
	uint8_t port[GZ_OWN4_MAX];
	unsigned n = gz_engine_addresses(c, all, port);
	bool is = false;
	uint32_t v4;

	memcpy(&v4, &net->addr.s6_addr[12], sizeof(v4));
	for (unsigned i = 0; i < n; i++)
		is |= IN6_IS_ADDR_V4MAPPED(&net->addr) && net->len == 96 + all[i].len &&
		      gz_check_same_net(&all[i], v4);
	n = gz_engine_addresses6(c, all6, port);
	for (unsigned i = 0; i < n; i++)
		is |= net->len == all6[i].len && gz_check_overlap6(&all6[i], net);
	return is;
}

/**
 * to_hosts() - May packets for hosts of a network be routed?
 * @net:	Of either family
 *
 * Return: false for groups, loopback and what is on a link by itself
 */
static bool to_hosts(const struct gz_prefix *net)
{
	const struct in6_addr *a = &net->addr;

	if (!IN6_IS_ADDR_V4MAPPED(a))
		return !IN6_IS_ADDR_MULTICAST(a) && !IN6_IS_ADDR_LINKLOCAL(a) &&
		       (net->len < 128 || memcmp(a, &in6addr_any, 12));
	return a->s6_addr[12] < 224 && a->s6_addr[12] != 127 && (a->s6_addr[12] || net->len == 96);
}

/**
 * check_next_hop() - A route's via and src
 * @ld:		Load
 * @c:		Configuration
 * @r:		The route
 * @path:	Its path
 */
static void check_next_hop(struct gz_load *ld, const struct gz_engine_config *c,
			   const struct gz_route *r, const char *path)
{
	bool v4 = IN6_IS_ADDR_V4MAPPED(&r->to.addr);
	const char *addresses = v4 ? "stack.addresses" : "stack.addresses6";
	const struct in6_addr *a = &r->via.addr;
	char via[48], src[48];

	snprintf(via, sizeof(via), "%s.via", path);
	snprintf(src, sizeof(src), "%s.src", path);
	if (IN6_IS_ADDR_V4MAPPED(a) != v4)
		gz_load_error(ld, via, NULL, "of the other family: expected an %s address",
			      v4 ? "IPv4" : "IPv6");
	else if (r->via.len != 128 || (!IN6_IS_ADDR_LINKLOCAL(a) && !to_hosts(&r->via)))
		gz_load_error(ld, via, NULL, "not a host's address: expected a neighbour's");
	else if (own(c, a))
		gz_load_error(ld, via, NULL, "the stack's own address: expected another host");
	else if (!near(c, a))
		gz_load_error(ld, via, addresses, "in no network of %s: expected a neighbour",
			      addresses);
	if (r->src.set && (r->src.len != 128 || IN6_IS_ADDR_V4MAPPED(&r->src.addr) != v4 ||
			   !own(c, &r->src.addr)))
		gz_load_error(ld, src, addresses, "not in %s: expected one of them", addresses);
}

/**
 * check_dev() - The interface of a route's link-local next hop
 * @ld:		Load
 * @c:		Configuration
 * @r:		The route; its port is filled
 * @path:	Its path
 */
static void check_dev(struct gz_load *ld, const struct gz_engine_config *c, struct gz_route *r,
		      const char *path)
{
	char dev[48], name[IFNAMSIZ];

	snprintf(dev, sizeof(dev), "%s.dev", path);
	r->port = (uint8_t)gz_engine_first6(c);
	if (!r->dev[0])
		return;
	if (!IN6_IS_ADDR_LINKLOCAL(&r->via.addr)) {
		gz_load_error(ld, dev, path,
			      "not used with a via that is not link-local: expected it to be left "
			      "out");
		return;
	}
	for (unsigned i = 0; i <= c->nmore; i++) {
		snprintf(name, sizeof(name), "gazelle%u", i);
		if (strcmp(r->dev, name) != 0)
			continue;
		r->port = (uint8_t)i;
		if (!gz_engine_has6(c, i))
			gz_load_error(ld, dev, NULL,
				      "'%s' has no IPv6: expected an interface that has", name);
		return;
	}
	gz_load_error(ld, dev, NULL, "'%s' is none of the stack's: expected gazelle0%s", r->dev,
		      c->nmore ? ", gazelle1 and so on" : "");
}

/**
 * check_routes() - stack.routes: families, neighbours, what is there already
 * @ld:		Load
 * @c:		Configuration
 */
static void check_routes(struct gz_load *ld, struct gz_engine_config *c)
{
	char path[32], to[40];

	for (unsigned i = 0; i < c->nroutes; i++) {
		struct gz_route *r = &c->routes[i];
		bool v4 = IN6_IS_ADDR_V4MAPPED(&r->to.addr);

		snprintf(path, sizeof(path), "stack.routes[%u]", i);
		snprintf(to, sizeof(to), "%s.to", path);
		if (!r->to.set || !r->via.set)
			continue;
		if (!to_hosts(&r->to))
			gz_load_error(ld, to, NULL,
				      "loopback's, link-local or of groups: expected hosts");
		else if (on_link(c, &r->to))
			gz_load_error(ld, to, v4 ? "stack.addresses" : "stack.addresses6",
				      "on the link already: expected another network");
		else if (r->to.len == (v4 ? 96 : 0) &&
			 (v4 ? c->gateway != 0 : !IN6_IS_ADDR_UNSPECIFIED(&c->gateway6)))
			gz_load_error(ld, to, v4 ? "stack.gateway" : "stack.gateway6",
				      "what stack.%s is for: expected one of the two",
				      v4 ? "gateway" : "gateway6");
		check_next_hop(ld, c, r, path);
		check_dev(ld, c, r, path);
		for (unsigned j = 0; j < i; j++)
			if (gz_check_same_prefix(&r->to, &c->routes[j].to))
				gz_load_error(ld, to, NULL,
					      "there already: expected different networks");
	}
}

void gz_check_stack(struct gz_load *ld, struct gz_engine_config *c)
{
	if (c->dhcp)
		check_dhcp(ld, c);
	else
		check_stack(ld, c);
	check_different(ld, c);
	check_stack6(ld, c);
	check_routes(ld, c);
}

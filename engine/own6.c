/* SPDX-License-Identifier: BSD-3-Clause
 *
 * own6.c - The stack's IPv6 addresses, for all threads
 *
 * All workers have the same ones; each tells of them once a second (ipv6.c).
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>

#include "config/config.h"
#include "engine/address.h"
#include "engine/iface.h"
#include "engine/ipv6.h"
#include "engine/log.h"
#include "engine/route.h"
#include "engine/rtnl.h"
#include "engine/worker.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct gz_own6 v6;

#define SLAAC_BITS 64 /* of a network whose addresses are made by advertisement (RFC 4862) */

bool gz_ipv6_same(const struct in6_addr *a, const struct in6_addr *b, unsigned bits)
{
	unsigned bytes = bits / 8;

	return bits && !memcmp(a, b, bytes) &&
	       (!(bits % 8) || !((a->s6_addr[bytes] ^ b->s6_addr[bytes]) >> (8 - bits % 8)));
}

/* Locked */
static bool known_duplicate(const struct gz_own6_addr *a)
{
	for (unsigned i = 0; i < v6.n; i++)
		if (v6.own[i].duplicate && v6.own[i].port == a->port &&
		    IN6_ARE_ADDR_EQUAL(&v6.own[i].addr, &a->addr))
			return true;
	return false;
}

/* Does @o have @a, for programs to use? */
static bool has(const struct gz_own6 *o, const struct gz_own6_addr *a)
{
	for (unsigned i = 0; i < o->n; i++)
		if (!o->own[i].duplicate && o->own[i].port == a->port &&
		    IN6_ARE_ADDR_EQUAL(&o->own[i].addr, &a->addr))
			return true;
	return false;
}

static uint8_t bits_of(const struct gz_own6_addr *a)
{
	return a->network ? a->network : SLAAC_BITS;
}

/* Tell of what @from has and @to has not. */
static void tell(const struct gz_own6 *from, const struct gz_own6 *to, bool came)
{
	for (unsigned i = 0; i < from->n; i++) {
		const struct gz_own6_addr *a = &from->own[i];

		if (!a->duplicate && !IN6_IS_ADDR_LINKLOCAL(&a->addr) && !has(to, a))
			gz_rtnl_tell_address6(&a->addr, bits_of(a), &gz_ports[a->port], came);
	}
}

void gz_own6_publish(const struct gz_own6 *o)
{
	char text[INET6_ADDRSTRLEN];
	struct gz_own6 old;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < o->n; i++)
		if (o->own[i].duplicate && !known_duplicate(&o->own[i]))
			gz_err("%s is another host's address already: not used",
			       inet_ntop(AF_INET6, &o->own[i].addr, text, sizeof(text)));
	old = v6;
	v6 = *o;
	pthread_mutex_unlock(&lock);
	tell(o, &old, true);
	tell(&old, o, false);
}

/* Under the lock: the port that has @a, of those that @scope allows; -1: none */
static int owner(const struct in6_addr *a, uint32_t scope)
{
	for (unsigned i = 0; i < v6.n; i++)
		if (!v6.own[i].duplicate && IN6_ARE_ADDR_EQUAL(&v6.own[i].addr, a) &&
		    (!scope || scope == gz_ipv6_scope(v6.own[i].port)))
			return v6.own[i].port;
	return -1;
}

int gz_ipv6_owner(const struct gz_end *e)
{
	int port;

	pthread_mutex_lock(&lock);
	port = owner(&e->addr, e->scope);
	pthread_mutex_unlock(&lock);
	return port;
}

bool gz_ipv6_is_local(const struct gz_end *e)
{
	return IN6_IS_ADDR_LOOPBACK(&e->addr) || gz_ipv6_owner(e) >= 0;
}

unsigned gz_ipv6_list(struct gz_own6_addr list[GZ_OWN6_MAX])
{
	unsigned n = 0;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < v6.n; i++) {
		if (v6.own[i].duplicate || IN6_IS_ADDR_LINKLOCAL(&v6.own[i].addr))
			continue;
		list[n] = v6.own[i];
		list[n].network = bits_of(&v6.own[i]);
		n++;
	}
	pthread_mutex_unlock(&lock);
	return n;
}

void gz_ipv6_now(struct gz_own6 *o)
{
	pthread_mutex_lock(&lock);
	*o = v6;
	pthread_mutex_unlock(&lock);
}

/* --- ways ------------------------------------------------------------------ */

/* Under the lock, like those that follow: how many bits has the longest network on the link that
 * @a is in, at @only (-1: at any port)?  0: none; @port is where */
static unsigned on_link(const struct in6_addr *a, int only, int *port)
{
	unsigned best = 0;

	for (unsigned i = 0; i < v6.n; i++) {
		const struct gz_own6_addr *o = &v6.own[i];

		if (o->duplicate || o->network <= best || (only >= 0 && o->port != only) ||
		    !gz_ipv6_same(&o->addr, a, o->network))
			continue;
		best = o->network;
		*port = o->port;
	}
	for (unsigned i = 0; i < v6.nprefix; i++) {
		const struct gz_own6_at *p = &v6.prefix[i];

		if (best >= SLAAC_BITS || (only >= 0 && p->port != only) ||
		    !gz_ipv6_same(&p->addr, a, SLAAC_BITS))
			continue;
		best = SLAAC_BITS;
		*port = p->port;
	}
	return best;
}

/* A router, static or of a route's: the port that leads to it, -1: none */
static int port_to(const struct in6_addr *router, unsigned link_local)
{
	int port = -1;

	if (IN6_IS_ADDR_LINKLOCAL(router))
		return (int)link_local;
	on_link(router, -1, &port);
	return port;
}

/* Is @port one that @only lets? */
static bool allowed(int port, int only)
{
	return port >= 0 && (only < 0 || port == only);
}

/* By stack.gateway6, else by the first router that was advertised at a port that may be */
static void by_router(struct gz_way6 *w, int only)
{
	const struct in6_addr *gateway = &gz_cfg->gateway6;
	int port;

	if (!IN6_IS_ADDR_UNSPECIFIED(gateway)) {
		port = port_to(gateway, gz_engine_first6(gz_cfg));
		if (allowed(port, only)) {
			w->port = port;
			w->via = *gateway;
			return;
		}
	}
	for (unsigned i = 0; i < v6.nadvertised; i++) {
		if (!allowed(v6.advertised[i].port, only))
			continue;
		w->port = v6.advertised[i].port;
		w->via = v6.advertised[i].addr;
		return;
	}
}

/* The port of a group, or of what has a scope: what it says itself, or @only, or the first */
static int port_of_scope(const struct gz_end *to, int only)
{
	int port = to->scope ? gz_ipv6_port_of(to->scope) : only;

	if (!to->scope && only < 0)
		port = v6.n ? (int)gz_engine_first6(gz_cfg) : -1;
	return allowed(port, only) && gz_engine_has6(gz_cfg, (unsigned)port) ? port : -1;
}

static void way(const struct gz_end *to, int only, struct gz_way6 *w)
{
	const struct gz_route *r;
	unsigned bits;
	int at = -1;

	*w = (struct gz_way6){.port = -1};
	if (gz_addr_has_scope(*to) || IN6_IS_ADDR_MULTICAST(&to->addr)) {
		w->port = port_of_scope(to, only);
		w->link = w->port >= 0;
		return;
	}
	bits = on_link(&to->addr, only, &at);
	r = gz_route_find(&to->addr);
	if (r && r->to.len > bits && allowed(port_to(&r->via.addr, r->port), only)) {
		w->route = r;
		w->port = port_to(&r->via.addr, r->port);
		w->via = r->via.addr;
	} else if (bits) {
		w->link = true;
		w->port = at;
	} else {
		by_router(w, only);
	}
}

void gz_ipv6_way(const struct gz_end *to, int only, struct gz_way6 *w)
{
	pthread_mutex_lock(&lock);
	way(to, only, w);
	pthread_mutex_unlock(&lock);
}

/* How much of @o's network @peer is in */
static unsigned matching(const struct gz_own6_addr *o, const struct in6_addr *peer)
{
	unsigned bits = bits_of(o);

	return gz_ipv6_same(&o->addr, peer, bits) ? bits : 0;
}

/* RFC 6724 section 5: rules 3 and 5, then the longest prefix, by networks */
static bool is_better(const struct gz_own6_addr *a, const struct gz_own6_addr *b,
		      const struct in6_addr *peer, int port)
{
	if (a->preferred != b->preferred)
		return a->preferred;
	if ((a->port == port) != (b->port == port))
		return a->port == port;
	return matching(a, peer) > matching(b, peer);
}

bool gz_ipv6_source(const struct gz_end *peer, int only, struct gz_end *source)
{
	const struct gz_own6_addr *best = NULL;
	bool local = gz_addr_has_scope(*peer);
	struct gz_way6 w;

	pthread_mutex_lock(&lock);
	way(peer, only, &w);
	for (unsigned i = 0; i < v6.n && w.port >= 0; i++) {
		const struct gz_own6_addr *o = &v6.own[i];

		if (o->duplicate || (bool)IN6_IS_ADDR_LINKLOCAL(&o->addr) != local ||
		    (local && o->port != w.port))
			continue;
		if (w.route && w.route->src.set &&
		    IN6_ARE_ADDR_EQUAL(&o->addr, &w.route->src.addr)) {
			best = o;
			break;
		}
		if (!best || is_better(o, best, &peer->addr, w.port))
			best = o;
	}
	if (best)
		*source = (struct gz_end){.addr = best->addr,
					  .scope = local ? gz_ipv6_scope(best->port) : 0};
	pthread_mutex_unlock(&lock);
	return best;
}

struct gz_end gz_ipv6_end(const void *addr, uint16_t port)
{
	struct gz_end e = {.port = port};

	memcpy(&e.addr, addr, sizeof(e.addr));
	return e;
}

uint32_t gz_ipv6_scope(unsigned port)
{
	return (uint32_t)gz_iface_index(&gz_ports[port]);
}

int gz_ipv6_port_of(uint32_t scope)
{
	const struct gz_port *p = gz_iface_by_index((int)scope);

	return p ? (int)(p - gz_ports) : -1;
}

bool gz_ipv6_is_up(void)
{
	bool up;

	pthread_mutex_lock(&lock);
	up = v6.n;
	pthread_mutex_unlock(&lock);
	return up;
}

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
static bool known_duplicate(const struct in6_addr *a)
{
	for (unsigned i = 0; i < v6.n; i++)
		if (v6.own[i].duplicate && IN6_ARE_ADDR_EQUAL(&v6.own[i].addr, a))
			return true;
	return false;
}

/* Does @o have @a, for programs to use? */
static bool has(const struct gz_own6 *o, const struct in6_addr *a)
{
	for (unsigned i = 0; i < o->n; i++)
		if (!o->own[i].duplicate && IN6_ARE_ADDR_EQUAL(&o->own[i].addr, a))
			return true;
	return false;
}

/* Tell of what @from has and @to has not. */
static void tell(const struct gz_own6 *from, const struct gz_own6 *to, bool came)
{
	for (unsigned i = 0; i < from->n; i++) {
		const struct gz_own6_addr *a = &from->own[i];

		if (!a->duplicate && !IN6_IS_ADDR_LINKLOCAL(&a->addr) && !has(to, &a->addr))
			gz_rtnl_tell_address6(&a->addr, a->network ? a->network : SLAAC_BITS, came);
	}
}

void gz_own6_publish(const struct gz_own6 *o)
{
	char text[INET6_ADDRSTRLEN];
	struct gz_own6 old;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < o->n; i++)
		if (o->own[i].duplicate && !known_duplicate(&o->own[i].addr))
			gz_err("%s is another host's address already: not used",
			       inet_ntop(AF_INET6, &o->own[i].addr, text, sizeof(text)));
	old = v6;
	v6 = *o;
	pthread_mutex_unlock(&lock);
	tell(o, &old, true);
	tell(&old, o, false);
}

bool gz_ipv6_is_local(const struct in6_addr *a)
{
	bool found = IN6_IS_ADDR_LOOPBACK(a);

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < v6.n && !found; i++)
		found = !v6.own[i].duplicate && IN6_ARE_ADDR_EQUAL(&v6.own[i].addr, a);
	pthread_mutex_unlock(&lock);
	return found;
}

unsigned gz_ipv6_list(struct gz_prefix *list, unsigned max)
{
	unsigned n = 0;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < v6.n && n < max; i++)
		if (!v6.own[i].duplicate && !IN6_IS_ADDR_LINKLOCAL(&v6.own[i].addr))
			list[n++] = (struct gz_prefix){
			    .addr = v6.own[i].addr,
			    .len = v6.own[i].network ? v6.own[i].network : SLAAC_BITS,
			};
	pthread_mutex_unlock(&lock);
	return n;
}

void gz_ipv6_now(struct gz_own6 *o)
{
	pthread_mutex_lock(&lock);
	*o = v6;
	pthread_mutex_unlock(&lock);
}

struct in6_addr gz_ipv6_router(void)
{
	struct in6_addr a = gz_cfg->gateway6;

	pthread_mutex_lock(&lock);
	if (IN6_IS_ADDR_UNSPECIFIED(&a) && v6.nadvertised)
		a = v6.advertised[0];
	pthread_mutex_unlock(&lock);
	return a;
}

/* Under the lock: how many bits has the longest network on the link that @a is in?  0: none */
static unsigned on_link(const struct in6_addr *a)
{
	unsigned best = 0;

	for (unsigned i = 0; i < v6.n; i++)
		if (!v6.own[i].duplicate && v6.own[i].network > best &&
		    gz_ipv6_same(&v6.own[i].addr, a, v6.own[i].network))
			best = v6.own[i].network;
	for (unsigned i = 0; i < v6.nprefix; i++)
		if (best < SLAAC_BITS && gz_ipv6_same(&v6.prefix[i], a, SLAAC_BITS))
			best = SLAAC_BITS;
	return best;
}

const struct gz_route *gz_ipv6_route(const struct in6_addr *to, bool *link)
{
	const struct gz_route *r = gz_route_find(to);
	unsigned bits;

	pthread_mutex_lock(&lock);
	bits = on_link(to);
	pthread_mutex_unlock(&lock);
	if (r && r->to.len <= bits)
		r = NULL;
	*link = bits && !r;
	return r;
}

/* How much of @o's network @peer is in */
static unsigned matching(const struct gz_own6_addr *o, const struct in6_addr *peer)
{
	unsigned bits = o->network ? o->network : SLAAC_BITS;

	return gz_ipv6_same(&o->addr, peer, bits) ? bits : 0;
}

bool gz_ipv6_source(const struct in6_addr *peer, struct in6_addr *source)
{
	const struct gz_own6_addr *best = NULL;
	const struct gz_route *r = gz_route_find(peer);
	bool routed;
	bool local = IN6_IS_ADDR_LINKLOCAL(peer) || IN6_IS_ADDR_MC_LINKLOCAL(peer) ||
		     IN6_IS_ADDR_MC_NODELOCAL(peer);

	pthread_mutex_lock(&lock);
	if (r && (local || IN6_IS_ADDR_MULTICAST(peer) || r->to.len <= on_link(peer)))
		r = NULL;
	routed = r || local || IN6_IS_ADDR_MULTICAST(peer) || v6.router || on_link(peer);
	for (unsigned i = 0; i < v6.n && routed; i++) {
		const struct gz_own6_addr *o = &v6.own[i];

		/* RFC 6724 section 5: rules 2 and 3, then the longest prefix, by networks. */
		if (o->duplicate || (bool)IN6_IS_ADDR_LINKLOCAL(&o->addr) != local)
			continue;
		if (r && r->src.set && IN6_ARE_ADDR_EQUAL(&o->addr, &r->src.addr)) {
			best = o;
			break;
		}
		if (!best || (o->preferred && !best->preferred) ||
		    (o->preferred == best->preferred && matching(o, peer) > matching(best, peer)))
			best = o;
	}
	if (best)
		*source = best->addr;
	pthread_mutex_unlock(&lock);
	return best;
}

struct gz_end gz_ipv6_end(const void *addr, uint16_t port)
{
	struct gz_end e = {.port = port};

	memcpy(&e.addr, addr, sizeof(e.addr));
	gz_addr_set_scope(&e);
	return e;
}

bool gz_ipv6_is_up(void)
{
	bool up;

	pthread_mutex_lock(&lock);
	up = v6.n;
	pthread_mutex_unlock(&lock);
	return up;
}

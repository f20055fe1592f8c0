/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ipv6.h - The stack's IPv6 addresses and its router
 */
#ifndef GZ_IPV6_H
#define GZ_IPV6_H

#include <netinet/in.h>
#include <stdbool.h>

#include "config/config.h"
#include "engine/end.h"

struct netif;
struct ip6_addr;

/** Give the port's first netif its addresses.  Worker's; return: 0 or -errno */
int gz_ipv6_init(const struct gz_engine_config *cfg, struct netif *nif);
/** lwIP's IPv6 timers, once a second; worker's. */
void gz_ipv6_second(void);
/** lwIP has sent an IPv6 packet, or is to when it knows the next hop; worker's. */
void gz_ipv6_sent(void);
/** lwIP was told that the link came up. */
void gz_ipv6_link_up(void);

struct gz_prefix;

/* --- own6.c ---------------------------------------------------------------- */

#define GZ_OWN6_MAX 16
struct gz_own6 {
	struct gz_own6_addr {
		struct in6_addr addr;
		uint8_t
		    network; /* so many bits of it are on the link; 0: it alone is the stack's */
		bool preferred;
		bool duplicate;
	} own[GZ_OWN6_MAX];
	unsigned n;
	struct in6_addr prefix[GZ_OWN6_MAX]; /* advertised as on-link */
	unsigned nprefix;
	struct in6_addr advertised[GZ_OWN6_MAX]; /* routers that sent advertisements */
	unsigned nadvertised;
	bool router;
};

/** These are the stack's now.  Worker's */
void gz_own6_publish(const struct gz_own6 *o);
/** ::1 or an address of the stack's that is not a duplicate?  Any thread. */
bool gz_ipv6_is_local(const struct in6_addr *a);
/** Addresses that programs may use, with their networks: no link-local one, no duplicate.
 * Any thread; return: how many were put into @list */
unsigned gz_ipv6_list(struct gz_prefix *list, unsigned max);
/** The router of stack.gateway6, else the first advertised one; :: if there is none.  Any thread */
struct in6_addr gz_ipv6_router(void);
/** What the workers told of last.  Any thread */
void gz_ipv6_now(struct gz_own6 *o);
/** Are both in one network of @bits?  0: no */
bool gz_ipv6_same(const struct in6_addr *a, const struct in6_addr *b, unsigned bits);
/** The route to @to, NULL if none is longer than a network on the link; @link: it is in one.
 * Any thread. */
const struct gz_route *gz_ipv6_route(const struct in6_addr *to, bool *link);
/** The source for what goes to @peer, a group too.  Any thread; false: the stack has no way
 * to it */
bool gz_ipv6_source(const struct in6_addr *peer, struct in6_addr *source);

/** An address as it is in a packet, with its scope if it has one; any thread.
 * @port:	Network byte order */
struct gz_end gz_ipv6_end(const void *addr, uint16_t port);
/** The next hop of a route that is longer than the network on the link, else @dest: lwIP asks
 * nobody about its /64.  Worker's */
const struct ip6_addr *gz_ipv6_next_hop(const struct ip6_addr *dest);
/** The netif of all IPv6 addresses; worker's.  NULL: the stack has none */
struct netif *gz_ipv6_netif(void);
/** Has the stack IPv6 on the wire?  Any thread. */
bool gz_ipv6_is_up(void);

#endif

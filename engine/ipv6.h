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

struct gz_wire;

/** Give each port's first netif its addresses.  Worker's; return: 0 or -errno */
int gz_ipv6_init(const struct gz_engine_config *cfg);
/** lwIP's IPv6 timers, once a second; worker's. */
void gz_ipv6_second(void);
/** lwIP has sent an IPv6 packet, or is to when it knows the next hop; worker's. */
void gz_ipv6_sent(void);
/** lwIP was told that the link of @w came up. */
void gz_ipv6_link_up(const struct gz_wire *w);

/* --- own6.c ---------------------------------------------------------------- */

#define GZ_OWN6_MAX 96 /* LWIP_IPV6_NUM_ADDRESSES a port */
#define GZ_ROUTERS6_MAX 16
struct gz_own6 {
	struct gz_own6_addr {
		struct in6_addr addr;
		uint8_t port; /* of gz_ports[], that it is at */
		uint8_t
		    network; /* so many bits of it are on the link; 0: it alone is the stack's */
		bool preferred;
		bool duplicate;
	} own[GZ_OWN6_MAX]; /* those of the first port first, and so on */
	unsigned n;
	struct gz_own6_at {
		struct in6_addr addr;
		uint8_t port;
	} prefix[GZ_ROUTERS6_MAX],	 /* advertised as on-link */
	    advertised[GZ_ROUTERS6_MAX]; /* routers that sent advertisements */
	unsigned nprefix, nadvertised;
};

/** How packets go somewhere */
struct gz_way6 {
	int port;		      /* of gz_ports[]; -1: there is no way */
	const struct gz_route *route; /* of stack.routes; NULL: by none */
	bool link;		      /* it is a neighbour */
	struct in6_addr via;	      /* the next hop, if it is none */
};

/** These are the stack's now.  Worker's */
void gz_own6_publish(const struct gz_own6 *o);
/** ::1 or an address of the stack's that is not a duplicate, at the port that its scope says if
 * it has one?  Any thread. */
bool gz_ipv6_is_local(const struct gz_end *e);
/** The port that has it, of gz_ports[]; -1: none.  Any thread */
int gz_ipv6_owner(const struct gz_end *e);
/** Addresses that programs may use, with their networks: no link-local one, no duplicate.
 * Any thread; return: how many were put into @list */
unsigned gz_ipv6_list(struct gz_own6_addr list[GZ_OWN6_MAX]);
/** What the workers told of last.  Any thread */
void gz_ipv6_now(struct gz_own6 *o);
/** Are both in one network of @bits?  0: no */
bool gz_ipv6_same(const struct in6_addr *a, const struct in6_addr *b, unsigned bits);
/** The way to @to by port @only, -1: by any.  Any thread */
void gz_ipv6_way(const struct gz_end *to, int only, struct gz_way6 *w);
/** The source, without a port, for what goes to @peer, a group too, by port @only, -1: by any.
 * Any thread; false: the stack has no way to it */
bool gz_ipv6_source(const struct gz_end *peer, int only, struct gz_end *source);

/** An address as it is in a packet, without a scope; any thread.
 * @port:	Network byte order */
struct gz_end gz_ipv6_end(const void *addr, uint16_t port);
/** The scope of what is on the link of @port, and back (-1: no port's) */
uint32_t gz_ipv6_scope(unsigned port);
int gz_ipv6_port_of(uint32_t scope);
/** Has the stack IPv6 on the wire?  Any thread. */
bool gz_ipv6_is_up(void);

/* --- ipv6.c, the worker's --------------------------------------------------- */

/** An address as lwIP has it, with the scope of its zone.
 * @port:	Network byte order */
struct gz_end gz_ipv6_of(const struct ip6_addr *a, uint16_t port);
/** For what lwIP is to find the neighbour of a packet to @dest that leaves by @nif: the next hop of
 * a route that is longer than the network on the link, for lwIP asks nobody about its /64; else
 * @dest, by the next hop that is right at @nif */
const struct ip6_addr *gz_ipv6_next_hop(struct netif *nif, const struct ip6_addr *dest);
/** The netif that has @a as an address of ours; NULL: none */
struct netif *gz_ipv6_having(const struct ip6_addr *a);
/** The netif that packets from @src to @dst leave by.
 * @only:	Of gz_ports[], -1: any
 * Return: NULL, there is none */
struct netif *gz_ipv6_way_out(const struct gz_end *src, const struct gz_end *dst, int only);

#endif

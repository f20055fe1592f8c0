/* SPDX-License-Identifier: BSD-3-Clause
 *
 * alias.h - Names of peers and of shadows, in the engine's namespace
 *
 * Theory of operation.  The shadow of a UDP socket is a UDP socket too, of the same
 * family, in the engine's network namespace (dgram.c), where nobody else is:
 *
 *   a shadow	has a port of its own, its *nest*, in either family, and no address
 *   an alias	stands for a remote endpoint, a local address and an interface; it is 32 bits wide,
 *		and both an IPv4 address, of 127.64 to 127.252, and an IPv6 one, its
 *		bits after GZ_NAMES6.  Port GZ_ALIAS_PORT
 *
 * A datagram for a program has its peer's alias as its source; one that a program
 * sends has it as its destination.  So each datagram, however long it lies in
 * whichever queue, says by itself where it comes from or goes to, and a native
 * recv() or send() puts nothing out of step.  Which of the two addresses is taken
 * is the family of the peer: the shadow of a dual-stack socket then does by itself
 * what IPv4-mapped and native addresses have different options and errors for.
 *
 * The alias's second byte is a generation.  A slot is used again when all others
 * were, with another generation, so that a name that lies in a queue for very long
 * is found to be stale rather than taken for another.  Any thread; one lock.
 */
#ifndef GZ_ALIAS_H
#define GZ_ALIAS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/end.h"

#define GZ_ALIAS_PORT 2001
#define GZ_NEST_FIRST 4096 /* to 65535 */
#define GZ_NAMES6 "fd67:617a:656c:ffff::"

struct gz_sock;

/** What an alias stands for.  peer.port 0: the datagram's own source port. */
struct gz_alias {
	struct gz_end peer;
	struct gz_end local; /* port 0; any: whatever the socket has */
	uint8_t at; /* the interface that it came to, or is to leave by, as gz_iface_bound()
		     * has it; 0: as routes say */
};

/**
 * gz_alias_get() - The alias of @peer, @local and @at; made if there is none
 * @pin:	Keep it until gz_alias_unpin()
 *
 * Return: an address in network byte order; 0: all are pinned, or no memory
 */
uint32_t gz_alias_get(struct gz_end peer, struct gz_end local, uint8_t at, bool pin);
void gz_alias_unpin(uint32_t alias);
/** Return: false when @addr is no alias, or is one no longer */
bool gz_alias_find(uint32_t addr, struct gz_alias *a);

/** A name as an address of the namespace: IPv4, its mapped form, or with @native IPv6.
 * Name 0 is this host, 127.0.0.1 or ::1. */
uint32_t gz_name_v4(uint32_t name);
struct in6_addr gz_name_v6(uint32_t name, bool native);
/** The other way round, of either form */
uint32_t gz_name_of(const struct in6_addr *a);

/** A port for the shadow of @s, host order, until gz_nest_drop().  0: none is left */
uint16_t gz_nest_take(struct gz_sock *s);
void gz_nest_drop(uint16_t nest);
/** Return: a new reference to the socket whose shadow has port @nest, or NULL */
struct gz_sock *gz_nest_find(uint16_t nest);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * alias.h - Addresses of 127/8 that stand for peers, in the engine's namespace
 *
 * Theory of operation.  The shadow of a UDP socket is a UDP socket too, on the
 * loopback of the engine's network namespace (dgram.c).  There 127/8 is free, and
 * is used as a space of names, 24 bits wide:
 *
 *   127.1 - 127.62	shadows, each with its own address (GZ_SHADOW_PORT)
 *   127.64 - 127.252	aliases: each stands for a remote endpoint and a local
 *			address (GZ_ALIAS_PORT)
 *
 * A datagram for a program has its peer's alias as its source; one that a program
 * sends has it as its destination.  So each datagram, however long it lies in
 * whichever queue, says by itself where it comes from or goes to, and a native
 * recv() or send() puts nothing out of step.
 *
 * The second byte is a generation.  A slot is used again when all others were,
 * with another generation, so that a name that lies in a queue for very long is
 * found to be stale rather than taken for another.  Any thread; one lock.
 */
#ifndef GZ_ALIAS_H
#define GZ_ALIAS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/end.h"

#define GZ_SHADOW_PORT 2000
#define GZ_ALIAS_PORT 2001

struct gz_sock;

/** What an alias stands for.  peer.port 0: the datagram's own source port. */
struct gz_alias {
	struct gz_end peer;
	struct gz_end local; /* port 0; any: whatever the socket has */
};

/**
 * gz_alias_get() - The alias of @peer and @local; made if there is none
 * @pin:	Keep it until gz_alias_unpin()
 *
 * Return: an address in network byte order; 0: all are pinned, or no memory
 */
uint32_t gz_alias_get(struct gz_end peer, struct gz_end local, bool pin);
void gz_alias_unpin(uint32_t alias);
/** Return: false when @addr is no alias, or is one no longer */
bool gz_alias_find(uint32_t addr, struct gz_alias *a);

/** An address for the shadow of @s, until gz_nest_drop().  0: none is left */
uint32_t gz_nest_take(struct gz_sock *s);
void gz_nest_drop(uint32_t addr);
/** Return: a new reference to the socket whose shadow has @addr, or NULL */
struct gz_sock *gz_nest_find(uint32_t addr);

#endif

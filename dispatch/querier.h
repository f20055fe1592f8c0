/* SPDX-License-Identifier: BSD-3-Clause
 *
 * querier.h - Asking clients which multicast groups they are in
 *
 * Theory of operation: the network may have nobody who asks, and no client reports a
 * group again without being asked: so each is when its link came up, once more
 * shortly after, and every GROUPS_QUERY_S; all are, when another port of a bond takes
 * over, that the network learns by what is reported where they are now.  General
 * queries of IGMPv3 and MLDv2, which older hosts take for their own (RFC 3376 7.2.1, RFC
 * 3810 8.2.1), from 0.0.0.0, which is nobody who could be elected (RFC 4541 2.1.1), and
 * the link-local address of the port.  Outside they are not sent.  The first worker's; others
 * leave word.
 */
#ifndef GZ_DISPATCH_QUERIER_H
#define GZ_DISPATCH_QUERIER_H

#include <stdint.h>

#include "config/config.h"

struct worker;

struct querier {
	_Atomic uint64_t asked; /* a bit for each client whose link came up since the last tick */
	uint64_t next_tsc;
	uint32_t at[GZ_CLIENTS_MAX];   /* s, of the next query */
	uint8_t early[GZ_CLIENTS_MAX]; /* queries left until GROUPS_QUERY_S lie between */
};

/** querier_tick() - Ask whose time it is, and move the groups' clock: every pass */
void querier_tick(struct worker *w);

/** querier_ask() - A client's link came up.  Any worker */
void querier_ask(struct querier *q, unsigned client);

/** querier_ask_all() - Another port is active */
void querier_ask_all(struct querier *q);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * connections.h - How many TCP connections a client may have
 *
 * Theory of operation: a connection counts from its SYN, in whichever direction, until an
 * RST, until both sides have sent a FIN, or until nothing has been seen of it for
 * CONNECTION_IDLE_S (CONNECTION_OPENING_S before both sides have).  A SYN beyond the
 * limit is dropped, so that nothing is half there; what is no SYN always passes.  Data
 * that the client sends on a connection that is not known, of before the limit was set or
 * dispatch was started, counts as well while there is room.
 *
 * A SYN that nobody answers takes a place for CONNECTION_OPENING_S: who floods a client
 * that has a limit keeps others from it, and from nobody else.
 *
 * The worker's; made and freed by main, when the worker does not know it.
 */
#ifndef GZ_DISPATCH_CONNECTIONS_H
#define GZ_DISPATCH_CONNECTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define CONNECTION_OPENING_S 75
#define CONNECTION_IDLE_S 7200 /* as TCP's keepalive: then it would say so */

struct connections;

/** connections_new() - @max: 1 to GZ_CONNECTIONS_MAX.  Return: NULL without memory */
struct connections *connections_new(uint32_t max);
void connections_free(struct connections *c);

/**
 * connection_passes() - May this segment pass?
 * @frame:	From the Ethernet header on, without a VLAN tag; checked (sw_decide())
 * @tcp:	Where the TCP header is
 * @sent:	By the client, else to it
 * @now:	Seconds
 */
bool connection_passes(struct connections *c, const uint8_t *frame, unsigned tcp, bool sent,
		       uint32_t now);

/** connections_count() - Any thread */
unsigned connections_count(const struct connections *c);

#endif

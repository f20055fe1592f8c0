/* SPDX-License-Identifier: BSD-3-Clause
 *
 * dhcp.h - stack.dhcp: the stack's IPv4 address at a port from a server
 */
#ifndef GZ_DHCP_H
#define GZ_DHCP_H

#include <stdbool.h>
#include <stdint.h>

struct netif;
struct pbuf;

#define GZ_DHCP_PORT 68 /* of UDP, where servers answer */

/**
 * gz_dhcp_timers() - What is due of lwIP's client, which begins with the first call
 * @now:	ns, CLOCK_MONOTONIC
 *
 * Each worker's; only the first one's does anything, and only where a port asks.
 * Return: ns until there is more to do, UINT64_MAX if there is nothing
 */
uint64_t gz_dhcp_timers(uint64_t now);
/** Does the port that @inp is of ask a server?  Worker's */
bool gz_dhcp_asks(const struct netif *inp);
/** A datagram for GZ_DHCP_PORT, from its UDP header on; @p is freed.  Worker's */
void gz_dhcp_input(struct pbuf *p, struct netif *inp);

#endif

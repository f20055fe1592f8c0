/* SPDX-License-Identifier: BSD-3-Clause
 *
 * next_hop.h - Which neighbour an IPv4 packet is for
 */
#ifndef GZ_NEXT_HOP_H
#define GZ_NEXT_HOP_H

#include "lwip/ip4_addr.h"
#include "lwip/netif.h"

/** There is no netif but @nif that packets could leave by, nor a route.  Worker's, at the start */
void gz_next_hop_only(struct netif *nif);
/** To the next hop of a route that is longer than @nif's network, where lwIP asks nobody.
 * Worker's */
void gz_next_hop(const struct netif *nif, ip4_addr_t *to);

#endif

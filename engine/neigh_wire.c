/* SPDX-License-Identifier: BSD-3-Clause
 *
 * neigh_wire.c - What a worker's lwIP knows of neighbours
 */
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "lwip/etharp.h"
#include "lwip/priv/nd6_priv.h"

#include "engine/ipv6.h"
#include "engine/neigh.h"
#include "engine/worker.h"

_Static_assert(ARP_TABLE_SIZE + LWIP_ND6_NUM_NEIGHBORS <= GZ_NEIGHS, "all are told of");

static uint16_t state_of(u8_t nd6)
{
	switch (nd6) {
	case ND6_INCOMPLETE:
		return NUD_INCOMPLETE;
	case ND6_REACHABLE:
		return NUD_REACHABLE;
	case ND6_STALE:
		return NUD_STALE;
	case ND6_DELAY:
		return NUD_DELAY;
	default:
		return NUD_PROBE;
	}
}

static uint8_t port_of(const struct netif *nif)
{
	const struct gz_wire *w = nif->state;

	return (uint8_t)(w->port - gz_ports);
}

void gz_neigh_second(void)
{
	struct gz_neigh v[GZ_NEIGHS] = {0};
	struct eth_addr *mac;
	struct netif *nif;
	ip4_addr_t *ip;
	unsigned n = 0;

	/* ARP has no more to say than that somebody answered. */
	for (size_t i = 0; i < ARP_TABLE_SIZE; i++) {
		if (!etharp_get_entry(i, &ip, &nif, &mac))
			continue;
		v[n].end = gz_end_v4(ip->addr, 0);
		v[n].at = port_of(nif);
		v[n].state = NUD_REACHABLE;
		v[n].known = true;
		memcpy(v[n++].mac, mac->addr, sizeof(v->mac));
	}
	for (size_t i = 0; i < LWIP_ND6_NUM_NEIGHBORS; i++) {
		const struct nd6_neighbor_cache_entry *e = &neighbor_cache[i];

		if (e->state == ND6_NO_ENTRY)
			continue;
		v[n].end = gz_ipv6_of(&e->next_hop_address, 0);
		v[n].at = port_of(e->netif);
		v[n].state = state_of(e->state);
		v[n].known = e->state != ND6_INCOMPLETE;
		v[n].router = e->isrouter;
		memcpy(v[n++].mac, e->lladdr, sizeof(v->mac));
	}
	gz_neigh_publish(gz_worker.index, v, n);
}

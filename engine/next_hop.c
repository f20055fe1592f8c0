/* SPDX-License-Identifier: BSD-3-Clause
 *
 * next_hop.c - Which neighbour an IPv4 packet is for, and which netif sends it
 *
 * lwIP has a network and at most one gateway a netif.  What stack.routes say is put in by
 * hooks; of a route and the network of an address the longer one wins.  IPv6 is ipv6.c's.
 */
#include <arpa/inet.h>

#include "lwip/etharp.h"
#include "lwip/ip4.h"
#include "lwip/netif.h"

#include "engine/address.h"
#include "engine/end.h"
#include "engine/next_hop.h"
#include "engine/own4.h"
#include "engine/pcb.h"
#include "engine/route.h"
#include "engine/worker.h"

static struct netif *only; /* nothing is to be looked up: each segment comes here */

void gz_next_hop_only(struct netif *nif)
{
	only = nif;
}

/* The netif with the longest network that @a is in, of those of @wire (NULL: of all); NULL: none */
static struct netif *on_link(uint32_t a, const void *wire)
{
	struct netif *nif, *best = NULL;

	NETIF_FOREACH(nif)
	if (nif->flags & NETIF_FLAG_ETHARP && (!wire || nif->state == wire) &&
	    netif_ip4_addr(nif)->addr &&
	    !((a ^ netif_ip4_addr(nif)->addr) & netif_ip4_netmask(nif)->addr) &&
	    (!best ||
	     lwip_ntohl(netif_ip4_netmask(nif)->addr) >= lwip_ntohl(netif_ip4_netmask(best)->addr)))
		best = nif;
	return best;
}

/* The next hop of the route to @to; 0: none, a network on the link is longer, or it is not by
 * @wire (NULL: by any) */
static uint32_t routed_by(uint32_t to, const void *wire)
{
	const struct gz_end end = gz_end_v4(to, 0);
	const struct gz_route *r = gz_route_find(&end.addr);
	const struct netif *nif = r ? on_link(to, wire) : NULL;
	uint32_t mask = r && r->to.len > 96 ? ~0u << (128 - r->to.len) : 0, via;

	if (!r || (nif && lwip_ntohl(netif_ip4_netmask(nif)->addr) >= mask))
		return 0;
	memcpy(&via, &r->via.addr.s6_addr[12], sizeof(via));
	return wire && gz_nports > 1 && !on_link(via, wire) ? 0 : via;
}

/* Of several ports the netif whose network the next hop to @dest is in; NULL: none */
static struct netif *by_routes(uint32_t dest)
{
	uint32_t via = routed_by(dest, NULL);
	struct netif *nif = on_link(via ? via : dest, NULL);

	return nif ? nif : on_link(gz_own4()->gateway, NULL);
}

/**
 * gz_ip4_route() - LWIP_HOOK_IP4_ROUTE_SRC: the netif whose network the next hop is in
 *
 * That which a connection is bound to lwIP knows itself, but for the MSS.
 */
struct netif *gz_ip4_route(const ip4_addr_t *src, const ip4_addr_t *dest)
{
	struct netif *nif;

	if (only)
		return ip4_addr_isloopback(dest) || ip4_addr_ismulticast(dest) ? NULL : only;
	if (ip4_addr_isloopback(dest))
		return NULL;
	/* From an address that DHCP has taken away: to where it is dropped, and not forgotten. */
	if (src && src->addr && gz_engine_asks_any(gz_cfg) &&
	    !gz_addr_is_local(gz_end_v4(src->addr, 0)))
		return netif_default;
	if (ip4_addr_ismulticast(dest))
		return NULL;
	/* All that lwIP would find otherwise are of one port, and as good. */
	if (gz_nports == 1)
		return routed_by(dest->addr, NULL) ? by_routes(dest->addr) : NULL;
	nif = gz_pcb_netif();
	return nif ? nif : by_routes(dest->addr);
}

/** gz_etharp_gateway() - LWIP_HOOK_ETHARP_GET_GW: the neighbour for what is not in @nif's network
 */
const ip4_addr_t *gz_etharp_gateway(struct netif *nif, const ip4_addr_t *dest)
{
	static ip4_addr_t via;
	uint32_t gateway = gz_own4()->gateway;
	const struct netif *way;

	via.addr = routed_by(dest->addr, nif->state);
	if (via.addr)
		return &via;
	/* in the network of another address of ours */
	if (on_link(dest->addr, nif->state))
		return dest;
	/* By SO_BINDTODEVICE, and not by routes: ip_route_output_key_hash() takes it for a
	 * neighbour */
	way = gz_nports > 1 ? by_routes(dest->addr) : NULL;
	if (way && way->state != nif->state)
		return dest;
	via.addr = gateway;
	return gateway ? &via : NULL;
}

void gz_next_hop(const struct netif *nif, ip4_addr_t *to)
{
	uint32_t via;

	if (only || !ip4_addr_net_eq(to, netif_ip4_addr(nif), netif_ip4_netmask(nif)) ||
	    ip4_addr_isbroadcast(to, nif))
		return;
	via = routed_by(to->addr, nif->state);
	if (via)
		to->addr = via;
}

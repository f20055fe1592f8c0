/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ipv6.c - The stack's IPv6 addresses, its router, and errors by ICMPv6
 *
 * Theory of operation.  All IPv6 addresses are on the port's first netif, where
 * lwIP does neighbour discovery, duplicate address detection (RFC 4862 section
 * 5.4) and, with stack.slaac, autoconfiguration.  Address 0 is the link-local one,
 * lwIP's source of solicitations.  Addresses come and go while the engine runs,
 * and lwIP's tables are the worker's: so once a second the worker publishes what
 * other threads may know (own6.c).
 *
 * lwIP takes a static address's network to be a /64, so the configuration allows
 * no other; its router is the one of stack.gateway6 or an advertised one.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "lwip/ethip6.h"
#include "lwip/icmp6.h"
#include "lwip/inet_chksum.h"
#include "lwip/ip.h"
#include "lwip/ip6_frag.h"
#include "lwip/mld6.h"
#include "lwip/nd6.h"
#include "lwip/netif.h"
#include "lwip/priv/nd6_priv.h"
#include "lwip/prot/icmp6.h"

#include "engine/address.h"
#include "engine/counters.h"
#include "engine/icmp.h"
#include "engine/ipv6.h"
#include "engine/log.h"
#include "engine/ping.h"
#include "engine/worker.h"

static_assert(LWIP_IPV6_NUM_ADDRESSES <= GZ_OWN6_MAX && LWIP_ND6_NUM_PREFIXES <= GZ_OWN6_MAX,
	      "all are published");

static struct {
	struct netif *nif;
	ip6_addr_t gateway;
	bool slaac;
} v6;

/* What lwIP has now, for everybody. */
static void publish(void)
{
	struct netif *nif = v6.nif;
	struct gz_own6 o = {.router = !ip6_addr_isany(&v6.gateway)};

	for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
		u8_t st = netif_ip6_addr_state(nif, i);
		struct gz_own6_addr *a = &o.own[o.n];

		if (ip6_addr_isinvalid(st))
			continue;
		memcpy(&a->addr, netif_ip6_addr(nif, i)->addr, sizeof(a->addr));
		a->static_ = netif_ip6_addr_isstatic(nif, i) &&
			     !ip6_addr_islinklocal(netif_ip6_addr(nif, i));
		a->preferred = ip6_addr_ispreferred(st);
		a->duplicate = ip6_addr_isduplicated(st);
		o.n++;
	}
	for (int i = 0; i < LWIP_ND6_NUM_PREFIXES; i++)
		if (prefix_list[i].netif)
			memcpy(&o.prefix[o.nprefix++], prefix_list[i].prefix.addr, 16);
	for (int i = 0; i < LWIP_ND6_NUM_ROUTERS; i++)
		o.router = o.router || default_router_list[i].neighbor_entry;
	gz_own6_publish(&o);
}

int gz_ipv6_init(const struct gz_engine_config *cfg, struct netif *nif)
{
	if (!cfg->naddrs6 && !cfg->slaac)
		return 0;
	v6.nif = nif;
	v6.slaac = cfg->slaac;
	memcpy(v6.gateway.addr, &cfg->gateway6, sizeof(v6.gateway.addr));
	if (ip6_addr_islinklocal(&v6.gateway))
		ip6_addr_assign_zone(&v6.gateway, IP6_UNICAST, nif);
	nif->flags |= NETIF_FLAG_MLD6;
	netif_create_ip6_linklocal_address(nif, 1);
	netif_set_ip6_autoconfig_enabled(nif, cfg->slaac);
	if (!cfg->slaac)
		nif->rs_count = 0; /* nobody would listen to the answer */
	for (unsigned i = 0; i < cfg->naddrs6; i++) {
		ip6_addr_t a = {0};

		memcpy(a.addr, &cfg->addrs6[i].addr, sizeof(a.addr));
		if (netif_add_ip6_address(nif, &a, NULL) != ERR_OK)
			return -ENOMEM;
	}
	/* Nobody else is at the other end of a pair of our own making. */
	if (cfg->port.veth_host[0])
		for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++)
			if (!ip6_addr_isinvalid(netif_ip6_addr_state(nif, i)))
				netif_ip6_addr_set_state(nif, (s8_t)i, IP6_ADDR_PREFERRED);
	publish();
	return 0;
}

void gz_ipv6_link_up(void)
{
	if (v6.nif && !v6.slaac)
		v6.nif->rs_count = 0;
}

void gz_ipv6_second(void)
{
	ip6_reass_tmr();
	if (!v6.nif)
		return;
	nd6_tmr();
	for (int i = 0; i < 1000 / MLD6_TMR_INTERVAL; i++)
		mld6_tmr();
	publish();
}

struct netif *gz_ipv6_netif(void)
{
	return v6.nif;
}

/** gz_nd6_gateway() - LWIP_HOOK_ND6_GET_GW: the next hop to what is not on the link */
const ip6_addr_t *gz_nd6_gateway(struct netif *nif, const ip6_addr_t *dest)
{
	LWIP_UNUSED_ARG(dest);
	return nif == v6.nif && !ip6_addr_isany(&v6.gateway) ? &v6.gateway : NULL;
}

/*
 * Is a message of neighbour discovery whole, with options that end where it does?
 * (RFC 4861 section 4.6, RFC 6980)  lwIP 2.2.1 trusts their lengths.
 */
static bool discovery_ok(const struct pbuf *p)
{
	/* Of RS, RA, NS, NA and redirect: where the options begin. */
	static const uint8_t begin[] = {8, 16, 24, 24, 40};
	const uint8_t *d = p->payload;
	unsigned at;

	if (d[0] < ICMP6_TYPE_RS || d[0] > ICMP6_TYPE_RD)
		return true;
	at = begin[d[0] - ICMP6_TYPE_RS];
	if (p->next || p->len < at)
		return false;
	while (at < p->len) {
		if (p->len - at < 8 || !d[at + 1] || d[at + 1] * 8u > p->len - at)
			return false;
		at += d[at + 1] * 8u;
	}
	return true;
}

void gz_icmp6_input(struct pbuf *p, struct netif *inp);

/*
 * gz_icmp6_input() - What ip6.c calls in place of icmp6_input()
 *
 * lwIP listens to router advertisements in any case, tells TCP of no error, and
 * believes all that make the MTU of a path smaller.
 */
void gz_icmp6_input(struct pbuf *p, struct netif *inp)
{
	const uint8_t *d = p->payload;

	if (p->len < 8 || !discovery_ok(p)) {
		gz_count(GZ_C_PORT_MALFORMED);
		pbuf_free(p);
		return;
	}
	if ((d[0] == ICMP6_TYPE_RA || d[0] == ICMP6_TYPE_RD) && !v6.slaac) {
		gz_count(GZ_C_PORT_OTHER);
		pbuf_free(p);
		return;
	}
	if (!gz_icmp_errors(p)) {
		pbuf_free(p);
		return;
	}
	gz_ping_input(p);
	icmp6_input(p, inp);
}

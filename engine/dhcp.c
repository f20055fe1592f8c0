/* SPDX-License-Identifier: BSD-3-Clause
 *
 * dhcp.c - stack.dhcp: the stack's IPv4 address from a server (RFC 2131)
 *
 * Theory of operation.  The client is lwIP's dhcp.c, on the first worker's netif of the port.
 * Whatever may have changed that netif, an answer or a timer, is followed by settle(), which
 * looks what it has now, tells all threads (own4.c), and the other workers, whose netifs get
 * the same (GZ_OP_ADDRESS).
 *
 * Servers answer to the address that they offer, which nobody has yet, or to everybody: such
 * a frame comes to any worker, and is handed to the first.  It is for no socket, bind() gives
 * that port to nobody.
 *
 * What lwIP leaves to be done: it counts leases in minutes and up to 18 hours (lwipopts.h has
 * other macros), an address stays when its lease ends while another one is asked for, and what
 * a server says is not looked at.  Nobody is asked whether the address is another host's
 * already, which would take five seconds each time (RFC 5227).
 */
#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "lwip/dhcp.h"
#include "lwip/netif.h"
#include "lwip/prot/dhcp.h"
#include "lwip/udp.h"

#include "engine/dhcp.h"
#include "engine/end.h"
#include "engine/ipv6.h"
#include "engine/log.h"
#include "engine/own4.h"
#include "engine/rtnl.h"
#include "engine/worker.h"

#define SECOND 1000000000u
#define TICK (DHCP_FINE_TIMER_MSECS * 1000000u) /* ns */
#define UDP_HEADER 8u
#define MTU_LEAST 576 /* RFC 791: every host takes as much */
#define MTU_LEAST6 1280

static struct {
	struct netif *nif; /* NULL: not begun */
	uint64_t next_tick, next_second;
	uint64_t until;	   /* when the lease ends; UINT64_MAX: never */
	uint16_t mtu;	   /* of the message at hand; 0: it says nothing of it */
	uint16_t port_mtu; /* without a server's */
	bool mtu_changed;
} client;

/* Can it be a host's address on a link? */
static bool is_host(uint32_t addr)
{
	uint32_t a = ntohl(addr);

	return a >> 24 && a >> 24 != 127 && a >> 28 < 14;
}

static const char *state_name(uint8_t state)
{
	switch (state) {
	case DHCP_STATE_SELECTING:
		return "selecting";
	case DHCP_STATE_REQUESTING:
		return "requesting";
	case DHCP_STATE_BOUND:
		return "bound";
	case DHCP_STATE_RENEWING:
		return "renewing";
	case DHCP_STATE_REBINDING:
		return "rebinding";
	case DHCP_STATE_REBOOTING:
		return "rebooting";
	default:
		return "init";
	}
}

static void forget(struct netif *nif)
{
	netif_set_addr(nif, IP4_ADDR_ANY4, IP4_ADDR_ANY4, IP4_ADDR_ANY4);
}

static void log_change(const struct gz_own4 *own, const struct gz_lease *l)
{
	char a[INET_ADDRSTRLEN], g[INET_ADDRSTRLEN] = "none", s[INET_ADDRSTRLEN];

	if (!own->n) {
		gz_warn("no address: the lease has ended, or was refused");
		return;
	}
	inet_ntop(AF_INET, &own->addr[0].addr, a, sizeof(a));
	inet_ntop(AF_INET, &l->server, s, sizeof(s));
	if (own->gateway)
		inet_ntop(AF_INET, &own->gateway, g, sizeof(g));
	gz_info("address %s/%u by DHCP from %s, gateway %s", a, own->addr[0].len, s, g);
}

/* The netif as it is now is what all workers and threads are to have. */
static void settle(void)
{
	struct netif *nif = client.nif;
	const struct dhcp *d = netif_dhcp_data(nif);
	uint32_t addr = netif_ip4_addr(nif)->addr, gateway = netif_ip4_gw(nif)->addr;
	uint32_t mask = ntohl(netif_ip4_netmask(nif)->addr);
	struct gz_lease l = {.state = state_name(d->state),
			     .server = ip_2_ip4(&d->server_ip_addr)->addr,
			     .until = client.until};
	struct gz_own4 own = {0};

	if (addr) {
		own.n = 1;
		own.addr[0].addr = addr;
		/* Ones, and then zeros, are a network's mask */
		own.addr[0].len = (uint8_t)(~mask ? __builtin_clz(~mask) : 32);
		own.gateway = is_host(gateway) && gateway != addr ? gateway : 0;
	}
	if (gz_own4_publish(&own, &l))
		log_change(&own, &l);
	else if (!client.mtu_changed)
		return;
	client.mtu_changed = false;
	gz_netif_address();
	for (unsigned i = 1; i < gz_nworkers; i++)
		gz_worker_post(gz_workers[i], &(struct gz_msg){.op = GZ_OP_ADDRESS, .fd = -1});
}

/* Interface MTU (RFC 2132 section 5.1).  What the port cannot send, or the stack cannot do
 * with, is not taken. */
static void take_mtu(uint16_t mtu)
{
	uint16_t least = gz_ipv6_netif() ? MTU_LEAST6 : MTU_LEAST;

	if (mtu < least || mtu > client.port_mtu) {
		if (mtu)
			gz_warn("an MTU of %u by DHCP: not used", mtu);
		mtu = client.port_mtu;
	}
	if (mtu == gz_ports[0].mtu)
		return;
	gz_ports[0].mtu = mtu;
	client.mtu_changed = true;
	gz_rtnl_tell_link(&gz_ports[0]);
}

/** gz_dhcp_option() - LWIP_HOOK_DHCP_PARSE_OPTION: of those that lwIP does not know */
void gz_dhcp_option(uint8_t option, uint8_t len, struct pbuf *p, uint16_t at)
{
	if (option == DHCP_OPTION_MTU && len == 2 && pbuf_copy_partial(p, &client.mtu, 2, at) == 2)
		client.mtu = ntohs(client.mtu);
}

/* lwIP was given a lease: what it says holds from now on. */
static void bound(struct dhcp *d)
{
	if (d->offered_t0_lease == UINT32_MAX) {
		client.until = UINT64_MAX;
		/* lwIP keeps what another lease has left */
		d->t0_timeout = d->t1_renew_time = d->t2_rebind_time = 0;
	} else {
		client.until = gz_worker.now + (uint64_t)d->offered_t0_lease * SECOND;
	}
	take_mtu(client.mtu);
}

void gz_dhcp_input(struct pbuf *p, struct netif *inp)
{
	struct dhcp *d;
	uint32_t yours;
	uint8_t was;

	if (gz_worker.index) {
		gz_rx_hand_over(gz_workers[0], p, inp);
		return;
	}
	d = client.nif ? netif_dhcp_data(client.nif) : NULL;
	if (!d ||
	    pbuf_copy_partial(p, &yours, sizeof(yours),
			      UDP_HEADER + offsetof(struct dhcp_msg, yiaddr)) != sizeof(yours) ||
	    (yours && !is_host(yours))) {
		pbuf_free(p);
		return;
	}
	was = d->state;
	client.mtu = 0;
	udp_input(p, inp);
	if (d->state == DHCP_STATE_BOUND && was != DHCP_STATE_BOUND)
		bound(d);
	settle();
}

static void second(struct dhcp *d)
{
	if (d->state == DHCP_STATE_OFF && dhcp_start(client.nif) != ERR_OK)
		gz_debug("the DHCP client does not begin: it is tried again");
	dhcp_coarse_tmr();
	if (client.until != UINT64_MAX && gz_worker.now >= client.until &&
	    netif_ip4_addr(client.nif)->addr)
		forget(client.nif);
}

uint64_t gz_dhcp_timers(uint64_t now)
{
	static struct dhcp dhcp;

	if (gz_worker.index || !gz_cfg->dhcp)
		return UINT64_MAX;
	if (!client.nif) {
		client.nif = netif_default;
		client.port_mtu = gz_ports[0].mtu;
		client.next_tick = client.next_second = now;
		dhcp_set_struct(client.nif, &dhcp);
	} else if (now < client.next_tick) {
		return client.next_tick - now;
	}
	/* Each one counts: some may be late together. */
	for (; now >= client.next_second; client.next_second += SECOND)
		second(&dhcp);
	for (; now >= client.next_tick; client.next_tick += TICK)
		dhcp_fine_tmr();
	settle();
	return client.next_tick - now;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * dhcp.c - stack.dhcp: the stack's IPv4 address from a server (RFC 2131)
 *
 * Theory of operation.  The client is lwIP's dhcp.c, on the first worker's netif of each port that
 * asks.
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
#include "engine/log.h"
#include "engine/own4.h"
#include "engine/rtnl.h"
#include "engine/worker.h"

#define SECOND 1000000000u
#define TICK (DHCP_FINE_TIMER_MSECS * 1000000u) /* ns */
#define UDP_HEADER 8u
#define MTU_LEAST 576 /* RFC 791: every host takes as much */
#define MTU_LEAST6 1280

struct client {
	struct netif *nif; /* NULL: its port does not ask */
	struct dhcp dhcp;
	uint64_t until;	   /* when the lease ends; UINT64_MAX: never */
	uint16_t mtu;	   /* of the message at hand; 0: it says nothing of it */
	uint16_t port_mtu; /* without a server's */
	bool mtu_changed;
};

static struct {
	bool begun;
	uint64_t next_tick, next_second;
	struct client of[GZ_PORTS_MAX];
} clients;

static unsigned number(const struct client *c)
{
	return (unsigned)(c - clients.of);
}

/* Whose netif it is; NULL: nobody asks there */
static struct client *client_of(const struct netif *nif)
{
	const struct gz_wire *w = nif->state;
	struct client *c = w ? &clients.of[w - gz_worker.wire] : NULL;

	return c && c->nif ? c : NULL;
}

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

static void log_change(const struct client *c, const struct gz_own4 *own, const struct gz_lease *l)
{
	char a[INET_ADDRSTRLEN], g[INET_ADDRSTRLEN] = "none", s[INET_ADDRSTRLEN];
	int i = gz_own4_of(own, number(c));

	if (i < 0) {
		gz_warn("port %s: no address: the lease has ended, or was refused",
			gz_ports[number(c)].device);
		return;
	}
	inet_ntop(AF_INET, &own->addr[i].addr, a, sizeof(a));
	inet_ntop(AF_INET, &l->server, s, sizeof(s));
	if (own->gateway)
		inet_ntop(AF_INET, &own->gateway, g, sizeof(g));
	gz_info("port %s: address %s/%u by DHCP from %s, gateway %s", gz_ports[number(c)].device, a,
		own->addr[i].len, s, g);
}

/* What @c has now, added to @own */
static void put(const struct client *c, struct gz_own4 *own)
{
	uint32_t addr = netif_ip4_addr(c->nif)->addr, gateway = netif_ip4_gw(c->nif)->addr;
	uint32_t mask = ntohl(netif_ip4_netmask(c->nif)->addr);

	if (!addr)
		return;
	own->addr[own->n].addr = addr;
	/* Ones, and then zeros, are a network's mask */
	own->addr[own->n].len = (uint8_t)(~mask ? __builtin_clz(~mask) : 32);
	own->port[own->n++] = (uint8_t)number(c);
	if (!own->gateway && is_host(gateway) && gateway != addr)
		own->gateway = gateway;
}

/* All addresses as they are now, in the order of the ports, and the first gateway */
static void gather(struct gz_own4 *own)
{
	const struct gz_own4 *said = gz_own4_configured();
	unsigned k = 0;

	own->gateway = said->gateway;
	for (unsigned i = 0; i < gz_nports; i++) {
		if (clients.of[i].nif)
			put(&clients.of[i], own);
		for (; k < said->n && said->port[k] == i; k++) {
			own->addr[own->n] = said->addr[k];
			own->port[own->n++] = (uint8_t)i;
		}
	}
}

/* The netif as it is now is what all workers and threads are to have. */
static void settle(struct client *c)
{
	struct gz_lease l = {.state = state_name(c->dhcp.state),
			     .server = ip_2_ip4(&c->dhcp.server_ip_addr)->addr,
			     .until = c->until};
	struct gz_own4 own = {0};

	gather(&own);
	if (gz_own4_publish(&own, number(c), &l))
		log_change(c, &own, &l);
	else if (!c->mtu_changed)
		return;
	c->mtu_changed = false;
	gz_netif_address(number(c));
	for (unsigned i = 1; i < gz_nworkers; i++)
		gz_worker_post(gz_workers[i],
			       &(struct gz_msg){.op = GZ_OP_ADDRESS, .id = number(c), .fd = -1});
}

/* Interface MTU (RFC 2132 section 5.1).  What the port cannot send, or the stack cannot do
 * with, is not taken. */
static void take_mtu(struct client *c)
{
	struct gz_port *p = &gz_ports[number(c)];
	uint16_t least = gz_engine_has6(gz_cfg, number(c)) ? MTU_LEAST6 : MTU_LEAST, mtu = c->mtu;

	if (mtu < least || mtu > c->port_mtu) {
		if (mtu)
			gz_warn("port %s: an MTU of %u by DHCP: not used", p->device, mtu);
		mtu = c->port_mtu;
	}
	if (mtu == p->mtu)
		return;
	p->mtu = mtu;
	c->mtu_changed = true;
	gz_rtnl_tell_link(p);
}

/** gz_dhcp_option() - LWIP_HOOK_DHCP_PARSE_OPTION: of those that lwIP does not know */
void gz_dhcp_option(struct netif *nif, uint8_t option, uint8_t len, struct pbuf *p, uint16_t at)
{
	struct client *c = client_of(nif);

	if (option == DHCP_OPTION_MTU && len == 2 && pbuf_copy_partial(p, &c->mtu, 2, at) == 2)
		c->mtu = ntohs(c->mtu);
}

bool gz_dhcp_asks(const struct netif *inp)
{
	const struct gz_wire *w = inp->state;

	return w && gz_engine_asks(gz_cfg, (unsigned)(w - gz_worker.wire));
}

/* lwIP was given a lease: what it says holds from now on. */
static void bound(struct client *c)
{
	struct dhcp *d = &c->dhcp;

	if (d->offered_t0_lease == UINT32_MAX) {
		c->until = UINT64_MAX;
		/* lwIP keeps what another lease has left */
		d->t0_timeout = d->t1_renew_time = d->t2_rebind_time = 0;
	} else {
		c->until = gz_worker.now + (uint64_t)d->offered_t0_lease * SECOND;
	}
	take_mtu(c);
}

void gz_dhcp_input(struct pbuf *p, struct netif *inp)
{
	struct client *c;
	uint32_t yours;
	uint8_t was;

	if (gz_worker.index) {
		gz_rx_hand_over(gz_workers[0], p, inp);
		return;
	}
	c = client_of(inp);
	if (!c ||
	    pbuf_copy_partial(p, &yours, sizeof(yours),
			      UDP_HEADER + offsetof(struct dhcp_msg, yiaddr)) != sizeof(yours) ||
	    (yours && !is_host(yours))) {
		pbuf_free(p);
		return;
	}
	was = c->dhcp.state;
	c->mtu = 0;
	udp_input(p, inp);
	if (c->dhcp.state == DHCP_STATE_BOUND && was != DHCP_STATE_BOUND)
		bound(c);
	settle(c);
}

static void begin(uint64_t now)
{
	clients.begun = true;
	clients.next_tick = clients.next_second = now;
	for (unsigned i = 0; i < gz_nports; i++) {
		struct client *c = &clients.of[i];

		if (!gz_engine_asks(gz_cfg, i))
			continue;
		c->nif = gz_worker.wire[i].nif;
		c->port_mtu = gz_ports[i].mtu;
		dhcp_set_struct(c->nif, &c->dhcp);
	}
}

static void second(void)
{
	for (struct client *c = clients.of; c < clients.of + gz_nports; c++)
		if (c->nif && c->dhcp.state == DHCP_STATE_OFF && dhcp_start(c->nif) != ERR_OK)
			gz_debug("the DHCP client does not begin: it is tried again");
	dhcp_coarse_tmr();
	for (struct client *c = clients.of; c < clients.of + gz_nports; c++)
		if (c->nif && c->until != UINT64_MAX && gz_worker.now >= c->until &&
		    netif_ip4_addr(c->nif)->addr)
			forget(c->nif);
}

uint64_t gz_dhcp_timers(uint64_t now)
{
	if (gz_worker.index || !gz_engine_asks_any(gz_cfg))
		return UINT64_MAX;
	if (!clients.begun)
		begin(now);
	else if (now < clients.next_tick)
		return clients.next_tick - now;
	/* Each one counts: some may be late together. */
	for (; now >= clients.next_second; clients.next_second += SECOND)
		second();
	for (; now >= clients.next_tick; clients.next_tick += TICK)
		dhcp_fine_tmr();
	for (struct client *c = clients.of; c < clients.of + gz_nports; c++)
		if (c->nif)
			settle(c);
	return clients.next_tick - now;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * netif.h - What a worker has of each port, and frames between it and lwIP
 *
 * To lwIP each address is a netif, whose `state` is the struct gz_wire of its port; that
 * of loopback has none.  All of it is the worker's.
 */
#ifndef GZ_NETIF_H
#define GZ_NETIF_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/counters.h"
#include "engine/end.h"
#include "engine/port.h"

struct gz_worker;
struct ip_addr;
struct netif;
struct pbuf;
struct tcp_pcb;

#define GZ_TX_BATCH 32

extern struct gz_port gz_ports[GZ_PORTS_MAX];
extern unsigned gz_nports;

/** A worker's part of a port */
struct gz_wire {
	struct gz_port *port;
	int rx_queue;		   /* -1: none, its packets are handed to it */
	uint16_t tx_queue, tx_own; /* the former is the latter unless the port has fewer */
	bool no_link;
	bool ipv6;		     /* the port has it */
	struct gz_offloads offloads; /* of the port, as lwIP was told */
	struct netif
	    *nif;	 /* the first: of groups, of IPv6, and of what is for no address of ours */
	unsigned groups; /* joined there, by lwIP's count of users */
	unsigned ntx;
	struct rte_mbuf *tx[GZ_TX_BATCH];	     /* on their way */
	_Atomic uint64_t counters[GZ_PORT_COUNTERS]; /* any thread reads them */
};

/** Count @n at @w; @c from GZ_C_PORT_RX to GZ_C_PORT_VLAN */
static inline void gz_wire_add(struct gz_wire *w, enum gz_counter c, uint64_t n)
{
	atomic_fetch_add_explicit(&w->counters[c - GZ_C_PORT_RX], n, memory_order_relaxed);
}

/* --- netif.c --------------------------------------------------------------- */

int gz_netif_init(void);
bool gz_netif_loop(void);	      /* one round of looped packets */
void gz_netif_address(unsigned port); /* another one, or another MTU, by DHCP */
void gz_netif_link(void);	      /* it may have changed: gz_link_is_up() */
void gz_netif_flush(void);
void gz_netif_look(struct gz_worker *w);  /* what the ports take may have changed */
struct netif *gz_netif_of(uint32_t addr); /* the one with this address, or NULL */
/** IGMP, MLD: @group is joined or left at a port */
void gz_netif_group(unsigned port, struct gz_end group, bool join);
bool gz_netif_in_groups(void); /* some: IGMP has timers */
/** lwIP's form of @e, as @nif has it; NULL: any */
void gz_ip_of_end(struct ip_addr *a, struct gz_end e, const struct netif *nif);

/** May the segments that follow be fragmented?  Of IPv4 */
void gz_netif_fragments(bool may);
/** The segment that is being sent is to be cut into such of @mss bytes; 0: it is not */
void gz_netif_segment(uint16_t mss);
/** Is what lwIP sends dropped, as if it had been sent?  (cookie.c) */
void gz_netif_mute(bool mute);
/** The port that segments of @pcb leave by, of SO_BINDTODEVICE or its route, among several */
struct gz_port *gz_netif_port_of(const struct tcp_pcb *pcb);
/** The same; each segment asks */
static inline struct gz_port *gz_netif_port(const struct tcp_pcb *pcb)
{
	return gz_nports == 1 ? &gz_ports[0] : gz_netif_port_of(pcb);
}
/** The largest segment that the way to its peer takes, without options, bytes */
uint32_t gz_netif_mss(const struct tcp_pcb *pcb);
bool gz_netif_is_mute(void);

/** The netif of @w's that has the IPv4 address @addr, else the first; NULL: @w has none */
struct netif *gz_netif_to(const struct gz_wire *w, uint32_t addr);
/** The same of the port @at, as gz_iface_bound() has it, and an address of either family */
struct netif *gz_netif_at(uint8_t at, struct gz_end local);
/** Count at the port of @nif, or at none if it is loopback */
void gz_netif_count(struct netif *nif, enum gz_counter c);
/** A number for @nif that another worker's is found by, less than 256 */
unsigned gz_netif_number(const struct netif *nif);
struct netif *gz_netif_numbered(unsigned number);
/** To lwIP, without a look at the checksums: it was on no wire, or the port has looked. */
int8_t gz_netif_give_unchecked(struct pbuf *p, struct netif *nif,
			       int8_t (*input)(struct pbuf *p, struct netif *nif));
/** A packet to ourselves that had been on its way, to lwIP */
int8_t gz_netif_from_loop(struct pbuf *p, struct netif *nif);

/* --- rx.c ------------------------------------------------------------------ */

/**
 * gz_rx() - Take a burst of each port, and what other workers have handed over
 * @before:	Called when it was taken, before it is looked at
 *
 * Return: packets
 */
unsigned gz_rx(struct gz_worker *w, void (*before)(struct gz_worker *));
/** The segment that lwIP looks at is of a connection of @to's: it is that one's to take. */
void gz_rx_hand_over(struct gz_worker *to, struct pbuf *p, struct netif *inp);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * switch.h - Where does a frame go?
 *
 * Pure functions over tables; no DPDK port, no allocation, no clock.  struct sw_table
 * says whose the addresses are: main fills one, and does not touch it any more once the
 * workers have it.  struct sw is a worker's, who alone calls what takes it; what is learnt of
 * clients is all workers' (struct sw_seen), and of one client only one worker learns.
 */
#ifndef GZ_DISPATCH_SWITCH_H
#define GZ_DISPATCH_SWITCH_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <rte_ether.h>
#include <rte_spinlock.h>

#include "config/config.h"

/* Ports of the switch: clients are 0..GZ_CLIENTS_MAX-1 */
#define SW_PORT GZ_CLIENTS_MAX	       /* the Ethernet port */
#define SW_KERNEL (GZ_CLIENTS_MAX + 1) /* the host's kernel, if there is a way to it */
#define SW_PORTS (GZ_CLIENTS_MAX + 2)
#define SW_KERNEL_ADDRS 64 /* of each family */
#define SW_ROUTES_MAX (GZ_CLIENTS_MAX * GZ_ADDRS_MAX)

struct groups;
struct limits;

/* Of 8 bits, like all of a verdict but a set: it is returned in registers, 16 bytes */
enum __attribute__((packed)) sw_action {
	SW_DROP,
	SW_SEND,   /* to .to */
	SW_FLOOD,  /* to all ports but the one it came from, see .only and .inside */
	SW_ANSWER, /* an ARP request or a solicitation, to be answered with the port's MAC address
		    */
};

/** Why a frame is dropped.  Each has its counter at the port it came from. */
enum __attribute__((packed)) sw_reason {
	SW_FINE,
	SW_MALFORMED, /* lengths or header fields that cannot be */
	SW_SPOOFED,   /* an address that is not the sender's to use */
	SW_VLAN,      /* of a VLAN that is not the sender's or not the receiver's */
	SW_UNCLAIMED, /* nobody's: no client's address, or no IP or ARP */
};

struct sw_verdict {
	enum sw_action action;
	enum sw_reason reason;
	uint8_t to;	/* SW_SEND: a port of the switch */
	bool both;	/* SW_SEND: and to the kernel */
	bool readdress; /* SW_SEND: the destination is to be sw_mac_of() the receiver */
	bool proxy; /* ARP or a solicitation: the port's MAC address is to stand for the sender's */
	bool inside;   /* SW_FLOOD: to no others than clients */
	uint64_t only; /* SW_FLOOD: of the clients to these */
};

static_assert(sizeof(struct sw_verdict) == 16, "two registers");

static inline struct sw_verdict sw_drop(enum sw_reason why)
{
	return (struct sw_verdict){.action = SW_DROP, .reason = why};
}

static inline struct sw_verdict sw_send(unsigned port)
{
	return (struct sw_verdict){.action = SW_SEND, .to = (uint8_t)port};
}

static inline struct sw_verdict sw_flood(void)
{
	return (struct sw_verdict){.action = SW_FLOOD, .only = UINT64_MAX};
}

/** sw_flood_members() - Only to these clients */
static inline struct sw_verdict sw_flood_members(uint64_t clients)
{
	return (struct sw_verdict){.action = SW_FLOOD, .only = clients, .inside = true};
}

/** Whose the ports of shared addresses are: client + 1, 0: nobody's.  Main writes */
struct sw_ports {
	_Atomic uint8_t owner[2][65536]; /* TCP, UDP; host order */
	uint32_t addr;			 /* network byte order */
	struct in6_addr addr6;		 /* of the same clients; ::, if they have none */
	atomic_bool settled;		 /* who had ports before us has said so, or had time to */
	struct sw_ports *next;
};

struct sw_route {
	uint32_t addr, mask;	      /* network byte order, addr without host bits */
	unsigned client;	      /* the first, if it is shared */
	uint64_t members;	      /* of a shared one */
	const struct sw_ports *ports; /* of a shared one, else NULL */
};

struct sw_route6 {
	struct gz_prefix net;
	unsigned client;
	uint64_t members; /* as of IPv4 */
	const struct sw_ports *ports;
};

/** Who there is, and whose which address is; replaced as a whole */
struct sw_table {
	uint64_t number;  /* another one than that of any before */
	uint64_t clients; /* a bit each */
	unsigned n4, n6;
	unsigned nshared, nshared6;	    /* of r4, r6 */
	struct sw_route r4[SW_ROUTES_MAX];  /* longest prefix first */
	struct sw_route6 r6[SW_ROUTES_MAX]; /* likewise */
	unsigned nrules;		    /* what is the kernel's; used if there is a way to it */
	struct gz_kernel_rule rules[GZ_KERNEL_RULES_MAX];
	uint64_t mac[GZ_CLIENTS_MAX];  /* that a client must have, as sw_seen_mac(); 0: any, one */
	uint16_t vlan[GZ_CLIENTS_MAX]; /* of each client */
	uint16_t native;	       /* of the kernel, and of clients without another */
	uint8_t vlans[4096 / 8];       /* a bit for each that somebody has */
	struct limits *limits[GZ_CLIENTS_MAX]; /* the worker's, of those in clients */
	/* dispatch's, to free it, and limits that only it had, when the worker has left it */
	struct limits *dead;
	struct sw_table *next;
	uint64_t token;
};

static_assert(GZ_CLIENTS_MAX <= 64, "sets of clients are 64 bits");

/** sw_take() - Take the lowest out of a set of clients that is not empty */
static inline unsigned sw_take(uint64_t *set)
{
	unsigned i = (unsigned)__builtin_ctzll(*set);

	*set &= *set - 1;
	return i;
}

/** What a client's frames told of it: see seen.c */
struct sw_client {
	_Atomic uint64_t mac;	/* what it sent first, or has to; sw_mac_of(); 0: nothing yet */
	_Atomic uint32_t last4; /* its source address of late, network byte order */
	struct in6_addr last6;	/* that is not link-local; sw_last6() */
};

/** The same of all, for all workers; zero at first */
struct sw_seen {
	rte_spinlock_t lock;
	atomic_uint changes; /* of MAC addresses */
	struct sw_client client[GZ_CLIENTS_MAX];
};

/** The kernel's addresses; replaced as a whole */
struct sw_kernel {
	unsigned n4, n6;
	uint32_t a4[SW_KERNEL_ADDRS]; /* network byte order */
	struct in6_addr a6[SW_KERNEL_ADDRS];
};

/** Where the first fragment went, of a packet to a shared address */
struct sw_fragment {
	uint32_t src, dst;
	uint16_t id;
	uint8_t proto, client;
};

/** The same of IPv6 */
struct sw_fragment6 {
	struct in6_addr src, dst;
	uint32_t id;
	uint8_t client;
};

#define SW_FRAGMENTS 64

struct sw {
	const struct sw_table *table;
	uint16_t vlan;	    /* of the frame that is being looked at */
	uint16_t tcp;	    /* where it has a TCP header, all of it; 0: nowhere */
	uint16_t discovery; /* where it has a message of neighbour discovery */
	uint16_t max_frame; /* bytes, without FCS; one VLAN tag allowed */
	/* It is a segment of TCP that will be cut, and its headers have been looked at: it may
	 * be longer, and what is behind them be elsewhere */
	bool large;
	struct sw_seen *seen;
	struct sw_fragment fragment[SW_FRAGMENTS];
	struct sw_fragment6 fragment6[SW_FRAGMENTS];
	struct groups *groups; /* all workers'; NULL: multicast goes to everybody */
	/* The way to the kernel; NULL: there is none.  What follows is used with it. */
	const struct sw_kernel *kernel;
	struct rte_ether_addr mac; /* the port's, and the kernel's behind it */
};

/** sw_seen_mac() - A client's MAC address, in the first bytes; 0: it has sent nothing.  Any thread
 */
uint64_t sw_seen_mac(const struct sw_seen *seen, unsigned client);
/** sw_is_taken_back() - Has a client a MAC address that the table gives to another one, or is to
 *  have another one itself? */
bool sw_is_taken_back(const struct sw *s, unsigned client);
/** sw_is_known() - Has a client sent something yet? */
bool sw_is_known(const struct sw *s, unsigned client);
/** sw_mac_of() - Of the kernel, or of a client that is known */
struct rte_ether_addr sw_mac_of(const struct sw *s, unsigned port);
/** sw_note4(), sw_note6() - Its address of late */
void sw_note4(struct sw *s, unsigned client, uint32_t addr);
void sw_note6(struct sw *s, unsigned client, const struct in6_addr *a);
/** sw_last6() - Return: :: if there is none */
struct in6_addr sw_last6(const struct sw *s, unsigned client);

/** sw_init() - @table and @seen stay the caller's; @mtu: 0 for 1500 */
void sw_init(struct sw *s, const struct sw_table *table, struct sw_seen *seen, uint16_t mtu);

/** sw_table_own() - An address or a network is @client's; IPv4 as v4-mapped.  Main */
void sw_table_own(struct sw_table *t, unsigned client, const struct gz_prefix *p);
/** sw_table_share() - An IPv4 address is @client's and others', by @ports.  Main */
void sw_table_share(struct sw_table *t, unsigned client, const struct sw_ports *ports);
/** sw_table_share6() - The same of the ports' address of IPv6 */
void sw_table_share6(struct sw_table *t, unsigned client, const struct sw_ports *ports);
/** sw_is_shared() - Do several clients have this address?  Network byte order */
bool sw_is_shared(const struct sw *s, uint32_t addr);
bool sw_is_shared6(const struct sw *s, const struct in6_addr *a);
/** sw_port_owner() - Whose a port is: client + 1, 0: nobody's, or the protocol has none */
unsigned sw_port_owner(const struct sw_ports *ports, uint8_t proto, uint16_t port);
/** sw_table_mac() - A client's MAC address is this, and no other client's.  Main */
void sw_table_mac(struct sw_table *t, unsigned client, const uint8_t mac[6]);
/** sw_table_seal() - When all is in it.  Main */
void sw_table_seal(struct sw_table *t);

/**
 * sw_lookup() - Whose is this address?
 * @addr:	Network byte order
 *
 * A client's network gives way to an address of the kernel's in it, a client's
 * single address does not: the two share it, see sw_is_kernels().
 *
 * Return: client, SW_KERNEL, or SW_PORT if it is neither's
 */
unsigned sw_lookup(const struct sw *s, uint32_t addr);
/** sw_lookup6() - The same of IPv6; the link-local address of a client's MAC is its own */
unsigned sw_lookup6(const struct sw *s, const struct in6_addr *a);
/**
 * sw_learn() - A frame of a client, whose address is its own to use
 *
 * Return: false when @mac is not: it had another, or it is another client's
 */
bool sw_learn(struct sw *s, unsigned client, const struct rte_ether_addr *mac);
/** sw_is_own() - May a frame from there have this source MAC address?  A client's is learnt */
bool sw_is_own(struct sw *s, unsigned from, const struct rte_ether_addr *mac);
/** sw_deliver() - Send it to @to, which takes the port's MAC address for its own */
struct sw_verdict sw_deliver(const struct sw *s, unsigned to, const struct rte_ether_hdr *eth);
/**
 * sw_is_kernels() - Do the rules give the kernel this address and port?
 * @proto:	IPPROTO_TCP and so on
 * @port:	Host byte order; 0: unknown
 */
bool sw_is_kernels(const struct sw *s, uint8_t proto, const struct in6_addr *a, uint16_t port);
/** sw_in_prefix() - Does @a lie in @p? */
bool sw_in_prefix(const struct gz_prefix *p, const struct in6_addr *a);
/** sw_is_ours() - Is the frame for the port's MAC address? */
bool sw_is_ours(const struct sw *s, const struct rte_ether_hdr *eth);

/* --- snoop.c --------------------------------------------------------------- */

/** sw_flood_group() - To its members, outside and to the kernel; IPv4 as v4-mapped */
struct sw_verdict sw_flood_group(const struct sw *s, const struct in6_addr *group);
/**
 * sw_snoop4() - A message of IGMP to a group: note what a client reports
 * @dst:	The group, network byte order
 * @m:		Behind the IP header
 */
struct sw_verdict sw_snoop4(struct sw *s, unsigned from, uint32_t dst, const uint8_t *m,
			    unsigned len);
/** sw_snoop6() - The same of MLD */
struct sw_verdict sw_snoop6(struct sw *s, unsigned from, const struct in6_addr *src,
			    const struct in6_addr *dst, const uint8_t *m, unsigned len);
/** sw_is_mld() - Of a message of ICMPv6 */
bool sw_is_mld(const uint8_t *m);

/* --- the decision ---------------------------------------------------------- */

/** sw_decide6() - sw_decide() for IPv6; @len: bytes after the Ethernet header */
struct sw_verdict sw_decide6(struct sw *s, unsigned from, const struct rte_ether_hdr *eth,
			     unsigned len);

/**
 * sw_decide() - Check a frame and say where it goes
 * @from:	Port of the switch it came from
 * @frame:	From the Ethernet header on, all of it in one piece
 * @len:	Bytes, without FCS
 *
 * A client's first valid frame teaches its MAC address.
 */
struct sw_verdict sw_decide(struct sw *s, unsigned from, const void *frame, unsigned len);

/**
 * sw_decide_in() - sw_decide(), within a VLAN
 * @vlan:	Of the frame; it has no tag.  What is another VLAN's is outside, if the
 *		sender is not
 */
struct sw_verdict sw_decide_in(struct sw *s, unsigned from, uint16_t vlan, const void *frame,
			       unsigned len);

/** sw_table_vlan() - A client's VLAN, 0: the native one, which is to be set before.  Main */
void sw_table_vlan(struct sw_table *t, unsigned client, uint16_t vlan);
/** sw_is_vlan() - Has anybody this VLAN?  0: no tag */
bool sw_is_vlan(const struct sw_table *t, uint16_t vlan);

/** sw_forget() - A client left: the next one may have another MAC address */
void sw_forget(struct sw *s, unsigned client);

#endif

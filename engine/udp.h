/* SPDX-License-Identifier: BSD-3-Clause
 *
 * udp.h - UDP: from and to the wire, the shadows, and other sockets of the engine
 */
#ifndef GZ_UDP_H
#define GZ_UDP_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/end.h"

struct gz_icmp;
struct gz_sock;
struct gz_worker;
struct iovec;
struct msghdr;

/** A datagram under way, whichever way. */
struct gz_datagram {
	struct gz_end src, dst;
	uint8_t ttl, tos;
	unsigned mtu; /* IPV6_MTU; 0: the path's */
	bool whole;   /* IPv4: no router is to make fragments of it */
	uint8_t at;   /* from which interface, by IP_PKTINFO, SO_BINDTODEVICE or IP_MULTICAST_IF,
		       * or to which it came: see gz_iface_bound(); 0: as routes say */
	const struct iovec *data;
	int ndata;
	size_t len;
};

/** Sockets of the engine in its own network namespace.  Return: 0 or -errno */
int gz_udp_init(void);
/** @w looks at them from now on.  Return: 0 or -errno */
int gz_udp_watch(struct gz_worker *w);
/**
 * gz_udp_events() - What programs sent
 *
 * Worker.  @ptr: of an event of relay_ep; false: it is none of ours.
 */
bool gz_udp_events(const void *ptr);
/**
 * gz_udp_pass() - Hand on what programs have sent
 *
 * Any thread, which holds no socket's lock.  What is for sockets of this host is in their
 * shadows when it returns, what is for the wire is sent soon after.
 */
void gz_udp_pass(void);
/**
 * gz_udp_too_large() - Would @len bytes to @dst be cut, and may not?
 * @at:	The interface that they leave by, as gz_iface_bound() has it; 0: as routes say
 *
 * IP_PMTUDISC_DO and IP_PMTUDISC_PROBE.  Any thread.
 */
bool gz_udp_too_large(const struct gz_sock *s, struct gz_end dst, uint8_t at, size_t len);
/**
 * gz_udp_say_large() - @len bytes to @peer are too many: who asked for errors hears of the MTU
 * @m:	The message as the shadow @fd has it, to the alias @to; its bytes are changed
 *
 * IP_RECVERR, IPV6_RECVERR: ip_local_error(), ipv6_local_error().  Any thread, @s unlocked
 */
void gz_udp_say_large(struct gz_sock *s, int fd, struct msghdr *m, uint32_t to, struct gz_end peer,
		      uint8_t at, size_t len);
/**
 * gz_udp_tell_mtu() - Where its peer is beyond the port, the shadow @fd knows the port's MTU
 *
 * With IP_PMTUDISC_DO its own send() says EMSGSIZE then.  @s locked
 */
void gz_udp_tell_mtu(struct gz_sock *s, int fd);
/* What udp_ring.c needs besides. */
/** Around gz_udp_forward() and gz_udp_take_all(); no socket's lock is held. */
void gz_udp_enter(void);
void gz_udp_exit(void);
/** Send @d of @s, from @local, if it is not any; @s unlocked */
void gz_udp_forward(struct gz_sock *s, struct gz_datagram *d, struct gz_end local);
/** What programs have sent by their shadows */
void gz_udp_take_all(void);
/** Does @s hear of @peer by IPv6? */
bool gz_udp_by_v6(const struct gz_sock *s, struct gz_end peer);
/** Is @end whom @s is connected to?  Of a peer with port 0 any port is (compute_score()); @s locked
 */
bool gz_udp_is_peer(const struct gz_sock *s, struct gz_end end);
/** Put @d into the shadow's queue; @s locked.  Return: false, it has no room */
bool gz_udp_inject(struct gz_sock *s, const struct gz_datagram *d);
/** The same with a byte that only says: look at the ring */
bool gz_udp_token(struct gz_sock *s);

/** The last close of @s was seen: what it sent before is sent, then its name is free. */
void gz_udp_gone(struct gz_sock *s);
/**
 * gz_udp_error() - The sockets that sent @d, which came back with error @e, hear of it
 *
 * Worker.  @d has what the error quotes of it.
 */
void gz_udp_error(const struct gz_datagram *d, struct gz_end offender, const struct gz_icmp *e);

/**
 * gz_udp_deliver() - Hand @d to the socket that it is for, or to each that listens to the
 * group or to everybody (@to_many)
 *
 * Return: false when there is none
 */
bool gz_udp_deliver(const struct gz_datagram *d, bool to_many);
/** The interface that @d, which is for this host, came to, as gz_iface_bound() has it.  Any thread
 */
uint8_t gz_udp_came_to(const struct gz_datagram *d);
/** Hand @d to @s, if it is for that one */
void gz_udp_give(struct gz_sock *s, const struct gz_datagram *d);
/** Whoever sent @d hears that nobody has the port, which is one of this host's. */
void gz_udp_refuse(const struct gz_datagram *d);
/**
 * gz_udp_sender() - Who sends to @to, and has joined that group
 *
 * One worker, so that datagrams stay in order and no two have one identification (RFC 791).
 */
struct gz_worker *gz_udp_sender(struct gz_end to);
struct gz_group_options;
/** Send @d over the wire; worker, udp_wire.c */
void gz_udp_send(const struct gz_datagram *d);

/* What ping.c and icmp.c share.  Worker. */
struct msghdr;
struct netif;
/** Addresses, TTL and TOS of the packet that lwIP looks at; ports in network byte order */
void gz_udp_addresses(struct gz_datagram *d, uint16_t sport, uint16_t dport);
/** Control messages of what a shadow sent, into @d.  Return: the alias that it was sent to */
uint32_t gz_udp_headers(struct msghdr *m, struct gz_datagram *d);
/** d->src, by @local, if it is not any, socket and route, and d->at; @s unlocked, @mc is filled */
void gz_udp_choose_source(struct gz_sock *s, struct gz_datagram *d, struct gz_end local,
			  struct gz_group_options *mc);
/** The port of the stack that leads to d->dst */
struct netif *gz_udp_way_out(const struct gz_datagram *d);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * inner.h - IP packets into the namespace of the shadows
 *
 * The engine speaks to shadows as if it were all their peers: by raw sockets, from
 * aliases (alias.h).  Worker only, but for those that say so.
 */
#ifndef GZ_INNER_H
#define GZ_INNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/** Headers of a packet: between names, whose 0 is this host. */
struct gz_inner {
	bool v6;
	uint32_t src, dst;
	uint8_t proto, ttl, tos;
};

#define GZ_INNER_HEADER 40 /* at most */

/** An ICMP error: what RFC 792 and RFC 4443 have in its first eight bytes. */
struct gz_icmp {
	uint8_t type, code;
	uint32_t info; /* host order */
};

/** Raw sockets, routes and the MTU of lo.  Return: 0 or -errno */
int gz_inner_init(void);
/** Has the namespace IPv6?  Otherwise native addresses are the kernel's.  Any thread. */
bool gz_inner_has_v6(void);

/** @p's header before @len bytes, into @h.  Any thread.  Return: its length */
size_t gz_inner_header(uint8_t *h, const struct gz_inner *p, size_t len);
/**
 * gz_inner_put() - Send a packet to this host
 * @v:		v[0] is GZ_INNER_HEADER bytes for the header; the rest is the payload
 * @sum:	Where in v[1] the checksum goes, if it is needed; else -1
 *
 * Return: false when there was no room
 */
bool gz_inner_put(const struct gz_inner *p, struct iovec *v, int n, int sum);
/**
 * gz_inner_datagram() - Send a UDP datagram to this host
 * @v:		From UDP's header on, its checksum 0
 *
 * Any thread.  Return: false when there was no room
 */
bool gz_inner_datagram(const struct gz_inner *p, struct iovec *v, int n);
/** Datagrams that the queue of a socket had no room for (SO_RCVBUF).  Any thread */
uint64_t gz_inner_lost(void);
/** The port unreachable of a family. */
struct gz_icmp gz_icmp_no_port(bool v6);

#endif

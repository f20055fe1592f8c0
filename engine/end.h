/* SPDX-License-Identifier: BSD-3-Clause
 *
 * end.h - An endpoint: an address and a port
 *
 * IPv4 addresses have their v4-mapped form (RFC 4291 section 2.5.5.2), so that
 * one type serves both families and a dual-stack socket needs no other.  "Any"
 * exists twice: 0.0.0.0 is ::ffff:0.0.0.0, and a zeroed endpoint is [::]:0.
 */
#ifndef GZ_END_H
#define GZ_END_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

struct gz_end {
	struct in6_addr addr;
	uint32_t scope; /* interface index of a link-local address, else 0 */
	uint16_t port;	/* network byte order */
};

/** @addr and @port in network byte order */
static inline struct gz_end gz_end_v4(uint32_t addr, uint16_t port)
{
	struct gz_end e = {.port = port};

	e.addr.s6_addr[10] = e.addr.s6_addr[11] = 0xff;
	memcpy(&e.addr.s6_addr[12], &addr, 4);
	return e;
}

/** What a socket of @family has before it has an address. */
static inline struct gz_end gz_end_any(int family)
{
	return family == AF_INET ? gz_end_v4(0, 0) : (struct gz_end){.port = 0};
}

static inline bool gz_end_is_v4(struct gz_end e)
{
	return IN6_IS_ADDR_V4MAPPED(&e.addr);
}

/** In network byte order; 0 for [::], so that it is any in both families. */
static inline uint32_t gz_end_v4_addr(struct gz_end e)
{
	uint32_t a;

	memcpy(&a, &e.addr.s6_addr[12], 4);
	return a;
}

/** 0.0.0.0 or [::], whatever the port? */
static inline bool gz_end_is_any(struct gz_end e)
{
	return (gz_end_is_v4(e) && !gz_end_v4_addr(e)) || IN6_IS_ADDR_UNSPECIFIED(&e.addr);
}

/** The same address, whatever the ports? */
static inline bool gz_end_same_addr(struct gz_end a, struct gz_end b)
{
	return IN6_ARE_ADDR_EQUAL(&a.addr, &b.addr) && a.scope == b.scope;
}

static inline bool gz_end_equal(struct gz_end a, struct gz_end b)
{
	return a.port == b.port && gz_end_same_addr(a, b);
}

/** The address as it is in a packet, at @b.  Return: its length */
static inline size_t gz_end_put(uint8_t *b, struct gz_end e)
{
	uint32_t v4 = gz_end_v4_addr(e);

	if (gz_end_is_v4(e))
		memcpy(b, &v4, 4);
	else
		memcpy(b, &e.addr, 16);
	return gz_end_is_v4(e) ? 4 : 16;
}

/** A well-mixed number of an endpoint, for tables. */
static inline uint64_t gz_end_hash(struct gz_end e)
{
	uint64_t w[2], x;

	memcpy(w, &e.addr, sizeof(w));
	x = (w[0] * 0x9e3779b97f4a7c15ULL) ^ w[1];
	x = (x ^ x >> 31) + e.port;
	x *= 0xbf58476d1ce4e5b9ULL;
	return x ^ x >> 32;
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * spread.c - Which worker a packet comes to
 */
#include <arpa/inet.h>
#include <string.h>

#include <rte_thash.h>

#include "engine/address.h"
#include "engine/spread.h"
#include "engine/udp.h"
#include "engine/worker.h"

#define ETHERNET 14
#define ARP_LEN 28
#define ARP_REQUEST 1
#define UDP_OR_TCP(p) ((p) == IPPROTO_TCP || (p) == IPPROTO_UDP)

/* The one that drivers have by default, of Microsoft's specification of RSS */
const uint8_t gz_spread_key[GZ_SPREAD_KEY] = {
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

static unsigned worker_of(uint32_t hash)
{
	return hash % GZ_SPREAD_TABLE % gz_nworkers;
}

/* @n bytes, as they are in the packet: source, destination, both ports */
static unsigned of_bytes(const uint8_t *b, unsigned n)
{
	uint32_t w[RTE_THASH_V6_L4_LEN];

	for (unsigned i = 0; i < n / 4; i++) {
		memcpy(&w[i], b + 4 * i, 4);
		w[i] = ntohl(w[i]);
	}
	return worker_of(rte_softrss(w, n / 4, gz_spread_key));
}

unsigned gz_spread(struct gz_end local, struct gz_end peer)
{
	uint8_t b[36];
	size_t n;

	if (gz_nworkers == 1)
		return 0;
	n = gz_end_put(b, peer);
	n += gz_end_put(b + n, local);
	memcpy(b + n, &peer.port, 2);
	memcpy(b + n + 2, &local.port, 2);
	return of_bytes(b, (unsigned)n + 4);
}

bool gz_spread_is(const struct gz_worker *w, struct gz_end local, struct gz_end peer)
{
	return gz_nworkers == 1 || gz_spread(local, peer) == w->index;
}

/* A request for an address of ours that is no announcement has one answer. */
static unsigned of_arp(const uint8_t *d, unsigned len)
{
	uint32_t target;

	if (len < ARP_LEN || d[7] != ARP_REQUEST)
		return GZ_SPREAD_ALL;
	memcpy(&target, d + 24, 4);
	if (!memcmp(d + 14, d + 24, 4) || !gz_addr_is_local(gz_end_v4(target, 0)))
		return GZ_SPREAD_ALL;
	return of_bytes(d + 14, 4);
}

/*
 * The packet in an error, @len bytes at @d: that of its connection, which sent it.  Its
 * ports come after @at bytes, if @protocol has any.
 */
static unsigned of_quoted(const uint8_t *d, unsigned len, unsigned src, unsigned size, unsigned at,
			  uint8_t protocol)
{
	uint8_t b[36];

	if (len < at + 4 || len < src + 2 * size)
		return 0;
	memcpy(b, d + src + size, size);
	memcpy(b + size, d + src, size);
	if (!UDP_OR_TCP(protocol))
		return of_bytes(b, 2 * size);
	memcpy(b + 2 * size, d + at + 2, 2);
	memcpy(b + 2 * size + 2, d + at, 2);
	return of_bytes(b, 2 * size + 4);
}

static unsigned of_ip4(const uint8_t *d, unsigned len)
{
	unsigned ihl;
	uint8_t b[12];

	if (len < 20)
		return 0;
	ihl = (d[0] & 15) * 4u;
	/* A group's are with who has joined it, and what asks about groups is for all. */
	if (d[9] == IPPROTO_IGMP)
		return GZ_SPREAD_ALL;
	if (d[16] >= 224 && d[16] < 240) {
		uint32_t group;

		memcpy(&group, d + 16, 4);
		return gz_udp_sender(gz_end_v4(group, 0))->index;
	}
	if (d[9] == IPPROTO_ICMP && len >= ihl + 8 + 20 && !(d[6] & 0x1f) && !d[7] &&
	    (d[ihl] == 3 || d[ihl] == 11 || d[ihl] == 12))
		return of_quoted(d + ihl + 8, len - ihl - 8, 12, 4, (d[ihl + 8] & 15) * 4u,
				 d[ihl + 8 + 9]);
	memcpy(b, d + 12, 8);
	/* All pieces of a datagram come together, where it is whole it is looked at again. */
	if (!UDP_OR_TCP(d[9]) || d[6] & 0x3f || d[7] || len < ihl + 4)
		return of_bytes(b, 8);
	memcpy(b + 8, d + ihl, 4);
	return of_bytes(b, 12);
}

#define ICMP6_TOO_BIG 2
#define ICMP6_ERRORS 128 /* below it */
#define ICMP6_ECHO 128
#define ICMP6_ECHO_REPLY 129
#define ICMP6_SOLICIT 135

static unsigned of_ip6(const uint8_t *d, unsigned len)
{
	uint8_t b[36];

	if (len < 40)
		return 0;
	memcpy(b, d + 8, 32);
	if (d[6] == IPPROTO_ICMPV6 && len >= 44) {
		if (d[40] == ICMP6_SOLICIT || d[40] == ICMP6_ECHO || d[40] == ICMP6_ECHO_REPLY)
			return of_bytes(b, 16);
		/* lwIP keeps paths' MTUs as well. */
		if (d[40] >= ICMP6_ERRORS || d[40] == ICMP6_TOO_BIG || len < 48 + 40)
			return GZ_SPREAD_ALL;
		return of_quoted(d + 48, len - 48, 8, 16, 40, d[48 + 6]);
	}
	/* MLD's queries have an option before them. */
	if (d[6] == IPPROTO_HOPOPTS)
		return GZ_SPREAD_ALL;
	if (d[24] == 0xff) {
		struct gz_end group = {0};

		memcpy(&group.addr, d + 24, 16);
		return gz_udp_sender(group)->index;
	}
	if (!UDP_OR_TCP(d[6]) || len < 44)
		return of_bytes(b, 32);
	memcpy(b + 32, d + 40, 4);
	return of_bytes(b, 36);
}

unsigned gz_spread_frame(const uint8_t *d, unsigned len)
{
	if (len < ETHERNET)
		return 0;
	switch (d[12] << 8 | d[13]) {
	case 0x0806:
		return of_arp(d + ETHERNET, len - ETHERNET);
	case 0x0800:
		return of_ip4(d + ETHERNET, len - ETHERNET);
	case 0x86dd:
		return of_ip6(d + ETHERNET, len - ETHERNET);
	default:
		return 0;
	}
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * rss.c - Receive side scaling in software: see rss.h
 */
#include <netinet/in.h>
#include <string.h>

#include <rte_common.h>
#include <rte_thash.h>

#include "engine/rss.h"

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

/*
 * The hash is linear: that of bytes is the sum, by exclusive or, of what each of them has at
 * its place.  A flow of IPv4 looks into 12 KB of it, where rte_softrss() takes 290
 * instructions.
 */
static uint32_t part[GZ_RSS_BYTES][256];

__attribute__((constructor)) static void fill(void)
{
	for (unsigned i = 0; i < RTE_DIM(part); i++)
		for (uint32_t v = 0; v < 256; v++) {
			uint32_t w[RTE_THASH_V6_L4_LEN] = {0};

			w[i / 4] = v << (24 - i % 4 * 8);
			part[i][v] = rte_softrss(w, RTE_THASH_V6_L4_LEN, gz_spread_key);
		}
}

uint32_t gz_rss_bytes(const uint8_t *b, unsigned n)
{
	uint32_t hash = 0;

	for (unsigned i = 0; i < n; i++)
		hash ^= part[i][b[i]];
	return hash;
}

static struct gz_rss flow(uint32_t hash)
{
	return (struct gz_rss){.kind = GZ_RSS_FLOW, .hash = hash};
}

static struct gz_rss of_bytes(const uint8_t *b, unsigned n)
{
	return flow(gz_rss_bytes(b, n));
}

static struct gz_rss is(enum gz_rss_kind kind, const uint8_t *address)
{
	return (struct gz_rss){.kind = kind, .address = address};
}

/* A request that is no announcement has one answer, if it is for an address of ours. */
static struct gz_rss of_arp(const uint8_t *d, unsigned len)
{
	if (len < ARP_LEN || d[7] != ARP_REQUEST || !memcmp(d + 14, d + 24, 4))
		return is(GZ_RSS_ALL, NULL);
	return (struct gz_rss){
	    .kind = GZ_RSS_ASKED, .hash = gz_rss_bytes(d + 14, 4), .address = d + 24};
}

/*
 * The packet in an error, @len bytes at @d: that of its connection, which sent it.  Its
 * ports come after @at bytes, if @protocol has any.
 */
static struct gz_rss of_quoted(const uint8_t *d, unsigned len, unsigned src, unsigned size,
			       unsigned at, uint8_t protocol)
{
	uint8_t b[36];

	if (len < at + 4 || len < src + 2 * size)
		return flow(0);
	memcpy(b, d + src + size, size);
	memcpy(b + size, d + src, size);
	if (!UDP_OR_TCP(protocol))
		return of_bytes(b, 2 * size);
	memcpy(b + 2 * size, d + at + 2, 2);
	memcpy(b + 2 * size + 2, d + at, 2);
	return of_bytes(b, 2 * size + 4);
}

static struct gz_rss of_ip4(const uint8_t *d, unsigned len)
{
	unsigned ihl;
	uint8_t b[12];

	if (len < 20)
		return flow(0);
	ihl = (d[0] & 15) * 4u;
	/* What asks about groups is for all. */
	if (d[9] == IPPROTO_IGMP)
		return is(GZ_RSS_ALL, NULL);
	if (d[16] >= 224 && d[16] < 240)
		return is(GZ_RSS_GROUP4, d + 16);
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

static struct gz_rss of_ip6(const uint8_t *d, unsigned len)
{
	uint8_t b[36];

	if (len < 40)
		return flow(0);
	memcpy(b, d + 8, 32);
	if (d[6] == IPPROTO_ICMPV6 && len >= 44) {
		if (d[40] == ICMP6_SOLICIT || d[40] == ICMP6_ECHO || d[40] == ICMP6_ECHO_REPLY)
			return of_bytes(b, 16);
		/* lwIP keeps paths' MTUs as well. */
		if (d[40] >= ICMP6_ERRORS || d[40] == ICMP6_TOO_BIG || len < 48 + 40)
			return is(GZ_RSS_ALL, NULL);
		return of_quoted(d + 48, len - 48, 8, 16, 40, d[48 + 6]);
	}
	/* MLD's queries have an option before them. */
	if (d[6] == IPPROTO_HOPOPTS)
		return is(GZ_RSS_ALL, NULL);
	if (d[24] == 0xff)
		return is(GZ_RSS_GROUP6, d + 24);
	if (!UDP_OR_TCP(d[6]) || len < 44)
		return of_bytes(b, 32);
	memcpy(b + 32, d + 40, 4);
	return of_bytes(b, 36);
}

struct gz_rss gz_rss_frame(const uint8_t *d, unsigned len)
{
	if (len < ETHERNET)
		return flow(0);
	switch (d[12] << 8 | d[13]) {
	case 0x0806:
		return of_arp(d + ETHERNET, len - ETHERNET);
	case 0x0800:
		return of_ip4(d + ETHERNET, len - ETHERNET);
	case 0x86dd:
		return of_ip6(d + ETHERNET, len - ETHERNET);
	default:
		return flow(0);
	}
}

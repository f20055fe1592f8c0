/* SPDX-License-Identifier: BSD-3-Clause
 *
 * rss.h - Receive side scaling (RSS) in software: which queue a frame comes to
 *
 * As devices do it: the Toeplitz hash of the addresses and ports says the place in a table of
 * queues.  Of fragments only the addresses count, of an ICMP error what it is about.  The
 * engine's workers (spread.c) and dispatch, which fills their queues, agree by it.
 */
#ifndef GZ_RSS_H
#define GZ_RSS_H

#include <stdint.h>

#define GZ_SPREAD_KEY 40    /* bytes */
#define GZ_SPREAD_TABLE 128 /* a device's table of queues is filled like this one */
extern const uint8_t gz_spread_key[GZ_SPREAD_KEY];

enum gz_rss_kind {
	GZ_RSS_FLOW,   /* hash; what is no flow has 0 */
	GZ_RSS_ASKED,  /* ARP for address; hash */
	GZ_RSS_GROUP4, /* to the group at address */
	GZ_RSS_GROUP6,
	GZ_RSS_ALL, /* what all have to know: neighbours, routers, groups */
};

struct gz_rss {
	enum gz_rss_kind kind;
	uint32_t hash;
	const uint8_t *address; /* in the frame */
};

/** gz_rss_frame() - @d, @len: from the Ethernet header on, as much as is in one piece */
struct gz_rss gz_rss_frame(const uint8_t *d, unsigned len);

#define GZ_RSS_BYTES 36 /* two addresses of IPv6, two ports */

/** gz_rss_bytes() - @n <= GZ_RSS_BYTES as they are in the packet: source, destination, both ports
 */
uint32_t gz_rss_bytes(const uint8_t *b, unsigned n);

/** gz_rss_queue() - Of @queues */
static inline unsigned gz_rss_queue(uint32_t hash, unsigned queues)
{
	return hash % GZ_SPREAD_TABLE % queues;
}

#endif

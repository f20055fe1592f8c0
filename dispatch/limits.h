/* SPDX-License-Identifier: BSD-3-Clause
 *
 * limits.h - How much a client may send and receive
 *
 * Theory of operation: a token bucket (rte_meter, RFC 2697 with one colour less) for
 * bytes and one for packets, each way.  What exceeds one is dropped and counted, so
 * that TCP slows down; nothing is delayed.  A bucket holds BURST_MS of the rate.  The
 * worker's.
 */
#ifndef GZ_DISPATCH_LIMITS_H
#define GZ_DISPATCH_LIMITS_H

#include <stdbool.h>
#include <stdint.h>
#include <rte_meter.h>
#include <rte_spinlock.h>

#include "config/config.h"

struct connections;
struct rte_mbuf;

struct limit {
	rte_spinlock_t lock; /* a client's receive is filled by all workers */
	struct bucket {
		bool on;
		struct rte_meter_srtcm meter;
		struct rte_meter_srtcm_profile profile;
	} bytes, packets;
};

/** Of one client; zero: none */
struct limits {
	struct limit send, receive;	 /* as the client sees it */
	struct connections *connections; /* NULL: any number */
	rte_spinlock_t lock;		 /* of connections */
	uint8_t priority;		 /* at a port that is short, see backlog.h */
	struct limits *next;		 /* main's, of those that are to be freed */
};

/** limit_init() - @kbits, @packets: a second, 0: any.  Return: 0 or -errno */
int limit_init(struct limit *l, uint32_t kbits, uint32_t packets);

/** limit_is_set() - Is there one? */
static inline bool limit_is_set(const struct limit *l)
{
	return l->bytes.on || l->packets.on;
}

/** limit_fit() - How many of the first ones may pass now; they count */
unsigned limit_fit(struct limit *l, struct rte_mbuf **m, unsigned n);

/** limits_new() - From the configuration.  Main.  Return: NULL without memory */
struct limits *limits_new(const struct gz_dispatch_client *c);
void limits_free(struct limits *l);

/**
 * limit_burst() - Drop what exceeds it
 * @m:		@n packets; those that may pass are moved to the front, others freed
 *
 * Bytes count from the Ethernet header on.  Return: how many may pass
 */
unsigned limit_burst(struct limit *l, struct rte_mbuf **m, unsigned n);

#endif

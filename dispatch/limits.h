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

#include "config/config.h"

struct rte_mbuf;

struct limit {
	struct bucket {
		bool on;
		struct rte_meter_srtcm meter;
		struct rte_meter_srtcm_profile profile;
	} bytes, packets;
};

/** Of one client; zero: none */
struct limits {
	struct limit send, receive; /* as the client sees it */
	struct limits *next;	    /* main's, of those that are to be freed */
};

/** limits_init() - From the configuration.  Return: 0 or -errno */
int limits_init(struct limits *l, const struct gz_dispatch_client *c);

/**
 * limit_burst() - Drop what exceeds it
 * @m:		@n packets; those that may pass are moved to the front, others freed
 *
 * Bytes count from the Ethernet header on.  Return: how many may pass
 */
unsigned limit_burst(struct limit *l, struct rte_mbuf **m, unsigned n);

#endif

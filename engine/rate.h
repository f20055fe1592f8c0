/* SPDX-License-Identifier: BSD-3-Clause
 *
 * rate.h - How fast a connection's bytes arrive at the peer; all of it is the worker's
 */
#ifndef GZ_RATE_H
#define GZ_RATE_H

#include <stdint.h>

struct gz_measure;
struct tcp_pcb;

struct gz_rate {
	uint64_t since;		 /* ns; the round trip that is measured began; 0: none */
	uint32_t at;		 /* the sequence number that was delivered up to then */
	uint32_t heard;		 /* the same of the last ACK */
	uint32_t rounds;	 /* since @recent began */
	uint64_t last;		 /* bytes/s, of the last round trip */
	uint64_t recent, before; /* the most of these round trips, and of those before */
};

/**
 * gz_rate_delivered() - An ACK came; @sacked bytes above it have arrived, too
 * @now:	ns
 *
 * It may end the slow start: p->ssthresh.  Return: bytes that arrived since the last time
 */
uint32_t gz_rate_delivered(struct tcp_pcb *p, struct gz_measure *m, uint32_t sacked, uint64_t now);
/** gz_rate_fill() - Bytes under way that the path needs to be full, without a queue; 0: unknown */
uint32_t gz_rate_fill(const struct gz_measure *m);
/** gz_rate_now() - The same by the last round trip alone */
uint32_t gz_rate_now(const struct gz_measure *m);

#endif

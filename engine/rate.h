/* SPDX-License-Identifier: BSD-3-Clause
 *
 * rate.h - How fast a connection's bytes arrive at the peer; all of it is the worker's
 */
#ifndef GZ_RATE_H
#define GZ_RATE_H

#include <stdbool.h>
#include <stdint.h>

struct gz_measure;
struct tcp_pcb;

struct gz_rate {
	uint64_t since;		 /* ns; the round trip that is measured began; 0: none */
	uint64_t sent;		 /* gz_measure.bytes_sent of then */
	uint32_t at;		 /* the sequence number that was delivered up to then */
	uint32_t heard;		 /* the same of the last ACK */
	uint32_t rounds;	 /* since @recent began */
	bool idle;		 /* the program had nothing to send, in this round trip */
	uint64_t sending;	 /* bytes/s that left in the last round trip; 0: unknown */
	uint64_t last;		 /* bytes/s that arrived in it */
	uint64_t recent, before; /* the most of these round trips, and of those before */
};

enum gz_round { GZ_ROUND_GOES_ON, GZ_ROUND_OVER, GZ_ROUND_IDLE };

/**
 * gz_rate_delivered() - An ACK came; @sacked bytes above it have arrived, too
 * @now:	ns
 * @n:		Bytes that arrived since the last time
 *
 * Return: whether a round trip is over with it, and if so whether the program was what bounded it
 */
enum gz_round gz_rate_delivered(const struct tcp_pcb *p, struct gz_measure *m, uint32_t sacked,
				uint64_t now, uint32_t *n);
/** gz_rate_most() - The path's rate, bytes/s; 0: unknown */
static inline uint64_t gz_rate_most(const struct gz_rate *r)
{
	return r->recent > r->before ? r->recent : r->before;
}
/** gz_rate_forget() - The path became slower: by 3/10, but it has @least, bytes/s */
void gz_rate_forget(struct gz_rate *r, uint64_t least);
/** gz_rate_fill() - Bytes under way that the path needs to be full, without a queue; 0: unknown */
uint32_t gz_rate_fill(const struct gz_measure *m);

#endif

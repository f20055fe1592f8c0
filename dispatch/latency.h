/* SPDX-License-Identifier: BSD-3-Clause
 *
 * latency.h - How long frames are in dispatch
 *
 * From the look at a port or link that found a burst until the burst was handed over:
 * what receiving, deciding, copying and sending take.  How long a frame lay in a ring
 * before that look, and what it takes the kernel to wake a worker that sleeps, nobody
 * here can see.  rte_latencystats measures the way from one ethdev to another; a link
 * is none.
 *
 * A histogram, whose buckets are an eighth of a power of two wide (12 % at most).
 */
#ifndef GZ_DISPATCH_LATENCY_H
#define GZ_DISPATCH_LATENCY_H

#include <stdint.h>

#define LATENCY_STEPS 8 /* a power of two */
#define LATENCY_BUCKETS (62 * LATENCY_STEPS)

/** One worker alone writes; telemetry reads without a lock, each figure whole */
struct latency {
	uint64_t frames[LATENCY_BUCKETS];
};

/** latency_note() - @n frames took @cycles.  Worker */
void latency_note(struct latency *l, uint64_t cycles, unsigned n);

/**
 * latency_at() - What so many of a thousand frames did not exceed
 * @before:	A copy of @now from before, to leave out what it has; or NULL
 *
 * Return: cycles, rounded up to the end of the bucket; 0 if there were no frames
 */
uint64_t latency_at(const struct latency *now, const struct latency *before, unsigned permille);

/** latency_add() - To @sum what another worker noted */
void latency_add(struct latency *sum, const struct latency *l);

/** latency_frames() - Return: how many */
uint64_t latency_frames(const struct latency *now, const struct latency *before);

#endif

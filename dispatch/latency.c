/* SPDX-License-Identifier: BSD-3-Clause
 *
 * latency.c - How long frames are in dispatch: see latency.h
 */
#include <stddef.h>

#include "dispatch/latency.h"

#define STEP_BITS 3

/* Values below LATENCY_STEPS have a bucket each; of others the highest bit says which
 * LATENCY_STEPS buckets, and the next STEP_BITS bits which of them. */
static unsigned bucket_of(uint64_t v)
{
	unsigned shift;

	if (v < LATENCY_STEPS)
		return (unsigned)v;
	shift = 63u - (unsigned)__builtin_clzll(v) - STEP_BITS;
	return (shift + 1) * LATENCY_STEPS + (unsigned)(v >> shift & (LATENCY_STEPS - 1));
}

/* The largest value in it */
static uint64_t end_of(unsigned bucket)
{
	unsigned shift;

	if (bucket < LATENCY_STEPS)
		return bucket;
	shift = bucket / LATENCY_STEPS - 1;
	return ((uint64_t)(LATENCY_STEPS + bucket % LATENCY_STEPS + 1) << shift) - 1;
}

void latency_note(struct latency *l, uint64_t cycles, unsigned n)
{
	l->frames[bucket_of(cycles)] += n;
}

static uint64_t in(const struct latency *now, const struct latency *before, unsigned bucket)
{
	return now->frames[bucket] - (before ? before->frames[bucket] : 0);
}

uint64_t latency_frames(const struct latency *now, const struct latency *before)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		n += in(now, before, i);
	return n;
}

uint64_t latency_at(const struct latency *now, const struct latency *before, unsigned permille)
{
	uint64_t n = latency_frames(now, before), sum = 0;

	for (unsigned i = 0; i < LATENCY_BUCKETS && n; i++) {
		sum += in(now, before, i);
		if (sum * 1000 >= n * permille)
			return end_of(i);
	}
	return 0;
}

void latency_add(struct latency *sum, const struct latency *l)
{
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		sum->frames[i] += l->frames[i];
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * pace.h - Bytes leave at a rate, not a window at once; all of it is the worker's
 */
#ifndef GZ_PACE_H
#define GZ_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct gz_flow;
struct gz_measure;
struct tcp_pcb;

struct gz_pace {
	uint64_t at;   /* ns; what was sent is paid for */
	uint64_t paid; /* gz_measure.bytes_sent that @at counts */
	bool waits;    /* the flow is on the wheel, */
	uint64_t slot; /* in this one of all that there ever are */
};

/**
 * gz_pace_budget() - How many bytes may leave now
 * @rate:	bytes/s, not 0
 *
 * No more than what a late worker is behind, a quarter of a round trip's at most, and a
 * millisecond's.
 */
uint32_t gz_pace_budget(struct gz_measure *m, uint64_t rate, uint32_t mss);

/** gz_pace_wait() - gz_sack_go_on() is due at @at ns, if it is not before */
void gz_pace_wait(struct gz_flow *f, uint64_t at);
void gz_pace_cancel(struct gz_flow *f);

/** gz_pace_run() - Let go on whose time has come.  Return: ns until the next one's; UINT64_MAX:
 * none */
uint64_t gz_pace_run(void);

#endif

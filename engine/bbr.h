/* SPDX-License-Identifier: BSD-3-Clause
 *
 * bbr.h - How much of a connection may be under way, and how fast it leaves; all of it is the
 * worker's
 */
#ifndef GZ_BBR_H
#define GZ_BBR_H

#include <stdbool.h>
#include <stdint.h>

struct gz_measure;
struct tcp_pcb;

enum gz_bbr_mode { GZ_BBR_START, GZ_BBR_DRAIN, GZ_BBR_UP, GZ_BBR_DOWN, GZ_BBR_CRUISE, GZ_BBR_TRIP };

struct gz_bbr {
	enum gz_bbr_mode mode;
	bool gated;	    /* the window is @window; pcb->cwnd is what may leave at once */
	unsigned rounds;    /* round trips in this mode */
	unsigned flat;	    /* of START, that brought no more than the ones before */
	uint32_t window;    /* bytes */
	uint64_t full;	    /* bytes/s; what START brought when it last grew */
	uint64_t trip_from; /* ns; the shortest round trip is looked for since */
	uint32_t trip;	    /* us; and is this one; 0: none */
	struct {
		uint64_t sent, again; /* gz_measure.bytes_sent, bytes_retrans, when it began */
		uint32_t chance;      /* of 1024 bytes, so many are lost whatever the window */
		uint32_t clean;	      /* epochs without any, in sequence */
	} loss;
};

/** The window of @p, bytes */
uint32_t gz_bbr_window(const struct tcp_pcb *p, const struct gz_measure *m);

/** gz_bbr_rate() - How fast it leaves, bytes/s, never 0; of a gated one */
uint64_t gz_bbr_rate(const struct tcp_pcb *p, const struct gz_measure *m);

/**
 * gz_bbr_acked() - An ACK came
 * @sacked:	Bytes that have arrived above what was acknowledged
 * @pipe:	Bytes under way
 *
 * pcb->cwnd is the window then, but for a gated connection.
 */
void gz_bbr_acked(struct tcp_pcb *p, struct gz_measure *m, uint32_t sacked, uint32_t pipe);

/** gz_bbr_is_paced() - Is it to leave at gz_bbr_rate()? */
bool gz_bbr_is_paced(const struct gz_measure *m);

/** gz_bbr_gate() - From here on pcb->cwnd is what may leave at once */
void gz_bbr_gate(const struct tcp_pcb *p, struct gz_measure *m);
/** gz_bbr_open() - It is the window again */
void gz_bbr_open(struct tcp_pcb *p, struct gz_measure *m);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * black_hole.h - A path that loses what is large and tells nobody; worker
 */
#ifndef GZ_BLACK_HOLE_H
#define GZ_BLACK_HOLE_H

#include <stdbool.h>
#include <stdint.h>

struct gz_measure;
struct tcp_pcb;

/** gz_black_hole_timeout() - What is under way is about to be sent again; the pcb entered */
void gz_black_hole_timeout(struct tcp_pcb *p, struct gz_measure *m, uint64_t now);

/**
 * gz_black_hole_probe() - Is it time to try a segment of the size before?
 * @wait:	It is, when what is written already has gone: nothing more is to be written now
 *
 * Return: its bytes, to be written as one segment, which gz_black_hole_sent() sends; 0: no
 */
uint32_t gz_black_hole_probe(struct tcp_pcb *p, struct gz_measure *m, bool *wait);
void gz_black_hole_sent(struct tcp_pcb *p, struct gz_measure *m);

/** gz_black_hole_lost() - Something is missing: a probe that is under way has failed */
void gz_black_hole_lost(struct gz_measure *m);

#endif

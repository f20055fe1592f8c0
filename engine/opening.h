/* SPDX-License-Identifier: BSD-3-Clause
 *
 * opening.h - Two SYNs that cross
 */
#ifndef GZ_OPENING_H
#define GZ_OPENING_H

struct gz_measure;
struct tcp_hdr;
struct tcp_pcb;

/** A segment comes for a pcb in SYN_SENT, before lwIP sees it; worker. */
void gz_opening_in(struct tcp_pcb *pcb, struct gz_measure *m, const struct tcp_hdr *h);

#endif

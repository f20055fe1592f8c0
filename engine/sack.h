/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sack.h - Loss recovery of a connection (RFC 6675); all of it is the worker's
 */
#ifndef GZ_SACK_H
#define GZ_SACK_H

#include <stdbool.h>
#include <stdint.h>

struct gz_measure;
struct tcp_hdr;
struct tcp_pcb;

#define GZ_NO_SSTHRESH 0x7fffffffu /* no loss yet: slow start; TCP_INFO's word for it, too */

struct gz_loss {
	bool begun;    /* the initial window is set */
	bool reno;     /* any loss halves the window */
	bool in;       /* in recovery, until @point is acknowledged */
	bool repeated; /* segments were sent again, when snd_nxt was @again */
	bool asked;    /* the last segment was sent again since @last was acknowledged */
	bool answered; /* and came: what is missing below is lost */
	uint32_t point, again, last;
	uint32_t target;		/* bytes; what may be under way */
	uint64_t sent_then, again_then; /* m->bytes_sent, bytes_retrans, when is_heavy() began */
	uint32_t block[4][2]; /* of the segment that is looked at, the numbers in host order */
	unsigned blocks;
};

/** gz_sack_read() - A segment of @p, before lwIP looks at it; its options are sound */
void gz_sack_read(struct tcp_pcb *p, struct gz_loss *l, const struct tcp_hdr *h);
/** gz_sack_done() - After lwIP did: send again what is lost */
void gz_sack_done(void);
/** When the last segments would be asked after, ns; 0: they are not */
uint64_t gz_sack_tail_at(const struct tcp_pcb *p, const struct gz_measure *m);
/** gz_sack_tick() - Ask after the last segments; @now in ns */
void gz_sack_tick(struct tcp_pcb *p, struct gz_measure *m, uint64_t now);

#endif

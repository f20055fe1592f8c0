/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sack.h - Loss recovery of a connection (RFC 6675, 8985); all of it is the worker's
 */
#ifndef GZ_SACK_H
#define GZ_SACK_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/rack.h"

struct gz_flow;
struct gz_measure;
struct tcp_hdr;
struct tcp_pcb;

#define GZ_NO_SSTHRESH 0x7fffffffu /* no loss yet: slow start; TCP_INFO's word for it, too */

struct gz_loss {
	bool begun;   /* the initial window is set */
	bool reno;    /* any loss halves the window */
	bool in;      /* in recovery, until @point is acknowledged */
	bool asked;   /* the last segment was sent again since @last was acknowledged */
	bool pending; /* something is lost if it does not come soon */
	uint32_t point, last;
	bool probing;	/* whether that repaired a loss is not known */
	uint32_t probe; /* the end of what was sent again to ask */
	struct gz_rack rack;
	uint32_t target;      /* bytes; what may be under way after a loss, with @reno */
	uint32_t top;	      /* nothing from here on has come or was sent again */
	struct tcp_seg *late; /* one of "unacked", near its end, */
	uint32_t late_end;    /* as long as this is not acknowledged; NULL: none is known */
	uint32_t absent;      /* bytes after what was acknowledged that are not under way, */
	uint32_t left;	      /* and of these the lost ones, which wait for their pace */
	uint32_t block[4][2]; /* of the segment that is looked at, the numbers in host order */
	unsigned blocks;
};

/** gz_sack_read() - A segment of @p, before lwIP looks at it; its options are sound */
void gz_sack_read(struct tcp_pcb *p, struct gz_loss *l, const struct tcp_hdr *h, bool gated);
/** gz_sack_answered() - And after its ACK was found valid; @data: it has some */
void gz_sack_answered(struct tcp_pcb *p, struct gz_loss *l, const struct tcp_hdr *h, bool data);
/** gz_sack_acked() - The same, of an ACK that is new, up to @ackno */
void gz_sack_acked(const struct tcp_pcb *p, struct gz_flow *f, uint32_t ackno);
/** gz_sack_done() - After lwIP did: it is kept until gz_sack_flush() */
void gz_sack_done(void);
/** gz_sack_flush() - After a burst of segments: send again what is lost */
void gz_sack_flush(void);
/** gz_sack_send() - tcp_output(), where "unacked" may be long */
void gz_sack_send(struct tcp_pcb *p, struct gz_loss *l);
/** gz_sack_open() - Before something is sent: pcb->cwnd is as much as may leave now */
void gz_sack_open(struct gz_flow *f, struct tcp_pcb *p);
/** gz_sack_wait() - And after it: the rest leaves at its time */
void gz_sack_wait(struct gz_flow *f, const struct tcp_pcb *p);
/** gz_sack_go_on() - That has come */
void gz_sack_go_on(struct gz_flow *f);
/** gz_sack_forget() - @f is about to be freed */
void gz_sack_forget(const struct gz_flow *f);
/**
 * gz_sack_timeout() - All of it is about to be sent again, as by a timeout
 *
 * What the peer said that it has it may have dropped (RFC 2018 section 8).  pcb->cwnd is the window
 * again.
 */
void gz_sack_timeout(struct tcp_pcb *p, struct gz_measure *m);
/** When the last segments would be asked after, ns; 0: they are not */
uint64_t gz_sack_tail_at(const struct tcp_pcb *p, const struct gz_measure *m);
/** gz_sack_tick() - Ask after the last segments; @now in ns */
void gz_sack_tick(struct tcp_pcb *p, struct gz_measure *m, uint64_t now);

#endif

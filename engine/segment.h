/* SPDX-License-Identifier: BSD-3-Clause
 *
 * segment.h - What is measured on the segments of a flow
 *
 * lwIP calls the two hooks (lwipopts.h) for each segment that it takes and
 * sends.  All of this is the worker's.
 */
#ifndef GZ_SEGMENT_H
#define GZ_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/bbr.h"
#include "engine/pace.h"
#include "engine/rate.h"
#include "engine/sack.h"
#include "engine/timestamp.h"

struct gz_sock;
struct tcp_hdr;
struct tcp_info;

struct gz_measure {
	struct gz_loss loss;
	struct gz_rate rate;
	struct gz_bbr bbr;
	struct gz_pace pace;
	struct gz_stamps stamps;
	uint32_t high;			/* the sequence number after the last one sent */
	bool started;			/* high is set */
	bool sampling;			/* one segment at a time is timed */
	uint32_t rtt_seq;		/* it is acknowledged from here on */
	uint64_t rtt_from;		/* ns */
	uint32_t srtt8, mdev4, min_rtt; /* us, scaled as RFC 6298's clock does */
	uint32_t least_rtt;		/* us; since bbr.c began to count; UINT32_MAX: none */
	uint32_t late;			/* samples in sequence that say: there is a queue */
	uint32_t segs_out, segs_in, data_out, data_in, retrans, ooo;
	uint64_t bytes_sent, bytes_retrans, bytes_acked;
	uint64_t sent_at, received_at, acked_at; /* ns */
	uint64_t began_at;			 /* ns; the peer answered our SYN, or SYN-ACK */
	uint64_t challenge_from;		 /* ns; RFC 5961 section 7 */
	unsigned challenges;
	uint64_t probe_at; /* ns; of a closed window, 0: not timed */
	unsigned probes;
	uint32_t pmtu; /* as ICMP told; 0: the port's */
	struct {
		uint16_t mss;  /* what it was; 0: there is none */
		bool probing;  /* a segment of that size is under way, */
		uint32_t end;  /* the number after it */
		uint32_t pmtu; /* the same of pmtu */
		uint64_t at;   /* ns: when to send one */
	} hole;		       /* black_hole.c */
	bool large;	       /* there may be segments of more than the MSS */
	bool fragments;	       /* IPv4 may make some: the path is too narrow */
	uint32_t urgent_end;   /* the number after the urgent byte */
	bool urgent;	       /* it was not acknowledged yet */
	int linger2;	       /* TCP_LINGER2, seconds, when its socket is gone */
	uint64_t fin_wait;     /* ns: FIN_WAIT_2 was seen; 0: it is not */
	bool crossed;	       /* the peer's SYN came without an ACK, opening.c */
	bool pushed;	       /* what came last was the end of a write, ack.c */
	bool answers;	       /* what came was answered by bytes, which bring the ACK */
	bool nodelay;	       /* TCP_NODELAY */
	bool is_short;	       /* less than a segment is not acknowledged yet, */
	uint32_t short_end;    /* the number after it */
};

/** Option @kind of @h, whose options are sound (gz_tcp_input()); NULL: it is not there */
const uint8_t *gz_segment_option(const struct tcp_hdr *h, uint8_t kind);

/** gz_segment_nagle() - May less than a segment be sent now?  The worker, the pcb entered */
void gz_segment_nagle(struct tcp_pcb *p, const struct gz_measure *m);

/** gz_segment_abort() - tcp_abort() by a RST that the peer takes; the worker, the pcb entered */
void gz_segment_abort(struct tcp_pcb *p);

/** gz_stack_info() - Publish the state of a pcb for gz_segment_info(); worker */
void gz_stack_info(struct gz_sock *s);

/**
 * gz_segment_info() - What TCP_INFO says, as it was when gz_info_ask() asked for it last
 *
 * Any thread, socket locked.  Return: whether it has been asked for
 */
bool gz_segment_info(struct gz_sock *s, struct tcp_info *t);

#endif

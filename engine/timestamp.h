/* SPDX-License-Identifier: BSD-3-Clause
 *
 * timestamp.h - TCP's timestamps option (RFC 7323); all of it is the worker's
 */
#ifndef GZ_TIMESTAMP_H
#define GZ_TIMESTAMP_H

#include <stdbool.h>
#include <stdint.h>

struct gz_measure;
struct pbuf;
struct tcp_hdr;
struct tcp_pcb;

struct gz_stamps {
	bool here;	   /* in the segment that is looked at: */
	uint32_t val, ecr; /* TSval and TSecr */
	uint64_t at;	   /* ns; when the last valid one came */
	uint32_t offset;   /* of our clock, this peer's */
	bool has_offset;
	bool resent; /* what is acknowledged next was sent twice: TSecr tells the time */
};

/** gz_timestamp_find() - TSval and TSecr of @h, whose options are sound.  false: none */
bool gz_timestamp_find(const struct tcp_hdr *h, uint32_t *val, uint32_t *ecr);
/** gz_timestamp_negotiated() - What the handshake came to, or tcp.timestamps forbids */
void gz_timestamp_negotiated(struct tcp_pcb *pcb);
/**
 * gz_timestamp_is_old() - Is the segment one of before? (PAWS)
 * @now:	ns
 *
 * Not to be asked of RSTs (RFC 7323 section 5.2).
 */
bool gz_timestamp_is_old(const struct tcp_pcb *pcb, struct gz_measure *m, uint64_t now);
/** The round trip that TSecr tells, ns; 0: none */
uint64_t gz_timestamp_rtt(const struct tcp_pcb *pcb, struct gz_measure *m, uint32_t ackno);
/**
 * gz_timestamp_is_older() - Did what the segment that is looked at answers leave before @us ago?
 *
 * false where that is not known
 */
bool gz_timestamp_is_older(const struct tcp_pcb *pcb, const struct gz_measure *m, uint32_t us);
/** gz_timestamp_out() - In gz_segment_out(), with its arguments; @m may be NULL */
uint32_t *gz_timestamp_out(const struct tcp_pcb *pcb, struct gz_measure *m, const struct pbuf *p,
			   struct tcp_hdr *h, uint32_t *opts);

#endif

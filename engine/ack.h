/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ack.h - Acknowledgements that lwIP would keep back too long; all of it is the worker's
 */
#ifndef GZ_ACK_H
#define GZ_ACK_H

#include <stdbool.h>
#include <stdint.h>

struct gz_flow;
struct gz_sock;
struct tcp_pcb;

/* Bytes that are sent so soon after others came are an answer, ns; Linux: TCP_ATO_MIN. */
#define GZ_ACK_ANSWER 40000000ull

/** Send the ACK that is due now, should held bytes keep lwIP from it. */
void gz_ack_due(struct tcp_pcb *p);
/** The same of a delayed one; at lwIP's fast tick, before its own. */
void gz_ack_late(struct gz_flow *f, struct tcp_pcb *p);
/** Options changed.  If TCP_QUICKACK was set, what is delayed goes now, and the next
 * ones are not delayed. */
void gz_ack_quick(struct gz_sock *s, struct tcp_pcb *p);
/** Its other end is in this engine, too: what is delayed goes now. */
void gz_ack_joined(struct gz_sock *s);
/** Bytes were received, which are the end of what the peer had to send (@pushed). */
void gz_ack_received(struct gz_sock *s, struct tcp_pcb *p, uint32_t n, bool pushed);
/** The program has them. */
void gz_ack_read(struct gz_sock *s, struct tcp_pcb *p);

#endif

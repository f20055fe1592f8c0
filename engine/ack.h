/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ack.h - Acknowledgements that lwIP would keep back too long; all of it is the worker's
 */
#ifndef GZ_ACK_H
#define GZ_ACK_H

#include <stdint.h>

struct gz_sock;
struct tcp_pcb;

/** Send the ACK that is due now, should held bytes keep lwIP from it. */
void gz_ack_due(struct tcp_pcb *p);
/** The same of a delayed one; at lwIP's fast tick, before its own. */
void gz_ack_late(struct tcp_pcb *p);
/** Options changed.  If TCP_QUICKACK was set, what is delayed goes now, and the next
 * ones are not delayed. */
void gz_ack_quick(struct gz_sock *s, struct tcp_pcb *p);
/** Its other end is in this engine, too: what is delayed goes now. */
void gz_ack_joined(struct gz_sock *s);
/** Bytes were received. */
void gz_ack_received(struct gz_sock *s, struct tcp_pcb *p, uint32_t n);

#endif

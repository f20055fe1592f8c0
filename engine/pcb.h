/* SPDX-License-Identifier: BSD-3-Clause
 *
 * pcb.h - What stack.c, listener.c and timers.c share of a connection's pcb
 *
 * All of it is the worker's.
 */
#ifndef GZ_PCB_H
#define GZ_PCB_H

#include <stdint.h>

#include "lwip/ip_addr.h"
#include "lwip/tcp.h"

#include "engine/sock.h"

#define GZ_MS 1000000ull /* ns */
#define GZ_SEC (1000 * GZ_MS)
#define GZ_CORK_MAX (200 * GZ_MS) /* tcp(7): TCP_CORK's ceiling */

/** @f is not half-open any more, whatever became of it.  Return: it was */
bool gz_pcb_opened(struct gz_flow *f);

/** lwIP's form of an address of ours */
ip_addr_t gz_pcb_addr(struct gz_end e);

/** The pcb carries @f from now on, and returns it to the table when it is freed. */
void gz_pcb_carry(struct tcp_pcb *pcb, struct gz_flow *f);
/** The index of that extension argument */
u8_t gz_pcb_ext_id(void);
/** The pcb is @s's: its callbacks, and @s->pcb, @s->flow */
void gz_pcb_take(struct gz_sock *s, struct tcp_pcb *pcb, struct gz_flow *f);

/**
 * gz_pcb_window() - SO_RCVBUF: the largest window for the peer, bytes
 *
 * Two segments are the least, lwIP opens a closed window by no less than one.
 */
uint32_t gz_pcb_window(const struct gz_options *o);
/** How much of lwIP's window is therefore not for the peer */
uint32_t gz_pcb_withhold(const struct gz_options *o, const struct tcp_pcb *p);
/** Take @n bytes off the window before the peer could use it: while the handshake goes on. */
void gz_pcb_narrow(struct tcp_pcb *p, uint32_t n);
/** TCP_MAXSEG: the peer's word or the program's, whichever is less. */
void gz_pcb_bound_mss(struct tcp_pcb *p, const struct gz_options *o);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * pcb.h - What pcbs.c, stack.c, listener.c and timers.c share of a connection's pcb
 *
 * All of it is the worker's.
 */
#ifndef GZ_PCB_H
#define GZ_PCB_H

#include <stdbool.h>
#include <stdint.h>

#include "lwip/ip_addr.h"
#include "lwip/tcp.h"

#include "engine/ports.h"
#include "engine/sock.h"

#define GZ_MS 1000000ull /* ns */
#define GZ_SEC (1000 * GZ_MS)
#define GZ_CORK_MAX (200 * GZ_MS) /* tcp(7): TCP_CORK's ceiling */

/* --- pcbs.c -------------------------------------------------------------- */

/** gz_pcb_init() - For about so many flows, and at most so many in TIME_WAIT.  0 or -errno */
int gz_pcb_init(unsigned connections, unsigned time_waits);

/**
 * gz_pcb_enter() - lwIP works on @f until gz_pcb_leave()
 * @f:	NULL: on nothing that is there yet
 *
 * Every call of lwIP's that takes a pcb, or may make one, belongs between the two, or
 * into a callback of lwIP's.  Return: its pcb; NULL: none
 */
struct tcp_pcb *gz_pcb_enter(struct gz_flow *f);
void gz_pcb_leave(void);
static inline void gz_pcb_scope_end(struct tcp_pcb **p)
{
	(void)p;
	gz_pcb_leave();
}
/** The same until the end of the block: @p is the pcb. */
#define GZ_PCB_SCOPE(p, f)                                                                         \
	struct tcp_pcb *p __attribute__((cleanup(gz_pcb_scope_end), unused)) = gz_pcb_enter(f)
/** The pcb of @f, to read */
const struct tcp_pcb *gz_pcb_look(const struct gz_flow *f);
/** Is @f what lwIP works on? */
bool gz_pcb_is_entered(const struct gz_flow *f);
/** The flow of these ends, or NULL */
struct gz_flow *gz_pcb_find(struct gz_end local, struct gz_end peer);
/** @pcb is @f's: it can be found, and entered.  It is on the lists that are entered. */
void gz_pcb_register(struct gz_flow *f, struct tcp_pcb *pcb);
/** @f is about to be freed. */
void gz_pcb_forget(struct gz_flow *f);

struct netif;
/** The netif that the connection which lwIP works on is bound to; NULL: to none */
struct netif *gz_pcb_netif(void);
/** lwIP's list of listeners is that of @port.  Return: what gz_listeners_leave() takes */
int gz_listeners_enter(uint16_t port);
/** Of those that are bound to an interface which lwIP takes what came to @nif for */
void gz_listeners_at(const struct netif *nif);
void gz_listeners_leave(int was);
/** A segment of @f, or of none, for lwIP; demux.c */
struct pbuf;
void gz_pcb_input(struct pbuf *p, struct netif *inp, struct gz_flow *f);

/* --- timers.c ------------------------------------------------------------ */

/** gz_timer_arm() - @f was worked on: when does it need its next tick? */
void gz_timer_arm(struct gz_flow *f);
void gz_timer_cancel(struct gz_flow *f);

/* --- stack.c, listener.c ------------------------------------------------- */

/** @f is not half-open any more, whatever became of it.  Return: it was */
bool gz_pcb_opened(struct gz_flow *f);

/** lwIP's form of an address of ours */
ip_addr_t gz_pcb_addr(struct gz_end e);
/** And back; @port in host order */
struct gz_end gz_pcb_end(const ip_addr_t *a, uint16_t port);

/** The pcb carries @f from now on, and returns it to the table when it is freed. */
void gz_pcb_carry(struct tcp_pcb *pcb, struct gz_flow *f);
/** The index of that extension argument */
u8_t gz_pcb_ext_id(void);
/** The pcb is @s's: its callbacks, and @s->flow */
void gz_pcb_take(struct gz_sock *s, struct tcp_pcb *pcb, struct gz_flow *f);

/** TCP_MAXSEG: the peer's word or the program's, whichever is less. */
void gz_pcb_bound_mss(struct tcp_pcb *p, const struct gz_options *o);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * udp_ring.h - Datagrams through the memory that a client shares
 */
#ifndef GZ_UDP_RING_H
#define GZ_UDP_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/end.h"
#include "engine/off_ring.h"

struct gz_call_ctx;
struct gz_datagram;
struct gz_plane;
struct gz_sock;

/* --- service threads --- */

/** It has a port: it gets a slot, unless it had one.  Its lock is held, or it is new */
void gz_udp_ring_give(struct gz_call_ctx *c);
/** It has a slot, which agents are about to find: what it has beside a connection's */
void gz_udp_ring_begin(struct gz_sock *s);
/** Peer or options have changed; @s unlocked. */
void gz_udp_ring_changed(struct gz_sock *s);
/** The stack's addresses have changed: who has one that is gone is refused.  Any thread */
void gz_udp_ring_readdress(void);
/** Agents may send to @to and from @local, if it is not any, for sendmsg() did; @s unlocked. */
void gz_udp_ring_approve(struct gz_sock *s, struct gz_end to, struct gz_end local, uint8_t at);
/** Has the ring, which holds GZ_SLOT_RING, what SO_RCVBUF of @room says?  @s unlocked */
bool gz_udp_ring_holds(struct gz_sock *s, int room);
/** What the program has sent is handed on when it returns. */
void gz_udp_ring_flush(struct gz_sock *s);
/** The same of all that the client's programs have sent.  @p may be NULL */
void gz_udp_ring_pass(struct gz_plane *p);
/**
 * gz_udp_ring_leave() - Its datagrams go by the shadow, for ever
 * @fd:	A duplicate of it
 *
 * Returns when the next native call is right.  @s unlocked
 */
void gz_udp_ring_leave(struct gz_sock *s, int fd);
/** The same, and it gets no slot, if it has none. */
void gz_udp_ring_refuse(struct gz_call_ctx *c, enum gz_off_ring why);
/** The socket is being freed. */
void gz_udp_ring_free(struct gz_sock *s);

/* --- any thread --- */

/** Are there rings for it, or is it about to leave them?  @s locked, if that is to last */
bool gz_udp_ring_is(const struct gz_sock *s);
/** Hand @d to the program; @s locked.  Return: false, there is no room */
bool gz_udp_ring_put(struct gz_sock *s, const struct gz_datagram *d);
/** The shadow got an error; @s locked. */
void gz_udp_ring_error(struct gz_sock *s);
/** Is what it sends to its peer taken, or refused? */
void gz_udp_ring_proven(struct gz_sock *s, bool proven);
/** Has the program closed it, or ended?  @s locked */
bool gz_udp_ring_is_closed(struct gz_sock *s);
/** A close() of it is about to happen. */
void gz_udp_ring_closing(struct gz_sock *s);
/** Hand on what the program has sent; udp.c's lock is held. */
void gz_udp_ring_drain(struct gz_sock *s);
/** Its agents told of slot @i.  Return: how many sockets have one */
unsigned gz_udp_ring_poll(struct gz_plane *p, uint32_t i);

#endif

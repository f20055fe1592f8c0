/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ping.h - Ping sockets: SOCK_DGRAM of IPPROTO_ICMP and IPPROTO_ICMPV6, icmp(7)
 */
#ifndef GZ_PING_H
#define GZ_PING_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/end.h"

struct gz_call_ctx;
struct gz_datagram;
struct gz_icmp;
struct gz_sock;
struct pbuf;

/** Make the shadows' namespace fit.  Main thread, in that namespace. */
void gz_ping_init(void);
/** Otherwise they are the kernel's.  Any thread. */
bool gz_ping_is_served(void);

/* In service threads */
/** socket().  Return: the descriptor or -errno */
int64_t gz_ping_socket(struct gz_call_ctx *c);
/** bind(): take end.port as the id, or any if that is 0.  @c->s locked; 0 or -errno */
int gz_ping_claim(struct gz_call_ctx *c, struct gz_end end);
/** Disconnected, the shadow needs an id again.  @c->s locked */
void gz_ping_renew(struct gz_call_ctx *c);
/** The last close was?  (reaper.c) */
bool gz_ping_is_gone(struct gz_sock *s);

/* In the worker */
/** A program sent @d, an echo request, to @alias. */
void gz_ping_request(struct gz_datagram *d, uint32_t alias);
/** A message from the wire, of the packet that lwIP looks at: is it a reply for somebody? */
void gz_ping_input(struct pbuf *p);
/** Hand reply @d to the socket that has its id.  false: nobody has it */
bool gz_ping_reply(const struct gz_datagram *d);
/** Request @d, whose first eight bytes are at @h, came back with an error. */
void gz_ping_error(const struct gz_datagram *d, const uint8_t *h, struct gz_end offender,
		   const struct gz_icmp *e);
/** The last close of @s was seen: send what it sent before. */
void gz_ping_gone(struct gz_sock *s);

#endif

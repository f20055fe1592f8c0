/* SPDX-License-Identifier: BSD-3-Clause
 *
 * udp_twin.h - The kernel's socket beside a UDP socket of the engine's
 */
#ifndef GZ_UDP_TWIN_H
#define GZ_UDP_TWIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "engine/end.h"

struct gz_call_ctx;
struct gz_datagram;
struct gz_sock;

/**
 * gz_udp_twin_bind() - Beside a claim of a wildcard or loopback address, where
 * policy.loopback wants one
 *
 * Service thread, s->lock held.  Return: 0 or -EADDRINUSE.  Where the kernel refuses for
 * another reason there is none, and a counter says so.
 */
int gz_udp_twin_bind(struct gz_call_ctx *c);
/**
 * gz_udp_twin_need() - There is one, by which the socket can send to what is the kernel's
 *
 * Service thread.  Return: 0, or -ENETUNREACH and a counter: it is bound to an address that
 * the kernel does not have, or its port is taken there
 */
int gz_udp_twin_need(struct gz_call_ctx *c);
/** Is @peer somebody who was heard by the twin, or who it is connected to? */
bool gz_udp_twin_knows(struct gz_sock *s, struct gz_end peer);
/** The same, whoever has its port now; @s locked */
bool gz_udp_twin_heard(const struct gz_sock *s, struct gz_end peer);
/** Send @m, whose pointers are ours.  Return: as sendmsg(2), or -errno */
int64_t gz_udp_twin_send(struct gz_sock *s, struct msghdr *m, int flags);
/** connect() to what is the kernel's; s->lock held.  Return: 0 with @local, or -errno */
int gz_udp_twin_connect(struct gz_sock *s, struct gz_end peer, struct gz_end *local);
/** The socket is connected to another, or to nobody; s->lock held */
void gz_udp_twin_disconnect(struct gz_sock *s);
/** setsockopt() of what packets look like, which the shadow is going to judge */
void gz_udp_twin_option(struct gz_call_ctx *c);
/** What a native send() said, if the socket is connected by its twin; false: it is not */
bool gz_udp_twin_pass(struct gz_sock *s, const struct gz_datagram *d);

/** Worker: the twin is readable. */
void gz_udp_twin_event(struct gz_sock *s);

#endif

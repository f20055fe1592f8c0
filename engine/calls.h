/* SPDX-License-Identifier: BSD-3-Clause
 *
 * calls.h - Handlers of intercepted calls, by file
 *
 * Each runs in its client's service thread, may be run again when it was parked
 * (GZ_WAIT), and reads the program's memory before it takes a lock.
 */
#ifndef GZ_CALLS_H
#define GZ_CALLS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/time.h>
#include <sys/types.h>

#include "engine/end.h"

struct gz_call_ctx;
struct gz_client;
struct gz_sock;

/* accept.c */
int64_t gz_do_accept(struct gz_call_ctx *c);
int64_t gz_do_accept4(struct gz_call_ctx *c);
/** An agent accepted @s, which was offered to it.  The worker */
void gz_accept_done(struct gz_sock *s);
/** The worker: @s is not offered any more.  Return: it was, and nobody had taken it */
bool gz_accept_unoffer(struct gz_sock *s);
/** The socket whose shadow @fd is, by who is at its other end; 0: of no accepted one */
uint64_t gz_accept_id(int fd);
/** The same of one that only its agent has seen yet, whose inode is @ino.  Return: NULL */
struct gz_sock *gz_accept_find(struct gz_client *cl, int fd, ino_t ino);
/** An agent has accepted a connection without a slot (GZ_ASK_ACCEPTED). */
int64_t gz_accept_asked(struct gz_call_ctx *c);
/** SO_RCVTIMEO or SO_SNDTIMEO from now.  Return: ns, 0 for none */
uint64_t gz_deadline_of(const struct timeval *tv);

/* stream_msg.c */
/** Nothing to be had, or no room: -EAGAIN, or GZ_WAIT for @events no longer than @timeo. */
int64_t gz_would_block(struct gz_call_ctx *c, int flags, short events, const struct timeval *timeo);
/* Names, of either type of socket */
int64_t gz_do_getsockname(struct gz_call_ctx *c);
int64_t gz_do_getpeername(struct gz_call_ctx *c);

/* calls.c */
/**
 * gz_claim_anew() - Claim @end for c->s, or its end to listen; a socket in the way that is gone
 * makes room
 *
 * c->s locked.  Return: 0 or -errno
 */
int gz_claim_anew(struct gz_call_ctx *c, struct gz_end end, bool to_listen);
/**
 * gz_bind_kernels() - bind() of a socket of the kernel's
 *
 * One that has a port already is EINVAL whatever the address (__inet_bind()), but the kernel, which
 * has not those of the stack, would say EADDRNOTAVAIL.
 */
int64_t gz_bind_kernels(struct gz_call_ctx *c);

/* connect.c */
int64_t gz_do_connect(struct gz_call_ctx *c);
/**
 * gz_renew() - After a failure, or to disconnect: the descriptor gets a new socket
 *
 * With a new shadow; the old one ends when its shadow is closed by the replacement.
 * Return: 0, with another c->s and c->fd, or -errno
 */
int gz_renew(struct gz_call_ctx *c);
/**
 * gz_disconnect() - As tcp_disconnect(): what the socket was is given up, it is as new
 *
 * A connection is reset, which SO_ERROR tells; a listener listens no more, and who waits
 * on it gets EINVAL.  Return: 0, with another c->s and c->fd, or -errno
 */
int64_t gz_disconnect(struct gz_call_ctx *c);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * calls.h - Handlers of intercepted calls, by file
 *
 * Each runs in its client's service thread, may be run again when it was parked
 * (GZ_WAIT), and reads the program's memory before it takes a lock.
 */
#ifndef GZ_CALLS_H
#define GZ_CALLS_H

#include <stdint.h>
#include <sys/time.h>

struct gz_call_ctx;

/* accept.c */
int64_t gz_do_accept(struct gz_call_ctx *c);
int64_t gz_do_accept4(struct gz_call_ctx *c);
/** SO_RCVTIMEO or SO_SNDTIMEO from now.  Return: ns, 0 for none */
uint64_t gz_deadline_of(const struct timeval *tv);

/* stream_msg.c */
/** Nothing to be had, or no room: -EAGAIN, or GZ_WAIT for @events no longer than @timeo. */
int64_t gz_would_block(struct gz_call_ctx *c, int flags, short events, const struct timeval *timeo);
/* Names, of either type of socket */
int64_t gz_do_getsockname(struct gz_call_ctx *c);
int64_t gz_do_getpeername(struct gz_call_ctx *c);

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

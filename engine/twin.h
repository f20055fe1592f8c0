/* SPDX-License-Identifier: BSD-3-Clause
 *
 * twin.h - The kernel's listener beside a listener of the engine's
 */
#ifndef GZ_TWIN_H
#define GZ_TWIN_H

#include <stdbool.h>
#include <sys/socket.h>

#include "engine/sock.h"

struct gz_call_ctx;
struct gz_worker;

/** Does policy.loopback want one for a socket that is bound to @end? */
bool gz_twin_wanted(struct gz_end end);
/**
 * gz_twin_bind() - Bind one in the program's network namespace; service thread
 *
 * Return: 0 or -EADDRINUSE, with @s as before.  Where the kernel refuses for
 * another reason there is none, and a counter says so.
 */
int gz_twin_bind(struct gz_call_ctx *c, struct gz_sock *s, struct gz_end end);
/** @fd is the twin from now on. */
void gz_twin_put(struct gz_sock *s, int fd);
/** listen() with s->backlog.  Return: 0 or -EADDRINUSE */
int gz_twin_listen(struct gz_sock *s);
/** An option of the listener is one of its twin's, and of what that accepts. */
void gz_twin_option(struct gz_sock *s, int level, int opt, const void *val, socklen_t len);
/** shutdown(): it keeps its port and listens no more. */
void gz_twin_unlisten(struct gz_sock *s);
/** The bound socket itself, for a swap; the caller's from now on, or -1 */
int gz_twin_take(struct gz_sock *s);
/** @to takes the kernel socket of @from, which does not listen. */
void gz_twin_hand(struct gz_sock *from, struct gz_sock *to);
/** The last close; any thread.  The port is free when this returns. */
void gz_twin_close(struct gz_sock *s);
/** accept() took one of @l's connections: there is room again. */
void gz_twin_room(struct gz_sock *l);

/* --- of datagrams, udp_twin.c --- */

/** Return: as sendmsg(2) and recvmsg(2), or -errno */
int64_t gz_twin_send(struct gz_sock *s, const struct msghdr *m, int flags);
int64_t gz_twin_recv(struct gz_sock *s, struct msghdr *m);
/** To @peer, or with @local NULL to nobody.  Return: 0 with the name that it has, or -errno */
int gz_twin_connect(struct gz_sock *s, struct gz_end peer, struct sockaddr_storage *local);

/* --- worker --- */

/** Look at it from now on, if there is one. */
void gz_twin_watch(struct gz_worker *w, struct gz_sock *l);
void gz_twin_unwatch(struct gz_worker *w, struct gz_sock *l);
/** It is readable: offer what came. */
void gz_twin_event(struct gz_worker *w, struct gz_sock *l);

#endif

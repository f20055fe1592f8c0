/* SPDX-License-Identifier: BSD-3-Clause
 *
 * dgram.h - Calls of UDP sockets, in service threads
 */
#ifndef GZ_DGRAM_H
#define GZ_DGRAM_H

#include <stdint.h>
#include <sys/socket.h>

#include "engine/service.h"

/** Handlers by enum gz_call; NULL: the kernel's answer for the shadow is right. */
extern const gz_handler gz_dgram_handlers[];

/** socket() of a UDP socket.  Return: the descriptor or -errno */
int64_t gz_dgram_socket(struct gz_call_ctx *c);
/**
 * gz_dgram_to_kernel() - A kernel socket takes over, with the port if bind() chose one
 * @v:	Why, for the client's record
 *
 * Return: GZ_CONTINUE or -errno
 */
int64_t gz_dgram_to_kernel(struct gz_call_ctx *c, const struct gz_verdict *v);
/** Does the family of @peer go with the socket's and with its address?  Return: 0 or -errno */
int gz_dgram_family_fits(const struct gz_sock *s, struct gz_end peer);
/** Give it a port, should it have none.  Return: 0 or -errno */
int gz_dgram_autobind(struct gz_call_ctx *c);
/**
 * gz_dgram_with_port() - The answer @r of sendto() or connect(), with a port for the socket
 *
 * inet_send_prepare(), inet_dgram_connect(): there is one before anything is refused.
 * Return: @r, or -EAGAIN: no port is free
 */
int64_t gz_dgram_with_port(struct gz_call_ctx *c, int64_t r);
/**
 * gz_dgram_target() - Check a destination, and see whose it is
 * @connecting:	the only one from now on
 * @by_twin:	the kernel's, and the socket has a twin for it
 *
 * Return: 0, -errno, or GZ_CONTINUE: a kernel socket is in the descriptor's place
 */
int64_t gz_dgram_target(struct gz_call_ctx *c, uint64_t addr, int len, struct gz_end *peer,
			bool connecting, bool *by_twin);
/** Set on the kernel's @fd what a program has set on @shadow. */
void gz_dgram_replay(struct gz_sock *s, int shadow, int fd);
/** An alias as the shadow's family has it, @native or IPv4.  Return: its length */
socklen_t gz_dgram_inner(const struct gz_sock *s, uint32_t name, bool native,
			 struct sockaddr_storage *ss);
/** The name that the shadow of the connected @s is connected to; @s locked.  Return: its length */
socklen_t gz_dgram_inner_peer(const struct gz_sock *s, struct sockaddr_storage *ss);

/** An integer option of the shadow @fd, 0 if it has none */
int gz_dgram_option(int fd, int level, int opt);

/* dgram_options.c */
int64_t gz_dgram_getsockopt(struct gz_call_ctx *c);
int64_t gz_dgram_setsockopt(struct gz_call_ctx *c);

/* dgram_msg.c */
/** Which address of ours answers what @peer sent to @local, over IPv4 (ip(7), ipi_spec_dst) */
struct gz_end gz_dgram_answers(struct gz_end local, struct gz_end peer);
/** The shadow has nothing to give, or no room: -EAGAIN, or GZ_WAIT for @events (POLLIN, ...) */
int64_t gz_dgram_wait(struct gz_call_ctx *c, int flags, short events);
int64_t gz_dgram_recvfrom(struct gz_call_ctx *c);
int64_t gz_dgram_recvmsg(struct gz_call_ctx *c);
int64_t gz_dgram_recvmmsg(struct gz_call_ctx *c);
int64_t gz_dgram_sendto(struct gz_call_ctx *c);
int64_t gz_dgram_sendmsg(struct gz_call_ctx *c);
int64_t gz_dgram_sendmmsg(struct gz_call_ctx *c);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * netlink.h - NETLINK_ROUTE sockets of programs
 */
#ifndef GZ_NETLINK_H
#define GZ_NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/service.h"

struct gz_netlink;

/** Handlers by enum gz_call; NULL: the kernel's answer for the shadow is right. */
extern const gz_handler gz_netlink_handlers[];

/** socket(AF_NETLINK, ...).  Return: the descriptor, GZ_CONTINUE or -errno */
int64_t gz_netlink_socket(struct gz_call_ctx *c);
/** Whose shadow has this inode?  Any thread; return: a new reference or NULL */
struct gz_netlink *gz_netlink_find(ino_t ino);
void gz_netlink_unref(struct gz_netlink *n);
/** The kernel's own socket; the caller does not close it. */
int gz_netlink_kernel(const struct gz_netlink *n);
/** Put the kernel's own socket in the shadow's place.  Return: GZ_CONTINUE or -errno */
int64_t gz_netlink_give_way(struct gz_call_ctx *c);

/** Is anybody there to be told? */
bool gz_netlink_is_there(void);
/** Tell who is in @group (RTNLGRP_*) of a change of the stack's.  Any thread */
void gz_netlink_tell(unsigned group, const void *data, size_t len);

/* --- for netlink_calls.c ------------------------------------------------- */

#define GZ_NETLINK_MAX 65536 /* bytes of a datagram that is handed on */

/** NETLINK_GET_STRICT_CHK was set */
void gz_netlink_strict(struct gz_netlink *n, bool strict);
/** May all requests of @data be handed on by us? */
bool gz_netlink_may_stay(const void *data, size_t len);
/** What send() left behind is handed on before anybody sees that it is not yet. */
void gz_netlink_catch_up(struct gz_netlink *n);
/** One datagram of requests, handed on.  Return: 0 or -errno, as send() */
int gz_netlink_request(struct gz_netlink *n, const void *data, size_t len);

#endif

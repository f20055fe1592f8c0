/* SPDX-License-Identifier: BSD-3-Clause
 *
 * multicast.h - Groups that UDP sockets are members of (RFC 1112, ip(7))
 *
 * Memberships are the sockets', under their locks; lwIP speaks IGMP for the host, in
 * the worker, by messages.  All addresses of the stack are on one wire: a group is
 * joined there, whichever of them the program names.
 */
#ifndef GZ_MULTICAST_H
#define GZ_MULTICAST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "engine/end.h"

struct gz_call_ctx;
struct gz_msg;
struct gz_sock;
struct netif;

/** What a datagram to a group is sent with.  @s locked. */
struct gz_group_options {
	uint8_t ttl;
	bool loop;
	uint32_t local; /* IP_MULTICAST_IF; 0: by the route */
};

void gz_groups_options(struct gz_sock *s, struct gz_group_options *o);
/** Does @s take what comes for @dst?  Broadcasts always.  Any thread, @s unlocked. */
bool gz_groups_allow(struct gz_sock *s, struct gz_end dst, struct gz_end src,
		     const struct netif *in);
void gz_groups_leave_all(struct gz_sock *s);
/** Is IPPROTO_IP's @opt one for the two below? */
bool gz_groups_option(int opt);
/** setsockopt(2); service thread, @s unlocked.  Return: 0 or -errno */
int gz_groups_set(struct gz_call_ctx *c, int opt, const void *val, socklen_t len);
/** getsockopt(2), of IP_MULTICAST_IF alone: the others are the shadow's */
int gz_groups_get(struct gz_sock *s, int opt, void *val, socklen_t *len);

#endif

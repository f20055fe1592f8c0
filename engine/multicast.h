/* SPDX-License-Identifier: BSD-3-Clause
 *
 * multicast.h - Groups that UDP sockets are members of (RFC 1112, ip(7), ipv6(7))
 *
 * Memberships are the sockets', under their locks; lwIP speaks IGMP and MLD for the
 * host, in the worker, by messages.  A group is joined at a port, by whatever address there
 * the program names it; which one that is is found out once, for addresses change.
 */
#ifndef GZ_MULTICAST_H
#define GZ_MULTICAST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "engine/end.h"

struct gz_call_ctx;
struct gz_sock;

/** What a datagram to a group is sent with. */
struct gz_group_options {
	uint8_t hops;
	bool loop;
	bool all;	     /* take groups that other sockets joined, too */
	uint8_t at;	     /* IP_MULTICAST_IF, as gz_iface_bound() has it; 0: by the route */
	struct gz_end local; /* the address that it named, or loopback's; else any */
	int ifindex;	     /* IPV6_MULTICAST_IF */
};

/** Those of one family; @s locked. */
void gz_groups_options(const struct gz_sock *s, bool v4, struct gz_group_options *o);
/** Does @s take what @src sends to @dst, and comes to interface @at (gz_iface_bound())?  Broadcasts
 * always.  Any thread, @s unlocked. */
bool gz_groups_allow(struct gz_sock *s, struct gz_end dst, struct gz_end src, uint8_t at);
void gz_groups_leave_all(struct gz_sock *s);
/** Is @opt of IPPROTO_IP or IPPROTO_IPV6 one for the two below? */
bool gz_groups_option(int level, int opt);
/** setsockopt(2); service thread, @s unlocked.  Return: 0 or -errno */
int gz_groups_set(struct gz_call_ctx *c, int level, int opt, const void *val, socklen_t len);
/** getsockopt(2), of what the shadow does not know by itself; GZ_CONTINUE if it does.  @val
 * has what the program had there: which filter is asked for */
int64_t gz_groups_get(struct gz_sock *s, int level, int opt, void *val, socklen_t *len);
/** Join the same groups with a kernel socket.  @s locked. */
void gz_groups_replay(const struct gz_sock *s, int fd);

#endif

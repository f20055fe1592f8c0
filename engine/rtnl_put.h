/* SPDX-License-Identifier: BSD-3-Clause
 *
 * rtnl_put.h - Making and reading rtnetlink's messages, for rtnl.c and rtnl_route.c
 */
#ifndef GZ_RTNL_PUT_H
#define GZ_RTNL_PUT_H

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/rtnl.h"

/** Attribute @type of a request whose fixed part has @fixed bytes; NULL: not there */
const struct rtattr *gz_rtnl_attribute(const struct nlmsghdr *h, size_t fixed, unsigned type);
/** @n bytes more, zeros */
void *gz_rtnl_put(struct gz_rtnl *b, size_t n);
/** A message about @request, which gz_rtnl_finish() ends */
struct nlmsghdr *gz_rtnl_begin(struct gz_rtnl *b, const struct nlmsghdr *request, uint16_t type,
			       uint16_t flags, uint32_t pid);
void gz_rtnl_finish(struct gz_rtnl *b, struct nlmsghdr *h);
void gz_rtnl_attr(struct gz_rtnl *b, unsigned short type, const void *value, size_t n);
void gz_rtnl_attr32(struct gz_rtnl *b, unsigned short type, uint32_t v);

/* --- rtnl_route.c -------------------------------------------------------- */

/** RTA_OIF of a request; 0: none */
int gz_rtnl_route_index(const struct nlmsghdr *h);
/** Is the route that @h asks for by destination the stack's? */
bool gz_rtnl_route_own(const struct nlmsghdr *h);
/** Append it. */
void gz_rtnl_route(struct gz_rtnl *b, const struct nlmsghdr *h, uint32_t pid);
/** Append all that the dump @h asks for. */
void gz_rtnl_routes(struct gz_rtnl *b, const struct nlmsghdr *h, bool strict, uint32_t pid);

#endif

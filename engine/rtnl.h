/* SPDX-License-Identifier: BSD-3-Clause
 *
 * rtnl.h - The stack's interfaces and addresses in rtnetlink's words (rtnetlink(7))
 */
#ifndef GZ_RTNL_H
#define GZ_RTNL_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gz_own4;
struct gz_port;
struct in6_addr;

/** Messages being made; there is room for all of a stack's interfaces, addresses or routes, and the
 * neighbours of two workers. */
struct gz_rtnl {
	size_t len;
	_Alignas(struct nlmsghdr) uint8_t data[24576];
};

/** What becomes of a request. */
enum gz_rtnl_what {
	GZ_RTNL_KERNEL, /* none of ours */
	GZ_RTNL_JOIN,	/* a dump: the kernel's, and gz_rtnl_records() before its end */
	GZ_RTNL_OWN,	/* answered by gz_rtnl_answer() */
};

/**
 * gz_rtnl_ask() - What is this request, a whole message?
 * @strict:	NETLINK_GET_STRICT_CHK is set: a dump's header is a filter
 */
enum gz_rtnl_what gz_rtnl_ask(const struct nlmsghdr *h, bool strict);

/**
 * gz_rtnl_may_stay() - May a request of any kind be put to the kernel by the engine?
 *
 * Not what changes something, nor what asks of another namespace: there the rights of
 * the program count.
 */
bool gz_rtnl_may_stay(const struct nlmsghdr *h);
/** Does this change mean the same whoever sends it?  (A link's may name a descriptor or a process.)
 */
bool gz_rtnl_is_anybodys(const struct nlmsghdr *h);

/** Append the records of the dump @h as parts of a multipart message from @pid. */
void gz_rtnl_records(struct gz_rtnl *b, const struct nlmsghdr *h, bool strict, uint32_t pid);
/** Append an error, 0 or -errno, about @h. */
void gz_rtnl_error(struct gz_rtnl *b, const struct nlmsghdr *h, int error, uint32_t pid);
/** @p's link went up or down; whoever waits for that hears it. */
void gz_rtnl_tell_link(const struct gz_port *p);
/** Address @i of @own came (@there) or went, the same. */
void gz_rtnl_tell_address4(const struct gz_own4 *own, unsigned i, bool there);
void gz_rtnl_tell_address6(const struct in6_addr *a, unsigned len, const struct gz_port *p,
			   bool there);
/** Append the whole answer to GZ_RTNL_OWN. */
void gz_rtnl_answer(struct gz_rtnl *b, const struct nlmsghdr *h, bool strict, uint32_t pid);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sources.h - Source filters of a group's membership (RFC 3376 section 3.1, RFC 3678)
 *
 * The stack speaks IGMPv2 and MLDv1: routers send what all sources have to say, and the
 * filter is applied where it arrives.  Under the socket's lock.
 */
#ifndef GZ_SOURCES_H
#define GZ_SOURCES_H

#include <stdbool.h>

#include "engine/end.h"

#define GZ_SOURCES_MAX 10 /* net.ipv4.igmp_max_msf */

struct gz_sources {
	bool include; /* these only; else: all but these */
	unsigned n;
	struct gz_end of[GZ_SOURCES_MAX]; /* port 0 */
};

/** Does the filter let pass what comes from @src? */
bool gz_sources_allow(const struct gz_sources *f, struct gz_end src);
/**
 * gz_sources_change() - As ip_mc_source() of net/ipv4/igmp.c
 * @include:	Of which kind of filter @src is to be one, or no more, by @add
 *
 * Return: 0 or -errno; 1: nothing is left, the group is to be left
 */
int gz_sources_change(struct gz_sources *f, bool add, bool include, struct gz_end src);

#endif

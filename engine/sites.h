/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sites.h - Data calls that trap: their site is led to the agent, or the socket leaves
 *
 * The service thread of a client whose bytes may be in rings.
 */
#ifndef GZ_SITES_H
#define GZ_SITES_H

#include <stdint.h>

struct gz_call_ctx;
struct gz_call_info;

enum gz_sites {
	GZ_SITES_SERVE,	   /* go on: the call's handler is to answer */
	GZ_SITES_NATIVE,   /* the kernel is to run it */
	GZ_SITES_ANSWERED, /* it begins again, in the agent */
};

/** gz_sites_trap() - What is to be done about a call before its handler */
enum gz_sites gz_sites_trap(struct gz_call_ctx *c, const struct gz_call_info *call);
/** splice() from a socket with bytes that only the ring has; as gz_handlers[] */
int64_t gz_sites_splice(struct gz_call_ctx *c);

#endif

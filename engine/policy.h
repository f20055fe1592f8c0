/* SPDX-License-Identifier: BSD-3-Clause
 *
 * policy.h - Which sockets are the engine's
 *
 * Asked at bind(), connect() and a datagram's first sendto(), for either family
 * and every protocol; service threads only.
 */
#ifndef GZ_POLICY_H
#define GZ_POLICY_H

#include <pthread.h>
#include <sys/types.h>

#include "config/config.h"
#include "engine/sock.h"

struct gz_call_ctx;

enum gz_whose { GZ_OURS, GZ_KERNELS };

/* What decides when no rule does: its place in gz_verdict.rule is -1 - GZ_WHY_*. */
#define GZ_WHYS(X)                                                                                 \
	X(FAMILY, "default: the stack does not serve this family")                                 \
	X(BIND, "default: bound in the stack")                                                     \
	X(KERNEL_BIND, "default: an address of the kernel's")                                      \
	X(LOOPBACK, "policy.loopback: loopback is the kernel's")                                   \
	X(LO_LISTENER, "default: loopback, a listener of the engine's")                            \
	X(LO_KERNEL, "default: loopback, only the kernel has a listener")                          \
	X(LO_NOBODY, "default: loopback, nobody listens")                                          \
	X(OWN, "default: the stack's own address")                                                 \
	X(ROUTED, "default: the stack has a way to it")                                            \
	X(NO_ROUTE, "default: the stack has no way to it")                                         \
	X(DEVICE, "default: an ioctl() of the kernel's interfaces or routes")

enum gz_why {
#define X(id, text) GZ_WHY_##id,
	GZ_WHYS(X)
#undef X
	    GZ_WHY_COUNT
};

/**
 * gz_policy_ask() - Whose is the socket of this call?
 * @dir:	GZ_DIR_BIND: @end is what is bound; GZ_DIR_CONNECT: the destination, of a
 *		datagram's sendto() too
 * @protocol:	IPPROTO_TCP, IPPROTO_UDP; of ping sockets theirs, which only `any` matches
 * @v:		Filled; to be kept in the socket, or given to gz_record_add()
 *
 * Reads /proc of the program, so no lock may be held.  Return: v->whose
 */
enum gz_whose gz_policy_ask(struct gz_call_ctx *c, enum gz_direction dir, int protocol,
			    struct gz_end end, struct gz_verdict *v);
/**
 * gz_policy_is_engines() - Would it be the engine's whichever program sent to @end?
 *
 * Of loopback too, once the socket was: what the kernel has there is not looked at.  Any
 * thread, with locks held.
 */
bool gz_policy_is_engines(int protocol, struct gz_end end);
/**
 * gz_policy_routes_to_kernel() - Is @end the kernel's by a rule, whatever is sent there?
 *
 * As `ip rule` does for who asks for a route without a port, rules of more than a network are
 * passed over: by port, protocol, user or program.
 */
bool gz_policy_routes_to_kernel(struct gz_end end);
/** Fill @v where there is nothing to ask: it is the kernel's because of @why. */
void gz_policy_is(struct gz_call_ctx *c, enum gz_direction dir, int protocol, struct gz_end end,
		  enum gz_why why, struct gz_verdict *v);
/** "rule 2 (line 14)" or the default's text, into @buf.  Return: @buf */
const char *gz_policy_text(const struct gz_verdict *v, char *buf, size_t n);

/** The last sockets of a client that went to the kernel, by the kernel's inode. */
#define GZ_RECORD_MAX 128
struct gz_record {
	pthread_mutex_t lock;
	unsigned long total;
	struct {
		ino_t ino;
		struct gz_verdict v;
	} entry[GZ_RECORD_MAX];
};

void gz_record_init(struct gz_record *r);
void gz_record_add(struct gz_record *r, ino_t ino, const struct gz_verdict *v);
/** The latest verdict about @ino.  Return: false when there is none */
bool gz_record_find(struct gz_record *r, ino_t ino, struct gz_verdict *v);

#endif

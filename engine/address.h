/* SPDX-License-Identifier: BSD-3-Clause
 *
 * address.h - Socket addresses in and out of a program, and whose they are
 */
#ifndef GZ_ADDRESS_H
#define GZ_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "engine/policy.h"
#include "engine/sock.h"

struct gz_call_ctx;

/**
 * gz_addr_read() - The address argument of bind() or connect(), args 1 and 2
 * @whose:	GZ_KERNELS: a native IPv6 address, which the stack does not serve
 *
 * Return: 0 with @end and @family, or -errno
 */
int gz_addr_read(struct gz_call_ctx *c, struct gz_end *end, sa_family_t *family,
		 enum gz_whose *whose);
/** Write @end to the program's @addr and @lenp.  Return: 0 or -errno */
int64_t gz_addr_write(struct gz_call_ctx *c, struct gz_end end, uint64_t addr, uint64_t lenp);

/* IPv4 addresses in network byte order. */
bool gz_addr_is_loopback(uint32_t addr);
/** Multicast or broadcast? */
bool gz_addr_to_many(uint32_t addr);
/** Does the stack have a way to it? */
bool gz_addr_routed(uint32_t addr);
/** Does the kernel listen there, in the network namespace of thread @tid? */
bool gz_addr_kernel_listens(pid_t tid, struct gz_end end);

#endif

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

#define GZ_ADDR_MAX 128 /* bytes, struct sockaddr_storage: a longer one is EINVAL */

/**
 * gz_addr_read() - The address argument of bind() or connect(), args 1 and 2
 * @whose:	GZ_KERNELS: an IPv6 address that the stack does not serve, errors and all
 *
 * Return: 0 with @end and @family, or -errno
 */
int gz_addr_read(struct gz_call_ctx *c, struct gz_end *end, sa_family_t *family,
		 enum gz_whose *whose);
/** The same of any @addr and @len. */
int gz_addr_parse(struct gz_call_ctx *c, uint64_t addr, int len, struct gz_end *end,
		  sa_family_t *family, enum gz_whose *whose);
/** Write @end to the program's @addr and @lenp.  Return: 0 or -errno */
int64_t gz_addr_write(struct gz_call_ctx *c, struct gz_end end, uint64_t addr, uint64_t lenp);

/** @end as a socket of @family says it.  Return: its length */
socklen_t gz_addr_sockaddr(int family, struct gz_end end, struct sockaddr_storage *a);
/** Write a socket address to the program's @addr and @lenp.  Return: 0 or -errno */
int64_t gz_addr_write_raw(struct gz_call_ctx *c, const void *a, int full, uint64_t addr,
			  uint64_t lenp);

bool gz_addr_is_loopback(struct gz_end end);
/** Is @end, an address of ours, a UDP port of another engine's that shares it? */
bool gz_addr_is_others(struct gz_end end);
/** 127.0.0.1 or ::1, port 0 */
struct gz_end gz_addr_loopback(bool v4);
/** Multicast or broadcast? */
bool gz_addr_to_many(struct gz_end end);
bool gz_addr_is_group(struct gz_end end);
/** A group that no packet leaves this host for: ff01::/16 */
bool gz_addr_stays_here(struct gz_end end);
/** Has it a meaning on one link only (ipv6(7), sin6_scope_id)? */
bool gz_addr_has_scope(struct gz_end end);
/** Give @end, if it has a scope, that of the link of port @port, of gz_ports[] */
void gz_addr_set_scope(struct gz_end *end, unsigned port);
/** Is a scope that @end has that of the interface @at, as gz_iface_bound() has it?  0: any */
bool gz_addr_scope_fits(struct gz_end end, uint8_t at);
/** Does the stack have a way to it? */
bool gz_addr_routed(struct gz_end end);
/** The same by the interface @at, as gz_iface_bound() has it: of IPv4 it takes all for neighbours
 */
bool gz_addr_routed_at(struct gz_end end, uint8_t at);
/** The port that packets to @to leave by; of an address of ours the one that has it.  Any thread */
struct gz_port *gz_addr_port(struct gz_end to);
/** The same of a socket that is bound to the interface @at, as gz_iface_bound() has it */
struct gz_port *gz_addr_port_at(struct gz_end to, uint8_t at);
/** The gateway or next hop that packets to @to go by.  Return: false: it is on the link */
bool gz_addr_via(struct gz_end to, struct gz_end *via);
/** The stack's address that a connection to @peer comes from, port 0 */
struct gz_end gz_addr_source(struct gz_end peer);
/** The same for a socket that is bound to an interface, @at as gz_iface_bound() has it */
struct gz_end gz_addr_source_at(struct gz_end peer, uint8_t at);
/** The index of the interface that has @local, as programs see it */
int gz_addr_ifindex(struct gz_end local);
/** Is it an address of the kernel's that bind() takes, in the network namespace of thread
 * @tid?  No lock may be held. */
bool gz_addr_kernel_has(pid_t tid, struct gz_end end);
/** Does the kernel listen there, in the network namespace of thread @tid?
 * @type: SOCK_STREAM or SOCK_DGRAM */
bool gz_addr_kernel_listens(pid_t tid, struct gz_end end, int type);

/** This host's address?  Any thread */
bool gz_addr_is_local(struct gz_end end);

#endif

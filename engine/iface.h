/* SPDX-License-Identifier: BSD-3-Clause
 *
 * iface.h - The stack's interfaces, as programs see them beside the kernel's
 *
 * Each port's has a name and an index of its own, whatever device it is: that one's own
 * name may be the kernel's in the program's namespace.  The kernel counts its indices
 * up from 1 and would have to make as many interfaces to meet these.
 */
#ifndef GZ_IFACE_H
#define GZ_IFACE_H

#include <stdbool.h>
#include <stdint.h>

#define GZ_IFACE_NAME "gazelle"	  /* and the number of the port */
#define GZ_IFACE_INDEX 1000000000 /* of the first port's, the others follow */

struct gz_call_ctx;
struct gz_port;

/** @p's, one of gz_ports[], in @name.  Return: @name */
const char *gz_iface_name(const struct gz_port *p, char name[16]);
int gz_iface_index(const struct gz_port *p);
/** Whose interface has @index; NULL: none of the stack's */
struct gz_port *gz_iface_by_index(int index);
/** The same by name, which may be that of the port's own device (port.iface) */
struct gz_port *gz_iface_by_name(const char *name);
#define GZ_AT_LO 1
#define GZ_AT_PORT 2 /* of gz_ports[0], and so on */
/** SO_BINDTODEVICE with @name as a number: GZ_AT_LO, GZ_AT_PORT + port, or 0 for "" */
uint8_t gz_iface_bound(const char *name);
/** The index of the interface @at, which is none of 0 */
int gz_iface_index_at(uint8_t at);
/** The index of lo or the stack's interface @name, 0 for "" */
int gz_iface_index_of(const char *name);

/** Is ioctl @request about interfaces or routes (netdevice(7))? */
bool gz_iface_is_request(unsigned request);

/**
 * gz_iface_ioctl() - An ioctl() about interfaces, on any socket
 *
 * Service threads; c->fd is there.  Questions about the stack's interface are answered,
 * those about the kernel's are asked in the program's network namespace.  A socket of
 * ours that is new gives way to the kernel's own for everything else.
 * Return: as ioctl(2), GZ_CONTINUE: the kernel's answer is right, or -errno
 */
int64_t gz_iface_ioctl(struct gz_call_ctx *c);

/**
 * gz_iface_bind() - SO_BINDTODEVICE or SO_BINDTOIFINDEX of a socket of ours
 * @name:	Set to the interface's name if it is the stack's, or ""
 *
 * One of the kernel's interfaces takes a new socket to the kernel.
 * Return: 0, GZ_CONTINUE or -errno
 */
int64_t gz_iface_bind(struct gz_call_ctx *c, const void *val, int len, char name[16]);
bool gz_iface_is_lo(const char *name);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * iface.h - The stack's interface, as programs see it beside the kernel's
 *
 * It has a name and an index of its own, whatever device the port is: the port's own
 * name may be the kernel's in the program's namespace.  The kernel counts its indices
 * up from 1 and would have to make as many interfaces to meet this one.
 */
#ifndef GZ_IFACE_H
#define GZ_IFACE_H

#include <stdbool.h>
#include <stdint.h>

#define GZ_IFACE_NAME "gazelle0"
#define GZ_IFACE_INDEX 1000000000

struct gz_call_ctx;

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

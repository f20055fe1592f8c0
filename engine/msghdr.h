/* SPDX-License-Identifier: BSD-3-Clause
 *
 * msghdr.h - A program's struct msghdr, in its memory (recvmsg(2), sendmsg(2))
 *
 * Of sockets of every kind; service threads only.
 */
#ifndef GZ_MSGHDR_H
#define GZ_MSGHDR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct gz_call_ctx;

#define GZ_IOVS_MAX 1024 /* UIO_MAXIOV */

/** Read @m's vectors into @v[GZ_IOVS_MAX].  Return: bytes in all, or -errno */
int64_t gz_msghdr_iov(struct gz_call_ctx *c, const struct msghdr *m, struct iovec *v);
/** Read a message to be received into, at @addr, and its vectors, in the same way. */
int64_t gz_msghdr_read(struct gz_call_ctx *c, uint64_t addr, struct msghdr *m, struct iovec *v);
/**
 * gz_msghdr_scatter() - Write to a program's vectors
 * @skip:	Bytes of them that are full already
 * @n:		Bytes of @buf; those without room are left out
 *
 * Return: 0 or -errno
 */
int gz_msghdr_scatter(struct gz_call_ctx *c, const struct iovec *v, size_t nv, size_t skip,
		      const char *buf, size_t n);
/**
 * gz_msghdr_put() - One control message, as put_cmsg() of net/core/scm.c
 * @m:	The program's: its control buffer and room; gets MSG_CTRUNC
 * @at:	Bytes there so far; advanced
 * @x:	Complete; its length may be cut
 *
 * Return: 0 or -errno
 */
int gz_msghdr_put(struct gz_call_ctx *c, struct msghdr *m, size_t *at, struct cmsghdr *x);
/**
 * gz_msghdr_told() - Write what recvmsg(2) tells in the header at @addr
 * @m:	msg_controllen, msg_flags, and msg_namelen where msg_name is set: of no name the
 *	length stays (____sys_recvmsg())
 *
 * Return: 0 or -errno
 */
int gz_msghdr_told(struct gz_call_ctx *c, uint64_t addr, const struct msghdr *m);

/**
 * gz_msghdr_recvmmsg() - recvmmsg(2)
 * @one:	Receive into the message at @addr.  Return: as recvmsg(2), -EAGAIN
 * @wait:	There is nothing: -EAGAIN, GZ_WAIT, or the end
 */
int64_t gz_msghdr_recvmmsg(struct gz_call_ctx *c,
			   int64_t (*one)(struct gz_call_ctx *c, uint64_t addr, int flags),
			   int64_t (*wait)(struct gz_call_ctx *c, int flags));

#endif

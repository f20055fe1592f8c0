/* SPDX-License-Identifier: BSD-3-Clause
 *
 * swap.h - Putting another file in the place of a program's socket
 */
#ifndef GZ_SWAP_H
#define GZ_SWAP_H

struct gz_call_ctx;

/**
 * gz_swap_file() - Every descriptor of the calling process that is c->fd's file
 *		    becomes one of @fd's
 *
 * With their close-on-exec flags, and with their registrations in the process's
 * epoll sets.  Descriptors of other processes stay what they are.  Service
 * thread, without locks.  Return: 0 or -errno
 */
int gz_swap_file(struct gz_call_ctx *c, int fd);

#endif

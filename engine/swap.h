/* SPDX-License-Identifier: BSD-3-Clause
 *
 * swap.h - Putting another file in the place of a program's socket
 */
#ifndef GZ_SWAP_H
#define GZ_SWAP_H

#include <stdbool.h>

struct gz_call_ctx;

/**
 * gz_swap_file() - Every descriptor of the calling process that is c->fd's file
 *		    becomes one of @fd's
 *
 * With their close-on-exec flags, what fcntl(2) set on the file, and their registrations in
 * the process's epoll sets: @watched, there are some.  Those of other processes stay.
 * Service thread, without locks.  Return: 0 or -errno
 */
int gz_swap_file(struct gz_call_ctx *c, int fd, bool *watched);

#endif

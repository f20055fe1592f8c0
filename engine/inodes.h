/* SPDX-License-Identifier: BSD-3-Clause
 *
 * inodes.h - Which AF_UNIX sockets there are in the engine's network namespace
 *
 * For those that have no name of their own, by which to ask (reaper.h).  All of them are listed
 * by the kernel for that, so that it is to be asked seldom.
 */
#ifndef GZ_INODES_H
#define GZ_INODES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct gz_inodes {
	ino_t *ino; /* ascending */
	size_t n;
};

/**
 * gz_inodes_read() - All that are alive, from /proc/thread-self/net/unix
 *
 * A thread in the engine's namespace.  Return: false, it could not be read, and @l is empty;
 * else to be freed by gz_inodes_free()
 */
bool gz_inodes_read(struct gz_inodes *l);
bool gz_inodes_has(const struct gz_inodes *l, ino_t ino);
void gz_inodes_free(struct gz_inodes *l);

#endif

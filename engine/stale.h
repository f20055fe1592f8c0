/* SPDX-License-Identifier: BSD-3-Clause
 *
 * stale.h - Shadows that gave way in one process while others hold them
 */
#ifndef GZ_STALE_H
#define GZ_STALE_H

#include <stdatomic.h>
#include <sys/types.h>

struct gz_call_ctx;
struct gz_sock;

/** How many there are; to be looked at before gz_stale_look(), by anybody */
extern _Atomic unsigned gz_stale;

/**
 * gz_stale_note() - @fd has taken the place of a shadow in the calling process
 * @old:	Whose it was; NULL: a netlink socket's, and somebody else is known to have it
 * @ino:	Its inode
 *
 * If somebody else has that shadow, it is replaced there too; where that cannot be a duplicate of
 * @fd is kept until nobody has it: each who still does counts as one who has @fd.  The caller
 * holds no duplicate of the shadow.  Service thread, without locks.
 */
void gz_stale_note(struct gz_call_ctx *c, struct gz_sock *old, ino_t ino, int fd);
/** Put in the calling process's table what took the place of those that it has. */
void gz_stale_look(struct gz_call_ctx *c);
/** Forget those that nobody has any more.  Main thread, every 100 ms or so. */
void gz_stale_sweep(void);

#endif

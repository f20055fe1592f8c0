/* SPDX-License-Identifier: BSD-3-Clause
 *
 * reaper.h - Noticing the last close of shadows that have no other end
 */
#ifndef GZ_REAPER_H
#define GZ_REAPER_H

#include <stdbool.h>
#include <stdint.h>

struct gz_sock;

/**
 * gz_reaper_is_gone() - Has the shadow named @name been closed for good?
 * @probe:	The caller's probing socket, -1 at first; per thread
 *
 * A thread in the shadows' network namespace.  Costs one bind(2) that fails.
 */
bool gz_reaper_is_gone(uint64_t name, int *probe);

/** The same of a UDP shadow, by its port, whatever its family; any thread */
bool gz_reaper_nest_is_empty(uint16_t nest);

/**
 * gz_reaper_close() - The application's last close happened
 *
 * Any thread, once or more.  Takes the socket out of the table, frees its port
 * claim, and tells the worker.
 */
void gz_reaper_close(struct gz_sock *s);

/** gz_reaper_watch() - Nobody tells the last close of @s: look at it, or no more; any thread */
void gz_reaper_watch(struct gz_sock *s, bool on);

/** Has the shadow of @s, one that we named, been closed for good?  Of others: false */
bool gz_reaper_probe(struct gz_sock *s, int *probe);

/** Is @s, watched and in somebody's way, gone?  If so it is closed now. */
bool gz_reaper_check(struct gz_sock *s, int *probe);

/** No port is left for @s: may one of the sockets that have one be gone?  True: there was one */
bool gz_reaper_make_room(struct gz_sock *s, int *probe);

/** Look at the watched sockets, at some if they are many.  Main thread, every 100 ms or so. */
void gz_reaper_sweep(void);

#endif

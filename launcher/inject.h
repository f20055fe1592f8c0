/* SPDX-License-Identifier: BSD-3-Clause
 *
 * inject.h - Put the agent into a stopped process, and lead its sites there
 *
 * All of it between gz_tracee_borrow() and gz_tracee_give_back().
 */
#ifndef GZ_LAUNCHER_INJECT_H
#define GZ_LAUNCHER_INJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "launcher/agent/abi.h"
#include "launcher/tracee.h"

/** gz_inject_present() - Has the process the agent already (as fork() copies it)? */
bool gz_inject_present(const struct gz_tracee *t);

/**
 * gz_inject_region() - Map the agent and the shared memory
 * @fd:	The memfd's number in the process, which is closed there
 *
 * Return: 0, or a negative errno, and nothing is mapped.
 */
int gz_inject_region(struct gz_tracee *t, int fd);

/**
 * gz_inject_site() - Lead the `syscall` at @site to the agent
 * @block:	Its site block
 *
 * Return: 0, also where that was done before; -ENOEXEC, it cannot be; or another
 * negative errno.
 */
int gz_inject_site(struct gz_tracee *t, uint64_t site, uint64_t *block);

/**
 * gz_inject_neighbours() - The same for the sites beside @site that look like the agent's
 *
 * Those of the same mapping, a C library's most often: each would stop the process
 * once more.  What fails is left to be found when it traps.
 */
void gz_inject_neighbours(struct gz_tracee *t, uint64_t site);

/** gz_inject_book() - What is known of the process.  Return: 0, or negative: it has no agent */
int gz_inject_book(const struct gz_tracee *t, struct gz_agent_book *b);

/** gz_inject_has_signal() - Will it run a handler when it goes on?  Its call may end by EINTR */
bool gz_inject_has_signal(const struct gz_tracee *t, const struct gz_thread *th);

/** gz_inject_enter() - Threads whose call begins again, at a patched site, go on in the agent */
void gz_inject_enter(struct gz_tracee *t);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * retire.h - Take a process's threads out of the agent, and let none in any more
 *
 * Between gz_tracee_borrow() and gz_tracee_give_back().
 */
#ifndef GZ_LAUNCHER_RETIRE_H
#define GZ_LAUNCHER_RETIRE_H

#include "launcher/tracee.h"

/**
 * gz_retire() - Make the process's code what it was before gz_inject_site()
 *
 * Threads that wait in the agent, or in a site's block, wait at the program's own
 * `syscall` when they go on.  Those that run there are given a moment: until the
 * book says GZ_RETIRED it is to be called again, after they ran.
 *
 * Return: 0, or a negative errno.
 */
int gz_retire(struct gz_tracee *t);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * interrupted.h - System calls that a stop of their thread disturbs
 */
#ifndef GZ_LAUNCHER_INTERRUPTED_H
#define GZ_LAUNCHER_INTERRUPTED_H

#include <stdbool.h>

/** Does it return EINTR, not a restart, for any stop of its thread? */
bool gz_gives_eintr(long nr);
/** Has it a signal mask for its own time, which PTRACE_SETSIGMASK forgets? */
bool gz_takes_mask(long nr);

#endif

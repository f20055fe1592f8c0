/* SPDX-License-Identifier: BSD-3-Clause
 *
 * wrap.h - gazelle-run after the fork: a parent that one cannot tell from its child
 */
#ifndef GZ_LAUNCHER_WRAP_H
#define GZ_LAUNCHER_WRAP_H

#include <stdbool.h>

#include "launcher/spawn.h"

/**
 * gz_wrap() - Let the child go, pass signals on, wait for its end
 * @c:		From gz_spawn(); its descriptors are closed
 * @status:	The child's, as from waitpid()
 *
 * Once the program runs, every descriptor that gazelle-run inherited is closed
 * here and the folder left: the far end of a pipe sees the program's close.
 *
 * Return: 0; 1, the engine went away before the program ran: do it again;
 * or a negative errno, and the child was killed.
 */
int gz_wrap(struct gz_child *c, int *status);

/** gz_end_like() - Exit as the child did, or die of the same signal */
void gz_end_like(int status) __attribute__((noreturn));

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * standin.h - Answers for an engine that is not there
 */
#ifndef GZ_LAUNCHER_STANDIN_H
#define GZ_LAUNCHER_STANDIN_H

#include <sys/types.h>

/**
 * gz_standin() - Leave every notification to the kernel, in a new process
 * @listener:	Notification listener; the caller's to close
 *
 * The process ends with the last one under the filter.
 *
 * Return: its pid, or a negative errno.
 */
pid_t gz_standin(int listener);

#endif

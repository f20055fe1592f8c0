/* SPDX-License-Identifier: BSD-3-Clause
 *
 * adopt.h - Move a process's listening sockets from the kernel's stack to the engine's
 */
#ifndef GZ_LAUNCHER_ADOPT_H
#define GZ_LAUNCHER_ADOPT_H

#include <sys/types.h>

/** Have the engine serve @pid, if it does not.  Return: a pidfd, or -1: it was said why not */
typedef int gz_attach_fn(void *arg, pid_t pid);

/**
 * gz_adopt() - Move the TCP listeners of a process that an engine serves
 * @pid:	The process, none of whose threads is traced
 * @pidfd:	Of it
 * @attach:	For other processes of the same program that hold a listener too
 *
 * Signals should be blocked.  A listener that cannot be moved stays as it is;
 * which one, and why, is said.
 *
 * Return: how many stayed.
 */
unsigned gz_adopt(pid_t pid, int pidfd, gz_attach_fn *attach, void *arg);

#endif

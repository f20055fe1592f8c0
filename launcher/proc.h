/* SPDX-License-Identifier: BSD-3-Clause
 *
 * proc.h - What /proc says of a process and its threads
 *
 * All of it may be out of date when it is returned, unless the process is stopped.
 */
#ifndef GZ_LAUNCHER_PROC_H
#define GZ_LAUNCHER_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/**
 * gz_status() - A value in /proc/PID/status
 * @key:	With its colon
 *
 * Return: false, no such process or line.
 */
bool gz_status(pid_t pid, const char *key, char *value, size_t n);

/** Has the thread ended, or is it about to? */
bool gz_is_dead(pid_t tid);
/** The process that traces it.  Return: 0, none */
pid_t gz_tracer_of(pid_t tid);
/** Has the process ended?  A first thread that has says nothing of the others. */
bool gz_has_ended(pid_t pid);
/** Does the thread wait for a vfork() child? */
bool gz_is_vforking(pid_t tid);

#endif

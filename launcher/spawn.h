/* SPDX-License-Identifier: BSD-3-Clause
 *
 * spawn.h - The program-to-be: a child that joins the engine, then execs
 */
#ifndef GZ_LAUNCHER_SPAWN_H
#define GZ_LAUNCHER_SPAWN_H

#include <linux/filter.h>
#include <stdbool.h>
#include <sys/types.h>

#include "launcher/engine.h"
#include "launcher/signals.h"

/** Byte on `report`: the engine went away, nothing is lost, do it again. */
#define GZ_REPORT_AGAIN 'A'

struct gz_child {
	pid_t pid;
	int hold;   /* the child waits until this is closed */
	int report; /* GZ_REPORT_AGAIN, or the end of file: exec'd or ended */
	int broker; /* the engine asks on it (broker.h) */
};

/**
 * gz_spawn() - Fork the program-to-be
 * @e:		A running engine
 * @filter:	From gz_filter_build()
 * @inherited:	From gz_signals_take(), which must have been called
 * @ring:	Its bytes may go through rings; @filter is one for that
 * @argv:	The program and its arguments
 * @c:		Filled; the descriptors are the caller's to close
 *
 * The child says itself what fails, and ends with 125, 126 or 127.
 *
 * Return: 0, or a negative errno.
 */
int gz_spawn(const struct gz_engine *e, const struct sock_fprog *filter,
	     const struct gz_signals *inherited, bool ring, char *const *argv, struct gz_child *c);

/** gz_exec() - execvp() as env(1) does it: returns the exit status, having spoken */
int gz_exec(char *const *argv);

#endif

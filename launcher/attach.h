/* SPDX-License-Identifier: BSD-3-Clause
 *
 * attach.h - Put a running process on an engine
 */
#ifndef GZ_LAUNCHER_ATTACH_H
#define GZ_LAUNCHER_ATTACH_H

#include <linux/filter.h>
#include <stdbool.h>
#include <sys/types.h>

#include "launcher/engine.h"

/**
 * gz_attach() - From now on the engine serves process @pid
 * @e:		The engine; started if need be
 * @filter:	From gz_filter_build()
 * @pid:	A process, all of whose threads are taken
 * @adopt:	Move its listeners too, also where it is served already
 * @wait:	Return when it ends
 *
 * Return: 0; GZ_EXIT_LISTENERS, some were not moved; or GZ_EXIT_FAILED, and the
 * process goes on as it was.  The reasons were said.
 */
int gz_attach(const struct gz_engine *e, const struct sock_fprog *filter, pid_t pid, bool adopt,
	      bool wait);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * engine.h - The engine as gazelle-run sees it: a socket, or a program to start
 */
#ifndef GZ_LAUNCHER_ENGINE_H
#define GZ_LAUNCHER_ENGINE_H

#include <limits.h>
#include <stdbool.h>

#include "config/config.h"
#include "engine/control.h"

/** Filled by main() from the options, then read-only. */
struct gz_engine {
	char name[GZ_NAME_MAX];
	char run_dir[80];
	char sock[GZ_PATH_MAX]; /* RUN_DIR/NAME.sock */
	char config[PATH_MAX];	/* absolute, for a private engine; empty: none */
	bool may_start;		/* ours to start when nobody answers */
};

/**
 * gz_engine_ready() - Make sure that the engine answers, starting it if need be
 * @ring:	Set to whether its configuration wants rings; may be NULL
 *
 * Return: 0, or GZ_EXIT_FAILED, and the reason was said.
 */
int gz_engine_ready(const struct gz_engine *e, bool *ring);

/** gz_engine_connect() - Return: connected descriptor, or a negative errno */
int gz_engine_connect(const struct gz_engine *e);

/**
 * gz_engine_ask() - Send one hello and wait for the welcome
 * @sock:	From gz_engine_connect()
 * @op:		What to ask for
 * @program:	For people, may be NULL
 * @fd:		Descriptor to hand over, or -1; it is closed in any case, for a
 *		listener that outlives its engine would hang whoever traps
 * @other:	With @fd, what comes second (control.h), or -1
 * @w:		The answer; only where 0 is returned
 *
 * Makes no call that the filter traps.
 *
 * Return: 0, also where the engine refuses (@w->status); -ECONNRESET when it
 * went away; -ETIMEDOUT; -EPROTO, it speaks another version.
 */
int gz_engine_ask(int sock, enum gz_control_op op, const char *program, int fd, int other,
		  struct gz_welcome *w);

/** gz_engine_say_failure() - Tell people why connecting or asking failed */
void gz_engine_say_failure(const struct gz_engine *e, int err);

#endif

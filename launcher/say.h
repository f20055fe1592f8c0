/* SPDX-License-Identifier: BSD-3-Clause
 *
 * say.h - What gazelle-run writes to stderr
 *
 * A wrapper is silent unless something is wrong: the program's output is the
 * program's.
 */
#ifndef GZ_LAUNCHER_SAY_H
#define GZ_LAUNCHER_SAY_H

#define GZ_EXIT_LISTENERS 1    /* attached, but a listener stayed the kernel's */
#define GZ_EXIT_FAILED 125     /* gazelle-run itself failed; as env(1), timeout(1) */
#define GZ_EXIT_CANNOT_RUN 126 /* PROGRAM was found but cannot be executed */
#define GZ_EXIT_NOT_FOUND 127  /* PROGRAM was not found */

enum gz_say_level {
	GZ_SAY_NOTHING, /* -q */
	GZ_SAY_ERRORS,
	GZ_SAY_STEPS, /* -v */
};

extern enum gz_say_level gz_say_level;

/** One line, `gazelle-run: ...`, in one write; @fmt has no newline. */
void gz_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void gz_step(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif

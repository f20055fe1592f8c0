/* SPDX-License-Identifier: BSD-3-Clause
 *
 * signals.h - What gazelle-run changes of its signals, to undo it in the child
 */
#ifndef GZ_LAUNCHER_SIGNALS_H
#define GZ_LAUNCHER_SIGNALS_H

#include <signal.h>

/** As gazelle-run inherited them. */
struct gz_signals {
	sigset_t mask;
	struct sigaction chld;
};

/** Block everything, and make sure that a child's end is not ignored. */
void gz_signals_take(struct gz_signals *inherited);

/** Undo it; what came meanwhile is delivered now. */
void gz_signals_restore(const struct gz_signals *inherited);

#endif

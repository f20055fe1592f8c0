/* SPDX-License-Identifier: BSD-3-Clause
 *
 * asked.h - What programs asked of the stack's sockets, by row of the tables
 *
 * Of each intercepted call (launcher/calls.h) and of each option of TCP sockets
 * (option_table.h), how often.  Any thread.
 */
#ifndef GZ_ASKED_H
#define GZ_ASKED_H

#include <stdbool.h>
#include <stdint.h>

#include "launcher/calls.h"

struct gz_option_row;

/** setsockopt() or getsockopt() of an option; @r may be NULL: it has no row */
void gz_asked_option(const struct gz_option_row *r, bool set);
void gz_asked_call(enum gz_call call);

/** Call @fn for all rows that were asked for: the calls, the options set, the options read. */
enum gz_asked { GZ_ASKED_CALLS, GZ_ASKED_SET, GZ_ASKED_GET };
void gz_asked_each(enum gz_asked what, void (*fn)(const char *name, uint64_t n, void *arg),
		   void *arg);

#endif

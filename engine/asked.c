/* SPDX-License-Identifier: BSD-3-Clause
 *
 * asked.c - What programs asked of the stack's sockets, by row of the tables
 */
#include <stdatomic.h>

#include "engine/asked.h"
#include "engine/option_table.h"

static _Atomic uint64_t calls[GZ_CALL_COUNT];
static _Atomic uint64_t options[2][GZ_OPTION_ROWS]; /* read, set */

static void add(_Atomic uint64_t *n)
{
	atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
}

void gz_asked_call(enum gz_call call)
{
	add(&calls[call]);
}

void gz_asked_option(const struct gz_option_row *r, bool set)
{
	if (r)
		add(&options[set][r - gz_option_rows]);
}

void gz_asked_each(enum gz_asked what, void (*fn)(const char *name, uint64_t n, void *arg),
		   void *arg)
{
	size_t rows = what == GZ_ASKED_CALLS ? gz_ncalls : gz_option_nrows;

	for (size_t i = 0; i < rows; i++) {
		uint64_t n = what == GZ_ASKED_CALLS
				 ? atomic_load(&calls[gz_calls[i].id])
				 : atomic_load(&options[what == GZ_ASKED_SET][i]);

		if (n)
			fn(what == GZ_ASKED_CALLS ? gz_calls[i].name : gz_option_rows[i].name, n,
			   arg);
	}
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * loader.h - Between loader.c, which fills a structure, and check.c
 *
 * The tree of the file outlives the reading of values, so that a check that
 * fails can still point at the line it is about.
 */
#ifndef GZ_CONFIG_LOADER_H
#define GZ_CONFIG_LOADER_H

#include "config/schema.h"

struct gz_load;

/** Is a key in the file, with something in it? */
bool gz_load_has(const struct gz_load *ld, const char *path);

/** Was an error reported about a key or a block around it? */
bool gz_load_bad(const struct gz_load *ld, const char *path);

/** Line of a key's value; of its block, or 1, if it is not in the file. */
unsigned gz_load_line(const struct gz_load *ld, const char *path);

/**
 * gz_load_error() - Report that keys do not go together
 * @ld:		Load
 * @path:	The key the error is about; "clients[2].name" works
 * @because:	Another key that was looked at, or NULL
 * @fmt:	What is wrong, and what was expected
 *
 * Says nothing if one of the two already had an error of its own: its value is
 * then not what the file says.
 */
__attribute__((format(printf, 4, 5))) void gz_load_error(struct gz_load *ld, const char *path,
							 const char *because, const char *fmt, ...);

/* check.c: each is called with the values over the defaults. */
void gz_engine_prepare(const struct gz_load *ld, void *conf);
void gz_engine_check(struct gz_load *ld, void *conf);
void gz_dispatch_prepare(const struct gz_load *ld, void *conf);
void gz_dispatch_check(struct gz_load *ld, void *conf);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sources.c - Source filters of a group's membership
 */
#include <errno.h>

#include "engine/sources.h"

static unsigned find(const struct gz_sources *f, struct gz_end src)
{
	unsigned i = 0;

	while (i < f->n && !gz_end_same_addr(f->of[i], src))
		i++;
	return i;
}

bool gz_sources_allow(const struct gz_sources *f, struct gz_end src)
{
	return (find(f, src) < f->n) == f->include;
}

int gz_sources_change(struct gz_sources *f, bool add, bool include, struct gz_end src)
{
	unsigned i;

	if (f->include != include) {
		if (f->n)
			return -EINVAL;
		f->include = include; /* an empty filter may change its kind */
	}
	i = find(f, src);
	if (add != (i == f->n))
		return -EADDRNOTAVAIL;
	if (add && f->n == GZ_SOURCES_MAX)
		return -ENOBUFS;
	if (add)
		f->of[f->n++] = src;
	else if (f->n == 1 && include)
		return 1;
	else
		f->of[i] = f->of[--f->n];
	return 0;
}

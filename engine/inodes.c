/* SPDX-License-Identifier: BSD-3-Clause
 *
 * inodes.c - Which AF_UNIX sockets there are in the engine's network namespace
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/inodes.h"

static int by_value(const void *a, const void *b)
{
	ino_t x = *(const ino_t *)a, y = *(const ino_t *)b;

	return x < y ? -1 : x > y;
}

/* Return: false without memory */
static bool add(struct gz_inodes *l, size_t *room, ino_t ino)
{
	ino_t *p;

	if (l->n == *room) {
		p = realloc(l->ino, (*room ? *room * 2 : 256) * sizeof(*p));
		if (!p)
			return false;
		l->ino = p;
		*room = *room ? *room * 2 : 256;
	}
	l->ino[l->n++] = ino;
	return true;
}

bool gz_inodes_read(struct gz_inodes *l)
{
	FILE *f = fopen("/proc/thread-self/net/unix", "re");
	bool good = f != NULL;
	char line[512];
	size_t room = 0;
	unsigned long ino;

	*l = (struct gz_inodes){NULL, 0};
	while (good && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %*s %*s %*s %*s %*s %lu", &ino) == 1)
			good = add(l, &room, (ino_t)ino);
	if (f)
		fclose(f);
	if (!good)
		gz_inodes_free(l);
	else if (l->n)
		qsort(l->ino, l->n, sizeof(ino_t), by_value);
	return good;
}

bool gz_inodes_has(const struct gz_inodes *l, ino_t ino)
{
	return l->n && bsearch(&ino, l->ino, l->n, sizeof(ino_t), by_value);
}

void gz_inodes_free(struct gz_inodes *l)
{
	free(l->ino);
	*l = (struct gz_inodes){NULL, 0};
}

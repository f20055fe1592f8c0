/* SPDX-License-Identifier: BSD-3-Clause
 *
 * maps.c - What a process has mapped, proc_pid_maps(5)
 */
#include "launcher/maps.h"

#include <inttypes.h>
#include <string.h>

FILE *gz_maps_open(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	return fopen(path, "re");
}

bool gz_maps_next(FILE *f, struct gz_map *m)
{
	char line[512];

	while (fgets(line, sizeof(line), f)) {
		memset(m, 0, sizeof(*m));
		/* What a longer line has left begins with a path's end. */
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %127s",
			   &m->start, &m->end, m->mode, &m->offset, &m->dev[0], &m->dev[1],
			   &m->inode, m->name) >= 7)
			return true;
	}
	return false;
}

bool gz_maps_find(pid_t pid, uint64_t addr, struct gz_map *m)
{
	FILE *f = gz_maps_open(pid);
	bool found = false;

	if (!f)
		return false;
	while (!found && gz_maps_next(f, m))
		found = addr >= m->start && addr < m->end;
	fclose(f);
	return found;
}

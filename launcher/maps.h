/* SPDX-License-Identifier: BSD-3-Clause
 *
 * maps.h - What a process has mapped, proc_pid_maps(5)
 */
#ifndef GZ_LAUNCHER_MAPS_H
#define GZ_LAUNCHER_MAPS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct gz_map {
	uint64_t start, end; /* addresses; end is the first past it */
	char mode[5];	     /* "rwxp", or - for each; p private, s shared */
	uint64_t offset;     /* in the file, bytes */
	unsigned dev[2];     /* of the file, major and minor */
	uint64_t inode;	     /* 0: none */
	char name[128];	     /* path or [stack] and the like, may be cut; "" */
};

/** gz_maps_open() - Return: for gz_maps_next() and fclose(), or NULL with errno */
FILE *gz_maps_open(pid_t pid);

/** gz_maps_next() - The next one, by ascending address.  Return: false at the end */
bool gz_maps_next(FILE *f, struct gz_map *m);

/** gz_maps_find() - The one that @addr is in.  Return: false, there is none */
bool gz_maps_find(pid_t pid, uint64_t addr, struct gz_map *m);

#endif

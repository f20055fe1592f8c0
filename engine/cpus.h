/* SPDX-License-Identifier: BSD-3-Clause
 *
 * cpus.h - On which processors the workers are, and in which memory
 */
#ifndef GZ_CPUS_H
#define GZ_CPUS_H

#include <stddef.h>

#include "config/config.h"

struct gz_cpus {
	unsigned n;	      /* workers */
	int cpu[GZ_CPUS_MAX]; /* -1: floats */
	int node;	      /* the NUMA node of all of them; -1: several, or it is not known */
};

/**
 * gz_cpus_choose() - As worker.cpu and workers say
 *
 * Only processors that this process may run on count, see sched_setaffinity(2).
 * Return: 0, or -EINVAL with the reason in @err
 */
int gz_cpus_choose(const struct gz_workers_config *w, struct gz_cpus *c, char *err, size_t n);

/**
 * gz_cpus_prefer() - Memory that this thread and its children touch first is @c's node's
 *
 * See set_mempolicy(2), MPOL_PREFERRED: another node's is taken when there is none.
 */
void gz_cpus_prefer(const struct gz_cpus *c);

#endif

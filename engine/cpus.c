/* SPDX-License-Identifier: BSD-3-Clause
 *
 * cpus.c - On which processors the workers are: see cpus.h
 */
#include <errno.h>
#include <numa.h>
#include <sched.h>

#include "engine/cpus.h"
#include "engine/port.h"

/* A worker on each of the first @count processors of node @c->node; 0: of all */
static int of_node(struct gz_cpus *c, unsigned count, char *err, size_t n)
{
	struct bitmask *mask;
	cpu_set_t ours;
	int last, rc;

	if (numa_available() < 0)
		return gz_failed(err, n, EINVAL,
				 "workers.node is %d: this kernel knows no NUMA nodes", c->node);
	last = numa_max_node();
	mask = numa_allocate_cpumask();
	rc = c->node > last || !mask ? -1 : numa_node_to_cpus(c->node, mask);
	if (!rc && sched_getaffinity(0, sizeof(ours), &ours))
		rc = -1;
	for (unsigned i = 0; !rc && i < mask->size && i < CPU_SETSIZE && c->n < GZ_CPUS_MAX; i++)
		if (numa_bitmask_isbitset(mask, i) && CPU_ISSET(i, &ours) &&
		    (!count || c->n < count))
			c->cpu[c->n++] = (int)i;
	if (mask)
		numa_free_cpumask(mask);
	if (rc)
		return gz_failed(err, n, EINVAL, "workers.node is %d: expected 0 to %d", c->node,
				 last);
	if (!c->n)
		return gz_failed(err, n, EINVAL,
				 "workers.node is %d: this process may run on none of its CPUs",
				 c->node);
	if (c->n < count)
		return gz_failed(
		    err, n, EINVAL,
		    "workers.count is %u: this process may run on %u of node %d's CPUs", count,
		    c->n, c->node);
	return 0;
}

/* Which node all of them are on; -1: none, or not only one */
static int node_of(const struct gz_cpus *c)
{
	int node = -1;

	if (numa_available() < 0)
		return -1;
	for (unsigned i = 0; i < c->n; i++) {
		int of = c->cpu[i] < 0 ? -1 : numa_node_of_cpu(c->cpu[i]);

		if (of < 0 || (i && of != node))
			return -1;
		node = of;
	}
	return node;
}

int gz_cpus_choose(const struct gz_workers_config *w, struct gz_cpus *c, char *err, size_t n)
{
	*c = (struct gz_cpus){.node = w->node};
	if (w->node >= 0)
		return of_node(c, w->count, err, n);
	c->n = w->ncpus ? w->ncpus : w->count ? w->count : 1;
	for (unsigned i = 0; i < c->n; i++)
		c->cpu[i] = w->ncpus ? w->cpus[i] : w->count ? -1 : w->cpu;
	c->node = node_of(c);
	return 0;
}

void gz_cpus_prefer(const struct gz_cpus *c)
{
	if (c->node >= 0)
		numa_set_preferred(c->node);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * planes.c - gazelle-ctl planes: the plane of each process, and why it is not the ring
 *
 * Processes are found as the children of those that registered, and among those that
 * asked for the agent; one that a daemon's double fork() took away and that never
 * asked is not seen.  Whether the agent is there, and how many sites it has, is read in
 * the process's memory.  How many sockets left the rings, and came back, is its client's.
 *
 * Runs in DPDK's telemetry thread.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include <rte_telemetry.h>

#include "engine/client.h"
#include "engine/off_ring.h"
#include "engine/telemetry.h"
#include "launcher/agent/abi.h"

#define PLANES_PAGE 32
#define PROCESSES_MAX 32768

struct process {
	pid_t pid, parent;
	uint32_t client; /* 0: nobody's */
};

struct list {
	struct process *all; /* in ascending order, as /proc has them */
	unsigned n;
};

static pid_t parent_of(pid_t pid, char *name, size_t n)
{
	char path[32], line[512], *end;
	pid_t parent = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	/* The name is in parentheses and may hold any. */
	if (fgets(line, sizeof(line), f) && (end = strrchr(line, ')'))) {
		sscanf(end + 1, " %*c %d", &parent);
		*end = 0;
		if (name)
			snprintf(name, n, "%s", strchr(line, '(') + 1);
	}
	fclose(f);
	return parent;
}

static int by_pid(const void *a, const void *b)
{
	return ((const struct process *)a)->pid - ((const struct process *)b)->pid;
}

static void read_processes(struct list *l)
{
	DIR *d = opendir("/proc");
	struct dirent *e;

	l->all = calloc(PROCESSES_MAX, sizeof(*l->all));
	while (d && l->all && l->n < PROCESSES_MAX && (e = readdir(d))) {
		pid_t pid = atoi(e->d_name);

		if (pid > 0)
			l->all[l->n++] =
			    (struct process){.pid = pid, .parent = parent_of(pid, NULL, 0)};
	}
	if (d)
		closedir(d);
	if (l->all)
		qsort(l->all, l->n, sizeof(*l->all), by_pid);
}

static struct process *find(const struct list *l, pid_t pid)
{
	struct process key = {.pid = pid};

	return bsearch(&key, l->all, l->n, sizeof(key), by_pid);
}

/* Those that are known to be the client's */
static bool mark(struct gz_client *c, void *arg)
{
	const struct list *l = arg;
	struct process *p = find(l, c->pid);

	if (p)
		p->client = c->id;
	for (unsigned i = 0; i < GZ_OFF_PROCESSES; i++) {
		p = find(l, gz_off_process_at(c, i));
		if (p)
			p->client = c->id;
	}
	return true;
}

static void mark_children(const struct list *l)
{
	bool more = true;

	while (more) {
		more = false;
		for (unsigned i = 0; i < l->n; i++) {
			const struct process *p;

			if (l->all[i].client || !(p = find(l, l->all[i].parent)) || !p->client)
				continue;
			l->all[i].client = p->client;
			more = true;
		}
	}
}

static bool peek(pid_t pid, uint64_t addr, void *buf, size_t n)
{
	struct iovec l = {buf, n}, r = {(void *)(uintptr_t)addr, n};

	return process_vm_readv(pid, &l, 1, &r, 1, 0) == (ssize_t)n;
}

struct answer {
	struct rte_tel_data *d;
	pid_t pid;
	uint32_t client;
};

static bool add_process(struct gz_client *c, void *arg)
{
	const struct answer *a = arg;
	enum gz_off_ring why = c->no_plane;
	struct gz_agent_kept kept = {0};
	struct gz_agent_book book;
	struct rte_tel_data *e;
	char key[24], name[64] = "?";
	bool agent;

	if (c->id != a->client)
		return true;
	e = rte_tel_data_alloc();
	if (!e || !parent_of(a->pid, name, sizeof(name))) {
		rte_tel_data_free(e);
		return false;
	}
	agent = peek(a->pid, GZ_AGENT_BOOK, &book, sizeof(book)) && book.magic == GZ_AGENT_MAGIC;
	if (agent && peek(a->pid, GZ_AGENT_KEPT, &kept, sizeof(kept)) && kept.quiet)
		why = GZ_OFF_SANDBOX;
	else if (c->plane)
		why = gz_off_process_why(c, a->pid);
	if (agent && why == GZ_OFF_UNUSED) /* fork() gave it the agent */
		why = GZ_OFF_NONE;
	rte_tel_data_start_dict(e);
	rte_tel_data_add_dict_u64(e, "pid", (uint64_t)a->pid);
	rte_tel_data_add_dict_string(e, "program", name);
	rte_tel_data_add_dict_u64(e, "client", c->id);
	rte_tel_data_add_dict_string(e, "plane", agent && why != GZ_OFF_SANDBOX ? "ring" : "relay");
	rte_tel_data_add_dict_u64(e, "sites", agent ? book.nsites : 0);
	rte_tel_data_add_dict_u64(e, "sites_refused", agent ? book.nfailed : 0);
	rte_tel_data_add_dict_u64(e, "left", atomic_load(&c->ring_left));
	rte_tel_data_add_dict_u64(e, "came_back", atomic_load(&c->ring_back));
	rte_tel_data_add_dict_string(e, "why", gz_off_word(why));
	rte_tel_data_add_dict_string(e, "meaning", why == GZ_OFF_NONE ? "" : gz_off_text(why));
	snprintf(key, sizeof(key), "p%d", a->pid);
	rte_tel_data_add_dict_container(a->d, key, e, 0);
	return false;
}

int gz_telemetry_planes(const char *cmd, const char *params, struct rte_tel_data *d)
{
	pid_t start = params ? (pid_t)strtol(params, NULL, 10) : 0;
	struct list l = {0};
	unsigned n = 0;

	(void)cmd;
	rte_tel_data_start_dict(d);
	read_processes(&l);
	if (l.all) {
		gz_client_walk(0, mark, &l);
		mark_children(&l);
	}
	for (unsigned i = 0; i < l.n; i++) {
		struct answer a = {d, l.all[i].pid, l.all[i].client};

		if (!a.client || a.pid < start)
			continue;
		if (n++ == PLANES_PAGE) {
			rte_tel_data_add_dict_u64(d, "next", (uint64_t)a.pid);
			break;
		}
		gz_client_walk(a.client, add_process, &a);
	}
	free(l.all);
	return 0;
}

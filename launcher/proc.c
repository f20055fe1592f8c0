/* SPDX-License-Identifier: BSD-3-Clause
 *
 * proc.c - What /proc says of a process and its threads
 */
#include "launcher/proc.h"

#include <linux/sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

bool gz_status(pid_t pid, const char *key, char *value, size_t n)
{
	char path[64], line[256];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, strlen(key)))
			continue;
		snprintf(value, n, "%.*s", (int)strcspn(line + strlen(key) + 1, "\n"),
			 line + strlen(key) + 1);
		found = true;
	}
	fclose(f);
	return found;
}

bool gz_is_dead(pid_t tid)
{
	char state[32];

	return !gz_status(tid, "State:", state, sizeof(state)) || state[0] == 'Z' ||
	       state[0] == 'X';
}

pid_t gz_tracer_of(pid_t tid)
{
	char tracer[32];

	return gz_status(tid, "TracerPid:", tracer, sizeof(tracer)) ? atoi(tracer) : 0;
}

bool gz_has_ended(pid_t pid)
{
	char threads[32];

	return gz_is_dead(pid) &&
	       (!gz_status(pid, "Threads:", threads, sizeof(threads)) || atoi(threads) <= 1);
}

/* The call that a blocked thread is in, and its first argument */
static bool blocked_in(pid_t tid, long *nr, uint64_t *arg)
{
	char path[64];
	bool found;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/syscall", (int)tid);
	f = fopen(path, "re");
	if (!f)
		return false;
	found = fscanf(f, "%ld 0x%lx", nr, arg) == 2; /* else "running" */
	fclose(f);
	return found;
}

/*
 * In kernel_clone().  clone3()'s flags are in memory; who is killable but cannot
 * be interrupted there waits for a child as well.
 */
bool gz_is_vforking(pid_t tid)
{
	char state[32];
	uint64_t arg;
	long nr;

	if (!gz_status(tid, "State:", state, sizeof(state)) || state[0] != 'D' ||
	    !blocked_in(tid, &nr, &arg))
		return false;
	return nr == SYS_vfork || nr == SYS_clone3 || (nr == SYS_clone && arg & CLONE_VFORK);
}

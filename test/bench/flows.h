/* SPDX-License-Identifier: BSD-3-Clause
 *
 * flows.h - Between flows.c and the workers of it
 */
#ifndef FLOWS_H
#define FLOWS_H

#include <stdbool.h>

struct gz_code;
struct gz_sock;
struct rte_ring;

#define FLOWS_PORT 7

/* What one worker is given, and says */
struct flows_run {
	unsigned established, busy;
	bool stamped;
	struct gz_sock *listener;
	struct rte_ring *to_stack, *from_stack; /* its queue of the port */
	void (*together)(void);			/* returns when all workers have called it */
	double cycles;				/* of an echo, median */
	double opened;				/* and closed, connections a second, median */
};

struct flows_worker {
	const struct gz_code *code;
	/* In the worker's thread, which is one of EAL's; ends the process if anything is wrong */
	void (*run)(struct flows_run *r);
};

extern const struct flows_worker flows_worker_0, flows_worker_1;
#endif

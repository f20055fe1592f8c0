/* SPDX-License-Identifier: BSD-3-Clause
 *
 * worker.h - The threads through which every packet goes
 *
 * Theory of operation: each worker has a queue of the port, where the port has as many, and
 * the clients whose place gives its number as remainder.  What comes there it takes, decides
 * about and hands over, to whomever that goes: so frames of a flow, which come in one place,
 * stay in their order.  A client's ring to which several workers send has a lock, vhost's own.
 * The first worker has the kernel's way, the bond and the multicast querier besides.
 * Where there are several ports a thread has a struct worker at each, and goes through them in
 * turn; the first one's stands for the thread.
 * Workers share what is in struct dispatch: the table of addresses, which they read and main
 * replaces (rte_rcu_qsbr), what is known of clients (seen.c), groups and limits.
 */
#ifndef GZ_DISPATCH_WORKER_H
#define GZ_DISPATCH_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "dispatch/backlog.h"
#include "dispatch/latency.h"
#include "dispatch/switch.h"

struct dispatch;

#define WORKERS_MAX GZ_CPUS_MAX
#define BURST_MAX 512 /* worker.burst's limit */

/**
 * Counters of one port of the switch.  One worker alone writes; telemetry reads
 * without a lock, and sees each figure whole (aligned 64-bit words).
 */
struct counters {
	uint64_t rx;	    /* frames that came from there */
	uint64_t tx;	    /* frames that went there */
	uint64_t dropped;   /* frames for there that it did not take */
	uint64_t limited;   /* frames to or from there beyond its limits */
	uint64_t malformed; /* of rx, dropped: see enum sw_reason */
	uint64_t spoofed;
	uint64_t unclaimed;
	uint64_t vlan;
};

/** What senders left to others.  As struct counters */
struct finished {
	uint64_t large;	 /* segments larger than the MTU that came */
	uint64_t cut;	 /* of these cut by us */
	uint64_t summed; /* frames whose checksum we made, what is cut counted once */
};

/** Frames on their way to one port of the switch */
struct stage {
	unsigned n;
	bool left; /* something is left to be done with one of them */
	struct rte_mbuf *m[BURST_MAX];
};

struct worker {
	struct dispatch *d;
	struct worker *next; /* the same thread's at the next port; NULL: that was the last */
	unsigned number;     /* from 0; its queue, and its thread for rte_rcu_qsbr */
	uint64_t clients;    /* places that are its own */
	int epoll;	     /* what it sleeps on; the thread's */
	int wake;	     /* eventfd: wakes it; the thread's */

	/* its own */
	struct sw sw;
	struct backlog backlog;
	struct stage stage[SW_PORTS];
	unsigned dirty[SW_PORTS], ndirty;  /* stages with something in them */
	unsigned sessions[GZ_CLIENTS_MAX]; /* as last seen */
	uint64_t armed;			   /* clients that were told to tell of packets */
	unsigned priority;		   /* of whose burst is being dispatched */
	uint64_t table;			   /* its number, of the last pass */
	unsigned changes;		   /* of MAC addresses that the monitor was told of */

	/* it writes, telemetry reads */
	struct counters counters[SW_PORTS];
	struct finished finished;
	struct latency latency;
	uint64_t sleeps;

	atomic_ulong passes; /* its sign of life */
	atomic_int tid;	     /* 0 before it runs */
	unsigned long seen;  /* main's: passes as last seen, */
	unsigned ticks;	     /* and how often it was the same inside a link */
};

/** workers_new() - As many threads as are configured, for all ports.  Main.  Return: 0 or -errno */
int workers_new(struct dispatch *first);
void workers_free(struct dispatch *first);

/** workers_start() - When all they need is there.  Return: 0 or -errno, some may run then */
int workers_start(struct dispatch *d);
/** workers_stop() - And wait for them.  Main */
void workers_stop(struct dispatch *d);

/**
 * workers_watch() - Get a worker out of a link that holds it up
 *
 * Main, every tick.  A client can make our notification of it block; nothing
 * else sleeps inside a link.
 */
void workers_watch(struct dispatch *d);

/** worker_wake(), workers_wake() - Out of its sleep, or all.  Any thread */
void worker_wake(const struct worker *w);
void workers_wake(const struct dispatch *d);

/** worker_pass() - A burst from everywhere.  Return: frames */
unsigned worker_pass(struct worker *w);

/** worker_of() - To whom a client belongs */
static inline unsigned worker_of(unsigned client, unsigned workers)
{
	return client % workers;
}

#endif

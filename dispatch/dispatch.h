/* SPDX-License-Identifier: BSD-3-Clause
 *
 * dispatch.h - What the parts of gazelle-dispatch share
 *
 * Threads: main (start-up, then the control socket, links' connections and signals),
 * worker (lcore 1: every packet), monitor (the ports' devices), DPDK's vhost threads (links'
 * messages), telemetry's.
 */
#ifndef GZ_DISPATCH_H
#define GZ_DISPATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "dispatch/backlog.h"
#include "dispatch/clients.h"
#include "dispatch/kernel.h"
#include "dispatch/latency.h"
#include "dispatch/limits.h"
#include "dispatch/link.h"
#include "dispatch/orders.h"
#include "dispatch/querier.h"
#include "dispatch/switch.h"
#include "dispatch/wire.h"
#include "engine/port.h"

struct rte_rcu_qsbr;

/* What the worker sleeps on: clients by number, its eventfd, the wire's ports */
#define WAIT_WAKE SW_PORTS
#define WAIT_WIRE (SW_PORTS + 1)

/**
 * Counters of one port of the switch.  The worker alone writes; telemetry reads
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

struct dispatch {
	struct gz_dispatch_config config;
	const char *file; /* it was read from; NULL: none */
	struct orders orders;
	struct wire wire;
	struct kernel kernel;
	struct rte_mempool *pool; /* of the ports and of what links send */
	struct sw sw;		  /* worker's */
	struct clients clients;
	struct link *link; /* GZ_CLIENTS_MAX of them */
	struct counters counters[SW_PORTS];
	struct latency latency;	  /* worker's */
	struct querier querier;	  /* worker's */
	struct backlog backlog;	  /* worker's */
	uint64_t sleeps;	  /* worker's */
	atomic_ulong passes;	  /* worker's sign of life */
	atomic_int tid;		  /* worker's, 0 before it runs */
	int epoll;		  /* what the worker sleeps on */
	int wake;		  /* eventfd: wakes the worker */
	struct rte_rcu_qsbr *rcu; /* tells when the worker has left a device */
	atomic_bool stop;
};

/** worker_run() - Move packets until d->stop.  @arg: struct dispatch.  lcore 1 */
int worker_run(void *arg);

/**
 * worker_watch() - Get the worker out of a link that holds it up
 *
 * Main, every tick.  A client can make our notification of it block; nothing
 * else sleeps inside a link.
 */
void worker_watch(struct dispatch *d);

/** worker_wake() - Out of its sleep.  Any thread */
void worker_wake(const struct dispatch *d);

/** telemetry_start() - Offer /gazelle/dispatch.  Return: 0 or -errno */
int telemetry_start(struct dispatch *d);

/** say() - One line to standard error, if the configuration wants the level */
void say(enum gz_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** set_log_level() - From now on.  Any thread */
void set_log_level(enum gz_log_level level);

#endif

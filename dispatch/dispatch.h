/* SPDX-License-Identifier: BSD-3-Clause
 *
 * dispatch.h - What the parts of gazelle-dispatch share
 *
 * Threads: main (start-up, then the control socket, links' connections and signals),
 * workers (lcores from 1: every packet), monitor (the ports' devices), DPDK's vhost threads (links'
 * messages), telemetry's.
 */
#ifndef GZ_DISPATCH_H
#define GZ_DISPATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "dispatch/bifurcation.h"
#include "dispatch/clients.h"
#include "dispatch/kernel.h"
#include "dispatch/limits.h"
#include "dispatch/link.h"
#include "dispatch/orders.h"
#include "dispatch/querier.h"
#include "dispatch/switch.h"
#include "dispatch/wire.h"
#include "dispatch/worker.h"
#include "engine/port.h"

struct groups;
struct rte_rcu_qsbr;

/* What a worker sleeps on: links by number, the kernel, its eventfd, the wires' ports */
#define WAIT_KERNEL (GZ_DISPATCH_PORTS_MAX * GZ_CLIENTS_MAX)
#define WAIT_WAKE (WAIT_KERNEL + 1)
#define WAIT_WIRE (WAIT_WAKE + 1)

/**
 * One port, or bond, with its clients and its way to the kernel.
 *
 * A process may have several, which share its threads, its control socket and its mbufs and
 * nothing else: no table of one leads to another.  The first stands for the process; it
 * has what is marked so.
 */
struct dispatch {
	unsigned number;			/* from 0 */
	const char *name;			/* of the port; "": it is the only one */
	struct dispatch *next;			/* port; NULL: it is the last */
	struct gz_dispatch_config config;	/* what concerns this port */
	const struct gz_dispatch_config *whole; /* what concerns all */
	const char *file;			/* it was read from; NULL: none */
	struct orders orders;			/* the process's */
	struct wire wire;
	struct kernel kernel;
	struct bifurcation bifurcation;
	struct rte_mempool *pool; /* of the ports and of what links send */
	struct sw_seen seen;
	struct groups *groups;
	struct clients clients;
	struct link *link;	/* GZ_CLIENTS_MAX of them */
	struct querier querier; /* the first worker's */
	unsigned nworkers;
	struct worker *worker;	  /* a thread each; all ports' of one number have the same */
	struct rte_rcu_qsbr *rcu; /* tells when the workers have left a device.  All have one */
	atomic_bool stop;	  /* the process's */
};

/* --- ports.c: main's -------------------------------------------------------- */

/**
 * ports_new() - As many as are configured
 * @whole:	Stays the caller's and is referred to, @file too
 *
 * Return: the first, or NULL without memory
 */
struct dispatch *ports_new(const struct gz_dispatch_config *whole, const char *file);
void ports_free(struct dispatch *first);

/** ports_open() - Wires and ways to the kernel.  Return: 0 or -errno with the reason in @err */
int ports_open(struct dispatch *first, char *err, size_t n);
/** ports_close() - What of it is open */
void ports_close(struct dispatch *first);

/** port_of_client() - Where there is a client of this name; else the first */
struct dispatch *port_of_client(struct dispatch *first, const char *name);
/** port_by_number() - Of those that there are */
struct dispatch *port_by_number(struct dispatch *first, unsigned number);
/** has_kernel() - Has any a way to the kernel? */
bool has_kernel(const struct dispatch *first);

/** telemetry_start() - Offer /gazelle/dispatch.  Return: 0 or -errno */
int telemetry_start(struct dispatch *d);

/** say() - One line to standard error, if the configuration wants the level */
void say(enum gz_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** set_log_level() - From now on.  Any thread */
void set_log_level(enum gz_log_level level);

#endif

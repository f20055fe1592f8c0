/* SPDX-License-Identifier: BSD-3-Clause
 *
 * bifurcation.h - A card that the kernel keeps beside dispatch
 *
 * Theory of operation: a driver that leaves the kernel its own interface of the card (mlx5)
 * takes rte_flow_isolate(): from then on it gives us what rules ask for, and the kernel the
 * rest, without us in between.  Asked for is what goes to groups or to all, because who is
 * meant is not in the frame's head, and what goes to the MAC address of a client, as soon as
 * that is known.  Of the former the kernel gets its part by the TAP, which has copies of its
 * interface's addresses, so that it answers there, and routes to the clients alone
 * (routes.c): a frame that one of the two sends to the other over the card does not come back.
 *
 * Where the driver refuses, by then or by the first rule, the port is opened as without it.
 */
#ifndef GZ_DISPATCH_BIFURCATION_H
#define GZ_DISPATCH_BIFURCATION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

struct dispatch;
struct gz_port;
struct rte_flow;

struct bifurcation {
	atomic_bool on;		/* monitor writes, or main before that runs */
	_Atomic unsigned rules; /* that there are; telemetry reads */
	_Atomic uint64_t refused;

	pthread_mutex_t lock; /* of why */
	char why[128];	      /* it is not on; "": it is, or was not asked for */

	/* monitor's */
	struct {
		uint64_t mac; /* as sw_seen_mac(), of rule; 0: there is none */
		struct rte_flow *rule;
		bool complained;
	} client[GZ_CLIENTS_MAX];
};

/**
 * bifurcation_begin() - A port was opened that was to be isolated
 *
 * Monitor, or main before that runs.
 *
 * Return: false if it is to be opened again without: on or off is said and noted
 */
bool bifurcation_begin(struct dispatch *d, const struct gz_port *p);

/** bifurcation_sync() - Rules for who is there now.  Monitor */
void bifurcation_sync(struct dispatch *d, const struct gz_port *p);

/** bifurcation_end() - Before the port is closed */
void bifurcation_end(struct dispatch *d, const struct gz_port *p);

/** bifurcation_why() - It is not used, or ""; any thread */
void bifurcation_why(struct dispatch *d, char *text, size_t n);

#endif

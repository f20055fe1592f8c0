/* SPDX-License-Identifier: BSD-3-Clause
 *
 * wire.h - The Ethernet port, or the bond of several, as one port of the switch
 *
 * Theory of operation: a port's device is opened, looked at and closed by the
 * monitor thread (monitor.c), which says by two flags how it is; the worker sends and
 * receives over it and decides which is active (wire.c, bond.h).  A device is closed
 * when the worker has been seen outside of it after `open` was withdrawn
 * (rte_rcu_qsbr).  One port without a bond is a bond of one.
 */
#ifndef GZ_DISPATCH_WIRE_H
#define GZ_DISPATCH_WIRE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "dispatch/bond.h"
#include "dispatch/limits.h"
#include "engine/port.h"

struct dispatch;
struct rte_mbuf;

struct wire_port {
	struct gz_port_config config; /* as configured, and promiscuous */
	const char *name;	      /* interface, device or path */

	/* monitor writes, worker reads */
	atomic_bool open; /* port may be used */
	atomic_bool link;
	struct gz_port port; /* valid while open */

	/* monitor's */
	unsigned ifindex; /* of what is open; 0: no kernel interface */
	int guard;	  /* guard_open()'s, while it is open; -1 */
	int64_t next_try; /* to open it, ms */
	bool complained;

	/* worker writes, telemetry reads */
	uint64_t rx, tx, dropped;
	uint64_t ignored; /* received while another port was active */
};

struct wire {
	unsigned n;
	struct wire_port port[GZ_BOND_PORTS_MAX];
	struct rte_ether_addr mac; /* of the first port that was opened */
	atomic_bool changed;	   /* monitor: flags have changed */

	/* worker's */
	struct bond bond;
	struct limit rate; /* of what is sent */
	uint64_t next_tsc; /* when wire_tick() has something to do */
	unsigned announcements;
	uint64_t announce_ms; /* of the next */
};

/* --- monitor.c ------------------------------------------------------------ */

/**
 * wire_open() - Open the configured ports.  Main, before the worker runs
 *
 * A bond starts when one of its ports can be opened.  Return: 0 or -errno with the
 * reason in @err; on success it is empty or a line worth telling.
 */
int wire_open(struct dispatch *d, char *err, size_t n);

/** wire_close() - Close them.  Main, when worker and monitor have ended */
void wire_close(struct dispatch *d);

/** wire_is_kernels() - Is the port an interface of the kernel's? */
bool wire_is_kernels(const struct wire_port *p);

/** monitor_start(), monitor_stop() - The thread.  Main.  Return: 0 or -errno */
int monitor_start(struct dispatch *d);
void monitor_stop(struct dispatch *d);

/* --- wire.c, all of it the worker's --------------------------------------- */

/** wire_start() - When the worker starts */
void wire_start(struct dispatch *d);

/** wire_tick() - Look at what has changed, probe, announce: every pass */
void wire_tick(struct dispatch *d);

/** wire_sleep_ms() - The longest sleep, at most @ms */
int wire_sleep_ms(const struct dispatch *d, int ms);

/**
 * wire_rx() - Take a burst from port @i
 *
 * Only what is to be switched is in @m.  @total: what came at all
 */
unsigned wire_rx(struct dispatch *d, unsigned i, struct rte_mbuf **m, unsigned n, unsigned *total);

/** wire_tag() - With their VLANs' tags.  Return: how many of @m are left, others are freed */
unsigned wire_tag(struct rte_mbuf **m, unsigned n);

/** wire_is_open() - Is there an active port? */
bool wire_is_open(const struct dispatch *d);

/** wire_drop() - Free them; they count at the active port, if any.  Return: @n */
unsigned wire_drop(struct dispatch *d, struct rte_mbuf **m, unsigned n);

/** wire_tx() - Send over the active port, as much as it takes or may.  Return: how many */
unsigned wire_tx(struct dispatch *d, struct rte_mbuf **m, unsigned n);

/** wire_arm(), wire_disarm() - gz_port_arm() of all.  Return: false if one must be polled */
bool wire_arm(struct dispatch *d);
void wire_disarm(struct dispatch *d);

/** wire_clear_error() - A descriptor of port @i has an error: take it */
void wire_clear_error(struct dispatch *d, unsigned i);

#endif

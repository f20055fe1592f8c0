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
#include "dispatch/offload.h"
#include "engine/port.h"

struct dispatch;
struct rte_mbuf;
struct worker;

struct wire_port {
	struct gz_port_config config; /* as configured, and promiscuous */
	const char *name;	      /* interface, device or path */

	/* monitor writes, worker reads */
	atomic_bool open; /* port may be used */
	atomic_bool link;
	atomic_bool lsc;     /* the device told of a change: its driver writes, monitor reads */
	struct gz_port port; /* valid while open */
	bool lacp;	     /* a bonding device, which speaks 802.3ad when it is called to send */

	/* monitor's */
	unsigned ifindex; /* of what is open, the kernel's of it; 0: it has none */
	int guard;	  /* guard_open()'s, while it is open; -1 */
	int64_t next_try; /* to open it, ms */
	bool complained;

	rte_spinlock_t lock; /* to send, where there are fewer queues than workers */

	/* workers write, telemetry reads */
	_Atomic uint64_t rx, tx, dropped;
	_Atomic uint64_t ignored; /* received while another port was active */
};

struct wire {
	unsigned n;
	struct wire_port port[GZ_BOND_PORTS_MAX];
	struct rte_ether_addr mac; /* of the first port that was opened */
	atomic_bool changed;	   /* monitor: flags have changed */

	/* the first worker's; others read which is active */
	struct bond bond;
	struct limit rate; /* of what is sent */
	uint64_t next_tsc; /* when wire_tick() has something to do */
	unsigned announcements;
	uint64_t announce_ms; /* of the next */
	uint64_t lacp_ms;     /* of the next call to send */
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

/** wire_has_interface() - Has the kernel an interface of one of the ports? */
bool wire_has_interface(const struct dispatch *d);

/** monitor_wake() - To look at everything now.  Any thread */
void monitor_wake(void);

/** monitor_start(), monitor_stop() - The thread.  Main.  Return: 0 or -errno */
int monitor_start(struct dispatch *d);
void monitor_stop(struct dispatch *d);

/* --- wire.c, the workers' ------------------------------------------------- */

/** wire_start() - Before the workers do.  Main */
void wire_start(struct dispatch *d);

/** wire_tick() - Look at what has changed, probe, announce: every pass of the first worker */
void wire_tick(struct worker *w);

/** wire_sleep_ms() - The first worker's longest sleep, at most @ms */
int wire_sleep_ms(const struct dispatch *d, int ms);

/**
 * wire_rx() - Take a burst from port @i, of the worker's queue
 *
 * Only what is to be switched is in @m.  @total: what came at all
 */
unsigned wire_rx(struct worker *w, unsigned i, struct rte_mbuf **m, unsigned n, unsigned *total);

/** wire_tag() - With their VLANs' tags.  Return: how many of @m are left, others are freed */
unsigned wire_tag(struct rte_mbuf **m, unsigned n);

/** wire_is_open() - Is there an active port? */
bool wire_is_open(const struct dispatch *d);

/** wire_takes() - What it takes unfinished.  Ports of a bond differ: nothing */
struct offload wire_takes(const struct dispatch *d);

/** wire_drop() - Free them; they count at the active port, if any.  Return: @n */
unsigned wire_drop(struct dispatch *d, struct rte_mbuf **m, unsigned n);

/** wire_tx() - Send over the active port, as much as it takes or may.  Return: how many */
unsigned wire_tx(struct worker *w, struct rte_mbuf **m, unsigned n);

/** wire_arm(), wire_disarm() - gz_port_arm() of all.  Return: false if one must be polled */
bool wire_arm(struct worker *w);
void wire_disarm(struct worker *w);

/** wire_number() - Of a wire's port @i, among all wires' */
static inline unsigned wire_number(unsigned wire, unsigned i)
{
	return wire * GZ_BOND_PORTS_MAX + i;
}

/** wire_clear_error() - A descriptor of the port of this number has an error: take it */
void wire_clear_error(struct dispatch *first, unsigned number);

#endif

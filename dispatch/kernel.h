/* SPDX-License-Identifier: BSD-3-Clause
 *
 * kernel.h - The way to the host's own kernel
 *
 * Theory of operation: a TAP interface with the port's MAC address is one more port of
 * the switch (kernel.c).  The port's interface, if the kernel has one, keeps its
 * addresses and routes; the TAP has copies, which the kernel prefers (routes.c), and
 * what the interface still receives for the kernel itself is dropped (guard.c).  All
 * three end with the process, however it ends: a TAP, its addresses and its routes
 * are gone with its last descriptor, and the guard with its socket.  Then the
 * interface's own addresses and routes are in force again, and connections go on.
 */
#ifndef GZ_DISPATCH_KERNEL_H
#define GZ_DISPATCH_KERNEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dispatch/switch.h"

struct dispatch;
struct nl_sock;
struct rte_mbuf;

struct kernel {
	int fd; /* of the TAP; -1: there is no way to the kernel */
	unsigned ifindex;
	_Atomic(struct sw_kernel *) addrs; /* monitor makes them, the worker reads */
	uint64_t next_tsc;		   /* worker's: of the next look */
};

/** kernel_open() - Make the interface.  Main.  Return: 0 or -errno with the reason in @err */
int kernel_open(struct dispatch *d, char *err, size_t n);
void kernel_close(struct dispatch *d);

/** kernel_rx() - Take what the kernel sent.  Worker.  Return: how many mbufs */
unsigned kernel_rx(struct dispatch *d, struct rte_mbuf **m, unsigned n);

/** kernel_tx() - Hand it to the kernel.  The caller still owns @m.  Return: how many */
unsigned kernel_tx(struct dispatch *d, struct rte_mbuf **m, unsigned n);

/**
 * guard_open() - Keep the kernel from receiving over an interface that is ours
 *
 * AF_PACKET gives us copies; the kernel would answer as well.  A chain of nftables
 * in a table that its socket owns (Linux 5.12).
 *
 * @name:	Dispatch's
 * Return: the socket or -errno with the reason in @err
 */
int guard_open(const char *name, const char *iface, char *err, size_t n);

/**
 * routes_sync() - Give the TAP the addresses and routes of the port's interfaces
 *
 * Monitor.  Return: true if the kernel's addresses changed: d->kernel.addrs is new
 */
bool routes_sync(struct dispatch *d, struct nl_sock *nl);

#endif

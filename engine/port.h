/* SPDX-License-Identifier: BSD-3-Clause
 *
 * port.h - EAL start-up and one Ethernet port, for engine and dispatch alike
 *
 * Theory of operation: gz_eal_start() turns our configuration into EAL words
 * and picks hugepages or not; gz_port_open() creates the device (so that a
 * driver that fails can be followed by another), its queue pair and finds the
 * descriptors on which a worker may sleep.  All of it runs in the main thread
 * at start-up; afterwards rx/tx belong to the worker that owns the port.
 */
#ifndef GZ_PORT_H
#define GZ_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <rte_ether.h>
#include <rte_mempool.h>

#include "config/config.h"

#define GZ_PORT_WAIT_FDS 4

struct gz_port {
	uint16_t id;			/* DPDK port */
	uint16_t mtu;
	struct rte_ether_addr mac;
	struct rte_mempool *pool;	/* mbufs of its rx queue */
	char driver[32];		/* as DPDK names it, e.g. net_af_xdp */
	char device[64];		/* e.g. net_af_xdp0 */
	/* Readable when packets wait; a worker sleeps on them with epoll.
	 * nwait 0: the device has none, the worker must poll with naps. */
	int wait_fd[GZ_PORT_WAIT_FDS];
	unsigned nwait;
	/* wait_fd[0] is an rx interrupt: enable with rte_eth_dev_rx_intr_enable()
	 * before sleeping, disable after. */
	bool rx_intr;
	bool needs_full_csum;		/* no tx offload: software checksums */
};

struct gz_eal_config {
	const char *name;		/* file prefix gazelle-NAME */
	const struct gz_memory_config *memory;
	unsigned workers;		/* lcores 1..workers besides main 0 */
	int cpu;			/* of worker 1; -1 floats over all */
	enum gz_log_level log;
	char *const *extra;		/* eal_args */
	unsigned nextra;
};

/**
 * gz_eal_start() - Initialise EAL from the configuration
 *
 * Uses hugepages (memfd, --in-memory --single-file-segments) when there are
 * enough free and the configuration allows, --no-huge otherwise.  No PCI scan
 * unless @pci.  The telemetry socket is at /var/run/dpdk/gazelle-NAME/.
 *
 * Return: 0, or -errno with the reason in @err; on success @err holds one
 * line that says which memory is used.
 */
int gz_eal_start(const struct gz_eal_config *c, bool pci, char *err, size_t n);

/** Stop EAL and remove the run-time files it left behind. */
void gz_eal_stop(const char *name);

/**
 * gz_port_open() - Create and start the configured device
 * @p:	Filled
 * @c:	What to open; GZ_DRV_AUTO tries AF_XDP, then AF_PACKET, and says so
 * @m:	For the size of the mbuf pool
 *
 * Return: 0, or -errno with the reason in @err and nothing left open.
 */
int gz_port_open(struct gz_port *p, const struct gz_port_config *c,
		 const struct gz_memory_config *m, char *err, size_t n);
void gz_port_close(struct gz_port *p);

/**
 * gz_veth_create() - Make the embedded veth pair (rtnetlink(7), veth(4))
 * @c:		veth_host, veth_address: the kernel's end; iface: ours
 * @netns:	Descriptor of the namespace that gets our end, up, offloads off
 *
 * The kernel's end is created in the caller's namespace with its address, up,
 * with tx checksum, TSO, GSO and GRO off, so that complete checksums arrive.
 * Needs CAP_NET_ADMIN.  Return: 0 or -errno with the reason in @err.
 */
int gz_veth_create(const struct gz_port_config *c, int netns, char *err, size_t n);

/** Remove the pair by its host end, in the caller's namespace. */
int gz_veth_remove(const char *host_iface);

#endif

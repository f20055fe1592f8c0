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

struct nl_sock;

#define GZ_PORT_WAIT_FDS 16
#define GZ_LINK_QUEUES 8 /* pairs of them that virtio_user has at most */
#define GZ_MBUF_PRIV 128 /* bytes behind each mbuf, the stack's own */

struct gz_port {
	uint16_t id;	      /* DPDK port */
	_Atomic uint16_t mtu; /* port.mtu, or less if a DHCP server says so */
	struct rte_ether_addr mac;
	struct rte_mempool *pool; /* mbufs of its rx queue */
	uint16_t queues;	  /* pairs of them */
	/* Of them, those that the other end of a vhost has as well; one that it has more is not
	 * served.  See gz_port_look() */
	_Atomic uint16_t tx_queues, peer_queues;
	char driver[32]; /* as DPDK names it, e.g. net_af_xdp */
	char device[64]; /* e.g. net_af_xdp0 */
	/* Readable when packets wait; a worker sleeps on them with epoll, level
	 * triggered, EPOLLIN only (the sockets are always writable).  nwait 0:
	 * the device has none, the worker must poll with naps.  The driver's:
	 * never close or read them, see gz_port_arm(). */
	int wait_fd[GZ_PORT_WAIT_FDS]; /* of several queues: each has one, in their order */
	unsigned nwait;
	bool rx_intr;	  /* wait_fd[] are rx interrupts' eventfds */
	uint16_t vlan;	  /* its frames' tag; 0: none */
	bool vlan_insert; /* the device puts it on */
	bool lsc;	  /* interrupts tell of changes of the link */
	/* What may be left to it, and what it may say of frames: see gz_port_look() */
	struct gz_offloads offloads;
	struct gz_offloads wanted, asked;
	enum gz_driver kind;
	bool csum_ipv4; /* tso computes that of the header as well */
	/* isolate: only what rte_flow rules say comes.  Not so: why */
	bool isolated;
	char refusal[96];
};

/** gz_failed() - Put why into @err, of @n bytes.  Return: -@error */
int gz_failed(char *err, size_t n, int error, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

struct gz_eal_config {
	const char *name; /* file prefix gazelle-NAME */
	const struct gz_memory_config *memory;
	const struct gz_workers_config *workers; /* lcores 1 and on, besides main 0 */
	enum gz_log_level log;
	char *const *extra; /* eal_args */
	unsigned nextra;
	uint16_t mtu; /* largest of the ports, 0: 1500 */
};

/**
 * gz_eal_start() - Initialise EAL from the configuration
 *
 * Uses hugepages (memfd, --in-memory --single-file-segments) when there are
 * enough free and the configuration allows, --no-huge otherwise.  No PCI scan
 * unless @pci.  The telemetry socket is /var/run/dpdk/gazelle-NAME/
 * dpdk_telemetry.v2 (root; else below $XDG_RUNTIME_DIR or /tmp); what a killed
 * predecessor left there is removed.  SIGPIPE is ignored from here on.
 *
 * Return: 0, or -errno with the reason in @err (-EADDRINUSE: one of that name
 * is running); on success @err holds one line that says which memory is used.
 */
int gz_eal_start(const struct gz_eal_config *c, bool pci, char *err, size_t n);

/** gz_eal_workers() - How many there are, after the start: lcores 1 and on */
unsigned gz_eal_workers(void);

/** gz_eal_worker_cpu() - The processor that worker @worker, from 0, is bound to; -1: it floats */
int gz_eal_worker_cpu(unsigned worker);

/** gz_eal_rename() - After its start: the run-time files get another name.  Return: 0 or -errno */
int gz_eal_rename(const char *from, const char *to);

/**
 * gz_eal_stop() - Stop EAL and remove the run-time files it left behind
 * @in_use:	Threads that go on may reach its memory: that stays until the process ends
 */
void gz_eal_stop(const char *name, bool in_use);

/**
 * gz_port_open() - Create and start the configured device
 * @p:		Filled
 * @c:		What to open; GZ_DRV_AUTO tries AF_XDP, then AF_PACKET, and says so
 * @pool:	From gz_port_pool(), for all ports of a process: mbufs change ports.  The caller's
 *
 * The interface is looked up in the calling thread's network namespace.  With
 * virtio_user it waits for the peer, without end: a signal whose handler has no
 * SA_RESTART interrupts it (-EINTR).
 *
 * Return: 0, or -errno with the reason in @err and nothing left open.  On
 * success @err is empty or one line worth telling (AUTO's choice).
 */
int gz_port_open(struct gz_port *p, const struct gz_port_config *c, struct rte_mempool *pool,
		 char *err, size_t n);
void gz_port_close(struct gz_port *p);

/**
 * gz_port_look() - Set port.offloads and tx_queues to what is there now
 *
 * The other end of a link may have been replaced by one that takes less, or more.
 * Cheap enough for ten times a second.  Worker's thread.
 */
void gz_port_look(struct gz_port *p);

/** gz_port_is_shared() - May two of so many workers send by one queue? */
static inline bool gz_port_is_shared(const struct gz_port *p, unsigned workers)
{
	return p->queues < workers || (p->kind == GZ_DRV_VHOST && workers > 1);
}

/** gz_port_share() - Say how many queues the port is to have, for @workers: c->queues */
void gz_port_share(struct gz_port_config *c, unsigned workers);

/** gz_port_spread() - By whom, or what, flows are spread over its queues */
const char *gz_port_spread(const struct gz_port *p);

/** Make a pool of @each mbufs for each of @workers, for frames of ports with up to @mtu; NULL: see
 * rte_errno */
struct rte_mempool *gz_port_pool(const char *name, unsigned each, unsigned workers, uint16_t mtu);

/** Bytes of data room in an mbuf for @mtu, headroom included */
uint16_t gz_port_data_room(uint16_t mtu);

/**
 * gz_port_arm() - Before a sleep: make a queue's wait_fd[] tell of packets
 *
 * Packets that arrived before it raise nothing: receive once more after it, and
 * sleep only if that gave none.  gz_port_disarm() after the sleep takes the
 * signal back and clears the descriptor.  Both cost nothing where !rx_intr.
 * The thread of that queue's worker.
 */
void gz_port_arm(struct gz_port *p, uint16_t queue);
void gz_port_disarm(struct gz_port *p, uint16_t queue);

/**
 * gz_veth_create() - Make the embedded veth pair (rtnetlink(7), veth(4))
 * @c:		veth_host, veth_address: the kernel's end; iface: ours
 * @netns:	Descriptor of the namespace that gets our end, up, offloads off;
 *		-1: the caller's own
 *
 * The kernel's end is created in the caller's namespace with its address, up,
 * with tx checksum, TSO, GSO and GRO off, so that complete checksums arrive.
 * Needs CAP_NET_ADMIN.  Return: 0 or -errno with the reason in @err.
 */
int gz_veth_create(const struct gz_port_config *c, int netns, char *err, size_t n);

/**
 * gz_netdev_prepare() - Make a kernel interface fit for AF_XDP and AF_PACKET
 * @c:	iface, mac, mtu
 *
 * Up, with the configured MAC, an MTU of at least the configured one, and GRO
 * and LRO off: what the kernel has merged does not fit our buffers.
 *
 * Return: 0 or -errno with the reason in @err.
 */
int gz_netdev_prepare(const struct gz_port_config *c, char *err, size_t n);

/** gz_netdev_socket() - A socket of rtnetlink(7) in this thread's network namespace; NULL: none */
struct nl_sock *gz_netdev_socket(void);

/**
 * gz_netdev_link() - Has an interface a link?
 * @index, @iface:	It, by the one or by the other (0, NULL)
 * @up:			Answer
 *
 * Return: its index; 0: there is none
 */
unsigned gz_netdev_link(struct nl_sock *ask, unsigned index, const char *iface, bool *up);

/** gz_netdev_drain() - What was told is asked for: only that something was matters */
void gz_netdev_drain(struct nl_sock *hear);

/** gz_netdev_queues() - Pairs of queues that @iface has in use, as `ethtool -l` shows; at least 1
 */
uint16_t gz_netdev_queues(const char *iface);

/** Is @iface a veth?  Its receive side needs nobody's system call. */
bool gz_netdev_is_veth(const char *iface);

/** Remove the pair by its host end, in the caller's namespace.  0 or -errno. */
int gz_veth_remove(const char *host_iface);

/*
 * DPDK tells why only in its log.  Between hold and release its warnings and
 * errors are kept back (not with log: debug), and release gives the first error
 * (or "").  Start-up only, main thread.
 */
void gz_log_hold(void);
void gz_log_release(char *line, size_t n);

#endif

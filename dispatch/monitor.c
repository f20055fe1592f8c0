/* SPDX-License-Identifier: BSD-3-Clause
 *
 * monitor.c - The thread that looks after the Ethernet ports' devices
 *
 * Theory of operation: DPDK's drivers for kernel interfaces report no link state,
 * and do not notice that the interface is gone.  So the kernel is asked, by
 * rtnetlink(7): every bond.miimon, and at once when it tells of any change (the
 * message itself is not read, it may be lost as well).  Of other devices DPDK's link
 * state is read, as often, and at once when the device has an interrupt for it; after one
 * the worker looks at the device anew, for a link that went and came in between may
 * have another peer, with other offloads.
 *
 * An interface that disappeared is closed, and opened when one of its name comes; a
 * new ifindex is another interface.
 *
 * With a way to the kernel it also keeps that one's addresses and routes in step
 * (routes.c), and the card's rules where it has some (bifurcation.h).
 *
 * The thread is in the network namespace of the port's interface, as main() is.
 */
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <rte_ethdev.h>
#include <rte_eth_bond.h>
#include <rte_rcu_qsbr.h>

#include "dispatch/dispatch.h"
#include "dispatch/takeover.h"

#define RETRY_MS 1000
#define SYNC_MS 5000 /* should a message have been lost */

static struct {
	pthread_t thread;
	bool runs;
	int stop;	      /* eventfd */
	int lsc;	      /* eventfd: look at all; never closed, devices write to it */
	struct nl_sock *ask;  /* questions and answers */
	struct nl_sock *hear; /* changes */
	int64_t next_sync;
} mon = {.stop = -1, .lsc = -1};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

void monitor_wake(void)
{
	const uint64_t one = 1;

	if (write(mon.lsc, &one, sizeof(one)) < 0) {
		/* it does not run yet, and begins with a look; or it is told already */
	}
}

bool wire_has_interface(const struct dispatch *d)
{
	bool any = d->config.kernel_own[0];

	for (unsigned i = 0; i < d->wire.n; i++)
		any |= wire_is_kernels(&d->wire.port[i]);
	return any;
}

bool wire_is_kernels(const struct wire_port *p)
{
	return p->config.driver == GZ_DRV_AUTO || p->config.driver == GZ_DRV_AF_XDP ||
	       p->config.driver == GZ_DRV_AF_PACKET;
}

/* --- opening and closing -------------------------------------------------- */

/** guard() - Of an interface.  Who had our place may have given us its own */
static int guard(const struct dispatch *d, const struct wire_port *p, char *err, size_t n)
{
	char what[16 + IFNAMSIZ];
	int fd;

	snprintf(what, sizeof(what), "guard %s", p->name);
	fd = takeover_take(what);
	return fd >= 0 ? fd : guard_open(d->config.name, p->name, err, n);
}

/** waiter() - Who sleeps on a port's descriptor: each worker on its queue's */
static const struct worker *waiter(const struct dispatch *d, const struct wire_port *p, unsigned k)
{
	return &d->worker[p->port.nwait == p->port.queues ? k : 0];
}

/** on_lsc() - The device's link changed.  A thread of DPDK's; as long as the device is open */
static int on_lsc(uint16_t id, enum rte_eth_event_type type, void *port, void *ret)
{
	(void)id;
	(void)type;
	(void)ret;
	atomic_store(&((struct wire_port *)port)->lsc, true);
	monitor_wake();
	return 0;
}

/** open_device() - By itself, or beside the kernel if that is wanted and its driver does it */
static int open_device(struct dispatch *d, struct wire_port *p, char *err, size_t n)
{
	int rc = gz_port_open(&p->port, &p->config, d->pool, err, n);

	if (rc || !p->config.isolate || bifurcation_begin(d, &p->port))
		return rc;
	gz_port_close(&p->port);
	p->config.isolate = false;
	return gz_port_open(&p->port, &p->config, d->pool, err, n);
}

/** interface_of() - The kernel's of a port.  Return: its index, 0: there is none */
static unsigned interface_of(const struct dispatch *d, const struct wire_port *p)
{
	if (wire_is_kernels(p))
		return if_nametoindex(p->name);
	return d->config.kernel_own[0] ? if_nametoindex(d->config.kernel_own) : 0;
}

static int open_one(struct dispatch *d, unsigned i, char *err, size_t n)
{
	struct wire_port *p = &d->wire.port[i];
	struct epoll_event e = {.events = EPOLLIN,
				.data.u32 = WAIT_WIRE + wire_number(d->number, i)};
	int rc;

	p->ifindex = interface_of(d, p);
	if (!p->ifindex && d->config.kernel_own[0])
		return gz_failed(err, n, ENODEV, "kernel.bifurcate: there is no interface %s",
				 d->config.kernel_own);
	rc = open_device(d, p, err, n);
	if (rc)
		return rc;
	p->lacp = !strcmp(p->port.driver, "net_bonding") &&
		  rte_eth_bond_mode_get(p->port.id) == BONDING_MODE_8023AD;
	for (unsigned k = 0; k < p->port.nwait; k++) {
		if (epoll_ctl(waiter(d, p, k)->epoll, EPOLL_CTL_ADD, p->port.wait_fd[k], &e)) {
			rc = gz_failed(err, n, errno, "%s: nothing to sleep on: %m", p->name);
			gz_port_close(&p->port);
			return rc;
		}
	}
	/* Before there is a TAP, too: the kernel would answer for both then */
	if (d->config.kernel_iface[0] && !strcmp(p->port.driver, "net_af_packet") &&
	    wire_is_kernels(p)) {
		p->guard = guard(d, p, err, n);
		if (p->guard < 0) {
			rc = p->guard;
			gz_port_close(&p->port);
			return rc;
		}
	}
	if (p->port.lsc)
		rte_eth_dev_callback_register(p->port.id, RTE_ETH_EVENT_INTR_LSC, on_lsc, p);
	atomic_store(&p->open, true);
	return 0;
}

/** close_device() - No worker uses it any more */
static void close_device(struct dispatch *d, struct wire_port *p)
{
	bifurcation_end(d, &p->port);
	if (p->port.lsc)
		rte_eth_dev_callback_unregister(p->port.id, RTE_ETH_EVENT_INTR_LSC, on_lsc, p);
	gz_port_close(&p->port);
}

static void close_guard(struct wire_port *p)
{
	if (p->guard >= 0)
		close(p->guard);
	p->guard = -1;
}

static void close_one(struct dispatch *d, unsigned i)
{
	struct wire_port *p = &d->wire.port[i];

	atomic_store(&p->link, false);
	atomic_store(&p->open, false);
	rte_rcu_qsbr_synchronize(d->rcu, RTE_QSBR_THRID_INVALID);
	for (unsigned k = 0; k < p->port.nwait; k++)
		epoll_ctl(waiter(d, p, k)->epoll, EPOLL_CTL_DEL, p->port.wait_fd[k], NULL);
	close_device(d, p);
	close_guard(p);
}

/* --- looking -------------------------------------------------------------- */

static bool device_link(const struct wire_port *p)
{
	struct rte_eth_link l;

	return !rte_eth_dev_is_removed(p->port.id) && !rte_eth_link_get_nowait(p->port.id, &l) &&
	       l.link_status == RTE_ETH_LINK_UP;
}

/** look() - At one port.  Return: true if the worker has something to learn */
static bool look(struct dispatch *d, unsigned i)
{
	struct wire_port *p = &d->wire.port[i];
	bool open = atomic_load(&p->open), was = atomic_load(&p->link), up = false;
	bool told = atomic_exchange(&p->lsc, false);
	unsigned index = 0;
	char err[512];

	if (wire_is_kernels(p))
		index = gz_netdev_link(mon.ask, 0, p->name, &up);
	if (open && wire_is_kernels(p) && index != p->ifindex) {
		say(GZ_LOG_WARN, "port %s: the interface is gone", p->name);
		close_one(d, i);
		return true;
	}
	if (!open) {
		if ((wire_is_kernels(p) && !index) || now_ms() < p->next_try)
			return false;
		p->next_try = now_ms() + RETRY_MS;
		if (open_one(d, i, err, sizeof(err))) {
			if (!p->complained)
				say(GZ_LOG_WARN, "%s", err);
			p->complained = true;
			return false;
		}
		p->complained = false;
		say(GZ_LOG_INFO, "port %s: open (%s)", p->name, p->port.device);
		if (wire_is_kernels(p))
			gz_netdev_link(mon.ask, 0, p->name, &up);
	}
	if (!wire_is_kernels(p))
		up = device_link(p);
	if (open && up == was)
		return told;
	if (open || !up)
		say(up ? GZ_LOG_INFO : GZ_LOG_WARN, "port %s: link %s", p->name,
		    up ? "up" : "down");
	atomic_store(&p->link, up);
	return true;
}

/** look_at_wire() - @due: addresses and routes are to be compared.  Return: whether anything
 * changed
 */
static bool look_at_wire(struct dispatch *d, bool due)
{
	bool changed = false;

	for (unsigned i = 0; i < d->wire.n; i++)
		changed |= look(d, i);
	bifurcation_sync(d, &d->wire.port[0].port);
	if (d->kernel.fd >= 0 && (due || changed))
		changed |= routes_sync(d, mon.ask);
	if (changed)
		atomic_store(&d->wire.changed, true);
	return changed;
}

/* @told: the kernel told of a change */
static void look_at_all(struct dispatch *first, bool told)
{
	bool due = told || now_ms() >= mon.next_sync, changed = false;

	if (due)
		mon.next_sync = now_ms() + SYNC_MS;
	for (struct dispatch *d = first; d; d = d->next)
		changed |= look_at_wire(d, due);
	if (changed)
		workers_wake(first);
}

static void *run(void *arg)
{
	struct dispatch *d = arg;
	int timeout = (int)d->config.bond.miimon_ms;
	struct pollfd fds[] = {{.fd = mon.stop, .events = POLLIN},
			       {.fd = mon.hear ? nl_socket_get_fd(mon.hear) : -1, .events = POLLIN},
			       {.fd = mon.lsc, .events = POLLIN}};
	uint64_t count;

	while (!(fds[0].revents & POLLIN)) {
		bool told = fds[1].revents || fds[2].revents;

		if (fds[1].revents)
			gz_netdev_drain(mon.hear);
		if (fds[2].revents && read(mon.lsc, &count, sizeof(count)) < 0) {
			/* non-blocking */
		}
		look_at_all(d, told);
		poll(fds, 3, timeout);
	}
	return NULL;
}

/* --- start and end -------------------------------------------------------- */

static const char *name_of(const struct gz_port_config *c)
{
	return c->iface[0] ? c->iface : c->device[0] ? c->device : c->path;
}

int wire_open(struct dispatch *d, char *err, size_t n)
{
	struct gz_dispatch_config *c = &d->config;
	struct wire *w = &d->wire;
	unsigned opened = 0;
	char why[512];
	int rc = 0;

	w->n = c->bond.nports ? c->bond.nports : 1;
	rc = limit_init(&w->rate, c->send_kbits, 0);
	if (rc)
		return gz_failed(err, n, -rc, "send_kbits: %s", strerror(-rc));
	err[0] = '\0';
	for (unsigned i = 0; i < w->n; i++) {
		struct gz_port_config *p = &w->port[i].config;
		int failed;

		*p = c->bond.nports ? c->bond.ports[i] : c->port;
		p->promiscuous = true; /* every client has a MAC address of its own */
		p->isolate = c->kernel_own[0];
		w->port[i].name = name_of(p);
		w->port[i].guard = -1;
		failed = open_one(d, i, why, sizeof(why));
		if (why[0])
			snprintf(err, n, "%s", why);
		if (failed) {
			rc = failed;
			w->port[i].complained = true;
			if (w->n > 1)
				say(GZ_LOG_WARN, "%s", why);
		} else if (!opened++) {
			w->mac = w->port[i].port.mac;
		}
	}
	if (opened && rc)
		err[0] = '\0'; /* said already */
	return opened ? 0 : rc;
}

void wire_close(struct dispatch *d)
{
	for (unsigned i = 0; i < d->wire.n; i++) {
		takeover_give(d->wire.port[i].guard, "guard", d->wire.port[i].name);
		if (atomic_exchange(&d->wire.port[i].open, false))
			close_device(d, &d->wire.port[i]);
		close_guard(&d->wire.port[i]);
	}
}

int monitor_start(struct dispatch *d)
{
	int rc;

	mon.stop = eventfd(0, EFD_CLOEXEC);
	mon.lsc = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	mon.ask = gz_netdev_socket();
	mon.hear = gz_netdev_socket();
	if (mon.stop < 0 || mon.lsc < 0 || !mon.ask || !mon.hear ||
	    nl_socket_add_membership(mon.hear, RTNLGRP_LINK) ||
	    (has_kernel(d) &&
	     nl_socket_add_memberships(mon.hear, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
				       RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, 0)))
		return -ENOMEM;
	rc = pthread_create(&mon.thread, NULL, run, d);
	mon.runs = !rc;
	return -rc;
}

void monitor_stop(struct dispatch *d)
{
	const uint64_t one = 1;

	(void)d;
	if (mon.runs && write(mon.stop, &one, sizeof(one)) == sizeof(one))
		pthread_join(mon.thread, NULL);
	mon.runs = false;
	nl_socket_free(mon.ask);
	nl_socket_free(mon.hear);
	mon.ask = mon.hear = NULL;
	if (mon.stop >= 0)
		close(mon.stop);
	mon.stop = -1;
}

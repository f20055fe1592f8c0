/* SPDX-License-Identifier: BSD-3-Clause
 *
 * link.c - Whether the ports have a link, and what follows when that changes
 *
 * Theory of operation.  DPDK's drivers for kernel interfaces report no link state: of
 * these the kernel is asked, by rtnetlink(7), whenever it tells of a change (what it tells
 * is not read, it may be lost as well).  Other devices raise interrupts (LSC), or are
 * looked at every second.  All of it is the main thread's.
 *
 * What follows is as with Linux: without a link routes stay, and so do connections; what
 * is sent is dropped, and neighbours are forgotten (neigh_carrier_down()).  When it is
 * there again the network is told of us, and groups and routers are asked for anew.  Programs see
 * it as that of gazelle0.
 */
#include <errno.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <netlink/netlink.h>
#include <rte_ethdev.h>

#include "engine/counters.h"
#include "engine/link.h"
#include "engine/log.h"
#include "engine/rtnl.h"
#include "engine/worker.h"

static struct {
	struct link {
		_Atomic bool down;
		_Atomic uint32_t changes;
		unsigned index;		    /* the kernel's, or 0 */
		struct nl_sock *ask, *hear; /* of it */
		int told;		    /* eventfd, of an interrupt; -1: none */
	} of[GZ_PORTS_MAX];
	int any; /* epoll(7) of what tells; -1: nothing does */
	bool silent;
} links = {.any = -1};

static struct link *link_of(const struct gz_port *p)
{
	return &links.of[p - gz_ports];
}

bool gz_link_is_up(const struct gz_port *p)
{
	return !atomic_load_explicit(&link_of(p)->down, memory_order_relaxed);
}

uint32_t gz_link_changes(const struct gz_port *p)
{
	return atomic_load_explicit(&link_of(p)->changes, memory_order_relaxed);
}

int gz_link_fd(void)
{
	return links.any;
}

bool gz_link_is_silent(void)
{
	return links.silent;
}

static bool is_up(const struct gz_port *p)
{
	const struct link *k = link_of(p);
	struct rte_eth_link l;
	bool up;

	if (k->index)
		return gz_netdev_link(k->ask, k->index, NULL, &up) && up;
	return !rte_eth_link_get_nowait(p->id, &l) && l.link_status == RTE_ETH_LINK_UP;
}

/* DPDK's thread of interrupts */
static int on_interrupt(uint16_t port, enum rte_eth_event_type type, void *arg, void *ret)
{
	const struct link *k = arg;
	uint64_t one = 1;

	(void)port;
	(void)type;
	(void)ret;
	if (write(k->told, &one, sizeof(one)) < 0)
		gz_debug("a change of the link is known already");
	return 0;
}

/* Who tells of @p.  Return: its descriptor, -1: nobody, or -errno */
static int find_teller(const struct gz_port *p, struct link *k)
{
	struct rte_eth_dev_info info;

	k->told = -1;
	if (!rte_eth_dev_info_get(p->id, &info) && info.if_index) {
		k->ask = gz_netdev_socket();
		k->hear = gz_netdev_socket();
		if (!k->ask || !k->hear || nl_socket_add_membership(k->hear, RTNLGRP_LINK)) {
			nl_socket_free(k->hear);
			k->hear = NULL;
			return -ENOMEM;
		}
		k->index = info.if_index;
		return nl_socket_get_fd(k->hear);
	}
	if (!p->lsc)
		return -1;
	k->told = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (k->told < 0)
		return -errno;
	rte_eth_dev_callback_register(p->id, RTE_ETH_EVENT_INTR_LSC, on_interrupt, k);
	return k->told;
}

static int watch(int fd)
{
	struct epoll_event e = {.events = EPOLLIN};

	if (links.any < 0)
		links.any = epoll_create1(EPOLL_CLOEXEC);
	return links.any < 0 || epoll_ctl(links.any, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

int gz_link_start(const struct gz_port *p)
{
	struct link *k = link_of(p);
	int fd = find_teller(p, k), err = fd >= 0 ? watch(fd) : fd == -1 ? 0 : fd;

	if (fd < 0 || err)
		links.silent = true;
	atomic_store(&k->down, !is_up(p));
	if (!gz_link_is_up(p))
		gz_warn("port %s: no link", p->device);
	return err;
}

static void look(const struct gz_port *p)
{
	struct link *k = link_of(p);
	uint64_t junk;
	bool up;

	if (k->hear)
		gz_netdev_drain(k->hear);
	else if (k->told >= 0 && read(k->told, &junk, sizeof(junk)) < 0)
		gz_debug("nothing was told of the link");
	up = is_up(p);
	if (up == gz_link_is_up(p))
		return;
	atomic_store(&k->down, !up);
	gz_rtnl_tell_link(p);
	atomic_fetch_add(&k->changes, 1);
	gz_count(GZ_C_CARRIER_CHANGES);
	if (up)
		gz_info("port %s: link up", p->device);
	else
		gz_warn("port %s: link down", p->device);
	gz_post(&(struct gz_msg){.op = GZ_OP_LINK, .fd = -1});
}

void gz_link_look(void)
{
	for (unsigned i = 0; i < gz_nports; i++)
		look(&gz_ports[i]);
}

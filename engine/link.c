/* SPDX-License-Identifier: BSD-3-Clause
 *
 * link.c - Whether the port has a link, and what follows when that changes
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
	_Atomic bool down;
	uint16_t port;
	unsigned index;		    /* the kernel's, or 0 */
	struct nl_sock *ask, *hear; /* of it */
	int told;		    /* eventfd, of an interrupt */
} link_of_port = {.told = -1};

bool gz_link_is_up(void)
{
	return !atomic_load_explicit(&link_of_port.down, memory_order_relaxed);
}

int gz_link_fd(void)
{
	return link_of_port.hear ? nl_socket_get_fd(link_of_port.hear) : link_of_port.told;
}

static bool is_up(void)
{
	struct rte_eth_link l;
	bool up;

	if (link_of_port.index)
		return gz_netdev_link(link_of_port.ask, link_of_port.index, NULL, &up) && up;
	return !rte_eth_link_get_nowait(link_of_port.port, &l) && l.link_status == RTE_ETH_LINK_UP;
}

/* DPDK's thread of interrupts */
static int on_interrupt(uint16_t port, enum rte_eth_event_type type, void *arg, void *ret)
{
	uint64_t one = 1;

	(void)port;
	(void)type;
	(void)arg;
	(void)ret;
	if (write(link_of_port.told, &one, sizeof(one)) < 0)
		gz_debug("a change of the link is known already");
	return 0;
}

int gz_link_start(const struct gz_port *p)
{
	struct rte_eth_dev_info info;

	link_of_port.port = p->id;
	if (!rte_eth_dev_info_get(p->id, &info) && info.if_index) {
		link_of_port.ask = gz_netdev_socket();
		link_of_port.hear = gz_netdev_socket();
		if (!link_of_port.ask || !link_of_port.hear ||
		    nl_socket_add_membership(link_of_port.hear, RTNLGRP_LINK)) {
			nl_socket_free(link_of_port.hear);
			link_of_port.hear = NULL;
			return -ENOMEM;
		}
		link_of_port.index = info.if_index;
	} else if (p->lsc) {
		link_of_port.told = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (link_of_port.told < 0)
			return -errno;
		rte_eth_dev_callback_register(p->id, RTE_ETH_EVENT_INTR_LSC, on_interrupt, NULL);
	}
	atomic_store(&link_of_port.down, !is_up());
	if (!gz_link_is_up())
		gz_warn("port %s: no link", p->device);
	return 0;
}

void gz_link_look(void)
{
	uint64_t junk;
	bool up;

	if (link_of_port.hear)
		gz_netdev_drain(link_of_port.hear);
	else if (link_of_port.told >= 0 && read(link_of_port.told, &junk, sizeof(junk)) < 0)
		gz_debug("nothing was told of the link");
	up = is_up();
	if (up == gz_link_is_up())
		return;
	atomic_store(&link_of_port.down, !up);
	gz_rtnl_tell_link();
	gz_count(GZ_C_CARRIER_CHANGES);
	if (up)
		gz_info("port %s: link up", gz_port.device);
	else
		gz_warn("port %s: link down", gz_port.device);
	gz_post(&(struct gz_msg){.op = GZ_OP_LINK, .fd = -1});
}

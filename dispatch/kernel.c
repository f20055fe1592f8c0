/* SPDX-License-Identifier: BSD-3-Clause
 *
 * kernel.c - The TAP interface behind which the host's kernel is
 *
 * The worker reads and writes frames by read(2) and write(2), about a microsecond
 * each: it is for ssh and the like.  A read that finds nothing costs one as well, so
 * a busy worker looks every LOOK_US only; a sleeping one is woken.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <netlink/route/link/inet6.h>
#include <rte_cycles.h>
#include <rte_mbuf.h>

#include "dispatch/dispatch.h"
#include "dispatch/takeover.h"

#define LOOK_US 20

/** own_addresses_only() - No link-local address of its own: it gets the interface's */
static void own_addresses_only(unsigned ifindex)
{
	struct rtnl_link *link = rtnl_link_alloc(), *change = rtnl_link_alloc();
	struct nl_sock *nl = nl_socket_alloc();

	if (link && change && nl && !nl_connect(nl, NETLINK_ROUTE)) {
		rtnl_link_set_ifindex(link, (int)ifindex);
		rtnl_link_inet6_set_addr_gen_mode(change, IN6_ADDR_GEN_MODE_NONE);
		rtnl_link_change(nl, link, change, 0); /* not where IPv6 is off */
	}
	rtnl_link_put(link);
	rtnl_link_put(change);
	nl_socket_free(nl);
}

/** set_up() - MAC, MTU, up.  Return: 0 or -errno */
static int set_up(struct dispatch *d)
{
	struct ifreq r = {0};
	int io = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc = 0;

	if (io < 0)
		return -errno;
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", d->config.kernel_iface);
	r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(r.ifr_hwaddr.sa_data, &d->wire.mac, sizeof(d->wire.mac));
	if (ioctl(io, SIOCSIFHWADDR, &r))
		goto out;
	r.ifr_mtu = d->config.port.mtu;
	if (ioctl(io, SIOCSIFMTU, &r))
		goto out;
	if (wire_has_interface(d))
		own_addresses_only(d->kernel.ifindex);
	if (ioctl(io, SIOCGIFFLAGS, &r))
		goto out;
	r.ifr_flags |= IFF_UP;
	if (ioctl(io, SIOCSIFFLAGS, &r))
		goto out;
	close(io);
	return 0;
out:
	rc = -errno;
	close(io);
	return rc;
}

/** make() - A new one, or who had our place gave us its own.  Return: 0 or -errno */
static int make(struct kernel *k, const char *name, char *err, size_t n)
{
	struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	char what[16 + IFNAMSIZ];

	snprintf(what, sizeof(what), "tap %s", name);
	k->fd = takeover_take(what);
	if (k->fd >= 0)
		return 0;
	if (if_nametoindex(name))
		return gz_failed(err, n, EEXIST,
				 "interface %s exists already: choose another kernel.iface", name);
	k->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (k->fd < 0 || ioctl(k->fd, TUNSETIFF, &r))
		return gz_failed(err, n, errno, "the interface %s cannot be made: %m", name);
	return 0;
}

int kernel_open(struct dispatch *d, char *err, size_t n)
{
	const char *name = d->config.kernel_iface;
	struct epoll_event e = {.events = EPOLLIN, .data.u32 = WAIT_KERNEL};
	struct kernel *k = &d->kernel;
	int rc;

	k->fd = -1;
	if (!name[0])
		return 0;
	rc = make(k, name, err, n);
	if (rc)
		goto out;
	k->ifindex = if_nametoindex(name);
	rc = set_up(d);
	if (rc) {
		gz_failed(err, n, -rc, "the interface %s cannot be set up: %s", name,
			  strerror(-rc));
		goto out;
	}
	if (epoll_ctl(d->worker[0].epoll, EPOLL_CTL_ADD, k->fd, &e)) {
		rc = gz_failed(err, n, errno, "nothing to sleep on for %s: %m", name);
		goto out;
	}
	return 0;
out:
	kernel_close(d);
	return rc;
}

void kernel_close(struct dispatch *d)
{
	struct kernel *k = &d->kernel;

	takeover_give(k->fd, "tap", d->config.kernel_iface);
	if (k->fd >= 0)
		close(k->fd);
	k->fd = -1;
	free(atomic_exchange(&k->addrs, NULL));
}

unsigned kernel_rx(struct dispatch *d, struct rte_mbuf **m, unsigned n)
{
	struct kernel *k = &d->kernel;
	uint64_t now;
	unsigned got = 0;

	if (k->fd < 0)
		return 0;
	now = rte_rdtsc();
	if (now < k->next_tsc)
		return 0;
	while (got < n) {
		struct rte_mbuf *one = rte_pktmbuf_alloc(d->pool);
		ssize_t len;

		if (!one)
			break;
		len = read(k->fd, rte_pktmbuf_mtod(one, void *), rte_pktmbuf_tailroom(one));
		if (len <= 0) {
			rte_pktmbuf_free(one);
			break;
		}
		one->data_len = (uint16_t)len;
		one->pkt_len = (uint32_t)len;
		m[got++] = one;
	}
	if (!got)
		k->next_tsc = now + rte_get_tsc_hz() / 1000000 * LOOK_US;
	return got;
}

unsigned kernel_tx(struct dispatch *d, struct rte_mbuf **m, unsigned n)
{
	unsigned sent = 0;

	if (d->kernel.fd < 0)
		return 0;
	for (unsigned i = 0; i < n; i++) {
		if (write(d->kernel.fd, rte_pktmbuf_mtod(m[i], void *), m[i]->pkt_len) > 0)
			sent++;
	}
	return sent;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * netdev.c - Kernel interfaces: the embedded veth pair, offloads, MAC and MTU
 *
 * Theory of operation: rtnetlink and ioctl sockets act in the namespace in which
 * they were made, whoever uses them later.  So only socket creation goes to the
 * other namespace, in a short-lived thread: the caller's namespace is never
 * changed, and nothing has to be changed back when something fails.
 *
 * A veth hands on what its peer did not finish: without offloads switched off
 * frames arrive with partial checksums, or 64 KB long.
 */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/inet6.h>
#include <netlink/route/link/veth.h>
#include <netlink/route/route.h>

#include "engine/port.h"

/* One namespace's handles */
struct netns {
	struct nl_sock *nl;
	int io; /* any socket: for SIOCETHTOOL and friends */
	int error;
	int fd; /* the namespace; -1 the caller's */
};

/** nl_errno() - libnl's error as a positive errno */
static int nl_errno(int rc)
{
	switch (-rc) {
	case NLE_EXIST:
		return EEXIST;
	case NLE_PERM:
	case NLE_NOACCESS:
		return EPERM;
	case NLE_NODEV:
	case NLE_OBJ_NOTFOUND:
		return ENODEV;
	case NLE_NOMEM:
		return ENOMEM;
	case NLE_OPNOTSUPP:
	case NLE_AF_NOSUPPORT:
		return EOPNOTSUPP;
	default:
		return EINVAL;
	}
}

/* --- ioctl ---------------------------------------------------------------- */

static int ethtool_set(int io, const char *iface, uint32_t cmd, uint32_t value)
{
	struct ethtool_value v = {.cmd = cmd, .data = value};
	struct ifreq r = {0};

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", iface);
	r.ifr_data = (void *)&v;
	return ioctl(io, SIOCETHTOOL, &r) ? -errno : 0;
}

bool gz_netdev_is_veth(const char *iface)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	int io = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = {0};
	bool veth;

	if (io < 0)
		return false;
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", iface);
	r.ifr_data = (void *)&info;
	veth = !ioctl(io, SIOCETHTOOL, &r) && !strcmp(info.driver, "veth");
	close(io);
	return veth;
}

uint16_t gz_netdev_queues(const char *iface)
{
	struct ethtool_channels c = {.cmd = ETHTOOL_GCHANNELS};
	int io = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = {0};
	uint16_t n = 1;

	if (io < 0)
		return n;
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", iface);
	r.ifr_data = (void *)&c;
	/* __wrap_ioctl() of port.c: a veth's as well */
	if (!ioctl(io, SIOCETHTOOL, &r) && c.combined_count)
		n = (uint16_t)c.combined_count;
	close(io);
	return n;
}

/** set_mac() - Give the interface the configured address, if it has another */
static int set_mac(int io, const struct gz_port_config *c)
{
	struct ifreq r = {0};

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", c->iface);
	if (ioctl(io, SIOCGIFHWADDR, &r))
		return -errno;
	if (!memcmp(r.ifr_hwaddr.sa_data, c->mac, sizeof(c->mac)))
		return 0;
	r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(r.ifr_hwaddr.sa_data, c->mac, sizeof(c->mac));
	return ioctl(io, SIOCSIFHWADDR, &r) ? -errno : 0;
}

/** raise_mtu() - At least the configured MTU.  A larger one is left as it is */
static int raise_mtu(int io, const struct gz_port_config *c)
{
	struct ifreq r = {0};

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", c->iface);
	if (ioctl(io, SIOCGIFMTU, &r))
		return -errno;
	if (r.ifr_mtu >= c->mtu)
		return 0;
	r.ifr_mtu = c->mtu;
	return ioctl(io, SIOCSIFMTU, &r) ? -errno : 0;
}

static int bring_up(int io, const char *iface)
{
	struct ifreq r = {0};

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", iface);
	if (ioctl(io, SIOCGIFFLAGS, &r))
		return -errno;
	if (r.ifr_flags & IFF_UP)
		return 0;
	r.ifr_flags |= IFF_UP;
	return ioctl(io, SIOCSIFFLAGS, &r) ? -errno : 0;
}

int gz_netdev_prepare(const struct gz_port_config *c, char *err, size_t n)
{
	int io, rc;

	if (!if_nametoindex(c->iface))
		return gz_failed(err, n, ENODEV, "there is no network interface '%s' here",
				 c->iface);
	io = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (io < 0)
		return gz_failed(err, n, errno, "no socket for %s: %m", c->iface);
	rc = c->mac_set ? set_mac(io, c) : 0;
	if (rc) {
		gz_failed(err, n, -rc, "%s: its MAC address cannot be set: %s", c->iface,
			  strerror(-rc));
		goto out;
	}
	rc = raise_mtu(io, c);
	if (rc) {
		gz_failed(err, n, -rc, "%s: its MTU cannot be set to %u: %s", c->iface, c->mtu,
			  strerror(-rc));
		goto out;
	}
	rc = bring_up(io, c->iface);
	if (rc) {
		gz_failed(err, n, -rc, "%s: it cannot be brought up: %s", c->iface, strerror(-rc));
		goto out;
	}
	/* Not every device has them: no error */
	ethtool_set(io, c->iface, ETHTOOL_SGRO, 0);
	if (!gz_netdev_is_veth(c->iface)) {
		uint32_t flags = 0;
		struct ethtool_value v = {.cmd = ETHTOOL_GFLAGS};
		struct ifreq r = {0};

		snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", c->iface);
		r.ifr_data = (void *)&v;
		if (!ioctl(io, SIOCETHTOOL, &r) && v.data & ETH_FLAG_LRO) {
			flags = v.data & ~(uint32_t)ETH_FLAG_LRO;
			ethtool_set(io, c->iface, ETHTOOL_SFLAGS, flags);
		}
	}
out:
	close(io);
	return rc;
}

/* --- namespaces ----------------------------------------------------------- */

static void *netns_open_thread(void *arg)
{
	struct netns *ns = arg;
	int rc;

	if (ns->fd >= 0 && setns(ns->fd, CLONE_NEWNET)) {
		ns->error = errno;
		return NULL;
	}
	ns->io = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ns->nl = nl_socket_alloc();
	if (ns->io < 0 || !ns->nl) {
		ns->error = ns->io < 0 ? errno : ENOMEM;
		return NULL;
	}
	rc = nl_connect(ns->nl, NETLINK_ROUTE);
	if (rc)
		ns->error = nl_errno(rc);
	return NULL;
}

static void netns_close(struct netns *ns)
{
	if (ns->nl)
		nl_socket_free(ns->nl);
	if (ns->io >= 0)
		close(ns->io);
	ns->nl = NULL;
	ns->io = -1;
}

/** netns_open() - Sockets in namespace @fd (-1: here).  Return: 0 or -errno */
static int netns_open(struct netns *ns, int fd)
{
	pthread_t t;
	int rc;

	*ns = (struct netns){.io = -1, .fd = fd};
	if (fd < 0) {
		netns_open_thread(ns);
	} else {
		rc = pthread_create(&t, NULL, netns_open_thread, ns);
		if (rc)
			return -rc;
		pthread_join(t, NULL);
	}
	if (ns->error)
		netns_close(ns);
	return -ns->error;
}

/* --- link state ----------------------------------------------------------- */

struct nl_sock *gz_netdev_socket(void)
{
	struct nl_sock *s = nl_socket_alloc();

	if (s && nl_connect(s, NETLINK_ROUTE)) {
		nl_socket_free(s);
		s = NULL;
	}
	return s;
}

unsigned gz_netdev_link(struct nl_sock *ask, unsigned index, const char *iface, bool *up)
{
	struct rtnl_link *link;

	*up = false;
	if (!ask || rtnl_link_get_kernel(ask, (int)index, iface, &link) < 0)
		return 0;
	index = (unsigned)rtnl_link_get_ifindex(link);
	*up = (rtnl_link_get_flags(link) & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
	rtnl_link_put(link);
	return index;
}

void gz_netdev_drain(struct nl_sock *hear)
{
	char buf[8192];
	ssize_t n;

	do
		n = recv(nl_socket_get_fd(hear), buf, sizeof(buf), MSG_DONTWAIT);
	while (n > 0 || (n < 0 && errno == ENOBUFS));
}

/* --- the pair ------------------------------------------------------------- */

static uint32_t mask4(unsigned len)
{
	return len ? htonl(~0u << (32 - len)) : 0;
}

/** overlap4() - Do two prefixes share an address? */
static bool overlap4(uint32_t a, unsigned alen, uint32_t b, unsigned blen)
{
	return !((a ^ b) & mask4(alen < blen ? alen : blen));
}

/* Of a libnl address: false if it is no IPv4 */
static bool addr4(struct nl_addr *a, uint32_t *addr, unsigned *len)
{
	if (!a || nl_addr_get_family(a) != AF_INET)
		return false;
	*addr = 0;
	if (nl_addr_get_len(a) == sizeof(*addr))
		memcpy(addr, nl_addr_get_binary_addr(a), sizeof(*addr));
	*len = nl_addr_get_prefixlen(a);
	return true;
}

/**
 * check_free() - Refuse an address whose subnet the kernel already reaches
 * @ns:		The kernel's end will be here
 * @c:		veth_address
 *
 * Default routes, and the /1 pairs that stand for them, overlap with everything
 * and are left out: our more specific route does no harm there.
 *
 * Return: 0, -EADDRINUSE with the route in @err; 0 as well if routes cannot be read
 */
static int check_free(struct netns *ns, const struct gz_port_config *c, char *err, size_t n)
{
	const struct gz_prefix4 *want = &c->veth_address;
	struct nl_object *o;
	struct nl_cache *routes;
	int rc = 0;

	if (rtnl_route_alloc_cache(ns->nl, AF_INET, 0, &routes))
		return 0;
	for (o = nl_cache_get_first(routes); o && !rc; o = nl_cache_get_next(o)) {
		struct rtnl_route *r = (struct rtnl_route *)o;
		char dst[64], own[INET_ADDRSTRLEN], dev[IFNAMSIZ] = "?";
		struct rtnl_nexthop *hop = rtnl_route_nexthop_n(r, 0);
		unsigned len;
		uint32_t addr;

		if (!addr4(rtnl_route_get_dst(r), &addr, &len) || len < 2 ||
		    !overlap4(addr, len, want->addr, want->len))
			continue;
		if (hop)
			if_indextoname((unsigned)rtnl_route_nh_get_ifindex(hop), dev);
		nl_addr2str(rtnl_route_get_dst(r), dst, sizeof(dst));
		inet_ntop(AF_INET, &want->addr, own, sizeof(own));
		rc = gz_failed(err, n, EADDRINUSE,
			       "%s/%u for %s would collide with %s, which the kernel reaches "
			       "through %s: choose another veth.address",
			       own, want->len, c->veth_host, dst, dev);
	}
	nl_cache_free(routes);
	return rc;
}

#define ALIAS "gazelle "

/* A zombie is as dead as one that was waited for (proc(5), stat). */
static bool is_running(pid_t pid)
{
	char path[32], state = 'X';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = 'R';
	fclose(f);
	return state != 'Z' && state != 'X';
}

/**
 * is_orphan() - Was @iface made by a program of ours that was killed?
 *
 * Its far end's namespace lives on as long as anybody has a shadow in it, and
 * keeps the pair.  The alias names the maker's pid.
 */
static bool is_orphan(struct netns *here, const char *iface)
{
	struct rtnl_link *link;
	const char *alias;
	bool orphan = false;

	if (rtnl_link_get_kernel(here->nl, 0, iface, &link) < 0)
		return false;
	alias = rtnl_link_get_ifalias(link);
	if (alias && !strncmp(alias, ALIAS, strlen(ALIAS))) {
		pid_t pid = atoi(alias + strlen(ALIAS));

		orphan = pid > 1 && !is_running(pid);
	}
	rtnl_link_put(link);
	return orphan;
}

/** sign() - Whose @iface is, should we not live to remove it: see is_orphan() */
static void sign(struct netns *here, const char *iface)
{
	struct rtnl_link *link, *change = rtnl_link_alloc();
	char alias[32];

	if (change && rtnl_link_get_kernel(here->nl, 0, iface, &link) == 0) {
		snprintf(alias, sizeof(alias), ALIAS "%d", (int)getpid());
		rtnl_link_set_ifalias(change, alias);
		rtnl_link_change(here->nl, link, change, 0);
		rtnl_link_put(link);
	}
	if (change)
		rtnl_link_put(change);
}

/** create_pair() - RTM_NEWLINK for both ends at once */
static int create_pair(struct netns *here, int netns, const struct gz_port_config *c)
{
	struct rtnl_link *host = rtnl_link_veth_alloc(), *far;
	int rc = -NLE_NOMEM;

	if (!host)
		return rc;
	far = rtnl_link_veth_get_peer(host);
	rtnl_link_set_name(host, c->veth_host);
	rtnl_link_set_name(far, c->iface);
	if (c->mtu) {
		rtnl_link_set_mtu(host, c->mtu);
		rtnl_link_set_mtu(far, c->mtu);
	}
	/* What one end sends by a queue comes to that one of the other's; AF_XDP has as many */
	for (unsigned i = 0; i < 2 && c->queues > 1; i++) {
		rtnl_link_set_num_rx_queues(i ? far : host, c->queues);
		rtnl_link_set_num_tx_queues(i ? far : host, c->queues);
	}
	if (netns >= 0)
		rtnl_link_set_ns_fd(far, netns);
	rc = rtnl_link_add(here->nl, host, NLM_F_CREATE | NLM_F_EXCL);
	rtnl_link_put(far); /* get_peer took a reference */
	rtnl_link_put(host);
	return rc;
}

/** quiet_and_up() - Offloads off, no IPv6 of its own, up.  Return: 0 or -errno */
static int quiet_and_up(struct netns *ns, const char *iface)
{
	static const uint32_t off[] = {ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO, ETHTOOL_STXCSUM};
	struct rtnl_link *link = rtnl_link_alloc(), *change = rtnl_link_alloc();
	struct ifreq r = {0};
	int rc;

	for (unsigned i = 0; i < sizeof(off) / sizeof(off[0]); i++) {
		rc = ethtool_set(ns->io, iface, off[i], 0);
		if (rc)
			goto out;
	}
	/* No router solicitations and the like; ignored where IPv6 is off */
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", iface);
	if (link && change && !ioctl(ns->io, SIOCGIFINDEX, &r)) {
		rtnl_link_set_ifindex(link, r.ifr_ifindex);
		rtnl_link_inet6_set_addr_gen_mode(change, IN6_ADDR_GEN_MODE_NONE);
		rtnl_link_change(ns->nl, link, change, 0);
	}
	rc = bring_up(ns->io, iface);
out:
	if (link)
		rtnl_link_put(link);
	if (change)
		rtnl_link_put(change);
	return rc;
}

static int add_address(struct netns *ns, const struct gz_port_config *c, int family)
{
	struct rtnl_addr *a = rtnl_addr_alloc();
	struct nl_addr *local;
	struct ifreq r = {0};
	int rc = -NLE_NOMEM;

	if (!a)
		return rc;
	local =
	    family == AF_INET
		? nl_addr_build(AF_INET, &c->veth_address.addr, sizeof(c->veth_address.addr))
		: nl_addr_build(AF_INET6, &c->veth_address6.addr, sizeof(c->veth_address6.addr));
	if (!local)
		goto out;
	nl_addr_set_prefixlen(local,
			      family == AF_INET ? c->veth_address.len : c->veth_address6.len);
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", c->veth_host);
	if (ioctl(ns->io, SIOCGIFINDEX, &r)) {
		rc = -NLE_NODEV;
		goto out;
	}
	rtnl_addr_set_ifindex(a, r.ifr_ifindex);
	rtnl_addr_set_local(a, local);
	if (family == AF_INET6)
		rtnl_addr_set_flags(a, IFA_F_NODAD); /* we know who is there */
	rc = rtnl_addr_add(ns->nl, a, 0);
out:
	if (local)
		nl_addr_put(local);
	rtnl_addr_put(a);
	return rc;
}

int gz_veth_create(const struct gz_port_config *c, int netns, char *err, size_t n)
{
	struct netns here, far;
	int rc;

	rc = netns_open(&here, -1);
	if (rc)
		return gz_failed(err, n, -rc, "no netlink socket: %s", strerror(-rc));
	rc = netns_open(&far, netns);
	if (rc) {
		netns_close(&here);
		return gz_failed(err, n, -rc,
				 "the network namespace for %s cannot be entered: %s%s", c->iface,
				 strerror(-rc), rc == -EPERM ? " (CAP_SYS_ADMIN is needed)" : "");
	}
	if (if_nametoindex(c->veth_host) && is_orphan(&here, c->veth_host))
		gz_veth_remove(c->veth_host);
	if (if_nametoindex(c->veth_host)) {
		rc = gz_failed(err, n, EEXIST,
			       "interface %s exists already: remove it (ip link del %s), or choose "
			       "another veth.host",
			       c->veth_host, c->veth_host);
		goto out;
	}
	if (c->veth_address.addr) {
		rc = check_free(&here, c, err, n);
		if (rc)
			goto out;
	}
	rc = create_pair(&here, netns, c);
	if (rc) {
		rc = gz_failed(err, n, nl_errno(rc), "the veth pair %s, %s cannot be made: %s%s",
			       c->veth_host, c->iface, nl_geterror(rc),
			       rc == -NLE_PERM ? " (CAP_NET_ADMIN is needed)" : "");
		goto out;
	}
	rc = quiet_and_up(&far, c->iface);
	if (!rc)
		rc = quiet_and_up(&here, c->veth_host);
	if (rc) {
		gz_failed(err, n, -rc, "the veth pair %s, %s cannot be set up: %s", c->veth_host,
			  c->iface, strerror(-rc));
		goto remove;
	}
	sign(&here, c->veth_host);
	rc = c->veth_address.addr ? add_address(&here, c, AF_INET) : 0;
	if (!rc && c->veth_address6.set) {
		rc = add_address(&here, c, AF_INET6);
		/* Where the kernel has IPv6 off, there is none. */
		if (rc == -NLE_PERM || rc == -NLE_NOACCESS || rc == -NLE_OPNOTSUPP ||
		    rc == -NLE_AF_NOSUPPORT)
			rc = 0;
	}
	if (rc) {
		rc = gz_failed(err, n, nl_errno(rc), "%s cannot be given its address: %s",
			       c->veth_host, nl_geterror(rc));
		goto remove;
	}
	goto out;
remove:
	gz_veth_remove(c->veth_host);
out:
	netns_close(&far);
	netns_close(&here);
	return rc;
}

int gz_veth_remove(const char *host_iface)
{
	struct rtnl_link *link;
	struct netns here;
	int rc;

	rc = netns_open(&here, -1);
	if (rc)
		return rc;
	link = rtnl_link_alloc();
	if (link) {
		rtnl_link_set_name(link, host_iface);
		rc = rtnl_link_delete(here.nl, link);
		rc = rc ? -nl_errno(rc) : 0;
		rtnl_link_put(link);
	} else {
		rc = -ENOMEM;
	}
	netns_close(&here);
	return rc;
}

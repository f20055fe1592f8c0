/* SPDX-License-Identifier: BSD-3-Clause
 *
 * port.c - One Ethernet port: create, configure, find what to sleep on, close
 *
 * Theory of operation: a device is made by its family's --vdev words while EAL
 * runs (hotplug), not on EAL's command line, for two reasons: one that fails can
 * be followed by another (AUTO), and its error reaches the user as a sentence.
 *
 * A poll-mode driver has no public way to say "wake me".  But the drivers for
 * kernel interfaces read from descriptors, so it is looked which ones
 * appeared in /proc/self/fd while the device, and then each queue, was made, and
 * those are taken on which the kernel reports packets: the socket of AF_PACKET and AF_XDP, the
 * queue of /dev/net/tun.  virtio_user has real rx interrupts: an eventfd that the peer writes to
 * while gz_port_arm() is in force.
 */
#include <dirent.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_eth_vhost.h>
#include <rte_ethdev.h>
#include <rte_flow.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_vhost.h>

#include "engine/port.h"
#include "engine/rss.h"

#define MTU_DEFAULT 1500
#define ROOM_DEFAULT 2048 /* as every driver expects */
/* Ethernet and VLAN header, and what TPACKET_V2 has in front of the frame */
#define FRAME_EXTRA (14 + 4 + 80)
#define MBUF_CACHE 256
/* The AF_XDP driver fills this many mbufs into the kernel's ring at once */
#define AF_XDP_FILL 2048
#define FDS_MAX 4096
#define VHOST_SLACK 64 /* vhost, completing a sum where a peer says, may write a byte too far */
#define TX_KEPT 32     /* mbufs that virtio has sent and not given back */

/* --- mbufs ---------------------------------------------------------------- */

static unsigned frame_room(uint16_t mtu)
{
	unsigned need = RTE_ALIGN((mtu ? mtu : MTU_DEFAULT) + FRAME_EXTRA, 1024u);

	return RTE_MAX(need, (unsigned)ROOM_DEFAULT);
}

uint16_t gz_port_data_room(uint16_t mtu)
{
	unsigned room = RTE_PKTMBUF_HEADROOM + frame_room(mtu);

	return (uint16_t)RTE_MIN(room, (unsigned)UINT16_MAX);
}

/**
 * gz_port_pool() - rte_pktmbuf_pool_create() with the mbufs side by side
 *
 * Each worker keeps some in a cache of its own, in its queues and on its way to others: so
 * they are counted by worker.
 *
 * Without the flag no mbuf crosses a page: 4 KB for each without hugepages, and
 * gaps that the AF_XDP driver does not count when it sizes the memory it shows
 * to the kernel, which then refuses the last mbufs one after the other.
 */
struct rte_mempool *gz_port_pool(const char *name, unsigned each, unsigned workers, uint16_t mtu)
{
	struct rte_pktmbuf_pool_private priv = {
	    .mbuf_data_room_size = gz_port_data_room(mtu),
	    .mbuf_priv_size = GZ_MBUF_PRIV,
	};
	unsigned size =
	    sizeof(struct rte_mbuf) + GZ_MBUF_PRIV + priv.mbuf_data_room_size + VHOST_SLACK;
	unsigned cache = RTE_MIN((unsigned)MBUF_CACHE, each / 8);
	unsigned mbufs = each * workers;
	unsigned flags = rte_eal_iova_mode() == RTE_IOVA_VA ? RTE_MEMPOOL_F_NO_IOVA_CONTIG : 0;
	struct rte_mempool *pool;
	int rc;

	pool =
	    rte_mempool_create_empty(name, mbufs, size, cache, sizeof(priv), SOCKET_ID_ANY, flags);
	if (!pool)
		return NULL;
	rc = rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL);
	if (!rc) {
		rte_pktmbuf_pool_init(pool, &priv);
		rc = rte_mempool_populate_default(pool);
	}
	if (rc < 0) {
		rte_mempool_free(pool);
		rte_errno = -rc;
		return NULL;
	}
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	return pool;
}

/* --- what a worker sleeps on ---------------------------------------------- */

struct fd_set_of_process {
	uint64_t bits[FDS_MAX / 64];
};

static bool fd_test(const struct fd_set_of_process *s, int fd)
{
	return s->bits[fd / 64] >> (fd % 64) & 1;
}

/** fds_open() - Which descriptors this process has */
static void fds_open(struct fd_set_of_process *s)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;

	memset(s, 0, sizeof(*s));
	if (!d)
		return;
	while ((e = readdir(d))) {
		int fd = atoi(e->d_name);

		if (e->d_name[0] != '.' && fd != dirfd(d) && fd < FDS_MAX)
			s->bits[fd / 64] |= 1ull << (fd % 64);
	}
	closedir(d);
}

/**
 * tells_of_packets() - Does poll() on this descriptor say that packets wait?
 *
 * A socket of AF_PACKET without an interface is the driver's helper; a detached queue
 * of /dev/net/tun is kept open by the driver so that the interface stays.
 */
static bool tells_of_packets(int fd)
{
	struct sockaddr_ll ll = {0};
	struct ifreq queue = {0};
	socklen_t len = sizeof(int);
	char link[64], target[64];
	ssize_t k;
	int domain;

	if (!getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len)) {
		if (domain == AF_XDP)
			return true;
		len = sizeof(ll);
		return domain == AF_PACKET && !getsockname(fd, (struct sockaddr *)&ll, &len) &&
		       ll.sll_ifindex;
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	k = readlink(link, target, sizeof(target) - 1);
	if (k < 0)
		return false;
	target[k] = '\0';
	return !strcmp(target, "/dev/net/tun") && !ioctl(fd, TUNGETIFF, &queue) &&
	       !(queue.ifr_flags & IFF_DETACH_QUEUE);
}

/** find_wait_fds() - Fill wait_fd[] with what was opened between @before and @after */
static void find_wait_fds(struct gz_port *p, const struct fd_set_of_process *before,
			  const struct fd_set_of_process *after)
{
	for (int fd = 0; fd < FDS_MAX && p->nwait < GZ_PORT_WAIT_FDS; fd++) {
		int on = 1;

		if (!fd_test(after, fd) || fd_test(before, fd) || !tells_of_packets(fd))
			continue;
		p->wait_fd[p->nwait++] = fd;
		/* What the kernel itself sends there is nothing that we received.
		 * Linux 4.20; no other kind of socket knows it. */
		setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on));
	}
}

void gz_port_arm(struct gz_port *p, uint16_t queue)
{
	if (p->rx_intr)
		rte_eth_dev_rx_intr_enable(p->id, queue);
}

void gz_port_disarm(struct gz_port *p, uint16_t queue)
{
	uint64_t count;

	if (!p->rx_intr)
		return;
	rte_eth_dev_rx_intr_disable(p->id, queue);
	if (read(p->wait_fd[queue], &count, sizeof(count)) < 0) {
		/* non-blocking: nobody had written */
	}
}

/* --- the device ----------------------------------------------------------- */

static void mac_word(char *buf, size_t n, const struct gz_port_config *c)
{
	const uint8_t *m = c->mac;

	buf[0] = '\0';
	if (c->mac_set)
		snprintf(buf, n, ",mac=%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4],
			 m[5]);
}

/* May it spread flows over queues by itself? (RSS)  What null does is to take the orders. */
static bool may_spread(enum gz_driver driver)
{
	return driver == GZ_DRV_PCI || driver == GZ_DRV_NULL;
}

/* Has a link's other end as many, which only the configuration knows? */
static bool is_agreed(enum gz_driver driver)
{
	return driver == GZ_DRV_VIRTIO_USER || driver == GZ_DRV_VHOST || driver == GZ_DRV_MEMIF;
}

void gz_port_share(struct gz_port_config *c, unsigned workers)
{
	c->queues = is_agreed(c->driver) ? c->link_queues : (uint16_t)workers;
}

/*
 * Those of AF_PACKET are sockets, of a tap descriptors, of AF_XDP there are what the interface
 * has; of a device, see rss_ask().  A file and a ring have one.
 */
static uint16_t queues_of(enum gz_driver driver, const struct gz_port_config *c)
{
	uint16_t want = RTE_MAX(c->queues, (uint16_t)1);

	if (driver == GZ_DRV_VIRTIO_USER)
		return RTE_MIN(want, (uint16_t)GZ_LINK_QUEUES);
	if (driver == GZ_DRV_AF_XDP)
		return RTE_MIN(want, gz_netdev_queues(c->iface));
	if (driver == GZ_DRV_AF_PACKET || driver == GZ_DRV_TAP || is_agreed(driver) ||
	    may_spread(driver))
		return want;
	return 1;
}

/* Descriptors of a queue: mbufs lie in all of them, so what one has is shared among several. */
static uint16_t queue_size(enum gz_driver driver, const struct gz_port_config *c)
{
	uint32_t each = c->queue_size / queues_of(driver, c);

	if (driver == GZ_DRV_AF_PACKET || driver == GZ_DRV_MEMIF || each == c->queue_size)
		return c->queue_size; /* what lies there are no mbufs */
	return (uint16_t)RTE_MIN(RTE_MAX(rte_align32prevpow2(each), 256u), (uint32_t)c->queue_size);
}

/* Is a PCI device named by its MAC address? */
static bool by_mac(const struct gz_port_config *c)
{
	return !strchr(c->device, '.');
}

/**
 * device_words() - What to create, in the driver's words
 * @driver:	Family, not AUTO
 * @c:		Configuration
 * @name:	Filled: the driver's name, to be numbered; empty for PCI
 * @args:	Filled
 */
static void device_words(enum gz_driver driver, const struct gz_port_config *c, char name[32],
			 char args[512])
{
	unsigned frame = frame_room(c->mtu);
	/* TPACKET wants whole pages a block and no frame across two of them */
	unsigned per_block = frame == ROOM_DEFAULT ? 32 : 4;
	unsigned frames = RTE_MAX((unsigned)c->queue_size, per_block);
	char mac[32];
	size_t k;

	mac_word(mac, sizeof(mac), c);
	name[0] = args[0] = '\0';
	switch (driver) {
	case GZ_DRV_AF_XDP:
		snprintf(name, 32, "net_af_xdp");
		/* A veth hands packets over in the sender's softirq: without
		 * busy polling an empty receive is a look into memory instead
		 * of a system call (870 cycles). */
		snprintf(args, 512, "iface=%s,queue_count=%u%s", c->iface, queues_of(driver, c),
			 gz_netdev_is_veth(c->iface) ? ",busy_budget=0" : "");
		break;
	case GZ_DRV_AF_PACKET:
		snprintf(name, 32, "net_af_packet");
		snprintf(args, 512,
			 "iface=%s,qdisc_bypass=1,framesz=%u,blocksz=%u,framecnt=%u,qpairs=%u",
			 c->iface, frame, frame * per_block, frames, queues_of(driver, c));
		break;
	case GZ_DRV_TAP:
		snprintf(name, 32, "net_tap");
		snprintf(args, 512, "iface=%s%s", c->iface, mac);
		break;
	case GZ_DRV_VIRTIO_USER:
		snprintf(name, 32, "net_virtio_user");
		snprintf(args, 512, "path=%s,server=1,queues=%u,queue_size=%u%s", c->path,
			 queues_of(driver, c), queue_size(driver, c), mac);
		break;
	case GZ_DRV_VHOST:
		snprintf(name, 32, "net_vhost");
		snprintf(args, 512, "iface=%s,client=1,queues=%u,tso=%d", c->path,
			 queues_of(driver, c),
			 c->offloads.checksum && c->offloads.lro); /* its TSO is the peer's */
		break;
	case GZ_DRV_VDEV:
		k = strcspn(c->device, ",");
		snprintf(name, 32, "%.*s", (int)k, c->device);
		snprintf(args, 512, "%s", c->device[k] ? c->device + k + 1 : "");
		break;
	case GZ_DRV_PCI:
		snprintf(args, 512, "%s%s", by_mac(c) ? "class=eth,mac=" : "", c->device);
		break;
	case GZ_DRV_MEMIF:
		snprintf(name, 32, "net_memif");
		k = (size_t)snprintf(args, 512,
				     "role=%s,id=%u,bsize=%u,rsize=%u,socket=%s,socket-abstract=no",
				     c->memif_role == GZ_MEMIF_SERVER ? "server" : "client",
				     c->memif_id, frame, rte_log2_u32(c->queue_size), c->path);
		snprintf(args + k, 512 - k, "%s%s%s", c->memif_secret[0] ? ",secret=" : "",
			 c->memif_secret, mac);
		break;
	case GZ_DRV_PCAP:
		snprintf(name, 32, "net_pcap");
		snprintf(args, 512, "%s%s%s%s%s", c->pcap_receive[0] ? ",rx_pcap=" : "",
			 c->pcap_receive, c->pcap_send[0] ? ",tx_pcap=" : "", c->pcap_send,
			 c->pcap_repeat ? ",infinite_rx=1" : "");
		memmove(args, args + 1, strlen(args));
		break;
	case GZ_DRV_RING:
		snprintf(name, 32, "net_ring");
		break;
	case GZ_DRV_NULL:
		snprintf(name, 32, "net_null");
		snprintf(args, 512, "no-rx=1");
		break;
	case GZ_DRV_AUTO:
	case GZ_DRV_DISPATCH: /* engine/attach.c made another of it */
		break;
	}
}

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, void *arg);

/**
 * __wrap_ioctl() - What the drivers call, as below
 *
 * That of AF_XDP asks for an interface's combined channels and takes one queue where there are
 * none.  A veth has channels of each direction, and a pair of these is as good.
 */
int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
	int rc = __real_ioctl(fd, request, arg);
	struct ethtool_channels *c;

	if (rc || request != SIOCETHTOOL)
		return rc;
	c = (void *)((struct ifreq *)arg)->ifr_data;
	if (c->cmd != ETHTOOL_GCHANNELS)
		return rc;
	if (!c->max_combined) {
		c->max_combined = RTE_MIN(c->max_rx, c->max_tx);
		c->combined_count = RTE_MIN(c->rx_count, c->tx_count);
	}
	errno = 0; /* it looks at that of an earlier call */
	return rc;
}

int __real_setsockopt(int fd, int level, int opt, const void *val, socklen_t len);
int __wrap_setsockopt(int fd, int level, int opt, const void *val, socklen_t len);

/**
 * __wrap_setsockopt() - What the drivers, which are linked statically, call
 *
 * The one of AF_PACKET asks the kernel to put IPv4 datagrams together before it gets
 * them (so that all fragments hash to one queue), where its frames are no larger than
 * the MTU: whatever was in fragments arrived cut off.
 */
int __wrap_setsockopt(int fd, int level, int opt, const void *val, socklen_t len)
{
	unsigned fanout;

	if (level != SOL_PACKET || opt != PACKET_FANOUT || len != sizeof(fanout))
		return __real_setsockopt(fd, level, opt, val, len);
	memcpy(&fanout, val, sizeof(fanout));
	fanout &= ~((unsigned)PACKET_FANOUT_FLAG_DEFRAG << 16);
	return __real_setsockopt(fd, level, opt, &fanout, sizeof(fanout));
}

/** number_device() - Make @name the first free one of its kind, name0, name1 … */
static void number_device(char device[64], const char *name)
{
	uint16_t id;

	for (unsigned i = 0; i < RTE_MAX_ETHPORTS; i++) {
		snprintf(device, 64, "%s%u", name, i);
		if (rte_eth_dev_get_port_by_name(device, &id))
			break;
	}
}

/** label() - What to call the port in messages: "af_packet on gz1" */
static void label(char *buf, size_t n, enum gz_driver driver, const struct gz_port_config *c)
{
	const char *where = c->iface;

	if (driver == GZ_DRV_VIRTIO_USER || driver == GZ_DRV_VHOST || driver == GZ_DRV_MEMIF)
		where = c->path;
	else if (driver == GZ_DRV_VDEV || driver == GZ_DRV_PCI)
		where = c->device;
	else if (driver == GZ_DRV_PCAP)
		where = c->pcap_receive[0] ? c->pcap_receive : c->pcap_send;
	snprintf(buf, n, "%s%s%s", gz_driver_name(driver), where[0] ? " on " : "", where);
}

/** create_device() - Bring the device into DPDK.  Return: 0 or -errno */
static int create_device(struct gz_port *p, enum gz_driver driver, const struct gz_port_config *c)
{
	char name[32], args[512];
	struct rte_dev_iterator it;
	uint16_t id;
	int rc;

	device_words(driver, c, name, args);
	if (driver == GZ_DRV_PCI) {
		/* EAL's own scan was first, unless the device came later */
		rc = by_mac(c) ? 0 : rte_dev_probe(args);
		if (rc && rc != -EEXIST)
			return rc;
		id = RTE_MAX_ETHPORTS;
		RTE_ETH_FOREACH_MATCHING_DEV(id, args, &it)
		{
			rte_eth_iterator_cleanup(&it);
			break;
		}
		if (id >= RTE_MAX_ETHPORTS)
			return -ENODEV;
		p->id = id;
		rte_eth_dev_get_name_by_port(id, p->device);
		return 0;
	}
	if (driver == GZ_DRV_VDEV)
		snprintf(p->device, sizeof(p->device), "%s", name);
	else
		number_device(p->device, name);
	/* of a predecessor that was killed; bind() would fail */
	if (driver == GZ_DRV_VIRTIO_USER)
		unlink(c->path);
	rc = rte_eal_hotplug_add("vdev", p->device, args);
	if (rc)
		return rc;
	rc = rte_eth_dev_get_port_by_name(p->device, &p->id);
	if (rc)
		rte_eal_hotplug_remove("vdev", p->device);
	return rc;
}

static void remove_device(const struct gz_port *p)
{
	struct rte_eth_dev_info info;
	struct rte_device *dev = NULL;

	if (!rte_eth_dev_info_get(p->id, &info))
		dev = info.device;
	rte_eth_dev_stop(p->id);
	rte_eth_dev_close(p->id);
	if (dev)
		rte_dev_remove(dev);
}

/* --- offloads ------------------------------------------------------------- */

#define TX_CSUM (RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM)
#define RX_CSUM (RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM)

/* Features of virtio, by number (linux/virtio_net.h collides with DPDK's) */
#define F_GUEST_CSUM (1ull << 1)
#define F_GUEST_TSO (1ull << 7 | 1ull << 8)
#define F_HOST_TSO (1ull << 11 | 1ull << 12)

/**
 * offered() - What of our wishes a device can, by what it says
 *
 * A NIC that segments is to compute the sum of each IPv4 header too.  The virtual ones
 * but for links compute in software, as we can ourselves.
 */
static struct gz_offloads offered(const struct gz_port *p, enum gz_driver driver,
				  const struct rte_eth_dev_info *info)
{
	uint64_t tx = info->tx_offload_capa, rx = info->rx_offload_capa;
	struct gz_offloads o = {0};

	if (driver != GZ_DRV_PCI && driver != GZ_DRV_VIRTIO_USER && driver != GZ_DRV_VHOST)
		return o;
	o.checksum = p->wanted.checksum && (tx & TX_CSUM) == TX_CSUM && (rx & RX_CSUM) == RX_CSUM;
	o.tso = o.checksum && p->wanted.tso &&
		(driver == GZ_DRV_VHOST || tx & RTE_ETH_TX_OFFLOAD_TCP_TSO) &&
		tx & RTE_ETH_TX_OFFLOAD_MULTI_SEGS &&
		(driver != GZ_DRV_PCI || tx & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM);
	o.lro = o.checksum && p->wanted.lro && driver == GZ_DRV_VIRTIO_USER &&
		rx & RTE_ETH_RX_OFFLOAD_TCP_LRO;
	return o;
}

/** ask_for() - The same in the words of rte_eth_dev_configure() */
static void ask_for(const struct gz_offloads *o, const struct gz_port *p, enum gz_driver driver,
		    struct rte_eth_conf *conf)
{
	if (o->checksum) {
		conf->txmode.offloads |= TX_CSUM;
		conf->rxmode.offloads |= RX_CSUM;
	}
	if (o->tso &&
	    driver != GZ_DRV_VHOST) /* its driver knows it by a word, see device_words() */
		conf->txmode.offloads |= RTE_ETH_TX_OFFLOAD_TCP_TSO;
	if (o->tso && p->csum_ipv4)
		conf->txmode.offloads |= RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
	if (o->lro)
		conf->rxmode.offloads |= RTE_ETH_RX_OFFLOAD_TCP_LRO;
	/* The driver would complete partial checksums itself, by header lengths
	 * of the peer's that nobody has looked at: claim that we do. */
	if (driver == GZ_DRV_VHOST)
		conf->rxmode.offloads |= RX_CSUM;
}

/** look_at_vhost() - What the other end has agreed to; nothing without one */
static void look_at_vhost(struct gz_port *p)
{
	int vid = rte_eth_vhost_get_vid_from_port_id(p->id);
	uint64_t features = 0;

	uint16_t pairs = vid < 0 ? 0 : rte_vhost_get_vring_num(vid) / 2;

	if (vid < 0 || rte_vhost_get_negotiated_features(vid, &features))
		features = 0;
	atomic_store(&p->peer_queues, pairs);
	if (pairs)
		atomic_store(&p->tx_queues, RTE_MIN(pairs, p->queues));
	p->offloads.checksum = p->wanted.checksum && features & F_GUEST_CSUM;
	p->offloads.tso =
	    p->offloads.checksum && p->wanted.tso && (features & F_GUEST_TSO) == F_GUEST_TSO;
	p->offloads.lro = p->wanted.lro && (features & F_HOST_TSO) == F_HOST_TSO;
}

/** in_software() - What is done before and behind the port, as it does not */
static void in_software(struct gz_port *p)
{
	bool link = p->kind == GZ_DRV_VIRTIO_USER || p->kind == GZ_DRV_VHOST;

	p->offloads.gso = p->wanted.gso && !p->offloads.tso && !link;
	p->offloads.gro = p->wanted.gro && !link;
}

void gz_port_look(struct gz_port *p)
{
	struct rte_eth_dev_info info;
	struct gz_offloads now;

	if (p->kind == GZ_DRV_VHOST) {
		look_at_vhost(p);
	} else if (p->wanted.checksum && !rte_eth_dev_info_get(p->id, &info)) {
		/* virtio's driver says what the back end has that is there now */
		now = offered(p, p->kind, &info);
		p->offloads.checksum = now.checksum && p->asked.checksum;
		p->offloads.tso = now.tso && p->asked.tso;
	}
}

/* --- RSS ------------------------------------------------------------------ */

#define RSS_FLOWS                                                                                  \
	(RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_FRAG_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_TCP |                 \
	 RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_NONFRAG_IPV4_OTHER | RTE_ETH_RSS_IPV6 |        \
	 RTE_ETH_RSS_FRAG_IPV6 | RTE_ETH_RSS_NONFRAG_IPV6_TCP | RTE_ETH_RSS_NONFRAG_IPV6_UDP |     \
	 RTE_ETH_RSS_NONFRAG_IPV6_OTHER)
#define RSS_GROUPS (RTE_ETH_RSS_RETA_SIZE_512 / RTE_ETH_RETA_GROUP_SIZE)

/* What is beyond our addresses and ports is zero: the hash is the same with a longer key */
static uint8_t rss_key[64];

/** rss_ask() - Before it is configured.  Return: how many queues it is to have, of @want */
static uint16_t rss_ask(const struct rte_eth_dev_info *info, uint16_t want,
			struct rte_eth_conf *conf)
{
	struct rte_eth_rss_conf *rss = &conf->rx_adv_conf.rss_conf;
	uint8_t len = info->hash_key_size ? info->hash_key_size : GZ_SPREAD_KEY;

	want = RTE_MIN(want, RTE_MIN(info->max_rx_queues, info->max_tx_queues));
	if (want < 2 || !(info->flow_type_rss_offloads & RTE_ETH_RSS_NONFRAG_IPV4_TCP))
		return 1;
	conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	rss->rss_hf = info->flow_type_rss_offloads & RSS_FLOWS;
	/* With another one flows are spread, and handed over to whose they are */
	if (len < GZ_SPREAD_KEY || len > sizeof(rss_key))
		return want;
	memcpy(rss_key, gz_spread_key, sizeof(gz_spread_key));
	rss->rss_key = rss_key;
	rss->rss_key_len = len;
	return want;
}

/** rss_table() - Fill @t as gz_rss_queue() has it.  Return: false if that is not possible */
static bool rss_table(const struct gz_port *p, uint16_t size,
		      struct rte_eth_rss_reta_entry64 t[RSS_GROUPS])
{
	if (!size || size % GZ_SPREAD_TABLE || size > RTE_ETH_RSS_RETA_SIZE_512)
		return false;
	for (uint16_t i = 0; i < size; i++) {
		t[i / RTE_ETH_RETA_GROUP_SIZE].mask = UINT64_MAX;
		t[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE] =
		    (uint16_t)gz_rss_queue(i, p->queues);
	}
	return true;
}

/** rss_set() - When it runs: key and table, in the words of either of two interfaces */
static void rss_set(const struct gz_port *p, const struct rte_eth_dev_info *info,
		    struct rte_eth_conf *conf)
{
	struct rte_eth_rss_reta_entry64 t[RSS_GROUPS];

	/* drivers that took it by rte_eth_dev_configure() may lack this */
	rte_eth_dev_rss_hash_update(p->id, &conf->rx_adv_conf.rss_conf);
	if (rss_table(p, info->reta_size, t))
		rte_eth_dev_rss_reta_update(p->id, t, info->reta_size);
}

/** rss_is_ours() - Does the device spread flows as the workers do?  As it says itself */
static bool rss_is_ours(const struct gz_port *p)
{
	struct rte_eth_rss_reta_entry64 want[RSS_GROUPS], has[RSS_GROUPS];
	uint8_t key[sizeof(rss_key)] = {0};
	struct rte_eth_rss_conf c = {.rss_key = key, .rss_key_len = sizeof(key)};
	struct rte_eth_dev_info info;

	if (rte_eth_dev_info_get(p->id, &info) || !rss_table(p, info.reta_size, want) ||
	    rte_eth_dev_rss_hash_conf_get(p->id, &c) ||
	    memcmp(key, gz_spread_key, sizeof(gz_spread_key)) || !(c.rss_hf & RSS_FLOWS))
		return false;
	memcpy(has, want, sizeof(has));
	for (unsigned i = 0; i < info.reta_size; i++)
		has[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE] = UINT16_MAX;
	return !rte_eth_dev_rss_reta_query(p->id, has, info.reta_size) &&
	       !memcmp(has, want, info.reta_size / RTE_ETH_RETA_GROUP_SIZE * sizeof(has[0]));
}

const char *gz_port_spread(const struct gz_port *p)
{
	if (p->queues < 2)
		return "one queue";
	if (p->kind == GZ_DRV_AF_PACKET || p->kind == GZ_DRV_TAP)
		return "kernel's hash";
	if (p->kind == GZ_DRV_AF_XDP)
		return "the interface";
	if (is_agreed(p->kind))
		return "the other end";
	return rss_is_ours(p) ? "RSS" : "RSS, another key or table";
}

/** isolate() - Before anything is configured, as rte_flow_isolate() wants it */
static void isolate(struct gz_port *p)
{
	struct rte_flow_error e = {0};
	int rc = rte_flow_isolate(p->id, 1, &e);

	p->isolated = !rc;
	if (rc)
		snprintf(p->refusal, sizeof(p->refusal), "rte_flow_isolate: %s",
			 e.message ? e.message : rte_strerror(-rc));
}

/** setup_queues() - Return: 0 or -errno */
static int setup_queues(struct gz_port *p, uint16_t rxd, uint16_t txd,
			struct rte_eth_txconf *txconf)
{
	struct fd_set_of_process before, after;
	int rc = 0;

	for (uint16_t q = 0; q < p->queues && !rc; q++) {
		fds_open(&before);
		rc = rte_eth_rx_queue_setup(p->id, q, rxd, SOCKET_ID_ANY, NULL, p->pool);
		if (rc)
			return rc;
		fds_open(&after);
		find_wait_fds(p, &before, &after);
		rc = rte_eth_tx_queue_setup(p->id, q, txd, SOCKET_ID_ANY, txconf);
	}
	return rc;
}

/** setup_device() - Queues, MAC, MTU, start.  Return: 0 or -errno */
static int setup_device(struct gz_port *p, enum gz_driver driver, const struct gz_port_config *c)
{
	uint16_t rxd = queue_size(driver, c), txd = rxd;
	struct rte_eth_conf conf = {0};
	struct rte_eth_dev_info info;
	bool kernel = driver == GZ_DRV_AF_XDP || driver == GZ_DRV_AF_PACKET;
	bool own_mac = false;
	int rc;

	rc = rte_eth_dev_info_get(p->id, &info);
	if (rc)
		return rc;
	snprintf(p->driver, sizeof(p->driver), "%s", info.driver_name);
	if (c->isolate)
		isolate(p);
	conf.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	conf.rxmode.offloads = info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
	p->kind = driver;
	p->wanted = c->offloads;
	p->csum_ipv4 = driver == GZ_DRV_PCI;
	p->asked = p->offloads = offered(p, driver, &info);
	in_software(p);
	ask_for(&p->asked, p, driver, &conf);
	/* The driver knows of 1500 only, and does not ask: its frames have frame_room(). */
	conf.rxmode.mtu =
	    driver == GZ_DRV_AF_PACKET ? RTE_MIN(p->mtu, (uint16_t)MTU_DEFAULT) : p->mtu;
	conf.intr_conf.lsc = !!(*info.dev_flags & RTE_ETH_DEV_INTR_LSC);
	if (c->vlan) {
		conf.rxmode.offloads |= info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_VLAN_STRIP;
		conf.txmode.offloads |= info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_VLAN_INSERT;
	}
	p->vlan = c->vlan;
	p->vlan_insert = !!(conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_VLAN_INSERT);
	p->lsc = conf.intr_conf.lsc;
	conf.intr_conf.rxq = driver == GZ_DRV_VIRTIO_USER;

	p->queues = queues_of(driver, c);
	if (may_spread(driver))
		p->queues = rss_ask(&info, p->queues, &conf);
	atomic_store(&p->tx_queues, p->queues);
	rc = rte_eth_dev_configure(p->id, p->queues, p->queues, &conf);
	if (rc)
		return rc;
	rte_eth_dev_adjust_nb_rx_tx_desc(p->id, &rxd, &txd);
	info.default_txconf.offloads = conf.txmode.offloads;
	if (driver == GZ_DRV_VIRTIO_USER) /* what was sent is given back soon: it may be large */
		info.default_txconf.tx_free_thresh = txd - TX_KEPT;
	rc = setup_queues(p, rxd, txd, &info.default_txconf);
	if (rc)
		return rc;
	/* gz_netdev_prepare() did a kernel interface */
	if (c->mac_set && !kernel) {
		struct rte_ether_addr mac;

		memcpy(&mac, c->mac, sizeof(mac));
		rc = rte_eth_dev_default_mac_addr_set(p->id, &mac);
		if (rc && rc != -ENOTSUP)
			return rc;
		own_mac = rc && (driver == GZ_DRV_PCAP || driver == GZ_DRV_RING ||
				 driver == GZ_DRV_VHOST);
	}
	if (!kernel) {
		rc = rte_eth_dev_set_mtu(p->id, p->mtu);
		if (rc && (rc != -ENOTSUP || p->mtu > MTU_DEFAULT) && driver != GZ_DRV_VHOST)
			return rc;
	}
	rc = rte_eth_dev_start(p->id);
	if (rc)
		return rc;
	if (p->queues > 1 && may_spread(driver))
		rss_set(p, &info, &conf);
	if (c->promiscuous && !p->isolated) {
		rc = rte_eth_promiscuous_enable(p->id);
		if (rc && rc != -ENOTSUP)
			return rc;
	}
	for (uint16_t q = 0; conf.intr_conf.rxq && q < p->queues; q++) {
		p->wait_fd[q] = rte_eth_dev_rx_intr_ctl_q_get_fd(p->id, q);
		p->nwait += p->wait_fd[q] >= 0;
	}
	p->rx_intr = conf.intr_conf.rxq && p->nwait == p->queues;
	if (conf.intr_conf.rxq && !p->rx_intr)
		p->nwait = 0;
	rc = rte_eth_macaddr_get(p->id, &p->mac);
	if (own_mac) /* they have none, and pass all frames */
		memcpy(&p->mac, c->mac, sizeof(p->mac));
	return rc;
}

/**
 * hush() - Keep the drivers of vhost-user links from reporting every reconnect
 *
 * A peer that restarts is no error of ours, and costs a dozen lines of it.  Who
 * owns the port sees the link state change, and says so once.
 */
static void hush(void)
{
	static const char *const noisy[] = {"pmd.net.virtio.*", "pmd.net.vhost*", "lib.vhost.*"};

	if (rte_log_get_global_level() >= RTE_LOG_DEBUG)
		return;
	for (unsigned i = 0; i < RTE_DIM(noisy); i++)
		rte_log_set_level_pattern(noisy[i], RTE_LOG_CRIT);
}

/** open_port() - One family, no second choice.  Return: 0 or -errno, @err says why */
static int open_port(struct gz_port *p, enum gz_driver driver, const struct gz_port_config *c,
		     char *err, size_t n)
{
	unsigned need = queues_of(driver, c) * AF_XDP_FILL + c->queue_size + MBUF_CACHE;
	struct fd_set_of_process before, made;
	char reason[256], what[300];
	int rc;

	p->nwait = 0;
	p->rx_intr = false;
	p->mtu = c->mtu ? c->mtu : MTU_DEFAULT;
	label(what, sizeof(what), driver, c);
	if (driver == GZ_DRV_AF_XDP && rte_mempool_avail_count(p->pool) < need)
		return gz_failed(err, n, ENOMEM,
				 "%s: %u mbufs must be free, of memory.mbufs, which is %u: %u are",
				 what, need, p->pool->size, rte_mempool_avail_count(p->pool));
	if (driver == GZ_DRV_AF_XDP || driver == GZ_DRV_AF_PACKET) {
		rc = gz_netdev_prepare(c, err, n);
		if (rc)
			return rc;
	}

	fds_open(&before);
	errno = 0;
	gz_log_hold();
	rc = create_device(p, driver, c);
	if (rc && errno == EINTR)
		rc = -EINTR;
	if (!rc) {
		gz_log_hold(); /* what was said so far was no error */
		fds_open(&made);
		rc = setup_device(p, driver, c);
		if (!rc)
			find_wait_fds(p, &before, &made);
		if (rc)
			remove_device(p);
	}
	gz_log_release(reason, sizeof(reason));
	if (rc > 0 || rc == -1)
		rc = -EIO; /* drivers say -1 for "see the log" */
	if (rc)
		return gz_failed(err, n, -rc, "%s: %s", what,
				 reason[0] ? reason : rte_strerror(-rc));
	if (c->mac_set && memcmp(&p->mac, c->mac, sizeof(p->mac))) {
		remove_device(p);
		return gz_failed(err, n, ENOTSUP, "%s: port.mac: the driver cannot set it", what);
	}
	if (driver == GZ_DRV_VIRTIO_USER || driver == GZ_DRV_VHOST)
		hush();
	err[0] = '\0';
	return 0;
}

int gz_port_open(struct gz_port *p, const struct gz_port_config *c, struct rte_mempool *pool,
		 char *err, size_t n)
{
	char reason[400];
	int rc;

	memset(p, 0, sizeof(*p));
	p->pool = pool;
	if (c->driver != GZ_DRV_AUTO)
		return open_port(p, c->driver, c, err, n);
	if (!open_port(p, GZ_DRV_AF_XDP, c, reason, sizeof(reason))) {
		err[0] = '\0';
		return 0;
	}
	rc = open_port(p, GZ_DRV_AF_PACKET, c, err, n);
	if (!rc)
		snprintf(err, n, "%s; af_packet is used instead", reason);
	return rc;
}

void gz_port_close(struct gz_port *p)
{
	remove_device(p);
	memset(p, 0, sizeof(*p));
}

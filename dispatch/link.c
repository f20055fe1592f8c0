/* SPDX-License-Identifier: BSD-3-Clause
 *
 * link.c - A client's vhost-user link: connect, move packets, survive
 *
 * Theory of operation: the engine (virtio_user, server=1) makes the socket, we
 * connect to it and try again when it is gone, so either side may restart.  The
 * rings are in the engine's memory: it can read no other client's packets, and
 * what it writes there can only hurt itself.  DPDK's vhost library is used as it
 * is, below its ethdev driver, for three reasons:
 *
 * - Features.  With checksum or segmentation offload agreed upon, the library
 *   parses and computes by lengths that the peer wrote, before we have checked
 *   them (CVE-2024-11614 was a read far beyond the packet).  We have no use for
 *   them, so they are withdrawn between register and start, where the driver
 *   lets nobody in.
 * - Connecting.  We decide how often; the library would try again at once, as
 *   long as a peer accepts and hangs up.
 * - Number.  No Ethernet ports are used up, of which DPDK has 32.
 *
 * States (link_set_state() logs them):
 *
 *   ABSENT -> TALKING	connected		main, in links_tend()
 *   TALKING -> UP	rings are ready		vhost's thread, new_device()
 *   UP -> TALKING	the peer stops them	vhost's thread, destroy_device()
 *   any -> GONE	the peer hung up	vhost's thread, destroy_connection()
 *   GONE -> ABSENT	cleaned up		main, in links_tend()
 *
 * The worker asks no lock: link_enter() says "inside" and then looks whether
 * there still is a device; destroy_device() says "none" and then waits until
 * nobody is inside.
 *
 * What a hostile peer can do, and what holds against it: shrink the memory that
 * it shared, so that touching it is SIGBUS (faults.c puts an empty page there);
 * pass an eventfd on which our write blocks (main notices that the worker does
 * not come back, gets it out with a signal and cuts the link, links_cut()); send
 * half a message, for the rest of which vhost's only thread would wait (the
 * socket has a time limit, look_at_socket()).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_pause.h>
#include <rte_vhost.h>

#include "dispatch/dispatch.h"
#include "engine/rss.h"

/* Rings of a queue pair, as the client sees them */
#define RING_TO_CLIENT(queue) ((uint16_t)(2 * (queue)))
#define RING_FROM_CLIENT(queue) ((uint16_t)(2 * (queue) + 1))

/* Between tries to connect.  Doubled each time a connection came to nothing. */
#define DELAY_MIN_MS 250
#define DELAY_MAX_MS 8000
#define DELAY_CUT_MS 60000 /* for a client that held us up */
#define MESSAGE_TIMEOUT_S 1
#define SOCKETS_MAX 4096 /* descriptors that look_at_socket() looks at */

/* linux/virtio_net.h names them, but vhost.h's are not exported */
#define F(bit) (1ull << (bit))
static const uint64_t unwanted_features = F(VIRTIO_NET_F_HOST_ECN) | F(VIRTIO_NET_F_HOST_UFO) |
					  F(VIRTIO_NET_F_GUEST_ECN) | F(VIRTIO_NET_F_GUEST_UFO) |
					  F(VIRTIO_NET_F_GUEST_ANNOUNCE) | F(VIRTIO_NET_F_CTRL_VQ) |
					  F(VIRTIO_NET_F_CTRL_RX) | F(VHOST_F_LOG_ALL);
static const uint64_t checksums = F(VIRTIO_NET_F_CSUM) | F(VIRTIO_NET_F_GUEST_CSUM);
static const uint64_t host_tso = F(VIRTIO_NET_F_HOST_TSO4) | F(VIRTIO_NET_F_HOST_TSO6);
static const uint64_t guest_tso = F(VIRTIO_NET_F_GUEST_TSO4) | F(VIRTIO_NET_F_GUEST_TSO6);
/* Of vhost-user's extensions only those that DPDK's virtio_user speaks */
static const uint64_t protocol_features = F(VHOST_USER_PROTOCOL_F_MQ) |
					  F(VHOST_USER_PROTOCOL_F_REPLY_ACK) |
					  F(VHOST_USER_PROTOCOL_F_STATUS);

/* vhost's callbacks get a number and no pointer of ours */
static struct {
	struct link *link;
	unsigned n;
	const struct worker *workers;
	unsigned nworkers;
	pthread_mutex_t peers;		   /* whoever reads a peer's path and is not main */
	uint64_t before[SOCKETS_MAX / 64]; /* main's: sockets before link_connect() */
} links = {.peers = PTHREAD_MUTEX_INITIALIZER};

/* --- states --------------------------------------------------------------- */

static const char *const state_name[] = {
    [LINK_ABSENT] = "absent",
    [LINK_TALKING] = "connected",
    [LINK_UP] = "up",
    [LINK_GONE] = "gone",
};

/* l->lock is held */
static void link_set_state(struct link *l, enum link_state to)
{
	static const uint8_t from[] = {
	    [LINK_ABSENT] = 1 << LINK_GONE | 1 << LINK_TALKING,
	    [LINK_TALKING] = 1 << LINK_ABSENT | 1 << LINK_UP,
	    [LINK_UP] = 1 << LINK_TALKING,
	    [LINK_GONE] = 1 << LINK_TALKING | 1 << LINK_UP,
	};
	const char *name = l->peer.name;

	if (to == l->state)
		return;
	if (!(from[to] >> l->state & 1))
		say(GZ_LOG_ERROR, "client %s: unexpected change from %s to %s", name,
		    state_name[l->state], state_name[to]);
	say(GZ_LOG_DEBUG, "client %s: link is %s", name, state_name[to]);
	l->state = to;
}

static struct link *link_of(int vid)
{
	struct link *found = NULL;
	char path[GZ_PATH_MAX];

	if (rte_vhost_get_ifname(vid, path, sizeof(path)))
		return NULL;
	pthread_mutex_lock(&links.peers);
	for (unsigned i = 0; i < links.n && !found; i++) {
		if (!strcmp(links.link[i].peer.path, path))
			found = &links.link[i];
	}
	pthread_mutex_unlock(&links.peers);
	return found;
}

/** owner_of() - The worker to whom its client belongs */
static const struct worker *owner_of(const struct link *l)
{
	return &links.workers[worker_of(l->index % GZ_CLIENTS_MAX, links.nworkers)];
}

/** is_busy() - Is anybody inside? */
static bool is_busy(struct link *l)
{
	for (unsigned i = 0; i < links.nworkers; i++) {
		if (atomic_load(&l->busy[i]))
			return true;
	}
	return false;
}

/**
 * take_kick() - Listen to the eventfd with which the peer says that it sent by a queue
 *
 * A duplicate, for the peer may replace its own at any time.  Edge-triggered and
 * never read: the peer could have made it one on which a read blocks, or empty
 * it before us.  l->lock is held.
 */
static void take_kick(struct link *l, unsigned queue, int vid)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.u32 = l->index};
	int *kick = &l->kick[queue];
	struct rte_vhost_vring ring;

	if (*kick >= 0) {
		epoll_ctl(owner_of(l)->epoll, EPOLL_CTL_DEL, *kick, NULL);
		close(*kick);
		*kick = -1;
	}
	if (vid < 0 || rte_vhost_get_vhost_vring(vid, RING_FROM_CLIENT(queue), &ring) ||
	    ring.kickfd < 0)
		return;
	*kick = fcntl(ring.kickfd, F_DUPFD_CLOEXEC, 0);
	if (*kick >= 0 && epoll_ctl(owner_of(l)->epoll, EPOLL_CTL_ADD, *kick, &e)) {
		close(*kick);
		*kick = -1;
	}
}

/** take_kicks() - Of all queues; vid -1: of none.  l->lock is held */
static void take_kicks(struct link *l, int vid)
{
	unsigned n = vid < 0 ? 0 : atomic_load(&l->queues);

	for (unsigned i = 0; i < GZ_LINK_QUEUES; i++)
		take_kick(l, i, i < n ? vid : -1);
}

/** count_queues() - Of those pairs whose rings are both ready.  l->lock is held */
static void count_queues(struct link *l)
{
	unsigned n = 0;

	while (n < GZ_LINK_QUEUES && (l->ready >> 2 * n & 3) == 3)
		n++;
	atomic_store(&l->queues, RTE_MAX(n, 1u));
}

/* --- vhost's callbacks ---------------------------------------------------- */

/** is_wanted() - Is the process at the other end the one that the link is for? */
static bool is_wanted(const struct link *l, int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (!l->peer.uid_set)
		return true;
	/* Who called listen() (unix(7), SO_PEERCRED) */
	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) && peer.uid == l->peer.uid &&
	       (!l->peer.pid || peer.pid == l->peer.pid);
}

/**
 * is_connected() - To a socket that has a name, as who listens has
 *
 * Who connected to us, by the control socket or telemetry's, has none (unix(7)): telemetry's
 * thread takes such ones at any time.
 */
static bool is_connected(int fd)
{
	struct sockaddr_un peer = {0};
	socklen_t len = sizeof(peer);

	return !getpeername(fd, (struct sockaddr *)&peer, &len) && peer.sun_family == AF_UNIX &&
	       len > offsetof(struct sockaddr_un, sun_path);
}

static void remember_sockets(void)
{
	memset(links.before, 0, sizeof(links.before));
	for (int fd = 0; fd < SOCKETS_MAX; fd++)
		links.before[fd / 64] |= (uint64_t)is_connected(fd) << fd % 64;
}

/**
 * look_at_socket() - Give the link's socket a time limit, and see whose it is
 *
 * vhost reads a message in two calls and blocks in the second.  It does not tell its
 * descriptor, so what is connected now and was not before is looked at; the lowest
 * numbers are where it will be.  Should another client have passed us a socket as
 * an eventfd in between, that must be wanted as well: there is another try.
 *
 * Main, within link_connect().  Return: false if none was found, or it is another
 * process's
 */
static bool look_at_socket(const struct link *l)
{
	const struct timeval limit = {.tv_sec = MESSAGE_TIMEOUT_S};
	bool found = false;

	for (int fd = 0; fd < SOCKETS_MAX; fd++) {
		if (links.before[fd / 64] >> fd % 64 & 1 || !is_connected(fd))
			continue;
		if (!is_wanted(l, fd))
			return false;
		found = true;
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	}
	return found || !l->peer.uid_set;
}

static int new_connection(int vid)
{
	struct link *l = link_of(vid);

	if (!l)
		return -1;
	if (!look_at_socket(l)) {
		if (!l->refused)
			say(GZ_LOG_ERROR,
			    "client %s: the process at %s is not of user %u: left alone",
			    l->peer.name, l->peer.path, l->peer.uid);
		l->refused = true;
		return -1;
	}
	l->refused = false;
	pthread_mutex_lock(&l->lock);
	l->ready = 0;
	link_set_state(l, LINK_TALKING);
	pthread_mutex_unlock(&l->lock);
	return 0;
}

static int new_device(int vid)
{
	struct link *l = link_of(vid);
	uint64_t features;

	if (!l || rte_vhost_get_negotiated_features(vid, &features))
		return -1;
	atomic_store(&l->agreed, (unsigned)(features & (checksums | host_tso | guest_tso)));
	pthread_mutex_lock(&l->lock);
	count_queues(l);
	take_kicks(l, vid);
	link_set_state(l, LINK_UP);
	pthread_mutex_unlock(&l->lock);
	atomic_fetch_add(&l->sessions, 1);
	atomic_store(&l->vid, vid);
	worker_wake(owner_of(l));
	return 0;
}

static void destroy_device(int vid)
{
	struct link *l = link_of(vid);

	if (!l)
		return;
	atomic_store(&l->vid, -1);
	while (is_busy(l))
		rte_pause();
	l->hushed = 0; /* the worker is not inside */
	pthread_mutex_lock(&l->lock);
	take_kicks(l, -1);
	if (l->state == LINK_UP)
		link_set_state(l, LINK_TALKING);
	pthread_mutex_unlock(&l->lock);
}

static int vring_state_changed(int vid, uint16_t ring, int enable)
{
	struct link *l = link_of(vid);

	if (!l || ring >= 2 * GZ_LINK_QUEUES)
		return 0;
	pthread_mutex_lock(&l->lock);
	l->ready = enable ? l->ready | 1u << ring : l->ready & ~(1u << ring);
	/* The eventfd may have come after the rings were ready */
	if (l->state == LINK_UP) {
		count_queues(l);
		take_kicks(l, vid);
	}
	pthread_mutex_unlock(&l->lock);
	worker_wake(owner_of(l));
	return 0;
}

static void destroy_connection(int vid)
{
	struct link *l = link_of(vid);

	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	link_set_state(l, LINK_GONE);
	pthread_mutex_unlock(&l->lock);
}

static const struct rte_vhost_device_ops callbacks = {
    .new_device = new_device,
    .destroy_device = destroy_device,
    .vring_state_changed = vring_state_changed,
    .new_connection = new_connection,
    .destroy_connection = destroy_connection,
};

/* --- connecting ----------------------------------------------------------- */

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

static uint64_t features_withheld(const struct link *l)
{
	switch (l->peer.offloads) {
	case GZ_OFFLOADS_ALL:
		break;
	case GZ_OFFLOADS_CHECKSUM:
		return unwanted_features | host_tso | guest_tso;
	case GZ_OFFLOADS_NONE:
		return unwanted_features | host_tso | guest_tso | checksums;
	}
	return unwanted_features;
}

/** link_connect() - One try.  The callbacks tell what comes of it */
static void link_connect(struct link *l)
{
	static const uint64_t flags = RTE_VHOST_USER_CLIENT | RTE_VHOST_USER_NO_RECONNECT |
				      RTE_VHOST_USER_NET_COMPLIANT_OL_FLAGS;
	const char *path = l->peer.path;

	if (access(path, F_OK) || rte_vhost_driver_register(path, flags))
		return;
	remember_sockets();
	l->registered = !rte_vhost_driver_disable_features(path, features_withheld(l)) &&
			!rte_vhost_driver_set_protocol_features(path, protocol_features) &&
			!rte_vhost_driver_callback_register(path, &callbacks) &&
			!rte_vhost_driver_start(path);
	/* new_connection() has run by now */
	if (!l->registered || l->refused)
		rte_vhost_driver_unregister(path);
	l->registered &= !l->refused;
}

/** set_peer() - And set the link back to its beginning */
static void set_peer(struct link *l, const struct link_peer *peer)
{
	pthread_mutex_lock(&links.peers);
	l->peer = *peer;
	pthread_mutex_unlock(&links.peers);
	l->cut = l->reported = l->refused = l->parting = false;
	l->next_try = 0;
	l->delay = DELAY_MIN_MS;
}

void link_to(struct link *l, const struct link_peer *peer)
{
	set_peer(l, peer);
	link_connect(l); /* who asked for it waits */
}

void link_part(struct link *l)
{
	if (!l->peer.path[0])
		return;
	l->parting = true;
	atomic_store(&l->vid, -1);
}

bool link_is_free(const struct link *l)
{
	return !l->peer.path[0];
}

/** link_end() - What link_part() began.  Not while the worker is inside: see link_tend() */
static void link_end(struct link *l)
{
	static const struct link_peer nobody = {.fd = -1};
	int fd = l->peer.fd;

	if (is_busy(l))
		return;
	if (l->registered)
		rte_vhost_driver_unregister(l->peer.path);
	l->registered = false;
	pthread_mutex_lock(&l->lock);
	if (l->state != LINK_ABSENT) {
		if (l->reported)
			say(GZ_LOG_INFO, "client %s: link down", l->peer.name);
		link_set_state(l, LINK_ABSENT);
	}
	pthread_mutex_unlock(&l->lock);
	set_peer(l, &nobody);
	if (fd >= 0)
		close(fd);
}

static void link_tend(struct link *l, int64_t now)
{
	enum link_state state;

	if (l->parting)
		link_end(l);
	if (link_is_free(l) || l->parting)
		return;
	pthread_mutex_lock(&l->lock);
	state = l->state;
	pthread_mutex_unlock(&l->lock);

	/* Here and not at the change: DPDK's virtio_user comes up twice when it
	 * starts, within milliseconds, and that is nobody's business. */
	if (l->reported != (state == LINK_UP)) {
		l->reported = state == LINK_UP;
		say(GZ_LOG_INFO, "client %s: link %s", l->peer.name, l->reported ? "up" : "down");
	}
	/* not while the worker is inside: we would wait for it, and it for us */
	if (l->cut && l->registered && !is_busy(l)) {
		rte_vhost_driver_unregister(l->peer.path);
		l->registered = false;
	} else if (state == LINK_GONE) {
		if (l->registered)
			rte_vhost_driver_unregister(l->peer.path);
		l->registered = false;
		if (l->cut) {
			l->delay = DELAY_CUT_MS;
			l->cut = false;
		} else if (atomic_load(&l->sessions) != l->sessions_before) {
			l->delay = DELAY_MIN_MS;
		} else {
			l->delay = RTE_MIN(2 * l->delay, (unsigned)DELAY_MAX_MS);
			say(GZ_LOG_WARN,
			    "client %s: the peer at %s hung up before the link was up; next "
			    "try in %u ms",
			    l->peer.name, l->peer.path, l->delay);
		}
		l->next_try = now + l->delay;
		pthread_mutex_lock(&l->lock);
		link_set_state(l, LINK_ABSENT);
		pthread_mutex_unlock(&l->lock);
	} else if (state == LINK_ABSENT && now >= l->next_try) {
		l->next_try = now + DELAY_MIN_MS;
		l->sessions_before = atomic_load(&l->sessions);
		link_connect(l);
	}
}

void links_tend(void)
{
	int64_t now = now_ms();

	for (unsigned i = 0; i < links.n; i++)
		link_tend(&links.link[i], now);
}

bool links_inside(unsigned worker)
{
	for (unsigned i = 0; i < links.n; i++) {
		if (atomic_load(&links.link[i].busy[worker]))
			return true;
	}
	return false;
}

bool links_cut(unsigned worker)
{
	for (unsigned i = 0; i < links.n; i++) {
		struct link *l = &links.link[i];

		if (!atomic_load(&l->busy[worker]))
			continue;
		if (!l->cut)
			say(GZ_LOG_ERROR,
			    "client %s: it holds up everybody's packets: cut off for %d s",
			    l->peer.name, DELAY_CUT_MS / 1000);
		l->cut = true;
		atomic_store(&l->vid, -1);
		return true;
	}
	return false;
}

struct link *links_start(unsigned ports, const struct worker *workers, unsigned n, bool quiet)
{
	links.link = calloc(ports * GZ_CLIENTS_MAX, sizeof(*links.link));
	if (!links.link)
		return NULL;
	links.n = ports * GZ_CLIENTS_MAX;
	links.workers = workers;
	links.nworkers = n;
	for (unsigned i = 0; i < links.n; i++) {
		struct link *l = &links.link[i];

		l->peer.fd = -1;
		l->index = i;
		for (unsigned k = 0; k < GZ_LINK_QUEUES; k++)
			l->kick[k] = -1;
		l->delay = DELAY_MIN_MS;
		atomic_store(&l->vid, -1);
		pthread_mutex_init(&l->lock, NULL);
	}
	links_guard();
	/* A client that comes and goes is a line of ours, not twenty of vhost's */
	if (quiet)
		rte_log_set_level_pattern("lib.vhost.*", RTE_LOG_CRIT);
	return links.link;
}

void links_stop(void)
{
	for (unsigned i = 0; i < links.n; i++) {
		if (links.link[i].registered)
			rte_vhost_driver_unregister(links.link[i].peer.path);
		if (links.link[i].peer.fd >= 0)
			close(links.link[i].peer.fd);
		pthread_mutex_destroy(&links.link[i].lock);
	}
	links.n = 0;
	free(links.link);
	links.link = NULL;
}

/* --- packets -------------------------------------------------------------- */

/** link_enter() - Keep the device from being taken away.  Return: it, or -1 */
static int link_enter(struct link *l, unsigned worker)
{
	int vid;

	/* cheap look first: absent clients cost no barrier */
	if (atomic_load_explicit(&l->vid, memory_order_relaxed) < 0)
		return -1;
	atomic_store(&l->busy[worker], true);
	vid = atomic_load(&l->vid);
	if (vid < 0)
		atomic_store_explicit(&l->busy[worker], false, memory_order_release);
	return vid;
}

static void link_leave(struct link *l, unsigned worker)
{
	atomic_store_explicit(&l->busy[worker], false, memory_order_release);
}

/** hush() - Rings that are new notify us, until they are told not to.  The owner, inside */
static void hush(struct link *l, int vid, unsigned queues)
{
	for (unsigned i = 0; i < queues; i++) {
		rte_vhost_enable_guest_notification(vid, RING_FROM_CLIENT(i), 0);
		rte_vhost_enable_guest_notification(vid, RING_TO_CLIENT(i), 0);
	}
	l->hushed = queues;
}

/** dequeue() - From each of several queues its part, each the first in its turn: one that is full
 * keeps none waiting */
static unsigned dequeue(struct link *l, int vid, unsigned queues, struct rte_mempool *pool,
			struct rte_mbuf **m, unsigned n)
{
	unsigned got = 0;

	l->turn++;
	for (unsigned i = 0; i < queues && got < n; i++)
		got += rte_vhost_dequeue_burst(vid, RING_FROM_CLIENT((l->turn + i) % queues), pool,
					       m + got,
					       (uint16_t)RTE_MAX((n - got) / (queues - i), 1u));
	return got;
}

unsigned link_rx(struct link *l, unsigned worker, struct rte_mempool *pool, struct rte_mbuf **m,
		 unsigned n)
{
	int vid = link_enter(l, worker);
	unsigned queues;

	if (vid < 0)
		return 0;
	queues = atomic_load_explicit(&l->queues, memory_order_relaxed);
	if (l->hushed != queues)
		hush(l, vid, queues);
	/* Most looks find nothing, so they must be cheap: no division for one queue */
	if (queues == 1)
		n = rte_vhost_dequeue_burst(vid, RING_FROM_CLIENT(0), pool, m, (uint16_t)n);
	else
		n = dequeue(l, vid, queues, pool, m, n);
	link_leave(l, worker);
	return n;
}

static unsigned enqueue(int vid, unsigned queue, struct rte_mbuf **m, unsigned n)
{
	unsigned sent = 0;

	/* 32 at most are taken at a time */
	while (sent < n) {
		unsigned k = rte_vhost_enqueue_burst(vid, RING_TO_CLIENT(queue), m + sent,
						     (uint16_t)(n - sent));

		if (!k)
			break;
		sent += k;
	}
	return sent;
}

/** spread() - To the queue of that worker of the client's whose flow each is */
static unsigned spread(int vid, unsigned queues, struct rte_mbuf **m, unsigned n)
{
	struct rte_mbuf *part[BURST_MAX];
	uint8_t of[BURST_MAX];
	unsigned sent = 0;

	for (unsigned i = 0; i < n; i++)
		of[i] = (uint8_t)gz_rss_queue(
		    gz_rss_frame(rte_pktmbuf_mtod(m[i], const uint8_t *), m[i]->data_len).hash,
		    queues);
	for (unsigned q = 0; q < queues; q++) {
		unsigned k = 0;

		for (unsigned i = 0; i < n; i++) {
			if (of[i] == q)
				part[k++] = m[i];
		}
		sent += enqueue(vid, q, part, k);
	}
	return sent;
}

unsigned link_tx(struct link *l, unsigned worker, struct rte_mbuf **m, unsigned n)
{
	int vid = link_enter(l, worker);
	unsigned queues, sent;

	if (vid < 0)
		return 0;
	queues = atomic_load_explicit(&l->queues, memory_order_relaxed);
	sent = queues > 1 ? spread(vid, queues, m, n) : enqueue(vid, 0, m, n);
	link_leave(l, worker);
	return sent;
}

struct offload link_takes(const struct link *l)
{
	unsigned f = atomic_load_explicit(&l->agreed, memory_order_relaxed);
	bool checksum = f & F(VIRTIO_NET_F_GUEST_CSUM);

	return (struct offload){.checksum = checksum,
				.tso = checksum && (f & guest_tso) == guest_tso};
}

void link_offloads(struct link *l, char *text, size_t n)
{
	unsigned f = atomic_load(&l->vid) < 0 ? 0 : atomic_load(&l->agreed);

	snprintf(text, n, "%s%s%s", f & checksums ? "checksum" : "none",
		 f & host_tso ? ", tso" : "", f & guest_tso ? ", lro" : "");
}

/** notify() - Is the client to tell when it sends?  The owner.  Return: false if it is absent */
static bool notify(struct link *l, unsigned worker, bool on)
{
	int vid = link_enter(l, worker);
	unsigned queues;

	if (vid < 0)
		return false;
	queues = atomic_load_explicit(&l->queues, memory_order_relaxed);
	for (unsigned i = 0; i < queues; i++)
		rte_vhost_enable_guest_notification(vid, RING_FROM_CLIENT(i), on);
	/* before the rings are looked at again; pairs with the barrier that the
	 * client has between filling one and looking at our flag */
	atomic_thread_fence(memory_order_seq_cst);
	link_leave(l, worker);
	return true;
}

bool link_arm(struct link *l, unsigned worker)
{
	unsigned queues;
	bool can = true;

	if (!notify(l, worker, true))
		return true; /* it wakes us when it comes */
	pthread_mutex_lock(&l->lock);
	queues = atomic_load(&l->queues);
	for (unsigned i = 0; i < queues; i++)
		can &= l->kick[i] >= 0;
	pthread_mutex_unlock(&l->lock);
	return can;
}

void link_disarm(struct link *l, unsigned worker)
{
	notify(l, worker, false);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * link.h - A client's vhost-user link
 */
#ifndef GZ_DISPATCH_LINK_H
#define GZ_DISPATCH_LINK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/config.h"
#include "dispatch/offload.h"
#include "engine/port.h"

struct rte_mbuf;
struct rte_mempool;
struct worker;

enum link_state {
	LINK_ABSENT,  /* nobody listens at the path */
	LINK_TALKING, /* connected, rings are being agreed upon */
	LINK_UP,      /* packets flow */
	LINK_GONE,    /* the peer hung up; main has yet to clean up */
};

/** Whom a link is to be connected with */
struct link_peer {
	char name[GZ_NAME_MAX];
	char path[GZ_PATH_MAX]; /* of the socket at which it listens; "": nobody */
	int fd;			/* a descriptor that path refers to, the link's own; -1 */
	bool uid_set;		/* its process must be of */
	uint32_t uid;
	pid_t pid; /* and be this one, unless 0 */
	enum gz_client_offloads offloads;
};

struct link {
	unsigned index;
	/* Main writes it while vhost does not know the path; read by vhost's threads: */
	struct link_peer peer;

	/* The packet path.  vhost's threads set vid and wait for !busy before
	 * they take the device away; a worker sets busy before it reads vid. */
	atomic_int vid;		       /* -1: hands off */
	atomic_bool busy[GZ_CPUS_MAX]; /* a worker is inside */
	atomic_uint sessions;	       /* times it came up; another one, another client */
	atomic_uint agreed;	       /* features of virtio that are about offloads */
	atomic_uint queues; /* pairs of rings that the client serves, from the first on */
	/* Its worker's: */
	unsigned hushed; /* pairs of rings that were told not to notify us */
	unsigned turn;	 /* the one that is looked at first */

	/* Messages.  Under lock: */
	pthread_mutex_t lock;
	enum link_state state;
	uint32_t ready;		  /* rings that the client serves, a bit each */
	int kick[GZ_LINK_QUEUES]; /* our duplicates of its eventfds, in the epoll set; -1 */

	/* Connecting.  Main only, milliseconds of the monotonic clock: */
	bool registered; /* vhost knows the path */
	bool cut;	 /* it held a worker up: out with it */
	bool reported;	 /* as up */
	bool refused;	 /* it is another user's, and that was said */
	bool parting;	 /* with the peer, as soon as all workers are out */
	int64_t next_try;
	unsigned delay;		  /* until the next try */
	unsigned sessions_before; /* of this connection */
};

/**
 * links_start() - Make a link for each place of a client; none has a peer yet
 * @ports:	That have GZ_CLIENTS_MAX places each
 * @workers, @n:	To whose epoll the links' descriptors are added, with data.u32 = index
 * @quiet:	vhost's own messages are not wanted
 *
 * Main, once.  Return: the links, or NULL without memory
 */
struct link *links_start(unsigned ports, const struct worker *workers, unsigned n, bool quiet);

/** link_to() - Connect it with @peer, from now on.  Main, when link_is_free() */
void link_to(struct link *l, const struct link_peer *peer);

/** link_part() - Part with its peer.  Main; link_is_free() tells when it is done */
void link_part(struct link *l);

/** link_is_free() - Has it no peer?  Main */
bool link_is_free(const struct link *l);

/** links_tend() - Connect what is absent, clean up what is gone.  Main, now and then */
void links_tend(void);

/**
 * links_cut() - Part with the client in whose memory or eventfd a worker is stuck
 *
 * Main.  Return: true if it is inside a link; a signal gets it out
 */
bool links_cut(unsigned worker);

/** links_inside() - Is a worker inside a link?  Main */
bool links_inside(unsigned worker);

/** links_stop() - Disconnect and free.  Main, when the workers have ended */
void links_stop(void);

/** links_guard() - Survive clients that take memory away.  links_start() does */
void links_guard(void);

/** links_faults() - How often a client took away memory that it had shared */
uint64_t links_faults(void);

/**
 * link_rx() - Take packets that the client sent.  The worker to whom it belongs
 * @m:	Filled with copies from @pool; what is larger than an mbuf is in several pieces
 *
 * Return: how many
 */
unsigned link_rx(struct link *l, unsigned worker, struct rte_mempool *pool, struct rte_mbuf **m,
		 unsigned n);

/** link_takes() - What the client takes unfinished */
struct offload link_takes(const struct link *l);

/** link_offloads() - What it leaves and takes, in the words of gazelle-ctl port */
void link_offloads(struct link *l, char *text, size_t n);

/**
 * link_tx() - Copy packets to the client: to which of its queues, the hash says (engine/rss.h)
 *
 * Any worker; the caller still owns them.  Return: how many
 */
unsigned link_tx(struct link *l, unsigned worker, struct rte_mbuf **m, unsigned n);

/**
 * link_arm() - Ask the client to say when it sends.  Worker, before it sleeps
 *
 * What was sent before raises nothing: receive once more after it.
 *
 * Return: false if the client is there but has nothing to say it with
 */
bool link_arm(struct link *l, unsigned worker);
void link_disarm(struct link *l, unsigned worker);

#endif

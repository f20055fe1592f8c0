/* SPDX-License-Identifier: BSD-3-Clause
 *
 * client.h - One gazelle-run tree: its notification listener and its thread
 *
 * Each client has a service thread of its own, so that an application whose
 * memory takes for ever to fault in (userfaultfd, FUSE) stops nobody else.  The
 * thread ends when the last process under the filter is gone.
 */
#ifndef GZ_CLIENT_H
#define GZ_CLIENT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "engine/off_ring.h"
#include "engine/plane.h"
#include "engine/policy.h"

struct gz_client {
	uint32_t id;
	_Atomic int refs;
	pid_t pid; /* who registered, in our pid namespace */
	uid_t uid;
	char program[64];
	int listener; /* seccomp notification descriptor */
	int wake;     /* an eventfd: its thread is to look at what it has parked */
	pthread_t thread;
	_Atomic unsigned sockets;
	_Atomic uint64_t notifications;
	_Atomic uint64_t rx_bytes, tx_bytes;
	_Atomic uint64_t buffers; /* buffers.c */
	struct gz_record record;  /* what went to the kernel */
	struct gz_plane *plane;	  /* NULL: its bytes are the relay's */
	struct {		  /* gazelle-run, as the service thread asks it: broker.c */
		int fd;		  /* -1: it is gone, or there is none */
		int old;	  /* it was silent too long; -1 */
		uint32_t seq;
		unsigned level; /* of its pid namespace, 1 is ours */
	} broker;
	enum gz_off_ring no_plane; /* why it has none */
	struct gz_off_processes off_ring;
	_Atomic uint64_t ring_left, ring_back; /* sockets that left the rings, and came back */
	LIST_ENTRY(gz_client) next;
};

void gz_client_ref(struct gz_client *c);
void gz_client_unref(struct gz_client *c);

/**
 * gz_client_start() - Serve a notification listener with a new thread
 * @listener:	Owned by the client from now on, also on failure
 * @broker:	gazelle-run's socket, owned as well; -1: none
 * @ring:	Its bytes may be in rings
 *
 * Main thread.  Return: the client (borrowed), or NULL with errno
 */
struct gz_client *gz_client_start(int listener, int broker, bool ring, pid_t pid, uid_t uid,
				  const char *program, unsigned max);
/** How many are being served now, any thread. */
unsigned gz_client_count(void);
/** Call @fn for each with id >= @start until it says no. */
void gz_client_walk(uint32_t start, bool (*fn)(struct gz_client *, void *), void *arg);
/** Readable when a client came or went; main thread waits on it. */
int gz_client_event(void);

#endif

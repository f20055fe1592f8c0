/* SPDX-License-Identifier: BSD-3-Clause
 *
 * holder.h - A process that has listeners: where they are in it, and its calls
 */
#ifndef GZ_LAUNCHER_HOLDER_H
#define GZ_LAUNCHER_HOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>

#include "launcher/tracee.h"

#define GZ_PLACES_MAX 64 /* descriptors of one listener, and its registrations */

/** Where a listener is in a process */
struct gz_places {
	int fd[GZ_PLACES_MAX];
	size_t n;
	struct {
		int epoll, fd;
		struct epoll_event event;
	} reg[GZ_PLACES_MAX];
	size_t nreg;
	bool full; /* there are more */
};

struct gz_holder {
	struct gz_tracee t; /* t.pid, and t.why: why it cannot be used; empty: it can */
	int pidfd;
	uint64_t scratch; /* memory in it; 0: it is not stopped */
	struct gz_places places;
};

/** Call @fn for each descriptor of a process that is a socket, until it returns true. */
bool gz_each_socket(pid_t pid, bool (*fn)(int fd, ino_t ino, void *arg), void *arg);

/** gz_holder_stop() - Stop it, borrow a thread.  Return: whether; else t.why */
bool gz_holder_stop(struct gz_holder *h);
/** It goes on, also where stopping failed. */
void gz_holder_release(struct gz_holder *h);

/* --- while it is stopped ------------------------------------------------------ */

/** A call whose arguments need no memory but what is there.  Return: its result */
int64_t gz_holder_call(struct gz_holder *h, long nr, uint64_t x, uint64_t y, uint64_t z, uint64_t w,
		       uint64_t u);
/** @data into its memory, for the next call.  Return: 0 or -errno */
int gz_holder_put(struct gz_holder *h, const void *data, size_t n);
/** Give it @fd of ours.  Return: its descriptor there, close-on-exec, or -errno */
int gz_holder_give(struct gz_holder *h, int fd);
/** Where is socket @ino in it?  h->places */
void gz_holder_find(struct gz_holder *h, ino_t ino);
/**
 * gz_holder_replace() - Put its descriptor @fd in all of h->places, and close it
 * @name:	Of the listener, for people
 *
 * The epoll registrations are made anew.  What fails is said: nothing does but by the end
 * of the process.
 */
void gz_holder_replace(struct gz_holder *h, int fd, const char *name);

#endif

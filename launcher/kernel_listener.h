/* SPDX-License-Identifier: BSD-3-Clause
 *
 * kernel_listener.h - A listening socket of the kernel's TCP that is to be moved
 */
#ifndef GZ_LAUNCHER_KERNEL_LISTENER_H
#define GZ_LAUNCHER_KERNEL_LISTENER_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

struct gz_listener {
	int copy; /* ours; the kernel's socket lives as long */
	ino_t ino;
	int domain;
	int backlog;
	int reuse;     /* SO_REUSEADDR */
	int reuseport; /* SO_REUSEPORT */
	uid_t owner;
	bool filtered; /* SYNs are dropped */
	struct sockaddr_storage addr;
	socklen_t len;
	char name[80]; /* for people */
	char why[320]; /* it stays because; empty: it may be moved */
};

/** Is @copy such a listener?  Then @l is filled; it does not take @copy otherwise. */
bool gz_listener_look_at(int copy, struct gz_listener *l);
/** It stays, because of @what; the first reason counts.  @err: 0, or an errno */
void gz_listener_stays(struct gz_listener *l, const char *what, int err);
/** An option of type int; -1: there is none */
int gz_listener_option(int fd, int level, int name);

/** Return: connections that wait to be accepted, or -1 */
int gz_listener_queue_length(struct gz_listener *l);
/** Take no SYN any more, and let its holders, of which @pid is one, accept what waits. */
void gz_listener_drain(struct gz_listener *l, pid_t pid);
/** Take SYNs again. */
void gz_listener_take_syns(struct gz_listener *l);

/**
 * gz_listener_share_port() - Let another listener listen at the port beside this one
 *
 * The engine's listener may have a twin in the kernel (engine/twin.c), at the same port.
 * Two listeners with SO_REUSEPORT may share one, if their owners are the same.
 */
void gz_listener_share_port(struct gz_listener *l);
/** Listen no more.  shutdown() of a listener keeps its port, and it may listen again. */
void gz_listener_yield_port(const struct gz_listener *l);
/** Undo both. */
void gz_listener_take_port_back(struct gz_listener *l);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * twin.c - The kernel's listener beside a listener of the engine's
 *
 * Theory of operation.  A program that listens on 0.0.0.0 or 127.0.0.1 expects
 * the host's own programs to reach it.  So bind() to a wildcard or a loopback
 * address binds a kernel socket too, the twin, in the program's network
 * namespace, and listen() listens on both.  The engine alone holds the twin.
 *
 * The worker accepts on it and puts the connection on the listener's pending
 * list like one of the stack's, with the kernel's socket as what accept() is to
 * install (held_fd), and knocks at the listener's shadow.  So both worlds are in
 * one queue in the order of arrival, and wake whoever waits.  What the program
 * gets is the kernel's socket itself: nothing of it is emulated.
 *
 * The backlog counts both.  When it is full the twin is not looked at and its
 * own queue is made as short as can be, so that the kernel drops SYNs as well.
 *
 * Two threads may touch a twin: the worker, and who sees the last close.  @lock
 * is held for non-blocking calls only, and taken last.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "engine/address.h"
#include "engine/client.h"
#include "engine/counters.h"
#include "engine/log.h"
#include "engine/service.h"
#include "engine/shadow.h"
#include "engine/twin.h"
#include "engine/udp_twin.h"
#include "engine/worker.h"

#define BURST 64

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

bool gz_twin_wanted(struct gz_end end)
{
	switch (gz_cfg->loopback) {
	case GZ_LO_BOTH:
		return gz_end_is_any(end) || gz_addr_is_loopback(end);
	case GZ_LO_KERNEL:
		return gz_end_is_any(end);
	default:
		return false;
	}
}

int gz_twin_bind(struct gz_call_ctx *c, struct gz_sock *s, struct gz_end end)
{
	struct sockaddr_storage a;
	socklen_t len = gz_addr_sockaddr(s->family, end, &a);
	int fd = gz_kernel_socket(c->tid, s->family, SOCK_STREAM, IPPROTO_TCP), err;

	if (fd < 0) {
		err = -fd;
	} else {
		gz_options_replay(&s->opt, s->family, fd);
		err = bind(fd, (struct sockaddr *)&a, len) < 0 ? errno : 0;
	}
	if (err) {
		if (fd >= 0)
			close(fd);
		if (err == EADDRINUSE)
			return -EADDRINUSE;
		gz_count(GZ_C_REFUSED_TWIN);
		gz_debug("socket %lu: no listener of the kernel's beside it: %s",
			 (unsigned long)s->id, strerror(err));
		return 0;
	}
	gz_twin_put(s, fd);
	return 0;
}

void gz_twin_put(struct gz_sock *s, int fd)
{
	pthread_mutex_lock(&lock);
	s->twin_fd = fd;
	pthread_mutex_unlock(&lock);
}

int gz_twin_listen(struct gz_sock *s)
{
	int err = 0;

	pthread_mutex_lock(&lock);
	if (s->twin_fd >= 0 && listen(s->twin_fd, s->backlog) < 0)
		err = -errno;
	pthread_mutex_unlock(&lock);
	return err;
}

void gz_twin_option(struct gz_sock *s, int level, int opt, const void *val, socklen_t len)
{
	pthread_mutex_lock(&lock);
	if (s->twin_fd >= 0 && setsockopt(s->twin_fd, level, opt, val, len) < 0)
		gz_count(GZ_C_REFUSED_SETOPT);
	pthread_mutex_unlock(&lock);
}

void gz_twin_unlisten(struct gz_sock *s)
{
	pthread_mutex_lock(&lock);
	if (s->twin_fd >= 0)
		shutdown(s->twin_fd, SHUT_RD);
	pthread_mutex_unlock(&lock);
}

/* @s has its twin no more, and the worker hears of it no more by @s; locked */
static int take(struct gz_sock *s)
{
	int fd = s->twin_fd;

	s->twin_fd = -1;
	if (fd >= 0 && s->twin_watched)
		epoll_ctl(gz_worker_home(s)->relay_ep, EPOLL_CTL_DEL, fd, NULL);
	return fd;
}

int gz_twin_take(struct gz_sock *s)
{
	int fd;

	pthread_mutex_lock(&lock);
	fd = take(s);
	pthread_mutex_unlock(&lock);
	return fd;
}

void gz_twin_hand(struct gz_sock *from, struct gz_sock *to)
{
	pthread_mutex_lock(&lock);
	to->twin_fd = take(from);
	pthread_mutex_unlock(&lock);
}

void gz_twin_close(struct gz_sock *s)
{
	int fd = gz_twin_take(s);

	if (fd >= 0)
		close(fd); /* leaves the epoll by itself */
}

void gz_twin_room(struct gz_sock *l)
{
	if (atomic_exchange(&l->twin_full, false))
		gz_post(&(struct gz_msg){.op = GZ_OP_TWIN, .sock = l, .fd = -1});
}

/* --- datagrams --------------------------------------------------------------- */

int64_t gz_twin_send(struct gz_sock *s, const struct msghdr *m, int flags)
{
	ssize_t n;
	int err;

	pthread_mutex_lock(&lock);
	n = sendmsg(s->twin_fd, m, flags);
	err = errno;
	pthread_mutex_unlock(&lock);
	return n < 0 ? -err : n;
}

int64_t gz_twin_recv(struct gz_sock *s, struct msghdr *m)
{
	ssize_t n;
	int err;

	pthread_mutex_lock(&lock);
	n = recvmsg(s->twin_fd, m, MSG_DONTWAIT);
	err = errno;
	pthread_mutex_unlock(&lock);
	return n < 0 ? -err : n;
}

int gz_twin_connect(struct gz_sock *s, struct gz_end peer, struct sockaddr_storage *local)
{
	struct sockaddr_storage a = {.ss_family = AF_UNSPEC};
	socklen_t len = local ? gz_addr_sockaddr(s->family, peer, &a) : sizeof(struct sockaddr);
	int err;

	pthread_mutex_lock(&lock);
	err = connect(s->twin_fd, (struct sockaddr *)&a, len) < 0 ? -errno : 0;
	len = sizeof(*local);
	if (!err && local)
		err = getsockname(s->twin_fd, (struct sockaddr *)local, &len) < 0 ? -errno : 0;
	pthread_mutex_unlock(&lock);
	return err;
}

/* --- worker ------------------------------------------------------------------ */

static void look(struct gz_worker *w, struct gz_sock *l, int op, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = l};

	if (epoll_ctl(w->relay_ep, op, l->twin_fd, &e) < 0 && errno != ENOENT)
		gz_warn("socket %lu: cannot watch the kernel's listener: %s", (unsigned long)l->id,
			strerror(errno));
}

void gz_twin_watch(struct gz_worker *w, struct gz_sock *l)
{
	pthread_mutex_lock(&lock);
	if (l->twin_fd >= 0) {
		look(w, l, l->twin_watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, EPOLLIN);
		if (l->type == SOCK_STREAM)
			listen(l->twin_fd, l->backlog);
		l->twin_watched = true;
	}
	pthread_mutex_unlock(&lock);
}

void gz_twin_unwatch(struct gz_worker *w, struct gz_sock *l)
{
	pthread_mutex_lock(&lock);
	if (l->twin_fd >= 0 && l->twin_watched)
		look(w, l, EPOLL_CTL_DEL, 0);
	l->twin_watched = false;
	pthread_mutex_unlock(&lock);
}

/* As Linux resets what nobody accepted (inet_csk_listen_stop()). */
static void reset(int fd)
{
	struct linger now = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

/* Put @fd on @l's list, where accept() finds it. */
static void offer(struct gz_sock *l, int fd)
{
	struct gz_sock *s = gz_sock_new(l->client, l->family);

	if (!s) {
		reset(fd);
		return;
	}
	s->native = true;
	s->held_fd = fd;
	atomic_fetch_add(&l->queued, 1);
	gz_sock_ref(l);
	gz_sock_ref(s); /* ours, for the knock */
	pthread_mutex_lock(&l->lock);
	s->listener = l;
	TAILQ_INSERT_TAIL(&l->pending, s, pending_entry);
	pthread_mutex_unlock(&l->lock);
	if (gz_relay_reoffer(l, s->id) < 0) {
		pthread_mutex_lock(&l->lock);
		if (s->listener) {
			TAILQ_REMOVE(&l->pending, s, pending_entry);
			s->listener = NULL;
			atomic_fetch_sub(&l->queued, 1);
			reset(s->held_fd);
			s->held_fd = -1;
			gz_sock_unref(s);
			gz_sock_unref(l);
		}
		pthread_mutex_unlock(&l->lock);
	}
	gz_sock_unref(s);
}

void gz_twin_event(struct gz_worker *w, struct gz_sock *l)
{
	if (l->type == SOCK_DGRAM) {
		gz_udp_twin_event(l);
		return;
	}
	for (int i = 0; i < BURST; i++) {
		int fd = -1;

		pthread_mutex_lock(&lock);
		if (l->twin_fd >= 0 && l->twin_watched) {
			/* As Linux: at most backlog + 1 wait. */
			if (atomic_load(&l->queued) > l->backlog) {
				listen(l->twin_fd, 0);
				look(w, l, EPOLL_CTL_MOD, 0);
				atomic_store(&l->twin_full, true);
			} else {
				fd = accept4(l->twin_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
			}
		}
		pthread_mutex_unlock(&lock);
		/* One that was taken before it was said that all are too many? */
		if (atomic_load(&l->twin_full) && atomic_load(&l->queued) <= l->backlog) {
			atomic_store(&l->twin_full, false);
			gz_twin_watch(w, l);
		}
		if (fd < 0)
			return;
		gz_count(GZ_C_KERNEL_ACCEPTED);
		offer(l, fd);
	}
}

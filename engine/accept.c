/* SPDX-License-Identifier: BSD-3-Clause
 *
 * accept.c - accept() and accept4()
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/address.h"
#include "engine/calls.h"
#include "engine/counters.h"
#include "engine/log.h"
#include "engine/service.h"
#include "engine/shadow.h"
#include "engine/twin.h"
#include "engine/worker.h"

uint64_t gz_deadline_of(const struct timeval *tv)
{
	if (!tv->tv_sec && !tv->tv_usec)
		return 0;
	return gz_now_ns() + (uint64_t)tv->tv_sec * 1000000000u + (uint64_t)tv->tv_usec * 1000u;
}

/* Take the connection that token @id stands for off @l's list. */
static struct gz_sock *take_pending(struct gz_sock *l, uint64_t id)
{
	struct gz_sock *s;

	pthread_mutex_lock(&l->lock);
	TAILQ_FOREACH(s, &l->pending, pending_entry)
	{
		if (s->id == id) {
			TAILQ_REMOVE(&l->pending, s, pending_entry);
			s->listener = NULL; /* its two references are ours now */
			break;
		}
	}
	pthread_mutex_unlock(&l->lock);
	return s;
}

/* An embryo from the shadow's queue.  Return: descriptor, -EAGAIN, -errno */
static int accept_shadow(int lfd, uint64_t *id)
{
	struct pollfd p = {.fd = lfd, .events = POLLIN};

	for (;;) {
		struct ucred cred;
		socklen_t len = sizeof(cred);
		int fd;

		if (poll(&p, 1, 0) <= 0)
			return -EAGAIN;
		fd = accept4(lfd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			return errno == EMFILE || errno == ENFILE ? -ENFILE : -EAGAIN;
		}
		/* Whoever is not the engine has no business here; the worker sends
		 * the id right after its connect(). */
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 &&
		    cred.pid == getpid()) {
			struct pollfd in = {.fd = fd, .events = POLLIN};

			if (poll(&in, 1, 1000) > 0 &&
			    recv(fd, id, sizeof(*id), MSG_DONTWAIT) == sizeof(*id))
				return fd;
		}
		gz_count(GZ_C_FOREIGN);
		close(fd);
	}
}

/* The peer of a connection that is the kernel's. */
static int64_t write_native(struct gz_call_ctx *c, int fd)
{
	struct sockaddr_storage a = {.ss_family = (sa_family_t)c->s->family};
	socklen_t len = sizeof(a);

	/* One that was reset meanwhile has none any more; accept() succeeds all the same. */
	if (getpeername(fd, (struct sockaddr *)&a, &len) < 0)
		len = c->s->family == AF_INET ? sizeof(struct sockaddr_in)
					      : sizeof(struct sockaddr_in6);
	return gz_addr_write_raw(c, &a, (int)len, c->args[1], c->args[2]);
}

/* Bytes that came before now go where all later ones do. */
static void choose_plane(const struct gz_call_ctx *c, struct gz_sock *s, bool nonblock)
{
	if (!atomic_load(&s->hold))
		return;
	if (c->sv->client == s->client)
		gz_plane_give(s, true, nonblock);
	gz_plane_begin(s); /* a recv() right after accept() finds them */
}

static int64_t accept_flags(struct gz_call_ctx *c, int flags)
{
	struct gz_sock *l = c->s, *s;
	struct gz_end peer;
	struct stat st;
	uint64_t id;
	int64_t err;
	int fd;

	if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
		return -EINVAL;
	if (gz_sock_state(l) != GZ_LISTENING)
		return -EINVAL;
	do {
		fd = accept_shadow(c->fd, &id);
		if (fd == -EAGAIN) {
			if (gz_file_flags(c->fd) & O_NONBLOCK)
				return -EAGAIN;
			if (!c->events) {
				c->events = POLLIN;
				pthread_mutex_lock(&l->lock);
				c->deadline = gz_deadline_of(&l->opt.rcvtimeo);
				pthread_mutex_unlock(&l->lock);
				c->on_deadline = -EAGAIN;
			}
			return GZ_WAIT;
		}
		if (fd < 0)
			return fd;
		s = take_pending(l, id);
		if (!s)
			close(fd); /* dropped meanwhile */
	} while (!s);
	if (s->held_fd >= 0) {
		/* A token for one that was accepted before and found no room. */
		close(fd);
		fd = s->held_fd;
		s->held_fd = -1;
	} else {
		if (send(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EPIPE)
			gz_debug("no sentinel: %s", strerror(errno));
		atomic_store(&s->has_sentinel, true);
		atomic_thread_fence(memory_order_seq_cst);
		/* Reset while it waited: the worker can say so now. */
		if (gz_sock_state(s) == GZ_CLOSED)
			gz_post(&(struct gz_msg){.op = GZ_OP_SHUT, .sock = s, .fd = -1});
		gz_shadow_sndbuf(fd);
		gz_options_natively(&s->opt, fd);
		fstat(fd, &st);
		gz_table_add(s, st.st_ino);
		choose_plane(c, s, flags & SOCK_NONBLOCK);
	}
	if (atomic_load(&s->closed))
		gz_table_remove(s);
	fcntl(fd, F_SETFL, flags & SOCK_NONBLOCK ? O_NONBLOCK : 0);
	peer = s->peer;
	err = !c->args[1] ? 0
	      : s->native ? write_native(c, fd)
			  : gz_addr_write(c, peer, c->args[1], c->args[2]);
	if (!err) {
		err = gz_service_add_fd(c, fd, flags & SOCK_CLOEXEC);
		if (err < 0) {
			/* No room in the application: the connection waits on. */
			uint64_t s_id = s->id;

			pthread_mutex_lock(&l->lock);
			s->held_fd = fd;
			s->listener = l;
			TAILQ_INSERT_HEAD(&l->pending, s, pending_entry);
			pthread_mutex_unlock(&l->lock);
			gz_post(
			    &(struct gz_msg){.op = GZ_OP_REOFFER, .sock = l, .id = s_id, .fd = -1});
			return err == -ENOENT ? -EINTR : err;
		}
	}
	if (err >= 0)
		gz_plane_seen(s, c->tid, (int)err);
	close(fd);
	atomic_fetch_sub(&l->queued, 1);
	gz_twin_room(l);
	gz_sock_unref(l);
	gz_sock_unref(s);
	return err;
}

int64_t gz_do_accept(struct gz_call_ctx *c)
{
	return accept_flags(c, 0);
}

int64_t gz_do_accept4(struct gz_call_ctx *c)
{
	return accept_flags(c, (int)c->args[3]);
}

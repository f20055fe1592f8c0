/* SPDX-License-Identifier: BSD-3-Clause
 *
 * accept.c - accept() and accept4()
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
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

/*
 * accept() on the shadow of a listener that agents accept on too: one of them may be
 * faster, and then it may wait for a moment.  Agents that come then try again.
 */
static int accept_tick(struct gz_sock *l, int lfd)
{
	const struct timeval tick = {.tv_usec = 1000}, none = {0};
	int fd, err;

	if (l->ring.i < 0)
		return accept4(lfd, NULL, NULL, SOCK_CLOEXEC);
	pthread_mutex_lock(&l->lock);
	setsockopt(lfd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof(tick));
	fd = accept4(lfd, NULL, NULL, SOCK_CLOEXEC);
	err = errno;
	setsockopt(lfd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
	pthread_mutex_unlock(&l->lock);
	if (fd >= 0)
		gz_plane_offered(l, true);
	errno = err;
	return fd;
}

/* An embryo from the shadow's queue.  Return: descriptor, -EAGAIN, -errno */
static int accept_shadow(struct gz_sock *l, int lfd, uint64_t *id)
{
	struct pollfd p = {.fd = lfd, .events = POLLIN};

	for (;;) {
		struct ucred cred;
		socklen_t len = sizeof(cred);
		int fd;

		if (poll(&p, 1, 0) <= 0)
			return -EAGAIN;
		fd = accept_tick(l, lfd);
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
			struct gz_knock k;

			if (poll(&in, 1, 1000) > 0 &&
			    recv(fd, &k, sizeof(k), MSG_DONTWAIT) == sizeof(k)) {
				*id = k.id;
				return fd;
			}
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
static void choose_plane(const struct gz_call_ctx *c, struct gz_sock *s, int fd, bool nonblock)
{
	if (s->ring.i >= 0) { /* it was prepared for an agent */
		gz_plane_name(s, s->ino, nonblock);
		if (c->sv->client != s->client)
			gz_plane_leave(s, fd);
		return;
	}
	if (!atomic_load(&s->hold))
		return;
	if (c->sv->client == s->client)
		gz_plane_give(s, true, nonblock);
	gz_plane_begin(s); /* a recv() right after accept() finds them */
}

/* The shadow @fd is a connection's from now on. */
static void begin(const struct gz_call_ctx *c, struct gz_sock *s, int fd, bool nonblock)
{
	struct stat st;

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
	choose_plane(c, s, fd, nonblock);
}

/* It waits no more.  Takes the references that the list had */
static void settle(struct gz_sock *l, struct gz_sock *s)
{
	atomic_fetch_sub(&l->queued, 1);
	gz_twin_room(l);
	gz_sock_unref(l);
	gz_sock_unref(s);
}

/* --- for agents ------------------------------------------------------------ */

static bool is_agents(const struct gz_sock *l, const struct gz_sock *s)
{
	return s->listener == l && s->held_fd < 0;
}

bool gz_accept_unoffer(struct gz_sock *s)
{
	struct gz_sock *l = s->offered_by;
	bool waited;

	if (!l)
		return false;
	s->offered_by = NULL;
	pthread_mutex_lock(&l->lock);
	waited = is_agents(l, s);
	if (waited) {
		TAILQ_REMOVE(&l->pending, s, pending_entry);
		s->listener = NULL;
	}
	pthread_mutex_unlock(&l->lock);
	if (waited)
		settle(l, s);
	gz_sock_unref(l);
	return waited;
}

void gz_accept_done(struct gz_sock *s)
{
	gz_sock_ref(s);
	if (gz_accept_unoffer(s) || s->unlisted) {
		s->unlisted = false;
		s->by_agent = true;
		atomic_store(&s->has_sentinel, true);
		gz_table_add(s, 0);
	}
	gz_sock_unref(s);
}

uint64_t gz_accept_id(int fd)
{
	struct sockaddr_un a;
	socklen_t len = sizeof(a) - 1;
	unsigned long name;

	memset(&a, 0, sizeof(a));
	if (getpeername(fd, (struct sockaddr *)&a, &len) < 0 || a.sun_family != AF_UNIX ||
	    a.sun_path[0] || sscanf(a.sun_path + 1, "gazelle.%lx", &name) != 1 ||
	    !(name & GZ_NAME_KNOCK))
		return 0;
	return name & ~GZ_NAME_KNOCK;
}

struct gz_sock *gz_accept_find(struct gz_client *cl, int fd, ino_t ino)
{
	uint64_t id = gz_accept_id(fd);
	struct gz_sock *s = id ? gz_table_find_id(id) : NULL;

	if (id && !s && cl) {
		gz_plane_settle_accepted(cl);
		s = gz_table_find_id(id);
	}
	if (s)
		gz_table_rename(s, ino);
	return s;
}

int64_t gz_accept_asked(struct gz_call_ctx *c)
{
	int flags = (int)c->args[2] & (SOCK_NONBLOCK | SOCK_CLOEXEC), at = (int)c->args[0];
	struct gz_call_ctx listener = {.sv = c->sv, .tid = c->tid, .fd = -1};
	struct gz_sock *l, *s = NULL;

	listener.args[0] = c->args[2] >> 32;
	if (gz_service_resolve(&listener) && listener.s)
		s = take_pending(listener.s, c->args[3]);
	l = listener.s;
	if (listener.fd >= 0)
		close(listener.fd);
	c->fd = s ? gz_app_fd(&c->sv->cache, c->tid, at) : -1;
	if (l)
		gz_sock_unref(l); /* the list had one of its own */
	if (!s)
		return -ENOENT;
	c->s = s;
	gz_sock_ref(s);
	c->args[1] = c->args[4];
	c->args[2] = c->args[5];
	if (c->args[1] && !s->native)
		gz_addr_write(c, s->peer, c->args[1], c->args[2]);
	if (s->held_fd >= 0) {
		int fd = s->held_fd;

		s->held_fd = -1;
		fcntl(fd, F_SETFL, flags & SOCK_NONBLOCK ? O_NONBLOCK : 0);
		if (c->args[1] && s->native)
			write_native(c, fd);
		gz_service_replace_fd(c, fd, at, flags & SOCK_CLOEXEC); /* or it was killed */
		close(fd);
	} else {
		/* Else it was closed already, or is another one. */
		if (c->fd >= 0 && gz_accept_id(c->fd) == s->id)
			begin(c, s, c->fd, flags & SOCK_NONBLOCK);
		if (atomic_load(&s->closed))
			gz_table_remove(s);
		gz_plane_seen(s, c->tid, at);
	}
	settle(l, s);
	return at;
}

/* --- accept() -------------------------------------------------------------- */

static int64_t accept_flags(struct gz_call_ctx *c, int flags)
{
	struct gz_sock *l = c->s, *s;
	struct gz_end peer;
	uint64_t id;
	int64_t err;
	int fd;

	if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
		return -EINVAL;
	if (gz_sock_state(l) != GZ_LISTENING)
		return -EINVAL;
	do {
		fd = accept_shadow(l, c->fd, &id);
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
		begin(c, s, fd, flags & SOCK_NONBLOCK);
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
	settle(l, s);
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

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * service.c - One thread per client answers its notifications
 *
 * Theory of operation.  The thread receives a notification, looks the
 * descriptor up by the inode behind it, and calls the handler.  Nothing blocks
 * here: what must wait is parked, and tried again when poll() says so.  Under
 * WAIT_KILLABLE_RECV a parked thread does not see its signals, so every 50 ms
 * its pending signals are looked at and the call is ended as the kernel would.
 *
 * A descriptor that is not ours is answered CONTINUE, and the kernel gives its
 * own answer, errors included.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "engine/asked.h"
#include "engine/calls.h"
#include "engine/counters.h"
#include "engine/dgram.h"
#include "engine/iface.h"
#include "engine/log.h"
#include "engine/netlink.h"
#include "engine/served.h"
#include "engine/service.h"
#include "engine/sites.h"
#include "engine/stale.h"
#include "engine/worker.h"
#include "launcher/calls.h"

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64) /* Linux 6.6 */
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP 1ul
#endif

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* Linux 6.9; before, SIGNAL_LOOK_MS notices */
#endif

#define ERESTARTSYS 512 /* the kernel's own, linux/errno.h */
#define ERESTARTNOINTR 513
#define SIGNAL_LOOK_MS 50
#define PARKED_MAX 4096
#define CROWD_NS 200000 /* so soon after another thread's */
#define CROWD_MAX 32	/* calls, before it is believed */
#define FIXED 2		/* descriptors that are waited for besides those of parked calls */

static struct {
	pthread_mutex_t lock;
	LIST_HEAD(, gz_client) all;
	unsigned n;
	uint32_t next_id;
	int event;
} clients = {.lock = PTHREAD_MUTEX_INITIALIZER, .next_id = 1, .event = -1};

uint64_t gz_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void gz_service_answer(struct gz_call_ctx *c, int64_t result)
{
	struct seccomp_notif_resp r = {.id = c->id};

	if (result == GZ_CONTINUE) {
		if (c->s)
			gz_plane_note_stray(c->s, c->tid, c->nr);
		r.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		gz_count(GZ_C_CONTINUED);
	} else if (result < 0) {
		r.error = (int32_t)result;
	} else {
		r.val = result;
	}
	gz_served_done(c->sv->client, c->id);
	if (ioctl(c->sv->client->listener, SECCOMP_IOCTL_NOTIF_SEND, &r) < 0)
		gz_count(GZ_C_GONE);
}

bool gz_service_alive(const struct gz_call_ctx *c)
{
	uint64_t id = c->id;

	return ioctl(c->sv->client->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

static int add_fd(struct gz_call_ctx *c, int fd, uint32_t flags, int at, bool cloexec)
{
	struct seccomp_notif_addfd a = {
	    .id = c->id,
	    .flags = flags,
	    .srcfd = (uint32_t)fd,
	    .newfd = (uint32_t)at,
	    .newfd_flags = cloexec ? O_CLOEXEC : 0,
	};
	int r = ioctl(c->sv->client->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &a);

	return r < 0 ? -errno : r;
}

int gz_service_add_fd(struct gz_call_ctx *c, int fd, bool cloexec)
{
	return add_fd(c, fd, 0, 0, cloexec);
}

int64_t gz_service_give_fd(struct gz_call_ctx *c, int fd, bool cloexec)
{
	int r;

	gz_served_done(c->sv->client, c->id);
	r = add_fd(c, fd, SECCOMP_ADDFD_FLAG_SEND, 0, cloexec);
	return r < 0 ? r : GZ_ANSWERED;
}

int gz_service_replace_fd(struct gz_call_ctx *c, int fd, int at, bool cloexec)
{
	int r = add_fd(c, fd, SECCOMP_ADDFD_FLAG_SETFD, at, cloexec);

	return r < 0 ? r : 0;
}

static void drop_fd(struct gz_call_ctx *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

static void finish(struct gz_call_ctx *c)
{
	drop_fd(c);
	if (c->s)
		gz_sock_unref(c->s);
	c->s = NULL;
	if (c->nl)
		gz_netlink_unref(c->nl);
	c->nl = NULL;
}

bool gz_service_resolve(struct gz_call_ctx *c)
{
	struct stat st;

	if (c->seen)
		return c->seen == GZ_FD_IS_SOCKET;
	c->seen = GZ_FD_IS_OTHER;
	c->fd = gz_app_fd(&c->sv->cache, c->tid, (int)c->args[0]);
	if (c->fd < 0 || fstat(c->fd, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	c->seen = GZ_FD_IS_SOCKET;
	c->s = gz_table_find(st.st_ino);
	if (!c->s && c->sv->client->plane)
		c->s = gz_accept_find(c->sv->client, c->fd, st.st_ino);
	if (!c->s)
		c->nl = gz_netlink_find(st.st_ino);
	return true;
}

/* Who answers; NULL: the kernel. */
static gz_handler handler(const struct gz_call_ctx *c, enum gz_call call)
{
	if (c->s)
		return c->s->type == SOCK_DGRAM ? gz_dgram_handlers[call] : gz_handlers[call];
	if (c->nl)
		return gz_netlink_handlers[call];
	if (call == GZ_CALL_SOCKET)
		return gz_handlers[call];
	/* A socket of the kernel's: the stack's addresses and interface have names there too. */
	if (call == GZ_CALL_BIND)
		return gz_bind_kernels;
	return call == GZ_CALL_IOCTL && gz_iface_is_request((unsigned)c->args[1]) ? gz_iface_ioctl
										  : NULL;
}

static void unpark(struct gz_service *sv, struct gz_call_ctx *p)
{
	TAILQ_REMOVE(&sv->parked, p, entry);
	sv->nparked--;
	if (p->pidfd >= 0)
		close(p->pidfd);
	finish(p);
	free(p);
}

/* Nobody waits for it any more. */
static void forget(struct gz_service *sv, struct gz_call_ctx *p)
{
	uint64_t id = p->id;

	if (!p->events && !p->follows)
		atomic_compare_exchange_strong(&p->s->parked, &id, 0);
	unpark(sv, p);
}

static void park(struct gz_service *sv, const struct gz_call_ctx *c)
{
	struct gz_call_ctx *p;

	if (sv->nparked >= PARKED_MAX || !(p = malloc(sizeof(*p)))) {
		struct gz_call_ctx dup = *c;

		gz_count(GZ_C_REFUSED_NO_MEMORY);
		gz_service_answer(&dup, -ENOMEM);
		finish(&dup);
		return;
	}
	*p = *c;
	/* A killed thread must not keep what is held for it, its listener say. */
	p->pidfd = (int)syscall(SYS_pidfd_open, p->tid, PIDFD_THREAD);
	TAILQ_INSERT_TAIL(&sv->parked, p, entry);
	sv->nparked++;
	gz_count(GZ_C_PARKED);
	/* It was, before it could be watched. */
	if (p->pidfd < 0 && !gz_service_alive(p))
		forget(sv, p);
}

/* Run the handler of @c and dispose of the result.  Return: false when it must
 * wait (again); @c is as it was. */
static bool run(struct gz_call_ctx *c, enum gz_call call)
{
	gz_handler fn = handler(c, call);
	int64_t r = fn ? fn(c) : GZ_CONTINUE;

	if (r == GZ_WAIT)
		return false;
	/* Before the application goes on: its next close() must be the last. */
	drop_fd(c);
	if (r != GZ_ANSWERED)
		gz_service_answer(c, r);
	return true;
}

static void serve(struct gz_service *sv, const struct seccomp_notif *n)
{
	struct gz_call_ctx c = {
	    .sv = sv,
	    .id = n->id,
	    .tid = (pid_t)n->pid,
	    .nr = n->data.nr,
	    .ip = n->data.instruction_pointer,
	    .fd = -1,
	};
	const struct gz_call_info *call = gz_call_by_nr(n->data.nr);

	for (unsigned i = 0; i < 6; i++)
		c.args[i] = n->data.args[i];
	gz_count(GZ_C_NOTIFICATIONS);
	if (atomic_load_explicit(&gz_stale, memory_order_relaxed))
		gz_stale_look(&c);
	atomic_fetch_add_explicit(&sv->client->notifications, 1, memory_order_relaxed);
	if (call && sv->client->plane) {
		if (call->plane == GZ_CALL_RING)
			gz_asked_call(call->id);
		switch (gz_sites_trap(&c, call)) {
		case GZ_SITES_ANSWERED:
			finish(&c);
			return;
		case GZ_SITES_NATIVE:
			drop_fd(&c);
			gz_service_answer(&c, GZ_CONTINUE);
			finish(&c);
			return;
		case GZ_SITES_SERVE:
			break;
		}
	}
	if (!call || (call->id != GZ_CALL_SOCKET && !gz_service_resolve(&c))) {
		drop_fd(&c);
		gz_service_answer(&c, GZ_CONTINUE);
		finish(&c);
		return;
	}
	if (c.s || c.nl || call->id == GZ_CALL_SOCKET)
		gz_asked_call(call->id);
	if (run(&c, call->id))
		finish(&c);
	else
		park(sv, &c); /* takes fd and s along */
}

/* The worker answers a parked connect(); it is over when the id is taken. */
static bool connect_done(const struct gz_call_ctx *p)
{
	return p->events == 0 && !p->follows && atomic_load(&p->s->parked) != p->id;
}

/*
 * Take a call back from the worker that is to answer it.  Return: false, it was first.
 * A connect() that ends so goes on, and the next one tells what came of it.
 */
static bool take_back(struct gz_call_ctx *p)
{
	uint64_t id = p->id;

	if (!atomic_compare_exchange_strong(&p->s->parked, &id, 0))
		return false;
	if (p->nr == SYS_connect) {
		pthread_mutex_lock(&p->s->lock);
		p->s->connect_reported = false;
		pthread_mutex_unlock(&p->s->lock);
	}
	return true;
}

/* A blocking connect() has failed: its socket is as new (tcp_disconnect()), then it returns. */
static bool failed(struct gz_call_ctx *p)
{
	struct gz_call_ctx c = {.sv = p->sv, .id = p->id, .tid = p->tid, .fd = -1};
	uint64_t id = p->id;
	int err;

	if (p->events || p->follows || gz_sock_state(p->s) != GZ_FAILED ||
	    !atomic_compare_exchange_strong(&p->s->parked, &id, 0))
		return false;
	err = gz_plane_take_error(p->s);
	c.args[0] = p->args[0];
	/* Another thread may have put something else there. */
	if (gz_service_resolve(&c) && c.s == p->s)
		gz_renew(&c);
	finish(&c);
	gz_service_answer(p, err ? -err : -ECONNABORTED);
	return true;
}

/* A second connect() of one socket: what the first came to (af_inet.c). */
static bool followed(struct gz_call_ctx *p)
{
	enum gz_state st;
	int err;

	if (!p->follows)
		return false;
	st = gz_sock_state(p->s);
	if (st == GZ_CONNECTING)
		return false;
	err = st == GZ_ESTABLISHED ? 0 : gz_plane_take_error(p->s);
	gz_service_answer(p, st == GZ_ESTABLISHED ? 0 : err ? -err : -ECONNABORTED);
	return true;
}

void gz_service_collect(struct gz_service *sv)
{
	struct pollfd p = {.fd = sv->client->listener, .events = POLLIN};

	while (poll(&p, 1, 0) > 0 && p.revents & POLLIN) {
		struct gz_waiting *w = calloc(1, sizeof(*w));

		if (!w || ioctl(p.fd, SECCOMP_IOCTL_NOTIF_RECV, &w->n) < 0) {
			free(w);
			return;
		}
		gz_served_note(sv->client, &w->n);
		TAILQ_INSERT_TAIL(&sv->waiting, w, entry);
	}
}

bool gz_service_has(const struct gz_service *sv, pid_t tid)
{
	const struct gz_call_ctx *p;
	const struct gz_waiting *w;

	TAILQ_FOREACH(p, &sv->parked, entry)
	if (p->tid == tid)
		return true;
	TAILQ_FOREACH(w, &sv->waiting, entry)
	if ((pid_t)w->n.pid == tid)
		return true;
	return false;
}

bool gz_service_call_of(struct gz_service *sv, pid_t pid, struct gz_call_ctx *c)
{
	const struct gz_call_ctx *p;
	const struct gz_waiting *w;

	gz_service_collect(sv);
	*c = (struct gz_call_ctx){.sv = sv, .fd = -1};
	TAILQ_FOREACH(p, &sv->parked, entry)
	if (gz_app_process(p->tid) == pid) {
		c->id = p->id;
		c->tid = p->tid;
	}
	TAILQ_FOREACH(w, &sv->waiting, entry)
	if (gz_app_process((pid_t)w->n.pid) == pid) {
		c->id = w->n.id;
		c->tid = (pid_t)w->n.pid;
		c->nr = w->n.data.nr;
		c->args[0] = w->n.data.args[0];
	}
	return c->id && gz_service_alive(c);
}

void gz_service_let_pass(struct gz_service *sv, struct gz_call_ctx *c)
{
	struct gz_waiting *w;

	TAILQ_FOREACH(w, &sv->waiting, entry)
	if (w->n.id == c->id)
		break;
	if (!w)
		return;
	gz_service_answer(c, GZ_CONTINUE);
	TAILQ_REMOVE(&sv->waiting, w, entry);
	free(w);
}

static void serve_waiting(struct gz_service *sv)
{
	struct gz_waiting *w;

	while ((w = TAILQ_FIRST(&sv->waiting))) {
		TAILQ_REMOVE(&sv->waiting, w, entry);
		serve(sv, &w->n);
		free(w);
	}
}

/* Begins again, or ends by EINTR if a signal is there that says so. */
static int again(const struct gz_call_info *call)
{
	return call && gz_call_is_short(call) ? -ERESTARTNOINTR : -ERESTARTSYS;
}

static void restart_waiting(struct gz_service *sv, pid_t pid)
{
	struct gz_waiting *w, *next;

	for (w = TAILQ_FIRST(&sv->waiting); w; w = next) {
		struct gz_call_ctx c = {.sv = sv, .id = w->n.id};

		next = TAILQ_NEXT(w, entry);
		if (gz_app_process((pid_t)w->n.pid) != pid)
			continue;
		gz_service_answer(&c, again(gz_call_by_nr(w->n.data.nr)));
		TAILQ_REMOVE(&sv->waiting, w, entry);
		free(w);
	}
}

void gz_service_restart(struct gz_service *sv, pid_t pid)
{
	struct gz_call_ctx *p, *next;

	restart_waiting(sv, pid);
	for (p = TAILQ_FIRST(&sv->parked); p; p = next) {
		next = TAILQ_NEXT(p, entry);
		if (gz_app_process(p->tid) != pid)
			continue;
		if (!p->events && !p->follows && !take_back(p)) {
			unpark(sv, p);
			continue;
		}
		drop_fd(p);
		gz_service_answer(p, p->done ? (int64_t)p->done : again(gz_call_by_nr(p->nr)));
		unpark(sv, p);
	}
}

static void look_at_signals(struct gz_service *sv)
{
	struct gz_call_ctx *p, *next;

	for (p = TAILQ_FIRST(&sv->parked); p; p = next) {
		int err;

		next = TAILQ_NEXT(p, entry);
		if (!gz_service_alive(p)) {
			forget(sv, p);
			continue;
		}
		err = gz_app_interrupted(p->tid);
		if (!err)
			continue;
		if (!p->events && !p->follows && !take_back(p)) {
			unpark(sv, p);
			continue;
		}
		/* A call with a time-out is not restarted (sock_intr_errno()). */
		if (p->deadline)
			err = -EINTR;
		gz_count(GZ_C_INTERRUPTED);
		drop_fd(p);
		gz_service_answer(p, p->done ? (int64_t)p->done : err);
		unpark(sv, p);
	}
}

static void retry_parked(struct gz_service *sv, const struct pollfd *pfd)
{
	struct gz_call_ctx *p, *next;
	uint64_t now = gz_now_ns();
	unsigned i = FIXED;

	for (p = TAILQ_FIRST(&sv->parked); p; p = next) {
		bool dead = p->pidfd >= 0 ? pfd[i++].revents != 0 : false;
		bool ready = p->events ? pfd[i++].revents != 0 : false;

		next = TAILQ_NEXT(p, entry);
		if (dead || connect_done(p) || followed(p) || failed(p)) {
			forget(sv, p);
		} else if (ready) {
			if (run(p, gz_call_by_nr(p->nr)->id))
				unpark(sv, p);
		} else if (p->deadline && now >= p->deadline) {
			drop_fd(p);
			if (p->events || p->follows || take_back(p))
				gz_service_answer(p, p->on_deadline);
			unpark(sv, p);
		}
	}
}

/*
 * Who calls this may have seen a thread end after our poll(): what was held for that one, its
 * listener say, must not answer for it.
 */
static void forget_killed(struct gz_service *sv)
{
	struct gz_call_ctx *p, *next;

	for (p = TAILQ_FIRST(&sv->parked); p; p = next) {
		struct pollfd end = {.fd = p->pidfd, .events = POLLIN};

		next = TAILQ_NEXT(p, entry);
		if (poll(&end, 1, 0) > 0)
			forget(sv, p);
	}
}

static int wait_ms(struct gz_service *sv)
{
	struct gz_call_ctx *p;
	uint64_t now, ms = SIGNAL_LOOK_MS;

	if (!sv->nparked)
		return -1;
	now = gz_now_ns();
	TAILQ_FOREACH(p, &sv->parked, entry)
	{
		uint64_t left;

		if (!p->deadline)
			continue;
		left = p->deadline > now ? (p->deadline - now + 999999) / 1000000 : 0;
		if (left < ms)
			ms = left;
	}
	return (int)ms;
}

/* Are caller and callee to be woken on one core: 4 µs instead of 30-60 */
static void set_together(struct gz_service *sv, bool together)
{
	uint64_t flags = together ? SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP : 0;

	if (ioctl(sv->client->listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, flags) < 0)
		gz_debug("no synchronous wake-up on this kernel: %s", strerror(errno));
	sv->apart = !together;
	if (sv->apart)
		gz_count(GZ_C_APART);
}

/*
 * That core is all that they have, then, and what wakes there goes on waking there.  Where
 * several threads call at once the others are worth more than the time that it takes.
 */
static void note_caller(struct gz_service *sv, pid_t tid)
{
	uint64_t now = gz_now_ns();

	if (tid != sv->last && now - sv->last_at < CROWD_NS)
		sv->crowd += sv->crowd < CROWD_MAX ? 2 : 0;
	else
		sv->crowd -= sv->crowd > 0;
	sv->last = tid;
	sv->last_at = now;
	if (sv->apart ? !sv->crowd : sv->crowd >= CROWD_MAX)
		set_together(sv, sv->apart);
}

/* Serve until the last process under the filter is gone. */
static void loop(struct gz_service *sv)
{
	struct pollfd *pfd = malloc((2 * PARKED_MAX + FIXED) * sizeof(*pfd));
	uint64_t next_look = 0, told;

	if (!pfd)
		return;
	for (;; serve_waiting(sv)) {
		struct seccomp_notif n;
		struct gz_call_ctx *p;
		unsigned npfd = FIXED;
		int r;

		pfd[0] = (struct pollfd){.fd = sv->client->listener, .events = POLLIN};
		pfd[1] = (struct pollfd){.fd = sv->client->wake, .events = POLLIN};
		TAILQ_FOREACH(p, &sv->parked, entry)
		{
			if (p->pidfd >= 0)
				pfd[npfd++] = (struct pollfd){.fd = p->pidfd, .events = POLLIN};
			if (p->events)
				pfd[npfd++] = (struct pollfd){.fd = p->fd, .events = p->events};
		}
		r = poll(pfd, npfd, wait_ms(sv));
		if (r < 0 && errno != EINTR)
			break;
		if (r > 0 && pfd[1].revents && read(pfd[1].fd, &told, sizeof(told)) < 0)
			gz_debug("client %u: %s", sv->client->id, strerror(errno));
		if (sv->nparked) {
			uint64_t now = gz_now_ns();

			if (r >= 0)
				retry_parked(sv, pfd);
			if (now >= next_look) {
				next_look = now + SIGNAL_LOOK_MS * 1000000ull;
				look_at_signals(sv);
			}
		}
		if (r <= 0)
			continue;
		if (pfd[0].revents & POLLIN) {
			memset(&n, 0, sizeof(n));
			if (ioctl(sv->client->listener, SECCOMP_IOCTL_NOTIF_RECV, &n) == 0) {
				gz_served_note(sv->client, &n);
				note_caller(sv, (pid_t)n.pid);
				if (n.data.nr == SYS_connect || n.data.nr == SYS_bind)
					forget_killed(sv);
				serve(sv, &n);
			} else if (errno != EINTR && errno != ENOENT) {
				break;
			}
		} else if (pfd[0].revents & (POLLHUP | POLLERR | POLLNVAL)) {
			break;
		}
	}
	free(pfd);
}

static void *service_thread(void *arg)
{
	struct gz_client *cl = arg;
	struct gz_service sv = {.client = cl, .probe_fd = -1};
	uint64_t one = 1;
	sigset_t all;

	/* A driver's signals must not cut our system calls short. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	TAILQ_INIT(&sv.parked);
	TAILQ_INIT(&sv.waiting);
	gz_app_cache_init(&sv.cache);
	set_together(&sv, true);
	loop(&sv);
	while (!TAILQ_EMPTY(&sv.parked)) {
		struct gz_call_ctx *p = TAILQ_FIRST(&sv.parked);

		if (!p->events && !p->follows)
			atomic_exchange(&p->s->parked, 0);
		unpark(&sv, p);
	}
	while (!TAILQ_EMPTY(&sv.waiting)) {
		struct gz_waiting *w = TAILQ_FIRST(&sv.waiting);

		TAILQ_REMOVE(&sv.waiting, w, entry);
		free(w);
	}
	gz_app_cache_destroy(&sv.cache);
	if (sv.probe_fd >= 0)
		close(sv.probe_fd);
	gz_debug("client %u (%s) is gone", cl->id, cl->program);
	if (cl->plane)
		gz_plane_detach(cl);
	pthread_mutex_lock(&clients.lock);
	LIST_REMOVE(cl, next);
	clients.n--;
	pthread_mutex_unlock(&clients.lock);
	if (write(clients.event, &one, sizeof(one)) < 0)
		gz_warn("cannot tell the main thread: %s", strerror(errno));
	gz_client_unref(cl);
	return NULL;
}

void gz_client_ref(struct gz_client *c)
{
	atomic_fetch_add(&c->refs, 1);
}

void gz_client_unref(struct gz_client *c)
{
	if (atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	close(c->listener);
	if (c->wake >= 0)
		close(c->wake);
	if (c->broker.fd >= 0)
		close(c->broker.fd);
	if (c->broker.old >= 0)
		close(c->broker.old);
	gz_plane_free(c->plane);
	pthread_mutex_destroy(&c->record.lock);
	free(c);
}

struct gz_client *gz_client_start(int listener, int broker, bool ring, pid_t pid, uid_t uid,
				  const char *program, unsigned max)
{
	struct gz_client *c = calloc(1, sizeof(*c));
	pthread_attr_t attr;
	int err;

	if (!c) {
		close(listener);
		if (broker >= 0)
			close(broker);
		errno = ENOMEM;
		return NULL;
	}
	c->listener = listener;
	c->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	c->broker.fd = broker;
	c->broker.old = -1;
	c->broker.level = 1;
	gz_app_pid_at(pid, UINT_MAX, &c->broker.level);
	c->no_plane = broker < 0 ? GZ_OFF_ATTACHED : GZ_OFF_RELAY;
	if (ring && broker >= 0) {
		c->plane = gz_plane_new();
		c->no_plane = c->plane ? GZ_OFF_NONE : GZ_OFF_NO_MEMORY;
	}
	c->pid = pid;
	c->uid = uid;
	atomic_init(&c->refs, 1);
	gz_record_init(&c->record);
	snprintf(c->program, sizeof(c->program), "%s", program);
	for (char *p = c->program; *p; p++)
		if (*p < ' ' || *p > '~' || *p == '"' || *p == '\\')
			*p = '?';
	gz_client_event();
	pthread_mutex_lock(&clients.lock);
	if (clients.n >= max || c->wake < 0) {
		pthread_mutex_unlock(&clients.lock);
		gz_client_unref(c);
		errno = EUSERS;
		return NULL;
	}
	c->id = clients.next_id++;
	LIST_INSERT_HEAD(&clients.all, c, next);
	clients.n++;
	pthread_mutex_unlock(&clients.lock);
	if (c->plane) {
		gz_served_begin(c);
		gz_plane_attach(c);
	}
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	err = pthread_create(&c->thread, &attr, service_thread, c);
	pthread_attr_destroy(&attr);
	if (err) {
		if (c->plane)
			gz_plane_detach(c);
		pthread_mutex_lock(&clients.lock);
		LIST_REMOVE(c, next);
		clients.n--;
		pthread_mutex_unlock(&clients.lock);
		gz_client_unref(c);
		errno = err;
		return NULL;
	}
	return c;
}

unsigned gz_client_count(void)
{
	unsigned n;

	pthread_mutex_lock(&clients.lock);
	n = clients.n;
	pthread_mutex_unlock(&clients.lock);
	return n;
}

int gz_client_event(void)
{
	if (clients.event < 0)
		clients.event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return clients.event;
}

static int by_id(const void *a, const void *b)
{
	const struct gz_client *x = *(struct gz_client *const *)a;
	const struct gz_client *y = *(struct gz_client *const *)b;

	return x->id < y->id ? -1 : x->id > y->id;
}

void gz_client_walk(uint32_t start, bool (*fn)(struct gz_client *, void *), void *arg)
{
	struct gz_client **all, *c;
	unsigned n = 0;

	pthread_mutex_lock(&clients.lock);
	all = malloc((clients.n + 1) * sizeof(*all));
	if (all) {
		LIST_FOREACH(c, &clients.all, next)
		{
			if (c->id < start)
				continue;
			gz_client_ref(c);
			all[n++] = c;
		}
	}
	pthread_mutex_unlock(&clients.lock);
	if (!all)
		return;
	qsort(all, n, sizeof(*all), by_id);
	for (unsigned i = 0; i < n; i++) {
		if (fn && !fn(all[i], arg))
			fn = NULL;
		gz_client_unref(all[i]);
	}
	free(all);
}

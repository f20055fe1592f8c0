/* SPDX-License-Identifier: BSD-3-Clause
 *
 * adopt.c - Move a process's listening sockets from the kernel's stack to the engine's
 *
 * Theory of operation.  The process itself makes the new listener: one of its
 * threads runs socket(), setsockopt(), bind() and listen() for us, which trap as
 * any such call of its own, so that the engine and its rules decide as always.
 * Then dup3() puts it in the place of each descriptor of the old one, and the
 * epoll registrations are made anew.  All threads are stopped meanwhile; what
 * waits in accept(), poll() or epoll_wait() starts again with the new listener.
 *
 * The workers of a prefork server share a listener.  Each process that holds one of
 * @pid's and runs the same program is therefore attached to as well, and all of them are
 * stopped together; the first one makes the new listener, the others are given it
 * (holder.c).  Whoever came meanwhile, a worker that was forked, is seen while all others
 * stand still; then it is tried again.  If another program holds it too, it stays.
 *
 * What waits in the old one's queue is accepted first (kernel_listener.c).
 */
#include "launcher/adopt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "launcher/holder.h"
#include "launcher/kernel_listener.h"
#include "launcher/say.h"

#define LISTENERS_MAX 1024
#define HOLDERS_MAX 512
#define ROUNDS_MAX 8 /* in which processes come faster than they are stopped */

#define CALL(h, nr, ...) CALL_(h, nr, __VA_ARGS__, 0, 0, 0, 0)
#define CALL_(h, nr, x, y, z, w, ...)                                                              \
	gz_holder_call(h, nr, (uint64_t)(x), (uint64_t)(y), (uint64_t)(z), (uint64_t)(w), 0)

struct adopt {
	gz_attach_fn *attach;
	void *arg;
	struct stat exe;     /* the program's file */
	struct gz_holder *h; /* the first one is who was asked for */
	size_t nh;
	struct gz_listener *l;
	size_t n;
};

/* What a listener hands on to the connections that it accepts, and its own */
static const struct {
	int level, name;
	const char *text;
} options[] = {
    {SOL_SOCKET, SO_REUSEADDR, "SO_REUSEADDR"},
    {SOL_SOCKET, SO_REUSEPORT, "SO_REUSEPORT"},
    {IPPROTO_IPV6, IPV6_V6ONLY, "IPV6_V6ONLY"},
    {SOL_SOCKET, SO_KEEPALIVE, "SO_KEEPALIVE"},
    {SOL_SOCKET, SO_LINGER, "SO_LINGER"},
    {SOL_SOCKET, SO_OOBINLINE, "SO_OOBINLINE"},
    {SOL_SOCKET, SO_RCVTIMEO, "SO_RCVTIMEO"},
    {SOL_SOCKET, SO_SNDTIMEO, "SO_SNDTIMEO"},
    {SOL_SOCKET, SO_RCVLOWAT, "SO_RCVLOWAT"},
    {IPPROTO_TCP, TCP_NODELAY, "TCP_NODELAY"},
    {IPPROTO_TCP, TCP_KEEPIDLE, "TCP_KEEPIDLE"},
    {IPPROTO_TCP, TCP_KEEPINTVL, "TCP_KEEPINTVL"},
    {IPPROTO_TCP, TCP_KEEPCNT, "TCP_KEEPCNT"},
    {IPPROTO_TCP, TCP_MAXSEG, "TCP_MAXSEG"},
    {IPPROTO_TCP, TCP_SYNCNT, "TCP_SYNCNT"},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, "TCP_USER_TIMEOUT"},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, "TCP_DEFER_ACCEPT"},
};

/* --- finding them ------------------------------------------------------------- */

static bool note_listener(int fd, ino_t ino, void *arg)
{
	struct adopt *a = arg;
	struct gz_listener *more;
	int copy;

	for (size_t i = 0; i < a->n; i++) {
		if (a->l[i].ino == ino)
			return false; /* a duplicate */
	}
	copy = (int)syscall(SYS_pidfd_getfd, a->h[0].pidfd, fd, 0);
	if (copy < 0)
		return false;
	more = a->n < LISTENERS_MAX ? realloc(a->l, (a->n + 1) * sizeof(*more)) : NULL;
	if (more)
		a->l = more;
	if (!more || !gz_listener_look_at(copy, &a->l[a->n])) {
		close(copy);
		return false;
	}
	a->n++;
	return false;
}

static bool stat_exe(pid_t pid, struct stat *st)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	return stat(path, st) == 0;
}

static bool is_holder(const struct adopt *a, pid_t pid)
{
	for (size_t i = 0; i < a->nh; i++) {
		if (a->h[i].t.pid == pid)
			return true;
	}
	return false;
}

static void add_holder(struct adopt *a, pid_t pid, int pidfd)
{
	struct gz_holder *more = realloc(a->h, (a->nh + 1) * sizeof(*more));

	if (!more) {
		if (pidfd >= 0)
			close(pidfd);
		return;
	}
	a->h = more;
	more[a->nh] = (struct gz_holder){.t.pid = pid, .pidfd = pidfd};
	if (pidfd < 0)
		snprintf(more[a->nh].t.why, sizeof(more->t.why), "it cannot be attached to");
	a->nh++;
}

struct found {
	struct adopt *a;
	pid_t pid;
	bool any; /* it holds one that may be moved */
	bool foreign;
};

static bool note_holder(int fd, ino_t ino, void *arg)
{
	struct found *f = arg;
	char why[128];

	(void)fd;
	for (size_t i = 0; i < f->a->n; i++) {
		if (f->a->l[i].ino != ino || f->a->l[i].why[0])
			continue;
		f->any = true;
		if (!f->foreign)
			continue;
		snprintf(
		    why, sizeof(why),
		    "process %d, another program, holds it too, and would go on to accept from "
		    "the kernel",
		    (int)f->pid);
		gz_listener_stays(&f->a->l[i], why, 0);
	}
	return false;
}

/*
 * Look for processes that hold one of the listeners too; those of the same program are
 * attached to, with others the listener stays.  Return: how many were not known yet
 */
static size_t find_holders(struct adopt *a)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	size_t n = 0;

	while (d && (e = readdir(d)) && a->nh < HOLDERS_MAX) {
		struct found f = {.a = a, .pid = atoi(e->d_name)};
		struct stat exe;

		if (f.pid <= 0 || f.pid == getpid() || is_holder(a, f.pid))
			continue;
		f.foreign = !stat_exe(f.pid, &exe) || exe.st_ino != a->exe.st_ino ||
			    exe.st_dev != a->exe.st_dev;
		gz_each_socket(f.pid, note_holder, &f);
		if (!f.any || f.foreign)
			continue;
		add_holder(a, f.pid, a->attach(a->arg, f.pid));
		n++;
	}
	if (d)
		closedir(d);
	return n;
}

/* --- moving one, while all threads are stopped ------------------------------------- */

/* What is not the default; the engine may know less of them than the kernel */
static void copy_options(struct gz_holder *h, const struct gz_listener *l, int fd, int fresh)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		char old[64], def[64];
		socklen_t len = sizeof(old), dlen = sizeof(def);
		int64_t r;

		if (getsockopt(l->copy, options[i].level, options[i].name, old, &len) ||
		    getsockopt(fresh, options[i].level, options[i].name, def, &dlen) ||
		    (len == dlen && !memcmp(old, def, len)))
			continue;
		r = gz_holder_put(h, old, len);
		if (!r) {
			int64_t rc;

			r = GZ_TRACEE_CALL(&h->t, &rc, SYS_setsockopt, (uint64_t)fd,
					   (uint64_t)options[i].level, (uint64_t)options[i].name,
					   h->scratch, len)
				? -ESRCH
				: rc;
		}
		if (r < 0)
			gz_step("listener %s: %s is not kept: %s", l->name, options[i].text,
				strerror((int)-r));
	}
}

/* Is descriptor @fd of the process the engine's, not a socket of the kernel's again? */
static bool is_shadow(const struct gz_holder *h, int fd)
{
	int copy = (int)syscall(SYS_pidfd_getfd, h->pidfd, fd, 0);
	bool yes = copy >= 0 && gz_listener_option(copy, SOL_SOCKET, SO_DOMAIN) == AF_UNIX;

	if (copy >= 0)
		close(copy);
	return yes;
}

static int64_t set_int(struct gz_holder *h, int fd, int level, int name, int value)
{
	int64_t rc, r = gz_holder_put(h, &value, sizeof(value));

	if (r)
		return r;
	r = GZ_TRACEE_CALL(&h->t, &rc, SYS_setsockopt, (uint64_t)fd, (uint64_t)level,
			   (uint64_t)name, h->scratch, sizeof(value));
	return r ? r : rc;
}

static int64_t bind_to(struct gz_holder *h, int fd, const struct gz_listener *l)
{
	int64_t r = gz_holder_put(h, &l->addr, l->len);

	return r ? r : CALL(h, SYS_bind, (uint64_t)fd, h->scratch, l->len, 0);
}

/* Return: the new listener's descriptor in the process, or -1 and l->why */
static int make_listener(struct gz_holder *h, struct gz_listener *l)
{
	int flags = fcntl(l->copy, F_GETFL) & O_NONBLOCK ? SOCK_NONBLOCK : 0;
	int fresh = socket(l->domain, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int64_t fd, r;

	fd = CALL(h, SYS_socket, (uint64_t)l->domain,
		  (uint64_t)(SOCK_STREAM | SOCK_CLOEXEC | flags));
	if (fd < 0) {
		gz_listener_stays(l, "socket()", (int)-fd);
		goto out;
	}
	if (fresh >= 0)
		copy_options(h, l, (int)fd, fresh);
	/* Both listen for a moment, so that nobody is refused. */
	set_int(h, (int)fd, SOL_SOCKET, SO_REUSEADDR, 1);
	set_int(h, (int)fd, SOL_SOCKET, SO_REUSEPORT, 1);
	gz_listener_share_port(l);
	r = bind_to(h, (int)fd, l);
	if (r == -EADDRINUSE) { /* the engine runs for somebody else */
		gz_listener_yield_port(l);
		r = bind_to(h, (int)fd, l);
	}
	if (!is_shadow(h, (int)fd))
		gz_listener_stays(l, "the engine leaves that address to the kernel", 0);
	else if (r < 0)
		gz_listener_stays(l, "the engine cannot bind it", (int)-r);
	else if ((r = CALL(h, SYS_listen, (uint64_t)fd, (uint64_t)l->backlog)) < 0)
		gz_listener_stays(l, "the engine cannot listen there", (int)-r);
	if (l->why[0]) {
		CALL(h, SYS_close, (uint64_t)fd, 0);
		gz_listener_take_port_back(l);
		fd = -1;
	} else {
		gz_listener_yield_port(l);
		if (!l->reuse)
			set_int(h, (int)fd, SOL_SOCKET, SO_REUSEADDR, 0);
		if (!l->reuseport)
			set_int(h, (int)fd, SOL_SOCKET, SO_REUSEPORT, 0);
	}
out:
	if (fresh >= 0)
		close(fresh);
	return fd < 0 ? -1 : (int)fd;
}

/* Give the new listener, the maker's descriptor @fd, to the others that have the old one.
 * Return: 0, or -errno: none of them has it */
static int share(struct adopt *a, struct gz_holder *maker, int fd, int *given)
{
	int copy = (int)syscall(SYS_pidfd_getfd, maker->pidfd, fd, 0);
	int err = copy < 0 ? -errno : 0;

	for (size_t i = 0; i < a->nh; i++) {
		given[i] = -1;
		if (&a->h[i] == maker)
			given[i] = fd;
		else if (a->h[i].places.n && !err)
			given[i] = gz_holder_give(&a->h[i], copy);
		if (a->h[i].places.n && !err && given[i] < 0)
			err = given[i];
	}
	for (size_t i = 0; i < a->nh && err; i++)
		if (given[i] >= 0 && &a->h[i] != maker)
			CALL(&a->h[i], SYS_close, given[i]);
	if (copy >= 0)
		close(copy);
	return err;
}

/* Where it is in each process.  Return: who is to make the new one, NULL: it stays */
static struct gz_holder *find_places(struct adopt *a, struct gz_listener *l)
{
	struct gz_holder *maker = NULL;

	for (size_t i = 0; i < a->nh; i++) {
		struct gz_holder *h = &a->h[i];
		char why[320];

		gz_holder_find(h, l->ino);
		if (!h->places.n)
			continue;
		if (h->places.full)
			gz_listener_stays(
			    l, "it has too many descriptors, or is in too many epoll instances", 0);
		if (h->t.why[0]) {
			if (i)
				snprintf(why, sizeof(why), "process %d holds it too, and %s",
					 (int)h->t.pid, h->t.why);
			gz_listener_stays(l, i ? why : h->t.why, 0);
		}
		if (!maker)
			maker = h;
	}
	return l->why[0] ? NULL : maker;
}

static void move(struct adopt *a, struct gz_listener *l)
{
	int given[HOLDERS_MAX], fd, err;
	struct gz_holder *maker;

	if (gz_listener_queue_length(l) > 0) {
		gz_listener_stays(l, "connections came into its queue", 0);
		return;
	}
	maker = find_places(a, l);
	if (!maker)
		return; /* or it was closed meanwhile */
	fd = make_listener(maker, l);
	if (fd < 0)
		return;
	err = share(a, maker, fd, given);
	if (err) {
		CALL(maker, SYS_close, fd);
		gz_listener_take_port_back(l);
		gz_listener_stays(l, "it cannot be given to all who hold it", -err);
		return;
	}
	/* The point of no return */
	for (size_t i = 0; i < a->nh; i++)
		if (given[i] >= 0)
			gz_holder_replace(&a->h[i], given[i], l->name);
}

/* --- all of them ---------------------------------------------------------------------- */

static void release_all(struct adopt *a)
{
	for (size_t i = 0; i < a->nh; i++)
		gz_holder_release(&a->h[i]);
}

/* A process that has ended holds nothing any more. */
static bool has_ended(const struct gz_holder *h)
{
	return h->pidfd >= 0 && syscall(SYS_pidfd_send_signal, h->pidfd, 0, NULL, 0) < 0 &&
	       errno == ESRCH;
}

/* Stop all holders, with none that is not known.  What cannot be stopped has its t.why. */
static void stop_all(struct adopt *a)
{
	for (int round = 0; round < ROUNDS_MAX; round++) {
		for (size_t i = 0; i < a->nh; i++)
			if (!a->h[i].t.why[0] && !has_ended(&a->h[i]))
				gz_holder_stop(&a->h[i]);
		if (!find_holders(a))
			return;
		release_all(a);
	}
	for (size_t i = 0; i < a->n; i++)
		gz_listener_stays(&a->l[i], "processes that hold it come faster than they stop", 0);
}

static bool may_move(const struct adopt *a)
{
	for (size_t i = 0; i < a->n; i++)
		if (!a->l[i].why[0])
			return true;
	return false;
}

unsigned gz_adopt(pid_t pid, int pidfd, gz_attach_fn *attach, void *arg)
{
	struct adopt a = {.attach = attach, .arg = arg};
	unsigned left = 0;

	add_holder(&a, pid, pidfd);
	if (a.nh && stat_exe(pid, &a.exe)) /* else it has ended */
		gz_each_socket(pid, note_listener, &a);
	if (a.n)
		find_holders(&a);
	for (size_t i = 0; i < a.n; i++)
		if (!a.l[i].why[0])
			gz_listener_drain(&a.l[i], pid);
	if (may_move(&a)) {
		stop_all(&a);
		for (size_t i = 0; i < a.n; i++)
			if (!a.l[i].why[0])
				move(&a, &a.l[i]);
		release_all(&a);
	}
	for (size_t i = 0; i < a.n; i++) {
		if (a.l[i].why[0]) {
			gz_listener_take_syns(&a.l[i]);
			gz_error("listener %s stays the kernel's: %s", a.l[i].name, a.l[i].why);
			left++;
		}
		close(a.l[i].copy);
	}
	for (size_t i = 1; i < a.nh; i++)
		if (a.h[i].pidfd >= 0)
			close(a.h[i].pidfd);
	free(a.h);
	free(a.l);
	return left;
}

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
 * Connections that wait in the old listener's queue are not to be lost.  A
 * socket filter makes it drop new SYNs, and the process, which runs, accepts
 * what there is; when the queue is empty the listener is moved.  If it does not
 * get empty, the filter is taken off and the listener stays.
 */
#include "launcher/adopt.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "launcher/clock.h"
#include "launcher/proc.h"
#include "launcher/say.h"
#include "launcher/tracee.h"

#define LISTENERS_MAX 1024
#define DESCRIPTORS_MAX 64 /* of one listener */
#define EPOLLS_MAX 64
#define DRAIN_MS 2000	 /* for the process to accept what waits */
#define HALF_OPEN_MS 300 /* for handshakes that have begun */
#define TWIN_MS 1000	 /* for the engine to see a last close */
#define POLL_MS 5
#define STOP_MS 500
#define STOP_TRIES 10
#define PAUSE_MS 50
#define SCRATCH_BYTES 4096
#define TCP_SYN_RECV_HEX "03" /* in /proc/net/tcp */

struct listener {
	int fd;	  /* in the process, the first of them */
	int copy; /* ours; the kernel's socket lives as long */
	ino_t ino;
	int domain;
	int backlog;
	int reuse;     /* SO_REUSEADDR */
	bool filtered; /* SYNs are dropped */
	struct sockaddr_storage addr;
	socklen_t len;
	char name[80]; /* for people */
	char why[320]; /* it stays because; empty: it may be moved */
};

struct adopt {
	struct gz_tracee t;
	int pidfd;
	uint64_t scratch; /* memory in the process */
	struct listener *l;
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

static void stays(struct listener *l, const char *what, int err)
{
	if (!l->why[0])
		snprintf(l->why, sizeof(l->why), "%s%s%s", what, err ? ": " : "",
			 err ? strerror(err) : "");
}

/* --- finding them ------------------------------------------------------------- */

static void name_of(struct listener *l)
{
	const struct sockaddr_in *in = (const void *)&l->addr;
	const struct sockaddr_in6 *in6 = (const void *)&l->addr;
	char text[INET6_ADDRSTRLEN] = "?";

	if (l->domain == AF_INET) {
		inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
		snprintf(l->name, sizeof(l->name), "%s:%u", text, ntohs(in->sin_port));
	} else {
		inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
		snprintf(l->name, sizeof(l->name), "[%s]:%u", text, ntohs(in6->sin6_port));
	}
}

static int option(int fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	return getsockopt(fd, level, name, &v, &len) ? -1 : v;
}

/* Is it a listener of the kernel's TCP? */
static bool look_at(int copy, struct listener *l)
{
	struct stat st;

	*l = (struct listener){.copy = copy, .len = sizeof(l->addr)};
	l->domain = option(copy, SOL_SOCKET, SO_DOMAIN);
	if ((l->domain != AF_INET && l->domain != AF_INET6) ||
	    option(copy, SOL_SOCKET, SO_PROTOCOL) != IPPROTO_TCP ||
	    option(copy, SOL_SOCKET, SO_ACCEPTCONN) != 1 || fstat(copy, &st) ||
	    getsockname(copy, (struct sockaddr *)&l->addr, &l->len))
		return false;
	l->ino = st.st_ino;
	l->reuse = option(copy, SOL_SOCKET, SO_REUSEADDR);
	name_of(l);
	return true;
}

/* Call @fn for each descriptor of a process that is a socket; stop at true */
static bool each_socket(pid_t pid, bool (*fn)(int fd, ino_t ino, void *arg), void *arg)
{
	char path[64], link[64];
	struct dirent *e;
	bool found = false;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	if (!d)
		return false;
	while (!found && (e = readdir(d))) {
		ssize_t n = readlinkat(dirfd(d), e->d_name, link, sizeof(link) - 1);
		unsigned long ino;

		if (n <= 0)
			continue;
		link[n] = '\0';
		if (sscanf(link, "socket:[%lu]", &ino) == 1)
			found = fn(atoi(e->d_name), ino, arg);
	}
	closedir(d);
	return found;
}

static bool note_listener(int fd, ino_t ino, void *arg)
{
	struct adopt *a = arg;
	struct listener *more;
	int copy;

	for (size_t i = 0; i < a->n; i++) {
		if (a->l[i].ino == ino)
			return false; /* a duplicate */
	}
	copy = (int)syscall(SYS_pidfd_getfd, a->pidfd, fd, 0);
	if (copy < 0)
		return false;
	more = a->n < LISTENERS_MAX ? realloc(a->l, (a->n + 1) * sizeof(*more)) : NULL;
	if (more)
		a->l = more;
	if (!more || !look_at(copy, &a->l[a->n])) {
		close(copy);
		return false;
	}
	a->l[a->n++].fd = fd;
	return false;
}

static bool is_inode(int fd, ino_t ino, void *arg)
{
	(void)fd;
	return ino == *(ino_t *)arg;
}

/* Somebody else who holds it, and would go on accepting from the kernel; 0: nobody */
static pid_t other_holder(pid_t pid, ino_t ino)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	pid_t found = 0;

	while (d && !found && (e = readdir(d))) {
		pid_t other = atoi(e->d_name);

		if (other > 0 && other != pid && other != getpid() &&
		    each_socket(other, is_inode, &ino))
			found = other;
	}
	if (d)
		closedir(d);
	return found;
}

/* --- its queue ---------------------------------------------------------------- */

/* Return: connections that wait to be accepted, or -1 */
static int queue_length(struct listener *l)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(l->copy, IPPROTO_TCP, TCP_INFO, &info, &len))
		return -1;
	l->backlog = (int)info.tcpi_sacked; /* tcp_get_info() has them here for listeners */
	return (int)info.tcpi_unacked;
}

/* Handshakes that have begun, of all listeners at that port */
static unsigned half_open(pid_t pid, const struct listener *l)
{
	unsigned want = ntohs(((const struct sockaddr_in *)&l->addr)->sin_port), n = 0;

	for (int v6 = 0; v6 < 2; v6++) {
		char path[64], line[512], state[8];
		unsigned port;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/net/tcp%s", (int)pid, v6 ? "6" : "");
		f = fopen(path, "re");
		while (f && fgets(line, sizeof(line), f))
			n += sscanf(line, " %*d: %*[0-9A-F]:%x %*[0-9A-F:] %7s", &port, state) ==
				 2 &&
			     port == want && !strcmp(state, TCP_SYN_RECV_HEX);
		if (f)
			fclose(f);
	}
	return n;
}

static int refuse_syns(struct listener *l)
{
	/* The segment begins with its TCP header; ret 0 drops it. */
	struct sock_filter insns[] = {
	    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
	    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, TH_SYN, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, 0),
	    BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	struct sock_fprog prog = {.len = sizeof(insns) / sizeof(insns[0]), .filter = insns};
	socklen_t len = 0;

	if (getsockopt(l->copy, SOL_SOCKET, SO_GET_FILTER, NULL, &len) || len)
		return -EEXIST;
	if (setsockopt(l->copy, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)))
		return -errno;
	l->filtered = true;
	return 0;
}

static void take_syns(struct listener *l)
{
	int unused = 0; /* sk_setsockopt() wants an int for every option */

	if (l->filtered &&
	    setsockopt(l->copy, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused)))
		gz_error("listener %s: its filter stays: %s", l->name, strerror(errno));
	l->filtered = false;
}

/* Let the process accept what waits */
static void drain(const struct adopt *a, struct listener *l)
{
	int64_t start = gz_now_ms();
	int rc = refuse_syns(l), n;

	if (rc) {
		stays(l, "its socket filter is in the way", -rc);
		return;
	}
	while (half_open(a->t.pid, l) && gz_now_ms() < start + HALF_OPEN_MS)
		gz_pause_ms(POLL_MS);
	while ((n = queue_length(l)) > 0 && gz_now_ms() < start + DRAIN_MS)
		gz_pause_ms(POLL_MS);
	if (!n)
		return;
	snprintf(l->why, sizeof(l->why),
		 "the process does not accept what waits in its queue: %d connections", n);
	take_syns(l);
}

/* --- moving one, while all threads are stopped ------------------------------------- */

/* A call whose arguments need no memory.  Return: its result */
static int64_t call(struct adopt *a, long nr, uint64_t x, uint64_t y, uint64_t z, uint64_t w)
{
	int64_t r;

	return GZ_TRACEE_CALL(&a->t, &r, nr, x, y, z, w) ? -ESRCH : r;
}

static int put(struct adopt *a, const void *data, size_t n)
{
	return gz_tracee_write(&a->t, a->scratch, data, n);
}

/* What is not the default; the engine may know less of them than the kernel */
static void copy_options(struct adopt *a, const struct listener *l, int fd, int fresh)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		char old[64], def[64];
		socklen_t len = sizeof(old), dlen = sizeof(def);
		int64_t r;

		if (getsockopt(l->copy, options[i].level, options[i].name, old, &len) ||
		    getsockopt(fresh, options[i].level, options[i].name, def, &dlen) ||
		    (len == dlen && !memcmp(old, def, len)))
			continue;
		r = put(a, old, len);
		if (!r) {
			int64_t rc;

			r = GZ_TRACEE_CALL(&a->t, &rc, SYS_setsockopt, (uint64_t)fd,
					   (uint64_t)options[i].level, (uint64_t)options[i].name,
					   a->scratch, len)
				? -ESRCH
				: rc;
		}
		if (r < 0)
			gz_step("listener %s: %s is not kept: %s", l->name, options[i].text,
				strerror((int)-r));
	}
}

/* Is descriptor @fd of the process the engine's, not a socket of the kernel's again? */
static bool is_shadow(const struct adopt *a, int fd)
{
	int copy = (int)syscall(SYS_pidfd_getfd, a->pidfd, fd, 0);
	bool yes = copy >= 0 && option(copy, SOL_SOCKET, SO_DOMAIN) == AF_UNIX;

	if (copy >= 0)
		close(copy);
	return yes;
}

static void set_reuse(int fd, int on)
{
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)); /* cannot fail */
}

/*
 * The engine's listener may have a twin in the kernel (engine/twin.c), at the
 * same port.  Two sockets that want to be reused may share one, if none of
 * them listens; shutdown() of a listener keeps its port, and it may listen again.
 */
static void yield_port(const struct listener *l)
{
	set_reuse(l->copy, 1);
	shutdown(l->copy, SHUT_RDWR);
}

static void take_port_back(struct listener *l)
{
	int64_t until = gz_now_ms() + TWIN_MS;
	int rc;

	while ((rc = listen(l->copy, l->backlog)) && errno == EADDRINUSE && gz_now_ms() < until)
		gz_pause_ms(POLL_MS);
	if (rc)
		gz_error("listener %s does not listen any more: %s", l->name, strerror(errno));
	set_reuse(l->copy, l->reuse);
}

static int64_t set_int(struct adopt *a, int fd, int level, int name, int value)
{
	int64_t rc, r = put(a, &value, sizeof(value));

	if (r)
		return r;
	r = GZ_TRACEE_CALL(&a->t, &rc, SYS_setsockopt, (uint64_t)fd, (uint64_t)level,
			   (uint64_t)name, a->scratch, sizeof(value));
	return r ? r : rc;
}

/* Return: the new listener's descriptor in the process, or -1 and l->why */
static int make_listener(struct adopt *a, struct listener *l)
{
	int flags = fcntl(l->copy, F_GETFL) & O_NONBLOCK ? SOCK_NONBLOCK : 0;
	int fresh = socket(l->domain, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int64_t fd, r;

	fd = call(a, SYS_socket, (uint64_t)l->domain,
		  (uint64_t)(SOCK_STREAM | SOCK_CLOEXEC | flags), 0, 0);
	if (fd < 0) {
		stays(l, "socket()", (int)-fd);
		goto out;
	}
	if (fresh >= 0)
		copy_options(a, l, (int)fd, fresh);
	set_int(a, (int)fd, SOL_SOCKET, SO_REUSEADDR, 1);
	yield_port(l);
	r = put(a, &l->addr, l->len);
	if (!r)
		r = call(a, SYS_bind, (uint64_t)fd, a->scratch, l->len, 0);
	if (!is_shadow(a, (int)fd))
		stays(l, "the engine leaves that address to the kernel", 0);
	else if (r < 0)
		stays(l, "the engine cannot bind it", (int)-r);
	else if ((r = call(a, SYS_listen, (uint64_t)fd, (uint64_t)l->backlog, 0, 0)) < 0)
		stays(l, "the engine cannot listen there", (int)-r);
	if (l->why[0]) {
		call(a, SYS_close, (uint64_t)fd, 0, 0, 0);
		take_port_back(l);
		fd = -1;
	} else if (!l->reuse) {
		set_int(a, (int)fd, SOL_SOCKET, SO_REUSEADDR, 0);
	}
out:
	if (fresh >= 0)
		close(fresh);
	return fd < 0 ? -1 : (int)fd;
}

struct registration {
	int epoll, fd;
	struct epoll_event event;
};

struct places {
	struct adopt *a;
	ino_t ino;
	int fd[DESCRIPTORS_MAX];
	size_t n;
	struct registration reg[EPOLLS_MAX];
	size_t nreg;
	bool full;
};

static bool note_place(int fd, ino_t ino, void *arg)
{
	struct places *p = arg;

	if (ino != p->ino)
		return false;
	if (p->n == DESCRIPTORS_MAX)
		p->full = true;
	else
		p->fd[p->n++] = fd;
	return p->full;
}

/* Registrations of the listener in one epoll instance; proc_pid_fdinfo(5) */
static void note_registrations(struct places *p, int epoll)
{
	char path[64], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)p->a->t.pid, epoll);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		unsigned long long data;
		unsigned long ino;
		unsigned events;
		int tfd;

		if (sscanf(line, "tfd: %d events: %x data: %llx pos:%*d ino:%lx", &tfd, &events,
			   &data, &ino) != 4 ||
		    ino != p->ino)
			continue;
		if (p->nreg == EPOLLS_MAX) {
			p->full = true;
			break;
		}
		p->reg[p->nreg++] = (struct registration){epoll, tfd, {events, {.u64 = data}}};
	}
	if (f)
		fclose(f);
}

static void find_registrations(struct places *p)
{
	char path[64], link[64];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)p->a->t.pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		ssize_t n = readlinkat(dirfd(d), e->d_name, link, sizeof(link) - 1);

		if (n <= 0)
			continue;
		link[n] = '\0';
		if (!strcmp(link, "anon_inode:[eventpoll]"))
			note_registrations(p, atoi(e->d_name));
	}
	if (d)
		closedir(d);
}

static bool is_cloexec(pid_t pid, int fd)
{
	char path[64], line[128];
	bool set = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)pid, fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "flags:", 6))
			set = strtoul(line + 6, NULL, 8) & O_CLOEXEC;
	if (f)
		fclose(f);
	return set;
}

static int64_t epoll_change(struct adopt *a, const struct registration *r, int op)
{
	int64_t rc = put(a, &r->event, sizeof(r->event));

	return rc ? rc
		  : call(a, SYS_epoll_ctl, (uint64_t)r->epoll, (uint64_t)op, (uint64_t)r->fd,
			 a->scratch);
}

/* The point of no return: nothing from here on fails but by the end of the process */
static void replace(struct adopt *a, const struct listener *l, const struct places *p, int fd)
{
	int64_t r;

	for (size_t i = 0; i < p->nreg; i++)
		epoll_change(a, &p->reg[i], EPOLL_CTL_DEL);
	for (size_t i = 0; i < p->n; i++) {
		r = call(a, SYS_dup3, (uint64_t)fd, (uint64_t)p->fd[i],
			 is_cloexec(a->t.pid, p->fd[i]) ? O_CLOEXEC : 0, 0);
		if (r < 0)
			gz_error("listener %s: descriptor %d: dup3(): %s", l->name, p->fd[i],
				 strerror((int)-r));
	}
	for (size_t i = 0; i < p->nreg; i++) {
		r = epoll_change(a, &p->reg[i], EPOLL_CTL_ADD);
		if (r < 0)
			gz_error("listener %s: descriptor %d in epoll %d: %s", l->name,
				 p->reg[i].fd, p->reg[i].epoll, strerror((int)-r));
	}
}

static void move(struct adopt *a, struct listener *l)
{
	static struct places p; /* large */
	int fd;

	if (queue_length(l) > 0) {
		stays(l, "connections came into its queue", 0);
		return;
	}
	p = (struct places){.a = a, .ino = l->ino};
	each_socket(a->t.pid, note_place, &p);
	find_registrations(&p);
	if (p.full) {
		stays(l, "it has too many descriptors, or is in too many epoll instances", 0);
		return;
	}
	if (!p.n)
		return; /* closed meanwhile */
	fd = make_listener(a, l);
	if (fd < 0)
		return;
	replace(a, l, &p, fd);
	call(a, SYS_close, (uint64_t)fd, 0, 0, 0);
	gz_step("listener %s: moved, %zu descriptors, %zu in epoll instances", l->name, p.n,
		p.nreg);
}

/* --- all of them ---------------------------------------------------------------------- */

static int stop(struct adopt *a)
{
	int rc = -EAGAIN;

	for (int i = 0; i < STOP_TRIES && rc == -EAGAIN; i++) {
		if (i) {
			gz_tracee_release(&a->t);
			gz_pause_ms(PAUSE_MS);
		}
		rc = gz_tracee_stop(&a->t, STOP_MS);
		if (!rc)
			rc = gz_tracee_borrow(&a->t);
	}
	return rc;
}

/* Its own filters were made for its own calls, and may end it for these. */
static bool has_own_filters(pid_t pid)
{
	char count[32];

	return gz_status(pid, "Seccomp_filters:", count, sizeof(count)) && atoi(count) > 1;
}

static void move_all(struct adopt *a)
{
	int rc = has_own_filters(a->t.pid) ? -EPERM : stop(a);
	const char *why = a->t.why;

	if (rc == -EPERM && !why[0])
		why = "the process has seccomp filters of its own, which may end it for the calls "
		      "that this takes";
	if (!rc) {
		a->scratch = (uint64_t)call(a, SYS_mmap, 0, SCRATCH_BYTES, PROT_READ | PROT_WRITE,
					    MAP_PRIVATE | MAP_ANONYMOUS);
		if ((int64_t)a->scratch < 0 && (int64_t)a->scratch > -4096) {
			rc = (int)a->scratch;
			why = "no memory in the process";
		}
	}
	if (!rc)
		gz_tracee_trap(&a->t, true);
	for (size_t i = 0; i < a->n; i++) {
		if (rc)
			stays(&a->l[i], why, 0);
		else if (!a->l[i].why[0])
			move(a, &a->l[i]);
	}
	if (!rc)
		call(a, SYS_munmap, a->scratch, SCRATCH_BYTES, 0, 0);
	gz_tracee_release(&a->t);
	while (gz_tracee_reap(&a->t) > a->t.vforks)
		gz_pause_ms(1);
}

unsigned gz_adopt(pid_t pid, int pidfd)
{
	struct adopt a = {.t.pid = pid, .pidfd = pidfd};
	unsigned left = 0;

	each_socket(pid, note_listener, &a);
	for (size_t i = 0; i < a.n; i++) {
		pid_t other = other_holder(pid, a.l[i].ino);

		if (other)
			snprintf(a.l[i].why, sizeof(a.l[i].why),
				 "process %d holds it too, and would go on to accept from the "
				 "kernel",
				 (int)other);
		else
			drain(&a, &a.l[i]);
	}
	if (a.n)
		move_all(&a);
	for (size_t i = 0; i < a.n; i++) {
		if (a.l[i].why[0]) {
			take_syns(&a.l[i]);
			gz_error("listener %s stays the kernel's: %s", a.l[i].name, a.l[i].why);
			left++;
		}
		close(a.l[i].copy);
	}
	free(a.l);
	return left;
}

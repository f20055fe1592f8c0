/* SPDX-License-Identifier: BSD-3-Clause
 *
 * calls.c - The handlers: what each intercepted call does
 *
 * Each runs in its client's service thread, may be run again when it was parked
 * (GZ_WAIT), and reads the application's memory before it takes a lock.  The
 * errors are Linux's, in the order in which net/socket.c and net/ipv4/af_inet.c
 * find them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "engine/counters.h"
#include "engine/log.h"
#include "engine/ports.h"
#include "engine/reaper.h"
#include "engine/service.h"
#include "engine/worker.h"
#include "launcher/calls.h"

#define BACKLOG_MAX 4096	/* net.core.somaxconn's default */

#ifndef SO_PEEK_OFF
#define SO_PEEK_OFF 42
#endif

/* --- shadows ------------------------------------------------------------- */

static _Atomic uint64_t next_name = 1;

static void set_sndbuf(int fd)
{
	int n = GZ_SHADOW_SNDBUF;

	/* Beyond net.core.wmem_max where that is allowed. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &n, sizeof(n)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &n, sizeof(n));
}

/* An unconnected shadow with a name of its own.  Return: descriptor or -errno */
static int new_shadow(int flags, uint64_t *name, ino_t *ino)
{
	struct sockaddr_un a;
	struct stat st;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), err;

	if (fd < 0)
		return -errno;
	set_sndbuf(fd);
	*name = atomic_fetch_add(&next_name, 1);
	if (bind(fd, (struct sockaddr *)&a, gz_shadow_name(&a, *name)) < 0 ||
	    fstat(fd, &st) < 0) {
		err = errno;
		close(fd);
		return -err;
	}
	*ino = st.st_ino;
	return fd;
}

static int file_flags(int fd)
{
	int f = fcntl(fd, F_GETFL);

	return f < 0 ? 0 : f;
}

/*
 * Put a kernel socket in the place of our shadow and let the kernel run the
 * call: the policy says that this one is not the stack's.
 */
static int64_t swap_to_kernel(struct gz_call_ctx *c)
{
	struct gz_sock *s = c->s;
	char path[64];
	int ns, fd, err;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", c->tid);
	ns = open(path, O_RDONLY | O_CLOEXEC);
	if (ns < 0)
		return -errno;
	/* This thread lives in the shadows' namespace; the socket must not. */
	err = setns(ns, CLONE_NEWNET) < 0 ? -errno : 0;
	close(ns);
	if (err)
		return err;
	fd = socket(s->family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	err = fd < 0 ? -errno : 0;
	if (setns(gz_worker.netns, CLONE_NEWNET) < 0)
		gz_err("cannot return to the shadows' network namespace: %s", strerror(errno));
	if (err)
		return err;
	pthread_mutex_lock(&s->lock);
	gz_options_replay(&s->opt, s->family, fd);
	pthread_mutex_unlock(&s->lock);
	fcntl(fd, F_SETFL, file_flags(c->fd) & O_NONBLOCK);
	err = gz_service_replace_fd(c, fd, (int)c->args[0],
				    gz_app_cloexec(c->tid, (int)c->args[0]));
	close(fd);
	if (err)
		return err;
	gz_count(GZ_C_KERNEL_SWAPS);
	return GZ_CONTINUE;
}

/* --- addresses ----------------------------------------------------------- */

enum whose { OURS, KERNELS };

/*
 * Read and check a socket address.  Return: 0 with @end, or -errno; *whose
 * KERNELS: a native IPv6 address, which the stack does not serve (yet).
 */
static int read_addr(struct gz_call_ctx *c, struct gz_end *end, sa_family_t *family,
		     enum whose *whose)
{
	uint64_t addr = c->args[1];
	int len = (int)c->args[2];
	union {
		sa_family_t family;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		char raw[128];
	} a;
	int err;

	*whose = OURS;
	if (len < 0 || len > (int)sizeof(a.raw))
		return -EINVAL;
	memset(&a, 0, sizeof(a));
	err = gz_app_read(c->tid, addr, &a, (size_t)len);
	if (err)
		return err;
	*family = len >= (int)sizeof(a.family) ? a.family : AF_UNSPEC;
	if (c->s->family == AF_INET) {
		if (len < (int)sizeof(a.in))
			return len >= (int)sizeof(a.family) && a.family == AF_UNSPEC ? 0 : -EINVAL;
		end->addr = a.in.sin_addr.s_addr;
		end->port = a.in.sin_port;
		return 0;
	}
	if (len < 24)		/* SIN6_LEN_RFC2133 */
		return len >= (int)sizeof(a.family) && a.family == AF_UNSPEC ? 0 : -EINVAL;
	end->port = a.in6.sin6_port;
	end->addr = 0;
	if (a.family != AF_INET6)
		return 0;
	if (c->s->opt.v6only)
		*whose = KERNELS;	/* native IPv6 only, errors and all */
	else if (IN6_IS_ADDR_V4MAPPED(&a.in6.sin6_addr))
		memcpy(&end->addr, &a.in6.sin6_addr.s6_addr[12], 4);
	else if (!IN6_IS_ADDR_UNSPECIFIED(&a.in6.sin6_addr))
		*whose = KERNELS;
	return 0;
}

static int64_t write_addr(struct gz_call_ctx *c, struct gz_end end, uint64_t addr,
			  uint64_t lenp)
{
	union {
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} a;
	int room, full, err;

	memset(&a, 0, sizeof(a));
	if (c->s->family == AF_INET) {
		a.in.sin_family = AF_INET;
		a.in.sin_addr.s_addr = end.addr;
		a.in.sin_port = end.port;
		full = sizeof(a.in);
	} else {
		a.in6.sin6_family = AF_INET6;
		a.in6.sin6_port = end.port;
		if (end.addr) {
			a.in6.sin6_addr.s6_addr[10] = a.in6.sin6_addr.s6_addr[11] = 0xff;
			memcpy(&a.in6.sin6_addr.s6_addr[12], &end.addr, 4);
		}
		full = sizeof(a.in6);
	}
	err = gz_app_read(c->tid, lenp, &room, sizeof(room));
	if (err)
		return err;
	if (room < 0)
		return -EINVAL;
	if (!gz_service_alive(c))
		return -EINTR;
	err = gz_app_write(c->tid, addr, &a, (size_t)(room < full ? room : full));
	if (!err)
		err = gz_app_write(c->tid, lenp, &full, sizeof(full));
	return err;
}

static bool is_loopback(uint32_t addr)
{
	return ntohl(addr) >> 24 == 127;
}

/* A multicast or broadcast address? */
static bool to_many(uint32_t addr)
{
	const struct gz_engine_config *cfg = gz_worker.cfg;

	if (ntohl(addr) >> 28 == 14 || addr == INADDR_BROADCAST)
		return true;
	for (unsigned i = 0; i < cfg->naddrs; i++) {
		uint32_t host = cfg->addrs[i].len ? 0xffffffffu >> cfg->addrs[i].len : 0xffffffffu;

		if (cfg->addrs[i].len < 31 && (ntohl(addr) | host) == ntohl(addr) &&
		    (ntohl(addr) & ~host) == (ntohl(cfg->addrs[i].addr) & ~host))
			return true;
	}
	return false;
}

/* Does the stack have a way to @addr? */
static bool routed(uint32_t addr)
{
	const struct gz_engine_config *cfg = gz_worker.cfg;

	if (cfg->gateway)
		return true;
	for (unsigned i = 0; i < cfg->naddrs; i++) {
		uint32_t mask = cfg->addrs[i].len ?
				htonl(0xffffffffu << (32 - cfg->addrs[i].len)) : 0;

		if (((cfg->addrs[i].addr ^ addr) & mask) == 0)
			return true;
	}
	return false;
}

/*
 * Does the kernel have a listener for @end in the thread's network namespace?
 * (/proc/net/tcp: state 0A; the address is printed as a host-order word.)
 */
static bool kernel_listens(pid_t tid, struct gz_end end)
{
	static const char *const files[] = { "tcp", "tcp6" };
	char path[64], line[256];
	bool found = false;

	for (unsigned i = 0; i < 2 && !found; i++) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/net/%s", tid, files[i]);
		f = fopen(path, "re");
		if (!f)
			continue;
		while (!found && fgets(line, sizeof(line), f)) {
			char addr[33];
			unsigned port, st;
			uint32_t last;

			if (sscanf(line, "%*d: %32[0-9A-F]:%x %*[0-9A-F]:%*x %x", addr, &port,
				   &st) != 3 || st != 0x0a || port != ntohs(end.port))
				continue;
			last = (uint32_t)strtoul(addr + strlen(addr) - 8, NULL, 16);
			found = !last || last == end.addr;
		}
		fclose(f);
	}
	return found;
}

/* --- socket, bind, listen ------------------------------------------------ */

static int64_t do_socket(struct gz_call_ctx *c)
{
	int domain = (int)c->args[0], type = (int)c->args[1], proto = (int)c->args[2];
	struct gz_sock *s;
	uint64_t name;
	ino_t ino;
	int fd, err;

	if ((type & 0xf) != SOCK_STREAM || (type & ~0xf & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) ||
	    (proto != 0 && proto != IPPROTO_TCP)) {
		gz_count(GZ_C_KERNEL_SOCKETS);
		return GZ_CONTINUE;
	}
	s = gz_sock_new(c->sv->client, domain);
	if (!s)
		return -ENOBUFS;
	fd = new_shadow(type & SOCK_NONBLOCK, &name, &ino);
	if (fd < 0) {
		gz_sock_unref(s);
		return fd == -EMFILE ? -ENFILE : fd;
	}
	s->named = true;
	s->name = name;
	gz_table_add(s, ino);
	err = gz_service_add_fd(c, fd, type & SOCK_CLOEXEC);
	close(fd);
	if (err < 0)
		gz_reaper_close(s);
	else
		atomic_store(&s->watched, true);
	gz_sock_unref(s);
	return err;
}

/* Claim @end; a socket in the way that is gone makes room. */
static int claim(struct gz_call_ctx *c, struct gz_end end, bool to_listen)
{
	for (;;) {
		struct gz_sock *blocker = NULL;
		bool gone;
		int err;

		err = to_listen ? gz_claim_listen(c->s, &blocker) :
				  gz_claim(c->s, end, &blocker);
		if (!blocker)
			return err;
		gone = gz_reaper_check(blocker, &c->sv->probe_fd);
		gz_sock_unref(blocker);
		if (!gone)
			return err;
	}
}

static int64_t do_bind(struct gz_call_ctx *c)
{
	struct gz_sock *s = c->s;
	struct gz_end end = { 0 };
	sa_family_t family;
	enum whose whose;
	int err;

	err = read_addr(c, &end, &family, &whose);
	if (err)
		return err;
	if (family != s->family &&
	    !(s->family == AF_INET && family == AF_UNSPEC && end.addr == 0))
		return -EAFNOSUPPORT;
	if (gz_sock_state(s) != GZ_FRESH)
		return -EINVAL;
	if (whose == KERNELS)
		return swap_to_kernel(c);
	if (end.addr && !gz_netif_is_local(end.addr)) {
		gz_count(GZ_C_REFUSED_ADDRESS);
		return -EADDRNOTAVAIL;
	}
	if (end.port && ntohs(end.port) < 1024 && !gz_app_may_bind_low(c->tid))
		return -EACCES;
	pthread_mutex_lock(&s->lock);
	err = gz_sock_state(s) != GZ_FRESH ? -EINVAL : claim(c, end, false);
	if (!err) {
		s->local = s->claim.end;
		gz_sock_set_state(s, GZ_BOUND);
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}

static int64_t do_listen(struct gz_call_ctx *c)
{
	struct timeval tick = { .tv_usec = 1000 };
	struct gz_sock *s = c->s;
	unsigned backlog = (unsigned)(int)c->args[1];
	int err = 0;

	if (backlog > BACKLOG_MAX)
		backlog = BACKLOG_MAX;
	pthread_mutex_lock(&s->lock);
	switch (gz_sock_state(s)) {
	case GZ_LISTENING:
		s->backlog = (int)backlog;
		break;
	case GZ_FRESH:
		err = claim(c, (struct gz_end){ 0 }, false);
		if (err)
			break;
		s->local = s->claim.end;
		gz_sock_set_state(s, GZ_BOUND);
		/* fall through */
	case GZ_BOUND:
		err = claim(c, s->claim.end, true);
		if (err)
			break;
		/*
		 * Only this service accepts on it; the time-out is for the case that
		 * a stranger who was handed the descriptor wins the race.
		 */
		if (setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof(tick)) < 0 ||
		    listen(c->fd, BACKLOG_MAX) < 0) {
			err = -errno;
			break;
		}
		s->backlog = (int)backlog;
		gz_sock_set_state(s, GZ_LISTENING);
		err = gz_worker_post(&gz_worker,
				     &(struct gz_msg){ .op = GZ_OP_LISTEN, .sock = s, .fd = -1 });
		break;
	default:
		err = -EINVAL;
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}

/* --- accept -------------------------------------------------------------- */

static uint64_t deadline_of(const struct timeval *tv)
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
	TAILQ_FOREACH(s, &l->pending, pending_entry) {
		if (s->id == id) {
			TAILQ_REMOVE(&l->pending, s, pending_entry);
			s->listener = NULL;	/* its two references are ours now */
			break;
		}
	}
	pthread_mutex_unlock(&l->lock);
	return s;
}

/* An embryo from the shadow's queue.  Return: descriptor, -EAGAIN, -errno */
static int accept_shadow(int lfd, uint64_t *id)
{
	struct pollfd p = { .fd = lfd, .events = POLLIN };

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
			struct pollfd in = { .fd = fd, .events = POLLIN };

			if (poll(&in, 1, 1000) > 0 &&
			    recv(fd, id, sizeof(*id), MSG_DONTWAIT) == sizeof(*id))
				return fd;
		}
		gz_count(GZ_C_FOREIGN);
		close(fd);
	}
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
			if (file_flags(c->fd) & O_NONBLOCK)
				return -EAGAIN;
			if (!c->events) {
				c->events = POLLIN;
				pthread_mutex_lock(&l->lock);
				c->deadline = deadline_of(&l->opt.rcvtimeo);
				pthread_mutex_unlock(&l->lock);
				c->on_deadline = -EAGAIN;
			}
			return GZ_WAIT;
		}
		if (fd < 0)
			return fd;
		s = take_pending(l, id);
		if (!s)
			close(fd);	/* dropped meanwhile */
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
			gz_worker_post(&gz_worker, &(struct gz_msg){ .op = GZ_OP_SHUT,
								     .sock = s, .fd = -1 });
		set_sndbuf(fd);
		fstat(fd, &st);
		gz_table_add(s, st.st_ino);
	}
	if (atomic_load(&s->closed))
		gz_table_remove(s);
	fcntl(fd, F_SETFL, flags & SOCK_NONBLOCK ? O_NONBLOCK : 0);
	peer = s->peer;
	err = c->args[1] ? write_addr(c, peer, c->args[1], c->args[2]) : 0;
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
			gz_worker_post(&gz_worker, &(struct gz_msg){ .op = GZ_OP_REOFFER,
								     .sock = l, .id = s_id, .fd = -1 });
			return err == -ENOENT ? -EINTR : err;
		}
	}
	close(fd);
	atomic_fetch_sub(&l->queued, 1);
	gz_sock_unref(l);
	gz_sock_unref(s);
	return err;
}

static int64_t do_accept(struct gz_call_ctx *c)
{
	return accept_flags(c, 0);
}

static int64_t do_accept4(struct gz_call_ctx *c)
{
	return accept_flags(c, (int)c->args[3]);
}

/* --- connect ------------------------------------------------------------- */

/* Fill the shadow's send buffer from the application's end: it is not writable.
 * Return: bytes sent */
static uint32_t fill(int fd)
{
	static const uint8_t zeros[65536];
	uint32_t sum = 0;
	ssize_t n;

	while ((n = send(fd, zeros, sizeof(zeros), MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
		sum += (uint32_t)n;
	return sum;
}

/* The service threads' meeting point: an AF_UNIX listener. */
static struct {
	pthread_mutex_t lock;
	int fd;
	struct sockaddr_un addr;
	socklen_t len;
} hub = { .lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1 };

/* Connect the shadow @fd to a new engine's end.  Return: the end or -errno */
static int join(int fd)
{
	struct ucred cred;
	socklen_t len;
	int end = -1, err = 0;

	pthread_mutex_lock(&hub.lock);
	if (hub.fd < 0) {
		hub.len = gz_shadow_name(&hub.addr, 0);
		hub.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (hub.fd < 0 || bind(hub.fd, (struct sockaddr *)&hub.addr, hub.len) < 0 ||
		    listen(hub.fd, 128) < 0) {
			err = -errno;
			if (hub.fd >= 0)
				close(hub.fd);
			hub.fd = -1;
			goto out;
		}
	}
	/* Nobody else's connection may be taken for ours. */
	while ((end = accept4(hub.fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		gz_count(GZ_C_FOREIGN);
		close(end);
	}
	if (connect(fd, (struct sockaddr *)&hub.addr, hub.len) < 0) {
		err = -errno;
		goto out;
	}
	for (;;) {
		end = accept4(hub.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (end < 0) {
			err = -errno;
			break;
		}
		len = sizeof(cred);
		if (getsockopt(end, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 &&
		    cred.pid == getpid())
			break;
		gz_count(GZ_C_FOREIGN);
		close(end);
	}
out:
	pthread_mutex_unlock(&hub.lock);
	return err ? err : end;
}

/*
 * After a failure, or to disconnect, the same descriptor gets a new socket with a
 * new shadow; the old one ends when its shadow is closed by the replacement.
 */
static int renew(struct gz_call_ctx *c)
{
	struct gz_sock *old = c->s, *s = gz_sock_new(c->sv->client, old->family);
	uint64_t name;
	ino_t ino;
	int fd, err;

	if (!s)
		return -ENOBUFS;
	fd = new_shadow(file_flags(c->fd) & O_NONBLOCK ? SOCK_NONBLOCK : 0, &name, &ino);
	if (fd < 0) {
		gz_sock_unref(s);
		return fd;
	}
	s->named = true;
	s->name = name;
	s->opt = old->opt;
	gz_table_add(s, ino);
	err = gz_service_replace_fd(c, fd, (int)c->args[0],
				    gz_app_cloexec(c->tid, (int)c->args[0]));
	if (err) {
		close(fd);
		gz_reaper_close(s);
		gz_sock_unref(s);
		return err;
	}
	close(c->fd);
	c->fd = fd;
	c->s = s;
	atomic_store(&s->watched, true);
	gz_sock_unref(old);
	return 0;
}

/* shutdown() of a listener: it listens no more, who waits gets EINVAL. */
static void stop_listening(struct gz_call_ctx *c)
{
	struct gz_call_ctx *p;
	struct gz_sock *s = c->s;

	pthread_mutex_lock(&s->lock);
	gz_sock_set_state(s, GZ_BOUND);
	gz_claim_unlisten(s);
	pthread_mutex_unlock(&s->lock);
	TAILQ_FOREACH(p, &c->sv->parked, entry) {
		if (p->s == s) {
			p->events = POLLIN | POLLOUT;	/* looked at again at once */
			p->deadline = 1;
			p->on_deadline = -EINVAL;
		}
	}
	gz_worker_post(&gz_worker, &(struct gz_msg){ .op = GZ_OP_UNLISTEN, .sock = s, .fd = -1 });
}

/* connect() to AF_UNSPEC: the connection is reset, the socket is as new. */
static int64_t disconnect(struct gz_call_ctx *c)
{
	struct gz_sock *s = c->s;

	switch (gz_sock_state(s)) {
	case GZ_FRESH:
	case GZ_BOUND:
		return 0;
	case GZ_LISTENING:
		stop_listening(c);
		return 0;
	default:
		break;
	}
	pthread_mutex_lock(&s->lock);
	s->opt.linger = (struct linger){ .l_onoff = 1, .l_linger = 0 };
	pthread_mutex_unlock(&s->lock);
	gz_worker_post(&gz_worker, &(struct gz_msg){ .op = GZ_OP_OPTIONS, .sock = s, .fd = -1 });
	return renew(c);
}

/* Start a connection; @s locked.  Return: 0 (under way) or -errno */
static int start_connect(struct gz_call_ctx *c, struct gz_end peer, bool nonblock)
{
	struct gz_sock *s = c->s;
	struct gz_end local = s->local;
	struct gz_flow *f;
	struct gz_msg m = { .op = GZ_OP_CONNECT, .sock = s };
	int err;

	if (gz_sock_state(s) == GZ_FRESH)
		local = (struct gz_end){ 0 };
	if (!local.addr) {
		local.addr = peer.addr;
		if (!gz_netif_is_local(peer.addr)) {
			const struct gz_engine_config *cfg = gz_worker.cfg;

			local.addr = cfg->addrs[0].addr;
			for (unsigned i = 0; i < cfg->naddrs; i++) {
				uint32_t mask = cfg->addrs[i].len ?
					htonl(0xffffffffu << (32 - cfg->addrs[i].len)) : 0;

				if (((cfg->addrs[i].addr ^ peer.addr) & mask) == 0) {
					local.addr = cfg->addrs[i].addr;
					break;
				}
			}
		} else if (is_loopback(peer.addr)) {
			local.addr = htonl(INADDR_LOOPBACK);
		}
	}
	f = gz_flow_add(local, peer, &err);
	if (!f)
		return err;
	m.fd = join(c->fd);
	if (m.fd < 0) {
		gz_flow_del(f);
		return m.fd;
	}
	m.flow = f;
	m.prefix = nonblock ? fill(c->fd) : 0;
	if (!m.prefix) {
		if (send(c->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1)
			gz_debug("no sentinel: %s", strerror(errno));
		m.prefix = 1;
	}
	s->local = f->local;
	s->peer = peer;
	s->connect_reported = !nonblock;
	atomic_store(&s->error, 0);
	gz_sock_set_state(s, GZ_CONNECTING);
	if (nonblock) {
		atomic_store(&s->parked, 0);
	} else {
		atomic_store(&s->parked_fd, c->sv->client->listener);
		atomic_store(&s->parked, c->id);
	}
	err = gz_worker_post(&gz_worker, &m);
	if (err) {
		atomic_store(&s->parked, 0);
		close(m.fd);
		gz_flow_del(f);
		gz_sock_set_state(s, GZ_FAILED);
	}
	return err;
}

/* A blocking connect() waits for the worker's answer. */
static int64_t wait_connect(struct gz_call_ctx *c)
{
	/* Nothing of the application's may be held, its last close must show. */
	close(c->fd);
	c->fd = -1;
	c->events = 0;
	c->deadline = deadline_of(&c->s->opt.sndtimeo);
	c->on_deadline = -EINPROGRESS;
	return GZ_WAIT;
}

static int64_t do_connect(struct gz_call_ctx *c)
{
	struct gz_sock *s = c->s;
	struct gz_end peer = { 0 };
	sa_family_t family;
	enum whose whose;
	bool nonblock = file_flags(c->fd) & O_NONBLOCK;
	int64_t r;
	int err;

	err = read_addr(c, &peer, &family, &whose);
	if (err)
		return err;
	if (family == AF_UNSPEC) {
		return disconnect(c);
	}
	if (family != s->family && !(s->family == AF_INET6 && family == AF_INET))
		return -EAFNOSUPPORT;
	/* tcp_v4_connect(): there is no TCP to a group or to everybody. */
	if (whose == OURS && to_many(peer.addr))
		return -ENETUNREACH;
	if (!peer.addr && whose == OURS)
		peer.addr = htonl(INADDR_LOOPBACK);	/* as Linux: this host */

	pthread_mutex_lock(&s->lock);
	switch (gz_sock_state(s)) {
	case GZ_FAILED:
		/* An outcome that nobody asked for yet comes first. */
		err = atomic_exchange(&s->error, 0);
		if (err && !s->connect_reported) {
			s->connect_reported = true;
			r = -err;
			break;
		}
		pthread_mutex_unlock(&s->lock);
		r = renew(c);
		if (r)
			return r;
		s = c->s;
		pthread_mutex_lock(&s->lock);
		/* fall through */
	case GZ_FRESH:
	case GZ_BOUND:
		if (whose == KERNELS ||
		    (is_loopback(peer.addr) && !gz_port_listening(peer) &&
		     kernel_listens(c->tid, peer)) ||
		    (!gz_netif_is_local(peer.addr) && !routed(peer.addr))) {
			pthread_mutex_unlock(&s->lock);
			return swap_to_kernel(c);
		}
		if (!peer.port) {
			r = -ECONNREFUSED;
			break;
		}
		r = start_connect(c, peer, nonblock);
		if (r)
			break;
		r = nonblock ? -EINPROGRESS : wait_connect(c);
		break;
	case GZ_CONNECTING:
		if (nonblock) {
			r = -EALREADY;
			break;
		}
		if (atomic_load(&s->parked)) {
			/* The worker answers one; this one looks for itself. */
			c->follows = true;
			r = wait_connect(c);
			break;
		}
		atomic_store(&s->parked_fd, c->sv->client->listener);
		atomic_store(&s->parked, c->id);
		r = wait_connect(c);
		/* It may have ended between the look and the parking. */
		if (gz_sock_state(s) != GZ_CONNECTING)
			gz_relay_answer(s, gz_sock_state(s) == GZ_ESTABLISHED ? 0 :
					   atomic_exchange(&s->error, 0));
		break;
	case GZ_ESTABLISHED:
		r = s->connect_reported ? -EISCONN : 0;
		s->connect_reported = true;
		break;
	default:
		r = -EISCONN;
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

/* --- names, options, shutdown -------------------------------------------- */

static int64_t do_getsockname(struct gz_call_ctx *c)
{
	struct gz_end end;

	pthread_mutex_lock(&c->s->lock);
	end = c->s->local;
	pthread_mutex_unlock(&c->s->lock);
	return write_addr(c, end, c->args[1], c->args[2]);
}

static int64_t do_getpeername(struct gz_call_ctx *c)
{
	struct gz_end end;

	if (gz_sock_state(c->s) != GZ_ESTABLISHED)
		return -ENOTCONN;
	pthread_mutex_lock(&c->s->lock);
	end = c->s->peer;
	pthread_mutex_unlock(&c->s->lock);
	return write_addr(c, end, c->args[1], c->args[2]);
}

static int64_t do_setsockopt(struct gz_call_ctx *c)
{
	int level = (int)c->args[1], opt = (int)c->args[2], len = (int)c->args[4];
	char val[256] = { 0 };
	int err;

	if (len < 0)
		return -EINVAL;
	if (len > (int)sizeof(val))
		len = sizeof(val);
	err = gz_app_read(c->tid, c->args[3], val, (size_t)len);
	if (err)
		return err;
	pthread_mutex_lock(&c->s->lock);
	err = gz_option_set(c->s, c->fd, level, opt, val, (socklen_t)len);
	pthread_mutex_unlock(&c->s->lock);
	if (!err && gz_sock_state(c->s) >= GZ_CONNECTING)
		err = gz_worker_post(&gz_worker, &(struct gz_msg){ .op = GZ_OP_OPTIONS,
								   .sock = c->s, .fd = -1 });
	return err;
}

/*
 * The shadow's own error decides whether there is one: a read() may have
 * reported it natively.  Which one it is, the stack knows better.
 */
static void pending_error(struct gz_call_ctx *c, void *val, socklen_t len)
{
	enum gz_state st = gz_sock_state(c->s);
	int native = 0, v = 0;
	socklen_t n = sizeof(native);

	if (len < sizeof(v))
		return;
	memcpy(&v, val, sizeof(v));
	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &native, &n);
	if (!native && (st == GZ_ESTABLISHED || st == GZ_CLOSED))
		v = 0;
	else if (native && !v)
		v = native;
	memcpy(val, &v, sizeof(v));
}

static int64_t do_getsockopt(struct gz_call_ctx *c)
{
	int level = (int)c->args[1], opt = (int)c->args[2], room, err;
	char val[512];
	socklen_t len;

	err = gz_app_read(c->tid, c->args[4], &room, sizeof(room));
	if (err)
		return err;
	if (room < 0)
		return -EINVAL;
	len = (socklen_t)(room > (int)sizeof(val) ? (int)sizeof(val) : room);
	pthread_mutex_lock(&c->s->lock);
	err = gz_option_get(c->s, level, opt, val, &len);
	pthread_mutex_unlock(&c->s->lock);
	if (err)
		return err;
	if (level == SOL_SOCKET && opt == SO_ERROR)
		pending_error(c, val, len);
	err = gz_app_write(c->tid, c->args[3], val, len);
	return err ? err : gz_app_write(c->tid, c->args[4], &len, sizeof(len));
}

static int64_t do_shutdown(struct gz_call_ctx *c)
{
	unsigned how = (unsigned)(int)c->args[1];
	struct gz_sock *s = c->s;
	bool rd = how != SHUT_WR, wr = how != SHUT_RD;

	if (how > SHUT_RDWR)
		return -EINVAL;
	switch (gz_sock_state(s)) {
	case GZ_LISTENING:
		if (rd)
			stop_listening(c);
		return 0;
	case GZ_ESTABLISHED:
		break;
	default:
		return -ENOTCONN;
	}
	/* The flag first: the HUP that may follow is not the last close. */
	if (wr)
		atomic_store(&s->app_shut_wr, true);
	if (rd)
		atomic_store(&s->app_shut_rd, true);
	if (shutdown(c->fd, (int)how) < 0 && errno != ENOTCONN)
		return -errno;
	return gz_worker_post(&gz_worker,
			      &(struct gz_msg){ .op = GZ_OP_SHUT, .sock = s, .fd = -1 });
}

static int64_t do_ioctl(struct gz_call_ctx *c)
{
	struct gz_sock *s = c->s;
	int v, inq = 0;

	if ((unsigned)c->args[1] != SIOCOUTQ && (unsigned)c->args[1] != SIOCOUTQNSD)
		return GZ_CONTINUE;
	if (gz_sock_state(s) == GZ_LISTENING)
		return -EINVAL;
	v = (int)((unsigned)c->args[1] == SIOCOUTQ ? atomic_load(&s->unsent) :
						     atomic_load(&s->info.unwritten));
	/* Bytes on the way from the shadow to the ring count too. */
	if (gz_sock_state(s) == GZ_ESTABLISHED && s->end_fd >= 0 &&
	    ioctl(s->end_fd, SIOCINQ, &inq) == 0 && inq > (int)s->lag)
		v += inq - (int)s->lag;
	return gz_app_write(c->tid, c->args[2], &v, sizeof(v));
}

/* --- recvfrom and sendto with what AF_UNIX does otherwise ---------------- */

#define IO_MAX 65536

static int64_t would_block(struct gz_call_ctx *c, int flags, short events,
			   const struct timeval *timeo)
{
	if ((flags & MSG_DONTWAIT) || (file_flags(c->fd) & O_NONBLOCK))
		return -EAGAIN;
	if (!c->events) {
		c->events = events;
		c->deadline = deadline_of(timeo);
		c->on_deadline = -EAGAIN;
	}
	return GZ_WAIT;
}

static int64_t do_recvfrom(struct gz_call_ctx *c)
{
	size_t want = c->args[2] > IO_MAX ? IO_MAX : (size_t)c->args[2];
	int flags = (int)c->args[3], zero = 0;
	char buf[IO_MAX];
	ssize_t n;
	int err;

	if (flags & MSG_OOB)
		return -EINVAL;		/* no urgent data, ever (tcp(7)) */
	if (flags & MSG_ERRQUEUE)
		return -EAGAIN;
	if (gz_sock_state(c->s) < GZ_ESTABLISHED)
		return -ENOTCONN;
	/* Try first: the address of a TCP peer is not reported, its length is 0. */
	n = recv(c->fd, buf, want, (flags & ~(MSG_TRUNC | MSG_WAITALL)) | MSG_DONTWAIT |
				   (flags & MSG_TRUNC ? 0 : MSG_PEEK));
	if (n < 0 && errno == EAGAIN)
		return would_block(c, flags, POLLIN, &c->s->opt.rcvtimeo);
	if (n < 0)
		return -errno;
	if (!(flags & MSG_TRUNC)) {
		/* Bytes leave the socket only when the application has them. */
		err = gz_app_write(c->tid, c->args[1], buf, (size_t)n);
		if (err)
			return err;
		if (!(flags & MSG_PEEK) && n > 0)
			n = recv(c->fd, buf, (size_t)n, MSG_DONTWAIT);
	}
	if (c->args[4] && c->args[5]) {
		err = gz_app_write(c->tid, c->args[5], &zero, sizeof(zero));
		if (err)
			return err;
	}
	return n;
}

static int64_t do_sendto(struct gz_call_ctx *c)
{
	size_t want = c->args[2] > IO_MAX ? IO_MAX : (size_t)c->args[2];
	int flags = (int)c->args[3];
	char buf[IO_MAX];
	ssize_t n;
	int err;

	if (flags & (MSG_OOB | MSG_FASTOPEN)) {
		gz_count(GZ_C_REFUSED_FLAGS);
		return -EOPNOTSUPP;
	}
	if (c->args[4]) {
		char addr[128];
		int len = (int)c->args[5];

		/* TCP does not look at it, but it must be there. */
		if (len < 0 || len > (int)sizeof(addr))
			return -EINVAL;
		err = gz_app_read(c->tid, c->args[4], addr, (size_t)len);
		if (err)
			return err;
	}
	if (gz_sock_state(c->s) < GZ_ESTABLISHED)
		return -EPIPE;
	err = gz_app_read(c->tid, c->args[1], buf, want);
	if (err)
		return err;
	n = send(c->fd, buf, want, (flags & ~MSG_OOB) | MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno == EAGAIN)
		return would_block(c, flags, POLLOUT, &c->s->opt.sndtimeo);
	return n < 0 ? -errno : n;
}

const gz_handler gz_handlers[] = {
	[GZ_CALL_SOCKET] = do_socket,
	[GZ_CALL_BIND] = do_bind,
	[GZ_CALL_LISTEN] = do_listen,
	[GZ_CALL_ACCEPT] = do_accept,
	[GZ_CALL_ACCEPT4] = do_accept4,
	[GZ_CALL_CONNECT] = do_connect,
	[GZ_CALL_GETSOCKNAME] = do_getsockname,
	[GZ_CALL_GETPEERNAME] = do_getpeername,
	[GZ_CALL_GETSOCKOPT] = do_getsockopt,
	[GZ_CALL_SETSOCKOPT] = do_setsockopt,
	[GZ_CALL_SHUTDOWN] = do_shutdown,
	[GZ_CALL_IOCTL] = do_ioctl,
	[GZ_CALL_RECVFROM] = do_recvfrom,
	[GZ_CALL_SENDTO] = do_sendto,
	[GZ_CALL_COUNT] = NULL,
};

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
#include <linux/capability.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/address.h"
#include "engine/asked.h"
#include "engine/calls.h"
#include "engine/counters.h"
#include "engine/dgram.h"
#include "engine/iface.h"
#include "engine/netlink.h"
#include "engine/ping.h"
#include "engine/ports.h"
#include "engine/reaper.h"
#include "engine/segment.h"
#include "engine/service.h"
#include "engine/shadow.h"
#include "engine/sites.h"
#include "engine/stream_msg.h"
#include "engine/twin.h"
#include "engine/option_table.h"
#include "engine/worker.h"
#include "launcher/calls.h"

#define TWIN_TRIES 64	 /* ports to try that the kernel has free as well */
#define BACKLOG_MAX 4096 /* net.core.somaxconn's default */
#define SETTLES 3	 /* rounds of the workers until a connection that ends has left its port */

/* --- socket, bind, listen ------------------------------------------------ */

static int64_t do_socket(struct gz_call_ctx *c)
{
	int domain = (int)c->args[0], type = (int)c->args[1], proto = (int)c->args[2];
	struct gz_sock *s;
	uint64_t name;
	ino_t ino;
	int fd;

	if (domain == AF_NETLINK)
		return gz_netlink_socket(c);
	if ((type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == SOCK_DGRAM &&
	    (proto == 0 || proto == IPPROTO_UDP))
		return gz_dgram_socket(c);
	if ((type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == SOCK_DGRAM && gz_ping_is_served() &&
	    proto == (domain == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return gz_ping_socket(c);
	if ((type & 0xf) != SOCK_STREAM || (type & ~0xf & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) ||
	    (proto != 0 && proto != IPPROTO_TCP && proto != IPPROTO_MPTCP)) {
		gz_count(GZ_C_KERNEL_SOCKETS);
		return GZ_CONTINUE;
	}
	/*
	 * As of a kernel without CONFIG_MPTCP: who asks for it, as Go's listeners do, goes on with
	 * TCP.  A kernel's socket would keep a listener at a wildcard address from the stack.
	 */
	if (proto == IPPROTO_MPTCP) {
		gz_count(GZ_C_REFUSED_MPTCP);
		return -EPROTONOSUPPORT;
	}
	s = gz_sock_new(c->sv->client, domain);
	if (!s)
		return -ENOBUFS;
	fd = gz_shadow_new(type & SOCK_NONBLOCK, &name, &ino);
	if (fd < 0) {
		gz_sock_unref(s);
		return fd;
	}
	s->named = true;
	s->name = name;
	gz_table_add(s, ino);
	gz_plane_fresh(s, true);
	return gz_shadow_give(c, s, fd, type);
}

int gz_claim_anew(struct gz_call_ctx *c, struct gz_end end, bool to_listen)
{
	if (c->s->opt.reuseport)
		gz_app_uid(c->tid, &c->s->uid);
	for (;;) {
		struct gz_sock *blocker = NULL;
		bool gone;
		int err;

		err = to_listen ? gz_claim_listen(c->s, &blocker) : gz_claim(c->s, end, &blocker);
		if (!blocker && err == -EADDRINUSE && !end.port &&
		    gz_reaper_make_room(c->s, &c->sv->probe_fd))
			continue;
		if (!blocker)
			return err;
		gone = gz_reaper_check(blocker, &c->sv->probe_fd);
		gz_sock_unref(blocker);
		if (!gone)
			return err;
	}
}

/*
 * Bind @s, which is locked, here and where policy.loopback says so in the
 * kernel: a port that is chosen must be free in both.
 */
static int bind_both(struct gz_call_ctx *c, struct gz_end end)
{
	struct gz_sock *s = c->s;
	int err;

	for (int tries = 0;; tries++) {
		err = gz_claim_anew(c, end, false);
		/* The kernel has no such interface for a listener to be at. */
		if (err || !gz_twin_wanted(end) || s->opt.at >= GZ_AT_PORT)
			break;
		err = gz_twin_bind(c, s, s->claim.end);
		if (!err)
			break;
		gz_claim_drop(s);
		if (end.port || tries == TWIN_TRIES)
			return err;
	}
	if (err)
		return err;
	s->local = s->claim.end;
	s->chose_port = end.port != 0;
	s->chose = end;
	s->chose.port = 0;
	if (!gz_end_is_v4(end) && !gz_end_is_any(end))
		s->opt.v6only = true;
	if (gz_sock_state(s) == GZ_FRESH)
		gz_sock_set_state(s, GZ_BOUND);
	return 0;
}

/* A connect() that failed, and said so, leaves a socket that is as new. */
static int forget_failure(struct gz_call_ctx *c)
{
	struct gz_sock *s = c->s;

	if (gz_sock_state(s) != GZ_FAILED || !s->connect_reported)
		return 0;
	return gz_renew(c);
}

/*
 * TCP_CLOSE and no port: a connection that is over has given its one back, and may be bound
 * (tcp_set_state()), though it can be nothing more until connect() has told of its end.
 */
static bool is_unbound(const struct gz_sock *s)
{
	enum gz_state st = gz_sock_state(s);

	return st == GZ_FRESH || ((st == GZ_FAILED || st == GZ_CLOSED) && !s->claim.held);
}

/* What __inet_bind() finds wrong with an address before it looks at the socket. */
static int check_local(struct gz_call_ctx *c, sa_family_t family, struct gz_end end)
{
	struct gz_sock *s = c->s;

	if (family != s->family &&
	    !(s->family == AF_INET && family == AF_UNSPEC && gz_end_is_any(end)))
		return -EAFNOSUPPORT;
	if (IN6_IS_ADDR_MULTICAST(&end.addr))
		return -EINVAL;
	/* __inet6_bind() has the socket's state first. */
	if (s->family == AF_INET && !gz_end_is_any(end) && !gz_addr_to_many(end) &&
	    !gz_addr_is_local(end) && !s->opt.freebind && !is_unbound(s) &&
	    !gz_addr_kernel_has(c->tid, end)) {
		gz_count(GZ_C_REFUSED_ADDRESS);
		return -EADDRNOTAVAIL;
	}
	if (!is_unbound(s) || (family == AF_INET6 && s->opt.v6only && gz_end_is_v4(end)))
		return -EINVAL;
	return 0;
}

static int bind_now(struct gz_call_ctx *c, struct gz_end end, const struct gz_verdict *v)
{
	struct gz_sock *s = c->s;
	int err;

	pthread_mutex_lock(&s->lock);
	err = is_unbound(s) ? bind_both(c, end) : -EINVAL;
	if (!err) {
		s->verdict = *v;
	} else if (err == -EADDRINUSE) { /* __inet_bind() takes back what was chosen before, too */
		s->chose = gz_end_any(s->family);
		s->local.addr = s->chose.addr; /* of a connection that is over */
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}

static int64_t do_bind(struct gz_call_ctx *c)
{
	struct gz_sock *s;
	struct gz_end end = {0};
	struct gz_verdict v;
	sa_family_t family;
	enum gz_whose whose;
	int err;

	err = forget_failure(c);
	if (!err)
		err = gz_addr_read(c, &end, &family, &whose);
	if (!err)
		err = check_local(c, family, end);
	if (err)
		return err;
	s = c->s;
	if (whose == GZ_KERNELS)
		gz_policy_is(c, GZ_DIR_BIND, IPPROTO_TCP, end, GZ_WHY_FAMILY, &v);
	else
		gz_policy_ask(c, GZ_DIR_BIND, IPPROTO_TCP, end, &v);
	if (v.whose == GZ_KERNELS)
		return gz_swap_to_kernel(c, &v);
	if (!gz_end_is_any(end) && !gz_addr_is_local(end) && !s->opt.freebind) {
		gz_count(GZ_C_REFUSED_ADDRESS);
		return -EADDRNOTAVAIL;
	}
	if (end.port && ntohs(end.port) < 1024 && !gz_app_may_bind_low(c->tid))
		return -EACCES;
	/* By a connection that was given up just now, or of a listener that was closed?  No lock
	 * is held, for workers take those of listeners. */
	for (unsigned settled = 0;; settled++) {
		err = bind_now(c, end, &v);
		if (err != -EADDRINUSE || !end.port || settled == SETTLES)
			return err;
		gz_workers_settle();
	}
}

int64_t gz_bind_kernels(struct gz_call_ctx *c)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6; /* the port is at the same place */
	} a = {0}, own = {0};
	socklen_t len = sizeof(own);
	struct gz_end end;

	if (getsockname(c->fd, &own.sa, &len) < 0 || !own.in.sin_port)
		return GZ_CONTINUE;
	if (own.sa.sa_family != AF_INET && own.sa.sa_family != AF_INET6)
		return GZ_CONTINUE;
	len = own.sa.sa_family == AF_INET ? sizeof(a.in) : sizeof(a.in6);
	if ((int)c->args[2] < (int)len || gz_app_read(c->tid, c->args[1], &a, len) ||
	    a.sa.sa_family != own.sa.sa_family)
		return GZ_CONTINUE;
	if (a.sa.sa_family == AF_INET)
		end = gz_end_v4(a.in.sin_addr.s_addr, a.in.sin_port);
	else
		end = (struct gz_end){.addr = a.in6.sin6_addr, .port = a.in6.sin6_port};
	return gz_end_is_any(end) || gz_addr_is_loopback(end) || !gz_addr_is_local(end)
		   ? GZ_CONTINUE
		   : -EINVAL;
}

static int listen_now(struct gz_call_ctx *c)
{
	struct timeval tick = {.tv_usec = 1000}, none = {0};
	unsigned backlog = (unsigned)(int)c->args[1];
	struct gz_sock *s;
	int err = forget_failure(c);

	if (err)
		return err;
	s = c->s;

	if (backlog > BACKLOG_MAX)
		backlog = BACKLOG_MAX;
	pthread_mutex_lock(&s->lock);
	switch (gz_sock_state(s)) {
	case GZ_LISTENING:
		s->backlog = (int)backlog;
		gz_twin_listen(s);
		break;
	case GZ_FRESH:
		err = bind_both(c, s->chose);
		if (err)
			break;
		/* fall through */
	case GZ_BOUND:
		err = gz_claim_anew(c, s->claim.end, true);
		if (err)
			break;
		s->backlog = (int)backlog;
		err = gz_sock_listening(s) ? gz_twin_listen(s) : -ENOBUFS;
		if (err) {
			gz_claim_unlisten(s);
			break;
		}
		/*
		 * Only this service accepts on it; the time-out is for the case that
		 * a stranger who was handed the descriptor wins the race.
		 */
		if (setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof(tick)) < 0 ||
		    listen(c->fd, BACKLOG_MAX) < 0) {
			err = -errno;
			break;
		}
		gz_sock_set_state(s, GZ_LISTENING);
		/* Agents wait there as long as it takes. */
		if (c->sv->client == s->client && gz_plane_listen(s))
			setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
		err = gz_post(&(struct gz_msg){.op = GZ_OP_LISTEN, .sock = s, .fd = -1});
		break;
	default:
		err = -EINVAL;
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}

static int64_t do_listen(struct gz_call_ctx *c)
{
	int err;

	for (unsigned settled = 0;; settled++) {
		err = listen_now(c);
		if (err != -EADDRINUSE || settled == SETTLES)
			return err;
		gz_workers_settle(); /* as in do_bind() */
	}
}

/* --- names, options, shutdown -------------------------------------------- */

int64_t gz_do_getsockname(struct gz_call_ctx *c)
{
	struct gz_end end;

	pthread_mutex_lock(&c->s->lock);
	end = c->s->local;
	/* tcp_disconnect(): the port is the last one's, though it is free. */
	if (gz_sock_state(c->s) == GZ_FAILED && c->s->connect_reported) {
		end = c->s->chose;
		end.port = c->s->local.port;
	} else if (gz_sock_state(c->s) == GZ_FRESH && c->s->type == SOCK_STREAM) {
		end = c->s->chose;
		end.port = c->s->last_port;
	}
	pthread_mutex_unlock(&c->s->lock);
	return gz_addr_write(c, end, c->args[1], c->args[2]);
}

int64_t gz_do_getpeername(struct gz_call_ctx *c)
{
	struct gz_end end;
	bool is;

	pthread_mutex_lock(&c->s->lock);
	end = c->s->peer;
	/* inet_getname() goes by the port: ping sockets may be connected to none. */
	is = gz_sock_state(c->s) == GZ_ESTABLISHED && end.port;
	pthread_mutex_unlock(&c->s->lock);
	if (!is)
		return -ENOTCONN;
	return gz_addr_write(c, end, c->args[1], c->args[2]);
}

static int64_t do_setsockopt(struct gz_call_ctx *c)
{
	int level = (int)c->args[1], opt = (int)c->args[2], len = (int)c->args[4];
	char val[256] = {0}, name[IFNAMSIZ];
	int64_t r;
	int err;

	if (len < 0)
		return -EINVAL;
	if (len > (int)sizeof(val))
		len = sizeof(val);
	err = gz_app_read(c->tid, c->args[3], val, (size_t)len);
	if (err)
		return err;
	gz_asked_option(gz_option_row(level, opt), true);
	if (level == SOL_SOCKET && opt == SO_PEEK_OFF) {
		atomic_store(&c->s->no_ring, true);
		gz_off_sock(c->s, GZ_OFF_OPTION);
		gz_plane_leave(c->s, c->fd);
		return GZ_CONTINUE; /* it is the shadow that is peeked */
	}
	if (level == SOL_SOCKET && (opt == SO_BINDTODEVICE || opt == SO_BINDTOIFINDEX)) {
		r = gz_iface_bind(c, val, len, name);
		if (r)
			return r;
		opt = SO_BINDTODEVICE;
		len = (int)strlen(name) + 1;
		memcpy(val, name, (size_t)len);
	}
	pthread_mutex_lock(&c->s->lock);
	gz_plane_take_options(c->s); /* they came before */
	err = gz_option_set(c->s, c->fd, c->tid, level, opt, val, (socklen_t)len);
	if (!err)
		gz_twin_option(c->s, level, opt, val, (socklen_t)len);
	pthread_mutex_unlock(&c->s->lock);
	/* What the rings do not know of. */
	if (!err && !gz_plane_has(&c->s->opt)) {
		gz_off_sock(c->s, GZ_OFF_OPTION);
		gz_plane_leave(c->s, c->fd);
	}
	if (!err && gz_sock_state(c->s) == GZ_LISTENING && c->s->ring.i >= 0)
		gz_plane_listen(c->s);
	if (!err)
		gz_plane_set_timed(c->s);
	if (!err && gz_sock_state(c->s) >= GZ_CONNECTING)
		err = gz_post(&(struct gz_msg){.op = GZ_OP_OPTIONS, .sock = c->s, .fd = -1});
	if (!err && level == SOL_SOCKET && opt == SO_RCVLOWAT)
		gz_plane_heed_least(c->s);
	/* What is written from here on must not go past it. */
	if (!err && gz_join_heeds(c->s) && gz_plane_is_ring(c->s))
		gz_plane_settle(c->s);
	return err;
}

/*
 * The shadow's own error decides whether there is one: a read() may have
 * reported it natively.  Which one it is, the stack knows better.
 */
static void pending_error(struct gz_call_ctx *c, void *val, socklen_t len)
{
	enum gz_state st = gz_sock_state(c->s);
	int native = 0, v = 0, kept;
	socklen_t n = sizeof(native);

	if (len < sizeof(v))
		return;
	memcpy(&v, val, sizeof(v));
	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &native, &n);
	kept = gz_plane_take_kept(c->s);
	if (kept) {
		memcpy(val, &kept, sizeof(kept));
		return;
	}
	if (atomic_load(&c->s->ring.over) && gz_plane_is_ring(c->s))
		return; /* the agent tells by the same word */
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
	bool took;

	gz_asked_option(gz_option_row(level, opt), false);
	if (level == SOL_SOCKET && opt == SO_PEEK_OFF)
		return GZ_CONTINUE;
	err = gz_app_read(c->tid, c->args[4], &room, sizeof(room));
	if (err)
		return err;
	if (room < 0)
		return -EINVAL;
	len = (socklen_t)(room > (int)sizeof(val) ? (int)sizeof(val) : room);
	if (gz_option_is_asked(level, opt))
		gz_info_ask(c->s);
	pthread_mutex_lock(&c->s->lock);
	took = gz_plane_take_options(c->s);
	err = gz_option_get(c->s, level, opt, val, &len);
	pthread_mutex_unlock(&c->s->lock);
	if (took)
		gz_post(&(struct gz_msg){.op = GZ_OP_OPTIONS, .sock = c->s, .fd = -1});
	if (err && level == IPPROTO_TCP && opt == TCP_SAVED_SYN)
		gz_app_write(c->tid, c->args[4], &len, sizeof(len)); /* what it takes */
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
	int native = (int)how;

	if (how > SHUT_RDWR)
		return -EINVAL;
	switch (gz_sock_state(s)) {
	case GZ_LISTENING:
		if (rd)
			gz_disconnect(c);
		return 0;
	case GZ_CONNECTING:
		return gz_disconnect(c);
	case GZ_ESTABLISHED:
		break;
	default:
		return -ENOTCONN;
	}
	/* The flag first: the HUP that may follow is not the last close. */
	if (wr) {
		atomic_store(&s->app_shut_wr, true);
		gz_plane_stop_sending(s); /* the shadow says EPIPE */
	}
	/* It takes no bell any more; nor can a shadow that is shut have what is unread, at the
	 * close. */
	if (wr || gz_plane_unread(s)) {
		if (gz_plane_is_ring(s))
			gz_off_sock(s, GZ_OFF_HALF);
		gz_plane_leave(s, c->fd);
	}
	/* Only now: what was unread in the ring has gone to the shadow, and is read there. */
	if (rd)
		atomic_store(&s->app_shut_rd, true);
	/* What it had no room for must come to it before its end does, which is the worker's then.
	 */
	if (rd && !gz_plane_is_ring(s) && (atomic_load(&s->unread) || gz_plane_unread(s)))
		native = wr ? SHUT_WR : -1;
	if (native >= 0 && shutdown(c->fd, native) < 0 && errno != ENOTCONN)
		return -errno;
	return gz_post(&(struct gz_msg){.op = GZ_OP_SHUT, .sock = s, .fd = -1});
}

/* SIOCGSKNS: the namespace that the socket is in, which is not the shadow's. */
static int64_t socket_namespace(struct gz_call_ctx *c)
{
	char path[64];
	int64_t r;
	int fd;

	if (!gz_app_capable(c->tid, CAP_NET_ADMIN))
		return -EPERM;
	snprintf(path, sizeof(path), "/proc/%d/ns/net", c->tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = gz_service_add_fd(c, fd, true);
	close(fd);
	return r;
}

/* Bytes on the way from the shadow or a slot to the ring */
static uint32_t on_the_way(struct gz_sock *s)
{
	int inq = 0;

	if (gz_sock_state(s) != GZ_ESTABLISHED || s->end_fd < 0 ||
	    ioctl(s->end_fd, SIOCINQ, &inq) < 0 || inq <= (int)s->lag)
		inq = (int)s->lag;
	return (uint32_t)inq - s->lag + gz_plane_unseen(s);
}

static int64_t do_ioctl(struct gz_call_ctx *c)
{
	struct gz_sock *s = c->s;
	struct tcp_info info;
	int v;

	if ((unsigned)c->args[1] == SIOCGSKNS)
		return socket_namespace(c);
	if ((unsigned)c->args[1] == SIOCINQ &&
	    (gz_plane_is_ring(s) || atomic_load(&s->ring.orphan))) {
		v = (int)gz_plane_unread(s);
		return gz_app_write(c->tid, c->args[2], &v, sizeof(v));
	}
	if (gz_iface_is_request((unsigned)c->args[1]))
		return gz_iface_ioctl(c);
	switch ((unsigned)c->args[1]) {
	case SIOCGSTAMP_OLD:
	case SIOCGSTAMPNS_OLD:
	case SIOCGSTAMP_NEW:
	case SIOCGSTAMPNS_NEW:
		return -ENOENT; /* sock_gettstamp(): no segment has a time */
	case SIOCOUTQ:
	case SIOCOUTQNSD:
		break;
	default:
		return GZ_CONTINUE;
	}
	if (gz_sock_state(s) == GZ_LISTENING)
		return -EINVAL;
	if ((unsigned)c->args[1] == SIOCOUTQ) {
		v = (int)(atomic_load(&s->unsent) + on_the_way(s));
	} else {
		gz_info_ask(s);
		v = (int)on_the_way(s);
		if (gz_segment_info(s, &info))
			v += (int)info.tcpi_notsent_bytes;
	}
	return gz_app_write(c->tid, c->args[2], &v, sizeof(v));
}

const gz_handler gz_handlers[] = {
    [GZ_CALL_SOCKET] = do_socket,
    [GZ_CALL_BIND] = do_bind,
    [GZ_CALL_LISTEN] = do_listen,
    [GZ_CALL_ACCEPT] = gz_do_accept,
    [GZ_CALL_ACCEPT4] = gz_do_accept4,
    [GZ_CALL_CONNECT] = gz_do_connect,
    [GZ_CALL_GETSOCKNAME] = gz_do_getsockname,
    [GZ_CALL_GETPEERNAME] = gz_do_getpeername,
    [GZ_CALL_GETSOCKOPT] = do_getsockopt,
    [GZ_CALL_SETSOCKOPT] = do_setsockopt,
    [GZ_CALL_SHUTDOWN] = do_shutdown,
    [GZ_CALL_IOCTL] = do_ioctl,
    [GZ_CALL_RECVFROM] = gz_stream_recvfrom,
    [GZ_CALL_SENDTO] = gz_stream_sendto,
    [GZ_CALL_RECVMSG] = gz_stream_recvmsg,
    [GZ_CALL_SENDMSG] = gz_stream_sendmsg,
    [GZ_CALL_RECVMMSG] = gz_stream_recvmmsg,
    [GZ_CALL_SENDMMSG] = gz_stream_sendmmsg,
    [GZ_CALL_SPLICE] = gz_sites_splice,
    [GZ_CALL_COUNT] = NULL,
};

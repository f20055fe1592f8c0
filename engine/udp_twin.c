/* SPDX-License-Identifier: BSD-3-Clause
 *
 * udp_twin.c - The kernel's socket beside a UDP socket of the engine's
 *
 * Theory of operation.  A datagram socket has no world of its own: one that serves
 * 0.0.0.0:53 is asked by the host's own programs as well as by the wire, and a resolver
 * forwards to servers in both.  So beside the shadow there may be a kernel socket in the
 * program's network namespace, the twin (twin.h), with the same port:
 *
 *   bind()	to a wildcard or loopback address makes one, as TCP's listen() does
 *   sendto()	and connect() to what is the kernel's make one, where the socket has a port that
 *		bind() chose, or was used already; a fresh one is the kernel's altogether (dgram.c)
 *
 * What the twin receives, the worker hands to the shadow, from an alias like any other
 * peer's (alias.h); who was heard there is answered there, for of a client on 127.0.0.1
 * nothing else says so.  What a connected socket sends natively comes by udp.c.
 *
 * Groups, and what came back with an error to a socket that is not connected (IP_RECVERR),
 * are the stack's alone.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/address.h"
#include "engine/counters.h"
#include "engine/dgram.h"
#include "engine/log.h"
#include "engine/ports.h"
#include "engine/shadow.h"
#include "engine/twin.h"
#include "engine/udp.h"
#include "engine/udp_twin.h"
#include "engine/worker.h"

#define HEARD 64 /* peers that are remembered */
#define BURST 64
#define DATAGRAM_MAX 65536

/** s->dgram.twin, under the socket's lock; the descriptor is s->twin_fd. */
struct gz_udp_twin {
	bool connected;
	struct gz_end heard[HEARD]; /* by their hash; port 0: none */
};

static const struct {
	int level, opt;
} sending[] = {
    {SOL_SOCKET, SO_REUSEADDR},
    {SOL_SOCKET, SO_REUSEPORT},
    {SOL_SOCKET, SO_BROADCAST},
    {SOL_SOCKET, SO_PRIORITY},
    {SOL_SOCKET, SO_MARK},
    {SOL_SOCKET, SO_SNDBUF},
    {SOL_SOCKET, SO_RCVBUF},
    {IPPROTO_IP, IP_TOS},
    {IPPROTO_IP, IP_TTL},
    {IPPROTO_IP, IP_MTU_DISCOVER},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS},
    {IPPROTO_IPV6, IPV6_TCLASS},
    {IPPROTO_IPV6, IPV6_MTU_DISCOVER},
    {IPPROTO_IPV6, IPV6_DONTFRAG},
};

static const struct {
	int level, opt, value;
	bool v6;
} own[] = {
    {IPPROTO_IP, IP_RECVERR, 0, false},		 {IPPROTO_IP, IP_MULTICAST_ALL, 0, false},
    {IPPROTO_IP, IP_PKTINFO, 1, false},		 {IPPROTO_IP, IP_RECVTTL, 1, false},
    {IPPROTO_IP, IP_RECVTOS, 1, false},		 {IPPROTO_IPV6, IPV6_RECVERR, 0, true},
    {IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0, true}, {IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, true},
    {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1, true},	 {IPPROTO_IPV6, IPV6_RECVTCLASS, 1, true},
};

static int bind_to(int fd, int family, struct gz_end end)
{
	struct sockaddr_storage a;
	socklen_t len = gz_addr_sockaddr(family, end, &a);

	return bind(fd, (struct sockaddr *)&a, len) < 0 ? -errno : 0;
}

/* A twin bound to @end.  @s locked.  Return: 0 or -errno */
static int make(struct gz_call_ctx *c, struct gz_end end)
{
	struct gz_sock *s = c->s;
	int fd = gz_kernel_socket(c->tid, s->family, SOCK_DGRAM, IPPROTO_UDP), err;

	if (fd < 0)
		return fd;
	if (!s->dgram.twin)
		s->dgram.twin = calloc(1, sizeof(*s->dgram.twin));
	gz_dgram_replay(s, c->fd, fd);
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (!own[i].v6 || s->family == AF_INET6)
			setsockopt(fd, own[i].level, own[i].opt, &own[i].value, sizeof(int));
	err = s->dgram.twin ? bind_to(fd, s->family, end) : -ENOMEM;
	if (err) {
		close(fd);
		return err;
	}
	gz_twin_put(s, fd);
	gz_post(&(struct gz_msg){.op = GZ_OP_TWIN, .sock = s, .fd = -1});
	return 0;
}

int gz_udp_twin_bind(struct gz_call_ctx *c)
{
	struct gz_sock *s = c->s;
	int err;

	/* What is bound to the stack's interface hears no other. */
	if (s->dgram.ping || *s->opt.device || !gz_twin_wanted(s->claim.end))
		return 0;
	err = make(c, s->claim.end);
	if (err && err != -EADDRINUSE) {
		gz_count(GZ_C_REFUSED_TWIN);
		gz_debug("socket %lu: no socket of the kernel's beside it: %s",
			 (unsigned long)s->id, strerror(-err));
	}
	return err == -EADDRINUSE ? err : 0;
}

int gz_udp_twin_need(struct gz_call_ctx *c)
{
	struct gz_sock *s = c->s;
	struct gz_end end;
	int err = -ENETUNREACH;

	pthread_mutex_lock(&s->lock);
	end = s->local;
	if (gz_sock_state(s) == GZ_ESTABLISHED && !s->dgram.chose_addr) {
		end = gz_end_any(s->family);
		end.port = s->local.port;
	}
	if (s->twin_fd >= 0) {
		err = 0;
	} else if (!s->dgram.ping && !*s->opt.device &&
		   (gz_end_is_any(end) || gz_addr_is_loopback(end))) {
		err = make(c, end);
		if (err == -EADDRINUSE && !s->dgram.chose_port) {
			end.port = 0;
			err = make(c, end);
		}
	}
	pthread_mutex_unlock(&s->lock);
	if (!err)
		return 0;
	gz_count(GZ_C_REFUSED_UNREACHABLE);
	return -ENETUNREACH;
}

bool gz_udp_twin_heard(const struct gz_sock *s, struct gz_end peer)
{
	const struct gz_udp_twin *t = s->twin_fd >= 0 ? s->dgram.twin : NULL;

	return t && ((t->connected && gz_end_equal(peer, s->peer)) ||
		     gz_end_equal(peer, t->heard[gz_end_hash(peer) % HEARD]));
}

bool gz_udp_twin_knows(struct gz_sock *s, struct gz_end peer)
{
	bool knows;

	pthread_mutex_lock(&s->lock);
	knows = gz_udp_twin_heard(s, peer);
	pthread_mutex_unlock(&s->lock);
	/* Who has that port now is a program of the engine's? */
	return knows && !(gz_addr_is_local(peer) && gz_port_udp(peer));
}

int64_t gz_udp_twin_send(struct gz_sock *s, struct msghdr *m, int flags)
{
	int64_t n = gz_twin_send(s, m, flags | MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n >= 0) {
		gz_count(GZ_C_UDP_TWIN_TX);
		atomic_fetch_add_explicit(&s->tx_bytes, (uint64_t)n, memory_order_relaxed);
	}
	/* Its room is nothing that the shadow could be waited for. */
	return n == -EAGAIN && !(flags & MSG_DONTWAIT) ? -ENOBUFS : n;
}

int gz_udp_twin_connect(struct gz_sock *s, struct gz_end peer, struct gz_end *local)
{
	struct sockaddr_storage a;
	int err = gz_twin_connect(s, peer, &a);

	if (err)
		return err;
	s->dgram.twin->connected = true;
	if (a.ss_family == AF_INET)
		*local = gz_end_v4(((struct sockaddr_in *)&a)->sin_addr.s_addr, s->local.port);
	else
		*local = (struct gz_end){.addr = ((struct sockaddr_in6 *)&a)->sin6_addr,
					 .port = s->local.port};
	return 0;
}

void gz_udp_twin_disconnect(struct gz_sock *s)
{
	if (!s->dgram.twin || !s->dgram.twin->connected)
		return;
	gz_twin_connect(s, (struct gz_end){0}, NULL);
	s->dgram.twin->connected = false;
}

void gz_udp_twin_option(struct gz_call_ctx *c)
{
	int level = (int)c->args[1], opt = (int)c->args[2], v;

	if (!c->s->dgram.twin || (int)c->args[4] != (int)sizeof(v) ||
	    gz_app_read(c->tid, c->args[3], &v, sizeof(v)))
		return;
	for (size_t i = 0; i < sizeof(sending) / sizeof(sending[0]); i++)
		if (sending[i].level == level && sending[i].opt == opt)
			gz_twin_option(c->s, level, opt, &v, sizeof(v));
}

/* A port unreachable came for what the connected @s sent. */
static void refused(struct gz_sock *s)
{
	struct iovec none = {(void *)"", 0};
	struct gz_datagram d = {.data = &none, .ndata = 1, .ttl = 64};

	pthread_mutex_lock(&s->lock);
	d.src = s->local;
	d.dst = s->peer;
	pthread_mutex_unlock(&s->lock);
	gz_udp_refuse(&d);
}

bool gz_udp_twin_pass(struct gz_sock *s, const struct gz_datagram *d)
{
	struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)d->data,
			   .msg_iovlen = (size_t)d->ndata};
	int64_t n;
	bool ours;

	pthread_mutex_lock(&s->lock);
	ours = s->dgram.twin && s->dgram.twin->connected && gz_end_equal(s->peer, d->dst);
	pthread_mutex_unlock(&s->lock);
	if (!ours)
		return false;
	n = gz_udp_twin_send(s, &m, 0);
	if (n == -ECONNREFUSED) { /* that of an earlier one */
		refused(s);
		n = gz_udp_twin_send(s, &m, 0);
	}
	if (n < 0)
		gz_count(GZ_C_UDP_TX_DROPPED);
	return true;
}

/* --- worker ------------------------------------------------------------------ */

static struct gz_end end_of(const struct sockaddr_storage *a)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)a;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)a;

	if (a->ss_family == AF_INET)
		return gz_end_v4(in->sin_addr.s_addr, in->sin_port);
	return (struct gz_end){
	    .addr = in6->sin6_addr, .port = in6->sin6_port, .scope = in6->sin6_scope_id};
}

/* Which address it was sent to */
static struct gz_end sent_to(struct msghdr *m)
{
	struct in6_pktinfo info6;
	struct in_pktinfo info;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&info, CMSG_DATA(c), sizeof(info));
			return gz_end_v4(info.ipi_addr.s_addr, 0);
		}
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&info6, CMSG_DATA(c), sizeof(info6));
			return (struct gz_end){.addr = info6.ipi6_addr};
		}
	}
	return (struct gz_end){0};
}

/* A broadcast of the stack's own came back by the other end of its wire. */
static bool is_echo(const struct gz_datagram *d)
{
	return gz_addr_is_local(d->src) && !gz_addr_is_loopback(d->src) &&
	       !gz_addr_is_loopback(d->dst) && gz_addr_to_many(d->dst);
}

/* Return: false when there is no more */
static bool one(struct gz_sock *s)
{
	char buf[DATAGRAM_MAX];
	_Alignas(struct cmsghdr) char control[256];
	struct sockaddr_storage from;
	struct iovec v = {buf, sizeof(buf)};
	struct msghdr m = {
	    .msg_name = &from,
	    .msg_namelen = sizeof(from),
	    .msg_iov = &v,
	    .msg_iovlen = 1,
	    .msg_control = control,
	    .msg_controllen = sizeof(control),
	};
	struct gz_datagram d = {.data = &v, .ndata = 1, .ttl = 64};
	int64_t n = gz_twin_recv(s, &m);

	if (n < 0) {
		if (n == -ECONNREFUSED)
			refused(s);
		return n == -ECONNREFUSED;
	}
	v.iov_len = d.len = (size_t)n;
	gz_udp_headers(&m, &d);
	d.src = end_of(&from);
	d.dst = sent_to(&m);
	if (is_echo(&d))
		return true;
	pthread_mutex_lock(&s->lock);
	d.dst.port = s->local.port;
	if (s->dgram.twin)
		s->dgram.twin->heard[gz_end_hash(d.src) % HEARD] = d.src;
	pthread_mutex_unlock(&s->lock);
	gz_count(GZ_C_UDP_TWIN_RX);
	gz_udp_give(s, &d);
	return true;
}

void gz_udp_twin_event(struct gz_sock *s)
{
	for (int i = 0; i < BURST && one(s); i++)
		;
}

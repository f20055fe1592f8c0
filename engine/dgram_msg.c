/* SPDX-License-Identifier: BSD-3-Clause
 *
 * dgram_msg.c - Datagrams with addresses: recvfrom, recvmsg, sendto, sendmsg and kin
 *
 * Each call is run on a duplicate of the shadow and its addresses are translated, in
 * names and in control messages, between the engine's namespace and the program's.
 * What has nothing to translate is left to the kernel (CONTINUE).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "lwip/ip.h"
#include "lwip/ip6.h"

#include "engine/address.h"
#include "engine/alias.h"
#include "engine/calls.h"
#include "engine/counters.h"
#include "engine/dgram.h"
#include "engine/iface.h"
#include "engine/ipv6.h"
#include "engine/msghdr.h"
#include "engine/shadow.h"
#include "engine/udp.h"
#include "engine/udp_twin.h"
#include "engine/udp_ring.h"
#include "engine/worker.h"

#define DATAGRAM_MAX 65536
#define CONTROL_MAX 1024

/* As a program of this architecture has it. */
_Static_assert(sizeof(struct mmsghdr) == 64, "x86-64");

/* --- common -------------------------------------------------------------- */

int64_t gz_dgram_wait(struct gz_call_ctx *c, int flags, short events)
{
	struct pollfd shut = {.fd = c->fd, .events = POLLRDHUP};
	struct timeval tv = {0};
	socklen_t len = sizeof(tv);

	/* The queue of errors is not waited for, recv(2). */
	if ((flags & (MSG_DONTWAIT | MSG_ERRQUEUE)) || (gz_file_flags(c->fd) & O_NONBLOCK))
		return -EAGAIN;
	/* shutdown(SHUT_RD), which only who waits hears of (__skb_wait_for_more_packets()) */
	if (events == POLLIN && poll(&shut, 1, 0) > 0 && shut.revents & POLLRDHUP)
		return 0;
	if (!c->events) {
		getsockopt(c->fd, SOL_SOCKET, events == POLLIN ? SO_RCVTIMEO : SO_SNDTIMEO, &tv,
			   &len);
		c->events = events;
		c->deadline = gz_deadline_of(&tv);
		c->on_deadline = -EAGAIN;
	}
	return GZ_WAIT;
}

/* --- receiving ----------------------------------------------------------- */

/* Whose name is it?  false: it has become stale in the queue. */
static bool translate(const struct sockaddr_storage *ss, struct gz_alias *a)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)ss;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)ss;
	bool v4 = ss->ss_family == AF_INET;
	uint16_t port;

	if (!v4 && ss->ss_family != AF_INET6)
		return false;
	if (!gz_alias_find(v4 ? in->sin_addr.s_addr : gz_name_of(&in6->sin6_addr), a))
		return false;
	port = v4 ? in->sin_port : in6->sin6_port;
	if (!a->peer.port || !port) /* ip_local_error() knows none */
		a->peer.port = port;
	return true;
}

/* Who reported an error, in @m; there may be nobody. */
static void translate_offender(struct cmsghdr *m)
{
	struct sock_extended_err *e = (struct sock_extended_err *)CMSG_DATA(m);
	struct sockaddr_storage ss = {0};
	struct gz_alias from;
	size_t room = m->cmsg_len - CMSG_LEN(sizeof(*e));

	if (m->cmsg_len < CMSG_LEN(sizeof(*e)) || room > sizeof(ss))
		return;
	memcpy(&ss, SO_EE_OFFENDER(e), room);
	if (!translate(&ss, &from))
		return;
	from.peer.port = 0;
	gz_addr_sockaddr(ss.ss_family, from.peer, &ss);
	memcpy(SO_EE_OFFENDER(e), &ss, room);
}

struct gz_end gz_dgram_answers(struct gz_end local, struct gz_end peer)
{
	return gz_end_is_v4(local) && gz_addr_to_many(local) ? gz_addr_source(peer) : local;
}

/* As RFC 3542 has it, or RFC 2292: the two have names of their own for the same. */
static bool is_pktinfo6(const struct cmsghdr *m)
{
	return m->cmsg_level == IPPROTO_IPV6 &&
	       (m->cmsg_type == IPV6_PKTINFO || m->cmsg_type == IPV6_2292PKTINFO);
}

/* Translate one control message, in place. */
static void translate_control(const struct gz_sock *s, struct cmsghdr *m, const struct gz_alias *a)
{
	struct gz_end local = gz_end_is_any(a->local) ? s->local : a->local;
	uint32_t addr = gz_end_v4_addr(local);
	int index = a->at ? gz_iface_index_at(a->at) : gz_addr_ifindex(local);

	if (m->cmsg_level == IPPROTO_IP && m->cmsg_type == IP_PKTINFO) {
		struct gz_end answers = gz_dgram_answers(local, a->peer);
		struct in_pktinfo info = {.ipi_addr.s_addr = addr,
					  .ipi_spec_dst.s_addr = gz_end_v4_addr(answers),
					  .ipi_ifindex = index};

		memcpy(CMSG_DATA(m), &info, sizeof(info));
	} else if (m->cmsg_level == IPPROTO_IP && m->cmsg_type == IP_ORIGDSTADDR) {
		struct sockaddr_in in = {
		    .sin_family = AF_INET, .sin_addr.s_addr = addr, .sin_port = s->local.port};

		memcpy(CMSG_DATA(m), &in, sizeof(in));
	} else if (is_pktinfo6(m)) {
		struct in6_pktinfo info = {.ipi6_addr = local.addr,
					   .ipi6_ifindex = (unsigned)index};

		memcpy(CMSG_DATA(m), &info, sizeof(info));
	} else if (m->cmsg_level == IPPROTO_IPV6 && m->cmsg_type == IPV6_ORIGDSTADDR) {
		struct sockaddr_storage ss;

		local.port = s->local.port;
		memcpy(CMSG_DATA(m), &ss, gz_addr_sockaddr(AF_INET6, local, &ss));
	} else if ((m->cmsg_level == IPPROTO_IP && m->cmsg_type == IP_RECVERR) ||
		   (m->cmsg_level == IPPROTO_IPV6 && m->cmsg_type == IPV6_RECVERR)) {
		translate_offender(m);
	}
}

/* A message of the queue of errors that is of none: what was sent comes back, with its time. */
static bool tells_of_sent(struct msghdr *h)
{
	struct sock_extended_err e;

	for (struct cmsghdr *m = CMSG_FIRSTHDR(h); m; m = CMSG_NXTHDR(h, m)) {
		if (!((m->cmsg_level == IPPROTO_IP && m->cmsg_type == IP_RECVERR) ||
		      (m->cmsg_level == IPPROTO_IPV6 && m->cmsg_type == IPV6_RECVERR)) ||
		    m->cmsg_len < CMSG_LEN(sizeof(e)))
			continue;
		memcpy(&e, CMSG_DATA(m), sizeof(e));
		return e.ee_origin == SO_EE_ORIGIN_TIMESTAMPING;
	}
	return false;
}

/* Addresses and ports of a frame that the shadow has sent; @n bytes of it are at @b. */
static void translate_sent(const struct gz_sock *s, char *b, size_t n)
{
	uint8_t *ip = (uint8_t *)b + ETHER_HDR_LEN, *ports;
	size_t header = IP_HLEN, at = 12;
	uint16_t proto, sum = 0;
	struct in6_addr dst6;
	struct gz_end local;
	struct gz_alias to;
	uint32_t name;

	if (n < ETHER_HDR_LEN)
		return;
	memcpy(&proto, b + ETHER_HDR_LEN - sizeof(proto), sizeof(proto));
	if (proto == htons(ETHERTYPE_IPV6)) {
		header = IP6_HLEN;
		at = 8;
	}
	if (n < ETHER_HDR_LEN + header + 4)
		return;
	memcpy(&name, ip + 16, sizeof(name));
	if (at == 8)
		memcpy(&dst6, ip + 24, sizeof(dst6));
	if (!gz_alias_find(at == 8 ? gz_name_of(&dst6) : name, &to) ||
	    gz_end_is_v4(to.peer) != (at != 8))
		return;
	local = gz_end_is_any(to.local) ? s->local : to.local;
	if (gz_end_is_any(local))
		local = gz_addr_source(to.peer);
	local.port = s->local.port;
	at += gz_end_put(ip + at, local);
	gz_end_put(ip + at, to.peer);
	ports = ip + header;
	memcpy(ports, &local.port, 2);
	memcpy(ports + 2, &to.peer.port, 2);
	if (header == IP6_HLEN)
		return;
	memcpy(ip + 10, &sum, sizeof(sum));
	sum = (uint16_t)~gz_chksum(ip, IP_HLEN);
	memcpy(ip + 10, &sum, sizeof(sum));
}

/* Whom a datagram is from; len 0: nobody, it is none */
struct name {
	struct sockaddr_storage ss;
	socklen_t len;
};

/* One datagram into @m, whose pointers are the program's; its lengths and flags are
 * set.  Return: as recvmsg(2), or -EAGAIN */
static int64_t receive(struct gz_call_ctx *c, struct msghdr *m, struct name *name, struct iovec *v,
		       size_t nv, int64_t room, int flags)
{
	struct sockaddr_storage from;
	char buf[DATAGRAM_MAX];
	_Alignas(struct cmsghdr) char control[CONTROL_MAX];
	struct iovec in = {buf, (size_t)(room > DATAGRAM_MAX ? DATAGRAM_MAX : room)};
	struct msghdr h;
	struct gz_alias a;
	size_t left, put = 0;
	bool passed = false;
	ssize_t n;
	int err;

	do {
		h = (struct msghdr){
		    .msg_name = &from,
		    .msg_namelen = sizeof(from),
		    .msg_iov = &in,
		    .msg_iovlen = 1,
		    .msg_control = control,
		    .msg_controllen = sizeof(control),
		};
		n = recvmsg(c->fd, &h, flags | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN && !passed && !(flags & MSG_ERRQUEUE) &&
		    !c->s->dgram.ping) {
			/* A send() that has returned may be under way. */
			gz_udp_ring_pass(c->s->client->plane);
			gz_udp_pass();
			passed = true;
			n = recvmsg(c->fd, &h, flags | MSG_DONTWAIT);
		}
		if (n < 0)
			return -errno;
		memset(&a, 0, sizeof(a));
		/* shutdown(SHUT_RD) has no name; a peeked one must be taken first. */
		if (!h.msg_namelen || translate(&from, &a))
			break;
		gz_count(GZ_C_UDP_DROPPED);
		if (flags & MSG_PEEK)
			recv(c->fd, buf, 0, MSG_DONTWAIT);
	} while (1);
	left = (size_t)n < in.iov_len ? (size_t)n : in.iov_len;
	if (flags & MSG_ERRQUEUE && tells_of_sent(&h))
		translate_sent(c->s, buf, left);
	err = gz_msghdr_scatter(c, v, nv, 0, buf, left);
	if (err)
		return err;
	name->len = h.msg_namelen ? gz_addr_sockaddr(c->s->family, a.peer, &name->ss) : 0;
	m->msg_flags = h.msg_flags | (flags & MSG_CMSG_CLOEXEC);
	for (struct cmsghdr *x = CMSG_FIRSTHDR(&h), *next; x; x = next) {
		next = CMSG_NXTHDR(&h, x); /* before its length is cut */
		translate_control(c->s, x, &a);
		err = gz_msghdr_put(c, m, &put, x);
		if (err)
			return err;
	}
	m->msg_controllen = put;
	return n;
}

int64_t gz_dgram_recvfrom(struct gz_call_ctx *c)
{
	struct iovec v = {(void *)(uintptr_t)c->args[1], (size_t)c->args[2]};
	struct msghdr m = {.msg_name = (void *)(uintptr_t)c->args[4]};
	int flags = (int)c->args[3];
	struct name from = {.len = 0};
	int64_t n, err;

	if (!m.msg_name)
		return GZ_CONTINUE; /* it trapped for its flags: the shadow knows them */
	n = receive(c, &m, &from, &v, 1, v.iov_len > INT32_MAX ? INT32_MAX : (int64_t)v.iov_len,
		    flags);
	if (n == -EAGAIN)
		n = gz_dgram_wait(c, flags, POLLIN);
	if (n < 0)
		return n;
	/* move_addr_to_user(): the name's room is looked at when the datagram is gone. */
	err = gz_addr_write_raw(c, &from.ss, (int)from.len, c->args[4], c->args[5]);
	return err ? err : n;
}

/* The message header at @addr. */
static int64_t receive_at(struct gz_call_ctx *c, uint64_t addr, int flags)
{
	struct iovec v[GZ_IOVS_MAX];
	struct name from;
	struct msghdr m;
	int64_t room, n;
	int err = 0;

	room = gz_msghdr_read(c, addr, &m, v);
	if (room < 0)
		return room;
	n = receive(c, &m, &from, v, m.msg_iovlen, room, flags);
	if (n < 0)
		return n;
	if (m.msg_name)
		err = gz_app_write(c->tid, (uintptr_t)m.msg_name, &from.ss,
				   m.msg_namelen < from.len ? m.msg_namelen : from.len);
	m.msg_namelen = from.len;
	if (!err)
		err = gz_msghdr_told(c, addr, &m);
	return err ? err : n;
}

int64_t gz_dgram_recvmsg(struct gz_call_ctx *c)
{
	int flags = (int)c->args[2];
	int64_t n = receive_at(c, c->args[1], flags);

	return n == -EAGAIN ? gz_dgram_wait(c, flags, POLLIN) : n;
}

static int64_t wait_for_one(struct gz_call_ctx *c, int flags)
{
	return gz_dgram_wait(c, flags, POLLIN);
}

int64_t gz_dgram_recvmmsg(struct gz_call_ctx *c)
{
	return gz_msghdr_recvmmsg(c, receive_at, wait_for_one);
}

/* --- sending ------------------------------------------------------------- */

/* What IP_PKTINFO or IPV6_PKTINFO said: where from, and by which interface; nothing: zeros */
struct source {
	struct gz_end local;
	unsigned index;
	uint8_t at; /* the same, as gz_iface_bound() has it */
};

/* The interface of @from.  Return: 0 or -ENODEV */
static int interface_of(struct source *from)
{
	const struct gz_port *p = gz_iface_by_index((int)from->index);

	if (p)
		from->at = (uint8_t)(GZ_AT_PORT + (p - gz_ports));
	else if (from->index == (unsigned)gz_addr_ifindex(gz_addr_loopback(true)))
		from->at = GZ_AT_LO;
	return from->at || !from->index ? 0 : -ENODEV;
}

/* ip6_datagram_send_ctl(): not by another one than the socket is bound to, and what is link-local
 * is so on a link.  Return: 0 or -EINVAL */
static int fits(const struct gz_sock *s, struct source *from)
{
	if (gz_end_is_v4(from->local))
		return 0;
	if ((from->at && s->opt.at && from->at != s->opt.at) ||
	    (IN6_IS_ADDR_LINKLOCAL(&from->local.addr) && from->at < GZ_AT_PORT))
		return -EINVAL;
	if (from->at >= GZ_AT_PORT)
		gz_addr_set_scope(&from->local, (unsigned)from->at - GZ_AT_PORT);
	return 0;
}

/* IP_PKTINFO or IPV6_PKTINFO, @x.  Return: 0 or -errno */
static int source_of(const struct gz_sock *s, const struct cmsghdr *x, bool by_twin,
		     struct source *from)
{
	struct in6_pktinfo info6;
	struct in_pktinfo info;
	int err;

	if (x->cmsg_level == IPPROTO_IP) {
		if (x->cmsg_len != CMSG_LEN(sizeof(info)))
			return -EINVAL;
		memcpy(&info, CMSG_DATA(x), sizeof(info));
		*from = (struct source){.local = gz_end_v4(info.ipi_spec_dst.s_addr, 0),
					.index = (unsigned)info.ipi_ifindex};
	} else {
		if (x->cmsg_len < CMSG_LEN(sizeof(info6)))
			return -EINVAL;
		memcpy(&info6, CMSG_DATA(x), sizeof(info6));
		*from = (struct source){.local = gz_ipv6_end(&info6.ipi6_addr, 0),
					.index = info6.ipi6_ifindex};
	}
	if (by_twin)
		return 0; /* the kernel's own will say */
	err = interface_of(from);
	if (!err)
		err = fits(s, from);
	if (err)
		return err;
	if (gz_end_is_any(from->local) || gz_addr_is_local(from->local))
		return 0;
	/* ip_route_output_key_hash_rcu(), ip6_datagram_send_ctl() */
	return x->cmsg_level == IPPROTO_IP && !gz_addr_to_many(from->local) ? -ENETUNREACH
									    : -EINVAL;
}

/* Does the shadow's own sendmsg() know what to do with it?  (Extension headers would
 * not come out at the other side.) */
static bool passes(const struct cmsghdr *x)
{
	return x->cmsg_level != IPPROTO_IPV6 || x->cmsg_type == IPV6_HOPLIMIT ||
	       x->cmsg_type == IPV6_2292HOPLIMIT || x->cmsg_type == IPV6_TCLASS;
}

/*
 * The control messages of @m: those for the shadow go to @pass, where from and by which
 * interface to @from.  Return: bytes in @pass, or -errno
 */
static int64_t read_control(struct gz_call_ctx *c, const struct msghdr *m, bool by_twin, char *pass,
			    struct source *from)
{
	_Alignas(struct cmsghdr) char control[CONTROL_MAX];
	struct msghdr in = {.msg_control = control, .msg_controllen = m->msg_controllen};
	size_t put = 0;
	int err;

	if (m->msg_controllen > sizeof(control))
		return -ENOBUFS;
	err = gz_app_read(c->tid, (uintptr_t)m->msg_control, control, m->msg_controllen);
	for (struct cmsghdr *x = CMSG_FIRSTHDR(&in); x && !err; x = CMSG_NXTHDR(&in, x)) {
		if (x->cmsg_len < sizeof(*x) ||
		    x->cmsg_len > (size_t)(control + m->msg_controllen - (char *)x))
			return -EINVAL;
		if ((x->cmsg_level == IPPROTO_IP && x->cmsg_type == IP_PKTINFO) || is_pktinfo6(x)) {
			err = source_of(c->s, x, by_twin, from);
			continue;
		}
		if (!passes(x)) {
			gz_count(GZ_C_REFUSED_CONTROL);
			return -EINVAL;
		}
		memcpy(pass + put, x, x->cmsg_len);
		put += CMSG_ALIGN(x->cmsg_len);
	}
	return err ? err : (int64_t)put;
}

/* What read_control() took out, @from, for the kernel again; @h has room at @at. */
static void put_source(struct msghdr *h, char *at, struct gz_end peer, const struct source *from)
{
	struct cmsghdr *x = (struct cmsghdr *)(at + h->msg_controllen);
	struct in6_pktinfo info6 = {.ipi6_addr = from->local.addr, .ipi6_ifindex = from->index};
	struct in_pktinfo info = {.ipi_spec_dst.s_addr = gz_end_v4_addr(from->local),
				  .ipi_ifindex = (int)from->index};
	bool v4 = gz_end_is_v4(peer);

	if (gz_end_is_any(from->local) && !from->index)
		return;
	x->cmsg_level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
	x->cmsg_type = v4 ? IP_PKTINFO : IPV6_PKTINFO;
	x->cmsg_len = v4 ? CMSG_LEN(sizeof(info)) : CMSG_LEN(sizeof(info6));
	memcpy(CMSG_DATA(x), v4 ? (void *)&info : (void *)&info6,
	       v4 ? sizeof(info) : sizeof(info6));
	h->msg_control = at;
	h->msg_controllen += v4 ? CMSG_SPACE(sizeof(info)) : CMSG_SPACE(sizeof(info6));
}

/*
 * What @m says, with the @n bytes of @v, which are read last (ip_make_skb()).  Return: as
 * sendmsg(2); GZ_CONTINUE when a kernel socket has taken the descriptor's place
 */
static int64_t send_one(struct gz_call_ctx *c, const struct msghdr *m, const struct iovec *v,
			size_t n, int flags)
{
	char buf[DATAGRAM_MAX], *at = buf;
	_Alignas(struct cmsghdr) char pass[CONTROL_MAX + CMSG_SPACE(sizeof(struct in6_pktinfo))];
	struct sockaddr_storage ss;
	struct iovec out = {buf, n};
	struct msghdr h = {.msg_iov = &out, .msg_iovlen = 1};
	struct gz_end peer = {0};
	struct source from = {.at = 0};
	struct gz_sock *s = c->s;
	uint32_t alias = s->dgram.alias;
	uint8_t iface;
	bool named = m->msg_name, by_twin = false;
	int64_t r;

	/* udpv6_sendmsg() looks at the address first. */
	if (n > UINT16_MAX && s->family == AF_INET)
		r = -EMSGSIZE;
	else
		r = named ? gz_dgram_target(c, (uintptr_t)m->msg_name, (int)m->msg_namelen, &peer,
					    false, &by_twin)
			  : 0;
	r = gz_dgram_with_port(c, r);
	if (r)
		return r;
	/* udpv6_sendmsg() does not look at it. */
	if (flags & MSG_OOB && gz_end_is_v4(named ? peer : s->peer))
		return -EOPNOTSUPP;
	if (m->msg_control && m->msg_controllen) {
		r = read_control(c, m, by_twin, pass, &from);
		if (r < 0)
			return r;
		h.msg_control = r ? pass : NULL;
		h.msg_controllen = (size_t)r;
	}
	if (!named && (!gz_end_is_any(from.local) || from.at) &&
	    gz_sock_state(s) == GZ_ESTABLISHED) {
		peer = s->peer;
		named = true;
	}
	if (named && !by_twin) {
		if (from.at >= GZ_AT_PORT)
			gz_addr_set_scope(&peer, (unsigned)from.at - GZ_AT_PORT);
		if (!gz_addr_routed_at(peer, peer.scope || from.at ? from.at : s->opt.at))
			return -ENETUNREACH;
	}
	if (by_twin) {
		h.msg_name = &ss;
		h.msg_namelen = gz_addr_sockaddr(s->family, peer, &ss);
		put_source(&h, pass, peer, &from);
	} else if (named) {
		alias = gz_alias_get(peer, from.local, from.at, false);
		if (!alias)
			return -ENOBUFS;
		h.msg_name = &ss;
		h.msg_namelen = gz_dgram_inner(s, alias, !gz_end_is_v4(peer), &ss);
	}
	iface = from.at ? from.at : s->opt.at;
	if (n > UINT16_MAX || (!by_twin && gz_udp_too_large(s, named ? peer : s->peer, iface, n))) {
		if (!by_twin && alias)
			gz_udp_say_large(s, c->fd, &h, alias, named ? peer : s->peer, iface, n);
		return -EMSGSIZE;
	}
	for (size_t i = 0; i < m->msg_iovlen; at += v[i++].iov_len) {
		r = gz_app_read(c->tid, (uintptr_t)v[i].iov_base, at, v[i].iov_len);
		if (r)
			return r;
	}
	if (by_twin)
		return gz_udp_twin_send(s, &h, flags & ~MSG_OOB);
	r = sendmsg(c->fd, &h, (flags & ~MSG_OOB) | MSG_DONTWAIT | MSG_NOSIGNAL);
	if (r < 0)
		return -errno;
	/* It is there when the call returns, as with the kernel. */
	if (!named)
		peer = s->peer;
	if (!s->dgram.ping &&
	    (gz_addr_is_local(peer) || gz_addr_to_many(peer) || gz_udp_ring_is(s)))
		gz_udp_pass();
	if (named)
		gz_udp_ring_approve(s, peer, from.local, from.at);
	return r;
}

/* What waits for more is the shadow's, and so is all that comes after it. */
static void leave_for_more(struct gz_call_ctx *c, int flags)
{
	if (flags & MSG_MORE)
		gz_udp_ring_refuse(c, GZ_OFF_CALL);
}

/* To its peer: the shadow can do it, or has the error. */
static int64_t native(struct gz_call_ctx *c)
{
	int err = gz_dgram_autobind(c);

	return err ? err : GZ_CONTINUE;
}

int64_t gz_dgram_sendto(struct gz_call_ctx *c)
{
	struct msghdr m = {
	    .msg_name = (void *)(uintptr_t)c->args[4],
	    .msg_namelen = (socklen_t)c->args[5],
	    .msg_iovlen = 1,
	};
	struct iovec v = {(void *)(uintptr_t)c->args[1], (size_t)c->args[2]};
	int flags = (int)c->args[3];
	int64_t r;

	leave_for_more(c, flags);
	if (!m.msg_name)
		return native(c);
	r = send_one(c, &m, &v, v.iov_len, flags);
	return r == -EAGAIN ? gz_dgram_wait(c, flags, POLLOUT) : r;
}

/* Has it anything that must be translated? */
static bool plain(const struct msghdr *m)
{
	return !m->msg_name && !(m->msg_control && m->msg_controllen);
}

static int64_t send_at(struct gz_call_ctx *c, const struct msghdr *m, int flags)
{
	struct iovec v[GZ_IOVS_MAX];
	int64_t sum = gz_msghdr_iov(c, m, v);

	if (sum < 0)
		return sum;
	return send_one(c, m, v, (size_t)sum, flags);
}

int64_t gz_dgram_sendmsg(struct gz_call_ctx *c)
{
	int flags = (int)c->args[2];
	struct msghdr m;
	int64_t r;

	leave_for_more(c, flags);
	r = gz_app_read(c->tid, c->args[1], &m, sizeof(m));
	if (r)
		return r;
	if (plain(&m))
		return native(c);
	r = send_at(c, &m, flags);
	return r == -EAGAIN ? gz_dgram_wait(c, flags, POLLOUT) : r;
}

int64_t gz_dgram_sendmmsg(struct gz_call_ctx *c)
{
	unsigned vlen = (unsigned)c->args[2] > GZ_IOVS_MAX ? GZ_IOVS_MAX : (unsigned)c->args[2];
	int flags = (int)c->args[3];

	leave_for_more(c, flags);
	while (c->done < vlen) {
		uint64_t at = c->args[1] + c->done * sizeof(struct mmsghdr);
		struct mmsghdr m;
		int64_t r = gz_app_read(c->tid, at, &m, sizeof(m));

		if (!r)
			r = send_at(c, &m.msg_hdr, flags);
		if (r == GZ_CONTINUE)
			return r; /* the first one: all of them are the kernel's now */
		if (r == -EAGAIN) {
			r = gz_dgram_wait(c, flags, POLLOUT);
			if (r == GZ_WAIT) {
				if (c->done)
					c->on_deadline = c->done;
				return r;
			}
		}
		if (r >= 0) {
			m.msg_len = (unsigned)r;
			r = gz_app_write(c->tid, at + offsetof(struct mmsghdr, msg_len), &m.msg_len,
					 sizeof(m.msg_len));
		}
		if (r < 0)
			return c->done ? (int64_t)c->done : r;
		c->done++;
	}
	return c->done;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * udp.c - UDP: from and to the wire, the shadows, and other sockets of the engine
 *
 * Theory of operation.  Who has which port is known to ports.c, where this file
 * looks for the sockets that a datagram is for; lwIP makes and takes IP packets,
 * fragments and reassembles them, and its own udp.c has no pcb (the callers of
 * udp_input() and icmp_input() are compiled to call ours, see the Makefile).
 *
 * The other side is the loopback of the engine's network namespace, where each
 * UDP socket of a program has its shadow (dgram.c, alias.h, inner.h):
 *
 *   to a program     a UDP packet through a raw socket, from the peer's alias to the
 *                    shadow, with the TTL and TOS that came; what the shadow has no
 *                    room for is dropped there, by its SO_RCVBUF
 *   from a program   all of it arrives at one socket a family, from the shadow's port
 *                    to an alias, which says who it goes to
 *   ICMP errors      raw as well: the kernel finds the shadow that they quote, and
 *                    makes ECONNREFUSED of them, or IP_RECVERR's messages
 *
 * Both families go the same way, by endpoints (end.h); they part where headers are.
 * A socket's addresses are read under its lock, so that connect() takes effect
 * between two datagrams.
 *
 * Between two programs of the engine a datagram is to be there when sendto() returns.
 * So what programs sent is handed on by whoever asks for it, the worker or a service
 * thread (gz_udp_pass()), under one lock; what goes to the wire is the worker's.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lwip/icmp.h"
#include "lwip/icmp6.h"
#include "lwip/inet_chksum.h"
#include "lwip/ip.h"
#include "lwip/ip6.h"
#include "lwip/nd6.h"
#include "lwip/pbuf.h"
#include "lwip/udp.h"

#include "engine/address.h"
#include "engine/alias.h"
#include "engine/client.h"
#include "engine/counters.h"
#include "engine/dgram.h"
#include "engine/icmp.h"
#include "engine/iface.h"
#include "engine/inner.h"
#include "engine/ipv6.h"
#include "engine/multicast.h"
#include "engine/ping.h"
#include "engine/ports.h"
#include "engine/sock.h"
#include "engine/udp.h"
#include "engine/udp_twin.h"
#include "engine/udp_ring.h"
#include "engine/worker.h"

void gz_udp_input(struct pbuf *p, struct netif *inp);

#define UDP_HEADER 8u
#define RX_BATCH 8
#define RX_BYTES 65536
#define IOV_MAX_HERE 256
#define SAME_PORT 256 /* sockets that share a port, at most */
#define ROOM (16 << 20)
#define FRAG_NEEDED 4 /* RFC 1191 section 4 */

/** A datagram that waits for the worker to send it. */
struct outgoing {
	STAILQ_ENTRY(outgoing) next;
	struct gz_datagram d;
	struct iovec data;
	char bytes[];
};

static struct {
	pthread_mutex_t lock; /* of all that is here; before any socket's */
	STAILQ_HEAD(, outgoing) out[GZ_WORKERS_MAX];
	uint32_t rung; /* workers whose bell was read by another thread: bits */
	int rx, rx6;   /* what programs send */
	struct mmsghdr msg[RX_BATCH];
	struct iovec iov[RX_BATCH];
	struct sockaddr_storage from[RX_BATCH];
	char control[RX_BATCH][128];
	char buf[RX_BATCH][RX_BYTES];
} udp = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .rx = -1,
    .rx6 = -1,
};

/* --- to the shadows ------------------------------------------------------ */

static void udp_header(uint8_t *h, unsigned sport, unsigned dport, size_t len)
{
	uint16_t v[4] = {htons((uint16_t)sport), htons((uint16_t)dport),
			 htons((uint16_t)(UDP_HEADER + len)), 0};

	memcpy(h, v, sizeof(v));
}

/*
 * Whether @s hears of @peer by IPv6.  Linux's disconnect leaves sk_v6_daddr behind, and
 * what comes by IPv6 from elsewhere is not this socket's any more (compute_score() in
 * net/ipv6/udp.c); by IPv4 it takes datagrams from everybody again.  Of the stack's sockets score()
 * says so; their shadows, whose peer is an alias, would hear of nobody.
 */
bool gz_udp_by_v6(const struct gz_sock *s, struct gz_end peer)
{
	return !gz_end_is_v4(peer) && !s->dgram.old_peer;
}

bool gz_udp_is_peer(const struct gz_sock *s, struct gz_end end)
{
	return gz_end_same_addr(s->peer, end) && (!s->peer.port || s->peer.port == end.port);
}

bool gz_udp_inject(struct gz_sock *s, const struct gz_datagram *d)
{
	struct gz_inner ip = {
	    .v6 = gz_udp_by_v6(s, d->src),
	    .src = gz_udp_is_peer(s, d->src) ? s->dgram.alias : 0,
	    .proto = IPPROTO_UDP,
	    .ttl = d->ttl,
	    .tos = d->tos,
	};
	uint8_t h[UDP_HEADER];
	struct iovec v[IOV_MAX_HERE + 1] = {{h, sizeof(h)}};
	struct gz_end peer = d->src, local = d->dst;
	unsigned sport = ip.src && s->peer.port ? GZ_ALIAS_PORT : ntohs(peer.port);

	if (!ip.src) {
		peer.port = local.port = 0;
		ip.src = gz_alias_get(peer, local, gz_udp_came_to(d), false);
	}
	if (!ip.src || d->ndata > IOV_MAX_HERE)
		return false;
	udp_header(h, sport, s->dgram.nest, d->len);
	memcpy(v + 1, d->data, (size_t)d->ndata * sizeof(*v));
	return gz_inner_datagram(&ip, v, d->ndata + 1);
}

/* A byte for the shadow of @s, whoever waits there: it looks at the ring */
bool gz_udp_token(struct gz_sock *s)
{
	bool connected = s->dgram.alias;
	struct gz_inner ip = {
	    .v6 = connected && gz_udp_by_v6(s, s->peer),
	    .src = s->dgram.alias,
	    .proto = IPPROTO_UDP,
	    .ttl = 64,
	};
	uint8_t h[UDP_HEADER];
	struct iovec v[] = {{h, sizeof(h)}, {(void *)"", 1}};

	udp_header(h, GZ_ALIAS_PORT, s->dgram.nest, 1);
	return gz_inner_datagram(&ip, v, 2);
}

/* Hand @d to the program; @s locked. */
static bool to_program(struct gz_sock *s, const struct gz_datagram *d)
{
	if (!(gz_udp_ring_is(s) ? gz_udp_ring_put(s, d) : gz_udp_inject(s, d)))
		return false;
	atomic_fetch_add_explicit(&s->rx_bytes, d->len, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->client->rx_bytes, d->len, memory_order_relaxed);
	return true;
}

/* What @s sent, @d, to the alias @to, came back with an error; @s locked. */
static void error_of(struct gz_sock *s, const struct gz_datagram *d, uint32_t to,
		     struct gz_end offender, const struct gz_icmp *e)
{
	uint8_t h[UDP_HEADER];

	if (gz_udp_by_v6(s, d->dst) != !gz_end_is_v4(d->dst))
		return;
	udp_header(h, s->dgram.nest, GZ_ALIAS_PORT, d->len);
	gz_icmp_to_shadow(d, IPPROTO_UDP, to, h, offender, e);
	gz_udp_ring_error(s);
}

/* The same, whatever the alias */
static void error_to_shadow(struct gz_sock *s, const struct gz_datagram *d, struct gz_end offender,
			    const struct gz_icmp *e)
{
	uint32_t to = s->dgram.alias;

	if (!to)
		to = gz_alias_get(d->dst, gz_end_v4(0, 0), 0, false);
	error_of(s, d, to, offender, e);
}

/* --- who is it for? ------------------------------------------------------ */

/* The interface that has the address, whichever way it went (inet_iif()) */
static bool by_lo(const struct gz_datagram *d)
{
	return gz_addr_is_loopback(gz_addr_to_many(d->dst) ? d->src : d->dst);
}

/* What is from here came to that which has the address, of many to the one that it left by. */
uint8_t gz_udp_came_to(const struct gz_datagram *d)
{
	struct gz_end own = gz_addr_to_many(d->dst) ? d->src : d->dst;

	if (by_lo(d))
		return GZ_AT_LO;
	return d->at ? d->at : (uint8_t)(GZ_AT_PORT + (gz_addr_port(own) - gz_ports));
}

/* By an interface that was named: from the other kind there is no way there. */
static bool has_way(const struct gz_datagram *d)
{
	if (d->at == GZ_AT_LO)
		return gz_addr_is_local(d->dst) || by_lo(d);
	return !d->at || !by_lo(d);
}

/* As compute_score() in net/ipv4/udp.c; -1: not for this one.  @s locked. */
static int score(struct gz_sock *s, const struct gz_datagram *d)
{
	int n = s->family == AF_INET ? 1 : 0; /* before a dual-stack one */

	if (atomic_load(&s->closed) || s->local.port != d->dst.port || gz_udp_ring_is_closed(s))
		return -1;
	if (!gz_end_is_any(s->local)) {
		if (!gz_end_same_addr(s->local, d->dst))
			return -1;
		n += 8; /* Linux looks for these first, in a table of their own */
	}
	if (gz_sock_state(s) == GZ_ESTABLISHED) {
		if (!gz_udp_is_peer(s, d->src))
			return -1;
		n += 4;
	} else if (s->dgram.old_peer && !gz_end_is_v4(d->src) &&
		   !gz_end_same_addr(s->dgram.old, d->src)) {
		return -1; /* see gz_udp_by_v6() */
	}
	if (*s->opt.device) { /* SO_BINDTODEVICE */
		if (gz_udp_came_to(d) != s->opt.at)
			return -1;
		n += 4;
	}
	return n;
}

static int score_locked(struct gz_sock *s, const struct gz_datagram *d)
{
	int n;

	pthread_mutex_lock(&s->lock);
	n = score(s, d);
	pthread_mutex_unlock(&s->lock);
	return n;
}

/* Which of those with SO_REUSEPORT and the same score (socket(7))? */
static struct gz_sock *spread(struct gz_sock **v, const int *points, unsigned n, int best,
			      const struct gz_datagram *d)
{
	unsigned share = 0, pick;

	for (unsigned i = 0; i < n; i++)
		share += points[i] == best && v[i]->claim.reuseport;
	pick = (unsigned)((gz_end_hash(d->src) ^ gz_end_hash(d->dst) << 1) >> 7) % share;
	for (unsigned i = 0; i < n; i++)
		if (points[i] == best && v[i]->claim.reuseport && pick-- == 0)
			return v[i];
	return NULL;
}

bool gz_udp_deliver(const struct gz_datagram *d, bool to_many)
{
	struct gz_sock *v[SAME_PORT], *to = NULL;
	int points[SAME_PORT], best = -1;
	unsigned n = gz_claims_udp(d->dst, v, SAME_PORT);
	bool found = false;

	for (unsigned i = 0; i < n; i++) {
		points[i] = score_locked(v[i], d);
		if (to_many && points[i] >= 0 &&
		    gz_groups_allow(v[i], d->dst, d->src, gz_udp_came_to(d))) {
			found = true;
			to = v[i];
			pthread_mutex_lock(&to->lock);
			if (!to_program(to, d))
				gz_count(GZ_C_UDP_DROPPED);
			pthread_mutex_unlock(&to->lock);
		} else if (points[i] > best) {
			best = points[i];
			to = v[i];
		}
	}
	if (!to_many && to) {
		found = true;
		if (to->claim.reuseport)
			to = spread(v, points, n, best, d);
		pthread_mutex_lock(&to->lock);
		if (!to_program(to, d))
			gz_count(GZ_C_UDP_DROPPED);
		pthread_mutex_unlock(&to->lock);
	}
	for (unsigned i = 0; i < n; i++)
		gz_sock_unref(v[i]);
	return found;
}

void gz_udp_give(struct gz_sock *s, const struct gz_datagram *d)
{
	pthread_mutex_lock(&s->lock);
	if (score(s, d) >= 0 && !to_program(s, d))
		gz_count(GZ_C_UDP_DROPPED);
	pthread_mutex_unlock(&s->lock);
}

void gz_udp_error(const struct gz_datagram *d, struct gz_end offender, const struct gz_icmp *e)
{
	struct gz_datagram back = {.src = d->dst, .dst = d->src};
	struct gz_sock *v[SAME_PORT];
	unsigned n = gz_claims_udp(d->src, v, SAME_PORT);

	for (unsigned i = 0; i < n; i++) {
		pthread_mutex_lock(&v[i]->lock);
		if (score(v[i], &back) >= 0)
			error_to_shadow(v[i], d, offender, e);
		pthread_mutex_unlock(&v[i]->lock);
		gz_sock_unref(v[i]);
	}
}

/* --- from the programs --------------------------------------------------- */

/* An error of this host's about @d, which quotes what ICMP does (icmp_send()) */
static void error_of_own(const struct gz_datagram *d, struct gz_end offender,
			 const struct gz_icmp *e)
{
	size_t most = gz_end_is_v4(d->dst) ? 576 - 20 - 8 - 20 - 8 : 1280 - 40 - 8 - 40 - 8;
	struct iovec data = {d->data[0].iov_base, d->len < most ? d->len : most};
	struct gz_datagram quoted = *d;

	quoted.data = &data;
	quoted.len = data.iov_len;
	gz_udp_error(&quoted, offender, e);
}

void gz_udp_refuse(const struct gz_datagram *d)
{
	struct gz_icmp e = gz_icmp_no_port(!gz_end_is_v4(d->dst));

	gz_count(GZ_C_UDP_NO_PORT);
	error_of_own(d, d->dst, &e);
}

bool gz_udp_too_large(const struct gz_sock *s, struct gz_end dst, uint8_t at, size_t len)
{
	bool v4 = gz_end_is_v4(dst);

	return s->dgram.whole[v4] && !gz_addr_is_local(dst) &&
	       len + UDP_HEADER + (v4 ? IP_HLEN : IP6_HLEN) > gz_addr_port_at(dst, at)->mtu;
}

/* What a router would tell of the MTU. */
static struct gz_icmp too_big(struct gz_end dst, uint8_t at)
{
	bool v4 = gz_end_is_v4(dst);

	return (struct gz_icmp){v4 ? ICMP_DUR : ICMP6_TYPE_PTB, v4 ? FRAG_NEEDED : 0,
				gz_addr_port_at(dst, at)->mtu};
}

/* A native send(), of which the shadow did not know better: the next one has EMSGSIZE. */
static void refuse_size(const struct gz_datagram *d)
{
	struct gz_icmp e = too_big(d->dst, d->at);

	gz_count(GZ_C_UDP_TX_DROPPED);
	error_of_own(d, d->src, &e);
}

/* By an ICMP error that is none to the socket (__udp4_lib_err()) the shadow @fd knows the MTU of
 * the alias @to. */
static void tell_mtu_v4(struct gz_sock *s, int fd, uint32_t to, struct gz_end peer, uint8_t at)
{
	int was = gz_dgram_option(fd, IPPROTO_IP, IP_MTU_DISCOVER), dont = IP_PMTUDISC_DONT;
	struct iovec none = {(void *)"", 0};
	struct gz_datagram d = {.src = s->local, .dst = peer, .data = &none, .ndata = 1};
	struct gz_icmp e = too_big(peer, at);

	setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &dont, sizeof(dont));
	error_of(s, &d, to, s->local, &e);
	setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &was, sizeof(was));
}

/* By IPV6_MTU; @mtu 0: what the program said of it */
static void set_mtu_v6(struct gz_sock *s, int fd, int mtu)
{
	int own = (int)s->dgram.mtu;

	mtu = mtu && (!own || mtu < own) ? mtu : own;
	setsockopt(fd, IPPROTO_IPV6, IPV6_MTU, &mtu, sizeof(mtu));
}

void gz_udp_tell_mtu(struct gz_sock *s, int fd)
{
	bool v4 = gz_end_is_v4(s->peer);
	bool whole =
	    gz_sock_state(s) == GZ_ESTABLISHED && s->dgram.whole[v4] && !gz_addr_is_local(s->peer);

	if (!v4)
		set_mtu_v6(s, fd, whole ? (int)gz_addr_port_at(s->peer, s->opt.at)->mtu : 0);
	else if (whole)
		tell_mtu_v4(s, fd, s->dgram.alias, s->peer, s->opt.at);
}

void gz_udp_say_large(struct gz_sock *s, int fd, struct msghdr *m, uint32_t to, struct gz_end peer,
		      uint8_t at, size_t len)
{
	static const char nothing[UINT16_MAX];
	struct iovec v = {(void *)(uintptr_t)nothing, LWIP_MIN(len, sizeof(nothing))};
	bool v4 = gz_end_is_v4(peer);

	if (v4 && len > sizeof(nothing))
		return; /* udp_sendmsg() does not come as far */
	if (!(v4 ? gz_dgram_option(fd, IPPROTO_IP, IP_RECVERR) &&
		       gz_dgram_option(fd, IPPROTO_IP, IP_MTU_DISCOVER) == IP_PMTUDISC_DO
		 : gz_dgram_option(fd, IPPROTO_IPV6, IPV6_RECVERR)))
		return;
	pthread_mutex_lock(&s->lock);
	if (v4)
		tell_mtu_v4(s, fd, to, peer, at);
	else
		set_mtu_v6(s, fd, (int)gz_addr_port_at(peer, at)->mtu);
	m->msg_iov = &v;
	m->msg_iovlen = 1;
	/* It fails: the error is in the queue. */
	sendmsg(fd, m, MSG_DONTWAIT | MSG_NOSIGNAL);
	gz_udp_tell_mtu(s, fd);
	gz_udp_ring_error(s);
	pthread_mutex_unlock(&s->lock);
}

static void set_address(struct gz_end *e, struct gz_end address)
{
	address.port = e->port;
	*e = address;
}

void gz_udp_choose_source(struct gz_sock *s, struct gz_datagram *d, struct gz_end local,
			  struct gz_group_options *mc)
{
	pthread_mutex_lock(&s->lock);
	d->src = s->local;
	/* ip_cmsg_send(): not even bind()'s address is the source then. */
	if (d->at && gz_end_is_v4(d->src) && gz_end_is_any(local))
		set_address(&d->src, gz_end_v4(0, 0));
	d->at = d->at ? d->at : s->opt.at;
	d->mtu = s->dgram.mtu;
	d->whole = s->dgram.whole[gz_end_is_v4(d->dst)];
	gz_groups_options(s, gz_end_is_v4(d->dst), mc);
	pthread_mutex_unlock(&s->lock);
	if (!gz_end_is_any(local))
		set_address(&d->src, local);
	if (gz_addr_is_group(d->dst)) {
		d->ttl = mc->hops;
		d->at = d->at ? d->at : mc->at;
		if (gz_end_is_any(d->src) && !gz_end_is_any(mc->local))
			set_address(&d->src, mc->local);
	}
	if (gz_end_is_any(d->src) || gz_addr_to_many(d->src))
		set_address(&d->src, gz_addr_source_at(d->dst, d->at));
	atomic_fetch_add_explicit(&s->tx_bytes, d->len, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->client->tx_bytes, d->len, memory_order_relaxed);
}

struct gz_worker *gz_udp_sender(struct gz_end to)
{
	to.port = 0;
	return gz_workers[(gz_end_hash(to) >> 32) % gz_nworkers];
}

/* Leave @d to worker @w. */
static void put_out_later(const struct gz_worker *w, const struct gz_datagram *d)
{
	struct outgoing *o = malloc(sizeof(*o) + d->len);

	if (!o) {
		gz_count(GZ_C_UDP_TX_DROPPED);
		return;
	}
	memcpy(o->bytes, d->data[0].iov_base, d->len);
	o->data = (struct iovec){o->bytes, d->len};
	o->d = *d;
	o->d.data = &o->data;
	STAILQ_INSERT_TAIL(&udp.out[w->index], o, next);
}

/* What was left to the worker comes before what it finds itself. */
static void flush_out(void)
{
	struct outgoing *o;

	while ((o = STAILQ_FIRST(&udp.out[gz_here->index]))) {
		STAILQ_REMOVE_HEAD(&udp.out[gz_here->index], next);
		gz_here->code->datagram(&o->d);
		free(o);
	}
}

void gz_udp_forward(struct gz_sock *s, struct gz_datagram *d, struct gz_end local)
{
	bool many = gz_addr_to_many(d->dst), group = gz_addr_is_group(d->dst), delivered;
	struct gz_group_options mc;
	struct gz_worker *w;

	gz_udp_choose_source(s, d, local, &mc);
	if (!has_way(d)) {
		gz_count(GZ_C_UDP_TX_DROPPED);
		return;
	}
	if (!many && gz_addr_is_local(d->dst) && !gz_addr_is_others(d->dst)) {
		d->at = 0; /* it comes to the interface that has the address */
		delivered = gz_udp_deliver(d, false);
		if (!delivered)
			gz_udp_refuse(d);
		gz_udp_ring_proven(s, delivered);
		return;
	}
	if (gz_udp_too_large(s, d->dst, d->at, d->len)) {
		refuse_size(d);
		return;
	}
	/* This host is one of them (ip_mc_output() in net/ipv4/ip_output.c). */
	if (many && (!group || mc.loop))
		gz_udp_deliver(d, true);
	if (many && (!d->ttl || gz_addr_is_loopback(d->src) || gz_addr_stays_here(d->dst)))
		return;
	gz_udp_ring_proven(s, true);
	w = gz_udp_sender(d->dst);
	if (w == gz_here)
		w->code->datagram(d);
	else
		put_out_later(w, d);
}

static uint16_t port_of(const struct sockaddr_storage *a)
{
	return ntohs(a->ss_family == AF_INET ? ((const struct sockaddr_in *)a)->sin_port
					     : ((const struct sockaddr_in6 *)a)->sin6_port);
}

/* The control message @c, into @d.  Return: the alias, if it has it, else @to */
static uint32_t one_header(const struct cmsghdr *c, struct gz_datagram *d, uint32_t to)
{
	struct in6_pktinfo info6;
	struct in_pktinfo info;
	int v = 0;

	if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		return info.ipi_addr.s_addr;
	}
	if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
		memcpy(&info6, CMSG_DATA(c), sizeof(info6));
		return gz_name_of(&info6.ipi6_addr);
	}
	memcpy(&v, CMSG_DATA(c), c->cmsg_len < CMSG_LEN(sizeof(v)) ? 1 : sizeof(v));
	if (c->cmsg_type == (c->cmsg_level == IPPROTO_IP ? IP_TTL : IPV6_HOPLIMIT))
		d->ttl = (uint8_t)v;
	else
		d->tos = (uint8_t)v;
	return to;
}

uint32_t gz_udp_headers(struct msghdr *m, struct gz_datagram *d)
{
	uint32_t to = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
		to = one_header(c, d, to);
	return to;
}

static void from_shadow(unsigned i)
{
	struct msghdr *m = &udp.msg[i].msg_hdr;
	struct iovec data = {udp.buf[i], udp.msg[i].msg_len};
	struct gz_datagram d = {.data = &data, .ndata = 1, .len = data.iov_len, .ttl = 64};
	uint32_t to = gz_udp_headers(m, &d);
	struct gz_alias a;
	struct gz_sock *s;

	s = gz_nest_find(port_of(&udp.from[i]));
	if (!s)
		return;
	if (gz_alias_find(to, &a)) {
		d.dst = a.peer;
		d.at = a.at;
		if (!gz_udp_twin_pass(s, &d))
			gz_udp_forward(s, &d, a.local);
	} else if (gz_udp_ring_is(s)) {
		gz_udp_ring_drain(s); /* a bell, whoever came first to it */
		udp.rung |= gz_plane_oversleepers(s->client->plane);
	} else {
		gz_count(GZ_C_UDP_TX_DROPPED);
	}
	gz_sock_unref(s);
}

/* Return: how many datagrams there were */
static int rx(int fd)
{
	int n;

	for (unsigned i = 0; i < RX_BATCH; i++) {
		udp.iov[i] = (struct iovec){udp.buf[i], RX_BYTES};
		udp.msg[i].msg_hdr = (struct msghdr){
		    .msg_name = &udp.from[i],
		    .msg_namelen = sizeof(udp.from[i]),
		    .msg_iov = &udp.iov[i],
		    .msg_iovlen = 1,
		    .msg_control = udp.control[i],
		    .msg_controllen = sizeof(udp.control[i]),
		};
	}
	/* Level-triggered: what is left comes in the next round. */
	n = recvmmsg(fd, udp.msg, RX_BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++)
		from_shadow((unsigned)i);
	return n > 0 ? n : 0;
}

/* Whom datagrams were left to.  Unlocked: a worker may have to make room for the message */
static void tell(uint32_t whom)
{
	for (unsigned i = 0; whom; i++, whom >>= 1)
		if (whom & 1 &&
		    gz_worker_post(gz_workers[i],
				   &(struct gz_msg){.op = GZ_OP_DATAGRAMS, .fd = -1}) < 0)
			gz_count(GZ_C_UDP_TX_DROPPED); /* they go with the next ones */
}

/* Whom they were left to, and who else is to wake up.  Locked */
static uint32_t left(void)
{
	uint32_t whom = udp.rung;

	udp.rung = 0;
	for (unsigned i = 0; i < gz_nworkers; i++)
		if (!STAILQ_EMPTY(&udp.out[i]))
			whom |= 1u << i;
	return whom;
}

bool gz_udp_events(const void *ptr)
{
	uint32_t whom;

	if (ptr != &udp.rx && ptr != &udp.rx6)
		return false;
	pthread_mutex_lock(&udp.lock);
	flush_out();
	rx(*(const int *)ptr);
	whom = left();
	pthread_mutex_unlock(&udp.lock);
	tell(whom);
	return true;
}

void gz_udp_take_all(void)
{
	/* Others may go on sending for ever. */
	for (int n = 0, most = ROOM / RX_BYTES; n < most; n++)
		if (!rx(udp.rx) && (udp.rx6 < 0 || !rx(udp.rx6)))
			break;
}

void gz_udp_pass(void)
{
	uint32_t whom;

	pthread_mutex_lock(&udp.lock);
	if (gz_here)
		flush_out();
	gz_udp_take_all();
	whom = left();
	pthread_mutex_unlock(&udp.lock);
	tell(whom);
}

void gz_udp_enter(void)
{
	pthread_mutex_lock(&udp.lock);
}

void gz_udp_exit(void)
{
	uint32_t whom = left();

	pthread_mutex_unlock(&udp.lock);
	tell(whom);
}

void gz_udp_gone(struct gz_sock *s)
{
	gz_udp_pass();
	gz_udp_ring_flush(s);
	gz_nest_drop(s->dgram.nest);
}

/* A socket for all that programs send in @family.  Return: 0 or -errno */
static int open_rx(int family, int *fd)
{
	static const int v4[] = {IP_PKTINFO, IP_RECVTTL, IP_RECVTOS},
			 v6[] = {IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS};
	int level = family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, one = 1, room = ROOM;
	struct sockaddr_storage any;
	struct gz_end end = gz_end_any(family);
	socklen_t len;

	end.port = htons(GZ_ALIAS_PORT);
	len = gz_addr_sockaddr(family, end, &any);
	*fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (*fd < 0 ||
	    (family == AF_INET6 &&
	     setsockopt(*fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0) ||
	    bind(*fd, (struct sockaddr *)&any, len) < 0)
		return -errno;
	for (unsigned i = 0; i < 3; i++)
		if (setsockopt(*fd, level, family == AF_INET ? v4[i] : v6[i], &one, sizeof(one)) <
		    0)
			return -errno;
	if (setsockopt(*fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
		setsockopt(*fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	return 0;
}

int gz_udp_watch(struct gz_worker *w)
{
	int err = gz_worker_watch(w, &udp.rx);

	if (!err && udp.rx6 >= 0)
		err = gz_worker_watch(w, &udp.rx6);
	return err ? err : gz_icmp_watch(w);
}

int gz_udp_init(void)
{
	int err = gz_inner_init();

	for (unsigned i = 0; i < GZ_WORKERS_MAX; i++)
		STAILQ_INIT(&udp.out[i]);
	if (!err)
		err = open_rx(AF_INET, &udp.rx);
	if (!err && gz_inner_has_v6())
		err = open_rx(AF_INET6, &udp.rx6);
	if (err)
		return err;
	gz_ping_init();
	return gz_icmp_init();
}

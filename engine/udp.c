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
 * UDP socket of a program has its shadow (dgram.c, alias.h):
 *
 *   to a program     an IP packet through a raw socket, from the peer's alias to the
 *                    shadow, with the TTL and TOS that came; what the shadow has no
 *                    room for is dropped there, by its SO_RCVBUF
 *   from a program   all of it arrives at one socket, from the shadow's address to
 *                    an alias, which says who it goes to
 *   ICMP errors      raw as well: the kernel finds the connected shadow that they
 *                    quote, and makes ECONNREFUSED of them
 *   a closed shadow  the kernel answers with a port unreachable, which another raw
 *                    socket reads: the socket is closed then, and the peer told
 *
 * All in the worker's thread.  A socket's addresses are read under its lock, so
 * that connect() takes effect between two datagrams.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lwip/icmp.h"
#include "lwip/inet_chksum.h"
#include "lwip/ip.h"
#include "lwip/pbuf.h"
#include "lwip/udp.h"

#include "engine/address.h"
#include "engine/alias.h"
#include "engine/client.h"
#include "engine/counters.h"
#include "engine/log.h"
#include "engine/multicast.h"
#include "engine/ports.h"
#include "engine/reaper.h"
#include "engine/sock.h"
#include "engine/udp.h"
#include "engine/worker.h"

void gz_udp_input(struct pbuf *p, struct netif *inp);
void gz_icmp_input(struct pbuf *p, struct netif *inp);

#define IP_HEADER 20u
#define UDP_HEADER 8u
#define RX_BATCH 8
#define RX_BYTES 65536
#define IOV_MAX_HERE 256
#define SAME_PORT 256 /* sockets that share a port, at most */
#define ROOM (16 << 20)
#define FILTER 1 /* ICMP_FILTER; linux/icmp.h and lwip/icmp.h do not go together */

static struct {
	int rx;	  /* what programs send */
	int raw;  /* to programs */
	int icmp; /* the kernel's own errors */
	struct mmsghdr msg[RX_BATCH];
	struct iovec iov[RX_BATCH];
	struct sockaddr_in from[RX_BATCH];
	char control[RX_BATCH][128];
	char buf[RX_BATCH][RX_BYTES];
} udp = {.rx = -1, .raw = -1, .icmp = -1};

/** A datagram under way, whichever way. */
struct datagram {
	struct gz_end src, dst;
	uint8_t ttl, tos;
	const struct iovec *data;
	int ndata;
	size_t len;
};

/* --- to the shadows ------------------------------------------------------ */

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void ip_header(uint8_t *h, uint32_t src, uint32_t dst, unsigned proto, unsigned ttl,
		      unsigned tos, size_t len)
{
	memset(h, 0, IP_HEADER);
	h[0] = 0x45;
	h[1] = (uint8_t)tos;
	put16(h + 2, (unsigned)len);
	h[8] = (uint8_t)(ttl ? ttl : 1);
	h[9] = (uint8_t)proto;
	memcpy(h + 12, &src, 4);
	memcpy(h + 16, &dst, 4);
}

static bool put(uint32_t nest, struct iovec *v, int n)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = nest};
	struct msghdr m = {
	    .msg_name = &to,
	    .msg_namelen = sizeof(to),
	    .msg_iov = v,
	    .msg_iovlen = (size_t)n,
	};

	/* The kernel fills the header's checksum and identification (raw(7)). */
	return sendmsg(udp.raw, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* Hand @d to the program; @s locked. */
static bool to_shadow(struct gz_sock *s, const struct datagram *d)
{
	struct iovec v[IOV_MAX_HERE + 1];
	struct gz_end peer = d->src, local = d->dst;
	unsigned sport = GZ_ALIAS_PORT;
	uint8_t h[IP_HEADER + UDP_HEADER];
	uint32_t alias = s->dgram.alias;

	if (!alias) {
		sport = ntohs(peer.port);
		peer.port = local.port = 0;
		alias = gz_alias_get(peer, local, false);
	}
	if (!alias || d->ndata > IOV_MAX_HERE)
		return false;
	ip_header(h, alias, s->dgram.nest, IPPROTO_UDP, d->ttl, d->tos, sizeof(h) + d->len);
	put16(h + 20, sport);
	put16(h + 22, GZ_SHADOW_PORT);
	put16(h + 24, (unsigned)(UDP_HEADER + d->len));
	put16(h + 26, 0); /* no checksum: RFC 768 */
	v[0] = (struct iovec){h, sizeof(h)};
	memcpy(v + 1, d->data, (size_t)d->ndata * sizeof(*v));
	if (!put(s->dgram.nest, v, d->ndata + 1))
		return false;
	atomic_fetch_add_explicit(&s->rx_bytes, d->len, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->client->rx_bytes, d->len, memory_order_relaxed);
	return true;
}

/* An ICMP error about what @s sent to @peer, from @offender; @s locked. */
static void error_to_shadow(struct gz_sock *s, struct gz_end peer, struct gz_end offender,
			    unsigned type, unsigned code, uint32_t info)
{
	uint8_t p[IP_HEADER + 8 + IP_HEADER + UDP_HEADER];
	uint8_t *icmp = p + IP_HEADER, *quoted = icmp + 8, *h = quoted + IP_HEADER;
	struct iovec v = {p, sizeof(p)};
	uint32_t alias = s->dgram.alias;
	uint32_t from;
	uint16_t sum;

	if (!alias)
		alias = gz_alias_get(peer, gz_end_v4(0, 0), false);
	offender.port = 0;
	from = gz_alias_get(offender, gz_end_v4(0, 0), false);
	if (!alias || !from)
		return;
	ip_header(p, from, s->dgram.nest, IPPROTO_ICMP, 64, 0, sizeof(p));
	memset(icmp, 0, 8);
	icmp[0] = (uint8_t)type;
	icmp[1] = (uint8_t)code;
	info = htonl(info);
	memcpy(icmp + 4, &info, 4);
	ip_header(quoted, s->dgram.nest, alias, IPPROTO_UDP, 64, 0, IP_HEADER + UDP_HEADER);
	put16(h, GZ_SHADOW_PORT);
	put16(h + 2, GZ_ALIAS_PORT);
	put16(h + 4, UDP_HEADER);
	put16(h + 6, 0);
	sum = inet_chksum(icmp, (u16_t)(sizeof(p) - IP_HEADER));
	memcpy(icmp + 2, &sum, 2);
	put(s->dgram.nest, &v, 1);
}

/* --- who is it for? ------------------------------------------------------ */

/* As compute_score() in net/ipv4/udp.c; -1: not for this one.  @s locked. */
static int score(const struct gz_sock *s, const struct datagram *d)
{
	int n = 0;

	if (atomic_load(&s->closed) || s->local.port != d->dst.port)
		return -1;
	if (!gz_end_is_any(s->local)) {
		if (!gz_end_same_addr(s->local, d->dst))
			return -1;
		n += 8; /* Linux looks for these first, in a table of their own */
	}
	if (gz_sock_state(s) == GZ_ESTABLISHED) {
		if (!gz_end_equal(s->peer, d->src))
			return -1;
		n += 4;
	}
	return n;
}

static int score_locked(struct gz_sock *s, const struct datagram *d)
{
	int n;

	pthread_mutex_lock(&s->lock);
	n = score(s, d);
	pthread_mutex_unlock(&s->lock);
	return n;
}

/* Which of those with SO_REUSEPORT and the same score (socket(7))? */
static struct gz_sock *spread(struct gz_sock **v, const int *points, unsigned n, int best,
			      const struct datagram *d)
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

/*
 * Hand @d to the socket that it is for, or to each that listens to the group or to
 * everybody.  Return: false when there is none
 */
static bool deliver(const struct datagram *d, struct netif *in, bool to_many)
{
	struct gz_sock *v[SAME_PORT], *to = NULL;
	int points[SAME_PORT], best = -1;
	unsigned n = gz_claims_udp(d->dst, v, SAME_PORT);
	bool found = false;

	for (unsigned i = 0; i < n; i++) {
		points[i] = score_locked(v[i], d);
		if (to_many && points[i] >= 0 && gz_groups_allow(v[i], d->dst, d->src, in)) {
			found = true;
			to = v[i];
			pthread_mutex_lock(&to->lock);
			if (!to_shadow(to, d))
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
		if (!to_shadow(to, d))
			gz_count(GZ_C_UDP_DROPPED);
		pthread_mutex_unlock(&to->lock);
	}
	for (unsigned i = 0; i < n; i++)
		gz_sock_unref(v[i]);
	return found;
}

/* The sockets that sent something from @local to @peer hear of an error. */
static void tell_senders(struct gz_end local, struct gz_end peer, struct gz_end offender,
			 unsigned type, unsigned code, uint32_t info)
{
	struct datagram back = {.src = peer, .dst = local};
	struct gz_sock *v[SAME_PORT];
	unsigned n = gz_claims_udp(local, v, SAME_PORT);

	for (unsigned i = 0; i < n; i++) {
		pthread_mutex_lock(&v[i]->lock);
		if (score(v[i], &back) >= 0)
			error_to_shadow(v[i], peer, offender, type, code, info);
		pthread_mutex_unlock(&v[i]->lock);
		gz_sock_unref(v[i]);
	}
}

/* --- the wire ------------------------------------------------------------ */

/* net/ipv4/udp.c, __udp4_lib_rcv() */
void gz_udp_input(struct pbuf *p, struct netif *inp)
{
	const struct udp_hdr *h = p->payload;
	struct iovec v[IOV_MAX_HERE];
	struct datagram d = {.data = v};
	bool to_many;
	u16_t len;

	UDP_STATS_INC(udp.recv);
	if (p->len < UDP_HEADER || ip_current_is_v6())
		goto bad_length;
	len = lwip_ntohs(h->len);
	if (len < UDP_HEADER || len > p->tot_len)
		goto bad_length;
	pbuf_realloc(p, len);
	if (h->chksum && ip_chksum_pseudo(p, IP_PROTO_UDP, p->tot_len, ip_current_src_addr(),
					  ip_current_dest_addr()) != 0) {
		UDP_STATS_INC(udp.chkerr);
		goto drop;
	}
	d.src = gz_end_v4(ip4_current_src_addr()->addr, h->src);
	d.dst = gz_end_v4(ip4_current_dest_addr()->addr, h->dest);
	d.ttl = IPH_TTL(ip4_current_header());
	d.tos = IPH_TOS(ip4_current_header());
	pbuf_remove_header(p, UDP_HEADER);
	for (struct pbuf *q = p; q && d.ndata < IOV_MAX_HERE; q = q->next) {
		v[d.ndata++] = (struct iovec){q->payload, q->len};
		d.len += q->len;
	}
	if (d.len != p->tot_len)
		goto bad_length; /* more fragments than there is reason for */
	to_many = gz_addr_to_many(d.dst);
	if (!deliver(&d, inp, to_many)) {
		UDP_STATS_INC(udp.proterr);
		gz_count(GZ_C_UDP_NO_PORT);
		if (!to_many) {
			pbuf_header_force(p, (s16_t)(ip_current_header_tot_len() + UDP_HEADER));
			icmp_port_unreach(0, p);
		}
	}
	pbuf_free(p);
	return;
bad_length:
	UDP_STATS_INC(udp.lenerr);
drop:
	UDP_STATS_INC(udp.drop);
	pbuf_free(p);
}

/* Errors about datagrams of ours, RFC 792; lwIP counts them only. */
void gz_icmp_input(struct pbuf *p, struct netif *inp)
{
	uint8_t b[8 + 60 + UDP_HEADER];
	unsigned n = pbuf_copy_partial(p, b, sizeof(b), 0), ihl;
	uint32_t src, dst, info;
	uint16_t sport, dport;

	if (n >= 8 + IP_HEADER + UDP_HEADER &&
	    (b[0] == ICMP_DUR || b[0] == ICMP_TE || b[0] == ICMP_PP) && inet_chksum_pbuf(p) == 0) {
		ihl = (b[8] & 15u) * 4;
		if (b[8] >> 4 == 4 && ihl >= IP_HEADER && n >= 8 + ihl + UDP_HEADER &&
		    b[8 + 9] == IPPROTO_UDP) {
			memcpy(&src, b + 8 + 12, 4);
			memcpy(&dst, b + 8 + 16, 4);
			memcpy(&sport, b + 8 + ihl, 2);
			memcpy(&dport, b + 8 + ihl + 2, 2);
			memcpy(&info, b + 4, 4);
			gz_count(GZ_C_UDP_ERRORS);
			tell_senders(gz_end_v4(src, sport), gz_end_v4(dst, dport),
				     gz_end_v4(ip4_current_src_addr()->addr, 0), b[0], b[1],
				     ntohl(info));
		}
	}
	icmp_input(p, inp);
}

static bool to_wire(const struct datagram *d, struct netif *nif)
{
	ip_addr_t src, dst;
	struct udp_hdr *h;
	struct pbuf *p;
	err_t err;

	p = pbuf_alloc(PBUF_IP, (u16_t)(UDP_HEADER + d->len), PBUF_RAM);
	if (!p)
		return false;
	h = p->payload;
	h->src = d->src.port;
	h->dest = d->dst.port;
	h->len = lwip_htons((u16_t)(UDP_HEADER + d->len));
	h->chksum = 0;
	if (d->len)
		memcpy(h + 1, d->data[0].iov_base, d->len);
	ip_addr_set_ip4_u32_val(src, gz_end_v4_addr(d->src));
	ip_addr_set_ip4_u32_val(dst, gz_end_v4_addr(d->dst));
	h->chksum = ip_chksum_pseudo(p, IP_PROTO_UDP, p->tot_len, &src, &dst);
	if (!h->chksum)
		h->chksum = 0xffff;
	err = ip4_output_if(p, ip_2_ip4(&src), ip_2_ip4(&dst), d->ttl, d->tos, IP_PROTO_UDP, nif);
	pbuf_free(p);
	if (err == ERR_OK)
		UDP_STATS_INC(udp.xmit);
	return err == ERR_OK;
}

/* The peer sent to a port that nobody has, any more. */
static void refuse(struct gz_end peer, struct gz_end port)
{
	uint8_t *b;
	struct netif *nif;
	ip4_addr_t src, dst;
	struct pbuf *p;
	uint16_t sum;

	if (gz_netif_is_local(peer)) {
		tell_senders(peer, port, port, ICMP_DUR, ICMP_DUR_PORT, 0);
		return;
	}
	src.addr = gz_end_v4_addr(port);
	dst.addr = gz_end_v4_addr(peer);
	nif = ip4_route_src(&src, &dst);
	p = nif ? pbuf_alloc(PBUF_IP, 8 + IP_HEADER + UDP_HEADER, PBUF_RAM) : NULL;
	if (!p)
		return;
	b = p->payload;
	memset(b, 0, p->len);
	b[0] = ICMP_DUR;
	b[1] = ICMP_DUR_PORT;
	ip_header(b + 8, dst.addr, src.addr, IPPROTO_UDP, 64, 0, IP_HEADER + UDP_HEADER);
	memcpy(b + 8 + IP_HEADER, &peer.port, 2);
	memcpy(b + 8 + IP_HEADER + 2, &port.port, 2);
	put16(b + 8 + IP_HEADER + 4, UDP_HEADER);
	sum = inet_chksum(b, p->len);
	memcpy(b + 2, &sum, 2);
	ip4_output_if(p, &src, &dst, 64, 0, IPPROTO_ICMP, nif);
	pbuf_free(p);
}

/* --- from the programs --------------------------------------------------- */

/* @s unlocked */
static void send_datagram(struct gz_sock *s, struct datagram *d, struct gz_end local)
{
	struct gz_group_options mc;
	struct netif *nif = NULL;
	uint32_t to = gz_end_v4_addr(d->dst);
	ip4_addr_t src, dst;
	bool many;

	pthread_mutex_lock(&s->lock);
	d->src = s->local;
	gz_groups_options(s, &mc);
	pthread_mutex_unlock(&s->lock);
	if (!gz_end_is_any(local)) {
		local.port = d->src.port;
		d->src = local;
	}
	if (IN_MULTICAST(ntohl(to))) {
		d->ttl = mc.ttl;
		if (gz_end_is_any(d->src) && mc.local)
			d->src = gz_end_v4(mc.local, d->src.port);
	}
	if (gz_end_is_any(d->src) || gz_addr_to_many(d->src))
		d->src = gz_end_v4(gz_end_v4_addr(gz_addr_source(d->dst)), d->src.port);
	atomic_fetch_add_explicit(&s->tx_bytes, d->len, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->client->tx_bytes, d->len, memory_order_relaxed);
	many = gz_addr_to_many(d->dst);
	if (!many && gz_netif_is_local(d->dst)) {
		if (!deliver(d, NULL, false)) {
			gz_count(GZ_C_UDP_NO_PORT);
			tell_senders(d->src, d->dst, d->dst, ICMP_DUR, ICMP_DUR_PORT, 0);
		}
		return;
	}
	src.addr = gz_end_v4_addr(d->src);
	dst.addr = to;
	/* This host is one of them (ip_mc_output() in net/ipv4/ip_output.c). */
	if (many && (!IN_MULTICAST(ntohl(to)) || mc.loop))
		deliver(d, NULL, true);
	if (many && (!d->ttl || gz_addr_is_loopback(d->src)))
		return;
	if (many)
		nif = gz_netif_of(IN_MULTICAST(ntohl(to)) && mc.local ? mc.local : src.addr);
	if (!nif)
		nif = ip4_route_src(&src, &dst);
	if (!nif || !to_wire(d, nif))
		gz_count(GZ_C_UDP_TX_DROPPED);
}

static void from_shadow(int i)
{
	struct msghdr *m = &udp.msg[i].msg_hdr;
	struct iovec data = {udp.buf[i], udp.msg[i].msg_len};
	struct datagram d = {.data = &data, .ndata = 1, .len = data.iov_len, .ttl = 64};
	uint32_t to = 0;
	struct gz_alias a;
	struct gz_sock *s;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		struct in_pktinfo info;
		int v = 0;

		if (c->cmsg_level != IPPROTO_IP)
			continue;
		switch (c->cmsg_type) {
		case IP_PKTINFO:
			memcpy(&info, CMSG_DATA(c), sizeof(info));
			to = info.ipi_addr.s_addr;
			break;
		case IP_TTL:
			memcpy(&v, CMSG_DATA(c), sizeof(v));
			d.ttl = (uint8_t)v;
			break;
		case IP_TOS:
			d.tos = *CMSG_DATA(c);
			break;
		}
	}
	s = gz_nest_find(udp.from[i].sin_addr.s_addr);
	if (!s)
		return;
	if (udp.from[i].sin_port == htons(GZ_SHADOW_PORT) && gz_alias_find(to, &a)) {
		d.dst = a.peer;
		send_datagram(s, &d, a.local);
	} else {
		gz_count(GZ_C_UDP_TX_DROPPED);
	}
	gz_sock_unref(s);
}

static void rx(void)
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
	n = recvmmsg(udp.rx, udp.msg, RX_BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++)
		from_shadow(i);
}

/* The kernel could not deliver to a shadow: it is closed. */
static void closed_shadow(struct gz_worker *w)
{
	uint8_t b[256];
	ssize_t n;

	while ((n = recv(udp.icmp, b, sizeof(b), MSG_DONTWAIT)) > 0) {
		const uint8_t *icmp = b + (b[0] & 15u) * 4, *in = icmp + 8;
		uint32_t src, dst;
		uint16_t sport, dport;
		struct gz_alias a;
		struct gz_sock *s;

		if (n < (in - b) + (ssize_t)(IP_HEADER + UDP_HEADER) || icmp[0] != ICMP_DUR ||
		    in[9] != IPPROTO_UDP)
			continue;
		memcpy(&src, in + 12, 4);
		memcpy(&dst, in + 16, 4);
		memcpy(&sport, in + IP_HEADER, 2);
		memcpy(&dport, in + IP_HEADER + 2, 2);
		if (dport != htons(GZ_SHADOW_PORT))
			continue;
		s = gz_nest_find(dst);
		if (!s)
			continue;
		if (gz_reaper_check(s, &w->probe_fd) && gz_alias_find(src, &a)) {
			struct gz_end port = s->local;

			if (!a.peer.port)
				a.peer.port = sport;
			if (gz_end_is_any(port)) {
				a.local.port = port.port;
				port = a.local;
			}
			if (!gz_addr_to_many(port))
				refuse(a.peer, port);
		}
		gz_sock_unref(s);
	}
}

bool gz_udp_events(struct gz_worker *w, const void *ptr)
{
	if (ptr == &udp.rx)
		rx();
	else if (ptr == &udp.icmp)
		closed_shadow(w);
	else
		return false;
	return true;
}

static int watch(struct gz_worker *w, int *fd)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = fd};

	return epoll_ctl(w->relay_ep, EPOLL_CTL_ADD, *fd, &e) < 0 ? -errno : 0;
}

static void buffer(int fd, int force, int plain)
{
	int n = ROOM;

	if (setsockopt(fd, SOL_SOCKET, force, &n, sizeof(n)) < 0)
		setsockopt(fd, SOL_SOCKET, plain, &n, sizeof(n));
}

int gz_udp_init(struct gz_worker *w)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(GZ_ALIAS_PORT)};
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	uint32_t only = ~(1u << ICMP_DUR);
	int one = 1, err;

	udp.rx = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	udp.raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	udp.icmp = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
	if (udp.rx < 0 || udp.raw < 0 || udp.icmp < 0 || ioctl(udp.rx, SIOCSIFFLAGS, &lo) < 0 ||
	    bind(udp.rx, (struct sockaddr *)&any, sizeof(any)) < 0 ||
	    setsockopt(udp.rx, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one)) < 0 ||
	    setsockopt(udp.rx, IPPROTO_IP, IP_RECVTTL, &one, sizeof(one)) < 0 ||
	    setsockopt(udp.rx, IPPROTO_IP, IP_RECVTOS, &one, sizeof(one)) < 0 ||
	    setsockopt(udp.icmp, SOL_RAW, FILTER, &only, sizeof(only)) < 0)
		return -errno;
	buffer(udp.rx, SO_RCVBUFFORCE, SO_RCVBUF);
	buffer(udp.icmp, SO_RCVBUFFORCE, SO_RCVBUF);
	buffer(udp.raw, SO_SNDBUFFORCE, SO_SNDBUF);
	err = watch(w, &udp.rx);
	return err ? err : watch(w, &udp.icmp);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * icmp.c - ICMP's errors about datagrams, of both families, to and from the shadows
 *
 * lwIP answers echo requests and makes errors about what it could not deliver; it
 * does not tell who sent of errors that come in.  The kernel, in the namespace of the
 * shadows, tells by an error of its own that a shadow is closed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lwip/icmp.h"
#include "lwip/inet_chksum.h"
#include "lwip/ip.h"
#include "lwip/ip6.h"
#include "lwip/pbuf.h"

#include "engine/address.h"
#include "engine/alias.h"
#include "engine/counters.h"
#include "engine/icmp.h"
#include "engine/inner.h"
#include "engine/ipv6.h"
#include "engine/ping.h"
#include "engine/path.h"
#include "engine/reaper.h"
#include "engine/sock.h"
#include "engine/udp.h"
#include "engine/worker.h"

#define HEADER 8u /* of ICMP, and of UDP */
#define FILTER 1  /* ICMP_FILTER, ICMP6_FILTER: the headers do not go with lwIP's */
#define ROOM (1 << 20)
#define EVENTS_MAX 64 /* a round */

static struct {
	pthread_mutex_t lock; /* of who reads these; before any socket's */
	int v4, v6;	      /* the kernel's own errors */
} icmp = {.lock = PTHREAD_MUTEX_INITIALIZER, .v4 = -1, .v6 = -1};

/* --- the packet in an error ---------------------------------------------- */

static bool quote_v4(const uint8_t *b, size_t n, struct gz_quote *q)
{
	size_t header = (b[0] & 15u) * 4;
	uint32_t src, dst;

	/* A later fragment has no ports. */
	if (header < IP_HLEN || n < header + HEADER || (b[6] & 0x1f) || b[7])
		return false;
	memcpy(&src, b + 12, 4);
	memcpy(&dst, b + 16, 4);
	q->src = gz_end_v4(src, 0);
	q->dst = gz_end_v4(dst, 0);
	q->proto = b[9];
	q->data = b + header;
	q->len = n - header;
	return true;
}

static bool quote_v6(const uint8_t *b, size_t n, struct gz_quote *q)
{
	size_t header = IP6_HLEN;

	if (n < header + HEADER)
		return false;
	q->src = gz_ipv6_end(b + 8, 0);
	q->dst = gz_ipv6_end(b + 24, 0);
	q->proto = b[6];
	if (q->proto == IPPROTO_FRAGMENT) {
		if (b[header + 2] || b[header + 3] & 0xf8)
			return false;
		q->proto = b[header];
		header += 8;
	}
	q->data = b + header;
	q->len = n - header;
	return n >= header + HEADER;
}

bool gz_icmp_quote(const uint8_t *b, size_t n, struct gz_quote *q)
{
	bool ok = n >= IP_HLEN && (b[0] >> 4 == 4   ? quote_v4(b, n, q)
				   : b[0] >> 4 == 6 ? quote_v6(b, n, q)
						    : false);

	if (ok && (q->proto == IPPROTO_UDP || q->proto == IPPROTO_TCP)) {
		memcpy(&q->src.port, q->data, 2);
		memcpy(&q->dst.port, q->data + 2, 2);
	}
	return ok;
}

/* --- to the shadows ------------------------------------------------------- */

void gz_icmp_to_shadow(const struct gz_datagram *d, uint8_t proto, uint32_t to, const uint8_t *h,
		       struct gz_end offender, const struct gz_icmp *e)
{
	struct gz_inner ip = {
	    .v6 = !gz_end_is_v4(d->dst),
	    .proto = gz_end_is_v4(d->dst) ? IPPROTO_ICMP : IPPROTO_ICMPV6,
	    .ttl = 64,
	};
	struct gz_inner quoted = {.v6 = ip.v6, .dst = to, .proto = proto, .ttl = 64};
	uint8_t room[GZ_INNER_HEADER], b[HEADER + GZ_INNER_HEADER + HEADER] = {e->type, e->code};
	struct iovec v[3] = {{room, 0}, {b, 0}, {NULL, 0}};
	uint32_t info = htonl(e->info);
	size_t n;

	offender.port = 0;
	ip.src = gz_alias_get(offender, gz_end_v4(0, 0), 0, false);
	if (!to || !ip.src)
		return;
	memcpy(b + 4, &info, 4);
	n = HEADER + gz_inner_header(b + HEADER, &quoted, HEADER + d->len);
	memcpy(b + n, h, HEADER);
	v[1].iov_len = n + HEADER;
	if (d->ndata)
		v[2] = d->data[0];
	gz_inner_put(&ip, v, 3, 2);
}

/* --- to the wire ---------------------------------------------------------- */

static void put16(uint8_t *b, size_t v)
{
	b[0] = (uint8_t)(v >> 8);
	b[1] = (uint8_t)v;
}

/* The headers of a datagram that has @len bytes with UDP's.  Return: their length */
static size_t put_datagram(uint8_t *b, struct gz_end src, struct gz_end dst, size_t len)
{
	bool v6 = !gz_end_is_v4(src);
	size_t n = v6 ? 8 : 12;

	memset(b, 0, IP6_HLEN + HEADER);
	if (v6) {
		b[0] = 0x60;
		put16(b + 4, len);
		b[6] = IPPROTO_UDP;
		b[7] = 64;
	} else {
		b[0] = 0x45;
		put16(b + 2, IP_HLEN + len);
		b[8] = 64;
		b[9] = IPPROTO_UDP;
	}
	n += gz_end_put(b + n, src);
	n += gz_end_put(b + n, dst);
	memcpy(b + n, &src.port, 2);
	memcpy(b + n + 2, &dst.port, 2);
	put16(b + n + 4, len);
	return n + HEADER;
}

/* @peer sent to a port that nobody has, any more; @q is the datagram inside. */
static void refuse(struct gz_end peer, struct gz_end port, const struct gz_quote *q)
{
	struct gz_icmp e = gz_icmp_no_port(!gz_end_is_v4(peer));
	struct iovec data = {(void *)(uintptr_t)(q->data + HEADER), q->len - HEADER};
	struct gz_datagram m = {.src = port, .dst = peer, .ttl = 64, .ndata = 2};
	uint8_t b[HEADER + IP6_HLEN + HEADER] = {e.type, e.code};
	size_t n;

	if (gz_addr_is_local(peer)) {
		gz_udp_error(
		    &(struct gz_datagram){
			.src = peer, .dst = port, .data = &data, .ndata = 1, .len = data.iov_len},
		    port, &e);
		return;
	}
	n = HEADER + put_datagram(b + HEADER, peer, port, (size_t)q->data[4] << 8 | q->data[5]);
	m.data = (struct iovec[]){{b, n}, data};
	m.len = n + data.iov_len;
	gz_here->code->icmp(&m);
}

/* --- from the kernel: closed shadows -------------------------------------- */

static void closed_shadow(const struct gz_quote *q)
{
	struct gz_sock *s = gz_nest_find(ntohs(q->dst.port));
	struct gz_end port;
	struct gz_alias a;

	if (!s)
		return;
	if (gz_reaper_check(s, &gz_here->probe_fd) && gz_alias_find(gz_name_of(&q->src.addr), &a)) {
		port = s->local;
		if (!a.peer.port)
			a.peer.port = q->src.port;
		if (gz_end_is_any(port)) {
			a.local.port = port.port;
			port = a.local;
		}
		if (!gz_addr_to_many(port))
			refuse(a.peer, port, q);
	}
	gz_sock_unref(s);
}

/* A message from the shadows' namespace, of @n bytes at @b. */
static void from_kernel(struct msghdr *m, uint8_t *b, size_t n, bool v6)
{
	struct gz_datagram d = {.ttl = 64};
	size_t header = 0;
	struct iovec data;
	struct gz_quote q;
	uint32_t to;

	if (v6) {
		to = gz_udp_headers(m, &d);
	} else { /* the header comes along, raw(7) */
		header = (b[0] & 15u) * 4;
		d.tos = b[1];
		d.ttl = b[8];
		memcpy(&to, b + 16, 4);
	}
	if (n < header + HEADER)
		return;
	data = (struct iovec){b + header, n - header};
	d.data = &data;
	d.ndata = 1;
	d.len = data.iov_len;
	if (b[header] == (v6 ? ICMP6_TYPE_EREQ : ICMP_ECHO))
		gz_ping_request(&d, to);
	else if (gz_icmp_quote(b + header + HEADER, data.iov_len - HEADER, &q) &&
		 q.proto == IPPROTO_UDP)
		closed_shadow(&q);
}

bool gz_icmp_events(const void *ptr)
{
	static uint8_t b[65536]; /* under the lock */
	char control[128];
	struct iovec v = {b, sizeof(b)};
	struct msghdr m;
	ssize_t n;

	if (ptr != &icmp.v4 && ptr != &icmp.v6)
		return false;
	pthread_mutex_lock(&icmp.lock);
	for (int i = 0; i < EVENTS_MAX; i++) {
		m = (struct msghdr){.msg_iov = &v,
				    .msg_iovlen = 1,
				    .msg_control = control,
				    .msg_controllen = sizeof(control)};
		n = recvmsg(*(const int *)ptr, &m, MSG_DONTWAIT);
		if (n <= 0)
			break;
		from_kernel(&m, b, (size_t)n, ptr == &icmp.v6);
	}
	pthread_mutex_unlock(&icmp.lock);
	return true;
}

void gz_icmp_drain(void)
{
	gz_icmp_events(&icmp.v4);
	if (icmp.v6 >= 0)
		gz_icmp_events(&icmp.v6);
}

static int set_up(const int *fd)
{
	int room = ROOM, one = 1;

	if (fd == &icmp.v6 &&
	    (setsockopt(*fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one)) < 0 ||
	     setsockopt(*fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &one, sizeof(one)) < 0 ||
	     setsockopt(*fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &one, sizeof(one)) < 0))
		return -errno;
	if (setsockopt(*fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
		setsockopt(*fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	return 0;
}

int gz_icmp_watch(struct gz_worker *w)
{
	int err = gz_worker_watch(w, &icmp.v4);

	return err || icmp.v6 < 0 ? err : gz_worker_watch(w, &icmp.v6);
}

int gz_icmp_init(void)
{
	/* A bit that is set is a type that is not wanted; IPv6 has 256 of them. */
	uint32_t only = ~(1u << ICMP_DUR | 1u << ICMP_ECHO), only6[8];
	int err;

	icmp.v4 = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
	if (icmp.v4 < 0 || setsockopt(icmp.v4, SOL_RAW, FILTER, &only, sizeof(only)) < 0)
		return -errno;
	err = set_up(&icmp.v4);
	if (err || !gz_inner_has_v6())
		return err;
	memset(only6, 0xff, sizeof(only6));
	only6[0] = ~(1u << ICMP6_TYPE_DUR);
	only6[ICMP6_TYPE_EREQ / 32] = ~(1u << ICMP6_TYPE_EREQ % 32);
	icmp.v6 = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6);
	if (icmp.v6 < 0 || setsockopt(icmp.v6, IPPROTO_ICMPV6, FILTER, only6, sizeof(only6)) < 0)
		return -errno;
	return set_up(&icmp.v6);
}

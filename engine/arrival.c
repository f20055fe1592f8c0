/* SPDX-License-Identifier: BSD-3-Clause
 *
 * arrival.c - What a TCP socket tells of the packets that came
 *
 * Theory of operation.  Bytes reach a program through its shadow, which knows nothing
 * of packets.  For SO_TIMESTAMP and its kin the worker keeps the time of each segment
 * with the place in the stream where it ends; recvmsg() looks up the last byte that it
 * gave (tcp_update_recv_tstamps()).  Where a program is in the stream follows from what
 * is left: all bytes that came, less those in the rx ring and in the shadow.  So native
 * read()s in between do no harm.  The worker holds the log's lock while bytes move, or
 * these three would not go together.
 */
#include <errno.h>
#include <time.h>

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "lwip/ip.h"
#include "lwip/prot/tcp.h"

#include "engine/address.h"
#include "engine/arrival.h"
#include "engine/msghdr.h"
#include "engine/option_table.h"
#include "engine/service.h"
#include "engine/worker.h"

#ifndef TCP_CM_INQ
#define TCP_CM_INQ TCP_INQ
#endif
#define STAMPS 256u /* of segments whose bytes were not read yet; then the last one grows */

struct gz_stamps_log {
	pthread_mutex_t lock;
	unsigned head, n;
	struct {
		uint64_t end; /* all bytes before it have come */
		struct timespec at;
	} of[STAMPS];
};

static struct gz_stamps_log *log_of(const struct gz_sock *s)
{
	return atomic_load_explicit(&s->arrival.log, memory_order_acquire);
}

/* --- the worker ---------------------------------------------------------- */

void gz_arrival_syn(struct gz_flow *f)
{
	size_t ip = ip_current_header_tot_len(), len;
	const uint8_t *at = ip_current_is_v6() ? (const uint8_t *)ip6_current_header()
					       : (const uint8_t *)ip4_current_header();
	struct gz_saved_syn *s;
	struct tcp_hdr h;

	if (!f->listener->opt.save_syn)
		return;
	memcpy(&h, at + ip, sizeof(h));
	len = ip + TCPH_HDRLEN_BYTES(&h);
	s = malloc(sizeof(*s) + len);
	if (!s)
		return;
	s->len = len;
	memcpy(s->data, at, len);
	/* tcp_input() has turned these round. */
	h.src = lwip_htons(h.src);
	h.dest = lwip_htons(h.dest);
	h.seqno = lwip_htonl(h.seqno);
	h.ackno = lwip_htonl(h.ackno);
	h.wnd = lwip_htons(h.wnd);
	memcpy(s->data + ip, &h, sizeof(h));
	f->syn = s;
}

void gz_arrival_accepted(struct gz_sock *s, struct gz_flow *f)
{
	struct gz_arrival *a = &s->arrival;

	a->syn = f->syn;
	f->syn = NULL;
	a->ifindex = gz_addr_ifindex(s->local);
	if (ip_current_is_v6()) {
		a->ttl = IP6H_HOPLIM(ip6_current_header());
		a->tos = (uint8_t)IP6H_TC(ip6_current_header());
	} else {
		a->ttl = IPH_TTL(ip4_current_header());
		a->tos = IPH_TOS(ip4_current_header());
	}
	if (gz_arrival_tells(&s->opt))
		gz_arrival_stamp(s);
}

void gz_arrival_lock(struct gz_sock *s)
{
	struct gz_stamps_log *l = log_of(s);

	if (l)
		pthread_mutex_lock(&l->lock);
	s->log_held = l;
}

void gz_arrival_unlock(struct gz_sock *s)
{
	/* The one that was locked: another thread may have made it since. */
	if (s->log_held)
		pthread_mutex_unlock(&s->log_held->lock);
	s->log_held = NULL;
}

void gz_arrival_note(struct gz_sock *s)
{
	struct gz_stamps_log *l = s->log_held;
	uint64_t end = atomic_load_explicit(&s->rx_bytes, memory_order_relaxed);
	unsigned last;

	if (!l)
		return;
	/* Full: as when the kernel joins buffers, the later time counts for both. */
	if (l->n < STAMPS)
		l->n++;
	last = (l->head + l->n - 1) % STAMPS;
	l->of[last].end = end;
	clock_gettime(CLOCK_REALTIME, &l->of[last].at);
}

/* --- service threads ------------------------------------------------------ */

int gz_arrival_stamp(struct gz_sock *s)
{
	struct gz_stamps_log *l;

	if (log_of(s))
		return 0;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOBUFS;
	pthread_mutex_init(&l->lock, NULL);
	atomic_store_explicit(&s->arrival.log, l, memory_order_release);
	return 0;
}

bool gz_arrival_tells(const struct gz_options *o)
{
	return o->inq || o->stamp || o->stamping;
}

/* The time of the last of @n bytes that were read.  false: nobody looked at the clock */
static bool time_of(struct gz_call_ctx *c, size_t n, bool peeked, struct timespec *at)
{
	struct gz_sock *s = c->s;
	struct gz_stamps_log *l = log_of(s);
	int left = 0;
	uint64_t pos;
	bool found = false;

	if (!l || !n)
		return false;
	pthread_mutex_lock(&l->lock);
	ioctl(c->fd, SIOCINQ, &left);
	pos = atomic_load(&s->rx_bytes) - atomic_load(&s->unread) - (unsigned)left;
	for (; l->n && l->of[l->head].end < pos; l->n--)
		l->head = (l->head + 1) % STAMPS;
	pos += peeked ? n : 0;
	for (unsigned i = 0; i < l->n && !found; i++) {
		if (l->of[(l->head + i) % STAMPS].end < pos)
			continue;
		*at = l->of[(l->head + i) % STAMPS].at;
		found = true;
	}
	pthread_mutex_unlock(&l->lock);
	return found;
}

/* tcp_inq_hint(): what can be read, or 1: the end can */
static int inq(struct gz_call_ctx *c)
{
	struct gz_stamps_log *l = log_of(c->s);
	struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};
	int n = 0;

	if (l)
		pthread_mutex_lock(&l->lock);
	ioctl(c->fd, SIOCINQ, &n);
	n += (int)atomic_load(&c->s->unread);
	if (l)
		pthread_mutex_unlock(&l->lock);
	return n ? n : poll(&p, 1, 0) > 0;
}

static int put(struct gz_call_ctx *c, struct msghdr *m, size_t *at, int level, int type,
	       const void *data, size_t len)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(struct scm_timestamping))];
	} x = {.h = {.cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type}};

	memcpy(CMSG_DATA(&x.h), data, len);
	return gz_msghdr_put(c, m, at, &x.h);
}

static int tell_time(struct gz_call_ctx *c, struct msghdr *m, size_t *at, struct timespec t)
{
	const struct gz_options *o = &c->s->opt;
	struct timeval tv = {t.tv_sec, t.tv_nsec / 1000};
	struct scm_timestamping all = {.ts = {{t.tv_sec, t.tv_nsec}}};
	int err = 0;

	if (o->stamp == SO_TIMESTAMPNS || o->stamp == SO_TIMESTAMPNS_NEW)
		err = put(c, m, at, SOL_SOCKET, o->stamp, &t, sizeof(t));
	else if (o->stamp)
		err = put(c, m, at, SOL_SOCKET, o->stamp, &tv, sizeof(tv));
	if (!err && o->stamping & SOF_TIMESTAMPING_SOFTWARE)
		err =
		    put(c, m, at, SOL_SOCKET,
			o->stamping_new ? SO_TIMESTAMPING_NEW : SO_TIMESTAMPING, &all, sizeof(all));
	return err;
}

int gz_arrival_tell(struct gz_call_ctx *c, struct msghdr *m, size_t n, bool peeked)
{
	struct timespec t;
	size_t at = 0;
	int err = 0, left;

	if (time_of(c, n, peeked, &t))
		err = tell_time(c, m, &at, t);
	if (!err && c->s->opt.inq) {
		left = inq(c);
		err = put(c, m, &at, IPPROTO_TCP, TCP_CM_INQ, &left, sizeof(left));
	}
	m->msg_controllen = at;
	return err;
}

int gz_arrival_saved(struct gz_sock *s, void *val, socklen_t *len)
{
	struct gz_saved_syn *syn = s->arrival.syn;
	bool fits = !syn || *len >= syn->len;

	*len = syn ? (socklen_t)syn->len : 0;
	if (!fits)
		return -EINVAL;
	if (syn)
		memcpy(val, syn->data, syn->len);
	free(syn); /* tcp_saved_syn_free(): it can be read once */
	s->arrival.syn = NULL;
	return 0;
}

static bool is_set(struct gz_sock *s, int level, int opt)
{
	return *gz_option_int(&s->opt, gz_option_row(level, opt));
}

/* put_cmsg() into @val, which has *@room bytes left */
static char *append(char *val, socklen_t *room, int level, int type, const void *data, size_t len)
{
	struct cmsghdr h = {.cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type};
	size_t n = CMSG_SPACE(len);

	if (*room < n)
		return val;
	memset(val, 0, n);
	memcpy(val, &h, sizeof(h));
	memcpy(val + CMSG_LEN(0), data, len);
	*room -= (socklen_t)n;
	return val + n;
}

/* do_ip_getsockopt(), do_ipv6_getsockopt() */
int gz_arrival_options(struct gz_sock *s, int level, void *val, socklen_t *len)
{
	const struct gz_arrival *a = &s->arrival;
	struct in_pktinfo info = {.ipi_ifindex = a->ifindex};
	struct in6_pktinfo info6 = {.ipi6_ifindex = (unsigned)a->ifindex};
	int ttl = a->ifindex ? a->ttl : 1; /* what multicasts would have */
	socklen_t room = *len;
	char *at = val;

	if (level == IPPROTO_IP) {
		info.ipi_addr.s_addr = info.ipi_spec_dst.s_addr = gz_end_v4_addr(s->local);
		if (is_set(s, level, IP_PKTINFO))
			at = append(at, &room, level, IP_PKTINFO, &info, sizeof(info));
		if (is_set(s, level, IP_RECVTTL))
			at = append(at, &room, level, IP_TTL, &ttl, sizeof(ttl));
		if (is_set(s, level, IP_RECVTOS))
			at = append(at, &room, level, IP_TOS, &a->tos, sizeof(a->tos));
	} else {
		/* It is the peer's, whatever RFC 2292 says. */
		if (a->ifindex)
			info6.ipi6_addr = s->peer.addr;
		if (is_set(s, level, IPV6_RECVPKTINFO))
			at = append(at, &room, level, IPV6_PKTINFO, &info6, sizeof(info6));
		if (is_set(s, level, IPV6_RECVHOPLIMIT))
			at = append(at, &room, level, IPV6_HOPLIMIT, &ttl, sizeof(ttl));
		if (is_set(s, level, IPV6_RECVTCLASS))
			at = append(at, &room, level, IPV6_TCLASS, &a->tos, sizeof(a->tos));
		if (is_set(s, level, IPV6_2292PKTINFO))
			at = append(at, &room, level, IPV6_2292PKTINFO, &info6, sizeof(info6));
		if (is_set(s, level, IPV6_2292HOPLIMIT))
			at = append(at, &room, level, IPV6_2292HOPLIMIT, &ttl, sizeof(ttl));
	}
	*len = (socklen_t)(at - (char *)val);
	return 0;
}

void gz_arrival_free(struct gz_arrival *a)
{
	struct gz_stamps_log *l = atomic_load(&a->log);

	free(a->syn);
	if (l)
		pthread_mutex_destroy(&l->lock);
	free(l);
}

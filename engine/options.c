/* SPDX-License-Identifier: BSD-3-Clause
 *
 * options.c - Socket options
 *
 * One table, rows[]: what each option's value looks like, where it is kept and
 * what is done with it.  What has no row does not exist here: ENOPROTOOPT, and
 * a counter.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "engine/counters.h"
#include "engine/sock.h"
#include "engine/worker.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum kind {
	FLAG,	 /* int, any non-zero value is 1 */
	INT,	 /* int in [lo, hi], else EINVAL */
	BUFSIZE, /* SO_SNDBUF, SO_RCVBUF: kept doubled, with a floor */
	LINGER,
	TIME,	  /* struct timeval; honoured by the shadow natively */
	COMPUTED, /* read only, by compute() */
};

struct row {
	int level, opt;
	enum kind kind;
	size_t offset;
	int lo, hi;
	int dfl;
};

#define AT(f) offsetof(struct gz_options, f)
#define ANY_INT INT32_MIN, INT32_MAX

static const struct row rows[] = {
    {SOL_SOCKET, SO_REUSEADDR, FLAG, AT(reuseaddr), 0, 0, 0},
    {SOL_SOCKET, SO_REUSEPORT, FLAG, AT(reuseport), 0, 0, 0},
    {SOL_SOCKET, SO_KEEPALIVE, FLAG, AT(keepalive), 0, 0, 0},
    {SOL_SOCKET, SO_BROADCAST, FLAG, AT(broadcast), 0, 0, 0},
    {SOL_SOCKET, SO_OOBINLINE, FLAG, AT(oobinline), 0, 0, 0},
    {SOL_SOCKET, SO_DONTROUTE, FLAG, AT(dontroute), 0, 0, 0},
    {SOL_SOCKET, SO_PRIORITY, INT, AT(priority), 0, 6, 0},
    {SOL_SOCKET, SO_RCVLOWAT, INT, AT(rcvlowat), 0, INT32_MAX, 1},
    {SOL_SOCKET, SO_RCVBUF, BUFSIZE, AT(rcvbuf), 2304, 0, 131072},
    {SOL_SOCKET, SO_SNDBUF, BUFSIZE, AT(sndbuf), 4608, 0, 16384},
    {SOL_SOCKET, SO_LINGER, LINGER, AT(linger), 0, 0, 0},
    {SOL_SOCKET, SO_RCVTIMEO, TIME, AT(rcvtimeo), 0, 0, 0},
    {SOL_SOCKET, SO_SNDTIMEO, TIME, AT(sndtimeo), 0, 0, 0},
    {SOL_SOCKET, SO_ERROR, COMPUTED, 0, 0, 0, 0},
    {SOL_SOCKET, SO_TYPE, COMPUTED, 0, 0, 0, 0},
    {SOL_SOCKET, SO_DOMAIN, COMPUTED, 0, 0, 0, 0},
    {SOL_SOCKET, SO_PROTOCOL, COMPUTED, 0, 0, 0, 0},
    {SOL_SOCKET, SO_ACCEPTCONN, COMPUTED, 0, 0, 0, 0},
    {IPPROTO_TCP, TCP_NODELAY, FLAG, AT(nodelay), 0, 0, 0},
    {IPPROTO_TCP, TCP_CORK, FLAG, AT(cork), 0, 0, 0},
    {IPPROTO_TCP, TCP_QUICKACK, FLAG, AT(quickack), 0, 0, 1},
    {IPPROTO_TCP, TCP_KEEPIDLE, INT, AT(keepidle), 1, 32767, 7200},
    {IPPROTO_TCP, TCP_KEEPINTVL, INT, AT(keepintvl), 1, 32767, 75},
    {IPPROTO_TCP, TCP_KEEPCNT, INT, AT(keepcnt), 1, 127, 9},
    {IPPROTO_TCP, TCP_SYNCNT, INT, AT(syncnt), 1, 127, 0},
    {IPPROTO_TCP, TCP_LINGER2, INT, AT(linger2), ANY_INT, 60},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, INT, AT(user_timeout), 0, INT32_MAX, 0},
    {IPPROTO_TCP, TCP_MAXSEG, COMPUTED, 0, 0, 0, 0},
    {IPPROTO_TCP, TCP_INFO, COMPUTED, 0, 0, 0, 0},
    {IPPROTO_TCP, TCP_CONGESTION, COMPUTED, 0, 0, 0, 0},
    {IPPROTO_IP, IP_TOS, INT, AT(tos), ANY_INT, 0},
    {IPPROTO_IP, IP_TTL, INT, AT(ttl), -1, 255, 64},
    {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, FLAG, AT(bind_no_port), 0, 0, 0},
    {IPPROTO_IPV6, IPV6_V6ONLY, FLAG, AT(v6only), 0, 0, 0},
};

static const struct row *find(int level, int opt)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].level == level && rows[i].opt == opt)
			return &rows[i];
	return NULL;
}

static int *int_at(struct gz_options *o, const struct row *r)
{
	return (int *)((char *)o + r->offset);
}

void gz_options_init(struct gz_options *o)
{
	memset(o, 0, sizeof(*o));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].kind == FLAG || rows[i].kind == INT || rows[i].kind == BUFSIZE)
			*int_at(o, &rows[i]) = rows[i].dfl;
	o->syncnt = gz_worker.cfg ? (int)gz_worker.cfg->syn_retries : 6;
}

static int set_time(struct gz_sock *s, const struct row *r, int shadow, const void *val,
		    socklen_t len)
{
	struct timeval tv;

	if (len < sizeof(tv))
		return -EINVAL;
	memcpy(&tv, val, sizeof(tv));
	if (tv.tv_usec < 0 || tv.tv_usec >= 1000000)
		return -EDOM;
	if (tv.tv_sec < 0)
		memset(&tv, 0, sizeof(tv)); /* sock_set_timeout(): expires at once */
	memcpy((char *)&s->opt + r->offset, &tv, sizeof(tv));
	/* A listener's shadow keeps its own, see calls.c. */
	if (gz_sock_state(s) != GZ_LISTENING &&
	    setsockopt(shadow, SOL_SOCKET, r->opt, &tv, sizeof(tv)) < 0)
		return -errno;
	return 0;
}

int gz_option_set(struct gz_sock *s, int shadow, int level, int opt, const void *val, socklen_t len)
{
	const struct row *r = find(level, opt);
	int v = 0;

	/* As net/core/sock.c: the length first, then the name. */
	if (level == SOL_SOCKET && len < sizeof(int))
		return -EINVAL;
	if (level == IPPROTO_TCP && opt == TCP_MAXSEG && len >= sizeof(int)) {
		memcpy(&v, val, sizeof(v));
		if (v && (v < 88 || v > 32767))
			return -EINVAL; /* TCP_MIN_MSS, MAX_TCP_WINDOW */
	}
	if (!r || (r->kind == COMPUTED && !(level == IPPROTO_TCP && opt == TCP_CONGESTION))) {
		gz_count(GZ_C_REFUSED_SETOPT);
		return -ENOPROTOOPT;
	}
	if (level == IPPROTO_IPV6 && s->family != AF_INET6)
		return -ENOPROTOOPT;
	if (r->kind == COMPUTED) {
		/* There is one algorithm, as the kernel calls it. */
		if (len >= 4 && !strncmp(val, "reno", 4))
			return 0;
		return -ENOENT;
	}
	if (level == IPPROTO_IP && len >= 1 && len < sizeof(int)) {
		v = *(const unsigned char *)val; /* ip(7) takes a byte as well */
	} else if (r->kind != LINGER && r->kind != TIME) {
		if (len < sizeof(int))
			return -EINVAL;
		memcpy(&v, val, sizeof(v));
	}
	switch (r->kind) {
	case FLAG:
		if (opt == IPV6_V6ONLY && level == IPPROTO_IPV6 && gz_sock_state(s) != GZ_FRESH)
			return -EINVAL;
		*int_at(&s->opt, r) = v != 0;
		break;
	case INT:
		if (v < r->lo || v > r->hi)
			return level == SOL_SOCKET ? -EPERM : -EINVAL;
		if (opt == IP_TTL && level == IPPROTO_IP) {
			if (v == 0)
				return -EINVAL;
			if (v < 0)
				v = 64;
		}
		if (opt == IP_TOS && level == IPPROTO_IP)
			v &= 0xfc; /* the ECN bits are TCP's */
		if (opt == SO_RCVLOWAT && level == SOL_SOCKET) {
			v = v ? v : 1;
			/* The shadow waits for as many bytes as the option says. */
			if (setsockopt(shadow, SOL_SOCKET, SO_RCVLOWAT, &v, sizeof(v)) < 0)
				return -errno;
		}
		*int_at(&s->opt, r) = v;
		break;
	case BUFSIZE:
		if (v < 0)
			v = 0;
		if (v > 212992)
			v = 212992; /* net.core.[rw]mem_max */
		v *= 2;
		*int_at(&s->opt, r) = v < r->lo ? r->lo : v;
		if (opt == SO_RCVBUF)
			s->opt.rcvbuf_set = true;
		else
			s->opt.sndbuf_set = true;
		break;
	case LINGER: {
		struct linger l;

		if (len < sizeof(l))
			return -EINVAL;
		memcpy(&l, val, sizeof(l));
		s->opt.linger.l_onoff = l.l_onoff != 0;
		if (l.l_onoff)
			s->opt.linger.l_linger = l.l_linger;
		break;
	}
	case TIME:
		return set_time(s, r, shadow, val, len);
	case COMPUTED:
		return -ENOPROTOOPT;
	}
	return 0;
}

static uint32_t info(_Atomic uint32_t *v)
{
	return atomic_load_explicit(v, memory_order_relaxed);
}

/* linux/tcp.h; what we do not measure stays 0. */
static void fill_tcp_info(struct gz_sock *s, struct tcp_info *t)
{
	memset(t, 0, sizeof(*t));
	switch (gz_sock_state(s)) {
	case GZ_LISTENING:
		t->tcpi_state = 10;
		break;
	case GZ_CONNECTING:
		t->tcpi_state = 2;
		break;
	case GZ_ESTABLISHED: {
		/* lwIP: 4 ESTABLISHED, 5 FIN_WAIT_1, 6 FIN_WAIT_2, 7 CLOSE_WAIT,
		 * 8 CLOSING, 9 LAST_ACK, 10 TIME_WAIT; in the kernel's numbers: */
		static const uint8_t to_linux[] = {7, 10, 2, 3, 1, 4, 5, 8, 11, 9, 6};
		uint8_t st = atomic_load_explicit(&s->info.tcp_state, memory_order_relaxed);

		t->tcpi_state = st && st < sizeof(to_linux) ? to_linux[st] : 1;
		break;
	}
	default:
		t->tcpi_state = 7;
	}
	t->tcpi_snd_mss = info(&s->info.mss);
	t->tcpi_rcv_mss = t->tcpi_advmss = t->tcpi_snd_mss;
	t->tcpi_pmtu = t->tcpi_snd_mss + 40;
	t->tcpi_rtt = info(&s->info.rtt_us);
	t->tcpi_snd_cwnd = t->tcpi_snd_mss ? info(&s->info.cwnd) / t->tcpi_snd_mss : 0;
	t->tcpi_total_retrans = info(&s->info.retransmits);
	t->tcpi_rcv_space = info(&s->info.rcv_wnd);
	t->tcpi_bytes_acked = atomic_load_explicit(&s->tx_bytes, memory_order_relaxed);
	t->tcpi_bytes_received = atomic_load_explicit(&s->rx_bytes, memory_order_relaxed);
}

static int compute(struct gz_sock *s, const struct row *r, void *val, socklen_t *len)
{
	int v = 0;

	if (r->level == IPPROTO_TCP) {
		struct tcp_info t;

		if (r->opt == TCP_CONGESTION) {
			char name[16] = "reno";

			*len = *len < sizeof(name) ? *len : sizeof(name);
			memcpy(val, name, *len);
			return 0;
		}
		if (r->opt == TCP_INFO) {
			fill_tcp_info(s, &t);
			*len = *len < sizeof(t) ? *len : sizeof(t);
			memcpy(val, &t, *len);
			return 0;
		}
		v = (int)info(&s->info.mss);
		if (!v)
			v = 536;
	} else {
		switch (r->opt) {
		case SO_ERROR:
			v = atomic_exchange(&s->error, 0);
			break;
		case SO_TYPE:
			v = SOCK_STREAM;
			break;
		case SO_DOMAIN:
			v = s->family;
			break;
		case SO_PROTOCOL:
			v = IPPROTO_TCP;
			break;
		default:
			v = gz_sock_state(s) == GZ_LISTENING;
		}
	}
	*len = *len < sizeof(v) ? *len : sizeof(v);
	memcpy(val, &v, *len);
	return 0;
}

int gz_option_get(struct gz_sock *s, int level, int opt, void *val, socklen_t *len)
{
	const struct row *r = find(level, opt);
	const void *from;
	size_t n;

	/* tcp(7) and ip(7) are there; other levels are nobody's. */
	if (level != SOL_SOCKET && level != IPPROTO_TCP && level != IPPROTO_IP &&
	    level != IPPROTO_IPV6) {
		gz_count(GZ_C_REFUSED_GETOPT);
		return -EOPNOTSUPP;
	}

	if (!r || (level == IPPROTO_IPV6 && s->family != AF_INET6)) {
		gz_count(GZ_C_REFUSED_GETOPT);
		return -ENOPROTOOPT;
	}
	switch (r->kind) {
	case COMPUTED:
		return compute(s, r, val, len);
	case LINGER:
		from = &s->opt.linger;
		n = sizeof(s->opt.linger);
		break;
	case TIME:
		from = (char *)&s->opt + r->offset;
		n = sizeof(struct timeval);
		break;
	default:
		from = int_at(&s->opt, r);
		n = sizeof(int);
		/* do_ip_getsockopt(): a short buffer gets one byte. */
		if (level == IPPROTO_IP && *len > 0 && *len < sizeof(int)) {
			*(unsigned char *)val = (unsigned char)*(const int *)from;
			*len = 1;
			return 0;
		}
	}
	if (*len > n)
		*len = (socklen_t)n;
	memcpy(val, from, *len);
	return 0;
}

void gz_options_replay(const struct gz_options *o, int family, int fd)
{
	struct gz_options dfl;

	gz_options_init(&dfl);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		const char *a = (const char *)o + r->offset;
		size_t n = r->kind == LINGER ? sizeof(struct linger)
			   : r->kind == TIME ? sizeof(struct timeval)
					     : sizeof(int);
		int v;

		if (r->kind == COMPUTED || (r->level == IPPROTO_IPV6 && family != AF_INET6) ||
		    !memcmp(a, (char *)&dfl + r->offset, n))
			continue;
		if (r->kind == BUFSIZE) {
			memcpy(&v, a, sizeof(v));
			v /= 2;
			a = (const char *)&v;
		}
		/* The kernel accepted none of these yet; a refusal is its right. */
		if (setsockopt(fd, r->level, r->opt, a, (socklen_t)n) < 0)
			gz_count(GZ_C_REFUSED_SETOPT);
	}
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * options.c - Socket options: setsockopt(2) and getsockopt(2) by the table's rows
 *
 * What is kept, computed or refused is in option_table.c.  Lengths are checked as
 * net/core/sock.c, net/ipv4/tcp.c and net/ipv4/ip_sockglue.c do.
 */
#include <assert.h>
#include <pthread.h>
#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/net_tstamp.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/address.h"
#include "engine/app.h"
#include "engine/counters.h"
#include "engine/iface.h"
#include "engine/option_table.h"
#include "engine/segment.h"
#include "engine/sock.h"
#include "engine/worker.h"

#define DEFAULT_MOST 212992 /* net.core.wmem_max and rmem_max of a kernel nobody has tuned */

static bool is(const struct gz_option_row *r, int level, int opt)
{
	return r->level == level && r->opt == opt;
}

static struct gz_options fresh; /* as the rows have it */

static void make_fresh(void)
{
	int *plain = fresh.plain;

	for (const struct gz_option_row *r = gz_option_rows; r < gz_option_rows + gz_option_nrows;
	     r++)
		if (gz_option_is_plain(r))
			*plain++ = r->dfl;
		else if (gz_option_is_int(r))
			*gz_option_int(&fresh, r) = r->dfl;
	assert(plain <= fresh.plain + GZ_OPTION_PLAIN);
}

void gz_options_init(struct gz_options *o)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_fresh);
	*o = fresh;
	o->syncnt = gz_cfg ? (int)gz_cfg->syn_retries : 6;
}

static int set_time(struct gz_sock *s, const struct gz_option_row *r, int shadow, const void *val,
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

static int refuse(const struct gz_option_row *r)
{
	if (!r || r->verdict == REFUSED)
		gz_count(GZ_C_REFUSED_SETOPT);
	return r && r->set_error ? -r->set_error : -ENOPROTOOPT;
}

/* SO_BINDTODEVICE: one of the stack's interfaces, by its port's name too, or lo; "": any. */
static int set_device(struct gz_sock *s, const char *val, socklen_t len)
{
	char name[sizeof(s->opt.device)] = "";

	memcpy(name, val, len < sizeof(name) - 1 ? len : sizeof(name) - 1);
	if (*name && !gz_iface_by_name(name) && !gz_iface_is_lo(name)) {
		gz_count(GZ_C_REFUSED_SETOPT);
		return -ENODEV;
	}
	memcpy(s->opt.device, name, sizeof(name));
	s->opt.at = gz_iface_bound(name);
	gz_claim_device(s, s->opt.at);
	return 0;
}

static int set_linger(struct gz_sock *s, const void *val, socklen_t len)
{
	struct linger l;

	if (len < sizeof(l))
		return -EINVAL;
	memcpy(&l, val, sizeof(l));
	s->opt.linger.l_onoff = l.l_onoff != 0;
	if (l.l_onoff)
		s->opt.linger.l_linger = l.l_linger;
	return 0;
}

/* What the kernel would take, of an option that is served */
static int refuse_value(const struct gz_option_row *r)
{
	gz_count(GZ_C_REFUSED_SETOPT);
	return -r->set_error;
}

/* __sock_set_timestamps() */
static int set_stamp(struct gz_sock *s, const struct gz_option_row *r, int v)
{
	s->opt.stamp = v ? r->opt : 0;
	return v ? gz_arrival_stamp(s) : 0;
}

/* What is sent is not stamped: the stack has no queue of errors for TCP. */
static int set_stamping(struct gz_sock *s, const struct gz_option_row *r, int v)
{
	const int sent =
	    SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_TX_ACK;

	if (v & ~SOF_TIMESTAMPING_MASK)
		return -r->set_error;
	if (v & sent)
		return refuse_value(r);
	s->opt.stamping = v;
	s->opt.stamping_new = r->opt == SO_TIMESTAMPING_NEW;
	return v & SOF_TIMESTAMPING_RX_SOFTWARE ? gz_arrival_stamp(s) : 0;
}

static bool capable(pid_t tid, unsigned a, unsigned b)
{
	return gz_app_capable(tid, a) || gz_app_capable(tid, b);
}

/* secs_to_retrans() and back: TCP_DEFER_ACCEPT is kept as a number of SYN-ACKs */
static int whole_retrans(int seconds)
{
	int period = 1, sum = 1, n = 1;

	if (seconds <= 0)
		return 0;
	while (seconds > sum && n < 255) {
		n++;
		period = period * 2 < 120 ? period * 2 : 120;
		sum += period;
	}
	return sum;
}

/* ip_tos2prio[] of net/ipv4/route.c, with what rt_tos2priority() takes of a TOS */
static int tos_priority(int tos)
{
	static const uint8_t prio[16] = {0, 1, 0, 1, 2, 2, 2, 2, 6, 6, 6, 6, 4, 4, 4, 4};

	return prio[(tos & 0x1e) >> 1];
}

/* ip6_sock_set_addr_preferences(): one of each, the default where *@v has none */
static int prefer(const struct gz_option_row *r, int *v)
{
	static const int of[] = {
	    IPV6_PREFER_SRC_TMP | IPV6_PREFER_SRC_PUBLIC | IPV6_PREFER_SRC_PUBTMP_DEFAULT,
	    IPV6_PREFER_SRC_COA | IPV6_PREFER_SRC_HOME,
	    IPV6_PREFER_SRC_CGA | IPV6_PREFER_SRC_NONCGA, /* not told */
	};
	int told = 0;

	for (int i = 0; i < 3; i++) {
		int one = *v & of[i];

		if (one & (one - 1))
			return -EINVAL;
		if (i < 2)
			told |= one ? one : r->dfl & of[i];
	}
	*v = told;
	return 0;
}

/* What an option does with its value besides keeping it.  Return: 0 or -errno */
static int adjust(struct gz_sock *s, const struct gz_option_row *r, int shadow, pid_t tid, int *v)
{
	switch (r->level) {
	case SOL_SOCKET:
		if (r->opt == SO_PRIORITY && (*v < 0 || *v > 6) &&
		    !capable(tid, CAP_NET_RAW, CAP_NET_ADMIN))
			return -EPERM;
		if (r->opt == SO_MARK && !capable(tid, CAP_NET_RAW, CAP_NET_ADMIN))
			return -EPERM;
		if ((r->opt == SO_PREFER_BUSY_POLL || r->opt == SO_BUSY_POLL_BUDGET) &&
		    *v > *gz_option_int(&s->opt, r) && !gz_app_capable(tid, CAP_NET_ADMIN))
			return -EPERM;
		if (r->opt == SO_LOCK_FILTER && !*v && *gz_option_int(&s->opt, r))
			return -EPERM; /* sk_setsockopt(): it is for good */
		if (r->opt == SO_DEBUG && *v && !gz_app_capable(tid, CAP_NET_ADMIN))
			return -EACCES;
		if (r->opt == SO_INCOMING_CPU) {
			if (gz_sock_state(s) >= GZ_ESTABLISHED)
				atomic_store(&s->info.cpu_set, true);
			atomic_store(&s->info.cpu, 0); /* until the next segment */
		}
		if (r->opt == SO_TXREHASH && *v < 0)
			*v = 1;
		/* Urgent data is the shadow's, as it is passed to it. */
		if (r->opt == SO_OOBINLINE &&
		    setsockopt(shadow, SOL_SOCKET, SO_OOBINLINE, v, sizeof(*v)) < 0)
			return -errno;
		if (r->opt == SO_RCVLOWAT) {
			*v = *v < 0 ? INT_MAX : *v ? *v : 1;
			/* The shadow waits for as many bytes as the option says. */
			if (setsockopt(shadow, SOL_SOCKET, SO_RCVLOWAT, v, sizeof(*v)) < 0)
				return -errno;
		}
		return 0;
	case IPPROTO_TCP:
		s->opt.quickack_asked += r->opt == TCP_QUICKACK;
		if (r->opt == TCP_LINGER2)
			*v = *v < 0 ? -1 : *v > 120 ? 120 : *v ? *v : 60;
		if (r->opt == TCP_INQ && *v)
			return gz_arrival_stamp(s); /* its log's lock is wanted */
		if (r->opt == TCP_DEFER_ACCEPT)
			*v = whole_retrans(*v);
		if (r->opt == TCP_WINDOW_CLAMP) {
			if (!*v && gz_sock_state(s) != GZ_FRESH && gz_sock_state(s) != GZ_BOUND)
				return -EINVAL;
			if (*v && *v < 1152)
				*v = 1152; /* SOCK_MIN_RCVBUF / 2 */
		}
		return 0;
	case IPPROTO_IP:
		if (r->opt == IP_LOCAL_PORT_RANGE && *v & 0xffff && (unsigned)*v >> 16 &&
		    (*v & 0xffff) > (int)((unsigned)*v >> 16))
			return -EINVAL;
		if (r->opt == IP_TTL)
			*v = *v < 0 ? 64 : *v;
		if (r->opt == IP_TTL && !*v)
			return -EINVAL;
		if (r->opt == IP_TOS) {
			*v = (*v & 0xff & ~3) | (s->opt.tos & 3); /* the ECN bits are TCP's */
			s->opt.priority = tos_priority(*v);
		}
		return 0;
	default:
		if (r->opt == IPV6_ADDR_PREFERENCES)
			return prefer(r, v);
		if (r->opt == IPV6_UNICAST_HOPS)
			*v = *v < 0 ? 64 : *v;
		if (r->opt == IPV6_TCLASS)
			*v = *v < 0 ? 0 : (*v & ~3) | (s->opt.tclass & 3);
		if (r->opt != IPV6_V6ONLY)
			return 0;
		return gz_sock_state(s) == GZ_FRESH ? 0 : -EINVAL;
	}
}

/* Extension headers of what is sent: the stack sends none. */
static bool is_header(int opt)
{
	return opt == IPV6_HOPOPTS || opt == IPV6_RTHDRDSTOPTS || opt == IPV6_RTHDR ||
	       opt == IPV6_DSTOPTS;
}

/* Is @val what a FIXED row may be set to? */
static bool is_fixed(const struct gz_option_row *r, int v, const void *val, socklen_t len)
{
	uint64_t wide = 0;

	if (len >= sizeof(wide)) {
		memcpy(&wide, val, sizeof(wide));
		if (v != 0 && v != -1 && wide >> 32)
			return false;
	}
	return (v >= r->lo && v <= r->hi) || v == r->dfl;
}

bool gz_options_are_native(const struct gz_options *o)
{
	return !o->oobinline && o->rcvlowat == 1 && !o->rcvtimeo.tv_sec && !o->rcvtimeo.tv_usec &&
	       !o->sndtimeo.tv_sec && !o->sndtimeo.tv_usec;
}

void gz_options_natively(const struct gz_options *o, int shadow)
{
	const struct timeval none = {0};

	if (o->oobinline)
		setsockopt(shadow, SOL_SOCKET, SO_OOBINLINE, &o->oobinline, sizeof(int));
	if (o->rcvlowat != 1)
		setsockopt(shadow, SOL_SOCKET, SO_RCVLOWAT, &o->rcvlowat, sizeof(int));
	if (memcmp(&o->rcvtimeo, &none, sizeof(none)))
		setsockopt(shadow, SOL_SOCKET, SO_RCVTIMEO, &o->rcvtimeo, sizeof(o->rcvtimeo));
	if (memcmp(&o->sndtimeo, &none, sizeof(none)))
		setsockopt(shadow, SOL_SOCKET, SO_SNDTIMEO, &o->sndtimeo, sizeof(o->sndtimeo));
}

/* By the kernel's names.  Return: the index, which is opt.reno, or -ENOENT */
static const char algorithms[][16] = {"westwood", "reno"};

static int congestion_of(const char *name, socklen_t len)
{
	for (int i = 0; i < 2; i++)
		if (strnlen(name, len) == strlen(algorithms[i]) &&
		    !memcmp(name, algorithms[i], strlen(algorithms[i])))
			return i;
	return -ENOENT;
}

/* SO_SNDBUF or SO_RCVBUF that the kernel gives at most: net.core.wmem_max, net.core.rmem_max,
 * which not every namespace can read */
static int kernels_most(int opt)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), most = INT_MAX;
	socklen_t len = sizeof(most);

	if (fd < 0)
		return DEFAULT_MOST;
	if (setsockopt(fd, SOL_SOCKET, opt, &most, len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, opt, &most, &len) < 0)
		most = 2 * DEFAULT_MOST;
	close(fd);
	return most / 2;
}

int gz_option_set(struct gz_sock *s, int shadow, pid_t tid, int level, int opt, const void *val,
		  socklen_t len)
{
	const struct gz_option_row *r = gz_option_row(level, opt);
	int v = 0, err;

	if (level == SOL_SOCKET && opt == SO_BINDTODEVICE)
		return set_device(s, val, len); /* before the length, as sk_setsockopt() */
	/* As net/core/sock.c: the length first, then the name. */
	if (level == SOL_SOCKET && len < sizeof(int))
		return -EINVAL;
	if (!r || (level == IPPROTO_IPV6 && s->family != AF_INET6))
		return refuse(NULL);
	if (is(r, IPPROTO_TCP, TCP_CONGESTION)) {
		if (len < 1)
			return -EINVAL;
		err = congestion_of(val, len);
		if (err >= 0) {
			s->opt.reno = err;
			return 0;
		}
		gz_count(GZ_C_REFUSED_SETOPT);
		return -ENOENT;
	}
	if (is(r, IPPROTO_IP, IP_OPTIONS)) {
		/* ip_options_compile(): zeros end the list */
		for (socklen_t i = 0; i < len; i++)
			if (((const char *)val)[i])
				return refuse(r);
		return len > 40 ? -EINVAL : 0;
	}
	if (level == IPPROTO_IPV6 && opt == IPV6_2292PKTOPTIONS) /* no message: no headers */
		return len < sizeof(struct cmsghdr) ? 0 : refuse(r);
	if (level == IPPROTO_IPV6 && is_header(opt) && !len)
		return 0; /* it is taken away */
	if (level == IPPROTO_IPV6 && (opt == IPV6_JOIN_GROUP || opt == IPV6_LEAVE_GROUP) &&
	    len >= sizeof(struct ipv6_mreq))
		return -EPROTO;
	if (level == IPPROTO_IPV6 && (opt == IPV6_MTU || opt == IPV6_ADDRFORM)) {
		memcpy(&v, val, len < sizeof(v) ? 0 : sizeof(v));
		if (opt == IPV6_ADDRFORM)
			return v == AF_INET && gz_sock_state(s) != GZ_ESTABLISHED ? -ENOTCONN
										  : refuse(r);
		/* Of what is fragmented: not of TCP */
		return len < sizeof(v) || (v && v < 1280) ? -EINVAL : 0;
	}
	if (r->kind == COMPUTED || r->kind == NONE)
		return refuse(r);
	if (r->kind == LINGER)
		return set_linger(s, val, len);
	if (r->kind == TIME)
		return set_time(s, r, shadow, val, len);
	if (level == IPPROTO_IP && opt == IP_LOCAL_PORT_RANGE && len != sizeof(int))
		return -EINVAL;
	if (level == IPPROTO_IP && len >= 1 && len < sizeof(int)) {
		v = *(const unsigned char *)val; /* ip(7) takes a byte as well */
	} else {
		if (len < sizeof(int) && !(level == IPPROTO_IP && opt != IP_TTL && opt != IP_TOS))
			return -EINVAL;
		memcpy(&v, val, len < sizeof(v) ? len : sizeof(v));
	}
	switch (r->kind) {
	case FLAG:
		v = v != 0;
		break;
	case INT:
		if (is(r, IPPROTO_TCP, TCP_SAVE_SYN) && v == 2)
			return refuse_value(r); /* the link layer's header as well */
		if ((v < r->lo || v > r->hi) && !(opt == TCP_MAXSEG && r->set_error && !v))
			return -r->set_error;
		break;
	case BUFSIZE: {
		int max = r->hi ? INT_MAX / 2 : kernels_most(opt);

		if (r->hi && !gz_app_capable(tid, CAP_NET_ADMIN))
			return -EPERM;
		v = v < 0 && r->hi ? 0 : v;
		v = (unsigned)v > (unsigned)max ? max : v;
		v = v * 2 < r->lo ? r->lo : v * 2;
		if (r->offset == AT(rcvbuf))
			s->opt.rcvbuf_set = true;
		else
			s->opt.sndbuf_set = true;
		break;
	}
	case STAMP:
		return set_stamp(s, r, v);
	case STAMPING:
		return set_stamping(s, r, v);
	default: /* FIXED */
		return is_fixed(r, v, val, len) ? 0 : refuse(r);
	}
	err = adjust(s, r, shadow, tid, &v);
	if (!err)
		*gz_option_int(&s->opt, r) = v;
	return err;
}

static int give(void *val, socklen_t *len, const void *from, size_t n)
{
	if (*len > n)
		*len = (socklen_t)n;
	memcpy(val, from, *len);
	return 0;
}

static int peer_name(struct gz_sock *s, void *val, socklen_t *len)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = s->peer.port};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = s->peer.port};
	size_t n = s->family == AF_INET ? sizeof(in) : sizeof(in6);

	if (gz_sock_state(s) != GZ_ESTABLISHED)
		return -ENOTCONN;
	if (*len > n)
		return -EINVAL; /* sk_getsockopt(): no more than the address has */
	in.sin_addr.s_addr = gz_end_v4_addr(s->peer);
	in6.sin6_addr = s->peer.addr;
	in6.sin6_scope_id = s->peer.scope;
	return give(val, len, s->family == AF_INET ? (void *)&in : (void *)&in6, n);
}

/* struct ucred, meminfo: what INET sockets answer */
static int compute_large(struct gz_sock *s, const struct gz_option_row *r, void *val,
			 socklen_t *len)
{
	struct ucred cred = {0, (uid_t)-1, (gid_t)-1};
	struct tcp_info t;
	uint64_t cookie = s->id;
	uint32_t mem[9] = {0}; /* enum sk_meminfo of linux/sock_diag.h */

	if (r->level == IPPROTO_TCP) {
		if (r->opt == TCP_CONGESTION)
			return give(val, len, algorithms[s->opt.reno], sizeof(*algorithms));
		if (r->opt == TCP_INFO) {
			gz_segment_info(s, &t);
			return give(val, len, &t, sizeof(t));
		}
		if (r->opt == TCP_SAVED_SYN)
			return gz_arrival_saved(s, val, len);
		*len = 0; /* TCP_CC_INFO: there is none */
		return 0;
	}
	switch (r->opt) {
	case SO_PEERCRED:
		return give(val, len, &cred, sizeof(cred));
	case SO_COOKIE:
		if (*len < sizeof(cookie))
			return -EINVAL;
		return give(val, len, &cookie, sizeof(cookie));
	case SO_MEMINFO:
		mem[0] = atomic_load(&s->unread);
		mem[1] = (uint32_t)s->opt.rcvbuf;
		mem[2] = mem[5] = atomic_load(&s->unsent);
		mem[3] = (uint32_t)s->opt.sndbuf;
		return give(val, len, mem, sizeof(mem));
	default: /* SO_PEERNAME */
		return peer_name(s, val, len);
	}
}

static int compute(struct gz_sock *s, const struct gz_option_row *r, void *val, socklen_t *len)
{
	struct ip6_mtuinfo path = {0};
	struct tcp_info info;
	int v = 0;

	switch (r->level) {
	case IPPROTO_TCP:
		if (r->opt != TCP_IS_MPTCP)
			return compute_large(s, r, val, len);
		break;
	case IPPROTO_IP: /* IP_MTU, IPV6_MTU, IPV6_PATHMTU, IPV6_ADDRFORM */
	case IPPROTO_IPV6:
		if (is(r, IPPROTO_IP, IP_PKTOPTIONS) || is(r, IPPROTO_IPV6, IPV6_2292PKTOPTIONS))
			return gz_arrival_options(s, r->level, val, len);
		if (gz_sock_state(s) != GZ_ESTABLISHED)
			return -ENOTCONN;
		gz_segment_info(s, &info);
		v = info.tcpi_pmtu ? (int)info.tcpi_pmtu : gz_addr_port_at(s->peer, s->opt.at)->mtu;
		path.ip6m_mtu = (uint32_t)v;
		if (is(r, IPPROTO_IPV6, IPV6_PATHMTU))
			return *len < sizeof(path) ? -EINVAL : give(val, len, &path, sizeof(path));
		if (is(r, IPPROTO_IPV6, IPV6_ADDRFORM))
			v = AF_INET6;
		break;
	default:
		switch (r->opt) {
		case SO_ERROR:
			v = gz_plane_take_error(s);
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
		case SO_SNDLOWAT:
			v = 1;
			break;
		case SO_BINDTOIFINDEX:
			v = gz_iface_index_of(s->opt.device);
			break;
		case SO_BPF_EXTENSIONS:
			v = 64; /* SKF_AD_MAX */
			break;
		case SO_INCOMING_NAPI_ID:
			break; /* frames come from no NAPI context of the kernel's */
		case SO_ACCEPTCONN:
			v = gz_sock_state(s) == GZ_LISTENING;
			break;
		default:
			return compute_large(s, r, val, len);
		}
	}
	return give(val, len, &v, sizeof(v));
}

/* Values of options that are kept otherwise than they are told */
static int told(struct gz_sock *s, const struct gz_option_row *r)
{
	int v = *gz_option_int(&s->opt, r), mss;
	struct tcp_info info;

	if (is(r, IPPROTO_TCP, TCP_MAXSEG)) {
		mss = gz_segment_info(s, &info) ? (int)info.tcpi_snd_mss : 0;
		/* do_tcp_getsockopt(): the user's until there is a connection */
		return mss ? mss : v ? v : 536;
	}
	if (is(r, SOL_SOCKET, SO_INCOMING_CPU) && atomic_load(&s->info.cpu))
		return atomic_load(&s->info.cpu) - 1;
	return v;
}

bool gz_option_is_asked(int level, int opt)
{
	return level == IPPROTO_TCP ? opt == TCP_INFO || opt == TCP_MAXSEG
	       : level == IPPROTO_IP
		   ? opt == IP_MTU
		   : level == IPPROTO_IPV6 && (opt == IPV6_MTU || opt == IPV6_PATHMTU);
}

int gz_option_get(struct gz_sock *s, int level, int opt, void *val, socklen_t *len)
{
	const struct gz_option_row *r = gz_option_row(level, opt);
	uint64_t wide;
	int v;

	/* tcp(7) and ip(7) are there; other levels are nobody's. */
	if ((level != SOL_SOCKET && level != IPPROTO_TCP && level != IPPROTO_IP &&
	     level != IPPROTO_IPV6) ||
	    (level == IPPROTO_IPV6 && s->family != AF_INET6)) {
		gz_count(GZ_C_REFUSED_GETOPT);
		return -EOPNOTSUPP;
	}
	if (!r || r->get_error) {
		if (!r || r->verdict == REFUSED)
			gz_count(GZ_C_REFUSED_GETOPT);
		return r ? -r->get_error : -ENOPROTOOPT;
	}
	switch (r->kind) {
	case COMPUTED:
		return compute(s, r, val, len);
	case LINGER:
		return give(val, len, &s->opt.linger, sizeof(s->opt.linger));
	case TIME:
		return give(val, len, (char *)&s->opt + r->offset, sizeof(struct timeval));
	case DEVICE:
		if (!*s->opt.device) {
			*len = 0;
			return 0;
		}
		if (*len < sizeof(s->opt.device))
			return -EINVAL;
		return give(val, len, s->opt.device, strlen(s->opt.device) + 1);
	case NONE:
		/* IP_OPTIONS, TCP_ULP, TCP_FASTOPEN_KEY, IPV6_HOPOPTS and kin: there is none */
		if (level == IPPROTO_TCP || (level == IPPROTO_IP && opt == IP_OPTIONS) ||
		    (level == IPPROTO_IPV6 && is_header(opt))) {
			*len = 0;
			return 0;
		}
		v = 0;
		break;
	case STAMP:
		v = s->opt.stamp == opt ||
		    (opt == SO_TIMESTAMP_NEW && s->opt.stamp == SO_TIMESTAMPNS_NEW);
		break;
	case STAMPING: /* struct so_timestamping: the flags, and a clock */
		wide =
		    opt == SO_TIMESTAMPING || s->opt.stamping_new ? (uint32_t)s->opt.stamping : 0;
		return give(val, len, &wide, sizeof(wide));
	case FIXED:
		v = r->dfl;
		if (level == SOL_SOCKET && (opt == SO_MAX_PACING_RATE || opt == SO_TXTIME)) {
			wide = (uint64_t)(int64_t)v;
			if (opt == SO_MAX_PACING_RATE && *len < sizeof(wide))
				return give(val, len, &wide, sizeof(int));
			return give(val, len, &wide, sizeof(wide));
		}
		break;
	default:
		v = told(s, r);
	}
	/* do_ip_getsockopt(): a short buffer gets one byte. */
	if (level == IPPROTO_IP && *len > 0 && *len < sizeof(int) && v >= 0 && v <= 255) {
		*(unsigned char *)val = (unsigned char)v;
		*len = 1;
		return 0;
	}
	return give(val, len, &v, sizeof(v));
}

void gz_options_replay(const struct gz_options *o, int family, int fd)
{
	struct gz_options dfl, *mine = (struct gz_options *)(uintptr_t)o;

	gz_options_init(&dfl);
	if (o->stamp && setsockopt(fd, SOL_SOCKET, o->stamp, &(int){1}, sizeof(int)) < 0)
		gz_count(GZ_C_REFUSED_SETOPT);
	if (o->stamping &&
	    setsockopt(fd, SOL_SOCKET, o->stamping_new ? SO_TIMESTAMPING_NEW : SO_TIMESTAMPING,
		       &o->stamping, sizeof(o->stamping)) < 0)
		gz_count(GZ_C_REFUSED_SETOPT);
	for (size_t i = 0; i < gz_option_nrows; i++) {
		const struct gz_option_row *r = &gz_option_rows[i];
		const char *a = (const char *)o + r->offset, *b = (const char *)&dfl + r->offset;
		size_t n = sizeof(int);
		int v;

		if (r->level == IPPROTO_IPV6 && family != AF_INET6)
			continue;
		if (gz_option_is_int(r)) {
			a = (const char *)gz_option_int(mine, r);
			b = (const char *)gz_option_int(&dfl, r);
		} else if (r->kind == LINGER) {
			n = sizeof(struct linger);
		} else if (r->kind == TIME) {
			n = sizeof(struct timeval);
		} else if (r->kind == DEVICE) {
			n = sizeof(o->device);
		} else {
			continue;
		}
		if (!memcmp(a, b, n) || (r->kind == BUFSIZE && r->hi))
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

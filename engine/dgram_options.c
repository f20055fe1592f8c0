/* SPDX-License-Identifier: BSD-3-Clause
 *
 * dgram_options.c - Options of UDP sockets: the shadow has most of them by itself
 */
#include <errno.h>
#include <linux/capability.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <string.h>
#include <sys/socket.h>

#include "engine/address.h"
#include "engine/counters.h"
#include "engine/dgram.h"
#include "engine/iface.h"
#include "engine/multicast.h"
#include "engine/option_table.h"
#include "engine/ports.h"
#include "engine/twin.h"
#include "engine/udp.h"
#include "engine/udp_twin.h"
#include "engine/udp_ring.h"
#include "engine/worker.h"

#define ROOM 2048 /* of the largest option: a filter of sources */

/* Options that would mean the engine's namespace, or that nobody here can do. */
static const struct {
	int level, opt;
} not_native[] = {
    {SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF},
    {SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF},
    {IPPROTO_IP, IP_UNICAST_IF},
    {IPPROTO_IP, IP_TRANSPARENT},
    {IPPROTO_IP, IP_OPTIONS}, /* no packet of the stack's has any */
};

/* IPv6 has many that say how packets look: only these the shadow has for the stack. */
static const int native_v6[] = {
    IPV6_UNICAST_HOPS,	   IPV6_TCLASS,		IPV6_RECVPKTINFO,     IPV6_RECVHOPLIMIT,
    IPV6_RECVTCLASS,	   IPV6_RECVERR,	IPV6_RECVERR_RFC4884, IPV6_MTU_DISCOVER,
    IPV6_MINHOPCOUNT,	   IPV6_MULTICAST_HOPS, IPV6_MULTICAST_LOOP,  IPV6_MULTICAST_ALL,
    IPV6_ADDR_PREFERENCES, IPV6_2292PKTINFO,	IPV6_2292HOPLIMIT,    IPV6_RECVORIGDSTADDR,
};

static bool is_native(int level, int opt)
{
	for (size_t i = 0; i < sizeof(native_v6) / sizeof(native_v6[0]); i++)
		if (level == IPPROTO_IPV6 && native_v6[i] == opt)
			return true;
	for (size_t i = 0; i < sizeof(not_native) / sizeof(not_native[0]); i++)
		if (not_native[i].level == level && not_native[i].opt == opt)
			return false;
	return level != IPPROTO_IPV6;
}

/* Who answers for an option? */
enum answer {
	SHADOW,
	GROUPS, /* multicast.c */
	V6ONLY,
	FREEBIND,  /* the shadow, for the kernel's socket; it is the stack that binds */
	NOTED,	   /* the shadow, but the stack or the rings go by it */
	INTERFACE, /* an interface of the stack's, or of the kernel's */
	MTU,	   /* that of the way to the peer; of IPv6 it can be set */
	NOBODY,
};

static const struct {
	int level, opt;
} noted[] = {
    {IPPROTO_IP, IP_MTU_DISCOVER},
    {IPPROTO_IP, IP_TTL},
    {IPPROTO_IP, IP_TOS},
    {IPPROTO_IP, IP_PKTINFO},
    {IPPROTO_IP, IP_RECVTTL},
    {IPPROTO_IP, IP_RECVTOS},
    {IPPROTO_IPV6, IPV6_MTU_DISCOVER},
    {IPPROTO_IPV6, IPV6_DONTFRAG},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS},
    {IPPROTO_IPV6, IPV6_TCLASS},
    {IPPROTO_IPV6, IPV6_RECVPKTINFO},
    {IPPROTO_IPV6, IPV6_RECVHOPLIMIT},
    {IPPROTO_IPV6, IPV6_RECVTCLASS},
    {SOL_SOCKET, SO_TIMESTAMP_OLD},
    {SOL_SOCKET, SO_TIMESTAMP_NEW},
    {SOL_SOCKET, SO_TIMESTAMPNS_OLD},
    {SOL_SOCKET, SO_TIMESTAMPNS_NEW},
    {SOL_SOCKET, SO_RCVBUF},
    {SOL_SOCKET, SO_RCVBUFFORCE},
};

static bool is_discover(int level, int opt)
{
	return (level == IPPROTO_IP && opt == IP_MTU_DISCOVER) ||
	       (level == IPPROTO_IPV6 && (opt == IPV6_MTU_DISCOVER || opt == IPV6_DONTFRAG));
}

static bool is_noted(int level, int opt)
{
	for (size_t i = 0; i < sizeof(noted) / sizeof(noted[0]); i++)
		if (noted[i].level == level && noted[i].opt == opt)
			return true;
	return false;
}

static enum answer who_answers(const struct gz_sock *s, int level, int opt)
{
	if (level == IPPROTO_IPV6 && s->family != AF_INET6)
		return SHADOW; /* the kernel has the error */
	if ((level == IPPROTO_IP || level == IPPROTO_IPV6) && gz_groups_option(level, opt))
		return GROUPS;
	if (level == SOL_SOCKET && (opt == SO_BINDTODEVICE || opt == SO_BINDTOIFINDEX))
		return INTERFACE;
	if (level == IPPROTO_IPV6 && opt == IPV6_V6ONLY)
		return V6ONLY;
	if ((level == IPPROTO_IP && opt == IP_FREEBIND) ||
	    (level == IPPROTO_IPV6 && opt == IPV6_FREEBIND))
		return FREEBIND;
	if (is_noted(level, opt))
		return NOTED;
	if ((level == IPPROTO_IP && opt == IP_MTU) ||
	    (level == IPPROTO_IPV6 && (opt == IPV6_MTU || opt == IPV6_PATHMTU)))
		return MTU;
	return is_native(level, opt) ? SHADOW : NOBODY;
}

static int set_v6only(struct gz_sock *s, const void *val, int len)
{
	int v;

	if (len < (int)sizeof(v) || gz_sock_state(s) != GZ_FRESH)
		return -EINVAL;
	memcpy(&v, val, sizeof(v));
	s->opt.v6only = v != 0;
	return 0;
}

/* What is larger goes in fragments.  The shadow has it too, and judges. */
static int set_mtu(struct gz_call_ctx *c, const void *val, int len)
{
	if (setsockopt(c->fd, IPPROTO_IPV6, IPV6_MTU, val, (socklen_t)len) < 0)
		return -errno;
	pthread_mutex_lock(&c->s->lock);
	memcpy(&c->s->dgram.mtu, val, sizeof(c->s->dgram.mtu));
	pthread_mutex_unlock(&c->s->lock);
	return 0;
}

/* gz_dgram_slot.control, as the shadow has it */
static uint32_t control_of(const struct gz_sock *s, int fd)
{
	static const struct {
		int level, opt;
		uint32_t bit;
	} t[] = {
	    {IPPROTO_IP, IP_PKTINFO, GZ_CONTROL_PKTINFO},
	    {IPPROTO_IP, IP_RECVTTL, GZ_CONTROL_TTL},
	    {IPPROTO_IP, IP_RECVTOS, GZ_CONTROL_TOS},
	    {IPPROTO_IPV6, IPV6_RECVPKTINFO, GZ_CONTROL_PKTINFO6},
	    {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, GZ_CONTROL_HOPS},
	    {IPPROTO_IPV6, IPV6_RECVTCLASS, GZ_CONTROL_CLASS},
	};
	uint32_t bits = 0;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		if ((t[i].level == IPPROTO_IP || s->family == AF_INET6) &&
		    gz_dgram_option(fd, t[i].level, t[i].opt))
			bits |= t[i].bit;
	return bits;
}

/*
 * Which one tells the time: each takes the place of the others (sock_set_timestamp()).  Of
 * SO_TIMESTAMP_NEW getsockopt() does not say whether nanoseconds were asked for.
 */
static uint32_t stamp_of(int fd)
{
	static const int t[] = {SO_TIMESTAMPNS_OLD, SO_TIMESTAMPNS_NEW, SO_TIMESTAMP_OLD,
				SO_TIMESTAMP_NEW};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		if (gz_dgram_option(fd, SOL_SOCKET, t[i]))
			return (uint32_t)t[i];
	return 0;
}

static void note_headers(struct gz_sock *s, int fd, bool v4)
{
	int level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
	int v = gz_dgram_option(fd, level, v4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER);

	s->dgram.whole[v4] = v == IP_PMTUDISC_DO || v == IP_PMTUDISC_PROBE ||
			     (!v4 && gz_dgram_option(fd, level, IPV6_DONTFRAG));
	s->dgram.hops[v4] = (uint8_t)gz_dgram_option(fd, level, v4 ? IP_TTL : IPV6_UNICAST_HOPS);
	s->dgram.tos[v4] = (uint8_t)gz_dgram_option(fd, level, v4 ? IP_TOS : IPV6_TCLASS);
}

static int set_noted(struct gz_call_ctx *c, int level, int opt, const void *val, int len)
{
	struct gz_sock *s = c->s;

	if (opt == SO_RCVBUFFORCE && level == SOL_SOCKET &&
	    !(gz_app_capable(c->tid, CAP_NET_ADMIN) && gz_app_shares_user_namespace(c->tid)))
		return -EPERM;
	if (setsockopt(c->fd, level, opt, val, (socklen_t)len) < 0)
		return -errno;
	pthread_mutex_lock(&s->lock);
	note_headers(s, c->fd, true);
	if (s->family == AF_INET6)
		note_headers(s, c->fd, false);
	s->dgram.control = control_of(s, c->fd);
	s->dgram.stamp = stamp_of(c->fd);
	if (is_discover(level, opt))
		gz_udp_tell_mtu(s, c->fd);
	pthread_mutex_unlock(&s->lock);
	/* It holds more than that. */
	if (!gz_udp_ring_holds(s, gz_dgram_option(c->fd, SOL_SOCKET, SO_RCVBUF)))
		gz_udp_ring_refuse(c, GZ_OFF_OPTION);
	gz_udp_ring_changed(s);
	return 0;
}

static int set_freebind(struct gz_call_ctx *c, int level, int opt, const void *val, int len)
{
	if (setsockopt(c->fd, level, opt, val, (socklen_t)len) < 0)
		return -errno;
	pthread_mutex_lock(&c->s->lock);
	c->s->opt.freebind = gz_dgram_option(c->fd, level, opt);
	pthread_mutex_unlock(&c->s->lock);
	return 0;
}

/* What nobody does may be set to what it is. */
static const struct gz_option_row *off(int level, int opt)
{
	const struct gz_option_row *r = gz_option_row(level, opt);

	return r && (r->kind == FIXED || r->kind == FLAG) ? r : NULL;
}

static int64_t refuse_set(struct gz_call_ctx *c, int level, int opt, int len)
{
	const struct gz_option_row *r = off(level, opt);
	int v = -1, err = 0;

	if (r && len >= (int)sizeof(v))
		err = gz_app_read(c->tid, c->args[3], &v, sizeof(v));
	if (err || (r && v == r->dfl))
		return err;
	gz_count(GZ_C_REFUSED_SETOPT);
	return r && r->set_error ? -r->set_error : -ENOPROTOOPT;
}

/* Another one than the stack's and lo: the kernel's socket takes over. */
static int64_t set_device(struct gz_call_ctx *c, const void *val, int len)
{
	char name[IFNAMSIZ] = "";
	int64_t r = gz_iface_bind(c, val, len, name);

	if (r)
		return r;
	pthread_mutex_lock(&c->s->lock);
	memcpy(c->s->opt.device, name, sizeof(name));
	c->s->opt.at = gz_iface_bound(name);
	gz_claim_device(c->s, c->s->opt.at);
	pthread_mutex_unlock(&c->s->lock);
	if (*name && !gz_iface_is_lo(name))
		gz_twin_close(c->s);
	else
		gz_twin_option(c->s, SOL_SOCKET, SO_BINDTODEVICE, name, sizeof(name));
	pthread_mutex_lock(&c->s->lock);
	gz_udp_tell_mtu(c->s, c->fd);
	pthread_mutex_unlock(&c->s->lock);
	gz_udp_ring_changed(c->s);
	return 0;
}

/* Options that the shadow has, and that say nothing of what goes by rings. */
static bool has_ring(enum answer by, int level, int opt)
{
	static const int socket_level[] = {
	    SO_REUSEADDR, SO_REUSEPORT, SO_BROADCAST,	 SO_SNDBUF,	  SO_SNDBUFFORCE,
	    SO_PRIORITY,  SO_MARK,	SO_RCVTIMEO_OLD, SO_RCVTIMEO_NEW, SO_SNDTIMEO_OLD,
	    SO_KEEPALIVE, SO_LINGER,	SO_DONTROUTE,	 SO_DEBUG,	  SO_SNDTIMEO_NEW,
	};

	if (by != SHADOW)
		return true;
	for (size_t i = 0; i < sizeof(socket_level) / sizeof(socket_level[0]); i++)
		if (level == SOL_SOCKET && opt == socket_level[i])
			return true;
	return false;
}

static bool is_receive_time(int level, int opt)
{
	return level == SOL_SOCKET && (opt == SO_RCVTIMEO_OLD || opt == SO_RCVTIMEO_NEW);
}

int64_t gz_dgram_setsockopt(struct gz_call_ctx *c)
{
	int level = (int)c->args[1], opt = (int)c->args[2], len = (int)c->args[4], err;
	enum answer by = who_answers(c->s, level, opt);
	char val[ROOM] = {0};

	gz_udp_ring_flush(c->s);
	if (!has_ring(by, level, opt))
		gz_udp_ring_refuse(c, GZ_OFF_OPTION);
	/* How long may change; that there is a time is all that matters. */
	if (is_receive_time(level, opt)) {
		c->s->opt.rcvtimeo.tv_sec = 1;
		gz_plane_set_timed(c->s);
	}
	if (by == SHADOW || by == NOTED || by == FREEBIND)
		gz_udp_twin_option(c);
	if (by == SHADOW || (level == IPPROTO_IP && opt == IP_OPTIONS && !len))
		return GZ_CONTINUE;
	if (by == NOBODY || (by == MTU && opt != IPV6_MTU))
		return refuse_set(c, level, opt, len);
	if (len < 0)
		return -EINVAL;
	len = len > (int)sizeof(val) ? (int)sizeof(val) : len;
	err = gz_app_read(c->tid, c->args[3], val, (size_t)len);
	if (err)
		return err;
	if (by == INTERFACE)
		return set_device(c, val, len);
	if (by == FREEBIND)
		return set_freebind(c, level, opt, val, len);
	if (by == NOTED)
		return set_noted(c, level, opt, val, len);
	if (by == GROUPS)
		return gz_groups_set(c, level, opt, val, (socklen_t)len);
	return by == MTU ? set_mtu(c, val, len) : set_v6only(c->s, val, len);
}

/* What the shadow learned from ICMP, or the port's.  Return: it, or -ENOTCONN */
static int path_mtu(struct gz_call_ctx *c, int level)
{
	int v, most;

	if (gz_sock_state(c->s) != GZ_ESTABLISHED)
		return -ENOTCONN;
	if (gz_addr_is_local(c->s->peer))
		return 65536; /* lo's */
	most = gz_addr_port_at(c->s->peer, c->s->opt.at)->mtu;
	v = gz_dgram_option(c->fd, level, level == IPPROTO_IP ? IP_MTU : IPV6_MTU);
	return v && v < most ? v : most;
}

/* sock_getbindtodevice(); @room: what the program has */
static int64_t get_device(struct gz_call_ctx *c, int opt, socklen_t room)
{
	const char *name = c->s->opt.device;
	int index = gz_iface_index_of(name);
	socklen_t len = *name ? (socklen_t)strlen(name) + 1 : 0;
	const void *from = name;
	int64_t err;

	if (opt == SO_BINDTOIFINDEX) {
		len = room < sizeof(index) ? room : sizeof(index);
		from = &index;
	} else if (len && room < IFNAMSIZ) {
		return -EINVAL;
	}
	err = gz_app_write(c->tid, c->args[3], from, len);
	return err ? err : gz_app_write(c->tid, c->args[4], &len, sizeof(len));
}

int64_t gz_dgram_getsockopt(struct gz_call_ctx *c)
{
	int level = (int)c->args[1], opt = (int)c->args[2], room, v = c->s->opt.v6only;
	enum answer by = who_answers(c->s, level, opt);
	struct ip6_mtuinfo path = {0};
	const void *from = &v;
	char val[ROOM] = "";
	socklen_t len, size = sizeof(v);
	int64_t err;

	/* An error may be on its way there; its queue is empty while there are rings. */
	gz_udp_ring_flush(c->s);
	if (level == SOL_SOCKET && opt == SO_MEMINFO)
		gz_udp_ring_refuse(c, GZ_OFF_OPTION);
	if (by == SHADOW || by == NOTED || by == FREEBIND ||
	    (level == IPPROTO_IP && opt == IP_OPTIONS))
		return GZ_CONTINUE;
	if (by == NOBODY && !off(level, opt)) {
		gz_count(GZ_C_REFUSED_GETOPT);
		return -ENOPROTOOPT;
	}
	err = gz_app_read(c->tid, c->args[4], &room, sizeof(room));
	if (err)
		return err;
	if (room < 0)
		return -EINVAL;
	len = (socklen_t)(room > (int)sizeof(val) ? (int)sizeof(val) : room);
	if (by == INTERFACE)
		return get_device(c, opt, len);
	if (by == GROUPS) {
		err = gz_app_read(c->tid, c->args[3], val, len);
		if (!err)
			err = gz_groups_get(c->s, level, opt, val, &len);
	} else {
		if (by == NOBODY)
			v = off(level, opt)->dfl;
		else if (by == MTU)
			v = path_mtu(c, level);
		err = v < 0 ? v : 0;
		path.ip6m_mtu = (uint32_t)v;
		if (by == MTU && opt == IPV6_PATHMTU && level == IPPROTO_IPV6) {
			if (!err && len < sizeof(path))
				err = -EINVAL;
			from = &path;
			size = sizeof(path);
		}
		len = len < size ? len : size;
		memcpy(val, from, len);
	}
	if (!err)
		err = gz_app_write(c->tid, c->args[3], val, len);
	return err ? err : gz_app_write(c->tid, c->args[4], &len, sizeof(len));
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * dgram.c - UDP sockets: socket, bind, connect, names, options
 *
 * Theory of operation.  The shadow of a UDP socket is a UDP socket of the kernel, in
 * the engine's network namespace, bound to a port of its own there (alias.h).  AF_UNIX datagrams
 * would not do: they have no ECONNREFUSED for a recv(), no EDESTADDRREQ, and ten places in their
 * queue (net/unix/af_unix.c).  The shadow has all of that, and most options, by itself; what a
 * program says about ports, peers and groups is the engine's, and never reaches the kernel.
 *
 *   FRESH		no port
 *   BOUND		a claim in ports.c, which udp.c finds it by
 *   ESTABLISHED	the same, and the shadow is connected to its peer's alias
 *
 * Calls without an address are native.  Those with one trap, are run here on a
 * duplicate of the shadow, and have their addresses translated (dgram_msg.c).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <linux/sockios.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/address.h"
#include "engine/alias.h"
#include "engine/calls.h"
#include "engine/counters.h"
#include "engine/dgram.h"
#include "engine/dhcp.h"
#include "engine/iface.h"
#include "engine/log.h"
#include "engine/multicast.h"
#include "engine/ping.h"
#include "engine/ports.h"
#include "engine/reaper.h"
#include "engine/shadow.h"
#include "engine/twin.h"
#include "engine/udp.h"
#include "engine/udp_twin.h"
#include "engine/udp_ring.h"
#include "engine/worker.h"
#include "launcher/calls.h"

#define DEFAULT_HOPS 64 /* RFC 1700, net.ipv4.ip_default_ttl */
#define TWIN_TRIES 64	/* ports to try that the kernel has free as well */

socklen_t gz_dgram_inner(const struct gz_sock *s, uint32_t name, bool native,
			 struct sockaddr_storage *ss)
{
	struct gz_end end = {.addr = gz_name_v6(name, native), .port = htons(GZ_ALIAS_PORT)};

	return gz_addr_sockaddr(s->family, end, ss);
}

socklen_t gz_dgram_inner_peer(const struct gz_sock *s, struct sockaddr_storage *ss)
{
	struct gz_end end = {.addr = gz_name_v6(s->dgram.alias, !gz_end_is_v4(s->peer)),
			     .port = s->peer.port ? htons(GZ_ALIAS_PORT) : 0};

	return gz_addr_sockaddr(s->family, end, ss);
}

/* A shadow for @s.  Return: descriptor or -errno */
static int new_shadow(struct gz_sock *s, int flags)
{
	int fd = socket(s->family, SOCK_DGRAM | SOCK_CLOEXEC | flags, 0), err;
	struct gz_end end = gz_end_any(s->family);
	struct sockaddr_storage ss;
	struct stat st;
	socklen_t len;

	end.port = htons(s->dgram.nest);
	len = gz_addr_sockaddr(s->family, end, &ss);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&ss, len) == 0 && fstat(fd, &st) == 0) {
		s->named = true;
		gz_table_add(s, st.st_ino);
		return fd;
	}
	err = errno == EMFILE ? -ENFILE : -errno;
	if (fd >= 0)
		close(fd);
	return err;
}

int64_t gz_dgram_socket(struct gz_call_ctx *c)
{
	int type = (int)c->args[1], fd;
	struct gz_sock *s;

	s = gz_sock_new(c->sv->client, (int)c->args[0]);
	if (!s)
		return -ENOBUFS;
	s->type = SOCK_DGRAM;
	s->dgram.hops[0] = s->dgram.hops[1] = DEFAULT_HOPS;
	s->dgram.nest = gz_nest_take(s);
	fd = s->dgram.nest ? new_shadow(s, type & SOCK_NONBLOCK) : -ENOBUFS;
	if (fd < 0) {
		gz_nest_drop(s->dgram.nest);
		gz_sock_unref(s);
		return fd;
	}
	return gz_shadow_give(c, s, fd, type);
}

static int protocol(const struct gz_sock *s)
{
	if (!s->dgram.ping)
		return IPPROTO_UDP;
	return s->family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
}

int gz_dgram_option(int fd, int level, int opt)
{
	int v = 0;
	socklen_t len = sizeof(v);

	return getsockopt(fd, level, opt, &v, &len) < 0 ? 0 : v;
}

/* --- the kernel's -------------------------------------------------------- */

/* What a program may have set on its shadow, for the kernel socket that replaces it. */
static const struct {
	int level, opt;
} kept[] = {
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS},
    {IPPROTO_IPV6, IPV6_TCLASS},
    {IPPROTO_IPV6, IPV6_RECVPKTINFO},
    {IPPROTO_IPV6, IPV6_RECVHOPLIMIT},
    {IPPROTO_IPV6, IPV6_RECVTCLASS},
    {IPPROTO_IPV6, IPV6_RECVERR},
    {IPPROTO_IPV6, IPV6_MTU_DISCOVER},
    {IPPROTO_IPV6, IPV6_DONTFRAG},
    {IPPROTO_IPV6, IPV6_MULTICAST_HOPS},
    {IPPROTO_IPV6, IPV6_MULTICAST_LOOP},
    {IPPROTO_IPV6, IPV6_MULTICAST_ALL},
    {SOL_SOCKET, SO_REUSEADDR},
    {SOL_SOCKET, SO_REUSEPORT},
    {SOL_SOCKET, SO_BROADCAST},
    {SOL_SOCKET, SO_PRIORITY},
    {SOL_SOCKET, SO_TIMESTAMP},
    {SOL_SOCKET, SO_TIMESTAMPNS},
    {SOL_SOCKET, SO_RXQ_OVFL},
    {IPPROTO_IP, IP_FREEBIND},
    {IPPROTO_IP, IP_TOS},
    {IPPROTO_IP, IP_TTL},
    {IPPROTO_IP, IP_PKTINFO},
    {IPPROTO_IP, IP_RECVTTL},
    {IPPROTO_IP, IP_RECVTOS},
    {IPPROTO_IP, IP_RECVERR},
    {IPPROTO_IP, IP_MTU_DISCOVER},
    {IPPROTO_IP, IP_MULTICAST_TTL},
    {IPPROTO_IP, IP_MULTICAST_LOOP},
    {IPPROTO_IP, IP_MULTICAST_ALL},
};

void gz_dgram_replay(struct gz_sock *s, int shadow, int fd)
{
	struct timeval tv;
	socklen_t len;
	int v;

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		if (kept[i].level == IPPROTO_IPV6 && s->family != AF_INET6)
			continue;
		v = gz_dgram_option(shadow, kept[i].level, kept[i].opt);
		if (v != gz_dgram_option(fd, kept[i].level, kept[i].opt) &&
		    setsockopt(fd, kept[i].level, kept[i].opt, &v, sizeof(v)) < 0)
			gz_count(GZ_C_REFUSED_SETOPT);
	}
	for (int opt = SO_RCVTIMEO; opt <= SO_SNDTIMEO; opt++) {
		len = sizeof(tv);
		if (getsockopt(shadow, SOL_SOCKET, opt, &tv, &len) == 0)
			setsockopt(fd, SOL_SOCKET, opt, &tv, len);
	}
	for (int opt = SO_SNDBUF; opt <= SO_RCVBUF; opt++) {
		v = gz_dgram_option(shadow, SOL_SOCKET, opt);
		if (v != gz_dgram_option(fd, SOL_SOCKET, opt)) {
			v /= 2;
			setsockopt(fd, SOL_SOCKET, opt, &v, sizeof(v));
		}
	}
	if (s->family == AF_INET6 && s->opt.v6only)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &s->opt.v6only, sizeof(int));
	gz_groups_replay(s, fd);
}

int64_t gz_dgram_to_kernel(struct gz_call_ctx *c, const struct gz_verdict *v)
{
	struct gz_sock *s = c->s;
	struct sockaddr_storage ss;
	struct gz_end local = s->local;
	socklen_t len;
	int fd, err;

	fd = gz_twin_take(s);
	if (fd >= 0) {
		gz_dgram_replay(s, c->fd, fd);
		return gz_put_kernel_socket(c, fd, v);
	}
	fd = gz_kernel_socket(c->tid, s->family, SOCK_DGRAM, protocol(s));
	if (fd < 0)
		return fd;
	gz_dgram_replay(s, c->fd, fd);
	if (gz_sock_state(s) == GZ_BOUND) {
		if (!s->dgram.chose_port)
			local.port = 0;
		len = gz_addr_sockaddr(s->family, local, &ss);
		if (bind(fd, (struct sockaddr *)&ss, len) < 0) {
			err = -errno;
			close(fd);
			return err;
		}
	}
	gz_plane_renumber(s);
	return gz_put_kernel_socket(c, fd, v);
}

/* The errors are udpv6_sendmsg()'s and ip6_dst_lookup_tail()'s. */
int gz_dgram_family_fits(const struct gz_sock *s, struct gz_end peer)
{
	if (s->family == AF_INET)
		return 0;
	if (s->dgram.ping)
		return gz_end_is_v4(peer) ? -EINVAL : 0; /* ping_v6_sendmsg() */
	if (s->opt.v6only && gz_end_is_v4(peer))
		return -ENETUNREACH;
	if (gz_end_is_any(s->local) || gz_end_is_v4(s->local) == gz_end_is_v4(peer))
		return 0;
	return gz_end_is_v4(peer) ? -EINVAL : -EAFNOSUPPORT;
}

/* A destination as a program wrote it.  Return: 0 with @peer and @whose, or -errno */
static int read_target(struct gz_call_ctx *c, uint64_t addr, int len, struct gz_end *peer,
		       enum gz_whose *whose)
{
	struct gz_sock *s = c->s;
	struct sockaddr_in in;
	sa_family_t family = AF_UNSPEC;
	int err;

	if (s->family == AF_INET6 && !s->dgram.ping && len >= (int)sizeof(in)) {
		err = gz_app_read(c->tid, addr, &in, sizeof(in));
		if (err)
			return err;
		if (in.sin_family == AF_INET) { /* udpv6_sendmsg(): as good as a mapped one */
			*peer = gz_end_v4(in.sin_addr.s_addr, in.sin_port);
			*whose = GZ_OURS;
			return 0;
		}
	}
	err = gz_addr_parse(c, addr, len, peer, &family, whose);
	if (err)
		return err;
	if (family == AF_UNSPEC && (s->family != AF_INET || len < 16))
		return -EINVAL;
	if (family != s->family && family != AF_UNSPEC)
		return s->family == AF_INET || s->dgram.ping ? -EAFNOSUPPORT : -EINVAL;
	return 0;
}

/* IP_MULTICAST_IF */
static bool group_by_lo(struct gz_sock *s, struct gz_end peer)
{
	struct gz_group_options o;

	if (!gz_addr_is_group(peer))
		return false;
	pthread_mutex_lock(&s->lock);
	gz_groups_options(s, true, &o);
	pthread_mutex_unlock(&s->lock);
	return gz_addr_is_loopback(o.local);
}

/*
 * A socket that the kernel's can take the place of: nothing went over the stack, and nothing
 * is to come to a port that was chosen, unless from @peer alone.
 */
static bool may_leave(const struct gz_sock *s, bool connecting)
{
	return gz_sock_state(s) != GZ_ESTABLISHED && !atomic_load(&s->rx_bytes) &&
	       !atomic_load(&s->tx_bytes) &&
	       (connecting || s->dgram.ping || !s->dgram.chose_port) &&
	       (gz_end_is_any(s->local) || s->twin_fd >= 0);
}

/* connect() again chooses a source again, unless bind() did. */
static bool chosen_anew(const struct gz_sock *s, bool connecting)
{
	return connecting && gz_sock_state(s) == GZ_ESTABLISHED && !s->dgram.chose_addr;
}

/* udpv6_sendmsg(): what has a scope and does not say it has that of the interface that the
 * socket is bound to, or sends to groups by; else the first one's that has IPv6 */
static void choose_scope(struct gz_sock *s, struct gz_end *peer)
{
	struct gz_group_options o;
	uint8_t at = s->opt.at;

	if (peer->scope || !gz_addr_has_scope(*peer))
		return;
	if (at < GZ_AT_PORT && gz_addr_is_group(*peer)) {
		pthread_mutex_lock(&s->lock);
		gz_groups_options(s, false, &o);
		pthread_mutex_unlock(&s->lock);
		at = o.at;
	}
	gz_addr_set_scope(peer,
			  at >= GZ_AT_PORT ? (unsigned)at - GZ_AT_PORT : gz_engine_first6(gz_cfg));
}

int64_t gz_dgram_target(struct gz_call_ctx *c, uint64_t addr, int len, struct gz_end *peer,
			bool connecting, bool *by_twin)
{
	struct gz_sock *s = c->s;
	enum gz_whose whose;
	struct gz_verdict v;
	struct gz_end lo;
	int err;

	err = read_target(c, addr, len, peer, &whose);
	if (!err)
		err = gz_dgram_family_fits(s, *peer);
	if (err)
		return err;
	if (!peer->port && !connecting && !s->dgram.ping)
		return -EINVAL;
	if (gz_end_is_any(*peer)) {
		lo = gz_addr_loopback(gz_end_is_v4(*peer) || gz_end_is_v4(s->local));
		lo.port = peer->port;
		*peer = lo;
	}
	choose_scope(s, peer);
	*by_twin = gz_udp_twin_knows(s, *peer);
	if (*by_twin)
		return 0;
	if (whose == GZ_KERNELS)
		gz_policy_is(c, GZ_DIR_CONNECT, protocol(s), *peer, GZ_WHY_FAMILY, &v);
	else
		gz_policy_ask(c, GZ_DIR_CONNECT, protocol(s), *peer, &v);
	*by_twin = v.whose == GZ_KERNELS;
	if (*by_twin && may_leave(s, connecting))
		return gz_dgram_to_kernel(c, &v);
	s->verdict = v;
	if (*by_twin)
		return gz_udp_twin_need(c);
	if (gz_addr_to_many(*peer) && !gz_addr_is_group(*peer) &&
	    !gz_dgram_option(c->fd, SOL_SOCKET, SO_BROADCAST))
		return -EACCES;
	/* ip_route_output_key_hash_rcu(): such a source leaves by lo only. */
	if (gz_addr_is_loopback(s->local) && !gz_addr_is_local(*peer) &&
	    !gz_addr_is_loopback(*peer) && gz_end_is_v4(*peer) && !group_by_lo(s, *peer))
		return -EINVAL;
	/* Nor is anything sent from an address that is nobody's, for it has gone or by
	 * IP_FREEBIND; of IPv6 nobody asks. */
	if (gz_end_is_v4(*peer) && !gz_end_is_any(s->local) && !gz_addr_to_many(s->local) &&
	    !gz_addr_is_local(s->local) && !chosen_anew(s, connecting))
		return -ENETUNREACH;
	return 0;
}

/* --- ports and peers ----------------------------------------------------- */

/* Claim @end; a socket in the way that is gone makes room.  @s locked */
static int claim(struct gz_call_ctx *c, struct gz_end end)
{
	struct gz_sock *s = c->s;

	if (s->dgram.ping)
		return gz_ping_claim(c, end);
	s->opt.reuseaddr = gz_dgram_option(c->fd, SOL_SOCKET, SO_REUSEADDR);
	s->opt.reuseport = gz_dgram_option(c->fd, SOL_SOCKET, SO_REUSEPORT);
	s->opt.port_range = gz_dgram_option(c->fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE);
	return gz_claim_anew(c, end, false);
}

/* A disconnect leaves the address that bind() chose, without a port. */
static bool is_unbound(const struct gz_sock *s)
{
	enum gz_state st = gz_sock_state(s);

	return st == GZ_FRESH || (st == GZ_BOUND && !s->dgram.ping && !s->claim.held);
}

int gz_dgram_autobind(struct gz_call_ctx *c)
{
	struct gz_sock *s = c->s;
	int err = 0;

	pthread_mutex_lock(&s->lock);
	if (is_unbound(s)) {
		struct gz_end end = s->dgram.chose_addr ? s->local : gz_end_any(s->family);

		err = claim(c, end) ? -EAGAIN : 0; /* inet_autobind() */
		if (!err) {
			s->local = s->claim.end;
			if (gz_sock_state(s) == GZ_FRESH)
				gz_sock_set_state(s, GZ_BOUND);
			gz_udp_ring_give(c);
		}
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}

int64_t gz_dgram_with_port(struct gz_call_ctx *c, int64_t r)
{
	/* What cannot be read comes before it (move_addr_to_kernel()). */
	int err = r == GZ_CONTINUE || r == -EFAULT ? 0 : gz_dgram_autobind(c);

	return err ? err : r;
}

/* Here and where policy.loopback says so in the kernel; @s locked */
static int claim_both(struct gz_call_ctx *c, struct gz_end end)
{
	int err;

	/* The engine's own client has it. */
	if (gz_engine_asks_any(gz_cfg) && ntohs(end.port) == GZ_DHCP_PORT &&
	    !gz_addr_is_loopback(end))
		return -EADDRINUSE;
	for (int tries = 0;; tries++) {
		err = claim(c, end);
		if (!err)
			err = gz_udp_twin_bind(c);
		if (!err || !c->s->claim.held)
			return err;
		gz_claim_drop(c->s);
		if (end.port || tries == TWIN_TRIES)
			return err;
	}
}

static int64_t do_bind(struct gz_call_ctx *c)
{
	struct gz_sock *s = c->s;
	struct gz_end end = {0};
	struct gz_verdict v;
	enum gz_whose whose;
	sa_family_t family;
	int err;

	err = gz_addr_read(c, &end, &family, &whose);
	if (err)
		return err;
	if (family != s->family &&
	    !(s->family == AF_INET && family == AF_UNSPEC && gz_end_is_any(end)))
		return -EAFNOSUPPORT;
	/* As __inet6_bind(): a link-local address or group needs its link. */
	if (!is_unbound(s) || (s->opt.v6only && gz_end_is_v4(end)) ||
	    (!end.scope &&
	     (IN6_IS_ADDR_LINKLOCAL(&end.addr) || (gz_addr_has_scope(end) && !*s->opt.device))))
		return -EINVAL;
	if (whose == GZ_KERNELS)
		gz_policy_is(c, GZ_DIR_BIND, protocol(s), end, GZ_WHY_FAMILY, &v);
	else
		gz_policy_ask(c, GZ_DIR_BIND, protocol(s), end, &v);
	if (v.whose == GZ_KERNELS)
		return gz_dgram_to_kernel(c, &v);
	/* A group or a broadcast address is a filter of what is received, but for ping. */
	if (!gz_end_is_any(end) && !gz_addr_is_local(end) &&
	    (s->dgram.ping || !gz_addr_to_many(end)) && !s->opt.freebind) {
		gz_count(GZ_C_REFUSED_ADDRESS);
		return -EADDRNOTAVAIL;
	}
	if (!s->dgram.ping && end.port && ntohs(end.port) < 1024 && !gz_app_may_bind_low(c->tid))
		return -EACCES;
	pthread_mutex_lock(&s->lock);
	err = is_unbound(s) ? claim_both(c, end) : -EINVAL;
	if (!err) {
		s->local = s->claim.end;
		s->dgram.chose_port = end.port != 0;
		s->dgram.chose_addr = !gz_end_is_any(end);
		if (s->dgram.chose_addr && !gz_end_is_v4(end) && !s->dgram.ping)
			s->opt.v6only = true; /* __inet6_bind() */
		s->verdict = v;
		if (gz_sock_state(s) == GZ_FRESH)
			gz_sock_set_state(s, GZ_BOUND);
		gz_udp_ring_give(c);
	} else if (err == -EADDRINUSE) { /* __inet_bind() takes back what was chosen before, too */
		s->local = gz_end_any(s->family);
		s->dgram.chose_addr = false;
		gz_sock_set_state(s, GZ_FRESH);
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}

/* connect() to AF_UNSPEC: __udp_disconnect() */
static int64_t disconnect(struct gz_call_ctx *c)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	struct gz_sock *s = c->s;

	pthread_mutex_lock(&s->lock);
	if (gz_sock_state(s) == GZ_ESTABLISHED) {
		gz_udp_twin_disconnect(s);
		connect(c->fd, &none, sizeof(none));
		s->dgram.old_peer = s->family == AF_INET6 && !s->dgram.ping;
		s->dgram.old = s->peer;
		gz_alias_unpin(s->dgram.alias);
		s->dgram.alias = 0;
		s->peer = (struct gz_end){0};
		if (!s->dgram.chose_addr) {
			uint16_t port = s->local.port;

			s->local = gz_end_any(s->family);
			s->local.port = port;
			gz_claim_move(s, s->local);
		}
		if (!s->dgram.chose_port) {
			gz_twin_close(s);
			gz_claim_drop(s);
			if (s->dgram.ping)
				gz_ping_renew(c);
			s->local.port = 0;
			gz_sock_set_state(s, s->dgram.chose_addr ? GZ_BOUND : GZ_FRESH);
		} else {
			gz_sock_set_state(s, GZ_BOUND);
		}
		gz_udp_ring_give(c);
	} else if (gz_sock_state(s) == GZ_BOUND && !s->dgram.chose_port && !s->dgram.ping) {
		/* It was not connected, and loses its port all the same. */
		gz_twin_close(s);
		gz_claim_drop(s);
		s->local.port = 0;
		if (!s->dgram.chose_addr)
			gz_sock_set_state(s, GZ_FRESH);
	}
	pthread_mutex_unlock(&s->lock);
	return 0;
}

/* __ip6_datagram_connect(): a link-local peer needs its link. */
static bool lacks_link(struct gz_call_ctx *c, sa_family_t family)
{
	struct sockaddr_in6 a;

	return family == AF_INET6 && c->args[2] >= sizeof(a) &&
	       gz_app_read(c->tid, c->args[1], &a, sizeof(a)) == 0 &&
	       IN6_IS_ADDR_LINKLOCAL(&a.sin6_addr) && !a.sin6_scope_id;
}

/* The peer of connect(), an address of @family.  Return: as gz_dgram_target() */
static int64_t connect_target(struct gz_call_ctx *c, sa_family_t family, struct gz_end *peer,
			      bool *by_twin)
{
	const struct gz_sock *s = c->s;
	int64_t r;

	if (family != s->family && (s->family == AF_INET || family != AF_INET || s->opt.v6only))
		return -EAFNOSUPPORT;
	if (lacks_link(c, family))
		return -EINVAL;
	r = gz_dgram_target(c, c->args[1], (int)c->args[2], peer, true, by_twin);
	if (r || *by_twin)
		return r;
	if (!gz_addr_scope_fits(*peer, s->opt.at))
		return -EINVAL;
	return gz_addr_routed_at(*peer, s->opt.at) ? 0 : -ENETUNREACH;
}

static int64_t do_connect(struct gz_call_ctx *c)
{
	struct gz_sock *s = c->s;
	struct sockaddr_storage ss;
	struct gz_end peer = {0}, local;
	sa_family_t family = 0;
	uint32_t alias, old;
	bool by_twin;
	socklen_t len;
	int64_t r;

	if ((int)c->args[2] < (int)sizeof(family))
		return -EINVAL;
	r = gz_app_read(c->tid, c->args[1], &family, sizeof(family));
	if (r)
		return r;
	/* What it has sent natively may be for itself. */
	if (gz_sock_state(s) == GZ_ESTABLISHED)
		gz_udp_pass();
	gz_udp_ring_flush(s);
	if (family == AF_UNSPEC)
		return disconnect(c);
	r = gz_dgram_with_port(c, connect_target(c, family, &peer, &by_twin));
	if (r)
		return r;
	pthread_mutex_lock(&s->lock);
	local = s->local;
	if (gz_end_is_any(local) || gz_addr_is_group(local) ||
	    (gz_sock_state(s) == GZ_ESTABLISHED && !s->dgram.chose_addr)) {
		local = gz_addr_source_at(peer, s->opt.at);
		local.port = s->local.port;
	}
	if (!by_twin)
		gz_udp_twin_disconnect(s);
	r = by_twin ? gz_udp_twin_connect(s, peer, &local) : 0;
	if (r) {
		pthread_mutex_unlock(&s->lock);
		return r;
	}
	alias = gz_alias_get(peer, local, 0, true);
	if (!alias) {
		pthread_mutex_unlock(&s->lock);
		return -ENOBUFS;
	}
	/* First what udp.c goes by: from now on it sends as the alias. */
	old = s->dgram.alias;
	s->dgram.alias = alias;
	s->dgram.old_peer = false;
	s->local = local;
	s->peer = peer;
	gz_claim_move(s, local);
	gz_sock_set_state(s, GZ_ESTABLISHED);
	len = gz_dgram_inner_peer(s, &ss);
	r = connect(c->fd, (struct sockaddr *)&ss, len) < 0 ? -errno : 0;
	if (old)
		gz_alias_unpin(old);
	if (!r && !by_twin)
		gz_udp_tell_mtu(s, c->fd);
	gz_udp_ring_give(c);
	pthread_mutex_unlock(&s->lock);
	if (by_twin) /* which it sends by */
		gz_udp_ring_refuse(c, GZ_OFF_CALL);
	return r;
}

/* The shadow says EPIPE, and who waits there is woken. */
static int64_t do_shutdown(struct gz_call_ctx *c)
{
	gz_udp_ring_refuse(c, GZ_OFF_HALF);
	return GZ_CONTINUE;
}

static int64_t do_ioctl(struct gz_call_ctx *c)
{
	unsigned request = (unsigned)c->args[1];

	if (gz_iface_is_request(request))
		return gz_iface_ioctl(c);
	/* How much is there, or when it came, is the shadow's to say. */
	if (request == FIONREAD || (_IOC_TYPE(request) == SOCK_IOC_TYPE && request != SIOCOUTQ))
		gz_udp_ring_refuse(c, GZ_OFF_CALL);
	gz_udp_ring_flush(c->s);
	return GZ_CONTINUE;
}

const gz_handler gz_dgram_handlers[] = {
    [GZ_CALL_BIND] = do_bind,
    [GZ_CALL_CONNECT] = do_connect,
    [GZ_CALL_GETSOCKNAME] = gz_do_getsockname,
    [GZ_CALL_GETPEERNAME] = gz_do_getpeername,
    [GZ_CALL_GETSOCKOPT] = gz_dgram_getsockopt,
    [GZ_CALL_SETSOCKOPT] = gz_dgram_setsockopt,
    [GZ_CALL_IOCTL] = do_ioctl,
    [GZ_CALL_SHUTDOWN] = do_shutdown,
    [GZ_CALL_RECVFROM] = gz_dgram_recvfrom,
    [GZ_CALL_SENDTO] = gz_dgram_sendto,
    [GZ_CALL_RECVMSG] = gz_dgram_recvmsg,
    [GZ_CALL_SENDMSG] = gz_dgram_sendmsg,
    [GZ_CALL_RECVMMSG] = gz_dgram_recvmmsg,
    [GZ_CALL_SENDMMSG] = gz_dgram_sendmmsg,
    [GZ_CALL_COUNT] = NULL,
};

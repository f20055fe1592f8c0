/* SPDX-License-Identifier: BSD-3-Clause
 *
 * multicast.c - Groups that UDP sockets are members of (RFC 1112, ip(7), ipv6(7))
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/igmp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "engine/address.h"
#include "engine/counters.h"
#include "engine/iface.h"
#include "engine/ipv6.h"
#include "engine/multicast.h"
#include "engine/own4.h"
#include "engine/service.h"
#include "engine/sock.h"
#include "engine/sources.h"
#include "engine/udp.h"
#include "engine/worker.h"

#define MEMBERSHIPS_MAX 20 /* net.ipv4.igmp_max_memberships */

struct gz_groups {
	struct gz_group_options opt[2]; /* IPv6, IPv4 */
	unsigned n;
	struct membership {
		struct gz_end group; /* without a scope: @at is its interface */
		uint8_t at;	     /* as gz_iface_bound() has it; 0: what was named is gone */
		uint32_t address;    /* that named the interface, of IPv4; 0: none did */
		struct gz_sources sources;
	} of[MEMBERSHIPS_MAX];
};

static const struct gz_group_options defaults = {.hops = 1, .loop = true, .all = true};

/* @s locked.  Return: NULL when memory is out */
static struct gz_groups *groups(struct gz_sock *s)
{
	struct gz_groups *g = s->dgram.groups;

	if (!g) {
		g = calloc(1, sizeof(*g));
		if (!g)
			return NULL;
		g->opt[0] = g->opt[1] = defaults;
		s->dgram.groups = g;
	}
	return g;
}

void gz_groups_options(const struct gz_sock *s, bool v4, struct gz_group_options *o)
{
	*o = s->dgram.groups ? s->dgram.groups->opt[v4] : defaults;
}

static bool same_group(const struct membership *m, struct gz_end group)
{
	return IN6_ARE_ADDR_EQUAL(&m->group.addr, &group.addr);
}

static bool is_at(const struct membership *m, uint8_t at)
{
	return gz_nports == 1 || at == m->at;
}

/* As ip_mc_sf_allow() and inet6_mc_check() */
bool gz_groups_allow(struct gz_sock *s, struct gz_end dst, struct gz_end src, uint8_t at)
{
	struct gz_group_options o;
	struct gz_groups *g;
	bool allow;

	if (!gz_addr_is_group(dst))
		return true;
	pthread_mutex_lock(&s->lock);
	g = s->dgram.groups;
	gz_groups_options(s, gz_end_is_v4(dst), &o);
	allow = o.all;
	for (unsigned i = 0; g && i < g->n; i++) {
		if (!same_group(&g->of[i], dst) || !is_at(&g->of[i], at))
			continue;
		allow = gz_sources_allow(&g->of[i].sources, src);
		break;
	}
	pthread_mutex_unlock(&s->lock);
	return allow;
}

static void tell_worker(const struct membership *m, bool join)
{
	if (m->at < GZ_AT_PORT) /* lo: nobody hears of it */
		return;
	gz_worker_post(gz_udp_sender(m->group), &(struct gz_msg){.op = GZ_OP_GROUP,
								 .group = m->group,
								 .id = (unsigned)m->at - GZ_AT_PORT,
								 .prefix = join ? 1 : 0,
								 .fd = -1});
}

void gz_groups_leave_all(struct gz_sock *s)
{
	struct gz_groups *g;

	pthread_mutex_lock(&s->lock);
	g = s->dgram.groups;
	s->dgram.groups = NULL;
	pthread_mutex_unlock(&s->lock);
	for (unsigned i = 0; g && i < g->n; i++)
		tell_worker(&g->of[i], false);
	free(g);
}

bool gz_groups_option(int level, int opt)
{
	if (opt >= MCAST_JOIN_GROUP && opt <= MCAST_MSFILTER)
		return true;
	if (level == IPPROTO_IPV6)
		return opt == IPV6_MULTICAST_HOPS || opt == IPV6_MULTICAST_LOOP ||
		       opt == IPV6_MULTICAST_ALL || opt == IPV6_MULTICAST_IF ||
		       opt == IPV6_ADD_MEMBERSHIP || opt == IPV6_DROP_MEMBERSHIP;
	return opt == IP_MULTICAST_TTL || opt == IP_MULTICAST_LOOP || opt == IP_MULTICAST_ALL ||
	       opt == IP_MULTICAST_IF || opt == IP_ADD_MEMBERSHIP || opt == IP_DROP_MEMBERSHIP ||
	       opt == IP_ADD_SOURCE_MEMBERSHIP || opt == IP_DROP_SOURCE_MEMBERSHIP ||
	       opt == IP_BLOCK_SOURCE || opt == IP_UNBLOCK_SOURCE || opt == IP_MSFILTER;
}

/* Has the interface of port @p the family? */
static bool has_family(const struct gz_port *p, bool v4)
{
	return v4 || gz_engine_has6(gz_cfg, (unsigned)(p - gz_ports));
}

/*
 * An interface by its IPv4 address, or by an index that gz_addr_ifindex() gave, as
 * gz_iface_bound() has it.  Return: 0, @at is 0 when none was named; or -ENODEV
 */
static int interface(bool v4, uint32_t addr, int index, uint8_t *at)
{
	const struct gz_end local = gz_end_v4(addr, 0);
	const struct gz_port *p = gz_iface_by_index(index);

	*at = 0;
	if (index == gz_addr_ifindex(gz_addr_loopback(v4)) ||
	    (!index && addr && gz_addr_is_loopback(local))) {
		*at = GZ_AT_LO;
		return 0;
	}
	if (!index && addr && gz_addr_is_local(local))
		p = gz_addr_port(local);
	if (p && has_family(p, v4))
		*at = (uint8_t)(GZ_AT_PORT + (p - gz_ports));
	return *at || (!index && !addr) ? 0 : -ENODEV;
}

/* Where @m is: ip_mc_find_dev(), by the route where no interface was named */
static int place(struct membership *m, bool v4, int index)
{
	int err = interface(v4, m->address, index, &m->at);

	if (!err && !m->at)
		m->at = (uint8_t)(GZ_AT_PORT + (gz_addr_port(m->group) - gz_ports));
	return err;
}

static int join(struct gz_sock *s, const struct membership *m)
{
	struct gz_groups *g;
	int err = 0;

	pthread_mutex_lock(&s->lock);
	g = groups(s);
	for (unsigned i = 0; g && i < g->n; i++)
		if (same_group(&g->of[i], m->group) && g->of[i].at == m->at)
			err = -EADDRINUSE;
	if (!err && (!g || g->n == MEMBERSHIPS_MAX))
		err = -ENOBUFS;
	if (!err)
		g->of[g->n++] = *m;
	pthread_mutex_unlock(&s->lock);
	if (!err)
		tell_worker(m, true);
	return err;
}

static int leave(struct gz_sock *s, const struct membership *m)
{
	struct membership was;
	struct gz_groups *g;
	int err = -EADDRNOTAVAIL;

	pthread_mutex_lock(&s->lock);
	g = s->dgram.groups;
	for (unsigned i = 0; g && i < g->n; i++) {
		/* ip_mc_leave_group(): by the address that it was joined at, if that is gone */
		if (same_group(&g->of[i], m->group) &&
		    (m->at ? g->of[i].at == m->at : g->of[i].address == m->address)) {
			was = g->of[i];
			g->of[i] = g->of[--g->n];
			err = 0;
			break;
		}
	}
	pthread_mutex_unlock(&s->lock);
	if (!err)
		tell_worker(&was, false);
	return err;
}

/* --- setsockopt ----------------------------------------------------------- */

/* Hops, loop, all.  The shadow is told too: it answers getsockopt(). */
static int set_number(struct gz_call_ctx *c, int level, int opt, const void *val, socklen_t len)
{
	bool v4 = level == IPPROTO_IP;
	struct gz_group_options *o;
	struct gz_groups *g;
	int v = 0;

	/* The kernel judges, as it does for its own. */
	if (setsockopt(c->fd, level, opt, val, len) < 0)
		return -errno;
	if (len >= sizeof(int))
		memcpy(&v, val, sizeof(v));
	else
		v = *(const unsigned char *)val;
	pthread_mutex_lock(&c->s->lock);
	g = groups(c->s);
	o = g ? &g->opt[v4] : NULL;
	if (o && opt == (v4 ? IP_MULTICAST_TTL : IPV6_MULTICAST_HOPS))
		o->hops = v == -1 ? 1 : (uint8_t)v;
	else if (o && opt == (v4 ? IP_MULTICAST_LOOP : IPV6_MULTICAST_LOOP))
		o->loop = v != 0;
	else if (o)
		o->all = v != 0;
	pthread_mutex_unlock(&c->s->lock);
	return o ? 0 : -ENOBUFS;
}

static int set_interface(struct gz_sock *s, bool v4, const void *val, socklen_t len)
{
	struct ip_mreqn m = {.imr_ifindex = 0};
	struct gz_groups *g;
	uint8_t at;
	int err;

	if (!v4 && len < sizeof(int))
		return -EINVAL;
	if (!v4)
		memcpy(&m.imr_ifindex, val, sizeof(int));
	else if (len >= sizeof(m))
		memcpy(&m, val, sizeof(m));
	else if (len >= sizeof(struct ip_mreq))
		memcpy(&m, val, sizeof(struct ip_mreq));
	else if (len >= sizeof(struct in_addr))
		memcpy(&m.imr_address, val, sizeof(struct in_addr));
	else
		return -EINVAL;
	err = interface(v4, m.imr_address.s_addr, m.imr_ifindex, &at);
	if (err)
		return m.imr_ifindex ? err : -EADDRNOTAVAIL;
	pthread_mutex_lock(&s->lock);
	g = groups(s);
	if (g) {
		g->opt[v4].at = at;
		g->opt[v4].local =
		    at == GZ_AT_LO ? gz_addr_loopback(v4) : gz_end_v4(m.imr_address.s_addr, 0);
		g->opt[v4].ifindex = m.imr_ifindex;
	}
	pthread_mutex_unlock(&s->lock);
	return g ? 0 : -ENOBUFS;
}

/* The group and the interface of a request to join or leave.  Return: 0 or -errno */
static int read_request(int level, int opt, const void *val, socklen_t len, struct membership *m)
{
	struct ip_mreqn v4 = {.imr_ifindex = 0};
	struct ipv6_mreq v6;
	struct group_req r;
	bool is_v4 = level == IPPROTO_IP, leaves;
	int index, err;

	if (opt == MCAST_JOIN_GROUP || opt == MCAST_LEAVE_GROUP) {
		if (len < sizeof(r))
			return -EINVAL;
		memcpy(&r, val, sizeof(r));
		if (r.gr_group.ss_family != (is_v4 ? AF_INET : AF_INET6))
			return is_v4 ? -EINVAL : -EADDRNOTAVAIL;
		v4.imr_multiaddr = ((struct sockaddr_in *)&r.gr_group)->sin_addr;
		index = (int)r.gr_interface;
		v6.ipv6mr_multiaddr = ((struct sockaddr_in6 *)&r.gr_group)->sin6_addr;
	} else if (is_v4) {
		if (len < sizeof(struct ip_mreq))
			return -EINVAL;
		memcpy(&v4, val, len < sizeof(v4) ? sizeof(struct ip_mreq) : sizeof(v4));
		index = v4.imr_ifindex;
	} else {
		if (len < sizeof(v6))
			return -EINVAL;
		memcpy(&v6, val, sizeof(v6));
		index = (int)v6.ipv6mr_interface;
	}
	m->group =
	    is_v4 ? gz_end_v4(v4.imr_multiaddr.s_addr, 0) : gz_ipv6_end(&v6.ipv6mr_multiaddr, 0);
	m->address = is_v4 ? v4.imr_address.s_addr : 0;
	if (!gz_addr_is_group(m->group))
		return is_v4 && (opt == IP_DROP_MEMBERSHIP || opt == MCAST_LEAVE_GROUP)
			   ? -EADDRNOTAVAIL
			   : -EINVAL;
	if (!is_v4 && !gz_ipv6_is_up() && index != gz_addr_ifindex(gz_addr_loopback(false)))
		return -ENODEV;
	leaves =
	    opt == (is_v4 ? IP_DROP_MEMBERSHIP : IPV6_DROP_MEMBERSHIP) || opt == MCAST_LEAVE_GROUP;
	/* Without an interface all that ipv6_sock_mc_drop() looks for is the group */
	if (leaves && !is_v4 && !index)
		return 0;
	err = place(m, is_v4, index);
	/* ip_mc_leave_group(): the address that it was joined at may have gone */
	return leaves && !index && m->address ? 0 : err;
}

/* --- source filters ------------------------------------------------------- */

static struct membership *find(struct gz_groups *g, const struct membership *m)
{
	for (unsigned i = 0; g && i < g->n; i++)
		if (same_group(&g->of[i], m->group) && g->of[i].at == m->at)
			return &g->of[i];
	return NULL;
}

static struct gz_end end_in(const struct sockaddr_storage *ss, bool v4)
{
	return v4 ? gz_end_v4(((const struct sockaddr_in *)ss)->sin_addr.s_addr, 0)
		  : gz_ipv6_end(&((const struct sockaddr_in6 *)ss)->sin6_addr, 0);
}

/* A source at the interface of @m */
static struct gz_end source_in(const struct sockaddr_storage *ss, bool v4,
			       const struct membership *m)
{
	struct gz_end e = end_in(ss, v4);

	if (m->at >= GZ_AT_PORT)
		gz_addr_set_scope(&e, (unsigned)m->at - GZ_AT_PORT);
	return e;
}

/* Is the group one?  Which interface?  Return: 0 or -errno */
static int place_group(struct membership *m, bool v4, int index)
{
	return gz_addr_is_group(m->group) ? place(m, v4, index) : -EINVAL;
}

/* struct ip_mreq_source, struct group_source_req.  Return: 0 or -errno */
static int read_source(bool v4, bool by_address, const void *val, socklen_t len,
		       struct membership *m, struct gz_end *src)
{
	struct group_source_req r;
	struct ip_mreq_source o;
	int family = v4 ? AF_INET : AF_INET6, err;

	if (by_address) {
		if (len != sizeof(o))
			return -EINVAL;
		memcpy(&o, val, sizeof(o));
		m->group = gz_end_v4(o.imr_multiaddr.s_addr, 0);
		*src = gz_end_v4(o.imr_sourceaddr.s_addr, 0);
		m->address = o.imr_interface.s_addr;
		return place_group(m, v4, 0);
	}
	if (len < sizeof(r))
		return -EINVAL;
	memcpy(&r, val, sizeof(r));
	if (r.gsr_group.ss_family != family || r.gsr_source.ss_family != family)
		return -EADDRNOTAVAIL;
	m->group = end_in(&r.gsr_group, v4);
	err = place_group(m, v4, (int)r.gsr_interface);
	*src = source_in(&r.gsr_source, v4, m);
	return err;
}

/* What an option does to a filter; not is: it does nothing to one source */
struct filter_change {
	bool is, by_address, add, include;
};

static struct filter_change change_of(bool v4, int opt)
{
	if (v4 && (opt == IP_BLOCK_SOURCE || opt == IP_UNBLOCK_SOURCE))
		return (struct filter_change){true, true, opt == IP_BLOCK_SOURCE, false};
	if (v4 && (opt == IP_ADD_SOURCE_MEMBERSHIP || opt == IP_DROP_SOURCE_MEMBERSHIP))
		return (struct filter_change){true, true, opt == IP_ADD_SOURCE_MEMBERSHIP, true};
	if (opt == MCAST_BLOCK_SOURCE || opt == MCAST_UNBLOCK_SOURCE)
		return (struct filter_change){true, false, opt == MCAST_BLOCK_SOURCE, false};
	if (opt == MCAST_JOIN_SOURCE_GROUP || opt == MCAST_LEAVE_SOURCE_GROUP)
		return (struct filter_change){true, false, opt == MCAST_JOIN_SOURCE_GROUP, true};
	return (struct filter_change){false};
}

static int change_source(struct gz_sock *s, bool v4, const struct filter_change *f, const void *val,
			 socklen_t len)
{
	struct membership m = {.sources = {.include = true}}, *at;
	struct gz_end src;
	int err = read_source(v4, f->by_address, val, len, &m, &src);

	if (err)
		return err;
	if (f->add && f->include) {
		err = join(s, &m);
		if (err && err != -EADDRINUSE)
			return err;
	}
	pthread_mutex_lock(&s->lock);
	at = find(s->dgram.groups, &m);
	err = at ? gz_sources_change(&at->sources, f->add, f->include, src) : -EINVAL;
	pthread_mutex_unlock(&s->lock);
	return err > 0 ? leave(s, &m) : err;
}

/* A whole filter, of struct ip_msfilter or group_filter */
struct filter {
	struct membership m;
	uint32_t mode, n; /* @n: as it is in the program's memory */
	size_t head, each;
};

/* Return: 0 or -errno; room for the sources is the caller's to look at */
static int read_filter(bool v4, int opt, const void *val, socklen_t len, struct filter *f)
{
	struct group_filter g;
	struct ip_msfilter o;
	bool by_address = v4 && opt == IP_MSFILTER;

	memset(f, 0, sizeof(*f));
	f->head = by_address ? IP_MSFILTER_SIZE(0) : GROUP_FILTER_SIZE(0);
	f->each = by_address ? sizeof(struct in_addr) : sizeof(struct sockaddr_storage);
	if (len < f->head)
		return -EINVAL;
	if (by_address) {
		memcpy(&o, val, f->head);
		f->m.group = gz_end_v4(o.imsf_multiaddr.s_addr, 0);
		f->mode = o.imsf_fmode;
		f->n = o.imsf_numsrc;
		f->m.address = o.imsf_interface.s_addr;
		return place_group(&f->m, v4, 0);
	}
	memcpy(&g, val, f->head);
	if (g.gf_group.ss_family != (v4 ? AF_INET : AF_INET6))
		return -EADDRNOTAVAIL;
	f->m.group = end_in(&g.gf_group, v4);
	f->mode = g.gf_fmode;
	f->n = g.gf_numsrc;
	return place_group(&f->m, v4, (int)g.gf_interface);
}

static int set_filter(struct gz_sock *s, bool v4, int opt, const void *val, socklen_t len)
{
	struct sockaddr_storage ss;
	struct membership *at;
	struct filter f;
	int err = read_filter(v4, opt, val, len, &f);

	if (err)
		return err;
	if (f.n > GZ_SOURCES_MAX)
		return -ENOBUFS;
	if (f.head + f.n * f.each > len || (f.mode != MCAST_INCLUDE && f.mode != MCAST_EXCLUDE))
		return -EINVAL;
	if (f.mode == MCAST_INCLUDE && !f.n)
		return leave(s, &f.m);
	f.m.sources.include = f.mode == MCAST_INCLUDE;
	f.m.sources.n = f.n;
	for (unsigned i = 0; i < f.n; i++) {
		memcpy(&ss, (const char *)val + f.head + i * f.each, f.each);
		f.m.sources.of[i] = f.each == sizeof(ss) ? source_in(&ss, v4, &f.m)
							 : gz_end_v4(*(uint32_t *)(void *)&ss, 0);
	}
	pthread_mutex_lock(&s->lock);
	at = find(s->dgram.groups, &f.m);
	if (at)
		at->sources = f.m.sources;
	pthread_mutex_unlock(&s->lock);
	return at ? 0 : -EINVAL;
}

static int get_filter(struct gz_sock *s, bool v4, int opt, char *val, socklen_t *len)
{
	struct sockaddr_storage ss;
	struct membership *at;
	struct filter f;
	uint32_t head[2], shown, addr;
	int err = read_filter(v4, opt, val, *len, &f);

	if (err)
		return err;
	pthread_mutex_lock(&s->lock);
	at = find(s->dgram.groups, &f.m);
	if (at)
		f.m = *at;
	pthread_mutex_unlock(&s->lock);
	if (!at)
		return -EADDRNOTAVAIL;
	head[0] = f.m.sources.include ? MCAST_INCLUDE : MCAST_EXCLUDE;
	head[1] = f.m.sources.n;
	memcpy(val + f.head - sizeof(head), head, sizeof(head));
	shown = f.n < head[1] ? f.n : head[1];
	while (f.head + shown * f.each > *len)
		shown--;
	for (unsigned i = 0; i < shown; i++) {
		memset(&ss, 0, sizeof(ss));
		gz_addr_sockaddr(v4 ? AF_INET : AF_INET6, f.m.sources.of[i], &ss);
		addr = gz_end_v4_addr(f.m.sources.of[i]);
		memcpy(val + f.head + i * f.each, f.each == sizeof(ss) ? (void *)&ss : &addr,
		       f.each);
	}
	*len = (socklen_t)(f.head + shown * f.each);
	return 0;
}

static bool is_filter(bool v4, int opt)
{
	return opt == MCAST_MSFILTER || (v4 && opt == IP_MSFILTER);
}

int gz_groups_set(struct gz_call_ctx *c, int level, int opt, const void *val, socklen_t len)
{
	bool v4 = level == IPPROTO_IP, joins = opt == MCAST_JOIN_GROUP;
	struct filter_change f = change_of(v4, opt);
	struct membership m = {.sources.include = false};
	int err;

	if (opt == (v4 ? IP_MULTICAST_IF : IPV6_MULTICAST_IF))
		return set_interface(c->s, v4, val, len);
	if (opt == (v4 ? IP_MULTICAST_TTL : IPV6_MULTICAST_HOPS) ||
	    opt == (v4 ? IP_MULTICAST_LOOP : IPV6_MULTICAST_LOOP) ||
	    opt == (v4 ? IP_MULTICAST_ALL : IPV6_MULTICAST_ALL))
		return set_number(c, level, opt, val, len);
	if (f.is)
		return change_source(c->s, v4, &f, val, len);
	if (is_filter(v4, opt))
		return set_filter(c->s, v4, opt, val, len);
	joins = joins || opt == (v4 ? IP_ADD_MEMBERSHIP : IPV6_ADD_MEMBERSHIP);
	err = read_request(level, opt, val, len, &m);
	if (err)
		return err;
	return joins ? join(c->s, &m) : leave(c->s, &m);
}

int64_t gz_groups_get(struct gz_sock *s, int level, int opt, void *val, socklen_t *len)
{
	bool v4 = level == IPPROTO_IP;
	struct gz_group_options o;
	uint32_t v;

	if (opt == (v4 ? IP_MULTICAST_TTL : IPV6_MULTICAST_HOPS) ||
	    opt == (v4 ? IP_MULTICAST_LOOP : IPV6_MULTICAST_LOOP) ||
	    opt == (v4 ? IP_MULTICAST_ALL : IPV6_MULTICAST_ALL))
		return GZ_CONTINUE;
	if (is_filter(v4, opt))
		return get_filter(s, v4, opt, val, len);
	if (opt != (v4 ? IP_MULTICAST_IF : IPV6_MULTICAST_IF))
		return -ENOPROTOOPT; /* as the kernel: these are set only */
	pthread_mutex_lock(&s->lock);
	gz_groups_options(s, v4, &o);
	pthread_mutex_unlock(&s->lock);
	v = v4 ? gz_end_v4_addr(o.local) : (uint32_t)o.ifindex;
	*len = *len < sizeof(v) ? *len : sizeof(v);
	memcpy(val, &v, *len);
	return 0;
}

/* Give @fd the filter of @m. */
static int replay_filter(const struct membership *m, int fd)
{
	bool v4 = gz_end_is_v4(m->group);
	struct {
		struct group_filter f;
		struct sockaddr_storage more[GZ_SOURCES_MAX];
	} g = {.f = {.gf_fmode = m->sources.include ? MCAST_INCLUDE : MCAST_EXCLUDE,
		     .gf_numsrc = m->sources.n}};

	gz_addr_sockaddr(v4 ? AF_INET : AF_INET6, m->group, &g.f.gf_group);
	for (unsigned i = 0; i < m->sources.n; i++)
		gz_addr_sockaddr(v4 ? AF_INET : AF_INET6, m->sources.of[i], g.f.gf_slist + i);
	return setsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, MCAST_MSFILTER, &g,
			  (socklen_t)GROUP_FILTER_SIZE(m->sources.n));
}

void gz_groups_replay(const struct gz_sock *s, int fd)
{
	const struct gz_groups *g = s->dgram.groups;

	for (unsigned i = 0; g && i < g->n; i++) {
		const struct gz_end *group = &g->of[i].group;
		struct ipv6_mreq v6 = {.ipv6mr_multiaddr = group->addr};
		struct ip_mreqn v4 = {.imr_multiaddr.s_addr = gz_end_v4_addr(*group)};

		/* The interface was one of the stack's; the route has to say. */
		if (gz_end_is_v4(*group)
			? setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &v4, sizeof(v4)) < 0
			: setsockopt(fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &v6, sizeof(v6)) < 0)
			gz_count(GZ_C_REFUSED_SETOPT);
		else if (g->of[i].sources.n && replay_filter(&g->of[i], fd) < 0)
			gz_count(GZ_C_REFUSED_SETOPT);
	}
}

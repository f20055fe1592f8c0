/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/igmp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "engine/address.h"
#include "engine/counters.h"
#include "engine/multicast.h"
#include "engine/service.h"
#include "engine/sock.h"
#include "engine/worker.h"

#define MEMBERSHIPS_MAX 20 /* net.ipv4.igmp_max_memberships */

struct gz_groups {
	struct gz_group_options opt;
	bool all; /* IP_MULTICAST_ALL */
	unsigned n;
	struct membership {
		uint32_t group, local;
	} of[MEMBERSHIPS_MAX];
};

/* @s locked.  Return: NULL when memory is out */
static struct gz_groups *groups(struct gz_sock *s)
{
	struct gz_groups *g = s->dgram.groups;

	if (!g) {
		g = calloc(1, sizeof(*g));
		if (!g)
			return NULL;
		g->opt = (struct gz_group_options){.ttl = 1, .loop = true};
		g->all = true;
		s->dgram.groups = g;
	}
	return g;
}

void gz_groups_options(struct gz_sock *s, struct gz_group_options *o)
{
	*o = s->dgram.groups ? s->dgram.groups->opt
			     : (struct gz_group_options){.ttl = 1, .loop = true};
}

/* As ip_mc_sf_allow() in net/ipv4/igmp.c, without source filters. */
bool gz_groups_allow(struct gz_sock *s, struct gz_end dst, struct gz_end src,
		     const struct netif *in)
{
	uint32_t group = gz_end_v4_addr(dst);
	struct gz_groups *g;
	bool member = false, all;

	(void)src;
	(void)in;
	if (!IN_MULTICAST(ntohl(group)))
		return true;
	pthread_mutex_lock(&s->lock);
	g = s->dgram.groups;
	all = !g || g->all;
	for (unsigned i = 0; g && i < g->n; i++)
		member = member || g->of[i].group == group;
	pthread_mutex_unlock(&s->lock);
	return member || all;
}

static void tell_worker(uint32_t group, bool join)
{
	gz_worker_post(
	    &gz_worker,
	    &(struct gz_msg){.op = GZ_OP_GROUP, .id = group, .prefix = join ? 1 : 0, .fd = -1});
}

void gz_groups_leave_all(struct gz_sock *s)
{
	struct gz_groups *g;

	pthread_mutex_lock(&s->lock);
	g = s->dgram.groups;
	s->dgram.groups = NULL;
	pthread_mutex_unlock(&s->lock);
	for (unsigned i = 0; g && i < g->n; i++)
		tell_worker(g->of[i].group, false);
	free(g);
}

bool gz_groups_option(int opt)
{
	return opt == IP_MULTICAST_TTL || opt == IP_MULTICAST_LOOP || opt == IP_MULTICAST_ALL ||
	       opt == IP_MULTICAST_IF || opt == IP_ADD_MEMBERSHIP || opt == IP_DROP_MEMBERSHIP ||
	       opt == IP_ADD_SOURCE_MEMBERSHIP || opt == IP_DROP_SOURCE_MEMBERSHIP ||
	       opt == IP_BLOCK_SOURCE || opt == IP_UNBLOCK_SOURCE || opt == IP_MSFILTER ||
	       (opt >= MCAST_JOIN_GROUP && opt <= MCAST_MSFILTER);
}

/* An interface by its address, or by an index that gz_addr_ifindex() gave.
 * Return: 0 and its address, or -ENODEV */
static int interface(uint32_t addr, int index, uint32_t *local)
{
	const struct gz_engine_config *cfg = gz_worker.cfg;

	*local = 0;
	if (index == gz_addr_ifindex(gz_end_v4(htonl(INADDR_LOOPBACK), 0))) {
		*local = htonl(INADDR_LOOPBACK);
	} else if (index) {
		if (index != gz_addr_ifindex(gz_end_v4(cfg->addrs[0].addr, 0)))
			return -ENODEV;
		*local = cfg->addrs[0].addr;
	} else if (addr) {
		if (!gz_netif_is_local(gz_end_v4(addr, 0)))
			return -ENODEV;
		*local = addr;
	}
	return 0;
}

static int join(struct gz_sock *s, uint32_t group, uint32_t local)
{
	struct gz_groups *g;
	int err = 0;

	pthread_mutex_lock(&s->lock);
	g = groups(s);
	for (unsigned i = 0; g && i < g->n; i++)
		if (g->of[i].group == group && g->of[i].local == local)
			err = -EADDRINUSE;
	if (!err && (!g || g->n == MEMBERSHIPS_MAX))
		err = -ENOBUFS;
	if (!err)
		g->of[g->n++] = (struct membership){group, local};
	pthread_mutex_unlock(&s->lock);
	if (!err)
		tell_worker(group, true);
	return err;
}

static int leave(struct gz_sock *s, uint32_t group, uint32_t local)
{
	struct gz_groups *g;
	int err = -EADDRNOTAVAIL;

	pthread_mutex_lock(&s->lock);
	g = s->dgram.groups;
	for (unsigned i = 0; g && i < g->n; i++) {
		if (g->of[i].group == group && (!local || g->of[i].local == local)) {
			g->of[i] = g->of[--g->n];
			err = 0;
			break;
		}
	}
	pthread_mutex_unlock(&s->lock);
	if (!err)
		tell_worker(group, false);
	return err;
}

static int set_number(struct gz_sock *s, int opt, const void *val, socklen_t len)
{
	struct gz_groups *g;
	int v = 0, err = 0;

	if (len >= sizeof(int))
		memcpy(&v, val, sizeof(v));
	else if (len >= 1)
		v = *(const unsigned char *)val;
	else
		return -EINVAL;
	pthread_mutex_lock(&s->lock);
	g = groups(s);
	if (!g)
		err = -ENOBUFS;
	else if (opt == IP_MULTICAST_TTL && (v < -1 || v > 255))
		err = -EINVAL;
	else if (opt == IP_MULTICAST_TTL)
		g->opt.ttl = v == -1 ? 1 : (uint8_t)v;
	else if (opt == IP_MULTICAST_LOOP)
		g->opt.loop = v != 0;
	else if (v != 0 && v != 1)
		err = -EINVAL;
	else
		g->all = v;
	pthread_mutex_unlock(&s->lock);
	/* The shadow remembers it for getsockopt(). */
	return err;
}

static int set_interface(struct gz_sock *s, const void *val, socklen_t len)
{
	struct ip_mreqn m = {.imr_ifindex = 0};
	struct gz_groups *g;
	uint32_t local;
	int err;

	if (len >= sizeof(m))
		memcpy(&m, val, sizeof(m));
	else if (len >= sizeof(struct ip_mreq))
		memcpy(&m, val, sizeof(struct ip_mreq));
	else if (len >= sizeof(struct in_addr))
		memcpy(&m.imr_address, val, sizeof(struct in_addr));
	else
		return -EINVAL;
	err = interface(m.imr_address.s_addr, m.imr_ifindex, &local);
	if (err)
		return m.imr_ifindex ? err : -EADDRNOTAVAIL;
	pthread_mutex_lock(&s->lock);
	g = groups(s);
	if (g)
		g->opt.local = local;
	pthread_mutex_unlock(&s->lock);
	return g ? 0 : -ENOBUFS;
}

int gz_groups_set(struct gz_call_ctx *c, int opt, const void *val, socklen_t len)
{
	struct ip_mreqn m = {.imr_ifindex = 0};
	struct group_req r;
	uint32_t local;
	int err;

	switch (opt) {
	case IP_MULTICAST_TTL:
	case IP_MULTICAST_LOOP:
	case IP_MULTICAST_ALL:
		err = set_number(c->s, opt, val, len);
		if (!err && setsockopt(c->fd, IPPROTO_IP, opt, val, len) < 0)
			err = -errno;
		return err;
	case IP_MULTICAST_IF:
		return set_interface(c->s, val, len);
	case IP_ADD_MEMBERSHIP:
	case IP_DROP_MEMBERSHIP:
		if (len < sizeof(struct ip_mreq))
			return -EINVAL;
		memcpy(&m, val, len < sizeof(m) ? sizeof(struct ip_mreq) : sizeof(m));
		break;
	case MCAST_JOIN_GROUP:
	case MCAST_LEAVE_GROUP:
		if (len < sizeof(r))
			return -EINVAL;
		memcpy(&r, val, sizeof(r));
		if (r.gr_group.ss_family != AF_INET)
			return -EINVAL;
		m.imr_multiaddr = ((struct sockaddr_in *)&r.gr_group)->sin_addr;
		m.imr_ifindex = (int)r.gr_interface;
		opt = opt == MCAST_JOIN_GROUP ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP;
		break;
	default:
		/* Source filters: lwIP speaks IGMPv2 only. */
		gz_count(GZ_C_REFUSED_SETOPT);
		return -ENOPROTOOPT;
	}
	if (!IN_MULTICAST(ntohl(m.imr_multiaddr.s_addr)))
		return opt == IP_ADD_MEMBERSHIP ? -EINVAL : -EADDRNOTAVAIL;
	err = interface(m.imr_address.s_addr, m.imr_ifindex, &local);
	if (err)
		return err;
	return opt == IP_ADD_MEMBERSHIP ? join(c->s, m.imr_multiaddr.s_addr, local)
					: leave(c->s, m.imr_multiaddr.s_addr, local);
}

int gz_groups_get(struct gz_sock *s, int opt, void *val, socklen_t *len)
{
	struct gz_group_options o;
	uint32_t addr;

	if (opt != IP_MULTICAST_IF) {
		gz_count(GZ_C_REFUSED_GETOPT);
		return -ENOPROTOOPT;
	}
	pthread_mutex_lock(&s->lock);
	gz_groups_options(s, &o);
	pthread_mutex_unlock(&s->lock);
	addr = o.local;
	*len = *len < sizeof(addr) ? *len : sizeof(addr);
	memcpy(val, &addr, *len);
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * rtnl_neigh.c - rtnetlink: the stack's neighbours
 *
 * As net/core/neighbour.c has them: RTM_GETNEIGH as a dump, filtered by NDA_IFINDEX, or for
 * one address; RTM_NEWNEIGH and RTM_DELNEIGH for RTNLGRP_NEIGH.  Workers have each a table of
 * their own, which they tell of once a second; a neighbour of several is told once.
 */
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>

#include "engine/address.h"
#include "engine/iface.h"
#include "engine/neigh.h"
#include "engine/netlink.h"
#include "engine/rtnl.h"
#include "engine/rtnl_put.h"
#include "engine/worker.h"

#define RECORD_MAX 72 /* bytes of one */

static struct table {
	unsigned n;
	struct gz_neigh v[GZ_NEIGHS];
} tables[GZ_WORKERS_MAX];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* --- records ------------------------------------------------------------- */

static void record(struct gz_rtnl *b, const struct nlmsghdr *request, uint16_t type, uint16_t flags,
		   uint32_t pid, const struct gz_neigh *e)
{
	struct nlmsghdr *h = gz_rtnl_begin(b, request, type, flags, pid);
	struct ndmsg *m = gz_rtnl_put(b, sizeof(*m));
	uint8_t addr[16];

	m->ndm_family = gz_end_is_v4(e->end) ? AF_INET : AF_INET6;
	m->ndm_ifindex = gz_iface_index(&gz_ports[e->at]);
	m->ndm_state = e->state;
	m->ndm_flags = e->router ? NTF_ROUTER : 0;
	m->ndm_type = RTN_UNICAST;
	gz_rtnl_attr(b, NDA_DST, addr, gz_end_put(addr, e->end));
	if (e->known)
		gz_rtnl_attr(b, NDA_LLADDR, e->mac, sizeof(e->mac));
	gz_rtnl_finish(b, h);
}

static const struct gz_neigh *find(const struct table *t, unsigned at, struct gz_end end)
{
	for (unsigned i = 0; i < t->n; i++)
		if (t->v[i].at == at && gz_end_same_addr(t->v[i].end, end))
			return &t->v[i];
	return NULL;
}

/* Has a worker before @w told of it? */
static bool told(unsigned w, const struct gz_neigh *e)
{
	for (unsigned i = 0; i < w; i++)
		if (find(&tables[i], e->at, e->end))
			return true;
	return false;
}

/* --- requests ------------------------------------------------------------ */

/* The fixed part, zeros if it has none */
static struct ndmsg header(const struct nlmsghdr *h)
{
	struct ndmsg m = {0};

	if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(m)))
		memcpy(&m, NLMSG_DATA(h), sizeof(m));
	return m;
}

int gz_rtnl_neigh_index(const struct nlmsghdr *h, bool dump)
{
	const struct rtattr *a = gz_rtnl_attribute(h, sizeof(struct ndmsg), NDA_IFINDEX);
	int index = 0;

	if (!dump)
		return gz_iface_by_index(header(h).ndm_ifindex) ? header(h).ndm_ifindex : -1;
	if (header(h).ndm_flags & NTF_PROXY ||
	    gz_rtnl_attribute(h, sizeof(struct ndmsg), NDA_MASTER))
		return -1;
	if (a && RTA_PAYLOAD(a) >= sizeof(index))
		memcpy(&index, RTA_DATA(a), sizeof(index));
	return index;
}

void gz_rtnl_neighs(struct gz_rtnl *b, const struct nlmsghdr *h, uint32_t pid)
{
	const struct gz_port *only = gz_iface_by_index(gz_rtnl_neigh_index(h, true));
	uint8_t family = header(h).ndm_family;

	pthread_mutex_lock(&lock);
	for (unsigned w = 0; w < gz_nworkers; w++) {
		for (unsigned i = 0; i < tables[w].n; i++) {
			const struct gz_neigh *e = &tables[w].v[i];
			bool v4 = gz_end_is_v4(e->end);

			if (family != (v4 ? AF_INET6 : AF_INET) && !told(w, e) &&
			    (!only || only == &gz_ports[e->at]) &&
			    b->len + RECORD_MAX < sizeof(b->data))
				record(b, h, RTM_NEWNEIGH, NLM_F_MULTI, pid, e);
		}
	}
	pthread_mutex_unlock(&lock);
}

bool gz_rtnl_neigh(struct gz_rtnl *b, const struct nlmsghdr *h, uint32_t pid)
{
	const struct rtattr *a = gz_rtnl_attribute(h, sizeof(struct ndmsg), NDA_DST);
	bool v4 = header(h).ndm_family == AF_INET;
	const struct gz_port *p = gz_iface_by_index(header(h).ndm_ifindex);
	const struct gz_neigh *e = NULL;
	struct gz_end end = gz_end_v4(0, 0);

	if (!p || !a || RTA_PAYLOAD(a) != (v4 ? 4 : 16))
		return false;
	memcpy(v4 ? &end.addr.s6_addr[12] : end.addr.s6_addr, RTA_DATA(a), RTA_PAYLOAD(a));
	gz_addr_set_scope(&end, (unsigned)(p - gz_ports));
	pthread_mutex_lock(&lock);
	for (unsigned w = 0; w < gz_nworkers && !e; w++)
		e = find(&tables[w], (unsigned)(p - gz_ports), end);
	if (e)
		record(b, h, RTM_NEWNEIGH, 0, pid, e);
	pthread_mutex_unlock(&lock);
	return e;
}

/* --- changes ------------------------------------------------------------- */

static void tell(uint16_t type, const struct gz_neigh *e)
{
	static const struct nlmsghdr nobody;
	struct gz_rtnl b;

	b.len = 0;
	record(&b, &nobody, type, 0, 0, e);
	gz_netlink_tell(RTNLGRP_NEIGH, b.data, b.len);
}

static bool same(const struct gz_neigh *a, const struct gz_neigh *b)
{
	return a && a->state == b->state && a->router == b->router && a->known == b->known &&
	       !memcmp(a->mac, b->mac, sizeof(a->mac));
}

void gz_neigh_publish(unsigned worker, const struct gz_neigh *v, unsigned n)
{
	struct table *t = &tables[worker], now = {.n = n}, old;

	memcpy(now.v, v, n * sizeof(*v));
	pthread_mutex_lock(&lock);
	old = *t;
	*t = now;
	pthread_mutex_unlock(&lock);
	if (!gz_netlink_is_there())
		return;
	for (unsigned i = 0; i < now.n; i++)
		if (!same(find(&old, now.v[i].at, now.v[i].end), &now.v[i]))
			tell(RTM_NEWNEIGH, &now.v[i]);
	for (unsigned i = 0; i < old.n; i++)
		if (!find(&now, old.v[i].at, old.v[i].end))
			tell(RTM_DELNEIGH, &old.v[i]);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * own4.c - The stack's IPv4 addresses and its gateway, for all threads
 *
 * A reader may hold what an atomic pointer led it to for as long as it likes, so nothing that
 * was published is freed.  The same lease, which comes back more often than others come, is
 * found again: there are as many as the stack has had different ones.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "engine/log.h"
#include "engine/own4.h"
#include "engine/rtnl.h"
#include "engine/service.h"
#include "engine/udp_ring.h"

struct kept {
	SLIST_ENTRY(kept) next;
	struct gz_own4 own;
};

static struct {
	const struct gz_own4 *_Atomic now;
	struct gz_own4 configured;
	SLIST_HEAD(, kept) all; /* the first worker's */
	pthread_mutex_t lock;	/* of: */
	struct gz_lease lease[GZ_PORTS_MAX];
} own4 = {.now = &own4.configured, .lock = PTHREAD_MUTEX_INITIALIZER};

const struct gz_own4 *gz_own4(void)
{
	return atomic_load_explicit(&own4.now, memory_order_acquire);
}

void gz_own4_init(const struct gz_engine_config *cfg)
{
	own4.configured.n = gz_engine_addresses(cfg, own4.configured.addr, own4.configured.port);
	own4.configured.gateway = cfg->gateway;
	for (unsigned i = 0; i <= cfg->nmore; i++)
		if (gz_engine_asks(cfg, i))
			own4.lease[i].state = "init";
}

uint32_t gz_own4_mask(unsigned len)
{
	return len ? htonl(~0u << (32 - len)) : 0;
}

int gz_own4_of(const struct gz_own4 *o, unsigned port)
{
	for (unsigned i = 0; i < o->n; i++)
		if (o->port[i] == port)
			return (int)i;
	return -1;
}

const struct gz_own4 *gz_own4_configured(void)
{
	return &own4.configured;
}

const struct gz_own4 *gz_own4_lease(unsigned port, struct gz_lease *l)
{
	const struct gz_own4 *own;

	pthread_mutex_lock(&own4.lock);
	*l = own4.lease[port];
	own = gz_own4();
	pthread_mutex_unlock(&own4.lock);
	return own;
}

uint32_t gz_own4_valid(unsigned port)
{
	uint64_t now = gz_now_ns();
	struct gz_lease l;

	gz_own4_lease(port, &l);
	if (!l.state || l.until == UINT64_MAX)
		return UINT32_MAX;
	return l.until > now ? (uint32_t)((l.until - now) / 1000000000u) : 0;
}

static bool same(const struct gz_own4 *a, const struct gz_own4 *b)
{
	bool is = a->n == b->n && a->gateway == b->gateway;

	for (unsigned i = 0; is && i < a->n; i++)
		is = a->addr[i].addr == b->addr[i].addr && a->addr[i].len == b->addr[i].len &&
		     a->port[i] == b->port[i];
	return is;
}

static const struct gz_own4 *keep(const struct gz_own4 *o)
{
	struct kept *k;

	SLIST_FOREACH(k, &own4.all, next)
	if (same(&k->own, o))
		return &k->own;
	k = malloc(sizeof(*k));
	if (!k)
		return NULL;
	k->own = *o;
	SLIST_INSERT_HEAD(&own4.all, k, next);
	return &k->own;
}

/* Tell of what @from has and @to has not. */
static void tell(const struct gz_own4 *from, const struct gz_own4 *to, bool came)
{
	for (unsigned i = 0; i < from->n; i++) {
		bool has = false;

		for (unsigned j = 0; j < to->n && !has; j++)
			has = to->addr[j].addr == from->addr[i].addr &&
			      to->addr[j].len == from->addr[i].len && to->port[j] == from->port[i];
		if (!has)
			gz_rtnl_tell_address4(from, i, came);
	}
}

bool gz_own4_publish(const struct gz_own4 *o, unsigned port, const struct gz_lease *l)
{
	const struct gz_own4 *was = gz_own4(), *is = was;

	if (!same(was, o)) {
		is = keep(o);
		if (!is) {
			gz_err("no memory for another address: not used");
			return false;
		}
	}
	pthread_mutex_lock(&own4.lock);
	own4.lease[port] = *l;
	atomic_store_explicit(&own4.now, is, memory_order_release);
	pthread_mutex_unlock(&own4.lock);
	if (is == was)
		return false;
	gz_udp_ring_readdress();
	tell(was, is, false);
	tell(is, was, true);
	return true;
}

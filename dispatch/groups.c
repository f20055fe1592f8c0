/* SPDX-License-Identifier: BSD-3-Clause
 *
 * groups.c - Which clients have joined which multicast groups: see groups.h
 *
 * The hash says at which position of member[] a group is; there is one of as many as all
 * clients may join.  Its seed is random, and its buckets grow: nobody can choose
 * groups that leave no room for another's.
 */
#include <stdio.h>
#include <stdlib.h>

#include <rte_hash.h>
#include <rte_jhash.h>
#include <rte_random.h>
#include <rte_rwlock.h>

#include "config/config.h"
#include "dispatch/groups.h"

#define ROOM (GZ_CLIENTS_MAX * GROUPS_EACH)
#define SWEEP_S 10

struct member {
	uint64_t clients;
	uint32_t until[GZ_CLIENTS_MAX]; /* s, of those in clients */
};

struct groups {
	rte_rwlock_t lock; /* read for each frame to a group */
	struct rte_hash *hash;
	uint32_t now, swept;
	struct {
		unsigned n;
		uint64_t refused;
	} client[GZ_CLIENTS_MAX];
	struct member member[ROOM];
};

struct groups *groups_new(unsigned number)
{
	char name[24];
	struct groups *g = calloc(1, sizeof(*g));
	const struct rte_hash_parameters p = {
	    .name = name,
	    .entries = ROOM,
	    .key_len = sizeof(struct in6_addr),
	    .hash_func = rte_jhash,
	    .hash_func_init_val = (uint32_t)rte_rand(),
	    .socket_id = SOCKET_ID_ANY,
	    .extra_flag = RTE_HASH_EXTRA_FLAGS_EXT_TABLE,
	};

	if (!g)
		return NULL;
	snprintf(name, sizeof(name), "groups%u", number);
	g->hash = rte_hash_create(&p);
	if (!g->hash) {
		free(g);
		return NULL;
	}
	return g;
}

void groups_free(struct groups *g)
{
	if (!g)
		return;
	rte_hash_free(g->hash);
	free(g);
}

static bool join(struct groups *g, unsigned client, const struct in6_addr *group)
{
	const uint64_t bit = 1ull << client;
	int at = rte_hash_lookup(g->hash, group);
	struct member *m = at < 0 ? NULL : &g->member[at];

	if (!m || !(m->clients & bit)) {
		if (g->client[client].n < GROUPS_EACH && !m) {
			at = rte_hash_add_key(g->hash, group);
			m = at < 0 ? NULL : &g->member[at];
		}
		if (g->client[client].n >= GROUPS_EACH || !m) {
			g->client[client].refused++;
			return false;
		}
		g->client[client].n++;
		m->clients |= bit;
	}
	m->until[client] = g->now + GROUPS_HOLD_S;
	return true;
}

bool groups_join(struct groups *g, unsigned client, const struct in6_addr *group)
{
	bool fine;

	rte_rwlock_write_lock(&g->lock);
	fine = join(g, client, group);
	rte_rwlock_write_unlock(&g->lock);
	return fine;
}

/* @group: of the hash or the caller's */
static void leave(struct groups *g, unsigned client, const struct in6_addr *group, struct member *m)
{
	m->clients &= ~(1ull << client);
	g->client[client].n--;
	if (!m->clients)
		rte_hash_del_key(g->hash, group);
}

void groups_leave(struct groups *g, unsigned client, const struct in6_addr *group)
{
	int at;

	rte_rwlock_write_lock(&g->lock);
	at = rte_hash_lookup(g->hash, group);
	if (at >= 0 && g->member[at].clients >> client & 1)
		leave(g, client, group, &g->member[at]);
	rte_rwlock_write_unlock(&g->lock);
}

uint64_t groups_members(struct groups *g, const struct in6_addr *group)
{
	uint64_t clients;
	int at;

	rte_rwlock_read_lock(&g->lock);
	at = rte_hash_lookup(g->hash, group);
	clients = at < 0 ? 0 : g->member[at].clients;
	rte_rwlock_read_unlock(&g->lock);
	return clients;
}

/* Those of clients @who that were reported for no longer than @until.  Return: how many */
static unsigned drop_once(struct groups *g, uint64_t who, uint32_t until)
{
	const void *key;
	uint32_t at = 0;
	unsigned n = 0;
	void *data;
	int i;

	while ((i = rte_hash_iterate(g->hash, &key, &data, &at)) >= 0) {
		struct in6_addr group = *(const struct in6_addr *)key;
		struct member *m = &g->member[i];

		for (uint64_t left = m->clients & who; left; left &= left - 1) {
			unsigned c = (unsigned)__builtin_ctzll(left);

			if (m->until[c] <= until) {
				leave(g, c, &group, m);
				n++;
			}
		}
	}
	return n;
}

/* When one is deleted, another may move to where the walk has been */
static void drop(struct groups *g, uint64_t who, uint32_t until)
{
	rte_rwlock_write_lock(&g->lock);
	while (rte_hash_count(g->hash) && drop_once(g, who, until))
		;
	rte_rwlock_write_unlock(&g->lock);
}

void groups_forget(struct groups *g, unsigned client)
{
	if (g->client[client].n)
		drop(g, 1ull << client, UINT32_MAX);
}

void groups_tick(struct groups *g, uint32_t now)
{
	g->now = now;
	if (now - g->swept < SWEEP_S)
		return;
	g->swept = now;
	drop(g, UINT64_MAX, now);
}

unsigned groups_of(const struct groups *g, unsigned client, uint64_t *refused)
{
	*refused = g->client[client].refused;
	return g->client[client].n;
}

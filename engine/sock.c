/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sock.c - Sockets: making, finding, freeing
 */
#include <assert.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/client.h"
#include "engine/counters.h"
#include "engine/log.h"
#include "engine/sock.h"
#include "engine/udp_ring.h"
#include "engine/worker.h"

#define BUCKETS 65536

LIST_HEAD(bucket, gz_sock);

static struct {
	pthread_mutex_t lock;
	struct bucket by_ino[BUCKETS];
	struct bucket by_id[BUCKETS];
	_Atomic uint64_t next_id;
	_Atomic unsigned live;
	unsigned entries;
	unsigned max, max_client;
} table = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .next_id = 1, .max = UINT_MAX, .max_client = UINT_MAX};

static unsigned hash(uint64_t x)
{
	return (unsigned)((x * 0x9e3779b97f4a7c15ULL) >> 32) % BUCKETS;
}

void gz_table_limit(unsigned max, unsigned client)
{
	table.max = max;
	table.max_client = client;
}

static unsigned left(unsigned used, unsigned max)
{
	return used < max ? max - used : 0;
}

unsigned gz_table_room(const struct gz_client *c)
{
	unsigned all = left(atomic_load(&table.live), table.max);
	unsigned its = left(atomic_load(&c->sockets), table.max_client);

	return all < its ? all : its;
}

unsigned gz_table_count(void)
{
	return atomic_load(&table.live);
}

struct gz_sock *gz_sock_new(struct gz_client *client, int family)
{
	struct gz_sock *s;

	/* A few more where several threads ask at once. */
	if (atomic_fetch_add(&table.live, 1) >= table.max ||
	    atomic_load(&client->sockets) >= table.max_client) {
		atomic_fetch_sub(&table.live, 1);
		gz_count(GZ_C_REFUSED_LIMIT);
		return NULL;
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		atomic_fetch_sub(&table.live, 1);
		gz_count(GZ_C_REFUSED_NO_MEMORY);
		return NULL;
	}
	s->id = atomic_fetch_add(&table.next_id, 1);
	atomic_init(&s->refs, 1);
	pthread_mutex_init(&s->lock, NULL);
	s->family = family;
	s->chose = gz_end_any(family);
	s->type = SOCK_STREAM;
	s->end_fd = s->held_fd = s->twin_fd = s->ring.i = -1;
	atomic_init(&s->parked_fd, -1);
	atomic_init(&s->parked_wake, -1);
	TAILQ_INIT(&s->pending);
	gz_options_init(&s->opt);
	s->client = client;
	s->uid = client->uid;
	gz_client_ref(client);
	atomic_fetch_add(&client->sockets, 1);
	gz_count(GZ_C_SOCKETS);
	return s;
}

bool gz_sock_listening(struct gz_sock *s)
{
	struct gz_listening *l = s->listening;

	if (l)
		return true;
	l = calloc(gz_nworkers, sizeof(*l));
	for (unsigned i = 0; l && i < gz_nworkers; i++) {
		l[i].sock = s;
		TAILQ_INIT(&l[i].half_open);
	}
	s->listening = l;
	return l;
}

void gz_sock_ref(struct gz_sock *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
}

void gz_sock_unref(struct gz_sock *s)
{
	if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	assert(!s->in_table && s->end_fd < 0 && !s->claim.held && !s->on_worker && s->twin_fd < 0);
	gz_ring_free(&s->rx);
	gz_ring_free(&s->tx);
	gz_udp_ring_free(s);
	gz_plane_drop(s);
	gz_arrival_free(&s->arrival);
	free(s->listening);
	free(s->dgram.twin);
	pthread_mutex_destroy(&s->lock);
	atomic_fetch_sub(&s->client->sockets, 1);
	gz_client_unref(s->client);
	free(s);
	atomic_fetch_sub(&table.live, 1);
}

const char *gz_state_name(enum gz_state st)
{
	static const char *const names[] = {
	    [GZ_FRESH] = "FRESH",	  [GZ_BOUND] = "BOUND",	      [GZ_LISTENING] = "LISTEN",
	    [GZ_CONNECTING] = "SYN-SENT", [GZ_ESTABLISHED] = "ESTAB", [GZ_FAILED] = "FAILED",
	    [GZ_CLOSED] = "CLOSED",
	};

	return names[st];
}

#define TO(st) (1u << GZ_##st)
static const unsigned legal[] = {
    [GZ_FRESH] = TO(BOUND) | TO(LISTENING) | TO(CONNECTING) | TO(ESTABLISHED) | TO(CLOSED),
    [GZ_BOUND] = TO(LISTENING) | TO(ESTABLISHED) | TO(CONNECTING) | TO(FRESH) | TO(CLOSED),
    [GZ_LISTENING] = TO(BOUND) | TO(CLOSED),
    [GZ_CONNECTING] = TO(ESTABLISHED) | TO(FAILED) | TO(CLOSED),
    [GZ_ESTABLISHED] = TO(CLOSED) | TO(BOUND) | TO(FRESH), /* UDP's disconnect */
    [GZ_FAILED] = TO(FRESH) | TO(BOUND) | TO(CLOSED),
    [GZ_CLOSED] = TO(FRESH),
};

void gz_sock_set_state(struct gz_sock *s, enum gz_state to)
{
	enum gz_state from = gz_sock_state(s);

	if (from == to)
		return;
	assert(legal[from] & (1u << to));
	gz_debug("socket %lu: %s -> %s", (unsigned long)s->id, gz_state_name(from),
		 gz_state_name(to));
	atomic_store_explicit(&s->state, to, memory_order_release);
}

void gz_table_add(struct gz_sock *s, ino_t ino)
{
	gz_sock_ref(s);
	pthread_mutex_lock(&table.lock);
	s->ino = ino;
	s->in_table = true;
	LIST_INSERT_HEAD(&table.by_ino[hash(ino)], s, by_ino);
	LIST_INSERT_HEAD(&table.by_id[hash(s->id)], s, by_id);
	table.entries++;
	pthread_mutex_unlock(&table.lock);
}

void gz_table_rename(struct gz_sock *s, ino_t ino)
{
	pthread_mutex_lock(&table.lock);
	if (s->in_table) {
		LIST_REMOVE(s, by_ino);
		s->ino = ino;
		LIST_INSERT_HEAD(&table.by_ino[hash(ino)], s, by_ino);
	}
	pthread_mutex_unlock(&table.lock);
}

bool gz_table_remove(struct gz_sock *s)
{
	bool was;

	pthread_mutex_lock(&table.lock);
	was = s->in_table;
	if (was) {
		LIST_REMOVE(s, by_ino);
		LIST_REMOVE(s, by_id);
		s->in_table = false;
		table.entries--;
	}
	pthread_mutex_unlock(&table.lock);
	if (was)
		gz_sock_unref(s);
	return was;
}

struct gz_sock *gz_table_find_id(uint64_t id)
{
	struct gz_sock *s;

	pthread_mutex_lock(&table.lock);
	LIST_FOREACH(s, &table.by_id[hash(id)], by_id)
	{
		if (s->id == id) {
			gz_sock_ref(s);
			break;
		}
	}
	pthread_mutex_unlock(&table.lock);
	return s;
}

struct gz_sock *gz_table_find(ino_t ino)
{
	struct gz_sock *s;

	pthread_mutex_lock(&table.lock);
	LIST_FOREACH(s, &table.by_ino[hash(ino)], by_ino)
	{
		if (s->ino == ino) {
			gz_sock_ref(s);
			break;
		}
	}
	pthread_mutex_unlock(&table.lock);
	return s;
}

static int by_id(const void *a, const void *b)
{
	const struct gz_sock *x = *(struct gz_sock *const *)a, *y = *(struct gz_sock *const *)b;

	return x->id < y->id ? -1 : x->id > y->id;
}

void gz_table_walk(uint64_t start, bool sorted, bool (*fn)(struct gz_sock *, void *), void *arg)
{
	struct gz_sock **all, *s;
	unsigned n = 0, i;

	/* References first, then calls without the lock: @fn may close. */
	pthread_mutex_lock(&table.lock);
	all = malloc((table.entries + 1) * sizeof(*all));
	if (all) {
		for (i = 0; i < BUCKETS; i++) {
			LIST_FOREACH(s, &table.by_id[i], by_id)
			{
				if (s->id < start)
					continue;
				gz_sock_ref(s);
				all[n++] = s;
			}
		}
	}
	pthread_mutex_unlock(&table.lock);
	if (!all)
		return;
	if (sorted)
		qsort(all, n, sizeof(*all), by_id);
	for (i = 0; i < n; i++) {
		if (fn && !fn(all[i], arg))
			fn = NULL;
		gz_sock_unref(all[i]);
	}
	free(all);
}

socklen_t gz_shadow_name(struct sockaddr_un *a, uint64_t name)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	/* sun_path[0] is NUL: an abstract name (unix(7)). */
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			   (size_t)snprintf(a->sun_path + 1, sizeof(a->sun_path) - 1, "gazelle.%lx",
					    (unsigned long)name));
}

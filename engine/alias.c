/* SPDX-License-Identifier: BSD-3-Clause
 *
 * alias.c - Names of peers and of shadows, in the engine's namespace
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "engine/alias.h"
#include "engine/sock.h"

#define SLOTS 65536u
#define BUCKETS 16384u
#define NESTS (65536u - GZ_NEST_FIRST)
#define FIRST_ALIAS 64u
#define ALIASES 189u /* generations of aliases: 127.64 to 127.252 */

struct slot {
	LIST_ENTRY(slot) next;
	struct gz_alias is;
	uint32_t pins;
	uint8_t gen;
	bool used, recent;
};

LIST_HEAD(slots, slot);

static struct {
	pthread_mutex_t lock;
	struct slot *slot; /* touched as it fills */
	struct slots bucket[BUCKETS];
	uint32_t hand;
} aliases = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct {
	pthread_mutex_t lock;
	struct gz_sock *sock[NESTS];
	uint32_t hand;
} nests = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint32_t address(unsigned second, uint32_t slot)
{
	return htonl(127u << 24 | second << 16 | slot);
}

static struct slots *bucket(struct gz_end peer, struct gz_end local)
{
	return &aliases.bucket[(gz_end_hash(peer) + 31 * gz_end_hash(local)) % BUCKETS];
}

/* The next slot that may be used (again), second chance to recent ones. */
static struct slot *victim(void)
{
	for (uint32_t i = 0; i < 2 * SLOTS; i++) {
		struct slot *s = &aliases.slot[aliases.hand++ % SLOTS];

		if (s->pins)
			continue;
		if (s->used && s->recent) {
			s->recent = false;
			continue;
		}
		if (s->used) {
			LIST_REMOVE(s, next);
			s->gen = (uint8_t)((s->gen + 1) % ALIASES);
		}
		return s;
	}
	return NULL;
}

uint32_t gz_alias_get(struct gz_end peer, struct gz_end local, uint8_t at, bool pin)
{
	struct slots *b = bucket(peer, local);
	uint32_t addr = 0;
	struct slot *s;

	pthread_mutex_lock(&aliases.lock);
	LIST_FOREACH(s, b, next)
	if (gz_end_equal(s->is.peer, peer) && gz_end_same_addr(s->is.local, local) &&
	    s->is.at == at)
		break;
	if (!s) {
		if (!aliases.slot)
			aliases.slot = calloc(SLOTS, sizeof(*aliases.slot));
		s = aliases.slot ? victim() : NULL;
		if (s) {
			s->used = true;
			s->is.peer = peer;
			s->is.local = local;
			s->is.local.port = 0;
			s->is.at = at;
			LIST_INSERT_HEAD(b, s, next);
		}
	}
	if (s) {
		s->recent = true;
		s->pins += pin;
		addr = address(FIRST_ALIAS + s->gen, (uint32_t)(s - aliases.slot));
	}
	pthread_mutex_unlock(&aliases.lock);
	return addr;
}

static struct slot *slot_of(uint32_t addr)
{
	uint32_t h = ntohl(addr);
	unsigned second = h >> 16 & 255;
	struct slot *s;

	if (h >> 24 != 127 || second < FIRST_ALIAS || !aliases.slot)
		return NULL;
	s = &aliases.slot[h & 0xffff];
	return s->used && s->gen == second - FIRST_ALIAS ? s : NULL;
}

void gz_alias_unpin(uint32_t alias)
{
	struct slot *s;

	pthread_mutex_lock(&aliases.lock);
	s = slot_of(alias);
	if (s && s->pins)
		s->pins--;
	pthread_mutex_unlock(&aliases.lock);
}

bool gz_alias_find(uint32_t addr, struct gz_alias *a)
{
	struct slot *s;

	pthread_mutex_lock(&aliases.lock);
	s = slot_of(addr);
	if (s) {
		*a = s->is;
		s->recent = true;
	}
	pthread_mutex_unlock(&aliases.lock);
	return s != NULL;
}

uint32_t gz_name_v4(uint32_t name)
{
	return name ? name : htonl(INADDR_LOOPBACK);
}

struct in6_addr gz_name_v6(uint32_t name, bool native)
{
	struct in6_addr a;

	if (!native)
		return gz_end_v4(gz_name_v4(name), 0).addr;
	if (!name)
		return in6addr_loopback;
	inet_pton(AF_INET6, GZ_NAMES6, &a);
	memcpy(&a.s6_addr[12], &name, 4);
	return a;
}

uint32_t gz_name_of(const struct in6_addr *a)
{
	uint32_t name;

	memcpy(&name, &a->s6_addr[12], 4);
	return name;
}

/* The port that was free for longest: what a shadow sent before it was closed is read
 * long before another one has its name. */
uint16_t gz_nest_take(struct gz_sock *s)
{
	uint16_t nest = 0;

	pthread_mutex_lock(&nests.lock);
	for (uint32_t i = 0; i < NESTS && !nest; i++) {
		uint32_t n = nests.hand++ % NESTS;

		if (nests.sock[n])
			continue;
		nests.sock[n] = s;
		nest = (uint16_t)(GZ_NEST_FIRST + n);
	}
	pthread_mutex_unlock(&nests.lock);
	return nest;
}

void gz_nest_drop(uint16_t nest)
{
	pthread_mutex_lock(&nests.lock);
	if (nest >= GZ_NEST_FIRST)
		nests.sock[nest - GZ_NEST_FIRST] = NULL;
	pthread_mutex_unlock(&nests.lock);
}

struct gz_sock *gz_nest_find(uint16_t nest)
{
	struct gz_sock *s;

	if (nest < GZ_NEST_FIRST)
		return NULL;
	pthread_mutex_lock(&nests.lock);
	s = nests.sock[nest - GZ_NEST_FIRST];
	if (s)
		gz_sock_ref(s);
	pthread_mutex_unlock(&nests.lock);
	return s;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * seen.c - What clients' frames told of them: see switch.h
 *
 * All workers read, and the one to whom a client belongs writes, of that client.
 * A MAC address is read for most frames, so it is one word.  Learning is rare and under the
 * lock, so that two clients of different workers do not take one address.
 */
#include <string.h>

#include "dispatch/groups.h"
#include "dispatch/switch.h"

/* 0 is nobody's: the bit is above the 48 of an address */
#define KNOWN (1ull << 48)

static uint64_t word_of(const struct rte_ether_addr *mac)
{
	uint64_t word = 0;

	memcpy(&word, mac, sizeof(*mac));
	return word | KNOWN;
}

uint64_t sw_seen_mac(const struct sw_seen *seen, unsigned client)
{
	return atomic_load_explicit(&seen->client[client].mac, memory_order_relaxed);
}

bool sw_is_known(const struct sw *s, unsigned client)
{
	return sw_seen_mac(s->seen, client) != 0;
}

/** set_mac() - Under the lock */
static void set_mac(struct sw_seen *seen, unsigned client, uint64_t word)
{
	atomic_store_explicit(&seen->client[client].mac, word, memory_order_relaxed);
	atomic_fetch_add_explicit(&seen->changes, 1, memory_order_release);
}

struct rte_ether_addr sw_mac_of(const struct sw *s, unsigned port)
{
	struct rte_ether_addr mac = s->mac;
	uint64_t word;

	if (port != SW_KERNEL) {
		word = sw_seen_mac(s->seen, port);
		memcpy(&mac, &word, sizeof(mac));
	}
	return mac;
}

void sw_table_mac(struct sw_table *t, unsigned client, const uint8_t mac[6])
{
	struct rte_ether_addr a;

	memcpy(&a, mac, sizeof(a));
	t->mac[client] = word_of(&a);
}

bool sw_is_taken_back(const struct sw *s, unsigned client)
{
	uint64_t now = sw_seen_mac(s->seen, client), own = s->table->mac[client];
	bool others = own && own != now;

	for (unsigned i = 0; i < GZ_CLIENTS_MAX; i++)
		others |= i != client && s->table->mac[i] == now;
	return now && others;
}

/** is_others() - Has another client said that it is its own, or has it been given that? */
static bool is_others(const struct sw *s, unsigned client, uint64_t word)
{
	bool any = false;

	for (unsigned i = 0; i < GZ_CLIENTS_MAX; i++)
		any |= i != client && (sw_seen_mac(s->seen, i) == word || s->table->mac[i] == word);
	return any;
}

bool sw_learn(struct sw *s, unsigned client, const struct rte_ether_addr *mac)
{
	uint64_t word = word_of(mac), now = sw_seen_mac(s->seen, client);
	bool free;

	if (now)
		return now == word;
	if ((s->table->mac[client] && s->table->mac[client] != word) ||
	    (s->kernel && rte_is_same_ether_addr(&s->mac, mac)))
		return false;
	rte_spinlock_lock(&s->seen->lock);
	free = !is_others(s, client, word);
	if (free)
		set_mac(s->seen, client, word);
	rte_spinlock_unlock(&s->seen->lock);
	return free;
}

bool sw_is_own(struct sw *s, unsigned from, const struct rte_ether_addr *mac)
{
	return from >= SW_PORT || sw_learn(s, from, mac);
}

void sw_note4(struct sw *s, unsigned client, uint32_t addr)
{
	_Atomic uint32_t *last = &s->seen->client[client].last4;

	if (atomic_load_explicit(last, memory_order_relaxed) != addr)
		atomic_store_explicit(last, addr, memory_order_relaxed);
}

void sw_note6(struct sw *s, unsigned client, const struct in6_addr *a)
{
	struct in6_addr *last = &s->seen->client[client].last6;

	if (IN6_ARE_ADDR_EQUAL(last, a))
		return;
	rte_spinlock_lock(&s->seen->lock);
	*last = *a;
	rte_spinlock_unlock(&s->seen->lock);
}

struct in6_addr sw_last6(const struct sw *s, unsigned client)
{
	struct in6_addr a;

	rte_spinlock_lock(&s->seen->lock);
	a = s->seen->client[client].last6;
	rte_spinlock_unlock(&s->seen->lock);
	return a;
}

void sw_forget(struct sw *s, unsigned client)
{
	struct sw_client *c = &s->seen->client[client];

	rte_spinlock_lock(&s->seen->lock);
	set_mac(s->seen, client, 0);
	atomic_store_explicit(&c->last4, 0, memory_order_relaxed);
	memset(&c->last6, 0, sizeof(c->last6));
	rte_spinlock_unlock(&s->seen->lock);
	if (s->groups)
		groups_forget(s->groups, client);
}

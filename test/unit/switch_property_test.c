/* SPDX-License-Identifier: BSD-3-Clause
 *
 * switch_property_test.c - What holds for every table: against a model that is a plain search
 *
 * Tables of random networks and hosts, nested and side by side, in both families; random
 * frames between addresses in and around them.  GZ_SEED begins elsewhere.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "switch_expect.h"
#include "switch_frames.h"

#define CLIENTS 12
#define ROUNDS 300
#define FRAMES 300

static struct {
	unsigned n;
	struct {
		struct gz_prefix net;
		unsigned client;
	} of[CLIENTS];
} model;
static uint8_t mac_of[CLIENTS][6];

static unsigned some(unsigned n)
{
	return (unsigned)rand() % n;
}

/* Of 10.0.0.0/22 or fd00::/118, so that they meet often */
static struct in6_addr some_address(bool six)
{
	struct in6_addr a = {.s6_addr = {[0] = 0xfd}};

	if (!six)
		a = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff, [12] = 10}};
	a.s6_addr[14] = (uint8_t)some(4);
	a.s6_addr[15] = (uint8_t)some(256);
	return a;
}

static bool bits_match(const struct in6_addr *a, const struct in6_addr *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if ((a->s6_addr[i / 8] ^ b->s6_addr[i / 8]) & 0x80 >> i % 8)
			return false;
	}
	return true;
}

/* Whose, by looking at all of them: the longest that matches */
static unsigned owner(const struct in6_addr *a)
{
	unsigned best = SW_PORT, longest = 0;

	for (unsigned i = 0; i < model.n; i++) {
		const struct gz_prefix *p = &model.of[i].net;

		if (p->len > longest && bits_match(&p->addr, a, p->len)) {
			best = model.of[i].client;
			longest = p->len;
		}
	}
	return best;
}

/* No network twice: whose it would be is the configuration's to refuse */
static bool is_there(const struct gz_prefix *p)
{
	for (unsigned i = 0; i < model.n; i++) {
		const struct gz_prefix *q = &model.of[i].net;

		if (q->len == p->len && bits_match(&q->addr, &p->addr, p->len))
			return true;
	}
	return false;
}

static void make_table(void)
{
	memset(&table, 0, sizeof(table));
	model.n = 0;
	for (unsigned client = 0; client < CLIENTS; client++) {
		struct gz_prefix p = {.set = true, .addr = some_address(some(2))};

		p.len = (uint8_t)(some(3) ? 128 : 118 + some(10));
		if (is_there(&p))
			continue;
		model.of[model.n].net = p;
		model.of[model.n++].client = client;
		sw_table_own(&table, client, &p);
		memcpy(mac_of[client], (uint8_t[]){2, 0, 0, 0, 1, (uint8_t)client}, 6);
	}
	sw_table_seal(&table);
	begin(1500);
}

/* An address of a client's, or one beside it */
static struct in6_addr near(bool six)
{
	struct in6_addr a = model.of[some(model.n)].net.addr;

	if (IN6_IS_ADDR_V4MAPPED(&a) == six || some(3) == 0)
		return some_address(six);
	a.s6_addr[15] ^= (uint8_t)(some(2) ? 0 : 1 << some(8));
	return a;
}

static void lookups_are_a_search(void **state)
{
	unsigned owned = 0;

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		make_table();
		for (unsigned i = 0; i < FRAMES; i++) {
			bool six = some(2);
			struct in6_addr a = near(six);
			unsigned got = six ? sw_lookup6(&s, &a) : sw_lookup(&s, a.s6_addr32[3]);

			assert_int_equal(got, owner(&a));
			owned += got != SW_PORT;
		}
	}
	assert_true(owned > ROUNDS * FRAMES / 10); /* else this tested nothing */
}

/* UDP over IPv4, of FROM's MAC address */
static void frame(unsigned from, const struct in6_addr *src, const struct in6_addr *dst)
{
	char a[INET_ADDRSTRLEN], b[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, src->s6_addr + 12, a, sizeof(a));
	inet_ntop(AF_INET, dst->s6_addr + 12, b, sizeof(b));
	ip(from < CLIENTS ? mac_of[from] : mac_out, a, mac_out, b, IPPROTO_UDP);
	put16(16, 20 + 8);
	put16(38, 8);
	len = 14 + 28;
}

/*
 * What a client sends from an address of somebody else's is dropped, all else goes to whose
 * the destination is; nothing goes back to where it came from, and nothing to two.
 */
static void frames_go_to_the_owner(void **state)
{
	unsigned sent = 0, spoofed = 0;

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		make_table();
		for (unsigned i = 0; i < FRAMES; i++) {
			unsigned from = some(4) ? model.of[some(model.n)].client : SW_PORT;
			struct in6_addr src = near(false), dst = near(false);
			unsigned to = owner(&dst);
			struct sw_verdict v;

			frame(from, &src, &dst);
			v = sw_decide(&s, from, f, len);
			if (owner(&src) != from) {
				assert_int_equal(v.action, SW_DROP);
				assert_int_equal(v.reason, SW_SPOOFED);
				spoofed++;
			} else if (to == from) {
				assert_int_equal(v.action, SW_DROP);
				assert_int_equal(v.reason, SW_UNCLAIMED);
			} else {
				assert_int_equal(v.action, SW_SEND);
				assert_int_equal(v.to, to);
				assert_false(v.both);
				sent++;
			}
		}
	}
	assert_true(sent > ROUNDS && spoofed > ROUNDS); /* else this tested nothing */
}

/* Whoever is known has the MAC address of its first frame, and no two have the same */
static void a_mac_is_one_clients(void **state)
{
	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint8_t first[CLIENTS] = {0};
		bool known[CLIENTS] = {false};

		make_table();
		for (unsigned i = 0; i < FRAMES; i++) {
			unsigned at = some(model.n), from = model.of[at].client, last = some(6);
			const struct in6_addr *own = &model.of[at].net.addr;
			struct in6_addr dst = some_address(false);
			bool taken = false, fine;

			if (!IN6_IS_ADDR_V4MAPPED(own) || owner(own) != from)
				continue;
			if (some(20) == 0) {
				sw_forget(&s, from);
				known[from] = false;
			}
			for (unsigned c = 0; c < CLIENTS; c++)
				taken |= c != from && known[c] && first[c] == last;
			fine = known[from] ? first[from] == last : !taken;
			mac_of[from][5] = (uint8_t)last;
			frame(from, own, &dst);
			assert_int_equal(sw_decide(&s, from, f, len).reason != SW_SPOOFED, fine);
			if (fine) {
				known[from] = true;
				first[from] = (uint8_t)last;
				has_mac(from, mac_of[from]);
			}
			assert_int_equal(sw_is_known(&s, from), known[from]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lookups_are_a_search),
	    cmocka_unit_test(frames_go_to_the_owner),
	    cmocka_unit_test(a_mac_is_one_clients),
	};
	const char *seed = getenv("GZ_SEED");

	srand(seed ? (unsigned)atoi(seed) : 1);
	return cmocka_run_group_tests_name("switch_property", tests, NULL, NULL);
}

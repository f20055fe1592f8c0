/* SPDX-License-Identifier: BSD-3-Clause
 *
 * groups_test.c - Dispatch's table of multicast groups, beside a simple one
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "dispatch/groups.h"
#include "unit/eal.h"

#define GROUPS 300

static struct groups *g;
static uint32_t now;
static uint32_t until[GZ_CLIENTS_MAX][GROUPS]; /* 0: no member */

static struct in6_addr group(unsigned i)
{
	return (struct in6_addr){.s6_addr = {0xff, 5, [12] = (uint8_t)(i >> 24), (uint8_t)(i >> 16),
					     (uint8_t)(i >> 8), (uint8_t)i}};
}

static int setup(void **state)
{
	(void)state;
	g = groups_new(0);
	now = 1;
	memset(until, 0, sizeof(until));
	if (g)
		groups_tick(g, now);
	return !g;
}

static int teardown(void **state)
{
	(void)state;
	groups_free(g);
	return 0;
}

static unsigned count(unsigned client)
{
	unsigned n = 0;

	for (unsigned i = 0; i < GROUPS; i++)
		n += until[client][i] != 0;
	return n;
}

static void assert_agree(void)
{
	uint64_t refused;

	for (unsigned i = 0; i < GROUPS; i++) {
		struct in6_addr a = group(i);
		uint64_t want = 0;

		for (unsigned c = 0; c < GZ_CLIENTS_MAX; c++)
			want |= (uint64_t)(until[c][i] != 0) << c;
		assert_int_equal(groups_members(g, &a), want);
	}
	for (unsigned c = 0; c < GZ_CLIENTS_MAX; c++)
		assert_int_equal(groups_of(g, c, &refused), count(c));
}

static void join(unsigned c, unsigned i)
{
	struct in6_addr a = group(i);
	bool room = until[c][i] || count(c) < GROUPS_EACH;

	assert_int_equal(groups_join(g, c, &a), room);
	if (room)
		until[c][i] = now + GROUPS_HOLD_S;
}

static void leave(unsigned c, unsigned i)
{
	struct in6_addr a = group(i);

	groups_leave(g, c, &a);
	until[c][i] = 0;
}

static void pass_time(unsigned s)
{
	now += s;
	groups_tick(g, now);
	for (unsigned c = 0; c < GZ_CLIENTS_MAX; c++)
		for (unsigned i = 0; i < GROUPS; i++)
			if (until[c][i] <= now)
				until[c][i] = 0;
}

static void forget(unsigned c)
{
	groups_forget(g, c);
	memset(until[c], 0, sizeof(until[c]));
}

/* Some clients join much, some little; 10 s is what passes between sweeps */
static void agrees_with_a_simple_table(void **state)
{
	(void)state;
	srand(11);
	for (unsigned n = 0; n < 60000; n++) {
		unsigned c = (unsigned)rand() % GZ_CLIENTS_MAX;
		unsigned i = (unsigned)rand() % (c % 2 ? GROUPS : 20);

		switch (rand() % 20) {
		case 0:
		case 1:
		case 2:
			leave(c, i);
			break;
		case 3:
			if (!(rand() % 20))
				forget(c);
			break;
		case 4:
			if (!(rand() % 8))
				pass_time(10 + (unsigned)rand() % 60);
			break;
		default:
			join(c, i);
		}
		if (!(n % 500))
			assert_agree();
	}
	assert_agree();
}

/* Client 7 joins what it can; then all others still can join as much as they may */
static void one_does_not_take_the_others_room(void **state)
{
	uint64_t refused;
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		struct in6_addr a = group(i);

		n += groups_join(g, 7, &a);
	}
	assert_int_equal(n, GROUPS_EACH);
	assert_int_equal(groups_of(g, 7, &refused), GROUPS_EACH);
	assert_int_equal(refused, 100000 - GROUPS_EACH);
	for (unsigned c = 0; c < GZ_CLIENTS_MAX; c++) {
		for (unsigned i = 0; c != 7 && i < GROUPS_EACH; i++) {
			struct in6_addr a = group(1000000 + c * GROUPS_EACH + i);

			assert_true(groups_join(g, c, &a));
			assert_int_equal(groups_members(g, &a), 1ull << c);
		}
	}
	groups_forget(g, 7);
	groups_forget(g, 8);
	for (unsigned i = 0; i < GROUPS_EACH; i++) {
		struct in6_addr a = group(2000000 + i);

		assert_true(groups_join(g, 8, &a));
	}
}

static void what_is_reported_again_stays(void **state)
{
	struct in6_addr a = group(1);

	(void)state;
	assert_true(groups_join(g, 3, &a));
	for (unsigned t = 0; t < 2000; t += 100) {
		pass_time(100);
		assert_int_equal(groups_members(g, &a), 1ull << 3);
		groups_join(g, 3, &a);
	}
	pass_time(GROUPS_HOLD_S - 1);
	assert_int_equal(groups_members(g, &a), 1ull << 3);
	pass_time(11);
	assert_int_equal(groups_members(g, &a), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(agrees_with_a_simple_table),
	    T(one_does_not_take_the_others_room),
	    T(what_is_reported_again_stays),
	};

	return cmocka_run_group_tests_name("groups", tests, start_eal, stop_eal);
}

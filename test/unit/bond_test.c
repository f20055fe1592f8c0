/* SPDX-License-Identifier: BSD-3-Clause
 *
 * bond_test.c - Which port is active, as facts and time go by
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch/bond.h"
#include "dispatch/frames.h"

static struct gz_bond_config config;
static struct bond b;
static uint64_t now;

/* Three ports with a link; @targets: probes go out every 100 ms, 3 may be missed */
static void begin(unsigned targets)
{
	config = (struct gz_bond_config){
	    .nports = 3, .ntargets = targets, .probe_interval_ms = 100, .probe_misses = 3};
	now = 5000;
	bond_init(&b, &config, 3, now);
	for (unsigned i = 0; i < 3; i++)
		bond_link(&b, i, true, true, now);
}

static uint32_t tick(void)
{
	uint32_t probe;

	bond_tick(&b, now, &probe);
	return probe;
}

/* Time passes, in which the ports of @answering get answers */
static void pass(unsigned ms, unsigned answering)
{
	for (uint64_t end = now + ms; now < end; now += 10) {
		uint32_t asked = tick();

		for (unsigned i = 0; i < 3; i++) {
			if (asked & answering & 1u << i)
				bond_answer(&b, i);
		}
	}
}

static void the_first_with_a_link_is_active(void **state)
{
	(void)state;
	begin(0);
	tick();
	assert_int_equal(b.active, 0);
	bond_link(&b, 0, true, false, now);
	tick();
	assert_int_equal(b.active, 1);
	bond_link(&b, 1, false, false, now);
	tick();
	assert_int_equal(b.active, 2);
	assert_int_equal(b.switches, 2);
	/* a bad one is better than one that is not there, but not than a good one */
	bond_link(&b, 2, true, false, now);
	tick();
	assert_int_equal(b.active, 2);
	bond_link(&b, 2, false, false, now);
	tick();
	assert_int_equal(b.active, 0);
	bond_link(&b, 0, false, false, now);
	tick();
	assert_int_equal(b.active, -1);
}

static void failback_waits_or_never_comes(void **state)
{
	(void)state;
	begin(0);
	config.up_delay_ms = 300;
	tick();
	bond_link(&b, 0, true, false, now);
	tick();
	assert_int_equal(b.active, 1);
	now += 1000;
	bond_link(&b, 0, true, true, now);
	assert_int_equal(bond_next_ms(&b), now + 300);
	pass(300, 0);
	assert_int_equal(b.active, 1);
	pass(20, 0);
	assert_int_equal(b.active, 0);

	begin(0);
	config.failback = GZ_FAILBACK_NEVER;
	tick();
	bond_link(&b, 0, true, false, now);
	tick();
	bond_link(&b, 0, true, true, now);
	pass(5000, 0);
	assert_int_equal(b.active, 1);
	assert_int_equal(bond_next_ms(&b), UINT64_MAX);
}

static void a_silent_port_is_left_while_another_answers(void **state)
{
	(void)state;
	begin(1);
	assert_int_equal(tick(), 7);
	pass(1000, 7);
	assert_int_equal(b.active, 0);
	pass(250, 6); /* two are missed */
	assert_int_equal(b.active, 0);
	pass(200, 6);
	assert_int_equal(b.active, 1);
	assert_int_equal(b.port[0].state, BOND_SILENT);
	pass(200, 7);
	assert_int_equal(b.active, 0);
	/* the neighbour itself is gone: no port is better than the active one */
	pass(2000, 0);
	assert_int_equal(b.active, 0);
	assert_int_equal(b.port[2].state, BOND_SILENT);
	/* a link that came up anew starts without blame */
	bond_link(&b, 2, true, false, now);
	bond_link(&b, 2, true, true, now);
	tick();
	assert_int_equal(b.active, 2);
}

static void late_frames_of_the_one_before_are_taken_for_a_while(void **state)
{
	(void)state;
	begin(0);
	tick();
	assert_true(bond_accepts(&b, 0, now));
	assert_false(bond_accepts(&b, 1, now));
	bond_link(&b, 0, true, false, now);
	tick();
	assert_true(bond_accepts(&b, 0, now + BOND_GRACE_MS - 1));
	assert_true(bond_accepts(&b, 1, now));
	assert_false(bond_accepts(&b, 2, now));
	assert_false(bond_accepts(&b, 0, now + BOND_GRACE_MS));
}

/* Any facts: the active one is there, and none is better unless it must wait */
static void whatever_happens_the_best_is_active(void **state)
{
	(void)state;
	srand(7);
	for (unsigned round = 0; round < 200; round++) {
		begin((unsigned)rand() % 2);
		config.up_delay_ms = (uint32_t)rand() % 500;
		config.failback = rand() % 2 ? GZ_FAILBACK_ALWAYS : GZ_FAILBACK_NEVER;
		for (unsigned step = 0; step < 200; step++) {
			unsigned i = (unsigned)rand() % 3;

			if (rand() % 3 == 0)
				bond_link(&b, i, rand() % 3, rand() % 3, now);
			pass((unsigned)rand() % 300, (unsigned)rand() % 8);
			tick();
			for (unsigned k = 0; k < 3; k++) {
				if (b.port[k].state == BOND_ABSENT)
					assert_int_not_equal(b.active, k);
				else
					assert_true(b.active >= 0 &&
						    b.port[b.active].state >= b.port[k].state);
			}
		}
	}
}

static const struct rte_ether_addr mac = {{2, 0, 0, 0, 0, 9}};

static void an_answer_is_told_from_all_else(void **state)
{
	uint8_t f[FRAME_ROOM], *copy;
	struct in6_addr a, target;
	unsigned len;

	(void)state;
	inet_pton(AF_INET6, "fd00::7", &target);
	len = frame_arp_probe(f, &mac, inet_addr("10.0.0.7"));
	assert_false(frame_answers(f, len, &mac, &a));
	memcpy(f, &mac, 6);
	assert_false(frame_answers(f, len, &mac, &a)); /* a question */
	f[21] = 2;
	memcpy(f + 28, f + 38, 4);
	memset(f + 38, 0, 4);
	assert_true(frame_answers(f, len, &mac, &a));
	assert_true(IN6_IS_ADDR_V4MAPPED(&a) && a.s6_addr32[3] == inet_addr("10.0.0.7"));

	len = frame_advertisement(f, &mac, &target);
	memcpy(f, &mac, 6);
	assert_false(frame_answers(f, len, &mac, &a)); /* to all */
	a = link_local_of(&mac);
	memcpy(f + 38, &a, 16);
	assert_true(frame_answers(f, len, &mac, &a));
	assert_true(IN6_ARE_ADDR_EQUAL(&a, &target));
	/* cut anywhere, it is none, and nothing behind it is read */
	for (unsigned n = 0; n < len; n++) {
		copy = malloc(n ? n : 1);
		memcpy(copy, f, n);
		if (n < 78)
			assert_false(frame_answers(copy, n, &mac, &a));
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_first_with_a_link_is_active),
	    cmocka_unit_test(failback_waits_or_never_comes),
	    cmocka_unit_test(a_silent_port_is_left_while_another_answers),
	    cmocka_unit_test(late_frames_of_the_one_before_are_taken_for_a_while),
	    cmocka_unit_test(whatever_happens_the_best_is_active),
	    cmocka_unit_test(an_answer_is_told_from_all_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

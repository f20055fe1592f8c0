/* SPDX-License-Identifier: BSD-3-Clause
 *
 * backlog_test.c - What waits for dispatch's port: strict order, none overtakes one of its
 * own priority, none is lost
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include <rte_mbuf.h>

#include "dispatch/backlog.h"
#include "unit/eal.h"

#define FRAMES 100000

static struct rte_mbuf frame[FRAMES];
static unsigned waiting[PRIORITIES], room, last[PRIORITIES];

static unsigned priority_of(const struct rte_mbuf *m)
{
	return m->port;
}

/* The port: takes @room frames */
static unsigned take(void *arg, struct rte_mbuf **m, unsigned n)
{
	unsigned k = 0;

	(void)arg;
	for (; k < n && room; k++, room--) {
		unsigned p = priority_of(m[k]);

		for (unsigned higher = p + 1; higher < PRIORITIES; higher++)
			assert_int_equal(waiting[higher], 0);
		assert_true((unsigned)(m[k] - frame) >= last[p]);
		last[p] = (unsigned)(m[k] - frame) + 1;
		waiting[p]--;
	}
	return k;
}

static void strict_order(void **state)
{
	struct backlog b;
	unsigned dropped = 0, sent = 0, left = 0;

	(void)state;
	assert_int_equal(backlog_init(&b, 0), 0);
	srand(3);
	for (unsigned i = 0; i < FRAMES;) {
		struct rte_mbuf *m[32];
		unsigned n = 0, p = (unsigned)rand() % PRIORITIES, put;
		unsigned come = 1 + (unsigned)rand() % 32;

		for (; n < come && i < FRAMES; n++, i++) {
			frame[i].port = (uint16_t)p;
			m[n] = &frame[i];
		}
		put = backlog_put(&b, p, m, n);
		assert_int_equal(put, RTE_MIN(n, BACKLOG_EACH - waiting[p]));
		waiting[p] += put;
		dropped += n - put;
		room = (unsigned)rand() % 25;
		sent += backlog_send(&b, 0, take, NULL);
	}
	for (unsigned p = 0; p < PRIORITIES; p++)
		left += waiting[p];
	assert_int_equal(b.n, left);
	assert_true(dropped && left); /* else this tested little */
	room = left;
	sent += backlog_send(&b, 0, take, NULL);
	assert_int_equal(b.n, 0);
	assert_int_equal(sent + dropped, FRAMES);
	assert_int_equal(backlog_send(&b, 0, take, NULL), 0);
	backlog_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(strict_order),
	};

	return cmocka_run_group_tests_name("backlog", tests, start_eal, stop_eal);
}

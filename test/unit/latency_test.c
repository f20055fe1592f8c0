// SPDX-License-Identifier: BSD-3-Clause
/*
 * latency_test.c - Percentiles of the histogram beside those of the sorted values
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "dispatch/latency.h"

#define N 5000

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Not below the true value, and at most an eighth above */
static void assert_near(uint64_t got, uint64_t want)
{
	assert_true(got >= want);
	assert_true(got - want <= want / LATENCY_STEPS + 1);
}

static void agrees_with_a_sort(void **state)
{
	static const unsigned permille[] = {1, 500, 900, 990, 999, 1000};
	static uint64_t v[N];
	struct latency l = {0};

	(void)state;
	srand(1);
	for (unsigned i = 0; i < N; i++) {
		v[i] = (uint64_t)rand() >> rand() % 31;
		latency_note(&l, v[i], 1);
	}
	qsort(v, N, sizeof(v[0]), by_value);
	assert_int_equal(latency_frames(&l, NULL), N);
	for (size_t i = 0; i < sizeof(permille) / sizeof(permille[0]); i++) {
		unsigned rank = (N * permille[i] + 999) / 1000;

		assert_near(latency_at(&l, NULL, permille[i]), v[rank - 1]);
	}
}

static void takes_every_value(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		for (int off = -1; off <= 1; off++) {
			uint64_t v = (1ull << bit) + (uint64_t)off;
			struct latency l = {0};

			latency_note(&l, v, 3);
			assert_near(latency_at(&l, NULL, 500), v);
			assert_int_equal(latency_frames(&l, NULL), 3);
		}
	}
}

static void leaves_out_what_was_before(void **state)
{
	struct latency l = {0}, before;

	(void)state;
	assert_int_equal(latency_at(&l, NULL, 500), 0);
	latency_note(&l, 5, 1000);
	before = l;
	assert_int_equal(latency_at(&l, &before, 500), 0);
	latency_note(&l, 7, 10);
	assert_int_equal(latency_at(&l, NULL, 500), 5);
	assert_int_equal(latency_at(&l, &before, 500), 7);
	assert_int_equal(latency_frames(&l, &before), 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(agrees_with_a_sort),
	    cmocka_unit_test(takes_every_value),
	    cmocka_unit_test(leaves_out_what_was_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

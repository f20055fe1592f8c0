// SPDX-License-Identifier: BSD-3-Clause
/*
 * pace_test.c - The pace of a connection, however small its segments and slow its path
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "lwip/tcp.h"

#include "engine/pace.h"
#include "engine/segment.h"
#include "engine/worker.h"

#define SEC 1000000000ull
#define MSS_LEAST 48

struct gz_worker gz_worker = {.now = 3600 * SEC};

void gz_sack_go_on(struct gz_flow *f)
{
	(void)f;
}

static struct gz_measure paced(enum gz_bbr_mode mode, uint64_t rate, uint32_t seconds)
{
	return (struct gz_measure){
	    .bbr = {.mode = mode, .gated = true, .window = MSS_LEAST},
	    .rate = {.recent = rate},
	    .srtt8 = seconds * 1000000 << 3,
	    .min_rtt = 2000,
	};
}

/* Four segments in a round trip at least */
static void has_a_floor(void **state)
{
	struct gz_measure m = paced(GZ_BBR_CRUISE, 1, 2);
	struct tcp_pcb p = {.mss = 1000};

	(void)state;
	assert_int_equal(gz_bbr_rate(&p, &m), 2000);
}

/* Of which a segment takes a round trip of minutes: the floor is less than a byte a second. */
static void is_never_none(void **state)
{
	struct tcp_pcb p = {.mss = MSS_LEAST};

	(void)state;
	for (int mode = GZ_BBR_START; mode <= GZ_BBR_TRIP; mode++) {
		struct gz_measure m = paced(mode, 1, 260);
		uint64_t rate;

		m.bytes_sent = MSS_LEAST; /* 48 s; a late worker may be behind by 65 */
		assert_true(gz_bbr_is_paced(&m));
		rate = gz_bbr_rate(&p, &m);
		assert_in_range(rate, 1, 2);
		assert_int_not_equal(gz_pace_budget(&m, rate, MSS_LEAST), 0);
	}
}

/* What was sent is paid for in time. */
static void waits(void **state)
{
	struct gz_measure m = paced(GZ_BBR_CRUISE, 1000000, 0);

	(void)state;
	m.bytes_sent = 5000;
	assert_int_equal(gz_pace_budget(&m, 1000000, 1000), 0);
	gz_worker.now += SEC / 1000 * 4;
	assert_int_equal(gz_pace_budget(&m, 1000000, 1000), 0);
	gz_worker.now += SEC / 1000;
	assert_int_equal(gz_pace_budget(&m, 1000000, 1000), 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(has_a_floor),
	    cmocka_unit_test(is_never_none),
	    cmocka_unit_test(waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

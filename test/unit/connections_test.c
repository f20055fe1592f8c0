/* SPDX-License-Identifier: BSD-3-Clause
 *
 * connections_test.c - How many TCP connections a client has, by its segments
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "switch_expect.h"
#include "switch_frames.h"
#include "config/config.h"
#include "dispatch/connections.h"
#include "unit/eal.h"

#define SYN 0x02
#define ACK 0x10
#define RST 0x04
#define FIN 0x01
#define OWN "10.0.0.2"
#define PEER "10.0.0.9"

static struct connections *c;
static uint32_t now;

static void limit(uint32_t max)
{
	connections_free(c);
	c = connections_new(max);
	assert_non_null(c);
	now = 1;
}

static int teardown(void **state)
{
	(void)state;
	connections_free(c);
	c = NULL;
	return 0;
}

/* A segment between port 80 of the client and the peer's @port; @data bytes */
static bool passes(bool sent, uint16_t port, uint8_t flags, unsigned data)
{
	if (sent)
		tcp(mac_a, OWN, 80, mac_out, PEER, port);
	else
		tcp(mac_out, PEER, port, mac_a, OWN, 80);
	put16(16, (uint16_t)(40 + data));
	f[47] = flags;
	return connection_passes(c, f, 34, sent, now);
}

static void opens(uint16_t port, bool sent)
{
	assert_true(passes(sent, port, SYN, 0));
	assert_true(passes(!sent, port, SYN | ACK, 0));
	assert_true(passes(sent, port, ACK, 0));
}

static void counts(unsigned n)
{
	assert_int_equal(connections_count(c), n);
}

static void a_syn_beyond_the_limit_is_dropped(void **state)
{
	(void)state;
	limit(3);
	for (uint16_t i = 1; i <= 3; i++)
		opens(i, i % 2);
	counts(3);
	assert_false(passes(true, 4, SYN, 0));
	assert_false(passes(false, 4, SYN, 0));
	assert_true(passes(true, 2, ACK, 100)); /* others go on */
	assert_true(passes(false, 2, SYN, 0));	/* again: known */
	counts(3);
}

static void a_connection_ends(void **state)
{
	(void)state;
	limit(1);
	opens(1, true);
	assert_true(passes(true, 1, FIN | ACK, 0));
	assert_false(passes(true, 2, SYN, 0)); /* half closed */
	assert_true(passes(false, 1, FIN | ACK, 0));
	counts(0);
	assert_true(passes(true, 1, ACK, 0)); /* the last one */
	counts(0);
	opens(2, false);
	assert_true(passes(false, 2, RST, 0));
	counts(0);
	/* Nobody answers */
	assert_true(passes(true, 3, SYN, 0));
	now += CONNECTION_OPENING_S - 1;
	assert_false(passes(true, 4, SYN, 0));
	now++;
	assert_true(passes(true, 4, SYN, 0));
	assert_true(passes(false, 4, SYN | ACK, 0));
	now += CONNECTION_IDLE_S - 1;
	assert_false(passes(true, 5, SYN, 0));
	now++;
	opens(5, true);
	counts(1);
}

static void one_of_before_counts_by_its_data(void **state)
{
	(void)state;
	limit(1);
	assert_true(passes(false, 1, ACK, 10)); /* anybody could send that */
	assert_true(passes(true, 1, ACK, 0));
	counts(0);
	assert_true(passes(true, 1, ACK, 10));
	counts(1);
	assert_true(passes(true, 2, ACK, 10)); /* passes, though there is no room */
	counts(1);
	assert_false(passes(true, 3, SYN, 0));
}

static void never_more_than_the_limit(void **state)
{
	static bool known[65536];

	(void)state;
	limit(50);
	srand(9);
	for (int i = 0; i < 300000; i++) {
		static const uint8_t flags[] = {SYN, SYN, SYN | ACK, ACK, ACK, FIN | ACK, RST};
		uint16_t port = (uint16_t)(1 + rand() % 200);
		uint8_t fl = flags[(unsigned)rand() % sizeof(flags)];
		unsigned before = connections_count(c);
		bool pass = passes(rand() % 2, port, fl, (unsigned)rand() % 2);

		assert_true(connections_count(c) <= 50);
		/* Only a SYN is ever dropped, and only when all are taken */
		assert_true(pass || (fl == SYN && before == 50 && !known[port]));
		if (fl == SYN && pass)
			known[port] = true;
		else if (connections_count(c) < before || !pass)
			known[port] = false;
		now += !(rand() % 3000);
	}
}

int main(void)
{
#define C(name) cmocka_unit_test_teardown(name, teardown)
	const struct CMUnitTest tests[] = {
	    C(a_syn_beyond_the_limit_is_dropped),
	    C(a_connection_ends),
	    C(one_of_before_counts_by_its_data),
	    C(never_more_than_the_limit),
	};

	return cmocka_run_group_tests_name("connections", tests, start_eal, stop_eal);
}

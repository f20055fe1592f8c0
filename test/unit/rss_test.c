/* SPDX-License-Identifier: BSD-3-Clause
 *
 * rss_test.c - The hash of RSS is the one that devices compute
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <rte_thash.h>

#include "engine/rss.h"

struct example {
	int family;
	const char *source, *destination;
	uint16_t sport, dport;
	uint32_t addresses, flow; /* the hashes */
};

/* "Verifying the RSS Hash Calculation", Microsoft, Windows drivers */
static const struct example example[] = {
    {AF_INET, "66.9.149.187", "161.142.100.80", 2794, 1766, 0x323e8fc2, 0x51ccc178},
    {AF_INET, "199.92.111.2", "65.69.140.83", 14230, 4739, 0xd718262a, 0xc626b0ea},
    {AF_INET, "24.19.198.95", "12.22.207.184", 12898, 38024, 0xd2d0a5de, 0x5c2b394a},
    {AF_INET6, "3ffe:2501:200:1fff::7", "3ffe:2501:200:3::1", 2794, 1766, 0x2cc18cd5, 0x40207d3d},
    {AF_INET6, "3ffe:501:8::260:97ff:fe40:efab", "ff02::1", 14230, 4739, 0x0f0c461c, 0xdde51bbf},
};

static void published(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(example) / sizeof(*example); i++) {
		const struct example *e = &example[i];
		unsigned size = e->family == AF_INET ? 4 : 16;
		uint16_t ports[2] = {htons(e->sport), htons(e->dport)};
		uint8_t b[GZ_RSS_BYTES];

		assert_int_equal(inet_pton(e->family, e->source, b), 1);
		assert_int_equal(inet_pton(e->family, e->destination, b + size), 1);
		memcpy(b + 2 * size, ports, 4);
		assert_int_equal(gz_rss_bytes(b, 2 * size), e->addresses);
		assert_int_equal(gz_rss_bytes(b, 2 * size + 4), e->flow);
	}
}

static void as_dpdk(void **state)
{
	(void)state;
	srandom(1);
	for (unsigned turn = 0; turn < 10000; turn++) {
		unsigned n = 1 + (unsigned)random() % (GZ_RSS_BYTES / 4);
		uint32_t w[GZ_RSS_BYTES / 4];
		uint8_t b[GZ_RSS_BYTES];

		for (unsigned i = 0; i < 4 * n; i++)
			b[i] = (uint8_t)random();
		memcpy(w, b, 4 * n);
		for (unsigned i = 0; i < n; i++)
			w[i] = ntohl(w[i]);
		assert_int_equal(gz_rss_bytes(b, 4 * n), rte_softrss(w, n, gz_spread_key));
	}
}

int main(void)
{
	const struct CMUnitTest t[] = {cmocka_unit_test(published), cmocka_unit_test(as_dpdk)};

	return cmocka_run_group_tests(t, NULL, NULL);
}

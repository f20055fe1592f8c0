/* SPDX-License-Identifier: BSD-3-Clause
 *
 * switch_expect.h - A switch, a frame, and what is to become of it; for switch*_test.c
 */
#ifndef GZ_TEST_SWITCH_EXPECT_H
#define GZ_TEST_SWITCH_EXPECT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>

#include "dispatch/switch.h"

/* A case of a program's, with its setup() */
#define T(name) cmocka_unit_test_setup(name, setup)

static const uint8_t mac_a[6] = {2, 0, 0, 0, 0, 0xa}, mac_b[6] = {2, 0, 0, 0, 0, 0xb},
		     mac_out[6] = {2, 0, 0, 0, 0, 0xee};

static struct sw_table table;
static struct sw_seen seen;
static struct sw s;
static uint8_t f[2048]; /* the frame, of len bytes */
static unsigned len;

/* An address or a network of either family is @client's */
static inline void owns(unsigned client, const char *text, unsigned bits)
{
	struct gz_prefix p = {.len = (uint8_t)bits, .set = true};

	if (!inet_pton(AF_INET6, text, &p.addr)) {
		p.len = (uint8_t)(p.len + 96);
		p.addr.s6_addr[10] = p.addr.s6_addr[11] = 0xff;
		inet_pton(AF_INET, text, p.addr.s6_addr + 12);
	}
	sw_table_own(&table, client, &p);
}

/* With the table that there is; nobody was seen yet */
static inline void begin(uint16_t mtu)
{
	memset(&seen, 0, sizeof(seen));
	sw_init(&s, &table, &seen, mtu);
}

static inline void has_mac(unsigned port, const uint8_t *mac)
{
	const struct rte_ether_addr known = sw_mac_of(&s, port);

	assert_memory_equal(&known, mac, sizeof(known));
}

static inline void sends(unsigned from, unsigned to)
{
	struct sw_verdict v = sw_decide(&s, from, f, len);

	assert_int_equal(v.action, SW_SEND);
	assert_int_equal(v.to, to);
}

static inline void floods(unsigned from)
{
	assert_int_equal(sw_decide(&s, from, f, len).action, SW_FLOOD);
}

static inline void drops(unsigned from, enum sw_reason why)
{
	struct sw_verdict v = sw_decide(&s, from, f, len);

	assert_int_equal(v.action, SW_DROP);
	assert_int_equal(v.reason, why);
}

#endif

// SPDX-License-Identifier: BSD-3-Clause
/*
 * switch_shared_test.c - Dispatch's decisions about an address of several clients
 */
#include <string.h>

#include "switch_expect.h"
#include "switch_frames.h"

#define A 0 /* 10.0.0.9, port 80 */
#define B 1 /* 10.0.0.9, port 81 */
#define C 2 /* 10.0.0.4, its own */

static const uint8_t mac_c[6] = {2, 0, 0, 0, 0, 0xc}, mac_all[6] = {255, 255, 255, 255, 255, 255};
static struct sw_ports ports;

static int setup(void **state)
{
	(void)state;
	memset(&table, 0, sizeof(table));
	memset(&ports, 0, sizeof(ports));
	atomic_store(&ports.settled, true);
	ports.addr = inet_addr("10.0.0.9");
	for (unsigned udp = 0; udp < 2; udp++) {
		ports.owner[udp][80] = A + 1;
		ports.owner[udp][81] = B + 1;
	}
	sw_table_share(&table, A, &ports);
	sw_table_share(&table, B, &ports);
	owns(C, "10.0.0.4", 32);
	sw_table_seal(&table);
	begin(1500);
	/* Both were seen */
	tcp(mac_a, "10.0.0.9", 80, mac_out, "10.0.0.1", 5);
	sends(A, SW_PORT);
	tcp(mac_b, "10.0.0.9", 81, mac_out, "10.0.0.1", 5);
	sends(B, SW_PORT);
	return 0;
}

static void goes_by_port(void **state)
{
	(void)state;
	tcp(mac_out, "10.0.0.1", 5, mac_a, "10.0.0.9", 81);
	sends(SW_PORT, B);
	assert_true(sw_decide(&s, SW_PORT, f, len).readdress);
	has_mac(B, mac_b);
	f[23] = IPPROTO_UDP;
	put16(38, 20); /* length */
	sends(SW_PORT, B);
	tcp(mac_c, "10.0.0.4", 5, mac_b, "10.0.0.9", 80);
	sends(C, A);
	/* Whoever had a port before dispatch was started again may be still to come */
	atomic_store(&ports.settled, false);
	sends(C, A);
	tcp(mac_out, "10.0.0.1", 5, mac_b, "10.0.0.9", 99);
	drops(SW_PORT, SW_UNCLAIMED);
	atomic_store(&ports.settled, true);
	/* Nobody's: the first refuses it, even what it sent itself */
	tcp(mac_out, "10.0.0.1", 5, mac_b, "10.0.0.9", 99);
	sends(SW_PORT, A);
	tcp(mac_a, "10.0.0.9", 80, mac_a, "10.0.0.9", 99);
	sends(A, A);
	tcp(mac_a, "10.0.0.9", 80, mac_a, "10.0.0.9", 81);
	sends(A, B);
}

static void a_port_is_its_owners(void **state)
{
	(void)state;
	tcp(mac_b, "10.0.0.9", 80, mac_out, "10.0.0.1", 5);
	drops(B, SW_SPOOFED);
	tcp(mac_c, "10.0.0.9", 80, mac_out, "10.0.0.1", 5);
	drops(C, SW_SPOOFED);
	tcp(mac_out, "10.0.0.9", 80, mac_a, "10.0.0.4", 5);
	drops(SW_PORT, SW_SPOOFED);
	/* It may refuse what was for nobody */
	tcp(mac_b, "10.0.0.9", 99, mac_out, "10.0.0.1", 5);
	sends(B, SW_PORT);
}

static void fragments_follow_the_first(void **state)
{
	(void)state;
	tcp(mac_out, "10.0.0.1", 5, mac_a, "10.0.0.9", 81);
	put16(18, 7);	   /* id */
	put16(20, 0x2000); /* more of them */
	sends(SW_PORT, B);
	put16(20, 0x2003);
	sends(SW_PORT, B);
	put16(18, 8);
	sends(SW_PORT, A);
	/* Whoever got the first is no client any more */
	put16(18, 7);
	for (unsigned i = 0; i < table.n4; i++)
		table.r4[i].members &= ~(1ull << B);
	sends(SW_PORT, A);
}

static void errors_go_to_whom_they_are_about(void **state)
{
	uint8_t about[28];

	(void)state;
	tcp(mac_b, "10.0.0.9", 81, mac_out, "10.0.0.1", 5);
	memcpy(about, f + 14, sizeof(about));
	ip(mac_out, "10.0.0.1", mac_a, "10.0.0.9", IPPROTO_ICMP);
	put16(16, 20 + 8 + sizeof(about));
	f[34] = 3;
	memcpy(f + 42, about, sizeof(about));
	len = 14 + 20 + 8 + sizeof(about);
	sends(SW_PORT, B);
	/* One that is cut off is nobody's */
	put16(16, 20 + 8 + 22);
	len -= 6;
	sends(SW_PORT, A);
}

static void answers_to_echo_go_to_all(void **state)
{
	struct sw_verdict v;

	(void)state;
	ip(mac_out, "10.0.0.1", mac_a, "10.0.0.9", IPPROTO_ICMP);
	f[34] = 8;
	sends(SW_PORT, A);
	f[34] = 0;
	v = sw_decide(&s, SW_PORT, f, len);
	assert_int_equal(v.action, SW_FLOOD);
	assert_int_equal(v.only, 1 << A | 1 << B);
	assert_true(v.inside);
}

static void arp_is_dispatchs(void **state)
{
	struct sw_verdict v;

	(void)state;
	arp(1, mac_out, "10.0.0.1", mac_all, "10.0.0.9");
	assert_int_equal(sw_decide(&s, SW_PORT, f, len).action, SW_ANSWER);
	arp(1, mac_c, "10.0.0.4", mac_all, "10.0.0.9");
	assert_int_equal(sw_decide(&s, C, f, len).action, SW_ANSWER);
	arp(1, mac_out, "0.0.0.0", mac_all, "10.0.0.9");
	assert_int_equal(sw_decide(&s, SW_PORT, f, len).action, SW_ANSWER);
	/* What it asks for itself is asked as by the port */
	arp(1, mac_b, "10.0.0.9", mac_all, "10.0.0.1");
	v = sw_decide(&s, B, f, len);
	assert_int_equal(v.to, SW_PORT);
	assert_true(v.proxy);
	arp(2, mac_out, "10.0.0.1", mac_b, "10.0.0.9");
	v = sw_decide(&s, SW_PORT, f, len);
	assert_int_equal(v.action, SW_FLOOD);
	assert_int_equal(v.only, 1 << A | 1 << B);
	/* An announcement is no news for those that have the address */
	arp(1, mac_b, "10.0.0.9", mac_all, "10.0.0.9");
	v = sw_decide(&s, B, f, len);
	assert_int_equal(v.action, SW_FLOOD);
	assert_int_equal(v.only & (1 << A | 1 << B | 1 << C), 1 << C);
	assert_true(v.proxy && !v.inside);
	/* What is for everybody is */
	ip(mac_a, "10.0.0.9", mac_all, "255.255.255.255", 99);
	floods(A);
	/* Whoever is outside has it not */
	arp(1, mac_out, "10.0.0.9", mac_all, "10.0.0.9");
	drops(SW_PORT, SW_SPOOFED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(goes_by_port),
	    T(a_port_is_its_owners),
	    T(fragments_follow_the_first),
	    T(errors_go_to_whom_they_are_about),
	    T(answers_to_echo_go_to_all),
	    T(arp_is_dispatchs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

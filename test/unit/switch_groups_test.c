/* SPDX-License-Identifier: BSD-3-Clause
 *
 * switch_groups_test.c - Dispatch's decisions about multicast: who has joined what, by
 * IGMP and MLD
 */
#include <netinet/icmp6.h>
#include <stdlib.h>

#include "switch_expect.h"
#include "switch_frames.h"
#include "dispatch/frames.h"
#include "dispatch/groups.h"
#include "unit/eal.h"

#define A 0 /* 10.0.0.2, fd00::2 */
#define B 1 /* 10.0.0.3, fd00::3 */

#define GROUP "239.1.2.3"
#define GROUP6 "ff05::1234"
#define LOCAL_A "fe80::ff:fe00:a"

static const uint8_t mac_all[6] = {1, 0, 0x5e, 0, 0, 1};

static int setup(void **state)
{
	(void)state;
	memset(&table, 0, sizeof(table));
	owns(A, "10.0.0.2", 32);
	owns(B, "10.0.0.3", 32);
	owns(A, "fd00::2", 128);
	owns(B, "fd00::3", 128);
	sw_table_seal(&table);
	begin(1500);
	s.groups = groups_new(0);
	if (s.groups)
		groups_tick(s.groups, 1);
	return !s.groups;
}

static int teardown(void **state)
{
	(void)state;
	groups_free(s.groups);
	return 0;
}

static uint16_t folded(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)~sum;
}

static uint32_t sum(const uint8_t *b, unsigned n)
{
	uint32_t r = 0;

	for (unsigned i = 0; i < n; i++)
		r += (uint32_t)b[i] << (i % 2 ? 0 : 8);
	return r;
}

/* A message of IGMP, with its checksum */
static void igmp(const uint8_t *mac, const char *src, const char *dst, const uint8_t *m, unsigned n)
{
	ip(mac, src, mac_all, dst, IPPROTO_IGMP);
	put16(16, (uint16_t)(20 + n));
	f[22] = 1;
	memset(f + 34, 0, 40);
	memcpy(f + 34, m, n);
	put16(36, folded(sum(f + 34, n)));
	len = 34 + n;
}

static void igmp12(const uint8_t *mac, const char *src, uint8_t type, const char *group)
{
	uint32_t g = inet_addr(group);
	uint8_t m[8] = {type};

	memcpy(m + 4, &g, 4);
	igmp(mac, src, group, m, sizeof(m));
}

/* A record and @sources sources */
static void igmp3(const uint8_t *mac, const char *src, uint8_t kind, const char *group,
		  uint8_t sources)
{
	uint32_t g = inet_addr(group);
	uint8_t m[8 + 8 + 4 * 4] = {0x22, [7] = 1, [8] = kind, [11] = sources};

	memcpy(m + 12, &g, 4);
	igmp(mac, src, "224.0.0.22", m, 16 + 4u * sources);
}

/* A header; what follows is not there yet */
static void ip6(const uint8_t *mac, const char *src, const char *dst, uint8_t next)
{
	struct in6_addr from, to;

	inet_pton(AF_INET6, src, &from);
	inet_pton(AF_INET6, dst, &to);
	memset(f, 0, sizeof(f));
	f[0] = f[1] = 0x33;
	memcpy(f + 6, mac, 6);
	put16(12, 0x86dd);
	f[14] = 0x60;
	f[20] = next;
	f[21] = 1;
	memcpy(f + 22, &from, 16);
	memcpy(f + 38, &to, 16);
	len = 54;
}

static void mld(const uint8_t *mac, const char *src, const char *dst, const uint8_t *m, unsigned n)
{
	static const uint8_t alert[8] = {IPPROTO_ICMPV6, 0, 5, 2};

	ip6(mac, src, dst, IPPROTO_HOPOPTS);
	put16(18, (uint16_t)(8 + n));
	memcpy(f + 54, alert, 8);
	memcpy(f + 62, m, n);
	put16(64, folded(sum(f + 22, 32) + n + IPPROTO_ICMPV6 + sum(f + 62, n)));
	len = 62 + n;
}

static void mld1(const uint8_t *mac, const char *src, uint8_t type, const char *group)
{
	uint8_t m[24] = {type};

	inet_pton(AF_INET6, group, m + 8);
	mld(mac, src, group, m, sizeof(m));
}

static void mld2(const uint8_t *mac, const char *src, uint8_t kind, const char *group,
		 uint8_t sources)
{
	uint8_t m[8 + 20 + 2 * 16] = {143, [7] = 1, [8] = kind, [11] = sources};

	inet_pton(AF_INET6, group, m + 12);
	mld(mac, src, "ff02::16", m, 28 + 16u * sources);
}

/* The frame goes to these of the clients, and outside */
static void goes_to(unsigned from, uint64_t clients)
{
	struct sw_verdict v = sw_decide(&s, from, f, len);

	assert_int_equal(v.action, SW_FLOOD);
	assert_false(v.inside);
	assert_int_equal(v.only & table.clients & ~(from < SW_PORT ? 1ull << from : 0), clients);
}

static void data_goes_to(uint64_t clients)
{
	ip(mac_out, "10.0.0.1", mac_all, GROUP, 253);
	goes_to(SW_PORT, clients);
}

static void data6_goes_to(const char *group, uint64_t clients)
{
	ip6(mac_out, "fd00::99", group, 253);
	goes_to(SW_PORT, clients);
}

/* --- IGMP ----------------------------------------------------------------- */

static void a_group_is_heard_by_who_joined(void **state)
{
	(void)state;
	data_goes_to(0);
	igmp12(mac_a, "10.0.0.2", 0x16, GROUP);
	goes_to(A, 0); /* the report: outside */
	data_goes_to(1 << A);
	igmp12(mac_b, "10.0.0.3", 0x12, GROUP);
	goes_to(B, 0);
	data_goes_to(1 << A | 1 << B);
	ip(mac_a, "10.0.0.2", mac_all, GROUP, 253);
	goes_to(A, 1 << B);
	igmp12(mac_a, "10.0.0.2", 0x17, GROUP);
	goes_to(A, 0);
	data_goes_to(1 << B);
	/* What the network reports is not for clients, and joins none */
	igmp12(mac_out, "10.0.0.1", 0x16, "239.9.9.9");
	goes_to(SW_PORT, 0);
	sw_forget(&s, B);
	data_goes_to(0);
	/* Without an address yet */
	igmp12(mac_a, "0.0.0.0", 0x16, GROUP);
	goes_to(A, 0);
	data_goes_to(1 << A);
}

static void igmp3_reports_by_records(void **state)
{
	static const struct {
		uint8_t kind, sources;
		bool member;
	} cases[] = {{2, 0, true}, {3, 0, false}, {4, 0, true}, {1, 0, false}, {1, 1, true},
		     {6, 1, true}, {3, 0, false}, {5, 2, true}, {3, 1, true},  {3, 0, false}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		igmp3(mac_a, "10.0.0.2", cases[i].kind, GROUP, cases[i].sources);
		goes_to(A, 0);
		data_goes_to(cases[i].member ? 1 << A : 0);
	}
	/* A record that is longer than the message */
	igmp3(mac_a, "10.0.0.2", 4, GROUP, 2);
	put16(44, 3);
	put16(36, 0);
	put16(36, folded(sum(f + 34, len - 34)));
	drops(A, SW_MALFORMED);
}

static void control_groups_go_to_all(void **state)
{
	(void)state;
	ip(mac_out, "10.0.0.1", mac_all, "224.0.0.251", 253);
	goes_to(SW_PORT, 1 << A | 1 << B);
	data6_goes_to("ff02::1", 1 << A | 1 << B);
	/* and are nobody's to leave */
	igmp12(mac_a, "10.0.0.2", 0x17, "224.0.0.251");
	goes_to(A, 0);
	ip(mac_out, "10.0.0.1", mac_all, "224.0.0.251", 253);
	goes_to(SW_PORT, 1 << A | 1 << B);
}

static void queries_are_the_networks(void **state)
{
	(void)state;
	igmp12(mac_out, "10.0.0.1", 0x11, "224.0.0.1");
	goes_to(SW_PORT, 1 << A | 1 << B);
	igmp12(mac_a, "10.0.0.2", 0x11, "224.0.0.1");
	drops(A, SW_SPOOFED);
	mld1(mac_out, "fe80::ff:fe00:ee", MLD_LISTENER_QUERY, "ff02::1");
	goes_to(SW_PORT, 1 << A | 1 << B);
	mld1(mac_a, LOCAL_A, MLD_LISTENER_QUERY, "ff02::1");
	drops(A, SW_SPOOFED);
	/* Ours are well made */
	len = frame_igmp_query(f, (const struct rte_ether_addr *)mac_out);
	assert_int_equal(sum(f + 14, 24) % 0xffff, 0);
	goes_to(SW_PORT, 1 << A | 1 << B);
	len = frame_mld_query(f, (const struct rte_ether_addr *)mac_out);
	goes_to(SW_PORT, 1 << A | 1 << B);
}

static void a_foreign_report_is_refused(void **state)
{
	(void)state;
	igmp12(mac_a, "10.0.0.3", 0x16, GROUP);
	drops(A, SW_SPOOFED);
	igmp12(mac_a, "10.0.0.2", 0x16, GROUP);
	f[37] ^= 1;
	drops(A, SW_MALFORMED);
	igmp12(mac_a, "10.0.0.2", 0x16, GROUP);
	put16(16, 20 + 4);
	drops(A, SW_MALFORMED);
	igmp12(mac_a, "10.0.0.2", 0x16, GROUP);
	f[20] = 0x20; /* more fragments */
	drops(A, SW_MALFORMED);
	data_goes_to(0);
	mld1(mac_a, "fe80::1", MLD_LISTENER_REPORT, GROUP6);
	drops(A, SW_SPOOFED);
	mld1(mac_a, "fd00::2", MLD_LISTENER_REPORT, GROUP6);
	drops(A, SW_MALFORMED);
	mld1(mac_a, LOCAL_A, MLD_LISTENER_REPORT, GROUP6);
	f[21] = 255;
	drops(A, SW_MALFORMED);
	mld1(mac_a, LOCAL_A, MLD_LISTENER_REPORT, GROUP6);
	f[65] ^= 1;
	drops(A, SW_MALFORMED);
	data6_goes_to(GROUP6, 0);
}

/* Who has no address yet has a MAC address all the same, one */
static void a_report_without_an_address_is_of_ones_own_mac(void **state)
{
	(void)state;
	igmp12(mac_a, "10.0.0.2", 0x16, GROUP);
	goes_to(A, 0);
	igmp12(mac_a, "0.0.0.0", 0x16, GROUP);
	goes_to(A, 0);
	igmp12(mac_out, "0.0.0.0", 0x16, GROUP);
	drops(A, SW_SPOOFED);
	goes_to(SW_PORT, 0);
	igmp12(mac_a, "0.0.0.0", 0x16, GROUP);
	drops(B, SW_SPOOFED);
	mld2(mac_out, "::", 4, GROUP6, 0);
	drops(A, SW_SPOOFED);
	data6_goes_to(GROUP6, 0);
	mld2(mac_b, "::", 4, GROUP6, 0);
	goes_to(B, 0); /* its first frame */
	mld2(mac_b, "::", 4, GROUP6, 0);
	drops(A, SW_SPOOFED);
}

/* --- MLD ------------------------------------------------------------------ */

static void mld_joins_and_leaves(void **state)
{
	(void)state;
	data6_goes_to(GROUP6, 0);
	mld1(mac_a, LOCAL_A, MLD_LISTENER_REPORT, GROUP6);
	goes_to(A, 0);
	data6_goes_to(GROUP6, 1 << A);
	mld2(mac_b, "::", 4, GROUP6, 0);
	goes_to(B, 0);
	data6_goes_to(GROUP6, 1 << A | 1 << B);
	mld1(mac_a, LOCAL_A, MLD_LISTENER_REDUCTION, GROUP6);
	goes_to(A, 0);
	data6_goes_to(GROUP6, 1 << B);
	mld2(mac_b, "::", 3, GROUP6, 0);
	goes_to(B, 0);
	data6_goes_to(GROUP6, 0);
	mld2(mac_b, "::", 5, GROUP6, 2);
	goes_to(B, 0);
	data6_goes_to(GROUP6, 1 << B);
}

static void random_reports_are_read_within_bounds(void **state)
{
	unsigned joined = 0;
	uint64_t refused;

	(void)state;
	srand(5);
	for (int i = 0; i < 200000; i++) {
		uint8_t *frame;

		if (rand() % 2)
			igmp3(mac_a, "10.0.0.2", (uint8_t)(rand() % 8), "239.0.0.0",
			      (uint8_t)(rand() % 4));
		else
			mld2(mac_a, "::", (uint8_t)(rand() % 8), "ff05::", (uint8_t)(rand() % 3));
		for (int k = rand() % 4; k > 0; k--)
			f[14 + (unsigned)rand() % (len - 14)] = (uint8_t)rand();
		if (f[12] == 8) { /* so that more than the checksum is looked at */
			put16(36, 0);
			put16(36, folded(sum(f + 34, len - 34)));
		}
		frame = malloc(len);
		assert_non_null(frame);
		memcpy(frame, f, len);
		sw_decide(&s, A, frame, len);
		free(frame);
		joined += groups_of(s.groups, A, &refused) > 1;
		if (!(i % 50))
			groups_forget(s.groups, A);
	}
	assert_true(joined > 1000); /* else this tested nothing */
}

int main(void)
{
#define G(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    G(a_group_is_heard_by_who_joined),
	    G(igmp3_reports_by_records),
	    G(control_groups_go_to_all),
	    G(queries_are_the_networks),
	    G(a_report_without_an_address_is_of_ones_own_mac),
	    G(a_foreign_report_is_refused),
	    G(mld_joins_and_leaves),
	    G(random_reports_are_read_within_bounds),
	};

	return cmocka_run_group_tests_name("switch_groups", tests, start_eal, stop_eal);
}

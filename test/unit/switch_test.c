/* SPDX-License-Identifier: BSD-3-Clause
 *
 * switch_test.c - Dispatch's decisions: who gets a frame, what is refused
 *
 * Frames are built field by field in a buffer that ends where the frame ends, so
 * that reading past it is an error under SANITIZE=address (the fuzz tests give
 * each frame a malloc() of its own for that).
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "switch_expect.h"
#include "switch_frames.h"

#define A 0	 /* 10.0.0.2/32 */
#define B 1	 /* 10.0.0.3/32 */
#define WIDE 2	 /* 10.0.1.0/24 */
#define INSIDE 3 /* 10.0.1.7/32, out of WIDE's */

static const uint8_t mac_all[6] = {255, 255, 255, 255, 255, 255};

static uint32_t ip4(const char *text)
{
	return inet_addr(text);
}

/* A UDP packet of 8 bytes payload, without checksums: nobody here looks at them */
static void udp(const uint8_t *src_mac, const char *src, const uint8_t *dst_mac, const char *dst)
{
	ip(src_mac, src, dst_mac, dst, IPPROTO_UDP);
	put16(16, 20 + 8 + 8);
	put16(34, 1000);
	put16(36, 2000);
	put16(38, 8 + 8);
	f[46] = 0;
	len = 14 + 36;
}

static int setup(void **state)
{
	static const struct {
		const char *addr;
		uint8_t bits;
	} clients[] = {{"10.0.0.2", 32}, {"10.0.0.3", 32}, {"10.0.1.0", 24}, {"10.0.1.7", 32}};

	(void)state;
	memset(&table, 0, sizeof(table));
	for (unsigned i = 0; i < 4; i++)
		owns(i, clients[i].addr, clients[i].bits);
	sw_table_seal(&table);
	begin(1500);
	return 0;
}

/* --- where to ------------------------------------------------------------- */

static void longest_prefix_owns_an_address(void **state)
{
	(void)state;
	assert_int_equal(sw_lookup(&s, ip4("10.0.0.2")), A);
	assert_int_equal(sw_lookup(&s, ip4("10.0.1.6")), WIDE);
	assert_int_equal(sw_lookup(&s, ip4("10.0.1.7")), INSIDE);
	assert_int_equal(sw_lookup(&s, ip4("10.0.2.7")), SW_PORT);
}

static void ipv4_goes_by_destination(void **state)
{
	(void)state;
	udp(mac_out, "192.0.2.9", mac_a, "10.0.0.2");
	sends(SW_PORT, A);
	udp(mac_a, "10.0.0.2", mac_out, "192.0.2.9");
	sends(A, SW_PORT);
	udp(mac_a, "10.0.0.2", mac_b, "10.0.0.3");
	sends(A, B);
	tcp(mac_a, "10.0.0.2", 1000, mac_out, "10.0.1.99", 2000);
	sends(A, WIDE);
}

static void nobodys_ipv4_from_outside_is_unclaimed(void **state)
{
	(void)state;
	udp(mac_out, "192.0.2.9", mac_a, "192.0.2.10");
	drops(SW_PORT, SW_UNCLAIMED);
	/* to itself: an engine does that without us */
	udp(mac_a, "10.0.0.2", mac_a, "10.0.0.2");
	drops(A, SW_UNCLAIMED);
}

static void broadcast_and_multicast_are_flooded(void **state)
{
	static const uint8_t group[6] = {1, 0, 0x5e, 0, 0, 0xfb};

	(void)state;
	udp(mac_out, "192.0.2.9", mac_all, "255.255.255.255");
	floods(SW_PORT);
	udp(mac_a, "10.0.0.2", group, "224.0.0.251");
	floods(A);
	udp(mac_out, "192.0.2.9", mac_all, "192.0.2.255");
	floods(SW_PORT);
	/* a broadcast frame round a client's own packet is for that client */
	udp(mac_out, "192.0.2.9", mac_all, "10.0.0.2");
	sends(SW_PORT, A);
}

static void arp_goes_by_target(void **state)
{
	(void)state;
	arp(1, mac_out, "192.0.2.9", mac_all, "10.0.0.3");
	sends(SW_PORT, B);
	arp(2, mac_b, "10.0.0.3", mac_out, "192.0.2.9");
	sends(B, SW_PORT);
	arp(1, mac_a, "10.0.0.2", mac_all, "10.0.0.3");
	sends(A, B);
	arp(2, mac_b, "10.0.0.3", mac_a, "10.0.0.2");
	sends(B, A);
	arp(1, mac_out, "192.0.2.9", mac_all, "192.0.2.1");
	drops(SW_PORT, SW_UNCLAIMED);
}

static void arp_announcements_are_flooded(void **state)
{
	(void)state;
	arp(1, mac_a, "10.0.0.2", mac_all, "10.0.0.2");
	floods(A);
	arp(2, mac_out, "192.0.2.9", mac_all, "192.0.2.9");
	floods(SW_PORT);
}

static void arp_probe_for_ones_own_address_is_flooded(void **state)
{
	(void)state;
	arp(1, mac_a, "0.0.0.0", mac_all, "10.0.0.2");
	floods(A);
	arp(1, mac_a, "0.0.0.0", mac_all, "10.0.0.3");
	drops(A, SW_SPOOFED);
	arp(1, mac_out, "0.0.0.0", mac_all, "10.0.0.3");
	sends(SW_PORT, B);
	arp(1, mac_out, "0.0.0.0", mac_all, "192.0.2.1");
	drops(SW_PORT, SW_UNCLAIMED);
}

static void other_protocols_are_unclaimed(void **state)
{
	(void)state;
	udp(mac_a, "10.0.0.2", mac_out, "192.0.2.9");
	put16(12, 0x88cc);
	drops(A, SW_UNCLAIMED);
	put16(12, 0x8100);
	drops(SW_PORT, SW_UNCLAIMED);
}

/* --- who may send what ---------------------------------------------------- */

static void a_foreign_source_is_spoofed(void **state)
{
	(void)state;
	udp(mac_a, "10.0.0.3", mac_out, "192.0.2.9"); /* a neighbour's */
	drops(A, SW_SPOOFED);
	udp(mac_a, "192.0.2.8", mac_out, "192.0.2.9"); /* nobody's */
	drops(A, SW_SPOOFED);
	udp(mac_a, "10.0.1.7", mac_out, "192.0.2.9"); /* inside, but INSIDE's */
	drops(WIDE, SW_SPOOFED);
	udp(mac_out, "10.0.0.2", mac_b, "10.0.0.3"); /* a client's, from outside */
	drops(SW_PORT, SW_SPOOFED);
}

static void a_foreign_arp_sender_is_spoofed(void **state)
{
	(void)state;
	arp(2, mac_a, "10.0.0.3", mac_out, "192.0.2.9");
	drops(A, SW_SPOOFED);
	arp(2, mac_out, "10.0.0.3", mac_a, "10.0.0.2");
	drops(SW_PORT, SW_SPOOFED);
	/* its own address, at somebody else's MAC */
	arp(2, mac_a, "10.0.0.2", mac_out, "192.0.2.9");
	memcpy(f + 22, mac_b, 6);
	drops(A, SW_SPOOFED);
}

static void a_client_keeps_its_mac(void **state)
{
	(void)state;
	udp(mac_a, "10.0.0.2", mac_out, "192.0.2.9");
	sends(A, SW_PORT);
	udp(mac_b, "10.0.0.2", mac_out, "192.0.2.9");
	drops(A, SW_SPOOFED);
	/* and nobody may take it */
	udp(mac_a, "10.0.0.3", mac_out, "192.0.2.9");
	drops(B, SW_SPOOFED);
	sw_forget(&s, A);
	sends(B, SW_PORT);
	udp(mac_b, "10.0.0.2", mac_out, "192.0.2.9");
	sends(A, SW_PORT);
}

static void a_client_may_have_to_have_a_mac(void **state)
{
	(void)state;
	sw_table_mac(&table, A, mac_a);
	udp(mac_b, "10.0.0.2", mac_out, "192.0.2.9");
	drops(A, SW_SPOOFED);
	arp(1, mac_b, "10.0.0.2", mac_all, "192.0.2.9");
	drops(A, SW_SPOOFED);
	/* nobody may take it, before it was seen either */
	udp(mac_a, "10.0.0.3", mac_out, "192.0.2.9");
	drops(B, SW_SPOOFED);
	udp(mac_b, "10.0.0.3", mac_out, "192.0.2.9");
	sends(B, SW_PORT);
	udp(mac_a, "10.0.0.2", mac_out, "192.0.2.9");
	sends(A, SW_PORT);
}

static void a_refused_frame_teaches_no_mac(void **state)
{
	(void)state;
	udp(mac_b, "10.0.0.9", mac_out, "192.0.2.9");
	drops(A, SW_SPOOFED);
	udp(mac_a, "10.0.0.2", mac_out, "192.0.2.9");
	sends(A, SW_PORT);
}

/* --- malformed ------------------------------------------------------------ */

static void short_and_long_frames_are_malformed(void **state)
{
	(void)state;
	udp(mac_a, "10.0.0.2", mac_out, "192.0.2.9");
	for (len = 0; len < 14 + 36; len++)
		drops(A, SW_MALFORMED);
	sends(A, SW_PORT);
	len = 60; /* padded to Ethernet's minimum */
	sends(A, SW_PORT);
	len = 14 + 4 + 1500;
	sends(A, SW_PORT);
	len++;
	drops(A, SW_MALFORMED);

	arp(1, mac_a, "10.0.0.2", mac_all, "10.0.0.3");
	for (len = 0; len < 42; len++)
		drops(A, SW_MALFORMED);
}

static void impossible_source_macs_are_malformed(void **state)
{
	static const uint8_t zero[6];

	(void)state;
	udp(mac_all, "10.0.0.2", mac_out, "192.0.2.9");
	drops(A, SW_MALFORMED);
	udp(zero, "10.0.0.2", mac_out, "192.0.2.9");
	drops(A, SW_MALFORMED);
}

static void impossible_ipv4_headers_are_malformed(void **state)
{
	static const char *const never[] = {"0.0.0.0", "0.1.2.3", "127.0.0.1"};

	(void)state;
	for (unsigned first = 0; first < 256; first++) {
		udp(mac_a, "10.0.0.2", mac_out, "192.0.2.9");
		f[14] = (uint8_t)first;
		if (first == 0x45)
			sends(A, SW_PORT);
		else if (first >> 4 != 4 || (first & 15) < 5 || (first & 15) * 4 > 36)
			drops(A, SW_MALFORMED);
	}
	udp(mac_a, "10.0.0.2", mac_out, "192.0.2.9");
	put16(16, 19); /* shorter than its header */
	drops(A, SW_MALFORMED);
	put16(16, 37); /* longer than the frame */
	drops(A, SW_MALFORMED);
	for (unsigned i = 0; i < 3; i++) {
		udp(mac_a, never[i], mac_out, "192.0.2.9");
		drops(SW_PORT, SW_MALFORMED);
		udp(mac_a, "10.0.0.2", mac_out, never[i]);
		drops(A, SW_MALFORMED);
	}
	udp(mac_out, "224.0.0.1", mac_a, "10.0.0.2");
	drops(SW_PORT, SW_MALFORMED);
	udp(mac_out, "255.255.255.255", mac_a, "10.0.0.2");
	drops(SW_PORT, SW_MALFORMED);
}

static void impossible_transport_headers_are_malformed(void **state)
{
	(void)state;
	udp(mac_a, "10.0.0.2", mac_out, "192.0.2.9");
	put16(38, 7);
	drops(A, SW_MALFORMED);
	put16(38, 17);
	drops(A, SW_MALFORMED);
	put16(16, 20 + 7); /* the packet ends inside the header */
	drops(A, SW_MALFORMED);

	for (unsigned words = 0; words < 16; words++) {
		tcp(mac_a, "10.0.0.2", 1000, mac_out, "192.0.2.9", 2000);
		f[34 + 12] = (uint8_t)(words << 4);
		if (words == 5)
			sends(A, SW_PORT);
		else
			drops(A, SW_MALFORMED);
	}
	tcp(mac_a, "10.0.0.2", 1000, mac_out, "192.0.2.9", 2000);
	put16(16, 20 + 19);
	drops(A, SW_MALFORMED);

	udp(mac_a, "10.0.0.2", mac_out, "192.0.2.9");
	f[23] = 1; /* ICMP */
	put16(16, 20 + 7);
	drops(A, SW_MALFORMED);
}

static void fragments_must_fit(void **state)
{
	(void)state;
	udp(mac_a, "10.0.0.2", mac_out, "192.0.2.9");
	put16(38, 3000); /* of the whole datagram */
	put16(20, 0x2000);
	sends(A, SW_PORT); /* first */
	put16(20, 0x2000 | 100);
	memset(f + 34, 0xff, 16);
	sends(A, SW_PORT); /* middle: holds no header */
	put16(20, 8191);
	drops(A, SW_MALFORMED); /* ends behind 65535 */

	tcp(mac_a, "10.0.0.2", 1000, mac_out, "192.0.2.9", 2000);
	put16(20, 0x2000);
	put16(16, 20 + 16);
	drops(A, SW_MALFORMED); /* TCP header cut in two (RFC 1858) */
	put16(20, 1);
	drops(A, SW_MALFORMED); /* its other half */
	put16(20, 2);
	sends(A, SW_PORT);
}

static void impossible_arp_is_malformed(void **state)
{
	static const struct {
		unsigned at;
		uint8_t value;
	} wrong[] = {{15, 6}, {16, 0x86}, {18, 8}, {19, 16}, {21, 0}, {21, 3}, {20, 1}};

	(void)state;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		arp(1, mac_a, "10.0.0.2", mac_all, "10.0.0.3");
		f[wrong[i].at] = wrong[i].value;
		drops(A, SW_MALFORMED);
	}
}

/* Random frames, each in memory of its own size: for the address sanitizer */
static void random_frames_are_read_within_bounds(void **state)
{
	unsigned sent = 0;

	(void)state;
	srand(1);
	for (unsigned round = 0; round < 200000; round++) {
		unsigned n = (unsigned)rand() % 80, from = (unsigned)rand() % 5;
		struct sw_verdict v;
		uint8_t *frame;

		switch (rand() % 3) {
		case 0:
			udp(mac_a, "10.0.0.2", mac_out, "10.0.0.3");
			break;
		case 1:
			tcp(mac_b, "10.0.0.3", 1000, mac_out, "10.0.1.3", 2000);
			break;
		default:
			arp(1, mac_a, "10.0.0.2", mac_all, "10.0.0.3");
		}
		for (int i = rand() % 4; i > 0; i--)
			f[rand() % 60] = (uint8_t)rand();
		frame = malloc(n ? n : 1);
		assert_non_null(frame);
		memcpy(frame, f, n);
		v = sw_decide(&s, from == 4 ? SW_PORT : from, frame, n);
		assert_true(v.action != SW_SEND || v.to < 4 || v.to == SW_PORT);
		sent += v.action != SW_DROP;
		free(frame);
	}
	assert_true(sent > 1000); /* else this tested nothing */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(longest_prefix_owns_an_address),
	    T(ipv4_goes_by_destination),
	    T(nobodys_ipv4_from_outside_is_unclaimed),
	    T(broadcast_and_multicast_are_flooded),
	    T(arp_goes_by_target),
	    T(arp_announcements_are_flooded),
	    T(arp_probe_for_ones_own_address_is_flooded),
	    T(other_protocols_are_unclaimed),
	    T(a_foreign_source_is_spoofed),
	    T(a_foreign_arp_sender_is_spoofed),
	    T(a_client_keeps_its_mac),
	    T(a_client_may_have_to_have_a_mac),
	    T(a_refused_frame_teaches_no_mac),
	    T(short_and_long_frames_are_malformed),
	    T(impossible_source_macs_are_malformed),
	    T(impossible_ipv4_headers_are_malformed),
	    T(impossible_transport_headers_are_malformed),
	    T(fragments_must_fit),
	    T(impossible_arp_is_malformed),
	    T(random_frames_are_read_within_bounds),
	};

	return cmocka_run_group_tests_name("switch", tests, NULL, NULL);
}

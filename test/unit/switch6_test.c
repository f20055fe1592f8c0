/* SPDX-License-Identifier: BSD-3-Clause
 *
 * switch6_test.c - Dispatch's decisions about IPv6: who gets a frame, what is refused
 */
#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <stdlib.h>
#include <string.h>

#include "switch_expect.h"
#include "dispatch/frames.h"

#define A 0    /* fd00::2 */
#define B 1    /* fd00::3 */
#define WIDE 2 /* fd00:0:0:1::/62 */

#define LOCAL_A "fe80::ff:fe00:a"
#define LOCAL_B "fe80::ff:fe00:b"
#define LOCAL_OUT "fe80::ff:fe00:ee"
#define OUT "fd00::99"

static struct in6_addr ip6(const char *text)
{
	struct in6_addr a;

	assert_int_equal(inet_pton(AF_INET6, text, &a), 1);
	return a;
}

static void put(const void *b, unsigned n)
{
	memcpy(f + len, b, n);
	len += n;
}

static void lengths(void)
{
	f[18] = (uint8_t)((len - 54) >> 8);
	f[19] = (uint8_t)(len - 54);
}

/* The headers; what put() adds then is the payload, until lengths(). */
static void packet(const uint8_t *mac, const char *src, const char *dst, uint8_t next, uint8_t hops)
{
	struct in6_addr from = ip6(src), to = ip6(dst);

	memset(f, 0, sizeof(f));
	memcpy(f + 6, mac, 6);
	f[0] = 2;
	f[12] = 0x86;
	f[13] = 0xdd;
	f[14] = 0x60;
	f[20] = next;
	f[21] = hops;
	len = 22;
	put(&from, 16);
	put(&to, 16);
}

static void udp(const uint8_t *mac, const char *src, const char *dst)
{
	static const uint8_t data[16] = {3, 232, 7, 208, 0, 16};

	packet(mac, src, dst, IPPROTO_UDP, 64);
	put(data, sizeof(data));
	lengths();
}

/* Neighbour discovery; @option: of @option_mac, 0: none */
static void discovery(const uint8_t *mac, const char *src, const char *dst, uint8_t type,
		      const char *target, uint8_t option, const uint8_t *option_mac)
{
	struct in6_addr t = ip6(target);
	uint8_t head[16] = {type}, o[8] = {option, 1};

	packet(mac, src, dst, IPPROTO_ICMPV6, 255);
	put(head, type == ND_ROUTER_ADVERT ? 16 : 8);
	if (type != ND_ROUTER_ADVERT && type != ND_ROUTER_SOLICIT)
		put(&t, 16);
	if (type == ND_REDIRECT)
		put(&t, 16);
	if (option) {
		memcpy(o + 2, option_mac, 6);
		put(o, 8);
	}
	lengths();
}

static int setup(void **state)
{
	static const struct {
		const char *addr;
		uint8_t bits;
	} clients[] = {{"fd00::2", 128}, {"fd00::3", 128}, {"fd00:0:0:4::", 62}};

	(void)state;
	memset(&table, 0, sizeof(table));
	for (unsigned i = 0; i < 3; i++)
		owns(i, clients[i].addr, clients[i].bits);
	sw_table_seal(&table);
	begin(1500);
	return 0;
}

/* --- where to ------------------------------------------------------------- */

static void packets_go_by_destination(void **state)
{
	(void)state;
	udp(mac_out, OUT, "fd00::2");
	sends(SW_PORT, A);
	udp(mac_out, OUT, "fd00:0:0:7:1::9");
	sends(SW_PORT, WIDE);
	udp(mac_a, "fd00::2", OUT);
	sends(A, SW_PORT);
	udp(mac_a, "fd00::2", "fd00::3");
	sends(A, B);
	udp(mac_a, "fd00::2", "ff02::1");
	floods(A);
	udp(mac_out, OUT, "fd00:0:0:8::9");
	drops(SW_PORT, SW_UNCLAIMED);
}

static void a_link_local_address_follows_from_the_mac(void **state)
{
	(void)state;
	udp(mac_out, LOCAL_OUT, LOCAL_A);
	drops(SW_PORT, SW_UNCLAIMED); /* nobody has it yet */
	udp(mac_a, LOCAL_A, LOCAL_OUT);
	sends(A, SW_PORT);
	udp(mac_out, LOCAL_OUT, LOCAL_A);
	sends(SW_PORT, A);
	udp(mac_out, LOCAL_A, "fd00::3");
	drops(SW_PORT, SW_SPOOFED);
	udp(mac_b, LOCAL_A, "fd00::2");
	drops(B, SW_SPOOFED);
}

static void solicitations_go_to_whom_they_ask_for(void **state)
{
	(void)state;
	discovery(mac_out, OUT, "ff02::1:ff00:2", ND_NEIGHBOR_SOLICIT, "fd00::2", 1, mac_out);
	sends(SW_PORT, A);
	discovery(mac_a, LOCAL_A, "ff02::1:ff00:3", ND_NEIGHBOR_SOLICIT, "fd00::3", 1, mac_a);
	sends(A, B);
	discovery(mac_a, "fd00::2", "ff02::1:ff00:99", ND_NEIGHBOR_SOLICIT, OUT, 1, mac_a);
	sends(A, SW_PORT);
	discovery(mac_out, OUT, "ff02::1:ff00:98", ND_NEIGHBOR_SOLICIT, "fd00::98", 1, mac_out);
	drops(SW_PORT, SW_UNCLAIMED);
	/* Duplicate address detection, own and others' */
	discovery(mac_a, "::", "ff02::1:ff00:2", ND_NEIGHBOR_SOLICIT, "fd00::2", 0, NULL);
	floods(A);
	discovery(mac_out, "::", "ff02::1:ff00:2", ND_NEIGHBOR_SOLICIT, "fd00::2", 0, NULL);
	sends(SW_PORT, A);
	discovery(mac_a, "::", "ff02::1:ff00:3", ND_NEIGHBOR_SOLICIT, "fd00::3", 0, NULL);
	drops(A, SW_SPOOFED);
}

static void routers_are_outside(void **state)
{
	(void)state;
	discovery(mac_a, LOCAL_A, "ff02::2", ND_ROUTER_SOLICIT, "::", 1, mac_a);
	sends(A, SW_PORT);
	discovery(mac_a, "::", "ff02::2", ND_ROUTER_SOLICIT, "::", 0, NULL);
	sends(A, SW_PORT);
	discovery(mac_out, "::", "ff02::2", ND_ROUTER_SOLICIT, "::", 0, NULL);
	drops(A, SW_SPOOFED); /* it has another MAC address */
	discovery(mac_out, LOCAL_OUT, "ff02::1", ND_ROUTER_ADVERT, "::", 1, mac_out);
	floods(SW_PORT);
	discovery(mac_a, LOCAL_A, "ff02::1", ND_ROUTER_ADVERT, "::", 1, mac_a);
	drops(A, SW_SPOOFED);
	discovery(mac_out, LOCAL_OUT, "fd00::2", ND_REDIRECT, OUT, 0, NULL);
	sends(SW_PORT, A);
	discovery(mac_a, LOCAL_A, "fd00::3", ND_REDIRECT, OUT, 0, NULL);
	drops(A, SW_SPOOFED);
}

/* --- who may -------------------------------------------------------------- */

static void a_foreign_source_is_spoofed(void **state)
{
	(void)state;
	udp(mac_a, "fd00::3", OUT);
	drops(A, SW_SPOOFED);
	udp(mac_a, OUT, "fd00::3");
	drops(A, SW_SPOOFED);
	udp(mac_a, "::", OUT);
	drops(A, SW_SPOOFED);
	udp(mac_out, "fd00::2", "fd00::3");
	drops(SW_PORT, SW_SPOOFED);
	udp(mac_a, "fd00::2", OUT);
	sends(A, SW_PORT);
	udp(mac_b, "fd00::2", OUT); /* another MAC address than before */
	drops(A, SW_SPOOFED);
}

static void advertisements_are_the_owners(void **state)
{
	(void)state;
	discovery(mac_a, "fd00::2", OUT, ND_NEIGHBOR_ADVERT, "fd00::2", 2, mac_a);
	sends(A, SW_PORT);
	discovery(mac_a, "fd00::2", "ff02::1", ND_NEIGHBOR_ADVERT, "fd00::2", 2, mac_a);
	floods(A);
	discovery(mac_a, "fd00::2", OUT, ND_NEIGHBOR_ADVERT, "fd00::3", 2, mac_a);
	drops(A, SW_SPOOFED);
	discovery(mac_a, "fd00::2", OUT, ND_NEIGHBOR_ADVERT, "fd00::2", 2, mac_b);
	drops(A, SW_SPOOFED);
	discovery(mac_a, "fd00::2", "ff02::1:ff00:99", ND_NEIGHBOR_SOLICIT, OUT, 1, mac_b);
	drops(A, SW_SPOOFED);
	discovery(mac_out, OUT, "fd00::3", ND_NEIGHBOR_ADVERT, "fd00::2", 2, mac_out);
	drops(SW_PORT, SW_SPOOFED);
}

/* --- an address of several ------------------------------------------------ */

#define BOTH "fd00::9"

static struct sw_ports ports;

static int setup_shared(void **state)
{
	setup(state);
	ports.addr6 = ip6(BOTH);
	atomic_store(&ports.settled, true);
	atomic_store(&ports.owner[1][2000], A + 1);
	atomic_store(&ports.owner[1][2001], B + 1);
	sw_table_share6(&table, A, &ports);
	sw_table_share6(&table, B, &ports);
	return 0;
}

/* UDP between two ports */
static void udp_ports(const uint8_t *mac, const char *src, uint16_t sport, const char *dst,
		      uint16_t dport)
{
	udp(mac, src, dst);
	f[54] = (uint8_t)(sport >> 8);
	f[55] = (uint8_t)sport;
	f[56] = (uint8_t)(dport >> 8);
	f[57] = (uint8_t)dport;
}

static void a_shared_address_goes_by_port(void **state)
{
	(void)state;
	udp_ports(mac_out, OUT, 5, BOTH, 2000);
	sends(SW_PORT, A);
	udp_ports(mac_out, OUT, 5, BOTH, 2001);
	sends(SW_PORT, B);
	udp_ports(mac_out, OUT, 5, BOTH, 2002); /* nobody's: the first refuses it */
	sends(SW_PORT, A);
	udp_ports(mac_a, BOTH, 2000, BOTH, 2001);
	sends(A, B);
	/* each with its own ports only, and nobody else with any */
	udp_ports(mac_b, BOTH, 2000, OUT, 5);
	drops(B, SW_SPOOFED);
	udp_ports(mac_out, BOTH, 5, "fd00:0:0:7::9", 2000);
	drops(WIDE, SW_SPOOFED);
	drops(SW_PORT, SW_SPOOFED);
	atomic_store(&ports.settled, false);
	udp_ports(mac_out, OUT, 5, BOTH, 2002); /* an owner may be still to come */
	drops(SW_PORT, SW_UNCLAIMED);
}

static void fragments_follow_the_first(void **state)
{
	static const uint8_t first[8] = {IPPROTO_UDP, 0, 0, 1, 0, 0, 0, 7},
			     later[8] = {IPPROTO_UDP, 0, 1, 0, 0, 0, 0, 7};
	static const uint8_t data[16] = {0, 5, 2001 >> 8, 2001 & 255, 0, 16};

	(void)state;
	packet(mac_out, OUT, BOTH, IPPROTO_FRAGMENT, 64);
	put(first, 8);
	put(data, 16);
	lengths();
	sends(SW_PORT, B);
	packet(mac_out, OUT, BOTH, IPPROTO_FRAGMENT, 64);
	put(later, 8);
	put(data, 16);
	lengths();
	sends(SW_PORT, B);
	f[61] = 8; /* of another packet */
	sends(SW_PORT, A);
	f[61] = 7;
	for (unsigned i = 0; i < table.n6; i++)
		table.r6[i].members &= ~(1ull << B); /* it is no client any more */
	sends(SW_PORT, A);
}

static void icmp(const char *src, uint8_t type, const void *about, unsigned n)
{
	uint8_t head[8] = {type};

	packet(mac_out, src, BOTH, IPPROTO_ICMPV6, 64);
	put(head, sizeof(head));
	put(about, n);
	lengths();
}

static void icmp_goes_to_whom_it_is_about(void **state)
{
	struct sw_verdict v;
	uint8_t about[48];

	(void)state;
	udp_ports(mac_b, BOTH, 2001, OUT, 5);
	memcpy(about, f + 14, sizeof(about));
	icmp(OUT, ICMP6_DST_UNREACH, about, sizeof(about));
	sends(SW_PORT, B);
	icmp(OUT, ICMP6_DST_UNREACH, about, 42); /* cut off */
	sends(SW_PORT, A);
	icmp(OUT, ICMP6_ECHO_REQUEST, about, 8);
	sends(SW_PORT, A);
	icmp(OUT, ICMP6_ECHO_REPLY, about, 8);
	v = sw_decide(&s, SW_PORT, f, len);
	assert_int_equal(v.action, SW_FLOOD);
	assert_true(v.inside && v.only == (1 << A | 1 << B));
}

static void answers(unsigned from)
{
	assert_int_equal(sw_decide(&s, from, f, len).action, SW_ANSWER);
}

/* Of the message, with its checksum: that it is valid stays */
static unsigned sum6(void)
{
	unsigned n = 0;

	for (unsigned i = 54; i < len; i += 2)
		n += (unsigned)f[i] << 8 | f[i + 1];
	return n % 0xffff;
}

static void a_shared_address_is_advertised_by_us(void **state)
{
	uint8_t answer[FRAME_ROOM];
	struct sw_verdict v;
	struct in6_addr a;
	unsigned before;

	(void)state;
	discovery(mac_out, OUT, "ff02::1:ff00:9", ND_NEIGHBOR_SOLICIT, BOTH, 1, mac_out);
	answers(SW_PORT);
	/* It is what a host takes for an answer */
	assert_int_equal(frame_answer(answer, (const struct rte_ether_addr *)mac_b, f), 86);
	assert_memory_equal(answer, mac_out, 6);
	assert_memory_equal(answer + 6, mac_b, 6);
	a = ip6(OUT);
	assert_memory_equal(answer + 38, &a, 16);
	assert_int_equal(answer[54], ND_NEIGHBOR_ADVERT);
	assert_int_equal(answer[58], 0x60); /* solicited, override */
	a = ip6(BOTH);
	assert_memory_equal(answer + 62, &a, 16);
	discovery(mac_out, "::", "ff02::1:ff00:9", ND_NEIGHBOR_SOLICIT, BOTH, 0, NULL);
	answers(SW_PORT);
	/* Those that have it look whether somebody outside has, and do not meet each other */
	discovery(mac_a, "::", "ff02::1:ff00:9", ND_NEIGHBOR_SOLICIT, BOTH, 0, NULL);
	sends(A, SW_PORT);
	discovery(mac_a, LOCAL_A, "ff02::1:ff00:9", ND_NEIGHBOR_SOLICIT, BOTH, 1, mac_a);
	drops(A, SW_UNCLAIMED);
	discovery(mac_a, BOTH, "ff02::1", ND_NEIGHBOR_ADVERT, BOTH, 2, mac_a);
	drops(A, SW_UNCLAIMED);
	/* What they ask for is asked as by the port; the answer is for whoever asked */
	discovery(mac_b, BOTH, "ff02::1:ff00:99", ND_NEIGHBOR_SOLICIT, OUT, 1, mac_b);
	v = sw_decide(&s, B, f, len);
	assert_true(v.action == SW_SEND && v.to == SW_PORT && v.proxy);
	before = sum6();
	frame_solicit_for(f, s.discovery, (const struct rte_ether_addr *)mac_out);
	assert_memory_equal(f + 6, mac_out, 6);
	assert_memory_equal(f + 80, mac_out, 6);
	assert_int_equal(sum6(), before);
	discovery(mac_out, OUT, BOTH, ND_NEIGHBOR_ADVERT, OUT, 2, mac_out);
	v = sw_decide(&s, SW_PORT, f, len);
	assert_true(v.action == SW_FLOOD && v.inside && v.only == (1 << A | 1 << B));
	discovery(mac_out, OUT, "ff02::1", ND_NEIGHBOR_ADVERT, BOTH, 2, mac_out);
	drops(SW_PORT, SW_SPOOFED);
}

/* --- lengths -------------------------------------------------------------- */

static void impossible_headers_are_malformed(void **state)
{
	(void)state;
	udp(mac_a, "fd00::2", OUT);
	f[14] = 0x40;
	drops(A, SW_MALFORMED);
	udp(mac_a, "fd00::2", OUT);
	f[19]++; /* longer than the frame */
	drops(A, SW_MALFORMED);
	udp(mac_a, "fd00::2", OUT);
	f[59] = 17; /* UDP's length */
	drops(A, SW_MALFORMED);
	udp(mac_a, "::1", OUT);
	drops(A, SW_MALFORMED);
	udp(mac_a, "ff02::1", OUT);
	drops(A, SW_MALFORMED);
	udp(mac_a, "fd00::2", "::");
	drops(A, SW_MALFORMED);
	for (len = 14; len < 54; len++)
		drops(A, SW_MALFORMED);
}

static void extension_headers_are_walked(void **state)
{
	static const uint8_t options[8] = {IPPROTO_UDP, 0, 1, 4};
	static const uint8_t first[8] = {IPPROTO_UDP, 0, 0, 1}, later[8] = {IPPROTO_UDP, 0, 1, 0};
	static const uint8_t data[16] = {3, 232, 7, 208, 0, 16};
	uint8_t chain[8] = {IPPROTO_DSTOPTS, 0, 1, 4};

	(void)state;
	packet(mac_a, "fd00::2", OUT, IPPROTO_DSTOPTS, 64);
	put(options, 8);
	put(data, 16);
	lengths();
	sends(A, SW_PORT);
	f[55] = 9; /* its length */
	drops(A, SW_MALFORMED);
	packet(mac_a, "fd00::2", OUT, IPPROTO_DSTOPTS, 64);
	for (int i = 0; i < 20; i++)
		put(chain, 8);
	lengths();
	drops(A, SW_MALFORMED);
	packet(mac_a, "fd00::2", OUT, IPPROTO_FRAGMENT, 64);
	put(later, 8);
	put(data, 16);
	lengths();
	sends(A, SW_PORT);
	/* A first fragment has the whole header. */
	packet(mac_a, "fd00::2", OUT, IPPROTO_FRAGMENT, 64);
	put(first, 8);
	put(data, 4);
	lengths();
	drops(A, SW_MALFORMED);
}

static void discovery_must_be_whole(void **state)
{
	(void)state;
	discovery(mac_a, "fd00::2", "ff02::1:ff00:99", ND_NEIGHBOR_SOLICIT, OUT, 1, mac_a);
	f[21] = 64;
	drops(A, SW_MALFORMED);
	discovery(mac_a, "fd00::2", "ff02::1:ff00:99", ND_NEIGHBOR_SOLICIT, OUT, 1, mac_a);
	f[79] = 0; /* the option's length */
	drops(A, SW_MALFORMED);
	f[79] = 2;
	drops(A, SW_MALFORMED);
	discovery(mac_a, "fd00::2", "ff02::1:ff00:99", ND_NEIGHBOR_SOLICIT, OUT, 1, mac_a);
	len -= 3;
	lengths();
	drops(A, SW_MALFORMED);
	discovery(mac_a, "fd00::2", "ff02::1:ff00:99", ND_NEIGHBOR_SOLICIT, "ff02::1", 1, mac_a);
	drops(A, SW_MALFORMED);
}

static void random_frames_are_read_within_bounds(void **state)
{
	unsigned passed = 0;

	(void)state;
	srand(7);
	for (int i = 0; i < 200000; i++) {
		unsigned n, from = (unsigned)rand() % 4;
		uint8_t *frame;

		if (rand() % 2)
			discovery(mac_a, rand() % 2 ? "fd00::2" : LOCAL_A, OUT,
				  (uint8_t)(133 + rand() % 5), rand() % 2 ? OUT : "fd00::2", 1,
				  mac_a);
		else
			udp(mac_a, "fd00::2", "fd00::3");
		for (int k = rand() % 4; k > 0; k--)
			f[12 + rand() % 80] = (uint8_t)rand();
		n = rand() % 3 ? len : (unsigned)rand() % (len + 1);
		frame = malloc(n ? n : 1);
		assert_non_null(frame);
		memcpy(frame, f, n);
		passed += sw_decide(&s, from == 3 ? SW_PORT : from, frame, n).action != SW_DROP;
		free(frame);
	}
	assert_true(passed > 1000); /* else this tested nothing */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(packets_go_by_destination),
	    T(a_link_local_address_follows_from_the_mac),
	    T(solicitations_go_to_whom_they_ask_for),
	    T(routers_are_outside),
	    T(a_foreign_source_is_spoofed),
	    T(advertisements_are_the_owners),
	    cmocka_unit_test_setup(a_shared_address_goes_by_port, setup_shared),
	    cmocka_unit_test_setup(fragments_follow_the_first, setup_shared),
	    cmocka_unit_test_setup(icmp_goes_to_whom_it_is_about, setup_shared),
	    cmocka_unit_test_setup(a_shared_address_is_advertised_by_us, setup_shared),
	    T(impossible_headers_are_malformed),
	    T(extension_headers_are_walked),
	    T(discovery_must_be_whole),
	    T(random_frames_are_read_within_bounds),
	};

	return cmocka_run_group_tests_name("switch6", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * switch6_test.c - Dispatch's decisions about IPv6: who gets a frame, what is refused
 */
#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <stdlib.h>
#include <string.h>

#include "switch_expect.h"

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
	sw_init(&s, &table, 1500);
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
#define T(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
	    T(packets_go_by_destination),
	    T(a_link_local_address_follows_from_the_mac),
	    T(solicitations_go_to_whom_they_ask_for),
	    T(routers_are_outside),
	    T(a_foreign_source_is_spoofed),
	    T(advertisements_are_the_owners),
	    T(impossible_headers_are_malformed),
	    T(extension_headers_are_walked),
	    T(discovery_must_be_whole),
	    T(random_frames_are_read_within_bounds),
	};

	return cmocka_run_group_tests_name("switch6", tests, NULL, NULL);
}

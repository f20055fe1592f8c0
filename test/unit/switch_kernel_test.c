/* SPDX-License-Identifier: BSD-3-Clause
 *
 * switch_kernel_test.c - Dispatch's decisions where there is a way to the host's kernel
 */
#include <string.h>

#include "switch_expect.h"
#include "switch_frames.h"

#define A 0 /* 10.0.0.2/32, its own */
#define B 1 /* 10.0.0.3/32, and the kernel's */

static const uint8_t mac_port[6] = {2, 0, 0, 0, 0, 0x99},
		     mac_all[6] = {255, 255, 255, 255, 255, 255};
static struct sw_kernel kernel;

static struct sw_verdict verdict(unsigned from)
{
	return sw_decide(&s, from, f, len);
}

static int setup(void **state)
{
	(void)state;
	memset(&table, 0, sizeof(table));
	owns(A, "10.0.0.2", 32);
	owns(B, "10.0.0.3", 32);
	sw_table_seal(&table);
	table.nrules = 1;
	table.rules[0] =
	    (struct gz_kernel_rule){.protocol = GZ_PROTO_TCP, .port_lo = 22, .port_hi = 22};
	begin(0);
	kernel = (struct sw_kernel){.n4 = 2, .a4 = {inet_addr("10.0.0.9"), inet_addr("10.0.0.3")}};
	s.kernel = &kernel;
	memcpy(&s.mac, mac_port, 6);
	tcp(mac_b, "10.0.0.3", 7, mac_out, "10.0.0.1", 7); /* B is known by its first frame */
	sends(B, SW_PORT);
	return 0;
}

static void what_is_for_the_host_is_the_kernels(void **state)
{
	(void)state;
	tcp(mac_out, "10.0.0.1", 1000, mac_port, "10.0.0.9", 80);
	sends(SW_PORT, SW_KERNEL);
	tcp(mac_a, "10.0.0.2", 1000, mac_port, "10.0.0.9", 80);
	sends(A, SW_KERNEL);
	tcp(mac_port, "10.0.0.9", 80, mac_a, "10.0.0.2", 1000);
	sends(SW_KERNEL, A);
	tcp(mac_port, "10.0.0.9", 80, mac_out, "10.0.0.1", 1000);
	sends(SW_KERNEL, SW_PORT);
	/* the host may route: by the MAC address; others' frames are nobody's */
	tcp(mac_out, "10.0.0.1", 1000, mac_port, "192.0.2.1", 80);
	sends(SW_PORT, SW_KERNEL);
	tcp(mac_a, "10.0.0.2", 1000, mac_port, "192.0.2.1", 80);
	sends(A, SW_KERNEL);
	tcp(mac_out, "10.0.0.1", 1000, mac_a, "192.0.2.1", 80);
	drops(SW_PORT, SW_UNCLAIMED);
	/* what clients do not speak */
	memcpy(f, mac_port, 6);
	put16(12, 0x88cc);
	sends(SW_PORT, SW_KERNEL);
	drops(A, SW_UNCLAIMED);
	sends(SW_KERNEL, SW_PORT);
}

static void nobody_takes_the_hosts_addresses(void **state)
{
	(void)state;
	tcp(mac_out, "10.0.0.9", 1000, mac_a, "10.0.0.2", 80);
	drops(SW_PORT, SW_SPOOFED);
	tcp(mac_a, "10.0.0.9", 1000, mac_out, "10.0.0.1", 80);
	drops(A, SW_SPOOFED);
	arp(2, mac_a, "10.0.0.9", mac_out, "10.0.0.1");
	drops(A, SW_SPOOFED);
	/* nor its MAC address, nor the kernel a client's */
	tcp(mac_port, "10.0.0.2", 1000, mac_out, "10.0.0.1", 80);
	drops(A, SW_SPOOFED);
	drops(SW_KERNEL, SW_SPOOFED);
}

static void an_address_is_shared_by_rules(void **state)
{
	struct sw_verdict v;

	(void)state;
	tcp(mac_out, "10.0.0.1", 1000, mac_port, "10.0.0.3", 22);
	sends(SW_PORT, SW_KERNEL);
	tcp(mac_out, "10.0.0.1", 1000, mac_port, "10.0.0.3", 80);
	v = verdict(SW_PORT);
	assert_int_equal(v.to, B);
	assert_true(v.readdress);
	has_mac(v.to, mac_b); /* it came for the port's */
	tcp(mac_port, "10.0.0.3", 22, mac_out, "10.0.0.1", 1000);
	sends(SW_KERNEL, SW_PORT);
	tcp(mac_port, "10.0.0.3", 80, mac_out, "10.0.0.1", 1000);
	drops(SW_KERNEL, SW_SPOOFED);
	/* a rule is for all addresses that it does not exclude */
	tcp(mac_out, "10.0.0.1", 1000, mac_a, "10.0.0.2", 22);
	v = verdict(SW_PORT);
	assert_int_equal(v.to, SW_KERNEL);
	assert_true(v.readdress);
	has_mac(v.to, mac_port);
	table.rules[0].net = (struct gz_prefix){
	    .set = true, .len = 128, .addr.s6_addr = {[10] = 255, 255, 10, 0, 0, 3}};
	sends(SW_PORT, A);
	/* questions of ping are the client's, answers and errors both's */
	ip(mac_out, "10.0.0.1", mac_port, "10.0.0.3", IPPROTO_ICMP);
	f[34] = 8;
	v = verdict(SW_PORT);
	assert_true(v.to == B && !v.both);
	f[34] = 0;
	v = verdict(SW_PORT);
	assert_true(v.to == B && v.both);
}

static void a_shared_address_has_the_ports_mac(void **state)
{
	struct sw_verdict v;

	(void)state;
	arp(1, mac_out, "10.0.0.1", mac_all, "10.0.0.3");
	sends(SW_PORT, SW_KERNEL);
	arp(1, mac_out, "10.0.0.1", mac_all, "10.0.0.9");
	sends(SW_PORT, SW_KERNEL);
	arp(1, mac_b, "10.0.0.3", mac_all, "10.0.0.1");
	v = verdict(B);
	assert_true(v.action == SW_SEND && v.to == SW_PORT && v.proxy);
	arp(1, mac_b, "10.0.0.3", mac_all, "10.0.0.3");
	floods(B);
	assert_true(verdict(B).proxy);
	arp(2, mac_out, "10.0.0.1", mac_port, "10.0.0.3");
	v = verdict(SW_PORT);
	assert_true(v.to == B && v.both);
	arp(1, mac_a, "10.0.0.2", mac_all, "10.0.0.1");
	assert_false(verdict(A).proxy);
	arp(1, mac_port, "10.0.0.3", mac_all, "10.0.0.1");
	sends(SW_KERNEL, SW_PORT);
}

static void dhcp_is_the_kernels(void **state)
{
	(void)state;
	ip(mac_port, "0.0.0.0", mac_all, "255.255.255.255", IPPROTO_UDP);
	put16(38, 20);
	sends(SW_KERNEL, SW_PORT);
	sends(SW_PORT, SW_KERNEL);
	drops(A, SW_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(what_is_for_the_host_is_the_kernels),
	    T(nobody_takes_the_hosts_addresses),
	    T(an_address_is_shared_by_rules),
	    T(a_shared_address_has_the_ports_mac),
	    T(dhcp_is_the_kernels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * config_values_test.c - Defaults, and what each type of key takes and refuses
 */
#include "config_load.h"

static void engine_defaults_are_the_embedded_engine(void **state)
{
	(void)state;
	gz_engine_config_default(&engine);
	assert_string_equal(engine.name, "default");
	assert_int_equal(engine.log, GZ_LOG_INFO);
	assert_string_equal(engine.run_dir, "/run/gazelle");
	assert_int_equal(engine.linger_ms, 2000);
	assert_int_equal(engine.plane, GZ_CHOOSE_RING);
	assert_int_equal(engine.memory.hugepages, GZ_HUGE_AUTO);
	assert_int_equal(engine.memory.mbufs, 8191);
	assert_int_equal(engine.memory.megabytes, 0);
	assert_int_equal(engine.port.driver, GZ_DRV_AUTO);
	assert_string_equal(engine.port.iface, "gz0e");
	assert_string_equal(engine.port.device, "");
	assert_string_equal(engine.port.path, "");
	assert_false(engine.port.mac_set);
	assert_int_equal(engine.port.mtu, 1500);
	assert_int_equal(engine.port.queue_size, 1024);
	assert_false(engine.port.promiscuous);
	assert_string_equal(engine.port.veth_host, "gz0");
	assert_int_equal(engine.port.veth_address.addr, ip("10.213.0.1"));
	assert_int_equal(engine.port.veth_address.len, 24);
	assert_int_equal(engine.naddrs, 1);
	assert_int_equal(engine.addrs[0].addr, ip("10.213.0.2"));
	assert_int_equal(engine.addrs[0].len, 24);
	assert_int_equal(engine.gateway, 0);
	assert_int_equal(engine.workers.cpu, -1);
	assert_int_equal(engine.power, GZ_POWER_ADAPTIVE);
	assert_int_equal(engine.spin_us, 50);
	assert_int_equal(engine.burst, 32);
	assert_int_equal(engine.max_sockets, 262144);
	assert_int_equal(engine.max_clients, 256);
	assert_int_equal(engine.syn_retries, 6);
	assert_int_equal(engine.rto_give_up_s, 924);
	assert_int_equal(engine.port_lo, 32768);
	assert_int_equal(engine.port_hi, 60999);
	assert_int_equal(engine.neal, 0);
}

static void dispatch_defaults_have_no_clients(void **state)
{
	(void)state;
	gz_dispatch_config_default(&dispatch);
	assert_string_equal(dispatch.name, "dispatch");
	assert_string_equal(dispatch.port.veth_host, "gz0");
	assert_int_equal(dispatch.burst, 32);
	assert_int_equal(dispatch.nclients, 0);
}

static void files_without_keys_mean_the_defaults(void **state)
{
	static const char *const texts[] = {
	    "",
	    "\n\n",
	    "# nothing\n",
	    "---\n",
	    "{}",
	    "port:\n",
	    "port: {}\n",
	    "worker:\n  # spin: 5us\nstack: ~\n",
	    "\xef\xbb\xbf# BOM\n",
	    "port:\n  veth:\n    host: gz0\n    address: 10.213.0.1/24\n"
	    "    address6: \"fd67:617a:656c::1/64\"\n"
	    "stack: {addresses6: [\"fd67:617a:656c::2/64\"]}\n",
	};
	struct gz_engine_config def;

	(void)state;
	gz_engine_config_default(&def);
	for (size_t i = 0; i < LEN(texts); i++) {
		good(texts[i]);
		assert_memory_equal(&engine, &def, sizeof(def));
	}
}

static void every_type_reads_what_it_should(void **state)
{
	(void)state;
	good("name: a.b_c-9\n"
	     "log: debug\n"
	     "run_dir: \"/tmp/\xc3\xa9 x\"\n"
	     "linger: 0\n"
	     "plane: relay\n"
	     "memory: {hugepages: never, mbufs: 16383, megabytes: 512}\n"
	     "port:\n"
	     "  driver: vdev\n"
	     "  device: 'net_tap0,iface=x'\n"
	     "  mac: 02:aB:00:00:00:fF\n"
	     "  mtu: 9000\n"
	     "  queue_size: 4096\n"
	     "  promiscuous: yes\n"
	     "stack:\n"
	     "  addresses:\n"
	     "  - 192.0.2.10/24\n"
	     "  - 198.51.100.7/32\n"
	     "  gateway: 192.0.2.1\n"
	     "worker: {cpu: 3, power: poll, spin: 2ms, burst: 1}\n"
	     "limits: {sockets: 16, clients: 1}\n"
	     "tcp: {syn_retries: 127, give_up: 90s, ephemeral_ports: 1024-1024}\n"
	     "eal_args: [--no-pci, \"-d x\"]\n");
	assert_string_equal(engine.name, "a.b_c-9");
	assert_int_equal(engine.log, GZ_LOG_DEBUG);
	assert_string_equal(engine.run_dir, "/tmp/\xc3\xa9 x");
	assert_int_equal(engine.linger_ms, 0);
	assert_int_equal(engine.plane, GZ_CHOOSE_RELAY);
	assert_int_equal(engine.memory.hugepages, GZ_HUGE_NEVER);
	assert_int_equal(engine.memory.mbufs, 16383);
	assert_int_equal(engine.memory.megabytes, 512);
	assert_int_equal(engine.port.driver, GZ_DRV_VDEV);
	assert_string_equal(engine.port.device, "net_tap0,iface=x");
	assert_true(engine.port.mac_set);
	assert_memory_equal(engine.port.mac, "\x02\xab\0\0\0\xff", 6);
	assert_int_equal(engine.port.mtu, 9000);
	assert_int_equal(engine.port.queue_size, 4096);
	assert_true(engine.port.promiscuous);
	assert_int_equal(engine.naddrs, 2);
	assert_int_equal(engine.addrs[0].addr, ip("192.0.2.10"));
	assert_int_equal(engine.addrs[1].addr, ip("198.51.100.7"));
	assert_int_equal(engine.addrs[1].len, 32);
	assert_int_equal(engine.gateway, ip("192.0.2.1"));
	assert_int_equal(engine.workers.cpu, 3);
	assert_int_equal(engine.power, GZ_POWER_POLL);
	assert_int_equal(engine.spin_us, 2000);
	assert_int_equal(engine.burst, 1);
	assert_int_equal(engine.max_sockets, 16);
	assert_int_equal(engine.max_clients, 1);
	assert_int_equal(engine.syn_retries, 127);
	assert_int_equal(engine.rto_give_up_s, 90);
	assert_int_equal(engine.port_lo, 1024);
	assert_int_equal(engine.port_hi, 1024);
	assert_int_equal(engine.neal, 2);
	assert_string_equal(engine.eal[0], "--no-pci");
	assert_string_equal(engine.eal[1], "-d x");
}

static void bad_values_are_named_with_line_and_column(void **state)
{
	static const struct {
		const char *text, *message;
	} t[] = {
	    /* names, paths, interfaces, text */
	    {"name: a/b", "1:7: key 'name': 'a/b' is not a name: expected"},
	    {"name: .a", "1:7: key 'name': '.a' is not a name"},
	    {"name: \"\"", "1:7: key 'name': '' is empty"},
	    {"name:", "1:6: key 'name': no value: expected up to 31"},
	    {"name: null", "1:7: key 'name': no value"},
	    {"name: 01234567890123456789012345678901",
	     "1:7: key 'name': '01234567890123456789012345678901' is too long"},
	    {"name: \"a\\0b\"", "1:7: key 'name': 'a\\x00b' is not printable"},
	    {"name: \"a\\eb\"", "1:7: key 'name': 'a\\x1bb' is not printable"},
	    {"name: |\n  a\n  b\n", "1:7: key 'name': 'a\\nb\\n' is not"},
	    {"name: [a]", "1:7: key 'name': a list: expected up to 31"},
	    {"name: {a: b}", "1:7: key 'name': a block of keys: expected"},
	    {"run_dir: tmp", "1:10: key 'run_dir': 'tmp' is not an absolute"},
	    {"run_dir: \"/a\\x9bb\"", "1:10: key 'run_dir': '/a\\x9bb' is not printable"},
	    {"port: {driver: tap, iface: a/b}\nstack: {addresses: [1.1.1.1/8]}",
	     "1:28: key 'port.iface': 'a/b' is not an interface name"},
	    {"port: {driver: tap, iface: abcdefghijklmnop}\n"
	     "stack: {addresses: [1.1.1.1/8]}",
	     "1:28: key 'port.iface': 'abcdefghijklmnop' is too long"},
	    /* enums, booleans */
	    {"log: loud", "1:6: key 'log': 'loud' is not one of the choices: "
			  "expected error, warn, info or debug\n"},
	    {"log: Info", "1:6: key 'log': 'Info' is not one"},
	    {"port: {veth: {host: a}, promiscuous: 1}",
	     "1:38: key 'port.promiscuous': '1' is not true or false"},
	    /* numbers */
	    {"worker:\n  burst: 0\n", "2:10: key 'worker.burst': '0' is out of "
				      "range: expected a number, 1 to 512\n"},
	    {"worker:\n  burst: 513\n", "2:10: key 'worker.burst': '513' is out"},
	    {"worker:\n  burst: 32x\n", "2:10: key 'worker.burst': '32x' is not a"},
	    {"worker:\n  burst: 032\n", "2:10: key 'worker.burst': '032' is not a"},
	    {"worker:\n  burst: 1.5\n", "2:10: key 'worker.burst': '1.5' is not"},
	    {"worker:\n  burst: -1\n", "2:10: key 'worker.burst': '-1' is out"},
	    {"worker:\n  burst: 4294967297\n",
	     "2:10: key 'worker.burst': '4294967297' is out of range"},
	    {"worker:\n  burst: 99999999999999999999999\n",
	     "2:10: key 'worker.burst': '99999999999999999999999' is out of"},
	    {"worker: {cpu: -2}", "1:15: key 'worker.cpu': '-2' is out of"},
	    {"worker: {cpu: any}", "1:15: key 'worker.cpu': 'any' is not a"},
	    {"port: {veth: {host: a}, queue_size: 1000}",
	     "1:37: key 'port.queue_size': '1000' is not a power of two"},
	    /* durations */
	    {"linger: 5", "1:9: key 'linger': '5' is without a unit: expected a "
			  "duration in ms or s, 0s to 86400s\n"},
	    {"plane: rings", "1:8: key 'plane': 'rings'"},
	    {"linger: 5m", "1:9: key 'linger': '5m' is not a duration"},
	    {"linger: s", "1:9: key 'linger': 's' is not a duration"},
	    {"linger: 1.5s", "1:9: key 'linger': '1.5s' is not a duration"},
	    {"linger: 500us", "1:9: key 'linger': '500us' is too fine"},
	    {"linger: 86401s", "1:9: key 'linger': '86401s' is out of range"},
	    {"linger: 999999999999999999s", "1:9: key 'linger': '9999999"},
	    {"tcp: {give_up: 0}", "1:16: key 'tcp.give_up': '0' is out of"},
	    /* MAC */
	    {"port: {veth: {host: a}, mac: 02:00:00:00:01}",
	     "1:30: key 'port.mac': '02:00:00:00:01' is not a MAC"},
	    {"port: {veth: {host: a}, mac: 02:00:00:00:00:0g}",
	     "1:30: key 'port.mac': '02:00:00:00:00:0g' is not a MAC"},
	    {"port: {veth: {host: a}, mac: 01:00:00:00:00:00}",
	     "1:30: key 'port.mac': '01:00:00:00:00:00' is not one"},
	    {"port: {veth: {host: a}, mac: 00:00:00:00:00:00}",
	     "1:30: key 'port.mac': '00:00:00:00:00:00' is not one"},
	    /* addresses */
	    {"stack: {addresses: [10.0.0.256/24]}",
	     "1:21: key "
	     "'stack.addresses[0]': '10.0.0.256/24' is not an IPv4 address: "
	     "expected an IPv4 address as a.b.c.d/len"},
	    {"stack: {addresses: [10.0.0.1]}",
	     "1:21: key "
	     "'stack.addresses[0]': '10.0.0.1' is without a prefix"},
	    {"stack: {addresses: [10.213.0.2/24, 10.0.0.1/33]}",
	     "1:36: key "
	     "'stack.addresses[1]': '10.0.0.1/33' is without a valid"},
	    {"stack: {addresses: [10.0.0.1/]}",
	     "1:21: key "
	     "'stack.addresses[0]': '10.0.0.1/' is without a valid"},
	    {"stack: {addresses: [10.0.0.0/24]}",
	     "1:21: key "
	     "'stack.addresses[0]': '10.0.0.0/24' is not a host's"},
	    {"stack: {addresses: [10.0.0.255/24]}",
	     "1:21: key "
	     "'stack.addresses[0]': '10.0.0.255/24' is not a host's"},
	    {"stack: {addresses: [127.0.0.1/8]}",
	     "1:21: key "
	     "'stack.addresses[0]': '127.0.0.1/8' is not a host's"},
	    {"stack: {addresses: [224.0.0.1/8]}",
	     "1:21: key "
	     "'stack.addresses[0]': '224.0.0.1/8' is not a host's"},
	    {"stack: {addresses: 10.0.0.1/24}",
	     "1:20: key "
	     "'stack.addresses': '10.0.0.1/24' is not a list: expected a "
	     "list of up to 8 IPv4 addresses"},
	    {"stack: {addresses: [1.0.0.1/8, 1.0.0.2/8, 1.0.0.3/8, 1.0.0.4/8, "
	     "1.0.0.5/8, 1.0.0.6/8, 1.0.0.7/8, 1.0.0.8/8, 1.0.0.9/8]}",
	     "1:109: key 'stack.addresses': 9 entries: expected at most 8"},
	    {"stack: {gateway: 10.213.0.1/24}", "1:18: key 'stack.gateway': "
						"'10.213.0.1/24' is not a single address"},
	    {"stack: {addresses6: [\"fd00::2\"]}",
	     "1:22: key 'stack.addresses6[0]': 'fd00::2' is without a prefix length"},
	    {"stack: {addresses6: [\"fd00::2/129\"]}",
	     "1:22: key 'stack.addresses6[0]': 'fd00::2/129' is without a valid prefix length"},
	    {"stack: {addresses6: [\"fd00::2/\"]}",
	     "1:22: key 'stack.addresses6[0]': 'fd00::2/' is without a valid prefix length"},
	    {"stack: {addresses6: [\"fe80::2/64\"]}",
	     "1:22: key 'stack.addresses6[0]': 'fe80::2/64' is not a host's address"},
	    {"stack: {addresses6: [\"::1/64\"]}",
	     "1:22: key 'stack.addresses6[0]': '::1/64' is not a host's address"},
	    {"stack: {addresses6: [10.0.0.1/24]}",
	     "1:22: key 'stack.addresses6[0]': '10.0.0.1/24' is not an IPv6 address"},
	    {"stack: {gateway6: \"ff02::2\"}",
	     "1:19: key 'stack.gateway6': 'ff02::2' is not a host's address"},
	    {"stack: {gateway: 0.0.0.0}", "1:18: key 'stack.gateway': '0.0.0.0' "
					  "is not a host's"},
	    /* ports, words, blocks */
	    {"tcp: {ephemeral_ports: 5000}", "1:24: key "
					     "'tcp.ephemeral_ports': '5000' is not a range"},
	    {"tcp: {ephemeral_ports: 5000-65536}", "1:24: key "
						   "'tcp.ephemeral_ports': '5000-65536' is out of"},
	    {"tcp: {ephemeral_ports: 6000-5000}",
	     "1:24: key "
	     "'tcp.ephemeral_ports': '6000-5000' is in the wrong order"},
	    {"eal_args: [a, \"\", b]", "1:15: key 'eal_args[1]': '' is empty"},
	    {"eal_args: [a, [b]]", "1:15: key 'eal_args[1]': a list: expected a "
				   "word"},
	    {"worker: 5", "1:9: key 'worker': '5' is not a block of keys"},
	    {"worker: [spin]", "1:9: key 'worker': a list: expected a block"},
	    {"name: *\xc3\xa9\n", "1:8: did not find expected"},
	    /* columns are characters */
	    {"{\"log\": \"\xc3\xa9\xc3\xa9\", name: a/b, log: x}", "1:9: key 'log'"},
	};

	(void)state;
	for (size_t i = 0; i + 1 < LEN(t); i++)
		bad(t[i].text, t[i].message);
	assert_int_equal(load_engine(t[LEN(t) - 1].text), 3);
	assert_non_null(strstr(messages, "\n1:21: key 'name': 'a/b'"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(engine_defaults_are_the_embedded_engine),
	    cmocka_unit_test(dispatch_defaults_have_no_clients),
	    cmocka_unit_test(files_without_keys_mean_the_defaults),
	    cmocka_unit_test(every_type_reads_what_it_should),
	    cmocka_unit_test(bad_values_are_named_with_line_and_column),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * config_test.c - The configuration: defaults, values, messages, round trips
 *
 * Files are written to a memfd and loaded by its /proc path, which the tests
 * cut off the messages: "3:9: key ..." is line 3, column 9.
 * Run from the top of the source tree: the committed files are compared.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "config/schema.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static struct gz_engine_config engine;
static struct gz_dispatch_config dispatch;
static char *messages; /* of the last load, file name cut off */

/**
 * load_bytes() - Load a file with this content
 * @conf:	&engine or &dispatch; freed first
 * @text:	Content
 * @len:	Its length
 *
 * Return: what the loader returned; `messages` holds what it printed
 */
static int load_bytes(void *conf, const char *text, size_t len)
{
	int fd = memfd_create("config", MFD_CLOEXEC), n;
	char path[64], *raw = NULL, *out, *p;
	size_t raw_len = 0, path_len;
	FILE *err = open_memstream(&raw, &raw_len);

	assert_true(fd >= 0 && err);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	path_len = (size_t)sprintf(path, "/proc/self/fd/%d", fd);
	if (conf == &engine) {
		gz_engine_config_free(&engine);
		n = gz_engine_config_load(path, &engine, err);
	} else {
		gz_dispatch_config_free(&dispatch);
		n = gz_dispatch_config_load(path, &dispatch, err);
	}
	fclose(err);
	close(fd);
	free(messages);
	out = messages = calloc(1, raw_len + 1);
	for (p = raw; *p; p++) {
		if ((p == raw || p[-1] == '\n') && !strncmp(p, path, path_len))
			p += path_len + 1;
		*out++ = *p;
	}
	free(raw);
	return n;
}

static int load_engine(const char *text)
{
	return load_bytes(&engine, text, strlen(text));
}

static int load_dispatch(const char *text)
{
	return load_bytes(&dispatch, text, strlen(text));
}

/** Loads without any message. */
static void good(const char *text)
{
	int n = load_engine(text);

	assert_string_equal(messages, "");
	assert_int_equal(n, 0);
}

/** Is refused with one message, which starts like this; defaults are left. */
static void bad(const char *text, const char *message)
{
	struct gz_engine_config def;
	int n = load_engine(text);

	if (strncmp(messages, message, strlen(message)))
		fail_msg("of: %s\nwanted: %s\ngot: %s", text, message, messages);
	assert_int_equal(n, 1);
	assert_ptr_equal(strchr(messages, '\n'), messages + strlen(messages) - 1);
	gz_engine_config_default(&def);
	assert_memory_equal(&engine, &def, sizeof(def));
}

/** As bad(), for dispatch. */
static void bad_dispatch(const char *text, const char *message)
{
	struct gz_dispatch_config def;
	int n = load_dispatch(text);

	if (strncmp(messages, message, strlen(message)))
		fail_msg("of: %s\nwanted: %s\ngot: %s", text, message, messages);
	assert_int_equal(n, 1);
	gz_dispatch_config_default(&def);
	assert_memory_equal(&dispatch, &def, sizeof(def));
}

/** What print makes of a configuration; free() it. */
static char *printed(const struct gz_cfg_schema *s, const void *conf)
{
	size_t n = 0;
	char *text = NULL;
	FILE *f = open_memstream(&text, &n);

	assert_non_null(f);
	gz_cfg_print(s, conf, f);
	fclose(f);
	return text;
}

static char *slurp(const char *path)
{
	FILE *f = fopen(path, "re");
	char *text = calloc(1, 65536);

	if (!f)
		fail_msg("no %s: run from the top of the source tree", path);
	assert_true(fread(text, 1, 65535, f) > 0);
	fclose(f);
	return text;
}

static uint32_t ip(const char *text)
{
	return inet_addr(text);
}

static void engine_defaults_are_the_embedded_engine(void **state)
{
	(void)state;
	gz_engine_config_default(&engine);
	assert_string_equal(engine.name, "default");
	assert_int_equal(engine.log, GZ_LOG_INFO);
	assert_string_equal(engine.run_dir, "/run/gazelle");
	assert_int_equal(engine.linger_ms, 2000);
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
	assert_int_equal(engine.cpu, -1);
	assert_int_equal(engine.power, GZ_POWER_ADAPTIVE);
	assert_int_equal(engine.spin_us, 50);
	assert_int_equal(engine.burst, 32);
	assert_int_equal(engine.max_sockets, 65536);
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
	assert_int_equal(engine.cpu, 3);
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
	    {"stack: {addresses6: [\"fd00::2/48\"]}",
	     "1:22: key 'stack.addresses6[0]': 'fd00::2/48' is not in a /64"},
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

static void unknown_keys_come_with_a_suggestion(void **state)
{
	(void)state;
	bad("worker:\n  spim: 5us\n",
	    "2:3: key 'worker.spim': unknown key (did you mean 'spin'?)\n");
	bad("nmae: x", "1:1: key 'nmae': unknown key (did you mean 'name'?)\n");
	bad("spin: 5us", "1:1: key 'spin': unknown key (did you mean "
			 "'worker.spin'?)\n");
	bad("worker.spin: 5us", "1:1: key 'worker.spin': unknown key (did you "
				"mean 'worker.spin' as nested blocks?)\n");
	bad("zebra: 1", "1:1: key 'zebra': unknown key: expected one of");
	bad("<<: {a: b}", "1:1: key '<<': unknown key");
	bad("\"\\e[31m\": 1", "1:1: key '\\x1b[31m': unknown key");
	bad("? [a]\n: 5\n", "1:3: not a key: expected");
	bad("\"name\\0x\": y", "1:1: not a key: expected");
	bad_dispatch("linger: 2s", "1:1: key 'linger': unknown key");
	bad_dispatch("clients:\n  - {name: a, path: /a, adress: 10.0.0.1}\n",
		     "2:25: key 'clients[0].adress': unknown key (did you mean "
		     "'address'?)\n");
}

static void duplicate_keys_name_the_first(void **state)
{
	(void)state;
	bad("name: a\nlog: info\nname: a\n",
	    "3:1: key 'name': given twice: expected it once, it is on line 1");
	bad("worker:\n  spin: 1us\nworker:\n  burst: 2\n", "3:1: key 'worker': given twice");
	bad("eal_args: [a]\neal_args: [b]\n", "2:1: key 'eal_args': given twice");
	bad_dispatch("clients:\n  - name: a\n    name: b\n    path: /a\n"
		     "    address: 10.0.0.1\n",
		     "3:5: key 'clients[0].name': given twice");
}

static void what_is_not_our_yaml_is_refused(void **state)
{
	(void)state;
	bad("worker:\n\tspin: 5us\n", "2:1: tab character: expected spaces");
	bad("log: info\nname: a\xff\n", "2:8: byte 0xff is not valid UTF-8");
	bad("name: \xc3(\n", "1:8: byte 0x28 is not valid UTF-8");
	bad("log: info\nname: \x01\n", "2:7: control character 0x01");
	bad("name: &x a\n", "1:7: anchor '&x': anchors and aliases are not");
	bad("name: !!str a\n", "1:7: tag 'tag:yaml.org,2002:str': tags are not");
	bad("name: *x\n", "1:7: alias '*x': anchors and aliases are not");
	bad("name: a\n---\nlog: info\n", "2:1: a second document: expected one");
	bad("- a\n", "1:1: a list: expected 'key: value' lines");
	bad("hello\n", "1:1: plain text: expected 'key: value' lines");
	bad("name: \"abc\n", "2:1: found unexpected end of stream, while scanning "
			     "a quoted scalar (line 1): expected");
	assert_int_equal(load_engine("eal_args: [[[[[[[[[[[[1]]]]]]]]]]]]\n"), 2);
	assert_non_null(strstr(messages, "\n1:19: nested too deeply: expected "
					 "at most 8 levels"));
}

static void syntax_errors_do_not_hide_errors_before_them(void **state)
{
	(void)state;
	assert_int_equal(load_engine("log: loud\nworker:\n  spim: 1\n  x: [1\n"), 4);
	assert_non_null(strstr(messages, "1:6: key 'log'"));
	assert_non_null(strstr(messages, "\n3:3: key 'worker.spim'"));
	assert_non_null(strstr(messages, "\n5:1: "));
}

static void all_errors_are_printed_in_order(void **state)
{
	(void)state;
	assert_int_equal(load_engine("port: {veth: {host: a}, mtu: 1}\n"
				     "stack: {gateway: 9.9.9.9}\n"
				     "log: x\nnaem: y\nworker: {spin: 1, burst: 0}\n"),
			 6);
	assert_memory_equal(messages, "1:30: key 'port.mtu'", 20);
	assert_non_null(strstr(messages, "\n2:18: key 'stack.gateway'"));
	assert_non_null(strstr(messages, "\n3:6: key 'log'"));
	assert_non_null(strstr(messages, "\n4:1: key 'naem'"));
	assert_non_null(strstr(messages, "\n5:16: key 'worker.spin'"));
	assert_non_null(strstr(messages, "\n5:26: key 'worker.burst'"));
}

static void a_port_block_replaces_the_default_veth_pair(void **state)
{
	(void)state;
	good("port: {driver: af_packet, iface: eth1}\n"
	     "stack: {addresses: [192.0.2.1/24]}\n");
	assert_string_equal(engine.port.iface, "eth1");
	assert_string_equal(engine.port.veth_host, "");
	assert_int_equal(engine.port.veth_address.addr, 0);
	good("port: {veth: {host: gz7}}\n");
	assert_string_equal(engine.port.veth_host, "gz7");
	assert_string_equal(engine.port.iface, "gz7e");
	assert_int_equal(engine.port.veth_address.addr, 0);
	assert_int_equal(engine.addrs[0].addr, ip("10.213.0.2"));
	good("port: {iface: mine, veth: {host: gz7}}\n");
	assert_string_equal(engine.port.iface, "mine");
	good("port: {driver: virtio_user, path: /x}\n"
	     "stack: {addresses: [192.0.2.1/24]}\n");
	assert_string_equal(engine.port.iface, "");
	bad("port: {driver: af_packet, iface: eth1}\n",
	    "1:1: key 'port': without veth: the default address does not apply");
}

static void keys_that_do_not_go_together_are_refused(void **state)
{
#define STACK "\nstack: {addresses: [192.0.2.1/24]}"
	static const struct {
		const char *text, *message;
	} t[] = {
	    {"port: {mtu: 1400}" STACK, "1:1: key 'port.iface': missing: "
					"expected a value, driver auto needs it or port.veth.host"},
	    {"port: {veth: {host: \"\"}}" STACK, "1:1: key 'port.iface': missing"},
	    {"log: info\nport:\n  driver: af_xdp" STACK,
	     "2:1: key 'port.iface': missing: expected a value, driver af_xdp"},
	    {"port: {driver: virtio_user}" STACK, "1:1: key 'port.path': missing"},
	    {"port: {driver: vhost}" STACK, "1:1: key 'port.path': missing"},
	    {"port: {driver: pci}" STACK, "1:1: key 'port.device': missing"},
	    {"port: {driver: vdev}" STACK, "1:1: key 'port.device': missing"},
	    {"port: {driver: pci, device: eth0}" STACK,
	     "1:29: key 'port.device': 'eth0' is not a PCI address"},
	    {"port: {driver: virtio_user, path: /x, iface: eth0}" STACK,
	     "1:46: key 'port.iface': not used by driver virtio_user"},
	    {"port: {driver: af_xdp, iface: a, path: /x}" STACK,
	     "1:40: key 'port.path': not used by driver af_xdp"},
	    {"port: {driver: tap, veth: {host: a}}" STACK,
	     "1:21: key 'port.veth': not used by driver tap"},
	    {"port: {driver: af_xdp, iface: a, mtu: 3499}" STACK,
	     "1:39: key 'port.mtu': '3499' is out of range: expected at most "
	     "3498 with driver af_xdp"},
	    {"port: {veth: {host: abcdefghijklmno}}" STACK,
	     "1:21: key 'port.veth.host': 'abcdefghijklmno' is too long to"},
	    {"port: {iface: a, veth: {host: a}}" STACK,
	     "1:15: key 'port.iface': 'a' is the other end's name too"},
	    {"port: {iface: a, veth: {address: 10.0.0.1/24}}" STACK,
	     "1:34: key 'port.veth.address': no pair to put it on"},
	    {"port: {veth: {host: a, address: 10.0.0.1/24}}",
	     "1:33: key 'port.veth.address': not in the stack's default"},
	    {"memory: {mbufs: 2047}", "1:17: key 'memory.mbufs': 2047 mbufs for "
				      "queues of 1024: expected at least twice as many"},
	    {"port: {veth: {host: a}, queue_size: 8192}",
	     "1:37: key "
	     "'port.queue_size': 8191 mbufs for queues of 8192"},
	    {"name: 0123456789012345678901234567890\nrun_dir: /123456789012345678"
	     "901234567890123456789012345678901234567890123456789012345678",
	     "2:10: key 'run_dir': /12345"},
	    {"stack: {addresses: []}", "1:20: key 'stack.addresses': empty"},
	    {"stack:\n  addresses:\n", "2:13: key 'stack.addresses': empty"},
	    {"stack: {addresses: [10.213.0.2/24, 10.213.0.2/16]}",
	     "1:36: key 'stack.addresses[1]': '10.213.0.2' is there already"},
	    {"stack: {addresses: [10.213.0.1/24]}",
	     "1:21: key "
	     "'stack.addresses[0]': '10.213.0.1' is port.veth.address"},
	    {"stack: {gateway: 10.213.0.2}", "1:18: key 'stack.gateway': "
					     "'10.213.0.2' is the stack's own"},
	    {"stack: {gateway: 10.213.1.1}", "1:18: key 'stack.gateway': "
					     "'10.213.1.1' is in no network of stack.addresses"},
	};

	(void)state;
	for (size_t i = 0; i < LEN(t); i++)
		bad(t[i].text, t[i].message);
	good("port: {driver: af_xdp, iface: a, mtu: 3498}" STACK);
	good("port: {driver: pci, device: 0000:01:00.0}" STACK);
	good("port: {driver: pci, device: 01:00.0}" STACK);
	good("memory: {mbufs: 2048}");
	good("port: {driver: tap}\nstack: {addresses: [192.0.2.1/32], "
	     "gateway: 198.51.100.1}");
#undef STACK
}

static void checks_keep_quiet_about_keys_already_reported(void **state)
{
	(void)state;
	bad("port: {driver: af_xpd}\nstack: {addresses: [192.0.2.1/24]}",
	    "1:16: key 'port.driver'");
	bad("port: {veth: {host: a/b}}\nstack: {addresses: [192.0.2.1/24]}",
	    "1:21: key 'port.veth.host'");
	bad("port: {ifcae: eth0}\nstack: {addresses: [192.0.2.1/24]}", "1:8: key 'port.ifcae'");
	bad("stack: {addresses: [192.0.2.1], gateway: 192.0.2.2}",
	    "1:21: key 'stack.addresses[0]'");
}

#define CLIENT(n, p, a) "  - name: " n "\n    path: " p "\n    address: " a "\n"

static void clients_are_read_and_kept_apart(void **state)
{
	(void)state;
	assert_int_equal(load_dispatch("clients:\n" CLIENT("a", "/a", "10.0.0.1")
					   CLIENT("b", "/b", "10.1.0.0/16")),
			 0);
	assert_int_equal(dispatch.nclients, 2);
	assert_string_equal(dispatch.clients[0].name, "a");
	assert_string_equal(dispatch.clients[0].path, "/a");
	assert_int_equal(dispatch.clients[0].address.addr, ip("10.0.0.1"));
	assert_int_equal(dispatch.clients[0].address.len, 32);
	assert_int_equal(dispatch.clients[0].line, 2);
	assert_string_equal(dispatch.clients[1].name, "b");
	assert_int_equal(dispatch.clients[1].address.len, 16);
	assert_int_equal(dispatch.clients[1].line, 5);

	bad_dispatch("clients:\n" CLIENT("a", "/a", "10.0.0.1") CLIENT("a", "/b", "10.0.0.2"),
		     "5:11: key 'clients[1].name': 'a' is a client already, on "
		     "line 2");
	bad_dispatch("clients:\n" CLIENT("a", "/a", "10.0.0.1") CLIENT("b", "/a", "10.0.0.2"),
		     "6:11: key 'clients[1].path': '/a' is the client's on line 2");
	bad_dispatch("clients:\n" CLIENT("a", "/a", "10.0.0.1") CLIENT("b", "/b", "10.0.0.1"),
		     "7:14: key 'clients[1].address': overlaps");
	bad_dispatch("clients:\n" CLIENT("a", "/a", "10.0.0.0/24") CLIENT("b", "/b", "10.0.0.1"),
		     "7:14: key 'clients[1].address': overlaps");
	bad_dispatch("clients:\n" CLIENT("a", "/a", "10.0.0.1") CLIENT("b", "/b", "10.0.0.0/24"),
		     "7:14: key 'clients[1].address': overlaps");
	bad_dispatch("clients:\n" CLIENT("a", "/a", "10.0.0.1/24"),
		     "4:14: key 'clients[0].address': '10.0.0.1/24' is not a "
		     "network (it has host bits set)");
	bad_dispatch("clients:\n  - name: a\n    path: /a\n",
		     "2:5: key 'clients[0]': 'address' is missing");
	bad_dispatch("clients: [a]", "1:11: key 'clients[0]': 'a' is not a block");
	bad_dispatch("clients: a", "1:10: key 'clients': 'a' is not a list: "
				   "expected a list of blocks");
}

static void rules_are_read_in_order(void **state)
{
	(void)state;
	good("policy:\n  loopback: kernel\n  rules:\n"
	     "    - {action: kernel, net: 10.0.0.0/8, ports: 53, protocol: udp}\n"
	     "    - {action: engine, direction: bind, ports: 8000-8010, uid: 0}\n"
	     "    - {action: default, net: \"fe80::/10\", program: redis-server}\n"
	     "    - {action: kernel}\n");
	assert_int_equal(engine.loopback, GZ_LO_KERNEL);
	assert_int_equal(engine.nrules, 4);
	assert_int_equal(engine.rules[0].net.len, 104);
	assert_int_equal(engine.rules[0].port_lo, 53);
	assert_int_equal(engine.rules[0].port_hi, 53);
	assert_false(engine.rules[0].uid_set);
	assert_true(engine.rules[1].uid_set); /* root is a user too */
	assert_int_equal(engine.rules[1].uid, 0);
	assert_int_equal(engine.rules[1].direction, GZ_DIR_BIND);
	assert_int_equal(engine.rules[2].action, GZ_RULE_DEFAULT);
	assert_int_equal(engine.rules[2].net.len, 10);
	assert_int_equal(engine.rules[2].line, 6);
	assert_false(engine.rules[3].net.set);

#define RULE(text) "policy:\n  rules:\n    - " text "\n"
	bad(RULE("{net: 10.0.0.0/8}"), "3:7: key 'policy.rules[0]': 'action' is missing");
	bad(RULE("{action: drop}"), "3:16: key 'policy.rules[0].action': 'drop' is not one of");
	bad(RULE("{action: kernel, net: 10.0.0.1/8}"), "3:29: key 'policy.rules[0].net'");
	bad(RULE("{action: kernel, net: \"::1/129\"}"),
	    "3:29: key 'policy.rules[0].net': '::1/129' is without");
	bad(RULE("{action: kernel, ports: 0}"), "3:31: key 'policy.rules[0].ports'");
	bad(RULE("{action: kernel, ports: 2-1}"),
	    "3:31: key 'policy.rules[0].ports': '2-1' is in the wrong");
	bad(RULE("{action: kernel, uid: root}"), "3:29: key 'policy.rules[0].uid': 'root'");
	bad(RULE("{action: kernel, uid: 4294967295}"), "3:29: key 'policy.rules[0].uid'");
	bad(RULE("{action: kernel, program: \"\\e\"}"), "3:33: key 'policy.rules[0].program'");
	bad(RULE("{action: kernel}\n    - {action: engine}"),
	    "4:7: key 'policy.rules[1]': never reached: the rule on line 3");
	bad("policy: {rules: {action: kernel}}", "1:17: key 'policy.rules': a block of keys");
}

static void at_most_64_clients(void **state)
{
	char text[8192] = "clients:\n", *p = text + strlen(text);

	(void)state;
	for (int i = 0; i < GZ_CLIENTS_MAX; i++)
		p += sprintf(p, "- {name: c%d, path: /c%d, address: 10.0.0.%d}\n", i, i, i);
	assert_int_equal(load_dispatch(text), 0);
	assert_int_equal(dispatch.nclients, 64);
	assert_int_equal(dispatch.clients[63].line, 65);
	sprintf(p, "- {name: d, path: /d, address: 10.1.0.1}\n");
	bad_dispatch(text, "66:3: key 'clients': 65 entries: expected at most 64");
}

/** Clear what differs between two loads: the words' places, the lines. */
static void forget(void *conf, bool is_engine)
{
	struct gz_engine_config *e = conf;
	struct gz_dispatch_config *d = conf;

	if (is_engine) {
		e->neal = 0;
		memset(e->eal, 0, sizeof(e->eal));
		for (unsigned i = 0; i < GZ_RULES_MAX; i++)
			e->rules[i].line = 0;
		return;
	}
	d->neal = 0;
	memset(d->eal, 0, sizeof(d->eal));
	for (unsigned i = 0; i < GZ_CLIENTS_MAX; i++)
		d->clients[i].line = 0;
}

/** Loads what print makes of the current configuration; must be the same. */
static void round_trip(void *conf, size_t size, const struct gz_cfg_schema *s)
{
	char *before = printed(s, conf), *after;
	void *copy = malloc(size);

	memcpy(copy, conf, size);
	forget(copy, conf == &engine);
	if (load_bytes(conf, before, strlen(before)))
		fail_msg("own output refused: %s\n%s", messages, before);
	after = printed(s, conf);
	assert_string_equal(before, after);
	gz_cfg_free(s, conf);
	forget(conf, conf == &engine);
	assert_memory_equal(conf, copy, size);
	free(copy);
	free(before);
	free(after);
}

static void print_and_load_give_the_same_back(void **state)
{
	static const char *const texts[] = {
	    "",
	    "port: {driver: virtio_user, path: \"/a b\", mac: "
	    "02:00:00:00:00:01}\nstack: {addresses: [1.2.3.4/8, 5.6.7.9/30], "
	    "gateway: 1.0.0.1}\n",
	    "port: {driver: vdev, device: \"net_ring0,a=\\\"b\\\\c\\\"\"}\n"
	    "stack: {addresses: [1.2.3.4/8]}\nname: null0\n",
	    "name: \"null\"\n",
	    "name: \"yes\"\n",
	    "name: \"0\"\n",
	    "worker: {cpu: 0, spin: 1500us, power: poll}\nlinger: 0\n",
	    "eal_args: [\"a b\", \"#c\", \"x: y\", \"[\", \"~\", \"\xe2\x82\xac\", "
	    "\"null\", \"a,b\", -d, \"'\", \"\\\"\", \"&a\", \"*b\", \"!c\"]\n",
	    "port: {veth: {host: abc}}\n",
	    "port: {driver: tap}\nstack: "
	    "{addresses: [1.2.3.4/8]}\n",
	    "policy: {loopback: kernel, rules: [{action: engine, uid: 0, ports: 1-2}, "
	    "{action: kernel, net: \"::1\", program: \"a b\", protocol: udp}, "
	    "{action: default, net: 10.0.0.0/8, ports: 7, direction: bind}]}\n",
	    "run_dir: \"/x: #\xc3\xa9\"\n",
	};

	char *text;

	(void)state;
	good("port: {driver: tap}\nstack: {addresses: [1.2.3.4/8]}\n");
	text = printed(&gz_engine_schema, &engine);
	assert_non_null(strstr(text, "\n  # veth:\n"));
	assert_non_null(strstr(text, "\n    # host: gz0\n"));
	assert_non_null(strstr(text, "\n  # iface: eth1\n"));
	free(text);
	for (size_t i = 0; i < LEN(texts); i++) {
		good(texts[i]);
		round_trip(&engine, sizeof(engine), &gz_engine_schema);
	}
	assert_int_equal(load_dispatch("clients:\n" CLIENT("a", "/a", "10.0.0.1")
					   CLIENT("b", "/b", "10.1.0.0/16")),
			 0);
	round_trip(&dispatch, sizeof(dispatch), &gz_dispatch_schema);
	assert_int_equal(load_dispatch(""), 0);
	round_trip(&dispatch, sizeof(dispatch), &gz_dispatch_schema);
}

/** One key's default and example: parse, print, parse again. */
static void check_key(const struct gz_cfg_key *k)
{
	uint8_t one[512] = {0}, two[512] = {0};
	const char *text = k->def && *k->def ? k->def : k->example;
	char *out = NULL, *clean;
	size_t n = 0;
	FILE *f;

	if (k->type == GZ_CFG_BLOCK || k->type == GZ_CFG_MAPS || k->list)
		return;
	assert_true(k->size <= sizeof(one));
	assert_non_null(k->help);
	if (!text) {
		assert_true(k->flags & GZ_CFG_REQUIRED);
		return;
	}
	if (gz_cfg_parse(k, text, one))
		fail_msg("%s: '%s' does not parse", k->path, text);
	f = open_memstream(&out, &n);
	gz_cfg_format(k, one, f);
	fclose(f);
	clean = out;
	if (*clean == '"') { /* nothing in the table needs escapes */
		clean++;
		clean[strlen(clean) - 1] = '\0';
	}
	assert_string_equal(clean, text);
	assert_null(gz_cfg_parse(k, clean, two));
	assert_memory_equal(one, two, sizeof(one));
	free(out);
}

static void every_key_prints_and_parses_its_default(void **state)
{
	static const struct gz_cfg_schema *const all[] = {&gz_engine_schema, &gz_dispatch_schema};
	char expect[GZ_CFG_EXPECT_MAX];

	(void)state;
	for (size_t s = 0; s < LEN(all); s++) {
		for (size_t p = 0; p < all[s]->nparts; p++) {
			const struct gz_cfg_part *part = &all[s]->parts[p];

			for (size_t i = 0; i < part->nkeys; i++) {
				const struct gz_cfg_key *k = &part->keys[i];

				assert_ptr_equal(gz_cfg_find(all[s], k->path, NULL), k);
				gz_cfg_expect(k, expect, sizeof(expect));
				assert_in_range(strlen(expect), 5, sizeof(expect) - 2);
				assert_true(part->base + k->offset + k->size <= all[s]->size);
				check_key(k);
			}
		}
	}
}

static void range_ends_are_inside_and_the_next_outside(void **state)
{
	(void)state;
	for (size_t p = 0; p < gz_engine_schema.nparts; p++) {
		const struct gz_cfg_part *part = &gz_engine_schema.parts[p];

		for (size_t i = 0; i < part->nkeys; i++) {
			const struct gz_cfg_key *k = &part->keys[i];
			const char *unit = "";
			uint8_t slot[8];
			char text[32];

			if (k->type != GZ_CFG_UINT && k->type != GZ_CFG_INT &&
			    k->type != GZ_CFG_DURATION)
				continue;
			if (k->type == GZ_CFG_DURATION)
				unit = k->unit == 1 ? "us" : k->unit == 1000 ? "ms" : "s";
			for (int d = -1; d <= 1; d++) {
				sprintf(text, "%lld%s", (long long)k->min + d, unit);
				assert_true(!gz_cfg_parse(k, text, slot) ==
					    (d == 0 || (d == 1 && !(k->flags & GZ_CFG_POW2))));
				sprintf(text, "%lld%s", (long long)k->max + d, unit);
				assert_true(!gz_cfg_parse(k, text, slot) ==
					    (d == 0 || (d == -1 && !(k->flags & GZ_CFG_POW2))));
			}
		}
	}
}

static void committed_files_are_what_print_makes(void **state)
{
	char *text, *file;

	(void)state;
	gz_engine_config_default(&engine);
	text = printed(&gz_engine_schema, &engine);
	file = slurp("config/gazelle.yaml");
	assert_string_equal(text, file);
	free(text);
	free(file);
	gz_dispatch_config_default(&dispatch);
	text = printed(&gz_dispatch_schema, &dispatch);
	file = slurp("config/dispatch.yaml");
	assert_string_equal(text, file);
	free(text);
	free(file);
	assert_int_equal(gz_engine_config_load("config/gazelle.yaml", &engine, stderr), 0);
	assert_int_equal(gz_dispatch_config_load("config/dispatch.yaml", &dispatch, stderr), 0);
}

static void commented_examples_are_valid(void **state)
{
	char *file = slurp("config/dispatch.yaml"), *p, *q, *out;
	bool clients = false;

	/* Activate the clients that the file shows, as its reader will. */
	(void)state;
	out = file;
	for (p = file; *p; p = q) {
		q = p + strcspn(p, "\n");
		q += *q == '\n';
		if (!strncmp(p, "# clients:", 10))
			clients = true;
		else if (clients && strncmp(p, "#   ", 4))
			clients = false;
		if (clients)
			p += 2;
		memmove(out, p, (size_t)(q - p));
		out += q - p;
	}
	*out = '\0';
	assert_int_equal(load_dispatch(file), 0);
	assert_int_equal(dispatch.nclients, 2);
	assert_string_equal(dispatch.clients[1].name, "engine2");
	free(file);
}

static void examples_load(void **state)
{
	static const char *const engines[] = {"af_packet", "af_xdp", "behind-dispatch"};
	char path[64];

	(void)state;
	for (size_t i = 0; i < LEN(engines); i++) {
		sprintf(path, "config/examples/%s.yaml", engines[i]);
		assert_int_equal(gz_engine_config_load(path, &engine, stderr), 0);
	}
	assert_int_equal(
	    gz_dispatch_config_load("config/examples/dispatch.yaml", &dispatch, stderr), 0);
	assert_int_equal(dispatch.nclients, 2);
}

static void files_that_cannot_be_read_are_one_error(void **state)
{
	char *text = NULL, *big = malloc(300000);
	struct gz_engine_config def;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	(void)state;
	gz_engine_config_default(&def);
	assert_int_equal(gz_engine_config_load("/nonexistent/x", &engine, f), 1);
	fflush(f);
	assert_string_equal(text, "Couldn't open /nonexistent/x: "
				  "No such file or directory\n");
	assert_memory_equal(&engine, &def, sizeof(def));
	assert_int_equal(gz_engine_config_load("/", &engine, f), 1);
	assert_memory_equal(&engine, &def, sizeof(def));
	fclose(f);
	free(text);
	memset(big, '\n', 300000);
	assert_int_equal(load_bytes(&engine, big, 300000), 1);
	assert_non_null(strstr(messages, "too large"));
	assert_int_equal(load_bytes(&engine, big, 256 * 1024), 0);
	free(big);
}

/** xorshift: the same files on every machine. */
static uint32_t rnd(void)
{
	static uint32_t x = 0x6a7e11e5;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x;
}

static size_t mutate(char *text, size_t len, size_t cap)
{
	static const char *const bits[] = {"\t",
					   ": ",
					   "- ",
					   "[",
					   "]",
					   "{",
					   "}",
					   "&a ",
					   "*a",
					   "!!int ",
					   "\"",
					   "'",
					   "|\n",
					   ">\n",
					   "\n",
					   "---\n",
					   "...\n",
					   "%YAML 1.1\n",
					   "? ",
					   "\xff",
					   "\xc3",
					   "\xef\xbb\xbf",
					   "#",
					   "\\",
					   "99999999999999999999",
					   "null",
					   "<<: ",
					   "  ",
					   "clients:\n  - name: x\n",
					   "[[[[[[[[[[",
					   "eal_args: [a, b, \"\", [c]]\n",
					   "veth:",
					   "-1",
					   "0",
					   "\r",
					   "\xc2\x9b"};
	unsigned times = 1 + rnd() % 6;

	while (times--) {
		size_t at = rnd() % (len + 1), n = rnd() % 40;

		switch (rnd() % 5) {
		case 0: /* change a byte */
			if (at < len)
				text[at] = (char)rnd();
			break;
		case 1: /* cut out */
			n = n < len - at ? n : len - at;
			memmove(text + at, text + at + n, len - at - n);
			len -= n;
			break;
		case 2: /* cut off */
			if (rnd() % 4 == 0)
				len = at;
			break;
		case 3: { /* repeat from elsewhere */
			size_t from = rnd() % (len + 1);
			char piece[40];

			n = n < len - from ? n : len - from;
			if (len + n > cap)
				break;
			memcpy(piece, text + from, n);
			memmove(text + at + n, text + at, len - at);
			memcpy(text + at, piece, n);
			len += n;
			break;
		}
		default: { /* something of YAML's */
			const char *bit = bits[rnd() % LEN(bits)];

			n = strlen(bit);
			if (len + n > cap)
				break;
			memmove(text + at + n, text + at, len - at);
			memcpy(text + at, bit, n);
			len += n;
			break;
		}
		}
	}
	return len;
}

static void garbage_neither_crashes_nor_leaves_traces(void **state)
{
	static const char small[] =
	    "name: a\nport:\n  driver: vdev\n  device: x\n  mac: "
	    "02:00:00:00:00:01\nstack:\n  addresses: [10.0.0.1/24, 10.1.0.1/16]\n"
	    "  gateway: 10.0.0.2\neal_args: [a, b, \"c d\"]\nworker: {spin: 5us}\n";
	static const char clients[] = "clients:\n" CLIENT("a", "/a", "10.0.0.1")
	    CLIENT("b", "/b", "10.1.0.0/16") "eal_args: [x]\n";
	struct gz_engine_config edef;
	struct gz_dispatch_config ddef;
	char *full[2], *text;
	unsigned loaded = 0;

	(void)state;
	gz_engine_config_default(&edef);
	gz_dispatch_config_default(&ddef);
	full[0] = printed(&gz_engine_schema, &edef);
	full[1] = printed(&gz_dispatch_schema, &ddef);
	text = malloc(16384);
	for (int i = 0; i < 6000; i++) {
		bool d = i & 1;
		const char *from = i % 3 ? (d ? clients : small) : full[d];
		size_t len = strlen(from);
		int n;

		memcpy(text, from, len);
		len = mutate(text, len, 16384);
		n = load_bytes(d ? (void *)&dispatch : &engine, text, len);
		assert_int_equal(n > 0, messages[0] != '\0');
		if (!n) {
			loaded++;
			if (d)
				round_trip(&dispatch, sizeof(dispatch), &gz_dispatch_schema);
			else
				round_trip(&engine, sizeof(engine), &gz_engine_schema);
		} else if (d) {
			assert_memory_equal(&dispatch, &ddef, sizeof(ddef));
		} else {
			assert_memory_equal(&engine, &edef, sizeof(edef));
		}
		for (const char *p = messages; *p; p++)
			if ((unsigned char)*p < 0x20 && *p != '\n')
				fail_msg("raw control character: %s", messages);
	}
	assert_in_range(loaded, 100, 5900); /* both outcomes are tried */
	free(full[0]);
	free(full[1]);
	free(text);
}

static int teardown(void **state)
{
	(void)state;
	gz_engine_config_free(&engine);
	gz_dispatch_config_free(&dispatch);
	free(messages);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(engine_defaults_are_the_embedded_engine),
	    cmocka_unit_test(dispatch_defaults_have_no_clients),
	    cmocka_unit_test(files_without_keys_mean_the_defaults),
	    cmocka_unit_test(every_type_reads_what_it_should),
	    cmocka_unit_test(bad_values_are_named_with_line_and_column),
	    cmocka_unit_test(unknown_keys_come_with_a_suggestion),
	    cmocka_unit_test(duplicate_keys_name_the_first),
	    cmocka_unit_test(what_is_not_our_yaml_is_refused),
	    cmocka_unit_test(syntax_errors_do_not_hide_errors_before_them),
	    cmocka_unit_test(all_errors_are_printed_in_order),
	    cmocka_unit_test(a_port_block_replaces_the_default_veth_pair),
	    cmocka_unit_test(keys_that_do_not_go_together_are_refused),
	    cmocka_unit_test(checks_keep_quiet_about_keys_already_reported),
	    cmocka_unit_test(clients_are_read_and_kept_apart),
	    cmocka_unit_test(rules_are_read_in_order),
	    cmocka_unit_test(at_most_64_clients),
	    cmocka_unit_test(print_and_load_give_the_same_back),
	    cmocka_unit_test(every_key_prints_and_parses_its_default),
	    cmocka_unit_test(range_ends_are_inside_and_the_next_outside),
	    cmocka_unit_test(committed_files_are_what_print_makes),
	    cmocka_unit_test(commented_examples_are_valid),
	    cmocka_unit_test(examples_load),
	    cmocka_unit_test(files_that_cannot_be_read_are_one_error),
	    cmocka_unit_test(garbage_neither_crashes_nor_leaves_traces),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}

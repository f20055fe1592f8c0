/* SPDX-License-Identifier: BSD-3-Clause
 *
 * config_messages_test.c - Mistakes are named with their place, and all of them
 */
#include "config_load.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(unknown_keys_come_with_a_suggestion),
	    cmocka_unit_test(duplicate_keys_name_the_first),
	    cmocka_unit_test(what_is_not_our_yaml_is_refused),
	    cmocka_unit_test(syntax_errors_do_not_hide_errors_before_them),
	    cmocka_unit_test(all_errors_are_printed_in_order),
	    cmocka_unit_test(files_that_cannot_be_read_are_one_error),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}

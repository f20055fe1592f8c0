/* SPDX-License-Identifier: BSD-3-Clause
 *
 * config_print_test.c - What is printed loads again; committed files, and damaged ones
 */
#include "config_load.h"

#include <glob.h>

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
	    "port: {driver: null}\nstack: {addresses: [1.2.3.4/8]}\n",
	    "port: {driver: pcap, pcap: {receive: /a, send: /b, repeat: true}}\n"
	    "stack: {addresses: [1.2.3.4/8]}\n",
	    "port: {driver: tap}\nstack: "
	    "{addresses: [1.2.3.4/8]}\n",
	    "policy: {loopback: kernel, rules: [{action: engine, uid: 0, ports: 1-2}, "
	    "{action: kernel, net: \"::1\", program: \"a b\", protocol: udp}, "
	    "{action: default, net: 10.0.0.0/8, ports: 7, direction: bind}]}\n",
	    "run_dir: \"/x: #\xc3\xa9\"\n",
	    "ports: [{iface: b, addresses: [10.2.0.2/24, 10.3.0.2/16], vlan: 7},\n"
	    "{driver: vhost, path: /p, mac: 02:00:00:00:00:01, addresses: [10.4.0.2/24]}]\n",
	    "ports: [{veth: {host: gz8, address: 10.2.0.1/24}, addresses: [10.2.0.2/24]},\n"
	    "{driver: memif, path: /m, memif: {role: server, secret: xy}, addresses: "
	    "[10.4.0.2/24]},\n"
	    "{driver: pcap, pcap: {receive: /a, repeat: true}, addresses: [10.5.0.2/24]}]\n"
	    "memory: {mbufs: 16383}\n",
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
	assert_int_equal(load_dispatch("ports: [{name: in, iface: a, vlan: 7, kernel: k},\n"
				       "{name: out, driver: pci, device: 01:00.0, mtu: 9000}]\n"),
			 0);
	round_trip(&dispatch, sizeof(dispatch), &gz_dispatch_schema);
	assert_int_equal(
	    load_dispatch("ports:\n"
			  "  - {name: in, driver: pci, device: 01:00.0, vlan: 7}\n"
			  "  - {name: out, bond: [{iface: a}, {driver: tap, iface: b}],\n"
			  "     probe: [10.0.0.9], kernel: k}\n"
			  "clients: [{name: c, port: in, address: 10.0.0.1}]\n"),
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

/* All that are there; what is named dispatch* is dispatch's */
static void examples_load(void **state)
{
	unsigned engines = 0, dispatchers = 0;
	glob_t all;

	(void)state;
	assert_int_equal(glob("config/examples/*.yaml", 0, NULL, &all), 0);
	for (size_t i = 0; i < all.gl_pathc; i++) {
		const char *path = all.gl_pathv[i];

		if (strstr(path, "/dispatch")) {
			assert_int_equal(gz_dispatch_config_load(path, &dispatch, stderr), 0);
			assert_true(dispatch.nclients > 0);
			dispatchers++;
		} else {
			assert_int_equal(gz_engine_config_load(path, &engine, stderr), 0);
			engines++;
		}
	}
	globfree(&all);
	assert_true(engines >= 3 && dispatchers >= 4);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(print_and_load_give_the_same_back),
	    cmocka_unit_test(every_key_prints_and_parses_its_default),
	    cmocka_unit_test(range_ends_are_inside_and_the_next_outside),
	    cmocka_unit_test(committed_files_are_what_print_makes),
	    cmocka_unit_test(commented_examples_are_valid),
	    cmocka_unit_test(examples_load),
	    cmocka_unit_test(garbage_neither_crashes_nor_leaves_traces),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * stats.c - gazelle-ctl stats: every counter that the engine offers
 *
 * One table lists the sections: the member in --json, the command that fetches
 * it, and how people see it.
 */
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/table.h"
#include "ctl/telemetry.h"

#define INDENT 2

static void print_dict(const json_t *dict)
{
	table_dict(dict, INDENT);
}

static void print_ports(const json_t *ports)
{
	ports_print(ports, INDENT);
}

/*
 * print_proto() - Counters by protocol
 * @dict:	Keys such as tcp_rx: the protocol is what precedes the first "_"
 *
 * A protocol's counters need not be neighbours in the dict: they are gathered.
 */
static void print_proto(const json_t *dict)
{
	struct table t = {.ncolumns = 3, .right = {[2] = true}};
	json_t *d = (json_t *)dict; /* read only; jansson's iterators are not const */

	for (void *i = json_object_iter(d); i; i = json_object_iter_next(d, i)) {
		const char *key = json_object_iter_key(i);
		size_t prefix = strcspn(key, "_");
		bool seen = false;

		for (void *j = json_object_iter(d); j != i; j = json_object_iter_next(d, j)) {
			const char *k = json_object_iter_key(j);

			if (strcspn(k, "_") == prefix && !strncmp(k, key, prefix))
				seen = true;
		}
		if (seen)
			continue;
		for (void *j = i; j; j = json_object_iter_next(d, j)) {
			const char *k = json_object_iter_key(j);

			if (strcspn(k, "_") != prefix || strncmp(k, key, prefix))
				continue;
			table_cellf(&t, "%.*s", j == i ? (int)prefix : 0, key);
			table_cell(&t, k[prefix] ? k + prefix + 1 : "");
			table_json(&t, json_object_iter_value(j));
		}
	}
	table_print(&t, INDENT);
}

/* Only what happened: there may be a counter for everything that could */
static void print_happened(const json_t *dict)
{
	json_t *happened = json_object(), *value;
	const char *key;

	json_object_foreach((json_t *)dict, key, value)
	{
		if (!json_is_integer(value) || json_integer_value(value))
			json_object_set(happened, key, value);
	}
	if (json_object_size(happened))
		table_dict(happened, INDENT);
	else
		printf("%*snothing\n", INDENT, "");
	json_decref(happened);
}

static void print_clients(const json_t *rows)
{
	if (json_array_size(rows))
		table_objects(rows, INDENT);
	else
		printf("%*snone\n", INDENT, "");
}

static const struct section {
	const char *name;
	const char *command;
	json_t *(*get)(struct telemetry *t, const char *command);
	void (*print)(const json_t *value);
} sections[] = {
    {"engine", "/gazelle/engine", telemetry_get, print_dict},
    {"port", "/gazelle/port", ports_get, print_ports},
    {"proto", "/gazelle/proto", telemetry_get, print_proto},
    {"refused", "/gazelle/refused", telemetry_get, print_happened},
    {"calls", "/gazelle/calls", telemetry_get, print_happened},
    {"setsockopt", "/gazelle/setsockopt", telemetry_get, print_happened},
    {"getsockopt", "/gazelle/getsockopt", telemetry_get, print_happened},
    {"clients", "/gazelle/clients", telemetry_get_all, print_clients},
};

#define NSECTIONS (sizeof(sections) / sizeof(sections[0]))

static void print_section(const struct section *s, const json_t *value)
{
	printf("%s\n", s->name);
	if (json_is_null(value))
		printf("%*snot offered by this engine\n", INDENT, "");
	else
		s->print(value);
}

int ctl_stats(const struct ctl *ctl, int argc, char **argv)
{
	int status = ctl_no_arguments(argc, argv);
	struct telemetry *t;
	json_t *all;

	if (status)
		return status;
	t = telemetry_open(ctl->engine);
	if (!t)
		return CTL_FAILED;

	/* Everything is fetched before anything is printed: all or nothing */
	all = json_object();
	for (size_t i = 0; i < NSECTIONS; i++) {
		json_t *value = sections[i].get(t, sections[i].command);

		if (!value) {
			status = CTL_FAILED;
			goto out;
		}
		json_object_set_new(all, sections[i].name, value);
	}

	if (ctl->json) {
		json_emit(all);
		goto out;
	}
	for (size_t i = 0; i < NSECTIONS; i++) {
		if (i)
			putchar('\n');
		print_section(&sections[i], json_object_get(all, sections[i].name));
	}
out:
	json_decref(all);
	telemetry_close(t);
	return status;
}

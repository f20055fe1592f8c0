// SPDX-License-Identifier: BSD-3-Clause
/*
 * port.c - gazelle-ctl port: the Ethernet ports, their links, offloads and counters
 */
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/table.h"
#include "ctl/telemetry.h"

#define INDENT 2

static const char *name_of(const json_t *port)
{
	const char *name = json_string_value(json_object_get(port, "interface"));

	return name ? name : "";
}

json_t *ports_get(struct telemetry *t, const char *command)
{
	json_t *first = telemetry_get(t, command), *all, *port;
	json_int_t n = first ? json_integer_value(json_object_get(first, "ports")) : 0;
	char next[64];

	if (n < 2)
		return first;
	all = json_array();
	json_array_append_new(all, first);
	for (json_int_t i = 1; i < n; i++) {
		snprintf(next, sizeof(next), "%s,%d", command, (int)i);
		port = telemetry_get(t, next);
		if (!port) {
			json_decref(all);
			return NULL;
		}
		json_array_append_new(all, port);
	}
	return all;
}

void ports_print(const json_t *ports, unsigned indent)
{
	const json_t *port;
	size_t i;

	if (!json_is_array(ports)) {
		table_dict(ports, indent);
		return;
	}
	json_array_foreach(ports, i, port)
	{
		printf("%*s%s\n", (int)indent, "", name_of(port));
		table_dict(port, indent + INDENT);
	}
}

/* The one that is called @name, in place of all.  Return: NULL, there is none */
static json_t *choose(json_t *ports, const char *name)
{
	json_t *port, *found = NULL;
	size_t i;

	if (!json_is_array(ports))
		return strcmp(name_of(ports), name) ? NULL : ports;
	json_array_foreach(ports, i, port)
	{
		if (!strcmp(name_of(port), name))
			found = json_incref(port);
	}
	if (found)
		json_decref(ports);
	return found;
}

int ctl_port(const struct ctl *ctl, int argc, char **argv)
{
	int status = CTL_OK;
	struct telemetry *t;
	json_t *ports, *one;

	if (argc > 2) {
		fputs("gazelle-ctl: `port' takes the name of one\n", stderr);
		return CTL_USAGE;
	}
	t = telemetry_open(ctl->engine);
	if (!t)
		return CTL_FAILED;
	ports = ports_get(t, "/gazelle/port");
	telemetry_close(t);
	if (!ports)
		return CTL_FAILED;
	one = argc > 1 ? choose(ports, argv[1]) : ports;
	if (!one) {
		fprintf(stderr, "gazelle-ctl: engine `%s' has no port `%s'\n", ctl->engine,
			argv[1]);
		status = CTL_FAILED;
	} else if (ctl->json) {
		json_emit(one);
	} else {
		ports_print(one, 0);
	}
	json_decref(one ? one : ports);
	return status;
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * dispatch.c - gazelle-ctl dispatch: the counters of a gazelle-dispatch
 *
 * It answers with one flat object, OWNER_COUNTER: value.  Counters' names have
 * no underscore, owners' may: the last one divides.  An owner is "port", a client,
 * or one of the few that have a figure only, such as "worker".
 */
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/table.h"
#include "ctl/telemetry.h"

#define COMMAND "/gazelle/dispatch"
#define KEY_MAX 128

/* Return: an array of objects, one an owner, in the order of first sight. */
static json_t *by_owner(const json_t *flat)
{
	json_t *rows = json_array(), *value;
	const char *key;

	json_object_foreach((json_t *)flat, key, value)
	{
		const char *cut = strrchr(key, '_');
		json_t *row = NULL, *r;
		char owner[KEY_MAX];
		size_t i;

		if (!cut || cut == key || (size_t)(cut - key) >= sizeof(owner))
			continue;
		memcpy(owner, key, (size_t)(cut - key));
		owner[cut - key] = '\0';
		json_array_foreach(rows, i, r)
		{
			if (!strcmp(json_string_value(json_object_get(r, "name")), owner))
				row = r;
		}
		if (!row) {
			row = json_pack("{s:s}", "name", owner);
			json_array_append_new(rows, row);
		}
		json_object_set(row, cut + 1, value);
	}
	return rows;
}

/* Has it sent and received?  Port and clients do, the worker does not. */
static bool passes_frames(const json_t *row)
{
	return json_object_get(row, "rx") != NULL;
}

/* First who passes frames, in one table, then the single figures. */
static void print(const json_t *rows)
{
	json_t *table = json_array(), *row, *value;
	const char *key;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		if (passes_frames(row))
			json_array_append(table, row);
	}
	table_objects(table, 0);
	json_decref(table);
	putchar('\n');
	json_array_foreach(rows, i, row)
	{
		if (passes_frames(row))
			continue;
		json_object_foreach(row, key, value)
		{
			if (json_is_integer(value))
				printf("%s %s %" JSON_INTEGER_FORMAT "\n",
				       json_string_value(json_object_get(row, "name")), key,
				       json_integer_value(value));
		}
	}
}

int ctl_dispatch(const struct ctl *ctl, int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "dispatch";
	struct telemetry *t;
	json_t *flat, *rows;

	if (argc > 2)
		return ctl_no_arguments(argc - 1, argv + 1);
	if (!ctl_valid_name(name)) {
		fprintf(stderr, "gazelle-ctl: `%s' cannot be the name of a dispatcher\n", name);
		return CTL_USAGE;
	}
	t = telemetry_open(name);
	if (!t)
		return CTL_FAILED;
	flat = telemetry_get(t, COMMAND);
	telemetry_close(t);
	if (!json_is_object(flat)) {
		if (flat)
			fprintf(stderr, "gazelle-ctl: `%s' is no gazelle-dispatch\n", name);
		json_decref(flat);
		return CTL_FAILED;
	}
	rows = by_owner(flat);
	if (ctl->json)
		json_emit(rows);
	else
		print(rows);
	json_decref(rows);
	json_decref(flat);
	return CTL_OK;
}

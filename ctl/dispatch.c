// SPDX-License-Identifier: BSD-3-Clause
/*
 * dispatch.c - gazelle-ctl dispatch: a gazelle-dispatch, its counters and ports
 *
 * A first word that is none of the verbs is the dispatcher's name: "show" is meant.
 *
 * To "show" it answers with one flat object, OWNER_COUNTER: value.  Counters' names have
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

/* --- verbs ------------------------------------------------------------------ */

static int show(const struct ctl *ctl, struct telemetry *t, const char *name)
{
	json_t *flat = telemetry_get(t, COMMAND), *rows;

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

static int bond(const struct ctl *ctl, struct telemetry *t, const char *name)
{
	json_t *answer = telemetry_get(t, COMMAND "/bond"), *rows, *row;
	const char *key;

	if (!json_is_object(answer)) {
		if (answer)
			fprintf(stderr, "gazelle-ctl: `%s' is no gazelle-dispatch\n", name);
		json_decref(answer);
		return CTL_FAILED;
	}
	if (ctl->json) {
		json_emit(answer);
	} else {
		rows = json_array();
		json_object_foreach(json_object_get(answer, "ports"), key, row)
		    json_array_append(rows, row);
		table_objects(rows, 0);
		json_decref(rows);
		printf("\nswitches %" JSON_INTEGER_FORMAT "\n",
		       json_integer_value(json_object_get(answer, "switches")));
	}
	json_decref(answer);
	return CTL_OK;
}

static const struct {
	const char *name;
	int (*run)(const struct ctl *ctl, struct telemetry *t, const char *name);
} verbs[] = {
    {"show", show}, /* the default */
    {"bond", bond},
};

int ctl_dispatch(const struct ctl *ctl, int argc, char **argv)
{
	const size_t n = sizeof(verbs) / sizeof(verbs[0]);
	const char *name = "dispatch";
	struct telemetry *t;
	size_t verb = 0;
	int at = 1, status;

	for (size_t i = 0; i < n && argc > 1; i++) {
		if (!strcmp(argv[1], verbs[i].name)) {
			verb = i;
			at = 2;
		}
	}
	if (at < argc)
		name = argv[at++];
	if (at < argc)
		return ctl_no_arguments(argc - at + 1, argv + at - 1);
	if (!ctl_valid_name(name)) {
		fprintf(stderr, "gazelle-ctl: `%s' cannot be the name of a dispatcher\n", name);
		return CTL_USAGE;
	}
	t = telemetry_open(name);
	if (!t)
		return CTL_FAILED;
	status = verbs[verb].run(ctl, t, name);
	telemetry_close(t);
	return status;
}

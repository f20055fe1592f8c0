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
#include <unistd.h>

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

/* @answer: not what a dispatcher says; taken.  Return: CTL_FAILED */
static int not_one(json_t *answer, const char *name)
{
	if (answer)
		fprintf(stderr, "gazelle-ctl: `%s' is no gazelle-dispatch\n", name);
	json_decref(answer);
	return CTL_FAILED;
}

static int show(const struct ctl *ctl, struct telemetry *t, const char *name, char **args)
{
	json_t *flat = telemetry_get(t, COMMAND), *rows;

	(void)args;
	if (!json_is_object(flat))
		return not_one(flat, name);
	rows = by_owner(flat);
	if (ctl->json)
		json_emit(rows);
	else
		print(rows);
	json_decref(rows);
	json_decref(flat);
	return CTL_OK;
}

static int bond(const struct ctl *ctl, struct telemetry *t, const char *name, char **args)
{
	json_t *answer = telemetry_get(t, COMMAND "/bond"), *rows, *row;
	const char *key;

	(void)args;
	if (!json_is_object(answer))
		return not_one(answer, name);
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

static int clients(const struct ctl *ctl, struct telemetry *t, const char *name, char **args)
{
	json_t *rows = telemetry_get_all(t, COMMAND "/clients");

	(void)args;
	if (!json_is_array(rows))
		return not_one(rows, name);
	if (ctl->json)
		json_emit(rows);
	else
		table_objects(rows, 0);
	json_decref(rows);
	return CTL_OK;
}

/* What changes in a second, of who passes frames */
static int rate(const struct ctl *ctl, struct telemetry *t, const char *name, char **args)
{
	json_t *before = telemetry_get(t, COMMAND), *after = NULL, *rates = json_object(), *rows,
	       *v;
	const char *key;

	(void)args;
	sleep(1);
	if (json_is_object(before))
		after = telemetry_get(t, COMMAND);
	if (!json_is_object(after)) {
		json_decref(rates);
		json_decref(after);
		return not_one(before, name);
	}
	json_object_foreach(after, key, v)
	{
		const char *cut = strrchr(key, '_');

		if (cut && strcmp(cut, "_link") && strcmp(cut, "_sessions") &&
		    strcmp(key, "mbufs_free") && strcmp(key, "memory_faults"))
			json_object_set_new(
			    rates, key,
			    json_integer(json_integer_value(v) -
					 json_integer_value(json_object_get(before, key))));
	}
	rows = by_owner(rates);
	if (ctl->json)
		json_emit(rows);
	else
		print(rows);
	json_decref(rows);
	json_decref(rates);
	json_decref(before);
	json_decref(after);
	return CTL_OK;
}

/* An order, which is answered by what was done */
static int order(const struct ctl *ctl, struct telemetry *t, const char *command)
{
	json_t *answer = telemetry_get(t, command);

	if (json_is_string(answer)) { /* why not */
		fprintf(stderr, "%s%s", json_string_value(answer),
			strchr(json_string_value(answer), '\n') ? "" : "\n");
		json_decref(answer);
		return CTL_FAILED;
	}
	if (!json_is_object(answer)) {
		fprintf(stderr, "gazelle-ctl: %s was refused\n", command + strlen(COMMAND) + 1);
		json_decref(answer);
		return CTL_FAILED;
	}
	if (ctl->json)
		json_emit(answer);
	json_decref(answer);
	return CTL_OK;
}

static int set(const struct ctl *ctl, struct telemetry *t, const char *name, char **args)
{
	char command[KEY_MAX];

	(void)name;
	if (strcmp(args[0], "loglevel")) {
		fprintf(stderr, "gazelle-ctl: `%s' cannot be set: expected loglevel\n", args[0]);
		return CTL_USAGE;
	}
	snprintf(command, sizeof(command), COMMAND "/loglevel,%.32s", args[1]);
	return order(ctl, t, command);
}

static int reload(const struct ctl *ctl, struct telemetry *t, const char *name, char **args)
{
	(void)name;
	(void)args;
	return order(ctl, t, COMMAND "/reload");
}

static int quit(const struct ctl *ctl, struct telemetry *t, const char *name, char **args)
{
	(void)name;
	(void)args;
	return order(ctl, t, COMMAND "/quit");
}

static const struct {
	const char *name;
	int (*run)(const struct ctl *ctl, struct telemetry *t, const char *name, char **args);
	int nargs;
} verbs[] = {
    {"show", show, 0}, /* the default */
    {"rate", rate, 0}, {"clients", clients, 0}, {"bond", bond, 0},
    {"set", set, 2},   {"reload", reload, 0},	{"quit", quit, 0},
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
			at = 2 + verbs[i].nargs;
		}
	}
	if (at > argc) {
		fprintf(stderr, "gazelle-ctl: dispatch %s: expected %d more words\n", argv[1],
			verbs[verb].nargs);
		return CTL_USAGE;
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
	status = verbs[verb].run(ctl, t, name, argv + 2);
	telemetry_close(t);
	return status;
}

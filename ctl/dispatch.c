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
#define COMMAND_MAX 1024

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
			else if (strcmp(key, "name") && *json_string_value(value))
				printf("%s %s: %s\n",
				       json_string_value(json_object_get(row, "name")), key,
				       json_string_value(value));
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

/* What is answered in rows */
static int print_rows(const struct ctl *ctl, struct telemetry *t, const char *name,
		      const char *command)
{
	json_t *rows = telemetry_get_all(t, command);

	if (!json_is_array(rows))
		return not_one(rows, name);
	if (ctl->json)
		json_emit(rows);
	else
		table_objects(rows, 0);
	json_decref(rows);
	return CTL_OK;
}

static int clients(const struct ctl *ctl, struct telemetry *t, const char *name, char **args)
{
	(void)args;
	return print_rows(ctl, t, name, COMMAND "/clients");
}

static int latency(const struct ctl *ctl, struct telemetry *t, const char *name, char **args)
{
	(void)args;
	return print_rows(ctl, t, name, COMMAND "/latency");
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
		    strcmp(key, "mbufs_free") && strcmp(key, "backlog_frames") &&
		    strcmp(key, "memory_faults") && strncmp(key, "bifurcation_", 12))
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

/* @words: as they are after "set", the last one is the value.  Of any text: the policy is */
static int set(const struct ctl *ctl, struct telemetry *t, char **words, unsigned n)
{
	char command[COMMAND_MAX] = COMMAND "/";
	size_t len = strlen(command);

	for (unsigned i = 0; i < n; i++) {
		int k = snprintf(command + len, sizeof(command) - len, "%s%s",
				 i > 1	 ? " "
				 : i > 0 ? ","
					 : "",
				 words[i]);

		if (k < 0 || (size_t)k >= sizeof(command) - len) {
			fprintf(stderr, "gazelle-ctl: too long: `%s'\n", words[i]);
			return CTL_USAGE;
		}
		len += (size_t)k;
	}
	return ctl_order(ctl, t, command);
}

static int set_one(const struct ctl *ctl, struct telemetry *t, const char *name, char **args)
{
	(void)name;
	return set(ctl, t, args, 2);
}

static int set_limit(const struct ctl *ctl, struct telemetry *t, const char *name, char **args)
{
	(void)name;
	return set(ctl, t, args, 4);
}

static int reload(const struct ctl *ctl, struct telemetry *t, const char *name, char **args)
{
	(void)name;
	(void)args;
	return ctl_order(ctl, t, COMMAND "/reload");
}

static int quit(const struct ctl *ctl, struct telemetry *t, const char *name, char **args)
{
	(void)name;
	(void)args;
	return ctl_order(ctl, t, COMMAND "/quit");
}

static const struct {
	const char *name, *word; /* word: the next one, unless NULL */
	int (*run)(const struct ctl *ctl, struct telemetry *t, const char *name, char **args);
	int nargs; /* with the word */
} verbs[] = {
    {"show", NULL, show, 0}, /* the default */
    {"rate", NULL, rate, 0},	    {"clients", NULL, clients, 0},   {"bond", NULL, bond, 0},
    {"latency", NULL, latency, 0},  {"set", "loglevel", set_one, 2}, {"set", "policy", set_one, 2},
    {"set", "limit", set_limit, 4}, {"reload", NULL, reload, 0},     {"quit", NULL, quit, 0},
};

#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

/* Return: its number; VERBS if it is one that has another word */
static size_t find_verb(int argc, char **argv)
{
	size_t found = 0; /* else it is a name */

	for (size_t i = 0; i < VERBS && argc > 1; i++) {
		if (strcmp(argv[1], verbs[i].name))
			continue;
		if (!verbs[i].word || (argc > 2 && !strcmp(argv[2], verbs[i].word)))
			return i;
		found = VERBS;
	}
	return found;
}

int ctl_dispatch(const struct ctl *ctl, int argc, char **argv)
{
	size_t verb = find_verb(argc, argv);
	const char *name = "dispatch";
	struct telemetry *t;
	int at = 1, status;

	if (verb == VERBS) {
		fprintf(stderr,
			"gazelle-ctl: `%s' cannot be set: expected loglevel, limit or "
			"policy\n",
			argc > 2 ? argv[2] : "");
		return CTL_USAGE;
	}
	if (argc > 1 && !strcmp(argv[1], verbs[verb].name))
		at = 2 + verbs[verb].nargs;
	if (at > argc) {
		const char *word = verbs[verb].word;

		fprintf(stderr, "gazelle-ctl: dispatch %s%s%s: expected %d more words\n", argv[1],
			word ? " " : "", word ? word : "", verbs[verb].nargs - (word != NULL));
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

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ctl.h - What the verbs of gazelle-ctl share
 *
 * A verb is one file and one line of the table in main.c.  It gets the parsed
 * global options and its own arguments, talks to the engine through
 * telemetry.h, prints through table.h, and returns an exit status.
 */
#ifndef GZ_CTL_H
#define GZ_CTL_H

#include <jansson.h>
#include <stdbool.h>

enum ctl_exit {
	CTL_OK = 0,
	CTL_FAILED = 1, /* engine not running, or it did not answer */
	CTL_USAGE = 2,
};

struct ctl {
	const char *engine; /* -e NAME; valid file name, from argv */
	bool json;	    /* --json */
};

/**
 * ctl_verb_fn - Run one verb
 * @ctl:	Global options
 * @argc:	Number of words in @argv, the verb itself being argv[0]
 * @argv:	Verb and its arguments, options removed
 *
 * Return: an exit status; whatever went wrong has been said on stderr.
 */
typedef int ctl_verb_fn(const struct ctl *ctl, int argc, char **argv);

ctl_verb_fn ctl_why, ctl_port, ctl_stats, ctl_ss, ctl_planes, ctl_routes, ctl_workers, ctl_dispatch,
    ctl_set;

struct telemetry;
/**
 * ports_get() - The ports of an engine
 * @command:	"/gazelle/port"
 *
 * Return: an object, of several an array of them, a new reference; NULL on failure
 */
json_t *ports_get(struct telemetry *t, const char *command);
/** ports_print() - What ports_get() gave, for people */
void ports_print(const json_t *ports, unsigned indent);
/** ctl_order() - Run a command that is answered by what was done, or why not.  Return: exit status
 */
int ctl_order(const struct ctl *ctl, struct telemetry *t, const char *command);

/** ctl_no_arguments() - CTL_OK if the verb stands alone, else says so and CTL_USAGE */
int ctl_no_arguments(int argc, char **argv);

/** ctl_valid_name() - May @name be an engine's or a dispatcher's?  It is part of a path. */
bool ctl_valid_name(const char *name);

#endif

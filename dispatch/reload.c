/* SPDX-License-Identifier: BSD-3-Clause
 *
 * reload.c - The configuration is read again
 *
 * Theory of operation: on SIGHUP main loads the file beside the configuration in force.
 * A mistake, and what cannot change while dispatch runs, is reported with its line, and
 * nothing changes.  Else clients, limits and rules go to the worker as one new table
 * (clients.c), of which it takes notice between two bursts.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch/dispatch.h"

/** change() - Return: false with the reason in @text */
static bool change(struct dispatch *d, char *text, size_t n)
{
	struct gz_dispatch_config *c;
	FILE *f = fmemopen(text, n, "w");
	int errors = 1;

	text[0] = '\0';
	c = calloc(1, sizeof(*c));
	if (!d->file)
		snprintf(text, n, "no file was given with --config");
	else if (!f || !c)
		snprintf(text, n, "no memory");
	else
		errors = gz_dispatch_config_reload(d->file, d->whole, c, f);
	if (f)
		fclose(f);
	text[n - 1] = '\0';
	if (!errors && !c->nclients) {
		snprintf(text, n, "%s:1:1: no clients: expected `clients:`", d->file);
		errors = 1;
	}
	if (!errors && clients_change(d, c, text, n))
		errors = 1;
	if (!errors && c->log != d->config.log) {
		d->config.log = c->log;
		set_log_level(c->log);
	}
	if (c)
		gz_dispatch_config_free(c);
	free(c);
	return !errors;
}

static void tell(enum gz_log_level level, char *text)
{
	char *rest = text, *line;

	while ((line = strsep(&rest, "\n")))
		if (*line)
			say(level, "%s", line);
}

bool order_reload(struct dispatch *d, char *params, char *text, size_t n)
{
	char lines[ORDER_TEXT_MAX];

	(void)params;
	if (change(d, text, n)) {
		say(GZ_LOG_INFO, "%s: read again, %u clients", d->file, clients_count(d));
		return true;
	}
	say(GZ_LOG_ERROR, "the configuration stays as it was:");
	snprintf(lines, sizeof(lines), "%s", text);
	tell(GZ_LOG_ERROR, lines);
	return false;
}

void reload(struct dispatch *d)
{
	char text[ORDER_TEXT_MAX];

	order_reload(d, NULL, text, sizeof(text));
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * reload.c - The configuration is read again
 *
 * Theory of operation: on SIGHUP main loads the file beside the configuration in force.
 * A mistake, and what cannot change while dispatch runs, is reported with its line, and
 * nothing changes.  Else clients, limits and rules go to the worker as one new table
 * (clients.c), of which it takes notice between two bursts.  gazelle-ctl's order
 * is the same signal; who gave it waits for what comes of it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dispatch/dispatch.h"

#define WAIT_S 10

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
		errors = gz_dispatch_config_reload(d->file, &d->config, c, f);
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

void reload(struct dispatch *d)
{
	char text[sizeof(d->reload.text)];
	bool fine = change(d, text, sizeof(text));

	pthread_mutex_lock(&d->reload.lock);
	memcpy(d->reload.text, fine ? "" : text, fine ? 1 : sizeof(text));
	d->reload.done++;
	pthread_cond_broadcast(&d->reload.over);
	pthread_mutex_unlock(&d->reload.lock);
	if (fine) {
		say(GZ_LOG_INFO, "%s: read again, %u clients", d->file, d->config.nclients);
		return;
	}
	say(GZ_LOG_ERROR, "the configuration stays as it was:");
	tell(GZ_LOG_ERROR, text);
}

int reload_ask(struct dispatch *d, char *text, size_t n)
{
	struct timespec until;
	unsigned long done;
	int rc = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_S;
	pthread_mutex_lock(&d->reload.lock);
	done = d->reload.done;
	kill(getpid(), SIGHUP);
	while (d->reload.done == done && !rc)
		rc = pthread_cond_timedwait(&d->reload.over, &d->reload.lock, &until);
	snprintf(text, n, "%s", rc ? "no answer: see the log" : d->reload.text);
	pthread_mutex_unlock(&d->reload.lock);
	return text[0] ? -1 : 0;
}

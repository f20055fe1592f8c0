/* SPDX-License-Identifier: BSD-3-Clause
 *
 * orders.c - What gazelle-ctl has main do: see orders.h
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "dispatch/dispatch.h"

#define WAIT_S 10

void orders_init(struct dispatch *d)
{
	pthread_mutex_init(&d->orders.turn, NULL);
	pthread_mutex_init(&d->orders.lock, NULL);
	pthread_cond_init(&d->orders.over, NULL);
}

void orders_run(struct dispatch *d)
{
	char params[ORDER_PARAMS_MAX], text[ORDER_TEXT_MAX] = "";
	struct orders *o = &d->orders;
	order_fn *fn;
	bool fine;

	pthread_mutex_lock(&o->lock);
	fn = o->fn;
	o->fn = NULL;
	memcpy(params, o->params, sizeof(params));
	pthread_mutex_unlock(&o->lock);
	if (!fn)
		return;
	fine = fn(d, params, text, sizeof(text));
	pthread_mutex_lock(&o->lock);
	memcpy(o->text, fine ? "" : text, fine ? 1 : sizeof(text));
	o->done++;
	pthread_cond_broadcast(&o->over);
	pthread_mutex_unlock(&o->lock);
}

int order_ask(struct dispatch *d, order_fn *fn, const char *params, char *text, size_t n)
{
	struct orders *o = &d->orders;
	struct timespec until;
	unsigned long done;
	int rc = 0;

	if (strlen(params) >= sizeof(o->params)) {
		snprintf(text, n, "too long: expected up to %zu bytes", sizeof(o->params) - 1);
		return -1;
	}
	pthread_mutex_lock(&o->turn);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_S;
	pthread_mutex_lock(&o->lock);
	done = o->done;
	o->fn = fn;
	strcpy(o->params, params);
	kill(getpid(), SIGUSR2);
	while (o->done == done && !rc)
		rc = pthread_cond_timedwait(&o->over, &o->lock, &until);
	snprintf(text, n, "%s", rc ? "no answer: see the log" : o->text);
	pthread_mutex_unlock(&o->lock);
	pthread_mutex_unlock(&o->turn);
	return text[0] ? -1 : 0;
}

/* --- limits ---------------------------------------------------------------- */

bool order_limit(struct dispatch *d, char *params, char *text, size_t n)
{
	char *save = NULL, *client = strtok_r(params, " ", &save);
	char *key = strtok_r(NULL, " ", &save), *value = strtok_r(NULL, " ", &save), *end;
	unsigned long long rate;

	if (!value || strtok_r(NULL, " ", &save)) {
		gz_failed(text, n, EINVAL, "expected CLIENT KEY VALUE");
		return false;
	}
	rate = strtoull(value, &end, 10);
	if (*value < '0' || *value > '9' || *end || rate > UINT32_MAX) {
		gz_failed(text, n, EINVAL, "`%s': expected a number, 0 to %u", value, UINT32_MAX);
		return false;
	}
	if (client_limit(port_of_client(d, client), client, key, (uint32_t)rate, text, n))
		return false;
	say(GZ_LOG_INFO, "client %s: %s is %llu now", client, key, rate);
	return true;
}

/* --- policy ---------------------------------------------------------------- */

#define FILE_OF_RULES                                                                              \
	"port: {driver: af_packet, iface: any}\n"                                                  \
	"kernel: {iface: any, rules: [%s]}\n"

/** read_rules() - As a file with them and what they are not allowed without.  Return: false with
 * the reason in @text */
static bool read_rules(const char *rules, struct gz_dispatch_config *c, char *text, size_t n)
{
	int fd = memfd_create("rules", MFD_CLOEXEC);
	FILE *f = fmemopen(text, n, "w");
	char path[32];
	int errors = -1;

	text[0] = '\0';
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (f && fd >= 0 && dprintf(fd, FILE_OF_RULES, rules) > 0)
		errors = gz_dispatch_config_load(path, c, f);
	if (f)
		fclose(f);
	if (fd >= 0)
		close(fd);
	text[n - 1] = '\0';
	if (errors > 0) { /* the place in that file says nothing to who gave the order */
		char *what = strstr(text, ": ");

		if (what)
			memmove(text, what + 2, strlen(what + 2) + 1);
	} else if (errors < 0) {
		snprintf(text, n, "no memory");
	}
	return !errors;
}

bool order_policy(struct dispatch *d, char *params, char *text, size_t n)
{
	struct gz_dispatch_config *c = calloc(1, sizeof(*c));
	bool fine = false;

	if (!has_kernel(d)) {
		gz_failed(text, n, ENOENT, "no kernel.iface is configured");
	} else if (d->config.kernel_own[0]) {
		gz_failed(text, n, EINVAL, "not with kernel.bifurcate");
	} else if (!c) {
		gz_failed(text, n, ENOMEM, "no memory");
	} else if (read_rules(strcmp(params, "none") ? params : "", c, text, n)) {
		fine = true;
		for (struct dispatch *p = d; p; p = p->next)
			fine &= !clients_rules(p, c->kernel_rules, c->nkernel_rules);
		gz_dispatch_config_free(c);
		if (fine)
			say(GZ_LOG_INFO, "kernel.rules are [%s] now", params);
		else
			gz_failed(text, n, ENOMEM, "no memory");
	}
	free(c);
	return fine;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ports.c - The ports of a dispatcher, which have nothing to do with each other
 *
 * Each is a struct dispatch with what the configuration says of it; main does for all what
 * it does for one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch/dispatch.h"
#include "dispatch/groups.h"

struct dispatch *ports_new(const struct gz_dispatch_config *whole, const char *file)
{
	unsigned n = whole->nports ? whole->nports : 1;
	struct dispatch *d = calloc(n, sizeof(*d));

	for (unsigned i = 0; d && i < n; i++) {
		gz_dispatch_config_of(whole, i, &d[i].config);
		d[i].number = i;
		d[i].name = whole->nports ? whole->ports[i].name : "";
		d[i].next = i + 1 < n ? &d[i + 1] : NULL;
		d[i].whole = whole;
		d[i].file = file;
		d[i].kernel.fd = -1;
		pthread_mutex_init(&d[i].bifurcation.lock, NULL);
	}
	return d;
}

void ports_free(struct dispatch *first)
{
	free(first);
}

static int open_one(struct dispatch *d, char *err, size_t n)
{
	int rc = wire_open(d, err, n);

	if (rc)
		return rc;
	if (err[0])
		say(GZ_LOG_INFO, "%s", err);
	d->groups = groups_new(d->number);
	if (!d->groups)
		return gz_failed(err, n, ENOMEM, "no memory");
	return kernel_open(d, err, n);
}

int ports_open(struct dispatch *first, char *err, size_t n)
{
	int rc = 0;

	for (struct dispatch *d = first; d && !rc; d = d->next)
		rc = open_one(d, err, n);
	return rc;
}

void ports_close(struct dispatch *first)
{
	for (struct dispatch *d = first; d; d = d->next) {
		kernel_close(d);
		groups_free(d->groups);
		wire_close(d);
	}
}

struct dispatch *port_of_client(struct dispatch *first, const char *name)
{
	for (struct dispatch *d = first; d; d = d->next) {
		if (client_find(d, name) >= 0)
			return d;
	}
	return first;
}

struct dispatch *port_by_number(struct dispatch *first, unsigned number)
{
	struct dispatch *d = first;

	while (d && d->number != number)
		d = d->next;
	return d;
}

bool has_kernel(const struct dispatch *first)
{
	for (const struct dispatch *d = first; d; d = d->next) {
		if (d->kernel.fd >= 0)
			return true;
	}
	return false;
}

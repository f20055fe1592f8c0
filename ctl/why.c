// SPDX-License-Identifier: BSD-3-Clause
/*
 * why.c - gazelle-ctl why PID [FD]: whose a socket is, and which rule said so
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/table.h"
#include "ctl/telemetry.h"

/* A number without a sign; -1: it is none. */
static long number(const char *text)
{
	char *end;
	long v;

	if (!*text || strspn(text, "0123456789") != strlen(text))
		return -1;
	v = strtol(text, &end, 10);
	return v > 0x7fffffff ? -1 : v;
}

int ctl_why(const struct ctl *ctl, int argc, char **argv)
{
	long pid = argc > 1 ? number(argv[1]) : -1, fd = argc > 2 ? number(argv[2]) : -1;
	struct telemetry *t;
	json_t *rows, *row;
	char command[64];
	int status = CTL_OK;
	size_t i;

	if (argc < 2 || argc > 3 || pid < 1 || (argc == 3 && fd < 0)) {
		fputs("gazelle-ctl: `why' takes a process's number and, if only that is wanted, "
		      "a descriptor's\n",
		      stderr);
		return CTL_USAGE;
	}
	t = telemetry_open(ctl->engine);
	if (!t)
		return CTL_FAILED;
	snprintf(command, sizeof(command), "/gazelle/why,%ld", pid);
	rows = telemetry_get_all(t, command);
	telemetry_close(t);
	if (!rows)
		return CTL_FAILED;
	if (json_is_string(rows)) { /* why not */
		fprintf(stderr, "gazelle-ctl: process %ld: %s\n", pid, json_string_value(rows));
		json_decref(rows);
		return CTL_FAILED;
	}
	if (!json_is_array(rows)) {
		fprintf(stderr, "gazelle-ctl: engine `%s' does not say why\n", ctl->engine);
		json_decref(rows);
		return CTL_FAILED;
	}
	if (fd >= 0) {
		json_t *one = json_array();

		json_array_foreach(rows, i, row)
		{
			if (json_integer_value(json_object_get(row, "fd")) == fd)
				json_array_append(one, row);
		}
		json_decref(rows);
		rows = one;
	}
	if (ctl->json) {
		json_emit(rows);
	} else if (json_array_size(rows)) {
		table_objects(rows, 0);
	}
	if (!json_array_size(rows)) {
		fprintf(stderr, "gazelle-ctl: process %ld has no %s\n", pid,
			fd >= 0 ? "such socket" : "sockets that the policy is about");
		status = CTL_FAILED;
	}
	json_decref(rows);
	return status;
}

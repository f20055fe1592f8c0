// SPDX-License-Identifier: BSD-3-Clause
/*
 * set.c - gazelle-ctl set: what can be set while the engine runs
 */
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/table.h"
#include "ctl/telemetry.h"

int ctl_order(const struct ctl *ctl, struct telemetry *t, const char *command)
{
	json_t *answer = telemetry_get(t, command);

	if (json_is_string(answer)) { /* why not */
		fprintf(stderr, "%s%s", json_string_value(answer),
			strchr(json_string_value(answer), '\n') ? "" : "\n");
		json_decref(answer);
		return CTL_FAILED;
	}
	if (!json_is_object(answer)) {
		fprintf(stderr, "gazelle-ctl: %s was refused\n", strrchr(command, '/') + 1);
		json_decref(answer);
		return CTL_FAILED;
	}
	if (ctl->json)
		json_emit(answer);
	json_decref(answer);
	return CTL_OK;
}

int ctl_set(const struct ctl *ctl, int argc, char **argv)
{
	struct telemetry *t;
	char command[128];
	int n, status;

	if (argc != 3) {
		fputs("gazelle-ctl: set: expected power or loglevel, and a value\n", stderr);
		return CTL_USAGE;
	}
	n = snprintf(command, sizeof(command), "/gazelle/set,%s %s", argv[1], argv[2]);
	if (n < 0 || (size_t)n >= sizeof(command)) {
		fprintf(stderr, "gazelle-ctl: too long: `%s'\n", argv[2]);
		return CTL_USAGE;
	}
	t = telemetry_open(ctl->engine);
	if (!t)
		return CTL_FAILED;
	status = ctl_order(ctl, t, command);
	telemetry_close(t);
	return status;
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * planes.c - gazelle-ctl planes: which plane each process is on, and why not the ring;
 * gazelle-ctl workers: what each worker does; gazelle-ctl routes: its routes
 */
#include <stdio.h>

#include "ctl/ctl.h"
#include "ctl/table.h"
#include "ctl/telemetry.h"

/* A list that an engine has under @command, of its @what */
static int show(const struct ctl *ctl, int argc, char **argv, const char *command, const char *what)
{
	int status = ctl_no_arguments(argc, argv);
	json_t *rows;

	if (status)
		return status;
	rows = telemetry_ask_all(ctl->engine, command);
	if (!rows)
		return CTL_FAILED;
	if (!json_is_array(rows)) {
		fprintf(stderr, "gazelle-ctl: engine `%s' does not say its %s\n", ctl->engine,
			what);
		status = CTL_FAILED;
	} else if (ctl->json) {
		json_emit(rows);
	} else {
		table_objects(rows, 0);
	}
	json_decref(rows);
	return status;
}

int ctl_planes(const struct ctl *ctl, int argc, char **argv)
{
	return show(ctl, argc, argv, "/gazelle/planes", "planes");
}

int ctl_routes(const struct ctl *ctl, int argc, char **argv)
{
	return show(ctl, argc, argv, "/gazelle/routes", "routes");
}

int ctl_workers(const struct ctl *ctl, int argc, char **argv)
{
	return show(ctl, argc, argv, "/gazelle/workers", "workers");
}

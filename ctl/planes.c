// SPDX-License-Identifier: BSD-3-Clause
/*
 * planes.c - gazelle-ctl planes: which plane each process is on, and why not the ring
 */
#include <stdio.h>

#include "ctl/ctl.h"
#include "ctl/table.h"
#include "ctl/telemetry.h"

int ctl_planes(const struct ctl *ctl, int argc, char **argv)
{
	int status = ctl_no_arguments(argc, argv);
	json_t *rows;

	if (status)
		return status;
	rows = telemetry_ask_all(ctl->engine, "/gazelle/planes");
	if (!rows)
		return CTL_FAILED;
	if (!json_is_array(rows)) {
		fprintf(stderr, "gazelle-ctl: engine `%s' does not say its planes\n", ctl->engine);
		status = CTL_FAILED;
	} else if (ctl->json) {
		json_emit(rows);
	} else {
		table_objects(rows, 0);
	}
	json_decref(rows);
	return status;
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * port.c - gazelle-ctl port: the Ethernet port, its link, offloads and counters
 */
#include "ctl/ctl.h"
#include "ctl/table.h"
#include "ctl/telemetry.h"

int ctl_port(const struct ctl *ctl, int argc, char **argv)
{
	int status = ctl_no_arguments(argc, argv);
	struct telemetry *t;
	json_t *port;

	if (status)
		return status;
	t = telemetry_open(ctl->engine);
	if (!t)
		return CTL_FAILED;
	port = telemetry_get(t, "/gazelle/port");
	if (!port)
		status = CTL_FAILED;
	else if (ctl->json)
		json_emit(port);
	else
		table_dict(port, 0);
	json_decref(port);
	telemetry_close(t);
	return status;
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * ss.c - gazelle-ctl ss: the engine's sockets, in the manner of ss(8)
 *
 * The columns that ss(8) has come first; members that this file does not know
 * are appended to the line as key:value, as ss(8) does with its details.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/table.h"
#include "ctl/telemetry.h"

/* NULL: the cell is made in add_row() */
static const struct column {
	const char *title;
	const char *key;
	bool right;
} columns[] = {
    {"Netid", "netid", false},
    {"State", "state", false},
    {"Recv-Q", "rx_queue", true},
    {"Send-Q", "tx_queue", true},
    {"Local Address:Port", "local", false},
    {"Peer Address:Port", "peer", false},
    {"Client", NULL, false},
    {"Plane", "plane", false},
    {"", NULL, false},
};

#define NCOLUMNS (sizeof(columns) / sizeof(columns[0]))

/* Members shown in a column of their own or, like id, of use to scripts only */
static bool is_known(const char *key)
{
	static const char *const others[] = {"id", "client", "program"};

	for (size_t i = 0; i < NCOLUMNS; i++) {
		if (columns[i].key && !strcmp(columns[i].key, key))
			return true;
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (!strcmp(others[i], key))
			return true;
	}
	return false;
}

/* "redis-server,3": one word, so that a line splits at blanks */
static void cell_client(struct table *t, const json_t *row)
{
	char *program = json_show(json_object_get(row, "program"));
	char *client = json_show(json_object_get(row, "client"));

	table_cellf(t, "%s,%s", program, client);
	free(program);
	free(client);
}

static void cell_rest(struct table *t, const json_t *row)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	const char *key;
	json_t *value;

	if (!f) {
		table_cell(t, "");
		return;
	}
	json_object_foreach((json_t *)row, key, value)
	{
		char *shown;

		if (is_known(key))
			continue;
		shown = json_show(value);
		fprintf(f, "%s%s:%s", ftell(f) ? " " : "", key, shown);
		free(shown);
	}
	fclose(f);
	table_cell(t, text);
	free(text);
}

static void print_sockets(const json_t *rows)
{
	struct table t = {.ncolumns = NCOLUMNS};
	json_t *row;
	size_t i;

	for (size_t c = 0; c < NCOLUMNS; c++) {
		table_cell(&t, columns[c].title);
		t.right[c] = columns[c].right;
	}
	json_array_foreach(rows, i, row)
	{
		for (size_t c = 0; c < NCOLUMNS - 1; c++) {
			if (columns[c].key)
				table_json(&t, json_object_get(row, columns[c].key));
			else
				cell_client(&t, row);
		}
		cell_rest(&t, row);
	}
	table_print(&t, 0);
}

int ctl_ss(const struct ctl *ctl, int argc, char **argv)
{
	int status = ctl_no_arguments(argc, argv);
	json_t *rows;

	if (status)
		return status;
	rows = telemetry_ask_all(ctl->engine, "/gazelle/ss");
	if (!rows)
		return CTL_FAILED;

	if (json_is_null(rows)) {
		fprintf(stderr, "gazelle-ctl: engine `%s' does not offer its sockets\n",
			ctl->engine);
		status = CTL_FAILED;
	} else if (ctl->json) {
		json_emit(rows);
	} else {
		print_sockets(rows);
	}
	json_decref(rows);
	return status;
}

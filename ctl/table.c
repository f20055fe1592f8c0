// SPDX-License-Identifier: BSD-3-Clause
/*
 * table.c - Aligned text, from strings and JSON
 *
 * Nothing here knows the engine's counters by name: a key that a newer engine
 * sends is shown like any other, so engine and gazelle-ctl need not be of the
 * same build.
 */
#include <err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/table.h"

static void *must(void *p)
{
	if (!p)
		errx(CTL_FAILED, "out of memory");
	return p;
}

/* Takes ownership of @text */
static void append(struct table *t, char *text)
{
	if (t->ncells == t->room) {
		t->room = t->room ? 2 * t->room : 64;
		t->cells = must(realloc(t->cells, t->room * sizeof(*t->cells)));
	}
	t->cells[t->ncells++] = text;
}

void table_cell(struct table *t, const char *text)
{
	append(t, must(strdup(text)));
}

void table_cellf(struct table *t, const char *fmt, ...)
{
	va_list ap;
	char *text;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	append(t, must(n < 0 ? NULL : text));
}

/*
 * A string can carry what the reply held escaped (\u001b): the parser has made
 * it a control character again, which must not reach the terminal.
 */
static char *printable(char *s)
{
	for (char *p = s; *p; p++) {
		unsigned char c = *p, next = p[1];

		if (c < 0x20 || c == 0x7f)
			*p = '?';
		else if (c == 0xc2 && next >= 0x80 && next < 0xa0) /* U+0080..U+009F */
			p[0] = p[1] = '?';
	}
	return s;
}

char *json_show(const json_t *value)
{
	if (json_is_string(value))
		return printable(must(strdup(json_string_value(value))));
	if (!value || json_is_null(value))
		return must(strdup("-"));
	return must(json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT));
}

void table_json(struct table *t, const json_t *value)
{
	append(t, json_show(value));
}

/* Columns on the screen: UTF-8 continuation bytes take none */
static int width(const char *s)
{
	int n = 0;

	for (; *s; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

void table_print(struct table *t, unsigned indent)
{
	int widths[TABLE_COLUMNS_MAX] = {0};
	int blanks = 0;

	for (size_t i = 0; i < t->ncells; i++) {
		int w = width(t->cells[i]);

		if (w > widths[i % t->ncolumns])
			widths[i % t->ncolumns] = w;
	}
	for (size_t i = 0; i < t->ncells; i++) {
		unsigned column = i % t->ncolumns;
		int pad = widths[column] - width(t->cells[i]);

		if (column == 0)
			blanks = indent;
		if (t->right[column])
			blanks += pad;
		if (*t->cells[i]) { /* no blanks at the end of a line */
			printf("%*s%s", blanks, "", t->cells[i]);
			blanks = 0;
		}
		blanks += (t->right[column] ? 0 : pad) + 2;
		if (column == t->ncolumns - 1)
			putchar('\n');
		free(t->cells[i]);
	}
	free(t->cells);
	t->cells = NULL;
	t->ncells = t->room = 0;
}

static bool ends_in(const char *s, const char *tail)
{
	size_t ls = strlen(s), lt = strlen(tail);

	return ls >= lt && !strcmp(s + ls - lt, tail);
}

static void cell_duration(struct table *t, json_int_t s)
{
	if (s < 60)
		table_cell(t, "");
	else if (s < 86400)
		table_cellf(t, "%lldh %02lldm %02llds", s / 3600, s / 60 % 60, s % 60);
	else
		table_cellf(t, "%lldd %02lldh %02lldm", s / 86400, s / 3600 % 24, s / 60 % 60);
}

static void cell_size(struct table *t, json_int_t bytes)
{
	static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double n = bytes;
	unsigned unit = 0;

	for (; n >= 1024 && unit < sizeof(units) / sizeof(units[0]) - 1; unit++)
		n /= 1024;
	if (unit)
		table_cellf(t, "%.1f %s", n, units[unit]);
	else
		table_cell(t, "");
}

/* The value once more, for people, or nothing */
static void cell_human(struct table *t, const char *key, const json_t *value)
{
	json_int_t n = json_integer_value(value);

	if (json_is_integer(value) && n > 0 && ends_in(key, "_s"))
		cell_duration(t, n);
	else if (json_is_integer(value) && n > 0 && ends_in(key, "bytes"))
		cell_size(t, n);
	else
		table_cell(t, "");
}

void table_dict(const json_t *dict, unsigned indent)
{
	struct table t = {.ncolumns = 3};
	const char *key;
	json_t *value;

	/* jansson's iteration wants a json_t that is not const; nothing changes */
	json_object_foreach((json_t *)dict, key, value)
	{
		table_cell(&t, key);
		table_json(&t, value);
		cell_human(&t, key, value);
	}
	table_print(&t, indent);
}

/* Adds @row's keys that are not in @keys yet; returns their number */
static unsigned gather_keys(const json_t *row, const char **keys, unsigned n)
{
	const char *key;
	json_t *value;
	unsigned i;

	json_object_foreach((json_t *)row, key, value)
	{
		for (i = 0; i < n && strcmp(keys[i], key); i++)
			;
		if (i == n && n < TABLE_COLUMNS_MAX)
			keys[n++] = key;
	}
	return n;
}

void table_objects(const json_t *rows, unsigned indent)
{
	const char *keys[TABLE_COLUMNS_MAX];
	struct table t = {0};
	json_t *row;
	size_t i;

	json_array_foreach(rows, i, row) t.ncolumns = gather_keys(row, keys, t.ncolumns);
	if (!t.ncolumns)
		return;

	for (unsigned c = 0; c < t.ncolumns; c++)
		table_cell(&t, keys[c]);
	json_array_foreach(rows, i, row)
	{
		for (unsigned c = 0; c < t.ncolumns; c++) {
			json_t *value = json_object_get(row, keys[c]);

			table_json(&t, value);
			if (json_is_number(value))
				t.right[c] = true;
		}
	}
	table_print(&t, indent);
}

void json_emit(const json_t *value)
{
	json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	putchar('\n');
}

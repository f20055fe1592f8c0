/* SPDX-License-Identifier: BSD-3-Clause
 *
 * table.h - Aligned text, from strings and JSON
 *
 * Cells are added left to right, row by row; nothing is printed before
 * table_print(), because widths are only known then.
 */
#ifndef GZ_CTL_TABLE_H
#define GZ_CTL_TABLE_H

#include <jansson.h>
#include <stdbool.h>

#define TABLE_COLUMNS_MAX 64

struct table {
	unsigned ncolumns;
	bool right[TABLE_COLUMNS_MAX]; /* align right: set by the owner */
	char **cells;		       /* ncells owned strings */
	size_t ncells, room;
};

/** table_cell() - Append a cell, copied */
void table_cell(struct table *t, const char *text);

/** table_cellf() - Append a formatted cell */
void table_cellf(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** table_json() - Append a cell that shows @value; NULL shows as "-" */
void table_json(struct table *t, const json_t *value);

/** table_print() - Print all rows, @indent spaces before each, and free the cells */
void table_print(struct table *t, unsigned indent);

/**
 * table_dict() - Print an object as "key value", one pair a line
 * @dict:	Flat object; nested values show as compact JSON
 * @indent:	Spaces before each line
 *
 * Keys that end in "_s" or "bytes" get their value a second time, for people.
 */
void table_dict(const json_t *dict, unsigned indent);

/**
 * table_objects() - Print an array of objects, a line each, under their keys
 * @rows:	Columns are the union of the keys, in the order of first sight
 * @indent:	Spaces before each line
 */
void table_objects(const json_t *rows, unsigned indent);

/** json_show() - @value as text for a cell, owned by the caller */
char *json_show(const json_t *value);

/** json_emit() - Print @value as the whole --json output */
void json_emit(const json_t *value);

#endif

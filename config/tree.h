/* SPDX-License-Identifier: BSD-3-Clause
 *
 * tree.h - A configuration file as a tree, private to tree.c and loader.c
 *
 * Everything belongs to one struct gz_load, on load()'s stack: the text, the
 * parser, the nodes and the errors, which gz_load_print_errors() frees.
 */
#ifndef GZ_CONFIG_TREE_H
#define GZ_CONFIG_TREE_H

#include "config/loader.h"

#include <stdarg.h>
#include <yaml.h>

#define QUOTE_MAX 80 /* bytes of a file's text in messages */
#define QUOTE_BUF (QUOTE_MAX * 4 + 8)

enum node_kind { NODE_NONE, NODE_SCALAR, NODE_LIST, NODE_MAP };

struct node {
	enum node_kind kind;	    /* NONE: refused, already reported */
	bool plain;		    /* scalar without quotes */
	bool bad;		    /* an error was reported about it */
	unsigned line, col;	    /* of the value, from 1 */
	unsigned key_line, key_col; /* in a map */
	char *key;		    /* in a map; NUL free, else NULL */
	char *text;		    /* scalar */
	size_t len;		    /* of text; it may hold NULs */
	struct node *child;
	size_t n, cap;
};

struct error {
	unsigned line, col;
	size_t seq;
	char *text; /* NULL: no memory */
};

struct gz_load {
	const char *file;
	char *buf; /* the whole file */
	size_t len;
	yaml_parser_t yaml;
	struct node root;
	bool stopped; /* the tree is not complete */
	struct error *errors;
	size_t nerrors, cap;
	size_t lost; /* errors that memory did not hold */
};

/* What they do, and return, is told in tree.c. */
bool gz_load_read(struct gz_load *ld, FILE *err);
void gz_tree_build(struct gz_load *ld);
void gz_tree_free(struct node *node);

__attribute__((format(printf, 5, 0))) void gz_load_verror_at(struct gz_load *ld, unsigned line,
							     unsigned col, const char *key,
							     const char *fmt, va_list ap);
__attribute__((format(printf, 5, 6))) void gz_load_error_at(struct gz_load *ld, unsigned line,
							    unsigned col, const char *key,
							    const char *fmt, ...);
int gz_load_print_errors(struct gz_load *ld, FILE *err);

const char *gz_quote(char *buf, const char *text, size_t len);
#define QUOTE(text, len) gz_quote((char[QUOTE_BUF]){0}, (text), (len))

#endif

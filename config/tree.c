/* SPDX-License-Identifier: BSD-3-Clause
 *
 * tree.c - From a YAML file to a tree of nodes, and the errors on the way
 *
 * Theory of Operation
 *
 * The file is read into memory (it is small by decree).  libyaml's events
 * become nodes that know their line and column; what we do not want of YAML -
 * aliases, anchors, tags, deep nesting, several documents - is refused here,
 * and a syntax error ends the tree early: what stands before it can still be
 * looked at.
 *
 * Events rather than the document API, because that one resolves aliases
 * silently and so lets a small file become a huge tree.
 */
#include "config/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX 262144u /* bytes; ours have 6 KB */
#define DEPTH_MAX 8	 /* nesting; ours need 3 */

/* ---- errors ---- */

/**
 * gz_load_verror_at() - Note an error
 * @ld:		Load
 * @line:	From 1
 * @col:	From 1, in characters
 * @key:	Dotted path of the key it is about, or NULL
 * @fmt:	What is wrong and what was expected
 * @ap:		Its arguments
 */
void gz_load_verror_at(struct gz_load *ld, unsigned line, unsigned col, const char *key,
		       const char *fmt, va_list ap)
{
	struct error *e;
	char *what = NULL;

	if (ld->nerrors == ld->cap) {
		size_t cap = ld->cap ? ld->cap * 2 : 16;

		e = realloc(ld->errors, cap * sizeof(*e));
		if (!e) {
			ld->lost++;
			return;
		}
		ld->errors = e;
		ld->cap = cap;
	}
	e = &ld->errors[ld->nerrors];
	*e = (struct error){line, col, ld->nerrors, NULL};
	ld->nerrors++;
	if (vasprintf(&what, fmt, ap) < 0)
		return;
	if (!key)
		e->text = what;
	else if (asprintf(&e->text, "key '%s': %s", key, what) < 0)
		e->text = NULL;
	if (key)
		free(what);
}

/** gz_load_error_at() - As gz_load_verror_at(), with arguments */
void gz_load_error_at(struct gz_load *ld, unsigned line, unsigned col, const char *key,
		      const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	gz_load_verror_at(ld, line, col, key, fmt, ap);
	va_end(ap);
}

/** by_position() - qsort() order of errors: as in the file */
static int by_position(const void *va, const void *vb)
{
	const struct error *a = va, *b = vb;

	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	if (a->col != b->col)
		return a->col < b->col ? -1 : 1;
	return a->seq < b->seq ? -1 : a->seq > b->seq;
}

/**
 * gz_load_print_errors() - Print the errors in the order of the file and free them
 * @ld:		Load
 * @err:	Where to
 *
 * Return: how many there were
 */
int gz_load_print_errors(struct gz_load *ld, FILE *err)
{
	size_t n = ld->nerrors + ld->lost;

	if (ld->nerrors)
		qsort(ld->errors, ld->nerrors, sizeof(*ld->errors), by_position);
	for (size_t i = 0; i < ld->nerrors; i++) {
		const struct error *e = &ld->errors[i];

		fprintf(err, "%s:%u:%u: %s\n", ld->file, e->line, e->col,
			e->text ? e->text : "error, and out of memory");
		free(e->text);
	}
	if (ld->lost)
		fprintf(err, "%s: %zu more errors, out of memory\n", ld->file, ld->lost);
	free(ld->errors);
	return (int)n;
}

/**
 * gz_quote() - A piece of the file as it may be shown on a terminal
 * @buf:	At least QUOTE_BUF bytes
 * @text:	UTF-8
 * @len:	Its length
 *
 * Return: @buf: control characters escaped, cut after QUOTE_MAX bytes
 */
const char *gz_quote(char *buf, const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n = len, o = 0;

	if (n > QUOTE_MAX) {
		n = QUOTE_MAX;
		while (n && (p[n] & 0xc0) == 0x80) /* not inside one */
			n--;
	}
	for (size_t i = 0; i < n; i++) {
		bool c1 = p[i] == 0xc2 && i + 1 < n && p[i + 1] < 0xa0;

		if (c1)
			i++; /* U+0080 to U+009f: the number is the byte's */
		if (p[i] == '\n')
			o += (size_t)sprintf(buf + o, "\\n");
		else if (p[i] == '\t')
			o += (size_t)sprintf(buf + o, "\\t");
		else if (c1 || p[i] < 0x20 || p[i] == 0x7f)
			o += (size_t)sprintf(buf + o, "\\x%02x", p[i]);
		else
			buf[o++] = (char)p[i];
	}
	snprintf(buf + o, 4, "%s", n < len ? "..." : "");
	return buf;
}

/* ---- the tree ---- */

/**
 * gz_tree_free() - Free what a node owns
 * @node:	Node; itself stays
 */
void gz_tree_free(struct node *node)
{
	for (size_t i = 0; i < node->n; i++)
		gz_tree_free(&node->child[i]);
	free(node->child);
	free(node->key);
	free(node->text);
}

/**
 * no_memory() - Note that memory ran out, and stop
 * @ld:		Load
 *
 * Return: false, for the caller to pass on
 */
static bool no_memory(struct gz_load *ld)
{
	gz_load_error_at(ld, 1, 1, NULL, "out of memory");
	ld->stopped = true;
	return false;
}

/**
 * position_of() - Line and column of a byte of the file
 * @ld:		Load
 * @offset:	Byte
 * @line:	Filled, from 1
 * @col:	Filled, from 1, in characters
 */
static void position_of(const struct gz_load *ld, size_t offset, unsigned *line, unsigned *col)
{
	*line = *col = 1;
	for (size_t i = 0; i < offset && i < ld->len; i++) {
		if (ld->buf[i] == '\n') {
			++*line;
			*col = 1;
		} else if ((ld->buf[i] & 0xc0) != 0x80) {
			++*col;
		}
	}
}

/**
 * syntax_error() - Report what libyaml stumbled over, and stop
 * @ld:		Load
 *
 * Return: false, for the caller to pass on
 */
static bool syntax_error(struct gz_load *ld)
{
	const yaml_parser_t *y = &ld->yaml;
	const char *problem = y->problem ? y->problem : "unknown problem";
	unsigned line = (unsigned)y->problem_mark.line + 1;
	unsigned col = (unsigned)y->problem_mark.column + 1;
	size_t at = y->problem_mark.index;

	ld->stopped = true;
	switch (y->error) {
	case YAML_MEMORY_ERROR:
		return no_memory(ld);
	case YAML_READER_ERROR:
		position_of(ld, y->problem_offset, &line, &col);
		if (!strncmp(problem, "control", 7))
			gz_load_error_at(ld, line, col, NULL,
					 "control character 0x%02x: expected text",
					 (unsigned)y->problem_value);
		else
			gz_load_error_at(ld, line, col, NULL,
					 "byte 0x%02x is not valid UTF-8 here: "
					 "expected UTF-8 text",
					 (unsigned char)ld->buf[y->problem_offset]);
		return false;
	default:
		break;
	}
	/* Marks count characters, not bytes: find the line, then the place. */
	for (unsigned l = 1, i = 0; i < ld->len; i++) {
		if (l == line) {
			at = i;
			for (unsigned c = 1; c < col && at < ld->len; at++)
				c += (ld->buf[at + 1] & 0xc0) != 0x80;
			break;
		}
		l += ld->buf[i] == '\n';
	}
	if (at < ld->len && ld->buf[at] == '\t') {
		gz_load_error_at(ld, line, col, NULL,
				 "tab character: expected spaces for indentation");
		return false;
	}
	if (y->context)
		gz_load_error_at(ld, line, col, NULL,
				 "%s, %s (line %zu): expected "
				 "'key: value' lines of YAML",
				 problem, y->context, y->context_mark.line + 1);
	else
		gz_load_error_at(ld, line, col, NULL, "%s: expected 'key: value' lines of YAML",
				 problem);
	return false;
}

/**
 * next_event() - libyaml's next event
 * @ld:		Load
 * @ev:		Filled; yaml_event_delete() it
 *
 * Return: false after an error, which is reported
 */
static bool next_event(struct gz_load *ld, yaml_event_t *ev)
{
	return yaml_parser_parse(&ld->yaml, ev) || syntax_error(ld);
}

/**
 * take_text() - Copy a scalar's text into a node
 * @ld:		Load
 * @ev:		Scalar event
 * @text:	Filled, NUL-terminated
 *
 * Return: false if memory ran out
 */
static bool take_text(struct gz_load *ld, const yaml_event_t *ev, char **text)
{
	size_t len = ev->data.scalar.length;

	*text = malloc(len + 1);
	if (!*text)
		return no_memory(ld);
	memcpy(*text, ev->data.scalar.value, len);
	(*text)[len] = '\0';
	return true;
}

/**
 * refuse_extras() - Report anchors and tags
 * @ld:		Load
 * @node:	The node that has them; marked bad
 * @anchor:	Or NULL
 * @tag:	Or NULL
 */
static void refuse_extras(struct gz_load *ld, struct node *node, const yaml_char_t *anchor,
			  const yaml_char_t *tag)
{
	const char *text = (const char *)(anchor ? anchor : tag);

	if (!text)
		return;
	node->bad = true;
	gz_load_error_at(ld, node->line, node->col, NULL,
			 anchor ? "anchor '&%s': anchors and aliases are not supported, "
				  "expected the value itself"
				: "tag '%s': tags are not supported, expected a plain value",
			 QUOTE(text, strlen(text)));
}

/**
 * add_child() - Append an empty node
 * @ld:		Load
 * @node:	Parent
 *
 * Return: the node, valid until the next is added; NULL without memory
 */
static struct node *add_child(struct gz_load *ld, struct node *node)
{
	if (node->n == node->cap) {
		size_t cap = node->cap ? node->cap * 2 : 8;
		struct node *p = realloc(node->child, cap * sizeof(*p));

		if (!p) {
			no_memory(ld);
			return NULL;
		}
		node->child = p;
		node->cap = cap;
	}
	memset(&node->child[node->n], 0, sizeof(*node));
	return &node->child[node->n++];
}

static bool build(struct gz_load *ld, yaml_event_t *ev, struct node *node, int depth);

/**
 * take_key() - Read a mapping's key
 * @ld:		Load
 * @ev:		Its event; consumed
 * @child:	Gets key and position; the key stays NULL if it is no good
 * @depth:	Nesting
 *
 * Return: false to stop
 */
static bool take_key(struct gz_load *ld, yaml_event_t *ev, struct node *child, int depth)
{
	struct node key = {0};
	bool ok = build(ld, ev, &key, depth + 1);

	child->key_line = key.line;
	child->key_col = key.col;
	if (ok && key.kind == NODE_SCALAR && strlen(key.text) == key.len) {
		child->key = key.text;
		key.text = NULL;
		if (key.bad)
			child->bad = true;
	} else if (ok && key.kind != NODE_NONE) {
		gz_load_error_at(ld, key.line, key.col, NULL, "not a key: expected a key's name");
	}
	gz_tree_free(&key);
	return ok;
}

/**
 * build_inside() - Read a sequence's nodes, or a mapping's
 * @ld:		Load
 * @node:	List or map
 * @end:	The event that ends it
 * @depth:	Nesting
 *
 * Return: false to stop
 */
static bool build_inside(struct gz_load *ld, struct node *node, yaml_event_type_t end, int depth)
{
	yaml_event_t ev;

	for (;;) {
		struct node *child;

		if (!next_event(ld, &ev))
			return false;
		if (ev.type == end) {
			yaml_event_delete(&ev);
			return true;
		}
		child = add_child(ld, node);
		if (!child) {
			yaml_event_delete(&ev);
			return false;
		}
		if (node->kind == NODE_MAP &&
		    (!take_key(ld, &ev, child, depth) || !next_event(ld, &ev)))
			return false;
		if (!build(ld, &ev, child, depth + 1))
			return false;
	}
}

/**
 * build() - Read one node and all below it
 * @ld:		Load
 * @ev:		The event that starts it; consumed
 * @node:	Filled
 * @depth:	Nesting, which bounds the recursion
 *
 * Return: false to stop: syntax error, too deep, or no memory
 */
static bool build(struct gz_load *ld, yaml_event_t *ev, struct node *node, int depth)
{
	bool ok = true;

	node->line = (unsigned)ev->start_mark.line + 1;
	node->col = (unsigned)ev->start_mark.column + 1;
	if (depth > DEPTH_MAX) {
		gz_load_error_at(ld, node->line, node->col, NULL,
				 "nested too deeply: expected at most %d levels", DEPTH_MAX);
		ld->stopped = true;
		yaml_event_delete(ev);
		return false;
	}
	switch (ev->type) {
	case YAML_SCALAR_EVENT:
		refuse_extras(ld, node, ev->data.scalar.anchor, ev->data.scalar.tag);
		node->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
		node->len = ev->data.scalar.length;
		ok = take_text(ld, ev, &node->text);
		if (ok)
			node->kind = NODE_SCALAR;
		break;
	case YAML_SEQUENCE_START_EVENT:
		refuse_extras(ld, node, ev->data.sequence_start.anchor,
			      ev->data.sequence_start.tag);
		node->kind = NODE_LIST;
		ok = build_inside(ld, node, YAML_SEQUENCE_END_EVENT, depth);
		break;
	case YAML_MAPPING_START_EVENT:
		refuse_extras(ld, node, ev->data.mapping_start.anchor, ev->data.mapping_start.tag);
		node->kind = NODE_MAP;
		ok = build_inside(ld, node, YAML_MAPPING_END_EVENT, depth);
		break;
	case YAML_ALIAS_EVENT: {
		const char *name = (const char *)ev->data.alias.anchor;

		node->bad = true;
		gz_load_error_at(ld, node->line, node->col, NULL,
				 "alias '*%s': anchors and aliases are not supported, "
				 "expected the value itself",
				 QUOTE(name, strlen(name)));
		break;
	}
	default:
		gz_load_error_at(ld, node->line, node->col, NULL,
				 "unexpected YAML: expected a value");
		ld->stopped = true;
		ok = false;
		break;
	}
	yaml_event_delete(ev);
	return ok;
}

/**
 * gz_tree_build() - Read the file's one document into ld->root
 * @ld:		Load; an empty file leaves an empty map
 */
void gz_tree_build(struct gz_load *ld)
{
	int documents = 0;
	yaml_event_t ev;

	ld->root.line = ld->root.col = 1;
	while (!ld->stopped && next_event(ld, &ev)) {
		yaml_event_type_t type = ev.type;

		switch (type) {
		case YAML_STREAM_START_EVENT:
		case YAML_DOCUMENT_END_EVENT:
		case YAML_STREAM_END_EVENT:
			break;
		case YAML_DOCUMENT_START_EVENT:
			if (documents++) {
				gz_load_error_at(ld, (unsigned)ev.start_mark.line + 1,
						 (unsigned)ev.start_mark.column + 1, NULL,
						 "a second document: expected "
						 "one document in a file");
				ld->stopped = true;
			}
			break;
		default:
			build(ld, &ev, &ld->root, 0);
			continue; /* build() has deleted the event */
		}
		yaml_event_delete(&ev);
		if (type == YAML_STREAM_END_EVENT)
			return;
	}
}

/* ---- the file ---- */

/**
 * gz_load_read() - Read the whole file
 * @ld:		Load; buf and len are filled
 * @err:	Where the error goes; there is no line to name yet
 *
 * Not by size: the file may be a pipe.
 *
 * Return: false after an error
 */
bool gz_load_read(struct gz_load *ld, FILE *err)
{
	FILE *f = fopen(ld->file, "re");
	bool ok = false;

	if (!f) {
		fprintf(err, "Couldn't open %s: %s\n", ld->file, strerror(errno));
		return false;
	}
	ld->buf = malloc(FILE_MAX + 1);
	if (!ld->buf) {
		fprintf(err, "Couldn't read %s: out of memory\n", ld->file);
		goto out;
	}
	ld->len = fread(ld->buf, 1, FILE_MAX + 1, f);
	if (ferror(f)) {
		fprintf(err, "Couldn't read %s: %s\n", ld->file, strerror(errno));
		goto out;
	}
	if (ld->len > FILE_MAX) {
		fprintf(err, "%s: too large: expected at most %u bytes\n", ld->file, FILE_MAX);
		goto out;
	}
	ld->buf[ld->len] = '\0';
	ok = true;
out:
	fclose(f);
	return ok;
}

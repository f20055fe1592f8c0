/* SPDX-License-Identifier: BSD-3-Clause
 *
 * loader.c - From a YAML file to a filled structure, with good messages
 *
 * Theory of Operation
 *
 * Four steps.  The file is read into memory (it is small by decree).  libyaml's
 * events become a tree whose nodes know their line and column; what we do not
 * want of YAML - aliases, anchors, tags, deep nesting, several documents - is
 * refused here, and a syntax error ends the tree early.  The tree is walked
 * along the schema, values go into a scratch copy of the defaults.  If the
 * syntax was sound, check.c looks at what concerns several keys.
 *
 * Errors are collected all the way, sorted by position and printed at the end;
 * only without any does the scratch copy become the caller's configuration.
 *
 * Events rather than the document API, because that one resolves aliases
 * silently and so lets a small file become a huge tree.
 */
#include "config/loader.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define FILE_MAX	(256u * 1024)	/* bytes; ours have 6 KB */
#define DEPTH_MAX	8		/* nesting; ours need 3 */
#define PATH_LEN	160		/* of a dotted path, in messages */
#define QUOTE_MAX	80		/* bytes of a file's text in messages */

enum node_kind { NODE_NONE, NODE_SCALAR, NODE_LIST, NODE_MAP };

struct node {
	enum node_kind kind;		/* NONE: refused, already reported */
	bool plain;			/* scalar without quotes */
	bool bad;			/* an error was reported about it */
	unsigned line, col;		/* of the value, from 1 */
	unsigned key_line, key_col;	/* in a map */
	char *key;			/* in a map; NUL free, else NULL */
	char *text;			/* scalar */
	size_t len;			/* of text; it may hold NULs */
	struct node *child;
	size_t n, cap;
};

struct error {
	unsigned line, col;
	size_t seq;
	char *text;			/* NULL: no memory */
};

struct gz_load {
	const char *file;
	char *buf;			/* the whole file */
	size_t len;
	yaml_parser_t yaml;
	struct node root;
	bool stopped;			/* the tree is not complete */
	struct error *errors;
	size_t nerrors, cap;
	size_t lost;			/* errors that memory did not hold */
};

/* ---- errors ---- */

/**
 * vadd_error() - Note an error
 * @ld:		Load
 * @line:	From 1
 * @col:	From 1, in characters
 * @key:	Dotted path of the key it is about, or NULL
 * @fmt:	What is wrong and what was expected
 * @ap:		Its arguments
 */
__attribute__((format(printf, 5, 0)))
static void vadd_error(struct gz_load *ld, unsigned line, unsigned col,
		       const char *key, const char *fmt, va_list ap)
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
	*e = (struct error){ line, col, ld->nerrors, NULL };
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

/** add_error() - As vadd_error(), with arguments */
__attribute__((format(printf, 5, 6)))
static void add_error(struct gz_load *ld, unsigned line, unsigned col,
		      const char *key, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vadd_error(ld, line, col, key, fmt, ap);
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
 * print_errors() - Print the errors in the order of the file and free them
 * @ld:		Load
 * @err:	Where to
 *
 * Return: how many there were
 */
static int print_errors(struct gz_load *ld, FILE *err)
{
	size_t n = ld->nerrors + ld->lost;

	if (ld->nerrors)
		qsort(ld->errors, ld->nerrors, sizeof(*ld->errors),
		      by_position);
	for (size_t i = 0; i < ld->nerrors; i++) {
		const struct error *e = &ld->errors[i];

		fprintf(err, "%s:%u:%u: %s\n", ld->file, e->line, e->col,
			e->text ? e->text : "error, and out of memory");
		free(e->text);
	}
	if (ld->lost)
		fprintf(err, "%s: %zu more errors, out of memory\n", ld->file,
			ld->lost);
	free(ld->errors);
	return (int)n;
}

/**
 * quote() - A piece of the file as it may be shown on a terminal
 * @buf:	At least QUOTE_MAX * 4 + 8 bytes
 * @text:	UTF-8
 * @len:	Its length
 *
 * Return: @buf: control characters escaped, cut after QUOTE_MAX bytes
 */
static const char *quote(char *buf, const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n = len, o = 0;

	if (n > QUOTE_MAX) {
		n = QUOTE_MAX;
		while (n && (p[n] & 0xc0) == 0x80)	/* not inside one */
			n--;
	}
	for (size_t i = 0; i < n; i++) {
		bool c1 = i && p[i - 1] == 0xc2 && p[i] < 0xa0;

		if (p[i] == '\n')
			o += (size_t)sprintf(buf + o, "\\n");
		else if (p[i] == '\t')
			o += (size_t)sprintf(buf + o, "\\t");
		else if (p[i] < 0x20 || p[i] == 0x7f)
			o += (size_t)sprintf(buf + o, "\\x%02x", p[i]);
		else if (p[i] == 0xc2 && i + 1 < n && p[i + 1] < 0xa0)
			continue;
		else if (c1)
			o += (size_t)sprintf(buf + o, "\\x%02x", p[i]);
		else
			buf[o++] = (char)p[i];
	}
	strcpy(buf + o, n < len ? "..." : "");
	return buf;
}

#define QUOTE(text, len) quote((char[QUOTE_MAX * 4 + 8]){ 0 }, (text), (len))

/* ---- the tree ---- */

/**
 * free_node() - Free what a node owns
 * @node:	Node; itself stays
 */
static void free_node(struct node *node)
{
	for (size_t i = 0; i < node->n; i++)
		free_node(&node->child[i]);
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
	add_error(ld, 1, 1, NULL, "out of memory");
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
static void position_of(const struct gz_load *ld, size_t offset,
			unsigned *line, unsigned *col)
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
			add_error(ld, line, col, NULL,
				  "control character 0x%02x: expected text",
				  (unsigned)y->problem_value);
		else
			add_error(ld, line, col, NULL,
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
		add_error(ld, line, col, NULL,
			  "tab character: expected spaces for indentation");
		return false;
	}
	if (y->context)
		add_error(ld, line, col, NULL, "%s, %s (line %zu): expected "
			  "'key: value' lines of YAML", problem, y->context,
			  y->context_mark.line + 1);
	else
		add_error(ld, line, col, NULL,
			  "%s: expected 'key: value' lines of YAML", problem);
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
static void refuse_extras(struct gz_load *ld, struct node *node,
			  const yaml_char_t *anchor, const yaml_char_t *tag)
{
	const char *text = (const char *)(anchor ? anchor : tag);

	if (!text)
		return;
	node->bad = true;
	add_error(ld, node->line, node->col, NULL, anchor ?
		  "anchor '&%s': anchors and aliases are not supported, "
		  "expected the value itself" :
		  "tag '%s': tags are not supported, expected a plain value",
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

static bool build(struct gz_load *ld, yaml_event_t *ev, struct node *node,
		  int depth);

/**
 * build_list() - Read a sequence's nodes
 * @ld:		Load
 * @node:	List
 * @depth:	Nesting
 *
 * Return: false to stop
 */
static bool build_list(struct gz_load *ld, struct node *node, int depth)
{
	yaml_event_t ev;

	for (;;) {
		struct node *child;

		if (!next_event(ld, &ev))
			return false;
		if (ev.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&ev);
			return true;
		}
		child = add_child(ld, node);
		if (!child) {
			yaml_event_delete(&ev);
			return false;
		}
		if (!build(ld, &ev, child, depth + 1))
			return false;
	}
}

/**
 * take_key() - Read a mapping's key
 * @ld:		Load
 * @ev:		Its event; consumed
 * @child:	Gets key and position; the key stays NULL if it is no good
 * @depth:	Nesting
 *
 * Return: false to stop
 */
static bool take_key(struct gz_load *ld, yaml_event_t *ev, struct node *child,
		     int depth)
{
	struct node key = { 0 };
	bool ok = build(ld, ev, &key, depth + 1);

	child->key_line = key.line;
	child->key_col = key.col;
	if (ok && key.kind == NODE_SCALAR && strlen(key.text) == key.len) {
		child->key = key.text;
		key.text = NULL;
		if (key.bad)
			child->bad = true;
	} else if (ok && key.kind != NODE_NONE) {
		add_error(ld, key.line, key.col, NULL,
			  "not a key: expected a key's name");
	}
	free_node(&key);
	return ok;
}

/**
 * build_map() - Read a mapping's nodes
 * @ld:		Load
 * @node:	Map
 * @depth:	Nesting
 *
 * Return: false to stop
 */
static bool build_map(struct gz_load *ld, struct node *node, int depth)
{
	yaml_event_t ev;

	for (;;) {
		struct node *child;

		if (!next_event(ld, &ev))
			return false;
		if (ev.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&ev);
			return true;
		}
		child = add_child(ld, node);
		if (!child) {
			yaml_event_delete(&ev);
			return false;
		}
		if (!take_key(ld, &ev, child, depth) || !next_event(ld, &ev))
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
static bool build(struct gz_load *ld, yaml_event_t *ev, struct node *node,
		  int depth)
{
	bool ok = true;

	node->line = (unsigned)ev->start_mark.line + 1;
	node->col = (unsigned)ev->start_mark.column + 1;
	if (depth > DEPTH_MAX) {
		add_error(ld, node->line, node->col, NULL,
			  "nested too deeply: expected at most %d levels",
			  DEPTH_MAX);
		ld->stopped = true;
		yaml_event_delete(ev);
		return false;
	}
	switch (ev->type) {
	case YAML_SCALAR_EVENT:
		refuse_extras(ld, node, ev->data.scalar.anchor,
			      ev->data.scalar.tag);
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
		ok = build_list(ld, node, depth);
		break;
	case YAML_MAPPING_START_EVENT:
		refuse_extras(ld, node, ev->data.mapping_start.anchor,
			      ev->data.mapping_start.tag);
		node->kind = NODE_MAP;
		ok = build_map(ld, node, depth);
		break;
	case YAML_ALIAS_EVENT: {
		const char *name = (const char *)ev->data.alias.anchor;

		node->bad = true;
		add_error(ld, node->line, node->col, NULL,
			  "alias '*%s': anchors and aliases are not supported, "
			  "expected the value itself",
			  QUOTE(name, strlen(name)));
		break;
	}
	default:
		add_error(ld, node->line, node->col, NULL,
			  "unexpected YAML: expected a value");
		ld->stopped = true;
		ok = false;
		break;
	}
	yaml_event_delete(ev);
	return ok;
}

/**
 * build_tree() - Read the file's one document into ld->root
 * @ld:		Load; an empty file leaves an empty map
 */
static void build_tree(struct gz_load *ld)
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
				add_error(ld,
					  (unsigned)ev.start_mark.line + 1,
					  (unsigned)ev.start_mark.column + 1,
					  NULL, "a second document: expected "
					  "one document in a file");
				ld->stopped = true;
			}
			break;
		default:
			build(ld, &ev, &ld->root, 0);
			continue;	/* build() has deleted the event */
		}
		yaml_event_delete(&ev);
		if (type == YAML_STREAM_END_EVENT)
			return;
	}
}

/* ---- along the schema ---- */

/**
 * is_null() - Does a node hold nothing?
 * @node:	Node
 *
 * Return: true for nothing at all, ~ and null, without quotes
 */
static bool is_null(const struct node *node)
{
	return node->kind == NODE_SCALAR && node->plain &&
	       (!node->len || !strcmp(node->text, "~") ||
		!strcmp(node->text, "null"));
}

/**
 * distance() - Edits between two words: insert, delete, replace, swap
 * @a:		Word
 * @b:		Word
 *
 * Return: the number; 99 for words that are too long to be anybody's typo
 */
static unsigned distance(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b);
	unsigned d[34][34];

	if (la > 32 || lb > 32)
		return 99;
	for (size_t i = 0; i <= la; i++) {
		for (size_t j = 0; j <= lb; j++) {
			unsigned m;

			if (!i || !j) {
				d[i][j] = (unsigned)(i + j);
				continue;
			}
			m = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
			if (d[i - 1][j] + 1 < m)
				m = d[i - 1][j] + 1;
			if (d[i][j - 1] + 1 < m)
				m = d[i][j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < m)
				m = d[i - 2][j - 2] + 1;
			d[i][j] = m;
		}
	}
	return d[la][lb];
}

/**
 * suggest() - The key that was probably meant
 * @s:		Schema
 * @prefix:	Path of the block, with a dot after it, or ""
 * @name:	What stands in the file
 *
 * Return: a name for the same block, or the path of a key of that very name
 * elsewhere, or NULL
 */
static const char *suggest(const struct gz_cfg_schema *s, const char *prefix,
			   const char *name)
{
	unsigned best = strlen(name) < 4 ? 2 : 3;	/* one edit, or two */
	size_t n = strlen(prefix);
	const char *found = NULL, *elsewhere = NULL;

	for (size_t p = 0; p < s->nparts; p++) {
		for (size_t i = 0; i < s->parts[p].nkeys; i++) {
			const char *path = s->parts[p].keys[i].path;
			const char *dot = strrchr(path, '.');
			unsigned d;

			if (!strcmp(dot ? dot + 1 : path, name) ||
			    !strcmp(path, name))
				elsewhere = path;
			if (strncmp(path, prefix, n) || strchr(path + n, '.'))
				continue;
			d = distance(name, path + n);
			if (d < best) {
				best = d;
				found = path + n;
			}
		}
	}
	return found ? found : elsewhere;
}

/**
 * bad_value() - Report a value that is not what a key expects
 * @ld:		Load
 * @k:		Key
 * @key:	Its path, for the message
 * @node:	The value; marked bad
 * @why:	What it is instead
 */
static void bad_value(struct gz_load *ld, const struct gz_cfg_key *k,
		      const char *key, struct node *node, const char *why)
{
	static const char *const kinds[] = {
		[NODE_LIST] = "a list", [NODE_MAP] = "a block of keys",
	};
	char expect[GZ_CFG_EXPECT_MAX];

	if (node->bad || node->kind == NODE_NONE)
		return;
	node->bad = true;
	gz_cfg_expect(k, expect, sizeof(expect));
	if (is_null(node))
		add_error(ld, node->line, node->col, key,
			  "no value: expected %s", expect);
	else if (node->kind == NODE_SCALAR)
		add_error(ld, node->line, node->col, key,
			  "'%s' is %s: expected %s",
			  QUOTE(node->text, node->len), why, expect);
	else
		add_error(ld, node->line, node->col, key,
			  "%s: expected %s", kinds[node->kind], expect);
}

/**
 * load_scalar() - Put one value into its slot
 * @ld:		Load
 * @k:		Key
 * @key:	Its path, for messages
 * @node:	The value
 * @slot:	Where it goes
 */
static void load_scalar(struct gz_load *ld, const struct gz_cfg_key *k,
			const char *key, struct node *node, uint8_t *slot)
{
	const char *why = "not a value";

	if (node->kind == NODE_SCALAR && !is_null(node) && !node->bad) {
		if (strlen(node->text) != node->len)
			why = "not printable";
		else
			why = gz_cfg_parse(k, node->text, slot);
	}
	if (why)
		bad_value(ld, k, key, node, why);
}

static void load_map(struct gz_load *ld, const struct gz_cfg_schema *s,
		     struct node *node, const char *prefix, const char *show,
		     uint8_t *conf);

/**
 * load_client() - Read one map of a list of maps
 * @ld:		Load
 * @k:		The list's key
 * @key:	Path of the map, for messages, such as "clients[0]"
 * @node:	The map
 * @slot:	Where it goes
 */
static void load_client(struct gz_load *ld, const struct gz_cfg_key *k,
			const char *key, struct node *node, uint8_t *slot)
{
	const struct gz_cfg_part *part = k->maps->parts;
	char show[PATH_LEN];

	if (node->kind != NODE_MAP) {
		bad_value(ld, k, key, node, "not a block of keys");
		return;
	}
	snprintf(show, sizeof(show), "%s.", key);
	load_map(ld, k->maps, node, "", show, slot);
	for (size_t i = 0; i < part->nkeys && !ld->stopped; i++) {
		bool found = false;

		for (size_t j = 0; j < node->n; j++)
			found |= node->child[j].key &&
				 !strcmp(node->child[j].key, part->keys[i].path);
		if (!found && (part->keys[i].flags & GZ_CFG_REQUIRED) &&
		    !node->bad)
			add_error(ld, node->line, node->col, key,
				  "'%s' is missing: expected it in each of "
				  "the %s", part->keys[i].path, k->path);
	}
}

/**
 * load_list() - Read a list, in place of the default one
 * @ld:		Load
 * @k:		Key
 * @key:	Its path, for messages
 * @node:	The list; nothing at all is an empty one
 * @base:	What the key's offsets count from
 */
static void load_list(struct gz_load *ld, const struct gz_cfg_key *k,
		      const char *key, struct node *node, uint8_t *base)
{
	struct gz_cfg_key one = *k;	/* for what is said about an entry */
	unsigned n = 0;

	one.list = 0;
	one.flags = 0;
	if (node->kind != NODE_LIST && !is_null(node)) {
		bad_value(ld, k, key, node, "not a list");
		return;
	}
	if (node->bad)
		return;
	/* A default list of words would leak here; there is none. */
	memset(base + k->offset, 0, k->list * k->stride);
	for (size_t i = 0; i < node->n; i++) {
		struct node *child = &node->child[i];
		uint8_t *slot = base + k->offset + n * k->stride;
		char item[PATH_LEN];

		if (i == k->list) {
			node->bad = true;
			add_error(ld, child->line, child->col, key,
				  "%zu entries: expected at most %u", node->n,
				  k->list);
			break;
		}
		snprintf(item, sizeof(item), "%s[%zu]", key, i);
		if (k->type == GZ_CFG_MAPS)
			load_client(ld, &one, item, child, slot);
		else
			load_scalar(ld, &one, item, child, slot);
		/* A word that was refused must leave no hole. */
		if (!child->bad || k->type != GZ_CFG_WORD)
			n++;
		node->bad |= child->bad;
	}
	memcpy(base + k->count, &n, sizeof(n));
}

/**
 * unknown_key() - Report a key that the schema does not have
 * @ld:		Load
 * @s:		Schema
 * @prefix:	Path of the block, with a dot after it, or ""
 * @show:	What to put before the key in the message
 * @node:	The key's node
 */
static void unknown_key(struct gz_load *ld, const struct gz_cfg_schema *s,
			const char *prefix, const char *show,
			const struct node *node)
{
	const char *hint = suggest(s, prefix, node->key);
	char key[PATH_LEN + QUOTE_MAX * 4 + 8];

	snprintf(key, sizeof(key), "%s%s", show,
		 QUOTE(node->key, strlen(node->key)));
	if (hint)
		add_error(ld, node->key_line, node->key_col, key,
			  "unknown key (did you mean '%s'%s?)", hint,
			  strcmp(hint, node->key) || !strchr(hint, '.') ? "" :
			  " as nested blocks");
	else
		add_error(ld, node->key_line, node->key_col, key,
			  "unknown key: expected one of the keys that "
			  "--print-config shows");
}

/**
 * load_key() - Read one key of a map
 * @ld:		Load
 * @s:		Schema
 * @node:	The key and its value
 * @path:	Path in the schema
 * @show:	Path in messages
 * @k:		Its row
 * @base:	What the row's offsets count from, in the part
 * @conf:	Structure
 */
static void load_key(struct gz_load *ld, const struct gz_cfg_schema *s,
		     struct node *node, const char *path, const char *show,
		     const struct gz_cfg_key *k, size_t base, uint8_t *conf)
{
	char inner[PATH_LEN], inner_show[PATH_LEN];

	if (k->list) {
		load_list(ld, k, show, node, conf + base);
	} else if (k->type != GZ_CFG_BLOCK) {
		load_scalar(ld, k, show, node, conf + base + k->offset);
	} else if (node->kind == NODE_MAP) {
		snprintf(inner, sizeof(inner), "%s.", path);
		snprintf(inner_show, sizeof(inner_show), "%s.", show);
		load_map(ld, s, node, inner, inner_show, conf);
	} else if (!is_null(node)) {
		/* Nothing in it: all its keys are commented out. */
		bad_value(ld, k, show, node, "not a block of keys");
	}
}

/**
 * load_map() - Read a map's keys
 * @ld:		Load
 * @s:		Schema
 * @node:	The map
 * @prefix:	Its path in the schema, with a dot after it, or ""
 * @show:	The same for messages, where it may start with "clients[0]."
 * @conf:	Structure
 */
static void load_map(struct gz_load *ld, const struct gz_cfg_schema *s,
		     struct node *node, const char *prefix, const char *show,
		     uint8_t *conf)
{
	for (size_t i = 0; i < node->n; i++) {
		struct node *child = &node->child[i];
		char path[PATH_LEN], shown[PATH_LEN];
		const struct gz_cfg_key *k = NULL;
		size_t base = 0, j = 0;

		if (!child->key)
			continue;
		/* A key that was cut would be no schema's, nor one with dots. */
		snprintf(path, sizeof(path), "%s%s", prefix, child->key);
		snprintf(shown, sizeof(shown), "%s%s", show, child->key);
		if (!strchr(child->key, '.'))
			k = gz_cfg_find(s, path, &base);
		if (!k) {
			/* What a block lacks is perhaps this one. */
			if (node != &ld->root)
				node->bad = true;
			unknown_key(ld, s, prefix, show, child);
			continue;
		}
		while (!node->child[j].key ||
		       strcmp(node->child[j].key, child->key))
			j++;
		if (j < i) {
			child->bad = true;
			add_error(ld, child->key_line, child->key_col, shown,
				  "given twice: expected it once, it is on "
				  "line %u already", node->child[j].key_line);
			continue;
		}
		load_key(ld, s, child, path, shown, k, base, conf);
	}
}

/* ---- for check.c ---- */

/**
 * find_node() - Find the node of a path
 * @ld:		Load
 * @path:	"port.mtu", "clients[1].name", "stack.addresses[0]"
 * @bad:	Set if it or a block around it had an error; may be NULL
 * @up:		Filled with the last node on the way that exists
 *
 * Return: the node, or NULL
 */
static const struct node *find_node(const struct gz_load *ld, const char *path,
				    bool *bad, const struct node **up)
{
	const struct node *node = &ld->root;

	for (;;) {
		const struct node *next = NULL;
		size_t n = strcspn(path, ".[");

		*up = node;
		if (bad && node->bad)
			*bad = true;
		if (!*path)
			return node;
		if (*path == '[') {
			char *end;
			size_t i = strtoul(path + 1, &end, 10);

			if (node->kind == NODE_LIST && i < node->n)
				next = &node->child[i];
			path = end + 1;
		} else {
			for (size_t i = 0; i < node->n && !next; i++)
				if (node->child[i].key &&
				    !strncmp(node->child[i].key, path, n) &&
				    !node->child[i].key[n])
					next = &node->child[i];
			path += n;
		}
		path += *path == '.';
		if (!next)
			return NULL;
		node = next;
	}
}

bool gz_load_has(const struct gz_load *ld, const char *path)
{
	const struct node *up, *node = find_node(ld, path, NULL, &up);

	return node && !is_null(node) && (node->kind != NODE_MAP || node->n);
}

bool gz_load_bad(const struct gz_load *ld, const char *path)
{
	const struct node *up;
	bool bad = false;

	find_node(ld, path, &bad, &up);
	return bad;
}

unsigned gz_load_line(const struct gz_load *ld, const char *path)
{
	const struct node *up;

	find_node(ld, path, NULL, &up);
	return up->key_line ? up->key_line : up->line;
}

void gz_load_error(struct gz_load *ld, const char *path, const char *because,
		   const char *fmt, ...)
{
	const struct node *up, *node = find_node(ld, path, NULL, &up);
	va_list ap;

	if (gz_load_bad(ld, path) || (because && gz_load_bad(ld, because)))
		return;
	va_start(ap, fmt);
	/* A value is pointed at, a block by its name. */
	if (node && node->kind != NODE_MAP)
		vadd_error(ld, node->line, node->col, path, fmt, ap);
	else if (up->key_line)
		vadd_error(ld, up->key_line, up->key_col, path, fmt, ap);
	else
		vadd_error(ld, up->line, up->col, path, fmt, ap);
	va_end(ap);
}

/* ---- the file ---- */

/**
 * read_file() - Read the whole file
 * @ld:		Load; buf and len are filled
 * @err:	Where the error goes; there is no line to name yet
 *
 * Not by size: the file may be a pipe.
 *
 * Return: false after an error
 */
static bool read_file(struct gz_load *ld, FILE *err)
{
	FILE *f = fopen(ld->file, "re");
	bool ok = false;

	if (!f) {
		fprintf(err, "Couldn't open %s: %s\n", ld->file,
			strerror(errno));
		return false;
	}
	ld->buf = malloc(FILE_MAX + 1);
	if (!ld->buf) {
		fprintf(err, "Couldn't read %s: out of memory\n", ld->file);
		goto out;
	}
	ld->len = fread(ld->buf, 1, FILE_MAX + 1, f);
	if (ferror(f)) {
		fprintf(err, "Couldn't read %s: %s\n", ld->file,
			strerror(errno));
		goto out;
	}
	if (ld->len > FILE_MAX) {
		fprintf(err, "%s: too large: expected at most %u bytes\n",
			ld->file, FILE_MAX);
		goto out;
	}
	ld->buf[ld->len] = '\0';
	ok = true;
out:
	fclose(f);
	return ok;
}

/**
 * load_tree() - From the tree to the structure
 * @ld:		Load with its tree
 * @s:		Schema
 * @prepare:	Changes defaults by what the file has
 * @check:	Checks what concerns several keys
 * @conf:	Structure with the defaults
 */
static void load_tree(struct gz_load *ld, const struct gz_cfg_schema *s,
		      void (*prepare)(const struct gz_load *, void *),
		      void (*check)(struct gz_load *, void *), void *conf)
{
	struct node *root = &ld->root;

	if (root->kind == NODE_LIST || (root->kind == NODE_SCALAR &&
					!is_null(root))) {
		add_error(ld, root->line, root->col, NULL,
			  "%s: expected 'key: value' lines",
			  root->kind == NODE_LIST ? "a list" : "plain text");
		return;
	}
	prepare(ld, conf);
	load_map(ld, s, root, "", "", conf);
	if (!ld->stopped)
		check(ld, conf);
}

/**
 * load() - Read a file over the defaults
 * @s:		Schema
 * @path:	File
 * @conf:	Filled: the defaults if anything was wrong
 * @prepare:	See load_tree()
 * @check:	See load_tree()
 * @err:	Where messages go
 *
 * Return: number of errors
 */
static int load(const struct gz_cfg_schema *s, const char *path, void *conf,
		void (*prepare)(const struct gz_load *, void *),
		void (*check)(struct gz_load *, void *), FILE *err)
{
	struct gz_load ld = { .file = path };
	void *scratch = malloc(s->size);
	int n = 1;

	gz_cfg_default(s, conf);
	if (!scratch) {
		fprintf(err, "Couldn't read %s: out of memory\n", path);
		return 1;
	}
	gz_cfg_default(s, scratch);
	if (!read_file(&ld, err))
		goto out;
	if (!yaml_parser_initialize(&ld.yaml)) {
		fprintf(err, "Couldn't read %s: out of memory\n", path);
		goto out;
	}
	yaml_parser_set_encoding(&ld.yaml, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&ld.yaml, (unsigned char *)ld.buf, ld.len);
	build_tree(&ld);
	load_tree(&ld, s, prepare, check, scratch);
	n = print_errors(&ld, err);
	free_node(&ld.root);
	yaml_parser_delete(&ld.yaml);
	if (!n)
		memcpy(conf, scratch, s->size);	/* and the words with it */
	else
		gz_cfg_free(s, scratch);
out:
	free(ld.buf);
	free(scratch);
	return n;
}

int gz_engine_config_load(const char *path, struct gz_engine_config *c,
			  FILE *err)
{
	return load(&gz_engine_schema, path, c, gz_engine_prepare,
		    gz_engine_check, err);
}

int gz_dispatch_config_load(const char *path, struct gz_dispatch_config *c,
			    FILE *err)
{
	return load(&gz_dispatch_schema, path, c, gz_dispatch_prepare,
		    gz_dispatch_check, err);
}

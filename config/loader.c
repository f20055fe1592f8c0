/* SPDX-License-Identifier: BSD-3-Clause
 *
 * loader.c - From a YAML file to a filled structure, with good messages
 *
 * Theory of Operation
 *
 * tree.c has made a tree of the file.  It is walked along the schema, and
 * values go into a scratch copy of the defaults.  If the syntax was sound,
 * check.c looks at what concerns several keys.
 *
 * Errors are collected all the way, sorted by position and printed at the end;
 * only without any does the scratch copy become the caller's configuration.
 */
#include "config/tree.h"

#include <stdlib.h>
#include <string.h>

#define PATH_LEN 160 /* of a dotted path, in messages */

/* ---- along the schema ---- */

/**
 * join() - Make a path longer
 * @buf:	PATH_LEN bytes; "", which is no key's, if it does not fit
 * @a:		Start
 * @b:		End
 */
static void join(char *buf, const char *a, const char *b)
{
	if (snprintf(buf, PATH_LEN, "%s%s", a, b) >= PATH_LEN)
		buf[0] = '\0';
}

/**
 * is_null() - Does a node hold nothing?
 * @node:	Node
 *
 * Return: true for nothing at all, ~ and null, without quotes
 */
static bool is_null(const struct node *node)
{
	return node->kind == NODE_SCALAR && node->plain &&
	       (!node->len || !strcmp(node->text, "~") || !strcmp(node->text, "null"));
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
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    d[i - 2][j - 2] + 1 < m)
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
static const char *suggest(const struct gz_cfg_schema *s, const char *prefix, const char *name)
{
	unsigned best = strlen(name) < 4 ? 2 : 3; /* one edit, or two */
	size_t n = strlen(prefix);
	const char *found = NULL, *elsewhere = NULL;

	for (size_t p = 0; p < s->nparts; p++) {
		for (size_t i = 0; i < s->parts[p].nkeys; i++) {
			const char *path = s->parts[p].keys[i].path;
			const char *dot = strrchr(path, '.');
			unsigned d;

			if (!strcmp(dot ? dot + 1 : path, name) || !strcmp(path, name))
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
static void bad_value(struct gz_load *ld, const struct gz_cfg_key *k, const char *key,
		      struct node *node, const char *why)
{
	static const char *const kinds[] = {
	    [NODE_LIST] = "a list",
	    [NODE_MAP] = "a block of keys",
	};
	char expect[GZ_CFG_EXPECT_MAX];

	if (node->bad || node->kind == NODE_NONE)
		return;
	node->bad = true;
	gz_cfg_expect(k, expect, sizeof(expect));
	if (is_null(node))
		gz_load_error_at(ld, node->line, node->col, key, "no value: expected %s", expect);
	else if (node->kind == NODE_SCALAR)
		gz_load_error_at(ld, node->line, node->col, key, "'%s' is %s: expected %s",
				 QUOTE(node->text, node->len), why, expect);
	else
		gz_load_error_at(ld, node->line, node->col, key, "%s: expected %s",
				 kinds[node->kind], expect);
}

/**
 * is_named_null() - Is "null" one of the values of an enum, and this one?
 * @k:		Key
 * @node:	A node that is_null()
 *
 * Return: true if so
 */
static bool is_named_null(const struct gz_cfg_key *k, const struct node *node)
{
	for (size_t i = 0; k->type == GZ_CFG_ENUM && k->names[i]; i++)
		if (!strcmp(k->names[i], "null"))
			return !strcmp(node->text, "null");
	return false;
}

/**
 * load_scalar() - Put one value into its slot
 * @ld:		Load
 * @k:		Key
 * @key:	Its path, for messages
 * @node:	The value
 * @slot:	Where it goes
 */
static void load_scalar(struct gz_load *ld, const struct gz_cfg_key *k, const char *key,
			struct node *node, uint8_t *slot)
{
	const char *why = "not a value";

	if (node->kind == NODE_SCALAR && !node->bad && (!is_null(node) || is_named_null(k, node))) {
		if (strlen(node->text) != node->len)
			why = "not printable";
		else
			why = gz_cfg_parse(k, node->text, slot);
	}
	if (why)
		bad_value(ld, k, key, node, why);
}

static void load_map(struct gz_load *ld, const struct gz_cfg_schema *s, struct node *node,
		     const char *prefix, const char *show, uint8_t *conf);

/**
 * load_client() - Read one map of a list of maps
 * @ld:		Load
 * @k:		The list's key
 * @key:	Path of the map, for messages, such as "clients[0]"
 * @node:	The map
 * @slot:	Where it goes
 */
static void load_client(struct gz_load *ld, const struct gz_cfg_key *k, const char *key,
			struct node *node, uint8_t *slot)
{
	const struct gz_cfg_part *part = k->maps->parts;
	char show[PATH_LEN];

	if (node->kind != NODE_MAP) {
		bad_value(ld, k, key, node, "not a block of keys");
		return;
	}
	join(show, key, ".");
	load_map(ld, k->maps, node, "", show, slot);
	for (size_t i = 0; i < part->nkeys && !ld->stopped; i++) {
		bool found = false;

		for (size_t j = 0; j < node->n; j++)
			found |=
			    node->child[j].key && !strcmp(node->child[j].key, part->keys[i].path);
		if (!found && (part->keys[i].flags & GZ_CFG_REQUIRED) && !node->bad)
			gz_load_error_at(ld, node->line, node->col, key,
					 "'%s' is missing: expected it in each of "
					 "the %s",
					 part->keys[i].path, k->path);
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
static void load_list(struct gz_load *ld, const struct gz_cfg_key *k, const char *key,
		      struct node *node, uint8_t *base)
{
	struct gz_cfg_key one = *k; /* for what is said about an entry */
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
		char item[PATH_LEN], index[24];

		if (i == k->list) {
			node->bad = true;
			gz_load_error_at(ld, child->line, child->col, key,
					 "%zu entries: expected at most %u", node->n, k->list);
			break;
		}
		snprintf(index, sizeof(index), "[%zu]", i);
		join(item, key, index);
		if (k->type == GZ_CFG_MAPS)
			load_client(ld, &one, item, child, slot);
		else
			load_scalar(ld, &one, item, child, slot);
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
static void unknown_key(struct gz_load *ld, const struct gz_cfg_schema *s, const char *prefix,
			const char *show, const struct node *node)
{
	const char *hint = suggest(s, prefix, node->key);
	char key[PATH_LEN + QUOTE_BUF];

	snprintf(key, sizeof(key), "%s%s", show, QUOTE(node->key, strlen(node->key)));
	if (hint)
		gz_load_error_at(
		    ld, node->key_line, node->key_col, key, "unknown key (did you mean '%s'%s?)",
		    hint, strcmp(hint, node->key) || !strchr(hint, '.') ? "" : " as nested blocks");
	else
		gz_load_error_at(ld, node->key_line, node->key_col, key,
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
static void load_key(struct gz_load *ld, const struct gz_cfg_schema *s, struct node *node,
		     const char *path, const char *show, const struct gz_cfg_key *k, size_t base,
		     uint8_t *conf)
{
	char inner[PATH_LEN], inner_show[PATH_LEN];

	if (k->list) {
		load_list(ld, k, show, node, conf + base);
	} else if (k->type != GZ_CFG_BLOCK) {
		load_scalar(ld, k, show, node, conf + base + k->offset);
	} else if (node->kind == NODE_MAP) {
		join(inner, path, ".");
		join(inner_show, show, ".");
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
static void load_map(struct gz_load *ld, const struct gz_cfg_schema *s, struct node *node,
		     const char *prefix, const char *show, uint8_t *conf)
{
	for (size_t i = 0; i < node->n; i++) {
		struct node *child = &node->child[i];
		char path[PATH_LEN], shown[PATH_LEN];
		const struct gz_cfg_key *k = NULL;
		size_t base = 0, j = 0;

		if (!child->key)
			continue;
		/* A key with a dot would be found, but it is not how YAML nests. */
		join(path, prefix, child->key);
		join(shown, show, child->key);
		if (!strchr(child->key, '.'))
			k = gz_cfg_find(s, path, &base);
		if (!k) {
			/* What a block lacks is perhaps this one. */
			if (node != &ld->root)
				node->bad = true;
			unknown_key(ld, s, prefix, show, child);
			continue;
		}
		while (!node->child[j].key || strcmp(node->child[j].key, child->key))
			j++;
		if (j < i) {
			child->bad = true;
			gz_load_error_at(ld, child->key_line, child->key_col, shown,
					 "given twice: expected it once, it is on "
					 "line %u already",
					 node->child[j].key_line);
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
static const struct node *find_node(const struct gz_load *ld, const char *path, bool *bad,
				    const struct node **up)
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
				if (node->child[i].key && !strncmp(node->child[i].key, path, n) &&
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

void gz_load_error(struct gz_load *ld, const char *path, const char *because, const char *fmt, ...)
{
	const struct node *up, *node = find_node(ld, path, NULL, &up);
	va_list ap;

	if (gz_load_bad(ld, path) || (because && gz_load_bad(ld, because)))
		return;
	va_start(ap, fmt);
	/* A value is pointed at, a block by its name. */
	if (node && node->kind != NODE_MAP)
		gz_load_verror_at(ld, node->line, node->col, path, fmt, ap);
	else if (up->key_line)
		gz_load_verror_at(ld, up->key_line, up->key_col, path, fmt, ap);
	else
		gz_load_verror_at(ld, up->line, up->col, path, fmt, ap);
	va_end(ap);
}

/* ---- the whole ---- */

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

	if (root->kind == NODE_LIST || (root->kind == NODE_SCALAR && !is_null(root))) {
		gz_load_error_at(ld, root->line, root->col, NULL, "%s: expected 'key: value' lines",
				 root->kind == NODE_LIST ? "a list" : "plain text");
		return;
	}
	prepare(ld, conf);
	load_map(ld, s, root, "", "", conf);
	if (!ld->stopped)
		check(ld, conf);
}

/**
 * check_live() - Report what is to change and cannot
 * @ld:		Load
 * @s:		Schema
 * @running:	What is in force
 * @conf:	What the file says
 */
static void check_live(struct gz_load *ld, const struct gz_cfg_schema *s, const void *running,
		       const void *conf)
{
	for (size_t p = 0; p < s->nparts; p++) {
		const struct gz_cfg_part *part = &s->parts[p];

		for (size_t i = 0; i < part->nkeys; i++) {
			const struct gz_cfg_key *k = &part->keys[i];

			if (!(k->flags & GZ_CFG_LIVE) &&
			    !gz_cfg_same(k, (const uint8_t *)running + part->base,
					 (const uint8_t *)conf + part->base))
				gz_load_error(ld, k->path, NULL,
					      "cannot be changed while it runs: expected the "
					      "value that it was started with");
		}
	}
}

/**
 * load() - Read a file over the defaults
 * @s:		Schema
 * @path:	File
 * @conf:	Filled: the defaults if anything was wrong
 * @prepare:	See load_tree()
 * @check:	See load_tree()
 * @running:	See check_live(); NULL: nothing runs
 * @err:	Where messages go
 *
 * Return: number of errors
 */
static int load(const struct gz_cfg_schema *s, const char *path, void *conf,
		void (*prepare)(const struct gz_load *, void *),
		void (*check)(struct gz_load *, void *), const void *running, FILE *err)
{
	struct gz_load ld = {.file = path};
	void *scratch = malloc(s->size);
	int n = 1;

	gz_cfg_default(s, conf);
	if (!scratch) {
		fprintf(err, "Couldn't read %s: out of memory\n", path);
		return 1;
	}
	gz_cfg_default(s, scratch);
	if (!gz_load_read(&ld, err))
		goto out;
	if (!yaml_parser_initialize(&ld.yaml)) {
		fprintf(err, "Couldn't read %s: out of memory\n", path);
		goto out;
	}
	yaml_parser_set_encoding(&ld.yaml, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&ld.yaml, (unsigned char *)ld.buf, ld.len);
	gz_tree_build(&ld);
	load_tree(&ld, s, prepare, check, scratch);
	if (running && !ld.stopped)
		check_live(&ld, s, running, scratch);
	n = gz_load_print_errors(&ld, err);
	gz_tree_free(&ld.root);
	yaml_parser_delete(&ld.yaml);
	if (!n)
		memcpy(conf, scratch, s->size); /* and the words with it */
	else
		gz_cfg_free(s, scratch);
out:
	free(ld.buf);
	free(scratch);
	return n;
}

int gz_engine_config_load(const char *path, struct gz_engine_config *c, FILE *err)
{
	return load(&gz_engine_schema, path, c, gz_engine_prepare, gz_engine_check, NULL, err);
}

int gz_dispatch_config_load(const char *path, struct gz_dispatch_config *c, FILE *err)
{
	return load(&gz_dispatch_schema, path, c, gz_dispatch_prepare, gz_dispatch_check, NULL,
		    err);
}

int gz_dispatch_config_reload(const char *path, const struct gz_dispatch_config *running,
			      struct gz_dispatch_config *c, FILE *err)
{
	return load(&gz_dispatch_schema, path, c, gz_dispatch_prepare, gz_dispatch_check, running,
		    err);
}

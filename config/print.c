/* SPDX-License-Identifier: BSD-3-Clause
 *
 * print.c - The commented YAML file, from the table and a configuration
 *
 * What is printed loads again to the same configuration.  A key without a
 * value is printed as a commented example; a block without any too, so that
 * nobody takes an empty `veth:` for a pair.
 */
#include "config/schema.h"

#include <string.h>

#define WIDTH 79 /* of a comment line, indentation included */

/**
 * depth() - How far a key is indented
 * @path:	Dotted path
 *
 * Return: dots in it
 */
static int depth(const char *path)
{
	int n = 0;

	for (; *path; path++)
		n += *path == '.';
	return n;
}

/**
 * comment() - Print text as comment lines, broken at spaces
 * @text:	Text; a newline ends a paragraph
 * @indent:	Columns before the #
 * @out:	Where to
 */
static void comment(const char *text, int indent, FILE *out)
{
	size_t room = (size_t)(WIDTH - indent - 2);

	while (*text) {
		size_t n = strcspn(text, "\n");

		if (n > room) {
			n = room;
			while (n && text[n] != ' ')
				n--;
			if (!n) /* one very long word */
				n = strcspn(text, " \n");
		}
		fprintf(out, "%*s# %.*s\n", indent, "", (int)n, text);
		text += n;
		text += strspn(text, " \n");
	}
}

/**
 * block_isset() - Does a block hold a key with a value?
 * @part:	Part that holds the block and all its keys
 * @path:	The block's
 * @base:	What the offsets count from
 *
 * Return: true if so
 */
static bool block_isset(const struct gz_cfg_part *part, const char *path, const uint8_t *base)
{
	size_t n = strlen(path);

	for (size_t i = 0; i < part->nkeys; i++) {
		const struct gz_cfg_key *k = &part->keys[i];

		if (k->type != GZ_CFG_BLOCK && !strncmp(k->path, path, n) && k->path[n] == '.' &&
		    gz_cfg_isset(k, base))
			return true;
	}
	return false;
}

/**
 * print_list() - Print a list of values that are no maps
 * @k:		Key
 * @base:	What its offsets count from
 * @out:	Where to
 */
static void print_list(const struct gz_cfg_key *k, const uint8_t *base, FILE *out)
{
	unsigned n;

	memcpy(&n, base + k->count, sizeof(n));
	putc('[', out);
	for (unsigned i = 0; i < n; i++) {
		fputs(i ? ", " : "", out);
		gz_cfg_format(k, base + k->offset + i * k->stride, out);
	}
	putc(']', out);
}

static void print_value(const struct gz_cfg_key *k, const uint8_t *base, int indent, FILE *out);

/** last_of() - A key's name in its block */
static const char *last_of(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot ? dot + 1 : path;
}

/** is_there() - Has a key a value, or a block one that has? */
static bool is_there(const struct gz_cfg_part *part, const struct gz_cfg_key *k,
		     const uint8_t *base)
{
	return k->type == GZ_CFG_BLOCK ? block_isset(part, k->path, base) : gz_cfg_isset(k, base);
}

/**
 * print_map() - Print one map of a list
 * @k:		Key of the list
 * @slot:	The map
 * @indent:	Columns before the key
 * @out:	Where to
 */
static void print_map(const struct gz_cfg_key *k, const uint8_t *slot, int indent, FILE *out)
{
	const char *mark = "-";

	for (size_t p = 0; p < k->maps->nparts; p++) {
		const struct gz_cfg_part *part = &k->maps->parts[p];
		const uint8_t *base = slot + part->base;

		for (size_t j = 0; j < part->nkeys; j++) {
			const struct gz_cfg_key *own = &part->keys[j];
			int inner = 2 * depth(own->path);

			if (!is_there(part, own, base))
				continue;
			fprintf(out, "%*s  %s %*s%s", indent, "", mark, inner, "",
				last_of(own->path));
			if (own->type == GZ_CFG_BLOCK)
				fputs(":\n", out);
			else
				print_value(own, base, indent + inner + 4, out);
			mark = " ";
		}
	}
}

/**
 * print_value() - Print a key's value, after its name
 * @k:		Key that has a value
 * @base:	What its offsets count from
 * @indent:	Columns before the key
 * @out:	Where to
 */
static void print_value(const struct gz_cfg_key *k, const uint8_t *base, int indent, FILE *out)
{
	unsigned n;

	if (k->type == GZ_CFG_MAPS) {
		fputs(":\n", out);
		memcpy(&n, base + k->count, sizeof(n));
		for (unsigned i = 0; i < n; i++)
			print_map(k, base + k->offset + i * k->stride, indent, out);
		return;
	}
	fputs(": ", out);
	if (k->list)
		print_list(k, base, out);
	else
		gz_cfg_format(k, base + k->offset, out);
	putc('\n', out);
}

/**
 * print_example() - Print a commented example for a key without a value
 * @k:		Key
 * @name:	Its name in its block
 * @indent:	Columns before the #
 * @out:	Where to
 */
static void print_example(const struct gz_cfg_key *k, const char *name, int indent, FILE *out)
{
	const char *p = k->example;

	if (k->type != GZ_CFG_MAPS) {
		fprintf(out, "%*s# %s: %s\n", indent, "", name, p);
		return;
	}
	fprintf(out, "%*s# %s:\n", indent, "", name);
	while (*p) {
		size_t n = strcspn(p, "\n");

		fprintf(out, "%*s# %.*s\n", indent, "", (int)n, p);
		p += n + (p[n] == '\n');
	}
}

/**
 * print_key() - Print a key: help, what is expected, value or example
 * @part:	Its part
 * @k:		The key
 * @base:	What its offsets count from
 * @out:	Where to
 */
static void print_key(const struct gz_cfg_part *part, const struct gz_cfg_key *k,
		      const uint8_t *base, FILE *out)
{
	const char *name = last_of(k->path);
	char text[2048], expect[GZ_CFG_EXPECT_MAX];
	int indent = 2 * depth(k->path);

	snprintf(text, sizeof(text), "%s%s%s", k->help, k->more ? " " : "", k->more ? k->more : "");
	putc('\n', out);
	comment(text, indent, out);
	if (k->type == GZ_CFG_BLOCK) {
		fprintf(out, "%*s%s%s:\n", indent, "", is_there(part, k, base) ? "" : "# ", name);
		return;
	}
	gz_cfg_expect(k, expect, sizeof(expect));
	snprintf(text, sizeof(text), "[%s%s%s]", expect, k->def && *k->def ? "; default " : "",
		 k->def ? k->def : "");
	comment(text, indent, out);
	if (gz_cfg_isset(k, base)) {
		fprintf(out, "%*s%s", indent, "", name);
		print_value(k, base, indent, out);
	} else {
		print_example(k, name, indent, out);
	}
}

/**
 * gz_cfg_print() - Print a configuration as a commented file
 * @s:		Schema
 * @conf:	Structure
 * @out:	Where to
 */
void gz_cfg_print(const struct gz_cfg_schema *s, const void *conf, FILE *out)
{
	comment(s->title, 0, out);
	for (size_t p = 0; p < s->nparts; p++)
		for (size_t i = 0; i < s->parts[p].nkeys; i++)
			print_key(&s->parts[p], &s->parts[p].keys[i],
				  (const uint8_t *)conf + s->parts[p].base, out);
}

void gz_engine_config_print(const struct gz_engine_config *c, FILE *out)
{
	gz_cfg_print(&gz_engine_schema, c, out);
}

void gz_dispatch_config_print(const struct gz_dispatch_config *c, FILE *out)
{
	gz_cfg_print(&gz_dispatch_schema, c, out);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * schema.h - What a configuration file may say, as a table
 *
 * Theory of Operation
 *
 * A schema is a list of parts, a part a list of keys whose offsets count from
 * the part's base: so `memory:` and `port:` are written once and serve the
 * engine's file and dispatch's.  A key's row says everything there is to know:
 * dotted path, type, where the value goes, range, default, help.  Defaults
 * (defaults.c), parsing and formatting (value.c, value_text.c), loading with messages
 * (loader.c) and the commented file (print.c) loop over the table; none of
 * them knows a key by name.  Only check.c does, for what concerns two keys.
 *
 * A key can be a list: @list slots of @stride bytes from @offset, with an
 * `unsigned` count at @count.  A list of maps has its own schema, @maps, whose
 * base is one slot.
 *
 * This header is private to config/ and its tests; programs use config.h.
 */
#ifndef GZ_CONFIG_SCHEMA_H
#define GZ_CONFIG_SCHEMA_H

#include "config/config.h"

#include <stddef.h>

enum gz_cfg_type {
	GZ_CFG_BLOCK, /* no value: a mapping that holds other keys */
	GZ_CFG_MAPS,  /* list of mappings, described by @maps */
	GZ_CFG_TEXT,  /* char[]: anything printable */
	GZ_CFG_NAME,  /* char[]: letters, digits, '.', '_', '-' */
	GZ_CFG_IFACE, /* char[]: a network interface */
	GZ_CFG_PATH,  /* char[]: an absolute path */
	GZ_CFG_WORD,  /* char *, malloc()ed: one command-line word */
	GZ_CFG_ENUM,  /* an enum, by @names */
	GZ_CFG_BOOL,
	GZ_CFG_UINT,	 /* 16 or 32 bits, by @size */
	GZ_CFG_INT,	 /* 32 bits */
	GZ_CFG_DURATION, /* 32 bits, counted in @unit microseconds */
	GZ_CFG_MAC,	 /* uint8_t[6] with a bool after it: is it set? */
	GZ_CFG_ADDR4,	 /* uint32_t, network order, 0: none */
	GZ_CFG_HOST4,	 /* struct gz_prefix4: a host's address and mask */
	GZ_CFG_NET4,	 /* struct gz_prefix4: a network, no host bits */
	GZ_CFG_ADDR6,	 /* struct in6_addr, ::, none */
	GZ_CFG_HOST6,	 /* struct gz_prefix: a host's address and its network's length */
	GZ_CFG_NET,	 /* struct gz_prefix: a network of either family */
	GZ_CFG_UID,	 /* uint32_t with a bool after it: is it set? */
	GZ_CFG_PORTS,	 /* uint16_t low, high */
};

#define GZ_CFG_OPTIONAL 1u /* may be unset: "", zero, an empty list */
#define GZ_CFG_REQUIRED 2u /* each map of a list must have it */
#define GZ_CFG_POW2 4u	   /* a power of two */
#define GZ_CFG_SINGLE 8u   /* ports: one will do */
#define GZ_CFG_LIVE 16u	   /* may change while the program runs */

struct gz_cfg_schema;

struct gz_cfg_key {
	const char *path; /* "port.veth.host" */
	enum gz_cfg_type type;
	unsigned flags;
	size_t offset, size;	  /* of the value, from the part's base */
	int64_t min, max;	  /* numbers; durations: in stored units */
	int64_t unit;		  /* durations: microseconds in one */
	const char *const *names; /* enums, NULL at the end */
	const char *def;	  /* as in the file; lists: by spaces */
	const char *example;	  /* shown commented while unset */
	const char *help;	  /* one line */
	const char *more;	  /* as many as it needs; may be NULL */
	unsigned list;		  /* slots; 0: not a list */
	size_t stride, count;	  /* lists: slot size, offset of count */
	const struct gz_cfg_schema *maps;
};

struct gz_cfg_part {
	const struct gz_cfg_key *keys;
	size_t nkeys;
	size_t base; /* what the keys' offsets count from */
};

struct gz_cfg_schema {
	const char *title; /* the file's opening comment */
	const struct gz_cfg_part *parts;
	size_t nparts;
	size_t size; /* of the structure it fills */
};

extern const struct gz_cfg_schema gz_engine_schema;
extern const struct gz_cfg_schema gz_dispatch_schema;

/** Longest "expected" text that gz_cfg_expect() makes, with NUL. */
#define GZ_CFG_EXPECT_MAX 256

/* defaults.c */
void gz_cfg_default(const struct gz_cfg_schema *s, void *conf);
void gz_cfg_free(const struct gz_cfg_schema *s, void *conf);
const struct gz_cfg_key *gz_cfg_find(const struct gz_cfg_schema *s, const char *path, size_t *base);

/* value.c */
const char *gz_cfg_parse(const struct gz_cfg_key *k, const char *text, void *slot);
uint32_t gz_prefix4_mask(unsigned len);

/* value_text.c */
void gz_cfg_format(const struct gz_cfg_key *k, const void *slot, FILE *out);
bool gz_cfg_same(const struct gz_cfg_key *k, const void *a, const void *b);
bool gz_cfg_isset(const struct gz_cfg_key *k, const void *base);
const char *gz_cfg_expect(const struct gz_cfg_key *k, char *buf, size_t n);

/* print.c */
void gz_cfg_print(const struct gz_cfg_schema *s, const void *conf, FILE *out);

#endif

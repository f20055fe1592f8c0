/* SPDX-License-Identifier: BSD-3-Clause
 *
 * defaults.c - Structures that are filled, looked up in and freed by the tables
 */
#include "config/schema.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/**
 * gz_cfg_find() - Look a key up
 * @s:		Schema
 * @path:	Dotted path
 * @base:	Filled with what its offsets count from; may be NULL
 *
 * Return: the key, or NULL
 */
const struct gz_cfg_key *gz_cfg_find(const struct gz_cfg_schema *s, const char *path, size_t *base)
{
	for (size_t p = 0; p < s->nparts; p++) {
		const struct gz_cfg_part *part = &s->parts[p];

		for (size_t i = 0; i < part->nkeys; i++) {
			if (strcmp(part->keys[i].path, path))
				continue;
			if (base)
				*base = part->base;
			return &part->keys[i];
		}
	}
	return NULL;
}

/**
 * set_default() - Give one key its default
 * @k:		Key
 * @base:	What its offsets count from, all zero so far
 *
 * A default that does not parse is a mistake in the table above; a unit test
 * goes through all of them.
 */
static void set_default(const struct gz_cfg_key *k, uint8_t *base)
{
	const char *why = NULL, *p = k->def;
	unsigned n = 0;

	if (!p || !*p)
		return;
	if (!k->list) {
		why = gz_cfg_parse(k, p, base + k->offset);
	} else {
		while (*p && !why) {
			size_t len = strcspn(p, " ");
			char word[64] = "";

			assert(len < sizeof(word) && n < k->list);
			memcpy(word, p, len);
			why = gz_cfg_parse(k, word, base + k->offset + n++ * k->stride);
			p += len + strspn(p + len, " ");
		}
		memcpy(base + k->count, &n, sizeof(n));
	}
	assert(!why);
	(void)why;
}

/**
 * gz_cfg_default() - Fill a structure with the table's defaults
 * @s:		Schema
 * @conf:	Structure of s->size bytes; its old content is not freed
 */
void gz_cfg_default(const struct gz_cfg_schema *s, void *conf)
{
	memset(conf, 0, s->size);
	for (size_t p = 0; p < s->nparts; p++)
		for (size_t i = 0; i < s->parts[p].nkeys; i++)
			set_default(&s->parts[p].keys[i], (uint8_t *)conf + s->parts[p].base);
}

/**
 * gz_cfg_free() - Free what a structure owns, and empty those lists
 * @s:		Schema
 * @conf:	Structure
 */
void gz_cfg_free(const struct gz_cfg_schema *s, void *conf)
{
	for (size_t p = 0; p < s->nparts; p++) {
		for (size_t i = 0; i < s->parts[p].nkeys; i++) {
			const struct gz_cfg_key *k = &s->parts[p].keys[i];
			uint8_t *base = (uint8_t *)conf + s->parts[p].base;
			unsigned n;

			if (k->type != GZ_CFG_WORD)
				continue;
			memcpy(&n, base + k->count, sizeof(n));
			while (n--) {
				char *word;

				memcpy(&word, base + k->offset + n * k->stride, sizeof(word));
				free(word);
			}
			memset(base + k->offset, 0, k->list * k->stride);
			memset(base + k->count, 0, sizeof(n));
		}
	}
}

void gz_engine_config_default(struct gz_engine_config *c)
{
	gz_cfg_default(&gz_engine_schema, c);
}

void gz_dispatch_config_default(struct gz_dispatch_config *c)
{
	gz_cfg_default(&gz_dispatch_schema, c);
}

void gz_engine_config_free(struct gz_engine_config *c)
{
	gz_cfg_free(&gz_engine_schema, c);
}

unsigned gz_engine_addresses(const struct gz_engine_config *c, struct gz_prefix4 addr[GZ_OWN4_MAX],
			     uint8_t port[GZ_OWN4_MAX])
{
	unsigned n = 0;

	for (unsigned p = 0; p <= c->nmore; p++) {
		const struct gz_prefix4 *of = p ? c->more[p - 1].addrs : c->addrs;

		for (unsigned i = 0; i < (p ? c->more[p - 1].naddrs : c->naddrs); i++) {
			addr[n] = of[i];
			port[n++] = (uint8_t)p;
		}
	}
	return n;
}

unsigned gz_engine_addresses6(const struct gz_engine_config *c,
			      struct gz_prefix addr[GZ_CONFIGURED6_MAX],
			      uint8_t port[GZ_CONFIGURED6_MAX])
{
	unsigned n = 0;

	for (unsigned p = 0; p <= c->nmore; p++) {
		const struct gz_prefix *of = p ? c->more[p - 1].addrs6 : c->addrs6;

		for (unsigned i = 0; i < (p ? c->more[p - 1].naddrs6 : c->naddrs6); i++) {
			addr[n] = of[i];
			port[n++] = (uint8_t)p;
		}
	}
	return n;
}

void gz_dispatch_config_of(const struct gz_dispatch_config *all, unsigned i,
			   struct gz_dispatch_config *c)
{
	const struct gz_dispatch_port *p = &all->ports[i];

	*c = *all;
	if (!all->nports)
		return;
	c->port = p->port;
	c->bond.nports = p->nbond;
	memcpy(c->bond.ports, p->bond, sizeof(c->bond.ports));
	c->bond.ntargets = p->ntargets;
	memcpy(c->bond.targets, p->targets, sizeof(c->bond.targets));
	c->send_kbits = p->send_kbits;
	memcpy(c->kernel_iface, p->kernel_iface, sizeof(c->kernel_iface));
	c->nclients = 0;
	for (unsigned k = 0; k < all->nclients; k++) {
		if (!strcmp(all->clients[k].port, p->name))
			c->clients[c->nclients++] = all->clients[k];
	}
}

void gz_dispatch_config_free(struct gz_dispatch_config *c)
{
	gz_cfg_free(&gz_dispatch_schema, c);
}

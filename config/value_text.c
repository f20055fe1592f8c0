/* SPDX-License-Identifier: BSD-3-Clause
 *
 * value_text.c - One configuration value, to text: as it is, and what it may be
 *
 * What is printed here value.c reads again, and gives the same.
 */
#include "config/value.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/**
 * fetch_int() - Read a field of 2 or 4 bytes
 * @k:		Its key
 * @slot:	The field
 *
 * Return: its value
 */
static int64_t fetch_int(const struct gz_cfg_key *k, const void *slot)
{
	uint16_t v16;
	uint32_t v32;

	if (k->size == sizeof(v16)) {
		memcpy(&v16, slot, sizeof(v16));
		return v16;
	}
	memcpy(&v32, slot, sizeof(v32));
	return k->type == GZ_CFG_INT ? (int64_t)(int32_t)v32 : (int64_t)v32;
}

/**
 * print_string() - Print a string as a YAML scalar, quoted where needed
 * @s:		String
 * @out:	Where to
 */
static void print_string(const char *s, FILE *out)
{
	static const char *const special[] = {"null", "Null", "NULL", "true", "false",
					      "yes",  "no",   "on",   "off",  NULL};
	bool plain = (isalnum((unsigned char)*s) || *s == '/') && gz_cfg_find_word(special, s) < 0;

	for (const char *p = s; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("._-/+=@", *p))
			plain = false;
	if (plain) {
		fputs(s, out);
		return;
	}
	putc('"', out);
	for (const char *p = s; *p; p++) {
		if (*p == '"' || *p == '\\')
			putc('\\', out);
		putc(*p, out);
	}
	putc('"', out);
}

/**
 * print_duration() - Print a duration in the largest unit that is exact
 * @us:		Microseconds
 * @out:	Where to
 */
static void print_duration(int64_t us, FILE *out)
{
	size_t i = 0;

	while (us % gz_cfg_units[i].us)
		i++;
	fprintf(out, "%" PRId64 "%s", us / gz_cfg_units[i].us, gz_cfg_units[i].suffix);
}

/**
 * print_net() - Print a network of either family
 * @slot:	struct gz_prefix
 * @out:	Where to
 */
static void print_net(const void *slot, FILE *out)
{
	char text[INET6_ADDRSTRLEN];
	struct gz_prefix p;

	memcpy(&p, slot, sizeof(p));
	/* Quoted: a plain scalar with colons is no string to every reader. */
	if (IN6_IS_ADDR_V4MAPPED(&p.addr) && p.len >= 96)
		fprintf(out, "%s/%u", inet_ntop(AF_INET, &p.addr.s6_addr[12], text, sizeof(text)),
			p.len - 96);
	else
		fprintf(out, "\"%s/%u\"", inet_ntop(AF_INET6, &p.addr, text, sizeof(text)), p.len);
}

/**
 * gz_cfg_format() - Print one value so that gz_cfg_parse() reads it again
 * @k:		Key
 * @slot:	The field, or a list's slot, that holds a set value
 * @out:	Where to
 */
void gz_cfg_format(const struct gz_cfg_key *k, const void *slot, FILE *out)
{
	char text[INET6_ADDRSTRLEN];
	const uint8_t *mac = slot;
	struct gz_prefix4 p;
	uint16_t ports[2];
	uint32_t uid;
	bool on;
	char *word;

	switch (k->type) {
	case GZ_CFG_TEXT:
	case GZ_CFG_NAME:
	case GZ_CFG_IFACE:
	case GZ_CFG_PATH:
		print_string(slot, out);
		break;
	case GZ_CFG_WORD:
		memcpy(&word, slot, sizeof(word));
		print_string(word, out);
		break;
	case GZ_CFG_ENUM:
		fputs(k->names[fetch_int(k, slot)], out);
		break;
	case GZ_CFG_BOOL:
		memcpy(&on, slot, sizeof(on));
		fputs(on ? "true" : "false", out);
		break;
	case GZ_CFG_UINT:
	case GZ_CFG_INT:
		fprintf(out, "%" PRId64, fetch_int(k, slot));
		break;
	case GZ_CFG_DURATION:
		print_duration(fetch_int(k, slot) * k->unit, out);
		break;
	case GZ_CFG_MAC:
		fprintf(out, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
			mac[4], mac[5]);
		break;
	case GZ_CFG_ADDR4:
		fputs(inet_ntop(AF_INET, slot, text, sizeof(text)), out);
		break;
	case GZ_CFG_HOST4:
	case GZ_CFG_NET4:
		memcpy(&p, slot, sizeof(p));
		fprintf(out, "%s/%u", inet_ntop(AF_INET, &p.addr, text, sizeof(text)), p.len);
		break;
	case GZ_CFG_ADDR6:
		fprintf(out, "\"%s\"", inet_ntop(AF_INET6, slot, text, sizeof(text)));
		break;
	case GZ_CFG_HOST6:
		fprintf(out, "\"%s/%u\"", inet_ntop(AF_INET6, slot, text, sizeof(text)),
			((const struct gz_prefix *)slot)->len);
		break;
	case GZ_CFG_NET:
		print_net(slot, out);
		break;
	case GZ_CFG_UID:
		memcpy(&uid, slot, sizeof(uid));
		fprintf(out, "%" PRIu32, uid);
		break;
	case GZ_CFG_PORTS:
		memcpy(ports, slot, sizeof(ports));
		fprintf(out, "%u", ports[0]);
		if (ports[1] != ports[0] || !(k->flags & GZ_CFG_SINGLE))
			fprintf(out, "-%u", ports[1]);
		break;
	case GZ_CFG_BLOCK:
	case GZ_CFG_MAPS:
		break;
	}
}

/**
 * gz_cfg_isset() - Does a key have a value?
 * @k:		Key
 * @base:	What its offsets count from
 *
 * Return: false for an empty list and for an optional key that is all zero
 */
bool gz_cfg_isset(const struct gz_cfg_key *k, const void *base)
{
	const uint8_t *slot = (const uint8_t *)base + k->offset;
	unsigned n;

	if (k->list) {
		memcpy(&n, (const uint8_t *)base + k->count, sizeof(n));
		return n > 0;
	}
	if (!(k->flags & GZ_CFG_OPTIONAL))
		return true;
	for (size_t i = 0; i < k->size; i++)
		if (slot[i])
			return true;
	return false;
}

/**
 * expect_one() - Say what one value of a key must be
 * @k:		Key
 * @out:	Where to
 */
static void expect_one(const struct gz_cfg_key *k, FILE *out)
{
	switch (k->type) {
	case GZ_CFG_BLOCK:
		fputs("a block of keys", out);
		break;
	case GZ_CFG_MAPS:
		fputs(k->list ? "a list of blocks" : "a block of keys", out);
		break;
	case GZ_CFG_TEXT:
		fprintf(out, "text of up to %zu bytes", k->size - 1);
		break;
	case GZ_CFG_NAME:
		fprintf(out,
			"up to %zu letters, digits, '.', '_' or '-', a "
			"letter or digit first",
			k->size - 1);
		break;
	case GZ_CFG_IFACE:
		fprintf(out, "a network interface of up to %zu bytes", k->size - 1);
		break;
	case GZ_CFG_PATH:
		fprintf(out, "an absolute path of up to %zu bytes", k->size - 1);
		break;
	case GZ_CFG_WORD:
		fprintf(out, "%s of up to 255 bytes", k->list ? "words" : "a word");
		break;
	case GZ_CFG_ENUM:
		for (int i = 0; k->names[i]; i++)
			fprintf(out, "%s%s",
				!i		  ? ""
				: k->names[i + 1] ? ", "
						  : " or ",
				k->names[i]);
		break;
	case GZ_CFG_BOOL:
		fputs("true or false", out);
		break;
	case GZ_CFG_UINT:
	case GZ_CFG_INT:
		fprintf(out, "%s, %" PRId64 " to %" PRId64,
			k->flags & GZ_CFG_POW2 ? "a power of two" : "a number", k->min, k->max);
		break;
	case GZ_CFG_DURATION:
		fputs("a duration in ", out);
		fputs(k->unit > 1000 ? "s" : k->unit > 1 ? "ms or s" : "us, ms or s", out);
		fputs(", ", out);
		print_duration(k->min * k->unit, out);
		fputs(" to ", out);
		print_duration(k->max * k->unit, out);
		break;
	case GZ_CFG_MAC:
		fputs("a unicast MAC address as xx:xx:xx:xx:xx:xx", out);
		break;
	case GZ_CFG_ADDR4:
		fputs("an IPv4 address as a.b.c.d", out);
		break;
	case GZ_CFG_HOST4:
		fprintf(out, "%s as a.b.c.d/len, len 8 to 32",
			k->list ? "IPv4 addresses" : "an IPv4 address");
		break;
	case GZ_CFG_NET4:
		fputs("an IPv4 address, or a network as a.b.c.d/len", out);
		break;
	case GZ_CFG_ADDR6:
		fputs("an IPv6 address", out);
		break;
	case GZ_CFG_HOST6:
		fprintf(out, "%s as a:b::c/len, len 16 to 128",
			k->list ? "IPv6 addresses" : "an IPv6 address");
		break;
	case GZ_CFG_NET:
		fputs("an address or a network, IPv4 or IPv6, without host bits", out);
		break;
	case GZ_CFG_UID:
		fputs("a user's number", out);
		break;
	case GZ_CFG_PORTS:
		fprintf(out, "%s, %" PRId64 " to %" PRId64,
			k->flags & GZ_CFG_SINGLE ? "a port, or two as low-high"
						 : "two ports as low-high",
			k->min, k->max);
		break;
	}
}

/**
 * gz_cfg_expect() - Say what a key's value must be
 * @k:		Key
 * @buf:	Buffer
 * @n:		Its size; GZ_CFG_EXPECT_MAX is enough
 *
 * Return: @buf
 */
const char *gz_cfg_expect(const struct gz_cfg_key *k, char *buf, size_t n)
{
	FILE *f = fmemopen(buf, n, "w");

	buf[0] = '\0';
	if (!f)
		return buf;
	if (k->list && k->type != GZ_CFG_MAPS)
		fprintf(f, "a list of up to %u ", k->list);
	expect_one(k, f);
	fclose(f);
	buf[n - 1] = '\0';
	return buf;
}

static bool same_text(const struct gz_cfg_key *k, const void *a, const void *b)
{
	char *text[2] = {0};
	bool same = false;
	size_t n;

	for (unsigned i = 0; i < 2; i++) {
		FILE *f = open_memstream(&text[i], &n);

		if (!f)
			goto out;
		gz_cfg_format(k, i ? b : a, f);
		if (fclose(f))
			goto out;
	}
	same = !strcmp(text[0], text[1]);
out:
	free(text[0]);
	free(text[1]);
	return same;
}

/**
 * gz_cfg_same() - Has a key the same value in two structures?
 * @k:		Key
 * @a, @b:	What its offsets count from, in each
 *
 * Return: true if so; false without memory
 */
bool gz_cfg_same(const struct gz_cfg_key *k, const void *a, const void *b)
{
	const uint8_t *x = (const uint8_t *)a + k->offset, *y = (const uint8_t *)b + k->offset;
	unsigned n = 1;

	if (k->type == GZ_CFG_BLOCK)
		return true;
	if (k->list) {
		if (memcmp((const uint8_t *)a + k->count, (const uint8_t *)b + k->count, sizeof(n)))
			return false;
		memcpy(&n, (const uint8_t *)a + k->count, sizeof(n));
	}
	/* Both were zero before they were filled */
	if (k->type == GZ_CFG_MAPS)
		return !memcmp(x, y, n * k->stride);
	for (unsigned i = 0; i < n; i++) {
		if (!same_text(k, x + i * k->stride, y + i * k->stride))
			return false;
	}
	return true;
}

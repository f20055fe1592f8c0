/* SPDX-License-Identifier: BSD-3-Clause
 *
 * value.c - One configuration value, from text
 *
 * Theory of Operation
 *
 * The types meet here and in value_text.c, and nowhere else.  A parser gets clean text (UTF-8 that
 * libyaml has accepted) and a slot that holds a valid older value; it returns
 * NULL after writing the slot, or, with the slot untouched, why not, in words
 * that go after "'TEXT' is ...".  Slots are cleared before they are written,
 * padding too, so that equal configurations are equal in memory.
 */
#include "config/value.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char *const true_words[] = {"true", "yes", "on", NULL};
static const char *const false_words[] = {"false", "no", "off", NULL};

const struct gz_cfg_unit gz_cfg_units[GZ_CFG_UNITS] = {{"s", 1000000}, {"ms", 1000}, {"us", 1}};

int gz_cfg_find_word(const char *const *words, const char *text)
{
	for (int i = 0; words[i]; i++)
		if (!strcmp(words[i], text))
			return i;
	return -1;
}

/**
 * digits() - Read a decimal number of at most 18 digits
 * @text:	Starts with the number
 * @v:		Filled
 *
 * A leading zero is refused: in YAML 1.1 it means octal, and nobody means that.
 *
 * Return: characters used, 0 if there is no such number
 */
static size_t digits(const char *text, int64_t *v)
{
	size_t n = strspn(text, "0123456789");

	if (!n || n > 18 || (n > 1 && text[0] == '0'))
		return 0;
	*v = 0;
	for (size_t i = 0; i < n; i++)
		*v = *v * 10 + (text[i] - '0');
	return n;
}

/**
 * store_int() - Write an integer into a field of 2 or 4 bytes
 * @k:		Its key; the range was checked, so it fits
 * @v:		Value
 * @slot:	The field
 */
static void store_int(const struct gz_cfg_key *k, int64_t v, void *slot)
{
	uint16_t v16 = (uint16_t)v;
	uint32_t v32 = (uint32_t)v;

	if (k->size == sizeof(v16))
		memcpy(slot, &v16, sizeof(v16));
	else
		memcpy(slot, &v32, sizeof(v32));
}

/**
 * parse_int() - GZ_CFG_UINT, GZ_CFG_INT
 * @k:		Key
 * @text:	"8191", "-1"
 * @slot:	2 or 4 bytes
 *
 * Return: NULL or why not
 */
static const char *parse_int(const struct gz_cfg_key *k, const char *text, void *slot)
{
	bool neg = text[0] == '-';
	size_t n;
	int64_t v;

	n = digits(text + neg, &v);
	if (!n) {
		/* A number, only a silly one? */
		if (strlen(text + neg) > 18 && !text[neg + strspn(text + neg, "0123456789")])
			return "out of range";
		return "not a number";
	}
	if (text[neg + n])
		return "not a number";
	if (neg)
		v = -v;
	if (v < k->min || v > k->max)
		return "out of range";
	if ((k->flags & GZ_CFG_POW2) && (v & (v - 1)))
		return "not a power of two";
	store_int(k, v, slot);
	return NULL;
}

/**
 * parse_duration() - GZ_CFG_DURATION
 * @k:		Key; k->unit microseconds make one of what is stored
 * @text:	"50us", "10ms", "2s"; "0" needs no unit
 * @slot:	uint32_t
 *
 * Return: NULL or why not
 */
static const char *parse_duration(const struct gz_cfg_key *k, const char *text, void *slot)
{
	int64_t v, us = 0;
	size_t n = digits(text, &v);

	if (!n)
		return "not a duration";
	for (size_t i = 0; i < GZ_CFG_UNITS; i++)
		if (!strcmp(text + n, gz_cfg_units[i].suffix))
			us = gz_cfg_units[i].us;
	if (!us && !text[n]) {
		if (v)
			return "without a unit";
		us = 1;
	}
	if (!us)
		return "not a duration";
	if (v > INT64_MAX / us)
		return "out of range";
	v *= us;
	if (v > k->max * k->unit || v < k->min * k->unit)
		return "out of range";
	if (v % k->unit)
		return "too fine";
	store_int(k, v / k->unit, slot);
	return NULL;
}

/**
 * printable() - Is there no control character in a text?
 * @text:	UTF-8
 *
 * C1 controls count as well: some terminals obey them.
 *
 * Return: true if there is none
 */
static bool printable(const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0))
			return false;
	return true;
}

/**
 * parse_string() - GZ_CFG_TEXT, GZ_CFG_NAME, GZ_CFG_IFACE, GZ_CFG_PATH
 * @k:		Key; k->size counts the NUL
 * @text:	Text
 * @slot:	char[k->size], NUL padded
 *
 * Return: NULL or why not
 */
static const char *parse_string(const struct gz_cfg_key *k, const char *text, void *slot)
{
	size_t n = strlen(text);

	if (!printable(text))
		return "not printable";
	if (n >= k->size)
		return "too long";
	if (!n)
		return "empty";
	switch (k->type) {
	case GZ_CFG_NAME:
		/* A name becomes a file name and a telemetry label. */
		if (!isalnum((unsigned char)text[0]))
			return "not a name";
		for (const char *p = text; *p; p++)
			if (!isalnum((unsigned char)*p) && !strchr("._-", *p))
				return "not a name";
		break;
	case GZ_CFG_IFACE:
		/* What the kernel's dev_valid_name() refuses. */
		if (!strcmp(text, ".") || !strcmp(text, "..") || strpbrk(text, "/: "))
			return "not an interface name";
		break;
	case GZ_CFG_PATH:
		if (text[0] != '/')
			return "not an absolute path";
		break;
	default:
		break;
	}
	memset(slot, 0, k->size);
	memcpy(slot, text, n);
	return NULL;
}

/**
 * parse_word() - GZ_CFG_WORD
 * @text:	Text, up to 255 bytes
 * @slot:	char *; an older value is not freed, lists are emptied first
 *
 * Return: NULL or why not
 */
static const char *parse_word(const char *text, void *slot)
{
	char *copy;

	if (!*text)
		return "empty";
	if (!printable(text))
		return "not printable";
	if (strlen(text) > 255)
		return "too long";
	copy = strdup(text);
	if (!copy)
		return "more than memory holds";
	memcpy(slot, &copy, sizeof(copy));
	/* cppcheck-suppress memleak ; the slot has it */
	return NULL;
}

/**
 * parse_mac() - GZ_CFG_MAC
 * @text:	"02:00:00:00:00:01"
 * @slot:	uint8_t[6], then a bool that is set
 *
 * Return: NULL or why not
 */
static const char *parse_mac(const char *text, void *slot)
{
	uint8_t mac[7] = {0}, any = 0;

	if (strlen(text) != 17)
		return "not a MAC address";
	for (int i = 0; i < 17; i++) {
		unsigned char ch = (unsigned char)text[i];

		if (i % 3 == 2) {
			if (ch != ':')
				return "not a MAC address";
			continue;
		}
		if (!isxdigit(ch))
			return "not a MAC address";
		mac[i / 3] =
		    (uint8_t)(mac[i / 3] * 16 + (isdigit(ch) ? ch - '0' : tolower(ch) - 'a' + 10));
	}
	for (int i = 0; i < 6; i++)
		any |= mac[i];
	if (!any || (mac[0] & 1))
		return "not one station's address";
	mac[6] = 1;
	memcpy(slot, mac, sizeof(mac));
	return NULL;
}

/**
 * gz_prefix4_mask() - Netmask of a prefix length
 * @len:	0..32
 *
 * Return: the mask in network byte order
 */
uint32_t gz_prefix4_mask(unsigned len)
{
	return htonl(len ? ~0u << (32 - len) : 0);
}

/**
 * unicast() - Can an address be a host's?
 * @addr:	Network byte order
 *
 * Return: false for 0/8, loopback, multicast, class E and broadcast
 */
static bool unicast(uint32_t addr)
{
	uint32_t first = ntohl(addr) >> 24;

	return first > 0 && first != 127 && first < 224;
}

/**
 * parse_addr() - GZ_CFG_ADDR4, GZ_CFG_HOST4, GZ_CFG_NET4
 * @k:		Key
 * @text:	"a.b.c.d", or "a.b.c.d/len"; a network without len is a /32
 * @slot:	uint32_t, or struct gz_prefix4
 *
 * Return: NULL or why not
 */
static const char *parse_addr(const struct gz_cfg_key *k, const char *text, void *slot)
{
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	char host[INET_ADDRSTRLEN] = "";
	struct gz_prefix4 p;
	struct in_addr in;
	uint32_t mask;
	int64_t len = 32;

	if (n >= sizeof(host))
		return "not an IPv4 address";
	snprintf(host, sizeof(host), "%.*s", (int)n, text);
	if (inet_pton(AF_INET, host, &in) != 1)
		return "not an IPv4 address";
	if (slash) {
		size_t used = digits(slash + 1, &len);

		if (k->type == GZ_CFG_ADDR4)
			return "not a single address";
		if (!used || slash[1 + used] || len > 32)
			return "without a valid prefix length";
	} else if (k->type == GZ_CFG_HOST4) {
		return "without a prefix length";
	}
	mask = gz_prefix4_mask((unsigned)len);
	if (k->type == GZ_CFG_NET4) {
		if (in.s_addr & ~mask)
			return "not a network (it has host bits set)";
		/* What spans everything is fine; what is no host is not. */
		if (len >= 8 && !unicast(in.s_addr))
			return "not a unicast address";
	} else {
		if (!unicast(in.s_addr))
			return "not a host's address";
		if (len < 8)
			return "without a valid prefix length";
		if (len < 31 && (!(in.s_addr & ~mask) || (in.s_addr & ~mask) == ~mask))
			return "not a host's address, but the network's or "
			       "its broadcast";
	}
	if (k->type == GZ_CFG_ADDR4) {
		memcpy(slot, &in.s_addr, sizeof(in.s_addr));
		return NULL;
	}
	memset(&p, 0, sizeof(p));
	p.addr = in.s_addr;
	p.len = (uint8_t)len;
	memcpy(slot, &p, sizeof(p));
	return NULL;
}

/**
 * parse_addr6() - GZ_CFG_ADDR6, GZ_CFG_HOST6
 * @k:		Key
 * @text:	"a:b::c", or "a:b::c/len"
 * @slot:	struct in6_addr, or struct gz_prefix
 *
 * Return: NULL or why not
 */
static const char *parse_addr6(const struct gz_cfg_key *k, const char *text, void *slot)
{
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	char host[INET6_ADDRSTRLEN] = "";
	struct gz_prefix p;
	bool gateway = k->type == GZ_CFG_ADDR6;
	int64_t len = 0;
	size_t used;

	memset(&p, 0, sizeof(p));
	if (n >= sizeof(host))
		return "not an IPv6 address";
	memcpy(host, text, n);
	if (inet_pton(AF_INET6, host, &p.addr) != 1)
		return "not an IPv6 address";
	if (slash && gateway)
		return "not a single address";
	if (!slash && !gateway)
		return "without a prefix length";
	used = slash ? digits(slash + 1, &len) : 0;
	if (slash && (!used || slash[1 + used] || len < 16 || len > 128))
		return "without a valid prefix length";
	/* ::/96 is unspecified, loopback and other things of the past. */
	if (!memcmp(&p.addr, &in6addr_any, 12) || IN6_IS_ADDR_V4MAPPED(&p.addr) ||
	    IN6_IS_ADDR_MULTICAST(&p.addr) || (!gateway && IN6_IS_ADDR_LINKLOCAL(&p.addr)))
		return "not a host's address";
	p.len = (uint8_t)len;
	p.set = true;
	memcpy(slot, &p, gateway ? sizeof(p.addr) : sizeof(p));
	return NULL;
}

/**
 * parse_net() - GZ_CFG_NET
 * @text:	An address or a network, IPv4 or IPv6
 * @slot:	struct gz_prefix
 *
 * Return: NULL or why not
 */
static const char *parse_net(const char *text, void *slot)
{
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	char host[INET6_ADDRSTRLEN] = "";
	struct gz_prefix p;
	struct in_addr in4;
	int64_t len, max = 128;

	memset(&p, 0, sizeof(p));
	if (n >= sizeof(host))
		return "not an address";
	memcpy(host, text, n);
	if (inet_pton(AF_INET, host, &in4) == 1) {
		p.addr.s6_addr[10] = p.addr.s6_addr[11] = 0xff;
		memcpy(&p.addr.s6_addr[12], &in4, 4);
		max = 32;
	} else if (inet_pton(AF_INET6, host, &p.addr) != 1) {
		return "not an address";
	}
	len = max;
	if (slash) {
		size_t used = digits(slash + 1, &len);

		if (!used || slash[1 + used] || len > max)
			return "without a valid prefix length";
	}
	p.len = (uint8_t)(len + 128 - max);
	for (unsigned bit = p.len; bit < 128; bit++)
		if (p.addr.s6_addr[bit / 8] & (0x80 >> bit % 8))
			return "not a network (it has host bits set)";
	p.set = true;
	memcpy(slot, &p, sizeof(p));
	return NULL;
}

/**
 * parse_uid() - GZ_CFG_UID
 * @k:		Key, with the range
 * @text:	"1000"
 * @slot:	uint32_t, then a bool that is set
 *
 * Return: NULL or why not
 */
static const char *parse_uid(const struct gz_cfg_key *k, const char *text, void *slot)
{
	uint8_t raw[5];
	uint32_t uid;
	int64_t v;
	size_t n = digits(text, &v);

	if (!n || text[n])
		return "not a user's number";
	if (v < k->min || v > k->max)
		return "out of range";
	uid = (uint32_t)v;
	memcpy(raw, &uid, sizeof(uid));
	raw[4] = 1;
	memcpy(slot, raw, sizeof(raw));
	return NULL;
}

/**
 * parse_ports() - GZ_CFG_PORTS
 * @k:		Key, with the range of both ends
 * @text:	"32768-60999"
 * @slot:	uint16_t[2]
 *
 * Return: NULL or why not
 */
static const char *parse_ports(const struct gz_cfg_key *k, const char *text, void *slot)
{
	int64_t lo, hi;
	size_t n = digits(text, &lo), m;
	uint16_t v[2];

	if (n && !text[n] && (k->flags & GZ_CFG_SINGLE)) {
		hi = lo;
	} else {
		if (!n || text[n] != '-')
			return "not a range of ports";
		m = digits(text + n + 1, &hi);
		if (!m || text[n + 1 + m])
			return "not a range of ports";
	}
	if (lo < k->min || lo > k->max || hi < k->min || hi > k->max)
		return "out of range";
	if (lo > hi)
		return "in the wrong order";
	v[0] = (uint16_t)lo;
	v[1] = (uint16_t)hi;
	memcpy(slot, v, sizeof(v));
	return NULL;
}

/**
 * gz_cfg_parse() - Read one value
 * @k:		Key; neither a block nor a list of maps
 * @text:	What the file says; "" unsets an optional key
 * @slot:	Where it goes: the field, or the list's slot
 *
 * Return: NULL, or a static text that says what @text is instead, @slot
 * untouched
 */
const char *gz_cfg_parse(const struct gz_cfg_key *k, const char *text, void *slot)
{
	int i;

	if (!*text && (k->flags & GZ_CFG_OPTIONAL) && !k->list) {
		memset(slot, 0, k->size);
		return NULL;
	}
	switch (k->type) {
	case GZ_CFG_TEXT:
	case GZ_CFG_NAME:
	case GZ_CFG_IFACE:
	case GZ_CFG_PATH:
		return parse_string(k, text, slot);
	case GZ_CFG_WORD:
		return parse_word(text, slot);
	case GZ_CFG_ENUM:
		i = gz_cfg_find_word(k->names, text);
		if (i < 0)
			return "not one of the choices";
		store_int(k, i, slot);
		return NULL;
	case GZ_CFG_BOOL: {
		bool on = gz_cfg_find_word(true_words, text) >= 0;

		if (!on && gz_cfg_find_word(false_words, text) < 0)
			return "not true or false";
		memcpy(slot, &on, sizeof(on));
		return NULL;
	}
	case GZ_CFG_UINT:
	case GZ_CFG_INT:
		return parse_int(k, text, slot);
	case GZ_CFG_DURATION:
		return parse_duration(k, text, slot);
	case GZ_CFG_MAC:
		return parse_mac(text, slot);
	case GZ_CFG_ADDR4:
	case GZ_CFG_HOST4:
	case GZ_CFG_NET4:
		return parse_addr(k, text, slot);
	case GZ_CFG_ADDR6:
	case GZ_CFG_HOST6:
		return parse_addr6(k, text, slot);
	case GZ_CFG_NET:
		return parse_net(text, slot);
	case GZ_CFG_UID:
		return parse_uid(k, text, slot);
	case GZ_CFG_PORTS:
		return parse_ports(k, text, slot);
	case GZ_CFG_BLOCK:
	case GZ_CFG_MAPS:
		break;
	}
	return "not a value";
}

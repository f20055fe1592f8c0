/* SPDX-License-Identifier: BSD-3-Clause
 *
 * snoop.c - IGMP and MLD: who is to hear which group
 *
 * Theory of operation: RFC 4541.  What clients report is noted (groups.c), of IGMP 1 to 3
 * and of MLD 1 and 2.  A group's frames go to its members, outside and to the kernel.  A
 * client is one host: when it leaves, it has left.  Sources are not looked at; who
 * blocks its last one stays until it says that it left, or for GROUPS_HOLD_S.
 *
 * To all go the groups that nobody has to report: 224.0.0.0/24 and ff02::1.
 *
 * Routers are outside, so queries come from there, and reports go there and to no other
 * client, which would keep its own to itself otherwise (RFC 4541 2.1.1).  Ours are
 * querier.c's.
 */
#include <arpa/inet.h>
#include <linux/igmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <string.h>

#include <rte_ip.h>

#include "dispatch/groups.h"
#include "dispatch/switch.h"

#define MLD2_REPORT 143

/* Reports of many groups, IGMPv3's (RFC 3376 4.2) and MLDv2's (RFC 3810 5.2): the same
 * but for the addresses' length.  A record: kind, words of data behind it, sources */
#define REPORT_LEN 8
#define RECORD_LEN 4

static bool is_all(const struct in6_addr *group)
{
	static const struct in6_addr nodes = {
	    .s6_addr = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

	if (IN6_IS_ADDR_V4MAPPED(group))
		return (ntohl(group->s6_addr32[3]) & ~0xffu) == INADDR_UNSPEC_GROUP;
	return IN6_ARE_ADDR_EQUAL(group, &nodes);
}

/* An address of a message, of @size bytes */
static struct in6_addr address_at(const uint8_t *m, unsigned size)
{
	struct in6_addr a = {.s6_addr = {[10] = 0xff, [11] = 0xff}};

	memcpy(a.s6_addr + sizeof(a) - size, m, size);
	return a;
}

static bool is_group(const struct in6_addr *a)
{
	return IN6_IS_ADDR_V4MAPPED(a) ? IN_MULTICAST(ntohl(a->s6_addr32[3]))
				       : IN6_IS_ADDR_MULTICAST(a);
}

static void note(struct sw *s, unsigned from, const struct in6_addr *group, bool joins)
{
	if (!s->groups || from >= SW_PORT || !is_group(group) || is_all(group))
		return;
	if (joins)
		groups_join(s->groups, from, group);
	else
		groups_leave(s->groups, from, group);
}

/* Return: false if the lengths do not fit; what fits before that is noted */
static bool note_records(struct sw *s, unsigned from, const uint8_t *m, unsigned len, unsigned size)
{
	unsigned left, at = REPORT_LEN;

	if (len < REPORT_LEN)
		return false;
	for (left = (unsigned)m[6] << 8 | m[7]; left; left--) {
		struct in6_addr group;
		unsigned sources;

		if (len - at < RECORD_LEN + size)
			return false;
		sources = (unsigned)m[at + 2] << 8 | m[at + 3];
		group = address_at(m + at + RECORD_LEN, size);
		switch (m[at]) {
		case IGMPV3_MODE_IS_EXCLUDE:
		case IGMPV3_CHANGE_TO_EXCLUDE:
			note(s, from, &group, true);
			break;
		case IGMPV3_MODE_IS_INCLUDE:
		case IGMPV3_CHANGE_TO_INCLUDE: /* no sources at all: it leaves */
			note(s, from, &group, sources != 0);
			break;
		case IGMPV3_ALLOW_NEW_SOURCES:
			note(s, from, &group, true);
			break;
		default:
			break;
		}
		sources = RECORD_LEN + size + sources * size + m[at + 1] * 4u;
		if (sources > len - at)
			return false;
		at += sources;
	}
	return true;
}

/* A report: to whom routes, no client */
static struct sw_verdict to_routers(void)
{
	struct sw_verdict v = sw_flood();

	v.only = 0;
	return v;
}

struct sw_verdict sw_flood_group(const struct sw *s, const struct in6_addr *group)
{
	struct sw_verdict v = sw_flood();

	if (s->groups && !is_all(group))
		v.only = groups_members(s->groups, group);
	return v;
}

struct sw_verdict sw_snoop4(struct sw *s, unsigned from, uint32_t dst, const uint8_t *m,
			    unsigned len)
{
	struct in6_addr group;

	if (len < sizeof(struct igmphdr) || rte_raw_cksum(m, len) != UINT16_MAX)
		return sw_drop(SW_MALFORMED);
	group = address_at(m + 4, 4);
	switch (m[0]) {
	case IGMP_HOST_MEMBERSHIP_QUERY:
		return from < SW_PORT ? sw_drop(SW_SPOOFED) : sw_flood();
	case IGMP_HOST_MEMBERSHIP_REPORT:
	case IGMPV2_HOST_MEMBERSHIP_REPORT:
	case IGMP_HOST_LEAVE_MESSAGE:
		note(s, from, &group, m[0] != IGMP_HOST_LEAVE_MESSAGE);
		return to_routers();
	case IGMPV3_HOST_MEMBERSHIP_REPORT:
		return note_records(s, from, m, len, 4) ? to_routers() : sw_drop(SW_MALFORMED);
	default:
		group = address_at((const uint8_t *)&dst, 4);
		return sw_flood_group(s, &group);
	}
}

bool sw_is_mld(const uint8_t *m)
{
	return (m[0] >= MLD_LISTENER_QUERY && m[0] <= MLD_LISTENER_REDUCTION) ||
	       m[0] == MLD2_REPORT;
}

/* The checksum of a message of ICMPv6 */
static bool sum_fits(const struct in6_addr *src, const struct in6_addr *dst, const uint8_t *m,
		     unsigned len)
{
	struct rte_ipv6_hdr ip = {.payload_len = htons((uint16_t)len), .proto = IPPROTO_ICMPV6};
	uint32_t sum;

	memcpy(ip.src_addr, src, sizeof(ip.src_addr));
	memcpy(ip.dst_addr, dst, sizeof(ip.dst_addr));
	sum = (uint32_t)rte_raw_cksum(m, len) + rte_ipv6_phdr_cksum(&ip, 0);
	return (sum >> 16) + (sum & UINT16_MAX) == UINT16_MAX;
}

struct sw_verdict sw_snoop6(struct sw *s, unsigned from, const struct in6_addr *src,
			    const struct in6_addr *dst, const uint8_t *m, unsigned len)
{
	struct in6_addr group;

	if (!sum_fits(src, dst, m, len))
		return sw_drop(SW_MALFORMED);
	if (m[0] == MLD2_REPORT)
		return note_records(s, from, m, len, sizeof(group)) ? to_routers()
								    : sw_drop(SW_MALFORMED);
	if (len < sizeof(struct mld_hdr))
		return sw_drop(SW_MALFORMED);
	if (m[0] == MLD_LISTENER_QUERY)
		return from < SW_PORT ? sw_drop(SW_SPOOFED) : sw_flood();
	group = address_at(m + 8, sizeof(group));
	note(s, from, &group, m[0] == MLD_LISTENER_REPORT);
	return to_routers();
}

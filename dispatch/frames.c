/* SPDX-License-Identifier: BSD-3-Clause
 *
 * frames.c - Frames of dispatch's own: see frames.h
 */
#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <stddef.h>
#include <string.h>

#include <rte_arp.h>
#include <rte_ip.h>

#include "dispatch/frames.h"
#include "dispatch/groups.h"

#define ETH_LEN sizeof(struct rte_ether_hdr)
#define FRAME_MIN (RTE_ETHER_MIN_LEN - RTE_ETHER_CRC_LEN)

struct in6_addr link_local_of(const struct rte_ether_addr *mac)
{
	const uint8_t *m = mac->addr_bytes;

	return (struct in6_addr){.s6_addr = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, m[0] ^ 2, m[1], m[2],
					     0xff, 0xfe, m[3], m[4], m[5]}};
}

static void ether(uint8_t *f, const uint8_t *dst, const struct rte_ether_addr *src, uint16_t type)
{
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)f;

	memset(f, 0, FRAME_ROOM);
	memcpy(&eth->dst_addr, dst, RTE_ETHER_ADDR_LEN);
	rte_ether_addr_copy(src, &eth->src_addr);
	eth->ether_type = htons(type);
}

static unsigned arp(uint8_t *f, const struct rte_ether_addr *mac, uint32_t sender, uint32_t target)
{
	static const uint8_t all[RTE_ETHER_ADDR_LEN] = {255, 255, 255, 255, 255, 255};
	struct rte_arp_hdr a = {
	    .arp_hardware = htons(RTE_ARP_HRD_ETHER),
	    .arp_protocol = htons(RTE_ETHER_TYPE_IPV4),
	    .arp_hlen = RTE_ETHER_ADDR_LEN,
	    .arp_plen = sizeof(uint32_t),
	    .arp_opcode = htons(RTE_ARP_OP_REQUEST),
	    .arp_data = {.arp_sha = *mac, .arp_sip = sender, .arp_tip = target},
	};

	ether(f, all, mac, RTE_ETHER_TYPE_ARP);
	memcpy(f + ETH_LEN, &a, sizeof(a));
	return FRAME_MIN;
}

unsigned frame_arp_probe(uint8_t *f, const struct rte_ether_addr *mac, uint32_t target)
{
	return arp(f, mac, 0, target);
}

unsigned frame_arp_announcement(uint8_t *f, const struct rte_ether_addr *mac, uint32_t addr)
{
	return arp(f, mac, addr, addr);
}

/* A message of neighbour discovery about @target, with one link-layer option */
static unsigned discovery(uint8_t *f, const struct rte_ether_addr *mac, const struct in6_addr *src,
			  const struct in6_addr *dst, uint8_t type, uint32_t flags,
			  const struct in6_addr *target)
{
	const uint8_t *d = dst->s6_addr;
	const uint8_t group[RTE_ETHER_ADDR_LEN] = {0x33, 0x33, d[12], d[13], d[14], d[15]};
	struct {
		uint8_t type, code;
		uint16_t sum;
		uint32_t flags;
		struct in6_addr target;
		uint8_t option, units;
		struct rte_ether_addr mac;
	} m = {.type = type,
	       .flags = htonl(flags),
	       .target = *target,
	       .option =
		   type == ND_NEIGHBOR_ADVERT ? ND_OPT_TARGET_LINKADDR : ND_OPT_SOURCE_LINKADDR,
	       .units = 1,
	       .mac = *mac};
	struct rte_ipv6_hdr ip = {
	    .vtc_flow = htonl(6u << 28),
	    .payload_len = htons(sizeof(m)),
	    .proto = IPPROTO_ICMPV6,
	    .hop_limits = 255,
	};

	memcpy(ip.src_addr, src, sizeof(ip.src_addr));
	memcpy(ip.dst_addr, dst, sizeof(ip.dst_addr));
	m.sum = rte_ipv6_udptcp_cksum(&ip, &m);
	ether(f, group, mac, RTE_ETHER_TYPE_IPV6);
	memcpy(f + ETH_LEN, &ip, sizeof(ip));
	memcpy(f + ETH_LEN + sizeof(ip), &m, sizeof(m));
	return ETH_LEN + sizeof(ip) + sizeof(m);
}

unsigned frame_solicitation(uint8_t *f, const struct rte_ether_addr *mac,
			    const struct in6_addr *target)
{
	const uint8_t *t = target->s6_addr;
	const struct in6_addr src = link_local_of(mac);
	/* the solicited-node group (RFC 4291 2.7.1) */
	const struct in6_addr dst = {
	    .s6_addr = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, t[13], t[14], t[15]}};

	return discovery(f, mac, &src, &dst, ND_NEIGHBOR_SOLICIT, 0, target);
}

unsigned frame_advertisement(uint8_t *f, const struct rte_ether_addr *mac,
			     const struct in6_addr *addr)
{
	static const struct in6_addr all = {
	    .s6_addr = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

	return discovery(f, mac, addr, &all, ND_NEIGHBOR_ADVERT, 1u << 29 /* override */, addr);
}

void frame_solicit_for(uint8_t *f, unsigned at, const struct rte_ether_addr *mac)
{
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)f;
	uint8_t *sum = f + at + offsetof(struct nd_neighbor_solicit, nd_ns_hdr.icmp6_cksum);
	uint32_t s = UINT16_MAX - (uint32_t)(sum[0] << 8 | sum[1]);
	unsigned end = ETH_LEN + sizeof(struct rte_ipv6_hdr) + (unsigned)(f[18] << 8 | f[19]);

	rte_ether_addr_copy(mac, &eth->src_addr);
	for (at += sizeof(struct nd_neighbor_solicit); at + 8 <= end && f[at + 1];
	     at += f[at + 1] * 8u) {
		uint8_t *own = f + at + 2;

		if (f[at] != ND_OPT_SOURCE_LINKADDR)
			continue;
		/* RFC 1624 */
		s += ntohs((uint16_t)~rte_raw_cksum(own, RTE_ETHER_ADDR_LEN)) +
		     (uint32_t)ntohs(rte_raw_cksum(mac, RTE_ETHER_ADDR_LEN));
		memcpy(own, mac, RTE_ETHER_ADDR_LEN);
	}
	while (s >> 16)
		s = (s >> 16) + (s & UINT16_MAX);
	sum[0] = (uint8_t)(~s >> 8);
	sum[1] = (uint8_t)~s;
}

unsigned frame_answer(uint8_t *f, const struct rte_ether_addr *mac, const uint8_t *asked)
{
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)f;
	struct in6_addr target, from;
	unsigned len;

	memcpy(&from, asked + ETH_LEN + offsetof(struct rte_ipv6_hdr, src_addr), sizeof(from));
	memcpy(&target, asked + ETH_LEN + sizeof(struct rte_ipv6_hdr) + 8, sizeof(target));
	if (IN6_IS_ADDR_UNSPECIFIED(&from))
		return frame_advertisement(f, mac, &target);
	len = discovery(f, mac, &target, &from, ND_NEIGHBOR_ADVERT,
			1u << 30 | 1u << 29 /* solicited, override */, &target);
	rte_ether_addr_copy(&((const struct rte_ether_hdr *)asked)->src_addr, &eth->dst_addr);
	return len;
}

/* Both answered within a second, repeated twice if lost, every GROUPS_QUERY_S */
#define QUERY_RESPONSE_S 1
#define QUERY_ROBUSTNESS 2
#define ROUTER_ALERT_LEN 4 /* RFC 2113; of IPv6 8, RFC 2711 */

unsigned frame_igmp_query(uint8_t *f, const struct rte_ether_addr *mac)
{
	static const uint8_t all[RTE_ETHER_ADDR_LEN] = {1, 0, 0x5e, 0, 0, 1};
	struct {
		struct rte_ipv4_hdr ip;
		uint8_t alert[ROUTER_ALERT_LEN];
		uint8_t type, response; /* 1/10 s */
		uint16_t sum;
		uint32_t group;
		uint8_t robustness, interval;
		uint16_t sources;
	} __attribute__((packed)) m = {
	    .ip = {.version_ihl = 0x40 | (sizeof(m.ip) + ROUTER_ALERT_LEN) / 4,
		   .type_of_service = 0xc0,
		   .total_length = htons(sizeof(m)),
		   .time_to_live = 1,
		   .next_proto_id = IPPROTO_IGMP,
		   .dst_addr = htonl(INADDR_ALLHOSTS_GROUP)},
	    .alert = {0x94, ROUTER_ALERT_LEN},
	    .type = 0x11,
	    .response = QUERY_RESPONSE_S * 10,
	    .robustness = QUERY_ROBUSTNESS,
	    .interval = GROUPS_QUERY_S,
	};

	m.ip.hdr_checksum = (uint16_t)~rte_raw_cksum(&m, sizeof(m.ip) + ROUTER_ALERT_LEN);
	m.sum = (uint16_t)~rte_raw_cksum(&m.type, sizeof(m) - sizeof(m.ip) - ROUTER_ALERT_LEN);
	ether(f, all, mac, RTE_ETHER_TYPE_IPV4);
	memcpy(f + ETH_LEN, &m, sizeof(m));
	return FRAME_MIN;
}

unsigned frame_mld_query(uint8_t *f, const struct rte_ether_addr *mac)
{
	static const uint8_t all[RTE_ETHER_ADDR_LEN] = {0x33, 0x33, 0, 0, 0, 1};
	const struct in6_addr src = link_local_of(mac);
	struct {
		uint8_t type, code;
		uint16_t sum, response; /* ms */
		uint16_t zero;
		struct in6_addr group;
		uint8_t robustness, interval;
		uint16_t sources;
	} m = {.type = MLD_LISTENER_QUERY,
	       .response = htons(QUERY_RESPONSE_S * 1000),
	       .robustness = QUERY_ROBUSTNESS,
	       .interval = GROUPS_QUERY_S};
	const uint8_t alert[8] = {IPPROTO_ICMPV6, 0, 5, 2};
	struct rte_ipv6_hdr ip = {
	    .vtc_flow = htonl(6u << 28),
	    .payload_len = htons(sizeof(m)),
	    .proto = IPPROTO_ICMPV6,
	    .hop_limits = 1,
	    .dst_addr = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1},
	};

	memcpy(ip.src_addr, &src, sizeof(ip.src_addr));
	m.sum = rte_ipv6_udptcp_cksum(&ip, &m);
	ip.payload_len = htons(sizeof(alert) + sizeof(m));
	ip.proto = IPPROTO_HOPOPTS;
	ether(f, all, mac, RTE_ETHER_TYPE_IPV6);
	memcpy(f + ETH_LEN, &ip, sizeof(ip));
	memcpy(f + ETH_LEN + sizeof(ip), alert, sizeof(alert));
	memcpy(f + ETH_LEN + sizeof(ip) + sizeof(alert), &m, sizeof(m));
	return ETH_LEN + sizeof(ip) + sizeof(alert) + sizeof(m);
}

bool frame_answers(const uint8_t *f, unsigned len, const struct rte_ether_addr *mac,
		   struct in6_addr *a)
{
	const struct rte_ether_hdr *eth = (const struct rte_ether_hdr *)f;
	struct rte_arp_hdr arp_hdr;
	struct rte_ipv6_hdr ip;
	struct in6_addr own;

	if (len < ETH_LEN || !rte_is_same_ether_addr(&eth->dst_addr, mac))
		return false;
	if (eth->ether_type == htons(RTE_ETHER_TYPE_ARP)) {
		if (len < ETH_LEN + sizeof(arp_hdr))
			return false;
		memcpy(&arp_hdr, f + ETH_LEN, sizeof(arp_hdr));
		memset(a, 0, sizeof(*a));
		a->s6_addr[10] = a->s6_addr[11] = 0xff;
		memcpy(a->s6_addr + 12, &arp_hdr.arp_data.arp_sip, sizeof(uint32_t));
		return arp_hdr.arp_opcode == htons(RTE_ARP_OP_REPLY) && !arp_hdr.arp_data.arp_tip;
	}
	if (eth->ether_type != htons(RTE_ETHER_TYPE_IPV6) || len < ETH_LEN + sizeof(ip) + 24)
		return false;
	memcpy(&ip, f + ETH_LEN, sizeof(ip));
	own = link_local_of(mac);
	memcpy(a, f + ETH_LEN + sizeof(ip) + 8, sizeof(*a));
	return ip.proto == IPPROTO_ICMPV6 && ip.hop_limits == 255 &&
	       f[ETH_LEN + sizeof(ip)] == ND_NEIGHBOR_ADVERT &&
	       !memcmp(ip.dst_addr, &own, sizeof(own));
}

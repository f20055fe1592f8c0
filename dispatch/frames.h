/* SPDX-License-Identifier: BSD-3-Clause
 *
 * frames.h - ARP, neighbour discovery, IGMP and MLD frames of dispatch's own
 *
 * Pure functions.  Each fills @f, of FRAME_ROOM bytes, and returns the frame's
 * length, padded to Ethernet's least.
 */
#ifndef GZ_DISPATCH_FRAMES_H
#define GZ_DISPATCH_FRAMES_H

#include <stdbool.h>
#include <stdint.h>
#include <netinet/in.h>
#include <rte_ether.h>

#define FRAME_ROOM 96

/** frame_arp_probe() - Who has @target?  Of no address: teaches nobody (RFC 5227 2.1.1) */
unsigned frame_arp_probe(uint8_t *f, const struct rte_ether_addr *mac, uint32_t target);

/** frame_arp_announcement() - @addr is at @mac (RFC 5227 2.3) */
unsigned frame_arp_announcement(uint8_t *f, const struct rte_ether_addr *mac, uint32_t addr);

/** frame_solicitation() - Who has @target?  From the address that @mac makes (RFC 4861 4.3) */
unsigned frame_solicitation(uint8_t *f, const struct rte_ether_addr *mac,
			    const struct in6_addr *target);

/** frame_advertisement() - Unsolicited, to all: @addr is at @mac (RFC 4861 7.2.6) */
unsigned frame_advertisement(uint8_t *f, const struct rte_ether_addr *mac,
			     const struct in6_addr *addr);

/**
 * frame_solicit_for() - Have a solicitation ask in the name of @mac
 * @f:		The whole frame, looked at by the switch
 * @at:		Where the message is
 */
void frame_solicit_for(uint8_t *f, unsigned at, const struct rte_ether_addr *mac);

/**
 * frame_answer() - To a solicitation: its target is at @mac (RFC 4861 7.2.4)
 * @asked:	The whole frame, looked at by the switch
 */
unsigned frame_answer(uint8_t *f, const struct rte_ether_addr *mac, const uint8_t *asked);

/** frame_igmp_query() - Who is in any group?  IGMPv3 (RFC 3376 4.1), of nobody's address */
unsigned frame_igmp_query(uint8_t *f, const struct rte_ether_addr *mac);

/** frame_mld_query() - The same of IPv6, MLDv2 (RFC 3810 5.1) */
unsigned frame_mld_query(uint8_t *f, const struct rte_ether_addr *mac);

/** link_local_of() - The address that a MAC address makes (RFC 4291 appendix A) */
struct in6_addr link_local_of(const struct rte_ether_addr *mac);

/**
 * frame_answers() - Is it an answer to one of the first two kinds of question?
 * @f, @len:	A frame of a port, of any content
 * @mac:	Who asked
 * @a:		Filled: who answered; IPv4 as v4-mapped
 */
bool frame_answers(const uint8_t *f, unsigned len, const struct rte_ether_addr *mac,
		   struct in6_addr *a);

#endif

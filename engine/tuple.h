/* SPDX-License-Identifier: BSD-3-Clause
 *
 * tuple.h - A connection's addresses and ports in words, for gz_keyed()
 *
 * Each address whole: two connections that share a hash would share a secret.
 */
#ifndef GZ_TUPLE_H
#define GZ_TUPLE_H

#include <stdint.h>
#include <string.h>

#include "lwip/ip_addr.h"

#define GZ_TUPLE_WORDS 5

/** Ports in host order.  Return: how many words; IPv4 two, IPv6 five */
static inline unsigned gz_tuple_words(uint64_t w[GZ_TUPLE_WORDS], const ip_addr_t *local,
				      uint16_t lport, const ip_addr_t *peer, uint16_t pport)
{
	unsigned n = 0;

	if (IP_IS_V4(local)) {
		w[n++] = (uint64_t)ip4_addr_get_u32(ip_2_ip4(local)) << 32 |
			 ip4_addr_get_u32(ip_2_ip4(peer));
	} else {
		memcpy(w, ip_2_ip6(local)->addr, 16);
		memcpy(w + 2, ip_2_ip6(peer)->addr, 16);
		n = 4;
	}
	w[n++] = (uint64_t)lport << 16 | pport;
	return n;
}

#endif

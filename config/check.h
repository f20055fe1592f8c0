/* SPDX-License-Identifier: BSD-3-Clause
 *
 * check.h - Between check.c and check_stack.c
 */
#ifndef GZ_CONFIG_CHECK_H
#define GZ_CONFIG_CHECK_H

#include "config/loader.h"

/** An engine's addresses, gateways and routes; without IPv4's where stack.dhcp asks for them */
void gz_check_stack(struct gz_load *ld, struct gz_engine_config *c);

/** Have two networks of IPv6 an address in common?  false: one is not set */
bool gz_check_overlap6(const struct gz_prefix *a, const struct gz_prefix *b);
/** Neither is set, or both are and equal */
bool gz_check_same_prefix(const struct gz_prefix *a, const struct gz_prefix *b);
/** Is an address, in network byte order, in a host's network? */
bool gz_check_same_net(const struct gz_prefix4 *host, uint32_t addr);
/** RFC 791: less than every host takes is too small for DHCP */
void gz_check_mtu4(struct gz_load *ld, const struct gz_port_config *p, const char *key,
		   const char *because);
/** RFC 8200 section 5: with an MTU less than that Linux has no IPv6 on an interface */
void gz_check_mtu6(struct gz_load *ld, const struct gz_port_config *p, const char *key,
		   const char *because);

#endif

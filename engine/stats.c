/* SPDX-License-Identifier: BSD-3-Clause
 *
 * stats.c - lwIP's counters under our names
 */
#include "lwip/stats.h"

#include "engine/stats.h"

#define PROTO(p, field)                                                                            \
	{#p "_rx", &lwip_stats.field.recv}, {#p "_tx", &lwip_stats.field.xmit},                    \
	    {#p "_drop", &lwip_stats.field.drop},                                                  \
	    {#p "_checksum_errors", &lwip_stats.field.chkerr},                                     \
	    {#p "_length_errors", &lwip_stats.field.lenerr},                                       \
	    {#p "_memory_errors", &lwip_stats.field.memerr},                                       \
	    {#p "_routing_errors", &lwip_stats.field.rterr},                                       \
	{                                                                                          \
#p "_protocol_errors", &lwip_stats.field.proterr                                   \
	}

static const struct gz_stat stats[] = {
    PROTO(arp, etharp), PROTO(ip, ip),	 PROTO(icmp, icmp),
    PROTO(udp, udp),	PROTO(tcp, tcp), PROTO(frag, ip_frag),
};

const struct gz_stat *gz_stats(unsigned *n)
{
	*n = sizeof(stats) / sizeof(stats[0]);
	return stats;
}

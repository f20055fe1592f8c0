/* SPDX-License-Identifier: BSD-3-Clause
 *
 * neigh.h - The stack's neighbours, for programs that ask rtnetlink
 */
#ifndef GZ_NEIGH_H
#define GZ_NEIGH_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/end.h"

struct gz_rtnl;
struct nlmsghdr;

#define GZ_NEIGHS 192 /* of a worker: ARP_TABLE_SIZE and LWIP_ND6_NUM_NEIGHBORS */

struct gz_neigh {
	struct gz_end end; /* port 0 */
	uint8_t at;	   /* which of gz_ports[] */
	uint16_t state;	   /* NUD_* of linux/neighbour.h */
	bool router;
	bool known; /* @mac is */
	uint8_t mac[6];
};

/** Worker, neigh_wire.c: tell of those that lwIP has, once a second */
void gz_neigh_second(void);

/* --- rtnl_neigh.c ---------------------------------------------------------- */

/** These are what @worker has now; whoever listens hears of what changed. */
void gz_neigh_publish(unsigned worker, const struct gz_neigh *v, unsigned n);
/** The interface that RTM_GETNEIGH @h is about; 0: all, -1: what the stack has none of */
int gz_rtnl_neigh_index(const struct nlmsghdr *h, bool dump);
/** Append all that the dump @h asks for. */
void gz_rtnl_neighs(struct gz_rtnl *b, const struct nlmsghdr *h, uint32_t pid);
/** Append the one that @h asks for.  Return: false when there is none */
bool gz_rtnl_neigh(struct gz_rtnl *b, const struct nlmsghdr *h, uint32_t pid);

#endif

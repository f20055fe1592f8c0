/* SPDX-License-Identifier: BSD-3-Clause
 *
 * gso.h - Segments cut and merged in software, where the port does neither
 */
#ifndef GZ_GSO_H
#define GZ_GSO_H

#include <stdbool.h>

struct gz_port;
struct rte_mbuf;

#define GZ_GSO_MOST 128 /* frames of one segment, whose MSS is 536 at least */

/**
 * gz_gso_cut() - Frames of the MTU, complete, of one that RTE_MBUF_F_TX_TCP_SEG describes
 * @m:		Given away
 * @out:	Room for GZ_GSO_MOST
 *
 * Of IPv4 only.  Return: how many; 0: no mbufs
 */
unsigned gz_gso_cut(const struct gz_port *p, struct rte_mbuf *m, struct rte_mbuf **out);

/** What merges; false: no memory.  Main thread */
bool gz_gro_init(void);

/**
 * gz_gro_merge() - Segments of TCP over IPv4 that follow each other become one
 * @m:		A burst of @n as it was received; changed
 *
 * Their sums are checked before.  Those of a connection stay in their order.
 * Return: how many frames it is now
 */
unsigned gz_gro_merge(struct rte_mbuf **m, unsigned n);

#endif

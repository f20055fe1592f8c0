/* SPDX-License-Identifier: BSD-3-Clause
 *
 * vlan.h - The port's VLAN: tags off what comes, onto what goes (802.1Q)
 */
#ifndef GZ_VLAN_H
#define GZ_VLAN_H

#include <stdbool.h>

#include "engine/port.h"

/** Take the tag off @m.  Return: false, the frame is of another VLAN; worker */
bool gz_vlan_take(struct rte_mbuf *m, uint16_t vlan);

/**
 * gz_vlan_put() - Put @p's tag, if it has one, onto @m or leave it to the device
 *
 * What mbuf.l2_len is, counts with the tag after it.
 * Return: false, there is no room; worker
 */
bool gz_vlan_put(struct rte_mbuf **m, const struct gz_port *p);

#endif

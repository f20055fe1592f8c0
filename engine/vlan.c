/* SPDX-License-Identifier: BSD-3-Clause
 *
 * vlan.c - The port's VLAN: tags off what comes, onto what goes (802.1Q)
 *
 * lwIP sees neither.  A device that can takes tags off and puts them on (port.c asks it
 * to), and so do the drivers that have the tag beside the frame (AF_PACKET); else DPDK's
 * functions do.  A tag with VLAN 0 has a priority only and is as none.
 */
#include <rte_ether.h>
#include <rte_mbuf.h>

#include "engine/vlan.h"

#define TAG_LEN sizeof(struct rte_vlan_hdr)

bool gz_vlan_take(struct rte_mbuf *m, uint16_t vlan)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	uint16_t tci = 0;

	if (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) {
		tci = m->vlan_tci;
	} else if (m->data_len >= sizeof(*eth) + TAG_LEN &&
		   eth->ether_type == RTE_BE16(RTE_ETHER_TYPE_VLAN) && !rte_vlan_strip(m)) {
		tci = m->vlan_tci;
	}
	return (tci & RTE_VLAN_ID_MASK) == vlan;
}

bool gz_vlan_put(struct rte_mbuf **m, const struct gz_port *p)
{
	if (!p->vlan)
		return true;
	(*m)->vlan_tci = p->vlan;
	if (p->vlan_insert) {
		(*m)->ol_flags |= RTE_MBUF_F_TX_VLAN;
		return true;
	}
	return !rte_vlan_insert(m);
}

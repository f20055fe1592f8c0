/* SPDX-License-Identifier: BSD-3-Clause
 *
 * gso.c - Segments cut and merged in software, where the port does neither
 *
 * Theory of operation.  What lwIP and our hooks cost they cost for each segment, and an ACK
 * is a frame that the other end has to take.  So a large segment (tso.c) is cut as late as
 * possible, and small ones that came together are merged as early as possible, by DPDK's
 * rte_gso and rte_gro.  Neither computes sums: those of what is cut are made here, and
 * what is merged is checked first.
 *
 * rte_gro looks at a whole burst and gives back what it does not know before what it merged.
 * A segment with PSH would overtake those before it, so only runs of segments that can be
 * merged are given to it, and in which each follows the one before.
 */
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_gro.h>
#include <rte_gso.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>

#include "engine/counters.h"
#include "engine/gso.h"
#include "engine/port.h"

#define RUN_LEAST 2	/* segments that it is worth to merge */
#define FLOWS 64	/* in one burst; what is more stays as it is */
#define BYTES_LEAST 512 /* of a segment: it is of bulk */

static struct rte_gro_ctx *gro;

/* --- cutting -------------------------------------------------------------- */

static bool finish(struct rte_mbuf *m)
{
	struct rte_ipv4_hdr *ip;
	struct rte_tcp_hdr *tcp;

	/* Not all drivers take pieces */
	if (rte_pktmbuf_linearize(m))
		return false;
	ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, m->l2_len);
	tcp = (struct rte_tcp_hdr *)((char *)ip + m->l3_len);
	m->ol_flags = 0;
	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	tcp->cksum = 0;
	tcp->cksum = rte_ipv4_udptcp_cksum(ip, tcp);
	return true;
}

unsigned gz_gso_cut(const struct gz_port *p, struct rte_mbuf *m, struct rte_mbuf **out)
{
	const struct rte_gso_ctx ctx = {
	    .direct_pool = p->pool,
	    .indirect_pool = p->pool,
	    .gso_types = RTE_ETH_TX_OFFLOAD_TCP_TSO,
	    .gso_size = (uint16_t)(m->l2_len + m->l3_len + m->l4_len + m->tso_segsz),
	};
	int n = rte_gso_segment(m, &ctx, out, GZ_GSO_MOST);
	unsigned made = 0;

	rte_pktmbuf_free(m);
	for (int i = 0; i < n; i++) {
		out[i]->l2_len = sizeof(struct rte_ether_hdr);
		out[i]->l3_len = sizeof(struct rte_ipv4_hdr);
		if (finish(out[i]))
			out[made++] = out[i];
		else
			rte_pktmbuf_free(out[i]);
	}
	return made;
}

/* --- merging -------------------------------------------------------------- */

bool gz_gro_init(void)
{
	const struct rte_gro_param param = {
	    .gro_types = RTE_GRO_TCP_IPV4,
	    .max_flow_num = FLOWS,
	    .max_item_per_flow = 8,
	};

	gro = rte_gro_ctx_create(&param);
	return gro;
}

/* May @m be merged?  It is described for rte_gro then, and its sums were right. */
static bool describe(struct rte_mbuf *m)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(eth + 1);
	const struct rte_tcp_hdr *tcp = (const struct rte_tcp_hdr *)(ip + 1);
	unsigned total, header;

	if (m->nb_segs != 1 || m->data_len < BYTES_LEAST ||
	    eth->ether_type != RTE_BE16(RTE_ETHER_TYPE_IPV4) ||
	    ip->version_ihl != RTE_IPV4_VHL_DEF || ip->next_proto_id != IPPROTO_TCP ||
	    ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK) ||
	    tcp->tcp_flags != RTE_TCP_ACK_FLAG)
		return false;
	total = rte_be_to_cpu_16(ip->total_length);
	header = (tcp->data_off >> 4) * 4u;
	if (total + sizeof(*eth) != m->data_len || header < sizeof(*tcp) ||
	    header + sizeof(*ip) >= total || rte_ipv4_cksum(ip) || rte_ipv4_udptcp_cksum(ip, tcp))
		return false;
	m->l2_len = sizeof(*eth);
	m->l3_len = sizeof(*ip);
	m->l4_len = header;
	m->packet_type = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4 | RTE_PTYPE_L4_TCP;
	m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	return true;
}

/*
 * Is @b what comes after @a, both described?  rte_gro would also put in order what came in
 * none, and the stack would take what does not lie in its window.
 */
static bool follows(const struct rte_mbuf *a, const struct rte_mbuf *b)
{
	const struct rte_ipv4_hdr *ip =
	    rte_pktmbuf_mtod_offset(a, const struct rte_ipv4_hdr *, a->l2_len);
	const struct rte_ipv4_hdr *ip2 =
	    rte_pktmbuf_mtod_offset(b, const struct rte_ipv4_hdr *, b->l2_len);
	const struct rte_tcp_hdr *tcp = (const struct rte_tcp_hdr *)(ip + 1);
	const struct rte_tcp_hdr *tcp2 = (const struct rte_tcp_hdr *)(ip2 + 1);
	uint32_t bytes = a->pkt_len - a->l2_len - a->l3_len - a->l4_len;

	return ip->src_addr == ip2->src_addr && ip->dst_addr == ip2->dst_addr &&
	       tcp->src_port == tcp2->src_port && tcp->dst_port == tcp2->dst_port &&
	       rte_be_to_cpu_32(tcp->sent_seq) + bytes == rte_be_to_cpu_32(tcp2->sent_seq);
}

/* The frames of a run, which all can be merged.  Return: how many are left */
static unsigned merge(struct rte_mbuf **m, unsigned n)
{
	unsigned kept = rte_gro_reassemble(m, (uint16_t)n, gro);

	kept += rte_gro_timeout_flush(gro, 0, RTE_GRO_TCP_IPV4, m + kept, (uint16_t)(n - kept));
	for (unsigned i = 0; i < kept; i++) {
		struct rte_ipv4_hdr *ip =
		    rte_pktmbuf_mtod_offset(m[i], struct rte_ipv4_hdr *, m[i]->l2_len);

		if (m[i]->nb_segs == 1)
			continue;
		ip->hdr_checksum = 0;
		ip->hdr_checksum = rte_ipv4_cksum(ip);
	}
	gz_add(GZ_C_GRO, n - kept);
	return kept;
}

unsigned gz_gro_merge(struct rte_mbuf **m, unsigned n)
{
	unsigned kept = 0, from, left;

	for (unsigned i = 0; i < n;) {
		for (from = i; i < n && describe(m[i]) && (i == from || follows(m[i - 1], m[i]));)
			i++;
		left = i - from;
		if (left >= RUN_LEAST)
			left = merge(m + from, left);
		for (unsigned k = 0; k < left; k++)
			m[kept++] = m[from + k];
		if (i < n && i == from)
			m[kept++] = m[i++];
	}
	return kept;
}

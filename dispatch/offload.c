/* SPDX-License-Identifier: BSD-3-Clause
 *
 * offload.c - Checksums and segments in software: see offload.h
 *
 * rte_gso cuts over IPv4 only, and its frames refer to the one that they are cut from, which
 * the drivers of AF_XDP do not take: so it is done here, for both families, into
 * frames in one piece.
 */
#include <stddef.h>
#include <string.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_net.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "dispatch/offload.h"

/* Where the headers are, by a frame's own lengths */
static void *l3_of(const struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod_offset(m, void *, m->l2_len);
}

static void *l4_of(const struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod_offset(m, void *, m->l2_len + m->l3_len);
}

/* --- looking -------------------------------------------------------------- */

/** ip_bytes() - Of the packet, by its own word; 0: nothing that can be finished */
static unsigned ip_bytes(const void *l3, uint32_t type, unsigned l3_len)
{
	const struct rte_ipv6_hdr *ip6 = l3;
	const struct rte_ipv4_hdr *ip = l3;

	if (RTE_ETH_IS_IPV4_HDR(type))
		return ip->fragment_offset &
			       RTE_BE16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)
			   ? 0
			   : rte_be_to_cpu_16(ip->total_length);
	/* A sum over extension headers is none that anybody leaves to others */
	if (!RTE_ETH_IS_IPV6_HDR(type) || l3_len != sizeof(*ip6))
		return 0;
	return rte_be_to_cpu_16(ip6->payload_len) + (unsigned)sizeof(*ip6);
}

bool offload_take(struct rte_mbuf *m, uint16_t mtu)
{
	const uint32_t l4_types = RTE_PTYPE_L4_MASK;
	bool large = m->ol_flags & RTE_MBUF_F_RX_LRO, tcp;
	struct rte_net_hdr_lens lens = {0};
	unsigned headers, bytes;
	uint32_t type;

	type = rte_net_get_ptype(m, &lens, RTE_PTYPE_L2_MASK | RTE_PTYPE_L3_MASK | l4_types);
	tcp = (type & l4_types) == RTE_PTYPE_L4_TCP;
	headers = (unsigned)lens.l2_len + lens.l3_len + lens.l4_len;
	if ((!tcp && (type & l4_types) != RTE_PTYPE_L4_UDP) || headers > m->data_len ||
	    lens.l4_len < (tcp ? sizeof(struct rte_tcp_hdr) : sizeof(struct rte_udp_hdr)))
		return false;
	bytes = ip_bytes(rte_pktmbuf_mtod_offset(m, void *, lens.l2_len), type, lens.l3_len);
	if (lens.l3_len + lens.l4_len > bytes || lens.l2_len + bytes > m->pkt_len)
		return false;
	if (large) {
		unsigned parts = headers - lens.l2_len + m->tso_segsz;

		if (!tcp || !m->tso_segsz || parts > mtu || lens.l2_len + bytes != m->pkt_len ||
		    (m->pkt_len - headers) / m->tso_segsz >= OFFLOAD_FRAMES_MAX)
			return false;
		large = m->pkt_len - headers > m->tso_segsz;
	} else if (rte_pktmbuf_trim(m, (uint16_t)(m->pkt_len - lens.l2_len - bytes))) {
		return false; /* of more than one piece */
	}
	m->l2_len = lens.l2_len;
	m->l3_len = lens.l3_len;
	m->l4_len = lens.l4_len;
	m->ol_flags &= ~(RTE_MBUF_F_RX_L4_CKSUM_MASK | RTE_MBUF_F_RX_LRO);
	m->ol_flags |= RTE_ETH_IS_IPV4_HDR(type) ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6;
	m->ol_flags |= tcp ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM;
	if (large)
		m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
	return true;
}

/* --- finishing ------------------------------------------------------------ */

/** add_sum() - Of a frame in one piece */
static void add_sum(struct rte_mbuf *m)
{
	bool tcp = (m->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_TCP_CKSUM;
	void *l3 = l3_of(m), *l4 = l4_of(m);
	uint16_t *at =
	    rte_pktmbuf_mtod_offset(m, uint16_t *,
				    m->l2_len + m->l3_len +
					(tcp ? offsetof(struct rte_tcp_hdr, cksum)
					     : offsetof(struct rte_udp_hdr, dgram_cksum)));

	*at = 0;
	*at = m->ol_flags & RTE_MBUF_F_TX_IPV4 ? rte_ipv4_udptcp_cksum(l3, l4)
					       : rte_ipv6_udptcp_cksum(l3, l4);
	m->ol_flags &= ~RTE_MBUF_F_TX_L4_MASK;
}

/**
 * set_part() - The headers of a part
 * @s:		It, with those of the whole
 * @number, @at:	Which one it is, and where in the whole it begins
 * @last:	Nothing comes behind it
 */
static void set_part(struct rte_mbuf *s, unsigned number, uint32_t at, bool last)
{
	struct rte_tcp_hdr *tcp = l4_of(s);
	uint16_t bytes = (uint16_t)(s->pkt_len - s->l2_len);

	if (s->ol_flags & RTE_MBUF_F_TX_IPV4) {
		struct rte_ipv4_hdr *ip = l3_of(s);

		ip->total_length = rte_cpu_to_be_16(bytes);
		ip->packet_id =
		    rte_cpu_to_be_16((uint16_t)(rte_be_to_cpu_16(ip->packet_id) + number));
		ip->hdr_checksum = 0;
		ip->hdr_checksum = rte_ipv4_cksum(ip);
	} else {
		struct rte_ipv6_hdr *ip6 = l3_of(s);

		ip6->payload_len = rte_cpu_to_be_16((uint16_t)(bytes - sizeof(*ip6)));
	}
	tcp->sent_seq = rte_cpu_to_be_32(rte_be_to_cpu_32(tcp->sent_seq) + at);
	if (number)
		tcp->tcp_flags &= (uint8_t)~RTE_TCP_CWR_FLAG;
	if (!last)
		tcp->tcp_flags &= (uint8_t) ~(RTE_TCP_FIN_FLAG | RTE_TCP_PSH_FLAG);
}

/** part() - Of @len bytes from @at on; NULL: no mbufs */
static struct rte_mbuf *part(const struct rte_mbuf *m, struct rte_mempool *pool, uint32_t at,
			     uint32_t len)
{
	uint32_t headers = (uint32_t)(m->l2_len + m->l3_len + m->l4_len);
	struct rte_mbuf *s = rte_pktmbuf_alloc(pool);
	char *to = s ? rte_pktmbuf_append(s, (uint16_t)(headers + len)) : NULL;
	const void *from;

	if (!to) {
		rte_pktmbuf_free(s);
		return NULL;
	}
	memcpy(to, rte_pktmbuf_mtod(m, const void *), headers);
	/* copied there, if it is in several pieces */
	from = rte_pktmbuf_read(m, headers + at, len, to + headers);
	if (from != to + headers)
		memcpy(to + headers, from, len);
	s->tx_offload = m->tx_offload;
	s->vlan_tci = m->vlan_tci;
	s->port = m->port;
	s->ol_flags = m->ol_flags & ~RTE_MBUF_F_TX_TCP_SEG;
	return s;
}

static unsigned cut(struct rte_mbuf *m, struct rte_mempool *pool, struct rte_mbuf **out)
{
	uint32_t bytes = m->pkt_len - (uint32_t)(m->l2_len + m->l3_len + m->l4_len), len;
	unsigned made = 0;

	for (uint32_t at = 0; at < bytes; at += len) {
		len = RTE_MIN(bytes - at, (uint32_t)m->tso_segsz);
		out[made] = part(m, pool, at, len);
		if (!out[made])
			break;
		set_part(out[made], made, at, at + len == bytes);
		made++;
	}
	rte_pktmbuf_free(m);
	return made;
}

unsigned offload_finish(struct rte_mbuf *m, const struct offload *to, struct rte_mempool *pool,
			struct rte_mbuf **out)
{
	unsigned n = 1;

	if (offload_is_large(m) && !to->tso)
		n = cut(m, pool, out);
	else
		out[0] = m;
	for (unsigned i = 0; i < n && !to->checksum; i++)
		add_sum(out[i]);
	return n;
}

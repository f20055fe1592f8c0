/* SPDX-License-Identifier: BSD-3-Clause
 *
 * offload.h - Checksums and segments that a sender left to somebody behind it
 *
 * Such a frame is passed on as it is to who takes it, and finished in software for who does
 * not.  What is left is said by the flags of mbufs that are sent (RTE_MBUF_F_TX_*), from
 * offload_take() on.
 */
#ifndef GZ_DISPATCH_OFFLOAD_H
#define GZ_DISPATCH_OFFLOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <rte_mbuf.h>

#define OFFLOAD_FRAMES_MAX 512 /* that one large segment is cut into */
/* A packet as large as its length can say, in a frame */
#define OFFLOAD_FRAME_MAX (UINT16_MAX + 14 + 4)

/** What somebody takes unfinished */
struct offload {
	bool checksum; /* of TCP and UDP */
	bool tso;      /* segments larger than its MTU */
};

/** offload_is_asked() - Has who sent it left something?  As it was received */
static inline bool offload_is_asked(const struct rte_mbuf *m)
{
	return (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_NONE ||
	       m->ol_flags & RTE_MBUF_F_RX_LRO;
}

/** offload_is_large() - Is it a segment to be cut?  From offload_take() on */
static inline bool offload_is_large(const struct rte_mbuf *m)
{
	return m->ol_flags & RTE_MBUF_F_TX_TCP_SEG;
}

/** offload_is_left() - Is there still something to be done? */
static inline bool offload_is_left(const struct rte_mbuf *m)
{
	return m->ol_flags & (RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG);
}

/** offload_frames() - How many frames it is on the wire */
static inline unsigned offload_frames(const struct rte_mbuf *m)
{
	unsigned bytes = m->pkt_len - m->l2_len - m->l3_len - m->l4_len;

	return offload_is_large(m) ? (bytes + m->tso_segsz - 1) / m->tso_segsz : 1;
}

/**
 * offload_take() - Look a frame over of which offload_is_asked(), of any content
 * @mtu:	Which what it is cut into must fit
 *
 * Return: false if it cannot be finished; nothing is changed then
 */
bool offload_take(struct rte_mbuf *m, uint16_t mtu);

/**
 * offload_finish() - Do what is left, but for what is taken
 * @m:		Given away
 * @to:		Who is to get it
 * @pool:	Of what it is cut into
 * @out:	Room for OFFLOAD_FRAMES_MAX
 *
 * Return: how many frames it is; fewer than offload_frames() without mbufs
 */
unsigned offload_finish(struct rte_mbuf *m, const struct offload *to, struct rte_mempool *pool,
			struct rte_mbuf **out);

#endif

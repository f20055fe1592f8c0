/* SPDX-License-Identifier: BSD-3-Clause
 *
 * tso.c - Segments of TCP that are larger than the MSS
 *
 * Theory of operation.  What the stack costs it costs for each segment, so where the port
 * cuts them (TSO), or the other end of a link takes them whole, lwIP is given larger ones.
 * It makes segments of up to pcb->mss in tcp_write() and nowhere else, where that is raised
 * for the call; what the peer is told, the congestion window and all that is reckoned in
 * segments keep the real one.
 *
 * A segment goes when all of it fits into the window, or never.  So no more is written than
 * fits now; the rest stays in the socket's ring until an ACK makes room, which calls
 * gz_stack_tx() again.
 *
 * What is lost is found and sent again by segments of the MSS (sack.c, RFC 6675).  At the first
 * sign that something is, gz_tso_cut() makes of the large ones what they would have been
 * without all this, and none is made until it is over.
 */
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#include "engine/address.h"
#include "engine/black_hole.h"
#include "engine/counters.h"
#include "engine/segment.h"
#include "engine/sock.h"
#include "engine/tso.h"
#include "engine/worker.h"

/* With the largest headers it is a packet of IP, whose length has 16 bits */
#define GSO_MSS 536 /* with less there would be too many */
#define MOST (UINT16_MAX - IP6_HLEN - 60)
/* Frames of one, however small they are: gazelle-dispatch takes up to 512 */
#define FRAMES 511

/* Is nothing amiss with what is under way? */
static bool is_calm(const struct tcp_pcb *p, const struct gz_measure *m)
{
	return !(p->flags & (TF_RTO | TF_INFR)) && !p->dupacks && !p->nrtx && !m->loss.in &&
	       !m->loss.blocks && !m->urgent && !m->fragments;
}

uint32_t gz_tso_most(const struct gz_sock *s, const struct tcp_pcb *p)
{
	const struct gz_offloads *o = &gz_netif_port(p)->offloads;
	uint32_t mss = tcp_mss(p);

	if (!(o->tso || (o->gso && IP_IS_V4_VAL(p->remote_ip) && mss >= GSO_MSS)) ||
	    p->state < ESTABLISHED || !mss || !is_calm(p, &s->flow->measure) ||
	    gz_addr_is_local(s->flow->peer))
		return 0;
	return LWIP_MIN(MOST / mss, FRAMES) * mss;
}

uint32_t gz_tso_fits(const struct tcp_pcb *p, uint32_t n)
{
	uint32_t wnd = LWIP_MIN(p->snd_wnd, p->cwnd), queued = p->snd_lbb - p->lastack;
	uint32_t mss = tcp_mss(p), room = wnd > queued ? wnd - queued : 0;

	if (n <= room)
		return n;
	/* Nothing that could be acknowledged is under way: lwIP is to probe the window. */
	if (!p->unacked && !p->unsent)
		return LWIP_MIN(n, LWIP_MAX(room / mss * mss, mss));
	return room / mss * mss;
}

err_t gz_tso_write(struct tcp_pcb *p, const void *data, uint16_t n, uint32_t most, uint8_t flags)
{
	uint32_t options = p->mss - tcp_mss(p);
	const struct tcp_seg *last = p->unsent;
	uint16_t mss = p->mss;
	err_t err;

	while (last && last->next)
		last = last->next;
	/* lwIP fills the last segment up, and wants it to be no larger than it may. */
	if (last && last->len > most)
		most = last->len;
	p->mss = (uint16_t)(most + options);
	err = tcp_write(p, data, n, flags);
	p->mss = mss;
	gz_stack_flow(p)->measure.large = true;
	return err;
}

/* Halve the first unsent segment until it is one of the MSS.  Return: false without memory */
static bool cut_first(struct tcp_pcb *p)
{
	uint32_t real = tcp_mss(p);
	struct tcp_seg *s = p->unsent;
	uint16_t mss = p->mss;
	bool fine = true;

	while (fine && s->len > real) {
		uint32_t half = (s->len / real + 1) / 2 * real;

		p->mss = LWIP_MAX((uint16_t)half, mss); /* it asserts that this is no more */
		fine = tcp_split_unsent_seg(p, (uint16_t)half) == ERR_OK;
		if (fine) /* it adds the flags to those that were there */
			TCPH_UNSET_FLAG(s->tcphdr, TCP_FIN | TCP_PSH);
	}
	p->mss = mss;
	return fine;
}

/* Return: false without memory */
static bool cut_all(struct tcp_pcb *p, struct tcp_seg **list)
{
	uint32_t real = tcp_mss(p);
	struct tcp_seg *unsent = p->unsent;
	bool fine = true;

	for (struct tcp_seg **at = list; fine && *at; at = &(*at)->next) {
		if ((*at)->len <= real)
			continue;
		gz_count(GZ_C_TSO_CUT);
		p->unsent = *at;
		fine = cut_first(p);
	}
	p->unsent = unsent;
	return fine;
}

/*
 * lwIP tells of bytes, and frees them, when all of their segment is acknowledged; of pieces
 * it would find that out at the next ACK, and could not send such a one again meanwhile.
 */
static void free_acked(struct tcp_pcb *p)
{
	struct tcp_seg *s;

	while ((s = p->unacked) &&
	       TCP_SEQ_LEQ(lwip_ntohl(s->tcphdr->seqno) + TCP_TCPLEN(s), p->lastack)) {
		uint16_t n = s->len;

		p->unacked = s->next;
		p->snd_queuelen = (u16_t)(p->snd_queuelen - pbuf_clen(s->p));
		p->snd_buf += n;
		tcp_seg_free(s);
		if (p->sent)
			p->sent(p->callback_arg, p, n);
	}
}

void gz_tso_cut(struct tcp_pcb *p)
{
	struct gz_measure *m = &gz_stack_flow(p)->measure;

	gz_black_hole_lost(m);
	if (!m->large) /* the lists are long, and each SACK comes here */
		return;
	m->loss.late = NULL;
	m->large = !cut_all(p, &p->unacked);
	free_acked(p);
	m->large |= !cut_all(p, &p->unsent);
}

uint32_t gz_tso_segments(const struct tcp_pcb *p, uint32_t n)
{
	uint32_t mss = tcp_mss(p);

	return n <= mss || !mss ? 1 : (n + mss - 1) / mss;
}

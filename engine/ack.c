/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ack.c - Acknowledgements that lwIP would keep back too long
 *
 * tcp_output() sends an ACK by itself only when there is nothing else to send.  With
 * bytes that Nagle's algorithm holds it sends nothing, and tcp_fasttmr() takes the delayed
 * ACK for sent.  Two ends that both hold a short segment would then wait for each other
 * until one sends its first again, a second later.
 */
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#include "engine/ack.h"
#include "engine/pcb.h"
#include "engine/sock.h"

/* Linux: TCP_MAX_QUICKACKS */
#define QUICK_MAX 16

static bool held(const struct tcp_pcb *p)
{
	return p->unsent && p->state >= ESTABLISHED;
}

void gz_ack_due(struct tcp_pcb *p)
{
	if (p->flags & TF_ACK_NOW && held(p))
		tcp_send_empty_ack(p);
}

void gz_ack_late(struct gz_flow *f, struct tcp_pcb *p)
{
	if (p->flags & TF_ACK_DELAY)
		f->measure.answers = false;
	if (p->flags & (TF_ACK_NOW | TF_ACK_DELAY) && held(p))
		tcp_send_empty_ack(p);
}

void gz_ack_quick(struct gz_sock *s, struct tcp_pcb *p)
{
	if (s->quick_asked == s->opt.quickack_asked)
		return;
	s->quick_asked = s->opt.quickack_asked;
	s->quick_acks = s->opt.quickack ? QUICK_MAX : 0;
	if (s->quick_acks && p->flags & TF_ACK_DELAY)
		tcp_send_empty_ack(p);
}

void gz_ack_joined(struct gz_sock *s)
{
	if (!s->flow)
		return;
	GZ_PCB_SCOPE(p, s->flow);
	if (p->flags & TF_ACK_DELAY)
		tcp_send_empty_ack(p);
}

void gz_ack_received(struct gz_sock *s, struct tcp_pcb *p, uint32_t n, bool pushed)
{
	s->flow->measure.pushed = pushed || n < (uint32_t)tcp_mss(p);
	/*
	 * What is not acknowledged keeps its direction in TCP, and Nagle what comes after it.
	 * Of two segments the second is acknowledged at once (RFC 5681 section 4.2), also where
	 * lwIP gets them as one.
	 */
	if (s->ring.joined || n >= 2u * tcp_mss(p)) {
		tcp_ack_now(p);
		return;
	}
	if (!s->quick_acks)
		return;
	s->quick_acks--;
	tcp_ack_now(p);
}

/*
 * As tcp_cleanup_rbuf(): who only reads acknowledges at once, or Nagle's algorithm
 * would keep each small write until the one before it was acknowledged late.
 */
void gz_ack_read(struct gz_sock *s, struct tcp_pcb *p)
{
	const struct gz_measure *m = &s->flow->measure;

	if (p->flags & TF_ACK_DELAY && m->pushed && !m->answers && !gz_ring_used(&s->rx))
		tcp_send_empty_ack(p);
}

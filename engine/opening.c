/* SPDX-License-Identifier: BSD-3-Clause
 *
 * opening.c - Two SYNs that cross: simultaneous open, and a socket connected to itself
 *
 * Theory of operation.  lwIP in SYN_SENT ignores a SYN without ACK.  RFC 9293 3.10.7.3
 * wants SYN-RECEIVED, and lwIP's state of that name asks for a listener.  So the pcb
 * stays in SYN_SENT; the SYN that it has sent goes again, now with an ACK of the peer's.
 *
 *   SYN, ACK comes	what lwIP waits for in SYN_SENT: connected.  A socket that is
 *			connected to itself gets its own.
 *   ACK comes		the peer had our SYN with the ACK first, and is connected: so are
 *			we.  lwIP then takes the segment with its data, as it is.
 *
 * The options of the peer's SYN are read by lwIP when it comes: it reads those of
 * every segment.
 */
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#include "engine/opening.h"
#include "engine/segment.h"
#include "engine/worker.h"

/* The SYN goes once more, and acknowledges the peer's. */
static void answer(struct tcp_pcb *pcb, uint32_t seqno)
{
	struct tcp_seg *syn = pcb->unacked;
	u8_t nrtx = pcb->nrtx;

	if (!syn)
		return; /* it could not be sent yet, and is ignored till then, as lost */
	pcb->rcv_nxt = pcb->rcv_ann_right_edge = seqno + 1;
	TCPH_SET_FLAG(syn->tcphdr, TCP_ACK);
	/* lwIP sends it when it is done with this segment.  It is no retransmission. */
	tcp_rexmit(pcb);
	pcb->nrtx = nrtx;
}

/* What lwIP does when a SYN with ACK comes, but for the acknowledgement: it follows. */
static void establish(struct tcp_pcb *pcb, const struct tcp_hdr *h)
{
	pcb->state = ESTABLISHED;
	pcb->snd_wnd = SND_WND_SCALE(pcb, h->wnd);
	pcb->snd_wnd_max = pcb->snd_wnd;
	pcb->snd_wl1 = h->seqno - 1;
	pcb->mss = tcp_eff_send_mss(pcb->mss, &pcb->local_ip, &pcb->remote_ip);
	/* RFC 5681 section 3.1 */
	pcb->cwnd = (tcpwnd_size_t)LWIP_MIN(4u * pcb->mss, LWIP_MAX(2u * pcb->mss, 4380u));
	pcb->nrtx = 0;
	pcb->connected(pcb->callback_arg, pcb, ERR_OK);
}

void gz_opening_in(struct tcp_pcb *pcb, struct gz_measure *m, const struct tcp_hdr *h)
{
	uint8_t flags = TCPH_FLAGS(h) & (TCP_SYN | TCP_ACK | TCP_RST);

	if (flags == TCP_SYN) {
		m->crossed = true;
		answer(pcb, h->seqno);
	} else if (flags == TCP_ACK && m->crossed && h->ackno == pcb->snd_nxt &&
		   h->seqno == pcb->rcv_nxt) {
		establish(pcb, h);
	}
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * demux.c - Whose a TCP segment is
 *
 * ip4.c and ip6.c are compiled to call gz_tcp_input() in place of lwIP's tcp_input(),
 * which gets the segment with the lists of its flow alone (pcbs.c), or, if it has none,
 * with the listeners of its port (listener.c).
 *
 * The lengths of TCP options are looked at first: lwIP 2.2.1 reads past a short last one.
 */
#include "lwip/ip.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#include "engine/counters.h"
#include "engine/pcb.h"
#include "engine/ports.h"
#include "engine/sack.h"
#include "engine/worker.h"

void gz_tcp_input(struct pbuf *p, struct netif *inp);

/* Are the options of a TCP header well-formed?  (RFC 9293 section 3.2) */
static bool options_ok(const uint8_t *o, unsigned len)
{
	unsigned i = 0;

	while (i < len) {
		if (o[i] == 0)
			return true;
		if (o[i] == 1) {
			i++;
			continue;
		}
		if (i + 1 >= len || o[i + 1] < 2 || i + o[i + 1] > len)
			return false;
		i += o[i + 1];
	}
	return true;
}

void gz_pcb_input(struct pbuf *p, struct netif *inp, struct gz_flow *f)
{
	const struct tcp_hdr *h = p->payload;
	bool of_none = !f && p->len >= TCP_HLEN;
	int was = of_none ? gz_listeners_enter(lwip_ntohs(h->dest)) : -1;

	if (of_none)
		gz_listeners_at(inp);
	gz_pcb_enter(f);
	tcp_input(p, inp);
	gz_sack_done();
	gz_pcb_leave();
	if (of_none)
		gz_listeners_leave(was);
}

/* After reassembly; the TCP header is at p->payload. */
void gz_tcp_input(struct pbuf *p, struct netif *inp)
{
	const struct tcp_hdr *h = p->payload;
	struct gz_end local, peer;
	struct gz_flow *f;
	unsigned hl, kind;
	bool keep = true;

	if (p->len < TCP_HLEN) {
		gz_pcb_input(p, inp, NULL);
		return;
	}
	hl = TCPH_HDRLEN_BYTES(h);
	/* Options that straddle pbufs do not come from an honest peer. */
	if (hl > TCP_HLEN &&
	    (hl > p->len || !options_ok((const uint8_t *)(h + 1), hl - TCP_HLEN))) {
		gz_count(GZ_C_REFUSED_TCP_OPTIONS);
		gz_netif_count(inp, GZ_C_PORT_MALFORMED);
		pbuf_free(p);
		return;
	}
	local = gz_pcb_end(ip_current_dest_addr(), lwip_ntohs(h->dest));
	peer = gz_pcb_end(ip_current_src_addr(), lwip_ntohs(h->src));
	f = gz_pcb_find(local, peer);
	if (!f && gz_nworkers > 1) {
		struct gz_worker *w = gz_flow_worker(local, peer);

		if (w && w != &gz_worker) {
			gz_rx_hand_over(w, p, inp);
			return;
		}
	}
	kind = TCPH_FLAGS(h) & (TCP_SYN | TCP_ACK | TCP_RST);
	if (kind == TCP_SYN)
		keep = gz_stack_syn(p, h, f, peer);
	else if (kind == TCP_ACK && !f)
		keep = gz_stack_ack(p, h, inp, peer);
	if (!keep) {
		pbuf_free(p);
		return;
	}
	/* These two may have ended one, or made one. */
	gz_pcb_input(p, inp, f && kind != TCP_SYN ? f : gz_pcb_find(local, peer));
}

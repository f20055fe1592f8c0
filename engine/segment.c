/* SPDX-License-Identifier: BSD-3-Clause
 *
 * segment.c - Each segment of a connection, as it comes and goes
 *
 * Theory of operation.  lwIP's clock has steps of 20 ms and it counts neither
 * segments nor retransmissions of a connection, so both are done here, in its
 * hooks: gz_segment_in() sees a segment before lwIP acts on it, gz_segment_out()
 * one that is about to get its checksum.  Round trips are measured with the real
 * clock, one segment at a time, and never on one that was sent twice (Karn's
 * algorithm, RFC 6298 section 3).
 *
 * gz_segment_in() also does what RFC 5961 wants: only the exact RST resets
 * (section 3), a SYN does not (section 4), an ACK outside of what can be
 * acknowledged gets a challenge ACK and its data are dropped (section 5), and
 * challenge ACKs are limited (section 7).  A RST without ACK does not end a
 * connect() (RFC 9293 3.10.7.3).
 */
#include <assert.h>
#include <linux/tcp.h>
#include <string.h>

#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#include "engine/ack.h"
#include "engine/address.h"
#include "engine/counters.h"
#include "engine/opening.h"
#include "engine/pcb.h"
#include "engine/recovery.h"
#include "engine/segment.h"
#include "engine/service.h"
#include "engine/tso.h"
#include "engine/urgent.h"
#include "engine/worker.h"

#define MSS_LEAST 48 /* net.ipv4.tcp_min_snd_mss: of 12 nothing is left beside timestamps */
#define MTU_HEADERS (IP_HLEN + TCP_HLEN)
#define SEC 1000000000ull
#define CHALLENGES 10 /* a second and connection; Linux: tcp_invalid_ratelimit, 500 ms each */

static void rtt_sample(struct gz_measure *m, uint64_t ns)
{
	/* Eight times the most are in srtt8; an old echo says anything. */
	uint32_t us = (uint32_t)LWIP_MIN(ns / 1000, INT32_MAX >> 3), delta;

	us = us ? us : 1;
	if (!m->min_rtt || us < m->min_rtt)
		m->min_rtt = us;
	if (us < m->least_rtt)
		m->least_rtt = us;
	if (us >= 2 * m->min_rtt + 8000)
		m->late++;
	else
		m->late = 0;
	if (!m->srtt8) {
		m->srtt8 = us << 3;
		m->mdev4 = us << 1;
		return;
	}
	delta = us > m->srtt8 >> 3 ? us - (m->srtt8 >> 3) : (m->srtt8 >> 3) - us;
	m->srtt8 = m->srtt8 - (m->srtt8 >> 3) + us;
	m->mdev4 = m->mdev4 - (m->mdev4 >> 2) + delta;
}

static void take_rtt(struct tcp_pcb *pcb, struct gz_measure *m, uint32_t ackno, uint64_t now)
{
	uint64_t ns = gz_timestamp_rtt(pcb, m, ackno);

	pcb->rttest = 0; /* lwIP's own measurement */
	if (m->sampling && TCP_SEQ_GEQ(ackno, m->rtt_seq)) {
		ns = now - m->rtt_from;
		m->sampling = false;
	}
	if (!ns)
		return;
	rtt_sample(m, ns);
	gz_recovery_rtt(pcb, m);
}

const uint8_t *gz_segment_option(const struct tcp_hdr *h, uint8_t kind)
{
	const uint8_t *o = (const uint8_t *)(h + 1),
		      *end = (const uint8_t *)h + TCPH_HDRLEN_BYTES(h);

	while (o < end && *o) {
		if (*o == kind)
			return o;
		o += *o == LWIP_TCP_OPT_NOP ? 1 : o[1];
	}
	return NULL;
}

/* May another challenge ACK be sent?  */
static bool may_challenge(struct gz_measure *m, uint64_t now)
{
	if (now - m->challenge_from >= SEC) {
		m->challenge_from = now;
		m->challenges = 0;
	}
	return m->challenges++ < CHALLENGES;
}

static void challenge(struct tcp_pcb *pcb, struct gz_measure *m, uint64_t now)
{
	if (!may_challenge(m, now))
		return;
	gz_count(GZ_C_CHALLENGE_ACKS);
	tcp_send_empty_ack(pcb);
}

/*
 * RFC 5961 sections 3 and 4: only the exact next number resets, what else is in the
 * window is challenged; a SYN always is.  lwIP resets then, and drops the SYN.
 */
static bool resets(struct tcp_pcb *pcb, struct gz_measure *m, const struct tcp_hdr *h, uint64_t now)
{
	bool rst = TCPH_FLAGS(h) & TCP_RST;

	if (rst && h->seqno == pcb->rcv_nxt)
		return true;
	if (!rst || h->seqno - pcb->rcv_nxt < pcb->rcv_wnd)
		challenge(pcb, m, now);
	return false;
}

/*
 * Does it come before its turn and end past the window?  lwIP keeps such a segment
 * whole when it is the first of its kind, and aborts when the gap before it is filled.
 */
static bool overruns(const struct tcp_pcb *pcb, const struct tcp_hdr *h, const struct pbuf *p)
{
	uint32_t n = p->tot_len + !!(TCPH_FLAGS(h) & TCP_FIN), end = h->seqno + n;

	return n && TCP_SEQ_GT(h->seqno, pcb->rcv_nxt) &&
	       TCP_SEQ_GT(end, pcb->rcv_nxt + pcb->rcv_wnd);
}

/* RFC 7323 section 5.3 R1.  ACKs that overtook each other are nothing to speak of. */
static void old_duplicate(struct tcp_pcb *pcb, struct gz_measure *m, const struct tcp_hdr *h,
			  const struct pbuf *p, uint64_t now)
{
	gz_count(GZ_C_OLD_TIMESTAMPS);
	if (p->tot_len)
		tcp_send_empty_ack(pcb);
	else if (h->seqno != pcb->rcv_nxt || TCPH_FLAGS(h) & TCP_FIN)
		challenge(pcb, m, now);
}

/*
 * Nagle's algorithm as Linux has it (tcp_minshall_check()): what is less than a segment waits
 * for the ACK of another such one, and not, as lwIP has it, for that of whole segments.
 */
void gz_segment_nagle(struct tcp_pcb *p, const struct gz_measure *m)
{
	if (m->nodelay || !m->is_short)
		tcp_nagle_disable(p);
	else
		tcp_nagle_enable(p);
}

/*
 * gz_segment_in() - LWIP_HOOK_TCP_INPACKET_PCB
 *
 * Addresses, ports and numbers of @h are in host order, @p is the payload.
 * Return: ERR_OK, or anything else to drop the segment
 */
err_t gz_segment_in(struct tcp_pcb *pcb, const struct tcp_hdr *h, const struct pbuf *p)
{
	uint8_t flags = TCPH_FLAGS(h);
	struct gz_measure *m;
	struct gz_flow *f;
	uint64_t now;

	/* A listening pcb is a shorter structure; TIME_WAIT is lwIP's alone. */
	if (pcb->state == LISTEN || pcb->state == TIME_WAIT)
		return ERR_OK;
	f = gz_stack_flow(pcb);
	if (!f)
		return ERR_OK;
	m = &f->measure;
	now = gz_now_ns();
	m->segs_in += gz_tso_segments(pcb, p->tot_len);
	gz_sack_read(pcb, &m->loss, h, m->bbr.gated);
	if (m->loss.blocks || (flags & TCP_ACK && pcb->dupacks && h->ackno == pcb->lastack))
		gz_tso_cut(pcb);
	m->stamps.here = gz_timestamp_find(h, &m->stamps.val, &m->stamps.ecr);
	if (f->sock &&
	    (ip_current_is_v6() ? IP6H_HOPLIM(ip6_current_header()) < f->sock->opt.minhops
				: IPH_TTL(ip4_current_header()) < f->sock->opt.minttl))
		return ERR_VAL; /* RFC 5082; IP_MINTTL, IPV6_MINHOPCOUNT */
	if (pcb->state == SYN_SENT) {
		if (flags & TCP_SYN && flags & TCP_ACK)
			take_rtt(pcb, m, h->ackno, now);
		if (flags & TCP_ACK && !(flags & TCP_RST) && h->ackno == pcb->snd_nxt) {
			m->began_at = m->acked_at = now;
			m->bytes_acked = 1; /* tcp_snd_una_update(): the SYN */
		}
		gz_opening_in(pcb, m, h);
		if (pcb->state == SYN_SENT)
			return flags & TCP_RST && !(flags & TCP_ACK) ? ERR_VAL : ERR_OK;
	}
	if (flags & TCP_RST || (flags & TCP_SYN && pcb->state != SYN_RCVD))
		return resets(pcb, m, h, now) ? ERR_OK : ERR_VAL;
	if (flags & TCP_SYN) {
		/* The SYN came again.  lwIP would read its options again, and abort if
		 * they are others and the window is not its own any more. */
		if (h->seqno == pcb->rcv_nxt - 1 && tcp_rexmit(pcb) == ERR_OK)
			tcp_output(pcb);
		return ERR_VAL;
	}
	if (gz_timestamp_is_old(pcb, m, now)) {
		old_duplicate(pcb, m, h, p, now);
		return ERR_VAL;
	}
	/* It completes the handshake, and finds no place: it is lost (tcp_v4_syn_recv_sock()). */
	if (f->half_open && gz_listener_is_full(f->listener))
		return ERR_VAL;
	if (flags & TCP_ACK) {
		uint32_t oldest = pcb->lastack - pcb->snd_wnd_max;

		if (pcb->state != SYN_RCVD &&
		    (TCP_SEQ_GT(h->ackno, m->high) || TCP_SEQ_LT(h->ackno, oldest))) {
			challenge(pcb, m, now);
			return ERR_VAL;
		}
		/*
		 * With a new ACK comes the window that belongs to it, in a segment
		 * that is sent again as well (tcp_may_update_window()).  lwIP asks for
		 * a newer sequence number: it would keep the old window, beginning at
		 * the new ACK, and send past its end what the peer may not take.
		 */
		if (TCP_SEQ_GT(h->ackno, pcb->lastack))
			pcb->snd_wl1 = h->seqno - 1;
		m->acked_at = now;
		if (pcb->state == SYN_RCVD)
			m->began_at = now;
		if (m->is_short && TCP_SEQ_GEQ(h->ackno, m->short_end)) {
			m->is_short = false;
			gz_segment_nagle(pcb, m);
		}
		take_rtt(pcb, m, h->ackno, now);
		if (m->urgent && TCP_SEQ_GEQ(h->ackno, m->urgent_end))
			m->urgent = false;
		gz_sack_answered(pcb, &m->loss, h, p->tot_len);
		if (pcb->state != SYN_RCVD && TCP_SEQ_GT(h->ackno, pcb->lastack)) {
			m->bytes_acked += h->ackno - pcb->lastack;
			gz_sack_acked(pcb, f, h->ackno);
		}
	}
	if (flags & TCP_URG && f->sock && pcb->state != SYN_RCVD)
		gz_urgent_announced(f->sock, h->seqno, lwip_ntohs(h->urgp), pcb->rcv_nxt);
	if (overruns(pcb, h, p)) {
		tcp_send_empty_ack(pcb);
		return ERR_VAL;
	}
	if (p->tot_len) {
		m->data_in += gz_tso_segments(pcb, p->tot_len);
		m->received_at = now;
		if (TCP_SEQ_GT(h->seqno, pcb->rcv_nxt))
			m->ooo++;
	}
	return ERR_OK;
}

/* TCP_MAXSEG in a SYN: lwIP puts its own MSS into the first option (RFC 9293 3.7.1). */
static void bound_offer(const struct gz_flow *f, struct tcp_hdr *h)
{
	const struct gz_sock *s = f->sock ? f->sock : f->listener;
	uint8_t *o = (uint8_t *)(h + 1);

	if (!s || !s->opt.maxseg || TCPH_HDRLEN_BYTES(h) < TCP_HLEN + 4 || o[0] != 2)
		return;
	if (s->opt.maxseg < (o[2] << 8 | o[3])) {
		o[2] = (uint8_t)(s->opt.maxseg >> 8);
		o[3] = (uint8_t)s->opt.maxseg;
	}
}

/*
 * What has no data must lie in the peer's window, or it is dropped: what an ACK acknowledges
 * stays unacknowledged, a RST has no effect.  snd_nxt may be past it: by a probe of a closed
 * window, or because the window shrank (tcp_acceptable_seq()).
 */
static uint32_t in_window(const struct tcp_pcb *pcb, uint32_t seq)
{
	uint32_t end = pcb->lastack + pcb->snd_wnd;

	return pcb->state >= ESTABLISHED && TCP_SEQ_GT(seq, end) ? end : seq;
}

void gz_segment_abort(struct tcp_pcb *pcb)
{
	pcb->snd_nxt = in_window(pcb, pcb->snd_nxt);
	tcp_abort(pcb);
}

/*
 * The urgent pointer is of what is sent now, not of the segment's first time:
 * tcp_transmit_skb() of net/ipv4/tcp_output.c.
 */
static void point_at_urgent(const struct gz_measure *m, struct tcp_hdr *h, uint32_t seq,
			    uint32_t next)
{
	uint32_t ahead = m->urgent_end - seq;

	h->urgp = 0;
	TCPH_FLAGS_SET(h, TCPH_FLAGS(h) & ~TCP_URG);
	if (!m->urgent || !TCP_SEQ_LT(seq, m->urgent_end))
		return;
	if (ahead > 0xffff && !TCP_SEQ_GT(seq + 0xffff, next))
		return;
	h->urgp = lwip_htons(ahead > 0xffff ? 0xffff : (uint16_t)ahead);
	TCPH_SET_FLAG(h, TCP_URG);
}

/* Of a peer that asks for less than can be */
static u16_t least_mss(const struct tcp_pcb *pcb)
{
	uint32_t room = gz_netif_port(pcb)->mtu - MTU_HEADERS;

	return (u16_t)LWIP_MAX(pcb->mss, LWIP_MIN(MSS_LEAST, room));
}

/*
 * gz_segment_out() - LWIP_HOOK_TCP_OUT_ADD_TCPOPTS
 *
 * @p begins with the TCP header @h, in network order, complete but for the
 * checksum.  Adds the timestamps where lwIP does not, and may change numbers.
 * Return: the end of the options
 */
uint32_t *gz_segment_out(const struct pbuf *p, struct tcp_hdr *h, const struct tcp_pcb *pcb,
			 uint32_t *opts)
{
	uint32_t seq = lwip_ntohl(h->seqno), len, end, n;
	struct gz_measure *m;
	struct gz_flow *f;

	gz_netif_fragments(false);
	gz_netif_segment(0);
	if (!pcb || pcb->state == LISTEN)
		return opts;
	/* The first segment after the peer's SYN was read.  lwIP sends from this very pcb. */
	if (pcb->mss < MSS_LEAST)
		((struct tcp_pcb *)(uintptr_t)pcb)->mss = least_mss(pcb);
	f = gz_stack_flow(pcb);
	opts = gz_timestamp_out(pcb, f ? &f->measure : NULL, p, h, opts);
	if (pcb->state == TIME_WAIT)
		return opts;
	if (f && (f->measure.fragments || (f->sock && !f->sock->opt.mtu_discover)))
		gz_netif_fragments(true); /* IP_PMTUDISC_DONT */
	if (!f || TCPH_FLAGS(h) & TCP_RST)
		return opts;
	assert(gz_pcb_is_entered(f));
	m = &f->measure;
	len = p->tot_len - TCPH_HDRLEN_BYTES(h);
	n = gz_tso_segments(pcb, len);
	m->segs_out += n;
	if (n > 1 && !(m->hole.probing && seq + len == m->hole.end))
		gz_netif_segment((uint16_t)tcp_mss(pcb));
	point_at_urgent(m, h, seq, pcb->snd_nxt);
	if (TCPH_FLAGS(h) & TCP_SYN)
		bound_offer(f, h);
	end = seq + len + !!(TCPH_FLAGS(h) & (TCP_SYN | TCP_FIN));
	if (end == seq) {
		h->seqno = lwip_htonl(in_window(pcb, seq));
		return opts;
	}
	if (len) {
		m->data_out += n;
		m->bytes_sent += len;
		m->sent_at = gz_now_ns();
		gz_rack_sent(m, seq, end);
		m->answers |= m->sent_at - m->received_at < GZ_ACK_ANSWER;
	}
	if (m->started && TCP_SEQ_LT(seq, m->high)) {
		/* A probe of a closed window repeats a byte, and is not a loss. */
		if (!pcb->persist_backoff) {
			m->retrans++;
			m->bytes_retrans += len;
		}
		m->sampling = false;
		m->stamps.resent = true;
		if (TCP_SEQ_LEQ(end, m->high))
			return opts;
	} else if (!m->sampling && !gz_netif_is_mute()) {
		m->sampling = true;
		m->rtt_seq = end;
		m->rtt_from = gz_now_ns();
	}
	m->started = true;
	m->high = end;
	if (len % tcp_mss(pcb)) {
		m->is_short = true;
		m->short_end = end;
		/* The hook's pcb is what lwIP is sending from. */
		gz_segment_nagle((struct tcp_pcb *)(uintptr_t)pcb, m);
	}
	return opts;
}

/* lwIP's states in the kernel's numbers */
static const uint8_t to_linux[] = {
    [CLOSED] = 7,      [LISTEN] = 10,	 [SYN_SENT] = 2,   [SYN_RCVD] = 3,
    [ESTABLISHED] = 1, [FIN_WAIT_1] = 4, [FIN_WAIT_2] = 5, [CLOSE_WAIT] = 8,
    [CLOSING] = 11,    [LAST_ACK] = 9,	 [TIME_WAIT] = 6,
};

static uint32_t segments(uint32_t bytes, uint32_t mss)
{
	return mss ? (bytes + mss - 1) / mss : 0;
}

static void fill(struct gz_sock *s, struct tcp_info *t)
{
	const struct tcp_pcb *p = gz_pcb_look(s->flow);
	const struct gz_measure *m = &s->flow->measure;
	bool scaled = p->flags & TF_WND_SCALE, stamped = p->flags & TF_TIMESTAMP;
	uint32_t mss = tcp_mss(p), again;

	t->tcpi_state = to_linux[p->state];
	/* TCP_CA_Open, Recovery, Loss */
	t->tcpi_ca_state = p->nrtx ? 4 : p->flags & TF_INFR ? 3 : 0;
	t->tcpi_retransmits = p->nrtx;
	t->tcpi_probes = (uint8_t)(p->persist_probe + p->keep_cnt_sent);
	t->tcpi_backoff = p->persist_backoff ? p->persist_backoff : p->nrtx;
	t->tcpi_options =
	    (uint8_t)((scaled ? TCPI_OPT_WSCALE : 0) | (p->flags & TF_SACK ? TCPI_OPT_SACK : 0) |
		      (stamped ? TCPI_OPT_TIMESTAMPS : 0));
	t->tcpi_snd_wscale = scaled ? p->snd_scale : 0;
	t->tcpi_rcv_wscale = scaled ? p->rcv_scale : 0;
	/* gz_recovery_tick() sees to the least */
	t->tcpi_rto = (uint32_t)LWIP_MAX(p->rto * TCP_SLOW_INTERVAL, 200) * 1000u;
	t->tcpi_ato = TCP_FAST_INTERVAL * 1000;
	t->tcpi_snd_mss = t->tcpi_rcv_mss = mss;
	t->tcpi_unacked = segments(p->snd_nxt - p->lastack, mss);
	t->tcpi_pmtu = m->pmtu ? m->pmtu : gz_netif_port(p)->mtu;
	t->tcpi_rcv_ssthresh = p->rcv_wnd;
	t->tcpi_rtt = m->srtt8 >> 3;
	t->tcpi_rttvar = m->mdev4 >> 2;
	t->tcpi_min_rtt = m->min_rtt ? m->min_rtt : UINT32_MAX;
	t->tcpi_snd_ssthresh = p->ssthresh >= GZ_NO_SSTHRESH ? GZ_NO_SSTHRESH : p->ssthresh / mss;
	t->tcpi_snd_cwnd = gz_bbr_window(p, m) / mss;
	t->tcpi_advmss = gz_netif_mss(p);
	if (s->opt.maxseg && (uint32_t)s->opt.maxseg < t->tcpi_advmss)
		t->tcpi_advmss = (uint32_t)s->opt.maxseg;
	if (stamped)
		t->tcpi_advmss -= LWIP_TCP_OPT_LEN_TS_OUT;
	t->tcpi_reordering = 3; /* duplicate ACKs that lwIP waits for */
	t->tcpi_rcv_space = p->rcv_wnd;
	t->tcpi_total_retrans = m->retrans;
	t->tcpi_max_pacing_rate = UINT64_MAX;
	t->tcpi_pacing_rate = m->bbr.gated ? gz_bbr_rate(p, m) : UINT64_MAX;
	t->tcpi_delivery_rate = m->rate.last;
	t->tcpi_delivery_rate_app_limited = m->rate.idle;
	t->tcpi_bytes_acked = m->bytes_acked;
	t->tcpi_bytes_received = s->rx_bytes + s->fin_received;
	t->tcpi_segs_out = m->segs_out;
	t->tcpi_segs_in = m->segs_in;
	t->tcpi_data_segs_out = m->data_out;
	t->tcpi_data_segs_in = m->data_in;
	t->tcpi_notsent_bytes = (uint32_t)(s->tx.tail - s->tx.mid) + p->snd_lbb - p->snd_nxt;
	t->tcpi_bytes_sent = m->bytes_sent;
	t->tcpi_bytes_retrans = m->bytes_retrans;
	t->tcpi_rcv_ooopack = m->ooo;
	t->tcpi_snd_wnd = p->snd_wnd;
	/* Each once, the SYN among them */
	again = m->retrans + t->tcpi_unacked;
	t->tcpi_delivered = m->began_at ? 1 + m->data_out - LWIP_MIN(m->data_out, again) : 0;
	/* Until it is read: when, in ms.  No data yet is as if there was some at the beginning. */
	t->tcpi_last_data_sent = (uint32_t)(LWIP_MAX(m->sent_at, m->began_at) / 1000000);
	t->tcpi_last_data_recv = (uint32_t)(LWIP_MAX(m->received_at, m->began_at) / 1000000);
	t->tcpi_last_ack_recv = (uint32_t)(m->acked_at / 1000000);
}

void gz_stack_info(struct gz_sock *s)
{
	struct gz_published *pub = &s->info.published;
	union {
		struct tcp_info t;
		uint64_t words[GZ_INFO_WORDS];
	} u = {.words = {0}};

	if (!s->flow)
		return;
	fill(s, &u.t);
	/* Odd: being written. */
	atomic_fetch_add(&pub->version, 1);
#pragma GCC unroll 32 /* at -O2 atomics are a loop, of three times the instructions */
	for (unsigned i = 0; i < GZ_INFO_WORDS; i++)
		atomic_store_explicit(&pub->words[i], u.words[i], memory_order_relaxed);
	atomic_fetch_add_explicit(&pub->version, 1, memory_order_release);
}

/* What a socket has without a connection, as tcp_init_sock() leaves it */
static void without_connection(struct tcp_info *t)
{
	t->tcpi_snd_cwnd = 10;
	t->tcpi_reordering = 3;
	t->tcpi_pacing_rate = t->tcpi_max_pacing_rate = UINT64_MAX;
}

static uint32_t since(uint32_t ms)
{
	return (uint32_t)(gz_now_ns() / 1000000) - ms;
}

bool gz_segment_info(struct gz_sock *s, struct tcp_info *t)
{
	struct gz_published *pub = &s->info.published;
	uint64_t words[GZ_INFO_WORDS];
	unsigned v;

	_Static_assert(sizeof(*t) <= sizeof(words), "room for what the header knows");
	do {
		v = atomic_load_explicit(&pub->version, memory_order_acquire);
		for (unsigned i = 0; i < GZ_INFO_WORDS; i++)
			words[i] = atomic_load_explicit(&pub->words[i], memory_order_relaxed);
		atomic_thread_fence(memory_order_acquire);
	} while (v & 1 || v != atomic_load_explicit(&pub->version, memory_order_relaxed));
	memcpy(t, words, sizeof(*t));
	switch (gz_sock_state(s)) {
	case GZ_LISTENING:
		memset(t, 0, sizeof(*t));
		without_connection(t);
		t->tcpi_state = 10;
		t->tcpi_unacked = (uint32_t)atomic_load(&s->queued); /* as Linux: sk_ack_backlog */
		t->tcpi_sacked = (uint32_t)s->backlog;
		return v != 0;
	case GZ_CONNECTING:
		t->tcpi_state = 2;
		break;
	case GZ_ESTABLISHED:
		break;
	default:
		t->tcpi_state = 7;
	}
	if (!v) {
		without_connection(t);
		t->tcpi_rto = 1000000;
		t->tcpi_rttvar = 250000;
		t->tcpi_snd_mss = 536;
		t->tcpi_snd_ssthresh = GZ_NO_SSTHRESH;
		t->tcpi_min_rtt = UINT32_MAX;
	}
	gz_join_info(s, t);
	t->tcpi_last_data_sent = since(t->tcpi_last_data_sent);
	t->tcpi_last_data_recv = since(t->tcpi_last_data_recv);
	t->tcpi_last_ack_recv = since(t->tcpi_last_ack_recv);
	return v != 0;
}

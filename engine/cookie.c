/* SPDX-License-Identifier: BSD-3-Clause
 *
 * cookie.c - SYN cookies: a connection begins with the ACK of the peer's
 *
 * Theory of operation.  Who floods a listener with SYNs from addresses that are not
 * its own never gets the answers.  So when half-open connections have filled the
 * backlog (stack.c) a SYN is answered from what it says, and forgotten.  All that has
 * to be known of it later lies in the initial sequence number of the answer, and comes
 * back with the ACK (Bernstein; RFC 4987 section 3.6).  Its layout is Linux's
 * (net/ipv4/syncookies.c):
 *
 *	cookie = H(tuple) + peer's ISN + (minute << 24) + (H(tuple, minute) + data) % 2^24
 *
 * It is good for this minute and the one before; a forger hits one of 2^25.  @data are
 * the peer's options: MSS, by a table, window scale, rounded down by another, and
 * whether it sends SACK.  Linux keeps the latter two in the timestamp option; here
 * timestamps are not offered in such an answer, and there is room.
 *
 * lwIP stays as it is: with the ACK it gets, first, a SYN that says what the true one
 * said.  Its initial sequence number is the cookie (gz_tcp_isn()), its SYN-ACK is not
 * sent again (gz_netif_mute()), and the ACK then finds a connection in SYN_RCVD.
 */
#include <string.h>

#include "lwip/inet_chksum.h"
#include "lwip/ip.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#include "engine/cookie.h"
#include "engine/counters.h"
#include "engine/keyed.h"
#include "engine/pcb.h"
#include "engine/tuple.h"
#include "engine/worker.h"

#define MINUTE (60 * 1000000000ull)
#define AGE_MAX 2 /* minutes; Linux: MAX_SYNCOOKIE_AGE */
#define LOW 0xffffffu
#define NO_SCALE 0xff

/* What is found to be less is told as the one before: smaller segments and windows are right. */
static const uint16_t mss4[] = {536, 1300, 1440, 1460};
static const uint16_t mss6[] = {536, 1220, 1420, 1440};
static const uint8_t scales[] = {NO_SCALE, 0, 1, 2, 4, 6, 7, 8};

struct offer {
	uint16_t mss;
	uint8_t scale; /* NO_SCALE: none */
	bool sack;
};

static uint64_t sent_at; /* the last one, ns; 0: none yet */

/* H(); the peer's address is the source of what is being received. */
static uint32_t hash(uint16_t lport, uint16_t pport, uint64_t minute)
{
	static struct gz_key key;
	uint64_t w[GZ_TUPLE_WORDS + 1];
	unsigned n;

	if (!key.k[0])
		key = gz_key_new();
	n = gz_tuple_words(w, ip_current_dest_addr(), lport, ip_current_src_addr(), pport);
	w[n++] = minute;
	return (uint32_t)gz_keyed(&key, w, n);
}

/* 0 is no minute: it stands for the hash without one. */
static uint64_t minute_now(void)
{
	return 1 + gz_worker.now / MINUTE;
}

static uint32_t encode(const struct offer *o)
{
	const uint16_t *mss = ip_current_is_v6() ? mss6 : mss4;
	uint32_t m = 3, s = 0;

	while (m && mss[m] > o->mss)
		m--;
	if (o->scale != NO_SCALE)
		for (s = 7; scales[s] > o->scale;)
			s--;
	return m | s << 2 | (uint32_t)o->sack << 5;
}

static struct offer decode(uint32_t data)
{
	return (struct offer){
	    .mss = (ip_current_is_v6() ? mss6 : mss4)[data & 3],
	    .scale = scales[data >> 2 & 7],
	    .sack = data >> 5,
	};
}

static uint32_t make(const struct tcp_hdr *h, uint32_t data)
{
	uint16_t lport = lwip_ntohs(h->dest), pport = lwip_ntohs(h->src);
	uint64_t minute = minute_now();

	return hash(lport, pport, 0) + lwip_ntohl(h->seqno) + (uint32_t)(minute << 24) +
	       ((hash(lport, pport, minute) + data) & LOW);
}

/* Return: @cookie is one that was sent for a SYN with number @seq */
static bool check(const struct tcp_hdr *h, uint32_t cookie, uint32_t seq, uint32_t *data)
{
	uint16_t lport = lwip_ntohs(h->dest), pport = lwip_ntohs(h->src);
	uint64_t minute = minute_now();
	uint32_t age;

	cookie -= hash(lport, pport, 0) + seq;
	age = ((uint32_t)minute - (cookie >> 24)) & 0xff;
	if (age >= AGE_MAX)
		return false;
	*data = (cookie - hash(lport, pport, minute - age)) & LOW;
	return *data < 64;
}

/* The options of a SYN; what has a wrong length is not there. */
static struct offer read_offer(const struct tcp_hdr *h)
{
	const uint8_t *o = (const uint8_t *)(h + 1),
		      *end = (const uint8_t *)h + TCPH_HDRLEN_BYTES(h);
	struct offer of = {.mss = 536, .scale = NO_SCALE};

	for (; o < end && *o; o += *o == 1 ? 1 : o[1]) {
		if (*o == 2 && o[1] == 4)
			of.mss = (uint16_t)(o[2] << 8 | o[3]);
		else if (*o == 3 && o[1] == 3)
			of.scale = o[2];
		else if (*o == 4 && o[1] == 2)
			of.sack = true;
	}
	return of;
}

/* To @o, in lwIP's order.  Return: bytes, a multiple of four */
static unsigned write_offer(uint8_t *o, const struct offer *of)
{
	unsigned n = 4;

	o[0] = 2;
	o[1] = 4;
	o[2] = (uint8_t)(of->mss >> 8);
	o[3] = (uint8_t)of->mss;
	if (of->scale != NO_SCALE) {
		memcpy(o + n, (const uint8_t[]){1, 3, 3, of->scale}, 4);
		n += 4;
	}
	if (of->sack) {
		memcpy(o + n, (const uint8_t[]){1, 1, 4, 2}, 4);
		n += 4;
	}
	return n;
}

#define OFFER_MAX 12

static void checksum(struct pbuf *p, const struct netif *nif, uint16_t which, const ip_addr_t *src,
		     const ip_addr_t *dst)
{
	struct tcp_hdr *h = p->payload;

	h->chksum = 0;
	IF__NETIF_CHECKSUM_ENABLED(nif, which)
	{
		h->chksum = ip_chksum_pseudo(p, IP_PROTO_TCP, p->tot_len, src, dst);
	}
}

static bool intact(struct pbuf *p, const struct netif *nif)
{
	IF__NETIF_CHECKSUM_ENABLED(nif, NETIF_CHECKSUM_CHECK_TCP)
	{
		return !ip_chksum_pseudo(p, IP_PROTO_TCP, p->tot_len, ip_current_src_addr(),
					 ip_current_dest_addr());
	}
	return true;
}

bool gz_cookie_awaited(void)
{
	return sent_at && gz_worker.now - sent_at < AGE_MAX * MINUTE;
}

void gz_cookie_send(struct pbuf *p, const struct tcp_hdr *syn, const struct gz_sock *l)
{
	const ip_addr_t *me = ip_current_dest_addr(), *peer = ip_current_src_addr();
	struct offer of = read_offer(syn), ours;
	struct netif *nif = ip_route(me, peer);
	struct tcp_hdr *h;
	struct pbuf *q;
	unsigned n;

	if (!nif || !intact(p, ip_current_input_netif()))
		return;
	/* Only less than what was offered can be told; and there is nothing less. */
	if (of.mss < mss4[0])
		return;
	ours.mss = tcp_eff_send_mss(TCP_MSS, me, peer);
	if (l->opt.maxseg && l->opt.maxseg < ours.mss)
		ours.mss = (uint16_t)l->opt.maxseg;
	ours.scale = of.scale == NO_SCALE ? NO_SCALE : TCP_RCV_SCALE;
	ours.sack = of.sack;
	q = pbuf_alloc(PBUF_IP, TCP_HLEN + OFFER_MAX, PBUF_RAM);
	if (!q)
		return;
	h = q->payload;
	n = TCP_HLEN + write_offer((uint8_t *)(h + 1), &ours);
	pbuf_realloc(q, (u16_t)n);
	h->src = syn->dest;
	h->dest = syn->src;
	h->seqno = lwip_htonl(make(syn, encode(&of)));
	h->ackno = lwip_htonl(lwip_ntohl(syn->seqno) + 1);
	TCPH_HDRLEN_FLAGS_SET(h, n / 4, TCP_SYN | TCP_ACK);
	h->wnd = lwip_htons((uint16_t)LWIP_MIN(0xffffu, gz_window_bound(&l->opt)));
	h->urgp = 0;
	checksum(q, nif, NETIF_CHECKSUM_GEN_TCP, me, peer);
	gz_netif_fragments(false);
	gz_count(GZ_C_COOKIES_SENT);
	TCP_STATS_INC(tcp.xmit);
	ip_output_if(q, me, peer, TCP_TTL, 0, IP_PROTO_TCP, nif);
	pbuf_free(q);
	sent_at = gz_worker.now;
}

/*
 * With bytes it may be one that overtook the first, which a flood makes likely: that
 * one comes again and brings the cookie.  Linux resets both.
 */
static bool carries(const struct pbuf *p, const struct tcp_hdr *h)
{
	return p->tot_len > TCPH_HDRLEN_BYTES(h) || TCPH_FLAGS(h) & TCP_FIN;
}

bool gz_cookie_take(const struct pbuf *p, const struct tcp_hdr *ack, struct netif *inp)
{
	uint32_t cookie = lwip_ntohl(ack->ackno) - 1, seq = lwip_ntohl(ack->seqno) - 1, data;
	struct offer of;
	struct tcp_hdr *h;
	struct pbuf *q;
	unsigned n;

	/* A checksum that is wrong is lwIP's to count. */
	if (!intact((struct pbuf *)p, inp))
		return true;
	if (!check(ack, cookie, seq, &data)) {
		gz_count(GZ_C_COOKIES_FAILED);
		return !carries(p, ack);
	}
	of = decode(data);
	q = pbuf_alloc(PBUF_IP, TCP_HLEN + OFFER_MAX, PBUF_RAM);
	if (!q)
		return false;
	h = q->payload;
	n = TCP_HLEN + write_offer((uint8_t *)(h + 1), &of);
	pbuf_realloc(q, (u16_t)n);
	h->src = ack->src;
	h->dest = ack->dest;
	h->seqno = lwip_htonl(seq);
	h->ackno = 0;
	TCPH_HDRLEN_FLAGS_SET(h, n / 4, TCP_SYN);
	h->wnd = ack->wnd;
	h->urgp = 0;
	checksum(q, inp, NETIF_CHECKSUM_CHECK_TCP, ip_current_src_addr(), ip_current_dest_addr());
	gz_count(GZ_C_COOKIES_RECEIVED);
	gz_tcp_isn_next(&cookie);
	gz_netif_mute(true);
	gz_pcb_input(q, inp, NULL);
	gz_netif_mute(false);
	gz_tcp_isn_next(NULL);
	return true;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * udp_wire.c - UDP between a worker's lwIP and the process (udp.c)
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/uio.h>

#include "lwip/icmp.h"
#include "lwip/icmp6.h"
#include "lwip/inet_chksum.h"
#include "lwip/ip.h"
#include "lwip/ip6.h"
#include "lwip/ip6_frag.h"
#include "lwip/nd6.h"
#include "lwip/pbuf.h"
#include "lwip/udp.h"

#include "engine/address.h"
#include "engine/counters.h"
#include "engine/dhcp.h"
#include "engine/iface.h"
#include "engine/ipv6.h"
#include "engine/udp.h"
#include "engine/worker.h"

void gz_udp_input(struct pbuf *p, struct netif *inp);
struct pbuf *gz_ip6_reass(struct pbuf *p);
u8_t gz_ip6_reassembled(struct pbuf *p, s16_t n);

#define UDP_HEADER 8u
#define IOV_MAX_HERE 256
#define QUOTED 1232u /* of what is refused, at most (RFC 4443 section 2.4) */

/* --- from the wire ------------------------------------------------------- */

/* RFC 768, RFC 8200 section 8.1 */
static bool checksum_ok(struct pbuf *p, const struct udp_hdr *h)
{
	if (!h->chksum)
		return !ip_current_is_v6();
	return ip_chksum_pseudo(p, IP_PROTO_UDP, p->tot_len, ip_current_src_addr(),
				ip_current_dest_addr()) == 0;
}

void gz_udp_addresses(struct gz_datagram *d, uint16_t sport, uint16_t dport)
{
	const struct gz_wire *w = ip_current_input_netif()->state;

	d->at = w ? (uint8_t)(GZ_AT_PORT + (w->port - gz_ports)) : 0;
	if (ip_current_is_v6()) {
		d->src = gz_ipv6_of(ip6_current_src_addr(), sport);
		d->dst = gz_ipv6_of(ip6_current_dest_addr(), dport);
		d->ttl = IP6H_HOPLIM(ip6_current_header());
		d->tos = (uint8_t)IP6H_TC(ip6_current_header());
	} else {
		d->src = gz_end_v4(ip4_current_src_addr()->addr, sport);
		d->dst = gz_end_v4(ip4_current_dest_addr()->addr, dport);
		d->ttl = IPH_TTL(ip4_current_header());
		d->tos = IPH_TOS(ip4_current_header());
	}
}

/* A DHCP server's, of IPv4?  lwIP lets it pass whatever address it is for. */
static bool is_for_client(const struct pbuf *p)
{
	const struct udp_hdr *h = p->payload;

	return !ip_current_is_v6() && p->len >= UDP_HEADER && h->dest == PP_HTONS(GZ_DHCP_PORT);
}

/* Of the packet that lwIP looks at */
static bool is_for_us(void)
{
	struct gz_end to = gz_end_v4(ip4_current_dest_addr()->addr, 0);

	return gz_addr_is_local(to) || gz_addr_to_many(to);
}

/* net/ipv4/udp.c, __udp4_lib_rcv() */
void gz_udp_input(struct pbuf *p, struct netif *inp)
{
	const struct udp_hdr *h = p->payload;
	struct iovec v[IOV_MAX_HERE];
	struct gz_datagram d = {.data = v};
	bool to_many;
	u16_t len;

	if (is_for_client(p) && gz_dhcp_asks(inp)) {
		gz_dhcp_input(p, inp);
		return;
	}
	UDP_STATS_INC(udp.recv);
	if (is_for_client(p) && !is_for_us())
		goto drop;
	if (p->len < UDP_HEADER)
		goto bad_length;
	len = lwip_ntohs(h->len);
	if (len < UDP_HEADER || len > p->tot_len)
		goto bad_length;
	pbuf_realloc(p, len);
	if (!checksum_ok(p, h)) {
		UDP_STATS_INC(udp.chkerr);
		goto drop;
	}
	gz_udp_addresses(&d, h->src, h->dest);
	pbuf_remove_header(p, UDP_HEADER);
	for (struct pbuf *q = p; q && d.ndata < IOV_MAX_HERE; q = q->next) {
		v[d.ndata++] = (struct iovec){q->payload, q->len};
		d.len += q->len;
	}
	if (d.len != p->tot_len)
		goto bad_length; /* more fragments than there is reason for */
	to_many = gz_addr_to_many(d.dst);
	if (!gz_udp_deliver(&d, to_many)) {
		UDP_STATS_INC(udp.proterr);
		gz_count(GZ_C_UDP_NO_PORT);
		if (!to_many) {
			if (p->tot_len > QUOTED)
				pbuf_realloc(p, QUOTED);
			pbuf_header_force(p, (s16_t)(ip_current_header_tot_len() + UDP_HEADER));
			icmp_port_unreach(ip_current_is_v6(), p);
		}
	}
	pbuf_free(p);
	return;
bad_length:
	UDP_STATS_INC(udp.lenerr);
drop:
	UDP_STATS_INC(udp.drop);
	pbuf_free(p);
}

static bool too_large; /* what ip6_reass() has put together, and that has been seen to */

/*
 * ip6_reass() has put together @p, which begins with where the fragment's header was, and
 * wants @n bytes of headers back in front of it.  From 65496 bytes of UDP's on a pbuf's 16 bits
 * are too few for that, and it asserts that they are not.  So such a datagram goes on from here,
 * and what is not UDP's nowhere.  Return: 0, all is as it wants
 */
u8_t gz_ip6_reassembled(struct pbuf *p, s16_t n)
{
	struct ip6_hdr *h = (void *)((u8_t *)p->payload - n);
	size_t len = 0;

	for (const struct pbuf *q = p; q; q = q->next)
		len += q->len;
	if (len + (size_t)n <= UINT16_MAX)
		return pbuf_header_force(p, n);
	too_large = true;
	if (n != IP6_HLEN - IP6_FRAG_HLEN || IP6H_NEXTH(h) != IP6_NEXTH_UDP) {
		IP6_FRAG_STATS_INC(ip6_frag.drop);
		return 0;
	}
	pbuf_remove_header(p, IP6_FRAG_HLEN);
	IP6H_PLEN_SET(h, p->tot_len);
	ip_data.current_ip6_header = h;
	ip_data.current_ip_header_tot_len = IP6_HLEN;
	pbuf_ref(p);
	gz_udp_input(p, ip_current_input_netif());
	return 0;
}

struct pbuf *gz_ip6_reass(struct pbuf *p)
{
	p = ip6_reass(p);
	if (!too_large)
		return p;
	too_large = false;
	pbuf_free(p);
	return NULL;
}

/* --- to the wire --------------------------------------------------------- */

/*
 * The datagram @p in pieces for @mtu, RFC 8200 section 4.5.  lwIP would do it as well,
 * but for IPV6_MTU, and for the last 40 bytes of a packet's 16-bit length.
 */
static err_t put_fragments(const struct gz_datagram *d, struct pbuf *p, const ip_addr_t *src,
			   const ip_addr_t *dst, unsigned mtu, struct netif *nif)
{
	unsigned room = (mtu - IP6_HLEN - IP6_FRAG_HLEN) & ~7u, at = 0, n;
	struct ip6_frag_hdr h = {._nexth = IP6_NEXTH_UDP};
	err_t err = ERR_OK;
	uint32_t id = 0;
	struct pbuf *f;

	if (getrandom(&id, sizeof(id), GRND_NONBLOCK) < 0)
		id = (uint32_t)random();
	h._identification = id;
	for (; at < p->tot_len && err == ERR_OK; at += n) {
		n = p->tot_len - at < room ? p->tot_len - at : room;
		h._fragment_offset =
		    lwip_htons((u16_t)(at | (at + n < p->tot_len ? IP6_FRAG_MORE_FLAG : 0)));
		f = pbuf_alloc(PBUF_IP, (u16_t)(IP6_FRAG_HLEN + n), PBUF_RAM);
		if (!f)
			return ERR_MEM;
		memcpy(f->payload, &h, IP6_FRAG_HLEN);
		pbuf_copy_partial(p, (u8_t *)f->payload + IP6_FRAG_HLEN, (u16_t)n, (u16_t)at);
		err = ip_output_if(f, src, dst, d->ttl, d->tos, IP6_NEXTH_FRAGMENT, nif);
		pbuf_free(f);
	}
	return err;
}

/* With a header of our own, for lwIP's never forbids fragments; IP_ID is 0 then (RFC 6864). */
static err_t put_whole(const struct gz_datagram *d, struct pbuf *p, const ip_addr_t *src,
		       const ip_addr_t *dst, struct netif *nif)
{
	struct ip_hdr *h;

	if (pbuf_add_header(p, IP_HLEN))
		return ERR_BUF;
	h = p->payload;
	IPH_VHL_SET(h, 4, IP_HLEN / 4);
	IPH_TOS_SET(h, d->tos);
	IPH_LEN_SET(h, lwip_htons(p->tot_len));
	IPH_ID_SET(h, 0);
	IPH_OFFSET_SET(h, lwip_htons(IP_DF));
	IPH_TTL_SET(h, d->ttl);
	IPH_PROTO_SET(h, IP_PROTO_UDP);
	IPH_CHKSUM_SET(h, 0);
	ip4_addr_copy(h->src, *ip_2_ip4(src));
	ip4_addr_copy(h->dest, *ip_2_ip4(dst));
	IPH_CHKSUM_SET(h, inet_chksum(h, IP_HLEN));
	return ip4_output_if(p, ip_2_ip4(src), LWIP_IP_HDRINCL, d->ttl, d->tos, IP_PROTO_UDP, nif);
}

static err_t put_packet(const struct gz_datagram *d, struct pbuf *p, const ip_addr_t *src,
			const ip_addr_t *dst, struct netif *nif)
{
	unsigned mtu;

	if (IP_IS_V6(dst)) {
		mtu = nd6_get_destination_mtu(ip_2_ip6(dst), nif);
		mtu = LWIP_MIN(mtu, nif->mtu); /* remembered of another port */
		if (d->mtu && d->mtu < mtu)
			mtu = d->mtu;
		if ((unsigned)p->tot_len + IP6_HLEN > mtu)
			return put_fragments(d, p, src, dst, mtu, nif);
	} else if (d->whole) {
		return put_whole(d, p, src, dst, nif);
	}
	return ip_output_if(p, src, dst, d->ttl, d->tos, IP_PROTO_UDP, nif);
}

static bool to_wire(const struct gz_datagram *d, struct netif *nif)
{
	ip_addr_t src, dst;
	struct udp_hdr *h;
	struct pbuf *p;
	err_t err;

	if (UDP_HEADER + d->len > UINT16_MAX)
		return false;
	p = pbuf_alloc(PBUF_IP, (u16_t)(UDP_HEADER + d->len), PBUF_RAM);
	if (!p)
		return false;
	h = p->payload;
	h->src = d->src.port;
	h->dest = d->dst.port;
	h->len = lwip_htons((u16_t)(UDP_HEADER + d->len));
	h->chksum = 0;
	if (d->len)
		memcpy(h + 1, d->data[0].iov_base, d->len);
	gz_ip_of_end(&src, d->src, nif);
	gz_ip_of_end(&dst, d->dst, nif);
	h->chksum = ip_chksum_pseudo(p, IP_PROTO_UDP, p->tot_len, &src, &dst);
	if (!h->chksum)
		h->chksum = 0xffff;
	err = put_packet(d, p, &src, &dst, nif);
	pbuf_free(p);
	if (err == ERR_OK)
		UDP_STATS_INC(udp.xmit);
	return err == ERR_OK;
}

struct netif *gz_udp_way_out(const struct gz_datagram *d)
{
	struct netif *nif = NULL;
	ip4_addr_t src, dst;

	if (!gz_end_is_v4(d->dst))
		return gz_ipv6_way_out(&d->src, &d->dst, (int)d->at - GZ_AT_PORT);
	if (d->at >= GZ_AT_PORT)
		return gz_netif_at(d->at, d->src);
	src.addr = gz_end_v4_addr(d->src);
	dst.addr = gz_end_v4_addr(d->dst);
	if (gz_addr_to_many(d->dst))
		nif = gz_netif_of(src.addr);
	return nif ? nif : ip4_route_src(&src, &dst);
}

void gz_udp_send(const struct gz_datagram *d)
{
	struct netif *nif = gz_udp_way_out(d);

	if (!nif || !to_wire(d, nif))
		gz_count(GZ_C_UDP_TX_DROPPED);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * icmp_wire.c - ICMP between a worker's lwIP and the process (icmp.c, ping.c)
 */
#include <arpa/inet.h>
#include <string.h>
#include <sys/uio.h>

#include "lwip/icmp.h"
#include "lwip/inet_chksum.h"
#include "lwip/ip.h"
#include "lwip/ip6.h"
#include "lwip/pbuf.h"

#include "engine/address.h"
#include "engine/counters.h"
#include "engine/icmp.h"
#include "engine/inner.h"
#include "engine/ipv6.h"
#include "engine/path.h"
#include "engine/ping.h"
#include "engine/udp.h"
#include "engine/worker.h"

void gz_icmp_input(struct pbuf *p, struct netif *inp);

#define HEADER 8u    /* of ICMP, and of UDP */
#define QUOTED 1280u /* bytes of a packet that an error has, at most */
#define PIECES 256

/* --- from the wire -------------------------------------------------------- */

static bool is_error(uint8_t type, bool v6)
{
	return v6 ? type >= ICMP6_TYPE_DUR && type <= ICMP6_TYPE_PP
		  : type == ICMP_DUR || type == ICMP_TE || type == ICMP_PP;
}

static bool checksum_ok(struct pbuf *p, bool v6)
{
	return (v6 ? ip6_chksum_pseudo(p, IP6_NEXTH_ICMP6, p->tot_len, ip6_current_src_addr(),
				       ip6_current_dest_addr())
		   : inet_chksum_pbuf(p)) == 0;
}

static bool about_segment(const struct gz_quote *q, const struct gz_icmp *e)
{
	uint32_t seq;

	memcpy(&seq, q->data + 4, 4);
	return gz_path_error(q->src, q->dst, ntohl(seq), e);
}

bool gz_icmp_errors(struct pbuf *p)
{
	bool v6 = ip_current_is_v6();
	uint8_t b[HEADER + QUOTED];
	size_t n = pbuf_copy_partial(p, b, sizeof(b), 0);
	const struct gz_wire *w = ip_current_input_netif()->state;
	unsigned here = w ? (unsigned)(w->port - gz_ports) : 0;
	struct gz_icmp e = {b[0], b[1], 0};
	struct gz_end offender;
	struct gz_datagram d;
	struct iovec data;
	struct gz_quote q;

	if (n < HEADER || !is_error(e.type, v6) || !checksum_ok(p, v6) ||
	    !gz_icmp_quote(b + HEADER, n - HEADER, &q))
		return true;
	gz_addr_set_scope(&q.src, here);
	gz_addr_set_scope(&q.dst, here);
	memcpy(&e.info, b + 4, 4);
	e.info = ntohl(e.info);
	if (q.proto == IPPROTO_TCP)
		return about_segment(&q, &e);
	if (q.proto != IPPROTO_UDP && q.proto != (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
		return true;
	offender =
	    v6 ? gz_ipv6_of(ip6_current_src_addr(), 0) : gz_end_v4(ip4_current_src_addr()->addr, 0);
	data = (struct iovec){(void *)(uintptr_t)(q.data + HEADER), q.len - HEADER};
	d = (struct gz_datagram){
	    .src = q.src, .dst = q.dst, .data = &data, .ndata = 1, .len = data.iov_len};
	if (q.proto != IPPROTO_UDP) {
		gz_ping_error(&d, q.data, offender, &e);
		return true;
	}
	gz_count(GZ_C_UDP_ERRORS);
	gz_udp_error(&d, offender, &e);
	return true;
}

void gz_ping_input(struct pbuf *p)
{
	bool v6 = ip_current_is_v6();
	const uint8_t *h = p->payload;
	struct iovec v[PIECES];
	struct gz_datagram d = {.data = v};

	if (p->len < HEADER || h[0] != (v6 ? ICMP6_TYPE_EREP : ICMP_ER) ||
	    (v6 ? ip6_chksum_pseudo(p, IP6_NEXTH_ICMP6, p->tot_len, ip6_current_src_addr(),
				    ip6_current_dest_addr())
		: inet_chksum_pbuf(p)) != 0)
		return;
	gz_udp_addresses(&d, 0, 0);
	for (struct pbuf *q = p; q && d.ndata < PIECES; q = q->next) {
		v[d.ndata++] = (struct iovec){q->payload, q->len};
		d.len += q->len;
	}
	if (d.len == p->tot_len)
		gz_ping_reply(&d);
}

/* What ip4.c calls in place of icmp_input(); of IPv6 it is in ipv6.c. */
void gz_icmp_input(struct pbuf *p, struct netif *inp)
{
	gz_icmp_errors(p);
	gz_ping_input(p);
	icmp_input(p, inp);
}

/* --- to the wire ---------------------------------------------------------- */

bool gz_icmp_send(const struct gz_datagram *d)
{
	struct netif *nif = gz_udp_way_out(d);
	bool v6 = !gz_end_is_v4(d->dst);
	ip_addr_t src, dst;
	struct pbuf *p;
	size_t at = 0;
	uint16_t sum = 0;
	err_t err;

	p = nif && d->len + (v6 ? IP6_HLEN : IP_HLEN) <= UINT16_MAX
		? pbuf_alloc(PBUF_IP, (u16_t)d->len, PBUF_RAM)
		: NULL;
	if (!p)
		return false;
	for (int i = 0; i < d->ndata; i++) {
		memcpy((uint8_t *)p->payload + at, d->data[i].iov_base, d->data[i].iov_len);
		at += d->data[i].iov_len;
	}
	gz_ip_of_end(&src, d->src, nif);
	gz_ip_of_end(&dst, d->dst, nif);
	memcpy((uint8_t *)p->payload + 2, &sum, 2);
	sum = v6 ? ip6_chksum_pseudo(p, IP6_NEXTH_ICMP6, p->tot_len, ip_2_ip6(&src), ip_2_ip6(&dst))
		 : inet_chksum(p->payload, p->tot_len);
	memcpy((uint8_t *)p->payload + 2, &sum, 2);
	err =
	    ip_output_if(p, &src, &dst, d->ttl, d->tos, v6 ? IP6_NEXTH_ICMP6 : IP_PROTO_ICMP, nif);
	pbuf_free(p);
	return err == ERR_OK;
}

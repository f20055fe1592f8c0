/* SPDX-License-Identifier: BSD-3-Clause
 *
 * rx.c - From the ports to lwIP, and from worker to worker
 *
 * Received mbufs become pbufs without a copy: the pbuf lies in the mbuf's private area.
 *
 * What is checked before lwIP sees a frame: lengths of Ethernet and IP headers against what
 * arrived.
 *
 * With several workers a frame that is another one's (spread.c) is put on that one's ring,
 * `handed`.  A segment that came to the wrong one, because it was in fragments or is of a
 * connection whose port did not leave the choice, is found to be when its connection is looked
 * for (demux.c).  It goes the same way, from its IP header on.  m->port says then which port,
 * or which netif, it came to.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

/* rte_ip.h has a struct of this name as well. */
#define ip6_hdr lwip_ip6_hdr
#include "lwip/ip.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"

#include "engine/address.h"
#include "engine/attach.h"
#include "engine/counters.h"
#include "engine/gso.h"
#include "engine/netif.h"
#include "engine/spread.h"
#include "engine/vlan.h"
#include "engine/worker.h"

#define BURST_MAX 512	 /* worker.burst */
#define PACKET 0xfe00	 /* m->port of what has no Ethernet header: with the netif's number ... */
#define UNCHECKED 0x0100 /* ... and it has no checksum, or one that was checked */

/* Lives in rte_mbuf_to_priv(). */
struct rx_pbuf {
	struct pbuf_custom pc;
	struct rte_mbuf *mbuf;
};

static_assert(sizeof(struct rx_pbuf) <= GZ_MBUF_PRIV, "fits the mbuf's private area");
static_assert(GZ_PORTS_MAX <= PACKET, "m->port is one of them, or says that it is a packet's");

static struct {
	/* What was taken from each port, and not looked at yet */
	struct {
		struct rte_mbuf *m[BURST_MAX];
		unsigned n;
	} burst[GZ_PORTS_MAX];
	uint32_t to_wake; /* workers whose rings got something in this burst */
} rx;

static void rx_pbuf_free(struct pbuf *p)
{
	struct rx_pbuf *r = (struct rx_pbuf *)p;

	rte_pktmbuf_free_seg(r->mbuf);
}

/*
 * Addresses that cannot be on a wire: this host's own, as a source, loopback's,
 * and a group as a source (RFC 1122 3.2.1.3, RFC 1812 5.3.7; Linux's martians).
 */
static bool martian(const uint8_t *src, const uint8_t *dst)
{
	struct gz_end from;
	uint32_t a;

	memcpy(&a, src, 4);
	from = gz_end_v4(a, 0);
	/* 0.0.0.0 asks for groups (IGMP) and addresses (DHCP), of many only. */
	return src[0] == 127 || dst[0] == 127 || src[0] >= 224 || (!src[0] && dst[0] < 224) ||
	       (gz_addr_is_local(from) && !gz_attach_shares());
}

/*
 * The same of IPv6 (RFC 4291 2.5.3, 2.7); an own address as a source may tell of
 * a duplicate, and is neighbour discovery's business.
 */
static bool martian6(const uint8_t *src, const uint8_t *dst)
{
	return src[0] == 0xff || !memcmp(src, &in6addr_loopback, 16) ||
	       !memcmp(dst, &in6addr_loopback, 16);
}

/*
 * Which interface a frame is for; NULL: not worth lwIP's time, *malformed says
 * whether because it is broken.
 */
static struct netif *classify(const struct gz_wire *w, struct rte_mbuf *m, bool *malformed)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const uint8_t *l3 = (const uint8_t *)(eth + 1);
	unsigned len = m->data_len;
	uint32_t dst;

	*malformed = true;
	if (len < sizeof(*eth))
		return NULL;
	len -= (unsigned)sizeof(*eth);
	switch (ntohs(eth->ether_type)) {
	case RTE_ETHER_TYPE_ARP:
		if (len < 28)
			return NULL;
		memcpy(&dst, l3 + 24, 4);
		break;
	case RTE_ETHER_TYPE_IPV4: {
		unsigned ihl, tot;

		if (len < 20 || l3[0] >> 4 != 4)
			return NULL;
		ihl = (l3[0] & 15) * 4u;
		tot = (unsigned)l3[2] << 8 | l3[3];
		if (ihl < 20 || tot < ihl || tot > m->pkt_len - sizeof(*eth) || ihl > len)
			return NULL;
		memcpy(&dst, l3 + 16, 4);
		if (martian(l3 + 12, l3 + 16))
			return NULL;
		break;
	}
	case RTE_ETHER_TYPE_IPV6:
		if (len < 40 || l3[0] >> 4 != 6 ||
		    ((unsigned)l3[4] << 8 | l3[5]) + 40 > m->pkt_len - sizeof(*eth) ||
		    martian6(l3 + 8, l3 + 24))
			return NULL;
		*malformed = false;
		return w->ipv6 ? w->nif : NULL;
	default:
		*malformed = false;
		return NULL;
	}
	*malformed = false;
	return gz_netif_to(w, dst);
}

/*
 * Did the port check the sums of TCP and UDP, or are they none, because the frame came
 * through memory?  vhost's driver offers the latter to its peer whatever we say.
 */
static bool is_checked(const struct gz_wire *w, const struct rte_mbuf *m)
{
	uint64_t sum = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;

	return (w->port->asked.checksum || w->port->kind == GZ_DRV_VHOST || w->offloads.gro) &&
	       (sum == RTE_MBUF_F_RX_L4_CKSUM_GOOD || sum == RTE_MBUF_F_RX_L4_CKSUM_NONE);
}

/* @m with all its pieces, as it is */
static struct pbuf *pbuf_of(struct rte_mbuf *m)
{
	struct pbuf *head = NULL;

	while (m) {
		struct rte_mbuf *next = m->next;
		struct rx_pbuf *r = rte_mbuf_to_priv(m);
		struct pbuf *p;

		r->mbuf = m;
		r->pc.custom_free_function = rx_pbuf_free;
		p = pbuf_alloced_custom(PBUF_RAW, m->data_len, PBUF_REF, &r->pc,
					rte_pktmbuf_mtod(m, void *), m->data_len);
		m->next = NULL;
		m->nb_segs = 1;
		if (!head)
			head = p;
		else
			pbuf_cat(head, p);
		m = next;
	}
	return head;
}

static void input(struct gz_wire *w, struct rte_mbuf *m)
{
	struct pbuf *head;
	struct netif *nif;
	bool malformed, unchecked = is_checked(w, m);
	err_t err;

	gz_wire_add(w, GZ_C_PORT_RX_BYTES, m->pkt_len);
	nif = classify(w, m, &malformed);
	if (!nif || m->pkt_len > UINT16_MAX) {
		gz_wire_add(w, malformed || nif ? GZ_C_PORT_MALFORMED : GZ_C_PORT_OTHER, 1);
		rte_pktmbuf_free(m);
		return;
	}
	head = pbuf_of(m);
	err = unchecked ? gz_netif_give_unchecked(head, nif, nif->input) : nif->input(head, nif);
	if (err != ERR_OK)
		pbuf_free(head);
}

/* --- between workers ------------------------------------------------------ */

/* @from: what m->port is to say there */
static void give(unsigned to, struct rte_mbuf *m, unsigned from)
{
	m->port = (uint16_t)from;
	if (rte_ring_mp_enqueue(gz_workers[to]->handed, m) != 0) {
		gz_count(GZ_C_HANDED_DROPPED); /* it has too much to do */
		rte_pktmbuf_free(m);
		return;
	}
	gz_count(GZ_C_HANDED);
	rx.to_wake |= 1u << to;
}

static void wake_others(void)
{
	for (unsigned i = 0; rx.to_wake; i++, rx.to_wake >>= 1)
		if (rx.to_wake & 1)
			gz_worker_wake(gz_workers[i]);
}

/* A frame that came to this worker's queue */
static void take(struct gz_wire *w, struct rte_mbuf *m)
{
	unsigned to = gz_worker.index, number = (unsigned)(w - gz_worker.wire);
	struct rte_mbuf *copy;

	if (gz_nworkers > 1)
		to = gz_spread_frame(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len);
	if (to == GZ_SPREAD_ALL) {
		for (unsigned i = 0; i < gz_nworkers; i++) {
			copy = i != gz_worker.index
				   ? rte_pktmbuf_copy(m, w->port->pool, 0, UINT32_MAX)
				   : NULL;
			if (copy)
				give(i, copy, number);
		}
	} else if (to != gz_worker.index) {
		give(to, m, number);
		return;
	}
	input(w, m);
}

/* The packet at @p, for another worker's ring.  NULL: no mbufs */
static struct rte_mbuf *copy_of(struct pbuf *p)
{
	struct rte_mbuf *head = NULL, *m;
	uint16_t at = 0, n;

	do {
		m = rte_pktmbuf_alloc(gz_ports[0].pool);
		if (!m || (head && rte_pktmbuf_chain(head, m))) {
			rte_pktmbuf_free(m);
			rte_pktmbuf_free(head);
			return NULL;
		}
		head = head ? head : m;
		n = RTE_MIN(rte_pktmbuf_tailroom(m), (uint16_t)(p->tot_len - at));
		pbuf_copy_partial(p, rte_pktmbuf_mtod(m, void *), n, at);
		m->data_len = n;
		head->pkt_len += head == m ? n : 0;
		at = (uint16_t)(at + n);
	} while (at < p->tot_len);
	head->pkt_len = p->tot_len;
	return head;
}

void gz_rx_hand_over(struct gz_worker *to, struct pbuf *p, struct netif *inp)
{
	bool unchecked = !(inp->chksum_flags & NETIF_CHECKSUM_CHECK_TCP);
	struct rte_mbuf *m;

	pbuf_header_force(p, (s16_t)ip_current_header_tot_len());
	m = copy_of(p);
	pbuf_free(p);
	if (!m) {
		gz_netif_count(inp, GZ_C_PORT_NO_MBUF);
		return;
	}
	give(to->index, m, PACKET | gz_netif_number(inp) | (unchecked ? UNCHECKED : 0));
	wake_others();
}

static void take_handed(struct rte_mbuf *m)
{
	struct netif *nif;
	struct pbuf *p;
	err_t err;

	if ((m->port & PACKET) != PACKET) {
		input(&gz_worker.wire[m->port], m);
		return;
	}
	nif = gz_netif_numbered(m->port & 0xff);
	p = pbuf_of(m);
	err = m->port & UNCHECKED ? gz_netif_from_loop(p, nif) : ip_input(p, nif);
	if (err != ERR_OK)
		pbuf_free(p);
}

/* What was taken from a port, to whose it is */
static void look_at(struct gz_wire *w, struct rte_mbuf **m, unsigned n)
{
	unsigned ours = 0;

	gz_wire_add(w, GZ_C_PORT_RX, n);
	for (unsigned i = 0; i < n; i++) {
		if (i + 1 < n)
			rte_prefetch0(rte_pktmbuf_mtod(m[i + 1], void *));
		if (gz_vlan_take(m[i], w->port->vlan)) {
			m[ours++] = m[i];
			continue;
		}
		gz_wire_add(w, GZ_C_PORT_VLAN, 1);
		rte_pktmbuf_free(m[i]);
	}
	if (w->offloads.gro && ours > 1)
		ours = gz_gro_merge(m, ours);
	for (unsigned i = 0; i < ours; i++)
		take(w, m[i]);
}

unsigned gz_rx(struct gz_worker *w, void (*before)(struct gz_worker *))
{
	static bool held; /* the bursts are of an earlier round */
	uint16_t want = (uint16_t)RTE_MIN(gz_cfg->burst, (uint32_t)BURST_MAX);
	struct rte_mbuf *h[64];
	unsigned nh = 0, n = 0;

	if (gz_nworkers > 1 && !held)
		nh = rte_ring_sc_dequeue_burst(w->handed, (void **)h, RTE_DIM(h), NULL);
	/*
	 * Messages after the burst was taken and before it is looked at: a
	 * listen() that returned before these packets were sent is in effect.
	 * More than worker.messages: it is held until a later round.
	 */
	if (!held) {
		for (unsigned i = 0; i < gz_nports; i++)
			if (w->wire[i].rx_queue >= 0)
				rx.burst[i].n = rte_eth_rx_burst(w->wire[i].port->id,
								 (uint16_t)w->wire[i].rx_queue,
								 rx.burst[i].m, want);
		w->owed = rte_ring_count(w->inbox);
	}
	before(w);
	for (unsigned i = 0; i < nh; i++)
		take_handed(h[i]);
	for (unsigned i = 0; i < gz_nports; i++)
		n += rx.burst[i].n;
	held = n && w->owed;
	if (!n || held)
		return n + nh;
	for (unsigned i = 0; i < gz_nports; i++) {
		if (rx.burst[i].n)
			look_at(&w->wire[i], rx.burst[i].m, rx.burst[i].n);
		rx.burst[i].n = 0;
	}
	if (rx.to_wake)
		wake_others();
	return n + nh;
}

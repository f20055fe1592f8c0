/* SPDX-License-Identifier: BSD-3-Clause
 *
 * stack.c - lwIP's TCP pcbs and our sockets: callbacks, connect(), bytes, the end
 *
 * Theory of operation.  Each pcb carries a struct gz_flow in its extension
 * argument, from the SYN to the end of TIME_WAIT; lwIP tells us by the destroy
 * callback when the pcb is freed, whatever the reason.  A pcb's callback
 * argument is its socket.  Callbacks only note what happened and mark the
 * socket dirty; gz_relay_pump() acts at the end of the round, outside lwIP, so
 * that no pcb is closed under lwIP's feet.  Passive opening is listener.c's, what
 * is done by the clock timers.c's; pcb.h has what they share.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "lwip/init.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#include "engine/ack.h"
#include "engine/black_hole.h"
#include "engine/client.h"
#include "engine/iface.h"
#include "engine/ipv6.h"
#include "engine/pcb.h"
#include "engine/tso.h"
#include "engine/urgent.h"
#include "engine/window.h"
#include "engine/worker.h"

#define LONG_TRIP 1000 /* us */

static u8_t ext_id;

struct gz_flow *gz_stack_flow(const struct tcp_pcb *pcb)
{
	return tcp_ext_arg_get(pcb, ext_id);
}

/* The listener's count of connections that are not accepted yet. */
static void uncount(struct gz_flow *f)
{
	if (gz_pcb_opened(f))
		atomic_fetch_sub(&f->listener->queued, 1);
	if (f->listener) {
		gz_sock_unref(f->listener);
		f->listener = NULL;
	}
}

void gz_pcb_bound_mss(struct tcp_pcb *p, const struct gz_options *o)
{
	if (o->maxseg && p->mss > o->maxseg)
		p->mss = (u16_t)o->maxseg;
}

/* The pcb is being freed. */
static void on_destroy(u8_t id, void *data)
{
	struct gz_flow *f = data;
	struct gz_sock *s = f->sock;

	LWIP_UNUSED_ARG(id);
	uncount(f);
	if (s) {
		gz_stack_info(s); /* the last there is to say of it */
		s->flow = NULL;
		gz_worker_dirty(s->worker, s);
	}
	gz_pcb_forget(f);
	gz_flow_del(f);
}

static const struct tcp_ext_arg_callbacks callbacks = {
    .destroy = on_destroy,
};

void gz_pcb_carry(struct tcp_pcb *pcb, struct gz_flow *f)
{
	tcp_ext_arg_set_callbacks(pcb, ext_id, &callbacks);
	tcp_ext_arg_set(pcb, ext_id, f);
	gz_pcb_register(f, pcb);
}

u8_t gz_pcb_ext_id(void)
{
	return ext_id;
}

static void on_error(void *arg, err_t err)
{
	struct gz_sock *s = arg;

	if (!s)
		return;
	/* on_destroy() may come before or after this one. */
	switch (err) {
	case ERR_RST:
		if (gz_sock_state(s) == GZ_CONNECTING) {
			gz_relay_failed(s->worker, s, ECONNREFUSED);
			return;
		}
		atomic_store(&s->error, s->fin_received ? EPIPE : ECONNRESET);
		s->reset = true;
		break;
	case ERR_ABRT: /* retransmissions or keepalives exhausted */
		if (gz_sock_state(s) == GZ_CONNECTING) {
			gz_relay_failed(s->worker, s, ETIMEDOUT);
			return;
		}
		atomic_store(&s->error, ETIMEDOUT);
		s->reset = true;
		break;
	default: /* ERR_CLSD: both directions are over */
		break;
	}
	gz_worker_dirty(s->worker, s);
}

/* In both directions: what still comes is answered as if it were closed (RFC 1122, 4.2.2.13). */
static bool is_shut(const struct gz_sock *s)
{
	return s->fin_sent && atomic_load(&s->app_shut_rd);
}

static void no_memory(struct gz_sock *s)
{
	gz_count(GZ_C_REFUSED_NO_MEMORY);
	atomic_store(&s->error, ENOBUFS);
	s->reset = true;
	gz_worker_dirty(s->worker, s);
}

static err_t on_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
	struct gz_sock *s = arg;

	LWIP_UNUSED_ARG(err);
	if (!p) {
		if (s) {
			s->fin_received = true;
			gz_worker_dirty(s->worker, s);
		}
		return ERR_OK;
	}
	/* RFC 9293 3.10.7.4: nobody can have them any more, and the peer is told so. */
	if (!s || s->app_gone || is_shut(s)) {
		if (s && !s->app_gone) {
			tcp_err(pcb, NULL);
			atomic_store(&s->error, ECONNRESET);
			s->reset = true;
		}
		pbuf_free(p);
		gz_segment_abort(pcb);
		return ERR_ABRT;
	}
	/* After SHUT_RD a ring can still be read, a shadow that was told of the end cannot. */
	if (atomic_load(&s->app_shut_rd) && s->fin_passed && !gz_plane_is_ring(s)) {
		s->urgent.rx_next += p->tot_len;
		tcp_recved(pcb, p->tot_len);
		pbuf_free(p);
		return ERR_OK;
	}
	/* What waited in lwIP for memory would keep mbufs, which are everybody's. */
	if (!gz_ring_ready(&s->rx, gz_window_ring(s))) {
		tcp_err(pcb, NULL);
		no_memory(s);
		pbuf_free(p);
		tcp_abort(pcb);
		return ERR_ABRT;
	}
	if (gz_ring_room(&s->rx) < p->tot_len)
		return ERR_MEM; /* lwIP offers it again */
	gz_urgent_arrives(s, p->tot_len);
	gz_ack_received(s, pcb, p->tot_len, p->flags & PBUF_FLAG_PUSH);
	gz_arrival_lock(s);
	for (struct pbuf *q = p; q; q = q->next)
		gz_ring_put(&s->rx, q->payload, q->len);
	atomic_fetch_add_explicit(&s->rx_bytes, p->tot_len, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->client->rx_bytes, p->tot_len, memory_order_relaxed);
	atomic_store_explicit(&s->unread, gz_ring_used(&s->rx), memory_order_relaxed);
	atomic_store_explicit(&s->info.cpu, sched_getcpu() + 1, memory_order_relaxed);
	gz_arrival_note(s);
	gz_arrival_unlock(s);
	pbuf_free(p);
	gz_worker_dirty(s->worker, s);
	return ERR_OK;
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
	struct gz_sock *s = arg;

	if (!s)
		return ERR_OK;
	/* The FIN is counted by lwIP, it has no byte in the ring. */
	if (len > s->tx.mid - s->tx.head)
		len = (u16_t)(s->tx.mid - s->tx.head);
	gz_ring_consume(&s->tx, len);
	if (!gz_ring_used(&s->tx) && s->tx.size > GZ_TX_RING) {
		pcb->snd_buf -= s->tx.size - GZ_TX_RING;
		gz_buffers_give(s, s->tx.size - GZ_TX_RING);
		gz_ring_free(&s->tx);
	}
	atomic_store_explicit(&s->unsent, gz_ring_used(&s->tx), memory_order_relaxed);
	s->tx_blocked = false;
	gz_worker_dirty(s->worker, s);
	return ERR_OK;
}

void gz_pcb_take(struct gz_sock *s, struct tcp_pcb *pcb, struct gz_flow *f)
{
	s->flow = f;
	f->sock = s;
	tcp_arg(pcb, s);
	tcp_recv(pcb, on_recv);
	tcp_sent(pcb, on_sent);
	tcp_err(pcb, on_error);
}

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct gz_sock *s = arg;

	LWIP_UNUSED_ARG(err);
	if (s) {
		s->deadline = 0;
		s->urgent.rx_next = pcb->rcv_nxt;
		gz_timestamp_negotiated(pcb);
		gz_pcb_bound_mss(pcb, &s->opt);
		/* The ACK that follows is the first to tell of it, and no byte came. */
		gz_window_first(&s->opt, pcb);
		gz_window_take_over(s, pcb);
		gz_window_options(s, pcb);
		gz_relay_connected(s->worker, s);
	}
	return ERR_OK;
}

/* --- connect() ----------------------------------------------------------- */

ip_addr_t gz_pcb_addr(struct gz_end e)
{
	ip_addr_t a;

	memset(&a, 0, sizeof(a));
	if (gz_end_is_v4(e)) {
		ip_addr_set_ip4_u32_val(a, gz_end_v4_addr(e));
	} else {
		IP_SET_TYPE_VAL(a, IPADDR_TYPE_V6);
		memcpy(ip_2_ip6(&a)->addr, &e.addr, sizeof(e.addr));
		if (gz_ipv6_port_of(e.scope) >= 0)
			ip6_addr_assign_zone(ip_2_ip6(&a), IP6_UNKNOWN,
					     gz_worker.wire[gz_ipv6_port_of(e.scope)].nif);
	}
	return a;
}

struct gz_end gz_pcb_end(const ip_addr_t *a, u16_t port)
{
	return IP_IS_V4(a) ? gz_end_v4(ip_2_ip4(a)->addr, htons(port))
			   : gz_ipv6_of(ip_2_ip6(a), htons(port));
}

/* How long a connect() tries: 1 s doubled @retries times, each at most the 120 s
 * of TCP_RTO_MAX. */
static uint64_t syn_seconds(int retries)
{
	uint64_t sum = 0;

	for (int i = 0; i <= retries; i++)
		sum += i < 7 ? 1u << i : 120;
	return sum;
}

/* SO_BINDTODEVICE among several ports: lwIP sends by that netif, and takes nothing from others */
static void bind_to_port(const struct gz_sock *s, struct tcp_pcb *pcb, struct gz_end local)
{
	if (s->opt.at >= GZ_AT_PORT && gz_nports > 1)
		tcp_bind_netif(pcb, gz_netif_at(s->opt.at, local));
}

int gz_stack_connect(struct gz_sock *s, struct gz_flow *f)
{
	ip_addr_t la = gz_pcb_addr(f->local), pa = gz_pcb_addr(f->peer);
	GZ_PCB_SCOPE(none, NULL);
	struct tcp_pcb *pcb = tcp_new_ip_type(IP_GET_TYPE(&la));
	err_t err;

	if (!pcb) {
		gz_flow_del(f);
		return -ENOMEM;
	}
	ip_set_option(pcb, SOF_REUSEADDR);
	gz_pcb_carry(pcb, f);
	err = tcp_bind(pcb, &la, ntohs(f->local.port));
	if (err == ERR_OK) {
		bind_to_port(s, pcb, f->local);
		gz_pcb_take(s, pcb, f);
		gz_stack_options(s);
		s->deadline = gz_worker.now + GZ_SEC * syn_seconds(s->opt.syncnt);
		err = tcp_connect(pcb, &pa, ntohs(f->peer.port), on_connected);
		if (err == ERR_OK)
			return 0;
		f->sock = NULL;
		s->flow = NULL;
	}
	tcp_arg(pcb, NULL);
	tcp_err(pcb, NULL);
	tcp_abort(pcb);
	return err == ERR_RTE ? -ENETUNREACH : err == ERR_USE ? -EADDRNOTAVAIL : -ENOMEM;
}

/* --- options, data ------------------------------------------------------- */

void gz_stack_options(struct gz_sock *s)
{
	if (!s->flow)
		return;
	GZ_PCB_SCOPE(p, s->flow);
	s->flow->measure.nodelay = s->opt.nodelay;
	gz_segment_nagle(p, &s->flow->measure);
	if (s->opt.keepalive)
		ip_set_option(p, SOF_KEEPALIVE);
	else
		ip_reset_option(p, SOF_KEEPALIVE);
	p->keep_idle = (u32_t)s->opt.keepidle * 1000;
	p->keep_intvl = (u32_t)s->opt.keepintvl * 1000;
	p->keep_cnt = (u32_t)s->opt.keepcnt;
	gz_flow_options(s->flow, &s->opt);
	s->flow->measure.loss.reno = s->opt.reno;
	if (s->opt.reno)
		gz_bbr_open(p, &s->flow->measure);
	p->tos = (u8_t)(IP_IS_V6(&p->remote_ip) ? s->opt.tclass : s->opt.tos);
	p->ttl = (u8_t)(IP_IS_V6(&p->remote_ip) ? s->opt.hops : s->opt.ttl);
	if (p->state < ESTABLISHED)
		return; /* on_connected() */
	gz_ack_quick(s, p);
	gz_window_options(s, p);
}

/*
 * What is under way lies in the ring.  It grows when it is the ring that bounds it, where
 * round trips are long: on a LAN more would only lie in queues, and lwIP's lists get long.  Up to
 * three windows, as Linux has it with BBR (tcp_sndbuf_expand()): what arrived behind a loss lies in
 * it until that is made good, which takes a round trip or two.
 */
void gz_stack_grow(struct gz_sock *s)
{
	const struct tcp_pcb *p = s->flow ? gz_pcb_look(s->flow) : NULL;
	uint32_t size = s->tx.size, most = GZ_TX_MOST;

	if (s->opt.sndbuf_set)
		most = LWIP_MIN(most, (uint32_t)s->opt.sndbuf / 2);
	if (!p || size >= most || s->flow->measure.min_rtt < LONG_TRIP ||
	    LWIP_MIN(gz_bbr_window(p, &s->flow->measure), p->snd_wnd) < size / 3 ||
	    p->snd_nxt - p->lastack < size / 2)
		return;
	if (!gz_buffers_take(s, size))
		return;
	if (gz_ring_grow(&s->tx, 2 * size)) {
		GZ_PCB_SCOPE(own, s->flow);
		own->snd_buf += size;
	} else {
		gz_buffers_give(s, size);
	}
}

void gz_stack_tx(struct gz_sock *s)
{
	struct gz_ring *r = &s->tx;
	bool wrote = false, wait;
	uint32_t most, probe;

	if (!s->flow || s->fin_sent || gz_pcb_look(s->flow)->state < ESTABLISHED)
		return;
	GZ_PCB_SCOPE(p, s->flow);
	if (s->flow->measure.bbr.gated)
		gz_sack_open(s->flow, p);
	most = gz_tso_most(s, p);
	probe = gz_black_hole_probe(p, &s->flow->measure, &wait);
	while (!wait && r->mid < r->tail && !s->tx_blocked) {
		uint32_t n = (uint32_t)(r->tail - r->mid), room, next;
		struct iovec v[2];
		uint32_t limit;
		u8_t flags;
		err_t err;

		/* tcp(7): a corked socket sends full segments only, for 200 ms. */
		if (s->opt.cork && n < (uint32_t)tcp_mss(p) && !s->app_eof) {
			if (!s->cork_since)
				s->cork_since = gz_worker.now;
			if (gz_worker.now - s->cork_since < GZ_CORK_MAX)
				break;
		}
		s->cork_since = 0;
		if (probe)
			most = n < probe ? 0 : probe;
		room = p->snd_buf;
		if (n > room)
			n = room;
		if (n > (most ? most : 0x8000))
			n = most ? most : 0x8000;
		if (!n) {
			s->tx_blocked = true;
			break;
		}
		if (most && !probe)
			n = gz_tso_fits(p, n);
		if (!gz_ring_iov(r, r->mid, n, v))
			break;
		n = (uint32_t)v[0].iov_len;
		limit = most;
		if (most && r->mid + n == r->tail && !s->opt.nodelay) {
			/* What is less than a segment at the end is one by itself, for Nagle */
			if (n > (uint32_t)tcp_mss(p))
				n -= n % tcp_mss(p);
			else if (n < (uint32_t)tcp_mss(p))
				limit = n;
		}
		flags = r->mid + n < r->tail ? TCP_WRITE_FLAG_MORE : 0;
		next = p->snd_lbb;
		err = most ? gz_tso_write(p, v[0].iov_base, (u16_t)n, limit, flags)
			   : tcp_write(p, v[0].iov_base, (u16_t)n, flags);
		if (err != ERR_OK) {
			s->tx_blocked = true; /* until something is acknowledged */
			break;
		}
		if (probe && n == probe)
			gz_black_hole_sent(p, &s->flow->measure);
		if (probe)
			most = gz_tso_most(s, p);
		probe = 0;
		r->mid += n;
		gz_urgent_written(s, next, n);
		wrote = true;
		atomic_fetch_add_explicit(&s->tx_bytes, n, memory_order_relaxed);
		atomic_fetch_add_explicit(&s->client->tx_bytes, n, memory_order_relaxed);
	}
	if (wrote)
		gz_sack_send(p, &s->flow->measure.loss);
	if (s->flow->measure.bbr.gated)
		gz_sack_wait(s->flow, p);
	gz_ack_due(p);
}

uint32_t gz_stack_unsent(const struct gz_sock *s)
{
	const struct tcp_pcb *p = s->flow ? gz_pcb_look(s->flow) : NULL;

	return p ? p->snd_lbb - p->snd_nxt : 0;
}

void gz_stack_received(struct gz_sock *s, uint32_t n)
{
	if (!s->flow)
		return;
	GZ_PCB_SCOPE(p, s->flow);
	gz_window_read(s, p, n);
	gz_ack_read(s, p);
}

void gz_stack_fin(struct gz_sock *s)
{
	s->fin_sent = true;
	if (!s->flow)
		return;
	GZ_PCB_SCOPE(p, s->flow);
	tcp_shutdown(p, 0, 1);
}

void gz_stack_close(struct gz_sock *s)
{
	if (!s->flow)
		return;
	GZ_PCB_SCOPE(p, s->flow);
	s->fin_sent = true;
	gz_window_whole(s, p);
	/* lwIP frees the pcb at once when bytes are unread; on_destroy() tells. */
	if (tcp_close(p) != ERR_OK)
		gz_stack_abort(s);
}

void gz_stack_abort(struct gz_sock *s)
{
	if (!s->flow)
		return;
	GZ_PCB_SCOPE(p, s->flow);
	tcp_err(p, NULL);
	if (p->state == SYN_SENT)
		tcp_close(p); /* silently */
	else
		gz_segment_abort(p);
}

void gz_stack_no_memory(struct gz_sock *s)
{
	gz_stack_abort(s);
	no_memory(s);
}

/** gz_stack_detach() - Let the pcb end by itself, the socket is no longer needed */
void gz_stack_detach(struct gz_sock *s)
{
	GZ_PCB_SCOPE(p, s->flow);
	tcp_arg(p, NULL);
	s->flow->measure.linger2 = s->opt.linger2;
	s->flow->sock = NULL;
	s->flow = NULL;
}

bool gz_stack_is_over(const struct gz_sock *s)
{
	return !s->flow || gz_pcb_look(s->flow)->state == TIME_WAIT;
}

int gz_stack_init(void)
{
	lwip_init();
	ext_id = tcp_ext_arg_alloc_id();
	/* Each has its part of what all may have. */
	return gz_pcb_init(gz_cfg->max_sockets,
			   (gz_cfg->max_time_waits + gz_nworkers - 1) / gz_nworkers);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * stack.c - lwIP's TCP pcbs and our sockets
 *
 * Theory of operation.  Each pcb carries a struct gz_flow in its extension
 * argument, from the SYN to the end of TIME_WAIT; lwIP tells us by the destroy
 * callback when the pcb is freed, whatever the reason.  A pcb's callback
 * argument is its socket.  Callbacks only note what happened and mark the
 * socket dirty; gz_relay_pump() acts at the end of the round, outside lwIP, so
 * that no pcb is closed under lwIP's feet.
 *
 * lwIP gives up after 12 retransmissions whatever the time; the counters are
 * public and are held below that until the deadline that Linux would use.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lwip/etharp.h"
#include "lwip/igmp.h"
#include "lwip/init.h"
#include "lwip/ip4.h"
#include "lwip/ip4_frag.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#include "engine/ack.h"
#include "engine/client.h"
#include "engine/counters.h"
#include "engine/ipv6.h"
#include "engine/log.h"
#include "engine/reaper.h"
#include "engine/recovery.h"
#include "engine/urgent.h"
#include "engine/worker.h"

#define MS 1000000ull
#define SEC (1000 * MS)
#define TICK ((uint64_t)TCP_TMR_INTERVAL * MS)
#define CORK_MAX (200 * MS) /* tcp(7): TCP_CORK's ceiling */

bool gz_stack_syn(const struct tcp_hdr *h);

static u8_t ext_id;
static uint64_t ticked; /* ns; when tcp_ticks was as it is */

struct gz_flow *gz_stack_flow(const struct tcp_pcb *pcb)
{
	return tcp_ext_arg_get(pcb, ext_id);
}

#define flow_of gz_stack_flow

/* The listener's count of connections that are not accepted yet. */
static void uncount(struct gz_flow *f)
{
	if (f->counted) {
		atomic_fetch_sub(&f->listener->queued, 1);
		f->counted = false;
	}
	if (f->listener) {
		gz_sock_unref(f->listener);
		f->listener = NULL;
	}
}

/*
 * SO_RCVBUF: how much of lwIP's window is not for the peer.  Two segments are
 * the least, lwIP opens a closed window by no less than one.
 */
static uint32_t withhold(const struct gz_options *o, const struct tcp_pcb *p)
{
	uint32_t limit = (uint32_t)o->rcvbuf / 2;

	if (!o->rcvbuf_set)
		limit = UINT32_MAX;
	/* TCP_WINDOW_CLAMP, tcp(7) */
	if (o->window_clamp && (uint32_t)o->window_clamp < limit)
		limit = (uint32_t)o->window_clamp;
	if (limit < 2 * TCP_MSS)
		limit = 2 * TCP_MSS;
	return limit < TCP_WND_MAX(p) ? TCP_WND_MAX(p) - limit : 0;
}

/* Before the peer could use it: while the handshake goes on. */
static void narrow(struct tcp_pcb *p, uint32_t n)
{
	p->rcv_wnd -= n;
	p->rcv_ann_wnd = p->rcv_wnd;
}

/* TCP_MAXSEG: the peer's word or the program's, whichever is less. */
static void bound_mss(struct tcp_pcb *p, const struct gz_options *o)
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
		s->pcb = NULL;
		s->flow = NULL;
		gz_worker_dirty(s->worker, s);
	}
	gz_flow_del(f);
}

static err_t on_passive_open(u8_t id, struct tcp_pcb_listen *l, struct tcp_pcb *pcb);

static const struct tcp_ext_arg_callbacks callbacks = {
    .destroy = on_destroy,
};

/* A listener has the passive_open callback only: it is no flow. */
static void on_destroy_listener(u8_t id, void *data)
{
	LWIP_UNUSED_ARG(id);
	LWIP_UNUSED_ARG(data);
}

static const struct tcp_ext_arg_callbacks listener_callbacks = {
    .destroy = on_destroy_listener,
    .passive_open = on_passive_open,
};

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
	if (!s || atomic_load(&s->app_shut_rd) || s->app_gone) {
		if (s)
			s->urgent.rx_next += p->tot_len;
		tcp_recved(pcb, p->tot_len);
		pbuf_free(p);
		return ERR_OK;
	}
	if (!gz_ring_ready(&s->rx, GZ_RX_RING) || gz_ring_room(&s->rx) < p->tot_len)
		return ERR_MEM; /* lwIP offers it again */
	gz_urgent_arrives(s, p->tot_len);
	gz_ack_received(s);
	for (struct pbuf *q = p; q; q = q->next)
		gz_ring_put(&s->rx, q->payload, q->len);
	atomic_fetch_add_explicit(&s->rx_bytes, p->tot_len, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->client->rx_bytes, p->tot_len, memory_order_relaxed);
	atomic_store_explicit(&s->unread, gz_ring_used(&s->rx), memory_order_relaxed);
	pbuf_free(p);
	gz_worker_dirty(s->worker, s);
	return ERR_OK;
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
	struct gz_sock *s = arg;

	LWIP_UNUSED_ARG(pcb);
	if (!s)
		return ERR_OK;
	/* The FIN is counted by lwIP, it has no byte in the ring. */
	if (len > s->tx.mid - s->tx.head)
		len = (u16_t)(s->tx.mid - s->tx.head);
	gz_ring_consume(&s->tx, len);
	atomic_store_explicit(&s->unsent, gz_ring_used(&s->tx), memory_order_relaxed);
	s->tx_blocked = false;
	gz_worker_dirty(s->worker, s);
	return ERR_OK;
}

static void take(struct gz_sock *s, struct tcp_pcb *pcb, struct gz_flow *f)
{
	s->pcb = pcb;
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
		bound_mss(pcb, &s->opt);
		/* The ACK that follows is the first to tell of it, and no byte came. */
		s->wnd_held = s->wnd_want = withhold(&s->opt, pcb);
		narrow(pcb, s->wnd_held);
		gz_relay_connected(s->worker, s);
	}
	return ERR_OK;
}

/* --- passive ------------------------------------------------------------- */

static struct gz_end end_of(const ip_addr_t *a, u16_t port)
{
	struct gz_end e = {.port = htons(port)};

	if (IP_IS_V4(a))
		return gz_end_v4(ip_2_ip4(a)->addr, e.port);
	memcpy(&e.addr, ip_2_ip6(a)->addr, sizeof(e.addr));
	return e;
}

static ip_addr_t lwip_addr(struct gz_end e)
{
	ip_addr_t a;

	memset(&a, 0, sizeof(a));
	if (gz_end_is_v4(e)) {
		ip_addr_set_ip4_u32_val(a, gz_end_v4_addr(e));
	} else {
		IP_SET_TYPE_VAL(a, IPADDR_TYPE_V6);
		memcpy(ip_2_ip6(&a)->addr, &e.addr, sizeof(e.addr));
	}
	return a;
}

/* Is a listener's shadow closed already?  Then it is over now. */
static bool gone(struct gz_sock *s)
{
	if (!gz_reaper_is_gone(s->name, &gz_worker.probe_fd))
		return false;
	gz_sock_ref(s);
	gz_reaper_close(s);
	gz_stack_unlisten(s);
	gz_sock_unref(s);
	return true;
}

static bool same_port(const struct gz_sock *a, const struct gz_sock *b)
{
	return b->opt.reuseport && (b->lpcb || b->shares) && a->local.port == b->local.port &&
	       gz_end_same_addr(a->local, b->local) && a->claim.v6only == b->claim.v6only;
}

/*
 * One of the listeners that share a port (SO_REUSEPORT), by the peer's endpoint,
 * as socket(7) describes it.
 */
static struct gz_sock *choose(struct gz_sock *first, struct gz_end peer)
{
	struct gz_sock *s, *next;
	unsigned n = 0, pick;

	if (!first->opt.reuseport)
		return first;
	LIST_FOREACH(s, &gz_worker.socks, worker_entry)
	n += same_port(first, s);
	pick = (unsigned)(gz_end_hash(peer) >> 33) % (n ? n : 1);
	for (s = LIST_FIRST(&gz_worker.socks); s; s = next) {
		next = LIST_NEXT(s, worker_entry);
		if (!same_port(first, s))
			continue;
		if (pick-- == 0)
			return s != first && s->shares && gone(s) ? first : s;
	}
	return first;
}

static bool listens_to(const struct tcp_pcb_listen *l, const ip_addr_t *dest)
{
	if (IP_IS_ANY_TYPE_VAL(l->local_ip))
		return true;
	return IP_ADDR_PCB_VERSION_MATCH_EXACT(l, dest) &&
	       (ip_addr_isany(&l->local_ip) || ip_addr_eq(&l->local_ip, dest));
}

/*
 * gz_stack_syn() - A SYN without ACK, before lwIP sees it
 *
 * A listener whose shadow is gone but not yet reaped is closed now, so that
 * the peer gets its RST; a connection in TIME_WAIT gives way to a new one of
 * the same four-tuple (RFC 6191, RFC 9293 3.10.7.4).  Return: false to drop.
 */
bool gz_stack_syn(const struct tcp_hdr *h)
{
	u16_t lport = lwip_ntohs(h->dest), rport = lwip_ntohs(h->src);
	struct tcp_pcb_listen *l, *next;
	struct tcp_pcb *tw;

	for (tw = tcp_tw_pcbs; tw; tw = tw->next) {
		if (tw->local_port == lport && tw->remote_port == rport &&
		    ip_addr_eq(&tw->remote_ip, ip_current_src_addr()) &&
		    ip_addr_eq(&tw->local_ip, ip_current_dest_addr())) {
			if (TCP_SEQ_GT(lwip_ntohl(h->seqno), tw->rcv_nxt))
				tcp_abort(tw); /* silent in TIME_WAIT */
			break;
		}
	}
	for (l = tcp_listen_pcbs.listen_pcbs; l; l = next) {
		struct gz_sock *s = l->callback_arg;

		next = l->next;
		if (l->local_port != lport || !listens_to(l, ip_current_dest_addr()))
			continue;
		if (gone(s))
			continue;
		if (s->opt.reuseport)
			return true; /* on_passive_open() chooses */
		/* As Linux: at most backlog + 1 wait; the peer tries again. */
		if (atomic_load(&s->queued) > s->backlog) {
			gz_count(GZ_C_BACKLOG_DROPS);
			return false;
		}
	}
	return true;
}

static err_t on_passive_open(u8_t id, struct tcp_pcb_listen *l, struct tcp_pcb *pcb)
{
	struct gz_sock *s = choose(l->callback_arg, end_of(&pcb->remote_ip, pcb->remote_port));
	struct gz_flow *f;
	int err;

	LWIP_UNUSED_ARG(id);
	if (atomic_load(&s->queued) > s->backlog) {
		gz_count(GZ_C_BACKLOG_DROPS);
		return ERR_MEM; /* silently: the peer tries again */
	}
	f = gz_flow_add(end_of(&pcb->local_ip, pcb->local_port),
			end_of(&pcb->remote_ip, pcb->remote_port), 0, &err);
	if (!f)
		return ERR_MEM;
	gz_flow_reuse(f, s->opt.reuseaddr, s->opt.reuseport);
	gz_sock_ref(s);
	f->listener = s;
	f->counted = true;
	atomic_fetch_add(&s->queued, 1);
	/* Until the handshake is done there is no socket to call back. */
	pcb->callback_arg = NULL;
	tcp_ext_arg_set_callbacks(pcb, ext_id, &callbacks);
	tcp_ext_arg_set(pcb, ext_id, f);
	narrow(pcb, withhold(&s->opt, pcb));
	return ERR_OK;
}

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct gz_flow *f;
	struct gz_sock *l, *s;

	LWIP_UNUSED_ARG(arg);
	if (err != ERR_OK || !pcb)
		return ERR_OK;
	f = flow_of(pcb);
	if (!f || !f->listener)
		return ERR_VAL;
	l = f->listener;
	s = gz_sock_new(l->client, l->family);
	if (!s)
		return ERR_MEM; /* lwIP aborts it */
	s->opt = l->opt;
	s->local = f->local;
	s->peer = f->peer;
	s->connect_reported = true;
	atomic_store(&s->hold, l->client->plane != NULL);
	gz_worker_adopt(l->worker, s);
	gz_sock_set_state(s, GZ_ESTABLISHED);
	take(s, pcb, f);
	s->urgent.rx_next = pcb->rcv_nxt;
	s->wnd_held = TCP_WND_MAX(pcb) - pcb->rcv_wnd; /* on_passive_open() */
	gz_stack_options(s);
	bound_mss(pcb, &s->opt);
	gz_count(GZ_C_ACCEPTED);
	/* From now on it is the pending list that counts and refers. */
	f->listener = NULL;
	f->counted = false;
	if (l->opt.defer_accept) {
		/* Until bytes come; a peer that sends none is accepted late, as
		 * inet_csk_reqsk_queue_prune() did it. */
		s->deferred = l;
		s->defer_until = gz_worker.now + SEC * (unsigned)l->opt.defer_accept;
	} else {
		gz_relay_offer(l->worker, l, s);
		gz_sock_unref(l);
	}
	gz_sock_unref(s); /* the worker's and the list's remain */
	return ERR_OK;
}

int gz_stack_listen(struct gz_sock *s)
{
	struct tcp_pcb *pcb, *l;
	struct gz_sock *o;
	ip_addr_t a;
	err_t err;

	if (s->lpcb || s->shares)
		return 0;
	LIST_FOREACH(o, &gz_worker.socks, worker_entry)
	{
		if (o != s && s->opt.reuseport && o->lpcb && same_port(s, o)) {
			s->shares = true;
			return 0;
		}
	}
	a = lwip_addr(s->local);
	if (IP_IS_V6_VAL(a) && gz_end_is_any(s->local) && !s->claim.v6only)
		a = *IP_ANY_TYPE; /* dual-stack */
	pcb = tcp_new_ip_type(IP_GET_TYPE(&a));
	if (!pcb)
		return -ENOMEM;
	ip_set_option(pcb, SOF_REUSEADDR);
	if (tcp_bind(pcb, &a, ntohs(s->local.port)) != ERR_OK) {
		tcp_close(pcb);
		return -EADDRINUSE;
	}
	l = tcp_listen_with_backlog_and_err(pcb, 255, &err);
	if (!l) {
		tcp_close(pcb);
		return err == ERR_USE ? -EADDRINUSE : -ENOMEM;
	}
	tcp_arg(l, s);
	tcp_accept(l, on_accept);
	tcp_ext_arg_set_callbacks(l, ext_id, &listener_callbacks);
	s->lpcb = l;
	return 0;
}

void gz_stack_unlisten(struct gz_sock *s)
{
	struct tcp_pcb *p, *next;
	struct gz_sock *o;

	if (s->shares) {
		s->shares = false;
		gz_worker_dirty(s->worker, s);
	}
	if (!s->lpcb)
		return;
	LIST_FOREACH(o, &gz_worker.socks, worker_entry)
	if (o->deferred == s)
		gz_stack_abort(o); /* the pump drops it */
	/* Half-open connections go with their listener, with a RST. */
	for (p = tcp_active_pcbs; p; p = next) {
		next = p->next;
		if (p->state == SYN_RCVD && flow_of(p) && flow_of(p)->listener == s)
			tcp_abort(p);
	}
	tcp_close(s->lpcb);
	s->lpcb = NULL;
	gz_worker_dirty(s->worker, s);
	/* One of those who shared the port inherits it. */
	LIST_FOREACH(o, &gz_worker.socks, worker_entry)
	{
		/* Nobody has seen yet that the heir is gone as well. */
		if (o->shares && same_port(s, o) && !gone(o)) {
			o->shares = false;
			if (gz_stack_listen(o) < 0)
				gz_err("socket %lu: cannot take the port over",
				       (unsigned long)o->id);
			break;
		}
	}
}

/* --- active -------------------------------------------------------------- */

/* How long a connect() tries: 1 s doubled @retries times, each at most the 120 s
 * of TCP_RTO_MAX. */
static uint64_t syn_seconds(int retries)
{
	uint64_t sum = 0;

	for (int i = 0; i <= retries; i++)
		sum += i < 7 ? 1u << i : 120;
	return sum;
}

int gz_stack_connect(struct gz_sock *s, struct gz_flow *f)
{
	ip_addr_t la = lwip_addr(f->local), pa = lwip_addr(f->peer);
	struct tcp_pcb *pcb = tcp_new_ip_type(IP_GET_TYPE(&la));
	err_t err;

	if (!pcb) {
		gz_flow_del(f);
		return -ENOMEM;
	}
	ip_set_option(pcb, SOF_REUSEADDR);
	tcp_ext_arg_set_callbacks(pcb, ext_id, &callbacks);
	tcp_ext_arg_set(pcb, ext_id, f);
	err = tcp_bind(pcb, &la, ntohs(f->local.port));
	if (err == ERR_OK) {
		take(s, pcb, f);
		gz_stack_options(s);
		s->deadline = gz_worker.now + SEC * syn_seconds(s->opt.syncnt);
		err = tcp_connect(pcb, &pa, ntohs(f->peer.port), on_connected);
		if (err == ERR_OK)
			return 0;
		f->sock = NULL;
		s->pcb = NULL;
		s->flow = NULL;
	}
	tcp_arg(pcb, NULL);
	tcp_err(pcb, NULL);
	tcp_abort(pcb);
	return err == ERR_RTE ? -ENETUNREACH : err == ERR_USE ? -EADDRNOTAVAIL : -ENOMEM;
}

/* --- options, data ------------------------------------------------------- */

/* @n bytes of the window are free. */
static void open_window(struct tcp_pcb *p, uint32_t n)
{
	while (n) {
		u16_t k = (u16_t)(n > 0xffff ? 0xffff : n);

		tcp_recved(p, k);
		n -= k;
	}
	/* lwIP tells of 4 segments or more: never, with a small window.  The peer
	 * may wait for as much as there is (RFC 9293 3.8.6.2.2). */
	if (TCP_SEQ_GEQ(p->rcv_nxt + p->rcv_ann_wnd, p->rcv_ann_right_edge + p->mss) &&
	    p->rcv_wnd <= 2 * TCP_WND_UPDATE_THRESHOLD) {
		tcp_ack_now(p);
		tcp_output(p);
	}
}

void gz_stack_options(struct gz_sock *s)
{
	struct tcp_pcb *p = s->pcb;

	if (!p)
		return;
	if (s->opt.nodelay)
		tcp_nagle_disable(p);
	else
		tcp_nagle_enable(p);
	if (s->opt.keepalive)
		ip_set_option(p, SOF_KEEPALIVE);
	else
		ip_reset_option(p, SOF_KEEPALIVE);
	p->keep_idle = (u32_t)s->opt.keepidle * 1000;
	p->keep_intvl = (u32_t)s->opt.keepintvl * 1000;
	p->keep_cnt = (u32_t)s->opt.keepcnt;
	gz_flow_reuse(s->flow, s->opt.reuseaddr, s->opt.reuseport);
	p->tos = (u8_t)(IP_IS_V6(&p->remote_ip) ? s->opt.tclass : s->opt.tos);
	p->ttl = (u8_t)(IP_IS_V6(&p->remote_ip) ? s->opt.hops : s->opt.ttl);
	if (p->state < ESTABLISHED)
		return; /* on_connected() */
	gz_ack_quick(s);
	/* A smaller window comes by keeping back what is read, RFC 9293 3.8.6. */
	s->wnd_want = withhold(&s->opt, p);
	if (s->wnd_held > s->wnd_want) {
		uint32_t n = s->wnd_held - s->wnd_want;

		s->wnd_held = s->wnd_want;
		open_window(p, n);
	}
}

void gz_stack_tx(struct gz_sock *s)
{
	struct tcp_pcb *p = s->pcb;
	struct gz_ring *r = &s->tx;
	bool wrote = false;

	if (!p || s->fin_sent || p->state < ESTABLISHED)
		return;
	while (r->mid < r->tail && !s->tx_blocked) {
		uint32_t n = (uint32_t)(r->tail - r->mid), room, next;
		struct iovec v[2];
		bool more;
		err_t err;

		/* tcp(7): a corked socket sends full segments only, for 200 ms. */
		if (s->opt.cork && n < p->mss && !s->app_eof) {
			if (!s->cork_since)
				s->cork_since = gz_worker.now;
			if (gz_worker.now - s->cork_since < CORK_MAX)
				break;
		}
		s->cork_since = 0;
		room = p->snd_buf;
		if (n > room)
			n = room;
		if (n > 0x8000)
			n = 0x8000;
		if (!n) {
			s->tx_blocked = true;
			break;
		}
		gz_ring_iov(r, r->mid, n, v);
		n = (uint32_t)v[0].iov_len;
		more = r->mid + n < r->tail;
		next = p->snd_lbb;
		err = tcp_write(p, v[0].iov_base, (u16_t)n, more ? TCP_WRITE_FLAG_MORE : 0);
		if (err != ERR_OK) {
			s->tx_blocked = true; /* until something is acknowledged */
			break;
		}
		r->mid += n;
		gz_urgent_written(s, next, n);
		wrote = true;
		atomic_fetch_add_explicit(&s->tx_bytes, n, memory_order_relaxed);
		atomic_fetch_add_explicit(&s->client->tx_bytes, n, memory_order_relaxed);
	}
	if (wrote)
		tcp_output(p);
	gz_ack_due(p);
}

void gz_stack_received(struct gz_sock *s, uint32_t n)
{
	uint32_t keep = s->wnd_want > s->wnd_held ? s->wnd_want - s->wnd_held : 0;

	if (!s->pcb)
		return;
	keep = keep < n ? keep : n;
	s->wnd_held += keep;
	open_window(s->pcb, n - keep);
}

void gz_stack_fin(struct gz_sock *s)
{
	s->fin_sent = true;
	if (s->pcb)
		tcp_shutdown(s->pcb, 0, 1);
}

void gz_stack_close(struct gz_sock *s)
{
	struct tcp_pcb *p = s->pcb;

	if (!p)
		return;
	s->fin_sent = true;
	/* lwIP takes a window that is not whole for unread bytes, and resets. */
	p->rcv_wnd += s->wnd_held;
	s->wnd_held = s->wnd_want = 0;
	/* lwIP frees the pcb at once when bytes are unread; on_destroy() tells. */
	if (tcp_close(p) != ERR_OK)
		gz_stack_abort(s);
}

void gz_stack_abort(struct gz_sock *s)
{
	struct tcp_pcb *p = s->pcb;

	if (!p)
		return;
	tcp_err(p, NULL);
	if (p->state == SYN_SENT)
		tcp_close(p); /* silently */
	else
		tcp_abort(p);
}

/** gz_stack_detach() - Let the pcb end by itself, the socket is no longer needed */
void gz_stack_detach(struct gz_sock *s)
{
	struct tcp_pcb *p = s->pcb;

	tcp_arg(p, NULL);
	s->flow->measure.linger2 = s->opt.linger2;
	s->flow->sock = NULL;
	s->flow = NULL;
	s->pcb = NULL;
}

bool gz_stack_is_over(const struct gz_sock *s)
{
	return !s->pcb || s->pcb->state == TIME_WAIT;
}

/* --- timers -------------------------------------------------------------- */

static bool needs_tick(const struct tcp_pcb *p)
{
	return p->unacked || p->unsent || p->ooseq || p->refused_data || p->persist_backoff ||
	       (p->flags & (TF_ACK_DELAY | TF_CLOSEPEND | TF_NAGLEMEMERR)) ||
	       p->state == SYN_SENT || p->state == SYN_RCVD;
}

/*
 * How long a connection that nobody has any more waits for the peer's FIN: lwIP has
 * 20 s for all.  @p may be gone after it.
 */
static void fin_wait(struct tcp_pcb *p, struct gz_measure *m, uint64_t now)
{
	if (p->state != FIN_WAIT_2 || !(p->flags & TF_RXCLOSED))
		return;
	if (m->linger2 < 0) { /* not at all: a RST, as __tcp_close() */
		tcp_abort(p);
		return;
	}
	if (!m->fin_wait)
		m->fin_wait = now;
	p->tmr = tcp_ticks;
	if (now - m->fin_wait >= SEC * (unsigned)m->linger2)
		p->tmr -= TCP_FIN_WAIT_TIMEOUT / TCP_SLOW_INTERVAL + 1;
}

/* Own deadlines, before lwIP's tick.  Return: a pcb needs the fast tick */
static bool deadlines(struct gz_worker *w)
{
	struct tcp_pcb *p, *next;
	bool busy = false;

	for (p = tcp_active_pcbs; p; p = next) {
		struct gz_flow *f = flow_of(p);
		struct gz_sock *s = f ? f->sock : NULL;

		next = p->next;
		gz_ack_late(p);
		busy = busy || needs_tick(p);
		/* Also when the application is gone and only a FIN is under way. */
		if (f && p->state != SYN_SENT)
			gz_recovery_tick(p, &f->measure, w->now);
		if (!s) {
			if (f && !f->listener)
				fin_wait(p, &f->measure, w->now);
			continue;
		}
		if (p->state != ESTABLISHED || p->unacked || p->unsent || p->persist_backoff)
			gz_stack_info(s); /* no callback tells of these steps */
		if (s->cork_since && w->now - s->cork_since >= CORK_MAX)
			gz_worker_dirty(w, s);
		if (s->deferred) {
			busy = true;
			if (w->now >= s->defer_until)
				gz_worker_dirty(w, s);
		}
		if (s->opt.cork && s->cork_since)
			busy = true;
		if (p->state == SYN_SENT) {
			/* Linux doubles from one second; lwIP does not. */
			u32_t rto = (u32_t)(LWIP_TCP_RTO_TIME / TCP_SLOW_INTERVAL)
				    << LWIP_MIN(p->nrtx, 7);

			rto = LWIP_MIN(rto, 120000u / TCP_SLOW_INTERVAL);
			/* Apart by up to 160 ms: many that met a full backlog at once
			 * would meet it again and again. */
			rto += p->local_port % 8;

			p->rto = (s16_t)LWIP_MIN(rto, 0x7fff);
			if (p->nrtx >= TCP_SYNMAXRTX - 1)
				p->nrtx = TCP_SYNMAXRTX - 2;
			if (s->deadline && w->now >= s->deadline) {
				gz_relay_failed(w, s, ETIMEDOUT);
				gz_stack_abort(s);
			}
			continue;
		}
		if (p->nrtx || p->persist_probe) {
			uint64_t limit = s->opt.user_timeout
					     ? (uint64_t)s->opt.user_timeout * MS
					     : (uint64_t)w->cfg->rto_give_up_s * SEC;

			if (!s->deadline)
				s->deadline = w->now + limit;
			if (w->now >= s->deadline) {
				atomic_store(&s->error, ETIMEDOUT);
				s->reset = true;
				gz_stack_abort(s);
				continue;
			}
			if (p->nrtx >= TCP_MAXRTX - 1)
				p->nrtx = TCP_MAXRTX - 2;
			if (p->persist_probe >= TCP_MAXRTX - 1)
				p->persist_probe = TCP_MAXRTX - 2;
		} else {
			s->deadline = 0;
		}
	}
	return busy;
}

void gz_stack_clock(uint64_t now)
{
	uint64_t n;

	if (!ticked || now < ticked)
		ticked = now;
	n = (now - ticked) / (2 * TICK);
	if (n > 1) {
		tcp_ticks += (u32_t)n - 1;
		ticked += (n - 1) * 2 * TICK;
	}
}

uint64_t gz_stack_timers(struct gz_worker *w)
{
	static uint64_t next_tick, next_second, next_igmp;
	static bool busy;
	uint64_t now = w->now, wait;

	if (!next_second)
		next_tick = next_second = now;
	/* New work may have come since the last slow tick was set. */
	if (!busy && next_tick > now + TICK) {
		for (struct tcp_pcb *p = tcp_active_pcbs; p && !busy; p = p->next)
			busy = needs_tick(p);
		if (busy)
			next_tick = now + TICK;
	}
	if (now >= next_tick) {
		u32_t before = tcp_ticks;

		busy = deadlines(w);
		tcp_tmr();
		if (tcp_ticks != before)
			ticked += 2 * TICK;
		next_tick = now + (busy ? TICK : 50 * TICK);
	}
	if (now >= next_second) {
		etharp_tmr();
		ip_reass_tmr();
		gz_ipv6_second();
		next_second = now + SEC;
	}
	wait = next_second - now;
	if (gz_netif_in_groups()) {
		if (now >= next_igmp) {
			igmp_tmr();
			next_igmp = now + IGMP_TMR_INTERVAL * MS;
		}
		if (next_igmp - now < wait)
			wait = next_igmp - now;
	}
	if ((tcp_active_pcbs || tcp_tw_pcbs) && next_tick - now < wait)
		wait = next_tick - now;
	return wait;
}

int gz_stack_init(struct gz_worker *w)
{
	lwip_init();
	ext_id = tcp_ext_arg_alloc_id();
	LWIP_UNUSED_ARG(w);
	return 0;
}

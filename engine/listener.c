/* SPDX-License-Identifier: BSD-3-Clause
 *
 * listener.c - Passive opening: listeners of lwIP's, and what SYNs become of
 *
 * Theory of operation.  A SYN meets gz_stack_syn() before lwIP sees it, then
 * on_passive_open() when lwIP has made a pcb for it; the flow counts in the
 * listener's backlog from there on.  on_accept() makes the socket, when the
 * handshake is done, and offers it to the listener's pending list.  When half-open
 * connections that do not complete fill the backlog, SYNs are answered by cookies.
 *
 * Of sockets that share a port (SO_REUSEPORT) one has lwIP's listener, choose()
 * picks among all of them, and another inherits the listener when its owner goes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#include "engine/client.h"
#include "engine/cookie.h"
#include "engine/counters.h"
#include "engine/iface.h"
#include "engine/log.h"
#include "engine/pcb.h"
#include "engine/reaper.h"
#include "engine/urgent.h"
#include "engine/worker.h"

#define HALF_OPEN_MAX 16384	/* of all listeners; a pcb each */
#define FLOOD_AGE (200 * GZ_MS) /* who answers does so by then, mostly */
#define PROBE_REST (10 * GZ_MS)
#define NOWHERE UINT8_MAX /* no netif has this index */

/* Ports are few: their listeners are found by number. */
static struct tcp_pcb *of_port[65536]; /* lwIP's lists */
static LIST_HEAD(, gz_listening) of_number[65536];
static int entered = -1; /* the port whose list is lwIP's now */

int gz_listeners_enter(uint16_t port)
{
	int was = entered;

	if (was >= 0)
		of_port[was] = tcp_listen_pcbs.pcbs;
	tcp_listen_pcbs.pcbs = of_port[port];
	entered = port;
	return was;
}

void gz_listeners_leave(int was)
{
	of_port[entered] = tcp_listen_pcbs.pcbs;
	tcp_listen_pcbs.pcbs = was >= 0 ? of_port[was] : NULL;
	entered = was;
}

static struct gz_listening *part_of(const struct gz_sock *s)
{
	return &s->listening[gz_worker.index];
}

static bool listens(const struct gz_listening *l)
{
	return l->pcb || l->shares;
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
	return a->opt.at == b->opt.at && b->opt.reuseport && listens(part_of(b)) &&
	       a->local.port == b->local.port && gz_end_same_addr(a->local, b->local) &&
	       a->claim.v6only == b->claim.v6only;
}

/*
 * One of the listeners that share a port (SO_REUSEPORT), by the peer's endpoint,
 * as socket(7) describes it.
 */
static struct gz_sock *choose(struct gz_sock *first, struct gz_end peer)
{
	struct gz_listening *l, *next;
	unsigned n = 0, pick;

	if (!first->opt.reuseport)
		return first;
	LIST_FOREACH(l, &of_number[ntohs(first->local.port)], port_entry)
	n += same_port(first, l->sock);
	pick = (unsigned)(gz_end_hash(peer) >> 33) % (n ? n : 1);
	for (l = LIST_FIRST(&of_number[ntohs(first->local.port)]); l; l = next) {
		struct gz_sock *s = l->sock;

		next = LIST_NEXT(l, port_entry);
		if (!same_port(first, s))
			continue;
		if (pick-- == 0)
			return s != first && l->shares && gone(s) ? first : s;
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

/* SO_BINDTODEVICE among several ports: may what came to @nif be for @s? */
static bool is_at(const struct gz_sock *s, const struct netif *nif)
{
	const struct gz_wire *w = nif->state;

	if (!s->opt.at || gz_nports == 1)
		return true;
	return s->opt.at == GZ_AT_LO ? !w : w == &gz_worker.wire[s->opt.at - GZ_AT_PORT];
}

void gz_listeners_at(const struct netif *nif)
{
	for (struct tcp_pcb_listen *l = tcp_listen_pcbs.listen_pcbs; l; l = l->next) {
		const struct gz_sock *s = l->callback_arg;

		l->netif_idx = !s->opt.at || gz_nports == 1 ? NETIF_NO_INDEX
			       : is_at(s, nif)		    ? netif_get_index(nif)
							    : NOWHERE;
	}
}

/* RFC 6191: the peer's clock says that a SYN is of a new connection. */
static bool later(const struct tcp_pcb *tw, const struct tcp_hdr *h)
{
	uint32_t val, ecr;

	return tw->flags & TF_TIMESTAMP && gz_timestamp_find(h, &val, &ecr) &&
	       TCP_SEQ_GT(val, tw->ts_recent);
}

static void note_oldest(struct gz_listening *l)
{
	const struct gz_flow *f = TAILQ_FIRST(&l->half_open);

	atomic_store_explicit(&l->oldest, f ? f->since : 0, memory_order_relaxed);
}

/* A flow was half-open until now. */
bool gz_pcb_opened(struct gz_flow *f)
{
	struct gz_listening *l;

	if (!f->half_open)
		return false;
	l = part_of(f->listener);
	TAILQ_REMOVE(&l->half_open, f, half_open_entry);
	note_oldest(l);
	atomic_fetch_sub(&f->listener->nhalf_open, 1);
	atomic_fetch_sub(&gz_half_open, 1);
	f->half_open = false;
	return true;
}

/* As Linux: at most backlog + 1 wait for accept().  And there must be sockets. */
static bool is_full(struct gz_sock *s)
{
	return atomic_load(&s->queued) - atomic_load(&s->nhalf_open) > s->backlog ||
	       !gz_table_room(s->client);
}

bool gz_listener_is_full(struct gz_sock *s)
{
	return is_full(s);
}

/*
 * Do connections that are never completed fill the backlog, of whatever worker?  A burst of
 * honest peers fills it for a round trip, and drops can wait that long.
 */
static bool is_flooded(const struct gz_sock *s)
{
	for (unsigned i = 0; i < gz_nworkers; i++) {
		uint64_t since =
		    atomic_load_explicit(&s->listening[i].oldest, memory_order_relaxed);

		if (since && gz_worker.now > since + FLOOD_AGE)
			return true;
	}
	return atomic_load(&gz_half_open) >= HALF_OPEN_MAX;
}

/* Half-open ones count as well: each has a place when it completes. */
static bool has_room(struct gz_sock *s)
{
	return atomic_load(&s->queued) <= s->backlog && atomic_load(&gz_half_open) < HALF_OPEN_MAX;
}

/* What lwIP will choose for a segment to @lport, and the like: not gone */
static struct gz_sock *find(u16_t lport)
{
	struct tcp_pcb_listen *l;
	struct gz_sock *s;

	do {
		s = NULL;
		for (l = (struct tcp_pcb_listen *)of_port[lport]; l; l = l->next) {
			if (!listens_to(l, ip_current_dest_addr()) ||
			    !is_at(l->callback_arg, ip_current_input_netif()))
				continue;
			s = l->callback_arg;
			if (!IP_IS_ANY_TYPE_VAL(l->local_ip) && !ip_addr_isany(&l->local_ip))
				break;
		}
		/* The probe is a system call, and a flood is many SYNs. */
		if (s && !has_room(s) && gz_worker.now - part_of(s)->probed_at < PROBE_REST)
			return s;
	} while (s && gone(s));
	if (s)
		part_of(s)->probed_at = gz_worker.now;
	return s;
}

enum fate { PASS, DROP, COOKIE };

static enum fate judge(struct gz_sock *s)
{
	enum gz_cookies cookies = gz_cfg->cookies;

	if (is_full(s) || gz_table_room(s->client) <= atomic_load(&gz_half_open))
		return DROP;
	if (cookies == GZ_COOKIES_ALWAYS)
		return COOKIE;
	if (has_room(s))
		return PASS;
	return cookies == GZ_COOKIES_FLOOD && is_flooded(s) ? COOKIE : DROP;
}

/*
 * gz_stack_syn() - A SYN without ACK, before lwIP sees it
 *
 * A listener whose shadow is gone but not yet reaped is closed now, so that
 * the peer gets its RST; a connection in TIME_WAIT gives way to a new one of
 * the same four-tuple (RFC 6191, RFC 9293 3.10.7.4).  Return: false to drop.
 */
bool gz_stack_syn(struct pbuf *p, const struct tcp_hdr *h, struct gz_flow *f, struct gz_end peer)
{
	struct gz_sock *s;
	enum fate fate;

	if (f && gz_pcb_look(f)->state == TIME_WAIT) {
		GZ_PCB_SCOPE(tw, f);
		if (!TCP_SEQ_GT(lwip_ntohl(h->seqno), tw->rcv_nxt) && !later(tw, h))
			return true;
		tcp_abort(tw); /* silent in TIME_WAIT */
		f = NULL;
	}
	if (f)
		return true; /* it came before */
	s = find(lwip_ntohs(h->dest));
	if (!s)
		return true;
	s = choose(s, peer);
	fate = judge(s);
	if (fate == COOKIE)
		gz_cookie_send(p, h, s);
	else if (fate == DROP)
		gz_count(GZ_C_BACKLOG_DROPS); /* the peer tries again */
	return fate == PASS;
}

/*
 * gz_stack_ack() - An ACK of no connection.  It may bring a cookie back
 *
 * Return: false to drop
 */
bool gz_stack_ack(struct pbuf *p, const struct tcp_hdr *h, struct netif *inp, struct gz_end peer)
{
	struct gz_sock *s = gz_cookie_awaited() ? find(lwip_ntohs(h->dest)) : NULL;

	if (!s)
		return true;
	if (is_full(choose(s, peer))) {
		gz_count(GZ_C_BACKLOG_DROPS);
		return false;
	}
	return gz_cookie_take(p, h, inp);
}

static err_t on_passive_open(u8_t id, struct tcp_pcb_listen *l, struct tcp_pcb *pcb)
{
	struct gz_sock *s = choose(l->callback_arg, gz_pcb_end(&pcb->remote_ip, pcb->remote_port));
	struct gz_flow *f;
	int err;

	LWIP_UNUSED_ARG(id);
	f = gz_flow_add(gz_pcb_end(&pcb->local_ip, pcb->local_port),
			gz_pcb_end(&pcb->remote_ip, pcb->remote_port), 0, &gz_worker, &err);
	if (!f)
		return ERR_MEM;
	gz_flow_options(f, &s->opt);
	gz_sock_ref(s);
	f->listener = s;
	f->half_open = true;
	f->since = gz_worker.now;
	TAILQ_INSERT_TAIL(&part_of(s)->half_open, f, half_open_entry);
	note_oldest(part_of(s));
	atomic_fetch_add(&s->nhalf_open, 1);
	atomic_fetch_add(&gz_half_open, 1);
	atomic_fetch_add(&s->queued, 1);
	/* Until the handshake is done there is no socket to call back. */
	pcb->callback_arg = NULL;
	gz_pcb_carry(pcb, f);
	gz_arrival_syn(f);
	gz_timestamp_negotiated(pcb);
	gz_window_first(&s->opt, pcb);
	return ERR_OK;
}

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct gz_flow *f;
	struct gz_sock *l, *s;

	LWIP_UNUSED_ARG(arg);
	if (err != ERR_OK || !pcb)
		return ERR_OK;
	f = gz_stack_flow(pcb);
	if (!f || !f->listener)
		return ERR_VAL;
	l = f->listener;
	s = gz_sock_new(l->client, l->family);
	if (!s)
		return ERR_MEM; /* lwIP aborts it */
	s->opt = l->opt;
	s->local = f->local;
	s->chose = l->chose;
	s->peer = f->peer;
	s->connect_reported = true;
	gz_arrival_accepted(s, f);
	atomic_store(&s->hold, l->client->plane != NULL);
	gz_worker_adopt(&gz_worker, s);
	gz_sock_set_state(s, GZ_ESTABLISHED);
	gz_pcb_take(s, pcb, f);
	s->urgent.rx_next = pcb->rcv_nxt;
	gz_window_take_over(s, pcb);
	gz_stack_options(s);
	gz_pcb_bound_mss(pcb, &s->opt);
	gz_count(GZ_C_ACCEPTED);
	pcb->listener = NULL; /* that may be closed before it */
	/* From now on it is the pending list that counts and refers. */
	gz_pcb_opened(f);
	f->listener = NULL;
	if (l->opt.defer_accept) {
		/* Until bytes come; a peer that sends none is accepted late, as
		 * inet_csk_reqsk_queue_prune() did it. */
		s->deferred = l;
		part_of(l)->ndeferred++;
		s->defer_until = gz_worker.now + GZ_SEC * (unsigned)l->opt.defer_accept;
	} else {
		gz_relay_offer(&gz_worker, l, s);
		gz_sock_unref(l);
	}
	gz_sock_unref(s); /* the worker's and the list's remain */
	return ERR_OK;
}

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

/* @l listens: it has the pcb, or shares another's. */
static void join_port(struct gz_listening *l)
{
	gz_sock_ref(l->sock);
	LIST_INSERT_HEAD(&of_number[ntohs(l->sock->local.port)], l, port_entry);
	LIST_INSERT_HEAD(&gz_worker.listeners, l, entry);
}

static void leave_port(struct gz_listening *l)
{
	LIST_REMOVE(l, port_entry);
	LIST_REMOVE(l, entry);
	gz_sock_unref(l->sock);
}

/* A listener of lwIP's.  Return: 0 or -errno */
static int make_pcb(struct gz_sock *s)
{
	struct tcp_pcb *pcb, *l, *others = tcp_listen_pcbs.pcbs;
	ip_addr_t a = gz_pcb_addr(s->local);
	err_t err;

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
	/* That none is in the way is for ports.c to say: they may be at other interfaces. */
	tcp_listen_pcbs.pcbs = NULL;
	l = tcp_listen_with_backlog_and_err(pcb, 255, &err);
	if (l)
		l->next = others;
	else
		tcp_listen_pcbs.pcbs = others;
	if (!l) {
		tcp_close(pcb);
		return err == ERR_USE ? -EADDRINUSE : -ENOMEM;
	}
	tcp_arg(l, s);
	tcp_accept(l, on_accept);
	tcp_ext_arg_set_callbacks(l, gz_pcb_ext_id(), &listener_callbacks);
	part_of(s)->pcb = l;
	return 0;
}

int gz_stack_listen(struct gz_sock *s)
{
	struct gz_listening *l = part_of(s), *o;
	bool inherits = l->shares;
	int was, err;

	if (l->pcb)
		return 0;
	l->shares = false;
	LIST_FOREACH(o, &of_number[ntohs(s->local.port)], port_entry)
	l->shares |= s->opt.reuseport && o->pcb && same_port(s, o->sock);
	if (!l->shares) {
		was = gz_listeners_enter(ntohs(s->local.port));
		gz_pcb_enter(NULL);
		err = make_pcb(s);
		gz_pcb_leave();
		gz_listeners_leave(was);
		if (err) {
			l->shares = inherits;
			return err;
		}
	}
	if (!inherits)
		join_port(l);
	return 0;
}

bool gz_stack_listens(const struct gz_sock *s)
{
	return s->listening && listens(part_of(s));
}

static void abort_half_open(struct gz_flow *f)
{
	GZ_PCB_SCOPE(p, f);
	tcp_abort(p);
}

/* Half-open pcbs of those who shared @s' listener point at it, until another has it. */
static void set_listener(struct gz_sock *s, struct tcp_pcb *from, struct tcp_pcb *to)
{
	struct gz_listening *o;
	struct gz_flow *f;

	LIST_FOREACH(o, &of_number[ntohs(s->local.port)], port_entry)
	TAILQ_FOREACH(f, &o->half_open, half_open_entry)
	{
		GZ_PCB_SCOPE(p, f);
		if (p->listener == (struct tcp_pcb_listen *)from)
			p->listener = (struct tcp_pcb_listen *)to;
	}
}

static void close_pcb(struct gz_listening *l)
{
	int was = gz_listeners_enter(ntohs(l->sock->local.port));

	set_listener(l->sock, l->pcb, NULL);
	tcp_close(l->pcb);
	l->pcb = NULL;
	gz_listeners_leave(was);
}

/* One of those who shared the port inherits it. */
static void bequeath(struct gz_sock *s)
{
	struct gz_listening *o, *next;

	for (o = LIST_FIRST(&of_number[ntohs(s->local.port)]); o; o = next) {
		next = LIST_NEXT(o, port_entry);
		/* Nobody has seen yet that the heir is gone as well. */
		if (!o->shares || !same_port(s, o->sock))
			continue;
		if (gone(o->sock)) {
			next = LIST_FIRST(&of_number[ntohs(s->local.port)]);
			continue;
		}
		if (gz_stack_listen(o->sock) < 0)
			gz_err("socket %lu: cannot take the port over", (unsigned long)o->sock->id);
		else
			set_listener(s, NULL, o->pcb);
		break;
	}
}

/* Linux has no socket there yet: the peer gets a RST when it sends.  The pump drops it. */
static void forget_deferred(struct gz_sock *s)
{
	if (!s->flow)
		return;
	GZ_PCB_SCOPE(p, s->flow);
	tcp_err(p, NULL);
	tcp_abandon(p, 0);
}

void gz_stack_unlisten(struct gz_sock *s)
{
	struct gz_listening *l;
	struct gz_sock *o;
	struct gz_flow *f;

	if (!gz_stack_listens(s))
		return;
	l = part_of(s);
	gz_sock_ref(s);
	l->shares = false;
	if (l->ndeferred)
		LIST_FOREACH(o, &gz_worker.socks, worker_entry)
	if (o->deferred == s)
		forget_deferred(o);
	/* Half-open connections go with their listener, with a RST. */
	while ((f = TAILQ_FIRST(&l->half_open)))
		abort_half_open(f);
	leave_port(l);
	if (l->pcb) {
		close_pcb(l);
		bequeath(s);
	}
	gz_sock_unref(s);
}

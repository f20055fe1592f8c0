/* SPDX-License-Identifier: BSD-3-Clause
 *
 * udp_ring.c - Datagrams through the memory that a client shares
 *
 * Theory of operation.  A UDP socket of a client with rings gets a slot when it gets a port
 * (gz_udp_ring_give()); its rings are full of heads with their bytes (struct gz_dgram_head).
 * Other than a connection's they are no worker's:
 *
 *	rx	whoever delivers writes it, under the socket's lock; what it has no room for is
 *		spilled here, up to SO_RCVBUF
 *	tx	whoever hands on reads it, under udp.c's lock: the worker whose slot it is,
 *		or a service thread in whose call a datagram is to be there
 *
 * Errors stay with the shadow, and news says that there may be one.  Tokens are datagrams of
 * a byte, and the bell is one to the engine's own name (from_shadow() in udp.c).
 *
 * Leaving, as with connections (leave.c): rings are closed, what programs have sent is
 * handed on, and what they have not read goes into the shadow, in its order.  What comes
 * while locks are waited for is spilled.
 *
 * Of what is in the memory nothing is believed: lengths and positions are checked, the bytes
 * are copied first, and a destination must be one that sendto() would not refuse.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/sock_diag.h>
#include <linux/sockios.h>

#include "engine/address.h"
#include "engine/alias.h"
#include "engine/client.h"
#include "engine/counters.h"
#include "engine/dgram.h"
#include "engine/iface.h"
#include "engine/log.h"
#include "engine/off_ring.h"
#include "engine/plane_inner.h"
#include "engine/reaper.h"
#include "engine/service.h"
#include "engine/shadow.h"
#include "engine/udp.h"
#include "engine/udp_ring.h"
#include "engine/udp_twin.h"
#include "engine/worker.h"

_Static_assert(GZ_BELL_PORT == GZ_ALIAS_PORT, "the engine's name");
_Static_assert(GZ_DGRAM_INDEX == GZ_IFACE_INDEX, "the first interface's");

#define LEAVE_NS 100000000ull
#define INJECT_NS 10000000ull
#define CLOSING_NS 200000000ull /* longer than the reaper needs */
#define LOOK_NS 1000000ull
#define HEADERS 768 /* what a datagram costs of SO_RCVBUF beside its bytes, about */
#define TOKENS_MAX 4096

struct gz_udp_spilled {
	STAILQ_ENTRY(gz_udp_spilled) next;
	struct gz_dgram_head h;
	bool told; /* GZ_DGRAM_AWAY is in the ring */
	char bytes[];
};

static struct gz_dgram_slot *about(const struct gz_sock *s)
{
	return &s->client->plane->sh->dgram[s->ring.i];
}

static bool has_ring(const struct gz_sock *s)
{
	return s->ring.i >= 0 && atomic_load(&s->ring.plane) != GZ_PLANE_NATIVE;
}

static struct gz_end end_of(const struct gz_dgram_end *e)
{
	struct gz_end end = {.scope = e->scope, .port = e->port};

	memcpy(&end.addr, e->addr, sizeof(end.addr));
	return end;
}

static struct gz_dgram_end to_end(struct gz_end end)
{
	struct gz_dgram_end e = {.scope = end.scope, .port = end.port, .used = 1};

	memcpy(e.addr, &end.addr, sizeof(e.addr));
	return e;
}

/* gz_dgram_end.used: @end may be sent to by the interface @at, if that is the stack's */
static uint16_t by_iface(struct gz_end end, uint8_t at)
{
	bool may = at >= GZ_AT_PORT && (gz_nports == 1 || gz_addr_routed_at(end, at));

	return may ? (uint16_t)((at - GZ_AT_PORT + 1) << 1) : 0;
}

/* Between a ring at @at and memory; either may be written by the program meanwhile. */
static void from_ring(const uint8_t *ring, uint64_t at, void *to, uint32_t n)
{
	uint32_t from = at % GZ_SLOT_RING, first = GZ_SLOT_RING - from;

	first = first < n ? first : n;
	memcpy(to, ring + from, first);
	memcpy((char *)to + first, ring, n - first);
}

static uint64_t into_ring(uint8_t *ring, uint64_t at, const void *from, size_t n)
{
	size_t to = at % GZ_SLOT_RING, first = GZ_SLOT_RING - to;

	first = first < n ? first : n;
	memcpy(ring + to, from, first);
	memcpy(ring, (const char *)from + first, n - first);
	return at + n;
}

/* --- a slot ------------------------------------------------------------------------ */

/* Of the ports that datagrams may leave by */
static uint32_t least_mtu(void)
{
	uint32_t least = gz_ports[0].mtu;

	for (unsigned i = 1; i < gz_nports; i++)
		least = least < gz_ports[i].mtu ? least : gz_ports[i].mtu;
	return least;
}

/* @s locked */
static void publish(struct gz_sock *s)
{
	bool connected = gz_sock_state(s) == GZ_ESTABLISHED;
	bool whole = s->dgram.whole[0] || s->dgram.whole[1];
	bool one = connected || s->opt.at >= GZ_AT_PORT;
	uint32_t most = one ? gz_addr_port_at(s->peer, s->opt.at)->mtu : least_mtu(), flags = 0;

	most = most > 48 ? most - 48 : 0;
	if (connected)
		flags = GZ_DGRAM_CONNECTED | (gz_udp_by_v6(s, s->peer) ? GZ_DGRAM_V6 : 0);
	/* As gz_dgram_target() has it */
	if (gz_end_is_v4(s->local) && !gz_end_is_any(s->local) && !gz_addr_to_many(s->local) &&
	    !gz_addr_is_local(s->local))
		flags |= GZ_DGRAM_GONE;
	if (!whole || most > GZ_DGRAM_MAX)
		most = GZ_DGRAM_MAX;
	__atomic_store_n(&about(s)->max, most, __ATOMIC_SEQ_CST);
	__atomic_store_n(&about(s)->control, s->dgram.control, __ATOMIC_SEQ_CST);
	__atomic_store_n(&about(s)->stamp, s->dgram.stamp, __ATOMIC_SEQ_CST);
	__atomic_store_n(&about(s)->flags, flags, __ATOMIC_SEQ_CST);
}

void gz_udp_ring_begin(struct gz_sock *s)
{
	slot_of(s)->kind = GZ_KIND_DATAGRAMS;
	*about(s) = (struct gz_dgram_slot){.family = (uint32_t)s->family, .ifaces = gz_nports};
	atomic_store(&s->client->plane->nest[s->ring.i], s->dgram.nest);
}

/* What may be spilled with SO_RCVBUF of @room */
static uint32_t most_of(int room)
{
	return room > GZ_SLOT_RING ? (uint32_t)room - GZ_SLOT_RING : 0;
}

bool gz_udp_ring_holds(struct gz_sock *s, int room)
{
	pthread_mutex_lock(&s->lock);
	s->dgram.ring.most = most_of(room);
	pthread_mutex_unlock(&s->lock);
	return room >= GZ_SLOT_RING;
}

void gz_udp_ring_give(struct gz_call_ctx *c)
{
	struct gz_sock *s = c->s;
	socklen_t len = sizeof(s->opt.rcvtimeo);
	int room, flags;

	if (!s->client->plane || s->dgram.ping)
		return;
	flags = gz_file_flags(c->fd);
	if (s->ring.i < 0 && flags & O_ASYNC) {
		gz_off_sock(s, GZ_OFF_CALL);
		return;
	}
	if (s->ring.i < 0) {
		getsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &s->opt.rcvtimeo, &len);
		room = gz_dgram_option(c->fd, SOL_SOCKET, SO_RCVBUF);
		STAILQ_INIT(&s->dgram.ring.list);
		s->dgram.ring.most = most_of(room);
		gz_plane_give(s, true, flags & O_NONBLOCK);
		gz_plane_seen(s, c->tid, (int)c->args[0]);
	}
	if (has_ring(s))
		publish(s);
}

void gz_udp_ring_changed(struct gz_sock *s)
{
	pthread_mutex_lock(&s->lock);
	if (has_ring(s))
		publish(s);
	pthread_mutex_unlock(&s->lock);
}

static bool readdress(struct gz_sock *s, void *arg)
{
	(void)arg;
	if (s->type == SOCK_DGRAM && s->ring.i >= 0)
		gz_udp_ring_changed(s);
	return true;
}

void gz_udp_ring_readdress(void)
{
	gz_table_walk(0, false, readdress, NULL);
}

/* Its slot says what cannot be: it is the shadow's from now on.  @s locked */
static void broken(struct gz_sock *s)
{
	struct gz_slot *slot = slot_of(s);

	gz_count(GZ_C_RING_BROKEN);
	gz_off_sock(s, GZ_OFF_BROKEN);
	atomic_store(&s->ring.plane, GZ_PLANE_NATIVE);
	__atomic_fetch_or(&slot->tx_tail, GZ_RING_CLOSED, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&slot->rx_head, GZ_RING_CLOSED, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->rx_plane, GZ_PLANE_NATIVE, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->tx_plane, GZ_PLANE_NATIVE, __ATOMIC_SEQ_CST);
}

void gz_udp_ring_free(struct gz_sock *s)
{
	struct gz_udp_spilled *o;

	while (s->ring.i >= 0 && (o = STAILQ_FIRST(&s->dgram.ring.list))) {
		STAILQ_REMOVE_HEAD(&s->dgram.ring.list, next);
		free(o);
	}
}

/* --- where to ---------------------------------------------------------------------- */

/* What sendto() would not refuse, and has no other meaning (gz_dgram_target()).  @s locked */
static bool may_send_to(const struct gz_sock *s, struct gz_end to)
{
	if (!to.port || to.scope || gz_end_is_any(to) || gz_addr_to_many(to) ||
	    gz_addr_has_scope(to) || (s->family == AF_INET && !gz_end_is_v4(to)) ||
	    gz_dgram_family_fits(s, to))
		return false;
	if (gz_addr_is_loopback(s->local) && !gz_addr_is_local(to) && !gz_addr_is_loopback(to))
		return false;
	/* The kernel may have somebody there, whom the twin reaches. */
	if (gz_addr_is_loopback(to) || gz_addr_is_local(to) ? !gz_port_udp(to)
							    : gz_udp_twin_heard(s, to))
		return false;
	return gz_policy_is_engines(IPPROTO_UDP, to);
}

/* The same of where from: any, or what IP_PKTINFO may say (source_of() in dgram_msg.c) */
static bool may_send_from(struct gz_end from, struct gz_end to)
{
	return gz_addr_is_local(from) && gz_end_is_v4(from) == gz_end_is_v4(to) &&
	       (!gz_addr_is_loopback(from) || gz_addr_is_local(to) || gz_addr_is_loopback(to));
}

/* And by which of the stack's interfaces */
static bool may_send_by(struct gz_sock *s, struct gz_end to, uint16_t iface)
{
	uint8_t at = (uint8_t)(GZ_AT_PORT + iface);

	return iface < gz_nports && gz_addr_routed_at(to, at) &&
	       (gz_end_is_v4(to) || !s->opt.at || s->opt.at == at);
}

void gz_udp_ring_approve(struct gz_sock *s, struct gz_end to, struct gz_end local, uint8_t at)
{
	struct gz_dgram_end e = to_end(to);
	struct gz_dgram_slot *d;
	bool may;

	if (!has_ring(s))
		return;
	pthread_mutex_lock(&s->lock);
	may = may_send_to(s, to);
	pthread_mutex_unlock(&s->lock);
	d = about(s);
	e.used |= by_iface(to, at);
	if (may)
		gz_dgram_set(d, &e)[gz_dgram_place(d, GZ_DGRAM_WAYS)] = e;
	if (may && !gz_end_is_any(local) && may_send_from(local, to))
		memcpy(d->own[gz_dgram_place(d, GZ_DGRAM_OWN)], &local.addr, sizeof(local.addr));
}

void gz_udp_ring_proven(struct gz_sock *s, bool proven)
{
	if (!has_ring(s))
		return;
	if (proven)
		__atomic_fetch_or(&about(s)->flags, GZ_DGRAM_PROVEN, __ATOMIC_RELAXED);
	else
		__atomic_fetch_and(&about(s)->flags, ~(uint32_t)GZ_DGRAM_PROVEN, __ATOMIC_RELAXED);
}

/* --- from the program -------------------------------------------------------------- */

/* The next one.  Return: false, there is none.  udp.c's lock held */
static bool hand_on(struct gz_sock *s)
{
	static char bytes[GZ_DGRAM_MAX];
	const uint8_t *ring = gz_slot_tx(s->client->plane->sh, (uint32_t)s->ring.i);
	struct gz_slot *slot = slot_of(s);
	uint64_t head = s->ring.tx_head;
	uint64_t n = (__atomic_load_n(&slot->tx_tail, __ATOMIC_SEQ_CST) & ~GZ_RING_CLOSED) - head;
	struct iovec data = {bytes, 0};
	struct gz_datagram d = {.data = &data, .ndata = 1};
	struct gz_end local = {0};
	struct gz_dgram_head h;
	bool may, v4;

	if (!n)
		return false;
	if (n <= GZ_SLOT_RING && n >= sizeof(h))
		from_ring(ring, head, &h, sizeof(h));
	else
		h.len = UINT32_MAX;
	if (h.len > sizeof(bytes) || gz_dgram_size(h.len) > n) {
		pthread_mutex_lock(&s->lock);
		broken(s);
		pthread_mutex_unlock(&s->lock);
		return false;
	}
	from_ring(ring, head + sizeof(h), bytes, h.len);
	data.iov_len = d.len = h.len;
	pthread_mutex_lock(&s->lock);
	d.dst = h.flags & GZ_DGRAM_TO ? end_of(&h.end) : s->peer;
	may = h.flags & GZ_DGRAM_TO ? may_send_to(s, d.dst) : gz_sock_state(s) == GZ_ESTABLISHED;
	v4 = gz_end_is_v4(d.dst);
	d.ttl = h.flags & GZ_DGRAM_TTL ? h.ttl : s->dgram.hops[v4];
	d.tos = h.flags & GZ_DGRAM_TOS ? h.tos : s->dgram.tos[v4];
	pthread_mutex_unlock(&s->lock);
	if (h.flags & GZ_DGRAM_BY) {
		may = may && may_send_by(s, d.dst, h.iface);
		d.at = (uint8_t)(GZ_AT_PORT + h.iface);
	}
	if (h.flags & GZ_DGRAM_FROM) {
		memcpy(&local.addr, h.local, sizeof(local.addr));
		may = may && may_send_from(local, d.dst);
	}
	if (may)
		gz_udp_forward(s, &d, local);
	gz_count(may ? GZ_C_RING_DGRAM_TX : GZ_C_UDP_TX_DROPPED);
	s->ring.tx_head = head + gz_dgram_size(h.len);
	__atomic_store_n(&slot->tx_head, s->ring.tx_head, __ATOMIC_SEQ_CST);
	return true;
}

/* All was handed on.  Agents commit, and set the bit, under that lock. */
static void settle(struct gz_sock *s)
{
	struct gz_slot *slot = slot_of(s);
	uint32_t none = 0;

	if (!__atomic_compare_exchange_n(&slot->tx_lock, &none, 1, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_RELAXED))
		return; /* the next time */
	if ((__atomic_load_n(&slot->tx_tail, __ATOMIC_SEQ_CST) & ~GZ_RING_CLOSED) ==
	    s->ring.tx_head)
		__atomic_fetch_and(&s->client->plane->sh->sending[s->ring.i / 64],
				   ~(1ULL << s->ring.i % 64), __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->tx_lock, 0, __ATOMIC_SEQ_CST);
}

void gz_udp_ring_drain(struct gz_sock *s)
{
	uint64_t end = s->ring.tx_head + GZ_SLOT_RING;

	if (has_ring(s) && s->dgram.ring.native_sent)
		gz_udp_take_all();
	/* No more than a ring: the program may go on sending for ever. */
	while (has_ring(s) && s->ring.tx_head < end)
		if (!hand_on(s)) {
			if (has_ring(s))
				settle(s);
			return;
		}
	if (has_ring(s))
		__atomic_fetch_or(&s->client->plane->sh->dirty[s->ring.i / 64],
				  1ULL << s->ring.i % 64, __ATOMIC_SEQ_CST);
}

void gz_udp_ring_flush(struct gz_sock *s)
{
	if (!has_ring(s))
		return;
	gz_udp_enter();
	gz_udp_ring_drain(s);
	gz_udp_exit();
}

static void refill(struct gz_sock *s);

unsigned gz_udp_ring_poll(struct gz_plane *p, uint32_t i)
{
	uint16_t nest = atomic_load(&p->nest[i]);
	struct gz_sock *s = nest ? gz_nest_find(nest) : NULL;

	if (!s)
		return 0;
	if (s->client->plane == p && s->ring.i == (int)i && has_ring(s)) {
		gz_udp_ring_flush(s);
		pthread_mutex_lock(&s->lock);
		if (has_ring(s)) {
			refill(s);
			gz_plane_poked(s);
		}
		pthread_mutex_unlock(&s->lock);
	}
	gz_sock_unref(s);
	return 1;
}

void gz_udp_ring_pass(struct gz_plane *p)
{
	for (unsigned k = 0; p && k < GZ_SLOTS / 64; k++)
		for (uint64_t bits = __atomic_load_n(&p->sh->sending[k], __ATOMIC_SEQ_CST); bits;
		     bits &= bits - 1)
			gz_udp_ring_poll(p, k * 64 + (unsigned)__builtin_ctzll(bits));
}

/* --- to the program ---------------------------------------------------------------- */

/* Room in the rx ring; -1: it is broken, and the shadow's now.  @s locked */
static int64_t room(struct gz_sock *s)
{
	uint64_t head = __atomic_load_n(&slot_of(s)->rx_head, __ATOMIC_SEQ_CST) & ~GZ_RING_CLOSED;

	if (s->ring.rx_tail - head <= GZ_SLOT_RING)
		return (int64_t)(GZ_SLOT_RING - (s->ring.rx_tail - head));
	broken(s);
	return -1;
}

static void put(struct gz_sock *s, const struct gz_dgram_head *h, const struct iovec *v, int nv)
{
	uint8_t *ring = gz_slot_rx(s->client->plane->sh, (uint32_t)s->ring.i);
	uint64_t at = into_ring(ring, s->ring.rx_tail, h, sizeof(*h));

	for (int k = 0; k < nv; k++)
		at = into_ring(ring, at, v[k].iov_base, v[k].iov_len);
	s->ring.rx_tail += gz_dgram_size(nv ? h->len : 0);
	__atomic_store_n(&slot_of(s)->rx_tail, s->ring.rx_tail, __ATOMIC_SEQ_CST);
}

/* What was spilled, as far as there is room for it now.  @s locked */
static void refill(struct gz_sock *s)
{
	struct gz_udp_spill *spill = &s->dgram.ring;
	struct gz_udp_spilled *o;
	bool any = false;

	if (!__atomic_load_n(&slot_of(s)->rx_full, __ATOMIC_SEQ_CST))
		return;
	while (atomic_load(&s->ring.plane) == GZ_PLANE_RING && (o = STAILQ_FIRST(&spill->list)) &&
	       !o->told) {
		bool away = gz_dgram_size(o->h.len) > GZ_SLOT_RING;
		int64_t left = room(s);

		if (left < (int64_t)gz_dgram_size(away ? 0 : o->h.len))
			break;
		any = true;
		if (away) {
			o->told = true;
			o->h.flags |= GZ_DGRAM_AWAY;
			put(s, &o->h, NULL, 0);
			break;
		}
		put(s, &o->h, &(struct iovec){o->bytes, o->h.len}, 1);
		spill->cost -= o->h.len + HEADERS;
		STAILQ_REMOVE_HEAD(&spill->list, next);
		free(o);
	}
	if (STAILQ_EMPTY(&spill->list))
		__atomic_store_n(&slot_of(s)->rx_full, 0, __ATOMIC_SEQ_CST);
	if (any)
		gz_plane_tell(s);
}

static bool spill(struct gz_sock *s, const struct gz_dgram_head *h, const struct gz_datagram *d)
{
	struct gz_udp_spill *to = &s->dgram.ring;
	struct gz_udp_spilled *o;
	size_t at = 0;

	if (to->cost + h->len + HEADERS > to->most)
		return false;
	o = malloc(sizeof(*o) + d->len);
	if (!o)
		return false;
	o->h = *h;
	o->told = false;
	for (int k = 0; k < d->ndata; at += d->data[k++].iov_len)
		memcpy(o->bytes + at, d->data[k].iov_base, d->data[k].iov_len);
	to->cost += h->len + HEADERS;
	STAILQ_INSERT_TAIL(&to->list, o, next);
	__atomic_store_n(&slot_of(s)->rx_full, 1, __ATOMIC_SEQ_CST);
	refill(s); /* who made room just before did not see that it is full */
	return true;
}

bool gz_udp_ring_is(const struct gz_sock *s)
{
	return has_ring(s);
}

bool gz_udp_ring_put(struct gz_sock *s, const struct gz_datagram *d)
{
	struct gz_dgram_head h = {
	    .len = (uint32_t)d->len,
	    .end = to_end(d->src),
	    .local_scope = d->dst.scope,
	    .ttl = d->ttl,
	    .tos = d->tos,
	};
	struct timespec now;
	uint8_t at = gz_udp_came_to(d);
	int64_t left;

	clock_gettime(CLOCK_REALTIME, &now);
	h.at = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	memcpy(h.local, &d->dst.addr, sizeof(h.local));
	if (gz_end_is_v4(d->dst))
		h.local_scope = gz_end_v4_addr(gz_dgram_answers(d->dst, d->src));
	if (at == GZ_AT_LO)
		h.flags |= GZ_DGRAM_LO;
	else
		h.iface = (uint16_t)(at - GZ_AT_PORT);
	if (may_send_to(s, d->src)) {
		h.flags |= GZ_DGRAM_REPLY;
		h.end.used |= by_iface(d->src, at);
	}
	if (atomic_load(&s->ring.plane) != GZ_PLANE_RING || !STAILQ_EMPTY(&s->dgram.ring.list))
		return spill(s, &h, d);
	left = room(s);
	if (left < 0)
		return false;
	if (left < (int64_t)gz_dgram_size(h.len))
		return spill(s, &h, d);
	put(s, &h, d->data, d->ndata);
	gz_count(GZ_C_RING_DGRAM_RX);
	/* An agent that spins may have been faster. */
	if (room(s) < GZ_SLOT_RING)
		gz_plane_tell(s);
	return true;
}

void gz_udp_ring_error(struct gz_sock *s)
{
	if (!has_ring(s) || gz_sock_state(s) != GZ_ESTABLISHED)
		return;
	__atomic_fetch_or(&slot_of(s)->news, GZ_NEWS_ERROR, __ATOMIC_SEQ_CST);
	gz_plane_mark_ready(s);
}

bool gz_udp_ring_is_closed(struct gz_sock *s)
{
	struct gz_udp_spill *r = &s->dgram.ring;
	uint64_t now;
	uint32_t *told;

	if (!has_ring(s))
		return false;
	now = gz_now_ns();
	told = &slot_of(s)->leave;
	if (!__atomic_load_n(told, __ATOMIC_SEQ_CST) && now > atomic_load(&r->closing)) {
		/* Who ended has called no close(). */
		if (now - r->looked < LOOK_NS)
			return false;
		r->looked = now;
		if (kill(atomic_load(&s->ring.seen_tid), 0) == 0 || errno != ESRCH)
			return false;
	}
	/* Once it is, it stays so. */
	__atomic_store_n(told, 0, __ATOMIC_SEQ_CST);
	if (!gz_reaper_nest_is_empty(s->dgram.nest))
		return false;
	__atomic_store_n(told, 1, __ATOMIC_SEQ_CST);
	return true;
}

void gz_udp_ring_closing(struct gz_sock *s)
{
	if (has_ring(s))
		atomic_store(&s->dgram.ring.closing, gz_now_ns() + CLOSING_NS);
}

/* --- leaving ----------------------------------------------------------------------- */

static bool try_lock(uint32_t *l)
{
	uint32_t none = 0;

	return __atomic_compare_exchange_n(l, &none, 2, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED) ||
	       none == 2;
}

/* Who holds a lock may be about to read a token; it may have been killed. */
static void await_locks(struct gz_slot *slot)
{
	uint64_t until = gz_now_ns() + LEAVE_NS;

	while (!try_lock(&slot->rx_lock) || !try_lock(&slot->tx_lock)) {
		if (gz_now_ns() > until) {
			gz_count(GZ_C_RING_FORCED);
			return;
		}
		usleep(50);
	}
}

static void take_tokens(int fd)
{
	char byte;

	for (int k = 0, n = 0; k < TOKENS_MAX && ioctl(fd, SIOCINQ, &n) == 0 && n == 1; k++)
		recv(fd, &byte, 1, MSG_DONTWAIT);
}

static uint32_t charged(int fd)
{
	uint32_t mem[SK_MEMINFO_VARS] = {0};
	socklen_t len = sizeof(mem);

	return getsockopt(fd, SOL_SOCKET, SO_MEMINFO, mem, &len) < 0 ? 0
								     : mem[SK_MEMINFO_RMEM_ALLOC];
}

/*
 * @d came before the socket was connected to who did not send it.  The kernel's connect() leaves
 * such ones in the queue; a shadow that is connected takes in no more of them.  What its queue
 * has no room for is waited for until @until, which all of them share: workers wait for us.
 */
static bool inject_stranger(struct gz_sock *s, int fd, const struct gz_datagram *d, uint64_t until)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	uint32_t before = charged(fd);
	struct sockaddr_storage ss;
	socklen_t len = gz_dgram_inner_peer(s, &ss);
	bool done;

	connect(fd, &none, sizeof(none));
	s->dgram.old_peer = s->family == AF_INET6;
	done = gz_udp_inject(s, d);
	/* It passes the loopback of the namespace first. */
	while (done && charged(fd) == before && gz_now_ns() < until)
		sched_yield();
	s->dgram.old_peer = false;
	if (connect(fd, (struct sockaddr *)&ss, len) < 0)
		gz_err("socket %lu: its shadow is not connected any more: %s", (unsigned long)s->id,
		       strerror(errno));
	return done;
}

static void into_shadow(struct gz_sock *s, int fd, const struct gz_dgram_head *h, char *bytes,
			uint64_t until)
{
	struct iovec data = {bytes, h->len};
	struct gz_datagram d = {
	    .src = end_of(&h->end),
	    .dst = {.port = s->local.port},
	    .ttl = h->ttl,
	    .tos = h->tos,
	    .data = &data,
	    .ndata = 1,
	    .len = h->len,
	};
	bool stranger;

	memcpy(&d.dst.addr, h->local, sizeof(h->local));
	if (!gz_end_is_v4(d.dst))
		d.dst.scope = h->local_scope;
	d.at = h->flags & GZ_DGRAM_LO ? GZ_AT_LO : (uint8_t)(GZ_AT_PORT + h->iface);
	stranger = gz_sock_state(s) == GZ_ESTABLISHED && !gz_udp_is_peer(s, d.src);
	if (!(stranger ? inject_stranger(s, fd, &d, until) : gz_udp_inject(s, &d)))
		gz_count(GZ_C_UDP_DROPPED);
}

/* What is in the ring, then what was spilled.  @s locked */
static void move_to_shadow(struct gz_sock *s, int fd)
{
	char bytes[GZ_SLOT_RING]; /* of a service thread's stack */
	const uint8_t *ring = gz_slot_rx(s->client->plane->sh, (uint32_t)s->ring.i);
	uint64_t at = __atomic_load_n(&slot_of(s)->rx_head, __ATOMIC_SEQ_CST) & ~GZ_RING_CLOSED;
	uint64_t until = gz_now_ns() + INJECT_NS;
	struct gz_udp_spilled *o;
	struct gz_dgram_head h;

	for (uint64_t n; (n = s->ring.rx_tail - at) && n <= GZ_SLOT_RING;
	     at += gz_dgram_size(h.len)) {
		if (n < sizeof(h))
			break;
		from_ring(ring, at, &h, sizeof(h));
		if (h.flags & GZ_DGRAM_AWAY)
			break; /* it is the last, and the first of those that were spilled */
		if (h.len > sizeof(bytes) || gz_dgram_size(h.len) > n)
			break;
		from_ring(ring, at + sizeof(h), bytes, h.len);
		into_shadow(s, fd, &h, bytes, until);
	}
	while ((o = STAILQ_FIRST(&s->dgram.ring.list))) {
		into_shadow(s, fd, &o->h, o->bytes, until);
		STAILQ_REMOVE_HEAD(&s->dgram.ring.list, next);
		free(o);
	}
	s->dgram.ring.cost = 0;
}

void gz_udp_ring_leave(struct gz_sock *s, int fd)
{
	struct gz_slot *slot;
	bool first;

	if (!has_ring(s))
		return;
	slot = slot_of(s);
	__atomic_fetch_or(&slot->tx_tail, GZ_RING_CLOSED, __ATOMIC_SEQ_CST);
	gz_udp_ring_flush(s);
	pthread_mutex_lock(&s->lock);
	first = atomic_load(&s->ring.plane) == GZ_PLANE_RING;
	if (first) {
		atomic_store(&s->ring.plane, GZ_PLANE_TRAP);
		__atomic_fetch_or(&slot->rx_head, GZ_RING_CLOSED, __ATOMIC_SEQ_CST);
		__atomic_store_n(&slot->rx_plane, GZ_PLANE_TRAP, __ATOMIC_SEQ_CST);
		__atomic_store_n(&slot->tx_plane, GZ_PLANE_TRAP, __ATOMIC_SEQ_CST);
	}
	pthread_mutex_unlock(&s->lock);
	/* Another client's thread may be at it. */
	for (int k = 0; !first && k < 1000 && has_ring(s); k++)
		usleep(200);
	if (!first)
		return;
	await_locks(slot);
	pthread_mutex_lock(&s->lock);
	take_tokens(fd);
	move_to_shadow(s, fd);
	atomic_store(&s->ring.plane, GZ_PLANE_NATIVE);
	__atomic_store_n(&slot->rx_plane, GZ_PLANE_NATIVE, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->tx_plane, GZ_PLANE_NATIVE, __ATOMIC_SEQ_CST);
	gz_plane_mark_ready(s);
	pthread_mutex_unlock(&s->lock);
	gz_count(GZ_C_RING_LEFT);
}

void gz_udp_ring_refuse(struct gz_call_ctx *c, enum gz_off_ring why)
{
	if (!c->s->client->plane || c->s->dgram.ping)
		return;
	atomic_store(&c->s->no_ring, true);
	gz_off_sock(c->s, why);
	gz_udp_ring_leave(c->s, c->fd);
}

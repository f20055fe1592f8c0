/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ports.c - Who has which local port
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "engine/client.h"
#include "engine/ports.h"
#include "engine/spread.h"

#define FLOW_BUCKETS 16384

LIST_HEAD(claims, gz_claim);
LIST_HEAD(flows, gz_flow);

static struct {
	pthread_mutex_t lock;
	struct claims claims[2][65536]; /* TCP, UDP; by port, host order */
	/* TCP's flows by local port, and those of them that let others bind it. */
	uint32_t nflows[65536], nreuseaddr[65536], nreuseport[65536];
	struct flows flows[FLOW_BUCKETS], of_port[65536];
	uint16_t lo, hi;
	const struct gz_ports_outside *outside; /* who else is to agree; NULL: nobody */
} ports = {.lock = PTHREAD_MUTEX_INITIALIZER};

void gz_ports_init(uint16_t lo, uint16_t hi)
{
	ports.lo = lo;
	ports.hi = hi;
}

void gz_ports_ask(const struct gz_ports_outside *o)
{
	ports.outside = o;
}

/* Locked */
static bool is_used(bool udp, uint16_t port)
{
	return !LIST_EMPTY(&ports.claims[udp][port]) || (!udp && ports.nflows[port]);
}

bool gz_port_used(bool udp, uint16_t port)
{
	bool used;

	pthread_mutex_lock(&ports.lock);
	used = is_used(udp, port);
	pthread_mutex_unlock(&ports.lock);
	return used;
}

/* A claim or a flow is gone; locked */
static void left(bool udp, uint16_t port)
{
	if (ports.outside && !is_used(udp, port))
		ports.outside->leave(udp, port);
}

/* Under the lock */
static uint32_t random32(void)
{
	static uint32_t pool[64];
	static unsigned left;

	if (!left) {
		if (getrandom(pool, sizeof(pool), 0) != sizeof(pool))
			return (uint32_t)rand();
		left = sizeof(pool) / sizeof(pool[0]);
	}
	return pool[--left];
}

/* Ephemeral ports of a socket, as inet_sk_get_local_port_range() narrows them. */
static void range_of(uint32_t narrow, uint32_t *lo, uint32_t *span)
{
	uint32_t first = narrow & 0xffff, last = narrow >> 16, hi = ports.hi;

	*lo = ports.lo;
	if (*lo <= first && first <= hi)
		*lo = first;
	if (*lo <= last && last <= hi)
		hi = last;
	*span = hi - *lo + 1;
}

/*
 * Would both get the same packets?  As ipv6_rcv_saddr_equal() has it: [::] takes
 * IPv4 too unless it is v6only, and a native address never does.
 */
static bool overlap(const struct gz_claim *a, const struct gz_claim *b)
{
	bool v4_a = gz_end_is_v4(a->end), v4_b = gz_end_is_v4(b->end);

	if (v4_a == v4_b)
		return gz_end_is_any(a->end) || gz_end_is_any(b->end) ||
		       gz_end_same_addr(a->end, b->end);
	a = v4_a ? b : a; /* the native one */
	return IN6_IS_ADDR_UNSPECIFIED(&a->end.addr) && !a->v6only;
}

static struct gz_sock *owner(struct gz_claim *c)
{
	return (struct gz_sock *)((char *)c - offsetof(struct gz_sock, claim));
}

/* A connection keeps what its socket had, TIME_WAIT's too (tw_reuse). */
static bool in_a_flow(const struct gz_claim *c)
{
	unsigned port = ntohs(c->end.port);
	struct gz_flow *f;

	if (c->udp || !ports.nflows[port] ||
	    (c->reuseaddr && ports.nreuseaddr[port] == ports.nflows[port]) ||
	    (c->reuseport && ports.nreuseport[port] == ports.nflows[port]))
		return false;
	LIST_FOREACH(f, &ports.of_port[port], by_port)
	{
		struct gz_claim o = {.end = f->local};
		/*
		 * A connection over IPv6 has an address of IPv4 as well, LOOPBACK4_IPV6, which
		 * counts unless its socket is v6only (ipv4_rcv_saddr_equal()).
		 */
		bool all = gz_end_is_any(c->end) && gz_end_is_v4(c->end) && !f->v6only;

		if ((all || overlap(&o, c)) && !(c->reuseaddr && f->reuseaddr) &&
		    !(c->reuseport && f->reuseport))
			return true;
	}
	return false;
}

/* The claim that forbids @c at its end; NULL: none.  *by_flow: a connection. */
static struct gz_claim *conflict(const struct gz_claim *c, bool *by_flow)
{
	unsigned port = ntohs(c->end.port);
	struct gz_claim *o;

	*by_flow = false;
	LIST_FOREACH(o, &ports.claims[c->udp][port], next)
	{
		if (o == c || !overlap(o, c))
			continue;
		if (o->device && c->device && o->device != c->device)
			continue;
		if (o->reuseaddr && c->reuseaddr && !o->listening)
			continue;
		if (o->reuseport && c->reuseport && o->uid == c->uid)
			continue;
		return o;
	}
	*by_flow = in_a_flow(c);
	return NULL;
}

static void insert(struct gz_claim *c)
{
	LIST_INSERT_HEAD(&ports.claims[c->udp][ntohs(c->end.port)], c, next);
	c->held = true;
}

/* 127/8 and ::1 are this engine's own */
static bool asks_outside(struct gz_end end)
{
	return ports.outside && !IN6_IS_ADDR_LOOPBACK(&end.addr) &&
	       !(gz_end_is_v4(end) && ntohl(gz_end_v4_addr(end)) >> 24 == 127);
}

static int claim_here(struct gz_sock *s, struct gz_end end, struct gz_sock **blocker)
{
	struct gz_claim *c = &s->claim, *o;
	uint32_t lo, span, start, i;
	bool by_flow;
	int ret = 0;

	*blocker = NULL;
	c->reuseaddr = s->opt.reuseaddr;
	c->reuseport = s->opt.reuseport;
	c->v6only = s->opt.v6only;
	c->uid = s->uid;
	c->udp = s->type == SOCK_DGRAM;
	c->listening = false;
	c->end = end;
	pthread_mutex_lock(&ports.lock);
	if (end.port) {
		o = conflict(c, &by_flow);
		if (o) {
			*blocker = owner(o);
			gz_sock_ref(*blocker);
		}
		if (o || by_flow)
			ret = -EADDRINUSE;
		else
			insert(c);
		goto out;
	}
	range_of((uint32_t)s->opt.port_range, &lo, &span);
	start = random32() % span;
	for (i = 0; i < span; i++) {
		uint16_t port = (uint16_t)(lo + (start + i) % span);

		if (!LIST_EMPTY(&ports.claims[c->udp][port]) || (!c->udp && ports.nflows[port]))
			continue;
		c->end.port = htons(port);
		insert(c);
		goto out;
	}
	ret = -EADDRINUSE; /* as Linux does for bind() to port 0 */
out:
	pthread_mutex_unlock(&ports.lock);
	return ret;
}

int gz_claim(struct gz_sock *s, struct gz_end end, struct gz_sock **blocker)
{
	int ret = claim_here(s, end, blocker);

	if (ret || !asks_outside(end))
		return ret;
	ret = ports.outside->take(s->claim.udp, ntohs(s->claim.end.port));
	if (ret)
		gz_claim_drop(s);
	return ret;
}

int gz_claim_listen(struct gz_sock *s, struct gz_sock **blocker)
{
	struct gz_claim *c = &s->claim, *o;
	bool by_flow;
	int ret = 0;

	*blocker = NULL;
	pthread_mutex_lock(&ports.lock);
	c->reuseaddr = s->opt.reuseaddr;
	c->reuseport = s->opt.reuseport;
	c->listening = true;
	o = conflict(c, &by_flow);
	if (o) {
		*blocker = owner(o);
		gz_sock_ref(*blocker);
	}
	if (o || by_flow) {
		c->listening = false;
		ret = -EADDRINUSE;
	}
	pthread_mutex_unlock(&ports.lock);
	return ret;
}

void gz_claim_device(struct gz_sock *s, uint8_t device)
{
	pthread_mutex_lock(&ports.lock);
	s->claim.device = device;
	pthread_mutex_unlock(&ports.lock);
}

void gz_claim_unlisten(struct gz_sock *s)
{
	pthread_mutex_lock(&ports.lock);
	s->claim.listening = false;
	pthread_mutex_unlock(&ports.lock);
}

void gz_claim_hand(struct gz_sock *from, struct gz_sock *to)
{
	pthread_mutex_lock(&ports.lock);
	if (from->claim.held) {
		to->claim = from->claim;
		to->claim.listening = false;
		LIST_INSERT_AFTER(&from->claim, &to->claim, next);
		LIST_REMOVE(&from->claim, next);
		from->claim.held = false;
	}
	pthread_mutex_unlock(&ports.lock);
}

void gz_claim_drop(struct gz_sock *s)
{
	pthread_mutex_lock(&ports.lock);
	if (s->claim.held) {
		LIST_REMOVE(&s->claim, next);
		s->claim.held = false;
		s->claim.listening = false;
		left(s->claim.udp, ntohs(s->claim.end.port));
	}
	pthread_mutex_unlock(&ports.lock);
}

bool gz_port_listening(struct gz_end end)
{
	struct gz_claim *c;
	bool found = false;

	pthread_mutex_lock(&ports.lock);
	LIST_FOREACH(c, &ports.claims[0][ntohs(end.port)], next)
	{
		struct gz_claim want = {.end = end};

		found = c->listening && overlap(c, &want);
		if (found)
			break;
	}
	pthread_mutex_unlock(&ports.lock);
	return found;
}

unsigned gz_claims_udp(struct gz_end dst, struct gz_sock **v, unsigned max)
{
	struct gz_claim *c, at = {.end = dst};
	unsigned n = 0;

	pthread_mutex_lock(&ports.lock);
	LIST_FOREACH(c, &ports.claims[1][ntohs(dst.port)], next)
	{
		if (n == max || !overlap(c, &at))
			continue;
		v[n] = owner(c);
		gz_sock_ref(v[n++]);
	}
	pthread_mutex_unlock(&ports.lock);
	return n;
}

bool gz_port_udp(struct gz_end end)
{
	struct gz_claim *c, at = {.end = end};
	bool found = false;

	pthread_mutex_lock(&ports.lock);
	LIST_FOREACH(c, &ports.claims[1][ntohs(end.port)], next)
	found = found || overlap(c, &at);
	pthread_mutex_unlock(&ports.lock);
	return found;
}

void gz_claim_move(struct gz_sock *s, struct gz_end end)
{
	pthread_mutex_lock(&ports.lock);
	end.port = s->claim.end.port;
	s->claim.end = end;
	pthread_mutex_unlock(&ports.lock);
}

static unsigned bucket(struct gz_end local, struct gz_end peer)
{
	uint64_t x = gz_end_hash(local) * 0x9e3779b97f4a7c15ULL + gz_end_hash(peer);

	return (unsigned)(x >> 40) % FLOW_BUCKETS;
}

static struct gz_flow *find(struct gz_end local, struct gz_end peer)
{
	struct gz_flow *f;

	LIST_FOREACH(f, &ports.flows[bucket(local, peer)], next)
	if (gz_end_equal(f->local, local) && gz_end_equal(f->peer, peer))
		return f;
	return NULL;
}

static bool taken(struct gz_end local, struct gz_end peer)
{
	return find(local, peer);
}

struct gz_worker *gz_flow_worker(struct gz_end local, struct gz_end peer)
{
	struct gz_worker *w;
	struct gz_flow *f;

	pthread_mutex_lock(&ports.lock);
	f = find(local, peer);
	w = f ? f->worker : NULL;
	pthread_mutex_unlock(&ports.lock);
	return w;
}

static bool bound_exclusively(uint16_t port)
{
	return !LIST_EMPTY(&ports.claims[0][port]);
}

struct gz_flow *gz_flow_add(struct gz_end local, struct gz_end peer, uint32_t narrow,
			    struct gz_worker *w, int *err)
{
	uint32_t lo, span, start, i;
	in_port_t second = 0; /* free, but packets to it come to another worker first */
	struct gz_flow *f = calloc(1, sizeof(*f));

	if (!f) {
		*err = -ENOMEM;
		return NULL;
	}
	*err = -EADDRNOTAVAIL;
	pthread_mutex_lock(&ports.lock);
	if (local.port) {
		if (taken(local, peer))
			goto fail;
	} else {
		range_of(narrow, &lo, &span);
		start = random32() % span;
		for (i = 0; i < span; i++) {
			uint16_t port = (uint16_t)(lo + (start + i) % span);

			local.port = htons(port);
			/* The other way round: a peer in this stack may be in
			 * TIME_WAIT where this end is not. */
			if (bound_exclusively(port) || taken(local, peer) || taken(peer, local))
				continue;
			if (gz_spread_is(w, local, peer))
				break;
			second = local.port;
		}
		if (i == span) {
			local.port = second;
			if (!second)
				goto fail;
		}
	}
	f->local = local;
	f->peer = peer;
	f->worker = w;
	LIST_INSERT_HEAD(&ports.flows[bucket(local, peer)], f, next);
	LIST_INSERT_HEAD(&ports.of_port[ntohs(local.port)], f, by_port);
	ports.nflows[ntohs(local.port)]++;
	f->holds_port = true;
	pthread_mutex_unlock(&ports.lock);
	*err = 0;
	return f;
fail:
	pthread_mutex_unlock(&ports.lock);
	free(f);
	return NULL;
}

static void set_reuse(struct gz_flow *f, bool reuseaddr, bool reuseport)
{
	unsigned port = ntohs(f->local.port);

	ports.nreuseaddr[port] += (uint32_t)reuseaddr - f->reuseaddr;
	ports.nreuseport[port] += (uint32_t)reuseport - f->reuseport;
	f->reuseaddr = reuseaddr;
	f->reuseport = reuseport;
}

void gz_flow_options(struct gz_flow *f, const struct gz_options *o)
{
	pthread_mutex_lock(&ports.lock);
	f->v6only = o->v6only;
	if (f->holds_port)
		set_reuse(f, o->reuseaddr, o->reuseport);
	pthread_mutex_unlock(&ports.lock);
}

void gz_flow_leave_port(struct gz_flow *f)
{
	pthread_mutex_lock(&ports.lock);
	if (f->holds_port) {
		LIST_REMOVE(f, next);
		LIST_REMOVE(f, by_port);
		set_reuse(f, false, false);
		ports.nflows[ntohs(f->local.port)]--;
		f->holds_port = false;
		left(false, ntohs(f->local.port));
	}
	pthread_mutex_unlock(&ports.lock);
}

void gz_flow_del(struct gz_flow *f)
{
	gz_flow_leave_port(f);
	free(f->syn);
	free(f);
}

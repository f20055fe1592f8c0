/* SPDX-License-Identifier: BSD-3-Clause
 *
 * connect.c - connect(), and what undoes it
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/address.h"
#include "engine/calls.h"
#include "engine/iface.h"
#include "engine/log.h"
#include "engine/ports.h"
#include "engine/reaper.h"
#include "engine/service.h"
#include "engine/shadow.h"
#include "engine/spread.h"
#include "engine/stale.h"
#include "engine/swap.h"
#include "engine/twin.h"
#include "engine/worker.h"

/* Fill the shadow's send buffer from the application's end: it is not writable.
 * Return: bytes sent */
static uint32_t fill(int fd)
{
	static const uint8_t zeros[65536];
	uint32_t sum = 0;
	ssize_t n;

	while ((n = send(fd, zeros, sizeof(zeros), MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
		sum += (uint32_t)n;
	return sum;
}

/* tcp_disconnect(): a port that bind() chose stays (SOCK_BINDPORT_LOCK), or got after the end. */
static void hand_port(struct gz_sock *from, struct gz_sock *to)
{
	bool over = gz_sock_state(from) == GZ_FAILED || gz_sock_state(from) == GZ_CLOSED;

	if (!from->claim.held || !(from->chose_port || over))
		return;
	gz_claim_hand(from, to);
	gz_twin_hand(from, to);
	to->chose_port = from->chose_port;
	from->chose_port = false;
	if (gz_sock_state(to) != GZ_FRESH)
		return;
	to->local = to->claim.end;
	gz_sock_set_state(to, GZ_BOUND);
}

int gz_renew(struct gz_call_ctx *c)
{
	struct gz_sock *old = c->s, *s = gz_sock_new(c->sv->client, old->family);
	uint64_t name;
	bool watched;
	ino_t ino;
	int fd, err;

	if (!s)
		return -ENOBUFS;
	fd = gz_shadow_new(gz_file_flags(c->fd) & O_NONBLOCK ? SOCK_NONBLOCK : 0, &name, &ino);
	if (fd < 0) {
		gz_sock_unref(s);
		return fd;
	}
	s->named = true;
	s->name = name;
	s->opt = old->opt;
	s->last_port = old->local.port;
	s->chose = old->chose;
	gz_options_natively(&s->opt, fd);
	gz_table_add(s, ino);
	gz_plane_fresh(s, true);
	hand_port(old, s);
	err = gz_swap_file(c, fd, &watched);
	if (err) {
		hand_port(s, old);
		close(fd);
		gz_reaper_close(s);
		gz_sock_unref(s);
		return err;
	}
	gz_plane_renumber(old);
	atomic_store(&s->ring.loud, watched);
	close(c->fd);
	c->fd = fd;
	gz_stale_note(c, old, old->ino, fd);
	c->s = s;
	gz_reaper_watch(s, true);
	gz_sock_unref(old);
	return 0;
}

/* It listens no more, who waits gets EINVAL. */
static void stop_listening(struct gz_call_ctx *c)
{
	struct gz_call_ctx *p;
	struct gz_sock *s = c->s;

	gz_plane_listen_no_more(s);
	pthread_mutex_lock(&s->lock);
	gz_sock_set_state(s, GZ_BOUND);
	gz_claim_unlisten(s);
	gz_twin_unlisten(s);
	pthread_mutex_unlock(&s->lock);
	TAILQ_FOREACH(p, &c->sv->parked, entry)
	{
		if (p->s == s) {
			p->events = POLLIN | POLLOUT; /* looked at again at once */
			p->deadline = 1;
			p->on_deadline = -EINVAL;
		}
	}
	gz_post(&(struct gz_msg){.op = GZ_OP_UNLISTEN, .sock = s, .fd = -1});
}

/* Another socket has a listener's place: nothing is bound to this one any more. */
static void unbind(struct gz_sock *s)
{
	pthread_mutex_lock(&s->lock);
	gz_twin_close(s);
	gz_claim_drop(s);
	/* Its address stays: by that the worker, which is yet to hear of it, finds the listener. */
	if (gz_sock_state(s) == GZ_BOUND)
		gz_sock_set_state(s, GZ_FRESH);
	pthread_mutex_unlock(&s->lock);
}

int64_t gz_disconnect(struct gz_call_ctx *c)
{
	struct gz_sock *s = c->s;
	struct linger linger;
	enum gz_state was;
	int err;

	switch (gz_sock_state(s)) {
	case GZ_FRESH:
	case GZ_BOUND:
		return 0;
	case GZ_LISTENING:
		stop_listening(c);
		gz_sock_ref(s);
		if (!gz_renew(c))
			unbind(s);
		gz_sock_unref(s);
		return 0;
	default:
		break;
	}
	pthread_mutex_lock(&s->lock);
	linger = s->opt.linger;
	s->opt.linger = (struct linger){.l_onoff = 1, .l_linger = 0};
	pthread_mutex_unlock(&s->lock);
	gz_post(&(struct gz_msg){.op = GZ_OP_OPTIONS, .sock = s, .fd = -1});
	was = gz_sock_state(s);
	err = gz_renew(c);
	if (err)
		return err;
	c->s->opt.linger = linger;
	if (was == GZ_ESTABLISHED || was == GZ_CONNECTING)
		atomic_store(&c->s->error, ECONNRESET);
	return 0;
}

/* A port that is chosen already leads to one worker, else they take turns. */
static struct gz_worker *choose_worker(struct gz_end local, struct gz_end peer)
{
	static _Atomic unsigned turn;

	return gz_workers[local.port ? gz_spread(local, peer)
				     : atomic_fetch_add(&turn, 1) % gz_nworkers];
}

#define REUSE_TRIES 400 /* of half a millisecond */

/*
 * The four-tuple of a connection that was closed a moment ago: close() has returned, but
 * the worker has yet to see it, and the last ACK to come.  With a peer on this host that
 * is over in no time, as with the kernel; with another one it is not for the kernel either.
 */
static struct gz_flow *new_flow(struct gz_sock *s, struct gz_end local, struct gz_end peer,
				int *err)
{
	struct timespec pause = {.tv_nsec = 500000};
	struct gz_worker *w = choose_worker(local, peer);
	struct gz_flow *f;

	for (int tries = 0;; tries++) {
		f = gz_flow_add(local, peer, (uint32_t)s->opt.port_range, w, err);
		if (f || !local.port || *err != -EADDRNOTAVAIL || !gz_addr_is_local(peer) ||
		    tries == REUSE_TRIES)
			return f;
		nanosleep(&pause, NULL);
	}
}

/* Start a connection by @msg; @s locked.  Return: 0 or -errno */
static int start_connect(struct gz_call_ctx *c, struct gz_end peer, bool nonblock,
			 struct gz_msg *msg)
{
	struct gz_sock *s = c->s;
	struct gz_end local = s->local;
	struct gz_flow *f;
	struct gz_msg m = {.op = GZ_OP_CONNECT, .sock = s};
	int err;

	if (gz_sock_state(s) == GZ_FRESH)
		local = s->chose;
	if (gz_end_is_any(local)) {
		uint16_t port = local.port;

		local = gz_addr_source_at(peer, s->opt.at);
		local.port = port;
	}
	/* Loopback's addresses do not leave the host (__ip_route_output_key()). */
	if (gz_addr_is_loopback(local) && !gz_addr_is_local(peer))
		return -EINVAL;
	if (!gz_addr_scope_fits(peer, s->opt.at))
		return -EINVAL;
	/* One that IP_FREEBIND let be bound is nobody's to send from. */
	if (!gz_addr_is_local(local) || !gz_addr_routed_at(peer, s->opt.at))
		return -ENETUNREACH;
	f = new_flow(s, local, peer, &err);
	if (!f)
		return err;
	gz_flow_options(f, &s->opt);
	m.fd = gz_shadow_join(c->fd);
	if (m.fd < 0) {
		gz_flow_del(f);
		return m.fd;
	}
	m.flow = f;
	m.prefix = nonblock ? fill(c->fd) : 0;
	if (!m.prefix) {
		if (send(c->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1)
			gz_debug("no sentinel: %s", strerror(errno));
		m.prefix = 1;
	}
	s->local = f->local;
	s->peer = peer;
	s->worker = f->worker;
	s->connect_reported = !nonblock;
	atomic_store(&s->error, 0);
	gz_sock_set_state(s, GZ_CONNECTING);
	if (gz_plane_fresh(s, false))
		gz_plane_ask_anew(s->client);
	if (gz_file_flags(c->fd) & O_ASYNC)
		gz_off_sock(s, GZ_OFF_CALL);
	else if (c->sv->client == s->client)
		gz_plane_give(s, false, nonblock);
	gz_plane_seen(s, c->tid, (int)c->args[0]);
	if (nonblock) {
		atomic_store(&s->parked, 0);
	} else {
		atomic_store(&s->parked_fd, c->sv->client->listener);
		atomic_store(&s->parked_wake, c->sv->client->wake);
		atomic_store(&s->parked, c->id);
	}
	*msg = m;
	return 0;
}

/*
 * The worker takes the lock at once: it must not have to wait for it.  Return: 0 or -errno, and
 * nothing is under way
 */
static int post_connect(struct gz_sock *s, const struct gz_msg *m)
{
	int err = gz_post(m);

	if (!err)
		return 0;
	atomic_store(&s->parked, 0);
	close(m->fd);
	gz_flow_del(m->flow);
	pthread_mutex_lock(&s->lock);
	gz_sock_set_state(s, GZ_FAILED);
	pthread_mutex_unlock(&s->lock);
	return err;
}

/* A blocking connect() waits for the worker's answer. */
static int64_t wait_connect(struct gz_call_ctx *c)
{
	/* Nothing of the application's may be held, its last close must show. */
	close(c->fd);
	c->fd = -1;
	c->events = 0;
	c->deadline = gz_deadline_of(&c->s->opt.sndtimeo);
	c->on_deadline = -EINPROGRESS;
	return GZ_WAIT;
}

/* As __inet_stream_connect() asks before it looks at the address. */
static bool may_connect(struct gz_sock *s)
{
	enum gz_state st = gz_sock_state(s);

	return st == GZ_FRESH || st == GZ_BOUND || (st == GZ_FAILED && s->connect_reported);
}

/*
 * What tcp_v4_connect() and tcp_v6_connect() say of an address, in their order, @err
 * being what was wrong with its length.  Changes an unspecified @peer to this host.
 */
static int check_peer(struct gz_sock *s, int err, sa_family_t family, enum gz_whose whose,
		      struct gz_end *peer)
{
	/* A bind() whose port is gone has left its address. */
	struct gz_end local = gz_sock_state(s) == GZ_FRESH ? s->chose : s->local;

	if (err)
		return err;
	if (family != s->family)
		return -EAFNOSUPPORT;
	/* There is no TCP to a group or to everybody. */
	if (whose == GZ_OURS && gz_addr_to_many(*peer))
		return -ENETUNREACH;
	/* A mapped source with a native peer: ip6_dst_lookup_tail(). */
	if (family == AF_INET6 && s->opt.v6only && gz_end_is_v4(*peer))
		return -ENETUNREACH;
	if (gz_end_is_any(*peer)) { /* this host */
		if (gz_end_is_v4(*peer) || gz_end_is_v4(local))
			*peer = gz_end_v4(htonl(INADDR_LOOPBACK), peer->port);
		else
			peer->addr = in6addr_loopback;
	}
	if (!gz_end_is_v4(*peer) && gz_end_is_v4(local) && family == AF_INET6)
		return -EAFNOSUPPORT;
	return 0;
}

/* Has bind() given it an address that the stack alone has?  The kernel cannot send from there. */
static bool has_stacks_address(struct gz_call_ctx *c)
{
	struct gz_end chose = c->s->chose;

	return !gz_end_is_any(chose) && !gz_addr_is_loopback(chose) && gz_addr_is_local(chose) &&
	       !gz_addr_kernel_has(c->tid, chose);
}

/* What a connect() came to, to whoever asks; the socket is as new then.  @c->s is locked. */
static int64_t report(struct gz_call_ctx *c)
{
	int err = gz_plane_take_error(c->s);

	c->s->connect_reported = true;
	pthread_mutex_unlock(&c->s->lock);
	gz_renew(c);
	/* SO_ERROR told it, __inet_stream_connect() knows no more. */
	return err ? -err : -ECONNABORTED;
}

static bool take_back(struct gz_call_ctx *c)
{
	uint64_t id = c->id;

	return atomic_compare_exchange_strong(&c->s->parked, &id, 0);
}

int64_t gz_do_connect(struct gz_call_ctx *c)
{
	struct gz_sock *s = c->s;
	struct gz_end peer = {0};
	struct gz_verdict v = {0};
	sa_family_t family = AF_UNSPEC;
	enum gz_whose whose = GZ_OURS;
	bool nonblock = gz_file_flags(c->fd) & O_NONBLOCK;
	int len = (int)c->args[2], err;
	struct gz_msg m;
	int64_t r;

	err = gz_addr_read(c, &peer, &family, &whose);
	if (err && (err != -EINVAL || len < (int)sizeof(family) || len > GZ_ADDR_MAX))
		return err;
	if (!err && family == AF_UNSPEC)
		return gz_disconnect(c);
	if (may_connect(s)) {
		err = check_peer(s, err, family, whose, &peer);
		if (err)
			return err;
		/* Without the lock: this reads files of the program's. */
		if (whose == GZ_KERNELS)
			gz_policy_is(c, GZ_DIR_CONNECT, IPPROTO_TCP, peer, GZ_WHY_FAMILY, &v);
		else
			gz_policy_ask(c, GZ_DIR_CONNECT, IPPROTO_TCP, peer, &v);
		if (v.whose == GZ_KERNELS && has_stacks_address(c))
			gz_policy_is(c, GZ_DIR_CONNECT, IPPROTO_TCP, peer, GZ_WHY_BIND, &v);
	}

	pthread_mutex_lock(&s->lock);
	switch (gz_sock_state(s)) {
	case GZ_FAILED:
		/* An outcome that nobody asked for yet comes first. */
		if (!s->connect_reported)
			return report(c);
		pthread_mutex_unlock(&s->lock);
		r = gz_renew(c);
		if (r)
			return r;
		s = c->s;
		pthread_mutex_lock(&s->lock);
		/* fall through */
	case GZ_FRESH:
	case GZ_BOUND:
		if (v.whose == GZ_KERNELS) {
			pthread_mutex_unlock(&s->lock);
			return gz_swap_to_kernel(c, &v);
		}
		if (!peer.port) {
			r = -ECONNREFUSED;
			break;
		}
		/* A rule may take what the stack cannot reach. */
		if (!gz_addr_is_local(peer) && !gz_addr_routed(peer)) {
			r = -ENETUNREACH;
			break;
		}
		s->verdict = v;
		r = start_connect(c, peer, nonblock, &m);
		if (r)
			break;
		r = nonblock ? -EINPROGRESS : wait_connect(c);
		pthread_mutex_unlock(&s->lock);
		err = post_connect(s, &m);
		return err ? err : r;
	case GZ_CONNECTING:
		if (nonblock) {
			r = -EALREADY;
			break;
		}
		if (atomic_load(&s->parked)) {
			/* The worker answers one; this one looks for itself. */
			c->follows = true;
			r = wait_connect(c);
			break;
		}
		atomic_store(&s->parked_fd, c->sv->client->listener);
		atomic_store(&s->parked_wake, c->sv->client->wake);
		atomic_store(&s->parked, c->id);
		/* It may have ended between the look and the parking. */
		if (gz_sock_state(s) == GZ_FAILED && take_back(c))
			return report(c);
		r = wait_connect(c);
		if (gz_sock_state(s) == GZ_ESTABLISHED)
			gz_relay_answer(s, 0);
		break;
	case GZ_ESTABLISHED:
		r = s->connect_reported ? -EISCONN : 0;
		s->connect_reported = true;
		break;
	default:
		r = -EISCONN;
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * relay.c - Bytes between a socket's rings and its shadow
 *
 * Theory of operation.  The engine's end of a shadow is a non-blocking AF_UNIX
 * stream.  What the application writes is *peeked* (MSG_PEEK with SO_PEEK_OFF)
 * into the tx ring and taken later, in bulk, and never to the last byte:
 * whenever the engine closes its end, at least one byte lies unread in it, so
 * the kernel gives the application ECONNRESET (unix_release_sock()).  A graceful
 * end takes that byte first.  The byte that starts this is a sentinel which the
 * engine itself sends through the application's end: the last filler byte of a
 * connect, or one byte at accept().
 *
 *   FIN from the peer   shutdown(end, SHUT_WR): the application reads EOF
 *   RST from the peer   close(end) with the sentinel unread: ECONNRESET
 *   EOF from the app    it called shutdown(SHUT_WR): FIN after the last byte
 *   HUP from the app    last close: FIN, or RST when it left bytes unread
 *
 * HUP is ambiguous once both sides have shut down; then the reaper decides.
 */
#include <assert.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/calls.h"
#include "engine/client.h"
#include "engine/counters.h"
#include "engine/log.h"
#include "engine/plane_inner.h"
#include "engine/reaper.h"
#include "engine/twin.h"
#include "engine/urgent.h"
#include "engine/worker.h"

/*
 * Peeked bytes that may lie at the end.  Each may be a message of its own, and
 * counts with 768 bytes against the application's send buffer, see GZ_SHADOW_SNDBUF.
 */
#define LAG_BYTES 20
#define TX_LEAST 4096u /* of the tx ring, whatever SO_SNDBUF: more than a segment */
#define LARGER(a, b) ((a) > (b) ? (a) : (b))
#define FAIL_REST (96 * 1024) /* of a filler: still not writable */

#define WAKE_MAX 4096
#define BELLS 8 /* so many pieces of them at a time */

static uint8_t scrap[65536];

void gz_relay_answer(struct gz_sock *s, int error)
{
	uint64_t id = atomic_exchange(&s->parked, 0);
	struct seccomp_notif_resp r = {.id = id, .error = -error};

	if (id && ioctl(atomic_load(&s->parked_fd), SECCOMP_IOCTL_NOTIF_SEND, &r) < 0)
		gz_count(GZ_C_GONE);
}

/* Take @n bytes that were peeked before. */
static void take_lag(struct gz_sock *s, uint32_t n)
{
	while (n) {
		ssize_t k =
		    recv(s->end_fd, scrap, n < sizeof(scrap) ? n : sizeof(scrap), MSG_DONTWAIT);

		if (k <= 0)
			break;
		n -= (uint32_t)k;
		s->lag -= (uint32_t)k;
	}
}

int gz_relay_attach(struct gz_worker *w, struct gz_sock *s)
{
	struct epoll_event e = {
	    .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
	    .data.ptr = s,
	};
	int one = 1;

	/* The first byte is the sentinel: skip it, leave it. */
	if (setsockopt(s->end_fd, SOL_SOCKET, SO_PEEK_OFF, &one, sizeof(one)) < 0)
		return -errno;
	s->lag = 1;
	gz_relay_buffers(s);
	s->can_read = s->can_write = true;
	gz_reaper_watch(s, false);
	if (epoll_ctl(w->relay_ep, EPOLL_CTL_ADD, s->end_fd, &e) < 0)
		return -errno;
	return 0;
}

void gz_relay_buffers(struct gz_sock *s)
{
	int n = s->opt.rcvbuf / 2; /* the kernel doubles it */

	/* What the application has not read counts against the writer in AF_UNIX. */
	if (s->opt.rcvbuf_set && s->end_fd >= 0)
		setsockopt(s->end_fd, SOL_SOCKET, SO_SNDBUF, &n, sizeof(n));
}

/* As tcp_stream_memory_free() counts */
static uint32_t not_sent(const struct gz_sock *s)
{
	return (uint32_t)(s->tx.tail - s->tx.mid) + gz_stack_unsent(s);
}

/*
 * Room of the tx ring, as SO_SNDBUF and TCP_NOTSENT_LOWAT bound it.  The shadow itself
 * takes some 300 KB more whatever the options say, see GZ_SHADOW_SNDBUF.
 */
static uint32_t tx_room(struct gz_sock *s)
{
	uint32_t room, used = gz_ring_used(&s->tx), limit;

	if (gz_ring_room(&s->tx) < s->tx.size / 4)
		gz_stack_grow(s);
	room = gz_ring_room(&s->tx);
	if (s->opt.notsent_lowat) {
		limit = (uint32_t)s->opt.notsent_lowat;
		if (not_sent(s) >= limit)
			return 0;
		limit = LARGER(limit - not_sent(s), TX_LEAST);
		room = room < limit ? room : limit;
	}
	if (!s->opt.sndbuf_set)
		return room;
	limit = LARGER((uint32_t)s->opt.sndbuf / 2, TX_LEAST);
	if (used >= limit)
		return 0;
	return room < limit - used ? room : limit - used;
}

/* @reset: the application sees ECONNRESET; else a quiet EOF. */
static void close_end(struct gz_sock *s, bool reset)
{
	if (s->end_fd < 0)
		return;
	if (!reset) {
		/* Whatever is unread would read as a reset. */
		s->lag = UINT32_MAX;
		take_lag(s, UINT32_MAX);
	}
	close(s->end_fd); /* leaves the epoll by itself */
	s->end_fd = -1;
	gz_plane_ended(s, true);
	if (!s->app_gone)
		gz_reaper_watch(s, true);
}

void gz_relay_connected(struct gz_worker *w, struct gz_sock *s)
{
	/* First the state: who sees the shadow writable must find it connected. */
	gz_sock_set_state(s, GZ_ESTABLISHED);
	gz_count(GZ_C_CONNECTED);
	gz_plane_connected(s);
	/* The filler kept the shadow from polling writable; one byte remains. */
	s->lag = s->prefix;
	take_lag(s, s->prefix - 1);
	atomic_store(&s->has_sentinel, true);
	if (gz_relay_attach(w, s) < 0) {
		s->reset = true;
		atomic_store(&s->error, ENOMEM);
	}
	s->deadline = 0;
	gz_worker_connected(w, s);
	gz_worker_dirty(w, s);
}

/* TCP_CLOSE comes.  Before the state, for bind() may take another one then. */
static void give_port_back(struct gz_sock *s)
{
	if (s->chose_port) /* SOCK_BINDPORT_LOCK */
		return;
	gz_twin_close(s);
	gz_claim_drop(s);
}

void gz_relay_failed(struct gz_worker *w, struct gz_sock *s, int error)
{
	bool waited = atomic_load(&s->parked);
	const uint64_t one = 1;

	gz_count(GZ_C_CONNECT_FAILED);
	atomic_store(&s->error, error);
	/* Whoever sees that it failed may bind() what it had. */
	if (s->flow)
		gz_flow_leave_port(s->flow);
	give_port_back(s);
	gz_sock_set_state(s, GZ_FAILED);
	if (!waited && s->end_fd >= 0 && s->prefix > FAIL_REST) {
		/* close() shows the error first and frees the filler then: with
		 * little left, writability comes with the error, as with TCP. */
		s->lag = s->prefix;
		take_lag(s, s->prefix - FAIL_REST);
	}
	gz_plane_failed(s);
	close_end(s, !waited);
	s->deadline = 0;
	/* The service makes the socket as new before it answers. */
	if (waited && write(atomic_load(&s->parked_wake), &one, sizeof(one)) < 0)
		gz_debug("socket %lu: %s", (unsigned long)s->id, strerror(errno));
	gz_worker_dirty(w, s);
}

/*
 * A fresh connection to a listener's shadow, for @id.  -errno or fd
 * @s:	The socket, if it is its first.  What an agent accepts is known by the other end's
 *	name, and who has it by its credentials.
 */
static int knock(struct gz_sock *listener, uint64_t id, const struct gz_sock *s)
{
	struct gz_knock k = {.id = id, .slot = s && s->offered_by ? (uint32_t)s->ring.i : GZ_SLOTS};
	bool agents = s && listener->ring.i >= 0;
	struct sockaddr_un a, own;
	socklen_t len = gz_shadow_name(&a, listener->name), own_len;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err, on = 1;

	if (fd < 0)
		return -errno;
	own_len = gz_shadow_name(&own, GZ_NAME_KNOCK | id);
	gz_plane_offered(listener, false);
	if ((agents && bind(fd, (struct sockaddr *)&own, own_len) < 0) ||
	    connect(fd, (struct sockaddr *)&a, len) < 0 ||
	    (agents && setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0) ||
	    send(fd, &k, sizeof(k), MSG_NOSIGNAL) != sizeof(k)) {
		err = errno;
		close(fd);
		return -err;
	}
	return fd;
}

void gz_relay_wake(struct gz_sock *l)
{
	uint32_t most = gz_plane_accepting(l); /* now: who wakes is counted no more */

	for (uint32_t n = 0; n <= most && n <= WAKE_MAX; n++)
		if (gz_relay_reoffer(l, 0) < 0)
			break;
}

/* So many bytes of the rx ring are where the application finds them. */
static void passed_to_app(struct gz_sock *s, uint32_t n)
{
	uint32_t past = n < s->ring.rx_past ? n : s->ring.rx_past;

	if (!n)
		return;
	atomic_store_explicit(&s->unread, gz_ring_used(&s->rx), memory_order_relaxed);
	s->ring.rx_past -= past;
	if (n > past)
		gz_stack_received(s, n - past);
}

void gz_relay_offer(struct gz_worker *w, struct gz_sock *l, struct gz_sock *s)
{
	int fd;

	if (gz_plane_prepare(l, s)) {
		gz_sock_ref(l);
		s->offered_by = l;
		s->join_due = true;
		gz_worker_dirty(w, s);
		/* What it has waited for (TCP_DEFER_ACCEPT) is there when it is accepted. */
		passed_to_app(s, gz_plane_to_app(s));
	}
	/* First on the list, then visible: accept() must find it. */
	gz_sock_ref(s);
	gz_sock_ref(l);
	pthread_mutex_lock(&l->lock);
	s->listener = l;
	TAILQ_INSERT_TAIL(&l->pending, s, pending_entry);
	pthread_mutex_unlock(&l->lock);
	fd = knock(l, s->id, s);
	if (fd >= 0) {
		s->end_fd = fd;
		if (gz_relay_attach(w, s) == 0)
			return;
	}
	gz_debug("socket %lu: cannot be offered to socket %lu: %s", (unsigned long)s->id,
		 (unsigned long)l->id, fd < 0 ? strerror(-fd) : "not watched");
	gz_accept_unoffer(s);
	pthread_mutex_lock(&l->lock);
	if (s->listener) {
		TAILQ_REMOVE(&l->pending, s, pending_entry);
		s->listener = NULL;
		atomic_fetch_sub(&l->queued, 1);
		gz_sock_unref(l);
		gz_sock_unref(s);
	}
	pthread_mutex_unlock(&l->lock);
	/* Linux resets what a closed listener leaves (inet_csk_listen_stop()). */
	s->app_gone = s->hup = s->reset = true;
	gz_worker_dirty(w, s);
}

int gz_relay_reoffer(struct gz_sock *l, uint64_t id)
{
	int fd = knock(l, id, NULL);

	if (fd < 0)
		return fd;
	close(fd); /* the token and its id stay in the queue */
	return 0;
}

void gz_relay_event(struct gz_sock *s, uint32_t events)
{
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		s->can_read = true;
	if (events & EPOLLOUT)
		s->can_write = true;
	if (events & EPOLLRDHUP)
		s->rdhup = true;
	if (events & EPOLLHUP)
		s->hup = s->can_read = true;
}

/* What the slot's ring held when the socket left it.  Return: nothing of it is left */
static bool rest_to_app(struct gz_sock *s)
{
	struct iovec v[2];
	struct msghdr m = {.msg_iov = v};
	uint32_t sum = 0; /* who puts its position back would be given the same for ever */
	ssize_t n;

	while ((m.msg_iovlen = (size_t)gz_plane_rest(s, v)) && s->can_write && sum < GZ_SLOT_RING) {
		n = sendmsg(s->end_fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0) {
			s->can_write = errno != EAGAIN;
			return false;
		}
		gz_plane_rest_taken(s, (uint32_t)n);
		sum += (uint32_t)n;
	}
	return !m.msg_iovlen;
}

/* Bytes that the application cannot have yet, wherever they are */
static bool rx_left(struct gz_sock *s)
{
	return gz_ring_used(&s->rx) ||
	       (!gz_plane_is_ring(s) && !atomic_load(&s->ring.orphan) && gz_plane_unread(s));
}

/* rx ring -> application */
static void to_app(struct gz_sock *s)
{
	bool lost = s->end_fd < 0 || s->app_gone;
	uint32_t done = 0;

	if (!lost && (atomic_load(&s->hold) || (!gz_plane_is_ring(s) && !rest_to_app(s))))
		return;
	if (!lost && gz_plane_is_ring(s))
		done = gz_plane_to_app(s);
	while (gz_ring_used(&s->rx) && (lost || !gz_plane_is_ring(s))) {
		struct iovec v[2];
		struct msghdr m = {.msg_iov = v};
		uint32_t len;
		int urgent;
		ssize_t n;

		if (lost) {
			n = gz_ring_used(&s->rx); /* nobody will read it */
		} else {
			if (!s->can_write)
				break;
			len = gz_ring_used(&s->rx);
			urgent = gz_urgent_bound(s, &len);
			m.msg_iovlen = (size_t)gz_ring_iov(&s->rx, s->rx.head, len, v);
			n = sendmsg(s->end_fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL | urgent);
			if (n < 0) {
				if (errno == EAGAIN) {
					s->can_write = false;
					break;
				}
				if (errno == EOPNOTSUPP && urgent) {
					gz_urgent_unknown(s);
					continue;
				}
				/* Else HUP follows, and decides. */
				if (errno != EPIPE || !atomic_load(&s->app_shut_rd))
					break;
				n = gz_ring_used(&s->rx); /* nobody can read it */
			} else {
				s->urgent.marked |= urgent != 0;
				gz_add(GZ_C_RELAY_RX, (uint64_t)n);
			}
		}
		gz_ring_consume(&s->rx, (uint32_t)n);
		gz_urgent_passed(s, (uint32_t)n);
		done += (uint32_t)n;
	}
	passed_to_app(s, done);
}

/*
 * Peek at what the application sent, at most @room bytes.  Return: how many; with
 * none, what happened was noted: s->end_eof, s->app_gone, or nothing.
 */
static uint32_t peek_end(struct gz_sock *s, struct msghdr *m, uint32_t room)
{
	struct pollfd p = {.fd = s->end_fd, .events = POLLIN};
	ssize_t n = recvmsg(s->end_fd, m, MSG_DONTWAIT | MSG_PEEK);

	if (n > 0) {
		s->lag += (uint32_t)n;
		if (s->lag > LAG_BYTES)
			take_lag(s, s->lag - 1);
		/* Drained: the next byte is an edge.  But an end of file whose
		 * edge came together with bytes' is read to. */
		if ((uint32_t)n < room && !s->hup && !s->rdhup && !atomic_load(&s->app_shut_wr))
			s->can_read = false;
		return (uint32_t)n;
	}
	if (n == 0) {
		s->end_eof = true;
		/* A last close, whose event is on its way?  It must be known
		 * before the FIN: with a zero linger it is a RST instead. */
		if (!s->hup && poll(&p, 1, 0) > 0 && p.revents & POLLHUP)
			s->hup = true;
		/* Who has it and is no client shuts it with nobody being asked. */
		if (!s->hup)
			atomic_store(&s->app_shut_wr, true);
	} else if (errno == EAGAIN) {
		s->can_read = false;
	} else if (errno == ECONNRESET && gz_plane_is_ring(s) && !s->offered_by) {
		s->end_eof = s->hup = true; /* it left a token; the ring knows of bytes */
	} else if (errno == ECONNRESET) {
		/* It closed and left bytes unread: TCP answers with RST. */
		s->end_eof = s->app_eof = s->app_gone = s->reset = true;
	} else if (errno != EINTR) {
		s->end_eof = true;
	}
	return 0;
}

/* A bell may be about a slot of another worker's: who rings has the socket at hand alone. */
static void pass_bell(const struct gz_sock *s)
{
	gz_workers_wake(gz_plane_oversleepers(s->client->plane) & ~(1U << gz_worker.index));
}

/* Bytes that are no data: bells (plane.c) */
static void peek_bells(struct gz_sock *s)
{
	struct iovec v = {scrap, sizeof(scrap)};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	if (s->can_read && gz_nworkers > 1)
		pass_bell(s);
	/* No more than a program can send in a round, or it could hold the worker. */
	for (int i = 0; i < BELLS && s->can_read && !s->end_eof && s->end_fd >= 0; i++)
		gz_add(GZ_C_RING_BELLS, peek_end(s, &m, sizeof(scrap)));
	if (s->can_read && !s->end_eof && s->end_fd >= 0)
		gz_worker_dirty(&gz_worker, s);
}

void gz_relay_skip(struct gz_sock *s)
{
	s->can_read = true;
	peek_bells(s);
}

/* Slot's ring -> tx ring.  Return: it is empty */
static bool from_ring(struct gz_sock *s)
{
	bool empty;

	if (s->ring.joined && gz_join_move(s))
		return !gz_plane_untaken(s);
	if (gz_plane_untaken(s) && !gz_ring_ready(&s->tx, GZ_TX_RING)) {
		gz_stack_no_memory(s);
		return false;
	}
	empty = gz_plane_from_app(s, s->tx.data ? tx_room(s) : 0);
	atomic_store_explicit(&s->unsent, gz_ring_used(&s->tx), memory_order_relaxed);
	return empty;
}

static bool has_error(int fd)
{
	socklen_t len = sizeof(int);
	int e = 0;

	return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) == 0 && e;
}

/*
 * After its end of file nothing else tells that the application closed and left bytes unread.
 * Return: that is so now
 */
static bool left_unread(struct gz_sock *s)
{
	if (gz_plane_is_ring(s) || s->app_gone || !has_error(s->end_fd))
		return false;
	s->app_gone = s->reset = true;
	return true;
}

/* application -> tx ring */
static void from_app(struct gz_sock *s)
{
	bool ring = gz_plane_is_ring(s);

	/* The end of file first: nothing comes to the ring after it.  Then what a lane still holds.
	 */
	if (ring) {
		peek_bells(s);
		gz_join_calm(s);
	}
	if (s->ring.i >= 0 && !from_ring(s))
		return;
	while (!ring && s->can_read && !s->end_eof && s->end_fd >= 0) {
		struct iovec v[2];
		struct msghdr m = {.msg_iov = v};
		uint32_t room, n;

		if (!gz_ring_ready(&s->tx, GZ_TX_RING)) {
			gz_stack_no_memory(s);
			return;
		}
		room = tx_room(s);
		if (!room)
			return;
		m.msg_iovlen = (size_t)gz_ring_iov(&s->tx, s->tx.tail, room, v);
		n = peek_end(s, &m, room);
		s->tx.tail += n;
		gz_add(GZ_C_RELAY_TX, n);
		atomic_store_explicit(&s->unsent, gz_ring_used(&s->tx), memory_order_relaxed);
	}
	if (s->end_eof)
		s->app_eof = true;
}

/* The peer's reset, after all bytes that came before it. */
static void end_reset(struct gz_sock *s)
{
	/* Without a sentinel it would read as an end of file: accept() brings it,
	 * and looks at the state after that; the fences pair. */
	atomic_thread_fence(memory_order_seq_cst);
	if (!atomic_load(&s->has_sentinel))
		return;
	/*
	 * After a FIN the application reads 0 and writes EPIPE (tcp_reset()).  In the rings the
	 * agent says so, and an epoll that is the kernel's alone can have the shadow's POLLERR.
	 */
	close_end(s, !s->fin_passed || (gz_plane_is_ring(s) && atomic_load(&s->ring.loud)));
}

/* The application has not read all that came: its last close is to find our end open. */
static bool is_unread(struct gz_sock *s)
{
	int n = 0;

	if (gz_plane_is_ring(s))
		return gz_plane_is_being_read(s);
	return ioctl(s->end_fd, SIOCOUTQ, &n) == 0 && n > 0;
}

/* Of a shadow that hung up: both directions are shut, which does not say that it is closed. */
static bool is_shut(struct gz_sock *s)
{
	if (!s->fin_passed && !atomic_load(&s->app_shut_rd))
		return false;
	return atomic_load(&s->app_shut_wr) || (!gz_plane_is_ring(s) && is_unread(s));
}

static void app_closed(struct gz_sock *s)
{
	s->app_gone = true;
	gz_accept_unoffer(s);
	gz_reaper_close(s);
}

/* TCP_DEFER_ACCEPT: does the application hear of @s now?  False: not yet */
static bool undefer(struct gz_worker *w, struct gz_sock *s)
{
	struct gz_sock *l = s->deferred;

	if (s->flow && !gz_ring_used(&s->rx) && !s->fin_received && w->now < s->defer_until)
		return false;
	s->deferred = NULL;
	l->listening[w->index].ndeferred--;
	if (s->flow) {
		gz_relay_offer(w, l, s);
	} else {
		atomic_fetch_sub(&l->queued, 1);
		s->app_gone = true;
	}
	gz_sock_unref(l);
	return true;
}

void gz_relay_pump(struct gz_worker *w, struct gz_sock *s)
{
	enum gz_state st = gz_sock_state(s);

	if (s->deferred && !undefer(w, s))
		return;
	if (s->offered_by) {
		gz_plane_look_accepted(w, s->client);
		if (s->offered_by && !s->listener)
			gz_accept_unoffer(s); /* past the agent */
	}
	if (s->join_due) {
		s->join_due = false;
		gz_join(s);
	}
	gz_join_calm(s);
	if (st == GZ_ESTABLISHED || st == GZ_CLOSED) {
		bool abort_it = false;

		if (st == GZ_ESTABLISHED && gz_stack_is_over(s)) {
			give_port_back(s);
			/* The state first: who reads the end of it must not find it connected. */
			gz_sock_set_state(s, GZ_CLOSED);
			if (!s->flow && !s->app_gone && !s->fin_received)
				s->reset = true;
		}

		if (!s->flow)
			gz_plane_over(s, atomic_load(&s->error));
		gz_arrival_lock(s);
		to_app(s);
		gz_arrival_unlock(s);
		from_app(s);
		/* That resets it, whatever else is to be sent yet. */
		if (s->hup)
			left_unread(s);
		gz_urgent_send(s);
		gz_stack_tx(s);
		/* What was kept back by the low-water mark may go now. */
		if (s->opt.notsent_lowat && s->can_read && s->flow && s->end_fd >= 0 &&
		    !s->end_eof && tx_room(s))
			gz_worker_dirty(w, s);
		if (s->hup && !s->app_gone && gz_plane_is_fading(w, s))
			return;
		if (s->app_gone && s->reset) {
			gz_stack_abort(s); /* bytes were left unread; it may be over already */
			app_closed(s);
		}
		if (s->hup && !s->app_gone && !is_shut(s))
			app_closed(s);
		if (atomic_load(&s->closed))
			s->app_gone = true;
		if (s->app_gone) {
			abort_it = gz_ring_used(&s->rx) != 0 || gz_plane_unread(s) ||
				   (s->opt.linger.l_onoff && !s->opt.linger.l_linger);
			if (abort_it && s->flow)
				gz_stack_abort(s);
			if (s->end_fd < 0)
				s->app_eof = true;
			if (s->flow && s->app_eof && s->tx.mid == s->tx.tail && !s->fin_sent)
				gz_stack_close(s);
			if (s->app_eof || !s->flow)
				close_end(s, gz_plane_is_ring(s) || !s->fin_passed);
			/* lwIP needs nothing of ours any more, FIN and TIME_WAIT are its own. */
			if (s->flow && s->fin_sent && s->end_fd < 0 && !gz_ring_used(&s->tx))
				gz_stack_detach(s);
			if (!s->in_table && !atomic_load(&s->closed))
				gz_reaper_close(s);
		} else {
			if (s->app_eof && s->tx.mid == s->tx.tail && !s->fin_sent)
				gz_stack_fin(s);
			if (s->reset && !rx_left(s)) {
				end_reset(s);
			} else if ((s->fin_received || atomic_load(&s->app_shut_rd)) &&
				   !rx_left(s) && !s->fin_passed && s->end_fd >= 0) {
				gz_plane_ending(s);
				s->fin_passed = true;
				shutdown(s->end_fd, SHUT_WR);
				gz_plane_ended(s, false);
			}
			/* Both directions are over; the reaper sees the last close. */
			if (s->end_fd >= 0 && !s->reset && s->app_eof && s->fin_passed &&
			    s->fin_sent && !gz_ring_used(&s->tx) && !is_unread(s)) {
				/* It was read, or thrown away by a close in between. */
				if (left_unread(s))
					gz_worker_dirty(w, s);
				else
					close_end(s, false);
			}
		}
	}
	if (!s->flow && s->end_fd < 0 && s->on_worker)
		gz_worker_release(w, s);
}

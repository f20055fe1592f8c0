/* SPDX-License-Identifier: BSD-3-Clause
 *
 * calls.c - Random calls of TCP sockets, and whether they do what the kernel's do
 *
 *	calls record|compare FILE SEED SEQUENCES CALLS MODE
 *
 * As record.h has it.  What can be seen of each socket is what poll() and
 *epoll_wait() say, FIONREAD, and whether it is connected.  Sockets are of both
 *families; some calls are a child's. MODE is `all`, or `relay`: without what
 *AF_UNIX cannot imitate (docs/design.md).
 */
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "record.h"

#define SOCKS 10
#define NAGLE_MS 60
#define BYTES 3000 /* at a time */
#define WAITING                                                                                    \
	16000 /* bytes at most on their way in one direction: there is always room                 \
	       */
#define BACKLOG 8

enum kind { NONE, FRESH, LISTENER, STREAM, FAILED };

struct sock {
	enum kind kind;
	int fd;
	int family;
	bool v6only;
	bool mapped;   /* it has connected by IPv4, or tried */
	bool by4, by6; /* a listener: it is reached over IPv4, over IPv6 */
	bool in_epoll, nonblock;
	unsigned watch, told; /* by epoll: asked for, told since the last call */
	unsigned was;	      /* what poll() said before it, */
	int had;	      /* and FIONREAD */
	bool shut_rd, shut_wr;
	bool left;    /* the rings: it has what AF_UNIX has */
	bool dead;    /* it was reset, or may be */
	int peer;     /* its number, -1: none any more */
	int listener; /* where it waits for accept(), -1 */
	int queue[BACKLOG], queued;
	unsigned waiting; /* bytes that were sent to it, and not read */
	uint64_t sent, got;
	uint16_t port;
};

static struct sock sock[SOCKS];
static uint16_t refusing, refusing6; /* ports that refuse: taken, and nobody listens */
static int epfd;

/* --- what can be seen ---------------------------------------------------------------- */

/* What the kernel's line says of epoll and socket @i, 0: nothing */
static unsigned told_there(const char *want, int i)
{
	char key[16];
	const char *at;
	unsigned told = 0;

	snprintf(key, sizeof(key), " %d:", i);
	at = want ? strstr(want, key) : NULL;
	if (at)
		sscanf(at + strlen(key), "%*x/%x", &told);
	return told;
}

/*
 * An edge is due where something is new, and brings all that is so; more edges do no harm.  A
 * one-shot event has what was there when it came.
 */
static unsigned told_of(struct sock *s, int i, int have, const char *want)
{
	unsigned now = s->told & (~s->was | (have > s->had ? (unsigned)EPOLLIN : 0));
	unsigned there = recording ? now : told_there(want, i);

	if (s->watch & EPOLLONESHOT)
		return s->told != 0;
	if (s->watch & EPOLLET)
		return there & ~s->told ? s->told : there;
	return s->told;
}

static void look(char line[LINE], const char *want)
{
	struct epoll_event ev[SOCKS];
	int n = epoll_wait(epfd, ev, SOCKS, 0), at, inq;
	unsigned told[SOCKS] = {0};

	for (int k = 0; k < n; k++)
		told[ev[k].data.u32] = ev[k].events;
	at = snprintf(line, LINE, "see");
	for (int i = 0; i < SOCKS; i++) {
		struct sockaddr_storage peer;
		socklen_t len = sizeof(peer);
		struct sock *s = &sock[i];

		if (s->kind == NONE)
			continue;
		at += snprintf(line + at, (size_t)(LINE - at), " %d:%x", i, poll_of(s->fd));
		inq = 0;
		if (s->kind == STREAM)
			ioctl(s->fd, FIONREAD, &inq);
		if (s->in_epoll) {
			s->told = s->watch & (EPOLLET | EPOLLONESHOT) ? s->told | told[i] : told[i];
			at += snprintf(line + at, (size_t)(LINE - at), "/%x",
				       told_of(s, i, inq, want));
		}
		if (s->kind == STREAM)
			at += snprintf(line + at, (size_t)(LINE - at), ",%d%s", inq,
				       getpeername(s->fd, (struct sockaddr *)&peer, &len) ? "-"
											  : "+");
	}
}

/* Nagle's algorithm may hold some until a delayed ACK comes. */
static bool on_its_way(void)
{
	int left;

	for (int i = 0; i < SOCKS; i++)
		if (sock[i].kind == STREAM && !ioctl(sock[i].fd, SIOCOUTQ, &left) && left)
			return true;
	return false;
}

static void see(void)
{
	for (int i = 0; i < SOCKS; i++)
		sock[i].told = 0;
	see_by(look, on_its_way, NAGLE_MS);
	for (int i = 0; i < SOCKS; i++) {
		if (sock[i].kind == NONE)
			continue;
		sock[i].was = poll_of(sock[i].fd);
		sock[i].had = 0;
		if (sock[i].kind == STREAM)
			ioctl(sock[i].fd, FIONREAD, &sock[i].had);
	}
}

/* --- the calls ------------------------------------------------------------------------ */

static int pick(bool (*fn)(const struct sock *))
{
	int found[SOCKS], n = 0;

	for (int i = 0; i < SOCKS; i++)
		if (fn(&sock[i]))
			found[n++] = i;
	return n ? found[any((uint32_t)n)] : -1;
}

static bool is_none(const struct sock *s)
{
	return s->kind == NONE;
}
static bool is_any(const struct sock *s)
{
	return s->kind != NONE;
}
static bool is_fresh(const struct sock *s)
{
	return s->kind == FRESH;
}
static bool is_listener(const struct sock *s)
{
	return s->kind == LISTENER;
}
static bool is_waited_for(const struct sock *s)
{
	return s->kind == LISTENER && s->queued;
}
static bool has_room(const struct sock *s)
{
	return s->kind == LISTENER && s->queued < BACKLOG - 2;
}
static bool has_port(const struct sock *s)
{
	return s->kind != NONE && s->port;
}
static bool is_stream(const struct sock *s)
{
	return s->kind == STREAM;
}
static bool is_connectable(const struct sock *s)
{
	return s->kind == FRESH || s->kind == FAILED || s->kind == LISTENER;
}

static void new_socket(void)
{
	int i = pick(is_none);
	struct made m;

	if (i < 0)
		return;
	m = any_socket(i, SOCK_STREAM, 3, 3);
	sock[i] = (struct sock){.kind = FRESH,
				.fd = m.fd,
				.family = m.family,
				.nonblock = m.nonblock,
				.v6only = m.v6only,
				.peer = -1,
				.listener = -1};
}

static void name_port(int i)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);

	getsockname(sock[i].fd, (struct sockaddr *)&a, &len);
	sock[i].port = port_of(&a);
}

static void bind_it(void)
{
	struct sockaddr_storage a;
	int i = pick(any(4) ? is_fresh : is_any), of = pick(has_port), r;
	unsigned where = any(4), which = any(6);
	struct sock *s = &sock[i < 0 ? 0 : i];
	uint16_t port = 0;
	socklen_t len;

	if (i < 0)
		return;
	if (!which)
		port = where == 1 && s->family == AF_INET6 ? refusing6 : refusing;
	else if (which == 1 && of >= 0)
		port = sock[of].port;
	len = where ? address_for(s->family, where == 1, port, &a)
		    : wildcard_for(s->family, port, &a);
	r = bind(s->fd, (struct sockaddr *)&a, len);
	result("bind(%d, %u%s) %s", i, where,
	       !port   ? ""
	       : which ? ", another's port"
		       : ", taken",
	       name_of(r));
	if (!r)
		name_port(i);
}

static void reached_by(int i)
{
	struct sockaddr_storage a;
	const struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a;
	socklen_t len = sizeof(a);
	struct sock *s = &sock[i];

	getsockname(s->fd, (struct sockaddr *)&a, &len);
	if (s->family == AF_INET) {
		s->by4 = true;
		s->by6 = false;
		return;
	}
	s->by4 = IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) ||
		 (IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr) && !s->v6only);
	s->by6 = !IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);
}

static void listen_it(void)
{
	int i = pick(any(4) ? is_fresh : is_any), r;

	/* What it would accept over IPv6 the kernel takes for IPv4 (see connect_it()). */
	if (i < 0 || (sock[i].family == AF_INET6 && sock[i].mapped))
		return;
	r = listen(sock[i].fd, BACKLOG);
	result("listen(%d) %s", i, name_of(r));
	if (r < 0)
		return;
	sock[i].kind = LISTENER;
	name_port(i);
	reached_by(i);
}

/* The other end of its connection is gone. */
static void part(int i, bool reset)
{
	struct sock *s = &sock[i];

	if (s->listener >= 0) {
		/* It stays in the queue, and is accepted all the same. */
		for (int k = 0; k < sock[s->listener].queued; k++)
			if (sock[s->listener].queue[k] == i)
				sock[s->listener].queue[k] = -1;
		return;
	}
	if (s->peer < 0)
		return;
	sock[s->peer].peer = -1;
	sock[s->peer].dead |= reset;
	s->peer = -1;
}

static void forget(int i)
{
	part(i, sock[i].waiting || sock[i].dead);
	if (sock[i].kind == LISTENER)
		for (int k = 0; k < sock[i].queued; k++)
			if (sock[i].queue[k] >= 0) {
				sock[sock[i].queue[k]].dead = true;
				sock[sock[i].queue[k]].listener = -1;
			}
	sock[i].queued = 0;
	sock[i].listener = sock[i].peer = -1;
	sock[i].waiting = 0;
	sock[i].sent = sock[i].got = 0;
	sock[i].shut_rd = sock[i].shut_wr = sock[i].dead = false;
}

static void connect_it(void)
{
	int i = pick(any(8) ? is_fresh : is_connectable), l = pick(has_room), r;
	bool native = any(2);
	struct sockaddr_storage a;
	struct sock *s = &sock[i < 0 ? 0 : i];
	enum kind was;
	socklen_t len;

	if (i < 0 || l == i)
		return;
	native &= s->family == AF_INET6;
	if (l >= 0 && !(native ? sock[l].by6 : sock[l].by4))
		native = s->family == AF_INET6 && sock[l].by6;
	if (l >= 0 && !(native ? sock[l].by6 : sock[l].by4))
		l = -1;
	if (!any(5))
		l = -1;
	/* The kernel's stays a socket of IPv4 inside (ipv6_mapped), and hears no
	 * answer over IPv6. */
	if (native && s->mapped)
		return;
	s->mapped |= !native;
	len = address_for(s->family, native,
			  l >= 0   ? sock[l].port
			  : native ? refusing6
				   : refusing,
			  &a);
	was = s->kind;
	r = connect(s->fd, (struct sockaddr *)&a, len);
	result("connect(%d, %d%s) %s", i, l, native ? " by 6" : "", name_of(r));
	if (r < 0 && errno != EINPROGRESS) {
		if (was == FAILED)
			s->kind = FRESH;
		return;
	}
	name_port(i);
	if (l < 0) {
		s->kind = FAILED;
		return;
	}
	s->kind = STREAM;
	s->listener = l;
	sock[l].queue[sock[l].queued++] = i;
}

/*
 * A reset after the end of a direction: AF_UNIX does not show POLLERR, nor that it was told.
 * With SHUT_RD a socket has left the rings.
 */
static bool is_ended(int i)
{
	return i >= 0 && (sock[i].shut_rd || ((relay || sock[i].left) && sock[i].shut_wr));
}

static bool is_odd_to_end(int i, bool reset)
{
	const struct sock *s = &sock[i];

	for (int k = 0; k < s->queued; k++)
		if (is_ended(s->queue[k]))
			return true;
	return reset && (((relay || (s->peer >= 0 && sock[s->peer].left)) && s->shut_wr) ||
			 (s->peer >= 0 && sock[s->peer].shut_rd));
}

static void disconnect_it(void)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	int i = pick(is_connectable), r;

	/* POLLERR after it (connect/unspec_polls_an_error) */
	if (i < 0 || sock[i].kind == STREAM || sock[i].kind == FAILED || is_odd_to_end(i, true))
		return;
	r = connect(sock[i].fd, &none, sizeof(none));
	result("disconnect(%d) %s", i, name_of(r));
	if (r < 0)
		return;
	if (sock[i].kind != FAILED)
		forget(i);
	sock[i].kind = FRESH;
}

static void accept_it(void)
{
	int l = pick(any(6) ? is_waited_for : is_listener), i = pick(is_none), c, fd;
	bool nonblock = any(3);
	struct sockaddr_storage a = {.ss_family = AF_UNSPEC};
	socklen_t len = sizeof(a);

	if (l < 0 || i < 0 || (!sock[l].nonblock && !(poll_of(sock[l].fd) & POLLIN)))
		return;
	fd = accept4(sock[l].fd, (struct sockaddr *)&a, &len, nonblock ? SOCK_NONBLOCK : 0);
	result("%d = accept(%d) %s, %d of %u", i, l, fd >= 0 ? "ok" : name_of(-1), a.ss_family,
	       len);
	if (fd < 0)
		return;
	c = sock[l].queue[0];
	memmove(sock[l].queue, sock[l].queue + 1, sizeof(int) * (size_t)--sock[l].queued);
	sock[i] = (struct sock){.kind = STREAM,
				.fd = fd,
				.nonblock = nonblock,
				.peer = c,
				.listener = -1,
				.dead = c < 0};
	sock[i].family = sock[l].family;
	sock[i].port = sock[l].port;
	if (c < 0)
		return;
	sock[c].peer = i;
	sock[c].listener = -1;
	sock[i].waiting = (unsigned)sock[c].sent;
}

/* Byte @at of what @i sends */
static char byte_of(uint64_t at)
{
	return (char)(at * 2654435761u >> 9);
}

/* What AF_UNIX says otherwise to who sends */
static bool is_odd_to_send(const struct sock *s)
{
	return s->kind != STREAM || s->dead || (s->peer < 0 && s->listener < 0) ||
	       (s->peer >= 0 && (sock[s->peer].shut_rd || sock[s->peer].dead));
}

/* One of the ways to send or to receive @n bytes of the buffer */
struct transfer {
	int fd, flags;
	unsigned n, way;
};

static ssize_t send_by(void *arg)
{
	const struct transfer *t = arg;
	char *buf = shared->buf;
	struct iovec v[2] = {{buf, t->n / 3}, {buf + t->n / 3, t->n - t->n / 3}};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};

	switch (t->way) {
	case 0:
		return send(t->fd, buf, t->n, MSG_NOSIGNAL);
	case 1:
		return send(t->fd, buf, t->n, MSG_NOSIGNAL | MSG_DONTWAIT);
	case 2:
		return sendmsg(t->fd, &m, MSG_NOSIGNAL);
	case 3:
		return write(t->fd, buf, t->n);
	default:
		return writev(t->fd, v, 2);
	}
}

static ssize_t receive_by(void *arg)
{
	static const int flags[] = {0, MSG_DONTWAIT, MSG_PEEK, MSG_TRUNC, MSG_WAITALL};
	const struct transfer *t = arg;
	char *buf = shared->buf;
	struct iovec v[2] = {{buf, t->n / 4}, {buf + t->n / 4, t->n - t->n / 4}};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};

	switch (t->way) {
	case 5:
		return readv(t->fd, v, 2);
	case 6:
		return recvmsg(t->fd, &m, 0);
	case 7:
		return read(t->fd, buf, t->n);
	case 8:
		return recvmsg(t->fd, &m, MSG_PEEK | MSG_WAITALL);
	default:
		return recv(t->fd, buf, t->n, flags[t->way]);
	}
}

static void send_it(void)
{
	int i = pick(any(12) ? is_stream : is_any);
	unsigned n = any(6) ? 1 + any(BYTES) : 0, way = any(5);
	struct sock *s = &sock[i < 0 ? 0 : i], *to;
	struct transfer t = {.fd = s->fd, .n = n, .way = way};
	ssize_t r;

	if (i < 0 || s->kind == FAILED || ((relay || s->left) && is_odd_to_send(s)))
		return;
	to = s->peer >= 0 ? &sock[s->peer] : NULL;
	/* RST against what is unread: the kernel's queues tell which is first. */
	if (to && to->dead && to->shut_wr)
		return;
	/* SHUT_RD is final, unless it stays in the rings.  A reset would be the answer. */
	if ((to && to->shut_rd) || (!to && s->shut_rd))
		return;
	if ((to && to->waiting + n > WAITING) || (s->listener >= 0 && s->sent + n > WAITING))
		return;
	if (s->kind == STREAM && s->listener < 0 && !to && !s->nonblock)
		return;
	for (unsigned k = 0; k < n; k++)
		shared->buf[k] = byte_of(s->sent + k);
	r = call(send_by, &t);
	result("send(%d, %u by %u) %s", i, n, way, name_of((int)r));
	if (r <= 0)
		return;
	s->sent += (uint64_t)r;
	if (to && !to->dead && to->kind == STREAM)
		to->waiting += (unsigned)r;
	/* Who is gone, or reads no more, answers with a reset. */
	if (!to && s->listener < 0)
		s->dead = true;
}

static void receive_it(void)
{
	int i = pick(any(12) ? is_stream : is_any);
	unsigned n = any(8) ? 1 + any(BYTES) : 0, way = any(9), good = 0;
	struct sock *s = &sock[i < 0 ? 0 : i];
	struct transfer t = {.fd = s->fd, .n = n};
	bool all = way == 4 || way == 8;
	ssize_t r;

	if (i < 0)
		return;
	if (relay && s->kind != STREAM)
		return;
	/* It leaves the rings by that, and has then what AF_UNIX has. */
	if (!relay && (way == 3 || way == 8))
		way = 0;
	/* What ends it is told of with the bytes, and not again. */
	if ((relay || s->left) && all && n > s->waiting && s->dead)
		way = 0;
	/* It would wait. */
	if (!s->nonblock && s->kind == STREAM &&
	    (!(poll_of(s->fd) & POLLIN) || (all && n > s->waiting)))
		return;
	t.way = way;
	r = call(receive_by, &t);
	if (r > 0 && way != 3)
		while (good < r && shared->buf[good] == byte_of(s->got + good))
			good++;
	result("recv(%d, %u by %u) %s, %u", i, n, way, name_of((int)r), good);
	if (r <= 0 || way == 2 || way == 8)
		return;
	s->got += (uint64_t)r;
	s->waiting -= (unsigned)r < s->waiting ? (unsigned)r : s->waiting;
}

static void shut_it(void)
{
	int i = pick(any(8) ? is_stream : is_any), how = (int)any(3), r;
	struct sock *s = &sock[i < 0 ? 0 : i];

	/* It changes poll() of what is not connected, for ever. */
	if (i < 0 || s->kind == FRESH || s->kind == FAILED)
		return;
	/* With both, later bytes are answered by a reset. */
	if (s->kind == STREAM && how == SHUT_RDWR && (s->waiting || s->listener >= 0))
		return;
	if (s->kind == LISTENER && is_odd_to_end(i, true))
		return;
	r = shutdown(s->fd, how);
	result("shutdown(%d, %d) %s", i, how, name_of(r));
	if (r < 0)
		return;
	if (s->kind == LISTENER) {
		if (how != SHUT_WR) {
			forget(i);
			s->kind = FRESH;
		}
		return;
	}
	s->shut_rd |= how != SHUT_WR;
	s->shut_wr |= how != SHUT_RD;
	s->left |= s->shut_wr;
}

static void close_it(void)
{
	struct linger now = {1, 0};
	int i = pick(is_any);
	bool zero = !any(8);

	if (i < 0)
		return;
	if (is_odd_to_end(i, zero || sock[i].waiting))
		return;
	if (zero && sock[i].kind == STREAM) {
		setsockopt(sock[i].fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		sock[i].dead = true;
	}
	result("close(%d%s) %s", i, zero ? ", reset" : "", name_of(close(sock[i].fd)));
	forget(i);
	sock[i].kind = NONE;
}

static void ask(void)
{
	static const struct {
		int level, name;
		const char *text;
	} of[] = {{SOL_SOCKET, SO_ACCEPTCONN, "listens"},
		  {IPPROTO_TCP, TCP_NODELAY, "is nodelay"},
		  {SOL_SOCKET, SO_REUSEADDR, "is reuseaddr"},
		  {SOL_SOCKET, SO_DOMAIN, "is of"}};
	int i = pick(is_any), v = 0, r;
	struct sockaddr_storage a = {0};
	socklen_t len = sizeof(v);
	unsigned what = any(5), opt = any(4);

	if (i < 0)
		return;
	switch (what) {
	case 0:
	case 1:
		r = getsockopt(sock[i].fd, SOL_SOCKET, SO_ERROR, &v, &len);
		result("error(%d) %s, %s", i, name_of(r), v ? strerrorname_np(v) : "0");
		break;
	case 2:
		len = sizeof(a);
		r = getpeername(sock[i].fd, (struct sockaddr *)&a, &len);
		result("peer(%d) %s, %d, %u", i, name_of(r),
		       sock[i].listener >= 0 ? port_of(&a) == sock[sock[i].listener].port : 0, len);
		break;
	case 3: {
		const struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a;
		bool address;

		len = sizeof(a);
		r = getsockname(sock[i].fd, (struct sockaddr *)&a, &len);
		address = a.ss_family == AF_INET ? ((struct sockaddr_in *)&a)->sin_addr.s_addr != 0
						 : !IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
		result("name(%d) %s, %s%s", i, name_of(r),
		       !port_of(&a)		     ? ""
		       : port_of(&a) == sock[i].port ? "its port "
						     : "port ",
		       address ? "address" : "");
		break;
	}
	default:
		r = getsockopt(sock[i].fd, of[opt].level, of[opt].name, &v, &len);
		result("%s(%d) %s, %d", of[opt].text, i, name_of(r), v);
	}
}

static void set_it(void)
{
	static const struct {
		int level, name;
		const char *text;
	} of[] = {{IPPROTO_TCP, TCP_NODELAY, "nodelay"},
		  {SOL_SOCKET, SO_KEEPALIVE, "keepalive"},
		  {SOL_SOCKET, SO_REUSEADDR, "reuseaddr"}};
	int i = pick(is_any), one = (int)any(2), r;
	struct linger l = {(int)any(2), 5};
	unsigned what = any(5);

	if (i < 0)
		return;
	if (what < 3) {
		r = setsockopt(sock[i].fd, of[what].level, of[what].name, &one, sizeof(one));
		result("%s(%d, %d) %s", of[what].text, i, one, name_of(r));
	} else if (what == 3) {
		r = setsockopt(sock[i].fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
		result("linger(%d, %d) %s", i, l.l_onoff, name_of(r));
	} else {
		sock[i].nonblock = one;
		r = ioctl(sock[i].fd, FIONBIO, &one);
		result("nonblock(%d, %d) %s", i, one, name_of(r));
	}
}

static void watch_it(void)
{
	static const unsigned ways[] = {0, 0, EPOLLET, EPOLLONESHOT, EPOLLET | EPOLLONESHOT};
	int i = pick(is_any), r;
	struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP, .data.u32 = (uint32_t)i};
	int op;

	if (i < 0)
		return;
	op = sock[i].in_epoll ? (any(2) ? EPOLL_CTL_DEL : EPOLL_CTL_MOD) : EPOLL_CTL_ADD;
	ev.events |= (any(3) ? (unsigned)EPOLLOUT : 0) | ways[any(5)];
	/* Where connect() fails there is another file, and a one-shot event once more. */
	if (sock[i].kind != STREAM)
		ev.events &= ~(unsigned)EPOLLONESHOT;
	/* It leaves the rings by a one-shot one, whose error is AF_UNIX's then. */
	if (sock[i].dead || poll_of(sock[i].fd) & (POLLERR | POLLRDHUP))
		ev.events &= ~(unsigned)EPOLLONESHOT;
	sock[i].left |= ev.events & EPOLLONESHOT;
	r = epoll_ctl(epfd, op, sock[i].fd, &ev);
	result("epoll(%d, %d, %x) %s", i, op, ev.events, name_of(r));
	if (r < 0)
		return;
	sock[i].in_epoll = op != EPOLL_CTL_DEL;
	sock[i].watch = ev.events;
}

static void renumber(void)
{
	int i = pick(is_any);

	if (i < 0 || sock[i].in_epoll)
		return;
	sock[i].fd = renumbered(i, sock[i].fd);
}

static void sequence(unsigned calls)
{
	static void (*const often[])(void) = {
	    send_it,   send_it,	  send_it,    receive_it, receive_it, receive_it, connect_it,
	    accept_it, accept_it, connect_it, new_socket, new_socket, ask,	  set_it,
	    watch_it,  renumber,  close_it,   shut_it,	  bind_it,    listen_it,  disconnect_it,
	};
	memset(sock, 0, sizeof(sock));
	epfd = epoll_create1(0);
	begin();
	if (setjmp(next_sequence))
		goto out;
	/* There is always somebody to connect to at first. */
	new_socket();
	listen_it();
	for (calls_done = 0; calls_done < calls; calls_done++) {
		often[any(sizeof(often) / sizeof(often[0]))]();
		see();
	}
out:
	for (int i = 0; i < SOCKS; i++)
		if (sock[i].kind != NONE)
			close(sock[i].fd);
	close(epfd);
}

/* A port of @family that is taken, 0: none */
static uint16_t taken(int family)
{
	struct sockaddr_storage a;
	socklen_t len = address_for(family, true, 0, &a);
	int fd = socket(family, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		return 0;
	return port_of(&a);
}

static bool prepare(void)
{
	refusing = taken(AF_INET);
	refusing6 = taken(AF_INET6);
	return refusing && refusing6;
}

int main(int argc, char **argv)
{
	return record_main(argc, argv, prepare, sequence);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * datagrams.c - Random calls of UDP sockets, and whether they do what the kernel's do
 *
 *	datagrams record|compare FILE SEED SEQUENCES CALLS MODE
 *
 * As record.h has it.  What can be seen of each socket is what poll() says, and the length
 * of the datagram that is next.  Where one came from is told by the number that its port has
 * among all ports of the sequence.
 */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "record.h"

#define SOCKS 8
#define PORTS 256
#define SMALL 1400    /* bytes of most datagrams */
#define WAITING 90000 /* bytes at most that wait for one socket, COST more for each datagram */
#define COST 1500
#define CLOSED 999 /* a port that nobody has: below those that are given out */

struct sock {
	bool open, nonblock, v6only;
	int family, fd;
	uint16_t port; /* 0: it has none */
	bool by4, by6; /* it is reached over IPv4, over IPv6 */
	bool native;   /* it is connected over IPv6 */
	unsigned waiting;
};

static struct sock sock[SOCKS];
static uint16_t ports[PORTS];
static int nports;

/* The number of @port: of the last socket that got it */
static int number_of(uint16_t port)
{
	for (int k = nports; k--;)
		if (ports[k] == port)
			return k;
	return -1;
}

static bool is_mapped(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET ||
	       IN6_IS_ADDR_V4MAPPED(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

static void look(char line[LINE], const char *want)
{
	int at = snprintf(line, LINE, "see"), next;

	(void)want;
	for (int i = 0; i < SOCKS; i++) {
		if (!sock[i].open)
			continue;
		if (ioctl(sock[i].fd, FIONREAD, &next))
			next = -1;
		at += snprintf(line + at, (size_t)(LINE - at), " %d:%x,%d", i, poll_of(sock[i].fd),
			       next);
	}
}

static bool never(void)
{
	return false;
}

static int pick(bool (*fn)(const struct sock *))
{
	int found[SOCKS], n = 0;

	for (int i = 0; i < SOCKS; i++)
		if (fn(&sock[i]))
			found[n++] = i;
	return n ? found[any((uint32_t)n)] : -1;
}

static bool is_free(const struct sock *s)
{
	return !s->open;
}
static bool is_open(const struct sock *s)
{
	return s->open;
}
static bool has_port(const struct sock *s)
{
	return s->open && s->port;
}
static bool is_readable(const struct sock *s)
{
	return s->open && poll_of(s->fd) & POLLIN;
}

/* What its name says after a call that may have changed it */
static void learn(int i)
{
	struct sockaddr_storage a;
	const struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a;
	socklen_t len = sizeof(a);
	struct sock *s = &sock[i];
	bool mapped, all;

	if (getsockname(s->fd, (struct sockaddr *)&a, &len) < 0)
		return;
	if (port_of(&a) && s->port != port_of(&a) && nports < PORTS)
		ports[nports++] = port_of(&a);
	s->port = port_of(&a);
	mapped = s->family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);
	all = s->family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
	s->by4 = s->family == AF_INET || mapped || (all && !s->v6only);
	s->by6 = s->family == AF_INET6 && !mapped;
	result("   %d: %s%s%s", i, s->port ? "port" : "", s->by4 ? " 4" : "", s->by6 ? " 6" : "");
}

/* Where socket @i could send to: *to is the one that has the port, -1: nobody */
static socklen_t destination(int i, struct sockaddr_storage *a, int *to)
{
	const struct sock *s = &sock[i];
	bool native = s->family == AF_INET6 && (any(2) || s->native);

	*to = any(8) ? pick(has_port) : -1;
	if (*to >= 0 && !(native ? sock[*to].by6 : sock[*to].by4))
		native = s->family == AF_INET6 && sock[*to].by6;
	/* Over IPv4 the kernel would send from 127.0.0.6, which is nobody's (LOOPBACK4_IPV6). */
	if (s->native)
		native = true;
	if (*to >= 0 && !(native ? sock[*to].by6 : sock[*to].by4))
		*to = -1;
	return address_for(s->family, native, *to < 0 ? htons(CLOSED) : sock[*to].port, a);
}

/* --- the calls ------------------------------------------------------------------------ */

static void new_socket(void)
{
	int i = pick(is_free);
	struct made m;

	if (i < 0)
		return;
	m = any_socket(i, SOCK_DGRAM, 2, 4);
	sock[i] = (struct sock){.open = true,
				.fd = m.fd,
				.family = m.family,
				.nonblock = m.nonblock,
				.v6only = m.v6only};
}

static void bind_it(void)
{
	struct sockaddr_storage a;
	int i = pick(is_open), of = pick(has_port), r;
	unsigned where = any(4);
	uint16_t port = 0;
	socklen_t len;

	if (i < 0)
		return;
	if (of >= 0 && !any(6))
		port = sock[of].port;
	len = where ? address_for(sock[i].family, where == 1, port, &a)
		    : wildcard_for(sock[i].family, port, &a);
	r = bind(sock[i].fd, (struct sockaddr *)&a, len);
	result("bind(%d, %u, %d) %s", i, where, port ? of : -1, name_of(r));
	learn(i);
}

static void connect_it(void)
{
	struct sockaddr_storage a;
	int i = pick(is_open), to, r;
	socklen_t len;

	if (i < 0)
		return;
	len = destination(i, &a, &to);
	r = connect(sock[i].fd, (struct sockaddr *)&a, len);
	result("connect(%d, %d) %s", i, to, name_of(r));
	if (!r)
		sock[i].native = !is_mapped(&a);
	learn(i);
}

static void disconnect_it(void)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	int i = pick(is_open), r;

	if (i < 0)
		return;
	r = connect(sock[i].fd, &none, sizeof(none));
	result("disconnect(%d) %s", i, name_of(r));
	sock[i].native = false;
	learn(i);
}

/* A transfer of @n bytes of the buffer */
struct transfer {
	int fd, flags;
	unsigned n, way;
	struct sockaddr_storage *a;
	socklen_t len;
};

static ssize_t send_by(void *arg)
{
	struct transfer *t = arg;
	char *buf = shared->buf;
	struct iovec v[2] = {{buf, t->n / 3}, {buf + t->n / 3, t->n - t->n / 3}};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 2, .msg_name = t->a, .msg_namelen = t->len};
	struct mmsghdr mm = {.msg_hdr = m};

	switch (t->way) {
	case 0:
		return sendmsg(t->fd, &m, 0);
	case 1:
		return sendmmsg(t->fd, &mm, 1, 0) < 0 ? -1 : (ssize_t)mm.msg_len;
	case 2:
		if (!t->len)
			return writev(t->fd, v, 2);
		/* fall through */
	case 3:
		if (!t->len)
			return write(t->fd, buf, t->n);
		/* fall through */
	default:
		return sendto(t->fd, buf, t->n, 0, (struct sockaddr *)t->a, t->len);
	}
}

static void send_it(void)
{
	struct sockaddr_storage a = {0};
	int i = pick(is_open), to = -1;
	struct transfer t = {.a = &a, .way = any(5)};
	unsigned cost;
	ssize_t r;

	if (i < 0)
		return;
	t.fd = sock[i].fd;
	t.n = any(8) ? any(SMALL) : any(8) ? any(9000) : 65400 + any(300);
	if (any(2))
		t.len = destination(i, &a, &to);
	else if (sock[i].port)
		t.a = NULL;
	else
		return; /* without a peer it gets a port, and then an error; write() is native here
			 */
	/* Who is connected sends to we do not know whom. */
	cost = t.n + COST;
	for (int k = 0; k < SOCKS; k++)
		if (sock[k].open && (to < 0 || to == k) && sock[k].waiting + cost > WAITING)
			return;
	for (unsigned k = 0; k < t.n; k++)
		shared->buf[k] = (char)((k + t.n) * 2654435761u >> 9);
	r = call(send_by, &t);
	result("send(%d, %u by %u%s, %d) %s", i, t.n, t.way, t.len ? " to" : "", to,
	       name_of((int)r));
	if (!sock[i].port)
		learn(i);
	if (r < 0)
		return;
	for (int k = 0; k < SOCKS; k++)
		if (to < 0 || to == k)
			sock[k].waiting += cost;
}

static struct sockaddr_storage from; /* of receive_by() */
static socklen_t from_len;
static int msg_flags;

static ssize_t receive_by(void *arg)
{
	struct transfer *t = arg;
	char *buf = shared->buf;
	struct iovec v[2] = {{buf, t->n / 4}, {buf + t->n / 4, t->n - t->n / 4}};
	struct msghdr m = {
	    .msg_iov = v, .msg_iovlen = 2, .msg_name = &from, .msg_namelen = sizeof(from)};
	struct mmsghdr mm = {.msg_hdr = m};
	ssize_t r;

	switch (t->way) {
	case 0:
		return read(t->fd, buf, t->n);
	case 1:
		return readv(t->fd, v, 2);
	case 2:
		return recv(t->fd, buf, t->n, t->flags);
	case 3:
		from_len = sizeof(from);
		return recvfrom(t->fd, buf, t->n, t->flags, (struct sockaddr *)&from, &from_len);
	case 4:
		r = recvmmsg(t->fd, &mm, 1, t->flags, NULL);
		from_len = mm.msg_hdr.msg_namelen;
		msg_flags = mm.msg_hdr.msg_flags;
		return r < 0 ? -1 : (ssize_t)mm.msg_len;
	default:
		r = recvmsg(t->fd, &m, t->flags);
		from_len = m.msg_namelen;
		msg_flags = m.msg_flags;
		return r;
	}
}

/* The bytes of a datagram of @n, of which @have are here */
static bool is_whole(unsigned n, unsigned have)
{
	for (unsigned k = 0; k < have; k++)
		if (shared->buf[k] != (char)((k + n) * 2654435761u >> 9))
			return false;
	return true;
}

static void receive_it(void)
{
	static const int flags[] = {0, 0, MSG_PEEK, MSG_TRUNC, MSG_DONTWAIT, MSG_PEEK | MSG_TRUNC};
	int i = pick(any(6) ? is_readable : is_open), next = 0;
	struct transfer t = {
	    .n = any(4) ? ROOM : any(SMALL), .way = any(6), .flags = flags[any(6)]};
	struct sock *s = &sock[i < 0 ? 0 : i];
	ssize_t r;

	if (i < 0 || (!s->nonblock && !(poll_of(s->fd) & (POLLIN | POLLERR))))
		return;
	/* Without a datagram: msg_namelen is not changed by who waits in the engine. */
	if (!s->nonblock && poll_of(s->fd) & POLLRDHUP)
		return;
	t.fd = s->fd;
	ioctl(s->fd, FIONREAD, &next);
	from_len = 0;
	msg_flags = 0;
	memset(&from, 0, sizeof(from));
	/* What is told beside the bytes is the parent's alone. */
	r = t.way < 3 ? call(receive_by, &t) : receive_by(&t);
	result("recv(%d, %u by %u, %x) %s, %s%x, from %d, %u", i, t.n, t.way, (unsigned)t.flags,
	       name_of((int)r),
	       r < 0 || is_whole((unsigned)next, (unsigned)r < t.n ? (unsigned)r : t.n) ? ""
											: "bad ",
	       (unsigned)msg_flags, r >= 0 && from_len ? number_of(port_of(&from)) : -1,
	       r < 0 ? 0 : from_len);
	if (r < 0 && errno == EAGAIN)
		s->waiting = 0;
	if (r >= 0 && !(t.flags & MSG_PEEK)) {
		unsigned cost = (unsigned)next + COST;

		s->waiting -= cost < s->waiting ? cost : s->waiting;
	}
}

static void close_it(void)
{
	int i = pick(is_open);

	if (i < 0)
		return;
	/* What send() has sent is there a moment later (README), and must not find it closed. */
	if (!recording && sock[i].waiting)
		pause_us(10000);
	result("close(%d) %s", i, name_of(close(sock[i].fd)));
	sock[i].open = false;
	sock[i].waiting = 0;
}

static void shut_it(void)
{
	int i = pick(is_open), how = (int)any(3), r;

	if (i < 0 || any(3))
		return;
	r = shutdown(sock[i].fd, how);
	result("shutdown(%d, %d) %s", i, how, name_of(r));
}

static void ask(void)
{
	int i = pick(is_open), v = 0, r;
	struct sockaddr_storage a = {0};
	socklen_t len = sizeof(v);

	if (i < 0)
		return;
	switch (any(4)) {
	case 0:
	case 1:
		r = getsockopt(sock[i].fd, SOL_SOCKET, SO_ERROR, &v, &len);
		result("error(%d) %s, %s", i, name_of(r), v ? strerrorname_np(v) : "0");
		break;
	case 2:
		len = sizeof(a);
		r = getpeername(sock[i].fd, (struct sockaddr *)&a, &len);
		result("peer(%d) %s, %d, %u", i, name_of(r),
		       r < 0			      ? 0
		       : port_of(&a) == htons(CLOSED) ? -1
						      : number_of(port_of(&a)),
		       len);
		break;
	default: {
		const struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a;
		bool address;

		len = sizeof(a);
		r = getsockname(sock[i].fd, (struct sockaddr *)&a, &len);
		address = a.ss_family == AF_INET ? ((struct sockaddr_in *)&a)->sin_addr.s_addr != 0
						 : !IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
		result("name(%d) %s, %s%s", i, name_of(r), port_of(&a) ? "port " : "",
		       address ? "address" : "");
	}
	}
}

static void set_it(void)
{
	int i = pick(is_open), one = (int)any(2), r;

	if (i < 0)
		return;
	if (any(2)) {
		r = setsockopt(sock[i].fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		result("reuseaddr(%d, %d) %s", i, one, name_of(r));
	} else {
		sock[i].nonblock = one;
		r = ioctl(sock[i].fd, FIONBIO, &one);
		result("nonblock(%d, %d) %s", i, one, name_of(r));
	}
}

static void renumber(void)
{
	int i = pick(is_open);

	if (i < 0)
		return;
	sock[i].fd = renumbered(i, sock[i].fd);
}

static void sequence(unsigned calls)
{
	static void (*const often[])(void) = {
	    send_it,	send_it, send_it,    send_it,	 receive_it, receive_it, receive_it,
	    receive_it, bind_it, connect_it, connect_it, new_socket, new_socket, disconnect_it,
	    ask,	set_it,	 close_it,   shut_it,	 renumber,
	};
	memset(sock, 0, sizeof(sock));
	nports = 0;
	begin();
	if (!setjmp(next_sequence))
		for (calls_done = 0; calls_done < calls; calls_done++) {
			often[any(sizeof(often) / sizeof(often[0]))]();
			see_by(look, never, 0);
		}
	for (int i = 0; i < SOCKS; i++)
		if (sock[i].open)
			close(sock[i].fd);
}

static bool prepare(void)
{
	return true;
}

int main(int argc, char **argv)
{
	return record_main(argc, argv, prepare, sequence);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * bind_listen.c - bind(2) and listen(2): ports, conflicts, order of calls
 */
#include "check.h"

static void port_zero_gets_one(void)
{
	struct sockaddr_in a = test_address(0), got;
	int fd = tcp_socket();

	OK(bind(fd, SA(&a), sizeof(a)));
	got = local_name(fd);
	CHECK(ntohs(got.sin_port) >= 1024);
	CHECK_EQ(got.sin_addr.s_addr, a.sin_addr.s_addr);
}

static void address_in_use_on_bind(void)
{
	struct sockaddr_in a, any;
	int l = listener(1, &a);

	CHECK_ERRNO(bind(tcp_socket(), SA(&a), sizeof(a)), EADDRINUSE);
	any = a;
	any.sin_addr.s_addr = INADDR_ANY;
	CHECK_ERRNO(bind(tcp_socket(), SA(&any), sizeof(any)), EADDRINUSE);
	OK(close(l));
	OK(bind(tcp_socket(), SA(&a), sizeof(a)));
}

/* SO_REUSEADDR on both does not share a port with a listener. */
static void reuseaddr_does_not_share_listener(void)
{
	struct sockaddr_in a;
	int l = listener(1, &a), fd = tcp_socket();

	set_option(l, SOL_SOCKET, SO_REUSEADDR, 1);
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	CHECK_ERRNO(bind(fd, SA(&a), sizeof(a)), EADDRINUSE);
}

/* Two that only bound may share; the second listen() is refused. */
static void address_in_use_on_listen(void)
{
	struct sockaddr_in a = test_address(0);
	int fd[2];

	for (int i = 0; i < 2; i++) {
		fd[i] = tcp_socket();
		set_option(fd[i], SOL_SOCKET, SO_REUSEADDR, 1);
		OK(bind(fd[i], SA(&a), sizeof(a)));
		a = local_name(fd[i]);
	}
	OK(listen(fd[0], 1));
	CHECK_ERRNO(listen(fd[1], 1), EADDRINUSE);
	OK(close(fd[0]));
	OK(listen(fd[1], 1));
	connected(a);
}

static void reuseport_shares_listener(void)
{
	struct sockaddr_in a = test_address(0);
	struct pollfd p[2];
	int third = tcp_socket();

	for (int i = 0; i < 2; i++) {
		p[i] = (struct pollfd){.fd = tcp_socket(), .events = POLLIN};
		set_option(p[i].fd, SOL_SOCKET, SO_REUSEPORT, 1);
		OK(bind(p[i].fd, SA(&a), sizeof(a)));
		OK(listen(p[i].fd, 64));
		a = local_name(p[i].fd);
	}
	CHECK_ERRNO(bind(third, SA(&a), sizeof(a)), EADDRINUSE);
	for (int i = 0; i < 64; i++)
		connected(a);
	/* 64 clients over two listeners: that one gets none is 2^-63. */
	CHECK_EQ(poll(p, 2, 1000), 2);
}

static void foreign_address(void)
{
	struct sockaddr_in a = test_address(0);

	a.sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1, RFC 5737 */
	CHECK_ERRNO(bind(tcp_socket(), SA(&a), sizeof(a)), EADDRNOTAVAIL);
}

static void double_bind(void)
{
	struct sockaddr_in a = test_address(0);
	int fd = tcp_socket();

	OK(bind(fd, SA(&a), sizeof(a)));
	CHECK_ERRNO(bind(fd, SA(&a), sizeof(a)), EINVAL);
	OK(listen(fd, 1));
	CHECK_ERRNO(bind(fd, SA(&a), sizeof(a)), EINVAL);
}

static void bind_after_connect(void)
{
	struct sockaddr_in a = test_address(0);
	int fd[2];

	tcp_pair(fd);
	CHECK_ERRNO(bind(fd[0], SA(&a), sizeof(a)), EINVAL);
	CHECK_ERRNO(bind(fd[1], SA(&a), sizeof(a)), EINVAL);
}

static void bad_address(void)
{
	struct sockaddr_in a = test_address(0);
	int fd = tcp_socket();

	CHECK_ERRNO(bind(fd, SA(&a), sizeof(a) - 1), EINVAL);
	CHECK_ERRNO(bind(fd, SA(&a), (socklen_t)-1), EINVAL);
	CHECK_ERRNO(bind(fd, SA(&a), 1000), EINVAL);
	a.sin_family = AF_INET6;
	CHECK_ERRNO(bind(fd, SA(&a), sizeof(a)), EAFNOSUPPORT);
	a.sin_family = AF_UNSPEC; /* tolerated for INADDR_ANY only */
	if (a.sin_addr.s_addr != INADDR_ANY)
		CHECK_ERRNO(bind(fd, SA(&a), sizeof(a)), EAFNOSUPPORT);
	a.sin_addr.s_addr = INADDR_ANY;
	OK(bind(fd, SA(&a), sizeof(a)));
}

static void longer_address_is_fine(void)
{
	struct sockaddr_storage a = {0};
	struct sockaddr_in in = test_address(0);

	memcpy(&a, &in, sizeof(in));
	OK(bind(tcp_socket(), SA(&a), sizeof(a)));
}

static void listen_without_bind(void)
{
	struct sockaddr_in a;
	int l = tcp_socket(), c;

	OK(listen(l, 5));
	a = local_name(l);
	CHECK(a.sin_port != 0);
	CHECK_EQ(a.sin_addr.s_addr, INADDR_ANY);
	a = test_address(ntohs(a.sin_port));
	c = connected(a);
	expect_text(c, OK(accept(l, NULL, NULL)), "found");
}

static void listen_again_changes_backlog(void)
{
	struct sockaddr_in a;
	int l = listener(1, &a), fd[8];

	OK(listen(l, 8));
	for (int i = 0; i < 8; i++)
		fd[i] = connected(a);
	for (int i = 0; i < 8; i++)
		expect_text(fd[i], OK(accept(l, NULL, NULL)), "in");
}

static void listen_negative_backlog(void)
{
	OK(listen(tcp_socket(), -1));
}

static void listen_on_connected(void)
{
	int fd[2];

	tcp_pair(fd);
	CHECK_ERRNO(listen(fd[0], 1), EINVAL);
	CHECK_ERRNO(listen(fd[1], 1), EINVAL);
}

/* One port number may be bound on two addresses. */
static void same_port_other_address(void)
{
	struct sockaddr_in a, b;
	int l = listener(1, &a), m = tcp_socket(), c;

	b = a;
	b.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1); /* 127.0.0.2 */
	OK(bind(m, SA(&b), sizeof(b)));
	OK(listen(m, 1));
	c = connected(b);
	expect_text(c, OK(accept(m, NULL, NULL)), "second");
	c = connected(a);
	expect_text(c, OK(accept(l, NULL, NULL)), "first");
}

/* A second bind(): what is wrong with the address comes first, over IPv6 the state does. */
static void address_before_state(void)
{
	struct sockaddr_in a = test_address(0), odd = a, foreign = a;
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6};
	int fd = tcp_socket(), fd6 = (int)OK(socket(AF_INET6, SOCK_STREAM, 0));

	odd.sin_family = AF_INET6;
	foreign.sin_addr.s_addr = htonl(0xcb007101); /* 203.0.113.1 */
	OK(bind(fd, SA(&a), sizeof(a)));
	CHECK_ERRNO(bind(fd, SA(&a), sizeof(a)), EINVAL);
	CHECK_ERRNO(bind(fd, SA(&foreign), sizeof(foreign)), EADDRNOTAVAIL);
	CHECK_ERRNO(bind(fd, SA(&odd), sizeof(odd)), EAFNOSUPPORT);
	OK(bind(fd6, SA(&a6), sizeof(a6)));
	CHECK(inet_pton(AF_INET6, "2001:db8::1", &a6.sin6_addr) == 1);
	CHECK_ERRNO(bind(fd6, SA(&a6), sizeof(a6)), EINVAL);
}

/* __inet_bind() takes its address back, and with it what was bound before. */
/* What nobody has accepted ends with its listener, and does not hold the port. */
static void bind_after_unaccepted(void)
{
	for (int i = 0; i < 40; i++) {
		int l = (int)OK(socket(AF_INET, SOCK_STREAM, 0)), s, c;
		struct sockaddr_in a = test_address(0);

		OK(bind(l, SA(&a), sizeof(a)));
		OK(listen(l, 4));
		a = local_name(l);
		c = connected(a);
		OK(close(l));
		s = (int)OK(socket(AF_INET, SOCK_STREAM, 0));
		OK(bind(s, SA(&a), sizeof(a)));
		OK(close(s));
		OK(close(c));
	}
}

static void failed_bind_forgets_address(void)
{
	struct sockaddr_in a = test_address(0), taken;
	int l = listener(1, &taken), fd = tcp_socket();

	OK(bind(fd, SA(&a), sizeof(a)));
	OK(listen(fd, 1));
	OK(shutdown(fd, SHUT_RD)); /* the port is nobody's, the address stays */
	CHECK_EQ(local_name(fd).sin_addr.s_addr, a.sin_addr.s_addr);
	CHECK_ERRNO(bind(fd, SA(&taken), sizeof(taken)), EADDRINUSE);
	CHECK_EQ(local_name(fd).sin_addr.s_addr, INADDR_ANY);
	OK(close(l));
}

/* TCP_CLOSE has no port, and may be bound, whatever the socket was before. */
static void bind_after_end(void)
{
	struct sockaddr_in a, own = test_address(0);
	struct linger now = {1, 0};
	int l = listener(1, &a), c = connected(a), s = (int)OK(accept(l, NULL, NULL));

	CHECK_ERRNO(bind(s, SA(&own), sizeof(own)), EINVAL);
	OK(setsockopt(c, SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
	OK(close(c));
	wait_bits(s, POLLERR);
	CHECK_ERRNO(bind(s, SA(&a), sizeof(a)), EADDRINUSE);
	CHECK_EQ(local_name(s).sin_addr.s_addr, INADDR_ANY);
	OK(bind(s, SA(&own), sizeof(own)));
	own = local_name(s);
	CHECK(own.sin_port && own.sin_port != a.sin_port);
	CHECK_ERRNO(bind(s, SA(&own), sizeof(own)), EINVAL);
	CHECK_ERRNO(bind(tcp_socket(), SA(&own), sizeof(own)), EADDRINUSE);
	CHECK_ERRNO(listen(s, 1), EINVAL);
	CHECK_ERRNO(connect(s, SA(&a), sizeof(a)), EISCONN);
}

/* Who listens again finds its port taken by what it has accepted, but for SO_REUSEADDR. */
static void listen_beside_a_connection(void)
{
	struct linger now = {1, 0};

	for (int reuse = 0; reuse < 2; reuse++) {
		struct sockaddr_in a = test_address(0);
		int first = tcp_socket(), l = tcp_socket(), c, s;

		OK(bind(first, SA(&a), sizeof(a)));
		a = local_name(first);
		OK(close(first));
		set_option(l, SOL_SOCKET, SO_REUSEADDR, reuse);
		OK(bind(l, SA(&a), sizeof(a)));
		OK(listen(l, 1));
		c = connected(a);
		s = (int)OK(accept(l, NULL, NULL));
		OK(shutdown(l, SHUT_RD));
		if (!reuse) {
			CHECK_ERRNO(listen(l, 1), EADDRINUSE);
			OK(setsockopt(s, SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
			OK(close(s));
			wait_bits(c, POLLHUP);
		}
		OK(listen(l, 1));
		c = connected(a);
		expect_text(c, (int)OK(accept(l, NULL, NULL)), "again");
	}
}

CHECK_MAIN(CASE(address_before_state), CASE(port_zero_gets_one), CASE(address_in_use_on_bind),
	   CASE(reuseaddr_does_not_share_listener), CASE(address_in_use_on_listen),
	   CASE(reuseport_shares_listener), CASE(foreign_address), CASE(double_bind),
	   CASE(bind_after_connect), CASE(bind_after_end), CASE(failed_bind_forgets_address),
	   CASE(listen_beside_a_connection), CASE(bad_address), CASE(longer_address_is_fine),
	   CASE(listen_without_bind), CASE(listen_again_changes_backlog),
	   CASE(listen_negative_backlog), CASE(listen_on_connected), CASE(same_port_other_address),
	   CASE(bind_after_unaccepted))

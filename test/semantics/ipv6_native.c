/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ipv6_native.c - TCP over IPv6, and both families on one socket: ipv6(7)
 *
 * GZ_ADDR6 is the IPv6 address to bind and connect to, by default ::1.
 */
#include "check.h"

#ifndef IPV6_2292PKTOPTIONS
#define IPV6_2292PKTOPTIONS 6
#endif

static struct sockaddr_in6 address6(uint16_t port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	const char *text = getenv("GZ_ADDR6");

	CHECK_EQ(inet_pton(AF_INET6, text ? text : "::1", &a.sin6_addr), 1);
	return a;
}

static int tcp6_socket(void)
{
	return (int)OK(socket(AF_INET6, SOCK_STREAM, 0));
}

static bool same6(struct sockaddr_in6 a, struct sockaddr_in6 b)
{
	return a.sin6_port == b.sin6_port && a.sin6_scope_id == b.sin6_scope_id &&
	       !memcmp(&a.sin6_addr, &b.sin6_addr, 16);
}

/* Return: a listener at @want, whose port becomes what it got. */
static int listener6(struct sockaddr_in6 *want, int v6only)
{
	int l = tcp6_socket();

	set_option(l, IPPROTO_IPV6, IPV6_V6ONLY, v6only);
	OK(bind(l, SA(want), sizeof(*want)));
	OK(listen(l, 5));
	*want = name6(getsockname, l);
	return l;
}

static int connected6(struct sockaddr_in6 a)
{
	int c = tcp6_socket();

	OK(connect(c, SA(&a), sizeof(a)));
	return c;
}

static void echo_both_ways(void)
{
	struct sockaddr_in6 a = address6(0), from;
	socklen_t len = sizeof(from);
	int l = listener6(&a, 0), c, s;

	c = connected6(a);
	s = OK(accept(l, SA(&from), &len));
	CHECK_EQ(len, sizeof(from));
	CHECK(same6(from, name6(getsockname, c)));
	CHECK(same6(name6(getpeername, s), from));
	CHECK(same6(name6(getpeername, c), a));
	CHECK(same6(name6(getsockname, s), a));
	expect_text(c, s, "six");
	expect_text(s, c, "and back");
	OK(shutdown(c, SHUT_WR));
	expect_eof(s);
}

static void bulk(void)
{
	enum { SIZE = 3 << 20 };
	struct sockaddr_in6 a = address6(0);
	int l = listener6(&a, 1), c;
	unsigned char *out = malloc(SIZE), *in = malloc(SIZE);
	pid_t kid;

	for (int i = 0; i < SIZE; i++)
		out[i] = (unsigned char)(i * 7 + (i >> 11));
	kid = child();
	if (!kid) {
		c = connected6(a);
		write_all(c, out, SIZE);
		OK(shutdown(c, SHUT_WR));
		CHECK_EQ(read_all(c, in, 1), 1);
		exit(0);
	}
	c = OK(accept(l, NULL, NULL));
	CHECK_EQ(read_all(c, in, SIZE), SIZE);
	CHECK(!memcmp(in, out, SIZE));
	expect_eof(c);
	write_all(c, "k", 1);
	reap(kid);
	free(in);
	free(out);
}

static void dual_stack_takes_both(void)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6}, to;
	int l = listener6(&a, 0), c6, c4, s;

	to = address6(ntohs(a.sin6_port));
	c6 = connected6(to);
	s = OK(accept(l, NULL, NULL));
	CHECK(same6(name6(getpeername, s), name6(getsockname, c6)));
	expect_text(c6, s, "six");
	c4 = connected(test_address(ntohs(a.sin6_port)));
	s = OK(accept(l, NULL, NULL));
	CHECK(IN6_IS_ADDR_V4MAPPED(&(struct sockaddr_in6[1]){name6(getpeername, s)}[0].sin6_addr));
	expect_text(c4, s, "four");
}

static void v6only_leaves_ipv4(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET}, four;
	int l, l4 = tcp_socket(), c4, c6;
	struct sockaddr_in6 a;

	/* The port that is chosen for IPv6 may be one that IPv4 has in TIME_WAIT. */
	for (int tries = 0;; tries++) {
		a = (struct sockaddr_in6){.sin6_family = AF_INET6};
		l = listener6(&a, 1);
		any.sin_port = a.sin6_port;
		if (!bind(l4, SA(&any), sizeof(any)))
			break;
		CHECK_EQ(errno, EADDRINUSE);
		CHECK(tries < 20);
		OK(close(l));
	}
	four = test_address(ntohs(a.sin6_port));
	CHECK_ERRNO(connect(tcp_socket(), SA(&four), sizeof(four)), ECONNREFUSED);
	OK(listen(l4, 1));
	c4 = connected(four);
	expect_text(c4, OK(accept(l4, NULL, NULL)), "four");
	c6 = connected6(address6(ntohs(a.sin6_port)));
	expect_text(c6, OK(accept(l, NULL, NULL)), "six");
}

/* A connection of a listener that is gone keeps the port, of IPv4 too unless it is v6only. */
static void connections_left(void)
{
	for (int v6only = 0; v6only < 2; v6only++) {
		struct sockaddr_in any = {.sin_family = AF_INET};
		struct sockaddr_in6 a = {.sin6_family = AF_INET6};
		int free = tcp_socket(), l;

		/* One that IPv4 has no TIME_WAIT at */
		OK(bind(free, SA(&any), sizeof(any)));
		any = local_name(free);
		OK(close(free));
		a.sin6_port = any.sin_port;
		l = listener6(&a, v6only);
		connected6(address6(ntohs(a.sin6_port)));
		OK(accept(l, NULL, NULL));
		OK(close(l));
		if (v6only)
			OK(bind(tcp_socket(), SA(&any), sizeof(any)));
		else
			CHECK_ERRNO(bind(tcp_socket(), SA(&any), sizeof(any)), EADDRINUSE);
	}
}

static void ipv4_listener_is_no_ipv6_one(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	struct sockaddr_in6 six;
	int l = tcp_socket();

	OK(bind(l, SA(&a), sizeof(a)));
	OK(listen(l, 1));
	six = address6(ntohs(local_name(l).sin_port));
	CHECK_ERRNO(connect(tcp6_socket(), SA(&six), sizeof(six)), ECONNREFUSED);
}

static void refused(void)
{
	struct sockaddr_in6 a = address6(0);
	int bound = tcp6_socket();

	OK(bind(bound, SA(&a), sizeof(a)));
	a = name6(getsockname, bound);
	CHECK_ERRNO(connect(tcp6_socket(), SA(&a), sizeof(a)), ECONNREFUSED);
}

static void nonblocking_connect(void)
{
	struct sockaddr_in6 a = address6(0);
	int l = listener6(&a, 0), c = tcp6_socket(), s;
	char text[4];

	set_nonblock(c);
	CHECK_ERRNO(connect(c, SA(&a), sizeof(a)), EINPROGRESS);
	wait_bits(c, POLLOUT);
	CHECK_EQ(socket_error(c), 0);
	set_nonblock(l);
	wait_bits(l, POLLIN);
	s = OK(accept(l, NULL, NULL));
	write_all(s, "hi", 2);
	wait_bits(c, POLLIN);
	CHECK_EQ(read(c, text, sizeof(text)), 2);
}

/* connect() to [::] is to this host (tcp_v6_connect()). */
static void connect_to_any(void)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6};
	int l = listener6(&a, 0), c;

	c = connected6(a);
	CHECK(IN6_IS_ADDR_LOOPBACK(&(struct sockaddr_in6[1]){name6(getpeername, c)}[0].sin6_addr));
	expect_text(c, OK(accept(l, NULL, NULL)), "any");
}

static void bound_client(void)
{
	struct sockaddr_in6 a = address6(0), me = address6(0);
	int l = listener6(&a, 0), c = tcp6_socket();

	OK(bind(c, SA(&me), sizeof(me)));
	me = name6(getsockname, c);
	OK(connect(c, SA(&a), sizeof(a)));
	CHECK(same6(name6(getsockname, c), me));
	CHECK(same6(name6(getpeername, OK(accept(l, NULL, NULL))), me));
}

/* __inet6_bind(): a native address makes the socket IPv6's only. */
static void native_bind_is_v6only(void)
{
	struct sockaddr_in6 a = address6(0), mapped = {.sin6_family = AF_INET6, .sin6_port = 7};
	int fd = tcp6_socket();

	CHECK_EQ(get_option(fd, IPPROTO_IPV6, IPV6_V6ONLY), 0);
	OK(bind(fd, SA(&a), sizeof(a)));
	CHECK_EQ(get_option(fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	OK(inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped.sin6_addr));
	CHECK_ERRNO(connect(fd, SA(&mapped), sizeof(mapped)), ENETUNREACH);
}

static void mapped_bind_keeps_to_ipv4(void)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6}, six = address6(7);
	int fd = tcp6_socket(), only = tcp6_socket();

	OK(inet_pton(AF_INET6, "::ffff:127.0.0.1", &a.sin6_addr));
	OK(bind(fd, SA(&a), sizeof(a)));
	CHECK_ERRNO(connect(fd, SA(&six), sizeof(six)), EAFNOSUPPORT);
	set_option(only, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	CHECK_ERRNO(bind(only, SA(&a), sizeof(a)), EINVAL);
}

static void bad_addresses(void)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(7)};
	struct sockaddr_in six_as_four = {.sin_family = AF_INET6};
	struct sockaddr_in6 four_as_six = {.sin6_family = AF_INET};

	OK(inet_pton(AF_INET6, "ff02::1", &a.sin6_addr));
	CHECK_ERRNO(bind(tcp6_socket(), SA(&a), sizeof(a)), EINVAL);
	CHECK_ERRNO(connect(tcp6_socket(), SA(&a), sizeof(a)), ENETUNREACH);
	OK(inet_pton(AF_INET6, "2001:db8::dead", &a.sin6_addr));
	CHECK_ERRNO(bind(tcp6_socket(), SA(&a), sizeof(a)), EADDRNOTAVAIL);
	/* Link-local, and no interface is named. */
	OK(inet_pton(AF_INET6, "fe80::1", &a.sin6_addr));
	CHECK_ERRNO(bind(tcp6_socket(), SA(&a), sizeof(a)), EINVAL);
	CHECK_ERRNO(connect(tcp6_socket(), SA(&a), sizeof(a)), EINVAL);
	CHECK_ERRNO(bind(tcp_socket(), SA(&six_as_four), sizeof(six_as_four)), EAFNOSUPPORT);
	CHECK_ERRNO(bind(tcp6_socket(), SA(&four_as_six), sizeof(four_as_six)), EAFNOSUPPORT);
	CHECK_ERRNO(connect(tcp6_socket(), SA(&four_as_six), sizeof(four_as_six)), EAFNOSUPPORT);
}

/* A link-local address is one of each link. */
static void link_local_needs_a_link(void)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(9)}, to = address6(0);
	int fd = tcp6_socket(), l = listener6(&to, 0), s;

	inet_pton(AF_INET6, "fe80::1", &a.sin6_addr);
	CHECK_ERRNO(bind(fd, SA(&a), sizeof(a)), EINVAL);
	CHECK_ERRNO(connect(fd, SA(&a), sizeof(a)), EINVAL);
	/* It is as it was. */
	OK(connect(fd, SA(&to), sizeof(to)));
	s = OK(accept(l, NULL, NULL));
	expect_text(fd, s, "no link");
	CHECK_ERRNO(connect(fd, SA(&a), sizeof(a)), EISCONN);
}

/* The port is below those of net.ipv4.ip_local_port_range: nobody has it in IPv4 by chance. */
static void conflicts(void)
{
	struct sockaddr_in6 a = address6(20601), any = {.sin6_family = AF_INET6};
	struct sockaddr_in four = {.sin_family = AF_INET};
	int l = listener6(&a, 0), only = tcp6_socket();

	any.sin6_port = four.sin_port = a.sin6_port;
	CHECK_ERRNO(bind(tcp6_socket(), SA(&a), sizeof(a)), EADDRINUSE);
	CHECK_ERRNO(bind(tcp6_socket(), SA(&any), sizeof(any)), EADDRINUSE);
	OK(bind(tcp_socket(), SA(&four), sizeof(four)));
	OK(close(l));
	set_option(only, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	OK(bind(only, SA(&any), sizeof(any)));
}

static void options(void)
{
	static const int flag[] = {IPV6_RECVERR, IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT,
				   IPV6_RECVTCLASS, IPV6_DONTFRAG};
	int fd = tcp6_socket();

	CHECK_EQ(get_option(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 64);
	set_option(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 9);
	CHECK_EQ(get_option(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 9);
	set_option(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, -1);
	CHECK_EQ(get_option(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 64);
	CHECK_ERRNO(setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &(int){256}, sizeof(int)),
		    EINVAL);
	/* The ECN bits are TCP's. */
	set_option(fd, IPPROTO_IPV6, IPV6_TCLASS, 0xbb);
	CHECK_EQ(get_option(fd, IPPROTO_IPV6, IPV6_TCLASS), 0xb8);
	CHECK_ERRNO(setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &(int){256}, sizeof(int)), EINVAL);
	for (size_t i = 0; i < sizeof(flag) / sizeof(flag[0]); i++) {
		CHECK_EQ(get_option(fd, IPPROTO_IPV6, flag[i]), 0);
		set_option(fd, IPPROTO_IPV6, flag[i], 1);
		CHECK_EQ(get_option(fd, IPPROTO_IPV6, flag[i]), 1);
	}
	CHECK_ERRNO(getsockopt(fd, IPPROTO_IPV6, IPV6_MTU, &(int){0}, &(socklen_t){sizeof(int)}),
		    ENOTCONN);
	set_option(fd, IPPROTO_IPV6, IPV6_MTU, 1280);
	set_option(fd, IPPROTO_IPV6, IPV6_MTU, 0);
	CHECK_ERRNO(setsockopt(fd, IPPROTO_IPV6, IPV6_MTU, &(int){1279}, sizeof(int)), EINVAL);
	CHECK_ERRNO(setsockopt(fd, IPPROTO_IPV6, IPV6_MTU, &(int){1280}, 2), EINVAL);
	OK(setsockopt(fd, IPPROTO_IPV6, IPV6_2292PKTOPTIONS, NULL, 0));
	CHECK_ERRNO(setsockopt(fd, IPPROTO_IPV6, IPV6_2292PKTOPTIONS, (char[16]){0}, 16), EINVAL);
	CHECK_ERRNO(getsockopt(tcp_socket(), IPPROTO_IPV6, IPV6_TCLASS, &(int){0},
			       &(socklen_t){sizeof(int)}),
		    EOPNOTSUPP);
}

/* What came too far is dropped; sent again with more hops it arrives. */
static void hops(void)
{
	struct sockaddr_in6 a = address6(0);
	int l = listener6(&a, 0), c = connected6(a), s = (int)OK(accept(l, NULL, NULL));
	char b[8];

	CHECK(get_option(c, IPPROTO_IPV6, IPV6_MTU) >= 1280);
	set_option(s, IPPROTO_IPV6, IPV6_MINHOPCOUNT, 60);
	CHECK_EQ(get_option(s, IPPROTO_IPV6, IPV6_MINHOPCOUNT), 60);
	expect_text(c, s, "near");
	set_option(c, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 10);
	write_all(c, "far", 3);
	sleep_ms(100);
	CHECK_ERRNO(recv(s, b, sizeof(b), MSG_DONTWAIT), EAGAIN);
	set_option(c, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 64);
	CHECK_EQ(read_all(s, b, 3), 3);
	CHECK_EQ(memcmp(b, "far", 3), 0);
}

CHECK_MAIN(CASE(echo_both_ways), CASE(bulk), CASE(dual_stack_takes_both), CASE(v6only_leaves_ipv4),
	   CASE(connections_left), CASE(ipv4_listener_is_no_ipv6_one), CASE(refused),
	   CASE(nonblocking_connect), CASE(connect_to_any), CASE(bound_client),
	   CASE(native_bind_is_v6only), CASE(mapped_bind_keeps_to_ipv4), CASE(bad_addresses),
	   CASE(link_local_needs_a_link), CASE(conflicts), CASE(options), CASE(hops))

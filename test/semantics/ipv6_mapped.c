/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ipv6_mapped.c - IPv4 through AF_INET6 sockets, ipv6(7): dual-stack listeners
 */
#include "check.h"

static int tcp6_socket(void)
{
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	if (fd < 0 && errno == EAFNOSUPPORT)
		check_skip("no IPv6 here");
	return (int)OK(fd);
}

static struct sockaddr_in6 mapped(struct sockaddr_in a)
{
	struct sockaddr_in6 b = {.sin6_family = AF_INET6, .sin6_port = a.sin_port};

	b.sin6_addr.s6_addr[10] = b.sin6_addr.s6_addr[11] = 0xff;
	memcpy(&b.sin6_addr.s6_addr[12], &a.sin_addr, 4);
	return b;
}

static bool same6(struct sockaddr_in6 a, struct sockaddr_in6 b)
{
	return a.sin6_port == b.sin6_port && !memcmp(&a.sin6_addr, &b.sin6_addr, 16);
}

/* Return: a listener on [::], and its port in @port. */
static int wild_listener(uint16_t *port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6};
	int l = tcp6_socket();

	set_option(l, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	OK(bind(l, SA(&a), sizeof(a)));
	OK(listen(l, 5));
	*port = ntohs(name6(getsockname, l).sin6_port);
	return l;
}

static void dual_stack_listener(void)
{
	struct sockaddr_in6 from;
	socklen_t len = sizeof(from);
	uint16_t port;
	int l = wild_listener(&port), c = connected(test_address(port)), s;

	s = OK(accept(l, SA(&from), &len));
	CHECK_EQ(len, sizeof(from));
	CHECK(same6(from, mapped(local_name(c))));
	CHECK(same6(name6(getpeername, s), mapped(local_name(c))));
	CHECK(same6(name6(getsockname, s), mapped(peer_name(c))));
	CHECK_EQ(get_option(s, SOL_SOCKET, SO_DOMAIN), AF_INET6);
	expect_text(c, s, "four");
	expect_text(s, c, "six");
}

static void mapped_client(void)
{
	struct sockaddr_in a;
	struct sockaddr_in6 b;
	int l = listener(5, &a), c = tcp6_socket(), s;

	b = mapped(a);
	OK(connect(c, SA(&b), sizeof(b)));
	s = OK(accept(l, NULL, NULL));
	CHECK(same6(name6(getpeername, c), b));
	CHECK(same6(name6(getsockname, c), mapped(peer_name(s))));
	expect_text(c, s, "six");
}

static void mapped_bind(void)
{
	struct sockaddr_in a = test_address(0);
	struct sockaddr_in6 b = mapped(a);
	int l = tcp6_socket(), c;

	OK(bind(l, SA(&b), sizeof(b)));
	OK(listen(l, 5));
	a.sin_port = name6(getsockname, l).sin6_port;
	c = connected(a);
	expect_text(c, OK(accept(l, NULL, NULL)), "mapped");
}

static void mapped_refused(void)
{
	struct sockaddr_in a = test_address(0);
	struct sockaddr_in6 b;
	int bound = tcp_socket();

	OK(bind(bound, SA(&a), sizeof(a)));
	b = mapped(local_name(bound));
	CHECK_ERRNO(connect(tcp6_socket(), SA(&b), sizeof(b)), ECONNREFUSED);
}

static void v6only_refuses_mapped(void)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6}, b;
	struct sockaddr_in four;
	int l = tcp6_socket(), c = tcp6_socket();

	set_option(l, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	CHECK_EQ(get_option(l, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	OK(bind(l, SA(&a), sizeof(a)));
	OK(listen(l, 1));
	four = test_address(ntohs(name6(getsockname, l).sin6_port));
	b = mapped(four);
	CHECK_ERRNO(connect(tcp_socket(), SA(&four), sizeof(four)), ECONNREFUSED);
	set_option(c, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	CHECK_ERRNO(connect(c, SA(&b), sizeof(b)), ENETUNREACH);
}

/* [::] that takes IPv4 too takes the port of 0.0.0.0. */
static void shares_ports_with_ipv4(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	uint16_t port;
	int l = wild_listener(&port);

	any.sin_port = htons(port);
	CHECK_ERRNO(bind(tcp_socket(), SA(&any), sizeof(any)), EADDRINUSE);
	OK(close(l));
	OK(bind(tcp_socket(), SA(&any), sizeof(any)));
}

static void short_address(void)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6};

	CHECK_ERRNO(bind(tcp6_socket(), SA(&a), sizeof(struct sockaddr_in)), EINVAL);
	CHECK_ERRNO(connect(tcp6_socket(), SA(&a), sizeof(struct sockaddr_in)), EINVAL);
}

static void loopback_v6(void)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int l = tcp6_socket(), c = tcp6_socket();

	if (bind(l, SA(&a), sizeof(a)) < 0 && errno == EADDRNOTAVAIL)
		check_skip("no ::1 here");
	OK(listen(l, 1));
	a = name6(getsockname, l);
	OK(connect(c, SA(&a), sizeof(a)));
	expect_text(c, OK(accept(l, NULL, NULL)), "six");
}

CHECK_MAIN(CASE(dual_stack_listener), CASE(mapped_client), CASE(mapped_bind), CASE(mapped_refused),
	   CASE(v6only_refuses_mapped), CASE(shares_ports_with_ipv4), CASE(short_address),
	   CASE(loopback_v6))

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * port_range.c - IP_LOCAL_PORT_RANGE, and no port left
 */
#include "check.h"

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

#define LO 45100u

/* The first port from @lo on of four that no connection of before holds (TIME_WAIT) */
static unsigned unused(unsigned lo)
{
	for (unsigned n = 0; n < 4; lo++) {
		struct sockaddr_in a = test_address((uint16_t)lo);
		int s = tcp_socket();

		n = bind(s, SA(&a), sizeof(a)) ? 0 : n + 1;
		OK(close(s));
	}
	return lo - 4;
}

static int limited(int type, unsigned lo, unsigned hi)
{
	int fd = (int)OK(socket(AF_INET, type, 0));
	uint32_t v = lo | hi << 16;

	OK(setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &v, sizeof(v)));
	CHECK_EQ((uint32_t)get_option(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE), v);
	return fd;
}

/* To one peer there are as many connections as ports; to another one as many again. */
static void connections(void)
{
	struct sockaddr_in a, b;
	unsigned lo = LO + (unsigned)getpid() % 1000 * 4;
	int la = listener(8, &a), lb = listener(8, &b), c[3];
	unsigned seen = 0;

	(void)la;
	(void)lb;
	for (int i = 0; i < 3; i++) {
		c[i] = limited(SOCK_STREAM, lo, lo + 2);
		OK(connect(c[i], SA(&a), sizeof(a)));
		CHECK(ntohs(local_name(c[i]).sin_port) - lo < 3);
		seen |= 1u << (ntohs(local_name(c[i]).sin_port) - lo);
	}
	CHECK_EQ(seen, 7);
	CHECK_ERRNO(connect(limited(SOCK_STREAM, lo, lo + 2), SA(&a), sizeof(a)), EADDRNOTAVAIL);
	OK(connect(limited(SOCK_STREAM, lo, lo + 2), SA(&b), sizeof(b)));
	OK(connect(limited(SOCK_STREAM, 0, 0), SA(&a), sizeof(a)));
}

static void binds(void)
{
	static const int type[] = {SOCK_STREAM, SOCK_DGRAM};
	unsigned lo = unused(LO + 5000 + (unsigned)getpid() % 1000 * 4);

	for (int t = 0; t < 2; t++) {
		struct sockaddr_in a = test_address(0);
		int fd[2];

		for (int i = 0; i < 2; i++) {
			fd[i] = limited(type[t], lo, lo + 1);
			OK(bind(fd[i], SA(&a), sizeof(a)));
			CHECK(ntohs(local_name(fd[i]).sin_port) - lo < 2);
		}
		CHECK_ERRNO(bind(limited(type[t], lo, lo + 1), SA(&a), sizeof(a)), EADDRINUSE);
		OK(close(fd[0]));
		OK(bind(limited(type[t], lo, lo + 1), SA(&a), sizeof(a)));
		/* A port that is asked for is not limited. */
		a.sin_port = htons((uint16_t)(lo + 3));
		OK(bind(limited(type[t], lo, lo + 1), SA(&a), sizeof(a)));
	}
}

static void values(void)
{
	int fd = tcp_socket();
	uint32_t v = 2000 | 1000 << 16;

	CHECK_EQ(get_option(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE), 0);
	CHECK_ERRNO(setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &v, sizeof(v)), EINVAL);
	CHECK_ERRNO(setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &v, 2), EINVAL);
	v = 40000;
	OK(setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &v, sizeof(v)));
	v = 40000u << 16;
	OK(setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &v, sizeof(v)));
}

/* What was closed is free again: at once where the peer was first to close. */
static void free_again(void)
{
	/* A port that connect() chose may be one with others in TIME_WAIT, not ours to reuse. */
	unsigned lo = unused(LO + 10000 + (unsigned)getpid() % 1000 * 4);
	struct sockaddr_in a, mine = test_address((uint16_t)lo);
	int l = listener(1, &a);

	for (int i = 0; i < 20; i++) {
		int c = tcp_socket(), s;

		set_option(c, SOL_SOCKET, SO_REUSEADDR, 1);
		OK(bind(c, SA(&mine), sizeof(mine)));
		OK(connect(c, SA(&a), sizeof(a)));
		s = (int)OK(accept(l, NULL, NULL));
		OK(close(s));
		expect_eof(c);
		OK(close(c));
		/* The peer is in TIME_WAIT; a new SYN takes its place (RFC 9293 3.10.7.4). */
	}
}

CHECK_MAIN(CASE(connections), CASE(binds), CASE(values), CASE(free_again))

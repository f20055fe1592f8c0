/* SPDX-License-Identifier: BSD-3-Clause
 *
 * udp.h - What the tests of UDP share, on top of check.h
 *
 * A file of cases that is included by another one, which defines UDP_V6 before, is
 * compiled for both families.  GZ_ADDR6 is the IPv6 address to bind and connect to.
 */
#ifndef GZ_TEST_UDP_H
#define GZ_TEST_UDP_H

#include "check.h"

#ifdef UDP_V6
typedef struct sockaddr_in6 udp_addr;
#define UDP_FAMILY AF_INET6
#define UDP_MAX 65527
#define PORT sin6_port
#else
typedef struct sockaddr_in udp_addr;
#define UDP_FAMILY AF_INET
#define UDP_MAX 65507
#define PORT sin_port
#endif

static inline struct sockaddr_in6 address6(uint16_t port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	const char *text = getenv("GZ_ADDR6");

	CHECK_EQ(inet_pton(AF_INET6, text ? text : "::1", &a.sin6_addr), 1);
	return a;
}

static inline udp_addr udp_address(uint16_t port)
{
#ifdef UDP_V6
	return address6(port);
#else
	return test_address(port);
#endif
}

/** 0.0.0.0 or [::] with the port of @a */
static inline udp_addr udp_any(udp_addr a)
{
#ifdef UDP_V6
	a.sin6_addr = in6addr_any;
#else
	a.sin_addr.s_addr = 0;
#endif
	return a;
}

/** Documentation's address, which is nobody's (RFC 5737, RFC 3849) */
static inline udp_addr udp_nowhere(void)
{
	udp_addr a = udp_address(0);

#ifdef UDP_V6
	inet_pton(AF_INET6, "2001:db8::1", &a.sin6_addr);
#else
	inet_pton(AF_INET, "192.0.2.1", &a.sin_addr);
#endif
	return a;
}

static inline bool udp_same_host(udp_addr a, udp_addr b)
{
#ifdef UDP_V6
	return !memcmp(&a.sin6_addr, &b.sin6_addr, 16) && a.sin6_scope_id == b.sin6_scope_id;
#else
	return a.sin_addr.s_addr == b.sin_addr.s_addr;
#endif
}

static inline bool udp_same(udp_addr a, udp_addr b)
{
	return a.PORT == b.PORT && udp_same_host(a, b);
}

static inline int udp_socket(void)
{
	return (int)OK(socket(UDP_FAMILY, SOCK_DGRAM, 0));
}

static inline udp_addr udp_name(int fd)
{
	udp_addr a;
	socklen_t len = sizeof(a);

	OK(getsockname(fd, SA(&a), &len));
	CHECK_EQ(len, sizeof(a));
	return a;
}

static inline udp_addr udp_peer(int fd)
{
	udp_addr a;
	socklen_t len = sizeof(a);

	OK(getpeername(fd, SA(&a), &len));
	CHECK_EQ(len, sizeof(a));
	return a;
}

/** Bound to GZ_ADDR at a free port, which goes to @a. */
static inline int udp_bound(udp_addr *a)
{
	int fd = udp_socket();

	*a = udp_address(0);
	OK(bind(fd, SA(a), sizeof(*a)));
	*a = udp_name(fd);
	return fd;
}

static inline int udp_connected(udp_addr a)
{
	int fd = udp_socket();

	OK(connect(fd, SA(&a), sizeof(a)));
	return fd;
}

/** Two sockets that are connected to each other. */
static inline void udp_pair(int fd[2])
{
	udp_addr a, b;

	fd[0] = udp_bound(&a);
	fd[1] = udp_bound(&b);
	OK(connect(fd[0], SA(&b), sizeof(b)));
	OK(connect(fd[1], SA(&a), sizeof(a)));
}

/** A datagram with @text comes within 5 s.  Return: who sent it */
static inline udp_addr udp_expect(int fd, const char *text)
{
	udp_addr from = {0};
	socklen_t len = sizeof(from);
	char buf[2048] = "";

	wait_bits(fd, POLLIN);
	CHECK_EQ(recvfrom(fd, buf, sizeof(buf) - 1, 0, SA(&from), &len), strlen(text));
	CHECK_EQ(len, sizeof(from));
	CHECK(!strcmp(buf, text));
	return from;
}

static inline void udp_send(int fd, const char *text, udp_addr to)
{
	CHECK_EQ(sendto(fd, text, strlen(text), 0, SA(&to), sizeof(to)), strlen(text));
}

/** Nothing comes within 100 ms. */
static inline void udp_silent(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	CHECK_EQ(poll(&p, 1, 100), 0);
}

#endif

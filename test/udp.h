/* SPDX-License-Identifier: BSD-3-Clause
 *
 * udp.h - What the tests of UDP share, on top of check.h
 */
#ifndef GZ_TEST_UDP_H
#define GZ_TEST_UDP_H

#include "check.h"

static inline int udp_socket(void)
{
	return (int)OK(socket(AF_INET, SOCK_DGRAM, 0));
}

/** Bound to GZ_ADDR at a free port, which goes to @a. */
static inline int udp_bound(struct sockaddr_in *a)
{
	int fd = udp_socket();

	*a = test_address(0);
	OK(bind(fd, SA(a), sizeof(*a)));
	*a = local_name(fd);
	return fd;
}

static inline int udp_connected(struct sockaddr_in a)
{
	int fd = udp_socket();

	OK(connect(fd, SA(&a), sizeof(a)));
	return fd;
}

/** Two sockets that are connected to each other. */
static inline void udp_pair(int fd[2])
{
	struct sockaddr_in a, b;

	fd[0] = udp_bound(&a);
	fd[1] = udp_bound(&b);
	OK(connect(fd[0], SA(&b), sizeof(b)));
	OK(connect(fd[1], SA(&a), sizeof(a)));
}

/** A datagram with @text comes within 5 s.  Return: who sent it */
static inline struct sockaddr_in udp_expect(int fd, const char *text)
{
	struct sockaddr_in from = {0};
	socklen_t len = sizeof(from);
	char buf[2048] = "";

	wait_bits(fd, POLLIN);
	CHECK_EQ(recvfrom(fd, buf, sizeof(buf) - 1, 0, SA(&from), &len), strlen(text));
	CHECK_EQ(len, sizeof(from));
	CHECK(!strcmp(buf, text));
	return from;
}

static inline void udp_send(int fd, const char *text, struct sockaddr_in to)
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

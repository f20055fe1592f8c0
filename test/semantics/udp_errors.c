/* SPDX-License-Identifier: BSD-3-Clause
 *
 * udp_errors.c - IP_RECVERR and MSG_ERRQUEUE: which datagram, whose error
 */
#include <time.h>

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <net/ethernet.h>

#include "udp.h"

#ifdef UDP_V6
#define LEVEL IPPROTO_IPV6
#define RECVERR IPV6_RECVERR
#define MTU_DISCOVER IPV6_MTU_DISCOVER
#define ORIGIN SO_EE_ORIGIN_ICMP6
#define TYPE 1
#define CODE 4
#define HEADER 40
#define ADDRESSES 8 /* where they are in it */
#define ADDRESS sin6_addr
#else
#define LEVEL IPPROTO_IP
#define RECVERR IP_RECVERR
#define MTU_DISCOVER IP_MTU_DISCOVER
#define ORIGIN SO_EE_ORIGIN_ICMP
#define TYPE 3
#define CODE 3
#define HEADER 20
#define ADDRESSES 12
#define ADDRESS sin_addr
#endif

/* A port of GZ_ADDR that nobody has. */
static udp_addr closed_port(void)
{
	udp_addr a;

	OK(close(udp_bound(&a)));
	return a;
}

/* The queue has the refusal of @text that was sent to @to, and nothing else. */
static void expect_refusal(int fd, const char *text, udp_addr to)
{
	char control[512], buf[64] = "";
	udp_addr name, offender;
	struct iovec v = {buf, sizeof(buf)};
	struct msghdr m = {.msg_name = &name,
			   .msg_namelen = sizeof(name),
			   .msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct sock_extended_err e;
	bool found = false;

	wait_bits(fd, POLLERR);
	CHECK_EQ(recvmsg(fd, &m, MSG_ERRQUEUE), strlen(text));
	CHECK(!strcmp(buf, text));
	CHECK_EQ(m.msg_flags & MSG_ERRQUEUE, MSG_ERRQUEUE);
	CHECK_EQ(m.msg_namelen, sizeof(name));
	CHECK(udp_same(name, to));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_level != LEVEL || c->cmsg_type != RECVERR)
			continue;
		found = true;
		CHECK(c->cmsg_len >= CMSG_LEN(sizeof(e) + sizeof(offender)));
		memcpy(&e, CMSG_DATA(c), sizeof(e));
		memcpy(&offender, CMSG_DATA(c) + sizeof(e), sizeof(offender));
		CHECK_EQ(e.ee_errno, ECONNREFUSED);
		CHECK_EQ(e.ee_origin, ORIGIN);
		CHECK_EQ(e.ee_type, TYPE);
		CHECK_EQ(e.ee_code, CODE);
		CHECK_EQ(offender.PORT, 0);
		CHECK(udp_same_host(offender, to));
	}
	CHECK(found);
	CHECK_ERRNO(recvmsg(fd, &m, MSG_ERRQUEUE), EAGAIN);
}

static void of_a_connected_one(void)
{
	udp_addr a = closed_port();
	int c = udp_connected(a);

	set_option(c, LEVEL, RECVERR, 1);
	CHECK_EQ(get_option(c, LEVEL, RECVERR), 1);
	CHECK_EQ(send(c, "hello", 5, 0), 5);
	expect_refusal(c, "hello", a);
}

static void of_one_that_is_not_connected(void)
{
	udp_addr a = closed_port(), b;
	int c = udp_bound(&b);

	set_option(c, LEVEL, RECVERR, 1);
	udp_send(c, "out", a);
	expect_refusal(c, "out", a);
	/* The error itself is reported as well, once. */
	CHECK_EQ(socket_error(c), 0);
	udp_send(c, "again", a);
	wait_bits(c, POLLERR);
	CHECK_EQ(socket_error(c), ECONNREFUSED);
	expect_refusal(c, "again", a);
}

/* Two datagrams, two destinations, one queue. */
static void tells_them_apart(void)
{
	udp_addr a = closed_port(), b = closed_port(), own;
	int c = udp_bound(&own);
	char buf[16];
	udp_addr from;
	socklen_t len = sizeof(from);

	while (udp_same(a, b))
		b = closed_port();
	set_option(c, LEVEL, RECVERR, 1);
	udp_send(c, "one", a);
	wait_bits(c, POLLERR);
	CHECK_EQ(socket_error(c), ECONNREFUSED);
	udp_send(c, "three", b);
	wait_bits(c, POLLERR);
	CHECK_EQ(recvfrom(c, buf, sizeof(buf), MSG_ERRQUEUE, SA(&from), &len), 3);
	CHECK(udp_same(from, a));
	while (recvfrom(c, buf, sizeof(buf), MSG_ERRQUEUE | MSG_DONTWAIT, SA(&from), &len) != 5)
		sleep_ms(1);
	CHECK(udp_same(from, b));
}

/* What does not fit where it must not be split is an error of this host's. */
static void too_big(void)
{
	static char big[70000];
	udp_addr a;
	int s = udp_bound(&a), c = udp_connected(a);

	(void)s;
	set_option(c, LEVEL, RECVERR, 1);
	set_option(c, LEVEL, MTU_DISCOVER, IP_PMTUDISC_DO);
	CHECK_ERRNO(send(c, big, sizeof(big), 0), EMSGSIZE);
}

/* SO_TIMESTAMPING: with the time what was sent comes back, as it went out. */
static void sent_comes_back(void)
{
	uint8_t buf[256], control[512], *ip = buf + ETHER_HDR_LEN;
	struct iovec v = {buf, sizeof(buf)};
	udp_addr a, b;
	int s = udp_bound(&a), c = udp_bound(&b);

	(void)s;
	set_option(c, SOL_SOCKET, SO_TIMESTAMPING,
		   SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE);
	for (int i = 0; i < 2; i++) {
		struct msghdr m = {.msg_iov = &v,
				   .msg_iovlen = 1,
				   .msg_control = control,
				   .msg_controllen = sizeof(control)};
		size_t n = sizeof(a.ADDRESS), all = ETHER_HDR_LEN + HEADER + 8 + 5;

		if (i) {
			OK(connect(c, SA(&a), sizeof(a)));
			CHECK_EQ(send(c, "hello", 5, 0), 5);
		} else {
			udp_send(c, "hello", a);
		}
		wait_bits(c, POLLERR);
		CHECK_EQ(recvmsg(c, &m, MSG_ERRQUEUE), all);
		CHECK_EQ(memcmp(buf + all - 5, "hello", 5), 0);
		CHECK_EQ(memcmp(ip + ADDRESSES, &b.ADDRESS, n), 0);
		CHECK_EQ(memcmp(ip + ADDRESSES + n, &a.ADDRESS, n), 0);
		CHECK_EQ(memcmp(ip + HEADER, &b.PORT, 2), 0);
		CHECK_EQ(memcmp(ip + HEADER + 2, &a.PORT, 2), 0);
		if (HEADER == 20) {
			unsigned sum = 0;

			for (int k = 0; k < HEADER; k += 2)
				sum += (unsigned)ip[k] << 8 | ip[k + 1];
			CHECK_EQ((sum & 0xffff) + (sum >> 16), 0xffff);
		}
	}
}

CHECK_MAIN(CASE(of_a_connected_one), CASE(of_one_that_is_not_connected), CASE(tells_them_apart),
	   CASE(too_big), CASE(sent_comes_back))

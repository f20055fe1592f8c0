/* SPDX-License-Identifier: BSD-3-Clause
 *
 * udp_queue.c - A datagram to this host is there when it was sent; what a queue holds
 */
#include <linux/sock_diag.h>

#include "udp.h"

#define TIMES 200

static char data[65536];

/* Take a datagram of @n bytes that is there already. */
static void take(int fd, size_t n)
{
	CHECK_EQ(recv(fd, data, sizeof(data), MSG_DONTWAIT), n);
}

static void sendto_is_there(void)
{
	static const size_t sizes[] = {0, 1, 100, 1472, 9000, 65507};
	udp_addr a;
	int s = udp_bound(&a), c = udp_socket();

	for (int i = 0; i < TIMES; i++) {
		size_t n = sizes[i % 6];

		CHECK_EQ(sendto(c, data, n, 0, SA(&a), sizeof(a)), n);
		take(s, n);
	}
}

static void sendto_shows_in_poll(void)
{
	udp_addr a;
	int s = udp_bound(&a), c = udp_socket();

	for (int i = 0; i < TIMES; i++) {
		udp_send(c, "x", a);
		CHECK_EQ(poll_bits(s) & POLLIN, POLLIN);
		take(s, 1);
	}
}

static void sendmsg_is_there(void)
{
	udp_addr a;
	int s = udp_bound(&a), c = udp_socket();
	struct iovec v[2] = {{data, 10}, {data, 20}};
	struct msghdr m = {.msg_name = &a, .msg_namelen = sizeof(a), .msg_iov = v, .msg_iovlen = 2};

	for (int i = 0; i < TIMES; i++) {
		CHECK_EQ(sendmsg(c, &m, 0), 30);
		take(s, 30);
	}
}

static void sendmmsg_is_there(void)
{
	udp_addr a;
	int s = udp_bound(&a), c = udp_socket();
	struct iovec v = {data, 10};
	struct msghdr m = {
	    .msg_name = &a, .msg_namelen = sizeof(a), .msg_iov = &v, .msg_iovlen = 1};
	struct mmsghdr mm[4] = {{m, 0}, {m, 0}, {m, 0}, {m, 0}};

	for (int i = 0; i < TIMES; i++) {
		CHECK_EQ(sendmmsg(c, mm, 4, 0), 4);
		for (int k = 0; k < 4; k++)
			take(s, 10);
	}
}

/* The receiver asks for the address. */
static void connected_send_is_there(void)
{
	udp_addr from;
	socklen_t len;
	int fd[2];

	udp_pair(fd);
	for (int i = 0; i < TIMES; i++) {
		CHECK_EQ(send(fd[0], data, 100, 0), 100);
		len = sizeof(from);
		CHECK_EQ(recvfrom(fd[1], data, sizeof(data), MSG_DONTWAIT, SA(&from), &len), 100);
	}
}

/* In the order of the calls, whichever they are. */
static void order(void)
{
	udp_addr a;
	int s = udp_bound(&a), c = udp_connected(a);

	for (int i = 0; i < TIMES; i++) {
		CHECK_EQ(send(c, data, 1, 0), 1);
		CHECK_EQ(sendto(c, data, 2, 0, SA(&a), sizeof(a)), 2);
		CHECK_EQ(write(c, data, 3), 3);
		CHECK_EQ(sendto(c, data, 4, 0, SA(&a), sizeof(a)), 4);
		for (size_t n = 1; n <= 4; n++)
			take(s, n);
	}
}

/* Closed and bound anew: it is for the new one. */
static void bound_anew(void)
{
	udp_addr a;
	int s = udp_bound(&a), c = udp_socket();

	for (int i = 0; i < 20; i++) {
		close(s);
		s = udp_socket();
		OK(bind(s, SA(&a), sizeof(a)));
		udp_send(c, "x", a);
		take(s, 1);
	}
}

static void refused_at_once(void)
{
	udp_addr a;
	int s = udp_bound(&a), c = udp_connected(a);

	close(s);
	sleep_ms(300); /* the last close has been seen */
	CHECK_EQ(sendto(c, data, 1, 0, SA(&a), sizeof(a)), 1);
	CHECK_ERRNO(recv(c, data, 1, MSG_DONTWAIT), ECONNREFUSED);
}

static int option(int fd, int opt)
{
	int v = 0;
	socklen_t len = sizeof(v);

	OK(getsockopt(fd, SOL_SOCKET, opt, &v, &len));
	return v;
}

/* Of datagrams of @n bytes, how many does a queue with SO_RCVBUF of @room hold? */
static int held(size_t n, int room, uint32_t *dropped)
{
	char control[64];
	struct iovec v = {data, sizeof(data)};
	struct msghdr m;
	udp_addr a;
	int s = udp_bound(&a), c = udp_socket(), one = 1, sum = 0;

	OK(setsockopt(s, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)));
	OK(setsockopt(s, SOL_SOCKET, SO_RXQ_OVFL, &one, sizeof(one)));
	CHECK_EQ(option(s, SO_RXQ_OVFL), 1);
	for (int i = 0; i < 64; i++)
		CHECK_EQ(sendto(c, data, n, 0, SA(&a), sizeof(a)), n);
	for (;; sum++) {
		m = (struct msghdr){.msg_iov = &v, .msg_iovlen = 1};
		if (recvmsg(s, &m, MSG_DONTWAIT) < 0)
			break;
	}
	/* The next one tells how many were lost before it. */
	CHECK_EQ(sendto(c, data, n, 0, SA(&a), sizeof(a)), n);
	m = (struct msghdr){.msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control)};
	CHECK_EQ(recvmsg(s, &m, MSG_DONTWAIT), n);
	CHECK(CMSG_FIRSTHDR(&m) && CMSG_FIRSTHDR(&m)->cmsg_type == SO_RXQ_OVFL);
	memcpy(dropped, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(*dropped));
	close(s);
	close(c);
	return sum;
}

/* A datagram costs its pages and a header, not twice that (udp(7), socket(7)). */
static void queue_holds(void)
{
	static const struct {
		size_t n;
		int room, least, most;
	} t[] = {
	    /* SO_RCVBUF, doubled, by the charge; Linux before 6.16 takes one beyond. */
	    {1, 4096, 9, 10},	  {1000, 4096, 3, 4},	{8000, 60000, 7, 8},
	    {17000, 60000, 6, 7}, {30000, 60000, 3, 4}, {60000, 100000, 3, 4},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		uint32_t dropped = 0;
		int n = held(t[i].n, t[i].room, &dropped);

		printf("%zu bytes, SO_RCVBUF %d: %d of 64\n", t[i].n, t[i].room, n);
		CHECK(n >= t[i].least && n <= t[i].most);
		CHECK_EQ(dropped, 64 - n);
	}
}

static void charge(void)
{
	uint32_t mem[SK_MEMINFO_VARS] = {0};
	socklen_t len = sizeof(mem);
	udp_addr a;
	int s = udp_bound(&a), c = udp_socket();

	CHECK_EQ(sendto(c, data, 60000, 0, SA(&a), sizeof(a)), 60000);
	OK(getsockopt(s, SOL_SOCKET, SO_MEMINFO, mem, &len));
	CHECK(mem[SK_MEMINFO_RMEM_ALLOC] >= 60000);
	CHECK(mem[SK_MEMINFO_RMEM_ALLOC] < 70000);
}

CHECK_MAIN(CASE(sendto_is_there), CASE(sendto_shows_in_poll), CASE(sendmsg_is_there),
	   CASE(sendmmsg_is_there), CASE(connected_send_is_there), CASE(order), CASE(bound_anew),
	   CASE(refused_at_once), CASE(queue_holds), CASE(charge))

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * udp_messages.c - Datagrams: boundaries, addresses, truncation, peeking, sizes
 */
#include <sys/uio.h>

#include "udp.h"

/* Of linux/udp.h */
#define SOL_UDP 17
#ifndef UDP_CORK
#define UDP_CORK 1
#endif
#define UDP_SEGMENT 103

static void both_ways(void)
{
	udp_addr a, from;
	int s = udp_bound(&a), c = udp_socket();

	udp_send(c, "question", a);
	from = udp_expect(s, "question");
	CHECK_EQ(from.PORT, udp_name(c).PORT);
	CHECK(udp_same_host(from, a));
	udp_send(s, "answer", from);
	from = udp_expect(c, "answer");
	CHECK(udp_same(from, a));
}

static void boundaries(void)
{
	char buf[16];
	int fd[2];

	udp_pair(fd);
	CHECK_EQ(send(fd[0], "abc", 3, 0), 3);
	CHECK_EQ(write(fd[0], "defgh", 5), 5);
	CHECK_EQ(send(fd[0], "i", 1, MSG_NOSIGNAL), 1);
	wait_bits(fd[1], POLLIN);
	CHECK_EQ(read(fd[1], buf, sizeof(buf)), 3);
	CHECK_EQ(recv(fd[1], buf, sizeof(buf), 0), 5);
	CHECK_EQ(memcmp(buf, "defgh", 5), 0);
	CHECK_EQ(recv(fd[1], buf, sizeof(buf), MSG_WAITALL), 1);
}

static void truncation_by_recv(void)
{
	char buf[4];
	int fd[2];

	udp_pair(fd);
	CHECK_EQ(send(fd[0], "abcdef", 6, 0), 6);
	CHECK_EQ(send(fd[0], "ghijkl", 6, 0), 6);
	CHECK_EQ(send(fd[0], "mn", 2, 0), 2);
	wait_bits(fd[1], POLLIN);
	CHECK_EQ(recv(fd[1], buf, 3, 0), 3);
	CHECK_EQ(memcmp(buf, "abc", 3), 0);
	CHECK_EQ(recv(fd[1], buf, 3, MSG_TRUNC), 6);
	CHECK_EQ(memcmp(buf, "ghi", 3), 0);
	CHECK_EQ(recv(fd[1], buf, 4, MSG_TRUNC), 2);
}

static void truncation_by_recvmsg(void)
{
	udp_addr a, from;
	char x[2], y[2];
	struct iovec v[] = {{x, 2}, {y, 2}};
	struct msghdr m = {
	    .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = v, .msg_iovlen = 2};
	int s = udp_bound(&a), c = udp_socket();

	udp_send(c, "abcdef", a);
	wait_bits(s, POLLIN);
	CHECK_EQ(recvmsg(s, &m, MSG_PEEK | MSG_TRUNC), 6);
	CHECK_EQ(m.msg_flags & MSG_TRUNC, MSG_TRUNC);
	m.msg_namelen = sizeof(from);
	CHECK_EQ(recvmsg(s, &m, 0), 4);
	CHECK_EQ(m.msg_flags, MSG_TRUNC);
	CHECK_EQ(m.msg_namelen, sizeof(from));
	CHECK_EQ(m.msg_controllen, 0);
	CHECK_EQ(memcmp(x, "ab", 2), 0);
	CHECK_EQ(memcmp(y, "cd", 2), 0);
	udp_send(c, "ghij", a);
	wait_bits(s, POLLIN);
	CHECK_EQ(recvmsg(s, &m, 0), 4);
	CHECK_EQ(m.msg_flags, 0);
}

static void short_names(void)
{
	udp_addr a, from;
	socklen_t len = 4;
	char buf[8];
	int s = udp_bound(&a), c = udp_socket();

	memset(&from, 0x55, sizeof(from));
	udp_send(c, "x", a);
	wait_bits(s, POLLIN);
	CHECK_EQ(recvfrom(s, buf, sizeof(buf), 0, SA(&from), &len), 1);
	CHECK_EQ(len, sizeof(from));
	CHECK_EQ(from.PORT, udp_name(c).PORT);
	CHECK_EQ(((char *)&from)[4], 0x55); /* beyond the port nothing is written */
	len = (socklen_t)-1;
	udp_send(c, "x", a);
	wait_bits(s, POLLIN);
	CHECK_ERRNO(recvfrom(s, buf, sizeof(buf), 0, SA(&from), &len), EINVAL);
}

static void peek(void)
{
	udp_addr a, from;
	socklen_t len = sizeof(from);
	char buf[8];
	int s = udp_bound(&a), c = udp_socket(), n = 0;

	udp_send(c, "one", a);
	udp_send(c, "three", a);
	wait_bits(s, POLLIN);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(recvfrom(s, buf, sizeof(buf), MSG_PEEK, SA(&from), &len), 3);
		CHECK_EQ(recv(s, buf, sizeof(buf), MSG_PEEK | MSG_DONTWAIT), 3);
	}
	OK(ioctl(s, FIONREAD, &n));
	CHECK_EQ(n, 3); /* of the next datagram, not of all */
	udp_expect(s, "one");
	udp_expect(s, "three");
	OK(ioctl(s, FIONREAD, &n));
	CHECK_EQ(n, 0);
}

static void empty(void)
{
	udp_addr a, from;
	socklen_t len = sizeof(from);
	char buf[8];
	int s = udp_bound(&a), c = udp_connected(a);

	CHECK_EQ(send(c, "", 0, 0), 0);
	CHECK_EQ(sendto(c, NULL, 0, 0, SA(&a), sizeof(a)), 0);
	CHECK_EQ(send(c, "x", 1, 0), 1);
	CHECK_EQ(wait_bits(s, POLLIN), POLLIN | POLLOUT);
	CHECK_EQ(recvfrom(s, buf, sizeof(buf), 0, SA(&from), &len), 0);
	CHECK_EQ(from.PORT, udp_name(c).PORT);
	CHECK_EQ(wait_bits(s, POLLIN), POLLIN | POLLOUT);
	CHECK_EQ(recv(s, buf, sizeof(buf), 0), 0);
	CHECK_EQ(recv(s, buf, sizeof(buf), 0), 1);
	CHECK_ERRNO(recv(s, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
}

static char big[65536], got[65536];

static void sizes(void)
{
	static const size_t size[] = {1,    1471, 1472,	 1473,	      1480,
				      8192, 9000, 32768, UDP_MAX - 1, UDP_MAX};
	udp_addr a;
	socklen_t len;
	int s = udp_bound(&a), c = udp_socket();

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 31 >> 3);
	for (size_t i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
		CHECK_EQ(sendto(c, big, size[i], 0, SA(&a), sizeof(a)), size[i]);
		wait_bits(s, POLLIN);
		memset(got, 0, size[i]);
		len = sizeof(a);
		CHECK_EQ(recvfrom(s, got, sizeof(got), 0, NULL, &len), size[i]);
		CHECK_EQ(memcmp(big, got, size[i]), 0);
	}
	CHECK_ERRNO(sendto(c, big, UDP_MAX + 1, 0, SA(&a), sizeof(a)), EMSGSIZE);
	CHECK_ERRNO(sendto(c, big, sizeof(big), 0, SA(&a), sizeof(a)), EMSGSIZE);
	OK(connect(c, SA(&a), sizeof(a)));
	CHECK_ERRNO(send(c, big, UDP_MAX + 1, 0), EMSGSIZE);
	CHECK_EQ(send(c, big, UDP_MAX, 0), UDP_MAX);
}

static void vectors(void)
{
	udp_addr a, to, from;
	char x[3] = "", y[8] = "";
	struct iovec out[] = {{(void *)"ab", 2}, {(void *)"", 0}, {(void *)"cde", 3}};
	struct iovec in[] = {{x, 2}, {y, 8}};
	struct msghdr m = {
	    .msg_iov = out, .msg_iovlen = 3, .msg_name = &to, .msg_namelen = sizeof(to)};
	struct msghdr r = {
	    .msg_iov = in, .msg_iovlen = 2, .msg_name = &from, .msg_namelen = sizeof(from)};
	int s = udp_bound(&a), c = udp_socket();

	to = a;
	CHECK_EQ(sendmsg(c, &m, 0), 5);
	wait_bits(s, POLLIN);
	CHECK_EQ(recvmsg(s, &r, 0), 5);
	CHECK_EQ(memcmp(x, "ab", 2), 0);
	CHECK_EQ(memcmp(y, "cde", 3), 0);
	CHECK_EQ(from.PORT, udp_name(c).PORT);
	OK(connect(c, SA(&a), sizeof(a)));
	CHECK_EQ(writev(c, out, 3), 5);
	m.msg_name = NULL;
	CHECK_EQ(sendmsg(c, &m, 0), 5);
	r.msg_name = NULL;
	wait_bits(s, POLLIN);
	CHECK_EQ(readv(s, in, 2), 5);
	CHECK_EQ(recvmsg(s, &r, 0), 5);
	CHECK_EQ(r.msg_namelen, sizeof(from)); /* as it was */
	m.msg_iovlen = 1025;
	CHECK_ERRNO(sendmsg(c, &m, 0), EMSGSIZE);
}

static void many_at_once(void)
{
	udp_addr a, b, from[4];
	char buf[4][8];
	struct iovec out[3] = {{(void *)"1", 1}, {(void *)"22", 2}, {(void *)"333", 3}}, in[4];
	struct mmsghdr tx[3], rx[4];
	struct timespec ts = {.tv_nsec = 50000000};
	int s = udp_bound(&a), t = udp_bound(&b), c = udp_socket();

	memset(tx, 0, sizeof(tx));
	memset(rx, 0, sizeof(rx));
	for (int i = 0; i < 4; i++) {
		in[i] = (struct iovec){buf[i], 8};
		rx[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
						.msg_namelen = sizeof(from[i]),
						.msg_iov = &in[i],
						.msg_iovlen = 1};
	}
	for (int i = 0; i < 3; i++)
		tx[i].msg_hdr = (struct msghdr){.msg_name = i == 1 ? &b : &a,
						.msg_namelen = sizeof(a),
						.msg_iov = &out[i],
						.msg_iovlen = 1};
	CHECK_EQ(sendmmsg(c, tx, 3, 0), 3);
	CHECK_EQ(tx[0].msg_len, 1);
	CHECK_EQ(tx[2].msg_len, 3);
	udp_expect(t, "22");
	for (int n = 0; n < 3; sleep_ms(1)) /* the first, then the last is there */
		n = recv(s, buf[0], 8, MSG_PEEK | MSG_DONTWAIT) == 1 ? 3 : 0;
	sleep_ms(50);
	CHECK_EQ(recvmmsg(s, rx, 4, MSG_WAITFORONE, NULL), 2);
	CHECK_EQ(rx[0].msg_len, 1);
	CHECK_EQ(rx[1].msg_len, 3);
	CHECK_EQ(from[1].PORT, udp_name(c).PORT);
	CHECK_EQ(memcmp(buf[1], "333", 3), 0);
	CHECK_ERRNO(recvmmsg(s, rx, 4, MSG_DONTWAIT, NULL), EAGAIN);
	udp_send(c, "x", a);
	sleep_ms(60);
	CHECK_EQ(recvmmsg(s, rx, 1, 0, &ts), 1);
}

/* Without MSG_WAITFORONE it waits for all; SO_RCVTIMEO bounds each. */
static void recvmmsg_waits_for_all(void)
{
	udp_addr a, from[2];
	char buf[2][8];
	struct iovec in[2] = {{buf[0], 8}, {buf[1], 8}};
	struct mmsghdr rx[2];
	int s = udp_bound(&a), c = udp_socket();
	pid_t pid;

	memset(rx, 0, sizeof(rx));
	for (int i = 0; i < 2; i++)
		rx[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
						.msg_namelen = sizeof(from[i]),
						.msg_iov = &in[i],
						.msg_iovlen = 1};
	pid = child();
	if (!pid) {
		udp_send(c, "a", a);
		sleep_ms(150);
		udp_send(c, "bc", a);
		_exit(0);
	}
	CHECK_EQ(recvmmsg(s, rx, 2, 0, NULL), 2);
	CHECK_EQ(rx[1].msg_len, 2);
	reap(pid);
	set_timeout(s, SO_RCVTIMEO, 100);
	udp_send(c, "d", a);
	CHECK_EQ(recvmmsg(s, rx, 2, 0, NULL), 1);
}

static void bad_arguments(void)
{
	udp_addr a, b;
	struct msghdr m = {.msg_name = &b, .msg_namelen = sizeof(b)};
	int s = udp_bound(&a), c = udp_socket();

	(void)s;
	CHECK_ERRNO(send(c, "x", 1, 0), EDESTADDRREQ);
	CHECK_ERRNO(write(c, "x", 1), EDESTADDRREQ);
	CHECK_ERRNO(sendto(c, "x", 1, 0, SA(&a), 4), EINVAL);
	b = a;
	SA(&b)->sa_family = AF_APPLETALK;
	CHECK_ERRNO(sendto(c, "x", 1, 0, SA(&b), sizeof(b)),
		    UDP_FAMILY == AF_INET ? EAFNOSUPPORT : EINVAL);
	CHECK_ERRNO(connect(c, SA(&b), sizeof(b)), EAFNOSUPPORT);
	b = a;
	b.PORT = 0;
	CHECK_ERRNO(sendto(c, "x", 1, 0, SA(&b), sizeof(b)), EINVAL);
	CHECK_ERRNO(sendmsg(c, &m, 0), EINVAL);
	if (UDP_FAMILY == AF_INET)
		CHECK_ERRNO(sendto(c, "x", 1, MSG_OOB, SA(&a), sizeof(a)), EOPNOTSUPP);
	else
		CHECK_EQ(sendto(c, "x", 1, MSG_OOB, SA(&a), sizeof(a)), 1);
	CHECK_ERRNO(sendto(c, (void *)8, 1, 0, SA(&a), sizeof(a)), EFAULT);
	CHECK_ERRNO(sendto(c, "x", 1, 0, (void *)8, sizeof(a)), EFAULT);
	CHECK_ERRNO(sendmsg(c, (void *)8, 0), EFAULT);
	CHECK_ERRNO(recvmsg(s, (void *)8, MSG_DONTWAIT), EFAULT);
	CHECK_ERRNO(listen(s, 1), EOPNOTSUPP);
	CHECK_ERRNO(accept(s, NULL, NULL), EOPNOTSUPP);
}

/* The buffer is looked at last. */
static void name_before_bytes(void)
{
	struct sockaddr_in6 odd = {.sin6_family = 99};
	udp_addr a;
	int fd = udp_bound(&a);

	CHECK_ERRNO(sendto(fd, (void *)8, 4, 0, SA(&odd), sizeof(odd)),
		    UDP_FAMILY == AF_INET ? EAFNOSUPPORT : EINVAL);
	a.PORT = 0;
	CHECK_ERRNO(sendto(fd, (void *)8, 4, 0, SA(&a), sizeof(a)), EINVAL);
}

/* The room for the name is looked at when the bytes are there, and gone. */
static void bytes_before_name(void)
{
	udp_addr a, from;
	int fd = udp_bound(&a);
	socklen_t len = (socklen_t)-1;
	char buf[8];

	for (int i = 0; i < 3; i++)
		udp_send(fd, "abc", a);
	wait_bits(fd, POLLIN);
	CHECK_ERRNO(recvfrom(fd, (void *)8, 4, 0, SA(&from), &len), EFAULT);
	CHECK_ERRNO(recvfrom(fd, buf, sizeof(buf), 0, SA(&from), &len), EINVAL);
	CHECK(!memcmp(buf, "abc", 3));
	CHECK_ERRNO(recvfrom(fd, buf, sizeof(buf), 0, SA(&from), NULL), EFAULT);
	CHECK_ERRNO(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
}

static void *blocked_recvfrom(void *arg)
{
	udp_addr from;
	socklen_t len = sizeof(from);
	char c;

	CHECK_EQ(recvfrom(*(int *)arg, &c, 1, 0, SA(&from), &len), 0);
	CHECK_EQ(len, 0);
	return NULL;
}

static void *blocked_recvmsg(void *arg)
{
	udp_addr from;
	struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof(from)};

	CHECK_EQ(recvmsg(*(int *)arg, &m, 0), 0);
	return NULL;
}

/* Who waits hears of it, though shutdown() says that there is no connection. */
static void shutdown_wakes(void)
{
	udp_addr a;

	for (int i = 0; i < 2; i++) {
		int fd = udp_bound(&a);
		pthread_t t = thread(i ? blocked_recvmsg : blocked_recvfrom, &fd);

		sleep_ms(50);
		CHECK_ERRNO(shutdown(fd, SHUT_RD), ENOTCONN);
		join(t);
		OK(close(fd));
	}
}

/* The parts come one by one, the last is shorter. */
static void expect_parts(int fd, const char *whole, size_t len, size_t part)
{
	char part_of[2048];

	for (size_t at = 0; at < len; at += part) {
		size_t n = len - at < part ? len - at : part;

		wait_bits(fd, POLLIN);
		CHECK_EQ(recv(fd, part_of, sizeof(part_of), 0), n);
		CHECK_EQ(memcmp(part_of, whole + at, n), 0);
	}
	udp_silent(fd);
}

/* UDP_SEGMENT: what is sent at once is cut, by the option's size or by that of a message. */
static void segments(void)
{
	union {
		char raw[CMSG_SPACE(sizeof(uint16_t))];
		struct cmsghdr h;
	} control = {.h = {CMSG_LEN(sizeof(uint16_t)), SOL_UDP, UDP_SEGMENT}};
	char whole[3033];
	struct iovec v = {whole, sizeof(whole)};
	udp_addr a;
	int s = udp_bound(&a), c = udp_connected(a), u = udp_socket();
	struct msghdr m = {&a, sizeof(a), &v, 1, control.raw, sizeof(control.raw), 0};

	for (size_t i = 0; i < sizeof(whole); i++)
		whole[i] = (char)(i * 31 >> 4);
	set_option(c, SOL_UDP, UDP_SEGMENT, 500);
	CHECK_EQ(get_option(c, SOL_UDP, UDP_SEGMENT), 500);
	CHECK_EQ(send(c, whole, sizeof(whole), 0), sizeof(whole));
	expect_parts(s, whole, sizeof(whole), 500);
	CHECK_EQ(sendto(c, whole, sizeof(whole), 0, SA(&a), sizeof(a)), sizeof(whole));
	expect_parts(s, whole, sizeof(whole), 500);
	*(uint16_t *)(void *)CMSG_DATA(&control.h) = 1000;
	CHECK_EQ(sendmsg(u, &m, 0), sizeof(whole));
	expect_parts(s, whole, sizeof(whole), 1000);
	CHECK_ERRNO(setsockopt(c, SOL_UDP, UDP_SEGMENT, &(int){65536}, sizeof(int)), EINVAL);
}

/* UDP_CORK, MSG_MORE: one datagram of several calls */
static void one_of_several_calls(void)
{
	udp_addr a;
	int s = udp_bound(&a), c = udp_connected(a), u = udp_socket();

	set_option(c, SOL_UDP, UDP_CORK, 1);
	CHECK_EQ(get_option(c, SOL_UDP, UDP_CORK), 1);
	CHECK_EQ(send(c, "one ", 4, 0), 4);
	CHECK_EQ(send(c, "by ", 3, 0), 3);
	udp_silent(s);
	set_option(c, SOL_UDP, UDP_CORK, 0);
	udp_expect(s, "one by ");
	CHECK_EQ(send(c, "of ", 3, MSG_MORE), 3);
	CHECK_EQ(send(c, "two", 3, 0), 3);
	udp_expect(s, "of two");
	CHECK_EQ(sendto(u, "not ", 4, MSG_MORE, SA(&a), sizeof(a)), 4);
	CHECK_EQ(sendto(u, "connected", 9, 0, SA(&a), sizeof(a)), 9);
	udp_expect(s, "not connected");
}

CHECK_MAIN(CASE(both_ways), CASE(boundaries), CASE(truncation_by_recv), CASE(truncation_by_recvmsg),
	   CASE(short_names), CASE(peek), CASE(empty), CASE(sizes), CASE(vectors),
	   CASE(many_at_once), ASIDE(recvmmsg_waits_for_all), CASE(bad_arguments),
	   CASE(name_before_bytes), CASE(bytes_before_name), ASIDE(shutdown_wakes), ASIDE(segments),
	   ASIDE(one_of_several_calls))

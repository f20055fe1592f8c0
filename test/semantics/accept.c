/* SPDX-License-Identifier: BSD-3-Clause
 *
 * accept.c - accept(2), accept4(2): flags, addresses, errors, order
 */
#include "check.h"

static bool nonblocking(int fd)
{
	return OK(fcntl(fd, F_GETFL)) & O_NONBLOCK;
}

static bool cloexec(int fd)
{
	return OK(fcntl(fd, F_GETFD)) & FD_CLOEXEC;
}

static void flags(void)
{
	struct sockaddr_in a;
	int l = listener(8, &a), s;

	for (int i = 0; i < 4; i++)
		connected(a);
	s = OK(accept4(l, NULL, NULL, 0));
	CHECK(!nonblocking(s) && !cloexec(s));
	s = OK(accept4(l, NULL, NULL, SOCK_NONBLOCK));
	CHECK(nonblocking(s) && !cloexec(s));
	s = OK(accept4(l, NULL, NULL, SOCK_CLOEXEC));
	CHECK(!nonblocking(s) && cloexec(s));
	s = OK(accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
	CHECK(nonblocking(s) && cloexec(s));
	CHECK_ERRNO(accept4(l, NULL, NULL, 1), EINVAL);
}

static void flags_are_not_inherited(void)
{
	struct sockaddr_in a;
	int l = listener(8, &a), s;

	set_nonblock(l);
	OK(fcntl(l, F_SETFD, FD_CLOEXEC));
	connected(a);
	wait_bits(l, POLLIN);
	s = OK(accept(l, NULL, NULL));
	CHECK(!nonblocking(s) && !cloexec(s));
}

static void gives_the_peers_address(void)
{
	struct sockaddr_in a, got = {0};
	socklen_t len = sizeof(got);
	int l = listener(8, &a), c = connected(a), s = OK(accept(l, SA(&got), &len));

	CHECK_EQ(len, sizeof(got));
	CHECK(same_address(got, local_name(c)));
	CHECK(same_address(got, peer_name(s)));
	CHECK_EQ(memcmp(got.sin_zero, "\0\0\0\0\0\0\0", 8), 0);
}

static void longer_buffer(void)
{
	struct sockaddr_in a;
	struct sockaddr_storage got;
	socklen_t len = sizeof(got);
	int l = listener(8, &a), c = connected(a);
	struct sockaddr_in want = local_name(c);

	memset(&got, 0x55, sizeof(got));
	OK(accept(l, SA(&got), &len));
	CHECK_EQ(len, sizeof(want));
	CHECK_EQ(memcmp(&got, &want, sizeof(want)), 0);
	CHECK_EQ(((unsigned char *)&got)[sizeof(want)], 0x55);
}

/* A short buffer is filled as far as it goes; the length told is the true one. */
static void short_buffer(void)
{
	struct sockaddr_in a;
	unsigned char got[16];
	socklen_t len = 4;
	int l = listener(8, &a), c = connected(a);
	struct sockaddr_in want = local_name(c);

	memset(got, 0x55, sizeof(got));
	OK(accept(l, SA(got), &len));
	CHECK_EQ(len, sizeof(want));
	CHECK_EQ(memcmp(got, &want, 4), 0);
	CHECK_EQ(got[4], 0x55);

	connected(a);
	len = 0;
	got[0] = 0x55;
	OK(accept(l, SA(got), &len));
	CHECK_EQ(len, sizeof(want));
	CHECK_EQ(got[0], 0x55);
}

/* The connection that could not be described is gone, the listener is not. */
static void bad_pointers(void)
{
	struct sockaddr_in a, got;
	socklen_t len = sizeof(got);
	int l = listener(8, &a), c = connected(a);

	CHECK_ERRNO(accept(l, SA(8), &len), EFAULT);
	expect_eof(c);
	c = connected(a);
	CHECK_ERRNO(accept(l, SA(&got), NULL), EFAULT);
	expect_eof(c);
	c = connected(a);
	len = (socklen_t)-1;
	CHECK_ERRNO(accept(l, SA(&got), &len), EINVAL);
	expect_eof(c);
	c = connected(a);
	expect_text(c, OK(accept(l, NULL, (socklen_t *)8)), "a null address ignores the length");
}

static void nothing_pending(void)
{
	struct sockaddr_in a;
	int l = listener(8, &a);

	set_nonblock(l);
	CHECK_ERRNO(accept(l, NULL, NULL), EAGAIN);
	CHECK_EQ(poll_bits(l), 0);
	connected(a);
	CHECK_EQ(wait_bits(l, POLLIN), POLLIN);
	OK(accept(l, NULL, NULL));
	CHECK_ERRNO(accept(l, NULL, NULL), EAGAIN);
	CHECK_EQ(poll_bits(l), 0);
}

static void not_listening(void)
{
	int fd[2], bound = tcp_socket();
	struct sockaddr_in a = test_address(0);

	CHECK_ERRNO(accept(tcp_socket(), NULL, NULL), EINVAL);
	OK(bind(bound, SA(&a), sizeof(a)));
	CHECK_ERRNO(accept(bound, NULL, NULL), EINVAL);
	tcp_pair(fd);
	CHECK_ERRNO(accept(fd[0], NULL, NULL), EINVAL);
	CHECK_ERRNO(accept(fd[1], NULL, NULL), EINVAL);
}

static void in_order_of_arrival(void)
{
	struct sockaddr_in a;
	int l = listener(32, &a), c[32];

	/* Several workers, and the peer another host: nothing says so then. */
	if (getenv("GZ_UNORDERED"))
		return;
	for (int i = 0; i < 32; i++)
		c[i] = connected(a);
	for (int i = 0; i < 32; i++) {
		int s = OK(accept(l, NULL, NULL));

		CHECK(same_address(peer_name(s), local_name(c[i])));
	}
}

static void client_left_before_accept(void)
{
	struct sockaddr_in a;
	int l = listener(8, &a), c = connected(a), s;
	char buf[8];

	write_all(c, "bye", 3);
	OK(close(c));
	sleep_ms(50);
	s = OK(accept(l, NULL, NULL));
	CHECK_EQ(read_all(s, buf, sizeof(buf)), 3);
	CHECK_EQ(memcmp(buf, "bye", 3), 0);
	expect_eof(s);
}

static void client_reset_before_accept(void)
{
	struct sockaddr_in a;
	struct linger now = {1, 0};
	int l = listener(8, &a), c = connected(a), s;
	char b;

	OK(setsockopt(c, SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
	OK(close(c));
	sleep_ms(50);
	s = OK(accept(l, NULL, NULL));
	CHECK_ERRNO(recv(s, &b, 1, 0), ECONNRESET);
}

/* Data sent before accept() waits for whoever accepts. */
/* Who looks for it without waiting sees the end that came before it was accepted. */
static void end_before_accept(void)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP};
	struct sockaddr_in a;
	int l = listener(4, &a), ep = OK(epoll_create1(0)), pair[2], c, s;

	tcp_pair(pair);
	expect_text(pair[0], pair[1], "this program uses others already");
	wait_bits(pair[0], POLLOUT);
	c = connected(a);
	OK(shutdown(c, SHUT_WR));
	sleep_ms(50);
	s = OK(accept(l, NULL, NULL));
	while (poll_bits(s) != (POLLIN | POLLOUT | POLLRDHUP))
		sleep_ms(1);
	OK(epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev));
	CHECK_EQ(epoll_wait(ep, &ev, 1, 5000), 1);
	CHECK_EQ(ev.events, EPOLLIN | EPOLLRDHUP);
	expect_eof(s);
	expect_text(s, c, "the other way is open");
}

static void data_before_accept(void)
{
	struct sockaddr_in a;
	static char big[60000], got[60000];
	int l = listener(8, &a), c = connected(a), s;

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 >> 3);
	write_all(c, big, sizeof(big));
	s = OK(accept(l, NULL, NULL));
	CHECK_EQ(read_all(s, got, sizeof(got)), sizeof(got));
	CHECK_EQ(memcmp(big, got, sizeof(got)), 0);
}

static struct sockaddr_in late_address;

static void *connect_late(void *arg)
{
	(void)arg;
	sleep_ms(100);
	return (void *)(intptr_t)connected(late_address);
}

static void blocks_until_a_client_comes(void)
{
	int l = listener(8, &late_address), s;
	long long start = now_ms();
	pthread_t t = thread(connect_late, NULL);

	s = OK(accept(l, NULL, NULL));
	CHECK(now_ms() - start >= 90);
	expect_text((int)(intptr_t)join(t), s, "late");
}

CHECK_MAIN(CASE(flags), CASE(flags_are_not_inherited), CASE(gives_the_peers_address),
	   CASE(longer_buffer), CASE(short_buffer), CASE(bad_pointers), CASE(nothing_pending),
	   CASE(not_listening), CASE(in_order_of_arrival), CASE(client_left_before_accept),
	   CASE(client_reset_before_accept), CASE(end_before_accept), CASE(data_before_accept),
	   CASE(blocks_until_a_client_comes))

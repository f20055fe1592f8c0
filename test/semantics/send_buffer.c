/* SPDX-License-Identifier: BSD-3-Clause
 *
 * send_buffer.c - A full send buffer: EAGAIN, POLLOUT again, blocking, parts
 */
#include "check.h"

static char big[16 << 20];

/* Return: bytes that fitted before EAGAIN. */
static size_t fill_up(int fd)
{
	size_t total = 0, before;
	int quiet = 0;
	ssize_t n;

	/* Until nothing fits any more: what earlier rounds sent may have been in
	 * flight, and a full buffer stays full. */
	while (quiet < 2) {
		before = total;
		while ((n = send(fd, big, sizeof(big), MSG_NOSIGNAL | MSG_DONTWAIT)) > 0)
			total += (size_t)n;
		CHECK_EQ(errno, EAGAIN);
		quiet = total == before ? quiet + 1 : 0;
		sleep_ms(50);
	}
	return total;
}

static void full_is_eagain(void)
{
	int fd[2];
	size_t n;

	tcp_pair(fd);
	n = fill_up(fd[0]);
	CHECK(n > 0);
	CHECK(n < sizeof(big));
	CHECK_ERRNO(send(fd[0], "x", 1, MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(poll_bits(fd[0]), 0);
	OK(fcntl(fd[0], F_SETFL, O_NONBLOCK));
	CHECK_ERRNO(write(fd[0], "x", 1), EAGAIN);
}

static void writable_after_peer_reads(void)
{
	int fd[2];
	size_t n;

	tcp_pair(fd);
	n = fill_up(fd[0]);
	CHECK_EQ(read_all(fd[1], big, n), n);
	CHECK_EQ(wait_bits(fd[0], POLLOUT), POLLOUT);
	expect_text(fd[0], fd[1], "room");
}

static void edge_when_writable_again(void)
{
	struct epoll_event ev = {.events = EPOLLOUT | EPOLLET};
	int fd[2], e = OK(epoll_create1(0));
	size_t n;

	tcp_pair(fd);
	OK(epoll_ctl(e, EPOLL_CTL_ADD, fd[0], &ev));
	CHECK_EQ(epoll_wait(e, &ev, 1, 1000), 1);
	n = fill_up(fd[0]);
	while (epoll_wait(e, &ev, 1, 0) > 0)
		;
	CHECK_EQ(read_all(fd[1], big, n), n);
	CHECK_EQ(epoll_wait(e, &ev, 1, 5000), 1);
	CHECK_EQ(ev.events, EPOLLOUT);
}

/* One call sends all, however long it takes. */
static void blocking_send_blocks(void)
{
	long long start;
	int fd[2];
	pthread_t t;

	tcp_pair(fd);
	start = now_ms();
	t = thread(drain_later, &fd[1]);
	CHECK_EQ(send(fd[0], big, sizeof(big), 0), sizeof(big));
	CHECK(now_ms() - start >= 180);
	OK(close(fd[0]));
	CHECK_EQ((size_t)join(t), sizeof(big));
}

static void blocking_write_on_full(void)
{
	long long start;
	int fd[2];
	size_t n;
	pthread_t t;

	tcp_pair(fd);
	n = fill_up(fd[0]);
	start = now_ms();
	t = thread(drain_later, &fd[1]);
	CHECK_EQ(write(fd[0], big, 4096), 4096);
	CHECK(now_ms() - start >= 150);
	OK(shutdown(fd[0], SHUT_WR));
	CHECK_EQ((size_t)join(t), n + 4096);
}

/* The other direction has a buffer of its own. */
static void full_one_way_only(void)
{
	int fd[2];

	tcp_pair(fd);
	fill_up(fd[0]);
	expect_text(fd[1], fd[0], "against the stream");
	CHECK_EQ(wait_bits(fd[1], POLLIN | POLLOUT), POLLIN | POLLOUT);
}

/* A small SO_SNDBUF and SO_RCVBUF bound what is under way. */
static void small_buffers_bound(void)
{
	struct sockaddr_in a;
	int l = listener(1, &a), c = tcp_socket(), s;
	size_t n;

	set_option(l, SOL_SOCKET, SO_RCVBUF, 8192);
	set_option(c, SOL_SOCKET, SO_SNDBUF, 8192);
	OK(connect(c, SA(&a), sizeof(a)));
	s = OK(accept(l, NULL, NULL));
	n = fill_up(c);
	CHECK(n <= 512 << 10);
	CHECK_EQ(read_all(s, big, n), n);
	wait_bits(c, POLLOUT);
	expect_text(c, s, "on");
}

/* Bytes pass small buffers, and smaller and larger ones; the end is a FIN. */
static void small_buffers_deliver(void)
{
	static char got[512 << 10];
	const size_t half = sizeof(got) / 2;
	struct sockaddr_in a;
	int l = listener(1, &a), c = tcp_socket(), s, status;
	pid_t pid;

	set_option(l, SOL_SOCKET, SO_RCVBUF, 8192);
	set_option(c, SOL_SOCKET, SO_SNDBUF, 8192);
	OK(connect(c, SA(&a), sizeof(a)));
	s = OK(accept(l, NULL, NULL));
	for (size_t i = 0; i < sizeof(got); i++)
		big[i] = (char)(i * 7 >> 4);
	pid = child();
	if (!pid) {
		OK(close(s));
		write_all(c, big, 2 * half);
		expect_eof(c);
		_exit(0);
	}
	OK(close(c));
	CHECK_EQ(read_all(s, got, half), half);
	set_option(s, SOL_SOCKET, SO_RCVBUF, 65536);
	CHECK_EQ(read_all(s, got + half, half / 2), half / 2);
	set_option(s, SOL_SOCKET, SO_RCVBUF, 4096);
	CHECK_EQ(read_all(s, got + half + half / 2, half / 2), half / 2);
	CHECK_EQ(memcmp(big, got, 2 * half), 0);
	OK(close(s));
	status = reap_status(pid);
	CHECK_EQ(status, 0);
}

CHECK_MAIN(CASE(full_is_eagain), CASE(writable_after_peer_reads), CASE(edge_when_writable_again),
	   CASE(blocking_send_blocks), CASE(blocking_write_on_full), CASE(full_one_way_only),
	   CASE(small_buffers_bound), ASIDE(small_buffers_deliver))

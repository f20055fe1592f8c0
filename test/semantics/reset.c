/* SPDX-License-Identifier: BSD-3-Clause
 *
 * reset.c - RST: who sends it, and what the other end's calls and polls say
 */
#include <sys/uio.h>

#include "check.h"

#define RESET_BITS (POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR)

static void reset_close(int fd)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	OK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
	OK(close(fd));
}

static void recv_says_it_once(void)
{
	char b;

	for (int i = 0; i < 2; i++) {
		int fd[2];

		tcp_pair(fd);
		reset_close(fd[i]);
		CHECK_ERRNO(recv(fd[!i], &b, 1, 0), ECONNRESET);
		expect_eof(fd[!i]);
		CHECK_EQ(socket_error(fd[!i]), 0);
	}
}

static void send_says_it_once(void)
{
	struct msghdr none = {0};
	int fd[2];

	tcp_pair(fd);
	expect_text(fd[0], fd[1], "this program uses others already");
	CHECK_EQ(sendmsg(fd[1], &none, 0), 0);
	CHECK_ERRNO(recvmsg(fd[1], &none, MSG_DONTWAIT), EAGAIN);
	reset_close(fd[0]);
	wait_bits(fd[1], POLLERR);
	CHECK_ERRNO(send(fd[1], "x", 1, MSG_NOSIGNAL), ECONNRESET);
	CHECK_ERRNO(send(fd[1], "x", 1, MSG_NOSIGNAL), EPIPE);
	expect_eof(fd[1]);
	/* One that was shut for sending has the error before EPIPE, too; recv() may take it first.
	 */
	for (int reads = 0; reads < 2; reads++) {
		char b;

		tcp_pair(fd);
		OK(shutdown(fd[1], SHUT_WR));
		CHECK_ERRNO(send(fd[1], "x", 1, MSG_NOSIGNAL), EPIPE);
		wait_bits(fd[0], POLLRDHUP);
		reset_close(fd[0]);
		wait_bits(fd[1], POLLERR);
		if (reads)
			CHECK_ERRNO(recv(fd[1], &b, 1, 0), ECONNRESET);
		else
			CHECK_ERRNO(send(fd[1], "x", 1, MSG_NOSIGNAL), ECONNRESET);
		CHECK(!(poll_bits(fd[1]) & POLLERR));
		CHECK_ERRNO(send(fd[1], "x", 1, MSG_NOSIGNAL), EPIPE);
	}
}

/* What it did not read is lost, and the other end hears of that after the end of file too. */
static void close_with_unread_data_after_its_end(void)
{
	int fd[2];

	tcp_pair(fd);
	write_all(fd[1], "unread", 6);
	wait_bits(fd[0], POLLIN);
	OK(shutdown(fd[0], SHUT_WR));
	wait_bits(fd[1], POLLRDHUP);
	OK(close(fd[0]));
	wait_bits(fd[1], POLLHUP);
	CHECK_ERRNO(send(fd[1], "x", 1, MSG_NOSIGNAL), EPIPE);
}

static void polled(void)
{
	int fd[2];

	tcp_pair(fd);
	reset_close(fd[0]);
	CHECK_EQ(wait_bits(fd[1], POLLERR), RESET_BITS);
	CHECK_EQ(socket_error(fd[1]), ECONNRESET);
	CHECK_EQ(socket_error(fd[1]), 0);
	CHECK_EQ(poll_bits(fd[1]), RESET_BITS & ~POLLERR);
	expect_eof(fd[1]);
}

static void epolled(void)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
	int fd[2], e = OK(epoll_create1(0));

	tcp_pair(fd);
	OK(epoll_ctl(e, EPOLL_CTL_ADD, fd[1], &ev));
	CHECK_EQ(epoll_wait(e, &ev, 1, 0), 0);
	reset_close(fd[0]);
	CHECK_EQ(epoll_wait(e, &ev, 1, 5000), 1);
	CHECK_EQ(ev.events, EPOLLIN | EPOLLERR | EPOLLHUP);
}

static void not_connected_after(void)
{
	struct sockaddr_in a;
	int fd[2];

	tcp_pair(fd);
	reset_close(fd[0]);
	wait_bits(fd[1], POLLERR);
	CHECK_ERRNO(getpeername(fd[1], SA(&a), &(socklen_t){sizeof(a)}), ENOTCONN);
	CHECK_ERRNO(shutdown(fd[1], SHUT_WR), ENOTCONN);
}

/* What arrived before the RST is still read first. */
static void data_comes_first(void)
{
	char buf[8];
	int fd[2];

	tcp_pair(fd);
	write_all(fd[0], "last", 4);
	wait_bits(fd[1], POLLIN);
	reset_close(fd[0]);
	wait_bits(fd[1], POLLERR);
	CHECK_EQ(recv(fd[1], buf, sizeof(buf), 0), 4);
	CHECK_ERRNO(recv(fd[1], buf, sizeof(buf), 0), ECONNRESET);
	expect_eof(fd[1]);
}

static void close_with_unread_data(void)
{
	int fd[2];
	char b;

	tcp_pair(fd);
	write_all(fd[1], "unread", 6);
	wait_bits(fd[0], POLLIN);
	OK(close(fd[0]));
	CHECK_EQ(wait_bits(fd[1], POLLERR), RESET_BITS);
	CHECK_ERRNO(recv(fd[1], &b, 1, 0), ECONNRESET);
}

/* A zero linger time throws away what was not sent yet, too. */
static void linger_zero_discards(void)
{
	static char big[8 << 20];
	size_t got = 0;
	ssize_t n, sent;
	int fd[2];

	tcp_pair(fd);
	set_nonblock(fd[0]);
	sent = OK(send(fd[0], big, sizeof(big), 0));
	reset_close(fd[0]);
	while ((n = recv(fd[1], big, sizeof(big), 0)) > 0)
		got += (size_t)n;
	CHECK_ERRNO(n, ECONNRESET);
	CHECK((ssize_t)got <= sent);
}

static int victim;

/* @sends: who is to be woken has begun to send when something has come. */
static void *reset_later(void *sends)
{
	if (sends)
		wait_bits(victim, POLLIN);
	sleep_ms(100);
	reset_close(victim);
	return NULL;
}

static void wakes_a_blocked_recv(void)
{
	int fd[2];
	char b;
	pthread_t t;

	tcp_pair(fd);
	victim = fd[0];
	t = thread(reset_later, NULL);
	CHECK_ERRNO(recv(fd[1], &b, 1, 0), ECONNRESET);
	join(t);
}

static void wakes_a_blocked_send(void)
{
	static char big[16 << 20];
	int fd[2];
	pthread_t t;
	ssize_t n;

	tcp_pair(fd);
	victim = fd[0];
	t = thread(reset_later, &victim);
	n = OK(send(fd[1], big, sizeof(big), MSG_NOSIGNAL));
	CHECK(n < (ssize_t)sizeof(big));
	CHECK_ERRNO(send(fd[1], big, sizeof(big), MSG_NOSIGNAL), ECONNRESET);
	join(t);
}

/* A killed process's connections end like closed ones. */
static void killed_process(void)
{
	struct sockaddr_in a;
	int l = listener(5, &a), s[2];
	char b;
	pid_t pid = child();

	if (!pid) {
		connected(a);
		connected(a);
		pause();
	}
	for (int i = 0; i < 2; i++)
		s[i] = OK(accept(l, NULL, NULL));
	write_all(s[1], "unread", 6);
	sleep_ms(50);
	OK(kill(pid, SIGKILL));
	reap_status(pid);
	CHECK_EQ(recv(s[0], &b, 1, 0), 0);
	CHECK_ERRNO(recv(s[1], &b, 1, 0), ECONNRESET);
}

/* Calls of no bytes: of vectors they are nothing, of recv() they tell of the error. */
static void calls_of_no_bytes(void)
{
	int fd[2], fresh = tcp_socket(), l = tcp_socket();
	struct iovec v[2] = {{"", 0}, {"", 0}};
	char b;

	CHECK_EQ(writev(fresh, v, 2), 0);
	CHECK_EQ(readv(fresh, v, 2), 0);
	OK(listen(l, 1));
	CHECK_EQ(writev(l, v, 2), 0);
	CHECK_EQ(readv(l, v, 2), 0);
	tcp_pair(fd);
	expect_text(fd[0], fd[1], "this program uses others already");
	reset_close(fd[0]);
	wait_bits(fd[1], POLLERR);
	CHECK_EQ(writev(fd[1], v, 2), 0);
	CHECK_EQ(readv(fd[1], v, 2), 0);
	CHECK_ERRNO(recv(fd[1], &b, 0, 0), ECONNRESET);
	CHECK(!(poll_bits(fd[1]) & POLLERR));
	CHECK_EQ(socket_error(fd[1]), 0);
}

CHECK_MAIN(CASE(recv_says_it_once), CASE(send_says_it_once), CASE(polled), CASE(epolled),
	   CASE(not_connected_after), CASE(data_comes_first), CASE(close_with_unread_data),
	   CASE(linger_zero_discards), ASIDE(wakes_a_blocked_recv), ASIDE(wakes_a_blocked_send),
	   CASE(killed_process), CASE(calls_of_no_bytes),
	   CASE(close_with_unread_data_after_its_end))

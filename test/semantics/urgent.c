/* SPDX-License-Identifier: BSD-3-Clause
 *
 * urgent.c - MSG_OOB, SO_OOBINLINE, SIOCATMARK, POLLPRI, SIGURG (tcp(7), RFC 6093)
 */
#include <linux/sockios.h>
#include <sys/select.h>

#include "check.h"

static int at_mark(int fd)
{
	int v = -1;

	OK(ioctl(fd, SIOCATMARK, &v));
	return v;
}

static void send_urgent(int fd, const char *text)
{
	CHECK_EQ(send(fd, text, strlen(text), MSG_OOB), strlen(text));
}

/* The urgent byte, which must be @c, when it is here. */
static void expect_urgent(int fd, char c)
{
	char b = 0;

	wait_bits(fd, POLLPRI);
	CHECK_EQ(recv(fd, &b, 1, MSG_OOB), 1);
	CHECK_EQ(b, c);
}

static void expect_read(int fd, const char *text)
{
	char b[64] = "";

	CHECK_EQ(recv(fd, b, sizeof(b) - 1, 0), strlen(text));
	CHECK(!strcmp(b, text));
}

/* It is there, and what came before it, when the connection is accepted. */
static void before_accept(void)
{
	struct sockaddr_in a;
	int l = listener(4, &a), c = connected(a), s;

	write_all(c, "abc", 3);
	send_urgent(c, "U");
	write_all(c, "def", 3);
	sleep_ms(50);
	s = OK(accept(l, NULL, NULL));
	expect_urgent(s, 'U');
	expect_read(s, "abc");
	expect_read(s, "def");
	expect_text(s, c, "more");
}

static void out_of_band(void)
{
	int fd[2];
	char b;

	tcp_pair(fd);
	write_all(fd[0], "abc", 3);
	send_urgent(fd[0], "U");
	write_all(fd[0], "def", 3);
	expect_urgent(fd[1], 'U');
	CHECK_ERRNO(recv(fd[1], &b, 1, MSG_OOB), EINVAL);
	expect_read(fd[1], "abc");
	expect_read(fd[1], "def");
	/* And the other way. */
	send_urgent(fd[1], "V");
	expect_urgent(fd[0], 'V');
	expect_text(fd[1], fd[0], "more");
	OK(close(fd[0]));
	expect_eof(fd[1]);
}

/* A read stops at the mark, and what is not read out of band is skipped. */
static void not_in_the_stream(void)
{
	int fd[2];

	tcp_pair(fd);
	write_all(fd[0], "abc", 3);
	send_urgent(fd[0], "U");
	wait_bits(fd[1], POLLPRI);
	write_all(fd[0], "def", 3);
	expect_read(fd[1], "abc");
	CHECK_EQ(at_mark(fd[1]), 1);
	wait_bits(fd[1], POLLIN);
	expect_read(fd[1], "def");
	CHECK_EQ(at_mark(fd[1]), 0);
}

/* Only the last byte of a send() is urgent. */
static void last_byte(void)
{
	int fd[2];

	tcp_pair(fd);
	send_urgent(fd[0], "hello!");
	expect_urgent(fd[1], '!');
	expect_read(fd[1], "hello");
	CHECK_EQ(send(fd[0], "", 0, MSG_OOB), 0);
}

static void in_line(void)
{
	int fd[2];
	char b;

	tcp_pair(fd);
	set_option(fd[1], SOL_SOCKET, SO_OOBINLINE, 1);
	CHECK_EQ(get_option(fd[1], SOL_SOCKET, SO_OOBINLINE), 1);
	write_all(fd[0], "abc", 3);
	send_urgent(fd[0], "U");
	write_all(fd[0], "def", 3);
	wait_bits(fd[1], POLLPRI);
	CHECK_ERRNO(recv(fd[1], &b, 1, MSG_OOB), EINVAL);
	CHECK_EQ(at_mark(fd[1]), 0);
	expect_read(fd[1], "abc");
	CHECK_EQ(at_mark(fd[1]), 1);
	CHECK_EQ(recv(fd[1], &b, 1, 0), 1);
	CHECK_EQ(b, 'U');
	CHECK_EQ(at_mark(fd[1]), 0);
	CHECK_EQ(read_all(fd[1], (char[3]){0}, 3), 3);
}

/* An accepted socket has it from its listener. */
static void in_line_inherited(void)
{
	struct sockaddr_in a;
	int l = listener(1, &a), c, s;
	char b[4] = "";

	set_option(l, SOL_SOCKET, SO_OOBINLINE, 1);
	c = connected(a);
	s = (int)OK(accept(l, NULL, NULL));
	CHECK_EQ(get_option(s, SOL_SOCKET, SO_OOBINLINE), 1);
	send_urgent(c, "xU");
	CHECK_EQ(read_all(s, b, 2), 2);
	CHECK(!strcmp(b, "xU"));
}

/* One that another overtakes before it was read is data. */
static void overtaken(void)
{
	int fd[2];
	char b = 0;

	tcp_pair(fd);
	send_urgent(fd[0], "xA");
	wait_bits(fd[1], POLLPRI);
	write_all(fd[0], "b", 1);
	send_urgent(fd[0], "C");
	while (b != 'C')
		CHECK_EQ(recv(fd[1], &b, 1, MSG_OOB | MSG_PEEK), 1);
	expect_urgent(fd[1], 'C');
	expect_read(fd[1], "xAb");
}

static void none(void)
{
	int fd[2], l;
	struct sockaddr_in a;
	char b;

	tcp_pair(fd);
	CHECK_ERRNO(recv(fd[0], &b, 1, MSG_OOB), EINVAL);
	CHECK_ERRNO(recv(fd[0], &b, 1, MSG_OOB | MSG_DONTWAIT), EINVAL);
	CHECK_EQ(at_mark(fd[0]), 0);
	expect_text(fd[0], fd[1], "text");
	CHECK_ERRNO(recv(fd[1], &b, 1, MSG_OOB), EINVAL);
	CHECK(!(poll_bits(fd[1]) & POLLPRI));
	l = listener(1, &a);
	CHECK_ERRNO(send(l, "x", 1, MSG_OOB | MSG_NOSIGNAL), EPIPE);
	CHECK_ERRNO(send(tcp_socket(), "x", 1, MSG_OOB | MSG_NOSIGNAL), EPIPE);
}

static void peeked(void)
{
	int fd[2];
	char b = 0;

	tcp_pair(fd);
	send_urgent(fd[0], "P");
	wait_bits(fd[1], POLLPRI);
	CHECK_EQ(recv(fd[1], &b, 1, MSG_OOB | MSG_PEEK), 1);
	CHECK_EQ(b, 'P');
	expect_urgent(fd[1], 'P');
}

static void by_messages(void)
{
	int fd[2];
	char b = 0, text[] = "xyz";
	struct iovec v[2] = {{text, 1}, {text + 1, 2}}, in = {&b, 1};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 2}, r = {.msg_iov = &in, .msg_iovlen = 1};
	struct sockaddr_in from;
	socklen_t len = sizeof(from);

	tcp_pair(fd);
	CHECK_EQ(sendmsg(fd[0], &m, MSG_OOB), 3);
	wait_bits(fd[1], POLLPRI);
	CHECK_EQ(recvmsg(fd[1], &r, MSG_OOB), 1);
	CHECK_EQ(b, 'z');
	CHECK(r.msg_flags & MSG_OOB);
	expect_read(fd[1], "xy");
	CHECK_EQ(sendto(fd[0], "w", 1, MSG_OOB, NULL, 0), 1);
	wait_bits(fd[1], POLLPRI);
	CHECK_EQ(recvfrom(fd[1], &b, 1, MSG_OOB, SA(&from), &len), 1);
	CHECK_EQ(b, 'w');
}

static void exceptional_condition(void)
{
	struct epoll_event e = {.events = EPOLLPRI}, got;
	struct timeval now = {0, 0};
	int fd[2], ep = OK(epoll_create1(0));
	fd_set set;

	tcp_pair(fd);
	OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd[1], &e));
	write_all(fd[0], "n", 1);
	wait_bits(fd[1], POLLIN);
	CHECK_EQ(epoll_wait(ep, &got, 1, 0), 0);
	send_urgent(fd[0], "U");
	CHECK_EQ(epoll_wait(ep, &got, 1, 10000), 1);
	CHECK_EQ(got.events, EPOLLPRI);
	FD_ZERO(&set);
	FD_SET(fd[1], &set);
	CHECK_EQ(select(fd[1] + 1, NULL, NULL, &set, &now), 1);
	expect_urgent(fd[1], 'U');
	CHECK_EQ(epoll_wait(ep, &got, 1, 0), 0);
}

static volatile sig_atomic_t signals;

static void on_signal(int sig)
{
	signals += sig == SIGURG;
}

static void signalled(void)
{
	struct sigaction sa = {.sa_handler = on_signal};
	int fd[2];

	tcp_pair(fd);
	OK(sigaction(SIGURG, &sa, NULL));
	OK(fcntl(fd[1], F_SETOWN, getpid()));
	CHECK_EQ(fcntl(fd[1], F_GETOWN), getpid());
	write_all(fd[0], "n", 1);
	wait_bits(fd[1], POLLIN);
	CHECK_EQ(signals, 0);
	send_urgent(fd[0], "U");
	while (!signals)
		sleep_ms(1);
	expect_urgent(fd[1], 'U');
}

/* Behind much that went before, and before much that came after. */
static void in_its_place(void)
{
	static char big[400000];
	int fd[2];
	size_t before = 0, k;
	char buf[65536];
	pid_t pid;

	tcp_pair(fd);
	memset(big, 'x', sizeof(big));
	pid = child();
	if (!pid) {
		OK(close(fd[1]));
		write_all(fd[0], big, sizeof(big));
		send_urgent(fd[0], "yyU");
		write_all(fd[0], big, sizeof(big));
		_exit(0);
	}
	OK(close(fd[0]));
	set_option(fd[1], SOL_SOCKET, SO_OOBINLINE, 1);
	for (;;) {
		k = (size_t)OK(recv(fd[1], buf, sizeof(buf), 0));
		CHECK(k);
		for (size_t i = 0; i < k; i++) {
			bool mark = before + i == sizeof(big) + 2;

			CHECK_EQ(buf[i], before + i < sizeof(big)	? 'x'
					 : before + i < sizeof(big) + 2 ? 'y'
					 : mark				? 'U'
									: 'x');
		}
		before += k;
		if (before == 2 * sizeof(big) + 3)
			break;
	}
	reap(pid);
}

/* Full of bytes that nobody reads: it says so, or waits until there is room. */
static void no_room(void)
{
	static char big[1 << 20];
	int fd[2];
	ssize_t n;
	size_t sum = 0;
	int full;
	pid_t pid;

	tcp_pair(fd);
	set_timeout(fd[0], SO_SNDTIMEO, 200);
	do {
		/* What was sent goes further, and makes room for a while. */
		for (full = 0; full < 3; full++) {
			while ((n = send(fd[0], big, sizeof(big), MSG_DONTWAIT)) > 0)
				sum += (size_t)n;
			sleep_ms(50);
		}
		n = send(fd[0], "x", 1, MSG_DONTWAIT);
		sum += n > 0;
	} while (n > 0);
	CHECK_ERRNO(send(fd[0], "U", 1, MSG_OOB | MSG_DONTWAIT), EAGAIN);
	CHECK_ERRNO(send(fd[0], "U", 1, MSG_OOB), EAGAIN);
	pid = child();
	if (!pid) {
		sleep_ms(50);
		/* No more: at the mark a read would skip it. */
		for (size_t left = sum; left;)
			left -= read_all(fd[1], big, left < sizeof(big) ? left : sizeof(big));
		expect_urgent(fd[1], 'W');
		_exit(0);
	}
	set_timeout(fd[0], SO_SNDTIMEO, 0);
	CHECK_EQ(send(fd[0], "W", 1, MSG_OOB), 1);
	reap(pid);
}

/* Who was told that there is none is told when there is. */
static void room_again(void)
{
	static char big[4096];
	const size_t lane = 96 * sizeof(big); /* what the rings hold, to the byte */
	struct epoll_event e = {.events = EPOLLOUT | EPOLLET};
	long long end;
	int fd[2], ep;
	ssize_t n = 1;

	tcp_pair(fd);
	set_nonblock(fd[0]);
	set_nonblock(fd[1]);
	ep = (int)OK(epoll_create1(0));
	OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd[0], &e));
	CHECK_EQ(epoll_wait(ep, &e, 1, 2000), 1);
	for (size_t sum = 0; n > 0 && sum < lane; sum += sizeof(big))
		n = send(fd[0], big, sizeof(big), 0);
	n = send(fd[0], "U", 1, MSG_OOB);
	while (n > 0)
		n = send(fd[0], big, sizeof(big), 0);
	CHECK_EQ(errno, EAGAIN);
	end = now_ms() + 5000;
	do {
		while (recv(fd[1], big, sizeof(big), 0) > 0)
			;
		n = epoll_wait(ep, &e, 1, 50);
	} while (!n && now_ms() < end);
	CHECK_EQ(n, 1);
	CHECK(e.events & EPOLLOUT);
}

CHECK_MAIN(CASE(before_accept), CASE(out_of_band), CASE(not_in_the_stream), CASE(last_byte),
	   CASE(in_line), CASE(in_line_inherited), CASE(overtaken), CASE(none), CASE(peeked),
	   CASE(by_messages), CASE(exceptional_condition), CASE(signalled), CASE(in_its_place),
	   CASE(no_room), CASE(room_again))

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * inherited.c - What an accepted socket has from its listener, and what not
 */
#include <sys/time.h>

#include "check.h"

static void accept_from(int l, struct sockaddr_in a, int fd[2])
{
	fd[0] = connected(a);
	fd[1] = (int)OK(accept(l, NULL, NULL));
}

static void options(void)
{
	static const struct {
		int level, name, value;
	} o[] = {
	    {SOL_SOCKET, SO_KEEPALIVE, 1},   {SOL_SOCKET, SO_REUSEADDR, 1},
	    {SOL_SOCKET, SO_DONTROUTE, 1},   {SOL_SOCKET, SO_RCVLOWAT, 7},
	    {SOL_SOCKET, SO_OOBINLINE, 1},   {IPPROTO_TCP, TCP_NODELAY, 1},
	    {IPPROTO_TCP, TCP_KEEPIDLE, 33}, {IPPROTO_TCP, TCP_KEEPINTVL, 7},
	    {IPPROTO_TCP, TCP_KEEPCNT, 5},   {IPPROTO_TCP, TCP_USER_TIMEOUT, 12000},
	    {IPPROTO_TCP, TCP_LINGER2, 20},  {IPPROTO_TCP, TCP_SYNCNT, 4},
	    {IPPROTO_IP, IP_TTL, 77},
	};
	struct sockaddr_in a;
	int l = listener(1, &a), fd[2];

	for (size_t i = 0; i < sizeof(o) / sizeof(o[0]); i++)
		set_option(l, o[i].level, o[i].name, o[i].value);
	accept_from(l, a, fd);
	for (size_t i = 0; i < sizeof(o) / sizeof(o[0]); i++) {
		if (get_option(fd[1], o[i].level, o[i].name) != o[i].value)
			check_fail(__FILE__, __LINE__, "level %d option %d is %d, not %d",
				   o[i].level, o[i].name, get_option(fd[1], o[i].level, o[i].name),
				   o[i].value);
	}
}

static void linger(void)
{
	struct linger set = {1, 0}, got = {0};
	socklen_t len = sizeof(got);
	struct sockaddr_in a;
	int l = listener(1, &a), fd[2];
	char b;

	OK(setsockopt(l, SOL_SOCKET, SO_LINGER, &set, sizeof(set)));
	accept_from(l, a, fd);
	OK(getsockopt(fd[1], SOL_SOCKET, SO_LINGER, &got, &len));
	CHECK_EQ(got.l_onoff, 1);
	CHECK_EQ(got.l_linger, 0);
	OK(close(fd[1]));
	wait_bits(fd[0], POLLIN);
	CHECK_ERRNO(recv(fd[0], &b, 1, 0), ECONNRESET);
}

static void time_outs(void)
{
	struct sockaddr_in a;
	int l = listener(1, &a), fd[2];
	struct timeval tv = {0};
	socklen_t len = sizeof(tv);
	long long start;
	char b;

	set_timeout(l, SO_RCVTIMEO, 60);
	accept_from(l, a, fd);
	OK(getsockopt(fd[1], SOL_SOCKET, SO_RCVTIMEO, &tv, &len));
	CHECK(tv.tv_sec == 0 && tv.tv_usec >= 50000);
	start = now_ms();
	CHECK_ERRNO(recv(fd[1], &b, 1, 0), EAGAIN);
	CHECK(now_ms() - start >= 50);
}

static void low_water_mark(void)
{
	struct sockaddr_in a;
	int l = listener(1, &a), fd[2];
	long long start;
	char b[8];

	set_option(l, SOL_SOCKET, SO_RCVLOWAT, 4);
	accept_from(l, a, fd);
	set_timeout(fd[1], SO_RCVTIMEO, 60);
	write_all(fd[0], "ab", 2);
	while (recv(fd[1], b, sizeof(b), MSG_PEEK | MSG_DONTWAIT) != 2)
		sleep_ms(1);
	/* Two are not enough, until the time is over, or the end comes. */
	start = now_ms();
	CHECK_EQ(recv(fd[1], b, sizeof(b), 0), 2);
	CHECK(now_ms() - start >= 50);
	write_all(fd[0], "cde", 3);
	OK(shutdown(fd[0], SHUT_WR));
	CHECK_EQ(recv(fd[1], b, sizeof(b), 0), 3);
}

static void buffers(void)
{
	struct sockaddr_in a;
	int l = listener(1, &a), fd[2];

	set_option(l, SOL_SOCKET, SO_RCVBUF, 30000);
	set_option(l, SOL_SOCKET, SO_SNDBUF, 40000);
	accept_from(l, a, fd);
	CHECK_EQ(get_option(fd[1], SOL_SOCKET, SO_RCVBUF), 60000);
	CHECK_EQ(get_option(fd[1], SOL_SOCKET, SO_SNDBUF), 80000);
}

/* Its own: no error, no flags, not listening. */
static void not_these(void)
{
	struct sockaddr_in a;
	int l = listener(1, &a), fd[2];

	set_nonblock(l);
	OK(fcntl(l, F_SETFD, FD_CLOEXEC));
	OK(fcntl(l, F_SETOWN, getpid()));
	fd[0] = connected(a);
	wait_bits(l, POLLIN);
	fd[1] = (int)OK(accept(l, NULL, NULL));
	CHECK_EQ(OK(fcntl(fd[1], F_GETFL)) & O_NONBLOCK, 0);
	CHECK_EQ(OK(fcntl(fd[1], F_GETFD)), 0);
	CHECK_EQ(fcntl(fd[1], F_GETOWN), 0);
	CHECK_EQ(get_option(fd[1], SOL_SOCKET, SO_ACCEPTCONN), 0);
	CHECK_EQ(get_option(l, SOL_SOCKET, SO_ACCEPTCONN), 1);
	CHECK_EQ(socket_error(fd[1]), 0);
	CHECK_EQ(get_option(fd[1], SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
}

/* Set before connect(), found after it. */
static void by_the_client(void)
{
	struct sockaddr_in a;
	int l = listener(1, &a), c = tcp_socket(), s;

	set_option(c, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(c, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(c, IPPROTO_TCP, TCP_KEEPIDLE, 44);
	set_timeout(c, SO_RCVTIMEO, 60);
	OK(connect(c, SA(&a), sizeof(a)));
	s = (int)OK(accept(l, NULL, NULL));
	CHECK_EQ(get_option(c, SOL_SOCKET, SO_KEEPALIVE), 1);
	CHECK_EQ(get_option(c, IPPROTO_TCP, TCP_NODELAY), 1);
	CHECK_EQ(get_option(c, IPPROTO_TCP, TCP_KEEPIDLE), 44);
	CHECK_ERRNO(recv(c, &(char){0}, 1, 0), EAGAIN);
	expect_text(s, c, "after it");
}

CHECK_MAIN(CASE(options), CASE(linger), CASE(time_outs), CASE(low_water_mark), CASE(buffers),
	   CASE(not_these), CASE(by_the_client))

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * connect.c - connect(2): blocking, non-blocking, repeated, undone
 */
#include "check.h"

static void blocking(void)
{
	struct sockaddr_in a;
	int l = listener(5, &a);
	int c = connected(a);
	int s = OK(accept(l, NULL, NULL));

	CHECK(same_address(peer_name(c), a));
	CHECK(same_address(local_name(s), a));
	CHECK(same_address(local_name(c), peer_name(s)));
	CHECK_EQ(socket_error(c), 0);
	expect_text(c, s, "there");
	expect_text(s, c, "and back");
}

static void nonblocking_in_progress(void)
{
	struct sockaddr_in a;
	int l = listener(5, &a);
	int c = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));

	CHECK_ERRNO(connect(c, SA(&a), sizeof(a)), EINPROGRESS);
	CHECK_EQ(wait_bits(c, POLLOUT), POLLOUT);
	CHECK_EQ(socket_error(c), 0);
	expect_text(c, OK(accept(l, NULL, NULL)), "hello");
}

/* The second call reports how the first one ended: once 0, then EISCONN. */
static void second_call_after_success(void)
{
	struct sockaddr_in a;
	int l = listener(5, &a);
	int c = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));

	CHECK_ERRNO(connect(c, SA(&a), sizeof(a)), EINPROGRESS);
	wait_bits(c, POLLOUT);
	CHECK_EQ(connect(c, SA(&a), sizeof(a)), 0);
	CHECK_ERRNO(connect(c, SA(&a), sizeof(a)), EISCONN);
	OK(close(l));
}

static void second_call_while_pending(void)
{
	struct sockaddr_in a;
	int fd[16], n, l = listener(0, &a);

	n = fill_backlog(a, fd, 16);
	CHECK_EQ(poll_bits(fd[n - 1]), 0);
	CHECK_ERRNO(connect(fd[n - 1], SA(&a), sizeof(a)), EALREADY);
	CHECK_EQ(socket_error(fd[n - 1]), 0);
	for (int i = 0; i < n; i++)
		OK(accept(l, NULL, NULL));
	CHECK_EQ(wait_bits(fd[n - 1], POLLOUT), POLLOUT);
	CHECK_EQ(connect(fd[n - 1], SA(&a), sizeof(a)), 0);
}

static void connected_is_eisconn(void)
{
	struct sockaddr_in a;
	int l = listener(5, &a);
	int c = connected(a);

	CHECK_ERRNO(connect(c, SA(&a), sizeof(a)), EISCONN);
	CHECK_ERRNO(connect(OK(accept(l, NULL, NULL)), SA(&a), sizeof(a)), EISCONN);
	CHECK_ERRNO(connect(l, SA(&a), sizeof(a)), EISCONN);
}

static void bad_address(void)
{
	struct sockaddr_in a = test_address(9);
	int c = tcp_socket();

	CHECK_ERRNO(connect(c, SA(&a), sizeof(a) - 1), EINVAL);
	CHECK_ERRNO(connect(c, SA(&a), 1), EINVAL);
	CHECK_ERRNO(connect(c, SA(&a), (socklen_t)-1), EINVAL);
	a.sin_family = AF_INET6;
	CHECK_ERRNO(connect(c, SA(&a), sizeof(a)), EAFNOSUPPORT);
	a.sin_family = AF_UNIX;
	CHECK_ERRNO(connect(c, SA(&a), sizeof(a)), EAFNOSUPPORT);
}

/* The socket is as new afterwards, and the peer gets a reset. */
static void unspec_disconnects(void)
{
	struct sockaddr_in a;
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	int l = listener(5, &a), s, c;
	char b;

	c = connected(a);
	s = OK(accept(l, NULL, NULL));
	OK(connect(c, &none, sizeof(none)));
	CHECK_ERRNO(getpeername(c, SA(&a), &(socklen_t){sizeof(a)}), ENOTCONN);
	CHECK_ERRNO(recv(s, &b, 1, 0), ECONNRESET);
	a = local_name(l);
	OK(connect(c, SA(&a), sizeof(a)));
	expect_text(c, OK(accept(l, NULL, NULL)), "again");
}

/* What was given up is an error that nobody was told of. */
static void unspec_leaves_an_error(void)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	int fd[2];

	tcp_pair(fd);
	OK(connect(fd[0], &none, sizeof(none)));
	CHECK_EQ(socket_error(fd[0]), ECONNRESET);
	CHECK_EQ(socket_error(fd[0]), 0);
	CHECK_EQ(poll_bits(fd[0]), POLLOUT | POLLHUP);
}

static void unspec_polls_an_error(void)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	int fd[2];

	tcp_pair(fd);
	OK(connect(fd[0], &none, sizeof(none)));
	CHECK_EQ(poll_bits(fd[0]), POLLOUT | POLLHUP | POLLERR);
}

/* tcp_disconnect() leaves an error, which whoever comes first tells. */
static void unspec_error_is_told_once(void)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	int fd[2];

	for (int i = 0; i < 2; i++) {
		tcp_pair(fd);
		OK(connect(fd[0], &none, sizeof(none)));
		if (i)
			CHECK_ERRNO(send(fd[0], "x", 1, 0), ECONNRESET);
		else
			CHECK_ERRNO(recv(fd[0], (char[1]){0}, 1, 0), ECONNRESET);
		CHECK_ERRNO(recv(fd[0], (char[1]){0}, 1, 0), ENOTCONN);
		CHECK_ERRNO(send(fd[0], "x", 1, MSG_NOSIGNAL), EPIPE);
		CHECK_EQ(socket_error(fd[0]), 0);
		CHECK_EQ(poll_bits(fd[0]), POLLOUT | POLLHUP);
	}
}

static void unspec_on_fresh(void)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};

	OK(connect(tcp_socket(), &none, sizeof(none)));
}

static void from_bound_port(void)
{
	struct sockaddr_in a, mine = test_address(0);
	int l = listener(5, &a), c = tcp_socket(), s;

	OK(bind(c, SA(&mine), sizeof(mine)));
	mine = local_name(c);
	OK(connect(c, SA(&a), sizeof(a)));
	CHECK(same_address(local_name(c), mine));
	s = OK(accept(l, NULL, NULL));
	CHECK(same_address(peer_name(s), mine));
}

/* INADDR_ANY as a destination is this host. */
static void to_any_is_loopback(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	int l = tcp_socket(), c;

	OK(bind(l, SA(&a), sizeof(a)));
	OK(listen(l, 1));
	a = local_name(l);
	CHECK_EQ(a.sin_addr.s_addr, INADDR_ANY);
	c = connected(a);
	CHECK_EQ(ntohl(peer_name(c).sin_addr.s_addr), INADDR_LOOPBACK);
	expect_text(c, OK(accept(l, NULL, NULL)), "any");
}

/* A listener on INADDR_ANY is found at GZ_ADDR as well. */
static void wildcard_listener(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET}, to;
	int l = tcp_socket(), c, s;

	OK(bind(l, SA(&a), sizeof(a)));
	OK(listen(l, 1));
	to = test_address(ntohs(local_name(l).sin_port));
	c = connected(to);
	s = OK(accept(l, NULL, NULL));
	CHECK(same_address(local_name(s), to));
	expect_text(c, s, "wild");
}

/* An answer to an address of this host's own comes back by loopback. */
static void own_address_to_loopback(void)
{
	struct sockaddr_in own = test_address(0), a = {.sin_family = AF_INET}, closed;
	int l = tcp_socket(), c = tcp_socket();

	OK(bind(l, SA(&a), sizeof(a)));
	OK(listen(l, 4));
	a = local_name(l);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	closed = a;
	closed.sin_port = htons(1);
	OK(bind(c, SA(&own), sizeof(own)));
	CHECK_ERRNO(connect(c, SA(&closed), sizeof(closed)), ECONNREFUSED);
	/* ... and leaves all ways as they were. */
	c = connected(a);
	expect_text(c, OK(accept(l, NULL, NULL)), "loopback");
	own.sin_port = a.sin_port;
	c = connected(own);
	expect_text(c, OK(accept(l, NULL, NULL)), "own");
	c = tcp_socket();
	own.sin_port = 0;
	OK(bind(c, SA(&own), sizeof(own)));
	OK(connect(c, SA(&a), sizeof(a)));
	expect_text(c, OK(accept(l, NULL, NULL)), "between");
}

static void send_timeout_applies(void)
{
	struct sockaddr_in a;
	int fd[16], l = listener(0, &a), c;
	long long start;

	fill_backlog(a, fd, 16);
	c = tcp_socket();
	set_timeout(c, SO_SNDTIMEO, 200);
	start = now_ms();
	CHECK_ERRNO(connect(c, SA(&a), sizeof(a)), EINPROGRESS);
	CHECK(now_ms() - start >= 190);
	OK(close(l));
}

CHECK_MAIN(CASE(blocking), CASE(nonblocking_in_progress), CASE(second_call_after_success),
	   ASIDE(second_call_while_pending), CASE(connected_is_eisconn), CASE(bad_address),
	   CASE(unspec_disconnects), CASE(unspec_leaves_an_error), CASE(unspec_polls_an_error),
	   CASE(unspec_error_is_told_once), CASE(unspec_on_fresh), CASE(from_bound_port),
	   CASE(to_any_is_loopback), CASE(wildcard_listener), CASE(own_address_to_loopback),
	   ASIDE(send_timeout_applies))

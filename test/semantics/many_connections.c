/* SPDX-License-Identifier: BSD-3-Clause
 *
 * many_connections.c - Many in sequence, many at once, and a port used again
 */
#include "check.h"

static int sequence_listener;

static void *answer_each(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		int s = OK(accept(sequence_listener, NULL, NULL));
		char b;

		CHECK_EQ(recv(s, &b, 1, 0), 1);
		write_all(s, &b, 1);
		expect_eof(s);
		OK(close(s));
	}
	return arg;
}

static void thousand_in_sequence(void)
{
	struct sockaddr_in a;
	pthread_t t;

	sequence_listener = listener(16, &a);
	t = thread(answer_each, NULL);
	for (int i = 0; i < 1000; i++) {
		char b, x = (char)i;
		int c = connected(a);

		write_all(c, &x, 1);
		CHECK_EQ(recv(c, &b, 1, 0), 1);
		CHECK_EQ(b, x);
		OK(close(c));
	}
	join(t);
}

static void two_hundred_at_once(void)
{
	static int c[200], s[200];
	struct sockaddr_in a;
	int l = listener(256, &a);

	for (int i = 0; i < 200; i++)
		c[i] = connected(a);
	for (int i = 0; i < 200; i++)
		s[i] = -1;
	/* In whatever order: the peer's port tells which one it is. */
	for (int i = 0; i < 200; i++) {
		struct sockaddr_in peer, own;
		socklen_t len = sizeof(peer);
		int fd = OK(accept(l, SA(&peer), &len)), k;

		for (k = 0; k < 200; k++) {
			len = sizeof(own);
			OK(getsockname(c[k], SA(&own), &len));
			if (own.sin_port == peer.sin_port)
				break;
		}
		CHECK(k < 200 && s[k] < 0);
		s[k] = fd;
	}
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 200; i++) {
			char text[16];

			snprintf(text, sizeof(text), "to %d/%d", i, round);
			expect_text(c[i], s[i], text);
			expect_text(s[i], c[i], text);
		}
	}
	for (int i = 0; i < 200; i += 2)
		OK(close(c[i]));
	for (int i = 0; i < 200; i++) {
		if (i % 2)
			expect_text(s[i], c[i], "not you");
		else
			expect_eof(s[i]);
	}
}

/* All start at the same moment, without waiting for one another. */
static void two_hundred_nonblocking(void)
{
	static struct pollfd p[200];
	struct sockaddr_in a;
	int l = listener(256, &a);

	for (int i = 0; i < 200; i++) {
		p[i].fd = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
		p[i].events = POLLOUT;
		CHECK_ERRNO(connect(p[i].fd, SA(&a), sizeof(a)), EINPROGRESS);
	}
	for (int i = 0; i < 200; i++) {
		wait_bits(p[i].fd, POLLOUT);
		CHECK_EQ(socket_error(p[i].fd), 0);
		OK(accept(l, NULL, NULL));
	}
}

/* A server's life: connections are left in TIME_WAIT on its side. */
static struct sockaddr_in serve_once(struct sockaddr_in a, bool reuse, int *error)
{
	int l = tcp_socket(), c, s;

	if (reuse)
		set_option(l, SOL_SOCKET, SO_REUSEADDR, 1);
	*error = bind(l, SA(&a), sizeof(a)) < 0 ? errno : 0;
	if (*error) {
		OK(close(l));
		return a;
	}
	OK(listen(l, 5));
	a = local_name(l);
	c = connected(a);
	s = OK(accept(l, NULL, NULL));
	expect_text(c, s, "hello");
	OK(close(s)); /* the server closes first: TIME_WAIT is its */
	expect_eof(c);
	OK(close(c));
	OK(close(l));
	sleep_ms(20);
	return a;
}

static void restart_with_reuseaddr(void)
{
	struct sockaddr_in a = test_address(0);
	int error;

	for (int i = 0; i < 5; i++) {
		a = serve_once(a, true, &error);
		CHECK_EQ(error, 0);
	}
}

/* What is left in TIME_WAIT must have had it, too (inet_csk_bind_conflict()). */
static void restart_with_reuseaddr_too_late(void)
{
	struct sockaddr_in a = test_address(0);
	int error;

	a = serve_once(a, false, &error);
	CHECK_EQ(error, 0);
	serve_once(a, true, &error);
	CHECK_EQ(error, EADDRINUSE);
}

static void restart_without_reuseaddr(void)
{
	struct sockaddr_in a = test_address(0);
	int error;

	a = serve_once(a, false, &error);
	CHECK_EQ(error, 0);
	serve_once(a, false, &error);
	CHECK_EQ(error, EADDRINUSE);
}

/* Connections of the old server live while the new one starts. */
static void restart_beside_old_connections(void)
{
	struct sockaddr_in a = test_address(0);
	int l = tcp_socket(), c[2], s[2];

	for (int i = 0; i < 2; i++) {
		set_option(l, SOL_SOCKET, SO_REUSEADDR, 1);
		OK(bind(l, SA(&a), sizeof(a)));
		OK(listen(l, 5));
		a = local_name(l);
		c[i] = connected(a);
		s[i] = OK(accept(l, NULL, NULL));
		OK(close(l));
		l = tcp_socket();
	}
	expect_text(c[0], s[0], "old");
	expect_text(c[1], s[1], "new");
}

CHECK_MAIN(CASE(thousand_in_sequence), CASE(two_hundred_at_once), CASE(two_hundred_nonblocking),
	   CASE(restart_with_reuseaddr), CASE(restart_without_reuseaddr),
	   CASE(restart_with_reuseaddr_too_late), CASE(restart_beside_old_connections))

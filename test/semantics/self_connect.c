/* SPDX-License-Identifier: BSD-3-Clause
 *
 * self_connect.c - One socket at both ends, two in one thread, and what is free after it
 */
#include "check.h"

/* A port that nobody listens on: the SYN meets the socket that sent it. */
static int self(int type)
{
	struct sockaddr_in a = test_address(0);
	int fd = (int)OK(socket(AF_INET, SOCK_STREAM | type, 0));

	OK(bind(fd, SA(&a), sizeof(a)));
	a = local_name(fd);
	if (type & SOCK_NONBLOCK) {
		if (connect(fd, SA(&a), sizeof(a)) < 0)
			CHECK_EQ(errno, EINPROGRESS);
		wait_bits(fd, POLLOUT);
		CHECK_EQ(socket_error(fd), 0);
	} else {
		OK(connect(fd, SA(&a), sizeof(a)));
	}
	return fd;
}

static void reads_what_it_wrote(void)
{
	int fd = self(0);
	char b[16] = "";

	CHECK(same_address(local_name(fd), peer_name(fd)));
	expect_text(fd, fd, "to myself");
	CHECK_ERRNO(recv(fd, b, sizeof(b), MSG_DONTWAIT), EAGAIN);
	expect_text(fd, fd, "again");
}

static void without_waiting(void)
{
	int fd = self(SOCK_NONBLOCK);
	char b[8] = "";

	write_all(fd, "abc", 3);
	wait_bits(fd, POLLIN);
	CHECK_EQ(recv(fd, b, sizeof(b), 0), 3);
	CHECK(!strcmp(b, "abc"));
	CHECK_ERRNO(recv(fd, b, sizeof(b), 0), EAGAIN);
}

static void much(void)
{
	static char out[60000], in[60000];
	int fd = self(0);

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 7 + (i >> 8));
	for (int n = 0; n < 5; n++) {
		write_all(fd, out, sizeof(out));
		CHECK_EQ(read_all(fd, in, sizeof(in)), sizeof(in));
		CHECK_EQ(memcmp(in, out, sizeof(in)), 0);
	}
}

/* Its own FIN is the peer's: the end, after all bytes. */
static void ends(void)
{
	int fd = self(0);
	char b[8] = "";

	write_all(fd, "last", 4);
	OK(shutdown(fd, SHUT_WR));
	CHECK_EQ(read_all(fd, b, sizeof(b)), 4);
	CHECK(!strcmp(b, "last"));
	expect_eof(fd);
	CHECK_ERRNO(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
	OK(close(fd));
}

/* A connection uses the port that it listens on no less than any other one's. */
static void port_is_in_use(void)
{
	int fd = self(0), other = tcp_socket();
	struct sockaddr_in a = local_name(fd);

	CHECK_ERRNO(bind(other, SA(&a), sizeof(a)), EADDRINUSE);
	CHECK_ERRNO(connect(fd, SA(&a), sizeof(a)), EISCONN);
	CHECK_ERRNO(listen(fd, 1), EINVAL);
}

/* A client and its server in one thread: connect() is done when the backlog has it. */
static void own_listener(void)
{
	struct sockaddr_in a;
	int l = listener(4, &a), c[3], s;

	for (int i = 0; i < 3; i++)
		c[i] = connected(a);
	for (int i = 0; i < 3; i++) {
		struct sockaddr_in from;
		socklen_t len = sizeof(from);

		s = (int)OK(accept(l, SA(&from), &len));
		CHECK(same_address(from, local_name(c[i])));
		expect_text(c[i], s, "one");
		expect_text(s, c[i], "thread");
		OK(close(s));
		expect_eof(c[i]);
	}
}

CHECK_MAIN(CASE(reads_what_it_wrote), CASE(without_waiting), CASE(much), CASE(ends),
	   CASE(port_is_in_use), CASE(own_listener))

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * shutdown.c - Half-closed connections, both ways round
 */
#include <linux/sockios.h>

#include "check.h"

#define REPLY (1 << 20)

static char out[REPLY], in[REPLY];

static void *reply(void *arg)
{
	write_all(*(int *)arg, out, sizeof(out));
	OK(close(*(int *)arg));
	return NULL;
}

/* The request ends with FIN; the answer still comes in full. */
static void half_close(int a, int b)
{
	char req[8] = "";
	pthread_t t;

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 31 >> 4);
	write_all(a, "request", 7);
	OK(shutdown(a, SHUT_WR));
	CHECK_EQ(read_all(b, req, sizeof(req)), 7);
	CHECK_EQ(strcmp(req, "request"), 0);
	expect_eof(b);
	t = thread(reply, &b);
	CHECK_EQ(read_all(a, in, sizeof(in)), sizeof(in));
	CHECK_EQ(memcmp(in, out, sizeof(in)), 0);
	expect_eof(a);
	join(t);
}

static void client_half_closes(void)
{
	int fd[2];

	tcp_pair(fd);
	half_close(fd[0], fd[1]);
}

static void server_half_closes(void)
{
	int fd[2];

	tcp_pair(fd);
	half_close(fd[1], fd[0]);
}

static void write_after_shut_wr(void)
{
	int fd[2];

	tcp_pair(fd);
	OK(shutdown(fd[0], SHUT_WR));
	CHECK_ERRNO(send(fd[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK_EQ(poll_bits(fd[0]), POLLOUT);
	CHECK_EQ(socket_error(fd[0]), 0);
	expect_text(fd[1], fd[0], "the other way works");
	OK(shutdown(fd[0], SHUT_WR));
}

static void poll_while_half_closed(void)
{
	int fd[2];

	tcp_pair(fd);
	OK(shutdown(fd[0], SHUT_WR));
	CHECK_EQ(wait_bits(fd[1], POLLRDHUP), POLLIN | POLLOUT | POLLRDHUP);
	OK(shutdown(fd[1], SHUT_WR));
	CHECK_EQ(wait_bits(fd[0], POLLHUP), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	CHECK_EQ(wait_bits(fd[1], POLLHUP), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	CHECK_EQ(socket_error(fd[0]), 0);
	expect_eof(fd[0]);
	expect_eof(fd[1]);
}

/* recv() no longer blocks, but the peer notices nothing, and what it sends is read. */
static void shut_rd(void)
{
	char buf[8];
	int fd[2];

	tcp_pair(fd);
	OK(shutdown(fd[0], SHUT_RD));
	expect_eof(fd[0]);
	CHECK_EQ(poll_bits(fd[0]), POLLIN | POLLOUT | POLLRDHUP);
	write_all(fd[1], "abc", 3);
	while (recv(fd[0], buf, sizeof(buf), MSG_PEEK) == 0)
		sleep_ms(1);
	CHECK_EQ(recv(fd[0], buf, sizeof(buf), 0), 3);
	expect_eof(fd[0]);
	expect_text(fd[0], fd[1], "writing goes on");
	CHECK_EQ(poll_bits(fd[1]), POLLOUT);
}

static void shut_rd_keeps_what_came(void)
{
	char buf[8];
	int fd[2];

	tcp_pair(fd);
	write_all(fd[1], "abc", 3);
	wait_bits(fd[0], POLLIN);
	OK(shutdown(fd[0], SHUT_RD));
	CHECK_EQ(recv(fd[0], buf, sizeof(buf), 0), 3);
	expect_eof(fd[0]);
}

/* So it does when nothing is sent any more either, and after the peer's end. */
static void shut_rdwr_keeps_what_came(void)
{
	char buf[8];
	int fd[2];

	for (int ends = 0; ends < 2; ends++) {
		tcp_pair(fd);
		write_all(fd[1], "abc", 3);
		if (ends)
			OK(shutdown(fd[1], SHUT_WR));
		wait_bits(fd[0], ends ? POLLRDHUP : POLLIN);
		OK(shutdown(fd[0], SHUT_RDWR));
		CHECK_EQ(recv(fd[0], buf, sizeof(buf), 0), 3);
		CHECK_EQ(memcmp(buf, "abc", 3), 0);
		expect_eof(fd[0]);
		expect_eof(fd[1]);
	}
}

#define MUCH (8 << 20)

static void *receive_all(void *arg)
{
	CHECK_EQ(read_all(*(int *)arg, in, sizeof(in)), sizeof(in));
	return NULL;
}

/* Nor does it matter how much that is: here the window has grown before. */
static void shut_rdwr_keeps_much(void)
{
	size_t sent = 0, got = 0;
	int fd[2], left = -2, before;
	pthread_t t;
	ssize_t n;

	tcp_pair(fd);
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 2654435761u >> 13);
	for (int i = 0; i < MUCH / REPLY; i++) {
		t = thread(receive_all, &fd[0]);
		write_all(fd[1], out, sizeof(out));
		join(t);
	}
	set_nonblock(fd[1]);
	for (;;) {
		n = send(fd[1], out + sent % REPLY, REPLY - sent % REPLY, MSG_NOSIGNAL);
		sent += n > 0 ? (size_t)n : 0;
		if (n > 0)
			continue;
		before = left;
		sleep_ms(100);
		OK(ioctl(fd[1], SIOCOUTQ, &left));
		if (left == before)
			break;
	}
	/* What was acknowledged is there, and is read. */
	sent -= (size_t)left;
	OK(shutdown(fd[0], SHUT_RDWR));
	while (got < sent && (n = recv(fd[0], in, REPLY - got % REPLY, 0)) > 0) {
		CHECK(!memcmp(in, out + got % REPLY, (size_t)n));
		got += (size_t)n;
	}
	CHECK(got >= sent);
}

static void shut_rdwr(void)
{
	int fd[2];

	tcp_pair(fd);
	OK(shutdown(fd[0], SHUT_RDWR));
	CHECK_EQ(poll_bits(fd[0]), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	expect_eof(fd[0]);
	CHECK_ERRNO(send(fd[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	wait_bits(fd[1], POLLRDHUP);
	expect_eof(fd[1]);
}

static void not_connected(void)
{
	struct sockaddr_in a = test_address(0);
	int fd = tcp_socket();

	for (int how = SHUT_RD; how <= SHUT_RDWR; how++)
		CHECK_ERRNO(shutdown(fd, how), ENOTCONN);
	OK(bind(fd, SA(&a), sizeof(a)));
	CHECK_ERRNO(shutdown(fd, SHUT_RDWR), ENOTCONN);
}

static void bad_how(void)
{
	int fd[2];

	tcp_pair(fd);
	CHECK_ERRNO(shutdown(fd[0], 3), EINVAL);
	CHECK_ERRNO(shutdown(fd[0], -1), EINVAL);
	expect_text(fd[0], fd[1], "unharmed");
}

static void *recv_one(void *arg)
{
	char b;

	return (void *)(intptr_t)recv(*(int *)arg, &b, 1, 0);
}

static void wakes_a_blocked_recv(void)
{
	for (int how = SHUT_RD; how <= SHUT_RDWR; how += 2) {
		int fd[2];
		pthread_t t;

		tcp_pair(fd);
		t = thread(recv_one, &fd[0]);
		sleep_ms(50);
		OK(shutdown(fd[0], how));
		CHECK_EQ((intptr_t)join(t), 0);
	}
}

static void *accept_one(void *arg)
{
	return (void *)(intptr_t)(accept(*(int *)arg, NULL, NULL) < 0 ? errno : 0);
}

/* How many a server gets its accepting threads to leave. */
static void listener_wakes_accept(void)
{
	for (int how = SHUT_RD; how <= SHUT_RDWR; how += 2) {
		struct sockaddr_in a;
		int l = listener(5, &a), v = 1;
		pthread_t t = thread(accept_one, &l);
		socklen_t len = sizeof(v);

		sleep_ms(50);
		OK(shutdown(l, how));
		CHECK_EQ((intptr_t)join(t), EINVAL);
		CHECK_ERRNO(connect(tcp_socket(), SA(&a), sizeof(a)), ECONNREFUSED);
		OK(getsockopt(l, SOL_SOCKET, SO_ACCEPTCONN, &v, &len));
		CHECK_EQ(v, 0);
		/* The kernel's choice of port is not kept, the socket is usable. */
		OK(listen(l, 5));
		connected(test_address(ntohs(local_name(l).sin_port)));
		OK(accept(l, NULL, NULL));
	}
}

static void listener_is_as_new(void)
{
	for (int how = SHUT_RD; how <= SHUT_RDWR; how += 2) {
		struct sockaddr_in a;
		int l = listener(5, &a);

		OK(shutdown(l, how));
		CHECK_EQ(poll_bits(l), POLLOUT | POLLHUP);
		CHECK_EQ(socket_error(l), 0);
		CHECK_ERRNO(shutdown(l, how), ENOTCONN);
	}
}

/* What is on its way is given up. */
static void connecting_is_given_up(void)
{
	for (int how = SHUT_RD; how <= SHUT_RDWR; how++) {
		struct sockaddr_in a;
		int fd[16], l = listener(0, &a), c = fd[fill_backlog(a, fd, 16) - 1];

		OK(shutdown(c, how));
		CHECK_EQ(socket_error(c), ECONNRESET);
		CHECK_EQ(poll_bits(c), POLLOUT | POLLHUP);
		CHECK_ERRNO(getpeername(c, SA(&a), &(socklen_t){sizeof(a)}), ENOTCONN);
		OK(close(l));
		l = listener(1, &a);
		CHECK_ERRNO(connect(c, SA(&a), sizeof(a)), EINPROGRESS);
		wait_bits(c, POLLOUT);
		expect_text(c, OK(accept(l, NULL, NULL)), "the next one");
	}
}

static void listener_ignores_shut_wr(void)
{
	struct sockaddr_in a;
	int l = listener(5, &a);

	OK(shutdown(l, SHUT_WR));
	connected(a);
	OK(accept(l, NULL, NULL));
}

/* Who closes has read all that it will: later bytes are answered by a reset. */
static void half_closed_then_closed(void)
{
	int fd[2];

	tcp_pair(fd);
	OK(shutdown(fd[0], SHUT_WR));
	expect_eof(fd[1]);
	OK(close(fd[0]));
	while (send(fd[1], "abc", 3, MSG_NOSIGNAL) == 3)
		sleep_ms(1);
	CHECK(errno == EPIPE || errno == ECONNRESET);
}

/* What it has not read when it closes is answered by one at once, whatever was shut before. */
static void shut_then_closed_unread(void)
{
	static const int order[][2] = {
	    {SHUT_WR, SHUT_RD}, {SHUT_RD, SHUT_WR}, {SHUT_RDWR, SHUT_RDWR}};
	struct sockaddr_in a;
	int fd[2];

	for (int end = 0; end < 2; end++) {
		for (int k = 0; k < 3; k++) {
			tcp_pair(fd);
			write_all(fd[!end], "abc", 3);
			wait_bits(fd[end], POLLIN);
			OK(shutdown(fd[end], order[k][0]));
			OK(shutdown(fd[end], order[k][1]));
			expect_eof(fd[!end]);
			OK(close(fd[end]));
			CHECK_HERE();
			while (getpeername(fd[!end], SA(&a), &(socklen_t){sizeof(a)}) == 0)
				sleep_ms(1);
			while (send(fd[!end], "x", 1, MSG_NOSIGNAL) == 1)
				sleep_ms(1);
			CHECK_EQ(errno, EPIPE);
		}
	}
}

/* So is what comes when both directions were shut, before any close. */
static void shut_then_sent_to(void)
{
	struct sockaddr_in a;
	int fd[2];

	for (int end = 0; end < 2; end++) {
		tcp_pair(fd);
		OK(shutdown(fd[end], SHUT_WR));
		expect_eof(fd[!end]);
		OK(shutdown(fd[end], SHUT_RD));
		CHECK_EQ(send(fd[!end], "abc", 3, MSG_NOSIGNAL), 3);
		for (int k = 0; k < 2; k++) {
			CHECK_HERE();
			while (getpeername(fd[k], SA(&a), &(socklen_t){sizeof(a)}) == 0)
				sleep_ms(1);
		}
		while (send(fd[!end], "x", 1, MSG_NOSIGNAL) == 1)
			sleep_ms(1);
		CHECK_EQ(errno, EPIPE);
	}
}

CHECK_MAIN(CASE(client_half_closes), CASE(server_half_closes), CASE(write_after_shut_wr),
	   CASE(poll_while_half_closed), CASE(shut_rd), CASE(shut_rd_keeps_what_came),
	   CASE(shut_rdwr_keeps_what_came), CASE(shut_rdwr_keeps_much), CASE(shut_rdwr),
	   CASE(not_connected), CASE(bad_how), ASIDE(wakes_a_blocked_recv),
	   ASIDE(listener_wakes_accept), CASE(listener_is_as_new), ASIDE(connecting_is_given_up),
	   CASE(listener_ignores_shut_wr), CASE(half_closed_then_closed),
	   CASE(shut_then_closed_unread), CASE(shut_then_sent_to))

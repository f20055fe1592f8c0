/* SPDX-License-Identifier: BSD-3-Clause
 *
 * unread.c - Both directions of a connection are full when something changes how its bytes
 * are carried: they are read after that, all of them and in order
 */
#include <stdlib.h>

#include "test/check.h"
#include "test/semantics/pass.h"

#define MOST (8 << 20) /* more than any buffers take */

static uint8_t out[MOST], in[MOST];

static uint8_t byte_at(size_t i, int way)
{
	return (uint8_t)((i * 2654435761u >> 13) + (size_t)way);
}

/* As much as there is room for, from byte @from on.  Return: all that was sent by then */
static size_t fill(int fd, int way, size_t from)
{
	size_t sum = from;
	ssize_t n;

	for (size_t i = 0; i < MOST; i++)
		out[i] = byte_at(i, way);
	/* Once more for what moved on. */
	for (int full = 0; full < 3; full++) {
		while ((n = send(fd, out + sum, MOST - sum, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0) {
			sum += (size_t)n;
			full = 0;
		}
		CHECK_EQ(errno, EAGAIN);
		sleep_ms(5);
	}
	return sum;
}

static void expect(int fd, int way, size_t from, size_t to)
{
	CHECK_EQ(read_all(fd, in, to - from), to - from);
	for (size_t i = from; i < to; i++)
		if (in[i - from] != byte_at(i, way))
			check_fail(__FILE__, __LINE__, "byte %zu of %zu is another one", i, to);
}

/* Both are full; half of it is read; @change happens to the end @which, and more is sent. */
static void change_full(void (*change)(int), int which)
{
	size_t sent[2], more[2];
	int fd[2];

	tcp_pair(fd);
	for (int e = 0; e < 2; e++)
		sent[e] = fill(fd[e], e, 0);
	expect(fd[1], 0, 0, sent[0] / 2);
	change(fd[which]);
	for (int e = 0; e < 2; e++)
		more[e] = fill(fd[e], e, sent[e]);
	expect(fd[1], 0, sent[0] / 2, more[0]);
	expect(fd[0], 1, 0, more[1]);
	OK(shutdown(fd[0], SHUT_WR));
	expect_eof(fd[1]);
	expect_text(fd[1], fd[0], "the other way goes on");
}

static void cork(int fd)
{
	set_option(fd, IPPROTO_TCP, TCP_CORK, 1);
	set_option(fd, IPPROTO_TCP, TCP_CORK, 0);
}

static void mark(int fd)
{
	set_option(fd, SOL_SOCKET, SO_RCVLOWAT, 2);
	set_option(fd, SOL_SOCKET, SO_RCVLOWAT, 1);
}

static void pass_on(int fd)
{
	int way[2];

	OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, way));
	send_fd(way[0], fd);
	OK(close(receive_fd(way[1])));
	OK(close(way[0]));
	OK(close(way[1]));
}

static void corked(void)
{
	change_full(cork, 0);
}

static void marked(void)
{
	change_full(mark, 1);
}

static void sender_passed_on(void)
{
	change_full(pass_on, 0);
}

static void receiver_passed_on(void)
{
	change_full(pass_on, 1);
}

/* The end of file is behind all of it. */
static void closed(void)
{
	size_t sent;
	int fd[2];

	tcp_pair(fd);
	sent = fill(fd[0], 0, 0);
	OK(close(fd[0]));
	expect(fd[1], 0, 0, sent);
	expect_eof(fd[1]);
}

static void shut(void)
{
	size_t sent;
	int fd[2];

	tcp_pair(fd);
	sent = fill(fd[0], 0, 0);
	OK(shutdown(fd[0], SHUT_WR));
	expect_text(fd[1], fd[0], "still");
	expect(fd[1], 0, 0, sent);
	expect_eof(fd[1]);
}

/* What the peer has got it can read, whatever comes after it (tcp_reset()). */
static void reset_after_much(void)
{
	struct linger now = {.l_onoff = 1};
	size_t n = 60000;
	int fd[2], there;

	tcp_pair(fd);
	for (size_t i = 0; i < n; i++)
		out[i] = byte_at(i, 0);
	write_all(fd[0], out, n);
	OK(setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
	do {
		sleep_ms(1);
		OK(ioctl(fd[1], FIONREAD, &there));
	} while (there < (int)n);
	OK(close(fd[0]));
	expect(fd[1], 0, 0, n);
	CHECK_ERRNO(recv(fd[1], in, 1, 0), ECONNRESET);
}

CHECK_MAIN(CASE(corked), CASE(marked), CASE(sender_passed_on), CASE(receiver_passed_on),
	   CASE(closed), CASE(shut), CASE(reset_after_much))

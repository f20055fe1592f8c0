/* SPDX-License-Identifier: BSD-3-Clause
 *
 * peer_close.c - After the peer's close: EOF, and writes that fail in two steps
 */
#include "check.h"

static volatile sig_atomic_t sigpipes;

static void on_sigpipe(int sig)
{
	(void)sig;
	sigpipes++;
}

static void eof_twice(void)
{
	int fd[2];

	tcp_pair(fd);
	write_all(fd[0], "x", 1);
	OK(close(fd[0]));
	CHECK_EQ(recv(fd[1], (char[8]){0}, 8, MSG_WAITALL), 1);
	expect_eof(fd[1]);
	expect_eof(fd[1]);
	CHECK_EQ(read(fd[1], (char[1]){0}, 1), 0);
	CHECK_EQ(poll_bits(fd[1]), POLLIN | POLLOUT | POLLRDHUP);
}

static void eof_nonblocking(void)
{
	int fd[2];

	tcp_pair(fd);
	set_nonblock(fd[1]);
	CHECK_ERRNO(recv(fd[1], (char[1]){0}, 1, 0), EAGAIN);
	OK(close(fd[0]));
	wait_bits(fd[1], POLLIN);
	expect_eof(fd[1]);
}

/* The first write is answered by RST; from then on there is EPIPE. */
static void write_ok_then_epipe(void)
{
	int fd[2];

	OK(sigaction(SIGPIPE, &(struct sigaction){.sa_handler = on_sigpipe}, NULL));
	tcp_pair(fd);
	OK(close(fd[0]));
	wait_bits(fd[1], POLLRDHUP);
	CHECK_EQ(write(fd[1], "x", 1), 1);
	CHECK_EQ(sigpipes, 0);
	CHECK_EQ(wait_bits(fd[1], POLLERR), POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR);
	CHECK_ERRNO(write(fd[1], "x", 1), EPIPE);
	CHECK_EQ(sigpipes, 1);
	CHECK_ERRNO(send(fd[1], "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK_EQ(sigpipes, 1);
	CHECK_ERRNO(send(fd[1], "x", 1, 0), EPIPE);
	CHECK_EQ(sigpipes, 2);
	expect_eof(fd[1]);
}

/* SO_ERROR says EPIPE, not ECONNRESET, where FIN came before the RST. */
static void error_is_epipe(void)
{
	int fd[2];

	tcp_pair(fd);
	OK(close(fd[0]));
	wait_bits(fd[1], POLLRDHUP);
	write_all(fd[1], "x", 1);
	wait_bits(fd[1], POLLERR);
	CHECK_EQ(socket_error(fd[1]), EPIPE);
	CHECK_EQ(socket_error(fd[1]), 0);
}

static void sigpipe_kills(void)
{
	int fd[2], status;
	pid_t pid;

	tcp_pair(fd);
	OK(close(fd[0]));
	wait_bits(fd[1], POLLRDHUP);
	write_all(fd[1], "x", 1);
	wait_bits(fd[1], POLLERR);
	pid = child();
	if (!pid) {
		signal(SIGPIPE, SIG_DFL);
		if (write(fd[1], "x", 1) < 0)
			_exit(3);
		_exit(4);
	}
	status = reap_status(pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
}

static void fresh_socket_sends_sigpipe(void)
{
	OK(sigaction(SIGPIPE, &(struct sigaction){.sa_handler = on_sigpipe}, NULL));
	CHECK_ERRNO(write(tcp_socket(), "x", 1), EPIPE);
	CHECK_EQ(sigpipes, 1);
}

static void both_closed(void)
{
	int fd[2];

	tcp_pair(fd);
	OK(shutdown(fd[1], SHUT_WR));
	OK(close(fd[0]));
	CHECK_EQ(wait_bits(fd[1], POLLHUP), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	expect_eof(fd[1]);
	CHECK_ERRNO(send(fd[1], "x", 1, MSG_NOSIGNAL), EPIPE);
}

/* Everything written before close() arrives, however slowly it is read. */
static void close_delivers_what_was_sent(void)
{
	static char big[4 << 20];
	ssize_t sent;
	int fd[2];

	tcp_pair(fd);
	set_nonblock(fd[0]);
	sent = OK(send(fd[0], big, sizeof(big), 0));
	OK(close(fd[0]));
	sleep_ms(50);
	CHECK_EQ(read_to_end(fd[1]), sent);
}

CHECK_MAIN(CASE(eof_twice), CASE(eof_nonblocking), CASE(write_ok_then_epipe), CASE(error_is_epipe),
	   CASE(sigpipe_kills), CASE(fresh_socket_sends_sigpipe), CASE(both_closed),
	   CASE(close_delivers_what_was_sent))

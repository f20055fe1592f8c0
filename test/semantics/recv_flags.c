/* SPDX-License-Identifier: BSD-3-Clause
 *
 * recv_flags.c - MSG_PEEK, MSG_WAITALL, MSG_DONTWAIT, MSG_TRUNC; empty reads
 */
#include "check.h"

static void *write_in_parts(void *arg)
{
	for (int i = 0; i < 4; i++) {
		sleep_ms(40);
		write_all(*(int *)arg, "abcd" + i, 1);
	}
	return NULL;
}

static void peek_leaves_the_data(void)
{
	char buf[8] = "";
	int fd[2];

	tcp_pair(fd);
	write_all(fd[0], "abcdef", 6);
	wait_bits(fd[1], POLLIN);
	CHECK_EQ(recv(fd[1], buf, 3, MSG_PEEK), 3);
	CHECK_EQ(memcmp(buf, "abc", 3), 0);
	CHECK_EQ(recv(fd[1], buf, 6, MSG_PEEK | MSG_WAITALL), 6);
	CHECK_EQ(poll_bits(fd[1]), POLLIN | POLLOUT);
	CHECK_EQ(recv(fd[1], buf, 8, 0), 6);
	CHECK_EQ(memcmp(buf, "abcdef", 6), 0);
	CHECK_ERRNO(recv(fd[1], buf, 1, MSG_PEEK | MSG_DONTWAIT), EAGAIN);
	OK(close(fd[0]));
	CHECK_EQ(recv(fd[1], buf, 1, MSG_PEEK), 0);
	expect_eof(fd[1]);
}

static void peek_blocks(void)
{
	char buf[4];
	int fd[2];
	pthread_t t;

	tcp_pair(fd);
	t = thread(write_in_parts, &fd[0]);
	CHECK_EQ(recv(fd[1], buf, 4, MSG_PEEK), 1);
	CHECK_EQ(read_all(fd[1], buf, 4), 4);
	join(t);
}

static void waitall_collects(void)
{
	char buf[4];
	int fd[2];
	pthread_t t;

	tcp_pair(fd);
	t = thread(write_in_parts, &fd[0]);
	CHECK_EQ(recv(fd[1], buf, 4, MSG_WAITALL), 4);
	CHECK_EQ(memcmp(buf, "abcd", 4), 0);
	join(t);
}

static void waitall_ends_at_eof(void)
{
	char buf[8];
	int fd[2];

	tcp_pair(fd);
	write_all(fd[0], "abc", 3);
	OK(shutdown(fd[0], SHUT_WR));
	CHECK_EQ(recv(fd[1], buf, 8, MSG_WAITALL), 3);
	CHECK_EQ(recv(fd[1], buf, 8, MSG_WAITALL), 0);
}

static void waitall_does_not_wait_when_nonblocking(void)
{
	char buf[8];
	int fd[2];

	tcp_pair(fd);
	set_nonblock(fd[1]);
	CHECK_ERRNO(recv(fd[1], buf, 8, MSG_WAITALL), EAGAIN);
	write_all(fd[0], "abc", 3);
	wait_bits(fd[1], POLLIN);
	CHECK_EQ(recv(fd[1], buf, 8, MSG_WAITALL), 3);
}

/* Far beyond any one buffer. */
static void waitall_large(void)
{
	static char big[4 << 20], got[4 << 20];
	int fd[2], status;
	pid_t pid;

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 13 >> 5);
	tcp_pair(fd);
	pid = child();
	if (!pid) {
		write_all(fd[0], big, sizeof(big));
		_exit(0);
	}
	CHECK_EQ(recv(fd[1], got, sizeof(got), MSG_WAITALL), sizeof(got));
	CHECK_EQ(memcmp(big, got, sizeof(got)), 0);
	status = reap_status(pid);
	CHECK_EQ(status, 0);
}

static void dontwait(void)
{
	char b;
	int fd[2];

	tcp_pair(fd);
	CHECK_ERRNO(recv(fd[1], &b, 1, MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(OK(fcntl(fd[1], F_GETFL)) & O_NONBLOCK, 0);
	expect_text(fd[0], fd[1], "blocks otherwise");
}

/* tcp(7): MSG_TRUNC throws received bytes away. */
static void trunc_discards(void)
{
	char buf[8] = "";
	int fd[2];

	tcp_pair(fd);
	write_all(fd[0], "abcdefgh", 8);
	wait_bits(fd[1], POLLIN);
	CHECK_EQ(recv(fd[1], NULL, 3, MSG_TRUNC), 3);
	CHECK_EQ(recv(fd[1], buf, 2, MSG_TRUNC), 2);
	CHECK_EQ(buf[0], 0);
	CHECK_EQ(read_all(fd[1], buf, 3), 3);
	CHECK_EQ(memcmp(buf, "fgh", 3), 0);
}

/* Nor does it with MSG_PEEK, which copies nothing then. */
static void trunc_and_peek(void)
{
	char buf[8] = "";
	int fd[2];

	tcp_pair(fd);
	write_all(fd[0], "abcd", 4);
	wait_bits(fd[1], POLLIN);
	CHECK_EQ(recv(fd[1], buf, 3, MSG_TRUNC | MSG_PEEK), 3);
	CHECK_EQ(recv(fd[1], NULL, 100, MSG_TRUNC | MSG_PEEK), 4);
	CHECK_EQ(buf[0], 0);
	CHECK_EQ(recv(fd[1], NULL, 1, MSG_TRUNC), 1);
	CHECK_EQ(recv(fd[1], NULL, 100, MSG_TRUNC | MSG_DONTWAIT), 3);
	CHECK_ERRNO(recv(fd[1], NULL, 100, MSG_TRUNC | MSG_DONTWAIT), EAGAIN);
	expect_text(fd[0], fd[1], "after");
}

static void empty_calls(void)
{
	char b;
	int fd[2];

	tcp_pair(fd);
	CHECK_EQ(read(fd[1], &b, 0), 0);
	CHECK_EQ(write(fd[0], &b, 0), 0);
	CHECK_EQ(send(fd[0], NULL, 0, 0), 0);
	CHECK_ERRNO(recv(fd[1], &b, 0, MSG_DONTWAIT), EAGAIN);
	write_all(fd[0], "x", 1);
	wait_bits(fd[1], POLLIN);
	CHECK_EQ(recv(fd[1], &b, 0, MSG_DONTWAIT), 0);
	CHECK_EQ(recv(fd[1], &b, 1, 0), 1);
}

/* TCP is a stream: boundaries of writes are not those of reads. */
static void stream_joins_and_splits(void)
{
	char buf[16] = "";
	int fd[2];

	tcp_pair(fd);
	write_all(fd[0], "ab", 2);
	write_all(fd[0], "cd", 2);
	sleep_ms(50);
	CHECK_EQ(recv(fd[1], buf, sizeof(buf), 0), 4);
	write_all(fd[0], "efgh", 4);
	CHECK_EQ(recv(fd[1], buf, 1, MSG_WAITALL), 1);
	CHECK_EQ(recv(fd[1], buf, 3, MSG_WAITALL), 3);
	CHECK_EQ(memcmp(buf, "fgh", 3), 0);
}

static void more_and_eor_flags_send(void)
{
	char buf[8] = "";
	int fd[2];

	tcp_pair(fd);
	CHECK_EQ(send(fd[0], "ab", 2, MSG_MORE), 2);
	CHECK_EQ(send(fd[0], "cd", 2, MSG_EOR | MSG_NOSIGNAL), 2);
	CHECK_EQ(recv(fd[1], buf, 4, MSG_WAITALL), 4);
	CHECK_EQ(memcmp(buf, "abcd", 4), 0);
}

/* SO_RCVLOWAT holds back POLLIN until enough is there, and EOF does not wait. */
static void low_water_mark(void)
{
	int fd[2];

	tcp_pair(fd);
	set_option(fd[1], SOL_SOCKET, SO_RCVLOWAT, 4);
	write_all(fd[0], "abc", 3);
	sleep_ms(50);
	CHECK_EQ(poll_bits(fd[1]), POLLOUT);
	write_all(fd[0], "d", 1);
	CHECK_EQ(wait_bits(fd[1], POLLIN), POLLIN | POLLOUT);
	CHECK_EQ(recv(fd[1], (char[4]){0}, 4, 0), 4);
	write_all(fd[0], "e", 1);
	OK(close(fd[0]));
	wait_bits(fd[1], POLLIN);
	CHECK_EQ(recv(fd[1], (char[4]){0}, 4, 0), 1);
}

struct marked {
	int fd, epfd;
};

static void *poll_for_mark(void *arg)
{
	const struct marked *m = arg;
	struct pollfd p = {.fd = m->fd, .events = POLLIN};

	CHECK_EQ(poll(&p, 1, 10000), 1);
	return NULL;
}

static void *epoll_for_mark(void *arg)
{
	const struct marked *m = arg;
	struct epoll_event ev;

	CHECK_EQ(epoll_wait(m->epfd, &ev, 1, 10000), 1);
	return NULL;
}

/* Who sleeps, and who looks again and again, hears of it when the mark is reached. */
static void low_water_mark_wakes(void)
{
	for (int how = 0; how < 2; how++) {
		struct epoll_event ev = {.events = EPOLLIN};
		struct marked m;
		int fd[2];
		pthread_t t;

		tcp_pair(fd);
		expect_text(fd[0], fd[1], "the first call may take its time");
		m.fd = fd[1];
		m.epfd = (int)OK(epoll_create1(0));
		OK(epoll_ctl(m.epfd, EPOLL_CTL_ADD, fd[1], &ev));
		set_option(fd[1], SOL_SOCKET, SO_RCVLOWAT, 4);
		CHECK_EQ(get_option(fd[1], SOL_SOCKET, SO_RCVLOWAT), 4);
		t = thread(how ? epoll_for_mark : poll_for_mark, &m);
		for (int i = 0; i < 3; i++) {
			sleep_ms(30);
			write_all(fd[0], "x", 1);
			CHECK_EQ(epoll_wait(m.epfd, &ev, 1, 0), 0);
		}
		sleep_ms(30);
		CHECK_EQ(pthread_tryjoin_np(t, NULL), EBUSY);
		write_all(fd[0], "x", 1);
		join(t);
		CHECK_EQ(poll_bits(fd[1]) & POLLIN, POLLIN);
		set_option(fd[1], SOL_SOCKET, SO_RCVLOWAT, 1);
		write_all(fd[0], "y", 1);
		CHECK(wait_bits(fd[1], POLLIN) & POLLIN);
	}
}

/* So they do when it is lowered, and what is there has become enough (tcp_set_rcvlowat()). */
static void low_water_mark_lowered(void)
{
	for (int how = 0; how < 3; how++) {
		struct epoll_event ev = {.events = EPOLLIN | (how == 2 ? EPOLLET : 0)};
		struct marked m;
		pthread_t t = 0;
		int fd[2];

		tcp_pair(fd);
		expect_text(fd[0], fd[1], "the first call may take its time");
		m.fd = fd[1];
		m.epfd = (int)OK(epoll_create1(0));
		OK(epoll_ctl(m.epfd, EPOLL_CTL_ADD, fd[1], &ev));
		set_option(fd[1], SOL_SOCKET, SO_RCVLOWAT, 100);
		write_all(fd[0], (char[50]){0}, 50);
		CHECK_EQ(epoll_wait(m.epfd, &ev, 1, 50), 0);
		if (how < 2) {
			t = thread(how ? epoll_for_mark : poll_for_mark, &m);
			sleep_ms(60);
		}
		set_option(fd[1], SOL_SOCKET, SO_RCVLOWAT, 51);
		CHECK_EQ(epoll_wait(m.epfd, &ev, 1, 0), 0);
		set_option(fd[1], SOL_SOCKET, SO_RCVLOWAT, 50);
		if (how < 2)
			join(t);
		CHECK_EQ(epoll_wait(m.epfd, &ev, 1, 0), 1);
		CHECK_EQ(ev.events, EPOLLIN);
		CHECK_EQ(recv(fd[1], (char[64]){0}, 64, 0), 50);
		CHECK_EQ(epoll_wait(m.epfd, &ev, 1, 0), 0);
	}
}

/* The mark does not bind who asks for less, or does not wait. */
static void low_water_mark_small_reads(void)
{
	char buf[8];
	int fd[2];

	tcp_pair(fd);
	set_option(fd[1], SOL_SOCKET, SO_RCVLOWAT, 8);
	write_all(fd[0], "abcde", 5);
	sleep_ms(50);
	CHECK_EQ(recv(fd[1], buf, 2, 0), 2);
	CHECK_EQ(recv(fd[1], buf, 8, MSG_DONTWAIT), 3);
	CHECK_EQ(memcmp(buf, "cde", 3), 0);
}

/* SO_PEEK_OFF: each peek goes on where the last one ended; reads move it back. */
static void peek_goes_on(void)
{
	int fd[2];
	char b[8] = "";

	tcp_pair(fd);
	CHECK_EQ(get_option(fd[1], SOL_SOCKET, SO_PEEK_OFF), -1);
	set_option(fd[1], SOL_SOCKET, SO_PEEK_OFF, 0);
	write_all(fd[0], "abcdefgh", 8);
	while (recv(fd[1], b, 8, MSG_PEEK) != 8)
		set_option(fd[1], SOL_SOCKET, SO_PEEK_OFF, 0);
	set_option(fd[1], SOL_SOCKET, SO_PEEK_OFF, 1);
	CHECK_EQ(recv(fd[1], b, 2, MSG_PEEK), 2);
	CHECK_EQ(memcmp(b, "bc", 2), 0);
	CHECK_EQ(get_option(fd[1], SOL_SOCKET, SO_PEEK_OFF), 3);
	CHECK_EQ(recv(fd[1], b, 2, MSG_PEEK), 2);
	CHECK_EQ(memcmp(b, "de", 2), 0);
	CHECK_EQ(recv(fd[1], b, 2, 0), 2);
	CHECK_EQ(memcmp(b, "ab", 2), 0);
	CHECK_EQ(get_option(fd[1], SOL_SOCKET, SO_PEEK_OFF), 3);
	CHECK_EQ(recvfrom(fd[1], b, 2, 0, SA(&(struct sockaddr_in){0}),
			  &(socklen_t){sizeof(struct sockaddr_in)}),
		 2);
	CHECK_EQ(memcmp(b, "cd", 2), 0);
	CHECK_EQ(recv(fd[1], b, 8, MSG_PEEK), 3);
	CHECK_EQ(memcmp(b, "fgh", 3), 0);
	set_option(fd[1], SOL_SOCKET, SO_PEEK_OFF, -1);
	CHECK_EQ(recv(fd[1], b, 8, MSG_PEEK), 4);
	CHECK_EQ(read_all(fd[1], b, 4), 4);
	CHECK_EQ(memcmp(b, "efgh", 4), 0);
}

CHECK_MAIN(CASE(peek_leaves_the_data), ASIDE(peek_blocks), ASIDE(waitall_collects),
	   CASE(waitall_ends_at_eof), CASE(waitall_does_not_wait_when_nonblocking),
	   CASE(waitall_large), CASE(dontwait), CASE(trunc_discards), CASE(trunc_and_peek),
	   CASE(empty_calls), CASE(stream_joins_and_splits), CASE(more_and_eor_flags_send),
	   CASE(low_water_mark), ASIDE(low_water_mark_wakes), ASIDE(low_water_mark_lowered),
	   CASE(low_water_mark_small_reads), CASE(peek_goes_on))

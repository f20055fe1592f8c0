/* SPDX-License-Identifier: BSD-3-Clause
 *
 * linger.c - SO_LINGER with a time: what closes waits until the peer has acknowledged all
 */
#include <linux/close_range.h>

#include "check.h"

static char big[16 << 20];

/* fd[0] lingers, and has sent more than fd[1] takes unread.  Return: bytes */
static size_t full_pair(int fd[2], int seconds)
{
	struct linger v = {.l_onoff = 1, .l_linger = seconds};
	struct pollfd p = {.events = POLLOUT};
	size_t sent = 0;
	ssize_t n;

	tcp_pair(fd);
	set_option(fd[1], SOL_SOCKET, SO_RCVBUF, 65536);
	set_nonblock(fd[0]);
	p.fd = fd[0];
	do {
		while ((n = send(fd[0], big, sizeof(big), 0)) > 0)
			sent += (size_t)n;
		CHECK_ERRNO(n, EAGAIN);
	} while (OK(poll(&p, 1, 50)));
	OK(setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &v, sizeof(v)));
	return sent;
}

static void waits(void)
{
	int fd[2];
	size_t sent = full_pair(fd, 5);
	pthread_t t;
	long long start;

	OK(fcntl(fd[0], F_SETFL, 0));
	t = thread(drain_later, &fd[1]);
	start = now_ms();
	OK(close(fd[0]));
	CHECK(now_ms() - start >= 150);
	CHECK_EQ((size_t)join(t), sent);
}

/* A child with all that is open, which ends when it is told by go[1] */
static pid_t held_child(int go[2])
{
	pid_t pid;

	OK(pipe(go));
	pid = child();
	if (!pid) {
		CHECK_EQ(read(go[0], (char[1]){0}, 1), 1);
		_exit(0);
	}
	return pid;
}

/* Not while somebody else has the socket. */
static void last_one_waits(void)
{
	int fd[2], go[2];
	size_t sent = full_pair(fd, 5);
	long long start;
	pid_t pid;

	pid = held_child(go);
	start = now_ms();
	OK(close(fd[0]));
	CHECK(now_ms() - start < 3000);
	CHECK_EQ(write(go[1], "g", 1), 1);
	reap(pid);
	CHECK_EQ(read_to_end(fd[1]), sent);
}

/* O_NONBLOCK makes no difference; and what was not acknowledged in time is delivered all the same.
 */
static void time_is_over(void)
{
	int fd[2];
	size_t sent = full_pair(fd, 1);
	long long start = now_ms();

	OK(close(fd[0]));
	CHECK(now_ms() - start >= 900);
	CHECK_EQ(read_to_end(fd[1]), sent);
}

static int closing;
static volatile int errno_seen;
static pthread_t self;

static void on_signal(int sig)
{
	int e = errno;

	(void)sig;
	errno_seen = close(closing) < 0 ? errno : -1;
	errno = e;
}

static void *kick_later(void *arg)
{
	(void)arg;
	sleep_ms(200);
	CHECK_EQ(pthread_kill(self, SIGUSR1), 0);
	return NULL;
}

/* And its handler finds the number closed. */
static void signal_ends_it(void)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	int fd[2];
	size_t sent = full_pair(fd, 10);
	long long start, took;
	pthread_t t;

	self = pthread_self();
	closing = fd[0];
	OK(sigaction(SIGUSR1, &sa, NULL));
	t = thread(kick_later, NULL);
	start = now_ms();
	OK(close(fd[0]));
	took = now_ms() - start;
	CHECK(took >= 150);
	CHECK(took < 6000);
	join(t);
	CHECK_EQ(errno_seen, EBADF);
	CHECK_EQ(read_to_end(fd[1]), sent);
}

static void reset_at_once(bool leaves)
{
	long long start;
	ssize_t n;
	int fd[2];

	full_pair(fd, 8);
	if (leaves)
		set_option(fd[0], SOL_SOCKET, SO_RCVBUF, 65536);
	write_all(fd[1], "x", 1);
	wait_bits(fd[0], POLLIN);
	start = now_ms();
	OK(close(fd[0]));
	CHECK(now_ms() - start < 4000);
	while ((n = recv(fd[1], big, sizeof(big), 0)) > 0)
		;
	CHECK_ERRNO(n, ECONNRESET);
}

static void unread_bytes_reset(void)
{
	reset_at_once(false);
	reset_at_once(true);
}

/* What fails, or leaves the number as it is, does not wait, and the socket stays where it is. */
static void nothing_is_closed(void)
{
	struct epoll_event e = {.events = EPOLLIN};
	long long start;
	int fd[2], ep;

	full_pair(fd, 8);
	ep = (int)OK(epoll_create1(0));
	OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd[0], &e));
	start = now_ms();
	CHECK_EQ(dup2(fd[0], fd[0]), fd[0]);
	CHECK_ERRNO(dup2(999, fd[0]), EBADF);
	CHECK_ERRNO(dup3(fd[0], fd[0], 0), EINVAL);
	CHECK_ERRNO(dup3(fd[1], fd[0], O_NONBLOCK), EINVAL);
	CHECK_ERRNO(dup3(999, fd[0], O_CLOEXEC), EBADF);
	CHECK_ERRNO(close_range((unsigned)fd[0], (unsigned)fd[0], 1 << 30), EINVAL);
	OK(close_range((unsigned)fd[0], (unsigned)fd[0], CLOSE_RANGE_CLOEXEC));
	CHECK_EQ(fcntl(fd[0], F_GETFD), FD_CLOEXEC);
	CHECK(now_ms() - start < 4000);
	CHECK_EQ(epoll_wait(ep, &e, 1, 0), 0);
	write_all(fd[1], "x", 1);
	CHECK_EQ(epoll_wait(ep, &e, 1, 10000), 1);
	CHECK_EQ(recv(fd[0], big, 8, 0), 1);
}

static void dup2_waits(void)
{
	for (int by_dup3 = 0; by_dup3 < 2; by_dup3++) {
		int fd[2], other[2];
		size_t sent = full_pair(fd, 5);
		long long start;
		pthread_t t;

		OK(pipe(other));
		t = thread(drain_later, &fd[1]);
		start = now_ms();
		CHECK_EQ(by_dup3 ? dup3(other[1], fd[0], 0) : dup2(other[1], fd[0]), fd[0]);
		CHECK(now_ms() - start >= 150);
		CHECK_EQ((size_t)join(t), sent);
		CHECK_EQ(write(fd[0], "x", 1), 1);
		CHECK_EQ(read(other[0], (char[1]){0}, 1), 1);
	}
}

struct half {
	int fd;
	size_t n;
};

/* A thread: what two were sent, one after the other */
static void *read_both(void *halves)
{
	struct half *h = halves;

	for (int k = 0; k < 2; k++) {
		sleep_ms(200);
		CHECK_EQ(read_all(h[k].fd, big, h[k].n), h[k].n);
	}
	return NULL;
}

static void close_range_waits(void)
{
	int a[2], b[2];
	struct half h[2];
	long long start;
	pthread_t t;

	h[0].n = full_pair(a, 5);
	h[1].n = full_pair(b, 5);
	/* Nothing else is between the two. */
	h[0].fd = (int)OK(fcntl(a[1], F_DUPFD, b[1] + 1));
	h[1].fd = b[1];
	OK(close(a[1]));
	CHECK(a[0] < b[0] && b[0] < b[1]);
	t = thread(read_both, h);
	start = now_ms();
	OK(close_range((unsigned)a[0], (unsigned)b[0], 0));
	CHECK(now_ms() - start >= 350);
	join(t);
	expect_eof(h[0].fd);
	expect_eof(h[1].fd);
}

static void *close_it(void *fd)
{
	OK(close(*(int *)fd));
	return NULL;
}

/* Another thread closes fd[0].  Return: when its number is free, which it is at once */
static pthread_t begin_to_close(int fd[2])
{
	pthread_t t = thread(close_it, &fd[0]);
	long long end = now_ms() + 3000;

	while (fcntl(fd[0], F_GETFD) >= 0 && now_ms() < end)
		sleep_ms(1);
	CHECK_ERRNO(fcntl(fd[0], F_GETFD), EBADF);
	return t;
}

/* Who is forked meanwhile has not got the socket, and does not keep it open. */
static void fork_meanwhile(void)
{
	int fd[2], go[2];
	size_t sent = full_pair(fd, 8);
	pthread_t t = begin_to_close(fd);
	pid_t pid;

	pid = held_child(go);
	CHECK_EQ(read_to_end(fd[1]), sent);
	join(t);
	CHECK_EQ(write(go[1], "g", 1), 1);
	reap(pid);
}

/* No epoll tells of it any more, not even that it is writable again. */
static void epoll_meanwhile(void)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT};
	int fd[2], ep = (int)OK(epoll_create1(0));
	size_t sent = full_pair(fd, 8);
	pthread_t closer, reader;

	OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd[0], &e));
	closer = begin_to_close(fd);
	CHECK_EQ(epoll_wait(ep, &e, 1, 0), 0);
	reader = thread(drain_later, &fd[1]);
	CHECK_EQ(epoll_wait(ep, &e, 1, 200), 0);
	CHECK_EQ((size_t)join(reader), sent);
	join(closer);
}

CHECK_MAIN(ASIDE(waits), CASE(last_one_waits), ASIDE(time_is_over), ASIDE(signal_ends_it),
	   CASE(unread_bytes_reset), CASE(nothing_is_closed), ASIDE(dup2_waits),
	   ASIDE(close_range_waits), CASE(fork_meanwhile), ASIDE(epoll_meanwhile))

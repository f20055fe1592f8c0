/* SPDX-License-Identifier: BSD-3-Clause
 *
 * streams.c - Bytes by other ways: splice, tee, vmsplice, sendfile, vectors, MORE, CORK
 */
#include <limits.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "check.h"

static char out[300000], in[300000];
static void *volatile bad = (void *)8;
static volatile int too_many = IOV_MAX + 1;

static void fill(void)
{
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 11 + (i >> 8));
}

static int file_of(size_t n)
{
	int fd = (int)OK(memfd_create("bytes", 0));

	write_all(fd, NULL, 0);
	CHECK_EQ(write(fd, out, n), (ssize_t)n);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

/* Read @n bytes from @fd in a child, and compare. */
static pid_t reader(int fd, int other, size_t n)
{
	pid_t pid = child();

	if (pid)
		return pid;
	OK(close(other));
	CHECK_EQ(read_all(fd, in, n), n);
	CHECK_EQ(memcmp(in, out, n), 0);
	expect_eof(fd);
	_exit(0);
}

static void sendfile_large(void)
{
	int fd[2], f;
	off_t at = 0;
	pid_t pid;

	fill();
	f = file_of(sizeof(out));
	tcp_pair(fd);
	pid = reader(fd[1], fd[0], sizeof(out));
	while (at < (off_t)sizeof(out))
		CHECK(OK(sendfile(fd[0], f, &at, sizeof(out))) > 0);
	CHECK_EQ(sendfile(fd[0], f, &at, 1000), 0);
	OK(shutdown(fd[0], SHUT_WR));
	reap(pid);
}

/* file -> pipe -> socket -> pipe -> file, in full */
static void splice_through(void)
{
	int fd[2], f, to = (int)OK(memfd_create("to", 0)), a[2], b[2];
	size_t left = sizeof(out), got = 0;
	pid_t pid;

	fill();
	f = file_of(sizeof(out));
	tcp_pair(fd);
	pid = child();
	if (!pid) {
		OK(close(fd[1]));
		OK(pipe(a));
		while (left) {
			ssize_t n = OK(splice(f, NULL, a[1], NULL, 65536, 0));

			for (ssize_t done = 0; done < n;)
				done += OK(splice(a[0], NULL, fd[0], NULL, (size_t)(n - done),
						  SPLICE_F_MORE));
			left -= (size_t)n;
		}
		OK(close(fd[0]));
		_exit(0);
	}
	OK(close(fd[0]));
	OK(pipe(b));
	for (;;) {
		ssize_t n = OK(splice(fd[1], NULL, b[1], NULL, 65536, SPLICE_F_MOVE));

		if (!n)
			break;
		for (ssize_t done = 0; done < n;)
			done += OK(splice(b[0], NULL, to, NULL, (size_t)(n - done), 0));
		got += (size_t)n;
	}
	CHECK_EQ(got, sizeof(out));
	CHECK_EQ(pread(to, in, sizeof(in), 0), sizeof(in));
	CHECK_EQ(memcmp(in, out, sizeof(in)), 0);
	reap(pid);
}

static void splice_does_not_wait(void)
{
	int fd[2], p[2];

	tcp_pair(fd);
	OK(pipe(p));
	set_nonblock(fd[1]);
	CHECK_ERRNO(splice(fd[1], NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK), EAGAIN);
	write_all(fd[0], "abc", 3);
	wait_bits(fd[1], POLLIN);
	CHECK_EQ(splice(fd[1], NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK), 3);
	OK(shutdown(fd[0], SHUT_WR));
	wait_bits(fd[1], POLLRDHUP);
	CHECK_EQ(splice(fd[1], NULL, p[1], NULL, 100, 0), 0);
	CHECK_ERRNO(splice(fd[1], NULL, fd[0], NULL, 1, 0), EINVAL);
}

static void *write_soon(void *fd)
{
	sleep_ms(100);
	write_all(*(int *)fd, "abc", 3);
	return NULL;
}

/* SPLICE_F_NONBLOCK is about the pipe: a socket that blocks is waited for (tcp_splice_read()). */
static void splice_flag_is_the_pipes(void)
{
	int fd[2], p[2];
	long long from;
	pthread_t t;

	tcp_pair(fd);
	OK(pipe(p));
	t = thread(write_soon, &fd[0]);
	CHECK_EQ(splice(fd[1], NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK), 3);
	join(t);
	set_timeout(fd[1], SO_RCVTIMEO, 100);
	from = now_ms();
	CHECK_ERRNO(splice(fd[1], NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK), EAGAIN);
	CHECK(now_ms() - from >= 99);
}

/* The pipe is looked at before the socket. */
static void splice_to_a_full_pipe(void)
{
	static char fill[65536];
	int fd[2], p[2];

	tcp_pair(fd);
	OK(pipe(p));
	CHECK_EQ(write(p[1], fill, sizeof(fill)), sizeof(fill));
	CHECK_ERRNO(splice(fd[1], NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK), EAGAIN);
	CHECK_EQ(read(p[0], fill, sizeof(fill)), sizeof(fill));
	CHECK_EQ(splice(fd[1], NULL, p[1], NULL, 0, SPLICE_F_NONBLOCK), 0);
	set_nonblock(fd[1]);
	CHECK_ERRNO(splice(fd[1], NULL, p[1], NULL, 100, 0), EAGAIN);
	write_all(fd[0], "abc", 3);
	wait_bits(fd[1], POLLIN);
	CHECK_EQ(splice(fd[1], NULL, p[1], NULL, 100, 0), 3);
	OK(close(fd[0]));
	wait_bits(fd[1], POLLRDHUP);
	CHECK_EQ(splice(fd[1], NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK), 0);
}

static void splice_of_fresh_ones(void)
{
	struct sockaddr_in a;
	int p[2], s[2] = {tcp_socket(), listener(1, &a)};

	OK(pipe(p));
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(splice(s[i], NULL, p[1], NULL, 0, 0), 0);
		CHECK_ERRNO(splice(s[i], NULL, p[1], NULL, 4, 0), ENOTCONN);
		CHECK_ERRNO(splice(s[i], NULL, p[1], NULL, 4, SPLICE_F_NONBLOCK), ENOTCONN);
		CHECK_ERRNO(splice(s[i], NULL, s[!i], NULL, 4, 0), EINVAL);
	}
}

/* One pipe's bytes to two sockets: tee() leaves them, splice() takes them. */
static void tee_to_two(void)
{
	int x[2], y[2], p[2], q[2];

	tcp_pair(x);
	tcp_pair(y);
	OK(pipe(p));
	OK(pipe(q));
	CHECK_EQ(write(p[1], "both", 4), 4);
	CHECK_EQ(tee(p[0], q[1], 4, 0), 4);
	CHECK_EQ(splice(p[0], NULL, x[0], NULL, 4, 0), 4);
	CHECK_EQ(splice(q[0], NULL, y[0], NULL, 4, 0), 4);
	CHECK_EQ(read_all(x[1], in, 4), 4);
	CHECK_EQ(memcmp(in, "both", 4), 0);
	CHECK_EQ(read_all(y[1], in, 4), 4);
	CHECK_EQ(memcmp(in, "both", 4), 0);
	CHECK_ERRNO(tee(x[0], q[1], 4, 0), EINVAL);
}

static void from_memory(void)
{
	struct iovec v = {(char *)"pages", 5};
	int fd[2], p[2];

	tcp_pair(fd);
	OK(pipe(p));
	CHECK_EQ(vmsplice(p[1], &v, 1, 0), 5);
	CHECK_EQ(splice(p[0], NULL, fd[0], NULL, 5, 0), 5);
	CHECK_EQ(read_all(fd[1], in, 5), 5);
	CHECK_EQ(memcmp(in, "pages", 5), 0);
}

static void many_vectors(void)
{
	struct iovec v[IOV_MAX], w[3] = {{in, 1}, {in + 1, 0}, {in + 1, 2000}};
	int fd[2];

	fill();
	tcp_pair(fd);
	for (int i = 0; i < IOV_MAX; i++)
		v[i] = (struct iovec){out + i, 1};
	CHECK_EQ(writev(fd[0], v, IOV_MAX), IOV_MAX);
	while (recv(fd[1], in, sizeof(in), MSG_PEEK) < IOV_MAX)
		;
	CHECK_EQ(readv(fd[1], w, 3), IOV_MAX);
	CHECK_EQ(memcmp(in, out, IOV_MAX), 0);
	CHECK_ERRNO(writev(fd[0], v, too_many), EINVAL);
	CHECK_ERRNO(readv(fd[1], v, -too_many), EINVAL);
	CHECK_EQ(writev(fd[0], v, 0), 0);
}

/* Bad memory in the middle: what came before it is sent, or nothing. */
static void bad_vector(void)
{
	struct iovec v[2] = {{(char *)"good", 4}, {bad, 100}};
	int fd[2];
	ssize_t n;

	tcp_pair(fd);
	n = writev(fd[0], v, 2);
	CHECK(n == 4 || (n == -1 && errno == EFAULT));
	CHECK_ERRNO(write(fd[0], bad, 10), EFAULT);
	write_all(fd[0], "end", 3);
	CHECK_EQ(read_all(fd[1], in, (size_t)(n > 0 ? n : 0) + 3), (size_t)(n > 0 ? n : 0) + 3);
	CHECK_EQ(memcmp(in + (n > 0 ? n : 0), "end", 3), 0);
	write_all(fd[0], "kept", 4);
	wait_bits(fd[1], POLLIN);
	CHECK_ERRNO(read(fd[1], bad, 4), EFAULT);
	CHECK_EQ(read_all(fd[1], in, 4), 4);
	CHECK_EQ(memcmp(in, "kept", 4), 0);
}

/* Held back by TCP_CORK, and gone when it is pulled, with a FIN, or after 200 ms. */
static void corked(void)
{
	int fd[2];
	long long start;

	tcp_pair(fd);
	set_option(fd[0], IPPROTO_TCP, TCP_CORK, 1);
	CHECK_EQ(get_option(fd[0], IPPROTO_TCP, TCP_CORK), 1);
	start = now_ms();
	write_all(fd[0], "late", 4);
	CHECK_EQ(read_all(fd[1], in, 4), 4);
	CHECK(now_ms() - start >= 150);
	write_all(fd[0], "he", 2);
	write_all(fd[0], "ad", 2);
	set_option(fd[0], IPPROTO_TCP, TCP_CORK, 0);
	CHECK_EQ(read_all(fd[1], in, 4), 4);
	CHECK_EQ(memcmp(in, "head", 4), 0);
	set_option(fd[0], IPPROTO_TCP, TCP_CORK, 1);
	write_all(fd[0], "fin", 3);
	OK(shutdown(fd[0], SHUT_WR));
	CHECK_EQ(read_all(fd[1], in, 4), 3);
}

/* More than a segment goes all the same; what MSG_MORE holds, a plain send() takes along. */
static void more_to_come(void)
{
	int fd[2];

	fill();
	tcp_pair(fd);
	CHECK_EQ(send(fd[0], out, 4, MSG_MORE), 4);
	CHECK_EQ(send(fd[0], out + 4, 4, 0), 4);
	CHECK_EQ(read_all(fd[1], in, 8), 8);
	CHECK_EQ(memcmp(in, out, 8), 0);
	CHECK_EQ(send(fd[0], out, 100000, MSG_MORE), 100000);
	CHECK_EQ(read_all(fd[1], in, 100000), 100000);
	CHECK_EQ(memcmp(in, out, 100000), 0);
	CHECK_EQ(send(fd[0], out, 3, MSG_MORE), 3);
	OK(close(fd[0]));
	CHECK_EQ(read_all(fd[1], in, 10), 3);
}

static void large_calls(void)
{
	int fd[2];
	pid_t pid;

	fill();
	tcp_pair(fd);
	pid = reader(fd[1], fd[0], sizeof(out));
	CHECK_EQ(send(fd[0], out, sizeof(out), 0), sizeof(out));
	OK(close(fd[0]));
	OK(close(fd[1]));
	reap(pid);
	/* A page that is given away while it is under way keeps its bytes. */
	tcp_pair(fd);
	for (int i = 0; i < 50; i++) {
		memset(out, 'a' + i % 26, 4096);
		CHECK_EQ(send(fd[0], out, 4096, 0), 4096);
		memset(out, '-', 4096);
		CHECK_EQ(read_all(fd[1], in, 4096), 4096);
		for (int k = 0; k < 4096; k++)
			CHECK(in[k] == 'a' + i % 26);
	}
}

/* Who only reads acknowledges at once, or Nagle's algorithm would hold the next write. */
static void small_writes_one_way(void)
{
	long long start, least = 1000;
	int fd[2];

	tcp_pair(fd);
	for (int round = 0; round < 5; round++) {
		start = now_ms();
		for (int i = 0; i < 20; i++) {
			write_all(fd[0], out, 100);
			CHECK_EQ(read_all(fd[1], in, 100), 100);
		}
		if (now_ms() - start < least)
			least = now_ms() - start;
	}
	CHECK(least < 100);
}

CHECK_MAIN(CASE(sendfile_large), CASE(splice_through), CASE(splice_does_not_wait),
	   ASIDE(splice_flag_is_the_pipes), CASE(splice_to_a_full_pipe), CASE(splice_of_fresh_ones),
	   CASE(tee_to_two), CASE(from_memory), CASE(many_vectors), CASE(bad_vector), CASE(corked),
	   CASE(more_to_come), CASE(large_calls), CASE(small_writes_one_way))

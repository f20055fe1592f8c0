/* SPDX-License-Identifier: BSD-3-Clause
 *
 * message_calls.c - The other ways to move bytes: vectors, messages, sendfile, splice
 */
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "check.h"

static void vectors(void)
{
	char a[3] = "", b[5] = "";
	struct iovec out[] = {{(void *)"ab", 2}, {(void *)"", 0}, {(void *)"cdefg", 5}};
	struct iovec in[] = {{a, 3}, {b, 4}};
	int fd[2];

	tcp_pair(fd);
	CHECK_EQ(writev(fd[0], out, 3), 7);
	wait_bits(fd[1], POLLIN);
	CHECK_EQ(readv(fd[1], in, 2), 7);
	CHECK_EQ(memcmp(a, "abc", 3), 0);
	CHECK_EQ(memcmp(b, "defg", 4), 0);
}

/* A stream has no names: recvmsg() says so by a length of zero. */
static void messages(void)
{
	struct sockaddr_in from;
	char a[4], b[4], control[64];
	struct iovec out[] = {{(void *)"abc", 3}, {(void *)"de", 2}}, in[] = {{a, 4}, {b, 4}};
	struct msghdr send = {.msg_iov = out, .msg_iovlen = 2};
	struct msghdr recv = {.msg_name = &from,
			      .msg_namelen = sizeof(from),
			      .msg_iov = in,
			      .msg_iovlen = 2,
			      .msg_control = control,
			      .msg_controllen = sizeof(control),
			      .msg_flags = -1};
	int fd[2];

	tcp_pair(fd);
	memset(&from, 0x55, sizeof(from));
	CHECK_EQ(sendmsg(fd[0], &send, MSG_NOSIGNAL), 5);
	wait_bits(fd[1], POLLIN);
	CHECK_EQ(recvmsg(fd[1], &recv, 0), 5);
	CHECK_EQ(recv.msg_namelen, 0);
	CHECK_EQ(recv.msg_controllen, 0);
	CHECK_EQ(recv.msg_flags, 0);
	CHECK_EQ(from.sin_family, 0x5555);
	CHECK_EQ(memcmp(a, "abcd", 4), 0);
	CHECK_EQ(b[0], 'e');
}

static void recvfrom_with_address(void)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	char buf[8];
	int fd[2];

	tcp_pair(fd);
	memset(&from, 0x55, sizeof(from));
	write_all(fd[0], "abc", 3);
	wait_bits(fd[1], POLLIN);
	CHECK_EQ(recvfrom(fd[1], buf, sizeof(buf), 0, SA(&from), &len), 3);
	CHECK_EQ(len, 0);
	CHECK_EQ(from.sin_family, 0x5555);
	OK(close(fd[0]));
	len = sizeof(from);
	CHECK_EQ(recvfrom(fd[1], buf, sizeof(buf), 0, SA(&from), &len), 0);
}

/* A connected TCP socket ignores the destination, whatever it is. */
static void sendto_with_address(void)
{
	struct sockaddr_in a;
	char buf[4];
	int l = listener(1, &a), c = connected(a), s = OK(accept(l, NULL, NULL));

	CHECK_EQ(sendto(c, "ab", 2, 0, SA(&a), sizeof(a)), 2);
	a.sin_addr.s_addr = htonl(0xc0000201);
	CHECK_EQ(sendto(c, "cd", 2, 0, SA(&a), sizeof(a)), 2);
	CHECK_EQ(read_all(s, buf, 4), 4);
	CHECK_EQ(memcmp(buf, "abcd", 4), 0);
	CHECK_ERRNO(sendto(tcp_socket(), "x", 1, MSG_NOSIGNAL, SA(&a), sizeof(a)), EPIPE);
}

static void many_messages(void)
{
	char a[2], b[8];
	struct iovec out[] = {{(void *)"ab", 2}, {(void *)"cd", 2}}, in[] = {{a, 2}, {b, 8}};
	struct mmsghdr send[2] = {{.msg_hdr = {.msg_iov = &out[0], .msg_iovlen = 1}},
				  {.msg_hdr = {.msg_iov = &out[1], .msg_iovlen = 1}}};
	struct mmsghdr recv[2] = {{.msg_hdr = {.msg_iov = &in[0], .msg_iovlen = 1}},
				  {.msg_hdr = {.msg_iov = &in[1], .msg_iovlen = 1}}};
	int fd[2];

	tcp_pair(fd);
	CHECK_EQ(sendmmsg(fd[0], send, 2, 0), 2);
	CHECK_EQ(send[0].msg_len, 2);
	CHECK_EQ(send[1].msg_len, 2);
	for (int n = 0; n < 4; sleep_ms(1))
		OK(ioctl(fd[1], FIONREAD, &n));
	CHECK_EQ(recvmmsg(fd[1], recv, 2, MSG_DONTWAIT, NULL), 2);
	CHECK_EQ(recv[0].msg_len, 2);
	CHECK_EQ(recv[1].msg_len, 2);
	CHECK_EQ(memcmp(b, "cd", 2), 0);
}

/* Return: a memory file of @n bytes that follow a pattern. */
static int pattern_file(char *copy, size_t n)
{
	int fd = OK(memfd_create("pattern", MFD_CLOEXEC));

	for (size_t i = 0; i < n; i++)
		copy[i] = (char)(i * 31 >> 3);
	CHECK_EQ(write(fd, copy, n), n);
	OK(lseek(fd, 0, SEEK_SET));
	return fd;
}

#define FILE_SIZE (2 << 20)
static char want[FILE_SIZE], got[FILE_SIZE];

static void sendfile_whole(void)
{
	int fd[2], file = pattern_file(want, sizeof(want));
	pid_t pid;

	tcp_pair(fd);
	pid = child();
	if (!pid) {
		for (size_t done = 0; done < sizeof(want);)
			done += (size_t)OK(sendfile(fd[0], file, NULL, sizeof(want) - done));
		CHECK_EQ(sendfile(fd[0], file, NULL, 10), 0);
		_exit(0);
	}
	CHECK_EQ(read_all(fd[1], got, sizeof(got)), sizeof(got));
	CHECK_EQ(memcmp(got, want, sizeof(got)), 0);
	reap(pid);
}

static void sendfile_from_offset(void)
{
	int fd[2], file = pattern_file(want, 4096);
	off_t at = 1000;

	tcp_pair(fd);
	CHECK_EQ(sendfile(fd[0], file, &at, 500), 500);
	CHECK_EQ(at, 1500);
	CHECK_EQ(lseek(file, 0, SEEK_CUR), 0);
	CHECK_EQ(read_all(fd[1], got, 500), 500);
	CHECK_EQ(memcmp(got, want + 1000, 500), 0);
}

static void sendfile_nonblocking(void)
{
	int fd[2], file = pattern_file(want, sizeof(want));
	off_t at = 0;
	size_t sent = 0;
	ssize_t n;

	tcp_pair(fd);
	set_nonblock(fd[0]);
	for (int i = 0; i < 1000 && (n = sendfile(fd[0], file, &at, sizeof(want))) >= 0; i++) {
		sent += (size_t)n;
		if ((size_t)at == sizeof(want))
			at = 0;
	}
	CHECK_ERRNO(n, EAGAIN);
	OK(shutdown(fd[0], SHUT_WR));
	for (size_t seen = 0; seen < sent; seen += (size_t)n)
		CHECK((n = OK(read(fd[1], got, sizeof(got)))) > 0);
	expect_eof(fd[1]);
}

static void splice_both_ways(void)
{
	int fd[2], pipe_in[2], pipe_out[2];

	tcp_pair(fd);
	OK(pipe(pipe_in));
	OK(pipe(pipe_out));
	CHECK_EQ(write(pipe_in[1], "through", 7), 7);
	CHECK_EQ(splice(pipe_in[0], NULL, fd[0], NULL, 7, 0), 7);
	wait_bits(fd[1], POLLIN);
	CHECK_EQ(splice(fd[1], NULL, pipe_out[1], NULL, 7, 0), 7);
	CHECK_EQ(read(pipe_out[0], got, 7), 7);
	CHECK_EQ(memcmp(got, "through", 7), 0);
}

static void no_position(void)
{
	int fd[2];

	tcp_pair(fd);
	CHECK_ERRNO(lseek(fd[0], 0, SEEK_CUR), ESPIPE);
	CHECK_ERRNO(pread(fd[0], got, 1, 0), ESPIPE);
	CHECK_ERRNO(pwrite(fd[0], "x", 1, 0), ESPIPE);
}

/* Urgent data goes out or (sendmmsg) is refused; the bytes around it lose nothing. */
static void urgent_by_message(void)
{
	struct iovec v = {(void *)"U", 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	struct mmsghdr mm = {.msg_hdr = m};
	char buf[16] = "";
	int fd[2];

	tcp_pair(fd);
	for (int i = 0; i < 3; i++) {
		write_all(fd[0], "abc", 3);
		CHECK_EQ(sendmsg(fd[0], &m, MSG_OOB), 1);
		if (sendmmsg(fd[0], &mm, 1, MSG_OOB) < 0)
			CHECK_EQ(errno, EOPNOTSUPP);
	}
	OK(shutdown(fd[0], SHUT_WR));
	/* An urgent byte that another overtakes is data to Linux (tcp_check_urg()). */
	for (size_t n = 0, k; n < sizeof(buf) - 1; n += k) {
		k = (size_t)OK(read(fd[1], buf + n, sizeof(buf) - 1 - n));
		if (!k)
			break;
	}
	for (char *u; (u = strchr(buf, 'U'));)
		memmove(u, u + 1, strlen(u));
	CHECK_EQ(strcmp(buf, "abcabcabc"), 0);
}

/* With a name or without, TCP does not look at it; nor at SCM_RIGHTS. */
static void what_tcp_ignores(void)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
	struct sockaddr_in nobody = test_address(9);
	struct iovec v = {(void *)"x", 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	struct cmsghdr *cm = (struct cmsghdr *)control;
	int fd[2], p[2];
	char b[8];

	tcp_pair(fd);
	m.msg_name = &nobody;
	m.msg_namelen = sizeof(nobody);
	CHECK_EQ(sendmsg(fd[0], &m, 0), 1);
	m.msg_name = NULL;
	m.msg_control = control;
	m.msg_controllen = sizeof(control);
	cm->cmsg_len = CMSG_LEN(sizeof(int));
	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	OK(pipe(p));
	memcpy(CMSG_DATA(cm), &p[1], sizeof(int));
	CHECK_EQ(sendmsg(fd[0], &m, 0), 1);
	OK(close(p[1]));
	CHECK_EQ(read(p[0], b, 1), 0); /* nobody else has it */
	cm->cmsg_type = 99;
	CHECK_ERRNO(sendmsg(fd[0], &m, 0), EINVAL);
	cm->cmsg_level = IPPROTO_UDP;
	CHECK_EQ(sendmsg(fd[0], &m, 0), 1);
	CHECK_EQ(read_all(fd[1], b, 3), 3);
}

/* A TCP peer's address is not reported, whatever stands in its place. */
static void no_name_comes(void)
{
	struct sockaddr_storage from = {.ss_family = 77};
	char b[8], control[64];
	struct iovec v[2] = {{b, 2}, {b + 2, 6}};
	struct msghdr m = {.msg_name = &from,
			   .msg_namelen = sizeof(from),
			   .msg_iov = v,
			   .msg_iovlen = 2,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	int fd[2];

	tcp_pair(fd);
	for (int i = 0; i < 2; i++) {
		m.msg_namelen = sizeof(from);
		m.msg_controllen = sizeof(control);
		write_all(fd[i], "abcde", 5);
		wait_bits(fd[!i], POLLIN);
		CHECK_EQ(recvmsg(fd[!i], &m, 0), 5);
		CHECK_EQ(memcmp(b, "abcde", 5), 0);
		CHECK_EQ(m.msg_namelen, 0);
		CHECK_EQ(m.msg_controllen, 0);
		CHECK_EQ(m.msg_flags, 0);
		CHECK_EQ(from.ss_family, 77);
	}
}

static void flags_of_recvmsg(void)
{
	char b[8] = "--------";
	struct iovec v = {b, 4};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	int fd[2];

	tcp_pair(fd);
	CHECK_ERRNO(recvmsg(fd[0], &m, MSG_ERRQUEUE), EAGAIN);
	write_all(fd[1], "0123456789", 10);
	wait_bits(fd[0], POLLIN);
	CHECK_ERRNO(recvmsg(fd[0], &m, MSG_ERRQUEUE), EAGAIN);
	/* Dropped, not copied. */
	CHECK_EQ(recvmsg(fd[0], &m, MSG_TRUNC), 4);
	CHECK_EQ(memcmp(b, "--------", 8), 0);
	CHECK_EQ(m.msg_flags & MSG_TRUNC, 0);
	CHECK_EQ(recvmsg(fd[0], &m, MSG_PEEK), 4);
	CHECK_EQ(memcmp(b, "4567", 4), 0);
	CHECK_EQ(read_all(fd[0], b, 6), 6);
	CHECK_EQ(memcmp(b, "456789", 6), 0);
}

static void *send_slowly(void *arg)
{
	int fd = *(int *)arg;

	for (int i = 0; i < 4; i++) {
		sleep_ms(20);
		write_all(fd, "ab", 2);
	}
	return NULL;
}

/* MSG_WAITALL waits with an address and with a name as without. */
static void waits_for_all(void)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	char b[16] = "";
	struct iovec v[2] = {{b, 3}, {b + 3, 5}};
	struct msghdr m = {.msg_name = &from, .msg_namelen = len, .msg_iov = v, .msg_iovlen = 2};
	pthread_t t = 0;
	int fd[2];

	tcp_pair(fd);
	t = thread(send_slowly, &fd[0]);
	CHECK_EQ(recvfrom(fd[1], b, 8, MSG_WAITALL, SA(&from), &len), 8);
	CHECK_EQ(len, 0);
	join(t);
	CHECK(!strcmp(b, "abababab"));
	memset(b, 0, sizeof(b));
	t = thread(send_slowly, &fd[0]);
	CHECK_EQ(recvmsg(fd[1], &m, MSG_WAITALL), 8);
	join(t);
	CHECK(!strcmp(b, "abababab"));
	write_all(fd[0], "end", 3);
	OK(shutdown(fd[0], SHUT_WR));
	len = sizeof(from);
	CHECK_EQ(recvfrom(fd[1], b, 8, MSG_WAITALL, SA(&from), &len), 3);
}

static volatile sig_atomic_t pipes;

static void on_pipe(int sig)
{
	pipes += sig == SIGPIPE;
}

static void not_connected(void)
{
	struct sigaction sa = {.sa_handler = on_pipe};
	char b = 'x';
	struct iovec v = {&b, 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	struct sockaddr_in a = test_address(9);
	int fd = tcp_socket();

	OK(sigaction(SIGPIPE, &sa, NULL));
	CHECK_ERRNO(recvmsg(fd, &m, 0), ENOTCONN);
	CHECK_ERRNO(sendmsg(fd, &m, MSG_NOSIGNAL), EPIPE);
	CHECK_EQ(pipes, 0);
	CHECK_ERRNO(sendmsg(fd, &m, 0), EPIPE);
	CHECK_EQ(pipes, 1);
	CHECK_ERRNO(sendto(fd, &b, 1, 0, SA(&a), sizeof(a)), EPIPE);
	CHECK_EQ(pipes, 2);
}

/* When both have said that they send no more it is over: nobody is the peer. */
static void both_ended(void)
{
	int fd[2];

	tcp_pair(fd);
	OK(shutdown(fd[0], SHUT_WR));
	expect_eof(fd[1]);
	OK(shutdown(fd[1], SHUT_WR));
	expect_eof(fd[0]);
	for (int i = 0; i < 2; i++) {
		struct sockaddr_in a;
		socklen_t len = sizeof(a);

		while (getpeername(fd[i], SA(&a), &len) == 0)
			sleep_ms(1);
		CHECK_EQ(errno, ENOTCONN);
		CHECK_ERRNO(shutdown(fd[i], SHUT_RDWR), ENOTCONN);
		CHECK_EQ(wait_bits(fd[i], POLLHUP) & POLLHUP, POLLHUP);
	}
}

static void *late(void *arg)
{
	sleep_ms(50);
	write_all(*(int *)arg, "cd", 2);
	return NULL;
}

/* Nor does one come with recvmmsg(); it waits for the first of them. */
static void no_names(int fd[2])
{
	struct sockaddr_storage from[2] = {{.ss_family = 99}, {.ss_family = 99}};
	char b[2];
	struct iovec v[2] = {{b, 1}, {b + 1, 1}};
	struct mmsghdr m[2] = {{.msg_hdr = {.msg_iov = &v[0], .msg_iovlen = 1}},
			       {.msg_hdr = {.msg_iov = &v[1], .msg_iovlen = 1}}};
	pthread_t t = 0;

	write_all(fd[0], "ab", 2);
	wait_bits(fd[1], POLLIN);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 2; i++) {
			m[i].msg_hdr.msg_name = &from[i];
			m[i].msg_hdr.msg_namelen = sizeof(from[i]);
			m[i].msg_len = 0;
		}
		CHECK_EQ(recvmmsg(fd[1], m, 2, round ? MSG_WAITFORONE : 0, NULL), 2);
		CHECK(!memcmp(b, round ? "cd" : "ab", 2));
		for (int i = 0; i < 2; i++) {
			CHECK_EQ(m[i].msg_len, 1);
			CHECK_EQ(m[i].msg_hdr.msg_namelen, 0);
			CHECK_EQ(from[i].ss_family, 99);
		}
		if (!round)
			t = thread(late, &fd[0]);
	}
	join(t);
	CHECK_ERRNO(recvmmsg(fd[1], m, 2, MSG_DONTWAIT, NULL), EAGAIN);
}

static void no_names_come(void)
{
	int fd[2];

	tcp_pair(fd);
	no_names(fd);
	no_names((int[]){fd[1], fd[0]});
}

/* Nothing is sent, and that is no error but where nothing can be. */
static void send_of_nothing(void)
{
	int fd[2];

	tcp_pair(fd);
	CHECK_EQ(send(fd[0], "", 0, 0), 0);
	CHECK_ERRNO(recv(fd[1], &(char){0}, 1, MSG_DONTWAIT), EAGAIN);
}

static void many_not_connected(void)
{
	char text[] = "text";
	struct iovec v = {text, 4};
	struct mmsghdr m[2] = {{.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}},
			       {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}}};
	struct sigaction sa = {.sa_handler = on_pipe};
	int fd = tcp_socket(), before = pipes;

	OK(sigaction(SIGPIPE, &sa, NULL));
	CHECK_ERRNO(sendmmsg(fd, m, 2, MSG_NOSIGNAL), EPIPE);
	CHECK_EQ(pipes, before);
	CHECK_ERRNO(sendmmsg(fd, m, 2, 0), EPIPE);
	CHECK_EQ(pipes, before + 1);
	CHECK_EQ(sendmmsg(fd, m, 0, 0), 0);
	/* A length counts only where there is a name. */
	m[0].msg_hdr.msg_namelen = (socklen_t)-1;
	CHECK_ERRNO(sendmmsg(fd, m, 2, MSG_NOSIGNAL), EPIPE);
	CHECK_ERRNO(sendmsg(fd, &m[0].msg_hdr, MSG_NOSIGNAL), EPIPE);
	CHECK_ERRNO(recvmsg(fd, &m[0].msg_hdr, 0), ENOTCONN);
	m[0].msg_hdr.msg_name = text;
	CHECK_ERRNO(sendmmsg(fd, m, 2, 0), EINVAL);
	CHECK_ERRNO(recvmsg(fd, &m[0].msg_hdr, 0), EINVAL);
	CHECK_EQ(pipes, before + 1);
}

/* --- several at once ------------------------------------------------------------------- */

#define MANY 5

static char whole[MANY * 100000];

/* Messages of these sizes, one behind the other in @buf */
static void lay_out(struct mmsghdr *m, struct iovec *v, char *buf, const size_t *size)
{
	for (int i = 0; i < MANY; buf += size[i++]) {
		v[i] = (struct iovec){buf, size[i]};
		m[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &v[i], .msg_iovlen = 1}};
	}
}

struct many {
	int fd;
	int flags;
	size_t sum;
};

static void *take_many(void *arg)
{
	static char taken[sizeof(whole)];
	static const size_t size[MANY] = {1, 7000, 30, 100000, 5};
	struct many *w = arg;
	struct mmsghdr m[MANY];
	struct iovec v[MANY];
	size_t sum = 0;
	int n;

	while (sum < w->sum) {
		lay_out(m, v, taken, size);
		n = (int)OK(recvmmsg(w->fd, m, MANY, MSG_WAITFORONE, NULL));
		for (int i = 0; i < n; i++) {
			CHECK(m[i].msg_len > 0 && m[i].msg_len <= size[i]);
			CHECK(!memcmp(v[i].iov_base, whole + sum, m[i].msg_len));
			sum += m[i].msg_len;
		}
	}
	CHECK_EQ(sum, w->sum);
	return NULL;
}

/* Larger ones than any buffer, and small ones: all of them, in their order */
static void many_of_all_sizes(void)
{
	static const size_t size[MANY] = {3, 90000, 1, 400000, 17};
	struct many w = {.sum = 0};
	struct mmsghdr m[MANY];
	struct iovec v[MANY];
	int fd[2];
	pthread_t t;

	for (size_t i = 0; i < sizeof(whole); i++)
		whole[i] = (char)(i * 7 + (i >> 9) * 31);
	for (int i = 0; i < MANY; i++)
		w.sum += size[i];
	for (int round = 0; round < 10; round++) {
		tcp_pair(fd);
		w.fd = fd[1];
		t = thread(take_many, &w);
		lay_out(m, v, whole, size);
		CHECK_EQ(sendmmsg(fd[0], m, MANY, MSG_NOSIGNAL), MANY);
		for (int i = 0; i < MANY; i++)
			CHECK_EQ(m[i].msg_len, size[i]);
		join(t);
		OK(close(fd[0]));
		OK(close(fd[1]));
	}
}

/* The one that has not room as a whole is the last. */
static void many_without_room(void)
{
	static const size_t size[MANY] = {90000, 90000, 90000, 90000, 90000};
	struct mmsghdr m[MANY];
	struct iovec v[MANY];
	bool part = false;
	int fd[2], n = MANY;

	tcp_pair(fd);
	lay_out(m, v, whole, size);
	for (int i = 0; i < 1000 && n > 0; i++) {
		n = sendmmsg(fd[0], m, MANY, MSG_DONTWAIT | MSG_NOSIGNAL);
		for (int k = 0; k < n; k++) {
			CHECK(m[k].msg_len == size[k] || k == n - 1);
			part |= m[k].msg_len < size[k];
		}
	}
	CHECK_EQ(n, -1);
	CHECK_EQ(errno, EAGAIN);
	CHECK(part);
}

/* An end is a message without bytes, and does not end the call; its time does. */
static void many_until(void)
{
	struct timespec none = {0, 0};
	char b[MANY] = "";
	struct iovec v[MANY];
	struct mmsghdr m[MANY];
	static const size_t size[MANY] = {1, 1, 1, 1, 1};
	int fd[2];

	tcp_pair(fd);
	lay_out(m, v, b, size);
	write_all(fd[0], "abc", 3);
	wait_bits(fd[1], POLLIN);
	CHECK_EQ(recvmmsg(fd[1], m, MANY, 0, &none), 1);
	CHECK_EQ(b[0], 'a');
	CHECK_EQ(recvmmsg(fd[1], m, 0, 0, NULL), 0);
	OK(close(fd[0]));
	wait_bits(fd[1], POLLIN | POLLRDHUP);
	CHECK_EQ(recvmmsg(fd[1], m, MANY, 0, NULL), MANY);
	CHECK(!memcmp(b, "bc", 2));
	for (int i = 0; i < MANY; i++)
		CHECK_EQ(m[i].msg_len, i < 2);
	CHECK_ERRNO(recvmmsg(fd[1], m, MANY, 0, &(struct timespec){0, -1}), EINVAL);
}

/* The first that cannot be written ends it, and none of what follows is lost. */
static void many_with_a_bad_one(void)
{
	static const size_t size[MANY] = {1, 1, 1, 1, 1};
	char b[MANY] = "";
	struct mmsghdr m[MANY];
	struct iovec v[MANY];
	int fd[2];

	tcp_pair(fd);
	lay_out(m, v, b, size);
	v[2].iov_base = (void *)8;
	memcpy(b, "xyz", 3);
	CHECK_EQ(sendmmsg(fd[0], m, MANY, 0), 2);
	CHECK_EQ(read_all(fd[1], b, 2), 2);
	CHECK(!memcmp(b, "xyz", 3));
	write_all(fd[1], "pqr", 3);
	wait_bits(fd[0], POLLIN);
	CHECK_EQ(recvmmsg(fd[0], m, MANY, MSG_DONTWAIT, NULL), 2);
	CHECK(!memcmp(b, "pqz", 3));
	/* do_recvmmsg(): its error is the socket's, and is told after what is there. */
	CHECK_EQ(poll_bits(fd[0]), POLLIN | POLLOUT | POLLERR);
	CHECK_EQ(recv(fd[0], b, 1, MSG_DONTWAIT), 1);
	CHECK_EQ(b[0], 'r');
	CHECK_ERRNO(recv(fd[0], b, 1, MSG_DONTWAIT), EFAULT);
	CHECK_ERRNO(recv(fd[0], b, 1, MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(poll_bits(fd[0]), POLLOUT);
	write_all(fd[1], "pqr", 3);
	wait_bits(fd[0], POLLIN);
	CHECK_EQ(recvmmsg(fd[0], m, MANY, MSG_DONTWAIT, NULL), 2);
	CHECK_EQ(socket_error(fd[0]), EFAULT);
	CHECK_EQ(socket_error(fd[0]), 0);
	CHECK_EQ(poll_bits(fd[0]), POLLIN | POLLOUT);
}

CHECK_MAIN(CASE(many_not_connected), CASE(vectors), CASE(messages), CASE(recvfrom_with_address),
	   CASE(sendto_with_address), CASE(many_messages), CASE(sendfile_whole),
	   CASE(sendfile_from_offset), CASE(sendfile_nonblocking), CASE(splice_both_ways),
	   CASE(no_position), CASE(urgent_by_message), CASE(what_tcp_ignores), CASE(no_name_comes),
	   CASE(no_names_come), CASE(send_of_nothing), CASE(flags_of_recvmsg), ASIDE(waits_for_all),
	   CASE(many_of_all_sizes), CASE(many_without_room), CASE(many_until),
	   CASE(many_with_a_bad_one), CASE(not_connected), CASE(both_ended))

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * data_calls.c - All calls that move bytes, in turns: no byte is lost, twice, or late
 */
#include <linux/aio_abi.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "check.h"

/* --- ways to send, and to receive: bytes, or -1 --------------------------------------- */

typedef ssize_t way(int fd, char *buf, size_t n);

static ssize_t by_write(int fd, char *buf, size_t n)
{
	return write(fd, buf, n);
}

static ssize_t by_send(int fd, char *buf, size_t n)
{
	return send(fd, buf, n, MSG_NOSIGNAL);
}

/* Two vectors, where there is more than one byte */
static int split(struct iovec v[2], char *buf, size_t n)
{
	v[0] = (struct iovec){buf, n / 2};
	v[1] = (struct iovec){buf + n / 2, n - n / 2};
	return 2;
}

static ssize_t by_writev(int fd, char *buf, size_t n)
{
	struct iovec v[2];

	return writev(fd, v, split(v, buf, n));
}

static ssize_t by_sendmsg(int fd, char *buf, size_t n)
{
	struct iovec v[2];
	struct msghdr m = {.msg_iov = v, .msg_iovlen = (size_t)split(v, buf, n)};

	return sendmsg(fd, &m, 0);
}

static ssize_t by_sendmmsg(int fd, char *buf, size_t n)
{
	struct iovec v[2];
	struct mmsghdr m = {.msg_hdr = {.msg_iov = v, .msg_iovlen = (size_t)split(v, buf, n)}};

	return sendmmsg(fd, &m, 1, 0) == 1 ? (ssize_t)m.msg_len : -1;
}

static ssize_t by_pwritev2(int fd, char *buf, size_t n)
{
	struct iovec v[2];

	return pwritev2(fd, v, split(v, buf, n), -1, 0);
}

static ssize_t by_sendfile(int fd, char *buf, size_t n)
{
	int file = OK(memfd_create("data", 0));
	off_t at = 0;
	ssize_t r;

	CHECK_EQ(write(file, buf, n), n);
	r = sendfile(fd, file, &at, n);
	close(file);
	return r;
}

static ssize_t by_splice(int fd, char *buf, size_t n)
{
	int p[2];
	ssize_t r;

	OK(pipe(p));
	CHECK_EQ(write(p[1], buf, n), n);
	r = splice(p[0], NULL, fd, NULL, n, 0);
	close(p[0]);
	close(p[1]);
	return r;
}

static ssize_t submit(int fd, char *buf, size_t n, int what)
{
	struct iocb cb = {.aio_lio_opcode = (uint16_t)what,
			  .aio_fildes = (uint32_t)fd,
			  .aio_buf = (uint64_t)(uintptr_t)buf,
			  .aio_nbytes = n},
		    *one = &cb;
	struct io_event ev = {.res = -1};
	aio_context_t ctx = 0;

	OK((int)syscall(SYS_io_setup, 1, &ctx));
	CHECK_EQ(syscall(SYS_io_submit, ctx, 1, &one), 1);
	CHECK_EQ(syscall(SYS_io_getevents, ctx, 1, 1, &ev, NULL), 1);
	OK((int)syscall(SYS_io_destroy, ctx));
	return (ssize_t)ev.res;
}

static ssize_t by_io_submit(int fd, char *buf, size_t n)
{
	return submit(fd, buf, n, IOCB_CMD_PWRITE);
}

static ssize_t by_read(int fd, char *buf, size_t n)
{
	return read(fd, buf, n);
}

static ssize_t by_recv(int fd, char *buf, size_t n)
{
	return recv(fd, buf, n, MSG_WAITALL);
}

static ssize_t by_readv(int fd, char *buf, size_t n)
{
	struct iovec v[2];

	return readv(fd, v, split(v, buf, n));
}

static ssize_t by_recvmsg(int fd, char *buf, size_t n)
{
	struct iovec v[2];
	struct msghdr m = {.msg_iov = v, .msg_iovlen = (size_t)split(v, buf, n)};

	return recvmsg(fd, &m, 0);
}

static ssize_t by_preadv2(int fd, char *buf, size_t n)
{
	struct iovec v[2];

	return preadv2(fd, v, split(v, buf, n), -1, 0);
}

static ssize_t by_io_submit_read(int fd, char *buf, size_t n)
{
	return submit(fd, buf, n, IOCB_CMD_PREAD);
}

static ssize_t by_splice_read(int fd, char *buf, size_t n)
{
	int p[2];
	ssize_t r;

	OK(pipe(p));
	r = splice(fd, NULL, p[1], NULL, n, 0);
	if (r > 0)
		CHECK_EQ(read(p[0], buf, (size_t)r), r);
	close(p[0]);
	close(p[1]);
	return r;
}

static way *const senders[] = {by_write,    by_send,	 by_writev, by_sendmsg,	 by_sendmmsg,
			       by_pwritev2, by_sendfile, by_splice, by_io_submit};
static way *const receivers[] = {by_read,    by_recv,		by_readv,      by_recvmsg,
				 by_preadv2, by_io_submit_read, by_splice_read};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* --- cases ------------------------------------------------------------------------------ */

/* A plain one before and after each, so that what is under way is not overtaken. */
static void sent_by_turns(void)
{
	for (size_t i = 0; i < COUNT(senders); i++) {
		char got[10] = "";
		int fd[2];

		tcp_pair(fd);
		write_all(fd[0], "abc", 3);
		CHECK_EQ(senders[i](fd[0], "defg", 4), 4);
		write_all(fd[0], "hij", 3);
		CHECK_EQ(recv(fd[1], got, 10, MSG_WAITALL), 10);
		CHECK(!memcmp(got, "abcdefghij", 10));
		OK(close(fd[0]));
		expect_eof(fd[1]);
		OK(close(fd[1]));
	}
}

static void received_by_turns(void)
{
	for (size_t i = 0; i < COUNT(receivers); i++) {
		char got[10] = "";
		int fd[2];

		tcp_pair(fd);
		write_all(fd[0], "abcdefghij", 10);
		CHECK_EQ(recv(fd[1], got, 2, MSG_WAITALL), 2);
		CHECK_EQ(receivers[i](fd[1], got + 2, 3), 3);
		CHECK_EQ(recv(fd[1], got + 5, 5, MSG_WAITALL), 5);
		CHECK(!memcmp(got, "abcdefghij", 10));
		write_all(fd[0], "k", 1);
		CHECK_EQ(recv(fd[1], got, 10, 0), 1);
		OK(close(fd[0]));
		expect_eof(fd[1]);
		OK(close(fd[1]));
	}
}

/* The end of the stream is there already, and bytes before it. */
static void received_after_the_end(void)
{
	for (size_t i = 0; i < COUNT(receivers); i++) {
		char got[10] = "";
		int fd[2];

		/* It passes the bytes by. */
		if (receivers[i] == by_io_submit_read)
			continue;
		tcp_pair(fd);
		write_all(fd[0], "abcdefghij", 10);
		OK(close(fd[0]));
		wait_bits(fd[1], POLLRDHUP);
		CHECK_EQ(recv(fd[1], got, 2, MSG_WAITALL), 2);
		CHECK_EQ(receivers[i](fd[1], got + 2, 3), 3);
		CHECK_EQ(recv(fd[1], got + 5, 5, MSG_WAITALL), 5);
		CHECK(!memcmp(got, "abcdefghij", 10));
		expect_eof(fd[1]);
		OK(close(fd[1]));
	}
}

#define MUCH (4 << 20)

static uint8_t expected(size_t at)
{
	return (uint8_t)(at * 2654435761u >> 13);
}

static void *send_much(void *arg)
{
	int fd = *(int *)arg;
	char buf[5000];
	size_t at = 0;

	while (at < MUCH) {
		size_t n = at % 4999 + 1;
		ssize_t r;

		if (n > MUCH - at)
			n = MUCH - at;
		for (size_t i = 0; i < n; i++)
			buf[i] = (char)expected(at + i);
		/* Half-way it sends by another call. */
		r = at < MUCH / 2 ? send(fd, buf, n, 0) : by_sendmsg(fd, buf, n);
		CHECK(r > 0);
		at += (size_t)r;
	}
	OK(shutdown(fd, SHUT_WR));
	return NULL;
}

static void receive_much(int fd)
{
	char buf[7000];
	size_t at = 0;
	ssize_t n;

	do {
		size_t want = at % 6997 + 1;

		n = at < MUCH / 3 ? recv(fd, buf, want, 0) : by_recvmsg(fd, buf, want);
		CHECK(n >= 0);
		for (ssize_t i = 0; i < n; i++)
			CHECK((uint8_t)buf[i] == expected(at + (size_t)i));
		at += (size_t)n;
	} while (n);
	CHECK_EQ(at, MUCH);
}

static void changed_under_load(void)
{
	int fd[2];
	pthread_t t, back;

	tcp_pair(fd);
	t = thread(send_much, &fd[0]);
	back = thread(send_much, &fd[1]);
	receive_much(fd[1]);
	receive_much(fd[0]);
	join(t);
	join(back);
}

/* A number that another file gets is not the old one's. */
static void numbers_are_used_again(void)
{
	int fd[2], p[2], again;
	char got[4];

	for (int i = 0; i < 5; i++) {
		tcp_pair(fd);
		expect_text(fd[0], fd[1], "one");
		OK(pipe(p));
		again = fd[0];
		switch (i) {
		case 0:
			OK(close(again));
			CHECK_EQ(fcntl(p[1], F_DUPFD, again), again);
			break;
		case 1:
			CHECK_EQ(dup2(p[1], again), again);
			break;
		case 2:
			CHECK_EQ(dup3(p[1], again, O_CLOEXEC), again);
			break;
		case 3:
			OK((int)syscall(SYS_close_range, again, again, 0));
			CHECK_EQ(fcntl(p[1], F_DUPFD, again), again);
			break;
		default:
			OK(close(again));
			CHECK_EQ(fcntl(fd[1], F_DUPFD, again), again);
			CHECK_EQ(recv(again, got, 4, 0), 0);
			CHECK_EQ(dup2(p[1], again), again);
		}
		CHECK_EQ(write(again, "two", 3), 3);
		CHECK_EQ(read(p[0], got, 4), 3);
		CHECK_EQ(recv(fd[1], got, 4, 0), 0);
		OK(close(fd[1]));
		OK(close(again));
		CHECK_ERRNO(read(again, got, 1), EBADF);
		OK(close(p[0]));
		OK(close(p[1]));
	}
}

/* A sandbox that lets its program read, write, close and end, and kills it otherwise */
static void in_a_sandbox(void)
{
	struct sock_filter f[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_read, 4, 0),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 3, 0),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close, 2, 0),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {.len = 7, .filter = f};
	char got[20];
	int fd[2];
	pid_t pid;

	for (int how = 0; how < 2; how++) {
		tcp_pair(fd);
		expect_text(fd[0], fd[1], "before");
		write_all(fd[0], "under way", 9);
		pid = child();
		if (!pid) {
			int spare = dup(fd[1]);

			OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
			if (how)
				OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog));
			else
				OK((int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog));
			if (read(spare, got, 9) != 9 || write(fd[1], "answer", 6) != 6 ||
			    close(spare))
				_exit(1);
			_exit(0);
		}
		reap(pid);
		CHECK_EQ(recv(fd[0], got, 6, MSG_WAITALL), 6);
		CHECK(!memcmp(got, "answer", 6));
		expect_text(fd[0], fd[1], "after");
		OK(close(fd[0]));
		OK(close(fd[1]));
	}
}

CHECK_MAIN(CASE(sent_by_turns), CASE(received_by_turns), CASE(received_after_the_end),
	   CASE(changed_under_load), CASE(numbers_are_used_again), CASE(in_a_sandbox))

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * jumps.c - Handlers on alternate stacks that use sockets, and jumps out of calls
 */
#include <setjmp.h>

#include "check.h"

#define RECORD 24
#define RECORDS 3000
#define HANDLED 100

static void every_us(long us)
{
	struct itimerspec when = {{0, us * 1000}, {0, us * 1000}};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	static timer_t timer;
	static bool made;

	if (!made)
		OK(timer_create(CLOCK_MONOTONIC, &ev, &timer));
	made = true;
	OK(timer_settime(timer, 0, &when, NULL));
}

static void block(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	CHECK_EQ(pthread_sigmask(how, &set, NULL), 0);
}

static void alternate_stack(void)
{
	static char stack[65536];
	stack_t s = {.ss_sp = stack, .ss_size = sizeof(stack)};

	OK(sigaltstack(&s, NULL));
}

static void handle(void (*fn)(int), int flags)
{
	struct sigaction sa = {.sa_handler = fn, .sa_flags = flags};

	OK(sigaction(SIGUSR1, &sa, NULL));
}

/* --- handlers that use sockets ---------------------------------------------------------- */

static int inner[2], outer[2];
static volatile unsigned handled;

/* A byte to and fro, and a look at the socket that was interrupted */
static void use_sockets(int sig)
{
	int e = errno;
	char c;

	(void)sig;
	CHECK_EQ(write(inner[0], "i", 1), 1);
	CHECK_EQ(read(inner[1], &c, 1), 1);
	CHECK_EQ(c, 'i');
	if (recv(outer[0], &c, 1, MSG_DONTWAIT | MSG_PEEK) < 0)
		CHECK_EQ(errno, EAGAIN);
	handled++;
	errno = e;
}

static void *echo(void *arg)
{
	char buf[4096];
	ssize_t n;

	(void)arg;
	while ((n = OK(read(outer[1], buf, sizeof(buf)))) > 0)
		write_all(outer[1], buf, (size_t)n);
	return NULL;
}

static void talk_under_signals(int flags)
{
	char sent[200], got[200];
	pthread_t t;

	tcp_pair(inner);
	tcp_pair(outer);
	set_option(inner[0], IPPROTO_TCP, TCP_NODELAY, 1);
	expect_text(inner[0], inner[1], "first");
	expect_text(outer[0], outer[1], "first");
	block(SIG_BLOCK);
	t = thread(echo, NULL);
	block(SIG_UNBLOCK);
	alternate_stack();
	handle(use_sockets, flags | SA_RESTART);
	every_us(3000);
	for (int i = 0; handled < HANDLED; i++) {
		size_t n = 1 + (size_t)i * 7 % sizeof(sent);

		memset(sent, 'a' + i % 26, n);
		write_all(outer[0], sent, n);
		CHECK_EQ(read_all(outer[0], got, n), n);
		CHECK(!memcmp(sent, got, n));
	}
	every_us(0);
	OK(shutdown(outer[0], SHUT_WR));
	join(t);
}

static void handler_uses_sockets(void)
{
	talk_under_signals(0);
}

static void handler_on_an_alternate_stack(void)
{
	talk_under_signals(SA_ONSTACK);
}

/* --- jumps ------------------------------------------------------------------------------ */

static sigjmp_buf out;

static void jump(int sig)
{
	(void)sig;
	siglongjmp(out, 1);
}

/* Out of a recv() that waits: nothing was taken, and the next gets all. */
static void out_of_a_blocked_recv(void)
{
	volatile int jumps = 0;
	int fd[2];
	char c;

	tcp_pair(fd);
	expect_text(fd[0], fd[1], "first");
	alternate_stack();
	handle(jump, SA_ONSTACK);
	if (sigsetjmp(out, 1))
		jumps++;
	if (jumps < 5) {
		every_us(20000);
		CHECK_EQ(recv(fd[1], &c, 1, 0), -2);
	}
	every_us(0);
	expect_text(fd[0], fd[1], "nothing was lost");
	expect_text(fd[1], fd[0], "nor here");
}

/* Out of peeks, at any instruction: they change nothing. */
static void out_of_peeks(void)
{
	volatile int jumps = 0;
	int fd[2];
	char buf[8];

	tcp_pair(fd);
	expect_text(fd[0], fd[1], "first");
	write_all(fd[0], "12345678", 8);
	wait_bits(fd[1], POLLIN);
	alternate_stack();
	handle(jump, SA_ONSTACK);
	if (sigsetjmp(out, 1))
		jumps++;
	else
		every_us(150);
	while (jumps < 1000) {
		CHECK_EQ(recv(fd[1], buf, 8, MSG_PEEK), 8);
		CHECK(!memcmp(buf, "12345678", 8));
	}
	every_us(0);
	handle(SIG_IGN, 0);
	CHECK_EQ(recv(fd[1], buf, 8, 0), 8);
	CHECK(!memcmp(buf, "12345678", 8));
	expect_text(fd[0], fd[1], "and more");
}

static int record_fd;

static void *check_records(void *arg)
{
	char r[RECORD + 1] = "";
	long last = 0, n;

	(void)arg;
	while (read_all(record_fd, r, RECORD) == RECORD) {
		CHECK(sscanf(r, "%23ld\n", &n) == 1 && r[RECORD - 1] == '\n');
		CHECK(n == last || n == last + 1);
		last = n;
	}
	return (void *)last;
}

/* Out of a send(): it has sent all, or nothing.  The record is sent once more. */
static void out_of_sends(void)
{
	volatile long n = 0;
	char r[RECORD + 8];
	int fd[2];
	pthread_t t;

	tcp_pair(fd);
	expect_text(fd[0], fd[1], "first");
	record_fd = fd[1];
	block(SIG_BLOCK);
	t = thread(check_records, NULL);
	block(SIG_UNBLOCK);
	alternate_stack();
	handle(jump, SA_ONSTACK);
	if (!sigsetjmp(out, 1))
		every_us(150);
	while (n < RECORDS) {
		snprintf(r, sizeof(r), "%23ld\n", n + 1);
		CHECK_EQ(send(fd[0], r, RECORD, 0), RECORD);
		n++;
	}
	every_us(0);
	OK(shutdown(fd[0], SHUT_WR));
	CHECK_EQ((long)join(t), RECORDS);
}

CHECK_MAIN(CASE(handler_uses_sockets), CASE(handler_on_an_alternate_stack),
	   CASE(out_of_a_blocked_recv), CASE(out_of_peeks), CASE(out_of_sends))

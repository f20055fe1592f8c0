/* SPDX-License-Identifier: BSD-3-Clause
 *
 * cancel.c - pthread_cancel() of threads that wait for bytes, or for anything else
 *
 * Also built with musl, where the address of the waiting instruction decides.
 */
#include <sys/syscall.h>

#include "check.h"

static int cleaned;

static void clean(void *arg)
{
	cleaned += *(int *)arg;
}

/* --- a thread that waits ------------------------------------------------------------------ */

struct waiter {
	struct waits_on on;
	bool by_read;
	int one;
};

static void *wait_for_bytes(void *arg)
{
	struct waiter *w = arg;
	char c = 0;

	pthread_cleanup_push(clean, &w->one);
	w->on.tid = gettid();
	if (w->by_read)
		CHECK_EQ(read(w->on.fd, &c, 1), 1);
	else
		CHECK_EQ(recv(w->on.fd, &c, 1, 0), 1);
	CHECK_EQ(c, 'x');
	pthread_cleanup_pop(0);
	return NULL;
}

static void cancel_waiter(int fd, bool by_read)
{
	struct waiter w = {{.fd = fd}, by_read, 1};
	pthread_t t = thread(wait_for_bytes, &w);

	cleaned = 0;
	wait_asleep(&w.on);
	CHECK_EQ(pthread_cancel(t), 0);
	CHECK(join(t) == PTHREAD_CANCELED);
	CHECK_EQ(cleaned, 1);
}

/* The first cancellation of a process, and later ones */
static void in_recv(void)
{
	int fd[2];

	tcp_pair(fd);
	expect_text(fd[0], fd[1], "first");
	for (int i = 0; i < 3; i++) {
		cancel_waiter(fd[1], false);
		expect_text(fd[0], fd[1], "nobody took this");
	}
}

static void in_read(void)
{
	int fd[2];

	tcp_pair(fd);
	expect_text(fd[0], fd[1], "first");
	for (int i = 0; i < 3; i++) {
		cancel_waiter(fd[1], true);
		expect_text(fd[0], fd[1], "nobody took this");
	}
}

/* What is no socket, by the same instruction */
static void in_read_of_a_pipe(void)
{
	int fd[2], p[2];

	tcp_pair(fd);
	OK(pipe(p));
	expect_text(fd[0], fd[1], "first");
	cancel_waiter(p[0], true);
	expect_text(fd[0], fd[1], "unharmed");
}

/* --- many that wait ----------------------------------------------------------------------- */

#define MANY 8

static void many(void)
{
	struct waiter w[MANY];
	int fd[MANY][2];
	pthread_t t[MANY];

	cleaned = 0;
	for (int i = 0; i < MANY; i++) {
		tcp_pair(fd[i]);
		expect_text(fd[i][0], fd[i][1], "first");
		w[i] = (struct waiter){{.fd = fd[i][1]}, i / 2 % 2, 1};
		t[i] = thread(wait_for_bytes, &w[i]);
	}
	for (int i = 0; i < MANY; i++)
		wait_asleep(&w[i].on);
	for (int i = 0; i < MANY; i += 2)
		CHECK_EQ(pthread_cancel(t[i]), 0);
	for (int i = 0; i < MANY; i += 2)
		CHECK(join(t[i]) == PTHREAD_CANCELED);
	CHECK_EQ(cleaned, MANY / 2);
	/* The others wait on, and get what comes. */
	for (int i = 1; i < MANY; i += 2) {
		write_all(fd[i][0], "x", 1);
		CHECK(join(t[i]) == NULL);
	}
	for (int i = 0; i < MANY; i++)
		expect_text(fd[i][0], fd[i][1], "last");
}

/* --- a thread that does not wait ------------------------------------------------------------- */

static int talking[2];

static void *talk(void *arg)
{
	pthread_cleanup_push(clean, arg);
	for (;;)
		expect_text(talking[0], talking[1], "on and on");
	pthread_cleanup_pop(0);
	return NULL;
}

static void while_talking(void)
{
	int one = 1;
	pthread_t t;

	for (int i = 0; i < 5; i++) {
		tcp_pair(talking);
		cleaned = 0;
		t = thread(talk, &one);
		sleep_ms(20);
		CHECK_EQ(pthread_cancel(t), 0);
		CHECK(join(t) == PTHREAD_CANCELED);
		CHECK_EQ(cleaned, 1);
	}
}

/* It is asked to end and may not be: what it waits for comes. */
static void *deaf(void *arg)
{
	struct waits_on *on = arg;
	char c;

	CHECK_EQ(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL), 0);
	on->tid = gettid();
	CHECK_EQ(recv(on->fd, &c, 1, 0), 1);
	CHECK_EQ(c, 'x');
	CHECK_EQ(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL), 0);
	pthread_testcancel();
	return NULL;
}

static void disabled(void)
{
	struct waits_on on = {0};
	int fd[2];
	pthread_t t;

	tcp_pair(fd);
	expect_text(fd[0], fd[1], "first");
	on.fd = fd[1];
	t = thread(deaf, &on);
	wait_asleep(&on);
	CHECK_EQ(pthread_cancel(t), 0);
	sleep_ms(50);
	write_all(fd[0], "x", 1);
	CHECK(join(t) == PTHREAD_CANCELED);
}

/* --- the other internal signal ------------------------------------------------------------------
 */

/* A C library runs setuid() in each thread by a signal, also in one that waits. */
static void setuid_reaches_who_waits(void)
{
	struct { /* the kernel's sigaction */
		void *handler;
		unsigned long flags;
		void *restorer;
		uint64_t mask;
	} sa = {0};
	struct waiter w = {.one = 1};
	int fd[2];
	pthread_t t;

	tcp_pair(fd);
	expect_text(fd[0], fd[1], "first");
	w.on.fd = fd[1];
	t = thread(wait_for_bytes, &w);
	wait_asleep(&w.on);
	for (int i = 0; i < 3; i++)
		OK(setreuid(getuid(), geteuid()));
	OK((int)syscall(SYS_rt_sigaction, 33, NULL, &sa, 8));
	CHECK_EQ(pthread_tryjoin_np(t, NULL), EBUSY);
	write_all(fd[0], "x", 1);
	CHECK(join(t) == NULL);
	expect_text(fd[0], fd[1], "unharmed");
}

CHECK_MAIN(ASIDE(in_recv), ASIDE(in_read), CASE(in_read_of_a_pipe), ASIDE(many),
	   CASE(while_talking), ASIDE(disabled), CASE(setuid_reaches_who_waits))

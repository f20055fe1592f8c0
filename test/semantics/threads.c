/* SPDX-License-Identifier: BSD-3-Clause
 *
 * threads.c - Several threads on one socket, and one that closes it
 */
#include <stdatomic.h>

#include "check.h"

#define BYTES (4 << 20)

static void *sender(void *arg)
{
	static const char block[8192];

	for (size_t n = 0; n < BYTES; n += sizeof(block))
		write_all(*(int *)arg, block, sizeof(block));
	return NULL;
}

static void *receiver(void *arg)
{
	char block[10000];
	size_t got = 0;

	while (got < BYTES)
		got +=
		    (size_t)OK(recv(*(int *)arg, block,
				    BYTES - got < sizeof(block) ? BYTES - got : sizeof(block), 0));
	return (void *)got;
}

/* One thread sends and another receives on each end. */
static void send_and_recv_at_once(void)
{
	int fd[2];
	pthread_t t[4];

	tcp_pair(fd);
	for (int i = 0; i < 2; i++) {
		t[i] = thread(sender, &fd[i]);
		t[2 + i] = thread(receiver, &fd[i]);
	}
	for (int i = 0; i < 4; i++)
		CHECK_EQ((size_t)join(t[i]), i < 2 ? 0 : BYTES);
}

static atomic_size_t received;

static void *take_until_eof(void *arg)
{
	char block[5000];
	ssize_t n;

	while ((n = OK(recv(*(int *)arg, block, sizeof(block), 0))) > 0)
		received += (size_t)n;
	return NULL;
}

/* Four senders into four receivers: no byte is lost, all see the end. */
static void many_on_each_end(void)
{
	int fd[2];
	pthread_t s[4], r[4];

	tcp_pair(fd);
	for (int i = 0; i < 4; i++) {
		s[i] = thread(sender, &fd[0]);
		r[i] = thread(take_until_eof, &fd[1]);
	}
	for (int i = 0; i < 4; i++)
		join(s[i]);
	OK(shutdown(fd[0], SHUT_WR));
	for (int i = 0; i < 4; i++)
		join(r[i]);
	CHECK_EQ(received, (size_t)4 * BYTES);
}

static void *recv_one(void *arg)
{
	char b;

	return (void *)(intptr_t)recv(*(int *)arg, &b, 1, 0);
}

/*
 * close() does not wake another thread's recv(), which holds the file: the
 * connection ends only once that call returns.
 */
static void close_while_blocked(void)
{
	int fd[2], number;
	pthread_t t;

	tcp_pair(fd);
	expect_text(fd[0], fd[1], "the first call may take its time");
	number = fd[1];
	t = thread(recv_one, &number);
	sleep_ms(100);
	OK(close(fd[1]));
	sleep_ms(100);
	CHECK_EQ(pthread_tryjoin_np(t, NULL), EBUSY);
	CHECK_EQ(poll_bits(fd[0]), POLLOUT);
	write_all(fd[0], "x", 1);
	CHECK_EQ((intptr_t)join(t), 1);
	expect_eof(fd[0]);
}

static void *recv_as(void *arg)
{
	struct waits_on *w = arg;
	char b;

	w->tid = gettid();
	return (void *)(intptr_t)recv(w->fd, &b, 1, 0);
}

/* The same, of one that has begun to sleep just now */
static void close_just_after(void)
{
	for (int i = 0; i < 40; i++) {
		struct waits_on w = {.tid = 0};
		int fd[2];
		pthread_t t;

		tcp_pair(fd);
		expect_text(fd[0], fd[1], "the first call may take its time");
		w.fd = fd[1];
		t = thread(recv_as, &w);
		wait_asleep(&w);
		for (volatile int spin = i * 500; spin > 0; spin--)
			;
		OK(close(fd[1]));
		CHECK_EQ(poll_bits(fd[0]), POLLOUT);
		write_all(fd[0], "x", 1);
		CHECK_EQ((intptr_t)join(t), 1);
		expect_eof(fd[0]);
		OK(close(fd[0]));
	}
}

static void *accept_one(void *arg)
{
	return (void *)(intptr_t)accept(*(int *)arg, NULL, NULL);
}

static void close_while_accepting(void)
{
	struct sockaddr_in a;
	int l = listener(5, &a), number = l, c;
	pthread_t t = thread(accept_one, &number);

	sleep_ms(100);
	OK(close(l));
	sleep_ms(100);
	CHECK_EQ(pthread_tryjoin_np(t, NULL), EBUSY);
	c = connected(a);
	expect_text(c, (int)(intptr_t)join(t), "served still");
	CHECK_ERRNO(connect(tcp_socket(), SA(&a), sizeof(a)), ECONNREFUSED);
}

static struct sockaddr_in churn_address;

static void *churn_client(void *arg)
{
	(void)arg;
	for (int i = 0; i < 100; i++) {
		int c = connected(churn_address);
		char b;

		write_all(c, "?", 1);
		CHECK_EQ(recv(c, &b, 1, 0), 1);
		OK(close(c));
	}
	return NULL;
}

static void *churn_server(void *arg)
{
	for (int i = 0; i < 100; i++) {
		int s = OK(accept(*(int *)arg, NULL, NULL));
		char b;

		CHECK_EQ(recv(s, &b, 1, 0), 1);
		write_all(s, &b, 1);
		OK(close(s));
	}
	return NULL;
}

/* Descriptor numbers are used again at once, by another thread. */
static void churn(void)
{
	int l = listener(64, &churn_address);
	pthread_t t[8];

	for (int i = 0; i < 8; i++)
		t[i] = thread(i & 1 ? churn_client : churn_server, &l);
	for (int i = 0; i < 8; i++)
		join(t[i]);
}

static void *epoll_one(void *arg)
{
	struct epoll_event ev;

	CHECK_EQ(epoll_wait(*(int *)arg, &ev, 1, 5000), 1);
	return (void *)(uintptr_t)ev.events;
}

/* A socket added while another thread waits on the set wakes it. */
static void epoll_add_while_waiting(void)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int fd[2], e = OK(epoll_create1(0));
	pthread_t t;

	tcp_pair(fd);
	t = thread(epoll_one, &e);
	sleep_ms(50);
	OK(epoll_ctl(e, EPOLL_CTL_ADD, fd[1], &ev));
	sleep_ms(50);
	CHECK_EQ(pthread_tryjoin_np(t, NULL), EBUSY);
	write_all(fd[0], "x", 1);
	CHECK_EQ((uintptr_t)join(t), EPOLLIN);
}

static int stolen;

static void *own_table(void *arg)
{
	OK(unshare(CLONE_FILES));
	OK(close(stolen));
	sleep_ms(100);
	return arg;
}

/* A thread with a descriptor table of its own closes only its own. */
static void unshared_table(void)
{
	int fd[2];
	pthread_t t;

	tcp_pair(fd);
	stolen = fd[1];
	t = thread(own_table, NULL);
	sleep_ms(50);
	expect_text(fd[0], fd[1], "ours");
	join(t);
	expect_text(fd[1], fd[0], "still ours");
}

static struct {
	struct sockaddr_in to;
	int fd;
	atomic_bool stop;
} race;

static void *keep_connecting(void *arg)
{
	while (!race.stop)
		connect(race.fd, SA(&race.to), sizeof(race.to));
	return arg;
}

static void *keep_disconnecting(void *arg)
{
	struct sockaddr_in unspec = {0};

	while (!race.stop)
		connect(race.fd, SA(&unspec), sizeof(unspec));
	return arg;
}

/* Afterwards nobody accepts: connections that wait end with their listener. */
static void connect_and_disconnect(void)
{
	int l = listener(64, &race.to);
	pthread_t t[2];

	race.fd = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	race.stop = false;
	t[0] = thread(keep_connecting, NULL);
	t[1] = thread(keep_disconnecting, NULL);
	sleep_ms(500);
	OK(close(l));
	race.stop = true;
	join(t[0]);
	join(t[1]);
}

CHECK_MAIN(CASE(send_and_recv_at_once), CASE(many_on_each_end), ASIDE(close_while_blocked),
	   CASE(close_just_after), ASIDE(close_while_accepting), CASE(churn),
	   ASIDE(epoll_add_while_waiting), ASIDE(unshared_table), CASE(connect_and_disconnect))

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * closed_number.c - A number is closed while another thread's call waits on it
 *
 * The call holds the file.  It goes on, and the file ends with it, whatever the number is by then.
 * poll() and select() look at the number again once they were woken, or their time is over.
 */
#include <sys/select.h>

#include "check.h"

#define ROUNDS 8
#define MUCH (8 << 20)
#define LONG_MS 25 /* since when it has slept by then */
#define TIME_MS 400

/* One that has just begun to wait, or waits for a while */
static void let_wait(const struct waits_on *w, int round)
{
	wait_asleep(w);
	for (volatile int spin = round * 2000; spin > 0; spin--)
		;
	if (round % 2)
		sleep_ms(LONG_MS);
}

/* Another file gets the number @fd, which is closed by that. */
static void replace(int fd, int other)
{
	CHECK_EQ(dup2(other, fd), fd);
}

static bool is_waiting(pthread_t t)
{
	return pthread_tryjoin_np(t, NULL) == EBUSY;
}

static void *send_much(void *arg)
{
	struct waits_on *w = arg;
	static const char block[MUCH];

	w->tid = gettid();
	return (void *)(intptr_t)send(w->fd, block, sizeof(block), 0);
}

/* All of it is sent, and then the end. */
static void send_goes_on(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct waits_on w = {0};
		int fd[2], p[2];
		pthread_t t;

		tcp_pair(fd);
		expect_text(fd[0], fd[1], "the first call may take its time");
		w.fd = fd[0];
		t = thread(send_much, &w);
		let_wait(&w, i);
		OK(pipe(p));
		if (i % 4 < 2)
			OK(close(w.fd));
		else
			replace(w.fd, p[1]);
		CHECK(is_waiting(t));
		CHECK_EQ(read_to_end(fd[1]), MUCH);
		CHECK_EQ((intptr_t)join(t), MUCH);
		OK(close(fd[1]));
	}
}

static void *recv_two(void *arg)
{
	struct waits_on *w = arg;
	char b[2];

	w->tid = gettid();
	CHECK_EQ(recv(w->fd, b, 2, MSG_WAITALL), 2);
	CHECK(b[0] == 'a' && b[1] == 'b');
	return NULL;
}

/* What has the number by then keeps its bytes, and gets none. */
static void recv_takes_its_own(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct waits_on w = {0};
		int fd[2], other[2];
		char b[8] = "";
		pthread_t t;

		tcp_pair(fd);
		if (i % 4 < 2)
			tcp_pair(other);
		else
			OK(socketpair(AF_UNIX, SOCK_STREAM, 0, other));
		expect_text(fd[0], fd[1], "the first call may take its time");
		write_all(other[0], "theirs", 6);
		wait_bits(other[1], POLLIN);
		w.fd = fd[1];
		t = thread(recv_two, &w);
		let_wait(&w, i);
		replace(w.fd, other[1]);
		OK(close(other[1]));
		write_all(fd[0], "a", 1);
		sleep_ms(1);
		CHECK(is_waiting(t));
		CHECK_EQ(poll_bits(fd[0]), POLLOUT);
		write_all(fd[0], "b", 1);
		join(t);
		expect_eof(fd[0]);
		CHECK_EQ(read_all(w.fd, b, 6), 6);
		CHECK(!strcmp(b, "theirs"));
		CHECK_EQ(poll_bits(other[0]), POLLOUT);
		CHECK_EQ(poll_bits(w.fd), POLLOUT);
		OK(close(w.fd));
		OK(close(fd[0]));
		OK(close(other[0]));
	}
}

/* Just as its bytes come; of a socket that something was set of, for which the stack's changes its
 * plane. */
static void recv_goes_on_elsewhere(void)
{
	for (int i = 0; i < 50 * ROUNDS; i++) {
		struct waits_on w = {0};
		int fd[2], other[2];
		pthread_t t;

		tcp_pair(fd);
		OK(socketpair(AF_UNIX, SOCK_STREAM, 0, other));
		expect_text(fd[0], fd[1], "the first call may take its time");
		w.fd = fd[1];
		t = thread(recv_two, &w);
		wait_asleep(&w);
		set_option(w.fd, SOL_SOCKET, SO_RCVBUF, 100000);
		write_all(fd[0], "ab", 2);
		for (volatile int spin = i * 200; spin > 0; spin--)
			;
		replace(w.fd, other[1]);
		OK(close(other[1]));
		join(t);
		expect_eof(fd[0]);
		OK(close(w.fd));
		OK(close(fd[0]));
		OK(close(other[0]));
	}
}

static int poll_ms, poll_events;

static void *poll_it(void *arg)
{
	struct waits_on *w = arg;
	struct pollfd p = {.fd = w->fd, .events = (short)poll_events};

	OK(poll(&p, 1, 0));
	w->tid = gettid();
	CHECK_EQ(poll(&p, 1, poll_ms), 1);
	return (void *)(intptr_t)p.revents;
}

/* The peer sees no end before it is over. */
static void poll_goes_on(void)
{
	poll_ms = -1;
	poll_events = POLLIN;
	for (int i = 0; i < ROUNDS; i++) {
		struct waits_on w = {0};
		int fd[2], p[2];
		pthread_t t;

		tcp_pair(fd);
		w.fd = fd[1];
		expect_text(fd[0], fd[1], "the first call may take its time");
		OK(pipe(p));
		CHECK_EQ(write(p[1], "x", 1), 1);
		t = thread(poll_it, &w);
		let_wait(&w, i);
		if (i % 4 < 2)
			OK(close(w.fd));
		else
			replace(w.fd, p[0]);
		sleep_ms(5);
		CHECK(is_waiting(t));
		CHECK_EQ(poll_bits(fd[0]), POLLOUT);
		write_all(fd[0], "x", 1);
		CHECK_EQ((intptr_t)join(t), i % 4 < 2 ? POLLNVAL : POLLIN);
		/* Its byte was not read. */
		CHECK(wait_bits(fd[0], POLLERR) & POLLERR);
		OK(close(fd[0]));
	}
}

/* A thread waits for @number in @call, and it is closed: that has its time, and returns @want. */
static void has_its_time(void *(*call)(void *), int number, int i, intptr_t want)
{
	struct waits_on w = {.fd = number};
	long long start = now_ms();
	pthread_t t = thread(call, &w);

	let_wait(&w, i);
	OK(close(w.fd));
	CHECK_EQ((intptr_t)join(t), want);
	CHECK(now_ms() - start >= TIME_MS);
}

static void poll_has_its_time(void)
{
	poll_ms = TIME_MS;
	poll_events = POLLIN;
	for (int i = 0; i < 2; i++) {
		int fd[2];

		tcp_pair(fd);
		expect_text(fd[0], fd[1], "the first call may take its time");
		has_its_time(poll_it, fd[1], i, POLLNVAL);
		expect_eof(fd[0]);
		OK(close(fd[0]));
	}
}

/* Until there is room */
static void poll_for_room_goes_on(void)
{
	static char block[65536];

	poll_ms = -1;
	poll_events = POLLOUT;
	for (int i = 0; i < 4; i++) {
		struct waits_on w = {0};
		int fd[2];
		size_t n = 0, got = 0;
		struct pollfd p;
		pthread_t t;
		ssize_t r;

		tcp_pair(fd);
		expect_text(fd[0], fd[1], "the first call may take its time");
		set_nonblock(fd[0]);
		/* Buffers grow, and what is on its way arrives. */
		do {
			while ((r = send(fd[0], block, sizeof(block), 0)) > 0)
				n += (size_t)r;
			p = (struct pollfd){.fd = fd[0], .events = POLLOUT};
		} while (OK(poll(&p, 1, 50)));
		w.fd = fd[0];
		t = thread(poll_it, &w);
		let_wait(&w, i);
		OK(close(w.fd));
		sleep_ms(5);
		CHECK(is_waiting(t));
		while (got < n)
			got += (size_t)OK(recv(fd[1], block, sizeof(block), 0));
		CHECK_EQ((intptr_t)join(t), POLLNVAL);
		expect_eof(fd[1]);
		OK(close(fd[1]));
	}
}

static void *select_it(void *arg)
{
	struct timeval now = {0};
	struct waits_on *w = arg;
	fd_set in, none;
	int r;

	FD_ZERO(&in);
	FD_ZERO(&none);
	FD_SET(w->fd, &none);
	OK(select(w->fd + 1, &none, NULL, NULL, &now));
	FD_SET(w->fd, &in);
	w->tid = gettid();
	r = select(w->fd + 1, &in, NULL, NULL, NULL);
	return (void *)(intptr_t)(r == 1 ? FD_ISSET(w->fd, &in) : -1);
}

static void select_goes_on(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct waits_on w = {0};
		int fd[2];
		pthread_t t;

		tcp_pair(fd);
		expect_text(fd[0], fd[1], "the first call may take its time");
		w.fd = fd[1];
		t = thread(select_it, &w);
		let_wait(&w, i);
		OK(close(w.fd));
		sleep_ms(2);
		CHECK(is_waiting(t));
		CHECK_EQ(poll_bits(fd[0]), POLLOUT);
		write_all(fd[0], "x", 1);
		CHECK_EQ((intptr_t)join(t), 1);
		OK(close(fd[0]));
	}
}

static int epoll_ms;

static void *epoll_it(void *arg)
{
	struct waits_on *w = arg;
	struct epoll_event ev = {0};

	OK(epoll_wait(w->fd, &ev, 1, 0));
	w->tid = gettid();
	if (!OK(epoll_wait(w->fd, &ev, 1, epoll_ms)))
		return NULL;
	CHECK_EQ(ev.events, EPOLLIN);
	return (void *)(uintptr_t)ev.data.u64;
}

static int epoll_of(int fd, uint64_t data)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = data};
	int e = (int)OK(epoll_create1(0));

	OK(epoll_ctl(e, EPOLL_CTL_ADD, fd, &ev));
	return e;
}

/* One that has the number then is another one. */
static void epoll_goes_on(void)
{
	epoll_ms = -1;
	for (int i = 0; i < ROUNDS; i++) {
		struct waits_on w = {0}, v = {0};
		int fd[2], other[2], e;
		pthread_t t, u;

		tcp_pair(fd);
		tcp_pair(other);
		expect_text(fd[0], fd[1], "the first call may take its time");
		expect_text(other[0], other[1], "the first call may take its time");
		w.fd = epoll_of(fd[1], 1);
		t = thread(epoll_it, &w);
		let_wait(&w, i);
		OK(close(w.fd));
		e = epoll_of(other[1], 2);
		CHECK_EQ(e, w.fd);
		v.fd = e;
		u = thread(epoll_it, &v);
		let_wait(&v, i);
		CHECK(is_waiting(t));
		write_all(other[0], "x", 1);
		CHECK_EQ((uintptr_t)join(u), 2);
		sleep_ms(1);
		CHECK(is_waiting(t));
		write_all(fd[0], "y", 1);
		CHECK_EQ((uintptr_t)join(t), 1);
		OK(close(e));
		for (int k = 0; k < 2; k++) {
			OK(close(fd[k]));
			OK(close(other[k]));
		}
	}
}

static void epoll_has_its_time(void)
{
	epoll_ms = TIME_MS;
	for (int i = 0; i < 2; i++) {
		int fd[2];

		tcp_pair(fd);
		expect_text(fd[0], fd[1], "the first call may take its time");
		has_its_time(epoll_it, epoll_of(fd[1], 1), i, 0);
		expect_text(fd[0], fd[1], "still there");
	}
}

/* Who waits for its sockets hears no more of one that is closed. */
static void epoll_of_a_closed_one(void)
{
	epoll_ms = -1;
	for (int i = 0; i < ROUNDS; i++) {
		struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 2};
		struct waits_on w = {0};
		int fd[2], other[2];
		pthread_t t;

		tcp_pair(fd);
		tcp_pair(other);
		expect_text(fd[0], fd[1], "the first call may take its time");
		w.fd = epoll_of(fd[1], 1);
		OK(epoll_ctl(w.fd, EPOLL_CTL_ADD, other[1], &ev));
		t = thread(epoll_it, &w);
		let_wait(&w, i);
		OK(close(fd[1]));
		expect_eof(fd[0]);
		sleep_ms(1);
		CHECK(is_waiting(t));
		write_all(other[0], "x", 1);
		CHECK_EQ((uintptr_t)join(t), 2);
		OK(close(w.fd));
		OK(close(fd[0]));
		OK(close(other[0]));
		OK(close(other[1]));
	}
}

/* It was woken, and waits again: at any moment of that its number is closed. */
static void recv_goes_on_twice(void)
{
	for (int i = 0; i < 200; i++) {
		struct waits_on w = {0};
		int fd[2];
		pthread_t t;

		tcp_pair(fd);
		expect_text(fd[0], fd[1], "the first call may take its time");
		w.fd = fd[1];
		t = thread(recv_two, &w);
		wait_asleep(&w);
		write_all(fd[0], "a", 1);
		for (volatile int spin = i * 150; spin > 0; spin--)
			;
		OK(close(w.fd));
		sleep_ms(1);
		write_all(fd[0], "b", 1);
		join(t);
		expect_eof(fd[0]);
		OK(close(fd[0]));
	}
}

static void nothing(int sig)
{
	(void)sig;
}

static void *recv_or_error(void *arg)
{
	struct waits_on *w = arg;
	char c;

	w->tid = gettid();
	return (void *)(intptr_t)(recv(w->fd, &c, 1, 0) < 0 ? -errno : 0);
}

static void *poll_or_error(void *arg)
{
	struct waits_on *w = arg;
	struct pollfd p = {.fd = w->fd, .events = POLLIN};

	w->tid = gettid();
	return (void *)(intptr_t)(poll(&p, 1, -1) < 0 ? -errno : 0);
}

static void *select_or_error(void *arg)
{
	struct waits_on *w = arg;
	fd_set in;

	FD_ZERO(&in);
	FD_SET(w->fd, &in);
	w->tid = gettid();
	return (void *)(intptr_t)(select(w->fd + 1, &in, NULL, NULL, NULL) < 0 ? -errno : 0);
}

static void *epoll_or_error(void *arg)
{
	struct waits_on *w = arg;
	struct epoll_event ev;

	w->tid = gettid();
	return (void *)(intptr_t)(epoll_wait(w->fd, &ev, 1, -1) < 0 ? -errno : 0);
}

static void *send_or_error(void *arg)
{
	intptr_t sent = (intptr_t)send_much(arg);

	return (void *)(sent < MUCH ? (intptr_t)-EINTR : 0);
}

/* So Java closes a socket that threads use: the number is another file's, and each has a signal. */
static void signal_ends_it(void)
{
	void *(*const calls[])(void *) = {recv_or_error, poll_or_error, select_or_error,
					  epoll_or_error, send_or_error};
	struct sigaction sa = {.sa_handler = nothing};

	OK(sigaction(SIGUSR1, &sa, NULL));
	for (int i = 0; i < 200; i++) {
		void *(*call)(void *) = calls[i % 5];
		struct waits_on w = {0};
		int fd[2], p[2];
		pthread_t t;

		tcp_pair(fd);
		expect_text(fd[0], fd[1], "the first call may take its time");
		OK(pipe(p));
		w.fd = call == epoll_or_error ? epoll_of(fd[1], 1) : fd[call != send_or_error];
		t = thread(call, &w);
		wait_asleep(&w);
		for (volatile int spin = i * 150; spin > 0; spin--)
			;
		replace(w.fd, p[0]);
		CHECK_EQ(pthread_kill(t, SIGUSR1), 0);
		CHECK_EQ((intptr_t)join(t), -EINTR);
		OK(close(p[0]));
		OK(close(p[1]));
		OK(close(w.fd));
		if (w.fd != fd[0])
			OK(close(fd[0]));
		if (w.fd != fd[1])
			OK(close(fd[1]));
	}
}

static struct waits_on in_handler;
static _Atomic long long close_ms;

static void close_in_handler(int sig)
{
	long long start = now_ms();

	(void)sig;
	OK(close(in_handler.fd));
	close_ms = now_ms() - start;
}

static void *wait_for_handler(void *arg)
{
	struct epoll_event ev;
	char c;

	in_handler.tid = gettid();
	return (void *)(intptr_t)(arg ? epoll_wait(in_handler.fd, &ev, 1, 1000)
				      : recv(in_handler.fd, &c, 1, 0));
}

/* A handler that closes what its own thread waits for does not wait for itself. */
static void closed_by_a_handler(void)
{
	struct sigaction sa = {.sa_handler = close_in_handler};

	OK(sigaction(SIGUSR1, &sa, NULL));
	for (int i = 0; i < 4 * ROUNDS; i++) {
		bool epolls = i % 2;
		pthread_t t;
		int fd[2];

		tcp_pair(fd);
		expect_text(fd[0], fd[1], "the first call may take its time");
		in_handler.tid = 0;
		in_handler.fd = epolls ? epoll_of(fd[1], 1) : fd[1];
		close_ms = -1;
		t = thread(wait_for_handler, epolls ? fd : NULL);
		while (!in_handler.tid)
			sched_yield();
		for (volatile int spin = i * 2000; spin > 0; spin--)
			;
		CHECK_EQ(pthread_kill(t, SIGUSR1), 0);
		/* It may end by the signal, or find that its number is bad. */
		CHECK((intptr_t)join(t) <= 0);
		CHECK(close_ms >= 0 && close_ms < 300);
		OK(close(fd[0]));
		if (epolls)
			OK(close(fd[1]));
	}
}

#define MAKERS 3

static void *make_and_close(void *arg)
{
	long long end = now_ms() + 400;

	epoll_ms = -1;
	while (now_ms() < end) {
		struct waits_on w = {0};
		int fd[2];
		pthread_t t;

		tcp_pair(fd);
		w.fd = epoll_of(fd[1], (uintptr_t)&w);
		t = thread(epoll_it, &w);
		while (!w.tid)
			sched_yield();
		for (volatile int spin = (int)(now_ms() % 7) * 3000; spin > 0; spin--)
			;
		/* It may not wait yet; then the number is bad, or another one's. */
		wait_asleep(&w);
		OK(close(w.fd));
		write_all(fd[0], "x", 1);
		CHECK_EQ((uintptr_t)join(t), (uintptr_t)&w);
		OK(close(fd[0]));
		OK(close(fd[1]));
	}
	return arg;
}

/* Threads make sets, and close them under others that wait. */
static void many_epolls(void)
{
	pthread_t t[MAKERS];

	for (int i = 0; i < MAKERS; i++)
		t[i] = thread(make_and_close, NULL);
	for (int i = 0; i < MAKERS; i++)
		join(t[i]);
}

CHECK_MAIN(CASE(send_goes_on), CASE(recv_takes_its_own), CASE(recv_goes_on_elsewhere),
	   CASE(poll_goes_on), ASIDE(poll_has_its_time), CASE(poll_for_room_goes_on),
	   CASE(select_goes_on), CASE(epoll_goes_on), ASIDE(epoll_has_its_time),
	   CASE(epoll_of_a_closed_one), CASE(recv_goes_on_twice), CASE(signal_ends_it),
	   CASE(closed_by_a_handler), CASE(many_epolls))

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * epoll_corners.c - Waiting where a wake-up is easily lost: EPOLLONESHOT among threads, sets
 * that are duplicated, closed or full, room after the peer's end
 */
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "test/check.h"
#include "test/semantics/bare.h"

static void add(int e, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};

	OK(epoll_ctl(e, EPOLL_CTL_ADD, fd, &ev));
}

static void again(int e, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};

	OK(epoll_ctl(e, EPOLL_CTL_MOD, fd, &ev));
}

/* Which descriptor is ready; -1: none in @ms */
static int next_fd(int e, int ms)
{
	struct epoll_event ev;

	return OK(epoll_wait(e, &ev, 1, ms)) ? ev.data.fd : -1;
}

#define TURNS 20

static char big[1 << 20];

static void fill(int fd)
{
	for (int full = 0; full < 3; full++) {
		while (send(fd, big, sizeof(big), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
			full = 0;
		sleep_ms(20); /* who makes room may not have the processor at once */
	}
}

/* --- the first ones ---------------------------------------------------------------------- */

#define FIRST 2
#define SETS 100

struct first {
	_Atomic int *ready;
	int e, fd;
};

static void *add_first(void *arg)
{
	struct first *f = arg;

	atomic_fetch_add(f->ready, 1);
	while (atomic_load(f->ready) < FIRST)
		sched_yield();
	add(f->e, f->fd, EPOLLIN | EPOLLET);
	return NULL;
}

/* Threads put the first sockets into a set at once, and another one sleeps on it. */
static void first_ones_by_threads(void)
{
	int fd[FIRST][2];
	long long start = now_ms();
	struct first f[FIRST];
	_Atomic int ready;
	pthread_t t[FIRST];
	char b;

	for (int i = 0; i < FIRST; i++)
		tcp_pair(fd[i]);
	for (int round = 0; round < SETS; round++) {
		int e = OK(epoll_create1(0));

		atomic_store(&ready, 0);
		for (int i = 0; i < FIRST; i++) {
			f[i] = (struct first){&ready, e, fd[i][1]};
			t[i] = thread(add_first, &f[i]);
		}
		for (int i = 0; i < FIRST; i++)
			join(t[i]);
		for (int i = 0; i < FIRST; i++)
			write_all(fd[i][0], "x", 1);
		for (int i = 0; i < FIRST; i++) {
			int one = next_fd(e, 10000);

			CHECK(one >= 0); /* else one was lost */
			CHECK_EQ(recv(one, &b, 1, MSG_DONTWAIT), 1);
		}
		for (int i = 0; i < FIRST; i++)
			OK(epoll_ctl(e, EPOLL_CTL_DEL, fd[i][1], NULL));
		OK(close(e));
	}
	CHECK(now_ms() - start < 10000);
}

/* --- EPOLLONESHOT ---------------------------------------------------------------------- */

#define WORKERS 3
#define SOCKETS 6
#define ROUNDS 300

static int set;

static void *echo_oneshot(void *arg)
{
	char b;

	(void)arg;
	for (;;) {
		int fd = next_fd(set, 10000);

		CHECK(fd >= 0); /* else one was lost */
		if (recv(fd, &b, 1, MSG_DONTWAIT) != 1)
			return NULL;
		if (b == 'q') {
			again(set, fd, EPOLLIN | EPOLLONESHOT);
			return NULL;
		}
		write_all(fd, &b, 1);
		again(set, fd, EPOLLIN | EPOLLONESHOT);
	}
}

static void oneshot_among_threads(void)
{
	int fd[SOCKETS][2];
	pthread_t t[WORKERS];
	unsigned seed = 3;
	char b;

	set = OK(epoll_create1(0));
	for (int i = 0; i < SOCKETS; i++) {
		tcp_pair(fd[i]);
		set_option(fd[i][0], IPPROTO_TCP, TCP_NODELAY, 1);
		set_option(fd[i][1], IPPROTO_TCP, TCP_NODELAY, 1);
		add(set, fd[i][1], EPOLLIN | EPOLLONESHOT);
	}
	for (int i = 0; i < WORKERS; i++)
		t[i] = thread(echo_oneshot, NULL);
	for (int round = 0; round < ROUNDS; round++) {
		int n = 1 + rand_r(&seed) % SOCKETS;

		for (int i = 0; i < n; i++)
			write_all(fd[i][0], "x", 1);
		for (int i = 0; i < n; i++)
			CHECK_EQ(recv(fd[i][0], &b, 1, 0), 1);
		if (rand_r(&seed) % 32 == 0)
			sleep_ms(1);
	}
	for (int i = 0; i < WORKERS; i++)
		write_all(fd[i][0], "q", 1);
	for (int i = 0; i < WORKERS; i++)
		join(t[i]);
}

static void *wait_for_one(void *arg)
{
	return (void *)(intptr_t)next_fd(*(int *)arg, 5000);
}

/* What came for one that is disarmed does not keep another one's from waking. */
static void disarmed_does_not_mute(void)
{
	int a[2], b[2], e = OK(epoll_create1(0));
	pthread_t t;

	tcp_pair(a);
	tcp_pair(b);
	add(e, a[1], EPOLLIN | EPOLLONESHOT);
	add(e, b[1], EPOLLIN);
	write_all(a[0], "x", 1);
	CHECK_EQ(next_fd(e, 5000), a[1]);
	t = thread(wait_for_one, &e);
	sleep_ms(50);
	write_all(a[0], "x", 1);
	sleep_ms(50);
	write_all(b[0], "x", 1);
	CHECK_EQ((intptr_t)join(t), b[1]);
}

/* --- room ------------------------------------------------------------------------------- */

static void *read_soon(void *arg)
{
	sleep_ms(50);
	for (int quiet = 0; quiet < 20;) {
		if (recv(*(int *)arg, (char[65536]){0}, 65536, MSG_DONTWAIT) > 0)
			quiet = 0;
		else
			sleep_ms(5), quiet++;
	}
	return NULL;
}

static void room_is_an_edge(void)
{
	for (int ended = 0; ended < 2; ended++) {
		int fd[2], e = OK(epoll_create1(0));
		pthread_t t;

		tcp_pair(fd);
		if (ended) {
			OK(shutdown(fd[0], SHUT_WR));
			wait_bits(fd[1], POLLRDHUP);
		}
		add(e, fd[1], EPOLLOUT | EPOLLET);
		fill(fd[1]);
		while (next_fd(e, 0) >= 0)
			;
		t = thread(read_soon, &fd[0]);
		CHECK_EQ(next_fd(e, 5000), fd[1]);
		join(t);
	}
}

/* With the peer's end there is always something, and the time is kept all the same. */
static void times_out_after_the_peers_end(void)
{
	struct pollfd p = {.events = POLLOUT};
	long long start;
	int fd[2];

	tcp_pair(fd);
	OK(shutdown(fd[0], SHUT_WR));
	wait_bits(fd[1], POLLRDHUP);
	fill(fd[1]);
	p.fd = fd[1];
	start = now_ms();
	CHECK_EQ(poll(&p, 1, 200), 0);
	CHECK(now_ms() - start >= 199 && now_ms() - start < 3000);
}

static void *read_last(void *arg)
{
	sleep_ms(50);
	return read_soon(arg);
}

/* Half closed, the reader's room is announced at once. */
static void room_while_half_closed(void)
{
	long long start = now_ms();
	int fd[2];
	pthread_t t;

	tcp_pair(fd);
	OK(shutdown(fd[0], SHUT_WR));
	t = thread(read_last, &fd[0]);
	for (size_t sent = 0; sent < 4 * sizeof(big);)
		sent += (size_t)OK(send(fd[1], big, sizeof(big), 0));
	join(t);
	CHECK(now_ms() - start < 3000);
}

/* --- sets ------------------------------------------------------------------------------- */

/* One that is always ready does not hide a descriptor of another kind. */
static void others_have_their_turn(void)
{
	int fd[2], p[2], e = OK(epoll_create1(0));
	bool seen = false;

	tcp_pair(fd);
	OK(pipe(p));
	add(e, fd[1], EPOLLOUT);
	add(e, p[0], EPOLLIN);
	CHECK_EQ(write(p[1], "x", 1), 1);
	for (long long end = now_ms() + 2000; !seen && now_ms() < end;)
		seen = next_fd(e, 1000) == p[0];
	CHECK(seen);
}

static void number_of_a_closed_set(void)
{
	int fd[2], e = OK(epoll_create1(0)), next;

	tcp_pair(fd);
	add(e, fd[1], EPOLLIN);
	OK(close(e));
	next = OK(epoll_create1(0));
	CHECK_EQ(next, e);
	add(next, fd[1], EPOLLIN);
	write_all(fd[0], "x", 1);
	CHECK_EQ(next_fd(next, 5000), fd[1]);
}

/* What came while a set had it that nobody waited on is there for the next set, and for poll(). */
static void outlives_its_set(void)
{
	struct pollfd p = {.events = POLLIN};
	int fd[2], e, n;

	DEADLINE(20);
	for (int round = 0; round < 3; round++) {
		tcp_pair(fd);
		e = OK(epoll_create1(0));
		add(e, fd[0], EPOLLIN);
		expect_text(fd[1], fd[0], "in use");
		CHECK_EQ(next_fd(e, 0), -1);
		write_all(fd[1], "unread", 6);
		do
			OK(ioctl(fd[0], FIONREAD, &n));
		while (n != 6);
		OK(close(e));
		if (round) {
			e = OK(epoll_create1(0));
			add(e, fd[0], round == 1 ? EPOLLIN : EPOLLIN | EPOLLET);
			CHECK_EQ(next_fd(e, 5000), fd[0]);
			OK(close(e));
		}
		p.fd = fd[0];
		CHECK_EQ(OK(poll(&p, 1, 5000)), 1);
		OK(close(fd[0]));
		OK(close(fd[1]));
	}
}

static void duplicate_outlives(void)
{
	int fd[2], e = OK(epoll_create1(0)), copy;

	tcp_pair(fd);
	add(e, fd[1], EPOLLIN);
	copy = OK(dup(e));
	OK(close(e));
	CHECK_EQ(next_fd(copy, 20), -1);
	write_all(fd[0], "x", 1);
	CHECK_EQ(next_fd(copy, 5000), fd[1]);
}

/* A program that is started by vfork() closes its own descriptors. */
static void survives_a_vfork(void)
{
	int fd[2], e = OK(epoll_create1(0));

	tcp_pair(fd);
	add(e, fd[1], EPOLLIN);
	CHECK_EQ(next_fd(e, 0), -1);
	for (int i = 0; i < 5; i++)
		CHECK_EQ(system("exec 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-; true"), 0);
	write_all(fd[0], "x", 1);
	CHECK_EQ(next_fd(e, 5000), fd[1]);
	CHECK_EQ(recv(fd[1], (char[1]){0}, 1, 0), 1);
}

/* Two threads wait, each takes one. */
static void each_takes_one(void)
{
	int a[2], b[2], e = OK(epoll_create1(0));
	pthread_t t[2];
	intptr_t got[2];

	tcp_pair(a);
	tcp_pair(b);
	add(e, a[1], EPOLLIN | EPOLLONESHOT);
	add(e, b[1], EPOLLIN | EPOLLONESHOT);
	for (int i = 0; i < 2; i++)
		t[i] = thread(wait_for_one, &e);
	sleep_ms(50);
	write_all(a[0], "x", 1);
	write_all(b[0], "x", 1);
	for (int i = 0; i < 2; i++)
		got[i] = (intptr_t)join(t[i]);
	CHECK((got[0] == a[1] && got[1] == b[1]) || (got[0] == b[1] && got[1] == a[1]));
}

static void *write_soon(void *arg)
{
	sleep_ms(50);
	write_all(*(int *)arg, "x", 1);
	return NULL;
}

/* recv() of no bytes waits for some. */
static void recv_of_nothing_waits(void)
{
	int fd[2];
	pthread_t t;

	tcp_pair(fd);
	CHECK_ERRNO(recv(fd[1], big, 1, MSG_DONTWAIT), EAGAIN);
	t = thread(write_soon, &fd[0]);
	CHECK_EQ(recv(fd[1], big, 0, 0), 0);
	join(t);
	CHECK_EQ(recv(fd[1], big, 1, 0), 1);
}

/* --- edges ------------------------------------------------------------------------------ */

/*
 * The peer's end is one edge, whenever one looks for it.  Not of a socket of the kernel's that
 * is served by another core: tcp_data_queue() wakes twice for a FIN.
 */
static void an_end_is_one_edge(void)
{
	if (getenv("GZ_KERNEL_ACCEPTS"))
		return;
	for (int i = 0; i < 200; i++) {
		int fd[2], e = OK(epoll_create1(0));
		struct timespec from, now;
		struct epoll_event ev;

		tcp_pair(fd);
		add(e, fd[1], EPOLLIN | EPOLLRDHUP | EPOLLET);
		CHECK_EQ(next_fd(e, 1), -1);
		OK(shutdown(fd[0], SHUT_WR));
		clock_gettime(CLOCK_MONOTONIC, &from);
		do {
			clock_gettime(CLOCK_MONOTONIC, &now);
		} while ((now.tv_sec - from.tv_sec) * 1000000000L + now.tv_nsec - from.tv_nsec <
			 i * 1000L);
		CHECK_EQ(epoll_wait(e, &ev, 1, 5000), 1);
		CHECK_EQ(ev.events, EPOLLIN | EPOLLRDHUP);
		CHECK_EQ(next_fd(e, 0), -1);
		CHECK_EQ(next_fd(e, 0), -1);
		OK(close(fd[0]));
		OK(close(fd[1]));
		OK(close(e));
	}
}

/* --- past the library --------------------------------------------------------------------- */

static void *wait_past_the_library(void *arg)
{
	const int *fd = arg;
	struct epoll_event ev;

	for (int i = 0; i < TURNS; i++) {
		/* Else one was lost. */
		CHECK_EQ(bare_call(SYS_epoll_wait, fd[2], (long)&ev, 1, 5000, 0, 0), 1);
		CHECK_EQ(recv(fd[1], (char[1]){0}, 1, 0), 1);
		write_all(fd[1], "y", 1);
	}
	return NULL;
}

static void past_the_library(void)
{
	int fd[3];
	pthread_t t;

	fd[2] = OK(epoll_create1(0));
	tcp_pair(fd);
	add(fd[2], fd[1], EPOLLIN);
	CHECK_EQ(next_fd(fd[2], 0), -1);
	for (int i = 0; i < 10; i++)
		expect_text(fd[i % 2], fd[!(i % 2)], "to and fro");
	t = thread(wait_past_the_library, fd);
	for (int i = 0; i < TURNS; i++) {
		sleep_ms(2);
		write_all(fd[0], "x", 1);
		CHECK_EQ(recv(fd[0], (char[1]){0}, 1, 0), 1);
	}
	join(t);
}

/* --- who is connected anew --------------------------------------------------------------- */

static void disconnect(int fd)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};

	OK(connect(fd, &none, sizeof(none)));
}

/* @fd, which is in @e, connects, and its set tells of what comes. */
static void expect_told(int e, int fd)
{
	struct sockaddr_in a;
	struct epoll_event ev;
	int l = listener(1, &a), peer;

	OK(connect(fd, SA(&a), sizeof(a)));
	peer = (int)OK(accept(l, NULL, NULL));
	CHECK_EQ(next_fd(e, 0), -1);
	for (int i = 0; i < 3; i++) {
		write_all(peer, "x", 1);
		CHECK_EQ(epoll_wait(e, &ev, 1, 5000), 1);
		CHECK_EQ(ev.data.fd, fd);
		CHECK_EQ(ev.events, EPOLLIN);
		CHECK_EQ(recv(fd, (char[1]){0}, 1, 0), 1);
	}
	OK(epoll_ctl(e, EPOLL_CTL_DEL, fd, NULL));
	write_all(peer, "x", 1);
	wait_bits(fd, POLLIN);
	CHECK_EQ(next_fd(e, 0), -1);
	OK(close(peer));
	OK(close(l));
}

static void connected_anew(void)
{
	int e = OK(epoll_create1(0)), fd[2], other[2], l;

	tcp_pair(other);
	expect_text(other[0], other[1], "this program uses others already");
	add(e, other[0], EPOLLIN);
	CHECK_EQ(next_fd(e, 1), -1);
	/* It was added, and the set not waited for. */
	tcp_pair(fd);
	add(e, fd[0], EPOLLIN);
	disconnect(fd[0]);
	CHECK_EQ(next_fd(e, 0), fd[0]);
	expect_told(e, fd[0]);
	/* It was added as a listener. */
	l = tcp_socket();
	OK(listen(l, 1));
	add(e, l, EPOLLIN);
	disconnect(l);
	CHECK_EQ(next_fd(e, 0), l);
	expect_told(e, l);
	/* It was told of other events, and then taken out. */
	tcp_pair(fd);
	add(e, fd[0], EPOLLIN);
	CHECK_EQ(next_fd(e, 1), -1);
	again(e, fd[0], EPOLLIN | EPOLLOUT);
	OK(epoll_ctl(e, EPOLL_CTL_DEL, fd[0], NULL));
	disconnect(fd[0]);
	CHECK_EQ(next_fd(e, 0), -1);
	CHECK_ERRNO(epoll_ctl(e, EPOLL_CTL_DEL, fd[0], NULL), ENOENT);
}

/* --- data that several have ----------------------------------------------------------------- */

#define SAME 7

static void add_same(int e, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.u64 = SAME};

	OK(epoll_ctl(e, EPOLL_CTL_ADD, fd, &ev));
}

/* One of those with SAME tells of @events and of nothing else. */
static void expect_same(int e, uint32_t events)
{
	struct epoll_event ev;

	CHECK_EQ(epoll_wait(e, &ev, 1, 5000), 1);
	CHECK_EQ(ev.data.u64, SAME);
	CHECK_EQ(ev.events, events);
}

/* A pipe, and a connection that is in use */
static void same_data(int e, uint32_t events, int fd[2], int p[2])
{
	tcp_pair(fd);
	expect_text(fd[0], fd[1], "in use");
	OK(pipe(p));
	add_same(e, fd[1], events);
	add_same(e, p[0], events);
	CHECK_EQ(next_fd(e, 1), -1);
}

/* None of the two is taken for the other. */
static void same_data_for_two(void)
{
	for (int edge = 0; edge < 2; edge++) {
		int fd[2], p[2], e = OK(epoll_create1(0));

		same_data(e, edge ? EPOLLIN | EPOLLET : EPOLLIN, fd, p);
		for (int i = 0; i < 50; i++) {
			CHECK_EQ(write(p[1], "x", 1), 1);
			expect_same(e, EPOLLIN);
			CHECK_EQ(read(p[0], (char[1]){0}, 1), 1);
			CHECK_EQ(next_fd(e, 0), -1);
			write_all(fd[0], "y", 1);
			expect_same(e, EPOLLIN);
			CHECK_EQ(recv(fd[1], (char[1]){0}, 1, 0), 1);
			CHECK_EQ(next_fd(e, i % 10 == 0), -1);
		}
		/* A pipe that nobody writes to any more has ended, the connection has not. */
		OK(close(p[1]));
		expect_same(e, EPOLLHUP);
		OK(epoll_ctl(e, EPOLL_CTL_DEL, p[0], NULL));
		OK(close(fd[0]));
		expect_same(e, EPOLLIN);
	}
}

/* Nor does one that is always ready hide the other. */
static void same_data_at_once(void)
{
	struct epoll_event ev[4];
	int fd[2], p[2], e = OK(epoll_create1(0)), n;
	long long end = now_ms() + 5000;

	same_data(e, EPOLLIN, fd, p);
	CHECK_EQ(write(p[1], "x", 1), 1);
	write_all(fd[0], "y", 1);
	do {
		n = OK(epoll_wait(e, ev, 4, 1000));
	} while (n < 2 && now_ms() < end);
	CHECK_EQ(n, 2);
}

/* EPOLLRDNORM and EPOLLWRNORM are events as well, for who asks for them. */
static void other_names(void)
{
	struct epoll_event ev = {.events = EPOLLRDNORM};
	int fd[2], e = OK(epoll_create1(0));
	pthread_t t;

	tcp_pair(fd);
	expect_text(fd[0], fd[1], "in use");
	OK(epoll_ctl(e, EPOLL_CTL_ADD, fd[1], &ev));
	t = thread(write_soon, &fd[0]);
	CHECK_EQ(epoll_wait(e, &ev, 1, 5000), 1);
	CHECK_EQ(ev.events, EPOLLRDNORM);
	join(t);
	ev.events = EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM;
	OK(epoll_ctl(e, EPOLL_CTL_MOD, fd[1], &ev));
	CHECK_EQ(epoll_wait(e, &ev, 1, 5000), 1);
	CHECK_EQ(ev.events, EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM);
	ev.events = EPOLLIN;
	OK(epoll_ctl(e, EPOLL_CTL_MOD, fd[1], &ev));
	CHECK_EQ(epoll_wait(e, &ev, 1, 5000), 1);
	CHECK_EQ(ev.events, EPOLLIN);
}

/* --- a set that was left behind -------------------------------------------------------------- */

/* A set that has @fd is left behind by a process that is killed, the socket by its child, which
 * ends when nobody can write to @way any more. */
static void leave_set(int fd, const int way[2])
{
	pid_t pid = child();
	char c;

	if (pid) {
		CHECK(WIFSIGNALED(reap_status(pid)));
		return;
	}
	add(OK(epoll_create1(0)), fd, EPOLLIN);
	OK(close(way[1]));
	if (!OK(fork())) {
		while (read(way[0], &c, 1) < 0)
			CHECK_EQ(errno, EINTR);
		_exit(0);
	}
	raise(SIGKILL);
}

struct late {
	int left, waited_for;
};

static void *write_to_both(void *arg)
{
	const struct late *l = arg;

	sleep_ms(60);
	write_all(l->left, "x", 1);
	sleep_ms(20);
	write_all(l->waited_for, "x", 1);
	return NULL;
}

/* What comes for it does not concern who waits elsewhere. */
static void left_by_the_dead(void)
{
	for (int n = 0; n < TURNS; n++) {
		int left[2], fd[2], way[2], e;
		struct late late;
		pthread_t t;

		OK(pipe(way));
		tcp_pair(left);
		expect_text(left[0], left[1], "one way");
		expect_text(left[1], left[0], "and the other");
		leave_set(left[1], way);
		OK(close(left[1]));
		tcp_pair(fd);
		e = OK(epoll_create1(0));
		add(e, fd[1], EPOLLIN);
		late = (struct late){left[0], fd[0]};
		t = thread(write_to_both, &late);
		CHECK_EQ(next_fd(e, 5000), fd[1]);
		join(t);
		OK(close(e));
		OK(close(fd[0]));
		OK(close(fd[1]));
		OK(close(left[0]));
		OK(close(way[0]));
		OK(close(way[1]));
	}
}

CHECK_MAIN(CASE(first_ones_by_threads), CASE(oneshot_among_threads), ASIDE(disarmed_does_not_mute),
	   CASE(room_is_an_edge), ASIDE(times_out_after_the_peers_end),
	   ASIDE(room_while_half_closed), CASE(others_have_their_turn),
	   CASE(number_of_a_closed_set), CASE(outlives_its_set), CASE(duplicate_outlives),
	   CASE(survives_a_vfork), CASE(each_takes_one), CASE(recv_of_nothing_waits),
	   CASE(an_end_is_one_edge), CASE(same_data_for_two), CASE(same_data_at_once),
	   CASE(other_names), CASE(past_the_library), CASE(connected_anew), CASE(left_by_the_dead))

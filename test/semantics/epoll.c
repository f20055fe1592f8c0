/* SPDX-License-Identifier: BSD-3-Clause
 *
 * epoll.c - epoll(7): level, edge, oneshot; sets in sets; listeners; life and death
 */
#include "check.h"

#define TAG 0x1234567890abcdefu

/* The one event that comes within @ms; 0: none came. */
static uint32_t next(int e, int ms)
{
	struct epoll_event ev[4];
	int n = OK(epoll_wait(e, ev, 4, ms));

	CHECK(n <= 1);
	if (n)
		CHECK(ev[0].data.u64 == TAG);
	return n ? ev[0].events : 0;
}

static void control(int e, int op, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.u64 = TAG};

	OK(epoll_ctl(e, op, fd, &ev));
}

static int watching(int fd, uint32_t events)
{
	int e = OK(epoll_create1(EPOLL_CLOEXEC));

	control(e, EPOLL_CTL_ADD, fd, events);
	return e;
}

static void level(void)
{
	int fd[2], e;

	tcp_pair(fd);
	e = watching(fd[1], EPOLLIN);
	CHECK_EQ(next(e, 0), 0);
	write_all(fd[0], "ab", 2);
	CHECK_EQ(next(e, 5000), EPOLLIN);
	CHECK_EQ(next(e, 0), EPOLLIN);
	CHECK_EQ(recv(fd[1], (char[1]){0}, 1, 0), 1);
	CHECK_EQ(next(e, 0), EPOLLIN);
	CHECK_EQ(recv(fd[1], (char[1]){0}, 1, 0), 1);
	CHECK_EQ(next(e, 0), 0);
	control(e, EPOLL_CTL_MOD, fd[1], EPOLLIN | EPOLLOUT);
	CHECK_EQ(next(e, 0), EPOLLOUT);
}

/* One event for each arrival, read or not. */
static void edge_per_arrival(void)
{
	int fd[2], e;

	tcp_pair(fd);
	e = watching(fd[1], EPOLLIN | EPOLLET);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(next(e, 0), 0);
		write_all(fd[0], "x", 1);
		CHECK_EQ(next(e, 5000), EPOLLIN);
		CHECK_EQ(next(e, 50), 0);
	}
	CHECK_EQ(recv(fd[1], (char[2]){0}, 2, 0), 2);
	CHECK_EQ(next(e, 50), 0);
	write_all(fd[0], "x", 1);
	CHECK_EQ(next(e, 5000), EPOLLIN);
}

/* What is true already when it is registered, or modified, is an edge. */
static void edge_at_registration(void)
{
	int fd[2], e;

	tcp_pair(fd);
	write_all(fd[0], "x", 1);
	wait_bits(fd[1], POLLIN);
	e = watching(fd[1], EPOLLIN | EPOLLOUT | EPOLLET);
	CHECK_EQ(next(e, 0), EPOLLIN | EPOLLOUT);
	CHECK_EQ(next(e, 50), 0);
	control(e, EPOLL_CTL_MOD, fd[1], EPOLLIN | EPOLLET);
	CHECK_EQ(next(e, 0), EPOLLIN);
	CHECK_EQ(next(e, 50), 0);
}

static void edge_says_all_that_is_true(void)
{
	int fd[2], e;

	tcp_pair(fd);
	e = watching(fd[1], EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
	CHECK_EQ(next(e, 1000), EPOLLOUT);
	write_all(fd[0], "x", 1);
	CHECK_EQ(next(e, 5000), EPOLLIN | EPOLLOUT);
	OK(shutdown(fd[0], SHUT_WR));
	CHECK_EQ(next(e, 5000), EPOLLIN | EPOLLOUT | EPOLLRDHUP);
	CHECK_EQ(next(e, 50), 0);
}

static void oneshot(void)
{
	int fd[2], e;

	tcp_pair(fd);
	e = watching(fd[1], EPOLLIN | EPOLLONESHOT);
	write_all(fd[0], "x", 1);
	CHECK_EQ(next(e, 5000), EPOLLIN);
	write_all(fd[0], "x", 1);
	CHECK_EQ(next(e, 50), 0);
	control(e, EPOLL_CTL_MOD, fd[1], EPOLLIN | EPOLLONESHOT);
	CHECK_EQ(next(e, 5000), EPOLLIN);
	OK(close(fd[0]));
	CHECK_EQ(next(e, 50), 0);
	control(e, EPOLL_CTL_MOD, fd[1], EPOLLRDHUP | EPOLLONESHOT);
	CHECK_EQ(next(e, 5000), EPOLLRDHUP);
}

static void hang_up(void)
{
	int fd[2], e;

	tcp_pair(fd);
	e = watching(fd[1], EPOLLIN | EPOLLRDHUP);
	OK(close(fd[0]));
	CHECK_EQ(next(e, 5000), EPOLLIN | EPOLLRDHUP);
	control(e, EPOLL_CTL_MOD, fd[1], 0);
	CHECK_EQ(next(e, 0), 0);
	OK(shutdown(fd[1], SHUT_WR));
	CHECK_EQ(next(e, 5000), EPOLLHUP);
}

static void two_sets(void)
{
	int fd[2], lt, et;

	tcp_pair(fd);
	lt = watching(fd[1], EPOLLIN);
	et = watching(fd[1], EPOLLIN | EPOLLET);
	write_all(fd[0], "x", 1);
	CHECK_EQ(next(lt, 5000), EPOLLIN);
	CHECK_EQ(next(et, 5000), EPOLLIN);
	CHECK_EQ(next(lt, 0), EPOLLIN);
	CHECK_EQ(next(et, 0), 0);
	CHECK_EQ(recv(fd[1], (char[1]){0}, 1, 0), 1);
	CHECK_EQ(next(lt, 0), 0);
}

static void nested(void)
{
	struct pollfd p = {.events = POLLIN};
	int fd[2], inner, outer;

	tcp_pair(fd);
	inner = watching(fd[1], EPOLLIN);
	outer = watching(inner, EPOLLIN);
	p.fd = outer;
	CHECK_EQ(next(outer, 0), 0);
	CHECK_EQ(poll(&p, 1, 0), 0);
	write_all(fd[0], "x", 1);
	CHECK_EQ(poll(&p, 1, 5000), 1);
	CHECK_EQ(next(outer, 5000), EPOLLIN);
	CHECK_EQ(next(inner, 0), EPOLLIN);
	CHECK_EQ(recv(fd[1], (char[1]){0}, 1, 0), 1);
	CHECK_EQ(next(outer, 0), 0);
}

static void listener_level(void)
{
	struct sockaddr_in a;
	int l = listener(5, &a), e = watching(l, EPOLLIN);

	CHECK_EQ(next(e, 0), 0);
	connected(a);
	connected(a);
	CHECK_EQ(next(e, 5000), EPOLLIN);
	OK(accept(l, NULL, NULL));
	CHECK_EQ(next(e, 5000), EPOLLIN);
	OK(accept(l, NULL, NULL));
	CHECK_EQ(next(e, 0), 0);
}

static void listener_edge(void)
{
	struct sockaddr_in a;
	int l = listener(5, &a), e = watching(l, EPOLLIN | EPOLLET);

	CHECK_EQ(next(e, 0), 0);
	for (int i = 0; i < 2; i++) {
		connected(a);
		CHECK_EQ(next(e, 5000), EPOLLIN);
		CHECK_EQ(next(e, 50), 0);
	}
	set_nonblock(l);
	OK(accept(l, NULL, NULL));
	OK(accept(l, NULL, NULL));
	CHECK_ERRNO(accept(l, NULL, NULL), EAGAIN);
	connected(a);
	CHECK_EQ(next(e, 5000), EPOLLIN);
}

/* libevent and others register first and connect afterwards. */
static void registered_before_connect(void)
{
	for (int edge = 0; edge < 2; edge++) {
		uint32_t et = edge ? EPOLLET : 0;
		struct sockaddr_in a;
		int l = listener(5, &a), c, e, s;

		c = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
		e = watching(c, EPOLLIN | EPOLLOUT | EPOLLRDHUP | et);
		CHECK_EQ(next(e, 0), EPOLLOUT | EPOLLHUP);
		CHECK_EQ(next(e, 50), edge ? 0 : EPOLLOUT | EPOLLHUP);
		CHECK_ERRNO(connect(c, SA(&a), sizeof(a)), EINPROGRESS);
		CHECK_EQ(next(e, 5000), EPOLLOUT);
		s = OK(accept(l, NULL, NULL));
		write_all(s, "x", 1);
		wait_bits(c, POLLIN);
		CHECK_EQ(next(e, 5000), EPOLLIN | EPOLLOUT);
		OK(close(s));
		wait_bits(c, POLLRDHUP);
		CHECK_EQ(next(e, 5000), EPOLLIN | EPOLLOUT | EPOLLRDHUP);
	}
}

static void registered_before_listen(void)
{
	struct sockaddr_in a = test_address(0);
	int l = tcp_socket(), e = watching(l, EPOLLIN);

	CHECK_EQ(next(e, 0), EPOLLHUP);
	OK(bind(l, SA(&a), sizeof(a)));
	OK(listen(l, 5));
	CHECK_EQ(next(e, 0), 0);
	connected(local_name(l));
	CHECK_EQ(next(e, 5000), EPOLLIN);
	OK(accept(l, NULL, NULL));
}

static void connecting_is_silent(void)
{
	struct sockaddr_in a;
	int fd[16], n, e, l = listener(0, &a);

	n = fill_backlog(a, fd, 16);
	e = watching(fd[n - 1], EPOLLIN | EPOLLOUT | EPOLLRDHUP);
	CHECK_EQ(next(e, 50), 0);
	for (int i = 0; i < n; i++)
		OK(accept(l, NULL, NULL));
	CHECK_EQ(next(e, 5000), EPOLLOUT);
}

static void errors(void)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int fd[2], e, file = OK(open("/proc/self/exe", O_RDONLY));

	tcp_pair(fd);
	e = watching(fd[1], EPOLLIN);
	CHECK_ERRNO(epoll_ctl(e, EPOLL_CTL_ADD, fd[1], &ev), EEXIST);
	CHECK_ERRNO(epoll_ctl(e, EPOLL_CTL_MOD, fd[0], &ev), ENOENT);
	CHECK_ERRNO(epoll_ctl(e, EPOLL_CTL_DEL, fd[0], NULL), ENOENT);
	CHECK_ERRNO(epoll_ctl(e, EPOLL_CTL_ADD, 1000, &ev), EBADF);
	CHECK_ERRNO(epoll_ctl(e, EPOLL_CTL_ADD, file, &ev), EPERM);
	CHECK_ERRNO(epoll_ctl(e, EPOLL_CTL_ADD, e, &ev), EINVAL);
	CHECK_ERRNO(epoll_ctl(fd[0], EPOLL_CTL_ADD, fd[1], &ev), EINVAL);
	CHECK_ERRNO(epoll_wait(fd[0], &ev, 1, 0), EINVAL);
	CHECK_ERRNO(epoll_wait(e, &ev, 0, 0), EINVAL);
	CHECK_ERRNO(epoll_wait(1000, &ev, 1, 0), EBADF);
}

static void removed(void)
{
	int fd[2], e;

	tcp_pair(fd);
	e = watching(fd[1], EPOLLIN | EPOLLOUT);
	CHECK_EQ(next(e, 0), EPOLLOUT);
	OK(epoll_ctl(e, EPOLL_CTL_DEL, fd[1], NULL));
	CHECK_EQ(next(e, 0), 0);
	control(e, EPOLL_CTL_ADD, fd[1], EPOLLOUT);
	CHECK_EQ(next(e, 0), EPOLLOUT);
	OK(close(fd[1]));
	CHECK_EQ(next(e, 0), 0);
}

/* A set watches the open file: it stays until the last duplicate is closed. */
static void duplicate_keeps_it(void)
{
	int fd[2], e, copy;

	tcp_pair(fd);
	e = watching(fd[1], EPOLLOUT);
	copy = OK(dup(fd[1]));
	OK(close(fd[1]));
	CHECK_EQ(next(e, 0), EPOLLOUT);
	OK(close(copy));
	CHECK_EQ(next(e, 0), 0);
}

static void many_take_turns(void)
{
	struct epoll_event ev[8];
	int fd[32][2], e = OK(epoll_create1(0)), seen[32] = {0};

	for (int i = 0; i < 32; i++) {
		tcp_pair(fd[i]);
		ev[0] = (struct epoll_event){.events = EPOLLIN, .data.u32 = (uint32_t)i};
		OK(epoll_ctl(e, EPOLL_CTL_ADD, fd[i][1], &ev[0]));
		write_all(fd[i][0], "x", 1);
	}
	for (int i = 0; i < 32; i++)
		wait_bits(fd[i][1], POLLIN);
	for (int round = 0; round < 4; round++) {
		CHECK_EQ(epoll_wait(e, ev, 8, 1000), 8);
		for (int i = 0; i < 8; i++)
			seen[ev[i].data.u32]++;
	}
	for (int i = 0; i < 32; i++)
		CHECK_EQ(seen[i], 1);
}

static void *write_later(void *arg)
{
	sleep_ms(100);
	write_all(*(int *)arg, "x", 1);
	return NULL;
}

static void wakes_and_times_out(void)
{
	int fd[2], e;
	long long start = now_ms();
	pthread_t t;

	tcp_pair(fd);
	e = watching(fd[1], EPOLLIN);
	CHECK_EQ(next(e, 100), 0);
	CHECK(now_ms() - start >= 95);
	t = thread(write_later, &fd[0]);
	CHECK_EQ(next(e, -1), EPOLLIN);
	join(t);
}

CHECK_MAIN(CASE(level), ASIDE(edge_per_arrival), ASIDE(edge_at_registration),
	   CASE(edge_says_all_that_is_true), ASIDE(oneshot), CASE(hang_up), CASE(two_sets),
	   CASE(nested), CASE(listener_level), ASIDE(listener_edge),
	   CASE(registered_before_connect), CASE(registered_before_listen),
	   ASIDE(connecting_is_silent), CASE(errors), CASE(removed), CASE(duplicate_keeps_it),
	   ASIDE(many_take_turns), ASIDE(wakes_and_times_out))

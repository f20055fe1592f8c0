/* SPDX-License-Identifier: BSD-3-Clause
 *
 * come_back.c - Sets of connections whose way of carrying bytes changes to and fro: what they wait
 * for changes meanwhile, and no event is lost
 */
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "test/check.h"
#include "test/semantics/bare.h"

static void ctl(int e, int op, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};

	OK(epoll_ctl(e, op, fd, &ev));
}

/* A call that none of the library's is, and that asks for nothing */
static void disturb(int fd)
{
	long r = bare_call(SYS_recvfrom, fd, 0, 0, MSG_DONTWAIT, 0, 0);

	CHECK(r == 0 || r == -EAGAIN);
}

/* One byte to and fro, for some milliseconds: time enough to be as before */
static void go_on(int a, int b)
{
	long long until = now_ms() + 40;

	while (now_ms() < until) {
		expect_text(a, b, "x");
		expect_text(b, a, "y");
	}
}

/* --- one connection ------------------------------------------------------------------------ */

static void expect_event(int e, int fd, uint32_t events)
{
	struct epoll_event ev;

	CHECK_EQ(epoll_wait(e, &ev, 1, 3000), 1);
	CHECK_EQ(ev.events, events);
	CHECK_EQ(ev.data.fd, fd);
}

static void *send_soon(void *arg)
{
	sleep_ms(30);
	write_all(*(int *)arg, "z", 1);
	return NULL;
}

/* What comes is told, whether it is there already or comes later, and once only */
static void expect_arrivals(int e, const int fd[2])
{
	struct epoll_event ev;
	pthread_t t;

	for (int i = 0; i < 3; i++) {
		t = thread(send_soon, (void *)&fd[1]);
		expect_event(e, fd[0], EPOLLIN);
		join(t);
		CHECK_EQ(recv(fd[0], (char[1]){0}, 1, 0), 1);
		CHECK_EQ(epoll_wait(e, &ev, 1, 0), 0);
	}
}

/* It left as one that waits for bytes, and comes back while it waits for room alone. */
static void room_meanwhile(void)
{
	int fd[2], e = OK(epoll_create1(0));

	tcp_pair(fd);
	ctl(e, EPOLL_CTL_ADD, fd[0], EPOLLIN);
	go_on(fd[0], fd[1]);
	disturb(fd[0]);
	ctl(e, EPOLL_CTL_MOD, fd[0], EPOLLOUT);
	go_on(fd[0], fd[1]);
	expect_event(e, fd[0], EPOLLOUT);
	ctl(e, EPOLL_CTL_MOD, fd[0], EPOLLIN);
	expect_arrivals(e, fd);
}

/* The set is another one by then. */
static void other_set_meanwhile(void)
{
	int fd[2], e[2] = {OK(epoll_create1(0)), OK(epoll_create1(0))};
	struct epoll_event ev;

	tcp_pair(fd);
	for (int i = 0; i < 4; i++) {
		ctl(e[i % 2], EPOLL_CTL_ADD, fd[0], EPOLLIN);
		go_on(fd[0], fd[1]);
		disturb(fd[0]);
		ctl(e[i % 2], EPOLL_CTL_DEL, fd[0], 0);
		ctl(e[(i + 1) % 2], EPOLL_CTL_ADD, fd[0], EPOLLIN);
		go_on(fd[0], fd[1]);
		expect_arrivals(e[(i + 1) % 2], fd);
		CHECK_EQ(epoll_wait(e[i % 2], &ev, 1, 0), 0);
		ctl(e[(i + 1) % 2], EPOLL_CTL_DEL, fd[0], 0);
	}
}

/* Two sets have it from then on. */
static void second_set_meanwhile(void)
{
	int fd[2], e[2] = {OK(epoll_create1(0)), OK(epoll_create1(0))};

	tcp_pair(fd);
	ctl(e[0], EPOLL_CTL_ADD, fd[0], EPOLLIN);
	go_on(fd[0], fd[1]);
	disturb(fd[0]);
	ctl(e[1], EPOLL_CTL_ADD, fd[0], EPOLLIN);
	go_on(fd[0], fd[1]);
	expect_arrivals(e[0], fd);
	expect_arrivals(e[1], fd);
}

/* --- workers ---------------------------------------------------------------------------------- */

#define WORKERS 3
#define CLIENTS 8
#define RUN_MS 1500
#define LARGE 400000

/* A connection, as the worker has it whose set it is in */
struct conn {
	int fd;
	uint32_t events;
	size_t due; /* of an answer that has begun */
	uint32_t asked;
	size_t got; /* of asked */
};

struct worker {
	int e, pipe[2];
	unsigned seed;
	struct worker *all;
};

static struct conn conns[1024]; /* by number */
static char zeros[LARGE];

/* @fd below 0: that was all */
static void hand_to(const struct worker *w, int fd)
{
	CHECK_EQ(write(w->pipe[1], &fd, sizeof(fd)), sizeof(fd));
}

static void take_over(struct worker *w, int fd)
{
	conns[fd].events = EPOLLIN;
	ctl(w->e, EPOLL_CTL_ADD, fd, EPOLLIN);
}

static void wait_for(const struct worker *w, struct conn *c, uint32_t events)
{
	if (c->events != events)
		ctl(w->e, EPOLL_CTL_MOD, c->fd, events);
	c->events = events;
}

/*
 * An answer was given: the way changes, or another worker is to have it.
 * Return: false, that one has it
 */
static bool between_requests(struct worker *w, struct conn *c)
{
	unsigned r = (unsigned)rand_r(&w->seed) >> 3;

	if (r % 4 == 1)
		disturb(c->fd);
	if (r / 4 % 4)
		return true;
	ctl(w->e, EPOLL_CTL_DEL, c->fd, 0);
	hand_to(&w->all[r / 16 % WORKERS], c->fd);
	return false;
}

/* Return: it may go on at once */
static bool answer(struct worker *w, struct conn *c)
{
	ssize_t n = send(c->fd, zeros, c->due, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0) {
		CHECK_EQ(errno, EAGAIN);
		if (rand_r(&w->seed) % 16 == 0)
			disturb(c->fd);
		wait_for(w, c, EPOLLOUT);
		return false;
	}
	c->due -= (size_t)n;
	return c->due || between_requests(w, c);
}

static void serve(struct worker *w, struct conn *c)
{
	ssize_t n;

	for (;;) {
		if (c->due) {
			if (!answer(w, c))
				return;
			continue;
		}
		n = recv(c->fd, (char *)&c->asked + c->got, sizeof(c->asked) - c->got,
			 MSG_DONTWAIT);
		if (n < 0) {
			CHECK_EQ(errno, EAGAIN);
			wait_for(w, c, EPOLLIN);
			return;
		}
		if (!n) {
			OK(close(c->fd));
			return;
		}
		c->got += (size_t)n;
		if (c->got < sizeof(c->asked))
			continue;
		c->got = 0;
		c->due = c->asked;
	}
}

static void *work(void *arg)
{
	struct epoll_event ev[4];
	struct worker *w = arg;
	int n, fd;

	ctl(w->e, EPOLL_CTL_ADD, w->pipe[0], EPOLLIN);
	for (;;) {
		n = (int)OK(epoll_wait(w->e, ev, 4, -1));
		for (int i = 0; i < n; i++) {
			if (ev[i].data.fd != w->pipe[0]) {
				serve(w, &conns[ev[i].data.fd]);
				continue;
			}
			CHECK_EQ(read(w->pipe[0], &fd, sizeof(fd)), sizeof(fd));
			if (fd < 0)
				return NULL;
			take_over(w, fd);
		}
	}
}

struct client {
	struct sockaddr_in a;
	long long until;
	unsigned seed;
	_Atomic int *running;
};

/* Return: bytes that came.  None in five seconds: an event was lost */
static size_t receive_some(int fd, size_t most)
{
	static __thread char buf[65536];
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t n;

	if (OK(poll(&p, 1, 5000)) != 1)
		check_fail(__FILE__, __LINE__, "no answer in 5 s, %zu bytes are missing", most);
	n = OK(recv(fd, buf, most < sizeof(buf) ? most : sizeof(buf), 0));
	CHECK(n);
	return (size_t)n;
}

static void *ask(void *arg)
{
	struct client *c = arg;

	while (now_ms() < c->until) {
		int fd = connected(c->a);

		for (int i = 0; i < 200 && now_ms() < c->until; i++) {
			unsigned r = (unsigned)rand_r(&c->seed) >> 3;
			uint32_t n = r % 16 ? 1 + r / 16 % 300 : 1 + r / 16 % LARGE;

			write_all(fd, &n, sizeof(n));
			for (size_t left = n; left;)
				left -= receive_some(fd, left);
			if (r % 64 == 1)
				disturb(fd);
		}
		OK(close(fd));
	}
	--*c->running;
	return NULL;
}

/* Each has a set, connections go from one to another, and each set waits for a pipe, too. */
static void workers_with_sets(void)
{
	struct worker w[WORKERS];
	struct client c[CLIENTS];
	pthread_t wt[WORKERS], ct[CLIENTS];
	long long until = now_ms() + RUN_MS;
	_Atomic int running = CLIENTS;
	struct sockaddr_in a;
	int l = listener(CLIENTS, &a);

	for (unsigned i = 0; i < WORKERS; i++) {
		w[i] = (struct worker){.e = OK(epoll_create1(0)), .seed = i, .all = w};
		OK(pipe(w[i].pipe));
		wt[i] = thread(work, &w[i]);
	}
	for (unsigned i = 0; i < CLIENTS; i++) {
		c[i] =
		    (struct client){.a = a, .until = until, .seed = 100 + i, .running = &running};
		ct[i] = thread(ask, &c[i]);
	}
	for (unsigned i = 0; running; i++) {
		struct pollfd p = {.fd = l, .events = POLLIN};
		int fd;

		if (OK(poll(&p, 1, 50)) != 1)
			continue;
		fd = OK(accept(l, NULL, NULL));
		CHECK(fd < 1024);
		conns[fd] = (struct conn){.fd = fd};
		hand_to(&w[i % WORKERS], fd);
	}
	OK(close(l));
	for (int i = 0; i < CLIENTS; i++)
		join(ct[i]);
	for (int i = 0; i < WORKERS; i++)
		hand_to(&w[i], -1);
	for (int i = 0; i < WORKERS; i++)
		join(wt[i]);
}

CHECK_MAIN(CASE(room_meanwhile), CASE(other_set_meanwhile), CASE(second_set_meanwhile),
	   CASE(workers_with_sets))

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * one_shot.c - EPOLLONESHOT among threads that share a set: who was told of a connection has it to
 * itself until it says otherwise, and whatever comes meanwhile is told after that
 */
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "test/check.h"
#include "test/semantics/bare.h"

#define THREADS 4
#define CLIENTS 8
#define CONNS 65536

/* A connection of the server's; never used twice, so that what is told of it too late is seen */
struct conn {
	int fd;
	_Atomic int busy; /* a thread has it; 2: it is closed */
};

static struct conn conns[CONNS];

struct server {
	int set, listener;
	uint32_t events;
	bool moves; /* the way that bytes are carried changes at times */
	_Atomic unsigned next, served;
	_Atomic int running; /* clients */
};

static void watch(struct server *s, int op, unsigned id, uint32_t events)
{
	struct epoll_event ev = {.events = events | EPOLLONESHOT, .data.u64 = id};

	OK(epoll_ctl(s->set, op, conns[id].fd, &ev));
}

/* A call that none of the library's is, and that asks for nothing */
static void disturb(int fd)
{
	long r = bare_call(SYS_recvfrom, fd, 0, 0, MSG_DONTWAIT, 0, 0);

	CHECK(r == 0 || r == -EAGAIN || r == -ECONNRESET);
}

/* As much as there is, a part of it at times.  Return: false, it is over */
static bool serve(const struct server *s, int fd, unsigned *seed)
{
	char buf[64];
	ssize_t n;

	for (unsigned i = 0; i < 4; i++) {
		unsigned r = (unsigned)rand_r(seed) >> 3;

		n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n < 0) {
			CHECK(errno == EAGAIN);
			return true;
		}
		if (!n)
			return false;
		write_all(fd, buf, (size_t)n);
		if (s->moves && r % 64 == 0)
			disturb(fd);
		/* Others are told of what comes for others. */
		if (r % 8 == 1)
			sched_yield();
		if (r % 256 == 2)
			usleep(1000);
		if (r % 4 == 3 && !(s->events & EPOLLET))
			return true;
	}
	return true;
}

static void told(struct server *s, unsigned id, unsigned *seed)
{
	struct conn *c = &conns[id];
	int was = atomic_exchange(&c->busy, 1);

	if (was)
		check_fail(__FILE__, __LINE__, "connection %u was told of %s", id,
			   was == 1 ? "twice" : "after it was closed");
	s->served++;
	if (serve(s, c->fd, seed)) {
		atomic_store(&c->busy, 0);
		watch(s, EPOLL_CTL_MOD, id, s->events);
		return;
	}
	atomic_store(&c->busy, 2);
	OK(close(c->fd));
}

static void *work(void *arg)
{
	struct server *s = arg;
	struct epoll_event ev[3];
	unsigned seed = (unsigned)(uintptr_t)&ev;

	while (s->running) {
		int n = (int)OK(epoll_wait(s->set, ev, 3, 100));

		for (int i = 0; i < n; i++)
			told(s, (unsigned)ev[i].data.u64, &seed);
	}
	return NULL;
}

static void *accept_all(void *arg)
{
	struct server *s = arg;
	struct pollfd p = {.fd = s->listener, .events = POLLIN};

	while (s->running) {
		unsigned id;

		if (OK(poll(&p, 1, 50)) != 1)
			continue;
		id = s->next++;
		CHECK(id < CONNS);
		conns[id].fd = OK(accept(s->listener, NULL, NULL));
		watch(s, EPOLL_CTL_ADD, id, s->events);
	}
	return NULL;
}

struct client {
	struct server *s;
	struct sockaddr_in a;
	long long until;
	unsigned requests, seed;
};

/* One event lost, and nobody answers. */
static void expect_answer(const struct client *c, int fd, size_t n)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char buf[64];
	ssize_t k;

	for (; n; n -= (size_t)k) {
		if (OK(poll(&p, 1, 5000)) != 1)
			check_fail(__FILE__, __LINE__,
				   "no answer in 5 s, after %u connections and %u events",
				   c->s->next, c->s->served);
		k = OK(recv(fd, buf, n < sizeof(buf) ? n : sizeof(buf), 0));
		CHECK(k);
	}
}

static void *ask(void *arg)
{
	struct client *c = arg;
	char bytes[256] = {0};

	while (now_ms() < c->until) {
		int fd = connected(c->a);

		for (unsigned i = 0; i < c->requests && now_ms() < c->until; i++) {
			size_t n = 1 + ((unsigned)rand_r(&c->seed) >> 3) % sizeof(bytes);

			/* In pieces: more comes while somebody has it. */
			for (size_t at = 0, part; at < n; at += part) {
				part = 1 + n / 3 < n - at ? 1 + n / 3 : n - at;
				write_all(fd, bytes, part);
			}
			expect_answer(c, fd, n);
			if (c->s->moves && ((unsigned)rand_r(&c->seed) >> 3) % 64 == 0)
				disturb(fd);
		}
		OK(close(fd));
	}
	--c->s->running;
	return NULL;
}

static void run(uint32_t events, bool moves, unsigned requests, unsigned ms)
{
	struct client c[CLIENTS];
	pthread_t t[THREADS + CLIENTS + 1];
	struct sockaddr_in a;
	struct server s = {.set = OK(epoll_create1(0)),
			   .listener = listener(CLIENTS, &a),
			   .events = events,
			   .moves = moves,
			   .running = CLIENTS};
	int n = 0;

	t[n++] = thread(accept_all, &s);
	for (int i = 0; i < THREADS; i++)
		t[n++] = thread(work, &s);
	for (unsigned i = 0; i < CLIENTS; i++) {
		c[i] = (struct client){
		    .s = &s, .a = a, .until = now_ms() + ms, .requests = requests, .seed = i};
		t[n++] = thread(ask, &c[i]);
	}
	while (n)
		join(t[--n]);
	CHECK(s.served > s.next);
}

static void long_connections(void)
{
	run(EPOLLIN, false, 1u << 30, 500);
}

static void edges(void)
{
	run(EPOLLIN | EPOLLET | EPOLLRDHUP, false, 1u << 30, 500);
}

static void short_connections(void)
{
	run(EPOLLIN | EPOLLET | EPOLLRDHUP, false, 3, 500);
}

static void moving_connections(void)
{
	run(EPOLLIN, true, 300, 500);
}

static void moving_edges(void)
{
	run(EPOLLIN | EPOLLET, true, 300, 500);
}

/* --- one thread ---------------------------------------------------------------------------- */

static void ctl(int e, int op, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events | EPOLLONESHOT, .data.fd = fd};

	OK(epoll_ctl(e, op, fd, &ev));
}

static void expect(int e, int fd, uint32_t events)
{
	struct epoll_event ev;

	CHECK_EQ(epoll_wait(e, &ev, 1, events ? 3000 : 20), events ? 1 : 0);
	if (!events)
		return;
	CHECK_EQ(ev.events, events);
	CHECK_EQ(ev.data.fd, fd);
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

/* What was told stays told, and what was not does not, whichever way the bytes go by then. */
static void states(bool told, bool back)
{
	int fd[2], e = OK(epoll_create1(0));

	tcp_pair(fd);
	ctl(e, EPOLL_CTL_ADD, fd[0], EPOLLIN);
	if (told) {
		write_all(fd[1], "a", 1);
		expect(e, fd[0], EPOLLIN);
		CHECK_EQ(recv(fd[0], (char[1]){0}, 1, 0), 1);
	}
	disturb(fd[0]);
	if (back)
		go_on(fd[0], fd[1]);
	write_all(fd[1], "b", 1);
	expect(e, fd[0], told ? 0 : EPOLLIN);
	expect(e, fd[0], 0);
	CHECK_ERRNO(epoll_ctl(e, EPOLL_CTL_ADD, fd[0], &(struct epoll_event){0}), EEXIST);
	ctl(e, EPOLL_CTL_MOD, fd[0], EPOLLIN);
	expect(e, fd[0], EPOLLIN);
	expect(e, fd[0], 0);
	ctl(e, EPOLL_CTL_MOD, fd[0], EPOLLIN | EPOLLOUT);
	expect(e, fd[0], EPOLLIN | EPOLLOUT);
	OK(close(fd[1]));
	sleep_ms(20);
	expect(e, fd[0], 0);
	OK(epoll_ctl(e, EPOLL_CTL_DEL, fd[0], NULL));
	CHECK_ERRNO(epoll_ctl(e, EPOLL_CTL_DEL, fd[0], NULL), ENOENT);
	OK(close(fd[0]));
	OK(close(e));
}

static void states_are_kept(void)
{
	for (int i = 0; i < 4; i++)
		states(i & 1, i & 2);
}

CHECK_MAIN(CASE(states_are_kept), CASE(long_connections), CASE(edges), CASE(short_connections),
	   CASE(moving_connections), CASE(moving_edges))

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * hand_over.c - Options and calls that change how a connection's bytes are carried, while
 * they flow and others wait: no byte and no wake-up is lost, whatever way it goes then
 */
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "test/check.h"
#include "test/semantics/bare.h"
#include "test/semantics/pass.h"

/* --- disturbances --------------------------------------------------------------------- */

/* Of a connection @fd, whose other end is @peer; nobody loses anything by it. */
static void cork(int fd)
{
	set_option(fd, IPPROTO_TCP, TCP_CORK, 1);
	set_option(fd, IPPROTO_TCP, TCP_CORK, 0);
}

static void buffers(int fd)
{
	set_option(fd, SOL_SOCKET, SO_SNDBUF, 300000);
}

/* Flags that only some ways have: none is there */
static void urgent(int fd)
{
	char b;

	CHECK(recv(fd, &b, 1, MSG_OOB) < 0);
}

/* It goes to another place and comes back. */
static void passed(int fd)
{
	int way[2], copy;

	OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, way));
	send_fd(way[0], fd);
	copy = receive_fd(way[1]);
	OK(close(copy));
	OK(close(way[0]));
	OK(close(way[1]));
}

/* A child has it, and executes something else. */
static void inherited(int fd)
{
	pid_t pid = child();

	if (!pid) {
		OK(dup2(fd, 0));
		execl("/bin/true", "true", (char *)NULL);
		_exit(1);
	}
	reap(pid);
}

/* A call from where no jump can be put; nothing is asked for. */
static void unpatched(int fd)
{
	long r = bare_call(SYS_recvfrom, fd, 0, 0, MSG_DONTWAIT, 0, 0);

	CHECK(r == 0 || r == -EAGAIN);
}

static void (*const disturb[])(int) = {cork, buffers, urgent, passed, inherited, unpatched};

/* Those after which all can be as it was before */
static void (*const passing[])(int) = {urgent, passed, inherited, unpatched};

#define PASSING (sizeof(passing) / sizeof(passing[0]))

#define DISTURBANCES (sizeof(disturb) / sizeof(disturb[0]))

/* --- waiting ----------------------------------------------------------------------------- */

enum how { CALL, POLL, EPOLL, EDGES, HOWS };

/* Wait for @events of @fd; @e: a set that has it.  CALL: not here.  Return: false, in vain */
static bool wait_one(enum how how, int fd, int e, short events, int ms)
{
	struct pollfd p = {.fd = fd, .events = events};
	struct epoll_event ev;

	switch (how) {
	case POLL:
		return OK(poll(&p, 1, ms)) == 1;
	case EPOLL:
	case EDGES:
		return OK(epoll_wait(e, &ev, 1, ms)) == 1;
	default:
		return true;
	}
}

static int set_of(enum how how, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events | (how == EDGES ? EPOLLET : 0)};
	int e;

	if (how != EPOLL && how != EDGES)
		return -1;
	e = OK(epoll_create1(0));
	OK(epoll_ctl(e, EPOLL_CTL_ADD, fd, &ev));
	return e;
}

/* --- room ----------------------------------------------------------------------------------- */

static char big[1 << 20];

/* Return: bytes */
static size_t fill(int fd)
{
	size_t sum = 0;

	for (int full = 0; full < 3; full++) {
		ssize_t n;

		while ((n = send(fd, big, sizeof(big), MSG_DONTWAIT | MSG_NOSIGNAL)) > 0) {
			sum += (size_t)n;
			full = 0;
		}
		sleep_ms(5);
	}
	return sum;
}

struct waiter {
	enum how how;
	int fd, e;
};

static void *wait_for_room(void *arg)
{
	struct waiter *w = arg;

	if (w->how == CALL)
		return (void *)(intptr_t)(send(w->fd, big, 1, MSG_NOSIGNAL) == 1);
	return (void *)(intptr_t)wait_one(w->how, w->fd, w->e, POLLOUT, 8000);
}

static void take(int fd, size_t n)
{
	while (n) {
		ssize_t k = OK(recv(fd, big, n < sizeof(big) ? n : sizeof(big), 0));

		CHECK(k > 0);
		n -= (size_t)k;
	}
}

/* Whoever waits for room hears of it, though the way was changed meanwhile. */
static void room_is_told(enum how how, unsigned what, int end)
{
	struct waiter w = {.how = how};
	int fd[2];
	pthread_t t;
	size_t n;

	tcp_pair(fd);
	w.fd = fd[0];
	w.e = set_of(how, fd[0], EPOLLOUT);
	expect_text(fd[0], fd[1], "one way");
	expect_text(fd[1], fd[0], "and the other");
	n = fill(fd[0]);
	/* A moment in which there is room is not the end of it. */
	while (how != CALL && wait_one(how, fd[0], w.e, POLLOUT, 0))
		n += fill(fd[0]);
	t = thread(wait_for_room, &w);
	sleep_ms(30);
	disturb[what](fd[end]);
	sleep_ms(10);
	take(fd[1], n);
	if (!join(t))
		check_fail(__FILE__, __LINE__, "waiter %d, disturbance %u of end %d: in vain", how,
			   what, end);
	OK(close(fd[0]));
	OK(close(fd[1]));
	if (w.e >= 0)
		OK(close(w.e));
}

static void room(enum how how)
{
	DEADLINE(60);
	for (unsigned what = 0; what < DISTURBANCES; what++)
		for (int end = 0; end < 2; end++)
			room_is_told(how, what, end);
}

static void room_for_send(void)
{
	room(CALL);
}

static void room_for_poll(void)
{
	room(POLL);
}

static void room_for_epoll(void)
{
	room(EPOLL);
}

static void room_for_edges(void)
{
	room(EDGES);
}

/* --- bytes ---------------------------------------------------------------------------------- */

/* What is unread is told at once, though the way was changed just before. */
static void unread_is_told(enum how how)
{
	DEADLINE(60);
	for (unsigned what = 0; what < DISTURBANCES; what++)
		for (int end = 0; end < 2; end++) {
			int fd[2], e;

			tcp_pair(fd);
			e = set_of(how, fd[0], EPOLLIN);
			expect_text(fd[0], fd[1], "one way");
			write_all(fd[1], "unread", 6);
			CHECK(wait_one(how, fd[0], e, POLLIN, 2000));
			disturb[what](fd[end]);
			if (!wait_one(how, fd[0], e, POLLIN, 0))
				check_fail(__FILE__, __LINE__,
					   "waiter %d, disturbance %u of end %d: not told", how,
					   what, end);
			OK(close(fd[0]));
			OK(close(fd[1]));
			if (e >= 0)
				OK(close(e));
		}
}

static void unread_for_poll(void)
{
	unread_is_told(POLL);
}

static void unread_for_epoll(void)
{
	unread_is_told(EPOLL);
}

/* --- streams ---------------------------------------------------------------------------------- */

#define PAIRS 3
#define PIECE 40000

struct stream {
	int fd;
	enum how how;
	unsigned seed;
	size_t total;
	_Atomic int *ended; /* counts those that received all */
};

static uint8_t byte_at(size_t pos)
{
	return (uint8_t)(pos * 7 + (pos >> 9) * 31);
}

/* How many next: mostly a few, at times more than any buffer has at once */
static size_t some(unsigned *seed)
{
	unsigned r = (unsigned)rand_r(seed);

	return r % 8 ? 1 + r / 8 % 200 : 1 + r / 8 % PIECE;
}

static void *send_stream(void *arg)
{
	struct stream *s = arg;
	uint8_t buf[PIECE];
	int e = set_of(s->how, s->fd, EPOLLOUT);

	for (size_t pos = 0; pos < s->total;) {
		size_t n = some(&s->seed), done = 0;

		n = n < s->total - pos ? n : s->total - pos;
		for (size_t i = 0; i < n; i++)
			buf[i] = byte_at(pos + i);
		while (done < n) {
			ssize_t k = send(s->fd, buf + done, n - done,
					 MSG_NOSIGNAL | (s->how == CALL ? 0 : MSG_DONTWAIT));

			if (k >= 0) {
				done += (size_t)k;
				continue;
			}
			CHECK_EQ(errno, EAGAIN);
			if (!wait_one(s->how, s->fd, e, POLLOUT, 10000))
				check_fail(__FILE__, __LINE__, "no room in 10 s, waiter %d, at %zu",
					   s->how, pos);
		}
		pos += n;
	}
	if (e >= 0)
		OK(close(e));
	return NULL;
}

static void *receive_stream(void *arg)
{
	struct stream *s = arg;
	uint8_t buf[PIECE];
	int e = set_of(s->how, s->fd, EPOLLIN);

	for (size_t pos = 0; pos < s->total;) {
		ssize_t k = recv(s->fd, buf, some(&s->seed), s->how == CALL ? 0 : MSG_DONTWAIT);

		CHECK(k);
		if (k < 0) {
			CHECK_EQ(errno, EAGAIN);
			if (!wait_one(s->how, s->fd, e, POLLIN, 10000))
				check_fail(__FILE__, __LINE__, "nothing in 10 s, waiter %d, at %zu",
					   s->how, pos);
			continue;
		}
		for (ssize_t i = 0; i < k; i++)
			if (buf[i] != byte_at(pos + (size_t)i))
				check_fail(__FILE__, __LINE__, "waiter %d: wrong byte at %zu",
					   s->how, pos + (size_t)i);
		pos += (size_t)k;
	}
	if (e >= 0)
		OK(close(e));
	(*s->ended)++;
	return NULL;
}

struct both_ways {
	_Atomic int ended;
	int fd[2];
	struct stream s[4];
	pthread_t t[4];
};

/* Bytes both ways.  A socket is in one set at most. */
static void begin(struct both_ways *b, unsigned n, size_t total)
{
	static const enum how receives[] = {EPOLL, EDGES, POLL, CALL};
	static const enum how sends[] = {POLL, CALL};

	tcp_pair(b->fd);
	b->ended = 0;
	for (int i = 0; i < 4; i++) {
		b->s[i] = (struct stream){.fd = b->fd[i / 2],
					  .how = i % 2 ? receives[(n + (unsigned)i / 2) % 4]
						       : sends[(n / 4 + (unsigned)i / 2) % 2],
					  .seed = n * 4 + (unsigned)i,
					  .ended = &b->ended,
					  .total = total};
		b->t[i] = thread(i % 2 ? receive_stream : send_stream, &b->s[i]);
	}
}

static void end(struct both_ways *b)
{
	for (int i = 0; i < 4; i++)
		join(b->t[i]);
	OK(close(b->fd[0]));
	OK(close(b->fd[1]));
}

/* The way is changed to and fro. */
static void streams_under_corks(void)
{
	struct both_ways b[PAIRS];
	unsigned seed = 1;

	DEADLINE(60);
	for (unsigned round = 0; round < 4; round++) {
		long long until = now_ms() + 300;

		for (unsigned i = 0; i < PAIRS; i++)
			begin(&b[i], round * PAIRS + i, 2000000);
		while (now_ms() < until) {
			cork(b[rand_r(&seed) % PAIRS].fd[rand_r(&seed) % 2]);
			if (rand_r(&seed) % 4 == 0)
				sched_yield();
		}
		for (unsigned i = 0; i < PAIRS; i++)
			end(&b[i]);
	}
}

/* The way is changed for good, in the midst of it. */
static void streams_that_leave(void)
{
	struct both_ways b;
	unsigned seed = 2;

	DEADLINE(60);
	for (unsigned round = 0; round < 60; round++) {
		begin(&b, round, 300000);
		for (unsigned us = (unsigned)rand_r(&seed) % 5000; us > 200; us -= 200)
			usleep(200);
		disturb[rand_r(&seed) % DISTURBANCES](b.fd[rand_r(&seed) % 2]);
		end(&b);
	}
}

/* The way is changed for some time, again and again. */
static void streams_that_come_back(void)
{
	struct both_ways b;
	unsigned seed = 4;

	DEADLINE(60);
	for (unsigned round = 0; round < 16; round++) {
		begin(&b, round, 4000000);
		while (b.ended < 2) {
			usleep((unsigned)rand_r(&seed) % 4000);
			passing[rand_r(&seed) % PASSING](b.fd[rand_r(&seed) % 2]);
		}
		end(&b);
	}
}

#define ENDS 12

struct ends {
	int fd[ENDS][2];
};

static void *wake_all(void *arg)
{
	struct ends *e = arg;

	usleep(500);
	for (int i = 0; i < ENDS; i++)
		write_all(e->fd[i][1], "x", 1);
	return NULL;
}

/* Those of @e who were woken take what there is, and end, each while others still do. */
static void end_all(struct ends *e, unsigned *seed)
{
	struct pollfd p[ENDS];
	pthread_t t;
	char b;

	for (int i = 0; i < ENDS; i++)
		p[i] = (struct pollfd){.fd = e->fd[i][0], .events = POLLIN};
	t = thread(wake_all, e);
	CHECK(OK(poll(p, ENDS, 10000)) > 0);
	join(t);
	for (int i = 0; i < ENDS; i++) {
		CHECK_EQ(recv(e->fd[i][0], &b, 1, 0), 1);
		if (!i)
			OK(close(e->fd[i][0]));
	}
	for (int i = 1; i < ENDS; i++) {
		for (volatile int spin = rand_r(seed) % 4000; spin > 0; spin--)
			;
		OK(close(e->fd[i][0]));
	}
}

/* Bytes that nobody has read yet, and then the end: all of them come before it. */
static void end_after_bytes(void)
{
	static uint8_t bytes[120000], got[sizeof(bytes) + 1];
	unsigned seed = 3;
	struct ends e;

	DEADLINE(60);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = byte_at(i);
	for (int round = 0; round < 40; round++) {
		size_t sent[ENDS];

		for (int i = 0; i < ENDS; i++) {
			tcp_pair(e.fd[i]);
			sent[i] = (size_t)OK(send(e.fd[i][0], bytes, sizeof(bytes), MSG_DONTWAIT));
		}
		end_all(&e, &seed);
		for (int i = 0; i < ENDS; i++) {
			size_t sum = 0;

			for (ssize_t k = 1; k; sum += (size_t)k)
				k = OK(recv(e.fd[i][1], got + sum, sizeof(got) - sum, 0));
			if (sum != sent[i] || memcmp(got, bytes, sum))
				check_fail(__FILE__, __LINE__,
					   "round %d, end %d: %zu bytes of %zu came", round, i, sum,
					   sent[i]);
			OK(close(e.fd[i][1]));
		}
	}
}

/* --- time --------------------------------------------------------------------------------------
 */

#define CONNECTIONS 40

/*
 * The first bytes come before accept(), and small ones after them: nobody waits for an
 * acknowledgement that is kept back.
 */
static void early_bytes_cost_no_time(void)
{
	struct sockaddr_in a;
	int l = listener(4, &a);
	long long start = now_ms();

	for (int i = 0; i < CONNECTIONS; i++) {
		int fd[2] = {connected(a), -1};

		write_all(fd[0], "early", 5);
		fd[1] = OK(accept(l, NULL, NULL));
		CHECK_EQ(recv(fd[1], big, 5, MSG_WAITALL), 5);
		for (int k = 0; k < 3; k++) {
			expect_text(fd[0], fd[1], "request");
			expect_text(fd[1], fd[0], "answer");
		}
		OK(close(fd[0]));
		OK(close(fd[1]));
	}
	CHECK(now_ms() - start < CONNECTIONS * 20);
}

CHECK_MAIN(CASE(room_for_send), CASE(room_for_poll), CASE(room_for_epoll), CASE(room_for_edges),
	   CASE(unread_for_poll), CASE(unread_for_epoll), CASE(streams_under_corks),
	   CASE(streams_that_leave), CASE(streams_that_come_back), CASE(end_after_bytes),
	   CASE(early_bytes_cost_no_time))

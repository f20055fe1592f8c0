/* SPDX-License-Identifier: BSD-3-Clause
 *
 * taken_out.c - One thread waits for connections, takes out what it was told of, and hands it to
 * others, who put it in again once they have answered: nothing is told of what is out, nor twice
 */
#include <stdatomic.h>
#include <sys/epoll.h>

#include "test/check.h"

#define THREADS 4
#define CLIENTS 12
#define EVENTS 8

struct server {
	int set, out[2]; /* a pipe: numbers of connections that were taken out */
	int fd[CLIENTS];
	_Atomic bool in[CLIENTS];
	_Atomic int running; /* clients */
};

static void put_in(struct server *s, unsigned id)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP, .data.u64 = id};

	atomic_store(&s->in[id], true);
	OK(epoll_ctl(s->set, EPOLL_CTL_ADD, s->fd[id], &ev));
}

static void *wait_for_them(void *arg)
{
	struct server *s = arg;
	struct epoll_event ev[EVENTS];

	while (s->running) {
		int n = (int)OK(epoll_wait(s->set, ev, EVENTS, 50));

		for (int i = 0; i < n; i++) {
			unsigned id = (unsigned)ev[i].data.u64;

			if (!atomic_exchange(&s->in[id], false))
				check_fail(__FILE__, __LINE__, "told of %u, which is out", id);
			OK(epoll_ctl(s->set, EPOLL_CTL_DEL, s->fd[id], NULL));
			CHECK_EQ(write(s->out[1], &id, sizeof(id)), sizeof(id));
		}
	}
	OK(close(s->out[1]));
	return NULL;
}

static void *answer(void *arg)
{
	struct server *s = arg;
	char buf[64];
	unsigned id;
	ssize_t n;

	while (OK(read(s->out[0], &id, sizeof(id))) == sizeof(id)) {
		/* Until there is nothing more, as who keeps a connection alive does. */
		while ((n = recv(s->fd[id], buf, sizeof(buf), MSG_DONTWAIT)) > 0)
			write_all(s->fd[id], buf, (size_t)n);
		CHECK(n == 0 || errno == EAGAIN);
		if (n)
			put_in(s, id);
	}
	return NULL;
}

struct client {
	struct server *s;
	int fd;
	long long until;
};

static void *ask(void *arg)
{
	struct client *c = arg;
	struct pollfd p = {.fd = c->fd, .events = POLLIN};
	char buf[100] = {0};

	for (unsigned i = 0; now_ms() < c->until; i++) {
		size_t n = 1 + i % sizeof(buf);

		write_all(c->fd, buf, n);
		if (OK(poll(&p, 1, 4000)) != 1)
			check_fail(__FILE__, __LINE__, "no answer in 4 s, after %u", i);
		CHECK_EQ(read_all(c->fd, buf, n), n);
		/* So that who waits sleeps now and then */
		if (i % 64 == 63)
			sleep_ms(1);
	}
	--c->s->running;
	return NULL;
}

static void by_others(void)
{
	struct server s = {.set = OK(epoll_create1(0)), .running = CLIENTS};
	pthread_t t[THREADS + CLIENTS + 1];
	struct client c[CLIENTS];
	int n = 0;

	OK(pipe(s.out));
	for (unsigned i = 0; i < CLIENTS; i++) {
		int fd[2];

		tcp_pair(fd);
		s.fd[i] = fd[1];
		put_in(&s, i);
		c[i] = (struct client){.s = &s, .fd = fd[0], .until = now_ms() + 1500};
	}
	t[n++] = thread(wait_for_them, &s);
	for (int i = 0; i < THREADS; i++)
		t[n++] = thread(answer, &s);
	for (unsigned i = 0; i < CLIENTS; i++)
		t[n++] = thread(ask, &c[i]);
	while (n)
		join(t[--n]);
}

CHECK_MAIN(CASE(by_others))

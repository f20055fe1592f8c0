/* SPDX-License-Identifier: BSD-3-Clause
 *
 * prefork.c - Several processes, or threads, serve one listener; nobody is lost
 *
 * A server answers a request byte with its number.  Only that every client is
 * served is asserted, and that nobody is served twice: who serves is a race.
 */
#include <sched.h>
#include <stdlib.h>

#include "check.h"

#define SERVERS 4
#define CLIENTS 400

static void serve(int s, char number)
{
	char b;

	CHECK_EQ(recv(s, &b, 1, 0), 1);
	write_all(s, &number, 1);
	expect_eof(s);
	OK(close(s));
}

static void blocking_server(int l, char number)
{
	for (;;)
		serve(OK(accept(l, NULL, NULL)), number);
}

static void exclusive_server(int l, char number)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLEXCLUSIVE};
	int e = OK(epoll_create1(0));

	OK(epoll_ctl(e, EPOLL_CTL_ADD, l, &ev));
	for (;;) {
		int s;

		CHECK_EQ(epoll_wait(e, &ev, 1, -1), 1);
		CHECK_EQ(ev.events, EPOLLIN);
		s = accept4(l, NULL, NULL, SOCK_CLOEXEC);
		if (s < 0)
			CHECK_EQ(errno, EAGAIN);
		else
			serve(s, number);
	}
}

static void poll_server(int l, char number)
{
	struct pollfd p = {.fd = l, .events = POLLIN};

	for (;;) {
		int s;

		CHECK_EQ(poll(&p, 1, -1), 1);
		s = accept(l, NULL, NULL);
		if (s < 0)
			CHECK_EQ(errno, EAGAIN);
		else
			serve(s, number);
	}
}

/* Nothing says which of several connections is accepted first. */
static void all_are_served(struct sockaddr_in a)
{
	struct pollfd p[8];

	for (int i = 0; i < CLIENTS; i += 8) {
		for (int k = 0; k < 8; k++) {
			p[k] = (struct pollfd){.fd = connected(a), .events = POLLIN};
			write_all(p[k].fd, "?", 1);
		}
		for (int left = 8; left;) {
			CHECK(poll(p, 8, -1) > 0);
			for (int k = 0; k < 8; k++) {
				char b;

				if (p[k].fd < 0 || !p[k].revents)
					continue;
				CHECK_EQ(recv(p[k].fd, &b, 1, 0), 1);
				CHECK(b >= 0 && b < SERVERS);
				OK(close(p[k].fd));
				p[k].fd = -1;
				left--;
			}
		}
	}
}

static void with_children(void (*server)(int, char), bool nonblocking)
{
	struct sockaddr_in a;
	int l = listener(128, &a), status;
	pid_t pid[SERVERS];

	if (nonblocking)
		set_nonblock(l);
	for (char i = 0; i < SERVERS; i++) {
		pid[(int)i] = child();
		if (!pid[(int)i]) {
			server(l, i);
			_exit(0);
		}
	}
	OK(close(l));
	all_are_served(a);
	for (int i = 0; i < SERVERS; i++) {
		CHECK_EQ(waitpid(pid[i], &status, WNOHANG), 0);
		OK(kill(pid[i], SIGTERM));
		status = reap_status(pid[i]);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	}
	CHECK_ERRNO(connect(tcp_socket(), SA(&a), sizeof(a)), ECONNREFUSED);
}

static void blocking_accept(void)
{
	with_children(blocking_server, false);
}

static void epoll_exclusive(void)
{
	with_children(exclusive_server, true);
}

static void polled(void)
{
	with_children(poll_server, true);
}

/* One server dies; its listener lives on in the others. */
static void survivors_serve(void)
{
	struct sockaddr_in a;
	int l = listener(128, &a);
	pid_t pid[SERVERS];

	for (char i = 0; i < SERVERS; i++) {
		pid[(int)i] = child();
		if (!pid[(int)i])
			blocking_server(l, i);
	}
	OK(close(l));
	sleep_ms(50);
	for (int i = 0; i < SERVERS - 1; i++) {
		OK(kill(pid[i], SIGKILL));
		reap_status(pid[i]);
	}
	for (int i = 0; i < 20; i++) {
		int c = connected(a);
		char b;

		write_all(c, "?", 1);
		CHECK_EQ(recv(c, &b, 1, 0), 1);
		CHECK_EQ(b, SERVERS - 1);
		OK(close(c));
	}
	OK(kill(pid[SERVERS - 1], SIGKILL));
	reap_status(pid[SERVERS - 1]);
}

/* A server that is killed on its way to the next accept() keeps no listener. */
static void killed_at_the_door(void)
{
	unsigned seed = 1;

	for (int i = 0; i < 100; i++) {
		struct sockaddr_in a;
		int l = listener(4, &a), c;
		pid_t pid = child();
		char b;

		if (!pid)
			blocking_server(l, 0);
		OK(close(l));
		c = connected(a);
		write_all(c, "?", 1);
		CHECK_EQ(recv(c, &b, 1, 0), 1);
		OK(close(c));
		for (int n = rand_r(&seed) % 400; n > 0; n--)
			sched_yield();
		OK(kill(pid, SIGKILL));
		reap_status(pid);
		CHECK_ERRNO(connect(tcp_socket(), SA(&a), sizeof(a)), ECONNREFUSED);
	}
}

static int shared;

static void *accepting_thread(void *arg)
{
	blocking_server(shared, (char)(intptr_t)arg);
	return NULL;
}

static void threads_accept(void)
{
	struct sockaddr_in a;

	shared = listener(128, &a);
	for (intptr_t i = 0; i < SERVERS; i++)
		thread(accepting_thread, (void *)i);
	all_are_served(a);
}

CHECK_MAIN(CASE(blocking_accept), CASE(epoll_exclusive), CASE(polled), CASE(survivors_serve),
	   CASE(killed_at_the_door), CASE(threads_accept))

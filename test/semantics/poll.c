/* SPDX-License-Identifier: BSD-3-Clause
 *
 * poll.c - poll(2), select(2) and their kin, in every state of a socket
 */
#include <sys/select.h>

#include "check.h"

static void fresh(void)
{
	struct sockaddr_in a = test_address(0);
	int fd = tcp_socket();

	CHECK_EQ(poll_bits(fd), POLLOUT | POLLHUP);
	OK(bind(fd, SA(&a), sizeof(a)));
	CHECK_EQ(poll_bits(fd), POLLOUT | POLLHUP);
}

static void listening(void)
{
	struct sockaddr_in a;
	int l = listener(5, &a);

	CHECK_EQ(poll_bits(l), 0);
	connected(a);
	CHECK_EQ(wait_bits(l, POLLIN), POLLIN);
	connected(a);
	OK(accept(l, NULL, NULL));
	CHECK_EQ(wait_bits(l, POLLIN), POLLIN);
	OK(accept(l, NULL, NULL));
	CHECK_EQ(poll_bits(l), 0);
}

static void established(void)
{
	int fd[2];

	tcp_pair(fd);
	CHECK_EQ(poll_bits(fd[0]), POLLOUT);
	CHECK_EQ(poll_bits(fd[1]), POLLOUT);
	write_all(fd[0], "x", 1);
	CHECK_EQ(wait_bits(fd[1], POLLIN), POLLIN | POLLOUT);
	CHECK_EQ(recv(fd[1], (char[1]){0}, 1, 0), 1);
	CHECK_EQ(poll_bits(fd[1]), POLLOUT);
	OK(shutdown(fd[0], SHUT_WR));
	CHECK_EQ(wait_bits(fd[1], POLLRDHUP), POLLIN | POLLOUT | POLLRDHUP);
}

/* RDHUP is told only to those who asked, HUP to all. */
static void only_what_is_asked(void)
{
	struct pollfd p = {.events = 0};
	int fd[2];

	tcp_pair(fd);
	OK(close(fd[0]));
	wait_bits(fd[1], POLLRDHUP);
	p.fd = fd[1];
	CHECK_EQ(poll(&p, 1, 0), 0);
	p.events = POLLIN;
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLIN);
	OK(shutdown(fd[1], SHUT_WR));
	p.events = 0;
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLHUP);
}

static void times_out(void)
{
	struct pollfd p = {.events = POLLIN};
	struct timespec t = {0, 100000000};
	long long start;
	int fd[2];

	tcp_pair(fd);
	p.fd = fd[1];
	start = now_ms();
	CHECK_EQ(poll(&p, 1, 100), 0);
	CHECK_EQ(ppoll(&p, 1, &t, NULL), 0);
	CHECK(now_ms() - start >= 195);
}

static void *write_later(void *arg)
{
	sleep_ms(100);
	write_all(*(int *)arg, "x", 1);
	return NULL;
}

static void wakes(void)
{
	struct pollfd p[2] = {{.events = POLLIN}, {.events = POLLIN}};
	int a[2], b[2];
	pthread_t t;

	tcp_pair(a);
	tcp_pair(b);
	p[0].fd = a[1];
	p[1].fd = b[1];
	t = thread(write_later, &b[0]);
	CHECK_EQ(poll(p, 2, 5000), 1);
	CHECK_EQ(p[0].revents, 0);
	CHECK_EQ(p[1].revents, POLLIN);
	join(t);
}

static void mixed_with_others(void)
{
	int fd[2], pipes[2], closed = tcp_socket();
	struct pollfd p[5];

	OK(close(closed));
	OK(pipe(pipes));
	closed = 1000;
	tcp_pair(fd);
	write_all(fd[0], "x", 1);
	wait_bits(fd[1], POLLIN);
	p[0] = (struct pollfd){.fd = fd[1], .events = POLLIN};
	p[1] = (struct pollfd){.fd = pipes[0], .events = POLLIN};
	p[2] = (struct pollfd){.fd = pipes[1], .events = POLLOUT};
	p[3] = (struct pollfd){.fd = closed, .events = POLLIN};
	p[4] = (struct pollfd){.fd = -1, .events = POLLIN};
	CHECK_EQ(poll(p, 5, 1000), 3);
	CHECK_EQ(p[0].revents, POLLIN);
	CHECK_EQ(p[1].revents, 0);
	CHECK_EQ(p[2].revents, POLLOUT);
	CHECK_EQ(p[3].revents, POLLNVAL);
	CHECK_EQ(p[4].revents, 0);
}

/* Return: select's answer for one descriptor: 1 read, 2 write, 4 exception. */
static int selected(int fd, int ms)
{
	struct timeval t = {ms / 1000, ms % 1000 * 1000};
	fd_set r, w, x;
	int n, bits;

	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_ZERO(&x);
	FD_SET(fd, &r);
	FD_SET(fd, &w);
	FD_SET(fd, &x);
	n = OK(select(fd + 1, &r, &w, &x, &t));
	bits = (FD_ISSET(fd, &r) ? 1 : 0) | (FD_ISSET(fd, &w) ? 2 : 0) | (FD_ISSET(fd, &x) ? 4 : 0);
	CHECK_EQ(n, __builtin_popcount((unsigned)bits));
	return bits;
}

static void select_states(void)
{
	struct sockaddr_in a;
	int l = listener(1, &a), c, s;

	CHECK_EQ(selected(tcp_socket(), 0), 3);
	CHECK_EQ(selected(l, 0), 0);
	c = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	CHECK_ERRNO(connect(c, SA(&a), sizeof(a)), EINPROGRESS);
	CHECK_EQ(selected(c, 5000), 2);
	CHECK_EQ(selected(l, 5000), 1);
	s = OK(accept(l, NULL, NULL));
	write_all(c, "x", 1);
	wait_bits(s, POLLIN);
	CHECK_EQ(selected(s, 0), 3);
	CHECK_EQ(recv(s, (char[1]){0}, 1, 0), 1);
	OK(close(c));
	wait_bits(s, POLLIN);
	CHECK_EQ(selected(s, 0), 3);
}

static void select_refused(void)
{
	struct sockaddr_in a = test_address(0);
	int bound = tcp_socket(), c = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));

	OK(bind(bound, SA(&a), sizeof(a)));
	a = local_name(bound);
	CHECK_ERRNO(connect(c, SA(&a), sizeof(a)), EINPROGRESS);
	wait_bits(c, POLLERR);
	CHECK_EQ(selected(c, 1000), 3);
	CHECK_EQ(socket_error(c), ECONNREFUSED);
}

static void pselect_times_out(void)
{
	struct timespec t = {0, 100000000};
	long long start = now_ms();
	int fd[2];
	fd_set r;

	tcp_pair(fd);
	FD_ZERO(&r);
	FD_SET(fd[1], &r);
	CHECK_EQ(pselect(fd[1] + 1, &r, NULL, NULL, &t, NULL), 0);
	CHECK(now_ms() - start >= 95);
	CHECK(!FD_ISSET(fd[1], &r));
}

static void many_at_once(void)
{
	struct pollfd p[64];
	int fd[64][2];

	for (int i = 0; i < 64; i++) {
		tcp_pair(fd[i]);
		p[i] = (struct pollfd){.fd = fd[i][1], .events = POLLIN};
		if (i % 3 == 0)
			write_all(fd[i][0], "x", 1);
	}
	for (int i = 0; i < 64; i += 3)
		wait_bits(fd[i][1], POLLIN);
	CHECK_EQ(poll(p, 64, 1000), 22);
	for (int i = 0; i < 64; i++)
		CHECK_EQ(p[i].revents, i % 3 ? 0 : POLLIN);
}

/* tcp_poll() knows no band for writing. */
static void no_write_band(void)
{
	struct epoll_event ev = {.events = EPOLLWRBAND | EPOLLOUT};
	int fd[2], e = OK(epoll_create1(0));

	tcp_pair(fd);
	for (int i = 0; i < 2; i++) {
		struct pollfd p = {.fd = fd[i], .events = POLLWRBAND};

		expect_text(fd[i], fd[!i], "used");
		CHECK_EQ(poll(&p, 1, 0), 0);
		p.events = POLLWRBAND | POLLOUT | POLLWRNORM;
		CHECK_EQ(poll(&p, 1, 0), 1);
		CHECK_EQ(p.revents, POLLOUT | POLLWRNORM);
	}
	OK(epoll_ctl(e, EPOLL_CTL_ADD, fd[0], &ev));
	CHECK_EQ(epoll_wait(e, &ev, 1, 1000), 1);
	CHECK_EQ(ev.events, EPOLLOUT);
}

/* datagram_poll() has it with the others. */
static void write_band_of_udp(void)
{
	struct sockaddr_in a = test_address(0);
	int s = OK(socket(AF_INET, SOCK_DGRAM, 0));
	struct pollfd p = {.fd = s, .events = POLLWRBAND};

	OK(bind(s, SA(&a), sizeof(a)));
	a = local_name(s);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(poll(&p, 1, 0), 1);
		CHECK_EQ(p.revents, POLLWRBAND);
		CHECK_EQ(sendto(s, "x", 1, 0, SA(&a), sizeof(a)), 1);
		CHECK_EQ(recv(s, (char[1]){0}, 1, 0), 1);
	}
}

CHECK_MAIN(CASE(fresh), CASE(listening), CASE(established), CASE(only_what_is_asked),
	   ASIDE(times_out), ASIDE(wakes), CASE(mixed_with_others), CASE(select_states),
	   CASE(select_refused), ASIDE(pselect_times_out), CASE(many_at_once), CASE(no_write_band),
	   CASE(write_band_of_udp))

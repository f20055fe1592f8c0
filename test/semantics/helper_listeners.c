/* SPDX-License-Identifier: BSD-3-Clause
 *
 * helper_listeners.c - Servers of one process that wait in different ways
 *
 *	helper_listeners PORT		echo at PORT to PORT+3, see servers[]
 *	helper_listeners PORT slow	accepts one connection each 100 ms, and says so
 *	helper_listeners PORT stuck	never accepts
 *	helper_listeners PORT fork	a child holds the listener as well
 *
 * Prints "ready"; ends with 0 on SIGTERM if all was as it should.
 */
#include "check.h"

static uint16_t base;

static int listen_at(uint16_t port, int flags)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = (int)OK(socket(AF_INET, SOCK_STREAM | flags, 0));

	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	OK(bind(fd, SA(&a), sizeof(a)));
	OK(listen(fd, 16));
	return fd;
}

/* One byte and back; whoever is quiet is left */
static void serve(int fd)
{
	char c;

	if (read(fd, &c, 1) == 1)
		CHECK_EQ(write(fd, &c, 1), 1);
	OK(close(fd));
}

static int accept_from(int listener)
{
	struct sockaddr_in peer = {0};
	socklen_t len = sizeof(peer);
	int fd = accept(listener, SA(&peer), &len);

	if (fd < 0) {
		CHECK(errno == EAGAIN);
		return -1;
	}
	CHECK_EQ(peer.sin_family, AF_INET);
	CHECK(peer.sin_port != 0);
	return fd;
}

/* Level-triggered, with data, registered at two instances, one of them a duplicate's */
static void *level(void *arg)
{
	int l = listen_at(base, SOCK_NONBLOCK), d = (int)OK(dup(l));
	int ep = (int)OK(epoll_create1(0)), other = (int)OK(epoll_create1(0));
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = 0x123456789abcdefull};

	OK(epoll_ctl(ep, EPOLL_CTL_ADD, l, &e));
	e.data.u64++;
	OK(epoll_ctl(other, EPOLL_CTL_ADD, d, &e));
	set_option(l, IPPROTO_TCP, TCP_NODELAY, 1);
	for (;;) {
		struct epoll_event got;
		int fd;

		CHECK_EQ(epoll_wait(ep, &got, 1, -1), 1);
		CHECK(got.data.u64 == 0x123456789abcdefull);
		CHECK_EQ(epoll_wait(other, &got, 1, 5000), 1);
		CHECK(got.data.u64 == 0x123456789abcdf0ull);
		CHECK(fcntl(l, F_GETFL) & O_NONBLOCK);
		CHECK_EQ(fcntl(l, F_GETFD), 0);
		CHECK_EQ(get_option(l, SOL_SOCKET, SO_REUSEADDR), 1);
		fd = accept_from(d);
		if (fd < 0)
			continue;
		CHECK_EQ(get_option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
		CHECK_EQ(local_name(fd).sin_port, htons(base));
		serve(fd);
	}
	return arg;
}

static void *edge(void *arg)
{
	int l = listen_at((uint16_t)(base + 1), SOCK_NONBLOCK | SOCK_CLOEXEC), fd;
	int ep = (int)OK(epoll_create1(EPOLL_CLOEXEC));
	struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.fd = l};

	OK(epoll_ctl(ep, EPOLL_CTL_ADD, l, &e));
	for (;;) {
		CHECK_EQ(epoll_wait(ep, &e, 1, -1), 1);
		CHECK_EQ(e.data.fd, l);
		CHECK_EQ(fcntl(l, F_GETFD), FD_CLOEXEC);
		while ((fd = accept_from(l)) >= 0)
			serve(fd);
	}
	return arg;
}

static void *select_one(void *arg)
{
	int l = listen_at((uint16_t)(base + 2), 0);

	for (;;) {
		fd_set set;

		FD_ZERO(&set);
		FD_SET(l, &set);
		CHECK_EQ(select(l + 1, &set, NULL, NULL, NULL), 1);
		serve(accept_from(l));
	}
	return arg;
}

/* Two threads in accept() of one listener */
static void *block(void *arg)
{
	for (;;)
		serve(accept_from((int)(intptr_t)arg));
	return NULL;
}

static void *slow(void *arg)
{
	int l = listen_at(base, 0), fd;

	puts("ready");
	sleep_ms(1000); /* for all to come */
	for (int n = 1;; n++) {
		fd = accept_from(l);
		printf("accepted %d\n", n);
		CHECK(fd >= 0);
		sleep_ms(100);
	}
	return arg;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 2 ? argv[2] : "";
	sigset_t set;
	int sig, l;

	CHECK(argc > 1);
	setvbuf(stdout, NULL, _IOLBF, 0);
	base = (uint16_t)atoi(argv[1]);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (!strcmp(mode, "slow")) {
		thread(slow, NULL);
	} else if (*mode) {
		listen_at(base, 0);
		if (!strcmp(mode, "fork") && !child())
			for (;;)
				pause();
		puts("ready");
	} else {
		thread(level, NULL);
		thread(edge, NULL);
		thread(select_one, NULL);
		l = listen_at((uint16_t)(base + 3), 0);
		thread(block, (void *)(intptr_t)l);
		thread(block, (void *)(intptr_t)l);
		sleep_ms(200);
		puts("ready");
	}
	CHECK_EQ(sigwait(&set, &sig), 0);
	return 0;
}

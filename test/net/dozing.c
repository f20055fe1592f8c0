/* SPDX-License-Identifier: BSD-3-Clause
 *
 * dozing.c - Threads that send numbers to and fro, and wait for each
 *
 *	dozing serve|call ADDRESS PORT recv|poll|epoll COUNT
 *
 * A connection for each of THREADS threads.  A number that is lost, or comes twice, or a
 * wait of more than a second, ends it with 1.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define THREADS 6
#define WAIT_MS 1000

static struct sockaddr_in peer = {.sin_family = AF_INET};
static const char *how;
static unsigned count;
static bool calls;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void await(int fd, int epfd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct epoll_event ev;

	if (!strcmp(how, "poll") && poll(&p, 1, WAIT_MS) != 1)
		fail("poll");
	if (!strcmp(how, "epoll") && epoll_wait(epfd, &ev, 1, WAIT_MS) != 1)
		fail("epoll_wait");
}

static void *run(void *arg)
{
	int fd = *(int *)arg, epfd = epoll_create1(0), one = 1;
	struct epoll_event ev = {.events = EPOLLIN};
	unsigned number;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev))
		fail("epoll_ctl");
	for (unsigned i = 0; i < count; i++) {
		if (calls && send(fd, &i, sizeof(i), 0) != sizeof(i))
			fail("send");
		await(fd, epfd);
		if (recv(fd, &number, sizeof(number), MSG_WAITALL) != sizeof(number) || number != i)
			fail("recv");
		if (!calls && send(fd, &i, sizeof(i), 0) != sizeof(i))
			fail("send");
	}
	return NULL;
}

static int listen_there(void)
{
	int l = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(l, (struct sockaddr *)&peer, sizeof(peer)) || listen(l, THREADS))
		fail("listen");
	return l;
}

static int connect_there(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(fd, (struct sockaddr *)&peer, sizeof(peer)))
		fail("connect");
	return fd;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	int fds[THREADS], l = -1;

	if (argc != 6 || inet_pton(AF_INET, argv[2], &peer.sin_addr) != 1)
		return 2;
	calls = !strcmp(argv[1], "call");
	peer.sin_port = htons((uint16_t)atoi(argv[3]));
	how = argv[4];
	count = (unsigned)atoi(argv[5]);
	if (!calls) {
		l = listen_there();
		puts("listens");
		fflush(stdout);
	}
	for (int i = 0; i < THREADS; i++) {
		fds[i] = calls ? connect_there() : accept(l, NULL, NULL);
		if (fds[i] < 0)
			fail("accept");
	}
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, run, &fds[i]);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * many.c - Many connections that do little
 *
 *	many serve PORT
 *	many hold ADDRESS PORT COUNT SOURCE SOURCES FIFO
 *	many pairs COUNT
 *
 * serve echoes, and says "ready".  hold makes COUNT connections, from SOURCES addresses
 * that begin with SOURCE, each of which gets 64 bytes back; it says "up", and for each
 * line that comes by FIFO does it again and says "again".  pairs makes AF_UNIX pairs with a
 * byte unread and watched, as the relay has them, and says "up".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIZE 64

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void say(const char *what)
{
	puts(what);
	fflush(stdout);
}

static void watch(int ep, int fd, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.fd = fd};

	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) < 0)
		fail("epoll_ctl");
}

static void serve(uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), ep = epoll_create1(0), one = 1;
	struct epoll_event ev[256];

	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(l, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(l, 1024) < 0)
		fail("listen");
	watch(ep, l, EPOLLIN);
	say("ready");
	for (;;) {
		int n = epoll_wait(ep, ev, 256, -1);

		for (int i = 0; i < n; i++) {
			int fd = ev[i].data.fd;
			char b[SIZE];
			ssize_t k;

			if (fd == l) {
				fd = accept4(l, NULL, NULL, SOCK_NONBLOCK);
				if (fd >= 0)
					watch(ep, fd, EPOLLIN);
				else if (errno != EAGAIN)
					fail("accept");
				continue;
			}
			k = read(fd, b, sizeof(b));
			if (k > 0 ? write(fd, b, (size_t)k) != k : errno != EAGAIN || !k)
				close(fd);
		}
	}
}

/* Send to all of @n, then expect it from all, a group at a time. */
static void exchange(const int *fd, int n, int first)
{
	for (int at = 0; at < n; at += 200) {
		char out[SIZE], in[SIZE];

		for (int i = at; i < n && i < at + 200; i++) {
			memset(out, 'a' + (first + i) % 26, SIZE);
			if (write(fd[i], out, SIZE) != SIZE)
				fail("write");
		}
		for (int i = at; i < n && i < at + 200; i++) {
			memset(out, 'a' + (first + i) % 26, SIZE);
			if (recv(fd[i], in, SIZE, MSG_WAITALL) != SIZE || memcmp(in, out, SIZE)) {
				fprintf(stderr, "connection %d: not what was sent\n", i);
				fail("recv");
			}
		}
	}
}

static void hold(char **arg)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arg[1]))};
	struct sockaddr_in from = {.sin_family = AF_INET};
	int n = atoi(arg[2]), sources = atoi(arg[4]), *fd = calloc((size_t)n, sizeof(*fd));
	uint32_t first;
	char line[80];
	FILE *in;

	inet_pton(AF_INET, arg[0], &to.sin_addr);
	inet_pton(AF_INET, arg[3], &from.sin_addr);
	first = ntohl(from.sin_addr.s_addr);
	for (int i = 0; i < n; i++) {
		int one = 1;

		fd[i] = socket(AF_INET, SOCK_STREAM, 0);
		from.sin_addr.s_addr = htonl(first + (uint32_t)(i % sources));
		setsockopt(fd[i], IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
		if (bind(fd[i], (struct sockaddr *)&from, sizeof(from)) < 0 ||
		    connect(fd[i], (struct sockaddr *)&to, sizeof(to)) < 0)
			fail("connect");
		if (i % 200 == 199 || i == n - 1)
			exchange(fd + i / 200 * 200, i % 200 + 1, i / 200 * 200);
	}
	say("up");
	in = fopen(arg[5], "r");
	if (!in)
		fail(arg[5]);
	while (fgets(line, sizeof(line), in)) {
		exchange(fd, n, 0);
		say("again");
	}
}

static void pairs(int n)
{
	int ep = epoll_create1(0), p[2];

	for (int i = 0; i < n; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, p) < 0 || write(p[0], "", 1) != 1)
			fail("socketpair");
		watch(ep, p[1], EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
	}
	say("up");
	pause();
}

int main(int argc, char **argv)
{
	struct rlimit r = {1 << 20, 1 << 20};

	setrlimit(RLIMIT_NOFILE, &r);
	if (argc == 3 && !strcmp(argv[1], "serve"))
		serve((uint16_t)atoi(argv[2]));
	else if (argc == 8 && !strcmp(argv[1], "hold"))
		hold(argv + 2);
	else if (argc == 3 && !strcmp(argv[1], "pairs"))
		pairs(atoi(argv[2]));
	else
		fprintf(stderr, "usage: see the head of many.c\n");
	return argc < 3;
}

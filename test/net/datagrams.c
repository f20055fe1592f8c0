/* SPDX-License-Identifier: BSD-3-Clause
 *
 * datagrams.c - Datagrams to and fro, each waited for
 *
 *	datagrams serve ADDRESS PORT [many]
 *	datagrams call ADDRESS PORT recv|poll|epoll|spin|many connected|unconnected COUNT
 *
 * The server sends back what comes, to whom it came from; many: by recvmmsg() and sendmmsg(), with
 * the address that it came to.  A datagram that is lost, comes twice, or is another one ends the
 * caller with 1; many: it sends some at once.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS 3000
#define MANY 8
#define LARGEST 1400

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void serve(int fd)
{
	char buf[LARGEST + 1];
	struct sockaddr_in from;

	puts("listens");
	fflush(stdout);
	for (;;) {
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);

		if (n < 0 || sendto(fd, buf, (size_t)n, 0, (struct sockaddr *)&from, len) != n)
			fail("serve");
	}
}

/* Room for some datagrams, their peers, and IP_PKTINFO */
static struct many {
	struct mmsghdr m[MANY];
	struct iovec v[MANY];
	struct sockaddr_in peer[MANY];
	char buf[MANY][LARGEST + 1];
	_Alignas(struct cmsghdr) char control[MANY][CMSG_SPACE(sizeof(struct in_pktinfo))];
} many;

static void prepare_many(void)
{
	for (int i = 0; i < MANY; i++) {
		many.v[i] = (struct iovec){many.buf[i], sizeof(many.buf[i])};
		many.m[i].msg_hdr = (struct msghdr){.msg_name = &many.peer[i],
						    .msg_namelen = sizeof(many.peer[i]),
						    .msg_iov = &many.v[i],
						    .msg_iovlen = 1,
						    .msg_control = many.control[i],
						    .msg_controllen = sizeof(many.control[i])};
	}
}

static void serve_many(int fd)
{
	int one = 1;

	if (setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one)))
		fail("IP_PKTINFO");
	puts("listens");
	fflush(stdout);
	for (;;) {
		int n;

		prepare_many();
		n = recvmmsg(fd, many.m, MANY, MSG_WAITFORONE, NULL);
		for (int i = 0; i < n; i++) {
			many.v[i].iov_len = many.m[i].msg_len;
			if (many.m[i].msg_hdr.msg_controllen != sizeof(many.control[i]))
				fail("IP_PKTINFO is not told");
		}
		if (n < 0 || sendmmsg(fd, many.m, (unsigned)n, 0) != n)
			fail("serve");
	}
}

static void call_many(int fd, const struct sockaddr_in *to, bool connected, unsigned count)
{
	for (unsigned first = 0; first < count; first += MANY) {
		int got = 0, n;

		prepare_many();
		for (unsigned i = 0; i < MANY; i++) {
			struct msghdr *m = &many.m[i].msg_hdr;

			many.v[i].iov_len = sizeof(i) + i * 50;
			memset(many.buf[i], (int)(first + i), many.v[i].iov_len);
			many.peer[i] = *to;
			if (connected)
				m->msg_name = NULL, m->msg_namelen = 0;
			m->msg_controllen = 0;
		}
		if (sendmmsg(fd, many.m, MANY, 0) != MANY)
			fail("sendmmsg");
		for (; got < MANY; got += n) {
			prepare_many();
			n = recvmmsg(fd, many.m, (unsigned)(MANY - got), 0, NULL);
			if (n <= 0)
				fail("recvmmsg");
			for (int i = 0; i < n; i++)
				if (many.m[i].msg_len != sizeof(i) + (size_t)(got + i) * 50 ||
				    many.buf[i][0] != (char)(first + (unsigned)(got + i))) {
					fprintf(stderr, "datagram %u came back as another\n",
						first + (unsigned)(got + i));
					exit(1);
				}
		}
	}
}

static ssize_t receive(int fd, int epfd, const char *how, char *buf, size_t n)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct epoll_event ev;
	ssize_t r;

	if (!strcmp(how, "poll") && poll(&p, 1, WAIT_MS) != 1)
		fail("poll");
	if (!strcmp(how, "epoll") && epoll_wait(epfd, &ev, 1, WAIT_MS) != 1)
		fail("epoll_wait");
	do
		r = recv(fd, buf, n, 0);
	while (r < 0 && errno == EAGAIN && !strcmp(how, "spin"));
	return r;
}

static void call(int fd, const struct sockaddr_in *to, const char *how, bool connected,
		 unsigned count)
{
	int epfd = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN};
	char out[LARGEST], in[LARGEST + 1];

	if (connected && connect(fd, (const struct sockaddr *)to, sizeof(*to)))
		fail("connect");
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev))
		fail("epoll_ctl");
	if (strcmp(how, "recv") && fcntl(fd, F_SETFL, O_NONBLOCK))
		fail("fcntl");
	for (unsigned i = 0; i < count; i++) {
		size_t n = i % 3 ? 64 : i * 7 % (LARGEST - 4) + 4;
		ssize_t r;

		memset(out, (int)i, n);
		memcpy(out, &i, sizeof(i));
		r = connected ? send(fd, out, n, 0)
			      : sendto(fd, out, n, 0, (const struct sockaddr *)to, sizeof(*to));
		if (r != (ssize_t)n)
			fail("send");
		r = receive(fd, epfd, how, in, sizeof(in));
		if (r < 0)
			fail("recv");
		if (r != (ssize_t)n || memcmp(in, out, n)) {
			fprintf(stderr, "%s: datagram %u came back as another\n", how, i);
			exit(1);
		}
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (argc < 4)
		return 2;
	inet_pton(AF_INET, argv[2], &a.sin_addr);
	a.sin_port = htons((uint16_t)atoi(argv[3]));
	if (!strcmp(argv[1], "serve")) {
		if (bind(fd, (struct sockaddr *)&a, sizeof(a)))
			fail("bind");
		argc == 5 ? serve_many(fd) : serve(fd);
	}
	if (argc != 7)
		return 2;
	if (!strcmp(argv[4], "many")) {
		bool connected = !strcmp(argv[5], "connected");

		if (connected && connect(fd, (struct sockaddr *)&a, sizeof(a)))
			fail("connect");
		call_many(fd, &a, connected, (unsigned)atoi(argv[6]));
		return 0;
	}
	call(fd, &a, argv[4], !strcmp(argv[5], "connected"), (unsigned)atoi(argv[6]));
	return 0;
}

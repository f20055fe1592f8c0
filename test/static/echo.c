// SPDX-License-Identifier: BSD-3-Clause
/*
 * echo.c - An echo server and its client, to be linked statically
 *
 *	echo-musl server ADDRESS PORT
 *	echo-musl client ADDRESS PORT BYTES CONNECTIONS
 *
 * A static program has no libc.so that anything could be preloaded into.  The
 * server is one thread and one poll(), each connection a small buffer, so that
 * a slow reader makes it stop reading from that connection.  It honours
 * half-close: FIN goes back once everything read has been echoed.  The client
 * drives all connections at once, with a different stream on each, shuts its
 * side down after BYTES and wants exactly its own stream and then FIN.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 512
#define BUFFER 16384

struct connection {
	size_t sent, received; /* client: of the whole stream */
	size_t start, end;     /* server: what buf holds */
	uint32_t seed_tx, seed_rx;
	bool eof;
	bool connecting;
	char buf[BUFFER];
};

static struct pollfd fds[CONNECTIONS_MAX + 1];
static struct connection *conns[CONNECTIONS_MAX + 1];

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "echo: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void address(struct sockaddr_in *sin, const char *host, const char *port)
{
	memset(sin, 0, sizeof(*sin));
	sin->sin_family = AF_INET;
	sin->sin_port = htons(atoi(port));
	if (inet_pton(AF_INET, host, &sin->sin_addr) != 1) {
		fprintf(stderr, "echo: not an IPv4 address: %s\n", host);
		exit(2);
	}
}

static int nonblocking_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("socket");
	return fd;
}

static struct connection *new_connection(void)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (!c)
		fail("calloc");
	return c;
}

/* --- server --- */

static int accept_one(int listener, int n)
{
	struct sockaddr_in peer, again;
	socklen_t len = sizeof(peer), len2 = sizeof(again);
	int fd = accept4(listener, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK);

	if (fd < 0) {
		if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
			fail("accept4");
		return n;
	}
	if (getpeername(fd, (struct sockaddr *)&again, &len2) == 0 &&
	    (again.sin_port != peer.sin_port || again.sin_addr.s_addr != peer.sin_addr.s_addr)) {
		fprintf(stderr, "echo: accept and getpeername disagree\n");
		exit(1);
	}
	if (n > CONNECTIONS_MAX) {
		close(fd);
		return n;
	}
	conns[n] = new_connection();
	fds[n].fd = fd;
	fds[n].events = POLLIN;
	fds[n].revents = 0;
	return n + 1;
}

/* Returns false when the connection is over */
static bool serve(struct pollfd *p, struct connection *c)
{
	ssize_t r;

	if (c->start == c->end && !c->eof) {
		r = read(p->fd, c->buf, BUFFER);
		if (r < 0)
			return errno == EAGAIN || errno == EINTR;
		c->start = 0;
		c->end = r;
		c->eof = r == 0;
	}
	if (c->start < c->end) {
		r = send(p->fd, c->buf + c->start, c->end - c->start, MSG_NOSIGNAL);
		if (r < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		if (r > 0)
			c->start += r;
	}
	p->events = c->start < c->end ? POLLOUT : POLLIN;
	return !c->eof || c->start < c->end;
}

static _Noreturn void server(const char *host, const char *port)
{
	struct sockaddr_in sin;
	int on = 1, n = 1;

	address(&sin, host, port);
	fds[0].fd = nonblocking_socket();
	fds[0].events = POLLIN;
	if (setsockopt(fds[0].fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)))
		fail("SO_REUSEADDR");
	if (bind(fds[0].fd, (struct sockaddr *)&sin, sizeof(sin)))
		fail("bind");
	if (listen(fds[0].fd, 128))
		fail("listen");
	printf("listening on %s:%s\n", host, port);
	fflush(stdout);

	for (;;) {
		if (poll(fds, n, -1) < 0) {
			if (errno == EINTR)
				continue;
			fail("poll");
		}
		for (int i = n - 1; i > 0; i--) {
			if (!fds[i].revents || serve(&fds[i], conns[i]))
				continue;
			close(fds[i].fd);
			free(conns[i]);
			n--;
			fds[i] = fds[n];
			conns[i] = conns[n];
		}
		if (fds[0].revents)
			n = accept_one(fds[0].fd, n);
	}
}

/* --- client --- */

static uint8_t next_byte(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 24;
}

static void finish_connect(int fd, struct connection *c)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len))
		fail("SO_ERROR");
	if (error) {
		errno = error;
		fail("connect");
	}
	c->connecting = false;
}

static void transmit(struct pollfd *p, struct connection *c, size_t bytes)
{
	size_t len = bytes - c->sent < BUFFER ? bytes - c->sent : BUFFER;
	uint32_t seed = c->seed_tx;
	ssize_t r;

	for (size_t i = 0; i < len; i++)
		c->buf[i] = next_byte(&seed);
	r = send(p->fd, c->buf, len, MSG_NOSIGNAL);
	if (r < 0) {
		if (errno != EAGAIN && errno != EINTR)
			fail("send");
		return;
	}
	for (ssize_t i = 0; i < r; i++)
		next_byte(&c->seed_tx);
	c->sent += r;
	if (c->sent == bytes) {
		if (shutdown(p->fd, SHUT_WR))
			fail("shutdown");
		p->events = POLLIN;
	}
}

/* Returns false at the end of the stream */
static bool receive(struct pollfd *p, struct connection *c, size_t bytes)
{
	ssize_t r = read(p->fd, c->buf, BUFFER);

	if (r < 0) {
		if (errno != EAGAIN && errno != EINTR)
			fail("read");
		return true;
	}
	for (ssize_t i = 0; i < r; i++) {
		if ((uint8_t)c->buf[i] != next_byte(&c->seed_rx)) {
			fprintf(stderr, "echo: wrong byte at %zu\n", c->received + i);
			exit(1);
		}
	}
	c->received += r;
	if (r == 0 && c->received != bytes) {
		fprintf(stderr, "echo: FIN after %zu of %zu bytes\n", c->received, bytes);
		exit(1);
	}
	return r != 0;
}

static int client(const char *host, const char *port, size_t bytes, int n)
{
	struct sockaddr_in sin;
	int left = n;

	if (n < 1 || n > CONNECTIONS_MAX || bytes < 1) {
		fprintf(stderr, "echo: 1 to %d connections, at least a byte\n", CONNECTIONS_MAX);
		return 2;
	}
	address(&sin, host, port);
	for (int i = 0; i < n; i++) {
		conns[i] = new_connection();
		conns[i]->seed_tx = conns[i]->seed_rx = i + 1;
		conns[i]->connecting = true;
		fds[i].fd = nonblocking_socket();
		fds[i].events = POLLOUT;
		if (connect(fds[i].fd, (struct sockaddr *)&sin, sizeof(sin)) &&
		    errno != EINPROGRESS)
			fail("connect");
	}
	while (left) {
		int ready = poll(fds, n, 20000);

		if (ready < 0 && errno != EINTR)
			fail("poll");
		if (ready == 0) {
			fprintf(stderr, "echo: stalled, %d connections open\n", left);
			return 1;
		}
		for (int i = 0; i < n; i++) {
			struct connection *c = conns[i];

			if (fds[i].fd < 0 || !fds[i].revents)
				continue;
			if (c->connecting) {
				finish_connect(fds[i].fd, c);
				fds[i].events = POLLIN | POLLOUT;
				continue;
			}
			if ((fds[i].revents & POLLOUT) && c->sent < bytes)
				transmit(&fds[i], c, bytes);
			if ((fds[i].revents & ~POLLOUT) && !receive(&fds[i], c, bytes)) {
				close(fds[i].fd);
				fds[i].fd = -1;
				left--;
			}
		}
	}
	printf("ok: %d connections, %zu bytes each way\n", n, bytes);
	return 0;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc == 4 && !strcmp(argv[1], "server"))
		server(argv[2], argv[3]);
	if (argc == 6 && !strcmp(argv[1], "client"))
		return client(argv[2], argv[3], strtoul(argv[4], NULL, 10), atoi(argv[5]));
	fprintf(stderr, "usage: %s server ADDRESS PORT | client ADDRESS PORT BYTES CONNECTIONS\n",
		argv[0]);
	return 2;
}

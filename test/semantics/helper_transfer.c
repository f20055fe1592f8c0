/* SPDX-License-Identifier: BSD-3-Clause
 *
 * helper_transfer.c - One end of a connection, for tests whose ends are two processes
 *
 *	helper_transfer serve  ADDRESS PORT MB [CONNECTIONS]
 *	helper_transfer client ADDRESS PORT MB [CONNECTIONS]
 *	helper_transfer echo   ADDRESS PORT	answer for ever, a line "ready" first
 *	helper_transfer ask    ADDRESS PORT	one byte to an echo and back
 *	helper_transfer hold   ADDRESS PORT	connect, say "up", wait for the end and name it
 *
 * serve and client send and check MB megabytes each way at once, on each of
 * CONNECTIONS connections in sequence.  hold prints "EOF" or the errno's name.
 */
#include "check.h"

#define BLOCK 65536

struct flow {
	int fd;
	size_t total;
	uint8_t key;
};

static uint8_t byte_at(size_t at, uint8_t key)
{
	uint64_t x = (at / 8 + key) * 0x9e3779b97f4a7c15u;

	return (uint8_t)(x >> 56 ^ x >> (at % 8 * 7));
}

static void *produce(void *arg)
{
	const struct flow *f = arg;
	uint8_t *buf = malloc(BLOCK);
	unsigned seed = f->key;

	for (size_t at = 0; at < f->total;) {
		size_t n = 1 + (size_t)rand_r(&seed) % BLOCK;

		if (n > f->total - at)
			n = f->total - at;
		for (size_t i = 0; i < n; i++)
			buf[i] = byte_at(at + i, f->key);
		write_all(f->fd, buf, n);
		at += n;
	}
	OK(shutdown(f->fd, SHUT_WR));
	free(buf);
	return NULL;
}

static void consume(int fd, size_t total, uint8_t key)
{
	uint8_t *buf = malloc(BLOCK);
	size_t at = 0;
	ssize_t n;

	while ((n = OK(read(fd, buf, BLOCK))) > 0)
		for (ssize_t i = 0; i < n; i++, at++)
			if (buf[i] != byte_at(at, key))
				check_fail(__FILE__, __LINE__, "wrong byte at %zu of %zu", at,
					   total);
	CHECK_EQ(at, total);
	free(buf);
}

static void exchange(int fd, size_t total, uint8_t send_key, uint8_t recv_key)
{
	struct flow f = {fd, total, send_key};
	pthread_t t = thread(produce, &f);

	consume(fd, total, recv_key);
	join(t);
	OK(close(fd));
}

static int open_listener(struct sockaddr_in a)
{
	int l = tcp_socket();

	set_option(l, SOL_SOCKET, SO_REUSEADDR, 1);
	OK(bind(l, SA(&a), sizeof(a)));
	OK(listen(l, 64));
	puts("ready");
	fflush(stdout);
	return l;
}

static void *echo(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[4096];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (send(fd, buf, (size_t)n, MSG_NOSIGNAL) != n)
			break;
	close(fd);
	return NULL;
}

static void echo_server(struct sockaddr_in a)
{
	int l = open_listener(a);

	alarm(0);
	for (;;) {
		pthread_t t = thread(echo, (void *)(intptr_t)OK(accept(l, NULL, NULL)));

		pthread_detach(t);
	}
}

static void hold(struct sockaddr_in a)
{
	int c = connected(a);
	char b;

	expect_text(c, c, "?");
	puts("up");
	fflush(stdout);
	puts(recv(c, &b, 1, 0) < 0 ? check_errno_name(errno) : "EOF");
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	size_t total = argc > 4 ? (size_t)atoi(argv[4]) << 20 : 0;
	int count = argc > 5 ? atoi(argv[5]) : 1;
	const char *verb = argc > 3 ? argv[1] : "";

	check_name = "helper_transfer";
	DEADLINE(110);
	if (argc < 4 || inet_pton(AF_INET, argv[2], &a.sin_addr) != 1) {
		fprintf(stderr, "usage: see the head of helper_transfer.c\n");
		return 2;
	}
	a.sin_port = htons((uint16_t)atoi(argv[3]));
	if (!strcmp(verb, "serve")) {
		int l = open_listener(a);

		for (int i = 0; i < count; i++)
			exchange((int)OK(accept(l, NULL, NULL)), total, 1, 2);
	} else if (!strcmp(verb, "client")) {
		for (int i = 0; i < count; i++)
			exchange(connected(a), total, 2, 1);
	} else if (!strcmp(verb, "echo")) {
		echo_server(a);
	} else if (!strcmp(verb, "ask")) {
		int c = connected(a);

		expect_text(c, c, "!");
	} else if (!strcmp(verb, "hold")) {
		hold(a);
	} else {
		fprintf(stderr, "%s: no verb '%s'\n", argv[0], verb);
		return 2;
	}
	return 0;
}

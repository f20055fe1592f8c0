/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sockets.c - What a program's own calls take, round trips, and connections
 *
 *	sockets calls ADDRESS
 *		send and recv of 64 bytes on a ready socket: ns a call
 *	sockets echo ADDRESS PORT [once|datagrams]
 *		a server: 64 bytes come back; once: it closes then; datagrams: of UDP
 *	sockets pingpong ADDRESS PORT SECONDS [datagrams]
 *		64 bytes there and back, both block: median and 99th percentile, us
 *	sockets idle ADDRESS PORT COUNT
 *		the same, COUNT times after 50 ms of nothing
 *	sockets connect ADDRESS PORT COUNT
 *		connections to an echo server of `once': how many a second
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SIZE 64
#define BURST 100 /* calls in a row, less than any buffer holds */
#define ROUNDS 200
#define TRIPS_MAX 4000000
#define IDLE_US 50000
#define SERVERS 4 /* threads that accept */
#define CLIENTS 8 /* threads that connect */

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void no_delay(int fd)
{
	int one = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
		die("TCP_NODELAY");
}

static struct sockaddr_in address_of(const char *address, const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};

	if (inet_pton(AF_INET, address, &a.sin_addr) != 1)
		die(address);
	return a;
}

static int listen_at(struct sockaddr_in *a)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	socklen_t len = sizeof(*a);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)a, sizeof(*a)) || listen(fd, 128) ||
	    getsockname(fd, (struct sockaddr *)a, &len))
		die("listen");
	return fd;
}

static bool datagrams;

static int connect_to(const struct sockaddr_in *a)
{
	int fd = socket(AF_INET, datagrams ? SOCK_DGRAM : SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)a, sizeof(*a)))
		die("connect");
	if (!datagrams)
		no_delay(fd);
	return fd;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* --- calls ------------------------------------------------------------------ */

static void calls(const char *address)
{
	struct sockaddr_in a = address_of(address, "0");
	int listener = listen_at(&a), out = connect_to(&a), in = accept(listener, NULL, NULL);
	static double ns[ROUNDS];
	char buf[SIZE] = "";

	if (in < 0)
		die("accept");
	for (int r = 0; r < ROUNDS; r++) {
		uint64_t start = now_ns(), spent;
		int there = 0;

		for (int i = 0; i < BURST; i++)
			if (send(out, buf, SIZE, 0) != SIZE)
				die("send");
		spent = now_ns() - start;
		while (there < BURST * SIZE) {
			usleep(100);
			if (ioctl(in, FIONREAD, &there))
				die("FIONREAD");
		}
		start = now_ns();
		for (int i = 0; i < BURST; i++)
			if (recv(in, buf, SIZE, 0) != SIZE)
				die("recv");
		ns[r] = (double)(spent + now_ns() - start) / (2 * BURST);
	}
	qsort(ns, ROUNDS, sizeof(ns[0]), by_value);
	printf("%.1f\n", ns[ROUNDS / 2]);
}

/* --- echo ------------------------------------------------------------------- */

static bool once;

static void *serve(void *arg)
{
	int listener = *(int *)arg;
	char buf[SIZE];

	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			die("accept");
		no_delay(fd);
		while (recv(fd, buf, SIZE, MSG_WAITALL) == SIZE)
			if (send(fd, buf, SIZE, MSG_NOSIGNAL) != SIZE || once)
				break;
		close(fd);
	}
	return NULL;
}

static void echo(const char *address, const char *port)
{
	struct sockaddr_in a = address_of(address, port);
	int listener = listen_at(&a);
	pthread_t t;

	for (int i = 1; i < SERVERS; i++)
		if (pthread_create(&t, NULL, serve, &listener))
			die("pthread_create");
	serve(&listener);
}

static void echo_datagrams(const char *address, const char *port)
{
	struct sockaddr_in a = address_of(address, port), from;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	char buf[SIZE];

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)))
		die("bind");
	puts("ready");
	fflush(stdout);
	for (;;) {
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, buf, SIZE, 0, (struct sockaddr *)&from, &len);

		if (n < 0 || sendto(fd, buf, (size_t)n, 0, (struct sockaddr *)&from, len) != n)
			die("echo");
	}
}

static void pingpong(const char *address, const char *port, double seconds)
{
	struct sockaddr_in a = address_of(address, port);
	double *us = malloc(TRIPS_MAX * sizeof(*us));
	uint64_t end, start = now_ns(), next;
	int fd = connect_to(&a);
	char buf[SIZE] = "";
	size_t n = 0;

	if (!us)
		die("malloc");
	end = start + (uint64_t)(seconds * 1e9);
	for (start = now_ns(); start < end && n < TRIPS_MAX; start = next) {
		if (send(fd, buf, SIZE, 0) != SIZE || recv(fd, buf, SIZE, MSG_WAITALL) != SIZE)
			die("round trip");
		next = now_ns();
		us[n++] = (double)(next - start) / 1000;
	}
	qsort(us, n, sizeof(us[0]), by_value);
	printf("%.2f %.2f\n", us[n / 2], us[n * 99 / 100]);
}

static void idle(const char *address, const char *port, int count)
{
	struct sockaddr_in a = address_of(address, port);
	double *us = malloc((size_t)count * sizeof(*us));
	int fd = connect_to(&a);
	char buf[SIZE] = "";

	if (!us)
		die("malloc");
	for (int i = 0; i < count; i++) {
		uint64_t start;

		usleep(IDLE_US);
		start = now_ns();
		if (send(fd, buf, SIZE, 0) != SIZE || recv(fd, buf, SIZE, MSG_WAITALL) != SIZE)
			die("round trip");
		us[i] = (double)(now_ns() - start) / 1000;
	}
	qsort(us, (size_t)count, sizeof(us[0]), by_value);
	printf("%.2f %.2f\n", us[count / 2], us[count * 9 / 10]);
}

/* --- connections ------------------------------------------------------------ */

static struct sockaddr_in server;
static _Atomic int left;

static void *clients(void *arg)
{
	char buf[SIZE] = "";

	while (atomic_fetch_sub(&left, 1) > 0) {
		int fd = connect_to(&server);

		if (send(fd, buf, SIZE, 0) != SIZE || recv(fd, buf, SIZE, MSG_WAITALL) != SIZE)
			die("request");
		if (recv(fd, buf, SIZE, 0) != 0)
			die("end of file");
		close(fd);
	}
	return arg;
}

static void connections(const char *address, const char *port, int count)
{
	pthread_t t[CLIENTS];
	uint64_t start = now_ns();

	server = address_of(address, port);
	left = count;
	for (int i = 0; i < CLIENTS; i++)
		if (pthread_create(&t[i], NULL, clients, NULL))
			die("pthread_create");
	for (int i = 0; i < CLIENTS; i++)
		pthread_join(t[i], NULL);
	printf("%.1f\n", count * 1e9 / (double)(now_ns() - start));
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";

	once = argc == 5 && !strcmp(argv[4], "once");
	datagrams = argc > 4 && !strcmp(argv[argc - 1], "datagrams");
	if (datagrams)
		argc--;
	if (!strcmp(what, "calls") && argc == 3)
		calls(argv[2]);
	else if (!strcmp(what, "echo") && argc == 4 && datagrams)
		echo_datagrams(argv[2], argv[3]);
	else if (!strcmp(what, "echo") && (argc == 4 || once))
		echo(argv[2], argv[3]);
	else if (!strcmp(what, "pingpong") && argc == 5)
		pingpong(argv[2], argv[3], atof(argv[4]));
	else if (!strcmp(what, "idle") && argc == 5 && atoi(argv[4]) > 0)
		idle(argv[2], argv[3], atoi(argv[4]));
	else if (!strcmp(what, "connect") && argc == 5)
		connections(argv[2], argv[3], atoi(argv[4]));
	else
		return 2;
	return 0;
}

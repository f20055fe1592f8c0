/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sockets.c - What a program's own calls take, and a round trip between two
 *
 *	sockets calls ADDRESS	    send and recv of 64 bytes on a ready socket: ns a call
 *	sockets pingpong ADDRESS    64 bytes there and back, both block: median, us
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define SIZE 64
#define BURST 100 /* calls in a row, less than any buffer holds */
#define ROUNDS 200
#define TRIPS 5000

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

static void pair(const char *address, int fd[2])
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	fd[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (inet_pton(AF_INET, address, &a.sin_addr) != 1 || l < 0 ||
	    bind(l, (struct sockaddr *)&a, sizeof(a)) || listen(l, 1) ||
	    getsockname(l, (struct sockaddr *)&a, &len) ||
	    connect(fd[0], (struct sockaddr *)&a, sizeof(a)))
		die("connect");
	fd[1] = accept(l, NULL, NULL);
	if (fd[1] < 0)
		die("accept");
	for (int i = 0; i < 2; i++)
		setsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	close(l);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void calls(const int fd[2])
{
	static double ns[ROUNDS];
	char buf[SIZE] = "";

	for (int r = 0; r < ROUNDS; r++) {
		uint64_t start = now_ns(), spent;
		int there = 0;

		for (int i = 0; i < BURST; i++)
			if (send(fd[0], buf, SIZE, 0) != SIZE)
				die("send");
		spent = now_ns() - start;
		while (there < BURST * SIZE) {
			usleep(100);
			if (ioctl(fd[1], FIONREAD, &there))
				die("FIONREAD");
		}
		start = now_ns();
		for (int i = 0; i < BURST; i++)
			if (recv(fd[1], buf, SIZE, 0) != SIZE)
				die("recv");
		ns[r] = (double)(spent + now_ns() - start) / (2 * BURST);
	}
	qsort(ns, ROUNDS, sizeof(ns[0]), by_value);
	printf("%.1f\n", ns[ROUNDS / 2]);
}

static void pingpong(const int fd[2])
{
	static double us[TRIPS];
	char buf[SIZE] = "";
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(fd[0]);
		while (recv(fd[1], buf, SIZE, MSG_WAITALL) == SIZE)
			if (send(fd[1], buf, SIZE, 0) != SIZE)
				_exit(1);
		_exit(0);
	}
	for (int i = 0; i < TRIPS; i++) {
		uint64_t start = now_ns();

		if (send(fd[0], buf, SIZE, 0) != SIZE ||
		    recv(fd[0], buf, SIZE, MSG_WAITALL) != SIZE)
			die("round trip");
		us[i] = (double)(now_ns() - start) / 1000;
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	qsort(us, TRIPS, sizeof(us[0]), by_value);
	printf("%.1f\n", us[TRIPS / 2]);
}

int main(int argc, char **argv)
{
	int fd[2];

	if (argc != 3)
		return 2;
	pair(argv[2], fd);
	if (!strcmp(argv[1], "calls"))
		calls(fd);
	else
		pingpong(fd);
	return 0;
}

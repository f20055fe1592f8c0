/* SPDX-License-Identifier: BSD-3-Clause
 *
 * helper_blocked.c - Threads blocked in every way there is; what ends them?
 *
 *	helper_blocked [ADDRESS]
 *
 * Prints "blocked" once all wait, then, as each returns, "NAME: RESULT" with
 * the errno's name, "EOF" or poll's bits.  Ends when all returned, with status
 * 0, and with status 1 and the names of those that still wait after 30 s.  The
 * two ends are in the program, so only the stack's end can end the calls.
 */
#include "check.h"

enum waiting { ACCEPT, ACCEPT_ADDRESS, RECV, SEND, POLL, EPOLL, CONNECT, WAITS };

static const char *const names[WAITS] = {
    "accept", "accept with address", "recv", "send", "poll", "epoll", "connect"};
static volatile bool done[WAITS];
static struct waits_on on[WAITS];
static int fd[WAITS];
static struct sockaddr_in full;

static void outcome(enum waiting w, long r)
{
	const char *text = r < 0 ? check_errno_name(errno) : r == 0 ? "EOF" : "ready";

	done[w] = true;
	printf("%s: %s\n", names[w], text);
}

static void *wait_for(void *arg)
{
	enum waiting w = (enum waiting)(intptr_t)arg;
	static char big[16 << 20];
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	struct epoll_event ev = {.events = EPOLLIN};
	struct pollfd p = {.fd = fd[w], .events = POLLIN};
	long r = -1;

	on[w].tid = gettid();
	switch (w) {
	case ACCEPT:
		r = accept(fd[w], NULL, NULL);
		break;
	case ACCEPT_ADDRESS:
		r = accept(fd[w], SA(&a), &len);
		break;
	case RECV:
		r = recv(fd[w], big, 1, 0);
		break;
	case SEND:
		while ((r = send(fd[w], big, sizeof(big), MSG_NOSIGNAL)) > 0)
			;
		break;
	case POLL:
		r = poll(&p, 1, -1);
		break;
	case EPOLL: {
		int e = (int)OK(epoll_create1(0));

		OK(epoll_ctl(e, EPOLL_CTL_ADD, fd[w], &ev));
		r = epoll_wait(e, &ev, 1, -1);
		break;
	}
	case CONNECT:
		r = connect(fd[w], SA(&full), sizeof(full));
		break;
	case WAITS:
		break;
	}
	outcome(w, r);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_in a;
	int pair[2], hanging[16];
	bool all = false;

	check_name = "helper_blocked";
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1)
		setenv("GZ_ADDR", argv[1], 1);
	fd[ACCEPT] = listener(1, &a);
	fd[ACCEPT_ADDRESS] = listener(1, &a);
	for (enum waiting w = RECV; w <= EPOLL; w++) {
		tcp_pair(pair);
		fd[w] = pair[0];
	}
	listener(0, &full);
	fill_backlog(full, hanging, 16);
	fd[CONNECT] = tcp_socket();
	for (enum waiting w = ACCEPT; w < WAITS; w++)
		thread(wait_for, (void *)(intptr_t)w);
	/* Some sleep a little on their way there. */
	for (int i = 0; i < 20; i++, sleep_ms(5))
		for (enum waiting w = ACCEPT; w < WAITS; w++)
			wait_asleep(&on[w]);
	puts("blocked");
	for (long long end = now_ms() + 30000; !all && now_ms() < end; sleep_ms(10)) {
		all = true;
		for (int w = 0; w < WAITS; w++)
			all &= done[w];
	}
	for (int w = 0; w < WAITS; w++)
		if (!done[w])
			printf("%s: still waits\n", names[w]);
	return !all;
}

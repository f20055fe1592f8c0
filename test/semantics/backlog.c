/* SPDX-License-Identifier: BSD-3-Clause
 *
 * backlog.c - More clients than listen(2) has room for: they wait, nobody is refused
 */
#include "check.h"

#define CLIENTS 8

static void *drain(void *arg)
{
	for (int i = 0; i < CLIENTS; i++) {
		char c;

		CHECK_EQ(recv(OK(accept(*(int *)arg, NULL, NULL)), &c, 1, 0), 1);
	}
	return NULL;
}

static void overflow_waits(void)
{
	struct sockaddr_in a;
	struct pollfd p[CLIENTS];
	int l = listener(1, &a), up = 0;
	pthread_t t;

	for (int i = 0; i < CLIENTS; i++) {
		p[i].fd = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
		p[i].events = POLLOUT;
		CHECK_ERRNO(connect(p[i].fd, SA(&a), sizeof(a)), EINPROGRESS);
		/* One by one: SYNs that come before the ACKs of others all find room. */
		OK(poll(&p[i], 1, 300 / CLIENTS));
	}
	OK(poll(p, CLIENTS, 0));
	for (int i = 0; i < CLIENTS; i++) {
		CHECK(p[i].revents == 0 || p[i].revents == POLLOUT);
		up += !!p[i].revents;
	}
	/* Linux lets backlog + 1 in, and would let in no fewer than backlog. */
	CHECK_EQ(up, 2);

	t = thread(drain, &l);
	/* In whatever order their SYNs are repeated. */
	for (int left = CLIENTS; left;) {
		CHECK(poll(p, CLIENTS, 10000) > 0);
		for (int i = 0; i < CLIENTS; i++) {
			if (p[i].fd < 0 || !p[i].revents)
				continue;
			CHECK_EQ(p[i].revents, POLLOUT);
			CHECK_EQ(socket_error(p[i].fd), 0);
			/* With a SYN cookie whose ACK found the queue full, only
			 * data tells the server that this client is there. */
			write_all(p[i].fd, "x", 1);
			p[i].fd = -1;
			left--;
		}
	}
	join(t);
}

/* An accept makes room for exactly one more. */
static void accept_makes_room(void)
{
	struct sockaddr_in a;
	int l = listener(1, &a), c[3];

	for (int i = 0; i < 3; i++) {
		c[i] = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
		CHECK_ERRNO(connect(c[i], SA(&a), sizeof(a)), EINPROGRESS);
		/* A third SYN that comes before these are done finds room. */
		if (i < 2)
			wait_bits(c[i], POLLOUT);
	}
	CHECK_EQ(poll_bits(c[2]), 0);
	OK(accept(l, NULL, NULL));
	CHECK_EQ(wait_bits(c[2], POLLOUT), POLLOUT);
}

/* A client that gives up while it waits is not accepted later. */
static void pending_client_may_leave(void)
{
	struct sockaddr_in a;
	int fd[16], n, l = listener(1, &a);

	n = fill_backlog(a, fd, 16);
	OK(close(fd[n - 1]));
	set_nonblock(l);
	for (int i = 0; i < n - 1; i++) {
		/* The third segment of the handshake may be on its way still. */
		wait_bits(l, POLLIN);
		OK(accept(l, NULL, NULL));
	}
	sleep_ms(1200); /* past the SYN's first retransmission */
	CHECK_ERRNO(accept(l, NULL, NULL), EAGAIN);
}

CHECK_MAIN(ASIDE(overflow_waits), ASIDE(accept_makes_room), ASIDE(pending_client_may_leave))

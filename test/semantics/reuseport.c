/* SPDX-License-Identifier: BSD-3-Clause
 *
 * reuseport.c - SO_REUSEPORT: who may share a port, and who gets what (socket(7))
 */
#include <sys/mman.h>

#include "check.h"

#define CLIENTS 64

static int sharing(int type, struct sockaddr_in *a)
{
	int fd = (int)OK(socket(AF_INET, type, 0));

	set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	OK(bind(fd, SA(a), sizeof(*a)));
	*a = local_name(fd);
	if (type == SOCK_STREAM)
		OK(listen(fd, CLIENTS));
	return fd;
}

/* Serve until the client says that it is the last: count. */
static void serve(int l, volatile int *count)
{
	char b;

	for (;;) {
		int s = (int)OK(accept(l, NULL, NULL));

		CHECK_EQ(recv(s, &b, 1, 0), 1);
		if (b == 'q')
			_exit(0);
		++*count;
		CHECK_EQ(send(s, &b, 1, 0), 1);
		expect_eof(s);
		OK(close(s));
	}
}

/* Processes with a listener each: every connection is served, and each gets some. */
static void processes_share(void)
{
	volatile int *count =
	    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct sockaddr_in a = test_address(0);
	int keep = (int)OK(socket(AF_INET, SOCK_STREAM, 0)), ready[2];
	pid_t pid[3];
	char b;

	CHECK(count != MAP_FAILED);
	/* Holds the port, and does not listen. */
	set_option(keep, SOL_SOCKET, SO_REUSEPORT, 1);
	OK(bind(keep, SA(&a), sizeof(a)));
	a = local_name(keep);
	OK(pipe(ready));
	for (int i = 0; i < 3; i++) {
		pid[i] = child();
		if (!pid[i]) {
			int l = sharing(SOCK_STREAM, &a);

			CHECK_EQ(write(ready[1], "r", 1), 1);
			serve(l, &count[i]);
		}
	}
	for (int i = 0; i < 3; i++)
		CHECK_EQ(read(ready[0], &b, 1), 1);
	for (int i = 0; i < CLIENTS; i++) {
		int c = connected(a);

		CHECK_EQ(send(c, "c", 1, 0), 1);
		CHECK_EQ(recv(c, &b, 1, 0), 1);
		OK(close(c));
	}
	CHECK_EQ(count[0] + count[1] + count[2], CLIENTS);
	for (int i = 0; i < 3; i++)
		CHECK(count[i] > 0);
	for (int left = 3; left;) {
		int c = connected(a), status;

		CHECK_EQ(send(c, "q", 1, MSG_NOSIGNAL), 1);
		CHECK(waitpid(-1, &status, 0) > 0);
		CHECK_EQ(status, 0);
		left--;
		OK(close(c));
	}
}

/* Whoever goes leaves the port to the others. */
static void one_leaves(void)
{
	struct sockaddr_in a = test_address(0);
	int l[2], c, s;

	l[0] = sharing(SOCK_STREAM, &a);
	l[1] = sharing(SOCK_STREAM, &a);
	OK(close(l[0]));
	for (int i = 0; i < 16; i++) {
		c = connected(a);
		s = (int)OK(accept(l[1], NULL, NULL));
		expect_text(c, s, "still here");
		OK(close(c));
		OK(close(s));
	}
	OK(close(l[1]));
	CHECK_ERRNO(connect(tcp_socket(), SA(&a), sizeof(a)), ECONNREFUSED);
}

static void all_or_none(void)
{
	struct sockaddr_in a = test_address(0);
	int l = sharing(SOCK_STREAM, &a), other = tcp_socket();

	CHECK_EQ(get_option(l, SOL_SOCKET, SO_REUSEPORT), 1);
	CHECK_ERRNO(bind(other, SA(&a), sizeof(a)), EADDRINUSE);
	set_option(other, SOL_SOCKET, SO_REUSEADDR, 1);
	CHECK_ERRNO(bind(other, SA(&a), sizeof(a)), EADDRINUSE);
	set_option(other, SOL_SOCKET, SO_REUSEPORT, 1);
	OK(bind(other, SA(&a), sizeof(a)));
	OK(listen(other, 1));
	OK(close(l));
	/* The other way: the first has not got it. */
	a.sin_port = 0;
	l = tcp_socket();
	OK(bind(l, SA(&a), sizeof(a)));
	a = local_name(l);
	CHECK_ERRNO(bind(sharing(SOCK_STREAM, &(struct sockaddr_in){.sin_family = AF_INET}), SA(&a),
			 sizeof(a)),
		    EINVAL);
	other = tcp_socket();
	set_option(other, SOL_SOCKET, SO_REUSEPORT, 1);
	CHECK_ERRNO(bind(other, SA(&a), sizeof(a)), EADDRINUSE);
}

/* Only one user's processes share: no one else may take a part of the connections. */
static void another_user(void)
{
	struct sockaddr_in a = test_address(0);
	int l = sharing(SOCK_STREAM, &a), u, other;
	struct sockaddr_in b = test_address(0);
	pid_t pid;

	(void)l;
	u = sharing(SOCK_DGRAM, &b);
	(void)u;
	pid = child();
	if (!pid) {
		OK(setresuid(65534, 65534, 65534));
		other = tcp_socket();
		set_option(other, SOL_SOCKET, SO_REUSEPORT, 1);
		CHECK_ERRNO(bind(other, SA(&a), sizeof(a)), EADDRINUSE);
		other = (int)OK(socket(AF_INET, SOCK_DGRAM, 0));
		set_option(other, SOL_SOCKET, SO_REUSEPORT, 1);
		CHECK_ERRNO(bind(other, SA(&b), sizeof(b)), EADDRINUSE);
		_exit(0);
	}
	reap(pid);
}

/* Datagrams of one sender go to one receiver, those of many to all. */
static void datagrams(void)
{
	struct sockaddr_in a = test_address(0);
	int r[3], got[3] = {0};
	char b[4];

	for (int i = 0; i < 3; i++)
		r[i] = sharing(SOCK_DGRAM, &a);
	for (int i = 0; i < CLIENTS; i++) {
		struct pollfd p[3] = {{r[0], POLLIN, 0}, {r[1], POLLIN, 0}, {r[2], POLLIN, 0}};
		int c = (int)OK(socket(AF_INET, SOCK_DGRAM, 0)), who = -1;

		OK(connect(c, SA(&a), sizeof(a)));
		for (int n = 0; n < 2; n++) {
			CHECK_EQ(send(c, "d", 1, 0), 1);
			CHECK_EQ(poll(p, 3, 10000), 1);
			for (int k = 0; k < 3; k++) {
				if (!p[k].revents)
					continue;
				CHECK_EQ(recv(r[k], b, sizeof(b), 0), 1);
				CHECK(who < 0 || who == k);
				who = k;
			}
		}
		got[who]++;
		OK(close(c));
	}
	for (int i = 0; i < 3; i++)
		CHECK(got[i] > 0);
}

CHECK_MAIN(CASE(processes_share), CASE(one_leaves), CASE(all_or_none), CASE(another_user),
	   CASE(datagrams))

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * short_connections.c - Many connections of one request, and what accept() promises of them
 *
 * A client sends its number, and gets it back so many times; the server closes.  Each
 * number is to be served once, whoever of several processes accepts it, and with its own
 * bytes.
 */
#include "check.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define SERVERS 4
#define CLIENTS 3
#define EACH 400
#define TIMES 50

struct common {
	_Atomic unsigned char served[CLIENTS * EACH];
};

static struct common *shared_memory(void)
{
	void *p = mmap(NULL, sizeof(struct common), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

/* Bytes have gone through sockets of this process. */
static void warm_up(void)
{
	int fd[2];

	for (int i = 0; i < 3; i++) {
		tcp_pair(fd);
		expect_text(fd[0], fd[1], "there");
		expect_text(fd[1], fd[0], "and back");
		OK(close(fd[0]));
		OK(close(fd[1]));
	}
}

static void serve(int s, struct common *all)
{
	uint32_t n, answer[TIMES];

	CHECK_EQ(read_all(s, &n, sizeof(n)), sizeof(n));
	CHECK(n < CLIENTS * EACH);
	atomic_fetch_add(&all->served[n], 1);
	for (int i = 0; i < TIMES; i++)
		answer[i] = n;
	write_all(s, answer, sizeof(answer));
	OK(close(s));
}

static void server(int l, struct common *all)
{
	struct pollfd p = {.fd = l, .events = POLLIN};

	for (;;) {
		int s = accept4(l, NULL, NULL, SOCK_CLOEXEC);

		if (s >= 0) {
			serve(s, all);
			continue;
		}
		CHECK_EQ(errno, EAGAIN);
		OK(poll(&p, 1, -1));
	}
}

static pid_t start_server(int l, struct common *all)
{
	pid_t pid = child();

	if (!pid) {
		server(l, all);
		_exit(0);
	}
	return pid;
}

static void stop(pid_t pid)
{
	int status;

	CHECK_EQ(waitpid(pid, &status, WNOHANG), 0);
	OK(kill(pid, SIGKILL));
	status = reap_status(pid);
	CHECK(WIFSIGNALED(status));
}

/* Return: false, the connection ended before the answer */
static bool answered(int c, uint32_t n)
{
	uint32_t answer[TIMES] = {0};
	size_t done = 0;

	while (done < sizeof(answer)) {
		ssize_t k = recv(c, (char *)answer + done, sizeof(answer) - done, 0);

		if (k <= 0)
			return false;
		done += (size_t)k;
	}
	for (int i = 0; i < TIMES; i++)
		CHECK_EQ(answer[i], n);
	return true;
}

static int asking(struct sockaddr_in a, uint32_t n)
{
	int c = connected(a);

	set_option(c, IPPROTO_TCP, TCP_NODELAY, 1);
	write_all(c, &n, sizeof(n));
	return c;
}

static void client(struct sockaddr_in a, uint32_t first)
{
	for (uint32_t n = first; n < first + EACH; n++) {
		int c = asking(a, n);

		CHECK(answered(c, n));
		expect_eof(c);
		OK(close(c));
	}
}

static void many_serve_many(bool nonblocking)
{
	struct common *all = shared_memory();
	struct sockaddr_in a;
	pid_t servers[SERVERS], clients[CLIENTS];
	int l;

	warm_up();
	l = listener(64, &a);
	if (nonblocking)
		set_nonblock(l);
	for (int i = 0; i < SERVERS; i++)
		servers[i] = start_server(l, all);
	OK(close(l));
	for (uint32_t i = 0; i < CLIENTS; i++) {
		clients[i] = child();
		if (!clients[i]) {
			client(a, i * EACH);
			_exit(0);
		}
	}
	for (int i = 0; i < CLIENTS; i++)
		reap(clients[i]);
	for (int i = 0; i < SERVERS; i++)
		stop(servers[i]);
	for (int n = 0; n < CLIENTS * EACH; n++)
		CHECK_EQ(all->served[n], 1);
	OK(munmap(all, sizeof(*all)));
}

static void each_is_served_once(void)
{
	many_serve_many(false);
}

static void each_is_served_once_nonblocking(void)
{
	many_serve_many(true);
}

/* What a server had not accepted others accept: one that is killed loses one at most. */
static void the_killed_lose_their_own(void)
{
	struct common *all = shared_memory();
	struct sockaddr_in a;
	pid_t servers[SERVERS];
	int l, lost = 0, kills = 0;

	warm_up();
	l = listener(64, &a);
	for (int i = 0; i < SERVERS; i++)
		servers[i] = start_server(l, all);
	for (uint32_t n = 0; n < 480; n += 12) {
		int c[12];

		for (uint32_t k = 0; k < 12; k++) {
			c[k] = asking(a, n + k);
			if (k == n / 12 % 12) {
				stop(servers[kills % SERVERS]);
				servers[kills++ % SERVERS] = start_server(l, all);
			}
		}
		for (uint32_t k = 0; k < 12; k++) {
			lost += !answered(c[k], n + k);
			OK(close(c[k]));
		}
	}
	CHECK(lost <= kills);
	for (int i = 0; i < SERVERS; i++)
		stop(servers[i]);
	for (int n = 0; n < 480; n++)
		CHECK(all->served[n] <= 1);
	OK(close(l));
	OK(munmap(all, sizeof(*all)));
}

/* accept() fails with EMFILE, and the connection with what it has waits. */
static void without_a_descriptor(void)
{
	struct rlimit was, now;
	struct sockaddr_in a;
	uint32_t n = 0;
	int l, spare[64], s;

	warm_up();
	l = listener(8, &a);
	OK(getrlimit(RLIMIT_NOFILE, &was));
	for (uint32_t round = 0; round < 20; round++) {
		int c = asking(a, round), top = 0;

		wait_bits(l, POLLIN);
		now = was;
		now.rlim_cur = 64;
		OK(setrlimit(RLIMIT_NOFILE, &now));
		while (top < 64 && (spare[top] = dup(l)) >= 0)
			top++;
		CHECK(top && top < 64);
		CHECK_ERRNO(accept(l, NULL, NULL), EMFILE);
		CHECK_ERRNO(accept4(l, NULL, NULL, SOCK_NONBLOCK), EMFILE);
		OK(close(spare[--top]));
		s = OK(accept(l, NULL, NULL));
		CHECK_EQ(s, spare[top]);
		CHECK_EQ(read_all(s, &n, sizeof(n)), sizeof(n));
		CHECK_EQ(n, round);
		while (top)
			OK(close(spare[--top]));
		OK(setrlimit(RLIMIT_NOFILE, &was));
		OK(close(s));
		OK(close(c));
	}
	OK(close(l));
}

static void *accept_in_thread(void *arg)
{
	int r = accept(*(int *)arg, NULL, NULL);

	return (void *)(intptr_t)(r < 0 ? -errno : r);
}

static void shutdown_ends_each_accept(void)
{
	struct sockaddr_in a;
	pthread_t t[3];
	int l, s, c;

	warm_up();
	l = listener(8, &a);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 3; i++)
			t[i] = thread(accept_in_thread, &l);
		sleep_ms(50);
		OK(shutdown(l, SHUT_RD));
		for (int i = 0; i < 3; i++)
			CHECK_EQ((intptr_t)join(t[i]), -EINVAL);
		CHECK_ERRNO(accept(l, NULL, NULL), EINVAL);
		OK(listen(l, 8));
		a = local_name(l); /* nobody had asked for the port */
		c = connected(a);
		s = OK(accept(l, NULL, NULL));
		expect_text(c, s, "again");
		OK(close(c));
		OK(close(s));
	}
	OK(close(l));
}

/* The first call about a connection is one about its names, or its options. */
static void asked_at_once(void)
{
	struct sockaddr_in a, peer;
	int l;

	warm_up();
	l = listener(8, &a);
	for (int i = 0; i < 200; i++) {
		int c = connected(a), s;
		socklen_t len = sizeof(peer);
		char byte;

		s = OK(accept(l, SA(&peer), &len));
		CHECK_EQ(len, sizeof(peer));
		CHECK(same_address(peer, local_name(c)));
		switch (i % 5) {
		case 0:
			CHECK(same_address(peer_name(s), peer));
			break;
		case 1:
			CHECK(same_address(local_name(s), a));
			break;
		case 2:
			CHECK_EQ(socket_error(s), 0);
			break;
		case 3:
			set_option(s, IPPROTO_TCP, TCP_KEEPIDLE, 100 + i);
			CHECK_EQ(get_option(s, IPPROTO_TCP, TCP_KEEPIDLE), 100 + i);
			break;
		case 4:
			OK(shutdown(s, SHUT_WR));
			expect_eof(c);
			break;
		}
		write_all(c, "x", 1);
		CHECK_EQ(recv(s, &byte, 1, MSG_PEEK), 1);
		CHECK_EQ(recv(s, &byte, 1, 0), 1);
		CHECK_EQ(byte, 'x');
		OK(close(c));
		expect_eof(s);
		OK(close(s));
	}
	OK(close(l));
}

/* Sent, and ended or reset, before anybody accepts */
static void came_and_went(void)
{
	const struct linger now = {.l_onoff = 1};
	struct sockaddr_in a;
	char buf[8];
	int l;

	warm_up();
	l = listener(8, &a);
	for (int i = 0; i < 40; i++) {
		int c = connected(a), s;

		if (i % 2) {
			OK(setsockopt(c, SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
		} else {
			write_all(c, "bytes", 5);
		}
		wait_bits(l, POLLIN);
		OK(close(c));
		sleep_ms(i < 20 ? 0 : 5);
		s = OK(accept(l, NULL, NULL));
		if (i % 2) {
			CHECK_ERRNO(recv(s, buf, sizeof(buf), 0), ECONNRESET);
		} else {
			CHECK_EQ(read_all(s, buf, 5), 5);
			CHECK_EQ(memcmp(buf, "bytes", 5), 0);
			expect_eof(s);
		}
		OK(close(s));
	}
	OK(close(l));
}

/* Of @c, @n from place @i on, the one whose other end is @s comes to place @i: the first that was
 * connected, but for several workers and a peer that is another host. */
static void to_place(int *c, int i, int n, int s)
{
	int k = i, was = c[i];

	while (getenv("GZ_UNORDERED") && k < n && !same_address(peer_name(s), local_name(c[k])))
		k++;
	CHECK(k < n && same_address(peer_name(s), local_name(c[k])));
	c[i] = c[k];
	c[k] = was;
}

/* The listener's last close resets who waits, and nobody else. */
static void closed_with_some_waiting(void)
{
	struct sockaddr_in a;
	char byte;

	warm_up();
	for (int round = 0; round < 20; round++) {
		int l = listener(8, &a), c[4], s[2];

		for (int i = 0; i < 4; i++)
			c[i] = connected(a);
		for (int i = 0; i < 2; i++) {
			s[i] = OK(accept(l, NULL, NULL));
			to_place(c, i, 4, s[i]);
		}
		OK(close(l));
		for (int i = 0; i < 2; i++) {
			expect_text(s[i], c[i], "served");
			expect_text(c[i], s[i], "thanks");
			OK(close(s[i]));
			CHECK_ERRNO(recv(c[i + 2], &byte, 1, 0), ECONNRESET);
		}
		for (int i = 0; i < 4; i++)
			OK(close(c[i]));
	}
}

CHECK_MAIN(CASE(each_is_served_once), CASE(each_is_served_once_nonblocking),
	   CASE(the_killed_lose_their_own), CASE(without_a_descriptor),
	   CASE(shutdown_ends_each_accept), CASE(asked_at_once), CASE(came_and_went),
	   CASE(closed_with_some_waiting))

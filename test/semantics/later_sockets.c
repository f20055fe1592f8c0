/* SPDX-License-Identifier: BSD-3-Clause
 *
 * later_sockets.c - socket() and connect() of a program that has made connections before
 */
#include <sys/resource.h>
#include <sys/syscall.h>

#include "pass.h"

#define BEFORE 6
#define MANY 40

/* Connections that have come and gone */
static int after_some(struct sockaddr_in *a)
{
	int l = listener(64, a);

	for (int i = 0; i < BEFORE; i++) {
		int c = connected(*a), s = OK(accept(l, NULL, NULL));

		expect_text(c, s, "one of those before");
		OK(close(c));
		OK(close(s));
	}
	return l;
}

static int socket_with(int flags)
{
	return (int)OK(socket(AF_INET, SOCK_STREAM | flags, 0));
}

static void numbers_are_the_lowest(void)
{
	struct sockaddr_in a;
	int fd[4];

	after_some(&a);
	for (int i = 0; i < 4; i++)
		fd[i] = tcp_socket();
	for (int i = 1; i < 4; i++)
		CHECK_EQ(fd[i], fd[0] + i);
	OK(close(fd[1]));
	OK(close(fd[2]));
	CHECK_EQ(tcp_socket(), fd[1]);
	CHECK_EQ(tcp_socket(), fd[2]);
	CHECK_EQ(dup(fd[0]), fd[3] + 1);
}

static void flags_are_kept(void)
{
	struct sockaddr_in a;

	after_some(&a);
	for (int i = 0; i < MANY; i++) {
		int fd = socket_with((i & 1 ? SOCK_NONBLOCK : 0) | (i & 2 ? SOCK_CLOEXEC : 0));

		CHECK_EQ(!!(OK(fcntl(fd, F_GETFL)) & O_NONBLOCK), i & 1);
		CHECK_EQ(!!(OK(fcntl(fd, F_GETFD)) & FD_CLOEXEC), !!(i & 2));
		CHECK_EQ(get_option(fd, SOL_SOCKET, SO_DOMAIN), AF_INET);
		OK(close(fd));
	}
}

static void no_number_is_left(void)
{
	struct sockaddr_in a;
	struct rlimit r;
	int first, fd;

	after_some(&a);
	first = tcp_socket();
	OK(getrlimit(RLIMIT_NOFILE, &r));
	r.rlim_cur = (rlim_t)first + 3;
	OK(setrlimit(RLIMIT_NOFILE, &r));
	OK(fd = tcp_socket());
	OK(tcp_socket());
	CHECK_ERRNO(socket(AF_INET, SOCK_STREAM, 0), EMFILE);
	OK(close(fd));
	CHECK_EQ(tcp_socket(), fd);
	OK(connect(fd, SA(&a), sizeof(a)));
}

static void closing_all_of_them(void)
{
	struct sockaddr_in a;
	int l = after_some(&a), c;

	for (int fd = l + 1; fd < 1024; fd++)
		close(fd);
	OK(syscall(SYS_close_range, l + 1, ~0U, 0));
	for (int i = 0; i < MANY; i++) {
		c = connected(a);
		CHECK_EQ(c, l + 1);
		expect_text(c, OK(accept(l, NULL, NULL)), "still there");
		OK(syscall(SYS_close_range, l + 1, ~0U, 0));
	}
}

static void a_number_that_was_closed(void)
{
	struct sockaddr_in a;
	int l = after_some(&a), pipes[2];
	char c;

	OK(pipe(pipes));
	for (int fd = 200; fd < 1020; fd++)
		CHECK_EQ(dup2(pipes[0], fd), fd);
	for (int i = 0; i < BEFORE; i++) {
		int s = connected(a);

		expect_text(s, OK(accept(l, NULL, NULL)), "beside pipes");
	}
	for (int fd = 200; fd < 1020; fd++) {
		CHECK_EQ(write(pipes[1], "x", 1), 1);
		CHECK_EQ(read(fd, &c, 1), 1);
	}
}

static void fresh_ones_are_polled(void)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT};
	struct sockaddr_in a;
	int l = after_some(&a), ep = OK(epoll_create1(0)), fd, got;

	for (int i = 0; i < BEFORE; i++) {
		fd = tcp_socket();
		CHECK_EQ(poll_bits(fd), POLLOUT | POLLHUP);
		OK(connect(fd, SA(&a), sizeof(a)));
		CHECK_EQ(poll_bits(fd), POLLOUT);
		OK(close(OK(accept(l, NULL, NULL))));

		fd = tcp_socket();
		ev.data.fd = fd;
		OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
		CHECK_EQ(epoll_wait(ep, &ev, 1, 1000), 1);
		CHECK_EQ(ev.events, EPOLLOUT | EPOLLHUP);
		OK(connect(fd, SA(&a), sizeof(a)));
		OK(got = accept(l, NULL, NULL));
		CHECK_EQ(write(got, "x", 1), 1);
		wait_bits(fd, POLLIN);
		CHECK_EQ(epoll_wait(ep, &ev, 1, 1000), 1);
		CHECK_EQ(ev.events, EPOLLIN | EPOLLOUT);
		OK(close(got));
		OK(close(fd));
	}
}

static void fresh_ones_have_no_bytes(void)
{
	struct sockaddr_in a;
	char c;

	after_some(&a);
	for (int i = 0; i < BEFORE; i++) {
		int fd = tcp_socket();

		CHECK_ERRNO(recv(fd, &c, 1, 0), ENOTCONN);
		CHECK_ERRNO(send(fd, &c, 1, MSG_NOSIGNAL), EPIPE);
		CHECK_EQ(socket_error(fd), 0);
		OK(connect(fd, SA(&a), sizeof(a)));
		CHECK_EQ(send(fd, &c, 1, 0), 1);
	}
}

static void names_at_once(void)
{
	struct sockaddr_in a, none = {.sin_family = AF_INET};
	socklen_t len = sizeof(none);
	int l = after_some(&a);

	for (int i = 0; i < BEFORE; i++) {
		int fd = socket_with(i & 1 ? SOCK_NONBLOCK : 0);
		struct sockaddr_in from;

		CHECK(same_address(local_name(fd), none));
		CHECK_ERRNO(getpeername(fd, SA(&none), &len), ENOTCONN);
		if (i & 1)
			CHECK_ERRNO(connect(fd, SA(&a), sizeof(a)), EINPROGRESS);
		else
			OK(connect(fd, SA(&a), sizeof(a)));
		wait_bits(fd, POLLOUT);
		CHECK(same_address(peer_name(fd), a));
		len = sizeof(from);
		OK(accept(l, SA(&from), &len));
		CHECK(same_address(local_name(fd), from));
		if (i & 1)
			OK(connect(fd, SA(&a), sizeof(a)));
		CHECK_ERRNO(connect(fd, SA(&a), sizeof(a)), EISCONN);
	}
}

static void options_before(void)
{
	struct sockaddr_in a;
	int l = after_some(&a);

	for (int i = 0; i < BEFORE; i++) {
		int fd = tcp_socket(), s;

		set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
		set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
		set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 77);
		if (i & 1)
			set_option(fd, IPPROTO_IP, IP_TOS, 0x10);
		if (i & 2)
			set_timeout(fd, SO_RCVTIMEO, 50);
		if (i & 4)
			set_option(fd, SOL_SOCKET, SO_RCVBUF, 30000);
		OK(connect(fd, SA(&a), sizeof(a)));
		s = OK(accept(l, NULL, NULL));
		expect_text(fd, s, "with options");
		expect_text(s, fd, "of all kinds");
		CHECK_EQ(get_option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
		CHECK_EQ(get_option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
		CHECK_EQ(get_option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 77);
		CHECK_EQ(get_option(fd, IPPROTO_IP, IP_TOS), i & 1 ? 0x10 : 0);
		if (i & 4)
			CHECK_EQ(get_option(fd, SOL_SOCKET, SO_RCVBUF), 60000);
		if (i & 2)
			CHECK_ERRNO(recv(fd, &(char){0}, 1, 0), EAGAIN);
	}
}

static void they_listen(void)
{
	struct sockaddr_in a, other;

	after_some(&a);
	for (int i = 0; i < BEFORE; i++) {
		socklen_t len = sizeof(other);
		int l = tcp_socket(), c;

		set_option(l, IPPROTO_TCP, TCP_NODELAY, 1);
		set_option(l, IPPROTO_TCP, TCP_KEEPIDLE, 78);
		other = test_address(0);
		OK(bind(l, SA(&other), sizeof(other)));
		if (i & 1)
			CHECK_EQ(poll_bits(l), POLLOUT | POLLHUP);
		OK(listen(l, 4));
		OK(getsockname(l, SA(&other), &len));
		CHECK_EQ(get_option(l, IPPROTO_TCP, TCP_NODELAY), 1);
		CHECK_EQ(get_option(l, IPPROTO_TCP, TCP_KEEPIDLE), 78);
		c = connected(other);
		expect_text(c, OK(accept(l, NULL, NULL)), "there it is");
		OK(close(l));
		CHECK_ERRNO(connect(tcp_socket(), SA(&other), sizeof(other)), ECONNREFUSED);
	}
}

static void they_are_refused(void)
{
	struct sockaddr_in a, nobody;
	int l = after_some(&a);

	nobody = refusing();
	for (int i = 0; i < BEFORE; i++) {
		int fd = socket_with(i & 1 ? SOCK_NONBLOCK : 0);

		if (i & 1) {
			CHECK_ERRNO(connect(fd, SA(&nobody), sizeof(nobody)), EINPROGRESS);
			wait_bits(fd, POLLOUT | POLLERR | POLLHUP);
			CHECK_EQ(socket_error(fd), ECONNREFUSED);
		} else {
			CHECK_ERRNO(connect(fd, SA(&nobody), sizeof(nobody)), ECONNREFUSED);
		}
		CHECK_ERRNO(connect(tcp_socket(), SA(&a), 3), EINVAL);
		a.sin_family = AF_INET6;
		CHECK_ERRNO(connect(tcp_socket(), SA(&a), sizeof(a)), EAFNOSUPPORT);
		CHECK_ERRNO(connect(tcp_socket(), NULL, sizeof(a)), EFAULT);
		a.sin_family = AF_INET;
		fd = tcp_socket();
		OK(connect(fd, SA(&a), sizeof(a)));
		expect_text(fd, OK(accept(l, NULL, NULL)), "as new");
	}
}

static void children_have_them_too(void)
{
	struct sockaddr_in a;
	int l = after_some(&a);

	for (int i = 0; i < BEFORE; i++) {
		int fd = tcp_socket(), s;
		pid_t pid;

		/* Who connects, and who talks */
		if (i & 1)
			OK(connect(fd, SA(&a), sizeof(a)));
		pid = child();
		if (!pid) {
			if (i & 1)
				write_all(fd, "child", 5);
			else
				OK(connect(fd, SA(&a), sizeof(a)));
			fd = connected(a); /* and one of its own */
			write_all(fd, "child", 5);
			_exit(0);
		}
		reap(pid);
		if (!(i & 1))
			write_all(fd, "child", 5);
		s = OK(accept(l, NULL, NULL));
		OK(close(fd));
		for (int k = 0; k < 2; k++) {
			char buf[6] = "";

			CHECK_EQ(read_all(s, buf, 5), 5);
			CHECK(!strcmp(buf, "child"));
			expect_eof(s);
			if (!k)
				s = OK(accept(l, NULL, NULL));
		}
	}
}

static void a_child_closes_last(void)
{
	struct sockaddr_in a;
	int l = after_some(&a), way[2];

	for (int i = 0; i < BEFORE; i++) {
		int fd = tcp_socket(), s;
		pid_t pid;

		OK(pipe(way));
		pid = child();
		if (!pid) {
			CHECK_EQ(read(way[0], &s, 1), 1);
			_exit(0);
		}
		OK(connect(fd, SA(&a), sizeof(a)));
		s = OK(accept(l, NULL, NULL));
		OK(close(fd));
		CHECK_EQ(poll(&(struct pollfd){.fd = s, .events = POLLIN}, 1, 20), 0);
		CHECK_EQ(write(way[1], "x", 1), 1);
		reap(pid);
		expect_eof(s);
		OK(close(way[0]));
		OK(close(way[1]));
	}
}

static void passed_on_fresh(void)
{
	struct sockaddr_in a;
	int l = after_some(&a), way[2];

	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, way));
	for (int i = 0; i < BEFORE; i++) {
		pid_t pid = child();

		if (!pid) {
			int fd = receive_fd(way[0]);

			OK(connect(fd, SA(&a), sizeof(a)));
			write_all(fd, "passed", 6);
			_exit(0);
		} else {
			int fd = tcp_socket(), s;
			char buf[7] = "";

			send_fd(way[1], fd);
			OK(close(fd));
			s = OK(accept(l, NULL, NULL));
			CHECK_EQ(read_all(s, buf, 6), 6);
			CHECK(!strcmp(buf, "passed"));
			expect_eof(s);
			reap(pid);
		}
	}
}

static void duplicates_of_fresh_ones(void)
{
	struct sockaddr_in a;
	int l = after_some(&a);

	for (int i = 0; i < BEFORE; i++) {
		int fd = tcp_socket(), other = OK(dup(fd)), s;

		if (i & 1)
			CHECK_EQ(poll_bits(other), POLLOUT | POLLHUP);
		OK(connect(other, SA(&a), sizeof(a)));
		s = OK(accept(l, NULL, NULL));
		OK(close(other));
		expect_text(fd, s, "by the first number");
		OK(close(fd));
		expect_eof(s);
	}
}

static struct sockaddr_in server;

static void *connect_many(void *arg)
{
	for (int i = 0; i < MANY; i++) {
		int fd = connected(server);
		char c = 0;

		write_all(fd, "q", 1);
		CHECK_EQ(recv(fd, &c, 1, 0), 1);
		CHECK_EQ(recv(fd, &c, 1, 0), 0);
		OK(close(fd));
	}
	return arg;
}

static void several_threads(void)
{
	int l = after_some(&server);
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		t[i] = thread(connect_many, NULL);
	for (int i = 0; i < 4 * MANY; i++) {
		int s = OK(accept(l, NULL, NULL));
		char c;

		CHECK_EQ(recv(s, &c, 1, 0), 1);
		write_all(s, "a", 1);
		OK(close(s));
	}
	for (int i = 0; i < 4; i++)
		join(t[i]);
}

CHECK_MAIN(CASE(numbers_are_the_lowest), CASE(flags_are_kept), CASE(no_number_is_left),
	   CASE(closing_all_of_them), CASE(a_number_that_was_closed), CASE(fresh_ones_are_polled),
	   CASE(fresh_ones_have_no_bytes), CASE(names_at_once), CASE(options_before),
	   CASE(they_listen), CASE(they_are_refused), CASE(children_have_them_too),
	   CASE(a_child_closes_last), CASE(passed_on_fresh), CASE(duplicates_of_fresh_ones),
	   CASE(several_threads))

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * duplicates.c - dup(2), dup2(2), F_DUPFD, SCM_RIGHTS: a connection ends at its last close
 */
#include <sys/epoll.h>

#include "check.h"

/* @copy is the last descriptor of fd[1]'s connection but for fd[1]. */
static void lives_until_last_close(int fd[2], int copy)
{
	OK(close(fd[1]));
	sleep_ms(30);
	CHECK_EQ(poll_bits(fd[0]), POLLOUT);
	expect_text(fd[0], copy, "through the copy");
	expect_text(copy, fd[0], "and back");
	CHECK(same_address(peer_name(copy), local_name(fd[0])));
	OK(close(copy));
	expect_eof(fd[0]);
}

static void by_dup(void)
{
	int fd[2];

	tcp_pair(fd);
	lives_until_last_close(fd, OK(dup(fd[1])));
}

static void by_dup2(void)
{
	int fd[2];

	tcp_pair(fd);
	CHECK_EQ(dup2(fd[1], 50), 50);
	CHECK_EQ(dup2(fd[1], fd[1]), fd[1]);
	lives_until_last_close(fd, 50);
}

static void by_dup3_and_fcntl(void)
{
	int fd[2], copy;

	tcp_pair(fd);
	CHECK_EQ(dup3(fd[1], 50, O_CLOEXEC), 50);
	CHECK_EQ(OK(fcntl(50, F_GETFD)), FD_CLOEXEC);
	OK(close(50));
	copy = OK(fcntl(fd[1], F_DUPFD_CLOEXEC, 60));
	CHECK_EQ(copy, 60);
	CHECK_EQ(OK(fcntl(copy, F_GETFD)), FD_CLOEXEC);
	OK(close(copy));
	lives_until_last_close(fd, OK(fcntl(fd[1], F_DUPFD, 70)));
}

/* dup2() over a socket closes it like close() does. */
static void dup2_over_a_socket(void)
{
	int fd[2], null = OK(open("/dev/null", O_RDWR));

	tcp_pair(fd);
	OK(dup2(null, fd[1]));
	expect_eof(fd[0]);
	tcp_pair(fd);
	OK(dup2(fd[0], fd[1]));
	CHECK_EQ(wait_bits(fd[0], POLLRDHUP), POLLIN | POLLOUT | POLLRDHUP);
}

/* O_NONBLOCK is the open file's, FD_CLOEXEC the descriptor's. */
static void flags_of_file_and_descriptor(void)
{
	int fd[2], copy;

	tcp_pair(fd);
	copy = OK(dup(fd[1]));
	set_nonblock(fd[1]);
	CHECK_ERRNO(recv(copy, (char[1]){0}, 1, 0), EAGAIN);
	OK(fcntl(fd[1], F_SETFD, FD_CLOEXEC));
	CHECK_EQ(OK(fcntl(copy, F_GETFD)), 0);
}

static void shutdown_acts_on_all(void)
{
	int fd[2], copy;

	tcp_pair(fd);
	copy = OK(dup(fd[1]));
	OK(shutdown(copy, SHUT_WR));
	expect_eof(fd[0]);
	CHECK_ERRNO(send(fd[1], "x", 1, MSG_NOSIGNAL), EPIPE);
}

static void fresh_socket(void)
{
	struct sockaddr_in a;
	int l = listener(1, &a), c = tcp_socket(), copy = OK(dup(c));

	OK(connect(copy, SA(&a), sizeof(a)));
	OK(close(copy));
	expect_text(c, OK(accept(l, NULL, NULL)), "one socket");
}

/* Whatever connect() does with the socket, all its numbers are it, in epoll sets as well. */
static void many_before_connect(void)
{
	enum { MANY = 200 };
	struct epoll_event e = {.events = EPOLLIN}, got[MANY];
	struct sockaddr_in a;
	int l = listener(1, &a), c = tcp_socket(), set = OK(epoll_create1(0)), copy[MANY], s;

	for (int i = 0; i < MANY; i++) {
		copy[i] = OK(dup(c));
		e.data.fd = copy[i];
		OK(epoll_ctl(set, EPOLL_CTL_ADD, copy[i], &e));
	}
	OK(connect(c, SA(&a), sizeof(a)));
	s = OK(accept(l, NULL, NULL));
	write_all(s, "x", 1);
	CHECK(wait_bits(c, POLLIN) & POLLIN);
	CHECK_EQ(epoll_wait(set, got, MANY, 0), MANY);
	for (int i = 0; i < MANY; i++) {
		CHECK(same_address(peer_name(copy[i]), a));
		OK(epoll_ctl(set, EPOLL_CTL_DEL, copy[i], NULL));
		OK(close(copy[i]));
	}
	expect_text(c, s, "the first");
}

static void duplicated_listener(void)
{
	struct sockaddr_in a;
	int l = listener(5, &a), copy = OK(dup(l)), c;

	OK(close(l));
	c = connected(a);
	expect_text(c, OK(accept(copy, NULL, NULL)), "copy");
	OK(close(copy));
	CHECK_ERRNO(connect(tcp_socket(), SA(&a), sizeof(a)), ECONNREFUSED);
}

static void send_descriptor(int over, int fd)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} u = {.h = {.cmsg_len = CMSG_LEN(sizeof(int)),
		     .cmsg_level = SOL_SOCKET,
		     .cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {(void *)"F", 1};
	struct msghdr m = {
	    .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof(u)};

	memcpy(CMSG_DATA(&u.h), &fd, sizeof(fd));
	CHECK_EQ(sendmsg(over, &m, 0), 1);
}

static int receive_descriptor(int over)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} u;
	char b;
	struct iovec iov = {&b, 1};
	struct msghdr m = {
	    .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof(u)};
	int fd;

	CHECK_EQ(recvmsg(over, &m, MSG_CMSG_CLOEXEC), 1);
	CHECK_EQ(u.h.cmsg_type, SCM_RIGHTS);
	memcpy(&fd, CMSG_DATA(&u.h), sizeof(fd));
	CHECK_EQ(OK(fcntl(fd, F_GETFD)), FD_CLOEXEC);
	return fd;
}

/* The child is forked first: it can have the connection only by message. */
static void passed_connection(void)
{
	int way[2], fd[2];
	pid_t pid;

	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, way));
	pid = child();
	if (!pid) {
		int s = receive_descriptor(way[1]);
		char buf[8];

		CHECK_EQ(get_option(s, SOL_SOCKET, SO_DOMAIN), AF_INET);
		CHECK_EQ(peer_name(s).sin_family, AF_INET);
		CHECK_EQ(read_all(s, buf, 4), 4);
		write_all(s, buf, 4);
		_exit(0);
	}
	tcp_pair(fd);
	send_descriptor(way[0], fd[1]);
	OK(close(fd[1]));
	sleep_ms(30);
	CHECK_EQ(poll_bits(fd[0]), POLLOUT);
	write_all(fd[0], "echo", 4);
	CHECK_EQ(read_all(fd[0], (char[8]){0}, 8), 4);
	reap(pid);
}

static void passed_listener(void)
{
	struct sockaddr_in a;
	int way[2], l, c;
	pid_t pid;

	OK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, way));
	pid = child();
	if (!pid) {
		l = receive_descriptor(way[1]);
		write_all(OK(accept(l, NULL, NULL)), "done", 4);
		_exit(0);
	}
	l = listener(5, &a);
	send_descriptor(way[0], l);
	OK(close(l));
	c = connected(a);
	CHECK_EQ(read_all(c, (char[8]){0}, 8), 4);
	reap(pid);
}

/* A descriptor on its way keeps the connection alive; one thrown away does not. */
static void in_flight(void)
{
	int way[2], fd[2], copy;

	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, way));
	tcp_pair(fd);
	send_descriptor(way[0], fd[1]);
	OK(close(fd[1]));
	sleep_ms(30);
	CHECK_EQ(poll_bits(fd[0]), POLLOUT);
	copy = receive_descriptor(way[1]);
	expect_text(fd[0], copy, "arrived");
	send_descriptor(way[0], copy);
	OK(close(copy));
	OK(close(way[1]));
	expect_eof(fd[0]);
}

CHECK_MAIN(CASE(by_dup), CASE(by_dup2), CASE(by_dup3_and_fcntl), CASE(dup2_over_a_socket),
	   CASE(flags_of_file_and_descriptor), CASE(shutdown_acts_on_all), CASE(fresh_socket),
	   CASE(many_before_connect), CASE(duplicated_listener), CASE(passed_connection),
	   CASE(passed_listener), CASE(in_flight))

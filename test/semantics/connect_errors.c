/* SPDX-License-Identifier: BSD-3-Clause
 *
 * connect_errors.c - Connections that cannot be made, and what the socket says
 *
 * GZ_BLACKHOLE names an IPv4 address that swallows SYNs; without it the
 * ETIMEDOUT case is skipped.
 */
#include "check.h"

/* Port 0 is nobody's. */
static void port_zero(void)
{
	struct sockaddr_in a = test_address(0);

	a.sin_port = 0;
	CHECK_ERRNO(connect(tcp_socket(), SA(&a), sizeof(a)), ECONNREFUSED);
}

static void refused_blocking(void)
{
	struct sockaddr_in a = refusing();
	int c = tcp_socket();

	CHECK_ERRNO(connect(c, SA(&a), sizeof(a)), ECONNREFUSED);
	CHECK_EQ(socket_error(c), 0);
}

static void refused_nonblocking(void)
{
	struct sockaddr_in a = refusing();
	int c = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));

	CHECK_ERRNO(connect(c, SA(&a), sizeof(a)), EINPROGRESS);
	CHECK_EQ(wait_bits(c, POLLERR | POLLHUP), POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP);
	CHECK_EQ(socket_error(c), ECONNREFUSED);
	CHECK_EQ(socket_error(c), 0);
	CHECK_EQ(poll_bits(c), POLLIN | POLLOUT | POLLHUP | POLLRDHUP);
}

static void refused_by_second_connect(void)
{
	struct sockaddr_in a = refusing();
	int c = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));

	CHECK_ERRNO(connect(c, SA(&a), sizeof(a)), EINPROGRESS);
	wait_bits(c, POLLERR | POLLHUP);
	CHECK_ERRNO(connect(c, SA(&a), sizeof(a)), ECONNREFUSED);
}

static void refused_by_recv_and_send(void)
{
	struct sockaddr_in a = refusing();
	char b;

	for (int sending = 0; sending < 2; sending++) {
		int c = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));

		CHECK_ERRNO(connect(c, SA(&a), sizeof(a)), EINPROGRESS);
		wait_bits(c, POLLERR | POLLHUP);
		if (sending) {
			CHECK_ERRNO(send(c, "x", 1, MSG_NOSIGNAL), ECONNREFUSED);
			CHECK_ERRNO(send(c, "x", 1, MSG_NOSIGNAL), EPIPE);
		} else {
			CHECK_ERRNO(recv(c, &b, 1, 0), ECONNREFUSED);
			CHECK_EQ(recv(c, &b, 1, 0), 0);
		}
	}
}

/* With the error comes all else; who finds it writable alone would take it for connected. */
static void refused_in_epoll(void)
{
	struct sockaddr_in a = refusing();
	uint32_t seen;

	for (int round = 0; round < 50; round++) {
		int c = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)),
		    e = OK(epoll_create1(0));
		struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP};

		CHECK_ERRNO(connect(c, SA(&a), sizeof(a)), EINPROGRESS);
		OK(epoll_ctl(e, EPOLL_CTL_ADD, c, &ev));
		for (seen = 0; !(seen & EPOLLOUT); seen |= ev.events) {
			CHECK_EQ(epoll_wait(e, &ev, 1, 5000), 1);
			CHECK((ev.events & (EPOLLERR | EPOLLHUP)) == (EPOLLERR | EPOLLHUP));
			CHECK(round || ev.events & EPOLLOUT); /* the first one has all at once */
		}
		CHECK_EQ(seen, EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLRDHUP);
		CHECK_EQ(socket_error(c), ECONNREFUSED);
		OK(close(c));
		OK(close(e));
	}
}

static void refused_socket_connects_later(void)
{
	struct sockaddr_in a = refusing(), b;
	int c = tcp_socket(), l = listener(1, &b);

	CHECK_ERRNO(connect(c, SA(&a), sizeof(a)), ECONNREFUSED);
	OK(connect(c, SA(&b), sizeof(b)));
	expect_text(c, OK(accept(l, NULL, NULL)), "at last");
}

/* Who has asked SO_ERROR is told by the next connect() that there was something. */
static void refused_and_asked(void)
{
	struct sockaddr_in a = refusing(), b;
	int c = tcp_socket(), l = listener(1, &b);

	set_nonblock(c);
	CHECK_ERRNO(connect(c, SA(&a), sizeof(a)), EINPROGRESS);
	wait_bits(c, POLLOUT);
	CHECK_EQ(socket_error(c), ECONNREFUSED);
	CHECK_ERRNO(connect(c, SA(&b), sizeof(b)), ECONNABORTED);
	CHECK_ERRNO(connect(c, SA(&b), sizeof(b)), EINPROGRESS);
	wait_bits(c, POLLOUT);
	CHECK_EQ(socket_error(c), 0);
	expect_text(c, OK(accept(l, NULL, NULL)), "at last");
}

/* SO_ERROR tells of it and changes no more than that: SS_CONNECTING until connect() was asked. */
static int refused_and_told(struct sockaddr_in a)
{
	int c = tcp_socket();

	set_nonblock(c);
	CHECK_ERRNO(connect(c, SA(&a), sizeof(a)), EINPROGRESS);
	wait_bits(c, POLLOUT);
	CHECK_ERRNO(listen(c, 1), EINVAL);
	CHECK_EQ(socket_error(c), ECONNREFUSED);
	CHECK_ERRNO(listen(c, 1), EINVAL);
	return c;
}

static void refused_does_not_listen(void)
{
	struct sockaddr_in a = refusing();
	int c = refused_and_told(a);

	CHECK_ERRNO(connect(c, SA(&a), sizeof(a)), ECONNABORTED);
	OK(listen(c, 1));
}

/* Its port is free, so it may be bound. */
static void refused_and_bound(void)
{
	struct sockaddr_in a = refusing(), own = test_address(0);
	int c = refused_and_told(a);

	OK(bind(c, SA(&own), sizeof(own)));
	own = local_name(c);
	CHECK(own.sin_port != 0);
	CHECK_ERRNO(bind(c, SA(&own), sizeof(own)), EINVAL);
	CHECK_ERRNO(bind(tcp_socket(), SA(&own), sizeof(own)), EADDRINUSE);
	CHECK_ERRNO(listen(c, 1), EINVAL);
	CHECK_ERRNO(connect(c, SA(&a), sizeof(a)), ECONNABORTED);
	OK(listen(c, 1));
	CHECK(same_address(local_name(c), own));
	connected(own);
}

/* tcp_disconnect(): whoever was told of it has a socket as new. */
static void refused_is_as_new(void)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP};
	struct sockaddr_in a = refusing();
	char b;

	for (int nonblock = 0; nonblock < 2; nonblock++) {
		int c = tcp_socket(), e = OK(epoll_create1(0));

		OK(epoll_ctl(e, EPOLL_CTL_ADD, c, &ev));
		if (nonblock) {
			set_nonblock(c);
			CHECK_ERRNO(connect(c, SA(&a), sizeof(a)), EINPROGRESS);
			wait_bits(c, POLLERR | POLLHUP);
		}
		CHECK_ERRNO(connect(c, SA(&a), sizeof(a)), ECONNREFUSED);
		CHECK_EQ(poll_bits(c), POLLOUT | POLLHUP);
		CHECK_EQ(epoll_wait(e, &ev, 1, 0), 1);
		CHECK_EQ(ev.events, EPOLLOUT | EPOLLHUP);
		CHECK_EQ(socket_error(c), 0);
		CHECK(recv(c, &b, 1, MSG_DONTWAIT) < 0);
	}
}

static void closed_listener_refuses(void)
{
	struct sockaddr_in a;
	int l = listener(5, &a), c = connected(a), s = OK(accept(l, NULL, NULL));

	OK(close(l));
	CHECK_ERRNO(connect(tcp_socket(), SA(&a), sizeof(a)), ECONNREFUSED);
	expect_text(c, s, "still here");
}

/* What waits in the queue of a listener that is closed gets reset. */
static void closed_listener_resets_queue(void)
{
	struct sockaddr_in a;
	int l = listener(5, &a), c = connected(a);
	char b;

	OK(close(l));
	CHECK_ERRNO(recv(c, &b, 1, 0), ECONNRESET);
}

static void to_group_or_broadcast(void)
{
	struct sockaddr_in a = test_address(9);

	a.sin_addr.s_addr = htonl(0xe0000001); /* 224.0.0.1 */
	CHECK_ERRNO(connect(tcp_socket(), SA(&a), sizeof(a)), ENETUNREACH);
	a.sin_addr.s_addr = INADDR_BROADCAST;
	CHECK_ERRNO(connect(tcp_socket(), SA(&a), sizeof(a)), ENETUNREACH);
}

static void never_connected(void)
{
	int c = tcp_socket(), many[400];
	char b;

	/* However many there are */
	for (unsigned i = 0; i < sizeof(many) / sizeof(many[0]); i++)
		many[i] = tcp_socket();
	for (unsigned i = 0; i < sizeof(many) / sizeof(many[0]); i++) {
		CHECK_ERRNO(recv(many[i], &b, 1, 0), ENOTCONN);
		OK(close(many[i]));
	}
	CHECK_ERRNO(recv(c, &b, 1, 0), ENOTCONN);
	CHECK_ERRNO(recv(c, &b, 1, MSG_DONTWAIT), ENOTCONN);
	CHECK_EQ(read(c, &b, 0), 0);
	CHECK_ERRNO(send(c, "x", 1, MSG_NOSIGNAL), EPIPE);
	signal(SIGPIPE, SIG_IGN);
	CHECK_ERRNO(write(c, "", 0), EPIPE);
	/* Nor was a listener. */
	OK(listen(c, 1));
	CHECK_ERRNO(read(c, &b, 1), ENOTCONN);
	CHECK_ERRNO(recv(c, &b, 1, MSG_DONTWAIT), ENOTCONN);
	CHECK_ERRNO(write(c, "x", 1), EPIPE);
}

static void pending_io(void)
{
	struct sockaddr_in a;
	int fd[16], n, c, l = listener(0, &a);
	char b;

	n = fill_backlog(a, fd, 16);
	c = fd[n - 1];
	CHECK_ERRNO(recv(c, &b, 1, 0), EAGAIN);
	CHECK_ERRNO(send(c, "x", 1, MSG_NOSIGNAL), EAGAIN);
	CHECK_ERRNO(getpeername(c, SA(&a), &(socklen_t){sizeof(a)}), ENOTCONN);
	OK(close(l));
}

static void *blocked_connect(void *arg)
{
	struct sockaddr_in a = test_address(9);

	OK(inet_pton(AF_INET, getenv("GZ_BLACKHOLE"), &a.sin_addr));
	return (void *)(intptr_t)(connect(*(int *)arg, SA(&a), sizeof(a)) < 0 ? errno : 0);
}

/* Neither waits for ever; the error is reported once. */
static void two_threads_connect(void)
{
	const char *hole = getenv("GZ_BLACKHOLE");
	int c = tcp_socket(), error[2];
	pthread_t t[2];

	if (!hole || !*hole)
		check_skip("GZ_BLACKHOLE is not set");
	set_option(c, IPPROTO_TCP, TCP_SYNCNT, 1);
	for (int i = 0; i < 2; i++, sleep_ms(200))
		t[i] = thread(blocked_connect, &c);
	for (int i = 0; i < 2; i++)
		error[i] = (int)(intptr_t)join(t[i]);
	CHECK((error[0] == ETIMEDOUT) + (error[1] == ETIMEDOUT) >= 1);
	CHECK(error[0] && error[1]);
}

/* __ip_route_output_key(): an address of loopback stays on this host. */
static void loopback_does_not_leave(void)
{
	const char *hole = getenv("GZ_BLACKHOLE");
	struct sockaddr_in a = {.sin_family = AF_INET}, to = test_address(9);
	int c = tcp_socket();

	if (!hole || !*hole)
		check_skip("GZ_BLACKHOLE is not set");
	CHECK_EQ(inet_pton(AF_INET, hole, &to.sin_addr), 1);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	OK(bind(c, SA(&a), sizeof(a)));
	CHECK_ERRNO(connect(c, SA(&to), sizeof(to)), EINVAL);
}

static void timed_out(void)
{
	const char *hole = getenv("GZ_BLACKHOLE");
	struct sockaddr_in a = test_address(9);
	int c = tcp_socket(), blocking = tcp_socket();
	long long start = now_ms();

	if (!hole || !*hole)
		check_skip("GZ_BLACKHOLE is not set");
	CHECK_EQ(inet_pton(AF_INET, hole, &a.sin_addr), 1);
	set_option(c, IPPROTO_TCP, TCP_SYNCNT, 1);
	set_option(blocking, IPPROTO_TCP, TCP_SYNCNT, 1);
	set_nonblock(c);
	CHECK_ERRNO(connect(c, SA(&a), sizeof(a)), EINPROGRESS);
	CHECK_ERRNO(connect(blocking, SA(&a), sizeof(a)), ETIMEDOUT);
	CHECK(now_ms() - start >= 1500);
	CHECK_EQ(wait_bits(c, POLLERR | POLLHUP), POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP);
	CHECK_EQ(socket_error(c), ETIMEDOUT);
}

/* A refused socket is as new: it may be bound, and listen. */
static void refused_socket_listens(void)
{
	struct sockaddr_in a, none = {.sin_family = AF_INET};
	int l = listener(1, &a), fd;

	OK(close(l));
	for (int i = 0; i < 2; i++) {
		fd = tcp_socket();
		CHECK_ERRNO(connect(fd, SA(&a), sizeof(a)), ECONNREFUSED);
		CHECK_EQ(local_name(fd).sin_addr.s_addr, htonl(INADDR_ANY));
		CHECK_ERRNO(getpeername(fd, SA(&none), &(socklen_t){sizeof(none)}), ENOTCONN);
		if (i) {
			none.sin_port = 0;
			OK(bind(fd, SA(&none), sizeof(none)));
		}
		OK(listen(fd, 1));
		CHECK_EQ(get_option(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
	}
}

/* A port that bind() chose stays a socket's own, whatever becomes of its connection. */
static void keeps_its_port(void)
{
	struct sockaddr_in none = refusing(), own = test_address(0), a, to;
	struct sockaddr off = {.sa_family = AF_UNSPEC};
	int l = listener(1, &to), fd = tcp_socket(), other = tcp_socket();

	OK(bind(fd, SA(&own), sizeof(own)));
	own = local_name(fd);
	OK(close(fd));
	fd = tcp_socket();
	OK(bind(fd, SA(&own), sizeof(own)));
	CHECK_ERRNO(connect(fd, SA(&none), sizeof(none)), ECONNREFUSED);
	CHECK(same_address(local_name(fd), own));
	CHECK_ERRNO(bind(other, SA(&own), sizeof(own)), EADDRINUSE);
	a = test_address(0);
	CHECK_ERRNO(bind(fd, SA(&a), sizeof(a)), EINVAL);
	OK(connect(fd, SA(&to), sizeof(to)));
	CHECK(same_address(local_name(fd), own));
	OK(accept(l, NULL, NULL));
	/* Also when the connection is given up. */
	OK(connect(fd, &off, sizeof(off)));
	CHECK(same_address(local_name(fd), own));
	CHECK_ERRNO(bind(other, SA(&own), sizeof(own)), EADDRINUSE);
	OK(listen(fd, 1));
	CHECK_EQ(peer_name(connected(own)).sin_port, own.sin_port);
}

/* One that it was given is given to others then. */
static void gives_its_port_back(void)
{
	struct sockaddr_in none = refusing(), a = test_address(0), b = a;
	int fd = tcp_socket(), other = tcp_socket();

	OK(bind(fd, SA(&a), sizeof(a)));
	a = local_name(fd);
	CHECK_ERRNO(connect(fd, SA(&none), sizeof(none)), ECONNREFUSED);
	OK(bind(other, SA(&a), sizeof(a)));
	OK(bind(fd, SA(&b), sizeof(b)));
	CHECK(local_name(fd).sin_port != a.sin_port);
}

/* The state is looked at before the address, but for a length that cannot be one. */
static void state_before_address(void)
{
	struct sockaddr_in a = test_address(9), odd = a, group = a;
	struct sockaddr_storage big = {.ss_family = AF_INET};
	int fd[3], fresh = tcp_socket();

	tcp_pair(fd);
	fd[2] = listener(1, &a);
	odd.sin_family = 77;
	group.sin_addr.s_addr = htonl(0xe0000105);
	for (int i = 0; i < 3; i++) {
		CHECK_ERRNO(connect(fd[i], SA(&a), sizeof(a)), EISCONN);
		CHECK_ERRNO(connect(fd[i], SA(&a), 3), EISCONN);
		CHECK_ERRNO(connect(fd[i], SA(&odd), sizeof(odd)), EISCONN);
		CHECK_ERRNO(connect(fd[i], SA(&group), sizeof(group)), EISCONN);
		CHECK_ERRNO(connect(fd[i], SA(&a), 1), EINVAL);
		CHECK_ERRNO(connect(fd[i], SA(&big), sizeof(big) + 1), EINVAL);
	}
	CHECK_ERRNO(connect(fresh, SA(&a), 3), EINVAL);
	CHECK_ERRNO(connect(fresh, SA(&odd), 8), EINVAL);
	CHECK_ERRNO(connect(fresh, SA(&odd), sizeof(odd)), EAFNOSUPPORT);
	expect_text(fd[0], fd[1], "as before");
}

CHECK_MAIN(CASE(port_zero), CASE(state_before_address), CASE(keeps_its_port),
	   CASE(gives_its_port_back), CASE(refused_blocking), CASE(refused_nonblocking),
	   CASE(refused_by_second_connect), CASE(refused_by_recv_and_send), CASE(refused_in_epoll),
	   CASE(refused_is_as_new), CASE(refused_socket_connects_later), CASE(refused_and_asked),
	   CASE(refused_does_not_listen), CASE(refused_and_bound), CASE(closed_listener_refuses),
	   CASE(closed_listener_resets_queue), CASE(to_group_or_broadcast), CASE(never_connected),
	   ASIDE(pending_io), CASE(loopback_does_not_leave), ASIDE(timed_out),
	   ASIDE(two_threads_connect), CASE(refused_socket_listens))

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * udp_bind_connect.c - Ports and peers of UDP sockets, and ICMP's errors
 */
#include "udp.h"

static void names(void)
{
	udp_addr a, n;
	socklen_t len = sizeof(n);
	int s = udp_bound(&a), c = udp_socket();

	CHECK(a.PORT);
	CHECK(udp_same_host(a, udp_address(0)));
	CHECK_EQ(udp_name(c).PORT, 0);
	CHECK(udp_same_host(udp_name(c), udp_any(a)));
	CHECK_ERRNO(getpeername(c, SA(&n), &len), ENOTCONN);
	udp_send(c, "x", a); /* takes a port, and no address */
	CHECK(udp_name(c).PORT);
	CHECK(udp_same_host(udp_name(c), udp_any(a)));
	OK(connect(c, SA(&a), sizeof(a)));
	CHECK(udp_same(udp_peer(c), a));
	CHECK(udp_same_host(udp_name(c), a));
	CHECK_EQ(get_option(s, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
	CHECK_EQ(get_option(s, SOL_SOCKET, SO_DOMAIN), UDP_FAMILY);
	CHECK_EQ(get_option(s, SOL_SOCKET, SO_PROTOCOL), IPPROTO_UDP);
}

/* inet_send_prepare(), inet_dgram_connect(): it gets a port before anything is refused. */
static void refused_with_a_port(void)
{
	static char large[65536];
	udp_addr a, odd;
	int s = udp_bound(&a), fd;
	struct msghdr m = {.msg_name = NULL};

	(void)s;
	CHECK_ERRNO(sendto(fd = udp_socket(), "x", 1, 0, (void *)8, sizeof(a)), EFAULT);
	CHECK_EQ(udp_name(fd).PORT, 0); /* but for what cannot be read */
	CHECK_ERRNO(sendto(fd = udp_socket(), "x", 1, 0, SA(&a), 8), EINVAL);
	CHECK(udp_name(fd).PORT);
	CHECK_ERRNO(sendto(fd = udp_socket(), large, sizeof(large), 0, SA(&a), sizeof(a)),
		    EMSGSIZE);
	CHECK(udp_name(fd).PORT);
	odd = a;
	odd.PORT = 0;
	CHECK_ERRNO(sendto(fd = udp_socket(), "x", 1, 0, SA(&odd), sizeof(odd)), EINVAL);
	CHECK(udp_name(fd).PORT);
	CHECK_ERRNO(sendmsg(fd = udp_socket(), &m, 0), EDESTADDRREQ);
	CHECK(udp_name(fd).PORT);
	SA(&odd)->sa_family = AF_APPLETALK;
	CHECK_ERRNO(connect(fd = udp_socket(), SA(&odd), sizeof(odd)), EAFNOSUPPORT);
	CHECK(udp_name(fd).PORT);
	CHECK(udp_same_host(udp_name(fd), udp_any(a)));
}

static void conflicts(void)
{
	udp_addr a, any;
	int s = udp_bound(&a), t = udp_socket(), u = udp_socket();

	CHECK_ERRNO(bind(t, SA(&a), sizeof(a)), EADDRINUSE);
	any = udp_any(a);
	CHECK_ERRNO(bind(t, SA(&any), sizeof(any)), EADDRINUSE);
	set_option(t, SOL_SOCKET, SO_REUSEADDR, 1);
	CHECK_ERRNO(bind(t, SA(&a), sizeof(a)), EADDRINUSE);
	set_option(s, SOL_SOCKET, SO_REUSEADDR, 1);
	CHECK_ERRNO(bind(s, SA(&a), sizeof(a)), EINVAL);
	OK(close(s));
	OK(bind(t, SA(&a), sizeof(a)));
	set_option(u, SOL_SOCKET, SO_REUSEADDR, 1);
	OK(bind(u, SA(&any), sizeof(any)));
	/* TCP's ports are others; one of its own may be in TIME_WAIT at @a. */
	a.PORT = 0;
	OK(bind(s = (int)OK(socket(UDP_FAMILY, SOCK_STREAM, 0)), SA(&a), sizeof(a)));
	a = udp_name(s);
	OK(bind(udp_socket(), SA(&a), sizeof(a)));
	CHECK_ERRNO(bind(udp_socket(), SA(&a), 8), EINVAL);
	any = udp_nowhere();
	CHECK_ERRNO(bind(udp_socket(), SA(&any), sizeof(any)), EADDRNOTAVAIL);
}

/* IP_FREEBIND, IPV6_FREEBIND: the address may come later.  From it IPv4 sends nothing. */
static void bound_to_nowhere(void)
{
	udp_addr a, nowhere = udp_nowhere();
	int s = udp_bound(&a), fd = udp_socket();

	(void)s;
	CHECK_EQ(get_option(fd, IPPROTO_IP, IP_FREEBIND), 0);
#ifdef UDP_V6
	set_option(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1);
	CHECK_EQ(get_option(fd, IPPROTO_IPV6, IPV6_FREEBIND), 1);
#else
	set_option(fd, IPPROTO_IP, IP_FREEBIND, 1);
#endif
	CHECK_EQ(get_option(fd, IPPROTO_IP, IP_FREEBIND), 1);
	OK(bind(fd, SA(&nowhere), sizeof(nowhere)));
	CHECK(udp_same_host(udp_name(fd), nowhere));
	CHECK(udp_name(fd).PORT);
#ifndef UDP_V6
	CHECK_EQ(sendto(fd, "x", 1, 0, SA(&a), sizeof(a)), -1);
	CHECK(errno == ENETUNREACH || errno == EINVAL); /* by the kernel */
	CHECK_EQ(connect(fd, SA(&a), sizeof(a)), -1);
#endif
}

static void released_by_close(void)
{
	udp_addr a;
	int s = udp_bound(&a);

	for (int i = 0; i < 20; i++) {
		OK(close(s));
		s = udp_socket();
		OK(bind(s, SA(&a), sizeof(a)));
	}
}

/* The exact address goes before the wildcard, a connected socket before both. */
static void most_specific_gets_it(void)
{
	udp_addr a, any, from;
	int exact = udp_socket(), wild = udp_socket(), peer = udp_socket(), c = udp_socket();

	set_option(exact, SOL_SOCKET, SO_REUSEADDR, 1);
	set_option(wild, SOL_SOCKET, SO_REUSEADDR, 1);
	set_option(peer, SOL_SOCKET, SO_REUSEADDR, 1);
	a = udp_address(0);
	OK(bind(exact, SA(&a), sizeof(a)));
	a = udp_name(exact);
	any = udp_any(a);
	OK(bind(wild, SA(&any), sizeof(any)));
	udp_send(c, "1", a);
	from = udp_expect(exact, "1");
	udp_silent(wild);
	OK(bind(peer, SA(&a), sizeof(a)));
	CHECK(udp_same_host(from, a));
	OK(connect(peer, SA(&from), sizeof(from)));
	udp_send(c, "2", a);
	udp_expect(peer, "2");
	udp_send(udp_socket(), "3", a);
	udp_expect(exact, "3");
}

static void connected_hears_its_peer_only(void)
{
	udp_addr a, b;
	int s = udp_bound(&a), other = udp_bound(&b), c = udp_connected(a);
	udp_addr n = udp_name(c);

	udp_send(other, "stranger", n);
	udp_send(s, "peer", n);
	udp_expect(c, "peer");
	udp_silent(c);
	/* To others it may send nevertheless. */
	udp_send(c, "x", b);
	CHECK(udp_same(udp_expect(other, "x"), n));
	OK(connect(c, SA(&b), sizeof(b)));
	udp_send(s, "peer", n);
	udp_send(other, "stranger", n);
	CHECK(udp_same(udp_expect(c, "stranger"), b));
	udp_silent(c);
}

/*
 * connect() to port 0, as getaddrinfo(3) and others do who ask which address they would have
 * there: the peer is that address with all its ports, and has no name.
 */
static void peer_without_port(void)
{
	udp_addr a, b, none = udp_address(0), n;
	socklen_t len = sizeof(n);
	int s = udp_bound(&a), other = udp_bound(&b), c = udp_socket();

	OK(connect(c, SA(&none), sizeof(none)));
	CHECK(udp_same_host(udp_name(c), none));
	CHECK(udp_name(c).PORT);
	CHECK_ERRNO(getpeername(c, SA(&n), &len), ENOTCONN);
	CHECK_EQ(poll_bits(c), POLLOUT);
	for (int i = 0; i < 3; i++) {
		udp_send(s, "one", udp_name(c));
		CHECK(udp_same(udp_expect(c, "one"), a));
		udp_send(other, "another", udp_name(c));
		CHECK(udp_same(udp_expect(c, "another"), b));
	}
	CHECK_ERRNO(sendto(c, "x", 1, 0, SA(&none), sizeof(none)), EINVAL);
	udp_send(c, "named", a);
	CHECK(udp_same(udp_expect(s, "named"), udp_name(c)));
	CHECK_EQ(send(c, "nobody is there", 15, 0), 15);
	wait_bits(c, POLLERR);
	CHECK_EQ(socket_error(c), ECONNREFUSED);
	OK(connect(c, SA(&a), sizeof(a)));
	udp_send(other, "stranger", udp_name(c));
	udp_send(s, "peer", udp_name(c));
	CHECK(udp_same(udp_expect(c, "peer"), a));
}

/* What was sent before another connect() goes where it was sent to. */
static void reconnect_keeps_order(void)
{
	udp_addr a, b;
	int s = udp_bound(&a), t = udp_bound(&b), c = udp_socket();
	char buf[8];

	for (int i = 0; i < 50; i++) {
		OK(connect(c, SA(&a), sizeof(a)));
		CHECK_EQ(send(c, "a", 1, 0), 1);
		OK(connect(c, SA(&b), sizeof(b)));
		CHECK_EQ(send(c, "b", 1, 0), 1);
	}
	for (int i = 0; i < 50; i++) {
		wait_bits(s, POLLIN);
		CHECK_EQ(recv(s, buf, 8, 0), 1);
		CHECK_EQ(buf[0], 'a');
		wait_bits(t, POLLIN);
		CHECK_EQ(recv(t, buf, 8, 0), 1);
		CHECK_EQ(buf[0], 'b');
	}
}

/* What was in the queue before connect() stays there, as who sent it, by whichever call. */
static void connect_keeps_the_queue(void)
{
	static char large[65469];
	udp_addr a, b, from;
	socklen_t len;
	int s = udp_bound(&a), other = udp_bound(&b), one = 1;

	for (int i = 0; i < 3; i++) {
		udp_send(s, "own", a);
		CHECK_EQ(sendto(s, large, sizeof(large), 0, SA(&a), sizeof(a)), sizeof(large));
		udp_send(s, "last", a);
		OK(connect(s, SA(&b), sizeof(b)));
		udp_send(other, "peer", a);
		/* In the rings it leaves them in the second round, the others by the large one. */
		if (i == 1)
			OK(setsockopt(s, SOL_SOCKET, SO_RXQ_OVFL, &one, sizeof(one)));
		CHECK(udp_same(udp_expect(s, "own"), a));
		len = sizeof(from);
		CHECK_EQ(recvfrom(s, large, sizeof(large), 0, SA(&from), &len), sizeof(large));
		CHECK(udp_same(from, a));
		CHECK(udp_same(udp_expect(s, "last"), a));
		CHECK(udp_same(udp_expect(s, "peer"), b));
		OK(close(s));
		s = udp_bound(&a);
	}
}

static void disconnect(void)
{
	udp_addr a, b, n;
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	int s = udp_bound(&a), other = udp_bound(&b), c = udp_connected(a), d = udp_socket();
	socklen_t len = sizeof(n);

	CHECK(udp_name(c).PORT);
	OK(connect(c, &none, sizeof(none)));
	CHECK_ERRNO(getpeername(c, SA(&n), &len), ENOTCONN);
	CHECK_EQ(udp_name(c).PORT, 0);
	CHECK(udp_same_host(udp_name(c), udp_any(a)));
	CHECK_ERRNO(send(c, "x", 1, 0), EDESTADDRREQ);
	/* A port that was asked for stays. */
	n = udp_address(0);
	OK(bind(d, SA(&n), sizeof(n)));
	n = udp_name(d);
	OK(close(d));
	d = udp_socket();
	OK(bind(d, SA(&n), sizeof(n)));
	OK(connect(d, SA(&a), sizeof(a)));
	OK(connect(d, &none, sizeof(none)));
	CHECK(udp_same(udp_name(d), n));
	udp_send(other, "hello", n);
	udp_expect(d, "hello");
	OK(connect(d, &none, sizeof(none)));
	/* Of one that was not nothing is left, not in either world. */
	d = udp_socket();
	b = udp_any(n);
	b.PORT = 0;
	OK(bind(d, SA(&b), sizeof(b)));
	n.PORT = udp_name(d).PORT;
	OK(connect(d, SA(&a), sizeof(a)));
	OK(connect(d, &none, sizeof(none)));
	udp_send(other, "late", n);
	udp_silent(d);
	(void)s;
}

/* A bind() that fails takes back what an earlier one has chosen (__inet_bind()). */
static void failed_bind_forgets(void)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	udp_addr a, own = udp_address(0);
	int s = udp_bound(&a), c = udp_socket();

	OK(bind(c, SA(&own), sizeof(own)));
	OK(connect(c, &none, sizeof(none))); /* the port is gone, the address stays */
	CHECK_EQ(udp_name(c).PORT, 0);
	CHECK(udp_same_host(udp_name(c), own));
	CHECK_ERRNO(bind(c, SA(&a), sizeof(a)), EADDRINUSE);
	CHECK(udp_same_host(udp_name(c), udp_any(a)));
	udp_send(c, "x", a);
	CHECK(udp_same_host(udp_name(c), udp_any(a)));
	udp_expect(s, "x");
}

/* It was there when send() returned, so that it stays when the port goes. */
static void disconnect_keeps_what_was_sent(void)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	udp_addr a = udp_address(0);
	char buf[8];

	for (int i = 0; i < 50; i++) {
		int c = udp_socket();

		a.PORT = 0;
		OK(bind(c, SA(&a), sizeof(a)));
		a = udp_name(c);
		OK(connect(c, SA(&a), sizeof(a)));
		for (char k = 0; k < 3; k++)
			CHECK_EQ(send(c, &k, 1, 0), 1);
		OK(connect(c, &none, sizeof(none)));
		CHECK_EQ(udp_name(c).PORT, 0);
		for (char k = 0; k < 3; k++) {
			wait_bits(c, POLLIN);
			CHECK_EQ(recv(c, buf, sizeof(buf), 0), 1);
			CHECK_EQ(buf[0], k);
		}
		OK(close(c));
	}
}

/* __udp_disconnect() takes a port that bind() did not choose, from who is not connected too. */
static void another_port_after_it(void)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	udp_addr a, own = udp_address(0), b;
	int s = udp_bound(&a), c = udp_socket();
	char buf[8];

	OK(bind(c, SA(&own), sizeof(own)));
	OK(connect(c, &none, sizeof(none)));
	CHECK_EQ(udp_name(c).PORT, 0);
	/* The next connect() takes one, at the address that bind() chose. */
	OK(connect(c, SA(&a), sizeof(a)));
	b = udp_name(c);
	CHECK(b.PORT != 0);
	CHECK_EQ(send(c, "there", 5, 0), 5);
	CHECK_EQ(recv(s, buf, sizeof(buf), 0), 5);
	CHECK_EQ(sendto(s, "back", 4, 0, SA(&b), sizeof(b)), 4);
	CHECK_EQ(recv(c, buf, sizeof(buf), 0), 4);
	OK(connect(c, &none, sizeof(none)));
	CHECK_EQ(udp_name(c).PORT, 0);
	OK(bind(c, SA(&own), sizeof(own)));
	CHECK(udp_name(c).PORT != 0);
}

static void refused(void)
{
	udp_addr a;
	char buf[8];
	int s = udp_bound(&a), c = udp_connected(a);

	OK(close(s));
	CHECK_EQ(send(c, "x", 1, 0), 1);
	CHECK_EQ(wait_bits(c, POLLERR) & POLLERR, POLLERR);
	CHECK_EQ(socket_error(c), ECONNREFUSED);
	CHECK_EQ(socket_error(c), 0);
	CHECK_EQ(send(c, "x", 1, 0), 1);
	wait_bits(c, POLLERR);
	CHECK_ERRNO(recv(c, buf, sizeof(buf), MSG_DONTWAIT), ECONNREFUSED);
	CHECK_EQ(send(c, "x", 1, 0), 1);
	wait_bits(c, POLLERR);
	CHECK_ERRNO(send(c, "x", 1, 0), ECONNREFUSED);
	/* One that is not connected hears nothing. */
	s = udp_socket();
	udp_send(s, "x", a);
	sleep_ms(50);
	CHECK_EQ(socket_error(s), 0);
}

static void refused_wakes_a_recv(void)
{
	udp_addr a, from;
	socklen_t len = sizeof(from);
	char buf[8];
	int s = udp_bound(&a), c = udp_connected(a);
	pid_t pid;

	OK(close(s));
	for (int i = 0; i < 2; i++) {
		pid = child();
		if (!pid) {
			sleep_ms(100);
			CHECK_EQ(send(c, "x", 1, 0), 1);
			_exit(0);
		}
		if (i)
			CHECK_ERRNO(recvfrom(c, buf, sizeof(buf), 0, SA(&from), &len),
				    ECONNREFUSED);
		else
			CHECK_ERRNO(recv(c, buf, sizeof(buf), 0), ECONNREFUSED);
		reap(pid);
	}
}

static void shut(void)
{
	char buf[8];
	int fd[2], u = udp_socket();

	udp_pair(fd);
	CHECK_ERRNO(shutdown(u, SHUT_RDWR), ENOTCONN);
	OK(shutdown(fd[0], SHUT_WR));
	CHECK_ERRNO(send(fd[0], "x", 1, 0), EPIPE);
	OK(shutdown(fd[0], SHUT_RD));
	CHECK_EQ(recv(fd[0], buf, sizeof(buf), 0), 0);
	CHECK_ERRNO(shutdown(fd[1], 3), EINVAL);
}

/* SO_REUSEPORT: each of many peers is always served by one, and all take part. */
static void reuseport_spreads(void)
{
	udp_addr a = udp_address(0);
	int s[3], total = 0, some = 0, n;
	char buf[8];

	for (int i = 0; i < 3; i++) {
		s[i] = udp_socket();
		set_option(s[i], SOL_SOCKET, SO_REUSEPORT, 1);
		OK(bind(s[i], SA(&a), sizeof(a)));
		a = udp_name(s[0]);
	}
	for (int i = 0; i < 60; i++) {
		int c = udp_socket();

		udp_send(c, "x", a);
		OK(close(c));
	}
	sleep_ms(100);
	for (int i = 0; i < 3; i++) {
		for (n = 0; recv(s[i], buf, sizeof(buf), MSG_DONTWAIT) == 1; n++)
			;
		total += n;
		some += n > 0;
	}
	CHECK_EQ(total, 60);
	CHECK_EQ(some, 3);
}

#ifdef UDP_V6
#define BROADCAST
#else
#define BROADCAST , CASE(broadcast_needs_the_option), CASE(broadcast_reaches_all)

static void broadcast_needs_the_option(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .PORT = htons(9)};
	int fd = udp_socket();

	a.sin_addr.s_addr = htonl(0x7fffffff); /* lo's */
	CHECK_ERRNO(sendto(fd, "x", 1, 0, SA(&a), sizeof(a)), EACCES);
	CHECK_ERRNO(connect(fd, SA(&a), sizeof(a)), EACCES);
}

static void broadcast_reaches_all(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	int s = udp_socket(), t = udp_socket(), c = udp_socket();

	set_option(s, SOL_SOCKET, SO_REUSEADDR, 1);
	set_option(t, SOL_SOCKET, SO_REUSEADDR, 1);
	OK(bind(s, SA(&a), sizeof(a)));
	a = udp_name(s);
	OK(bind(t, SA(&a), sizeof(a)));
	a.sin_addr.s_addr = htonl(0x7fffffff);
	set_option(c, SOL_SOCKET, SO_BROADCAST, 1);
	udp_send(c, "all", a);
	udp_expect(s, "all");
	udp_expect(t, "all");
	OK(connect(c, SA(&a), sizeof(a)));
	CHECK_EQ(send(c, "again", 5, 0), 5);
	udp_expect(s, "again");
}

#endif

CHECK_MAIN(CASE(names), CASE(refused_with_a_port), CASE(conflicts), CASE(bound_to_nowhere),
	   CASE(released_by_close), CASE(most_specific_gets_it),
	   ASIDE(connected_hears_its_peer_only), CASE(peer_without_port),
	   CASE(reconnect_keeps_order), CASE(connect_keeps_the_queue), CASE(disconnect),
	   CASE(failed_bind_forgets), CASE(disconnect_keeps_what_was_sent),
	   CASE(another_port_after_it), CASE(refused), CASE(refused_wakes_a_recv), CASE(shut),
	   CASE(reuseport_spreads) BROADCAST)

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * option_effects.c - Options that do something, and who may set them
 */
#include <grp.h>
#include <linux/tcp.h>
#define _NETINET_TCP_H 1
#include <sys/syscall.h>
#include "check.h"

static void maxseg_bounds_both_sides(void)
{
	struct sockaddr_in a;
	int l = listener(1, &a), c = tcp_socket(), s;

	set_option(c, IPPROTO_TCP, TCP_MAXSEG, 700);
	CHECK_EQ(get_option(c, IPPROTO_TCP, TCP_MAXSEG), 700);
	OK(connect(c, SA(&a), sizeof(a)));
	s = OK(accept(l, NULL, NULL));
	/* Less what options take of each segment: timestamps, 12 bytes */
	CHECK(get_option(s, IPPROTO_TCP, TCP_MAXSEG) <= 700);
	CHECK(get_option(s, IPPROTO_TCP, TCP_MAXSEG) >= 688);
	CHECK(get_option(c, IPPROTO_TCP, TCP_MAXSEG) <= 700);
	expect_text(s, c, "small");
}

static void maxseg_of_a_listener(void)
{
	struct sockaddr_in a = test_address(0);
	int l = tcp_socket(), c, s;

	set_option(l, IPPROTO_TCP, TCP_MAXSEG, 900);
	OK(bind(l, SA(&a), sizeof(a)));
	OK(listen(l, 1));
	a = local_name(l);
	c = connected(a);
	s = OK(accept(l, NULL, NULL));
	CHECK(get_option(c, IPPROTO_TCP, TCP_MAXSEG) <= 900);
	CHECK(get_option(s, IPPROTO_TCP, TCP_MAXSEG) <= 900);
}

static void deferred_accept_waits_for_bytes(void)
{
	struct sockaddr_in a;
	int l = listener(4, &a), c, s;

	set_option(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, 10);
	c = connected(a);
	sleep_ms(100);
	CHECK_EQ(poll_bits(l), 0);
	set_nonblock(l);
	CHECK_ERRNO(accept(l, NULL, NULL), EAGAIN);
	write_all(c, "now", 3);
	wait_bits(l, POLLIN);
	s = OK(accept(l, NULL, NULL));
	CHECK_EQ(poll_bits(s) & POLLIN, POLLIN);
	expect_text(s, c, "yes");
}

static void deferred_connections_go_with_the_listener(void)
{
	struct sockaddr_in a;
	int l = listener(4, &a), c;
	char b;

	set_option(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, 10);
	c = connected(a);
	OK(close(l));
	sleep_ms(150);
	/* Linux has not even a socket there, and tells when bytes come. */
	send(c, "x", 1, MSG_NOSIGNAL);
	CHECK_ERRNO(recv(c, &b, 1, 0), ECONNRESET);
}

static void cookies_differ(void)
{
	uint64_t a = 0, b = 0, again = 0;
	socklen_t len = sizeof(a);
	int one = tcp_socket(), two = tcp_socket();

	OK(getsockopt(one, SOL_SOCKET, SO_COOKIE, &a, &len));
	OK(getsockopt(two, SOL_SOCKET, SO_COOKIE, &b, &len));
	OK(getsockopt(one, SOL_SOCKET, SO_COOKIE, &again, &len));
	CHECK(a && b && a != b && a == again);
	len = 4;
	CHECK_ERRNO(getsockopt(one, SOL_SOCKET, SO_COOKIE, &a, &len), EINVAL);
}

/* There is nobody whom an INET socket could name. */
static void peer_credentials(void)
{
	struct ucred u;
	socklen_t len = sizeof(u);
	int fd[2];

	tcp_pair(fd);
	OK(getsockopt(fd[0], SOL_SOCKET, SO_PEERCRED, &u, &len));
	CHECK_EQ(len, sizeof(u));
	CHECK_EQ(u.pid, 0);
	CHECK_EQ(u.uid, (uid_t)-1);
	CHECK_EQ(u.gid, (gid_t)-1);
}

static void peer_name_as_an_option(void)
{
	struct sockaddr_in a = {0}, p;
	socklen_t len = sizeof(a);
	int fd[2];

	tcp_pair(fd);
	OK(getsockopt(fd[0], SOL_SOCKET, SO_PEERNAME, &a, &len));
	p = peer_name(fd[0]);
	CHECK(same_address(a, p));
	CHECK_ERRNO(getsockopt(tcp_socket(), SOL_SOCKET, SO_PEERNAME, &a, &len), ENOTCONN);
}

static void mtu_needs_a_connection(void)
{
	int fd[2], v;
	socklen_t len = sizeof(v);

	CHECK_ERRNO(getsockopt(tcp_socket(), IPPROTO_IP, IP_MTU, &v, &len), ENOTCONN);
	tcp_pair(fd);
	v = get_option(fd[0], IPPROTO_IP, IP_MTU);
	CHECK(v >= 576 && v <= 65536);
	CHECK(get_option(fd[0], IPPROTO_TCP, TCP_MAXSEG) <= v - 40);
}

static void tos_sets_the_priority(void)
{
	int fd = tcp_socket();

	set_option(fd, IPPROTO_IP, IP_TOS, 0x10);
	CHECK_EQ(get_option(fd, SOL_SOCKET, SO_PRIORITY), 6);
	set_option(fd, IPPROTO_IP, IP_TOS, 0x08);
	CHECK_EQ(get_option(fd, SOL_SOCKET, SO_PRIORITY), 2);
	set_option(fd, IPPROTO_IP, IP_TOS, 0);
	CHECK_EQ(get_option(fd, SOL_SOCKET, SO_PRIORITY), 0);
}

static void a_byte_for_ip_options(void)
{
	unsigned char v = 0x20, got[4] = {0x55, 0x55, 0x55, 0x55};
	socklen_t len = 1;
	int fd = tcp_socket();

	OK(setsockopt(fd, IPPROTO_IP, IP_TOS, &v, 1));
	OK(getsockopt(fd, IPPROTO_IP, IP_TOS, got, &len));
	CHECK_EQ(len, 1);
	CHECK(got[0] == 0x20 && got[1] == 0x55);
	v = 99;
	OK(setsockopt(fd, IPPROTO_IP, IP_TTL, &v, 1));
	CHECK_EQ(get_option(fd, IPPROTO_IP, IP_TTL), 99);
	CHECK_ERRNO(setsockopt(fd, IPPROTO_IP, IP_TTL, &v, 0), EINVAL);
}

static void become_nobody(void)
{
	OK(setgroups(0, NULL));
	OK(setresgid(65534, 65534, 65534));
	OK(setresuid(65534, 65534, 65534));
}

static void needs_a_capability(void)
{
	int fd = tcp_socket(), v = 7;

	if (geteuid())
		check_skip("not root");
	set_option(fd, SOL_SOCKET, SO_MARK, 5);
	CHECK_EQ(get_option(fd, SOL_SOCKET, SO_MARK), 5);
	set_option(fd, SOL_SOCKET, SO_PRIORITY, 7);
	become_nobody();
	CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, SO_MARK, &v, sizeof(v)), EPERM);
	CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &v, sizeof(v)), EPERM);
	CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &v, sizeof(v)), EPERM);
	CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &v, sizeof(v)), EPERM);
	CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, SO_DEBUG, &v, sizeof(v)), EACCES);
	CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET, &v, sizeof(v)), EPERM);
	set_option(fd, SOL_SOCKET, SO_PRIORITY, 6);
}

static void force_goes_past_the_limit(void)
{
	int fd = tcp_socket(), usual, forced;

	if (geteuid())
		check_skip("not root");
	set_option(fd, SOL_SOCKET, SO_SNDBUF, 16 << 20);
	usual = get_option(fd, SOL_SOCKET, SO_SNDBUF);
	set_option(fd, SOL_SOCKET, SO_SNDBUFFORCE, 16 << 20);
	forced = get_option(fd, SOL_SOCKET, SO_SNDBUF);
	CHECK(usual < forced);
	CHECK_EQ(forced, 32 << 20);
}

static void devices(void)
{
	char name[16] = "none0";
	socklen_t len = sizeof(name);
	int fd = tcp_socket();

	CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, len), ENODEV);
	OK(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
	CHECK_EQ(len, 0);
	OK(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2));
	len = sizeof(name);
	OK(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
	CHECK_EQ(len, 3);
	CHECK(!strcmp(name, "lo"));
	len = 3;
	CHECK_ERRNO(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len), EINVAL);
	OK(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 0));
	len = sizeof(name);
	OK(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
	CHECK_EQ(len, 0);
}

static void congestion_by_name(void)
{
	char name[32] = "", again[32] = "";
	socklen_t len = sizeof(name);
	int fd = tcp_socket();

	CHECK_ERRNO(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nosuch", 6), ENOENT);
	CHECK_ERRNO(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "", 0), EINVAL);
	OK(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len));
	CHECK_EQ(len, 16);
	OK(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name)));
	OK(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	len = 3;
	OK(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, again, &len));
	CHECK_EQ(len, 3);
	CHECK(!memcmp(again, "ren", 3));
}

/* Bytes that do not fit into the window stay with the sender. */
static void window_clamp_bounds(void)
{
	static char data[1 << 20];
	struct sockaddr_in a = test_address(0);
	int l = tcp_socket(), c, s;
	ssize_t sum = 0, n;

	set_option(l, IPPROTO_TCP, TCP_WINDOW_CLAMP, 8192);
	CHECK_EQ(get_option(l, IPPROTO_TCP, TCP_WINDOW_CLAMP), 8192);
	OK(bind(l, SA(&a), sizeof(a)));
	OK(listen(l, 1));
	a = local_name(l);
	c = connected(a);
	s = OK(accept(l, NULL, NULL));
	set_nonblock(c);
	for (int i = 0; i < 10; i++) {
		n = send(c, data, sizeof(data), MSG_NOSIGNAL);
		sum += n > 0 ? n : 0;
		sleep_ms(5);
	}
	CHECK(sum > 0 && sum < 8 << 20);
	set_nonblock(s);
	for (ssize_t got = 0; got < sum; got += n) {
		wait_bits(s, POLLIN);
		n = OK(recv(s, data, sizeof(data), 0));
	}
}

/* An error queue without errors */
static void error_queue_is_empty(void)
{
	char b[8];
	int fd[2];

	tcp_pair(fd);
	CHECK_ERRNO(recv(fd[0], b, sizeof(b), MSG_ERRQUEUE), EAGAIN);
	set_option(fd[0], IPPROTO_IP, IP_RECVERR, 1);
	CHECK_ERRNO(recv(fd[0], b, sizeof(b), MSG_ERRQUEUE), EAGAIN);
}

/* Without SO_ZEROCOPY the flag is ignored: tcp_sendmsg_locked() */
static void zerocopy_without_the_option_copies(void)
{
	char b[8];
	int fd[2];

	tcp_pair(fd);
	CHECK_EQ(send(fd[0], "abc", 3, MSG_ZEROCOPY), 3);
	CHECK_EQ(recv(fd[1], b, sizeof(b), 0), 3);
	CHECK(!memcmp(b, "abc", 3));
	CHECK_ERRNO(recv(fd[0], b, sizeof(b), MSG_ERRQUEUE), EAGAIN);
}

/* TCP Fast Open: bytes go with the SYN or after it, or it is refused and connect() does it. */
static void fast_open_or_not(void)
{
	struct sockaddr_in a;
	int l = listener(2, &a), c, s;
	char b[8] = "";

	for (int i = 0; i < 2; i++) {
		struct iovec v = {(void *)"fast", 4};
		struct msghdr m = {
		    .msg_name = &a, .msg_namelen = sizeof(a), .msg_iov = &v, .msg_iovlen = 1};
		ssize_t n;

		c = tcp_socket();
		n = i ? sendmsg(c, &m, MSG_FASTOPEN | MSG_NOSIGNAL)
		      : sendto(c, "fast", 4, MSG_FASTOPEN | MSG_NOSIGNAL, SA(&a), sizeof(a));
		if (n < 0) {
			CHECK_EQ(errno, EOPNOTSUPP);
			OK(connect(c, SA(&a), sizeof(a)));
			write_all(c, "fast", 4);
		} else {
			CHECK_EQ(n, 4);
		}
		s = OK(accept(l, NULL, NULL));
		CHECK_EQ(read_all(s, b, 4), 4);
		CHECK_EQ(memcmp(b, "fast", 4), 0);
		CHECK((i ? sendmsg(c, &m, MSG_FASTOPEN)
			 : sendto(c, "x", 1, MSG_FASTOPEN, SA(&a), sizeof(a))) < 0);
		CHECK(errno == EISCONN || errno == EOPNOTSUPP);
		CHECK_ERRNO(recv(s, b, 1, MSG_DONTWAIT), EAGAIN);
	}
}

/* IP_MINTTL, IP_TTL: what came too far is dropped; sent again with more hops it arrives. */
static void hops(void)
{
	char b[8];
	int fd[2];

	tcp_pair(fd);
	set_option(fd[1], IPPROTO_IP, IP_MINTTL, 60);
	CHECK_EQ(get_option(fd[1], IPPROTO_IP, IP_MINTTL), 60);
	expect_text(fd[0], fd[1], "near");
	set_option(fd[0], IPPROTO_IP, IP_TTL, 10);
	write_all(fd[0], "far", 3);
	sleep_ms(100);
	CHECK_ERRNO(recv(fd[1], b, sizeof(b), MSG_DONTWAIT), EAGAIN);
	set_option(fd[0], IPPROTO_IP, IP_TTL, 64);
	CHECK_EQ(read_all(fd[1], b, 3), 3);
	CHECK_EQ(memcmp(b, "far", 3), 0);
}

/* It holds for what is sent right after it was set. */
static void hops_at_once(void)
{
	int fd[2];
	char b[8];

	for (int i = 0; i < 30; i++) {
		tcp_pair(fd);
		set_option(fd[0], IPPROTO_IP, IP_TTL, 10);
		expect_text(fd[0], fd[1], "before");
		set_option(fd[1], IPPROTO_IP, IP_MINTTL, 60);
		write_all(fd[0], "far", 3);
		sleep_ms(5);
		CHECK_ERRNO(recv(fd[1], b, sizeof(b), MSG_DONTWAIT), EAGAIN);
		OK(close(fd[0]));
		OK(close(fd[1]));
	}
}

/* A ring, or an error after which programs use ordinary calls */
static void io_uring_or_not(void)
{
	char params[128] = {0};
	long r = syscall(SYS_io_uring_setup, 1, params);

	if (r < 0)
		CHECK(errno == ENOSYS || errno == EPERM);
	else
		OK(close((int)r));
}

CHECK_MAIN(CASE(maxseg_bounds_both_sides), CASE(maxseg_of_a_listener),
	   CASE(deferred_accept_waits_for_bytes), CASE(deferred_connections_go_with_the_listener),
	   CASE(cookies_differ), CASE(peer_credentials), CASE(peer_name_as_an_option),
	   CASE(mtu_needs_a_connection), CASE(tos_sets_the_priority), CASE(a_byte_for_ip_options),
	   CASE(needs_a_capability), CASE(force_goes_past_the_limit), CASE(devices),
	   CASE(congestion_by_name), CASE(window_clamp_bounds), CASE(error_queue_is_empty),
	   CASE(zerocopy_without_the_option_copies), CASE(fast_open_or_not), ASIDE(hops),
	   CASE(hops_at_once), CASE(io_uring_or_not))

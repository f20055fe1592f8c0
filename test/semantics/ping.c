/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ping.c - Ping sockets (icmp(7)), over IPv4; and what raw sockets are
 *
 * Where net.ipv4.ping_group_range does not let root make them, the cases change it: it
 * is the test's network namespace.
 */
#include "udp.h"

#ifdef UDP_V6
#define PROTOCOL IPPROTO_ICMPV6
#define OTHER_PROTOCOL IPPROTO_ICMP
#define REQUEST 128
#define REPLY 129
#else
#define PROTOCOL IPPROTO_ICMP
#define OTHER_PROTOCOL IPPROTO_ICMPV6
#define REQUEST 8
#define REPLY 0
#endif

static void allow(const char *range)
{
	int fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY);

	if (fd < 0 || write(fd, range, strlen(range)) < 0)
		check_skip("ping_group_range cannot be set");
	close(fd);
}

static int ping_socket(void)
{
	allow("0 0");
	return (int)OK(socket(UDP_FAMILY, SOCK_DGRAM, PROTOCOL));
}

struct echo {
	uint8_t type, code;
	uint16_t sum, id, seq;
	char data[8];
};

static void request(struct echo *e, uint16_t seq, const char *text)
{
	*e = (struct echo){.type = REQUEST, .id = 0x5555, .seq = htons(seq)};
	snprintf(e->data, sizeof(e->data), "%s", text);
}

/* The reply to a request() with @seq and @text, and from whom. */
static void expect_reply(int fd, uint16_t seq, const char *text)
{
	udp_addr from, self = udp_address(0);
	socklen_t len = sizeof(from);
	struct echo e;

	wait_bits(fd, POLLIN);
	CHECK_EQ(recvfrom(fd, &e, sizeof(e), 0, SA(&from), &len), sizeof(e));
	CHECK_EQ(e.type, REPLY);
	CHECK_EQ(e.code, 0);
	CHECK_EQ(e.seq, htons(seq));
	CHECK_EQ(e.id, udp_name(fd).PORT);
	CHECK(!strcmp(e.data, text));
	CHECK_EQ(len, sizeof(from));
	CHECK(udp_same(from, self)); /* port 0 */
}

static void groups_may(void)
{
	allow("1 0");
	CHECK_ERRNO(socket(UDP_FAMILY, SOCK_DGRAM, PROTOCOL), EACCES);
	allow("4711 4712");
	CHECK_ERRNO(socket(UDP_FAMILY, SOCK_DGRAM, PROTOCOL), EACCES);
	allow("0 0");
	OK(socket(UDP_FAMILY, SOCK_DGRAM, PROTOCOL));
	CHECK_ERRNO(socket(UDP_FAMILY, SOCK_DGRAM, OTHER_PROTOCOL), EPROTONOSUPPORT);
	CHECK_ERRNO(socket(UDP_FAMILY, SOCK_STREAM, PROTOCOL), EPROTONOSUPPORT);
}

static void echo(void)
{
	udp_addr a = udp_address(0);
	int fd = ping_socket();
	struct echo e;

	CHECK_EQ(get_option(fd, SOL_SOCKET, SO_PROTOCOL), PROTOCOL);
	CHECK_EQ(get_option(fd, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
	CHECK_EQ(udp_name(fd).PORT, 0);
	request(&e, 7, "hello");
	CHECK_EQ(sendto(fd, &e, sizeof(e), 0, SA(&a), sizeof(a)), sizeof(e));
	expect_reply(fd, 7, "hello");
	CHECK(udp_name(fd).PORT != 0);
	CHECK_ERRNO(recv(fd, &e, sizeof(e), MSG_DONTWAIT), EAGAIN);
}

static void connected_one(void)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	udp_addr a = udp_address(0), peer;
	socklen_t len = sizeof(peer);
	int fd = ping_socket();
	struct echo e;

	request(&e, 1, "first");
	CHECK_ERRNO(send(fd, &e, sizeof(e), 0), EDESTADDRREQ);
	OK(connect(fd, SA(&a), sizeof(a)));
	CHECK_ERRNO(getpeername(fd, SA(&peer), &len), ENOTCONN); /* port 0 */
	CHECK_EQ(send(fd, &e, sizeof(e), 0), sizeof(e));
	expect_reply(fd, 1, "first");
	a.PORT = htons(5);
	OK(connect(fd, SA(&a), sizeof(a)));
	CHECK(udp_same(udp_peer(fd), a));
	CHECK_EQ(send(fd, &e, sizeof(e), 0), sizeof(e));
	expect_reply(fd, 1, "first");
	OK(connect(fd, &none, sizeof(none)));
	CHECK_EQ(udp_name(fd).PORT, 0);
	CHECK_ERRNO(send(fd, &e, sizeof(e), 0), EDESTADDRREQ);
	request(&e, 2, "second");
	CHECK_EQ(sendto(fd, &e, sizeof(e), 0, SA(&a), sizeof(a)), sizeof(e));
	expect_reply(fd, 2, "second");
}

static void ids_are_ports(void)
{
	udp_addr a = udp_address(0), to = a;
	int fd = ping_socket(), other = ping_socket();
	struct echo e;

	a.PORT = htons(777);
	OK(bind(fd, SA(&a), sizeof(a)));
	CHECK(udp_same(udp_name(fd), a));
	CHECK_ERRNO(bind(fd, SA(&a), sizeof(a)), EINVAL);
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 0);
	CHECK_ERRNO(bind(other, SA(&a), sizeof(a)), EADDRINUSE);
	request(&e, 3, "bound");
	CHECK_EQ(sendto(fd, &e, sizeof(e), 0, SA(&to), sizeof(to)), sizeof(e));
	expect_reply(fd, 3, "bound");
	OK(close(fd));
	OK(bind(other, SA(&a), sizeof(a)));
	a = udp_nowhere();
	CHECK_ERRNO(bind(ping_socket(), SA(&a), sizeof(a)), EADDRNOTAVAIL);
	a = udp_any(a);
	fd = ping_socket();
	OK(bind(fd, SA(&a), sizeof(a)));
	CHECK(udp_name(fd).PORT != 0);
}

/* Each hears its own replies only. */
static void two_at_once(void)
{
	udp_addr a = udp_address(0);
	int x = ping_socket(), y = ping_socket();
	struct echo e;

	request(&e, 1, "x");
	CHECK_EQ(sendto(x, &e, sizeof(e), 0, SA(&a), sizeof(a)), sizeof(e));
	request(&e, 2, "y");
	CHECK_EQ(sendto(y, &e, sizeof(e), 0, SA(&a), sizeof(a)), sizeof(e));
	expect_reply(y, 2, "y");
	expect_reply(x, 1, "x");
	CHECK_ERRNO(recv(x, &e, sizeof(e), MSG_DONTWAIT), EAGAIN);
	CHECK_ERRNO(recv(y, &e, sizeof(e), MSG_DONTWAIT), EAGAIN);
}

static void only_echo_requests(void)
{
	udp_addr a = udp_address(0);
	int fd = ping_socket();
	struct echo e;

	request(&e, 1, "x");
	e.type = REPLY;
	CHECK_ERRNO(sendto(fd, &e, sizeof(e), 0, SA(&a), sizeof(a)), EINVAL);
	request(&e, 1, "x");
	e.code = 1;
	CHECK_ERRNO(sendto(fd, &e, sizeof(e), 0, SA(&a), sizeof(a)), EINVAL);
}

static void lives_on_in_a_child(void)
{
	udp_addr a = udp_address(0);
	int fd = ping_socket();
	struct echo e;
	pid_t pid;

	request(&e, 1, "child");
	CHECK_EQ(sendto(fd, &e, sizeof(e), 0, SA(&a), sizeof(a)), sizeof(e));
	expect_reply(fd, 1, "child");
	pid = child();
	if (!pid) {
		sleep_ms(300); /* longer than it takes to notice a last close */
		CHECK_EQ(sendto(fd, &e, sizeof(e), 0, SA(&a), sizeof(a)), sizeof(e));
		expect_reply(fd, 1, "child");
		_exit(0);
	}
	OK(close(fd));
	reap(pid);
}

static void raw_sockets_are_made(void)
{
	int fd = (int)OK(socket(UDP_FAMILY, SOCK_RAW, PROTOCOL));

	CHECK_EQ(get_option(fd, SOL_SOCKET, SO_TYPE), SOCK_RAW);
	CHECK_EQ(get_option(fd, SOL_SOCKET, SO_PROTOCOL), PROTOCOL);
	CHECK_ERRNO(socket(UDP_FAMILY, SOCK_RAW, 0), EPROTONOSUPPORT);
}

CHECK_MAIN(CASE(groups_may), CASE(echo), CASE(connected_one), CASE(ids_are_ports),
	   CASE(two_at_once), CASE(only_echo_requests), CASE(lives_on_in_a_child),
	   CASE(raw_sockets_are_made))

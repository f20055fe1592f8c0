/* SPDX-License-Identifier: BSD-3-Clause
 *
 * arrival.c - What TCP sockets tell of the packets that came: times, the SYN, control messages
 */
#include <time.h>

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <linux/tcp.h>
#define _NETINET_TCP_H 1
#include "udp.h"

#ifndef TCP_CM_INQ
#define TCP_CM_INQ TCP_INQ
#endif
#ifndef IPV6_2292PKTOPTIONS
#define IPV6_2292PKTOPTIONS 6
#endif

static struct {
	char data[64];
	_Alignas(struct cmsghdr) char control[256];
	struct msghdr m;
} in;

/* recvmsg() of up to @n bytes, with @room for control messages */
static ssize_t receive(int fd, size_t n, size_t room, int flags)
{
	static struct iovec v;

	v = (struct iovec){in.data, n};
	in.m = (struct msghdr){
	    .msg_iov = &v, .msg_iovlen = 1, .msg_control = in.control, .msg_controllen = room};
	return OK(recvmsg(fd, &in.m, flags));
}

static struct cmsghdr *control(int level, int type)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&in.m); c; c = CMSG_NXTHDR(&in.m, c))
		if (c->cmsg_level == level && c->cmsg_type == type)
			return c;
	return NULL;
}

static int number(int level, int type)
{
	struct cmsghdr *c = control(level, type);
	int v;

	CHECK(c);
	CHECK_EQ(c->cmsg_len, CMSG_LEN(sizeof(v)));
	memcpy(&v, CMSG_DATA(c), sizeof(v));
	return v;
}

static long long real_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* The time in control message @type, us; @unit: how many of its fractions are one */
static long long stamp(int type, long unit)
{
	struct cmsghdr *c = control(SOL_SOCKET, type);
	long v[2];

	CHECK(c);
	CHECK_EQ(c->cmsg_len, CMSG_LEN(type == SO_TIMESTAMPING ? 48 : sizeof(v)));
	memcpy(v, CMSG_DATA(c), sizeof(v));
	return v[0] * 1000000LL + v[1] / unit;
}

/* It comes, and is left for a while: its time is when it came. */
static void one_stamp(int fd[2], int type, long unit)
{
	long long before, after, got;

	/* net_enable_timestamp() takes effect a little later. */
	do {
		write_all(fd[0], "a", 1);
		CHECK_EQ(receive(fd[1], 1, sizeof(in.control), 0), 1);
	} while (!control(SOL_SOCKET, type));
	before = real_us();
	write_all(fd[0], "abc", 3);
	wait_bits(fd[1], POLLIN);
	after = real_us();
	sleep_ms(30);
	CHECK_EQ(receive(fd[1], sizeof(in.data), sizeof(in.control), 0), 3);
	got = stamp(type, unit);
	CHECK(got >= before - 1 && got <= after);
}

static void timestamp(void)
{
	int fd[2];

	tcp_pair(fd);
	set_option(fd[1], SOL_SOCKET, SO_TIMESTAMP, 1);
	one_stamp(fd, SO_TIMESTAMP, 1);
	one_stamp(fd, SO_TIMESTAMP, 1);
	set_option(fd[1], SOL_SOCKET, SO_TIMESTAMP, 0);
	write_all(fd[0], "abc", 3);
	CHECK_EQ(receive(fd[1], 3, sizeof(in.control), 0), 3);
	CHECK(!control(SOL_SOCKET, SO_TIMESTAMP));
}

static void timestampns(void)
{
	int fd[2];

	tcp_pair(fd);
	set_option(fd[1], SOL_SOCKET, SO_TIMESTAMPNS, 1);
	one_stamp(fd, SO_TIMESTAMPNS, 1000);
}

static void timestamping(void)
{
	struct scm_timestamping t;
	int fd[2];

	tcp_pair(fd);
	set_option(fd[1], SOL_SOCKET, SO_TIMESTAMPING,
		   SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE);
	one_stamp(fd, SO_TIMESTAMPING, 1000);
	memcpy(&t, CMSG_DATA(control(SOL_SOCKET, SO_TIMESTAMPING)), sizeof(t));
	CHECK(!t.ts[1].tv_sec && !t.ts[2].tv_sec);
}

/* What read() took in between is known. */
static void timestamp_after_read(void)
{
	char buf[8];
	int fd[2];

	tcp_pair(fd);
	set_option(fd[1], SOL_SOCKET, SO_TIMESTAMPNS, 1);
	one_stamp(fd, SO_TIMESTAMPNS, 1000);
	write_all(fd[0], "abcd", 4);
	CHECK_EQ(read_all(fd[1], buf, 4), 4);
	sleep_ms(30);
	one_stamp(fd, SO_TIMESTAMPNS, 1000);
}

/* So is what was only looked at. */
static void timestamp_of_peeked(void)
{
	long long peeked;
	int fd[2];

	tcp_pair(fd);
	set_option(fd[1], SOL_SOCKET, SO_TIMESTAMPNS, 1);
	one_stamp(fd, SO_TIMESTAMPNS, 1000);
	write_all(fd[0], "abcd", 4);
	wait_bits(fd[1], POLLIN);
	CHECK_EQ(receive(fd[1], 4, sizeof(in.control), MSG_PEEK), 4);
	peeked = stamp(SO_TIMESTAMPNS, 1000);
	sleep_ms(30);
	CHECK_EQ(receive(fd[1], 4, sizeof(in.control), 0), 4);
	CHECK_EQ(stamp(SO_TIMESTAMPNS, 1000), peeked);
}

static void timestamp_inherited(void)
{
	struct sockaddr_in a;
	int l = listener(1, &a), fd[2];

	set_option(l, SOL_SOCKET, SO_TIMESTAMP, 1);
	fd[0] = connected(a);
	fd[1] = (int)OK(accept(l, NULL, NULL));
	CHECK_EQ(get_option(fd[1], SOL_SOCKET, SO_TIMESTAMP), 1);
	one_stamp(fd, SO_TIMESTAMP, 1);
}

/* One replaces the other. */
static void timestamp_kinds(void)
{
	int fd = tcp_socket();

	set_option(fd, SOL_SOCKET, SO_TIMESTAMP, 1);
	set_option(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
	CHECK_EQ(get_option(fd, SOL_SOCKET, SO_TIMESTAMP), 0);
	CHECK_EQ(get_option(fd, SOL_SOCKET, SO_TIMESTAMPNS), 1);
	set_option(fd, SOL_SOCKET, SO_TIMESTAMP, 0);
	CHECK_EQ(get_option(fd, SOL_SOCKET, SO_TIMESTAMPNS), 0);
}

static void no_room_for_control(void)
{
	int fd[2];

	tcp_pair(fd);
	set_option(fd[1], SOL_SOCKET, SO_TIMESTAMP, 1);
	one_stamp(fd, SO_TIMESTAMP, 1);
	write_all(fd[0], "ab", 2);
	wait_bits(fd[1], POLLIN);
	CHECK_EQ(receive(fd[1], 1, 0, 0), 1);
	CHECK_EQ(in.m.msg_flags & MSG_CTRUNC, MSG_CTRUNC);
	CHECK_EQ(receive(fd[1], 1, CMSG_LEN(8), 0), 1);
	CHECK_EQ(in.m.msg_flags & MSG_CTRUNC, MSG_CTRUNC);
	CHECK_EQ(in.m.msg_controllen, CMSG_LEN(8));
}

static void inq(void)
{
	int fd[2];

	tcp_pair(fd);
	set_option(fd[1], IPPROTO_TCP, TCP_INQ, 1);
	write_all(fd[0], "0123456789", 10);
	wait_bits(fd[1], POLLIN);
	CHECK_EQ(receive(fd[1], 4, sizeof(in.control), 0), 4);
	CHECK_EQ(number(IPPROTO_TCP, TCP_CM_INQ), 6);
	CHECK_EQ(receive(fd[1], 6, sizeof(in.control), 0), 6);
	CHECK_EQ(number(IPPROTO_TCP, TCP_CM_INQ), 0);
	/* There is more to read: the end. */
	write_all(fd[0], "x", 1);
	OK(shutdown(fd[0], SHUT_WR));
	wait_bits(fd[1], POLLRDHUP);
	CHECK_EQ(receive(fd[1], 1, sizeof(in.control), 0), 1);
	CHECK_EQ(number(IPPROTO_TCP, TCP_CM_INQ), 1);
}

/* --- the SYN ------------------------------------------------------------- */

static void saved_syn(void)
{
	struct sockaddr_in a, me;
	int l = listener(1, &a), fd, s;
	uint8_t b[128];
	uint16_t port;
	socklen_t len = 8;
	size_t ip;

	set_option(l, IPPROTO_TCP, TCP_SAVE_SYN, 1);
	CHECK_EQ(get_option(l, IPPROTO_TCP, TCP_SAVE_SYN), 1);
	fd = connected(a);
	me = local_name(fd);
	s = (int)OK(accept(l, NULL, NULL));
	CHECK_ERRNO(getsockopt(s, IPPROTO_TCP, TCP_SAVED_SYN, b, &len), EINVAL);
	CHECK(len >= 40 && len <= sizeof(b));
	OK(getsockopt(s, IPPROTO_TCP, TCP_SAVED_SYN, b, &len));
	CHECK_EQ(b[0] >> 4, 4);
	ip = (b[0] & 15u) * 4;
	CHECK_EQ(b[9], IPPROTO_TCP);
	CHECK(!memcmp(b + 12, &me.sin_addr, 4));
	CHECK(!memcmp(b + 16, &a.sin_addr, 4));
	memcpy(&port, b + ip, 2);
	CHECK_EQ(port, me.sin_port);
	memcpy(&port, b + ip + 2, 2);
	CHECK_EQ(port, a.sin_port);
	CHECK_EQ(b[ip + 13] & 0x3f, 2); /* SYN alone */
	CHECK_EQ(len, ip + (b[ip + 12] >> 4) * 4u);
	CHECK_EQ(b[ip + 20], 2); /* the MSS */
	/* Only once */
	len = sizeof(b);
	OK(getsockopt(s, IPPROTO_TCP, TCP_SAVED_SYN, b, &len));
	CHECK_EQ(len, 0);
}

static void no_syn_saved(void)
{
	char b[128];
	socklen_t len = sizeof(b);
	int fd[2];

	tcp_pair(fd);
	OK(getsockopt(fd[1], IPPROTO_TCP, TCP_SAVED_SYN, b, &len));
	CHECK_EQ(len, 0);
}

/* --- IP_PKTOPTIONS ------------------------------------------------------- */

static void ask(int fd, int level, int opt)
{
	socklen_t len = sizeof(in.control);

	OK(getsockopt(fd, level, opt, in.control, &len));
	in.m = (struct msghdr){.msg_control = in.control, .msg_controllen = len};
}

static void pktoptions(void)
{
	struct in_pktinfo info;
	struct sockaddr_in a;
	int fd[2];

	tcp_pair(fd);
	ask(fd[1], IPPROTO_IP, IP_PKTOPTIONS);
	CHECK_EQ(in.m.msg_controllen, 0);
	for (int i = 0; i < 2; i++) {
		set_option(fd[i], IPPROTO_IP, IP_PKTINFO, 1);
		set_option(fd[i], IPPROTO_IP, IP_RECVTTL, 1);
		set_option(fd[i], IPPROTO_IP, IP_RECVTOS, 1);
		ask(fd[i], IPPROTO_IP, IP_PKTOPTIONS);
		CHECK(control(IPPROTO_IP, IP_PKTINFO));
		memcpy(&info, CMSG_DATA(control(IPPROTO_IP, IP_PKTINFO)), sizeof(info));
		a = local_name(fd[i]);
		CHECK_EQ(info.ipi_addr.s_addr, a.sin_addr.s_addr);
		CHECK_EQ(info.ipi_spec_dst.s_addr, a.sin_addr.s_addr);
		/* Which interface it came by is known of those that were accepted. */
		CHECK_EQ(info.ipi_ifindex != 0, i);
		CHECK_EQ(number(IPPROTO_IP, IP_TTL), i ? 64 : 1);
		CHECK_EQ(number(IPPROTO_IP, IP_TOS), 0);
	}
}

static void pktoptions_v6(void)
{
	struct sockaddr_in6 a = address6(0);
	struct in6_pktinfo info;
	socklen_t len = sizeof(a);
	int l = (int)OK(socket(AF_INET6, SOCK_STREAM, 0)), fd, s;

	OK(bind(l, SA(&a), sizeof(a)));
	OK(listen(l, 1));
	OK(getsockname(l, SA(&a), &len));
	fd = (int)OK(socket(AF_INET6, SOCK_STREAM, 0));
	OK(connect(fd, SA(&a), sizeof(a)));
	s = (int)OK(accept(l, NULL, NULL));
	set_option(s, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	set_option(s, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	ask(s, IPPROTO_IPV6, IPV6_2292PKTOPTIONS);
	CHECK(control(IPPROTO_IPV6, IPV6_PKTINFO));
	memcpy(&info, CMSG_DATA(control(IPPROTO_IPV6, IPV6_PKTINFO)), sizeof(info));
	CHECK(info.ipi6_ifindex);
	CHECK_EQ(number(IPPROTO_IPV6, IPV6_TCLASS), 0);
	/* As RFC 2292 had them */
	set_option(s, IPPROTO_IPV6, IPV6_2292PKTINFO, 1);
	set_option(s, IPPROTO_IPV6, IPV6_2292HOPLIMIT, 1);
	ask(s, IPPROTO_IPV6, IPV6_2292PKTOPTIONS);
	CHECK(control(IPPROTO_IPV6, IPV6_2292PKTINFO));
	CHECK_EQ(memcmp(CMSG_DATA(control(IPPROTO_IPV6, IPV6_2292PKTINFO)), &info, sizeof(info)),
		 0);
	CHECK(number(IPPROTO_IPV6, IPV6_2292HOPLIMIT) > 0);
}

/* --- others that show in no packet ---------------------------------------- */

static void freebind(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(7171)}, b;
	int fd = tcp_socket();

	CHECK_EQ(inet_pton(AF_INET, "192.0.2.77", &a.sin_addr), 1);
	CHECK_ERRNO(bind(fd, SA(&a), sizeof(a)), EADDRNOTAVAIL);
	set_option(fd, IPPROTO_IP, IP_FREEBIND, 1);
	OK(bind(fd, SA(&a), sizeof(a)));
	CHECK(same_address(local_name(fd), a));
	OK(listen(fd, 1));
	OK(close(fd));
	/* It may be listened at, but not sent from. */
	OK(close(listener(1, &b)));
	fd = tcp_socket();
	set_option(fd, IPPROTO_IP, IP_FREEBIND, 1);
	OK(bind(fd, SA(&a), sizeof(a)));
	CHECK_ERRNO(connect(fd, SA(&b), sizeof(b)), ENETUNREACH);
}

static void freebind_v6(void)
{
	struct sockaddr_in6 a = address6(7171);
	int fd = (int)OK(socket(AF_INET6, SOCK_STREAM, 0));

	CHECK_EQ(inet_pton(AF_INET6, "2001:db8::77", &a.sin6_addr), 1);
	CHECK_ERRNO(bind(fd, SA(&a), sizeof(a)), EADDRNOTAVAIL);
	CHECK_EQ(get_option(fd, IPPROTO_IPV6, IPV6_FREEBIND), 0);
	set_option(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1);
	CHECK_EQ(get_option(fd, IPPROTO_IPV6, IPV6_FREEBIND), 1);
	OK(bind(fd, SA(&a), sizeof(a)));
	CHECK_EQ(get_option(fd, IPPROTO_IP, IP_FREEBIND), 1);
}

/* The processor that took the last segment */
static int taken_by(int fd)
{
	int cpu = get_option(fd, SOL_SOCKET, SO_INCOMING_CPU);

	return cpu >= 0 && cpu < sysconf(_SC_NPROCESSORS_CONF) ? cpu : -1;
}

static void incoming_cpu(void)
{
	int fd[2];

	CHECK_EQ(get_option(tcp_socket(), SOL_SOCKET, SO_INCOMING_CPU), -1);
	tcp_pair(fd);
	for (int k = 0; k < 6; k++) {
		expect_text(fd[!(k & 1)], fd[k & 1], "x");
		CHECK(taken_by(fd[k & 1]) >= 0);
	}
}

/* What is set is told until the next segment comes. */
static void incoming_cpu_is_set(void)
{
	int fd[2], none = 100000, cpu;

	tcp_pair(fd);
	for (int i = 0; i < 2; i++) {
		expect_text(fd[!i], fd[i], "x");
		/* An acknowledgement may be on its way. */
		do {
			sleep_ms(5);
			set_option(fd[i], SOL_SOCKET, SO_INCOMING_CPU, none);
			cpu = get_option(fd[i], SOL_SOCKET, SO_INCOMING_CPU);
		} while (cpu != none);
		expect_text(fd[!i], fd[i], "y");
		CHECK(taken_by(fd[i]) >= 0);
	}
}

/* What poll() lets be written while the other end does not read */
static long until_not_writable(int lowat)
{
	static char data[4096];
	long sum = 0;
	int fd[2];

	tcp_pair(fd);
	set_option(fd[0], SOL_SOCKET, SO_SNDBUF, 400000);
	if (lowat)
		set_option(fd[0], IPPROTO_TCP, TCP_NOTSENT_LOWAT, lowat);
	set_nonblock(fd[0]);
	for (int quiet = 0; quiet < 10; quiet++) {
		ssize_t n;

		while (poll_bits(fd[0]) & POLLOUT && (n = send(fd[0], data, sizeof(data), 0)) > 0) {
			sum += n;
			quiet = 0;
		}
		sleep_ms(5);
	}
	return sum;
}

/* tcp(7): of what is not sent only so much may wait. */
static void notsent_lowat(void)
{
	CHECK(until_not_writable(16384) < until_not_writable(0) - 100000);
}

static void mtu_discover_v6(void)
{
	int fd = (int)OK(socket(AF_INET6, SOCK_STREAM, 0)), v = 6;

	CHECK_EQ(get_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER), IPV6_PMTUDISC_WANT);
	set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO);
	CHECK_EQ(get_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER), IPV6_PMTUDISC_DO);
	CHECK_ERRNO(setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &v, sizeof(v)), EINVAL);
}

CHECK_MAIN(CASE(timestamp), CASE(timestampns), CASE(timestamping), CASE(timestamp_after_read),
	   CASE(timestamp_of_peeked), CASE(timestamp_inherited), CASE(timestamp_kinds),
	   CASE(no_room_for_control), CASE(inq), CASE(saved_syn), CASE(no_syn_saved),
	   CASE(pktoptions), CASE(pktoptions_v6), CASE(freebind), CASE(freebind_v6),
	   CASE(incoming_cpu), CASE(incoming_cpu_is_set), CASE(notsent_lowat),
	   CASE(mtu_discover_v6))

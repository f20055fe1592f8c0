/* SPDX-License-Identifier: BSD-3-Clause
 *
 * udp_ipv6.c - Datagrams: what IPv6 has of its own, and both families on one socket
 */
#define UDP_V6
#include "udp.h"

/* GZ_ADDR as an AF_INET6 socket writes it. */
static struct sockaddr_in6 mapped(struct sockaddr_in a)
{
	struct sockaddr_in6 m = {.sin6_family = AF_INET6, .sin6_port = a.sin_port};

	m.sin6_addr.s6_addr[10] = m.sin6_addr.s6_addr[11] = 0xff;
	memcpy(&m.sin6_addr.s6_addr[12], &a.sin_addr, 4);
	return m;
}

static int udp4_socket(void)
{
	return (int)OK(socket(AF_INET, SOCK_DGRAM, 0));
}

/* A dual-stack socket at [::]; its port goes to *port, as it is on the wire. */
static int dual(uint16_t *port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6};
	int fd = udp_socket();

	OK(bind(fd, SA(&a), sizeof(a)));
	*port = udp_name(fd).sin6_port;
	return fd;
}

static void both_families(void)
{
	struct sockaddr_in to4 = test_address(0);
	struct sockaddr_in6 to6 = address6(0), from;
	int s = dual(&to4.sin_port), c4 = udp4_socket(), c6 = udp_socket();
	char buf[16] = "";

	to6.sin6_port = to4.sin_port;
	CHECK_EQ(sendto(c4, "four", 4, 0, SA(&to4), sizeof(to4)), 4);
	from = udp_expect(s, "four");
	CHECK(udp_same_host(from, mapped(to4)));
	CHECK_EQ(from.sin6_port, local_name(c4).sin_port);
	udp_send(s, "back", from);
	wait_bits(c4, POLLIN);
	CHECK_EQ(recv(c4, buf, sizeof(buf), 0), 4);
	CHECK(!strcmp(buf, "back"));
	udp_send(c6, "six", to6);
	from = udp_expect(s, "six");
	CHECK(udp_same_host(from, to6));
	udp_send(s, "back", from);
	CHECK(udp_same(udp_expect(c6, "back"), to6));
	/* One that is connected to a mapped address, and then to a native one. */
	to6 = mapped(to4);
	OK(connect(c6, SA(&to6), sizeof(to6)));
	CHECK(udp_same_host(udp_name(c6), mapped(test_address(0))));
	CHECK_EQ(send(c6, "map", 3, 0), 3);
	CHECK(udp_same_host(udp_expect(s, "map"), to6));
}

/* __udp_disconnect() leaves the address of an IPv6 socket's peer, who alone is heard over IPv6. */
static void disconnected(void)
{
	struct sockaddr_in to4 = test_address(0);
	struct sockaddr_in6 to6 = address6(0), peer6, peer4 = mapped(test_address(9));
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	struct sockaddr_in6 any = {.sin6_family = AF_INET6};
	int s = dual(&to4.sin_port), c4 = udp4_socket(), c6 = udp_bound(&peer6);

	/* A port that bind() chose by itself would be gone then. */
	OK(close(s));
	s = udp_socket();
	any.sin6_port = to6.sin6_port = to4.sin_port;
	OK(bind(s, SA(&any), sizeof(any)));
	OK(connect(s, SA(&peer4), sizeof(peer4)));
	OK(connect(s, &none, sizeof(none)));
	udp_send(c6, "six", to6);
	CHECK_EQ(sendto(c4, "four", 4, 0, SA(&to4), sizeof(to4)), 4);
	udp_expect(s, "four");
	udp_silent(s);
	OK(connect(s, SA(&peer6), sizeof(peer6)));
	OK(connect(s, &none, sizeof(none)));
	udp_send(c6, "six", to6);
	udp_expect(s, "six");
	CHECK_EQ(sendto(c4, "four", 4, 0, SA(&to4), sizeof(to4)), 4);
	udp_expect(s, "four");
}

static void v6only(void)
{
	struct sockaddr_in to4 = test_address(0), n;
	struct sockaddr_in6 a = {.sin6_family = AF_INET6}, m;
	int s = udp_socket(), t = udp4_socket(), c = udp4_socket();
	static char large[66000];
	char buf[8];

	set_option(s, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	CHECK_EQ(get_option(s, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	m = mapped(to4);
	CHECK_ERRNO(bind(s, SA(&m), sizeof(m)), EINVAL);
	m.sin6_port = htons(9);
	/* However much it is: the address comes first, but for AF_INET. */
	CHECK_ERRNO(sendto(s, large, sizeof(large), 0, SA(&m), sizeof(m)), ENETUNREACH);
	CHECK_ERRNO(sendto(c, large, sizeof(large), 0, SA(&m), sizeof(m)), EMSGSIZE);
	s = udp_socket();
	CHECK_ERRNO(sendto(s, large, sizeof(large), 0, SA(&m), sizeof(m)), EMSGSIZE);
	s = udp_socket();
	set_option(s, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	OK(bind(s, SA(&a), sizeof(a)));
	a = udp_name(s);
	CHECK_ERRNO(setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int)), EINVAL);
	/* The port is free for IPv4. */
	n = to4;
	n.sin_port = a.sin6_port;
	OK(bind(t, SA(&n), sizeof(n)));
	CHECK_EQ(sendto(c, "x", 1, 0, SA(&n), sizeof(n)), 1);
	wait_bits(t, POLLIN);
	CHECK_EQ(recv(t, buf, sizeof(buf), 0), 1);
	udp_silent(s);
	m.sin6_port = htons(9);
	CHECK_ERRNO(sendto(s, "x", 1, 0, SA(&m), sizeof(m)), ENETUNREACH);
	CHECK_ERRNO(connect(s, SA(&m), sizeof(m)), ENETUNREACH);
	to4.sin_port = htons(9);
	CHECK_ERRNO(sendto(s, "x", 1, 0, SA(&to4), sizeof(to4)), ENETUNREACH);
	CHECK_ERRNO(connect(s, SA(&to4), sizeof(to4)), EAFNOSUPPORT);
	s = udp_socket();
	to4.sin_port = n.sin_port;
	CHECK_EQ(sendto(s, "y", 1, 0, SA(&to4), sizeof(to4)), 1);
	OK(connect(s, SA(&to4), sizeof(to4)));
	CHECK(udp_same(udp_peer(s), mapped(to4)));
}

/* A dual-stack [::] is in the way of 0.0.0.0, and the other way round. */
static void conflicts_of_families(void)
{
	struct sockaddr_in n = {.sin_family = AF_INET};
	struct sockaddr_in6 a = {.sin6_family = AF_INET6};
	int s = dual(&n.sin_port), t = udp4_socket();

	CHECK_ERRNO(bind(t, SA(&n), sizeof(n)), EADDRINUSE);
	OK(close(s));
	OK(bind(t, SA(&n), sizeof(n)));
	a.sin6_port = n.sin_port;
	s = udp_socket();
	CHECK_ERRNO(bind(s, SA(&a), sizeof(a)), EADDRINUSE);
	set_option(s, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	OK(bind(s, SA(&a), sizeof(a)));
}

static void wrong_family_of_peer(void)
{
	struct sockaddr_in6 native, m = mapped(test_address(0)), to = mapped(test_address(9));
	int s = udp_bound(&native), t = udp_socket();

	native.sin6_port = htons(9);
	OK(bind(t, SA(&m), sizeof(m)));
	CHECK_ERRNO(sendto(t, "x", 1, 0, SA(&native), sizeof(native)), EAFNOSUPPORT);
	(void)s;
	(void)to;
}

struct received {
	char data[16];
	struct in6_pktinfo info;
	int hops, tclass;
};

/* A datagram with its control messages; -1 and zeros for those that are missing. */
static struct received receive(int fd)
{
	struct received r = {.hops = -1, .tclass = -1};
	char control[256];
	struct iovec v = {r.data, sizeof(r.data) - 1};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};

	wait_bits(fd, POLLIN);
	OK(recvmsg(fd, &m, 0));
	CHECK_EQ(m.msg_flags, 0);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		CHECK_EQ(c->cmsg_level, IPPROTO_IPV6);
		if (c->cmsg_type == IPV6_PKTINFO)
			memcpy(&r.info, CMSG_DATA(c), sizeof(r.info));
		else if (c->cmsg_type == IPV6_HOPLIMIT)
			memcpy(&r.hops, CMSG_DATA(c), sizeof(r.hops));
		else if (c->cmsg_type == IPV6_TCLASS)
			memcpy(&r.tclass, CMSG_DATA(c), sizeof(r.tclass));
	}
	return r;
}

/* Send "x" to @to with one control message of IPPROTO_IPV6. */
static ssize_t send_with(int fd, struct sockaddr_in6 to, int type, const void *data, size_t len)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(64)] = "";
	struct iovec v = {(void *)"x", 1};
	struct msghdr m = {.msg_name = &to,
			   .msg_namelen = sizeof(to),
			   .msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = CMSG_SPACE(len)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = IPPROTO_IPV6;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), data, len);
	return sendmsg(fd, &m, 0);
}

static void packet_info(void)
{
	struct sockaddr_in to4 = test_address(0);
	struct sockaddr_in6 to6 = address6(0), m;
	int s = dual(&to4.sin_port), c = udp_socket(), c4 = udp4_socket();
	struct in6_pktinfo info = {.ipi6_ifindex = 0};
	struct received r;

	to6.sin6_port = to4.sin_port;
	set_option(s, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	udp_send(c, "x", to6);
	r = receive(s);
	CHECK(!memcmp(&r.info.ipi6_addr, &to6.sin6_addr, 16));
	CHECK(r.info.ipi6_ifindex > 0);
	CHECK_EQ(sendto(c4, "x", 1, 0, SA(&to4), sizeof(to4)), 1);
	r = receive(s);
	m = mapped(to4);
	CHECK(!memcmp(&r.info.ipi6_addr, &m.sin6_addr, 16));
	/* And as the source of what is sent. */
	info.ipi6_addr = to6.sin6_addr;
	CHECK_EQ(send_with(c, to6, IPV6_PKTINFO, &info, sizeof(info)), 1);
	CHECK(udp_same_host(udp_expect(s, "x"), to6));
	info.ipi6_addr = udp_nowhere().sin6_addr;
	CHECK_ERRNO(send_with(c, to6, IPV6_PKTINFO, &info, sizeof(info)), EINVAL);
	CHECK_ERRNO(send_with(c, to6, IPV6_PKTINFO, &info, 4), EINVAL);
	info = (struct in6_pktinfo){.ipi6_ifindex = 77777};
	CHECK_ERRNO(send_with(c, to6, IPV6_PKTINFO, &info, sizeof(info)), ENODEV);
}

static void hops_and_class(void)
{
	struct sockaddr_in6 a;
	int s = udp_bound(&a), c = udp_socket(), v = 33;
	struct received r;

	set_option(s, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
	set_option(s, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	CHECK_EQ(get_option(c, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 64);
	udp_send(c, "x", a);
	r = receive(s);
	CHECK_EQ(r.hops, 64);
	CHECK_EQ(r.tclass, 0);
	set_option(c, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 9);
	set_option(c, IPPROTO_IPV6, IPV6_TCLASS, 0xb8);
	CHECK_EQ(get_option(c, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 9);
	CHECK_EQ(get_option(c, IPPROTO_IPV6, IPV6_TCLASS), 0xb8);
	udp_send(c, "x", a);
	r = receive(s);
	CHECK_EQ(r.hops, 9);
	CHECK_EQ(r.tclass, 0xb8);
	CHECK_EQ(send_with(c, a, IPV6_HOPLIMIT, &v, sizeof(v)), 1);
	CHECK_EQ(receive(s).hops, 33);
	CHECK_EQ(send_with(c, a, IPV6_TCLASS, &v, sizeof(v)), 1);
	CHECK_EQ(receive(s).tclass, 33);
	OK(connect(c, SA(&a), sizeof(a)));
	CHECK_EQ(send(c, "x", 1, 0), 1);
	CHECK_EQ(receive(s).hops, 9);
	v = 256;
	CHECK_ERRNO(setsockopt(c, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &v, sizeof(v)), EINVAL);
	CHECK_ERRNO(send_with(c, a, IPV6_HOPLIMIT, &v, sizeof(v)), EINVAL);
}

static void mtu(void)
{
	struct sockaddr_in6 a;
	int s = udp_bound(&a), c = udp_socket(), v;
	static char big[5000];
	socklen_t len = sizeof(v);

	(void)s;
	CHECK_ERRNO(getsockopt(c, IPPROTO_IPV6, IPV6_MTU, &v, &len), ENOTCONN);
	OK(connect(c, SA(&a), sizeof(a)));
	CHECK_EQ(get_option(c, IPPROTO_IPV6, IPV6_MTU), 65536); /* lo's */
	set_option(c, IPPROTO_IPV6, IPV6_MTU, 1280);
	CHECK_EQ(send(c, big, sizeof(big), 0), sizeof(big));
	wait_bits(s, POLLIN);
	CHECK_EQ(recv(s, big, sizeof(big), MSG_TRUNC), sizeof(big));
	v = 1279;
	CHECK_ERRNO(setsockopt(c, IPPROTO_IPV6, IPV6_MTU, &v, sizeof(v)), EINVAL);
	CHECK_ERRNO(setsockopt(c, IPPROTO_IPV6, IPV6_MTU, &v, 1), EINVAL);
}

static void link_local_needs_a_link(void)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
	int fd = udp_socket();

	inet_pton(AF_INET6, "fe80::1", &a.sin6_addr);
	CHECK_ERRNO(bind(fd, SA(&a), sizeof(a)), EINVAL);
	CHECK_ERRNO(connect(fd, SA(&a), sizeof(a)), EINVAL);
	inet_pton(AF_INET6, "ff02::fb", &a.sin6_addr);
	CHECK_ERRNO(bind(fd, SA(&a), sizeof(a)), EINVAL);
}

/* --- groups --------------------------------------------------------------- */

static struct ipv6_mreq request(const char *group, unsigned index)
{
	struct ipv6_mreq r = {.ipv6mr_interface = index};

	CHECK_EQ(inet_pton(AF_INET6, group, &r.ipv6mr_multiaddr), 1);
	return r;
}

static int member(int fd, int option, struct ipv6_mreq r)
{
	return setsockopt(fd, IPPROTO_IPV6, option, &r, sizeof(r));
}

#define LO 1 /* its index */

static void membership(void)
{
	int fd = udp_socket();

	OK(member(fd, IPV6_JOIN_GROUP, request("ff12::4711", LO)));
	CHECK_ERRNO(member(fd, IPV6_JOIN_GROUP, request("ff12::4711", LO)), EADDRINUSE);
	OK(member(fd, IPV6_LEAVE_GROUP, request("ff12::4711", LO)));
	CHECK_ERRNO(member(fd, IPV6_LEAVE_GROUP, request("ff12::4711", LO)), EADDRNOTAVAIL);
	CHECK_ERRNO(member(fd, IPV6_JOIN_GROUP, request("fd00::4711", LO)), EINVAL);
	CHECK_ERRNO(member(fd, IPV6_JOIN_GROUP, request("ff12::4711", 77777)), ENODEV);
	CHECK_ERRNO(setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, "", 1), EINVAL);
}

static void group_options(void)
{
	int fd = udp_socket(), v = 77777;

	CHECK_EQ(get_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS), 1);
	CHECK_EQ(get_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP), 1);
	CHECK_EQ(get_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF), 0);
	CHECK_EQ(get_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL), 1);
	set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 7);
	CHECK_EQ(get_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS), 7);
	set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0);
	CHECK_EQ(get_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP), 0);
	set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, LO);
	CHECK_EQ(get_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF), LO);
	CHECK_ERRNO(setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &v, sizeof(v)), ENODEV);
	CHECK_ERRNO(setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &v, sizeof(v)), EINVAL);
	CHECK_ERRNO(setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &v, sizeof(v)), EINVAL);
	CHECK_ERRNO(setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &v, 1), EINVAL);
}

CHECK_MAIN(CASE(both_families), CASE(disconnected), CASE(v6only), CASE(conflicts_of_families),
	   CASE(wrong_family_of_peer), CASE(packet_info), CASE(hops_and_class), CASE(mtu),
	   CASE(link_local_needs_a_link), CASE(membership), CASE(group_options))

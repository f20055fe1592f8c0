/* SPDX-License-Identifier: BSD-3-Clause
 *
 * rtnetlink.c - NETLINK_ROUTE sockets: dumps, single answers, groups, names, flags
 */
#include <linux/capability.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/syscall.h>

#include "check.h"

#define ROOM 32768

static const struct sockaddr_nl kernel_name = {.nl_family = AF_NETLINK};

static int route_socket(int type)
{
	return (int)OK(socket(AF_NETLINK, type, NETLINK_ROUTE));
}

static uint32_t port_of(int fd)
{
	struct sockaddr_nl a = {0};
	socklen_t len = sizeof(a);

	OK(getsockname(fd, SA(&a), &len));
	CHECK_EQ(len, sizeof(a));
	CHECK_EQ(a.nl_family, AF_NETLINK);
	return a.nl_pid;
}

struct request {
	struct nlmsghdr h;
	union {
		struct ifinfomsg link;
		struct ifaddrmsg addr;
		struct rtmsg route;
	};
	char attrs[64];
};

static struct request dump_of(uint16_t type, uint8_t family, uint32_t seq)
{
	struct request r = {
	    .h = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)),
		  .nlmsg_type = type,
		  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		  .nlmsg_seq = seq},
	};

	if (type >= RTM_NEWADDR && type <= RTM_GETADDR)
		r.h.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg));
	r.link.ifi_family = family;
	return r;
}

static void add_attr(struct request *r, unsigned short type, const void *value, size_t n)
{
	struct rtattr *a = (struct rtattr *)((char *)r + NLMSG_ALIGN(r->h.nlmsg_len));

	a->rta_type = type;
	a->rta_len = (unsigned short)RTA_LENGTH(n);
	memcpy(RTA_DATA(a), value, n);
	r->h.nlmsg_len = NLMSG_ALIGN(r->h.nlmsg_len) + RTA_ALIGN(a->rta_len);
}

/** What a dump says of GZ_ADDR's interface, and of lo. */
struct seen {
	int lo, own, others, messages;
};

static void look(const struct nlmsghdr *h, struct seen *s)
{
	uint32_t want = test_address(0).sin_addr.s_addr, got;
	const struct rtattr *a;
	size_t left;

	s->messages++;
	if (h->nlmsg_type == RTM_NEWLINK) {
		const struct ifinfomsg *i = NLMSG_DATA(h);

		s->lo += i->ifi_index == 1;
		s->others += i->ifi_index != 1;
		return;
	}
	CHECK_EQ(h->nlmsg_type, RTM_NEWADDR);
	a = IFA_RTA(NLMSG_DATA(h));
	left = IFA_PAYLOAD(h);
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type != IFA_LOCAL)
			continue;
		memcpy(&got, RTA_DATA(a), sizeof(got));
		s->own += got == want;
		s->lo += got == htonl(INADDR_LOOPBACK);
	}
}

/* Read a dump to its end, by recvmsg() as glibc does. */
static struct seen read_dump(int fd, uint32_t seq, uint32_t port, size_t room)
{
	struct seen s = {0};
	char *buf = malloc(room);

	CHECK(buf);
	for (;;) {
		struct sockaddr_nl from = {.nl_pid = 12345};
		struct iovec v = {buf, room};
		struct msghdr m = {
		    .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &v, .msg_iovlen = 1};
		ssize_t n = OK(recvmsg(fd, &m, 0));
		struct nlmsghdr *h = (struct nlmsghdr *)buf;
		size_t left = (size_t)n;

		CHECK(n > 0);
		CHECK(!(m.msg_flags & MSG_TRUNC));
		CHECK_EQ(m.msg_namelen, sizeof(from));
		CHECK_EQ(from.nl_family, AF_NETLINK);
		CHECK_EQ(from.nl_pid, 0);
		CHECK_EQ(m.msg_controllen, 0);
		for (; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			CHECK_EQ(h->nlmsg_seq, seq);
			CHECK_EQ(h->nlmsg_pid, port);
			CHECK(h->nlmsg_flags & NLM_F_MULTI);
			if (h->nlmsg_type == NLMSG_DONE) {
				free(buf);
				return s;
			}
			look(h, &s);
		}
	}
}

static void links_and_addresses(void)
{
	struct sockaddr_nl a = kernel_name;
	struct request r;
	uint32_t port;
	struct seen s;
	int fd = route_socket(SOCK_RAW | SOCK_CLOEXEC);

	OK(bind(fd, SA(&a), sizeof(a)));
	port = port_of(fd);
	CHECK(port);
	r = dump_of(RTM_GETLINK, AF_UNSPEC, 7);
	CHECK_EQ(sendto(fd, &r, r.h.nlmsg_len, 0, SA(&kernel_name), sizeof(a)), r.h.nlmsg_len);
	s = read_dump(fd, 7, port, 4096);
	CHECK_EQ(s.lo, 1);
	r = dump_of(RTM_GETADDR, AF_UNSPEC, 8);
	CHECK_EQ(sendto(fd, &r, r.h.nlmsg_len, 0, SA(&kernel_name), sizeof(a)), r.h.nlmsg_len);
	s = read_dump(fd, 8, port, 4096);
	CHECK_EQ(s.own, 1);
	CHECK_EQ(s.lo, 1);
	r = dump_of(RTM_GETADDR, AF_INET6, 9);
	CHECK_EQ(send(fd, &r, r.h.nlmsg_len, 0), r.h.nlmsg_len);
	s = read_dump(fd, 9, port, ROOM);
	CHECK_EQ(s.own, 0);
}

/* musl and iproute2: no address, not even a bind(). */
static void by_send_and_write(void)
{
	int fd = route_socket(SOCK_DGRAM);

	for (uint32_t seq = 1; seq <= 6; seq++) {
		struct request r =
		    dump_of(seq % 2 ? RTM_GETLINK : RTM_GETADDR, seq % 3 ? 0 : AF_INET, seq);
		struct seen s;

		if (seq < 4)
			CHECK_EQ(send(fd, &r, r.h.nlmsg_len, MSG_NOSIGNAL), r.h.nlmsg_len);
		else
			CHECK_EQ(write(fd, &r, r.h.nlmsg_len), r.h.nlmsg_len);
		wait_bits(fd, POLLIN);
		s = read_dump(fd, seq, port_of(fd), 8192);
		CHECK_EQ(s.lo, 1);
		if (seq % 2 == 0)
			CHECK_EQ(s.own, 1);
	}
}

/* The answer is there when sendmsg() returns: who does not wait finds it. */
static void at_once(void)
{
	int fd = route_socket(SOCK_RAW | SOCK_NONBLOCK);
	struct request r = dump_of(RTM_GETADDR, AF_INET, 3);
	struct iovec v[2] = {{&r, 8}, {(char *)&r + 8, r.h.nlmsg_len - 8}};
	struct msghdr m = {.msg_name = (void *)(uintptr_t)&kernel_name,
			   .msg_namelen = sizeof(kernel_name),
			   .msg_iov = v,
			   .msg_iovlen = 2};
	char b[16];

	CHECK_ERRNO(recv(fd, b, sizeof(b), 0), EAGAIN);
	CHECK_EQ(poll_bits(fd), POLLOUT);
	CHECK_EQ(sendmsg(fd, &m, 0), r.h.nlmsg_len);
	CHECK(poll_bits(fd) & POLLIN);
	CHECK_EQ(read_dump(fd, 3, port_of(fd), ROOM).own, 1);
	CHECK_ERRNO(recv(fd, b, sizeof(b), 0), EAGAIN);
	CHECK_ERRNO(recvfrom(fd, b, sizeof(b), MSG_TRUNC, NULL, NULL), EAGAIN);
}

/* How iproute2 and libnl find out how much room they need. */
static void peek_the_length(void)
{
	struct request r = dump_of(RTM_GETLINK, AF_UNSPEC, 5);
	int fd = route_socket(SOCK_RAW);
	struct sockaddr_nl from = {0};
	socklen_t len = sizeof(from);
	struct nlmsghdr h;
	struct iovec v = {0};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	ssize_t n;

	OK(sendto(fd, &r, r.h.nlmsg_len, 0, SA(&kernel_name), sizeof(kernel_name)));
	n = OK(recvmsg(fd, &m, MSG_PEEK | MSG_TRUNC));
	CHECK(n > (ssize_t)sizeof(h));
	CHECK(m.msg_flags & MSG_TRUNC);
	CHECK_EQ(recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC), n);
	CHECK_EQ(recvfrom(fd, &h, sizeof(h), MSG_PEEK, SA(&from), &len), sizeof(h));
	CHECK_EQ(len, sizeof(from));
	CHECK_EQ(from.nl_family, AF_NETLINK);
	CHECK_EQ(from.nl_pid, 0);
	CHECK_EQ(h.nlmsg_seq, 5);
	CHECK_EQ(read_dump(fd, 5, port_of(fd), ROOM).lo, 1);
}

static void single_link(void)
{
	struct request r = dump_of(RTM_GETLINK, AF_UNSPEC, 11);
	int fd = route_socket(SOCK_RAW);
	char buf[ROOM];
	struct nlmsghdr *h = (struct nlmsghdr *)buf;
	struct if_nameindex *all = if_nameindex();

	CHECK(all);
	/* Each by its index, then by its name. */
	for (int by = 0; by < 2; by++) {
		for (struct if_nameindex *i = all; i->if_index; i++) {
			ssize_t n;

			r = dump_of(RTM_GETLINK, AF_UNSPEC, 11 + i->if_index);
			r.h.nlmsg_flags = NLM_F_REQUEST;
			if (by)
				add_attr(&r, IFLA_IFNAME, i->if_name, strlen(i->if_name) + 1);
			else
				r.link.ifi_index = (int)i->if_index;
			OK(sendto(fd, &r, r.h.nlmsg_len, 0, SA(&kernel_name), sizeof(kernel_name)));
			n = OK(recv(fd, buf, sizeof(buf), 0));
			CHECK(NLMSG_OK(h, (size_t)n));
			CHECK_EQ(h->nlmsg_type, RTM_NEWLINK);
			CHECK_EQ(h->nlmsg_flags & NLM_F_MULTI, 0);
			CHECK_EQ(h->nlmsg_seq, 11 + i->if_index);
			CHECK_EQ(((struct ifinfomsg *)NLMSG_DATA(h))->ifi_index, i->if_index);
		}
	}
	r.link.ifi_index = 0x7ffffff0;
	r.h.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg));
	OK(send(fd, &r, r.h.nlmsg_len, 0));
	OK(recv(fd, buf, sizeof(buf), 0));
	CHECK_EQ(h->nlmsg_type, NLMSG_ERROR);
	CHECK_EQ(((struct nlmsgerr *)NLMSG_DATA(h))->error, -ENODEV);
}

/* NETLINK_GET_STRICT_CHK: the header is a filter. */
static void filtered(void)
{
	struct if_nameindex *all = if_nameindex();
	int fd = route_socket(SOCK_RAW);

	CHECK(all);
	set_option(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
	CHECK_EQ(get_option(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK), 1);
	set_option(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
	set_option(fd, SOL_SOCKET, SO_SNDBUF, 32768);
	set_option(fd, SOL_SOCKET, SO_RCVBUF, 65536);
	CHECK_EQ(get_option(fd, SOL_SOCKET, SO_RCVBUF), 131072);
	for (struct if_nameindex *i = all; i->if_index; i++) {
		struct request r = dump_of(RTM_GETADDR, AF_INET, i->if_index);
		struct seen s;

		r.addr.ifa_index = i->if_index;
		OK(send(fd, &r, r.h.nlmsg_len, 0));
		s = read_dump(fd, i->if_index, port_of(fd), ROOM);
		CHECK_EQ(s.lo, i->if_index == 1);
		CHECK(s.messages >= s.own);
	}
}

/* Other families are the kernel's, and an interface is not everywhere. */
static void other_families(void)
{
	static const uint8_t family[] = {AF_BRIDGE, AF_PACKET, AF_INET6, AF_INET};
	int fd = route_socket(SOCK_RAW);

	for (uint32_t i = 0; i < 4; i++) {
		struct request r = dump_of(RTM_GETLINK, family[i], i);
		struct seen s;

		OK(send(fd, &r, r.h.nlmsg_len, 0));
		s = read_dump(fd, i, port_of(fd), ROOM);
		CHECK_EQ(s.lo, family[i] != AF_BRIDGE);
	}
}

/* The last message, and the last attribute, end where their padding would begin. */
static void not_padded(void)
{
	struct request r = dump_of(RTM_GETLINK, AF_UNSPEC, 41);
	struct nlmsghdr next = {.nlmsg_len = 0x30000000, .nlmsg_type = RTM_GETLINK};
	char buf[ROOM] = {0};
	struct nlmsgerr answer;
	int fd = route_socket(SOCK_RAW);
	struct rtattr *a;
	struct seen s;

	/* What follows the next messages in a buffer that is used again */
	memcpy(buf + NLMSG_SPACE(1), &next, sizeof(next));
	OK(send(fd, buf, NLMSG_SPACE(1) + sizeof(next), 0));
	r.h.nlmsg_len = NLMSG_HDRLEN + 1;
	r.h.nlmsg_flags = NLM_F_REQUEST;
	for (int i = 0; i < 2; i++) {
		OK(i ? sendto(fd, &r, r.h.nlmsg_len, 0, SA(&kernel_name), sizeof(kernel_name))
		     : send(fd, &r, r.h.nlmsg_len, 0));
		CHECK_EQ(wait_bits(fd, POLLIN) & POLLIN, POLLIN);
		CHECK(OK(recv(fd, buf, sizeof(buf), 0)) >= (ssize_t)NLMSG_LENGTH(sizeof(answer)));
		CHECK_EQ(((struct nlmsghdr *)buf)->nlmsg_type, NLMSG_ERROR);
	}
	r.h.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)) + RTA_LENGTH(1);
	a = (struct rtattr *)((char *)&r + NLMSG_LENGTH(sizeof(struct ifinfomsg)));
	*a = (struct rtattr){.rta_len = RTA_LENGTH(1), .rta_type = IFLA_LINKMODE};
	OK(send(fd, &r, r.h.nlmsg_len, 0));
	r = dump_of(RTM_GETLINK, AF_UNSPEC, 42);
	fd = route_socket(SOCK_RAW);
	OK(send(fd, &r, r.h.nlmsg_len, 0));
	s = read_dump(fd, 42, port_of(fd), ROOM);
	CHECK_EQ(s.lo, 1);
}

static void routes(void)
{
	struct request r = dump_of(RTM_GETROUTE, AF_INET, 21);
	int fd = route_socket(SOCK_RAW);
	struct in_addr lo = {htonl(INADDR_LOOPBACK)};
	char buf[ROOM];
	struct nlmsghdr *h = (struct nlmsghdr *)buf;
	ssize_t n;

	r.h.nlmsg_flags = NLM_F_REQUEST;
	r.h.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg));
	r.route.rtm_dst_len = 32;
	add_attr(&r, RTA_DST, &lo, sizeof(lo));
	OK(sendto(fd, &r, r.h.nlmsg_len, 0, SA(&kernel_name), sizeof(kernel_name)));
	n = OK(recv(fd, buf, sizeof(buf), 0));
	CHECK(NLMSG_OK(h, (size_t)n));
	CHECK_EQ(h->nlmsg_type, RTM_NEWROUTE);
	CHECK_EQ(((struct rtmsg *)NLMSG_DATA(h))->rtm_type, RTN_LOCAL);
}

/* What a dump of @table, or of all without one, has of the route to GZ_ADDR itself */
static int own_routes(int fd, uint32_t seq, uint32_t table)
{
	uint32_t want = test_address(0).sin_addr.s_addr;
	struct request r = dump_of(RTM_GETROUTE, AF_INET, seq);
	char *buf = malloc(ROOM);
	int found = 0;

	CHECK(buf);
	r.h.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg));
	if (table)
		add_attr(&r, RTA_TABLE, &table, sizeof(table));
	OK(send(fd, &r, r.h.nlmsg_len, 0));
	for (;;) {
		struct nlmsghdr *h = (struct nlmsghdr *)buf;
		size_t left = (size_t)OK(recv(fd, buf, ROOM, 0));

		for (; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			const struct rtmsg *m = NLMSG_DATA(h);
			const struct rtattr *a = RTM_RTA(m);
			size_t rest = RTM_PAYLOAD(h);

			CHECK_EQ(h->nlmsg_seq, seq);
			if (h->nlmsg_type == NLMSG_DONE) {
				free(buf);
				return found;
			}
			CHECK_EQ(h->nlmsg_type, RTM_NEWROUTE);
			if (table)
				CHECK_EQ(m->rtm_table, table);
			for (; RTA_OK(a, rest); a = RTA_NEXT(a, rest))
				if (a->rta_type == RTA_DST && m->rtm_type == RTN_LOCAL &&
				    m->rtm_dst_len == 32)
					found += !memcmp(RTA_DATA(a), &want, sizeof(want));
		}
	}
}

/* A dump has the routes of GZ_ADDR's interface; if it is strict, its table is a filter. */
static void route_dumps(void)
{
	int fd = route_socket(SOCK_RAW);

	CHECK(own_routes(fd, 71, 0) >= 1);
	set_option(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
	CHECK(own_routes(fd, 72, RT_TABLE_LOCAL) >= 1);
	CHECK_EQ(own_routes(fd, 73, RT_TABLE_MAIN), 0);
}

/* An address of lo's comes or goes. */
static struct request change_of(unsigned short type, struct in_addr addr)
{
	struct request r = dump_of(type, AF_INET, 31);

	r.h.nlmsg_flags =
	    NLM_F_REQUEST | NLM_F_ACK | (type == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_EXCL : 0);
	r.h.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg));
	r.addr = (struct ifaddrmsg){.ifa_family = AF_INET, .ifa_prefixlen = 32, .ifa_index = 1};
	add_attr(&r, IFA_LOCAL, &addr, sizeof(addr));
	return r;
}

/* A change is made, and whoever watches is told. */
static void change_and_watch(void)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_IPV4_IFADDR}, got;
	int watch = route_socket(SOCK_RAW), fd = route_socket(SOCK_RAW), twice;
	struct request r;
	struct in_addr addr = {htonl(0x7f2a0000 | (uint32_t)(getpid() & 0xffff))};
	socklen_t len = sizeof(got);
	char buf[ROOM];
	struct nlmsghdr *h = (struct nlmsghdr *)buf;

	OK(bind(watch, SA(&a), sizeof(a)));
	OK(getsockname(watch, SA(&got), &len));
	CHECK_EQ(got.nl_groups, RTMGRP_IPV4_IFADDR);
	twice = OK(dup(fd));
	for (int i = 0; i < 2; i++) {
		r = change_of(i ? RTM_DELADDR : RTM_NEWADDR, addr);
		OK(sendto(i ? twice : fd, &r, r.h.nlmsg_len, 0, SA(&kernel_name),
			  sizeof(kernel_name)));
		OK(recv(i ? fd : twice, buf, sizeof(buf), 0));
		CHECK_EQ(h->nlmsg_type, NLMSG_ERROR);
		CHECK_EQ(((struct nlmsgerr *)NLMSG_DATA(h))->error, 0);
		do
			OK(recv(watch, buf, sizeof(buf), 0));
		while (((struct ifaddrmsg *)NLMSG_DATA(h))->ifa_index != 1 ||
		       memcmp(RTA_DATA(IFA_RTA(NLMSG_DATA(h))), &addr, 4));
		CHECK_EQ(h->nlmsg_type, i ? RTM_DELADDR : RTM_NEWADDR);
	}
}

/* What the parent has changed something by, its child asks on. */
static void change_and_child_asks(void)
{
	struct request r = change_of(RTM_DELADDR, (struct in_addr){htonl(0x7f2c0001)});
	int fd = route_socket(SOCK_RAW), go[2];
	char buf[ROOM];
	struct nlmsghdr *h = (struct nlmsghdr *)buf;
	uint32_t port;
	pid_t pid;

	OK(pipe(go));
	pid = child();
	if (!pid) {
		CHECK_EQ(read(go[0], &port, sizeof(port)), sizeof(port));
		r = dump_of(RTM_GETLINK, AF_UNSPEC, 61);
		CHECK_EQ(write(fd, &r, r.h.nlmsg_len), r.h.nlmsg_len);
		CHECK_EQ(read_dump(fd, 61, port, ROOM).lo, 1);
		_exit(0);
	}
	OK(sendto(fd, &r, r.h.nlmsg_len, 0, SA(&kernel_name), sizeof(kernel_name)));
	OK(recv(fd, buf, sizeof(buf), 0));
	CHECK_EQ(h->nlmsg_type, NLMSG_ERROR);
	CHECK_EQ(((struct nlmsgerr *)NLMSG_DATA(h))->error, -EADDRNOTAVAIL);
	port = port_of(fd);
	CHECK_EQ(write(go[1], &port, sizeof(port)), sizeof(port));
	reap(pid);
}

static int error_of(int fd)
{
	char buf[ROOM];
	struct nlmsghdr *h = (struct nlmsghdr *)buf;

	OK(recv(fd, buf, sizeof(buf), 0));
	CHECK_EQ(h->nlmsg_type, NLMSG_ERROR);
	return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
}

/* By calls without an address, as `ip address flush` makes them, and two in one datagram */
static void change_natively(void)
{
	struct in_addr addr = {htonl(0x7f2b0000 | (uint32_t)(getpid() & 0xffff))};
	struct request come = change_of(RTM_NEWADDR, addr), go = change_of(RTM_DELADDR, addr);
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[2];
	int fd = route_socket(SOCK_RAW);
	char both[2 * sizeof(come)];

	OK(send(fd, &come, come.h.nlmsg_len, 0));
	CHECK_EQ(error_of(fd), 0);
	OK(write(fd, &come, come.h.nlmsg_len));
	CHECK_EQ(error_of(fd), -EEXIST);
	OK(write(fd, &go, go.h.nlmsg_len));
	CHECK_EQ(error_of(fd), 0);
	memcpy(both, &come, come.h.nlmsg_len);
	memcpy(both + NLMSG_ALIGN(come.h.nlmsg_len), &go, go.h.nlmsg_len);
	OK(send(fd, both, NLMSG_ALIGN(come.h.nlmsg_len) + go.h.nlmsg_len, 0));
	CHECK_EQ(error_of(fd), 0);
	CHECK_EQ(error_of(fd), 0);
	/* The sender's right counts, and not what it had when the socket was made. */
	OK(syscall(SYS_capget, &h, caps));
	caps[0].effective &= ~(1u << CAP_NET_ADMIN);
	OK(syscall(SYS_capset, &h, caps));
	OK(send(fd, &come, come.h.nlmsg_len, 0));
	CHECK_EQ(error_of(fd), -EPERM);
}

/* Whoever watches may ask as well, as dnsmasq does. */
static void watch_and_dump(void)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_IPV4_ROUTE};
	struct request r = dump_of(RTM_GETADDR, AF_INET, 35);
	int fd = route_socket(SOCK_RAW), group = RTNLGRP_IPV4_RULE;

	OK(bind(fd, SA(&a), sizeof(a)));
	OK(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)));
	OK(sendto(fd, &r, r.h.nlmsg_len, 0, SA(&kernel_name), sizeof(kernel_name)));
	CHECK(read_dump(fd, 35, port_of(fd), ROOM).own >= 1);
}

/* A dump, then a change, on one socket: as ip(8) does it. */
static void dump_then_change(void)
{
	struct request r = dump_of(RTM_GETLINK, AF_UNSPEC, 41);
	int fd = route_socket(SOCK_RAW);
	uint32_t port;
	char buf[ROOM];
	struct nlmsghdr *h = (struct nlmsghdr *)buf;

	OK(send(fd, &r, r.h.nlmsg_len, 0));
	wait_bits(fd, POLLIN);
	port = port_of(fd);
	CHECK_EQ(read_dump(fd, 41, port, ROOM).lo, 1);
	r = dump_of(RTM_DELADDR, AF_INET, 42);
	r.h.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	r.addr.ifa_index = 1;
	add_attr(&r, IFA_LOCAL, &(struct in_addr){htonl(0x7f2b0001)}, 4);
	OK(sendto(fd, &r, r.h.nlmsg_len, 0, SA(&kernel_name), sizeof(kernel_name)));
	OK(recv(fd, buf, sizeof(buf), 0));
	CHECK_EQ(h->nlmsg_type, NLMSG_ERROR);
	CHECK_EQ(((struct nlmsgerr *)NLMSG_DATA(h))->error, -EADDRNOTAVAIL);
	CHECK_EQ(port_of(fd), port);
}

static void names(void)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK,
				.nl_pid = 0x7abc0000u + (uint32_t)getpid()};
	struct sockaddr_nl got = {0};
	socklen_t len = sizeof(got);
	int fd = route_socket(SOCK_RAW), other = route_socket(SOCK_DGRAM), v;

	CHECK_EQ(port_of(fd), 0);
	OK(bind(fd, SA(&a), sizeof(a)));
	CHECK_EQ(port_of(fd), a.nl_pid);
	CHECK_ERRNO(bind(other, SA(&a), sizeof(a)), EADDRINUSE);
	CHECK_ERRNO(bind(fd, SA(&kernel_name), 4), EINVAL);
	OK(connect(fd, SA(&kernel_name), sizeof(a)));
	OK(getpeername(fd, SA(&got), &len));
	CHECK_EQ(len, sizeof(got));
	CHECK_EQ(got.nl_family, AF_NETLINK);
	CHECK_EQ(got.nl_pid, 0);
	CHECK_EQ(get_option(fd, SOL_SOCKET, SO_DOMAIN), AF_NETLINK);
	CHECK_EQ(get_option(fd, SOL_SOCKET, SO_TYPE), SOCK_RAW);
	CHECK_EQ(get_option(other, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
	CHECK_EQ(get_option(fd, SOL_SOCKET, SO_PROTOCOL), NETLINK_ROUTE);
	CHECK_ERRNO(listen(fd, 1), EOPNOTSUPP);
	CHECK_ERRNO(accept(fd, NULL, NULL), EOPNOTSUPP);
	CHECK_ERRNO(shutdown(fd, SHUT_RDWR), EOPNOTSUPP);
	CHECK_ERRNO(ioctl(fd, 0x12345, &v), ENOTTY);
}

/* Bound by the kernel, the port is the process's number when that is free. */
static void port_is_the_pid(void)
{
	int fd = route_socket(SOCK_RAW);

	OK(bind(fd, SA(&kernel_name), sizeof(kernel_name)));
	CHECK_EQ(port_of(fd), getpid());
	fd = route_socket(SOCK_RAW);
	OK(bind(fd, SA(&kernel_name), sizeof(kernel_name)));
	CHECK(port_of(fd) != (uint32_t)getpid());
}

static void time_out(void)
{
	int fd = route_socket(SOCK_RAW);
	char b;
	long long start = now_ms();
	struct iovec v = {&b, 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	set_timeout(fd, SO_RCVTIMEO, 60);
	CHECK_ERRNO(recv(fd, &b, 1, 0), EAGAIN);
	CHECK(now_ms() - start >= 50);
	start = now_ms();
	CHECK_ERRNO(recvmsg(fd, &m, 0), EAGAIN);
	CHECK(now_ms() - start >= 50);
}

static void *ask_later(void *arg)
{
	struct request r = dump_of(RTM_GETLINK, AF_UNSPEC, 51);
	int fd = *(int *)arg;

	sleep_ms(30);
	OK(sendto(fd, &r, r.h.nlmsg_len, 0, SA(&kernel_name), sizeof(kernel_name)));
	return NULL;
}

/* One thread waits in recvmsg(), another one asks. */
static void two_threads(void)
{
	int fd = route_socket(SOCK_RAW);
	pthread_t t;

	OK(bind(fd, SA(&kernel_name), sizeof(kernel_name)));
	t = thread(ask_later, &fd);
	CHECK_EQ(read_dump(fd, 51, port_of(fd), ROOM).lo, 1);
	join(t);
}

/* Unprivileged, nothing can be changed, however it is asked for. */
static void without_rights(void)
{
	OK(setresgid(65534, 65534, 65534));
	OK(setresuid(65534, 65534, 65534));
	for (int i = 0; i < 2; i++) {
		struct request r = dump_of(RTM_NEWADDR, AF_INET, 61);
		int fd = route_socket(SOCK_RAW);

		r.h.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE;
		r.addr.ifa_index = 1;
		r.addr.ifa_prefixlen = 32;
		add_attr(&r, IFA_LOCAL, &(struct in_addr){htonl(0x7f2c0001)}, 4);
		if (i)
			OK(send(fd, &r, r.h.nlmsg_len, 0));
		else
			OK(sendto(fd, &r, r.h.nlmsg_len, 0, SA(&kernel_name), sizeof(kernel_name)));
		CHECK_EQ(error_of(fd), -EPERM);
	}
}

/* What is no request, by send() */
static void no_request(void)
{
	struct request r = dump_of(0x7ff0, AF_UNSPEC, 51);
	int fd = route_socket(SOCK_RAW);
	char buf[ROOM];
	struct nlmsghdr *h = (struct nlmsghdr *)buf;

	CHECK_ERRNO(send(fd, buf, 0, 0), ENODATA);
	OK(send(fd, &r, r.h.nlmsg_len, 0));
	OK(recv(fd, buf, sizeof(buf), 0));
	CHECK_EQ(h->nlmsg_type, NLMSG_ERROR);
	CHECK_EQ(((struct nlmsgerr *)NLMSG_DATA(h))->error, -EOPNOTSUPP);
}

CHECK_MAIN(CASE(links_and_addresses), CASE(by_send_and_write), CASE(at_once), CASE(peek_the_length),
	   CASE(single_link), CASE(filtered), CASE(other_families), CASE(routes), CASE(route_dumps),
	   CASE(not_padded), CASE(change_and_watch), CASE(change_and_child_asks),
	   CASE(change_natively), CASE(watch_and_dump), CASE(dump_then_change), CASE(names),
	   CASE(port_is_the_pid), CASE(time_out), CASE(two_threads), CASE(without_rights),
	   CASE(no_request))

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * multicast_sources.c - Source filters of groups (RFC 3678, ip(7))
 */
#include <net/if.h>

#include "udp.h"

#define GROUP "239.71.72.73"
#define OTHER "192.0.2.9"

static struct in_addr ip(const char *text)
{
	struct in_addr a;

	CHECK_EQ(inet_pton(AF_INET, text, &a), 1);
	return a;
}

/* Who sends: GZ_ADDR, which is also the interface */
static struct in_addr me(void)
{
	return test_address(0).sin_addr;
}

static int source_option(int fd, int opt, struct in_addr source)
{
	struct ip_mreq_source r = {
	    .imr_multiaddr = ip(GROUP), .imr_interface = me(), .imr_sourceaddr = source};

	return setsockopt(fd, IPPROTO_IP, opt, &r, sizeof(r));
}

static void join_group(int fd)
{
	struct ip_mreq r = {.imr_multiaddr = ip(GROUP), .imr_interface = me()};

	OK(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &r, sizeof(r)));
}

/* A receiver that takes only what it asks for; @to: where to send */
static int receiver(struct sockaddr_in *to)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	int fd = udp_socket();

	set_option(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0);
	OK(bind(fd, SA(&a), sizeof(a)));
	*to = local_name(fd);
	to->sin_addr = ip(GROUP);
	return fd;
}

static int sender(void)
{
	struct in_addr a = me();
	udp_addr at;
	int fd = udp_bound(&at);

	OK(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &a, sizeof(a)));
	return fd;
}

static void include(void)
{
	struct sockaddr_in to;
	int fd = receiver(&to), from = sender();

	udp_send(from, "none", to);
	udp_silent(fd);
	OK(source_option(fd, IP_ADD_SOURCE_MEMBERSHIP, ip(OTHER)));
	udp_send(from, "other", to);
	udp_silent(fd);
	OK(source_option(fd, IP_ADD_SOURCE_MEMBERSHIP, me()));
	udp_send(from, "mine", to);
	udp_expect(fd, "mine");
	OK(source_option(fd, IP_DROP_SOURCE_MEMBERSHIP, me()));
	udp_send(from, "dropped", to);
	udp_silent(fd);
	/* With the last one the group is left. */
	OK(source_option(fd, IP_DROP_SOURCE_MEMBERSHIP, ip(OTHER)));
	CHECK_ERRNO(source_option(fd, IP_DROP_SOURCE_MEMBERSHIP, ip(OTHER)), EINVAL);
}

static void exclude(void)
{
	struct sockaddr_in to;
	int fd = receiver(&to), from = sender();

	join_group(fd);
	udp_send(from, "all", to);
	udp_expect(fd, "all");
	OK(source_option(fd, IP_BLOCK_SOURCE, me()));
	udp_send(from, "blocked", to);
	udp_silent(fd);
	OK(source_option(fd, IP_BLOCK_SOURCE, ip(OTHER)));
	OK(source_option(fd, IP_UNBLOCK_SOURCE, me()));
	udp_send(from, "again", to);
	udp_expect(fd, "again");
}

static void errors(void)
{
	struct sockaddr_in to;
	struct in_addr a = ip("10.0.0.0");
	int fd = receiver(&to);

	CHECK_ERRNO(source_option(fd, IP_BLOCK_SOURCE, me()), EINVAL); /* not joined */
	join_group(fd);
	CHECK_ERRNO(source_option(fd, IP_UNBLOCK_SOURCE, me()), EADDRNOTAVAIL);
	OK(source_option(fd, IP_BLOCK_SOURCE, me()));
	CHECK_ERRNO(source_option(fd, IP_BLOCK_SOURCE, me()), EADDRNOTAVAIL);
	CHECK_ERRNO(source_option(fd, IP_ADD_SOURCE_MEMBERSHIP, me()), EINVAL); /* another kind */
	for (int i = 1; i < 10; i++) {
		a.s_addr += htonl(1);
		OK(source_option(fd, IP_BLOCK_SOURCE, a));
	}
	CHECK_ERRNO(source_option(fd, IP_BLOCK_SOURCE, ip(OTHER)), ENOBUFS);
	CHECK_ERRNO(setsockopt(fd, IPPROTO_IP, IP_BLOCK_SOURCE, &a, sizeof(a)), EINVAL);
}

static void whole_filter(void)
{
	struct {
		struct ip_msfilter f;
		struct in_addr more[4];
	} m = {.f = {.imsf_multiaddr = ip(GROUP),
		     .imsf_interface = me(),
		     .imsf_fmode = MCAST_EXCLUDE,
		     .imsf_numsrc = 2}};
	struct sockaddr_in to;
	int fd = receiver(&to), from = sender();
	socklen_t len = sizeof(m);

	m.f.imsf_slist[0] = ip(OTHER);
	m.more[0] = me();
	CHECK_ERRNO(setsockopt(fd, IPPROTO_IP, IP_MSFILTER, &m, IP_MSFILTER_SIZE(2)), EINVAL);
	CHECK_ERRNO(getsockopt(fd, IPPROTO_IP, IP_MSFILTER, &m, &len), EADDRNOTAVAIL);
	join_group(fd);
	OK(setsockopt(fd, IPPROTO_IP, IP_MSFILTER, &m, IP_MSFILTER_SIZE(2)));
	udp_send(from, "blocked", to);
	udp_silent(fd);
	/* One is asked for, two there are. */
	m.f.imsf_numsrc = 1;
	m.f.imsf_fmode = 99;
	OK(getsockopt(fd, IPPROTO_IP, IP_MSFILTER, &m, &len));
	CHECK_EQ(len, IP_MSFILTER_SIZE(1));
	CHECK_EQ(m.f.imsf_fmode, MCAST_EXCLUDE);
	CHECK_EQ(m.f.imsf_numsrc, 2);
	CHECK_EQ(m.f.imsf_slist[0].s_addr, ip(OTHER).s_addr);
	m.f.imsf_fmode = MCAST_INCLUDE;
	m.f.imsf_numsrc = 1;
	m.f.imsf_slist[0] = me();
	OK(setsockopt(fd, IPPROTO_IP, IP_MSFILTER, &m, IP_MSFILTER_SIZE(1)));
	udp_send(from, "mine", to);
	udp_expect(fd, "mine");
	/* Of none at all: the group is left. */
	m.f.imsf_numsrc = 0;
	OK(setsockopt(fd, IPPROTO_IP, IP_MSFILTER, &m, IP_MSFILTER_SIZE(0)));
	m.f.imsf_numsrc = 1;
	CHECK_ERRNO(setsockopt(fd, IPPROTO_IP, IP_MSFILTER, &m, IP_MSFILTER_SIZE(1)), EINVAL);
}

/* By the options that are the same for both families */
static int common(int fd, int level, int opt, const void *group, const void *source, size_t n)
{
	struct group_source_req r = {.gsr_interface = 1};

	memcpy(&r.gsr_group, group, n);
	memcpy(&r.gsr_source, source, n);
	return setsockopt(fd, level, opt, &r, sizeof(r));
}

static void get_common(int fd, int level, const void *group, size_t n, uint32_t mode,
		       const void *source)
{
	struct {
		struct group_filter f;
		struct sockaddr_storage more[3];
	} g = {.f = {.gf_interface = 1, .gf_numsrc = 4}};
	socklen_t len = sizeof(g);

	memcpy(&g.f.gf_group, group, n);
	OK(getsockopt(fd, level, MCAST_MSFILTER, &g, &len));
	CHECK_EQ(len, GROUP_FILTER_SIZE(1));
	CHECK_EQ(g.f.gf_fmode, mode);
	CHECK_EQ(g.f.gf_numsrc, 1);
	CHECK(!memcmp(&g.f.gf_slist[0], source, n));
}

static void common_to_both(void)
{
	struct sockaddr_in g = {.sin_family = AF_INET, .sin_addr = ip(GROUP)},
			   s = {.sin_family = AF_INET, .sin_addr = ip(OTHER)};
	struct sockaddr_in6 g6 = {.sin6_family = AF_INET6}, s6 = {.sin6_family = AF_INET6};
	int fd = udp_socket(), fd6 = (int)OK(socket(AF_INET6, SOCK_DGRAM, 0));

	CHECK_EQ(inet_pton(AF_INET6, "ff15::71", &g6.sin6_addr), 1);
	CHECK_EQ(inet_pton(AF_INET6, "2001:db8::9", &s6.sin6_addr), 1);
	for (int i = 0; i < 2; i++) {
		int level = i ? IPPROTO_IPV6 : IPPROTO_IP, at = i ? fd6 : fd;
		const void *group = i ? (void *)&g6 : &g, *source = i ? (void *)&s6 : &s;
		size_t n = i ? sizeof(g6) : sizeof(g);

		OK(common(at, level, MCAST_JOIN_SOURCE_GROUP, group, source, n));
		get_common(at, level, group, n, MCAST_INCLUDE, source);
		CHECK_ERRNO(common(at, level, MCAST_BLOCK_SOURCE, group, source, n), EINVAL);
		OK(common(at, level, MCAST_LEAVE_SOURCE_GROUP, group, source, n));
		CHECK_ERRNO(common(at, level, MCAST_LEAVE_SOURCE_GROUP, group, source, n), EINVAL);
		CHECK_ERRNO(common(at, level, MCAST_UNBLOCK_SOURCE, group, source, n), EINVAL);
		CHECK_ERRNO(common(at, level, MCAST_JOIN_SOURCE_GROUP, i ? (void *)&g : &g6, source,
				   sizeof(g)),
			    EADDRNOTAVAIL);
	}
}

/* --- membership, and what a host hears of itself ------------------------------------------- */

static int member(int fd, int option, const char *group)
{
	struct ip_mreqn r = {.imr_multiaddr = ip(group), .imr_address = me()};

	return setsockopt(fd, IPPROTO_IP, option, &r, sizeof(r));
}

static void membership(void)
{
	struct group_req r = {.gr_interface = 1};
	struct sockaddr_in g = {.sin_family = AF_INET, .sin_addr = ip(GROUP)}, to;
	int fd = receiver(&to), from = sender();

	OK(member(fd, IP_ADD_MEMBERSHIP, GROUP));
	CHECK_ERRNO(member(fd, IP_ADD_MEMBERSHIP, GROUP), EADDRINUSE);
	udp_send(from, "joined", to);
	udp_expect(fd, "joined");
	OK(member(fd, IP_DROP_MEMBERSHIP, GROUP));
	CHECK_ERRNO(member(fd, IP_DROP_MEMBERSHIP, GROUP), EADDRNOTAVAIL);
	udp_send(from, "left", to);
	udp_silent(fd);
	CHECK_ERRNO(member(fd, IP_ADD_MEMBERSHIP, OTHER), EINVAL);
	CHECK_ERRNO(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &to, 4), EINVAL);
	memcpy(&r.gr_group, &g, sizeof(g));
	OK(setsockopt(fd, IPPROTO_IP, MCAST_JOIN_GROUP, &r, sizeof(r)));
	CHECK_ERRNO(setsockopt(fd, IPPROTO_IP, MCAST_JOIN_GROUP, &r, sizeof(r)), EADDRINUSE);
	OK(setsockopt(fd, IPPROTO_IP, MCAST_LEAVE_GROUP, &r, sizeof(r)));
	CHECK_ERRNO(setsockopt(fd, IPPROTO_IP, MCAST_LEAVE_GROUP, &r, sizeof(r)), EADDRNOTAVAIL);
	/* Whoever joined again gets it again; a close() leaves. */
	OK(member(fd, IP_ADD_MEMBERSHIP, GROUP));
	udp_send(from, "again", to);
	udp_expect(fd, "again");
}

/* IP_MULTICAST_LOOP of who sends; of IPv6 likewise */
static void loop(void)
{
	struct sockaddr_in to;
	struct sockaddr_in6 to6 = {.sin6_family = AF_INET6}, own = to6;
	struct ipv6_mreq r = {.ipv6mr_interface = 1};
	int fd = receiver(&to), from = sender(), one = 1;
	int fd6 = (int)OK(socket(AF_INET6, SOCK_DGRAM, 0));
	int from6 = (int)OK(socket(AF_INET6, SOCK_DGRAM, 0));
	socklen_t len = sizeof(own);
	char b[8];
	bool six;

	join_group(fd);
	CHECK_EQ(inet_pton(AF_INET6, "ff15::4711", &to6.sin6_addr), 1);
	r.ipv6mr_multiaddr = to6.sin6_addr;
	OK(bind(fd6, SA(&own), sizeof(own)));
	OK(getsockname(fd6, SA(&own), &len));
	to6.sin6_port = own.sin6_port;
	OK(setsockopt(fd6, IPPROTO_IPV6, IPV6_JOIN_GROUP, &r, sizeof(r)));
	OK(setsockopt(from6, IPPROTO_IPV6, IPV6_MULTICAST_IF, &one, sizeof(one)));
	/* What goes by the kernel's lo comes back by it, whatever the sender says. */
	for (int on = 1; on >= (me().s_addr == htonl(INADDR_LOOPBACK) ? 1 : -1); on--) {
		set_option(from, IPPROTO_IP, IP_MULTICAST_LOOP, on != 0);
		set_option(from6, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, on != 0);
		udp_send(from, "loop", to);
		/* The kernel's lo may have no route to groups. */
		six = sendto(from6, "six", 3, 0, SA(&to6), sizeof(to6)) == 3;
		CHECK(six || errno == ENETUNREACH);
		if (on) {
			udp_expect(fd, "loop");
			if (!six)
				continue;
			wait_bits(fd6, POLLIN);
			CHECK_EQ(recv(fd6, b, sizeof(b), 0), 3);
		} else {
			udp_silent(fd);
			CHECK_ERRNO(recv(fd6, b, sizeof(b), MSG_DONTWAIT), EAGAIN);
		}
	}
}

CHECK_MAIN(CASE(include), CASE(exclude), CASE(errors), CASE(whole_filter), CASE(common_to_both),
	   CASE(membership), CASE(loop))

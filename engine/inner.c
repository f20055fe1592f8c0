/* SPDX-License-Identifier: BSD-3-Clause
 *
 * inner.c - IP packets into the namespace of the shadows
 *
 * ICMP errors have headers of ours, whole; datagrams have the kernel's, which then holds
 * them in no more memory than those that it makes itself: SO_RCVBUF counts that.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/route.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lwip/icmp.h"
#include "lwip/inet_chksum.h"
#include "lwip/prot/icmp6.h"

#include "engine/alias.h"
#include "engine/inner.h"
#include "engine/log.h"

#define LO 1		    /* its index in any namespace */
#define LO_MTU (65535 + 40) /* the largest IPv6 packet */
#define ROOM (16 << 20)	    /* of what is under way */

#define NOBODY 1 /* a name that is neither a shadow's nor an alias */

static struct {
	int raw, raw6;
	int udp, udp6;	 /* whose IP headers are the kernel's */
	int snmp, snmp6; /* its counters of the namespace */
} inner = {.raw = -1, .raw6 = -1, .udp = -1, .udp6 = -1, .snmp = -1, .snmp6 = -1};

bool gz_inner_has_v6(void)
{
	return inner.raw6 >= 0;
}

static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static size_t header_v4(uint8_t *h, const struct gz_inner *p, size_t len)
{
	uint32_t src = gz_name_v4(p->src), dst = gz_name_v4(p->dst);

	/* The kernel fills checksum and identification (raw(7)). */
	memset(h, 0, 20);
	h[0] = 0x45;
	h[1] = p->tos;
	put16(h + 2, 20 + len);
	h[8] = p->ttl ? p->ttl : 1;
	h[9] = p->proto;
	memcpy(h + 12, &src, 4);
	memcpy(h + 16, &dst, 4);
	return 20;
}

static size_t header_v6(uint8_t *h, const struct gz_inner *p, size_t len)
{
	struct in6_addr src = gz_name_v6(p->src, true), dst = gz_name_v6(p->dst, true);

	memset(h, 0, 40);
	h[0] = (uint8_t)(0x60 | p->tos >> 4);
	h[1] = (uint8_t)(p->tos << 4);
	put16(h + 4, len);
	h[6] = p->proto;
	h[7] = p->ttl ? p->ttl : 1;
	memcpy(h + 8, &src, 16);
	memcpy(h + 24, &dst, 16);
	return 40;
}

size_t gz_inner_header(uint8_t *h, const struct gz_inner *p, size_t len)
{
	return p->v6 ? header_v6(h, p, len) : header_v4(h, p, len);
}

/* RFC 1071 over @v; @sum is what the pseudo header adds. */
static uint16_t checksum(uint64_t sum, const struct iovec *v, int n)
{
	bool odd = false;

	for (int i = 0; i < n; i++) {
		uint16_t part = gz_chksum(v[i].iov_base, (int)v[i].iov_len);

		sum += odd ? (uint16_t)(part << 8 | part >> 8) : part;
		odd ^= v[i].iov_len & 1;
	}
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* RFC 8200 section 8.1; ICMP of IPv4 has none. */
static uint64_t pseudo(const struct gz_inner *p, const uint8_t *h, size_t len)
{
	return p->v6 ? (uint64_t)gz_chksum(h + 8, 32) + htons((uint16_t)len) + htons(p->proto) : 0;
}

bool gz_inner_put(const struct gz_inner *p, struct iovec *v, int n, int sum)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = gz_name_v4(p->dst)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = gz_name_v6(p->dst, true)};
	struct msghdr m = {
	    .msg_name = p->v6 ? (void *)&in6 : (void *)&in,
	    .msg_namelen = p->v6 ? sizeof(in6) : sizeof(in),
	    .msg_iov = v,
	    .msg_iovlen = (size_t)n,
	};
	uint16_t check = 0;
	size_t len = 0;

	for (int i = 1; i < n; i++)
		len += v[i].iov_len;
	v[0].iov_len = gz_inner_header(v[0].iov_base, p, len);
	if (sum >= 0) {
		uint8_t *at = (uint8_t *)v[1].iov_base + sum;

		memcpy(at, &check, 2);
		check = checksum(pseudo(p, v[0].iov_base, len), v + 1, n - 1);
		if (!check && p->proto == IPPROTO_UDP)
			check = 0xffff;
		memcpy(at, &check, 2);
	}
	return sendmsg(p->v6 ? inner.raw6 : inner.raw, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* One control message with @n bytes at @data; @at is where it goes, and the next one after it */
static void put_control(struct cmsghdr **at, int level, int type, const void *data, size_t n)
{
	(*at)->cmsg_level = level;
	(*at)->cmsg_type = type;
	(*at)->cmsg_len = CMSG_LEN(n);
	memcpy(CMSG_DATA(*at), data, n);
	*at = (struct cmsghdr *)((char *)*at + CMSG_SPACE(n));
}

bool gz_inner_datagram(const struct gz_inner *p, struct iovec *v, int n)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = gz_name_v4(p->dst)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = gz_name_v6(p->dst, true)};
	struct in_pktinfo from = {.ipi_spec_dst.s_addr = gz_name_v4(p->src)};
	struct in6_pktinfo from6 = {.ipi6_addr = gz_name_v6(p->src, true)};
	_Alignas(struct cmsghdr) char control[128] = {0};
	struct cmsghdr *c = (struct cmsghdr *)control;
	struct msghdr m = {.msg_iov = v, .msg_iovlen = (size_t)n, .msg_control = control};
	int ttl = p->ttl ? p->ttl : 1, tos = p->tos;

	if (p->v6) {
		m.msg_name = &in6;
		m.msg_namelen = sizeof(in6);
		put_control(&c, IPPROTO_IPV6, IPV6_PKTINFO, &from6, sizeof(from6));
		put_control(&c, IPPROTO_IPV6, IPV6_HOPLIMIT, &ttl, sizeof(ttl));
		put_control(&c, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos));
	} else {
		m.msg_name = &in;
		m.msg_namelen = sizeof(in);
		put_control(&c, IPPROTO_IP, IP_PKTINFO, &from, sizeof(from));
		put_control(&c, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
		put_control(&c, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	}
	m.msg_controllen = (size_t)((char *)c - control);
	return sendmsg(p->v6 ? inner.udp6 : inner.udp, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* A counter of /proc/net/snmp, whose lines of names have lines of numbers after them */
static uint64_t counter_v4(const char *text, const char *name)
{
	const char *names = strstr(text, "Udp: "), *numbers = names ? strchr(names, '\n') : NULL;
	char *end;

	if (!numbers)
		return 0;
	numbers += strlen("\nUdp:");
	for (names += strlen("Udp:"); *names == ' '; names += strcspn(names, " \n")) {
		uint64_t v = strtoull(numbers, &end, 10);

		if (!strncmp(++names, name, strlen(name)))
			return v;
		numbers = end;
	}
	return 0;
}

static bool read_all(int fd, char *text, size_t room)
{
	ssize_t n = fd < 0 ? -1 : pread(fd, text, room - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

uint64_t gz_inner_lost(void)
{
	char text[16384];
	const char *v6;
	uint64_t n = 0;

	if (read_all(inner.snmp, text, sizeof(text)))
		n += counter_v4(text, "RcvbufErrors");
	if (read_all(inner.snmp6, text, sizeof(text)) && (v6 = strstr(text, "Udp6RcvbufErrors")))
		n += strtoull(v6 + strlen("Udp6RcvbufErrors"), NULL, 10);
	return n;
}

struct gz_icmp gz_icmp_no_port(bool v6)
{
	return v6 ? (struct gz_icmp){ICMP6_TYPE_DUR, ICMP6_DUR_PORT, 0}
		  : (struct gz_icmp){ICMP_DUR, ICMP_DUR_PORT, 0};
}

/* All of GZ_NAMES6 is this host, as 127/8 is by itself. */
static int add_route(void)
{
	struct nl_sock *nl = nl_socket_alloc();
	struct rtnl_route *r = rtnl_route_alloc();
	struct rtnl_nexthop *hop = rtnl_route_nh_alloc();
	struct nl_addr *dst = NULL, *src = NULL;
	int err = -NLE_NOMEM;

	if (!nl || !r || !hop)
		goto out;
	err = nl_connect(nl, NETLINK_ROUTE);
	if (!err)
		err = nl_addr_parse(GZ_NAMES6 "/96", AF_INET6, &dst);
	if (!err)
		err = nl_addr_parse("::1", AF_INET6, &src);
	if (err)
		goto out;
	rtnl_route_set_family(r, AF_INET6);
	rtnl_route_set_type(r, RTN_LOCAL);
	rtnl_route_set_table(r, RT_TABLE_LOCAL);
	rtnl_route_set_dst(r, dst);
	rtnl_route_set_pref_src(r, src);
	rtnl_route_nh_set_ifindex(hop, LO);
	rtnl_route_add_nexthop(r, hop);
	hop = NULL;
	err = rtnl_route_add(nl, r, NLM_F_REPLACE);
out:
	if (err)
		gz_warn("no IPv6 for datagrams: %s", nl_geterror(err));
	nl_addr_put(dst);
	nl_addr_put(src);
	if (hop)
		rtnl_route_nh_free(hop);
	rtnl_route_put(r);
	nl_socket_free(nl);
	return err;
}

static int raw_socket(int family, int protocol)
{
	int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, protocol), n = ROOM;

	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &n, sizeof(n)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &n, sizeof(n));
	return fd;
}

/* Sockets that send from any alias, and are sent nothing.  Return: 0 or -errno */
static int open_udp(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(127 << 24 | NOBODY << 16)};

	inner.udp = raw_socket(AF_INET, IPPROTO_UDP);
	if (inner.udp < 0 || bind(inner.udp, (struct sockaddr *)&in, sizeof(in)) < 0)
		return -errno;
	return 0;
}

static int open_udp6(void)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
				   .sin6_addr = gz_name_v6(htonl(NOBODY), true)};
	int one = 1, at = 6; /* of the checksum */

	inner.udp6 = raw_socket(AF_INET6, IPPROTO_UDP);
	if (inner.udp6 < 0 ||
	    setsockopt(inner.udp6, IPPROTO_IPV6, IPV6_FREEBIND, &one, sizeof(one)) < 0 ||
	    setsockopt(inner.udp6, IPPROTO_IPV6, IPV6_CHECKSUM, &at, sizeof(at)) < 0 ||
	    bind(inner.udp6, (struct sockaddr *)&in6, sizeof(in6)) < 0)
		return -errno;
	return 0;
}

int gz_inner_init(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};

	int err;

	inner.raw = raw_socket(AF_INET, IPPROTO_RAW);
	if (inner.raw < 0 || ioctl(inner.raw, SIOCSIFFLAGS, &lo) < 0)
		return -errno;
	lo.ifr_mtu = LO_MTU;
	if (ioctl(inner.raw, SIOCSIFMTU, &lo) < 0)
		return -errno;
	err = open_udp();
	if (err)
		return err;
	inner.snmp = open("/proc/thread-self/net/snmp", O_RDONLY | O_CLOEXEC);
	inner.snmp6 = open("/proc/thread-self/net/snmp6", O_RDONLY | O_CLOEXEC);
	inner.raw6 = raw_socket(AF_INET6, IPPROTO_RAW);
	if (inner.raw6 >= 0 && (add_route() || open_udp6())) {
		close(inner.raw6);
		inner.raw6 = -1;
	}
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * interfaces.c - The interface that has GZ_ADDR, by ioctl(), getifaddrs() and kin
 */
#include <ifaddrs.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netdb.h>
#include <netpacket/packet.h>

#include "check.h"

static bool has_address(const struct ifaddrs *i)
{
	struct sockaddr_in a = test_address(0);

	return i->ifa_addr && i->ifa_addr->sa_family == AF_INET &&
	       ((struct sockaddr_in *)i->ifa_addr)->sin_addr.s_addr == a.sin_addr.s_addr;
}

/** Its name, into @name[IFNAMSIZ]; @mask and @flags as getifaddrs() has them. */
static void find(char *name, uint32_t *mask, unsigned *flags)
{
	struct ifaddrs *all, *i;

	OK(getifaddrs(&all));
	for (i = all; i && !has_address(i); i = i->ifa_next)
		;
	CHECK(i);
	CHECK(strlen(i->ifa_name) < IFNAMSIZ);
	strcpy(name, i->ifa_name);
	CHECK(i->ifa_netmask && i->ifa_netmask->sa_family == AF_INET);
	*mask = ((struct sockaddr_in *)i->ifa_netmask)->sin_addr.s_addr;
	*flags = i->ifa_flags;
	freeifaddrs(all);
}

static char own[IFNAMSIZ];
static uint32_t own_mask;
static unsigned own_flags;

static struct ifreq ask(int fd, unsigned long request)
{
	struct ifreq r = {0};

	strcpy(r.ifr_name, own);
	OK(ioctl(fd, request, &r));
	return r;
}

static uint32_t ipv4(struct sockaddr a)
{
	struct sockaddr_in in;

	memcpy(&in, &a, sizeof(in));
	CHECK_EQ(in.sin_family, AF_INET);
	return in.sin_addr.s_addr;
}

/* Whatever socket is at hand: TCP, UDP, one of the kernel's. */
static void by_name(void)
{
	int fd[] = {tcp_socket(), (int)OK(socket(AF_INET, SOCK_DGRAM, 0))};
	struct sockaddr_in a = test_address(0);

	find(own, &own_mask, &own_flags);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(ipv4(ask(fd[i], SIOCGIFADDR).ifr_addr), a.sin_addr.s_addr);
		CHECK_EQ(ipv4(ask(fd[i], SIOCGIFNETMASK).ifr_netmask), own_mask);
		CHECK_EQ((unsigned short)ask(fd[i], SIOCGIFFLAGS).ifr_flags,
			 (unsigned short)own_flags);
		CHECK(ask(fd[i], SIOCGIFMTU).ifr_mtu >= 576);
		CHECK_EQ(ask(fd[i], SIOCGIFINDEX).ifr_ifindex, (int)if_nametoindex(own));
		CHECK_EQ(ask(fd[i], SIOCGIFMETRIC).ifr_metric, 0);
		CHECK(ask(fd[i], SIOCGIFTXQLEN).ifr_qlen >= 0);
	}
	CHECK(own_flags & IFF_UP);
	CHECK(own_flags & IFF_RUNNING);
}

static void broadcast_address(void)
{
	int fd = tcp_socket();
	uint32_t a = test_address(0).sin_addr.s_addr;

	find(own, &own_mask, &own_flags);
	if (own_flags & IFF_BROADCAST)
		CHECK_EQ(ipv4(ask(fd, SIOCGIFBRDADDR).ifr_broadaddr), a | ~own_mask);
	else
		CHECK(own_flags & IFF_LOOPBACK);
	CHECK_EQ(ipv4(ask(fd, SIOCGIFDSTADDR).ifr_dstaddr), a);
}

static void hardware_address(void)
{
	struct ifaddrs *all, *i;
	struct sockaddr_ll ll;
	struct ifreq r;

	find(own, &own_mask, &own_flags);
	r = ask(tcp_socket(), SIOCGIFHWADDR);
	OK(getifaddrs(&all));
	for (i = all; i; i = i->ifa_next)
		if (i->ifa_addr && i->ifa_addr->sa_family == AF_PACKET && !strcmp(i->ifa_name, own))
			break;
	CHECK(i);
	memcpy(&ll, i->ifa_addr, sizeof(ll));
	CHECK_EQ(ll.sll_ifindex, (int)if_nametoindex(own));
	CHECK_EQ(ll.sll_hatype, r.ifr_hwaddr.sa_family);
	CHECK_EQ(ll.sll_halen, 6);
	CHECK_EQ(memcmp(ll.sll_addr, r.ifr_hwaddr.sa_data, 6), 0);
	CHECK_EQ(r.ifr_hwaddr.sa_family, own_flags & IFF_LOOPBACK ? ARPHRD_LOOPBACK : ARPHRD_ETHER);
}

/* if_nametoindex() and if_indextoname() ask on an AF_UNIX socket. */
static void names_and_indices(void)
{
	char name[IFNAMSIZ] = "";
	struct if_nameindex *all = if_nameindex();
	unsigned index, lo = 0, n = 0;

	find(own, &own_mask, &own_flags);
	index = if_nametoindex(own);
	CHECK(index);
	CHECK(if_indextoname(index, name));
	CHECK(!strcmp(name, own));
	CHECK(all);
	for (struct if_nameindex *i = all; i->if_index; i++) {
		n += i->if_index == index && !strcmp(i->if_name, own);
		lo += !strcmp(i->if_name, "lo") && i->if_index == 1;
	}
	CHECK_EQ(n, 1);
	CHECK_EQ(lo, 1);
	CHECK_EQ(if_nametoindex("lo"), 1);
	CHECK_EQ(if_nametoindex("gznone0"), 0);
	CHECK_EQ(errno, ENODEV);
	CHECK(!if_indextoname(0x7ffffff0, name));
	CHECK_EQ(errno, ENXIO);
}

static void conf(void)
{
	int fd[] = {tcp_socket(), (int)OK(socket(AF_INET, SOCK_DGRAM, 0)),
		    (int)OK(socket(AF_UNIX, SOCK_STREAM, 0))};
	uint32_t a = test_address(0).sin_addr.s_addr;

	find(own, &own_mask, &own_flags);
	for (int i = 0; i < 3; i++) {
		struct ifreq r[64];
		struct ifconf c = {.ifc_len = 0}, size = {.ifc_len = 12345};
		int n = 0, lo = 0;

		/* Without a buffer: how much there is. */
		OK(ioctl(fd[i], SIOCGIFCONF, &size));
		c = (struct ifconf){.ifc_len = sizeof(r), .ifc_req = r};
		OK(ioctl(fd[i], SIOCGIFCONF, &c));
		CHECK_EQ(c.ifc_len, size.ifc_len);
		CHECK_EQ(c.ifc_len % (int)sizeof(r[0]), 0);
		for (int k = 0; k < c.ifc_len / (int)sizeof(r[0]); k++) {
			n += !strcmp(r[k].ifr_name, own) && ipv4(r[k].ifr_addr) == a;
			lo += !strcmp(r[k].ifr_name, "lo");
		}
		CHECK_EQ(n, 1);
		CHECK(lo >= 1);
		/* Whole entries only. */
		c.ifc_len = (int)sizeof(r[0]) + 5;
		OK(ioctl(fd[i], SIOCGIFCONF, &c));
		CHECK_EQ(c.ifc_len, sizeof(r[0]));
		c.ifc_len = 3;
		OK(ioctl(fd[i], SIOCGIFCONF, &c));
		CHECK_EQ(c.ifc_len, 0);
	}
}

static void of_the_kernel(void)
{
	int fd[] = {tcp_socket(), (int)OK(socket(AF_INET, SOCK_DGRAM, 0))};

	strcpy(own, "lo");
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(ipv4(ask(fd[i], SIOCGIFADDR).ifr_addr), htonl(INADDR_LOOPBACK));
		CHECK_EQ(ask(fd[i], SIOCGIFINDEX).ifr_ifindex, 1);
		CHECK(ask(fd[i], SIOCGIFFLAGS).ifr_flags & IFF_LOOPBACK);
		CHECK_EQ(ask(fd[i], SIOCGIFHWADDR).ifr_hwaddr.sa_family, ARPHRD_LOOPBACK);
	}
	strcpy(own, "gznone0");
	for (int i = 0; i < 2; i++) {
		struct ifreq r = {.ifr_name = "gznone0"};

		CHECK_ERRNO(ioctl(fd[i], SIOCGIFADDR, &r), ENODEV);
		CHECK_ERRNO(ioctl(fd[i], SIOCGIFFLAGS, &r), ENODEV);
		CHECK_ERRNO(ioctl(fd[i], SIOCGIFMTU, NULL), EFAULT);
		CHECK_ERRNO(ioctl(fd[i], SIOCGIFCONF, NULL), EFAULT);
	}
}

/* Addresses are IPv4 sockets' business, the rest is every socket's. */
static void other_sockets(void)
{
	int fd[] = {(int)OK(socket(AF_UNIX, SOCK_DGRAM, 0)),
		    (int)OK(socket(AF_NETLINK, SOCK_RAW, 0)),
		    (int)OK(socket(AF_INET6, SOCK_STREAM, 0))};

	find(own, &own_mask, &own_flags);
	for (int i = 0; i < 3; i++) {
		struct ifreq r = {0};

		strcpy(r.ifr_name, own);
		CHECK_EQ(ask(fd[i], SIOCGIFINDEX).ifr_ifindex, (int)if_nametoindex(own));
		CHECK_EQ((unsigned short)ask(fd[i], SIOCGIFFLAGS).ifr_flags,
			 (unsigned short)own_flags);
		CHECK_ERRNO(ioctl(fd[i], SIOCGIFADDR, &r), ENOTTY);
	}
}

/* A socket that changes the kernel's interfaces does so where the program is. */
static void changes(void)
{
	int fd = (int)OK(socket(AF_INET, SOCK_DGRAM, 0));
	struct ifreq r = {.ifr_name = "lo"};
	int mtu;

	OK(ioctl(fd, SIOCGIFMTU, &r));
	mtu = r.ifr_mtu;
	r.ifr_mtu = mtu == 4000 ? 4001 : 4000;
	OK(ioctl(fd, SIOCSIFMTU, &r));
	r.ifr_mtu = 0;
	OK(ioctl(tcp_socket(), SIOCGIFMTU, &r));
	CHECK_EQ(r.ifr_mtu, mtu == 4000 ? 4001 : 4000);
	r.ifr_mtu = mtu;
	OK(ioctl(tcp_socket(), SIOCSIFMTU, &r));
	strcpy(own, "lo");
	CHECK_EQ(ask(fd, SIOCGIFMTU).ifr_mtu, mtu);
}

/* Bound to the interface it is reached by its address, and by no other's name. */
static void bound_to_it(void)
{
	struct sockaddr_in a = test_address(0);
	char got[IFNAMSIZ] = "";
	socklen_t len = sizeof(got);
	int l = tcp_socket(), c = tcp_socket(), s;

	find(own, &own_mask, &own_flags);
	OK(setsockopt(l, SOL_SOCKET, SO_BINDTODEVICE, own, (socklen_t)strlen(own) + 1));
	OK(getsockopt(l, SOL_SOCKET, SO_BINDTODEVICE, got, &len));
	CHECK_EQ(len, strlen(own) + 1);
	CHECK(!strcmp(got, own));
	OK(bind(l, SA(&a), sizeof(a)));
	OK(listen(l, 1));
	a = local_name(l);
	OK(connect(c, SA(&a), sizeof(a)));
	s = (int)OK(accept(l, NULL, NULL));
	expect_text(c, s, "by device");
	CHECK_ERRNO(setsockopt(tcp_socket(), SOL_SOCKET, SO_BINDTODEVICE, "gznone0", 8), ENODEV);
}

/* AI_ADDRCONFIG asks rtnetlink which families there are. */
static void address_configured(void)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *r;
	struct sockaddr_in a = test_address(0);
	char text[64];

	CHECK(inet_ntop(AF_INET, &a.sin_addr, text, sizeof(text)));
	CHECK_EQ(getaddrinfo(text, "80", &hints, &r), 0);
	CHECK(r && r->ai_family == AF_INET);
	CHECK_EQ(((struct sockaddr_in *)r->ai_addr)->sin_addr.s_addr, a.sin_addr.s_addr);
	freeaddrinfo(r);
}

/* By number as by name. */
static void bound_by_number(void)
{
	struct sockaddr_in a = test_address(0);
	char name[IFNAMSIZ] = "";
	socklen_t len = sizeof(name);
	int l = tcp_socket(), index;

	find(own, &own_mask, &own_flags);
	index = (int)if_nametoindex(own);
	CHECK_EQ(get_option(l, SOL_SOCKET, SO_BINDTOIFINDEX), 0);
	set_option(l, SOL_SOCKET, SO_BINDTOIFINDEX, index);
	CHECK_EQ(get_option(l, SOL_SOCKET, SO_BINDTOIFINDEX), index);
	OK(getsockopt(l, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
	CHECK(!strcmp(name, own));
	OK(bind(l, SA(&a), sizeof(a)));
	OK(listen(l, 1));
	a = local_name(l);
	OK(connect(tcp_socket(), SA(&a), sizeof(a)));
	set_option(l, SOL_SOCKET, SO_BINDTOIFINDEX, 0);
	CHECK_EQ(get_option(l, SOL_SOCKET, SO_BINDTOIFINDEX), 0);
	CHECK_ERRNO(setsockopt(l, SOL_SOCKET, SO_BINDTOIFINDEX, &(int){-1}, sizeof(int)), EINVAL);
}

CHECK_MAIN(CASE(by_name), CASE(broadcast_address), CASE(hardware_address), CASE(names_and_indices),
	   CASE(conf), CASE(of_the_kernel), CASE(other_sockets), CASE(changes), CASE(bound_to_it),
	   CASE(address_configured), CASE(bound_by_number))

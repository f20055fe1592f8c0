/* SPDX-License-Identifier: BSD-3-Clause
 *
 * udp_device.c - SO_BINDTODEVICE of datagram sockets
 */
#include <ifaddrs.h>
#include <net/if.h>

#include "udp.h"

/* The interface that has GZ_ADDR, or with @other one that has it not and is not lo */
static const char *interface(bool other)
{
	struct in_addr want = test_address(0).sin_addr;
	static char name[2][IFNAMSIZ];
	struct if_nameindex *all = if_nameindex();
	struct ifaddrs *list;

	CHECK(all);
	OK(getifaddrs(&list));
	for (struct ifaddrs *i = list; i; i = i->ifa_next)
		if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET &&
		    ((struct sockaddr_in *)i->ifa_addr)->sin_addr.s_addr == want.s_addr)
			strcpy(name[0], i->ifa_name);
	for (struct if_nameindex *i = all; i->if_index; i++)
		if (strcmp(i->if_name, name[0]) && !strcmp(name[0], "lo"))
			strcpy(name[1], i->if_name);
	if (strcmp(name[0], "lo"))
		strcpy(name[1], "lo");
	freeifaddrs(list);
	if_freenameindex(all);
	return name[other];
}

static int bound_to(const char *device)
{
	int fd = udp_socket();

	OK(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device) + 1));
	return fd;
}

static int listening(const char *device, udp_addr *a)
{
	udp_addr any = {.sin_family = AF_INET};
	int fd = device ? bound_to(device) : udp_socket();

	OK(bind(fd, SA(&any), sizeof(any)));
	*a = udp_name(fd);
	a->sin_addr = test_address(0).sin_addr;
	return fd;
}

static void takes_what_comes_by_it(void)
{
	udp_addr a;
	int fd = listening(interface(false), &a), from = udp_socket();

	udp_send(from, "abc", a);
	udp_expect(fd, "abc");
}

static void takes_nothing_else(void)
{
	udp_addr a;
	int fd = listening(interface(true), &a), from;

	from = udp_connected(a);
	OK(send(from, "abc", 3, 0));
	udp_silent(fd);
	/* Nobody is there. */
	wait_bits(from, POLLERR);
	CHECK_ERRNO(send(from, "abc", 3, 0), ECONNREFUSED);
}

static void sends_by_it(void)
{
	udp_addr a;
	int fd = listening(NULL, &a);

	udp_send(bound_to(interface(false)), "abc", a);
	udp_expect(fd, "abc");
	if (!strcmp(interface(false), "lo")) {
		udp_send(bound_to(interface(true)), "lost", a);
		udp_silent(fd);
	}
}

/* Two on one port, each with its own interface */
static void apart(void)
{
	udp_addr a, any = {.sin_family = AF_INET};
	int fd = listening(interface(false), &a), other = bound_to(interface(true)),
	    third = udp_socket();

	any.sin_port = a.sin_port;
	OK(bind(other, SA(&any), sizeof(any)));
	CHECK_ERRNO(bind(third, SA(&any), sizeof(any)), EADDRINUSE);
	udp_send(third, "abc", a);
	udp_expect(fd, "abc");
	udp_silent(other);
}

static void tells(void)
{
	const char *name = interface(false);
	char buf[IFNAMSIZ] = "";
	socklen_t len = sizeof(buf);
	int fd = udp_socket();

	OK(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, buf, &len));
	CHECK_EQ(len, 0);
	fd = bound_to(name);
	len = sizeof(buf);
	OK(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, buf, &len));
	CHECK_EQ(len, strlen(name) + 1);
	CHECK(!strcmp(buf, name));
	CHECK_EQ(get_option(fd, SOL_SOCKET, SO_BINDTOIFINDEX), if_nametoindex(name));
	len = 4;
	CHECK_ERRNO(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, buf, &len), EINVAL);
	OK(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 0));
	CHECK_EQ(get_option(fd, SOL_SOCKET, SO_BINDTOIFINDEX), 0);
	set_option(fd, SOL_SOCKET, SO_BINDTOIFINDEX, (int)if_nametoindex(name));
	len = sizeof(buf);
	OK(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, buf, &len));
	CHECK(!strcmp(buf, name));
	CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "nosuch7", 8), ENODEV);
}

CHECK_MAIN(CASE(takes_what_comes_by_it), CASE(takes_nothing_else), CASE(sends_by_it), CASE(apart),
	   CASE(tells))

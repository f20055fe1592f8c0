/* SPDX-License-Identifier: BSD-3-Clause
 *
 * other_families.c - What is not TCP over IP works as if nobody looked
 */
#include <linux/netlink.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/un.h>

#include "check.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static void socket_pairs(void)
{
	static const int type[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};

	for (int i = 0; i < 3; i++) {
		int fd[2];
		char b[4];

		OK(socketpair(AF_UNIX, type[i] | SOCK_CLOEXEC, 0, fd));
		CHECK_EQ(get_option(fd[0], SOL_SOCKET, SO_DOMAIN), AF_UNIX);
		CHECK_EQ(get_option(fd[0], SOL_SOCKET, SO_TYPE), type[i]);
		CHECK_EQ(get_option(fd[0], SOL_SOCKET, SO_PROTOCOL), 0);
		CHECK_EQ(send(fd[0], "abc", 3, 0), 3);
		CHECK_EQ(recv(fd[1], b, sizeof(b), 0), 3);
		OK(close(fd[0]));
		if (type[i] != SOCK_DGRAM)
			expect_eof(fd[1]);
	}
}

static void abstract_name(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX}, got;
	socklen_t len, n;
	int l = OK(socket(AF_UNIX, SOCK_STREAM, 0)), c = OK(socket(AF_UNIX, SOCK_STREAM, 0)), s;
	struct ucred cred = {0};

	n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			(size_t)snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "gz-%d",
					 getpid()));
	OK(bind(l, SA(&a), n));
	CHECK_ERRNO(connect(c, SA(&a), n), ECONNREFUSED);
	OK(listen(l, 1));
	OK(connect(c, SA(&a), n));
	len = sizeof(got);
	s = OK(accept4(l, SA(&got), &len, SOCK_CLOEXEC));
	CHECK_EQ(len, sizeof(sa_family_t));
	CHECK_EQ(got.sun_family, AF_UNIX);
	len = sizeof(got);
	OK(getpeername(c, SA(&got), &len));
	CHECK_EQ(len, n);
	CHECK_EQ(memcmp(&got, &a, n), 0);
	len = sizeof(cred);
	OK(getsockopt(s, SOL_SOCKET, SO_PEERCRED, &cred, &len));
	CHECK_EQ(cred.pid, getpid());
	CHECK_EQ(cred.uid, geteuid());
	expect_text(c, s, "abstract");
	OK(shutdown(c, SHUT_WR));
	expect_eof(s);
}

static void named(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int l = OK(socket(AF_UNIX, SOCK_STREAM, 0)), c = OK(socket(AF_UNIX, SOCK_STREAM, 0));

	snprintf(a.sun_path, sizeof(a.sun_path), "/tmp/gz-test-%d.sock", getpid());
	unlink(a.sun_path);
	OK(bind(l, SA(&a), sizeof(a)));
	OK(listen(l, 1));
	OK(connect(c, SA(&a), sizeof(a)));
	OK(unlink(a.sun_path));
	expect_text(OK(accept(l, NULL, NULL)), c, "named");
	CHECK_ERRNO(connect(OK(socket(AF_UNIX, SOCK_STREAM, 0)), SA(&a), sizeof(a)), ENOENT);
}

static void datagrams(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX}, got;
	socklen_t len = sizeof(got);
	int s = OK(socket(AF_UNIX, SOCK_DGRAM, 0)), c = OK(socket(AF_UNIX, SOCK_DGRAM, 0));
	char b[8];

	OK(bind(s, SA(&a), sizeof(sa_family_t))); /* autobind, unix(7) */
	OK(bind(c, SA(&a), sizeof(sa_family_t)));
	OK(getsockname(s, SA(&got), &len));
	CHECK_EQ(sendto(c, "abc", 3, 0, SA(&got), len), 3);
	len = sizeof(got);
	CHECK_EQ(recvfrom(s, b, 2, MSG_TRUNC, SA(&got), &len), 3);
	CHECK_EQ(got.sun_family, AF_UNIX);
	CHECK_EQ(sendto(s, "back", 4, 0, SA(&got), len), 4);
	CHECK_EQ(recv(c, b, sizeof(b), 0), 4);
}

static void pipes_and_events(void)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int p[2], e = OK(epoll_create1(0)), ef = OK(eventfd(0, EFD_NONBLOCK));
	uint64_t one = 1;
	char b;

	OK(pipe2(p, O_NONBLOCK | O_CLOEXEC));
	OK(epoll_ctl(e, EPOLL_CTL_ADD, p[0], &ev));
	OK(epoll_ctl(e, EPOLL_CTL_ADD, ef, &ev));
	CHECK_EQ(epoll_wait(e, &ev, 1, 0), 0);
	CHECK_ERRNO(read(p[0], &b, 1), EAGAIN);
	CHECK_EQ(write(p[1], "x", 1), 1);
	CHECK_EQ(epoll_wait(e, &ev, 1, 1000), 1);
	CHECK_EQ(read(p[0], &b, 1), 1);
	CHECK_EQ(write(ef, &one, sizeof(one)), 8);
	CHECK_EQ(epoll_wait(e, &ev, 1, 1000), 1);
	CHECK_EQ(read(ef, &one, sizeof(one)), 8);
	OK(close(p[1]));
	CHECK_EQ(read(p[0], &b, 1), 0);
}

static void netlink(void)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK};
	socklen_t len = sizeof(a);
	int fd = OK(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));

	OK(bind(fd, SA(&a), sizeof(a)));
	OK(getsockname(fd, SA(&a), &len));
	CHECK_EQ(a.nl_family, AF_NETLINK);
	CHECK_EQ(len, sizeof(a));
	CHECK_EQ(get_option(fd, SOL_SOCKET, SO_DOMAIN), AF_NETLINK);
}

/* One set, one poll, with sockets of every kind in it. */
static void together_with_tcp(void)
{
	int t[2], u[2];
	struct pollfd p[2];

	tcp_pair(t);
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, u));
	p[0] = (struct pollfd){.fd = t[1], .events = POLLIN};
	p[1] = (struct pollfd){.fd = u[1], .events = POLLIN};
	CHECK_EQ(poll(p, 2, 0), 0);
	write_all(u[0], "x", 1);
	CHECK_EQ(poll(p, 2, 1000), 1);
	CHECK_EQ(p[1].revents, POLLIN);
	write_all(t[0], "x", 1);
	wait_bits(t[1], POLLIN);
	CHECK_EQ(poll(p, 2, 1000), 2);
}

/* arch/x86/entry/syscalls/syscall_32.tbl */
enum { GETPID32 = 20, SOCKET32 = 359, BIND32 = 361, LISTEN32 = 363, ACCEPT32 = 364, NAME32 = 367 };

static int call32(int nr, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d)
{
	int r;

	__asm__ volatile("int $0x80"
			 : "=a"(r)
			 : "a"(nr), "b"(a), "c"(b), "d"(c), "S"(d)
			 : "memory", "r8", "r9", "r10", "r11");
	return r;
}

/* A 32-bit program's sockets are the kernel's, and are met there. */
static void calls_of_32_bits(void)
{
	struct low {
		struct sockaddr_in a;
		socklen_t len;
	} * low;
	int l, c, s, status;
	pid_t pid = child();

	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		_exit(call32(GETPID32, 0, 0, 0, 0) != getpid());
	}
	OK(waitpid(pid, &status, 0));
	if (WIFSIGNALED(status))
		check_skip("the kernel has no 32-bit calls");
	CHECK_EQ(status, 0);
	low = mmap(NULL, sizeof(*low), PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	CHECK(low != MAP_FAILED);
	l = call32(SOCKET32, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0, 0);
	CHECK(l >= 0);
	CHECK_EQ(get_option(l, SOL_SOCKET, SO_DOMAIN), AF_INET);
	low->a =
	    (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	low->len = sizeof(low->a);
	CHECK_EQ(call32(BIND32, (unsigned)l, (uintptr_t)&low->a, low->len, 0), 0);
	CHECK_EQ(call32(LISTEN32, (unsigned)l, 1, 0, 0), 0);
	CHECK_EQ(call32(NAME32, (unsigned)l, (uintptr_t)&low->a, (uintptr_t)&low->len, 0), 0);
	CHECK(low->a.sin_port);
	c = tcp_socket();
	OK(connect(c, SA(&low->a), sizeof(low->a)));
	s = call32(ACCEPT32, (unsigned)l, 0, 0, 0);
	CHECK(s >= 0);
	expect_text(c, s, "there");
	expect_text(s, c, "and back");
}

/* As Go's listeners ask, and others: else TCP.  A TCP client comes to either. */
static void multipath_or_tcp(void)
{
	struct sockaddr_in a = test_address(0);
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP), c;

	CHECK_ERRNO(socket(AF_INET, SOCK_STREAM | 0x100, IPPROTO_MPTCP), EINVAL);
	CHECK_ERRNO(socket(AF_INET, SOCK_DGRAM, IPPROTO_MPTCP), EPROTONOSUPPORT);
	if (l < 0) {
		CHECK(errno == EPROTONOSUPPORT || errno == ENOPROTOOPT);
		l = tcp_socket();
	}
	OK(bind(l, SA(&a), sizeof(a)));
	OK(listen(l, 1));
	c = connected(local_name(l));
	expect_text(c, OK(accept(l, NULL, NULL)), "one path");
}

CHECK_MAIN(CASE(socket_pairs), CASE(abstract_name), CASE(named), CASE(datagrams),
	   CASE(pipes_and_events), CASE(netlink), CASE(together_with_tcp), CASE(calls_of_32_bits),
	   CASE(multipath_or_tcp))

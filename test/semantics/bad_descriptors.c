/* SPDX-License-Identifier: BSD-3-Clause
 *
 * bad_descriptors.c - EBADF, ENOTSOCK, and sockets that cannot be made
 */
#include "check.h"

/* Every call that takes a socket, on something that is not one. */
static void all_calls(int fd, int want)
{
	struct sockaddr_in a = test_address(9);
	socklen_t len = sizeof(a);
	struct msghdr m = {0};
	int v = 1;

	CHECK_ERRNO(bind(fd, SA(&a), sizeof(a)), want);
	CHECK_ERRNO(connect(fd, SA(&a), sizeof(a)), want);
	CHECK_ERRNO(listen(fd, 1), want);
	CHECK_ERRNO(accept(fd, NULL, NULL), want);
	CHECK_ERRNO(accept4(fd, SA(&a), &len, SOCK_CLOEXEC), want);
	CHECK_ERRNO(getsockname(fd, SA(&a), &len), want);
	CHECK_ERRNO(getpeername(fd, SA(&a), &len), want);
	CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &v, sizeof(v)), want);
	CHECK_ERRNO(getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, &len), want);
	CHECK_ERRNO(shutdown(fd, SHUT_RDWR), want);
	CHECK_ERRNO(send(fd, "x", 1, 0), want);
	CHECK_ERRNO(recv(fd, &v, 1, 0), want);
	CHECK_ERRNO(sendto(fd, "x", 1, 0, SA(&a), sizeof(a)), want);
	CHECK_ERRNO(recvfrom(fd, &v, 1, 0, SA(&a), &len), want);
	CHECK_ERRNO(sendmsg(fd, &m, 0), want);
	CHECK_ERRNO(recvmsg(fd, &m, 0), want);
}

static void no_descriptor(void)
{
	int closed = tcp_socket();

	OK(close(closed));
	all_calls(-1, EBADF);
	all_calls(closed, EBADF);
	all_calls(1 << 20, EBADF);
	CHECK_ERRNO(close(closed), EBADF);
	CHECK_ERRNO(dup(closed), EBADF);
	CHECK_ERRNO(fcntl(closed, F_GETFL), EBADF);
	CHECK_ERRNO(read(closed, NULL, 0), EBADF);
}

static void not_a_socket(void)
{
	int p[2], file = OK(open("/dev/null", O_RDWR)), dir = OK(open("/", O_RDONLY));

	OK(pipe(p));
	all_calls(file, ENOTSOCK);
	all_calls(dir, ENOTSOCK);
	all_calls(p[0], ENOTSOCK);
	all_calls(OK(epoll_create1(0)), ENOTSOCK);
}

/* Existence, then the pointer, then what it is. */
static void descriptor_before_pointer(void)
{
	CHECK_ERRNO(connect(-1, SA(8), 16), EBADF);
	CHECK_ERRNO(connect(OK(open("/dev/null", O_RDWR)), SA(8), 16), EFAULT);
	CHECK_ERRNO(getsockname(-1, SA(8), NULL), EBADF);
}

static void impossible_sockets(void)
{
	CHECK_ERRNO(socket(99, SOCK_STREAM, 0), EAFNOSUPPORT);
	CHECK_ERRNO(socket(AF_INET, 99, 0), EINVAL);
	CHECK_ERRNO(socket(AF_INET, SOCK_STREAM | 0x100, 0), EINVAL);
	CHECK_ERRNO(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
	CHECK_ERRNO(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP), EPROTONOSUPPORT);
	CHECK_ERRNO(socket(AF_INET, SOCK_STREAM, 9999), EINVAL);
	CHECK_ERRNO(socket(AF_INET, SOCK_SEQPACKET, 0), ESOCKTNOSUPPORT);
	OK(socket(AF_INET, SOCK_STREAM, IPPROTO_TCP));
	CHECK_ERRNO(socketpair(AF_INET, SOCK_STREAM, 0, (int[2]){0}), EOPNOTSUPP);
}

/* A descriptor number used again belongs to the new file only. */
static void number_used_again(void)
{
	int fd[2], file;

	tcp_pair(fd);
	OK(close(fd[1]));
	do
		file = OK(open("/dev/null", O_RDWR));
	while (file < fd[1]);
	CHECK_EQ(file, fd[1]);
	all_calls(file, ENOTSOCK);
	expect_eof(fd[0]);
}

CHECK_MAIN(CASE(no_descriptor), CASE(not_a_socket), CASE(descriptor_before_pointer),
	   CASE(impossible_sockets), CASE(number_used_again))

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * bad_pointers.c - EFAULT, and no other harm, for every call that takes a pointer
 */
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/uio.h>

#include "check.h"

/* A mapping that nobody may touch: a wild pointer that the compiler cannot see. */
static void *bad(void)
{
	static void *p;

	if (!p)
		p = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED);
	return p;
}

static void addresses(void)
{
	int fd[2], fresh = tcp_socket();
	socklen_t len = 16;
	struct sockaddr_in a;

	tcp_pair(fd);
	CHECK_ERRNO(bind(fresh, bad(), 16), EFAULT);
	CHECK_ERRNO(connect(fresh, bad(), 16), EFAULT);
	CHECK_ERRNO(getsockname(fd[0], bad(), &len), EFAULT);
	CHECK_ERRNO(getsockname(fd[0], SA(&a), bad()), EFAULT);
	CHECK_ERRNO(getpeername(fd[0], bad(), &len), EFAULT);
	CHECK_ERRNO(getpeername(fd[0], SA(&a), bad()), EFAULT);
	expect_text(fd[0], fd[1], "unharmed");
}

static void options(void)
{
	int fd = tcp_socket(), v = 1, name[] = {SO_REUSEADDR, SO_RCVBUF, SO_LINGER, SO_RCVTIMEO};
	socklen_t len;

	for (int i = 0; i < 4; i++) {
		len = 16;
		CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, name[i], bad(), 16), EFAULT);
		CHECK_ERRNO(getsockopt(fd, SOL_SOCKET, name[i], bad(), &len), EFAULT);
		CHECK_ERRNO(getsockopt(fd, SOL_SOCKET, name[i], &v, bad()), EFAULT);
	}
	len = 4;
	CHECK_ERRNO(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, bad(), 4), EFAULT);
	CHECK_ERRNO(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, bad(), &len), EFAULT);
	CHECK_ERRNO(setsockopt(fd, IPPROTO_IP, IP_TTL, bad(), 4), EFAULT);
}

/* Nothing is lost by a receive that could not store. */
static void receiving(void)
{
	struct iovec iov = {bad(), 4};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	struct msghdr wild = {.msg_iov = bad(), .msg_iovlen = 1};
	char buf[8];
	int fd[2];

	tcp_pair(fd);
	write_all(fd[0], "kept", 4);
	wait_bits(fd[1], POLLIN);
	CHECK_ERRNO(read(fd[1], bad(), 4), EFAULT);
	CHECK_ERRNO(recv(fd[1], bad(), 4, 0), EFAULT);
	CHECK_ERRNO(recv(fd[1], bad(), 4, MSG_PEEK), EFAULT);
	CHECK_ERRNO(readv(fd[1], &iov, 1), EFAULT);
	CHECK_ERRNO(readv(fd[1], bad(), 1), EFAULT);
	CHECK_ERRNO(recvmsg(fd[1], &m, 0), EFAULT);
	CHECK_ERRNO(recvmsg(fd[1], &wild, 0), EFAULT);
	CHECK_ERRNO(recvmsg(fd[1], bad(), 0), EFAULT);
	CHECK_ERRNO(recvmmsg(fd[1], bad(), 1, 0, NULL), EFAULT);
	CHECK_EQ(recv(fd[1], buf, sizeof(buf), 0), 4);
	CHECK_EQ(memcmp(buf, "kept", 4), 0);
}

static void receiving_with_bad_address(void)
{
	struct sockaddr_in a;
	char buf[8];
	int fd[2];

	tcp_pair(fd);
	write_all(fd[0], "abcd", 4);
	wait_bits(fd[1], POLLIN);
	CHECK_ERRNO(recvfrom(fd[1], buf, 2, 0, SA(&a), bad()), EFAULT);
	CHECK_EQ(recv(fd[1], buf, sizeof(buf), 0), 2);
}

static void sending(void)
{
	struct iovec iov = {bad(), 4};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	int fd[2];

	tcp_pair(fd);
	CHECK_ERRNO(write(fd[0], bad(), 4), EFAULT);
	CHECK_ERRNO(send(fd[0], bad(), 4, 0), EFAULT);
	CHECK_ERRNO(writev(fd[0], &iov, 1), EFAULT);
	CHECK_ERRNO(writev(fd[0], bad(), 1), EFAULT);
	CHECK_ERRNO(sendmsg(fd[0], &m, 0), EFAULT);
	CHECK_ERRNO(sendmsg(fd[0], bad(), 0), EFAULT);
	CHECK_ERRNO(sendmmsg(fd[0], bad(), 1, 0), EFAULT);
	CHECK_ERRNO(sendto(fd[0], "x", 1, 0, bad(), 16), EFAULT);
	expect_text(fd[0], fd[1], "nothing came before this");
}

/* Two pages, of which only the first may be touched, and its last @n bytes. */
static char *edge(size_t n)
{
	static char *p;

	if (!p) {
		p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(p != MAP_FAILED);
		OK(mprotect(p + 4096, 4096, PROT_NONE));
	}
	return p + 4096 - n;
}

/* Half of it fits: nothing of it is taken, nor sent. */
static void across_an_edge(void)
{
	struct iovec iov[2] = {{edge(2), 2}, {bad(), 2}};
	char buf[8];
	int fd[2];

	tcp_pair(fd);
	write_all(fd[0], "kept", 4);
	wait_bits(fd[1], POLLIN);
	CHECK_ERRNO(recv(fd[1], edge(2), 4, 0), EFAULT);
	CHECK_ERRNO(readv(fd[1], iov, 2), EFAULT);
	CHECK_EQ(recv(fd[1], edge(4), 8, MSG_PEEK), 4); /* no more than there is */
	CHECK_EQ(recv(fd[1], buf, sizeof(buf), 0), 4);
	CHECK_EQ(memcmp(buf, "kept", 4), 0);
	CHECK_ERRNO(send(fd[0], edge(2), 4, 0), EFAULT);
	CHECK_ERRNO(writev(fd[0], iov, 2), EFAULT);
	expect_text(fd[0], fd[1], "nothing came before this");
}

static void read_only(void)
{
	char *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd[2];

	CHECK(p != MAP_FAILED);
	tcp_pair(fd);
	write_all(fd[0], "kept", 4);
	wait_bits(fd[1], POLLIN);
	CHECK_EQ(send(fd[1], p, 4, 0), 4);
	CHECK_ERRNO(recv(fd[1], p, 4, 0), EFAULT);
	CHECK_EQ(recv(fd[0], edge(4), 4, MSG_WAITALL), 4);
	expect_text(fd[1], fd[0], "nothing came before this");
	OK(mprotect(p, 4096, PROT_READ | PROT_WRITE));
	CHECK_EQ(recv(fd[1], p, 4, 0), 4);
	CHECK_EQ(memcmp(p, "kept", 4), 0);
	OK(munmap(p, 4096));
}

static char *use(const int fd[2])
{
	char *p = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	for (int i = 0; i < 4; i++) {
		p[i * 4096] = 'x';
		CHECK_EQ(send(fd[0], p + i * 4096, 1, 0), 1);
		CHECK_EQ(recv(fd[1], p + i * 4096 + 1, 1, MSG_WAITALL), 1);
		CHECK_EQ(p[i * 4096 + 1], 'x');
	}
	return p;
}

static void check_bad(const int fd[2], char *p)
{
	char c;

	CHECK_ERRNO(send(fd[0], p, 1, 0), EFAULT);
	CHECK_EQ(send(fd[0], "y", 1, 0), 1);
	wait_bits(fd[1], POLLIN);
	CHECK_ERRNO(recv(fd[1], p, 1, 0), EFAULT);
	CHECK_EQ(recv(fd[1], &c, 1, 0), 1);
}

/* What was a buffer before, and is none any more. */
static void not_any_more(void)
{
	char *p, *q;
	int fd[2];

	tcp_pair(fd);
	p = use(fd);
	OK(munmap(p + 4096, 4096));
	check_bad(fd, p + 4096);
	OK(mprotect(p, 4096, PROT_NONE));
	check_bad(fd, p);
	CHECK(mmap(p + 8192, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
	      p + 8192);
	check_bad(fd, p + 8192);
	q = mremap(p + 12288, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, p + 4096);
	CHECK(q == p + 4096);
	check_bad(fd, p + 12288);
	CHECK_EQ(send(fd[0], q, 1, 0), 1);
	CHECK_EQ(recv(fd[1], q, 1, MSG_WAITALL), 1);
	OK(mprotect(q, 4096, PROT_READ));
	CHECK_EQ(send(fd[0], q, 1, 0), 1);
	wait_bits(fd[1], POLLIN);
	CHECK_ERRNO(recv(fd[1], q, 1, 0), EFAULT);
	OK(munmap(p, 16384));
}

static void vector_limits(void)
{
	static struct iovec iov[1025];
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = 1025};
	volatile int minus = -1;
	int fd[2];

	tcp_pair(fd);
	CHECK_ERRNO(writev(fd[0], iov, 1025), EINVAL);
	CHECK_ERRNO(readv(fd[0], iov, minus), EINVAL);
	CHECK_ERRNO(sendmsg(fd[0], &m, 0), EMSGSIZE);
	CHECK_ERRNO(recvmsg(fd[0], &m, MSG_DONTWAIT), EMSGSIZE);
}

static void readiness(void)
{
	struct epoll_event ev = {.events = EPOLLOUT};
	int fd[2], e = OK(epoll_create1(0));

	tcp_pair(fd);
	CHECK_ERRNO(poll(bad(), 1, 0), EFAULT);
	CHECK_ERRNO(select(fd[1] + 1, bad(), NULL, NULL, NULL), EFAULT);
	CHECK_ERRNO(epoll_ctl(e, EPOLL_CTL_ADD, fd[0], bad()), EFAULT);
	OK(epoll_ctl(e, EPOLL_CTL_ADD, fd[0], &ev));
	CHECK_ERRNO(epoll_wait(e, bad(), 1, 1000), EFAULT);
	CHECK_EQ(epoll_wait(e, &ev, 1, 1000), 1);
	/* No more is written than there is. */
	CHECK_EQ(epoll_wait(e, (struct epoll_event *)edge(sizeof(ev)), 100, 1000), 1);
}

static void other(void)
{
	int fd[2];

	tcp_pair(fd);
	CHECK_ERRNO(ioctl(fd[0], FIONREAD, bad()), EFAULT);
	CHECK_ERRNO(ioctl(fd[0], FIONBIO, bad()), EFAULT);
	CHECK_ERRNO(socketpair(AF_UNIX, SOCK_STREAM, 0, bad()), EFAULT);
}

CHECK_MAIN(CASE(addresses), CASE(options), CASE(receiving), CASE(receiving_with_bad_address),
	   CASE(sending), CASE(across_an_edge), CASE(read_only), CASE(not_any_more),
	   CASE(vector_limits), CASE(readiness), CASE(other))

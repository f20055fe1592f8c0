/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ioctl.c - FIONREAD, SIOCOUTQ, FIONBIO; what a socket is to fstat and isatty
 */
#include <linux/sockios.h>
#include <sys/stat.h>
#include <termios.h>

#include "check.h"

static int ask(int fd, unsigned long request)
{
	int n = -1;

	OK(ioctl(fd, request, &n));
	return n;
}

static void unread_bytes(void)
{
	int fd[2];

	tcp_pair(fd);
	CHECK_EQ(ask(fd[1], FIONREAD), 0);
	write_all(fd[0], "abc", 3);
	while (ask(fd[1], FIONREAD) == 0)
		sleep_ms(1);
	CHECK_EQ(ask(fd[1], FIONREAD), 3);
	CHECK_EQ(ask(fd[1], SIOCINQ), 3);
	CHECK_EQ(recv(fd[1], (char[2]){0}, 2, 0), 2);
	CHECK_EQ(ask(fd[1], FIONREAD), 1);
	OK(shutdown(fd[0], SHUT_WR));
	wait_bits(fd[1], POLLRDHUP);
	CHECK_EQ(ask(fd[1], FIONREAD), 1);
	CHECK_EQ(recv(fd[1], (char[2]){0}, 2, 0), 1);
	CHECK_EQ(ask(fd[1], FIONREAD), 0);
}

static void unread_large(void)
{
	static char big[50000];
	int fd[2];

	tcp_pair(fd);
	write_all(fd[0], big, sizeof(big));
	while (ask(fd[1], FIONREAD) < (int)sizeof(big))
		sleep_ms(1);
	CHECK_EQ(ask(fd[1], FIONREAD), sizeof(big));
}

static void listener_has_no_queue(void)
{
	struct sockaddr_in a;
	int l = listener(1, &a), n;

	CHECK_ERRNO(ioctl(l, FIONREAD, &n), EINVAL);
	CHECK_ERRNO(ioctl(l, SIOCOUTQ, &n), EINVAL);
}

/* What the peer has not acknowledged; none is left once it has. */
static void unacknowledged_goes_to_zero(void)
{
	static char big[16 << 20];
	int fd[2];
	size_t sent = 0;
	ssize_t n;

	tcp_pair(fd);
	CHECK_EQ(ask(fd[0], SIOCOUTQ), 0);
	/* Until the peer's buffer is full too, which takes it a moment over a wire. */
	for (int full = 0; full < 3; full++) {
		while ((n = send(fd[0], big, sizeof(big), MSG_DONTWAIT)) > 0) {
			sent += (size_t)n;
			full = 0;
		}
		sleep_ms(5);
	}
	CHECK(ask(fd[0], SIOCOUTQ) > 0);
	CHECK(ask(fd[0], SIOCOUTQ) <= (int)sent);
	CHECK_EQ(read_all(fd[1], big, sent), sent);
	while (ask(fd[0], SIOCOUTQ) > 0)
		sleep_ms(1);
	CHECK_EQ(ask(fd[0], SIOCOUTQ), 0);
	CHECK_EQ(ask(fd[0], SIOCOUTQNSD), 0);
}

static void fionbio(void)
{
	int fd[2], on = 1, off = 0;
	char b;

	tcp_pair(fd);
	OK(ioctl(fd[1], FIONBIO, &on));
	CHECK_ERRNO(recv(fd[1], &b, 1, 0), EAGAIN);
	CHECK(OK(fcntl(fd[1], F_GETFL)) & O_NONBLOCK);
	OK(ioctl(fd[1], FIONBIO, &off));
	CHECK(!(OK(fcntl(fd[1], F_GETFL)) & O_NONBLOCK));
	expect_text(fd[0], fd[1], "blocks");
}

static void cloexec(void)
{
	int fd[2];

	tcp_pair(fd);
	OK(ioctl(fd[1], FIOCLEX));
	CHECK_EQ(OK(fcntl(fd[1], F_GETFD)), FD_CLOEXEC);
	OK(ioctl(fd[1], FIONCLEX));
	CHECK_EQ(OK(fcntl(fd[1], F_GETFD)), 0);
}

static void socket_flags(void)
{
	int fd = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));

	CHECK_EQ(OK(fcntl(fd, F_GETFL)), O_RDWR | O_NONBLOCK);
	CHECK_EQ(OK(fcntl(fd, F_GETFD)), FD_CLOEXEC);
	fd = tcp_socket();
	CHECK_EQ(OK(fcntl(fd, F_GETFL)), O_RDWR);
	CHECK_EQ(OK(fcntl(fd, F_GETFD)), 0);
}

static void is_a_socket(void)
{
	struct stat st;
	struct termios t;
	int fd[2], n;
	char path[64], link[64] = "";

	tcp_pair(fd);
	for (int i = 0; i < 2; i++) {
		OK(fstat(fd[i], &st));
		CHECK(S_ISSOCK(st.st_mode));
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd[i]);
		n = OK(readlink(path, link, sizeof(link) - 1));
		CHECK(n > 8 && !memcmp(link, "socket:[", 8));
	}
	CHECK_EQ(isatty(fd[0]), 0);
	CHECK_EQ(errno, ENOTTY);
	CHECK_ERRNO(tcgetattr(fd[0], &t), ENOTTY);
	CHECK_ERRNO(ioctl(fd[0], 0x12345, &n), ENOTTY);
	/* Among those of devices, but of none. */
	CHECK_ERRNO(ioctl(fd[0], 0x8999, &n), ENOTTY);
	CHECK_ERRNO(ioctl(tcp_socket(), 0x8999, &n), ENOTTY);
}

/* The lowest free descriptor, like every call that makes one. */
static void lowest_descriptor(void)
{
	int a = tcp_socket(), b = tcp_socket();

	OK(close(a));
	CHECK_EQ(tcp_socket(), a);
	OK(close(b));
	CHECK_EQ(tcp_socket(), b);
}

CHECK_MAIN(CASE(unread_bytes), CASE(unread_large), CASE(listener_has_no_queue),
	   CASE(unacknowledged_goes_to_zero), CASE(fionbio), CASE(cloexec), CASE(socket_flags),
	   CASE(is_a_socket), CASE(lowest_descriptor))

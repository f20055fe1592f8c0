/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ioctl.c - FIONREAD, SIOCOUTQ, FIONBIO; what a socket is to fstat and isatty
 */
#include <linux/sockios.h>
#include <net/if.h>
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

/* Numbers of devices that the kernel does not serve, and those of a device that there is not */
static void nobodys(int fd)
{
	const unsigned long unknown[] = {0x890e, SIOCSIFLINK, SIOCGIFMEM,
					 0x8944, 0x8980,      SIOCPROTOPRIVATE};
	struct ifreq r = {.ifr_name = "none"};

	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		CHECK_ERRNO(ioctl(fd, unknown[i], &r), ENOTTY);
		CHECK_ERRNO(ioctl(fd, unknown[i], NULL), EFAULT);
	}
	CHECK_ERRNO(ioctl(fd, SIOCGIFSLAVE, &r), ENODEV);
	CHECK_ERRNO(ioctl(fd, SIOCDEVPRIVATE, &r), ENODEV);
}

static void unknown_after_use(void)
{
	struct sockaddr_in a;
	int fd[2], l = listener(1, &a), bound = tcp_socket(),
		   udp = OK(socket(AF_INET, SOCK_DGRAM, 0));

	tcp_pair(fd);
	a.sin_port = 0;
	OK(bind(bound, (struct sockaddr *)&a, sizeof(a)));
	OK(bind(udp, (struct sockaddr *)&a, sizeof(a)));
	nobodys(fd[0]);
	nobodys(fd[1]);
	nobodys(l);
	nobodys(bound);
	nobodys(udp);
	nobodys(tcp_socket());
	expect_text(fd[0], fd[1], "go on");
}

/* sock_gettstamp(): no byte of TCP has a time, also with SO_TIMESTAMP */
static void no_times(void)
{
	const unsigned long times[] = {SIOCGSTAMP_OLD, SIOCGSTAMPNS_OLD, SIOCGSTAMP_NEW,
				       SIOCGSTAMPNS_NEW};
	struct sockaddr_in a;
	int fd[2], l = listener(1, &a), on = 1;
	long long t[2];

	tcp_pair(fd);
	OK(setsockopt(fd[1], SOL_SOCKET, SO_TIMESTAMP, &on, sizeof(on)));
	expect_text(fd[0], fd[1], "times");
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		CHECK_ERRNO(ioctl(fd[1], times[i], t), ENOENT);
		CHECK_ERRNO(ioctl(l, times[i], t), ENOENT);
		CHECK_ERRNO(ioctl(tcp_socket(), times[i], t), ENOENT);
	}
}

/* The last datagram's, which is the program's own and not before it was sent */
static void time_of_a_datagram(void)
{
	int a, b;
	struct timespec now;
	long long t[2];
	struct sockaddr_in to;

	a = OK(socket(AF_INET, SOCK_DGRAM, 0));
	b = OK(socket(AF_INET, SOCK_DGRAM, 0));
	to = test_address(0);
	OK(bind(a, (struct sockaddr *)&to, sizeof(to)));
	to = local_name(a);
	CHECK_ERRNO(ioctl(a, SIOCGSTAMPNS_NEW, t), ENOENT);
	for (int i = 0; i < 3; i++) {
		OK(clock_gettime(CLOCK_REALTIME, &now));
		CHECK_EQ(sendto(b, "abc", 3, 0, (struct sockaddr *)&to, sizeof(to)), 3);
		CHECK_EQ(recv(a, (char[4]){0}, 4, 0), 3);
		OK(ioctl(a, SIOCGSTAMPNS_NEW, t));
		CHECK(t[0] > now.tv_sec || (t[0] == now.tv_sec && t[1] >= now.tv_nsec));
	}
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
	   CASE(is_a_socket), CASE(unknown_after_use), CASE(no_times), CASE(time_of_a_datagram),
	   CASE(lowest_descriptor))

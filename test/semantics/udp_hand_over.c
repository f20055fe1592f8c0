/* SPDX-License-Identifier: BSD-3-Clause
 *
 * udp_hand_over.c - Datagrams stay in order, and none is lost, whatever is called between them
 *
 * With rings a socket leaves them in these calls, with some datagrams on either side.
 */
#include <sys/ioctl.h>

#include "pass.h"
#include "udp.h"

#define BEFORE 40 /* that are unread when it happens */
#define AFTER 20

static void numbered(int fd, const void *to, socklen_t len, unsigned from, unsigned n)
{
	char buf[300];

	for (unsigned i = from; i < from + n; i++) {
		size_t size = sizeof(i) + i * 37 % 200;

		memset(buf, (int)i, sizeof(buf));
		memcpy(buf, &i, sizeof(i));
		CHECK_EQ(sendto(fd, buf, size, 0, to, len), size);
	}
}

static void expect_numbers(int fd, unsigned from, unsigned n)
{
	char buf[300], want[300];

	for (unsigned i = from; i < from + n; i++) {
		size_t size = sizeof(i) + i * 37 % 200;

		memset(want, (int)i, sizeof(want));
		memcpy(want, &i, sizeof(i));
		wait_bits(fd, POLLIN);
		CHECK_EQ(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), size);
		CHECK_EQ(memcmp(buf, want, size), 0);
	}
}

static void by_option(int fd)
{
	set_option(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
}

/* It stays by these two. */
static void by_stamps(int fd)
{
	set_option(fd, SOL_SOCKET, SO_TIMESTAMP, 1);
}

static void by_many(int fd)
{
	struct mmsghdr m = {.msg_hdr.msg_iovlen = 0};

	CHECK_EQ(recvmmsg(fd, &m, 1, MSG_PEEK, NULL), 1);
}

static void by_passing(int fd)
{
	int s[2], other;

	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	send_fd(s[0], fd);
	other = receive_fd(s[1]);
	expect_numbers(other, 5, 1);
	OK(close(other));
	OK(close(s[0]));
	OK(close(s[1]));
}

static void by_error_queue(int fd)
{
	char c;

	CHECK_ERRNO(recv(fd, &c, 1, MSG_ERRQUEUE), EAGAIN);
}

/* Another program has it, which no agent is in yet. */
static void by_exec(int fd)
{
	pid_t pid = child();

	if (!pid) {
		set_option(fd, SOL_SOCKET, SO_BROADCAST, 1);
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	reap(pid);
}

static void hand_over(void (*how)(int), unsigned taken)
{
	udp_addr a;
	int s = udp_bound(&a), c = udp_socket(), t = udp_connected(a);

	numbered(c, &a, sizeof(a), 0, 5);
	expect_numbers(s, 0, 5);
	numbered(c, &a, sizeof(a), 5, BEFORE);
	how(s);
	numbered(c, &a, sizeof(a), 5 + BEFORE, AFTER);
	expect_numbers(s, 5 + taken, BEFORE + AFTER - taken);
	udp_silent(s);
	/* And who sends */
	numbered(t, NULL, 0, 0, BEFORE);
	how == by_passing ? by_error_queue(t) : how == by_many ? by_option(t) : by_exec(t);
	numbered(t, NULL, 0, BEFORE, AFTER);
	expect_numbers(s, 0, BEFORE + AFTER);
	OK(close(s));
	OK(close(c));
	OK(close(t));
}

static void an_option(void)
{
	hand_over(by_option, 0);
}

static void stamps(void)
{
	hand_over(by_stamps, 0);
}

static void recvmmsg_peeks(void)
{
	hand_over(by_many, 0);
}

static void passed_on(void)
{
	hand_over(by_passing, 1);
}

static void error_queue(void)
{
	hand_over(by_error_queue, 0);
}

static void inherited(void)
{
	hand_over(by_exec, 0);
}

/* More than a ring holds, and some that are larger than one. */
static void large_ones(void)
{
	static char buf[65507], got[65507];
	static const size_t sizes[] = {100, 40000, 65507, 200, 30000};
	udp_addr a;
	int s = udp_bound(&a), c = udp_connected(a), next = 0;

	for (int i = 0; i < 3; i++) {
		for (size_t k = 0; k < 5; k++) {
			memset(buf, (int)(i * 5 + (int)k), sizes[k]);
			CHECK_EQ(send(c, buf, sizes[k], 0), sizes[k]);
		}
		for (size_t k = 0; k < 5; k++) {
			wait_bits(s, POLLIN);
			CHECK_EQ(ioctl(s, FIONREAD, &next), 0);
			CHECK_EQ(next, sizes[k]);
			CHECK_EQ(recv(s, got, sizeof(got), 0), sizes[k]);
			memset(buf, (int)(i * 5 + (int)k), sizes[k]);
			CHECK_EQ(memcmp(buf, got, sizes[k]), 0);
		}
	}
}

/* What there is no more room for is lost; what came before is not. */
static void a_burst(void)
{
	static char buf[1400];
	unsigned n = 0, number;
	udp_addr a;
	int s = udp_bound(&a), c = udp_connected(a);

	for (unsigned i = 0; i < 400; i++) {
		memcpy(buf, &i, sizeof(i));
		CHECK_EQ(sendto(c, buf, sizeof(buf), 0, SA(&a), sizeof(a)), sizeof(buf));
	}
	while (recv(s, buf, sizeof(buf), MSG_DONTWAIT) == (ssize_t)sizeof(buf)) {
		memcpy(&number, buf, sizeof(number));
		CHECK_EQ(number, n);
		n++;
	}
	printf("%u of 400 were held\n", n);
	CHECK(n >= 60 && n < 400);
	n = 1000;
	memcpy(buf, &n, sizeof(n));
	CHECK_EQ(send(c, buf, sizeof(buf), 0), sizeof(buf));
	wait_bits(s, POLLIN);
	CHECK_EQ(recv(s, buf, sizeof(buf), 0), sizeof(buf));
	memcpy(&number, buf, sizeof(number));
	CHECK_EQ(number, 1000);
}

CHECK_MAIN(CASE(an_option), CASE(stamps), CASE(recvmmsg_peeks), CASE(passed_on), CASE(error_queue),
	   CASE(inherited), CASE(large_ones), CASE(a_burst))

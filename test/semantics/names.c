/* SPDX-License-Identifier: BSD-3-Clause
 *
 * names.c - getsockname(2), getpeername(2), in every state and at every length
 */
#include "check.h"

typedef int name_call(int fd, struct sockaddr *a, socklen_t *len);

static void fresh(void)
{
	struct sockaddr_in a;
	int fd = tcp_socket();

	a = local_name(fd);
	CHECK_EQ(a.sin_family, AF_INET);
	CHECK_EQ(a.sin_port, 0);
	CHECK_EQ(a.sin_addr.s_addr, INADDR_ANY);
	CHECK_ERRNO(getpeername(fd, SA(&a), &(socklen_t){sizeof(a)}), ENOTCONN);
}

static void listening(void)
{
	struct sockaddr_in a;
	int l = listener(1, &a);

	CHECK_EQ(a.sin_addr.s_addr, test_address(0).sin_addr.s_addr);
	CHECK_ERRNO(getpeername(l, SA(&a), &(socklen_t){sizeof(a)}), ENOTCONN);
}

static void both_ends_agree(void)
{
	int fd[2];

	tcp_pair(fd);
	CHECK(same_address(local_name(fd[0]), peer_name(fd[1])));
	CHECK(same_address(local_name(fd[1]), peer_name(fd[0])));
	CHECK(local_name(fd[0]).sin_port != local_name(fd[1]).sin_port);
}

static void truncated(void)
{
	name_call *call[] = {getsockname, getpeername};
	int fd[2];

	tcp_pair(fd);
	for (int i = 0; i < 2; i++) {
		struct sockaddr_in want = i ? peer_name(fd[0]) : local_name(fd[0]);
		unsigned char got[32];

		for (socklen_t n = 0; n <= 32; n++) {
			socklen_t len = n, copied = n < 16 ? n : 16;

			memset(got, 0x55, sizeof(got));
			OK(call[i](fd[0], SA(got), &len));
			CHECK_EQ(len, 16);
			CHECK_EQ(memcmp(got, &want, copied), 0);
			if (copied < sizeof(got))
				CHECK_EQ(got[copied], 0x55);
		}
		CHECK_ERRNO(call[i](fd[0], SA(got), &(socklen_t){(socklen_t)-1}), EINVAL);
	}
}

static void after_the_peer_closed(void)
{
	struct sockaddr_in a, mine;
	int fd[2];

	tcp_pair(fd);
	a = peer_name(fd[1]);
	mine = local_name(fd[1]);
	OK(close(fd[0]));
	wait_bits(fd[1], POLLRDHUP);
	CHECK(same_address(peer_name(fd[1]), a));
	CHECK(same_address(local_name(fd[1]), mine));
}

/* Past LAST_ACK there is no peer any more. */
static void after_both_closed(void)
{
	struct sockaddr_in a;
	int fd[2];
	socklen_t len = sizeof(a);

	tcp_pair(fd);
	OK(shutdown(fd[0], SHUT_WR));
	wait_bits(fd[1], POLLRDHUP);
	OK(shutdown(fd[1], SHUT_WR));
	wait_bits(fd[1], POLLHUP);
	for (long long end = now_ms() + 5000; now_ms() < end; sleep_ms(1))
		if (getpeername(fd[1], SA(&a), &len) < 0)
			break;
	CHECK_ERRNO(getpeername(fd[1], SA(&a), &len), ENOTCONN);
}

/* What it was called it is called, when all is over. */
static void name_outlives_the_end(void)
{
	struct sockaddr_in mine;
	int fd[2];

	for (int reset = 0; reset < 2; reset++) {
		struct linger zero = {.l_onoff = reset};

		tcp_pair(fd);
		mine = local_name(fd[1]);
		OK(setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &zero, sizeof(zero)));
		OK(close(fd[0]));
		wait_bits(fd[1], reset ? POLLHUP : POLLRDHUP);
		if (!reset)
			OK(shutdown(fd[1], SHUT_WR));
		wait_bits(fd[1], POLLHUP);
		sleep_ms(50);
		CHECK(same_address(local_name(fd[1]), mine));
	}
}

/* The address goes with the connection, the port is told still; the next one has its own. */
static void port_outlives_a_disconnect(void)
{
	struct sockaddr any = {.sa_family = AF_UNSPEC};
	struct sockaddr_in a, mine;
	int l = listener(5, &a), c = connected(a);

	mine = local_name(c);
	OK(connect(c, &any, sizeof(any)));
	CHECK_EQ(local_name(c).sin_addr.s_addr, INADDR_ANY);
	CHECK_EQ(local_name(c).sin_port, mine.sin_port);
	OK(connect(c, SA(&a), sizeof(a)));
	CHECK(local_name(c).sin_addr.s_addr != INADDR_ANY);
	OK(close(l));
}

/* One that bind() chose stays where its port, which it did not, is given back. */
static void address_outlives_its_port(void)
{
	struct sockaddr any = {.sa_family = AF_UNSPEC};
	struct sockaddr_in a = test_address(0), taken;
	int fd = tcp_socket(), other = tcp_socket();

	OK(bind(other, SA(&a), sizeof(a)));
	taken = local_name(other);
	OK(bind(fd, SA(&a), sizeof(a)));
	a = local_name(fd);
	CHECK_ERRNO(connect(fd, SA(&taken), sizeof(taken)), ECONNREFUSED);
	CHECK_EQ(local_name(fd).sin_addr.s_addr, a.sin_addr.s_addr);
	OK(listen(fd, 1));
	CHECK_EQ(local_name(fd).sin_addr.s_addr, a.sin_addr.s_addr);
	a = local_name(fd);
	OK(connect(fd, &any, sizeof(any)));
	CHECK(same_address(local_name(fd), a));
}

/* TCP tells no address with the bytes: its length is 0. */
static void recvfrom_tells_none(void)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	char buf[8];
	int fd[2];

	tcp_pair(fd);
	write_all(fd[0], "abc", 3);
	CHECK_EQ(recvfrom(fd[1], buf, 2, 0, SA(&a), &len), 2);
	CHECK_EQ(len, 0);
	len = sizeof(a);
	CHECK_EQ(recvfrom(fd[1], buf, 2, 0, SA(&a), &len), 1);
	CHECK_EQ(len, 0);
	OK(shutdown(fd[0], SHUT_WR));
	len = sizeof(a);
	CHECK_EQ(recvfrom(fd[1], buf, 2, 0, SA(&a), &len), 0);
	CHECK_EQ(len, 0);
}

static void any_becomes_the_address_used(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET}, to;
	int l = tcp_socket(), c = tcp_socket();

	OK(bind(l, SA(&a), sizeof(a)));
	OK(listen(l, 1));
	to = test_address(ntohs(local_name(l).sin_port));
	a.sin_port = 0;
	OK(bind(c, SA(&a), sizeof(a)));
	CHECK_EQ(local_name(c).sin_addr.s_addr, INADDR_ANY);
	OK(connect(c, SA(&to), sizeof(to)));
	CHECK(local_name(c).sin_addr.s_addr != INADDR_ANY);
	CHECK_EQ(local_name(l).sin_addr.s_addr, INADDR_ANY);
	CHECK(same_address(local_name(OK(accept(l, NULL, NULL))), to));
}

CHECK_MAIN(CASE(fresh), CASE(listening), CASE(both_ends_agree), CASE(truncated),
	   CASE(after_the_peer_closed), CASE(after_both_closed), CASE(name_outlives_the_end),
	   CASE(recvfrom_tells_none), CASE(port_outlives_a_disconnect),
	   CASE(address_outlives_its_port), CASE(any_becomes_the_address_used))

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * options.c - getsockopt(2), setsockopt(2): values, limits, lengths, inheritance
 */
#include <limits.h>

#include "check.h"

static void what_it_is(void)
{
	struct sockaddr_in a;
	int l = listener(1, &a), c = connected(a), s = OK(accept(l, NULL, NULL));
	int all[] = {tcp_socket(), l, c, s};

	for (int i = 0; i < 4; i++) {
		CHECK_EQ(get_option(all[i], SOL_SOCKET, SO_TYPE), SOCK_STREAM);
		CHECK_EQ(get_option(all[i], SOL_SOCKET, SO_DOMAIN), AF_INET);
		CHECK_EQ(get_option(all[i], SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
		CHECK_EQ(get_option(all[i], SOL_SOCKET, SO_ACCEPTCONN), i == 1);
		CHECK_EQ(get_option(all[i], SOL_SOCKET, SO_ERROR), 0);
	}
	for (int o = 0; o < 4; o++) {
		int name[] = {SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ERROR};

		CHECK_ERRNO(setsockopt(c, SOL_SOCKET, name[o], &o, sizeof(o)), ENOPROTOOPT);
	}
}

static void booleans(void)
{
	static const struct {
		int level, name, initial;
	} o[] = {
	    {SOL_SOCKET, SO_REUSEADDR, 0}, {SOL_SOCKET, SO_REUSEPORT, 0},
	    {SOL_SOCKET, SO_KEEPALIVE, 0}, {SOL_SOCKET, SO_BROADCAST, 0},
	    {SOL_SOCKET, SO_OOBINLINE, 0}, {SOL_SOCKET, SO_DONTROUTE, 0},
	    {IPPROTO_TCP, TCP_NODELAY, 0}, {IPPROTO_TCP, TCP_CORK, 0},
	};
	int fd = tcp_socket();

	for (size_t i = 0; i < sizeof(o) / sizeof(o[0]); i++) {
		CHECK_EQ(get_option(fd, o[i].level, o[i].name), o[i].initial);
		set_option(fd, o[i].level, o[i].name, 5);
		CHECK_EQ(get_option(fd, o[i].level, o[i].name), 1);
		set_option(fd, o[i].level, o[i].name, 0);
		CHECK_EQ(get_option(fd, o[i].level, o[i].name), 0);
	}
}

static void numbers(void)
{
	static const struct {
		int level, name, value;
	} o[] = {
	    {IPPROTO_TCP, TCP_KEEPIDLE, 30},
	    {IPPROTO_TCP, TCP_KEEPINTVL, 7},
	    {IPPROTO_TCP, TCP_KEEPCNT, 4},
	    {IPPROTO_TCP, TCP_SYNCNT, 3},
	    {IPPROTO_TCP, TCP_USER_TIMEOUT, 12345},
	    {IPPROTO_TCP, TCP_LINGER2, 12},
	    {IPPROTO_IP, IP_TOS, 0x10},
	    {IPPROTO_IP, IP_TTL, 33},
	    {SOL_SOCKET, SO_PRIORITY, 5},
	    {SOL_SOCKET, SO_RCVLOWAT, 9},
	    {IPPROTO_TCP, TCP_QUICKACK, 0},
	};
	int fd = tcp_socket();

	for (size_t i = 0; i < sizeof(o) / sizeof(o[0]); i++) {
		set_option(fd, o[i].level, o[i].name, o[i].value);
		CHECK_EQ(get_option(fd, o[i].level, o[i].name), o[i].value);
	}
}

/* Once locked it stays so. */
static void locked_for_good(void)
{
	int fd = tcp_socket();

	set_option(fd, SOL_SOCKET, SO_LOCK_FILTER, 0);
	set_option(fd, SOL_SOCKET, SO_LOCK_FILTER, 1);
	set_option(fd, SOL_SOCKET, SO_LOCK_FILTER, 1);
	CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &(int){0}, sizeof(int)), EPERM);
	CHECK_EQ(get_option(fd, SOL_SOCKET, SO_LOCK_FILTER), 1);
}

static void keepalive_defaults(void)
{
	int fd = tcp_socket();

	CHECK_EQ(get_option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 7200);
	CHECK_EQ(get_option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 75);
	CHECK_EQ(get_option(fd, IPPROTO_TCP, TCP_KEEPCNT), 9);
}

static void out_of_range(void)
{
	static const struct {
		int level, name, value;
	} o[] = {
	    {IPPROTO_TCP, TCP_KEEPIDLE, 0},  {IPPROTO_TCP, TCP_KEEPIDLE, 32768},
	    {IPPROTO_TCP, TCP_KEEPINTVL, 0}, {IPPROTO_TCP, TCP_KEEPCNT, 0},
	    {IPPROTO_TCP, TCP_KEEPCNT, 128}, {IPPROTO_TCP, TCP_SYNCNT, 0},
	    {IPPROTO_TCP, TCP_MAXSEG, 1},    {IPPROTO_TCP, TCP_USER_TIMEOUT, -1},
	    {IPPROTO_IP, IP_TTL, 0},	     {IPPROTO_IP, IP_TTL, 256},
	};
	int fd = tcp_socket();

	for (size_t i = 0; i < sizeof(o) / sizeof(o[0]); i++)
		CHECK_ERRNO(setsockopt(fd, o[i].level, o[i].name, &o[i].value, sizeof(int)),
			    EINVAL);
}

/* The kernel keeps room for its bookkeeping: twice what was asked for, socket(7). */
static void buffers_double(void)
{
	int fd = tcp_socket();

	set_option(fd, SOL_SOCKET, SO_RCVBUF, 20000);
	CHECK_EQ(get_option(fd, SOL_SOCKET, SO_RCVBUF), 40000);
	set_option(fd, SOL_SOCKET, SO_SNDBUF, 30000);
	CHECK_EQ(get_option(fd, SOL_SOCKET, SO_SNDBUF), 60000);
	set_option(fd, SOL_SOCKET, SO_RCVBUF, 1);
	CHECK_EQ(get_option(fd, SOL_SOCKET, SO_RCVBUF), 2304);
	set_option(fd, SOL_SOCKET, SO_SNDBUF, 1);
	CHECK_EQ(get_option(fd, SOL_SOCKET, SO_SNDBUF), 4608);
}

static int kernels(const char *name)
{
	char path[64];
	int n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/sys/net/core/%s", name);
	f = fopen(path, "re");
	if (!f)
		check_skip("this namespace does not tell net.core's limits");
	CHECK_EQ(fscanf(f, "%d", &n), 1);
	fclose(f);
	return n;
}

/* What is beyond the kernel's limit is the limit; negative is beyond all. */
static void buffers_have_a_limit(void)
{
	const int most = kernels("rmem_max"), most_sent = kernels("wmem_max"), fd = tcp_socket();

	for (int i = 0; i < 2; i++) {
		set_option(fd, SOL_SOCKET, SO_RCVBUF, i ? -1 : INT_MAX);
		CHECK_EQ(get_option(fd, SOL_SOCKET, SO_RCVBUF), 2 * most);
		set_option(fd, SOL_SOCKET, SO_RCVBUF, most - 1);
		CHECK_EQ(get_option(fd, SOL_SOCKET, SO_RCVBUF), 2 * most - 2);
		set_option(fd, SOL_SOCKET, SO_SNDBUF, i ? -1 : INT_MAX);
		CHECK_EQ(get_option(fd, SOL_SOCKET, SO_SNDBUF), 2 * most_sent);
		set_option(fd, SOL_SOCKET, SO_SNDBUF, most_sent - 1);
		CHECK_EQ(get_option(fd, SOL_SOCKET, SO_SNDBUF), 2 * most_sent - 2);
	}
}

static void linger(void)
{
	struct linger v = {-1, -1};
	socklen_t len = sizeof(v);
	int fd = tcp_socket();

	OK(getsockopt(fd, SOL_SOCKET, SO_LINGER, &v, &len));
	CHECK_EQ(v.l_onoff, 0);
	CHECK_EQ(v.l_linger, 0);
	v = (struct linger){7, 11};
	OK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &v, sizeof(v)));
	v = (struct linger){-1, -1};
	OK(getsockopt(fd, SOL_SOCKET, SO_LINGER, &v, &len));
	CHECK_EQ(len, sizeof(v));
	CHECK_EQ(v.l_onoff, 1);
	CHECK_EQ(v.l_linger, 11);
	CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, SO_LINGER, &v, sizeof(v) - 1), EINVAL);
}

static void timeouts(void)
{
	int fd = tcp_socket(), name[] = {SO_RCVTIMEO, SO_SNDTIMEO};

	for (int i = 0; i < 2; i++) {
		struct timeval v = {-1, -1};
		socklen_t len = sizeof(v);

		OK(getsockopt(fd, SOL_SOCKET, name[i], &v, &len));
		CHECK_EQ(len, sizeof(v));
		CHECK(v.tv_sec == 0 && v.tv_usec == 0);
		set_timeout(fd, name[i], 2500);
		OK(getsockopt(fd, SOL_SOCKET, name[i], &v, &len));
		CHECK_EQ(v.tv_sec, 2);
		/* Kept in ticks of the kernel, up to 10 ms each. */
		CHECK(v.tv_usec >= 490000 && v.tv_usec <= 510000);
		v = (struct timeval){0, 1000000};
		CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, name[i], &v, sizeof(v)), EDOM);
		CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, name[i], &v, 4), EINVAL);
	}
}

static void unknown(void)
{
	int fd = tcp_socket(), v = 1;
	socklen_t len = sizeof(v);
	int level[] = {SOL_SOCKET, IPPROTO_TCP, IPPROTO_IP, 4242};

	for (int i = 0; i < 4; i++) {
		CHECK_ERRNO(setsockopt(fd, level[i], 9999, &v, sizeof(v)), ENOPROTOOPT);
		CHECK_ERRNO(getsockopt(fd, level[i], 9999, &v, &len),
			    i < 3 ? ENOPROTOOPT : EOPNOTSUPP);
	}
}

static void short_lengths(void)
{
	int fd = tcp_socket(), v = 1;

	CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &v, 3), EINVAL);
	CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &v, 0), EINVAL);
	CHECK_ERRNO(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, 3), EINVAL);
	CHECK_ERRNO(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, (socklen_t)-1), EINVAL);
	OK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, (int[4]){1}, 16));
}

/* getsockopt() gives what fits, and the length it gave. */
static void truncated_get(void)
{
	unsigned char v[8];
	socklen_t len = 1;
	int fd = tcp_socket();

	memset(v, 0x55, sizeof(v));
	OK(getsockopt(fd, SOL_SOCKET, SO_TYPE, v, &len));
	CHECK_EQ(len, 1);
	CHECK(v[0] == SOCK_STREAM && v[1] == 0x55);
	len = 8;
	OK(getsockopt(fd, SOL_SOCKET, SO_TYPE, v, &len));
	CHECK_EQ(len, 4);
	CHECK_EQ(v[4], 0x55);
	len = (socklen_t)-1;
	CHECK_ERRNO(getsockopt(fd, SOL_SOCKET, SO_TYPE, v, &len), EINVAL);
	len = (socklen_t)-1;
	CHECK_ERRNO(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, v, &len), EINVAL);
}

static void error_clears(void)
{
	struct sockaddr_in a = test_address(0);
	int bound = tcp_socket(), c = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));

	OK(bind(bound, SA(&a), sizeof(a)));
	a = local_name(bound);
	CHECK_ERRNO(connect(c, SA(&a), sizeof(a)), EINPROGRESS);
	wait_bits(c, POLLERR);
	CHECK_EQ(socket_error(c), ECONNREFUSED);
	CHECK_EQ(socket_error(c), 0);
	CHECK(!(poll_bits(c) & POLLERR));
}

static void accepted_inherits(void)
{
	struct sockaddr_in a;
	struct linger v = {1, 9};
	socklen_t len = sizeof(v);
	int l = listener(1, &a), s;

	set_option(l, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(l, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(l, IPPROTO_TCP, TCP_KEEPIDLE, 44);
	set_option(l, SOL_SOCKET, SO_REUSEADDR, 1);
	set_option(l, SOL_SOCKET, SO_RCVBUF, 20000);
	OK(setsockopt(l, SOL_SOCKET, SO_LINGER, &v, sizeof(v)));
	set_timeout(l, SO_RCVTIMEO, 3000);
	connected(a);
	s = OK(accept(l, NULL, NULL));
	CHECK_EQ(get_option(s, IPPROTO_TCP, TCP_NODELAY), 1);
	CHECK_EQ(get_option(s, SOL_SOCKET, SO_KEEPALIVE), 1);
	CHECK_EQ(get_option(s, IPPROTO_TCP, TCP_KEEPIDLE), 44);
	CHECK_EQ(get_option(s, SOL_SOCKET, SO_REUSEADDR), 1);
	CHECK_EQ(get_option(s, SOL_SOCKET, SO_RCVBUF), 40000);
	v = (struct linger){0, 0};
	OK(getsockopt(s, SOL_SOCKET, SO_LINGER, &v, &len));
	CHECK(v.l_onoff == 1 && v.l_linger == 9);
	set_timeout(s, SO_RCVTIMEO, 0);
}

static int state(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	OK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
	return info.tcpi_state;
}

static void info_tells_the_state(void)
{
	struct sockaddr_in a;
	int l = listener(1, &a), c = connected(a), s = OK(accept(l, NULL, NULL));

	CHECK_EQ(state(tcp_socket()), TCP_CLOSE);
	CHECK_EQ(state(l), TCP_LISTEN);
	CHECK_EQ(state(c), TCP_ESTABLISHED);
	OK(shutdown(c, SHUT_WR));
	wait_bits(s, POLLRDHUP);
	CHECK_EQ(state(s), TCP_CLOSE_WAIT);
	while (state(c) == TCP_FIN_WAIT1)
		sleep_ms(1);
	CHECK_EQ(state(c), TCP_FIN_WAIT2);
}

static void segment_size(void)
{
	int fd[2], mss;

	tcp_pair(fd);
	mss = get_option(fd[0], IPPROTO_TCP, TCP_MAXSEG);
	CHECK(mss >= 536 && mss <= 65535);
}

static void corked_data_waits(void)
{
	char buf[8];
	int fd[2];

	tcp_pair(fd);
	set_option(fd[0], IPPROTO_TCP, TCP_CORK, 1);
	write_all(fd[0], "ab", 2);
	sleep_ms(30);
	CHECK_EQ(poll_bits(fd[1]), POLLOUT);
	write_all(fd[0], "cd", 2);
	set_option(fd[0], IPPROTO_TCP, TCP_CORK, 0);
	wait_bits(fd[1], POLLIN);
	CHECK_EQ(recv(fd[1], buf, sizeof(buf), 0), 4);
}

/* Of a connection that bytes go through, set and asked for by several calls in a row */
static void while_bytes_go(void)
{
	static const struct {
		int level, name, value, bad;
	} o[] = {
	    {IPPROTO_TCP, TCP_NODELAY, 1, 0},	    {SOL_SOCKET, SO_KEEPALIVE, 1, 0},
	    {IPPROTO_TCP, TCP_KEEPIDLE, 31, 32768}, {IPPROTO_TCP, TCP_KEEPINTVL, 8, 32768},
	    {IPPROTO_TCP, TCP_KEEPCNT, 5, 128},
	};
	int fd[2], v = 77;
	char byte = 0;

	tcp_pair(fd);
	for (size_t round = 0; round < 5; round++) {
		for (size_t i = 0; i < sizeof(o) / sizeof(o[0]); i++) {
			int value = o[i].bad ? o[i].value + (int)round : (int)round % 2;

			write_all(fd[0], "x", 1);
			set_option(fd[0], o[i].level, o[i].name, 1);
			set_option(fd[0], o[i].level, o[i].name, value);
			CHECK_EQ(get_option(fd[0], o[i].level, o[i].name), value);
			if (o[i].bad) {
				CHECK_ERRNO(setsockopt(fd[0], o[i].level, o[i].name, &o[i].bad,
						       sizeof(o[i].bad)),
					    EINVAL);
				CHECK_ERRNO(setsockopt(fd[0], o[i].level, o[i].name, "", 0),
					    EINVAL);
			}
			CHECK_ERRNO(setsockopt(fd[0], o[i].level, o[i].name, &v, 3), EINVAL);
			CHECK_ERRNO(setsockopt(fd[0], o[i].level, o[i].name, NULL, sizeof(v)),
				    EFAULT);
			CHECK_EQ(get_option(fd[0], o[i].level, o[i].name), value);
			CHECK_EQ(read_all(fd[1], &byte, 1), 1);
		}
	}
	/* The other end has its own. */
	CHECK_EQ(get_option(fd[1], IPPROTO_TCP, TCP_KEEPIDLE), 7200);
	set_option(fd[0], IPPROTO_TCP, TCP_NODELAY, 8);
	CHECK_EQ(get_option(fd[0], IPPROTO_TCP, TCP_NODELAY), 1);
}

CHECK_MAIN(CASE(what_it_is), CASE(booleans), CASE(numbers), CASE(locked_for_good),
	   CASE(keepalive_defaults), CASE(out_of_range), CASE(buffers_double),
	   CASE(buffers_have_a_limit), CASE(linger), CASE(timeouts), CASE(unknown),
	   CASE(short_lengths), CASE(truncated_get), CASE(error_clears), CASE(accepted_inherits),
	   CASE(info_tells_the_state), CASE(segment_size), CASE(corked_data_waits),
	   CASE(while_bytes_go))

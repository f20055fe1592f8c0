/* SPDX-License-Identifier: BSD-3-Clause
 *
 * tcp_info.c - getsockopt(TCP_INFO): what the connection is and did
 */
#include <linux/tcp.h>
#define _NETINET_TCP_H 1
#include "check.h"

static struct tcp_info info(int fd)
{
	struct tcp_info t = {0};
	socklen_t len = sizeof(t);

	OK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &t, &len));
	CHECK(len >= 192);
	return t;
}

static void before_there_is_a_connection(void)
{
	struct tcp_info t = info(tcp_socket());

	CHECK_EQ(t.tcpi_state, 7); /* TCP_CLOSE */
	CHECK_EQ(t.tcpi_snd_mss, 536);
	CHECK_EQ(t.tcpi_rtt, 0);
	CHECK_EQ(t.tcpi_rto, 1000000);
	CHECK_EQ(t.tcpi_bytes_acked, 0);
	CHECK_EQ(t.tcpi_bytes_received, 0);
	CHECK_EQ(t.tcpi_total_retrans, 0);
	CHECK_EQ(t.tcpi_unacked, 0);
	CHECK_EQ(t.tcpi_segs_out, 0);
	CHECK_EQ(t.tcpi_snd_cwnd, 10);
	CHECK_EQ(t.tcpi_pacing_rate, UINT64_MAX); /* none */
	CHECK_EQ(t.tcpi_max_pacing_rate, UINT64_MAX);
}

static void a_listener_tells_its_queue(void)
{
	struct sockaddr_in a;
	int l = listener(7, &a);
	struct tcp_info t = info(l);

	CHECK_EQ(t.tcpi_state, 10); /* TCP_LISTEN */
	CHECK_EQ(t.tcpi_unacked, 0);
	CHECK_EQ(t.tcpi_sacked, 7);
	CHECK_EQ(t.tcpi_max_pacing_rate, UINT64_MAX);
	connected(a);
	wait_bits(l, POLLIN);
	CHECK_EQ(info(l).tcpi_unacked, 1);
}

static void bytes_are_counted(void)
{
	static char data[100000];
	struct tcp_info t;
	long long end;
	int fd[2];

	tcp_pair(fd);
	write_all(fd[0], data, sizeof(data));
	CHECK_EQ(read_all(fd[1], data, sizeof(data)), sizeof(data));
	end = now_ms() + 5000;
	do {
		t = info(fd[0]);
	} while (t.tcpi_bytes_acked <= sizeof(data) && now_ms() < end);
	/* Linux counts the SYN of the side that connected. */
	CHECK_EQ(t.tcpi_bytes_acked, sizeof(data) + 1);
	CHECK(t.tcpi_delivered >= 3 && t.tcpi_delivered <= t.tcpi_data_segs_out + 1);
	CHECK(t.tcpi_bytes_sent >= sizeof(data));
	CHECK_EQ(t.tcpi_bytes_sent - t.tcpi_bytes_retrans, sizeof(data));
	CHECK_EQ(t.tcpi_notsent_bytes, 0);
	CHECK_EQ(t.tcpi_unacked, 0);
	CHECK(t.tcpi_segs_out >= 3 && t.tcpi_segs_in >= 2);
	CHECK(t.tcpi_data_segs_out >= 2);
	t = info(fd[1]);
	CHECK_EQ(t.tcpi_bytes_received, sizeof(data));
	CHECK_EQ(t.tcpi_bytes_sent, 0);
	CHECK_EQ(t.tcpi_bytes_acked, 0);
	CHECK(t.tcpi_data_segs_in >= 2);
}

/* On this machine a round trip takes microseconds, and is measured in them. */
static void round_trips(void)
{
	struct tcp_info t;
	int fd[2];

	tcp_pair(fd);
	for (int i = 0; i < 50; i++) {
		expect_text(fd[0], fd[1], "ping");
		expect_text(fd[1], fd[0], "pong");
	}
	t = info(fd[0]);
	CHECK(t.tcpi_rtt > 0 && t.tcpi_rtt < 200000);
	CHECK(t.tcpi_rttvar < 200000);
	CHECK(t.tcpi_min_rtt > 0 && t.tcpi_min_rtt <= t.tcpi_rtt + t.tcpi_rttvar * 4);
	CHECK(t.tcpi_min_rtt < 20000);
	CHECK(t.tcpi_rto >= 200000 && t.tcpi_rto <= 3000000);
}

static void windows_in_segments(void)
{
	struct tcp_info t;
	int fd[2];

	tcp_pair(fd);
	t = info(fd[0]);
	CHECK(t.tcpi_snd_mss >= 500 && t.tcpi_snd_mss <= 65536);
	CHECK(t.tcpi_advmss >= 500 && t.tcpi_advmss <= 65536);
	CHECK(t.tcpi_pmtu > t.tcpi_snd_mss);
	CHECK(t.tcpi_snd_cwnd >= 1 && t.tcpi_snd_cwnd <= 1000);
	CHECK_EQ(t.tcpi_snd_ssthresh, 0x7fffffff);
	CHECK_EQ(t.tcpi_ca_state, 0);
	CHECK_EQ(t.tcpi_retransmits, 0);
	CHECK_EQ(t.tcpi_total_retrans, 0);
	CHECK(t.tcpi_options & TCPI_OPT_WSCALE);
	CHECK(t.tcpi_options & TCPI_OPT_SACK);
	CHECK(t.tcpi_rcv_space > 0);
}

static void how_long_ago(void)
{
	struct tcp_info t;
	int fd[2];

	tcp_pair(fd);
	expect_text(fd[0], fd[1], "one");
	sleep_ms(300);
	t = info(fd[0]);
	CHECK(t.tcpi_last_data_sent >= 280 && t.tcpi_last_data_sent < 3000);
	CHECK(t.tcpi_last_ack_recv >= 200 && t.tcpi_last_ack_recv < 3000);
	t = info(fd[1]);
	CHECK(t.tcpi_last_data_recv >= 280 && t.tcpi_last_data_recv < 3000);
}

/* Nothing was sent: it is as long ago as the handshake. */
static void how_long_ago_of_nothing(void)
{
	int fd[2];

	tcp_pair(fd);
	sleep_ms(150);
	for (int i = 0; i < 2; i++) {
		struct tcp_info t = info(fd[i]);

		CHECK(t.tcpi_last_data_sent >= 130 && t.tcpi_last_data_sent < 3000);
		CHECK(t.tcpi_last_data_recv >= 130 && t.tcpi_last_data_recv < 3000);
		CHECK(t.tcpi_last_ack_recv >= 100 && t.tcpi_last_ack_recv < 3000);
		CHECK_EQ(t.tcpi_delivered, 1); /* the SYN */
		CHECK_EQ(t.tcpi_bytes_acked, !i);
	}
}

static void length_is_what_fits(void)
{
	unsigned char room[1024];
	socklen_t len = 1;
	int fd[2];

	tcp_pair(fd);
	memset(room, 0x55, sizeof(room));
	OK(getsockopt(fd[0], IPPROTO_TCP, TCP_INFO, room, &len));
	CHECK_EQ(len, 1);
	CHECK_EQ(room[0], 1); /* TCP_ESTABLISHED */
	CHECK_EQ(room[1], 0x55);
	len = sizeof(room);
	OK(getsockopt(fd[0], IPPROTO_TCP, TCP_INFO, room, &len));
	CHECK(len >= 192 && len < sizeof(room));
	CHECK_EQ(room[len], 0x55);
}

CHECK_MAIN(CASE(before_there_is_a_connection), CASE(a_listener_tells_its_queue),
	   CASE(bytes_are_counted), CASE(round_trips), CASE(windows_in_segments),
	   ASIDE(how_long_ago), ASIDE(how_long_ago_of_nothing), CASE(length_is_what_fits))

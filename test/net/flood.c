/* SPDX-License-Identifier: BSD-3-Clause
 *
 * flood.c - Segments from addresses that nobody has, at a pace, packet(7)
 *
 *	flood IFACE MAC ADDRESS PORT FLAGS PACE COUNT
 *
 * COUNT segments with FLAGS (S, A) to ADDRESS, IPv4 or IPv6, PORT, at most PACE a
 * second; sources are random ones of 198.18.0.0/15 (RFC 2544) or 2001:db8::/32, ports
 * and numbers random.  A SYN has a kernel's options.  At the end, or at SIGTERM, it says
 * "N at P a second".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64

struct segment {
	struct tcphdr tcp;
	uint8_t options[12];
} __attribute__((packed));

struct frame {
	struct ether_header eth;
	union {
		struct {
			struct iphdr ip;
			struct segment seg;
		} v4;
		struct {
			struct ip6_hdr ip;
			struct segment seg;
		} v6;
	};
} __attribute__((packed));

static const uint8_t options[12] = {2, 4, 1460 >> 8, 1460 & 255, 1, 3, 3, 7, 1, 1, 4, 2};

static uint64_t random64(void)
{
	static uint64_t x;

	while (!x)
		if (getrandom(&x, sizeof(x), 0) != sizeof(x))
			exit(1);
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static uint32_t sum(const void *p, size_t n, uint32_t s)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i += 2)
		s += (uint32_t)(b[i] << 8 | b[i + 1]);
	return s;
}

static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return htons((uint16_t)~s);
}

static struct segment segment(uint16_t port, const char *flags, uint32_t pseudo)
{
	uint64_t r = random64();
	struct segment s = {0};

	s.tcp.source = htons((uint16_t)(1024 + r % 64000));
	s.tcp.dest = htons(port);
	s.tcp.seq = (uint32_t)(r >> 32);
	s.tcp.window = htons(64240);
	s.tcp.doff = sizeof(s) / 4;
	s.tcp.syn = !!strchr(flags, 'S');
	s.tcp.ack = !!strchr(flags, 'A');
	if (s.tcp.syn)
		memcpy(s.options, options, sizeof(options));
	else
		memset(s.options, 1, sizeof(s.options));
	if (s.tcp.ack)
		s.tcp.ack_seq = (uint32_t)random64();
	s.tcp.check = fold(sum(&s, sizeof(s), pseudo + IPPROTO_TCP + sizeof(s)));
	return s;
}

static size_t fill4(struct frame *f, struct in_addr to, uint16_t port, const char *flags)
{
	struct iphdr ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP};

	f->eth.ether_type = htons(ETHERTYPE_IP);
	ip.tot_len = htons(sizeof(f->v4));
	ip.frag_off = htons(IP_DF);
	ip.saddr = htonl(0xc6120000 | (uint32_t)(random64() & 0x1ffff));
	ip.daddr = to.s_addr;
	ip.check = fold(sum(&ip, sizeof(ip), 0));
	f->v4.ip = ip;
	f->v4.seg = segment(port, flags, sum(&ip.saddr, 8, 0));
	return sizeof(f->eth) + sizeof(f->v4);
}

static size_t fill6(struct frame *f, const struct in6_addr *to, uint16_t port, const char *flags)
{
	uint64_t r[2] = {random64(), random64()};
	struct ip6_hdr ip = {0};

	f->eth.ether_type = htons(ETHERTYPE_IPV6);
	ip.ip6_vfc = 0x60;
	ip.ip6_plen = htons(sizeof(struct segment));
	ip.ip6_nxt = IPPROTO_TCP;
	ip.ip6_hlim = 64;
	memcpy(&ip.ip6_src, r, 16);
	memcpy(&ip.ip6_src, (const uint8_t[]){0x20, 0x01, 0x0d, 0xb8}, 4);
	ip.ip6_dst = *to;
	f->v6.ip = ip;
	f->v6.seg = segment(port, flags, sum(&ip.ip6_src, 32, 0));
	return sizeof(f->eth) + sizeof(f->v6);
}

static volatile sig_atomic_t stopped;

static void stop(int sig)
{
	(void)sig;
	stopped = 1;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	static struct frame f[BATCH];
	static struct iovec v[BATCH];
	static struct mmsghdr m[BATCH];
	struct sockaddr_ll ll = {.sll_family = AF_PACKET};
	struct in6_addr to6;
	struct in_addr to4;
	unsigned mac[6];
	int one = 1, fd, is4;
	long count, sent = 0;
	double pace, start;

	if (argc != 8 || sscanf(argv[2], "%x:%x:%x:%x:%x:%x", mac, mac + 1, mac + 2, mac + 3,
				mac + 4, mac + 5) != 6) {
		fprintf(stderr, "usage: see the head of flood.c\n");
		return 2;
	}
	is4 = inet_pton(AF_INET, argv[3], &to4) == 1;
	if (!is4 && inet_pton(AF_INET6, argv[3], &to6) != 1)
		return 2;
	pace = atof(argv[6]);
	count = atol(argv[7]);
	ll.sll_ifindex = (int)if_nametoindex(argv[1]);
	fd = socket(AF_PACKET, SOCK_RAW, 0); /* it receives nothing */
	if (fd < 0 || bind(fd, (struct sockaddr *)&ll, sizeof(ll)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) < 0) {
		perror("flood");
		return 1;
	}
	signal(SIGTERM, stop);
	start = now();
	while (sent < count && !stopped) {
		int n = BATCH, k;

		for (int i = 0; i < n; i++) {
			for (int b = 0; b < 6; b++)
				f[i].eth.ether_dhost[b] = (uint8_t)mac[b];
			memcpy(f[i].eth.ether_shost, "\x02\0\0\0\xaa\x02", 6);
			v[i].iov_base = &f[i];
			v[i].iov_len = is4 ? fill4(&f[i], to4, (uint16_t)atoi(argv[4]), argv[5])
					   : fill6(&f[i], &to6, (uint16_t)atoi(argv[4]), argv[5]);
			m[i].msg_hdr = (struct msghdr){.msg_iov = &v[i], .msg_iovlen = 1};
		}
		k = sendmmsg(fd, m, (unsigned)n, 0);
		if (k < 0 && errno != ENOBUFS) {
			perror("flood: sendmmsg");
			return 1;
		}
		sent += k > 0 ? k : 0;
		while ((double)sent / pace > now() - start)
			usleep(200);
	}
	printf("%ld at %.0f a second\n", sent, (double)sent / (now() - start));
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * helper_malformed.c - Throw broken frames at an address, packet(7)
 *
 *	helper_malformed IFACE MAC SOURCE DESTINATION PORT COUNT [SEED]
 *
 * Sends COUNT frames through IFACE.  Each begins as a sound TCP segment and is
 * then broken in one way, by turns; the last line printed counts the kinds.
 * What arrives is still addressed to MAC, so that it passes the device.
 */
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>

#include "check.h"

enum breakage {
	TRUNCATED,     /* the frame ends anywhere */
	GARBAGE,       /* random bytes after the Ethernet header */
	BAD_IP_SUM,    /* wrong header checksum */
	BAD_TCP_SUM,   /* wrong segment checksum */
	BAD_IP_LENGTH, /* total length longer or shorter than the frame */
	BAD_IHL,       /* ihl 0..15 at random */
	BAD_OFFSET,    /* data offset 0..15 at random */
	BAD_OPTIONS,   /* option lengths 0, 1, past the end */
	FLAGS,	       /* every combination, SYN|FIN|RST with data among them */
	FRAGMENT,      /* overlapping, never finished */
	LAND,	       /* source is destination */
	MARTIAN,       /* from an address of loopback, to a port that answers */
	BAD_ARP,       /* ARP of wrong lengths and operations */
	KINDS
};

struct frame {
	struct ether_header eth;
	struct iphdr ip;
	struct tcphdr tcp;
	uint8_t rest[1400];
} __attribute__((packed));

static unsigned seed;

static unsigned rnd(unsigned n)
{
	return (unsigned)rand_r(&seed) % n;
}

static void scribble(void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((uint8_t *)p)[i] = (uint8_t)rnd(256);
}

static uint32_t sum(const void *p, size_t n, uint32_t s)
{
	const uint8_t *b = p;

	for (size_t i = 0; i + 1 < n; i += 2)
		s += (uint32_t)(b[i] << 8 | b[i + 1]);
	if (n & 1)
		s += (uint32_t)b[n - 1] << 8;
	return s;
}

static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return htons((uint16_t)~s);
}

/* Both checksums, RFC 1071, over what the headers say is there. */
static void checksums(struct frame *f, size_t segment)
{
	uint32_t s = sum(&f->ip.saddr, 8, IPPROTO_TCP + (uint32_t)segment);

	f->ip.check = 0;
	f->ip.check = fold(sum(&f->ip, sizeof(f->ip), 0));
	f->tcp.check = 0;
	f->tcp.check = fold(sum(&f->tcp, segment, s));
}

static size_t sound(struct frame *f, in_addr_t from, in_addr_t to, uint16_t port)
{
	size_t data = 40 + rnd(400), segment = sizeof(f->tcp) + data;

	f->eth.ether_type = htons(ETHERTYPE_IP);
	f->ip = (struct iphdr){
	    .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP, .saddr = from, .daddr = to};
	f->ip.tot_len = htons((uint16_t)(sizeof(f->ip) + segment));
	f->ip.id = htons((uint16_t)rnd(65536));
	f->tcp = (struct tcphdr){.source = htons((uint16_t)(20000 + rnd(1000))),
				 .dest = htons(port),
				 .doff = 5,
				 .window = htons(1000)};
	f->tcp.seq = htonl((uint32_t)rand_r(&seed));
	f->tcp.ack_seq = htonl((uint32_t)rand_r(&seed));
	f->tcp.syn = rnd(2) & 1;
	f->tcp.ack = !f->tcp.syn;
	scribble(f->rest, data);
	return segment;
}

/* Return: length of the frame to send. */
static size_t broken(struct frame *f, enum breakage kind, size_t segment)
{
	size_t n = sizeof(f->eth) + sizeof(f->ip) + segment;

	switch (kind) {
	case FLAGS:
		((uint8_t *)&f->tcp)[13] = (uint8_t)rnd(256);
		break;
	case BAD_OFFSET:
		f->tcp.doff = rnd(16) & 15;
		break;
	case BAD_OPTIONS:
		f->tcp.syn = 1;
		f->tcp.ack = 0;
		f->tcp.doff = 15;
		for (int i = 0; i < 40; i += 2) {
			f->rest[i] = (uint8_t)rnd(10);
			f->rest[i + 1] = (uint8_t)(rnd(3) ? rnd(4) : 200);
		}
		break;
	case LAND:
		f->ip.saddr = f->ip.daddr;
		f->tcp.source = f->tcp.dest;
		f->tcp.syn = 1;
		f->tcp.ack = 0;
		break;
	case MARTIAN:
		f->ip.saddr = htonl(0x7f000001 + rnd(2));
		f->tcp.syn = 1;
		f->tcp.ack = 0;
		break;
	case FRAGMENT:
		f->ip.frag_off = htons((uint16_t)(0x2000 | rnd(100)));
		f->ip.id = htons((uint16_t)rnd(8));
		break;
	default:
		break;
	}
	checksums(f, segment);
	switch (kind) {
	case TRUNCATED:
		return sizeof(f->eth) + rnd((unsigned)(n - sizeof(f->eth)));
	case GARBAGE:
		scribble(&f->ip, n - sizeof(f->eth));
		break;
	case BAD_IP_SUM:
		f->ip.check ^= htons((uint16_t)(1 + rnd(65534)));
		break;
	case BAD_TCP_SUM:
		f->tcp.check ^= htons((uint16_t)(1 + rnd(65534)));
		break;
	case BAD_IP_LENGTH:
		f->ip.tot_len = htons((uint16_t)rnd(2000));
		f->ip.check = 0;
		f->ip.check = fold(sum(&f->ip, sizeof(f->ip), 0));
		break;
	case BAD_IHL:
		f->ip.ihl = rnd(16) & 15;
		break;
	case BAD_ARP:
		f->eth.ether_type = htons(ETHERTYPE_ARP);
		scribble(&f->ip, 28);
		return sizeof(f->eth) + rnd(60);
	default:
		break;
	}
	return n;
}

int main(int argc, char **argv)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_halen = 6};
	struct ifreq ifr = {0};
	unsigned count, sent[KINDS] = {0}, refused = 0;
	in_addr_t source, destination;
	struct frame f;
	int fd;

	check_name = "helper_malformed";
	if (argc < 7 || sscanf(argv[2], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &f.eth.ether_dhost[0],
			       &f.eth.ether_dhost[1], &f.eth.ether_dhost[2], &f.eth.ether_dhost[3],
			       &f.eth.ether_dhost[4], &f.eth.ether_dhost[5]) != 6) {
		fprintf(stderr, "usage: %s IFACE MAC SOURCE DESTINATION PORT COUNT [SEED]\n",
			argv[0]);
		return 2;
	}
	source = inet_addr(argv[3]);
	destination = inet_addr(argv[4]);
	count = (unsigned)atoi(argv[6]);
	seed = argc > 7 ? (unsigned)atoi(argv[7]) : 1;
	fd = (int)OK(socket(AF_PACKET, SOCK_RAW, 0));
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", argv[1]);
	to.sll_ifindex = (int)if_nametoindex(argv[1]);
	CHECK(to.sll_ifindex > 0);
	OK(ioctl(fd, SIOCGIFHWADDR, &ifr));
	memcpy(f.eth.ether_shost, ifr.ifr_hwaddr.sa_data, 6);
	for (unsigned i = 0; i < count; i++) {
		enum breakage kind = (enum breakage)(i % KINDS);
		size_t n =
		    broken(&f, kind, sound(&f, source, destination, (uint16_t)atoi(argv[5])));

		if (sendto(fd, &f, n, 0, SA(&to), sizeof(to)) == (ssize_t)n)
			sent[kind]++;
		else
			refused++;
		if (i % 64 == 63)
			sleep_ms(1); /* not a load test: let all of them be looked at */
	}
	for (int k = 0; k < KINDS; k++)
		printf("%u ", sent[k]);
	printf("sent, %u refused by the device\n", refused);
	return refused > count / 10;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * forwarder.c - A bad wire between two interfaces, packet(7)
 *
 *	forwarder SEED IFACE IFACE FAULTS FAULTS
 *
 * Passes frames between the two until SIGTERM, and then says what it did.  FAULTS
 * are of the frames that come from the first interface, and from the second; "-",
 * or some of these with commas:
 *
 *	loss=P dup=P corrupt=P   with this probability, 0 to 1; corrupt flips one bit
 *				 of what follows the IP header
 *	reorder=P                held back by 2 ms, so that later ones overtake it
 *	delay=MS                 all, by so many milliseconds
 *	mtu=N                    larger IP packets are dropped; the sender is told by
 *				 ICMP if it forbids fragments, or by ICMPv6
 *	silent                   it is not told
 *	rate=MBIT queue=N        a bottleneck of so many Mbit/s, before which N frames of full
 *				 size may wait; the next one is lost
 *	later=MBIT after=MS      the bottleneck is this one, so long after it began
 *
 * At the end it prints what it counted of each direction; "queued" is how many frames of full
 * size waited before the bottleneck when one came, on average.
 *
 * The fate of the Nth frame of a direction follows from SEED and N alone.  Only IPv4
 * and IPv6 suffer, ICMPv6 not: neighbours are always found, which takes seconds
 * otherwise and is not what is tested.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX 9216
#define WAITING_MAX 65536
#define HOLD_NS 2000000
#define MS 1000000ull
#define FULL_SIZE 1514

struct faults {
	double loss, dup, corrupt, reorder, delay, rate, later, after;
	unsigned mtu, queue;
	bool silent;
};

struct side {
	int fd;
	struct faults faults;
	uint64_t random;
	uint64_t free_at; /* ns; the bottleneck has sent what it has */
	uint64_t began;	  /* ns; the first frame came to it */
	uint64_t queued;  /* of full size, before each frame that came to the bottleneck, */
	unsigned came;	  /* and how many did */
	unsigned passed, lost, doubled, corrupted, reordered, too_big;
};

/* A frame that waits for its time */
struct waiting {
	uint64_t due, order;
	struct side *to;
	unsigned len;
	uint8_t *frame;
};

static struct side sides[2];
static struct waiting heap[WAITING_MAX];
static unsigned waits;
static uint64_t order;
static volatile sig_atomic_t stop;

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "forwarder: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static bool happens(uint64_t *state, double p)
{
	return (double)(next_random(state) >> 11) / (double)(1ull << 53) < p;
}

/* --- frames that wait: a heap, the earliest first ------------------------ */

static bool earlier(const struct waiting *a, const struct waiting *b)
{
	return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void swap(unsigned a, unsigned b)
{
	struct waiting w = heap[a];

	heap[a] = heap[b];
	heap[b] = w;
}

static void hold(struct side *to, const uint8_t *frame, unsigned len, uint64_t due)
{
	unsigned i = waits;

	if (waits == WAITING_MAX) {
		fprintf(stderr, "forwarder: too many frames wait\n");
		exit(1);
	}
	heap[waits++] = (struct waiting){due, order++, to, len, malloc(len)};
	if (!heap[i].frame)
		fail("malloc");
	memcpy(heap[i].frame, frame, len);
	for (; i && earlier(&heap[i], &heap[(i - 1) / 2]); i = (i - 1) / 2)
		swap(i, (i - 1) / 2);
}

static void drop_first(void)
{
	free(heap[0].frame);
	heap[0] = heap[--waits];
	for (unsigned i = 0, k; (k = 2 * i + 1) < waits; i = k) {
		if (k + 1 < waits && earlier(&heap[k + 1], &heap[k]))
			k++;
		if (!earlier(&heap[k], &heap[i]))
			return;
		swap(i, k);
	}
}

static void put(struct side *to, const uint8_t *frame, unsigned len)
{
	/* Full: it waits, for who counts losses wants none of ours. */
	while (send(to->fd, frame, len, 0) < 0) {
		struct pollfd p = {.fd = to->fd, .events = POLLOUT};

		if (errno == ENETDOWN || errno == ENXIO || errno == EMSGSIZE)
			return;
		if (errno != EAGAIN && errno != ENOBUFS && errno != EINTR)
			fail("send");
		poll(&p, 1, 1);
	}
}

/* --- too big ------------------------------------------------------------- */

static uint32_t add(const void *p, unsigned n, uint32_t sum)
{
	const uint8_t *b = p;

	for (unsigned i = 0; i < n; i++)
		sum += i % 2 ? b[i] : (uint32_t)b[i] << 8;
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* Who is answered, by the host that it wanted to reach. */
static void turn_back(struct ether_header *to, const struct ether_header *from)
{
	memcpy(to->ether_dhost, from->ether_shost, ETH_ALEN);
	memcpy(to->ether_shost, from->ether_dhost, ETH_ALEN);
	to->ether_type = from->ether_type;
}

static void tell4(struct side *from, const uint8_t *frame)
{
	const struct ip *ip = (const struct ip *)(frame + ETH_HLEN);
	unsigned quoted = ip->ip_hl * 4u + 8;
	struct {
		struct ether_header eth;
		struct ip ip;
		struct icmp icmp;
		uint8_t more[60];
	} __attribute__((packed)) r = {0};
	unsigned len = 8 + quoted;

	turn_back(&r.eth, (const struct ether_header *)frame);
	r.ip = (struct ip){.ip_v = 4,
			   .ip_hl = 5,
			   .ip_len = htons((uint16_t)(20 + len)),
			   .ip_ttl = 64,
			   .ip_p = IPPROTO_ICMP,
			   .ip_src = ip->ip_dst,
			   .ip_dst = ip->ip_src};
	r.ip.ip_sum = fold(add(&r.ip, 20, 0));
	r.icmp.icmp_type = ICMP_UNREACH;
	r.icmp.icmp_code = ICMP_UNREACH_NEEDFRAG;
	r.icmp.icmp_nextmtu = htons((uint16_t)from->faults.mtu);
	memcpy((uint8_t *)&r.icmp + 8, ip, quoted);
	r.icmp.icmp_cksum = fold(add(&r.icmp, len, 0));
	put(from, (uint8_t *)&r, ETH_HLEN + 20 + len);
}

static void tell6(struct side *from, const uint8_t *frame)
{
	const struct ip6_hdr *ip = (const struct ip6_hdr *)(frame + ETH_HLEN);
	struct {
		struct ether_header eth;
		struct ip6_hdr ip;
		struct icmp6_hdr icmp;
		uint8_t quoted[100];
	} __attribute__((packed)) r = {0};
	unsigned len = 8 + sizeof(r.quoted);

	turn_back(&r.eth, (const struct ether_header *)frame);
	r.ip.ip6_vfc = 0x60;
	r.ip.ip6_plen = htons((uint16_t)len);
	r.ip.ip6_nxt = IPPROTO_ICMPV6;
	r.ip.ip6_hlim = 64;
	r.ip.ip6_src = ip->ip6_dst;
	r.ip.ip6_dst = ip->ip6_src;
	r.icmp.icmp6_type = ICMP6_PACKET_TOO_BIG;
	r.icmp.icmp6_mtu = htonl(from->faults.mtu);
	memcpy(r.quoted, ip, sizeof(r.quoted));
	r.icmp.icmp6_cksum = fold(add(&r.icmp, len, add(&r.ip.ip6_src, 32, len + IPPROTO_ICMPV6)));
	put(from, (uint8_t *)&r, (unsigned)(ETH_HLEN + sizeof(r.ip) + len));
}

/* --- fate ---------------------------------------------------------------- */

/* Where the payload of IP begins; 0: it is left alone */
static unsigned payload(const uint8_t *frame, unsigned len)
{
	unsigned type = (unsigned)(frame[12] << 8 | frame[13]);

	if (type == ETHERTYPE_IP && len > ETH_HLEN + 20u)
		return ETH_HLEN + (frame[ETH_HLEN] & 15) * 4u;
	if (type == ETHERTYPE_IPV6 && len > ETH_HLEN + 40u &&
	    frame[ETH_HLEN + 6] != IPPROTO_ICMPV6 && frame[ETH_HLEN + 6] != IPPROTO_HOPOPTS)
		return ETH_HLEN + 40;
	return 0;
}

static bool fits(struct side *from, const uint8_t *frame, unsigned len)
{
	if (!from->faults.mtu || len - ETH_HLEN <= from->faults.mtu)
		return true;
	from->too_big++;
	if (from->faults.silent)
		return false;
	if (frame[ETH_HLEN] >> 4 == 6)
		tell6(from, frame);
	else if (frame[ETH_HLEN + 6] & 0x40)
		tell4(from, frame);
	return false;
}

/* The bottleneck takes @len bytes.  Return: ns until it has sent them; false: it is full */
static bool through(struct side *from, unsigned len, uint64_t *wait)
{
	const struct faults *f = &from->faults;
	uint64_t now = now_ns();
	double byte; /* ns */

	if (!from->began)
		from->began = now;
	byte = 8e3 /
	       (f->later > 0 && (double)(now - from->began) > f->after * MS ? f->later : f->rate);
	if (from->free_at < now)
		from->free_at = now;
	from->came++;
	from->queued += (uint64_t)((double)(from->free_at - now) / (FULL_SIZE * byte));
	if ((double)(from->free_at - now) > f->queue * FULL_SIZE * byte)
		return false;
	from->free_at += (uint64_t)(len * byte);
	*wait = from->free_at - now;
	return true;
}

static void forward(struct side *from, struct side *to, uint8_t *frame, unsigned len)
{
	const struct faults *f = &from->faults;
	unsigned start = payload(frame, len), copies = 1;
	uint64_t due = 0;
	bool lost, doubled, corrupted, reordered;

	if (start && !fits(from, frame, len))
		return;
	if (start && start < len) {
		uint64_t r = next_random(&from->random), where = next_random(&r);

		lost = happens(&r, f->loss);
		doubled = happens(&r, f->dup);
		corrupted = happens(&r, f->corrupt);
		reordered = happens(&r, f->reorder);
		if (lost) {
			from->lost++;
			return;
		}
		copies += doubled;
		from->doubled += doubled;
		from->corrupted += corrupted;
		from->reordered += reordered;
		if (corrupted)
			frame[start + where / 8 % (len - start)] ^= (uint8_t)(1u << where % 8);
		if (f->rate > 0 && !through(from, len, &due)) {
			from->lost++;
			return;
		}
		due += (uint64_t)(f->delay * MS) + (reordered ? HOLD_NS : 0);
	}
	from->passed++;
	while (copies--) {
		if (due)
			hold(to, frame, len, now_ns() + due);
		else
			put(to, frame, len);
	}
}

static void take(struct side *from, struct side *to)
{
	static uint8_t frame[FRAME_MAX];

	for (int i = 0; i < 64; i++) {
		struct sockaddr_ll a;
		socklen_t alen = sizeof(a);
		ssize_t n = recvfrom(from->fd, frame, sizeof(frame), MSG_DONTWAIT,
				     (struct sockaddr *)&a, &alen);

		if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENETDOWN))
			return;
		if (n < 0)
			fail("recvfrom");
		if (n >= ETH_HLEN && a.sll_pkttype != PACKET_OUTGOING)
			forward(from, to, frame, (unsigned)n);
	}
}

/* --- start --------------------------------------------------------------- */

static void parse(struct faults *f, char *text)
{
	static const struct {
		const char *name;
		size_t at;
	} numbers[] = {
	    {"loss", offsetof(struct faults, loss)},
	    {"dup", offsetof(struct faults, dup)},
	    {"corrupt", offsetof(struct faults, corrupt)},
	    {"reorder", offsetof(struct faults, reorder)},
	    {"delay", offsetof(struct faults, delay)},
	    {"rate", offsetof(struct faults, rate)},
	    {"later", offsetof(struct faults, later)},
	    {"after", offsetof(struct faults, after)},
	};

	for (char *w = strtok(text, ","); w; w = strtok(NULL, ",")) {
		char *value = strchr(w, '='), *end = NULL;
		double number = 0;
		bool known = !strcmp(w, "-");

		if (value) {
			*value++ = '\0';
			number = strtod(value, &end);
		} else if (!strcmp(w, "silent")) {
			known = f->silent = true;
		}
		for (size_t i = 0; value && i < sizeof(numbers) / sizeof(*numbers); i++) {
			if (!strcmp(w, numbers[i].name)) {
				memcpy((char *)f + numbers[i].at, &number, sizeof(number));
				known = true;
			}
		}
		if (value && (!strcmp(w, "mtu") || !strcmp(w, "queue"))) {
			*(*w == 'm' ? &f->mtu : &f->queue) = (unsigned)number;
			known = true;
		}
		if (!known || (value && (end == value || *end))) {
			fprintf(stderr, "forwarder: what is '%s'?\n", w);
			exit(2);
		}
	}
}

static void open_side(struct side *s, const char *iface)
{
	struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int room = 32 << 20, one = 1;

	a.sll_ifindex = (int)if_nametoindex(iface);
	s->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (s->fd < 0 || !a.sll_ifindex)
		fail(iface);
	if (setsockopt(s->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0 ||
	    setsockopt(s->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) < 0 ||
	    bind(s->fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		fail(iface);
}

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

static void run(void)
{
	struct pollfd p[2] = {{.fd = sides[0].fd, .events = POLLIN},
			      {.fd = sides[1].fd, .events = POLLIN}};

	while (!stop) {
		uint64_t now = now_ns();
		struct timespec wait = {.tv_sec = 1};

		while (waits && heap[0].due <= now) {
			put(heap[0].to, heap[0].frame, heap[0].len);
			drop_first();
		}
		if (waits)
			wait = (struct timespec){(time_t)((heap[0].due - now) / 1000000000u),
						 (long)((heap[0].due - now) % 1000000000u)};
		if (ppoll(p, 2, &wait, NULL) < 0 && errno != EINTR)
			fail("ppoll");
		take(&sides[0], &sides[1]);
		take(&sides[1], &sides[0]);
	}
}

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_handler = on_signal};

	if (argc != 6) {
		fprintf(stderr, "usage: see the head of forwarder.c\n");
		return 2;
	}
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	for (int i = 0; i < 2; i++) {
		sides[i].random = strtoull(argv[1], NULL, 0) * 2 + (uint64_t)i;
		parse(&sides[i].faults, argv[4 + i]);
		open_side(&sides[i], argv[2 + i]);
	}
	puts("ready");
	fflush(stdout);
	run();
	for (int i = 0; i < 2; i++) {
		const struct side *s = &sides[i];
		struct tpacket_stats st;
		socklen_t len = sizeof(st);

		if (getsockopt(s->fd, SOL_PACKET, PACKET_STATISTICS, &st, &len) < 0)
			fail("PACKET_STATISTICS");
		printf("%s passed %u lost %u doubled %u corrupted %u reordered %u too_big %u "
		       "overrun %u queued %u\n",
		       argv[2 + i], s->passed, s->lost, s->doubled, s->corrupted, s->reordered,
		       s->too_big, st.tp_drops, (unsigned)(s->queued / (s->came + !s->came)));
	}
	return 0;
}

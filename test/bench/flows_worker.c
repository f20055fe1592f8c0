/* SPDX-License-Identifier: BSD-3-Clause
 *
 * flows_worker.c - A worker of flows.c, with the peers of its connections
 *
 * The engine's worker without its relay: frames come by a queue of a ring device (net_ring)
 * through gz_rx(), lwIP and the sockets' rings, and go back; only the program at the
 * other end of a shadow is missing, in whose place the bytes are sent back here.  The peers
 * are played here as well, with every checksum; their time is not counted.  Linked once a
 * worker, with the worker's own code (engine/codes.h).
 */
#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "lwip/etharp.h"

#include "config/config.h"
#include "engine/codes.h"
#include "engine/counters.h"
#include "engine/port.h"
#include "engine/service.h"
#include "engine/spread.h"
#include "engine/worker.h"
#include "test/bench/flows.h"

#define ROUNDS 201 /* short ones: what interrupts hits few */
#define ECHOES 150 /* in each */
#define OPENS 30   /* the same */
#define SIZE 64
#define OPTIONS 24 /* at most, bytes */
#define FIRST_PORT 1024
#define PER_ADDRESS 50000
#define NET 0xc6120000u /* 198.18.0.0/15, RFC 2544 */

struct peer {
	uint32_t address; /* in host order */
	uint16_t port;
	uint32_t snd, rcv; /* what it sends next, and gets next */
	uint32_t clock;	   /* the stack's last timestamp, in network order */
};

struct frame {
	struct ether_header eth;
	struct iphdr ip;
	struct tcphdr tcp;
	uint8_t rest[SIZE + OPTIONS];
} __attribute__((packed));

static const uint8_t syn_options[12] = {2, 4, 1460 >> 8, 1460 & 255, 1, 3, 3, 7, 1, 1, 4, 2};
static const uint8_t stamp[12] = {1, 1, 8, 10, 0, 0, 3, 232}; /* and the echo */
static bool stamped;

static struct rte_ring *to_stack, *from_stack;
static struct peer *peers;
static unsigned *place_of; /* in peers, by address and port */
static uint64_t spent;	   /* cycles of the stack */
static uint64_t rng = 88172645463325252ull;

static unsigned rnd(unsigned n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (unsigned)((rng >> 32) * n >> 32);
}

static void fail(const char *what)
{
	fprintf(stderr, "flows: %s\n", what);
	exit(1);
}

/* The relay's place: nobody accepts, and bytes go back. */
void __wrap_gz_relay_offer(struct gz_worker *w, struct gz_sock *l, struct gz_sock *s);
void __wrap_gz_relay_offer(struct gz_worker *w, struct gz_sock *l, struct gz_sock *s)
{
	(void)w;
	(void)s;
	atomic_fetch_sub(&l->queued, 1);
}

static void pump(struct gz_worker *w)
{
	static uint8_t back[65536];
	struct gz_sock *s;

	while ((s = TAILQ_FIRST(&w->dirty))) {
		uint32_t n = gz_ring_used(&s->rx);

		TAILQ_REMOVE(&w->dirty, s, dirty_entry);
		s->dirty = false;
		if (n && s->flow) {
			struct iovec v[2] = {{0}};
			int k = gz_ring_iov(&s->rx, s->rx.head, n, v);

			memcpy(back, v[0].iov_base, v[0].iov_len);
			if (k > 1)
				memcpy(back + v[0].iov_len, v[1].iov_base, v[1].iov_len);
			gz_ring_consume(&s->rx, n);
			if (!gz_ring_ready(&s->tx, GZ_TX_RING))
				fail("no memory for a ring");
			gz_ring_put(&s->tx, back, n);
			gz_stack_tx(s);
			gz_stack_received(s, n);
		}
		if (s->flow && s->fin_received && !s->fin_sent)
			gz_stack_close(s);
		if (!s->flow)
			gz_worker_release(w, s);
		gz_sock_unref(s);
	}
}

static void nothing(struct gz_worker *w)
{
	(void)w;
}

/* One round of worker.c's loop */
static void work(void)
{
	uint64_t t = rte_rdtsc();

	gz_worker.now = gz_now_ns();
	gz_stack_clock(gz_worker.now);
	gz_rx(&gz_worker, nothing);
	pump(&gz_worker);
	gz_stack_timers(&gz_worker);
	gz_netif_flush();
	spent += rte_rdtsc() - t;
}

static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return htons((uint16_t)~s);
}

static uint32_t sum(const void *p, size_t n, uint32_t s)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i += 2)
		s += (uint32_t)(b[i] << 8 | b[i + 1]);
	return s;
}

/* A segment of peer @i to the stack */
static void send_segment(unsigned i, const char *flags, unsigned len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(gz_ports[0].pool);
	bool syn = strchr(flags, 'S');
	unsigned first = syn ? sizeof(syn_options) : 0;
	unsigned options = first + (stamped ? sizeof(stamp) : 0);
	struct peer *p = &peers[i];
	struct frame f = {0};
	struct iphdr ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP};
	struct {
		struct tcphdr tcp;
		uint8_t rest[SIZE + OPTIONS];
	} t = {0};

	if (!m)
		fail("no mbuf");
	memcpy(f.eth.ether_dhost, gz_ports[0].mac.addr_bytes, 6);
	f.eth.ether_type = htons(ETHERTYPE_IP);
	ip.tot_len = htons((uint16_t)(40 + options + len));
	ip.saddr = htonl(p->address);
	ip.daddr = gz_cfg->addrs[0].addr;
	ip.check = fold(sum(&ip, sizeof(ip), 0));
	f.ip = ip;
	t.tcp.source = htons(p->port);
	t.tcp.dest = htons(FLOWS_PORT);
	t.tcp.seq = htonl(p->snd);
	t.tcp.doff = (20 + options) / 4;
	t.tcp.window = htons(60000);
	t.tcp.syn = syn;
	t.tcp.fin = !!strchr(flags, 'F');
	t.tcp.ack = !!strchr(flags, 'A');
	t.tcp.ack_seq = t.tcp.ack ? htonl(p->rcv) : 0;
	if (syn)
		memcpy(t.rest, syn_options, first);
	if (stamped) {
		memcpy(t.rest + first, stamp, sizeof(stamp));
		memcpy(t.rest + first + 8, &p->clock, sizeof(p->clock));
	}
	t.tcp.check =
	    fold(sum(&t, 20 + options + len, sum(&ip.saddr, 8, IPPROTO_TCP + 20 + options + len)));
	memcpy(&f.tcp, &t, 20 + options + len);
	memcpy(rte_pktmbuf_append(m, (uint16_t)(54 + options + len)), &f, 54 + options + len);
	p->snd += len + syn + t.tcp.fin;
	if (rte_ring_enqueue(to_stack, m))
		fail("the ring is full");
}

/* What the stack sent, to the peers.  Return: bytes of data */
static unsigned receive(void)
{
	unsigned bytes = 0;
	void *v;

	while (!rte_ring_dequeue(from_stack, &v)) {
		struct rte_mbuf *m = v;
		struct frame f = {0};
		unsigned i, len;
		uint32_t end;

		memcpy(&f, rte_pktmbuf_mtod(m, void *), RTE_MIN(sizeof(f), m->pkt_len));
		rte_pktmbuf_free(m);
		if (f.eth.ether_type != htons(ETHERTYPE_IP) || f.ip.protocol != IPPROTO_TCP)
			continue;
		if (f.tcp.rst)
			fail("a reset");
		i = place_of[(ntohl(f.ip.daddr) - NET - 1) * PER_ADDRESS + ntohs(f.tcp.dest) -
			     FIRST_PORT];
		len = ntohs(f.ip.tot_len) - 20u - f.tcp.doff * 4u;
		end = ntohl(f.tcp.seq) + len + f.tcp.syn + f.tcp.fin;
		if (stamped && f.tcp.doff >= 8) /* behind a SYN's MSS, else the first */
			memcpy(&peers[i].clock, f.rest + (f.tcp.syn ? 8 : 4),
			       sizeof(peers[i].clock));
		if (stamped && f.tcp.doff < 8)
			fail("a segment without timestamps");
		if (f.tcp.syn)
			peers[i].rcv = end;
		else if (end != peers[i].rcv && end - peers[i].rcv < 1u << 31)
			bytes += end - peers[i].rcv;
		peers[i].rcv = end;
	}
	return bytes;
}

static void open_one(unsigned i)
{
	peers[i].snd = (uint32_t)rng + i;
	send_segment(i, "S", 0);
	work();
	receive();
	send_segment(i, "A", 0);
	work();
	receive();
}

static void close_one(unsigned i)
{
	send_segment(i, "FA", 0);
	work();
	receive();
	send_segment(i, "A", 0);
	work();
	receive();
}

static void echo(unsigned i)
{
	send_segment(i, "A", SIZE);
	work();
	if (receive() < SIZE)
		fail("no echo");
	send_segment(i, "A", 0);
	work();
	receive();
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *v, unsigned n)
{
	qsort(v, n, sizeof(*v), ascending);
	return v[n / 2];
}

/* @n peers whose connections are this worker's, by what the port would do with them */
static void find_peers(unsigned n)
{
	struct gz_end local = gz_end_v4(gz_cfg->addrs[0].addr, htons(FLOWS_PORT));
	unsigned room = n * gz_nworkers * 2 + PER_ADDRESS, found = 0;

	peers = calloc(n, sizeof(*peers));
	place_of = calloc(room, sizeof(*place_of));
	if (!peers || !place_of)
		fail("no memory");
	for (unsigned k = 0; found < n; k++) {
		uint32_t address = NET + 1 + k / PER_ADDRESS;
		uint16_t port = (uint16_t)(FIRST_PORT + k % PER_ADDRESS);

		if (k == room)
			fail("too few peers are this worker's");
		if (!gz_spread_is(&gz_worker, local, gz_end_v4(htonl(address), htons(port))))
			continue;
		peers[found].address = address;
		peers[found].port = port;
		place_of[k] = found++;
	}
}

static void run(struct flows_run *r)
{
	double echoes[ROUNDS], opens[ROUNDS];
	struct eth_addr mac = {{2, 0, 0, 0, 0, 2}};
	ip4_addr_t gateway = {gz_cfg->gateway};

	gz_here = &gz_worker;
	to_stack = r->to_stack;
	from_stack = r->from_stack;
	stamped = r->stamped;
	etharp_add_static_entry(&gateway, &mac);
	if (gz_stack_listen(r->listener))
		fail("no listener");
	find_peers(r->established + OPENS);
	for (unsigned i = 0; i < r->established; i++)
		open_one(i);
	/* Each has its memory, and what is to be idle is. */
	for (unsigned i = 0; i < r->busy; i++)
		echo(i);
	r->together();
	for (unsigned k = 0; k < ROUNDS; k++) {
		spent = 0;
		for (unsigned j = 0; j < ECHOES; j++)
			echo(rnd(r->busy));
		echoes[k] = (double)spent / ECHOES;
	}
	r->together();
	r->cycles = median(echoes, ROUNDS);
	for (unsigned k = 0; k < ROUNDS; k++) {
		spent = 0;
		for (unsigned j = 0; j < OPENS; j++) {
			open_one(r->established + j);
			close_one(r->established + j);
		}
		opens[k] = (double)rte_get_tsc_hz() * OPENS / (double)spent;
	}
	r->opened = median(opens, ROUNDS);
	r->together();
}

const struct flows_worker flows_worker = {.code = &gz_code, .run = run};

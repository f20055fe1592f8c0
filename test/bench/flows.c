/* SPDX-License-Identifier: BSD-3-Clause
 *
 * flows.c - What a connection costs the stack, among how many others
 *
 *	flows ESTABLISHED BUSY [timestamps]
 *
 * The engine's worker without its relay: frames come by a ring device (net_ring) through
 * gz_netif_rx(), lwIP and the sockets' rings, and go back; only the program at the other
 * end of a shadow is missing, in whose place the bytes are sent back here.  The peers are
 * played here as well, with every checksum; their time is not counted.
 *
 * ESTABLISHED connections are there.  64 bytes are sent to one of BUSY of them, at random,
 * come back, and are acknowledged, one request at a time; and others are opened and closed.
 * With timestamps each segment has them (RFC 7323).
 * Prints JSON: cycles of an echo, connections opened and closed a second, and the longest
 * slice of the timers in us.
 */
#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "lwip/etharp.h"

#include "config/config.h"
#include "engine/client.h"
#include "engine/counters.h"
#include "engine/port.h"
#include "engine/service.h"
#include "engine/worker.h"

#define ROUNDS 201 /* short ones: what interrupts hits few */
#define ECHOES 150 /* in each */
#define OPENS 30
#define SIZE 64
#define OPTIONS 24 /* at most, bytes */
#define PER_ADDRESS 50000
#define NET 0xc6120000u /* 198.18.0.0/15, RFC 2544 */

struct peer {
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
static uint64_t spent; /* cycles of the stack */
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
		gz_stack_info(s);
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
	gz_netif_rx(&gz_worker, nothing);
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
	struct rte_mbuf *m = rte_pktmbuf_alloc(gz_port.pool);
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
	memcpy(f.eth.ether_dhost, gz_port.mac.addr_bytes, 6);
	f.eth.ether_type = htons(ETHERTYPE_IP);
	ip.tot_len = htons((uint16_t)(40 + options + len));
	ip.saddr = htonl(NET + 1 + i / PER_ADDRESS);
	ip.daddr = gz_cfg->addrs[0].addr;
	ip.check = fold(sum(&ip, sizeof(ip), 0));
	f.ip = ip;
	t.tcp.source = htons((uint16_t)(1024 + i % PER_ADDRESS));
	t.tcp.dest = htons(7);
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
		i = (ntohl(f.ip.daddr) - NET - 1) * PER_ADDRESS + ntohs(f.tcp.dest) - 1024;
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

/* A ring device in both directions, as the worker's port */
static void open_port(struct gz_engine_config *cfg)
{
	char *args[] = {"flows", "--no-huge", "",   "--no-pci", "--no-telemetry",
			"-m",	 "256",	      "-l", "0",	"--log-level=error"};
	struct rte_eth_conf conf = {0};
	struct gz_port *p = &gz_port;
	int id;

	args[2] = "--no-shconf";
	if (rte_eal_init(RTE_DIM(args), args) < 0)
		fail("EAL does not start");
	p->pool = gz_port_pool("flows", 8191, 1500);
	to_stack = rte_ring_create("to", 1024, SOCKET_ID_ANY, 0);
	from_stack = rte_ring_create("from", 1024, SOCKET_ID_ANY, 0);
	if (!p->pool || !to_stack || !from_stack)
		fail("no memory");
	id = rte_eth_from_rings("flows", &to_stack, 1, &from_stack, 1, 0);
	if (id < 0)
		fail("no ring device");
	p->id = (uint16_t)id;
	p->mtu = 1500;
	memcpy(p->mac.addr_bytes, "\x02\0\0\0\0\1", 6);
	if (rte_eth_dev_configure(p->id, 1, 1, &conf) ||
	    rte_eth_tx_queue_setup(p->id, 0, 512, 0, NULL) ||
	    rte_eth_rx_queue_setup(p->id, 0, 512, 0, NULL, p->pool) || rte_eth_dev_start(p->id))
		fail("the ring device does not start");
	gz_cfg = cfg;
	gz_workers[0] = gz_here = &gz_worker;
	gz_nworkers = 1;
	STAILQ_INIT(&gz_worker.overflow);
	p->queues = 1;
	TAILQ_INIT(&gz_worker.dirty);
	gz_worker.inbox = rte_ring_create("inbox", 1024, SOCKET_ID_ANY, 0);
	if (gz_stack_init() || gz_netif_init())
		fail("the stack does not start");
}

/* Somebody holds the listener's shadow, as its name shows. */
static void listen_on(uint16_t port, const struct gz_engine_config *cfg)
{
	static struct gz_client client = {.refs = 1, .listener = -1};
	struct gz_sock *l = gz_sock_new(&client, AF_INET);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un a;

	l->name = (uint64_t)getpid() << 32;
	if (bind(fd, (struct sockaddr *)&a, gz_shadow_name(&a, l->name)) < 0)
		fail("no shadow");
	l->opt.nodelay = 1;
	l->local = gz_end_v4(cfg->addrs[0].addr, htons(port));
	l->backlog = 128;
	if (!gz_sock_listening(l))
		fail("no memory");
	gz_sock_set_state(l, GZ_LISTENING);
	if (gz_stack_listen(l))
		fail("no listener");
}

int main(int argc, char **argv)
{
	static struct gz_engine_config cfg;
	unsigned n = argc > 2 ? (unsigned)atoi(argv[1]) : 0, busy = n ? (unsigned)atoi(argv[2]) : 0;
	double echoes[ROUNDS], opens[ROUNDS];
	struct eth_addr mac = {{2, 0, 0, 0, 0, 2}};
	ip4_addr_t gateway;

	if (!n || !busy || busy > n) {
		fprintf(stderr, "usage: flows ESTABLISHED BUSY [timestamps]\n");
		return 2;
	}
	stamped = argc > 3;
	gz_engine_config_default(&cfg);
	cfg.max_sockets = cfg.max_time_waits = 1 << 20;
	cfg.naddrs6 = 0;
	cfg.gateway = inet_addr("10.213.0.1");
	gateway.addr = cfg.gateway;
	gz_table_limit(cfg.max_sockets, cfg.max_sockets);
	open_port(&cfg);
	etharp_add_static_entry(&gateway, &mac);
	listen_on(7, &cfg);
	peers = calloc(n + OPENS, sizeof(*peers));
	for (unsigned i = 0; i < n; i++)
		open_one(i);
	/* Each has its memory, and what is to be idle is. */
	for (unsigned i = 0; i < busy; i++)
		echo(i);
	for (unsigned r = 0; r < ROUNDS; r++) {
		spent = 0;
		for (unsigned k = 0; k < ECHOES; k++)
			echo(rnd(busy));
		echoes[r] = (double)spent / ECHOES;
	}
	for (unsigned r = 0; r < ROUNDS; r++) {
		spent = 0;
		for (unsigned k = 0; k < OPENS; k++) {
			open_one(n + k);
			close_one(n + k);
		}
		opens[r] = (double)rte_get_tsc_hz() * OPENS / (double)spent;
	}
	printf("{\"cycles\": %.0f, \"opened\": %.0f, \"tick\": %lu, \"sockets\": %u}\n",
	       median(echoes, ROUNDS), median(opens, ROUNDS),
	       (unsigned long)gz_counter(GZ_C_TICK_LONGEST), gz_table_count());
	if (gz_table_count() != n + 1)
		fail("connections that were closed are there");
	return 0;
}

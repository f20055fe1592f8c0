/* SPDX-License-Identifier: BSD-3-Clause
 *
 * flows.c - What a connection costs the stack, among how many others
 *
 *	flows ESTABLISHED BUSY [timestamps] [two|apart]
 *
 * The stack of an engine with one worker or two, with their peers (flows_worker.c), or of
 * two engines apart, which are processes, with a worker each.
 *
 * ESTABLISHED connections of each worker are there.  64 bytes are sent to one of BUSY of
 * them, at random, come back, and are acknowledged, one request at a time; and others are
 * opened and closed.  With timestamps each segment has them (RFC 7323).  Two workers do
 * this at the same time, on processors 0 and 1.
 * Prints JSON: cycles of an echo, connections opened and closed a second, the longest
 * slice of the timers in us, and the longest of as many loops that only read the clock, for
 * as long as a slice begins turns, which says what the machine has added; and the memory of
 * this process in MB, with the 256 MB that DPDK was given only as far as they are used; of
 * two workers the mean, and of the first engine what is the process's.
 */
#include <arpa/inet.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_ring.h>

#include "config/config.h"
#include "engine/client.h"
#include "engine/codes.h"
#include "engine/counters.h"
#include "engine/own4.h"
#include "engine/port.h"
#include "engine/service.h"
#include "engine/worker.h"
#include "test/bench/flows.h"

#define WORKERS 2   /* at most */
#define SLICE 25000 /* ns, as in timers.c */

static const struct flows_worker *const workers[WORKERS] = {&flows_worker_0, &flows_worker_1};

/* Memory of both engines */
static struct {
	struct flows_run run[WORKERS];
	unsigned n;
	_Atomic unsigned came;
} * all;

static void fail(const char *what)
{
	fprintf(stderr, "flows: %s\n", what);
	exit(1);
}

/* It spins: who waits is to begin at the same time as who comes. */
static void together(void)
{
	unsigned until = (atomic_fetch_add(&all->came, 1) / all->n + 1) * all->n;

	while (atomic_load(&all->came) < until)
		rte_pause();
}

/* A ring device in both directions, with a queue for each of the @n workers of @run, as their port
 */
static void open_port(struct gz_engine_config *cfg, struct flows_run *run, unsigned n)
{
	char *args[] = {"flows",
			"--no-huge",
			"--no-shconf",
			"--no-pci",
			"--no-telemetry",
			"-m",
			"256",
			"-l",
			n > 1		  ? "0,1"
			: run == all->run ? "0"
					  : "1",
			"--log-level=error"};
	const struct gz_code *codes[WORKERS];
	struct rte_ring *to[WORKERS], *from[WORKERS];
	struct rte_eth_conf conf = {0};
	struct gz_port *p = &gz_ports[0];
	int id;

	if (rte_eal_init(RTE_DIM(args), args) < 0)
		fail("EAL does not start");
	p->pool = gz_port_pool("flows", 8191, n, 1500);
	if (!p->pool)
		fail("no memory");
	for (unsigned i = 0; i < n; i++) {
		char name[RTE_RING_NAMESIZE];

		codes[i] = workers[run - all->run + i]->code;
		snprintf(name, sizeof(name), "to%u", i);
		to[i] = run[i].to_stack = rte_ring_create(name, 1024, SOCKET_ID_ANY, 0);
		snprintf(name, sizeof(name), "from%u", i);
		from[i] = run[i].from_stack = rte_ring_create(name, 1024, SOCKET_ID_ANY, 0);
		if (!to[i] || !from[i])
			fail("no memory");
	}
	id = rte_eth_from_rings("flows", to, n, from, n, 0);
	if (id < 0)
		fail("no ring device");
	p->id = (uint16_t)id;
	p->mtu = 1500;
	p->tx_queues = p->queues = (uint16_t)n;
	memcpy(p->mac.addr_bytes, "\x02\0\0\0\0\1", 6);
	if (rte_eth_dev_configure(p->id, p->queues, p->queues, &conf))
		fail("the ring device has too few queues");
	for (uint16_t q = 0; q < p->queues; q++)
		if (rte_eth_tx_queue_setup(p->id, q, 512, 0, NULL) ||
		    rte_eth_rx_queue_setup(p->id, q, 512, 0, NULL, p->pool))
			fail("the ring device gives no queue");
	if (rte_eth_dev_start(p->id))
		fail("the ring device does not start");
	gz_nports = 1;
	gz_cfg = cfg;
	gz_own4_init(cfg);
	if (gz_workers_init(n, codes))
		fail("the stack does not start");
}

/* Somebody holds the listener's shadow, as its name shows. */
static struct gz_sock *listener_on(uint16_t port, const struct gz_engine_config *cfg)
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
	return l;
}

/* Of this process, in MB, by proc(5) */
static double resident(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long size, pages = 0;

	if (!f || fscanf(f, "%lu %lu", &size, &pages) != 2)
		fail("/proc/self/statm");
	fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

static int run_worker(void *run)
{
	struct flows_run *r = run;

	workers[r - all->run]->run(r);
	return 0;
}

/* Of @n workers that @run is for */
static void engine(struct gz_engine_config *cfg, struct flows_run *run, unsigned n)
{
	struct gz_sock *listener;

	/* where the sockets for datagrams have no names of another engine's */
	if (unshare(CLONE_NEWNET) < 0)
		fail("no network namespace");
	open_port(cfg, run, n);
	listener = listener_on(FLOWS_PORT, cfg);
	for (unsigned i = 0; i < n; i++)
		run[i].listener = listener;
	if (n > 1 && rte_eal_remote_launch(run_worker, &run[1], 1))
		fail("no second processor");
	run_worker(run);
	rte_eal_mp_wait_lcore();
	if (gz_table_count() != run->established * n + 1)
		fail("connections that were closed are there");
}

/* The other engine has ended, and does not come together with this one any more. */
static void on_child(int signal)
{
	int status;

	(void)signal;
	if (wait(&status) < 0 || status)
		_exit(1);
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Return: us of processor time, as of the timers' slices, that the longest of @n loops took */
static uint64_t longest_loop(uint64_t n)
{
	uint64_t longest = 0;

	while (n--) {
		uint64_t start = gz_now_ns(), cpu = cpu_ns();

		while (gz_now_ns() - start < SLICE)
			;
		cpu = cpu_ns() - cpu;
		longest = cpu > longest ? cpu : longest;
	}
	return longest / 1000;
}

int main(int argc, char **argv)
{
	static struct gz_engine_config cfg;
	unsigned n = argc > 2 ? (unsigned)atoi(argv[1]) : 0, busy = n ? (unsigned)atoi(argv[2]) : 0;
	bool stamped = false, two = false, apart = false, known = n && busy && busy <= n;
	double cycles = 0, opened = 0;
	pid_t other = -1;

	for (int i = 3; i < argc; i++) {
		stamped |= !strcmp(argv[i], "timestamps");
		two |= !strcmp(argv[i], "two");
		apart |= !strcmp(argv[i], "apart");
	}
	if (!known || argc - 3 != stamped + two + apart || (two && apart)) {
		fprintf(stderr, "usage: flows ESTABLISHED BUSY [timestamps] [two|apart]\n");
		return 2;
	}
	all = mmap(NULL, sizeof(*all), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (all == MAP_FAILED)
		fail("no memory");
	all->n = 1 + (two || apart);
	for (unsigned i = 0; i < all->n; i++)
		all->run[i] = (struct flows_run){
		    .established = n, .busy = busy, .stamped = stamped, .together = together};
	gz_engine_config_default(&cfg);
	cfg.max_sockets = cfg.max_time_waits = 1 << 20;
	cfg.naddrs6 = 0;
	cfg.gateway = inet_addr("10.213.0.1");
	gz_table_limit(cfg.max_sockets, cfg.max_sockets);
	if (apart) {
		signal(SIGCHLD, on_child);
		other = fork();
		if (other < 0)
			fail("no second process");
	}
	if (!other) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		engine(&cfg, &all->run[1], 1);
		return 0;
	}
	engine(&cfg, all->run, 1 + two);
	for (unsigned i = 0; i < all->n; i++) {
		cycles += all->run[i].cycles / all->n;
		opened += all->run[i].opened / all->n;
	}
	printf(
	    "{\"cycles\": %.0f, \"opened\": %.0f, \"tick\": %lu, \"loop\": %lu, \"sockets\": %u, "
	    "\"mb\": %.1f}\n",
	    cycles, opened, (unsigned long)gz_counter_of_all(GZ_C_TICK_LONGEST),
	    (unsigned long)longest_loop(gz_counter_of_all(GZ_C_TICK_SLICES)), gz_table_count(),
	    resident());
	return 0;
}

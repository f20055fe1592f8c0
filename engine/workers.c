/* SPDX-License-Identifier: BSD-3-Clause
 *
 * workers.c - Who the workers are, and how they are told
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <rte_launch.h>
#include <rte_ring.h>
#include <rte_spinlock.h>

#include "engine/counters.h"
#include "engine/lane.h"
#include "engine/log.h"
#include "engine/udp.h"
#include "engine/worker.h"

const struct gz_engine_config *gz_cfg;
struct gz_port gz_ports[GZ_PORTS_MAX];
unsigned gz_nports;
int gz_netns = -1;
struct gz_worker *gz_workers[GZ_WORKERS_MAX];
unsigned gz_nworkers;
_Atomic unsigned gz_half_open;
__thread struct gz_worker *gz_here;
pthread_mutex_t gz_lanes = PTHREAD_MUTEX_INITIALIZER;

void gz_worker_wake(struct gz_worker *w)
{
	uint64_t one = 1;

	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&w->sleeping, memory_order_relaxed) &&
	    write(w->wake_fd, &one, sizeof(one)) < 0)
		gz_warn("cannot wake the worker: %s", strerror(errno));
}

void gz_workers_wake(uint32_t whom)
{
	for (; whom; whom &= whom - 1)
		gz_worker_wake(gz_workers[__builtin_ctz(whom)]);
}

int gz_worker_post(struct gz_worker *w, const struct gz_msg *m)
{
	struct gz_msg *c = malloc(sizeof(*c));

	if (!c)
		return -ENOBUFS;
	*c = *m;
	if (c->sock)
		gz_sock_ref(c->sock);
	c->to = w;
	/* Full: the worker drains it each round; it cannot stay full. */
	while (rte_ring_mp_enqueue(w->inbox, c) != 0) {
		if (gz_here) { /* cannot wait for itself, nor for one that waits for it */
			STAILQ_INSERT_TAIL(&gz_here->overflow, c, next);
			break;
		}
		sched_yield();
	}
	gz_count(GZ_C_MESSAGES);
	gz_worker_wake(w);
	return 0;
}

struct gz_worker *gz_worker_home(const struct gz_sock *s)
{
	return gz_workers[s->id % gz_nworkers];
}

struct gz_worker *gz_worker_of(const struct gz_sock *s)
{
	struct gz_worker *w = s->worker;

	return w ? w : gz_worker_home(s);
}

/* A listener's part is each worker's, but for what one of them does for all. */
static bool is_for_all(const struct gz_msg *m)
{
	if (!m->sock)
		return true;
	return m->sock->listening && !m->sock->worker && m->op != GZ_OP_REOFFER &&
	       m->op != GZ_OP_TWIN && m->op != GZ_OP_OPTIONS;
}

int gz_post(const struct gz_msg *m)
{
	int err = 0;

	if (!is_for_all(m))
		return gz_worker_post(gz_worker_of(m->sock), m);
	for (unsigned i = 0; i < gz_nworkers && !err; i++)
		err = gz_worker_post(gz_workers[i], m);
	return err;
}

static rte_spinlock_t tx_lock[GZ_PORTS_MAX][GZ_WORKERS_MAX];

void gz_tx_lock(const struct gz_wire *w)
{
	if (gz_port_is_shared(w->port, gz_nworkers))
		rte_spinlock_lock(&tx_lock[w->port - gz_ports][w->tx_queue]);
}

void gz_tx_unlock(const struct gz_wire *w)
{
	if (gz_port_is_shared(w->port, gz_nworkers))
		rte_spinlock_unlock(&tx_lock[w->port - gz_ports][w->tx_queue]);
}

int gz_worker_watch(struct gz_worker *w, const int *fd)
{
	/* All workers look, and one wakes. */
	struct epoll_event e = {.events = EPOLLIN | EPOLLEXCLUSIVE,
				.data.ptr = (void *)(uintptr_t)fd};

	return epoll_ctl(w->relay_ep, EPOLL_CTL_ADD, *fd, &e) < 0 ? -errno : 0;
}

/* Counters of one worker or of the process: a largest one is not added up. */
static uint64_t join(enum gz_counter c, uint64_t a, uint64_t b)
{
	if (c == GZ_C_TICK_LONGEST)
		return a > b ? a : b;
	return a + b;
}

uint64_t gz_counter_of_all(enum gz_counter c)
{
	uint64_t sum = gz_counter(c);

	for (unsigned i = 0; i < gz_nworkers; i++)
		sum = join(c, sum, gz_counter_of_worker(gz_workers[i], c));
	return sum;
}

uint64_t gz_counter_of_worker(const struct gz_worker *w, enum gz_counter c)
{
	uint64_t sum = atomic_load(&w->code->counters[c]);

	if (c >= GZ_C_PORT_RX && c <= GZ_C_PORT_VLAN)
		for (unsigned i = 0; i < gz_nports; i++)
			sum += atomic_load(&w->wire[i].counters[c - GZ_C_PORT_RX]);
	return sum;
}

uint64_t gz_counter_of_port(const struct gz_port *p, enum gz_counter c)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < gz_nworkers; i++)
		sum += atomic_load(&gz_workers[i]->wire[p - gz_ports].counters[c - GZ_C_PORT_RX]);
	return sum;
}

/* Queue i is worker i's, as RSS has it (spread.h); of fewer those of each port begin with another
 * worker. */
static void give_queues(struct gz_worker *w, unsigned n)
{
	for (unsigned i = 0; i < gz_nports; i++) {
		struct gz_port *p = &gz_ports[i];
		unsigned queue = p->queues < n ? (w->index + n - i % n) % n : w->index;

		w->wire[i].port = p;
		w->wire[i].rx_queue = queue < p->queues ? (int)queue : -1;
		w->wire[i].tx_own = w->wire[i].tx_queue = (uint16_t)(queue % p->queues);
	}
}

int gz_workers_init(unsigned n, const struct gz_code *const *codes)
{
	int err = gz_udp_init();

	for (unsigned i = 0; i < n && !err; i++) {
		struct gz_worker *w = codes[i]->worker;

		w->code = codes[i];
		w->index = i;
		give_queues(w, n);
		gz_workers[i] = w;
	}
	gz_nworkers = n;
	for (unsigned i = 0; i < n && !err; i++)
		err = codes[i]->init();
	return err;
}

int gz_workers_start(void)
{
	for (unsigned i = 0; i < gz_nworkers; i++)
		if (rte_eal_remote_launch(gz_workers[i]->code->main, NULL, i + 1) != 0)
			return -1;
	return 0;
}

void gz_workers_wait(void)
{
	for (unsigned i = 0; i < gz_nworkers; i++)
		rte_eal_wait_lcore(i + 1);
}

void gz_workers_destroy(void)
{
	for (unsigned i = 0; i < gz_nworkers; i++)
		gz_workers[i]->code->destroy();
}

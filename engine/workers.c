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

#include "engine/counters.h"
#include "engine/log.h"
#include "engine/udp.h"
#include "engine/worker.h"

const struct gz_engine_config *gz_cfg;
struct gz_port gz_port;
int gz_netns = -1;
struct gz_worker *gz_workers[GZ_WORKERS_MAX];
unsigned gz_nworkers;
__thread struct gz_worker *gz_here;

int gz_worker_post(struct gz_worker *w, const struct gz_msg *m)
{
	struct gz_msg *c = malloc(sizeof(*c));
	uint64_t one = 1;

	if (!c)
		return -ENOBUFS;
	*c = *m;
	if (c->sock)
		gz_sock_ref(c->sock);
	/* Full: the worker drains it each round; it cannot stay full. */
	while (rte_ring_mp_enqueue(w->inbox, c) != 0) {
		if (w == gz_here) { /* cannot wait for itself */
			STAILQ_INSERT_TAIL(&w->overflow, c, next);
			break;
		}
		sched_yield();
	}
	gz_count(GZ_C_MESSAGES);
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&w->sleeping, memory_order_relaxed) &&
	    write(w->wake_fd, &one, sizeof(one)) < 0)
		gz_warn("cannot wake the worker: %s", strerror(errno));
	return 0;
}

int gz_post(const struct gz_msg *m)
{
	int err = 0;

	for (unsigned i = 0; i < gz_nworkers && !err; i++)
		err = gz_worker_post(gz_workers[i], m);
	return err;
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
		sum = join(c, sum, atomic_load(&gz_workers[i]->code->counters[c]));
	return sum;
}

int gz_workers_init(unsigned n, const struct gz_code *const *codes)
{
	int err = gz_udp_init();

	for (unsigned i = 0; i < n && !err; i++) {
		struct gz_worker *w = codes[i]->worker;

		w->code = codes[i];
		w->index = i;
		gz_workers[i] = w;
		gz_nworkers = i + 1;
		err = codes[i]->init();
	}
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

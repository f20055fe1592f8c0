/* SPDX-License-Identifier: BSD-3-Clause
 *
 * workers.c - The workers' threads: start and end, sleep, and being watched
 *
 * When a pass has brought nothing for spin_us a worker sleeps (power: adaptive): it asks
 * port and links to tell of packets, makes one more pass for what came in between, and
 * waits for one of their descriptors.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_malloc.h>
#include <rte_pause.h>
#include <rte_rcu_qsbr.h>

#include "dispatch/dispatch.h"

/* Without a descriptor to wait for: short enough for TCP not to notice much */
#define NAP_MS 1
#define SLEEP_MS 1000

/* --- sleeping ------------------------------------------------------------- */

void worker_wake(const struct worker *w)
{
	const uint64_t one = 1;

	if (write(w->wake, &one, sizeof(one)) < 0) {
		/* full: it will wake */
	}
}

void workers_wake(const struct dispatch *d)
{
	for (unsigned i = 0; i < d->nworkers; i++)
		worker_wake(&d->worker[i]);
}

static void wait_for_events(struct worker *w, int timeout)
{
	struct epoll_event e[8];
	bool error = false;
	uint64_t count;
	int n;

	rte_rcu_qsbr_thread_offline(w->d->rcu, w->number);
	n = epoll_wait(w->epoll, e, 8, timeout);
	rte_rcu_qsbr_thread_online(w->d->rcu, w->number);
	for (int i = 0; i < n; i++) {
		if (e[i].data.u32 >= WAIT_WIRE && e[i].events & EPOLLERR) {
			/* an interface that went down stays readable until asked why */
			wire_clear_error(w->d, e[i].data.u32 - WAIT_WIRE);
			error = true;
		}
	}
	if (error)
		usleep(NAP_MS * 1000); /* should it be there again at once */
	if (n && read(w->wake, &count, sizeof(count)) < 0) {
		/* non-blocking: it was another */
	}
}

/** arm() - Have a port and its clients tell of packets.  Return: how long it may sleep */
static int arm(struct worker *w)
{
	int timeout = wire_arm(w) ? SLEEP_MS : NAP_MS;

	w->armed = w->sw.table->clients & w->clients;
	if (!w->number)
		w->d->kernel.next_tsc = 0; /* look, before the sleep and after it */
	for (uint64_t left = w->armed; left;) {
		if (!link_arm(&w->d->link[sw_take(&left)], w->number))
			timeout = NAP_MS;
	}
	return timeout;
}

static void disarm(struct worker *w)
{
	if (!w->number)
		w->d->kernel.next_tsc = 0;
	wire_disarm(w);
	for (uint64_t left = w->armed; left;)
		link_disarm(&w->d->link[sw_take(&left)], w->number);
}

/** pass() - At each port.  Return: frames */
static unsigned pass(struct worker *lead)
{
	unsigned total = 0;

	for (struct worker *w = lead; w; w = w->next)
		total += worker_pass(w);
	return total;
}

static void sleep_until_packets(struct worker *lead)
{
	int timeout = SLEEP_MS;

	for (struct worker *w = lead; w; w = w->next)
		timeout = RTE_MIN(timeout, arm(w));
	if (!pass(lead) && !atomic_load(&lead->d->stop)) {
		for (struct worker *w = lead; w; w = w->next) {
			timeout = w->backlog.n ? RTE_MIN(timeout, NAP_MS) : timeout;
			timeout = w->number ? timeout : wire_sleep_ms(w->d, timeout);
		}
		lead->sleeps++;
		wait_for_events(lead, timeout);
	}
	for (struct worker *w = lead; w; w = w->next)
		disarm(w);
}

/* --- being watched -------------------------------------------------------- */

#define STUCK_TICKS 6 /* of main's */

/** is_asleep() - Does a thread of ours sleep?  One that only lost its CPU does not */
static bool is_asleep(int tid)
{
	char path[64], line[128], state = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	f = fopen(path, "re");
	if (!f)
		return false;
	/* "tid (name) S ...": the name is ours and has no ')' */
	if (fgets(line, sizeof(line), f) && strrchr(line, ')'))
		state = strrchr(line, ')')[2];
	fclose(f);
	return state == 'S';
}

static void watch(struct worker *w)
{
	unsigned long passes = atomic_load(&w->passes);

	if (passes != w->seen || !links_inside(w->number)) {
		w->seen = passes;
		w->ticks = 0;
		return;
	}
	if (++w->ticks < STUCK_TICKS || !is_asleep(atomic_load(&w->tid)))
		return;
	if (links_cut(w->number))
		tgkill(getpid(), atomic_load(&w->tid), SIGUSR1);
}

void workers_watch(struct dispatch *d)
{
	for (unsigned i = 0; i < d->nworkers; i++)
		watch(&d->worker[i]);
}

/* Its coming is all: a blocking write returns EINTR */
static void on_sigusr1(int sig)
{
	(void)sig;
}

/* --- threads -------------------------------------------------------------- */

/* lcore number + 1 */
static int run(void *arg)
{
	const struct sigaction sa = {.sa_handler = on_sigusr1};
	struct worker *w = arg;
	const struct gz_dispatch_config *c = &w->d->config;
	struct rte_rcu_qsbr *rcu = w->d->rcu;
	bool sleepy = c->power == GZ_POWER_INTERRUPT;
	uint64_t spin = sleepy ? 0 : rte_get_tsc_hz() / 1000000 * c->spin_us;
	uint64_t last = rte_rdtsc();

	sigaction(SIGUSR1, &sa, NULL);
	atomic_store(&w->tid, gettid());
	rte_rcu_qsbr_thread_register(rcu, w->number);
	rte_rcu_qsbr_thread_online(rcu, w->number);
	while (!atomic_load_explicit(&w->d->stop, memory_order_relaxed)) {
		rte_rcu_qsbr_quiescent(rcu, w->number);
		if (pass(w)) {
			last = rte_rdtsc();
			continue;
		}
		if (c->power == GZ_POWER_POLL || rte_rdtsc() - last < spin) {
			rte_pause();
			continue;
		}
		sleep_until_packets(w);
		last = rte_rdtsc();
	}
	rte_rcu_qsbr_thread_offline(rcu, w->number);
	rte_rcu_qsbr_thread_unregister(rcu, w->number);
	return 0;
}

/** thread_init() - What a thread sleeps on.  Return: 0 or -errno */
static int thread_init(struct worker *lead)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u32 = WAIT_WAKE};

	lead->epoll = epoll_create1(EPOLL_CLOEXEC);
	lead->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (lead->epoll < 0 || lead->wake < 0 ||
	    epoll_ctl(lead->epoll, EPOLL_CTL_ADD, lead->wake, &e))
		return -errno;
	return 0;
}

/** worker_init() - At a port; @lead: at the first one, if that is another */
static int worker_init(struct worker *w, struct dispatch *d, unsigned number,
		       const struct worker *lead)
{
	int rc;

	w->d = d;
	w->number = number;
	for (unsigned i = 0; i < GZ_CLIENTS_MAX; i++)
		w->clients |= (uint64_t)(worker_of(i, d->nworkers) == number) << i;
	rc = lead ? 0 : thread_init(w);
	if (rc)
		return rc;
	if (lead) {
		w->epoll = lead->epoll;
		w->wake = lead->wake;
	}
	return backlog_init(&w->backlog, d->number * WORKERS_MAX + number) ? -ENOMEM : 0;
}

/** new_at() - Those of one port.  Return: 0 or -errno */
static int new_at(struct dispatch *d, const struct dispatch *first, unsigned n)
{
	int rc = 0;

	/* Zero pages until they are used */
	if (posix_memalign((void **)&d->worker, RTE_CACHE_LINE_SIZE, n * sizeof(*d->worker)))
		return -ENOMEM;
	memset(d->worker, 0, n * sizeof(*d->worker));
	d->nworkers = n;
	d->rcu = first->rcu;
	for (unsigned i = 0; i < n && !rc; i++)
		rc = worker_init(&d->worker[i], d, i, d == first ? NULL : &first->worker[i]);
	return rc;
}

int workers_new(struct dispatch *first)
{
	unsigned n = gz_eal_workers();
	struct dispatch *before = NULL;
	int rc = 0;

	first->rcu = rte_zmalloc("rcu", rte_rcu_qsbr_get_memsize(n), RTE_CACHE_LINE_SIZE);
	if (!first->rcu || rte_rcu_qsbr_init(first->rcu, n))
		return -ENOMEM;
	for (struct dispatch *d = first; d && !rc; d = d->next) {
		rc = new_at(d, first, n);
		for (unsigned i = 0; before && i < n && !rc; i++)
			before->worker[i].next = &d->worker[i];
		before = d;
	}
	return rc;
}

void workers_free(struct dispatch *first)
{
	for (struct dispatch *d = first; d; d = d->next) {
		for (unsigned i = 0; i < d->nworkers; i++)
			backlog_free(&d->worker[i].backlog);
		d->nworkers = 0;
		free(d->worker);
	}
	rte_free(first->rcu);
}

/** ready() - Those of one port may run */
static void ready(struct dispatch *d)
{
	wire_start(d);
	for (unsigned i = 0; i < d->nworkers; i++) {
		struct sw *sw = &d->worker[i].sw;

		sw_init(sw, NULL, &d->seen, d->config.port.mtu);
		sw->mac = d->wire.mac;
		sw->groups = d->groups;
	}
}

int workers_start(struct dispatch *first)
{
	int rc = 0;

	for (struct dispatch *d = first; d; d = d->next)
		ready(d);
	for (unsigned i = 0; i < first->nworkers && !rc; i++)
		rc = rte_eal_remote_launch(run, &first->worker[i], i + 1);
	return rc;
}

void workers_stop(struct dispatch *d)
{
	atomic_store(&d->stop, true);
	workers_wake(d);
	for (unsigned i = 0; i < d->nworkers; i++)
		rte_eal_wait_lcore(i + 1);
}

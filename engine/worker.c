/* SPDX-License-Identifier: BSD-3-Clause
 *
 * worker.c - The loop: packets, messages, shadows, timers, sleep
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_ring.h>

#include "engine/calls.h"
#include "engine/client.h"
#include "engine/counters.h"
#include "engine/lane.h"
#include "engine/live.h"
#include "engine/icmp.h"
#include "engine/log.h"
#include "engine/pace.h"
#include "engine/ping.h"
#include "engine/plane_inner.h"
#include "engine/reaper.h"
#include "engine/sack.h"
#include "engine/service.h"
#include "engine/twin.h"
#include "engine/udp.h"
#include "engine/urgent.h"
#include "engine/worker.h"

#define INBOX 4096
#define WHOLE_NS 5000	    /* rings alone are looked at, that long at most */
#define HOG_NS 400000	    /* yields that take as long ... */
#define HOG_ROW 3	    /* ... so many in a row: the core is taken ... */
#define HOG_REST_NS 4000000 /* ... and so long one does not yield, twice as long each time */
#define HOG_REST_MAX_NS 500000000
#define NAP_NS 100000 /* a device without a descriptor: look this often */

struct gz_worker gz_worker;

void gz_worker_dirty(struct gz_worker *w, struct gz_sock *s)
{
	if (s->dirty)
		return;
	s->dirty = true;
	gz_sock_ref(s);
	TAILQ_INSERT_TAIL(&w->dirty, s, dirty_entry);
}

void gz_worker_connected(struct gz_worker *w, struct gz_sock *s)
{
	if (w->nconnected == sizeof(w->connected) / sizeof(w->connected[0])) {
		gz_relay_answer(s, 0);
		return;
	}
	gz_sock_ref(s);
	w->connected[w->nconnected].call = atomic_load(&s->parked);
	w->connected[w->nconnected++].sock = s;
}

static void answer_connected(struct gz_worker *w)
{
	for (unsigned i = 0; i < w->nconnected; i++) {
		struct gz_sock *s = w->connected[i].sock;

		/* Another call's, if that one was interrupted meanwhile */
		if (atomic_load(&s->parked) == w->connected[i].call)
			gz_relay_answer(s, 0);
		gz_sock_unref(s);
	}
	w->nconnected = 0;
}

void gz_worker_adopt(struct gz_worker *w, struct gz_sock *s)
{
	s->worker = w;
	if (s->on_worker)
		return;
	s->on_worker = true;
	gz_plane_adopt(s);
	gz_sock_ref(s);
	LIST_INSERT_HEAD(&w->socks, s, worker_entry);
}

void gz_worker_release(struct gz_worker *w, struct gz_sock *s)
{
	(void)w;
	if (!s->on_worker)
		return;
	s->on_worker = false;
	gz_accept_unoffer(s);
	gz_plane_release(s);
	LIST_REMOVE(s, worker_entry);
	gz_buffers_return(s);
	gz_ring_free(&s->rx);
	gz_ring_free(&s->tx);
	gz_sock_unref(s);
}

/* An agent has it already: else it would have gone with the listener's shadow. */
static bool was_accepted(const struct gz_sock *s)
{
	struct pollfd p = {.fd = s->end_fd};

	return s->offered_by && s->end_fd >= 0 && poll(&p, 1, 0) == 0;
}

/* A listener is over: so is everything that waited on it. */
static void drop_pending(struct gz_sock *l, bool closed)
{
	struct linger now = {.l_onoff = 1};
	struct gz_sock *s;

	if (l->client->plane)
		gz_plane_look_accepted(&gz_worker, l->client);
	for (;;) {
		pthread_mutex_lock(&l->lock);
		TAILQ_FOREACH(s, &l->pending, pending_entry)
		if (gz_worker_of(s->native ? l : s) == &gz_worker)
			break; /* the others' are theirs to drop */
		if (s) {
			TAILQ_REMOVE(&l->pending, s, pending_entry);
			s->listener = NULL;
			atomic_fetch_sub(&l->queued, 1);
		}
		pthread_mutex_unlock(&l->lock);
		if (!s)
			return;
		if (s->held_fd >= 0) {
			if (s->native)
				setsockopt(s->held_fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
			close(s->held_fd);
			s->held_fd = -1;
		}
		/* Linux resets what was never accepted (inet_csk_listen_stop). */
		if (closed && was_accepted(s)) {
			s->unlisted = true;
		} else {
			gz_stack_abort(s);
			s->app_gone = true;
			gz_worker_dirty(&gz_worker, s);
		}
		gz_sock_unref(l);
		gz_sock_unref(s);
	}
}

static void handle(struct gz_worker *w, struct gz_msg *m)
{
	struct gz_sock *s = m->sock;
	struct gz_listening *l;
	int err;

	switch (m->op) {
	case GZ_OP_LISTEN:
		err = gz_stack_listen(s);
		if (err)
			gz_err("socket %lu: cannot listen: %s", (unsigned long)s->id,
			       strerror(-err));
		if (gz_worker_home(s) == w)
			gz_twin_watch(w, s);
		break;
	case GZ_OP_UNLISTEN:
		if (gz_worker_home(s) == w) {
			gz_twin_unwatch(w, s);
			/* Who waits in accept() looks again, and gets EINVAL. */
			gz_relay_wake(s);
		}
		gz_stack_unlisten(s);
		drop_pending(s, false);
		break;
	case GZ_OP_CONNECT:
		gz_worker_adopt(w, s);
		s->end_fd = m->fd;
		s->prefix = m->prefix;
		err = gz_stack_connect(s, m->flow);
		if (err)
			gz_relay_failed(w, s, -err);
		break;
	case GZ_OP_OPTIONS:
		gz_stack_options(s);
		gz_relay_buffers(s);
		if (gz_plane_is_ring(s))
			gz_join_calm(s); /* a lane heeds none of them */
		gz_worker_dirty(w, s);	 /* a cork may have been pulled */
		break;
	case GZ_OP_SHUT:
		if (s->on_worker) {
			s->can_read = true;
			gz_worker_dirty(w, s);
		}
		break;
	case GZ_OP_GONE:
		s->app_gone = true;
		if (s->type == SOCK_DGRAM) {
			s->dgram.ping ? gz_ping_gone(s) : gz_udp_gone(s);
			break;
		}
		if (gz_worker_home(s) == w)
			gz_twin_unwatch(w, s);
		gz_stack_unlisten(s);
		/* A SYN may have been first to see that the listener is gone. */
		drop_pending(s, true);
		if (gz_sock_state(s) == GZ_CONNECTING && s->flow) {
			gz_stack_abort(s);
			gz_relay_failed(w, s, ECONNABORTED);
		}
		if (s->on_worker)
			gz_worker_dirty(w, s);
		break;
	case GZ_OP_REOFFER:
		gz_relay_reoffer(s, m->id);
		break;
	case GZ_OP_TWIN:
		if (gz_sock_state(s) == GZ_LISTENING || s->type == SOCK_DGRAM)
			gz_twin_watch(w, s);
		break;
	case GZ_OP_GROUP:
		gz_netif_group((unsigned)m->id, m->group, m->prefix);
		break;
	case GZ_OP_DATAGRAMS:
		gz_udp_pass();
		break;
	case GZ_OP_URGENT:
		gz_urgent_take(w, s, &m->urgent);
		break;
	case GZ_OP_PLANE:
		LIST_INSERT_HEAD(&w->planes, m->client->plane, entry[w->index]);
		break;
	case GZ_OP_PLANE_GONE:
		gz_lane_no_more(m->client->plane);
		LIST_REMOVE(m->client->plane, entry[w->index]);
		gz_client_unref(m->client);
		break;
	case GZ_OP_ACCEPTED:
		gz_plane_look_accepted(w, m->client);
		sem_post(&m->leave->done);
		break;
	case GZ_OP_BEGIN:
		atomic_store(&s->hold, false);
		gz_plane_adopt(s);
		gz_join(s);
		gz_relay_pump(w, s);
		/* Its slot is newer than the end that its shadow was told of. */
		if (s->fin_passed || s->end_fd < 0)
			gz_plane_ended(s, s->end_fd < 0);
		sem_post(&m->leave->done);
		break;
	case GZ_OP_INFO:
		gz_stack_info(s);
		sem_post(&m->leave->done);
		break;
	case GZ_OP_LEAST:
		gz_plane_on_least(s);
		sem_post(&m->leave->done);
		break;
	case GZ_OP_SETTLE:
		sem_post(&m->leave->done);
		break;
	case GZ_OP_BACK:
		gz_plane_on_back(w, m->leave);
		break;
	case GZ_OP_LEAVE:
		gz_plane_on_leave(w, m->leave);
		break;
	case GZ_OP_NO_LANES:
		gz_lane_no_more(m->client->plane);
		sem_post(&m->leave->done);
		break;
	case GZ_OP_LINGERS:
		gz_plane_on_lingers(w, m->client->plane, m->leave);
		break;
	case GZ_OP_ADDRESS:
		gz_netif_address((unsigned)m->id);
		break;
	case GZ_OP_LINK:
		gz_netif_link();
		break;
	case GZ_OP_LOOK:
		break; /* it is awake */
	case GZ_OP_STOP:
		/* Who only waits for connections wakes, and finds accept() failing. */
		LIST_FOREACH(l, &w->listeners, entry)
		{
			gz_plane_listen_no_more(l->sock);
			gz_relay_wake(l->sock);
		}
		w->stop = true;
		break;
	}
}

static void dispose(struct gz_worker *w, struct gz_msg *m)
{
	handle(w, m);
	if (m->sock)
		gz_sock_unref(m->sock);
	free(m);
}

static void drain_inbox(struct gz_worker *w)
{
	unsigned n, i, left = gz_cfg->messages;
	struct gz_msg *own;
	void *m[64];

	do {
		n = rte_ring_sc_dequeue_burst(w->inbox, m, RTE_MIN(left, 64u), NULL);
		for (i = 0; i < n; i++)
			dispose(w, m[i]);
		left -= n;
		w->owed -= RTE_MIN(w->owed, n);
	} while (n == 64 && left);
	while ((own = STAILQ_FIRST(&w->overflow))) {
		if (own->to != w && rte_ring_mp_enqueue(own->to->inbox, own) != 0)
			break; /* in the next round */
		STAILQ_REMOVE_HEAD(&w->overflow, next);
		if (own->to == w)
			dispose(w, own);
		else
			gz_worker_wake(own->to);
	}
}

/* @left: so many at most; what is left of that */
static bool drain_dirty(struct gz_worker *w, unsigned *left)
{
	struct gz_sock *s, *last = TAILQ_LAST(&w->dirty, gz_dirty_list);

	if (!last || !*left)
		return false;
	do {
		s = TAILQ_FIRST(&w->dirty);
		TAILQ_REMOVE(&w->dirty, s, dirty_entry);
		s->dirty = false;
		gz_relay_pump(w, s);
		if (s == last)
			last = NULL;
		gz_sock_unref(s);
	} while (--*left && last);
	return true;
}

static unsigned relay_events(struct gz_worker *w)
{
	struct epoll_event ev[1024]; /* worker.events at most */
	int n = epoll_wait(w->relay_ep, ev, (int)gz_cfg->events, 0);

	for (int i = 0; i < n; i++) {
		struct gz_sock *s = ev[i].data.ptr;

		if (gz_udp_events(ev[i].data.ptr) || gz_icmp_events(ev[i].data.ptr))
			continue;
		if (s->twin_watched || s->type == SOCK_DGRAM) {
			gz_twin_event(w, s);
			continue;
		}
		gz_relay_event(s, ev[i].events);
		gz_worker_dirty(w, s);
	}
	return n > 0 ? (unsigned)n : 0;
}

/* An interface that went down polls as an error until its socket is asked why. */
static void clear_error(void)
{
	for (unsigned i = 0; i < gz_nports; i++) {
		const struct gz_port *p = &gz_ports[i];

		for (unsigned j = 0; j < p->nwait; j++) {
			int error = 0;
			socklen_t len = sizeof(error);

			if (!getsockopt(p->wait_fd[j], SOL_SOCKET, SO_ERROR, &error, &len) && error)
				gz_warn("port %s: %s", p->device, strerror(error));
		}
	}
	usleep(NAP_NS / 1000); /* should it be there again at once */
}

/* Has this worker a queue of a port that nothing tells of packets for? */
static bool has_to_look(const struct gz_worker *w)
{
	for (unsigned i = 0; i < gz_nports; i++)
		if (w->wire[i].rx_queue >= 0 && !gz_ports[i].nwait)
			return true;
	return false;
}

/* Return: was an interrupt armed? */
static bool arm(const struct gz_worker *w)
{
	bool armed = false;

	for (unsigned i = 0; i < gz_nports; i++) {
		if (w->wire[i].rx_queue < 0)
			continue;
		gz_port_arm(&gz_ports[i], (uint16_t)w->wire[i].rx_queue);
		armed |= gz_ports[i].rx_intr;
	}
	return armed;
}

static void disarm(const struct gz_worker *w)
{
	for (unsigned i = 0; i < gz_nports; i++)
		if (w->wire[i].rx_queue >= 0)
			gz_port_disarm(&gz_ports[i], (uint16_t)w->wire[i].rx_queue);
}

/* Sleep until something happens or @wait ns pass. */
static void sleep_for(struct gz_worker *w, uint64_t wait)
{
	struct epoll_event ev[8];
	struct timespec ts;
	uint64_t junk;
	bool armed;
	int n;

	if (wait > NAP_NS && has_to_look(w))
		wait = NAP_NS;
	if (wait > gz_plane_wait(w))
		wait = gz_plane_wait(w);
	atomic_store_explicit(&w->sleeping, true, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	armed = arm(w);
	if (gz_plane_asleep(w, true))
		goto awake;
	/* What came before the interrupt was armed raises none: look once more. */
	if (armed && gz_rx(w, drain_inbox) > 0)
		goto awake;
	if (rte_ring_empty(w->inbox) && rte_ring_empty(w->handed) && STAILQ_EMPTY(&w->overflow)) {
		ts.tv_sec = (time_t)(wait / 1000000000u);
		ts.tv_nsec = (long)(wait % 1000000000u);
		gz_count(GZ_C_SLEEPS);
		n = epoll_pwait2(w->sleep_ep, ev, 8, &ts, NULL);
		for (int i = 0; i < n; i++) {
			if (ev[i].data.fd == w->wake_fd) {
				if (read(w->wake_fd, &junk, sizeof(junk)) < 0)
					continue; /* a spurious wake */
			} else if (ev[i].data.fd != w->relay_ep && ev[i].events & EPOLLERR) {
				clear_error();
			}
		}
	}
awake:
	gz_plane_asleep(w, false);
	disarm(w);
	atomic_store_explicit(&w->sleeping, false, memory_order_relaxed);
}

/* Packets, messages, shadows, rings, timers.  Return: was there anything? */
static unsigned whole_round(struct gz_worker *w, uint64_t *wait)
{
	unsigned work, left = gz_cfg->pumped;
	uint64_t paced;

	gz_stack_clock(w->now);
	gz_netif_look(w);
	work = gz_rx(w, drain_inbox);
	work += relay_events(w);
	work += gz_plane_poll(w);
	/* What a program asked for before it sent these bytes, an option say, is in effect. */
	drain_inbox(w);
	paced = gz_pace_run();
	/* Looped packets and their answers, until it is quiet. */
	for (unsigned i = 0; i < 64; i++) {
		bool more;

		gz_sack_flush();
		more = drain_dirty(w, &left);
		more |= gz_netif_loop();
		work += more;
		if (!more)
			break;
	}
	*wait = gz_stack_timers(w);
	*wait = RTE_MIN(*wait, paced);
	gz_lane_ring_bells();
	gz_netif_flush();
	answer_connected(w);
	return work;
}

/*
 * The programs may want this core.  Return: false, somebody who computes has it, for whole
 * slices of time: who sleeps is woken sooner than who yields comes back
 */
static bool yield(struct gz_worker *w)
{
	uint64_t before = gz_now_ns();

	if (before < w->hog_until)
		return false;
	sched_yield();
	if (gz_now_ns() - before < HOG_NS) {
		w->hog_row = 0;
		if (before - w->hog_until > w->hog_rest)
			w->hog_rest = 0; /* it has not come back */
		return true;
	}
	if (++w->hog_row < HOG_ROW)
		return true; /* a program of ours had much to do, perhaps */
	w->hog_row = 0;
	w->hog_rest = w->hog_rest ? 2 * w->hog_rest : HOG_REST_NS;
	if (w->hog_rest > HOG_REST_MAX_NS)
		w->hog_rest = HOG_REST_MAX_NS;
	w->hog_until = gz_now_ns() + w->hog_rest;
	return false;
}

int gz_worker_main(void *arg)
{
	struct gz_worker *w = &gz_worker;
	uint64_t idle_since = gz_now_ns(), whole = 0, wait = 0, loops = 0;
	sigset_t all;

	(void)arg;
	/* The tap driver signals each packet: main's business, not ours. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	gz_here = w;
	if (setns(gz_netns, CLONE_NEWNET) < 0)
		gz_warn("worker: cannot enter the shadows' network namespace: %s", strerror(errno));
	while (!w->stop) {
		enum gz_power power;
		unsigned work;

		w->now = gz_now_ns();
		/* Rings cost no system call: the rest has its turn now and then. */
		if (w->now - whole < WHOLE_NS && TAILQ_EMPTY(&w->dirty)) {
			work = gz_plane_poll(w);
		} else {
			whole = w->now;
			work = whole_round(w, &wait);
		}
		if (++loops % 64 == 0)
			gz_add(GZ_C_LOOPS, 64);
		if (work || !TAILQ_EMPTY(&w->dirty)) {
			idle_since = w->now;
			continue;
		}
		power = atomic_load_explicit(&gz_power, memory_order_relaxed);
		if (power == GZ_POWER_POLL) {
			yield(w);
			continue;
		}
		if (power == GZ_POWER_ADAPTIVE &&
		    w->now - idle_since < (uint64_t)gz_cfg->spin_us * 1000 && yield(w))
			continue;
		if (whole != w->now) {
			whole = 0; /* not before all was looked at */
			continue;
		}
		if (!w->stop)
			sleep_for(w, wait);
	}
	return 0;
}

static int watch(int ep, int fd)
{
	struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

/* What tells of packets wakes who receives them. */
static int watch_port(const struct gz_worker *w, const struct gz_wire *wire)
{
	const struct gz_port *p = wire->port;
	int err = 0;

	for (unsigned i = 0; !err && wire->rx_queue >= 0 && i < p->nwait; i++)
		if (p->nwait != p->queues || (int)i == wire->rx_queue)
			err = watch(w->sleep_ep, p->wait_fd[i]);
	return err;
}

int gz_worker_init(void)
{
	struct gz_worker *w = &gz_worker;
	char name[24];
	int err;

	w->probe_fd = -1;
	STAILQ_INIT(&w->overflow);
	TAILQ_INIT(&w->dirty);
	LIST_INIT(&w->socks);
	LIST_INIT(&w->listeners);
	LIST_INIT(&w->planes);
	TAILQ_INIT(&w->leaving);
	LIST_INIT(&w->fading);
	snprintf(name, sizeof(name), "inbox%u", w->index);
	w->inbox = rte_ring_create(name, INBOX, SOCKET_ID_ANY, RING_F_SC_DEQ);
	snprintf(name, sizeof(name), "handed%u", w->index);
	w->handed = rte_ring_create(name, INBOX, SOCKET_ID_ANY, RING_F_SC_DEQ);
	if (!w->inbox || !w->handed)
		return -rte_errno;
	w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	w->relay_ep = epoll_create1(EPOLL_CLOEXEC);
	w->sleep_ep = epoll_create1(EPOLL_CLOEXEC);
	if (w->wake_fd < 0 || w->relay_ep < 0 || w->sleep_ep < 0)
		return -errno;
	err = watch(w->sleep_ep, w->wake_fd);
	if (!err)
		err = watch(w->sleep_ep, w->relay_ep);
	for (unsigned i = 0; !err && i < gz_nports; i++)
		err = watch_port(w, &w->wire[i]);
	if (err)
		return err;
	err = gz_stack_init();
	if (!err)
		err = gz_netif_init();
	return err ? err : gz_udp_watch(w);
}

void gz_worker_destroy(void)
{
	struct gz_worker *w = &gz_worker;

	close(w->wake_fd);
	close(w->relay_ep);
	close(w->sleep_ep);
	if (w->probe_fd >= 0)
		close(w->probe_fd);
	rte_ring_free(w->inbox);
	rte_ring_free(w->handed);
}

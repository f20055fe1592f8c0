/* SPDX-License-Identifier: BSD-3-Clause
 *
 * backlog.c - What waits for the Ethernet port, by priority: see backlog.h
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

#include <rte_mbuf.h>
#include <rte_ring.h>
#include <rte_ring_peek.h>

#include "dispatch/backlog.h"

#define BURST 32

int backlog_init(struct backlog *b, unsigned number)
{
	char name[RTE_RING_NAMESIZE];

	b->n = 0;
	for (unsigned i = 0; i < PRIORITIES; i++) {
		snprintf(name, sizeof(name), "backlog%u-%u", number, i);
		b->queue[i] = rte_ring_create(name, BACKLOG_EACH + 1, SOCKET_ID_ANY,
					      RING_F_SP_ENQ | RING_F_SC_DEQ);
		if (!b->queue[i])
			return -ENOMEM;
	}
	return 0;
}

void backlog_free(struct backlog *b)
{
	struct rte_mbuf *m;

	for (unsigned i = 0; i < PRIORITIES; i++) {
		while (b->queue[i] && !rte_ring_dequeue(b->queue[i], (void **)&m))
			rte_pktmbuf_free(m);
		rte_ring_free(b->queue[i]);
		b->queue[i] = NULL;
	}
	b->n = 0;
}

unsigned backlog_put(struct backlog *b, unsigned priority, struct rte_mbuf **m, unsigned n)
{
	unsigned put = rte_ring_enqueue_burst(b->queue[priority], (void **)m, n, NULL);

	b->n += put;
	return put;
}

unsigned backlog_highest(const struct backlog *b)
{
	unsigned i = atomic_load_explicit(&b->n, memory_order_relaxed) ? PRIORITIES - 1 : 0;

	while (i && rte_ring_empty(b->queue[i]))
		i--;
	return i;
}

unsigned backlog_send(struct backlog *b, unsigned least, backlog_send_fn *fn, void *arg)
{
	unsigned total = 0;

	for (unsigned i = PRIORITIES; b->n && i-- > least;) {
		struct rte_mbuf *m[BURST];
		unsigned n, sent = 0;

		do {
			n = rte_ring_dequeue_burst_start(b->queue[i], (void **)m, BURST, NULL);
			if (!n)
				break;
			sent = fn(arg, m, n);
			rte_ring_dequeue_finish(b->queue[i], sent);
			b->n -= sent;
			total += sent;
		} while (sent == n);
		if (n && sent < n)
			break;
	}
	return total;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * querier.c - Asking clients which multicast groups they are in: see querier.h
 */
#include <string.h>

#include <rte_cycles.h>
#include <rte_mbuf.h>

#include "dispatch/dispatch.h"
#include "dispatch/frames.h"
#include "dispatch/groups.h"
#include "dispatch/querier.h"

#define EARLY 2
#define EARLY_S (GROUPS_QUERY_S / 4) /* RFC 3376 8.6 */

static void send_to(struct worker *w, unsigned client, const uint8_t *f, unsigned len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->d->pool);
	char *to = m ? rte_pktmbuf_append(m, (uint16_t)len) : NULL;
	unsigned sent = 0;

	if (to) {
		memcpy(to, f, len);
		sent = link_tx(&w->d->link[client], w->number, &m, 1);
	}
	w->counters[client].tx += sent;
	rte_pktmbuf_free(m);
}

void querier_ask(struct querier *q, unsigned client)
{
	atomic_fetch_or(&q->asked, 1ull << client);
}

void querier_ask_all(struct querier *q)
{
	atomic_store(&q->asked, UINT64_MAX);
}

void querier_tick(struct worker *w)
{
	struct querier *q = &w->d->querier;
	uint64_t now_tsc = rte_rdtsc();
	uint8_t f[FRAME_ROOM];
	uint32_t now;

	if (now_tsc < q->next_tsc && !atomic_load_explicit(&q->asked, memory_order_relaxed))
		return;
	for (uint64_t asked = atomic_exchange(&q->asked, 0); asked;) {
		unsigned i = sw_take(&asked);

		q->at[i] = 0;
		q->early[i] = EARLY;
	}
	q->next_tsc = now_tsc + rte_get_tsc_hz();
	now = (uint32_t)(now_tsc / rte_get_tsc_hz());
	groups_tick(w->d->groups, now);
	for (uint64_t left = w->sw.table->clients; left;) {
		unsigned i = sw_take(&left);

		if (now < q->at[i])
			continue;
		q->early[i] -= q->early[i] > 0;
		q->at[i] = now + (q->early[i] ? EARLY_S : GROUPS_QUERY_S);
		send_to(w, i, f, frame_igmp_query(f, &w->sw.mac));
		send_to(w, i, f, frame_mld_query(f, &w->sw.mac));
	}
}

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

static void send_to(struct dispatch *d, unsigned client, const uint8_t *f, unsigned len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(d->pool);
	char *to = m ? rte_pktmbuf_append(m, (uint16_t)len) : NULL;
	unsigned sent = 0;

	if (to) {
		memcpy(to, f, len);
		sent = link_tx(&d->link[client], &m, 1);
	}
	d->counters[client].tx += sent;
	rte_pktmbuf_free(m);
}

void querier_ask(struct dispatch *d, unsigned client)
{
	d->querier.at[client] = 0;
	d->querier.early[client] = EARLY;
	d->querier.next_tsc = 0;
}

void querier_ask_all(struct dispatch *d)
{
	for (uint64_t left = d->sw.table->clients; left;)
		querier_ask(d, sw_take(&left));
}

void querier_tick(struct dispatch *d)
{
	struct querier *q = &d->querier;
	uint64_t now_tsc = rte_rdtsc();
	uint8_t f[FRAME_ROOM];
	uint32_t now;

	if (now_tsc < q->next_tsc)
		return;
	q->next_tsc = now_tsc + rte_get_tsc_hz();
	now = (uint32_t)(now_tsc / rte_get_tsc_hz());
	groups_tick(d->sw.groups, now);
	for (uint64_t left = d->sw.table->clients; left;) {
		unsigned i = sw_take(&left);

		if (now < q->at[i])
			continue;
		q->early[i] -= q->early[i] > 0;
		q->at[i] = now + (q->early[i] ? EARLY_S : GROUPS_QUERY_S);
		send_to(d, i, f, frame_igmp_query(f, &d->sw.mac));
		send_to(d, i, f, frame_mld_query(f, &d->sw.mac));
	}
}

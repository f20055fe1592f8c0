/* SPDX-License-Identifier: BSD-3-Clause
 *
 * limits.c - How much a client may send and receive: see limits.h
 */
#include <stdlib.h>

#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_mbuf.h>

#include "dispatch/connections.h"
#include "dispatch/limits.h"

/* What TCP sends at once must fit, whatever the rate */
#define BURST_MS 50
#define BURST_BYTES_MIN 32768
#define BURST_PACKETS_MIN 32

/* @rate: units a second, 0: no limit */
static int bucket_init(struct bucket *b, uint64_t rate, uint64_t burst_min)
{
	struct rte_meter_srtcm_params p = {.cir = rate,
					   .cbs = RTE_MAX(rate * BURST_MS / 1000, burst_min)};
	int rc;

	b->on = rate != 0;
	if (!rate)
		return 0;
	rc = rte_meter_srtcm_profile_config(&b->profile, &p);
	return rc ? rc : rte_meter_srtcm_config(&b->meter, &b->profile);
}

int limit_init(struct limit *l, uint32_t kbits, uint32_t packets)
{
	int rc = bucket_init(&l->bytes, kbits * 125ull, BURST_BYTES_MIN);

	return rc ? rc : bucket_init(&l->packets, packets, BURST_PACKETS_MIN);
}

struct limits *limits_new(const struct gz_dispatch_client *c)
{
	struct limits *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->priority = (uint8_t)c->priority;
	if (c->connections)
		l->connections = connections_new(c->connections);
	if (limit_init(&l->send, c->send_kbits, c->send_packets) ||
	    limit_init(&l->receive, c->receive_kbits, c->receive_packets) ||
	    (c->connections && !l->connections)) {
		limits_free(l);
		return NULL;
	}
	return l;
}

void limits_free(struct limits *l)
{
	if (l)
		connections_free(l->connections);
	free(l);
}

static bool fits(struct bucket *b, uint64_t now, uint32_t units)
{
	return !b->on || rte_meter_srtcm_color_blind_check(&b->meter, &b->profile, now, units) ==
			     RTE_COLOR_GREEN;
}

unsigned limit_burst(struct limit *l, struct rte_mbuf **m, unsigned n)
{
	unsigned kept = 0;
	uint64_t now;

	if (!limit_is_set(l))
		return n;
	rte_spinlock_lock(&l->lock);
	now = rte_rdtsc();
	for (unsigned i = 0; i < n; i++) {
		if (fits(&l->packets, now, 1) && fits(&l->bytes, now, m[i]->pkt_len))
			m[kept++] = m[i];
		else
			rte_pktmbuf_free(m[i]);
	}
	rte_spinlock_unlock(&l->lock);
	return kept;
}

unsigned limit_fit(struct limit *l, struct rte_mbuf **m, unsigned n)
{
	unsigned may = 0;
	uint64_t now;

	if (!limit_is_set(l))
		return n;
	rte_spinlock_lock(&l->lock);
	now = rte_rdtsc();
	while (may < n && fits(&l->packets, now, 1) && fits(&l->bytes, now, m[may]->pkt_len))
		may++;
	rte_spinlock_unlock(&l->lock);
	return may;
}

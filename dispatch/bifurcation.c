/* SPDX-License-Identifier: BSD-3-Clause
 *
 * bifurcation.c - A card that the kernel keeps beside dispatch: see bifurcation.h
 */
#include <stdio.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_flow.h>

#include "dispatch/dispatch.h"

#define RSS_TYPES (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP)

/**
 * ask() - For frames to these destinations, of any VLAN and protocol, over all queues
 * @why:	Filled if it is refused
 *
 * Return: the rule, which the driver owns, or NULL
 */
static struct rte_flow *ask(const struct gz_port *p, const struct rte_ether_addr *to,
			    const struct rte_ether_addr *mask, char *why, size_t n)
{
	const struct rte_flow_attr attr = {.ingress = 1};
	const struct rte_flow_item_eth spec = {.hdr.dst_addr = *to}, bits = {.hdr.dst_addr = *mask};
	const struct rte_flow_item pattern[] = {
	    {.type = RTE_FLOW_ITEM_TYPE_ETH, .spec = &spec, .mask = &bits},
	    {.type = RTE_FLOW_ITEM_TYPE_END},
	};
	uint16_t queues[GZ_CPUS_MAX] = {0};
	struct rte_eth_dev_info info = {0};
	struct rte_flow_action_rss rss = {.queue_num = p->queues, .queue = queues};
	const struct rte_flow_action_queue queue = {.index = 0};
	const struct rte_flow_action one[] = {
	    {.type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &queue},
	    {.type = RTE_FLOW_ACTION_TYPE_END},
	};
	const struct rte_flow_action many[] = {
	    {.type = RTE_FLOW_ACTION_TYPE_RSS, .conf = &rss},
	    {.type = RTE_FLOW_ACTION_TYPE_END},
	};
	struct rte_flow_error e = {0};
	struct rte_flow *rule;

	for (uint16_t i = 0; i < p->queues; i++)
		queues[i] = i;
	rte_eth_dev_info_get(p->id, &info);
	rss.types = info.flow_type_rss_offloads & RSS_TYPES;
	rule = rte_flow_create(p->id, &attr, pattern, p->queues > 1 ? many : one, &e);
	if (!rule)
		snprintf(why, n, "rte_flow_create: %s",
			 e.message ? e.message : rte_strerror(rte_errno));
	return rule;
}

static struct rte_flow *ask_for_groups(const struct gz_port *p, char *why, size_t n)
{
	static const struct rte_ether_addr group = {.addr_bytes = {RTE_ETHER_GROUP_ADDR}};

	return ask(p, &group, &group, why, n);
}

static struct rte_flow *ask_for_client(const struct gz_port *p, uint64_t mac, char *why, size_t n)
{
	static const struct rte_ether_addr all = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
	struct rte_ether_addr to;

	memcpy(&to, &mac, sizeof(to)); /* of sw_seen_mac() */
	return ask(p, &to, &all, why, n);
}

bool bifurcation_begin(struct dispatch *d, const struct gz_port *p)
{
	struct bifurcation *b = &d->bifurcation;
	char why[sizeof(b->why)] = "";
	bool on;

	if (!p->isolated)
		snprintf(why, sizeof(why), "%s", p->refusal);
	on = p->isolated && ask_for_groups(p, why, sizeof(why));
	pthread_mutex_lock(&b->lock);
	memcpy(b->why, why, sizeof(why));
	pthread_mutex_unlock(&b->lock);
	memset(b->client, 0, sizeof(b->client));
	atomic_store(&b->rules, on);
	atomic_store(&b->on, on);
	if (on)
		say(GZ_LOG_INFO, "%s: the card gives the kernel by %s what is not for clients",
		    p->device, d->config.kernel_own);
	else
		say(GZ_LOG_WARN,
		    "%s: %s: all that comes is taken, and what is the kernel's goes by %s",
		    p->device, why, d->config.kernel_iface);
	return on || !p->isolated;
}

/** change() - The rule for client @i, whose MAC address is @mac; 0: unknown */
static void change(struct dispatch *d, const struct gz_port *p, unsigned i, uint64_t mac)
{
	struct bifurcation *b = &d->bifurcation;
	char why[sizeof(b->why)] = "";

	if (b->client[i].rule) {
		rte_flow_destroy(p->id, b->client[i].rule, NULL);
		atomic_fetch_sub(&b->rules, 1);
	}
	b->client[i].rule = mac ? ask_for_client(p, mac, why, sizeof(why)) : NULL;
	b->client[i].mac = b->client[i].rule ? mac : 0;
	if (b->client[i].rule) {
		atomic_fetch_add(&b->rules, 1);
		b->client[i].complained = false;
	} else if (mac && !b->client[i].complained) {
		b->client[i].complained = true;
		atomic_fetch_add(&b->refused, 1);
		pthread_mutex_lock(&d->clients.lock);
		say(GZ_LOG_ERROR, "client %s hears nothing of the card: %s",
		    d->clients.place[i].conf.name, why);
		pthread_mutex_unlock(&d->clients.lock);
	}
}

void bifurcation_sync(struct dispatch *d, const struct gz_port *p)
{
	if (!atomic_load(&d->bifurcation.on))
		return;
	for (unsigned i = 0; i < GZ_CLIENTS_MAX; i++) {
		bool there = atomic_load(&d->link[i].vid) >= 0;
		uint64_t mac = there ? sw_seen_mac(&d->seen, i) : 0;

		if (mac != d->bifurcation.client[i].mac)
			change(d, p, i, mac);
	}
}

void bifurcation_end(struct dispatch *d, const struct gz_port *p)
{
	if (!atomic_exchange(&d->bifurcation.on, false))
		return;
	rte_flow_flush(p->id, NULL);
	atomic_store(&d->bifurcation.rules, 0);
}

void bifurcation_why(struct dispatch *d, char *text, size_t n)
{
	pthread_mutex_lock(&d->bifurcation.lock);
	snprintf(text, n, "%s", d->bifurcation.why);
	pthread_mutex_unlock(&d->bifurcation.lock);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * table.c - Whose the addresses are: main fills the table, see switch.h
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch/switch.h"

static uint32_t mask4(unsigned len)
{
	return len ? htonl(~0u << (32 - len)) : 0;
}

/* Longest prefix first: in host order a longer mask is the larger number */
static int by_length(const void *a, const void *b)
{
	uint32_t x = ntohl(((const struct sw_route *)a)->mask);
	uint32_t y = ntohl(((const struct sw_route *)b)->mask);

	return x < y ? 1 : x > y ? -1 : 0;
}

void sw_table_own(struct sw_table *t, unsigned client, const struct gz_prefix *p)
{
	t->clients |= 1ull << client;
	if (!p->set)
		return;
	if (!IN6_IS_ADDR_V4MAPPED(&p->addr)) {
		t->r6[t->n6++] = (struct sw_route6){.net = *p, .client = client};
	} else {
		uint32_t mask = mask4(p->len - 96u);

		t->r4[t->n4++] = (struct sw_route){
		    .addr = p->addr.s6_addr32[3] & mask, .mask = mask, .client = client};
	}
}

void sw_table_share(struct sw_table *t, unsigned client, const struct sw_ports *ports)
{
	struct sw_route *r = t->r4, *end = t->r4 + t->n4;

	while (r < end && r->ports != ports)
		r++;
	if (r == end) {
		*r = (struct sw_route){
		    .addr = ports->addr, .mask = UINT32_MAX, .client = client, .ports = ports};
		t->n4++;
		t->nshared++;
	}
	r->members |= 1ull << client;
	t->clients |= 1ull << client;
}

void sw_table_vlan(struct sw_table *t, unsigned client, uint16_t vlan)
{
	t->vlan[client] = vlan ? vlan : t->native;
	t->vlans[t->vlan[client] / 8] |= (uint8_t)(1 << t->vlan[client] % 8);
}

bool sw_is_vlan(const struct sw_table *t, uint16_t vlan)
{
	return vlan == t->native || t->vlans[vlan / 8] >> vlan % 8 & 1;
}

static int by_length6(const void *a, const void *b)
{
	return ((const struct sw_route6 *)b)->net.len - ((const struct sw_route6 *)a)->net.len;
}

void sw_table_seal(struct sw_table *t)
{
	qsort(t->r6, t->n6, sizeof(t->r6[0]), by_length6);
	qsort(t->r4, t->n4, sizeof(t->r4[0]), by_length);
}

bool sw_in_prefix(const struct gz_prefix *p, const struct in6_addr *a)
{
	unsigned bytes = p->len / 8, bits = p->len % 8;

	if (!p->set || memcmp(&p->addr, a, bytes))
		return false;
	return !bits || !((p->addr.s6_addr[bytes] ^ a->s6_addr[bytes]) & (0xff00 >> bits & 0xff));
}

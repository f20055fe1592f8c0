/* SPDX-License-Identifier: BSD-3-Clause
 *
 * connections.c - How many TCP connections a client may have: see connections.h
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ether.h>
#include <rte_hash.h>
#include <rte_ip.h>
#include <rte_jhash.h>
#include <rte_random.h>
#include <rte_tcp.h>

#include "dispatch/connections.h"

#define ROOM_MIN 8 /* rte_hash's */
#define ETH_LEN sizeof(struct rte_ether_hdr)

/* Who has sent what */
enum { BY_CLIENT = 1, TO_CLIENT = 2, BOTH = 3 };

/* As the client sees it; IPv4 in the last four bytes */
struct key {
	uint8_t own[16], peer[16];
	uint16_t own_port, peer_port;
};

struct connection {
	uint32_t until;
	uint8_t seen, fin;
};

struct connections {
	struct rte_hash *hash;
	uint32_t max, n, swept;
	struct connection at[];
};

struct connections *connections_new(uint32_t max)
{
	static unsigned number;
	uint32_t room = RTE_MAX(max, (uint32_t)ROOM_MIN);
	struct connections *c = calloc(1, sizeof(*c) + room * sizeof(c->at[0]));
	char name[RTE_HASH_NAMESIZE];
	struct rte_hash_parameters p = {
	    .name = name,
	    .entries = room,
	    .key_len = sizeof(struct key),
	    .hash_func = rte_jhash,
	    .hash_func_init_val = (uint32_t)rte_rand(),
	    .socket_id = SOCKET_ID_ANY,
	    .extra_flag = RTE_HASH_EXTRA_FLAGS_EXT_TABLE,
	};

	snprintf(name, sizeof(name), "connections%u", number++);
	if (!c)
		return NULL;
	c->max = max;
	c->hash = rte_hash_create(&p);
	if (!c->hash) {
		free(c);
		return NULL;
	}
	return c;
}

void connections_free(struct connections *c)
{
	if (!c)
		return;
	rte_hash_free(c->hash);
	free(c);
}

static void key_of(struct key *k, const uint8_t *frame, const struct rte_tcp_hdr *t, bool sent)
{
	bool six = ((const struct rte_ether_hdr *)frame)->ether_type == htons(RTE_ETHER_TYPE_IPV6);
	size_t size = six ? sizeof(k->own) : sizeof(uint32_t);
	const uint8_t *src = frame + ETH_LEN +
			     (six ? offsetof(struct rte_ipv6_hdr, src_addr)
				  : offsetof(struct rte_ipv4_hdr, src_addr));

	memset(k, 0, sizeof(*k));
	memcpy((sent ? k->own : k->peer) + sizeof(k->own) - size, src, size);
	memcpy((sent ? k->peer : k->own) + sizeof(k->own) - size, src + size, size);
	k->own_port = sent ? t->src_port : t->dst_port;
	k->peer_port = sent ? t->dst_port : t->src_port;
}

static void drop(struct connections *c, const struct key *k)
{
	if (rte_hash_del_key(c->hash, k) >= 0)
		c->n--;
}

/* What has been idle, or did not open */
static void sweep(struct connections *c, uint32_t now)
{
	uint32_t next = 0;
	const void *key;
	void *data;
	int at;

	if (now == c->swept)
		return;
	c->swept = now;
	while ((at = rte_hash_iterate(c->hash, &key, &data, &next)) >= 0) {
		struct key k = *(const struct key *)key;

		if (c->at[at].until <= now)
			drop(c, &k);
	}
}

/* Return: NULL if there is no room */
static struct connection *add(struct connections *c, const struct key *k, uint32_t now)
{
	int at;

	if (c->n >= c->max)
		sweep(c, now);
	if (c->n >= c->max)
		return NULL;
	at = rte_hash_add_key(c->hash, k);
	if (at < 0)
		return NULL;
	c->n++;
	c->at[at] = (struct connection){0};
	return &c->at[at];
}

/* Has it data?  By the IP header's length: a frame may be padded */
static bool has_data(const uint8_t *frame, unsigned tcp, const struct rte_tcp_hdr *t)
{
	const uint8_t *ip = frame + ETH_LEN;
	unsigned end = ip[0] >> 4 == 4
			   ? (unsigned)ip[2] << 8 | ip[3]
			   : sizeof(struct rte_ipv6_hdr) + ((unsigned)ip[4] << 8 | ip[5]);

	return ETH_LEN + end > tcp + (t->data_off >> 4) * 4u;
}

bool connection_passes(struct connections *c, const uint8_t *frame, unsigned tcp, bool sent,
		       uint32_t now)
{
	struct connection *known;
	struct rte_tcp_hdr t;
	struct key k;
	int at;

	memcpy(&t, frame + tcp, sizeof(t));
	key_of(&k, frame, &t, sent);
	at = rte_hash_lookup(c->hash, &k);
	known = at < 0 ? NULL : &c->at[at];
	if (t.tcp_flags & RTE_TCP_RST_FLAG) {
		if (known)
			drop(c, &k);
		return true;
	}
	if ((t.tcp_flags & (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG)) == RTE_TCP_SYN_FLAG) {
		known = known ? known : add(c, &k, now);
		if (!known)
			return false;
		known->seen = known->fin = 0; /* or again, by the same ports */
	} else if (!known && sent && !(t.tcp_flags & RTE_TCP_FIN_FLAG) &&
		   has_data(frame, tcp, &t)) {
		known = add(c, &k, now);
	}
	if (!known)
		return true;
	known->seen |= sent ? BY_CLIENT : TO_CLIENT;
	known->until = now + (known->seen == BOTH ? CONNECTION_IDLE_S : CONNECTION_OPENING_S);
	if (t.tcp_flags & RTE_TCP_FIN_FLAG) {
		known->fin |= sent ? BY_CLIENT : TO_CLIENT;
		if (known->fin == BOTH)
			drop(c, &k);
	}
	return true;
}

unsigned connections_count(const struct connections *c)
{
	return c->n;
}

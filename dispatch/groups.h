/* SPDX-License-Identifier: BSD-3-Clause
 *
 * groups.h - Which clients have joined which multicast groups
 *
 * A table in a hash (rte_hash), with room for GROUPS_EACH groups of every client: one that
 * joins more is refused, and nobody else.  What is not reported again for
 * GROUPS_HOLD_S is forgotten (RFC 3376 8.4: twice the interval of queries, and
 * the time to answer).  All workers', under a lock; the clock is its caller's.
 */
#ifndef GZ_DISPATCH_GROUPS_H
#define GZ_DISPATCH_GROUPS_H

#include <stdbool.h>
#include <stdint.h>
#include <netinet/in.h>

#define GROUPS_EACH 128
#define GROUPS_QUERY_S 125
#define GROUPS_HOLD_S (2 * GROUPS_QUERY_S + 10)

struct groups;

/** groups_new() - Nobody is in any.  After EAL's start.  Return: NULL without memory */
struct groups *groups_new(unsigned number);
void groups_free(struct groups *g);

/** groups_tick() - It is @now seconds; sweeps now and then.  At least once in a few seconds */
void groups_tick(struct groups *g, uint32_t now);

/**
 * groups_join() - A client reports that it is a member
 * @group:	IPv4 as v4-mapped
 *
 * Return: false if it is in GROUPS_EACH others
 */
bool groups_join(struct groups *g, unsigned client, const struct in6_addr *group);
void groups_leave(struct groups *g, unsigned client, const struct in6_addr *group);

/** groups_members() - Return: a bit for each client that is in it */
uint64_t groups_members(struct groups *g, const struct in6_addr *group);

/** groups_forget() - All of a client's */
void groups_forget(struct groups *g, unsigned client);

/** groups_of() - In how many a client is.  @refused: how often it was refused.  Any thread */
unsigned groups_of(const struct groups *g, unsigned client, uint64_t *refused);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * backlog.h - What waits for the Ethernet port, by priority
 *
 * Theory of operation: as long as the port takes all, nothing waits.  Else frames queue
 * (rte_ring, one a priority), and the port gets those of the highest priority first
 * (strict order); a queue that is full drops what comes.  Of one priority nothing is
 * overtaken.  Each worker has one; of several it sends what is of the highest priority that
 * waits anywhere.
 */
#ifndef GZ_DISPATCH_BACKLOG_H
#define GZ_DISPATCH_BACKLOG_H

#include "config/config.h"

#define PRIORITIES (GZ_PRIORITY_MAX + 1)
#define BACKLOG_EACH 255 /* frames; a power of two less one */

struct rte_mbuf;
struct rte_ring;

struct backlog {
	_Atomic unsigned n; /* other workers look, too */
	struct rte_ring *queue[PRIORITIES];
};

/** Sends frames, of which it takes the first ones.  Return: how many */
typedef unsigned backlog_send_fn(void *arg, struct rte_mbuf **m, unsigned n);

/** backlog_init() - @number: of several.  After EAL's start.  Return: 0 or -ENOMEM */
int backlog_init(struct backlog *b, unsigned number);
void backlog_free(struct backlog *b);

/**
 * backlog_put() - Queue what the port did not take
 * @priority:	0 to PRIORITIES - 1, the highest
 *
 * Return: how many; the others are the caller's
 */
unsigned backlog_put(struct backlog *b, unsigned priority, struct rte_mbuf **m, unsigned n);

/** backlog_highest() - Of what waits; 0, if nothing does.  Any worker */
unsigned backlog_highest(const struct backlog *b);

/**
 * backlog_send() - As much as the port takes
 * @least:	Of what priority; the rest waits
 *
 * Return: how many
 */
unsigned backlog_send(struct backlog *b, unsigned least, backlog_send_fn *fn, void *arg);

#endif

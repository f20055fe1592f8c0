/* SPDX-License-Identifier: BSD-3-Clause
 *
 * bond.h - Which of several ports is active
 *
 * Theory of operation: active-backup (mode 1 of Linux's bonding, networking/
 * bonding.rst), without DPDK's bonding driver, which starts on few virtual devices
 * and learns of no dead path.  Here is the decision only: facts come in
 * (bond_link(), bond_answer()), bond_tick() says what follows.  No clock, no
 * device, no lock: the worker owns it.
 *
 * A port is as good as its state:
 *
 *   ABSENT	its device is not there
 *   DOWN	it is, without a link
 *   SILENT	the link is up, but no neighbour answers over it (ARP/ND probes)
 *   GOOD	else
 *
 * The active port is replaced when another one's state is better, and, with
 * failback always, when an earlier one of the list is good again for up_delay.  So a
 * neighbour that is gone for all ports changes nothing, and a bad port that is all
 * there is is used.
 *
 * After a change frames of the one that was active are still welcome for GRACE_MS:
 * the network may learn of the change later than we do.  Later, and from other
 * ports, they would be copies of what comes by the active one.
 */
#ifndef GZ_DISPATCH_BOND_H
#define GZ_DISPATCH_BOND_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

#define BOND_GRACE_MS 1000

enum bond_state { BOND_ABSENT, BOND_DOWN, BOND_SILENT, BOND_GOOD };

struct bond_port {
	enum bond_state state;
	bool present, link; /* as bond_link() had it */
	bool asked;	    /* a probe is out */
	unsigned misses;    /* probes in a row without an answer */
	uint64_t since_ms;  /* in this state */
	uint64_t answers, lost;
};

struct bond {
	const struct gz_bond_config *config;
	unsigned n;
	_Atomic int active; /* port, or -1 while all are absent */
	int before;	    /* the one that was, until grace_ms; -1: none */
	uint64_t grace_ms;
	uint64_t probe_ms; /* of the next probes */
	uint64_t switches;
	struct bond_port port[GZ_BOND_PORTS_MAX];
};

/** bond_init() - @n ports, all absent.  @c stays the caller's and is referred to */
void bond_init(struct bond *b, const struct gz_bond_config *c, unsigned n, uint64_t now_ms);

/** bond_link() - Is the device of port @i there, and has it a link? */
void bond_link(struct bond *b, unsigned i, bool present, bool link, uint64_t now_ms);

/** bond_answer() - A neighbour answered a probe over port @i */
void bond_answer(struct bond *b, unsigned i);

/**
 * bond_tick() - Draw the conclusions
 * @probe:	Filled: bits of the ports over which to probe now
 *
 * Return: true if another port is active than before
 */
bool bond_tick(struct bond *b, uint64_t now_ms, uint32_t *probe);

/** bond_next_ms() - When bond_tick() is to be called again at the latest */
uint64_t bond_next_ms(const struct bond *b);

/** bond_accepts() - Is a frame of port @i not to be taken for a copy? */
bool bond_accepts(const struct bond *b, unsigned i, uint64_t now_ms);

/** bond_state_name() - Static text */
const char *bond_state_name(enum bond_state s);

#endif

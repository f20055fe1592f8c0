/* SPDX-License-Identifier: BSD-3-Clause
 *
 * bond.c - Which of several ports is active: see bond.h
 */
#include <string.h>

#include "dispatch/bond.h"

static const char *const names[] = {
    [BOND_ABSENT] = "absent", [BOND_DOWN] = "down", [BOND_SILENT] = "silent", [BOND_GOOD] = "good"};

const char *bond_state_name(enum bond_state s)
{
	return names[s];
}

void bond_init(struct bond *b, const struct gz_bond_config *c, unsigned n, uint64_t now_ms)
{
	memset(b, 0, sizeof(*b));
	b->config = c;
	b->n = n;
	b->active = b->before = -1;
	b->probe_ms = c->ntargets ? now_ms : UINT64_MAX;
	for (unsigned i = 0; i < n; i++)
		b->port[i].since_ms = now_ms;
}

/** update() - What the facts make of a port */
static void update(struct bond *b, struct bond_port *p, uint64_t now_ms)
{
	enum bond_state s = BOND_GOOD;

	if (!p->present)
		s = BOND_ABSENT;
	else if (!p->link)
		s = BOND_DOWN;
	else if (b->config->ntargets && p->misses >= b->config->probe_misses)
		s = BOND_SILENT;
	if (s == p->state)
		return;
	p->state = s;
	p->since_ms = now_ms;
}

void bond_link(struct bond *b, unsigned i, bool present, bool link, uint64_t now_ms)
{
	struct bond_port *p = &b->port[i];

	/* what it did not answer while it was down says nothing */
	if (!(p->present && p->link) && present && link) {
		p->misses = 0;
		p->asked = false;
	}
	p->present = present;
	p->link = link;
	update(b, p, now_ms);
}

void bond_answer(struct bond *b, unsigned i)
{
	struct bond_port *p = &b->port[i];

	p->answers++;
	p->asked = false;
	p->misses = 0;
}

/** probes() - Count what was not answered.  Return: bits of the ports to probe */
static uint32_t probes(struct bond *b, uint64_t now_ms)
{
	uint32_t bits = 0;

	if (now_ms < b->probe_ms)
		return 0;
	b->probe_ms = now_ms + b->config->probe_interval_ms;
	for (unsigned i = 0; i < b->n; i++) {
		struct bond_port *p = &b->port[i];

		if (!p->present || !p->link)
			continue;
		if (p->asked) {
			p->lost++;
			p->misses++;
		}
		p->asked = true;
		bits |= 1u << i;
	}
	return bits;
}

/** is_wanted() - Is it time to go back to an earlier port? */
static bool is_wanted(const struct bond *b, const struct bond_port *p, uint64_t now_ms)
{
	return b->config->failback == GZ_FAILBACK_ALWAYS && p->state == BOND_GOOD &&
	       now_ms - p->since_ms >= b->config->up_delay_ms;
}

bool bond_tick(struct bond *b, uint64_t now_ms, uint32_t *probe)
{
	int best = -1, to;

	*probe = probes(b, now_ms);
	for (unsigned i = 0; i < b->n; i++) {
		struct bond_port *p = &b->port[i];

		update(b, p, now_ms);
		if (p->state != BOND_ABSENT && (best < 0 || p->state > b->port[best].state))
			best = (int)i;
	}
	to = b->active;
	if (best < 0)
		to = -1;
	else if (to < 0 || b->port[best].state > b->port[to].state)
		to = best;
	for (int i = 0; i < to; i++) {
		if (is_wanted(b, &b->port[i], now_ms)) {
			to = i;
			break;
		}
	}
	if (b->before >= 0 && now_ms >= b->grace_ms)
		b->before = -1;
	if (to == b->active)
		return false;
	b->before = b->active;
	b->grace_ms = now_ms + BOND_GRACE_MS;
	b->active = to;
	b->switches += b->before >= 0 && to >= 0;
	return true;
}

uint64_t bond_next_ms(const struct bond *b)
{
	uint64_t next = b->probe_ms;

	for (int i = 0; i < b->active; i++) {
		const struct bond_port *p = &b->port[i];

		if (p->state == BOND_GOOD && b->config->failback == GZ_FAILBACK_ALWAYS &&
		    p->since_ms + b->config->up_delay_ms < next)
			next = p->since_ms + b->config->up_delay_ms;
	}
	return next;
}

bool bond_accepts(const struct bond *b, unsigned i, uint64_t now_ms)
{
	return (int)i == b->active || ((int)i == b->before && now_ms < b->grace_ms);
}

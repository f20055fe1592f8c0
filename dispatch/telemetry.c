/* SPDX-License-Identifier: BSD-3-Clause
 *
 * telemetry.c - /gazelle/dispatch on DPDK's telemetry socket
 *
 * Theory of operation: one table of counters, printed for the port as "port_rx", of several
 * as "port_NAME_rx", and for each client as "NAME_rx".  The answer is flat; DPDK allows 256
 * entries in one, which is the port, the kernel and the first 21 clients.  With a name, as in
 * "/gazelle/dispatch,engine1", it holds that client's only.  /gazelle/dispatch/clients
 * has them all, a page at a time.
 *
 * Orders come the same way: who may open the socket may stop the process anyhow.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_mempool.h>
#include <rte_telemetry.h>

#include "dispatch/connections.h"
#include "dispatch/dispatch.h"
#include "dispatch/groups.h"

static const struct {
	const char *name;
	size_t offset;
} table[] = {
#define ROW(field)                                                                                 \
	{                                                                                          \
#field, offsetof(struct counters, field)                                           \
	}
    ROW(rx),	    ROW(tx),	  ROW(dropped),	  ROW(limited),
    ROW(malformed), ROW(spoofed), ROW(unclaimed), ROW(vlan),
#undef ROW
};

#define ROWS (sizeof(table) / sizeof(table[0]))

static struct dispatch *first; /* port */

/** add() - One figure; @owner's '.' and '-' are not allowed in a name there */
static void add(struct rte_tel_data *t, const char *owner, const char *name, uint64_t value)
{
	char key[2 * GZ_NAME_MAX];

	snprintf(key, sizeof(key), "%s_%s", owner, name);
	for (char *c = key; *c; c++) {
		if (!isalnum((unsigned char)*c))
			*c = '_';
	}
	rte_tel_data_add_dict_u64(t, key, value);
}

/** counted() - Of one port of the switch, by all workers */
static uint64_t counted(const struct dispatch *d, unsigned port, size_t row)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < d->nworkers; i++)
		sum += *(const uint64_t *)((const char *)&d->worker[i].counters[port] +
					   table[row].offset);
	return sum;
}

/** taken_by() - Frames that came to one thread */
static uint64_t taken_by(const struct worker *lead)
{
	uint64_t sum = 0;

	for (const struct worker *w = lead; w; w = w->next) {
		for (unsigned i = 0; i < SW_PORTS; i++)
			sum += w->counters[i].rx;
	}
	return sum;
}

static void add_counters(struct rte_tel_data *t, const struct dispatch *d, const char *owner,
			 unsigned port)
{
	for (size_t i = 0; i < ROWS; i++)
		add(t, owner, table[i].name, counted(d, port, i));
}

static void add_port_counters(struct rte_tel_data *t, const struct dispatch *d, const char *what,
			      unsigned port)
{
	char owner[GZ_NAME_MAX + 8];

	snprintf(owner, sizeof(owner), "%s%s%s", what, d->name[0] ? "_" : "", d->name);
	add_counters(t, d, owner, port);
}

static void add_client(struct rte_tel_data *t, const struct dispatch *d, unsigned i)
{
	const char *name = d->clients.place[i].conf.name;
	const struct link *l = &d->link[i];

	add(t, name, "link", atomic_load(&l->vid) >= 0);
	add(t, name, "sessions", atomic_load(&l->sessions));
	add_counters(t, d, name, i);
}

/** add_clients() - The first @room of a port.  Return: how many */
static unsigned add_clients(struct rte_tel_data *t, struct dispatch *d, unsigned room)
{
	unsigned n = 0;

	pthread_mutex_lock(&d->clients.lock);
	for (unsigned i = 0; i < GZ_CLIENTS_MAX && n < room; i++) {
		if (!d->clients.place[i].used)
			continue;
		add_client(t, d, i);
		n++;
	}
	pthread_mutex_unlock(&d->clients.lock);
	return n;
}

/** add_named() - Return: 0, -1 if there is no such client at this port */
static int add_named(struct rte_tel_data *t, struct dispatch *d, const char *name)
{
	int rc = -1;

	pthread_mutex_lock(&d->clients.lock);
	for (unsigned i = 0; i < GZ_CLIENTS_MAX && rc; i++) {
		const struct client *c = &d->clients.place[i];

		if (!c->used || strcmp(c->conf.name, name))
			continue;
		add_client(t, d, i);
		rc = 0;
	}
	pthread_mutex_unlock(&d->clients.lock);
	return rc;
}

/* What workers have in common, at all ports */
struct sums {
	struct finished done;
	uint64_t waiting;
};

static void add_up(struct sums *s, const struct dispatch *d)
{
	for (unsigned i = 0; i < d->nworkers; i++) {
		s->waiting += d->worker[i].backlog.n;
		s->done.large += d->worker[i].finished.large;
		s->done.cut += d->worker[i].finished.cut;
		s->done.summed += d->worker[i].finished.summed;
	}
}

/** add_bifurcation() - If it is wanted.  Return: how many entries */
static unsigned add_bifurcation(struct rte_tel_data *t, struct dispatch *d)
{
	struct bifurcation *b = &d->bifurcation;
	char why[sizeof(b->why)];

	if (!d->config.kernel_own[0])
		return 0;
	bifurcation_why(d, why, sizeof(why));
	add(t, "bifurcation", "used", atomic_load(&b->on));
	add(t, "bifurcation", "rules", atomic_load(&b->rules));
	add(t, "bifurcation", "refused", atomic_load(&b->refused));
	rte_tel_data_add_dict_string(t, "bifurcation_why", why);
	return 4;
}

static int handle(const char *cmd, const char *params, struct rte_tel_data *t)
{
	unsigned entries = 7 + first->nworkers; /* ours, below */
	uint64_t sleeps = 0;
	struct sums s = {0};
	char name[24];
	int rc = -1;

	(void)cmd;
	rte_tel_data_start_dict(t);
	if (params && *params) {
		for (struct dispatch *d = first; d && rc; d = d->next)
			rc = add_named(t, d, params);
		return rc;
	}
	for (const struct dispatch *d = first; d; d = d->next) {
		add_port_counters(t, d, "port", SW_PORT);
		if (d->kernel.fd >= 0)
			add_port_counters(t, d, "kernel", SW_KERNEL);
		entries += d->kernel.fd >= 0 ? 2 * ROWS : ROWS;
		add_up(&s, d);
	}
	for (unsigned i = 0; i < first->nworkers; i++) {
		snprintf(name, sizeof(name), "worker_%u", i);
		add(t, name, "rx", taken_by(&first->worker[i]));
		sleeps += first->worker[i].sleeps;
	}
	entries += add_bifurcation(t, first); /* there is one port then */
	add(t, "worker", "sleeps", sleeps);
	add(t, "backlog", "frames", s.waiting);
	add(t, "memory", "faults", links_faults());
	add(t, "frames", "large", s.done.large);
	add(t, "frames", "cut", s.done.cut);
	add(t, "frames", "summed", s.done.summed);
	add(t, "mbufs", "free", rte_mempool_avail_count(first->pool));
	/* A client has link and sessions besides */
	for (struct dispatch *d = first; d; d = d->next)
		entries +=
		    (unsigned)(ROWS + 2) *
		    add_clients(t, d, (RTE_TEL_MAX_DICT_ENTRIES - entries) / (unsigned)(ROWS + 2));
	return 0;
}

static int add_numbered(struct rte_tel_data *t, unsigned number, struct rte_tel_data *what)
{
	char key[16];

	snprintf(key, sizeof(key), "%u", number);
	return rte_tel_data_add_dict_container(t, key, what, 0);
}

/* --- the clients ----------------------------------------------------------- */

#define CLIENTS_A_PAGE 16 /* an answer has 16 KB */

/** addresses_of() - What it has registered; what it is to have, if it has a path */
static void addresses_of(const struct client *c, char *text, size_t n)
{
	char a[INET6_ADDRSTRLEN] = "-";
	size_t k = 0;

	if (c->conf.path[0])
		inet_ntop(AF_INET, &c->conf.address.addr, a, sizeof(a));
	snprintf(text, n, c->conf.path[0] ? "%s/%u" : "%s", a, c->conf.address.len);
	for (unsigned i = 0; c->attached && i < c->naddrs && k < n; i++) {
		const struct in6_addr *from = &c->addr[i].addr;

		if (IN6_IS_ADDR_V4MAPPED(from))
			inet_ntop(AF_INET, from->s6_addr + 12, a, sizeof(a));
		else
			inet_ntop(AF_INET6, from, a, sizeof(a));
		k += (size_t)snprintf(text + k, n - k, "%s%s", i ? " " : "", a);
	}
}

static void add_row(struct rte_tel_data *t, struct dispatch *d, unsigned i)
{
	const struct client *c = &d->clients.place[i];
	char text[RTE_TEL_MAX_STRING_LEN], mac[RTE_ETHER_ADDR_FMT_SIZE] = "-", offloads[40];
	uint64_t refused;

	rte_tel_data_start_dict(t);
	rte_tel_data_add_dict_string(t, "name", c->conf.name);
	if (d->name[0])
		rte_tel_data_add_dict_string(t, "port", d->name);
	rte_tel_data_add_dict_u64(t, "link", atomic_load(&d->link[i].vid) >= 0);
	rte_tel_data_add_dict_u64(
	    t, "queues", atomic_load(&d->link[i].vid) >= 0 ? atomic_load(&d->link[i].queues) : 0);
	rte_tel_data_add_dict_u64(t, "sessions", atomic_load(&d->link[i].sessions));
	addresses_of(c, text, sizeof(text));
	rte_tel_data_add_dict_string(t, "address", text);
	if (sw_is_known(&d->worker[0].sw, i)) {
		const struct rte_ether_addr known = sw_mac_of(&d->worker[0].sw, i);

		rte_ether_format_addr(mac, sizeof(mac), &known);
	}
	rte_tel_data_add_dict_string(t, "mac", mac);
	rte_tel_data_add_dict_u64(t, "groups", groups_of(d->groups, i, &refused));
	rte_tel_data_add_dict_u64(t, "refused", refused);
	rte_tel_data_add_dict_u64(t, "connections",
				  c->limits->connections ? connections_count(c->limits->connections)
							 : 0);
	rte_tel_data_add_dict_u64(t, "priority", c->limits->priority);
	link_offloads(&d->link[i], offloads, sizeof(offloads));
	rte_tel_data_add_dict_string(t, "offloads", offloads);
	for (size_t k = 0; k < ROWS; k++)
		rte_tel_data_add_dict_u64(t, table[k].name, counted(d, i, k));
}

/** add_rows() - From place @i on, as long as a page has room.  Return: the place behind them */
static unsigned add_rows(struct rte_tel_data *t, struct dispatch *d, unsigned i, unsigned *n)
{
	pthread_mutex_lock(&d->clients.lock);
	for (; i < GZ_CLIENTS_MAX && *n < CLIENTS_A_PAGE; i++) {
		struct rte_tel_data *row;

		if (!d->clients.place[i].used)
			continue;
		row = rte_tel_data_alloc();
		if (!row)
			break;
		add_row(row, d, i);
		add_numbered(t, (*n)++, row);
	}
	pthread_mutex_unlock(&d->clients.lock);
	return i;
}

static int handle_clients(const char *cmd, const char *params, struct rte_tel_data *t)
{
	unsigned at = params ? (unsigned)strtoul(params, NULL, 10) : 0, n = 0;
	struct dispatch *d = port_by_number(first, at / GZ_CLIENTS_MAX);

	(void)cmd;
	rte_tel_data_start_dict(t);
	for (at %= GZ_CLIENTS_MAX; d; d = d->next, at = 0) {
		at = add_rows(t, d, at, &n);
		if (at < GZ_CLIENTS_MAX)
			break;
	}
	rte_tel_data_add_dict_u64(t, "next", d ? d->number * GZ_CLIENTS_MAX + at : 0);
	return 0;
}

/* --- orders ---------------------------------------------------------------- */

static int handle_loglevel(const char *cmd, const char *params, struct rte_tel_data *t)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};

	(void)cmd;
	for (unsigned i = 0; params && i < RTE_DIM(names); i++) {
		if (strcmp(params, names[i]))
			continue;
		set_log_level((enum gz_log_level)i);
		rte_tel_data_start_dict(t);
		rte_tel_data_add_dict_string(t, "loglevel", names[i]);
		return 0;
	}
	return -1;
}

/** give() - An order of main's.  The answer is {@name: "fine"}, or text that says why not */
static int give(struct rte_tel_data *t, const char *name, order_fn *fn, const char *params)
{
	char text[ORDER_TEXT_MAX];

	if (order_ask(first, fn, params ? params : "", text, sizeof(text)))
		return rte_tel_data_string(t, text);
	rte_tel_data_start_dict(t);
	rte_tel_data_add_dict_string(t, name, "fine");
	return 0;
}

static int handle_reload(const char *cmd, const char *params, struct rte_tel_data *t)
{
	(void)cmd;
	(void)params;
	return give(t, "reload", order_reload, NULL);
}

static int handle_limit(const char *cmd, const char *params, struct rte_tel_data *t)
{
	(void)cmd;
	return give(t, "limit", order_limit, params);
}

static int handle_policy(const char *cmd, const char *params, struct rte_tel_data *t)
{
	(void)cmd;
	return give(t, "policy", order_policy, params);
}

static int handle_quit(const char *cmd, const char *params, struct rte_tel_data *t)
{
	(void)cmd;
	(void)params;
	rte_tel_data_start_dict(t);
	rte_tel_data_add_dict_u64(t, "pid", (uint64_t)getpid());
	kill(getpid(), SIGTERM); /* main waits for it */
	return 0;
}

/* --- latency --------------------------------------------------------------- */

static uint64_t nanoseconds(uint64_t cycles)
{
	return (uint64_t)((double)cycles * 1e9 / (double)rte_get_tsc_hz());
}

static int add_latency(struct rte_tel_data *rows, unsigned number, const char *since,
		       const struct latency *now, const struct latency *before)
{
	struct rte_tel_data *t = rte_tel_data_alloc();

	if (!t)
		return -1;
	rte_tel_data_start_dict(t);
	rte_tel_data_add_dict_string(t, "since", since);
	rte_tel_data_add_dict_u64(t, "frames", latency_frames(now, before));
	rte_tel_data_add_dict_u64(t, "median_ns", nanoseconds(latency_at(now, before, 500)));
	rte_tel_data_add_dict_u64(t, "p99_ns", nanoseconds(latency_at(now, before, 990)));
	rte_tel_data_add_dict_u64(t, "max_ns", nanoseconds(latency_at(now, before, 1000)));
	return add_numbered(rows, number, t);
}

static int handle_latency(const char *cmd, const char *params, struct rte_tel_data *t)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct latency last; /* as it was when somebody asked */
	struct latency now = {0};
	int rc;

	(void)cmd;
	(void)params;
	for (const struct dispatch *d = first; d; d = d->next) {
		for (unsigned i = 0; i < d->nworkers; i++)
			latency_add(&now, &d->worker[i].latency);
	}
	rte_tel_data_start_dict(t);
	rc = add_latency(t, 0, "start", &now, NULL);
	pthread_mutex_lock(&lock);
	if (!rc)
		rc = add_latency(t, 1, "asked", &now, &last);
	last = now;
	pthread_mutex_unlock(&lock);
	return rc;
}

/* --- the bond -------------------------------------------------------------- */

static void add_port(struct rte_tel_data *t, const struct dispatch *d, unsigned i)
{
	const struct wire_port *p = &d->wire.port[i];
	const struct bond *b = &d->wire.bond;
	const struct bond_port *state = &b->port[i];

	rte_tel_data_start_dict(t);
	if (d->name[0])
		rte_tel_data_add_dict_string(t, "port", d->name);
	rte_tel_data_add_dict_string(t, "name", p->name);
	rte_tel_data_add_dict_string(t, "state", bond_state_name(state->state));
	rte_tel_data_add_dict_u64(t, "active", b->active == (int)i);
	rte_tel_data_add_dict_u64(t, "since_ms",
				  rte_rdtsc() * 1000 / rte_get_tsc_hz() - state->since_ms);
	rte_tel_data_add_dict_u64(t, "rx", p->rx);
	rte_tel_data_add_dict_u64(t, "tx", p->tx);
	rte_tel_data_add_dict_u64(t, "dropped", p->dropped);
	rte_tel_data_add_dict_u64(t, "ignored", p->ignored);
	rte_tel_data_add_dict_u64(t, "answers", state->answers);
	rte_tel_data_add_dict_u64(t, "unanswered", state->lost);
}

static int handle_bond(const char *cmd, const char *params, struct rte_tel_data *t)
{
	struct rte_tel_data *ports = rte_tel_data_alloc();
	uint64_t switches = 0;
	unsigned n = 0;

	(void)cmd;
	(void)params;
	if (!ports)
		return -1;
	rte_tel_data_start_dict(ports);
	for (const struct dispatch *d = first; d; d = d->next) {
		switches += d->wire.bond.switches;
		for (unsigned i = 0; i < d->wire.n; i++) {
			struct rte_tel_data *port = rte_tel_data_alloc();

			if (!port)
				break;
			add_port(port, d, i);
			add_numbered(ports, n++, port);
		}
	}
	rte_tel_data_start_dict(t);
	rte_tel_data_add_dict_u64(t, "switches", switches);
	rte_tel_data_add_dict_container(t, "ports", ports, 0);
	return 0;
}

int telemetry_start(struct dispatch *d)
{
	first = d;
	if (rte_telemetry_register_cmd("/gazelle/dispatch/clients", handle_clients,
				       "The clients. Parameter: the first's number") ||
	    rte_telemetry_register_cmd("/gazelle/dispatch/loglevel", handle_loglevel,
				       "Sets it. Parameter: error, warn, info or debug") ||
	    rte_telemetry_register_cmd("/gazelle/dispatch/reload", handle_reload,
				       "Reads the configuration again. No parameter") ||
	    rte_telemetry_register_cmd("/gazelle/dispatch/quit", handle_quit,
				       "Ends dispatch, as SIGTERM does. No parameter"))
		return -1;
	if (rte_telemetry_register_cmd("/gazelle/dispatch/limit", handle_limit,
				       "Sets one. Parameter: client, key and value") ||
	    rte_telemetry_register_cmd("/gazelle/dispatch/policy", handle_policy,
				       "Sets kernel.rules. Parameter: rules, or none") ||
	    rte_telemetry_register_cmd("/gazelle/dispatch/latency", handle_latency,
				       "How long frames were in dispatch. No parameter"))
		return -1;
	if (rte_telemetry_register_cmd("/gazelle/dispatch/bond", handle_bond,
				       "The Ethernet ports, and which is active. No parameter"))
		return -1;
	return rte_telemetry_register_cmd("/gazelle/dispatch", handle,
					  "Counters of the port and the clients. "
					  "Parameter: a client's name, for its only");
}

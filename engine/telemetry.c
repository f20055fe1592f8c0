/* SPDX-License-Identifier: BSD-3-Clause
 *
 * telemetry.c - What gazelle-ctl asks, over DPDK's telemetry socket
 *
 * The callbacks run in DPDK's telemetry thread.  They read counters without
 * locks and sockets by reference; numbers of one answer may be of slightly
 * different moments.  A reply has at most 16 KB, so lists come in pages.
 */
#define ALLOW_EXPERIMENTAL_API /* rte_eth_dev_conf_get(), rte_eth_link_speed_to_str() */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_telemetry.h>

#include "engine/asked.h"
#include "engine/client.h"
#include "engine/counters.h"
#include "engine/iface.h"
#include "engine/inner.h"
#include "engine/ipv6.h"
#include "engine/link.h"
#include "engine/live.h"
#include "engine/log.h"
#include "engine/own4.h"
#include "engine/off_ring.h"
#include "engine/route.h"
#include "engine/service.h"
#include "engine/stats.h"
#include "engine/telemetry.h"
#include "engine/worker.h"

#define PAGE 32

static struct {
	const struct gz_engine_config *cfg;
	char memory[128];
	uint64_t started;
} tel;

static void u64(struct rte_tel_data *d, const char *key, uint64_t v)
{
	rte_tel_data_add_dict_u64(d, key, v);
}

static void str(struct rte_tel_data *d, const char *key, const char *v)
{
	rte_tel_data_add_dict_string(d, key, v);
}

/* Resident memory in KB (proc(5), statm). */
static uint64_t rss_kb(void)
{
	unsigned long total, resident;
	FILE *f = fopen("/proc/self/statm", "re");
	int n;

	if (!f)
		return 0;
	n = fscanf(f, "%lu %lu", &total, &resident);
	fclose(f);
	return n == 2 ? (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE) / 1024 : 0;
}

static void counters(struct rte_tel_data *d, enum gz_counter from, enum gz_counter to)
{
	for (int c = (int)from; c <= (int)to; c++)
		u64(d, gz_counter_names[c], gz_counter_of_all((enum gz_counter)c));
}

static int on_engine(const char *cmd, const char *params, struct rte_tel_data *d)
{
	(void)cmd;
	(void)params;
	rte_tel_data_start_dict(d);
	str(d, "name", tel.cfg->name);
	u64(d, "pid", (uint64_t)getpid());
	str(d, "version", GZ_VERSION);
	u64(d, "uptime_s", (gz_now_ns() - tel.started) / 1000000000u);
	u64(d, "clients", gz_client_count());
	u64(d, "sockets", gz_table_count());
	u64(d, "rss_kb", rss_kb());
	str(d, "memory", tel.memory);
	str(d, "power", gz_power_name(gz_power));
	str(d, "loglevel", gz_log_level_name(gz_log_level));
	counters(d, GZ_C_NOTIFICATIONS, GZ_C_PORT_RX - 1);
	counters(d, GZ_C_HANDED, GZ_C_LOOPED);
	return 0;
}

/* Parameter: "power poll".  The answer is the same as a dictionary, or why not */
static int on_set(const char *cmd, const char *params, struct rte_tel_data *d)
{
	char key[64], why[128], *value;

	(void)cmd;
	snprintf(key, sizeof(key), "%s", params ? params : "");
	value = strchr(key, ' ');
	if (value)
		*value++ = '\0';
	if (!gz_live_set(key, value ? value : "", why, sizeof(why)))
		return rte_tel_data_string(d, why);
	rte_tel_data_start_dict(d);
	str(d, key, value);
	return 0;
}

/** offloads() - The names of the bits of @set, as a list */
static void offloads(struct rte_tel_data *d, const char *key, uint64_t set,
		     const char *(*name)(uint64_t bit))
{
	struct rte_tel_data *list = rte_tel_data_alloc();

	if (!list)
		return;
	rte_tel_data_start_array(list, RTE_TEL_STRING_VAL);
	for (; set; set &= set - 1)
		rte_tel_data_add_array_string(list, name(set & -set));
	rte_tel_data_add_dict_container(d, key, list, 0);
}

/** device() - What the device says of itself */
static void device(struct rte_tel_data *d, const struct gz_port *p)
{
	uint16_t id = p->id;
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf;
	struct rte_eth_link link;

	str(d, "link", gz_link_is_up(p) ? "up" : "down");
	if (!rte_eth_link_get_nowait(id, &link))
		str(d, "speed", rte_eth_link_speed_to_str(link.link_speed));
	if (rte_eth_dev_info_get(id, &info) || rte_eth_dev_conf_get(id, &conf))
		return;
	u64(d, "rx_queues", info.nb_rx_queues);
	u64(d, "tx_queues", info.nb_tx_queues);
	offloads(d, "rx_offered", info.rx_offload_capa, rte_eth_dev_rx_offload_name);
	offloads(d, "rx_used", conf.rxmode.offloads, rte_eth_dev_rx_offload_name);
	offloads(d, "tx_offered", info.tx_offload_capa, rte_eth_dev_tx_offload_name);
	offloads(d, "tx_used", conf.txmode.offloads, rte_eth_dev_tx_offload_name);
}

/** in_use() - What is left to the port now, which of a link is its other end's say, too */
static const char *in_use(const struct gz_offloads *o, char used[64])
{
	snprintf(used, 64, "%s%s%s%s%s", o->checksum ? ", checksum" : "", o->tso ? ", tso" : "",
		 o->lro ? ", lro" : "", o->gso ? ", gso" : "", o->gro ? ", gro" : "");
	return used[0] ? used + 2 : "none";
}

/** addresses() - Of both families, and where IPv4's are from */
static void addresses(struct rte_tel_data *d, const struct gz_port *p)
{
	unsigned number = (unsigned)(p - gz_ports);
	char text[INET6_ADDRSTRLEN], buf[INET6_ADDRSTRLEN + 4];
	struct rte_tel_data *list = rte_tel_data_alloc();
	struct gz_own6_addr v6[GZ_OWN6_MAX];
	unsigned n6 = gz_ipv6_list(v6);
	struct gz_lease l;
	const struct gz_own4 *own = gz_own4_lease(number, &l);

	if (!list)
		return;
	rte_tel_data_start_array(list, RTE_TEL_STRING_VAL);
	for (unsigned i = 0; i < own->n; i++) {
		if (&gz_ports[own->port[i]] != p)
			continue;
		inet_ntop(AF_INET, &own->addr[i].addr, text, sizeof(text));
		snprintf(buf, sizeof(buf), "%s/%u", text, own->addr[i].len);
		rte_tel_data_add_array_string(list, buf);
	}
	for (unsigned i = 0; i < n6; i++) {
		if (v6[i].port != number)
			continue;
		inet_ntop(AF_INET6, &v6[i].addr, text, sizeof(text));
		snprintf(buf, sizeof(buf), "%s/%u", text, v6[i].network);
		rte_tel_data_add_array_string(list, buf);
	}
	rte_tel_data_add_dict_container(d, "addresses", list, 0);
	if (!l.state)
		return;
	str(d, "dhcp", l.state);
	if (gz_own4_of(own, number) < 0)
		return;
	str(d, "dhcp_server", inet_ntop(AF_INET, &l.server, text, sizeof(text)));
	if (gz_own4_valid(number) != UINT32_MAX)
		u64(d, "dhcp_lease_s", gz_own4_valid(number));
}

/* Parameter: its number, "0" if it is left out */
static int on_port(const char *cmd, const char *params, struct rte_tel_data *d)
{
	unsigned long number = params ? strtoul(params, NULL, 10) : 0;
	const struct gz_port *p = &gz_ports[number];
	char mac[RTE_ETHER_ADDR_FMT_SIZE], used[64], name[16];
	struct rte_eth_stats st;

	(void)cmd;
	if (number >= gz_nports)
		return -ENOENT;
	rte_tel_data_start_dict(d);
	rte_ether_format_addr(mac, sizeof(mac), &p->mac);
	str(d, "interface", gz_iface_name(p, name));
	str(d, "driver", p->driver);
	str(d, "device", p->device);
	str(d, "mac", mac);
	u64(d, "mtu", p->mtu);
	if (p->vlan)
		u64(d, "vlan", p->vlan);
	addresses(d, p);
	str(d, "sleeps_on", p->rx_intr ? "interrupt" : p->nwait ? "descriptor" : "nap");
	str(d, "spread_by", gz_port_spread(p));
	if (p->kind == GZ_DRV_VHOST)
		u64(d, "peer_queues", p->peer_queues);
	device(d, p);
	str(d, "offloads", in_use(&p->offloads, used));
	for (enum gz_counter c = GZ_C_PORT_RX; c <= GZ_C_PORT_VLAN; c++)
		u64(d, gz_counter_names[c], gz_counter_of_port(p, c));
	u64(d, gz_counter_names[GZ_C_CARRIER_CHANGES], gz_link_changes(p));
	if (rte_eth_stats_get(p->id, &st) == 0) {
		u64(d, "rx_missed", st.imissed);
		u64(d, "rx_errors", st.ierrors);
		u64(d, "rx_no_mbuf", st.rx_nombuf);
		u64(d, "tx_errors", st.oerrors);
	}
	u64(d, "mbufs_free", rte_mempool_avail_count(p->pool));
	u64(d, "ports", gz_nports);
	return 0;
}

static int on_proto(const char *cmd, const char *params, struct rte_tel_data *d)
{
	const struct gz_stat *st;
	unsigned n;

	(void)cmd;
	(void)params;
	rte_tel_data_start_dict(d);
	st = gz_workers[0]->code->stats(&n);
	for (unsigned i = 0; i < n; i++) {
		uint64_t sum = 0;

		for (unsigned w = 0; w < gz_nworkers; w++)
			sum += *gz_workers[w]->code->stats(&n)[i].value;
		u64(d, st[i].name, sum);
	}
	u64(d, "udp_rcvbuf_errors", gz_inner_lost());
	return 0;
}

static int on_refused(const char *cmd, const char *params, struct rte_tel_data *d)
{
	(void)cmd;
	(void)params;
	rte_tel_data_start_dict(d);
	counters(d, GZ_C_REFUSED_FAULT, GZ_C_REFUSED_TCP_OPTIONS);
	return 0;
}

static void add_asked(const char *name, uint64_t n, void *arg)
{
	u64(arg, name, n);
}

/* Only what was: one dict has room for 256 entries. */
static int on_asked(const char *cmd, const char *params, struct rte_tel_data *d)
{
	enum gz_asked what = strstr(cmd, "calls")	 ? GZ_ASKED_CALLS
			     : strstr(cmd, "setsockopt") ? GZ_ASKED_SET
							 : GZ_ASKED_GET;

	(void)params;
	rte_tel_data_start_dict(d);
	gz_asked_each(what, add_asked, d);
	return 0;
}

struct page {
	struct rte_tel_data *d;
	unsigned n;
	uint64_t next;
};

static bool add_client(struct gz_client *c, void *arg)
{
	struct page *p = arg;
	struct rte_tel_data *e;
	char key[24];

	if (p->n == PAGE) {
		p->next = c->id;
		return false;
	}
	e = rte_tel_data_alloc();
	if (!e)
		return false;
	rte_tel_data_start_dict(e);
	u64(e, "id", c->id);
	u64(e, "pid", (uint64_t)c->pid);
	u64(e, "uid", c->uid);
	str(e, "program", c->program);
	u64(e, "sockets", atomic_load(&c->sockets));
	u64(e, "notifications", atomic_load(&c->notifications));
	u64(e, "rx_bytes", atomic_load(&c->rx_bytes));
	u64(e, "tx_bytes", atomic_load(&c->tx_bytes));
	snprintf(key, sizeof(key), "c%u", c->id);
	rte_tel_data_add_dict_container(p->d, key, e, 0);
	p->n++;
	return true;
}

static int on_clients(const char *cmd, const char *params, struct rte_tel_data *d)
{
	struct page p = {.d = d};

	(void)cmd;
	rte_tel_data_start_dict(d);
	gz_client_walk(params ? (uint32_t)strtoul(params, NULL, 10) : 0, add_client, &p);
	u64(d, "next", p.next);
	return 0;
}

/* Of what each worker counts by itself, what shows how the work is shared */
static const enum gz_counter of_worker[] = {
    GZ_C_ACCEPTED, GZ_C_CONNECTED,	GZ_C_PORT_RX, GZ_C_PORT_TX, GZ_C_LOOPED,
    GZ_C_HANDED,   GZ_C_HANDED_DROPPED, GZ_C_TICKS,   GZ_C_LOOPS,   GZ_C_SLEEPS,
};

/* "0", of several ports "0,-1" */
static void rx_queues(struct rte_tel_data *d, const struct gz_worker *w)
{
	char text[GZ_PORTS_MAX * 4];
	size_t n = 0;

	if (gz_nports == 1) {
		rte_tel_data_add_dict_int(d, "rx_queue", w->wire[0].rx_queue);
		return;
	}
	for (unsigned i = 0; i < gz_nports; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%d", i ? "," : "",
				      w->wire[i].rx_queue);
	str(d, "rx_queue", text);
}

static int on_workers(const char *cmd, const char *params, struct rte_tel_data *d)
{
	(void)cmd;
	(void)params;
	rte_tel_data_start_dict(d);
	for (unsigned i = 0; i < gz_nworkers; i++) {
		const struct gz_worker *w = gz_workers[i];
		struct rte_tel_data *e = rte_tel_data_alloc();
		char key[24];

		if (!e)
			break;
		rte_tel_data_start_dict(e);
		u64(e, "worker", i);
		rte_tel_data_add_dict_int(e, "cpu", gz_eal_worker_cpu(i));
		rx_queues(e, w);
		for (unsigned k = 0; k < RTE_DIM(of_worker); k++)
			u64(e, gz_counter_names[of_worker[k]],
			    gz_counter_of_worker(w, of_worker[k]));
		snprintf(key, sizeof(key), "w%u", i);
		rte_tel_data_add_dict_container(d, key, e, 0);
	}
	u64(d, "next", 0);
	return 0;
}

void gz_end_text(char *buf, size_t n, struct gz_end e)
{
	char a[INET6_ADDRSTRLEN];
	uint32_t v4 = gz_end_v4_addr(e);

	if (gz_end_is_v4(e)) {
		inet_ntop(AF_INET, &v4, a, sizeof(a));
		snprintf(buf, n, "%s:%u", a, ntohs(e.port));
	} else {
		inet_ntop(AF_INET6, &e.addr, a, sizeof(a));
		snprintf(buf, n, "[%s]:%u", a, ntohs(e.port));
	}
}

static const char *netid(const struct gz_sock *s)
{
	return s->type == SOCK_STREAM ? "tcp" : s->dgram.ping ? "icmp" : "udp";
}

/* As ss(8) names them; lwIP's enum tcp_state is the index. */
static const char *state_name(const struct gz_sock *s)
{
	static const char *const names[] = {
	    "CLOSED",	  "LISTEN",	"SYN-SENT", "SYN-RECV", "ESTAB",     "FIN-WAIT-1",
	    "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING",  "LAST-ACK", "TIME-WAIT",
	};
	enum gz_state st = gz_sock_state(s);
	uint8_t t = atomic_load_explicit(&s->info.tcp_state, memory_order_relaxed);

	if (st == GZ_ESTABLISHED && s->type == SOCK_DGRAM)
		return "ESTAB";
	if (st == GZ_ESTABLISHED && t < RTE_DIM(names) && t)
		return names[t];
	return st == GZ_FRESH || st == GZ_BOUND || st == GZ_FAILED ? "UNCONN" : gz_state_name(st);
}

/* Of TCP alone: datagrams wait in the shadow. */
static void queues(struct rte_tel_data *e, struct gz_sock *s)
{
	bool listens = gz_sock_state(s) == GZ_LISTENING;

	u64(e, "rx_queue", listens ? (uint64_t)atomic_load(&s->queued) : atomic_load(&s->unread));
	u64(e, "tx_queue", listens ? (uint64_t)s->backlog : atomic_load(&s->unsent));
}

/* As ss(8) has it: what a socket does not have, of the socket's own family */
static void end_of(struct rte_tel_data *e, const char *key, const struct gz_sock *s,
		   struct gz_end end)
{
	char text[64];

	if (!end.port && IN6_IS_ADDR_UNSPECIFIED(&end.addr)) {
		str(e, key, s->family == AF_INET6 ? "[::]:*" : "0.0.0.0:*");
	} else {
		gz_end_text(text, sizeof(text), end);
		str(e, key, text);
	}
}

static bool add_sock(struct gz_sock *s, void *arg)
{
	struct page *p = arg;
	struct rte_tel_data *e;
	char key[24];

	if (p->n == PAGE) {
		p->next = s->id;
		return false;
	}
	e = rte_tel_data_alloc();
	if (!e)
		return false;
	rte_tel_data_start_dict(e);
	u64(e, "id", s->id);
	str(e, "netid", netid(s));
	str(e, "state", state_name(s));
	end_of(e, "local", s, s->local);
	end_of(e, "peer", s, s->peer);
	if (s->type == SOCK_STREAM)
		queues(e, s);
	u64(e, "rx_bytes", atomic_load(&s->rx_bytes) + atomic_load(&s->ring.direct.rx));
	u64(e, "tx_bytes", atomic_load(&s->tx_bytes) + atomic_load(&s->ring.direct.tx));
	u64(e, "client", s->client->id);
	u64(e, "pid", (uint64_t)s->client->pid);
	str(e, "program", s->client->program);
	/* What has no bytes is on neither. */
	if (s->type == SOCK_DGRAM || gz_sock_state(s) > GZ_LISTENING)
		str(e, "plane", gz_plane_is_ring(s) ? "ring" : "relay");
	if ((s->type == SOCK_DGRAM || gz_sock_state(s) == GZ_ESTABLISHED) &&
	    gz_off_why(s) != GZ_OFF_NONE)
		str(e, "why", gz_off_word(gz_off_why(s)));
	snprintf(key, sizeof(key), "s%lu", (unsigned long)s->id);
	rte_tel_data_add_dict_container(p->d, key, e, 0);
	p->n++;
	return true;
}

static int on_ss(const char *cmd, const char *params, struct rte_tel_data *d)
{
	struct page p = {.d = d};

	(void)cmd;
	rte_tel_data_start_dict(d);
	gz_table_walk(params ? strtoull(params, NULL, 10) : 0, true, add_sock, &p);
	u64(d, "next", p.next);
	return 0;
}

int gz_telemetry_init(const struct gz_engine_config *cfg, const char *memory)
{
	static const struct {
		const char *cmd;
		telemetry_cb fn;
		const char *help;
	} cmds[] = {
	    {"/gazelle/engine", on_engine, "The engine and its counters"},
	    {"/gazelle/set", on_set, "Sets power or loglevel. Parameters: which, value"},
	    {"/gazelle/port", on_port, "A port and its counters. Parameter: its number"},
	    {"/gazelle/proto", on_proto, "Counters of each protocol"},
	    {"/gazelle/refused", on_refused, "What was asked for and refused"},
	    {"/gazelle/calls", on_asked, "Calls on the stack's sockets, by name"},
	    {"/gazelle/setsockopt", on_asked, "Options of TCP sockets that were set"},
	    {"/gazelle/getsockopt", on_asked, "Options of TCP sockets that were read"},
	    {"/gazelle/workers", on_workers, "What each worker does"},
	    {"/gazelle/clients", on_clients, "Clients. Parameter: first id"},
	    {"/gazelle/ss", on_ss, "Sockets. Parameter: first id"},
	    {"/gazelle/why", gz_telemetry_why,
	     "Whose a process's sockets are. Parameters: pid, fd"},
	    {"/gazelle/planes", gz_telemetry_planes,
	     "Which plane each process is on. Parameter: first pid"},
	    {"/gazelle/routes", gz_telemetry_routes, "Networks on the link, routes and gateways"},
	};
	int err = 0;

	tel.cfg = cfg;
	tel.started = gz_now_ns();
	snprintf(tel.memory, sizeof(tel.memory), "%s", memory);
	for (size_t i = 0; i < RTE_DIM(cmds) && !err; i++)
		err = rte_telemetry_register_cmd(cmds[i].cmd, cmds[i].fn, cmds[i].help);
	return err;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * clients.c - Who may be a client, who is one, and whose addresses are whose: see clients.h
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <rte_rcu_qsbr.h>

#include "dispatch/dispatch.h"

#define SETTLE_S 30 /* for engines to come again, where others want the processors too */

/* --- the table ------------------------------------------------------------- */

static struct gz_prefix prefix_of4(const struct gz_prefix4 *p)
{
	struct gz_prefix a = {.len = (uint8_t)(96 + p->len), .set = true};

	a.addr.s6_addr[10] = a.addr.s6_addr[11] = 0xff;
	memcpy(a.addr.s6_addr + 12, &p->addr, sizeof(p->addr));
	return a;
}

/** has_address6() - Has it registered one of IPv6? */
static bool has_address6(const struct client *c)
{
	for (unsigned i = 0; i < c->naddrs; i++) {
		if (!IN6_IS_ADDR_V4MAPPED(&c->addr[i].addr))
			return true;
	}
	return false;
}

unsigned client_nets(const struct client *c, struct gz_prefix nets[CLIENT_NETS_MAX])
{
	unsigned n = 0;

	if (c->used && c->conf.path[0]) {
		nets[n++] = prefix_of4(&c->conf.address);
		if (c->conf.address6.set)
			nets[n++] = c->conf.address6;
	}
	for (unsigned i = 0; c->attached && !c->ports && i < c->naddrs; i++)
		nets[n++] = c->addr[i];
	return n;
}

static void own_addresses(struct sw_table *t, unsigned place, const struct client *c)
{
	struct gz_prefix nets[CLIENT_NETS_MAX];
	unsigned n = client_nets(c, nets);

	for (unsigned i = 0; i < n; i++)
		sw_table_own(t, place, &nets[i]);
	if (c->attached && c->ports)
		sw_table_share(t, place, c->ports);
	if (c->attached && c->ports && has_address6(c))
		sw_table_share6(t, place, c->ports);
}

/** publish() - A new table, from what there is now.  Return: 0 or -ENOMEM, all is as before */
static int publish(struct dispatch *d)
{
	struct sw_table *t = calloc(1, sizeof(*t)), *was;

	if (!t)
		return -ENOMEM;
	t->number = ++d->clients.tables;
	t->native = d->config.port.vlan;
	for (unsigned i = 0; i < GZ_CLIENTS_MAX; i++) {
		if (!d->clients.place[i].used)
			continue;
		t->clients |= 1ull << i;
		t->limits[i] = d->clients.place[i].limits;
		sw_table_vlan(t, i, d->clients.place[i].conf.vlan);
		if (d->clients.place[i].conf.mac_set)
			sw_table_mac(t, i, d->clients.place[i].conf.mac);
		own_addresses(t, i, &d->clients.place[i]);
	}
	t->nrules = d->config.nkernel_rules;
	memcpy(t->rules, d->config.kernel_rules, sizeof(t->rules));
	sw_table_seal(t);
	was = atomic_exchange(&d->clients.table, t);
	if (was) {
		was->dead = d->clients.dead;
		d->clients.dead = NULL;
		was->token = rte_rcu_qsbr_start(d->rcu);
		was->next = d->clients.retired;
		d->clients.retired = was;
	}
	if (atomic_load(&d->bifurcation.on))
		monitor_wake(); /* which makes routes to them */
	return 0;
}

static void free_table(struct sw_table *t)
{
	while (t && t->dead) {
		struct limits *l = t->dead;

		t->dead = l->next;
		limits_free(l);
	}
	free(t);
}

/** settle() - All who may have the address are there with their ports, or had time for it */
static void settle(struct dispatch *d)
{
	static int64_t begin;
	struct timespec t;
	bool late;

	clock_gettime(CLOCK_MONOTONIC, &t);
	if (!begin)
		begin = t.tv_sec;
	late = t.tv_sec - begin >= SETTLE_S;
	for (struct sw_ports *p = d->clients.ports; p; p = p->next) {
		bool all = true;

		for (unsigned i = 0; i < GZ_CLIENTS_MAX; i++) {
			const struct client *c = &d->clients.place[i];

			/* It says which ports it has before it offers its link */
			all &= !c->used || !c->conf.shared || c->conf.address.addr != p->addr ||
			       !link_is_free(&d->link[i]);
		}
		if (all || late)
			atomic_store(&p->settled, true);
	}
}

void clients_tend(struct dispatch *d)
{
	struct sw_table **at = &d->clients.retired;

	settle(d);
	while (*at) {
		struct sw_table *t = *at;

		if (rte_rcu_qsbr_check(d->rcu, t->token, false) != 1) {
			at = &t->next;
			continue;
		}
		*at = t->next;
		free_table(t);
	}
}

/* --- start and end --------------------------------------------------------- */

static void link_as_configured(struct dispatch *d, unsigned i)
{
	const struct gz_dispatch_client *c = &d->clients.place[i].conf;
	struct link_peer p = {
	    .fd = -1, .uid = c->uid, .uid_set = c->uid_set, .offloads = c->offloads};

	if (!c->path[0])
		return;
	memcpy(p.name, c->name, sizeof(p.name));
	memcpy(p.path, c->path, sizeof(p.path));
	link_to(&d->link[i], &p);
}

unsigned clients_count(const struct dispatch *first)
{
	unsigned n = 0;

	for (const struct dispatch *d = first; d; d = d->next)
		n += d->config.nclients;
	return n;
}

int clients_start(struct dispatch *d)
{
	pthread_mutex_init(&d->clients.lock, NULL);
	for (unsigned i = 0; i < d->config.nclients; i++) {
		d->clients.place[i] = (struct client){.used = true,
						      .conf = d->config.clients[i],
						      .limits = limits_new(&d->config.clients[i])};
		if (!d->clients.place[i].limits)
			return -ENOMEM;
		link_as_configured(d, i);
	}
	return publish(d);
}

void clients_stop(struct dispatch *d)
{
	free_table(atomic_exchange(&d->clients.table, NULL));
	while (d->clients.retired) {
		struct sw_table *t = d->clients.retired;

		d->clients.retired = t->next;
		free_table(t);
	}
	for (unsigned i = 0; i < GZ_CLIENTS_MAX; i++)
		limits_free(d->clients.place[i].limits);
	while (d->clients.ports) {
		struct sw_ports *p = d->clients.ports;

		d->clients.ports = p->next;
		free(p);
	}
}

/* --- those who attach ------------------------------------------------------ */

int client_find(const struct dispatch *d, const char *name)
{
	for (int i = 0; i < GZ_CLIENTS_MAX; i++) {
		if (d->clients.place[i].used && !strcmp(d->clients.place[i].conf.name, name))
			return i;
	}
	return -1;
}

/** is_allowed() - May the client have this address? */
static bool is_allowed(const struct gz_dispatch_client *c, const struct in6_addr *a)
{
	struct gz_prefix four = prefix_of4(&c->address);

	return sw_in_prefix(&four, a) || sw_in_prefix(&c->address6, a);
}

static bool is_twice(const struct gz_attach_request *r, unsigned i)
{
	for (unsigned k = 0; k < i; k++) {
		if (IN6_ARE_ADDR_EQUAL(&r->addr[k], &r->addr[i]))
			return true;
	}
	return false;
}

/** look_at_addresses() - Return: 0, or -errno with the reason in @text */
static int look_at_addresses(const struct gz_dispatch_client *c, const struct gz_attach_request *r,
			     char *text, size_t n)
{
	char a[INET6_ADDRSTRLEN];

	if (!r->naddrs || r->naddrs > GZ_ATTACH_ADDRS)
		return gz_failed(text, n, EINVAL, "%u addresses: expected 1 to %d", r->naddrs,
				 GZ_ATTACH_ADDRS);
	for (unsigned i = 0; i < r->naddrs; i++) {
		inet_ntop(AF_INET6, &r->addr[i], a, sizeof(a));
		if (!is_allowed(c, &r->addr[i]))
			return gz_failed(text, n, EACCES, "%s is not within client %s's addresses",
					 a, c->name);
		if (is_twice(r, i))
			return gz_failed(text, n, EINVAL, "%s is there twice", a);
	}
	return 0;
}

int client_attach(struct dispatch *d, const struct ucred *who, const struct gz_attach_request *r,
		  char *text, size_t n)
{
	int place = client_find(d, r->name), rc;
	struct client *c = &d->clients.place[place < 0 ? 0 : place];
	uint32_t uid = c->conf.uid_set ? c->conf.uid : geteuid();

	/* Whoever is not its user learns nothing of a client */
	if (place < 0 || who->uid != uid)
		return gz_failed(text, n, EACCES, "no client '%s' of user %u is configured",
				 r->name, who->uid);
	if (c->conf.path[0])
		return gz_failed(text, n, EINVAL, "client %s has a path: it does not attach",
				 r->name);
	if (c->attached || !link_is_free(&d->link[place]))
		return gz_failed(text, n, EBUSY, "client %s is there already", r->name);
	rc = look_at_addresses(&c->conf, r, text, n);
	if (!rc && c->conf.shared)
		rc = client_share(d, (unsigned)place, r, text, n);
	if (rc)
		return rc;
	pthread_mutex_lock(&d->clients.lock);
	c->naddrs = r->naddrs;
	for (unsigned i = 0; i < r->naddrs; i++)
		c->addr[i] = (struct gz_prefix){.addr = r->addr[i], .len = 128, .set = true};
	c->attached = true;
	pthread_mutex_unlock(&d->clients.lock);
	rc = publish(d);
	if (rc) {
		c->attached = false;
		client_unshare(d, (unsigned)place);
		return gz_failed(text, n, -rc, "no memory");
	}
	say(GZ_LOG_INFO, "client %s: attached by process %d of user %u", c->conf.name,
	    (int)who->pid, who->uid);
	return place;
}

int client_link(struct dispatch *d, unsigned place, const struct ucred *who, int fd, char *text,
		size_t n)
{
	struct link_peer p = {.fd = fd, .uid = who->uid, .uid_set = true, .pid = who->pid};
	struct stat st;
	int rc = 0;

	if (fstat(fd, &st) || !S_ISSOCK(st.st_mode))
		rc = gz_failed(text, n, EINVAL, "no socket came with it");
	else if (!link_is_free(&d->link[place]))
		rc = gz_failed(text, n, EBUSY, "the link is there already");
	if (rc) {
		close(fd);
		return rc;
	}
	memcpy(p.name, d->clients.place[place].conf.name, sizeof(p.name));
	p.offloads = d->clients.place[place].conf.offloads;
	/* connect(2) follows it to the socket, in whatever mount namespace that lies */
	snprintf(p.path, sizeof(p.path), "/proc/self/fd/%d", fd);
	link_to(&d->link[place], &p);
	return 0;
}

void client_detach(struct dispatch *d, unsigned place)
{
	struct client *c = &d->clients.place[place];

	link_part(&d->link[place]);
	pthread_mutex_lock(&d->clients.lock);
	c->attached = false;
	c->naddrs = 0;
	client_unshare(d, place);
	pthread_mutex_unlock(&d->clients.lock);
	if (publish(d))
		say(GZ_LOG_ERROR, "client %s: no memory to take its addresses away", c->conf.name);
	say(GZ_LOG_INFO, "client %s: detached", c->conf.name);
}

/* --- another configuration ------------------------------------------------- */

static bool same_net6(const struct gz_prefix *a, const struct gz_prefix *b)
{
	return a->set == b->set &&
	       (!a->set || (a->len == b->len && IN6_ARE_ADDR_EQUAL(&a->addr, &b->addr)));
}

/** is_same() - The same client, but perhaps with other limits? */
static bool is_same(const struct gz_dispatch_client *a, const struct gz_dispatch_client *b)
{
	return !strcmp(a->name, b->name) && a->shared == b->shared && a->vlan == b->vlan &&
	       a->offloads == b->offloads && !strcmp(a->path, b->path) &&
	       a->mac_set == b->mac_set && !memcmp(a->mac, b->mac, sizeof(a->mac)) &&
	       a->uid_set == b->uid_set && a->uid == b->uid && a->address.addr == b->address.addr &&
	       a->address.len == b->address.len && same_net6(&a->address6, &b->address6);
}

static bool same_limits(const struct gz_dispatch_client *a, const struct gz_dispatch_client *b)
{
	return a->send_kbits == b->send_kbits && a->send_packets == b->send_packets &&
	       a->receive_kbits == b->receive_kbits && a->receive_packets == b->receive_packets &&
	       a->connections == b->connections && a->priority == b->priority;
}

/* What is to become of a port's places */
struct plan {
	struct dispatch *d;
	struct gz_dispatch_config c;	       /* of this port */
	int from[GZ_CLIENTS_MAX];	       /* number in the new list; -1: nobody */
	struct limits *limits[GZ_CLIENTS_MAX]; /* others than it has; NULL: the same */
};

static void forget_plan(struct plan *p)
{
	for (unsigned i = 0; i < GZ_CLIENTS_MAX; i++)
		limits_free(p->limits[i]);
}

/** place_for() - Where client @c is, or a place that the worker does not know; -1: none */
static int place_for(const struct dispatch *d, const struct plan *p,
		     const struct gz_dispatch_client *c)
{
	int free_one = -1;

	for (int i = 0; i < GZ_CLIENTS_MAX; i++) {
		const struct client *at = &d->clients.place[i];

		if (at->used && is_same(&at->conf, c))
			return i;
		if (!at->used && free_one < 0 && p->from[i] < 0 && link_is_free(&d->link[i]))
			free_one = i;
	}
	return free_one;
}

/** make_plan() - Return: 0, or -errno with the reason in @text; nothing has changed */
static int make_plan(struct plan *p, struct dispatch *d, const struct gz_dispatch_config *all,
		     char *text, size_t n)
{
	const struct gz_dispatch_config *c = &p->c;

	p->d = d;
	gz_dispatch_config_of(all, d->number, &p->c);
	memset(p->from, -1, sizeof(p->from));
	for (unsigned i = 0; i < c->nclients; i++) {
		const struct gz_dispatch_client *want = &c->clients[i];
		int place = place_for(d, p, want);
		const struct client *at = &d->clients.place[place < 0 ? 0 : place];

		if (place < 0)
			return gz_failed(text, n, EBUSY,
					 "%s:%u:1: client %s: no place is left while others "
					 "leave theirs: expected fewer clients, or another try",
					 d->file, want->line, want->name);
		p->from[place] = (int)i;
		if (at->used && same_limits(&at->conf, want))
			continue;
		p->limits[place] = limits_new(want);
		if (!p->limits[place])
			return gz_failed(text, n, ENOMEM, "%s: no memory", d->file);
	}
	return 0;
}

/** put_off() - Limits that the table in force has and the next one does not */
static void put_off(struct dispatch *d, struct limits *l)
{
	if (!l)
		return;
	l->next = d->clients.dead;
	d->clients.dead = l;
}

/** carry_out() - What the plan says of one place.  Under clients.lock */
static void carry_out(struct dispatch *d, unsigned i, const struct gz_dispatch_client *want,
		      struct limits *limits)
{
	struct client *at = &d->clients.place[i];

	if (want && !at->used) {
		*at = (struct client){.used = true};
		for (unsigned w = 0; w < d->nworkers; w++) /* no table has it */
			memset(&d->worker[w].counters[i], 0, sizeof(struct counters));
	}
	if (want) {
		at->conf = *want;
		if (limits) {
			put_off(d, at->limits);
			at->limits = limits;
		}
	} else if (at->used) {
		at->used = false;
		put_off(d, at->limits);
		at->limits = NULL;
	}
}

int clients_rules(struct dispatch *d, const struct gz_kernel_rule *rules, unsigned n)
{
	memcpy(d->config.kernel_rules, rules, n * sizeof(*rules));
	d->config.nkernel_rules = n;
	return publish(d);
}

/** has_retired() - Is a worker in a table of before?  A place is not given again until it has left
 */
static bool has_retired(struct dispatch *first)
{
	bool any = false;

	for (struct dispatch *d = first; d; d = d->next) {
		clients_tend(d);
		any |= d->clients.retired != NULL;
	}
	return any;
}

/** change_to() - What was planned.  Return: 0 or -ENOMEM */
static int change_to(struct plan *p)
{
	const struct gz_dispatch_config *c = &p->c;
	struct dispatch *d = p->d;

	for (unsigned i = 0; i < GZ_CLIENTS_MAX; i++) {
		bool stays = p->from[i] >= 0;

		if (d->clients.place[i].used && !stays) {
			attach_cut(d, i);
			link_part(&d->link[i]);
		}
		pthread_mutex_lock(&d->clients.lock);
		carry_out(d, i, stays ? &c->clients[p->from[i]] : NULL, p->limits[i]);
		pthread_mutex_unlock(&d->clients.lock);
		if (stays && link_is_free(&d->link[i]))
			link_as_configured(d, i);
	}
	memcpy(d->config.clients, c->clients, sizeof(c->clients));
	d->config.nclients = c->nclients;
	return clients_rules(d, c->kernel_rules, c->nkernel_rules);
}

int clients_change(struct dispatch *first, const struct gz_dispatch_config *c, char *text, size_t n)
{
	struct plan *plans;
	unsigned made = 0;
	int rc = 0;

	for (unsigned i = 0; has_retired(first) && i < 100; i++)
		usleep(1000);
	if (has_retired(first))
		return gz_failed(text, n, EBUSY, "%s: try again", first->file);
	plans = calloc(GZ_DISPATCH_PORTS_MAX, sizeof(*plans));
	if (!plans)
		return gz_failed(text, n, ENOMEM, "%s: no memory", first->file);
	for (struct dispatch *d = first; d && !rc; d = d->next)
		rc = make_plan(&plans[made++], d, c, text, n);
	for (unsigned i = 0; i < made; i++) {
		if (rc)
			forget_plan(&plans[i]);
		else if (change_to(&plans[i]))
			rc = gz_failed(text, n, ENOMEM, "%s: no memory", first->file);
	}
	free(plans);
	return rc;
}

/* --- orders ---------------------------------------------------------------- */

static const struct {
	const char *key;
	size_t offset;
	uint32_t max;
} limit_keys[] = {
#define ROW(field, max)                                                                            \
	{                                                                                          \
#field, offsetof(struct gz_dispatch_client, field), max                            \
	}
    ROW(send_kbits, UINT32_MAX),	  ROW(send_packets, UINT32_MAX),
    ROW(receive_kbits, UINT32_MAX),	  ROW(receive_packets, UINT32_MAX),
    ROW(connections, GZ_CONNECTIONS_MAX), ROW(priority, GZ_PRIORITY_MAX),
#undef ROW
};

/** set_limit() - In @c.  Return: 0, or -errno with the reason in @text */
static int set_limit(struct gz_dispatch_client *c, const char *key, uint32_t value, char *text,
		     size_t n)
{
	for (size_t i = 0; i < sizeof(limit_keys) / sizeof(limit_keys[0]); i++) {
		if (strcmp(limit_keys[i].key, key))
			continue;
		if (value > limit_keys[i].max)
			return gz_failed(text, n, EINVAL, "%s: expected 0 to %u", key,
					 limit_keys[i].max);
		memcpy((char *)c + limit_keys[i].offset, &value, sizeof(value));
		return 0;
	}
	return gz_failed(text, n, EINVAL,
			 "`%s': expected send_kbits, send_packets, receive_kbits, "
			 "receive_packets, connections or priority",
			 key);
}

int client_limit(struct dispatch *d, const char *name, const char *key, uint32_t rate, char *text,
		 size_t n)
{
	struct gz_dispatch_client conf;
	int place = client_find(d, name);
	struct limits *l;
	int rc;

	if (place < 0)
		return gz_failed(text, n, ENOENT, "no client '%s'", name);
	conf = d->clients.place[place].conf;
	rc = set_limit(&conf, key, rate, text, n);
	if (rc)
		return rc;
	l = limits_new(&conf);
	if (!l)
		return gz_failed(text, n, ENOMEM, "no memory");
	pthread_mutex_lock(&d->clients.lock);
	carry_out(d, (unsigned)place, &conf, l);
	pthread_mutex_unlock(&d->clients.lock);
	return publish(d) ? gz_failed(text, n, ENOMEM, "no memory") : 0;
}

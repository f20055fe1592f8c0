/* SPDX-License-Identifier: BSD-3-Clause
 *
 * check.c - What concerns several keys of a configuration
 *
 * Only here and in check_stack.c do rules know keys by name.  The prepare functions run before the
 * file's values are read and withdraw defaults that would make no sense beside
 * them; the check functions run after, complete what follows from something
 * else and report what does not go together.
 */
#include "config/check.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define AF_XDP_MTU_MAX 3498 /* a 4 KB UMEM frame less headroom, L2 header */
#define MEMIF_QUEUE_MAX 16384

/* Which of the port's keys a driver uses. */
enum { NO, MAY, MUST };

/* clang-format off */
static const struct {
	const char *name;
	int iface, path, device, veth;
} drivers[] = {
	[GZ_DRV_AUTO] =		{ "auto",	 MUST, NO, NO, MAY },
	[GZ_DRV_AF_XDP] =	{ "af_xdp",	 MUST, NO, NO, MAY },
	[GZ_DRV_AF_PACKET] =	{ "af_packet",	 MUST, NO, NO, MAY },
	[GZ_DRV_TAP] =		{ "tap",	 MAY, NO, NO, NO },
	[GZ_DRV_VIRTIO_USER] =	{ "virtio_user", NO, MUST, NO, NO },
	[GZ_DRV_VHOST] =	{ "vhost",	 NO, MUST, NO, NO },
	[GZ_DRV_PCI] =		{ "pci",	 NO, NO, MUST, NO },
	[GZ_DRV_VDEV] =		{ "vdev",	 MAY, NO, MUST, MAY },
	[GZ_DRV_DISPATCH] =	{ "dispatch",	 NO, MUST, NO, NO },
	[GZ_DRV_MEMIF] =	{ "memif",	 NO, MUST, NO, NO },
	[GZ_DRV_PCAP] =		{ "pcap",	 NO, NO, NO, NO },
	[GZ_DRV_RING] =		{ "ring",	 NO, NO, NO, NO },
	[GZ_DRV_NULL] =		{ "null",	 NO, NO, NO, NO },
};
/* clang-format on */

/**
 * prepare_port() - A port: block in the file replaces the default veth pair
 * @ld:		Load
 * @p:		Port with the defaults
 *
 * Return: true if no veth pair remains
 */
static bool prepare_port(const struct gz_load *ld, struct gz_port_config *p)
{
	if (!gz_load_has(ld, "port"))
		return false;
	memset(p->iface, 0, sizeof(p->iface));
	memset(p->veth_host, 0, sizeof(p->veth_host));
	memset(&p->veth_address, 0, sizeof(p->veth_address));
	memset(&p->veth_address6, 0, sizeof(p->veth_address6));
	return !gz_load_has(ld, "port.veth");
}

/**
 * check_use() - Is a key there when its driver needs it, and only then?
 * @ld:		Load
 * @p:		Port
 * @block:	Path of its block
 * @key:	The key in it
 * @set:	Has it a value?
 * @use:	NO, MAY or MUST
 */
static void check_use(struct gz_load *ld, const struct gz_port_config *p, const char *block,
		      const char *key, bool set, int use)
{
	const char *driver = drivers[p->driver].name;
	char path[64], because[64];

	snprintf(path, sizeof(path), "%s.%s", block, key);
	snprintf(because, sizeof(because), "%s.driver", block);
	if (use == MUST && !set)
		gz_load_error(
		    ld, path, because, "missing: expected a value, driver %s needs it%s", driver,
		    strcmp(path, "port.iface") ? ""
					       : " or port.veth.host (a port: block without veth: "
						 "makes no pair)");
	else if (use == NO && set)
		gz_load_error(ld, path, because,
			      "not used by driver %s: expected it to be left out", driver);
}

/**
 * is_pci() - Is a text a PCI device's address, or a MAC address?
 * @text:	"0000:01:00.0", "01:00.0", or "02:00:00:00:00:01"
 *
 * Return: true if so
 */
static bool is_pci(const char *text)
{
	static const char *const forms[] = {"xxxx:xx:xx.x", "xx:xx.x", "xx:xx:xx:xx:xx:xx"};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		const char *f = forms[i], *t = text;

		while (*f && (*f == 'x' ? isxdigit((unsigned char)*t) != 0 : *f == *t)) {
			f++;
			t++;
		}
		if (!*f && !*t)
			return true;
	}
	return false;
}

/**
 * check_device() - Does a port name the device that its driver is for?
 * @ld:		Load
 * @p:		Port
 * @block:	Path of its block
 * @named:	Its interface has a name already, or one that was refused
 */
static void check_device(struct gz_load *ld, const struct gz_port_config *p, const char *block,
			 bool named)
{
	bool veth = p->veth_host[0];
	char path[64], because[64], mtu[64];

	snprintf(because, sizeof(because), "%s.driver", block);
	snprintf(mtu, sizeof(mtu), "%s.mtu", block);
	if (p->iface[0] || !named)
		check_use(ld, p, block, "iface", p->iface[0], drivers[p->driver].iface);
	check_use(ld, p, block, "path", p->path[0], drivers[p->driver].path);
	check_use(ld, p, block, "device", p->device[0], drivers[p->driver].device);
	check_use(ld, p, block, "veth", veth, drivers[p->driver].veth);
	snprintf(path, sizeof(path), "%s.device", block);
	if (p->driver == GZ_DRV_PCI && p->device[0] && !is_pci(p->device))
		gz_load_error(ld, path, because,
			      "'%s' is not a PCI address: expected one like "
			      "0000:01:00.0, or a MAC address",
			      p->device);
	if (p->driver == GZ_DRV_AF_XDP && p->mtu > AF_XDP_MTU_MAX)
		gz_load_error(ld, gz_load_has(ld, mtu) ? mtu : "port.mtu", because,
			      "'%u' is out of range: expected at most %d with "
			      "driver af_xdp",
			      p->mtu, AF_XDP_MTU_MAX);
}

/** check_memif() - Are the queues of all ports small enough for the one at @block? */
static void check_memif(struct gz_load *ld, const struct gz_port_config *p, const char *block)
{
	char because[48];

	snprintf(because, sizeof(because), "%s.driver", block);
	if (p->driver == GZ_DRV_MEMIF && p->queue_size > MEMIF_QUEUE_MAX)
		gz_load_error(ld, "port.queue_size", because,
			      "'%u' is out of range: expected at most %d with driver memif",
			      p->queue_size, MEMIF_QUEUE_MAX);
}

/**
 * check_families() - Blocks of one driver, which others have no use for
 * @ld:		Load
 * @p:		Port
 * @block:	Path of its block
 */
static void check_families(struct gz_load *ld, const struct gz_port_config *p, const char *block)
{
	static const struct {
		enum gz_driver driver;
		const char *key;
	} rows[] = {
	    {GZ_DRV_MEMIF, "memif.role"},   {GZ_DRV_MEMIF, "memif.id"},
	    {GZ_DRV_MEMIF, "memif.secret"}, {GZ_DRV_PCAP, "pcap.receive"},
	    {GZ_DRV_PCAP, "pcap.send"},	    {GZ_DRV_PCAP, "pcap.repeat"},
	};
	const bool set[] = {
	    p->memif_role,	p->memif_id,	 p->memif_secret[0],
	    p->pcap_receive[0], p->pcap_send[0], p->pcap_repeat,
	};
	char path[64], because[64];

	snprintf(because, sizeof(because), "%s.driver", block);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(path, sizeof(path), "%s.%s", block, rows[i].key);
		if (set[i] && p->driver != rows[i].driver)
			gz_load_error(ld, path, because,
				      "not used by driver %s: expected it to be left out",
				      drivers[p->driver].name);
	}
	check_memif(ld, p, block);
	snprintf(path, sizeof(path), "%s.pcap", block);
	if (p->driver == GZ_DRV_PCAP && !p->pcap_receive[0] && !p->pcap_send[0])
		gz_load_error(ld, path, because, "no file: expected %s.receive or %s.send, or both",
			      path, path);
	snprintf(path, sizeof(path), "%s.pcap.repeat", block);
	snprintf(because, sizeof(because), "%s.pcap.receive", block);
	if (p->pcap_repeat && !p->pcap_receive[0])
		gz_load_error(ld, path, because, "nothing to repeat: expected %s", because);
	/* what the driver puts into its words has these between them */
	snprintf(path, sizeof(path), "%s.pcap.%s", block,
		 strchr(p->pcap_send, ',') ? "send" : "receive");
	snprintf(because, sizeof(because), "%s.pcap", block);
	if (strchr(p->pcap_receive, ',') || strchr(p->pcap_send, ','))
		gz_load_error(ld, path, because, "has a comma: expected a path without");
}

/**
 * check_veth() - The pair's names; iface is derived from veth.host if need be
 * @ld:		Load
 * @p:		Port
 * @block:	Path of its block
 */
static void check_veth(struct gz_load *ld, struct gz_port_config *p, const char *block)
{
	bool veth = p->veth_host[0];
	size_t n = strlen(p->veth_host);
	char host[64], iface[64], address[64];

	snprintf(host, sizeof(host), "%s.veth.host", block);
	snprintf(iface, sizeof(iface), "%s.iface", block);
	snprintf(address, sizeof(address), "%s.veth.address", block);
	if (veth && drivers[p->driver].iface && !p->iface[0] && !gz_load_has(ld, iface)) {
		if (n + 2 <= sizeof(p->iface)) {
			memcpy(p->iface, p->veth_host, n);
			p->iface[n] = 'e'; /* NULs follow */
		} else {
			gz_load_error(ld, host, iface,
				      "'%s' is too long to put an 'e' after it: "
				      "expected %s",
				      p->veth_host, iface);
		}
	}
	if (p->veth_address.addr && !veth)
		gz_load_error(ld, address, host, "no pair to put it on: expected %s", host);
	if (veth && !strcmp(p->iface, p->veth_host))
		gz_load_error(ld, iface, host,
			      "'%s' is the other end's name too: expected two "
			      "names",
			      p->iface);
}

/**
 * check_port() - Driver, interface, veth pair, sizes
 * @ld:		Load
 * @p:		Port; iface is derived from veth.host if need be
 * @m:		Memory
 */
static void check_port(struct gz_load *ld, struct gz_port_config *p,
		       const struct gz_memory_config *m)
{
	check_veth(ld, p, "port");
	/* A pair whose name was refused is no missing interface. */
	check_device(ld, p, "port", p->veth_host[0] || gz_load_bad(ld, "port.veth.host"));
	check_families(ld, p, "port");
	if (m->mbufs < 2u * p->queue_size)
		gz_load_error(ld,
			      gz_load_has(ld, "memory.mbufs") ? "memory.mbufs" : "port.queue_size",
			      gz_load_has(ld, "memory.mbufs") ? "port.queue_size" : "memory.mbufs",
			      "%u mbufs for queues of %u: expected at least "
			      "twice as many mbufs",
			      m->mbufs, p->queue_size);
}

/**
 * check_control() - Does the control socket's path fit its address?
 * @ld:		Load
 * @run_dir:	Directory
 * @name:	Engine's or dispatch's
 */
static void check_control(struct gz_load *ld, const char *run_dir, const char *name)
{
	char path[GZ_PATH_MAX];

	if (gz_control_path(path, sizeof(path), run_dir, name))
		gz_load_error(ld, "run_dir", "name",
			      "%s/%s.sock is too long: expected at most %d "
			      "bytes",
			      run_dir, name, GZ_PATH_MAX - 1);
}

void gz_engine_prepare(const struct gz_load *ld, void *conf)
{
	struct gz_engine_config *c = conf;

	if (gz_load_has(ld, "port")) {
		c->naddrs6 = 0;
		memset(c->addrs6, 0, sizeof(c->addrs6));
	}
	if (prepare_port(ld, &c->port)) {
		c->naddrs = 0;
		memset(c->addrs, 0, sizeof(c->addrs));
	}
}

/**
 * check_rules() - Rules that never match, and their lines
 * @ld:		Load
 * @c:		Configuration; the rules' lines are filled
 */
static void check_rules(struct gz_load *ld, struct gz_engine_config *c)
{
	char path[40];

	for (unsigned i = 0; i < c->nrules; i++) {
		struct gz_rule *r = &c->rules[i];
		const struct gz_rule *last = i ? &c->rules[i - 1] : NULL;

		snprintf(path, sizeof(path), "policy.rules[%u]", i);
		r->line = gz_load_line(ld, path);
		if (last && !last->direction && !last->protocol && !last->net.set &&
		    !last->port_hi && !last->uid_set && !last->program[0] &&
		    !gz_load_bad(ld, "policy.rules"))
			gz_load_error(ld, path, NULL,
				      "never reached: the rule on line %u matches everything: "
				      "expected it last",
				      last->line);
	}
}

/** check_workers() - One way to say where they are.  worker.cpu and cpus exclude what else there is
 */
static void check_workers(struct gz_load *ld, const struct gz_workers_config *w)
{
	const char *other = w->ncpus	   ? "workers.cpus"
			    : w->node >= 0 ? "workers.node"
			    : w->count	   ? "workers.count"
					   : NULL;

	if (other && gz_load_has(ld, "worker.cpu"))
		gz_load_error(ld, "worker.cpu", other, "not used beside %s: expected one of them",
			      other);
	if (w->ncpus && (w->node >= 0 || w->count)) {
		other = w->node >= 0 ? "workers.node" : "workers.count";
		gz_load_error(ld, other, "workers.cpus",
			      "not used beside workers.cpus: expected one of them");
	}
}

/** check_queues() - Are they of a driver that has them, and is there a worker for each? */
static void check_queues(struct gz_load *ld, const struct gz_port_config *p, const char *block,
			 const struct gz_workers_config *w)
{
	unsigned workers = w->ncpus ? w->ncpus : w->count ? w->count : 1;
	bool has = p->driver == GZ_DRV_MEMIF || p->driver == GZ_DRV_VIRTIO_USER ||
		   p->driver == GZ_DRV_VHOST;
	char path[48], because[48];

	snprintf(path, sizeof(path), "%s.queues", block);
	snprintf(because, sizeof(because), "%s.driver", block);
	if (p->link_queues > 1 && !has)
		gz_load_error(ld, path, because,
			      "not used by driver %s: expected it to be left out",
			      drivers[p->driver].name);
	else if (p->link_queues > workers && w->node < 0)
		gz_load_error(ld, path, "workers",
			      "%u queues for %u workers: expected at most as many", p->link_queues,
			      workers);
}

/** check_listed() - Port @i of @list, completed with what `port` says for all */
static void check_listed(struct gz_load *ld, const struct gz_port_config *all, const char *list,
			 unsigned i, struct gz_port_config *p)
{
	char path[48];

	snprintf(path, sizeof(path), "%s[%u]", list, i);
	p->mtu = p->mtu ? p->mtu : all->mtu;
	p->queue_size = all->queue_size;
	p->promiscuous = all->promiscuous;
	p->offloads = all->offloads;
	check_device(ld, p, path, false);
}

/** same_device() - Are two ports one device?  One of pcap is two files */
static bool same_device(const struct gz_port_config *p, const struct gz_port_config *q)
{
	if (p->driver == GZ_DRV_PCAP && q->driver == GZ_DRV_PCAP)
		return p->pcap_send[0] && !strcmp(p->pcap_send, q->pcap_send);
	return !strcmp(p->iface, q->iface) && !strcmp(p->device, q->device) &&
	       !strcmp(p->path, q->path) && p->memif_id == q->memif_id;
}

/** check_same() - Is the port at @path the same device as the one at @other? */
static void check_same(struct gz_load *ld, const char *path, const struct gz_port_config *p,
		       const char *other, const struct gz_port_config *q)
{
	if (same_device(p, q))
		gz_load_error(ld, path, other, "the same device as %s: expected another one",
			      other);
}

/** check_twice() - Is port @i of @list the same device as port @j? */
static void check_twice(struct gz_load *ld, const char *list, unsigned i,
			const struct gz_port_config *p, unsigned j, const struct gz_port_config *q)
{
	char path[48], other[48];

	snprintf(path, sizeof(path), "%s[%u]", list, i);
	snprintf(other, sizeof(other), "%s[%u]", list, j);
	check_same(ld, path, p, other, q);
}

/** check_mbufs() - Are there enough for @n ports with queues of @queue? */
static void check_mbufs(struct gz_load *ld, const struct gz_memory_config *m, unsigned queue,
			const char *list, unsigned n)
{
	if (m->mbufs < 2u * queue * n)
		gz_load_error(ld, "memory.mbufs", list,
			      "%u mbufs for %u ports with queues of %u: expected at least %u",
			      m->mbufs, n, queue, 2 * queue * n);
}

/** has_no_name() - Devices of a driver that has as many as there are ports: null, ring, tap */
static bool has_no_name(const struct gz_port_config *p)
{
	return !p->iface[0] && !p->device[0] && !p->path[0] && !p->pcap_send[0];
}

/** check_beside_port() - Is the port at @path another one than that at @other, names and all? */
static void check_beside_port(struct gz_load *ld, const char *path, const struct gz_port_config *p,
			      const char *other, const struct gz_port_config *q)
{
	char key[64], host[64];

	check_same(ld, path, p, other, q);
	snprintf(key, sizeof(key), "%s.iface", path);
	snprintf(host, sizeof(host), "%s.veth.host", other);
	if (p->iface[0] && !strcmp(p->iface, q->veth_host))
		gz_load_error(ld, key, host,
			      "'%s' is the kernel's end of %s.veth: expected another one", p->iface,
			      other);
	snprintf(key, sizeof(key), "%s.veth.host", path);
	if (p->veth_host[0] &&
	    (!strcmp(p->veth_host, q->veth_host) || !strcmp(p->veth_host, q->iface)))
		gz_load_error(ld, key, other, "'%s' is of %s already: expected another name",
			      p->veth_host, other);
	snprintf(key, sizeof(key), "%s.memif.role", path);
	if (p->driver == GZ_DRV_MEMIF && q->driver == GZ_DRV_MEMIF && !strcmp(p->path, q->path) &&
	    p->memif_role != q->memif_role)
		gz_load_error(ld, key, other,
			      "of one socket all links have one role: expected that of %s", other);
}

/** check_more_addresses() - Of ports[i]: some, a server's or a router's */
static void check_more_addresses(struct gz_load *ld, const struct gz_engine_config *c, unsigned i)
{
	const struct gz_engine_port *p = &c->more[i];
	bool near = !p->port.veth_address.addr || !p->naddrs;
	char path[48], dhcp[48], veth[48];

	snprintf(path, sizeof(path), "ports[%u].addresses", i);
	snprintf(dhcp, sizeof(dhcp), "ports[%u].dhcp", i);
	if (!p->naddrs && !p->dhcp && !gz_engine_has6(c, i + 1))
		gz_load_error(ld, path, dhcp,
			      "missing: expected at least one address, dhcp, addresses6 or slaac");
	if (p->naddrs && p->dhcp)
		gz_load_error(ld, dhcp, path, "not used beside addresses: expected one of them");
	snprintf(veth, sizeof(veth), "ports[%u].veth.address", i);
	for (unsigned k = 0; k < p->naddrs; k++)
		near |= gz_check_same_net(&p->addrs[k], p->port.veth_address.addr);
	if (!near)
		gz_load_error(ld, veth, path,
			      "in no network of addresses: expected a neighbour of one");
	snprintf(path, sizeof(path), "ports[%u].mtu", i);
	if (p->dhcp)
		gz_check_mtu4(ld, &p->port, gz_load_has(ld, path) ? path : "port.mtu", dhcp);
	if (gz_engine_has6(c, i + 1))
		gz_check_mtu6(ld, &p->port, gz_load_has(ld, path) ? path : "port.mtu", "ports");
}

/** check_more() - An engine's ports besides the first */
static void check_more(struct gz_load *ld, struct gz_engine_config *c)
{
	char path[48], other[48], key[64];

	for (unsigned i = 0; i < c->nmore; i++) {
		struct gz_port_config *p = &c->more[i].port;

		snprintf(path, sizeof(path), "ports[%u]", i);
		check_veth(ld, p, path);
		check_listed(ld, &c->port, "ports", i, p);
		check_families(ld, p, path);
		check_queues(ld, p, path, &c->workers);
		snprintf(key, sizeof(key), "%s.driver", path);
		if (p->driver == GZ_DRV_DISPATCH)
			gz_load_error(ld, key, NULL,
				      "'dispatch' is for port alone: expected another one");
		check_more_addresses(ld, c, i);
		if (has_no_name(p))
			continue;
		check_beside_port(ld, path, p, "port", &c->port);
		for (unsigned j = 0; j < i; j++) {
			snprintf(other, sizeof(other), "ports[%u]", j);
			check_beside_port(ld, path, p, other, &c->more[j].port);
		}
	}
	if (c->nmore)
		check_mbufs(ld, &c->memory, c->port.queue_size, "ports", c->nmore + 1);
}

void gz_engine_check(struct gz_load *ld, void *conf)
{
	struct gz_engine_config *c = conf;

	check_control(ld, c->run_dir, c->name);
	check_port(ld, &c->port, &c->memory);
	check_queues(ld, &c->port, "port", &c->workers);
	check_more(ld, c);
	gz_check_stack(ld, c);
	check_rules(ld, c);
	check_workers(ld, &c->workers);
}

/** port_of() - Of a client; NULL: there is none of that name */
static const struct gz_port_config *port_of(const struct gz_dispatch_config *c, unsigned client)
{
	if (!c->nports)
		return &c->port;
	for (unsigned i = 0; i < c->nports; i++) {
		if (!strcmp(c->ports[i].name, c->clients[client].port))
			return &c->ports[i].port;
	}
	return NULL;
}

/** check_client_port() - Is there the port that a client names? */
static void check_client_port(struct gz_load *ld, const struct gz_dispatch_config *c, unsigned i)
{
	const char *name = c->clients[i].port;
	char key[48];

	snprintf(key, sizeof(key), name[0] ? "clients[%u].port" : "clients[%u]", i);
	if (name[0] && !c->nports)
		gz_load_error(ld, key, NULL, "there is one port: expected `ports:` with names");
	else if (!name[0] && c->nports)
		gz_load_error(ld, key, "ports", "expected port: the name of one of ports");
	else if (!port_of(c, i))
		gz_load_error(ld, key, "ports", "'%s' is no port: expected the name of one", name);
}

/** check_client_mac() - Is a client's MAC address its port's own? */
static void check_client_mac(struct gz_load *ld, const struct gz_dispatch_config *c, unsigned i)
{
	const struct gz_dispatch_client *a = &c->clients[i];
	const struct gz_port_config *p = port_of(c, i);
	char mac[48];

	snprintf(mac, sizeof(mac), "clients[%u].mac", i);
	if (p && p->mac_set && a->mac_set && !memcmp(p->mac, a->mac, sizeof(a->mac)))
		gz_load_error(ld, mac, c->nports ? "ports" : "port.mac",
			      "the port's own address: expected another one");
}

/**
 * check_clients() - Do two of dispatch's clients claim the same thing?
 * @ld:		Load
 * @c:		Configuration; the clients' lines are filled
 *
 * Overlapping networks are refused as well: which of the two may use the
 * address in both must not depend on the order of rules.
 */
static void check_clients(struct gz_load *ld, struct gz_dispatch_config *c)
{
	char mine[48], other[48];

	for (unsigned i = 0; i < c->nclients; i++) {
		struct gz_dispatch_client *a = &c->clients[i];

		snprintf(mine, sizeof(mine), "clients[%u]", i);
		a->line = gz_load_line(ld, mine);
		snprintf(mine, sizeof(mine), "clients[%u].address6", i);
		if (a->address6.set && IN6_IS_ADDR_V4MAPPED(&a->address6.addr))
			gz_load_error(ld, mine, NULL, "of IPv4: expected one of IPv6");
		if (a->address6.set && port_of(c, i))
			gz_check_mtu6(ld, port_of(c, i), "port.mtu", mine);
		snprintf(mine, sizeof(mine), "clients[%u].shared", i);
		if (a->shared && (a->address.len != 32 || a->path[0] ||
				  (a->address6.set && a->address6.len != 128)))
			gz_load_error(ld, mine, NULL,
				      "expected single addresses and no path, of a client that "
				      "shares");
		check_client_port(ld, c, i);
		check_client_mac(ld, c, i);
		for (unsigned j = 0; j < i; j++) {
			const struct gz_dispatch_client *b = &c->clients[j];
			bool wider = a->address.len < b->address.len;
			bool share = a->shared && b->shared && a->address.addr == b->address.addr &&
				     a->vlan == b->vlan &&
				     gz_check_same_prefix(&a->address6, &b->address6);

			snprintf(mine, sizeof(mine), "clients[%u].name", i);
			snprintf(other, sizeof(other), "clients[%u].name", j);
			if (!strcmp(a->name, b->name))
				gz_load_error(ld, mine, other,
					      "'%s' is a client already, on line "
					      "%u: expected another name",
					      a->name, b->line);
			snprintf(mine, sizeof(mine), "clients[%u].path", i);
			snprintf(other, sizeof(other), "clients[%u].path", j);
			if (a->path[0] && !strcmp(a->path, b->path))
				gz_load_error(ld, mine, other,
					      "'%s' is the client's on line %u: "
					      "expected another socket",
					      a->path, b->line);
			if (strcmp(a->port, b->port)) /* networks of their own */
				continue;
			snprintf(mine, sizeof(mine), "clients[%u].mac", i);
			snprintf(other, sizeof(other), "clients[%u].mac", j);
			if (a->mac_set && b->mac_set && !memcmp(a->mac, b->mac, sizeof(a->mac)))
				gz_load_error(ld, mine, other,
					      "the client's on line %u has it: expected another",
					      b->line);
			snprintf(mine, sizeof(mine), "clients[%u].address", i);
			snprintf(other, sizeof(other), "clients[%u].address", j);
			if (!share && gz_check_same_net(wider ? &a->address : &b->address,
							wider ? b->address.addr : a->address.addr))
				gz_load_error(ld, mine, other,
					      "overlaps with the client's on line "
					      "%u: expected addresses that are "
					      "one client's alone",
					      b->line);
			snprintf(mine, sizeof(mine), "clients[%u].address6", i);
			snprintf(other, sizeof(other), "clients[%u].address6", j);
			if (!share && gz_check_overlap6(&a->address6, &b->address6))
				gz_load_error(ld, mine, other,
					      "overlaps with the client's on line "
					      "%u: expected addresses that are "
					      "one client's alone",
					      b->line);
		}
	}
}

/** check_owner() - A port of dispatch's own cannot be one of its links */
static void check_owner(struct gz_load *ld, const struct gz_port_config *p, const char *key)
{
	if (p->driver == GZ_DRV_DISPATCH)
		gz_load_error(ld, key, NULL, "'dispatch' is for engines: expected a device");
}

struct beside {
	const char *key;
	bool set;
};

/** check_beside() - None of @b is set where there is @list */
static void check_beside(struct gz_load *ld, const struct beside *b, size_t n, const char *list,
			 const char *expected)
{
	for (size_t i = 0; i < n; i++) {
		if (b[i].set)
			gz_load_error(ld, b[i].key, list, "not used beside %s: expected %s", list,
				      expected);
	}
}

/** check_replaced() - What each port of a list says itself, and `port` does not then */
static void check_replaced(struct gz_load *ld, const struct gz_dispatch_config *c, const char *list)
{
	const struct beside own[] = {
	    {"port.driver", c->port.driver != GZ_DRV_AUTO},
	    {"port.iface", c->port.iface[0]},
	    {"port.device", c->port.device[0]},
	    {"port.path", c->port.path[0]},
	    {"port.mac", c->port.mac_set},
	    {"port.veth", c->port.veth_host[0]},
	};

	check_beside(ld, own, sizeof(own) / sizeof(own[0]), list, "it in each of them");
}

/** check_probes() - Of a bond, at @key */
static void check_probes(struct gz_load *ld, const char *key, const struct gz_prefix *targets,
			 unsigned n)
{
	char path[48];

	for (unsigned i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s[%u]", key, i);
		if (targets[i].len != 128)
			gz_load_error(ld, path, NULL, "a network: expected a host's address");
	}
}

/** check_bonded() - Devices of a bond at @list; @all: what holds for them */
static void check_bonded(struct gz_load *ld, const struct gz_port_config *all, const char *list,
			 struct gz_port_config *ports, unsigned n)
{
	char path[48];

	for (unsigned i = 0; i < n; i++) {
		check_listed(ld, all, list, i, &ports[i]);
		snprintf(path, sizeof(path), "%s[%u].driver", list, i);
		check_owner(ld, &ports[i], path);
	}
}

static void check_bond(struct gz_load *ld, struct gz_dispatch_config *c)
{
	struct gz_bond_config *b = &c->bond;

	check_replaced(ld, c, "bond.ports");
	check_bonded(ld, &c->port, "bond.ports", b->ports, b->nports);
	for (unsigned i = 0; i < b->nports; i++) {
		for (unsigned j = 0; j < i; j++)
			check_twice(ld, "bond.ports", i, &b->ports[i], j, &b->ports[j]);
	}
	check_probes(ld, "bond.probe", b->targets, b->ntargets);
	check_mbufs(ld, &c->memory, c->port.queue_size, "bond.ports", b->nports);
}

/** check_listed_bond() - Port @i of `ports`, which is a bond */
static void check_listed_bond(struct gz_load *ld, struct gz_dispatch_config *c, unsigned i)
{
	struct gz_dispatch_port *p = &c->ports[i];
	bool own = p->port.driver != GZ_DRV_AUTO || p->port.iface[0] || p->port.device[0] ||
		   p->port.path[0] || p->port.mac_set;
	struct gz_port_config all = c->port;
	char key[48], bond[48];

	snprintf(key, sizeof(key), "ports[%u]", i);
	snprintf(bond, sizeof(bond), "ports[%u].bond", i);
	check_beside(ld, &(struct beside){key, own}, 1, bond, "a device in each of these only");
	p->port.mtu = p->port.mtu ? p->port.mtu : c->port.mtu;
	all.mtu = p->port.mtu;
	check_bonded(ld, &all, bond, p->bond, p->nbond);
	snprintf(key, sizeof(key), "ports[%u].probe", i);
	check_probes(ld, key, p->targets, p->ntargets);
}

/** device_of() - Device @k of port @i, and its path.  Return: NULL: it has no more */
static struct gz_port_config *device_of(struct gz_dispatch_config *c, unsigned i, unsigned k,
					char path[48])
{
	struct gz_dispatch_port *p = &c->ports[i];

	snprintf(path, 48, "ports[%u]", i);
	if (p->nbond)
		snprintf(path, 48, "ports[%u].bond[%u]", i, k);
	if (k >= (p->nbond ? p->nbond : 1))
		return NULL;
	return p->nbond ? &p->bond[k] : &p->port;
}

/** check_devices() - Of port @i: each is good, and no other one's.  Return: how many */
static unsigned check_devices(struct gz_load *ld, struct gz_dispatch_config *c, unsigned i)
{
	struct gz_dispatch_port *p = &c->ports[i];
	const struct gz_port_config *q;
	char path[48], other[48];
	unsigned n = 0;

	snprintf(path, sizeof(path), "ports[%u].probe", i);
	snprintf(other, sizeof(other), "ports[%u].driver", i);
	if (p->nbond) {
		check_listed_bond(ld, c, i);
	} else {
		check_listed(ld, &c->port, "ports", i, &p->port);
		check_owner(ld, &p->port, other);
		if (p->ntargets)
			gz_load_error(ld, path, NULL, "there is no bond: expected bond as well");
	}
	for (struct gz_port_config *own; (own = device_of(c, i, n, path)); n++) {
		for (unsigned j = 0; j <= i; j++) {
			for (unsigned k = 0; (q = device_of(c, j, k, other)) && q != own; k++)
				check_same(ld, path, own, other, q);
		}
	}
	return n;
}

/** check_ports() - Those that have nothing to do with each other */
static void check_ports(struct gz_load *ld, struct gz_dispatch_config *c)
{
	const struct beside others[] = {
	    {"bond.ports", c->bond.nports},	  {"bond.probe", c->bond.ntargets},
	    {"kernel.iface", c->kernel_iface[0]}, {"send_kbits", c->send_kbits},
	    {"port.vlan", c->port.vlan},
	};
	unsigned devices = 0;
	char key[48];

	check_replaced(ld, c, "ports");
	check_beside(ld, others, sizeof(others) / sizeof(others[0]), "ports", "one of them");
	for (unsigned i = 0; i < c->nports; i++) {
		struct gz_dispatch_port *p = &c->ports[i];

		devices += check_devices(ld, c, i);
		for (unsigned j = 0; j < i; j++) {
			const struct gz_dispatch_port *q = &c->ports[j];

			snprintf(key, sizeof(key), "ports[%u].name", i);
			if (!strcmp(p->name, q->name))
				gz_load_error(ld, key, NULL,
					      "'%s' is a port already: expected another name",
					      p->name);
			snprintf(key, sizeof(key), "ports[%u].kernel", i);
			if (p->kernel_iface[0] && !strcmp(p->kernel_iface, q->kernel_iface))
				gz_load_error(ld, key, NULL,
					      "'%s' is another port's: expected another name",
					      p->kernel_iface);
		}
	}
	check_mbufs(ld, &c->memory, c->port.queue_size, "ports", devices);
}

void gz_dispatch_prepare(const struct gz_load *ld, void *conf)
{
	struct gz_dispatch_config *c = conf;

	prepare_port(ld, &c->port);
	/* the default pair; a list of ports replaces it */
	if ((gz_load_has(ld, "bond.ports") || gz_load_has(ld, "ports")) &&
	    !gz_load_has(ld, "port")) {
		memset(c->port.iface, 0, sizeof(c->port.iface));
		memset(c->port.veth_host, 0, sizeof(c->port.veth_host));
		memset(&c->port.veth_address, 0, sizeof(c->port.veth_address));
		memset(&c->port.veth_address6, 0, sizeof(c->port.veth_address6));
	}
}

/**
 * check_bifurcation() - The card tells a client's frames by their MAC address
 *
 * So that must be no one else's: what has the port's would go to the kernel.
 */
static void check_bifurcation(struct gz_load *ld, const struct gz_dispatch_config *c)
{
	static const char *const key = "kernel.bifurcate";
	bool shared = false, own;

	if (!c->kernel_own[0])
		return;
	for (unsigned i = 0; i < c->nclients; i++)
		shared |= c->clients[i].shared;
	own = c->port.driver == GZ_DRV_PCI || c->port.driver == GZ_DRV_VDEV ||
	      !strcmp(c->port.iface, c->kernel_own);
	if (!own || c->port.driver == GZ_DRV_TAP)
		gz_load_error(ld, key, "port.driver",
			      "'%s' is not the kernel's of that port: expected driver pci, or "
			      "port.iface",
			      c->kernel_own);
	if (!c->kernel_iface[0])
		gz_load_error(ld, key, "kernel.iface",
			      "what is for all comes to dispatch: expected kernel.iface as well");
	if (c->bond.nports)
		gz_load_error(ld, key, "bond.ports", "not used with bond: expected one of them");
	if (c->nkernel_rules)
		gz_load_error(ld, key, "kernel.rules",
			      "not used with kernel.rules: expected one of them");
	if (shared)
		gz_load_error(ld, key, "clients",
			      "not used with clients that share an address: expected one of them");
}

/** check_kernel() - The way to the kernel needs a port of the host's */
static void check_kernel(struct gz_load *ld, const struct gz_dispatch_config *c)
{
	bool any = c->kernel_iface[0];

	for (unsigned i = 0; i < c->nports; i++)
		any |= c->ports[i].kernel_iface[0] != 0;
	if (c->kernel_iface[0] && c->port.veth_host[0])
		gz_load_error(ld, "kernel.iface", "port.veth",
			      "not used with port.veth: the kernel has %s: expected one of them",
			      c->port.veth_host);
	if (c->nkernel_rules && !any)
		gz_load_error(ld, "kernel.rules", "kernel.iface",
			      "there is no way to the kernel: expected kernel.iface as well");
	check_bifurcation(ld, c);
}

void gz_dispatch_check(struct gz_load *ld, void *conf)
{
	struct gz_dispatch_config *c = conf;
	char path[48];

	check_control(ld, c->run_dir, c->name);
	check_owner(ld, &c->port, "port.driver");
	if (c->nports)
		check_ports(ld, c);
	else if (c->bond.nports)
		check_bond(ld, c);
	else
		check_port(ld, &c->port, &c->memory);
	check_queues(ld, &c->port, "port", &c->workers);
	for (unsigned i = 0; i < c->nports; i++) {
		snprintf(path, sizeof(path), "ports[%u]", i);
		check_queues(ld, &c->ports[i].port, path, &c->workers);
	}
	check_kernel(ld, c);
	check_clients(ld, c);
	check_workers(ld, &c->workers);
}

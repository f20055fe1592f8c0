/* SPDX-License-Identifier: BSD-3-Clause
 *
 * check.c - What concerns several keys of a configuration
 *
 * Only here do rules know keys by name.  The prepare functions run before the
 * file's values are read and withdraw defaults that would make no sense beside
 * them; the check functions run after, complete what follows from something
 * else and report what does not go together.
 */
#include "config/loader.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define AF_XDP_MTU_MAX 3498 /* a 4 KB UMEM frame less headroom, L2 header */

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
 * is_pci() - Is a text a PCI address?
 * @text:	"0000:01:00.0" or "01:00.0"
 *
 * Return: true if so
 */
static bool is_pci(const char *text)
{
	static const char *const forms[] = {"xxxx:xx:xx.x", "xx:xx.x"};

	for (size_t i = 0; i < 2; i++) {
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
	char path[64], because[64];

	snprintf(because, sizeof(because), "%s.driver", block);
	if (p->iface[0] || !named)
		check_use(ld, p, block, "iface", p->iface[0], drivers[p->driver].iface);
	check_use(ld, p, block, "path", p->path[0], drivers[p->driver].path);
	check_use(ld, p, block, "device", p->device[0], drivers[p->driver].device);
	check_use(ld, p, block, "veth", veth, drivers[p->driver].veth);
	snprintf(path, sizeof(path), "%s.device", block);
	if (p->driver == GZ_DRV_PCI && p->device[0] && !is_pci(p->device))
		gz_load_error(ld, path, because,
			      "'%s' is not a PCI address: expected one like "
			      "0000:01:00.0",
			      p->device);
	if (p->driver == GZ_DRV_AF_XDP && p->mtu > AF_XDP_MTU_MAX)
		gz_load_error(ld, "port.mtu", because,
			      "'%u' is out of range: expected at most %d with "
			      "driver af_xdp",
			      p->mtu, AF_XDP_MTU_MAX);
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
	bool veth = p->veth_host[0];

	if (veth && !p->iface[0] && !gz_load_has(ld, "port.iface")) {
		size_t n = strlen(p->veth_host);

		if (n + 2 <= sizeof(p->iface)) {
			memcpy(p->iface, p->veth_host, n);
			p->iface[n] = 'e'; /* NULs follow */
		} else {
			gz_load_error(ld, "port.veth.host", "port.iface",
				      "'%s' is too long to put an 'e' after it: "
				      "expected port.iface",
				      p->veth_host);
		}
	}
	/* A pair whose name was refused is no missing interface. */
	check_device(ld, p, "port", veth || gz_load_bad(ld, "port.veth.host"));
	if (p->veth_address.addr && !veth)
		gz_load_error(ld, "port.veth.address", "port.veth.host",
			      "no pair to put it on: expected port.veth.host");
	if (veth && !strcmp(p->iface, p->veth_host))
		gz_load_error(ld, "port.iface", "port.veth.host",
			      "'%s' is the other end's name too: expected two "
			      "names",
			      p->iface);
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

/**
 * same_net() - Is an address in a host's network?
 * @host:	Host's address and prefix length
 * @addr:	Network byte order
 *
 * Return: true if so
 */
static bool same_net(const struct gz_prefix4 *host, uint32_t addr)
{
	return !((host->addr ^ addr) & gz_prefix4_mask(host->len));
}

/**
 * check_stack() - The engine's addresses, gateway and the pair's other end
 * @ld:		Load
 * @c:		Configuration
 */
static void check_stack(struct gz_load *ld, const struct gz_engine_config *c)
{
	const struct gz_prefix4 *veth = &c->port.veth_address;
	bool near_veth = !veth->addr, near_gw = !c->gateway;
	char text[INET_ADDRSTRLEN], path[40];

	for (unsigned i = 0; i < c->naddrs; i++) {
		const struct gz_prefix4 *a = &c->addrs[i];

		inet_ntop(AF_INET, &a->addr, text, sizeof(text));
		snprintf(path, sizeof(path), "stack.addresses[%u]", i);
		near_veth |= same_net(a, veth->addr);
		/* A /32, as some clouds give, has its gateway outside. */
		near_gw |= same_net(a, c->gateway) || a->len == 32;
		for (unsigned j = 0; j < i; j++)
			if (c->addrs[j].addr == a->addr)
				gz_load_error(ld, path, NULL,
					      "'%s' is there already: expected "
					      "different addresses",
					      text);
		if (veth->addr == a->addr)
			gz_load_error(ld, path, "port.veth.address",
				      "'%s' is port.veth.address: expected "
				      "another one in its network",
				      text);
		if (c->gateway == a->addr)
			gz_load_error(ld, "stack.gateway", path,
				      "'%s' is the stack's own address: expected "
				      "another host",
				      text);
	}
	if (!c->naddrs && gz_load_has(ld, "port") && !gz_load_has(ld, "port.veth") &&
	    !gz_load_has(ld, "stack.addresses"))
		gz_load_error(ld, "port", "stack.addresses",
			      "without veth: the default address does not apply: "
			      "expected stack.addresses as well");
	else if (!c->naddrs)
		gz_load_error(ld, "stack.addresses", NULL, "empty: expected at least one address");
	else if (!near_veth && !gz_load_has(ld, "stack.addresses"))
		gz_load_error(ld, "port.veth.address", "stack.addresses",
			      "not in the stack's default network: expected "
			      "stack.addresses as well");
	if (!near_gw && c->naddrs)
		gz_load_error(ld, "stack.gateway", "stack.addresses",
			      "'%s' is in no network of stack.addresses: "
			      "expected a neighbour",
			      inet_ntop(AF_INET, &c->gateway, text, sizeof(text)));
}

/**
 * check_stack6() - The same for IPv6
 * @ld:		Load
 * @c:		Configuration
 */
static void check_stack6(struct gz_load *ld, const struct gz_engine_config *c)
{
	char text[INET6_ADDRSTRLEN], path[40];

	for (unsigned i = 0; i < c->naddrs6; i++) {
		const struct in6_addr *a = &c->addrs6[i].addr;

		inet_ntop(AF_INET6, a, text, sizeof(text));
		snprintf(path, sizeof(path), "stack.addresses6[%u]", i);
		for (unsigned j = 0; j < i; j++)
			if (IN6_ARE_ADDR_EQUAL(&c->addrs6[j].addr, a))
				gz_load_error(ld, path, NULL,
					      "'%s' is there already: expected "
					      "different addresses",
					      text);
		if (IN6_ARE_ADDR_EQUAL(&c->port.veth_address6.addr, a))
			gz_load_error(ld, path, "port.veth.address6",
				      "'%s' is port.veth.address6: expected "
				      "another one in its network",
				      text);
		if (IN6_ARE_ADDR_EQUAL(&c->gateway6, a))
			gz_load_error(ld, "stack.gateway6", path,
				      "'%s' is the stack's own address: expected "
				      "another host",
				      text);
	}
	/* RFC 8200 section 5 */
	if ((c->naddrs6 || c->slaac) && c->port.mtu < 1280)
		gz_load_error(ld, "port.mtu", "stack.addresses6",
			      "too small for IPv6: expected at least 1280");
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

void gz_engine_check(struct gz_load *ld, void *conf)
{
	struct gz_engine_config *c = conf;

	check_control(ld, c->run_dir, c->name);
	check_port(ld, &c->port, &c->memory);
	check_stack(ld, c);
	check_stack6(ld, c);
	check_rules(ld, c);
	if (c->ncpus && gz_load_has(ld, "worker.cpu"))
		gz_load_error(ld, "worker.cpu", "workers.cpus",
			      "not used beside workers.cpus: expected one of them");
}

static bool overlap6(const struct gz_prefix *a, const struct gz_prefix *b)
{
	unsigned len = a->len < b->len ? a->len : b->len;

	for (unsigned i = 0; i < len; i++)
		if ((a->addr.s6_addr[i / 8] ^ b->addr.s6_addr[i / 8]) & (0x80 >> i % 8))
			return false;
	return a->set && b->set;
}

/** same_prefix() - Neither is set, or both are and equal */
static bool same_prefix(const struct gz_prefix *a, const struct gz_prefix *b)
{
	return a->set == b->set && a->len == b->len && IN6_ARE_ADDR_EQUAL(&a->addr, &b->addr);
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
		snprintf(mine, sizeof(mine), "clients[%u].shared", i);
		if (a->shared && (a->address.len != 32 || a->path[0] ||
				  (a->address6.set && a->address6.len != 128)))
			gz_load_error(ld, mine, NULL,
				      "expected single addresses and no path, of a client that "
				      "shares");
		for (unsigned j = 0; j < i; j++) {
			const struct gz_dispatch_client *b = &c->clients[j];
			bool wider = a->address.len < b->address.len;
			bool share = a->shared && b->shared && a->address.addr == b->address.addr &&
				     a->vlan == b->vlan && same_prefix(&a->address6, &b->address6);

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
			snprintf(mine, sizeof(mine), "clients[%u].address", i);
			snprintf(other, sizeof(other), "clients[%u].address", j);
			if (!share && same_net(wider ? &a->address : &b->address,
					       wider ? b->address.addr : a->address.addr))
				gz_load_error(ld, mine, other,
					      "overlaps with the client's on line "
					      "%u: expected addresses that are "
					      "one client's alone",
					      b->line);
			snprintf(mine, sizeof(mine), "clients[%u].address6", i);
			snprintf(other, sizeof(other), "clients[%u].address6", j);
			if (!share && overlap6(&a->address6, &b->address6))
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

/**
 * check_bond() - The bond's ports, completed with what `port` says for all
 * @ld:		Load
 * @c:		Configuration
 */
static void check_bond(struct gz_load *ld, struct gz_dispatch_config *c)
{
	const struct {
		const char *key;
		bool set;
	} own[] = {
	    {"port.driver", c->port.driver != GZ_DRV_AUTO},
	    {"port.iface", c->port.iface[0]},
	    {"port.device", c->port.device[0]},
	    {"port.path", c->port.path[0]},
	    {"port.mac", c->port.mac_set},
	    {"port.veth", c->port.veth_host[0]},
	};
	struct gz_bond_config *b = &c->bond;
	char path[48], other[48];

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		if (own[i].set)
			gz_load_error(ld, own[i].key, "bond.ports",
				      "not used beside bond.ports: expected it in each of them");
	}
	for (unsigned i = 0; i < b->nports; i++) {
		struct gz_port_config *p = &b->ports[i];

		snprintf(path, sizeof(path), "bond.ports[%u]", i);
		p->mtu = c->port.mtu;
		p->queue_size = c->port.queue_size;
		p->promiscuous = c->port.promiscuous;
		p->offloads = c->port.offloads;
		check_device(ld, p, path, false);
		snprintf(other, sizeof(other), "bond.ports[%u].driver", i);
		check_owner(ld, p, other);
		for (unsigned j = 0; j < i; j++) {
			const struct gz_port_config *q = &b->ports[j];

			snprintf(other, sizeof(other), "bond.ports[%u]", j);
			if (!strcmp(p->iface, q->iface) && !strcmp(p->device, q->device) &&
			    !strcmp(p->path, q->path))
				gz_load_error(ld, path, other,
					      "the same device as bond.ports[%u]: expected "
					      "another one",
					      j);
		}
	}
	for (unsigned i = 0; i < b->ntargets; i++) {
		snprintf(path, sizeof(path), "bond.probe[%u]", i);
		if (b->targets[i].len != 128)
			gz_load_error(ld, path, NULL, "a network: expected a host's address");
	}
	if (c->memory.mbufs < 2u * c->port.queue_size * b->nports)
		gz_load_error(ld, "memory.mbufs", "bond.ports",
			      "%u mbufs for %u ports with queues of %u: expected at least %u",
			      c->memory.mbufs, b->nports, c->port.queue_size,
			      2 * c->port.queue_size * b->nports);
}

void gz_dispatch_prepare(const struct gz_load *ld, void *conf)
{
	struct gz_dispatch_config *c = conf;

	prepare_port(ld, &c->port);
	/* the default pair; a bond's ports replace it */
	if (gz_load_has(ld, "bond.ports") && !gz_load_has(ld, "port")) {
		memset(c->port.iface, 0, sizeof(c->port.iface));
		memset(c->port.veth_host, 0, sizeof(c->port.veth_host));
		memset(&c->port.veth_address, 0, sizeof(c->port.veth_address));
		memset(&c->port.veth_address6, 0, sizeof(c->port.veth_address6));
	}
}

/** check_kernel() - The way to the kernel needs a port of the host's */
static void check_kernel(struct gz_load *ld, const struct gz_dispatch_config *c)
{
	if (c->kernel_iface[0] && c->port.veth_host[0])
		gz_load_error(ld, "kernel.iface", "port.veth",
			      "not used with port.veth: the kernel has %s: expected one of them",
			      c->port.veth_host);
	if (c->nkernel_rules && !c->kernel_iface[0])
		gz_load_error(ld, "kernel.rules", "kernel.iface",
			      "there is no way to the kernel: expected kernel.iface as well");
}

void gz_dispatch_check(struct gz_load *ld, void *conf)
{
	struct gz_dispatch_config *c = conf;

	check_control(ld, c->run_dir, c->name);
	check_owner(ld, &c->port, "port.driver");
	if (c->bond.nports)
		check_bond(ld, c);
	else
		check_port(ld, &c->port, &c->memory);
	check_kernel(ld, c);
	check_clients(ld, c);
}

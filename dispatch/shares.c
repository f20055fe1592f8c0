/* SPDX-License-Identifier: BSD-3-Clause
 *
 * shares.c - Whose which port is, of addresses that several clients have: see clients.h
 *
 * A client has the ports of its lease, and those that it claims.
 */
#include <errno.h>
#include <stdlib.h>

#include "dispatch/dispatch.h"

#define LEASE_MIN 64

static void set_owner(struct sw_ports *p, bool udp, uint16_t port, unsigned owner)
{
	atomic_store_explicit(&p->owner[udp][port], (uint8_t)owner, memory_order_relaxed);
}

static unsigned owner_of(const struct sw_ports *p, bool udp, uint16_t port)
{
	return atomic_load_explicit(&p->owner[udp][port], memory_order_relaxed);
}

/** ports_of() - Of a client's shared addresses.  Kept for good: the worker may be in them.  NULL:
 * no memory */
static struct sw_ports *ports_of(struct dispatch *d, const struct gz_dispatch_client *c)
{
	struct sw_ports *p = d->clients.ports;

	while (p &&
	       (p->addr != c->address.addr || !IN6_ARE_ADDR_EQUAL(&p->addr6, &c->address6.addr)))
		p = p->next;
	if (p)
		return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->addr = c->address.addr;
	p->addr6 = c->address6.addr;
	p->next = d->clients.ports;
	d->clients.ports = p;
	return p;
}

static bool is_nobodys(const struct sw_ports *p, unsigned lo, unsigned hi)
{
	for (unsigned port = lo; port <= hi; port++) {
		if (owner_of(p, false, (uint16_t)port) || owner_of(p, true, (uint16_t)port))
			return false;
	}
	return true;
}

/** sharers() - How many may have the address at a time */
static unsigned sharers(const struct dispatch *d, uint32_t addr)
{
	unsigned n = 0;

	for (unsigned i = 0; i < GZ_CLIENTS_MAX; i++) {
		const struct client *c = &d->clients.place[i];

		n += c->used && c->conf.shared && c->conf.address.addr == addr;
	}
	return n;
}

/**
 * find_lease() - The lease that it had, else its part of its ephemeral ports
 *
 * The first part that is nobody's; a smaller one if others have come between.
 * Return: false if there is none
 */
static bool find_lease(const struct dispatch *d, struct client *c, const struct sw_ports *p,
		       const struct gz_attach_request *r)
{
	unsigned span = r->port_hi - r->port_lo + 1u;

	/* No more than its share of all ports, whatever it asks for */
	if (r->lease_lo && r->lease_lo <= r->lease_hi &&
	    (unsigned)(r->lease_hi - r->lease_lo) < 65536 / sharers(d, p->addr)) {
		c->lease_lo = r->lease_lo;
		c->lease_hi = r->lease_hi;
		return is_nobodys(p, r->lease_lo, r->lease_hi);
	}
	if (!r->port_lo || r->port_hi < r->port_lo)
		return false;
	for (unsigned size = span / sharers(d, p->addr); size >= LEASE_MIN; size /= 2) {
		for (unsigned lo = r->port_lo; lo + size - 1 <= r->port_hi; lo += size) {
			if (!is_nobodys(p, lo, lo + size - 1))
				continue;
			c->lease_lo = (uint16_t)lo;
			c->lease_hi = (uint16_t)(lo + size - 1);
			return true;
		}
	}
	return false;
}

int client_share(struct dispatch *d, unsigned place, const struct gz_attach_request *r, char *text,
		 size_t n)
{
	struct client *c = &d->clients.place[place];
	struct sw_ports *p = ports_of(d, &c->conf);

	if (!p)
		return gz_failed(text, n, ENOMEM, "no memory");
	if (!find_lease(d, c, p, r))
		return gz_failed(text, n, EAGAIN, "no %u ports in a row are left to lease",
				 LEASE_MIN);
	for (unsigned port = c->lease_lo; port <= c->lease_hi; port++) {
		set_owner(p, false, (uint16_t)port, place + 1);
		set_owner(p, true, (uint16_t)port, place + 1);
	}
	c->ports = p;
	return 0;
}

void client_unshare(struct dispatch *d, unsigned place)
{
	struct client *c = &d->clients.place[place];

	for (unsigned port = 0; c->ports && port < 65536; port++) {
		for (unsigned udp = 0; udp < 2; udp++) {
			if (owner_of(c->ports, udp, (uint16_t)port) == place + 1)
				set_owner(c->ports, udp, (uint16_t)port, 0);
		}
	}
	c->ports = NULL;
}

int client_claim(struct dispatch *d, unsigned place, bool udp, uint16_t port, char *text, size_t n)
{
	struct client *c = &d->clients.place[place];
	unsigned owner;

	if (!c->ports || !port)
		return gz_failed(text, n, EINVAL, "no address is shared, or no port");
	owner = owner_of(c->ports, udp, port);
	if (owner && owner != place + 1)
		return gz_failed(text, n, EADDRINUSE, "port %u is client %s's", port,
				 d->clients.place[owner - 1].conf.name);
	set_owner(c->ports, udp, port, place + 1);
	return 0;
}

int client_release(struct dispatch *d, unsigned place, bool udp, uint16_t port, char *text,
		   size_t n)
{
	struct client *c = &d->clients.place[place];

	if (!c->ports || owner_of(c->ports, udp, port) != place + 1 ||
	    (port >= c->lease_lo && port <= c->lease_hi))
		return gz_failed(text, n, EINVAL, "port %u was not claimed", port);
	set_owner(c->ports, udp, port, 0);
	return 0;
}

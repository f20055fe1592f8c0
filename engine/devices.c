/* SPDX-License-Identifier: BSD-3-Clause
 *
 * devices.c - The engine's ports: opened and closed, each in its network namespace
 *
 * All have one pool of mbufs, so that one that came by a port may leave by another, or wait
 * in a worker's ring, whichever it is.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_mempool.h>

#include "engine/devices.h"
#include "engine/link.h"
#include "engine/log.h"
#include "engine/worker.h"

uint16_t gz_devices_mtu(const struct gz_engine_config *cfg)
{
	uint16_t mtu = 0;

	for (unsigned i = 0; i <= cfg->nmore; i++)
		mtu = RTE_MAX(mtu, gz_engine_port(cfg, i)->mtu);
	return mtu;
}

bool gz_devices_pci(const struct gz_engine_config *cfg)
{
	bool has = false;

	for (unsigned i = 0; i <= cfg->nmore; i++)
		has |= gz_engine_port(cfg, i)->driver == GZ_DRV_PCI;
	return has;
}

static int enter(int netns, char *err, size_t n)
{
	if (setns(netns, CLONE_NEWNET) < 0)
		return gz_failed(err, n, errno, "Couldn't enter the port's network namespace: %s",
				 strerror(errno));
	return 0;
}

/* The next one.  Return: 0 or -errno */
static int open_next(const struct gz_port_config *c, struct rte_mempool *pool, char *err, size_t n)
{
	struct gz_port *p = &gz_ports[gz_nports];
	int r = gz_port_open(p, c, pool, err, n);

	if (r < 0)
		return r;
	if (err[0])
		gz_info("%s", err);
	gz_nports++;
	r = gz_link_start(p);
	if (r < 0)
		gz_warn("port %s: changes of its link are not seen: %s", p->device, strerror(-r));
	return 0;
}

/* Our end of a pair is in the private one. */
static int home_of(const struct gz_engine_config *cfg, unsigned i, const struct gz_homes *h)
{
	return gz_engine_port(cfg, i)->veth_host[0] ? h->private : h->host;
}

int gz_devices_pairs(const struct gz_engine_config *cfg, int private, char *err, size_t n)
{
	int r = 0;

	for (unsigned i = 0; i <= cfg->nmore && !r; i++)
		if (gz_engine_port(cfg, i)->veth_host[0]) {
			r = gz_veth_create(gz_engine_port(cfg, i), private, err, n);
			if (r)
				gz_devices_unpair(cfg, i);
		}
	return r;
}

void gz_devices_unpair(const struct gz_engine_config *cfg, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const char *host = gz_engine_port(cfg, i)->veth_host;

		if (host[0] && gz_veth_remove(host) < 0)
			gz_warn("Couldn't remove %s", host);
	}
}

int gz_devices_open(const struct gz_engine_config *cfg, const struct gz_homes *h, char *err,
		    size_t n)
{
	struct rte_mempool *pool =
	    gz_port_pool("mbufs", cfg->memory.mbufs, gz_eal_workers(), gz_devices_mtu(cfg));
	int r = 0;

	if (!pool)
		return gz_failed(
		    err, n, rte_errno ? rte_errno : ENOMEM,
		    "no memory for %u mbufs a worker (%s): raise memory.megabytes or lower "
		    "memory.mbufs",
		    cfg->memory.mbufs, rte_strerror(rte_errno));
	for (unsigned i = 0; i <= cfg->nmore && !r; i++) {
		r = enter(home_of(cfg, i, h), err, n);
		if (!r)
			r = open_next(gz_engine_port(cfg, i), pool, err, n);
	}
	if (r) {
		gz_devices_close(cfg, h);
		rte_mempool_free(pool);
	}
	return r;
}

void gz_devices_close(const struct gz_engine_config *cfg, const struct gz_homes *h)
{
	while (gz_nports) {
		struct gz_port *p = &gz_ports[--gz_nports];

		if (setns(home_of(cfg, gz_nports, h), CLONE_NEWNET) < 0)
			gz_warn("port %s is closed in the wrong network namespace: %s", p->device,
				strerror(errno));
		gz_port_close(p);
	}
}

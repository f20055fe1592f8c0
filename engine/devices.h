/* SPDX-License-Identifier: BSD-3-Clause
 *
 * devices.h - The engine's ports: opened and closed, each in its network namespace
 */
#ifndef GZ_DEVICES_H
#define GZ_DEVICES_H

#include <stddef.h>

#include "config/config.h"
#include "engine/port.h"

/** What EAL has to know of the ports: the largest MTU, and whether a device is a PCI one */
uint16_t gz_devices_mtu(const struct gz_engine_config *cfg);
bool gz_devices_pci(const struct gz_engine_config *cfg);

/** Descriptors of the network namespaces of ports: our end of a pair is in the private one */
struct gz_homes {
	int host, private;
};

/**
 * gz_devices_pairs() - Make the veth pairs of @cfg's ports
 *
 * Main thread, in the host's namespace.  Return: 0, or -errno with the reason in @err and none
 * left
 */
int gz_devices_pairs(const struct gz_engine_config *cfg, int private, char *err, size_t n);
/** Remove those of the first @n ports.  There as well */
void gz_devices_unpair(const struct gz_engine_config *cfg, unsigned n);

/**
 * gz_devices_open() - Open all ports of @cfg, into gz_ports[]
 *
 * Main thread, which is left in the namespace of the last one.  Return: 0, or -errno with the
 * reason in @err and nothing left open
 */
int gz_devices_open(const struct gz_engine_config *cfg, const struct gz_homes *h, char *err,
		    size_t n);
/** Close them, in these namespaces. */
void gz_devices_close(const struct gz_engine_config *cfg, const struct gz_homes *h);

#endif

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

/**
 * gz_devices_open() - Open all ports of @cfg, into gz_ports[]
 * @first, @others:	Descriptors of the network namespaces of the first port and of the others
 *
 * Main thread, which is left in the namespace of the last one.  Return: 0, or -errno with the
 * reason in @err and nothing left open
 */
int gz_devices_open(const struct gz_engine_config *cfg, int first, int others, char *err, size_t n);
/** Close them, in these namespaces. */
void gz_devices_close(int first, int others);

#endif

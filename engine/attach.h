/* SPDX-License-Identifier: BSD-3-Clause
 *
 * attach.h - Being a client of gazelle-dispatch, by its control socket
 */
#ifndef GZ_ATTACH_H
#define GZ_ATTACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

/**
 * gz_attach_start() - Become a client, and stay one
 * @c:		With port.driver dispatch, else nothing is done; becomes virtio_user, at a
 *		path of the engine's own, which gz_port_open() is to open
 *
 * Main, before the port is opened.  Waits for a dispatcher that is not there; a signal
 * whose handler has no SA_RESTART interrupts it.  A thread of its own then keeps the
 * engine registered, with a dispatcher that is started again as well.  Of an address
 * that engines share, tcp.ephemeral_ports becomes what dispatch leases.
 *
 * Return: 0, or -errno with the reason in @err
 */
int gz_attach_start(struct gz_engine_config *c, char *err, size_t n);

/** gz_attach_shares() - Do other engines have our address too?  Any thread */
bool gz_attach_shares(void);
/** gz_attach_is_mine() - Is this port of it ours, host order?  Any thread */
bool gz_attach_is_mine(bool udp, uint16_t port);

#endif

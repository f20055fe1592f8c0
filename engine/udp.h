/* SPDX-License-Identifier: BSD-3-Clause
 *
 * udp.h - UDP: from and to the wire, the shadows, and other sockets of the engine
 */
#ifndef GZ_UDP_H
#define GZ_UDP_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/end.h"

struct gz_worker;

/** Sockets of the engine in its own network namespace.  Return: 0 or -errno */
int gz_udp_init(struct gz_worker *w);
/**
 * gz_udp_events() - What programs sent, and shadows that were found closed
 *
 * Worker.  @ptr: of an event of relay_ep; false: it is none of ours.
 */
bool gz_udp_events(struct gz_worker *w, const void *ptr);

#endif

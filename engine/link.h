/* SPDX-License-Identifier: BSD-3-Clause
 *
 * link.h - Whether the ports have a link, and what follows when that changes
 */
#ifndef GZ_LINK_H
#define GZ_LINK_H

#include <stdbool.h>

#include "engine/port.h"

/**
 * gz_link_start() - Look at the link of @p from now on
 *
 * @p is one of gz_ports[].  In the network namespace of its interface, main thread.
 * Return: 0 or -errno
 */
int gz_link_start(const struct gz_port *p);

/** Readable when gz_link_look() is wanted; -1: nothing ever tells.  Main thread */
int gz_link_fd(void);
/** Does a port tell of nothing, so that gz_link_look() is wanted every second?  Main thread */
bool gz_link_is_silent(void);

/** Look, and tell the workers of a change.  Main thread */
void gz_link_look(void);

/** How often @p's link went or came.  Any thread */
uint32_t gz_link_changes(const struct gz_port *p);
/** Has @p a link, one of gz_ports[]?  Any thread */
bool gz_link_is_up(const struct gz_port *p);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * link.h - Whether the port has a link, and what follows when that changes
 */
#ifndef GZ_LINK_H
#define GZ_LINK_H

#include <stdbool.h>

#include "engine/port.h"

/**
 * gz_link_start() - Look at the link of @p from now on
 *
 * In the network namespace of the port's interface, main thread.
 * Return: 0 or -errno
 */
int gz_link_start(const struct gz_port *p);

/** Readable when gz_link_look() is wanted; -1: it is wanted every second.  Main thread */
int gz_link_fd(void);

/** Look, and tell the worker of a change.  Main thread */
void gz_link_look(void);

/** Any thread */
bool gz_link_is_up(void);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * broker.h - gazelle-run stops its program's processes, as the engine asks
 */
#ifndef GZ_LAUNCHER_BROKER_H
#define GZ_LAUNCHER_BROKER_H

#include <stdbool.h>
#include <stddef.h>

/**
 * gz_broker_serve() - Answer one request of the engine's (engine/control.h)
 * @fd:	The broker's end
 *
 * All signals must be blocked.  Return: false when the engine has gone.
 */
bool gz_broker_serve(int fd);

/** gz_broker_reap() - Return: how many threads are to be let go when they stop; call again */
size_t gz_broker_reap(void);

#endif

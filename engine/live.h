/* SPDX-License-Identifier: BSD-3-Clause
 *
 * live.h - What can be set while the engine runs
 */
#ifndef GZ_LIVE_H
#define GZ_LIVE_H

#include <stdbool.h>

#include "config/config.h"

extern _Atomic enum gz_power gz_power;

/** From the configuration; before there is a worker */
void gz_live_init(const struct gz_engine_config *c);

/**
 * gz_live_set() - Set one
 * @key:	"power" or "loglevel"
 * @value:	As the configuration has it
 * @why:	Filled when it cannot be
 *
 * Any thread.  Return: was it set?
 */
bool gz_live_set(const char *key, const char *value, char *why, size_t n);

#endif

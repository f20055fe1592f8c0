/* SPDX-License-Identifier: BSD-3-Clause
 *
 * value.h - What reading and printing of a configuration value share
 */
#ifndef GZ_CONFIG_VALUE_H
#define GZ_CONFIG_VALUE_H

#include <stdint.h>

#include "config/schema.h"

/** Largest first: how a duration is printed. */
struct gz_cfg_unit {
	const char *suffix;
	int64_t us;
};

#define GZ_CFG_UNITS 3
extern const struct gz_cfg_unit gz_cfg_units[GZ_CFG_UNITS];

/** Position of a word in a NULL-terminated list.  Return: -1, it is not there */
int gz_cfg_find_word(const char *const *words, const char *text);

#endif

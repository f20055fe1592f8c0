/* SPDX-License-Identifier: BSD-3-Clause
 *
 * counters.c - Named counters, one table
 */
#include "engine/counters.h"

_Atomic uint64_t gz_counters[GZ_COUNTER_MAX];

const char *const gz_counter_names[GZ_COUNTER_MAX] = {
#define X(id, name) #name,
    GZ_COUNTERS(X)
#undef X
};

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * stats.h - lwIP's counters under our names (stats.c includes lwIP, and DPDK's
 * rte_ip.h cannot be included beside it)
 */
#ifndef GZ_STATS_H
#define GZ_STATS_H

#include <stdint.h>

#define GZ_VERSION "0.1"

struct gz_stat {
	const char *name;
	const uint32_t *value;
};

const struct gz_stat *gz_stats(unsigned *n);

#endif

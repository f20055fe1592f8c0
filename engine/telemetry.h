/* SPDX-License-Identifier: BSD-3-Clause
 *
 * telemetry.h - What gazelle-ctl asks, over DPDK's telemetry socket
 */
#ifndef GZ_TELEMETRY_H
#define GZ_TELEMETRY_H

struct gz_engine_config;

/** Register the /gazelle commands.  Return: 0 or -errno */
int gz_telemetry_init(const struct gz_engine_config *cfg, const char *memory);

#endif

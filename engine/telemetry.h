/* SPDX-License-Identifier: BSD-3-Clause
 *
 * telemetry.h - What gazelle-ctl asks, over DPDK's telemetry socket
 */
#ifndef GZ_TELEMETRY_H
#define GZ_TELEMETRY_H

#include <stddef.h>

#include "engine/sock.h"

struct gz_engine_config;
struct rte_tel_data;

/** Register the /gazelle commands.  Return: 0 or -errno */
int gz_telemetry_init(const struct gz_engine_config *cfg, const char *memory);
/** "address:port" of @e */
void gz_end_text(char *buf, size_t n, struct gz_end e);
/** /gazelle/why (why.c) */
int gz_telemetry_why(const char *cmd, const char *params, struct rte_tel_data *d);
/** /gazelle/planes (planes.c) */
int gz_telemetry_planes(const char *cmd, const char *params, struct rte_tel_data *d);

#endif

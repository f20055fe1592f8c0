/* SPDX-License-Identifier: BSD-3-Clause
 *
 * code.c - What the process calls of a worker's own code
 */
#include "engine/codes.h"
#include "engine/counters.h"
#include "engine/icmp.h"
#include "engine/stats.h"
#include "engine/udp.h"
#include "engine/worker.h"

const struct gz_code gz_code = {
    .worker = &gz_worker,
    .counters = gz_counters,
    .stats = gz_stats,
    .init = gz_worker_init,
    .main = gz_worker_main,
    .destroy = gz_worker_destroy,
    .datagram = gz_udp_send,
    .icmp = gz_icmp_send,
};

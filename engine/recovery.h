/* SPDX-License-Identifier: BSD-3-Clause
 *
 * recovery.h - Timeouts and probes of a connection
 */
#ifndef GZ_RECOVERY_H
#define GZ_RECOVERY_H

#include <stdbool.h>
#include <stdint.h>

struct gz_measure;
struct tcp_pcb;

/**
 * gz_recovery_rtt() - lwIP's estimate becomes that of @m; worker
 *
 * The timeout is the smoothed round trip and four times its deviation, the latter
 * at least 200 ms: as Linux has it, and more than a delayed ACK takes.
 */
void gz_recovery_rtt(struct tcp_pcb *p, const struct gz_measure *m);

/** gz_recovery_resize() - pcb->mss became smaller: so do the segments; worker */
void gz_recovery_resize(struct tcp_pcb *p);

/**
 * gz_recovery_tick() - Before lwIP's ticks, for a pcb past SYN_SENT; worker
 *
 * @now in ns; @slow: the slow tick comes now, too, which sends again
 */
void gz_recovery_tick(struct tcp_pcb *p, struct gz_measure *m, uint64_t now, bool slow);

#endif

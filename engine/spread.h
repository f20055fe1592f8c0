/* SPDX-License-Identifier: BSD-3-Clause
 *
 * spread.h - Which worker a packet comes to
 *
 * As a device's receive side scaling does it (rss.h): of a port with a queue for each worker
 * that can, dispatch's link among them, packets come there by themselves.
 * Others are handed over between the workers (rx.c).  It is where connections are
 * made; whose one is stays with it (gz_flow_worker()).
 */
#ifndef GZ_SPREAD_H
#define GZ_SPREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/end.h"

struct gz_worker;

/** The worker, by its number, of packets from @peer to @local; any thread */
unsigned gz_spread(struct gz_end local, struct gz_end peer);
/** Is it @w?  With one worker it is. */
bool gz_spread_is(const struct gz_worker *w, struct gz_end local, struct gz_end peer);

#define GZ_SPREAD_ALL UINT32_MAX
/**
 * gz_spread_frame() - The worker that a frame is for
 * @d, @len:	From the Ethernet header on, as much as is in one piece
 *
 * What all workers have to know (neighbours, routers) is for all.  Return: GZ_SPREAD_ALL, or
 * its number
 */
unsigned gz_spread_frame(const uint8_t *d, unsigned len);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * path.h - What ICMP tells of the way of a connection; worker
 */
#ifndef GZ_PATH_H
#define GZ_PATH_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/end.h"

struct gz_icmp;
struct tcp_pcb;

/**
 * gz_path_error() - An ICMP error quotes a segment of ours
 * @seq:	The segment's sequence number
 *
 * Return: it is of a connection and under way; false: not to be believed
 */
bool gz_path_error(struct gz_end local, struct gz_end peer, uint32_t seq, const struct gz_icmp *e);

/**
 * gz_path_narrow() - Segments of @p have at most @mss bytes with their options, from now on
 *
 * Not less than what every path carries.  Return: they are smaller than they were
 */
bool gz_path_narrow(struct tcp_pcb *p, uint32_t mss);

#endif

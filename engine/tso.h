/* SPDX-License-Identifier: BSD-3-Clause
 *
 * tso.h - Segments of TCP that are larger than the MSS
 */
#ifndef GZ_TSO_H
#define GZ_TSO_H

#include <stdbool.h>
#include <stdint.h>

#include "lwip/err.h"

struct gz_measure;
struct gz_sock;
struct tcp_hdr;
struct tcp_pcb;

/**
 * gz_tso_most() - How many bytes may be given to lwIP as one segment
 *
 * Return: a multiple of the MSS, or 0: as many as one likes, lwIP cuts them
 */
uint32_t gz_tso_most(const struct gz_sock *s, const struct tcp_pcb *p);

/** gz_tso_fits() - So many of @n bytes that the window takes them now; 0: none, wait */
uint32_t gz_tso_fits(const struct tcp_pcb *p, uint32_t n);

/** gz_tso_write() - tcp_write() of up to @most bytes as one segment */
err_t gz_tso_write(struct tcp_pcb *p, const void *data, uint16_t n, uint32_t most, uint8_t flags);

/** gz_tso_cut() - All of what was not acknowledged is in segments of the MSS from here on. */
void gz_tso_cut(struct tcp_pcb *p);

/** gz_tso_segments() - In how many segments @n bytes of @p go */
uint32_t gz_tso_segments(const struct tcp_pcb *p, uint32_t n);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * urgent.h - TCP's urgent data
 */
#ifndef GZ_URGENT_H
#define GZ_URGENT_H

#include <stddef.h>
#include <stdint.h>

#include "engine/sock.h"

struct gz_call_ctx;
struct gz_worker;

/** send() with MSG_OOB of @n bytes; service threads.  Return: as a handler */
int64_t gz_urgent_call(struct gz_call_ctx *c, const char *data, size_t n, int flags);

/* The rest is the worker's. */

/** The message that gz_urgent_call() posts has come. */
void gz_urgent_take(struct gz_worker *w, struct gz_sock *s, const struct gz_urgent *u);
/** Put the byte that waits behind all that the program wrote before it. */
void gz_urgent_send(struct gz_sock *s);
/** @n bytes of the tx ring became segments, the first has number @seq. */
void gz_urgent_written(struct gz_sock *s, uint32_t seq, uint32_t n);

/** A segment with number @seq and URG; @pointer in host order, @next: pcb->rcv_nxt */
void gz_urgent_announced(struct gz_sock *s, uint32_t seq, uint16_t pointer, uint32_t next);
/** @n bytes are about to be put into the rx ring. */
void gz_urgent_arrives(struct gz_sock *s, uint32_t n);
/** How many of the rx ring's first @len bytes may be sent at once.  Return: MSG_OOB or 0 */
int gz_urgent_bound(struct gz_sock *s, uint32_t *len);
/** @n of them went to the program. */
void gz_urgent_passed(struct gz_sock *s, uint32_t n);
/** The kernel's AF_UNIX has no urgent data: the byte goes as any other, counted. */
void gz_urgent_unknown(struct gz_sock *s);

#endif

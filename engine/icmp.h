/* SPDX-License-Identifier: BSD-3-Clause
 *
 * icmp.h - ICMP's errors about datagrams and segments
 *
 * Worker only.
 */
#ifndef GZ_ICMP_H
#define GZ_ICMP_H

#include <stdbool.h>

struct gz_worker;
struct pbuf;

int gz_icmp_init(struct gz_worker *w);
/** An event of relay_ep, of shadows that were found closed; false: it is none of ours. */
bool gz_icmp_events(struct gz_worker *w, const void *ptr);
/**
 * gz_icmp_errors() - A message of ICMP, of the packet that lwIP looks at
 *
 * An error about a datagram or a segment is passed on.  Return: false when it is one
 * about a segment that is not to be believed
 */
bool gz_icmp_errors(struct pbuf *p);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * icmp.h - ICMP's errors about datagrams and segments
 *
 * Worker only.
 */
#ifndef GZ_ICMP_H
#define GZ_ICMP_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/end.h"

struct gz_datagram;
struct gz_icmp;
struct gz_worker;
struct netif;
struct pbuf;

int gz_icmp_init(void);
int gz_icmp_watch(struct gz_worker *w); /* from now on.  0 or -errno */
/** An event of relay_ep, of shadows that were found closed; false: it is none of ours. */
bool gz_icmp_events(const void *ptr);
/** Look for events now. */
void gz_icmp_drain(void);
/**
 * gz_icmp_errors() - A message of ICMP, of the packet that lwIP looks at
 *
 * An error about a datagram or a segment is passed on.  Return: false when it is one
 * about a segment that is not to be believed
 */
bool gz_icmp_errors(struct pbuf *p);

/**
 * gz_icmp_to_shadow() - An error for the shadow that sent @d
 * @to:		The alias that it was sent to; 0: no memory, nothing is done
 * @h:		The eight bytes that it begins with, of @proto
 */
void gz_icmp_to_shadow(const struct gz_datagram *d, uint8_t proto, uint32_t to, const uint8_t *h,
		       struct gz_end offender, const struct gz_icmp *e);
/** Send @d, a message of ICMP; its checksum is made.  @mc may be NULL.  false: dropped */
bool gz_icmp_send(const struct gz_datagram *d);

/** What is to be known of a packet in an error */
struct gz_quote {
	struct gz_end src, dst;
	uint8_t proto;
	const uint8_t *data; /* of the transport */
	size_t len;
};
/** @n bytes at @b are a packet, cut off somewhere.  false: nothing to go by */
bool gz_icmp_quote(const uint8_t *b, size_t n, struct gz_quote *q);

#endif

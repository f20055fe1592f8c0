/* SPDX-License-Identifier: BSD-3-Clause
 *
 * cookie.h - SYN cookies; all of it is the worker's
 */
#ifndef GZ_COOKIE_H
#define GZ_COOKIE_H

#include <stdbool.h>
#include <stdint.h>

struct gz_sock;
struct netif;
struct pbuf;
struct tcp_hdr;

/**
 * gz_cookie_send() - Answer a SYN and remember nothing
 * @p:	Begins with the SYN's header @h, in network order, whose options are sound
 * @l:	The listener
 *
 * To be called while lwIP's ip_current_*() are those of the SYN.
 */
void gz_cookie_send(struct pbuf *p, const struct tcp_hdr *h, const struct gz_sock *l);

/** Was one sent in the last two minutes?  Else no ACK has to be looked at. */
bool gz_cookie_awaited(void);

/**
 * gz_cookie_take() - An ACK for a listener, of a connection that nobody knows
 * @p:	As above; it stays the caller's
 *
 * If it acknowledges a cookie there is a pcb in SYN_RCVD after this, for which lwIP
 * may take the ACK.  Return: false to drop it
 */
bool gz_cookie_take(const struct pbuf *p, const struct tcp_hdr *h, struct netif *inp);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * window.h - How much a peer may send before the program has read it
 *
 * All of it is the worker's.
 */
#ifndef GZ_WINDOW_H
#define GZ_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

struct gz_options;
struct gz_sock;
struct tcp_pcb;

/** Part of struct gz_sock */
struct gz_window {
	uint32_t aim;	/* bytes, a power of two; 0: GZ_RX_RING */
	uint32_t size;	/* of the rx ring, when there is one; 0: GZ_RX_RING.  Never below aim */
	uint32_t held;	/* of lwIP's window, withheld from the peer */
	uint32_t taken; /* by the program since @since */
	uint64_t since; /* ns; 0: never */
};

/**
 * gz_window_bound() - SO_RCVBUF, TCP_WINDOW_CLAMP: the largest window for the peer, bytes
 *
 * Two segments of Ethernet are the least, and of a connection two of its own: lwIP opens a
 * closed window by no less than one.
 */
uint32_t gz_window_bound(const struct gz_options *o);

/** gz_window_first() - Of a handshake: a window as for a listener with @o, and no more */
void gz_window_first(const struct gz_options *o, struct tcp_pcb *p);

/** gz_window_take_over() - @s has the connection whose window gz_window_first() made */
void gz_window_take_over(struct gz_sock *s, struct tcp_pcb *p);

/** gz_window_options() - @s' options changed.  @p is entered */
void gz_window_options(struct gz_sock *s, struct tcp_pcb *p);

/** gz_window_read() - The program took @n bytes.  @p is entered */
void gz_window_read(struct gz_sock *s, struct tcp_pcb *p, uint32_t n);

/** gz_window_whole() - @s is about to close: lwIP takes what is withheld for unread bytes */
void gz_window_whole(struct gz_sock *s, struct tcp_pcb *p);

/** gz_window_idle() - Nothing came for a while, and the rx ring is gone */
void gz_window_idle(struct gz_sock *s, const struct tcp_pcb *p);

/**
 * gz_window_beside() - @n bytes that TCP did not bring are to be in the rx ring, which is empty
 *
 * The window that the peer has keeps its room.  Return: false, there is no memory for that
 */
bool gz_window_beside(struct gz_sock *s, uint32_t n);

/** Bytes of the rx ring that is to be made now */
uint32_t gz_window_ring(const struct gz_sock *s);

/**
 * gz_buffers_take() - May @s' buffers grow by @n bytes?
 *
 * limits.buffers, of all; and no client may have more than is left for the others.
 * Return: false: no, and it is counted
 */
bool gz_buffers_take(struct gz_sock *s, uint32_t n);
void gz_buffers_give(struct gz_sock *s, uint32_t n);
/** All that @s has; its rings are about to be freed */
void gz_buffers_return(struct gz_sock *s);

#endif

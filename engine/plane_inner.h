/* SPDX-License-Identifier: BSD-3-Clause
 *
 * plane_inner.h - What plane.c and join.c share.  The worker.
 */
#ifndef GZ_PLANE_INNER_H
#define GZ_PLANE_INNER_H

#include "engine/client.h"
#include "engine/sock.h"

static inline struct gz_slot *slot_of(const struct gz_sock *s)
{
	return &s->client->plane->sh->slot[s->ring.i];
}

/** The slot says what cannot be: its connection is reset. */
void gz_plane_broken(struct gz_sock *s);
/** Bytes that the program has not read.  Return: false, it is broken */
bool gz_plane_rx_used(struct gz_sock *s, uint32_t *used);
/** Something happened to the socket: who looks at it, or sleeps on it, is told. */
void gz_plane_tell(struct gz_sock *s);
/** An agent asks for a token, for somebody who may sleep. */
void gz_plane_poked(struct gz_sock *s);
/** Bytes were taken from the tx ring: who waits for room is told, once there is enough. */
void gz_plane_room_made(struct gz_sock *s);

/** Two sockets of this engine are the ends of one connection: look for the other one. */
void gz_join(struct gz_sock *s);
void gz_join_end(struct gz_sock *s);
/** Bytes from @s's ring to the other end's.  Return: false, TCP must carry them */
bool gz_join_move(struct gz_sock *s);
/** The program told of @s.  Return: false, there is more to do than to move bytes */
bool gz_join_poll(struct gz_sock *s);

#endif

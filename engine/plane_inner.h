/* SPDX-License-Identifier: BSD-3-Clause
 *
 * plane_inner.h - What plane.c, plane_error.c, fade.c, offer.c, wake.c, join.c, leave.c and
 * slot_memory.c share.  The worker.
 */
#ifndef GZ_PLANE_INNER_H
#define GZ_PLANE_INNER_H

#include "engine/client.h"
#include "engine/sock.h"

static inline struct gz_slot *slot_of(const struct gz_sock *s)
{
	return &s->client->plane->sh->slot[s->ring.i];
}

/** A slot for @s, of its worker's, which agents do not find yet.  Return: false, there is none */
bool gz_plane_take_slot(struct gz_sock *s);
/** Agents find the slot from now on. */
void gz_plane_publish(struct gz_sock *s);
/** A duplicate of the program's descriptor, if it is still where it was.  Return: -1 */
int gz_plane_find_fd(const struct gz_sock *s);
/** It leaves the rings: its shadow @fd becomes as one that the engine has accepted. */
void gz_plane_unname(struct gz_sock *s, int fd);
/** Which of the slots of word @k of accepted[] were accepted? */
void gz_plane_look_at(struct gz_plane *p, unsigned k, uint64_t which);

/** The slot says what cannot be: its connection is reset. */
void gz_plane_broken(struct gz_sock *s);
/** Bytes that the program has not read.  Return: false, it is broken */
bool gz_plane_rx_used(struct gz_sock *s, uint32_t *used);
/** Something happened to the socket: who looks at it, or sleeps on it, is told. */
void gz_plane_tell(struct gz_sock *s);
/** Is each arrival told, to whoever waits on its epoll in the kernel? */
bool gz_plane_is_eager(struct gz_sock *s);
/** A byte for the shadow of @s, whoever waits there.  Nothing, if it is full or closed */
void gz_plane_token(struct gz_sock *s);
/** Who sleeps on the socket is woken. */
void gz_plane_wake(struct gz_sock *s);
/**
 * gz_plane_wake_others() - Tokens of @s were taken away, which may have been to wake somebody
 *
 * Who sleeps in its epoll is woken for another socket of this worker's, if there is one with bytes.
 */
void gz_plane_wake_others(struct gz_sock *s);
/** The socket in the rings that has slot @i and is this worker's, or NULL */
struct gz_sock *gz_plane_owner(const struct gz_plane *p, uint32_t i);
/** Its epoll is to look at it. */
void gz_plane_mark_ready(struct gz_sock *s);
/** Wake who dozes at @b (struct gz_bell). */
void gz_plane_ring_bell(struct gz_bell *b);
/** An agent asks for a token, for somebody who may sleep. */
void gz_plane_poked(struct gz_sock *s);
/** Copy @n bytes from a ring at position @from to one at @to; both sizes are powers of two. */
void gz_bytes_copy(uint8_t *dst, uint32_t dst_size, uint64_t to, const uint8_t *src,
		   uint32_t src_size, uint64_t from, uint64_t n);
/** Nothing can be sent any more, and @error is told by the slot (0: it ended as it should). */
void gz_plane_set_over(struct gz_sock *s, int error);
/** Return: somebody waited for room, in a send() or for readiness */
bool gz_slot_wake_senders(struct gz_slot *slot);
/** Who sleeps until there is room looks again. */
void gz_plane_wake_senders(struct gz_sock *s);
/** It is released, or was given its time (gz_plane_is_fading()). */
void gz_plane_stop_fading(struct gz_sock *s);
/** What agents do in the slot's rings is not committed from now on. */
void gz_plane_close_rings(struct gz_sock *s);
/** The slot says that its bytes are in the shadow. */
void gz_plane_go_native(struct gz_sock *s);
/** The rings cannot serve it: it leaves, at its program's next call at the latest (leave.c). */
void gz_plane_evict(struct gz_sock *s);
/** Let leave who can.  Return: how many */
unsigned gz_plane_leaving(struct gz_worker *w);
/** The tx ring, which the worker has closed, is open again, unless another thread closed it too. */
void gz_plane_open_tx(struct gz_sock *s);
/** Once a second: memory of rings that are not used goes back (slot_memory.c). */
void gz_plane_trim(struct gz_worker *w, struct gz_plane *p);
/** Bytes were taken from the tx ring: who waits for room is told, once there is enough. */
void gz_plane_room_made(struct gz_sock *s);

/** Two sockets of this engine are the ends of one connection: look for the other one. */
void gz_join(struct gz_sock *s);
void gz_join_end(struct gz_sock *s);
/** @n bytes of @from's went to @to past TCP, the last of them at @at (ns). */
void gz_join_count(struct gz_sock *from, struct gz_sock *to, uint64_t n, uint64_t at);
/** Bytes from @s's ring to the other end's.  Return: false, TCP must carry them */
bool gz_join_move(struct gz_sock *s);
/** The program told of @s.  Return: false, there is more to do than to move bytes */
bool gz_join_poll(struct gz_sock *s);

#endif

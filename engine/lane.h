/* SPDX-License-Identifier: BSD-3-Clause
 *
 * lane.h - Joined connections whose bytes the programs move themselves
 *
 * Two clients share a pair: memory with lanes, each for one connection between them
 * (launcher/agent/abi.h).  A socket's bytes are either in its slot's rings or in its lane.
 */
#ifndef GZ_LANE_H
#define GZ_LANE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct gz_call_ctx;
struct gz_plane;
struct gz_sock;

/**
 * Of all workers: which lanes of a pair are taken, and which windows of a client.  Before a
 * plane's lock
 */
extern pthread_mutex_t gz_lanes;

/* --- the worker ---------------------------------------------------------------- */

/**
 * gz_lane_begin() - Give the joined sockets @a and @b a lane
 *
 * They are calm, and nothing of theirs is on its way (join.c).  What they have sent comes along.
 * Return: false, one has not read all, or there is no lane, and nothing happened
 */
bool gz_lane_begin(struct gz_sock *a, struct gz_sock *b);
/** Its bytes are in its rings again, and the other end's in that one's.  Nothing without a lane */
void gz_lane_end(struct gz_sock *s);
/** Who dozed at lanes that were taken away in this round is to look. */
void gz_lane_ring_bells(void);
/** The program told of @s, whose bytes are in a lane: the other end's sleepers are to know. */
void gz_lane_poll(struct gz_sock *s);
/** Is there room that is worth to wake somebody for?  Else who makes some tells of it. */
bool gz_lane_has_room(struct gz_sock *s);
/** Who dozes at the end of @s is to look.  Nothing without a lane */
void gz_lane_ring_bell(struct gz_sock *s);
/** The same of who dozes at a pair of @p's, in epoll @k */
void gz_lane_ring_epoll(struct gz_plane *p, uint32_t k);
/** Now and then: count what went by lanes until now, and give back memory that is not used. */
void gz_lane_look(struct gz_plane *p);
/** No connection of the client has a lane from now on. */
void gz_lane_no_more(struct gz_plane *p);

/* --- any thread ------------------------------------------------------------------ */

/** Somebody may sleep in each epoll of the client's from now on: who sends tells. */
void gz_lane_loud(struct gz_plane *p);

/** Bytes that @s has not read.  0 without a lane */
uint32_t gz_lane_unread(struct gz_sock *s);
/** And those that would not be in the other end's receive buffer yet */
uint32_t gz_lane_unsent(struct gz_sock *s);

/** What went by the lane and was not counted yet; when the last bytes were sent, ns */
struct gz_lane_news {
	uint64_t tx, rx;
	uint64_t tx_at, rx_at;
};
struct gz_lane_news gz_lane_news(struct gz_sock *s);

/* --- service threads --------------------------------------------------------------- */

/** What the agent asks by getsockopt() at GZ_SOL_AGENT.  Return: a descriptor, 0, -errno */
int64_t gz_lane_asked(struct gz_call_ctx *c);

#endif

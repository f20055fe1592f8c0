/* SPDX-License-Identifier: BSD-3-Clause
 *
 * plane.h - The plane of rings: bytes through memory that a client shares
 *
 * A client with rings has shared memory with slots (launcher/agent/abi.h).
 * A socket that has one moves its bytes through the slot's two rings until it
 * leaves to the relay (leave.c), from where it may come back (back.c).
 */
#ifndef GZ_PLANE_H
#define GZ_PLANE_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "engine/codes.h"
#include "launcher/agent/abi.h"

struct gz_call_ctx;
struct gz_client;
struct gz_sock;
struct gz_worker;

/** A client's shared memory; it lives as long as the client. */
struct gz_plane {
	int memfd;
	struct gz_shared *sh; /* all of it may be any bits */

	pthread_mutex_t lock; /* of what follows, up to the next comment */
	uint32_t nfree;
	uint16_t free[GZ_SLOTS];
	uint32_t gen[GZ_SLOTS];		    /* as in the slot, which may have been overwritten */
	_Atomic uint16_t nest[GZ_SLOTS];    /* of datagrams: the shadow's, 0: none (udp_ring.c) */
	uint32_t next_fresh;		    /* the place that is taken in a full set of fresh[] */
	bool no_more;			    /* no socket gets a slot any more */
	struct gz_pair *window[GZ_WINDOWS]; /* lane.c; the worker writes it */

	/* the workers, each its slots' (is_of()); lane.c under its lock */
	struct gz_sock *owner[GZ_SLOTS];
	bool touched[GZ_SLOTS]; /* its rings may have pages; of a free slot, locked */
	uint32_t windows;	/* that ever were */
	uint32_t numbers;	/* that were given to them */
	bool no_lanes;
	LIST_ENTRY(gz_plane) entry[GZ_WORKERS_MAX];
	struct gz_client *client; /* while it is on the workers' lists */
};

/** A socket that waits to leave: in the service thread that waits for it. */
struct gz_leave {
	TAILQ_ENTRY(gz_leave) entry;
	struct gz_sock *sock;
	int fd; /* of the shadow */
	uint64_t deadline;
	bool own;   /* nobody waits; @fd and this are the worker's to free */
	bool wakes; /* somebody slept on the shadow, and is to look anew first */
	bool back;  /* GZ_OP_BACK: it is in the rings */
	/* GZ_OP_LINGERS: of which socket, and the answer */
	uint32_t slot, gen;
	bool lingers;
	sem_t done;
};

#define GZ_STRAYS 4

/** What a socket knows of its slot.  @i is set before the worker hears of the socket. */
struct gz_ring_end {
	_Atomic int i;		/* the slot; -1: it never had one */
	_Atomic uint32_t plane; /* GZ_PLANE_*; the worker writes it */
	/*
	 * It left when the shadow could take no more, for its end of file was said: what
	 * is in the rx ring goes to who traps (sites.c).  The worker sets it, and leaves
	 * the rx ring alone then.
	 */
	_Atomic bool orphan;
	/* It was told that nothing can be sent any more; SO_ERROR is in the slot from then on. */
	_Atomic bool over;
	_Atomic bool loud; /* an epoll had it before it had a slot, and is the kernel's alone */
	/* back.c: how often it left or had to stay, and who may be in a call on its shadow */
	_Atomic unsigned outs;
	_Atomic bool abroad;	   /* somebody may have it whose calls do not trap */
	_Atomic bool no_back;	   /* that cannot be known any more */
	_Atomic uint64_t back;	   /* as in the slot, which may say anything */
	uint64_t stray[GZ_STRAYS]; /* tid:32, call:32, of one that was let go on; @lock */
	bool many_strays;
	/* Where the program had its descriptor last, as far as we saw; it may be gone. */
	_Atomic pid_t seen_tid;
	_Atomic int seen_fd;
	/* the worker's */
	uint64_t rx_tail, tx_head; /* of what is in the slot only we believe these */
	uint64_t trim_mark;	   /* their sum, when slot_memory.c looked last */
	bool rx_full;
	bool evicted;	/* it must leave, at the program's next call */
	uint64_t fades; /* since then, ns; 0: no */
	LIST_ENTRY(gz_sock) fading;
	struct gz_sock *joined; /* the other end of the connection, join.c */
	/* lane.c; the worker writes these under the plane's lock */
	struct gz_pair *_Atomic pair; /* NULL: it has no lane */
	uint16_t lane;
	uint8_t end;
	uint64_t lane_counted, lane_counted_rx; /* bytes */
	uint64_t lane_told;			/* what the other end's sleepers were woken for */
	uint32_t rx_past;  /* the first bytes of the engine's rx ring, which came past TCP */
	struct gz_direct { /* what did not go through TCP; the worker writes */
		_Atomic uint64_t tx, rx, moves_tx, moves_rx;
		_Atomic uint64_t tx_at, rx_at; /* ns */
	} direct;
};

/* --- service threads --------------------------------------------------------- */

/** gz_plane_new() - Shared memory for a client.  Return: NULL without memory */
struct gz_plane *gz_plane_new(void);
void gz_plane_free(struct gz_plane *p);
/** No socket gets a slot from now on. */
void gz_plane_no_more(struct gz_plane *p);
/** The worker is to look at its rings from now on, or no more. */
void gz_plane_attach(struct gz_client *c);
void gz_plane_detach(struct gz_client *c);

/**
 * gz_plane_give() - Give a socket a slot, if there is one and its options allow
 * @sending:	May the program send already?
 * @nonblock:	Its shadow has O_NONBLOCK
 *
 * Before the worker or the program has moved a byte.
 */
void gz_plane_give(struct gz_sock *s, bool sending, bool nonblock);
struct gz_options;
/** Have the rings what these options ask for? */
bool gz_plane_has(const struct gz_options *o);
/**
 * gz_plane_listen() - Agents may accept natively, if its options allow that
 *
 * Return: whether it has a slot.  Again after each change of its options.
 */
bool gz_plane_listen(struct gz_sock *s);
void gz_plane_listen_no_more(struct gz_sock *s);
/** Threads that sleep in accept(), at most */
uint32_t gz_plane_accepting(const struct gz_sock *s);
/** One more was offered, or taken past the agent. */
void gz_plane_offered(struct gz_sock *l, bool taken);
/** accept() gave it the shadow @ino, past the agent. */
void gz_plane_name(struct gz_sock *s, ino_t ino, bool nonblock);
/** What its agent says that its shadow's inode is, which may be wrong; 0 */
ino_t gz_plane_said_ino(const struct gz_sock *s);
/** What was posted before is done when it returns; by all workers.  Not a worker's thread */
void gz_workers_settle(void);
/** The same of what is about @s, by its worker alone. */
void gz_plane_settle(struct gz_sock *s);
/**
 * gz_plane_heed_least() - SO_RCVLOWAT was set, and what is unread may be enough for who waits
 *
 * Whoever waits, or looks again, has been told when it returns (tcp_set_rcvlowat()).  No lock
 * held, not a worker's thread
 */
void gz_plane_heed_least(struct gz_sock *s);
/** Its worker's part */
void gz_plane_on_least(struct gz_sock *s);
/** What gz_segment_info() says of @s is as it is now when it returns.  No lock held, not a worker's
 * thread */
void gz_info_ask(struct gz_sock *s);
/** What agents have accepted is so for the engine too when it returns. */
void gz_plane_settle_accepted(struct gz_client *c);

/** O_NONBLOCK of the shadow, SO_SNDTIMEO, SO_RCVTIMEO, SO_RCVLOWAT or SO_LINGER was changed. */
void gz_plane_set_nonblock(struct gz_sock *s, bool on);
void gz_plane_set_timed(struct gz_sock *s);
/** What agents have set is in @s->opt from now on; @s locked.  Return: there was something */
bool gz_plane_take_options(struct gz_sock *s);
/** Does any socket of the client have a slot? */
bool gz_plane_is_used(const struct gz_plane *p);
/** Whoever waits natively on an epoll of the client's sees tokens from now on. */
void gz_plane_loud(struct gz_plane *p);
/** The program's descriptor of it is @fd in thread @tid: should it have to leave unasked. */
void gz_plane_seen(struct gz_sock *s, pid_t tid, int fd);
/** The program's number for it is another file's now: what agents know of it holds no more. */
void gz_plane_renumber(struct gz_sock *s);
/** The socket is being freed.  Any thread. */
void gz_plane_drop(struct gz_sock *s);
/** Do its bytes go through rings?  Any thread. */
bool gz_plane_is_ring(const struct gz_sock *s);
/** SO_ERROR, which nobody is told again.  @s locked, or nobody else's.  Return: positive, or 0 */
int gz_plane_take_error(struct gz_sock *s);
/** What the agent has seen, and told of nothing, of a connection that goes on: the same */
int gz_plane_take_kept(struct gz_sock *s);
/** SO_ERROR, which stays to be told. */
int gz_plane_error(const struct gz_sock *s);
/**
 * gz_plane_fresh() - The program has a TCP socket that is not connected, or it is that no more
 *
 * Who reads from it is to ask.  Any thread.  Return: it was noted, or had been
 */
bool gz_plane_fresh(struct gz_sock *s, bool is);
/** Another file has the place of its shadow: whoever still has that one is to ask. */
void gz_plane_stale(struct gz_sock *s);
/** Numbers mean other files now: what the client's agents have learnt of sockets holds no more. */
void gz_plane_ask_anew(struct gz_client *c);
/** The program sends no more: that is the shadow's to refuse. */
void gz_plane_stop_sending(struct gz_sock *s);
/** No connection of the client goes by lanes any more; returns when that is so. */
void gz_plane_no_lanes(struct gz_client *c);
/** Bytes in the ring that the program has not read, that the worker has not seen. */
uint32_t gz_plane_unread(struct gz_sock *s);
uint32_t gz_plane_unseen(struct gz_sock *s);
/** The same, by what the worker believes alone.  The worker */
uint32_t gz_plane_untaken(const struct gz_sock *s);
/** The worker takes an accepted socket's bytes to its ring; returns when that is done. */
void gz_plane_begin(struct gz_sock *s);
/**
 * gz_plane_leave() - Move the socket to the relay plane
 * @fd:	A duplicate of its shadow
 *
 * Returns when the next native call on the shadow is right.
 */
void gz_plane_leave(struct gz_sock *s, int fd);

/** Bytes that went to the other end's ring are among the connection's (join.c). */
struct tcp_info;
void gz_join_info(struct gz_sock *s, struct tcp_info *t);
/** Do its options forbid that bytes go past TCP, from it or to it?  Its service thread, or the
 * worker */
bool gz_join_heeds(const struct gz_sock *s);

/** Its agent may ask whether it may come back, after a time. */
void gz_plane_back_later(struct gz_sock *s);
/** An epoll of the kernel's has it, or is about to. */
void gz_plane_note_epoll(struct gz_sock *s);
/** Somebody may get it whose calls do not trap; @for_ever: nothing tells when that is over */
void gz_plane_note_abroad(struct gz_sock *s, bool for_ever);
/** Call @nr of thread @tid goes on in the kernel, on the shadow. */
void gz_plane_note_stray(struct gz_sock *s, pid_t tid, int nr);
/** GZ_ASK_BACK: let it come back to the rings, if that can be. */
void gz_plane_asked_back(struct gz_call_ctx *c);
/**
 * gz_plane_come_back() - Have the worker move it to the rings
 * @fd:	A duplicate of its shadow, on which nobody is in a call that traps
 *
 * Return: it is there
 */
bool gz_plane_come_back(struct gz_sock *s, int fd);

/**
 * gz_plane_lingers() - Is close() to wait, as SO_LINGER says? (GZ_ASK_LINGERS)
 * @slot, @gen:	Whose descriptor the agent has closed
 *
 * The service thread.  Return: that was the last one, and the peer has not acknowledged all that
 * was sent; when it has, the slot gets another number
 */
bool gz_plane_lingers(struct gz_client *c, uint32_t slot, uint32_t gen);

/** What an orphan has left.  Return: pieces, 0: nothing */
int gz_plane_orphan(struct gz_sock *s, struct iovec v[2]);
void gz_plane_orphan_taken(struct gz_sock *s, uint32_t n);

/* --- the worker -------------------------------------------------------------- */

/** A connection that is about to be offered gets its slot.  Return: false, none */
bool gz_plane_prepare(struct gz_sock *l, struct gz_sock *s);
/** What agents of the client's have accepted, gz_accept_done() */
void gz_plane_look_accepted(const struct gz_worker *w, struct gz_client *c);

/** The socket is the worker's, or is no more. */
void gz_plane_adopt(struct gz_sock *s);
void gz_plane_release(struct gz_sock *s);
/** Nothing can be sent any more, because of @error (0: it ended as it should). */
void gz_plane_over(struct gz_sock *s, int error);
/** connect() is done: the program may send.  Or it failed. */
void gz_plane_connected(struct gz_sock *s);
void gz_plane_failed(struct gz_sock *s);
/** It is about to be told of its end: no token tells of room after that. */
void gz_plane_ending(struct gz_sock *s);
/** The shadow was told of its end; @over: it was closed. */
void gz_plane_ended(struct gz_sock *s, bool over);
/** Mark what programs told of as dirty, let leave who can.  Return: how many */
unsigned gz_plane_poll(struct gz_worker *w);
/** Around a sleep.  Return: @asleep, but there is something to do */
bool gz_plane_asleep(struct gz_worker *w, bool asleep);
/**
 * gz_plane_oversleepers() - Workers that sleep though agents have told of slots of theirs
 *
 * For who has read a bell of a program's that was another one's.  Any thread.  Return: a bit
 * for each
 */
uint32_t gz_plane_oversleepers(const struct gz_plane *p);
/** Return: ns until gz_plane_poll() must be called again */
uint64_t gz_plane_wait(const struct gz_worker *w);
/** Something happened, or may be about to: are its bytes still for the programs alone? (join.c) */
void gz_join_calm(struct gz_sock *s);
/** Bytes from s->rx to the program.  Return: how many */
uint32_t gz_plane_to_app(struct gz_sock *s);
/** Bytes from the program to s->tx.  Return: whether there are no more */
bool gz_plane_from_app(struct gz_sock *s, uint32_t room);
/** What was in the ring when the socket left, and goes to the shadow before s->rx. */
int gz_plane_rest(struct gz_sock *s, struct iovec v[2]);
void gz_plane_rest_taken(struct gz_sock *s, uint32_t n);
/** Bytes lie in the ring yet, and the worker hears when they do not: it may leave until then. */
bool gz_plane_is_being_read(struct gz_sock *s);
/**
 * gz_plane_is_fading() - The last close was seen, and bytes are in the ring
 *
 * A thread that was in recv() when another one closed may be about to take them: for so
 * long this is true.  Else they are unread.
 */
bool gz_plane_is_fading(struct gz_worker *w, struct gz_sock *s);
/** A message of gz_plane_leave() */
void gz_plane_on_leave(struct gz_worker *w, struct gz_leave *l);
/** A message of gz_plane_come_back() */
void gz_plane_on_back(struct gz_worker *w, struct gz_leave *l);
/** A message of gz_plane_lingers() */
void gz_plane_on_lingers(struct gz_worker *w, struct gz_plane *p, struct gz_leave *l);

#endif

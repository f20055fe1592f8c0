/* SPDX-License-Identifier: BSD-3-Clause
 *
 * arrival.h - What a TCP socket tells of the packets that came
 *
 * SO_TIMESTAMP and kin, TCP_INQ, TCP_SAVED_SYN, IP_PKTOPTIONS.
 */
#ifndef GZ_ARRIVAL_H
#define GZ_ARRIVAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct gz_call_ctx;
struct gz_flow;
struct gz_options;
struct gz_sock;
struct gz_stamps_log;

struct gz_saved_syn {
	size_t len;
	uint8_t data[]; /* IP's and TCP's header, as they came */
};

struct gz_arrival {
	int ifindex;		  /* by which the handshake's last packet came; 0: none did */
	int ttl, tos;		  /* its own */
	struct gz_saved_syn *syn; /* TCP_SAVED_SYN: until it is read; under the socket's lock */
	_Atomic(struct gz_stamps_log *) log;
};

/* --- the worker ---------------------------------------------------------- */

/** A SYN came for @f's listener: keep its headers, if TCP_SAVE_SYN says so. */
void gz_arrival_syn(struct gz_flow *f);
/** @s, whose options are set, is the connection that @f became. */
void gz_arrival_accepted(struct gz_sock *s, struct gz_flow *f);
/** While bytes move: what was read is counted between these two.  No lock may be held. */
void gz_arrival_lock(struct gz_sock *s);
void gz_arrival_unlock(struct gz_sock *s);
/** Between them: a segment's bytes were put into the rx ring. */
void gz_arrival_note(struct gz_sock *s);

/* --- service threads ------------------------------------------------------ */

/** SO_TIMESTAMP, TCP_INQ: from now on, until the end; @s locked.  Return: 0 or -errno */
int gz_arrival_stamp(struct gz_sock *s);
/** Has recvmsg() something to tell besides the bytes? */
bool gz_arrival_tells(const struct gz_options *o);
/**
 * gz_arrival_tell() - Control messages with @n bytes that were read
 * @m:		Where the program wants them; msg_controllen and msg_flags are set
 * @peeked:	They are still there
 *
 * Return: 0 or -errno
 */
int gz_arrival_tell(struct gz_call_ctx *c, struct msghdr *m, size_t n, bool peeked);
/** TCP_SAVED_SYN; @s locked.  As gz_option_get() */
int gz_arrival_saved(struct gz_sock *s, void *val, socklen_t *len);
/** IP_PKTOPTIONS, IPV6_2292PKTOPTIONS; @s locked.  Return: 0 */
int gz_arrival_options(struct gz_sock *s, int level, void *val, socklen_t *len);

void gz_arrival_free(struct gz_arrival *a);

#endif

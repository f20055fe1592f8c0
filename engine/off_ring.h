/* SPDX-License-Identifier: BSD-3-Clause
 *
 * off_ring.h - Why a socket's bytes do not go through a ring, or a process's do not
 *
 * A socket keeps the first reason.  A client keeps the last one of each of its
 * processes, of as many as fit; a process that has ended keeps none.
 */
#ifndef GZ_OFF_RING_H
#define GZ_OFF_RING_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

struct gz_client;
struct gz_sock;

/* What gazelle-ctl shows, and what it means. */
#define GZ_OFF_RING(X)                                                                             \
	X(NONE, "", "its bytes go through rings where they can")                                   \
	X(RELAY, "relay", "--relay or `plane: relay' said so")                                     \
	X(ATTACHED, "attached", "gazelle-run --attach took it; its filter traps no data calls")    \
	X(NO_MEMORY, "no-memory", "the engine had no memory to share with its client")             \
	X(UNUSED, "unused", "it has not called for bytes of a socket in the rings")                \
	X(OPTION, "option", "an option that only the shadow knows was set")                        \
	X(NO_SLOT, "no-slot", "all slots of its client are taken")                                 \
	X(SANDBOX, "sandbox", "a process of its client has a seccomp filter of its own")           \
	X(CALL, "call", "a call was made that no agent answers")                                   \
	X(AGENT, "agent", "the agent left a call to the kernel: a flag, a ring without room")      \
	X(SITE, "site", "a call came from where no jump can be put")                               \
	X(EPOLL, "epoll", "it is waited for in two epolls, or where no agent is")                  \
	X(HALF, "half-closed", "it was shut for sending")                                          \
	X(PASSED_ON, "passed-on", "it was sent to another process, or given to io_submit()")       \
	X(TRACED, "traced", "another program traces it, or the right to is missing")               \
	X(NO_BROKER, "no-broker", "its gazelle-run is gone")                                       \
	X(BUSY, "busy", "it could not be stopped, or not at that moment")                          \
	X(NO_ROOM, "no-room", "the agent finds no place in its memory")                            \
	X(CANCEL, "cancel", "it cancels threads: pthread_cancel(3)")                               \
	X(URGENT, "urgent", "urgent data came")                                                    \
	X(BROKEN, "broken", "its ring said what cannot be")

enum gz_off_ring {
#define X(id, word, text) GZ_OFF_##id,
	GZ_OFF_RING(X)
#undef X
	    GZ_OFF_MAX
};

#define GZ_OFF_PROCESSES 32

/** Of a client: a pid and its reason in each word. */
struct gz_off_processes {
	_Atomic uint64_t of[GZ_OFF_PROCESSES];
	_Atomic unsigned next;
};

const char *gz_off_word(enum gz_off_ring why);
const char *gz_off_text(enum gz_off_ring why);

/** The socket is not in the rings, because of @why, unless that is known.  Any thread. */
void gz_off_sock(struct gz_sock *s, enum gz_off_ring why);
/** Of a TCP socket that is connected: GZ_OFF_NONE, it is in the rings.  Any thread. */
enum gz_off_ring gz_off_why(const struct gz_sock *s);

/** What became of a process's last call that asked for the agent: 0 or a negative errno. */
void gz_off_process(struct gz_client *c, pid_t pid, enum gz_off_ring why);
/** The process of entry @i of GZ_OFF_PROCESSES; 0: none. */
pid_t gz_off_process_at(const struct gz_client *c, unsigned i);
enum gz_off_ring gz_off_process_why(const struct gz_client *c, pid_t pid);
/** The reason that gazelle-run's errno stands for (launcher/broker.c). */
enum gz_off_ring gz_off_errno(int err);

#endif

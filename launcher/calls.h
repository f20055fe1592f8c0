/* SPDX-License-Identifier: BSD-3-Clause
 *
 * calls.h - The system calls that gazelle-run's filter takes out of a program
 *
 * One table, gz_calls[]: the filter is built from it (launcher/filter.c), the
 * engine looks its handler up in it by number, the test of the filter and the
 * documentation loop over it.  It needs no library, so that every program may
 * link it; filter.c says the conditions in libseccomp's words.
 */
#ifndef GZ_LAUNCHER_CALLS_H
#define GZ_LAUNCHER_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GZ_WHEN_MAX 7

/* Signals of pthread_cancel(3): internal-signals.h of glibc, pthread_impl.h of musl */
#define GZ_SIGCANCEL_GLIBC 32
#define GZ_SIGCANCEL_MUSL 33

/** Who answers; an index of the engine's handlers. */
enum gz_call {
	GZ_CALL_SOCKET,
	GZ_CALL_BIND,
	GZ_CALL_LISTEN,
	GZ_CALL_ACCEPT,
	GZ_CALL_ACCEPT4,
	GZ_CALL_CONNECT,
	GZ_CALL_GETSOCKNAME,
	GZ_CALL_GETPEERNAME,
	GZ_CALL_GETSOCKOPT,
	GZ_CALL_SETSOCKOPT,
	GZ_CALL_SHUTDOWN,
	GZ_CALL_IOCTL,
	GZ_CALL_RECVFROM,
	GZ_CALL_SENDTO,
	GZ_CALL_RECVMSG,
	GZ_CALL_SENDMSG,
	GZ_CALL_RECVMMSG,
	GZ_CALL_SENDMMSG,
	GZ_CALL_IO_URING_SETUP, /* the filter itself; never reaches the engine */
	GZ_CALL_READ,
	GZ_CALL_WRITE,
	GZ_CALL_READV,
	GZ_CALL_WRITEV,
	GZ_CALL_PREADV2,
	GZ_CALL_PWRITEV2,
	GZ_CALL_SENDFILE,
	GZ_CALL_SPLICE,
	GZ_CALL_IO_SUBMIT,
	GZ_CALL_CLOSE,
	GZ_CALL_DUP2,
	GZ_CALL_DUP3,
	GZ_CALL_CLOSE_RANGE,
	GZ_CALL_SECCOMP,
	GZ_CALL_PRCTL,
	GZ_CALL_FCNTL,
	GZ_CALL_POLL,
	GZ_CALL_PPOLL,
	GZ_CALL_SELECT,
	GZ_CALL_PSELECT6,
	GZ_CALL_EPOLL_CTL,
	GZ_CALL_EPOLL_WAIT,
	GZ_CALL_EPOLL_PWAIT,
	GZ_CALL_EPOLL_PWAIT2,
	GZ_CALL_RT_SIGACTION,
	GZ_CALL_COUNT,
};

enum gz_call_action {
	GZ_ACT_NOTIFY, /* ask the engine */
	GZ_ACT_ENOSYS, /* fail at once, as if the kernel had no such call */
};

/** Which programs' filters have the row. */
enum gz_call_plane {
	GZ_CALL_ALWAYS,
	GZ_CALL_RING, /* only those whose bytes may be in rings */
};

/** What the agent (launcher/agent/agent.c) does about a call at a patched site. */
enum gz_call_agent {
	GZ_AGENT_NONE,	  /* the filter decides */
	GZ_AGENT_DATA,	  /* answered there, if the descriptor is one of ours */
	GZ_AGENT_CLOSE,	  /* what the number meant is forgotten */
	GZ_AGENT_READY,	  /* readiness, and flags of descriptors */
	GZ_AGENT_CONTROL, /* answered there where it can be; else as without an agent */
	GZ_AGENT_SHORT,	  /* never: it only sees to it that no signal ends the call */
};

/**
 * A test of one argument.  The kernel looks at the low 32 bits of an int only
 * and a program may leave anything in the upper half of the register, so the
 * GZ_INT tests do the same; a pointer is 64 bits.
 */
enum gz_test {
	GZ_TEST_NONE = 0, /* ends the list */
	GZ_INT_EQ,	  /* (uint32_t)arg == value */
	GZ_INT_ANY,	  /* (uint32_t)arg & value: any bit of value is set */
	GZ_INT_BLOCK,	  /* (uint32_t)arg >> 8 == value >> 8 */
	GZ_PTR_SET,	  /* arg != NULL */
};

struct gz_when {
	enum gz_test test;
	uint8_t arg; /* 0..5 */
	uint32_t value;
	enum gz_call_plane plane;
};

struct gz_call_info {
	int nr; /* of x86-64 */
	enum gz_call id;
	enum gz_call_action action;
	enum gz_call_plane plane;
	enum gz_call_agent agent; /* with rings, see gz_call_traps_wholly() */
	const char *name;
	struct gz_when when[GZ_WHEN_MAX]; /* any one holds; none: always */
	const char *doc;		  /* when and why, for people */
};

extern const struct gz_call_info gz_calls[];
extern const size_t gz_ncalls;

/**
 * Calls that change what an address means, ended by -1: no filter has them, but where they
 * are led to the agent it looks on (launcher/agent/memory.c).
 */
extern const int gz_mapping_calls[];

/** gz_call_matches() - Would a program without rings trap with these arguments? */
bool gz_call_matches(const struct gz_call_info *c, const uint64_t args[6]);

/** With rings: does it trap whatever the arguments? */
static inline bool gz_call_traps_wholly(const struct gz_call_info *c)
{
	return c->agent == GZ_AGENT_DATA || c->agent == GZ_AGENT_CLOSE;
}

/** Is it a call that no signal ends, and that begins again whatever the handler says? */
static inline bool gz_call_is_short(const struct gz_call_info *c)
{
	return c->agent == GZ_AGENT_CLOSE || c->agent == GZ_AGENT_SHORT;
}

/** gz_call_by_nr() - Row of system call @nr; NULL: it is never intercepted */
const struct gz_call_info *gz_call_by_nr(int nr);

#endif

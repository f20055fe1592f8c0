/* SPDX-License-Identifier: BSD-3-Clause
 *
 * service.h - Serving the notifications of one client
 */
#ifndef GZ_SERVICE_H
#define GZ_SERVICE_H

#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "engine/app.h"
#include "engine/client.h"
#include "engine/sock.h"

/* Handler results besides a value >= 0 or -errno. */
#define GZ_CONTINUE (INT64_MIN)	    /* let the kernel run the call */
#define GZ_WAIT (INT64_MIN + 1)	    /* not yet: park, and try again */
#define GZ_ANSWERED (INT64_MIN + 2) /* that is done */

/** One call being served.  Parked ones are kept until they can be answered. */
struct gz_call_ctx {
	struct gz_service *sv;
	uint64_t id; /* of the notification */
	pid_t tid;
	int nr;
	uint64_t args[6];
	int fd;		       /* duplicate of args[0]'s descriptor; -1 */
	struct gz_sock *s;     /* locked by no one */
	struct gz_netlink *nl; /* or this: netlink.c's; a reference */
	uint64_t ip;	       /* behind the `syscall` */
	enum { GZ_FD_NOT_SEEN, GZ_FD_IS_SOCKET, GZ_FD_IS_OTHER } seen;
	/* parking */
	short events;	     /* poll(2) bits awaited on fd; 0: connect() */
	uint64_t deadline;   /* ns; 0: none */
	int64_t on_deadline; /* what a time-out answers */
	unsigned done;	     /* recvmmsg, sendmmsg: datagrams so far */
	uint64_t limit;	     /* recvmmsg: its time-out, ns; 0: none */
	bool follows;	     /* another thread's connect() of the same socket */
	int pidfd;	     /* parked: readable when the thread is gone; -1 */
	TAILQ_ENTRY(gz_call_ctx) entry;
};

struct gz_waiting {
	struct seccomp_notif n;
	TAILQ_ENTRY(gz_waiting) entry;
};

struct gz_service {
	struct gz_client *client;
	struct gz_app_cache cache;
	int probe_fd;
	struct gz_unpatched { /* processes where it failed, for a while (lead.c) */
		pid_t pid;
		uint64_t until;
		int fd; /* the memfd that it has got, and kept; -1 */
	} unpatched[16];
	unsigned next_unpatched;
	struct gz_tried { /* calls that were led to the agent, and how often */
		pid_t tid;
		int nr;
		uint64_t fd, until; /* ns */
		unsigned times;
	} tried[32];
	unsigned next_tried;
	struct gz_busy { /* processes without agent whose calls keep trapping */
		pid_t pid;
		unsigned traps;
	} busy[16];
	pid_t last;	  /* whose call was the last one ... */
	uint64_t last_at; /* ns */
	unsigned crowd;	  /* how much it looks as if several threads called at once */
	bool apart;
	uint64_t search; /* ns: back.c does not look through /proc before */
	TAILQ_HEAD(gz_parked, gz_call_ctx) parked;
	unsigned nparked;
	TAILQ_HEAD(, gz_waiting) waiting; /* received, not looked at yet */
};

typedef int64_t (*gz_handler)(struct gz_call_ctx *);
/** By enum gz_call (launcher/calls.h); NULL: none. */
extern const gz_handler gz_handlers[];

/**
 * gz_service_add_fd() - Install a copy of @fd in the application
 *
 * Without answering: the caller closes @fd first, so that the application's next
 * close() of it is the last.  Return: its number there, or -errno
 */
int gz_service_add_fd(struct gz_call_ctx *c, int fd, bool cloexec);
/**
 * gz_service_give_fd() - The same, and that number is the call's answer
 *
 * The thread runs once, and not twice; but a close() of its may come before the caller's, which
 * must not matter.  Return: GZ_ANSWERED, or -errno
 */
int64_t gz_service_give_fd(struct gz_call_ctx *c, int fd, bool cloexec);
/** Put @fd in the place of the application's descriptor @at; no answer yet. */
int gz_service_replace_fd(struct gz_call_ctx *c, int fd, int at, bool cloexec);
/** Find whose descriptor it is: c->fd, c->s, c->nl.  Return: false when it is no socket */
bool gz_service_resolve(struct gz_call_ctx *c);
/** Receive what is there, to be served later: it is known now who waits. */
void gz_service_collect(struct gz_service *sv);
/** Is thread @tid in a notification that was received? */
bool gz_service_has(const struct gz_service *sv, pid_t tid);
/**
 * gz_service_call_of() - @c is a call of process @pid's that waits for its answer
 *
 * To reach the process by; the call is answered later.  Of one that was not looked at yet @c has
 * the number and the first argument.  Return: false, there is none
 */
bool gz_service_call_of(struct gz_service *sv, pid_t pid, struct gz_call_ctx *c);
/** Such a call, which was not looked at yet, is the kernel's to answer, now. */
void gz_service_let_pass(struct gz_service *sv, struct gz_call_ctx *c);
/** All calls of @pid's that wait begin again, once it is interrupted (ptrace). */
void gz_service_restart(struct gz_service *sv, pid_t pid);
void gz_service_answer(struct gz_call_ctx *c, int64_t result);
bool gz_service_alive(const struct gz_call_ctx *c);
uint64_t gz_now_ns(void);

#endif

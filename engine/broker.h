/* SPDX-License-Identifier: BSD-3-Clause
 *
 * broker.h - The talk with gazelle-run, and whom it may stop
 *
 * What is said is in control.h.  All of it is the client's service thread's.
 */
#ifndef GZ_BROKER_H
#define GZ_BROKER_H

#include <stdbool.h>
#include <sys/types.h>

struct gz_broker_msg;
struct gz_call_ctx;
struct gz_client;

/**
 * gz_broker_tell() - Ask, about a process of our pid namespace
 *
 * gazelle-run, in a container say, may know it by another number, which is told instead.
 * Return: false, there is no gazelle-run, or it does not listen any more
 */
bool gz_broker_tell(struct gz_client *c, const struct gz_broker_msg *m);
/** The answer to @m, in its place.  Return: false, the broker is gone, or silent for 3 s */
bool gz_broker_hear(struct gz_client *c, struct gz_broker_msg *m);
/** Would no thread of @pid's see that it was stopped?  But for that of the call */
bool gz_broker_may_stop(struct gz_call_ctx *c, pid_t pid);
/**
 * gz_broker_reach() - Call @fn with a call of process @pid's, one of the client's
 * @c:	Another process's call, which is being served
 *
 * Where none of its threads is in a call that waits for its answer, gazelle-run has one make such a
 * call.  Takes a millisecond or so then.  Return: false, it could not be reached.
 */
bool gz_broker_reach(struct gz_call_ctx *c, pid_t pid, void (*fn)(struct gz_call_ctx *));

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * tracee.h - A running process, stopped for a moment to run system calls in it
 *
 *	gz_tracee_stop()	all its threads are stopped
 *	gz_tracee_borrow()	one of them is ours
 *	gz_tracee_call()	it runs a system call for us; any number of times
 *	gz_tracee_give_back()	it is as it was
 *	gz_tracee_release()	the process goes on
 *
 * Release may follow after each of them, and after each failure.  ptrace(2) is
 * bound to a thread: all calls for one tracee come from the thread that
 * stopped it.  Whoever calls should block its signals meanwhile: a tracer that
 * ends in the middle of a call leaves the thread at the wrong place.
 */
#ifndef GZ_LAUNCHER_TRACEE_H
#define GZ_LAUNCHER_TRACEE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

struct gz_thread {
	pid_t tid;
	bool stopped;		      /* else it was told to, see gz_tracee.vforks */
	bool restarts;		      /* by us: its call gives EINTR for any stop */
	struct user_regs_struct regs; /* as it stopped */
};

struct gz_tracee {
	pid_t pid;		   /* set by the caller, all else zero */
	struct gz_thread *threads; /* all that are seized */
	size_t n, room;
	size_t vforks; /* of these, threads that wait for a vfork() child */

	/* set by the caller, may be NULL: all threads are told to stop, none waited for */
	void (*seized)(struct gz_tracee *t);
	unsigned filters; /* seccomp filters whose answers are known; more are suspended */

	struct gz_thread *borrowed; /* NULL: none */
	uint64_t mask;		    /* its signals' */
	uint64_t site;		    /* address of a `syscall` instruction */
	bool called;		    /* it is at the end of a call of ours */
	int mem;		    /* its memory, proc(5), while one is borrowed; -1: refused */

	char why[256]; /* what failed, for people; no newline */
};

/**
 * gz_tracee_stop() - Seize a process and stop all of its threads
 * @t:		Zero but for @t->pid, or released; gz_tracee_release() in any case
 * @ms:		How long it may take
 *
 * A thread that waits for a vfork() child cannot stop before that child execs
 * or exits, nor can it do anything until then: it counts as stopped.
 *
 * Return: 0; -EAGAIN: not within @ms, or threads came and went too fast, to be
 * tried again; -EPERM, -ESRCH and others: never, and @t->why says the reason.
 */
int gz_tracee_stop(struct gz_tracee *t, int ms);

/**
 * gz_tracee_borrow() - Choose a thread, and make it ready for calls
 *
 * Its signals wait, and its seccomp filters are suspended, if it has more than @t->filters.
 *
 * Return: 0; -EAGAIN, to be released and tried again; or another negative errno
 * and @t->why.
 */
int gz_tracee_borrow(struct gz_tracee *t);

/** gz_tracee_trap() - Do its seccomp filters see the calls from now on?  First: no */
void gz_tracee_trap(struct gz_tracee *t, bool on);

/**
 * gz_tracee_call() - Run a system call in the borrowed thread
 * @result:	Its return value, or its negative errno
 *
 * Return: 0, or -ESRCH: the process ended meanwhile.
 */
int gz_tracee_call(struct gz_tracee *t, int64_t *result, long nr, const uint64_t args[6]);

#define GZ_TRACEE_CALL(t, result, nr, ...)                                                         \
	gz_tracee_call(t, result, nr, (const uint64_t[6]){__VA_ARGS__})

/** gz_tracee_give_back() - Return: 0, or -ESRCH: the process ended meanwhile */
int gz_tracee_give_back(struct gz_tracee *t);

/** gz_tracee_read(), gz_tracee_write() - Its memory.  Return: 0, or a negative errno */
int gz_tracee_read(const struct gz_tracee *t, uint64_t addr, void *buf, size_t n);
int gz_tracee_write(const struct gz_tracee *t, uint64_t addr, const void *buf, size_t n);

/**
 * gz_tracee_poke() - Write also where the process cannot, by the borrowed thread
 * @n:		Bytes, up to a page less 8
 *
 * Return: 0, or a negative errno of ptrace(2).
 */
int gz_tracee_poke(const struct gz_tracee *t, uint64_t addr, const void *buf, size_t n);

/**
 * gz_tracee_has_filter() - Is this program one of the stopped process's filters?
 * @insns, @n:	Instructions, struct sock_filter
 *
 * Return: false also where the kernel does not tell (CAP_SYS_ADMIN,
 * CONFIG_CHECKPOINT_RESTORE).
 */
bool gz_tracee_has_filter(const struct gz_tracee *t, const void *insns, size_t n);

/**
 * gz_tracee_release() - Let all threads go
 *
 * Those that have not stopped yet, for they wait for a vfork() child, stay in
 * @t->threads, to be let go by gz_tracee_reap() when they stop, or by the kernel
 * when the tracer ends.
 */
void gz_tracee_release(struct gz_tracee *t);

/** gz_tracee_reap() - Return: how many threads are still to be let go */
size_t gz_tracee_reap(struct gz_tracee *t);

#endif

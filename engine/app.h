/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app.h - An application thread's memory, descriptors and signals
 *
 * Service threads only.  Every function names the thread by tid; the caller
 * holds a live notification of it, so it cannot be another one.
 */
#ifndef GZ_APP_H
#define GZ_APP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** Cached pidfds of one service thread, by tid. */
struct gz_app_cache {
	struct {
		pid_t tid;
		int pidfd;
	} slot[64];
};

void gz_app_cache_init(struct gz_app_cache *c);
void gz_app_cache_destroy(struct gz_app_cache *c);

/** Copy from or to the application.  Return: 0 or -EFAULT (counted) */
int gz_app_read(pid_t tid, uint64_t addr, void *buf, size_t n);
/** As gz_app_read(), where a fault is none of the program's.  Return: whether it could */
bool gz_app_peek(pid_t tid, uint64_t addr, void *buf, size_t n);
int gz_app_write(pid_t tid, uint64_t addr, const void *buf, size_t n);

/** A duplicate of the application's descriptor (pidfd_getfd(2)), or -errno */
int gz_app_fd(struct gz_app_cache *c, pid_t tid, int fd);

/** The process (thread group) that thread @tid belongs to, or -ESRCH */
pid_t gz_app_process(pid_t tid);

/** Flags of descriptor @fd in the application: is FD_CLOEXEC set? */
bool gz_app_cloexec(pid_t tid, int fd);

/** The thread's effective user.  Return: 0 or -ESRCH */
int gz_app_uid(pid_t tid, uid_t *uid);
/** Is @name its process's name (comm), or the last part of its executable's path? */
bool gz_app_is_program(pid_t tid, const char *name);

/** Its process's number, as the process knows it (NStgid); 0: not known */
pid_t gz_app_own_pid(pid_t tid);

/**
 * gz_app_pid_at() - The same, as the pid namespace knows it that is @level ones within ours, from 1
 * @levels:	How many there are up to there; may be NULL
 */
pid_t gz_app_pid_at(pid_t tid, unsigned level, unsigned *levels);

/** May the thread bind ports below 1024?  (CAP_NET_BIND_SERVICE) */
bool gz_app_may_bind_low(pid_t tid);

/** Has the thread this capability (CAP_NET_ADMIN, ...) in effect? */
bool gz_app_capable(pid_t tid, unsigned cap);
/**
 * gz_without_rights() - What @f(@of) returns while the calling thread has no capability in effect
 *
 * Any thread.  Return: also -errno of capset(2), and @f was not called
 */
int64_t gz_without_rights(int64_t (*f)(const void *of), const void *of);
/** Is it in the engine's user namespace, where its capabilities are about the shadows too? */
bool gz_app_shares_user_namespace(pid_t tid);

/** Send the thread a signal, as the kernel does with an error. */
void gz_app_signal(pid_t tid, int sig);

/**
 * gz_app_interrupted() - Would a signal end a blocking call of this thread?
 *
 * A thread waiting under WAIT_KILLABLE_RECV does not see its signals.  Return:
 * 0 none; -ERESTARTSYS (-512) when the kernel certainly runs signal delivery
 * for this very thread on return, which turns it into EINTR or a restart;
 * -EINTR when a process-wide signal may be another thread's.
 */
int gz_app_interrupted(pid_t tid);

/** Is its memory its parent's?  Unknown is no. */
bool gz_app_is_vfork_child(pid_t pid);

/**
 * gz_app_each_process() - Call @fn for each process but this one, until it returns false
 *
 * Return: false, /proc cannot be read
 */
bool gz_app_each_process(bool (*fn)(pid_t pid, void *arg), void *arg);
/**
 * gz_app_each_socket() - Call @fn for each descriptor of process (or thread) @pid that is a socket,
 * until it returns false
 *
 * Return: 0, or -errno of open(2): which ones it has is not known
 */
int gz_app_each_socket(pid_t pid, bool (*fn)(int fd, ino_t ino, void *arg), void *arg);
/** Has process @pid a descriptor that is the socket with this inode? */
bool gz_app_holds(pid_t pid, ino_t ino);

#endif

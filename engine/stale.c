/* SPDX-License-Identifier: BSD-3-Clause
 *
 * stale.c - Shadows that gave way in one process while others hold them
 *
 * Theory of operation.  A connect() that goes to the kernel, one that failed, and a disconnect
 * put another file in the place of a shadow (swap.c), in the process that calls: ADDFD
 * reaches no other one.  Who inherited the shadow is to have that file as well.  So the engine
 * keeps a duplicate of it, and gives it to each process that has the shadow: by a call of its
 * that waits for an answer, or by one that gazelle-run has it make (broker.c).  Who cannot be
 * reached so gets it when a call of its own traps, whatever that is about.  The shadow's name, or
 * its inode, tells when nobody has it any more (reaper.c, inodes.c), which is at once where
 * all were reached; until then the duplicate stands for those who do, and a last close of the file
 * shows after theirs, as it should.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/app.h"
#include "engine/broker.h"
#include "engine/counters.h"
#include "engine/inodes.h"
#include "engine/log.h"
#include "engine/reaper.h"
#include "engine/service.h"
#include "engine/stale.h"
#include "engine/swap.h"

#define STALE_MAX 1024	       /* a descriptor of the engine's each */
#define LOOKED 256	       /* threads that need no other look before the next sweep */
#define READ_REST 400000000ull /* ns */

struct stale {
	LIST_ENTRY(stale) entry;
	struct gz_sock *old; /* a reference; NULL: netlink.c's */
	ino_t ino;	     /* of its shadow */
	int fd;		     /* what took its place, */
	ino_t by;	     /* and its inode */
};

static struct {
	pthread_mutex_t lock;
	LIST_HEAD(, stale) list;
	pid_t looked[LOOKED]; /* by tid: it has none of them */
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

_Atomic unsigned gz_stale;

/* Locked */
static void drop(struct stale *st)
{
	LIST_REMOVE(st, entry);
	atomic_fetch_sub(&gz_stale, 1);
	close(st->fd);
	if (st->old)
		gz_sock_unref(st->old);
	free(st);
}

/* Locked.  What the shadow @ino had taken the place of is @by's now: nobody gets it by turns. */
static void lead_on(ino_t ino, int fd, ino_t by)
{
	struct stale *st;
	int dup;

	LIST_FOREACH(st, &all.list, entry)
	{
		if (st->by != ino || (dup = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0)
			continue;
		close(st->fd);
		st->fd = dup;
		st->by = by;
	}
}

static void add(struct gz_sock *old, ino_t ino, int fd)
{
	struct stale *st = NULL;
	struct stat by;

	if (atomic_load(&gz_stale) < STALE_MAX && fstat(fd, &by) == 0)
		st = malloc(sizeof(*st));
	if (!st || (fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0) {
		gz_count(GZ_C_LOST_DUPLICATES);
		free(st);
		return;
	}
	*st = (struct stale){.old = old, .ino = ino, .fd = fd, .by = by.st_ino};
	if (old) {
		gz_sock_ref(old);
		gz_plane_stale(old);
	}
	pthread_mutex_lock(&all.lock);
	lead_on(ino, fd, st->by);
	LIST_INSERT_HEAD(&all.list, st, entry);
	memset(all.looked, 0, sizeof(all.looked));
	atomic_fetch_add(&gz_stale, 1);
	pthread_mutex_unlock(&all.lock);
}

struct others {
	struct gz_call_ctx *c;
	pid_t own;
	ino_t ino;
};

static bool reach_one(pid_t pid, void *arg)
{
	const struct others *o = arg;

	if (pid != o->own && gz_app_holds(pid, o->ino))
		gz_broker_reach(o->c, pid, gz_stale_look);
	return true;
}

/* Before the call returns, for what they do next may be a read(). */
static void reach_others(struct gz_call_ctx *c, ino_t ino)
{
	struct others o = {c, gz_app_process(c->tid), ino};

	gz_app_each_process(reach_one, &o);
}

/* Has nobody the shadow any more?  @alive: those without a name, NULL: to be read */
static bool is_gone(struct gz_sock *old, ino_t ino, int *probe, const struct gz_inodes *alive)
{
	struct gz_inodes now = {NULL, 0};
	bool gone;

	if (old && old->named)
		return gz_reaper_probe(old, probe);
	if (alive)
		return !gz_inodes_has(alive, ino);
	gone = gz_inodes_read(&now) && !gz_inodes_has(&now, ino);
	gz_inodes_free(&now);
	return gone;
}

void gz_stale_note(struct gz_call_ctx *c, struct gz_sock *old, ino_t ino, int fd)
{
	struct stale *st, *next;

	if (is_gone(old, ino, &c->sv->probe_fd, NULL))
		return;
	add(old, ino, fd);
	reach_others(c, ino);
	if (!is_gone(old, ino, &c->sv->probe_fd, NULL))
		return;
	pthread_mutex_lock(&all.lock);
	for (st = LIST_FIRST(&all.list); st; st = next) {
		next = LIST_NEXT(st, entry);
		if (st->ino == ino)
			drop(st);
	}
	pthread_mutex_unlock(&all.lock);
}

/* Return: a duplicate of what took the place of the shadow with this inode, or -1 */
static int find(ino_t ino)
{
	struct stale *st;
	int fd = -1;

	pthread_mutex_lock(&all.lock);
	LIST_FOREACH(st, &all.list, entry)
	if (st->ino == ino) { /* the newest, if there are two */
		fd = fcntl(st->fd, F_DUPFD_CLOEXEC, 0);
		break;
	}
	pthread_mutex_unlock(&all.lock);
	return fd;
}

/* The process's descriptor @at, and all others of that file, become @fd's, which is taken. */
static void replace(struct gz_call_ctx *c, int at, ino_t ino, int fd)
{
	struct gz_call_ctx own = {.sv = c->sv, .id = c->id, .tid = c->tid, .args = {(uint64_t)at}};
	struct gz_sock *s;
	struct stat st;
	bool watched;

	own.fd = gz_app_fd(&c->sv->cache, c->tid, at);
	if (own.fd >= 0 && fstat(own.fd, &st) == 0 && st.st_ino == ino &&
	    gz_swap_file(&own, fd, &watched) == 0) {
		s = fstat(fd, &st) == 0 ? gz_table_find(st.st_ino) : NULL;
		if (s && watched)
			atomic_store(&s->ring.loud, true);
		if (s)
			gz_sock_unref(s);
		gz_plane_ask_anew(c->sv->client);
		gz_count(GZ_C_STALE_SWAPS);
	}
	if (own.fd >= 0)
		close(own.fd);
	close(fd);
}

static bool look_at(int at, ino_t ino, void *arg)
{
	int fd = find(ino);

	if (fd >= 0)
		replace(arg, at, ino, fd);
	return true;
}

void gz_stale_look(struct gz_call_ctx *c)
{
	pid_t *looked = &all.looked[(unsigned)c->tid % LOOKED];
	bool again;

	pthread_mutex_lock(&all.lock);
	again = *looked == c->tid;
	*looked = c->tid;
	pthread_mutex_unlock(&all.lock);
	if (!again)
		gz_app_each_socket(c->tid, look_at, c);
}

/* Those without a name are looked for seldom: all sockets are listed for that. */
static bool read_alive(struct gz_inodes *alive)
{
	static uint64_t next;
	uint64_t began = gz_now_ns();
	bool good;

	if (began < next)
		return false;
	good = gz_inodes_read(alive);
	next = gz_now_ns();
	next += READ_REST + 20 * (next - began);
	return good;
}

void gz_stale_sweep(void)
{
	static int probe = -1;
	struct gz_inodes alive = {NULL, 0};
	bool unnamed = false, read;
	struct stale *st, *next;

	if (!atomic_load(&gz_stale))
		return;
	pthread_mutex_lock(&all.lock);
	memset(all.looked, 0, sizeof(all.looked));
	LIST_FOREACH(st, &all.list, entry)
	unnamed |= !st->old || !st->old->named;
	read = unnamed && read_alive(&alive);
	for (st = LIST_FIRST(&all.list); st; st = next) {
		next = LIST_NEXT(st, entry);
		if (((st->old && st->old->named) || read) &&
		    is_gone(st->old, st->ino, &probe, &alive))
			drop(st);
	}
	pthread_mutex_unlock(&all.lock);
	gz_inodes_free(&alive);
}

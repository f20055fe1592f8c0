/* SPDX-License-Identifier: BSD-3-Clause
 *
 * reaper.c - Noticing the last close of shadows that have no other end
 *
 * Theory of operation.  A connected shadow shows its last close as HUP at the
 * engine's end.  One that is unconnected or listening, or whose engine end was
 * closed first (a reset), tells nobody: in the relay plane close(2) is not
 * trapped.  Two probes answer instead:
 *
 *  - a shadow that we made has an abstract name of its own (unix(7)), in a
 *    network namespace where nobody else binds.  bind() of a second socket to
 *    that name fails with EADDRINUSE exactly as long as the shadow lives.
 *  - a shadow that accept() made shares its listener's name.  Its inode is
 *    looked for in /proc/thread-self/net/unix, twice a second at most, less often
 *    when that takes long, and only while there are such sockets without an engine end.
 *
 *  - the shadow of a UDP socket has a port of its own (alias.h), which takes the
 *    place of the name.
 *
 * A bind() that meets the port of a watched socket, and a SYN for a listener,
 * probe at that moment, so that the answer never depends on the sweep.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/alias.h"
#include "engine/counters.h"
#include "engine/inodes.h"
#include "engine/log.h"
#include "engine/multicast.h"
#include "engine/ping.h"
#include "engine/ports.h"
#include "engine/reaper.h"
#include "engine/service.h"
#include "engine/sock.h"
#include "engine/twin.h"
#include "engine/worker.h"

#define SWEEP_MAX 2000	       /* looks at once, a system call each */
#define READ_REST 400000000ull /* ns */

bool gz_reaper_is_gone(uint64_t name, int *probe)
{
	struct sockaddr_un a;
	socklen_t len = gz_shadow_name(&a, name);

	if (*probe < 0) {
		*probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (*probe < 0)
			return false;
	}
	if (bind(*probe, (struct sockaddr *)&a, len) < 0)
		return false;
	/* It is ours now; names are never used twice. */
	close(*probe);
	*probe = -1;
	return true;
}

bool gz_reaper_nest_is_empty(uint16_t nest)
{
	static __thread int probe = -1;
	struct sockaddr_in a = {
	    .sin_family = AF_INET,
	    .sin_port = htons(nest),
	};

	if (probe < 0) {
		probe = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (probe < 0)
			return false;
	}
	if (bind(probe, (struct sockaddr *)&a, sizeof(a)) < 0)
		return false;
	close(probe);
	probe = -1;
	return true;
}

/* --- who is watched ------------------------------------------------------ */

TAILQ_HEAD(watched, gz_sock);

static struct {
	pthread_mutex_t lock;
	struct watched list; /* a reference each; who waits longest for a look is first */
	unsigned n;
} watch = {.lock = PTHREAD_MUTEX_INITIALIZER, .list = TAILQ_HEAD_INITIALIZER(watch.list)};

void gz_reaper_watch(struct gz_sock *s, bool on)
{
	bool drop = false;

	if (atomic_exchange(&s->watched, on) == on)
		return;
	pthread_mutex_lock(&watch.lock);
	on = atomic_load(&s->watched);
	if (on && !s->on_watch) {
		gz_sock_ref(s);
		TAILQ_INSERT_TAIL(&watch.list, s, watch_entry);
		watch.n++;
	} else if (!on && s->on_watch) {
		TAILQ_REMOVE(&watch.list, s, watch_entry);
		watch.n--;
		drop = true;
	}
	s->on_watch = on;
	pthread_mutex_unlock(&watch.lock);
	if (drop)
		gz_sock_unref(s);
}

/* Call @fn for at most @max of them, without the lock: it may close. */
static void walk(unsigned max, void (*fn)(struct gz_sock *, void *), void *arg)
{
	struct gz_sock **some;
	unsigned n;

	pthread_mutex_lock(&watch.lock);
	n = watch.n < max ? watch.n : max;
	some = malloc((n + 1) * sizeof(*some));
	for (unsigned i = 0; some && i < n; i++) {
		struct gz_sock *s = TAILQ_FIRST(&watch.list);

		TAILQ_REMOVE(&watch.list, s, watch_entry);
		TAILQ_INSERT_TAIL(&watch.list, s, watch_entry);
		gz_sock_ref(s);
		some[i] = s;
	}
	pthread_mutex_unlock(&watch.lock);
	for (unsigned i = 0; some && i < n; i++) {
		fn(some[i], arg);
		gz_sock_unref(some[i]);
	}
	free(some);
}

void gz_reaper_close(struct gz_sock *s)
{
	bool was = atomic_exchange(&s->closed, true);

	if (was)
		return;
	gz_reaper_watch(s, false);
	gz_twin_close(s); /* before its claim: who gets that may bind one at once */
	gz_claim_drop(s);
	gz_count(GZ_C_REAPED);
	if (s->type == SOCK_DGRAM) {
		gz_groups_leave_all(s);
		gz_alias_unpin(s->dgram.alias);
	}
	gz_post(&(struct gz_msg){.op = GZ_OP_GONE, .sock = s, .fd = -1});
	gz_table_remove(s);
}

bool gz_reaper_probe(struct gz_sock *s, int *probe)
{
	if (!s->named)
		return false;
	return s->type == SOCK_STREAM ? gz_reaper_is_gone(s->name, probe)
	       : s->dgram.ping	      ? gz_ping_is_gone(s)
				      : gz_reaper_nest_is_empty(s->dgram.nest);
}

bool gz_reaper_check(struct gz_sock *s, int *probe)
{
	if (atomic_load(&s->closed))
		return true;
	if (!atomic_load(&s->watched) || !gz_reaper_probe(s, probe))
		return false;
	gz_reaper_close(s);
	return true;
}

struct room {
	struct gz_sock *s;
	int *probe;
	bool made;
};

static void make_room(struct gz_sock *o, void *arg)
{
	struct room *r = arg;

	if (o != r->s && o->claim.held && o->type == r->s->type)
		r->made |= gz_reaper_check(o, r->probe);
}

bool gz_reaper_make_room(struct gz_sock *s, int *probe)
{
	struct room r = {.s = s, .probe = probe};

	walk(UINT_MAX, make_room, &r);
	return r.made;
}

struct sweep {
	int *probe;
	bool unnamed;  /* look at sockets without a name as well ... */
	unsigned mark; /* ... that were watched before the inodes were read */
	struct gz_inodes alive;
	unsigned left; /* unnamed ones that are watched */
};

/* Which one an agent's is the agent says: it has no other to lose. */
static ino_t ino_of(const struct gz_sock *s)
{
	return s->ino ? s->ino : gz_plane_said_ino(s);
}

static void sweep_one(struct gz_sock *s, void *arg)
{
	struct sweep *sw = arg;
	ino_t ino;

	if (atomic_load(&s->closed))
		gz_reaper_watch(s, false); /* it was watched while it was closed */
	if (!atomic_load(&s->watched))
		return;
	if (s->named) {
		gz_reaper_check(s, sw->probe);
		return;
	}
	sw->left++;
	ino = ino_of(s);
	if (sw->unnamed && s->sweep_mark == sw->mark && !gz_inodes_has(&sw->alive, ino))
		gz_reaper_close(s);
}

/* One that nobody has accepted yet has no inode. */
static void mark_one(struct gz_sock *s, void *arg)
{
	if (!s->named && ino_of(s))
		s->sweep_mark = *(unsigned *)arg;
}

void gz_reaper_sweep(void)
{
	static int probe = -1;
	static unsigned round, unnamed;
	static uint64_t next_read;
	uint64_t now = gz_now_ns();
	struct sweep sw = {.probe = &probe};

	sw.mark = ++round;
	if (unnamed && now >= next_read) {
		walk(UINT_MAX, mark_one, &sw.mark);
		sw.unnamed = gz_inodes_read(&sw.alive);
		/* All sockets are listed there: a twentieth of the time at most. */
		next_read = gz_now_ns();
		next_read += READ_REST + 20 * (next_read - now);
	}
	walk(sw.unnamed ? UINT_MAX : SWEEP_MAX, sweep_one, &sw);
	unnamed = sw.left;
	gz_inodes_free(&sw.alive);
}

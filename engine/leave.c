/* SPDX-License-Identifier: BSD-3-Clause
 *
 * leave.c - A socket leaves the rings for the relay plane
 *
 * Theory of operation.  Whatever cannot go on in the rings leads here: an unpatched site, a
 * program without agent, a full ring, a descriptor that is passed on.  Both rings are
 * closed, by a bit in the words that agents commit with: what was committed is
 * exact.  An agent that is about to read a token or to send a bell holds a lock of the
 * slot; so the locks are waited for, for LEAVE_NS at most, because their holder may
 * have been killed.  Then tokens and bells are thrown away, what is in the rx ring is
 * sent into the shadow, and only then may anybody use it natively.
 */
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/counters.h"
#include "engine/off_ring.h"
#include "engine/plane_inner.h"
#include "engine/worker.h"

#define LEAVE_NS 100000000ull

/*
 * The rings are closed: whatever is called now traps.  Who sleeps on the shadow until
 * there is room is told by nobody else, and who is about to sleep sees the mark.
 */
static void trap(struct gz_sock *s, struct gz_leave *l)
{
	struct gz_slot *slot = slot_of(s);

	__atomic_store_n(&slot->rx_plane, GZ_PLANE_TRAP, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->tx_plane, GZ_PLANE_TRAP, __ATOMIC_SEQ_CST);
	if (l)
		l->wakes = __atomic_load_n(&slot->want, __ATOMIC_SEQ_CST);
	gz_plane_tell(s);
}

/*
 * Urgent data has no place in a ring.  The program's next call is to find the rings
 * closed; until then the bytes wait where they are, and a token says that there are some.
 * But where the descriptor is found, the socket leaves now, and its owner sees POLLPRI.
 */
void gz_plane_evict(struct gz_sock *s)
{
	struct gz_leave *l;

	if (s->ring.evicted)
		return;
	s->ring.evicted = true;
	gz_off_sock(s, s->urgent.rx_here ? GZ_OFF_URGENT : GZ_OFF_AGENT);
	l = calloc(1, sizeof(*l));
	if (l)
		*l = (struct gz_leave){.sock = s,
				       .own = true,
				       .fd = gz_plane_find_fd(s),
				       .deadline = gz_worker.now + LEAVE_NS};
	gz_plane_close_rings(s);
	trap(s, l);
	gz_plane_token(s);
	if (l && l->fd >= 0) {
		gz_sock_ref(s);
		TAILQ_INSERT_TAIL(&gz_worker.leaving, l, entry);
	} else {
		free(l);
	}
}

void gz_plane_ending(struct gz_sock *s)
{
	if (gz_plane_is_ring(s) && __atomic_load_n(&slot_of(s)->tx_want, __ATOMIC_SEQ_CST))
		gz_plane_evict(s);
}

static bool try_lock(uint32_t *l)
{
	uint32_t none = 0;

	return __atomic_compare_exchange_n(l, &none, 2, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED) ||
	       none == 2;
}

/* By their number: a recv() too many would take an error that is the program's. */
static void take_tokens(int fd)
{
	char bytes[64];
	int n = 0;

	while (ioctl(fd, SIOCINQ, &n) == 0 && n > 0 &&
	       recv(fd, bytes, n < 64 ? (size_t)n : sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

/* Return: whether it has left */
static bool try_leave(struct gz_worker *w, struct gz_leave *l)
{
	struct gz_sock *s = l->sock;
	struct gz_slot *slot = slot_of(s);
	bool rx, tx;

	if (gz_plane_is_ring(s)) {
		/* Its token must not be taken before it has seen it. */
		if (l->wakes && w->now < l->deadline &&
		    __atomic_load_n(&slot->want, __ATOMIC_SEQ_CST))
			return false;
		rx = try_lock(&slot->rx_lock);
		tx = try_lock(&slot->tx_lock);
		if ((!rx || !tx) && w->now < l->deadline)
			return false;
		if (!rx || !tx)
			gz_count(GZ_C_RING_FORCED);
		/* No token and no bell is under way any more. */
		take_tokens(l->fd);
		gz_plane_unname(s, l->fd);
		if (gz_sock_state(s) != GZ_CONNECTING) {
			gz_relay_skip(s);
			s->can_read = true;
		}
		if ((s->end_fd < 0 || s->fin_passed) && gz_plane_unread(s))
			atomic_store(&s->ring.orphan, true);
		atomic_store(&s->ring.plane, GZ_PLANE_NATIVE);
		gz_relay_pump(w, s);
		gz_plane_go_native(s);
		gz_plane_wake_others(s);
		gz_plane_back_later(s);
		atomic_fetch_add(&s->client->ring_left, 1);
		gz_count(GZ_C_RING_LEFT);
	}
	return true;
}

static void finish_leave(struct gz_leave *l)
{
	if (!l->own) {
		sem_post(&l->done);
		return;
	}
	/* Not before: it would hide the last close. */
	close(l->fd);
	free(l);
}

void gz_plane_on_leave(struct gz_worker *w, struct gz_leave *l)
{
	l->deadline = w->now + LEAVE_NS;
	if (gz_plane_is_ring(l->sock)) {
		gz_plane_close_rings(l->sock);
		trap(l->sock, l);
	}
	if (try_leave(w, l)) {
		finish_leave(l);
		return;
	}
	gz_sock_ref(l->sock);
	TAILQ_INSERT_TAIL(&w->leaving, l, entry);
}

unsigned gz_plane_leaving(struct gz_worker *w)
{
	struct gz_leave *l, *next;
	unsigned n = 0;

	for (l = TAILQ_FIRST(&w->leaving); l; l = next) {
		struct gz_sock *s = l->sock;

		next = TAILQ_NEXT(l, entry);
		if (!try_leave(w, l))
			continue;
		TAILQ_REMOVE(&w->leaving, l, entry);
		finish_leave(l);
		gz_sock_unref(s);
		n++;
	}
	return n;
}

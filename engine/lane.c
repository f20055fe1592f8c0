/* SPDX-License-Identifier: BSD-3-Clause
 *
 * lane.c - Joined connections whose bytes the programs move themselves
 *
 * Theory of operation.  The worker gives a joined connection a lane while nothing but bytes
 * happens to it, and takes it away before anything else does: a FIN, a reset, an option, a
 * call that the rings have not.  Both is done with the rings closed: an agent commits by
 * compare-and-swap, finds the bit, and looks anew where its bytes are.
 *
 *	begin	the slots' tx rings, which are empty, are closed; the lane is named in
 *		both slots
 *	end	the lane is closed; what was not read goes to the reader's rx ring, to the
 *		engine's own of that socket as if TCP had brought it, and what is beyond that
 *		to the sender's tx ring, in front of all that it sends from then on; the slots
 *		name no lane, and their tx rings are opened
 *
 * So the rings of a socket with a lane are empty, and a lane's bytes always have room.
 *
 * An agent may still be in the memory of a lane that was taken away, in a copy whose commit
 * will fail.  It holds a lock of its slot then: a lane's number, and a pair's window, is
 * given out again only once the locks of those who had it were seen free.
 *
 * Both programs write all of the memory: nothing that is read here is believed.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "engine/counters.h"
#include "engine/lane.h"
#include "engine/log.h"
#include "engine/plane_inner.h"
#include "engine/service.h"
#include "engine/worker.h"

#define COUNT_MAX (1ULL << 36) /* bytes; no memory moves as many in a second */
#define QUIET_FREE 2	       /* looks, one or two a second, until a free lane's memory goes ... */
#define QUIET_IDLE 4	       /* ... and until one without bytes is taken away for its memory */
#define QUIET_CLEAN UINT8_MAX  /* it has none */
#define WORTH 65536	       /* bytes that have gone by it, for that */
#define CLEAN_MAX 32	       /* at a look */

static_assert(GZ_LANE_ROOM <= 2 * GZ_SLOT_RING + GZ_RX_RING && GZ_TX_RING >= GZ_RX_RING &&
		  GZ_LANE_ROOM <= GZ_LANE_RING,
	      "what is in a lane has room elsewhere");

struct gz_pair {
	struct gz_pair_memory *mem;
	int memfd;
	struct gz_plane *plane[2]; /* may be the same */
	uint32_t window[2];
	struct gz_sock *sock[GZ_LANES][2]; /* NULL: the lane is free ... */
	uint16_t slot[GZ_LANES][2];	   /* ... once their locks are; GZ_SLOTS: nobody's yet */
	uint8_t quiet[GZ_LANES];	   /* looks since something happened to it; QUIET_CLEAN */
	_Atomic unsigned bells;		   /* that workers are yet to ring */
};

static struct gz_lane_end *end_of(const struct gz_sock *s)
{
	return &s->ring.pair->mem->lane[s->ring.lane][s->ring.end];
}

static const struct gz_lane_end *other_end(const struct gz_sock *s)
{
	return &s->ring.pair->mem->lane[s->ring.lane][!s->ring.end];
}

static uint64_t position(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST) & ~GZ_RING_CLOSED;
}

/* --- pairs ---------------------------------------------------------------------- */

static bool is_unlocked(const struct gz_plane *p, uint32_t i)
{
	return i >= GZ_SLOTS || (!__atomic_load_n(&p->sh->slot[i].rx_lock, __ATOMIC_SEQ_CST) &&
				 !__atomic_load_n(&p->sh->slot[i].tx_lock, __ATOMIC_SEQ_CST));
}

/* Return: a window of nobody's, or GZ_WINDOWS */
static uint32_t free_window(const struct gz_plane *p)
{
	for (uint32_t w = 0; w < p->windows; w++)
		if (!p->window[w]) {
			for (uint32_t i = 0; i < GZ_SLOTS; i++)
				if (!is_unlocked(p, i))
					return GZ_WINDOWS;
			return w;
		}
	return p->windows;
}

static void set_window(struct gz_plane *p, uint32_t w, struct gz_pair *pair, uint32_t ends)
{
	pthread_mutex_lock(&p->lock);
	p->window[w] = pair;
	pthread_mutex_unlock(&p->lock);
	p->sh->ends[w] = (uint8_t)ends;
	p->numbers += pair != NULL;
	__atomic_store_n(&p->sh->window[w], pair ? p->numbers : 0, __ATOMIC_SEQ_CST);
	if (w < p->windows)
		return;
	p->windows = w + 1;
	__atomic_store_n(&p->sh->windows, p->windows, __ATOMIC_SEQ_CST);
}

static void free_pair(struct gz_pair *pair)
{
	if (pair->mem && pair->mem != MAP_FAILED)
		munmap(pair->mem, GZ_PAIR_SIZE);
	if (pair->memfd >= 0)
		close(pair->memfd);
	free(pair);
}

static struct gz_pair *new_pair(struct gz_plane *a, struct gz_plane *b)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	uint32_t wa = free_window(a), wb = free_window(b);
	struct gz_pair *p;

	if (wa == GZ_WINDOWS || wb == GZ_WINDOWS || !(p = calloc(1, sizeof(*p))))
		return NULL;
	p->memfd = memfd_create("gazelle-lanes", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (p->memfd >= 0 && !ftruncate(p->memfd, (off_t)GZ_PAIR_SIZE) &&
	    !fcntl(p->memfd, F_ADD_SEALS, seals))
		p->mem = mmap(NULL, GZ_PAIR_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, p->memfd, 0);
	if (!p->mem || p->mem == MAP_FAILED) {
		gz_warn("no shared memory for two clients: %s", strerror(errno));
		free_pair(p);
		return NULL;
	}
	/* Who sleeps already does not know of it. */
	for (unsigned e = 0; e < 2; e++)
		for (unsigned k = 0; k < GZ_EPOLLS; k++)
			p->mem->watch[e][k].asleep = 1;
	for (unsigned k = 0; k < GZ_LANES; k++)
		p->slot[k][0] = p->slot[k][1] = GZ_SLOTS;
	memset(p->quiet, QUIET_CLEAN, sizeof(p->quiet));
	p->plane[0] = a;
	p->plane[1] = b;
	p->window[0] = wa;
	p->window[1] = wb;
	set_window(a, wa, p, a == b ? 3 : 1);
	if (a != b)
		set_window(b, wb, p, 2);
	return p;
}

static struct gz_pair *find_pair(struct gz_plane *a, struct gz_plane *b)
{
	for (uint32_t w = 0; w < a->windows; w++) {
		struct gz_pair *p = a->window[w];

		if (p && ((p->plane[0] == a && p->plane[1] == b) ||
			  (p->plane[0] == b && p->plane[1] == a)))
			return p;
	}
	return NULL;
}

/* Return: a lane that nobody has, or is in, or GZ_LANES */
static uint32_t free_lane(const struct gz_pair *p)
{
	for (uint32_t k = 0; k < GZ_LANES; k++)
		if (!p->sock[k][0] && is_unlocked(p->plane[0], p->slot[k][0]) &&
		    is_unlocked(p->plane[1], p->slot[k][1]))
			return k;
	return GZ_LANES;
}

/* --- to and fro ------------------------------------------------------------------- */

void gz_plane_open_tx(struct gz_sock *s)
{
	struct gz_slot *slot = slot_of(s);

	__atomic_fetch_and(&slot->tx_tail, ~GZ_RING_CLOSED, __ATOMIC_SEQ_CST);
	/* Another thread may have closed it for good meanwhile. */
	if (__atomic_load_n(&slot->tx_plane, __ATOMIC_SEQ_CST) != GZ_PLANE_RING)
		__atomic_fetch_or(&slot->tx_tail, GZ_RING_CLOSED, __ATOMIC_SEQ_CST);
}

static bool may_have_lane(struct gz_sock *s)
{
	struct gz_slot *slot = slot_of(s);
	uint32_t used;

	return !s->ring.pair && !s->client->plane->no_lanes && !slot->no_lane &&
	       slot->tx_plane == GZ_PLANE_RING && slot->rx_plane == GZ_PLANE_RING &&
	       gz_plane_rx_used(s, &used) && !used;
}

static void give_lane(struct gz_sock *s, struct gz_pair *p, uint32_t lane, uint32_t e)
{
	/* Somebody may sleep: the first bytes find out. */
	p->mem->lane[lane][e] = (struct gz_lane_end){.call = 1};
	pthread_mutex_lock(&s->client->plane->lock);
	s->ring.pair = p;
	s->ring.lane = (uint16_t)lane;
	s->ring.end = (uint8_t)e;
	s->ring.lane_counted = s->ring.lane_counted_rx = s->ring.lane_told = 0;
	pthread_mutex_unlock(&s->client->plane->lock);
	p->quiet[lane] = 0;
	p->sock[lane][e] = s;
	p->slot[lane][e] = (uint16_t)s->ring.i;
	__atomic_store_n(&s->client->plane->sh->lane_slot[p->window[e]][e][lane],
			 (uint16_t)s->ring.i, __ATOMIC_SEQ_CST);
}

/* Close the slot's tx ring: what is there goes first.  Return: false, that cannot be */
static bool bring(struct gz_sock *s)
{
	struct gz_slot *slot = slot_of(s);
	uint64_t tail = __atomic_fetch_or(&slot->tx_tail, GZ_RING_CLOSED, __ATOMIC_SEQ_CST);
	uint64_t n = (tail & ~GZ_RING_CLOSED) - s->ring.tx_head;

	if (n > GZ_SLOT_RING)
		return false;
	gz_bytes_copy(gz_lane_data(s->ring.pair->mem, s->ring.lane, s->ring.end), GZ_LANE_RING, 0,
		      gz_slot_tx(s->client->plane->sh, (uint32_t)s->ring.i), GZ_SLOT_RING,
		      s->ring.tx_head, n);
	__atomic_store_n(&end_of(s)->tail, n, __ATOMIC_SEQ_CST);
	end_of(s)->at = n ? rte_rdtsc() : 0;
	s->ring.tx_head += n;
	s->ring.lane_told = n; /* of what comes from now on the worker is told */
	__atomic_store_n(&slot->tx_head, s->ring.tx_head, __ATOMIC_SEQ_CST);
	return true;
}

static void name_lane(struct gz_sock *s)
{
	struct gz_slot *slot = slot_of(s);
	uint32_t none = 0, watch;

	__atomic_store_n(&slot->lane,
			 gz_lane_word(s->ring.pair->window[s->ring.end], s->ring.end, s->ring.lane),
			 __ATOMIC_SEQ_CST);
	/* An agent that changes it from here on sees the lane. */
	watch = __atomic_load_n(&slot->watch, __ATOMIC_SEQ_CST);
	__atomic_compare_exchange_n(&end_of(s)->watch, &none, watch, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_RELAXED);
}

bool gz_lane_begin(struct gz_sock *a, struct gz_sock *b)
{
	struct gz_plane *pa = a->client->plane, *pb = b->client->plane;
	struct gz_sock *const both[2] = {a, b};
	struct gz_pair *p;
	uint32_t lane, ea;

	if (!may_have_lane(a) || !may_have_lane(b))
		return false;
	pthread_mutex_lock(&gz_lanes);
	p = find_pair(pa, pb);
	if (!p)
		p = new_pair(pa, pb);
	if (!p || (lane = free_lane(p)) == GZ_LANES) {
		pthread_mutex_unlock(&gz_lanes);
		return false;
	}
	ea = p->plane[0] == pa ? 0 : 1;
	give_lane(a, p, lane, ea);
	give_lane(b, p, lane, !ea);
	pthread_mutex_unlock(&gz_lanes);
	gz_count(GZ_C_RING_LANES);
	if (!bring(a) || !bring(b)) {
		gz_lane_end(a);
		gz_plane_broken(a);
		gz_plane_broken(b);
		return true;
	}
	name_lane(a);
	name_lane(b);
	for (int i = 0; i < 2; i++) {
		atomic_store_explicit(&both[i]->info.cpu, sched_getcpu() + 1, memory_order_relaxed);
		/* Who waits for room has it, or hears of it. */
		gz_plane_room_made(both[i]);
		/* Who sent just now may not have seen the other end's epoll. */
		if (position(&end_of(both[!i])->tail))
			gz_plane_tell(both[i]);
	}
	return true;
}

/* What the other end has taken of it since that was counted last */
static uint64_t taken_since(const struct gz_sock *s)
{
	return position(&other_end(s)->head) - s->ring.lane_counted;
}

/* When it sent last, ns; 0: never */
static uint64_t sent_at(const struct gz_lane_end *e)
{
	uint64_t at = __atomic_load_n(&e->at, __ATOMIC_RELAXED), now = gz_now_ns();
	uint64_t ago = (rte_rdtsc() - at) / (rte_get_tsc_hz() / 1000000) * 1000;

	return at && ago < now ? now - ago : 0;
}

/* And @unread bytes, which are where @to finds them */
static void count(struct gz_sock *s, struct gz_sock *to, uint64_t unread)
{
	uint64_t n = taken_since(s) + unread;

	s->ring.lane_counted += n;
	to->ring.lane_counted_rx += n;
	if (n > COUNT_MAX)
		return; /* a program wrote that */
	gz_join_count(s, to, n, sent_at(end_of(s)));
}

/* The word of the epoll that @s is in where its lane has @bit, or NULL */
static uint64_t *ready_word(const struct gz_sock *s, uint64_t *bit)
{
	uint32_t watch = __atomic_load_n(&end_of(s)->watch, __ATOMIC_SEQ_CST) - 1;

	*bit = 1ULL << s->ring.lane % 64;
	return watch < GZ_EPOLLS
		   ? &s->ring.pair->mem->watch[s->ring.end][watch].ready[s->ring.lane / 64]
		   : NULL;
}

/* Is its epoll to look at it, and has not done so yet? */
static bool is_pending(struct gz_sock *s)
{
	uint64_t bit, *word = ready_word(s, &bit);

	return word && __atomic_load_n(word, __ATOMIC_SEQ_CST) & bit && !gz_plane_is_eager(s);
}

/*
 * What the one has sent wakes who sleeps on the other: once, for it may be an edge.  But
 * who sleeps in an epoll looked for the bit, which comes after the bytes: it is woken for that.
 */
static void wake_for(struct gz_sock *from, struct gz_sock *to)
{
	uint64_t tail = position(&end_of(from)->tail);

	if (tail == from->ring.lane_told && !is_pending(to))
		return;
	from->ring.lane_told = tail;
	/* Who was faster needs no token, and would find nothing to read by it. */
	if (tail != position(&end_of(to)->head))
		gz_plane_wake(to);
}

/* Is an agent of its at sending, whose bytes may be there already, and their bit not? */
static bool is_sending(const struct gz_sock *s)
{
	return __atomic_load_n(&slot_of(s)->tx_lock, __ATOMIC_SEQ_CST);
}

/*
 * The lane of both was closed: what the epoll of @to was to look at there it is to look at in
 * the slot.  Who sends, and has not set the bit yet, will set one that tells nobody.  As ever
 * the mark comes before the token: who wakes looks for it.
 *
 * Who is about to sleep may still look at the lane, which is another one's by then, and find
 * nothing: it gets a token for what is unread, whoever was woken for it before.
 */
static void pass_edge(struct gz_sock *from, struct gz_sock *to)
{
	uint64_t bit, *word = ready_word(to, &bit);
	bool unread = position(&end_of(from)->tail) != position(&end_of(to)->head);
	bool pending = is_pending(to);

	if ((word && __atomic_fetch_and(word, ~bit, __ATOMIC_SEQ_CST) & bit) ||
	    (unread && is_sending(from)))
		gz_plane_mark_ready(to);
	if (unread || pending)
		gz_plane_wake(to);
}

/* @n bytes of the lane's at @pos, which is moved on, behind what is in an engine's ring */
static void to_ring(struct gz_ring *r, const uint8_t *data, uint64_t *pos, uint64_t n)
{
	while (n) {
		uint64_t at = *pos & (GZ_LANE_RING - 1), part = GZ_LANE_RING - at;

		part = part < n ? part : n;
		gz_ring_put(r, data + at, (uint32_t)part);
		*pos += part;
		n -= part;
	}
}

/*
 * @n bytes that @to has not read, at position @pos.  *@unread: those that it has in its rings
 * Return: false, they have no room
 */
static bool move_back(struct gz_sock *from, struct gz_sock *to, uint64_t pos, uint64_t n,
		      uint64_t *unread)
{
	struct gz_pair *p = from->ring.pair;
	const uint8_t *data = gz_lane_data(p->mem, from->ring.lane, from->ring.end);
	uint8_t *rx = gz_slot_rx(to->client->plane->sh, (uint32_t)to->ring.i);
	uint8_t *tx = gz_slot_tx(from->client->plane->sh, (uint32_t)from->ring.i);
	uint64_t used = to->ring.rx_tail - position(&slot_of(to)->rx_head), first, more, rest;

	*unread = 0;
	if (n > GZ_LANE_ROOM || used > GZ_SLOT_RING)
		return false;
	first = n < GZ_SLOT_RING - used ? n : GZ_SLOT_RING - used;
	more = n - first < GZ_RX_RING ? n - first : GZ_RX_RING;
	rest = n - first - more;
	if (rest > GZ_SLOT_RING)
		return false;
	pos -= __atomic_load_n(&end_of(from)->base, __ATOMIC_RELAXED);
	gz_bytes_copy(rx, GZ_SLOT_RING, to->ring.rx_tail, data, GZ_LANE_RING, pos, first);
	to->ring.rx_tail += first;
	__atomic_store_n(&slot_of(to)->rx_tail, to->ring.rx_tail, __ATOMIC_SEQ_CST);
	pos += first;
	*unread = first;
	if (more && gz_window_beside(to, (uint32_t)more)) {
		to_ring(&to->rx, data, &pos, more);
		to->ring.rx_past += (uint32_t)more;
		*unread += more;
	} else if (more) {
		/* TCP carries them: its window has no room for more than it has given. */
		if (gz_ring_used(&from->tx) || !gz_ring_ready(&from->tx, GZ_TX_RING))
			return false;
		to_ring(&from->tx, data, &pos, more);
	}
	gz_bytes_copy(tx, GZ_SLOT_RING, from->ring.tx_head, data, GZ_LANE_RING, pos, rest);
	__atomic_store_n(&slot_of(from)->tx_tail, (from->ring.tx_head + rest) | GZ_RING_CLOSED,
			 __ATOMIC_SEQ_CST);
	return true;
}

static void close_end(struct gz_lane_end *e)
{
	__atomic_fetch_or(&e->tail, GZ_RING_CLOSED, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&e->head, GZ_RING_CLOSED, __ATOMIC_SEQ_CST);
}

static void take_lane(struct gz_sock *s)
{
	pthread_mutex_lock(&s->client->plane->lock);
	s->ring.pair = NULL;
	pthread_mutex_unlock(&s->client->plane->lock);
	__atomic_store_n(&slot_of(s)->lane, 0, __ATOMIC_SEQ_CST);
	gz_plane_open_tx(s);
}

void gz_lane_ring_bells(void)
{
	struct gz_worker *w = &gz_worker;

	while (w->nbells) {
		struct gz_late_bell *l = &w->bells[--w->nbells];

		gz_plane_ring_bell(l->bell);
		atomic_fetch_sub(&l->pair->bells, 1);
	}
}

/*
 * Who dozes at a lane that was taken away is to look elsewhere.  What it was taken away for, an
 * end of file say, is told in the same round mostly: who is woken after that wakes once.
 */
static void ring_later(struct gz_pair *p, struct gz_bell *b)
{
	struct gz_worker *w = &gz_worker;

	/* Who comes from now on finds no lane. */
	if (!__atomic_load_n(&b->wanted, __ATOMIC_SEQ_CST)) {
		atomic_fetch_sub(&p->bells, 1);
		return;
	}
	if (w->nbells == sizeof(w->bells) / sizeof(w->bells[0]))
		gz_lane_ring_bells();
	w->bells[w->nbells++] = (struct gz_late_bell){p, b};
}

void gz_lane_end(struct gz_sock *s)
{
	struct gz_pair *p = s->ring.pair;
	struct gz_lane_end *e, *f;
	uint64_t unread, unread_too = 0;
	struct gz_sock *o;
	bool good;

	if (!p)
		return;
	o = p->sock[s->ring.lane][!s->ring.end];
	e = end_of(s);
	f = end_of(o);
	close_end(e);
	close_end(f);
	good =
	    move_back(s, o, position(&f->head), position(&e->tail) - position(&f->head), &unread) &&
	    move_back(o, s, position(&e->head), position(&f->tail) - position(&e->head),
		      &unread_too);
	count(s, o, unread);
	count(o, s, unread_too);
	pass_edge(s, o);
	pass_edge(o, s);
	take_lane(s);
	take_lane(o);
	/* Another worker may give it out from here on: no slot names it any more. */
	pthread_mutex_lock(&gz_lanes);
	atomic_fetch_add(&p->bells, 2); /* or another worker might free it */
	p->sock[s->ring.lane][0] = p->sock[s->ring.lane][1] = NULL;
	pthread_mutex_unlock(&gz_lanes);
	ring_later(p, &e->bell);
	ring_later(p, &f->bell);
	if (!good) {
		gz_plane_broken(s);
		gz_plane_broken(o);
		return;
	}
	gz_plane_wake_senders(s);
	gz_plane_wake_senders(o);
	gz_worker_dirty(&gz_worker, s);
	gz_worker_dirty(&gz_worker, o);
}

static bool has_room(const struct gz_sock *s)
{
	return position(&end_of(s)->tail) - position(&other_end(s)->head) <=
	       GZ_LANE_ROOM - GZ_SLOT_WRITABLE;
}

bool gz_lane_has_room(struct gz_sock *s)
{
	if (has_room(s))
		return true;
	/* Who told of room was late, and has cleared the word of one who waits since. */
	__atomic_fetch_or(&end_of(s)->full, GZ_FULL_TELL, __ATOMIC_SEQ_CST);
	return has_room(s);
}

/* Nobody may sleep in the epoll that @s is in: who sends is to know. */
static void settle_watch(struct gz_sock *s)
{
	struct gz_pair *p = s->ring.pair;
	uint32_t watch = __atomic_load_n(&slot_of(s)->watch, __ATOMIC_SEQ_CST) - 1, e = s->ring.end;
	struct gz_lane_watch *w;

	if (watch >= GZ_EPOLLS)
		return;
	w = &p->mem->watch[e][watch];
	if (!gz_lane_settle_watch(&s->client->plane->sh->epoll[watch], w))
		return;
	/* Other workers' too: as long as they have a lane they are connected. */
	pthread_mutex_lock(&gz_lanes);
	for (uint32_t k = 0; k < GZ_LANES; k++)
		if (p->sock[k][e] &&
		    __atomic_load_n(&w->ready[k / 64], __ATOMIC_SEQ_CST) & 1ULL << k % 64)
			gz_plane_wake(p->sock[k][e]);
	pthread_mutex_unlock(&gz_lanes);
}

void gz_lane_poll(struct gz_sock *s)
{
	struct gz_sock *o = s->ring.pair->sock[s->ring.lane][!s->ring.end];

	wake_for(s, o);
	gz_plane_room_made(o);
	if (gz_lane_settle(slot_of(o), end_of(o)) &&
	    position(&end_of(s)->tail) != position(&end_of(o)->head))
		gz_plane_wake(o);
	settle_watch(o);
}

void gz_lane_ring_bell(struct gz_sock *s)
{
	if (s->ring.pair)
		gz_plane_ring_bell(&end_of(s)->bell);
}

void gz_lane_ring_epoll(struct gz_plane *p, uint32_t k)
{
	pthread_mutex_lock(&gz_lanes);
	for (uint32_t w = 0; w < p->windows; w++)
		for (unsigned e = 0; p->window[w] && e < 2; e++)
			if (p->window[w]->plane[e] == p)
				gz_plane_ring_bell(&p->window[w]->mem->watch[e][k].bell);
	pthread_mutex_unlock(&gz_lanes);
}

/* A free lane's pages go back to the kernel; nobody is in there.  Return: it had some */
static bool clean(struct gz_pair *p, uint32_t lane)
{
	if (p->quiet[lane] == QUIET_CLEAN || p->quiet[lane]++ < QUIET_FREE ||
	    !is_unlocked(p->plane[0], p->slot[lane][0]) ||
	    !is_unlocked(p->plane[1], p->slot[lane][1]))
		return false;
	p->quiet[lane] = QUIET_CLEAN;
	madvise(gz_lane_data(p->mem, lane, 0), 2 * GZ_LANE_RING, MADV_REMOVE);
	return true;
}

/* @fn for one end of each lane between this worker's sockets, unlocked */
static void each_lane(struct gz_plane *p, void (*fn)(struct gz_sock *))
{
	for (uint32_t w = 0; w < GZ_WINDOWS; w++)
		for (uint32_t k = 0; k < GZ_LANES; k++) {
			struct gz_pair *pair;
			struct gz_sock *s = NULL;

			pthread_mutex_lock(&gz_lanes);
			pair = w < p->windows ? p->window[w] : NULL;
			if (pair)
				s = pair->sock[k][0];
			if (s && s->worker != &gz_worker)
				s = NULL;
			pthread_mutex_unlock(&gz_lanes);
			if (!pair)
				break;
			if (s)
				fn(s);
		}
}

/* One that was filled and is not used any more is taken away; the next bytes get another one. */
static void rest(struct gz_sock *s)
{
	struct gz_pair *p = s->ring.pair;
	uint32_t lane = s->ring.lane;
	struct gz_sock *o = p->sock[lane][!s->ring.end];

	p->quiet[lane] = taken_since(s) || taken_since(o) ? 0 : p->quiet[lane] + 1;
	count(s, o, 0);
	count(o, s, 0);
	if (p->quiet[lane] < QUIET_IDLE)
		return;
	p->quiet[lane] = 0;
	if (s->ring.lane_counted + o->ring.lane_counted >= WORTH)
		gz_lane_end(s);
}

void gz_lane_look(struct gz_plane *p)
{
	unsigned cleaned = 0;

	each_lane(p, rest);
	pthread_mutex_lock(&gz_lanes);
	for (uint32_t w = 0; w < p->windows; w++)
		for (uint32_t k = 0; p->window[w] && k < GZ_LANES; k++)
			if (!p->window[w]->sock[k][0] && cleaned < CLEAN_MAX)
				cleaned += clean(p->window[w], k);
	pthread_mutex_unlock(&gz_lanes);
}

/* Any thread: all epolls of the client's have a sleeper from now on. */
void gz_lane_loud(struct gz_plane *p)
{
	pthread_mutex_lock(&p->lock);
	for (uint32_t w = 0; w < GZ_WINDOWS; w++)
		for (unsigned e = 0; p->window[w] && e < 2; e++)
			for (unsigned k = 0; p->window[w]->plane[e] == p && k < GZ_EPOLLS; k++)
				__atomic_store_n(&p->window[w]->mem->watch[e][k].asleep, 1,
						 __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&p->lock);
}

static bool is_unused(const struct gz_pair *p)
{
	for (uint32_t k = 0; k < GZ_LANES; k++)
		if (p->sock[k][0])
			return false;
	return !atomic_load(&p->bells);
}

void gz_lane_no_more(struct gz_plane *p)
{
	p->no_lanes = true;
	each_lane(p, gz_lane_end);
	gz_lane_ring_bells();
	/* Whose lanes were the last */
	pthread_mutex_lock(&gz_lanes);
	for (uint32_t w = 0; w < p->windows; w++) {
		struct gz_pair *pair = p->window[w];

		if (!pair || !is_unused(pair))
			continue;
		for (unsigned e = 0; e < 2; e++)
			set_window(pair->plane[e], pair->window[e], NULL, 0);
		free_pair(pair);
	}
	pthread_mutex_unlock(&gz_lanes);
}

/* --- any thread --------------------------------------------------------------------- */

/* Bytes on their way from @s, or to it */
static uint32_t on_the_way(struct gz_sock *s, bool to)
{
	pthread_mutex_t *lock = &s->client->plane->lock;
	const struct gz_lane_end *e, *f;
	uint64_t n = 0;

	pthread_mutex_lock(lock);
	if (s->ring.pair) {
		e = end_of(s);
		f = other_end(s);
		n = to ? position(&f->tail) - position(&e->head)
		       : position(&e->tail) - position(&f->head);
	}
	pthread_mutex_unlock(lock);
	return n <= GZ_LANE_ROOM ? (uint32_t)n : 0;
}

uint32_t gz_lane_unread(struct gz_sock *s)
{
	return on_the_way(s, true);
}

uint32_t gz_lane_unsent(struct gz_sock *s)
{
	uint32_t n = on_the_way(s, false);

	return n > GZ_SLOT_RING + GZ_RX_RING ? n - GZ_SLOT_RING - GZ_RX_RING : 0;
}

struct gz_lane_news gz_lane_news(struct gz_sock *s)
{
	pthread_mutex_t *lock = &s->client->plane->lock;
	struct gz_lane_news n = {0};

	pthread_mutex_lock(lock);
	if (s->ring.pair) {
		n.tx = position(&end_of(s)->tail) - s->ring.lane_counted;
		n.rx = position(&other_end(s)->tail) - s->ring.lane_counted_rx;
		n.tx_at = sent_at(end_of(s));
		n.rx_at = sent_at(other_end(s));
	}
	pthread_mutex_unlock(lock);
	return n;
}

/* --- service threads ------------------------------------------------------------------ */

int64_t gz_lane_asked(struct gz_call_ctx *c)
{
	struct gz_plane *p = c->sv->client->plane;
	uint32_t what = (uint32_t)c->args[2];
	int64_t r;
	int fd = -1;

	if (what == GZ_ASK_REFUSE) {
		gz_plane_no_lanes(c->sv->client);
		return 0;
	}
	if (what >= GZ_WINDOWS)
		return -EINVAL;
	pthread_mutex_lock(&p->lock);
	if (p->window[what])
		fd = fcntl(p->window[what]->memfd, F_DUPFD_CLOEXEC, 0);
	pthread_mutex_unlock(&p->lock);
	if (fd < 0)
		return -ENOENT;
	r = gz_service_add_fd(c, fd, true);
	close(fd);
	return r;
}

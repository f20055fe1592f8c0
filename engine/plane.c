/* SPDX-License-Identifier: BSD-3-Clause
 *
 * plane.c - The plane of rings: bytes through memory that a client shares
 *
 * Theory of operation.  The worker moves bytes between a socket's own rings, which
 * lwIP knows, and those of its slot, where the relay would move them to and from
 * the engine's end of the shadow.  All else stays with the shadow: end of file,
 * reset, last close, and readiness for whoever is not the agent.  Who is about to
 * sleep natively says so (want, or sleepers of an epoll), and then a token byte comes
 * with the bytes:
 *
 *	worker				agent that emptied the ring
 *	rx_tail += ...			take the token word, n
 *	add 1 to the token word,	the ring is empty still: read n bytes
 *	and send a byte			else: add n again
 *
 * An agent tells of what it has done by its slot's bit in dirty[], and, if the
 * worker sleeps, by a byte that it sends through the shadow (the bell).
 *
 * Leaving.  Whatever cannot go on in the rings leads here: an unpatched site, a
 * program without agent, a full ring, a descriptor that is passed on.  Both rings are
 * closed, by a bit in the words that agents commit with: what was committed is
 * exact.  An agent that is about to read a token or to send a bell holds a lock of the
 * slot; so the locks are waited for, for LEAVE_NS at most, because their holder may
 * have been killed.  Then tokens and bells are thrown away, what is in the rx ring is
 * sent into the shadow, and only then may anybody use it natively.
 *
 * Nothing that is read from the slot is believed: a position that cannot be resets
 * the connection (broken()), the bytes are copied before anything looks at them.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "engine/client.h"
#include "engine/counters.h"
#include "engine/lane.h"
#include "engine/log.h"
#include "engine/plane_inner.h"
#include "engine/worker.h"

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* Linux 6.9 */
#endif

#define APP_SPIN_US 200 /* a program, before it sleeps */
#define LEAVE_NS 100000000ull
#define FADE_NS 20000000ull
#define LANES_NS 1000000000ull /* what went by them is counted so often */
#define LOOK_NS 200000ull      /* until something of these is due */

/* --- slots ------------------------------------------------------------------ */

struct gz_plane *gz_plane_new(int broker)
{
	const int seals = F_ADD_SEALS;
	struct gz_plane *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->broker = broker;
	p->old_broker = -1;
	p->memfd = memfd_create("gazelle-rings", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	/* Its size is fixed, or a program could make us fault. */
	if (p->memfd < 0 || ftruncate(p->memfd, (off_t)GZ_SHARED_SIZE) < 0 ||
	    fcntl(p->memfd, seals, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		goto fail;
	p->sh = mmap(NULL, GZ_SHARED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, p->memfd, 0);
	if (p->sh == MAP_FAILED)
		goto fail;
	p->sh->magic = GZ_AGENT_MAGIC;
	p->sh->version = GZ_AGENT_VERSION;
	p->sh->slots = GZ_SLOTS;
	p->sh->mhz = (uint32_t)(rte_get_tsc_hz() / 1000000);
	p->sh->spin = APP_SPIN_US * p->sh->mhz;
	p->epoch = p->sh->epoch = 1;
	for (int i = GZ_SLOTS - 1; i >= 0; i--)
		p->free[p->nfree++] = (uint16_t)i;
	pthread_mutex_init(&p->lock, NULL);
	return p;
fail:
	gz_warn("no shared memory for a client: %s", strerror(errno));
	if (p->memfd >= 0)
		close(p->memfd);
	free(p);
	return NULL;
}

void gz_plane_free(struct gz_plane *p)
{
	if (!p)
		return;
	munmap(p->sh, GZ_SHARED_SIZE);
	close(p->memfd);
	if (p->broker >= 0)
		close(p->broker);
	if (p->old_broker >= 0)
		close(p->old_broker);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void gz_plane_no_more(struct gz_plane *p)
{
	pthread_mutex_lock(&p->lock);
	p->no_more = true;
	pthread_mutex_unlock(&p->lock);
}

bool gz_plane_has(const struct gz_options *o)
{
	return !o->sndbuf_set && !o->rcvbuf_set && o->rcvlowat <= 1 && !o->notsent_lowat &&
	       !gz_arrival_tells(o);
}

static bool is_time(const struct timeval *t)
{
	return t->tv_sec || t->tv_usec;
}

static uint32_t timed(const struct gz_options *o)
{
	return (is_time(&o->sndtimeo) ? GZ_TIMED_SEND : 0) |
	       (is_time(&o->rcvtimeo) ? GZ_TIMED_RECV : 0);
}

static bool may_ring(const struct gz_sock *s)
{
	return s->client->plane && s->type == SOCK_STREAM && s->ring.i < 0 &&
	       !atomic_load(&s->no_ring) && gz_plane_has(&s->opt);
}

/* Slots whose bit is in one word of dirty[] are one worker's. */
static bool is_of(uint32_t slot, unsigned worker)
{
	return slot / 64 % gz_nworkers == worker;
}

/* Locked.  Return: a slot of @worker's, or GZ_SLOTS */
static uint32_t take_slot(struct gz_plane *p, unsigned worker)
{
	for (uint32_t k = p->nfree; k--;) {
		uint32_t i = p->free[k];

		if (!is_of(i, worker))
			continue;
		memmove(&p->free[k], &p->free[k + 1], (p->nfree - k - 1) * sizeof(p->free[0]));
		p->nfree--;
		return i;
	}
	return GZ_SLOTS;
}

void gz_plane_give(struct gz_sock *s, bool sending, bool nonblock)
{
	struct gz_plane *p = s->client->plane;
	struct gz_slot *slot;
	uint32_t i;

	if (!may_ring(s)) {
		gz_off_sock(s, GZ_OFF_OPTION);
		return;
	}
	pthread_mutex_lock(&p->lock);
	if (p->no_more) {
		pthread_mutex_unlock(&p->lock);
		gz_off_sock(s, GZ_OFF_SANDBOX);
		return;
	}
	i = take_slot(p, gz_worker_of(s)->index);
	if (i == GZ_SLOTS) {
		pthread_mutex_unlock(&p->lock);
		gz_off_sock(s, GZ_OFF_NO_SLOT);
		gz_count(GZ_C_RING_NO_SLOT);
		return;
	}
	p->gen[i] += 1; /* odd */
	slot = &p->sh->slot[i];
	memset(slot, 0, sizeof(*slot));
	slot->rx_plane = GZ_PLANE_RING;
	slot->tx_plane = sending ? GZ_PLANE_RING : GZ_PLANE_TRAP;
	slot->news = sending ? 0 : GZ_NEWS_CONNECTING;
	slot->nonblock = nonblock;
	slot->watch = atomic_load(&s->ring.loud) ? GZ_WATCH_LOUD : 0;
	slot->timed = timed(&s->opt);
	s->ring.i = (int)i;
	atomic_store(&s->ring.plane, GZ_PLANE_RING);
	__atomic_store_n(&slot->gen, p->gen[i], __ATOMIC_RELEASE);
	__atomic_store_n(&p->sh->ino[i], s->ino, __ATOMIC_RELEASE);
	if (i >= __atomic_load_n(&p->sh->used, __ATOMIC_RELAXED))
		__atomic_store_n(&p->sh->used, i + 1, __ATOMIC_RELEASE);
	__atomic_store_n(&p->sh->epoch, ++p->epoch, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&p->lock);
	gz_count(GZ_C_RING_SOCKETS);
}

void gz_plane_drop(struct gz_sock *s)
{
	struct gz_plane *p = s->client->plane;
	uint32_t i = (uint32_t)s->ring.i;

	if (s->ring.i < 0)
		return;
	pthread_mutex_lock(&p->lock);
	__atomic_store_n(&p->sh->ino[i], 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&p->sh->slot[i].gen, ++p->gen[i], __ATOMIC_SEQ_CST);
	p->free[p->nfree++] = (uint16_t)i;
	pthread_mutex_unlock(&p->lock);
	s->ring.i = -1;
}

void gz_plane_renumber(struct gz_sock *s)
{
	struct gz_plane *p = s->client->plane;
	uint32_t i = (uint32_t)s->ring.i;

	if (s->ring.i < 0)
		return;
	pthread_mutex_lock(&p->lock);
	p->gen[i] += 2;
	__atomic_store_n(&p->sh->slot[i].gen, p->gen[i], __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&p->lock);
}

void gz_plane_seen(struct gz_sock *s, pid_t tid, int fd)
{
	atomic_store(&s->ring.seen_fd, fd);
	atomic_store(&s->ring.seen_tid, tid);
}

void gz_plane_set_nonblock(struct gz_sock *s, bool on)
{
	if (s->ring.i >= 0)
		__atomic_store_n(&slot_of(s)->nonblock, on, __ATOMIC_SEQ_CST);
}

void gz_plane_set_timed(struct gz_sock *s)
{
	if (s->ring.i >= 0)
		__atomic_store_n(&slot_of(s)->timed, timed(&s->opt), __ATOMIC_SEQ_CST);
}

bool gz_plane_take_options(struct gz_sock *s)
{
	static const struct {
		int level, name;
	} of[GZ_SETS] = {
	    [GZ_SET_NODELAY] = {IPPROTO_TCP, TCP_NODELAY},
	    [GZ_SET_KEEPALIVE] = {SOL_SOCKET, SO_KEEPALIVE},
	    [GZ_SET_KEEPIDLE] = {IPPROTO_TCP, TCP_KEEPIDLE},
	    [GZ_SET_KEEPINTVL] = {IPPROTO_TCP, TCP_KEEPINTVL},
	    [GZ_SET_KEEPCNT] = {IPPROTO_TCP, TCP_KEEPCNT},
	};
	struct gz_slot *slot;
	uint32_t bits;

	if (s->ring.i < 0)
		return false;
	slot = slot_of(s);
	if (!__atomic_load_n(&slot->set, __ATOMIC_SEQ_CST))
		return false;
	bits = __atomic_exchange_n(&slot->set, 0, __ATOMIC_SEQ_CST);
	for (unsigned k = 0; k < GZ_SETS; k++) {
		int v = __atomic_load_n(&slot->option[k], __ATOMIC_RELAXED);

		/* One that cannot be is nobody's but the program's fault. */
		if (bits & 1U << k)
			gz_option_set(s, -1, 0, of[k].level, of[k].name, &v, sizeof(v));
	}
	return true;
}

bool gz_plane_is_used(const struct gz_plane *p)
{
	return __atomic_load_n(&p->nfree, __ATOMIC_RELAXED) < GZ_SLOTS;
}

bool gz_plane_is_ring(const struct gz_sock *s)
{
	return s->ring.i >= 0 && atomic_load(&s->ring.plane) == GZ_PLANE_RING;
}

/* Return: somebody waited for room, in a send() or for readiness */
static bool wake_senders(struct gz_slot *slot)
{
	if (!__atomic_load_n(&slot->tx_want, __ATOMIC_SEQ_CST) ||
	    !__atomic_exchange_n(&slot->tx_want, 0, __ATOMIC_SEQ_CST))
		return false;
	__atomic_fetch_add(&slot->room, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &slot->room, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	return true;
}

void gz_plane_wake_senders(struct gz_sock *s)
{
	if (wake_senders(slot_of(s)))
		gz_plane_tell(s);
}

void gz_plane_stop_sending(struct gz_sock *s)
{
	struct gz_slot *slot;

	if (s->ring.i < 0)
		return;
	slot = slot_of(s);
	/* In this order: the worker may be opening the ring after a lane (open_tx()). */
	__atomic_store_n(&slot->tx_plane, GZ_PLANE_NATIVE, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&slot->tx_tail, GZ_RING_CLOSED, __ATOMIC_SEQ_CST);
	wake_senders(slot);
}

/* From @head to @tail, if that can be. */
static uint32_t between(uint64_t head, uint64_t tail)
{
	uint64_t n = (tail & ~GZ_RING_CLOSED) - (head & ~GZ_RING_CLOSED);

	return n <= GZ_SLOT_RING ? (uint32_t)n : 0;
}

uint32_t gz_plane_unread(struct gz_sock *s)
{
	struct gz_slot *slot;

	if (s->ring.i < 0)
		return 0;
	if (atomic_load(&s->ring.pair))
		return gz_lane_unread(s);
	slot = slot_of(s);
	return between(__atomic_load_n(&slot->rx_head, __ATOMIC_RELAXED),
		       __atomic_load_n(&slot->rx_tail, __ATOMIC_RELAXED));
}

uint32_t gz_plane_unseen(struct gz_sock *s)
{
	struct gz_slot *slot;

	if (s->ring.i < 0)
		return 0;
	if (atomic_load(&s->ring.pair))
		return gz_lane_unsent(s);
	slot = slot_of(s);
	return between(__atomic_load_n(&slot->tx_head, __ATOMIC_RELAXED),
		       __atomic_load_n(&slot->tx_tail, __ATOMIC_RELAXED));
}

uint32_t gz_plane_untaken(const struct gz_sock *s)
{
	return s->ring.i < 0 ? 0
			     : between(s->ring.tx_head,
				       __atomic_load_n(&slot_of(s)->tx_tail, __ATOMIC_SEQ_CST));
}

/* --- asking the worker --------------------------------------------------------- */

static void post(enum gz_op op, struct gz_sock *s, struct gz_client *c, struct gz_leave *l)
{
	struct gz_msg m = {.op = op, .sock = s, .client = c, .leave = l, .fd = -1};

	/* Without memory for a message nothing else would do. */
	while (gz_post(&m) < 0)
		usleep(1000);
}

void gz_plane_attach(struct gz_client *c)
{
	c->plane->client = c;
	for (unsigned i = 0; i < gz_nworkers; i++)
		gz_client_ref(c);
	post(GZ_OP_PLANE, NULL, c, NULL);
}

void gz_plane_detach(struct gz_client *c)
{
	post(GZ_OP_PLANE_GONE, NULL, c, NULL);
}

/* The worker is prompt; what it waits for has a deadline. */
static void ask(enum gz_op op, struct gz_sock *s, struct gz_client *c, int fd)
{
	struct gz_leave l = {.sock = s, .fd = fd};

	sem_init(&l.done, 0, 0);
	post(op, s, c, &l);
	for (unsigned n = s ? 1 : gz_nworkers; n; n--)
		while (sem_wait(&l.done) < 0 && errno == EINTR)
			;
	sem_destroy(&l.done);
}

void gz_plane_begin(struct gz_sock *s)
{
	ask(GZ_OP_BEGIN, s, NULL, -1);
}

void gz_plane_leave(struct gz_sock *s, int fd)
{
	if (gz_plane_is_ring(s))
		ask(GZ_OP_LEAVE, s, NULL, fd);
}

void gz_plane_no_lanes(struct gz_client *c)
{
	ask(GZ_OP_NO_LANES, NULL, c, -1);
}

/* --- the worker: sockets -------------------------------------------------------- */

void gz_plane_adopt(struct gz_sock *s)
{
	/* One that ended before it was accepted is the worker's no more. */
	if (s->ring.i >= 0 && s->on_worker)
		s->client->plane->owner[s->ring.i] = s;
}

static void stop_fading(struct gz_sock *s)
{
	if (!s->ring.fades || s->ring.fades == UINT64_MAX)
		return;
	LIST_REMOVE(s, ring.fading);
	s->ring.fades = UINT64_MAX; /* it was given its time */
}

void gz_plane_release(struct gz_sock *s)
{
	stop_fading(s);
	gz_join_end(s);
	if (s->ring.i >= 0 && s->client->plane->owner[s->ring.i] == s)
		s->client->plane->owner[s->ring.i] = NULL;
}

void gz_plane_room_made(struct gz_sock *s)
{
	struct gz_slot *slot = slot_of(s);
	uint64_t tail = __atomic_load_n(&slot->tx_tail, __ATOMIC_SEQ_CST) & ~GZ_RING_CLOSED;

	if (!__atomic_load_n(&slot->tx_want, __ATOMIC_SEQ_CST))
		return;
	if (s->ring.pair ? !gz_lane_has_room(s)
			 : GZ_SLOT_RING - (tail - s->ring.tx_head) < GZ_SLOT_WRITABLE)
		return;
	wake_senders(slot);
	gz_plane_tell(s);
}

void gz_plane_connected(struct gz_sock *s)
{
	if (!gz_plane_is_ring(s))
		return;
	__atomic_store_n(&slot_of(s)->tx_plane, GZ_PLANE_RING, __ATOMIC_SEQ_CST);
	__atomic_fetch_and(&slot_of(s)->news, ~(uint32_t)GZ_NEWS_CONNECTING, __ATOMIC_SEQ_CST);
	gz_plane_mark_ready(s);
}

void gz_plane_ended(struct gz_sock *s, bool over)
{
	uint32_t news = GZ_NEWS_END | (over ? GZ_NEWS_OVER : 0);

	if (s->ring.i < 0)
		return;
	/* An agent may have seen the shadow first. */
	if (news & ~__atomic_fetch_or(&slot_of(s)->news, news, __ATOMIC_SEQ_CST))
		gz_plane_mark_ready(s);
}

static void go_native(struct gz_sock *s)
{
	struct gz_slot *slot = slot_of(s);

	gz_join_end(s);
	atomic_store(&s->ring.plane, GZ_PLANE_NATIVE);
	if (!atomic_load(&s->ring.orphan))
		__atomic_store_n(&slot->rx_plane, GZ_PLANE_NATIVE, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->tx_plane, GZ_PLANE_NATIVE, __ATOMIC_SEQ_CST);
	wake_senders(slot);
	gz_plane_mark_ready(s);
}

static void close_rings(struct gz_sock *s)
{
	struct gz_slot *slot = slot_of(s);

	gz_lane_end(s);
	__atomic_fetch_or(&slot->tx_tail, GZ_RING_CLOSED, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&slot->rx_head, GZ_RING_CLOSED, __ATOMIC_SEQ_CST);
	wake_senders(slot);
}

void gz_plane_failed(struct gz_sock *s)
{
	if (s->ring.i < 0)
		return;
	close_rings(s);
	go_native(s);
}

/* The slot says what cannot be. */
void gz_plane_broken(struct gz_sock *s)
{
	gz_count(GZ_C_RING_BROKEN);
	gz_off_sock(s, GZ_OFF_BROKEN);
	gz_debug("socket %lu: its ring is broken", (unsigned long)s->id);
	close_rings(s);
	s->ring.rx_tail = __atomic_load_n(&slot_of(s)->rx_head, __ATOMIC_RELAXED) & ~GZ_RING_CLOSED;
	s->ring.tx_head = __atomic_load_n(&slot_of(s)->tx_tail, __ATOMIC_RELAXED) & ~GZ_RING_CLOSED;
	go_native(s);
	s->reset = true;
	atomic_store(&s->error, ECONNRESET);
	gz_stack_abort(s);
}

/* Bytes that the program has not read.  Return: false, it is broken */
bool gz_plane_rx_used(struct gz_sock *s, uint32_t *used)
{
	uint64_t head = __atomic_load_n(&slot_of(s)->rx_head, __ATOMIC_SEQ_CST) & ~GZ_RING_CLOSED;

	if (s->ring.rx_tail - head > GZ_SLOT_RING) {
		gz_plane_broken(s);
		return false;
	}
	*used = (uint32_t)(s->ring.rx_tail - head);
	return true;
}

/* As much as there is room for.  Return: bytes, or -1: broken */
static int64_t fill_ring(struct gz_sock *s)
{
	uint8_t *ring = gz_slot_rx(s->client->plane->sh, (uint32_t)s->ring.i);
	uint32_t used, done = 0;
	struct iovec v[2];

	while (gz_ring_iov(&s->rx, s->rx.head, gz_ring_used(&s->rx), v)) {
		uint32_t at = s->ring.rx_tail % GZ_SLOT_RING, n = GZ_SLOT_RING - at;

		if (!gz_plane_rx_used(s, &used))
			return -1;
		if (n > GZ_SLOT_RING - used)
			n = GZ_SLOT_RING - used;
		if (n > v[0].iov_len)
			n = (uint32_t)v[0].iov_len;
		if (!n)
			break;
		memcpy(ring + at, v[0].iov_base, n);
		gz_ring_consume(&s->rx, n);
		s->ring.rx_tail += n;
		__atomic_store_n(&slot_of(s)->rx_tail, s->ring.rx_tail, __ATOMIC_SEQ_CST);
		done += n;
	}
	/* An agent that spins may have been faster. */
	if (done && (!gz_plane_rx_used(s, &used) || used))
		gz_plane_tell(s);
	return done;
}

/* A duplicate of the program's descriptor, if it is still where it was.  Return: -1 */
static int find_fd(const struct gz_sock *s)
{
	int pidfd = (int)syscall(SYS_pidfd_open, atomic_load(&s->ring.seen_tid), PIDFD_THREAD);
	struct stat st;
	int fd;

	if (pidfd < 0)
		return -1;
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, atomic_load(&s->ring.seen_fd), 0);
	close(pidfd);
	if (fd < 0 || (!fstat(fd, &st) && st.st_ino == s->ino))
		return fd;
	close(fd);
	return -1;
}

/*
 * The rings are closed for good: whatever is called now traps.  Who sleeps on the shadow until
 * there is room is told by nobody else.
 */
static void trap(struct gz_sock *s, struct gz_leave *l)
{
	struct gz_slot *slot = slot_of(s);

	__atomic_store_n(&slot->rx_plane, GZ_PLANE_TRAP, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->tx_plane, GZ_PLANE_TRAP, __ATOMIC_SEQ_CST);
	if (l)
		l->wakes = __atomic_load_n(&slot->want, __ATOMIC_SEQ_CST);
	gz_plane_wake(s);
}

/*
 * Urgent data has no place in a ring.  The program's next call is to find the rings
 * closed; until then the bytes wait where they are, and a token says that there are some.
 * But where the descriptor is found, the socket leaves now, and its owner sees POLLPRI.
 */
static void evict(struct gz_sock *s)
{
	struct gz_leave *l;

	if (s->ring.evicted)
		return;
	s->ring.evicted = true;
	gz_off_sock(s, s->urgent.rx_here ? GZ_OFF_URGENT : GZ_OFF_AGENT);
	l = calloc(1, sizeof(*l));
	if (l)
		*l = (struct gz_leave){
		    .sock = s, .own = true, .fd = find_fd(s), .deadline = gz_worker.now + LEAVE_NS};
	close_rings(s);
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
		evict(s);
}

uint32_t gz_plane_to_app(struct gz_sock *s)
{
	struct gz_slot *slot = slot_of(s);
	uint32_t sum = 0;

	if (s->urgent.rx_here || __atomic_load_n(&slot->leave, __ATOMIC_RELAXED))
		evict(s);
	if (s->ring.evicted)
		return 0;

	for (;;) {
		int64_t n = fill_ring(s);
		bool full = n >= 0 && gz_ring_used(&s->rx) != 0;

		if (n > 0)
			sum += (uint32_t)n;
		if (full == s->ring.rx_full)
			break;
		/* Whoever makes room from here on tells; once more for who did just before. */
		s->ring.rx_full = full;
		__atomic_store_n(&slot->rx_full, full, __ATOMIC_SEQ_CST);
		if (!full)
			break;
	}
	if (s->ring.joined)
		gz_join_move(s->ring.joined);
	gz_plane_poked(s);
	gz_add(GZ_C_RING_RX, sum);
	return sum;
}

bool gz_plane_from_app(struct gz_sock *s, uint32_t room)
{
	const uint8_t *ring = gz_slot_tx(s->client->plane->sh, (uint32_t)s->ring.i);
	struct gz_slot *slot = slot_of(s);

	for (;;) {
		uint64_t tail = __atomic_load_n(&slot->tx_tail, __ATOMIC_SEQ_CST) & ~GZ_RING_CLOSED;
		uint32_t at = s->ring.tx_head % GZ_SLOT_RING, n = GZ_SLOT_RING - at;

		gz_plane_room_made(s);
		if (tail == s->ring.tx_head)
			return true;
		if (tail - s->ring.tx_head > GZ_SLOT_RING) {
			gz_plane_broken(s);
			return true;
		}
		if (n > tail - s->ring.tx_head)
			n = (uint32_t)(tail - s->ring.tx_head);
		if (n > room)
			n = room;
		if (!n)
			return false;
		gz_ring_put(&s->tx, ring + at, n);
		room -= n;
		s->ring.tx_head += n;
		__atomic_store_n(&slot->tx_head, s->ring.tx_head, __ATOMIC_SEQ_CST);
		gz_add(GZ_C_RING_TX, n);
	}
}

bool gz_plane_is_being_read(struct gz_sock *s)
{
	uint32_t used;

	if (!gz_plane_is_ring(s))
		return false;
	s->ring.rx_full = true;
	__atomic_store_n(&slot_of(s)->rx_full, 1, __ATOMIC_SEQ_CST);
	return gz_plane_rx_used(s, &used) && used;
}

/* Pieces of the last @n bytes of the rx ring */
static int pieces(const struct gz_sock *s, uint32_t n, struct iovec v[2])
{
	uint8_t *ring = gz_slot_rx(s->client->plane->sh, (uint32_t)s->ring.i);
	uint32_t at = (uint32_t)(s->ring.rx_tail - n) % GZ_SLOT_RING;

	v[0].iov_base = ring + at;
	v[0].iov_len = n;
	if (n <= GZ_SLOT_RING - at)
		return n ? 1 : 0;
	v[0].iov_len = GZ_SLOT_RING - at;
	v[1].iov_base = ring;
	v[1].iov_len = n - (GZ_SLOT_RING - at);
	return 2;
}

bool gz_plane_is_fading(struct gz_worker *w, struct gz_sock *s)
{
	if (s->ring.i < 0 || s->ring.fades == UINT64_MAX || !s->on_worker)
		return false;
	if (!gz_plane_is_ring(s) || !gz_plane_unread(s) ||
	    (s->ring.fades && w->now >= s->ring.fades)) {
		stop_fading(s);
		return false;
	}
	if (!s->ring.fades) {
		s->ring.fades = w->now + FADE_NS;
		LIST_INSERT_HEAD(&w->fading, s, ring.fading);
	}
	return true;
}

int gz_plane_rest(struct gz_sock *s, struct iovec v[2])
{
	uint32_t n;

	if (s->ring.i < 0 || atomic_load(&s->ring.orphan) || !gz_plane_rx_used(s, &n))
		return 0;
	return pieces(s, n, v);
}

int gz_plane_orphan(struct gz_sock *s, struct iovec v[2])
{
	if (s->ring.i < 0 || !atomic_load(&s->ring.orphan))
		return 0;
	return pieces(s, gz_plane_unread(s), v);
}

void gz_plane_orphan_taken(struct gz_sock *s, uint32_t n)
{
	gz_plane_rest_taken(s, n);
	if (!gz_plane_unread(s))
		__atomic_store_n(&slot_of(s)->rx_plane, GZ_PLANE_NATIVE, __ATOMIC_SEQ_CST);
}

void gz_plane_rest_taken(struct gz_sock *s, uint32_t n)
{
	/* Closed: the word is ours alone, unless the program is mad. */
	__atomic_fetch_add(&slot_of(s)->rx_head, n, __ATOMIC_SEQ_CST);
}

/* --- the worker: leaving --------------------------------------------------------- */

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
		if (gz_sock_state(s) != GZ_CONNECTING) {
			gz_relay_skip(s);
			s->can_read = true;
		}
		if ((s->end_fd < 0 || s->fin_passed) && gz_plane_unread(s))
			atomic_store(&s->ring.orphan, true);
		atomic_store(&s->ring.plane, GZ_PLANE_NATIVE);
		gz_relay_pump(w, s);
		go_native(s);
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
		close_rings(l->sock);
		trap(l->sock, l);
	}
	if (try_leave(w, l)) {
		finish_leave(l);
		return;
	}
	gz_sock_ref(l->sock);
	TAILQ_INSERT_TAIL(&w->leaving, l, entry);
}

static unsigned look_at_leaving(struct gz_worker *w)
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

/* What agents have set; another thread may have the lock: then in the next round */
static void take_options(struct gz_sock *s)
{
	const uint32_t i = (uint32_t)s->ring.i;
	bool any;

	if (!__atomic_load_n(&slot_of(s)->set, __ATOMIC_SEQ_CST))
		return;
	if (pthread_mutex_trylock(&s->lock)) {
		__atomic_fetch_or(&s->client->plane->sh->dirty[i / 64], 1ULL << i % 64,
				  __ATOMIC_SEQ_CST);
		return;
	}
	any = gz_plane_take_options(s);
	pthread_mutex_unlock(&s->lock);
	if (!any)
		return;
	gz_stack_options(s);
	gz_worker_dirty(&gz_worker, s);
}

/* --- the worker: its round --------------------------------------------------------- */

void gz_plane_loud(struct gz_plane *p)
{
	struct gz_shared *sh = p->sh;
	struct gz_msg m = {.op = GZ_OP_LOOK, .fd = -1};

	__atomic_store_n(&sh->loud, 1, __ATOMIC_SEQ_CST);
	for (unsigned k = 0; k < GZ_EPOLLS; k++)
		if (__atomic_load_n(&sh->epoll[k].gen, __ATOMIC_SEQ_CST) & 1 &&
		    !__atomic_load_n(&sh->epoll[k].sleepers, __ATOMIC_SEQ_CST))
			__atomic_fetch_add(&sh->epoll[k].sleepers, 1, __ATOMIC_SEQ_CST);
	gz_lane_loud(p);
	for (unsigned i = 0; i < GZ_SLOTS; i++)
		if (sh->slot[i].watch && !sh->slot[i].token &&
		    (sh->slot[i].lane ||
		     sh->slot[i].rx_tail != (sh->slot[i].rx_head & ~GZ_RING_CLOSED)))
			__atomic_fetch_or(&sh->slot[i].poke, GZ_POKE_BYTES, __ATOMIC_SEQ_CST);
	for (unsigned k = 0; k < GZ_SLOTS / 64; k++)
		__atomic_store_n(&sh->dirty[k], UINT64_MAX, __ATOMIC_SEQ_CST);
	while (gz_post(&m) < 0)
		usleep(1000);
}

unsigned gz_plane_poll(struct gz_worker *w)
{
	struct gz_plane *p;
	struct gz_sock *s;
	unsigned sum = 0;

	LIST_FOREACH(p, &w->planes, entry[w->index])
	{
		for (unsigned k = w->index; k < GZ_SLOTS / 64; k += gz_nworkers) {
			uint64_t bits = 0;

			if (__atomic_load_n(&p->sh->dirty[k], __ATOMIC_RELAXED))
				bits = __atomic_exchange_n(&p->sh->dirty[k], 0, __ATOMIC_SEQ_CST);
			for (; bits; bits &= bits - 1) {
				s = p->owner[k * 64 + (unsigned)__builtin_ctzll(bits)];

				if (!s)
					continue;
				sum++;
				take_options(s);
				if (!s->ring.joined || !gz_join_poll(s))
					gz_worker_dirty(w, s);
			}
		}
	}
	LIST_FOREACH(s, &w->fading, ring.fading)
	gz_worker_dirty(w, s);
	if (w->now - w->lanes_counted > LANES_NS) {
		w->lanes_counted = w->now;
		LIST_FOREACH(p, &w->planes, entry[w->index])
		gz_lane_look(p);
	}
	return sum + look_at_leaving(w);
}

bool gz_plane_asleep(struct gz_worker *w, bool asleep)
{
	struct gz_plane *p;
	uint64_t any = 0;

	LIST_FOREACH(p, &w->planes, entry[w->index])
	for (unsigned k = w->index; k < GZ_SLOTS / 64; k += gz_nworkers)
		__atomic_store_n(&p->sh->asleep[k], asleep, __ATOMIC_SEQ_CST);
	if (!asleep)
		return false;
	/* Who committed before it could see the flag has set its bit. */
	LIST_FOREACH(p, &w->planes, entry[w->index])
	for (unsigned k = w->index; k < GZ_SLOTS / 64; k += gz_nworkers)
		any |= __atomic_load_n(&p->sh->dirty[k], __ATOMIC_SEQ_CST);
	return any != 0;
}

uint64_t gz_plane_wait(const struct gz_worker *w)
{
	return TAILQ_EMPTY(&w->leaving) && LIST_EMPTY(&w->fading) ? UINT64_MAX : LOOK_NS;
}

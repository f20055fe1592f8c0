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
 * What cannot go on here leaves (leave.c).
 *
 * Nothing that is read from the slot is believed: a position that cannot be resets
 * the connection (broken()), the bytes are copied before anything looks at them.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
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
#include "engine/udp_ring.h"
#include "engine/worker.h"

#define APP_SPIN_US 200	       /* a program, before it sleeps */
#define TIME_MAX 1000000000    /* s; longer ones are for ever */
#define LANES_NS 1000000000ull /* what went by them is counted so often */
#define LOOK_NS 200000ull      /* until something of these is due */

/* --- slots ------------------------------------------------------------------ */

struct gz_plane *gz_plane_new(void)
{
	const int seals = F_ADD_SEALS;
	struct gz_plane *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
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
	p->sh->epoch = 1;
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
	return !o->sndbuf_set && !o->rcvbuf_set && (unsigned)o->rcvlowat <= GZ_LEAST_MAX &&
	       !o->notsent_lowat && !gz_arrival_tells(o);
}

static bool is_time(const struct timeval *t)
{
	return t->tv_sec || t->tv_usec;
}

/* As gz_slot.send_us */
static uint64_t send_us(const struct gz_options *o)
{
	const struct timeval *t = &o->sndtimeo;

	return t->tv_sec >= 0 && t->tv_sec < TIME_MAX
		   ? (uint64_t)t->tv_sec * 1000000 + (uint64_t)t->tv_usec
		   : 0;
}

static bool may_ring(const struct gz_sock *s)
{
	return s->client->plane && !s->dgram.ping && s->ring.i < 0 && gz_plane_has(&s->opt) &&
	       (s->type == SOCK_DGRAM || !atomic_load(&s->no_ring));
}

/* s; 0: close() does not wait */
static uint32_t lingers(const struct gz_options *o)
{
	return o->linger.l_onoff && o->linger.l_linger > 0 ? (uint32_t)o->linger.l_linger : 0;
}

/* As gz_slot.least */
static uint32_t least(const struct gz_sock *s)
{
	return s->type == SOCK_STREAM ? (uint32_t)s->opt.rcvlowat : 0;
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

bool gz_plane_take_slot(struct gz_sock *s)
{
	struct gz_plane *p = s->client->plane;
	uint32_t i = GZ_SLOTS;
	uint64_t none = 0;
	bool no_more;

	pthread_mutex_lock(&p->lock);
	no_more = p->no_more;
	if (!no_more)
		i = take_slot(p, gz_worker_of(s)->index);
	if (i < GZ_SLOTS) {
		p->gen[i] += 1; /* odd */
		none = (uint64_t)p->gen[i] << 32;
		p->touched[i] = true;
	}
	pthread_mutex_unlock(&p->lock);
	if (i == GZ_SLOTS) {
		gz_off_sock(s, no_more ? GZ_OFF_SANDBOX : GZ_OFF_NO_SLOT);
		if (!no_more)
			gz_count(GZ_C_RING_NO_SLOT);
		return false;
	}
	s->ring.i = (int)i;
	__atomic_fetch_and(&p->sh->accepted[i / 64], ~(1ULL << i % 64), __ATOMIC_SEQ_CST);
	memset(slot_of(s), 0, sizeof(struct gz_slot));
	__atomic_store_n(&slot_of(s)->takers, none, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot_of(s)->natives, none, __ATOMIC_SEQ_CST);
	return true;
}

void gz_plane_publish(struct gz_sock *s)
{
	struct gz_plane *p = s->client->plane;
	uint32_t i = (uint32_t)s->ring.i;

	pthread_mutex_lock(&p->lock);
	__atomic_store_n(&slot_of(s)->gen, p->gen[i], __ATOMIC_RELEASE);
	__atomic_store_n(&p->sh->ino[i], s->ino, __ATOMIC_RELEASE);
	if (i >= __atomic_load_n(&p->sh->used, __ATOMIC_RELAXED))
		__atomic_store_n(&p->sh->used, i + 1, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&p->lock);
	__atomic_fetch_add(&p->sh->epoch, 1, __ATOMIC_SEQ_CST);
}

void gz_plane_give(struct gz_sock *s, bool sending, bool nonblock)
{
	/* Agents are to know of datagrams that go by the shadow, too. */
	const uint32_t plane = atomic_load(&s->no_ring) ? GZ_PLANE_NATIVE : GZ_PLANE_RING;
	struct gz_slot *slot;

	if (!may_ring(s)) {
		gz_off_sock(s, GZ_OFF_OPTION);
		return;
	}
	if (!gz_plane_take_slot(s))
		return;
	slot = slot_of(s);
	slot->rx_plane = plane;
	slot->tx_plane = sending ? plane : GZ_PLANE_TRAP;
	slot->news = sending ? 0 : GZ_NEWS_CONNECTING;
	slot->nonblock = nonblock;
	slot->watch = atomic_load(&s->ring.loud) ? GZ_WATCH_LOUD : 0;
	slot->timed = is_time(&s->opt.rcvtimeo);
	slot->send_us = send_us(&s->opt);
	slot->linger = lingers(&s->opt);
	slot->least = least(s);
	if (s->type == SOCK_DGRAM)
		gz_udp_ring_begin(s);
	atomic_store(&s->ring.plane, plane);
	gz_plane_publish(s);
	gz_count(GZ_C_RING_SOCKETS);
}

void gz_plane_drop(struct gz_sock *s)
{
	struct gz_plane *p = s->client->plane;
	uint32_t i = (uint32_t)s->ring.i;

	gz_plane_fresh(s, false);
	if (s->ring.i < 0)
		return;
	pthread_mutex_lock(&p->lock);
	__atomic_store_n(&p->sh->ino[i], 0, __ATOMIC_SEQ_CST);
	atomic_store(&p->nest[i], 0);
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
	if (s->ring.i < 0)
		return;
	__atomic_store_n(&slot_of(s)->timed, is_time(&s->opt.rcvtimeo), __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot_of(s)->send_us, send_us(&s->opt), __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot_of(s)->linger, lingers(&s->opt), __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot_of(s)->least, least(s), __ATOMIC_SEQ_CST);
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
	    [GZ_SET_CORK] = {IPPROTO_TCP, TCP_CORK},
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

bool gz_slot_wake_senders(struct gz_slot *slot)
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
	if (gz_slot_wake_senders(slot_of(s)))
		gz_plane_tell(s);
}

void gz_plane_stop_sending(struct gz_sock *s)
{
	struct gz_slot *slot;

	if (s->ring.i < 0)
		return;
	slot = slot_of(s);
	/* In this order: the worker may be opening the ring after a lane (gz_plane_open_tx()). */
	__atomic_store_n(&slot->tx_plane, GZ_PLANE_NATIVE, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&slot->tx_tail, GZ_RING_CLOSED, __ATOMIC_SEQ_CST);
	gz_slot_wake_senders(slot);
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
static void ask_and_wait(enum gz_op op, struct gz_client *c, struct gz_leave *l)
{
	sem_init(&l->done, 0, 0);
	post(op, l->sock, c, l);
	for (unsigned n = l->sock ? 1 : gz_nworkers; n; n--)
		while (sem_wait(&l->done) < 0 && errno == EINTR)
			;
	sem_destroy(&l->done);
}

static bool ask(enum gz_op op, struct gz_sock *s, struct gz_client *c, int fd)
{
	struct gz_leave l = {.sock = s, .fd = fd};

	ask_and_wait(op, c, &l);
	return l.back;
}

void gz_plane_begin(struct gz_sock *s)
{
	ask(GZ_OP_BEGIN, s, NULL, -1);
}

void gz_plane_leave(struct gz_sock *s, int fd)
{
	if (s->type == SOCK_DGRAM)
		gz_udp_ring_leave(s, fd);
	else if (gz_plane_is_ring(s))
		ask(GZ_OP_LEAVE, s, NULL, fd);
}

bool gz_plane_come_back(struct gz_sock *s, int fd)
{
	return ask(GZ_OP_BACK, s, NULL, fd);
}

bool gz_plane_lingers(struct gz_client *c, uint32_t slot, uint32_t gen)
{
	struct gz_leave l = {.fd = -1, .slot = slot, .gen = gen};

	if (slot < GZ_SLOTS)
		ask_and_wait(GZ_OP_LINGERS, c, &l);
	return l.lingers;
}

void gz_workers_settle(void)
{
	ask(GZ_OP_SETTLE, NULL, NULL, -1);
}

void gz_plane_settle(struct gz_sock *s)
{
	ask(GZ_OP_SETTLE, s, NULL, -1);
}

void gz_plane_heed_least(struct gz_sock *s)
{
	if (s->type == SOCK_STREAM && gz_plane_is_ring(s))
		ask(GZ_OP_LEAST, s, NULL, -1);
}

void gz_plane_on_least(struct gz_sock *s)
{
	uint32_t n = gz_plane_is_ring(s) ? gz_plane_unread(s) : 0;

	if (n && n >= least(s))
		gz_plane_tell(s);
}

void gz_info_ask(struct gz_sock *s)
{
	if (s->type == SOCK_STREAM && atomic_load(&s->worker))
		ask(GZ_OP_INFO, s, NULL, -1);
}

void gz_plane_settle_accepted(struct gz_client *c)
{
	/* Without a bit in accepted[], too: a worker may have taken it just now. */
	ask(GZ_OP_ACCEPTED, NULL, c, -1);
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

struct gz_sock *gz_plane_owner(const struct gz_plane *p, uint32_t i)
{
	return is_of(i, gz_worker.index) ? p->owner[i] : NULL;
}

void gz_plane_release(struct gz_sock *s)
{
	gz_plane_stop_fading(s);
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
	gz_slot_wake_senders(slot);
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

void gz_plane_go_native(struct gz_sock *s)
{
	struct gz_slot *slot = slot_of(s);

	gz_join_end(s);
	atomic_store(&s->ring.plane, GZ_PLANE_NATIVE);
	if (!atomic_load(&s->ring.orphan))
		__atomic_store_n(&slot->rx_plane, GZ_PLANE_NATIVE, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->tx_plane,
			 atomic_load(&s->ring.over) ? GZ_PLANE_OVER : GZ_PLANE_NATIVE,
			 __ATOMIC_SEQ_CST);
	gz_slot_wake_senders(slot);
	gz_plane_mark_ready(s);
}

void gz_plane_close_rings(struct gz_sock *s)
{
	struct gz_slot *slot = slot_of(s);

	gz_lane_end(s);
	__atomic_fetch_or(&slot->tx_tail, GZ_RING_CLOSED, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&slot->rx_head, GZ_RING_CLOSED, __ATOMIC_SEQ_CST);
	gz_slot_wake_senders(slot);
}

void gz_plane_failed(struct gz_sock *s)
{
	struct gz_slot *slot;

	if (s->ring.i < 0)
		return;
	slot = slot_of(s);
	gz_plane_close_rings(s);
	gz_join_end(s);
	gz_plane_set_over(s, atomic_load(&s->error));
	__atomic_store_n(&slot->rx_plane, GZ_PLANE_OVER, __ATOMIC_SEQ_CST);
	gz_plane_mark_ready(s);
}

/* The slot says what cannot be. */
void gz_plane_broken(struct gz_sock *s)
{
	gz_count(GZ_C_RING_BROKEN);
	gz_off_sock(s, GZ_OFF_BROKEN);
	gz_debug("socket %lu: its ring is broken", (unsigned long)s->id);
	gz_plane_close_rings(s);
	s->ring.rx_tail = __atomic_load_n(&slot_of(s)->rx_head, __ATOMIC_RELAXED) & ~GZ_RING_CLOSED;
	s->ring.tx_head = __atomic_load_n(&slot_of(s)->tx_tail, __ATOMIC_RELAXED) & ~GZ_RING_CLOSED;
	gz_plane_go_native(s);
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

uint32_t gz_plane_to_app(struct gz_sock *s)
{
	struct gz_slot *slot = slot_of(s);
	uint32_t sum = 0;

	/* Who is to leave must be somebody's. */
	if (s->urgent.rx_here && s->offered_by)
		return 0;
	if (s->urgent.rx_here || __atomic_load_n(&slot->leave, __ATOMIC_RELAXED))
		gz_plane_evict(s);
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

/* What agents have set.  Return: false, another thread has the lock: then in the next round */
static bool take_options(struct gz_sock *s)
{
	const uint32_t i = (uint32_t)s->ring.i;
	bool any;

	if (!__atomic_load_n(&slot_of(s)->set, __ATOMIC_SEQ_CST))
		return true;
	if (pthread_mutex_trylock(&s->lock)) {
		__atomic_fetch_or(&s->client->plane->sh->dirty[i / 64], 1ULL << i % 64,
				  __ATOMIC_SEQ_CST);
		return false;
	}
	any = gz_plane_take_options(s);
	pthread_mutex_unlock(&s->lock);
	if (any) {
		gz_stack_options(s);
		gz_worker_dirty(&gz_worker, s);
	}
	return true;
}

static uint64_t written(const struct gz_slot *slot)
{
	return __atomic_load_n(&slot->tx_tail, __ATOMIC_SEQ_CST) & ~GZ_RING_CLOSED;
}

/*
 * How far the program has written, as its last cork has it: what was written after that was
 * set goes with it, and what was before that was pulled too.  Return: false, not now
 */
static bool corked_tail(struct gz_sock *s, uint64_t *tail)
{
	struct gz_slot *slot = slot_of(s);

	*tail = written(slot);
	if (!(__atomic_load_n(&slot->set, __ATOMIC_SEQ_CST) & 1U << GZ_SET_CORK))
		return true;
	if (!take_options(s))
		return false;
	if (!s->opt.cork)
		*tail = written(slot);
	return true;
}

bool gz_plane_from_app(struct gz_sock *s, uint32_t room)
{
	const uint8_t *ring = gz_slot_tx(s->client->plane->sh, (uint32_t)s->ring.i);
	struct gz_slot *slot = slot_of(s);

	for (;;) {
		uint32_t at = s->ring.tx_head % GZ_SLOT_RING, n = GZ_SLOT_RING - at;
		uint64_t tail;

		gz_plane_room_made(s);
		if (!corked_tail(s, &tail))
			return false;
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
			if (bits)
				gz_plane_look_at(p, k, bits);
			for (; bits; bits &= bits - 1) {
				uint32_t i = k * 64 + (unsigned)__builtin_ctzll(bits);

				s = p->owner[i];
				if (!s) {
					sum += gz_udp_ring_poll(p, i);
					continue;
				}
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
		{
			gz_lane_look(p);
			gz_plane_trim(w, p);
		}
	}
	return sum + gz_plane_leaving(w);
}

uint32_t gz_plane_oversleepers(const struct gz_plane *p)
{
	uint32_t whom = 0;

	for (unsigned k = 0; p && k < GZ_SLOTS / 64; k++)
		if (__atomic_load_n(&p->sh->dirty[k], __ATOMIC_SEQ_CST) &&
		    __atomic_load_n(&p->sh->asleep[k], __ATOMIC_SEQ_CST))
			whom |= 1u << k % gz_nworkers;
	return whom;
}

bool gz_plane_asleep(struct gz_worker *w, bool asleep)
{
	struct gz_plane *p;
	uint64_t any = 0;

	w->nap += 2; /* and odd */
	LIST_FOREACH(p, &w->planes, entry[w->index])
	for (unsigned k = w->index; k < GZ_SLOTS / 64; k += gz_nworkers)
		__atomic_store_n(&p->sh->asleep[k], asleep ? w->nap | 1 : 0, __ATOMIC_SEQ_CST);
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

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ring.c - Bytes, between the program's buffers and a slot's two rings
 *
 * The rings say what there is to read; the shadow says the rest, and is where one
 * sleeps.  Who is about to sleep says so (want), and then bytes that come bring a token
 * byte into the shadow.  Who empties the ring takes the tokens.  An empty ring is
 * answered by peeking at the shadow natively: end of file, errors, time-outs, signals
 * and restarts are then the kernel's own.  Who waits for room sleeps in futex(2) on a
 * counter of the worker's, which restarts as send() does.
 *
 * The rings are the slot's own, or those of a lane to another program (lane.c).  The worker
 * changes that, with the rings closed: who finds one closed looks anew.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "launcher/agent/agent.h"

#define LOCK_TRIES 200
#define YIELDS 20
#define DRAINS 100
#define CHUNK 32768 /* bytes: copied at a time, while the other end copies those before */
#define WHOLE 4096  /* bytes: no more are sent all or not at all, as in the kernel */
#define LEAVING_NS 1000000000LL
#define MOVING_NS 100000000LL
#define DOZE_US 20000
#define HELD_US 5000 /* between looks at room of a call whose number was closed */
#define FUTILE 100   /* looks at a shadow that says what is not so */
#define FAULT (-2)   /* a buffer is bad */
#define LOCKED (-3)  /* another thread is there, or this one in a frame below */

bool lock_as(uint32_t *l, uint32_t who)
{
	for (int i = 0; i < LOCK_TRIES + YIELDS; i++) {
		uint32_t none = 0;

		if (!__atomic_load_n(l, __ATOMIC_RELAXED) &&
		    __atomic_compare_exchange_n(l, &none, who, false, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED))
			return true;
		if (i < LOCK_TRIES)
			__builtin_ia32_pause();
		else
			call(SYS_sched_yield, 0, 0, 0, 0);
	}
	return false;
}

bool lock(uint32_t *l)
{
	return lock_as(l, 1);
}

void unlock_as(uint32_t *l, uint32_t who)
{
	__atomic_compare_exchange_n(l, &who, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

void unlock(uint32_t *l)
{
	__atomic_store_n(l, 0, __ATOMIC_RELEASE);
}

static int by_plane(uint32_t plane)
{
	return plane == GZ_PLANE_NATIVE ? NATIVE : TRAP;
}

/* Slot @i is to be looked at.  Return: of the worker's sleep (gz_shared.asleep), 0: it is awake */
static uint32_t mark_dirty(uint32_t i)
{
	__atomic_fetch_or(&SH->dirty[i / 64], 1ULL << i % 64, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&SH->asleep[i / 64], __ATOMIC_SEQ_CST);
}

/* The same, and by the socket of @io, of which a lock is held, the worker is woken. */
static void tell_of(uint32_t i, const struct io *io)
{
	uint32_t nap = mark_dirty(i);
	char byte = 0;

	if (!nap)
		return;
	if (!is_number_of(io->fd, io->i))
		gz_ask(GZ_ASK_WAKE);
	else if (has_datagrams(io->s))
		ring_engine(io); /* any worker may hear it */
	else if (call(SYS_sendto, (uint64_t)io->fd, (uint64_t)&byte, 1,
		      MSG_DONTWAIT | MSG_NOSIGNAL) > 0 &&
		 i == io->i)
		/* Nobody else has to, while it wakes. */
		__atomic_compare_exchange_n(&SH->asleep[i / 64], &nap, 0, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST);
}

void tell_worker(const struct io *io)
{
	tell_of(io->i, io);
}

/* Read @n bytes, and those that are owed, out of the shadow.  rx_lock held */
static void take_tokens(const struct io *io, uint32_t n)
{
	char bytes[64];

	n += io->s->debt;
	io->s->debt = 0;
	/* It was closed: others may have them, but not by a number that is another file's. */
	if (n && !is_number_of(io->fd, io->i)) {
		io->s->debt = n;
		return;
	}

	/* The engine announces each just before it sends it. */
	for (int i = 0; n && i < DRAINS; i++) {
		int64_t r = call(SYS_recvfrom, (uint64_t)io->fd, (uint64_t)bytes,
				 n < sizeof(bytes) ? n : sizeof(bytes), MSG_DONTWAIT);

		if (r > 0)
			n -= (uint32_t)r;
		else if (r == -EAGAIN)
			call(SYS_sched_yield, 0, 0, 0, 0);
		else if (has_datagrams(io->s)) /* an error came before them */
			io->s->error = (int32_t)r;
		else
			return; /* nothing comes any more */
	}
	io->s->debt = n;
}

/*
 * As take_tokens().  The tokens may have been for another thread, which was about to sleep and has
 * not seen them: if there is still something that it may wait for, it gets new ones.
 */
static void drain(const struct io *io, uint32_t n)
{
	uint32_t watch = __atomic_load_n(&io->s->watch, __ATOMIC_SEQ_CST);
	struct gz_epoll *ep = watch && watch <= GZ_EPOLLS ? &SH->epoll[watch - 1] : NULL;
	int other;

	take_tokens(io, n);
	if (ep && __atomic_load_n(&ep->sleepers, __ATOMIC_SEQ_CST) &&
	    !__atomic_load_n(&ep->eager, __ATOMIC_RELAXED)) {
		__atomic_store_n(&ep->woken, 0, __ATOMIC_SEQ_CST);
		gather(ep);
		other = ready_one(ep);
		if (other >= 0) {
			__atomic_fetch_or(&SH->slot[other].poke, GZ_POKE_ANY, __ATOMIC_SEQ_CST);
			tell_of((uint32_t)other, io);
		}
	}
	if (__atomic_load_n(&io->s->want, __ATOMIC_SEQ_CST) && tx_room(io->s) >= GZ_SLOT_WRITABLE)
		ask_for_token(io->fd, io->i, GZ_POKE_ANY);
}

/*
 * The ring was seen empty, or too little is there: so must be the shadow.  Bytes that come from the
 * exchange on bring a token of their own; for those that came just before it, ours
 * stay.
 */
void settle(const struct io *io)
{
	struct gz_slot *s = io->s;
	uint32_t n;

	if (!__atomic_load_n(&s->token, __ATOMIC_RELAXED))
		return;
	n = __atomic_exchange_n(&s->token, 0, __ATOMIC_SEQ_CST);
	if (is_short(s))
		drain(io, n);
	else
		__atomic_fetch_add(&s->token, n, __ATOMIC_SEQ_CST);
}

static inline uint64_t copy_vectors(const struct io *io, const struct ring *r, uint64_t skip,
				    uint64_t pos, uint64_t left, bool out)
{
	for (uint64_t k = 0; k < io->nv && left; k++) {
		uint8_t *at = io->v[k].iov_base;
		uint64_t len = io->v[k].iov_len;

		if (skip >= len) {
			skip -= len;
			continue;
		}
		at += skip;
		len -= skip;
		skip = 0;
		if (len > left)
			len = left;
		left -= len;
		while (len) {
			uint64_t from = ring_at(r, pos), part = r->size - from;
			uint8_t *in_ring = r->data + from;

			if (part > len)
				part = len;
			copy(out ? at : in_ring, out ? in_ring : at, part);
			at += part;
			pos += part;
			len -= part;
		}
	}
	return pos;
}

uint64_t copy_out(const struct io *io, const struct ring *r, uint64_t skip, uint64_t pos,
		  uint64_t n)
{
	return copy_vectors(io, r, skip, pos, n, true);
}

uint64_t copy_in(const struct io *io, const struct ring *r, uint64_t skip, uint64_t pos, uint64_t n)
{
	return copy_vectors(io, r, skip, pos, n, false);
}

/* rx_lock held; @got bytes are there already.  Return: at most @most, 0: none, -1: closed */
static int64_t take(const struct io *io, struct ring *r, uint64_t got, uint64_t most)
{
	uint64_t head = __atomic_load_n(r->head, __ATOMIC_RELAXED), n;

	if (head & GZ_RING_CLOSED)
		return -1;
	n = (__atomic_load_n(r->tail, __ATOMIC_ACQUIRE) & ~GZ_RING_CLOSED) - head;
	if (n > r->size && r->is_lane) {
		/* Another program's doing: the worker judges it. */
		__atomic_store_n(&io->s->no_lane, 1, __ATOMIC_SEQ_CST);
		tell_worker(io);
		return -1;
	}
	if (n > most)
		n = most;
	/* While something is unread it stays. */
	if (r->is_lane)
		r->base = __atomic_load_n(&r->lane.other->base, __ATOMIC_RELAXED);
	if (n && !drops(io))
		n = copy_out(io, r, got, head, n) - head;
	if (!(io->flags & MSG_PEEK) && n &&
	    !__atomic_compare_exchange_n(r->head, &head, head + n, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_RELAXED))
		return -1;
	return (int64_t)n;
}

bool is_moving(struct gz_slot *s, bool receives)
{
	const uint32_t *plane = receives ? &s->rx_plane : &s->tx_plane;
	int64_t until = 0;

	while (__atomic_load_n(plane, __ATOMIC_SEQ_CST) == GZ_PLANE_RING) {
		struct ring r = receives ? rx_ring(s) : tx_ring(s);

		if (!(__atomic_load_n(receives ? r.head : r.tail, __ATOMIC_SEQ_CST) &
		      GZ_RING_CLOSED))
			return !__atomic_load_n(&s->no_lane, __ATOMIC_SEQ_CST) || !r.is_lane;
		if (!until)
			until = now_ns() + MOVING_NS;
		else if (now_ns() > until)
			break;
		call(SYS_sched_yield, 0, 0, 0, 0);
	}
	return false;
}

/* Of @n bytes, so many at once.  What is peeked at is not taken: all of it */
static uint64_t chunk(const struct io *io, uint64_t n)
{
	return n > CHUNK && !(io->flags & MSG_PEEK) ? CHUNK : n;
}

/* One look at the ring.  Return: as take(), FAULT or LOCKED */
static int64_t receive_once(const struct io *io, uint64_t got)
{
	struct gz_slot *s = io->s;
	uint64_t most = rx_used(s), sum = 0;
	struct ring r;
	int64_t n;

	if (__atomic_load_n(&s->rx_plane, __ATOMIC_ACQUIRE) != GZ_PLANE_RING)
		return -1;
	if (most > io->len - got)
		most = io->len - got;
	if (!drops(io) && vectors_memory(io, got, most, MAY_WRITE) < most)
		return FAULT;
	if (!lock(&s->rx_lock))
		return LOCKED;
	r = rx_ring(s);
	do {
		n = take(io, &r, got + sum, chunk(io, most - sum));
		if (n <= 0)
			break;
		sum += (uint64_t)n;
		if (io->flags & MSG_PEEK)
			break;
		if (is_short(s))
			settle(io);
		if (r.is_lane)
			lane_taken(io, &r.lane, r.size - rx_used(s));
		else if (__atomic_load_n(&s->rx_full, __ATOMIC_SEQ_CST))
			tell_worker(io);
	} while (sum < most);
	unlock(&s->rx_lock);
	return sum ? (int64_t)sum : n;
}

/* A byte lay in the shadow and none in the ring: it came late, or was another thread's. */
bool take_stale_token(int fd, uint32_t i)
{
	struct gz_slot *s = &SH->slot[i];
	const struct io at = {.fd = fd, .i = i, .s = s}, *io = &at;

	if (!lock(&s->rx_lock))
		return false;
	if (is_short(s) && __atomic_load_n(&s->rx_plane, __ATOMIC_ACQUIRE) == GZ_PLANE_RING &&
	    !(__atomic_load_n(&s->rx_head, __ATOMIC_RELAXED) & GZ_RING_CLOSED)) {
		/* Else another thread was here meanwhile. */
		if (__atomic_load_n(&s->token, __ATOMIC_RELAXED))
			settle(io);
		else if (s->debt)
			drain(io, 0);
	}
	unlock(&s->rx_lock);
	return true;
}

int64_t take_error(const struct io *io)
{
	int64_t e = __atomic_exchange_n(&io->s->so_error, 0, __ATOMIC_SEQ_CST);
	int native;
	uint32_t len = sizeof(native);

	/* The shadow's own stands for it. */
	if (e)
		call6(SYS_getsockopt, (uint64_t)io->fd, SOL_SOCKET, SO_ERROR, (uint64_t)&native,
		      (uint64_t)&len, 0);
	return -e;
}

/* What recv() says of it: not EPIPE, which comes after the end of file. */
static int64_t receive_error(const struct io *io)
{
	uint32_t e = __atomic_load_n(&io->s->so_error, __ATOMIC_SEQ_CST);

	/* What came before it may still be on its way to the ring. */
	if (!(__atomic_load_n(&io->s->news, __ATOMIC_SEQ_CST) & GZ_NEWS_OVER) &&
	    __atomic_load_n(&io->s->rx_plane, __ATOMIC_SEQ_CST) != GZ_PLANE_OVER)
		return 0;
	return e && e != EPIPE ? take_error(io) : 0;
}

/*
 * A reset came after the end of file: recv() finds that end, whatever the shadow shows, and EPIPE
 * stays to be told (tcp_recvmsg_locked() has SOCK_DONE before sk_err).
 */
static bool is_at_the_end(const struct io *io)
{
	return __atomic_load_n(&io->s->news, __ATOMIC_SEQ_CST) & GZ_NEWS_OVER &&
	       __atomic_load_n(&io->s->so_error, __ATOMIC_SEQ_CST) == EPIPE && is_empty(io->s);
}

/* From the sleep, which holds the file, until the bytes are taken, by who does not any more */
static void is_about_to_take(struct io *io, bool is)
{
	if (io->takes == is || has_datagrams(io->s))
		return;
	io->takes = is;
	if (is)
		io->take_gen = count_in(&io->s->takers);
	else
		count_out(&io->s->takers, io->take_gen);
}

void keep_error(const struct io *io, int64_t r)
{
	if (__atomic_load_n(&io->s->tx_plane, __ATOMIC_SEQ_CST) != GZ_PLANE_OVER) {
		__atomic_store_n(&io->s->error, (int32_t)r, __ATOMIC_RELAXED);
		return;
	}
	__atomic_store_n(&io->s->so_error, (uint32_t)-r, __ATOMIC_SEQ_CST);
	news_of(io->i, POLLHUP | POLLERR);
}

/* Is there a byte in the shadow, or its end?  Return: as recv() that waits; 2, there was */
static int64_t peek_shadow(struct io *io)
{
	bool held = io->held && !(io->flags & MSG_DONTWAIT);
	bool timed = held && __atomic_load_n(&io->s->timed, __ATOMIC_RELAXED);
	int flags = MSG_PEEK | (io->flags & MSG_DONTWAIT);
	int64_t r = 0;
	char byte;

	if (timed && !let_signals(io))
		r = -EINTR; /* its time is the shadow's to know */
	else if (held && !timed)
		r = sleep_held(io, -1);
	if (held && !timed)
		flags |= MSG_DONTWAIT;
	if (r >= 0)
		r = gz_sleep(SYS_recvfrom, (uint64_t)io->fd, (uint64_t)&byte, 1, (uint64_t)flags, 0,
			     0);
	if (timed)
		hold_signals(&io->mask);
	return held && !timed && r == -EAGAIN ? 2 : r;
}

/* What the shadow says of an empty ring: 1 or 2, look again; else the call's result */
static int64_t ask_shadow(struct io *io)
{
	struct gz_slot *s = io->s;
	int64_t r = s->error ? __atomic_exchange_n(&s->error, 0, __ATOMIC_RELAXED) : 0;
	uint32_t e;

	if (!r) {
		/* From here on bytes bring a token, and who closes the number too. */
		expect_tokens(s);
		is_about_to_take(io, true);
		if (is_held_up(io))
			r = 1;
		else if (!is_number_of(io->fd, io->i))
			r = -EBADF; /* nobody waited for this thread */
		else if (is_empty(s))
			r = peek_shadow(io);
		expect_none(s, io->fd);
		/* The shadow knows that there is one, and which it is stands here. */
		if (r == -ECONNRESET) {
			e = __atomic_exchange_n(&s->so_error, 0, __ATOMIC_SEQ_CST);
			if (e)
				r = -(int64_t)e;
		}
	}
	if (r > 0 || is_empty(s))
		return r;
	/* Bytes came before the end of file, or the error. */
	if (r < 0 && r != -EAGAIN && r != -EINTR && r != -GZ_KICKED)
		keep_error(io, r);
	return 1;
}

/*
 * Nothing is there.  Return: true, now it is; false, the shadow is to be asked, which
 * also has the end of file, errors and the time to sleep.
 */
static bool await(struct io *io)
{
	struct gz_slot *s = io->s;
	struct spin sp;
	bool found;

	if (io->flags & MSG_DONTWAIT || __atomic_load_n(&s->news, __ATOMIC_ACQUIRE) || s->error)
		return false;
	spin_begin(&sp);
	do {
		found = !is_empty(s);
	} while (!found && !__atomic_load_n(&s->news, __ATOMIC_ACQUIRE) && !is_held_up(io) &&
		 __atomic_load_n(&s->rx_plane, __ATOMIC_RELAXED) == GZ_PLANE_RING &&
		 spin_more(&sp));
	spin_end(&sp, found);
	return found;
}

/* Until the other end sends.  Return: 1, look again; 0, ask the shadow; -EINTR, -GZ_KICKED */
static int64_t doze_empty(const struct io *io)
{
	struct gz_slot *s = io->s;
	uint32_t lane = __atomic_load_n(&s->lane, __ATOMIC_SEQ_CST);
	struct doze d;

	if (io->flags & MSG_DONTWAIT || io->held || s->error ||
	    __atomic_load_n(&s->timed, __ATOMIC_RELAXED))
		return 0;
	doze_on_slot(&d, s);
	if (!is_empty(s) || is_held_up(io) || __atomic_load_n(&s->lane, __ATOMIC_SEQ_CST) != lane)
		return 1;
	if (__atomic_load_n(&s->news, __ATOMIC_SEQ_CST) ||
	    __atomic_load_n(&s->rx_plane, __ATOMIC_SEQ_CST) != GZ_PLANE_RING)
		return 0;
	return doze(&d, DOZE_US, true);
}

int64_t await_arrival(struct io *io, bool dozes)
{
	int64_t r = 2;

	wait_begin(io);
	if (!await(io))
		r = dozes ? doze_empty(io) : 0;
	r = r > 0 ? 2 : r ? r : ask_shadow(io);
	wait_pause(io);
	return r;
}

/* Is EAGAIN the answer to an empty ring, without asking the kernel?  Not each time: the
 * engine may be gone. */
static bool would_block(const struct io *io, uint64_t got)
{
	struct gz_slot *s = io->s;

	return !got &&
	       (io->flags & MSG_DONTWAIT || __atomic_load_n(&s->nonblock, __ATOMIC_RELAXED)) &&
	       !s->error && !__atomic_load_n(&s->news, __ATOMIC_SEQ_CST) && is_empty(s) &&
	       !__atomic_load_n(&s->token, __ATOMIC_RELAXED) &&
	       __atomic_load_n(&s->rx_plane, __ATOMIC_ACQUIRE) == GZ_PLANE_RING && tsc() % 64;
}

/* So many bytes recv() waits for, if it waits (sock_rcvlowat()) */
static uint64_t target(const struct io *io)
{
	uint32_t least = __atomic_load_n(&io->s->least, __ATOMIC_RELAXED);

	return io->flags & MSG_WAITALL || least > io->len ? io->len : least;
}

int receive(struct io *io)
{
	const int known =
	    MSG_DONTWAIT | MSG_PEEK | MSG_WAITALL | MSG_NOSIGNAL | MSG_CMSG_CLOEXEC | MSG_TRUNC;
	struct gz_slot *s = io->s;
	uint64_t got = 0;
	int futile = 0;
	int64_t e = 0;

	if (io->flags & ~known ||
	    (io->flags & MSG_PEEK && !(io->flags & MSG_DONTWAIT) && target(io) > 1))
		return TRAP;
	if (is_at_the_end(io)) {
		io->r->rax = 0;
		return DONE;
	}
	if (!io->len) {
		/* recv() waits for what it does not take; the shadow can do that. */
		if (is_empty(s) && io->r->rax != SYS_read && io->r->rax != SYS_readv)
			e = receive_error(io);
		if (e) {
			io->r->rax = e;
			return DONE;
		}
		if (is_empty(s))
			return io->r->rax == SYS_read || io->r->rax == SYS_readv ||
				       io->flags & MSG_DONTWAIT || s->nonblock ||
				       __atomic_load_n(&s->news, __ATOMIC_SEQ_CST) & GZ_NEWS_END
				   ? NATIVE
				   : TRAP;
		io->r->rax = 0;
		return DONE;
	}
	for (;;) {
		int64_t r;

		wait_pause(io);
		r = receive_once(io, got);
		is_about_to_take(io, false);
		if (r > 0) {
			got += (uint64_t)r;
			if (!(io->flags & MSG_PEEK) && got < target(io))
				continue;
			break;
		}
		if (r == FAULT && !got) {
			io->r->rax = -EFAULT;
			return DONE;
		}
		if (r == -1 && is_moving(s, true))
			continue;
		if (!got &&
		    (r == 0 || __atomic_load_n(&s->rx_plane, __ATOMIC_ACQUIRE) == GZ_PLANE_OVER)) {
			e = receive_error(io);
			if (e) {
				io->r->rax = e;
				return DONE;
			}
			if (r < 0)
				return NATIVE; /* the end of file */
		}
		if (r < 0 && !got)
			return by_plane(__atomic_load_n(&s->rx_plane, __ATOMIC_ACQUIRE));
		if (r < 0)
			break; /* the rest is another call's */
		if (would_block(io, got)) {
			io->r->rax = -EAGAIN;
			return DONE;
		}
		if (__atomic_load_n(&io->s->nonblock, __ATOMIC_RELAXED))
			io->flags |= MSG_DONTWAIT;
		/* With some bytes a signal is to end it. */
		r = await_arrival(io, !got);
		if (r > 1)
			continue;
		if (r <= 0)
			is_about_to_take(io, false);
		if (r <= 0 && got) {
			if (r == -ECONNRESET || r == -ETIMEDOUT)
				keep_error(io, r);
			break;
		}
		if (r <= 0) {
			io->r->rax = r;
			return DONE;
		}
		if (is_empty(s) && (++futile > FUTILE || !take_stale_token(io->fd, io->i))) {
			is_about_to_take(io, false);
			if (got)
				break;
			return TRAP;
		}
	}
	io->r->rax = (int64_t)got;
	return DONE;
}

/* tx_lock held; @skip bytes are there already.  Return: at most @most, 0: no room, -1: closed */
static int64_t put(const struct io *io, struct ring *r, uint64_t skip, uint64_t most)
{
	uint64_t tail = __atomic_load_n(r->tail, __ATOMIC_RELAXED), pos = tail;
	uint64_t left = io->len - skip, room;

	if (tail & GZ_RING_CLOSED)
		return -1;
	room = tx_room(io->s);
	if (room > most)
		room = most; /* what is beyond was not looked at */
	if (left > room && left <= WHOLE)
		return 0;
	if (left > room)
		left = room;
	if (r->is_lane)
		r->base = lane_base(&r->lane, tail);
	pos = copy_in(io, r, skip, pos, left);
	if (!__atomic_compare_exchange_n(r->tail, &tail, pos, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_RELAXED))
		return -1;
	return (int64_t)(pos - tail);
}

void tx_told(const struct io *io, const struct ring *r)
{
	if (r->is_lane)
		lane_sent(io, &r->lane);
	else
		tell_worker(io);
}

/* One attempt.  Return: as put(), FAULT or LOCKED */
static int64_t transmit_once(const struct io *io, uint64_t sent)
{
	struct gz_slot *s = io->s;
	uint64_t most = tx_room(s), sum = 0;
	struct ring r;
	int64_t n;

	if (__atomic_load_n(&s->tx_plane, __ATOMIC_ACQUIRE) != GZ_PLANE_RING)
		return -1;
	if (most > io->len - sent)
		most = io->len - sent;
	if (vectors_memory(io, sent, most, MAY_READ) < most)
		return FAULT;
	if (!lock(&s->tx_lock))
		return LOCKED;
	r = tx_ring(s);
	do {
		n = put(io, &r, sent + sum, chunk(io, most - sum));
		if (n <= 0)
			break;
		sum += (uint64_t)n;
		tx_told(io, &r);
	} while (sum < most);
	unlock(&s->tx_lock);
	return sum ? (int64_t)sum : n;
}

/* An engine that is gone takes nothing and answers nobody: EPIPE is the shadow's to say. */
static bool is_deserted(const struct io *io)
{
	return call(SYS_sendto, (uint64_t)io->fd, 0, 0, MSG_DONTWAIT | MSG_NOSIGNAL) == -EPIPE;
}

/* Until the other end takes bytes.  Return: as doze() */
static int64_t doze_full(const struct io *io, uint64_t need, int64_t left)
{
	const uint32_t us = left / 1000 < DOZE_US ? (uint32_t)(left / 1000) : DOZE_US;
	struct gz_slot *s = io->s;
	struct lane l;
	struct doze d;

	/* Of its own ring's room the worker tells, by another word. */
	if (io->held || !lane_of(s, &l))
		return 0;
	doze_on_slot(&d, s);
	__atomic_fetch_or(&l.mine->full, GZ_FULL_RING, __ATOMIC_SEQ_CST);
	if (tx_room(s) >= need || d.bell != &l.mine->bell || is_held_up(io) ||
	    __atomic_load_n(&l.mine->tail, __ATOMIC_SEQ_CST) & GZ_RING_CLOSED)
		return 1;
	return doze(&d, us, left == INT64_MAX);
}

/* What is left of SO_SNDTIMEO, ns; INT64_MAX: it has none */
static int64_t time_left(struct io *io)
{
	const uint64_t us = __atomic_load_n(&io->s->send_us, __ATOMIC_RELAXED);
	int64_t now;

	if (!us)
		return INT64_MAX;
	now = now_ns();
	if (!io->until)
		io->until = now + (int64_t)us * 1000;
	return io->until - now;
}

static int64_t wait_for_room(struct io *io, uint64_t need, int64_t left)
{
	struct timespec ts, *timeout = NULL;
	struct gz_slot *s = io->s;
	struct spin sp;
	uint32_t count;
	int64_t r;

	spin_begin(&sp);
	while (tx_room(s) < need && !is_held_up(io) &&
	       __atomic_load_n(&s->tx_plane, __ATOMIC_RELAXED) == GZ_PLANE_RING && spin_more(&sp))
		;
	spin_end(&sp, tx_room(s) >= need);
	if (tx_room(s) >= need)
		return 0;
	r = doze_full(io, need, left);
	if (r)
		return r > 0 ? 0 : r;
	count = __atomic_load_n(&s->room, __ATOMIC_SEQ_CST);
	want_room(s);
	if (tx_room(s) >= need || is_held_up(io) ||
	    __atomic_load_n(&s->tx_plane, __ATOMIC_SEQ_CST) != GZ_PLANE_RING)
		return 0;
	if (is_deserted(io))
		return -1;
	left = time_left(io);
	if (left != INT64_MAX) {
		left = left > 0 ? left : 0;
		ts = (struct timespec){left / 1000000000, left % 1000000000};
		timeout = &ts;
	}
	/* Its restarts are those of send(): none with a time. */
	if (io->held)
		r = sleep_held(io, left < HELD_US * 1000 ? left / 1000 : HELD_US);
	else
		r = gz_sleep(SYS_futex, (uint64_t)&s->room, FUTEX_WAIT, count, (uint64_t)timeout, 0,
			     0);
	return r == -EINTR || r == -GZ_KICKED ? r : 0;
}

int64_t await_room(struct io *io, uint64_t need)
{
	int64_t r, left = time_left(io);

	if (left <= 0)
		return -EAGAIN;
	wait_begin(io);
	r = wait_for_room(io, need, left);
	wait_pause(io);
	return r;
}

int64_t no_room(struct gz_slot *s, uint64_t need)
{
	want_room(s);
	if (tx_room(s) >= need)
		return 0;
	/* No token comes after the peer's end: the shadow is to tell of room. */
	if (__atomic_load_n(&s->news, __ATOMIC_SEQ_CST) & GZ_NEWS_END)
		return -1;
	/* To whom its epoll is the kernel's it would be writable for ever. */
	if (__atomic_load_n(&s->watch, __ATOMIC_RELAXED) == GZ_WATCH_LOUD)
		__atomic_store_n(&s->leave, 1, __ATOMIC_SEQ_CST);
	return -EAGAIN;
}

int await_urgent_room(struct io *io)
{
	struct gz_slot *s = io->s;
	int64_t r = 0;

	while (!r && __atomic_load_n(&s->tx_plane, __ATOMIC_SEQ_CST) == GZ_PLANE_RING &&
	       !tx_room(s))
		r = io->flags & MSG_DONTWAIT || __atomic_load_n(&s->nonblock, __ATOMIC_RELAXED)
			? no_room(s, 1)
			: await_room(io, 1);
	if (!r || r == -1)
		return TRAP;
	io->r->rax = r;
	return DONE;
}

/*
 * The ring was closed in the midst of a send() that may block, or cannot time it: what is
 * left goes into the shadow, as soon as the engine has seen to it that this is right.
 * Return: false, it came back before that
 */
static bool transmit_natively(struct io *io, uint64_t *sent)
{
	struct gz_slot *s = io->s;
	uint64_t skip = *sent;
	bool left = false;
	uint32_t plane, gen;
	int64_t until, r = 1;

	if (__atomic_load_n(&s->tx_plane, __ATOMIC_SEQ_CST) == GZ_PLANE_RING) {
		__atomic_store_n(&s->leave, 1, __ATOMIC_SEQ_CST);
		ask_for_token(io->fd, io->i, GZ_POKE_BYTES);
	}
	wait_goes_on(io); /* it may sleep where nobody wakes it */
	until = now_ns() + LEAVING_NS;
	while ((plane = __atomic_load_n(&s->tx_plane, __ATOMIC_SEQ_CST)) != GZ_PLANE_NATIVE) {
		left |= plane != GZ_PLANE_RING;
		/* Who opens the rings again takes back what was asked for above. */
		if (plane == GZ_PLANE_RING &&
		    (left || !__atomic_load_n(&s->leave, __ATOMIC_SEQ_CST)))
			return false;
		/* Where others compute a yield may take milliseconds. */
		if (plane == GZ_PLANE_OVER || is_deserted(io) || now_ns() > until)
			return true;
		call(SYS_sched_yield, 0, 0, 0, 0);
	}
	if (!left_begin(s, &s->tx_plane, &gen))
		return false;
	for (uint64_t k = 0; k < io->nv && r > 0; k++) {
		uint64_t n = io->v[k].iov_len, at = skip < n ? skip : n;

		skip -= at;
		for (; at < n; at += (uint64_t)r, *sent += (uint64_t)r) {
			r = call(SYS_sendto, (uint64_t)io->fd, (uint64_t)io->v[k].iov_base + at,
				 n - at, (uint64_t)io->flags | MSG_NOSIGNAL);
			if (r <= 0)
				break;
		}
	}
	left_end(s, gen);
	return true;
}

/* As sk_stream_error() */
int sends_no_more(const struct io *io)
{
	int64_t e = take_error(io);

	io->r->rax = e ? e : -EPIPE;
	if (io->r->rax == -EPIPE && !(io->flags & MSG_NOSIGNAL))
		call(SYS_tgkill, (uint64_t)call(SYS_getpid, 0, 0, 0, 0),
		     (uint64_t)call(SYS_gettid, 0, 0, 0, 0), SIGPIPE, 0);
	return DONE;
}

/* Room from which it goes on */
static uint64_t need(const struct io *io, uint64_t sent)
{
	return io->len - sent <= WHOLE ? io->len - sent : 1;
}

/* As far as the ring goes.  @sent: so much is there.  Return: above 0, or as transmit_once() */
static int64_t transmit_by_ring(struct io *io, uint64_t *sent)
{
	struct gz_slot *s = io->s;
	int64_t n = 0;
	int yields = 0;

	while (*sent < io->len) {
		wait_pause(io);
		n = transmit_once(io, *sent);
		if (n > 0) {
			*sent += (uint64_t)n;
			continue;
		}
		if (n == -1 && is_moving(s, false))
			continue;
		if (n < 0)
			break;
		if (io->flags & MSG_DONTWAIT || __atomic_load_n(&s->nonblock, __ATOMIC_RELAXED)) {
			/* The worker needs no more than a moment, if there is room elsewhere. */
			if (yields++ < YIELDS && !*sent &&
			    !__atomic_load_n(&s->lane, __ATOMIC_RELAXED)) {
				call(SYS_sched_yield, 0, 0, 0, 0);
				continue;
			}
			n = no_room(s, need(io, *sent));
			if (n)
				return n;
			continue;
		}
		n = await_room(io, need(io, *sent));
		if (n < 0)
			break;
	}
	return n == LOCKED ? -1 : n;
}

int transmit(struct io *io)
{
	const int known = MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE;
	struct gz_slot *s = io->s;
	uint64_t sent = 0;
	int64_t n;

	if (io->flags & ~known)
		return TRAP;
	if (!io->len)
		return NATIVE;
	if (__atomic_load_n(&s->tx_plane, __ATOMIC_ACQUIRE) == GZ_PLANE_OVER)
		return sends_no_more(io);
	do {
		n = transmit_by_ring(io, &sent);
	} while (sent && n == -1 && sent < io->len && !transmit_natively(io, &sent));
	if (n == FAULT)
		n = -EFAULT;
	if (sent || n == -EAGAIN || n == -EINTR || n == -GZ_KICKED || n == -EFAULT) {
		io->r->rax = sent ? (int64_t)sent : n;
		return DONE;
	}
	if (__atomic_load_n(&s->tx_plane, __ATOMIC_ACQUIRE) == GZ_PLANE_OVER)
		return sends_no_more(io);
	if (is_deserted(io))
		return NATIVE;
	return by_plane(__atomic_load_n(&s->tx_plane, __ATOMIC_ACQUIRE));
}

void ask_for_token(int fd, uint32_t i, uint32_t poke)
{
	struct gz_slot *s = &SH->slot[i];
	const struct io io = {.fd = fd, .i = i, .s = s};

	__atomic_fetch_or(&s->poke, poke, __ATOMIC_SEQ_CST);
	if (!mark_dirty(i))
		return;
	/* Whoever holds it may have woken the worker before that. */
	if (!lock(&s->tx_lock)) {
		gz_ask(GZ_ASK_WAKE);
		return;
	}
	tell_of(i, &io);
	unlock(&s->tx_lock);
}

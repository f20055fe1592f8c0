/* SPDX-License-Identifier: BSD-3-Clause
 *
 * datagram.c - Datagrams, between the program's buffers and a slot's two rings
 *
 * Theory of operation.  A ring is full of heads (struct gz_dgram_head) with their bytes.
 * Whoever sends commits one, sets the slot's bit in sending[], and tells the worker, which
 * hands it on as what comes from a shadow.  With the kernel a datagram is with its receiver
 * when send() returns; here that is so a moment later.  So who finds nothing, and does not
 * wait, first waits until what its client's programs have sent is handed on.
 *
 * Of errors only the shadow knows (ICMP, news), and SO_ERROR takes one from there.
 *
 * What is not ordinary traps: a destination or a source that the engine has not seen yet
 * (known[], own[]), one for many, control messages that the head does not have (message.c), a
 * size beyond gz_dgram_slot.max, a ring without room.  The engine sends what is in the ring first.
 */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "launcher/agent/agent.h"

#define SENDING_NS 200000000LL /* others may have the worker's core */
#define FUTILE 100
#define MESSAGES 1024 /* UIO_MAXIOV */
#define CLOSED (-1)
#define LOCKED (-2)
#define EMPTY (-3)
#define AWAY (-4)

static struct gz_dgram_slot *about(const struct gz_slot *s)
{
	return &SH->dgram[s - SH->slot];
}

void ring_engine(const struct io *io)
{
	const struct gz_dgram_slot *d = about(io->s);
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(GZ_BELL_PORT)};
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons(GZ_BELL_PORT),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	bool v4 = __atomic_load_n(&d->family, __ATOMIC_RELAXED) == AF_INET;

	/* ::1, or 127.0.0.1 as IPv6 has it */
	a6.sin6_addr.s6_addr[15] = 1;
	if (!(__atomic_load_n(&d->flags, __ATOMIC_RELAXED) & GZ_DGRAM_V6)) {
		a6.sin6_addr.s6_addr[10] = a6.sin6_addr.s6_addr[11] = 0xff;
		a6.sin6_addr.s6_addr[12] = 127;
	}
	/* An error may be first, which is the next call's. */
	for (int i = 0; i < 2; i++) {
		int64_t r = call6(SYS_sendto, (uint64_t)io->fd, 0, 0, MSG_DONTWAIT | MSG_NOSIGNAL,
				  v4 ? (uint64_t)&a : (uint64_t)&a6, v4 ? sizeof(a) : sizeof(a6));

		if (r >= 0 || r == -EAGAIN)
			return;
		io->s->error = (int32_t)r;
	}
}

/* --- what was sent --------------------------------------------------------------------- */

/* Until the engine has handed on what is before @tail, or does not */
static void await_sent(const struct gz_slot *s, uint64_t tail)
{
	int64_t until = 0;

	while ((int64_t)(__atomic_load_n(&s->tx_head, __ATOMIC_SEQ_CST) - tail) < 0) {
		if (!until)
			until = now_ns() + SENDING_NS;
		else if (now_ns() > until)
			return;
		call(SYS_sched_yield, 0, 0, 0, 0);
	}
}

void await_sending(void)
{
	for (uint32_t k = 0; k < GZ_SLOTS / 64; k++)
		for (uint64_t bits = __atomic_load_n(&SH->sending[k], __ATOMIC_SEQ_CST); bits;
		     bits &= bits - 1) {
			const struct gz_slot *s =
			    &SH->slot[k * 64 + (uint32_t)__builtin_ctzll(bits)];
			uint64_t tail = __atomic_load_n(&s->tx_tail, __ATOMIC_SEQ_CST);

			await_sent(s, tail & ~GZ_RING_CLOSED);
		}
}

/* --- errors ---------------------------------------------------------------------------- */

/* One that waits to be told.  Return: it, below 0; 0 */
static int64_t datagram_error(const struct io *io)
{
	int v = 0, len = sizeof(v);
	int64_t r = io->s->error ? __atomic_exchange_n(&io->s->error, 0, __ATOMIC_SEQ_CST) : 0;

	if (r || !(__atomic_load_n(&io->s->news, __ATOMIC_SEQ_CST) & GZ_NEWS_ERROR))
		return r;
	__atomic_fetch_and(&io->s->news, ~(uint32_t)GZ_NEWS_ERROR, __ATOMIC_SEQ_CST);
	call6(SYS_getsockopt, (uint64_t)io->fd, SOL_SOCKET, SO_ERROR, (uint64_t)&v, (uint64_t)&len,
	      0);
	return -v;
}

/* --- addresses ------------------------------------------------------------------------- */

union name {
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* @e as the socket's family has it.  Return: its length */
static uint32_t name_of(const struct gz_dgram_slot *d, const struct gz_dgram_end *e, union name *n)
{
	if (__atomic_load_n(&d->family, __ATOMIC_RELAXED) == AF_INET) {
		n->in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = e->port};
		__builtin_memcpy(&n->in.sin_addr, e->addr + 12, 4);
		return sizeof(n->in);
	}
	n->in6 = (struct sockaddr_in6){
	    .sin6_family = AF_INET6, .sin6_port = e->port, .sin6_scope_id = e->scope};
	__builtin_memcpy(&n->in6.sin6_addr, e->addr, 16);
	return sizeof(n->in6);
}

static bool same_end(const struct gz_dgram_end *a, const struct gz_dgram_end *b)
{
	uint64_t x[2], y[2];

	__builtin_memcpy(x, a->addr, 16);
	__builtin_memcpy(y, b->addr, 16);
	return a->port == b->port && x[0] == y[0] && x[1] == y[1] && a->scope == b->scope;
}

struct gz_dgram_end *known_end(struct gz_dgram_slot *d, const struct gz_dgram_end *e)
{
	struct gz_dgram_end *set = gz_dgram_set(d, e);

	for (uint32_t k = 0; k < GZ_DGRAM_WAYS; k++)
		if (set[k].used && same_end(&set[k], e))
			return &set[k];
	return NULL;
}

/* Where it was sent to is an address of ours; one for many is none. */
static void know_own(struct gz_dgram_slot *d, const struct gz_dgram_head *h)
{
	uint64_t a[2], own[2];
	uint32_t v4;

	__builtin_memcpy(&v4, h->local + 12, 4);
	if (is_mapped(h->local) ? v4 != h->local_scope : h->local[0] == 0xff)
		return;
	__builtin_memcpy(a, h->local, 16);
	for (uint32_t k = 0; k < GZ_DGRAM_OWN; k++) {
		__builtin_memcpy(own, d->own[k], 16);
		if (own[0] == a[0] && own[1] == a[1])
			return;
	}
	__builtin_memcpy(d->own[gz_dgram_place(d, GZ_DGRAM_OWN)], h->local, 16);
}

/* Who has sent something may be answered. */
static void know_end(struct gz_dgram_slot *d, const struct gz_dgram_head *h)
{
	struct gz_dgram_end *k;

	if (__atomic_load_n(&d->control, __ATOMIC_RELAXED) &
	    (GZ_CONTROL_PKTINFO | GZ_CONTROL_PKTINFO6))
		know_own(d, h);
	k = known_end(d, &h->end);
	if (k && k->used == h->end.used)
		return;
	if (!k)
		k = &gz_dgram_set(d, &h->end)[gz_dgram_place(d, GZ_DGRAM_WAYS)];
	*k = h->end;
}

/* A destination.  Return: false, the engine is to look at it, or the memory is bad */
static bool read_end(struct gz_dgram_slot *d, uint64_t addr, uint64_t len, struct gz_dgram_end *e)
{
	const union name *n = (const union name *)addr;
	bool v4 = __atomic_load_n(&d->family, __ATOMIC_RELAXED) == AF_INET;

	if (len < (v4 ? sizeof(n->in) : sizeof(n->in6)) || len > 128 || !in_space(addr, len) ||
	    !is_memory(addr, v4 ? sizeof(n->in) : sizeof(n->in6), MAY_READ))
		return false;
	if (v4) {
		*e = (struct gz_dgram_end){.port = n->in.sin_port, .addr = {[10] = 0xff, 0xff}};
		__builtin_memcpy(e->addr + 12, &n->in.sin_addr, 4);
		return n->in.sin_family == AF_INET && known_end(d, e);
	}
	*e = (struct gz_dgram_end){.port = n->in6.sin6_port};
	__builtin_memcpy(e->addr, &n->in6.sin6_addr, 16);
	return n->in6.sin6_family == AF_INET6 && known_end(d, e);
}

/* --- receiving ------------------------------------------------------------------------- */

/* A head and its bytes may go round the end of the ring. */
static void read_head(const struct ring *r, uint64_t at, struct gz_dgram_head *h)
{
	struct io io = {.nv = 1, .v = &(struct iovec){h, sizeof(*h)}};

	copy_out(&io, r, 0, at, sizeof(*h));
}

uint32_t next_datagram(const struct gz_slot *s)
{
	struct ring r = rx_ring((struct gz_slot *)s);
	struct gz_dgram_head h;

	if (is_empty(s))
		await_sending();
	if (is_empty(s))
		return 0;
	read_head(&r, __atomic_load_n(r.head, __ATOMIC_ACQUIRE) & ~GZ_RING_CLOSED, &h);
	return h.len;
}

/*
 * The first one, into the vectors.  @good: the memory for it can be written.
 * Return: bytes that were there, or CLOSED, LOCKED, EMPTY, AWAY
 */
static int64_t take(struct io *io, struct gz_dgram_head *h, bool *good)
{
	struct gz_slot *s = io->s;
	struct ring r = rx_ring(s);
	uint64_t head = __atomic_load_n(r.head, __ATOMIC_ACQUIRE), size, most;

	if (head & GZ_RING_CLOSED || !in_rings(s))
		return CLOSED;
	if (__atomic_load_n(r.tail, __ATOMIC_ACQUIRE) == head)
		return EMPTY;
	read_head(&r, head, h);
	if (h->flags & GZ_DGRAM_AWAY)
		return AWAY;
	size = gz_dgram_size(h->len);
	if (h->len > GZ_SLOT_RING || size > __atomic_load_n(r.tail, __ATOMIC_ACQUIRE) - head)
		return __atomic_load_n(r.head, __ATOMIC_ACQUIRE) == head ? AWAY : LOCKED;
	most = h->len < io->len ? h->len : io->len;
	*good = vectors_memory(io, 0, most, MAY_WRITE) == most;
	if (!lock(&s->rx_lock))
		return LOCKED;
	if (__atomic_load_n(r.head, __ATOMIC_ACQUIRE) != head) {
		unlock(&s->rx_lock);
		return LOCKED;
	}
	if (*good)
		copy_out(io, &r, 0, head + sizeof(*h), most);
	if (!(io->flags & MSG_PEEK)) {
		if (!__atomic_compare_exchange_n(r.head, &head, head + size, false,
						 __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
			unlock(&s->rx_lock);
			return CLOSED;
		}
		if (is_empty(s))
			settle(io);
		if (__atomic_load_n(&s->rx_full, __ATOMIC_SEQ_CST))
			tell_worker(io);
	}
	unlock(&s->rx_lock);
	return h->len;
}

/* The engine has some that the ring had no room for: until they are here */
static void await_spilled(const struct io *io)
{
	const struct gz_slot *s = io->s;
	int64_t until = now_ns() + SENDING_NS;

	ask_for_token(io->fd, io->i, 0);
	while (is_empty(s) && __atomic_load_n(&s->rx_full, __ATOMIC_SEQ_CST) && in_rings(s) &&
	       now_ns() < until)
		call(SYS_sched_yield, 0, 0, 0, 0);
}

/* Nothing is there.  Return: 1, look again; else the call's result; TRAPS: leave it */
#define TRAPS INT64_MIN
static int64_t await(struct io *io, bool *settled, int *futile)
{
	struct gz_slot *s = io->s;
	int64_t r = datagram_error(io);

	if (r)
		return r;
	if (__atomic_load_n(&s->nonblock, __ATOMIC_RELAXED))
		io->flags |= MSG_DONTWAIT;
	if (io->flags & MSG_DONTWAIT) {
		if (*settled)
			return -EAGAIN;
		*settled = true;
		await_sending();
		if (__atomic_load_n(&s->rx_full, __ATOMIC_SEQ_CST))
			await_spilled(io);
		return 1;
	}
	r = await_arrival(io, true);
	if (r == 1 && is_empty(s) && in_rings(s) &&
	    (++*futile > FUTILE || !take_stale_token(io->fd, io->i)))
		return TRAPS;
	/* What left is in the shadow. */
	return r > 0 || !in_rings(s) ? 1 : r;
}

/*
 * There may soon be no room.  What finds none is lost when it is sent; so it must not find what
 * this call is about to make.
 */
static bool is_crowded(const struct gz_slot *s)
{
	return __atomic_load_n(&s->rx_full, __ATOMIC_SEQ_CST) || rx_used(s) > GZ_SLOT_RING / 2;
}

/* Return: bytes or -errno; TRAPS */
static int64_t receive_one(struct io *io, struct gz_dgram_head *h)
{
	bool good = true, settled = false;
	int futile = 0, locked = 0;
	int64_t n, r;

	r = datagram_error(io);
	if (r)
		return r;
	if (is_crowded(io->s))
		await_sending();
	for (;;) {
		n = take(io, h, &good);
		if (n == CLOSED || n == AWAY || (n == LOCKED && ++locked > FUTILE))
			return TRAPS;
		if (n == LOCKED)
			continue;
		if (n != EMPTY)
			break;
		r = await(io, &settled, &futile);
		if (r != 1)
			return r;
	}
	if (h->flags & GZ_DGRAM_REPLY)
		know_end(about(io->s), h);
	if (!good)
		return -EFAULT;
	return (io->flags & MSG_TRUNC || (uint64_t)n < io->len) ? n : (int64_t)io->len;
}

/* The name of @h to @addr, for which there are @room bytes.  Return: its length or -errno */
static int64_t write_name(const struct io *io, const struct gz_dgram_head *h, uint64_t addr,
			  int32_t room)
{
	struct io to = {.nv = 1};
	union name n;
	uint32_t full = name_of(about(io->s), &h->end, &n), len = full;
	struct iovec v = {(void *)addr, 0};

	if (room < 0)
		return -EINVAL;
	if ((uint32_t)room < len)
		len = (uint32_t)room;
	if (!is_memory(addr, len, MAY_WRITE))
		return -EFAULT;
	v.iov_len = len;
	to.v = &v;
	copy_out(&to, &(struct ring){.data = (uint8_t *)&n, .size = 32}, 0, 0, len);
	return full;
}

/* What @m is told of the datagram @h.  Return: 0 or -errno */
static int64_t tell(const struct io *io, const struct gz_dgram_head *h, struct msghdr *m)
{
	uint64_t room = m->msg_control ? m->msg_controllen : 0;
	struct control c = {(uint64_t)m->msg_control, room, io->flags & MSG_CMSG_CLOEXEC};
	int64_t len = 0;

	if (m->msg_name)
		len = write_name(io, h, (uint64_t)m->msg_name, (int32_t)m->msg_namelen);
	if (len < 0)
		return len;
	tell_control(about(io->s), h, &c);
	if (m->msg_name)
		m->msg_namelen = (uint32_t)len;
	m->msg_controllen = room - c.left;
	m->msg_flags = c.flags | (h->len > io->len ? MSG_TRUNC : 0);
	return 0;
}

/* recvmsg().  Return: bytes or -errno; TRAPS */
static int64_t receive_message(struct io *io, struct msghdr *m)
{
	struct gz_dgram_head h;
	int64_t n = receive_one(io, &h), err;

	if (n < 0)
		return n;
	err = tell(io, &h, m);
	return err ? err : n;
}

/* read() and recvfrom(): the same.  The room for the name is looked at when the datagram is gone.
 */
static int64_t receive_bytes(struct io *io, uint64_t name, uint64_t room)
{
	struct gz_dgram_head h;
	int64_t n = receive_one(io, &h), len;

	if (n < 0 || !name)
		return n;
	if (!is_memory(room, 4, MAY_WRITE))
		return -EFAULT;
	len = write_name(io, &h, name, *(int32_t *)room);
	if (len < 0)
		return len;
	*(uint32_t *)room = (uint32_t)len;
	return n;
}

static int answer_with(struct io *io, int64_t n)
{
	if (n == TRAPS)
		return TRAP;
	io->r->rax = n;
	return DONE;
}

#define RECEIVES                                                                                   \
	(MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC | MSG_NOSIGNAL | MSG_WAITALL | MSG_CMSG_CLOEXEC)

static int receive_datagram(struct io *io)
{
	const struct regs *r = io->r;
	bool named = r->rax == SYS_recvfrom;

	if (io->flags & ~RECEIVES)
		return TRAP;
	if (r->rax == SYS_recvmsg)
		return answer_with(io, receive_message(io, (struct msghdr *)r->rsi));
	/* sock_read_iter(): nothing is asked for */
	if (!io->len && !named)
		return NATIVE;
	return answer_with(io, receive_bytes(io, named ? r->r8 : 0, r->r9));
}

/* The next message of recvmmsg() and sendmmsg(), whose length is written.  Return: as
 * message_vectors() */
static bool next_message(struct io *io, struct mmsghdr *m, bool receives)
{
	return in_space((uint64_t)m, sizeof(*m)) && is_memory((uint64_t)m, sizeof(*m), MAY_WRITE) &&
	       message_vectors(io, &m->msg_hdr, receives);
}

/* do_recvmmsg(): its time is looked at after each datagram only. */
static int receive_many(struct io *io)
{
	const struct regs *r = io->r;
	struct mmsghdr *m = (struct mmsghdr *)r->rsi;
	uint32_t vlen = (uint32_t)r->rdx, done = 0;
	int flags = io->flags;
	int64_t until, n;

	if (flags & ~(RECEIVES | MSG_WAITFORONE) || !read_limit(r->r8, &until))
		return TRAP;
	n = datagram_error(io);
	while (!n && done < vlen) {
		io->flags = flags & ~MSG_WAITFORONE;
		n = next_message(io, &m[done], true) ? receive_message(io, &m[done].msg_hdr)
						     : TRAPS;
		if (n < 0)
			break;
		m[done++].msg_len = (uint32_t)n;
		n = 0;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		if (until && !write_limit(r->r8, until))
			break;
	}
	/* The next call is to have it. */
	if (done && n < 0 && n != TRAPS && n != -EAGAIN && n != -EINTR && n != -GZ_KICKED)
		io->s->error = (int32_t)n;
	return answer_with(io, done ? done : n);
}

/* --- sending ---------------------------------------------------------------------------- */

/* Return: bytes or -errno; TRAPS */
static int64_t send_one(const struct io *io, const struct gz_dgram_head *h)
{
	struct io head = {.nv = 1, .v = &(struct iovec){(void *)h, sizeof(*h)}};
	const struct gz_dgram_slot *d = about(io->s);
	struct gz_slot *s = io->s;
	struct ring r = tx_ring(s);
	uint64_t tail, size = gz_dgram_size(h->len), at;
	int64_t err = datagram_error(io);
	bool done;

	if (err)
		return err;
	if (vectors_memory(io, 0, io->len, MAY_READ) < io->len)
		return -EFAULT;
	if (!lock(&s->tx_lock))
		return TRAPS;
	tail = __atomic_load_n(r.tail, __ATOMIC_RELAXED);
	done = !(tail & GZ_RING_CLOSED) && tx_room(s) >= size && tx_room(s) <= GZ_SLOT_RING &&
	       __atomic_load_n(&s->tx_plane, __ATOMIC_ACQUIRE) == GZ_PLANE_RING;
	if (done) {
		at = copy_in(&head, &r, 0, tail, sizeof(*h));
		copy_in(io, &r, 0, at, io->len);
		done = __atomic_compare_exchange_n(r.tail, &tail, tail + size, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	}
	if (done) {
		/* First this, or who waits for it would not. */
		__atomic_fetch_or(&SH->sending[io->i / 64], 1ULL << io->i % 64, __ATOMIC_SEQ_CST);
		tell_worker(io);
	}
	unlock(&s->tx_lock);
	if (!done)
		return TRAPS;
	/* The next call is to have the refusal of this one. */
	if ((__atomic_load_n(&d->flags, __ATOMIC_RELAXED) &
	     (GZ_DGRAM_CONNECTED | GZ_DGRAM_PROVEN)) == GZ_DGRAM_CONNECTED)
		await_sent(s, tail + size);
	return h->len;
}

/* To @name, or to the peer, with the control messages of @m, if it is one.  Return: bytes or
 * -errno; TRAPS */
static int64_t send_to(const struct io *io, uint64_t name, uint64_t len, const struct msghdr *m)
{
	struct gz_dgram_head h = {.len = (uint32_t)io->len, .at = tsc()};
	struct gz_dgram_slot *d = about(io->s);
	uint32_t flags = __atomic_load_n(&d->flags, __ATOMIC_RELAXED);
	bool v4 = !(flags & GZ_DGRAM_V6);

	if (io->len > __atomic_load_n(&d->max, __ATOMIC_RELAXED) || flags & GZ_DGRAM_GONE)
		return TRAPS;
	if (name) {
		if (!read_end(d, name, len, &h.end))
			return TRAPS;
		v4 = is_mapped(h.end.addr);
		h.flags = GZ_DGRAM_TO;
	} else if (!(flags & GZ_DGRAM_CONNECTED)) {
		return TRAPS;
	}
	if (m && m->msg_controllen && !read_control(d, m, v4, &h))
		return TRAPS;
	return send_one(io, &h);
}

static int64_t send_message(const struct io *io, const struct msghdr *m)
{
	return send_to(io, (uint64_t)m->msg_name, m->msg_namelen, m);
}

#define SENDS (MSG_DONTWAIT | MSG_NOSIGNAL | MSG_CONFIRM)

static int send_datagram(struct io *io)
{
	const struct regs *r = io->r;
	bool named = r->rax == SYS_sendto;

	if (io->flags & ~SENDS)
		return TRAP;
	if (r->rax == SYS_sendmsg)
		return answer_with(io, send_message(io, (const struct msghdr *)r->rsi));
	return answer_with(io, send_to(io, named ? r->r8 : 0, named ? (uint32_t)r->r9 : 0, NULL));
}

/*
 * __sys_sendmmsg(): it ends before the last one only by an error, and with some sent that is
 * lost.  So what is not for the ring, and all that comes after it, the engine sends before the
 * call returns.
 */
static int send_many(struct io *io)
{
	const struct regs *r = io->r;
	struct mmsghdr *m = (struct mmsghdr *)r->rsi;
	uint32_t vlen = (uint32_t)r->rdx, done = 0;
	int64_t n = 0;

	if (io->flags & ~SENDS)
		return TRAP;
	if (vlen > MESSAGES)
		vlen = MESSAGES;
	while (done < vlen) {
		n = next_message(io, &m[done], false) ? send_message(io, &m[done].msg_hdr) : TRAPS;
		if (n < 0)
			break;
		m[done++].msg_len = (uint32_t)n;
	}
	if (done && n == TRAPS) {
		n = gz_trap(SYS_sendmmsg, r->rdi, (uint64_t)&m[done], vlen - done, r->r10, 0, 0);
		done += n > 0 ? (uint32_t)n : 0;
	}
	return answer_with(io, done ? done : n);
}

static bool is_many(const struct regs *r)
{
	return r->rax == SYS_recvmmsg || r->rax == SYS_sendmmsg;
}

/* Those with flags: whether they are messages */
static bool read_flags(struct io *io)
{
	const struct regs *r = io->r;

	if (r->rax == SYS_recvfrom || r->rax == SYS_sendto || is_many(r))
		io->flags = (int)r->r10;
	else if (r->rax == SYS_recvmsg || r->rax == SYS_sendmsg)
		io->flags = (int)r->rdx;
	return r->rax == SYS_recvmsg || r->rax == SYS_sendmsg || is_many(r);
}

int datagram_call(struct io *io)
{
	struct regs *r = io->r;
	bool receives = r->rax == SYS_read || r->rax == SYS_readv || r->rax == SYS_recvfrom ||
			r->rax == SYS_recvmsg || r->rax == SYS_recvmmsg;
	bool is_message = read_flags(io);
	bool has_name = (r->rax == SYS_recvfrom || r->rax == SYS_sendto) && r->r8;
	uint32_t plane;

	plane = __atomic_load_n(receives ? &io->s->rx_plane : &io->s->tx_plane, __ATOMIC_ACQUIRE);
	if (plane != GZ_PLANE_RING && receives)
		await_sending();
	if (plane != GZ_PLANE_RING)
		return plane == GZ_PLANE_NATIVE && !is_message && !has_name &&
			       !(io->flags & (MSG_OOB | MSG_ERRQUEUE | MSG_TRUNC | MSG_FASTOPEN))
			   ? NATIVE
			   : TRAP;
	if (is_many(r))
		return receives ? receive_many(io) : send_many(io);
	/* The engine, or the kernel, has the right error for what is bad. */
	if (r->rax == SYS_sendfile ||
	    (is_message ? !message_vectors(io, (struct msghdr *)r->rsi, receives) : !vectors(io)))
		return TRAP;
	return receives ? receive_datagram(io) : send_datagram(io);
}

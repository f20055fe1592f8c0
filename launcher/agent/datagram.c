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
 * What is not ordinary traps: a destination that the engine has not seen yet (known[]), one
 * for many, control messages, a size beyond gz_dgram_slot.max, a ring without room.  The engine
 * sends what is in the ring first.
 */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "launcher/agent/agent.h"

#define SENDING_NS 200000000LL /* others may have the worker's core */
#define FUTILE 100
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

static bool is_known_end(const struct gz_dgram_slot *d, const struct gz_dgram_end *e)
{
	for (uint32_t k = 0; k < GZ_DGRAM_KNOWN; k++)
		if (d->known[k].used && same_end(&d->known[k], e))
			return true;
	return false;
}

/* Who has sent something may be answered. */
static void know_end(struct gz_dgram_slot *d, const struct gz_dgram_end *e)
{
	struct gz_dgram_end *k;

	if (is_known_end(d, e))
		return;
	k = &d->known[__atomic_fetch_add(&d->next, 1, __ATOMIC_RELAXED) % GZ_DGRAM_KNOWN];
	*k = *e;
	k->used = 1;
}

/* A destination.  Return: false, the engine is to look at it, or the memory is bad */
static bool read_end(const struct gz_dgram_slot *d, uint64_t addr, uint64_t len,
		     struct gz_dgram_end *e)
{
	const union name *n = (const union name *)addr;
	bool v4 = __atomic_load_n(&d->family, __ATOMIC_RELAXED) == AF_INET;

	if (len < (v4 ? sizeof(n->in) : sizeof(n->in6)) || len > 128 || !in_space(addr, len) ||
	    !is_memory(addr, v4 ? sizeof(n->in) : sizeof(n->in6), MAY_READ))
		return false;
	if (v4) {
		*e = (struct gz_dgram_end){.port = n->in.sin_port, .addr = {[10] = 0xff, 0xff}};
		__builtin_memcpy(e->addr + 12, &n->in.sin_addr, 4);
		return n->in.sin_family == AF_INET && is_known_end(d, e);
	}
	*e = (struct gz_dgram_end){.port = n->in6.sin6_port};
	__builtin_memcpy(e->addr, &n->in6.sin6_addr, 16);
	return n->in6.sin6_family == AF_INET6 && is_known_end(d, e);
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

/* Return: bytes or -errno; TRAPS */
static int64_t receive_one(struct io *io, struct gz_dgram_head *h)
{
	bool good = true, settled = false;
	int futile = 0, locked = 0;
	int64_t n, r;

	r = datagram_error(io);
	if (r)
		return r;
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
		know_end(about(io->s), &h->end);
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

static int receive_datagram(struct io *io)
{
	const int known =
	    MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC | MSG_NOSIGNAL | MSG_WAITALL | MSG_CMSG_CLOEXEC;
	struct regs *r = io->r;
	struct msghdr *m = r->rax == SYS_recvmsg ? (struct msghdr *)r->rsi : NULL;
	struct gz_dgram_head h;
	int64_t n, len = 0;
	int nr = (int)r->rax;

	if (io->flags & ~known)
		return TRAP;
	/* sock_read_iter(): nothing is asked for */
	if (!io->len && (nr == SYS_read || nr == SYS_readv))
		return NATIVE;
	n = receive_one(io, &h);
	if (n == TRAPS)
		return TRAP;
	/* The room for the name is looked at when the datagram is gone. */
	if (n >= 0 && nr == SYS_recvfrom && r->r8) {
		if (!is_memory(r->r9, 4, MAY_WRITE))
			len = -EFAULT;
		else
			len = write_name(io, &h, r->r8, *(int32_t *)r->r9);
		if (len >= 0)
			*(uint32_t *)r->r9 = (uint32_t)len;
	} else if (n >= 0 && m) {
		if (m->msg_name)
			len = write_name(io, &h, (uint64_t)m->msg_name, (int32_t)m->msg_namelen);
		if (len >= 0) {
			m->msg_namelen = m->msg_name ? (uint32_t)len : m->msg_namelen;
			m->msg_controllen = 0;
			m->msg_flags =
			    (io->flags & MSG_CMSG_CLOEXEC) | (h.len > io->len ? MSG_TRUNC : 0);
		}
	}
	r->rax = len < 0 ? len : n;
	return DONE;
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

static int send_datagram(struct io *io)
{
	const int known = MSG_DONTWAIT | MSG_NOSIGNAL | MSG_CONFIRM;
	const struct gz_dgram_slot *d = about(io->s);
	struct gz_dgram_head h = {.len = (uint32_t)io->len, .at = tsc()};
	const struct regs *r = io->r;
	uint64_t name = 0, len = 0;
	int64_t n;

	if (io->flags & ~known || io->len > __atomic_load_n(&d->max, __ATOMIC_RELAXED))
		return TRAP;
	if (r->rax == SYS_sendto) {
		name = r->r8;
		len = (uint32_t)r->r9;
	} else if (r->rax == SYS_sendmsg) {
		const struct msghdr *m = (const struct msghdr *)r->rsi;

		if (m->msg_controllen)
			return TRAP;
		name = (uint64_t)m->msg_name;
		len = m->msg_namelen;
	}
	if (name) {
		if (!read_end(d, name, len, &h.end))
			return TRAP;
		h.flags = GZ_DGRAM_TO;
	} else if (!(__atomic_load_n(&d->flags, __ATOMIC_RELAXED) & GZ_DGRAM_CONNECTED)) {
		return TRAP;
	}
	n = send_one(io, &h);
	if (n == TRAPS)
		return TRAP;
	io->r->rax = n;
	return DONE;
}

int datagram_call(struct io *io)
{
	struct regs *r = io->r;
	bool receives = r->rax == SYS_read || r->rax == SYS_readv || r->rax == SYS_recvfrom ||
			r->rax == SYS_recvmsg;
	bool is_message = r->rax == SYS_recvmsg || r->rax == SYS_sendmsg;
	bool has_name = (r->rax == SYS_recvfrom || r->rax == SYS_sendto) && r->r8;
	uint32_t plane;

	if (r->rax == SYS_recvfrom || r->rax == SYS_sendto)
		io->flags = (int)r->r10;
	else if (is_message)
		io->flags = (int)r->rdx;
	plane = __atomic_load_n(receives ? &io->s->rx_plane : &io->s->tx_plane, __ATOMIC_ACQUIRE);
	if (plane != GZ_PLANE_RING && receives)
		await_sending();
	if (plane != GZ_PLANE_RING)
		return plane == GZ_PLANE_NATIVE && !is_message && !has_name &&
			       !(io->flags & (MSG_OOB | MSG_ERRQUEUE | MSG_TRUNC | MSG_FASTOPEN))
			   ? NATIVE
			   : TRAP;
	/* The engine, or the kernel, has the right error for what is bad. */
	if (r->rax == SYS_sendfile || (is_message ? !message_vectors(io) : !vectors(io)))
		return TRAP;
	return receives ? receive_datagram(io) : send_datagram(io);
}

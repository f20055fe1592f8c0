/* SPDX-License-Identifier: BSD-3-Clause
 *
 * agent.c - What runs in the program, at its data calls
 *
 * Theory of operation.  entry.S comes here with the registers of a system call.
 * The answer is DONE (the result is in rax), NATIVE (let the kernel run it, on the
 * shadow) or TRAP (let the engine be asked, by the program's own `syscall`).
 * Whenever something is out of the ordinary, a flag, a full ring, a lock that
 * another thread holds, it is TRAP: the engine then moves the socket to the relay
 * plane (engine/plane.c) and the kernel runs the call.
 *
 * The rings say what there is to read; the shadow says the rest, and is where one
 * sleeps.  While bytes lie in the rx ring a token byte lies in the shadow, so that
 * poll(), select() and epoll see it.  Who empties the ring takes the token.  An
 * empty ring is answered by peeking at the shadow natively: end of file, errors,
 * EAGAIN, time-outs, signals and restarts are then the kernel's own.
 *
 * No libc, no TLS, no vector registers, no data of its own; any thread may be
 * here, at any moment, also in a signal handler that interrupted another one here.
 * No lock is held across a call that sleeps.
 */
#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "launcher/agent/abi.h"

enum { DONE, NATIVE, TRAP };

/* As entry.S pushed them. */
struct regs {
	int64_t rax;
	uint64_t r9, r8, r10, rdx, rsi, rdi, rcx;
};

/* What a call asks for. */
struct io {
	struct regs *r;
	int fd;
	uint32_t i; /* the slot's number */
	struct gz_slot *s;
	struct iovec one;
	const struct iovec *v;
	uint64_t nv, len;
	int flags;
};

#define SH ((struct gz_shared *)GZ_AGENT_SHARED)
#define KEPT ((const struct gz_agent_kept *)GZ_AGENT_KEPT)
#define PRIV ((struct gz_agent_private *)GZ_AGENT_PRIVATE)

#define NOT_OURS (-1)
#define ASK (-2)
#define VECTORS 64
#define LOCK_TRIES 200
#define YIELDS 20
#define DRAINS 100
#define FUTILE 100		    /* looks at a shadow that says what is not so */
#define SPACE_FIRST 65536	    /* vm.mmap_min_addr: no buffer is below ... */
#define SPACE_END 0x7ffffffff000ULL /* ... nor above: EFAULT is the kernel's to say */

int gz_agent(struct regs *r);

static inline int64_t call(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	register uint64_t r10 __asm__("r10") = d;
	register uint64_t r8 __asm__("r8") = 0;
	register uint64_t r9 __asm__("r9") = 0;
	int64_t r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
}

static inline void copy(void *dst, const void *src, uint64_t n)
{
	uint8_t *d = dst;
	const uint8_t *s = src;

	if (n > 256) {
		__asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n)::"memory");
		return;
	}
	for (; n >= 8; n -= 8, d += 8, s += 8)
		__builtin_memcpy(d, s, 8);
	for (; n; n--)
		*d++ = *s++;
}

/* --- descriptors --------------------------------------------------------- */

/* The slot of the shadow with this inode, or NOT_OURS */
static int find(uint64_t ino, uint32_t *gen)
{
	uint32_t n = __atomic_load_n(&SH->used, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < n && i < GZ_SLOTS; i++) {
		if (__atomic_load_n(&SH->ino[i], __ATOMIC_ACQUIRE) != ino)
			continue;
		*gen = __atomic_load_n(&SH->slot[i].gen, __ATOMIC_ACQUIRE);
		if (__atomic_load_n(&SH->ino[i], __ATOMIC_ACQUIRE) == ino)
			return (int)i;
	}
	return NOT_OURS;
}

/* A vfork() child has this memory and other descriptors: it keeps nothing here. */
static bool may_keep(void)
{
	int32_t pid = (int32_t)call(SYS_getpid, 0, 0, 0, 0), none = 0;

	if (__atomic_compare_exchange_n(&PRIV->owner, &none, pid, false, __ATOMIC_SEQ_CST,
					__ATOMIC_SEQ_CST))
		return true;
	return none == pid;
}

/* Ask the kernel what @fd is.  @seen: what the table said, which must still hold */
static int resolve(uint32_t fd, uint64_t *entry, uint64_t seen)
{
	uint32_t stamp = __atomic_load_n(&SH->epoch, __ATOMIC_ACQUIRE), high;
	int slot = NOT_OURS, kind = GZ_FD_FILE;
	struct stat st;

	if (call(SYS_fstat, fd, (uint64_t)&st, 0, 0) < 0)
		return NOT_OURS;
	if (S_ISSOCK(st.st_mode)) {
		slot = find(st.st_ino, &stamp);
		kind = slot < 0 ? GZ_FD_SOCKET : GZ_FD_SLOT + slot;
	} else {
		stamp = 0;
	}
	if (!entry || !may_keep())
		return slot;
	high = __atomic_load_n(&PRIV->high_fd, __ATOMIC_RELAXED);
	while (fd > high && !__atomic_compare_exchange_n(&PRIV->high_fd, &high, fd, false,
							 __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		;
	__atomic_compare_exchange_n(entry, &seen,
				    (seen >> 48 << 48) | (uint64_t)stamp << 16 | (uint64_t)kind,
				    false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	return slot;
}

/* Return: the slot of @fd, NOT_OURS or ASK */
static int lookup(uint32_t fd)
{
	uint64_t *entry = fd < GZ_FD_MAX ? &PRIV->fd[fd] : NULL;
	uint64_t e = entry ? __atomic_load_n(entry, __ATOMIC_ACQUIRE) : 0;
	uint32_t kind = e & 0xffff, stamp = (uint32_t)(e >> 16);

	switch (kind) {
	case GZ_FD_UNKNOWN:
		break;
	case GZ_FD_FILE:
		return NOT_OURS;
	case GZ_FD_SOCKET:
		if (stamp == __atomic_load_n(&SH->epoch, __ATOMIC_ACQUIRE))
			return NOT_OURS;
		break;
	case GZ_FD_POISON:
		return ASK;
	default:
		if (stamp == __atomic_load_n(&SH->slot[kind - GZ_FD_SLOT].gen, __ATOMIC_ACQUIRE))
			return (int)(kind - GZ_FD_SLOT);
	}
	return resolve(fd, entry, e);
}

static void forget(uint32_t fd)
{
	uint64_t e, next;

	if (fd >= GZ_FD_MAX)
		return;
	e = __atomic_load_n(&PRIV->fd[fd], __ATOMIC_RELAXED);
	do {
		if ((e & 0xffff) == GZ_FD_POISON)
			return;
		next = ((e >> 48) + 1) << 48;
	} while (!__atomic_compare_exchange_n(&PRIV->fd[fd], &e, next, false, __ATOMIC_SEQ_CST,
					      __ATOMIC_RELAXED));
}

static void forget_range(uint32_t first, uint32_t last)
{
	uint32_t high = __atomic_load_n(&PRIV->high_fd, __ATOMIC_RELAXED);

	for (uint64_t fd = first; fd <= last && fd <= high; fd++)
		forget((uint32_t)fd);
}

/*
 * close() and its kin.  Forgotten before, or another thread would still use what
 * is being closed; and after, or one that looked in between would keep it.
 */
static int closing(struct regs *r)
{
	uint32_t first = (uint32_t)r->rdi, last = first;

	if (r->rax == SYS_dup2 || r->rax == SYS_dup3)
		first = last = (uint32_t)r->rsi;
	else if (r->rax == SYS_close_range)
		last = (uint32_t)r->rsi;
	else if (r->rax != SYS_close)
		return TRAP;
	forget_range(first, last);
	r->rax = call(r->rax, r->rdi, r->rsi, r->rdx, r->r10);
	forget_range(first, last);
	return DONE;
}

/* --- rings --------------------------------------------------------------- */

static bool lock(uint32_t *l)
{
	for (int i = 0; i < LOCK_TRIES + YIELDS; i++) {
		if (!__atomic_load_n(l, __ATOMIC_RELAXED) &&
		    !__atomic_exchange_n(l, 1, __ATOMIC_ACQUIRE))
			return true;
		if (i < LOCK_TRIES)
			__builtin_ia32_pause();
		else
			call(SYS_sched_yield, 0, 0, 0, 0);
	}
	return false;
}

static void unlock(uint32_t *l)
{
	__atomic_store_n(l, 0, __ATOMIC_RELEASE);
}

static int by_plane(uint32_t plane)
{
	return plane == GZ_PLANE_NATIVE ? NATIVE : TRAP;
}

static bool is_empty(const struct gz_slot *s)
{
	return __atomic_load_n(&s->rx_tail, __ATOMIC_ACQUIRE) ==
	       (__atomic_load_n(&s->rx_head, __ATOMIC_RELAXED) & ~GZ_RING_CLOSED);
}

/* Tell the worker to look at the slot.  A lock of the slot is held: see engine/plane.c */
static void tell(const struct io *io)
{
	char byte = 0;

	__atomic_fetch_or(&SH->dirty[io->i / 64], 1ULL << io->i % 64, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&SH->asleep, __ATOMIC_SEQ_CST))
		call(SYS_sendto, (uint64_t)io->fd, (uint64_t)&byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Read @n bytes, and those that are owed, out of the shadow.  rx_lock held */
static void drain(const struct io *io, uint32_t n)
{
	char bytes[64];

	n += io->s->debt;
	io->s->debt = 0;

	/* The engine announces each just before it sends it. */
	for (int i = 0; n && i < DRAINS; i++) {
		int64_t r = call(SYS_recvfrom, (uint64_t)io->fd, (uint64_t)bytes,
				 n < sizeof(bytes) ? n : sizeof(bytes), MSG_DONTWAIT);

		if (r > 0)
			n -= (uint32_t)r;
		else if (r == -EAGAIN)
			call(SYS_sched_yield, 0, 0, 0, 0);
		else
			return; /* nothing comes any more */
	}
	io->s->debt = n;
}

/*
 * The ring was seen empty: so must be the shadow.  Bytes that come from the
 * exchange on bring a token of their own; for those that came just before it, ours
 * stay.
 */
static void settle(const struct io *io)
{
	struct gz_slot *s = io->s;
	uint32_t n;

	if (!__atomic_load_n(&s->token, __ATOMIC_RELAXED))
		return;
	n = __atomic_exchange_n(&s->token, 0, __ATOMIC_SEQ_CST);
	if (is_empty(s))
		drain(io, n);
	else
		__atomic_fetch_add(&s->token, n, __ATOMIC_SEQ_CST);
}

/* Bytes @skip to the end of the vectors, at most @n.  Return: how many were copied */
static uint64_t scatter(const struct io *io, uint64_t skip, uint64_t pos, uint64_t n)
{
	const uint8_t *data = gz_slot_rx(SH, io->i);
	uint64_t left = n;

	for (uint64_t k = 0; k < io->nv && left; k++) {
		uint8_t *to = io->v[k].iov_base;
		uint64_t len = io->v[k].iov_len;

		if (skip >= len) {
			skip -= len;
			continue;
		}
		to += skip;
		len -= skip;
		skip = 0;
		if (len > left)
			len = left;
		left -= len;
		while (len) {
			uint64_t at = pos % GZ_SLOT_RING;
			uint64_t part = len < GZ_SLOT_RING - at ? len : GZ_SLOT_RING - at;

			copy(to, data + at, part);
			to += part;
			pos += part;
			len -= part;
		}
	}
	return n - left;
}

/* rx_lock held; @got bytes are there already.  Return: bytes, 0: none, -1: closed */
static int64_t take(const struct io *io, uint64_t got)
{
	struct gz_slot *s = io->s;
	uint64_t head = __atomic_load_n(&s->rx_head, __ATOMIC_RELAXED), n;

	if (head & GZ_RING_CLOSED)
		return -1;
	n = __atomic_load_n(&s->rx_tail, __ATOMIC_ACQUIRE) - head;
	if (n)
		n = scatter(io, got, head, n);
	if (!(io->flags & MSG_PEEK) && n &&
	    !__atomic_compare_exchange_n(&s->rx_head, &head, head + n, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_RELAXED))
		return -1;
	return (int64_t)n;
}

/* One look at the ring.  Return: bytes, 0: none, -1: it is not the ring that has them */
static int64_t receive_once(const struct io *io, uint64_t got)
{
	struct gz_slot *s = io->s;
	int64_t n;

	if (__atomic_load_n(&s->rx_plane, __ATOMIC_ACQUIRE) != GZ_PLANE_RING || !lock(&s->rx_lock))
		return -1;
	n = take(io, got);
	if (n > 0 && !(io->flags & MSG_PEEK)) {
		if (is_empty(s))
			settle(io);
		if (__atomic_load_n(&s->rx_full, __ATOMIC_SEQ_CST))
			tell(io);
	}
	unlock(&s->rx_lock);
	return n;
}

/* A byte lay in the shadow and none in the ring: it came late, or was another thread's. */
static bool take_stale_token(const struct io *io)
{
	struct gz_slot *s = io->s;

	if (!lock(&s->rx_lock))
		return false;
	if (is_empty(s) && __atomic_load_n(&s->rx_plane, __ATOMIC_ACQUIRE) == GZ_PLANE_RING &&
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

/* What the shadow says of an empty ring: 1, look again; else the call's result */
static int64_t ask_shadow(const struct io *io)
{
	struct gz_slot *s = io->s;
	int64_t r = __atomic_exchange_n(&s->error, 0, __ATOMIC_RELAXED);
	char byte;

	if (!r)
		r = call(SYS_recvfrom, (uint64_t)io->fd, (uint64_t)&byte, 1,
			 MSG_PEEK | (io->flags & MSG_DONTWAIT));
	if (r > 0 || is_empty(s))
		return r;
	/* Bytes came before the end of file, or the error. */
	if (r < 0 && r != -EAGAIN && r != -EINTR)
		__atomic_store_n(&s->error, (int32_t)r, __ATOMIC_RELAXED);
	return 1;
}

static int receive(struct io *io)
{
	const int known = MSG_DONTWAIT | MSG_PEEK | MSG_WAITALL | MSG_NOSIGNAL | MSG_CMSG_CLOEXEC;
	struct gz_slot *s = io->s;
	uint64_t got = 0;
	int futile = 0;

	if (io->flags & ~known || (io->flags & MSG_PEEK && io->flags & MSG_WAITALL))
		return TRAP;
	if (!io->len)
		return NATIVE;
	for (;;) {
		int64_t r = receive_once(io, got);

		if (r > 0) {
			got += (uint64_t)r;
			if (io->flags & MSG_WAITALL && got < io->len)
				continue;
			break;
		}
		if (r < 0 && !got)
			return by_plane(__atomic_load_n(&s->rx_plane, __ATOMIC_ACQUIRE));
		if (r < 0)
			break; /* the rest is another call's */
		r = ask_shadow(io);
		if (r <= 0 && got)
			break;
		if (r <= 0) {
			io->r->rax = r;
			return DONE;
		}
		if (is_empty(s) && (++futile > FUTILE || !take_stale_token(io))) {
			if (got)
				break;
			return TRAP;
		}
	}
	io->r->rax = (int64_t)got;
	return DONE;
}

/* tx_lock held.  Return: 1 done, 0: no room, -1: closed */
static int put(const struct io *io)
{
	struct gz_slot *s = io->s;
	uint64_t tail = __atomic_load_n(&s->tx_tail, __ATOMIC_RELAXED), pos = tail;
	uint8_t *data = gz_slot_tx(SH, io->i);

	if (tail & GZ_RING_CLOSED)
		return -1;
	if (io->len > GZ_SLOT_RING - (tail - __atomic_load_n(&s->tx_head, __ATOMIC_ACQUIRE)))
		return 0;
	for (uint64_t k = 0; k < io->nv; k++) {
		const uint8_t *from = io->v[k].iov_base;
		uint64_t n = io->v[k].iov_len;

		while (n) {
			uint64_t at = pos % GZ_SLOT_RING;
			uint64_t part = n < GZ_SLOT_RING - at ? n : GZ_SLOT_RING - at;

			copy(data + at, from, part);
			from += part;
			pos += part;
			n -= part;
		}
	}
	/* Another thread may have changed the vectors since they were counted. */
	if (pos - tail != io->len)
		return -1;
	return __atomic_compare_exchange_n(&s->tx_tail, &tail, pos, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED)
		   ? 1
		   : -1;
}

static int transmit(struct io *io)
{
	const int known = MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE;
	struct gz_slot *s = io->s;

	if (io->flags & ~known || io->len > GZ_SLOT_RING)
		return TRAP;
	if (!io->len)
		return NATIVE;
	for (int i = 0; i < YIELDS; i++) {
		int done;

		if (__atomic_load_n(&s->tx_plane, __ATOMIC_ACQUIRE) != GZ_PLANE_RING ||
		    !lock(&s->tx_lock))
			break;
		done = put(io);
		if (done > 0)
			tell(io);
		unlock(&s->tx_lock);
		if (done > 0) {
			io->r->rax = (int64_t)io->len;
			return DONE;
		}
		if (done < 0)
			break;
		/* The worker needs no more than a moment; else the relay has room. */
		call(SYS_sched_yield, 0, 0, 0, 0);
	}
	/* An engine that is gone takes nothing and answers nobody: EPIPE is the shadow's. */
	if (call(SYS_sendto, (uint64_t)io->fd, 0, 0, MSG_DONTWAIT | MSG_NOSIGNAL) == -EPIPE)
		return NATIVE;
	return by_plane(__atomic_load_n(&s->tx_plane, __ATOMIC_ACQUIRE));
}

/* --- calls --------------------------------------------------------------- */

static bool in_space(uint64_t addr, uint64_t len)
{
	return addr >= SPACE_FIRST && addr < SPACE_END && len <= SPACE_END - addr;
}

/* The vectors of a call.  Return: false where the kernel is to judge them */
static bool vectors(struct io *io)
{
	const struct regs *r = io->r;

	if (r->rax != SYS_readv && r->rax != SYS_writev) {
		io->one.iov_base = (void *)r->rsi;
		io->one.iov_len = io->len = r->rdx;
		io->v = &io->one;
		io->nv = 1;
		return !io->len || in_space(r->rsi, io->len);
	}
	if (r->rdx > VECTORS || !in_space(r->rsi, r->rdx * sizeof(struct iovec)))
		return false;
	io->v = (const struct iovec *)r->rsi;
	io->nv = r->rdx;
	for (uint64_t k = 0; k < io->nv; k++) {
		if (io->v[k].iov_len && !in_space((uint64_t)io->v[k].iov_base, io->v[k].iov_len))
			return false;
		io->len += io->v[k].iov_len;
	}
	return io->len < SPACE_END;
}

/* Return: TRAP, NATIVE, or DONE with rax */
int gz_agent(struct regs *r)
{
	struct io io = {.r = r, .fd = (int)r->rdi};
	const uint32_t *plane;
	bool receives;
	int slot;

	if (__atomic_load_n(&KEPT->quiet, __ATOMIC_RELAXED))
		return NATIVE;
	switch (r->rax) {
	case SYS_read:
	case SYS_readv:
	case SYS_write:
	case SYS_writev:
	case SYS_recvfrom:
	case SYS_sendto:
		break;
	default:
		return closing(r);
	}
	if (r->rax == SYS_recvfrom || r->rax == SYS_sendto) {
		/* An address, and what else the engine wants to see of any socket */
		if (r->r8 || r->r10 & (MSG_OOB | MSG_ERRQUEUE | MSG_TRUNC | MSG_FASTOPEN))
			return TRAP;
		io.flags = (int)r->r10;
	}
	slot = lookup((uint32_t)io.fd);
	if (slot < 0)
		return slot == ASK ? TRAP : NATIVE;
	io.i = (uint32_t)slot;
	io.s = &SH->slot[slot];
	/* What has left the rings needs no look at anything. */
	receives = r->rax == SYS_read || r->rax == SYS_readv || r->rax == SYS_recvfrom;
	plane = receives ? &io.s->rx_plane : &io.s->tx_plane;
	if (__atomic_load_n(plane, __ATOMIC_ACQUIRE) == GZ_PLANE_NATIVE)
		return NATIVE;
	if (!vectors(&io))
		return TRAP;
	return receives ? receive(&io) : transmit(&io);
}

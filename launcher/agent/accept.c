/* SPDX-License-Identifier: BSD-3-Clause
 *
 * accept.c - accept() where the connection is prepared
 *
 * Theory of operation.  A listener's shadow is an AF_UNIX socket that listens, and the
 * engine connects to it once for each connection.  So the kernel's own accept() on it has
 * all that matters: who waits, in whatever process, is woken once and in turn, the number is
 * the lowest that is free, limits, time, signals and restarts are as ever.  The engine gives
 * the connection its slot before it knocks; what is left to do is to read which one
 * (struct gz_knock), to send the byte that stays unread at the engine's end
 * (engine/relay.c), and to say that it was accepted (gz_shared.accepted).
 *
 * One without a slot is handed to the engine, which does what it does for an accept() that
 * traps.  A listener with SO_RCVTIMEO, or options that a slot has not, traps (gz_slot.listens).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "launcher/agent/agent.h"

#define KNOCK_MS 1000 /* it comes right after the connection */

/* Can the address be written?  It is asked before anything is taken. */
static bool is_name_good(const struct regs *r)
{
	int len;

	if (!r->rsi)
		return true;
	if (!is_memory(r->rdx, sizeof(len), MAY_WRITE))
		return false;
	__builtin_memcpy(&len, (const void *)r->rdx, sizeof(len));
	if (len < 0)
		return false;
	return is_memory(r->rsi, (uint64_t)(len < GZ_PEER ? len : GZ_PEER), MAY_WRITE);
}

static void write_name(const struct regs *r, const struct gz_slot *s)
{
	int len, have = s->peer_len <= GZ_PEER ? (int)s->peer_len : GZ_PEER;

	if (!r->rsi)
		return;
	__builtin_memcpy(&len, (const void *)r->rdx, sizeof(len));
	for (int i = 0; i < have && i < len; i++)
		((uint8_t *)r->rsi)[i] = s->peer[i];
	__builtin_memcpy((void *)r->rdx, &have, sizeof(have));
}

bool is_nonblocking(int fd)
{
	return call(SYS_fcntl, (uint64_t)fd, F_GETFL, 0, 0) & O_NONBLOCK;
}

static bool listens(const struct gz_slot *l)
{
	return __atomic_load_n(&l->listens, __ATOMIC_SEQ_CST);
}

/* Is one there?  Only a guess: who was killed has not counted what it took. */
static bool is_offered(const struct gz_slot *l)
{
	return (int32_t)(__atomic_load_n(&l->offered, __ATOMIC_SEQ_CST) -
			 __atomic_load_n(&l->taken, __ATOMIC_SEQ_CST)) > 0;
}

/* Nothing came yet: it may be about to. */
static void await_offer(const struct gz_slot *l)
{
	struct spin sp;
	bool found;

	spin_begin(&sp);
	do {
		found = is_offered(l);
	} while (!found && listens(l) && spin_more(&sp));
	spin_end(&sp, found);
}

/* The kernel's accept().  Return: a descriptor; -errno */
static int64_t take_one(struct gz_slot *l, int fd, int flags)
{
	int64_t r = -EINVAL;

	if (!is_offered(l) && !is_nonblocking(fd))
		await_offer(l);
	/* Who ends the listening wakes as many as are counted, after that. */
	__atomic_fetch_add(&l->accepting, 1, __ATOMIC_SEQ_CST);
	if (listens(l))
		r = gz_sleep(SYS_accept4, (uint64_t)fd, 0, 0, (uint64_t)flags, 0, 0);
	__atomic_fetch_sub(&l->accepting, 1, __ATOMIC_SEQ_CST);
	if (r >= 0)
		__atomic_fetch_add(&l->taken, 1, __ATOMIC_SEQ_CST);
	return r;
}

/* What the engine has to say.  Return: false, it is nobody's knock */
static bool read_knock(int fd, struct gz_knock *k)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int64_t r;

	for (;;) {
		r = call6(SYS_recvfrom, (uint64_t)fd, (uint64_t)k, sizeof(*k), MSG_DONTWAIT, 0, 0);
		if (r != -EAGAIN)
			return r == sizeof(*k) && k->id;
		r = call(SYS_poll, (uint64_t)&p, 1, KNOCK_MS, 0);
		if (!r || (r < 0 && r != -EINTR))
			return false;
	}
}

/* Return: false, it cannot be had here */
static bool begin(int fd, const struct gz_knock *k, int flags)
{
	struct io io = {.fd = fd, .i = k->slot, .s = &SH->slot[k->slot]};
	struct stat st;
	char byte = 0;

	if (call(SYS_fstat, (uint64_t)fd, (uint64_t)&st, 0, 0) < 0 || !lock(&io.s->tx_lock))
		return false;
	io.s->fd = fd;
	__atomic_store_n(&io.s->nonblock, (flags & SOCK_NONBLOCK) != 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&SH->ino[io.i], st.st_ino, __ATOMIC_SEQ_CST);
	/* Should somebody have asked what the number is */
	__atomic_fetch_add(&SH->epoch, 1, __ATOMIC_SEQ_CST);
	learn((uint32_t)fd, io.i);
	call6(SYS_sendto, (uint64_t)fd, (uint64_t)&byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);
	__atomic_fetch_or(&SH->accepted[io.i / 64], 1ULL << io.i % 64, __ATOMIC_SEQ_CST);
	tell_worker(&io);
	unlock(&io.s->tx_lock);
	return true;
}

int accept_call(struct regs *r)
{
	int lfd = (int)r->rdi, flags = r->rax == SYS_accept4 ? (int)r->r10 : 0;
	int slot = lookup((uint32_t)lfd);
	struct gz_knock k;
	struct gz_slot *l;
	int64_t fd, rc;

	if (slot < 0)
		return TRAP;
	l = &SH->slot[slot];
	if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC) || !is_name_good(r))
		return TRAP;
	for (;;) {
		if (!listens(l))
			return TRAP;
		fd = take_one(l, lfd, flags);
		/* The engine has taken one from before us, which lasts a moment (accept.c). */
		if (fd == -EAGAIN && !is_nonblocking(lfd))
			continue;
		if (fd == -EINVAL)
			return TRAP;
		if (fd < 0)
			break;
		if (!read_knock((int)fd, &k)) {
			call(SYS_close, (uint64_t)fd, 0, 0, 0);
			return TRAP;
		}
		if (k.slot < GZ_SLOTS && SH->slot[k.slot].offer == k.id &&
		    begin((int)fd, &k, flags)) {
			write_name(r, &SH->slot[k.slot]);
			break;
		}
		rc = gz_ask_about((uint64_t)(uint32_t)lfd << 32 | GZ_ASK_ACCEPTED | (uint64_t)flags,
				  (uint64_t)fd, k.id, r->rsi, r->rdx);
		if (rc < 0)
			call(SYS_close, (uint64_t)fd, 0, 0, 0);
		fd = rc;
		if (rc != -ENOENT)
			break;
	}
	r->rax = fd;
	return DONE;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * many.c - recvmmsg() and sendmmsg() of connections: as many calls of recvmsg() and sendmsg()
 *
 * What ends them early, and what becomes of an error then, is as in do_recvmmsg() and
 * __sys_sendmmsg().  What the agent cannot go on with the engine does, which makes the socket
 * leave the rings, from the message on whose turn it is.
 */
#include <errno.h>

#include "launcher/agent/agent.h"

#define LIMIT_MAX 1000000000 /* s; longer ones are the engine's */
#define MESSAGES 1024	     /* UIO_MAXIOV: sendmmsg() sends no more */

bool read_limit(uint64_t addr, int64_t *until)
{
	struct timespec t;

	*until = 0;
	if (!addr)
		return true;
	if (!in_space(addr, sizeof(t)) || !is_memory(addr, sizeof(t), MAY_WRITE))
		return false;
	__builtin_memcpy(&t, (const void *)addr, sizeof(t));
	if (t.tv_sec < 0 || t.tv_sec > LIMIT_MAX || t.tv_nsec < 0 || t.tv_nsec >= 1000000000)
		return false;
	*until = now_ns() + t.tv_sec * 1000000000LL + t.tv_nsec;
	return true;
}

bool write_limit(uint64_t addr, int64_t until)
{
	int64_t left = until - now_ns();
	struct timespec t = {left > 0 ? left / 1000000000 : 0, left > 0 ? left % 1000000000 : 0};

	__builtin_memcpy((void *)addr, &t, sizeof(t));
	return left > 0;
}

/* One message.  *@whole: all of it was sent.  Return: bytes, -errno, *@traps: the engine is to */
static int64_t one_message(struct io *io, struct mmsghdr *m, int flags, bool *whole, bool *traps)
{
	bool receives = io->r->rax == SYS_recvmmsg;
	struct regs r = {.rax = receives ? SYS_recvmsg : SYS_sendmsg,
			 .rdi = io->r->rdi,
			 .rsi = (uint64_t)&m->msg_hdr,
			 .rdx = (uint32_t)flags};
	struct io one = {.r = &r,
			 .fd = io->fd,
			 .i = io->i,
			 .s = io->s,
			 .flags = flags,
			 .waits = io->waits,
			 .held = io->held,
			 .waiting = io->waiting,
			 .mask = io->mask};

	if (!in_space((uint64_t)m, sizeof(*m)) || !is_memory((uint64_t)m, sizeof(*m), MAY_WRITE))
		return -EFAULT;
	*traps = stream_call(&one) != DONE;
	io->fd = one.fd;
	io->waits = one.waits;
	io->held = one.held;
	io->waiting = one.waiting;
	io->mask = one.mask;
	if (*traps)
		return -1;
	*whole = r.rax >= 0 && (uint64_t)r.rax == one.len;
	return r.rax;
}

int stream_many(struct io *io)
{
	struct regs *r = io->r;
	struct mmsghdr *m = (struct mmsghdr *)r->rsi;
	uint32_t vlen = (uint32_t)r->rdx, done = 0;
	bool receives = r->rax == SYS_recvmmsg, whole = true, traps = false;
	int flags = io->flags & ~MSG_WAITFORONE;
	int64_t until = 0, n = 0;

	/* recvmmsg() has an error before all that came before it. */
	if (receives &&
	    (!read_limit(r->r8, &until) || __atomic_load_n(&io->s->so_error, __ATOMIC_ACQUIRE)))
		return TRAP;
	if (!receives && vlen > MESSAGES)
		vlen = MESSAGES;
	while (done < vlen) {
		n = one_message(io, &m[done], flags, &whole, &traps);
		if (n < 0)
			break;
		m[done++].msg_len = (uint32_t)n;
		if (receives && io->flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		if ((!receives && !whole) || (until && !write_limit(r->r8, until)))
			break;
	}
	if (!done && traps)
		return TRAP;
	if (traps) {
		wait_goes_on(io);
		n = gz_trap(r->rax, (uint64_t)io->fd, (uint64_t)&m[done], vlen - done,
			    (uint32_t)flags, receives ? r->r8 : 0, 0);
		done += n > 0 ? (uint32_t)n : 0;
	} else if (receives && done && n < 0 && n != -EAGAIN && n != -EINTR && n != -GZ_KICKED) {
		keep_error(io, n);
	}
	r->rax = done ? done : n;
	return DONE;
}

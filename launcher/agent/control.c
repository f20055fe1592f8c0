/* SPDX-License-Identifier: BSD-3-Clause
 *
 * control.c - Calls that are about a socket as such
 *
 * Whoever serves many short connections makes as many of these as of any other call, and
 * each costs a notification.  What can be left in shared memory for the engine is; the
 * rest traps, as without an agent.
 *
 * Options: those that change nothing but the connection's are put down in the slot,
 * a bit for each in gz_slot.set.  Who looks at the socket's options in the engine takes
 * them first, so that getsockopt(), which traps, tells of them.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "launcher/agent/agent.h"

bool is_control(const struct regs *r)
{
	return r->rax == SYS_setsockopt || r->rax == SYS_accept || r->rax == SYS_accept4;
}

/* Return: GZ_SET_*, or -1: the engine's to set, or to refuse */
static int which(int level, int name, int v)
{
	if (level == SOL_SOCKET)
		return name == SO_KEEPALIVE ? GZ_SET_KEEPALIVE : -1;
	if (level != IPPROTO_TCP)
		return -1;
	switch (name) {
	case TCP_NODELAY:
		return GZ_SET_NODELAY;
	case TCP_CORK:
		return GZ_SET_CORK;
	case TCP_KEEPIDLE:
		return v >= 1 && v <= 32767 ? GZ_SET_KEEPIDLE : -1;
	case TCP_KEEPINTVL:
		return v >= 1 && v <= 32767 ? GZ_SET_KEEPINTVL : -1;
	case TCP_KEEPCNT:
		return v >= 1 && v <= 127 ? GZ_SET_KEEPCNT : -1;
	default:
		return -1;
	}
}

/* Within the stack bytes may go past who heeds a cork; and one that was pulled is to be seen. */
static bool may_cork(const struct gz_slot *s, int v)
{
	return __atomic_load_n(&s->far, __ATOMIC_SEQ_CST) &&
	       (!v || !(__atomic_load_n(&s->set, __ATOMIC_SEQ_CST) & 1U << GZ_SET_CORK));
}

static int set_option(struct regs *r)
{
	int slot = lookup((uint32_t)r->rdi), v, k;
	struct io io = {.fd = (int)r->rdi};
	bool set;

	if (slot < 0 || (int)r->r8 < (int)sizeof(v) || !is_memory(r->r10, sizeof(v), MAY_READ))
		return TRAP;
	__builtin_memcpy(&v, (const void *)r->r10, sizeof(v));
	k = which((int)r->rsi, (int)r->rdx, v);
	io.i = (uint32_t)slot;
	io.s = &SH->slot[slot];
	if (k < 0 || (k == GZ_SET_CORK && !may_cork(io.s, v)) || !lock(&io.s->tx_lock))
		return TRAP;
	/* Once it is about to leave nobody looks here any more. */
	set = __atomic_load_n(&io.s->tx_plane, __ATOMIC_SEQ_CST) == GZ_PLANE_RING;
	if (set) {
		__atomic_store_n(&io.s->option[k], v, __ATOMIC_SEQ_CST);
		__atomic_fetch_or(&io.s->set, 1U << k, __ATOMIC_SEQ_CST);
		tell_worker(&io);
	}
	unlock(&io.s->tx_lock);
	if (!set)
		return TRAP;
	r->rax = 0;
	return DONE;
}

int control_call(struct regs *r)
{
	return r->rax == SYS_setsockopt ? set_option(r) : accept_call(r);
}

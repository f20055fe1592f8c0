/* SPDX-License-Identifier: BSD-3-Clause
 *
 * control.c - Calls that are about a socket as such
 *
 * Whoever serves many short connections makes as many of these as of any other call, and
 * each costs a notification.  What can be left in shared memory for the engine is; the
 * rest traps, as without an agent.
 *
 * A call that traps is ended by a signal, with EINTR, as long as the engine has not taken it
 * (seccomp_do_user_notification(), kernel/seccomp.c): it knows nothing of it then, so that one
 * that does not wait is made again.
 *
 * Options: those that change nothing but the connection's are put down in the slot,
 * a bit for each in gz_slot.set.  Who looks at the socket's options in the engine takes
 * them first, so that getsockopt(), which traps, tells of them.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "launcher/agent/agent.h"

bool is_control(const struct regs *r)
{
	switch (r->rax) {
	case SYS_socket:
	case SYS_bind:
	case SYS_listen:
	case SYS_accept:
	case SYS_accept4:
	case SYS_connect:
	case SYS_getsockname:
	case SYS_getpeername:
	case SYS_getsockopt:
	case SYS_setsockopt:
	case SYS_shutdown:
		return true;
	default:
		return false;
	}
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

int short_call(struct regs *r)
{
	int64_t nr = r->rax;

	do {
		r->rax = gz_trap(nr, r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9);
	} while (r->rax == -EINTR);
	return DONE;
}

int control_call(struct regs *r)
{
	int rc;

	switch (r->rax) {
	case SYS_setsockopt:
		rc = set_option(r);
		return rc == TRAP ? short_call(r) : rc;
	case SYS_accept:
	case SYS_accept4:
		rc = accept_call(r);
		return rc == TRAP && is_nonblocking((int)r->rdi) ? short_call(r) : rc;
	case SYS_connect:
		return is_nonblocking((int)r->rdi) ? short_call(r) : TRAP;
	default:
		return short_call(r);
	}
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * agent.c - What runs in the program, at its calls
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "launcher/agent/agent.h"
#include "launcher/calls.h"

#define VECTORS 64

/* Can the call's own structure be accessed?  Else it fails with EFAULT. */
static bool is_given(struct io *io, uint64_t addr, uint64_t n, uint32_t how)
{
	io->fault = !is_memory(addr, n, how);
	return !io->fault;
}

static bool sum_vectors(struct io *io)
{
	io->len = 0;
	for (uint64_t k = 0; k < io->nv; k++) {
		if (io->v[k].iov_len && !in_space((uint64_t)io->v[k].iov_base, io->v[k].iov_len))
			return false;
		io->len += io->v[k].iov_len;
	}
	return io->len < SPACE_END;
}

bool vectors(struct io *io)
{
	const struct regs *r = io->r;

	if (r->rax != SYS_readv && r->rax != SYS_writev) {
		io->one.iov_base = (void *)r->rsi;
		io->one.iov_len = io->len = r->rdx;
		io->v = &io->one;
		io->nv = 1;
		return !io->len || drops(io) || in_space(r->rsi, io->len);
	}
	if (r->rdx > VECTORS || !in_space(r->rsi, r->rdx * sizeof(struct iovec)) ||
	    !is_given(io, r->rsi, r->rdx * sizeof(struct iovec), MAY_READ))
		return false;
	io->v = (const struct iovec *)r->rsi;
	io->nv = r->rdx;
	return sum_vectors(io);
}

bool message_vectors(struct io *io, struct msghdr *m, bool receives)
{
	if (!in_space((uint64_t)m, sizeof(*m)) ||
	    !is_given(io, (uint64_t)m, sizeof(*m), receives ? MAY_WRITE : MAY_READ) ||
	    m->msg_iovlen > VECTORS)
		return false;
	if (m->msg_iovlen &&
	    (!in_space((uint64_t)m->msg_iov, m->msg_iovlen * sizeof(struct iovec)) ||
	     !is_given(io, (uint64_t)m->msg_iov, m->msg_iovlen * sizeof(struct iovec), MAY_READ)))
		return false;
	io->v = m->msg_iov;
	io->nv = m->msg_iovlen;
	io->len = 0;
	return sum_vectors(io);
}

/* Return: false, io->fault, or there is more to it than bytes */
static bool message(struct io *io)
{
	struct msghdr *m = (struct msghdr *)io->r->rsi;
	bool receives = io->r->rax == SYS_recvmsg;

	return message_vectors(io, m, receives) &&
	       (receives || (!m->msg_name && !m->msg_controllen));
}

/* recvmsg() of TCP: no address and no control messages come with the bytes */
static void end_message(struct io *io)
{
	struct msghdr *m = (struct msghdr *)io->r->rsi;

	if (io->r->rax < 0)
		return;
	m->msg_namelen = 0;
	m->msg_controllen = 0;
	m->msg_flags = io->flags & MSG_CMSG_CLOEXEC;
}

/* Those with flags, in r10 or, of messages, in rdx.  Return: false, not for the agent */
static bool flags_of(struct io *io)
{
	const struct regs *r = io->r;

	switch (r->rax) {
	case SYS_recvfrom:
	case SYS_sendto:
		/* An address, and what else the engine wants to see of any socket */
		if (r->r8)
			return false;
		io->flags = (int)r->r10;
		break;
	case SYS_recvmmsg:
	case SYS_sendmmsg:
		io->flags = (int)r->r10;
		break;
	case SYS_recvmsg:
	case SYS_sendmsg:
		io->flags = (int)r->rdx;
		break;
	}
	return !(io->flags & (MSG_OOB | MSG_ERRQUEUE | MSG_FASTOPEN)) &&
	       (!(io->flags & MSG_TRUNC) || drops(io));
}

/* It has left the rings, in this direction at least.  Return: AGAIN, it has not */
static int call_of_left(struct io *io, const uint32_t *plane, bool is_message, bool receives)
{
	const struct msghdr *m = (const struct msghdr *)io->r->rsi;

	ask_back(io->fd, io->s);
	if (__atomic_load_n(plane, __ATOMIC_ACQUIRE) != GZ_PLANE_NATIVE)
		return AGAIN;
	if (drops(io))
		return TRAP;
	/* Addresses and control messages are the engine's, but for an error's. */
	if (is_message && (!receives || !__atomic_load_n(&io->s->so_error, __ATOMIC_ACQUIRE)))
		return TRAP;
	if (is_message && !message(io)) {
		if (io->fault)
			io->r->rax = -EFAULT;
		return io->fault ? DONE : TRAP;
	}
	if (is_message && (m->msg_name || m->msg_controllen))
		return TRAP;
	return left_call(io, receives);
}

/* Return: AGAIN, it left meanwhile */
static int call_of_rings(struct io *io, const uint32_t *plane, bool is_message, bool receives)
{
	struct regs *r = io->r;
	long nr = r->rax;
	uint32_t now;
	int rc;

	if (*plane == GZ_PLANE_NONE)
		return TRAP;
	/* writev() looks at its vectors first. */
	if (!receives && *plane == GZ_PLANE_OVER && nr != SYS_writev)
		return sends_no_more(io);
	if (nr != SYS_sendfile && (is_message ? !message(io) : !vectors(io))) {
		r->rax = io->fault ? -EFAULT : nr;
		return io->fault ? DONE : TRAP;
	}
	if (is_message && !io->len && *plane == GZ_PLANE_TRAP)
		return TRAP;
	if (nr == SYS_sendfile)
		rc = send_file(io);
	else
		rc = receives ? receive(io) : transmit(io);
	/* The shadow can say what comes of no bytes, but has names of its own. */
	if (rc == NATIVE && is_message && !io->len) {
		r->rax = call6(receives ? SYS_recvfrom : SYS_sendto, (uint64_t)io->fd, 0, 0,
			       (uint64_t)io->flags, 0, 0);
		rc = DONE;
	}
	if (rc == DONE && nr == SYS_recvmsg)
		end_message(io);
	now = __atomic_load_n(plane, __ATOMIC_SEQ_CST);
	if (rc != DONE && (now == GZ_PLANE_NATIVE || now == GZ_PLANE_BACK))
		return AGAIN;
	return rc == NATIVE && is_message ? TRAP : rc;
}

int stream_call(struct io *io)
{
	long nr = io->r->rax;
	bool is_message = nr == SYS_recvmsg || nr == SYS_sendmsg;
	bool receives =
	    nr == SYS_read || nr == SYS_readv || nr == SYS_recvfrom || nr == SYS_recvmsg;
	const uint32_t *plane = receives ? &io->s->rx_plane : &io->s->tx_plane;
	int rc;

	do {
		if (!await_back(io->s))
			return TRAP;
		/* What has left the rings needs no look at anything. */
		if (__atomic_load_n(plane, __ATOMIC_ACQUIRE) == GZ_PLANE_NATIVE) {
			wait_goes_on(io); /* the kernel's call holds its file */
			rc = call_of_left(io, plane, is_message, receives);
		} else {
			rc = call_of_rings(io, plane, is_message, receives);
		}
	} while (rc == AGAIN);
	return rc;
}

static int call_over(struct io *io, int rc)
{
	if (rc == DONE)
		wait_end(io);
	else
		wait_goes_on(io);
	return io->held ? let_go(io, rc) : rc;
}

static int data_call(struct regs *r)
{
	struct io io = {.r = r, .fd = (int)r->rdi};
	bool many = r->rax == SYS_recvmmsg || r->rax == SYS_sendmmsg;
	bool is_message = many || r->rax == SYS_recvmsg || r->rax == SYS_sendmsg;
	bool plain = flags_of(&io);
	int slot = lookup((uint32_t)io.fd);

	if (slot >= 0) {
		io.i = (uint32_t)slot;
		io.s = &SH->slot[slot];
		if (has_datagrams(io.s))
			return datagram_call(&io);
	}
	/* Outside of the rings there would be room again. */
	if (!plain && slot >= 0 && io.flags & MSG_OOB &&
	    (r->rax == SYS_sendto || r->rax == SYS_sendmsg)) {
		return call_over(&io, await_urgent_room(&io));
	}
	if (!plain)
		return TRAP;
	/* A message may be a datagram's, with its address. */
	if (slot < 0)
		return slot == ASK || is_message || drops(&io) || is_fresh((uint32_t)io.fd)
			   ? TRAP
			   : NATIVE;
	return call_over(&io, many ? stream_many(&io) : stream_call(&io));
}

/* O_NONBLOCK of a socket in the rings, or that may come back, is known there too. */
static int set_nonblock(struct regs *r, bool on)
{
	int slot = lookup((uint32_t)r->rdi);
	int64_t rc;

	if (slot < 0)
		return slot == ASK ? TRAP : NATIVE;
	rc = call(r->rax, r->rdi, r->rsi, r->rdx, 0);
	if (rc >= 0)
		__atomic_store_n(&SH->slot[slot].nonblock, on, __ATOMIC_SEQ_CST);
	r->rax = rc;
	return DONE;
}

static int ioctl_call(struct regs *r)
{
	int slot;

	if (_IOC_TYPE((uint32_t)r->rsi) == SOCK_IOC_TYPE || (uint32_t)r->rsi == SIOCOUTQ)
		return short_call(r);
	/* Of others the filter decides, at the program's own `syscall`. */
	if (((uint32_t)r->rsi != FIONBIO && (uint32_t)r->rsi != FIONREAD) ||
	    !in_space(r->rdx, sizeof(int)) ||
	    !is_memory(r->rdx, sizeof(int), (uint32_t)r->rsi == FIONBIO ? MAY_READ : MAY_WRITE))
		return TRAP;
	if ((uint32_t)r->rsi == FIONBIO)
		return set_nonblock(r, *(const int *)r->rdx);
	slot = lookup((uint32_t)r->rdi);
	if (slot < 0 || !in_rings(&SH->slot[slot]))
		return TRAP;
	*(int *)r->rdx = has_datagrams(&SH->slot[slot]) ? (int)next_datagram(&SH->slot[slot])
							: (int)rx_used(&SH->slot[slot]);
	r->rax = 0;
	return DONE;
}

/* As engine/sites.c has it */
static bool sets_cancel(const struct regs *r)
{
	const uint64_t *sa = (const uint64_t *)r->rsi; /* handler, flags, restorer, mask */

	return in_space(r->rsi, 32) && is_memory(r->rsi, 32, MAY_READ) && sa[0] > 1 &&
	       (r->rdi == GZ_SIGCANCEL_GLIBC || sa[3] == UINT64_MAX);
}

/* Return: TRAP, NATIVE, or DONE with rax */
static int answer(struct regs *r)
{
	if (__atomic_load_n(&KEPT->quiet, __ATOMIC_RELAXED))
		return is_control(r) || r->rax == SYS_ioctl ? TRAP : NATIVE;
	switch (r->rax) {
	case SYS_read:
	case SYS_readv:
	case SYS_write:
	case SYS_writev:
	case SYS_recvfrom:
	case SYS_sendto:
	case SYS_recvmsg:
	case SYS_sendmsg:
	case SYS_recvmmsg:
	case SYS_sendmmsg:
	case SYS_sendfile:
		return data_call(r);
	case SYS_fcntl:
		if ((int)r->rsi != F_SETFL)
			return NATIVE;
		return r->rdx & O_ASYNC ? short_call(r) : set_nonblock(r, r->rdx & O_NONBLOCK);
	case SYS_ioctl:
		return ioctl_call(r);
	case SYS_prctl:
	case SYS_seccomp:
		/* A sandbox: nothing is done here any more, once the engine has heard of it. */
		if (r->rax == SYS_seccomp || (int)r->rdi == PR_SET_SECCOMP)
			epolls_native();
		return TRAP;
	case SYS_rt_sigaction:
		/* Threads are cancelled from now on: the same (launcher/retire.c). */
		if (r->rdi != GZ_SIGCANCEL_GLIBC && r->rdi != GZ_SIGCANCEL_MUSL)
			return NATIVE;
		if (sets_cancel(r))
			epolls_native();
		return TRAP;
	case SYS_close:
	case SYS_dup2:
	case SYS_dup3:
	case SYS_close_range:
		return closing(r);
	case SYS_mmap:
	case SYS_munmap:
	case SYS_mremap:
	case SYS_mprotect:
	case SYS_pkey_mprotect:
	case SYS_brk:
	case SYS_shmdt:
		return mapping_call(r);
	default:
		return is_control(r) ? control_call(r) : ready_call(r);
	}
}

/* The engine is to know that the call was here, and has not passed the agent by. */
static void note_refused(const struct regs *r)
{
	uint64_t key = gz_refused_key((int)r->rax, (uint32_t)r->rdi);

	__atomic_store_n(&KEPT->refused[gz_refused_index(key)], key, __ATOMIC_RELAXED);
}

/* Who was told to leave the agent makes the call again, where the program does. */
int gz_agent(struct regs *r)
{
	int64_t nr = r->rax;
	int rc = answer(r);

	if (rc == DONE && r->rax == -GZ_KICKED) {
		r->rax = nr;
		rc = TRAP;
	}
	if (rc == TRAP)
		note_refused(r);
	return rc;
}

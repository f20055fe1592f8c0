/* SPDX-License-Identifier: BSD-3-Clause
 *
 * calls.c - The table of intercepted system calls
 *
 * Theory of operation: a trap costs 4 to 50 us, a native call 0.4, so only
 * control calls are here.  Bytes move through the shadow descriptor, a real
 * AF_UNIX socket, where read(), write(), poll(), close() and fork() are right
 * natively.  What is here is what an AF_UNIX socket would answer differently
 * from an AF_INET one.  The filter sees registers, not memory: a call whose
 * meaning lies in memory traps always, and the engine lets it continue where
 * the descriptor is not one of ours.
 *
 * Where bytes may be in rings, a native data call would read what is not data.  So all
 * of them trap, unless the agent makes them; a site that traps is led to the agent.
 */
#include "launcher/calls.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

_Static_assert(SYS_socket == 41 && SYS_ioctl == 16, "system calls of x86-64");

#define CALL(ID, call) .nr = SYS_##call, .id = GZ_CALL_##ID, .name = #call

const struct gz_call_info gz_calls[] = {
    {CALL(SOCKET, socket), .agent = GZ_AGENT_SHORT,
     .when = {{GZ_INT_EQ, 0, AF_INET}, {GZ_INT_EQ, 0, AF_INET6}, {GZ_INT_EQ, 0, AF_NETLINK}},
     .doc = "Domain AF_INET or AF_INET6, any type: what the stack does not have, the "
	    "kernel makes. AF_NETLINK: rtnetlink tells of the stack's interface. Other "
	    "domains never trap."},
    {CALL(BIND, bind), .agent = GZ_AGENT_SHORT, .doc = "The address is in memory."},
    {CALL(LISTEN, listen), .agent = GZ_AGENT_SHORT, .doc = "The stack must listen too."},
    {CALL(ACCEPT, accept), .agent = GZ_AGENT_CONTROL,
     .doc = "The new socket is a shadow, the peer's address the stack's."},
    {CALL(ACCEPT4, accept4), .agent = GZ_AGENT_CONTROL, .doc = "As accept."},
    {CALL(CONNECT, connect), .agent = GZ_AGENT_CONTROL, .doc = "The address is in memory."},
    {CALL(GETSOCKNAME, getsockname), .agent = GZ_AGENT_SHORT,
     .doc = "The shadow's own name is AF_UNIX."},
    {CALL(GETPEERNAME, getpeername), .agent = GZ_AGENT_SHORT,
     .doc = "The shadow's own peer is AF_UNIX."},
    {CALL(GETSOCKOPT, getsockopt), .agent = GZ_AGENT_SHORT,
     .doc = "SO_DOMAIN, SO_ERROR, TCP_*, IP_* are the stack's."},
    {CALL(SETSOCKOPT, setsockopt), .agent = GZ_AGENT_CONTROL,
     .doc = "TCP_*, IP_* are the stack's."},
    {CALL(SHUTDOWN, shutdown), .agent = GZ_AGENT_SHORT,
     .doc = "Order with the bytes before it, and listeners."},
    {CALL(IOCTL, ioctl), .agent = GZ_AGENT_READY,
     .when = {{GZ_INT_EQ, 1, SIOCOUTQ},
	      {GZ_INT_BLOCK, 1, 0x8900},
	      {GZ_INT_BLOCK, 1, 0x8b00},
	      {GZ_INT_BLOCK, 1, SIOCGSTAMP_NEW},
	      {GZ_INT_EQ, 1, SIOCINQ, GZ_CALL_RING},
	      {GZ_INT_EQ, 1, FIONBIO, GZ_CALL_RING},
	      {GZ_INT_EQ, 1, FIOASYNC, GZ_CALL_RING}},
     .doc = "SIOCOUTQ: bytes not acknowledged. 0x89xx, 0x8bxx: sockets and interfaces, the "
	    "stack's own among them, on sockets of any family. SIOCGSTAMP_NEW and kin: AF_UNIX has "
	    "no times. With rings SIOCINQ: what is in the ring; FIONBIO: the agent must know; "
	    "FIOASYNC: as O_ASYNC. Others are native."},
    {CALL(RECVFROM, recvfrom), .agent = GZ_AGENT_DATA,
     .when = {{GZ_PTR_SET, 4, 0}, {GZ_INT_ANY, 3, MSG_OOB | MSG_ERRQUEUE | MSG_TRUNC}},
     .doc = "An address is asked for, or a flag that AF_UNIX does not know. recv() with "
	    "ordinary flags is native."},
    {CALL(SENDTO, sendto), .agent = GZ_AGENT_DATA,
     .when = {{GZ_PTR_SET, 4, 0}, {GZ_INT_ANY, 3, MSG_OOB | MSG_FASTOPEN}, {GZ_INT_EQ, 2, 0}},
     .doc = "An address is given, a flag that AF_UNIX does not know, or nothing, which netlink "
	    "refuses. send() with ordinary flags is native."},
    {CALL(RECVMSG, recvmsg), .agent = GZ_AGENT_DATA,
     .doc = "The address and the control messages are in memory: those of UDP are the "
	    "stack's. Other sockets' calls continue."},
    {CALL(SENDMSG, sendmsg), .agent = GZ_AGENT_DATA, .doc = "As recvmsg."},
    {CALL(RECVMMSG, recvmmsg), .agent = GZ_AGENT_DATA, .doc = "As recvmsg."},
    {CALL(SENDMMSG, sendmmsg), .agent = GZ_AGENT_DATA, .doc = "As recvmsg."},
    {CALL(IO_URING_SETUP, io_uring_setup), .action = GZ_ACT_ENOSYS,
     .doc = "Fails with ENOSYS: a ring's requests would pass the filter by. Programs fall "
	    "back to ordinary calls."},
    {CALL(READ, read), .plane = GZ_CALL_RING, .agent = GZ_AGENT_DATA,
     .doc = "The bytes may be in a ring."},
    {CALL(WRITE, write), .plane = GZ_CALL_RING, .agent = GZ_AGENT_DATA, .doc = "As read."},
    {CALL(READV, readv), .plane = GZ_CALL_RING, .agent = GZ_AGENT_DATA, .doc = "As read."},
    {CALL(WRITEV, writev), .plane = GZ_CALL_RING, .agent = GZ_AGENT_DATA, .doc = "As read."},
    {CALL(PREADV2, preadv2), .plane = GZ_CALL_RING, .doc = "As read; the socket leaves the ring."},
    {CALL(PWRITEV2, pwritev2), .plane = GZ_CALL_RING, .doc = "As preadv2."},
    {CALL(SENDFILE, sendfile), .plane = GZ_CALL_RING, .agent = GZ_AGENT_DATA, .doc = "As read."},
    {CALL(SPLICE, splice), .plane = GZ_CALL_RING, .doc = "As preadv2, of either descriptor."},
    {CALL(IO_SUBMIT, io_submit), .plane = GZ_CALL_RING,
     .doc = "As preadv2, of the descriptors in memory."},
    {CALL(CLOSE, close), .plane = GZ_CALL_RING, .agent = GZ_AGENT_CLOSE,
     .doc = "The agent must not take the number's next file for this one."},
    {CALL(DUP2, dup2), .plane = GZ_CALL_RING, .agent = GZ_AGENT_CLOSE, .doc = "As close."},
    {CALL(DUP3, dup3), .plane = GZ_CALL_RING, .agent = GZ_AGENT_CLOSE, .doc = "As close."},
    {CALL(CLOSE_RANGE, close_range), .plane = GZ_CALL_RING, .agent = GZ_AGENT_CLOSE,
     .doc = "As close."},
    {CALL(SECCOMP, seccomp), .plane = GZ_CALL_RING, .agent = GZ_AGENT_READY,
     .doc = "A sandbox may end the program for the agent's own calls: its sockets leave the "
	    "rings."},
    {CALL(PRCTL, prctl), .plane = GZ_CALL_RING, .agent = GZ_AGENT_READY,
     .when = {{GZ_INT_EQ, 0, PR_SET_SECCOMP}}, .doc = "PR_SET_SECCOMP: as seccomp."},
    {CALL(FCNTL, fcntl), .plane = GZ_CALL_RING, .agent = GZ_AGENT_READY,
     .when = {{GZ_INT_EQ, 1, F_SETFL}},
     .doc = "F_SETFL: the agent must know of O_NONBLOCK. With O_ASYNC the socket leaves the "
	    "rings, from which no SIGIO comes."},
    {CALL(POLL, poll), .plane = GZ_CALL_RING, .agent = GZ_AGENT_READY,
     .doc = "What is ready may be in a ring."},
    {CALL(PPOLL, ppoll), .plane = GZ_CALL_RING, .agent = GZ_AGENT_READY, .doc = "As poll."},
    {CALL(SELECT, select), .plane = GZ_CALL_RING, .agent = GZ_AGENT_READY, .doc = "As poll."},
    {CALL(PSELECT6, pselect6), .plane = GZ_CALL_RING, .agent = GZ_AGENT_READY, .doc = "As poll."},
    {CALL(EPOLL_CTL, epoll_ctl), .plane = GZ_CALL_RING, .agent = GZ_AGENT_READY,
     .doc = "The agent must know which sockets of the rings are in an epoll."},
    {CALL(EPOLL_WAIT, epoll_wait), .plane = GZ_CALL_RING, .agent = GZ_AGENT_READY,
     .doc = "As poll."},
    {CALL(EPOLL_PWAIT, epoll_pwait), .plane = GZ_CALL_RING, .agent = GZ_AGENT_READY,
     .doc = "As poll."},
    {CALL(EPOLL_PWAIT2, epoll_pwait2), .plane = GZ_CALL_RING, .agent = GZ_AGENT_READY,
     .doc = "As poll."},
    {CALL(RT_SIGACTION, rt_sigaction), .plane = GZ_CALL_RING, .agent = GZ_AGENT_READY,
     .when = {{GZ_INT_EQ, 0, GZ_SIGCANCEL_GLIBC}, {GZ_INT_EQ, 0, GZ_SIGCANCEL_MUSL}},
     .doc = "The signals of pthread_cancel(3), set at its first use: nobody may be in the "
	    "agent from then on."},
};

const size_t gz_ncalls = sizeof(gz_calls) / sizeof(gz_calls[0]);

const int gz_mapping_calls[] = {SYS_munmap,	   SYS_mmap, SYS_mremap, SYS_mprotect,
				SYS_pkey_mprotect, SYS_brk,  SYS_shmdt,	 -1};

_Static_assert(sizeof(gz_calls) / sizeof(gz_calls[0]) == GZ_CALL_COUNT, "a handler, a row");

bool gz_call_matches(const struct gz_call_info *c, const uint64_t args[6])
{
	if (c->plane == GZ_CALL_RING)
		return false;
	for (size_t i = 0; i < GZ_WHEN_MAX && c->when[i].test; i++) {
		const struct gz_when *w = &c->when[i];
		uint64_t a = args[w->arg];

		if (w->plane != GZ_CALL_RING &&
		    ((w->test == GZ_INT_EQ && (uint32_t)a == w->value) ||
		     (w->test == GZ_INT_BLOCK && (uint32_t)a >> 8 == w->value >> 8) ||
		     (w->test == GZ_INT_ANY && (uint32_t)a & w->value) ||
		     (w->test == GZ_PTR_SET && a)))
			return true;
	}
	return !c->when[0].test;
}

const struct gz_call_info *gz_call_by_nr(int nr)
{
	for (size_t i = 0; i < gz_ncalls; i++) {
		if (gz_calls[i].nr == nr)
			return &gz_calls[i];
	}
	return NULL;
}

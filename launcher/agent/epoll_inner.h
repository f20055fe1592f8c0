/* SPDX-License-Identifier: BSD-3-Clause
 *
 * epoll_inner.h - What epoll.c and epoll_ctl.c share
 */
#ifndef GZ_AGENT_EPOLL_INNER_H
#define GZ_AGENT_EPOLL_INNER_H

#include <sys/epoll.h>

#include "launcher/agent/agent.h"

/* Bits of a registration that no event has */
#define PRIVATE_BITS ((uint32_t)EPOLLONESHOT | EPOLLET | EPOLLWAKEUP | EPOLLEXCLUSIVE)
/*
 * What the kernel tells of a socket in the rings has one of these: the program's data may be
 * those of other descriptors as well.
 */
#define MARKS ((uint32_t)EPOLLRDNORM | EPOLLWRNORM)

/**
 * is_registered() - Is what the epoll's memory has of slot @i what the program wants?
 *
 * Not of one that is told of by the kernel's epoll alone, whatever stands there
 */
static inline bool is_registered(const struct gz_epoll *ep, uint32_t i)
{
	const struct gz_reg *reg = &ep->reg[i];
	const struct gz_slot *s = &SH->slot[i];

	return reg->gen && reg->gen == __atomic_load_n(&s->gen, __ATOMIC_ACQUIRE) &&
	       (__atomic_load_n(&s->watch, __ATOMIC_SEQ_CST) == index_of(ep) ||
		__atomic_load_n(&s->watched, __ATOMIC_SEQ_CST) == index_of(ep));
}

/** With EPOLLONESHOT one that was told is not, until EPOLL_CTL_MOD. */
static inline bool is_armed(const struct gz_reg *reg)
{
	return reg->events & ~PRIVATE_BITS;
}

/**
 * epoll_hold() - Take the epoll's lock
 *
 * Others tell the kernel of changes meanwhile, and may have lost their core to who computes.
 * Return: false, it may be this very thread
 */
bool epoll_hold(struct gz_epoll *ep);
/** The registration of slot @i was changed, and the kernel's epoll was not.  Locked */
void reg_changed(struct gz_epoll *ep, uint32_t i);
/** Tell the kernel of one.  Locked.  Return: as epoll_ctl() */
int64_t tell_kernel(const struct gz_epoll *ep, int epfd, struct gz_reg *reg);
/** Tell it of all that was changed.  Locked */
void tell_kernel_all(struct gz_epoll *ep, int epfd);
/**
 * leave_counted() - Slot @i was seen to have left the rings: the kernel's epoll is to have it
 *
 * Locked.  Return: false, it came back, or is about to
 */
bool leave_counted(struct gz_epoll *ep, int epfd, uint32_t i);
/** This thread is about to wait on @fd, which has no sockets in the rings.  Return: for
 * unnote_waiting() */
uint64_t *note_waiting(uint32_t fd);
void unnote_waiting(uint64_t *word);
int epoll_ctl_call(struct regs *r);

#endif

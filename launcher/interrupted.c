/* SPDX-License-Identifier: BSD-3-Clause
 *
 * interrupted.c - System calls that a stop of their thread disturbs
 */
#include "launcher/interrupted.h"

#include <stddef.h>
#include <sys/syscall.h>

/*
 * Calls that return EINTR when their thread stops and nothing is delivered
 * (signal(7)), having done nothing then.  A time-out starts anew; the absolute
 * one of futex_waitv() does not.
 */
static const struct {
	int nr;
	const char *where;
} restarts[] = {
    {SYS_epoll_wait, "ep_poll()"},
    {SYS_epoll_pwait, "ep_poll()"},
    {SYS_epoll_pwait2, "ep_poll()"},
    {SYS_io_getevents, "do_io_getevents()"},
    {SYS_io_pgetevents, "do_io_getevents()"},
    {SYS_io_uring_enter, "io_cqring_wait()"},
    {SYS_rt_sigtimedwait, "do_sigtimedwait()"},
    {SYS_semop, "__do_semtimedop()"},
    {SYS_semtimedop, "__do_semtimedop()"},
    {SYS_futex_waitv, "futex_wait_multiple()"},
    /* With SO_RCVTIMEO or SO_SNDTIMEO: sock_intr_errno(). */
    {SYS_accept, "inet_csk_wait_for_connect()"},
    {SYS_accept4, "inet_csk_wait_for_connect()"},
    {SYS_connect, "inet_wait_for_connect()"},
    {SYS_recvfrom, "sk_wait_data()"},
    {SYS_recvmsg, "sk_wait_data()"},
    {SYS_recvmmsg, "sk_wait_data()"},
    {SYS_read, "sk_wait_data()"},
    {SYS_readv, "sk_wait_data()"},
    {SYS_sendto, "sk_stream_wait_memory()"},
    {SYS_sendmsg, "sk_stream_wait_memory()"},
    {SYS_sendmmsg, "sk_stream_wait_memory()"},
    {SYS_write, "sk_stream_wait_memory()"},
    {SYS_writev, "sk_stream_wait_memory()"},
};

/* Calls with a signal mask for their own time */
static const int masks[] = {SYS_ppoll,	       SYS_pselect6,	  SYS_epoll_pwait,
			    SYS_epoll_pwait2,  SYS_rt_sigsuspend, SYS_io_pgetevents,
			    SYS_io_uring_enter};

bool gz_gives_eintr(long nr)
{
	for (size_t i = 0; i < sizeof(restarts) / sizeof(restarts[0]); i++) {
		if (nr == restarts[i].nr)
			return true;
	}
	return false;
}

bool gz_takes_mask(long nr)
{
	for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		if (nr == masks[i])
			return true;
	}
	return false;
}

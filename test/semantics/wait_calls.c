/* SPDX-License-Identifier: BSD-3-Clause
 *
 * wait_calls.c - epoll_pwait(), epoll_pwait2(), ppoll() and pselect(), and no wake-up lost
 */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>

#include "test/check.h"

enum how { EPOLL_PWAIT, EPOLL_PWAIT2, PPOLL, PSELECT, HOWS };

static sigset_t none, usr1;
static _Atomic int handled;

static void close_both(int fd[2])
{
	OK(close(fd[0]));
	OK(close(fd[1]));
}

static void on_usr1(int sig)
{
	(void)sig;
	handled++;
}

static int pselect6(int n, fd_set *set, struct timespec *t, const void *mask, size_t size)
{
	struct {
		const void *mask;
		size_t size;
	} m = {mask, size};

	return (int)syscall(SYS_pselect6, n, set, NULL, NULL, t, &m);
}

/* Wait until @fd can be read.  Return: as the call */
static int wait_readable(enum how how, int fd, int ms, const sigset_t *mask)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000L}, *t = ms < 0 ? NULL : &ts;
	struct epoll_event ev = {.events = EPOLLIN};
	struct pollfd p = {.fd = fd, .events = POLLIN};
	fd_set set;
	int e, r, err;

	switch (how) {
	case PPOLL:
		return ppoll(&p, 1, t, mask);
	case PSELECT:
		FD_ZERO(&set);
		FD_SET(fd, &set);
		r = pselect6(fd + 1, &set, t, mask, 8);
		CHECK(r <= 0 || FD_ISSET(fd, &set));
		return r;
	default:
		e = OK(epoll_create1(0));
		OK(epoll_ctl(e, EPOLL_CTL_ADD, fd, &ev));
		if (how == EPOLL_PWAIT)
			r = epoll_pwait(e, &ev, 1, ms, mask);
		else /* epoll_pwait2() */
			r = (int)syscall(SYS_epoll_pwait2, e, &ev, 1, t, mask, 8);
		err = errno;
		close(e);
		errno = err;
		return r;
	}
}

static void sees_what_is_there(void)
{
	int fd[2];

	for (enum how h = 0; h < HOWS; h++) {
		tcp_pair(fd);
		CHECK_EQ(wait_readable(h, fd[1], 0, NULL), 0);
		write_all(fd[0], "x", 1);
		CHECK_EQ(wait_readable(h, fd[1], 5000, NULL), 1);
		CHECK_EQ(wait_readable(h, fd[1], 0, NULL), 1);
		CHECK_EQ(recv(fd[1], (char[1]){0}, 1, 0), 1);
		CHECK_EQ(wait_readable(h, fd[1], 0, NULL), 0);
		close_both(fd);
	}
}

static void times_out(void)
{
	int fd[2];

	tcp_pair(fd);
	for (enum how h = 0; h < HOWS; h++) {
		long long start = now_ms();

		CHECK_EQ(wait_readable(h, fd[1], 60, NULL), 0);
		CHECK(now_ms() - start >= 59);
	}
}

static void *write_soon(void *arg)
{
	sleep_ms(50);
	write_all(*(int *)arg, "x", 1);
	return NULL;
}

static void wakes(void)
{
	int fd[2];

	for (enum how h = 0; h < HOWS; h++) {
		long long start = now_ms();
		pthread_t t;

		tcp_pair(fd);
		t = thread(write_soon, &fd[0]);
		CHECK_EQ(wait_readable(h, fd[1], 20000, NULL), 1);
		CHECK(now_ms() - start < 10000);
		join(t);
		close_both(fd);
	}
}

/* A signal that is pending and blocked is taken with the mask of the call, if it waits. */
static void mask_is_of_the_wait(void)
{
	struct sigaction sa = {.sa_handler = on_usr1};
	int fd[2];

	sigemptyset(&none);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	OK(sigaction(SIGUSR1, &sa, NULL));
	OK(sigprocmask(SIG_BLOCK, &usr1, NULL));
	tcp_pair(fd);
	for (enum how h = 0; h < HOWS; h++) {
		int before = handled;

		OK(raise(SIGUSR1));
		CHECK_EQ(handled, before);
		CHECK_ERRNO(wait_readable(h, fd[1], 5000, &none), EINTR);
		CHECK_EQ(handled, before + 1);
		/* And the mask is what it was. */
		OK(raise(SIGUSR1));
		CHECK_EQ(wait_readable(h, fd[1], 20, &usr1), 0);
		CHECK_EQ(handled, before + 1);
		CHECK_ERRNO(wait_readable(h, fd[1], 20, &none), EINTR);
	}
}

/* A mask is looked at before anything else, also where nothing is waited for. */
static void bad_masks(void)
{
	struct epoll_event ev = {.events = EPOLLIN};
	struct timespec now = {0, 0};
	int fd[2], e = OK(epoll_create1(0));
	struct pollfd p = {.events = POLLIN};
	fd_set set;

	tcp_pair(fd);
	expect_text(fd[0], fd[1], "in use");
	OK(epoll_ctl(e, EPOLL_CTL_ADD, fd[1], &ev));
	p.fd = fd[1];
	write_all(fd[0], "x", 1);
	wait_bits(fd[1], POLLIN);
	for (int i = 0; i < 2; i++) {
		const void *mask = i ? (void *)8 : &none;
		size_t size = i ? 8 : 4;
		int want = i ? EFAULT : EINVAL;

		CHECK_ERRNO(syscall(SYS_epoll_pwait, e, &ev, 1, 0, mask, size), want);
		CHECK_ERRNO(syscall(SYS_epoll_pwait2, e, &ev, 1, &now, mask, size), want);
		CHECK_ERRNO(syscall(SYS_ppoll, &p, 1, &now, mask, size), want);
		FD_ZERO(&set);
		FD_SET(fd[1], &set);
		CHECK_ERRNO(pselect6(fd[1] + 1, &set, &now, mask, size), want);
	}
	CHECK_EQ(syscall(SYS_epoll_pwait, e, &ev, 1, 0, NULL, 4), 1);
	CHECK_EQ(epoll_wait(e, &ev, 1, 0), 1);
}

/* --- no wake-up is lost ---------------------------------------------------------- */

#define PAIRS 8
#define TURNS 3000

struct echo {
	int fd[PAIRS];
	enum how how;
	bool edge;
	unsigned seed;
};

/* Send a byte back for each, by whichever call; now and then look away for a moment. */
static void *echo_all(void *arg)
{
	struct echo *ec = arg;
	int e = OK(epoll_create1(0)), open = PAIRS;
	struct epoll_event ev[PAIRS];
	struct pollfd p[PAIRS];
	char b[64];

	for (int i = 0; i < PAIRS; i++) {
		ev[0] = (struct epoll_event){.events = EPOLLIN | (ec->edge ? EPOLLET : 0),
					     .data.fd = ec->fd[i]};
		OK(epoll_ctl(e, EPOLL_CTL_ADD, ec->fd[i], &ev[0]));
		p[i] = (struct pollfd){.fd = ec->fd[i], .events = POLLIN};
	}
	while (open) {
		int64_t start = now_ms();
		int n = ec->how == PPOLL ? OK(poll(p, PAIRS, 10000))
					 : OK(epoll_wait(e, ev, PAIRS, 10000));

		/* Else one was lost, or was found when time was over. */
		CHECK(n > 0 && now_ms() - start < 9000);
		for (int i = 0; i < (ec->how == PPOLL ? PAIRS : n); i++) {
			int fd = ec->how == PPOLL ? p[i].fd : ev[i].data.fd;
			ssize_t got;

			if (ec->how == PPOLL && !p[i].revents)
				continue;
			/* With edges all must be taken. */
			while ((got = recv(fd, b, sizeof(b), MSG_DONTWAIT)) > 0) {
				write_all(fd, b, (size_t)got);
				if (!ec->edge)
					break;
			}
			if (got == 0) {
				OK(epoll_ctl(e, EPOLL_CTL_DEL, fd, NULL));
				for (int k = 0; k < PAIRS; k++)
					if (p[k].fd == fd)
						p[k].fd = -1;
				open--;
			}
		}
		if (rand_r(&ec->seed) % 64 == 0)
			sleep_ms(rand_r(&ec->seed) % 2);
	}
	return NULL;
}

static void none_is_lost(void)
{
	for (int mode = 0; mode < 3; mode++) {
		struct echo ec = {
		    .how = mode == 2 ? PPOLL : EPOLL_PWAIT, .edge = mode == 1, .seed = 7};
		unsigned seed = 11;
		int fd[PAIRS][2];
		pthread_t t;
		char b;

		for (int i = 0; i < PAIRS; i++) {
			tcp_pair(fd[i]);
			ec.fd[i] = fd[i][1];
		}
		t = thread(echo_all, &ec);
		for (int turn = 0; turn < TURNS; turn++) {
			int n = 1 + rand_r(&seed) % PAIRS;

			for (int i = 0; i < n; i++)
				write_all(fd[i][0], "x", 1);
			for (int i = 0; i < n; i++)
				CHECK_EQ(recv(fd[i][0], &b, 1, 0), 1);
			/* Long enough, at times, for the other one to go to sleep */
			if (rand_r(&seed) % 256 == 0)
				sleep_ms(1);
		}
		for (int i = 0; i < PAIRS; i++)
			OK(shutdown(fd[i][0], SHUT_WR));
		join(t);
		for (int i = 0; i < PAIRS; i++)
			close_both(fd[i]);
	}
}

CHECK_MAIN(CASE(sees_what_is_there), ASIDE(times_out), ASIDE(wakes), ASIDE(mask_is_of_the_wait),
	   CASE(bad_masks), CASE(none_is_lost))

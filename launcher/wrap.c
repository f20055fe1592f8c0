/* SPDX-License-Identifier: BSD-3-Clause
 *
 * wrap.c - gazelle-run after the fork: a parent that one cannot tell from its child
 *
 * Theory of operation: all signals are blocked and read from a signalfd, so
 * that none is missed, whatever its disposition was.
 *
 *   sent by a process	passed on: who knows our pid means the program
 *   from the terminal	not passed on: the child is in the same process group
 *			and has got it from the kernel, as we did (a hangup goes
 *			to a session's leader alone, so that is passed on if we
 *			are the leader)
 *   other, by kernel	passed on: an alarm(2) set before gazelle-run's exec
 *   by our child	dropped: kill(0, ...) reaches us as well
 *
 * A signal to the whole group from a process reaches the child twice, there is
 * no telling; so does what timeout(1) sends, with or without us.
 *
 * Between blocking the signals and the fork a signal would reach only us.  The
 * child waits on the `hold` pipe, with everything blocked, until we have passed
 * on all that came, terminal's too: pending twice is pending once.
 *
 * If the child stops, so do we, for the shell whose job we are: by the same
 * signal where it is one of the terminal's.  SIGSTOP, which may come from
 * anywhere, stops us only when a terminal waits for us: whoever stops and
 * continues the program by its own pid would otherwise leave us stopped.
 */
#include "launcher/wrap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher/broker.h"
#include "launcher/heir.h"
#include "launcher/say.h"

#define REAP_MS 20

struct wrap {
	pid_t pid;
	int sigs;   /* signalfd of everything */
	int report; /* -1: the program runs, or has ended */
	int broker; /* -1: none */
	bool heir;  /* the engine is gone, and we answer */
	int status;
	bool held; /* the child waits, all signals blocked */
	bool ended;
	bool stopped;
	bool again;
};

static bool is_from_terminal(int sig)
{
	switch (sig) {
	case SIGHUP:
	case SIGCONT: /* comes with SIGHUP */
		return getsid(0) != getpid();
	case SIGINT:
	case SIGQUIT:
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU:
	case SIGWINCH:
		return true;
	default:
		return false;
	}
}

static void pass_on(const struct wrap *w, const struct signalfd_siginfo *si)
{
	int sig = (int)si->ssi_signo;

	if (si->ssi_code == SI_KERNEL && is_from_terminal(sig) && !w->held)
		return;
	if (si->ssi_code <= 0 && (pid_t)si->ssi_pid == w->pid)
		return;
	if (si->ssi_code == SI_QUEUE)
		sigqueue(w->pid, sig, (union sigval){.sival_ptr = (void *)(uintptr_t)si->ssi_ptr});
	else
		kill(w->pid, sig);
}

/* Does a terminal's user look at the child, or at us? */
static bool in_foreground(pid_t child)
{
	int tty = open("/dev/tty", O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	pid_t front;

	if (tty < 0)
		return false;
	front = tcgetpgrp(tty);
	close(tty);
	return front > 0 && (front == getpgrp() || front == getpgid(child));
}

static void stop_with_child(const struct wrap *w, int sig)
{
	bool job_control = sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
	struct sigaction sa;
	sigset_t set;

	if (!job_control && !in_foreground(w->pid))
		return;
	/* Continued already?  Stopping would throw that SIGCONT away. */
	if (!sigpending(&set) && sigismember(&set, SIGCONT))
		return;
	if (!job_control || sigaction(sig, NULL, &sa) || sa.sa_handler != SIG_DFL) {
		kill(getpid(), SIGSTOP);
		return;
	}
	sigemptyset(&set);
	sigaddset(&set, sig);
	kill(getpid(), sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL); /* here we stop */
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static void look_at_child(struct wrap *w)
{
	int status;
	pid_t pid;

	while (!w->ended) {
		pid = waitpid(w->pid, &status, WNOHANG | WUNTRACED | WCONTINUED);
		if (pid < 0 && errno == EINTR)
			continue;
		if (pid <= 0)
			return;
		if (WIFSTOPPED(status)) {
			w->stopped = true;
			stop_with_child(w, WSTOPSIG(status));
		} else if (WIFCONTINUED(status)) {
			w->stopped = false;
		} else {
			w->ended = true;
			w->status = status;
		}
	}
}

/* The shell continues the whole group; a kill -CONT of us, only us */
static void on_continue(struct wrap *w, const struct signalfd_siginfo *si)
{
	look_at_child(w);
	if (w->stopped)
		kill(w->pid, SIGCONT);
	else
		pass_on(w, si);
}

static void read_signals(struct wrap *w)
{
	struct signalfd_siginfo si;

	while (!w->ended && read(w->sigs, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (si.ssi_signo == SIGCHLD) {
			look_at_child(w);
			if (si.ssi_code > 0)
				continue; /* a child's; other codes are a process's kill() */
			if (w->ended)
				return;
		}
		if (si.ssi_signo == SIGCONT)
			on_continue(w, &si);
		else
			pass_on(w, &si);
	}
}

static int by_value(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* All but the standard ones and these, of which some may be -1 */
static void close_but(int *kept, size_t n)
{
	unsigned first = 3;

	qsort(kept, n, sizeof(*kept), by_value);
	for (size_t i = 0; i < n; i++) {
		if (kept[i] < (int)first)
			continue;
		if (kept[i] > (int)first)
			close_range(first, (unsigned)kept[i] - 1, 0);
		first = (unsigned)kept[i] + 1;
	}
	close_range(first, ~0U, 0);
}

/* The program runs: hold nothing of what it, and its peers, may want closed */
static void let_go(const struct wrap *w)
{
	int kept[] = {w->sigs, w->broker, gz_heir_listener()};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd <= 2 && null >= 0; fd++)
		dup2(null, fd);
	close_but(kept, sizeof(kept) / sizeof(kept[0]));
	if (chdir("/"))
		return; /* the folder stays busy, no more */
}

static void read_report(struct wrap *w)
{
	char byte;
	ssize_t n = read(w->report, &byte, 1);

	if (n < 0 && errno == EINTR)
		return;
	if (n == 1 && byte == GZ_REPORT_AGAIN) {
		w->again = true;
		return; /* its end of file comes next */
	}
	close(w->report);
	w->report = -1;
	if (!w->again)
		let_go(w);
}

int gz_wrap(struct gz_child *c, int *status)
{
	struct wrap w = {.pid = c->pid, .report = c->report, .broker = c->broker, .held = true};
	sigset_t all;

	sigfillset(&all);
	w.sigs = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (w.sigs < 0) {
		int rc = -errno;

		kill(c->pid, SIGKILL);
		close(c->hold);
		close(c->report);
		if (c->broker >= 0)
			close(c->broker);
		while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
			;
		return rc;
	}
	read_signals(&w);
	w.held = false;
	close(c->hold);

	while (!w.ended) {
		struct pollfd p[] = {
		    {.fd = w.sigs, .events = POLLIN},
		    {.fd = w.report, .events = POLLIN},
		    {.fd = w.broker, .events = POLLIN},
		    {.fd = w.heir ? gz_heir_listener() : -1, .events = POLLIN},
		};

		if (poll(p, 4, gz_broker_reap() ? REAP_MS : -1) < 0)
			continue;
		if (p[2].revents && !gz_broker_serve(w.broker)) {
			close(w.broker);
			w.broker = -1;
			w.heir = gz_heir_begin();
		}
		if (p[3].revents)
			w.heir = p[3].revents & POLLIN && gz_heir_serve();
		if (p[1].revents)
			read_report(&w);
		if (p[0].revents)
			read_signals(&w);
	}
	/* The child's last word may have come together with its end. */
	if (w.report >= 0) {
		char byte;

		if (read(w.report, &byte, 1) == 1 && byte == GZ_REPORT_AGAIN)
			w.again = true;
		close(w.report);
	}
	if (w.broker >= 0)
		close(w.broker);
	gz_heir_drop();
	close(w.sigs);
	*status = w.status;
	return w.again ? 1 : 0;
}

void gz_end_like(int status)
{
	struct rlimit none = {0, 0};
	sigset_t set;
	int sig;

	if (WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	sig = WTERMSIG(status);
	/* The core is the program's; a core_pattern pipe ignores the limit. */
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
	signal(sig, SIG_DFL);
	kill(getpid(), sig);
	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	_exit(128 + sig); /* not reached by any signal that ends a process */
}

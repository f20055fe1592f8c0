/* SPDX-License-Identifier: BSD-3-Clause
 *
 * attach.c - Put a running process on an engine
 *
 * Theory of operation: what spawn.c does in a child before its exec is done
 * here in a process that runs already, by system calls that one of its threads
 * makes for us while all of them are stopped (tracee.c):
 *
 *	mmap()		a place for the filter's program
 *	seccomp()	the filter, for all threads at once (TSYNC), and a listener
 *	close()		of the listener, after we took a copy (pidfd_getfd(2)): no
 *			fork() of the process may keep one, for a listener that
 *			outlives its engine hangs whoever traps
 *	munmap()
 *
 * Then the process goes on, and we hand the listener to the engine; calls that
 * trap meanwhile wait for it.  Sockets that it has stay the kernel's: the engine
 * knows none of them and lets their calls continue.
 *
 * A filter cannot be taken off again, so all that may fail is tried before: the
 * engine is there and has room, the process may be looked into, it has no
 * listener.  If the engine goes away in between, another one is started, and
 * if that fails too a stand-in leaves all calls to the kernel (standin.c).
 */
#include "launcher/attach.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "launcher/adopt.h"
#include "launcher/clock.h"
#include "launcher/filter.h"
#include "launcher/proc.h"
#include "launcher/say.h"
#include "launcher/signals.h"
#include "launcher/standin.h"
#include "launcher/tracee.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* Linux 6.9 */
#endif

#define STOP_MS 500 /* the process stands still no longer than this, each time */
#define STOP_TRIES 10
#define PAUSE_MS 50
#define AGAIN_MAX 5 /* engines that leave while they are asked */
#define REAP_MS 50

#define FILTER_FLAGS                                                                               \
	(SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV |               \
	 SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH)

struct attach {
	struct gz_tracee t;
	const struct sock_fprog *filter;
	int process;  /* pidfd */
	int listener; /* -1: not yet */
};

/* --- the process ------------------------------------------------------------------ */

static int because(struct attach *a, int err, const char *text)
{
	snprintf(a->t.why, sizeof(a->t.why), "%s", text);
	return err;
}

/* What ptrace() would not say, or only after the process was stopped */
static int check(struct attach *a)
{
	unsigned char ident[EI_NIDENT];
	char text[64], path[64];
	ssize_t n;
	int fd;

	if (!gz_status(a->t.pid, "Tgid:", text, sizeof(text)))
		return because(a, -ESRCH, "there is no such process");
	if (atoi(text) != a->t.pid) {
		snprintf(a->t.why, sizeof(a->t.why), "that is a thread of process %d", atoi(text));
		return -EINVAL;
	}
	a->process = (int)syscall(SYS_pidfd_open, a->t.pid, 0);
	if (a->process < 0)
		return because(a, -errno, strerror(errno));
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)a->t.pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0; /* no rights, or no program: ptrace() will say */
	n = read(fd, ident, sizeof(ident));
	close(fd);
	if (n == (ssize_t)sizeof(ident) && ident[EI_CLASS] != ELFCLASS64)
		return because(a, -ENOEXEC,
			       "it is a 32-bit program, whose system calls go to the kernel in any "
			       "case");
	return 0;
}

/* Descriptors of a first thread that has ended are not to be had; a thread's own pidfd helps. */
static int take_fd(struct attach *a, int fd)
{
	int thread = (int)syscall(SYS_pidfd_open, a->t.borrowed->tid, PIDFD_THREAD);
	int got = (int)syscall(SYS_pidfd_getfd, thread >= 0 ? thread : a->process, fd, 0);
	int err = errno;

	if (thread >= 0)
		close(thread);
	return got >= 0 ? got : -err;
}

static int call_failed(struct attach *a, const char *call, int64_t result)
{
	snprintf(a->t.why, sizeof(a->t.why), "%s in it: %s", call, strerror((int)-result));
	return (int)result;
}

static int filter_failed(struct attach *a, int64_t result)
{
	switch (result) {
	case -EBUSY:
		return because(a, -EBUSY,
			       "it has a seccomp listener already, another program's or an older "
			       "gazelle-run's, and there is no second one");
	case -ESRCH:
		return because(a, -EPERM,
			       "its threads have different seccomp filters: they cannot be given "
			       "one together");
	case -EMFILE:
		return because(a, -EMFILE, "it has no descriptor left (RLIMIT_NOFILE)");
	case -EINVAL:
		return because(
		    a, -EINVAL,
		    "the kernel is too old (Linux 5.19 is needed), or it is in seccomp's "
		    "strict mode");
	default:
		return call_failed(a, "seccomp()", result);
	}
}

/* Run the calls.  @addr: the program's place in the process */
static int load_filter(struct attach *a, uint64_t addr)
{
	struct sock_fprog prog = {.len = a->filter->len,
				  .filter = (void *)(uintptr_t)(addr + sizeof(prog))};
	int64_t fd, r;
	int rc;

	rc = gz_tracee_write(&a->t, addr, &prog, sizeof(prog));
	if (!rc)
		rc = gz_tracee_write(&a->t, addr + sizeof(prog), a->filter->filter,
				     a->filter->len * sizeof(struct sock_filter));
	if (rc)
		return call_failed(a, "writing memory", rc);
	rc = GZ_TRACEE_CALL(&a->t, &fd, SYS_seccomp, SECCOMP_SET_MODE_FILTER, FILTER_FLAGS, addr);
	if (!rc && fd == -EACCES) { /* it has no CAP_SYS_ADMIN */
		rc = GZ_TRACEE_CALL(&a->t, &r, SYS_prctl, PR_SET_NO_NEW_PRIVS, 1);
		if (!rc && !r) {
			gz_step("process %d: no_new_privs", (int)a->t.pid);
			rc = GZ_TRACEE_CALL(&a->t, &fd, SYS_seccomp, SECCOMP_SET_MODE_FILTER,
					    FILTER_FLAGS, addr);
		}
	}
	if (rc)
		return because(a, rc, "it has ended");
	if (fd < 0)
		return filter_failed(a, fd);
	a->listener = take_fd(a, (int)fd);
	if (a->listener < 0)
		rc = call_failed(a, "pidfd_getfd() of the listener", a->listener);
	/* Not a call that traps; if it fails, the process has ended. */
	GZ_TRACEE_CALL(&a->t, &r, SYS_close, (uint64_t)fd);
	return rc;
}

static int run_calls(struct attach *a)
{
	size_t len = sizeof(struct sock_fprog) + a->filter->len * sizeof(struct sock_filter);
	int64_t addr, r;
	int rc;

	rc = GZ_TRACEE_CALL(&a->t, &addr, SYS_mmap, 0, len, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1);
	if (rc)
		return because(a, rc, "it has ended");
	if (addr < 0 && addr > -4096)
		return call_failed(a, "mmap()", addr);
	rc = load_filter(a, (uint64_t)addr);
	GZ_TRACEE_CALL(&a->t, &r, SYS_munmap, (uint64_t)addr, len);
	return rc;
}

/* Return: 0, -EAGAIN, or a negative errno and a->t.why */
static int try_once(struct attach *a)
{
	int rc;

	rc = gz_tracee_stop(&a->t, STOP_MS);
	if (!rc)
		rc = gz_tracee_borrow(&a->t);
	if (!rc && gz_tracee_has_filter(&a->t, a->filter->filter, a->filter->len))
		rc = because(a, -EALREADY, "an engine serves it already");
	if (!rc) {
		/* There is no such descriptor; without the right to look, EPERM. */
		rc = take_fd(a, INT32_MAX);
		rc = rc == -EBADF ? 0 : call_failed(a, "pidfd_getfd()", rc);
	}
	if (!rc)
		rc = run_calls(a);
	gz_tracee_release(&a->t);
	return rc;
}

static int install(struct attach *a)
{
	int rc = -EAGAIN;

	for (int i = 0; i < STOP_TRIES && rc == -EAGAIN; i++) {
		if (i) {
			gz_step("process %d: %s, once more", (int)a->t.pid, a->t.why);
			gz_pause_ms(PAUSE_MS);
		}
		rc = try_once(a);
	}
	/* Whoever was slow to stop is let go as well. */
	for (int i = 0; i < REAP_MS && gz_tracee_reap(&a->t) > a->t.vforks; i++)
		gz_pause_ms(1);
	return rc;
}

/* --- the engine ------------------------------------------------------------------ */

/* Return: 0; 1, it went away, try again; GZ_EXIT_FAILED, the reason was said */
static int ask(const struct gz_engine *e, enum gz_control_op op, const struct attach *a)
{
	struct gz_welcome w = {0};
	struct ucred cred = {0};
	socklen_t len = sizeof(cred);
	char program[64] = "?";
	int sock, fd = -1, rc;

	sock = gz_engine_connect(e);
	if (sock == -ENOENT || sock == -ECONNREFUSED || sock == -ECONNRESET)
		return 1;
	if (sock < 0) {
		gz_engine_say_failure(e, sock);
		return GZ_EXIT_FAILED;
	}
	if (!getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) && cred.pid == a->t.pid) {
		gz_error("Couldn't attach to process %d: it is engine '%s' itself", (int)a->t.pid,
			 e->name);
		close(sock);
		return GZ_EXIT_FAILED;
	}
	if (op == GZ_OP_SERVE) {
		fd = fcntl(a->listener, F_DUPFD_CLOEXEC, 3);
		gz_status(a->t.pid, "Name:", program, sizeof(program));
	}
	rc = gz_engine_ask(sock, op, program, fd, a->process, &w);
	close(sock);
	if (rc == -ECONNRESET)
		return 1;
	if (rc) {
		gz_engine_say_failure(e, rc);
		return GZ_EXIT_FAILED;
	}
	if (w.status) {
		gz_error("engine '%s' refused: %s", e->name,
			 w.text[0] ? w.text : strerror(w.status));
		return GZ_EXIT_FAILED;
	}
	if (op == GZ_OP_SERVE)
		gz_step("process %d is client %u of engine '%s'", (int)a->t.pid, w.client, e->name);
	return 0;
}

static int ask_again(const struct gz_engine *e, enum gz_control_op op, const struct attach *a)
{
	int rc = 1;

	for (int i = 0; i < AGAIN_MAX && rc == 1; i++) {
		rc = gz_engine_ready(e, NULL);
		if (!rc)
			rc = ask(e, op, a);
	}
	if (rc == 1)
		gz_error("engine '%s' (%s) goes away whenever it is asked to serve", e->name,
			 e->sock);
	return rc ? GZ_EXIT_FAILED : 0;
}

static int hand_over(const struct gz_engine *e, const struct attach *a)
{
	int rc = ask_again(e, GZ_OP_SERVE, a);
	pid_t pid;

	if (!rc)
		return 0;
	pid = gz_standin(a->listener);
	if (pid < 0)
		gz_error("process %d lost its sockets: nobody serves it (%s)", (int)a->t.pid,
			 strerror(-pid));
	else
		gz_error("process %d stays with the kernel's stack; process %d answers for the "
			 "engine as long as it runs",
			 (int)a->t.pid, (int)pid);
	return rc;
}

static void wait_for_end(struct attach *a)
{
	struct pollfd p = {.fd = a->process, .events = POLLIN};

	while (poll(&p, 1, gz_tracee_reap(&a->t) ? REAP_MS : -1) <= 0)
		;
}

/* Return: 0; 1, an engine serves it already; GZ_EXIT_FAILED, the reason was said */
static int attach_one(const struct gz_engine *e, struct attach *a)
{
	struct gz_signals inherited;
	int rc = check(a), status;

	if (!rc) {
		status = ask_again(e, GZ_OP_MAY_SERVE, a);
		if (status)
			return status;
		gz_signals_take(&inherited);
		rc = install(a);
		status = rc ? 0 : hand_over(e, a);
		gz_signals_restore(&inherited);
		if (!rc)
			return status;
		if (rc == -EALREADY)
			return 1;
	}
	gz_error("Couldn't attach to process %d: %s", (int)a->t.pid, a->t.why);
	return GZ_EXIT_FAILED;
}

static void let_go(struct attach *a)
{
	if (a->listener >= 0)
		close(a->listener);
	if (a->process >= 0)
		close(a->process);
}

struct prefork {
	const struct gz_engine *e;
	const struct sock_fprog *filter;
};

/* A gz_attach_fn */
static int attach_holder(void *arg, pid_t pid)
{
	const struct prefork *p = arg;
	struct attach a = {.t.pid = pid, .filter = p->filter, .process = -1, .listener = -1};
	int pidfd = -1;

	if (attach_one(p->e, &a) != GZ_EXIT_FAILED) {
		pidfd = a.process;
		a.process = -1;
	}
	let_go(&a);
	return pidfd;
}

int gz_attach(const struct gz_engine *e, const struct sock_fprog *filter, pid_t pid, bool adopt,
	      bool wait)
{
	struct attach a = {.t.pid = pid, .filter = filter, .process = -1, .listener = -1};
	struct prefork p = {e, filter};
	struct gz_signals inherited;
	int status = attach_one(e, &a);

	if (status == 1 && !adopt) {
		gz_error("Couldn't attach to process %d: %s", (int)pid, a.t.why);
		status = GZ_EXIT_FAILED;
	}
	if (status != GZ_EXIT_FAILED && adopt) {
		gz_signals_take(&inherited);
		status = gz_adopt(pid, a.process, attach_holder, &p) ? GZ_EXIT_LISTENERS : 0;
		gz_signals_restore(&inherited);
	}
	if (status != GZ_EXIT_FAILED && wait)
		wait_for_end(&a);
	let_go(&a);
	return status;
}

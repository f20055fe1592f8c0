/* SPDX-License-Identifier: BSD-3-Clause
 *
 * spawn.c - The program-to-be: a child that joins the engine, then execs
 *
 * Theory of operation: the order is what matters.
 *
 *	connect to the engine	connect() traps later, when nobody serves us yet;
 *				the connection carries our pid, the program's
 *	install the filter	from here on no call of gz_calls[] may be made
 *	SERVE + the listener	by a second thread, made before and without the
 *				filter, for sendmsg() traps; waiting for it does not
 *	close the listener	a second copy would keep it alive after the
 *				engine, and who traps then would wait for ever
 *	wait for the welcome
 *	exec
 *
 * A filter is for ever, so a child whose engine went away before the welcome
 * cannot try again; it says so on `report` and ends, and gazelle-run, which has
 * no filter, forks another.
 *
 * All descriptors of ours are close-on-exec, the signals' mask and actions are
 * put back before anything else: the program finds what gazelle-run found.
 */
#include "launcher/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "launcher/filter.h"
#include "launcher/heir.h"
#include "launcher/say.h"

void gz_signals_take(struct gz_signals *inherited)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &inherited->mask);
	sigaction(SIGCHLD, &dfl, &inherited->chld);
}

void gz_signals_restore(const struct gz_signals *inherited)
{
	sigaction(SIGCHLD, &inherited->chld, NULL);
	sigprocmask(SIG_SETMASK, &inherited->mask, NULL);
}

int gz_exec(char *const *argv)
{
	int err;

	execvp(argv[0], argv);
	err = errno;
	gz_error("'%s': %s", argv[0], strerror(err));
	return err == ENOENT ? GZ_EXIT_NOT_FOUND : GZ_EXIT_CANNOT_RUN;
}

/* The engine went away: not an error of the program's, nor yet of ours */
static int again(int report)
{
	char byte = GZ_REPORT_AGAIN;

	if (write(report, &byte, 1) != 1)
		return GZ_EXIT_FAILED; /* gazelle-run is gone */
	return GZ_EXIT_FAILED;
}

/** The thread that asks: it has no filter, which is a thread's own (seccomp(2)). */
struct asker {
	pthread_t thread;
	sem_t go;
	const char *program;
	int sock, listener; /* negative: there is nothing to ask */
	int broker;	    /* the engine's end */
	bool ring;
	const struct gz_engine *e;
	int report;
	struct gz_welcome w;
};

/* What the engine says to that.  Return: 0, it serves us; or the exit status, and it was said why
 */
static int answer(const struct asker *a, int rc)
{
	if (rc == -ECONNRESET)
		return again(a->report);
	if (rc) {
		gz_engine_say_failure(a->e, rc);
		return GZ_EXIT_FAILED;
	}
	if (!a->w.status)
		return 0;
	gz_error("engine '%s' refused: %s", a->e->name,
		 a->w.text[0] ? a->w.text : strerror(a->w.status));
	return GZ_EXIT_FAILED;
}

static void *ask(void *arg)
{
	struct asker *a = arg;
	int rc;

	while (sem_wait(&a->go) < 0 && errno == EINTR)
		;
	if (a->listener >= 0 && a->ring)
		gz_heir_send(a->broker, a->listener); /* or nobody answers after the engine */
	if (a->listener < 0)
		return NULL;
	rc = answer(a, gz_engine_ask(a->sock, a->ring ? GZ_OP_SERVE_RING : GZ_OP_SERVE_RELAY,
				     a->program, a->listener, a->broker, &a->w));
	/* A write() of the first thread's would trap, and gazelle-run has the listener, too. */
	if (rc)
		_exit(rc);
	return NULL;
}

/* Return: 0, the engine serves us; or the exit status, and the reason was said */
static int join(const struct gz_engine *e, const struct sock_fprog *filter, const char *program,
		bool ring, int broker, int report)
{
	struct asker a = {
	    .program = program, .broker = broker, .ring = ring, .e = e, .report = report};
	int sock, listener, rc;

	sock = gz_engine_connect(e);
	if (sock == -ENOENT || sock == -ECONNREFUSED || sock == -ECONNRESET)
		return again(report);
	if (sock < 0) {
		gz_engine_say_failure(e, sock);
		return GZ_EXIT_FAILED;
	}

	a.sock = sock;
	sem_init(&a.go, 0, 0);
	rc = pthread_create(&a.thread, NULL, ask, &a);
	if (rc) {
		gz_error("Couldn't make a thread: %s", strerror(rc));
		return GZ_EXIT_FAILED;
	}
	listener = a.listener = gz_filter_install(filter);
	sem_post(&a.go);
	pthread_join(a.thread, NULL);
	if (listener == -EBUSY) { /* under a gazelle-run, which serves us already */
		close(sock);
		return 0;
	}
	if (listener < 0) {
		gz_error("Couldn't install the seccomp filter: %s", gz_filter_strerror(listener));
		return GZ_EXIT_FAILED;
	}
	close(sock);
	gz_step("client %u of engine '%s'", a.w.client, e->name);
	return 0;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

int gz_spawn(const struct gz_engine *e, const struct sock_fprog *filter,
	     const struct gz_signals *inherited, bool ring, char *const *argv, struct gz_child *c)
{
	int hold[2], report[2], broker[2], rc;
	char byte;

	if (pipe2(hold, O_CLOEXEC))
		return -errno;
	if (pipe2(report, O_CLOEXEC)) {
		rc = -errno;
		goto fail_hold;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, broker)) {
		rc = -errno;
		goto fail_report;
	}
	c->pid = fork();
	if (c->pid < 0) {
		rc = -errno;
		close(broker[0]);
		close(broker[1]);
		goto fail_report;
	}
	if (!c->pid) {
		close(hold[1]);
		close(report[0]);
		while (read(hold[0], &byte, 1) < 0 && errno == EINTR)
			;
		close(hold[0]);
		gz_signals_restore(inherited);
		rc = join(e, filter, base_name(argv[0]), ring, broker[1], report[1]);
		_exit(rc ? rc : gz_exec(argv));
	}
	close(hold[0]);
	close(report[1]);
	close(broker[1]);
	c->broker = broker[0];
	c->hold = hold[1];
	c->report = report[0];
	return 0;

fail_report:
	close(report[0]);
	close(report[1]);
fail_hold:
	close(hold[0]);
	close(hold[1]);
	return rc;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * spawn.c - The program-to-be: a child that joins the engine, then execs
 *
 * Theory of operation: the order is what matters.
 *
 *	connect to the engine	connect() traps later, when nobody serves us yet;
 *				the connection carries our pid, the program's
 *	install the filter	from here on no call of gz_calls[] may be made
 *	SERVE + the listener	sendmsg(), recvmsg(), read(), write() and close()
 *				are not in the table
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
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launcher/filter.h"
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

/* Return: 0, the engine serves us; or the exit status, and the reason was said */
static int join(const struct gz_engine *e, const struct sock_fprog *filter, const char *program,
		int report)
{
	struct gz_welcome w;
	int sock, listener, rc;

	sock = gz_engine_connect(e);
	if (sock == -ENOENT || sock == -ECONNREFUSED || sock == -ECONNRESET)
		return again(report);
	if (sock < 0) {
		gz_engine_say_failure(e, sock);
		return GZ_EXIT_FAILED;
	}

	listener = gz_filter_install(filter);
	if (listener == -EBUSY) { /* under a gazelle-run, which serves us already */
		close(sock);
		return 0;
	}
	if (listener < 0) {
		gz_error("Couldn't install the seccomp filter: %s", gz_filter_strerror(listener));
		return GZ_EXIT_FAILED;
	}

	rc = gz_engine_ask(sock, GZ_OP_SERVE, program, listener, -1, &w);
	if (rc == -ECONNRESET)
		return again(report);
	if (rc) {
		gz_engine_say_failure(e, rc);
		return GZ_EXIT_FAILED;
	}
	if (w.status) {
		gz_error("engine '%s' refused: %s", e->name,
			 w.text[0] ? w.text : strerror(w.status));
		return GZ_EXIT_FAILED;
	}
	close(sock);
	gz_step("client %u of engine '%s'", w.client, e->name);
	return 0;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

int gz_spawn(const struct gz_engine *e, const struct sock_fprog *filter,
	     const struct gz_signals *inherited, char *const *argv, struct gz_child *c)
{
	int hold[2], report[2], rc;
	char byte;

	if (pipe2(hold, O_CLOEXEC))
		return -errno;
	if (pipe2(report, O_CLOEXEC)) {
		rc = -errno;
		goto fail_hold;
	}
	c->pid = fork();
	if (c->pid < 0) {
		rc = -errno;
		goto fail_report;
	}
	if (!c->pid) {
		close(hold[1]);
		close(report[0]);
		while (read(hold[0], &byte, 1) < 0 && errno == EINTR)
			;
		close(hold[0]);
		gz_signals_restore(inherited);
		rc = join(e, filter, base_name(argv[0]), report[1]);
		_exit(rc ? rc : gz_exec(argv));
	}
	close(hold[0]);
	close(report[1]);
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

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * warden.c - Wakes who waits for connections when the engine was killed
 *
 * Theory of operation.  A connected shadow hangs up by itself when the engine's
 * end goes.  A listener's shadow has no other end: whoever only polls it would
 * sleep for ever.  So a child, forked before there are threads, lives in the
 * shadows' namespace and does nothing but wait for the end of a pipe whose other
 * end is the engine's alone.  Then it connects to each shadow that listens there
 * (/proc/self/net/unix knows them), which makes it readable and wakes who waits in the
 * kernel's accept() (launcher/agent/accept.c); the accept() that follows fails with
 * ENOSYS, as every call does without an engine.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "engine/warden.h"

#define PIPE_FD 3
#define SLEEPERS 64	/* that may wait in accept() itself, by an agent */
#define LISTENS 0x10000 /* __SO_ACCEPTCON, unix_seq_show() */

static void knock(const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "%s", name);
	/* A full queue is readable already. */
	if (fd >= 0 && connect(fd, (struct sockaddr *)&a,
			       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
					   strlen(a.sun_path + 1))) < 0)
		errno = 0;
	if (fd >= 0)
		close(fd);
}

static void knock_all(void)
{
	FILE *f = fopen("/proc/self/net/unix", "re");
	char line[256], name[100];
	unsigned flags;

	if (!f)
		return;
	/* Num: RefCount Protocol Flags Type St Inode @Path */
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %*x %*x %x %*x %*x %*u @%99s", &flags, name) == 2 &&
		    flags & LISTENS)
			for (int i = 0; i < SLEEPERS; i++)
				knock(name);
	fclose(f);
}

static void watch(int fd)
{
	static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	ssize_t n;
	char c;

	/* What ends the engine in order ends this one by the pipe. */
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	prctl(PR_SET_NAME, "gazelle-warden");
	/* Not the lock, not the launcher's pipe, nobody's standard output. */
	for (int i = 0; i < 3; i++)
		dup2(null, i);
	if (fd != PIPE_FD)
		dup2(fd, PIPE_FD);
	close_range(PIPE_FD + 1, ~0u, 0);
	do {
		n = read(PIPE_FD, &c, 1);
	} while (n < 0 && errno == EINTR);
	knock_all();
}

int gz_warden_start(void)
{
	int fd[2];
	pid_t pid;

	if (pipe2(fd, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (!pid) {
		close(fd[1]);
		watch(fd[0]);
		_exit(0);
	}
	close(fd[0]);
	if (pid < 0)
		close(fd[1]);
	/* The writing end stays open until this process ends, however it does. */
	return pid < 0 ? -EAGAIN : 0;
}

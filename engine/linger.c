/* SPDX-License-Identifier: BSD-3-Clause
 *
 * linger.c - What a close() with SO_LINGER waits for
 *
 * The waiting is the agent's (linger(), launcher/agent/fds.c): for bytes, not for the FIN, which
 * goes with the close itself.  That is the last close if no other descriptor of any process is
 * the same socket.
 */
#include <dirent.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/app.h"
#include "engine/calls.h"
#include "engine/linger.h"
#include "engine/service.h"

static bool is_last(int fd)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	unsigned n = 0;
	struct stat st;

	if (fstat(fd, &st) < 0)
		n = 2;
	while (d && n <= 1 && (e = readdir(d))) {
		pid_t pid = atoi(e->d_name);

		if (pid > 0 && pid != getpid())
			n += gz_app_holds(pid, st.st_ino);
	}
	if (d)
		closedir(d);
	return n == 1;
}

int64_t gz_linger_asked(struct gz_call_ctx *c)
{
	struct gz_sock *s;

	if (!gz_service_resolve(c) || !c->s || c->s->type != SOCK_STREAM)
		return 0;
	s = c->s;
	/* What is unread resets it. */
	if (gz_sock_state(s) != GZ_ESTABLISHED || atomic_load(&s->unread) || gz_plane_unread(s) ||
	    (c->args[3] && !is_last(c->fd)))
		return 0;
	return gz_unsent(s);
}

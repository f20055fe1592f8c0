/* SPDX-License-Identifier: BSD-3-Clause
 *
 * standin.c - Answers for an engine that is not there
 *
 * A filter is for ever.  If no engine takes the listener of a process that was
 * attached, closing it would make its calls fail with ENOSYS.  The stand-in
 * lets them all continue: the process goes on as it was, a little slower.
 */
#include "launcher/standin.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void serve(int listener)
{
	for (;;) {
		struct pollfd p = {.fd = listener, .events = POLLIN};
		struct seccomp_notif n = {0};
		struct seccomp_notif_resp r = {.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};

		if (poll(&p, 1, -1) < 0) {
			if (errno == EINTR)
				continue;
			return;
		}
		if (!(p.revents & POLLIN))
			return; /* nobody is left under the filter */
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &n)) {
			if (errno == EINTR || errno == ENOENT)
				continue;
			return;
		}
		r.id = n.id;
		/* ENOENT: the call was interrupted */
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &r) && errno != ENOENT)
			return;
	}
}

pid_t gz_standin(int listener)
{
	pid_t pid = fork();
	int null;

	if (pid)
		return pid < 0 ? -errno : pid;
	setsid();
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd <= 2 && null >= 0; fd++)
		dup2(null, fd);
	listener = fcntl(listener, F_DUPFD_CLOEXEC, 3);
	if (listener > 3)
		close_range(3, (unsigned)listener - 1, 0);
	close_range((unsigned)listener + 1, ~0U, 0);
	if (chdir("/"))
		_exit(1);
	serve(listener);
	_exit(0);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * takeover.c - A new process takes the place of one that runs: see takeover.h
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "dispatch/dispatch.h"
#include "dispatch/takeover.h"

#define ANSWER_S 10
/* The control socket, and of each port an interface and guards */
#define THINGS_MAX (1 + GZ_DISPATCH_PORTS_MAX * (1 + GZ_BOND_PORTS_MAX))

static struct {
	int heir; /* who asked us; -1 */
	/* The new one's: */
	int from; /* who was asked; -1 */
	pid_t pid;
	struct timespec since;
	unsigned n;
	struct thing {
		char name[sizeof(((struct gz_attach_answer *)0)->text)];
		int fd;
	} things[THINGS_MAX];
} over = {.heir = -1, .from = -1};

/* --- the new one ----------------------------------------------------------- */

int takeover_find(const struct dispatch *d, char *err, size_t n)
{
	const struct timeval limit = {.tv_sec = ANSWER_S};
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct ucred who;
	socklen_t len = sizeof(who);

	if (gz_control_path(a.sun_path, sizeof(a.sun_path), d->config.run_dir, d->config.name))
		return gz_failed(err, n, ENAMETOOLONG, "%s/%s.sock is too long", d->config.run_dir,
				 d->config.name);
	over.from = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (over.from < 0 || connect(over.from, (struct sockaddr *)&a, sizeof(a)) ||
	    getsockopt(over.from, SOL_SOCKET, SO_PEERCRED, &who, &len))
		return gz_failed(err, n, errno, "nobody is there at %s to take over from: %m",
				 a.sun_path);
	setsockopt(over.from, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	over.pid = who.pid;
	return who.pid;
}

/** take_answer() - One packet.  Return: its descriptor, -1 without one, or -errno below that */
static int take_answer(struct gz_attach_answer *a)
{
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec v = {a, sizeof(*a)};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *c;
	int fd = -1;

	if (recvmsg(over.from, &m, MSG_CMSG_CLOEXEC) != sizeof(*a) || a->magic != GZ_ATTACH_MAGIC)
		return -ECONNRESET;
	a->text[sizeof(a->text) - 1] = '\0';
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

int takeover_begin(char *err, size_t n)
{
	const struct gz_attach_request r = {
	    .magic = GZ_ATTACH_MAGIC, .version = GZ_ATTACH_VERSION, .op = GZ_ATTACH_TAKEOVER};
	struct gz_attach_answer a;
	int fd;

	clock_gettime(CLOCK_MONOTONIC, &over.since);
	if (send(over.from, &r, sizeof(r), MSG_NOSIGNAL) != sizeof(r))
		return gz_failed(err, n, errno, "process %d cannot be asked: %m", (int)over.pid);
	while ((fd = take_answer(&a)) >= 0) {
		struct thing *t = &over.things[over.n];

		if (over.n == THINGS_MAX) {
			close(fd);
			continue;
		}
		memcpy(t->name, a.text, sizeof(t->name));
		t->fd = fd;
		over.n++;
	}
	if (fd < -1)
		return gz_failed(err, n, ECONNRESET, "process %d does not answer", (int)over.pid);
	if (a.status)
		return gz_failed(err, n, a.status, "process %d: %s", (int)over.pid, a.text);
	return 0;
}

int takeover_take(const char *what)
{
	for (unsigned i = 0; i < over.n; i++) {
		int fd = over.things[i].fd;

		if (fd < 0 || strcmp(over.things[i].name, what))
			continue;
		over.things[i].fd = -1;
		return fd;
	}
	return -1;
}

void takeover_done(void)
{
	struct timespec t;

	if (over.from < 0)
		return;
	for (unsigned i = 0; i < over.n; i++) {
		if (over.things[i].fd >= 0)
			close(over.things[i].fd);
	}
	over.n = 0;
	clock_gettime(CLOCK_MONOTONIC, &t);
	say(GZ_LOG_INFO, "took over from process %d in %lld ms", (int)over.pid,
	    (t.tv_sec - over.since.tv_sec) * 1000ll + (t.tv_nsec - over.since.tv_nsec) / 1000000);
}

bool takeover_over(void)
{
	struct pollfd p = {.fd = over.from, .events = POLLRDHUP};

	if (over.from >= 0 && poll(&p, 1, 0) <= 0)
		return false;
	if (over.from >= 0)
		close(over.from);
	over.from = -1;
	return true;
}

/* --- the old one ----------------------------------------------------------- */

void takeover_asked(int fd)
{
	if (over.heir < 0)
		over.heir = fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

bool takeover_wanted(void)
{
	return over.heir >= 0;
}

static void tell(int fd, const char *text)
{
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct gz_attach_answer a = {.magic = GZ_ATTACH_MAGIC, .version = GZ_ATTACH_VERSION};
	struct iovec v = {&a, sizeof(a)};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	if (over.heir < 0)
		return;
	snprintf(a.text, sizeof(a.text), "%s", text);
	if (fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		control.h.cmsg_level = SOL_SOCKET;
		control.h.cmsg_type = SCM_RIGHTS;
		control.h.cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(&control.h), &fd, sizeof(fd));
	}
	if (sendmsg(over.heir, &m, MSG_NOSIGNAL) != sizeof(a))
		say(GZ_LOG_ERROR, "who takes over does not take '%s': %m", text);
}

void takeover_give(int fd, const char *kind, const char *name)
{
	char text[64];

	snprintf(text, sizeof(text), "%s%s%s", kind, name[0] ? " " : "", name);
	if (fd >= 0)
		tell(fd, text);
}

void takeover_given(void)
{
	tell(-1, "");
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * holder.c - A process that has listeners: where they are in it, and its calls
 *
 * Theory of operation.  All threads are stopped, and one of them makes calls (tracee.c)
 * with a page of memory of their own.  A descriptor of ours gets into the process by a
 * socket pair that it makes: we take one end of it, and send (SCM_RIGHTS) what it
 * receives at the other.
 */
#include "launcher/holder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "launcher/clock.h"
#include "launcher/proc.h"
#include "launcher/say.h"

#define STOP_MS 500
#define STOP_TRIES 10
#define PAUSE_MS 50
#define SCRATCH_BYTES 4096

/* --- descriptors ---------------------------------------------------------------- */

bool gz_each_socket(pid_t pid, bool (*fn)(int fd, ino_t ino, void *arg), void *arg)
{
	char path[64], link[64];
	struct dirent *e;
	bool found = false;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	if (!d)
		return false;
	while (!found && (e = readdir(d))) {
		ssize_t n = readlinkat(dirfd(d), e->d_name, link, sizeof(link) - 1);
		unsigned long ino;

		if (n <= 0)
			continue;
		link[n] = '\0';
		if (sscanf(link, "socket:[%lu]", &ino) == 1)
			found = fn(atoi(e->d_name), ino, arg);
	}
	closedir(d);
	return found;
}

struct search {
	struct gz_places *p;
	ino_t ino;
};

static bool note_place(int fd, ino_t ino, void *arg)
{
	struct search *s = arg;

	if (ino != s->ino)
		return false;
	if (s->p->n == GZ_PLACES_MAX)
		s->p->full = true;
	else
		s->p->fd[s->p->n++] = fd;
	return s->p->full;
}

/* Registrations of the listener in one epoll instance; proc_pid_fdinfo(5) */
static void note_registrations(struct gz_places *p, pid_t pid, int epoll, ino_t ino)
{
	char path[64], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)pid, epoll);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		unsigned long long data;
		unsigned long at;
		unsigned events;
		int tfd;

		if (sscanf(line, "tfd: %d events: %x data: %llx pos:%*d ino:%lx", &tfd, &events,
			   &data, &at) != 4 ||
		    at != ino)
			continue;
		if (p->nreg == GZ_PLACES_MAX) {
			p->full = true;
			break;
		}
		p->reg[p->nreg].epoll = epoll;
		p->reg[p->nreg].fd = tfd;
		p->reg[p->nreg++].event = (struct epoll_event){events, {.u64 = data}};
	}
	if (f)
		fclose(f);
}

void gz_holder_find(struct gz_holder *h, ino_t ino)
{
	struct search s = {&h->places, ino};
	char path[64], link[64];
	struct dirent *e;
	DIR *d;

	h->places = (struct gz_places){0};
	gz_each_socket(h->t.pid, note_place, &s);
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)h->t.pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		ssize_t n = readlinkat(dirfd(d), e->d_name, link, sizeof(link) - 1);

		if (n <= 0)
			continue;
		link[n] = '\0';
		if (!strcmp(link, "anon_inode:[eventpoll]"))
			note_registrations(&h->places, h->t.pid, atoi(e->d_name), ino);
	}
	if (d)
		closedir(d);
}

static bool is_cloexec(pid_t pid, int fd)
{
	char path[64], line[128];
	bool set = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)pid, fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "flags:", 6))
			set = strtoul(line + 6, NULL, 8) & O_CLOEXEC;
	if (f)
		fclose(f);
	return set;
}

/* --- calls ------------------------------------------------------------------------ */

int64_t gz_holder_call(struct gz_holder *h, long nr, uint64_t x, uint64_t y, uint64_t z, uint64_t w,
		       uint64_t u)
{
	int64_t r;

	return GZ_TRACEE_CALL(&h->t, &r, nr, x, y, z, w, u) ? -ESRCH : r;
}

#define CALL(h, nr, ...) CALL_(h, nr, __VA_ARGS__, 0, 0, 0, 0, 0)
#define CALL_(h, nr, x, y, z, w, u, ...)                                                           \
	gz_holder_call(h, nr, (uint64_t)(x), (uint64_t)(y), (uint64_t)(z), (uint64_t)(w),          \
		       (uint64_t)(u))

int gz_holder_put(struct gz_holder *h, const void *data, size_t n)
{
	return gz_tracee_write(&h->t, h->scratch, data, n);
}

static int send_fd(int sock, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec v = {"", 1};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(sock, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* recvmsg() of one descriptor at its socket @sock.  Return: it, or -errno */
static int receive_fd(struct gz_holder *h, int sock)
{
	struct {
		struct msghdr m;
		struct iovec v;
		_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
		char byte;
	} b = {0};
	struct cmsghdr c;
	uint64_t at = h->scratch;
	int64_t r;
	int fd;

	b.m.msg_iov = (void *)(uintptr_t)(at + offsetof(__typeof__(b), v));
	b.m.msg_iovlen = 1;
	b.m.msg_control = (void *)(uintptr_t)(at + offsetof(__typeof__(b), control));
	b.m.msg_controllen = sizeof(b.control);
	b.v.iov_base = (void *)(uintptr_t)(at + offsetof(__typeof__(b), byte));
	b.v.iov_len = 1;
	r = gz_holder_put(h, &b, sizeof(b));
	if (!r)
		r = CALL(h, SYS_recvmsg, sock, at, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (r < 0)
		return (int)r;
	r = gz_tracee_read(&h->t, at, &b, sizeof(b));
	if (r)
		return (int)r;
	memcpy(&c, b.control, sizeof(c));
	if (b.m.msg_controllen < CMSG_LEN(sizeof(int)) || c.cmsg_type != SCM_RIGHTS)
		return -EMFILE; /* unix(7): what it has no room for is dropped */
	memcpy(&fd, b.control + CMSG_LEN(0), sizeof(fd));
	return fd;
}

int gz_holder_give(struct gz_holder *h, int fd)
{
	int64_t r = CALL(h, SYS_socketpair, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, h->scratch);
	int pair[2], mine = -1;

	if (r < 0)
		return (int)r;
	r = gz_tracee_read(&h->t, h->scratch, pair, sizeof(pair));
	if (r)
		return (int)r; /* it has ended */
	mine = (int)syscall(SYS_pidfd_getfd, h->pidfd, pair[0], 0);
	r = mine < 0 ? -errno : send_fd(mine, fd);
	if (!r)
		r = receive_fd(h, pair[1]);
	if (mine >= 0)
		close(mine);
	CALL(h, SYS_close, pair[0]);
	CALL(h, SYS_close, pair[1]);
	return (int)r;
}

static int64_t epoll_change(struct gz_holder *h, size_t i, int op)
{
	const struct epoll_event *e = &h->places.reg[i].event;
	int64_t rc = gz_holder_put(h, e, sizeof(*e));

	return rc ? rc
		  : CALL(h, SYS_epoll_ctl, h->places.reg[i].epoll, op, h->places.reg[i].fd,
			 h->scratch);
}

void gz_holder_replace(struct gz_holder *h, int fd, const char *name)
{
	const struct gz_places *p = &h->places;
	int64_t r;

	for (size_t i = 0; i < p->nreg; i++)
		epoll_change(h, i, EPOLL_CTL_DEL);
	for (size_t i = 0; i < p->n; i++) {
		r = CALL(h, SYS_dup3, fd, p->fd[i], is_cloexec(h->t.pid, p->fd[i]) ? O_CLOEXEC : 0);
		if (r < 0)
			gz_error("listener %s: descriptor %d of process %d: dup3(): %s", name,
				 p->fd[i], (int)h->t.pid, strerror((int)-r));
	}
	for (size_t i = 0; i < p->nreg; i++) {
		r = epoll_change(h, i, EPOLL_CTL_ADD);
		if (r < 0)
			gz_error("listener %s: descriptor %d of process %d in epoll %d: %s", name,
				 p->reg[i].fd, (int)h->t.pid, p->reg[i].epoll, strerror((int)-r));
	}
	CALL(h, SYS_close, fd);
	gz_step("listener %s: process %d: moved, %zu descriptors, %zu in epoll instances", name,
		(int)h->t.pid, p->n, p->nreg);
}

/* --- stopping --------------------------------------------------------------------- */

static int stop(struct gz_holder *h)
{
	int rc = -EAGAIN;

	for (int i = 0; i < STOP_TRIES && rc == -EAGAIN; i++) {
		if (i) {
			gz_tracee_release(&h->t);
			gz_pause_ms(PAUSE_MS);
		}
		rc = gz_tracee_stop(&h->t, STOP_MS);
		if (!rc)
			rc = gz_tracee_borrow(&h->t);
	}
	return rc;
}

/* Its own filters were made for its own calls, and may end it for these. */
static bool has_own_filters(pid_t pid)
{
	char count[32];

	return gz_status(pid, "Seccomp_filters:", count, sizeof(count)) && atoi(count) > 1;
}

static bool unusable(struct gz_holder *h, const char *why)
{
	if (!h->t.why[0])
		snprintf(h->t.why, sizeof(h->t.why), "%s", why);
	return false;
}

bool gz_holder_stop(struct gz_holder *h)
{
	int64_t at;

	if (has_own_filters(h->t.pid))
		return unusable(h,
				"the process has seccomp filters of its own, which may end it for "
				"the calls that this takes");
	if (stop(h))
		return unusable(h, "it cannot be stopped");
	h->t.why[0] = '\0'; /* of the tries before */
	at = CALL(h, SYS_mmap, 0, SCRATCH_BYTES, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (at < 0 && at > -4096)
		return unusable(h, "no memory in the process");
	h->scratch = (uint64_t)at;
	gz_tracee_trap(&h->t, true);
	return true;
}

void gz_holder_release(struct gz_holder *h)
{
	if (h->scratch)
		CALL(h, SYS_munmap, h->scratch, SCRATCH_BYTES);
	h->scratch = 0;
	gz_tracee_release(&h->t);
	while (gz_tracee_reap(&h->t) > h->t.vforks)
		gz_pause_ms(1);
}

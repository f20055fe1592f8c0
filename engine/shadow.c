/* SPDX-License-Identifier: BSD-3-Clause
 *
 * shadow.c - Making, joining and replacing shadows
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/address.h"
#include "engine/counters.h"
#include "engine/log.h"
#include "engine/reaper.h"
#include "engine/service.h"
#include "engine/shadow.h"
#include "engine/stale.h"
#include "engine/swap.h"
#include "engine/twin.h"
#include "engine/worker.h"

static _Atomic uint64_t next_name = 1;

void gz_shadow_sndbuf(int fd)
{
	int n = GZ_SHADOW_SNDBUF;

	/* Beyond net.core.wmem_max where that is allowed. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &n, sizeof(n)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &n, sizeof(n));
}

/*
 * Of a call of ours: that we have no more descriptors is to a program what that of the system
 * is, to socket(2) ENFILE, to the others, which know of none, no buffers.
 */
static int failed(int error, int without)
{
	return -(error == EMFILE || error == ENFILE ? without : error);
}

/* An unconnected shadow with a name of its own.  Return: descriptor or -errno */
int gz_shadow_new(int flags, uint64_t *name, ino_t *ino)
{
	struct sockaddr_un a;
	struct stat st;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), err;

	if (fd < 0)
		return failed(errno, ENFILE);
	gz_shadow_sndbuf(fd);
	*name = atomic_fetch_add(&next_name, 1);
	if (bind(fd, (struct sockaddr *)&a, gz_shadow_name(&a, *name)) < 0 || fstat(fd, &st) < 0) {
		err = errno;
		close(fd);
		return -err;
	}
	*ino = st.st_ino;
	return fd;
}

int gz_file_flags(int fd)
{
	int f = fcntl(fd, F_GETFL);

	return f < 0 ? 0 : f;
}

int64_t gz_shadow_give(struct gz_call_ctx *c, struct gz_sock *s, int fd, int type)
{
	/* Nobody is told of a fresh socket's last close: whoever is first. */
	int64_t r = gz_service_give_fd(c, fd, type & SOCK_CLOEXEC);

	close(fd);
	if (r == GZ_ANSWERED)
		gz_reaper_watch(s, true);
	else
		gz_reaper_close(s);
	gz_sock_unref(s);
	return r;
}

/* To the network namespace of thread @tid.  This thread lives in the shadows'. */
static int enter_netns(pid_t tid)
{
	char path[64];
	int ns, err;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", tid);
	ns = open(path, O_RDONLY | O_CLOEXEC);
	if (ns < 0)
		return failed(errno, ENOBUFS);
	err = setns(ns, CLONE_NEWNET) < 0 ? -errno : 0;
	close(ns);
	return err;
}

static void leave_netns(void)
{
	if (setns(gz_netns, CLONE_NEWNET) < 0)
		gz_err("cannot return to the shadows' network namespace: %s", strerror(errno));
}

int gz_kernel_socket(pid_t tid, int family, int type, int protocol)
{
	int fd, err = enter_netns(tid);

	if (err)
		return err;
	fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
	err = fd < 0 ? failed(errno, ENOBUFS) : 0;
	leave_netns();
	return err ? err : fd;
}

int gz_kernel_sysctl(pid_t tid, const char *path, char *text, size_t n)
{
	int fd, err = enter_netns(tid);
	ssize_t got = -1;

	if (err)
		return err;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		got = read(fd, text, n - 1);
	err = got < 0 ? -errno : 0;
	if (fd >= 0)
		close(fd);
	leave_netns();
	text[got < 0 ? 0 : got] = 0;
	return err;
}

/*
 * The kernel's socket for @s.  One that is bound keeps its port, or the call
 * fails as the kernel's bind() does.  Return: descriptor or -errno
 */
static int kernels_own(struct gz_call_ctx *c, struct gz_sock *s)
{
	struct sockaddr_storage a;
	socklen_t len;
	int fd = gz_twin_take(s), err;

	if (fd >= 0)
		return fd;
	fd = gz_kernel_socket(c->tid, s->family, SOCK_STREAM, IPPROTO_TCP);
	if (fd < 0)
		return fd;
	gz_options_replay(&s->opt, s->family, fd);
	if (gz_sock_state(s) != GZ_BOUND)
		return fd;
	len = gz_addr_sockaddr(s->family, s->local, &a);
	if (bind(fd, (struct sockaddr *)&a, len) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

int64_t gz_put_kernel_socket(struct gz_call_ctx *c, int fd, const struct gz_verdict *v)
{
	struct stat st;
	bool watched;
	int err;

	if (fstat(fd, &st) < 0)
		st.st_ino = 0;
	err = gz_swap_file(c, fd, &watched);
	if (!err) {
		close(c->fd);
		c->fd = -1;
		gz_stale_note(c, c->s, c->s->ino, fd);
	}
	close(fd);
	if (err)
		return err;
	gz_record_add(&c->sv->client->record, st.st_ino, v);
	gz_count(GZ_C_KERNEL_SWAPS);
	return GZ_CONTINUE;
}

/*
 * Put a kernel socket in the place of our shadow and let the kernel run the
 * call: the policy says that this one is not the stack's.
 */
int64_t gz_swap_to_kernel(struct gz_call_ctx *c, const struct gz_verdict *v)
{
	struct gz_sock *s = c->s;
	int fd;

	pthread_mutex_lock(&s->lock);
	fd = kernels_own(c, s);
	pthread_mutex_unlock(&s->lock);
	return fd < 0 ? fd : gz_put_kernel_socket(c, fd, v);
}

/* The service threads' meeting point: an AF_UNIX listener. */
static struct {
	pthread_mutex_t lock;
	int fd;
	struct sockaddr_un addr;
	socklen_t len;
} hub = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

/* Connect the shadow @fd to a new engine's end.  Return: the end or -errno */
int gz_shadow_join(int fd)
{
	struct ucred cred;
	socklen_t len;
	int end = -1, kept = -1, err = 0;

	pthread_mutex_lock(&hub.lock);
	if (hub.fd < 0) {
		hub.len = gz_shadow_name(&hub.addr, 0);
		hub.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (hub.fd < 0 || bind(hub.fd, (struct sockaddr *)&hub.addr, hub.len) < 0 ||
		    listen(hub.fd, 128) < 0) {
			err = failed(errno, ENOBUFS);
			if (hub.fd >= 0)
				close(hub.fd);
			hub.fd = -1;
			goto out;
		}
	}
	/* Nobody else's connection may be taken for ours. */
	while ((end = accept4(hub.fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		gz_count(GZ_C_FOREIGN);
		close(end);
	}
	/* One that is connected and has no end could be used for nothing more. */
	kept = fcntl(hub.fd, F_DUPFD_CLOEXEC, 0);
	if (kept < 0 || connect(fd, (struct sockaddr *)&hub.addr, hub.len) < 0) {
		err = failed(errno, ENOBUFS);
		goto out;
	}
	close(kept);
	kept = -1;
	for (;;) {
		end = accept4(hub.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (end < 0) {
			err = failed(errno, ENOBUFS);
			break;
		}
		len = sizeof(cred);
		if (getsockopt(end, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 &&
		    cred.pid == getpid())
			break;
		gz_count(GZ_C_FOREIGN);
		close(end);
	}
out:
	if (kept >= 0)
		close(kept);
	pthread_mutex_unlock(&hub.lock);
	return err ? err : end;
}

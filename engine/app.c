/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app.c - An application thread's memory, descriptors and signals
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "engine/app.h"
#include "engine/counters.h"
#include "engine/log.h"

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* Linux 6.9 */
#endif
#define ERESTARTSYS 512 /* the kernel's own, linux/errno.h */
#define CAP_NET_BIND_SERVICE_BIT 10

void gz_app_cache_init(struct gz_app_cache *c)
{
	for (unsigned i = 0; i < 64; i++) {
		c->slot[i].tid = 0;
		c->slot[i].pidfd = -1;
	}
}

void gz_app_cache_destroy(struct gz_app_cache *c)
{
	for (unsigned i = 0; i < 64; i++)
		if (c->slot[i].pidfd >= 0)
			close(c->slot[i].pidfd);
}

bool gz_app_peek(pid_t tid, uint64_t addr, void *buf, size_t n)
{
	struct iovec l = {buf, n}, r = {(void *)(uintptr_t)addr, n};

	return process_vm_readv(tid, &l, 1, &r, 1, 0) == (ssize_t)n;
}

int gz_app_read(pid_t tid, uint64_t addr, void *buf, size_t n)
{
	if (!n)
		return 0;
	if (!gz_app_peek(tid, addr, buf, n)) {
		gz_count(GZ_C_REFUSED_FAULT);
		return -EFAULT;
	}
	return 0;
}

int gz_app_write(pid_t tid, uint64_t addr, const void *buf, size_t n)
{
	struct iovec l = {(void *)(uintptr_t)buf, n}, r = {(void *)(uintptr_t)addr, n};

	if (!n)
		return 0;
	if (process_vm_writev(tid, &l, 1, &r, 1, 0) != (ssize_t)n) {
		gz_count(GZ_C_REFUSED_FAULT);
		return -EFAULT;
	}
	return 0;
}

/* A line "KEY:\tvalue" of /proc/TID/status.  Return: false when not there */
static bool status_line(const char *status, const char *key, const char **value)
{
	const char *p = strstr(status, key);

	if (!p)
		return false;
	*value = p + strlen(key);
	return true;
}

static bool read_status(pid_t tid, char *buf, size_t n)
{
	char path[64];
	ssize_t k;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	k = read(fd, buf, n - 1);
	close(fd);
	if (k <= 0)
		return false;
	buf[k] = 0;
	return true;
}

static int open_pidfd(pid_t tid)
{
	char status[4096];
	const char *v;
	int fd = (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD);

	if (fd >= 0 || errno != EINVAL)
		return fd >= 0 ? fd : -errno;
	/* Before 6.9 only of a whole process, by its leader. */
	if (!read_status(tid, status, sizeof(status)) || !status_line(status, "\nTgid:", &v))
		return -ESRCH;
	fd = (int)syscall(SYS_pidfd_open, (pid_t)atoi(v), 0);
	return fd >= 0 ? fd : -errno;
}

int gz_app_fd(struct gz_app_cache *c, pid_t tid, int fd)
{
	unsigned i = (unsigned)tid % 64;
	int got;

	for (int again = 0; again < 2; again++) {
		if (c->slot[i].tid != tid || c->slot[i].pidfd < 0) {
			if (c->slot[i].pidfd >= 0)
				close(c->slot[i].pidfd);
			c->slot[i].tid = tid;
			c->slot[i].pidfd = open_pidfd(tid);
			if (c->slot[i].pidfd < 0)
				return c->slot[i].pidfd;
		}
		got = (int)syscall(SYS_pidfd_getfd, c->slot[i].pidfd, fd, 0);
		if (got >= 0)
			return got;
		/* A cached pidfd of a thread that is gone: the number was reused. */
		if (errno != ESRCH && errno != EINVAL)
			return -errno;
		c->slot[i].tid = 0;
	}
	return -ESRCH;
}

pid_t gz_app_process(pid_t tid)
{
	char status[4096];
	const char *v;

	if (!read_status(tid, status, sizeof(status)) || !status_line(status, "\nTgid:", &v))
		return -ESRCH;
	return (pid_t)atoi(v);
}

bool gz_app_cloexec(pid_t tid, int fd)
{
	char path[64], line[128];
	bool set = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", tid, fd);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, "flags:", 6))
			set = strtoul(line + 6, NULL, 8) & 02000000;
	fclose(f);
	return set;
}

int gz_app_uid(pid_t tid, uid_t *uid)
{
	char status[4096];
	unsigned euid;
	const char *v;

	if (!read_status(tid, status, sizeof(status)) || !status_line(status, "\nUid:", &v) ||
	    sscanf(v, "%*u %u", &euid) != 1)
		return -ESRCH;
	*uid = euid;
	return 0;
}

bool gz_app_is_program(pid_t tid, const char *name)
{
	char path[64], text[4096], *slash;
	const char *v;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/exe", tid);
	n = readlink(path, text, sizeof(text) - 1);
	if (n > 0) {
		text[n] = 0;
		slash = strrchr(text, '/');
		if (!strcmp(slash ? slash + 1 : text, name))
			return true;
	}
	/* A thread may have a name of its own; the process's is its leader's. */
	if (!read_status(tid, text, sizeof(text)) || !status_line(text, "\nTgid:", &v))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/comm", atoi(v));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, 16);
	close(fd);
	/* TASK_COMM_LEN: 15 bytes, and a newline. */
	return n > 1 && (size_t)(n - 1) == strnlen(name, 15) && !memcmp(text, name, (size_t)n - 1);
}

bool gz_app_capable(pid_t tid, unsigned cap)
{
	char status[4096];
	const char *v;

	if (!read_status(tid, status, sizeof(status)) || !status_line(status, "\nCapEff:", &v))
		return false;
	return strtoull(v, NULL, 16) >> cap & 1;
}

int64_t gz_without_rights(int64_t (*f)(const void *of), const void *of)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct mine[2], none[2];
	int64_t r;

	if (syscall(SYS_capget, &h, mine) < 0)
		return -errno;
	memcpy(none, mine, sizeof(none));
	none[0].effective = none[1].effective = 0;
	if (syscall(SYS_capset, &h, none) < 0)
		return -errno;
	r = f(of);
	if (syscall(SYS_capset, &h, mine) < 0)
		gz_err("a thread has lost its capabilities: %s", strerror(errno));
	return r;
}

bool gz_app_shares_user_namespace(pid_t tid)
{
	char path[40];
	struct stat own, its;

	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)tid);
	return stat("/proc/self/ns/user", &own) == 0 && stat(path, &its) == 0 &&
	       own.st_dev == its.st_dev && own.st_ino == its.st_ino;
}

pid_t gz_app_pid_at(pid_t tid, unsigned level, unsigned *levels)
{
	char status[4096], *end;
	const char *v;
	pid_t pid = 0;
	unsigned n = 0;

	if (!read_status(tid, status, sizeof(status)) || !status_line(status, "\nNStgid:", &v))
		return 0;
	/* One number for each pid namespace, the innermost last. */
	for (; *v == '\t' && n < level; n++) {
		pid = (pid_t)strtol(v, &end, 10);
		v = end;
	}
	if (levels)
		*levels = n;
	return pid;
}

pid_t gz_app_own_pid(pid_t tid)
{
	return gz_app_pid_at(tid, UINT_MAX, NULL);
}

bool gz_app_may_bind_low(pid_t tid)
{
	return gz_app_capable(tid, CAP_NET_BIND_SERVICE_BIT);
}

void gz_app_signal(pid_t tid, int sig)
{
	char status[4096];
	const char *v;

	if (read_status(tid, status, sizeof(status)) && status_line(status, "\nTgid:", &v))
		syscall(SYS_tgkill, atoi(v), tid, sig);
}

/* Do all threads but @tid block every signal of @set? */
static bool others_block(pid_t tgid, pid_t tid, uint64_t set)
{
	char path[64], status[4096];
	struct dirent *e;
	bool all = true;
	const char *v;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", tgid);
	d = opendir(path);
	if (!d)
		return false;
	while (all && (e = readdir(d))) {
		pid_t t = atoi(e->d_name);

		if (t <= 0 || t == tid)
			continue;
		if (read_status(t, status, sizeof(status)) && status_line(status, "\nSigBlk:", &v))
			all = (set & ~strtoull(v, NULL, 16)) == 0;
	}
	closedir(d);
	return all;
}

int gz_app_interrupted(pid_t tid)
{
	char status[4096];
	uint64_t blocked, own, shared, ignored;
	const char *v;
	pid_t tgid;

	if (!read_status(tid, status, sizeof(status)) || !status_line(status, "\nSigBlk:", &v))
		return 0;
	blocked = strtoull(v, NULL, 16);
	own = status_line(status, "\nSigPnd:", &v) ? strtoull(v, NULL, 16) : 0;
	shared = status_line(status, "\nShdPnd:", &v) ? strtoull(v, NULL, 16) : 0;
	ignored = status_line(status, "\nSigIgn:", &v) ? strtoull(v, NULL, 16) : 0;
	tgid = status_line(status, "\nTgid:", &v) ? atoi(v) : tid;
	own &= ~blocked & ~ignored;
	shared &= ~blocked & ~ignored;
	if (own)
		return -ERESTARTSYS;
	if (!shared)
		return 0;
	/*
	 * complete_signal() in kernel/signal.c wakes the main thread when it does
	 * not block the signal, else some other that does not.
	 */
	if (tid == tgid || others_block(tgid, tid, shared))
		return -ERESTARTSYS;
	return -EINTR;
}

bool gz_app_is_vfork_child(pid_t pid)
{
	char path[64], line[256];
	pid_t parent = 0;
	char *end;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	/* Behind the name, which may hold anything: the state, then the parent */
	if (fgets(line, sizeof(line), f) && (end = strrchr(line, ')')) &&
	    sscanf(end + 1, " %*c %d", &parent) != 1)
		parent = 0;
	fclose(f);
	return parent > 1 && syscall(SYS_kcmp, parent, pid, KCMP_VM, 0, 0) == 0;
}

bool gz_app_each_process(bool (*fn)(pid_t pid, void *arg), void *arg)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	bool more = true;

	if (!d)
		return false;
	while (more && (e = readdir(d))) {
		pid_t pid = atoi(e->d_name);

		if (pid > 0 && pid != getpid())
			more = fn(pid, arg);
	}
	closedir(d);
	return true;
}

int gz_app_each_socket(pid_t pid, bool (*fn)(int fd, ino_t ino, void *arg), void *arg)
{
	char path[64], link[64];
	struct dirent *e;
	bool more = true;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	if (!d)
		return -errno;
	while (more && (e = readdir(d))) {
		ssize_t n = readlinkat(dirfd(d), e->d_name, link, sizeof(link) - 1);
		unsigned long ino;

		link[n > 0 ? n : 0] = 0;
		if (sscanf(link, "socket:[%lu]", &ino) == 1)
			more = fn(atoi(e->d_name), ino, arg);
	}
	closedir(d);
	return 0;
}

/* Of gz_app_holds() */
struct wanted {
	ino_t ino;
	bool found;
};

static bool note_wanted(int fd, ino_t ino, void *arg)
{
	struct wanted *w = arg;

	(void)fd;
	w->found = ino == w->ino;
	return !w->found;
}

bool gz_app_holds(pid_t pid, ino_t ino)
{
	struct wanted w = {.ino = ino};

	gz_app_each_socket(pid, note_wanted, &w);
	return w.found;
}

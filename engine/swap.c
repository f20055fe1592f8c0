/* SPDX-License-Identifier: BSD-3-Clause
 *
 * swap.c - Putting another file in the place of a program's socket
 *
 * Theory of operation.  SECCOMP_IOCTL_NOTIF_ADDFD replaces one descriptor of the
 * process that asks.  But the program may have made duplicates, and it may have
 * put the socket into an epoll set before connect(), as event loops do.  So
 * /proc/PID/fd is searched for the shadow's inode, and /proc/PID/fdinfo of each
 * epoll descriptor tells what is registered there (fs/eventpoll.c,
 * ep_show_fdinfo()): number, events, data, inode.
 *
 * An epoll set knows its items by file *and number*.  So that the program can
 * modify and delete them, the new file must be added under the number that the
 * program used, from a descriptor table where it has that number.  That is what
 * the thread here is for: its table is its own (CLONE_FILES unshared) and empty
 * but for a socket by which it is asked.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "engine/app.h"
#include "engine/counters.h"
#include "engine/log.h"
#include "engine/service.h"
#include "engine/swap.h"

#define DUPS_MAX 64
#define ITEMS_MAX 64

/** One registration to move; the three descriptors come along by SCM_RIGHTS. */
struct move {
	int number; /* under which the program added it */
	struct epoll_event event;
};

enum { FD_EPOLL, FD_OLD, FD_NEW, NFDS };

struct item {
	int epoll; /* the program's descriptor */
	struct move m;
};

static struct {
	pthread_mutex_t lock;
	int fd; /* our end; -1: not there yet */
} mover = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

/* --- the thread with a table of its own --------------------------------------- */

/* So that @fd is another number than @number. */
static int out_of_the_way(int fd, int number)
{
	int to;

	if (fd != number)
		return fd;
	to = fcntl(fd, F_DUPFD_CLOEXEC, number + 1);
	if (to < 0)
		to = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	close(fd);
	return to;
}

/* Return: 0 or errno */
static int move_one(const struct move *m, int *fds)
{
	struct epoll_event e = m->event;
	int err = 0;

	for (int i = 0; i < NFDS; i++)
		fds[i] = out_of_the_way(fds[i], m->number);
	if (dup2(fds[FD_OLD], m->number) < 0)
		return errno;
	/* Whoever else holds the old file must not keep the item alive. */
	epoll_ctl(fds[FD_EPOLL], EPOLL_CTL_DEL, m->number, NULL);
	if (dup2(fds[FD_NEW], m->number) < 0 ||
	    (epoll_ctl(fds[FD_EPOLL], EPOLL_CTL_ADD, m->number, &e) < 0 && errno != EEXIST))
		err = errno;
	close(m->number);
	return err;
}

static void *mover_thread(void *arg)
{
	int self = (int)(intptr_t)arg;
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	if (unshare(CLONE_FILES) < 0) {
		gz_err("no descriptor table of its own: %s", strerror(errno));
		close(self);
		return NULL;
	}
	if (self > 0)
		close_range(0, (unsigned)self - 1, 0);
	close_range((unsigned)self + 1, ~0u, 0);
	for (;;) {
		char control[CMSG_SPACE(NFDS * sizeof(int))];
		struct move m;
		struct iovec v = {&m, sizeof(m)};
		struct msghdr h = {
		    .msg_iov = &v,
		    .msg_iovlen = 1,
		    .msg_control = control,
		    .msg_controllen = sizeof(control),
		};
		struct cmsghdr *cm;
		int fds[NFDS], err;

		if (recvmsg(self, &h, MSG_CMSG_CLOEXEC) != sizeof(m))
			break;
		cm = CMSG_FIRSTHDR(&h);
		err = EMFILE; /* not all of them arrived */
		if (cm && cm->cmsg_len == CMSG_LEN(sizeof(fds))) {
			memcpy(fds, CMSG_DATA(cm), sizeof(fds));
			self = out_of_the_way(self, m.number);
			err = move_one(&m, fds);
			for (int i = 0; i < NFDS; i++)
				close(fds[i]);
		}
		if (send(self, &err, sizeof(err), MSG_NOSIGNAL) < 0)
			break;
	}
	close(self);
	return NULL;
}

/* --- asking it --------------------------------------------------------------- */

static int start_mover(void)
{
	pthread_attr_t attr;
	pthread_t t;
	int pair[2], err;

	if (mover.fd >= 0)
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return errno;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	err = pthread_create(&t, &attr, mover_thread, (void *)(intptr_t)pair[1]);
	pthread_attr_destroy(&attr);
	if (err) {
		close(pair[0]);
		close(pair[1]);
		return err;
	}
	/* It closes its copy of pair[0], and ours of pair[1] is not needed after its
	 * first answer; it stays open, one descriptor. */
	mover.fd = pair[0];
	return 0;
}

/* Return: 0 or errno */
static int ask_mover(const struct move *m, const int *fds)
{
	char control[CMSG_SPACE(NFDS * sizeof(int))] = {0};
	struct iovec v = {(void *)(uintptr_t)m, sizeof(*m)};
	struct msghdr h = {
	    .msg_iov = &v,
	    .msg_iovlen = 1,
	    .msg_control = control,
	    .msg_controllen = sizeof(control),
	};
	struct cmsghdr *cm = CMSG_FIRSTHDR(&h);
	int err;

	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(NFDS * sizeof(int));
	memcpy(CMSG_DATA(cm), fds, NFDS * sizeof(int));
	pthread_mutex_lock(&mover.lock);
	err = start_mover();
	if (!err && (sendmsg(mover.fd, &h, MSG_NOSIGNAL) < 0 ||
		     recv(mover.fd, &err, sizeof(err), 0) != sizeof(err)))
		err = EIO;
	pthread_mutex_unlock(&mover.lock);
	return err;
}

/* --- searching the program ----------------------------------------------------- */

/* The items of epoll descriptor @epoll that are the file of @st.  Return: how many */
static unsigned read_items(pid_t tid, int epoll, const struct stat *st, struct item *items,
			   unsigned room)
{
	unsigned long sdev = (unsigned long)major(st->st_dev) << 20 | minor(st->st_dev);
	char path[64], line[256];
	unsigned n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", tid, epoll);
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (n < room && fgets(line, sizeof(line), f)) {
		unsigned long long data;
		unsigned long ino, dev;
		unsigned events;
		int number;

		if (sscanf(line, "tfd: %d events: %x data: %llx pos:%*d ino:%lx sdev:%lx", &number,
			   &events, &data, &ino, &dev) != 5 ||
		    ino != st->st_ino || dev != sdev)
			continue;
		items[n++] = (struct item){
		    .epoll = epoll,
		    .m = {.number = number, .event = {.events = events, .data.u64 = data}},
		};
	}
	fclose(f);
	return n;
}

/* Fill @dups and @items from /proc/TID/fd. */
static void search(pid_t tid, const struct stat *st, int *dups, unsigned *ndups, struct item *items,
		   unsigned *nitems)
{
	char path[64], link[64], want[64];
	struct dirent *e;
	DIR *d;

	*ndups = *nitems = 0;
	snprintf(want, sizeof(want), "socket:[%lu]", (unsigned long)st->st_ino);
	snprintf(path, sizeof(path), "/proc/%d/fd", tid);
	d = opendir(path);
	if (!d)
		return;
	while ((e = readdir(d))) {
		ssize_t n = readlinkat(dirfd(d), e->d_name, link, sizeof(link) - 1);

		if (n <= 0)
			continue;
		link[n] = 0;
		if (!strcmp(link, want) && *ndups < DUPS_MAX)
			dups[(*ndups)++] = atoi(e->d_name);
		else if (!strcmp(link, "anon_inode:[eventpoll]"))
			*nitems += read_items(tid, atoi(e->d_name), st, items + *nitems,
					      ITEMS_MAX - *nitems);
	}
	closedir(d);
}

int gz_swap_file(struct gz_call_ctx *c, int fd)
{
	struct item items[ITEMS_MAX];
	int dups[DUPS_MAX], at = (int)c->args[0], err;
	unsigned ndups, nitems;
	struct stat st;

	if (fstat(c->fd, &st) < 0)
		return -errno;
	search(c->tid, &st, dups, &ndups, items, &nitems);
	err = gz_service_replace_fd(c, fd, at, gz_app_cloexec(c->tid, at));
	if (err)
		return err;
	for (unsigned i = 0; i < ndups; i++) {
		if (dups[i] == at)
			continue;
		err = gz_service_replace_fd(c, fd, dups[i], gz_app_cloexec(c->tid, dups[i]));
		if (err)
			gz_count(GZ_C_LOST_DUPLICATES);
	}
	for (unsigned i = 0; i < nitems; i++) {
		int fds[NFDS] = {gz_app_fd(&c->sv->cache, c->tid, items[i].epoll), c->fd, fd};

		err = fds[FD_EPOLL] < 0 ? -fds[FD_EPOLL] : ask_mover(&items[i].m, fds);
		if (err) {
			gz_count(GZ_C_LOST_EVENTS);
			gz_debug("a registration of descriptor %d is lost: %s", items[i].m.number,
				 strerror(err));
		}
		if (fds[FD_EPOLL] >= 0)
			close(fds[FD_EPOLL]);
	}
	return 0;
}

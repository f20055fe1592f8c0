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
#include "engine/client.h"
#include "engine/service.h"
#include "engine/shadow.h"
#include "engine/swap.h"

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

/** What in the process is the file that is to go */
struct found {
	int *dups;
	struct item *items;
	unsigned ndups, nitems;
	bool no_memory;
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

/* Room for one more after @n of @size bytes in @list, which doubles.  Return: it, or NULL */
static void *grown(void *list, unsigned n, size_t size)
{
	if (n & (n - 1) || (n && n < 8))
		return list;
	return realloc(list, (n < 8 ? 8 : 2 * (size_t)n) * size);
}

static void add_item(struct found *f, int epoll, int number, struct epoll_event event)
{
	struct item *more = grown(f->items, f->nitems, sizeof(*f->items));

	if (!more) {
		f->no_memory = true;
		return;
	}
	f->items = more;
	f->items[f->nitems++] = (struct item){
	    .epoll = epoll,
	    .m = {.number = number, .event = event},
	};
}

/* The items of epoll descriptor @epoll that are the file of @st */
static void read_items(pid_t tid, int epoll, const struct stat *st, struct found *f)
{
	unsigned long sdev = (unsigned long)major(st->st_dev) << 20 | minor(st->st_dev);
	char path[64], line[256];
	FILE *info;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", tid, epoll);
	info = fopen(path, "re");
	if (!info)
		return;
	while (!f->no_memory && fgets(line, sizeof(line), info)) {
		unsigned long long data;
		unsigned long ino, dev;
		unsigned events;
		int number;

		if (sscanf(line, "tfd: %d events: %x data: %llx pos:%*d ino:%lx sdev:%lx", &number,
			   &events, &data, &ino, &dev) != 5 ||
		    ino != st->st_ino || dev != sdev)
			continue;
		add_item(f, epoll, number,
			 (struct epoll_event){.events = events, .data.u64 = data});
	}
	fclose(info);
}

/* Fill @f from /proc/TID/fd. */
static void search(pid_t tid, const struct stat *st, struct found *f)
{
	char path[64], link[64], want[64];
	struct dirent *e;
	DIR *d;

	snprintf(want, sizeof(want), "socket:[%lu]", (unsigned long)st->st_ino);
	snprintf(path, sizeof(path), "/proc/%d/fd", tid);
	d = opendir(path);
	if (!d)
		return;
	while (!f->no_memory && (e = readdir(d))) {
		ssize_t n = readlinkat(dirfd(d), e->d_name, link, sizeof(link) - 1);

		if (n <= 0)
			continue;
		link[n] = 0;
		if (!strcmp(link, "anon_inode:[eventpoll]")) {
			read_items(tid, atoi(e->d_name), st, f);
		} else if (!strcmp(link, want)) {
			int *more = grown(f->dups, f->ndups, sizeof(*f->dups));

			f->no_memory = !more;
			if (!more)
				break;
			f->dups = more;
			f->dups[f->ndups++] = atoi(e->d_name);
		}
	}
	closedir(d);
}

/* The program's descriptor of the epoll that agents know as @key, or -1 */
static int find_epoll(pid_t tid, uint32_t key)
{
	const uint64_t kept = GZ_AGENT_KEPT;
	uint32_t high, some[256];

	if (!gz_app_peek(tid, kept + offsetof(struct gz_agent_kept, managed), &high, sizeof(high)))
		return -1;
	for (uint32_t fd = 0; fd <= high && fd < GZ_FD_MAX; fd++) {
		if (fd % 256 == 0 && !gz_app_peek(tid,
						  kept + offsetof(struct gz_agent_kept, epoll) +
						      fd * sizeof(some[0]),
						  some, sizeof(some)))
			return -1;
		if (some[fd % 256] == key)
			return (int)fd;
	}
	return -1;
}

/* Of a socket in the rings: what its agent has, in place of what the kernel has by that number */
static void ask_agent(struct gz_call_ctx *c, struct found *f)
{
	const struct gz_sock *s = c->s;
	const struct gz_shared *sh;
	const struct gz_epoll *ep;
	uint32_t watch, i;
	struct gz_reg reg;
	unsigned kept = 0;
	int epoll;

	if (!s || s->ring.i < 0 || s->client != c->sv->client)
		return;
	sh = s->client->plane->sh;
	i = (uint32_t)s->ring.i;
	watch = __atomic_load_n(&sh->slot[i].watch, __ATOMIC_SEQ_CST);
	if (!watch || watch > GZ_EPOLLS)
		return;
	ep = &sh->epoll[watch - 1];
	reg = ep->reg[i];
	if (reg.gen != __atomic_load_n(&sh->slot[i].gen, __ATOMIC_SEQ_CST))
		return;
	epoll = find_epoll(c->tid,
			   (__atomic_load_n(&ep->gen, __ATOMIC_SEQ_CST) & 0xffffff) << 8 | watch);
	if (epoll < 0)
		return;
	for (unsigned k = 0; k < f->nitems; k++)
		if (f->items[k].epoll != epoll || f->items[k].m.number != reg.fd)
			f->items[kept++] = f->items[k];
	f->nitems = kept;
	if (reg.events)
		add_item(f, epoll, reg.fd,
			 (struct epoll_event){.events = reg.events, .data.u64 = reg.data});
}

static void replace_duplicates(struct gz_call_ctx *c, int fd, const struct found *f)
{
	for (unsigned i = 0; i < f->ndups; i++) {
		if (f->dups[i] != (int)c->args[0] &&
		    gz_service_replace_fd(c, fd, f->dups[i], gz_app_cloexec(c->tid, f->dups[i])))
			gz_count(GZ_C_LOST_DUPLICATES);
	}
}

static void move_items(struct gz_call_ctx *c, int fd, const struct found *f)
{
	for (unsigned i = 0; i < f->nitems; i++) {
		const struct item *t = &f->items[i];
		int fds[NFDS] = {gz_app_fd(&c->sv->cache, c->tid, t->epoll), c->fd, fd};
		int err = fds[FD_EPOLL] < 0 ? -fds[FD_EPOLL] : ask_mover(&t->m, fds);

		if (err) {
			gz_count(GZ_C_LOST_EVENTS);
			gz_debug("a registration of descriptor %d is lost: %s", t->m.number,
				 strerror(err));
		}
		if (fds[FD_EPOLL] >= 0)
			close(fds[FD_EPOLL]);
	}
}

/* What fcntl(2) has set on the file: how calls wait, and whom SIGIO and SIGURG go to. */
static void hand_on_flags(int from, int to)
{
	struct f_owner_ex owner;
	int sig = fcntl(from, F_GETSIG);

	if (fcntl(from, F_GETOWN_EX, &owner) == 0 && owner.pid)
		fcntl(to, F_SETOWN_EX, &owner);
	if (sig > 0)
		fcntl(to, F_SETSIG, sig);
	fcntl(to, F_SETFL, gz_file_flags(from) & (O_NONBLOCK | O_ASYNC));
}

int gz_swap_file(struct gz_call_ctx *c, int fd, bool *watched)
{
	struct found f = {0};
	int at = (int)c->args[0], err;
	struct stat st;

	if (fstat(c->fd, &st) < 0)
		return -errno;
	search(c->tid, &st, &f);
	ask_agent(c, &f);
	*watched = f.nitems != 0;
	hand_on_flags(c->fd, fd);
	err = f.no_memory ? -ENOBUFS : gz_service_replace_fd(c, fd, at, gz_app_cloexec(c->tid, at));
	if (!err) {
		replace_duplicates(c, fd, &f);
		move_items(c, fd, &f);
	}
	free(f.dups);
	free(f.items);
	return err;
}

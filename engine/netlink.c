/* SPDX-License-Identifier: BSD-3-Clause
 *
 * netlink.c - NETLINK_ROUTE sockets: the kernel's, with the stack's interface in its dumps
 *
 * Theory of operation.  A program that asks rtnetlink for interfaces or addresses is to
 * see the stack's beside the kernel's.  Its socket is therefore a shadow, an AF_UNIX
 * SOCK_SEQPACKET, and behind it is a true netlink socket, made in the program's network
 * namespace.  Requests are handed on as they are; so are the answers, but for the dumps
 * that gz_rtnl_ask() names, which get the stack's records before their end.  Because the
 * netlink socket is the very one whose name getsockname() gives, its port and the
 * sequence numbers are right without any rewriting.
 *
 * Everything else - options, whatever changes something or asks of another
 * namespace - is not imitated: the netlink socket takes the shadow's place, before
 * anything was done, and the call continues.  It never comes back.
 *
 * send() and write() are native, so that what they carry is handed on by the thread here,
 * and then it is too late to give way: requests of that kind are refused with EPERM, and
 * counted (netlink_requests).  Nothing is handed on with the engine's rights.  sendmsg() and
 * sendto() with an address, which programs that change something use, trap and are looked at in
 * time; their answers are in the shadow before they return, as with the kernel.
 *
 * An answer is taken from the kernel only when the shadow has room: a dump goes on when
 * the one before it was read.  What is taken is no larger than what the kernel makes for a
 * reader with a page of room, as glibc has.  The calls that trap are in netlink_calls.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/app.h"
#include "engine/calls.h"
#include "engine/counters.h"
#include "engine/log.h"
#include "engine/netlink.h"
#include "engine/rtnl.h"
#include "engine/shadow.h"
#include "engine/stale.h"
#include "engine/swap.h"

#define BUCKETS 64
#define TOLD_MAX 256 /* who hears of one change */
#define GROUP_WORDS 8
#define READER 4096 /* bytes that the kernel's dumps are cut for */

LIST_HEAD(sockets, gz_netlink);

struct gz_netlink {
	LIST_ENTRY(gz_netlink) entry; /* the table's lock */
	bool in_table;
	ino_t ino;
	_Atomic int refs;
	int type; /* SOCK_RAW or SOCK_DGRAM */

	pthread_mutex_t lock;
	int end; /* ours of the shadow; -1: it gave way, or was closed */
	int fd;	 /* the netlink socket */
	bool strict;
	struct nlmsghdr dump[5]; /* the one that is under way, with its filters */
	bool dumping;
	_Alignas(struct nlmsghdr) char buf[GZ_NETLINK_MAX];
};

static struct {
	pthread_mutex_t lock;
	struct sockets by_ino[BUCKETS];
	_Atomic unsigned n;
	int ep; /* -1: no thread yet */
} all = {.lock = PTHREAD_MUTEX_INITIALIZER, .ep = -1};

/* --- the table ----------------------------------------------------------- */

struct gz_netlink *gz_netlink_find(ino_t ino)
{
	struct gz_netlink *n;

	if (!atomic_load(&all.n))
		return NULL;
	pthread_mutex_lock(&all.lock);
	LIST_FOREACH(n, &all.by_ino[ino % BUCKETS], entry)
	{
		if (n->ino == ino) {
			atomic_fetch_add(&n->refs, 1);
			break;
		}
	}
	pthread_mutex_unlock(&all.lock);
	return n;
}

void gz_netlink_unref(struct gz_netlink *n)
{
	if (atomic_fetch_sub(&n->refs, 1) != 1)
		return;
	if (n->end >= 0)
		close(n->end);
	if (n->fd >= 0)
		close(n->fd);
	pthread_mutex_destroy(&n->lock);
	free(n);
}

/* The table's reference goes as well; the thread's is its own. */
static void forget(struct gz_netlink *n)
{
	bool was;

	pthread_mutex_lock(&all.lock);
	was = n->in_table;
	if (was)
		LIST_REMOVE(n, entry);
	n->in_table = false;
	pthread_mutex_unlock(&all.lock);
	if (!was)
		return;
	atomic_fetch_sub(&all.n, 1);
	gz_netlink_unref(n);
}

int gz_netlink_kernel(const struct gz_netlink *n)
{
	return n->fd;
}

void gz_netlink_strict(struct gz_netlink *n, bool strict)
{
	n->strict = strict;
}

/* --- handing on ---------------------------------------------------------- */

static uint32_t port_of(const struct gz_netlink *n)
{
	struct sockaddr_nl a = {0};
	socklen_t len = sizeof(a);

	return getsockname(n->fd, (struct sockaddr *)&a, &len) < 0 ? 0 : a.nl_pid;
}

struct plain_send {
	int fd;
	const void *data;
	size_t len;
};

static int64_t send_now(const void *of)
{
	const struct plain_send *p = of;

	return send(p->fd, p->data, p->len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Send without any of our rights: rtnetlink asks for those of who sends. */
static int send_plainly(int fd, const void *data, size_t len)
{
	struct plain_send p = {.fd = fd, .data = data, .len = len};

	return (int)gz_without_rights(send_now, &p);
}

static void to_shadow(struct gz_netlink *n, const void *data, size_t len)
{
	if (len && send(n->end, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EPIPE)
		gz_count(GZ_C_REFUSED_NETLINK);
}

/*
 * The message after @h, of which and what follows there are *@left bytes; NULL if there is
 * none.  The last one of a datagram need not be padded: NLMSG_NEXT() would wrap round.
 */
static const struct nlmsghdr *next(const struct nlmsghdr *h, size_t *left)
{
	size_t step = NLMSG_ALIGN((size_t)h->nlmsg_len);

	if (step >= *left)
		return NULL;
	*left -= step;
	h = (const struct nlmsghdr *)((const char *)h + step);
	return NLMSG_OK(h, *left) ? h : NULL;
}

/* Several requests in one datagram?  What follows the first may be mere padding. */
static bool is_batch(const struct nlmsghdr *h, size_t len)
{
	return next(h, &len);
}

bool gz_netlink_may_stay(const void *data, size_t len)
{
	const struct nlmsghdr *h = data;
	size_t left = len;

	for (h = NLMSG_OK(h, left) ? h : NULL; h; h = next(h, &left))
		if (!gz_rtnl_may_stay(h))
			return false;
	return true;
}

/*
 * May the sender of what came natively change something?  rtnetlink asks for the rights of the
 * sending thread at that moment, which are not known any more.  So it is for root only: the
 * real user was (SCM_CREDENTIALS, which the kernel writes), and that process, which still has the
 * shadow, has CAP_NET_ADMIN now.  If it had it not then, it could have taken it: root that executes
 * a file gets all that its bounding set has (capabilities(7)).
 */
static bool may_change(const struct gz_netlink *n, const struct ucred *who)
{
	/* Has it the shadow, its number is not another's by now. */
	return who && who->pid > 0 && who->uid == 0 && gz_app_capable(who->pid, CAP_NET_ADMIN) &&
	       gz_app_shares_user_namespace(who->pid) && gz_app_holds(who->pid, n->ino);
}

/* Are all of them such as mean the same whoever sends them? */
static bool is_anybodys(const struct nlmsghdr *h, size_t left)
{
	for (h = NLMSG_OK(h, left) ? h : NULL; h; h = next(h, &left))
		if (!gz_rtnl_may_stay(h) && !gz_rtnl_is_anybodys(h))
			return false;
	return true;
}

/*
 * One datagram of the program's, locked.  @who sent it, NULL: a call that is being answered.
 * Return: 0 or -errno, as send()
 */
static int request(struct gz_netlink *n, const void *data, size_t len, const struct ucred *who)
{
	const struct nlmsghdr *h = data;
	struct gz_rtnl b = {0};

	/* What its table does not reach to is no request to the kernel, whoever asks. */
	if (NLMSG_OK(h, len) && h->nlmsg_type > RTM_MAX && !is_batch(h, len))
		return send_plainly(n->fd, data, len);
	if (!gz_netlink_may_stay(data, len)) {
		if (is_anybodys(h, len) && may_change(n, who))
			return send(n->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
		gz_count(GZ_C_REFUSED_NETLINK);
		gz_rtnl_error(&b, h, -EPERM, port_of(n));
		to_shadow(n, b.data, b.len);
		return 0;
	}
	if (!NLMSG_OK(h, len) || is_batch(h, len))
		return send_plainly(n->fd, data, len);
	switch (gz_rtnl_ask(h, n->strict)) {
	case GZ_RTNL_OWN:
		gz_rtnl_answer(&b, h, n->strict, port_of(n));
		to_shadow(n, b.data, b.len);
		return 0;
	case GZ_RTNL_JOIN:
		memset(n->dump, 0, sizeof(n->dump));
		memcpy(n->dump, h, len < sizeof(n->dump) ? len : sizeof(n->dump));
		if (n->dump->nlmsg_len > sizeof(n->dump))
			n->dump->nlmsg_len = sizeof(n->dump);
		n->dumping = true;
		gz_count(GZ_C_NETLINK_DUMPS);
		break;
	default:
		break;
	}
	return send_plainly(n->fd, data, len);
}

/* One datagram of the kernel's, locked: what is ours comes before the end of a dump. */
static void answer(struct gz_netlink *n, const void *data, size_t len)
{
	const struct nlmsghdr *h = data;
	struct gz_rtnl b = {0};
	size_t left = len, before;

	for (h = NLMSG_OK(h, left) ? h : NULL; h && n->dumping; h = next(h, &left)) {
		bool ends = h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR;

		if (ends && h->nlmsg_seq == n->dump->nlmsg_seq) {
			n->dumping = false;
			if (h->nlmsg_type == NLMSG_ERROR)
				break;
			before = len - left;
			to_shadow(n, data, before);
			gz_rtnl_records(&b, n->dump, n->strict, h->nlmsg_pid);
			to_shadow(n, b.data, b.len);
			data = h;
			len -= before;
			break;
		}
	}
	to_shadow(n, data, len);
}

static bool has_room(const struct gz_netlink *n)
{
	struct pollfd p = {.fd = n->end, .events = POLLOUT};

	return poll(&p, 1, 0) > 0 && p.revents == POLLOUT;
}

/* What the program sent natively, and by whom.  Return: as recv() */
static ssize_t from_shadow(struct gz_netlink *n, struct ucred *who)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec v = {n->buf, GZ_NETLINK_MAX};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = control.buf,
			   .msg_controllen = sizeof(control.buf)};
	ssize_t k = recvmsg(n->end, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *h = k > 0 ? CMSG_FIRSTHDR(&m) : NULL;

	*who = (struct ucred){0, (uid_t)-1, (gid_t)-1};
	if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_CREDENTIALS &&
	    h->cmsg_len == CMSG_LEN(sizeof(*who)))
		memcpy(who, CMSG_DATA(h), sizeof(*who));
	return k;
}

/* Both ways, locked, until there is nothing more or no room. */
static void pump(struct gz_netlink *n)
{
	char *buf = n->buf;
	struct ucred who;
	ssize_t k;

	while (n->end >= 0 && (k = from_shadow(n, &who)) > 0)
		request(n, buf, (size_t)k, &who);
	while (n->end >= 0 && has_room(n)) {
		k = recv(n->fd, buf, READER, MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC);
		if (k > READER)
			k = recv(n->fd, buf, GZ_NETLINK_MAX, MSG_DONTWAIT);
		else if (k >= 0)
			k = recv(n->fd, buf, READER, MSG_DONTWAIT);
		if (k < 0 && errno != EINTR)
			break;
		if (k > 0)
			answer(n, buf, (size_t)k);
	}
}

void gz_netlink_catch_up(struct gz_netlink *n)
{
	pthread_mutex_lock(&n->lock);
	pump(n);
	pthread_mutex_unlock(&n->lock);
}

int gz_netlink_request(struct gz_netlink *n, const void *data, size_t len)
{
	int err = 0;

	pthread_mutex_lock(&n->lock);
	if (n->end >= 0) {
		pump(n); /* what was sent before comes first */
		err = request(n, data, len, NULL);
		pump(n);
	}
	pthread_mutex_unlock(&n->lock);
	return err;
}

static void close_end(struct gz_netlink *n)
{
	if (n->end >= 0)
		close(n->end);
	n->end = -1;
}

/*
 * The thread that hands on.  It holds a reference to each socket until the program's
 * last close of the shadow, or until it gave way, which it learns by the same event.
 */
static void *thread(void *arg)
{
	sigset_t set;

	(void)arg;
	sigfillset(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (;;) {
		struct epoll_event ev[16];
		int k = epoll_wait(all.ep, ev, 16, -1);

		for (int i = 0; i < k; i++) {
			/* Two descriptors have it: which one is over is the shadow's to say. */
			struct gz_netlink *n = ev[i].data.ptr;

			pthread_mutex_lock(&n->lock);
			pump(n);
			pthread_mutex_unlock(&n->lock);
		}
		for (int i = 0; i < k; i++) {
			struct gz_netlink *n = ev[i].data.ptr;

			if (!(ev[i].events & EPOLLHUP))
				continue;
			/* The netlink socket never hangs up.  No event of it can follow. */
			forget(n);
			pthread_mutex_lock(&n->lock);
			epoll_ctl(all.ep, EPOLL_CTL_DEL, n->fd, NULL);
			close_end(n);
			pthread_mutex_unlock(&n->lock);
			gz_netlink_unref(n);
		}
	}
	return NULL;
}

/* --- changes of the stack's ---------------------------------------------- */

bool gz_netlink_is_there(void)
{
	return atomic_load(&all.n);
}

static bool is_in(const struct gz_netlink *n, unsigned group)
{
	uint32_t mask[GROUP_WORDS] = {0};
	socklen_t len = sizeof(mask);
	unsigned bit = group - 1;

	return !getsockopt(n->fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, mask, &len) &&
	       mask[bit / 32] >> bit % 32 & 1;
}

void gz_netlink_tell(unsigned group, const void *data, size_t len)
{
	struct gz_netlink *n, *some[TOLD_MAX];
	unsigned k = 0;

	if (!gz_netlink_is_there())
		return;
	pthread_mutex_lock(&all.lock);
	for (unsigned i = 0; i < BUCKETS; i++) {
		LIST_FOREACH(n, &all.by_ino[i], entry)
		{
			if (k == TOLD_MAX || !is_in(n, group))
				continue;
			atomic_fetch_add(&n->refs, 1);
			some[k++] = n;
		}
	}
	pthread_mutex_unlock(&all.lock);
	for (unsigned i = 0; i < k; i++) {
		pthread_mutex_lock(&some[i]->lock);
		if (some[i]->end >= 0)
			to_shadow(some[i], data, len);
		pthread_mutex_unlock(&some[i]->lock);
		gz_netlink_unref(some[i]);
	}
}

/* --- socket() ------------------------------------------------------------ */

static int start_thread(void)
{
	pthread_attr_t attr;
	pthread_t t;
	int err = 0;

	pthread_mutex_lock(&all.lock);
	if (all.ep < 0) {
		all.ep = epoll_create1(EPOLL_CLOEXEC);
		if (all.ep < 0) {
			err = -errno;
			goto out;
		}
		pthread_attr_init(&attr);
		pthread_attr_setstacksize(&attr, 256 * 1024);
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		err = -pthread_create(&t, &attr, thread, NULL);
		pthread_attr_destroy(&attr);
		if (err) {
			close(all.ep);
			all.ep = -1;
		}
	}
out:
	pthread_mutex_unlock(&all.lock);
	return err;
}

/* Watch both descriptors.  The shadow's end is last: its event ends all. */
static int watch(struct gz_netlink *n)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.ptr = n};

	atomic_fetch_add(&n->refs, 1);
	if (epoll_ctl(all.ep, EPOLL_CTL_ADD, n->fd, &e) < 0)
		goto fail;
	e.events = EPOLLIN | EPOLLOUT | EPOLLET;
	if (epoll_ctl(all.ep, EPOLL_CTL_ADD, n->end, &e) == 0)
		return 0;
	epoll_ctl(all.ep, EPOLL_CTL_DEL, n->fd, NULL);
fail:
	atomic_fetch_sub(&n->refs, 1);
	return -errno;
}

int64_t gz_netlink_socket(struct gz_call_ctx *c)
{
	int type = (int)c->args[1], kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC), pair[2];
	struct gz_netlink *n;
	struct stat st;
	int64_t r;

	if ((int)c->args[2] != NETLINK_ROUTE || (kind != SOCK_RAW && kind != SOCK_DGRAM))
		return GZ_CONTINUE;
	n = calloc(1, sizeof(*n));
	if (!n || start_thread() < 0) {
		free(n);
		return GZ_CONTINUE;
	}
	n->type = kind;
	n->end = -1;
	atomic_init(&n->refs, 1);
	pthread_mutex_init(&n->lock, NULL);
	/* Where there is none to be had, the program makes its own. */
	n->fd = gz_kernel_socket(c->tid, AF_NETLINK, kind, NETLINK_ROUTE);
	if (n->fd < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		gz_netlink_unref(n);
		return GZ_CONTINUE;
	}
	n->end = pair[0];
	setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int));
	if (type & SOCK_NONBLOCK)
		fcntl(pair[1], F_SETFL, O_NONBLOCK);
	if (fstat(pair[1], &st) < 0 || watch(n) < 0) {
		close(pair[1]);
		gz_netlink_unref(n);
		return GZ_CONTINUE;
	}
	n->ino = st.st_ino;
	pthread_mutex_lock(&all.lock);
	n->in_table = true;
	LIST_INSERT_HEAD(&all.by_ino[n->ino % BUCKETS], n, entry);
	pthread_mutex_unlock(&all.lock);
	atomic_fetch_add(&all.n, 1);
	r = gz_service_add_fd(c, pair[1], type & SOCK_CLOEXEC);
	close(pair[1]); /* if it was the only one, the thread sees it hang up */
	return r;
}

/* --- giving way ---------------------------------------------------------- */

/* Does poll() say so of it? */
static bool has(int fd, short event)
{
	struct pollfd p = {.fd = fd, .events = event};

	return poll(&p, 1, 0) > 0 && p.revents & event;
}

int64_t gz_netlink_give_way(struct gz_call_ctx *c)
{
	struct gz_netlink *n = c->nl;
	bool watched, shared = false;
	int err;

	pthread_mutex_lock(&n->lock);
	if (n->end >= 0)
		pump(n);
	/* Answers that wait to be read cannot be put back: netlink(7) says it so. */
	if (n->end < 0 || has(c->fd, POLLIN)) {
		pthread_mutex_unlock(&n->lock);
		gz_count(GZ_C_REFUSED_NETLINK);
		return -ENOBUFS;
	}
	err = gz_swap_file(c, n->fd, &watched);
	if (!err) {
		/* What comes now is the program's to read. */
		forget(n);
		epoll_ctl(all.ep, EPOLL_CTL_DEL, n->fd, NULL);
		close(c->fd);
		c->fd = -1;
		shared = !has(n->end, POLLHUP);
		shutdown(n->end, SHUT_RDWR); /* the thread drops it */
		gz_count(GZ_C_KERNEL_SWAPS);
	}
	pthread_mutex_unlock(&n->lock);
	if (shared)
		gz_stale_note(c, NULL, n->ino, n->fd);
	return err ? err : GZ_CONTINUE;
}

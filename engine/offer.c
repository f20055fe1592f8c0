/* SPDX-License-Identifier: BSD-3-Clause
 *
 * offer.c - Connections that agents accept
 *
 * Theory of operation.  A listener's slot says that agents may accept from its shadow
 * natively (launcher/agent/accept.c).  A connection gets its slot before the worker knocks at
 * that shadow (relay.c), and waits on the listener's list as any other, until an agent sets its
 * bit in accepted[], or an accept() that traps takes it.  What an agent has accepted is known
 * by the name of the engine's end (gz_accept_id()) until some call has told its inode.
 */
#include <fcntl.h>
#include <semaphore.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/address.h"
#include "engine/calls.h"
#include "engine/client.h"
#include "engine/plane_inner.h"
#include "engine/shadow.h"
#include "engine/worker.h"

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* Linux 6.9 */
#endif

bool gz_plane_listen(struct gz_sock *s)
{
	bool may = gz_plane_has(&s->opt) && gz_options_are_native(&s->opt);
	bool fresh = s->ring.i < 0;

	if (!s->client->plane || (fresh && (!may || !gz_plane_take_slot(s))))
		return false;
	if (fresh) {
		atomic_store(&s->ring.plane, GZ_PLANE_NATIVE);
		slot_of(s)->rx_plane = slot_of(s)->tx_plane = GZ_PLANE_NONE;
	}
	__atomic_store_n(&slot_of(s)->listens, may, __ATOMIC_SEQ_CST);
	if (fresh)
		gz_plane_publish(s);
	return true;
}

void gz_plane_listen_no_more(struct gz_sock *s)
{
	if (s->ring.i >= 0)
		__atomic_store_n(&slot_of(s)->listens, 0, __ATOMIC_SEQ_CST);
}

uint32_t gz_plane_accepting(const struct gz_sock *s)
{
	return s->ring.i < 0 ? 0 : __atomic_load_n(&slot_of(s)->accepting, __ATOMIC_SEQ_CST);
}

void gz_plane_offered(struct gz_sock *l, bool taken)
{
	if (l->ring.i >= 0)
		__atomic_fetch_add(taken ? &slot_of(l)->taken : &slot_of(l)->offered, 1,
				   __ATOMIC_SEQ_CST);
}

bool gz_plane_prepare(struct gz_sock *l, struct gz_sock *s)
{
	struct sockaddr_storage a;
	struct gz_slot *slot;

	/* Those that wait are not to take the slots of those that are served. */
	if (l->ring.i < 0 || !__atomic_load_n(&slot_of(l)->listens, __ATOMIC_SEQ_CST) ||
	    s->ring.i >= 0 || !gz_options_are_native(&s->opt) ||
	    __atomic_load_n(&s->client->plane->nfree, __ATOMIC_RELAXED) < GZ_SLOTS / 4)
		return false;
	gz_plane_give(s, true, false);
	if (s->ring.i < 0)
		return false;
	slot = slot_of(s);
	slot->peer_len = gz_addr_sockaddr(s->family, s->peer, &a);
	memcpy(slot->peer, &a, GZ_PEER);
	__atomic_store_n(&slot->offer, s->id, __ATOMIC_SEQ_CST);
	gz_plane_adopt(s);
	atomic_store(&s->hold, false);
	return true;
}

void gz_plane_name(struct gz_sock *s, ino_t ino, bool nonblock)
{
	gz_plane_set_nonblock(s, nonblock);
	__atomic_store_n(&s->client->plane->sh->ino[s->ring.i], ino, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&s->client->plane->sh->epoch, 1, __ATOMIC_SEQ_CST);
}

ino_t gz_plane_said_ino(const struct gz_sock *s)
{
	const int i = s->ring.i;

	return i < 0 ? 0 : __atomic_load_n(&s->client->plane->sh->ino[i], __ATOMIC_SEQ_CST);
}

/* --- the worker ------------------------------------------------------------------ */

void gz_plane_look_at(struct gz_plane *p, unsigned k, uint64_t which)
{
	uint64_t *word = &p->sh->accepted[k], bits = 0;

	if (__atomic_load_n(word, __ATOMIC_RELAXED) & which)
		bits = __atomic_fetch_and(word, ~which, __ATOMIC_SEQ_CST) & which;
	for (; bits; bits &= bits - 1) {
		struct gz_sock *s = p->owner[k * 64 + (unsigned)__builtin_ctzll(bits)];

		if (!s)
			continue;
		gz_accept_done(s);
		gz_worker_dirty(&gz_worker, s);
	}
}

void gz_plane_look_accepted(const struct gz_worker *w, struct gz_client *c)
{
	for (unsigned k = w->index; k < GZ_SLOTS / 64; k += gz_nworkers)
		gz_plane_look_at(c->plane, k, UINT64_MAX);
}

/*
 * Which process has it, where an agent accepted it: who has sent what lies first at the
 * engine's end.  Return: 0, nobody knows
 */
static pid_t sender(const struct gz_sock *s)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	int first = 0, behind = (int)s->lag;
	struct iovec v = {&(char){0}, 1};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};
	struct ucred cred = {0};
	struct cmsghdr *h;

	setsockopt(s->end_fd, SOL_SOCKET, SO_PEEK_OFF, &first, sizeof(first));
	if (recvmsg(s->end_fd, &m, MSG_DONTWAIT | MSG_PEEK) == 1 && (h = CMSG_FIRSTHDR(&m)) &&
	    h->cmsg_type == SCM_CREDENTIALS)
		memcpy(&cred, CMSG_DATA(h), sizeof(cred));
	setsockopt(s->end_fd, SOL_SOCKET, SO_PEEK_OFF, &behind, sizeof(behind));
	return cred.pid;
}

int gz_plane_find_fd(const struct gz_sock *s)
{
	pid_t tid = atomic_load(&s->ring.seen_tid);
	int number = atomic_load(&s->ring.seen_fd), fd, pidfd;
	struct stat st;

	if (!tid && s->end_fd >= 0) {
		tid = sender(s);
		number = slot_of(s)->fd;
	}
	pidfd = tid ? (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD) : -1;
	if (pidfd < 0)
		return -1;
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
	close(pidfd);
	if (fd < 0 || (s->ino ? !fstat(fd, &st) && st.st_ino == s->ino : gz_accept_id(fd) == s->id))
		return fd;
	close(fd);
	return -1;
}

void gz_plane_unname(struct gz_sock *s, int fd)
{
	const int off = 0;

	if (s->by_agent)
		gz_shadow_sndbuf(fd);
	/* Bytes of several processes would not come in one piece. */
	setsockopt(s->end_fd, SOL_SOCKET, SO_PASSCRED, &off, sizeof(off));
}

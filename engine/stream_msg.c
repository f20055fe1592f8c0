/* SPDX-License-Identifier: BSD-3-Clause
 *
 * stream_msg.c - TCP: recvfrom, recvmsg, sendto, sendmsg and kin, as far as they trap
 *
 * Where an AF_UNIX socket answers as TCP does, the call continues.  It does not where
 * names are given or asked for, control messages sent, a flag set that AF_UNIX takes
 * otherwise, and on a socket that is not connected yet.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "engine/arrival.h"
#include "engine/calls.h"
#include "engine/counters.h"
#include "engine/dgram.h"
#include "engine/msghdr.h"
#include "engine/service.h"
#include "engine/shadow.h"
#include "engine/stream_msg.h"
#include "engine/urgent.h"

#define IO_MAX 65536
#define CONTROL_MAX 1024

int64_t gz_would_block(struct gz_call_ctx *c, int flags, short events, const struct timeval *timeo)
{
	if ((flags & MSG_DONTWAIT) || (gz_file_flags(c->fd) & O_NONBLOCK))
		return -EAGAIN;
	if (!c->events) {
		c->events = events;
		c->deadline = gz_deadline_of(timeo);
		c->on_deadline = -EAGAIN;
	}
	return GZ_WAIT;
}

/* --- receiving ----------------------------------------------------------- */

/* What there is of @room bytes, to @v at @done.  Return: as recv(2), or -errno */
static int64_t take(struct gz_call_ctx *c, const struct iovec *v, size_t nv, size_t room,
		    unsigned done, int flags)
{
	char buf[IO_MAX];
	size_t left = room - done;
	socklen_t len = sizeof(int);
	int err, off = -1;
	ssize_t n;

	left = left < sizeof(buf) ? left : sizeof(buf);
	flags &= ~(MSG_WAITALL | MSG_TRUNC);
	/* With SO_PEEK_OFF a peek of ours would be elsewhere, and be remembered. */
	getsockopt(c->fd, SOL_SOCKET, SO_PEEK_OFF, &off, &len);
	/* TCP drops what MSG_TRUNC would have read (tcp(7)). */
	if (flags & MSG_PEEK || (v && off < 0))
		n = recv(c->fd, buf, left, flags | MSG_PEEK | MSG_DONTWAIT);
	else
		n = recv(c->fd, buf, left, flags | MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	if (!v)
		return n;
	/* Bytes leave the socket only when the application has them. */
	err = gz_msghdr_scatter(c, v, nv, done, buf, (size_t)n);
	if (err)
		return err;
	if (!(flags & MSG_PEEK) && n > 0 && off < 0)
		n = recv(c->fd, buf, (size_t)n, flags | MSG_DONTWAIT);
	return n;
}

/* As recvmsg(2), without name and control messages; GZ_WAIT.  @done: bytes so far */
static int64_t receive(struct gz_call_ctx *c, const struct iovec *v, size_t nv, size_t room,
		       unsigned *done, int flags)
{
	enum gz_state st = gz_sock_state(c->s);
	bool all = flags & MSG_WAITALL && !(flags & (MSG_PEEK | MSG_OOB));
	int64_t n;

	if (flags & MSG_ERRQUEUE)
		return -EAGAIN;
	if (st < GZ_CONNECTING)
		return flags & MSG_OOB ? -EINVAL : -ENOTCONN;
	for (;;) {
		n = take(c, flags & MSG_TRUNC ? NULL : v, nv, room, *done, flags);
		if (n == -EAGAIN && !(flags & MSG_OOB)) {
			n = gz_would_block(c, flags, POLLIN, &c->s->opt.rcvtimeo);
			if (n == GZ_WAIT && *done)
				c->on_deadline = *done;
		}
		if (n == GZ_WAIT || (n < 0 && !*done))
			return n;
		if (n <= 0)
			return *done;
		*done += (unsigned)n;
		if (*done == room || (!all && *done))
			return *done;
	}
}

int64_t gz_stream_recvfrom(struct gz_call_ctx *c)
{
	struct iovec v = {(void *)(uintptr_t)c->args[1], (size_t)c->args[2]};
	int flags = (int)c->args[3], zero = 0, err;
	int64_t n;

	if (flags & MSG_OOB && !c->args[4])
		return GZ_CONTINUE; /* the shadow has it */
	n = receive(c, &v, 1, v.iov_len > INT32_MAX ? INT32_MAX : v.iov_len, &c->done, flags);
	if (n < 0 || !c->args[4] || !c->args[5])
		return n;
	/* The address of a TCP peer is not reported, its length is 0. */
	err = gz_app_write(c->tid, c->args[5], &zero, sizeof(zero));
	return err ? err : n;
}

/* Into the message at @addr. */
static int64_t receive_at(struct gz_call_ctx *c, uint64_t addr, unsigned *done, int flags)
{
	struct iovec v[GZ_IOVS_MAX];
	struct msghdr m;
	int64_t room, n;
	int err;

	room = gz_msghdr_read(c, addr, &m, v);
	if (room < 0)
		return room;
	n = receive(c, v, m.msg_iovlen, (size_t)room, done, flags);
	if (n < 0)
		return n;
	m.msg_namelen = 0;
	m.msg_flags = flags & (MSG_OOB | MSG_CMSG_CLOEXEC);
	err = gz_arrival_tell(c, &m, (size_t)n, flags & MSG_PEEK);
	if (!err)
		err = gz_msghdr_told(c, addr, &m);
	return err ? err : n;
}

/* Does the shadow's own recvmsg() tell the truth?  The name would be AF_UNIX's. */
static bool is_native(const struct gz_call_ctx *c, const struct msghdr *m, int flags)
{
	return gz_sock_state(c->s) >= GZ_CONNECTING && !m->msg_name &&
	       !(flags & (MSG_TRUNC | MSG_ERRQUEUE)) && !gz_arrival_tells(&c->s->opt);
}

int64_t gz_stream_recvmsg(struct gz_call_ctx *c)
{
	int flags = (int)c->args[2];
	struct msghdr m;
	int64_t err;

	err = gz_app_read(c->tid, c->args[1], &m, sizeof(m));
	if (err)
		return err;
	return is_native(c, &m, flags) ? GZ_CONTINUE : receive_at(c, c->args[1], &c->done, flags);
}

/* One of several: as much as there is */
static int64_t receive_one(struct gz_call_ctx *c, uint64_t addr, int flags)
{
	unsigned done = 0;

	return receive_at(c, addr, &done, (flags & ~MSG_WAITALL) | MSG_DONTWAIT);
}

static int64_t wait_for_one(struct gz_call_ctx *c, int flags)
{
	return gz_would_block(c, flags, POLLIN, &c->s->opt.rcvtimeo);
}

int64_t gz_stream_recvmmsg(struct gz_call_ctx *c)
{
	unsigned n = (unsigned)c->args[2] > GZ_IOVS_MAX ? GZ_IOVS_MAX : (unsigned)c->args[2];
	struct mmsghdr m;

	for (unsigned i = 0; i < n; i++)
		if (gz_app_read(c->tid, c->args[1] + i * sizeof(m), &m, sizeof(m)) == 0 &&
		    !is_native(c, &m.msg_hdr, (int)c->args[3]))
			return gz_msghdr_recvmmsg(c, receive_one, wait_for_one);
	return GZ_CONTINUE;
}

/* --- sending ------------------------------------------------------------- */

/* Not connected any more, or not yet.  The kernel raises the signal with the error. */
static int64_t broken(struct gz_call_ctx *c, int flags)
{
	if (!(flags & MSG_NOSIGNAL))
		gz_app_signal(c->tid, SIGPIPE);
	return -EPIPE;
}

/* MSG_FASTOPEN, by whichever call: tcp_sendmsg_fastopen() where it is switched off */
static int64_t fast_open(struct gz_call_ctx *c)
{
	if (gz_sock_state(c->s) == GZ_ESTABLISHED)
		return -EISCONN;
	gz_count(GZ_C_REFUSED_FLAGS);
	return -EOPNOTSUPP;
}

/* @n bytes at @data, some of which may have been sent already (c->done). */
static int64_t put(struct gz_call_ctx *c, const char *data, size_t n, int flags)
{
	ssize_t k;

	if (gz_sock_state(c->s) < GZ_CONNECTING)
		return broken(c, flags);
	if (flags & MSG_OOB)
		return gz_urgent_call(c, data, n, flags);
	k = send(c->fd, data, n, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
	if (k < 0 && errno == EAGAIN)
		return gz_would_block(c, flags, POLLOUT, &c->s->opt.sndtimeo);
	if (k < 0 && errno == EPIPE)
		return broken(c, flags);
	return k < 0 ? -errno : k;
}

int64_t gz_stream_sendto(struct gz_call_ctx *c)
{
	size_t want = c->args[2] > IO_MAX ? IO_MAX : (size_t)c->args[2];
	int flags = (int)c->args[3], err;
	char buf[IO_MAX];

	/* It trapped because it is empty. */
	if (!c->args[4] && !(flags & (MSG_OOB | MSG_FASTOPEN)) &&
	    gz_sock_state(c->s) >= GZ_CONNECTING)
		return GZ_CONTINUE;
	if (flags & MSG_FASTOPEN)
		return fast_open(c);
	if (c->args[4]) {
		char addr[128];
		int len = (int)c->args[5];

		/* TCP does not look at it, but it must be there. */
		if (len < 0 || len > (int)sizeof(addr))
			return -EINVAL;
		err = gz_app_read(c->tid, c->args[4], addr, (size_t)len);
		if (err)
			return err;
	}
	err = gz_app_read(c->tid, c->args[1], buf, want);
	return err ? err : put(c, buf, want, flags);
}

/*
 * Control messages, as __sock_cmsg_send() has them: those of other levels and
 * SCM_RIGHTS are nothing to TCP.  Return: 0 or -errno
 */
static int check_control(struct gz_call_ctx *c, const struct msghdr *m)
{
	_Alignas(struct cmsghdr) char control[CONTROL_MAX];
	struct msghdr in = {.msg_control = control, .msg_controllen = m->msg_controllen};
	int err;

	if (!m->msg_control || !m->msg_controllen)
		return 0;
	if (m->msg_controllen > sizeof(control))
		return -ENOBUFS;
	err = gz_app_read(c->tid, (uintptr_t)m->msg_control, control, m->msg_controllen);
	if (err)
		return err;
	for (struct cmsghdr *x = CMSG_FIRSTHDR(&in); x; x = CMSG_NXTHDR(&in, x)) {
		if (x->cmsg_len < sizeof(*x) ||
		    x->cmsg_len > (size_t)(control + m->msg_controllen - (char *)x))
			return -EINVAL;
		if (x->cmsg_level != SOL_SOCKET)
			continue;
		switch (x->cmsg_type) {
		case SCM_RIGHTS:
		case SCM_CREDENTIALS:
			break;
		case SO_MARK: /* there is nobody to see one */
			if (!gz_app_capable(c->tid, CAP_NET_RAW) &&
			    !gz_app_capable(c->tid, CAP_NET_ADMIN))
				return -EPERM;
			break;
		default:
			gz_count(GZ_C_REFUSED_FLAGS);
			return -EINVAL;
		}
	}
	return 0;
}

/* The message at @addr, which is not the shadow's to send */
static int64_t send_at(struct gz_call_ctx *c, uint64_t addr, int flags)
{
	struct iovec v[GZ_IOVS_MAX];
	char buf[IO_MAX];
	struct msghdr m;
	size_t n = 0;
	int64_t r;

	r = gz_app_read(c->tid, addr, &m, sizeof(m));
	if (r)
		return r;
	if (m.msg_name && (int)m.msg_namelen < 0)
		return -EINVAL;
	r = check_control(c, &m);
	if (r)
		return r;
	r = gz_msghdr_iov(c, &m, v);
	for (size_t i = 0; r >= 0 && i < m.msg_iovlen && n < sizeof(buf); i++) {
		size_t k = v[i].iov_len < sizeof(buf) - n ? v[i].iov_len : sizeof(buf) - n;

		r = gz_app_read(c->tid, (uintptr_t)v[i].iov_base, buf + n, k);
		n += k;
	}
	return r < 0 ? r : put(c, buf, n, flags);
}

int64_t gz_stream_sendmsg(struct gz_call_ctx *c)
{
	int flags = (int)c->args[2];
	struct msghdr m;
	int err;

	err = gz_app_read(c->tid, c->args[1], &m, sizeof(m));
	if (err)
		return err;
	if (flags & MSG_FASTOPEN)
		return fast_open(c);
	if (gz_sock_state(c->s) >= GZ_CONNECTING && !(m.msg_name && m.msg_namelen) &&
	    !(m.msg_control && m.msg_controllen) && !(flags & MSG_OOB))
		return GZ_CONTINUE;
	return send_at(c, c->args[1], flags);
}

int64_t gz_stream_sendmmsg(struct gz_call_ctx *c)
{
	int flags = (int)c->args[3];

	/* The first message fails, and no other is looked at. */
	if (flags & MSG_FASTOPEN && (unsigned)c->args[2])
		return fast_open(c);
	if (gz_sock_state(c->s) < GZ_CONNECTING && (unsigned)c->args[2])
		return send_at(c, c->args[1], flags);
	if (!(flags & MSG_OOB))
		return GZ_CONTINUE;
	gz_count(GZ_C_REFUSED_FLAGS);
	return -EOPNOTSUPP;
}

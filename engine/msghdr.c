/* SPDX-License-Identifier: BSD-3-Clause
 *
 * msghdr.c - A program's struct msghdr, in its memory
 */
#include <errno.h>
#include <stddef.h>

#include "engine/app.h"
#include "engine/msghdr.h"
#include "engine/service.h"

/* As a program of this architecture has it. */
_Static_assert(sizeof(struct msghdr) == 56 && sizeof(struct mmsghdr) == 64, "x86-64");

int64_t gz_msghdr_iov(struct gz_call_ctx *c, const struct msghdr *m, struct iovec *v)
{
	int64_t sum = 0;
	int err;

	if (m->msg_iovlen > GZ_IOVS_MAX)
		return -EMSGSIZE;
	err = gz_app_read(c->tid, (uintptr_t)m->msg_iov, v, m->msg_iovlen * sizeof(*v));
	if (err)
		return err;
	for (size_t i = 0; i < m->msg_iovlen; i++) {
		if ((ssize_t)v[i].iov_len < 0)
			return -EINVAL;
		if (v[i].iov_len > INT32_MAX)
			v[i].iov_len = INT32_MAX;
		sum += (int64_t)v[i].iov_len;
	}
	return sum;
}

int64_t gz_msghdr_read(struct gz_call_ctx *c, uint64_t addr, struct msghdr *m, struct iovec *v)
{
	int err = gz_app_read(c->tid, addr, m, sizeof(*m));

	if (err)
		return err;
	return m->msg_name && (int)m->msg_namelen < 0 ? -EINVAL : gz_msghdr_iov(c, m, v);
}

int gz_msghdr_scatter(struct gz_call_ctx *c, const struct iovec *v, size_t nv, size_t skip,
		      const char *buf, size_t n)
{
	for (size_t i = 0; i < nv && n; i++) {
		size_t k;
		int err;

		if (skip >= v[i].iov_len) {
			skip -= v[i].iov_len;
			continue;
		}
		k = v[i].iov_len - skip < n ? v[i].iov_len - skip : n;
		err = gz_app_write(c->tid, (uintptr_t)v[i].iov_base + skip, buf, k);
		if (err)
			return err;
		skip = 0;
		buf += k;
		n -= k;
	}
	return 0;
}

int gz_msghdr_put(struct gz_call_ctx *c, struct msghdr *m, size_t *at, struct cmsghdr *x)
{
	size_t len = x->cmsg_len, rest = m->msg_control ? m->msg_controllen - *at : 0;
	int err;

	if (rest < sizeof(*x)) {
		m->msg_flags |= MSG_CTRUNC;
		return 0;
	}
	if (rest < len) {
		m->msg_flags |= MSG_CTRUNC;
		x->cmsg_len = len = rest;
	}
	err = gz_app_write(c->tid, (uintptr_t)m->msg_control + *at, x, len);
	*at += CMSG_ALIGN(len) < rest ? CMSG_ALIGN(len) : rest;
	return err;
}

int gz_msghdr_told(struct gz_call_ctx *c, uint64_t addr, const struct msghdr *m)
{
	int err = !m->msg_name ? 0
			       : gz_app_write(c->tid, addr + offsetof(struct msghdr, msg_namelen),
					      &m->msg_namelen, sizeof(m->msg_namelen));

	if (!err)
		err = gz_app_write(c->tid, addr + offsetof(struct msghdr, msg_controllen),
				   &m->msg_controllen, sizeof(m->msg_controllen));
	if (!err)
		err = gz_app_write(c->tid, addr + offsetof(struct msghdr, msg_flags), &m->msg_flags,
				   sizeof(m->msg_flags));
	return err;
}

/* recvmmsg()'s time: what is left of it is told.  Return: 1, some is; 0; -errno */
static int time_left(struct gz_call_ctx *c)
{
	uint64_t now = gz_now_ns(), left = now < c->limit ? c->limit - now : 0;
	struct timespec ts = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
	int err = gz_app_write(c->tid, c->args[4], &ts, sizeof(ts));

	return err ? err : left > 0;
}

int64_t gz_msghdr_recvmmsg(struct gz_call_ctx *c,
			   int64_t (*one)(struct gz_call_ctx *c, uint64_t addr, int flags),
			   int64_t (*wait)(struct gz_call_ctx *c, int flags))
{
	unsigned vlen = (unsigned)c->args[2] > GZ_IOVS_MAX ? GZ_IOVS_MAX : (unsigned)c->args[2];
	int flags = (int)c->args[3], err;
	struct timespec ts;
	int64_t n;

	if (c->args[4]) {
		err = gz_app_read(c->tid, c->args[4], &ts, sizeof(ts));
		if (err)
			return err;
		if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= 1000000000)
			return -EINVAL;
		if (!c->limit)
			c->limit =
			    gz_now_ns() + (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	}
	while (c->done < vlen) {
		uint64_t at = c->args[1] + c->done * sizeof(struct mmsghdr);
		unsigned got;

		n = one(c, at, flags & ~MSG_WAITFORONE);
		if (n == -EAGAIN) {
			if (c->done && (flags & MSG_WAITFORONE))
				break;
			n = wait(c, flags);
			if (n == GZ_WAIT) {
				if (c->done)
					c->on_deadline = c->done;
				return n;
			}
		}
		if (n < 0)
			return c->done ? (int64_t)c->done : n;
		got = (unsigned)n;
		err =
		    gz_app_write(c->tid, at + offsetof(struct mmsghdr, msg_len), &got, sizeof(got));
		if (err)
			return c->done ? (int64_t)c->done : err;
		c->done++;
		/* As do_recvmmsg(): the time-out is looked at after a datagram only. */
		err = c->limit ? time_left(c) : 1;
		if (err < 0)
			return err;
		if (!err)
			break;
	}
	return c->done;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * netlink_calls.c - Calls on NETLINK_ROUTE sockets: names, options, messages
 *
 * Each is the netlink socket's own, done behind the shadow, or gives way to it; netlink.c
 * says when.  What send() and write() carried is handed on before a call looks.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "engine/address.h"
#include "engine/app.h"
#include "engine/dgram.h"
#include "engine/iface.h"
#include "engine/msghdr.h"
#include "engine/netlink.h"
#include "launcher/calls.h"

/* --- names and options --------------------------------------------------- */

/* The process's number as it knows it itself: what the kernel would bind it to. */
static int64_t bind_to(struct gz_netlink *n, struct sockaddr_nl *a, pid_t tid)
{
	bool any = !a->nl_pid;
	int r;

	if (any)
		a->nl_pid = (uint32_t)gz_app_own_pid(tid);
	r = bind(gz_netlink_kernel(n), (struct sockaddr *)a, sizeof(*a));
	if (r < 0 && any && errno == EADDRINUSE) {
		a->nl_pid = 0;
		r = bind(gz_netlink_kernel(n), (struct sockaddr *)a, sizeof(*a));
	}
	return r < 0 ? -errno : 0;
}

/* Read an address.  Return: 0, or -errno; *odd: the kernel's business */
static int read_name(struct gz_call_ctx *c, uint64_t addr, int len, struct sockaddr_nl *a,
		     bool *odd)
{
	*odd = len != (int)sizeof(*a);
	if (*odd)
		return 0;
	return gz_app_read(c->tid, addr, a, sizeof(*a));
}

static int64_t do_bind(struct gz_call_ctx *c)
{
	struct sockaddr_nl a = {0};
	bool odd;
	int err = read_name(c, c->args[1], (int)c->args[2], &a, &odd);

	if (err)
		return err;
	if (odd || a.nl_family != AF_NETLINK)
		return gz_netlink_give_way(c);
	return bind_to(c->nl, &a, c->tid);
}

static int64_t do_connect(struct gz_call_ctx *c)
{
	struct sockaddr_nl a = {0};
	bool odd;
	int err = read_name(c, c->args[1], (int)c->args[2], &a, &odd);

	if (err)
		return err;
	if (odd || a.nl_family != AF_NETLINK || a.nl_groups || a.nl_pid)
		return gz_netlink_give_way(c);
	return connect(gz_netlink_kernel(c->nl), (struct sockaddr *)&a, sizeof(a)) < 0 ? -errno : 0;
}

static int64_t write_name(struct gz_call_ctx *c, bool peer)
{
	struct sockaddr_nl a = {0};
	socklen_t len = sizeof(a);

	gz_netlink_catch_up(c->nl); /* the first request gives it a port */
	if ((peer ? getpeername(gz_netlink_kernel(c->nl), (struct sockaddr *)&a, &len)
		  : getsockname(gz_netlink_kernel(c->nl), (struct sockaddr *)&a, &len)) < 0)
		return -errno;
	return gz_addr_write_raw(c, &a, (int)len, c->args[1], c->args[2]);
}

static int64_t do_getsockname(struct gz_call_ctx *c)
{
	return write_name(c, false);
}

static int64_t do_getpeername(struct gz_call_ctx *c)
{
	return write_name(c, true);
}

static bool is_timeout(int level, int opt)
{
	return level == SOL_SOCKET && (opt == SO_RCVTIMEO || opt == SO_SNDTIMEO ||
				       opt == SO_RCVTIMEO_NEW || opt == SO_SNDTIMEO_NEW);
}

static int64_t do_setsockopt(struct gz_call_ctx *c)
{
	int level = (int)c->args[1], opt = (int)c->args[2], len = (int)c->args[4], v, err;

	if (is_timeout(level, opt))
		return GZ_CONTINUE; /* it is the shadow that waits */
	if (len != (int)sizeof(v) ||
	    !((level == SOL_SOCKET && (opt == SO_RCVBUF || opt == SO_SNDBUF)) ||
	      (level == SOL_NETLINK &&
	       (opt == NETLINK_EXT_ACK || opt == NETLINK_CAP_ACK || opt == NETLINK_GET_STRICT_CHK ||
		opt == NETLINK_ADD_MEMBERSHIP || opt == NETLINK_DROP_MEMBERSHIP))))
		return gz_netlink_give_way(c);
	err = gz_app_read(c->tid, c->args[3], &v, sizeof(v));
	if (err)
		return err;
	if (setsockopt(gz_netlink_kernel(c->nl), level, opt, &v, sizeof(v)) < 0)
		return -errno;
	if (level == SOL_NETLINK && opt == NETLINK_GET_STRICT_CHK)
		gz_netlink_strict(c->nl, v != 0);
	return 0;
}

static int64_t do_getsockopt(struct gz_call_ctx *c)
{
	int level = (int)c->args[1], opt = (int)c->args[2], room, err;
	char val[512];
	socklen_t len;

	if (is_timeout(level, opt))
		return GZ_CONTINUE;
	err = gz_app_read(c->tid, c->args[4], &room, sizeof(room));
	if (err)
		return err;
	if (room < 0 || room > (int)sizeof(val))
		return gz_netlink_give_way(c);
	len = (socklen_t)room;
	if (getsockopt(gz_netlink_kernel(c->nl), level, opt, val, &len) < 0)
		return -errno;
	err = gz_app_write(c->tid, c->args[3], val, len < (socklen_t)room ? len : (socklen_t)room);
	return err ? err : gz_app_write(c->tid, c->args[4], &len, sizeof(len));
}

static int64_t not_supported(struct gz_call_ctx *c)
{
	(void)c;
	return -EOPNOTSUPP; /* net/netlink/af_netlink.c: sock_no_listen() and kin */
}

static int64_t do_ioctl(struct gz_call_ctx *c)
{
	return gz_iface_is_request((unsigned)c->args[1]) ? gz_iface_ioctl(c) : -ENOTTY;
}

/* --- messages ------------------------------------------------------------ */

/* sendto() or sendmsg() of @n bytes to @name. */
static int64_t send_all(struct gz_call_ctx *c, const void *data, size_t n, uint64_t name, int len)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK};
	bool odd = false;
	int err = name ? read_name(c, name, len, &a, &odd) : 0;

	if (err)
		return err;
	if (odd || a.nl_family != AF_NETLINK || a.nl_pid || a.nl_groups ||
	    !gz_netlink_may_stay(data, n))
		return gz_netlink_give_way(c);
	err = gz_netlink_request(c->nl, data, n);
	return err ? err : (int64_t)n;
}

static int64_t do_sendto(struct gz_call_ctx *c)
{
	_Alignas(struct nlmsghdr) char buf[GZ_NETLINK_MAX];
	size_t n = (size_t)c->args[2];
	int err;

	if ((int)c->args[3] & ~(MSG_DONTWAIT | MSG_NOSIGNAL) || n > sizeof(buf))
		return gz_netlink_give_way(c);
	if (!n)
		return -ENODATA;
	err = gz_app_read(c->tid, c->args[1], buf, n);
	return err ? err : send_all(c, buf, n, c->args[4], (int)c->args[5]);
}

static int64_t do_sendmsg(struct gz_call_ctx *c)
{
	_Alignas(struct nlmsghdr) char buf[GZ_NETLINK_MAX];
	struct iovec v[GZ_IOVS_MAX];
	struct msghdr m;
	size_t n = 0;
	int64_t r;

	r = gz_app_read(c->tid, c->args[1], &m, sizeof(m));
	if (r)
		return r;
	r = gz_msghdr_iov(c, &m, v);
	if (r < 0)
		return r;
	if ((int)c->args[2] & ~(MSG_DONTWAIT | MSG_NOSIGNAL) || r > (int64_t)sizeof(buf) ||
	    (m.msg_control && m.msg_controllen))
		return gz_netlink_give_way(c);
	for (size_t i = 0; i < m.msg_iovlen; i++) {
		r = gz_app_read(c->tid, (uintptr_t)v[i].iov_base, buf + n, v[i].iov_len);
		if (r)
			return r;
		n += v[i].iov_len;
	}
	return send_all(c, buf, n, (uintptr_t)m.msg_name, (int)m.msg_namelen);
}

/* One datagram into @v.  Return: as recvmsg(2), GZ_WAIT or -errno; *truncated */
static int64_t receive(struct gz_call_ctx *c, const struct iovec *v, size_t nv, int64_t room,
		       int flags, bool *truncated)
{
	char buf[GZ_NETLINK_MAX];
	struct iovec in = {buf, room > GZ_NETLINK_MAX ? GZ_NETLINK_MAX : (size_t)room};
	struct msghdr m = {.msg_iov = &in, .msg_iovlen = 1};
	size_t left;
	ssize_t n;
	int err;

	gz_netlink_catch_up(c->nl);
	n = recvmsg(c->fd, &m, (flags & (MSG_PEEK | MSG_TRUNC)) | MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN ? gz_dgram_wait(c, flags, POLLIN) : -errno;
	*truncated = m.msg_flags & MSG_TRUNC;
	left = (size_t)n < in.iov_len ? (size_t)n : in.iov_len;
	err = gz_msghdr_scatter(c, v, nv, 0, buf, left);
	return err ? err : n;
}

static const struct sockaddr_nl kernels_name = {.nl_family = AF_NETLINK};

static int64_t do_recvfrom(struct gz_call_ctx *c)
{
	struct iovec v = {(void *)(uintptr_t)c->args[1], (size_t)c->args[2]};
	int flags = (int)c->args[3];
	bool truncated;
	int64_t n, err;

	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	n = receive(c, &v, 1, v.iov_len > INT32_MAX ? INT32_MAX : (int64_t)v.iov_len, flags,
		    &truncated);
	if (n < 0 || !c->args[4])
		return n;
	err = gz_addr_write_raw(c, &kernels_name, sizeof(kernels_name), c->args[4], c->args[5]);
	return err ? err : n;
}

static int64_t do_recvmsg(struct gz_call_ctx *c)
{
	int flags = (int)c->args[2];
	struct iovec v[GZ_IOVS_MAX];
	const size_t len = sizeof(kernels_name);
	bool truncated;
	struct msghdr m;
	int64_t room, n;
	int err = 0;

	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	room = gz_msghdr_read(c, c->args[1], &m, v);
	if (room < 0)
		return room;
	n = receive(c, v, m.msg_iovlen, room, flags, &truncated);
	if (n < 0)
		return n;
	if (m.msg_name)
		err = gz_app_write(c->tid, (uintptr_t)m.msg_name, &kernels_name,
				   m.msg_namelen < len ? m.msg_namelen : len);
	m.msg_namelen = len;
	m.msg_controllen = 0;
	m.msg_flags = (truncated ? MSG_TRUNC : 0) | (flags & MSG_CMSG_CLOEXEC);
	if (!err)
		err = gz_msghdr_told(c, c->args[1], &m);
	return err ? err : n;
}

const gz_handler gz_netlink_handlers[] = {
    [GZ_CALL_BIND] = do_bind,
    [GZ_CALL_LISTEN] = not_supported,
    [GZ_CALL_ACCEPT] = not_supported,
    [GZ_CALL_ACCEPT4] = not_supported,
    [GZ_CALL_CONNECT] = do_connect,
    [GZ_CALL_GETSOCKNAME] = do_getsockname,
    [GZ_CALL_GETPEERNAME] = do_getpeername,
    [GZ_CALL_GETSOCKOPT] = do_getsockopt,
    [GZ_CALL_SETSOCKOPT] = do_setsockopt,
    [GZ_CALL_SHUTDOWN] = not_supported,
    [GZ_CALL_IOCTL] = do_ioctl,
    [GZ_CALL_RECVFROM] = do_recvfrom,
    [GZ_CALL_SENDTO] = do_sendto,
    [GZ_CALL_RECVMSG] = do_recvmsg,
    [GZ_CALL_SENDMSG] = do_sendmsg,
    [GZ_CALL_RECVMMSG] = gz_netlink_give_way,
    [GZ_CALL_SENDMMSG] = gz_netlink_give_way,
    [GZ_CALL_COUNT] = NULL,
};

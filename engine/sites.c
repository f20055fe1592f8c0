/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sites.c - Data calls that trap: their site is led to the agent, or the socket leaves
 *
 * Theory of operation.  In a program that may have rings each data call traps, unless
 * the agent makes it.  One of a socket that is in the rings asks for its site to be
 * patched, and for the agent before that; once a process has the agent, so does every
 * other data call and close().  gazelle-run does it (lead.c), while the thread waits
 * here; then the call begins again, in the agent.
 *
 * Where that cannot be, because the site is of a kind that is not patched, or the
 * process is traced by another, or gazelle-run is gone, the socket leaves the rings
 * and the call is native.  So does a socket whose call no agent knows (recvmsg(),
 * sendfile(), ...), that is passed on by SCM_RIGHTS, or that a process holds which
 * enters a sandbox.  A process that cancels threads has the agent taken out of its calls.
 *
 * What is known of a process is in the agent's book, in its own memory.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "engine/calls.h"
#include "engine/lane.h"
#include "engine/lead.h"
#include "engine/off_ring.h"
#include "engine/service.h"
#include "engine/shadow.h"
#include "engine/sites.h"
#include "engine/udp_ring.h"
#include "engine/worker.h"
#include "launcher/calls.h"

#define TRAPS_MAX 200	 /* of a process without agent; more are dearer than one */
#define CONTROL_MAX 4096 /* of ancillary data that is searched */
#define MESSAGES_MAX 64
#define IOCBS_MAX 64
#define VECTORS_MAX 64

/* --- leaving --------------------------------------------------------------------- */

static bool is_ours(struct gz_call_ctx *c)
{
	return gz_service_resolve(c) && c->s && gz_plane_is_ring(c->s);
}

/* Another descriptor of the same thread's leaves. */
static void leave_fd(struct gz_call_ctx *c, int fd, enum gz_off_ring why)
{
	struct gz_call_ctx other = {.sv = c->sv, .id = c->id, .tid = c->tid, .fd = -1};
	bool ours;

	other.args[0] = (uint64_t)fd;
	ours = is_ours(&other);
	if (other.s && why == GZ_OFF_PASSED_ON)
		gz_plane_note_abroad(other.s, c->nr == SYS_io_submit);
	if (ours) {
		gz_off_sock(other.s, why);
		gz_plane_leave(other.s, other.fd);
	}
	if (other.fd >= 0)
		close(other.fd);
	if (other.s) {
		gz_plane_note_stray(other.s, c->tid, c->nr);
		gz_sock_unref(other.s);
	}
}

/* Descriptors that a message passes on */
static void leave_passed(struct gz_call_ctx *c, uint64_t addr)
{
	union {
		struct cmsghdr align;
		char buf[CONTROL_MAX];
	} control;
	struct msghdr m;

	if (!gz_app_peek(c->tid, addr, &m, sizeof(m)) || !m.msg_control || !m.msg_controllen)
		return;
	if (m.msg_controllen > sizeof(control))
		m.msg_controllen = sizeof(control);
	if (!gz_app_peek(c->tid, (uint64_t)m.msg_control, control.buf, m.msg_controllen))
		return;
	m.msg_control = control.buf;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
		const uint8_t *data = CMSG_DATA(h),
			      *end = (uint8_t *)control.buf + m.msg_controllen;

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS ||
		    h->cmsg_len < CMSG_LEN(0))
			continue;
		for (size_t k = 0;
		     k + sizeof(int) <= h->cmsg_len - CMSG_LEN(0) && data + k + sizeof(int) <= end;
		     k += sizeof(int)) {
			int fd;

			memcpy(&fd, data + k, sizeof(fd));
			leave_fd(c, fd, GZ_OFF_PASSED_ON);
		}
	}
}

static void leave_all_passed(struct gz_call_ctx *c)
{
	unsigned n = (unsigned)c->args[2];

	for (unsigned i = 0; i < n && i < MESSAGES_MAX; i++)
		leave_passed(c, c->args[1] + i * sizeof(struct mmsghdr));
}

/* io_submit(): each request names a descriptor. */
static void leave_submitted(struct gz_call_ctx *c)
{
	uint64_t at[IOCBS_MAX];
	struct iocb cb;
	unsigned n = c->args[1] < IOCBS_MAX ? (unsigned)c->args[1] : IOCBS_MAX;

	if (!n || !gz_app_peek(c->tid, c->args[2], at, n * sizeof(at[0])))
		return;
	for (unsigned i = 0; i < n; i++)
		if (gz_app_peek(c->tid, at[i], &cb, sizeof(cb)))
			leave_fd(c, (int)cb.aio_fildes, GZ_OFF_PASSED_ON);
}

/*
 * A sandbox's filter may end the program for a call that the agent makes and it does
 * not.  What it holds leaves; new sockets of the client never come to the rings.
 */
static void leave_process(struct gz_call_ctx *c)
{
	const uint32_t quiet = 1;
	char path[64];
	struct dirent *e;
	DIR *d;

	gz_plane_no_more(c->sv->client->plane);
	if (gz_lead_look_up(c->tid, 0) != GZ_SITE_NO_AGENT)
		gz_app_write(c->tid, GZ_AGENT_KEPT + offsetof(struct gz_agent_kept, quiet), &quiet,
			     sizeof(quiet));
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)c->tid);
	d = opendir(path);
	if (!d)
		return;
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			leave_fd(c, atoi(e->d_name), GZ_OFF_SANDBOX);
	closedir(d);
}

/* --- what was left behind --------------------------------------------------------- */

/* The program's buffers.  Return: how many, 0: it is no call that receives, or bad */
static unsigned buffers(struct gz_call_ctx *c, const struct gz_call_info *call, struct iovec *v,
			int *flags)
{
	uint64_t addr = c->args[1];
	size_t n = c->args[2];
	struct msghdr m;

	*flags = call->id == GZ_CALL_RECVFROM ? (int)c->args[3] : 0;
	switch (call->id) {
	case GZ_CALL_READ:
	case GZ_CALL_RECVFROM:
		v[0].iov_base = (void *)addr;
		v[0].iov_len = n;
		return 1;
	case GZ_CALL_RECVMSG:
		if (!gz_app_peek(c->tid, addr, &m, sizeof(m)))
			return 0;
		*flags = (int)c->args[2];
		addr = (uint64_t)m.msg_iov;
		n = m.msg_iovlen;
		break;
	case GZ_CALL_READV:
	case GZ_CALL_PREADV2:
		break;
	default:
		return 0;
	}
	if (n > VECTORS_MAX)
		n = VECTORS_MAX;
	return n && gz_app_peek(c->tid, addr, v, n * sizeof(*v)) ? (unsigned)n : 0;
}

/* The kernel's has no connection, and never had one. */
static bool is_unconnected(const struct gz_sock *s)
{
	return s->type == SOCK_STREAM && gz_sock_state(s) <= GZ_LISTENING;
}

/* Answer a call with what an orphan has left.  Return: false, there is nothing, or none of it */
static bool serve_orphan(struct gz_call_ctx *c, const struct gz_call_info *call)
{
	struct iovec from[2], to[VECTORS_MAX];
	int npieces, flags;
	unsigned nto;
	ssize_t n;

	if (!gz_service_resolve(c) || !c->s)
		return false;
	npieces = gz_plane_orphan(c->s, from);
	if (!npieces)
		return false;
	nto = buffers(c, call, to, &flags);
	if (!nto)
		return false;
	n = process_vm_writev(c->tid, from, (unsigned long)npieces, to, nto, 0);
	if (n > 0 && !(flags & MSG_PEEK))
		gz_plane_orphan_taken(c->s, (uint32_t)n);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	gz_service_answer(c, n < 0 ? -EFAULT : n);
	return true;
}

/* The same from a pipe of our own to the program's. */
static ssize_t splice_orphan(struct gz_call_ctx *c, int out)
{
	struct iovec v[2];
	int pipes[2], n = gz_plane_orphan(c->s, v);
	size_t most = c->args[4];
	ssize_t r;

	if (pipe2(pipes, O_NONBLOCK | O_CLOEXEC) < 0)
		return -errno;
	for (int k = 0; k < n; k++) {
		v[k].iov_len = v[k].iov_len < most ? v[k].iov_len : most;
		most -= v[k].iov_len;
	}
	r = writev(pipes[1], v, n);
	if (r > 0)
		r = splice(pipes[0], NULL, out, NULL, (size_t)r, SPLICE_F_NONBLOCK);
	r = r < 0 ? -errno : r;
	close(pipes[0]);
	close(pipes[1]);
	if (r > 0)
		gz_plane_orphan_taken(c->s, (uint32_t)r);
	return r;
}

static bool polls(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, 0) > 0;
}

/*
 * What tcp_splice_read() has and the shadow has not: ENOTCONN on a socket that was not
 * connected, and that SPLICE_F_NONBLOCK is about the pipe alone.
 */
static int64_t splice_shadow(struct gz_call_ctx *c, bool pipe_has_room)
{
	if (!pipe_has_room || !c->args[4])
		return GZ_CONTINUE;
	if (is_unconnected(c->s))
		return -ENOTCONN;
	if (!(c->args[5] & SPLICE_F_NONBLOCK) || polls(c->fd, POLLIN))
		return GZ_CONTINUE;
	gz_plane_note_stray(c->s, c->tid, c->nr); /* it stays out of the rings meanwhile */
	return gz_would_block(c, 0, POLLIN, &c->s->opt.rcvtimeo);
}

int64_t gz_sites_splice(struct gz_call_ctx *c)
{
	unsigned flags = (unsigned)c->args[5];
	struct stat st;
	ssize_t r;
	int out;

	out = gz_app_fd(&c->sv->cache, c->tid, (int)c->args[2]);
	/* The kernel knows what is wrong with it. */
	if (out < 0 || fstat(out, &st) < 0 || !S_ISFIFO(st.st_mode) || c->args[1] || c->args[3]) {
		if (out >= 0)
			close(out);
		return GZ_CONTINUE;
	}
	if (!atomic_load(&c->s->ring.orphan) || !gz_plane_unread(c->s)) {
		bool room = polls(out, POLLOUT);

		close(out);
		return splice_shadow(c, room);
	}
	r = splice_orphan(c, out);
	if (r != -EAGAIN || flags & SPLICE_F_NONBLOCK || gz_file_flags(out) & O_NONBLOCK) {
		close(out);
		return r;
	}
	/* Until the pipe has room */
	if (c->fd >= 0)
		close(c->fd);
	c->fd = out;
	c->events = POLLOUT;
	return GZ_WAIT;
}

/* --- calls ------------------------------------------------------------------------ */

/* Why a data call of the thread's was not the agent's. */
static enum gz_off_ring why_not(const struct gz_call_ctx *c, enum gz_site site)
{
	enum gz_off_ring why;

	if (site == GZ_SITE_KNOWN)
		return GZ_OFF_AGENT;
	if (site == GZ_SITE_FAILED)
		return GZ_OFF_SITE;
	if (site == GZ_SITE_RETIRED)
		return GZ_OFF_CANCEL;
	why = gz_off_process_why(c->sv->client, gz_app_process(c->tid));
	return why == GZ_OFF_NONE || why == GZ_OFF_UNUSED ? GZ_OFF_BUSY : why;
}

/* A process without agent, none of whose sockets it is about.  Is it worth one? */
static bool keeps_trapping(struct gz_service *sv, pid_t pid)
{
	struct gz_busy *b = &sv->busy[(unsigned)pid % 16];

	if (b->pid != pid)
		*b = (struct gz_busy){.pid = pid};
	return ++b->traps % TRAPS_MAX == 0;
}

static bool asks_itself(const struct gz_call_ctx *c)
{
	return c->ip - GZ_SYSCALL_BYTES == GZ_AGENT_ASK;
}

/*
 * The agent knows the call, and did not make this one.  @ours: it is about a socket in
 * the rings.  Return: whether it begins again, in the agent
 */
static bool lead_to_agent(struct gz_call_ctx *c, const struct gz_call_info *call,
			  bool (*ours)(struct gz_call_ctx *, const struct gz_call_info *))
{
	enum gz_site known = gz_lead_look_up(c->tid, c->ip - GZ_SYSCALL_BYTES);
	pid_t pid;

	if (known == GZ_SITE_FAILED || known == GZ_SITE_RETIRED || asks_itself(c))
		return false;
	pid = gz_app_process(c->tid);
	if (known == GZ_SITE_KNOWN)
		return !gz_lead_is_refused(c) && ours(c, call) && gz_lead_patch(c, pid, call);
	return (known == GZ_SITE_NEW || ours(c, call) || keeps_trapping(c->sv, pid)) &&
	       gz_lead_patch(c, pid, call);
}

static bool is_about_ours(struct gz_call_ctx *c, const struct gz_call_info *call)
{
	(void)call;
	return is_ours(c);
}

static bool receives(const struct gz_call_info *call)
{
	return call->id == GZ_CALL_READ || call->id == GZ_CALL_READV ||
	       call->id == GZ_CALL_RECVFROM || call->id == GZ_CALL_RECVMSG ||
	       call->id == GZ_CALL_PREADV2;
}

/* readv() and writev() of no bytes: 0, of whatever socket */
static bool has_no_bytes(const struct gz_call_ctx *c)
{
	struct iovec v[8];
	size_t n = c->args[2], sum = 0;

	if (n > 8 || gz_app_read(c->tid, c->args[1], v, n * sizeof(v[0])) < 0)
		return false;
	for (size_t k = 0; k < n; k++)
		sum += v[k].iov_len;
	return !sum;
}

/*
 * A TCP socket that was never connected, as tcp_recvmsg() and sk_stream_wait_connect() have
 * it; its shadow would say something else.  Return: false, it is connected, or not ours
 */
static bool serve_fresh(struct gz_call_ctx *c, const struct gz_call_info *call)
{
	/* A read() of no bytes does not ask the socket, a write() does. */
	bool nothing = call->id == GZ_CALL_READ && !c->args[2];
	bool vectors = call->id == GZ_CALL_READV || call->id == GZ_CALL_WRITEV ||
		       call->id == GZ_CALL_PREADV2 || call->id == GZ_CALL_PWRITEV2;
	int flags = call->id == GZ_CALL_SENDTO	  ? (int)c->args[3]
		    : call->id == GZ_CALL_SENDMSG ? (int)c->args[2]
						  : 0;
	int err;

	if (!gz_service_resolve(c) || !c->s || !is_unconnected(c->s) || nothing ||
	    (vectors && has_no_bytes(c)))
		return false;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	err = gz_plane_take_error(c->s); /* that of a connection that was undone */
	if (err || receives(call)) {
		gz_service_answer(c, err ? -err : -ENOTCONN);
		return true;
	}
	if (!(flags & MSG_NOSIGNAL))
		syscall(SYS_tgkill, gz_app_process(c->tid), c->tid, SIGPIPE);
	gz_service_answer(c, -EPIPE);
	return true;
}

static bool takes_datagrams(const struct gz_call_ctx *c, const struct gz_call_info *call)
{
	switch (call->id) {
	case GZ_CALL_RECVFROM:
		return !((int)c->args[3] & MSG_ERRQUEUE);
	case GZ_CALL_RECVMSG:
		return !((int)c->args[2] & MSG_ERRQUEUE);
	case GZ_CALL_RECVMMSG:
		return !((int)c->args[3] & MSG_ERRQUEUE);
	case GZ_CALL_READ:
	case GZ_CALL_READV:
	case GZ_CALL_PREADV2:
	case GZ_CALL_SPLICE:
		return true;
	default:
		return false;
	}
}

/*
 * Datagrams that no agent takes: the socket leaves.  It need not to send some, once all that
 * it has sent before are handed on.
 */
static enum gz_sites datagram_call(struct gz_call_ctx *c, const struct gz_call_info *call)
{
	if (takes_datagrams(c, call)) {
		gz_off_sock(c->s, GZ_OFF_CALL);
		gz_udp_ring_leave(c->s, c->fd);
	}
	gz_udp_ring_pass(c->sv->client->plane);
	if (gz_udp_ring_is(c->s))
		c->s->dgram.ring.native_sent =
		    !gz_call_matches(call, c->args) || c->s->dgram.ring.native_sent;
	return call->plane == GZ_CALL_RING || !gz_call_matches(call, c->args) ? GZ_SITES_NATIVE
									      : GZ_SITES_SERVE;
}

static enum gz_sites data_call(struct gz_call_ctx *c, const struct gz_call_info *call)
{
	if (lead_to_agent(c, call, is_about_ours))
		return GZ_SITES_ANSWERED;
	if (call->id == GZ_CALL_SENDMSG)
		leave_passed(c, c->args[1]);
	if (call->id == GZ_CALL_SENDMMSG)
		leave_all_passed(c);
	if (is_ours(c) && c->s->type == SOCK_DGRAM)
		return datagram_call(c, call);
	if (is_ours(c)) {
		gz_off_sock(c->s, why_not(c, gz_lead_look_up(c->tid, c->ip - GZ_SYSCALL_BYTES)));
		gz_plane_leave(c->s, c->fd);
	}
	if (serve_orphan(c, call))
		return GZ_SITES_ANSWERED;
	if (gz_call_matches(call, c->args))
		return GZ_SITES_SERVE;
	return serve_fresh(c, call) ? GZ_SITES_ANSWERED : GZ_SITES_NATIVE;
}

/* The agent would not see that the number means another file: it asks from now on. */
static void poison(struct gz_call_ctx *c, uint32_t first, uint32_t last)
{
	const uint32_t none = 0; /* epoll */
	const uint64_t e = GZ_FD_POISON;

	for (uint64_t fd = first; fd <= last && fd < GZ_FD_MAX && fd - first < 4096; fd++)
		gz_app_write(c->tid, GZ_FD_TABLE + fd * sizeof(e), &e, sizeof(e));
	for (uint64_t fd = first; fd <= last && fd < GZ_FD_MAX && fd - first < 4096; fd++)
		gz_app_write(c->tid,
			     GZ_AGENT_KEPT + offsetof(struct gz_agent_kept, epoll) +
				 fd * sizeof(none),
			     &none, sizeof(none));
}

/* What comes for it from here on is to be refused. */
static void note_closing(struct gz_call_ctx *c, uint32_t fd)
{
	struct gz_call_ctx other = {.sv = c->sv, .id = c->id, .tid = c->tid, .fd = -1};

	other.args[0] = fd;
	if (gz_plane_is_used(c->sv->client->plane) && is_ours(&other) &&
	    other.s->type == SOCK_DGRAM)
		gz_udp_ring_closing(other.s);
	if (other.fd >= 0)
		close(other.fd);
	if (other.s)
		gz_sock_unref(other.s);
}

static enum gz_sites close_call(struct gz_call_ctx *c, const struct gz_call_info *call)
{
	enum gz_site known = gz_lead_look_up(c->tid, c->ip - GZ_SYSCALL_BYTES);
	uint32_t first = (uint32_t)c->args[0], last = first;

	if (call->id != GZ_CALL_CLOSE_RANGE)
		note_closing(c, (uint32_t)c->args[call->id == GZ_CALL_CLOSE ? 0 : 1]);
	if (known == GZ_SITE_NO_AGENT)
		return GZ_SITES_NATIVE;
	if (known == GZ_SITE_NEW && gz_lead_patch(c, gz_app_process(c->tid), call))
		return GZ_SITES_ANSWERED;
	if (call->id == GZ_CALL_DUP2 || call->id == GZ_CALL_DUP3)
		first = last = (uint32_t)c->args[1];
	else if (call->id == GZ_CALL_CLOSE_RANGE)
		last = (uint32_t)c->args[1];
	/* A vfork() child's numbers are its own, the memory its parent's. */
	if (!gz_app_is_vfork_child(gz_app_process(c->tid)))
		poison(c, first, last);
	return GZ_SITES_NATIVE;
}

/* --- readiness ---------------------------------------------------------------------- */

#define POLLS_MAX (1u << 20)

/* Call @fn for each descriptor that poll() or select() names, until it says no. */
static void each_polled(struct gz_call_ctx *c, const struct gz_call_info *call,
			bool (*fn)(struct gz_call_ctx *, int))
{
	bool is_poll = call->id == GZ_CALL_POLL || call->id == GZ_CALL_PPOLL;
	struct pollfd p[64];
	uint64_t n = is_poll ? c->args[1] : c->args[0], word;

	if (n > POLLS_MAX)
		n = POLLS_MAX;
	for (uint64_t k = 0; is_poll && k < n; k += 64) {
		uint64_t some = n - k < 64 ? n - k : 64;

		if (!gz_app_peek(c->tid, c->args[0] + k * sizeof(p[0]), p, some * sizeof(p[0])))
			return;
		for (uint64_t i = 0; i < some; i++)
			if (p[i].fd >= 0 && !fn(c, p[i].fd))
				return;
	}
	for (unsigned set = 1; !is_poll && set <= 3; set++)
		for (uint64_t k = 0; c->args[set] && k < n; k += 64) {
			if (!gz_app_peek(c->tid, c->args[set] + k / 8, &word, sizeof(word)))
				break;
			for (; word; word &= word - 1) {
				uint64_t fd = k + (uint64_t)__builtin_ctzll(word);

				if (fd < n && !fn(c, (int)fd))
					return;
			}
		}
}

static bool is_fd_ours(struct gz_call_ctx *c, int fd)
{
	struct gz_call_ctx other = {.sv = c->sv, .id = c->id, .tid = c->tid, .fd = -1};
	bool ours;

	other.args[0] = (uint64_t)fd;
	ours = is_ours(&other);
	if (other.fd >= 0)
		close(other.fd);
	if (other.s)
		gz_sock_unref(other.s);
	return ours;
}

static bool stop_at_ours(struct gz_call_ctx *c, int fd)
{
	c->done = is_fd_ours(c, fd);
	return !c->done;
}

static bool leave_each(struct gz_call_ctx *c, int fd)
{
	leave_fd(c, fd, GZ_OFF_EPOLL);
	return true;
}

static bool is_ready_of_ours(struct gz_call_ctx *c, const struct gz_call_info *call)
{
	bool found;

	switch (call->id) {
	case GZ_CALL_POLL:
	case GZ_CALL_PPOLL:
	case GZ_CALL_SELECT:
	case GZ_CALL_PSELECT6:
		each_polled(c, call, stop_at_ours);
		found = c->done;
		c->done = 0;
		return found;
	case GZ_CALL_EPOLL_CTL:
		return is_fd_ours(c, (int)c->args[2]);
	case GZ_CALL_FCNTL:
	case GZ_CALL_IOCTL:
		return false; /* they are served here as well */
	default:
		return false; /* an epoll with some is known to the agent of its process */
	}
}

/*
 * The kernel's epoll alone has it: it leaves the rings, or each arrival will bring a
 * token once it comes there.
 */
static void add_to_epoll(struct gz_call_ctx *c)
{
	struct gz_call_ctx other = {.sv = c->sv, .id = c->id, .tid = c->tid, .fd = -1};

	other.args[0] = c->args[2];
	if (is_ours(&other)) {
		gz_off_sock(other.s, GZ_OFF_EPOLL);
		gz_plane_leave(other.s, other.fd);
	}
	if (other.fd >= 0)
		close(other.fd);
	if (other.s) {
		gz_plane_note_epoll(other.s);
		gz_sock_unref(other.s);
	}
}

/* What the agent does when it can */
static void set_nonblock(struct gz_call_ctx *c, const struct gz_call_info *call)
{
	int on = 0;

	if (!gz_service_resolve(c) || !c->s)
		return;
	if (call->id == GZ_CALL_FCNTL)
		on = (c->args[2] & O_NONBLOCK) != 0;
	else if (!gz_app_peek(c->tid, c->args[2], &on, sizeof(on)))
		return;
	gz_plane_set_nonblock(c->s, on != 0);
}

/* Is it the handler that a C library sets before its first pthread_cancel()? */
static bool sets_cancel(struct gz_call_ctx *c)
{
	struct { /* the kernel's sigaction */
		uint64_t handler, flags, restorer, mask;
	} sa;

	if (!gz_app_peek(c->tid, c->args[1], &sa, sizeof(sa)) || sa.handler <= 1)
		return false;
	/* glibc has 33 for setuid() and its kin, with an empty mask. */
	return (uint32_t)c->args[0] == GZ_SIGCANCEL_GLIBC || sa.mask == UINT64_MAX;
}

/* Again and again, until all are out. */
static enum gz_sites cancel_call(struct gz_call_ctx *c)
{
	pid_t pid;

	if (gz_lead_look_up(c->tid, 0) == GZ_SITE_RETIRED)
		return GZ_SITES_NATIVE;
	pid = gz_app_process(c->tid);
	if (gz_lead_retire(c, pid))
		return GZ_SITES_ANSWERED;
	return GZ_SITES_NATIVE;
}

static enum gz_sites ready_call(struct gz_call_ctx *c, const struct gz_call_info *call)
{
	bool is_ioctl = call->id == GZ_CALL_IOCTL;

	if (call->id == GZ_CALL_RT_SIGACTION && !sets_cancel(c))
		return GZ_SITES_NATIVE;
	if (is_ioctl && (uint32_t)c->args[1] != FIONBIO && (uint32_t)c->args[1] != FIOASYNC &&
	    (uint32_t)c->args[1] != FIONREAD)
		return GZ_SITES_SERVE;
	if (call->id != GZ_CALL_EPOLL_CTL && call->id != GZ_CALL_SECCOMP &&
	    call->id != GZ_CALL_PRCTL && call->id != GZ_CALL_RT_SIGACTION &&
	    !gz_plane_is_used(c->sv->client->plane))
		return is_ioctl ? GZ_SITES_SERVE : GZ_SITES_NATIVE;
	if (lead_to_agent(c, call, is_ready_of_ours))
		return GZ_SITES_ANSWERED;
	switch (call->id) {
	case GZ_CALL_SECCOMP:
	case GZ_CALL_PRCTL:
		leave_process(c);
		return GZ_SITES_NATIVE;
	case GZ_CALL_RT_SIGACTION:
		return cancel_call(c);
	case GZ_CALL_IOCTL:
	case GZ_CALL_FCNTL:
		/* SIGIO is the shadow's to send. */
		if (is_ioctl ? (uint32_t)c->args[1] == FIOASYNC : c->args[2] & O_ASYNC)
			leave_fd(c, (int)c->args[0], GZ_OFF_CALL);
		if (!is_ioctl || (uint32_t)c->args[1] == FIONBIO)
			set_nonblock(c, call);
		return is_ioctl ? GZ_SITES_SERVE : GZ_SITES_NATIVE;
	case GZ_CALL_EPOLL_CTL:
		add_to_epoll(c);
		return GZ_SITES_NATIVE;
	case GZ_CALL_POLL:
	case GZ_CALL_PPOLL:
	case GZ_CALL_SELECT:
	case GZ_CALL_PSELECT6:
		each_polled(c, call, leave_each);
		return GZ_SITES_NATIVE;
	default:
		if (gz_lead_look_up(c->tid, 0) != GZ_SITE_NO_AGENT)
			gz_plane_loud(c->sv->client->plane);
		return GZ_SITES_NATIVE;
	}
}

/* As without an agent, but for the next ones of its site */
static enum gz_sites control_call(struct gz_call_ctx *c, const struct gz_call_info *call)
{
	return !asks_itself(c) && !gz_lead_is_refused(c) &&
		       gz_lead_look_up(c->tid, c->ip - GZ_SYSCALL_BYTES) == GZ_SITE_NEW &&
		       gz_lead_patch(c, gz_app_process(c->tid), call)
		   ? GZ_SITES_ANSWERED
		   : GZ_SITES_SERVE;
}

enum gz_sites gz_sites_trap(struct gz_call_ctx *c, const struct gz_call_info *call)
{
	if (call->id == GZ_CALL_GETSOCKOPT && (uint32_t)c->args[1] == GZ_SOL_AGENT) {
		uint32_t what = (uint32_t)c->args[2];
		int64_t r = 0;

		if (what & GZ_ASK_BACK)
			gz_plane_asked_back(c);
		else if (what == GZ_ASK_LINGERS)
			r = gz_plane_lingers(c->sv->client, (uint32_t)c->args[3],
					     (uint32_t)c->args[4]);
		else if (what == GZ_ASK_WAKE)
			gz_workers_wake(gz_plane_oversleepers(c->sv->client->plane));
		else
			r = what & GZ_ASK_ACCEPTED ? gz_accept_asked(c) : gz_lane_asked(c);

		if (c->fd >= 0)
			close(c->fd); /* its next close() must be the last */
		c->fd = -1;
		gz_service_answer(c, r);
		return GZ_SITES_ANSWERED;
	}
	if (call->agent == GZ_AGENT_DATA)
		return data_call(c, call);
	if (call->agent == GZ_AGENT_CLOSE)
		return close_call(c, call);
	if (call->agent == GZ_AGENT_READY)
		return ready_call(c, call);
	if (call->agent == GZ_AGENT_CONTROL || call->agent == GZ_AGENT_SHORT)
		return control_call(c, call);
	switch (call->id) {
	case GZ_CALL_SPLICE:
		leave_fd(c, (int)c->args[2], GZ_OFF_CALL);
		break;
	case GZ_CALL_PREADV2:
	case GZ_CALL_PWRITEV2:
		break;
	case GZ_CALL_IO_SUBMIT:
		leave_submitted(c);
		return GZ_SITES_NATIVE;
	default:
		return GZ_SITES_SERVE;
	}
	if (is_ours(c) && c->s->type == SOCK_DGRAM)
		return datagram_call(c, call);
	if (is_ours(c)) {
		gz_off_sock(c->s, GZ_OFF_CALL);
		gz_plane_leave(c->s, c->fd);
	}
	if (serve_orphan(c, call))
		return GZ_SITES_ANSWERED;
	if (call->id == GZ_CALL_SPLICE && c->s && c->s->type == SOCK_STREAM)
		return GZ_SITES_SERVE;
	return call->plane == GZ_CALL_RING ? GZ_SITES_NATIVE : GZ_SITES_SERVE;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * broker.c - gazelle-run stops its program's processes, as the engine asks
 *
 * Theory of operation.  Only a parent may trace where Yama is strict, and tracing
 * needs no other right then; so it is gazelle-run that does it.  A thread that waits
 * for the engine's answer does not stop, and the engine must not answer before the
 * thread was told to stop, or it would run on.  Hence the talk in the middle of
 * gz_tracee_stop(): see engine/control.h.
 *
 * A vfork() child shares its parent's memory while the parent cannot be stopped: it
 * gets no agent, nor does its parent meanwhile.
 */
#include "launcher/broker.h"

#include <errno.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/control.h"
#include "launcher/frames.h"
#include "launcher/heir.h"
#include "launcher/inject.h"
#include "launcher/proc.h"
#include "launcher/retire.h"
#include "launcher/tracee.h"

#define STOP_MS 200
#define ANSWER_MS 2000

struct job {
	struct gz_tracee t;
	int fd;
	struct gz_broker_msg m;
	int memfd; /* number in the process; -1: not needed */
	bool said; /* SEIZED was */
	bool go;
};

/* Threads that did not stop in time */
static struct gz_tracee late;

static bool hear(int fd, struct gz_broker_msg *m)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, ANSWER_MS) > 0 && recv(fd, m, sizeof(*m), 0) == sizeof(*m);
}

static void on_seized(struct gz_tracee *t)
{
	struct job *j = (struct job *)t;
	struct gz_broker_msg m = j->m;

	m.op = GZ_BROKER_SEIZED;
	m.value = !gz_inject_present(t);
	j->said = true;
	if (send(j->fd, &m, sizeof(m), MSG_NOSIGNAL) != sizeof(m) || !hear(j->fd, &m) ||
	    m.op != GZ_BROKER_GO || m.seq != j->m.seq)
		return;
	j->memfd = m.value;
	j->go = true;
}

/* Are its memory and its parent's one?  Unknown is no. */
static bool is_vfork_child(pid_t pid)
{
	char text[32];
	pid_t parent;

	if (!gz_status(pid, "PPid:", text, sizeof(text)))
		return false;
	parent = atoi(text);
	return parent > 1 && syscall(SYS_kcmp, parent, pid, KCMP_VM, 0, 0) == 0;
}

static unsigned own_filters(void)
{
	char text[32];

	return gz_status(getpid(), "Seccomp_filters:", text, sizeof(text)) ? (unsigned)atoi(text)
									   : 0;
}

/* Its threads are stopped, and it has the agent. */
static int patch(struct job *j, bool fresh)
{
	uint64_t block;
	int rc = gz_inject_site(&j->t, j->m.site, &block);

	if (!rc && fresh)
		gz_inject_neighbours(&j->t, j->m.site);
	if (!rc)
		gz_inject_enter(&j->t);
	return rc;
}

/* A call that traps, of the borrowed thread's; what is done by it is the engine's affair. */
static int trap(struct gz_tracee *t)
{
	int64_t r;

	return GZ_TRACEE_CALL(t, &r, SYS_getsockname, (uint64_t)-1, 0, 0, 0, 0, 0);
}

static int work(struct job *j)
{
	bool fresh;
	int rc;

	if (j->m.op != GZ_BROKER_TRAP && is_vfork_child(j->m.pid))
		return -EAGAIN;
	/* Its runtime has a handler for each signal, and cancels no thread. */
	if (j->m.op == GZ_BROKER_RETIRE && gz_frames_is_go(&j->t, j->m.site))
		return -ENOEXEC;
	rc = gz_tracee_stop(&j->t, STOP_MS);
	if (!rc && (!j->go || (j->t.vforks && j->m.op != GZ_BROKER_TRAP)))
		rc = -EAGAIN;
	if (!rc)
		rc = gz_tracee_borrow(&j->t);
	if (rc)
		return rc;
	if (j->m.op == GZ_BROKER_TRAP)
		return trap(&j->t);
	fresh = !gz_inject_present(&j->t);
	if (fresh)
		rc = j->memfd < 0 ? -EAGAIN : gz_inject_region(&j->t, j->memfd);
	if (rc)
		return rc;
	return j->m.op == GZ_BROKER_RETIRE ? gz_retire(&j->t) : patch(j, fresh);
}

size_t gz_broker_reap(void)
{
	return late.n ? gz_tracee_reap(&late) : 0;
}

/* Return: 1, a request; 0, there is none; -1, nor will there be */
static int next(int fd, struct gz_broker_msg *m)
{
	struct iovec v = {m, sizeof(*m)};
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg = {.msg_iov = &v,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf)};
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *h = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	int with = -1;

	if (n != sizeof(*m))
		return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
	if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS)
		memcpy(&with, CMSG_DATA(h), sizeof(with));
	if (with >= 0 && m->op == GZ_BROKER_LISTENER)
		gz_heir_set_listener(with);
	else if (with >= 0 && m->op == GZ_BROKER_RINGS)
		gz_heir_set_rings(with);
	else if (with >= 0)
		close(with);
	return m->op == GZ_BROKER_PATCH || m->op == GZ_BROKER_RETIRE ||
	       m->op == GZ_BROKER_TRAP; /* else an answer that comes too late */
}

bool gz_broker_serve(int fd)
{
	struct job j = {.fd = fd, .memfd = -1};
	int n = next(fd, &j.m);

	if (n <= 0)
		return n == 0;
	j.t.pid = j.m.pid;
	j.t.seized = on_seized;
	/* Those that we are under, and our own, let all of our calls pass. */
	j.t.filters = own_filters() + 1;
	/* One at a time: what did not stop then may be of the same process. */
	j.m.value = gz_broker_reap() ? -EBUSY : work(&j);
	gz_tracee_release(&j.t);
	if (j.t.n)
		late = j.t;
	j.m.op = GZ_BROKER_DONE;
	return send(fd, &j.m, sizeof(j.m), MSG_NOSIGNAL) == sizeof(j.m);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * heir.c - gazelle-run answers its program's calls when the engine is gone
 *
 * Theory of operation.  Where bytes may be in rings, read() and close() of any
 * descriptor trap until the process has the agent; nobody's answer to them is ENOSYS,
 * for a pipe too.  So gazelle-run keeps a copy of the listener, and answers what only
 * traps for the rings: it continues, natively, unless the socket is in the rings.  There
 * the shadow holds tokens and no data, and the answer is ECONNRESET.  All other calls
 * fail with ENOSYS, as they do where nobody has the listener.
 *
 * With a second listener open, the engine's end does not end the calls that it had
 * received: they are noted in the shared memory (engine/served.h), by their numbers.
 * One that was received and not noted yet, in the last instant, is looked for among
 * the numbers that follow.
 */
#include "launcher/heir.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/control.h"
#include "launcher/agent/abi.h"
#include "launcher/calls.h"

#define LOOK_AHEAD 4096

static struct {
	int listener;
	struct gz_shared *sh; /* any bits */
} heir = {.listener = -1};

int gz_heir_send(int broker, int listener)
{
	return gz_broker_send_fd(broker, GZ_BROKER_LISTENER, listener, MSG_NOSIGNAL);
}

void gz_heir_set_listener(int fd)
{
	if (heir.listener >= 0)
		close(heir.listener);
	heir.listener = fd;
}

void gz_heir_set_rings(int fd)
{
	struct stat st;
	void *p = MAP_FAILED;

	if (!fstat(fd, &st) && st.st_size >= (off_t)GZ_SHARED_SIZE)
		p = mmap(NULL, GZ_SHARED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (p != MAP_FAILED && !heir.sh)
		heir.sh = p;
	else if (p != MAP_FAILED)
		munmap(p, GZ_SHARED_SIZE);
}

int gz_heir_listener(void)
{
	return heir.listener;
}

void gz_heir_drop(void)
{
	gz_heir_set_listener(-1);
	if (heir.sh)
		munmap(heir.sh, GZ_SHARED_SIZE);
	heir.sh = NULL;
}

/* Are the socket's bytes in a ring? */
static bool is_ring(int tid, int fd)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", tid, fd);
	if (stat(path, &st) || !S_ISSOCK(st.st_mode))
		return false;
	for (unsigned i = 0; i < GZ_SLOTS; i++)
		if (heir.sh->ino[i] == st.st_ino)
			return heir.sh->slot[i].rx_plane != GZ_PLANE_NATIVE ||
			       heir.sh->slot[i].tx_plane != GZ_PLANE_NATIVE;
	return false;
}

/* Return: 0, or the errno of ioctl() */
static int answer(uint64_t id, int tid, int fd, int nr, bool native)
{
	const struct gz_call_info *call = gz_call_by_nr(nr);
	struct seccomp_notif_resp r = {.id = id};

	if (!native)
		r.error = -ENOSYS;
	else if ((!call || call->agent != GZ_AGENT_CLOSE) && is_ring(tid, fd))
		r.error = -ECONNRESET;
	else
		r.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	return ioctl(heir.listener, SECCOMP_IOCTL_NOTIF_SEND, &r) ? errno : 0;
}

/*
 * Who waits for room in a ring sees now that nobody makes any.  Bytes that need no engine
 * stop too, or some connections would live and others not.
 */
static void end_rings(void)
{
	for (unsigned i = 0; i < GZ_SLOTS; i++) {
		struct gz_slot *s = &heir.sh->slot[i];

		if (!(s->gen & 1))
			continue;
		__atomic_store_n(&s->listens, 0, __ATOMIC_SEQ_CST);
		if (s->lane) {
			__atomic_store_n(&s->rx_plane, GZ_PLANE_TRAP, __ATOMIC_SEQ_CST);
			__atomic_store_n(&s->tx_plane, GZ_PLANE_TRAP, __ATOMIC_SEQ_CST);
		}
		__atomic_fetch_add(&s->room, 1, __ATOMIC_SEQ_CST);
		syscall(SYS_futex, &s->room, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	}
}

bool gz_heir_begin(void)
{
	const struct gz_served *all;
	uint64_t last = 0;

	if (heir.listener < 0 || !heir.sh) {
		gz_heir_drop();
		return false;
	}
	end_rings();
	all = gz_shared_served(heir.sh);
	for (unsigned i = 0; i < GZ_SERVED; i++) {
		struct gz_served s = all[i];

		if (!s.id)
			continue;
		if (s.id > last)
			last = s.id;
		answer(s.id, s.tid, s.fd, s.nr, s.native); /* or it was, ENOENT */
	}
	for (uint64_t id = last + 1; last && id <= last + LOOK_AHEAD; id++)
		answer(id, 0, -1, -1, false);
	return true;
}

bool gz_heir_serve(void)
{
	struct seccomp_notif n = {0};
	const struct gz_call_info *call;
	uint64_t args[6];

	if (ioctl(heir.listener, SECCOMP_IOCTL_NOTIF_RECV, &n)) {
		if (errno == EINTR || errno == ENOENT)
			return true;
		gz_heir_drop();
		return false;
	}
	call = gz_call_by_nr(n.data.nr);
	memcpy(args, n.data.args, sizeof(args));
	answer(n.id, (int)n.pid, (int)args[0], n.data.nr, call && !gz_call_matches(call, args));
	return true;
}

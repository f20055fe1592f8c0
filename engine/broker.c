/* SPDX-License-Identifier: BSD-3-Clause
 *
 * broker.c - The talk with gazelle-run, and whom it may stop
 */
#include "engine/broker.h"

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/control.h"
#include "engine/log.h"
#include "engine/service.h"

#define BROKER_MS 3000

/* --- who must not be stopped ------------------------------------------------------ */

/* Calls that return a part of what they were asked for when their thread stops */
static const int parts[] = {SYS_write,	 SYS_writev,   SYS_pwritev2, SYS_sendto,
			    SYS_sendmsg, SYS_sendmmsg, SYS_recvmmsg, SYS_sendfile,
			    SYS_splice,	 SYS_tee,      SYS_vmsplice, SYS_recvmsg};

/* Is the thread blocked in one of parts[], or in a recv() that wants all? */
static bool is_midway(pid_t tid)
{
	uint64_t flags;
	char path[64];
	bool found;
	long nr;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/syscall", (int)tid);
	f = fopen(path, "re");
	if (!f)
		return false;
	found = fscanf(f, "%ld %*s %*s %*s 0x%lx", &nr, &flags) == 2; /* else "running" */
	fclose(f);
	if (!found)
		return false;
	if (nr == SYS_recvfrom)
		return flags & MSG_WAITALL;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (nr == parts[i])
			return true;
	return false;
}

/*
 * A blocked send() that is stopped returns what it has sent, which no program without
 * signals expects.  Who waits for us has sent nothing yet, and may have come just now.
 */
bool gz_broker_may_stop(struct gz_call_ctx *c, pid_t pid)
{
	char path[64];
	struct dirent *e;
	bool may = true;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	d = opendir(path);
	if (!d)
		return true;
	while (may && (e = readdir(d))) {
		pid_t tid = atoi(e->d_name);

		if (tid <= 0 || tid == c->tid || !is_midway(tid))
			continue;
		gz_service_collect(c->sv);
		may = gz_service_has(c->sv, tid);
	}
	closedir(d);
	return may;
}

/* --- the talk ------------------------------------------------------------------ */

static bool lose(struct gz_client *c)
{
	c->broker.old = c->broker.fd; /* its end tells gazelle-run of ours (launcher/heir.c) */
	c->broker.fd = -1;
	gz_debug("client %u: gazelle-run is gone, nobody stops its processes", c->id);
	return false;
}

bool gz_broker_tell(struct gz_client *c, const struct gz_broker_msg *m)
{
	struct gz_broker_msg out = *m;

	if (c->broker.fd < 0)
		return false;
	out.pid = gz_app_pid_at(m->pid, c->broker.level, NULL);
	if (send(c->broker.fd, &out, sizeof(out), MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(out))
		return true;
	return lose(c);
}

/* What has come, if it is about @m->seq.  Return: false when the broker is gone */
static bool take(struct gz_client *c, struct gz_broker_msg *m, bool *taken)
{
	struct gz_broker_msg got;

	if (recv(c->broker.fd, &got, sizeof(got), MSG_DONTWAIT) != sizeof(got))
		return lose(c);
	*taken = got.seq == m->seq;
	if (*taken)
		*m = got;
	return true;
}

bool gz_broker_hear(struct gz_client *c, struct gz_broker_msg *m)
{
	struct pollfd p = {.fd = c->broker.fd, .events = POLLIN};
	bool taken = false;

	while (!taken) {
		if (poll(&p, 1, BROKER_MS) <= 0)
			return lose(c);
		if (!take(c, m, &taken))
			return false;
	}
	return true;
}

/* The same; meanwhile @fn is called with the call that gazelle-run makes in process @pid. */
static bool hear_and_serve(struct gz_service *sv, struct gz_broker_msg *m, pid_t pid,
			   void (*fn)(struct gz_call_ctx *))
{
	struct gz_client *cl = sv->client;
	struct pollfd p[] = {
	    {.fd = cl->broker.fd, .events = POLLIN},
	    {.fd = cl->listener, .events = POLLIN},
	};
	struct gz_call_ctx c;
	bool taken = false;

	while (!taken) {
		if (poll(p, 2, BROKER_MS) <= 0)
			return lose(cl);
		if (p[1].revents & POLLIN && gz_service_call_of(sv, pid, &c)) {
			if (gz_broker_is_trap(c.nr, c.args[0])) {
				fn(&c);
				gz_service_let_pass(sv, &c);
				p[1].fd = -1; /* it goes on, and its calls with it */
			} else {
				gz_service_restart(sv,
						   pid); /* it came while it was being stopped */
			}
		}
		if (p[0].revents && !take(cl, m, &taken))
			return false;
	}
	return true;
}

bool gz_broker_reach(struct gz_call_ctx *c, pid_t pid, void (*fn)(struct gz_call_ctx *))
{
	struct gz_client *cl = c->sv->client;
	struct gz_broker_msg m = {.op = GZ_BROKER_TRAP, .seq = ++cl->broker.seq, .pid = pid};
	struct gz_call_ctx waits;

	if (gz_service_call_of(c->sv, pid, &waits)) {
		fn(&waits);
		return true;
	}
	if (!gz_broker_may_stop(c, pid) || !gz_broker_tell(cl, &m) || !gz_broker_hear(cl, &m))
		return false;
	if (m.op == GZ_BROKER_SEIZED) {
		/* Whoever waits for us cannot stop: they all come again. */
		gz_service_restart(c->sv, pid);
		m.op = GZ_BROKER_GO;
		m.value = -1;
		if (!gz_broker_tell(cl, &m) || !hear_and_serve(c->sv, &m, pid, fn))
			return false;
	}
	if (m.value)
		gz_debug("process %d is not reached: %s", (int)pid, strerror(-m.value));
	return !m.value;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * lead.c - A call's site is led to the agent, by gazelle-run
 *
 * Theory of operation.  gazelle-run (the broker, engine/control.h) stops the threads of
 * the process while the one of the call waits here; then all calls that wait begin
 * again, in the agent where their site leads there.
 *
 * A call that comes from a site which leads to the agent already is one that the agent
 * refused, and says so (gz_agent_kept.refused), or of a thread that was behind the jump:
 * it had a signal when the threads were stopped, or one whose handler ran meanwhile, and
 * began again at the `syscall` itself.  That one is set into the agent like the first.
 */
#include "engine/lead.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/broker.h"
#include "engine/control.h"
#include "engine/counters.h"
#include "engine/log.h"
#include "engine/off_ring.h"
#include "engine/service.h"
#include "launcher/calls.h"

#define ERESTARTSYS 512 /* the kernel's own, linux/errno.h */
#define ERESTARTNOINTR 513
#define UNPATCHED_NS 1000000000ull
#define BUSY_NS 5000000ull /* it cannot be stopped now */
#define TRIES 8		   /* of a call, within TRIES_NS */
#define TRIES_NS 1000000000ull
#define BLOCKS 64 /* that are read at once */

/* --- what a process has -------------------------------------------------------- */

enum gz_site gz_lead_look_up(pid_t tid, uint64_t site)
{
	struct gz_agent_block blocks[BLOCKS];
	uint8_t jump[GZ_SITE_JUMP];
	struct gz_agent_book b;

	if (!gz_app_peek(tid, GZ_AGENT_BOOK, &b, sizeof(b)) || b.magic != GZ_AGENT_MAGIC)
		return GZ_SITE_NO_AGENT;
	if (b.retired == GZ_RETIRED)
		return GZ_SITE_RETIRED;
	for (uint32_t i = 0; i < b.nfailed && i < GZ_FAILED_SITES; i++)
		if (b.failed[i] == site)
			return GZ_SITE_FAILED;
	for (uint32_t i = 0; i < b.nsites && i < GZ_SITES_MAX; i += BLOCKS) {
		uint32_t n = b.nsites - i < BLOCKS ? b.nsites - i : BLOCKS;

		if (!gz_app_peek(tid, GZ_AGENT_SITES + i * GZ_SITE_SIZE, blocks, n * GZ_SITE_SIZE))
			return GZ_SITE_NO_AGENT;
		for (uint32_t k = 0; k < n; k++)
			if (blocks[k].trap == site) /* else another library's by now */
				return gz_app_peek(tid, blocks[k].at, jump, sizeof(jump)) &&
					       gz_block_leads(&blocks[k], jump)
					   ? GZ_SITE_KNOWN
					   : GZ_SITE_NEW;
	}
	return GZ_SITE_NEW;
}

bool gz_lead_is_refused(struct gz_call_ctx *c)
{
	uint64_t key = gz_refused_key(c->nr, (uint32_t)c->args[0]), at, word, none = 0;

	at = GZ_AGENT_KEPT + offsetof(struct gz_agent_kept, refused) +
	     gz_refused_index(key) * sizeof(word);
	if (!gz_app_peek(c->tid, at, &word, sizeof(word)) || word != key)
		return false;
	gz_app_write(c->tid, at, &none, sizeof(none));
	return true;
}

/* For how long the process is not to be asked again, ns */
static uint64_t failed_for(const struct gz_service *sv, pid_t pid)
{
	uint64_t now = gz_now_ns(), longest = 0;

	for (unsigned i = 0; i < 16; i++)
		if (sv->unpatched[i].pid == pid && now + longest < sv->unpatched[i].until)
			longest = sv->unpatched[i].until - now;
	return longest;
}

/* May the call be led to the agent once more?  Not for ever. */
static bool may_try(struct gz_call_ctx *c)
{
	struct gz_service *sv = c->sv;
	const unsigned n = sizeof(sv->tried) / sizeof(sv->tried[0]);
	uint64_t now = gz_now_ns();
	struct gz_tried *t = NULL;
	uint64_t fd = c->args[c->nr == SYS_epoll_ctl ? 2 : 0];

	for (unsigned i = 0; i < n && !t; i++)
		if (sv->tried[i].tid == c->tid && sv->tried[i].nr == c->nr &&
		    sv->tried[i].fd == fd && now < sv->tried[i].until)
			t = &sv->tried[i];
	if (!t) {
		t = &sv->tried[sv->next_tried++ % n];
		*t = (struct gz_tried){c->tid, c->nr, fd, now + TRIES_NS, 0};
	}
	return ++t->times <= TRIES;
}

static void note_failure(struct gz_service *sv, pid_t pid, uint64_t ns, int fd)
{
	sv->unpatched[sv->next_unpatched++ % 16] =
	    (struct gz_unpatched){.pid = pid, .until = gz_now_ns() + ns, .fd = fd};
}

/* Give the process the shared memory's descriptor, unless it kept one when that failed before. */
static int give_memfd(struct gz_call_ctx *c, pid_t pid)
{
	struct gz_service *sv = c->sv;
	struct stat ours, theirs;

	for (unsigned i = 0; i < 16; i++) {
		int fd;

		if (sv->unpatched[i].pid != pid || sv->unpatched[i].fd < 0)
			continue;
		fd = gz_app_fd(&sv->cache, c->tid, sv->unpatched[i].fd);
		if (fd < 0)
			continue;
		if (!fstat(fd, &theirs) && !fstat(sv->client->plane->memfd, &ours) &&
		    theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino) {
			close(fd);
			return sv->unpatched[i].fd;
		}
		close(fd);
	}
	return gz_service_add_fd(c, sv->client->plane->memfd, true);
}

/* --- the broker ------------------------------------------------------------------ */

/*
 * Have something done by gazelle-run.  @restart: how the call begins again; @fresh: its
 * site is not led to the agent yet.
 * Return: whether the call was answered: it begins again, whether or not that succeeded.
 */
static bool ask_broker(struct gz_call_ctx *c, pid_t pid, enum gz_broker_op op, int restart,
		       bool fresh)
{
	struct gz_client *cl = c->sv->client;
	struct gz_broker_msg m = {
	    .op = op,
	    .seq = ++cl->broker.seq,
	    .pid = pid,
	    .tid = c->tid,
	    .site = c->ip - GZ_SYSCALL_BYTES,
	};
	bool answered = false;
	int fd = -1;

	if (!gz_broker_tell(cl, &m) || !gz_broker_hear(cl, &m)) {
		gz_off_process(cl, pid, GZ_OFF_NO_BROKER);
		return false;
	}
	if (m.op == GZ_BROKER_SEIZED) {
		if (m.value)
			fd = give_memfd(c, pid);
		/* Whoever waits for us cannot stop: they all come again. */
		gz_service_restart(c->sv, pid);
		if (c->fd >= 0)
			close(c->fd);
		c->fd = -1;
		gz_service_answer(c, -restart);
		answered = true;
		m.op = GZ_BROKER_GO;
		m.value = fd;
		if (!gz_broker_tell(cl, &m) || !gz_broker_hear(cl, &m))
			m.value = -EPIPE;
	}
	if (op == GZ_BROKER_RETIRE && !answered)
		return false;
	gz_off_process(c->sv->client, pid, gz_off_errno(m.value));
	if (m.value) {
		gz_count(GZ_C_RING_REFUSED);
		gz_debug("process %d, site %lx: %s", (int)pid,
			 (unsigned long)c->ip - GZ_SYSCALL_BYTES, strerror(-m.value));
		/* The site is in the book, if there is one and it is the site's fault. */
		if (m.value != -ENOEXEC ||
		    gz_lead_look_up(pid, c->ip - GZ_SYSCALL_BYTES) == GZ_SITE_NO_AGENT)
			note_failure(c->sv, pid, m.value == -EAGAIN ? BUSY_NS : UNPATCHED_NS, fd);
	} else if (fresh) {
		gz_count(GZ_C_RING_SITES);
		gz_debug("process %d: the site at %lx is led to the agent", (int)pid,
			 (unsigned long)c->ip - GZ_SYSCALL_BYTES);
	}
	return answered;
}

bool gz_lead_patch(struct gz_call_ctx *c, pid_t pid, const struct gz_call_info *call)
{
	uint64_t ns = failed_for(c->sv, pid);
	bool fresh;

	if (ns > BUSY_NS || !may_try(c))
		return false;
	if (ns)
		usleep((useconds_t)(ns / 1000 + 1));
	if (c->sv->client->broker.fd >= 0 && !gz_broker_may_stop(c, pid)) {
		gz_off_process(c->sv->client, pid, GZ_OFF_BUSY);
		return false;
	}
	fresh = gz_lead_look_up(c->tid, c->ip - GZ_SYSCALL_BYTES) != GZ_SITE_KNOWN;
	return ask_broker(c, pid, GZ_BROKER_PATCH,
			  gz_call_is_short(call) ? ERESTARTNOINTR : ERESTARTSYS, fresh);
}

bool gz_lead_retire(struct gz_call_ctx *c, pid_t pid)
{
	return !failed_for(c->sv, pid) &&
	       ask_broker(c, pid, GZ_BROKER_RETIRE, ERESTARTNOINTR, false);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * served.c - Calls that wait for the engine, for who answers them when it is gone
 */
#include "engine/served.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "engine/client.h"
#include "engine/control.h"
#include "engine/log.h"
#include "launcher/calls.h"

#define TRIES 16 /* places of one number; the kernel counts them up */

static struct gz_served *place(const struct gz_client *c, uint64_t id)
{
	return &gz_shared_served(c->plane->sh)[id % GZ_SERVED];
}

void gz_served_begin(const struct gz_client *c)
{
	int err = gz_broker_send_fd(c->broker.fd, GZ_BROKER_RINGS, c->plane->memfd,
				    MSG_DONTWAIT | MSG_NOSIGNAL);

	if (err)
		gz_debug("client %u: gazelle-run has no heir's part: %s", c->id, strerror(-err));
}

void gz_served_note(const struct gz_client *c, const struct seccomp_notif *n)
{
	const struct gz_call_info *call = gz_call_by_nr(n->data.nr);
	uint64_t args[6], old;
	struct gz_served *p;

	if (!c->plane)
		return;
	memcpy(args, n->data.args, sizeof(args));
	for (unsigned k = 0; k < TRIES; k++) {
		p = place(c, n->id + k);
		old = __atomic_load_n(&p->id, __ATOMIC_RELAXED);
		/* The worker answers some, and frees no place. */
		if (!old || ioctl(c->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &old) < 0)
			break;
	}
	__atomic_store_n(&p->id, 0, __ATOMIC_RELAXED);
	p->tid = (int32_t)n->pid;
	p->fd = (int32_t)args[0];
	p->nr = n->data.nr;
	p->native = call && !gz_call_matches(call, args);
	__atomic_store_n(&p->id, n->id, __ATOMIC_RELEASE);
}

void gz_served_done(const struct gz_client *c, uint64_t id)
{
	/* Else it lies beside its place, and is found to be over when another one comes. */
	if (c->plane && __atomic_load_n(&place(c, id)->id, __ATOMIC_RELAXED) == id)
		__atomic_store_n(&place(c, id)->id, 0, __ATOMIC_RELAXED);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * linger.c - Which close() waits, as SO_LINGER says
 *
 * The agent closes, and asks then (linger(), launcher/agent/fds.c): the number is free, no epoll
 * has it and no child gets it while it waits.  What is waited for the engine's end tells.  It hangs
 * up with the last close, and not before; and what the worker has of the socket is released, and
 * its slot with it, once all bytes are acknowledged.
 */
#include <poll.h>

#include "engine/plane_inner.h"
#include "engine/worker.h"

/* Its slot may have been given to another one. */
static bool is_still(struct gz_plane *p, const struct gz_leave *l)
{
	bool is;

	pthread_mutex_lock(&p->lock);
	is = p->gen[l->slot] == l->gen;
	pthread_mutex_unlock(&p->lock);
	return is;
}

static bool lingers(struct gz_worker *w, struct gz_sock *s)
{
	struct pollfd end = {.fd = s->end_fd, .events = POLLIN | POLLRDHUP};

	/* Its event may not have been seen; unread bytes reset it in here. */
	if (end.fd >= 0 && poll(&end, 1, 0) > 0)
		gz_relay_event(s, (uint32_t)end.revents);
	gz_relay_pump(w, s);
	return s->on_worker && s->app_gone && s->flow;
}

void gz_plane_on_lingers(struct gz_worker *w, struct gz_plane *p, struct gz_leave *l)
{
	struct gz_sock *s = gz_plane_owner(p, l->slot);

	if (s && s->type == SOCK_STREAM && is_still(p, l)) {
		gz_sock_ref(s);
		l->lingers = lingers(w, s);
		gz_sock_unref(s);
	}
	sem_post(&l->done);
}

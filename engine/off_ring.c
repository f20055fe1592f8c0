/* SPDX-License-Identifier: BSD-3-Clause
 *
 * off_ring.c - Why a socket's bytes do not go through a ring, or a process's do not
 */
#include "engine/off_ring.h"

#include <errno.h>

#include "engine/client.h"
#include "engine/sock.h"

#define WHY_BITS 8

static const struct {
	const char *word, *text;
} off[GZ_OFF_MAX] = {
#define X(id, w, t) [GZ_OFF_##id] = {w, t},
    GZ_OFF_RING(X)
#undef X
};

const char *gz_off_word(enum gz_off_ring why)
{
	return off[why].word;
}

const char *gz_off_text(enum gz_off_ring why)
{
	return off[why].text;
}

void gz_off_sock(struct gz_sock *s, enum gz_off_ring why)
{
	int none = GZ_OFF_NONE;

	atomic_compare_exchange_strong(&s->off_ring, &none, (int)why);
}

enum gz_off_ring gz_off_why(const struct gz_sock *s)
{
	if (gz_plane_is_ring(s))
		return GZ_OFF_NONE;
	return s->client->plane ? (enum gz_off_ring)atomic_load(&s->off_ring) : s->client->no_plane;
}

static unsigned place_of(const struct gz_off_processes *p, pid_t pid)
{
	unsigned i = 0;

	while (i < GZ_OFF_PROCESSES && (pid_t)(atomic_load(&p->of[i]) >> WHY_BITS) != pid)
		i++;
	return i;
}

void gz_off_process(struct gz_client *c, pid_t pid, enum gz_off_ring why)
{
	struct gz_off_processes *p = &c->off_ring;
	unsigned i = place_of(p, pid);

	if (i == GZ_OFF_PROCESSES)
		i = atomic_fetch_add(&p->next, 1) % GZ_OFF_PROCESSES;
	atomic_store(&p->of[i], (uint64_t)pid << WHY_BITS | why);
}

pid_t gz_off_process_at(const struct gz_client *c, unsigned i)
{
	return (pid_t)(atomic_load(&c->off_ring.of[i]) >> WHY_BITS);
}

enum gz_off_ring gz_off_process_why(const struct gz_client *c, pid_t pid)
{
	unsigned i = place_of(&c->off_ring, pid);

	if (i == GZ_OFF_PROCESSES)
		return GZ_OFF_UNUSED;
	return (enum gz_off_ring)(atomic_load(&c->off_ring.of[i]) & ((1u << WHY_BITS) - 1));
}

enum gz_off_ring gz_off_errno(int err)
{
	switch (err) {
	case 0:
		return GZ_OFF_NONE;
	case -EPERM:
	case -EACCES:
		return GZ_OFF_TRACED;
	case -ENOEXEC:
		return GZ_OFF_SITE;
	case -EPIPE:
		return GZ_OFF_NO_BROKER;
	case -EEXIST:
	case -ENOMEM:
	case -ENOSPC:
	case -ERANGE:
		return GZ_OFF_NO_ROOM;
	default:
		return GZ_OFF_BUSY;
	}
}

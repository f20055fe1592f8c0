/* SPDX-License-Identifier: BSD-3-Clause
 *
 * buffers.c - How much memory the rings of connections have, beyond the least
 */
#include "engine/client.h"
#include "engine/counters.h"
#include "engine/sock.h"
#include "engine/window.h"
#include "engine/worker.h"

static _Atomic uint64_t buffers; /* bytes beyond GZ_RX_RING and GZ_TX_RING, of all */

bool gz_buffers_take(struct gz_sock *s, uint32_t n)
{
	uint64_t all = (uint64_t)gz_cfg->max_buffers << 20;
	uint64_t then = atomic_fetch_add(&buffers, n) + n;
	uint64_t own = atomic_fetch_add(&s->client->buffers, n) + n;

	if (then <= all && own <= all - then)
		return true;
	gz_buffers_give(s, n);
	gz_count(GZ_C_BUFFERS_REFUSED);
	return false;
}

void gz_buffers_give(struct gz_sock *s, uint32_t n)
{
	atomic_fetch_sub(&buffers, n);
	atomic_fetch_sub(&s->client->buffers, n);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * spread.c - Which worker a packet comes to
 */
#include <string.h>

#include "engine/address.h"
#include "engine/rss.h"
#include "engine/spread.h"
#include "engine/udp.h"
#include "engine/worker.h"

unsigned gz_spread(struct gz_end local, struct gz_end peer)
{
	uint8_t b[36];
	size_t n;

	if (gz_nworkers == 1)
		return 0;
	n = gz_end_put(b, peer);
	n += gz_end_put(b + n, local);
	memcpy(b + n, &peer.port, 2);
	memcpy(b + n + 2, &local.port, 2);
	return gz_rss_queue(gz_rss_bytes(b, (unsigned)n + 4), gz_nworkers);
}

bool gz_spread_is(const struct gz_worker *w, struct gz_end local, struct gz_end peer)
{
	return gz_nworkers == 1 || gz_spread(local, peer) == w->index;
}

/* A group's are with who has joined it. */
static unsigned of_group(const uint8_t *address, bool v4)
{
	struct gz_end group = {0};
	uint32_t four;

	memcpy(&four, address, 4);
	if (v4)
		return gz_udp_sender(gz_end_v4(four, 0))->index;
	memcpy(&group.addr, address, 16);
	return gz_udp_sender(group)->index;
}

unsigned gz_spread_frame(const uint8_t *d, unsigned len)
{
	struct gz_rss r = gz_rss_frame(d, len);
	uint32_t target;

	switch (r.kind) {
	case GZ_RSS_FLOW:
		break;
	case GZ_RSS_ASKED:
		memcpy(&target, r.address, 4);
		if (!gz_addr_is_local(gz_end_v4(target, 0)))
			return GZ_SPREAD_ALL;
		break;
	case GZ_RSS_GROUP4:
	case GZ_RSS_GROUP6:
		return of_group(r.address, r.kind == GZ_RSS_GROUP4);
	case GZ_RSS_ALL:
		return GZ_SPREAD_ALL;
	}
	return gz_rss_queue(r.hash, gz_nworkers);
}

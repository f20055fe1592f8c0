/* SPDX-License-Identifier: BSD-3-Clause
 *
 * black_hole.c - A path that loses what is large and tells nobody
 *
 * Theory of operation.  When the same segment, larger than BASE_MSS, was sent in vain for the
 * first time and three times more, the path is taken for one that large packets do not pass,
 * and segments become smaller (RFC 4821 section 7.7; Linux's tcp_mtu_probing of 1).  An
 * outage looks the same.  So soon after, and then every ten minutes, one segment of the size
 * before is sent (RFC 4821 section 7): if it is acknowledged before anything is missed, that
 * is the size again.  It is written as the large ones of tso.c are, which cuts it at the
 * first sign of a loss.
 */
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#include "engine/black_hole.h"
#include "engine/counters.h"
#include "engine/path.h"
#include "engine/pcb.h"
#include "engine/tso.h"
#include "engine/worker.h"

#define BASE_MSS 1024 /* TCP_BASE_MSS of Linux */
#define TIMEOUTS 3    /* net.ipv4.tcp_retries1 */
#define SOON (5 * GZ_SEC)
#define LATER (600 * GZ_SEC) /* net.ipv4.tcp_probe_interval */

void gz_black_hole_timeout(struct tcp_pcb *p, struct gz_measure *m, uint64_t now)
{
	uint32_t base, pmtu = m->pmtu;
	uint16_t was = p->mss;

	if (p->nrtx < TIMEOUTS || p->state < ESTABLISHED || !p->unacked)
		return;
	base = m->hole.mss ? was / 2 : BASE_MSS;
	if (p->unacked->len <= base || !gz_path_narrow(p, base))
		return;
	gz_count(GZ_C_PATH_BLACK_HOLES);
	if (!m->hole.mss) {
		m->hole.mss = was;
		m->hole.pmtu = pmtu;
	}
	m->hole.at = now + SOON;
	m->hole.probing = false;
}

void gz_black_hole_lost(struct gz_measure *m)
{
	if (!m->hole.probing)
		return;
	m->hole.probing = false;
	m->hole.at = gz_worker.now + LATER;
}

/* It came through, and nothing was missed. */
static void widen(struct tcp_pcb *p, struct gz_measure *m)
{
	p->mss = m->hole.mss;
	m->pmtu = m->hole.pmtu;
	m->hole.mss = 0;
	m->hole.probing = false;
	gz_count(GZ_C_PATH_WIDENED);
}

uint32_t gz_black_hole_probe(struct tcp_pcb *p, struct gz_measure *m, bool *wait)
{
	uint32_t most;

	*wait = false;
	if (m->hole.probing && TCP_SEQ_GEQ(p->lastack, m->hole.end))
		widen(p, m);
	if (!m->hole.mss || m->hole.probing || gz_worker.now < m->hole.at || p->nrtx || p->dupacks)
		return 0;
	most = m->hole.mss - (uint32_t)(p->mss - tcp_mss(p));
	/* It goes at once: lwIP does not write behind a segment that is larger than others. */
	if (!p->unsent && p->snd_buf >= most && gz_tso_fits(p, most) == most)
		return most;
	*wait = p->unacked && LWIP_MIN(p->snd_wnd, p->cwnd) >= most;
	return 0;
}

void gz_black_hole_sent(struct tcp_pcb *p, struct gz_measure *m)
{
	m->hole.probing = true;
	m->hole.end = p->snd_lbb;
	tcp_output(p);
	if (p->unsent)
		gz_tso_cut(p);
}

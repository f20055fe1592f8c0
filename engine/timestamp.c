/* SPDX-License-Identifier: BSD-3-Clause
 *
 * timestamp.c - TCP's timestamps option (RFC 7323)
 *
 * Theory of operation.  lwIP offers the option, remembers the peer's clock and sends
 * it back.  It does no more with it, so here is the rest:
 *
 *   PAWS	a segment whose clock is behind the last one's is an old duplicate, and is
 *		dropped (section 5); not a RST
 *   RTTM	TSecr times what was sent twice, of which segment.c knows nothing (section 4)
 *   the clock	milliseconds, from an offset of each pair of hosts, so that it tells nobody
 *		how long the machine is up (section 5.4) and still never goes back
 *   each one	lwIP forgets the option in its probes and RSTs; a peer may drop a segment
 *		without (section 3.2)
 *
 * tcp.timestamps: false makes NOPs of the option in our SYN, and forgets the peer's.
 */
#include <string.h>

#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#include "engine/segment.h"
#include "engine/timestamp.h"
#include "engine/worker.h"

#define DAY (86400ull * 1000000000u)
#define VALID (24 * DAY) /* RFC 7323 section 5.5 */
#define MS 1000000ull
#define HEAD PP_HTONL(0x0101080aUL) /* NOP, NOP, kind, length: as everybody sends it */
#define NOPS 0x01010101u
#define LEN 12u

/* Of the round: a system's clock for each segment would cost as much as the rest. */
static uint32_t milliseconds(void)
{
	return (uint32_t)(gz_worker.now / MS);
}

static bool wanted(void)
{
	return gz_cfg->tcp_timestamps;
}

bool gz_timestamp_find(const struct tcp_hdr *h, uint32_t *val, uint32_t *ecr)
{
	const uint8_t *o = gz_segment_option(h, LWIP_TCP_OPT_TS);
	uint32_t v[2];

	if (!o || o[1] != LWIP_TCP_OPT_LEN_TS)
		return false;
	memcpy(v, o + 2, sizeof(v));
	*val = lwip_ntohl(v[0]);
	*ecr = lwip_ntohl(v[1]);
	return true;
}

void gz_timestamp_negotiated(struct tcp_pcb *pcb)
{
	if (!wanted())
		tcp_clear_flags(pcb, TF_TIMESTAMP);
}

bool gz_timestamp_is_old(const struct tcp_pcb *pcb, struct gz_measure *m, uint64_t now)
{
	struct gz_stamps *s = &m->stamps;

	if (!(pcb->flags & TF_TIMESTAMP) || !s->here)
		return false;
	if (!s->at)
		s->at = now; /* the SYN's, a moment ago */
	/* What an idle peer said last is no measure after half a turn of its clock. */
	if (TCP_SEQ_LT(s->val, pcb->ts_recent) && now - s->at < VALID)
		return true;
	s->at = now;
	return false;
}

uint64_t gz_timestamp_rtt(const struct tcp_pcb *pcb, struct gz_measure *m, uint32_t ackno)
{
	struct gz_stamps *s = &m->stamps;
	uint32_t ms;

	if (!s->resent || !s->here || !s->ecr || !(pcb->flags & TF_TIMESTAMP) ||
	    !TCP_SEQ_GT(ackno, pcb->lastack))
		return 0;
	s->resent = false;
	ms = milliseconds() + s->offset - s->ecr;
	if (ms > INT32_MAX)
		return 0; /* it never was our clock */
	return (ms ? ms : 1) * MS;
}

bool gz_timestamp_is_older(const struct tcp_pcb *pcb, const struct gz_measure *m, uint32_t us)
{
	const struct gz_stamps *s = &m->stamps;
	uint32_t then = milliseconds() + s->offset - (us + 999) / 1000;

	return s->here && pcb->flags & TF_TIMESTAMP && (int32_t)(s->ecr - then) < 0;
}

/* --- out ----------------------------------------------------------------- */

/*
 * gz_timestamp_room() - LWIP_HOOK_TCP_OUT_TCPOPT_LENGTH
 *
 * @len: of lwIP's own options, but for SACK; 0 in what it sends without the one of ours
 */
uint8_t gz_timestamp_room(const struct tcp_pcb *pcb, uint8_t len)
{
	return !len && pcb && pcb->state != LISTEN && pcb->flags & TF_TIMESTAMP ? LEN : len;
}

static uint32_t clock_of(const struct tcp_pcb *pcb, struct gz_measure *m)
{
	if (!m)
		return milliseconds() + gz_tcp_ts_offset(&pcb->local_ip, &pcb->remote_ip);
	if (!m->stamps.has_offset) {
		m->stamps.offset = gz_tcp_ts_offset(&pcb->local_ip, &pcb->remote_ip);
		m->stamps.has_offset = true;
	}
	return milliseconds() + m->stamps.offset;
}

uint32_t *gz_timestamp_out(const struct tcp_pcb *pcb, struct gz_measure *m, const struct pbuf *p,
			   struct tcp_hdr *h, uint32_t *opts)
{
	unsigned len = TCPH_HDRLEN_BYTES(h);
	uint32_t *o = (uint32_t *)(void *)(h + 1);
	uint8_t *end = (uint8_t *)h + len;

	if ((uint8_t *)opts < end) { /* gz_timestamp_room() */
		/* A probe's byte: tcp_zero_window_probe() puts it where options begin. */
		if (p->tot_len > len)
			*end = *(uint8_t *)o;
		opts[0] = HEAD;
		opts[1] = lwip_htonl(clock_of(pcb, m));
		opts[2] = lwip_htonl(pcb->ts_recent);
		return opts + 3;
	}
	if (TCPH_FLAGS(h) & TCP_SYN)
		o++; /* the MSS is first */
	if (opts - o < 3 || *o != HEAD)
		return opts;
	if (wanted())
		o[1] = lwip_htonl(clock_of(pcb, m));
	else
		o[0] = o[1] = o[2] = NOPS;
	return opts;
}

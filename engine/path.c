/* SPDX-License-Identifier: BSD-3-Clause
 *
 * path.c - What ICMP tells of the way of a connection
 *
 * Theory of operation.  An error quotes the packet that it is about.  It is believed
 * if the numbers in it are of a connection, and its sequence number is one that is
 * under way: who does not see the packets has to guess it (RFC 5927 section 4).  In
 * SYN_SENT an unreachable ends the attempt, later it is a hint and no more
 * (tcp_v4_err()).  A packet that was too big makes the segments of that connection
 * smaller, for its life, and what was under way is sent again at once (RFC 1191,
 * RFC 8201); to be told of it, all TCP over IPv4 forbids fragments.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "lwip/icmp.h"
#include "lwip/icmp6.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

#include "engine/counters.h"
#include "engine/end.h"
#include "engine/inner.h"
#include "engine/path.h"
#include "engine/pcb.h"
#include "engine/recovery.h"
#include "engine/worker.h"

#define MTU4_MIN 552  /* net.ipv4.route.min_pmtu; below, fragments are allowed */
#define MTU6_MIN 1280 /* RFC 8200 section 5 */
#define FRAG_NEEDED 4

/* icmp_err_convert[] of net/ipv4/icmp.c, without those that are hints only */
static int errno4(const struct gz_icmp *e)
{
	static const int unreachable[] = {ENETUNREACH,	EHOSTUNREACH, ENOPROTOOPT,  ECONNREFUSED,
					  EMSGSIZE,	EOPNOTSUPP,   ENETUNREACH,  EHOSTDOWN,
					  ENONET,	ENETUNREACH,  EHOSTUNREACH, ENETUNREACH,
					  EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH};

	if (e->type == ICMP_TE)
		return EHOSTUNREACH;
	if (e->type == ICMP_PP)
		return EPROTO;
	if (e->type != ICMP_DUR || e->code >= sizeof(unreachable) / sizeof(unreachable[0]))
		return 0;
	return unreachable[e->code];
}

/* icmpv6_err_convert() of net/ipv6/icmp.c; 0: no error for a connection */
static int errno6(const struct gz_icmp *e)
{
	static const int unreachable[] = {ENETUNREACH,	EACCES, EHOSTUNREACH, EHOSTUNREACH,
					  ECONNREFUSED, EACCES, EACCES};

	if (e->type == ICMP6_TYPE_TE)
		return EHOSTUNREACH;
	if (e->type != ICMP6_TYPE_DUR)
		return 0;
	return e->code < sizeof(unreachable) / sizeof(unreachable[0]) ? unreachable[e->code]
								      : EPROTO;
}

static uint32_t headers(bool v6)
{
	return (v6 ? IP6_HLEN : IP_HLEN) + TCP_HLEN;
}

/* Return: segments are smaller now */
static bool narrow(struct tcp_pcb *p, uint32_t mtu, bool v6)
{
	struct gz_measure *m = &gz_stack_flow(p)->measure;
	uint32_t mss = mtu - headers(v6);

	if (mss >= p->mss)
		return false;
	m->pmtu = mtu;
	m->large = true;
	p->mss = (u16_t)mss;
	return true;
}

bool gz_path_narrow(struct tcp_pcb *p, uint32_t mss)
{
	bool v6 = IP_IS_V6_VAL(p->remote_ip);

	return narrow(p, LWIP_MAX(mss + headers(v6), (uint32_t)MTU4_MIN), v6);
}

static void shrink(struct tcp_pcb *p, uint32_t mtu, bool v6)
{
	struct gz_measure *m = &gz_stack_flow(p)->measure;
	uint32_t least = v6 ? MTU6_MIN : MTU4_MIN;

	if (mtu < least) {
		m->fragments = !v6;
		mtu = least;
	}
	if (!narrow(p, mtu, v6))
		return;
	gz_count(GZ_C_PATH_MTU);
	m->hole.mss = 0; /* it is known how wide it is */
	if (p->state >= ESTABLISHED)
		gz_recovery_resize(p);
}

bool gz_path_error(struct gz_end local, struct gz_end peer, uint32_t seq, const struct gz_icmp *e)
{
	bool v6 = !gz_end_is_v4(peer);
	struct gz_flow *f = gz_pcb_find(local, peer);
	int error;

	if (!f)
		return false;
	GZ_PCB_SCOPE(p, f);
	if (p->state == TIME_WAIT ||
	    (p->state == SYN_SENT ? seq != p->lastack
				  : TCP_SEQ_LT(seq, p->lastack) || TCP_SEQ_GEQ(seq, p->snd_nxt)))
		return false;
	if (v6 ? e->type == ICMP6_TYPE_PTB : e->type == ICMP_DUR && e->code == FRAG_NEEDED) {
		shrink(p, v6 ? e->info : e->info & 0xffff, v6);
		return true;
	}
	error = v6 ? errno6(e) : errno4(e);
	if (error && f->sock && p->state == SYN_SENT) {
		gz_relay_failed(f->sock->worker, f->sock, error);
		gz_stack_abort(f->sock);
	}
	return true;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * message.c - Control messages of datagrams that go by the rings
 *
 * A head has what IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, their kin of IPv6 and SO_TIMESTAMP tell of
 * what came, whether that was asked for before it came or after.  Of what is sent it has the
 * source, TTL and TOS.  Anything else, and what the kernel would refuse, is the engine's.
 */
#include <netinet/in.h>
#include <netinet/ip.h>
#include <sys/socket.h>

#include "launcher/agent/agent.h"

#define CONTROL_MAX 1024

/* --- receiving ------------------------------------------------------------------------- */

/* As put_cmsg() of net/core/scm.c, which says nothing of memory that is bad */
static void put_control(struct control *c, int level, int type, const void *data, uint64_t len)
{
	struct cmsghdr h = {.cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type};
	uint64_t space = CMSG_SPACE(len);

	if (!c->at || c->left < sizeof(h)) {
		c->flags |= MSG_CTRUNC;
		return;
	}
	if (c->left < h.cmsg_len) {
		c->flags |= MSG_CTRUNC;
		h.cmsg_len = c->left;
	}
	if (!in_space(c->at, h.cmsg_len) || !is_memory(c->at, h.cmsg_len, MAY_WRITE))
		return;
	copy((void *)c->at, &h, sizeof(h));
	copy((void *)(c->at + sizeof(h)), data, h.cmsg_len - sizeof(h));
	if (space > c->left)
		space = c->left;
	c->at += space;
	c->left -= space;
}

/* __sock_recv_timestamp() of net/socket.c; @ns of CLOCK_REALTIME */
static void put_time(struct control *c, uint32_t type, uint64_t ns)
{
	uint64_t t[2] = {ns / 1000000000, ns % 1000000000};

	if (type == SO_TIMESTAMP_OLD || type == SO_TIMESTAMP_NEW)
		t[1] /= 1000;
	put_control(c, SOL_SOCKET, (int)type, t, sizeof(t));
}

/* In the order of udpv6_recvmsg(), ip_cmsg_recv_offset() and ip6_datagram_recv_ctl() */
void tell_control(const struct gz_dgram_slot *d, const struct gz_dgram_head *h, struct control *c)
{
	uint32_t want = __atomic_load_n(&d->control, __ATOMIC_RELAXED);
	uint32_t stamp = __atomic_load_n(&d->stamp, __ATOMIC_RELAXED);
	int index = h->flags & GZ_DGRAM_LO ? 1 : GZ_DGRAM_INDEX + h->iface, v;

	if (stamp)
		put_time(c, stamp, h->at);
	if (want & GZ_CONTROL_PKTINFO6) {
		struct in6_pktinfo info = {.ipi6_ifindex = (uint32_t)index};

		__builtin_memcpy(&info.ipi6_addr, h->local, 16);
		put_control(c, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	}
	if (is_mapped(h->local)) {
		if (want & GZ_CONTROL_PKTINFO) {
			struct in_pktinfo info = {.ipi_ifindex = index,
						  .ipi_spec_dst.s_addr = h->local_scope};

			__builtin_memcpy(&info.ipi_addr, h->local + 12, 4);
			put_control(c, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
		}
		v = h->ttl;
		if (want & GZ_CONTROL_TTL)
			put_control(c, IPPROTO_IP, IP_TTL, &v, sizeof(v));
		if (want & GZ_CONTROL_TOS)
			put_control(c, IPPROTO_IP, IP_TOS, &h->tos, sizeof(h->tos));
		return;
	}
	v = h->ttl;
	if (want & GZ_CONTROL_HOPS)
		put_control(c, IPPROTO_IPV6, IPV6_HOPLIMIT, &v, sizeof(v));
	v = h->tos;
	if (want & GZ_CONTROL_CLASS)
		put_control(c, IPPROTO_IPV6, IPV6_TCLASS, &v, sizeof(v));
}

/* --- sending ---------------------------------------------------------------------------- */

/* The interface @index, 0: as routes say.  Of others than where it is known to lead to where the
 * datagram goes the engine says. */
static bool take_iface(struct gz_dgram_slot *d, uint32_t index, struct gz_dgram_head *h)
{
	const struct gz_dgram_end *k = h->flags & GZ_DGRAM_TO ? known_end(d, &h->end) : NULL;
	uint32_t iface = index - GZ_DGRAM_INDEX;

	if (!index)
		return true;
	if (iface >= d->ifaces || !k || k->used >> 1 != iface + 1)
		return false;
	h->iface = (uint16_t)iface;
	h->flags |= GZ_DGRAM_BY;
	return true;
}

/* An address of ours, @v4 in its mapped form; any: the stack chooses.  @index: an interface */
static bool take_source(struct gz_dgram_slot *d, const uint8_t addr[16], bool v4, uint32_t index,
			struct gz_dgram_head *h)
{
	uint64_t a[2], own[2];

	__builtin_memcpy(a, addr, 16);
	if (is_mapped(addr) != v4 || !take_iface(d, index, h))
		return false;
	if (!a[0] && (!a[1] || a[1] == 0xffff0000))
		return true;
	for (uint32_t k = 0; k < GZ_DGRAM_OWN; k++) {
		__builtin_memcpy(own, d->own[k], 16);
		if (own[0] == a[0] && own[1] == a[1]) {
			__builtin_memcpy(h->local, addr, 16);
			h->flags |= GZ_DGRAM_FROM;
			return true;
		}
	}
	return false;
}

static bool take_ttl(int v, struct gz_dgram_head *h)
{
	h->ttl = (uint8_t)v;
	h->flags |= GZ_DGRAM_TTL;
	return v > 0 && v <= 255;
}

static bool take_tos(int v, struct gz_dgram_head *h)
{
	h->tos = (uint8_t)v;
	h->flags |= GZ_DGRAM_TOS;
	return v >= 0 && v <= 255;
}

/* One of @len bytes at @at */
static bool take_control(struct gz_dgram_slot *d, const struct cmsghdr *c, uint64_t at,
			 uint64_t len, bool v4, struct gz_dgram_head *h)
{
	struct in6_pktinfo info6;
	struct in_pktinfo info;
	uint8_t addr[16] = {[10] = 0xff, 0xff};
	int v = 0;

	if (len == sizeof(v))
		__builtin_memcpy(&v, (const void *)at, sizeof(v));
	/* ip_cmsg_send(): an IPv6 socket may say so of IPv4 as well. */
	if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO && len == sizeof(info6) &&
	    d->family == AF_INET6) {
		__builtin_memcpy(&info6, (const void *)at, sizeof(info6));
		return take_source(d, info6.ipi6_addr.s6_addr, v4, info6.ipi6_ifindex, h);
	}
	if (c->cmsg_level != (v4 ? IPPROTO_IP : IPPROTO_IPV6))
		return false;
	if (v4 && c->cmsg_type == IP_PKTINFO && len == sizeof(info)) {
		__builtin_memcpy(&info, (const void *)at, sizeof(info));
		__builtin_memcpy(addr + 12, &info.ipi_spec_dst, 4);
		return take_source(d, addr, true, (uint32_t)info.ipi_ifindex, h);
	}
	if (len != sizeof(v))
		return false;
	if (c->cmsg_type == (v4 ? IP_TTL : IPV6_HOPLIMIT))
		return take_ttl(v, h);
	return c->cmsg_type == (v4 ? IP_TOS : IPV6_TCLASS) && take_tos(v, h);
}

bool read_control(struct gz_dgram_slot *d, const struct msghdr *m, bool v4, struct gz_dgram_head *h)
{
	uint64_t at = (uint64_t)m->msg_control, left = m->msg_controllen, n;
	struct cmsghdr c;

	if (left > CONTROL_MAX || !in_space(at, left) || !is_memory(at, left, MAY_READ))
		return false;
	while (left >= sizeof(c)) {
		__builtin_memcpy(&c, (const void *)at, sizeof(c));
		if (c.cmsg_len < sizeof(c) || c.cmsg_len > left ||
		    !take_control(d, &c, at + sizeof(c), c.cmsg_len - sizeof(c), v4, h))
			return false;
		n = CMSG_ALIGN(c.cmsg_len);
		if (n >= left)
			break;
		at += n;
		left -= n;
	}
	return true;
}

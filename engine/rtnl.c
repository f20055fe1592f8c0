/* SPDX-License-Identifier: BSD-3-Clause
 *
 * rtnl.c - rtnetlink: requests that concern the stack's interfaces, and the records
 *
 * As net/core/rtnetlink.c and net/ipv4/devinet.c have them: RTM_GETLINK and RTM_GETADDR,
 * as a dump or for one interface by index or name; RTM_GETROUTE is in rtnl_route.c.  Without
 * NETLINK_GET_STRICT_CHK the kernel takes nothing but the family of a dump's header for a filter.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <string.h>

#include "engine/counters.h"
#include "engine/iface.h"
#include "engine/ipv6.h"
#include "engine/link.h"
#include "engine/neigh.h"
#include "engine/netlink.h"
#include "engine/own4.h"
#include "engine/rtnl.h"
#include "engine/rtnl_put.h"
#include "engine/worker.h"

#ifndef IFF_LOWER_UP
#define IFF_LOWER_UP 0x10000 /* linux/if.h, which net/if.h excludes */
#endif
#define OPER_DOWN 2 /* IF_OPER_DOWN, RFC 2863 */
#define OPER_UP 6

/* --- requests ------------------------------------------------------------ */

/* GET is the third of the four kinds of each object. */
static bool is_get(const struct nlmsghdr *h)
{
	return h->nlmsg_type >= RTM_BASE && (h->nlmsg_type & 3) == (RTM_GETLINK & 3);
}

static bool is_dump(const struct nlmsghdr *h)
{
	return (h->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
}

static size_t header_len(const struct nlmsghdr *h)
{
	if (h->nlmsg_type == RTM_GETROUTE)
		return sizeof(struct rtmsg);
	return h->nlmsg_type == RTM_GETLINK ? sizeof(struct ifinfomsg) : sizeof(struct ifaddrmsg);
}

const struct rtattr *gz_rtnl_attribute(const struct nlmsghdr *h, size_t fixed, unsigned type)
{
	size_t skip = NLMSG_LENGTH(NLMSG_ALIGN(fixed));
	const struct rtattr *a = (const struct rtattr *)((const char *)h + skip);
	int left = h->nlmsg_len > skip ? (int)(h->nlmsg_len - skip) : 0; /* may pass below 0 */

	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if ((a->rta_type & NLA_TYPE_MASK) == type)
			return a;
	return NULL;
}

/* The family is the first byte of every header. */
static uint8_t family_of(const struct nlmsghdr *h)
{
	return h->nlmsg_len > NLMSG_HDRLEN ? *(const uint8_t *)NLMSG_DATA(h) : AF_UNSPEC;
}

/* The interface that the header names; 0: none */
static int index_of(const struct nlmsghdr *h)
{
	struct ifinfomsg link;
	struct ifaddrmsg addr;

	if (h->nlmsg_len < NLMSG_LENGTH(header_len(h)))
		return 0;
	if (h->nlmsg_type == RTM_GETROUTE)
		return gz_rtnl_route_index(h);
	if (h->nlmsg_type == RTM_GETADDR) {
		memcpy(&addr, NLMSG_DATA(h), sizeof(addr));
		return (int)addr.ifa_index;
	}
	memcpy(&link, NLMSG_DATA(h), sizeof(link));
	return link.ifi_index;
}

/* Whose interface it names; NULL: none of the stack's */
static const struct gz_port *names_own(const struct nlmsghdr *h)
{
	static const unsigned names[] = {IFLA_IFNAME, IFLA_ALT_IFNAME};

	if (h->nlmsg_type != RTM_GETLINK)
		return NULL;
	for (unsigned i = 0; i < 2; i++) {
		const struct rtattr *a = gz_rtnl_attribute(h, sizeof(struct ifinfomsg), names[i]);

		for (unsigned k = 0; a && k < gz_nports; k++) {
			char name[IFNAMSIZ];
			size_t n = strlen(gz_iface_name(&gz_ports[k], name));

			if (RTA_PAYLOAD(a) >= n && !strncmp(RTA_DATA(a), name, RTA_PAYLOAD(a)))
				return &gz_ports[k];
		}
	}
	return NULL;
}

/* The port whose interface RTM_GETLINK or RTM_GETADDR is about; NULL: none, or all */
static const struct gz_port *named_by(const struct nlmsghdr *h)
{
	int index = h->nlmsg_type == RTM_GETLINK || h->nlmsg_type == RTM_GETADDR ? index_of(h) : 0;

	return index ? gz_iface_by_index(index) : names_own(h);
}

/* A dump of some interfaces only: those below a master, of a kind. */
static bool is_narrow(const struct nlmsghdr *h)
{
	return h->nlmsg_type == RTM_GETLINK &&
	       (gz_rtnl_attribute(h, sizeof(struct ifinfomsg), IFLA_MASTER) ||
		gz_rtnl_attribute(h, sizeof(struct ifinfomsg), IFLA_LINKINFO));
}

static bool knows_family(const struct nlmsghdr *h)
{
	uint8_t f = family_of(h);

	return f == AF_UNSPEC || f == AF_INET || f == AF_INET6 ||
	       (f == AF_PACKET && h->nlmsg_type == RTM_GETLINK);
}

static enum gz_rtnl_what ask_neighbours(const struct nlmsghdr *h)
{
	int index = knows_family(h) ? gz_rtnl_neigh_index(h, is_dump(h)) : -1;

	if (!index)
		return GZ_RTNL_JOIN;
	return gz_iface_by_index(index) ? GZ_RTNL_OWN : GZ_RTNL_KERNEL;
}

enum gz_rtnl_what gz_rtnl_ask(const struct nlmsghdr *h, bool strict)
{
	int index;

	if (h->nlmsg_type == RTM_GETNEIGH)
		return ask_neighbours(h);
	if ((h->nlmsg_type != RTM_GETLINK && h->nlmsg_type != RTM_GETADDR &&
	     h->nlmsg_type != RTM_GETROUTE) ||
	    !knows_family(h) || !gz_rtnl_may_stay(h))
		return GZ_RTNL_KERNEL;
	index = index_of(h);
	if (!is_dump(h)) {
		if (h->nlmsg_type == RTM_GETROUTE)
			return gz_rtnl_route_own(h) ? GZ_RTNL_OWN : GZ_RTNL_KERNEL;
		/* RTM_GETADDR of IPv4 is a dump or nothing (inet_rtnl_doit). */
		if (h->nlmsg_type != RTM_GETLINK)
			return GZ_RTNL_KERNEL;
		return gz_iface_by_index(index) || (!index && names_own(h)) ? GZ_RTNL_OWN
									    : GZ_RTNL_KERNEL;
	}
	if (is_narrow(h))
		return GZ_RTNL_KERNEL;
	if (!strict || !index)
		return GZ_RTNL_JOIN;
	return gz_iface_by_index(index) ? GZ_RTNL_OWN : GZ_RTNL_KERNEL;
}

bool gz_rtnl_may_stay(const struct nlmsghdr *h)
{
	if (h->nlmsg_type < RTM_BASE)
		return true; /* a no-op */
	/* RTM_GETNSID names a namespace by a process or descriptor: of who asks. */
	if (!is_get(h) || h->nlmsg_type == RTM_GETNSID)
		return false;
	return !(h->nlmsg_type == RTM_GETLINK &&
		 (gz_rtnl_attribute(h, sizeof(struct ifinfomsg), IFLA_TARGET_NETNSID) ||
		  gz_rtnl_attribute(h, sizeof(struct ifinfomsg), IFLA_NET_NS_PID) ||
		  gz_rtnl_attribute(h, sizeof(struct ifinfomsg), IFLA_NET_NS_FD))) &&
	       !(h->nlmsg_type == RTM_GETADDR &&
		 gz_rtnl_attribute(h, sizeof(struct ifaddrmsg), IFA_TARGET_NETNSID));
}

bool gz_rtnl_is_anybodys(const struct nlmsghdr *h)
{
	switch (h->nlmsg_type) {
	case RTM_NEWADDR:
	case RTM_DELADDR:
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
	case RTM_NEWRULE:
	case RTM_DELRULE:
	case RTM_DELROUTE:
		return true;
	case RTM_NEWROUTE: /* an encapsulation may name a BPF program by a descriptor */
		return !gz_rtnl_attribute(h, sizeof(struct rtmsg), RTA_ENCAP) &&
		       !gz_rtnl_attribute(h, sizeof(struct rtmsg), RTA_MULTIPATH);
	default:
		return false;
	}
}

/* --- records ------------------------------------------------------------- */

void *gz_rtnl_put(struct gz_rtnl *b, size_t n)
{
	void *p = b->data + b->len;

	memset(p, 0, NLMSG_ALIGN(n));
	b->len += NLMSG_ALIGN(n);
	return p;
}

struct nlmsghdr *gz_rtnl_begin(struct gz_rtnl *b, const struct nlmsghdr *request, uint16_t type,
			       uint16_t flags, uint32_t pid)
{
	struct nlmsghdr *h = gz_rtnl_put(b, sizeof(*h));

	h->nlmsg_type = type;
	h->nlmsg_flags = flags;
	h->nlmsg_seq = request->nlmsg_seq;
	h->nlmsg_pid = pid;
	return h;
}

void gz_rtnl_finish(struct gz_rtnl *b, struct nlmsghdr *h)
{
	h->nlmsg_len = (uint32_t)(b->data + b->len - (uint8_t *)h);
}

void gz_rtnl_attr(struct gz_rtnl *b, unsigned short type, const void *value, size_t n)
{
	struct rtattr *a = gz_rtnl_put(b, RTA_LENGTH(n));

	a->rta_len = (unsigned short)RTA_LENGTH(n);
	a->rta_type = type;
	memcpy(RTA_DATA(a), value, n);
}

void gz_rtnl_attr32(struct gz_rtnl *b, unsigned short type, uint32_t v)
{
	gz_rtnl_attr(b, type, &v, sizeof(v));
}

static void attr8(struct gz_rtnl *b, unsigned short type, uint8_t v)
{
	gz_rtnl_attr(b, type, &v, sizeof(v));
}

static void stats(struct gz_rtnl *b, const struct gz_port *p)
{
	struct rtnl_link_stats64 s = {
	    .rx_packets = gz_counter_of_port(p, GZ_C_PORT_RX),
	    .tx_packets = gz_counter_of_port(p, GZ_C_PORT_TX),
	    .rx_bytes = gz_counter_of_port(p, GZ_C_PORT_RX_BYTES),
	    .tx_bytes = gz_counter_of_port(p, GZ_C_PORT_TX_BYTES),
	    .rx_errors = gz_counter_of_port(p, GZ_C_PORT_MALFORMED),
	    .tx_dropped = gz_counter_of_port(p, GZ_C_PORT_TX_DROPPED),
	};
	/* The older form is the same with numbers of 32 bits, and shorter. */
	uint32_t old[sizeof(struct rtnl_link_stats) / sizeof(uint32_t)];
	const uint64_t *wide = (const uint64_t *)&s;

	for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++)
		old[i] = (uint32_t)wide[i];
	gz_rtnl_attr(b, IFLA_STATS64, &s, sizeof(s));
	gz_rtnl_attr(b, IFLA_STATS, old, sizeof(old));
}

static void link_record(struct gz_rtnl *b, const struct nlmsghdr *request, uint16_t flags,
			uint32_t pid, const struct gz_port *p)
{
	struct nlmsghdr *h = gz_rtnl_begin(b, request, RTM_NEWLINK, flags, pid);
	uint8_t family = family_of(request);
	struct ifinfomsg *i = gz_rtnl_put(b, sizeof(*i));
	bool up = gz_link_is_up(p);
	char name[IFNAMSIZ];
	static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	/* IPv6 has a dump of its own, the other families have none. */
	i->ifi_family = family == AF_INET6 ? AF_INET6 : AF_UNSPEC;
	i->ifi_type = ARPHRD_ETHER;
	i->ifi_index = gz_iface_index(p);
	i->ifi_flags = IFF_UP | IFF_BROADCAST | IFF_MULTICAST;
	if (up)
		i->ifi_flags |= IFF_RUNNING | IFF_LOWER_UP;
	gz_iface_name(p, name);
	gz_rtnl_attr(b, IFLA_IFNAME, name, strlen(name) + 1);
	attr8(b, IFLA_OPERSTATE, up ? OPER_UP : OPER_DOWN);
	gz_rtnl_attr32(b, IFLA_MTU, p->mtu);
	gz_rtnl_attr(b, IFLA_ADDRESS, p->mac.addr_bytes, 6);
	if (family != AF_INET6) {
		gz_rtnl_attr32(b, IFLA_TXQLEN, 1000);
		attr8(b, IFLA_LINKMODE, 0);
		gz_rtnl_attr32(b, IFLA_GROUP, 0);
		attr8(b, IFLA_CARRIER, up);
		gz_rtnl_attr32(b, IFLA_CARRIER_CHANGES, gz_link_changes(p));
		gz_rtnl_attr(b, IFLA_BROADCAST, everybody, sizeof(everybody));
		stats(b, p);
	}
	gz_rtnl_finish(b, h);
}

/* @valid: seconds, UINT32_MAX: for ever */
static void address(struct gz_rtnl *b, const struct nlmsghdr *request, uint16_t type, uint32_t pid,
		    const struct gz_port *port, uint8_t family, uint8_t len, const void *addr,
		    size_t n, const uint32_t *broadcast, uint32_t valid)
{
	struct nlmsghdr *h =
	    gz_rtnl_begin(b, request, type, request->nlmsg_len ? NLM_F_MULTI : 0, pid);
	struct ifa_cacheinfo cache = {.ifa_prefered = valid, .ifa_valid = valid};
	uint8_t flags = valid == UINT32_MAX ? IFA_F_PERMANENT : 0;
	struct ifaddrmsg *a = gz_rtnl_put(b, sizeof(*a));
	char name[IFNAMSIZ];

	a->ifa_family = family;
	a->ifa_prefixlen = len;
	a->ifa_flags = flags;
	a->ifa_scope = RT_SCOPE_UNIVERSE;
	a->ifa_index = (unsigned)gz_iface_index(port);
	gz_rtnl_attr(b, IFA_ADDRESS, addr, n);
	if (family == AF_INET) {
		gz_rtnl_attr(b, IFA_LOCAL, addr, n);
		if (broadcast)
			gz_rtnl_attr(b, IFA_BROADCAST, broadcast, sizeof(*broadcast));
		gz_iface_name(port, name);
		gz_rtnl_attr(b, IFA_LABEL, name, strlen(name) + 1);
	}
	gz_rtnl_attr32(b, IFA_FLAGS, flags);
	gz_rtnl_attr(b, IFA_CACHEINFO, &cache, sizeof(cache));
	gz_rtnl_finish(b, h);
}

static void address4(struct gz_rtnl *b, const struct nlmsghdr *request, uint16_t type, uint32_t pid,
		     const struct gz_own4 *own, unsigned i)
{
	const struct gz_prefix4 *p = &own->addr[i];
	uint32_t last = p->addr | ~gz_own4_mask(p->len);

	address(b, request, type, pid, &gz_ports[own->port[i]], AF_INET, p->len, &p->addr,
		sizeof(p->addr), p->len < 31 ? &last : NULL, gz_own4_valid(own->port[i]));
}

void gz_rtnl_records(struct gz_rtnl *b, const struct nlmsghdr *request, bool strict, uint32_t pid)
{
	const struct gz_own4 *own = gz_own4();
	struct gz_own6_addr v6[GZ_OWN6_MAX];
	const struct gz_port *only = strict ? named_by(request) : NULL;
	uint8_t family = family_of(request);
	unsigned n;

	if (request->nlmsg_type == RTM_GETLINK) {
		for (unsigned i = 0; i < gz_nports; i++)
			if (!only || only == &gz_ports[i])
				link_record(b, request, NLM_F_MULTI, pid, &gz_ports[i]);
		return;
	}
	if (request->nlmsg_type == RTM_GETROUTE) {
		gz_rtnl_routes(b, request, strict, pid);
		return;
	}
	if (request->nlmsg_type == RTM_GETNEIGH) {
		gz_rtnl_neighs(b, request, pid);
		return;
	}
	for (unsigned i = 0; family != AF_INET6 && i < own->n; i++)
		if (!only || only == &gz_ports[own->port[i]])
			address4(b, request, RTM_NEWADDR, pid, own, i);
	n = family == AF_INET ? 0 : gz_ipv6_list(v6);
	for (unsigned i = 0; i < n; i++)
		if (!only || only == &gz_ports[v6[i].port])
			address(b, request, RTM_NEWADDR, pid, &gz_ports[v6[i].port], AF_INET6,
				v6[i].network, &v6[i].addr, sizeof(v6[i].addr), NULL, UINT32_MAX);
}

void gz_rtnl_error(struct gz_rtnl *b, const struct nlmsghdr *request, int error, uint32_t pid)
{
	struct nlmsghdr *h = gz_rtnl_begin(b, request, NLMSG_ERROR, NLM_F_CAPPED, pid);
	struct nlmsgerr e = {.error = error, .msg = *request};

	memcpy(gz_rtnl_put(b, sizeof(e)), &e, sizeof(e));
	gz_rtnl_finish(b, h);
}

static const struct nlmsghdr nobody; /* whose request a change is */

void gz_rtnl_tell_link(const struct gz_port *p)
{
	struct gz_rtnl b = {0};

	link_record(&b, &nobody, 0, 0, p);
	gz_netlink_tell(RTNLGRP_LINK, b.data, b.len);
}

void gz_rtnl_tell_address4(const struct gz_own4 *own, unsigned i, bool there)
{
	struct gz_rtnl b = {0};

	address4(&b, &nobody, there ? RTM_NEWADDR : RTM_DELADDR, 0, own, i);
	gz_netlink_tell(RTNLGRP_IPV4_IFADDR, b.data, b.len);
}

void gz_rtnl_tell_address6(const struct in6_addr *a, unsigned len, const struct gz_port *p,
			   bool there)
{
	struct gz_rtnl b = {0};

	address(&b, &nobody, there ? RTM_NEWADDR : RTM_DELADDR, 0, p, AF_INET6, (uint8_t)len, a,
		sizeof(*a), NULL, UINT32_MAX);
	gz_netlink_tell(RTNLGRP_IPV6_IFADDR, b.data, b.len);
}

void gz_rtnl_answer(struct gz_rtnl *b, const struct nlmsghdr *request, bool strict, uint32_t pid)
{
	struct nlmsghdr *h;

	if (is_dump(request)) {
		gz_rtnl_records(b, request, strict, pid);
		h = gz_rtnl_begin(b, request, NLMSG_DONE, NLM_F_MULTI, pid);
		gz_rtnl_put(b, sizeof(int));
		gz_rtnl_finish(b, h);
		return;
	}
	if (request->nlmsg_type == RTM_GETNEIGH && !gz_rtnl_neigh(b, request, pid)) {
		gz_rtnl_error(b, request, -ENOENT, pid);
		return;
	}
	if (request->nlmsg_type == RTM_GETROUTE)
		gz_rtnl_route(b, request, pid);
	else if (request->nlmsg_type == RTM_GETLINK)
		link_record(b, request, 0, pid, named_by(request));
	if (request->nlmsg_flags & NLM_F_ACK)
		gz_rtnl_error(b, request, 0, pid);
}

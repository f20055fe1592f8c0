/* SPDX-License-Identifier: BSD-3-Clause
 *
 * address.c - Socket addresses in and out, and whose they are
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/address.h"
#include "engine/attach.h"
#include "engine/iface.h"
#include "engine/inner.h"
#include "engine/ipv6.h"
#include "engine/own4.h"
#include "engine/route.h"
#include "engine/service.h"
#include "engine/shadow.h"
#include "engine/worker.h"

int gz_addr_read(struct gz_call_ctx *c, struct gz_end *end, sa_family_t *family,
		 enum gz_whose *whose)
{
	return gz_addr_parse(c, c->args[1], (int)c->args[2], end, family, whose);
}

/* Whether an address is the stack's, as far as its scope says.  (Of datagrams scope 0 is
 * left to who asks: the kernel has an error for it, or its only link.) */
static bool is_on_our_link(const struct gz_sock *s, struct gz_end end)
{
	bool own = gz_ipv6_port_of(end.scope) >= 0;

	if (gz_end_is_v4(end) || gz_end_is_any(end))
		return true;
	if (s->type == SOCK_STREAM)
		return own || !IN6_IS_ADDR_LINKLOCAL(&end.addr);
	return gz_inner_has_v6() && (!end.scope || own);
}

int gz_addr_parse(struct gz_call_ctx *c, uint64_t addr, int len, struct gz_end *end,
		  sa_family_t *family, enum gz_whose *whose)
{
	union {
		sa_family_t family;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		char raw[GZ_ADDR_MAX];
	} a;
	int err;

	*whose = GZ_OURS;
	if (len < 0 || len > (int)sizeof(a.raw))
		return -EINVAL;
	memset(&a, 0, sizeof(a));
	err = gz_app_read(c->tid, addr, &a, (size_t)len);
	if (err)
		return err;
	*family = len >= (int)sizeof(a.family) ? a.family : AF_UNSPEC;
	if (c->s->family == AF_INET) {
		if (len < (int)sizeof(a.in))
			return len >= (int)sizeof(a.family) && a.family == AF_UNSPEC ? 0 : -EINVAL;
		*end = gz_end_v4(a.in.sin_addr.s_addr, a.in.sin_port);
		return 0;
	}
	if (len < 24) /* SIN6_LEN_RFC2133 */
		return len >= (int)sizeof(a.family) && a.family == AF_UNSPEC ? 0 : -EINVAL;
	*end = (struct gz_end){.port = a.in6.sin6_port};
	if (a.family != AF_INET6)
		return 0;
	end->addr = a.in6.sin6_addr;
	end->scope = gz_addr_has_scope(*end) && len >= (int)sizeof(a.in6) ? a.in6.sin6_scope_id : 0;
	if (c->s->type == SOCK_STREAM && IN6_IS_ADDR_LINKLOCAL(&end->addr) && !end->scope) {
		/* __inet6_bind(), tcp_v6_connect(): it takes a link, by SO_BINDTODEVICE else. */
		if (!*c->s->opt.device || gz_iface_is_lo(c->s->opt.device))
			return -EINVAL;
		gz_addr_set_scope(end, (unsigned)c->s->opt.at - GZ_AT_PORT);
	}
	if (!is_on_our_link(c->s, *end))
		*whose = GZ_KERNELS;
	return 0;
}

socklen_t gz_addr_sockaddr(int family, struct gz_end end, struct sockaddr_storage *a)
{
	struct sockaddr_in *in = (struct sockaddr_in *)a;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)a;

	memset(a, 0, sizeof(*a));
	a->ss_family = (sa_family_t)family;
	if (family == AF_INET) {
		in->sin_addr.s_addr = gz_end_v4_addr(end);
		in->sin_port = end.port;
		return sizeof(*in);
	}
	in6->sin6_port = end.port;
	in6->sin6_addr = end.addr;
	in6->sin6_scope_id = end.scope;
	return sizeof(*in6);
}

int64_t gz_addr_write_raw(struct gz_call_ctx *c, const void *a, int full, uint64_t addr,
			  uint64_t lenp)
{
	int room, err;

	err = gz_app_read(c->tid, lenp, &room, sizeof(room));
	if (err)
		return err;
	if (room < 0)
		return -EINVAL;
	if (!gz_service_alive(c))
		return -EINTR;
	err = gz_app_write(c->tid, addr, a, (size_t)(room < full ? room : full));
	if (!err)
		err = gz_app_write(c->tid, lenp, &full, sizeof(full));
	return err;
}

int64_t gz_addr_write(struct gz_call_ctx *c, struct gz_end end, uint64_t addr, uint64_t lenp)
{
	struct sockaddr_storage a;
	int full = (int)gz_addr_sockaddr(c->s->family, end, &a);

	return gz_addr_write_raw(c, &a, full, addr, lenp);
}

bool gz_addr_is_loopback(struct gz_end end)
{
	return gz_end_is_v4(end) ? ntohl(gz_end_v4_addr(end)) >> 24 == 127
				 : IN6_IS_ADDR_LOOPBACK(&end.addr);
}

struct gz_end gz_addr_loopback(bool v4)
{
	return v4 ? gz_end_v4(htonl(INADDR_LOOPBACK), 0)
		  : (struct gz_end){.addr = IN6ADDR_LOOPBACK_INIT};
}

bool gz_addr_is_group(struct gz_end end)
{
	return gz_end_is_v4(end) ? IN_MULTICAST(ntohl(gz_end_v4_addr(end)))
				 : IN6_IS_ADDR_MULTICAST(&end.addr);
}

bool gz_addr_stays_here(struct gz_end end)
{
	return IN6_IS_ADDR_MC_NODELOCAL(&end.addr);
}

bool gz_addr_has_scope(struct gz_end end)
{
	return IN6_IS_ADDR_LINKLOCAL(&end.addr) || IN6_IS_ADDR_MC_LINKLOCAL(&end.addr) ||
	       IN6_IS_ADDR_MC_NODELOCAL(&end.addr);
}

void gz_addr_set_scope(struct gz_end *end, unsigned port)
{
	end->scope = gz_addr_has_scope(*end) ? gz_ipv6_scope(port) : 0;
}

bool gz_addr_is_others(struct gz_end end)
{
	return gz_attach_shares() && !gz_addr_is_loopback(end) &&
	       !gz_attach_is_mine(true, ntohs(end.port));
}

/* A multicast or broadcast address? */
bool gz_addr_to_many(struct gz_end end)
{
	const struct gz_own4 *own = gz_own4();
	uint32_t addr = gz_end_v4_addr(end);

	if (!gz_end_is_v4(end))
		return IN6_IS_ADDR_MULTICAST(&end.addr);
	if (ntohl(addr) >> 28 == 14 || addr == INADDR_BROADCAST ||
	    addr == htonl(INADDR_LOOPBACK | 0xffffff)) /* lo has a prefix, too */
		return true;
	for (unsigned i = 0; i < own->n; i++) {
		uint32_t mask = gz_own4_mask(own->addr[i].len);

		if (own->addr[i].len < 31 && (addr | mask) == ~0u &&
		    !((addr ^ own->addr[i].addr) & mask))
			return true;
	}
	return false;
}

/* Which of the stack's addresses is @addr?  -1: none */
static int having(const struct gz_own4 *own, uint32_t addr)
{
	for (unsigned i = 0; i < own->n; i++)
		if (own->addr[i].addr == addr)
			return (int)i;
	return -1;
}

/* Which of the stack's addresses is on the longest network that @end is in?  -1: none */
static int neighbour(const struct gz_own4 *own, struct gz_end end)
{
	int best = -1;

	if (!gz_end_is_v4(end))
		return -1;
	for (unsigned i = 0; i < own->n; i++)
		if (((own->addr[i].addr ^ gz_end_v4_addr(end)) & gz_own4_mask(own->addr[i].len)) ==
			0 &&
		    (best < 0 || own->addr[i].len > own->addr[best].len))
			best = (int)i;
	return best;
}

/* The route to an IPv4 address, with the address of ours that is the next hop's neighbour (-1:
 * none is).  NULL: @end is on the link, or the gateway's, if there is one */
static const struct gz_route *route4(const struct gz_own4 *own, struct gz_end end,
				     int *neighbour_of)
{
	const struct gz_route *r = gz_route_find(&end.addr);
	int i = neighbour(own, end);

	if (r && i >= 0 && r->to.len <= 96 + own->addr[i].len)
		r = NULL;
	if (r)
		i = neighbour(own, (struct gz_end){.addr = r->via.addr});
	else if (i < 0)
		i = neighbour(own, gz_end_v4(own->gateway, 0));
	*neighbour_of = i;
	return r;
}

static struct gz_port *port6(const struct gz_end *to)
{
	int port = gz_ipv6_owner(to);
	struct gz_way6 w;

	if (port < 0) {
		gz_ipv6_way(to, -1, &w);
		port = w.port;
	}
	return &gz_ports[port < 0 ? 0 : port];
}

struct gz_port *gz_addr_port(struct gz_end to)
{
	const struct gz_own4 *own;
	int i;

	if (gz_nports == 1)
		return &gz_ports[0];
	if (!gz_end_is_v4(to))
		return port6(&to);
	own = gz_own4();
	i = having(own, gz_end_v4_addr(to));
	if (i < 0)
		route4(own, to, &i);
	return &gz_ports[i < 0 ? 0 : own->port[i]];
}

struct gz_port *gz_addr_port_at(struct gz_end to, uint8_t at)
{
	return at >= GZ_AT_PORT ? &gz_ports[at - GZ_AT_PORT] : gz_addr_port(to);
}

bool gz_addr_via(struct gz_end to, struct gz_end *via)
{
	const struct gz_own4 *own = gz_own4();
	const struct gz_route *r;
	struct gz_way6 w;
	int i;

	if (!gz_end_is_v4(to)) {
		gz_ipv6_way(&to, -1, &w);
		*via = (struct gz_end){.addr = w.via};
		return w.port >= 0 && !w.link;
	}
	r = route4(own, to, &i);
	*via = gz_end_v4(own->gateway, 0);
	if (r)
		via->addr = r->via.addr;
	return r || (neighbour(own, to) < 0 && !gz_end_is_any(*via));
}

bool gz_addr_routed(struct gz_end end)
{
	const struct gz_own4 *own = gz_own4();
	struct gz_end source;

	if (!gz_end_is_v4(end))
		return gz_ipv6_source(&end, -1, &source);
	return own->n && (own->gateway || neighbour(own, end) >= 0 || gz_route_find(&end.addr));
}

bool gz_addr_scope_fits(struct gz_end end, uint8_t at)
{
	return !end.scope || at < GZ_AT_PORT ||
	       end.scope == gz_ipv6_scope((unsigned)at - GZ_AT_PORT);
}

/* The number of the port that @at says, -1: none */
static int port_at(uint8_t at)
{
	return at >= GZ_AT_PORT ? at - GZ_AT_PORT : -1;
}

bool gz_addr_routed_at(struct gz_end end, uint8_t at)
{
	struct gz_end source;

	return at < GZ_AT_PORT || gz_end_is_v4(end) || gz_addr_is_local(end) ||
	       gz_ipv6_source(&end, port_at(at), &source);
}

static struct gz_end source_of(struct gz_end peer, uint8_t at)
{
	struct gz_end same = {.addr = peer.addr, .scope = peer.scope};
	const struct gz_own4 *own = gz_own4();
	const struct gz_route *r;
	int i;

	if (gz_end_is_v4(peer) && gz_addr_is_loopback(peer))
		return gz_addr_loopback(true);
	if (gz_addr_is_local(peer))
		return same;
	if (!gz_end_is_v4(peer)) {
		/* Without a way there, one that bind() would take: it is refused elsewhere */
		if (!gz_ipv6_source(&peer, port_at(at), &same))
			gz_ipv6_source(&peer, -1, &same);
		return same;
	}
	r = route4(own, peer, &i);
	if (r && r->src.set)
		return (struct gz_end){.addr = r->src.addr};
	return gz_end_v4(own->addr[i < 0 ? 0 : i].addr, 0);
}

struct gz_end gz_addr_source(struct gz_end peer)
{
	return source_of(peer, 0);
}

struct gz_end gz_addr_source_at(struct gz_end peer, uint8_t at)
{
	const struct gz_own4 *own = gz_own4();
	struct gz_end best = source_of(peer, at);
	int i = gz_end_is_v4(best) ? having(own, gz_end_v4_addr(best)) : -1, first;

	/* inet_select_addr(): the route's, if it is by that interface, else its first */
	if (at < GZ_AT_PORT || i < 0 || own->port[i] == at - GZ_AT_PORT || gz_addr_is_local(peer))
		return best;
	first = gz_own4_of(own, at - GZ_AT_PORT);
	return first < 0 ? best : gz_end_v4(own->addr[first].addr, 0);
}

int gz_addr_ifindex(struct gz_end local)
{
	return gz_addr_is_loopback(local) ? 1 : gz_iface_index(gz_addr_port(local));
}

bool gz_addr_kernel_has(pid_t tid, struct gz_end end)
{
	int family = gz_end_is_v4(end) ? AF_INET : AF_INET6;
	int fd = gz_kernel_socket(tid, family, SOCK_DGRAM, 0);
	struct sockaddr_storage a;
	socklen_t len;
	bool has;

	if (fd < 0)
		return false;
	end.port = 0;
	len = gz_addr_sockaddr(family, end, &a);
	has = bind(fd, (struct sockaddr *)&a, len) == 0;
	close(fd);
	return has;
}

/*
 * Does the kernel have a listener for @end in the thread's network namespace?
 * (/proc/net/tcp: state 0A, of UDP 07; the address is printed as host-order words.  Whether
 * [::] takes IPv4 too is not said there: that it does is the likely case.)
 */
bool gz_addr_kernel_listens(pid_t tid, struct gz_end end, int type)
{
	static const char *const tcp[] = {"tcp", "tcp6"}, *const udp[] = {"udp", "udp6"};
	const char *const *files = type == SOCK_DGRAM ? udp : tcp;
	unsigned state = type == SOCK_DGRAM ? 0x07 : 0x0a;
	char path[64], line[256];
	bool found = false;

	for (unsigned i = 0; i < 2 && !found; i++) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/net/%s", tid, files[i]);
		f = fopen(path, "re");
		if (!f)
			continue;
		while (!found && fgets(line, sizeof(line), f)) {
			struct in6_addr a = {0};
			uint32_t w[4] = {0};
			char addr[33];
			unsigned port, st;
			int n;

			if (sscanf(line, "%*d: %32[0-9A-F]:%x %*[0-9A-F]:%*x %x", addr, &port,
				   &st) != 3 ||
			    st != state || port != ntohs(end.port))
				continue;
			n = sscanf(addr, "%8x%8x%8x%8x", &w[0], &w[1], &w[2], &w[3]);
			if (n == 1)
				a = gz_end_v4(w[0], 0).addr;
			else if (n == 4)
				memcpy(&a, w, sizeof(a));
			else
				continue;
			found = IN6_ARE_ADDR_EQUAL(&a, &end.addr) || IN6_IS_ADDR_UNSPECIFIED(&a) ||
				(n == 1 && !w[0] && gz_end_is_v4(end));
		}
		fclose(f);
	}
	return found;
}

bool gz_addr_is_local(struct gz_end end)
{
	const struct gz_own4 *own = gz_own4();
	uint32_t addr = gz_end_v4_addr(end);

	if (!gz_end_is_v4(end))
		return gz_ipv6_is_local(&end);
	return ntohl(addr) >> 24 == 127 || having(own, addr) >= 0;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ping.c - Ping sockets: echo requests of programs, and the replies
 *
 * Theory of operation.  As with UDP (dgram.c) the shadow is a socket of the same kind
 * in the engine's namespace, and peers are aliases there.  Its port is the id in each
 * message, which a program sees: so the ids of that namespace are the stack's own, one
 * space for all its programs, and the kernel's ping_get_port() keeps it.  That kernel
 * is told not to answer echo requests; a raw socket reads them (icmp.c), and what is
 * for the wire goes there, what is for the stack itself is answered here.
 *
 * A shadow has an id from the first, so that it can be told from others and its end be
 * seen (reaper.c); the program does not hear of it before it sends.  For the same
 * reason ids are not shared: ping sockets have SO_REUSEADDR from the kernel, and with
 * that two may bind() to one, which then has the replies of both.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lwip/icmp.h"
#include "lwip/inet_chksum.h"
#include "lwip/ip.h"
#include "lwip/pbuf.h"

#include "engine/address.h"
#include "engine/alias.h"
#include "engine/client.h"
#include "engine/counters.h"
#include "engine/icmp.h"
#include "engine/inner.h"
#include "engine/log.h"
#include "engine/multicast.h"
#include "engine/ping.h"
#include "engine/reaper.h"
#include "engine/service.h"
#include "engine/shadow.h"
#include "engine/udp.h"
#include "engine/worker.h"

#define HEADER 8 /* type, code, checksum, id, sequence number */
#define PIECES 256

static struct {
	pthread_mutex_t lock;
	struct gz_sock *sock[65536]; /* by id, host order */
	bool served;
} ping = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* --- start ---------------------------------------------------------------- */

static bool set_sysctl(const char *name, const char *value)
{
	char path[128];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = write(fd, value, strlen(value));
	close(fd);
	return n > 0;
}

void gz_ping_init(void)
{
	/* A kernel that answered would make every peer seem to be there. */
	ping.served = set_sysctl("ipv4/icmp_echo_ignore_all", "1") &&
		      (!gz_inner_has_v6() || set_sysctl("ipv6/icmp/echo_ignore_all", "1")) &&
		      set_sysctl("ipv4/ping_group_range", "0 2147483647");
	if (!ping.served)
		gz_info("ping sockets are the kernel's: %s", strerror(errno));
}

bool gz_ping_is_served(void)
{
	return ping.served;
}

/* --- ids ------------------------------------------------------------------ */

static struct gz_sock *find(uint16_t id)
{
	struct gz_sock *s;

	pthread_mutex_lock(&ping.lock);
	s = ping.sock[id];
	if (s)
		gz_sock_ref(s);
	pthread_mutex_unlock(&ping.lock);
	return s;
}

/* The kernel gave @id to @s: whoever had it before is closed. */
static void set_id(struct gz_sock *s, uint16_t id)
{
	struct gz_sock *old;

	pthread_mutex_lock(&ping.lock);
	if (ping.sock[s->dgram.nest] == s)
		ping.sock[s->dgram.nest] = NULL;
	old = ping.sock[id];
	if (old)
		gz_sock_ref(old);
	ping.sock[id] = s;
	s->dgram.nest = id;
	pthread_mutex_unlock(&ping.lock);
	if (old) {
		gz_reaper_close(old);
		gz_sock_unref(old);
	}
}

void gz_ping_gone(struct gz_sock *s)
{
	gz_icmp_drain();
	pthread_mutex_lock(&ping.lock);
	if (ping.sock[s->dgram.nest] == s)
		ping.sock[s->dgram.nest] = NULL;
	pthread_mutex_unlock(&ping.lock);
}

/* bind() of the shadow @fd, 0: to any id.  Return: 0 or -errno */
static int bind_id(struct gz_sock *s, int fd, uint16_t id)
{
	struct gz_end end = gz_end_any(s->family);
	struct sockaddr_storage ss;
	socklen_t len;
	int shared = 0;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &shared, sizeof(shared));
	end.port = htons(id);
	len = gz_addr_sockaddr(s->family, end, &ss);
	if (bind(fd, (struct sockaddr *)&ss, len) < 0 ||
	    getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return -errno;
	set_id(s, ntohs(s->family == AF_INET ? ((struct sockaddr_in *)&ss)->sin_port
					     : ((struct sockaddr_in6 *)&ss)->sin6_port));
	return 0;
}

int gz_ping_claim(struct gz_call_ctx *c, struct gz_end end)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	struct gz_sock *s = c->s;
	int err = 0;

	if (end.port && end.port != htons(s->dgram.nest)) {
		/* An id that nobody asked for is given back by this. */
		connect(c->fd, &none, sizeof(none));
		err = bind_id(s, c->fd, ntohs(end.port));
		if (err)
			bind_id(s, c->fd, 0);
	}
	s->claim.end = end;
	s->claim.end.port = htons(s->dgram.nest);
	return err;
}

void gz_ping_renew(struct gz_call_ctx *c)
{
	bind_id(c->s, c->fd, 0);
}

bool gz_ping_is_gone(struct gz_sock *s)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	bool gone = false;
	int fd, shared = 0;

	/* Who holds it may be about to give the shadow another id. */
	if (pthread_mutex_trylock(&s->lock) != 0)
		return false;
	a.sin_port = htons(s->dgram.nest);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP);
	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &shared, sizeof(shared));
		gone = bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
		close(fd);
	}
	pthread_mutex_unlock(&s->lock);
	return gone;
}

/* --- socket() -------------------------------------------------------------- */

static bool range_allows(const unsigned *range, unsigned gid)
{
	return gid >= range[0] && gid <= range[1];
}

/*
 * ping_init_sock(): is one of the thread's groups in net.ipv4.ping_group_range of its
 * network namespace?
 */
static bool may_ping(pid_t tid)
{
	unsigned range[2] = {1, 0}, gid;
	char text[64], path[64], line[4096];
	bool ok = false;
	FILE *f;

	if (gz_kernel_sysctl(tid, "/proc/sys/net/ipv4/ping_group_range", text, sizeof(text)) < 0 ||
	    sscanf(text, "%u %u", &range[0], &range[1]) != 2)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	f = fopen(path, "re");
	while (f && !ok && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Gid: %*u %u", &gid) == 1) {
			ok = range_allows(range, gid);
		} else if (!strncmp(line, "Groups:", 7)) {
			char *at = line + 7, *end;

			for (; !ok; at = end) {
				gid = (unsigned)strtoul(at, &end, 10);
				if (end == at)
					break;
				ok = range_allows(range, gid);
			}
		}
	}
	if (f)
		fclose(f);
	return ok;
}

int64_t gz_ping_socket(struct gz_call_ctx *c)
{
	int type = (int)c->args[1], fd, err;
	struct gz_sock *s;
	struct stat st;

	if (!may_ping(c->tid))
		return -EACCES;
	s = gz_sock_new(c->sv->client, (int)c->args[0]);
	if (!s)
		return -ENOBUFS;
	s->type = SOCK_DGRAM;
	s->dgram.ping = true;
	fd = socket(s->family, SOCK_DGRAM | SOCK_CLOEXEC | (type & SOCK_NONBLOCK),
		    s->family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	err = fd < 0 || fstat(fd, &st) < 0 ? -errno : bind_id(s, fd, 0);
	if (err) {
		if (fd >= 0)
			close(fd);
		gz_sock_unref(s);
		return err == -EMFILE ? -ENFILE : err;
	}
	s->named = true;
	gz_table_add(s, st.st_ino);
	return gz_shadow_give(c, s, fd, type);
}

/* --- replies and errors ----------------------------------------------------- */

static uint16_t id_of(const uint8_t *h)
{
	return (uint16_t)(h[4] << 8 | h[5]);
}

/* Does a message for @dst belong to @s?  As ping_lookup().  @s locked */
static bool is_for(const struct gz_sock *s, struct gz_end dst)
{
	struct gz_end local = s->dgram.chose_addr ? s->local : gz_end_any(s->family);

	return !atomic_load(&s->closed) && (s->family == AF_INET) == gz_end_is_v4(dst) &&
	       (gz_end_is_any(local) || gz_end_same_addr(local, dst));
}

bool gz_ping_reply(const struct gz_datagram *d)
{
	struct gz_inner ip = {
	    .v6 = !gz_end_is_v4(d->src),
	    .proto = gz_end_is_v4(d->src) ? IPPROTO_ICMP : IPPROTO_ICMPV6,
	    .ttl = d->ttl,
	    .tos = d->tos,
	};
	uint8_t room[GZ_INNER_HEADER], h[HEADER];
	struct iovec v[PIECES + 2] = {{room, 0}, {h, sizeof(h)}};
	struct gz_sock *s = find(id_of(d->data[0].iov_base));
	bool mine;

	if (!s)
		return false;
	pthread_mutex_lock(&s->lock);
	mine = is_for(s, d->dst);
	pthread_mutex_unlock(&s->lock);
	if (mine) {
		memcpy(h, d->data[0].iov_base, sizeof(h));
		h[0] = ip.v6 ? ICMP6_TYPE_EREP : ICMP_ER;
		memcpy(v + 2, d->data, (size_t)d->ndata * sizeof(*v));
		v[2].iov_base = (uint8_t *)v[2].iov_base + HEADER;
		v[2].iov_len -= HEADER;
		ip.src = gz_alias_get(d->src, d->dst, gz_udp_came_to(d), false);
		if (!ip.src || !gz_inner_put(&ip, v, d->ndata + 2, 2))
			gz_count(GZ_C_UDP_DROPPED);
		atomic_fetch_add_explicit(&s->rx_bytes, d->len, memory_order_relaxed);
		atomic_fetch_add_explicit(&s->client->rx_bytes, d->len, memory_order_relaxed);
	}
	gz_sock_unref(s);
	return mine;
}

void gz_ping_error(const struct gz_datagram *d, const uint8_t *h, struct gz_end offender,
		   const struct gz_icmp *e)
{
	bool v6 = !gz_end_is_v4(d->dst);
	struct gz_sock *s;

	if (h[0] != (v6 ? ICMP6_TYPE_EREQ : ICMP_ECHO))
		return;
	s = find(id_of(h));
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	if (is_for(s, d->src))
		gz_icmp_to_shadow(d, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
				  gz_alias_get(d->dst, gz_end_v4(0, 0), 0, false), h, offender, e);
	pthread_mutex_unlock(&s->lock);
	gz_sock_unref(s);
}

/* --- requests -------------------------------------------------------------- */

void gz_ping_request(struct gz_datagram *d, uint32_t alias)
{
	struct gz_sock *s = find(id_of(d->data[0].iov_base));
	struct gz_group_options mc;
	struct gz_datagram back = *d;
	struct gz_alias a;

	if (!s)
		return;
	if (!gz_alias_find(alias, &a)) {
		gz_count(GZ_C_UDP_TX_DROPPED);
		gz_sock_unref(s);
		return;
	}
	d->dst = a.peer;
	d->at = a.at;
	gz_udp_choose_source(s, d, a.local, &mc);
	d->src.port = d->dst.port = 0;
	if (!gz_addr_to_many(d->dst) && gz_addr_is_local(d->dst)) {
		back.src = d->dst;
		back.dst = d->src;
		back.at = 0;
		back.ttl = 64;
		gz_ping_reply(&back);
	} else if (!gz_here->code->icmp(d)) {
		gz_count(GZ_C_UDP_TX_DROPPED);
	}
	gz_sock_unref(s);
}

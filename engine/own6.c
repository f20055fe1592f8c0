/* SPDX-License-Identifier: BSD-3-Clause
 *
 * own6.c - The stack's IPv6 addresses, for all threads
 *
 * All workers have the same ones; each tells of them once a second (ipv6.c).
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>

#include "engine/address.h"
#include "engine/ipv6.h"
#include "engine/log.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct gz_own6 v6;

static bool same64(const struct in6_addr *a, const struct in6_addr *b)
{
	return !memcmp(a, b, 8);
}

/* Locked */
static bool known_duplicate(const struct in6_addr *a)
{
	for (unsigned i = 0; i < v6.n; i++)
		if (v6.own[i].duplicate && IN6_ARE_ADDR_EQUAL(&v6.own[i].addr, a))
			return true;
	return false;
}

void gz_own6_publish(const struct gz_own6 *o)
{
	char text[INET6_ADDRSTRLEN];

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < o->n; i++)
		if (o->own[i].duplicate && !known_duplicate(&o->own[i].addr))
			gz_err("%s is another host's address already: not used",
			       inet_ntop(AF_INET6, &o->own[i].addr, text, sizeof(text)));
	v6 = *o;
	pthread_mutex_unlock(&lock);
}

bool gz_ipv6_is_local(const struct in6_addr *a)
{
	bool found = IN6_IS_ADDR_LOOPBACK(a);

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < v6.n && !found; i++)
		found = !v6.own[i].duplicate && IN6_ARE_ADDR_EQUAL(&v6.own[i].addr, a);
	pthread_mutex_unlock(&lock);
	return found;
}

unsigned gz_ipv6_list(struct in6_addr *list, unsigned max)
{
	unsigned n = 0;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < v6.n && n < max; i++)
		if (!v6.own[i].duplicate && !IN6_IS_ADDR_LINKLOCAL(&v6.own[i].addr))
			list[n++] = v6.own[i].addr;
	pthread_mutex_unlock(&lock);
	return n;
}

/* Under the lock: is @a on the link? */
static bool on_link(const struct in6_addr *a)
{
	for (unsigned i = 0; i < v6.n; i++)
		if (v6.own[i].static_ && !v6.own[i].duplicate && same64(&v6.own[i].addr, a))
			return true;
	for (unsigned i = 0; i < v6.nprefix; i++)
		if (same64(&v6.prefix[i], a))
			return true;
	return false;
}

bool gz_ipv6_on_link(const struct in6_addr *a)
{
	bool is;

	pthread_mutex_lock(&lock);
	is = on_link(a);
	pthread_mutex_unlock(&lock);
	return is;
}

bool gz_ipv6_source(const struct in6_addr *peer, struct in6_addr *source)
{
	const struct gz_own6_addr *best = NULL;
	bool routed;
	bool local = IN6_IS_ADDR_LINKLOCAL(peer) || IN6_IS_ADDR_MC_LINKLOCAL(peer) ||
		     IN6_IS_ADDR_MC_NODELOCAL(peer);

	pthread_mutex_lock(&lock);
	routed = local || IN6_IS_ADDR_MULTICAST(peer) || v6.router || on_link(peer);
	for (unsigned i = 0; i < v6.n && routed; i++) {
		const struct gz_own6_addr *o = &v6.own[i];

		/* RFC 6724 section 5: rules 2 and 3, then the longest prefix, by halves. */
		if (o->duplicate || (bool)IN6_IS_ADDR_LINKLOCAL(&o->addr) != local)
			continue;
		if (!best || (o->preferred && !best->preferred) ||
		    (o->preferred == best->preferred && same64(&o->addr, peer) &&
		     !same64(&best->addr, peer)))
			best = o;
	}
	if (best)
		*source = best->addr;
	pthread_mutex_unlock(&lock);
	return best;
}

struct gz_end gz_ipv6_end(const void *addr, uint16_t port)
{
	struct gz_end e = {.port = port};

	memcpy(&e.addr, addr, sizeof(e.addr));
	gz_addr_set_scope(&e);
	return e;
}

bool gz_ipv6_is_up(void)
{
	bool up;

	pthread_mutex_lock(&lock);
	up = v6.n;
	pthread_mutex_unlock(&lock);
	return up;
}

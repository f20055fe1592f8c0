/* SPDX-License-Identifier: BSD-3-Clause
 *
 * policy.c - Which sockets are the engine's
 *
 * Theory of operation.  A socket starts as a shadow, for socket() does not say
 * what it is for.  bind(), connect() and a datagram's sendto() do, and there this
 * file decides: the rules of the configuration in their order, and where none
 * matches, or the one that does says `default`, by_default().  A socket that is
 * the kernel's gets a kernel socket in its shadow's place (shadow.c).
 *
 * The verdict stays with the socket, or in the client's record when it went to
 * the kernel, for gazelle-ctl why.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "engine/address.h"
#include "engine/app.h"
#include "engine/own4.h"
#include "engine/policy.h"
#include "engine/ports.h"
#include "engine/service.h"
#include "engine/worker.h"

static bool in_net(const struct gz_prefix *p, const struct in6_addr *a)
{
	unsigned bytes = p->len / 8, bits = p->len % 8;

	/* ::/0 is all of IPv6, not all of IPv4 as well. */
	if (IN6_IS_ADDR_V4MAPPED(a) && !IN6_IS_ADDR_V4MAPPED(&p->addr))
		return false;
	if (memcmp(&p->addr, a, bytes))
		return false;
	return !bits || !((p->addr.s6_addr[bytes] ^ a->s6_addr[bytes]) >> (8 - bits));
}

static bool matches(const struct gz_rule *r, struct gz_call_ctx *c, const struct gz_verdict *v)
{
	unsigned port = ntohs(v->end.port);
	uid_t uid;

	if (r->direction != GZ_DIR_ANY && r->direction != v->direction)
		return false;
	if (r->protocol != GZ_PROTO_ANY &&
	    v->protocol != (r->protocol == GZ_PROTO_TCP ? IPPROTO_TCP : IPPROTO_UDP))
		return false;
	if (r->net.set && !in_net(&r->net, &v->end.addr))
		return false;
	if (r->port_hi && (port < r->port_lo || port > r->port_hi))
		return false;
	/* What costs a look at /proc comes last. */
	if (r->uid_set && (gz_app_uid(c->tid, &uid) < 0 || uid != r->uid))
		return false;
	return !r->program[0] || gz_app_is_program(c->tid, r->program);
}

static enum gz_why by_default(struct gz_call_ctx *c, const struct gz_verdict *v)
{
	bool loopback = gz_addr_is_loopback(v->end);

	if (loopback && gz_cfg->loopback == GZ_LO_KERNEL)
		return GZ_WHY_LOOPBACK;
	if (v->direction == GZ_DIR_BIND) {
		bool ours = loopback || gz_end_is_any(v->end) || gz_addr_to_many(v->end) ||
			    gz_addr_is_local(v->end);

		return ours || !gz_addr_kernel_has(c->tid, v->end) ? GZ_WHY_BIND
								   : GZ_WHY_KERNEL_BIND;
	}
	if (loopback) {
		bool udp = v->protocol == IPPROTO_UDP;

		if (udp ? gz_port_udp(v->end) : gz_port_listening(v->end))
			return GZ_WHY_LO_LISTENER;
		return gz_addr_kernel_listens(c->tid, v->end, udp ? SOCK_DGRAM : SOCK_STREAM)
			   ? GZ_WHY_LO_KERNEL
			   : GZ_WHY_LO_NOBODY;
	}
	if (gz_addr_is_local(v->end))
		return GZ_WHY_OWN;
	return gz_addr_routed(v->end) ||
		       (gz_end_is_v4(v->end) && gz_addr_to_many(v->end) && gz_own4()->n)
		   ? GZ_WHY_ROUTED
		   : GZ_WHY_NO_ROUTE;
}

static enum gz_whose whose_by(enum gz_why why)
{
	return why == GZ_WHY_FAMILY || why == GZ_WHY_LOOPBACK || why == GZ_WHY_LO_KERNEL ||
		       why == GZ_WHY_NO_ROUTE || why == GZ_WHY_DEVICE || why == GZ_WHY_KERNEL_BIND
		   ? GZ_KERNELS
		   : GZ_OURS;
}

static void fill(struct gz_verdict *v, struct gz_call_ctx *c, enum gz_direction dir, int protocol,
		 struct gz_end end)
{
	memset(v, 0, sizeof(*v));
	v->direction = (uint8_t)dir;
	v->protocol = (uint8_t)protocol;
	v->tid = c->tid;
	v->end = end;
}

void gz_policy_is(struct gz_call_ctx *c, enum gz_direction dir, int protocol, struct gz_end end,
		  enum gz_why why, struct gz_verdict *v)
{
	fill(v, c, dir, protocol, end);
	v->rule = (int16_t)(-1 - (int)why);
	v->whose = (uint8_t)whose_by(why);
}

enum gz_whose gz_policy_ask(struct gz_call_ctx *c, enum gz_direction dir, int protocol,
			    struct gz_end end, struct gz_verdict *v)
{
	const struct gz_engine_config *cfg = gz_cfg;
	enum gz_why why;

	fill(v, c, dir, protocol, end);
	for (unsigned i = 0; i < cfg->nrules; i++) {
		const struct gz_rule *r = &cfg->rules[i];

		if (!matches(r, c, v))
			continue;
		if (r->action == GZ_RULE_DEFAULT)
			break;
		v->rule = (int16_t)i;
		v->whose = r->action == GZ_RULE_KERNEL ? GZ_KERNELS : GZ_OURS;
		return (enum gz_whose)v->whose;
	}
	why = by_default(c, v);
	v->rule = (int16_t)(-1 - (int)why);
	v->whose = (uint8_t)whose_by(why);
	return (enum gz_whose)v->whose;
}

bool gz_policy_is_engines(int protocol, struct gz_end end)
{
	const struct gz_engine_config *cfg = gz_cfg;
	struct gz_verdict v = {
	    .direction = GZ_DIR_CONNECT, .protocol = (uint8_t)protocol, .end = end};

	for (unsigned i = 0; i < cfg->nrules; i++)
		if (cfg->rules[i].uid_set || cfg->rules[i].program[0])
			return false;
	for (unsigned i = 0; i < cfg->nrules; i++) {
		if (!matches(&cfg->rules[i], NULL, &v))
			continue;
		if (cfg->rules[i].action == GZ_RULE_DEFAULT)
			break;
		return cfg->rules[i].action != GZ_RULE_KERNEL;
	}
	if (gz_addr_is_loopback(end))
		return cfg->loopback != GZ_LO_KERNEL;
	return gz_addr_is_local(end) || gz_addr_routed(end);
}

bool gz_policy_routes_to_kernel(struct gz_end end)
{
	const struct gz_engine_config *cfg = gz_cfg;
	struct gz_verdict v = {.direction = GZ_DIR_CONNECT, .end = end};

	for (unsigned i = 0; i < cfg->nrules; i++) {
		const struct gz_rule *r = &cfg->rules[i];

		if (!r->port_hi && !r->uid_set && !r->program[0] && matches(r, NULL, &v))
			return r->action == GZ_RULE_KERNEL;
	}
	return false;
}

const char *gz_policy_text(const struct gz_verdict *v, char *buf, size_t n)
{
	static const char *const texts[] = {
#define X(id, text) text,
	    GZ_WHYS(X)
#undef X
	};

	if (v->rule < 0)
		snprintf(buf, n, "%s", texts[-1 - v->rule]);
	else
		snprintf(buf, n, "rule %d (line %u)", v->rule + 1, gz_cfg->rules[v->rule].line);
	return buf;
}

void gz_record_init(struct gz_record *r)
{
	pthread_mutex_init(&r->lock, NULL);
}

void gz_record_add(struct gz_record *r, ino_t ino, const struct gz_verdict *v)
{
	pthread_mutex_lock(&r->lock);
	r->entry[r->total % GZ_RECORD_MAX].ino = ino;
	r->entry[r->total % GZ_RECORD_MAX].v = *v;
	r->total++;
	pthread_mutex_unlock(&r->lock);
}

bool gz_record_find(struct gz_record *r, ino_t ino, struct gz_verdict *v)
{
	bool found = false;

	pthread_mutex_lock(&r->lock);
	for (unsigned long i = r->total; !found && i && i + GZ_RECORD_MAX > r->total; i--) {
		found = r->entry[(i - 1) % GZ_RECORD_MAX].ino == ino;
		if (found)
			*v = r->entry[(i - 1) % GZ_RECORD_MAX].v;
	}
	pthread_mutex_unlock(&r->lock);
	return found;
}

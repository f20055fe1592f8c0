/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ports_test.c - Who may have which port: Linux's rules, four-tuples, exhaustion
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/client.h"
#include "engine/ports.h"
#include "engine/spread.h"
#include "engine/worker.h"

static struct gz_client client = {.uid = 1000};

unsigned gz_nworkers = 1;

/* ports.c takes a reference to whoever is in the way. */
void gz_sock_ref(struct gz_sock *s)
{
	atomic_fetch_add(&s->refs, 1);
}

static struct gz_sock *sock(bool reuseaddr, bool reuseport)
{
	struct gz_sock *s = calloc(1, sizeof(*s));

	s->client = &client;
	s->opt.reuseaddr = reuseaddr;
	s->opt.reuseport = reuseport;
	return s;
}

static struct gz_end at(const char *addr, unsigned port)
{
	struct gz_end e = {.port = htons((uint16_t)port)};

	if (inet_pton(AF_INET6, addr, &e.addr) == 1)
		return e;
	return gz_end_v4(inet_addr(addr), e.port);
}

static void drop(struct gz_sock *s)
{
	gz_claim_drop(s);
	free(s);
}

static int setup(void **state)
{
	(void)state;
	gz_ports_init(40000, 40003);
	return 0;
}

static void overlapping_addresses_conflict(void **state)
{
	struct gz_sock *a = sock(false, false), *b = sock(false, false), *who;

	(void)state;
	assert_int_equal(gz_claim(a, at("0.0.0.0", 80), &who), 0);
	assert_int_equal(gz_claim(b, at("10.0.0.1", 80), &who), -EADDRINUSE);
	assert_ptr_equal(who, a);
	assert_false(b->claim.held);
	gz_claim_drop(a);
	assert_int_equal(gz_claim(b, at("10.0.0.1", 80), &who), 0);
	assert_int_equal(gz_claim(a, at("10.0.0.2", 80), &who), 0);
	drop(a);
	drop(b);
}

/* ipv6_rcv_saddr_equal(), net/ipv4/inet_connection_sock.c */
static void dual_stack_takes_the_ipv4_port(void **state)
{
	static const struct {
		const char *first, *second;
		bool first_v6only, second_v6only, conflict;
	} cases[] = {
	    {"::", "0.0.0.0", false, false, true},
	    {"::", "10.0.0.1", false, false, true},
	    {"::", "::ffff:0.0.0.0", false, false, true},
	    {"::", "fd00::1", false, false, true},
	    {"::", "::", true, false, true},
	    {"::", "0.0.0.0", true, false, false},
	    {"::", "10.0.0.1", true, false, false},
	    {"::", "fd00::1", true, true, true},
	    {"fd00::1", "0.0.0.0", false, false, false},
	    {"fd00::1", "fd00::1", false, false, true},
	    {"fd00::1", "fd00::2", false, false, false},
	    {"fd00::1", "fd00::1", true, true, true},
	    {"10.0.0.1", "::ffff:10.0.0.1", false, false, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		/* Both orders: it must not matter who comes first. */
		for (int turn = 0; turn < 2; turn++) {
			struct gz_sock *a = sock(false, false), *b = sock(false, false), *who;
			struct gz_sock *x = turn ? b : a, *y = turn ? a : b;

			a->opt.v6only = cases[i].first_v6only;
			b->opt.v6only = cases[i].second_v6only;
			assert_int_equal(
			    gz_claim(x, at(turn ? cases[i].second : cases[i].first, 85), &who), 0);
			assert_int_equal(
			    gz_claim(y, at(turn ? cases[i].first : cases[i].second, 85), &who),
			    cases[i].conflict ? -EADDRINUSE : 0);
			drop(a);
			drop(b);
		}
	}
}

static void listeners_are_found_by_both_families(void **state)
{
	struct gz_sock *a = sock(false, false), *who;

	(void)state;
	assert_int_equal(gz_claim(a, at("::", 86), &who), 0);
	assert_int_equal(gz_claim_listen(a, &who), 0);
	assert_true(gz_port_listening(at("10.0.0.9", 86)));
	assert_true(gz_port_listening(at("fd00::9", 86)));
	gz_claim_drop(a);
	a->opt.v6only = 1;
	assert_int_equal(gz_claim(a, at("::", 86), &who), 0);
	assert_int_equal(gz_claim_listen(a, &who), 0);
	assert_false(gz_port_listening(at("10.0.0.9", 86)));
	assert_true(gz_port_listening(at("fd00::9", 86)));
	gz_claim_drop(a);
	a->opt.v6only = 0;
	assert_int_equal(gz_claim(a, at("0.0.0.0", 86), &who), 0);
	assert_int_equal(gz_claim_listen(a, &who), 0);
	assert_true(gz_port_listening(at("10.0.0.9", 86)));
	assert_false(gz_port_listening(at("fd00::9", 86)));
	drop(a);
}

static void reuseaddr_shares_until_one_listens(void **state)
{
	struct gz_sock *a = sock(true, false), *b = sock(true, false), *c = sock(true, false), *who;

	(void)state;
	assert_int_equal(gz_claim(a, at("0.0.0.0", 81), &who), 0);
	assert_int_equal(gz_claim(b, at("0.0.0.0", 81), &who), 0);
	assert_int_equal(gz_claim_listen(a, &who), 0);
	assert_int_equal(gz_claim_listen(b, &who), -EADDRINUSE);
	assert_ptr_equal(who, a);
	assert_int_equal(gz_claim(c, at("0.0.0.0", 81), &who), -EADDRINUSE);
	assert_true(gz_port_listening(at("10.0.0.9", 81)));
	gz_claim_unlisten(a);
	assert_false(gz_port_listening(at("10.0.0.9", 81)));
	assert_int_equal(gz_claim_listen(b, &who), 0);
	drop(a);
	drop(b);
	free(c);
}

static void reuseport_needs_both_and_one_user(void **state)
{
	struct gz_sock *a = sock(false, true), *b = sock(false, true), *c = sock(false, true), *who;

	(void)state;
	c->uid = 1001;
	assert_int_equal(gz_claim(a, at("0.0.0.0", 82), &who), 0);
	assert_int_equal(gz_claim_listen(a, &who), 0);
	assert_int_equal(gz_claim(b, at("0.0.0.0", 82), &who), 0);
	assert_int_equal(gz_claim_listen(b, &who), 0);
	assert_int_equal(gz_claim(c, at("0.0.0.0", 82), &who), -EADDRINUSE);
	drop(a);
	drop(b);
	free(c);
}

static void connections_left_need_reuseaddr(void **state)
{
	struct gz_sock *a = sock(false, false), *who;
	struct gz_flow *f, *g;
	int err;

	(void)state;
	f = gz_flow_add(at("10.0.0.1", 83), at("10.0.0.2", 5000), 0, NULL, &err);
	assert_non_null(f);
	assert_int_equal(gz_claim(a, at("0.0.0.0", 83), &who), -EADDRINUSE);
	assert_null(who);
	/* Both must have it (inet_csk_bind_conflict()). */
	a->opt.reuseaddr = 1;
	assert_int_equal(gz_claim(a, at("0.0.0.0", 83), &who), -EADDRINUSE);
	gz_flow_options(f, &(struct gz_options){.reuseport = 1});
	assert_int_equal(gz_claim(a, at("0.0.0.0", 83), &who), -EADDRINUSE);
	gz_flow_options(f, &(struct gz_options){.reuseaddr = 1});
	g = gz_flow_add(at("10.0.0.1", 83), at("10.0.0.2", 5001), 0, NULL, &err);
	assert_non_null(g);
	assert_int_equal(gz_claim(a, at("0.0.0.0", 83), &who), -EADDRINUSE);
	gz_flow_del(g);
	assert_int_equal(gz_claim(a, at("0.0.0.0", 83), &who), 0);
	drop(a);
	/* At another address there is nothing left (inet_rcv_saddr_equal()). */
	a = sock(false, false);
	assert_int_equal(gz_claim(a, at("10.0.0.1", 83), &who), -EADDRINUSE);
	assert_int_equal(gz_claim(a, at("10.0.0.2", 83), &who), 0);
	gz_flow_del(f);
	drop(a);
	/* With the last of them gone nothing is in the way. */
	a = sock(false, false);
	assert_int_equal(gz_claim(a, at("0.0.0.0", 83), &who), 0);
	drop(a);
}

static void a_four_tuple_is_there_once(void **state)
{
	struct gz_flow *f, *g;
	int err;

	(void)state;
	f = gz_flow_add(at("10.0.0.1", 84), at("10.0.0.2", 5000), 0, NULL, &err);
	assert_non_null(f);
	assert_null(gz_flow_add(at("10.0.0.1", 84), at("10.0.0.2", 5000), 0, NULL, &err));
	assert_int_equal(err, -EADDRNOTAVAIL);
	g = gz_flow_add(at("10.0.0.1", 84), at("10.0.0.2", 5001), 0, NULL, &err);
	assert_non_null(g);
	gz_flow_del(f);
	f = gz_flow_add(at("10.0.0.1", 84), at("10.0.0.2", 5000), 0, NULL, &err);
	assert_non_null(f);
	gz_flow_del(f);
	gz_flow_del(g);
}

static void ephemeral_ports_run_out_per_destination(void **state)
{
	struct gz_flow *f[4], *other;
	int err;

	(void)state;
	for (int i = 0; i < 4; i++) {
		f[i] = gz_flow_add(at("10.0.0.1", 0), at("10.0.0.2", 99), 0, NULL, &err);
		assert_non_null(f[i]);
		assert_in_range(ntohs(f[i]->local.port), 40000, 40003);
	}
	assert_null(gz_flow_add(at("10.0.0.1", 0), at("10.0.0.2", 99), 0, NULL, &err));
	assert_int_equal(err, -EADDRNOTAVAIL);
	other = gz_flow_add(at("10.0.0.1", 0), at("10.0.0.3", 99), 0, NULL, &err);
	assert_non_null(other);
	gz_flow_del(other);
	for (int i = 0; i < 4; i++)
		gz_flow_del(f[i]);
}

/* Which ports bind() may choose: none that is claimed or has a connection. */
static void ephemeral_claims_avoid_what_is_there(void **state)
{
	struct gz_sock *s[4], *who;
	struct gz_flow *f;
	int err;

	(void)state;
	f = gz_flow_add(at("10.0.0.1", 40002), at("10.0.0.2", 99), 0, NULL, &err);
	assert_non_null(f);
	for (int i = 0; i < 4; i++) {
		s[i] = sock(true, true);
		assert_int_equal(gz_claim(s[i], at("0.0.0.0", 0), &who), i < 3 ? 0 : -EADDRINUSE);
		for (int k = 0; k < i && i < 3; k++)
			assert_int_not_equal(s[i]->claim.end.port, s[k]->claim.end.port);
		assert_int_not_equal(ntohs(s[i]->claim.end.port), 40002);
	}
	for (int i = 0; i < 3; i++)
		drop(s[i]);
	free(s[3]);
	gz_flow_del(f);
}

/* Both ends in this stack: the peer's half may be in TIME_WAIT where ours is not. */
static void an_ephemeral_port_is_free_both_ways(void **state)
{
	struct gz_flow *f, *g[3];
	int err;

	(void)state;
	f = gz_flow_add(at("10.0.0.1", 99), at("10.0.0.1", 40001), 0, NULL, &err);
	assert_non_null(f);
	for (int i = 0; i < 3; i++) {
		g[i] = gz_flow_add(at("10.0.0.1", 0), at("10.0.0.1", 99), 0, NULL, &err);
		assert_non_null(g[i]);
		assert_int_not_equal(ntohs(g[i]->local.port), 40001);
	}
	assert_null(gz_flow_add(at("10.0.0.1", 0), at("10.0.0.1", 99), 0, NULL, &err));
	for (int i = 0; i < 3; i++)
		gz_flow_del(g[i]);
	gz_flow_del(f);
}

/* Hashes of Microsoft's "Verifying the RSS Hash Calculation", by their last seven bits */
static void packets_are_spread_as_devices_do(void **state)
{
	(void)state;
	gz_nworkers = 16;
	assert_int_equal(gz_spread(at("161.142.100.80", 1766), at("66.9.149.187", 2794)),
			 0x78 % 16);
	assert_int_equal(gz_spread(at("65.69.140.83", 4739), at("199.92.111.2", 14230)), 0x0a % 16);
	assert_int_equal(
	    gz_spread(at("3ffe:2501:200:3::1", 1766), at("3ffe:2501:200:1fff::7", 2794)),
	    0x3d % 16);
	gz_nworkers = 1;
}

/* Ports of connections lead back to their worker; where none does, another one will do. */
static void a_port_leads_to_its_worker(void **state)
{
	static struct gz_worker w[2] = {{.index = 0}, {.index = 1}};
	unsigned there = 0;
	struct gz_flow *f[4];
	int err;

	(void)state;
	gz_nworkers = 2;
	for (unsigned p = 40000; p <= 40003; p++)
		there += gz_spread(at("10.0.0.1", p), at("10.0.0.2", 99)) == 1;
	for (unsigned i = 0; i < 4; i++) {
		f[i] = gz_flow_add(at("10.0.0.1", 0), at("10.0.0.2", 99), 0, &w[1], &err);
		assert_non_null(f[i]);
		assert_int_equal(gz_spread(f[i]->local, f[i]->peer), i < there);
		assert_ptr_equal(gz_flow_worker(f[i]->local, f[i]->peer), &w[1]);
	}
	for (unsigned i = 0; i < 4; i++)
		gz_flow_del(f[i]);
	assert_null(gz_flow_worker(at("10.0.0.1", 40000), at("10.0.0.2", 99)));
	gz_nworkers = 1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(packets_are_spread_as_devices_do),
	    cmocka_unit_test(a_port_leads_to_its_worker),
	    cmocka_unit_test(overlapping_addresses_conflict),
	    cmocka_unit_test(dual_stack_takes_the_ipv4_port),
	    cmocka_unit_test(listeners_are_found_by_both_families),
	    cmocka_unit_test(reuseaddr_shares_until_one_listens),
	    cmocka_unit_test(reuseport_needs_both_and_one_user),
	    cmocka_unit_test(connections_left_need_reuseaddr),
	    cmocka_unit_test(a_four_tuple_is_there_once),
	    cmocka_unit_test(ephemeral_ports_run_out_per_destination),
	    cmocka_unit_test(ephemeral_claims_avoid_what_is_there),
	    cmocka_unit_test(an_ephemeral_port_is_free_both_ways),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}

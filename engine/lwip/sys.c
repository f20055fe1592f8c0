/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sys.c - What lwIP asks of its platform: time, randomness, checksum, ISN
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <rte_cycles.h>

#include "lwip/ip_addr.h"
#include "lwip/sys.h"

#include "engine/keyed.h"
#include "engine/tuple.h"

/** sys_now() - Milliseconds since some start, wraps (lwIP's clock) */
u32_t sys_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u32_t)((uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000);
}

void sys_init(void)
{
}

/** gz_rand() - Unpredictable 32 bits, from a block of getrandom(2) */
unsigned gz_rand(void)
{
	static unsigned pool[64];
	static unsigned left;

	if (!left) {
		if (getrandom(pool, sizeof(pool), 0) != sizeof(pool))
			abort();
		left = sizeof(pool) / sizeof(pool[0]);
	}
	return pool[--left];
}

void gz_lwip_assert(const char *what, const char *file, int line)
{
	fprintf(stderr, "gazelle-engine: lwIP assertion '%s' at %s:%d\n", what, file, line);
	abort();
}

/**
 * gz_chksum() - Internet checksum (RFC 1071), not complemented
 * @data:	Start, any alignment
 * @len:	Bytes
 *
 * A plain sum of 32-bit words into 64 bits, which the compiler vectorises: a
 * 1460-byte segment costs a fifth of lwIP's default algorithm.
 *
 * Return: the folded sum in network order, as LWIP_CHKSUM wants it
 */
__attribute__((optimize("O3"))) uint16_t gz_chksum(const void *data, int len)
{
	const uint8_t *p = data;
	uint64_t sum = 0;
	int words = len >> 2;

	for (int i = 0; i < words; i++) {
		uint32_t w;

		memcpy(&w, p + i * 4, 4);
		sum += w;
	}
	p += words * 4;
	if (len & 2) {
		uint16_t h;

		memcpy(&h, p, 2);
		sum += h;
		p += 2;
	}
	if (len & 1)
		sum += *p;
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static const uint32_t *told;

void gz_tcp_isn_next(const uint32_t *isn)
{
	told = isn;
}

/* F of RFC 6528, of a connection; another one for each @kind */
static uint64_t secret(uint64_t kind, const struct ip_addr *lip, uint16_t lport,
		       const struct ip_addr *rip, uint16_t rport)
{
	static struct gz_key key;
	uint64_t w[GZ_TUPLE_WORDS + 1];
	unsigned n;

	if (!key.k[0])
		key = gz_key_new();
	n = gz_tuple_words(w, lip, lport, rip, rport);
	w[n++] = kind;
	return gz_keyed(&key, w, n);
}

/** gz_tcp_ts_offset() - What a pair of hosts adds to the clock (RFC 7323 section 5.4) */
uint32_t gz_tcp_ts_offset(const struct ip_addr *lip, const struct ip_addr *rip)
{
	return (uint32_t)secret(1, lip, 0, rip, 0);
}

/** gz_tcp_isn() - Initial sequence number (RFC 6528: M + F(four-tuple, key)) */
uint32_t gz_tcp_isn(const struct ip_addr *lip, uint16_t lport, const struct ip_addr *rip,
		    uint16_t rport)
{
	struct timespec t;

	if (told)
		return *told;
	clock_gettime(CLOCK_MONOTONIC, &t);
	/*
	 * M is a timer of 64 ns, as Linux's: with RFC 793's 4 µs a connection that
	 * sent more than 250 kB/s is ahead of it, and a new one of the same
	 * four-tuple looks old to a peer in TIME_WAIT.
	 */
	return (uint32_t)(secret(0, lip, lport, rip, rport) +
			  (((uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec) >> 6));
}

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

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
#define SIPROUND                                                                                   \
	do {                                                                                       \
		v0 += v1;                                                                          \
		v1 = ROTL(v1, 13);                                                                 \
		v1 ^= v0;                                                                          \
		v0 = ROTL(v0, 32);                                                                 \
		v2 += v3;                                                                          \
		v3 = ROTL(v3, 16);                                                                 \
		v3 ^= v2;                                                                          \
		v0 += v3;                                                                          \
		v3 = ROTL(v3, 21);                                                                 \
		v3 ^= v0;                                                                          \
		v2 += v1;                                                                          \
		v1 = ROTL(v1, 17);                                                                 \
		v1 ^= v2;                                                                          \
		v2 = ROTL(v2, 32);                                                                 \
	} while (0)

/* SipHash-1-3 over three words: the keyed function that RFC 6528 asks for. */
static uint64_t keyed(const uint64_t key[2], uint64_t a, uint64_t b, uint64_t c)
{
	const uint64_t in[4] = {a, b, c, 24ULL << 56};
	uint64_t v0 = key[0] ^ 0x736f6d6570736575ULL, v1 = key[1] ^ 0x646f72616e646f6dULL;
	uint64_t v2 = key[0] ^ 0x6c7967656e657261ULL, v3 = key[1] ^ 0x7465646279746573ULL;

	for (unsigned i = 0; i < 4; i++) {
		v3 ^= in[i];
		SIPROUND;
		v0 ^= in[i];
	}
	v2 ^= 0xff;
	SIPROUND;
	SIPROUND;
	SIPROUND;
	return v0 ^ v1 ^ v2 ^ v3;
}

/* F of RFC 6528, of two addresses and @c */
static uint64_t secret(const struct ip_addr *lip, const struct ip_addr *rip, uint64_t c)
{
	static uint64_t key[2];
	uint64_t a = 0, b = 0;

	if (!key[0] && getrandom(key, sizeof(key), 0) != sizeof(key))
		abort();
	if (IP_IS_V4(lip)) {
		a = ip4_addr_get_u32(ip_2_ip4(lip));
		b = ip4_addr_get_u32(ip_2_ip4(rip));
	} else {
		for (unsigned i = 0; i < 4; i++) {
			a = a * 0x9e3779b97f4a7c15ULL + ip_2_ip6(lip)->addr[i];
			b = b * 0x9e3779b97f4a7c15ULL + ip_2_ip6(rip)->addr[i];
		}
	}
	return keyed(key, a, b, c);
}

/** gz_tcp_ts_offset() - What a pair of hosts adds to the clock (RFC 7323 section 5.4) */
uint32_t gz_tcp_ts_offset(const struct ip_addr *lip, const struct ip_addr *rip)
{
	return (uint32_t)secret(lip, rip, 1ULL << 32); /* as no pair of ports */
}

/** gz_tcp_isn() - Initial sequence number (RFC 6528: M + F(four-tuple, key)) */
uint32_t gz_tcp_isn(const struct ip_addr *lip, uint16_t lport, const struct ip_addr *rip,
		    uint16_t rport)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	/*
	 * M is a timer of 64 ns, as Linux's: with RFC 793's 4 µs a connection that
	 * sent more than 250 kB/s is ahead of it, and a new one of the same
	 * four-tuple looks old to a peer in TIME_WAIT.
	 */
	return (uint32_t)(secret(lip, rip, (uint64_t)lport << 16 | rport) +
			  (((uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec) >> 6));
}

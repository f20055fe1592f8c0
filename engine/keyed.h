/* SPDX-License-Identifier: BSD-3-Clause
 *
 * keyed.h - A hash under a secret key: SipHash-1-3
 *
 * For what a stranger must not foresee although it chooses the input: initial
 * sequence numbers, SYN cookies, places in tables.  Aumasson and Bernstein, "SipHash:
 * a fast short-input PRF"; one round a word and three at the end, as Linux's HSipHash
 * and the dictionaries of several languages have it.
 */
#ifndef GZ_KEYED_H
#define GZ_KEYED_H

#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

struct gz_key {
	uint64_t k[2];
};

/** A key of the kernel's (getrandom(2)); without one the engine cannot go on. */
static inline struct gz_key gz_key_new(void)
{
	struct gz_key key;

	if (getrandom(&key, sizeof(key), 0) != sizeof(key))
		abort();
	return key;
}

static inline uint64_t gz_rotl(uint64_t x, unsigned b)
{
	return x << b | x >> (64 - b);
}

static inline void gz_sipround(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = gz_rotl(v[1], 13) ^ v[0];
	v[0] = gz_rotl(v[0], 32);
	v[2] += v[3];
	v[3] = gz_rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = gz_rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = gz_rotl(v[1], 17) ^ v[2];
	v[2] = gz_rotl(v[2], 32);
}

/** gz_keyed() - The hash of @n words; any thread */
static inline uint64_t gz_keyed(const struct gz_key *key, const uint64_t *word, unsigned n)
{
	uint64_t v[4] = {key->k[0] ^ 0x736f6d6570736575ULL, key->k[1] ^ 0x646f72616e646f6dULL,
			 key->k[0] ^ 0x6c7967656e657261ULL, key->k[1] ^ 0x7465646279746573ULL};

	for (unsigned i = 0; i <= n; i++) {
		uint64_t w =
		    i < n ? word[i] : (uint64_t)n << 59; /* bytes, in the upper eight bits */

		v[3] ^= w;
		gz_sipround(v);
		v[0] ^= w;
	}
	v[2] ^= 0xff;
	gz_sipround(v);
	gz_sipround(v);
	gz_sipround(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#endif

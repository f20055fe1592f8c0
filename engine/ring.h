/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ring.h - A socket's byte ring
 *
 * One producer, one consumer.  Positions count bytes since the last reset and
 * never wrap in practice (64 bits); the buffer is a power of two.  It is made
 * on the first byte, and a ring that runs empty starts again at its first page,
 * so that a connection with small messages touches one page and not all.  It grows
 * by touching more, and gz_ring_trim() gives back what was not used of late.
 *
 * tx has a third position between the two: what the stack was already given
 * and still references, until the peer acknowledges it.  So a ring that grows keeps its
 * old buffer until the last byte there is consumed.
 */
#ifndef GZ_RING_H
#define GZ_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#define GZ_RX_RING (256u * 1024)
#define GZ_RX_MOST (4u << 20)	 /* lwIP's TCP_WND; see window.c */
#define GZ_TX_RING (256u * 1024) /* lwIP's TCP_SND_BUF */
#define GZ_TX_MOST (4u << 20)	 /* where the path takes it; as Linux' tcp_wmem */

struct gz_ring {
	uint8_t *data;
	uint32_t size; /* power of two */
	uint64_t head; /* consumer: next byte to take (tx: acknowledged) */
	uint64_t mid;  /* tx: next byte for the stack */
	uint64_t tail; /* producer: next byte to fill */
	uint8_t *old;  /* where what comes before @turn is; NULL: nothing does */
	uint32_t old_size;
	uint64_t turn;
	uint32_t touched, recent; /* bytes from the first: used ever, since gz_ring_trim() */
};

/** Address space for a ring, whose pages are made by touching them (ring.c); any thread */
void *gz_ring_memory(uint32_t size);
/** And back: its first @touched bytes may have pages */
void gz_ring_memory_free(void *p, uint32_t size, uint32_t touched);
/** The pages of bytes @from to @to go back to the kernel. */
void gz_ring_memory_forget(uint8_t *p, uint32_t from, uint32_t to);

/** Make the buffer.  Return: false without memory */
static inline bool gz_ring_ready(struct gz_ring *r, uint32_t size)
{
	void *p;

	if (r->data)
		return true;
	p = gz_ring_memory(size);
	if (!p)
		return false;
	memset(r, 0, sizeof(*r));
	r->data = p;
	r->size = size;
	return true;
}

static inline void gz_ring_free_old(struct gz_ring *r)
{
	if (r->old)
		gz_ring_memory_free(r->old, r->old_size, r->old_size);
	r->old = NULL;
	r->turn = 0;
}

/** A buffer of @size, a larger power of two.  Return: false without memory, or while it grows */
static inline bool gz_ring_grow(struct gz_ring *r, uint32_t size)
{
	void *p;

	if (r->old)
		return false;
	p = gz_ring_memory(size);
	if (!p)
		return false;
	r->old = r->data;
	r->old_size = r->size;
	r->turn = r->tail;
	r->data = p;
	r->size = size;
	r->touched = r->recent = 0;
	if (r->head == r->tail)
		gz_ring_free_old(r);
	return true;
}

static inline uint32_t gz_ring_used(const struct gz_ring *r)
{
	return (uint32_t)(r->tail - r->head);
}

static inline uint32_t gz_ring_room(const struct gz_ring *r)
{
	return r->size - gz_ring_used(r);
}

/**
 * Pieces of @len bytes at position @pos; of those before the turn only, if it begins there.
 * Return: 0, 1 or 2
 */
static inline int gz_ring_iov(const struct gz_ring *r, uint64_t pos, uint32_t len,
			      struct iovec iov[2])
{
	bool old = pos < r->turn;
	uint8_t *data = old ? r->old : r->data;
	uint32_t size = old ? r->old_size : r->size;
	uint32_t at = (uint32_t)pos & (size - 1);
	uint32_t first = size - at;

	if (old && len > r->turn - pos)
		len = (uint32_t)(r->turn - pos);
	if (!len)
		return 0;
	iov[0].iov_base = data + at;
	if (len <= first) {
		iov[0].iov_len = len;
		return 1;
	}
	iov[0].iov_len = first;
	iov[1].iov_base = data;
	iov[1].iov_len = len - first;
	return 2;
}

/** Copy @len bytes in; the caller knows that there is room. */
static inline void gz_ring_put(struct gz_ring *r, const void *src, uint32_t len)
{
	struct iovec v[2];
	int n = gz_ring_iov(r, r->tail, len, v);

	for (int i = 0; i < n; i++) {
		memcpy(v[i].iov_base, src, v[i].iov_len);
		src = (const uint8_t *)src + v[i].iov_len;
	}
	r->tail += len;
}

/* It is about to start again at its first byte: how far did it come? */
static inline void gz_ring_note(struct gz_ring *r)
{
	uint32_t n = r->tail < r->size ? (uint32_t)r->tail : r->size;

	r->touched = r->touched > n ? r->touched : n;
	r->recent = r->recent > n ? r->recent : n;
}

static inline void gz_ring_consume(struct gz_ring *r, uint32_t len)
{
	r->head += len;
	if (r->old && r->head >= r->turn)
		gz_ring_free_old(r);
	if (r->head == r->tail) {
		gz_ring_note(r);
		r->head = r->mid = r->tail = 0;
	}
}

static inline void gz_ring_free(struct gz_ring *r)
{
	gz_ring_free_old(r);
	gz_ring_note(r);
	if (r->data)
		gz_ring_memory_free(r->data, r->size, r->touched);
	memset(r, 0, sizeof(*r));
}

/**
 * gz_ring_trim() - Give memory back, if the ring is empty
 * @idle:	All of it; else what was not used since the last time
 */
static inline void gz_ring_trim(struct gz_ring *r, bool idle)
{
	if (!r->data || gz_ring_used(r))
		return;
	if (idle) {
		gz_ring_free(r);
		return;
	}
	if (r->touched > r->recent)
		gz_ring_memory_forget(r->data, r->recent, r->touched);
	r->touched = r->recent;
	r->recent = 0;
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ring_test.c - The byte ring: order, wrap, room, the two pieces, reset
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/ring.h"

#define SIZE 4096u

static void bytes_keep_their_order_over_many_wraps(void **state)
{
	struct gz_ring r = {0};
	uint8_t in[1000], want = 0, next = 0;
	uint64_t put = 0, got = 0;

	(void)state;
	assert_true(gz_ring_ready(&r, SIZE));
	srand(7);
	for (int i = 0; i < 20000; i++) {
		uint32_t n = (uint32_t)rand() % sizeof(in);
		struct iovec v[2];
		int pieces;

		if (n > gz_ring_room(&r))
			n = gz_ring_room(&r);
		for (uint32_t k = 0; k < n; k++)
			in[k] = next++;
		gz_ring_put(&r, in, n);
		put += n;
		assert_int_equal(gz_ring_used(&r), put - got);
		n = (uint32_t)rand() % sizeof(in);
		if (n > gz_ring_used(&r))
			n = gz_ring_used(&r);
		pieces = gz_ring_iov(&r, r.head, n, v);
		assert_true(n ? pieces == 1 || pieces == 2 : pieces == 0);
		for (int p = 0; p < pieces; p++)
			for (size_t k = 0; k < v[p].iov_len; k++)
				assert_int_equal(((uint8_t *)v[p].iov_base)[k], want++);
		gz_ring_consume(&r, n);
		got += n;
	}
	assert_true(put > 100 * SIZE);
	gz_ring_free(&r);
}

static void full_has_no_room_and_two_pieces(void **state)
{
	struct gz_ring *r = calloc(1, sizeof(*r));
	static uint8_t fill[SIZE];
	struct iovec v[2] = {0};

	(void)state;
	assert_non_null(r);
	assert_true(gz_ring_ready(r, SIZE));
	gz_ring_put(r, fill, 100);
	gz_ring_consume(r, 60);
	gz_ring_put(r, fill, SIZE - 40);
	assert_int_equal(gz_ring_room(r), 0);
	assert_int_equal(gz_ring_iov(r, r->head, gz_ring_used(r), v), 2);
	assert_int_equal(v[0].iov_len + v[1].iov_len, SIZE);
	assert_ptr_equal(v[1].iov_base, r->data);
	gz_ring_free(r);
	assert_null(r->data);
	free(r);
}

/* A connection with small messages must not walk through all its pages. */
static void empty_starts_at_the_first_page(void **state)
{
	struct gz_ring r = {0};

	(void)state;
	assert_true(gz_ring_ready(&r, SIZE));
	for (int i = 0; i < 100; i++) {
		gz_ring_put(&r, "hello", 5);
		r.mid = r.tail; /* given to the stack, as tx is */
		gz_ring_consume(&r, 5);
		assert_int_equal(r.tail, 0);
		assert_int_equal(r.mid, 0);
	}
	gz_ring_free(&r);
}

static void growing_moves_no_byte(void **state)
{
	struct gz_ring r = {0};
	uint8_t in[8000], out[8000];
	struct iovec v[2];
	const uint8_t *first;
	uint32_t got = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i * 7 + i / 256);
	assert_true(gz_ring_ready(&r, SIZE));
	if (!r.data)
		return;
	/* It begins in the middle, wraps, and is full. */
	gz_ring_put(&r, in, 3000);
	gz_ring_consume(&r, 2000);
	gz_ring_put(&r, in + 3000, SIZE - 1000 - 500);
	first = r.data + 2000;
	assert_true(gz_ring_grow(&r, 2 * SIZE));
	assert_false(gz_ring_grow(&r, 4 * SIZE)); /* one turn at a time */
	assert_int_equal(gz_ring_room(&r), 2 * SIZE - (SIZE - 500));
	gz_ring_iov(&r, r.head, 1, v);
	assert_ptr_equal(v[0].iov_base, first); /* the stack may refer to it */
	memset(out, 0, sizeof(out));
	gz_ring_put(&r, in, 300); /* into the new buffer */
	while (gz_ring_used(&r)) {
		int n = gz_ring_iov(&r, r.head, gz_ring_used(&r), v);
		uint32_t len = 0;

		assert_in_range(n, 1, 2);
		for (int i = 0; i < n; i++) {
			memcpy(out + got + len, v[i].iov_base, v[i].iov_len);
			len += (uint32_t)v[i].iov_len;
		}
		got += len;
		gz_ring_consume(&r, len);
	}
	assert_int_equal(got, SIZE - 500 + 300);
	assert_memory_equal(out, in + 2000, SIZE - 500);
	assert_memory_equal(out + SIZE - 500, in, 300);
	assert_null(r.old);
	assert_true(gz_ring_grow(&r, 4 * SIZE)); /* empty: there is nothing to keep */
	assert_null(r.old);
	gz_ring_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(growing_moves_no_byte),
	    cmocka_unit_test(bytes_keep_their_order_over_many_wraps),
	    cmocka_unit_test(full_has_no_room_and_two_pieces),
	    cmocka_unit_test(empty_starts_at_the_first_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

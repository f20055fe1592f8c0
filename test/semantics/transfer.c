/* SPDX-License-Identifier: BSD-3-Clause
 *
 * transfer.c - Every byte arrives, once, in order: both directions at once
 *
 * The stream is a function of position and direction, so that each end checks
 * what it reads without the other's help.  GZ_TRANSFER_MB changes the size.
 */
#include "check.h"

#define CHUNK_MAX (256 << 10)

struct flow {
	int fd;
	uint64_t key; /* direction: both ends agree */
	size_t total;
	size_t chunk; /* largest single call */
	bool polled;  /* non-blocking descriptor, wait by poll() */
};

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static void fill(uint8_t *buf, size_t n, uint64_t key, size_t at)
{
	while (n) {
		uint64_t word = mix(key + at / 8);
		size_t skip = at % 8, k = 8 - skip < n ? 8 - skip : n;

		memcpy(buf, (uint8_t *)&word + skip, k);
		buf += k;
		at += k;
		n -= k;
	}
}

static void wait_polled(const struct flow *f, short what)
{
	struct pollfd p = {.fd = f->fd, .events = what};

	CHECK(f->polled && errno == EAGAIN);
	CHECK_EQ(poll(&p, 1, 10000), 1);
}

static void *produce(void *arg)
{
	const struct flow *f = arg;
	uint8_t *buf = malloc(CHUNK_MAX);
	unsigned seed = (unsigned)f->key;

	for (size_t at = 0; at < f->total;) {
		size_t n = 1 + (size_t)rand_r(&seed) % f->chunk;

		if (n > f->total - at)
			n = f->total - at;
		fill(buf, n, f->key, at);
		for (size_t done = 0; done < n;) {
			ssize_t k = send(f->fd, buf + done, n - done, MSG_NOSIGNAL);

			if (k < 0)
				wait_polled(f, POLLOUT);
			else
				done += (size_t)k;
		}
		at += n;
	}
	OK(shutdown(f->fd, SHUT_WR));
	free(buf);
	return NULL;
}

static void *consume(void *arg)
{
	const struct flow *f = arg;
	uint8_t *buf = malloc(CHUNK_MAX), *want = malloc(CHUNK_MAX);
	unsigned seed = (unsigned)f->key + 1;

	for (size_t at = 0;;) {
		ssize_t k = read(f->fd, buf, 1 + (size_t)rand_r(&seed) % f->chunk);

		if (k < 0) {
			wait_polled(f, POLLIN);
			continue;
		}
		if (!k) {
			CHECK_EQ(at, f->total);
			break;
		}
		CHECK((size_t)k <= f->total - at);
		fill(want, (size_t)k, f->key, at);
		if (memcmp(buf, want, (size_t)k)) {
			size_t i = 0;

			while (buf[i] == want[i])
				i++;
			check_fail(__FILE__, __LINE__, "wrong byte at %zu of %zu", at + i,
				   f->total);
		}
		at += (size_t)k;
	}
	free(buf);
	free(want);
	return NULL;
}

static size_t megabytes(size_t n)
{
	const char *text = getenv("GZ_TRANSFER_MB");

	return (text && *text ? (size_t)atoi(text) : n) << 20;
}

static void both_ways(size_t total, size_t chunk, bool polled)
{
	struct flow up, down, up_in, down_in;
	pthread_t t[4];
	int fd[2];

	DEADLINE(60);
	tcp_pair(fd);
	if (polled) {
		set_nonblock(fd[0]);
		set_nonblock(fd[1]);
	}
	up = (struct flow){fd[0], 1u << 20, total, chunk, polled};
	down = (struct flow){fd[1], 7u << 28, total, chunk, polled};
	up_in = up;
	up_in.fd = fd[1];
	down_in = down;
	down_in.fd = fd[0];
	t[0] = thread(produce, &up);
	t[1] = thread(produce, &down);
	t[2] = thread(consume, &up_in);
	t[3] = thread(consume, &down_in);
	for (int i = 0; i < 4; i++)
		join(t[i]);
}

static void blocking(void)
{
	both_ways(megabytes(64), CHUNK_MAX, false);
}

static void nonblocking(void)
{
	both_ways(megabytes(64) / 4, CHUNK_MAX, true);
}

static void tiny_chunks(void)
{
	both_ways(1 << 20, 24, false);
}

static void odd_sizes_without_nagle(void)
{
	int fd[2];
	static uint8_t buf[4096], got[4096];

	tcp_pair(fd);
	set_option(fd[0], IPPROTO_TCP, TCP_NODELAY, 1);
	for (size_t n = 1; n < sizeof(buf); n += 37) {
		fill(buf, n, n, 0);
		write_all(fd[0], buf, n);
		CHECK_EQ(read_all(fd[1], got, n), n);
		CHECK_EQ(memcmp(buf, got, n), 0);
	}
}

/* Request and answer by turns: nothing waits for a timer. */
static void ping_pong(void)
{
	int fd[2];
	long long start;

	tcp_pair(fd);
	start = now_ms();
	for (int i = 0; i < 2000; i++) {
		expect_text(fd[0], fd[1], "ping");
		expect_text(fd[1], fd[0], "pong");
	}
	CHECK(now_ms() - start < 8000);
}

CHECK_MAIN(CASE(blocking), CASE(nonblocking), CASE(tiny_chunks), CASE(odd_sizes_without_nagle),
	   CASE(ping_pong))

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * hostile_client.c - A client of dispatch that means harm: rings, memory, messages
 *
 *	hostile_client PATH SEED SECONDS [headers]
 *
 * Listens at PATH as an engine does, and serves one connection of dispatch's after the
 * other: the rings are agreed upon (vhost_user.h), then filled with descriptors and frames that are
 * random, or nearly right; then the connection ends in one of several bad ways.
 * Prints what it did; dispatch must not mind.  With "headers" all offloads are agreed upon,
 * and rings and memory are fine: of what an engine's vhost port is given only the frames
 * and their headers of virtio are random.
 */
#include <poll.h>
#include <stdlib.h>
#include <time.h>

#include "vhost_user.h"

#define SESSION_MS 300

static uint64_t seed;
static bool headers;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* What else there is, now and then; even what was not offered */
static uint64_t some_features(uint64_t offered)
{
	offered &= VERSION_1 | PROTOCOL_FEATURES |
		   (rnd() % 4 ? 1ull << VIRTIO_NET_F_MRG_RXBUF : 0) |
		   (rnd() % 4 ? 1ull << VIRTIO_RING_F_INDIRECT_DESC : 0) |
		   (rnd() % 4 ? 1ull << VIRTIO_NET_F_MQ : 0);
	if (headers || rnd() % 8 == 0)
		offered |= 1ull << VIRTIO_NET_F_CSUM | 1ull << VIRTIO_NET_F_HOST_TSO4;
	return offered;
}

/* A frame, of a known kind or none, with random fields */
static void make_frame(uint8_t *f)
{
	static const uint16_t types[] = {0x0800, 0x0806, 0x86dd, 0x8100, 0x88cc};
	uint16_t type = types[rnd() % 5];

	for (unsigned i = 0; i < 128; i += 8) {
		uint64_t r = rnd();

		memcpy(f + i, &r, 8);
	}
	if (headers) { /* sizes and offsets stay random */
		f[0] &= 3;
		f[1] &= 0x87;
		if (rnd() % 2) /* a plausible csum_start */
			f[7] = 0;
	} else {
		memset(f, 0, HEADER);
	}
	f[HEADER + 6] &= 0xfe;
	if (rnd() % 8 == 0)
		return;
	f[HEADER + 12] = (uint8_t)(type >> 8);
	f[HEADER + 13] = (uint8_t)type;
	if (type == 0x0800 && rnd() % 4) {
		static const uint8_t address[] = {10, 1, 0, 2};

		f[HEADER + 14] = 0x45;
		if (headers && rnd() % 2) { /* TCP or UDP, as long as it says */
			f[HEADER + 16] = 0;
			f[HEADER + 20] = f[HEADER + 21] = 0;
			f[HEADER + 23] = rnd() % 2 ? 6 : 17;
		}
		memcpy(f + HEADER + 26, address, 4);
	} else if (type == 0x86dd && rnd() % 4) {
		f[HEADER + 14] = 0x60;
	}
}

/* Of a frame in @len bytes: a segment of TCP to the other client, of any size */
static void make_segment(uint8_t *f, uint32_t len)
{
	static const uint8_t addresses[] = {10, 1, 0, 2, 10, 1, 0, 3}, mac[] = {2, 0, 0, 0, 0, 5};
	uint16_t size = (uint16_t)(rnd() % 1500);

	if (len < HEADER + 54)
		return;
	len -= HEADER + 14;
	f[0] = f[1] = 1; /* VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4 */
	memcpy(f + 4, &size, 2);
	memcpy(f + HEADER + 6, mac, 6);
	f[HEADER + 12] = 8;
	f[HEADER + 13] = 0;
	f[HEADER + 14] = 0x45;
	f[HEADER + 16] = (uint8_t)(len >> 8);
	f[HEADER + 17] = (uint8_t)len;
	f[HEADER + 20] = f[HEADER + 21] = 0;
	f[HEADER + 23] = 6;
	memcpy(f + HEADER + 26, addresses, 8);
	f[HEADER + 34 + 12] = 0x50;
}

static uint32_t some_length(void)
{
	static const uint32_t lengths[] = {0,  1,    11,   12,	  13,	 26,	     60,
					   72, 1526, 4096, 65535, 65536, 0x7fffffff, 0xffffffff};

	return rnd() % 3 ? 26 + (uint32_t)(rnd() % 1500) : lengths[rnd() % 14];
}

static uint64_t some_address(void)
{
	switch (rnd() % 8) {
	case 0:
		return rnd();
	case 1:
		return c.base + MEMORY - rnd() % 64; /* across its end */
	case 2:
		return c.base - rnd() % 64;
	case 3:
		return c.base + rnd() % 32768; /* the rings themselves */
	default:
		return c.base + BUFFERS + rnd() % (MEMORY - BUFFERS - 2048);
	}
}

/* A burst of descriptors in ring @i, some of them as they should be */
static void fill(unsigned i)
{
	struct vring r = ring(i);
	uint16_t idx = r.avail->idx;
	unsigned n = (unsigned)(rnd() % 64);

	for (unsigned k = 0; k < n; k++) {
		uint16_t d = (uint16_t)(rnd() % NUM);
		uint64_t at = some_address();

		r.desc[d].addr = at;
		r.desc[d].len = some_length();
		r.desc[d].flags =
		    rnd() % 4 ? (i % 2 ? 0 : VRING_DESC_F_WRITE) : (uint16_t)(rnd() % 8);
		if (headers) {
			at = c.base + BUFFERS + rnd() % (MEMORY - BUFFERS - 65536);
			r.desc[d].addr = at;
			r.desc[d].len =
			    i % 2 ? 26 + (uint32_t)(rnd() % (rnd() % 8 ? 1500 : 65000)) : 2048;
			r.desc[d].flags = i % 2 ? 0 : VRING_DESC_F_WRITE;
		}
		r.desc[d].next = (uint16_t)(rnd() % (rnd() % 8 ? NUM : 65536));
		if (at >= c.base + BUFFERS && at < c.base + MEMORY - 2048)
			make_frame(c.memory + (at - c.base));
		if (headers && i % 2 && rnd() % 4 == 0)
			make_segment(c.memory + (at - c.base), r.desc[d].len);
		r.avail->ring[idx++ % NUM] = headers || rnd() % 16 ? d : (uint16_t)rnd();
	}
	__sync_synchronize();
	r.avail->idx = headers || rnd() % 64 ? idx : (uint16_t)rnd();
	if (!headers && rnd() % 16 == 0)
		r.used->idx = (uint16_t)rnd();
	r.avail->flags = (uint16_t)(rnd() % 2);
	eventfd_write(c.kick[i], 1);
}

/* --- endings ------------------------------------------------------------------ */

static void random_messages(void)
{
	for (unsigned k = 0; k < 50; k++) {
		struct message m;
		uint8_t *bytes = (uint8_t *)&m;

		for (unsigned i = 0; i < sizeof(m); i++)
			bytes[i] = (uint8_t)rnd();
		m.request = (uint32_t)(rnd() % REQUESTS);
		if (!send_message(&m, (uint32_t)(rnd() % 64), rnd() % 4 ? -1 : c.memfd))
			return;
	}
}

static void finish(unsigned how)
{
	switch (how % 4) {
	case 0: /* the memory is gone under dispatch's hands */
		if (ftruncate(c.memfd, 0))
			perror("ftruncate");
		eventfd_write(c.kick[1], 1);
		usleep(50000);
		break;
	case 1:
		random_messages();
		break;
	case 2: { /* half a message */
		const uint32_t half[2] = {SET_VRING_NUM, FLAG_VERSION};

		send(c.sock, half, sizeof(half), MSG_NOSIGNAL);
		usleep(10000);
		break;
	}
	default:
		break;
	}
}

static bool session(unsigned number)
{
	uint64_t until = now_ms() + SESSION_MS;
	bool up;

	if (!begin())
		return false;
	up = agree(some_features);
	while (up && now_ms() < until) {
		fill((unsigned)(rnd() % RINGS));
		if (rnd() % 32 == 0)
			usleep(1000);
	}
	if (up && !headers)
		finish(number);
	munmap(c.memory, MEMORY);
	close(c.memfd);
	for (unsigned i = 0; i < RINGS; i++) {
		close(c.kick[i]);
		close(c.call[i]);
	}
	return up;
}

int main(int argc, char **argv)
{
	unsigned sessions = 0, agreed = 0;
	uint64_t end;
	int listener;

	if (argc != 4 && argc != 5)
		return 2;
	headers = argc == 5 && !strcmp(argv[4], "headers");
	seed = strtoull(argv[2], NULL, 0) * 0x9e3779b97f4a7c15ull | 1;
	end = now_ms() + strtoull(argv[3], NULL, 0) * 1000;
	listener = listen_at(argv[1]);
	if (listener < 0)
		return 1;
	while (now_ms() < end) {
		struct pollfd p = {.fd = listener, .events = POLLIN};

		if (poll(&p, 1, 100) != 1)
			continue;
		take(listener);
		agreed += session(sessions++);
		close(c.sock);
	}
	unlink(argv[1]);
	printf("%u sessions, %u with rings\n", sessions, agreed);
	return agreed ? 0 : 1;
}

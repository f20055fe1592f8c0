/* SPDX-License-Identifier: BSD-3-Clause
 *
 * hostile_client.c - A client of dispatch that means harm: rings, memory, messages
 *
 *	hostile_client PATH SEED SECONDS [headers]
 *
 * Listens at PATH as an engine does, and serves one connection of dispatch's after the
 * other: the rings are agreed upon as the vhost-user protocol has it (QEMU's
 * docs/interop/vhost-user.rst), then filled with descriptors and frames that are
 * random, or nearly right; then the connection ends in one of several bad ways.
 * Prints what it did; dispatch must not mind.  With "headers" all offloads are agreed upon,
 * and rings and memory are fine: of what an engine's vhost port is given only the frames
 * and their headers of virtio are random.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MEMORY (4u << 20)
#define NUM 256u       /* descriptors of a ring */
#define BUFFERS 65536u /* where frames begin in memory */
#define SESSION_MS 300
#define HEADER 12u /* struct virtio_net_hdr_mrg_rxbuf */

enum {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	SET_VRING_ENABLE = 18,
	SET_STATUS = 39,
	REQUESTS = 45,
};

#define PROTOCOL_FEATURES (1ull << 30)
#define VERSION_1 (1ull << 32)
#define FLAG_VERSION 1u

struct message {
	uint32_t request, flags, size;
	union {
		uint64_t u64;
		struct {
			uint32_t index, num;
		} state;
		struct {
			uint32_t index, flags;
			uint64_t desc, used, avail, log;
		} addr;
		struct {
			uint32_t n, padding;
			uint64_t guest, size, user, offset;
		} memory;
		uint8_t bytes[256];
	} u;
} __attribute__((packed));

static struct {
	int sock, memfd, kick[2], call[2];
	uint8_t *memory;
	uint64_t base; /* where dispatch is told that it is */
} c;

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

/* --- messages --------------------------------------------------------------- */

static bool send_message(struct message *m, uint32_t size, int fd)
{
	struct iovec iov = {.iov_base = m, .iov_len = 12 + size};
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *cmsg;

	m->flags = FLAG_VERSION;
	m->size = size;
	if (fd >= 0) {
		h.msg_control = control;
		h.msg_controllen = sizeof(control);
		cmsg = CMSG_FIRSTHDR(&h);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	}
	return sendmsg(c.sock, &h, MSG_NOSIGNAL) == (ssize_t)iov.iov_len;
}

static bool send_u64(uint32_t request, uint64_t v, int fd)
{
	struct message m = {.request = request, .u.u64 = v};

	return send_message(&m, 8, fd);
}

static bool send_state(uint32_t request, uint32_t index, uint32_t num)
{
	struct message m = {.request = request, .u.state = {index, num}};

	return send_message(&m, 8, -1);
}

static uint64_t ask(uint32_t request)
{
	struct message m = {.request = request};

	if (!send_message(&m, 0, -1) || recv(c.sock, &m, sizeof(m), 0) < 20)
		return 0;
	return m.u.u64;
}

/* --- rings ------------------------------------------------------------------- */

static struct vring ring(unsigned i)
{
	struct vring r;

	vring_init(&r, NUM, c.memory + i * 16384, 4096);
	return r;
}

static uint64_t where(const void *p)
{
	return c.base + (uint64_t)((const uint8_t *)p - c.memory);
}

static bool agree(void)
{
	uint64_t features = ask(GET_FEATURES);
	struct message m = {.request = SET_MEM_TABLE,
			    .u.memory = {.n = 1, .guest = c.base, .size = MEMORY, .user = c.base}};

	if (!(features & PROTOCOL_FEATURES))
		return false;
	send_u64(SET_PROTOCOL_FEATURES, ask(GET_PROTOCOL_FEATURES), -1);
	m.request = SET_OWNER;
	send_message(&m, 0, -1);
	/* what else there is, now and then; even what was not offered */
	features &= VERSION_1 | PROTOCOL_FEATURES |
		    (rnd() % 4 ? 1ull << VIRTIO_NET_F_MRG_RXBUF : 0) |
		    (rnd() % 4 ? 1ull << VIRTIO_RING_F_INDIRECT_DESC : 0);
	if (headers || rnd() % 8 == 0)
		features |= 1ull << VIRTIO_NET_F_CSUM | 1ull << VIRTIO_NET_F_HOST_TSO4;
	send_u64(SET_FEATURES, features, -1);
	m.request = SET_MEM_TABLE;
	send_message(&m, 40, c.memfd);
	for (uint32_t i = 0; i < 2; i++) {
		struct vring r = ring(i);
		struct message a = {.request = SET_VRING_ADDR,
				    .u.addr = {.index = i,
					       .desc = where(r.desc),
					       .used = where(r.used),
					       .avail = where(r.avail)}};

		send_state(SET_VRING_NUM, i, NUM);
		send_state(SET_VRING_BASE, i, 0);
		send_message(&a, 40, -1);
		send_u64(SET_VRING_CALL, i, c.call[i]);
		send_u64(SET_VRING_KICK, i, c.kick[i]);
		send_state(SET_VRING_ENABLE, i, 1);
	}
	send_u64(SET_STATUS, 15 /* virtio 1.1, 2.1: DRIVER_OK and before */, -1);
	return true;
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
		r.desc[d].flags = rnd() % 4 ? (i ? 0 : VRING_DESC_F_WRITE) : (uint16_t)(rnd() % 8);
		if (headers) {
			at = c.base + BUFFERS + rnd() % (MEMORY - BUFFERS - 65536);
			r.desc[d].addr = at;
			r.desc[d].len =
			    i ? 26 + (uint32_t)(rnd() % (rnd() % 8 ? 1500 : 65000)) : 2048;
			r.desc[d].flags = i ? 0 : VRING_DESC_F_WRITE;
		}
		r.desc[d].next = (uint16_t)(rnd() % (rnd() % 8 ? NUM : 65536));
		if (at >= c.base + BUFFERS && at < c.base + MEMORY - 2048)
			make_frame(c.memory + (at - c.base));
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

	c.memfd = memfd_create("hostile", MFD_CLOEXEC);
	if (c.memfd < 0 || ftruncate(c.memfd, MEMORY))
		return false;
	c.memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, c.memfd, 0);
	if (c.memory == MAP_FAILED)
		return false;
	c.base = 0x40000000;
	for (unsigned i = 0; i < 2; i++) {
		c.kick[i] = eventfd(0, EFD_NONBLOCK);
		c.call[i] = eventfd(0, EFD_NONBLOCK);
	}
	up = agree();
	while (up && now_ms() < until) {
		fill((unsigned)(rnd() % 2));
		if (rnd() % 32 == 0)
			usleep(1000);
	}
	if (up && !headers)
		finish(number);
	munmap(c.memory, MEMORY);
	close(c.memfd);
	for (unsigned i = 0; i < 2; i++) {
		close(c.kick[i]);
		close(c.call[i]);
	}
	return up;
}

int main(int argc, char **argv)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	unsigned sessions = 0, agreed = 0;
	const struct timeval limit = {.tv_sec = 2};
	uint64_t end;
	int listener;

	if (argc != 4 && argc != 5)
		return 2;
	headers = argc == 5 && !strcmp(argv[4], "headers");
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", argv[1]);
	seed = strtoull(argv[2], NULL, 0) * 0x9e3779b97f4a7c15ull | 1;
	end = now_ms() + strtoull(argv[3], NULL, 0) * 1000;
	unlink(argv[1]);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&sun, sizeof(sun)) || listen(listener, 4)) {
		perror(argv[1]);
		return 1;
	}
	while (now_ms() < end) {
		struct pollfd p = {.fd = listener, .events = POLLIN};

		if (poll(&p, 1, 100) != 1)
			continue;
		c.sock = accept(listener, NULL, NULL);
		setsockopt(c.sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		agreed += session(sessions++);
		close(c.sock);
	}
	unlink(argv[1]);
	printf("%u sessions, %u with rings\n", sessions, agreed);
	return agreed ? 0 : 1;
}

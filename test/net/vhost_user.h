/* SPDX-License-Identifier: BSD-3-Clause
 *
 * vhost_user.h - A client of dispatch's by hand: its socket, its messages, its rings
 *
 * Listens as an engine does, and agrees upon rings as the vhost-user protocol has it (QEMU's
 * docs/interop/vhost-user.rst).  What is done with them is the program's that includes this.
 */
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define MEMORY (4u << 20)
#define NUM 256u       /* descriptors of a ring */
#define BUFFERS 65536u /* where frames begin in memory */
#define RINGS 4u       /* two pairs */
#define HEADER 12u     /* struct virtio_net_hdr_mrg_rxbuf */

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
	REQUESTS = 45, /* a number beyond them all */
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
	int sock, memfd, kick[RINGS], call[RINGS];
	uint8_t *memory;
	uint64_t base; /* where dispatch is told that it is */
} c;

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

/** agree() - @choose: features, of those that are offered.  Return: false if that is nothing to go
 * on with */
static bool agree(uint64_t (*choose)(uint64_t offered))
{
	uint64_t features = ask(GET_FEATURES);
	struct message m = {.request = SET_MEM_TABLE,
			    .u.memory = {.n = 1, .guest = c.base, .size = MEMORY, .user = c.base}};

	if (!(features & PROTOCOL_FEATURES))
		return false;
	send_u64(SET_PROTOCOL_FEATURES, ask(GET_PROTOCOL_FEATURES), -1);
	m.request = SET_OWNER;
	send_message(&m, 0, -1);
	send_u64(SET_FEATURES, choose(features), -1);
	m.request = SET_MEM_TABLE;
	send_message(&m, 40, c.memfd);
	for (uint32_t i = 0; i < RINGS; i++) {
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

/** begin() - Memory and eventfds of a session.  Return: false without */
static bool begin(void)
{
	c.memfd = memfd_create("client", MFD_CLOEXEC);
	if (c.memfd < 0 || ftruncate(c.memfd, MEMORY))
		return false;
	c.memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, c.memfd, 0);
	if (c.memory == MAP_FAILED)
		return false;
	c.base = 0x40000000;
	for (unsigned i = 0; i < RINGS; i++) {
		c.kick[i] = eventfd(0, EFD_NONBLOCK);
		c.call[i] = eventfd(0, EFD_NONBLOCK);
	}
	return true;
}

/** listen_at() - Return: a socket, -1 with the reason on standard error */
static int listen_at(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	unlink(path);
	if (bind(listener, (struct sockaddr *)&sun, sizeof(sun)) || listen(listener, 4)) {
		perror(path);
		return -1;
	}
	return listener;
}

/** take() - A connection of dispatch's, whose silence is not waited for */
static void take(int listener)
{
	const struct timeval limit = {.tv_sec = 2};

	c.sock = accept(listener, NULL, NULL);
	setsockopt(c.sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * attach.c - Engines that mean harm, at dispatch's control socket
 *
 *	attach SOCKET DIR SECONDS SEED NAME VICTIM
 *
 * Requests that are random, or nearly right, with descriptors of all kinds or none: of
 * client NAME, which this process may be, and of VICTIM, who is attached already; answers
 * are not read, connections are left in the middle, many are opened and say nothing.
 * Prints how many requests there were, and how many were granted.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "dispatch/attach.h"

#define HELD 48 /* connections at a time */
#define DESCRIPTORS 8

static uint64_t seed;
static unsigned long sent, granted;
static const char *names[3];
static int descriptors[DESCRIPTORS];

static unsigned rnd(unsigned below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed % below);
}

/* What may be passed: a socket that listens, its inode, one that nobody is at, others */
static void make_descriptors(const char *dir, const char *control)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int n = 0, pair[2];

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/fuzz.vhost", dir);
	descriptors[n++] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (bind(descriptors[0], (struct sockaddr *)&a, sizeof(a)) || listen(descriptors[0], 4))
		exit(2);
	descriptors[n++] = open(a.sun_path, O_PATH);
	descriptors[n++] = open(control, O_PATH);
	descriptors[n++] = open(dir, O_PATH);
	descriptors[n++] = eventfd(0, 0);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		exit(2);
	descriptors[n++] = pair[0];
	descriptors[n++] = open("/dev/null", O_RDWR);
	descriptors[n] = open("/proc/self/mem", O_RDONLY);
}

static void fill(struct gz_attach_request *r)
{
	*r = (struct gz_attach_request){.magic = GZ_ATTACH_MAGIC,
					.version = GZ_ATTACH_VERSION,
					.op = (uint16_t)(1 + rnd(4)),
					.naddrs = 1,
					.port_lo = (uint16_t)(rnd(4) ? 1 + rnd(100) : rnd(65536)),
					.port_hi = (uint16_t)rnd(65536),
					.lease_lo = (uint16_t)(rnd(4) ? 0 : rnd(65536)),
					.lease_hi = (uint16_t)rnd(65536),
					.udp = rnd(3)};
	snprintf(r->name, sizeof(r->name), "%s", names[rnd(3)]);
	for (unsigned i = 0; i < GZ_ATTACH_ADDRS; i++) {
		r->addr[i].s6_addr[10] = r->addr[i].s6_addr[11] = 0xff;
		r->addr[i].s6_addr32[3] = htonl(0x0a010000u + rnd(64));
	}
	if (rnd(2)) /* the one that is shared */
		r->addr[0].s6_addr32[3] = htonl(0x0a010021u);
	switch (rnd(8)) {
	case 0:
		r->naddrs = rnd(3) ? rnd(20) : (uint32_t)seed;
		break;
	case 1:
		memset(r->name, 'a' + (int)rnd(26), sizeof(r->name));
		break;
	case 2:
		for (unsigned i = 0; i < 1 + rnd(8); i++)
			((uint8_t *)r)[rnd(sizeof(*r))] = (uint8_t)seed;
		break;
	case 3:
		r->op = (uint16_t)rnd(65536);
		break;
	default:
		break;
	}
}

static void say(int fd)
{
	static uint8_t room[CMSG_SPACE(4 * sizeof(int))];
	struct {
		struct gz_attach_request r;
		uint8_t more[200];
	} p = {0};
	struct iovec v = {&p, rnd(16) ? sizeof(p.r) : rnd(sizeof(p))};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	struct gz_attach_answer a;
	int with[4], n = (int)rnd(5);

	fill(&p.r);
	if (p.r.op == GZ_ATTACH_TAKEOVER) /* whoever is dispatch's user is obeyed */
		p.r.op = 0;
	for (int i = 0; i < n; i++)
		with[i] = descriptors[rnd(DESCRIPTORS)];
	if (n) {
		struct cmsghdr *c = (struct cmsghdr *)room;

		m.msg_control = room;
		m.msg_controllen = CMSG_SPACE((size_t)n * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
		memcpy(CMSG_DATA(c), with, (size_t)n * sizeof(int));
	}
	if (sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
		sent++;
	while (rnd(4) && recv(fd, &a, sizeof(a), MSG_DONTWAIT) == sizeof(a))
		granted += !a.status;
}

/* Whoever connected to the link hears nonsense */
static void serve_links(void)
{
	uint8_t junk[64];
	int fd = accept4(descriptors[0], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	for (unsigned i = 0; i < sizeof(junk); i++)
		junk[i] = (uint8_t)rnd(256);
	if (send(fd, junk, rnd(sizeof(junk)), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		errno = 0;
	close(fd);
}

int main(int argc, char **argv)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int held[HELD];
	time_t end;

	if (argc != 7)
		return 2;
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", argv[1]);
	make_descriptors(argv[2], argv[1]);
	end = time(NULL) + atoi(argv[3]);
	seed = strtoull(argv[4], NULL, 10) * 2 + 1;
	names[0] = argv[5];
	names[1] = argv[6];
	names[2] = "";
	for (unsigned i = 0; i < HELD; i++)
		held[i] = -1;
	while (time(NULL) < end) {
		int *fd = &held[rnd(HELD)];

		if (*fd >= 0 && !rnd(6)) {
			close(*fd);
			*fd = -1;
		} else if (*fd < 0) {
			*fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
			if (connect(*fd, (struct sockaddr *)&a, sizeof(a))) {
				close(*fd);
				*fd = -1;
			}
		} else {
			say(*fd);
		}
		serve_links();
	}
	printf("%lu requests, %lu granted\n", sent, granted);
	return granted ? 0 : 1;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * attach_client.c - Light clients of dispatch, many in one process, by its control socket
 *
 *	attach_client SOCKET DIR COUNT NAME FIRST-ADDRESS
 *
 * Client i, from 0 on, is NAMEi and has FIRST-ADDRESS + i.  Each registers and offers a
 * vhost-user socket of its own in DIR, to which dispatch is to connect.  Prints "ready N"
 * when dispatch has connected to N of them, then reads commands from standard input:
 * "drop I" hangs client I up, "back I" brings it back, each answered by a line.  Ends at
 * the end of input.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "dispatch/attach.h"

#define CLIENTS_MAX 256

static const char *dispatch, *dir, *name;
static uint32_t first;
static struct light {
	int control, listens, link;
} clients[CLIENTS_MAX];

static void path_to(struct sockaddr_un *a, const char *fmt, const char *of, int i)
{
	a->sun_family = AF_UNIX;
	snprintf(a->sun_path, sizeof(a->sun_path), fmt, of, i);
}

/* Return: the answer's status */
static int ask(struct light *l, const struct gz_attach_request *r, int with)
{
	char room[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec v = {(void *)r, sizeof(*r)};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	struct gz_attach_answer a;

	if (with >= 0) {
		struct cmsghdr *c = (struct cmsghdr *)room;

		m.msg_control = room;
		m.msg_controllen = sizeof(room);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &with, sizeof(with));
	}
	if (sendmsg(l->control, &m, MSG_NOSIGNAL) < 0)
		return errno;
	if (recv(l->control, &a, sizeof(a), 0) != sizeof(a))
		return ECONNRESET;
	if (a.status)
		fprintf(stderr, "%s\n", a.text);
	return a.status;
}

/* Return: 0, or the errno that dispatch refused it with */
static int come(int i)
{
	struct gz_attach_request hello = {.magic = GZ_ATTACH_MAGIC,
					  .version = GZ_ATTACH_VERSION,
					  .op = GZ_ATTACH_HELLO,
					  .naddrs = 1};
	struct gz_attach_request link = {
	    .magic = GZ_ATTACH_MAGIC, .version = GZ_ATTACH_VERSION, .op = GZ_ATTACH_LINK};
	uint32_t address = htonl(first + (uint32_t)i);
	struct light *l = &clients[i];
	struct sockaddr_un a = {0}, mine = {0};
	int fd, status;

	path_to(&a, "%s", dispatch, 0);
	path_to(&mine, "%s/light%d.vhost", dir, i);
	l->control = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	l->listens = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unlink(mine.sun_path);
	if (connect(l->control, (struct sockaddr *)&a, sizeof(a)) ||
	    bind(l->listens, (struct sockaddr *)&mine, sizeof(mine)) || listen(l->listens, 1)) {
		perror(a.sun_path);
		exit(1);
	}
	snprintf(hello.name, sizeof(hello.name), "%s%d", name, i);
	hello.addr[0].s6_addr[10] = hello.addr[0].s6_addr[11] = 0xff;
	memcpy(hello.addr[0].s6_addr + 12, &address, sizeof(address));
	status = ask(l, &hello, -1);
	if (status)
		return status;
	fd = open(mine.sun_path, O_PATH | O_CLOEXEC);
	status = ask(l, &link, fd);
	close(fd);
	if (!status)
		l->link = accept4(l->listens, NULL, NULL, SOCK_CLOEXEC);
	return status;
}

static void go(int i)
{
	close(clients[i].control);
	close(clients[i].listens);
	close(clients[i].link);
}

int main(int argc, char **argv)
{
	int count, ready = 0, i, status;
	char line[64];

	if (argc != 6)
		return 2;
	dispatch = argv[1];
	dir = argv[2];
	count = atoi(argv[3]);
	name = argv[4];
	first = ntohl(inet_addr(argv[5]));
	for (i = 0; i < count && i < CLIENTS_MAX; i++)
		ready += !come(i);
	printf("ready %d\n", ready);
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "drop %d", &i) == 1) {
			go(i);
			printf("dropped %d\n", i);
		} else if (sscanf(line, "back %d", &i) == 1) {
			status = come(i);
			printf("back %d: %s\n", i, strerror(status));
		}
		fflush(stdout);
	}
	return 0;
}

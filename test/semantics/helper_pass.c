/* SPDX-License-Identifier: BSD-3-Clause
 *
 * helper_pass.c - A socket goes from one program to another
 *
 *	helper_pass take PATH			listens at PATH; uses what it is given
 *	helper_pass give PATH ADDRESS PORT	connects to an echo server, gives that away
 *
 * take sends 3 MB to the echo server and back on it, checks them, and closes it.  It
 * says whom it is connected to, "peer ADDRESS:PORT", or which family the name has.
 */
#include <sys/un.h>

#include "pass.h"

#define TOTAL (3u << 20)

static void *produce(void *arg)
{
	int fd = (int)(intptr_t)arg;
	uint8_t buf[4096];

	for (unsigned at = 0; at < TOTAL; at += sizeof(buf)) {
		for (unsigned i = 0; i < sizeof(buf); i++)
			buf[i] = (uint8_t)((at + i) * 31 >> 3);
		write_all(fd, buf, sizeof(buf));
	}
	OK(shutdown(fd, SHUT_WR));
	return NULL;
}

static void use(int fd)
{
	struct sockaddr_in a = {0};
	socklen_t len = sizeof(a);
	char text[INET_ADDRSTRLEN];
	uint8_t buf[4096];
	unsigned at = 0;
	pthread_t t;
	ssize_t n;

	OK(getpeername(fd, SA(&a), &len));
	if (a.sin_family == AF_INET)
		printf("peer %s:%u\n", inet_ntop(AF_INET, &a.sin_addr, text, sizeof(text)),
		       ntohs(a.sin_port));
	else
		printf("peer of family %d\n", a.sin_family);
	t = thread(produce, (void *)(intptr_t)fd);
	while ((n = OK(read(fd, buf, sizeof(buf)))) > 0)
		for (ssize_t i = 0; i < n; i++, at++)
			CHECK_EQ(buf[i], (uint8_t)(at * 31 >> 3));
	join(t);
	CHECK_EQ(at, TOTAL);
	OK(close(fd));
	puts("done");
}

int main(int argc, char **argv)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct sockaddr_in a = {.sin_family = AF_INET};
	int s, fd;

	CHECK(argc > 2);
	DEADLINE(60);
	setvbuf(stdout, NULL, _IOLBF, 0);
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", argv[2]);
	s = (int)OK(socket(AF_UNIX, SOCK_STREAM, 0));
	if (!strcmp(argv[1], "take")) {
		OK(bind(s, SA(&un), sizeof(un)));
		OK(listen(s, 1));
		puts("ready");
		s = (int)OK(accept(s, NULL, NULL));
		use(receive_fd(s));
		return 0;
	}
	CHECK(argc == 5);
	a.sin_port = htons((uint16_t)atoi(argv[4]));
	CHECK(inet_pton(AF_INET, argv[3], &a.sin_addr) == 1);
	fd = connected(a);
	OK(connect(s, SA(&un), sizeof(un)));
	send_fd(s, fd);
	return 0; /* and it is the other's alone */
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * record.h - Random calls, what came of them on the kernel, and whether it does here
 *
 * For programs of one file, calls.c and datagrams.c:
 *
 *	PROGRAM record|compare FILE SEED SEQUENCES CALLS MODE
 *
 * A sequence is made from its seed and from what came out of the calls before.  `record`,
 * on the plain kernel, writes a line for each: what it returned, what was read; and before it
 * one of what can be seen of all sockets without changing them.  `compare`, under gazelle-run, does
 * the same calls and holds each line against the file's.  What can be seen has WAIT_MS to come
 * about, for nothing promises when bytes arrive; what a call returns is right at once, or wrong.
 *
 * Status 0, or 1 and, of each sequence that differs, the lines before the one that does.
 */
#ifndef RECORD_H
#define RECORD_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 3000
#define LINE 1024
#define LINES 40   /* that are shown before the one that differs */
#define ROOM 65536 /* of the buffer */

static bool recording, relay;
static FILE *file;
static uint64_t rng, seed;
static unsigned calls_done;
static char history[LINES][LINE];
static unsigned nhistory;
static jmp_buf next_sequence;
static unsigned differ;

static uint32_t any(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)((rng >> 11) % n);
}

static long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void pause_us(long us)
{
	nanosleep(&(struct timespec){0, us * 1000}, NULL);
}

/* Where the stack under test is: over IPv4, by default 127.0.0.1 */
static struct in_addr own_address(void)
{
	struct in_addr a;
	const char *text = getenv("GZ_ADDR");

	inet_pton(AF_INET, text ? text : "127.0.0.1", &a);
	return a;
}

/* The same as a socket of @family names it; @native: ::1 instead */
static socklen_t address_for(int family, bool native, uint16_t port, struct sockaddr_storage *to)
{
	struct sockaddr_in *in = (struct sockaddr_in *)to;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;
	struct in_addr a = own_address();

	memset(to, 0, sizeof(*to));
	to->ss_family = (sa_family_t)family;
	if (family == AF_INET) {
		in->sin_port = port;
		in->sin_addr = a;
		return sizeof(*in);
	}
	in6->sin6_port = port;
	if (native) {
		in6->sin6_addr = in6addr_loopback;
		return sizeof(*in6);
	}
	in6->sin6_addr.s6_addr[10] = in6->sin6_addr.s6_addr[11] = 0xff;
	memcpy(&in6->sin6_addr.s6_addr[12], &a, sizeof(a));
	return sizeof(*in6);
}

/* 0.0.0.0 or [::] */
static socklen_t wildcard_for(int family, uint16_t port, struct sockaddr_storage *to)
{
	socklen_t len = address_for(family, true, port, to);

	if (family == AF_INET)
		((struct sockaddr_in *)to)->sin_addr.s_addr = htonl(INADDR_ANY);
	else
		((struct sockaddr_in6 *)to)->sin6_addr = in6addr_any;
	return len;
}

/* Their ports are at the same place. */
static uint16_t port_of(const struct sockaddr_storage *a)
{
	return ((const struct sockaddr_in *)a)->sin_port;
}

/* --- the file ----------------------------------------------------------------------- */

static void remember(const char *line)
{
	snprintf(history[nhistory++ % LINES], LINE, "%s", line);
}

static void differs(const char *got, const char *want)
{
	unsigned n = nhistory < LINES ? nhistory : LINES;

	printf("seed %llu, call %u\n", (unsigned long long)seed, calls_done);
	for (unsigned k = nhistory - n; k < nhistory; k++)
		printf("   %s\n", history[k % LINES]);
	printf("  kernel: %s\n  here:   %s\n", want, got);
	differ++;
	longjmp(next_sequence, 1);
}

static void expected(char line[LINE])
{
	if (!fgets(line, LINE, file)) {
		printf("seed %llu: the file has ended\n", (unsigned long long)seed);
		exit(1);
	}
	line[strcspn(line, "\n")] = 0;
}

/* A result: the same, at once */
__attribute__((format(printf, 1, 2))) static void result(const char *fmt, ...)
{
	char line[LINE], want[LINE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (recording) {
		fprintf(file, "%s\n", line);
	} else {
		expected(want);
		if (strcmp(line, want))
			differs(line, want);
	}
	remember(line);
}

static const char *name_of(int r)
{
	static char text[32];

	if (r >= 0)
		snprintf(text, sizeof(text), "%d", r);
	else
		snprintf(text, sizeof(text), "%s", strerrorname_np(errno));
	return text;
}

struct made {
	int fd, family;
	bool nonblock, v6only;
};

/* Socket @i, of @type and a random family: IPv6 once in @six, of which once in @only for it alone
 */
static struct made any_socket(int i, int type, uint32_t six, uint32_t only)
{
	struct made m = {.nonblock = any(3) != 0};

	m.family = any(six) ? AF_INET : AF_INET6;
	m.v6only = m.family == AF_INET6 && !any(only);
	m.fd = socket(m.family, type | (m.nonblock ? SOCK_NONBLOCK : 0), 0);
	if (m.v6only)
		setsockopt(m.fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, sizeof(int));
	result("%d = socket(%s%s) %s", i, m.family == AF_INET ? "4" : "6", m.v6only ? " only" : "",
	       m.fd >= 0 ? "ok" : name_of(-1));
	return m;
}

/* A duplicate of socket @i takes the place of @fd: the same file by another number */
static int renumbered(int i, int fd)
{
	int other = dup(fd);

	result("dup(%d) %s", i, other >= 0 ? "ok" : name_of(-1));
	close(fd);
	return other;
}

/* The lines of the one before may not all have been read. */
static void begin(void)
{
	char line[LINE], want[LINE];

	rng = seed * 0x9e3779b97f4a7c15ull | 1;
	for (int k = 0; k < 10; k++)
		any(2);
	nhistory = 0;
	snprintf(want, sizeof(want), "seed %llu", (unsigned long long)seed);
	if (recording)
		fprintf(file, "%s\n", want);
	else
		do
			expected(line);
		while (strcmp(line, want));
}

/* What can be seen, by look(), comes to what it is on the kernel; @busy: more is on its way. */
static void see_by(void (*look)(char line[LINE], const char *want), bool (*busy)(void), int ms)
{
	char line[LINE], other[LINE];
	long long end = now_ms() + (recording ? ms : WAIT_MS);

	if (!recording)
		expected(other);
	look(line, other);
	if (recording) {
		/* It has come to rest when it is the same again, and nothing is on its way. */
		do {
			strcpy(other, line);
			pause_us(300);
			look(line, other);
		} while (strcmp(line, other) || (busy() && now_ms() < end));
		fprintf(file, "%s\n", line);
	} else {
		while (strcmp(line, other) && now_ms() < end) {
			pause_us(200);
			look(line, other);
		}
		if (strcmp(line, other))
			differs(line, other);
	}
	remember(line);
}

static unsigned poll_of(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};

	poll(&p, 1, 0);
	return (unsigned)p.revents;
}

/* --- other processes ---------------------------------------------------------------- */

static struct shared {
	ssize_t r;
	int err;
	char buf[ROOM];
} * shared; /* what a call writes, whoever does it */

/* Do a call, now and then in a child that has all sockets as well */
static ssize_t call(ssize_t (*fn)(void *), void *arg)
{
	pid_t pid = any(16) ? -1 : fork();

	if (pid > 0) {
		waitpid(pid, NULL, 0);
	} else {
		shared->r = fn(arg);
		shared->err = errno;
		if (!pid)
			_exit(0);
	}
	errno = shared->err;
	return shared->r;
}

/* --- main() ------------------------------------------------------------------------- */

static int record_main(int argc, char **argv, bool (*prepare)(void), void (*sequence)(unsigned))
{
	unsigned sequences, calls;

	if (argc != 7)
		return 2;
	recording = !strcmp(argv[1], "record");
	file = fopen(argv[2], recording ? "w" : "r");
	if (!file) {
		perror(argv[2]);
		return 2;
	}
	setvbuf(file, NULL, _IOLBF, 0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	seed = strtoull(argv[3], NULL, 0);
	sequences = (unsigned)atoi(argv[4]);
	calls = (unsigned)atoi(argv[5]);
	relay = !strcmp(argv[6], "relay");
	signal(SIGPIPE, SIG_IGN); /* writev() */
	shared =
	    mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || !prepare()) {
		perror("at the start");
		return 2;
	}
	for (unsigned k = 0; k < sequences; k++, seed++)
		sequence(calls);
	if (fclose(file))
		return 2;
	return differ != 0;
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * check.h - What a semantic test program needs, and no more
 *
 * Theory of operation: a program is a table of named cases and a main() that
 * hands the table to check_main().  Each case runs in a child of its own, so a
 * failure, a leaked descriptor or a hang ends that case only.  They run one after
 * the other, but for those that are ASIDE; `NAME CASE` runs one case in the process
 * itself, which is what a debugger wants, and `NAME -l` lists them.  A case that
 * hangs is ended by alarm(2), and says which check it had reached.  Exit status:
 * 0 passed, 1 failed, 77 skipped.
 *
 * Environment: GZ_KNOWN, names of cases (between spaces) that must fail, see
 * known-differences; GZ_ADDR, the IPv4 address to bind and connect to, by default
 * 127.0.0.1.  The programs assert what Linux does, and know nothing of Gazelle.
 *
 * CHECKs may be used in threads and in children made by child(): either way a
 * failure ends the process; reap() carries a child's failure to its parent.
 */
#ifndef GZ_TEST_CHECK_H
#define GZ_TEST_CHECK_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK_SKIP 77
#define CHECK_DEADLINE 20 /* seconds a case may take; DEADLINE() changes it */

struct check_case {
	const char *name;
	void (*run)(void);
	bool aside;
	pid_t pid;
};

#define CASE(fn)                                                                                   \
	{                                                                                          \
		.name = #fn, .run = fn                                                             \
	}
/* What waits most of its time, and has nothing in common with others: it runs beside them. */
#define ASIDE(fn)                                                                                  \
	{                                                                                          \
		.name = #fn, .run = fn, .aside = true                                              \
	}

/* Where the case is, for the deadline's message; racy between threads, by design. */
static const char *volatile check_name = "";
static const char *volatile check_file = "";
static volatile int check_line;

#define CHECK_HERE() (check_file = __FILE__, check_line = __LINE__)

/** Fail unless @cond. */
#define CHECK(cond)                                                                                \
	do {                                                                                       \
		CHECK_HERE();                                                                      \
		if (!(cond))                                                                       \
			check_fail(__FILE__, __LINE__, "%s (errno %s)", #cond,                     \
				   check_errno_name(errno));                                       \
	} while (0)

/** Fail unless both integers are equal; prints both. */
#define CHECK_EQ(a, b)                                                                             \
	(CHECK_HERE(), check_eq((long long)(a), (long long)(b), #a, #b, __FILE__, __LINE__))

/** Fail unless @call returns -1 with errno @want. */
#define CHECK_ERRNO(call, want)                                                                    \
	(CHECK_HERE(), check_errno((long long)(call), want, #call, __FILE__, __LINE__))

/** The value of @call, which must not be negative. */
#define OK(call) (CHECK_HERE(), check_ok((long long)(call), #call, __FILE__, __LINE__))

#define DEADLINE(seconds) alarm(seconds)

static inline const char *check_errno_name(int e)
{
#ifdef __GLIBC__
	const char *name = strerrorname_np(e);

	return name ? name : "?";
#else
	return strerror(e);
#endif
}

__attribute__((noreturn, format(printf, 3, 4))) static inline void
check_fail(const char *file, int line, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	dprintf(STDERR_FILENO, "%s: %s:%d: %s\n", check_name, file, line, text);
	_exit(1);
}

__attribute__((noreturn)) static inline void check_skip(const char *why)
{
	dprintf(STDERR_FILENO, "%s: skipped: %s\n", check_name, why);
	_exit(CHECK_SKIP);
}

static inline void check_eq(long long a, long long b, const char *as, const char *bs,
			    const char *file, int line)
{
	int e = errno;

	if (a != b)
		check_fail(file, line, "%s is %lld (0x%llx), expected %s = %lld (0x%llx), errno %s",
			   as, a, a, bs, b, b, check_errno_name(e));
}

static inline long long check_ok(long long r, const char *call, const char *file, int line)
{
	int e = errno;

	if (r < 0)
		check_fail(file, line, "%s: %s", call, check_errno_name(e));
	return r;
}

static inline void check_errno(long long r, int want, const char *call, const char *file, int line)
{
	int e = errno;

	if (r != -1)
		check_fail(file, line, "%s returned %lld, expected %s", call, r,
			   check_errno_name(want));
	if (e != want)
		check_fail(file, line, "%s: %s, expected %s", call, check_errno_name(e),
			   check_errno_name(want));
}

static inline void check_deadline(int sig)
{
	char text[256];
	int n;

	(void)sig;
	n = snprintf(text, sizeof(text), "%s: %s:%d: the deadline passed after this line\n",
		     check_name, check_file, check_line);
	if (write(STDERR_FILENO, text, (size_t)n) != n)
		_exit(2);
	_exit(1);
}

static unsigned check_deadline_s = CHECK_DEADLINE;

static inline void check_run(const struct check_case *c)
{
	struct sigaction sa = {.sa_handler = check_deadline};

	check_name = c->name;
	sigaction(SIGALRM, &sa, NULL);
	DEADLINE(check_deadline_s);
	c->run();
	_exit(0);
}

/* Is @name one of the words of @list? */
static inline bool check_is_known(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = list; p && (p = strstr(p, name)); p += n)
		if ((p == list || p[-1] == ' ') && (p[n] == ' ' || !p[n]))
			return true;
	return false;
}

/* Is @c a difference that is known? */
static inline bool check_differs(const struct check_case *c)
{
	return check_is_known(getenv("GZ_KNOWN"), c->name);
}

/* Start @c in a child of its own, which goes to c->pid */
static inline void check_start(struct check_case *c)
{
	c->pid = fork();
	if (c->pid < 0) {
		perror("fork");
		exit(1);
	}
	if (!c->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		check_deadline_s = check_differs(c) ? 3 : CHECK_DEADLINE;
		check_run(c);
	}
}

/* Wait for @c.  Return: 0 passed, 1 failed, which is said, CHECK_SKIP */
static inline int check_wait(const struct check_case *c)
{
	bool differs = check_differs(c);
	int status = 0;

	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (differs && ((WIFEXITED(status) && WEXITSTATUS(status) == 1) ||
			(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV))) {
		fprintf(stderr, "known difference: %s\n", c->name);
		return 0;
	}
	if (differs) {
		fprintf(stderr, "case %s is a known difference, but did not fail\n", c->name);
		return 1;
	}
	if (WIFEXITED(status) && (!WEXITSTATUS(status) || WEXITSTATUS(status) == CHECK_SKIP))
		return WEXITSTATUS(status);
	if (WIFSIGNALED(status))
		fprintf(stderr, "%s: ended by: %s\n", c->name, strsignal(WTERMSIG(status)));
	fprintf(stderr, "case %s failed\n", c->name);
	return 1;
}

/**
 * check_main() - Run the cases named on the command line, or all
 * Return: the program's exit status
 */
static inline int check_main(int argc, char **argv, struct check_case *cases, size_t n)
{
	bool failed = false, passed = false;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1 && !strcmp(argv[1], "-l")) {
		for (size_t i = 0; i < n; i++)
			puts(cases[i].name);
		return 0;
	}
	if (argc > 1) {
		for (size_t i = 0; i < n; i++)
			if (!strcmp(cases[i].name, argv[1]))
				check_run(&cases[i]);
		fprintf(stderr, "%s: no case '%s'\n", argv[0], argv[1]);
		return 1;
	}
	for (size_t i = 0; i < n; i++)
		if (cases[i].aside)
			check_start(&cases[i]);
	for (int aside = 0; aside < 2; aside++) {
		for (size_t i = 0; i < n; i++) {
			int status;

			if (cases[i].aside != aside)
				continue;
			if (!aside)
				check_start(&cases[i]);
			status = check_wait(&cases[i]);
			failed |= status == 1;
			passed |= status == 0;
		}
	}
	if (failed)
		return 1;
	return passed ? 0 : n ? CHECK_SKIP : 0;
}

#define CHECK_MAIN(...)                                                                            \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		static struct check_case cases[] = {__VA_ARGS__};                                  \
                                                                                                   \
		return check_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));            \
	}

/* --- time, processes, threads ------------------------------------------------------------- */

static inline void sleep_ms(unsigned ms)
{
	struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000L};

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

static inline long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/** fork() whose child cannot outlive its parent.  Return: as fork(). */
static inline pid_t child(void)
{
	pid_t pid = (pid_t)OK(fork());

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		DEADLINE(CHECK_DEADLINE);
	}
	return pid;
}

/** Wait for a child().  Return: its wait status. */
static inline int reap_status(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0)
		CHECK(errno == EINTR);
	return status;
}

/** Wait for a child(), which must have exited 0. */
static inline void reap(pid_t pid)
{
	CHECK_EQ(reap_status(pid), 0);
}

static inline pthread_t thread(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	CHECK_EQ(pthread_create(&t, NULL, fn, arg), 0);
	return t;
}

static inline void *join(pthread_t t)
{
	void *r = NULL;

	CHECK_EQ(pthread_join(t, &r), 0);
	return r;
}

/** A thread that says who it is, and then waits for @fd */
struct waits_on {
	int fd;
	_Atomic pid_t tid;
};

/** Until the thread sleeps. */
static inline void wait_asleep(const struct waits_on *w)
{
	char path[64], state = 0;

	while (!w->tid)
		sched_yield();
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)w->tid);
	while (state != 'S') {
		FILE *f = fopen(path, "re");

		CHECK(f && fscanf(f, "%*d %*s %c", &state) == 1);
		fclose(f);
	}
}

/* --- sockets ------------------------------------------------------------------------------ */

#define POLL_ALL (POLLIN | POLLPRI | POLLOUT | POLLRDHUP)
#define SA(a) ((struct sockaddr *)(a))

/** GZ_ADDR with @port. */
static inline struct sockaddr_in test_address(uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	const char *text = getenv("GZ_ADDR");

	CHECK(inet_pton(AF_INET, text && *text ? text : "127.0.0.1", &a.sin_addr) == 1);
	return a;
}

static inline int tcp_socket(void)
{
	return (int)OK(socket(AF_INET, SOCK_STREAM, 0));
}

static inline void set_option(int fd, int level, int name, int value)
{
	OK(setsockopt(fd, level, name, &value, sizeof(value)));
}

static inline int get_option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	OK(getsockopt(fd, level, name, &value, &len));
	return value;
}

static inline int socket_error(int fd)
{
	return get_option(fd, SOL_SOCKET, SO_ERROR);
}

static inline void set_timeout(int fd, int name, unsigned ms)
{
	struct timeval tv = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};

	OK(setsockopt(fd, SOL_SOCKET, name, &tv, sizeof(tv)));
}

static inline void set_nonblock(int fd)
{
	OK(fcntl(fd, F_SETFL, OK(fcntl(fd, F_GETFL)) | O_NONBLOCK));
}

static inline struct sockaddr_in local_name(int fd)
{
	struct sockaddr_in a = {0};
	socklen_t len = sizeof(a);

	OK(getsockname(fd, SA(&a), &len));
	CHECK_EQ(len, sizeof(a));
	return a;
}

static inline struct sockaddr_in peer_name(int fd)
{
	struct sockaddr_in a = {0};
	socklen_t len = sizeof(a);

	OK(getpeername(fd, SA(&a), &len));
	CHECK_EQ(len, sizeof(a));
	return a;
}

/** The same of an AF_INET6 socket: what @call, getsockname() or getpeername(), says */
static inline struct sockaddr_in6 name6(int (*call)(int, struct sockaddr *, socklen_t *), int fd)
{
	struct sockaddr_in6 a;
	socklen_t len = sizeof(a);

	OK(call(fd, SA(&a), &len));
	CHECK_EQ(len, sizeof(a));
	CHECK_EQ(a.sin6_family, AF_INET6);
	return a;
}

static inline bool same_address(struct sockaddr_in a, struct sockaddr_in b)
{
	return a.sin_family == b.sin_family && a.sin_port == b.sin_port &&
	       a.sin_addr.s_addr == b.sin_addr.s_addr;
}

/** A listener on GZ_ADDR at a free port, which goes to @a. */
static inline int listener(int backlog, struct sockaddr_in *a)
{
	int fd = tcp_socket();

	*a = test_address(0);
	OK(bind(fd, SA(a), sizeof(*a)));
	OK(listen(fd, backlog));
	*a = local_name(fd);
	return fd;
}

/** A port that refuses: bound, so that nobody else takes it, but not listening. */
static inline struct sockaddr_in refusing(void)
{
	struct sockaddr_in a = test_address(0);
	int fd = tcp_socket();

	OK(bind(fd, SA(&a), sizeof(a)));
	return local_name(fd);
}

static inline int connected(struct sockaddr_in a)
{
	int fd = tcp_socket();

	OK(connect(fd, SA(&a), sizeof(a)));
	return fd;
}

/** An established connection: fd[0] connected, fd[1] was accepted. */
static inline void tcp_pair(int fd[2])
{
	struct sockaddr_in a;
	int l = listener(1, &a);

	fd[0] = connected(a);
	fd[1] = (int)OK(accept(l, NULL, NULL));
	OK(close(l));
}

/** Read to the end of @fd.  Return: how much that was */
static inline size_t read_to_end(int fd)
{
	static char buf[65536];
	size_t got = 0;
	ssize_t n;

	while ((n = OK(recv(fd, buf, sizeof(buf), 0))) > 0)
		got += (size_t)n;
	return got;
}

/** A thread: the same of *@fd, after 200 ms */
static inline void *drain_later(void *fd)
{
	sleep_ms(200);
	return (void *)read_to_end(*(int *)fd);
}

/** What poll() reports now, of everything. */
static inline int poll_bits(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLL_ALL};

	OK(poll(&p, 1, 0));
	return p.revents;
}

/** Wait up to 10 s until all of @want is reported.  Return: all that is. */
static inline int wait_bits(int fd, int want)
{
	long long end = now_ms() + 10000;
	int got;

	while (((got = poll_bits(fd)) & want) != want && now_ms() < end) {
		struct pollfd p = {.fd = fd, .events = (short)want};

		/* An unwanted HUP or ERR would make this a busy loop. */
		if (got & (POLLHUP | POLLERR))
			sleep_ms(1);
		else
			poll(&p, 1, 10);
	}
	if ((got & want) != want)
		check_fail(check_file, check_line, "poll has 0x%x, waited for 0x%x", got, want);
	return got;
}

static inline void write_all(int fd, const void *data, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t k = OK(send(fd, (const char *)data + done, n - done, MSG_NOSIGNAL));

		done += (size_t)k;
	}
}

/** Read @n bytes, or what comes before the end.  Return: bytes read. */
static inline size_t read_all(int fd, void *data, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t k = OK(read(fd, (char *)data + done, n - done));

		if (!k)
			break;
		done += (size_t)k;
	}
	return done;
}

/** Send @text one way and see that it arrives. */
static inline void expect_text(int from, int to, const char *text)
{
	char buf[256] = "";

	write_all(from, text, strlen(text));
	CHECK_EQ(read_all(to, buf, strlen(text)), strlen(text));
	CHECK(!strcmp(buf, text));
}

static inline void expect_eof(int fd)
{
	char c;

	CHECK_EQ(recv(fd, &c, 1, 0), 0);
}

/**
 * fill_backlog() - Start non-blocking connects until one is left hanging
 * @a:		Listener that nobody accepts from
 * @fd:		Filled with the clients; the last is still connecting
 * @max:	Its room; no listener here has that large a backlog
 *
 * Return: how many clients there are.
 */
static inline int fill_backlog(struct sockaddr_in a, int *fd, int max)
{
	for (int n = 0; n < max; n++) {
		struct pollfd p = {.events = POLLOUT};

		fd[n] = p.fd = (int)OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
		CHECK_ERRNO(connect(p.fd, SA(&a), sizeof(a)), EINPROGRESS);
		if (!OK(poll(&p, 1, 300)))
			return n + 1;
		CHECK_EQ(p.revents, POLLOUT);
	}
	check_fail(__FILE__, __LINE__, "%d clients connected, the backlog never filled", max);
}

#endif

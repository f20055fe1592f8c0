/* SPDX-License-Identifier: BSD-3-Clause
 *
 * helper_busy.c - A process that notices when somebody disturbs it
 *
 *	helper_busy [ADDRESS PORT]
 *
 * Its threads sit in the calls that an interruption shows in, take signals,
 * compute, and make threads and processes; each checks what it gets.  One
 * connects to an echo server again and again, if it is told where, and says
 * whose socket it was when that changes: "socket: kernel", "socket: stack".
 *
 * Prints "ready"; on SIGTERM ends with 0, having said how often each thread
 * went round, or with 1 at the first error, which it prints.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/poll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOST_S 10 /* a signal that ends no call within this is lost */

static atomic_bool ending;
static struct sockaddr_in server;

#define CHECK(x)                                                                                   \
	do {                                                                                       \
		if (!(x))                                                                          \
			wrong("line %d: " #x ": %s", __LINE__, strerror(errno));                   \
	} while (0)

static void wrong(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	_exit(1);
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* --- computing: registers must stay ----------------------------------------- */

static unsigned compute(void)
{
	uint64_t x = 88172645463325252ull, y = x;
	double d = 1.0, e = 1.0;
	unsigned n = 0;

	while (!ending) {
		for (int i = 0; i < 100000; i++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			d = d * 1.0000001 + (double)(x & 1);
		}
		for (int i = 0; i < 100000; i++) {
			y ^= y << 13, y ^= y >> 7, y ^= y << 17;
			e = e * 1.0000001 + (double)(y & 1);
		}
		CHECK(x == y && d == e);
		if (n++ % 4 == 0)
			usleep(1000);
	}
	return n;
}

/* System calls one after the other, their results known */
static unsigned short_calls(void)
{
	pid_t pid = getpid();
	unsigned n = 0;

	for (; !ending; n++) {
		CHECK(syscall(SYS_getpid) == pid);
		CHECK(syscall(SYS_close, -1) == -1 && errno == EBADF);
		CHECK(close((int)syscall(SYS_dup, 1)) == 0);
		if (n % 100 == 0)
			usleep(1000);
	}
	return n;
}

/* --- blocking calls: no EINTR without a handler ------------------------------ */

static void pass(int fd, uint32_t v)
{
	CHECK(write(fd, &v, sizeof(v)) == sizeof(v));
}

static void take(int fd, uint32_t want)
{
	uint32_t v;

	CHECK(read(fd, &v, sizeof(v)) == sizeof(v));
	CHECK(v == want);
}

static int ping_a[2], ping_b[2];

static unsigned ping(void)
{
	unsigned n = 0;

	for (; !ending; n++) {
		pass(ping_a[1], n);
		take(ping_b[0], n);
		usleep(n % 3000);
	}
	pass(ping_a[1], ~0u);
	return n;
}

static unsigned pong(void)
{
	uint32_t v;

	for (;;) {
		CHECK(read(ping_a[0], &v, sizeof(v)) == sizeof(v));
		if (v == ~0u)
			return 1;
		pass(ping_b[1], v);
	}
}

static unsigned epoll_timeout(void)
{
	struct epoll_event e = {.events = EPOLLIN};
	int ep = epoll_create1(0), ev = eventfd(0, EFD_NONBLOCK);
	unsigned n = 0;

	CHECK(!epoll_ctl(ep, EPOLL_CTL_ADD, ev, &e));
	for (; !ending; n++) {
		int64_t start = now_ns();

		/* A restart begins the time anew: it may be longer, not shorter. */
		CHECK(epoll_wait(ep, &e, 1, 20) == 0);
		CHECK(now_ns() - start > 18000000);
	}
	close(ep);
	close(ev);
	return n;
}

static unsigned sleeper(void)
{
	unsigned n = 0;

	for (; !ending; n++) {
		struct timespec t = {.tv_nsec = 15000000}, left = {0};
		int64_t start = now_ns();

		CHECK(nanosleep(&t, &left) == 0);
		CHECK(now_ns() - start >= 15000000);
	}
	return n;
}

static unsigned poller(void)
{
	unsigned n = 0;
	int fd[2];

	CHECK(!pipe(fd));
	for (; !ending; n++) {
		struct pollfd p = {.fd = fd[0], .events = POLLIN};
		struct timespec t = {.tv_nsec = 7000000};
		sigset_t mask;
		fd_set set;

		pthread_sigmask(SIG_BLOCK, NULL, &mask);
		sigaddset(&mask, SIGUSR2);
		FD_ZERO(&set);
		FD_SET(fd[0], &set);
		CHECK(poll(&p, 1, 10) == 0);
		CHECK(ppoll(&p, 1, &t, &mask) == 0);
		t = (struct timespec){.tv_nsec = 7000000};
		CHECK(pselect(fd[0] + 1, &set, NULL, NULL, &t, &mask) == 0);
	}
	close(fd[0]);
	close(fd[1]);
	return n;
}

static unsigned receive_timeout(void)
{
	struct timeval tv = {.tv_usec = 12000};
	unsigned n = 0;
	int fd[2];
	char c;

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	CHECK(!setsockopt(fd[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	for (; !ending; n++) {
		CHECK(recv(fd[0], &c, 1, 0) == -1);
		CHECK(errno == EAGAIN);
	}
	close(fd[0]);
	close(fd[1]);
	return n;
}

static unsigned signal_wait(void)
{
	struct timespec t = {.tv_nsec = 9000000};
	unsigned n = 0;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMAX);
	for (; !ending; n++) {
		CHECK(sigtimedwait(&set, NULL, &t) == -1);
		CHECK(errno == EAGAIN);
	}
	return n;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static unsigned turn;

/* A futex: the two take turns. */
static unsigned take_turns(unsigned which)
{
	unsigned n = 0;

	pthread_mutex_lock(&lock);
	while (!ending) {
		struct timespec t;

		clock_gettime(CLOCK_REALTIME, &t);
		t.tv_sec += 1;
		if (turn % 2 == which) {
			turn++;
			n++;
			pthread_cond_broadcast(&cond);
			usleep(300);
		}
		pthread_cond_timedwait(&cond, &lock, &t);
	}
	pthread_mutex_unlock(&lock);
	return n;
}

static unsigned turns_even(void)
{
	return take_turns(0);
}

static unsigned turns_odd(void)
{
	return take_turns(1);
}

/* --- blocked for good: what they wait for comes at the end only -------------------- */

static int quiet_pipe[2], quiet_event, quiet_listener;
static struct sockaddr_in quiet_address;

static unsigned quiet_epoll(void)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u32 = 77};
	int ep = epoll_create1(0);

	CHECK(!epoll_ctl(ep, EPOLL_CTL_ADD, quiet_event, &e));
	e.data.u32 = 0;
	CHECK(epoll_wait(ep, &e, 1, -1) == 1);
	CHECK(ending && e.data.u32 == 77);
	close(ep);
	return 1;
}

static unsigned quiet_read(void)
{
	char c;

	CHECK(read(quiet_pipe[0], &c, 1) == 1);
	CHECK(ending && c == 'q');
	return 1;
}

static unsigned quiet_accept(void)
{
	int fd = accept(quiet_listener, NULL, NULL);

	CHECK(fd >= 0);
	CHECK(ending);
	close(fd);
	return 1;
}

/* --- signals ---------------------------------------------------------------------------- */

static atomic_uint ticks;
static pthread_t reader;
static _Atomic pid_t reader_tid;
static atomic_uint interrupted, sent;
static int never[2];

static void on_tick(int sig)
{
	int saved = errno;
	char here[64];

	(void)sig;
	memset(here, 0x5a, sizeof(here));
	ticks++;
	CHECK(syscall(SYS_getppid) >= 0);
	for (size_t i = 0; i < sizeof(here); i++)
		CHECK(here[i] == 0x5a);
	errno = saved;
}

static void on_usr1(int sig)
{
	(void)sig;
}

static void unblock(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* A handler every 500 us, with SA_RESTART: it computes and reads on */
static unsigned ticked(void)
{
	struct sigevent se = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM};
	struct itimerspec every = {{0, 500000}, {0, 500000}};
	uint64_t sum = 0;
	unsigned n = 0;
	timer_t t;
	int fd[2];
	char c;

	se._sigev_un._tid = (int)syscall(SYS_gettid);
	CHECK(!pipe(fd));
	CHECK(!timer_create(CLOCK_MONOTONIC, &se, &t));
	unblock(SIGALRM);
	CHECK(!timer_settime(t, 0, &every, NULL));
	for (; !ending; n++) {
		sum = 0;
		for (uint64_t i = 0; i < 50000; i++)
			sum += i * i;
		CHECK(sum == 41665416675000ull);
		CHECK(write(fd[1], "x", 1) == 1);
		CHECK(read(fd[0], &c, 1) == 1 && c == 'x');
	}
	CHECK(ticks > 0);
	timer_delete(t);
	close(fd[0]);
	close(fd[1]);
	return n;
}

/* Each SIGUSR1, without SA_RESTART, ends one read() with EINTR: none is lost. */
static unsigned interruptible(void)
{
	char c;

	unblock(SIGUSR1);
	reader_tid = (pid_t)syscall(SYS_gettid);
	while (!ending) {
		ssize_t n = read(never[0], &c, 1);

		if (n == 1)
			break; /* the end */
		CHECK(errno == EINTR);
		interrupted++;
	}
	return interrupted;
}

/* A signal before read() waits would rightly end nothing. */
static bool is_reading(void)
{
	char path[64], text[16] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", (int)reader_tid);
	f = fopen(path, "r");
	if (!f || !fgets(text, sizeof(text), f))
		CHECK(ending); /* and it has gone */
	if (f)
		fclose(f);
	return !strncmp(text, "0 ", 2); /* of read(), else "running" */
}

static unsigned interrupter(void)
{
	while (!ending) {
		int64_t start = now_ns();

		if (!reader_tid || !is_reading()) {
			usleep(200);
			continue;
		}
		sent++;
		CHECK(!pthread_kill(reader, SIGUSR1));
		while (!ending && interrupted != sent) {
			if (now_ns() - start > LOST_S * 1000000000LL)
				wrong("signal %u was lost, EINTR was seen %u times", sent,
				      interrupted);
			usleep(200);
		}
		usleep(1000);
	}
	return sent;
}

/* --- threads and processes ------------------------------------------------------------------ */

static void *short_life(void *arg)
{
	return (void *)((uintptr_t)arg * 3);
}

static unsigned make_threads(void)
{
	unsigned n = 0;

	for (; !ending; n++) {
		pthread_t t;
		void *r;

		CHECK(!pthread_create(&t, NULL, short_life, (void *)(uintptr_t)n));
		CHECK(!pthread_join(t, &r));
		CHECK(r == (void *)((uintptr_t)n * 3));
		usleep(300);
	}
	return n;
}

extern char **environ;

/*
 * posix_spawn() blocks signals for a moment.  A SIGCHLD then goes to another thread, and
 * ends its epoll_wait() although it is ignored: so the child lives until we are back.
 */
static pid_t spawn(void)
{
	char *argv[] = {"cat", NULL};
	posix_spawn_file_actions_t actions;
	int fd[2];
	pid_t pid;

	CHECK(!pipe2(fd, O_CLOEXEC));
	CHECK(!posix_spawn_file_actions_init(&actions));
	CHECK(!posix_spawn_file_actions_adddup2(&actions, fd[0], 0));
	CHECK(!posix_spawnp(&pid, "cat", &actions, NULL, argv, environ));
	CHECK(!posix_spawn_file_actions_destroy(&actions));
	close(fd[0]);
	close(fd[1]);
	return pid;
}

static unsigned make_processes(void)
{
	unsigned n = 0;

	for (; !ending; n++) {
		int status;
		pid_t pid;

		if (n % 2) {
			pid = spawn();
		} else {
			pid = fork();
			CHECK(pid >= 0);
			if (!pid)
				_exit(0);
		}
		CHECK(waitpid(pid, &status, 0) == pid);
		CHECK(status == 0);
		usleep(3000);
	}
	return n;
}

/* --- sockets ---------------------------------------------------------------------------------- */

/* recv() without an address does not trap: a fresh TCP socket says ENOTCONN. */
static bool is_shadow(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_DONTWAIT) < 0 && errno == EINVAL;
}

static unsigned echo(void)
{
	int last = -1;
	unsigned n = 0;

	for (; !ending; n++) {
		char out[2000], in[2000];
		size_t got = 0;
		int fd = socket(AF_INET, SOCK_STREAM, 0), shadow;

		CHECK(fd >= 0);
		shadow = is_shadow(fd);
		CHECK(!connect(fd, (struct sockaddr *)&server, sizeof(server)));
		for (size_t i = 0; i < sizeof(out); i++)
			out[i] = (char)(i * 7 + n);
		CHECK(send(fd, out, sizeof(out), MSG_NOSIGNAL) == sizeof(out));
		while (got < sizeof(in)) {
			ssize_t k = recv(fd, in + got, sizeof(in) - got, 0);

			CHECK(k > 0);
			got += (size_t)k;
		}
		CHECK(!memcmp(in, out, sizeof(in)));
		CHECK(!close(fd));
		if (shadow != last) {
			printf("socket: %s\n", shadow ? "stack" : "kernel");
			fflush(stdout);
		}
		last = shadow;
		usleep(2000);
	}
	return n;
}

/* --- all of them ---------------------------------------------------------------------------------
 */

static struct worker {
	const char *name;
	unsigned (*run)(void);
	unsigned rounds;
	pthread_t thread;
} workers[] = {
    {"compute", compute, 0, 0},
    {"calls", short_calls, 0, 0},
    {"ping", ping, 0, 0},
    {"pong", pong, 0, 0},
    {"epoll", epoll_timeout, 0, 0},
    {"sleep", sleeper, 0, 0},
    {"poll", poller, 0, 0},
    {"timeout", receive_timeout, 0, 0},
    {"sigwait", signal_wait, 0, 0},
    {"even", turns_even, 0, 0},
    {"odd", turns_odd, 0, 0},
    {"quiet_epoll", quiet_epoll, 0, 0},
    {"quiet_read", quiet_read, 0, 0},
    {"quiet_accept", quiet_accept, 0, 0},
    {"ticks", ticked, 0, 0},
    {"interruptible", interruptible, 0, 0},
    {"interrupter", interrupter, 0, 0},
    {"threads", make_threads, 0, 0},
    {"processes", make_processes, 0, 0},
    {"echo", echo, 0, 0},
};

static void *worker(void *arg)
{
	struct worker *w = arg;

	w->rounds = w->run();
	return NULL;
}

static void handle(int sig, void (*fn)(int), int flags)
{
	struct sigaction sa = {.sa_handler = fn, .sa_flags = flags};

	CHECK(!sigaction(sig, &sa, NULL));
}

static void prepare(void)
{
	socklen_t len = sizeof(quiet_address);

	CHECK(!pipe(ping_a) && !pipe(ping_b) && !pipe(quiet_pipe) && !pipe(never));
	quiet_event = eventfd(0, 0);
	quiet_listener = socket(AF_INET, SOCK_STREAM, 0);
	quiet_address =
	    (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	CHECK(!bind(quiet_listener, (struct sockaddr *)&quiet_address, len));
	CHECK(!listen(quiet_listener, 1));
	CHECK(!getsockname(quiet_listener, (struct sockaddr *)&quiet_address, &len));
	handle(SIGALRM, on_tick, SA_RESTART);
	handle(SIGUSR1, on_usr1, 0);
}

/* The listener is the kernel's: it takes a socket of the kernel's to reach it. */
static void finish(int knock)
{
	uint64_t one = 1;

	ending = true;
	CHECK(write(quiet_pipe[1], "q", 1) == 1);
	CHECK(write(quiet_event, &one, sizeof(one)) == sizeof(one));
	CHECK(write(never[1], "e", 1) == 1);
	CHECK(!connect(knock, (struct sockaddr *)&quiet_address, sizeof(quiet_address)));
}

int main(int argc, char **argv)
{
	size_t n = sizeof(workers) / sizeof(workers[0]);
	sigset_t set;
	int sig, knock;

	if (argc == 3) {
		server.sin_family = AF_INET;
		server.sin_port = htons((uint16_t)atoi(argv[2]));
		CHECK(inet_pton(AF_INET, argv[1], &server.sin_addr) == 1);
	} else {
		n--;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGALRM);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMAX);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	prepare();
	knock = socket(AF_INET, SOCK_STREAM, 0);
	for (size_t i = 0; i < n; i++) {
		CHECK(!pthread_create(&workers[i].thread, NULL, worker, &workers[i]));
		if (workers[i].run == interruptible)
			reader = workers[i].thread;
	}
	puts("ready");
	fflush(stdout);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	CHECK(!sigwait(&set, &sig));
	finish(knock);
	for (size_t i = 0; i < n; i++) {
		pthread_join(workers[i].thread, NULL);
		printf("%s %u%s", workers[i].name, workers[i].rounds, i + 1 < n ? ", " : "\n");
		CHECK(workers[i].rounds > 0);
	}
	return 0;
}

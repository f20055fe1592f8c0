/* SPDX-License-Identifier: BSD-3-Clause
 *
 * signals.c - Signals, timeouts and cancellation end blocking calls as on Linux
 */
#include <stdatomic.h>

#include "check.h"

static volatile sig_atomic_t seen;

/* The first calls of a process may take long, and no signal is to come meanwhile. */
static void used_pair(int fd[2])
{
	tcp_pair(fd);
	expect_text(fd[0], fd[1], "first");
	expect_text(fd[1], fd[0], "first");
}

static void on_signal(int sig)
{
	(void)sig;
	seen++;
}

static void handle(int flags)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = flags};

	seen = 0;
	OK(sigaction(SIGUSR1, &sa, NULL));
}

/*
 * Signals @target every 100 ms, for on a busy machine it may not wait yet at the first
 * one; until it has returned, or, if there is @act, once, and lets that happen 100 ms later.
 */
struct later {
	pthread_t target;
	void (*act)(struct later *);
	struct sockaddr_in address;
	int fd;
	atomic_bool over;
};

static void *signal_then_act(void *arg)
{
	struct later *l = arg;

	sleep_ms(100);
	do {
		CHECK_EQ(pthread_kill(l->target, SIGUSR1), 0);
		sleep_ms(100);
	} while (!l->act && !l->over);
	if (l->act)
		l->act(l);
	return NULL;
}

/* The target has returned. */
static void over(struct later *l, pthread_t t)
{
	l->over = true;
	join(t);
}

static void act_connect(struct later *l)
{
	connected(l->address);
}

static void act_write(struct later *l)
{
	write_all(l->fd, "x", 1);
}

static void accept_eintr(void)
{
	struct later la = {.target = pthread_self()};
	int l = listener(5, &la.address);
	pthread_t t;

	handle(0);
	t = thread(signal_then_act, &la);
	CHECK_ERRNO(accept(l, NULL, NULL), EINTR);
	CHECK(seen);
	over(&la, t);
}

/* With an address wanted: another path in more than one implementation. */
static void accept_address_eintr(void)
{
	struct later la = {.target = pthread_self()};
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int l = listener(5, &la.address);
	pthread_t t;

	handle(0);
	t = thread(signal_then_act, &la);
	CHECK_ERRNO(accept(l, SA(&a), &len), EINTR);
	CHECK(seen);
	over(&la, t);
	connected(la.address);
	OK(accept(l, SA(&a), &len));
}

static void accept_restarts(void)
{
	struct later la = {.target = pthread_self(), .act = act_connect};
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int l = listener(5, &la.address);
	pthread_t t;

	handle(SA_RESTART);
	t = thread(signal_then_act, &la);
	OK(accept(l, SA(&a), &len));
	CHECK_EQ(seen, 1);
	CHECK_EQ(len, sizeof(a));
	join(t);
}

static void recv_eintr(void)
{
	struct later la = {.target = pthread_self()};
	int fd[2];
	char b;
	pthread_t t;

	used_pair(fd);
	handle(0);
	t = thread(signal_then_act, &la);
	CHECK_ERRNO(recv(fd[1], &b, 1, 0), EINTR);
	CHECK(seen);
	over(&la, t);
	expect_text(fd[0], fd[1], "nothing was lost");
}

static void recv_restarts(void)
{
	struct later la = {.target = pthread_self(), .act = act_write};
	int fd[2];
	char b;
	pthread_t t;

	used_pair(fd);
	la.fd = fd[0];
	handle(SA_RESTART);
	t = thread(signal_then_act, &la);
	CHECK_EQ(recv(fd[1], &b, 1, 0), 1);
	CHECK_EQ(seen, 1);
	join(t);
}

/* A call with a timeout is never restarted, signal(7). */
static void recv_with_timeout_never_restarts(void)
{
	struct later la = {.target = pthread_self()};
	int fd[2];
	char b;
	pthread_t t;

	used_pair(fd);
	set_timeout(fd[1], SO_RCVTIMEO, 10000);
	handle(SA_RESTART);
	t = thread(signal_then_act, &la);
	CHECK_ERRNO(recv(fd[1], &b, 1, 0), EINTR);
	over(&la, t);
}

/* Neither are epoll_wait() and poll(). */
static void waits_never_restart(void)
{
	int e = OK(epoll_create1(0)), fd[2];
	struct epoll_event ev = {.events = EPOLLIN};

	used_pair(fd);
	OK(epoll_ctl(e, EPOLL_CTL_ADD, fd[1], &ev));
	handle(SA_RESTART);
	for (int i = 0; i < 2; i++) {
		struct later la = {.target = pthread_self()};
		pthread_t t = thread(signal_then_act, &la);

		if (i) {
			CHECK_ERRNO(epoll_wait(e, &ev, 1, 10000), EINTR);
		} else {
			struct pollfd p = {.fd = fd[1], .events = POLLIN};

			CHECK_ERRNO(poll(&p, 1, 10000), EINTR);
		}
		over(&la, t);
	}
	CHECK(seen >= 2);
}

static void ppoll_lets_a_signal_in(void)
{
	struct timespec limit = {10, 0};
	struct pollfd p = {.events = POLLIN};
	sigset_t block, before;
	int fd[2];

	used_pair(fd);
	p.fd = fd[1];
	handle(0);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	CHECK_EQ(pthread_sigmask(SIG_BLOCK, &block, &before), 0);
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK_EQ(seen, 0);
	CHECK_ERRNO(ppoll(&p, 1, &limit, &before), EINTR);
	CHECK_EQ(seen, 1);
}

static void connect_eintr_goes_on(void)
{
	struct later la = {.target = pthread_self()};
	int fd[16], n, c, l = listener(0, &la.address);
	pthread_t t;

	n = fill_backlog(la.address, fd, 16);
	c = tcp_socket();
	handle(0);
	t = thread(signal_then_act, &la);
	CHECK_ERRNO(connect(c, SA(&la.address), sizeof(la.address)), EINTR);
	over(&la, t);
	for (int i = 0; i < n + 1; i++)
		OK(accept(l, NULL, NULL));
	CHECK_EQ(wait_bits(c, POLLOUT), POLLOUT);
	CHECK_EQ(socket_error(c), 0);
}

static atomic_bool enough;

static void *signal_often(void *target)
{
	while (!enough) {
		sleep_ms(50);
		CHECK_EQ(pthread_kill(*(pthread_t *)target, SIGUSR1), 0);
	}
	return NULL;
}

/* Interrupted with something sent: the part; with nothing sent: EINTR. */
static void send_interrupted(void)
{
	static char big[16 << 20];
	pthread_t self = pthread_self(), t;
	int fd[2];
	ssize_t part;

	used_pair(fd);
	handle(0);
	t = thread(signal_often, &self);
	part = OK(send(fd[0], big, sizeof(big), 0));
	CHECK(part > 0 && part < (ssize_t)sizeof(big));
	while ((part = send(fd[0], big, sizeof(big), 0)) > 0)
		;
	CHECK_ERRNO(part, EINTR);
	enough = true;
	join(t);
}

static void ends_by(int sig, int with_address)
{
	struct sockaddr_in a;
	int l = listener(5, &a), status;
	pid_t pid = child();
	long long start;

	if (!pid) {
		socklen_t len = sizeof(a);

		signal(SIGTERM, SIG_DFL);
		accept(l, with_address ? SA(&a) : NULL, with_address ? &len : NULL);
		_exit(3);
	}
	sleep_ms(150);
	start = now_ms();
	OK(kill(pid, sig));
	status = reap_status(pid);
	CHECK(now_ms() - start < 1000);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), sig);
}

static void sigterm_ends_accept(void)
{
	ends_by(SIGTERM, 0);
	ends_by(SIGTERM, 1);
}

static void sigkill_ends_accept(void)
{
	ends_by(SIGKILL, 0);
	ends_by(SIGKILL, 1);
}

static void sigterm_ends_recv(void)
{
	int fd[2], status;
	char b;
	pid_t pid;

	used_pair(fd);
	pid = child();
	if (!pid) {
		recv(fd[1], &b, 1, 0);
		_exit(3);
	}
	sleep_ms(100);
	OK(kill(pid, SIGTERM));
	status = reap_status(pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	expect_text(fd[0], fd[1], "the connection is ours still");
}

static void stop_and_continue(void)
{
	struct sockaddr_in a;
	int l = listener(5, &a), status;
	pid_t pid = child();

	if (!pid) {
		OK(accept(l, NULL, NULL));
		_exit(0);
	}
	sleep_ms(100);
	OK(kill(pid, SIGSTOP));
	CHECK_EQ(OK(waitpid(pid, &status, WUNTRACED)), pid);
	CHECK(WIFSTOPPED(status));
	OK(kill(pid, SIGCONT));
	sleep_ms(50);
	connected(a);
	reap(pid);
}

static void accept_timeout(void)
{
	struct sockaddr_in a;
	int l = listener(5, &a);
	long long start = now_ms();

	set_timeout(l, SO_RCVTIMEO, 200);
	CHECK_ERRNO(accept(l, NULL, NULL), EAGAIN);
	CHECK(now_ms() - start >= 190);
	connected(a);
	OK(accept(l, NULL, NULL));
}

static void recv_timeout(void)
{
	long long start;
	int fd[2];
	char b[4];

	used_pair(fd);
	set_timeout(fd[1], SO_RCVTIMEO, 200);
	start = now_ms();
	CHECK_ERRNO(recv(fd[1], b, 1, 0), EAGAIN);
	CHECK_ERRNO(read(fd[1], b, 1), EAGAIN);
	CHECK(now_ms() - start >= 380);
	write_all(fd[0], "ab", 2);
	CHECK_EQ(recv(fd[1], b, 4, MSG_WAITALL), 2);
	set_timeout(fd[1], SO_RCVTIMEO, 0);
	expect_text(fd[0], fd[1], "later");
}

static void send_timeout(void)
{
	static char big[16 << 20];
	long long start;
	int fd[2];

	used_pair(fd);
	set_timeout(fd[0], SO_SNDTIMEO, 200);
	while (send(fd[0], big, sizeof(big), 0) > 0)
		;
	CHECK_EQ(errno, EAGAIN);
	/* A probe of the window may still move some, over a wire. */
	do
		start = now_ms();
	while (send(fd[0], big, 1, 0) == 1);
	CHECK_EQ(errno, EAGAIN);
	CHECK(now_ms() - start >= 190);
}

static void *recv_forever(void *arg)
{
	char b;

	recv(*(int *)arg, &b, 1, 0);
	return NULL;
}

static void *accept_forever(void *arg)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	accept(*(int *)arg, SA(&a), &len);
	return NULL;
}

static void cancel_recv(void)
{
	int fd[2];
	pthread_t t;

	used_pair(fd);
	t = thread(recv_forever, &fd[1]);
	sleep_ms(100);
	CHECK_EQ(pthread_cancel(t), 0);
	CHECK(join(t) == PTHREAD_CANCELED);
	expect_text(fd[0], fd[1], "nobody took this");
}

static void cancel_accept(void)
{
	struct sockaddr_in a;
	int l = listener(5, &a), c;
	pthread_t t = thread(accept_forever, &l);

	sleep_ms(100);
	CHECK_EQ(pthread_cancel(t), 0);
	CHECK(join(t) == PTHREAD_CANCELED);
	c = connected(a);
	expect_text(c, OK(accept(l, NULL, NULL)), "nor this client");
}

/* --- a call that begins again on another file --------------------------------------------- */

static atomic_int held, let_go;

static void hold(int sig)
{
	(void)sig;
	atomic_store(&held, 1);
	while (!atomic_load(&let_go))
		sleep_ms(1);
}

static void *read_one(void *arg)
{
	char b = 0;

	CHECK_EQ(read(*(int *)arg, &b, 1), 1);
	return (void *)(intptr_t)b;
}

/*
 * It was blocked before any socket was read from, and is below a handler when the first
 * one is; its number is a socket when it begins again.
 */
static void restarts_on_a_socket(void)
{
	struct sigaction sa = {.sa_handler = hold, .sa_flags = SA_RESTART};
	int fd[2], other[2];
	pthread_t t;
	char b;

	OK(sigaction(SIGUSR1, &sa, NULL));
	OK(pipe(other));
	tcp_pair(fd);
	t = thread(read_one, &other[0]);
	sleep_ms(100);
	CHECK_EQ(pthread_kill(t, SIGUSR1), 0);
	while (!atomic_load(&held))
		sleep_ms(1);
	write_all(fd[0], "a", 1);
	CHECK_EQ(OK(read(fd[1], &b, 1)), 1);
	OK(dup2(fd[1], other[0]));
	atomic_store(&let_go, 1);
	sleep_ms(50);
	write_all(fd[0], "b", 1);
	CHECK_EQ((intptr_t)join(t), 'b');
}

/* --- SIGIO ------------------------------------------------------------------ */

static atomic_int io_signals;

static void on_io(int sig)
{
	(void)sig;
	atomic_fetch_add(&io_signals, 1);
}

static void driven_by_signals(int fd)
{
	OK(fcntl(fd, F_SETOWN, getpid()));
	OK(fcntl(fd, F_SETFL, OK(fcntl(fd, F_GETFL)) | O_ASYNC));
}

/* What is sent from one to the other is told of. */
static void expect_signal(int from, int to)
{
	atomic_store(&io_signals, 0);
	write_all(from, "signal", 6);
	for (int i = 0; i < 5000 && !atomic_load(&io_signals); i++)
		sleep_ms(1);
	CHECK(atomic_load(&io_signals));
	CHECK_EQ(read_all(to, (char[6]){0}, 6), 6);
}

/* O_ASYNC and FIOASYNC: listeners, connections that were in use, and those that will be */
static void input_is_signalled(void)
{
	struct sigaction sa = {.sa_handler = on_io, .sa_flags = SA_RESTART};
	struct sockaddr_in a;
	int l = listener(4, &a), fd[2], c, s, u, v;

	OK(sigaction(SIGIO, &sa, NULL));
	used_pair(fd);
	driven_by_signals(fd[1]);
	CHECK(OK(fcntl(fd[1], F_GETFL)) & O_ASYNC);
	expect_signal(fd[0], fd[1]);
	expect_signal(fd[0], fd[1]);
	OK(fcntl(fd[0], F_SETOWN, getpid()));
	OK(ioctl(fd[0], FIOASYNC, &(int){1}));
	expect_signal(fd[1], fd[0]);

	atomic_store(&io_signals, 0);
	driven_by_signals(l);
	c = tcp_socket();
	driven_by_signals(c);
	OK(connect(c, SA(&a), sizeof(a)));
	s = OK(accept(l, NULL, NULL));
	CHECK(atomic_load(&io_signals));
	expect_signal(s, c);

	a = test_address(0);
	u = OK(socket(AF_INET, SOCK_DGRAM, 0));
	OK(bind(u, SA(&a), sizeof(a)));
	a = local_name(u);
	v = OK(socket(AF_INET, SOCK_DGRAM, 0));
	OK(connect(v, SA(&a), sizeof(a)));
	expect_text(v, u, "used");
	driven_by_signals(u);
	expect_signal(v, u);
}

/* What does not wait is not ended by a signal, whatever its handler says. */
static void short_calls_go_on(void)
{
	struct itimerspec every_ms = {{0, 1000000}, {0, 1000000}};
	struct sigevent by = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	int fd[2], c, l, n, on = 1;
	struct sockaddr_in a;
	timer_t timer;

	used_pair(fd);
	handle(0);
	OK(timer_create(CLOCK_MONOTONIC, &by, &timer));
	OK(timer_settime(timer, 0, &every_ms, NULL));
	while (seen < 300) {
		l = listener(1, &a);
		set_nonblock(l);
		CHECK_ERRNO(accept(l, NULL, NULL), EAGAIN);
		local_name(fd[0]);
		peer_name(fd[1]);
		c = tcp_socket();
		set_nonblock(c);
		OK(setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
		CHECK_EQ(get_option(c, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
		CHECK_ERRNO(connect(c, SA(&a), sizeof(a)), EINPROGRESS);
		OK(ioctl(fd[0], TIOCOUTQ, &n)); /* as SIOCOUTQ */
		OK(shutdown(l, SHUT_RD));
		OK(close(c));
		OK(close(l));
	}
}

CHECK_MAIN(ASIDE(accept_eintr), ASIDE(accept_address_eintr), ASIDE(accept_restarts),
	   ASIDE(recv_eintr), ASIDE(recv_restarts), ASIDE(recv_with_timeout_never_restarts),
	   ASIDE(waits_never_restart), CASE(ppoll_lets_a_signal_in), ASIDE(connect_eintr_goes_on),
	   ASIDE(send_interrupted), ASIDE(sigterm_ends_accept), ASIDE(sigkill_ends_accept),
	   ASIDE(sigterm_ends_recv), ASIDE(stop_and_continue), ASIDE(accept_timeout),
	   ASIDE(recv_timeout), ASIDE(send_timeout), ASIDE(cancel_recv), ASIDE(cancel_accept),
	   ASIDE(restarts_on_a_socket), CASE(input_is_signalled), CASE(short_calls_go_on))

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * fork.c - Sockets shared by parent and child, and handed over by exec
 */
#include "check.h"

/* The classic server: the child serves, the parent closes its copy. */
static void child_serves(void)
{
	struct sockaddr_in a;
	int l = listener(8, &a);
	pid_t pid[4];
	int c[4];

	for (int i = 0; i < 4; i++) {
		int s;

		c[i] = connected(a);
		s = OK(accept(l, NULL, NULL));
		pid[i] = child();
		if (!pid[i]) {
			char buf[8];

			OK(close(l));
			CHECK_EQ(read_all(s, buf, 4), 4);
			write_all(s, buf, 4);
			_exit(0);
		}
		OK(close(s));
	}
	for (int i = 0; i < 4; i++) {
		char buf[8];

		CHECK_EQ(poll_bits(c[i]), POLLOUT);
		write_all(c[i], "echo", 4);
		CHECK_EQ(read_all(c[i], buf, sizeof(buf)), 4);
		CHECK_EQ(memcmp(buf, "echo", 4), 0);
		reap(pid[i]);
	}
}

static void connection_lives_in_the_child(void)
{
	int fd[2], go[2];
	pid_t pid;

	tcp_pair(fd);
	OK(pipe(go));
	pid = child();
	if (!pid) {
		OK(close(fd[0]));
		CHECK_EQ(read(go[0], (char[1]){0}, 1), 1);
		write_all(fd[1], "late", 4);
		_exit(0);
	}
	OK(close(fd[1]));
	sleep_ms(50);
	CHECK_EQ(poll_bits(fd[0]), POLLOUT);
	CHECK_EQ(write(go[1], "g", 1), 1);
	CHECK_EQ(read_all(fd[0], (char[8]){0}, 8), 4);
	reap(pid);
}

static void connection_outlives_the_child(void)
{
	int fd[2];
	pid_t pid;

	tcp_pair(fd);
	pid = child();
	if (!pid)
		_exit(0);
	reap(pid);
	sleep_ms(50);
	expect_text(fd[0], fd[1], "still");
	expect_text(fd[1], fd[0], "here");
}

/* Both write into one stream, nothing is lost or doubled. */
static void both_write(void)
{
	char buf[2000];
	int fd[2], a = 0, b = 0;
	pid_t pid;

	tcp_pair(fd);
	pid = child();
	for (int i = 0; i < 1000; i++)
		write_all(fd[0], pid ? "a" : "b", 1);
	if (!pid)
		_exit(0);
	CHECK_EQ(read_all(fd[1], buf, sizeof(buf)), sizeof(buf));
	for (size_t i = 0; i < sizeof(buf); i++) {
		a += buf[i] == 'a';
		b += buf[i] == 'b';
	}
	CHECK_EQ(a, 1000);
	CHECK_EQ(b, 1000);
	reap(pid);
}

/* The child's shutdown is everybody's; options are the file's as well. */
static void state_is_shared(void)
{
	int fd[2];
	pid_t pid;

	tcp_pair(fd);
	pid = child();
	if (!pid) {
		set_nonblock(fd[0]);
		set_option(fd[0], IPPROTO_TCP, TCP_NODELAY, 1);
		OK(shutdown(fd[0], SHUT_WR));
		_exit(0);
	}
	reap(pid);
	expect_eof(fd[1]);
	CHECK_ERRNO(send(fd[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK_ERRNO(recv(fd[0], (char[1]){0}, 1, 0), EAGAIN);
	CHECK_EQ(get_option(fd[0], IPPROTO_TCP, TCP_NODELAY), 1);
}

/* Made before the fork, connected after it: known to the parent. */
static void child_connects_for_parent(void)
{
	struct sockaddr_in a;
	int l = listener(1, &a), c = tcp_socket();
	pid_t pid = child();

	if (!pid) {
		OK(connect(c, SA(&a), sizeof(a)));
		_exit(0);
	}
	reap(pid);
	expect_text(c, OK(accept(l, NULL, NULL)), "mine");
}

/* The same, and no call in between is about sockets. */
static void child_connects_and_parent_reads(void)
{
	struct sockaddr_in a;
	int l = listener(1, &a), c = tcp_socket();
	pid_t server = child(), pid;
	char buf[8];

	if (!server) {
		int s = OK(accept(l, NULL, NULL));

		write_all(s, "mine", 4);
		CHECK_EQ(read_all(s, buf, 4), 4);
		_exit(memcmp(buf, "back", 4) != 0);
	}
	pid = child();
	if (!pid) {
		OK(connect(c, SA(&a), sizeof(a)));
		_exit(0);
	}
	reap(pid);
	CHECK_EQ(read_all(c, buf, 4), 4);
	write_all(c, "back", 4);
	reap(server);
}

/* A child that writes into @fd when it is told to */
static pid_t writer(int fd, int *go)
{
	int p[2];
	pid_t pid;

	OK(pipe(p));
	pid = child();
	if (pid) {
		*go = p[1];
		return pid;
	}
	CHECK_EQ(read(p[0], (char[1]){0}, 1), 1);
	write_all(fd, "child", 5);
	_exit(0);
}

/* What the parent's second connect() makes is the child's, too: after one that failed, */
static void failed_for_the_child(void)
{
	struct sockaddr_in a, none = refusing();
	int l = listener(1, &a), c = tcp_socket(), go;
	pid_t pid = writer(c, &go);

	CHECK_ERRNO(connect(c, SA(&none), sizeof(none)), ECONNREFUSED);
	OK(connect(c, SA(&a), sizeof(a)));
	CHECK_EQ(write(go, "g", 1), 1);
	CHECK_EQ(read_all(OK(accept(l, NULL, NULL)), (char[8]){0}, 5), 5);
	reap(pid);
}

/* and after a disconnect, which ends the connection whoever else has it */
static void disconnected_for_the_child(void)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	struct sockaddr_in a;
	int l = listener(1, &a), c = connected(a), s = OK(accept(l, NULL, NULL)), go;
	pid_t pid = writer(c, &go);

	OK(connect(c, &none, sizeof(none)));
	CHECK_ERRNO(read(s, (char[1]){0}, 1), ECONNRESET);
	OK(connect(c, SA(&a), sizeof(a)));
	CHECK_EQ(write(go, "g", 1), 1);
	CHECK_EQ(read_all(OK(accept(l, NULL, NULL)), (char[8]){0}, 5), 5);
	reap(pid);
}

/* Of an accepted one as well, twice over */
static void accepted_disconnected_for_the_child(void)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	struct sockaddr_in a;
	int l = listener(2, &a), c = connected(a), s = OK(accept(l, NULL, NULL)), go;
	pid_t pid = writer(s, &go);

	OK(connect(s, &none, sizeof(none)));
	CHECK_ERRNO(read(c, (char[1]){0}, 1), ECONNRESET);
	OK(connect(s, SA(&a), sizeof(a)));
	OK(accept(l, NULL, NULL));
	OK(connect(s, &none, sizeof(none)));
	OK(connect(s, SA(&a), sizeof(a)));
	CHECK_EQ(write(go, "g", 1), 1);
	CHECK_EQ(read_all(OK(accept(l, NULL, NULL)), (char[8]){0}, 5), 5);
	reap(pid);
}

static void grandchild_serves(void)
{
	int fd[2];
	pid_t pid;

	tcp_pair(fd);
	pid = child();
	if (!pid) {
		pid_t grandchild = child();

		if (!grandchild)
			write_all(fd[1], "deep", 4);
		else
			reap(grandchild);
		_exit(0);
	}
	OK(close(fd[1]));
	CHECK_EQ(read_all(fd[0], (char[8]){0}, 8), 4);
	reap(pid);
}

static void vfork_and_exec(void)
{
	int fd[2], status;

	tcp_pair(fd);
	for (int i = 0; i < 3; i++) {
		pid_t pid = vfork();

		if (!pid) {
			execl("/bin/true", "true", NULL);
			_exit(127);
		}
		status = reap_status(pid);
		CHECK_EQ(status, 0);
	}
	expect_text(fd[0], fd[1], "unharmed");
}

static pid_t run_self(const char *verb, int fd)
{
	pid_t pid = child();
	char number[16];

	if (pid)
		return pid;
	snprintf(number, sizeof(number), "%d", fd);
	execl("/proc/self/exe", "fork", verb, number, NULL);
	_exit(127);
}

static void exec_inherits_connection(void)
{
	int fd[2];
	pid_t pid;

	tcp_pair(fd);
	pid = run_self("@echo", fd[1]);
	OK(close(fd[1]));
	write_all(fd[0], "echo", 4);
	CHECK_EQ(read_all(fd[0], (char[8]){0}, 8), 4);
	reap(pid);
}

static void exec_inherits_listener(void)
{
	struct sockaddr_in a;
	int l = listener(5, &a), c;
	pid_t pid = run_self("@serve", l);

	OK(close(l));
	c = connected(a);
	write_all(c, "echo", 4);
	CHECK_EQ(read_all(c, (char[8]){0}, 8), 4);
	reap(pid);
}

/* inetd's way: the connection is standard input and output. */
static void exec_as_standard_streams(void)
{
	int fd[2];
	pid_t pid;
	char buf[8];

	tcp_pair(fd);
	pid = child();
	if (!pid) {
		OK(dup2(fd[1], 0));
		OK(dup2(fd[1], 1));
		OK(close(fd[1]));
		OK(close(fd[0]));
		execl("/bin/cat", "cat", NULL);
		_exit(127);
	}
	OK(close(fd[1]));
	write_all(fd[0], "inetd", 5);
	OK(shutdown(fd[0], SHUT_WR));
	CHECK_EQ(read_all(fd[0], buf, sizeof(buf)), 5);
	CHECK_EQ(memcmp(buf, "inetd", 5), 0);
	reap(pid);
}

/* exec closes what is marked, and the peer sees it. */
static void exec_closes_cloexec(void)
{
	int fd[2];
	pid_t pid;

	tcp_pair(fd);
	OK(fcntl(fd[1], F_SETFD, FD_CLOEXEC));
	pid = child();
	if (!pid) {
		execl("/bin/sleep", "sleep", "1", NULL);
		_exit(127);
	}
	OK(close(fd[1]));
	expect_eof(fd[0]);
	CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0);
	reap(pid);
}

/* After exec: answer one four-byte request on the inherited descriptor. */
static int after_exec(const char *verb, int fd)
{
	char buf[4];

	check_name = verb;
	DEADLINE(CHECK_DEADLINE);
	CHECK_EQ(get_option(fd, SOL_SOCKET, SO_ACCEPTCONN), !strcmp(verb, "@serve"));
	CHECK_EQ(local_name(fd).sin_family, AF_INET);
	if (!strcmp(verb, "@serve"))
		fd = OK(accept(fd, NULL, NULL));
	CHECK_EQ(read_all(fd, buf, 4), 4);
	write_all(fd, buf, 4);
	return 0;
}

int main(int argc, char **argv)
{
	static struct check_case cases[] = {
	    CASE(child_serves),
	    CASE(connection_lives_in_the_child),
	    CASE(connection_outlives_the_child),
	    CASE(both_write),
	    CASE(state_is_shared),
	    CASE(child_connects_for_parent),
	    CASE(child_connects_and_parent_reads),
	    CASE(failed_for_the_child),
	    CASE(disconnected_for_the_child),
	    CASE(accepted_disconnected_for_the_child),
	    CASE(grandchild_serves),
	    CASE(vfork_and_exec),
	    CASE(exec_inherits_connection),
	    CASE(exec_inherits_listener),
	    CASE(exec_as_standard_streams),
	    ASIDE(exec_closes_cloexec),
	};

	if (argc == 3 && argv[1][0] == '@')
		return after_exec(argv[1], atoi(argv[2]));
	return check_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}

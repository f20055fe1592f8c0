/* SPDX-License-Identifier: BSD-3-Clause
 *
 * fd_passing.c - Sockets that come by SCM_RIGHTS, vfork() and posix_spawn() work as the original
 */
#include <spawn.h>

#include "pass.h"

/* The sender closes its own: the receiver's is the last one, and its close is the FIN */
static void connected_socket_to_a_process(void)
{
	struct sockaddr_in me, peer;
	int fd[2], way[2];
	pid_t pid;

	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, way));
	pid = child();
	if (!pid) {
		int s;

		OK(close(way[1]));
		s = receive_fd(way[0]);
		CHECK_EQ(read_all(way[0], &me, sizeof(me)), sizeof(me));
		CHECK_EQ(read_all(way[0], &peer, sizeof(peer)), sizeof(peer));
		CHECK(same_address(local_name(s), me));
		CHECK(same_address(peer_name(s), peer));
		CHECK_EQ(get_option(s, IPPROTO_TCP, TCP_NODELAY), 1);
		write_all(s, "from the child", 14);
		OK(close(s));
		_exit(0);
	}
	OK(close(way[0]));
	tcp_pair(fd);
	set_option(fd[0], IPPROTO_TCP, TCP_NODELAY, 1);
	me = local_name(fd[0]);
	peer = peer_name(fd[0]);
	send_fd(way[1], fd[0]);
	write_all(way[1], &me, sizeof(me));
	write_all(way[1], &peer, sizeof(peer));
	OK(close(fd[0]));
	{
		char buf[32] = "";

		CHECK_EQ(read_all(fd[1], buf, 14), 14);
		CHECK(!strcmp(buf, "from the child"));
	}
	expect_eof(fd[1]);
	reap(pid);
}

static void listener_to_a_process(void)
{
	struct sockaddr_in a;
	int way[2], l, s;
	pid_t pid;

	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, way));
	pid = child();
	if (!pid) {
		l = receive_fd(way[0]);
		for (int i = 0; i < 3; i++) {
			s = (int)OK(accept(l, NULL, NULL));
			write_all(s, "accepted", 8);
			OK(close(s));
		}
		_exit(0);
	}
	l = listener(5, &a);
	send_fd(way[1], l);
	OK(close(l));
	for (int i = 0; i < 3; i++) {
		char buf[16] = "";

		s = connected(a);
		CHECK_EQ(read_all(s, buf, 8), 8);
		CHECK(!strcmp(buf, "accepted"));
		expect_eof(s);
		OK(close(s));
	}
	reap(pid);
}

/* In flight, held by no process: neither lost nor closed */
static void closed_in_flight(void)
{
	int fd[2], way[2], s;

	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, way));
	tcp_pair(fd);
	send_fd(way[0], fd[0]);
	OK(close(fd[0]));
	sleep_ms(1500); /* longer than anybody who looks for a last close may need */
	CHECK_EQ(poll_bits(fd[1]), POLLOUT);
	s = receive_fd(way[1]);
	expect_text(s, fd[1], "still here");
	expect_text(fd[1], s, "and back");
	/* Never received: its end is the end of the connection */
	send_fd(way[0], s);
	OK(close(s));
	OK(close(way[0]));
	OK(close(way[1]));
	expect_eof(fd[1]);
}

static void to_itself(void)
{
	int fd[2], way[2], s;

	OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, way));
	tcp_pair(fd);
	send_fd(way[0], fd[0]);
	s = receive_fd(way[1]);
	CHECK(s != fd[0]);
	CHECK(same_address(local_name(s), local_name(fd[0])));
	expect_text(s, fd[1], "one");
	expect_text(fd[0], fd[1], "two");
	OK(shutdown(s, SHUT_WR));
	expect_eof(fd[1]);
}

extern char **environ;

/* A program that knows nothing but its standard input and output */
static void spawned_program_has_a_socket(void)
{
	char *argv[] = {"cat", NULL};
	posix_spawn_file_actions_t acts;
	char buf[64] = "";
	int fd[2];
	pid_t pid;

	tcp_pair(fd);
	CHECK_EQ(posix_spawn_file_actions_init(&acts), 0);
	CHECK_EQ(posix_spawn_file_actions_adddup2(&acts, fd[0], 0), 0);
	CHECK_EQ(posix_spawn_file_actions_adddup2(&acts, fd[0], 1), 0);
	CHECK_EQ(posix_spawn_file_actions_addclose(&acts, fd[0]), 0);
	CHECK_EQ(posix_spawn_file_actions_addclose(&acts, fd[1]), 0);
	CHECK_EQ(posix_spawnp(&pid, "cat", &acts, NULL, argv, environ), 0);
	OK(close(fd[0]));
	write_all(fd[1], "through cat", 11);
	CHECK_EQ(read_all(fd[1], buf, 11), 11);
	CHECK(!strcmp(buf, "through cat"));
	OK(shutdown(fd[1], SHUT_WR));
	expect_eof(fd[1]);
	reap(pid);
}

/* Calls that trap, in a process that shares the memory of one that waits */
static void vfork_child_makes_sockets(void)
{
	static volatile int made, err;
	struct sockaddr_in a;
	int l = listener(5, &a), s;
	pid_t pid = vfork();

	if (!pid) {
		made = socket(AF_INET, SOCK_STREAM, 0);
		err = connect(made, SA(&a), sizeof(a)) ? errno : 0;
		if (!err && write(made, "vfork", 5) != 5)
			err = errno;
		_exit(0);
	}
	CHECK(pid > 0);
	reap(pid);
	CHECK(made >= 0);
	CHECK_EQ(err, 0);
	CHECK_ERRNO(fcntl(made, F_GETFD), EBADF); /* the child's descriptors were its own */
	s = (int)OK(accept(l, NULL, NULL));
	{
		char buf[8] = "";

		CHECK_EQ(read_all(s, buf, 5), 5);
		CHECK(!strcmp(buf, "vfork"));
	}
	expect_eof(s);
}

CHECK_MAIN(CASE(connected_socket_to_a_process), CASE(listener_to_a_process),
	   ASIDE(closed_in_flight), CASE(to_itself), CASE(spawned_program_has_a_socket),
	   CASE(vfork_child_makes_sockets))

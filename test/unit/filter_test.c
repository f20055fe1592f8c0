/* SPDX-License-Identifier: BSD-3-Clause
 *
 * filter_test.c - What traps, tried with the kernel
 *
 * Theory of operation: a child installs the filter that gazelle-run loads, and
 * hands us the listener.  For each row of cases[] it makes the raw system call
 * with the row's registers and sends the result.  We answer every notification
 * with the value TRAPPED, which no kernel returns, so that the child's result
 * says which way the call went; the notification itself is checked too.
 * Arguments carry garbage in the upper half where the kernel ignores it.
 *
 * BAD is no descriptor, so a native call fails and changes nothing.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "launcher/agent/abi.h"
#include "launcher/calls.h"
#include "launcher/filter.h"

#define TRAPPED 7777777
#define BAD (-1L)
#define HIGH 0xdeadbeef00000000L /* garbage above an int */
#define INT(v) (HIGH | (long)(uint32_t)(v))
#define LOW_PTR 0x1000L /* both halves of a pointer must be seen */
#define HIGH_PTR 0x700000000000L

enum want { TRAP, NATIVE, NOSYS };

static const struct trial {
	int nr;
	long arg[6];
	enum want want;
} trials[] = {
    {SYS_socket, {AF_INET, SOCK_STREAM, 0}, TRAP},
    {SYS_socket, {INT(AF_INET), INT(SOCK_STREAM), INT(0)}, TRAP},
    {SYS_socket, {AF_INET, SOCK_DGRAM, 0}, TRAP},
    {SYS_socket, {AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0}, TRAP},
    {SYS_socket, {AF_INET6, SOCK_STREAM, 0}, TRAP},
    {SYS_socket, {INT(AF_INET6), SOCK_RAW, 58}, TRAP},
    {SYS_socket, {AF_UNIX, 0, 0}, NATIVE},
    {SYS_socket, {INT(AF_UNIX), 0, 0}, NATIVE},
    {SYS_socket, {AF_NETLINK, 99, 0}, TRAP},
    {SYS_socket, {AF_PACKET, 99, 0}, NATIVE},
    {SYS_socket, {AF_INET | 0x100, 0, 0}, NATIVE},
    {SYS_socket, {0, AF_INET, AF_INET6}, NATIVE},
    {SYS_socketpair, {AF_INET, SOCK_STREAM, 0, 0}, NATIVE},

    {SYS_bind, {BAD}, TRAP},
    {SYS_listen, {BAD}, TRAP},
    {SYS_accept, {BAD}, TRAP},
    {SYS_accept4, {BAD}, TRAP},
    {SYS_connect, {BAD}, TRAP},
    {SYS_getsockname, {BAD}, TRAP},
    {SYS_getpeername, {BAD}, TRAP},
    {SYS_getsockopt, {BAD}, TRAP},
    {SYS_setsockopt, {BAD}, TRAP},
    {SYS_shutdown, {BAD}, TRAP},
    {SYS_shutdown, {INT(BAD), INT(SHUT_WR)}, TRAP},

    {SYS_ioctl, {BAD, 0x5411}, TRAP},
    {SYS_ioctl, {BAD, INT(0x5411), LOW_PTR}, TRAP},
    {SYS_ioctl, {BAD, 0x8912}, TRAP},
    {SYS_ioctl, {BAD, INT(0x89ff), LOW_PTR}, TRAP},
    {SYS_ioctl, {BAD, INT(0x8b01), LOW_PTR}, TRAP},
    {SYS_ioctl, {BAD, 0x8a00}, NATIVE},
    {SYS_ioctl, {BAD, INT(0x80108906)}, TRAP},
    {SYS_ioctl, {BAD, INT(0x80108a06)}, NATIVE},
    {SYS_ioctl, {BAD, FIONREAD}, NATIVE},
    {SYS_ioctl, {BAD, INT(FIONBIO)}, NATIVE},
    {SYS_ioctl, {BAD, 0x15411}, NATIVE},
    {SYS_ioctl, {BAD, TCGETS, 0x5411}, NATIVE},
    {SYS_ioctl, {0x5411, TCGETS, 0}, NATIVE},

    {SYS_recvfrom, {BAD, 0, 0, 0, 0, 0}, NATIVE},
    {SYS_recvfrom, {BAD, 0, 0, HIGH, 0, 0}, NATIVE},
    {SYS_recvfrom, {BAD, LOW_PTR, 100, MSG_DONTWAIT, 0, 0}, NATIVE},
    {SYS_recvfrom, {BAD, 0, 0, MSG_PEEK | MSG_WAITALL | MSG_NOSIGNAL, 0, 0}, NATIVE},
    {SYS_recvfrom, {BAD, 0, 0, 0, 0, LOW_PTR}, NATIVE},
    {SYS_recvfrom, {BAD, 0, 0, 0, LOW_PTR, 0}, TRAP},
    {SYS_recvfrom, {BAD, 0, 0, 0, HIGH_PTR, 0}, TRAP},
    {SYS_recvfrom, {BAD, 0, 0, 0, HIGH_PTR | LOW_PTR, LOW_PTR}, TRAP},
    {SYS_recvfrom, {BAD, 0, 0, MSG_DONTWAIT, HIGH_PTR, 0}, TRAP},
    {SYS_recvfrom, {BAD, 0, 0, MSG_OOB, 0, 0}, TRAP},
    {SYS_recvfrom, {BAD, 0, 0, MSG_TRUNC, 0, 0}, TRAP},
    {SYS_recvfrom, {BAD, 0, 0, MSG_ERRQUEUE, 0, 0}, TRAP},
    {SYS_recvfrom, {BAD, 0, 0, INT(MSG_OOB), 0, 0}, TRAP},
    {SYS_recvfrom, {BAD, 0, 0, INT(MSG_TRUNC | MSG_PEEK), 0, 0}, TRAP},
    {SYS_recvfrom, {BAD, 0, 0, MSG_ERRQUEUE | MSG_DONTWAIT, 0, 0}, TRAP},
    {SYS_recvfrom, {BAD, 0, 0, MSG_OOB | MSG_TRUNC | MSG_ERRQUEUE, LOW_PTR, 0}, TRAP},

    {SYS_sendto, {BAD, 0, 0, 0, 0, 0}, TRAP},
    {SYS_sendto, {BAD, 0, 1, 0, 0, 0}, NATIVE},
    {SYS_sendto, {BAD, 0, 1, HIGH, 0, 0}, NATIVE},
    {SYS_sendto, {BAD, 0, 1, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE, 0, 0}, NATIVE},
    {SYS_sendto, {BAD, 0, 1, MSG_TRUNC, 0, 16}, NATIVE},
    {SYS_sendto, {BAD, 0, 1, 0, LOW_PTR, 16}, TRAP},
    {SYS_sendto, {BAD, 0, 1, 0, HIGH_PTR, 16}, TRAP},
    {SYS_sendto, {BAD, 0, 1, MSG_OOB, 0, 0}, TRAP},
    {SYS_sendto, {BAD, 0, 1, INT(MSG_OOB | MSG_NOSIGNAL), 0, 0}, TRAP},
    {SYS_sendto, {BAD, 0, 1, MSG_FASTOPEN, 0, 0}, TRAP},
    {SYS_sendto, {BAD, 0, 1, INT(MSG_FASTOPEN), 0, 0}, TRAP},

    {SYS_recvmsg, {BAD, LOW_PTR, 0}, TRAP},
    {SYS_sendmsg, {BAD, LOW_PTR, 0}, TRAP},
    {SYS_recvmmsg, {BAD, LOW_PTR, 1, 0, 0}, TRAP},
    {SYS_sendmmsg, {BAD, LOW_PTR, 1, 0}, TRAP},

    {SYS_io_uring_setup, {1, 0}, NOSYS},
    {SYS_io_uring_setup, {INT(1), LOW_PTR}, NOSYS},

    /* data and readiness are native, whatever the arguments */
    {SYS_read, {BAD, LOW_PTR, 1, 1, 1, 1}, NATIVE},
    {SYS_write, {BAD, LOW_PTR, 1, 1, 1, 1}, NATIVE},
    {SYS_close, {BAD, 2, 2, 2, 2, 2}, NATIVE},
    {SYS_dup2, {BAD, 0}, NATIVE},
    {SYS_fcntl, {BAD, 0}, NATIVE},
    {SYS_epoll_wait, {BAD, 0, 0}, NATIVE},
    {SYS_epoll_ctl, {BAD, 0, 0}, NATIVE},
    {SYS_fstat, {BAD, 0}, NATIVE},
    /* x32's socket(): the kernel's to refuse */
    {(int)(0x40000000u | SYS_socket), {AF_INET, SOCK_STREAM, 0}, NATIVE},
};

#define NTRIALS (sizeof(trials) / sizeof(trials[0]))

struct fixture {
	struct sock_fprog prog;
	pid_t pid;
	int chan; /* to the child: go; from it: the listener, then results */
	int listener;
};

/* sendmsg() traps: the child says the number, and its parent takes it. */
static int take_fd(pid_t pid, int chan)
{
	int number, pidfd, fd;

	if (read(chan, &number, sizeof(number)) != sizeof(number))
		return -1;
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
	close(pidfd);
	return fd;
}

static long call(const struct trial *t)
{
	long r = syscall(t->nr, t->arg[0], t->arg[1], t->arg[2], t->arg[3], t->arg[4], t->arg[5]);

	return r < 0 ? -errno : r;
}

/* Everything the child does after the filter is in must not trap by itself. */
static void child(const struct fixture *f, int chan)
{
	int listener = gz_filter_install(&f->prog);

	if (listener < 0) {
		fprintf(stderr, "install: %s\n", gz_filter_strerror(listener));
		_exit(2);
	}
	if (write(chan, &listener, sizeof(listener)) != sizeof(listener))
		_exit(3);
	for (size_t i = 0; i < NTRIALS; i++) {
		long r;
		char go;

		if (read(chan, &go, 1) != 1)
			_exit(4);
		r = call(&trials[i]);
		if (write(chan, &r, sizeof(r)) != sizeof(r))
			_exit(4);
	}
	_exit(0);
}

static int setup(void **state)
{
	static struct fixture f;
	int sp[2];

	assert_int_equal(gz_filter_build(&f.prog, false), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sp), 0);
	f.pid = fork();
	assert_true(f.pid >= 0);
	if (!f.pid) {
		close(sp[0]);
		child(&f, sp[1]);
	}
	close(sp[1]);
	f.chan = sp[0];
	f.listener = take_fd(f.pid, f.chan);
	assert_true(f.listener >= 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close(f->listener);
	close(f->chan);
	kill(f->pid, SIGKILL);
	waitpid(f->pid, NULL, 0);
	gz_filter_free(&f->prog);
	return 0;
}

/* Let the child make its next call; answer what traps; *seen is the last of them */
static long next_result(const struct fixture *f, struct seccomp_notif *seen, int *nseen)
{
	long r = 0;

	*nseen = 0;
	assert_int_equal(write(f->chan, "", 1), 1);
	for (;;) {
		struct pollfd p[] = {{.fd = f->listener, .events = POLLIN},
				     {.fd = f->chan, .events = POLLIN}};

		if (poll(p, 2, 5000) <= 0)
			fail_msg("the child neither trapped nor returned");
		if (p[0].revents & POLLIN) {
			struct seccomp_notif_resp resp = {.val = TRAPPED};

			memset(seen, 0, sizeof(*seen));
			assert_int_equal(ioctl(f->listener, SECCOMP_IOCTL_NOTIF_RECV, seen), 0);
			resp.id = seen->id;
			assert_int_equal(ioctl(f->listener, SECCOMP_IOCTL_NOTIF_SEND, &resp), 0);
			++*nseen;
			continue;
		}
		if (read(f->chan, &r, sizeof(r)) != sizeof(r))
			fail_msg("the child ended");
		return r;
	}
}

static void each_call_goes_where_the_table_says(void **state)
{
	const struct fixture *f = *state;

	for (size_t i = 0; i < NTRIALS; i++) {
		const struct trial *t = &trials[i];
		struct seccomp_notif seen;
		int nseen;
		long r = next_result(f, &seen, &nseen);
		bool ok;

		switch (t->want) {
		case TRAP:
			ok = nseen == 1 && r == TRAPPED && seen.data.nr == t->nr &&
			     seen.data.arch == AUDIT_ARCH_X86_64 &&
			     !memcmp(seen.data.args, t->arg, sizeof(t->arg));
			break;
		case NOSYS:
			ok = nseen == 0 && r == -ENOSYS;
			break;
		default:
			ok = nseen == 0 && r < 0;
		}
		if (!ok)
			fail_msg("row %zu: call %d(%lx, %lx, %lx, %lx, %lx, %lx) gave %ld with %d "
				 "notifications, expected %s",
				 i, t->nr, t->arg[0], t->arg[1], t->arg[2], t->arg[3], t->arg[4],
				 t->arg[5], r, nseen,
				 (const char *[]){"a trap", "a native error", "ENOSYS"}[t->want]);
	}
}

/* A row of the table that no trial makes trap would go untested. */
static void every_row_is_tried(void **state)
{
	(void)state;
	for (size_t i = 0; i < gz_ncalls; i++) {
		enum want want = gz_calls[i].action == GZ_ACT_ENOSYS ? NOSYS : TRAP;
		bool conditional = gz_calls[i].when[0].test != GZ_TEST_NONE;
		int yes = 0, no = 0;

		if (gz_calls[i].plane == GZ_CALL_RING)
			continue; /* with_rings_the_agent_alone_passes() */

		for (size_t j = 0; j < NTRIALS; j++) {
			if (trials[j].nr != gz_calls[i].nr)
				continue;
			yes += trials[j].want == want;
			no += trials[j].want == NATIVE;
		}
		if (!yes || (conditional && !no))
			fail_msg("no trial of %s", gz_calls[i].name);
	}
}

static void rows_have_a_handler_each(void **state)
{
	bool used[GZ_CALL_COUNT] = {false};

	(void)state;
	for (size_t i = 0; i < gz_ncalls; i++) {
		assert_true(gz_calls[i].id < GZ_CALL_COUNT);
		assert_false(used[gz_calls[i].id]);
		used[gz_calls[i].id] = true;
		assert_ptr_equal(gz_call_by_nr(gz_calls[i].nr), &gz_calls[i]);
		assert_non_null(gz_calls[i].doc);
	}
	assert_int_equal(gz_ncalls, GZ_CALL_COUNT);
	assert_null(gz_call_by_nr(SYS_futex));
	assert_null(gz_call_by_nr(-1));
}

static void on_signal(int sig)
{
	(void)sig;
}

/* WAIT_KILLABLE_RECV: what we have received, the program does not abandon */
static void a_received_call_is_not_interrupted(void **state)
{
	struct fixture *f = *state;
	struct sigaction sa = {.sa_handler = on_signal}; /* no SA_RESTART */
	struct seccomp_notif_resp resp = {.val = TRAPPED};
	struct seccomp_notif req = {0};
	int sp[2], listener, status;
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sp), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		sigaction(SIGUSR1, &sa, NULL);
		listener = gz_filter_install(&f->prog);
		if (listener < 0)
			_exit(2);
		if (write(sp[1], &listener, sizeof(listener)) != sizeof(listener))
			_exit(3);
		_exit(syscall(SYS_listen, BAD, 0) == TRAPPED ? 0 : 1);
	}
	listener = take_fd(pid, sp[0]);
	assert_true(listener >= 0);
	assert_int_equal(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &req), 0);
	kill(pid, SIGUSR1);
	usleep(20000); /* time to be interrupted, wrongly */
	resp.id = req.id;
	assert_int_equal(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(listener);
	close(sp[0]);
	close(sp[1]);
}

static void a_second_listener_is_seen(void **state)
{
	struct fixture *f = *state;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		if (gz_filter_inherited())
			_exit(10);
		if (gz_filter_install(&f->prog) < 0)
			_exit(11);
		if (!gz_filter_inherited())
			_exit(12);
		_exit(gz_filter_install(&f->prog) == -EBUSY ? 0 : 13);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* What a child did with the filter of a program that may have rings. */
struct ring_child {
	_Atomic int listener; /* its number there; -1: not yet */
	long outside[GZ_CALL_COUNT], inside[GZ_CALL_COUNT], others[4];
};

static long ring_call(long (*gate)(long, long, long, long), const struct gz_call_info *c)
{
	/* The first test of the row holds, by the second argument or the first. */
	const struct gz_when *w = &c->when[0];
	long a = BAD, b = 0;

	if (!gz_call_traps_wholly(c) && w->test == GZ_INT_EQ)
		*(w->arg ? &b : &a) = (long)w->value;
	return gate(c->nr, a, b, 0);
}

static void run_ring_child(struct ring_child *rc, const struct sock_fprog *prog)
{
	/* mov %rdi, %rax; mov %rsi, %rdi; mov %rdx, %rsi; mov %rcx, %rdx; syscall; ret */
	static const uint8_t code[] = {0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89,
				       0xd6, 0x48, 0x89, 0xca, 0x0f, 0x05, 0xc3};
	uint8_t *far = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *near = mmap((void *)GZ_AGENT_BASE, GZ_AGENT_EXEMPT_SIZE + 4096,
			     PROT_READ | PROT_WRITE | PROT_EXEC,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	uint8_t *last = near + GZ_AGENT_EXEMPT_SIZE - sizeof(code);
	long (*outside)(long, long, long, long) = (long (*)(long, long, long, long))far;
	long (*inside)(long, long, long, long) = (long (*)(long, long, long, long))near;
	int fd;

	if (far == MAP_FAILED || (uint64_t)near != GZ_AGENT_BASE)
		_exit(5);
	memcpy(far, code, sizeof(code));
	memcpy(near, code, sizeof(code));
	memcpy(last, code, sizeof(code));
	memcpy(near + GZ_AGENT_EXEMPT_SIZE, code, sizeof(code));
	fd = gz_filter_install(prog);
	atomic_store(&rc->listener, fd < 0 ? -2 : fd);
	for (size_t i = 0; i < gz_ncalls; i++) {
		rc->outside[i] = ring_call(outside, &gz_calls[i]);
		rc->inside[i] = ring_call(inside, &gz_calls[i]);
	}
	/* The last instruction of the range, the first behind it, and what never traps */
	rc->others[0] = ((long (*)(long, long, long, long))last)(SYS_read, BAD, 0, 0);
	rc->others[1] =
	    ((long (*)(long, long, long, long))(near + GZ_AGENT_EXEMPT_SIZE))(SYS_read, BAD, 0, 0);
	rc->others[2] = outside(SYS_prctl, PR_SET_DUMPABLE, 99, 0);
	rc->others[3] = outside(SYS_ioctl, BAD, TCGETS, 0);
	_exit(0);
}

/* Data calls trap, whatever their arguments, but from the agent's addresses nothing does. */
static void with_rings_the_agent_alone_passes(void **state)
{
	struct ring_child *rc =
	    mmap(NULL, sizeof(*rc), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct sock_fprog prog;
	int pidfd, listener, status;
	pid_t pid;

	(void)state;
	assert_true(rc != MAP_FAILED);
	atomic_store(&rc->listener, -1);
	assert_int_equal(gz_filter_build(&prog, true), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		run_ring_child(rc, &prog);
	for (int i = 0; i < 5000 && atomic_load(&rc->listener) == -1; i++)
		usleep(1000);
	assert_true(atomic_load(&rc->listener) >= 0);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	listener = (int)syscall(SYS_pidfd_getfd, pidfd, atomic_load(&rc->listener), 0);
	assert_true(listener >= 0);
	for (;;) {
		struct pollfd p[] = {{.fd = listener, .events = POLLIN},
				     {.fd = pidfd, .events = POLLIN}};
		struct seccomp_notif_resp resp = {.val = TRAPPED};
		struct seccomp_notif req = {0};

		assert_true(poll(p, 2, 5000) > 0);
		if (!(p[0].revents & POLLIN))
			break;
		assert_int_equal(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &req), 0);
		resp.id = req.id;
		assert_int_equal(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp), 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	for (size_t i = 0; i < gz_ncalls; i++) {
		bool nosys = gz_calls[i].action == GZ_ACT_ENOSYS;

		if (rc->outside[i] != (nosys ? -ENOSYS : TRAPPED))
			fail_msg("%s gave %ld", gz_calls[i].name, rc->outside[i]);
		if (rc->inside[i] == TRAPPED)
			fail_msg("%s of the agent's traps", gz_calls[i].name);
	}
	assert_int_equal(rc->others[0], -EBADF);
	assert_int_equal(rc->others[1], TRAPPED);
	assert_int_equal(rc->others[2], -EINVAL);
	assert_int_equal(rc->others[3], -EBADF);
	close(listener);
	close(pidfd);
	gz_filter_free(&prog);
	munmap(rc, sizeof(*rc));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rows_have_a_handler_each),
	    cmocka_unit_test(every_row_is_tried),
	    cmocka_unit_test(each_call_goes_where_the_table_says),
	    cmocka_unit_test(a_received_call_is_not_interrupted),
	    cmocka_unit_test(a_second_listener_is_seen),
	    cmocka_unit_test(with_rings_the_agent_alone_passes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

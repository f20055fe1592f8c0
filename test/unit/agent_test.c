/* SPDX-License-Identifier: BSD-3-Clause
 *
 * agent_test.c - The agent in a process whose C library was led to it
 *
 * Every site of it that can be patched is.
 */
#include <Zydis/Zydis.h>
#include <link.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "launcher/retire.h"
#include "unit/agent_child.h"

/* --- the C library's sites ------------------------------------------------------ */

static uint64_t sites[2000];
static unsigned nsites;

static void sweep(const uint8_t *text, size_t n)
{
	ZydisDecodedInstruction z;
	ZydisDecoder d;

	ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	for (size_t at = 0; at < n;) {
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&d, NULL, text + at, n - at, &z))) {
			at++;
			continue;
		}
		if (z.mnemonic == ZYDIS_MNEMONIC_SYSCALL && nsites < 2000)
			sites[nsites++] = (uint64_t)(text + at);
		at += z.length;
	}
}

static int find_libc(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	(void)arg;
	if (!strstr(info->dlpi_name, "libc.so"))
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD && info->dlpi_phdr[i].p_flags & PF_X)
			sweep((const uint8_t *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr),
			      info->dlpi_phdr[i].p_memsz);
	return 1;
}

static void lead_library(struct gz_tracee *t)
{
	unsigned n = 0;
	uint64_t block;
	int rc;

	for (unsigned i = 0; i < nsites; i++) {
		rc = gz_inject_site(t, sites[i], &block);
		n += !rc;
		if (rc && rc != -ENOEXEC)
			fail_msg("site %lx: %s", (unsigned long)sites[i], strerror(-rc));
		/* Twice is once. */
		if (i % 50 == 0)
			assert_int_equal(gz_inject_site(t, sites[i], &block), rc);
	}
	print_message("%u of %u sites\n", n, nsites);
	assert_true(n * 100 >= nsites * 98);
}

/* --- descriptors that are not ours ------------------------------------------------ */

static void *echo_thread(void *arg)
{
	int *fd = arg;
	char c;

	while (read(*fd, &c, 1) == 1)
		if (write(*fd, &c, 1) != 1)
			break;
	return NULL;
}

static double ns_per_read(int fd)
{
	struct timespec a, b;
	uint64_t v;

	clock_gettime(CLOCK_MONOTONIC, &a);
	for (int i = 0; i < 20000; i++)
		if (read(fd, &v, sizeof(v)) != sizeof(v))
			return 0;
	clock_gettime(CLOCK_MONOTONIC, &b);
	return ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / 20000;
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void do_what_programs_do(void)
{
	struct sigaction sa = {.sa_handler = on_alarm};
	struct iovec v[2];
	pthread_t th;
	char buf[64];
	int p[2], s[2], fd, status;
	FILE *f;
	pid_t pid;

	for (int i = 0; i < 200; i++) {
		CHECK(!pipe(p) && !socketpair(AF_UNIX, SOCK_STREAM, 0, s));
		CHECK(write(p[1], "abc", 3) == 3 && read(p[0], buf, 64) == 3 &&
		      !memcmp(buf, "abc", 3));
		CHECK(send(s[0], "xyz", 3, 0) == 3 && recv(s[1], buf, 64, 0) == 3);
		v[0] = (struct iovec){buf, 1};
		v[1] = (struct iovec){buf + 8, 8};
		CHECK(writev(s[1], v, 2) == 9 && readv(s[0], v, 2) == 9);
		CHECK(dup2(p[0], s[0]) == s[0] && write(p[1], "q", 1) == 1 &&
		      read(s[0], buf, 1) == 1 && buf[0] == 'q');
		CHECK(!close(p[0]) && !close(p[1]) && !close(s[0]) && !close(s[1]));
		CHECK(read(p[0], buf, 1) == -1 && errno == EBADF);
	}
	f = fopen("/proc/self/status", "r");
	CHECK(f && fgets(buf, sizeof(buf), f) && !strncmp(buf, "Name:", 5) && !fclose(f));
	/* A file under a number that was a socket's, and the other way round */
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, s) && send(s[0], "a", 1, 0) == 1);
	CHECK(!pthread_create(&th, NULL, echo_thread, &s[1]));
	CHECK(read(s[0], buf, 1) == 1);
	for (int i = 0; i < 1000; i++)
		CHECK(write(s[0], "t", 1) == 1 && read(s[0], buf, 1) == 1 && buf[0] == 't');
	CHECK(!shutdown(s[0], SHUT_WR) && !pthread_join(th, NULL));
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		execl("/bin/sh", "sh", "-c", "echo out | cat >/dev/null; exit 7", NULL);
		_exit(1);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7);
	/* A signal ends a read() that waits. */
	sigaction(SIGALRM, &sa, NULL);
	CHECK(!pipe(p));
	ualarm(20000, 20000);
	CHECK(read(p[0], buf, 1) == -1 && errno == EINTR);
	ualarm(0, 0);
	fd = open("/dev/zero", O_RDONLY);
	printf("%.0f ns a read() of /dev/zero\n", ns_per_read(fd));
	fflush(stdout);
}

static void others_descriptors_are_the_kernels(void **state)
{
	int fd = open("/dev/zero", O_RDONLY);
	pid_t pid;

	(void)state;
	print_message("%.0f ns without the agent\n", ns_per_read(fd));
	close(fd);
	pid = start(do_what_programs_do, lead_library);
	step_to(1);
	finish(pid);
}

/* --- a socket of ours ------------------------------------------------------------- */

static short polls(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	poll(&p, 1, 0);
	return p.revents;
}

static void talk(void)
{
	char buf[100] = "";
	struct iovec v[2] = {{buf, 2}, {buf + 10, 3}};
	int fd = pair[0], other = dup(fd), p[2], status;
	pid_t pid;

	/* Nothing came yet. */
	CHECK(recv(fd, buf, 10, MSG_DONTWAIT) == -1 && errno == EAGAIN && !polls(fd, POLLIN));
	step_to(2);
	wait_step(3); /* "hello" */
	CHECK(polls(fd, POLLIN) == POLLIN && recv(fd, buf, 3, 0) == 3 && !memcmp(buf, "hel", 3));
	CHECK(polls(fd, POLLIN) == POLLIN);
	CHECK(recv(fd, buf, 100, MSG_PEEK) == 2 && !memcmp(buf, "lo", 2));
	CHECK(read(other, buf, 100) == 2 && !memcmp(buf, "lo", 2));
	CHECK(!polls(fd, POLLIN) && recv(fd, buf, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
	step_to(4);
	/* One that waits, and is woken */
	CHECK(readv(fd, v, 2) == 4 && !memcmp(buf, "la", 2) && !memcmp(buf + 10, "te", 2));
	CHECK(send(fd, "to you", 6, MSG_NOSIGNAL) == 6 && write(other, "!", 1) == 1);
	v[0] = (struct iovec){"ab", 2};
	v[1] = (struct iovec){"cde", 3};
	CHECK(writev(fd, v, 2) == 5);
	/* A child's are the same rings. */
	pid = fork();
	CHECK(pid >= 0);
	if (!pid)
		_exit(write(fd, "child", 5) != 5);
	CHECK(waitpid(pid, &status, 0) == pid && !status);
	/* The number goes to another file, and the socket to another number. */
	CHECK(!pipe(p) && dup2(p[1], fd) == fd && write(fd, "pipe", 4) == 4);
	CHECK(read(p[0], buf, 9) == 4 && write(other, ".", 1) == 1);
	CHECK(dup2(other, p[0]) == p[0] && write(p[0], ".", 1) == 1 && !close(p[0]));
	CHECK(read(p[0], buf, 1) == -1 && errno == EBADF);
	step_to(5);
	wait_step(6); /* bytes, then the end of file */
	CHECK(recv(other, buf, 100, 0) == 4 && recv(other, buf, 100, 0) == 0);
}

static void a_socket_of_ours_is_the_rings(void **state)
{
	static const char want[] = "to you!abcdechild..";
	pid_t pid;

	(void)state;
	publish();
	pid = start(talk, lead_library);
	close(pair[0]);
	pair[0] = -1;
	step_to(1);
	await_child(pid, 2);
	give("hello");
	step_to(3);
	await_child(pid, 4);
	usleep(20000); /* it waits by now, most often */
	give("late");
	await_child(pid, 5);
	assert_int_equal(slot->tx_tail, sizeof(want) - 1);
	assert_memory_equal(gz_slot_tx(sh, 0), want, sizeof(want) - 1);
	assert_int_equal(sh->dirty[0], 1);
	give("last");
	shutdown(pair[1], SHUT_WR);
	step_to(6);
	finish(pid);
	/* No byte went by the shadow: the worker was awake. */
	assert_int_equal(recv(pair[1], (char[4]){0}, 4, MSG_DONTWAIT), 0);
}

static void use_closed(void)
{
	char buf[10];

	CHECK(send(pair[0], "ring", 4, 0) == 4);
	step_to(2);
	wait_step(3); /* closed, and native */
	CHECK(send(pair[0], "shadow", 6, 0) == 6);
	CHECK(recv(pair[0], buf, 10, 0) == 5 && !memcmp(buf, "bytes", 5));
	step_to(4);
	wait_step(5); /* another owner of the slot */
	CHECK(send(pair[0], "again", 5, 0) == 5);
	/* The worker sleeps: it is rung for. */
}

static void a_closed_ring_takes_nothing(void **state)
{
	char buf[20];
	pid_t pid;

	(void)state;
	publish();
	sh->asleep[0] = 1;
	pid = start(use_closed, lead_library);
	step_to(1);
	await_child(pid, 2);
	assert_int_equal(recv(pair[1], buf, sizeof(buf), 0), 1); /* the bell */
	__atomic_fetch_or(&slot->tx_tail, GZ_RING_CLOSED, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&slot->rx_head, GZ_RING_CLOSED, __ATOMIC_SEQ_CST);
	slot->rx_plane = slot->tx_plane = GZ_PLANE_NATIVE;
	assert_int_equal(send(pair[1], "bytes", 5, 0), 5);
	step_to(3);
	await_child(pid, 4);
	assert_int_equal(slot->tx_tail, GZ_RING_CLOSED | 4);
	assert_int_equal(recv(pair[1], buf, sizeof(buf), 0), 6);
	slot->gen = 3;
	sh->ino[0]++;
	step_to(5);
	finish(pid);
	assert_int_equal(recv(pair[1], buf, sizeof(buf), 0), 5);
}

/* --- a slot that is another socket's by then ---------------------------------------- */

static int left[2]; /* the child's [0] has left the rings, and slot 1 */

static void publish_left(void)
{
	struct stat st;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, left), 0);
	assert_int_equal(fstat(left[0], &st), 0);
	publish();
	sh->slot[1] = (struct gz_slot){.gen = 1,
				       .rx_plane = GZ_PLANE_NATIVE,
				       .tx_plane = GZ_PLANE_NATIVE,
				       .natives = 1ULL << 32};
	sh->ino[1] = st.st_ino;
	sh->used = 2;
}

static void await_count(const uint64_t *word)
{
	for (int i = 0; i < 5000 && !GZ_COUNT(__atomic_load_n(word, __ATOMIC_SEQ_CST)); i++)
		usleep(1000);
	assert_int_equal(GZ_COUNT(__atomic_load_n(word, __ATOMIC_SEQ_CST)), 1);
}

static void wait_for_both(void)
{
	struct pollfd p[2] = {{.fd = left[0], .events = POLLIN}, {.fd = pair[0], .events = POLLIN}};

	CHECK(poll(p, 2, 20000) == 1 && !p[0].revents && p[1].revents == POLLIN);
}

static void who_is_late_counts_itself_out_nowhere(void **state)
{
	const uint64_t other = 3ULL << 32 | 1; /* a thread of another socket's */
	pid_t pid;

	(void)state;
	publish_left();
	pid = start(wait_for_both, lead_library);
	step_to(1);
	await_count(&sh->slot[1].natives);
	sh->ino[1] = 0;
	__atomic_store_n(&sh->slot[1].gen, 3, __ATOMIC_SEQ_CST);
	__atomic_store_n(&sh->slot[1].natives, other, __ATOMIC_SEQ_CST);
	give("b");
	finish(pid);
	assert_int_equal(sh->slot[1].natives, other);
	close(left[0]);
	close(left[1]);
}

static void take_one(void)
{
	char c;

	CHECK(recv(pair[0], &c, 1, 0) == 1 && c == 'b');
}

static void who_takes_late_counts_itself_out_nowhere(void **state)
{
	const uint64_t other = 3ULL << 32 | 1;
	pid_t pid;

	(void)state;
	publish();
	slot->takers = 1ULL << 32;
	pid = start(take_one, lead_library);
	step_to(1);
	await_count(&slot->takers);
	__atomic_store_n(&slot->takers, other, __ATOMIC_SEQ_CST);
	give("b");
	finish(pid);
	assert_int_equal(slot->takers, other);
}

/* --- an epoll that is closed while another thread has its lock ------------------------ */

static int one_epoll(void)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int e = epoll_create1(0);

	CHECK(e >= 0 && !epoll_ctl(e, EPOLL_CTL_ADD, pair[0], &ev));
	return e;
}

static void close_one(void)
{
	int e = one_epoll();

	CHECK(!epoll_ctl(e, EPOLL_CTL_DEL, pair[0], NULL));
	step_to(2);
	wait_step(3);
	CHECK(!close(e));
	step_to(4);
	wait_step(5);
	one_epoll();
}

static void a_held_epoll_is_freed_later(void **state)
{
	struct gz_epoll *ep = &sh->epoll[0];
	uint32_t gen;
	pid_t pid;

	(void)state;
	publish();
	pid = start(close_one, lead_library);
	step_to(1);
	await_child(pid, 2);
	gen = ep->gen;
	assert_true(gen & 1);
	ep->lock = 1;
	step_to(3);
	await_child(pid, 4);
	assert_int_equal(ep->gen, gen);
	ep->lock = 0;
	step_to(5);
	finish(pid);
	assert_true(ep->gen & 1 && ep->gen > gen);
	assert_int_equal(sh->epoll[1].gen, 0);
}

/* --- no agent any more -------------------------------------------------------------- */

static void wait_and_leave(void)
{
	char c;

	step_to(2);
	/* In the agent, then at the library's own `syscall`: what comes is the shadow's. */
	CHECK(recv(pair[0], &c, 1, 0) == 1 && c == 'n');
	CHECK(send(pair[0], "native", 6, 0) == 6);
}

/* Return: what the book says of it */
static uint32_t retire_once(pid_t pid)
{
	struct gz_tracee t = {.pid = pid};
	uint8_t ours[64], theirs[64];
	struct gz_agent_book b;

	assert_int_equal(gz_tracee_stop(&t, STOP_MS), 0);
	assert_int_equal(gz_tracee_borrow(&t), 0);
	assert_int_equal(gz_retire(&t), 0);
	assert_int_equal(gz_inject_book(&t, &b), 0);
	for (unsigned i = 0; i < nsites; i++) {
		memcpy(ours, (void *)(sites[i] - sizeof(ours)), sizeof(ours));
		assert_int_equal(gz_tracee_read(&t, sites[i] - sizeof(theirs), theirs, 64), 0);
		assert_memory_equal(ours, theirs, sizeof(ours));
	}
	gz_tracee_release(&t);
	return b.retired;
}

/* Until the child sleeps, which it does in the agent. */
static void await_sleep(pid_t pid)
{
	char path[32], state = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	for (int i = 0; i < 5000 && state != 'S'; i++) {
		f = fopen(path, "r");
		assert_non_null(f);
		assert_int_equal(fscanf(f, "%*d %*s %c", &state), 1);
		fclose(f);
		usleep(1000);
	}
	assert_int_equal(state, 'S');
}

static void who_is_retired_is_as_before(void **state)
{
	char buf[8];
	pid_t pid;

	(void)state;
	publish();
	pid = start(wait_and_leave, lead_library);
	step_to(1);
	await_child(pid, 2);
	await_sleep(pid);
	/* It was in the agent, and leaves. */
	assert_int_not_equal(retire_once(pid), GZ_RETIRED);
	for (int i = 0; i < 5000 && retire_once(pid) != GZ_RETIRED; i++)
		usleep(1000);
	assert_int_equal(retire_once(pid), GZ_RETIRED);
	assert_int_equal(retire_once(pid), GZ_RETIRED);
	assert_int_equal(send(pair[1], "n", 1, 0), 1);
	assert_int_equal(recv(pair[1], buf, sizeof(buf), 0), 6);
	assert_memory_equal(buf, "native", 6);
	finish(pid);
}

int main(void)
{
	dl_iterate_phdr(find_libc, NULL);
	if (nsites <= 200)
		return 1;

	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(others_descriptors_are_the_kernels, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_socket_of_ours_is_the_rings, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_closed_ring_takes_nothing, setup, teardown),
	    cmocka_unit_test_setup_teardown(who_is_late_counts_itself_out_nowhere, setup, teardown),
	    cmocka_unit_test_setup_teardown(who_takes_late_counts_itself_out_nowhere, setup,
					    teardown),
	    cmocka_unit_test_setup_teardown(a_held_epoll_is_freed_later, setup, teardown),
	    cmocka_unit_test_setup_teardown(who_is_retired_is_as_before, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

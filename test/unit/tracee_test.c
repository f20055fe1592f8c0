/* SPDX-License-Identifier: BSD-3-Clause
 *
 * tracee_test.c - Stopping a process and running calls in it leaves no trace
 *
 * The process is helper_busy, which notices what disturbs it and then ends with
 * an error.  Beside it there are processes in the states that a tracer must
 * know: stopped, waiting for a vfork() child, ended, without its first thread.
 */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "launcher/proc.h"
#include "launcher/tracee.h"

#define STOP_MS 2000
#define STRESS_MS 3000

static void sleep_ms(int ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	nanosleep(&t, NULL);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* A process that runs @fn, and cannot outlive us */
static pid_t process(void (*fn)(void))
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fn();
	_exit(0);
}

static void kill_and_reap(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

static char state_of(pid_t pid)
{
	char text[32] = "?";

	gz_status(pid, "State:", text, sizeof(text));
	return text[0];
}

static void wait_for_state(pid_t pid, char want)
{
	int64_t until = now_ms() + 5000;

	while (state_of(pid) != want && now_ms() < until)
		sleep_ms(1);
	assert_int_equal(state_of(pid), want);
}

static FILE *busy_out; /* what helper_busy says */

static void stop(struct gz_tracee *t)
{
	char *line = NULL;
	size_t n = 0;
	int rc;

	for (int i = 0; i < 100; i++) {
		rc = gz_tracee_stop(t, STOP_MS);
		if (!rc)
			rc = gz_tracee_borrow(t);
		if (!rc)
			return;
		gz_tracee_release(t);
		if (rc != -EAGAIN)
			break;
		sleep_ms(50);
	}
	if (busy_out && getline(&line, &n, busy_out) > 0)
		print_message("%s", line);
	fail_msg("process %d: %d, %s", (int)t->pid, rc, t->why);
}

/* Memory comes, holds what is written, and goes */
static void use_memory(struct gz_tracee *t, unsigned seed)
{
	uint64_t out[32], in[32];
	int64_t addr, r;

	for (size_t i = 0; i < 32; i++)
		out[i] = seed * i;
	assert_int_equal(GZ_TRACEE_CALL(t, &addr, SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1),
			 0);
	assert_true(addr > 0);
	assert_int_equal(gz_tracee_write(t, (uint64_t)addr, out, sizeof(out)), 0);
	assert_int_equal(gz_tracee_read(t, (uint64_t)addr, in, sizeof(in)), 0);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(GZ_TRACEE_CALL(t, &r, SYS_munmap, (uint64_t)addr, 4096), 0);
	assert_int_equal(r, 0);
	assert_int_equal(gz_tracee_read(t, (uint64_t)addr, in, sizeof(in)), -EFAULT);
}

static void calls_in(struct gz_tracee *t, unsigned seed)
{
	int64_t r;

	assert_int_equal(GZ_TRACEE_CALL(t, &r, SYS_getpid), 0);
	assert_int_equal(r, t->pid);
	assert_int_equal(GZ_TRACEE_CALL(t, &r, SYS_close, (uint64_t)-1), 0);
	assert_int_equal(r, -EBADF);
	use_memory(t, seed);
}

static void finish(struct gz_tracee *t)
{
	int64_t until = now_ms() + STOP_MS;

	assert_int_equal(gz_tracee_give_back(t), 0);
	gz_tracee_release(t);
	while (gz_tracee_reap(t) && now_ms() < until)
		sleep_ms(1);
	assert_int_equal(t->n, 0);
}

/* --- a busy process ---------------------------------------------------------- */

static pid_t start_busy(void)
{
	char path[4096], line[256];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 64);
	int fd[2];
	pid_t pid;

	assert_true(n > 0);
	path[n] = '\0';
	strcpy(strrchr(path, '/'), "/../semantics/helper_busy");
	assert_int_equal(pipe(fd), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fd[1], 1);
		close(fd[0]);
		close(fd[1]);
		execl(path, path, NULL);
		_exit(127);
	}
	close(fd[1]);
	busy_out = fdopen(fd[0], "r");
	assert_non_null(busy_out);
	assert_non_null(fgets(line, sizeof(line), busy_out));
	assert_string_equal(line, "ready\n");
	return pid;
}

static void end_busy(pid_t pid)
{
	char line[1024] = "it said nothing";
	int status;

	kill(pid, SIGTERM);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	while (fgets(line, sizeof(line), busy_out))
		;
	fclose(busy_out);
	busy_out = NULL;
	if (status)
		fail_msg("helper_busy was harmed, status 0x%x: %s", status, line);
	print_message("%s", line);
}

static void busy(void **state)
{
	int64_t until = now_ms() + STRESS_MS, longest = 0;
	pid_t pid = start_busy();
	unsigned n = 0, seed = 1;

	(void)state;
	for (; now_ms() < until; n++) {
		struct gz_tracee t = {.pid = pid};
		int64_t start = now_ms(), took;

		stop(&t);
		assert_true(t.n > 15);
		if (n % 3)
			calls_in(&t, n);
		finish(&t);
		took = now_ms() - start;
		longest = took > longest ? took : longest;
		sleep_ms(rand_r(&seed) % 6);
	}
	print_message("stopped %u times, for %d ms at most\n", n, (int)longest);
	end_busy(pid);
}

/* Stopped and continued all the while: each stop must be in order */
static void *stop_and_continue(void *arg)
{
	pid_t pid = *(pid_t *)arg;
	int64_t until = now_ms() + STRESS_MS;
	unsigned seed = 2;

	while (now_ms() < until) {
		kill(pid, SIGSTOP);
		sleep_ms(rand_r(&seed) % 4);
		kill(pid, SIGCONT);
		sleep_ms(rand_r(&seed) % 8);
	}
	return NULL;
}

static void quietly(void)
{
	uint64_t x = 88172645463325252ull, y = x;

	for (;;) {
		for (int i = 0; i < 10000; i++)
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		for (int i = 0; i < 10000; i++)
			y ^= y << 13, y ^= y >> 7, y ^= y << 17;
		if (x != y || syscall(SYS_getpid) != getpid())
			_exit(1);
		sleep_ms(1);
	}
}

static void stops_and_continues(void **state)
{
	int64_t until = now_ms() + STRESS_MS;
	pid_t pid = process(quietly);
	unsigned n = 0;
	pthread_t th;

	(void)state;
	assert_int_equal(pthread_create(&th, NULL, stop_and_continue, &pid), 0);
	for (; now_ms() < until; n++) {
		struct gz_tracee t = {.pid = pid};

		stop(&t);
		calls_in(&t, n);
		finish(&t);
	}
	pthread_join(th, NULL);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	print_message("stopped %u times\n", n);
	kill_and_reap(pid);
}

/* --- states -------------------------------------------------------------------- */

static void forever(void)
{
	for (;;)
		pause();
}

static void compute_only(void)
{
	for (volatile uint64_t n = 0;; n++)
		;
}

static void stopped(void **state)
{
	struct gz_tracee t = {.pid = process(forever)};
	int status;

	(void)state;
	sleep_ms(20);
	kill(t.pid, SIGSTOP);
	assert_int_equal(waitpid(t.pid, &status, WUNTRACED), t.pid);
	assert_true(WIFSTOPPED(status));
	for (unsigned i = 0; i < 20; i++) {
		stop(&t);
		calls_in(&t, i);
		finish(&t);
		wait_for_state(t.pid, 'T');
		sleep_ms(5);
		assert_int_equal(state_of(t.pid), 'T');
	}
	kill(t.pid, SIGCONT);
	wait_for_state(t.pid, 'S');
	kill_and_reap(t.pid);
}

/* SIGSTOP while it is traced takes effect; so does a SIGCONT after it */
static void stopped_meanwhile(void **state)
{
	struct gz_tracee t = {.pid = process(forever)};

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		stop(&t);
		calls_in(&t, i);
		kill(t.pid, SIGSTOP);
		if (i % 4 == 2)
			calls_in(&t, i);
		if (i % 2)
			kill(t.pid, SIGCONT);
		calls_in(&t, i);
		finish(&t);
		wait_for_state(t.pid, i % 2 ? 'S' : 'T');
		kill(t.pid, SIGCONT);
		wait_for_state(t.pid, 'S');
	}
	kill_and_reap(t.pid);
}

static void in_user_mode(void **state)
{
	struct gz_tracee t = {.pid = process(compute_only)};

	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		stop(&t);
		calls_in(&t, i);
		finish(&t);
	}
	assert_int_equal(state_of(t.pid), 'R');
	kill_and_reap(t.pid);
}

static void vfork_and_sleep(void)
{
	pid_t pid = vfork();

	if (!pid) {
		execlp("sleep", "sleep", "0.01", NULL);
		_exit(127);
	}
	forever();
}

/* The child does not exec for a while; there is one thread that waits, and no other */
static void vfork_long(void)
{
	pid_t pid = vfork();

	if (!pid) {
		sleep_ms(1500);
		_exit(3);
	}
	forever();
}

static void *vfork_thread(void *arg)
{
	vfork_long();
	return arg;
}

static void vfork_in_a_thread(void)
{
	pthread_t th;

	pthread_create(&th, NULL, vfork_thread, NULL);
	forever();
}

static pid_t other_thread(pid_t pid)
{
	int64_t until = now_ms() + 5000;
	struct dirent *e;
	char path[64];
	pid_t tid = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	while (!tid && now_ms() < until) {
		DIR *d = opendir(path);

		assert_non_null(d);
		while ((e = readdir(d)))
			tid = atoi(e->d_name) > 0 && atoi(e->d_name) != pid ? atoi(e->d_name) : tid;
		closedir(d);
	}
	return tid;
}

static void vfork_waits(void **state)
{
	struct gz_tracee t = {.pid = process(vfork_and_sleep)};

	(void)state;
	stop(&t);
	calls_in(&t, 1);
	finish(&t);
	kill_and_reap(t.pid);

	t.pid = process(vfork_long);
	wait_for_state(t.pid, 'D');
	assert_int_equal(gz_tracee_stop(&t, 100), -EAGAIN);
	assert_non_null(strstr(t.why, "vfork"));
	gz_tracee_release(&t);
	stop(&t); /* when the child has ended */
	calls_in(&t, 1);
	finish(&t);
	kill_and_reap(t.pid);

	t.pid = process(vfork_in_a_thread);
	wait_for_state(other_thread(t.pid), 'D');
	stop(&t);
	assert_int_equal(t.n, 2);
	assert_int_equal(t.vforks, 1);
	calls_in(&t, 1);
	finish(&t); /* waits for the thread */
	kill_and_reap(t.pid);
}

static void *live_on(void *arg)
{
	sleep_ms(50);
	quietly();
	return arg;
}

static void leave_first(void)
{
	pthread_t th;

	pthread_create(&th, NULL, live_on, NULL);
	syscall(SYS_exit, 0);
}

static void first_thread_ended(void **state)
{
	struct gz_tracee t = {.pid = process(leave_first)};

	(void)state;
	wait_for_state(t.pid, 'Z');
	for (unsigned i = 0; i < 10; i++) {
		stop(&t);
		calls_in(&t, i);
		finish(&t);
	}
	kill_and_reap(t.pid);
}

static void at_once(void)
{
}

static void expect_refusal(pid_t pid, int err, const char *text)
{
	struct gz_tracee t = {.pid = pid};

	assert_int_equal(gz_tracee_stop(&t, STOP_MS), err);
	if (!strstr(t.why, text))
		fail_msg("no '%s' in '%s'", text, t.why);
	gz_tracee_release(&t);
}

static void refused(void **state)
{
	pid_t pid = process(at_once), tracer;

	(void)state;
	wait_for_state(pid, 'Z');
	expect_refusal(pid, -ESRCH, "ended");
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	expect_refusal(pid, -ESRCH, "ended");
	expect_refusal(getpid(), -EPERM, "itself");
	expect_refusal(2, -EPERM, "kernel"); /* kthreadd */

	/* Traced by somebody: a child of ours is the tracer */
	pid = process(forever);
	tracer = fork();
	assert_true(tracer >= 0);
	if (!tracer) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		ptrace(PTRACE_SEIZE, pid, NULL, NULL);
		forever();
	}
	sleep_ms(50);
	expect_refusal(pid, -EPERM, "traced by process");
	kill_and_reap(tracer);
	kill_and_reap(pid);
}

/* Killed while it is stopped, between calls, and in the middle of one */
static void killed_meanwhile(void **state)
{
	struct gz_tracee t = {0};
	int64_t r;
	int rc;

	(void)state;
	for (int when = 0; when < 3; when++) {
		t.pid = process(forever);
		stop(&t);
		if (when == 1)
			calls_in(&t, 1);
		if (when < 2)
			kill(t.pid, SIGKILL);
		rc = when < 2 ? GZ_TRACEE_CALL(&t, &r, SYS_getpid)
			      : GZ_TRACEE_CALL(&t, &r, SYS_kill, (uint64_t)t.pid, SIGKILL);
		assert_int_equal(rc, -ESRCH);
		assert_int_equal(gz_tracee_give_back(&t), -ESRCH);
		gz_tracee_release(&t);
		/* As its tracer we may have reaped it already. */
		assert_true(waitpid(t.pid, NULL, 0) == t.pid || errno == ECHILD);
	}
}

/* Programs that are executed while it is stopped: it is the same process */
static void exec_again_and_again(void)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a thread's own */
	path[n > 0 ? n : 0] = '\0';
	execl(path, path, "--exec", NULL);
	_exit(1);
}

static void *exec_thread(void *arg)
{
	exec_again_and_again();
	return arg;
}

/* Half of the times a thread that is not the first one executes */
static void execs(void **state)
{
	struct gz_tracee t = {.pid = process(exec_again_and_again)};
	unsigned n = 0, again = 0;
	int64_t until = now_ms() + 1500;

	(void)state;
	while (now_ms() < until) {
		int rc = gz_tracee_stop(&t, STOP_MS);

		if (!rc)
			rc = gz_tracee_borrow(&t);
		if (!rc) {
			calls_in(&t, n++);
		} else {
			assert_int_equal(rc, -EAGAIN);
			again++;
		}
		gz_tracee_release(&t);
		assert_int_equal(waitpid(t.pid, NULL, WNOHANG), 0);
	}
	print_message("stopped %u times, %u in vain\n", n, again);
	assert_true(n > 10);
	kill_and_reap(t.pid);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(busy),
	    cmocka_unit_test(stops_and_continues),
	    cmocka_unit_test(stopped),
	    cmocka_unit_test(stopped_meanwhile),
	    cmocka_unit_test(in_user_mode),
	    cmocka_unit_test(vfork_waits),
	    cmocka_unit_test(first_thread_ended),
	    cmocka_unit_test(refused),
	    cmocka_unit_test(killed_meanwhile),
	    cmocka_unit_test(execs),
	};

	if (argc == 2 && !strcmp(argv[1], "--exec")) {
		pthread_t th;

		if (getpid() % 2 == 0 || time(NULL) % 2)
			exec_again_and_again();
		pthread_create(&th, NULL, exec_thread, NULL);
		forever();
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * agent_child.h - A child with the agent in it, whose engine the test is
 *
 * The child is stopped, gets the agent, and the sites that the test chooses are led
 * there.  Then it does what programs do, and looks at the results itself.  The shared
 * memory is ours, and slot 0 belongs to one of its sockets, pair[0].
 */
#ifndef GZ_TEST_AGENT_CHILD_H
#define GZ_TEST_AGENT_CHILD_H

#include <errno.h>
#include <fcntl.h>
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
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "launcher/agent/abi.h"
#include "launcher/inject.h"
#include "launcher/tracee.h"

#define STOP_MS 5000

/* Shared with the child */
static struct stage {
	_Atomic int step; /* what has happened so far */
	_Atomic int line; /* of the check that failed; 0: none */
	uint64_t ino;	  /* of the child's socket */
} * stage;

static int memfd;
static struct gz_shared *sh;
static struct gz_slot *slot;
static int pair[2]; /* [0] is the child's, [1] the engine's end */

/* In the child: what is not so ends it. */
#define CHECK(x)                                                                                   \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			atomic_store(&stage->line, __LINE__);                                      \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static inline void step_to(int n)
{
	atomic_store(&stage->step, n);
}

/* Without a call: it works in the child, too, whatever happened to its library */
static inline void wait_step(int n)
{
	for (time_t until = time(NULL) + 20; atomic_load(&stage->step) < n;) {
		struct timespec t = {.tv_nsec = 100000};

		if (time(NULL) > until)
			_exit(99);
		nanosleep(&t, NULL);
	}
}

/* As wait_step(), for us */
static inline void await_child(pid_t pid, int n)
{
	for (int i = 0; i < 20000 && atomic_load(&stage->step) < n; i++) {
		int line = atomic_load(&stage->line);

		if (line)
			fail_msg("the child's check in line %d", line);
		if (waitpid(pid, NULL, WNOHANG) == pid)
			fail_msg("the child ended, before step %d", n);
		usleep(1000);
	}
	assert_true(atomic_load(&stage->step) >= n);
}

/* Stop it, give it the agent, and let @inject do the rest. */
static inline void with_child(pid_t pid, void (*inject)(struct gz_tracee *))
{
	struct gz_tracee t = {.pid = pid};
	int rc = gz_tracee_stop(&t, STOP_MS);

	if (!rc)
		rc = gz_tracee_borrow(&t);
	if (rc)
		fail_msg("cannot stop the child: %s", t.why);
	assert_false(gz_inject_present(&t));
	assert_int_equal(gz_inject_region(&t, memfd), 0);
	assert_true(gz_inject_present(&t));
	inject(&t);
	gz_tracee_release(&t);
}

static int setup(void **state)
{
	(void)state;
	stage =
	    mmap(NULL, sizeof(*stage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memfd = memfd_create("test", 0);
	assert_true(memfd >= 0 && !ftruncate(memfd, (off_t)GZ_SHARED_SIZE));
	sh = mmap(NULL, GZ_SHARED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	assert_true(stage != MAP_FAILED && sh != MAP_FAILED);
	slot = &sh->slot[0];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	munmap(stage, sizeof(*stage));
	munmap(sh, GZ_SHARED_SIZE);
	close(memfd);
	close(pair[0]);
	close(pair[1]);
	return 0;
}

/* The child goes on at step 1; before that @inject patches it. */
static inline pid_t start(void (*fn)(void), void (*inject)(struct gz_tracee *))
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[1]);
		wait_step(1);
		CHECK(fcntl(memfd, F_GETFD) < 0); /* gz_inject_region() closed it */
		fn();
		_exit(0);
	}
	with_child(pid, inject);
	return pid;
}

static inline void finish(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (atomic_load(&stage->line))
		fail_msg("the child's check in line %d", atomic_load(&stage->line));
	assert_int_equal(status, 0);
}

/* --- its socket ------------------------------------------------------------------- */

static inline void publish(void)
{
	struct stat st;

	assert_int_equal(fstat(pair[0], &st), 0);
	sh->magic = GZ_AGENT_MAGIC;
	slot->gen = 1;
	sh->used = 1;
	sh->ino[0] = st.st_ino;
	atomic_fetch_add((_Atomic uint32_t *)&sh->epoch, 1);
}

/* Bytes into the rx ring, as engine/plane.c does it */
static inline void give(const char *bytes)
{
	size_t n = strlen(bytes);

	for (size_t i = 0; i < n; i++)
		gz_slot_rx(sh, 0)[(slot->rx_tail + i) % GZ_SLOT_RING] = (uint8_t)bytes[i];
	__atomic_store_n(&slot->rx_tail, slot->rx_tail + n, __ATOMIC_SEQ_CST);
	if (!__atomic_exchange_n(&slot->token, 1, __ATOMIC_SEQ_CST))
		assert_int_equal(send(pair[1], "", 1, 0), 1);
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * tracee.c - A running process, stopped for a moment to run system calls in it
 *
 * Theory of operation.  Each thread is seized and interrupted, until a look at
 * /proc/PID/task finds no new one: only a thread that runs can make another.
 * All end in a PTRACE_EVENT_STOP, which get_signal() in kernel/signal.c makes
 * before it takes a signal off the queue.  Being between a system call and its
 * signals is what makes the rest simple:
 *
 *   - A call that we interrupted holds -ERESTARTSYS or the like in rax.  When
 *     the thread goes on, the kernel looks at its signals and makes EINTR of
 *     it, or a restart, as it would have without us.
 *   - Some calls, epoll_wait() foremost, give a plain EINTR for any stop.  That
 *     becomes -ERESTARTNOHAND: EINTR if a handler runs, else a restart; see
 *     interrupted.c.
 *   - A call of ours is run from this stop with orig_rax -1, so that the kernel
 *     has nothing to restart.  It ends in a stop at its exit, from where the
 *     kernel might return without looking at signals, and -ERESTARTSYS would
 *     reach the program.  So the thread is interrupted again, which leads it to
 *     a PTRACE_EVENT_STOP once more, without an instruction run; there it gets
 *     its registers and its signal mask back.
 *
 * A signal that a process ignores is dropped when it is sent, but queued if the
 * thread that it is sent to is traced, as SIGCHLD is to the thread that forked.
 * If that thread is stopped, another one is woken to take it; and where that one
 * is not traced, nobody makes a restart of its EINTR.  So all threads are seized
 * before the first is interrupted, and let go first are those that such signals
 * are sent to: the first thread, by kill(2), and who has children; and last those
 * of interrupted.c.
 *
 * A thread that has already taken a signal off the queue stops with that one;
 * any stop cancels a pending interrupt, so it is interrupted again and given
 * the signal.  A process that is stopped (SIGSTOP) stays so: at a detach the
 * kernel puts a thread back into its process's stop (__ptrace_unlink()).
 *
 * Which thread is borrowed matters twice.  PTRACE_SETSIGMASK forgets the mask
 * that ppoll() and its kin set for their own time.  And a thread in a restartable
 * sequence (rseq(2)) whose rip is seen elsewhere loses its protection.  So
 * threads in other system calls come first, and none in a sequence is taken.
 */
#include "launcher/tracee.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "launcher/clock.h"
#include "launcher/interrupted.h"
#include "launcher/maps.h"
#include "launcher/proc.h"

#define KERNEL_SIGSET_BYTES 8
#define ERESTARTNOHAND 514 /* the kernel's own, linux/errno.h */
#define CS_64_BIT 0x33
#define OPTIONS PTRACE_O_TRACESYSGOOD
#define POLL_NS 100000
#define LOOK_CLOSER_MS 50
#define SYSCALL_BYTES 2

static void pause_ns(long ns)
{
	struct timespec t = {.tv_nsec = ns};

	nanosleep(&t, NULL);
}

/* --- memory ------------------------------------------------------------------ */

/* Any thread will do, the leader's may have ended */
static pid_t any_thread(const struct gz_tracee *t)
{
	return t->borrowed ? t->borrowed->tid : t->n ? t->threads[0].tid : t->pid;
}

int gz_tracee_read(const struct gz_tracee *t, uint64_t addr, void *buf, size_t n)
{
	struct iovec l = {buf, n}, r = {(void *)(uintptr_t)addr, n};
	ssize_t k = process_vm_readv(any_thread(t), &l, 1, &r, 1, 0);

	return k < 0 ? -errno : k == (ssize_t)n ? 0 : -EFAULT;
}

int gz_tracee_write(const struct gz_tracee *t, uint64_t addr, const void *buf, size_t n)
{
	struct iovec l = {(void *)(uintptr_t)buf, n}, r = {(void *)(uintptr_t)addr, n};
	ssize_t k = process_vm_writev(any_thread(t), &l, 1, &r, 1, 0);

	return k < 0 ? -errno : k == (ssize_t)n ? 0 : -EFAULT;
}

int gz_tracee_poke(const struct gz_tracee *t, uint64_t addr, const void *buf, size_t n)
{
	uint64_t first = addr & ~7ULL, end = (addr + n + 7) & ~7ULL;
	uint64_t words[512];

	if (t->mem >= 0 && pwrite(t->mem, buf, n, (off_t)addr) == (ssize_t)n)
		return 0;
	/* A kernel may be built so that only this goes past protections. */
	if (end - first > sizeof(words))
		return -EINVAL;
	if (gz_tracee_read(t, first, words, end - first))
		return -EFAULT;
	memcpy((uint8_t *)words + (addr - first), buf, n);
	for (uint64_t at = first; at < end; at += 8)
		if (ptrace(PTRACE_POKEDATA, t->borrowed->tid, at, words[(at - first) / 8]))
			return -errno;
	return 0;
}

static bool is_syscall(const struct gz_tracee *t, uint64_t addr)
{
	uint8_t code[SYSCALL_BYTES];

	return !gz_tracee_read(t, addr, code, sizeof(code)) && code[0] == 0x0f && code[1] == 0x05;
}

/* Return: the address of a `syscall` in [lo, hi), or 0 */
static uint64_t scan(const struct gz_tracee *t, uint64_t lo, uint64_t hi)
{
	uint8_t page[4096];

	/* One byte more than a page would be read twice as often as it helps. */
	for (; lo < hi; lo += sizeof(page)) {
		size_t n = hi - lo < sizeof(page) ? hi - lo : sizeof(page);
		uint8_t *p = page;

		if (gz_tracee_read(t, lo, page, n))
			continue;
		while ((p = memchr(p, 0x0f, n - (size_t)(p - page)))) {
			if (p + 1 < page + n && p[1] == 0x05)
				return lo + (uint64_t)(p - page);
			p++;
		}
	}
	return 0;
}

/*
 * The borrowed thread's own, if it is in a call; else the vDSO's, which falls
 * back to the call; else any in its executable mappings.
 */
static uint64_t find_site(const struct gz_tracee *t)
{
	uint64_t rip = t->borrowed->regs.rip, site = 0;
	struct gz_map m;
	FILE *f;

	if ((int64_t)t->borrowed->regs.orig_rax >= 0 && is_syscall(t, rip - SYSCALL_BYTES))
		return rip - SYSCALL_BYTES;
	for (int vdso = 1; vdso >= 0 && !site; vdso--) {
		f = gz_maps_open(t->borrowed->tid);
		if (!f)
			return 0;
		while (!site && gz_maps_next(f, &m)) {
			if (m.mode[0] != 'r' || m.mode[2] != 'x' || !strcmp(m.name, "[vsyscall]") ||
			    (vdso && strcmp(m.name, "[vdso]")))
				continue;
			site = scan(t, m.start, m.end);
		}
		fclose(f);
	}
	return site;
}

/* --- stopping ------------------------------------------------------------------ */

static struct gz_thread *find(struct gz_tracee *t, pid_t tid)
{
	for (size_t i = 0; i < t->n; i++) {
		if (t->threads[i].tid == tid)
			return &t->threads[i];
	}
	return NULL;
}

static void forget(struct gz_tracee *t, struct gz_thread *th)
{
	*th = t->threads[--t->n];
}

static int why(struct gz_tracee *t, int err, const char *text)
{
	snprintf(t->why, sizeof(t->why), "%s", text);
	return err;
}

/* A thread is gone: with its process, or by exec() of another one */
static int lost(struct gz_tracee *t)
{
	return gz_has_ended(t->pid) ? why(t, -ESRCH, "it has ended")
				    : why(t, -EAGAIN, "it is ending, or executes another program");
}

/* The kernel says EPERM for many reasons. */
static int refused(struct gz_tracee *t, int err)
{
	char text[64], name[64] = "?";
	pid_t tracer = gz_tracer_of(t->pid);

	if (t->pid == getpid())
		return why(t, -EPERM, "that is gazelle-run itself");
	if (err == ESRCH || gz_is_dead(t->pid)) /* a first thread that has ended has no memory */
		return lost(t);
	if (tracer == getpid()) { /* one of ours executes, and is the first one by now */
		if (!find(t, t->pid))
			t->threads[t->n++] = (struct gz_thread){.tid = t->pid};
		return lost(t);
	}
	if (tracer) {
		gz_status(tracer, "Name:", name, sizeof(name));
		snprintf(t->why, sizeof(t->why), "it is traced by process %d (%s)", (int)tracer,
			 name);
		return -EPERM;
	}
	if (!gz_status(t->pid, "VmSize:", text, sizeof(text)))
		return why(t, -EPERM, "it is a thread of the kernel");
	if (!gz_status(t->pid, "Uid:", text, sizeof(text)))
		snprintf(text, sizeof(text), "?");
	/* A first thread that had ended when we tried, and has a successor now */
	if (!ptrace(PTRACE_SEIZE, t->pid, NULL, OPTIONS)) {
		t->threads[t->n++] = (struct gz_thread){.tid = t->pid};
		ptrace(PTRACE_INTERRUPT, t->pid, NULL, NULL);
		return why(t, -EAGAIN, "it executes another program");
	}
	if (errno == ESRCH || gz_is_dead(t->pid))
		return lost(t);
	snprintf(t->why, sizeof(t->why),
		 "no right to trace it (%s): its user is %.*s; it takes the same user and a "
		 "process that may be traced (prctl(2) PR_SET_DUMPABLE, "
		 "/proc/sys/kernel/yama/ptrace_scope), or CAP_SYS_PTRACE",
		 strerror(err), (int)strcspn(text, "\t"), text);
	return -EPERM;
}

/* Return: 0, also where the thread has just ended; or a negative errno */
static int seize(struct gz_tracee *t, pid_t tid)
{
	if (t->n == t->room) {
		size_t room = t->room ? 2 * t->room : 64;
		struct gz_thread *more = realloc(t->threads, room * sizeof(*more));

		if (!more)
			return why(t, -ENOMEM, strerror(ENOMEM));
		t->threads = more;
		t->room = room;
	}
	if (ptrace(PTRACE_SEIZE, tid, NULL, OPTIONS)) {
		int err = errno;

		/* A thread that has ended stays listed as the first one. */
		if (err == ESRCH || gz_is_dead(tid))
			return 0;
		/* One that executes becomes the first one, and we trace it already. */
		if (gz_tracer_of(tid) != getpid())
			return refused(t, err);
	}
	t->threads[t->n++] = (struct gz_thread){.tid = tid};
	return 0;
}

/* Return: how many threads were new, or a negative errno; those are interrupted */
static int seize_new(struct gz_tracee *t)
{
	size_t old = t->n;
	char path[64];
	struct dirent *e;
	int n = 0, rc = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)t->pid);
	d = opendir(path);
	if (!d)
		return refused(t, ESRCH);
	while (!rc && (e = readdir(d))) {
		pid_t tid = atoi(e->d_name);
		size_t before = t->n;

		if (tid <= 0 || find(t, tid))
			continue;
		rc = seize(t, tid);
		n += t->n > before;
	}
	closedir(d);
	for (; old < t->n; old++) /* one that has ended: wait() tells */
		ptrace(PTRACE_INTERRUPT, t->threads[old].tid, NULL, NULL);
	return rc ? rc : n;
}

static bool is_event_stop(int status)
{
	return status >> 16 == PTRACE_EVENT_STOP;
}

/* The thread is at its stop: a call that only we interrupted will be restarted */
static bool note_stop(struct gz_thread *th)
{
	struct user_regs_struct *r = &th->regs;

	if (ptrace(PTRACE_GETREGS, th->tid, NULL, r))
		return false;
	th->stopped = true;
	if ((int64_t)r->rax != -EINTR || r->cs != CS_64_BIT)
		return true;
	if (gz_gives_eintr((long)r->orig_rax)) {
		th->restarts = true;
		r->rax = (uint64_t)-ERESTARTNOHAND;
		return !ptrace(PTRACE_SETREGS, th->tid, NULL, r);
	}
	return true;
}

/*
 * See whether the thread has stopped.
 * Return: 1, something happened to it; 0, no; -ESRCH, it has ended
 */
static int look(struct gz_thread *th)
{
	int status;
	pid_t pid = waitpid(th->tid, &status, __WALL | WNOHANG);

	if (pid == 0 || (pid < 0 && errno == EINTR))
		return 0;
	if (pid < 0 || !WIFSTOPPED(status))
		return -ESRCH;
	if (is_event_stop(status))
		return note_stop(th) ? 1 : -ESRCH;
	/* A signal was first: it gets it, and is interrupted before it does anything more. */
	ptrace(PTRACE_INTERRUPT, th->tid, NULL, NULL);
	ptrace(PTRACE_CONT, th->tid, NULL, status >> 16 ? 0 : (uintptr_t)WSTOPSIG(status));
	return 1;
}

/* Return: how many threads have not stopped */
static size_t look_at_all(struct gz_tracee *t)
{
	size_t running = 0;

	for (size_t i = 0; i < t->n;) {
		struct gz_thread *th = &t->threads[i];

		if (!th->stopped && look(th) < 0) {
			forget(t, th);
			continue;
		}
		running += !th->stopped;
		i++;
	}
	return running;
}

static size_t count_vforks(const struct gz_tracee *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++)
		n += !t->threads[i].stopped && gz_is_vforking(t->threads[i].tid);
	return n;
}

/*
 * Forget who is not traced.  A thread that was not seized yet and executes takes the
 * first thread's number: if we are its parent, waitpid() goes on to answer for that.
 */
static void forget_strangers(struct gz_tracee *t)
{
	for (size_t i = 0; i < t->n;) {
		struct gz_thread *th = &t->threads[i];

		if (!th->stopped && gz_tracer_of(th->tid) != getpid())
			forget(t, th);
		else
			i++;
	}
}

int gz_tracee_stop(struct gz_tracee *t, int ms)
{
	int64_t start = gz_now_ms(), until = start + ms;
	size_t running;
	bool said = false;
	int fresh;

	t->vforks = 0;
	do {
		fresh = seize_new(t);
		if (fresh < 0)
			return fresh;
		if (t->seized && !said)
			t->seized(t);
		said = true;
		while ((running = look_at_all(t)) != 0) {
			int64_t now = gz_now_ms();

			if (now - start >= LOOK_CLOSER_MS) {
				forget_strangers(t);
				t->vforks = count_vforks(t);
				if (t->vforks == running)
					break;
			}
			if (now >= until)
				return why(t, -EAGAIN, "its threads do not stop");
			pause_ns(POLL_NS);
		}
	} while (fresh && gz_now_ms() < until);
	if (fresh)
		return why(t, -EAGAIN, "it makes threads faster than they stop");
	if (t->n == t->vforks)
		return t->n ? why(t, -EAGAIN, "all its threads wait for vfork() children")
			    : lost(t);
	return 0;
}

/* --- calls ------------------------------------------------------------------ */

/* Is the thread in a restartable sequence?  Where the kernel cannot tell, there is none. */
static bool in_sequence(const struct gz_tracee *t, const struct gz_thread *th)
{
	struct __ptrace_rseq_configuration c = {0};
	struct { /* struct rseq_cs of linux/rseq.h */
		uint32_t version, flags;
		uint64_t start, length, abort;
	} cs;
	uint64_t addr;

	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, th->tid, sizeof(c), &c) <= 0 ||
	    !c.rseq_abi_pointer)
		return false;
	/* After the two cpu numbers */
	if (gz_tracee_read(t, c.rseq_abi_pointer + 8, &addr, sizeof(addr)) || !addr ||
	    gz_tracee_read(t, addr, &cs, sizeof(cs)))
		return false;
	return th->regs.rip - cs.start < cs.length;
}

/* The thread that is disturbed least; see the top */
static struct gz_thread *choose(struct gz_tracee *t)
{
	struct gz_thread *best = NULL;
	int rank = 0;

	for (size_t i = 0; i < t->n; i++) {
		struct gz_thread *th = &t->threads[i];
		bool in_call = (int64_t)th->regs.orig_rax >= 0;
		int r;

		if (!th->stopped || th->regs.cs != CS_64_BIT)
			continue;
		r = !in_call ? 2 : gz_takes_mask((long)th->regs.orig_rax) ? 1 : 3;
		if (r > rank && (in_call || !in_sequence(t, th))) {
			best = th;
			rank = r;
		}
	}
	return best;
}

static bool runs_32_bit(const struct gz_tracee *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->threads[i].stopped && t->threads[i].regs.cs != CS_64_BIT)
			return true;
	return false;
}

static bool has_filters(pid_t tid, unsigned known)
{
	char mode[32], n[32];

	if (!gz_status(tid, "Seccomp:", mode, sizeof(mode)) || mode[0] == '0')
		return false;
	return !known || !gz_status(tid, "Seccomp_filters:", n, sizeof(n)) ||
	       (unsigned)atoi(n) > known;
}

static int open_memory(pid_t tid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)tid);
	return open(path, O_RDWR | O_CLOEXEC);
}

int gz_tracee_borrow(struct gz_tracee *t)
{
	struct gz_thread *th = choose(t);
	uint64_t all = ~0ULL;

	if (!th) {
		for (size_t i = 0; i < t->n; i++) {
			if (t->threads[i].stopped && t->threads[i].regs.cs == CS_64_BIT)
				return why(t, -EAGAIN, "all its threads are in rseq(2) sequences");
		}
		if (!runs_32_bit(t))
			return why(t, -EAGAIN, "its threads end, or it executes another program");
		return why(t, -ENOEXEC, "none of its threads runs 64-bit code");
	}
	t->borrowed = th;
	t->called = false;
	t->site = find_site(t);
	if (!t->site) {
		struct user_regs_struct regs;

		t->borrowed = NULL;
		/* An execve() by another thread kills even those that are stopped. */
		if (ptrace(PTRACE_GETREGS, th->tid, NULL, &regs))
			return why(t, -EAGAIN, "it is ending, or executes another program");
		return why(t, -ENOEXEC, "no system call instruction was found in it");
	}
	/* Its filters may answer a call that it never makes by ending it. */
	if (has_filters(th->tid, t->filters) &&
	    ptrace(PTRACE_SETOPTIONS, th->tid, NULL, OPTIONS | PTRACE_O_SUSPEND_SECCOMP)) {
		snprintf(
		    t->why, sizeof(t->why),
		    "it has seccomp filters, and they cannot be suspended (%s): that takes "
		    "CAP_SYS_ADMIN, CONFIG_CHECKPOINT_RESTORE, and a gazelle-run that is under "
		    "no filter itself",
		    strerror(errno));
		t->borrowed = NULL;
		return -EPERM;
	}
	if (ptrace(PTRACE_GETSIGMASK, th->tid, KERNEL_SIGSET_BYTES, &t->mask) ||
	    ptrace(PTRACE_SETSIGMASK, th->tid, KERNEL_SIGSET_BYTES, &all)) {
		t->borrowed = NULL;
		return lost(t);
	}
	t->mem = open_memory(th->tid);
	return 0;
}

void gz_tracee_trap(struct gz_tracee *t, bool on)
{
	/* If it has ended, the next call says so. */
	ptrace(PTRACE_SETOPTIONS, t->borrowed->tid, NULL,
	       OPTIONS | (on ? 0 : PTRACE_O_SUSPEND_SECCOMP));
}

/*
 * Resume the borrowed thread by @how until a stop of the wanted kind: the exit
 * of a call, or PTRACE_EVENT_STOP.  Of signals only SIGSTOP can come, all
 * others are blocked; the thread takes part in the stop and is resumed.
 */
static int resume(struct gz_tracee *t, int how, bool to_event)
{
	pid_t tid = t->borrowed->tid;
	struct __ptrace_syscall_info info;
	uintptr_t sig = 0;
	int status;

	for (;;) {
		if (ptrace(how, tid, NULL, sig))
			return -ESRCH;
		sig = 0;
		while (waitpid(tid, &status, __WALL) < 0) {
			if (errno != EINTR)
				return -ESRCH;
		}
		if (!WIFSTOPPED(status))
			return -ESRCH;
		if (is_event_stop(status)) {
			if (to_event)
				return 0;
		} else if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
			if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), &info) < 0)
				return -ESRCH;
			if (!to_event && info.op == PTRACE_SYSCALL_INFO_EXIT)
				return 0;
		} else if (!(status >> 16)) {
			sig = (uintptr_t)WSTOPSIG(status);
		}
	}
}

int gz_tracee_call(struct gz_tracee *t, int64_t *result, long nr, const uint64_t args[6])
{
	struct user_regs_struct r = t->borrowed->regs;

	r.rip = t->site;
	r.rax = (uint64_t)nr;
	r.orig_rax = ~0ULL; /* nothing to restart */
	r.rdi = args[0];
	r.rsi = args[1];
	r.rdx = args[2];
	r.r10 = args[3];
	r.r8 = args[4];
	r.r9 = args[5];
	if (ptrace(PTRACE_SETREGS, t->borrowed->tid, NULL, &r))
		return -ESRCH;
	if (resume(t, PTRACE_SYSCALL, false) || ptrace(PTRACE_GETREGS, t->borrowed->tid, NULL, &r))
		return -ESRCH;
	t->called = true;
	*result = (int64_t)r.rax;
	return 0;
}

int gz_tracee_give_back(struct gz_tracee *t)
{
	pid_t tid;
	int rc = 0;

	if (!t->borrowed)
		return 0;
	tid = t->borrowed->tid;
	if (t->called) {
		ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
		rc = resume(t, PTRACE_CONT, true);
	}
	if (!rc && (ptrace(PTRACE_SETREGS, tid, NULL, &t->borrowed->regs) ||
		    ptrace(PTRACE_SETSIGMASK, tid, KERNEL_SIGSET_BYTES, &t->mask) ||
		    ptrace(PTRACE_SETOPTIONS, tid, NULL, OPTIONS)))
		rc = -ESRCH;
	if (t->mem >= 0)
		close(t->mem);
	t->borrowed = NULL;
	return rc;
}

bool gz_tracee_has_filter(const struct gz_tracee *t, const void *insns, size_t n)
{
	struct sock_filter {
		uint16_t code;
		uint8_t jt, jf;
		uint32_t k;
	} * buf;
	bool found = false;
	long len;

	for (uintptr_t i = 0; !found; i++) {
		len = ptrace(PTRACE_SECCOMP_GET_FILTER, any_thread(t), i, NULL);
		if (len <= 0)
			break;
		if ((size_t)len != n)
			continue;
		buf = calloc(n, sizeof(*buf));
		if (!buf)
			break;
		found = ptrace(PTRACE_SECCOMP_GET_FILTER, any_thread(t), i, buf) == len &&
			!memcmp(buf, insns, n * sizeof(*buf));
		free(buf);
	}
	return found;
}

/* --- letting go ------------------------------------------------------------------ */

/* Are signals sent to this thread, of those that are sent to the process?  See the top. */
static bool is_addressed(const struct gz_tracee *t, pid_t tid)
{
	char path[64];
	FILE *f;
	bool has;

	if (tid == t->pid)
		return true;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)t->pid, (int)tid);
	f = fopen(path, "re");
	has = f && getc(f) != EOF;
	if (f)
		fclose(f);
	return has;
}

enum turn { ADDRESSED, OTHERS, RESTARTING, TURNS };

static enum turn turn_of(const struct gz_tracee *t, const struct gz_thread *th)
{
	return is_addressed(t, th->tid) ? ADDRESSED : th->restarts ? RESTARTING : OTHERS;
}

/* Let go those that have stopped and whose turn it is. */
static void reap(struct gz_tracee *t, enum turn turn)
{
	for (size_t i = 0; i < t->n;) {
		struct gz_thread *th = &t->threads[i];

		if (!th->stopped && look(th) < 0) {
			forget(t, th);
		} else if (!th->stopped || turn < turn_of(t, th)) {
			i++;
		} else if (!ptrace(PTRACE_DETACH, th->tid, NULL, NULL)) {
			forget(t, th);
		} else { /* killed while it was stopped: wait() is to tell */
			th->stopped = false;
			i++;
		}
	}
}

size_t gz_tracee_reap(struct gz_tracee *t)
{
	for (enum turn turn = ADDRESSED; turn < TURNS; turn++)
		reap(t, turn);
	if (!t->n) {
		free(t->threads);
		t->threads = NULL;
		t->room = 0;
	}
	return t->n;
}

void gz_tracee_release(struct gz_tracee *t)
{
	gz_tracee_give_back(t);
	gz_tracee_reap(t);
}

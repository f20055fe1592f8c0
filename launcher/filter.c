/* SPDX-License-Identifier: BSD-3-Clause
 *
 * filter.c - The seccomp filter that turns gz_calls[] into notifications
 *
 * Theory of operation: libseccomp makes the program from the table (it ORs the
 * rules of one call and ANDs the comparisons of one rule), exports it to a
 * memfd, and we load it with seccomp(2) ourselves: libseccomp 2.5 cannot ask
 * for WAIT_KILLABLE_RECV, without which a signal at the wrong moment loses
 * bytes that the engine has taken already.
 *
 * Everything that is not listed, and every other architecture (i386 and x32
 * calls), is ALLOWed whatever its arguments, so that the kernel answers most
 * calls from its bitmap and never runs the program for them.
 *
 * The filter is a compatibility device, not a sandbox.
 */
#include "launcher/filter.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher/agent/abi.h"
#include "launcher/calls.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

static int load(const struct sock_fprog *prog, unsigned long flags)
{
	int fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, prog);

	return fd < 0 ? -errno : fd;
}

static int add_rule(scmp_filter_ctx ctx, const struct gz_call_info *c, struct scmp_arg_cmp cmp)
{
	uint32_t action = c->action == GZ_ACT_ENOSYS ? SCMP_ACT_ERRNO(ENOSYS) : SCMP_ACT_NOTIFY;

	return seccomp_rule_add_exact_array(ctx, action, c->nr, 1, &cmp);
}

/* One alternative of a row; several libseccomp rules where any bit will do */
static int add_when(scmp_filter_ctx ctx, const struct gz_call_info *c, const struct gz_when *w)
{
	int rc = 0;

	switch (w->test) {
	case GZ_TEST_NONE:
		break;
	case GZ_INT_EQ:
		rc = add_rule(ctx, c, SCMP_CMP64(w->arg, SCMP_CMP_MASKED_EQ, 0xffffffff, w->value));
		break;
	case GZ_INT_BLOCK:
		rc = add_rule(
		    ctx, c,
		    SCMP_CMP64(w->arg, SCMP_CMP_MASKED_EQ, 0xffffff00, w->value & 0xffffff00));
		break;
	case GZ_INT_ANY:
		for (uint32_t left = w->value; left && !rc; left &= left - 1) {
			uint32_t bit = left & -left;

			rc = add_rule(ctx, c, SCMP_CMP64(w->arg, SCMP_CMP_MASKED_EQ, bit, bit));
		}
		break;
	case GZ_PTR_SET:
		rc = add_rule(ctx, c, SCMP_CMP64(w->arg, SCMP_CMP_NE, 0));
		break;
	}
	return rc;
}

static int add_call(scmp_filter_ctx ctx, const struct gz_call_info *c, bool ring)
{
	uint32_t action = c->action == GZ_ACT_ENOSYS ? SCMP_ACT_ERRNO(ENOSYS) : SCMP_ACT_NOTIFY;
	int rc = 0;

	if (c->plane == GZ_CALL_RING && !ring)
		return 0;
	if (c->when[0].test == GZ_TEST_NONE || (ring && gz_call_traps_wholly(c)))
		return seccomp_rule_add_exact_array(ctx, action, c->nr, 0, NULL);
	for (size_t i = 0; i < GZ_WHEN_MAX && !rc; i++)
		if (ring || c->when[i].plane != GZ_CALL_RING)
			rc = add_when(ctx, c, &c->when[i]);
	return rc;
}

/*
 * Calls from the agent's addresses pass.  libseccomp cannot test the address: each
 * `return USER_NOTIF` of its program becomes a jump to a tail of ours.
 */
static int exempt_agent(struct sock_fprog *prog)
{
	const uint32_t lo = offsetof(struct seccomp_data, instruction_pointer), hi = lo + 4;
	const struct sock_filter tail[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, hi),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(GZ_AGENT_BASE >> 32), 0, 3),
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, lo),
	    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, GZ_AGENT_EXEMPT_SIZE, 1, 0),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
	};
	unsigned n = prog->len, extra = sizeof(tail) / sizeof(tail[0]);
	struct sock_filter *f;

	_Static_assert((GZ_AGENT_BASE & 0xffffffff) == 0, "the comparison above");
	if (n + extra > BPF_MAXINSNS)
		return -E2BIG;
	f = realloc(prog->filter, (n + extra) * sizeof(*f));
	if (!f)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++)
		if (f[i].code == (BPF_RET | BPF_K) && f[i].k == SECCOMP_RET_USER_NOTIF)
			f[i] = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, n - i - 1);
	memcpy(f + n, tail, sizeof(tail));
	prog->filter = f;
	prog->len = (unsigned short)(n + extra);
	return 0;
}

/* seccomp_export_bpf_mem() is libseccomp 2.6; a memfd does it everywhere */
static int export_program(scmp_filter_ctx ctx, struct sock_fprog *prog)
{
	struct sock_filter *insns = NULL;
	struct stat st;
	int fd, rc;

	fd = memfd_create("gazelle-filter", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = seccomp_export_bpf(ctx, fd);
	if (rc)
		goto out;
	rc = -EIO;
	if (fstat(fd, &st) || st.st_size <= 0 || st.st_size % (off_t)sizeof(*insns) ||
	    st.st_size / (off_t)sizeof(*insns) > BPF_MAXINSNS)
		goto out;
	insns = malloc((size_t)st.st_size);
	if (!insns) {
		rc = -ENOMEM;
		goto out;
	}
	if (pread(fd, insns, (size_t)st.st_size, 0) != st.st_size)
		goto out;
	prog->len = (unsigned short)(st.st_size / (off_t)sizeof(*insns));
	prog->filter = insns;
	insns = NULL;
	rc = 0;
out:
	free(insns);
	close(fd);
	return rc;
}

int gz_filter_build(struct sock_fprog *prog, bool ring)
{
	scmp_filter_ctx ctx;
	int rc;

	memset(prog, 0, sizeof(*prog));
	ctx = seccomp_init(SCMP_ACT_ALLOW);
	if (!ctx)
		return -ENOMEM;
	rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW);
	for (size_t i = 0; i < gz_ncalls && !rc; i++)
		rc = add_call(ctx, &gz_calls[i], ring);
	if (!rc)
		rc = export_program(ctx, prog);
	seccomp_release(ctx);
	if (!rc && ring)
		rc = exempt_agent(prog);
	if (rc)
		gz_filter_free(prog);
	return rc;
}

void gz_filter_free(struct sock_fprog *prog)
{
	free(prog->filter);
	memset(prog, 0, sizeof(*prog));
}

int gz_filter_install(const struct sock_fprog *prog)
{
	unsigned long flags =
	    SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
	int fd = load(prog, flags);

	if (fd == -EACCES) { /* no CAP_SYS_ADMIN */
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
			return -errno;
		fd = load(prog, flags);
	}
	return fd;
}

/*
 * A chain of filters has one listener at most, and there is no asking whether
 * there is one: a child tries to add one, and ends.  It is a clone without an
 * exit signal, for a SIGCHLD that is ignored would reap it unseen.
 */
bool gz_filter_inherited(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = {.len = 1, .filter = &allow};
	int status = 0;
	pid_t pid;

	if (prctl(PR_GET_SECCOMP) != SECCOMP_MODE_FILTER)
		return false;
	pid = (pid_t)syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
	if (pid < 0)
		return false;
	if (!pid) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
			_exit(0);
		_exit(load(&prog, SECCOMP_FILTER_FLAG_NEW_LISTENER) == -EBUSY);
	}
	while (waitpid(pid, &status, __WALL) < 0) {
		if (errno != EINTR)
			return false;
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

const char *gz_filter_strerror(int err)
{
	switch (-err) {
	case EINVAL:
		return "the kernel is too old: Linux 5.19 or later is needed, with "
		       "CONFIG_SECCOMP_FILTER";
	case ENOSYS:
		return "the kernel has no seccomp filters (CONFIG_SECCOMP_FILTER)";
	case EBUSY:
		return "there is a notification listener already";
	default:
		return strerror(-err);
	}
}

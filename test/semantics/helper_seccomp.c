/* SPDX-License-Identifier: BSD-3-Clause
 *
 * helper_seccomp.c - A process with seccomp filters, or limits, of its own
 *
 *	helper_seccomp plain	a filter that ends the process for what it never calls
 *	helper_seccomp listener	a filter with a notification listener
 *	helper_seccomp one	a filter on one of two threads
 *	helper_seccomp strict	seccomp's strict mode
 *	helper_seccomp full	no descriptor left
 *
 * Prints "ready", then runs until it is ended; "plain" and "full" make a socket,
 * or try, every 10 ms, and say "socket: kernel" or "socket: stack" once.
 */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "check.h"

static int load(struct sock_filter *insns, size_t n, unsigned long flags)
{
	struct sock_fprog prog = {.len = (unsigned short)n, .filter = insns};

	OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	return (int)OK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog));
}

/* What somebody would run in it who thinks that nothing is in the way */
static void end_for_strange_calls(void)
{
	static const int never[] = {SYS_seccomp, SYS_mmap,	   SYS_munmap,
				    SYS_prctl,	 SYS_memfd_create, SYS_process_vm_readv};
	struct sock_filter insns[3 + sizeof(never) / sizeof(never[0])];
	size_t n = 0, calls = sizeof(never) / sizeof(never[0]);

	insns[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						  offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < calls; i++)
		insns[n++] = (struct sock_filter)BPF_JUMP(
		    BPF_JMP | BPF_JEQ | BPF_K, (unsigned)never[i], (uint8_t)(calls - i), 0);
	insns[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	insns[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	load(insns, n, 0);
}

static void allow(unsigned long flags)
{
	struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);

	load(&all, 1, flags);
}

static void *allow_here(void *arg)
{
	allow(0);
	puts("ready");
	for (;;)
		pause();
	return arg;
}

static void fill_descriptors(void)
{
	struct rlimit r = {64, 64};

	OK(setrlimit(RLIMIT_NOFILE, &r));
	while (dup(0) >= 0)
		;
	CHECK_EQ(errno, EMFILE);
}

/* stdio would ask for memory. */
static void make_sockets(void)
{
	int last = -1;

	for (;; sleep_ms(10)) {
		int fd = socket(AF_INET, SOCK_STREAM, 0), shadow;
		char proto[32] = "";

		if (fd < 0)
			continue;
		/* This traps in neither plane: a TCP socket says TCP. */
		OK(fgetxattr(fd, "system.sockprotoname", proto, sizeof(proto) - 1));
		shadow = strcmp(proto, "TCP") != 0;
		OK(close(fd));
		if (shadow == last)
			continue;
		last = shadow;
		if (shadow)
			OK(write(1, "socket: stack\n", 14));
		else
			OK(write(1, "socket: kernel\n", 15));
	}
}

int main(int argc, char **argv)
{
	const char *mode = argc == 2 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(mode, "one")) {
		thread(allow_here, NULL);
	} else if (!strcmp(mode, "listener")) {
		allow(SECCOMP_FILTER_FLAG_NEW_LISTENER);
		puts("ready");
	} else if (!strcmp(mode, "strict")) {
		puts("ready");
		OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0));
		for (char c;;) /* one of the four calls that it may make */
			syscall(SYS_read, 0, &c, 1);
	} else if (!strcmp(mode, "plain")) {
		puts("ready");
		end_for_strange_calls();
		make_sockets();
	} else if (!strcmp(mode, "full")) {
		fill_descriptors();
		puts("ready");
		make_sockets();
	} else {
		return 2;
	}
	for (;;)
		pause();
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * faults.c - Memory that a client shared, and takes away
 *
 * Touching it is SIGBUS.  An empty page of ours is put there, at which the client cannot
 * get any more.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_memory.h>

#include "dispatch/link.h"

static atomic_ullong faults;

/**
 * is_shared_mapping() - Is there a writable MAP_SHARED mapping at @addr?
 *
 * Signal handler: system calls only.  The kernel's list is the only one that is
 * complete; a peer may change its memory at any message.
 */
static bool is_shared_mapping(uintptr_t addr)
{
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	uintptr_t from = 0, to = 0, *number = &from;
	bool found = false, skip = false;
	unsigned field = 0;
	char buf[4096], perms[4] = "";
	ssize_t n;

	if (fd < 0)
		return false;
	/* "from-to rwxs offset dev inode path\n" */
	while (!found && (n = read(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n && !found; i++) {
			char c = buf[i];

			if (c == '\n') {
				from = to = 0;
				number = &from;
				field = 0;
				skip = false;
			} else if (skip) {
				continue;
			} else if (field < 4 && number) {
				if (c == '-')
					number = &to;
				else if (c == ' ')
					number = NULL;
				else
					*number = *number << 4 |
						  (uintptr_t)(c <= '9' ? c - '0' : c - 'a' + 10);
			} else if (field < 4) {
				perms[field++] = c;
				found = field == 4 && from <= addr && addr < to &&
					perms[1] == 'w' && perms[3] == 's';
				skip = field == 4;
			}
		}
	}
	close(fd);
	return found;
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	static const size_t sizes[] = {4096, 2u << 20, 1u << 30};
	uintptr_t addr = (uintptr_t)info->si_addr;
	int saved = errno;

	(void)context;
	/* Our own memory, files and code are no peer's to take away */
	if (info->si_code == BUS_ADRERR && !rte_mem_virt2memseg_list(info->si_addr) &&
	    is_shared_mapping(addr)) {
		/* A mapping of hugepages only gives way to whole ones */
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			void *page = (void *)(addr & ~(sizes[i] - 1));

			if (mmap(page, sizes[i], PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page) {
				atomic_fetch_add(&faults, 1);
				errno = saved;
				return;
			}
		}
	}
	signal(sig, SIG_DFL); /* the instruction runs again, and ends us */
	errno = saved;
}

uint64_t links_faults(void)
{
	return atomic_load(&faults);
}

void links_guard(void)
{
	struct sigaction sa = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};

	sigemptyset(&sa.sa_mask);
	sigaction(SIGBUS, &sa, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * memory.c - Which of the program's memory can be read and written
 *
 * Theory of operation.  The agent copies in user mode, where a bad buffer would be SIGSEGV.
 * So the kernel is asked about a page before it is used for the first time, by a call that
 * says EFAULT and otherwise changes nothing, and what it said is kept for the process, a
 * word a page.  That is out of date when the mapping changes: munmap() and its kin
 * (gz_mapping_calls[]) are led to the agent, which forgets the pages before the kernel
 * does it.
 *
 * No lock of a slot is held here: the kernel may have to make the page first.
 */
#include <errno.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "launcher/agent/agent.h"

#define PAGE_SHIFT 12
#define NO_HOW (-1)

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif

static uint64_t *entry_of(uint64_t page)
{
	return &PRIV->page[page % GZ_PAGES];
}

static void keep(uint64_t page, uint32_t how)
{
	/* On x86 what can be written can be read. */
	uint64_t bits = how == MAY_WRITE ? MAY_WRITE | MAY_READ : MAY_READ;

	__atomic_store_n(entry_of(page), page << 2 | bits, __ATOMIC_RELAXED);
}

/*
 * Ask about one page.  To read: rt_sigprocmask() takes the set before it finds that
 * there is no such way to change the mask.  To write: FUTEX_WAKE_OP adds 0 to the word,
 * with another thread's writes in one order, as only the kernel's copying would not.
 */
static bool ask(uint64_t page, uint32_t how)
{
	uint32_t nobody = 0;
	uint64_t at = page << PAGE_SHIFT;

	if (how == MAY_READ)
		return call(SYS_rt_sigprocmask, (uint64_t)NO_HOW, at, 0, 8) != -EFAULT;
	return call6(SYS_futex, (uint64_t)&nobody, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, 0, at,
		     FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_LT, 0)) != -EFAULT;
}

/* Several at once; what is wrong with one of them ask() finds. */
static bool ask_all(uint64_t first, uint64_t last, uint32_t how)
{
	return first < last &&
	       !call(SYS_madvise, first << PAGE_SHIFT, (last - first + 1) << PAGE_SHIFT,
		     how == MAY_WRITE ? MADV_POPULATE_WRITE : MADV_POPULATE_READ, 0);
}

uint64_t ask_memory(uint64_t addr, uint64_t n, uint32_t how)
{
	uint64_t page = addr >> PAGE_SHIFT, last = (addr + n - 1) >> PAGE_SHIFT;
	bool all;

	if (addr < SPACE_FIRST || !in_space(addr, n))
		return 0;
	while (page <= last && is_known(page, how))
		page++;
	all = ask_all(page, last, how);
	for (; page <= last; page++) {
		if (!all && !is_known(page, how) && !ask(page, how))
			break;
		keep(page, how);
	}
	if (page > last)
		return n;
	return page << PAGE_SHIFT > addr ? (page << PAGE_SHIFT) - addr : 0;
}

uint64_t vectors_memory(const struct io *io, uint64_t skip, uint64_t n, uint32_t how)
{
	uint64_t left = n;

	for (uint64_t k = 0; k < io->nv && left; k++) {
		uint64_t len = io->v[k].iov_len, part, good;

		if (skip >= len) {
			skip -= len;
			continue;
		}
		part = len - skip < left ? len - skip : left;
		good = memory((uint64_t)io->v[k].iov_base + skip, part, how);
		left -= good;
		if (good < part)
			break;
		skip = 0;
	}
	return n - left;
}

/* What is kept of pages from @addr on is not so any more. */
static void forget(uint64_t addr, uint64_t n)
{
	uint64_t first = addr >> PAGE_SHIFT, last = (addr + n - 1) >> PAGE_SHIFT;

	if (!n)
		return;
	for (uint32_t k = 0; k < GZ_PAGES; k++) {
		uint64_t e = __atomic_load_n(&PRIV->page[k], __ATOMIC_RELAXED);

		if (e && e >> 2 >= first && e >> 2 <= last)
			__atomic_store_n(&PRIV->page[k], 0, __ATOMIC_RELAXED);
	}
}

int mapping_call(const struct regs *r)
{
	switch (r->rax) {
	case SYS_mmap:
		if (r->r10 & MAP_FIXED)
			forget(r->rdi, r->rsi);
		break;
	case SYS_mprotect:
	case SYS_pkey_mprotect:
	case SYS_munmap:
	case SYS_mremap:
		forget(r->rdi, r->rsi);
		break;
	default: /* brk(), shmdt(): of where it ends nothing is said */
		forget(r->rdi, SPACE_END - r->rdi % SPACE_END);
	}
	/* The thread's own stack may be what goes: nothing is done here after it. */
	return NATIVE;
}

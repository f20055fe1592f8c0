/* SPDX-License-Identifier: BSD-3-Clause
 *
 * retire.c - Take a process's threads out of the agent, and let none in any more
 *
 * Theory of operation.  pthread_cancel(3) looks at where its signal has found a thread:
 * C++ unwinds the stack from there, and musl compares the address with that of its own
 * `syscall`.  Neither knows the agent.  So at the first cancellation of a process its
 * code becomes again what it was, with all threads stopped, and whoever waits in the
 * agent comes to wait at the program's own `syscall`.
 *
 * A thread that has left its site's `syscall` in the block behind it is moved back to the
 * program's: to what follows, if the kernel was entered, where the kernel's own restart
 * is right as well.  One that sleeps in gz_sleep() is told by the result; the agent
 * then leaves by the program's `syscall`.  The rest runs, and is gone when we look again;
 * on its way it meets a table of calls that sends all of them back.
 */
#include "launcher/retire.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ptrace.h>

#include "launcher/inject.h"

#define TRIES 20

static bool in_region(uint64_t addr)
{
	return addr - GZ_AGENT_BASE < GZ_AGENT_CODE_SIZE;
}

/* The sites as they were.  Return: 0 or a negative errno */
static int restore(struct gz_tracee *t, const struct gz_agent_book *b)
{
	uint8_t jump[GZ_SITE_JUMP];
	struct gz_agent_block k;
	int rc = 0;

	for (uint32_t i = 0; i < b->nsites && !rc; i++) {
		if (!gz_tracee_read(t, GZ_AGENT_SITES + i * GZ_SITE_SIZE, &k, sizeof(k)) &&
		    !gz_tracee_read(t, k.at, jump, sizeof(jump)) && gz_block_leads(&k, jump))
			rc = gz_tracee_poke(t, k.at, k.was, GZ_SITE_JUMP);
	}
	return rc;
}

/* Back to the program, from its site's block.  Return: whether it could be */
static bool move_back(const struct gz_tracee *t, struct user_regs_struct *r)
{
	uint64_t at = r->rip - GZ_AGENT_SITES,
		 block = GZ_AGENT_SITES + at / GZ_SITE_SIZE * GZ_SITE_SIZE;
	struct gz_agent_block k;

	if (r->rip < GZ_AGENT_SITES || r->rip >= GZ_AGENT_ASK ||
	    gz_tracee_read(t, block, &k, sizeof(k)))
		return false;
	if (at % GZ_SITE_SIZE == GZ_SITE_NATIVE + 2)
		r->rip = k.after;
	else if (at % GZ_SITE_SIZE <= GZ_SITE_NATIVE)
		r->rip = k.trap;
	else
		return false;
	return true;
}

/* Asleep, and without a signal that would end that */
static bool kick(const struct gz_tracee *t, const struct gz_thread *th, struct user_regs_struct *r)
{
	if (r->rip != GZ_AGENT_SLEPT || (int64_t)r->orig_rax < 0 || (int64_t)r->rax > -512 ||
	    (int64_t)r->rax < -516 || gz_inject_has_signal(t, th))
		return false;
	r->rax = (uint64_t)-GZ_KICKED;
	r->orig_rax = ~0ULL;
	return true;
}

int gz_retire(struct gz_tracee *t)
{
	uint8_t nrtab[GZ_NR_MAX];
	struct gz_agent_book b;
	bool inside = false;
	int rc = gz_inject_book(t, &b);

	if (rc || b.retired == GZ_RETIRED)
		return rc;
	memset(nrtab, GZ_NR_TRAP, sizeof(nrtab));
	rc = restore(t, &b);
	if (!rc)
		rc = gz_tracee_poke(t, GZ_AGENT_NRTAB, nrtab, sizeof(nrtab));
	for (size_t i = 0; i < t->n && !rc; i++) {
		struct gz_thread *th = &t->threads[i];
		bool moved;

		if (!th->stopped || !in_region(th->regs.rip))
			continue;
		moved = move_back(t, &th->regs);
		inside |= !moved;
		/* The borrowed one gets them when it is given back. */
		if ((moved || kick(t, th, &th->regs)) && th != t->borrowed)
			ptrace(PTRACE_SETREGS, th->tid, NULL, &th->regs);
	}
	b.retired = inside && b.retired < TRIES ? b.retired + 1 : GZ_RETIRED;
	return rc ? rc : gz_tracee_poke(t, GZ_AGENT_BOOK, &b, sizeof(b));
}

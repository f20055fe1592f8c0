/* SPDX-License-Identifier: BSD-3-Clause
 *
 * inject.c - Put the agent into a stopped process, and lead its sites there
 *
 * Theory of operation.  Memory is mapped by system calls that the process makes for
 * us; what is executable is written by gz_tracee_poke(), which also writes where the process
 * cannot.  Everything that must be known of it later lies in the region's book, in
 * its own memory: fork() copies it, exec() drops it, and nothing here can be out of date.
 */
#include "launcher/inject.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "launcher/agent/abi.h"
#include "launcher/calls.h"
#include "launcher/frames.h"
#include "launcher/maps.h"
#include "launcher/patch.h"
#include "launcher/proc.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#define ISLAND_SIZE 65536
#define ISLAND_REACH 0x7c000000	 /* of a 32-bit displacement, with room for what is copied */
#define ISLAND_GUARD 0x100000	 /* kept free beside other mappings, */
#define ISLAND_GUARD_LEAST 4096	 /* where there is no room for that */
#define NEIGHBOURS_MAX (8 << 20) /* bytes of a mapping that are searched */
#define LOOK_BACK 40
#define ADDRESS_MIN 65536 /* vm.mmap_min_addr */
#define ERESTARTSYS 512	  /* the kernel's own, linux/errno.h */
#define ERESTARTNOINTR 513
#define ERESTARTNOHAND 514

extern const uint8_t gz_agent_image[], gz_agent_image_end[];

/* --- memory ---------------------------------------------------------------- */

static int call(struct gz_tracee *t, int64_t *r, long nr, uint64_t a, uint64_t b, uint64_t c,
		uint64_t d, uint64_t e)
{
	int rc = GZ_TRACEE_CALL(t, r, nr, a, b, c, d, e, 0);

	if (rc)
		return rc;
	return *r < 0 ? (int)*r : 0;
}

/* Map at @addr, nowhere else.  Return: 0 or a negative errno */
static int map(struct gz_tracee *t, uint64_t addr, uint64_t size, int prot, int flags, int fd)
{
	int64_t r;
	int rc = call(t, &r, SYS_mmap, addr, size, (uint64_t)prot,
		      (uint64_t)(flags | MAP_FIXED_NOREPLACE), (uint64_t)fd);

	if (rc)
		return rc;
	return (uint64_t)r == addr ? 0 : -EEXIST; /* a kernel before 4.17 */
}

static void unmap(struct gz_tracee *t, uint64_t addr, uint64_t size)
{
	int64_t r;

	call(t, &r, SYS_munmap, addr, size, 0, 0, 0);
}

/* --- the region -------------------------------------------------------------- */

int gz_inject_book(const struct gz_tracee *t, struct gz_agent_book *b)
{
	int rc = gz_tracee_read(t, GZ_AGENT_BOOK, b, sizeof(*b));

	if (rc)
		return rc;
	return b->magic == GZ_AGENT_MAGIC && b->version == GZ_AGENT_VERSION &&
		       b->nsites <= GZ_SITES_MAX && b->nislands <= GZ_ISLANDS &&
		       b->nfailed <= GZ_FAILED_SITES
		   ? 0
		   : -EPROTO;
}

bool gz_inject_present(const struct gz_tracee *t)
{
	static struct gz_agent_book b;

	return !gz_inject_book(t, &b);
}

/* What the agent does about each call; the table says it all. */
static void fill_nrtab(uint8_t *nrtab)
{
	static const uint8_t what[] = {
	    [GZ_AGENT_NONE] = GZ_NR_TRAP,     [GZ_AGENT_DATA] = GZ_NR_DATA,
	    [GZ_AGENT_CLOSE] = GZ_NR_CLOSE,   [GZ_AGENT_READY] = GZ_NR_READY,
	    [GZ_AGENT_CONTROL] = GZ_NR_READY, [GZ_AGENT_SHORT] = GZ_NR_READY,
	};

	memset(nrtab, GZ_NR_NATIVE, GZ_NR_MAX);
	for (size_t i = 0; i < gz_ncalls; i++) {
		const struct gz_call_info *c = &gz_calls[i];

		if (c->nr >= 0 && c->nr < GZ_NR_MAX)
			nrtab[c->nr] = what[c->agent];
	}
	for (const int *nr = gz_mapping_calls; *nr >= 0; nr++)
		nrtab[*nr] = GZ_NR_MAP;
}

static int write_image(struct gz_tracee *t)
{
	static const uint8_t ask[] = {0x0f, 0x05, 0xc3}; /* syscall; ret */
	size_t n = (size_t)(gz_agent_image_end - gz_agent_image);
	struct gz_agent_book book = {.magic = GZ_AGENT_MAGIC, .version = GZ_AGENT_VERSION};
	uint8_t nrtab[GZ_NR_MAX];
	int rc;

	fill_nrtab(nrtab);
	rc = gz_tracee_write(t, GZ_AGENT_BASE, gz_agent_image, n);
	if (!rc)
		rc = gz_tracee_write(t, GZ_AGENT_NRTAB, nrtab, sizeof(nrtab));
	if (!rc)
		rc = gz_tracee_write(t, GZ_AGENT_ASK, ask, sizeof(ask));
	return rc ? rc : gz_tracee_write(t, GZ_AGENT_BOOK, &book, sizeof(book));
}

static int map_all(struct gz_tracee *t, int fd)
{
	int64_t r;
	int rc = map(t, GZ_AGENT_PRIVATE, GZ_AGENT_PRIVATE_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);

	if (rc)
		return rc;
	rc = call(t, &r, SYS_madvise, GZ_AGENT_PRIVATE, GZ_AGENT_PRIVATE_SIZE, MADV_WIPEONFORK, 0,
		  0);
	if (!rc)
		rc = map(t, GZ_AGENT_KEPT, GZ_AGENT_KEPT_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (!rc)
		rc =
		    map(t, GZ_AGENT_SHARED, GZ_SHARED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	if (!rc)
		call(t, &r, SYS_madvise, GZ_AGENT_SHARED, GZ_SHARED_SIZE, MADV_DONTDUMP, 0, 0);
	if (rc) {
		unmap(t, GZ_AGENT_KEPT, GZ_AGENT_KEPT_SIZE);
		unmap(t, GZ_AGENT_PRIVATE, GZ_AGENT_PRIVATE_SIZE);
	}
	return rc;
}

int gz_inject_region(struct gz_tracee *t, int fd)
{
	uint64_t site = t->site;
	int64_t r;
	int rc = map(t, GZ_AGENT_BASE, GZ_AGENT_CODE_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1);

	if (rc)
		return rc; /* @fd is close-on-exec; its close() would trap here */
	rc = write_image(t);
	if (!rc)
		rc = call(t, &r, SYS_mprotect, GZ_AGENT_BASE, GZ_AGENT_CODE_SIZE,
			  PROT_READ | PROT_EXEC, 0, 0);
	if (!rc) {
		rc = map_all(t, fd);
		t->site = GZ_AGENT_SYSCALL; /* it does not trap */
		call(t, &r, SYS_close, (uint64_t)fd, 0, 0, 0, 0);
		t->site = site;
	}
	if (rc)
		unmap(t, GZ_AGENT_BASE, GZ_AGENT_CODE_SIZE);
	return rc;
}

/* --- islands ------------------------------------------------------------------ */

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

/*
 * Free address space for an island near @site: the top of the nearest gap that leaves
 * @guard free on both sides, or 0
 */
static uint64_t find_hole(const struct gz_tracee *t, uint64_t site, uint64_t guard)
{
	FILE *f = gz_maps_open(t->borrowed->tid);
	uint64_t end = ADDRESS_MIN, best = 0, at;
	bool heap = false;
	struct gz_map m;

	if (!f)
		return 0;
	for (; gz_maps_next(f, &m); end = m.end, heap = !strcmp(m.name, "[heap]")) {
		/* The stack grows into the gap below it, the heap into that above. */
		if (m.start <= end || m.start - end < ISLAND_SIZE + 2 * guard ||
		    !strcmp(m.name, "[stack]") || (heap && guard < ISLAND_GUARD))
			continue;
		at = (m.start - guard - ISLAND_SIZE) & ~0xfffULL;
		if (distance(at, site) < ISLAND_REACH &&
		    (!best || distance(at, site) < distance(best, site)))
			best = at;
	}
	fclose(f);
	return best;
}

/* An island that @site reaches, with room.  Return: NULL, there is none */
static struct gz_agent_island *island(struct gz_tracee *t, struct gz_agent_book *b, uint64_t site)
{
	struct gz_agent_island *is;
	uint64_t at;

	for (uint32_t i = 0; i < b->nislands; i++) {
		is = &b->island[i];
		if (distance(is->base, site) < ISLAND_REACH && is->used + GZ_ISLAND_MAX <= is->size)
			return is;
	}
	if (b->nislands == GZ_ISLANDS)
		return NULL;
	at = find_hole(t, site, ISLAND_GUARD);
	if (!at)
		at = find_hole(t, site, ISLAND_GUARD_LEAST);
	if (!at || map(t, at, ISLAND_SIZE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1))
		return NULL;
	is = &b->island[b->nislands++];
	*is = (struct gz_agent_island){.base = at, .size = ISLAND_SIZE};
	return is;
}

/* --- sites -------------------------------------------------------------------- */

/* The blocks of all sites, to be freed.  Return: NULL: there are none, or they cannot be read */
static struct gz_agent_block *read_blocks(const struct gz_tracee *t, const struct gz_agent_book *b)
{
	size_t n = b->nsites * sizeof(struct gz_agent_block);
	struct gz_agent_block *blocks = n ? malloc(n) : NULL;

	if (blocks && !gz_tracee_read(t, GZ_AGENT_SITES, blocks, n))
		return blocks;
	free(blocks);
	return NULL;
}

/*
 * Was it led to the agent before?  Return: its block, or 0.  @leads: it still is; else
 * other code has come to that place.
 */
static uint64_t known_block(const struct gz_tracee *t, const struct gz_agent_book *b, uint64_t site,
			    bool *leads)
{
	struct gz_agent_block *blocks = read_blocks(t, b);
	uint8_t bytes[GZ_SITE_JUMP];
	uint64_t block = 0;

	for (uint32_t i = 0; blocks && i < b->nsites && !block; i++) {
		if (blocks[i].trap != site)
			continue;
		*leads = !gz_tracee_read(t, blocks[i].at, bytes, sizeof(bytes)) &&
			 gz_block_leads(&blocks[i], bytes);
		block = GZ_AGENT_SITES + i * GZ_SITE_SIZE;
	}
	free(blocks);
	return block;
}

/* As much of what is around the site as can be read.  Return: bytes before it, or -EFAULT */
static int read_code(const struct gz_tracee *t, uint64_t site, uint8_t *code, size_t *after)
{
	size_t back = GZ_PATCH_BACK;

	*after = GZ_PATCH_AFTER;
	if (!gz_tracee_read(t, site - back, code, back + 2 + *after))
		return (int)back;
	*after = 0;
	if (!gz_tracee_read(t, site - back, code, back + 2))
		return (int)back;
	back = site & 0xfff; /* the mapping may begin with the page */
	if (back > GZ_PATCH_BACK || gz_tracee_read(t, site - back, code, back + 2))
		return -EFAULT;
	return (int)back;
}

/* What is to be displaced; and what must not be pointed to, is not.  Return: 0 or negative */
static int find_patch(const struct gz_tracee *t, struct gz_patch *p, uint64_t site, bool go)
{
	uint8_t code[GZ_PATCH_BACK + 2 + GZ_PATCH_AFTER];
	uint64_t inside[GZ_PATCH_INSNS];
	size_t after;
	int back = read_code(t, site, code, &after), rc;

	if (back < 0)
		return back;
	rc = gz_patch_find(p, code, (size_t)back, site);
	if (rc == -ENOEXEC && go)
		rc = gz_patch_find_moves(p, code, (size_t)back, after, site);
	if (rc || !p->inside)
		return rc;
	for (unsigned i = 0; i < p->inside; i++)
		inside[i] = site - (GZ_PATCH_BACK - (uint64_t)p->start[i + 1]);
	return gz_frames_lead(t, inside, p->inside);
}

/* Stacks for the agent in threads of a Go program.  Return: 0 or a negative errno */
static int add_stacks(struct gz_tracee *t, struct gz_agent_book *b)
{
	int rc;

	if (b->stacks)
		return 0;
	rc = map(t, GZ_AGENT_STACKS, GZ_AGENT_STACKS_SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	b->stacks = !rc;
	return rc;
}

static int write_site(struct gz_tracee *t, struct gz_agent_book *b, const struct gz_patch *p,
		      uint64_t block, bool fresh, bool go)
{
	uint8_t code[GZ_ISLAND_MAX], bytes[GZ_SITE_SIZE], jump[GZ_PATCH_BYTES];
	struct gz_agent_island *is = island(t, b, p->site);
	uint64_t at;
	int n, rc;

	if (!is)
		return -ENOMEM;
	at = is->base + is->used;
	n = gz_patch_island(p, at, block, code);
	if (n < 0)
		return n;
	rc = gz_patch_jump(p, at, jump);
	if (rc)
		return rc;
	gz_patch_block(p, at, block, go ? GZ_AGENT_ENTRY_GO : GZ_AGENT_ENTRY, bytes);
	is->used += ((uint32_t)n + 15) & ~15U;
	b->nsites += fresh;
	/* The jump last: all that it leads to is there. */
	rc = gz_tracee_poke(t, block, bytes, sizeof(bytes));
	if (!rc)
		rc = gz_tracee_poke(t, at, code, (size_t)n);
	if (!rc)
		rc = gz_tracee_poke(t, GZ_AGENT_BOOK, b, sizeof(*b));
	return rc ? rc : gz_tracee_poke(t, p->at, jump, sizeof(jump));
}

/* @known: what is to be displaced there, or NULL */
static int lead(struct gz_tracee *t, uint64_t site, bool go, const struct gz_patch *known,
		uint64_t *block)
{
	bool fresh, leads = false;
	struct gz_agent_book b;
	struct gz_patch p;
	int rc = gz_inject_book(t, &b);

	if (rc)
		return rc;
	*block = known_block(t, &b, site, &leads);
	if (leads)
		return 0;
	for (uint32_t i = 0; i < b.nfailed; i++)
		if (b.failed[i] == site)
			return -ENOEXEC;
	fresh = !*block;
	if (fresh && b.nsites == GZ_SITES_MAX)
		return -ENOSPC;
	if (fresh)
		*block = GZ_AGENT_SITES + b.nsites * GZ_SITE_SIZE;
	rc = known ? 0 : find_patch(t, &p, site, go);
	if (!rc && go)
		rc = add_stacks(t, &b);
	if (!rc)
		rc = write_site(t, &b, known ? known : &p, *block, fresh, go);
	/* Another time it may do. */
	if (!rc || rc == -EAGAIN || rc == -EBUSY)
		return rc;
	if (b.nfailed == GZ_FAILED_SITES)
		return -ENOSPC;
	b.failed[b.nfailed++] = site;
	gz_tracee_poke(t, GZ_AGENT_BOOK, &b, sizeof(b));
	return rc;
}

int gz_inject_site(struct gz_tracee *t, uint64_t site, uint64_t *block)
{
	return lead(t, site, gz_frames_is_go(t, site), NULL, block);
}

/*
 * Does a `mov $nr, %eax` of a call that the agent looks at come shortly before?  0 is an
 * xor.
 */
static bool looks_known(const uint8_t nrtab[GZ_NR_MAX], const uint8_t *code, size_t at)
{
	for (size_t back = 2; back <= LOOK_BACK && back <= at; back++) {
		const uint8_t *p = code + at - back;
		uint32_t nr;

		if (p[0] == 0x31 && p[1] == 0xc0)
			nr = SYS_read;
		else if (p[0] == 0xb8)
			memcpy(&nr, p + 1, sizeof(nr));
		else
			continue;
		if (nr < GZ_NR_MAX && nrtab[nr] != GZ_NR_NATIVE && nrtab[nr] != GZ_NR_TRAP)
			return true;
	}
	return false;
}

/* A site that nobody has come to: is it an instruction at all?  Half must lead there. */
static bool is_sure(struct gz_patch *p, const uint8_t *code, size_t at, uint64_t site)
{
	return at >= GZ_PATCH_BACK &&
	       !gz_patch_find(p, code + at - GZ_PATCH_BACK, GZ_PATCH_BACK, site) &&
	       p->votes >= GZ_PATCH_STARTS / 2;
}

/* The sure sites of a mapping.  To find them takes 10 ms, and who forks for each client has the
 * same library in all its children: the last one is kept. */
static struct neighbours {
	uint64_t start;
	uint8_t *code; /* as it was read */
	size_t n, nsites, room;
	struct gz_patch *sites;
} kept;

static void find_neighbours(struct neighbours *k)
{
	uint8_t nrtab[GZ_NR_MAX], *p;
	struct gz_patch patch;

	fill_nrtab(nrtab);
	for (p = k->code; (p = memchr(p, 0x0f, (size_t)(k->code + k->n - p) - 1)); p++) {
		size_t at = (size_t)(p - k->code);

		if (p[1] == 0x05 && looks_known(nrtab, k->code, at) &&
		    is_sure(&patch, k->code, at, k->start + at)) {
			if (k->nsites == k->room) {
				size_t room = k->room ? 2 * k->room : 128;
				void *more = realloc(k->sites, room * sizeof(patch));

				if (!more)
					return;
				k->sites = more;
				k->room = room;
			}
			k->sites[k->nsites++] = patch;
		}
		if (p + 2 >= k->code + k->n)
			break;
	}
}

/* Those of the mapping @m.  Return: whether it can be read */
static bool keep(const struct gz_tracee *t, const struct gz_map *m)
{
	size_t n = m->end - m->start;
	uint8_t *code = malloc(n);

	if (!code || gz_tracee_read(t, m->start, code, n)) {
		free(code);
		return false;
	}
	if (kept.start == m->start && kept.n == n && !memcmp(kept.code, code, n)) {
		free(code);
		return true;
	}
	free(kept.code);
	kept.start = m->start;
	kept.code = code;
	kept.n = n;
	kept.nsites = 0;
	find_neighbours(&kept);
	return true;
}

void gz_inject_neighbours(struct gz_tracee *t, uint64_t site)
{
	bool go = gz_frames_is_go(t, site);
	struct gz_map m;
	uint64_t block;

	if (!gz_maps_find(t->borrowed->tid, site, &m) || m.end - m.start > NEIGHBOURS_MAX ||
	    !keep(t, &m))
		return;
	for (size_t i = 0; i < kept.nsites; i++)
		lead(t, kept.sites[i].site, go, &kept.sites[i], &block);
}

static uint64_t signal_set(pid_t tid, const char *key)
{
	char text[64];

	return gz_status(tid, key, text, sizeof(text)) ? strtoull(text, NULL, 16) : 0;
}

/* Signals that it takes when it goes on, a bit each */
static uint64_t pending(const struct gz_tracee *t, const struct gz_thread *th)
{
	uint64_t blocked = th == t->borrowed ? t->mask : signal_set(th->tid, "SigBlk:");

	return (signal_set(th->tid, "SigPnd:") | signal_set(th->tid, "ShdPnd:")) & ~blocked &
	       ~signal_set(th->tid, "SigIgn:");
}

bool gz_inject_has_signal(const struct gz_tracee *t, const struct gz_thread *th)
{
	return pending(t, th) != 0;
}

/* Does a call that signal @sig interrupts begin again?  Unknown is no. */
static bool is_restarting(struct gz_tracee *t, int sig)
{
	const uint64_t at = GZ_AGENT_KEPT + offsetof(struct gz_agent_kept, scratch);
	struct { /* the kernel's sigaction */
		uint64_t handler, flags, restorer, mask;
	} sa;
	int64_t r;

	/* These trap. */
	if (sig == GZ_SIGCANCEL_GLIBC || sig == GZ_SIGCANCEL_MUSL)
		return false;
	return !call(t, &r, SYS_rt_sigaction, (uint64_t)sig, 0, at, sizeof(sa.mask), 0) &&
	       !gz_tracee_read(t, at, &sa, sizeof(sa)) &&
	       (sa.handler <= 1 || sa.flags & SA_RESTART);
}

/* A call that was stopped, and none of its signals ends by EINTR (signal(7)) */
static bool begins_again(struct gz_tracee *t, const struct gz_thread *th)
{
	int64_t rc = (int64_t)th->regs.rax;
	uint64_t signals;

	if ((int64_t)th->regs.orig_rax < 0 || rc > -ERESTARTSYS || rc < -ERESTARTNOHAND)
		return false;
	signals = rc == -ERESTARTNOINTR ? 0 : pending(t, th);
	if (signals && rc == -ERESTARTNOHAND)
		return false;
	for (; signals; signals &= signals - 1)
		if (!is_restarting(t, __builtin_ctzll(signals) + 1))
			return false;
	return true;
}

void gz_inject_enter(struct gz_tracee *t)
{
	struct gz_agent_block *blocks = NULL;
	struct gz_agent_book b;

	if (!gz_inject_book(t, &b))
		blocks = read_blocks(t, &b);
	if (!blocks)
		return;
	for (size_t i = 0; i < t->n; i++) {
		struct gz_thread *th = &t->threads[i];
		uint32_t k = 0;

		if (!th->stopped)
			continue;
		while (k < b.nsites && blocks[k].after != th->regs.rip)
			k++;
		if (k == b.nsites || !begins_again(t, th))
			continue;
		/* What was displaced has run; the block is where it leads. */
		th->regs.rip = GZ_AGENT_SITES + k * GZ_SITE_SIZE;
		th->regs.rax = th->regs.orig_rax;
		th->regs.orig_rax = ~0ULL;
		if (th != t->borrowed) /* it gets them when it is given back */
			ptrace(PTRACE_SETREGS, th->tid, NULL, &th->regs);
	}
	free(blocks);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * frames.c - May instructions of a stopped process be overwritten?
 *
 * Theory of operation.  A thread comes to an instruction by running on, by a jump,
 * or by a frame that a signal has saved: of a handler that runs, and has been left for
 * another stack perhaps.  Such a frame holds the address as an aligned word, wherever it
 * is.  So all that the process can write is searched for the word; a page that is
 * neither in memory nor swapped out holds nothing but zeros or a file's bytes.
 */
#include "launcher/frames.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launcher/agent/abi.h"
#include "launcher/maps.h"

#define PAGE 4096ULL
#define CHUNK 64		   /* pages that are read at once */
#define SEARCH_MAX (256ULL << 20)  /* bytes, about 60 ms */
#define PAGE_IS_THERE (3ULL << 62) /* present, or swapped */
#define GO_NOTE "Go"		   /* with the NUL twice, namesz is 4 */
#define NT_GO_BUILDID 4
#define NOTES_MAX 4096

/* --- words ------------------------------------------------------------------ */

static bool holds(const uint64_t *words, size_t n, const uint64_t *addr, unsigned naddr)
{
	for (unsigned k = 0; k < naddr; k++) {
		uint64_t want = addr[k], found = 0;

		for (size_t i = 0; i < n; i++)
			found |= words[i] == want;
		if (found)
			return true;
	}
	return false;
}

/* Pages [@start, @end) are there.  Return: as gz_frames_lead() */
static int search_pages(const struct gz_tracee *t, uint64_t start, uint64_t end,
			const uint64_t *addr, unsigned n, uint64_t *budget)
{
	static uint64_t words[CHUNK * PAGE / 8];

	for (; start < end; start += CHUNK * PAGE) {
		size_t size = end - start < CHUNK * PAGE ? end - start : CHUNK * PAGE;

		if (size > *budget)
			return -ENOEXEC;
		*budget -= size;
		if (gz_tracee_read(t, start, words, size))
			continue; /* beyond a file's end: nobody can read it */
		if (holds(words, size / 8, addr, n))
			return -EBUSY;
	}
	return 0;
}

static int search_map(const struct gz_tracee *t, int pagemap, const struct gz_map *m,
		      const uint64_t *addr, unsigned n, uint64_t *budget)
{
	static uint64_t there[4096];
	uint64_t first = m->start, run = 0;
	int rc = 0;

	while (first < m->end && !rc) {
		size_t want = (m->end - first) / PAGE;
		ssize_t k;

		if (want > 4096)
			want = 4096;
		k = pread(pagemap, there, want * 8, (off_t)(first / PAGE * 8));
		if (k <= 0)
			return -ENOEXEC;
		for (ssize_t i = 0; i < k / 8 && !rc; i++, first += PAGE) {
			if (there[i] & PAGE_IS_THERE) {
				run = run ? run : first;
			} else if (run) {
				rc = search_pages(t, run, first, addr, n, budget);
				run = 0;
			}
		}
	}
	return rc || !run ? rc : search_pages(t, run, m->end, addr, n, budget);
}

int gz_frames_lead(const struct gz_tracee *t, const uint64_t *addr, unsigned n)
{
	uint64_t budget = SEARCH_MAX;
	char path[64];
	struct gz_map m;
	int pagemap, rc = 0;
	FILE *f;

	for (size_t i = 0; i < t->n; i++)
		for (unsigned k = 0; k < n; k++)
			if (t->threads[i].regs.rip == addr[k])
				return -EAGAIN;
	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)t->borrowed->tid);
	pagemap = open(path, O_RDONLY | O_CLOEXEC);
	f = gz_maps_open(t->borrowed->tid);
	if (pagemap < 0 || !f)
		rc = -ENOEXEC;
	while (!rc && gz_maps_next(f, &m)) {
		/* Our own is not where frames of the program's are. */
		if (m.mode[1] != 'w' || m.mode[0] != 'r' ||
		    (m.start >= GZ_AGENT_BASE && m.start < GZ_AGENT_END))
			continue;
		rc = search_map(t, pagemap, &m, addr, n, &budget);
	}
	if (f)
		fclose(f);
	if (pagemap >= 0)
		close(pagemap);
	return rc;
}

/* --- Go --------------------------------------------------------------------- */

/* Is the build id of Go's linker among these notes?  elf(5) */
static bool has_go_note(const uint8_t *notes, size_t n)
{
	while (n >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr h;
		size_t size;

		memcpy(&h, notes, sizeof(h));
		if (h.n_namesz > NOTES_MAX || h.n_descsz > NOTES_MAX)
			return false;
		size = sizeof(h) + ((h.n_namesz + 3U) & ~3U) + ((h.n_descsz + 3U) & ~3U);
		if (size > n)
			return false;
		if (h.n_type == NT_GO_BUILDID && h.n_namesz == 4 &&
		    !memcmp(notes + sizeof(h), GO_NOTE "\0", 4))
			return true;
		notes += size;
		n -= size;
	}
	return false;
}

/* @base: where the file's first page is */
static bool is_go_file(const struct gz_tracee *t, uint64_t base)
{
	uint8_t notes[NOTES_MAX];
	Elf64_Ehdr e;
	Elf64_Phdr p;

	if (gz_tracee_read(t, base, &e, sizeof(e)) || memcmp(e.e_ident, ELFMAG, SELFMAG))
		return false;
	for (unsigned i = 0; i < e.e_phnum; i++) {
		if (gz_tracee_read(t, base + e.e_phoff + i * sizeof(p), &p, sizeof(p)))
			return false;
		if (p.p_type == PT_NOTE && p.p_filesz <= sizeof(notes) &&
		    !gz_tracee_read(t, base + p.p_offset, notes, p.p_filesz) &&
		    has_go_note(notes, p.p_filesz))
			return true;
	}
	return false;
}

bool gz_frames_is_go(const struct gz_tracee *t, uint64_t addr)
{
	struct gz_map m, first = {0};
	bool found = false;
	FILE *f;

	f = gz_maps_open(t->borrowed ? t->borrowed->tid : t->pid);
	if (!f)
		return false;
	while (!found && gz_maps_next(f, &m)) {
		if (m.inode && m.offset == 0)
			first = m;
		found = addr >= m.start && addr < m.end;
	}
	fclose(f);
	return found && m.inode && m.inode == first.inode && m.dev[0] == first.dev[0] &&
	       m.dev[1] == first.dev[1] && is_go_file(t, first.start);
}

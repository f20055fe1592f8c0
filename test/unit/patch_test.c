/* SPDX-License-Identifier: BSD-3-Clause
 *
 * patch_test.c - Sites are found, moved and led to the agent
 *
 * A sweep over the C library decodes it from its start, which says where each
 * instruction begins, and so whether what gz_patch_find() chose is one.  The
 * moved copies are executed, with a block that returns, so that they must do what the
 * original did.
 */
#include <Zydis/Zydis.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "launcher/agent/abi.h"
#include "launcher/patch.h"

/* --- every site of a library ------------------------------------------------ */

struct sweep {
	unsigned sites, found;
};

/* Where instructions begin, by linear decoding */
static uint8_t *boundaries(const uint8_t *text, size_t n)
{
	uint8_t *b = calloc(n + 1, 1);
	ZydisDecodedInstruction z;
	ZydisDecoder d;

	assert_non_null(b);
	ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	for (size_t at = 0; at < n;) {
		b[at] = 1;
		if (ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&d, NULL, text + at, n - at, &z)))
			at += z.length;
		else
			at++;
	}
	return b;
}

static void check_site(const uint8_t *text, const uint8_t *starts, size_t at, uint64_t addr,
		       struct sweep *s)
{
	size_t back = at < GZ_PATCH_BACK ? at : GZ_PATCH_BACK, from;
	uint8_t island[GZ_ISLAND_MAX], jump[GZ_PATCH_BYTES];
	struct gz_patch p;
	int len;

	s->sites++;
	if (gz_patch_find(&p, text + at - back, back, addr + at))
		return;
	s->found++;
	from = (size_t)(p.at - addr);
	assert_true(from + GZ_PATCH_BYTES <= at);
	for (unsigned i = 0; i < p.n; i++)
		assert_true(starts[at - (GZ_PATCH_BACK - p.start[i])]);
	for (size_t k = from + 1; k < from + GZ_PATCH_BYTES; k++)
		assert_false(starts[k]);
	len = gz_patch_island(&p, addr - 0x10000, GZ_AGENT_SITES, island);
	assert_true(len > 0 && len <= GZ_ISLAND_MAX);
	assert_int_equal(gz_patch_jump(&p, addr - 0x10000, jump), 0);
	/* Half of the address space away nothing can be reached. */
	assert_int_equal(gz_patch_jump(&p, addr + (1ULL << 40), jump), -ERANGE);
}

static struct sweep sweep(const char *path)
{
	struct sweep s = {0};
	struct stat st;
	Elf64_Shdr *sh;
	uint8_t *file;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0 && !fstat(fd, &st));
	file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_true(file != MAP_FAILED);
	close(fd);
	sh = (Elf64_Shdr *)(file + ((Elf64_Ehdr *)file)->e_shoff);
	for (unsigned i = 0; i < ((Elf64_Ehdr *)file)->e_shnum; i++, sh++) {
		const uint8_t *text = file + sh->sh_offset;
		uint8_t *starts;

		if (!(sh->sh_flags & SHF_EXECINSTR) || sh->sh_type != SHT_PROGBITS)
			continue;
		starts = boundaries(text, sh->sh_size);
		for (size_t at = 0; at + 1 < sh->sh_size; at++)
			if (starts[at] && text[at] == 0x0f && text[at + 1] == 0x05)
				check_site(text, starts, at, 0x7f0000000000 + sh->sh_addr, &s);
		free(starts);
	}
	munmap(file, (size_t)st.st_size);
	print_message("%s: %u of %u sites\n", path, s.found, s.sites);
	return s;
}

static int find_libc(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	if (!strstr(info->dlpi_name, "libc.so"))
		return 0;
	snprintf(arg, 4096, "%s", info->dlpi_name);
	return 1;
}

static void nearly_all_of_libc(void **state)
{
	char path[4096] = "";
	struct sweep s;

	(void)state;
	dl_iterate_phdr(find_libc, path);
	assert_true(path[0]);
	s = sweep(path);
	/* 523 of 526 in glibc 2.36 */
	assert_true(s.sites > 200);
	assert_true(s.found * 100 >= s.sites * 98);
}

static void nearly_all_of_busybox(void **state)
{
	struct sweep s;

	(void)state;
	if (access("/bin/busybox", R_OK))
		skip();
	s = sweep("/bin/busybox");
	assert_true(s.found * 100 >= s.sites * 97);
}

/* --- one at a time ---------------------------------------------------------- */

static int find(struct gz_patch *p, const char *code, size_t n)
{
	return gz_patch_find(p, (const uint8_t *)code, n - 2, 0x400000 + n - 2);
}

#define FIND(p, code) find(p, code, sizeof(code) - 1)

static void refuses(void **state)
{
	struct gz_patch p;

	(void)state;
	/* nothing of five bytes; not behind a call, a ret, a jmp, or another site */
	assert_int_equal(FIND(&p, "\x31\xc0\x89\xd7\x0f\x05"), -ENOEXEC);
	assert_int_equal(FIND(&p, "\xe8\x01\x02\x03\x04\x0f\x05"), -ENOEXEC);
	assert_int_equal(FIND(&p, "\xb8\x01\x00\x00\x00\xc3\x0f\x05"), -ENOEXEC);
	assert_int_equal(FIND(&p, "\xb8\x01\x00\x00\x00\xeb\x00\x0f\x05"), -ENOEXEC);
	assert_int_equal(FIND(&p, "\xb8\x01\x00\x00\x00\x0f\x05\x0f\x05"), -ENOEXEC);
	/* jrcxz has no long form */
	assert_int_equal(FIND(&p, "\xb8\x01\x00\x00\x00\xe3\x00\x0f\x05"), -ENOEXEC);
	/* a jump that another patch wrote */
	assert_int_equal(FIND(&p, "\xe9\x01\x02\x03\x04\x31\xd2\x0f\x05"), -ENOEXEC);
	assert_int_equal(FIND(&p, "\xb8\x01\x00\x00\x00\x0f\x0b"), -EINVAL);
}

static void takes_the_nearest(void **state)
{
	struct gz_patch p;

	(void)state;
	/* mov $1, %eax; mov $2, %esi; xor %edx, %edx; syscall */
	assert_int_equal(FIND(&p, "\xb8\x01\x00\x00\x00\xbe\x02\x00\x00\x00\x31\xd2\x0f\x05"), 0);
	assert_int_equal(p.at, 0x400005);
	assert_int_equal(p.n, 2);
}

static int find_moves(struct gz_patch *p, const char *code, size_t back, size_t n)
{
	return gz_patch_find_moves(p, (const uint8_t *)code, back, n - back - 2, 0x400000 + back);
}

#define FIND_MOVES(p, back, code) find_moves(p, code, back, sizeof(code) - 1)

/* Go's Syscall6: mov %rsi, %r10; mov %rdi, %rdx; mov %rcx, %rsi; mov %rbx, %rdi; syscall */
#define SYSCALL6 "\x49\x89\xf2\x48\x89\xfa\x48\x89\xce\x48\x89\xdf\x0f\x05"

static void takes_moves_of_go(void **state)
{
	struct gz_patch p;

	(void)state;
	assert_int_equal(FIND(&p, SYSCALL6), -ENOEXEC);
	assert_int_equal(FIND_MOVES(&p, 12, SYSCALL6), 0);
	assert_int_equal(p.at, 0x400006);
	assert_int_equal(p.n, 2);
	assert_int_equal(p.inside, 1);
	/* what is before them does not matter */
	assert_int_equal(FIND_MOVES(&p, 13, "\xc3" SYSCALL6), 0);
	/* not with memory, not with a pop between, not with too few bytes */
	assert_int_equal(FIND_MOVES(&p, 6, "\x48\x89\x0e\x48\x89\xdf\x0f\x05"), -ENOEXEC);
	assert_int_equal(FIND_MOVES(&p, 7, "\x48\x89\xce\x5f\x48\x89\xdf\x0f\x05"), -ENOEXEC);
	assert_int_equal(FIND_MOVES(&p, 4, "\x89\xf2\x89\xdf\x0f\x05"), -ENOEXEC);
	/* three of two bytes */
	assert_int_equal(
	    FIND_MOVES(&p, 12, "\x90\x90\x90\x90\x90\x90\x89\xf2\x89\xdf\x89\xc6\x0f\x05"), 0);
	assert_int_equal(p.inside, 2);
	/* jumps to the second of them, from behind and from before: jmp, je */
	assert_int_equal(FIND_MOVES(&p, 12, SYSCALL6 "\xeb\xf9"), -ENOEXEC);
	assert_int_equal(FIND_MOVES(&p, 12, SYSCALL6 "\xeb\xf6"), 0);
	assert_int_equal(FIND_MOVES(&p, 14, "\x74\x09" SYSCALL6), -ENOEXEC);
	assert_int_equal(FIND_MOVES(&p, 14, "\x74\x06" SYSCALL6), 0);
	assert_int_equal(FIND_MOVES(&p, 12, SYSCALL6 "\x90\xe9\xf5\xff\xff\xff"), -ENOEXEC);
}

/* --- executed --------------------------------------------------------------- */

/*
 * mov $1, %eax; cmp %edi, value(%rip); je 1f; add $40, %eax; syscall; ret; 1: ret
 * The site's block is replaced by a `ret`.
 */
static void a_copy_does_the_same(void **state)
{
	static const uint8_t code[] = {
	    0xb8, 0x01, 0x00, 0x00, 0x00,		    /* mov $1, %eax */
	    0x81, 0x3d, 0xf1, 0x0f, 0x00, 0x00, 7, 0, 0, 0, /* cmpl $7, 4096(%rip) */
	    0x74, 0x06,					    /* je +6 */
	    0x83, 0xc0, 0x28,				    /* add $40, %eax */
	    0x0f, 0x05, 0xc3,				    /* syscall; ret */
	    0xb0, 0x63, 0xc3,				    /* mov $99, %al; ret */
	};
	const size_t site = 20;
	uint8_t *mem = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *island = mem + 2 * 4096;
	int (*run)(void) = (int (*)(void))mem;
	struct gz_patch p;
	int32_t *value;

	(void)state;
	assert_true(mem != MAP_FAILED);
	memcpy(mem, code, sizeof(code));
	value = (int32_t *)(mem + 15 + 0x0ff1);
	assert_int_equal(gz_patch_find(&p, mem, site, (uint64_t)(mem + site)), 0);
	/* the cmpl, with an operand that is relative, and the je after it */
	assert_int_equal(p.at, (uint64_t)mem + 5);
	assert_int_equal(p.n, 3);
	island[2000] = 0xc3;
	assert_true(gz_patch_island(&p, (uint64_t)island, (uint64_t)(island + 2000), island) > 0);
	assert_int_equal(gz_patch_jump(&p, (uint64_t)island, mem + 5), 0);
	*value = 7;
	assert_int_equal(run(), 99);
	*value = 8;
	assert_int_equal(run(), 41);
	munmap(mem, 3 * 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(refuses),
	    cmocka_unit_test(takes_the_nearest),
	    cmocka_unit_test(takes_moves_of_go),
	    cmocka_unit_test(a_copy_does_the_same),
	    cmocka_unit_test(nearly_all_of_libc),
	    cmocka_unit_test(nearly_all_of_busybox),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

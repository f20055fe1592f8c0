/* SPDX-License-Identifier: BSD-3-Clause
 *
 * go_site_test.c - The one site of a Go program: moves under a jump, and tiny stacks
 *
 * The child maps a file that says of itself what Go's linker writes, with the
 * instructions of Go's Syscall6.
 */
#include <asm/prctl.h>
#include <elf.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "unit/agent_child.h"

#define CODE 0x200
#define SITE (CODE + 12)
#define INSIDE (SITE - 3)

static const uint8_t syscall6[] = {
    0x49, 0x89, 0xf2, /* mov %rsi, %r10 */
    0x48, 0x89, 0xfa, /* mov %rdi, %rdx */
    0x48, 0x89, 0xce, /* mov %rcx, %rsi */
    0x48, 0x89, 0xdf, /* mov %rbx, %rdi */
    0x0f, 0x05, 0xc3, /* syscall; ret */
};

/*
 * As the child has it, and so have we, before fork().  Never unmapped: what our stack
 * still holds of the address would be found in the next child's.
 */
static uint8_t *file;

static void map_file(const char *note)
{
	struct {
		Elf64_Ehdr e;
		Elf64_Phdr p;
		Elf64_Nhdr n;
		char name[4], id[4];
	} head = {
	    .e = {.e_ident = ELFMAG, .e_phoff = sizeof(Elf64_Ehdr), .e_phnum = 1},
	    .p = {.p_type = PT_NOTE, .p_offset = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr)},
	    .n = {.n_namesz = 4, .n_descsz = 4, .n_type = 4},
	};
	int fd = memfd_create("go", MFD_CLOEXEC);

	head.p.p_filesz = sizeof(head) - head.p.p_offset;
	memcpy(head.name, note, 4);
	assert_int_equal(write(fd, &head, sizeof(head)), sizeof(head));
	assert_int_equal(pwrite(fd, syscall6, sizeof(syscall6), CODE), sizeof(syscall6));
	file = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	assert_true(file != MAP_FAILED);
	close(fd);
}

static int go_setup(void **state)
{
	map_file("Go\0");
	return setup(state);
}

static void lead_site(struct gz_tracee *t)
{
	uint64_t block;

	assert_int_equal(gz_inject_site(t, (uint64_t)file + SITE, &block), 0);
}

/* A call as Go makes it, with @sp as its stack: 0 for our own */
static int64_t call_at(uint64_t sp, long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	register uint64_t r8 __asm__("r8") = 0;
	register uint64_t r9 __asm__("r9") = 0;
	register uint64_t r12 __asm__("r12") = sp;
	register const void *r13 __asm__("r13") = file + CODE;
	int64_t r;

	/* Registers that Go does not expect to change, and no red zone of ours under it */
	__asm__ volatile("mov %%rsp, %%r15\n\t"
			 "test %%r12, %%r12\n\t"
			 "cmovne %%r12, %%rsp\n\t"
			 "lea -128(%%rsp), %%rsp\n\t"
			 "mov %%rsp, %%r14\n\t"
			 "call *%%r13\n\t"
			 "cmp %%r14, %%rsp\n\t"
			 "je 1f\n\t"
			 "ud2\n"
			 "1: mov %%r15, %%rsp"
			 : "=a"(r), "+b"(a), "+c"(b), "+D"(c), "+S"(d)
			 : "a"(nr), "r"(r8), "r"(r9), "r"(r12), "r"(r13)
			 : "r15", "rdx", "r10", "r11", "r14", "memory", "cc");
	return r;
}

static int64_t receive(uint64_t sp, char *buf, size_t n)
{
	return call_at(sp, SYS_recvfrom, (uint64_t)pair[0], (uint64_t)buf, n, MSG_DONTWAIT);
}

/* --- stacks ----------------------------------------------------------------- */

static _Atomic uint64_t *busy_word(unsigned i)
{
	return (_Atomic uint64_t *)(GZ_AGENT_STACKS + (uint64_t)i * GZ_STACK_SIZE + GZ_STACK_BUSY);
}

/* All of them, but each @free-th, if that is not 0 */
static void set_busy(bool busy, unsigned free)
{
	for (unsigned i = 0; i < GZ_STACKS; i++)
		atomic_store(busy_word(i), busy && (!free || i % free));
}

static unsigned count_busy(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < GZ_STACKS; i++)
		n += atomic_load(busy_word(i)) != 0;
	return n;
}

/* Of 300 threads at once those that find no stack are answered by the kernel. */
static void *use(void *arg)
{
	char buf[4];
	int64_t n =
	    call_at(0, SYS_recvfrom, (uint64_t)pair[0], (uint64_t)buf, 1, MSG_PEEK | MSG_DONTWAIT);

	CHECK(n == 1 && (buf[0] == 'r' || !buf[0]));
	atomic_fetch_add((_Atomic int *)arg, buf[0] == 'r');
	pause();
	return NULL;
}

/* 400 bytes are left: for three words, the red zone, and a return address */
static void run_on_tiny_stacks(void)
{
	uint8_t *page = mmap(NULL, 3 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t sp = (uint64_t)page + 4096 + 400 + 128;
	_Atomic int with_stack = 0;
	char buf[64];

	CHECK(page != MAP_FAILED && !mprotect(page + 4096, 4096, PROT_READ | PROT_WRITE));
	CHECK(receive(sp, buf, 2) == 2 && !memcmp(buf, "ab", 2));
	CHECK(call_at(sp, SYS_sendto, (uint64_t)pair[0], (uint64_t) "out", 3, 0) == 3);
	CHECK(!count_busy());
	/* None is free: the call is the kernel's, a token here. */
	set_busy(true, 0);
	CHECK(receive(sp, buf, 1) == 1 && !buf[0]);
	CHECK(receive(sp, buf, 1) == -EAGAIN);
	CHECK(count_busy() == GZ_STACKS);
	/* Few are. */
	set_busy(true, GZ_STACK_TRIES);
	CHECK(receive(sp, buf, 1) == 1 && buf[0] == 'c');
	CHECK(count_busy() == GZ_STACKS - GZ_STACKS / GZ_STACK_TRIES);
	set_busy(false, 0);
	CHECK(receive(sp, buf, 64) == 1 && buf[0] == 'd');
	/* Calls of files, and those that are not the agent's */
	CHECK(call_at(sp, SYS_getppid, 0, 0, 0, 0) == getppid());
	CHECK(call_at(sp, SYS_read, (uint64_t)-1, 0, 0, 0) == -EBADF);
	step_to(2);
	wait_step(3);
	for (int i = 0; i < 300; i++) {
		pthread_attr_t small;
		pthread_t t;

		pthread_attr_init(&small);
		pthread_attr_setstacksize(&small, 65536);
		CHECK(!pthread_create(&t, &small, use, (void *)&with_stack));
	}
	step_to(4);
	wait_step(5);
	CHECK(with_stack > 200 && !count_busy());
}

static void the_agent_has_stacks_of_its_own(void **state)
{
	pid_t pid;

	(void)state;
	publish();
	pid = start(run_on_tiny_stacks, lead_site);
	give("abcd");
	step_to(1);
	await_child(pid, 2);
	assert_memory_equal(gz_slot_tx(sh, 0), "out", 3);
	give("rest");
	step_to(3);
	await_child(pid, 4);
	usleep(50000);
	step_to(5);
	finish(pid);
}

/* --- what leads inside -------------------------------------------------------- */

static volatile uint64_t frame;

static void do_nothing(void)
{
}

static void lead_in_turns(struct gz_tracee *t)
{
	uint64_t site = (uint64_t)file + SITE, inside = (uint64_t)file + INSIDE, none = 0, block;
	uint64_t rip = t->borrowed->regs.rip;

	t->borrowed->regs.rip = inside;
	assert_int_equal(gz_inject_site(t, site, &block), -EAGAIN);
	t->borrowed->regs.rip = rip;
	assert_int_equal(gz_tracee_write(t, (uint64_t)&frame, &inside, 8), 0);
	assert_int_equal(gz_inject_site(t, site, &block), -EBUSY);
	assert_int_equal(gz_tracee_write(t, (uint64_t)&frame, &none, 8), 0);
	assert_int_equal(gz_inject_site(t, site, &block), 0);
}

static void nothing_must_lead_under_the_jump(void **state)
{
	pid_t pid;

	(void)state;
	pid = start(do_nothing, lead_in_turns);
	step_to(1);
	finish(pid);
}

static void refuse_site(struct gz_tracee *t)
{
	uint64_t block;

	assert_int_equal(gz_inject_site(t, (uint64_t)file + SITE, &block), -ENOEXEC);
}

static void only_go_has_such_sites(void **state)
{
	pid_t pid;

	(void)state;
	map_file("GNU");
	pid = start(do_nothing, refuse_site);
	step_to(1);
	finish(pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(the_agent_has_stacks_of_its_own, go_setup, teardown),
	    cmocka_unit_test_setup_teardown(nothing_must_lead_under_the_jump, go_setup, teardown),
	    cmocka_unit_test_setup_teardown(only_go_has_such_sites, go_setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

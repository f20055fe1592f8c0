/* SPDX-License-Identifier: BSD-3-Clause
 *
 * entry.S - Where a patched site arrives
 *
 * A site block has put its own address into rcx; rcx and r11 are all that may be
 * used, for they are what `syscall` itself destroys.  A descriptor that is a file
 * reaches the block's own `syscall` without touching the stack.  A call that may be
 * ours skips the red zone first: from then on a signal handler is harmless.
 *
 * A site of a Go program comes to agent_entry_go: a goroutine's stack may have a few
 * hundred bytes left, so that the agent runs on one of its own.  rsp is never
 * anything but a stack, for a signal may come at any instruction; a stack is busy
 * until rsp has left it.  Who finds none that is free traps.  Go's handlers run on an
 * alternate stack with all signals blocked: that they leave it for one of these is harmless.
 *
 * Leaving is by jumps only, so that no shadow stack disagrees.
 */
#include <sys/syscall.h>

#include "launcher/agent/abi.h"

/* Go on if the call may be ours; else it is native or traps. */
.macro	if_ours
	cmp	$GZ_NR_MAX - 1, %rax
	ja	native
	mov	nrtab(%rip), %r11
	movzbl	(%r11, %rax), %r11d
	cmp	$GZ_NR_TRAP, %r11d
	je	trap
	cmp	$GZ_NR_DATA, %r11d
	jb	native
	ja	1f
	mov	%edi, %r11d
	cmp	$GZ_FD_MAX, %r11d
	jae	1f
	shl	$3, %r11
	add	fdtab(%rip), %r11
	cmpw	$GZ_FD_FILE, (%r11)
	je	native
1:
.endm

/* From where C has a number and six arguments to where a system call has them. */
.macro	call_arguments
	mov	%rdi, %rax
	mov	%rsi, %rdi
	mov	%rdx, %rsi
	mov	%rcx, %rdx
	mov	%r8, %r10
	mov	%r9, %r8
	mov	8(%rsp), %r9
.endm

/* What gz_agent() answers is in r11d then, the registers are as they came. */
.macro	call_agent
	push	%rbp
	mov	%rsp, %rbp
	push	%rcx
	push	%rdi
	push	%rsi
	push	%rdx
	push	%r10
	push	%r8
	push	%r9
	push	%rax
	mov	%rsp, %rdi
	and	$-16, %rsp
	cld
	call	gz_agent
	lea	-64(%rbp), %rsp
	mov	%eax, %r11d
	pop	%rax
	pop	%r9
	pop	%r8
	pop	%r10
	pop	%rdx
	pop	%rsi
	pop	%rdi
	pop	%rcx
	pop	%rbp
.endm

	.section .head, "ax", @progbits
	.globl _start
_start:
	syscall
	int3
	.org	GZ_AGENT_ENTRY - GZ_AGENT_BASE, 0xcc
	jmp	agent_entry

/* int64_t gz_sleep(long nr, a, b, c, d, e, f): a system call that may wait */
	.balign 16, 0xcc
	.globl gz_sleep
	.hidden gz_sleep
gz_sleep:
	call_arguments
	jmp	1f
	.org	GZ_AGENT_SLEPT - GZ_AGENT_BASE - 2, 0xcc
1:	syscall
	ret

/* int64_t gz_trap(long nr, a, b, c, d, e, f): the same where it traps */
	.balign 16, 0xcc
	.globl gz_trap
	.hidden gz_trap
gz_trap:
	call_arguments
	jmp	*ask(%rip)

/* int64_t gz_ask(uint64_t what): getsockopt() where it traps */
	.balign 16, 0xcc
	.globl gz_ask
	.hidden gz_ask
gz_ask:
	mov	$-1, %rsi
	xor	%edx, %edx
	xor	%ecx, %ecx
	xor	%r8d, %r8d
	/* int64_t gz_ask_about(uint64_t what, fd, id, name, len) */
	.globl gz_ask_about
	.hidden gz_ask_about
gz_ask_about:
	mov	%r8, %r9
	mov	%rcx, %r8
	mov	%rdx, %r10
	mov	%rdi, %rdx
	mov	%rsi, %rdi
	mov	$SYS_getsockopt, %eax
	mov	$GZ_SOL_AGENT, %esi
	jmp	*ask(%rip)

	.balign 16, 0xcc
	.globl agent_entry
agent_entry:
	if_ours
	lea	-128(%rsp), %rsp	/* the red zone */
	call_agent
	lea	128(%rsp), %rsp
	cmp	$1, %r11d
	je	native
	ja	trap
	jmp	*GZ_SITE_AFTER(%rcx)
trap:
	jmp	*GZ_SITE_TRAP(%rcx)
native:
	lea	GZ_SITE_NATIVE(%rcx), %rcx
	jmp	*%rcx

	.balign 8
nrtab:	.quad	GZ_AGENT_NRTAB
fdtab:	.quad	GZ_FD_TABLE
stacks:	.quad	GZ_AGENT_STACKS
ask:	.quad	GZ_AGENT_ASK

#define SAVED 32

	.org	GZ_AGENT_ENTRY_GO - GZ_AGENT_BASE, 0xcc
	.globl agent_entry_go
agent_entry_go:
	if_ours
	lea	-128 - SAVED(%rsp), %rsp
	mov	%rax, (%rsp)
	mov	%rdx, 8(%rsp)
	mov	%rcx, 16(%rsp)
	mov	%rsi, 24(%rsp)

	/* The first that is free of those that this processor begins with, warm in its cache. */
	mov	$GZ_CPU_SELECTOR, %ecx
	lsl	%ecx, %ecx
	imul	$GZ_STACKS_APART, %ecx, %ecx
	mov	$GZ_STACK_TRIES, %esi
	mov	$1, %r11d
1:	and	$GZ_STACKS - 1, %ecx
	mov	%ecx, %edx
	imul	$GZ_STACK_SIZE, %rdx, %rdx
	add	stacks(%rip), %rdx
	xor	%eax, %eax
	lock cmpxchg %r11, GZ_STACK_BUSY(%rdx)
	je	2f
	inc	%ecx
	dec	%esi
	jnz	1b
	jmp	no_stack

2:	lea	GZ_STACK_SIZE - 16(%rdx), %r11
	mov	%rsp, (%r11)
	mov	%rdx, 8(%r11)
	mov	(%rsp), %rax
	mov	8(%rsp), %rdx
	mov	16(%rsp), %rcx
	mov	24(%rsp), %rsi
	mov	%r11, %rsp
	call_agent
	cmp	$1, %r11d
	mov	8(%rsp), %r11
	mov	(%rsp), %rsp
	movq	$0, GZ_STACK_BUSY(%r11)
	lea	128 + SAVED(%rsp), %rsp
	je	native
	ja	trap
	jmp	*GZ_SITE_AFTER(%rcx)
no_stack:
	mov	(%rsp), %rax
	mov	8(%rsp), %rdx
	mov	16(%rsp), %rcx
	mov	24(%rsp), %rsi
	lea	128 + SAVED(%rsp), %rsp
	jmp	trap
	.section .note.GNU-stack, "", @progbits

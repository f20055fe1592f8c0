/* SPDX-License-Identifier: BSD-3-Clause
 *
 * entry.S - Where a patched site arrives
 *
 * A site block has put its own address into rcx; rcx and r11 are all that may be
 * used, for they are what `syscall` itself destroys.  A descriptor that is a file
 * reaches the block's own `syscall` without touching the stack.  A call that may be
 * ours skips the red zone first: from then on a signal handler is harmless.
 *
 * Leaving is by jumps only, so that no shadow stack disagrees.
 */
#include "launcher/agent/abi.h"

	.section .head, "ax", @progbits
	.globl _start
_start:
	syscall
	int3
	.balign 16
	.globl agent_entry
agent_entry:
	cmp	$GZ_NR_MAX - 1, %rax
	ja	native
	mov	nrtab(%rip), %r11
	movzbl	(%r11, %rax), %r11d
	cmp	$GZ_NR_DATA, %r11d
	jb	native
	ja	not_data
	mov	%edi, %r11d
	cmp	$GZ_FD_MAX, %r11d
	jae	ours
	shl	$3, %r11
	add	fdtab(%rip), %r11
	cmpw	$GZ_FD_FILE, (%r11)
	je	native
ours:
	lea	-128(%rsp), %rsp	/* the red zone */
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
	lea	128(%rsp), %rsp
	cmp	$1, %r11d
	je	native
	ja	trap
	jmp	*GZ_SITE_AFTER(%rcx)
not_data:
	cmp	$GZ_NR_CLOSE, %r11d
	je	ours
trap:
	jmp	*GZ_SITE_TRAP(%rcx)
native:
	lea	GZ_SITE_NATIVE(%rcx), %rcx
	jmp	*%rcx

	.balign 8
nrtab:	.quad	GZ_AGENT_NRTAB
fdtab:	.quad	GZ_FD_TABLE
	.section .note.GNU-stack, "", @progbits

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * bare.h - A system call from a place that no jump has room at
 */
#ifndef GZ_TEST_BARE_H
#define GZ_TEST_BARE_H

/* Return: as the kernel, -errno */
static inline long bare_call(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;

	__asm__ volatile("jmp 1f\n\t"
			 ".fill 64, 1, 0x90\n"
			 "1:\tsyscall"
			 : "+a"(nr)
			 : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return nr;
}

#endif

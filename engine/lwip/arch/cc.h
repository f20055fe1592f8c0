/* SPDX-License-Identifier: BSD-3-Clause
 *
 * cc.h - Compiler and platform for lwIP
 */
#ifndef GZ_LWIP_CC_H
#define GZ_LWIP_CC_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

#define LWIP_TIMEVAL_PRIVATE 0
#define LWIP_ERRNO_STDINCLUDE 1

unsigned gz_rand(void);
#define LWIP_RAND() gz_rand()

/* Builtins: 16 % of the cost of a received segment was byte swapping calls. */
#define lwip_htons(x) __builtin_bswap16(x)
#define lwip_htonl(x) __builtin_bswap32(x)

void gz_lwip_assert(const char *what, const char *file, int line) __attribute__((noreturn));
#define LWIP_PLATFORM_DIAG(x)                                                                      \
	do {                                                                                       \
		printf x;                                                                          \
	} while (0)
#define LWIP_PLATFORM_ASSERT(x) gz_lwip_assert(x, __FILE__, __LINE__)

#define SYS_ARCH_DECL_PROTECT(l)
#define SYS_ARCH_PROTECT(l)
#define SYS_ARCH_UNPROTECT(l)

#endif

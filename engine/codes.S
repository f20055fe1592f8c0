/* SPDX-License-Identifier: BSD-3-Clause
 *
 * codes.S - gz_codes[]: the copies of the workers' code, gz_code_0 and so on
 */
#include "engine/codes.h"

	.altmacro
	.macro code n
	.quad gz_code_\n
	.endm

	.section .data.rel.ro, "aw"
	.globl gz_codes
	.balign 8
gz_codes:
	.set i, 0
	.rept GZ_WORKERS_MAX
	code %i
	.set i, i + 1
	.endr
	.type gz_codes, @object
	.size gz_codes, . - gz_codes

	.section .note.GNU-stack, "", @progbits

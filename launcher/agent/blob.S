/* SPDX-License-Identifier: BSD-3-Clause
 *
 * blob.S - The agent's image, as a part of gazelle-run
 */
	.section .rodata
	.globl gz_agent_image
	.globl gz_agent_image_end
gz_agent_image:
	.incbin AGENT_BIN
gz_agent_image_end:
	.section .note.GNU-stack, "", @progbits

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * patch.c - How a `syscall` instruction is led to the agent
 *
 * Theory of operation.
 *
 *	the program		near island		site block, in the region
 *	P: jmp island		copy of P's insn	lea block, %rcx
 *	   mov ...		copy of mov ...		jmp agent_entry
 *	S: syscall		jmp block		...
 *	   cmp ...				 <---	jmp *(S + 2)
 *
 * The `syscall` itself stays: threads that are in the kernel there, signal frames
 * that lead there, restarts and jumps right to it all find it.  They trap, which
 * is correct, and slow.  Only the one instruction at P changes, so that a thread is
 * before or after it.
 *
 * x86 cannot be decoded backwards.  Decoding from several places before the site
 * soon falls into step; what most of them say counts.  All 985 sites of six
 * libraries and programs came out right.
 */
#include "launcher/patch.h"

#include <Zydis/Zydis.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "launcher/agent/abi.h"

static void decoder(ZydisDecoder *d)
{
	ZydisDecoderInit(d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
}

/* Can it be copied elsewhere?  What leaves the straight line cannot, but for Jcc. */
static bool is_movable(const ZydisDecodedInstruction *z)
{
	switch (z->meta.category) {
	case ZYDIS_CATEGORY_CALL:
	case ZYDIS_CATEGORY_RET:
	case ZYDIS_CATEGORY_UNCOND_BR:
	case ZYDIS_CATEGORY_INTERRUPT:
	case ZYDIS_CATEGORY_SYSCALL:
	case ZYDIS_CATEGORY_SYSRET:
	case ZYDIS_CATEGORY_SYSTEM:
		return false;
	case ZYDIS_CATEGORY_COND_BR: /* a counted jump has no long form */
		return (z->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && z->opcode >> 4 == 7) ||
		       (z->opcode_map == ZYDIS_OPCODE_MAP_0F && z->opcode >> 4 == 8);
	default:
		/* hlt and ud2 end functions: what follows is another's. */
		if (z->mnemonic == ZYDIS_MNEMONIC_HLT || z->mnemonic == ZYDIS_MNEMONIC_UD2)
			return false;
		return !(z->attributes & ZYDIS_ATTRIB_IS_RELATIVE) || z->raw.disp.size == 32;
	}
}

/*
 * Decode from @from to the end of @p->code.  Return: where the instruction to be
 * displaced starts; -1, there is none; -2, this was out of step.
 */
static int decode(const ZydisDecoder *d, struct gz_patch *p, unsigned from)
{
	ZydisDecodedInstruction z;
	int pick = -1;

	p->n = 0;
	while (from < GZ_PATCH_BACK) {
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(d, NULL, p->code + from,
								GZ_PATCH_BACK - from, &z)))
			return -2;
		if (!is_movable(&z)) {
			pick = -1;
			p->n = 0;
		} else if (z.meta.category != ZYDIS_CATEGORY_COND_BR &&
			   z.length >= GZ_PATCH_BYTES) {
			pick = (int)from;
			p->n = 0;
		}
		if (pick >= 0) {
			if (p->n == GZ_PATCH_INSNS)
				return -1;
			p->start[p->n++] = (uint8_t)from;
		}
		from += z.length;
	}
	return pick;
}

int gz_patch_find(struct gz_patch *p, const uint8_t *code, size_t back, uint64_t site)
{
	int said[GZ_PATCH_STARTS], votes = 0, voters = 0, best = -1;
	ZydisDecoder d;
	unsigned first;

	if (back > GZ_PATCH_BACK || code[back] != 0x0f || code[back + 1] != 0x05)
		return -EINVAL;
	first = GZ_PATCH_BACK - (unsigned)back;
	memset(p, 0, sizeof(*p));
	memcpy(p->code + first, code, back);
	p->site = site;
	decoder(&d);
	for (unsigned k = 0; k < GZ_PATCH_STARTS && first + k < GZ_PATCH_BACK; k++) {
		int n = 0, pick = decode(&d, p, first + k);

		if (pick == -2)
			continue;
		said[voters++] = pick;
		for (int i = 0; i < voters; i++)
			n += said[i] == pick;
		if (n > votes) {
			votes = n;
			best = pick;
		}
	}
	if (best < 0 || decode(&d, p, (unsigned)best) != best)
		return -ENOEXEC;
	p->votes = (unsigned)voters;
	p->at = site - (GZ_PATCH_BACK - (unsigned)best);
	return 0;
}

static int put32(uint8_t *out, int64_t v)
{
	int32_t w = (int32_t)v;

	if (w != v)
		return -ERANGE;
	memcpy(out, &w, sizeof(w));
	return 0;
}

/* Copy one instruction from address @from to @to.  Return: its length there, or -ERANGE */
static int move(const ZydisDecoder *d, const uint8_t *code, size_t room, uint64_t from, uint64_t to,
		uint8_t *out)
{
	ZydisDecodedInstruction z;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	uint64_t target;

	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(d, code, room, &z, op)))
		return -ERANGE;
	if (z.meta.category == ZYDIS_CATEGORY_COND_BR) {
		ZydisCalcAbsoluteAddress(&z, &op[0], from, &target);
		out[0] = 0x0f;
		out[1] = 0x80 | (z.opcode & 15);
		return put32(out + 2, (int64_t)(target - (to + 6))) ? -ERANGE : 6;
	}
	memcpy(out, code, z.length);
	if (!(z.attributes & ZYDIS_ATTRIB_IS_RELATIVE))
		return z.length;
	target = from + z.length + (uint64_t)z.raw.disp.value;
	return put32(out + z.raw.disp.offset, (int64_t)(target - (to + z.length))) ? -ERANGE
										   : z.length;
}

int gz_patch_island(const struct gz_patch *p, uint64_t island, uint64_t block, uint8_t *out)
{
	static const uint8_t jump[] = {0xff, 0x25, 0, 0, 0, 0}; /* jmp *0(%rip) */
	ZydisDecoder d;
	int len = 0;

	decoder(&d);
	for (unsigned i = 0; i < p->n; i++) {
		unsigned at = p->start[i];
		int n;

		if (len + 15 + 14 > GZ_ISLAND_MAX)
			return -ERANGE;
		n = move(&d, p->code + at, GZ_PATCH_BACK - at, p->site - (GZ_PATCH_BACK - at),
			 island + (unsigned)len, out + len);
		if (n < 0)
			return n;
		len += n;
	}
	memcpy(out + len, jump, sizeof(jump));
	memcpy(out + len + sizeof(jump), &block, sizeof(block));
	return len + (int)(sizeof(jump) + sizeof(block));
}

int gz_patch_jump(const struct gz_patch *p, uint64_t island, uint8_t out[GZ_PATCH_BYTES])
{
	out[0] = 0xe9;
	return put32(out + 1, (int64_t)(island - (p->at + GZ_PATCH_BYTES)));
}

void gz_patch_block(uint64_t site, uint64_t block, uint8_t *out)
{
	uint64_t after = site + 2;

	memset(out, 0xcc, GZ_SITE_SIZE);
	memcpy(out, (const uint8_t[]){0x48, 0x8d, 0x0d}, 3); /* lea -7(%rip), %rcx */
	put32(out + 3, -7);
	out[7] = 0xe9; /* jmp agent_entry: both are in the region */
	put32(out + 8, (int64_t)(GZ_AGENT_ENTRY - (block + 12)));
	memcpy(out + GZ_SITE_NATIVE, (const uint8_t[]){0x0f, 0x05, 0xff, 0x25}, 4);
	put32(out + GZ_SITE_NATIVE + 4, GZ_SITE_AFTER - (GZ_SITE_NATIVE + 8));
	memcpy(out + GZ_SITE_AFTER, &after, sizeof(after));
	memcpy(out + GZ_SITE_TRAP, &site, sizeof(site));
}

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
 * Go's one site for all calls of its packages has only moves between registers before
 * it, of three bytes each: there the jump takes the place of two.
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

/*
 * The same for moves between registers: those at the end that are as long as the jump.
 */
static int decode_moves(const ZydisDecoder *d, struct gz_patch *p, unsigned from)
{
	ZydisDecodedInstruction z;
	unsigned n = 0;

	while (from < GZ_PATCH_BACK) {
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(d, NULL, p->code + from,
								GZ_PATCH_BACK - from, &z)))
			return -2;
		if (z.mnemonic != ZYDIS_MNEMONIC_MOV || (z.opcode != 0x89 && z.opcode != 0x8b) ||
		    z.raw.modrm.mod != 3)
			n = 0;
		else if (n == GZ_PATCH_INSNS)
			return -1;
		else
			p->start[n++] = (uint8_t)from;
		from += z.length;
	}
	while (n > 1 && GZ_PATCH_BACK - p->start[1] >= GZ_PATCH_BYTES)
		memmove(p->start, p->start + 1, --n);
	p->n = n;
	return n && GZ_PATCH_BACK - p->start[0] >= GZ_PATCH_BYTES ? p->start[0] : -1;
}

typedef int decode_fn(const ZydisDecoder *d, struct gz_patch *p, unsigned from);

/* What most decodings say.  @start: of one that says so, may be NULL */
static int vote(const ZydisDecoder *d, struct gz_patch *p, const uint8_t *code, size_t back,
		uint64_t site, decode_fn *fn, unsigned *start)
{
	int said[GZ_PATCH_STARTS], votes = 0, voters = 0, best = -1;
	unsigned first;

	if (back > GZ_PATCH_BACK || code[back] != 0x0f || code[back + 1] != 0x05)
		return -EINVAL;
	first = GZ_PATCH_BACK - (unsigned)back;
	memset(p, 0, sizeof(*p));
	memcpy(p->code + first, code, back);
	p->site = site;
	for (unsigned k = 0; k < GZ_PATCH_STARTS && first + k < GZ_PATCH_BACK; k++) {
		int n = 0, pick = fn(d, p, first + k);

		if (pick == -2)
			continue;
		said[voters++] = pick;
		for (int i = 0; i < voters; i++)
			n += said[i] == pick;
		if (n > votes) {
			votes = n;
			if (pick != best && start)
				*start = first + k;
			best = pick;
		}
	}
	if (best < 0 || fn(d, p, (unsigned)best) != best)
		return -ENOEXEC;
	p->votes = (unsigned)voters;
	p->at = site - (GZ_PATCH_BACK - (unsigned)best);
	for (unsigned i = 1; i < p->n; i++)
		p->inside += p->start[i] < best + GZ_PATCH_BYTES;
	return 0;
}

int gz_patch_find(struct gz_patch *p, const uint8_t *code, size_t back, uint64_t site)
{
	ZydisDecoder d;

	decoder(&d);
	return vote(&d, p, code, back, site, decode, NULL);
}

/* Does a jump among the @n bytes at @addr lead under ours? */
static bool leads_inside(const ZydisDecoder *d, const struct gz_patch *p, const uint8_t *code,
			 size_t n, uint64_t addr)
{
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction z;
	uint64_t target;

	for (size_t at = 0; at < n; at += z.length) {
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(d, code + at, n - at, &z, op)))
			return false;
		if (z.attributes & ZYDIS_ATTRIB_IS_RELATIVE && z.operand_count &&
		    op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
		    ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&z, &op[0], addr + at, &target)) &&
		    target > p->at && target < p->at + GZ_PATCH_BYTES)
			return true;
	}
	return false;
}

int gz_patch_find_moves(struct gz_patch *p, const uint8_t *code, size_t back, size_t after,
			uint64_t site)
{
	unsigned start = 0;
	ZydisDecoder d;
	int rc;

	decoder(&d);
	rc = vote(&d, p, code, back, site, decode_moves, &start);
	if (rc)
		return rc;
	if (leads_inside(&d, p, p->code + start, GZ_PATCH_BACK - start,
			 site - (GZ_PATCH_BACK - start)) ||
	    leads_inside(&d, p, code + back + 2, after, site + 2))
		return -ENOEXEC;
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

void gz_patch_block(const struct gz_patch *p, uint64_t island, uint64_t block, uint64_t entry,
		    uint8_t *out)
{
	struct gz_agent_block b = {
	    .after = p->site + 2,
	    .trap = p->site,
	    .at = p->at,
	    .island = island,
	};

	memset(b.code, 0xcc, sizeof(b.code));
	memcpy(b.was, p->code + p->start[0], GZ_SITE_JUMP);
	memcpy(b.code, (const uint8_t[]){0x48, 0x8d, 0x0d}, 3); /* lea -7(%rip), %rcx */
	put32(b.code + 3, -7);
	b.code[7] = 0xe9; /* jmp entry: both are in the region */
	put32(b.code + 8, (int64_t)(entry - (block + 12)));
	memcpy(b.code + GZ_SITE_NATIVE, (const uint8_t[]){0x0f, 0x05, 0xff, 0x25}, 4);
	put32(b.code + GZ_SITE_NATIVE + 4, GZ_SITE_AFTER - (GZ_SITE_NATIVE + 8));
	memcpy(out, &b, sizeof(b));
}

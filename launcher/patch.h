/* SPDX-License-Identifier: BSD-3-Clause
 *
 * patch.h - How a `syscall` instruction is led to the agent
 *
 * No process is touched here: bytes in, bytes out.  inject.c does the rest.
 */
#ifndef GZ_LAUNCHER_PATCH_H
#define GZ_LAUNCHER_PATCH_H

#include <stddef.h>
#include <stdint.h>

#include "launcher/agent/abi.h"

#define GZ_PATCH_BACK 80 /* bytes before the site that are looked at */
#define GZ_PATCH_AFTER 128
#define GZ_PATCH_BYTES GZ_SITE_JUMP
#define GZ_ISLAND_MAX 160 /* bytes that one site takes of an island */
#define GZ_PATCH_INSNS 32
#define GZ_PATCH_STARTS 24

/** What is to be displaced: the instruction at @at; the copy ends at the site. */
struct gz_patch {
	uint64_t site, at;
	uint8_t code[GZ_PATCH_BACK];   /* what is before the site, its last byte last */
	unsigned votes;		       /* of GZ_PATCH_STARTS decodings that led to the site */
	unsigned inside;	       /* instructions that begin under the jump, but at @at */
	unsigned n;		       /* instructions from @at to the site */
	uint8_t start[GZ_PATCH_INSNS]; /* of each, in @code */
};

/**
 * gz_patch_find() - Choose the instruction before a site that gives way to a jump
 * @p:		Filled
 * @code:	@back bytes that precede the site, and the two at it
 * @back:	At most GZ_PATCH_BACK
 * @site:	Address of the `syscall`
 *
 * One instruction of at least five bytes, with nothing between it and the `syscall`
 * but what can be copied: so no jump leads inside of what changes, and no thread can be
 * there.  Return: 0; -ENOEXEC, there is none; -EINVAL, it is no `syscall`.
 */
int gz_patch_find(struct gz_patch *p, const uint8_t *code, size_t back, uint64_t site);

/**
 * gz_patch_find_moves() - The same for a site with nothing but short moves before it
 * @code:	@back bytes that precede the site, the two at it, and @after that follow
 *
 * The last of them that make five bytes, all between registers.  What follows the first
 * is under the jump (@p->inside): it may be written only while no thread is there and no
 * saved frame leads there (frames.h).  That no jump leads there is looked for nearby.
 *
 * Return: as gz_patch_find().
 */
int gz_patch_find_moves(struct gz_patch *p, const uint8_t *code, size_t back, size_t after,
			uint64_t site);

/**
 * gz_patch_island() - Make the copy, for address @island, which ends in a jump to @block
 * @out:	GZ_ISLAND_MAX bytes
 *
 * Return: its length; -ERANGE, the island is too far away for what is copied.
 */
int gz_patch_island(const struct gz_patch *p, uint64_t island, uint64_t block, uint8_t *out);

/** gz_patch_jump() - The bytes for @p->at.  Return: 0 or -ERANGE */
int gz_patch_jump(const struct gz_patch *p, uint64_t island, uint8_t out[GZ_PATCH_BYTES]);

/**
 * gz_patch_block() - The site's block, at address @block: GZ_SITE_SIZE bytes (agent/abi.h)
 * @entry:	Of the agent, GZ_AGENT_ENTRY or another
 */
void gz_patch_block(const struct gz_patch *p, uint64_t island, uint64_t block, uint64_t entry,
		    uint8_t *out);

#endif

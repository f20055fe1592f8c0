/* SPDX-License-Identifier: BSD-3-Clause
 *
 * wait.c - To spin before one sleeps
 *
 * Theory of operation.  To wake a thread costs some 25 microseconds where its core went
 * to sleep, and a sleeper's token two system calls more.  So one looks at the memory for
 * a while first, and lets others have the core between two looks: here the other ends
 * of the connection, and the worker, may need the same one.  Where that has not paid
 * lately, or somebody who computes takes the core for whole slices of time, one sleeps
 * at once, and is woken as any other thread.
 */
#include <sys/syscall.h>

#include "launcher/agent/agent.h"

#define PAUSES 4 /* looks until one yields */
#define LUCK_MAX 16
#define LUCK_LOST 4	 /* for a spin in vain */
#define RETRY 16	 /* one in so many is tried all the same */
#define HOG_US 400	 /* yields that long ... */
#define HOG_ROW 3	 /* ... so many in a row: the core is taken */
#define HOG_REST_US 4000 /* so long one does not spin then, at first; twice as long each time */
#define HOG_REST_MAX_US 500000

void spin_begin(struct spin *sp)
{
	uint64_t budget = __atomic_load_n(&SH->spin, __ATOMIC_RELAXED);
	int32_t luck = __atomic_load_n(&PRIV->luck, __ATOMIC_RELAXED);

	sp->start = tsc();
	if (sp->start < PRIV->hog || __atomic_load_n(&PRIV->spinners, __ATOMIC_RELAXED) ||
	    (luck < 0 && sp->start / 64 % RETRY))
		budget = 0;
	sp->end = sp->start + budget;
	if (budget)
		__atomic_fetch_add(&PRIV->spinners, 1, __ATOMIC_RELAXED);
}

bool spin_more(struct spin *sp)
{
	uint64_t before, after;

	if (sp->end == sp->start)
		return false;
	for (int i = 0; i < PAUSES; i++)
		__builtin_ia32_pause();
	before = tsc();
	if (before >= sp->end)
		return false;
	call(SYS_sched_yield, 0, 0, 0, 0);
	after = tsc();
	if (after - before < (uint64_t)HOG_US * SH->mhz) {
		__atomic_store_n(&PRIV->hog_row, 0, __ATOMIC_RELAXED);
	} else if (__atomic_add_fetch(&PRIV->hog_row, 1, __ATOMIC_RELAXED) >= HOG_ROW) {
		uint32_t rest = 2 * PRIV->hog_us;

		rest = rest < HOG_REST_US ? HOG_REST_US : rest;
		PRIV->hog_us = rest > HOG_REST_MAX_US ? HOG_REST_MAX_US : rest;
		PRIV->hog = after + (uint64_t)PRIV->hog_us * SH->mhz;
		PRIV->hog_row = 0;
		return false;
	}
	return true;
}

void spin_end(struct spin *sp, bool found)
{
	int32_t luck = __atomic_load_n(&PRIV->luck, __ATOMIC_RELAXED);

	if (sp->end == sp->start)
		return;
	/* Whoever it was is gone: long after, and it has not come back. */
	if (PRIV->hog_us && sp->start - PRIV->hog < 1ULL << 62 &&
	    sp->start - PRIV->hog > (uint64_t)PRIV->hog_us * SH->mhz)
		PRIV->hog_us = 0;
	luck += found ? 1 : -LUCK_LOST;
	if (luck > LUCK_MAX)
		luck = LUCK_MAX;
	if (luck < -1)
		luck = -1;
	__atomic_store_n(&PRIV->luck, luck, __ATOMIC_RELAXED);
	__atomic_fetch_sub(&PRIV->spinners, 1, __ATOMIC_RELAXED);
}

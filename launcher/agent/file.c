/* SPDX-License-Identifier: BSD-3-Clause
 *
 * file.c - sendfile(): from the kernel's pages into the ring
 *
 * pread() reads into the tx ring, and what it has read is committed.  A file that has no
 * positions is not for the agent.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "launcher/agent/agent.h"

#define PART 16384 /* bytes; the worker begins with the first while the next is read */

/* Return: bytes; 0: no room; -1: not in the ring; *@rc: the file's end (0), or its error */
static int64_t send_part(const struct io *io, int in, int64_t at, uint64_t len, int64_t *rc)
{
	struct gz_slot *s = io->s;
	uint64_t tail, room, offset;
	struct ring r;

	*rc = 1;
	if (__atomic_load_n(&s->tx_plane, __ATOMIC_ACQUIRE) != GZ_PLANE_RING)
		return -1;
	if (!lock(&s->tx_lock)) {
		*rc = 0;
		return -1;
	}
	r = tx_ring(s);
	tail = __atomic_load_n(r.tail, __ATOMIC_RELAXED);
	room = tail & GZ_RING_CLOSED ? 0 : tx_room(s);
	if (len > room)
		len = room;
	if (len > PART)
		len = PART;
	if (len && r.is_lane)
		r.base = lane_base(&r.lane, tail);
	offset = ring_at(&r, tail);
	if (len > r.size - offset)
		len = r.size - offset;
	if (len) {
		*rc = call(SYS_pread64, (uint64_t)in, (uint64_t)r.data + offset, len, (uint64_t)at);
		len = *rc > 0 ? (uint64_t)*rc : 0;
	}
	if (tail & GZ_RING_CLOSED ||
	    (len && !__atomic_compare_exchange_n(r.tail, &tail, tail + len, false, __ATOMIC_SEQ_CST,
						 __ATOMIC_RELAXED))) {
		unlock(&s->tx_lock);
		return -1;
	}
	if (len)
		tx_told(io, &r);
	unlock(&s->tx_lock);
	return (int64_t)len;
}

/* Where to begin.  Return: below 0, it is the kernel's to say why not */
static int64_t first_of(const struct regs *r, int in)
{
	if (r->rdx)
		return is_memory(r->rdx, sizeof(int64_t), MAY_WRITE) ? *(const int64_t *)r->rdx
								     : -1;
	return call(SYS_lseek, (uint64_t)in, 0, SEEK_CUR, 0);
}

int send_file(struct io *io)
{
	const struct regs *r = io->r;
	int in = (int)r->rsi;
	uint64_t sent = 0, len = r->r10;
	int64_t first, n = 0, rc = 1;

	if (lookup((uint32_t)in) != NOT_OURS || !len || (first = first_of(r, in)) < 0)
		return TRAP;
	while (sent < len && rc > 0) {
		wait_pause(io);
		n = send_part(io, in, first + (int64_t)sent, len - sent, &rc);
		if (n > 0) {
			sent += (uint64_t)n;
			continue;
		}
		if (n == -1 && is_moving(io->s, false))
			continue;
		if (n < 0 || rc <= 0)
			break;
		n = __atomic_load_n(&io->s->nonblock, __ATOMIC_RELAXED) ? no_room(io->s, 1)
									: await_room(io, 1);
		if (n < 0)
			break;
	}
	/* Nothing was done: the kernel can do it all, or say why not. */
	if (!sent && (rc < 0 || n == -1))
		return TRAP;
	io->r->rax = sent ? (int64_t)sent : n;
	if (sent && r->rdx)
		*(int64_t *)r->rdx = first + (int64_t)sent;
	else if (sent)
		call(SYS_lseek, (uint64_t)in, (uint64_t)first + sent, SEEK_SET, 0);
	return DONE;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * urgent.c - TCP's urgent data (RFC 9293 3.8.5, RFC 6093, tcp(7))
 *
 * Theory of operation.  To a program urgent data is one byte.  lwIP knows nothing of
 * it; but it is only a mark in the stream, which segment.c sets and sees.
 *
 * Received, the byte is put into the shadow with MSG_OOB, which AF_UNIX has known since
 * Linux 5.15 with what belongs to it: SO_OOBINLINE, SIOCATMARK, POLLPRI, SIGURG, and
 * reads that stop before the mark.  All of that is native.  TCP announces the byte before
 * it is there, AF_UNIX does not: the program hears of it when it is.  One that another
 * overtakes is data like any other, with both.
 *
 * To be sent, it must be behind all that the program wrote before and before what it
 * writes after.  Marks do not survive the relay's peeking.  So send() with MSG_OOB is
 * parked, the worker takes all that lies in the shadow, puts the byte behind it and
 * answers the call.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/calls.h"
#include "engine/client.h"
#include "engine/counters.h"
#include "engine/service.h"
#include "engine/shadow.h"
#include "engine/urgent.h"
#include "engine/worker.h"

#define POINTER_MAX 0x20000 /* bytes ahead that a pointer may point */

/* --- sending ------------------------------------------------------------- */

int64_t gz_urgent_call(struct gz_call_ctx *c, const char *data, size_t n, int flags)
{
	bool wait = !(flags & MSG_DONTWAIT) && !(gz_file_flags(c->fd) & O_NONBLOCK);
	struct gz_sock *s = c->s;
	struct gz_msg m = {.op = GZ_OP_URGENT, .sock = s, .fd = -1};
	uint64_t none = 0;
	ssize_t k;
	int64_t r;
	int err;

	if (gz_sock_state(s) < GZ_ESTABLISHED || atomic_load(&s->app_shut_wr))
		return -EPIPE;
	if (!n)
		return 0;
	/* Only the last byte is urgent. */
	while (c->done < n - 1) {
		k = send(c->fd, data + c->done, n - 1 - c->done, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (k < 0 && errno == EAGAIN && !(c->done && !wait)) {
			r = gz_would_block(c, flags, POLLOUT, &s->opt.sndtimeo);
			if (r == GZ_WAIT && c->done)
				c->on_deadline = c->done;
			return r;
		}
		if (k < 0)
			return c->done ? (int64_t)c->done : -errno;
		c->done += (unsigned)k;
	}
	/* One at a time: another thread's is on its way for no longer than this one. */
	atomic_store(&s->parked_fd, c->sv->client->listener);
	atomic_store(&s->parked_wake, c->sv->client->wake);
	if (!atomic_compare_exchange_strong(&s->parked, &none, c->id))
		return gz_would_block(c, flags, POLLOUT, &s->opt.sndtimeo);
	m.urgent = (struct gz_urgent){
	    .call = c->id, .byte = (uint8_t)data[n - 1], .wait = wait, .result = (uint32_t)n};
	c->deadline = wait ? gz_deadline_of(&s->opt.sndtimeo) : 0;
	c->on_deadline = c->done ? (int64_t)c->done : -EAGAIN;
	c->events = 0;
	err = gz_post(&m);
	if (err) {
		atomic_store(&s->parked, 0);
		return err;
	}
	/* Nothing of the program's is held: its last close must show. */
	close(c->fd);
	c->fd = -1;
	return GZ_WAIT;
}

void gz_urgent_take(struct gz_worker *w, struct gz_sock *s, const struct gz_urgent *u)
{
	s->urgent.call = u->call;
	s->urgent.byte = u->byte;
	s->urgent.wait = u->wait;
	s->urgent.result = u->result;
	s->can_read = true; /* all that was written before */
	gz_worker_dirty(w, s);
}

/* The call is ours to answer, unless it was interrupted.  Return: false then */
static bool claim(struct gz_sock *s)
{
	uint64_t id = s->urgent.call;

	s->urgent.call = 0;
	return atomic_compare_exchange_strong(&s->parked, &id, 0);
}

static void answer(struct gz_sock *s, uint64_t id, int64_t result)
{
	struct seccomp_notif_resp r = {.id = id};

	if (result < 0)
		r.error = (int32_t)result;
	else
		r.val = result;
	if (ioctl(atomic_load(&s->parked_fd), SECCOMP_IOCTL_NOTIF_SEND, &r) < 0)
		gz_count(GZ_C_GONE);
}

void gz_urgent_send(struct gz_sock *s)
{
	struct gz_urgent *u = &s->urgent;
	uint64_t id = u->call;

	if (!id)
		return;
	if (!s->flow || s->end_fd < 0 || s->app_eof || s->reset) {
		if (claim(s))
			answer(s, id, u->result > 1 ? (int64_t)u->result - 1 : -EPIPE);
		return;
	}
	/* The relay stopped before it had all, or there is no room for one more. */
	if (s->can_read || !gz_ring_ready(&s->tx, GZ_TX_RING) || !gz_ring_room(&s->tx)) {
		if (!u->wait && claim(s))
			answer(s, id, u->result > 1 ? (int64_t)u->result - 1 : -EAGAIN);
		return;
	}
	if (!claim(s))
		return;
	gz_ring_put(&s->tx, &u->byte, 1);
	u->tx_left = (uint32_t)(s->tx.tail - s->tx.mid);
	atomic_store_explicit(&s->unsent, gz_ring_used(&s->tx), memory_order_relaxed);
	answer(s, id, u->result);
}

void gz_urgent_written(struct gz_sock *s, uint32_t seq, uint32_t n)
{
	struct gz_urgent *u = &s->urgent;

	if (!u->tx_left)
		return;
	if (u->tx_left > n) {
		u->tx_left -= n;
		return;
	}
	s->flow->measure.urgent = true;
	s->flow->measure.urgent_end = seq + u->tx_left;
	u->tx_left = 0;
}

/* --- receiving ----------------------------------------------------------- */

/* As tcp_check_urg() of net/ipv4/tcp_input.c. */
void gz_urgent_announced(struct gz_sock *s, uint32_t seq, uint16_t pointer, uint32_t next)
{
	struct gz_urgent *u = &s->urgent;
	uint32_t at;

	/* As BSD and Linux have it, the pointer is to the byte after (RFC 6093 section 3). */
	at = seq + (pointer ? pointer - 1u : 0);
	if (at - next > POINTER_MAX)
		return; /* that one was here already, or is none */
	if (u->rx_due && (int32_t)(at - u->rx_seq) <= 0)
		return;
	u->rx_due = true;
	u->rx_seq = at;
}

void gz_urgent_arrives(struct gz_sock *s, uint32_t n)
{
	struct gz_urgent *u = &s->urgent;

	if (u->rx_due && u->rx_seq - u->rx_next < n) {
		u->rx_at = gz_ring_used(&s->rx) + (u->rx_seq - u->rx_next);
		u->rx_here = true;
		u->rx_due = false;
	}
	u->rx_next += n;
}

int gz_urgent_bound(struct gz_sock *s, uint32_t *len)
{
	if (!s->urgent.rx_here)
		return 0;
	if (s->urgent.rx_at) {
		*len = *len < s->urgent.rx_at ? *len : s->urgent.rx_at;
		return 0;
	}
	*len = 1;
	return MSG_OOB;
}

void gz_urgent_passed(struct gz_sock *s, uint32_t n)
{
	struct gz_urgent *u = &s->urgent;

	if (!u->rx_here)
		return;
	if (n > u->rx_at)
		u->rx_here = false;
	else
		u->rx_at -= n;
}

void gz_urgent_unknown(struct gz_sock *s)
{
	gz_count(GZ_C_URGENT_LOST);
	s->urgent.rx_here = false;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * dying_client.c - Clients of dispatch that are killed at any instruction
 *
 *	dying_client DIRECTORY FIRST COUNT KILLS SEED
 *
 * COUNT clients, 10.1.0.FIRST and those behind it, listen at DIRECTORY/eNUMBER.vhost as engines
 * do.  Each connection of dispatch's is served by a child, which sends to the other clients and
 * takes what they send, as fast as it can, until SIGKILL comes: by a timer of its own processor
 *time, so that it is at work and not asleep then, after up to LIFE_US; each fourth while rings are
 *still being agreed upon, or shortly after.  In all KILLS die.  Prints how many, with how many
 * rings that were in use, and what they sent and received.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#include "vhost_user.h"

#define LIFE_US 10000
#define EARLY_US 3000
#define PAIRS (RINGS / 2)
#define ROOM 2048u /* of a frame */
#define FRAME 200u
#define BURST 16u
#define CLIENTS_MAX 16

static struct {
	atomic_ulong killed, used, sent, received;
} * seen; /* by all */

static unsigned first, count, own; /* the last number of an address */
static unsigned seed;

static unsigned rnd(void)
{
	return (unsigned)rand_r(&seed);
}

static uint64_t some_features(uint64_t offered)
{
	return offered & (VERSION_1 | PROTOCOL_FEATURES | 1ull << VIRTIO_NET_F_MRG_RXBUF |
			  1ull << VIRTIO_NET_F_MQ);
}

/* --- frames ------------------------------------------------------------------ */

/* Of ring @i, descriptor @d */
static uint8_t *buffer(unsigned i, unsigned d)
{
	return c.memory + BUFFERS + (i * NUM + d) * ROOM;
}

/** make_frame() - A UDP datagram for another client */
static void make_frame(uint8_t *f)
{
	const unsigned to = first + rnd() % count;
	const uint16_t len = FRAME - 14;
	uint32_t sum = 0;

	memset(f, 0, HEADER + FRAME);
	f += HEADER;
	memcpy(f, (uint8_t[]){2, 0, 0, 0, 0, (uint8_t)to}, 6);
	memcpy(f + 6, (uint8_t[]){2, 0, 0, 0, 0, (uint8_t)own, 8, 0}, 8);
	f += 14;
	memcpy(f, (uint8_t[]){0x45, 0, len >> 8, len & 0xff, 0, 0, 0, 0, 64, 17}, 10);
	memcpy(f + 12, (uint8_t[]){10, 1, 0, (uint8_t)own, 10, 1, 0, (uint8_t)to}, 8);
	memcpy(f + 20, (uint8_t[]){0, 9, 0, 9, (len - 20) >> 8, (len - 20) & 0xff}, 6);
	for (unsigned i = 0; i < 20; i += 2)
		sum += (uint32_t)f[i] << 8 | f[i + 1];
	while (sum >> 16)
		sum = (sum >> 16) + (sum & UINT16_MAX);
	f[10] = (uint8_t)(~sum >> 8);
	f[11] = (uint8_t)~sum;
}

/** offer() - All of ring @i, which dispatch fills */
static void offer(unsigned i)
{
	struct vring r = ring(i);

	for (unsigned d = 0; d < NUM; d++) {
		r.desc[d] = (struct vring_desc){
		    .addr = where(buffer(i, d)), .len = ROOM, .flags = VRING_DESC_F_WRITE};
		r.avail->ring[d] = (uint16_t)d;
	}
	__atomic_store_n(&r.avail->idx, (uint16_t)NUM, __ATOMIC_RELEASE);
}

/** receive() - What is in ring @i; its buffers are offered again */
static void receive(unsigned i, uint16_t *taken)
{
	struct vring r = ring(i);
	uint16_t end = __atomic_load_n(&r.used->idx, __ATOMIC_ACQUIRE), idx = r.avail->idx;

	for (; *taken != end; (*taken)++, idx++) {
		r.avail->ring[idx % NUM] = (uint16_t)r.used->ring[*taken % NUM].id;
		seen->received++;
	}
	__atomic_store_n(&r.avail->idx, idx, __ATOMIC_RELEASE);
}

/** transmit() - A burst by ring @i, which dispatch empties in order */
static void transmit(unsigned i)
{
	struct vring r = ring(i);
	uint16_t idx = r.avail->idx, done = __atomic_load_n(&r.used->idx, __ATOMIC_ACQUIRE);

	for (unsigned k = 0; k < BURST && (uint16_t)(idx - done) < NUM; k++, idx++) {
		unsigned d = idx % NUM;

		make_frame(buffer(i, d));
		r.desc[d] = (struct vring_desc){.addr = where(buffer(i, d)), .len = HEADER + FRAME};
		r.avail->ring[d] = (uint16_t)d;
		seen->sent++;
	}
	__atomic_store_n(&r.avail->idx, idx, __ATOMIC_RELEASE);
	if (!(__atomic_load_n(&r.used->flags, __ATOMIC_ACQUIRE) & VRING_USED_F_NO_NOTIFY))
		eventfd_write(c.kick[i], 1);
}

/* --- a life ------------------------------------------------------------------- */

/** die_within() - Of our processor time, by SIGKILL */
static void die_within(unsigned us)
{
	struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
	struct itimerspec t = {.it_value.tv_nsec = 1000l * (1 + us)};
	timer_t timer;

	if (timer_create(CLOCK_PROCESS_CPUTIME_ID, &e, &timer) ||
	    timer_settime(timer, 0, &t, NULL)) {
		perror("timer");
		_exit(1);
	}
}

static void live(bool early)
{
	uint16_t taken[PAIRS] = {0};
	bool used = false;

	if (!begin())
		_exit(1);
	if (!early)
		die_within(rnd() % LIFE_US);
	for (unsigned i = 0; i < PAIRS; i++)
		offer(2 * i);
	if (!agree(some_features))
		_exit(1);
	for (;;) {
		for (unsigned i = 0; i < PAIRS; i++) {
			receive(2 * i, &taken[i]);
			transmit(2 * i + 1);
		}
		if (!used && ring(1).used->idx && taken[0] + taken[1]) {
			used = true; /* both ways */
			seen->used++;
		}
		sched_yield();
	}
}

/** lives() - One after the other.  Return: exit status */
static int lives(const char *directory, unsigned n)
{
	char path[100];
	int listener, status;

	snprintf(path, sizeof(path), "%s/e%u.vhost", directory, own);
	listener = listen_at(path);
	for (unsigned i = 0; listener >= 0 && i < n; i++) {
		bool early = i % 4 == 3;
		unsigned us = rnd() % EARLY_US;
		pid_t child;

		take(listener);
		child = fork();
		if (!child) {
			seed += i;
			live(early);
		}
		close(c.sock);
		if (early) {
			usleep(us);
			kill(child, SIGKILL);
		}
		if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status) ||
		    WTERMSIG(status) != SIGKILL)
			return 1;
		seen->killed++;
	}
	unlink(path);
	return listener < 0;
}

int main(int argc, char **argv)
{
	unsigned kills;
	int status, bad = 0;

	if (argc != 6)
		return 2;
	first = (unsigned)atoi(argv[2]);
	count = (unsigned)atoi(argv[3]);
	kills = (unsigned)atoi(argv[4]);
	if (!count || count > CLIENTS_MAX)
		return 2;
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (seen == MAP_FAILED)
		return 1;
	for (unsigned i = 0; i < count; i++) {
		own = first + i;
		seed = (unsigned)atoi(argv[5]) * 1000 + i;
		if (!fork())
			_exit(lives(argv[1], kills / count + (i < kills % count)));
	}
	while (wait(&status) > 0)
		bad |= status;
	printf("%lu killed, %lu in use; %lu frames sent, %lu received\n", seen->killed, seen->used,
	       seen->sent, seen->received);
	return bad != 0;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * hostile.c - A program that writes what it likes into the memory that it shares
 *
 *	hostile ADDRESS PORT SECONDS SEED SECRET VICTIM
 *
 * Under gazelle-run --ring.  It makes connections to itself, and to another client's
 * server at port VICTIM, and uses them, so that they are in the rings and in lanes, while other
 *threads write random bits: anywhere in what is not bytes, and where it hurts: positions, locks,
 *tokens, words that say who is where, the book, the numbers of calls; the same in what it shares
 *with the other client.  One thread gives back what it has read, again and again. This happens in a
 *child that is killed and made anew, for the agent need not live through it.
 *
 * SECRET is what others send over the same engine.  It must be nowhere in here: neither
 * among what is received nor in the shared memory.  Status 0, or 3 and a line that
 * says where it was.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "launcher/agent/abi.h"

#define PAIRS 8
#define PAIRS_DGRAM 2 /* of these, UDP */
#define PAIRS_OUT 2   /* of these, with the victim */
#define WINDOWS_USED 4
#define LANES_USED 16
#define MARKED 4 /* sets of an end */
#define CHILD_MS 700
#define SLOTS_USED 64 /* more than there are connections at a time */
#define LEAK 3

static struct sockaddr_in where, victim;
static const char *secret;
static struct gz_shared *const sh = (struct gz_shared *)GZ_AGENT_SHARED;
static int pair[PAIRS][2];

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* xorshift64: each thread has its own */
static uint64_t next(uint64_t *r)
{
	*r ^= *r << 13;
	*r ^= *r >> 7;
	return *r ^= *r << 17;
}

static void look_for_secret(const void *bytes, size_t n, const char *place)
{
	if (!memmem(bytes, n, secret, strlen(secret)))
		return;
	dprintf(STDERR_FILENO, "the secret is %s\n", place);
	_exit(LEAK);
}

/* --- connections -------------------------------------------------------------- */

static bool connect_pair(int listener, int fd[2])
{
	struct timeval limit = {.tv_usec = 50000};

	fd[0] = socket(AF_INET, SOCK_STREAM, 0);
	fd[1] = -1;
	if (fd[0] < 0)
		return false;
	if (connect(fd[0], (struct sockaddr *)&where, sizeof(where)) ||
	    (fd[1] = accept(listener, NULL, NULL)) < 0) {
		close(fd[0]);
		return false;
	}
	for (int i = 0; i < 2; i++)
		setsockopt(fd[i], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return true;
}

/* What goes out comes back. */
static bool connect_victim(int fd[2])
{
	struct timeval limit = {.tv_usec = 50000};

	fd[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (fd[0] < 0)
		return false;
	if (connect(fd[0], (struct sockaddr *)&victim, sizeof(victim)) ||
	    (fd[1] = dup(fd[0])) < 0) {
		close(fd[0]);
		return false;
	}
	setsockopt(fd[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return true;
}

static bool datagram_pair(int fd[2])
{
	struct timeval limit = {.tv_usec = 50000};
	struct sockaddr_in a[2] = {where, where};
	socklen_t len = sizeof(a[0]);

	for (int i = 0; i < 2; i++) {
		a[i].sin_port = 0;
		fd[i] = socket(AF_INET, SOCK_DGRAM, 0);
		setsockopt(fd[i], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		if (bind(fd[i], (struct sockaddr *)&a[i], len) ||
		    getsockname(fd[i], (struct sockaddr *)&a[i], &len))
			return false;
	}
	return !connect(fd[0], (struct sockaddr *)&a[1], len) &&
	       !connect(fd[1], (struct sockaddr *)&a[0], len);
}

static void make(int listener, int fd[2])
{
	if (fd - pair[0] >= 2 * (PAIRS - PAIRS_DGRAM)) {
		if (!datagram_pair(fd)) {
			close(fd[0]);
			close(fd[1]);
			fd[0] = fd[1] = -1;
		}
		return;
	}
	if (fd - pair[0] < 2 * PAIRS_OUT ? !connect_victim(fd) : !connect_pair(listener, fd))
		fd[0] = fd[1] = -1;
}

/* Use the connections; what fails is made anew. */
static void *use(void *arg)
{
	uint64_t r = *(uint64_t *)arg;
	int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	static char buf[20000], got[20000];

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&where, sizeof(where)) || listen(listener, 16))
		return NULL;
	memset(buf, 'h', sizeof(buf));
	for (int i = 0; i < PAIRS; i++)
		make(listener, pair[i]);
	for (;;) {
		int *fd = pair[next(&r) % PAIRS], way = (int)(next(&r) % 2), size = 65536;
		size_t len = next(&r) % sizeof(buf) + 1;
		ssize_t n = -1;

		if (fd[0] >= 0 && send(fd[way], buf, len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			n = recv(fd[!way], got, sizeof(got), 0);
		if (n > 0)
			look_for_secret(got, (size_t)n, "among what was received");
		if (next(&r) % 64 == 0 && fd[0] >= 0) /* it leaves the rings */
			setsockopt(fd[way], SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
		if (fd[0] >= 0 && (n > 0 || errno == EAGAIN) && next(&r) % 256)
			continue;
		if (fd[0] >= 0) {
			close(fd[0]);
			close(fd[1]);
		}
		make(listener, fd);
	}
	return NULL;
}

/* --- what it writes ------------------------------------------------------------- */

static uint64_t bad_position(uint64_t *r, uint64_t at, uint64_t size)
{
	switch (next(r) % 6) {
	case 0:
		return next(r);
	case 1:
		return at + size + next(r) % 3 - 1;
	case 2:
		return at - next(r) % size;
	case 3:
		return at | GZ_RING_CLOSED;
	case 4:
		return at & ~GZ_RING_CLOSED;
	default:
		return at ^ 1ULL << next(r) % 64;
	}
}

/* The next datagram says what cannot be. */
static void hurt_datagram(uint64_t *r, uint32_t i)
{
	struct gz_slot *s = &sh->slot[i];
	bool tx = next(r) % 2;
	uint8_t *ring = tx ? gz_slot_tx(sh, i) : gz_slot_rx(sh, i);
	uint64_t at = (tx ? s->tx_head : s->rx_head) % GZ_SLOT_RING;
	struct gz_dgram_head *h = (struct gz_dgram_head *)(ring + at);

	if (s->kind != GZ_KIND_DATAGRAMS || at > GZ_SLOT_RING - sizeof(*h))
		return;
	if (next(r) % 2)
		h->len = (uint32_t)next(r) >> next(r) % 32;
	h->flags = (uint32_t)next(r);
	h->end.port = (uint16_t)next(r);
	h->end.addr[next(r) % 16] = (uint8_t)next(r);
	s->leave = (uint32_t)next(r) % 2;
}

static void hurt(uint64_t *r)
{
	struct gz_slot *s = &sh->slot[next(r) % SLOTS_USED];
	struct gz_served *served = &gz_shared_served(sh)[next(r) % GZ_SERVED];
	uint32_t *words = (uint32_t *)sh;

	hurt_datagram(r, (uint32_t)(s - sh->slot));
	switch (next(r) % 14) {
	case 0:
		s->rx_head = bad_position(r, s->rx_tail, GZ_SLOT_RING);
		break;
	case 1:
		s->tx_tail = bad_position(r, s->tx_head, GZ_SLOT_RING);
		break;
	case 2:
		s->rx_tail = bad_position(r, s->rx_head, GZ_SLOT_RING);
		break;
	case 3:
		s->tx_head = bad_position(r, s->tx_tail, GZ_SLOT_RING);
		break;
	case 4:
		s->rx_lock = (uint32_t)next(r) % 3;
		s->tx_lock = (uint32_t)next(r) % 3;
		break;
	case 5:
		s->rx_plane = (uint32_t)next(r) % 4;
		s->tx_plane = (uint32_t)next(r) % 4;
		break;
	case 6:
		s->token = (uint32_t)next(r) >> next(r) % 32;
		s->debt = (uint32_t)next(r) >> next(r) % 32;
		break;
	case 7:
		for (unsigned k = 0; k < GZ_SLOTS / 64; k++)
			sh->dirty[k] = UINT64_MAX;
		break;
	case 8:
		sh->asleep[next(r) % (GZ_SLOTS / 64)] = (uint32_t)next(r) % 2;
		sh->epoch += (uint32_t)next(r) % 3;
		break;
	case 9:
		sh->ino[next(r) % SLOTS_USED] = sh->ino[next(r) % SLOTS_USED];
		break;
	case 10:
		s->gen += (uint32_t)next(r) % 3;
		break;
	case 11:
		served->id = next(r) % 2 ? next(r) : served->id + 1;
		served->native = (uint32_t)next(r);
		break;
	case 12: /* whatever there is, up to the bytes */
		words[next(r) % (sizeof(*sh) / sizeof(*words))] ^= 1u << next(r) % 32;
		break;
	default:
		words[next(r) % (sizeof(*sh) / sizeof(*words))] = (uint32_t)next(r);
	}
}

static void hurt_book(uint64_t *r)
{
	uint32_t *words = (uint32_t *)GZ_AGENT_BOOK;

	words[next(r) % (sizeof(struct gz_agent_book) / sizeof(*words))] ^= 1u << next(r) % 32;
}

static bool is_mapped_at(uint64_t at)
{
	unsigned char there;

	return mincore((void *)at, 4096, &there) == 0;
}

static bool is_mapped(void)
{
	return is_mapped_at(GZ_AGENT_SHARED);
}

/* What it shares with itself, or with the victim */
static void hurt_pair(uint64_t *r)
{
	uint64_t at = GZ_AGENT_WINDOWS + next(r) % WINDOWS_USED * GZ_WINDOW_STRIDE;
	struct gz_pair_memory *m = (struct gz_pair_memory *)at;
	struct gz_lane_end *e = &m->lane[next(r) % LANES_USED][next(r) % 2],
			   *f = &m->lane[next(r) % LANES_USED][next(r) % 2];
	struct gz_lane_watch *w = &m->watch[next(r) % 2][next(r) % GZ_EPOLLS];
	uint32_t *words = (uint32_t *)m;

	if (!is_mapped_at(at))
		return;
	switch (next(r) % 7) {
	case 0:
		e->head = bad_position(r, f->tail, GZ_LANE_RING);
		break;
	case 1:
		e->tail = bad_position(r, f->head, GZ_LANE_RING);
		break;
	case 2:
		e->full = (uint32_t)next(r) % 2;
		e->call = (uint32_t)next(r) % 2;
		break;
	case 3:
		e->watch = (uint32_t)next(r) % (2 * GZ_EPOLLS);
		break;
	case 4:
		w->ready[next(r) % (GZ_LANES / 64)] = next(r);
		w->asleep = (uint32_t)next(r) % 2;
		break;
	case 5:
		words[next(r) % (sizeof(*m) / sizeof(*words))] ^= 1u << next(r) % 32;
		break;
	default:
		words[next(r) % (sizeof(*m) / sizeof(*words))] = (uint32_t)next(r);
	}
}

static void *write_bits(void *arg)
{
	uint64_t r = *(uint64_t *)arg, n = 0;
	bool book;

	while (!is_mapped())
		usleep(1000);
	book = mprotect((void *)(GZ_AGENT_BOOK & ~4095ULL), 4096, PROT_READ | PROT_WRITE) == 0;
	for (;; n++) {
		hurt(&r);
		if (n % 8 == 0)
			hurt_pair(&r);
		if (book && n % 4096 == 0)
			hurt_book(&r);
		/* Some rounds quick, some slow enough for connections to work between. */
		if (n % 64 == 0 && next(&r) % 2)
			usleep((useconds_t)(next(&r) % 2000));
	}
	return NULL;
}

/* All is ready, always: whoever believes it looks for ever. */
static void *mark_all(void *arg)
{
	(void)arg;
	for (;;)
		for (uint64_t w = 0; w < WINDOWS_USED; w++) {
			uint64_t at = GZ_AGENT_WINDOWS + w * GZ_WINDOW_STRIDE;
			struct gz_pair_memory *m = (struct gz_pair_memory *)at;

			if (!is_mapped_at(at))
				continue;
			for (unsigned n = 0; n < 1000; n++)
				for (unsigned k = 0; k < 2 * MARKED; k++)
					m->watch[k / MARKED][k % MARKED].ready[0] = UINT64_MAX;
		}
	return NULL;
}

/*
 * A socket that leaves hands what its ring holds to the shadow.  Who reads there and
 * puts the position back offers the same bytes without end.
 */
static void *give_back(void *arg)
{
	static char buf[65536];

	(void)arg;
	while (!is_mapped())
		usleep(1000);
	for (;;) {
		for (unsigned i = 0; i < SLOTS_USED; i++) {
			struct gz_slot *s = &sh->slot[i];

			if (s->rx_head & GZ_RING_CLOSED)
				s->rx_head = (s->rx_tail - 4096) | GZ_RING_CLOSED;
		}
		for (int i = 0; i < PAIRS; i++)
			for (int k = 0; k < 2; k++)
				recv(pair[i][k], buf, sizeof(buf), MSG_DONTWAIT);
	}
	return NULL;
}

/* --- processes ------------------------------------------------------------------ */

static void child(uint64_t seed)
{
	void *(*const does[])(void *) = {write_bits, give_back, mark_all};
	uint64_t r[4] = {seed | 1, seed * 3 | 1, seed * 5 | 1, seed * 7 | 1};
	pthread_t t;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGSEGV, SIG_DFL);
	pthread_create(&t, NULL, use, &r[0]);
	pthread_create(&t, NULL, does[seed % 3], &r[1]);
	usleep(CHILD_MS * 1000);
	if (is_mapped())
		look_for_secret((void *)GZ_AGENT_SHARED,
				GZ_SHARED_DATA + SLOTS_USED * 2 * GZ_SLOT_RING,
				"in the shared memory");
	for (unsigned w = 0; w < WINDOWS_USED; w++)
		if (is_mapped_at(GZ_AGENT_WINDOWS + w * GZ_WINDOW_STRIDE))
			look_for_secret((void *)(GZ_AGENT_WINDOWS + w * GZ_WINDOW_STRIDE),
					GZ_PAIR_DATA + LANES_USED * 2 * GZ_LANE_RING,
					"in what two clients share");
	_exit(is_mapped() ? 0 : 4);
}

int main(int argc, char **argv)
{
	uint64_t end, seed, n = 0, mapped = 0;
	int status;
	pid_t pid;

	if (argc != 7)
		return 2;
	where =
	    (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
	inet_pton(AF_INET, argv[1], &where.sin_addr);
	victim = where;
	victim.sin_port = htons((uint16_t)atoi(argv[6]));
	end = now_ms() + (uint64_t)atoi(argv[3]) * 1000;
	seed = strtoull(argv[4], NULL, 0);
	secret = argv[5];
	for (; now_ms() < end; n++) {
		uint64_t until = now_ms() + 2 * CHILD_MS;

		pid = fork();
		if (pid < 0)
			return 2;
		if (!pid)
			child(seed + n);
		while (!waitpid(pid, &status, WNOHANG) && now_ms() < until)
			usleep(10000);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		if (WIFEXITED(status) && WEXITSTATUS(status) == LEAK)
			return LEAK;
		mapped += !WIFEXITED(status) || WEXITSTATUS(status) == 0;
	}
	printf("%lu children, %lu in the rings\n", (unsigned long)n, (unsigned long)mapped);
	return mapped ? 0 : 4;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ring.c - Memory of byte rings
 *
 * Theory of operation.  Rings come and go with bursts, and a process has a limited
 * number of mappings (vm.max_map_count).  So address space is taken from the kernel in
 * large pieces and kept; only pages go back.  A place that was used last is used next,
 * which keeps the page tables few.
 */
#include <assert.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/ring.h"

#define PIECE (256u * GZ_RX_RING)

static_assert(GZ_RX_RING == GZ_TX_RING, "one size of places");

static struct {
	pthread_mutex_t lock;
	void **free; /* places, the last is the next */
	size_t nfree, room;
} places = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* One more piece's places.  There is room in the list for all that ever were. */
static bool more(void)
{
	size_t n = PIECE / GZ_RX_RING;
	void **list = realloc(places.free, (places.room + n) * sizeof(*list));
	uint8_t *p;

	if (!list)
		return false;
	places.free = list;
	/* Where not so much is allowed (RLIMIT_AS), a smaller one */
	while (!(p = map(n * GZ_RX_RING)) && n > 1)
		n /= 2;
	if (!p)
		return false;
	places.room += n;
	while (n--)
		places.free[places.nfree++] = p + n * GZ_RX_RING;
	return true;
}

void *gz_ring_memory(uint32_t size)
{
	void *p = NULL;

	if (size != GZ_RX_RING)
		return map(size);
	pthread_mutex_lock(&places.lock);
	if (places.nfree || more())
		p = places.free[--places.nfree];
	pthread_mutex_unlock(&places.lock);
	return p;
}

void gz_ring_memory_forget(uint8_t *p, uint32_t from, uint32_t to)
{
	uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE);

	from = (from + page - 1) & ~(page - 1);
	to = (to + page - 1) & ~(page - 1);
	if (from < to)
		madvise(p + from, to - from, MADV_DONTNEED);
}

void gz_ring_memory_free(void *p, uint32_t size, uint32_t touched)
{
	if (size != GZ_RX_RING) {
		munmap(p, size);
		return;
	}
	gz_ring_memory_forget(p, 0, touched);
	pthread_mutex_lock(&places.lock);
	places.free[places.nfree++] = p;
	pthread_mutex_unlock(&places.lock);
}

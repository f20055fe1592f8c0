/* SPDX-License-Identifier: BSD-3-Clause
 *
 * fds.c - What a descriptor's number means
 *
 * A socket's number is asked of the kernel once, by fstat(), and forgotten when it is
 * closed.  An epoll's is learnt when the first socket in the rings is put into it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/kcmp.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "launcher/agent/epoll_inner.h"

#define LINGER_FIRST_NS 200000 /* between two looks, doubled up to */
#define LINGER_MOST_NS 10000000
#define LINGER_ASK_NS 1000000000
#define LINGERING 32 /* sockets that one call waits for */

/* The slot of the shadow with this inode, or NOT_OURS */
static int find(uint64_t ino, uint32_t *gen)
{
	uint32_t n = __atomic_load_n(&SH->used, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < n && i < GZ_SLOTS; i++) {
		if (__atomic_load_n(&SH->ino[i], __ATOMIC_ACQUIRE) != ino)
			continue;
		*gen = __atomic_load_n(&SH->slot[i].gen, __ATOMIC_ACQUIRE);
		if (__atomic_load_n(&SH->ino[i], __ATOMIC_ACQUIRE) == ino)
			return (int)i;
	}
	return NOT_OURS;
}

/* A vfork() child has this memory and other descriptors: it keeps nothing here. */
bool may_keep(void)
{
	int32_t pid = (int32_t)call(SYS_getpid, 0, 0, 0, 0), none = 0;

	if (__atomic_compare_exchange_n(&PRIV->owner, &none, pid, false, __ATOMIC_SEQ_CST,
					__ATOMIC_SEQ_CST))
		return true;
	return none == pid;
}

static void raise_high(uint32_t fd)
{
	uint32_t high = __atomic_load_n(&PRIV->high_fd, __ATOMIC_RELAXED);

	while (fd > high && !__atomic_compare_exchange_n(&PRIV->high_fd, &high, fd, false,
							 __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		;
}

/* Is it the inode of a TCP socket that is not connected? */
static bool is_of_fresh(uint64_t ino)
{
	const uint64_t *set = SH->fresh[ino % GZ_FRESH_SETS];

	for (uint32_t i = 0; i < GZ_FRESH_PLACES; i++)
		if (__atomic_load_n(&set[i], __ATOMIC_ACQUIRE) == ino)
			return true;
	return false;
}

/* Ask the kernel what @fd is.  @seen: what the table said, which must still hold */
static int resolve(uint32_t fd, uint64_t *entry, uint64_t seen)
{
	uint32_t stamp = __atomic_load_n(&SH->epoch, __ATOMIC_ACQUIRE);
	int slot = NOT_OURS, kind = GZ_FD_FILE;
	struct stat st;

	if (call(SYS_fstat, fd, (uint64_t)&st, 0, 0) < 0)
		return NOT_OURS;
	if (S_ISSOCK(st.st_mode)) {
		slot = find(st.st_ino, &stamp);
		kind = slot >= 0		? GZ_FD_SLOT + slot
		       : is_of_fresh(st.st_ino) ? GZ_FD_FRESH
						: GZ_FD_SOCKET;
	} else {
		stamp = 0;
	}
	if (!entry || !may_keep())
		return slot;
	raise_high(fd);
	__atomic_compare_exchange_n(entry, &seen,
				    (seen >> 48 << 48) | (uint64_t)stamp << 16 | (uint64_t)kind,
				    false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	return slot;
}

void learn(uint32_t fd, uint32_t i)
{
	uint64_t kind = (uint64_t)SH->slot[i].gen << 16 | (GZ_FD_SLOT + i), e;

	if (fd >= GZ_FD_MAX || !may_keep())
		return;
	raise_high(fd);
	e = __atomic_load_n(&PRIV->fd[fd], __ATOMIC_RELAXED);
	while ((e & 0xffff) != GZ_FD_POISON &&
	       !__atomic_compare_exchange_n(&PRIV->fd[fd], &e, e >> 48 << 48 | kind, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		;
}

/* Return: the slot of @fd, NOT_OURS or ASK */
int lookup(uint32_t fd)
{
	uint64_t *entry = fd < GZ_FD_MAX ? &PRIV->fd[fd] : NULL;
	uint64_t e = entry ? __atomic_load_n(entry, __ATOMIC_ACQUIRE) : 0;
	uint32_t kind = e & 0xffff, stamp = (uint32_t)(e >> 16);

	switch (kind) {
	case GZ_FD_UNKNOWN:
		break;
	case GZ_FD_FILE:
		return NOT_OURS;
	case GZ_FD_SOCKET:
	case GZ_FD_FRESH:
	case GZ_FD_TOLD:
		if (stamp == __atomic_load_n(&SH->epoch, __ATOMIC_ACQUIRE))
			return NOT_OURS;
		break;
	case GZ_FD_POISON:
		return ASK;
	default:
		if (stamp == __atomic_load_n(&SH->slot[kind - GZ_FD_SLOT].gen, __ATOMIC_ACQUIRE))
			return (int)(kind - GZ_FD_SLOT);
	}
	return resolve(fd, entry, e);
}

bool is_told(uint32_t fd, uint64_t *seen)
{
	*seen = __atomic_load_n(&PRIV->fd[fd], __ATOMIC_ACQUIRE);
	return (*seen & 0xffff) == GZ_FD_FILE || (*seen & 0xffff) == GZ_FD_TOLD;
}

void set_told(uint32_t fd, uint64_t seen)
{
	uint64_t told = (seen & ~0xffffULL) | GZ_FD_TOLD;

	if ((seen & 0xffff) == GZ_FD_SOCKET)
		__atomic_compare_exchange_n(&PRIV->fd[fd], &seen, told, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_RELAXED);
}

/* --- epolls ------------------------------------------------------------------------ */

#define NO_EPOLL UINT32_MAX
#define INNER (UINT32_MAX - 1) /* others wait for it; it has no socket in the rings yet */

static struct gz_epoll *epoll_of(uint32_t e)
{
	uint32_t k = (e & 0xff) - 1;
	struct gz_epoll *ep;

	if (k >= GZ_EPOLLS)
		return NULL;
	ep = &SH->epoll[k];
	return (__atomic_load_n(&ep->gen, __ATOMIC_ACQUIRE) & 0xffffff) == e >> 8 ? ep : NULL;
}

/*
 * One more process, or number, that has it: nobody knows its last close any more.  A vfork()
 * child may pass for its parent here: that it has the epoll is not known before it uses it.
 */
static struct gz_epoll *share(struct gz_epoll *ep)
{
	int32_t self = __atomic_load_n(&PRIV->owner, __ATOMIC_RELAXED);

	if (!self)
		self = may_keep() ? PRIV->owner : (int32_t)call(SYS_getpid, 0, 0, 0, 0);
	if (!ep->shared && ep->owner != self)
		ep->shared = 1;
	return ep;
}

/* Return: false, another thread has set it meanwhile; @old is what it is then */
static bool set_epoll(uint32_t fd, uint32_t *old, uint32_t e)
{
	if (fd > KEPT->high)
		KEPT->high = fd;
	return __atomic_compare_exchange_n(&KEPT->epoll[fd], old, e, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

int64_t compare_files(uint32_t fd, uint32_t other)
{
	uint64_t self = (uint64_t)call(SYS_getpid, 0, 0, 0, 0);

	return call6(SYS_kcmp, self, self, KCMP_FILE, fd, other, 0);
}

/* A duplicate of one that is known?  dup() is never seen.  @was: what the number is now */
static struct gz_epoll *find_duplicate(uint32_t fd, uint32_t was)
{
	for (uint32_t k = 0;
	     k < GZ_FD_MAX && k <= __atomic_load_n(&KEPT->managed, __ATOMIC_RELAXED); k++) {
		uint32_t e = KEPT->epoll[k];

		if (!e || e == NO_EPOLL || e == INNER || k == fd || !epoll_of(e) ||
		    compare_files(k, fd))
			continue;
		if (!set_epoll(fd, &was, e))
			return epoll_of(was);
		if (fd > KEPT->managed)
			KEPT->managed = fd;
		epoll_of(e)->shared = 1;
		return epoll_of(e);
	}
	return set_epoll(fd, &was, NO_EPOLL) ? NULL : epoll_of(was);
}

struct gz_epoll *managed(uint32_t fd)
{
	struct gz_epoll *ep;
	uint32_t e;

	if (!KEPT->managed || fd >= GZ_FD_MAX)
		return NULL;
	e = __atomic_load_n(&KEPT->epoll[fd], __ATOMIC_SEQ_CST);
	if (e == NO_EPOLL || e == INNER)
		return NULL;
	ep = epoll_of(e);
	return ep ? share(ep) : find_duplicate(fd, e);
}

void note_inner(uint32_t fd)
{
	uint32_t was;

	if (fd >= GZ_FD_MAX)
		return;
	was = __atomic_load_n(&KEPT->epoll[fd], __ATOMIC_SEQ_CST);
	while (was != INNER && !epoll_of(was) && !set_epoll(fd, &was, INNER))
		;
}

bool is_inner(uint32_t fd)
{
	return fd < GZ_FD_MAX && KEPT->epoll[fd] == INNER;
}

static uint64_t pid_namespace(void)
{
	static const char path[] = "/proc/self/ns/pid";
	struct stat st;

	if (call(SYS_newfstatat, (uint64_t)AT_FDCWD, (uint64_t)path, (uint64_t)&st, 0) < 0)
		return 0;
	return st.st_ino;
}

/* Is its process, which never shared it, gone? */
static bool is_left(const struct gz_epoll *ep, uint64_t ns)
{
	return ns && ep->owner_ns == ns && !ep->shared && ep->owner > 0 &&
	       call(SYS_kill, (uint64_t)ep->owner, 0, 0, 0) == -ESRCH;
}

/* Locked, and no more when it returns.  Another thread may have been faster. */
static void free_locked(struct gz_epoll *ep, int epfd)
{
	bool ends = ep->ends && ep->gen & 1;

	if (ends) {
		epoll_given_up(ep, epfd);
		ep->ends = 0;
		__atomic_store_n(&ep->gen, ep->gen + 1, __ATOMIC_SEQ_CST);
	}
	unlock(&ep->lock);
	if (ends)
		__atomic_store_n(&ep->owner, 0, __ATOMIC_SEQ_CST);
}

/* Who has the lock just now sees that it is no number's any more. */
void give_free(struct gz_epoll *ep, int epfd)
{
	__atomic_store_n(&ep->ends, 1, __ATOMIC_SEQ_CST);
	if (epoll_hold(ep))
		free_locked(ep, epfd);
}

/*
 * One that is free, for nobody's number yet, or NULL.  It is whose `owner` it is; who is
 * killed here leaves it as one that it had.
 */
static struct gz_epoll *take_free(void)
{
	int32_t self = (int32_t)call(SYS_getpid, 0, 0, 0, 0);
	uint64_t ns = pid_namespace();

	for (uint32_t k = 0; k < GZ_EPOLLS; k++) {
		struct gz_epoll *ep = &SH->epoll[k];
		int32_t owner;
		uint32_t gen;

		/* Who closed it could not wait for its lock. */
		if (__atomic_load_n(&ep->ends, __ATOMIC_SEQ_CST) && lock(&ep->lock))
			free_locked(ep, -1);
		owner = __atomic_load_n(&ep->owner, __ATOMIC_SEQ_CST);
		if ((owner && !is_left(ep, ns)) ||
		    !__atomic_compare_exchange_n(&ep->owner, &owner, self, false, __ATOMIC_SEQ_CST,
						 __ATOMIC_RELAXED))
			continue;
		if (owner != 0)
			ep->lock = 0; /* who was killed may have held it */
		gen = __atomic_load_n(&ep->gen, __ATOMIC_RELAXED) | 1;
		__atomic_store_n(&ep->gen, gen + 1, __ATOMIC_SEQ_CST);
		ep->owner_ns = ns;
		for (uint32_t i = 0; i < GZ_SLOTS; i++)
			ep->reg[i].gen = 0;
		for (uint32_t i = 0; i < GZ_SLOTS / 64; i++)
			ep->ready[i] = ep->changed[i] = 0;
		ep->sleepers = ep->shared = ep->next = ep->eager = ep->woken = ep->ends = 0;
		ep->looked = ep->no_doze = ep->vain = ep->gone = 0;
		__atomic_store_n(&ep->gen, gen + 2, __ATOMIC_RELEASE);
		return ep;
	}
	return NULL;
}

struct gz_epoll *manage(uint32_t fd)
{
	struct gz_epoll *ep = managed(fd), *other;
	uint32_t was;

	if (ep || fd >= GZ_FD_MAX)
		return ep;
	ep = take_free();
	if (!ep)
		return NULL;
	/* What was no duplicate of another may be one of this. */
	for (uint32_t n = 0; n <= KEPT->high; n++) {
		was = NO_EPOLL;
		if (n != fd)
			set_epoll(n, &was, 0);
	}
	/* Two threads may come here with one number: the second takes the first's. */
	was = __atomic_load_n(&KEPT->epoll[fd], __ATOMIC_SEQ_CST);
	do {
		other = epoll_of(was);
		if (other) {
			give_free(ep, -1);
			return share(other);
		}
	} while (!set_epoll(fd, &was, (ep->gen & 0xffffff) << 8 | index_of(ep)));
	if (fd >= KEPT->managed)
		KEPT->managed = fd ? fd : 1;
	return ep;
}

/* The number is closed.  What only this process had is free again. */
static void leave_epoll(uint32_t fd)
{
	struct gz_epoll *ep = epoll_of(KEPT->epoll[fd]);

	if (ep)
		epoll_hand_over(ep, (int)fd);
	__atomic_store_n(&KEPT->epoll[fd], 0, __ATOMIC_SEQ_CST);
	if (!ep || ep->shared || ep->owner != (int32_t)call(SYS_getpid, 0, 0, 0, 0) ||
	    !epoll_is_unused(ep))
		return;
	give_free(ep, (int)fd);
}

/* --- close() ------------------------------------------------------------------------ */

void forget_number(uint32_t fd)
{
	uint64_t e, next;

	if (fd >= GZ_FD_MAX)
		return;
	if (KEPT->epoll[fd] && may_keep())
		leave_epoll(fd);
	e = __atomic_load_n(&PRIV->fd[fd], __ATOMIC_RELAXED);
	do {
		if ((e & 0xffff) == GZ_FD_POISON)
			return;
		next = ((e >> 48) + 1) << 48;
	} while (!__atomic_compare_exchange_n(&PRIV->fd[fd], &e, next, false, __ATOMIC_SEQ_CST,
					      __ATOMIC_RELAXED));
}

static void unwatch_range(uint32_t first, uint32_t last)
{
	uint32_t high = __atomic_load_n(&PRIV->high_fd, __ATOMIC_RELAXED);

	for (uint64_t fd = first; fd <= last && fd <= high && fd < GZ_FD_MAX; fd++)
		if (PRIV->watched[fd / 64] & 1ULL << fd % 64)
			unwatch((uint32_t)fd);
}

/* Calls of this process that wait on sockets of a range, or on one's number, go on. */
static void hand_over_range(uint32_t first, uint32_t last)
{
	uint32_t high = __atomic_load_n(&PRIV->high_fd, __ATOMIC_RELAXED);
	int slot;

	for (uint64_t fd = first; fd <= last && fd <= high && fd < GZ_FD_MAX; fd++) {
		if ((__atomic_load_n(&PRIV->fd[fd], __ATOMIC_RELAXED) & 0xffff) < GZ_FD_SLOT)
			continue;
		slot = lookup((uint32_t)fd);
		if (slot >= 0)
			hand_over((int)fd, (uint32_t)slot);
	}
}

static void forget_range(uint32_t first, uint32_t last)
{
	uint32_t high = __atomic_load_n(&PRIV->high_fd, __ATOMIC_RELAXED);

	if (high < KEPT->high)
		high = KEPT->high;
	if (first == last)
		high = last;
	for (uint64_t fd = first; fd <= last && fd <= high; fd++)
		forget_number((uint32_t)fd);
}

/* A socket that lingers, before it is closed */
struct lingering {
	uint32_t slot, gen, seconds;
};

/* Return: whether @slot's socket does */
static bool note_lingering(int slot, struct lingering *l)
{
	const struct gz_slot *s;

	if (slot < 0)
		return false;
	s = &SH->slot[slot];
	l->slot = (uint32_t)slot;
	l->gen = __atomic_load_n(&s->gen, __ATOMIC_ACQUIRE);
	l->seconds = __atomic_load_n(&s->linger, __ATOMIC_RELAXED);
	return l->seconds;
}

/* Those of a range that this process has used.  Return: how many, LINGERING at most */
static unsigned find_lingering(uint32_t first, uint32_t last, struct lingering *l)
{
	uint32_t high = __atomic_load_n(&PRIV->high_fd, __ATOMIC_RELAXED);
	unsigned n = 0;

	for (uint64_t fd = first; fd <= last && fd <= high && fd < GZ_FD_MAX && n < LINGERING; fd++)
		if ((__atomic_load_n(&PRIV->fd[fd], __ATOMIC_RELAXED) & 0xffff) >= GZ_FD_SLOT)
			n += note_lingering(lookup((uint32_t)fd), &l[n]);
	return n;
}

/*
 * SO_LINGER: the last close() waits until all that was sent is acknowledged, or a signal comes
 * (sk_stream_wait_close()).  Whether it was the last, and must wait, the engine knows: who may be
 * gone, so it is asked now and then.  Return: false, for a signal
 */
static bool linger(const struct lingering *l)
{
	const uint32_t *gen = &SH->slot[l->slot].gen;
	int64_t until = now_ns() + l->seconds * 1000000000LL;
	struct timespec pause = {.tv_nsec = LINGER_FIRST_NS};

	while (gz_ask_about(GZ_ASK_LINGERS, (uint64_t)-1, l->slot, l->gen, 0) > 0) {
		for (int64_t now = now_ns(), ask = now + LINGER_ASK_NS; now < ask; now = now_ns()) {
			if (now >= until)
				return true;
			if (pause.tv_nsec > until - now)
				pause.tv_nsec = until - now;
			if (gz_sleep(SYS_nanosleep, (uint64_t)&pause, 0, 0, 0, 0, 0))
				return false;
			if (__atomic_load_n(gen, __ATOMIC_ACQUIRE) != l->gen)
				return true;
			if (pause.tv_nsec < LINGER_MOST_NS)
				pause.tv_nsec *= 2;
		}
	}
	return true;
}

/* Does it close anything, if nobody changes the number of its source meanwhile? */
static bool closes(const struct regs *r)
{
	switch (r->rax) {
	case SYS_close:
		return true;
	case SYS_close_range:
		return !((uint32_t)r->rdx & ~(uint32_t)CLOSE_RANGE_UNSHARE);
	default:
		return (uint32_t)r->rdi != (uint32_t)r->rsi &&
		       (r->rax == SYS_dup2 || !((uint32_t)r->rdx & ~(uint32_t)O_CLOEXEC)) &&
		       call(SYS_fcntl, r->rdi, F_GETFD, 0, 0) >= 0;
	}
}

/*
 * close() and its kin.  Forgotten before, or another thread would still use what
 * is being closed; and after, or one that looked in between would keep it.
 */
int closing(struct regs *r)
{
	uint32_t first = (uint32_t)r->rdi, last = first;
	struct lingering l[LINGERING];
	bool rx, tx;
	unsigned n;
	int slot;

	if (r->rax == SYS_dup2 || r->rax == SYS_dup3)
		first = last = (uint32_t)r->rsi;
	else if (r->rax == SYS_close_range)
		last = (uint32_t)r->rsi;
	else if (r->rax != SYS_close)
		return TRAP;
	if (!closes(r))
		return NATIVE;
	slot = first == last ? lookup(first) : NOT_OURS;
	n = first == last ? note_lingering(slot, l) : find_lingering(first, last, l);
	if (may_keep()) {
		unwatch_range(first, last);
		hand_over_range(first, last);
	}
	/* Whoever reads tokens, or rings the bell, by the number has a lock. */
	rx = slot >= 0 && lock_as(&SH->slot[slot].rx_lock, LOCK_CLOSES);
	tx = slot >= 0 && lock_as(&SH->slot[slot].tx_lock, LOCK_CLOSES);
	forget_range(first, last);
	r->rax = call(r->rax, r->rdi, r->rsi, r->rdx, r->r10);
	forget_range(first, last);
	if (tx)
		unlock_as(&SH->slot[slot].tx_lock, LOCK_CLOSES);
	if (rx)
		unlock_as(&SH->slot[slot].rx_lock, LOCK_CLOSES);
	/* It may have been the last: what comes from here on is refused. */
	if (slot >= 0 && has_datagrams(&SH->slot[slot]))
		__atomic_store_n(&SH->slot[slot].leave, 1, __ATOMIC_SEQ_CST);
	/* One after the other, the last one first (task_work_run()) */
	while (n && linger(&l[n - 1]))
		n--;
	return DONE;
}

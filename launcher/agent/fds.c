/* SPDX-License-Identifier: BSD-3-Clause
 *
 * fds.c - What a descriptor's number means
 *
 * A socket's number is asked of the kernel once, by fstat(), and forgotten when it is
 * closed.  An epoll's is learnt when the first socket in the rings is put into it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "launcher/agent/agent.h"

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

/* Ask the kernel what @fd is.  @seen: what the table said, which must still hold */
static int resolve(uint32_t fd, uint64_t *entry, uint64_t seen)
{
	uint32_t stamp = __atomic_load_n(&SH->epoch, __ATOMIC_ACQUIRE), high;
	int slot = NOT_OURS, kind = GZ_FD_FILE;
	struct stat st;

	if (call(SYS_fstat, fd, (uint64_t)&st, 0, 0) < 0)
		return NOT_OURS;
	if (S_ISSOCK(st.st_mode)) {
		slot = find(st.st_ino, &stamp);
		kind = slot < 0 ? GZ_FD_SOCKET : GZ_FD_SLOT + slot;
	} else {
		stamp = 0;
	}
	if (!entry || !may_keep())
		return slot;
	high = __atomic_load_n(&PRIV->high_fd, __ATOMIC_RELAXED);
	while (fd > high && !__atomic_compare_exchange_n(&PRIV->high_fd, &high, fd, false,
							 __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		;
	__atomic_compare_exchange_n(entry, &seen,
				    (seen >> 48 << 48) | (uint64_t)stamp << 16 | (uint64_t)kind,
				    false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	return slot;
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

/* One more process, or number, that has it: nobody knows its last close any more. */
static struct gz_epoll *share(struct gz_epoll *ep)
{
	if (!ep->shared && ep->owner != (int32_t)call(SYS_getpid, 0, 0, 0, 0))
		ep->shared = 1;
	return ep;
}

static void set_epoll(uint32_t fd, uint32_t e)
{
	KEPT->epoll[fd] = e;
	if (fd > KEPT->high)
		KEPT->high = fd;
}

/* A duplicate of one that is known?  dup() is never seen. */
static struct gz_epoll *find_duplicate(uint32_t fd)
{
	uint64_t self = (uint64_t)call(SYS_getpid, 0, 0, 0, 0);

	for (uint32_t k = 0;
	     k < GZ_FD_MAX && k <= __atomic_load_n(&KEPT->managed, __ATOMIC_RELAXED); k++) {
		uint32_t e = KEPT->epoll[k];

		if (!e || e == NO_EPOLL || e == INNER || k == fd || !epoll_of(e) ||
		    call6(SYS_kcmp, self, self, KCMP_FILE, k, fd, 0))
			continue;
		set_epoll(fd, e);
		if (fd > KEPT->managed)
			KEPT->managed = fd;
		epoll_of(e)->shared = 1;
		return epoll_of(e);
	}
	set_epoll(fd, NO_EPOLL);
	return NULL;
}

struct gz_epoll *managed(uint32_t fd)
{
	struct gz_epoll *ep;
	uint32_t e;

	if (!KEPT->managed || fd >= GZ_FD_MAX)
		return NULL;
	e = KEPT->epoll[fd];
	if (e == NO_EPOLL || e == INNER)
		return NULL;
	ep = epoll_of(e);
	return ep ? share(ep) : find_duplicate(fd);
}

void note_inner(uint32_t fd)
{
	if (fd < GZ_FD_MAX && KEPT->epoll[fd] != INNER && !epoll_of(KEPT->epoll[fd]))
		set_epoll(fd, INNER);
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

struct gz_epoll *manage(uint32_t fd)
{
	struct gz_epoll *ep = managed(fd);
	uint64_t ns;

	if (ep || fd >= GZ_FD_MAX)
		return ep;
	ns = pid_namespace();
	for (uint32_t k = 0; k < GZ_EPOLLS; k++) {
		uint32_t gen;

		ep = &SH->epoll[k];
		gen = __atomic_load_n(&ep->gen, __ATOMIC_ACQUIRE);
		if (gen & 1 && !is_left(ep, ns))
			continue;
		if (!__atomic_compare_exchange_n(&ep->gen, &gen, (gen | 1) + 1, false,
						 __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			continue;
		for (uint32_t i = 0; i < GZ_SLOTS; i++)
			ep->reg[i].gen = 0;
		for (uint32_t i = 0; i < GZ_SLOTS / 64; i++)
			ep->ready[i] = ep->changed[i] = 0;
		ep->owner = (int32_t)call(SYS_getpid, 0, 0, 0, 0);
		ep->owner_ns = ns;
		ep->sleepers = ep->shared = ep->lock = ep->next = ep->eager = 0;
		ep->looked = 0;
		gen = (gen | 1) + 2;
		__atomic_store_n(&ep->gen, gen, __ATOMIC_RELEASE);
		/* What was no duplicate of another may be one of this. */
		for (uint32_t n = 0; n <= KEPT->high; n++)
			if (KEPT->epoll[n] == NO_EPOLL)
				KEPT->epoll[n] = 0;
		set_epoll(fd, (gen & 0xffffff) << 8 | (k + 1));
		if (fd >= KEPT->managed)
			KEPT->managed = fd ? fd : 1;
		return ep;
	}
	return NULL;
}

/* The number is closed.  What only this process had is free again. */
static void leave_epoll(uint32_t fd)
{
	struct gz_epoll *ep = KEPT->epoll[fd] >= INNER ? NULL : epoll_of(KEPT->epoll[fd]);
	uint32_t gen;

	KEPT->epoll[fd] = 0;
	if (!ep || ep->shared || ep->owner != (int32_t)call(SYS_getpid, 0, 0, 0, 0))
		return;
	epoll_given_up(ep, (int)fd);
	gen = ep->gen;
	if (gen & 1)
		__atomic_compare_exchange_n(&ep->gen, &gen, gen + 1, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_RELAXED);
}

/* --- close() ------------------------------------------------------------------------ */

static void forget(uint32_t fd)
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

static void forget_range(uint32_t first, uint32_t last)
{
	uint32_t high = __atomic_load_n(&PRIV->high_fd, __ATOMIC_RELAXED);

	if (high < KEPT->high)
		high = KEPT->high;
	if (first == last)
		high = last;
	for (uint64_t fd = first; fd <= last && fd <= high; fd++)
		forget((uint32_t)fd);
}

/*
 * close() and its kin.  Forgotten before, or another thread would still use what
 * is being closed; and after, or one that looked in between would keep it.
 */
int closing(struct regs *r)
{
	uint32_t first = (uint32_t)r->rdi, last = first;

	if (r->rax == SYS_dup2 || r->rax == SYS_dup3)
		first = last = (uint32_t)r->rsi;
	else if (r->rax == SYS_close_range)
		last = (uint32_t)r->rsi;
	else if (r->rax != SYS_close)
		return TRAP;
	if (may_keep())
		unwatch_range(first, last);
	forget_range(first, last);
	r->rax = call(r->rax, r->rdi, r->rsi, r->rdx, r->r10);
	forget_range(first, last);
	return DONE;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * agent.h - What the agent's files share
 *
 * Theory of operation.  entry.S comes to agent.c with the registers of a system call.
 * The answer is DONE (the result is in rax), NATIVE (let the kernel run it, on the
 * shadow) or TRAP (let the engine be asked, by the program's own `syscall`).
 * Whenever something is out of the ordinary, a flag, a lock that another thread
 * holds, it is TRAP: the engine then moves the socket to the relay plane
 * (engine/plane.c) and the kernel runs the call.
 *
 * No libc, no TLS, no vector registers, no data of its own; any thread may be
 * here, at any moment, also in a signal handler that interrupted another one here.
 * No lock is held across a call that sleeps.
 */
#ifndef GZ_AGENT_H
#define GZ_AGENT_H

#include <linux/futex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include "launcher/agent/abi.h"

enum { DONE, NATIVE, TRAP };
#define AGAIN 3 /* within the agent: the plane is another one by now */

/* As entry.S pushed them. */
struct regs {
	int64_t rax;
	uint64_t r9, r8, r10, rdx, rsi, rdi, rcx;
};

/* A thread that is counted in gz_waits.waiters (held.c) */
struct waiting {
	uint32_t gen, place; /* in gz_waits.thread; GZ_WAITERS: it has none */
};

/* What a data call asks for. */
struct io {
	struct regs *r;
	int fd;
	uint32_t i; /* the slot's number */
	struct gz_slot *s;
	struct iovec one;
	const struct iovec *v;
	uint64_t nv, len;
	int flags;
	bool fault;		/* a pointer of the call's is bad */
	bool takes;		/* it is counted in gz_slot.takers ... */
	bool waits;		/* ... in gz_waits.waiters */
	bool held;		/* @fd is a duplicate of its own (held.c) */
	uint32_t take_gen;	/* as count_in() gave it */
	struct waiting waiting; /* as set_wait_begin() did */
	uint64_t mask;		/* the program's, while @held: hold_signals() */
	int64_t until;		/* ns: so long send() waits for room; 0: it has not begun */
};

/** recv() with MSG_TRUNC of a connection: bytes are taken, or counted, and not copied. */
static inline bool drops(const struct io *io)
{
	return io->r->rax == SYS_recvfrom && io->flags & MSG_TRUNC;
}

#define SH ((struct gz_shared *)GZ_AGENT_SHARED)
#define KEPT ((struct gz_agent_kept *)GZ_AGENT_KEPT)
#define PRIV ((struct gz_agent_private *)GZ_AGENT_PRIVATE)

#define NOT_OURS (-1)
#define ASK (-2)
#define SPACE_FIRST 65536	    /* vm.mmap_min_addr: no buffer is below ... */
#define SPACE_END 0x7ffffffff000ULL /* ... nor above: EFAULT is the kernel's to say */

static inline int64_t call6(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
			    uint64_t f)
{
	register uint64_t r10 __asm__("r10") = d;
	register uint64_t r8 __asm__("r8") = e;
	register uint64_t r9 __asm__("r9") = f;
	int64_t r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
}

static inline int64_t call(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	return call6(nr, a, b, c, d, 0, 0);
}

/**
 * gz_sleep() - As call6(), where the thread may wait (entry.S)
 *
 * Return: also -GZ_KICKED, which is to be the result of the agent's: it then traps.
 */
int64_t gz_sleep(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f);

/**
 * gz_ask() - Ask the engine, by a call that traps (entry.S)
 * @what:	A window, for a descriptor of its pair; or GZ_ASK_REFUSE
 *
 * Return: a descriptor; 0; -errno
 */
int64_t gz_ask(uint64_t what);

/**
 * gz_ask_about() - The same, about a descriptor that was accepted
 * @what:	GZ_ASK_ACCEPTED
 *
 * Return: as accept(), or -ENOENT: the connection is gone
 */
int64_t gz_ask_about(uint64_t what, uint64_t fd, uint64_t id, uint64_t name, uint64_t len);

/** gz_trap() - As call6(), by the engine: a call that traps, in the midst of one (entry.S) */
int64_t gz_trap(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f);

static inline uint64_t tsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

/* CLOCK_MONOTONIC */
static inline int64_t now_ns(void)
{
	struct timespec ts;

	call(SYS_clock_gettime, CLOCK_MONOTONIC, (uint64_t)&ts, 0, 0);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static inline bool in_space(uint64_t addr, uint64_t len)
{
	return addr < SPACE_END && len <= SPACE_END - addr;
}

/* --- lane.c: bytes that go to another program's memory -------------------------------- */

/** A lane, where it is mapped here */
struct lane {
	struct gz_pair_memory *pair;
	struct gz_lane_end *mine, *other;
	uint32_t end, number;
};

/** Map window @w, if it is not.  Return: false, that cannot be */
bool map_window(uint32_t w);

static inline struct gz_pair_memory *window(uint32_t w)
{
	return (struct gz_pair_memory *)(GZ_AGENT_WINDOWS + (uint64_t)w * GZ_WINDOW_STRIDE);
}

static inline bool know_window(uint32_t w)
{
	uint32_t pair = __atomic_load_n(&SH->window[w], __ATOMIC_ACQUIRE);

	return pair &&
	       (__atomic_load_n(&KEPT->window[w], __ATOMIC_ACQUIRE) == pair || map_window(w));
}

/** The lane that the slot's bytes are in.  Return: false, they are in its own rings */
static inline bool lane_of(const struct gz_slot *s, struct lane *l)
{
	uint32_t word = __atomic_load_n(&s->lane, __ATOMIC_SEQ_CST);

	if (!word || !know_window(word >> 16 & (GZ_WINDOWS - 1)))
		return false;
	l->pair = window(word >> 16 & (GZ_WINDOWS - 1));
	l->end = word >> 8 & 1;
	l->number = word & (GZ_LANES - 1);
	l->mine = &l->pair->lane[l->number][l->end];
	l->other = &l->pair->lane[l->number][!l->end];
	return true;
}

/** Where a direction's bytes are.  A lock of the slot is held, or it may be gone. */
struct ring {
	uint64_t *head, *tail;
	uint8_t *data;
	uint64_t size, base;
	struct lane lane;
	bool is_lane;
};

/** Where position @pos is in the ring's memory */
static inline uint64_t ring_at(const struct ring *r, uint64_t pos)
{
	return (pos - r->base) & (r->size - 1);
}

struct ring rx_ring(struct gz_slot *s);
struct ring tx_ring(struct gz_slot *s);

/**
 * lane_base() - The position that is at the beginning of what the lane's end sends by
 *
 * Where everything before @tail is taken that is @tail: so a few cache lines are used, over
 * and over.  tx_lock held
 */
uint64_t lane_base(const struct lane *l, uint64_t tail);
/** Bytes were sent by a lane: the other end is to know.  tx_lock held */
void lane_sent(const struct io *io, const struct lane *l);
/** What pairs have of the epoll, one after the other.  *@k: from 0 on.  Return: NULL, no more */
struct gz_lane_watch *next_watch(const struct gz_epoll *ep, uint32_t *k);
/** Bytes were taken: who waits for room is to know.  rx_lock held */
void lane_taken(const struct io *io, const struct lane *l, uint64_t room);
/** One more sleeps on the shadow, or one less: what comes brings a token, until then. */
void expect_tokens(struct gz_slot *s);
void expect_none(struct gz_slot *s, int fd);
/** gz_slot.watch was changed. */
void watch_changed(struct gz_slot *s);
/** One more thread is about to sleep in the epoll, or one less. */
void epoll_sleeps(struct gz_epoll *ep);
void epoll_wakes(struct gz_epoll *ep);
/** Is there something in a lane for the epoll? */
bool is_any_in_lanes(const struct gz_epoll *ep);
/** Mark what there is */
void gather(struct gz_epoll *ep);
/** Who waits for room from here on is told. */
void want_room(struct gz_slot *s);

/* Bytes to be read.  Without the lock there may be less by now. */
static inline uint64_t rx_used(const struct gz_slot *s)
{
	uint64_t head, n;
	struct lane l;

	if (lane_of(s, &l)) {
		head = __atomic_load_n(&l.mine->head, __ATOMIC_ACQUIRE) & ~GZ_RING_CLOSED;
		n = (__atomic_load_n(&l.other->tail, __ATOMIC_SEQ_CST) & ~GZ_RING_CLOSED) - head;
		return n <= GZ_LANE_ROOM ? n : GZ_LANE_ROOM;
	}
	head = __atomic_load_n(&s->rx_head, __ATOMIC_ACQUIRE) & ~GZ_RING_CLOSED;
	return __atomic_load_n(&s->rx_tail, __ATOMIC_SEQ_CST) - head;
}

static inline bool is_empty(const struct gz_slot *s)
{
	return !rx_used(s);
}

/** So few that it does not poll readable, unless there is more than bytes */
static inline bool is_short(const struct gz_slot *s)
{
	uint32_t least = __atomic_load_n(&s->least, __ATOMIC_RELAXED);

	return rx_used(s) < (least ? least : 1);
}

static inline uint32_t tx_room(const struct gz_slot *s)
{
	uint64_t tail, n;
	struct lane l;

	if (lane_of(s, &l)) {
		tail = __atomic_load_n(&l.mine->tail, __ATOMIC_RELAXED) & ~GZ_RING_CLOSED;
		n = tail - (__atomic_load_n(&l.other->head, __ATOMIC_SEQ_CST) & ~GZ_RING_CLOSED);
		return n <= GZ_LANE_ROOM ? GZ_LANE_ROOM - (uint32_t)n : 0;
	}
	tail = __atomic_load_n(&s->tx_tail, __ATOMIC_RELAXED) & ~GZ_RING_CLOSED;
	return GZ_SLOT_RING - (uint32_t)(tail - __atomic_load_n(&s->tx_head, __ATOMIC_SEQ_CST));
}

/* --- doze.c: a sleep that the other end ends -------------------------------------------- */

/** Where a thread is about to doze */
struct doze {
	struct gz_bell *bell;
	uint32_t count;
};

/** Wake who dozes at @b.  Nothing, if nobody does */
static inline void ring_bell(struct gz_bell *b)
{
	if (gz_bell_wants(b))
		call(SYS_futex, (uint64_t)&b->count, FUTEX_WAKE, INT32_MAX, 0);
}

/**
 * doze_on_slot(), doze_on_epoll() - From here on whoever has news for it rings
 *
 * The caller looks once more, and calls doze().  It may as well not.
 * Return: false, there is more than one place from where news may come
 */
void doze_on_slot(struct doze *d, struct gz_slot *s);
bool doze_on_epoll(struct doze *d, struct gz_epoll *ep);
/**
 * doze() - Sleep until there may be something, for DOZE_US at most
 * @us:		microseconds
 * @restarts:	a signal's handler with SA_RESTART does not end it, as recv(2); else any does
 *
 * Return: 1, look again; 0, the time is over; -EINTR, -GZ_KICKED
 */
int64_t doze(const struct doze *d, uint32_t us, bool restarts);
/** Wake who dozes on the epoll. */
void ring_epoll(struct gz_epoll *ep);

/* --- fds.c: what a number means ------------------------------------------------- */

/** Return: the slot of @fd, NOT_OURS or ASK: the engine must be asked */
int lookup(uint32_t fd);
/**
 * is_told() - Need the engine not be told that an epoll has @fd, of which lookup() says NOT_OURS?
 * @seen:	For set_told(), once it was told
 *
 * It is no socket, or none that has come to the rings since the engine knows of an epoll.
 */
bool is_told(uint32_t fd, uint64_t *seen);
void set_told(uint32_t fd, uint64_t seen);
/** Of a number that is NOT_OURS: it is a TCP socket all the same, which is not connected. */
static inline bool is_fresh(uint32_t fd)
{
	return fd < GZ_FD_MAX &&
	       (__atomic_load_n(&PRIV->fd[fd], __ATOMIC_RELAXED) & 0xffff) == GZ_FD_FRESH;
}
/** @fd is new in this process, and slot @i's. */
void learn(uint32_t fd, uint32_t i);
/** May this process keep something in PRIV?  A vfork() child may not. */
bool may_keep(void);
/** close() and its kin */
int closing(struct regs *r);
/** The number is being closed, or was: it means what the kernel says. */
void forget_number(uint32_t fd);
/** The epoll that @fd is, if sockets in the rings are in it; NULL */
struct gz_epoll *managed(uint32_t fd);
/** As in gz_slot.watch */
static inline uint32_t index_of(const struct gz_epoll *ep)
{
	return (uint32_t)(ep - SH->epoll) + 1;
}
/** The same, made if there is none.  NULL: there is no room for one more */
struct gz_epoll *manage(uint32_t fd);

/** Are two numbers of one file?  Return: 0, yes; above 0, no; -errno of kcmp(2) */
int64_t compare_files(uint32_t fd, uint32_t other);
/** @fd may be an epoll that others wait for: what it gets later must wake them. */
void note_inner(uint32_t fd);
bool is_inner(uint32_t fd);

/* --- left.c: sockets that left the rings -------------------------------------------- */

/** Count this thread in a word of a slot (GZ_COUNT).  Return: what count_out() is to have */
uint32_t count_in(uint64_t *word);
/** Count it out, unless the slot is another socket's by now. */
void count_out(uint64_t *word, uint32_t gen);

/** It may be about to come back: a moment.  Return: false, the engine does not go on */
bool await_back(const struct gz_slot *s);
/**
 * left_begin() - This thread may be in a call on the shadow until left_end()
 * @plane:	Of that direction
 * @gen:	What left_end() is to have
 *
 * Return: false, it came back, or is about to
 */
bool left_begin(struct gz_slot *s, const uint32_t *plane, uint32_t *gen);
void left_end(struct gz_slot *s, uint32_t gen);
/** Ask the engine whether it comes back, if it is time. */
void ask_back(int fd, struct gz_slot *s);
/** The kernel's call.  Return: DONE, with rax, or AGAIN */
int left_call(struct io *io, bool receives);

/* --- held.c: calls that go on after their number was closed --------------------------- */

/** Does the number lead to slot @i's socket still? */
static inline bool is_number_of(int fd, uint32_t i)
{
	return lookup((uint32_t)fd) == (int)i;
}

/**
 * wait_begin() - The call may wait from here on, until wait_end()
 *
 * Whoever closes its number meanwhile waits until it has a duplicate, which is io->fd then.
 * Twice is once.
 */
void wait_begin(struct io *io);
void wait_end(struct io *io);
/** What it does now nobody waits for, who may close the number: if it was counted it has a
 * duplicate. */
void wait_goes_on(struct io *io);
/** It goes on, and may wait again: it takes the duplicate, if it is waited for. */
void wait_pause(struct io *io);
/** The number is being closed, and this thread is waited for: it must not sleep. */
bool is_held_up(const struct io *io);
/**
 * let_go() - A call that has a duplicate is over, which is closed
 * @rc:	What remains to be done, NATIVE or TRAP, is done here: the program's number is not its own
 *
 * Return: DONE
 */
int let_go(struct io *io, int rc);

/** The same, of one of several sockets: wait_begin() and wait_end() of slot @i */
struct waiting set_wait_begin(uint32_t i);
void set_wait_end(uint32_t i, const struct waiting *me);
bool is_set_held_up(uint32_t i);
/** A duplicate, by a number that no program expects to get.  Return: -1, there is none */
int duplicate(int fd);
void close_duplicate(int fd);
/**
 * hold_signals() - A duplicate is this call's from here on, and who closed the number may send a
 * signal
 * @mask:	The program's; it is to be that of whatever sleeps until release_signals()
 *
 * That signal is to end the call, as it would the kernel's, wherever in the agent the thread is.
 */
void hold_signals(uint64_t *mask);
void release_signals(const uint64_t *mask);
/** The same of a call that is held, before a sleep that cannot have its mask.  Return: false, one
 * came: -EINTR */
bool let_signals(struct io *io);
/** Until the shadow of a call that is held can be read, or @us have passed; -1: for ever.  Return:
 * as ppoll() */
int64_t sleep_held(const struct io *io, int64_t us);
/** @fd, of slot @i's socket, is about to be closed: calls of this process that wait there go on. */
void hand_over(int fd, uint32_t i);

/**
 * epoll_enter() - This thread uses the memory of the epoll @epfd, until epoll_exit()
 *
 * Return: its memory; NULL: it has none.  *@gen: for the others
 */
struct gz_epoll *epoll_enter(uint32_t epfd, uint32_t *gen);
/** Return: the epoll was closed, and this was its last user: who is to give it up */
bool epoll_exit(struct gz_epoll *ep, uint32_t gen);
/** As wait_begin(), wait_end(), is_held_up() and hand_over() */
struct waiting epoll_wait_begin(const struct gz_epoll *ep, uint32_t gen);
void epoll_wait_end(const struct gz_epoll *ep, const struct waiting *me);
bool is_epoll_held_up(const struct gz_epoll *ep);
void epoll_hand_over(struct gz_epoll *ep, int epfd);
/** Is it an event by which epoll_hand_over() wakes those who wait? */
bool is_hand_over(const struct gz_epoll *ep, uint64_t data);
/** Nobody gets to it by its number any more.  Return: nor uses it; else its last user gives it up
 */
bool epoll_is_unused(struct gz_epoll *ep);
/**
 * give_free() - Nobody has it, nor uses it: others may have its memory
 * @epfd:	As epoll_given_up()
 *
 * Where another thread has its lock for too long the next one who needs memory does it.
 */
void give_free(struct gz_epoll *ep, int epfd);

/* --- memory.c: which of the program's memory can be used ----------------------------- */

#define MAY_READ 1
#define MAY_WRITE 2

/** Is page @page (an address without its last 12 bits) known to be so? */
static inline bool is_known(uint64_t page, uint32_t how)
{
	uint64_t e = __atomic_load_n(&PRIV->page[page % GZ_PAGES], __ATOMIC_RELAXED);

	return e >> 2 == page && e & how;
}

/** As memory(), of pages that are not known */
uint64_t ask_memory(uint64_t addr, uint64_t n, uint32_t how);

/**
 * memory() - How many of @n bytes at @addr can be accessed, before one cannot
 * @how:	MAY_READ or MAY_WRITE
 *
 * No lock is held.  It holds until the program unmaps them.
 */
static inline uint64_t memory(uint64_t addr, uint64_t n, uint32_t how)
{
	if (!n || (is_known(addr >> 12, how) && (addr + n - 1) >> 12 == addr >> 12))
		return n;
	return ask_memory(addr, n, how);
}

/** Can all of them be? */
static inline bool is_memory(uint64_t addr, uint64_t n, uint32_t how)
{
	return memory(addr, n, how) == n;
}

/** Will the kernel take that as the mask of a call that waits?  set_user_sigmask(), which is first
 */
static inline bool is_mask(uint64_t addr, uint64_t size)
{
	return !addr || (size == sizeof(uint64_t) && in_space(addr, size) &&
			 is_memory(addr, size, MAY_READ));
}

/** memory() of a call's vectors, from byte @skip of all of them on */
uint64_t vectors_memory(const struct io *io, uint64_t skip, uint64_t n, uint32_t how);
/** munmap() and its kin: pages are not what they were */
int mapping_call(const struct regs *r);

/* --- ring.c: bytes ---------------------------------------------------------------- */

int receive(struct io *io);
int transmit(struct io *io);
bool lock(uint32_t *l);
void unlock(uint32_t *l);
/** The same for who closes the socket: by then the slot may be another one's, and locked again.
 * @who: LOCK_CLOSES */
#define LOCK_CLOSES 3 /* the engine has 2 */
bool lock_as(uint32_t *l, uint32_t who);
void unlock_as(uint32_t *l, uint32_t who);
/** Tell the worker to look at the slot.  A lock of the slot is held: see engine/plane.c */
void tell_worker(const struct io *io);
/** Bytes were committed to the tx ring @r.  tx_lock held */
void tx_told(const struct io *io, const struct ring *r);
/**
 * is_moving() - A ring was closed: do its bytes go elsewhere from now on?
 *
 * That takes a moment, which is waited for.  Return: false, it was closed for good
 */
bool is_moving(struct gz_slot *s, bool receives);
/** SO_ERROR is told now, and never again.  Return: negative, 0: none */
int64_t take_error(const struct io *io);
/** An error that the next call is to have: it stays SO_ERROR, where that is the slot's */
void keep_error(const struct io *io, int64_t r);
/** send() after the end: as DONE, NATIVE or TRAP */
int sends_no_more(const struct io *io);
/** Until there is room for @need bytes.  Return: 0 to try again, -EINTR, -EAGAIN when the time is
 * over, or -1: not in the ring */
int64_t await_room(struct io *io, uint64_t need);
/** A send() that may not wait found less room than @need.  Return: 0 to try again, -EAGAIN, and who
 * waits for room is woken, or -1: not in the ring */
int64_t no_room(struct gz_slot *s, uint64_t need);
/** send() with MSG_OOB is the engine's, once there is room.  Return: DONE or TRAP */
int await_urgent_room(struct io *io);
/** Have the worker look at slot @i, whose number is @fd, and send a token, GZ_POKE_*. */
void ask_for_token(int fd, uint32_t i, uint32_t poke);
/** Tokens without bytes lie in the shadow: take them.  Return: false, a lock is held */
bool take_stale_token(int fd, uint32_t i);

static inline void copy(void *dst, const void *src, uint64_t n)
{
	uint8_t *d = dst;
	const uint8_t *s = src;

	if (n > 256) {
		__asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n)::"memory");
		return;
	}
	for (; n >= 8; n -= 8, d += 8, s += 8)
		__builtin_memcpy(d, s, 8);
	for (; n; n--)
		*d++ = *s++;
}

/** Copy between the vectors from byte @skip on and @r's bytes from @pos on.  Return: where it ends
 */
uint64_t copy_out(const struct io *io, const struct ring *r, uint64_t skip, uint64_t pos,
		  uint64_t n);
uint64_t copy_in(const struct io *io, const struct ring *r, uint64_t skip, uint64_t pos,
		 uint64_t n);
/** What its rings are full of must be taken as such. */
static inline bool has_datagrams(const struct gz_slot *s)
{
	return __atomic_load_n(&s->kind, __ATOMIC_RELAXED) == GZ_KIND_DATAGRAMS;
}
/** The ring is empty: the shadow is to be, too.  rx_lock held */
void settle(const struct io *io);
/**
 * await_arrival() - Wait until there is something in the empty rx ring
 * @dozes:	It may doze first
 *
 * Return: 2, look again; 1, the same, for something came into the shadow; else the call's
 * result, which the shadow has
 */
int64_t await_arrival(struct io *io, bool dozes);

/* --- datagram.c: what is sent and received whole ------------------------------------- */

/** Calls of a socket whose rings are of datagrams */
int datagram_call(struct io *io);
/** Bytes of the next one, 0 without one */
uint32_t next_datagram(const struct gz_slot *s);
/** Wait until what this client's programs have sent is handed on. */
void await_sending(void);
/** Wake the worker, which sleeps, by the socket of @io */
void ring_engine(const struct io *io);

/* --- message.c: control messages of datagrams ------------------------------------------- */

/** Where recvmsg()'s go: what is left of the program's room, and MSG_CTRUNC */
struct control {
	uint64_t at, left;
	int flags;
};

/** What @h says that the socket of @d asks for */
void tell_control(const struct gz_dgram_slot *d, const struct gz_dgram_head *h, struct control *c);
/**
 * read_control() - What the control messages of @m say of a datagram, into @h
 * @v4:	It goes to an IPv4 address
 *
 * Return: false, the engine is to look at them
 */
bool read_control(struct gz_dgram_slot *d, const struct msghdr *m, bool v4,
		  struct gz_dgram_head *h);
/** Where it may be sent to, of those that are known; NULL: it is none of them.  datagram.c */
struct gz_dgram_end *known_end(struct gz_dgram_slot *d, const struct gz_dgram_end *e);
/** An IPv4 address in its mapped form? */
static inline bool is_mapped(const uint8_t addr[16])
{
	uint64_t first;
	uint32_t then;

	__builtin_memcpy(&first, addr, 8);
	__builtin_memcpy(&then, addr + 8, 4);
	return !first && then == 0xffff0000;
}

/* --- agent.c ------------------------------------------------------------------------ */

/** The vectors of a call with bytes, or of message @m.  Return: false, io->fault, or the
 * kernel is to judge them */
bool vectors(struct io *io);
bool message_vectors(struct io *io, struct msghdr *m, bool receives);

/** A call with bytes, or a message, of a connection.  Return: DONE, NATIVE or TRAP */
int stream_call(struct io *io);

/* --- many.c: several messages ------------------------------------------------------------ */

/** recvmmsg() and sendmmsg() of a connection, io->flags are theirs */
int stream_many(struct io *io);
/** recvmmsg()'s time.  Return: false, it is bad; *@until: ns, 0: it has none */
bool read_limit(uint64_t addr, int64_t *until);
/** What is left of it, none below 0.  Return: false, nothing is */
bool write_limit(uint64_t addr, int64_t until);

/* --- file.c ------------------------------------------------------------------------- */

/** sendfile() */
int send_file(struct io *io);

/* --- control.c, accept.c: calls that are about a socket as such ------------------------ */

bool is_nonblocking(int fd);
/** accept() and accept4() */
int accept_call(struct regs *r);
/** Natively it would be about the shadow */
bool is_control(const struct regs *r);
int control_call(struct regs *r);
/** What the engine answers to a call that never waits, whatever signals come.  Return: DONE */
int short_call(struct regs *r);

/* --- wait.c: before one sleeps ------------------------------------------------------ */

struct spin {
	uint64_t start, end;
};

void spin_begin(struct spin *sp);
/** Return: false, it is time to sleep */
bool spin_more(struct spin *sp);
/** @found: was it worth it? */
void spin_end(struct spin *sp, bool found);

/* --- ready.c, epoll.c, epoll_ctl.c: readiness ------------------------------------------- */

/** What poll() says of slot @i at @fd, about @mask and errors */
uint32_t events_of(int fd, uint32_t i, uint32_t mask);
bool in_rings(const struct gz_slot *s);
/** The kernel said so of its shadow.  Return: whether that is news */
bool news_of(uint32_t i, uint32_t events);
int ready_call(struct regs *r);
int epoll_call(struct regs *r);
/** @fd is being closed in this process. */
void unwatch(uint32_t fd);
/** Whoever waits natively on the epoll @epfd, or on what it is in, sees tokens from now on. */
void epoll_loud(struct gz_epoll *ep, int epfd);
/** Its epoll is to look at the slot. */
static inline void mark_ready(struct gz_epoll *ep, uint32_t i)
{
	__atomic_fetch_or(&ep->ready[i / 64], 1ULL << i % 64, __ATOMIC_SEQ_CST);
}
/** A socket of which the epoll may be about to tell, or -1 */
int ready_one(const struct gz_epoll *ep);
/** There may be more than this thread takes: another one that sleeps is woken for it. */
void pass_on(struct gz_epoll *ep);
/** Its number is closed, and others may have it: the kernel alone has it from now on, by @epfd,
 * -1: this process has no number of it.  Locked */
void epoll_given_up(struct gz_epoll *ep, int epfd);
/** The kernel's epolls of this process are as the program has them, from now on. */
void epolls_native(void);

int gz_agent(struct regs *r);

#endif

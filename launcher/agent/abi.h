/* SPDX-License-Identifier: BSD-3-Clause
 *
 * abi.h - The boundary between the agent in a program and who stands outside
 *
 * Two parts.  The *region* is at one address in every process, so that the filter
 * can tell the agent's own system calls by their address; gazelle-run fills it
 * (inject.c) and keeps there what it must know of the process, so that fork()
 * copies it and exec() forgets it without anybody's doing.  The *shared memory* is
 * one sealed memfd a client, made by the engine; whatever the engine reads there
 * may be any bits at all.  Two clients with connections between them share another one,
 * a *pair*, whose lanes their agents move bytes through themselves.
 *
 * Positions in a byte ring count bytes for ever.  Each side keeps what it owns:
 * the producer its tail, the consumer its head.  The agents' two words, rx.head and
 * tx.tail, are committed by compare-and-swap, and the engine closes a ring by
 * setting GZ_RING_CLOSED in that word: from then on no commit succeeds, what was
 * committed before is exact, and no lock of a program's needs to be waited for.
 *
 * Also read by the assembler.
 */
#ifndef GZ_AGENT_ABI_H
#define GZ_AGENT_ABI_H

#define GZ_AGENT_VERSION 14
#define GZ_AGENT_MAGIC 0x31746e6567417a47 /* "GzAgent1" */

/* --- the region ---------------------------------------------------------- */

#define GZ_AGENT_BASE 0x2f0000000000
#define GZ_AGENT_NRTAB (GZ_AGENT_BASE + 0x1e000) /* a byte a call, GZ_NR_* */
#define GZ_AGENT_BOOK (GZ_AGENT_BASE + 0x1f000)	 /* struct gz_agent_book */
#define GZ_AGENT_SITES (GZ_AGENT_BASE + 0x20000)
#define GZ_AGENT_TEXT_SIZE 0x20000		 /* code, table and book */
#define GZ_AGENT_EXEMPT_SIZE 0x40000		 /* text and site blocks: system calls pass */
#define GZ_AGENT_KEPT (GZ_AGENT_BASE + 0x100000) /* struct gz_agent_kept */
#define GZ_AGENT_KEPT_SIZE 0x41000
#define GZ_AGENT_PRIVATE (GZ_AGENT_BASE + 0x200000)
#define GZ_AGENT_PRIVATE_SIZE 0x8c000
#define GZ_AGENT_STACKS (GZ_AGENT_BASE + 0x1000000) /* where a Go site was patched */
#define GZ_AGENT_STACKS_SIZE (GZ_STACKS * GZ_STACK_SIZE)
#define GZ_AGENT_SHARED (GZ_AGENT_BASE + 0x10000000)
#define GZ_AGENT_WINDOWS (GZ_AGENT_BASE + 0x20000000) /* where pairs are mapped */
#define GZ_AGENT_END (GZ_AGENT_WINDOWS + GZ_WINDOWS * GZ_WINDOW_STRIDE)

#define GZ_AGENT_SYSCALL (GZ_AGENT_BASE) /* a bare `syscall`, for gazelle-run */
#define GZ_AGENT_ASK                                                                               \
	(GZ_AGENT_BASE + GZ_AGENT_EXEMPT_SIZE) /* a `syscall` that traps, and `ret`                \
						*/
#define GZ_AGENT_CODE_SIZE (GZ_AGENT_EXEMPT_SIZE + 0x1000)
#define GZ_AGENT_ENTRY (GZ_AGENT_BASE + 16)
#define GZ_AGENT_ENTRY_GO (GZ_AGENT_BASE + 0x200)

/*
 * Where the agent sleeps: gz_sleep() has its `syscall` just before this.  Whoever is to
 * leave the agent returns with -GZ_KICKED from there.
 */
#define GZ_AGENT_SLEPT (GZ_AGENT_BASE + 0x60)
#define GZ_KICKED 4000

/* A site block: entry at 0, the exempt `syscall` at 16, four addresses. */
#define GZ_SITE_SIZE 64
#define GZ_SITE_NATIVE 16
#define GZ_SITE_AFTER 32  /* past the program's `syscall` */
#define GZ_SITE_TRAP 40	  /* the program's `syscall` */
#define GZ_SITE_AT 48	  /* the jump that was written ... */
#define GZ_SITE_ISLAND 56 /* ... and where it leads */
#define GZ_SITE_JUMP 5	  /* its bytes */

/* A goroutine's stack has no room for us.  One of these has, while its first word says so. */
#define GZ_STACK_SIZE 0x10000
#define GZ_STACKS_LOG2 8
#define GZ_STACKS (1 << GZ_STACKS_LOG2)
#define GZ_STACK_BUSY 0
#define GZ_STACK_TRIES 32 /* from the first of the processor's on */
#define GZ_STACKS_APART 8 /* processors begin so far apart */
/* Its limit has the processor's number: vdso_read_cpunode() */
#define GZ_CPU_SELECTOR 0x7b

#define GZ_NR_MAX 512
#define GZ_NR_NATIVE 0 /* never ours */
#define GZ_NR_DATA 1   /* ours, if the first argument is */
#define GZ_NR_TRAP 2   /* the filter decides, at the program's own `syscall` */
#define GZ_NR_CLOSE 3  /* changes what a number means */
#define GZ_NR_READY 4  /* readiness and its descriptors: always looked at */
#define GZ_NR_MAP 5    /* changes what an address means: the same */

/* Descriptors by number, 8 bytes each, at GZ_AGENT_PRIVATE + 4096. */
#define GZ_FD_MAX 65536
#define GZ_FD_TABLE (GZ_AGENT_PRIVATE + 4096)
#define GZ_FD_UNKNOWN 0 /* ask fstat(2) */
#define GZ_FD_FILE 1	/* no socket */
#define GZ_FD_SOCKET 2	/* not ours at the epoch it carries */
#define GZ_FD_POISON 3	/* its close may be missed: trap */
#define GZ_FD_FRESH 4	/* a TCP socket that is not connected, at the epoch it carries */
#define GZ_FD_TOLD 5	/* as GZ_FD_SOCKET, and the engine knows that an epoll has had it */
#define GZ_FD_SLOT 6	/* and above: slots */

#define GZ_WAITING 32
#define GZ_PAGES 256 /* of the program's memory that are known to be good */

/* --- shared memory ------------------------------------------------------- */

#define GZ_SLOTS 1024
#define GZ_SLOT_RING 65536
#define GZ_SLOT_WRITABLE (GZ_SLOT_RING / 3) /* room from which one polls writable */
#define GZ_LEAST_MAX (GZ_SLOT_RING / 2)	    /* of gz_slot.least */
#define GZ_FRESH_SETS 1024
#define GZ_FRESH_PLACES 8 /* of each */
#define GZ_EPOLLS 64
#define GZ_WINDOWS 64 /* pairs that a client has */
#define GZ_LANES 256  /* of a pair */
#define GZ_LANE_RING 524288
#define GZ_LANE_ROOM 393216 /* of it: what a slot's rings and the engine's hold (engine/lane.c) */
#define GZ_PAIR_DATA 0x40000
#define GZ_PAIR_SIZE (GZ_PAIR_DATA + GZ_LANES * 2 * GZ_LANE_RING)
#define GZ_WINDOW_STRIDE 0x11000000ULL
#define GZ_RING_CLOSED (1ULL << 63)

#define GZ_PLANE_RING 0	  /* bytes are in the rings */
#define GZ_PLANE_TRAP 1	  /* go to the engine, by a trap */
#define GZ_PLANE_NATIVE 2 /* bytes are in the shadow */
#define GZ_PLANE_OVER 3	  /* there will be none any more: gz_slot.so_error, then the end */
#define GZ_PLANE_NONE 4	  /* a listener has none */
#define GZ_PLANE_BACK 5	  /* it comes back to the rings, which takes a moment, or does not */

/* gz_slot.news: what only the shadow can say */
#define GZ_NEWS_CONNECTING 1
#define GZ_NEWS_END 2	/* end of file */
#define GZ_NEWS_OVER 4	/* an error, or nobody is there any more */
#define GZ_NEWS_ERROR 8 /* of datagrams: an error, which one call is to have */

/* gz_slot.kind: of what its rings are full */
#define GZ_KIND_BYTES 0
#define GZ_KIND_DATAGRAMS 1 /* struct gz_dgram_head, its bytes; GZ_DGRAM_ALIGN */

/* gz_dgram_slot.flags */
#define GZ_DGRAM_CONNECTED 1 /* send() knows to whom */
#define GZ_DGRAM_V6 2	     /* the shadow's peer is an IPv6 address: so must be the bell's */
#define GZ_DGRAM_PROVEN 4    /* the peer takes what comes; else send() waits for its refusal */
#define GZ_DGRAM_GONE 8	     /* its own address is nobody's: what it sends is refused */

/* gz_dgram_slot.control: what recvmsg() is to tell beside the bytes */
#define GZ_CONTROL_PKTINFO 1 /* IP_PKTINFO */
#define GZ_CONTROL_TTL 2     /* IP_RECVTTL */
#define GZ_CONTROL_TOS 4     /* IP_RECVTOS */
#define GZ_CONTROL_PKTINFO6 8
#define GZ_CONTROL_HOPS 16
#define GZ_CONTROL_CLASS 32

/* gz_dgram_head.flags */
#define GZ_DGRAM_TO 1	 /* tx: to @end, else to the peer */
#define GZ_DGRAM_REPLY 2 /* rx: who has sent it may be sent to */
#define GZ_DGRAM_AWAY 4	 /* rx: it is too large for the ring, and the engine has it */
#define GZ_DGRAM_LO 8	 /* rx: by the interface lo */
#define GZ_DGRAM_FROM 16 /* tx: from @local, else from where the socket is bound */
#define GZ_DGRAM_TTL 32	 /* tx: with @ttl, else with the socket's */
#define GZ_DGRAM_TOS 64	 /* tx: with @tos, the same */
#define GZ_DGRAM_BY 128	 /* tx: by the interface @iface, else as routes say */

#define GZ_DGRAM_ALIGN 16
#define GZ_DGRAM_MAX 32768 /* bytes of one that goes by the tx ring */
#define GZ_DGRAM_SETS 32   /* of destinations, by their hash */
#define GZ_DGRAM_WAYS 4
#define GZ_DGRAM_OWN 4
#define GZ_BELL_PORT 2001	  /* GZ_ALIAS_PORT */
#define GZ_DGRAM_INDEX 1000000000 /* GZ_IFACE_INDEX, of the stack's first interface; lo has 1 */

#define GZ_POKE_BYTES 1 /* if there are bytes */
#define GZ_POKE_ANY 2	/* for an agent that sleeps: whatever is there */

/* Options that an agent may set, gz_slot.option */
#define GZ_SET_NODELAY 0
#define GZ_SET_KEEPALIVE 1
#define GZ_SET_KEEPIDLE 2
#define GZ_SET_KEEPINTVL 3
#define GZ_SET_KEEPCNT 4
#define GZ_SET_CORK 5 /* gz_slot.far */
#define GZ_SETS 6

/* gz_lane_end.full: whom to tell of room */
#define GZ_FULL_TELL 1 /* the worker */
#define GZ_FULL_RING 2 /* the bell */

#define GZ_WATCH_LOUD UINT32_MAX /* gz_slot.watch: each arrival brings a token */

/*
 * getsockopt() at this level, from GZ_AGENT_ASK, is the agent's: a descriptor of the pair
 * whose window is the option; with GZ_ASK_REFUSE no lanes are wanted any more.
 */
#define GZ_SOL_AGENT 0x677a6c00
#define GZ_ASK_REFUSE 0x10000
#define GZ_ASK_ACCEPTED 0x20000 /* and SOCK_*; above 32 bits, the listener: see gz_knock */
#define GZ_ASK_BACK 0x40000	/* the socket may come back, see gz_slot.back */
#define GZ_ASK_LINGERS 0x80000	/* does its close() wait?  See gz_plane_lingers() */
#define GZ_ASK_WAKE 0x100000	/* a worker sleeps though a slot of its is dirty */
#define GZ_PEER 28		/* struct sockaddr_in6 */

#ifndef __ASSEMBLER__
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gz_agent_island {
	uint64_t base;
	uint32_t used, size;
};

#define GZ_SITES_MAX ((GZ_AGENT_EXEMPT_SIZE - GZ_AGENT_TEXT_SIZE) / GZ_SITE_SIZE)
#define GZ_ISLANDS 16
#define GZ_FAILED_SITES 128
#define GZ_RETIRED 100

/** Written by gazelle-run only, read by the engine too. */
struct gz_agent_book {
	uint64_t magic;
	uint32_t version;
	uint32_t nsites;
	uint32_t nislands;
	uint32_t nfailed;
	uint32_t stacks;  /* are mapped */
	uint32_t retired; /* GZ_RETIRED: the agent is for no more calls; else tries */
	struct gz_agent_island island[GZ_ISLANDS];
	uint64_t failed[GZ_FAILED_SITES]; /* sites that cannot be patched */
};

/** A site's block, as data. */
struct gz_agent_block {
	uint8_t code[GZ_SITE_AFTER - 8];
	uint8_t was[8]; /* in place of the jump */
	uint64_t after, trap, at, island;
};

/** gz_block_leads() - Is the jump to @b still what was written?  @bytes: what is at @b->at */
static inline bool gz_block_leads(const struct gz_agent_block *b, const uint8_t bytes[GZ_SITE_JUMP])
{
	int32_t rel;

	__builtin_memcpy(&rel, bytes + 1, sizeof(rel));
	return bytes[0] == 0xe9 && b->at + GZ_SITE_JUMP + (uint64_t)(int64_t)rel == b->island;
}

#define GZ_REFUSED 64

/** What stands in gz_agent_kept.refused for call @nr of descriptor @fd; not 0 */
static inline uint64_t gz_refused_key(int nr, uint32_t fd)
{
	return 1ULL << 63 | (uint64_t)nr << 32 | fd;
}

static inline unsigned gz_refused_index(uint64_t key)
{
	return (unsigned)(key % GZ_REFUSED);
}

/** As fork() copies it. */
struct gz_agent_kept {
	uint32_t quiet;	  /* the engine's: a sandbox was entered, make no call of your own */
	uint32_t managed; /* an epoll of this process, or of one that it came from, ever was */
	uint32_t high;	  /* no epoll[] above is known */
	uint32_t pad0;
	uint64_t refused[GZ_REFUSED]; /* calls that the agent has left to the engine */
	uint64_t scratch[4];	      /* gazelle-run's, while the process is stopped */
	uint32_t window[GZ_WINDOWS];  /* which pair is mapped there; as gz_shared.window */
	uint8_t pad[4048 - 8 * GZ_REFUSED - 4 * GZ_WINDOWS];
	uint32_t epoll[GZ_FD_MAX]; /* gen:24, index + 1:8, of a descriptor; 0: not known */
};

/**
 * Threads that are counted: gen:32, count:32.  Who was counted may be late, when the word is about
 * another socket: that one has another number, and is not told of it.
 */
#define GZ_COUNT(word) ((uint32_t)(word))

#define GZ_WAITERS 3

/** This process's threads that wait in calls on a slot's socket, or an epoll (held.c) */
struct gz_waits {
	uint64_t waiters; /* GZ_COUNT: their calls are to go on, should the number be closed */
	uint64_t users;	  /* GZ_COUNT: of an epoll, whose memory they use.  GZ_GIVEN_UP */
	uint32_t closing; /* threads that close a number of it */
	uint32_t thread[GZ_WAITERS]; /* who they are, of some; 0: none */
};

#define GZ_GIVEN_UP 0x80000000u /* the last user is to free it */

/** Zero again in a child (MADV_WIPEONFORK). */
struct gz_agent_private {
	int32_t owner;	   /* whose descriptors fd[] is about */
	uint32_t high_fd;  /* none above is known */
	uint32_t spinners; /* threads that spin now */
	int32_t luck;	   /* of spinning, lately */
	uint64_t hog;	   /* TSC: until then somebody else wants the core */
	uint32_t natives;  /* threads of which waiting[] has none */
	uint32_t hog_us;   /* for how long one does not spin then */
	uint32_t map_lock; /* the thread that maps a pair */
	uint32_t hog_row;  /* yields in a row that took long */
	/* fd:32, threads:32; they wait on an epoll without sockets in the rings */
	uint64_t waiting[GZ_WAITING];
	uint8_t pad[4056 - 8 * GZ_PAGES - 8 * GZ_WAITING];
	uint64_t page[GZ_PAGES];	  /* address >> 12:62, MAY_*:2; 0: none */
	uint64_t fd[GZ_FD_MAX];		  /* closes:16, stamp:32, kind:16 */
	uint64_t watched[GZ_FD_MAX / 64]; /* a bit: this process put it into an epoll */
	struct gz_waits waits[GZ_SLOTS], epoll_waits[GZ_EPOLLS];
	uint8_t pad1[2048];
};

/**
 * Where one dozes: asleep in futex(2) on @count, for a moment only, so that no more is lost
 * than that if nobody rings.  Who dozes sets @wanted, and looks once more.  Who has news
 * clears it, counts up, and wakes them.
 */
struct gz_bell {
	uint32_t wanted;
	uint32_t count;
};

struct gz_slot {
	/* the engine's */
	_Alignas(64) uint32_t gen; /* odd: in use */
	uint32_t rx_plane, tx_plane;
	uint32_t rx_full;  /* it waits for room */
	uint32_t news;	   /* GZ_NEWS_*; agents add what they see */
	uint32_t timed;	   /* it has SO_RCVTIMEO */
	uint32_t nonblock; /* O_NONBLOCK of the shadow; who sets the one sets the other */
	uint32_t lane;	   /* where its bytes are instead of its rings: gz_lane_word(); 0: none */
	uint32_t so_error; /* SO_ERROR: who tells of it takes it */
	uint32_t kind;	   /* GZ_KIND_* */
	uint32_t far;	   /* no byte of it goes past TCP */
	uint32_t least;	   /* SO_RCVLOWAT: bytes from which it polls readable; 0: 1 */
	uint64_t send_us;  /* SO_SNDTIMEO; 0: send() waits for ever */
	_Alignas(64) uint64_t rx_tail;
	_Alignas(64) uint64_t tx_head;
	/* the agents', and GZ_RING_CLOSED the engine's */
	_Alignas(64) uint64_t rx_head;
	_Alignas(64) uint64_t tx_tail;
	/* both */
	_Alignas(64) uint32_t token; /* bytes that lie in the shadow, or are on their way */
	_Alignas(64) uint32_t rx_lock;
	uint32_t tx_lock;
	uint32_t debt;	  /* under rx_lock: tokens that were to be taken and had not come yet */
	int32_t error;	  /* of the shadow, read before the bytes that came first; negative */
	uint32_t watch;	  /* the epoll that is told, + 1; 0: none; GZ_WATCH_LOUD */
	uint32_t want;	  /* so many sleep on the shadow: a token, please */
	uint32_t poke;	  /* GZ_POKE_*: a token, please */
	uint32_t tx_want; /* somebody waits for room */
	uint32_t leave;	  /* the rings cannot serve it: it is to leave */
	uint32_t no_lane; /* its lane holds what cannot be */
	uint32_t room;	  /* counts up when there is room; futex(2) */
	uint32_t set;	  /* bits: options that were set, and that the engine has not taken */
	int32_t option[GZ_SETS];
	struct gz_bell bell;
	/* of a listener, whose rings are nobody's */
	uint32_t listens;   /* its shadow has connections that an agent may accept */
	uint32_t offered;   /* so many ever came: the engine's */
	uint32_t taken;	    /* and so many were accepted: the agents' */
	uint32_t accepting; /* threads that sleep in accept() */
	/* of a connection that was offered */
	uint64_t offer; /* what its knock has as its id */
	uint32_t peer_len;
	uint8_t peer[GZ_PEER]; /* the address that accept() gives */
	int32_t fd;	       /* its number where it was accepted: the agent's */
	uint32_t linger;       /* SO_LINGER, s; 0: close() does not wait.  The engine's */
	/* Threads (GZ_COUNT; the engine sets the gen) that sleep in recv(), or did and have not
	 * looked at the ring since: who has closed the number has not left what is unread. */
	uint64_t takers;
	/* of one that left the rings */
	uint64_t natives; /* GZ_COUNT: agents are in a call on its shadow, or about to be */
	uint32_t polled;  /* an epoll of the kernel's alone ever had it */
	uint32_t watched; /* as watch, of the epoll that has it in the kernel as in its memory */
	uint64_t back;	  /* TSC: from then on an agent asks whether it comes back; 0: none does */
};

/**
 * One end of a lane.  Its own agents write it, and those of the other end read it: two
 * programs, of which neither may believe the other.  GZ_RING_CLOSED is the engine's.
 */
struct gz_lane_end {
	_Alignas(64) uint64_t tail; /* bytes that it has sent */
	uint64_t base;		    /* the position that is at the ring's beginning */
	uint64_t at;		    /* TSC, when it sent last */
	uint32_t full;		    /* it waits for room, GZ_FULL_* */
	_Alignas(64) uint64_t head; /* bytes that it has taken */
	uint32_t call;		    /* somebody sleeps: who sends tells the worker */
	uint32_t watch;		    /* as gz_slot.watch */
	struct gz_bell bell;	    /* the other end, or the engine, rings it */
};

/** What an epoll of one end has in a pair's lanes */
struct gz_lane_watch {
	_Alignas(64) uint64_t ready[GZ_LANES / 64]; /* the other end sets bits */
	uint32_t asleep;			    /* as gz_lane_end.call */
	struct gz_bell bell;			    /* as gz_lane_end.bell */
};

/** What two clients share, or one with itself; then GZ_PAIR_DATA, and each end's ring */
struct gz_pair_memory {
	struct gz_lane_watch watch[2][GZ_EPOLLS];
	struct gz_lane_end lane[GZ_LANES][2];
};

/** A socket in an epoll, as the program has it and as the kernel's epoll does. */
struct gz_reg {
	uint64_t data;
	uint64_t native_data;
	uint32_t events; /* 0: it was taken out */
	uint32_t gen;	 /* of the slot; another one: it is of an earlier socket */
	int32_t fd;	 /* its number where it was added */
	uint8_t native;	 /* GZ_REG_* */
	uint8_t marked;	 /* what the kernel's epoll tells of it has EPOLLRDNORM or EPOLLWRNORM */
	uint16_t told;	 /* with EPOLLET: what of its end the program knows */
};

#define GZ_REG_ABSENT 0
#define GZ_REG_SAME 1
#define GZ_REG_OTHER 2
#define GZ_GONE 64

/**
 * What an epoll has of sockets in the rings.  The agents' own, but for ready[], where
 * the engine sets bits.  The kernel's epoll gets to know what changed before somebody
 * sleeps on it.
 */
struct gz_epoll {
	_Alignas(64) uint32_t sleepers; /* in epoll_wait(): a token, please */
	uint32_t woken; /* one is on its way; the engine sets it, who wakes clears it */
	uint32_t gen;	/* odd: in use */
	uint32_t lock;
	int32_t owner;			 /* the process that has it, by a number of ... */
	uint32_t ends;			 /* nobody has it any more: it is to be freed */
	uint64_t owner_ns;		 /* ... this PID namespace */
	uint32_t shared;		 /* another process was seen to use it */
	uint32_t next;			 /* the slot whose turn it is */
	uint32_t eager;			 /* what changes is told to the kernel at once */
	uint32_t gone;			 /* so many were taken out, the last of them: */
	uint64_t looked;		 /* TSC: the kernel was asked */
	struct gz_bell bell;		 /* whoever has news that are no lane's rings it */
	uint32_t no_doze;		 /* so many times one does not doze ... */
	uint32_t vain;			 /* ... for so many have not paid in a row */
	uint64_t gone_data[GZ_GONE];	 /* as the kernel told of them */
	uint64_t changed[GZ_SLOTS / 64]; /* the kernel's epoll is to be told */
	_Alignas(64) uint64_t ready[GZ_SLOTS / 64];
	struct gz_reg reg[GZ_SLOTS];
};

/**
 * What accept() on a listener's shadow finds in each connection, first.  With a slot all is
 * prepared; without one the agent hands its descriptor to the engine (GZ_ASK_ACCEPTED).
 */
struct gz_knock {
	uint64_t id;   /* 0: nobody's, look what has become of the listener */
	uint32_t slot; /* GZ_SLOTS: none */
	uint32_t pad0;
};

/** An address, an IPv4 one in its mapped form, and a port in network byte order */
struct gz_dgram_end {
	uint8_t addr[16];
	uint16_t port;
	uint16_t used; /* bit 0; the others: 1 + the interface that it may be sent to by, 0: none */
	uint32_t scope;
};

/** What stands in a ring before a datagram's bytes. */
struct gz_dgram_head {
	uint32_t len;		 /* bytes that follow; the next one is aligned to GZ_DGRAM_ALIGN */
	uint32_t flags;		 /* GZ_DGRAM_* */
	struct gz_dgram_end end; /* rx: who has sent it; tx: to whom it goes */
	/* rx: which address it was sent to, with what, and when (ns, CLOCK_REALTIME).  tx: flags */
	uint8_t local[16];
	uint32_t
	    local_scope; /* over IPv4: the address of ours that answers, in_pktinfo.ipi_spec_dst */
	uint8_t ttl, tos;
	uint16_t iface; /* which of the stack's interfaces; rx: if not lo, tx: GZ_DGRAM_BY */
	uint64_t at;
};

/** What agents know of a slot's socket beside its rings: the engine's, but for the two tables. */
struct gz_dgram_slot {
	_Alignas(64) uint32_t family;
	uint32_t flags;
	uint32_t max;	  /* bytes that may go by the ring at once */
	uint32_t next;	  /* place in a set of known[] or in own[]; anybody's */
	uint32_t control; /* GZ_CONTROL_* */
	uint32_t stamp;	  /* SO_TIMESTAMP, ...: the control message that tells the time; 0: none */
	uint32_t ifaces;  /* so many the stack has */
	uint32_t pad0;
	/* Addresses of ours that it may send from.  The engine looks again at what is sent. */
	uint8_t own[GZ_DGRAM_OWN][16];
	/* Where it may send to: the same. */
	struct gz_dgram_end known[GZ_DGRAM_SETS][GZ_DGRAM_WAYS];
};

struct gz_shared {
	uint64_t magic;
	uint32_t version, slots;
	/*
	 * The worker whose slots have their bits in that word of dirty[] sleeps, and a commit must
	 * wake it: another number each time.  Who has rung puts 0 in that number's place.
	 */
	_Alignas(64) uint32_t asleep[GZ_SLOTS / 64];
	_Alignas(64) uint32_t epoch; /* a slot was given out */
	uint32_t used;		     /* slots that ever were */
	uint32_t spin;		     /* TSC cycles that one spins before one sleeps */
	uint32_t mhz;		     /* TSC cycles in a microsecond */
	uint32_t loud;		     /* somebody waits on an epoll past the agent */
	uint64_t ino[GZ_SLOTS];	     /* of the shadow; 0: none */
	/* of shadows that are not connected, by the inode's remainder; the last ones, where there
	 * are more */
	_Alignas(64) uint64_t fresh[GZ_FRESH_SETS][GZ_FRESH_PLACES];
	_Alignas(64) uint64_t dirty[GZ_SLOTS / 64];
	uint64_t accepted[GZ_SLOTS / 64]; /* by an agent, and the engine has not seen it */
	_Alignas(64) uint32_t windows;	  /* that ever were */
	uint32_t window[GZ_WINDOWS];	  /* the pair's number, another one each time; 0: none */
	uint8_t ends[GZ_WINDOWS];	  /* which of its ends are this client's: bits */
	_Alignas(4096) struct gz_slot slot[GZ_SLOTS];
	_Alignas(4096) struct gz_epoll epoll[GZ_EPOLLS];
	uint16_t lane_slot[GZ_WINDOWS][2][GZ_LANES];
	/* A bit: datagrams were sent that the engine may not have handed on. */
	_Alignas(64) uint64_t sending[GZ_SLOTS / 64];
	struct gz_dgram_slot dgram[GZ_SLOTS];
};

#define GZ_SHARED_DATA 0x600000
#define GZ_SHARED_SERVED (GZ_SHARED_DATA + (uint64_t)GZ_SLOTS * 2 * GZ_SLOT_RING)
#define GZ_SHARED_SIZE (GZ_SHARED_SERVED + GZ_SERVED * sizeof(struct gz_served))

/** A call that the engine has received (engine/served.h).  It writes it, gazelle-run reads it. */
#define GZ_SERVED 4096
struct gz_served {
	uint64_t id; /* of the notification; 0: none */
	int32_t tid, fd, nr;
	uint32_t native; /* it trapped for the rings alone */
};

static inline uint8_t *gz_slot_rx(struct gz_shared *sh, uint32_t i)
{
	return (uint8_t *)sh + GZ_SHARED_DATA + (uint64_t)i * 2 * GZ_SLOT_RING;
}

static inline uint8_t *gz_slot_tx(struct gz_shared *sh, uint32_t i)
{
	return gz_slot_rx(sh, i) + GZ_SLOT_RING;
}

/** What a datagram of @len bytes takes of a ring */
static inline uint32_t gz_dgram_size(uint32_t len)
{
	return (uint32_t)((sizeof(struct gz_dgram_head) + len + GZ_DGRAM_ALIGN - 1) &
			  ~(uint64_t)(GZ_DGRAM_ALIGN - 1));
}

/** Where an agent looks for @e */
static inline struct gz_dgram_end *gz_dgram_set(struct gz_dgram_slot *d,
						const struct gz_dgram_end *e)
{
	return d->known[(e->port ^ e->port >> 8 ^ e->addr[15] ^ e->addr[14]) % GZ_DGRAM_SETS];
}

/** The next place of @n to be written, of whichever table */
static inline uint32_t gz_dgram_place(struct gz_dgram_slot *d, uint32_t n)
{
	return __atomic_fetch_add(&d->next, 1, __ATOMIC_RELAXED) % n;
}

static inline uint32_t gz_lane_word(uint32_t window, uint32_t end, uint32_t lane)
{
	return 1U << 31 | window << 16 | end << 8 | lane;
}

static inline bool gz_slot_is_slept_on(const struct gz_slot *s)
{
	return __atomic_load_n(&s->want, __ATOMIC_SEQ_CST) ||
	       __atomic_load_n(&s->watch, __ATOMIC_SEQ_CST) == GZ_WATCH_LOUD;
}

/**
 * gz_lane_settle() - Who sends by lane's end @e need tell nobody, if nobody sleeps on the slot
 *
 * Return: somebody began to, and what was sent at that moment was not told: look at it
 */
static inline bool gz_lane_settle(const struct gz_slot *s, struct gz_lane_end *e)
{
	if (gz_slot_is_slept_on(s))
		return false;
	__atomic_store_n(&e->call, 0, __ATOMIC_SEQ_CST);
	if (!gz_slot_is_slept_on(s))
		return false;
	__atomic_store_n(&e->call, 1, __ATOMIC_SEQ_CST);
	return true;
}

/** The same of an epoll, and what a pair has of it */
static inline bool gz_lane_settle_watch(const struct gz_epoll *ep, struct gz_lane_watch *w)
{
	if (__atomic_load_n(&ep->sleepers, __ATOMIC_SEQ_CST))
		return false;
	__atomic_store_n(&w->asleep, 0, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&ep->sleepers, __ATOMIC_SEQ_CST))
		return false;
	__atomic_store_n(&w->asleep, 1, __ATOMIC_SEQ_CST);
	return true;
}

/** gz_bell_wants() - Is @b to be rung?  Then who asks wakes those on @b->count */
static inline bool gz_bell_wants(struct gz_bell *b)
{
	if (!__atomic_load_n(&b->wanted, __ATOMIC_SEQ_CST) ||
	    !__atomic_exchange_n(&b->wanted, 0, __ATOMIC_SEQ_CST))
		return false;
	__atomic_fetch_add(&b->count, 1, __ATOMIC_SEQ_CST);
	return true;
}

/** The ring that end @end sends by */
static inline uint8_t *gz_lane_data(struct gz_pair_memory *m, uint32_t lane, uint32_t end)
{
	return (uint8_t *)m + GZ_PAIR_DATA + ((uint64_t)lane * 2 + end) * GZ_LANE_RING;
}

static inline struct gz_served *gz_shared_served(struct gz_shared *sh)
{
	return (struct gz_served *)((uint8_t *)sh + GZ_SHARED_SERVED);
}

static_assert(sizeof(struct gz_agent_book) <= 0x1000, "one page");
static_assert(sizeof(struct gz_agent_block) == GZ_SITE_SIZE, "ABI");
static_assert(sizeof(struct gz_agent_private) == GZ_AGENT_PRIVATE_SIZE, "ABI");
static_assert(offsetof(struct gz_agent_private, fd) == GZ_FD_TABLE - GZ_AGENT_PRIVATE, "ABI");
static_assert(sizeof(struct gz_slot) == 576, "ABI");
static_assert(offsetof(struct gz_shared, slot) == 77824, "ABI");
static_assert(sizeof(struct gz_dgram_head) == 64 && sizeof(struct gz_dgram_slot) == 3200, "ABI");
static_assert(sizeof(struct gz_agent_kept) == GZ_AGENT_KEPT_SIZE, "ABI");
static_assert(sizeof(struct gz_reg) == 32 && sizeof(struct gz_epoll) == 33664, "ABI");
static_assert(sizeof(struct gz_shared) <= GZ_SHARED_DATA, "ABI");
static_assert(sizeof(struct gz_pair_memory) <= GZ_PAIR_DATA, "ABI");
static_assert(GZ_PAIR_SIZE <= GZ_WINDOW_STRIDE && GZ_LANES == 256 && GZ_WINDOWS <= 256, "ABI");
static_assert(GZ_FD_SLOT + GZ_SLOTS <= 0xffff, "a kind has 16 bits");
#endif
#endif

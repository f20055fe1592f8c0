/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sock.h - A socket of an application, as the engine knows it
 *
 * Theory of operation
 *
 * The application holds a *shadow*: an AF_UNIX stream socket that the engine
 * made in a network namespace of its own.  Its inode is the socket's identity;
 * the struct below is found by it from any process that holds the descriptor.
 *
 *   FRESH, BOUND   the shadow is an unconnected AF_UNIX socket
 *   LISTENING      the same file, listening; the worker connects to it once per
 *                  pending connection
 *   CONNECTING     the same file, connected to the engine's end; its send
 *                  buffer is full, so that it does not poll writable
 *   ESTABLISHED    bytes flow: shadow <-> engine's end <-> rings <-> lwIP
 *   FAILED         a connect that did not succeed; the next one makes a new
 *                  shadow in the same descriptor
 *   CLOSED         both directions are over, or reset
 *
 * Ownership.  Service threads (one per client) own the fields marked [s] under
 * @lock; the worker owns those marked [w] alone; [a] are atomics.  The worker
 * learns of a socket by message and keeps a reference while it has a pcb, an
 * engine end or a listener; the table keeps one until the application's last
 * close.  Whoever drops the last reference frees.
 *
 * The last close.  A connected shadow shows it by HUP at the engine's end.  In
 * the other states nobody tells, so the reaper (reaper.c) probes: a shadow that
 * we made carries a unique abstract name, which can be bound again exactly when
 * the shadow is gone.
 */
#ifndef GZ_SOCK_H
#define GZ_SOCK_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <sys/un.h>

#include "engine/arrival.h"
#include "engine/end.h"
#include "engine/options.h"
#include "engine/plane.h"
#include "engine/ring.h"
#include "engine/window.h"

/*
 * The send buffer of the application's end.  AF_UNIX lets a writer go on when no
 * more than a quarter is in use, and what the engine leaves lying there (relay.c)
 * counts: the last byte keeps its whole message, 66304 bytes with the overhead
 * when it came from sendfile(), and another 20 may be messages of their own.
 */
#define GZ_SHADOW_SNDBUF 163840 /* the kernel doubles it */

enum gz_state {
	GZ_FRESH,
	GZ_BOUND,
	GZ_LISTENING,
	GZ_CONNECTING,
	GZ_ESTABLISHED,
	GZ_FAILED,
	GZ_CLOSED,
};

/** Who decided that a socket is whose, and what (policy.c). */
struct gz_verdict {
	uint8_t whose;	   /* enum gz_whose */
	uint8_t direction; /* enum gz_direction; 0: nobody was asked yet */
	uint8_t protocol;  /* IPPROTO_TCP, IPPROTO_UDP, of ping sockets theirs */
	int16_t rule;	   /* of policy.rules, from 0; below: -1 - enum gz_why */
	pid_t tid;	   /* who asked */
	struct gz_end end; /* about what */
};

struct gz_client;
struct gz_flow;
struct tcp_pcb;
struct tcp_pcb_listen;

/** A claim on a local port (ports.c); lives inside its socket. */
struct gz_claim {
	LIST_ENTRY(gz_claim) next;
	struct gz_end end;
	bool reuseaddr, reuseport;
	bool v6only; /* not for IPv4 peers: IPV6_V6ONLY, or a native address */
	bool listening;
	bool udp;	/* in UDP's space of ports */
	uint8_t device; /* SO_BINDTODEVICE: 0 none, else another number for each */
	bool held;
	uid_t uid;
};

struct gz_sock {
	uint64_t id;
	_Atomic int refs;
	_Atomic int state;	  /* enum gz_state; gz_sock_set_state() */
	_Atomic int error;	  /* SO_ERROR, positive errno */
	struct gz_client *client; /* who made it; counted */

	/* table, under the table's lock */
	LIST_ENTRY(gz_sock) by_ino;
	LIST_ENTRY(gz_sock) by_id;
	ino_t ino; /* of the shadow; 0: not known yet */
	bool in_table;
	unsigned sweep_mark;		  /* the reaper's, main thread */
	TAILQ_ENTRY(gz_sock) watch_entry; /* the reaper's, under its lock */
	bool on_watch;

	pthread_mutex_t lock;
	/* [s] */
	int type;      /* SOCK_STREAM, SOCK_DGRAM; never changes */
	int family;    /* AF_INET, or AF_INET6 with v4-mapped */
	bool named;    /* carries the abstract name of its id */
	uint64_t name; /* the id in that name */
	bool connect_reported;
	struct gz_options opt;
	struct gz_claim claim;
	struct gz_end local, peer; /* set before the state says so */
	bool chose_port;	   /* TCP: bind() with a port, which no failure takes away */
	struct gz_end chose;	   /* TCP: the address of a bind(), or any; it stays as well */
	in_port_t last_port;	   /* what getsockname() tells after a disconnect */
	int backlog;
	struct gz_arrival arrival;
	uid_t uid;		   /* who binds: SO_REUSEPORT shares a port within one user */
	struct gz_verdict verdict; /* the last one, gazelle-ctl why */
	struct gz_dgram {	   /* SOCK_DGRAM: dgram.c, udp.c */
		bool ping;	   /* ICMP echo, ping.c; never changes */
		uint16_t nest;	   /* the shadow's port, alias.h */
		unsigned mtu;	   /* IPV6_MTU, 0: not set */
		bool whole[2];	   /* IP{V6,}_MTU_DISCOVER: no fragments; IPv6, IPv4 */
		uint8_t hops[2];   /* of what goes by rings: the same */
		uint8_t tos[2];
		uint32_t control; /* as struct gz_dgram_slot has them */
		uint32_t stamp;
		uint32_t alias;		  /* of the peer, while connected */
		bool old_peer;		  /* AF_INET6, disconnected: see udp.c */
		struct gz_end old;	  /* and this was its peer */
		bool chose_port;	  /* bind() with a port: a disconnect keeps it */
		bool chose_addr;	  /* bind() with an address: the same */
		struct gz_groups *groups; /* multicast.c */
		struct gz_udp_twin *twin; /* udp_twin.c */
		struct gz_udp_spill {	  /* udp_ring.c */
			STAILQ_HEAD(, gz_udp_spilled) list; /* what the ring had no room for */
			uint32_t cost, most;		    /* of it, by SO_RCVBUF */
			_Atomic uint64_t closing; /* ns: until then its last close may be seen */
			uint64_t looked;	  /* ns: for who bound it */
			bool native_sent;	  /* calls go by the shadow, too: keep the order */
		} ring;
	} dgram;
	/* Connections that wait for accept(), filled by the worker. */
	TAILQ_HEAD(gz_pending, gz_sock) pending;
	TAILQ_ENTRY(gz_sock) pending_entry;
	struct gz_sock *listener; /* whose pending list this is on; a reference */
	bool unlisted;		  /* [w] accepted natively, and its agent is about to say so */
	bool join_due;		  /* [w] */
	bool by_agent;		  /* its shadow was accepted natively; the worker writes it */
	int held_fd;		  /* accepted, but not installed yet; -1 */
	bool native;		  /* held_fd is the kernel's own, see twin.c */
	int twin_fd;		  /* the kernel's listener, twin.c's lock; -1 */
	_Atomic bool twin_full;	  /* it waits for room in the backlog */
	bool twin_watched;	  /* [w] and twin.c's lock */

	/* [a] */
	_Atomic int queued;	  /* listener: half-open and pending */
	_Atomic uint64_t parked;  /* notification of a blocking connect() */
	_Atomic int parked_fd;	  /* the listener to answer it on */
	_Atomic int parked_wake;  /* tells the thread that has it; both live while it is parked */
	_Atomic bool app_shut_wr; /* shutdown(SHUT_WR) was asked for */
	_Atomic bool app_shut_rd;
	_Atomic bool has_sentinel; /* a byte of ours lies unread at end_fd */
	_Atomic bool hold;	   /* bytes wait until accept() has chosen their plane */
	_Atomic bool no_ring;	   /* it has an option that only the shadow knows */
	_Atomic int off_ring;	   /* enum gz_off_ring: why it is not in the rings */
	_Atomic bool closed;	   /* the application's last close was seen */
	_Atomic bool watched;	   /* nobody tells its close: reaper.c */
	_Atomic uint32_t unsent;   /* bytes not yet acknowledged, SIOCOUTQ */
	_Atomic uint32_t unread;   /* bytes not yet in the shadow */
	_Atomic uint64_t rx_bytes, tx_bytes;
	struct gz_tcp_info {
		_Atomic int cpu; /* SO_INCOMING_CPU: that of the last segment, and 1; 0: none */
		_Atomic bool cpu_set; /* the program has set it: each byte is to change it */
		_Atomic uint8_t tcp_state;
		/* struct tcp_info, consistent by its version, of when it was asked for */
		struct gz_published {
			_Atomic unsigned version;
#define GZ_INFO_WORDS 32
			_Atomic uint64_t words[GZ_INFO_WORDS];
		} published;
	} info;

	/*
	 * Whose it is: a connection's, from connect() or its handshake on.  Listeners are all
	 * workers', and have a part for each, from the first listen() on; others are nobody's.
	 */
	struct gz_worker *_Atomic worker;
	struct gz_listening *_Atomic listening;
	_Atomic int nhalf_open; /* listener: connections in SYN-RECEIVED, of all workers */

	/* [w] */
	struct gz_flow *flow;	    /* NULL: no pcb */
	struct gz_sock *offered_by; /* the listener, while its slot is offered; a reference */
	struct gz_sock *deferred;   /* TCP_DEFER_ACCEPT: the listener, a reference */
	uint64_t defer_until;	    /* ns */
	struct gz_ring_end ring;    /* partly, see there */
	int end_fd;		    /* the engine's end; -1: none */
	bool end_eof;		    /* nothing more comes from there */
	uint32_t prefix;	    /* filler bytes still unread at end_fd */
	uint32_t lag;		    /* bytes peeked, not yet taken */
	struct gz_window window;    /* window.c */
	struct gz_ring rx, tx;
	uint64_t trim_at;		      /* ns: their memory is looked at, timers.c */
	bool fin_received;		      /* from the peer */
	bool fin_passed;		      /* to the application: end_fd is shut */
	bool app_eof;			      /* the application sends no more */
	bool app_gone;			      /* last close seen by the worker */
	bool fin_sent;			      /* lwIP has our FIN */
	bool reset;			      /* by the peer: flush, then ECONNRESET */
	bool can_read, can_write, rdhup, hup; /* edges seen at end_fd */
	bool dirty;			      /* on the worker's dirty list */
	bool tx_blocked;		      /* lwIP had no room; retry on sent */
	struct gz_stamps_log *log_held;	      /* arrival.c */
	int quick_asked;		      /* opt.quickack_asked, as it was, ack.c */
	unsigned quick_acks;		      /* so many more are not delayed */
	uint64_t cork_since;		      /* 0: nothing held back */
	struct gz_urgent {		      /* urgent.c */
		uint32_t rx_next;	      /* the number of the byte that comes next */
		uint32_t rx_seq;	      /* of the urgent one, while it is not here */
		bool rx_due;		      /* it was announced */
		bool rx_here;		      /* it is in the rx ring, */
		uint32_t rx_at;		      /* so many bytes behind the first */
		uint32_t tx_left;	      /* tx ring, for the stack: it is the last of these */
		uint64_t call;		      /* a parked send(): the notification; 0: none */
		bool marked;		      /* one went to the shadow, which has marks */
		uint8_t byte;		      /* what it sends */
		bool wait;		      /* it may block */
		uint32_t result;	      /* what it returns then */
	} urgent;
	uint64_t deadline; /* connect or retransmission, ns; 0: none */
	TAILQ_ENTRY(gz_sock) dirty_entry;
	LIST_ENTRY(gz_sock) worker_entry;
	bool on_worker;
};

/** What one worker has of a listener: that worker's alone, but for @oldest (listener.c) */
struct gz_listening {
	struct gz_sock *sock;
	struct tcp_pcb *pcb;
	TAILQ_HEAD(, gz_flow) half_open;     /* in SYN-RECEIVED, the oldest first */
	_Atomic uint64_t oldest;	     /* ns: since when that is; 0: none; all read it */
	uint64_t probed_at;		     /* ns: it was seen to be alive */
	bool shares;			     /* SO_REUSEPORT: another one has the pcb */
	LIST_ENTRY(gz_listening) port_entry; /* who listens on a port */
	LIST_ENTRY(gz_listening) entry;	     /* of the worker's; with a reference */
	unsigned ndeferred;		     /* connections that TCP_DEFER_ACCEPT holds back */
};

/** It has a part for each worker from now on.  Return: false without memory */
bool gz_sock_listening(struct gz_sock *s);

/**
 * gz_sock_new() - A socket with one reference, not in the table
 *
 * Any thread.  Return: NULL when the limit is reached or memory is out.
 */
struct gz_sock *gz_sock_new(struct gz_client *client, int family);
void gz_sock_ref(struct gz_sock *s);
void gz_sock_unref(struct gz_sock *s);

/** Move to a state; logs at debug level and asserts that it is a legal step. */
void gz_sock_set_state(struct gz_sock *s, enum gz_state to);
const char *gz_state_name(enum gz_state st);
static inline enum gz_state gz_sock_state(const struct gz_sock *s)
{
	return (enum gz_state)atomic_load_explicit(&s->state, memory_order_acquire);
}

/** Table of shadows by inode.  It holds one reference per entry. */
void gz_table_add(struct gz_sock *s, ino_t ino);
void gz_table_rename(struct gz_sock *s, ino_t ino);
/** Return: false when it had been removed before. */
bool gz_table_remove(struct gz_sock *s);
/** Return: a new reference or NULL */
struct gz_sock *gz_table_find(ino_t ino);
struct gz_sock *gz_table_find_id(uint64_t id);
/** Call @fn for each socket with id >= @start until it says no; in id order if @sorted. */
void gz_table_walk(uint64_t start, bool sorted, bool (*fn)(struct gz_sock *, void *), void *arg);
unsigned gz_table_count(void);
void gz_table_limit(unsigned max, unsigned client);
/** How many more gz_sock_new() would give to @c */
unsigned gz_table_room(const struct gz_client *c);

/** With a socket's id, the name of the engine's end of what accept() gives */
#define GZ_NAME_KNOCK (1ULL << 62)
/** The abstract name of a shadow.  Return: its length */
socklen_t gz_shadow_name(struct sockaddr_un *a, uint64_t name);

#endif

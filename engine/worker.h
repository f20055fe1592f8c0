/* SPDX-License-Identifier: BSD-3-Clause
 *
 * worker.h - The threads that own a queue of the port and an lwIP each
 *
 * Everything of a worker's lwIP, of its queue and of the fields marked [w] in the
 * sockets that are its own belongs to this thread alone.  Others talk to it by messages
 * on a ring; it answers notifications by itself where it can, because a second wake
 * across cores costs 25 µs.
 *
 * lwIP's state is in global variables, and so is much of what is around it.  So the files
 * that the Makefile names WORKER_SRC are linked once for each worker, with lwIP, and
 * their variables are their worker's; workers.c and all other files are the process's,
 * and reach a worker by its messages and by struct gz_code.
 *
 * The files: workers.c who they are and the messages, worker.c the loop, rx.c what comes from the
 * ports, netif.c what goes there, and loopback, stack.c lwIP's pcbs, listener.c their passive
 * opening, timers.c what is due, segment.c each segment of theirs, relay.c the bytes between a
 * socket's rings and its shadow.  The relay runs in the worker's thread: a thread of its own would
 * add a wake on another core (12-16 µs for the waker) to each burst.
 */
#ifndef GZ_WORKER_H
#define GZ_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "engine/codes.h"
#include "engine/netif.h"
#include "engine/port.h"
#include "engine/ports.h"
#include "engine/segment.h"
#include "engine/sock.h"

enum gz_op {
	GZ_OP_LISTEN,	/* sock is listening from now on */
	GZ_OP_UNLISTEN, /* shutdown() of a listener */
	GZ_OP_CONNECT,	/* flow, fd, prefix: start a connection */
	GZ_OP_OPTIONS,	/* sock->opt changed */
	GZ_OP_SHUT,	/* sock->app_shut_* changed */
	GZ_OP_GONE,	/* the application's last close was seen */
	GZ_OP_REOFFER,	/* an accept() failed: offer the connection again */
	GZ_OP_TWIN,	/* the backlog has room for the kernel's again */
	GZ_OP_GROUP,	/* group, prefix: the host joins or leaves it */
	GZ_OP_URGENT,	/* id, prefix, urgent: a send() with MSG_OOB waits */
	GZ_OP_PLANE,	/* client: look at its rings */
	GZ_OP_PLANE_GONE,
	GZ_OP_ACCEPTED,	 /* client: what its agents have accepted; leave */
	GZ_OP_SETTLE,	 /* who asks waits until it was seen */
	GZ_OP_INFO,	 /* the same, and sock's state is published */
	GZ_OP_LEAST,	 /* sock's SO_RCVLOWAT was set; leave */
	GZ_OP_BEGIN,	 /* sock was accepted, its bytes go through its ring */
	GZ_OP_LEAVE,	 /* sock leaves the rings, see leave */
	GZ_OP_BACK,	 /* it comes back to them, see leave */
	GZ_OP_LINGERS,	 /* client, leave: was it closed, and is it to be waited for? */
	GZ_OP_DATAGRAMS, /* some were left to the worker to send */
	GZ_OP_NO_LANES,	 /* client: none of its connections goes by lanes any more; leave */
	GZ_OP_ADDRESS,	 /* gz_own4() or the MTU changed at a port, by DHCP */
	GZ_OP_LINK,	 /* the port's link went or came, see gz_link_is_up() */
	GZ_OP_LOOK,	 /* programs' words changed: no more than to wake */
	GZ_OP_STOP,	 /* end the loop */
};

struct gz_msg {
	STAILQ_ENTRY(gz_msg) next;
	struct gz_worker *to;
	enum gz_op op;
	struct gz_sock *sock; /* a reference that the message carries */
	uint64_t id;	      /* REOFFER: of the connection; sock is the listener.  GROUP,
			       * ADDRESS: the port */
	struct gz_flow *flow;
	struct gz_client *client; /* PLANE: a reference comes along */
	struct gz_leave *leave;	  /* BEGIN, LEAVE, BACK, LINGERS: who waits */
	int fd;
	uint32_t prefix;
	struct gz_urgent urgent;
	struct gz_end group;
};

struct gz_worker {
	const struct gz_code *code;
	unsigned index;
	struct gz_wire wire[GZ_PORTS_MAX]; /* of gz_ports[] */
	struct rte_ring *inbox;
	struct rte_ring *handed;	/* mbufs that came to other workers, see rx.c */
	STAILQ_HEAD(, gz_msg) overflow; /* what it posted while somebody's was full */
	unsigned owed; /* messages that came before the packets at hand, see gz_rx() */
	int wake_fd;   /* eventfd */
	_Atomic bool sleeping;
	uint32_t nap; /* what gz_shared.asleep says of it, even while awake */
	int relay_ep; /* engine ends */
	int sleep_ep; /* relay_ep, wake_fd, the port's */
	bool stop;
	uint64_t now;		      /* ns, CLOCK_MONOTONIC, of this round */
	uint64_t hog_until, hog_rest; /* ns: somebody computes on this core */
	unsigned hog_row;	      /* yields in a row that took long */
	int probe_fd;
	TAILQ_HEAD(gz_dirty_list, gz_sock) dirty;
	LIST_HEAD(, gz_sock) socks;
	struct {
		struct gz_sock *sock;
		uint64_t call;
	} connected[64]; /* whose connect() is to be answered */
	unsigned nconnected;
	LIST_HEAD(, gz_listening) listeners;
	LIST_HEAD(, gz_plane) planes;
	uint64_t lanes_counted; /* ns */
	struct gz_late_bell {
		struct gz_pair *pair;
		struct gz_bell *bell;
	} bells[64]; /* of lanes that were taken away: to be rung in this round */
	unsigned nbells;
	TAILQ_HEAD(, gz_leave) leaving;
	LIST_HEAD(, gz_sock) fading;
};

/* --- the process: workers.c ------------------------------------------------ */

extern const struct gz_engine_config *gz_cfg;
extern int gz_netns; /* where shadows live */
extern struct gz_worker *gz_workers[GZ_WORKERS_MAX];
extern unsigned gz_nworkers;
extern _Atomic unsigned gz_half_open;	   /* connections in SYN-RECEIVED, of all */
extern __thread struct gz_worker *gz_here; /* whose thread this is; NULL: no worker's */

/**
 * gz_worker_post() - Hand a message to a worker
 *
 * Any thread.  Copies @m; m->sock gets a reference of its own.
 * Return: 0 or -ENOBUFS
 */
int gz_worker_post(struct gz_worker *w, const struct gz_msg *m);
/** gz_worker_wake() - It looks again, if it sleeps: what it is to see was written before */
void gz_worker_wake(struct gz_worker *w);
/** The same of several, a bit for each */
void gz_workers_wake(uint32_t whom);
/** gz_post() - The same, to each worker that it concerns: the socket's, or all */
int gz_post(const struct gz_msg *m);
/** Who sees to what concerns @s and no connection of its own: always the same one */
struct gz_worker *gz_worker_home(const struct gz_sock *s);
/** Whose @s is; of one that is nobody's, or all workers', the same as above */
struct gz_worker *gz_worker_of(const struct gz_sock *s);

/** Around what is sent by a queue that several workers send by; nothing with others. */
void gz_tx_lock(const struct gz_wire *w);
void gz_tx_unlock(const struct gz_wire *w);
/** relay_ep of @w has @fd, with its place as the pointer.  Return: 0 or -errno */
int gz_worker_watch(struct gz_worker *w, const int *fd);
/**
 * gz_workers_init() - The first @n of @codes are the workers.  Main, in the namespace of
 * the shadows, when the port is open.  Return: 0 or -errno
 */
int gz_workers_init(unsigned n, const struct gz_code *const *codes);
/** Their threads; 0 or -1.  GZ_OP_STOP ends them */
int gz_workers_start(void);
void gz_workers_wait(void);
void gz_workers_destroy(void);

/* --- inside the worker --------------------------------------------------- */

/** The one whose copy of this code it is */
extern struct gz_worker gz_worker;

int gz_worker_init(void);
int gz_worker_main(void *arg); /* an lcore function */
void gz_worker_destroy(void);

/** Look at this socket at the end of the round. */
void gz_worker_dirty(struct gz_worker *w, struct gz_sock *s);
/**
 * gz_worker_connected() - Answer its connect() at the end of the round
 *
 * What completes the handshake is sent then: the program's next connection, which may be
 * another worker's, must not overtake it on the way to accept().
 */
void gz_worker_connected(struct gz_worker *w, struct gz_sock *s);
/** The worker has taken, or has done with, this socket. */
void gz_worker_adopt(struct gz_worker *w, struct gz_sock *s);
void gz_worker_release(struct gz_worker *w, struct gz_sock *s);

/* listener.c */
struct pbuf;
struct tcp_hdr;
bool gz_stack_syn(struct pbuf *p, const struct tcp_hdr *h, struct gz_flow *f, struct gz_end peer);
bool gz_stack_ack(struct pbuf *p, const struct tcp_hdr *h, struct netif *inp, struct gz_end peer);
/** Does @s have no place for one more whose handshake is done? */
bool gz_listener_is_full(struct gz_sock *s);
int gz_stack_listen(struct gz_sock *s);
/** Does this worker listen for it? */
bool gz_stack_listens(const struct gz_sock *s);
void gz_stack_unlisten(struct gz_sock *s);

/* stack.c */
int gz_stack_init(void);
int gz_stack_connect(struct gz_sock *s, struct gz_flow *f);
void gz_stack_options(struct gz_sock *s);
void gz_stack_tx(struct gz_sock *s);
/** Bytes that lwIP has and did not send */
uint32_t gz_stack_unsent(const struct gz_sock *s);
/** The tx ring is nearly full: make it larger, if the path takes more. */
void gz_stack_grow(struct gz_sock *s);
void gz_stack_received(struct gz_sock *s, uint32_t n);
void gz_stack_fin(struct gz_sock *s);
void gz_stack_close(struct gz_sock *s);
void gz_stack_abort(struct gz_sock *s);
/** No memory for its bytes: it is reset, as by tcp_out_of_resources() of Linux, with ENOBUFS */
void gz_stack_no_memory(struct gz_sock *s);
void gz_stack_detach(struct gz_sock *s);
/** Is the connection closed in both directions?  TIME_WAIT is, as with Linux. */
bool gz_stack_is_over(const struct gz_sock *s);
/** The flow of a pcb that is no listener */
struct gz_flow *gz_stack_flow(const struct tcp_pcb *pcb);

/* timers.c */
/** lwIP's clock is this time, ns: before anything is stamped with it. */
void gz_stack_clock(uint64_t now);
/** Run what is due.  Return: ns until the next look is needed */
uint64_t gz_stack_timers(struct gz_worker *w);

/* relay.c */
int gz_relay_attach(struct gz_worker *w, struct gz_sock *s);
/** SO_RCVBUF came or changed: bound what waits for the application. */
void gz_relay_buffers(struct gz_sock *s);
void gz_relay_event(struct gz_sock *s, uint32_t events);
/** What the program's agents sent through the shadow was no data. */
void gz_relay_skip(struct gz_sock *s);
/** Move what can be moved, pass FIN and RST on, close what is over. */
void gz_relay_pump(struct gz_worker *w, struct gz_sock *s);
/** Connect to the listener's shadow: the application may accept(). */
void gz_relay_offer(struct gz_worker *w, struct gz_sock *listener, struct gz_sock *s);
/** Make the listener readable once more, for connection @id that has a held_fd.
 * Return: 0 or -errno */
int gz_relay_reoffer(struct gz_sock *listener, uint64_t id);
/** Who waits in accept() on @l, and on its shadow, looks what has become of it. */
void gz_relay_wake(struct gz_sock *l);
void gz_relay_connected(struct gz_worker *w, struct gz_sock *s);
void gz_relay_failed(struct gz_worker *w, struct gz_sock *s, int error);
/** Answer a parked connect().  @error: 0 or positive errno; any thread */
void gz_relay_answer(struct gz_sock *s, int error);

#endif

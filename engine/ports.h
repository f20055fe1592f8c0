/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ports.h - Who has which local port
 *
 * The control plane's own view, because lwIP sees conflicts only within one of
 * its lists and answers with one error for all of them.  Claims are made by
 * bind() and listen(); flows are four-tuples that lwIP has a pcb for, from the
 * SYN to the end of TIME_WAIT.  Any thread; one lock.
 */
#ifndef GZ_PORTS_H
#define GZ_PORTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "engine/segment.h"
#include "engine/sock.h"

struct tcp_pcb;

/** lwIP's lists while it works on one flow: its pcb, or none */
struct gz_lists {
	struct tcp_pcb *active, *time_wait;
};

/** A connection's place in the tables; freed when its pcb is. */
struct gz_flow {
	LIST_ENTRY(gz_flow) next; /* under the lock of ports.c */
	LIST_ENTRY(gz_flow) by_port;
	bool reuseaddr, reuseport, v6only;
	bool holds_port;	  /* it is in the table, and its port is in use */
	struct gz_worker *worker; /* whose it is */
	/* The worker's, from here on but for the ends; pcbs.c */
	uint8_t state;		      /* lwIP's, when the flow was left */
	bool armed, waits, half_open; /* has a timer; is in TIME_WAIT; is on listener's list */
	uint32_t ticks;		      /* lwIP's clock, when the flow was entered */
	uint32_t due;		      /* of the timer, in ticks of timers.c */
	LIST_ENTRY(gz_flow) in_table;
	uint64_t hash;
	struct gz_end local, peer;
	struct gz_lists lists;
	struct gz_kept {
		struct tcp_pcb *pcb; /* gz_pcb_enter() gives it out */
	} kept;
	LIST_ENTRY(gz_flow) timer, paced;
	TAILQ_ENTRY(gz_flow) wait_entry;
	struct gz_sock *sock; /* NULL: orphan or half-open */
	struct gz_measure measure;
	struct gz_sock *listener; /* while half-open, counted in its queued */
	uint64_t since;		  /* ns; half-open */
	TAILQ_ENTRY(gz_flow) half_open_entry;
	struct gz_saved_syn *syn; /* TCP_SAVE_SYN, while half-open */
};

void gz_ports_init(uint16_t lo, uint16_t hi);

/**
 * gz_claim() - Take a local endpoint for bind(2) or listen(2)
 * @s:		Locked; its claim is filled
 * @end:	Port 0 chooses an ephemeral one
 * @blocker:	On -EADDRINUSE a reference to the socket in the way, or NULL
 *
 * The rules are those of Linux: two claims on one port and overlapping
 * addresses stand only when both have SO_REUSEADDR and the first does not listen,
 * or both have SO_REUSEPORT and one user; a port with connections left
 * (TIME_WAIT too) needs one of the two, and that these had it as well.
 *
 * Return: 0 or -EADDRINUSE, also when no ephemeral port is left (as bind(2))
 */
int gz_claim(struct gz_sock *s, struct gz_end end, struct gz_sock **blocker);
/** A claim starts to listen.  Return: 0 or -EADDRINUSE with *blocker */
int gz_claim_listen(struct gz_sock *s, struct gz_sock **blocker);
/** Claims of two interfaces do not meet: SO_BINDTODEVICE, 0: none */
void gz_claim_device(struct gz_sock *s, uint8_t device);
void gz_claim_unlisten(struct gz_sock *s);
void gz_claim_drop(struct gz_sock *s);
/** @to takes the claim of @from, but does not listen. */
void gz_claim_hand(struct gz_sock *from, struct gz_sock *to);

/** Who has to agree before a port is taken: another process, of an address that engines share */
struct gz_ports_outside {
	int (*take)(bool udp, uint16_t port);	/* host order; 0 or -errno; may wait */
	void (*leave)(bool udp, uint16_t port); /* no socket has it any more; does not wait */
};
/** gz_ports_ask() - From now on; NULL: nobody.  Main, before there are claims */
void gz_ports_ask(const struct gz_ports_outside *o);
/** gz_port_used() - Has a socket or a connection the port, host order? */
bool gz_port_used(bool udp, uint16_t port);

/** The address of a UDP claim changes, its port stays: connect() and its undoing. */
void gz_claim_move(struct gz_sock *s, struct gz_end end);
/** References to at most @max UDP sockets that may get a datagram for @dst, the
 * latest bound first.  Return: how many */
unsigned gz_claims_udp(struct gz_end dst, struct gz_sock **v, unsigned max);

/** Has a UDP socket the port, at this address? */
bool gz_port_udp(struct gz_end end);

/** Is somebody listening at @end?  (0.0.0.0 listeners match every IPv4 address,
 * [::] ones every address, or every native one when IPV6_V6ONLY is set.) */
bool gz_port_listening(struct gz_end end);

/**
 * gz_flow_add() - Register a four-tuple
 * @local:	Port 0: choose an ephemeral one (RFC 6056, random start)
 * @narrow:	IP_LOCAL_PORT_RANGE, or 0: all
 * @w:		Whose it is to be; a port that is chosen leads to it (spread.h), if there is one
 *
 * Return: the flow, or NULL with *err = -EADDRNOTAVAIL (tuple taken, or no port
 * left) or -ENOMEM
 */
struct gz_flow *gz_flow_add(struct gz_end local, struct gz_end peer, uint32_t narrow,
			    struct gz_worker *w, int *err);
/** Whose the connection is; NULL: there is none */
struct gz_worker *gz_flow_worker(struct gz_end local, struct gz_end peer);
void gz_flow_del(struct gz_flow *f);
/** Its four-tuple and its port may be another's from now on, the pcb is about to be freed. */
void gz_flow_leave_port(struct gz_flow *f);
/** SO_REUSEADDR, SO_REUSEPORT and IPV6_V6ONLY of the connection's socket, for gz_claim(). */
void gz_flow_options(struct gz_flow *f, const struct gz_options *o);

#endif

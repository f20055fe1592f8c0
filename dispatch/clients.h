/* SPDX-License-Identifier: BSD-3-Clause
 *
 * clients.h - Who may be a client, who is one, and whose addresses are whose
 *
 * Theory of operation: a client has one of GZ_CLIENTS_MAX places, by which links,
 * counters and the switch number it.  One with a path is there from the start, with all
 * that is configured for it; another attaches (attach.c) and has the addresses that it
 * registered.  After each change main makes a new table for the switch, which the
 * worker takes with its next pass; the old one is freed when it has been seen outside
 * (rte_rcu_qsbr).  Main never waits for that: the worker may be stuck in a link, out of
 * which main has to get it.
 */
#ifndef GZ_DISPATCH_CLIENTS_H
#define GZ_DISPATCH_CLIENTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "config/config.h"
#include "dispatch/attach.h"

struct dispatch;
struct sw_table;

/** Main writes, under clients.lock; main and whoever has the lock read */
struct client {
	bool used;
	struct gz_dispatch_client conf;
	bool attached; /* by the control socket, with: */
	unsigned naddrs;
	struct gz_prefix addr[GZ_ATTACH_ADDRS];
	struct limits *limits;
	struct sw_ports *ports; /* of the address that it shares, while it is attached */
	uint16_t lease_lo, lease_hi;
};

struct clients {
	pthread_mutex_t lock;
	struct client place[GZ_CLIENTS_MAX];
	_Atomic(struct sw_table *) table; /* worker reads */
	/* main's; the worker may still be in them */
	struct sw_table *retired;
	uint64_t tables;	/* that there have been */
	struct sw_ports *ports; /* one for each shared address that there has been */
	struct limits *dead;	/* of the table in force */
};

/** clients_start() - Everybody who is configured.  Main.  Return: 0 or -ENOMEM */
int clients_start(struct dispatch *d);

/** clients_count() - As many as are configured, at all ports.  Main */
unsigned clients_count(const struct dispatch *first);

/** clients_tend() - Free what the worker has left.  Main, now and then */
void clients_tend(struct dispatch *d);

/** clients_stop() - When the worker has ended.  Main */
void clients_stop(struct dispatch *d);

#define CLIENT_NETS_MAX GZ_ATTACH_ADDRS /* or, with a path, two */

/**
 * client_nets() - The addresses and networks that are its alone, IPv4 as v4-mapped
 *
 * Main, or under clients.lock.  Return: how many
 */
unsigned client_nets(const struct client *c, struct gz_prefix nets[CLIENT_NETS_MAX]);

/** client_find() - Its place, by its name; -1: there is none.  Main */
int client_find(const struct dispatch *d, const char *name);

/**
 * client_attach() - Somebody says that it is a client
 * @who:	As the kernel says
 * @r:		Its request, of any content but with its lengths checked
 * @text:	Filled with the reason if it is refused
 *
 * Main.  Return: its place or -errno
 */
int client_attach(struct dispatch *d, const struct ucred *who, const struct gz_attach_request *r,
		  char *text, size_t n);

/**
 * client_link() - Connect with the socket at which it listens
 * @fd:		What it sent; taken
 *
 * Main.  Return: 0 or -errno with the reason in @text, and @fd is closed
 */
int client_link(struct dispatch *d, unsigned place, const struct ucred *who, int fd, char *text,
		size_t n);

/** client_detach() - It has hung up.  Main */
void client_detach(struct dispatch *d, unsigned place);

/**
 * clients_change() - To those of another configuration, at all ports
 * @c:		Checked.  Whoever has the same name, path, user and addresses stays, with
 *		other limits if it has; another is cut off, a new one may come
 *
 * Main.  All or nothing.  Return: 0 or -errno with the reason in @text
 */
int clients_change(struct dispatch *first, const struct gz_dispatch_config *c, char *text,
		   size_t n);

/**
 * client_limit() - One of a client's limits, until the configuration is read again
 * @key:	Its name there
 * @rate:	Or number; 0: none
 *
 * Main.  Return: 0 or -errno with the reason in @text
 */
int client_limit(struct dispatch *d, const char *name, const char *key, uint32_t rate, char *text,
		 size_t n);

/** clients_rules() - Other kernel.rules.  Main.  Return: 0 or -ENOMEM */
int clients_rules(struct dispatch *d, const struct gz_kernel_rule *rules, unsigned n);

/* --- shares.c: main's ------------------------------------------------------- */

/** client_share() - Give it its part of its addresses.  Return: 0 or -errno with the reason in
 * @text */
int client_share(struct dispatch *d, unsigned place, const struct gz_attach_request *r, char *text,
		 size_t n);

/** client_unshare() - No port is its own any more */
void client_unshare(struct dispatch *d, unsigned place);

/**
 * client_claim() - A port of the address that it shares is to be its own
 *
 * Main.  Return: 0 or -errno with the reason in @text
 */
int client_claim(struct dispatch *d, unsigned place, bool udp, uint16_t port, char *text, size_t n);

/** client_release() - And is not any more.  Main.  Return: 0 or -errno */
int client_release(struct dispatch *d, unsigned place, bool udp, uint16_t port, char *text,
		   size_t n);

/* --- reload.c -------------------------------------------------------------- */

/** reload() - Read the configuration again.  Main, on SIGHUP */
void reload(struct dispatch *d);

/* --- attach.c: main's too -------------------------------------------------- */

/** attach_open() - Listen at the control socket.  Return: 0 or -errno, the reason in @err */
int attach_open(struct dispatch *d, char *err, size_t n);

/** attach_wait() - Serve who talks to it, until @fd is readable or @ms have passed */
void attach_wait(struct dispatch *first, int fd, int ms);

/** attach_cut() - Hang up on the client at @place, if it has attached */
void attach_cut(struct dispatch *d, unsigned place);

/** attach_close() - And remove it */
void attach_close(void);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * own4.h - The stack's IPv4 addresses and its gateway, for all threads
 *
 * They change while the engine runs when stack.dhcp asks for them.  Whoever looks gets them as
 * they are at one moment, and looks once for all that it compares.
 */
#ifndef GZ_OWN4_H
#define GZ_OWN4_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

/** Never changed once it was published. */
struct gz_own4 {
	unsigned n; /* those of the first port first, and so on */
	struct gz_prefix4 addr[GZ_OWN4_MAX];
	uint8_t port[GZ_OWN4_MAX]; /* of gz_ports[], that it is at */
	uint32_t gateway;	   /* network byte order; 0: none */
};

/** What stack.dhcp has come to (dhcp.c) */
struct gz_lease {
	const char *state; /* RFC 2131's, static; NULL: nobody is asked */
	uint32_t server;   /* who gave the address; network byte order */
	uint64_t until;	   /* ns, CLOCK_MONOTONIC; UINT64_MAX: for ever */
};

/** gz_own4() - What holds now; any thread, without a lock.  It stays in memory. */
const struct gz_own4 *gz_own4(void);
/** gz_own4_configured() - What the configuration says, without what DHCP says; any thread */
const struct gz_own4 *gz_own4_configured(void);
/** What the configuration says holds; main, before there are other threads */
void gz_own4_init(const struct gz_engine_config *cfg);
/**
 * gz_own4_publish() - These hold from now on, at @port by @l; programs that listen hear of it
 *
 * The first worker.  Return: is it another one than before?  Without memory for it what was
 * before holds on.
 */
bool gz_own4_publish(const struct gz_own4 *o, unsigned port, const struct gz_lease *l);
/** Of what is asked for at @port; any thread.  Return: what holds with it */
const struct gz_own4 *gz_own4_lease(unsigned port, struct gz_lease *l);
/** For how many seconds the addresses there hold (ifa_valid of rtnetlink(7)); UINT32_MAX: for ever
 */
uint32_t gz_own4_valid(unsigned port);
/** gz_own4_of() - The first address of @o at @port; -1: it has none */
int gz_own4_of(const struct gz_own4 *o, unsigned port);
/** The netmask of a prefix of @len bits, network byte order */
uint32_t gz_own4_mask(unsigned len);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * takeover.h - A new process takes the place of one that runs
 *
 * Theory of operation: the new one (gazelle-dispatch --takeover) does all that takes
 * long - EAL, memory - and then asks by the control socket, attach.h's TAKEOVER.  The old
 * one stops its threads, sends what is to outlive it - the control socket itself, the
 * TAP, the guards of interfaces - closes links and ports, says so, and ends.  The new one
 * opens them.  In between, packets wait in the engines' rings; those of the network
 * are lost, and sent again by whom they matter to.  Engines that attached find the
 * control socket open and register again; those with a path wait for their link.
 *
 * What is not handed over is learned again: MAC addresses, multicast groups, whose ports
 * are whose.  Counters begin again, and the configuration is the new one's.  Main's.
 */
#ifndef GZ_DISPATCH_TAKEOVER_H
#define GZ_DISPATCH_TAKEOVER_H

#include <stdbool.h>
#include <stddef.h>

struct dispatch;

/* --- the new one ----------------------------------------------------------- */

/** takeover_find() - Who is to be asked?  Return: its pid, or -errno with the reason in @err */
int takeover_find(const struct dispatch *d, char *err, size_t n);

/** takeover_begin() - Have it give everything up.  Return: 0 or -errno with the reason in @err */
int takeover_begin(char *err, size_t n);

/**
 * takeover_take() - What the other one had
 * @what:	Its name, e.g. "tap gzk0"
 *
 * Return: a descriptor that is the caller's, or -1
 */
int takeover_take(const char *what);

/** takeover_done() - Everything runs.  Closes what nobody took, and says how long it took */
void takeover_done(void);

/** takeover_over() - Has the other one ended?  Or was there none */
bool takeover_over(void);

/* --- the old one ----------------------------------------------------------- */

/** takeover_asked() - By the peer of socket @fd, which stays the caller's */
void takeover_asked(int fd);

/** takeover_wanted() - Has somebody asked? */
bool takeover_wanted(void);

/** takeover_give() - @fd, which stays the caller's, under the name kind or "kind name" */
void takeover_give(int fd, const char *kind, const char *name);

/** takeover_given() - All is closed */
void takeover_given(void);

#endif

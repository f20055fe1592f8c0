/* SPDX-License-Identifier: BSD-3-Clause
 *
 * served.h - Calls that wait for the engine, for who answers them when it is gone
 *
 * gazelle-run keeps the notification listener of a program that may have rings, and
 * answers when the engine has ended (launcher/heir.c).  But who was received already is
 * known by its number only: so each is noted in the client's shared memory.  Nothing is
 * read from there but whether a place is free.
 *
 * The client's service thread.
 */
#ifndef GZ_SERVED_H
#define GZ_SERVED_H

#include <stdint.h>

struct gz_client;
struct seccomp_notif;

/** gazelle-run is to have the shared memory. */
void gz_served_begin(const struct gz_client *c);
/** A notification was received. */
void gz_served_note(const struct gz_client *c, const struct seccomp_notif *n);
/** It was answered. */
void gz_served_done(const struct gz_client *c, uint64_t id);

#endif

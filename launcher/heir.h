/* SPDX-License-Identifier: BSD-3-Clause
 *
 * heir.h - gazelle-run answers its program's calls when the engine is gone
 */
#ifndef GZ_LAUNCHER_HEIR_H
#define GZ_LAUNCHER_HEIR_H

#include <stdbool.h>

/** gz_heir_send() - Give gazelle-run, at the other end of @broker, the listener */
int gz_heir_send(int broker, int listener);
/** The listener came, or the shared memory.  @fd: owned from now on */
void gz_heir_set_listener(int fd);
void gz_heir_set_rings(int fd);
/** The listener; -1: none.  It is to stay open. */
int gz_heir_listener(void);
/**
 * gz_heir_begin() - The engine is gone: answer what it had received
 *
 * Return: whether gz_heir_serve() is to be called when the listener is readable
 */
bool gz_heir_begin(void);
/** gz_heir_serve() - Answer one call.  Return: false when nobody is left */
bool gz_heir_serve(void);
/** The program did not start. */
void gz_heir_drop(void);

#endif

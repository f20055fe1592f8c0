/* SPDX-License-Identifier: BSD-3-Clause
 *
 * linger.h - What a close() with SO_LINGER waits for
 */
#ifndef GZ_LINGER_H
#define GZ_LINGER_H

#include <stdint.h>

struct gz_call_ctx;

/**
 * gz_linger_asked() - An agent is about to close a socket that lingers (GZ_ASK_UNSENT)
 *
 * The fourth argument is 1 at the first time, when who else has the socket is looked for.
 * Service thread.  Return: bytes that are not acknowledged; 0: close() is not to wait
 */
int64_t gz_linger_asked(struct gz_call_ctx *c);

#endif

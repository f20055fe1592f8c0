/* SPDX-License-Identifier: BSD-3-Clause
 *
 * warden.h - Wakes who waits for connections when the engine was killed
 */
#ifndef GZ_WARDEN_H
#define GZ_WARDEN_H

/**
 * gz_warden_start() - Fork the process that outlives this one by a moment
 *
 * Main thread, before there are others, in the shadows' network namespace.
 * Return: 0 or -errno
 */
int gz_warden_start(void);

#endif

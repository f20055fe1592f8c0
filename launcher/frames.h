/* SPDX-License-Identifier: BSD-3-Clause
 *
 * frames.h - May instructions of a stopped process be overwritten?
 *
 * Between gz_tracee_borrow() and gz_tracee_give_back(), all threads stopped.
 */
#ifndef GZ_LAUNCHER_FRAMES_H
#define GZ_LAUNCHER_FRAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "launcher/tracee.h"

/**
 * gz_frames_lead() - Is a thread at one of these addresses, or will it return there?
 * @addr, @n:	Where instructions begin
 *
 * Return: 0, none; -EAGAIN, a thread is there; -EBUSY, some memory holds one of the
 * addresses, most likely as the frame of a signal that is being handled; -ENOEXEC, there is
 * too much memory to look at.
 */
int gz_frames_lead(const struct gz_tracee *t, const uint64_t *addr, unsigned n);

/** gz_frames_is_go() - Is the code at @addr of a file that Go has made?  At any time */
bool gz_frames_is_go(const struct gz_tracee *t, uint64_t addr);

#endif

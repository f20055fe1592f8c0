/* SPDX-License-Identifier: BSD-3-Clause
 *
 * filter.h - The seccomp filter that turns gz_calls[] into notifications
 */
#ifndef GZ_LAUNCHER_FILTER_H
#define GZ_LAUNCHER_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>

/**
 * gz_filter_build() - Make the program from gz_calls[]
 * @prog:	Filled; free with gz_filter_free()
 * @ring:	Data calls trap as well, unless the agent makes them
 *
 * Return: 0, or a negative errno; nothing is allocated then.
 */
int gz_filter_build(struct sock_fprog *prog, bool ring);
void gz_filter_free(struct sock_fprog *prog);

/**
 * gz_filter_install() - Put the filter on the calling thread, for ever
 * @prog:	From gz_filter_build()
 *
 * Sets no_new_privs only where the kernel insists (no CAP_SYS_ADMIN), because
 * it takes setuid programs their privilege.
 *
 * Return: the notification listener (close-on-exec), or a negative errno:
 * -EBUSY, there is a listener already, as under another gazelle-run;
 * -EINVAL, the kernel does not know WAIT_KILLABLE_RECV (before 5.19).
 */
int gz_filter_install(const struct sock_fprog *prog);

/** gz_filter_inherited() - Does the calling process have a listener above it? */
bool gz_filter_inherited(void);

/** gz_filter_strerror() - What a negative errno of gz_filter_install() means */
const char *gz_filter_strerror(int err);

#endif

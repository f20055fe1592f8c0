/* SPDX-License-Identifier: BSD-3-Clause
 *
 * clock.h - Time since some moment, and a pause
 */
#ifndef GZ_LAUNCHER_CLOCK_H
#define GZ_LAUNCHER_CLOCK_H

#include <stdint.h>
#include <time.h>

/** Milliseconds of CLOCK_MONOTONIC; any thread. */
static inline int64_t gz_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/** Sleep for @ms milliseconds, or until a signal; any thread. */
static inline void gz_pause_ms(int ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	nanosleep(&t, NULL);
}

#endif

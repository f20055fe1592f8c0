/* SPDX-License-Identifier: BSD-3-Clause
 *
 * log.h - One line a message, to standard error, from any thread
 */
#ifndef GZ_LOG_H
#define GZ_LOG_H

#include "config/config.h"

extern _Atomic enum gz_log_level gz_log_level; /* any thread */

void gz_log(enum gz_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define gz_err(...) gz_log(GZ_LOG_ERROR, __VA_ARGS__)
#define gz_warn(...) gz_log(GZ_LOG_WARN, __VA_ARGS__)
#define gz_info(...) gz_log(GZ_LOG_INFO, __VA_ARGS__)
#define gz_debug(...)                                                                              \
	do {                                                                                       \
		if (__builtin_expect(gz_log_level >= GZ_LOG_DEBUG, 0))                             \
			gz_log(GZ_LOG_DEBUG, __VA_ARGS__);                                         \
	} while (0)

#endif

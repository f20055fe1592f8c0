/* SPDX-License-Identifier: BSD-3-Clause
 *
 * log.c - One line a message, to standard error, from any thread
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/log.h"

_Atomic enum gz_log_level gz_log_level = GZ_LOG_INFO;

void gz_log(enum gz_log_level level, const char *fmt, ...)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};
	char line[512];
	va_list ap;
	int n, m;

	if (level > gz_log_level)
		return;
	n = snprintf(line, sizeof(line), "gazelle-engine: %s: ", names[level]);
	if (level == GZ_LOG_DEBUG) {
		struct timespec t;

		clock_gettime(CLOCK_MONOTONIC, &t);
		n += snprintf(line + n, sizeof(line) - (size_t)n, "[%ld.%06ld] ", (long)t.tv_sec,
			      t.tv_nsec / 1000);
	}
	va_start(ap, fmt);
	m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	if (m < 0)
		return;
	n += m;
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	/* One write: lines of different threads do not mix. */
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}

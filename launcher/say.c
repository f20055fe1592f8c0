/* SPDX-License-Identifier: BSD-3-Clause
 *
 * say.c - What gazelle-run writes to stderr
 *
 * Straight to the descriptor: stdio's buffers would be a second copy of the
 * text after fork().
 */
#include "launcher/say.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum gz_say_level gz_say_level = GZ_SAY_ERRORS;

static void say(const char *fmt, va_list ap)
{
	static const char prefix[] = "gazelle-run: ";
	char line[4096];
	size_t n = sizeof(prefix) - 1;
	int k;

	for (size_t i = 0; i < n; i++)
		line[i] = prefix[i];
	k = vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	if (k < 0)
		return;
	n += (size_t)k < sizeof(line) - n - 1 ? (size_t)k : sizeof(line) - n - 2;
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0)
		return; /* and nobody else to tell */
}

void gz_error(const char *fmt, ...)
{
	va_list ap;

	if (gz_say_level < GZ_SAY_ERRORS)
		return;
	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}

void gz_step(const char *fmt, ...)
{
	va_list ap;

	if (gz_say_level < GZ_SAY_STEPS)
		return;
	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}

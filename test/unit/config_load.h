/* SPDX-License-Identifier: BSD-3-Clause
 *
 * config_load.h - What the tests of the configuration share: text is loaded, messages looked at
 *
 * Files are written to a memfd and loaded by its /proc path, which is cut off
 * the messages: "3:9: key ..." is line 3, column 9.
 * Run from the top of the source tree: the committed files are compared.
 */
#ifndef TEST_UNIT_CONFIG_LOAD_H
#define TEST_UNIT_CONFIG_LOAD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "config/schema.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CLIENT(n, p, a) "  - name: " n "\n    path: " p "\n    address: " a "\n"

static struct gz_engine_config engine;
static struct gz_dispatch_config dispatch;
static char *messages; /* of the last load, file name cut off */

/**
 * load_bytes() - Load a file with this content
 * @conf:	&engine or &dispatch; freed first
 * @text:	Content
 * @len:	Its length
 *
 * Return: what the loader returned; `messages` holds what it printed
 */
static inline int load_bytes(void *conf, const char *text, size_t len)
{
	int fd = memfd_create("config", MFD_CLOEXEC), n;
	char path[64], *raw = NULL, *out, *p;
	size_t raw_len = 0, path_len;
	FILE *err = open_memstream(&raw, &raw_len);

	assert_true(fd >= 0 && err);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	path_len = (size_t)sprintf(path, "/proc/self/fd/%d", fd);
	if (conf == &engine) {
		gz_engine_config_free(&engine);
		n = gz_engine_config_load(path, &engine, err);
	} else {
		gz_dispatch_config_free(&dispatch);
		n = gz_dispatch_config_load(path, &dispatch, err);
	}
	fclose(err);
	close(fd);
	free(messages);
	out = messages = calloc(1, raw_len + 1);
	for (p = raw; *p; p++) {
		if ((p == raw || p[-1] == '\n') && !strncmp(p, path, path_len))
			p += path_len + 1;
		*out++ = *p;
	}
	free(raw);
	return n;
}

static inline int load_engine(const char *text)
{
	return load_bytes(&engine, text, strlen(text));
}

static inline int load_dispatch(const char *text)
{
	return load_bytes(&dispatch, text, strlen(text));
}

/** Loads without any message. */
static inline void good(const char *text)
{
	int n = load_engine(text);

	assert_string_equal(messages, "");
	assert_int_equal(n, 0);
}

/** Is refused with one message, which starts like this; defaults are left. */
static inline void bad(const char *text, const char *message)
{
	struct gz_engine_config def;
	int n = load_engine(text);

	if (strncmp(messages, message, strlen(message)))
		fail_msg("of: %s\nwanted: %s\ngot: %s", text, message, messages);
	assert_int_equal(n, 1);
	assert_ptr_equal(strchr(messages, '\n'), messages + strlen(messages) - 1);
	gz_engine_config_default(&def);
	assert_memory_equal(&engine, &def, sizeof(def));
}

/** As bad(), for dispatch. */
static inline void bad_dispatch(const char *text, const char *message)
{
	struct gz_dispatch_config def;
	int n = load_dispatch(text);

	if (strncmp(messages, message, strlen(message)))
		fail_msg("of: %s\nwanted: %s\ngot: %s", text, message, messages);
	assert_int_equal(n, 1);
	gz_dispatch_config_default(&def);
	assert_memory_equal(&dispatch, &def, sizeof(def));
}

/** What print makes of a configuration; free() it. */
static inline char *printed(const struct gz_cfg_schema *s, const void *conf)
{
	size_t n = 0;
	char *text = NULL;
	FILE *f = open_memstream(&text, &n);

	assert_non_null(f);
	gz_cfg_print(s, conf, f);
	fclose(f);
	return text;
}

static inline char *slurp(const char *path)
{
	FILE *f = fopen(path, "re");
	char *text = calloc(1, 65536);

	if (!f)
		fail_msg("no %s: run from the top of the source tree", path);
	assert_true(fread(text, 1, 65535, f) > 0);
	fclose(f);
	return text;
}

static inline uint32_t ip(const char *text)
{
	return inet_addr(text);
}

static inline int teardown(void **state)
{
	(void)state;
	gz_engine_config_free(&engine);
	gz_dispatch_config_free(&dispatch);
	free(messages);
	return 0;
}

#endif

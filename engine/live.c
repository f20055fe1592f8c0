/* SPDX-License-Identifier: BSD-3-Clause
 *
 * live.c - What can be set while the engine runs
 */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "engine/live.h"
#include "engine/log.h"
#include "engine/worker.h"

_Atomic enum gz_power gz_power;

void gz_live_init(const struct gz_engine_config *c)
{
	atomic_store(&gz_power, c->power);
}

static bool set_power(const char *value)
{
	enum gz_power power;

	if (!gz_power_of(value, &power))
		return false;
	atomic_store(&gz_power, power);
	/* They may sleep, as nobody may in "poll". */
	for (unsigned i = 0; i < gz_nworkers; i++)
		gz_worker_post(gz_workers[i], &(struct gz_msg){.op = GZ_OP_LOOK, .fd = -1});
	return true;
}

static bool set_log_level(const char *value)
{
	enum gz_log_level level;

	if (!gz_log_level_of(value, &level))
		return false;
	gz_log_level = level;
	return true;
}

static const struct {
	const char *key, *values;
	bool (*set)(const char *value);
} keys[] = {
    {"power", "poll, adaptive or interrupt", set_power},
    {"loglevel", "error, warn, info or debug", set_log_level},
};

bool gz_live_set(const char *key, const char *value, char *why, size_t n)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strcmp(key, keys[i].key))
			continue;
		if (keys[i].set(value)) {
			gz_info("%s is %s now", key, value);
			return true;
		}
		snprintf(why, n, "%s cannot be '%s': expected %s", key, value, keys[i].values);
		return false;
	}
	snprintf(why, n, "'%s' cannot be set: expected power or loglevel", key);
	return false;
}
